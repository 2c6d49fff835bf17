"""Every object gets a number of its own.

The network says two things of each pixel: whether it belongs to any object, and in which direction the middle of its
object lies, as a vector of length 1 that fades away near the middle. Whoever follows the directions from pixel to pixel
ends in the middle of an object; pixels whose paths end together are one object, also where objects touch (flows:
Stringer et al., Nature Methods 2021; there they come from a simulated diffusion, here they point straight at the
pixel farthest from the border). Vectors are physical, so that thick slices do not bend the paths.

A path of ``2**k`` steps is found in ``k`` compositions of the field with itself ("scaling and squaring", Arsigny et
al., MICCAI 2006), not step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import TYPE_CHECKING, Literal

import cc3d
import edt
import fastremap
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.choices import LossKind
from napari_seg.data.volume import labels_dtype
from napari_seg.spec import Spec
from napari_seg.tasks.base import Labels, Scores

if TYPE_CHECKING:
    from torch import Tensor

FADE = 2.0
"""Vectors are shorter than 1 within this many pixels of the middle, so that paths come to rest there."""

COMPOSITIONS = 8
"""Paths have ``2**8`` steps of a pixel: enough for objects of 500 pixels across."""

CROWD = 1.5
"""Where this many paths end in a pixel there is a middle; where nothing flows there is one path for each pixel."""

FLOW_WEIGHT = 20.0
"""How much the squared error of the directions counts beside the cross-entropy and Dice of the foreground."""


class Instance(Spec):
    """Objects of one kind, ``classes[0]``, in ``ndim`` dimensions.

    ``threshold``: a pixel belongs to an object where its first score is above. ``seeds``: ends of paths that lie about
    this many pixels apart are one middle; lower it to split more, raise it to split less. ``smallest``: objects of
    fewer pixels are dropped.
    """

    kind: Literal["instance"] = "instance"
    ndim: Literal[2, 3] = 2
    classes: tuple[str] = ("object",)
    threshold: float = Field(0.5, gt=0, lt=1)
    seeds: float = Field(1.0, gt=0, le=50)
    smallest: float = Field(0.0, ge=0)

    @property
    def settings(self) -> tuple[str, ...]:
        return "threshold", "seeds", "smallest"

    def variants(self) -> tuple[Instance, ...]:
        return tuple(
            self.model_copy(update={"threshold": threshold, "seeds": seeds, "smallest": factor * self.smallest})
            for threshold in (0.4, 0.5, 0.6, 0.7)
            for seeds in (0.7, 1.0, 1.5, 2.5)
            for factor in (0, 1, 2, 3, 4)
        )

    @property
    def channels(self) -> int:
        return 1 + self.ndim

    @property
    def names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def planes(self) -> tuple[str, ...]:
        return ()

    @property
    def pointwise(self) -> bool:
        return False

    def encode(self, labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
        return np.concatenate([(labels > 0)[None].astype(np.float32), 0.5 + 0.5 * flows(labels, spacing)])

    def loss(self, logits: Tensor, target: Tensor, mask: Tensor, kind: LossKind = "dice") -> Tensor:
        from napari_seg.tasks import losses

        inside, fore = target[:, :1], logits[:, :1]
        astray = losses.average((logits[:, 1:].sigmoid() - target[:, 1:]) ** 2, mask * inside)
        found = losses.binary(fore, inside, mask, kind) + losses.region(fore.sigmoid(), inside, mask, kind)
        return found + FLOW_WEIGHT * astray

    def activate(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def mirror(self, scores: Tensor, axes: tuple[int, ...]) -> Tensor:
        mirrored = scores.flip(axes)
        for axis in axes:
            mirrored[:, axis - 1] = 1 - mirrored[:, axis - 1]  # axis 2 of a batch is the first of the grid, channel 1
        return mirrored

    def decode(self, scores: Scores, spacing: tuple[float, ...]) -> Labels:
        units = _units(spacing)
        inside = np.asarray(scores[0] > self.threshold)
        return without_small(_gathered(inside, _ends(inside, scores[1:], units), self.seeds / units), self.smallest)

    def decode_variants(self, scores: Scores, spacing: tuple[float, ...]) -> Iterator[Labels]:
        units = _units(spacing)
        for threshold, above in groupby(self.variants(), lambda variant: variant.threshold):
            inside = np.asarray(scores[0] > threshold)
            ends = _ends(inside, scores[1:], units)
            for seeds, alike in groupby(above, lambda variant: variant.seeds):
                labels = _gathered(inside, ends, seeds / units)
                yield from (without_small(labels, variant.smallest) for variant in alike)


def flows(labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """For each pixel of an object the vector towards its middle, ``(ndim, *grid)``; 0 in the background.

    The middle is the pixel farthest from the border of the object. Vectors have length 1, in units of the finest axis;
    within ``FADE`` pixels of the middle they are shorter.
    """
    units = np.asarray(spacing, np.float64) / min(spacing)
    compact, _ = fastremap.renumber(np.ascontiguousarray(labels), preserve_zero=True, in_place=False)
    depth = edt.edt(compact, anisotropy=tuple(units), black_border=False).ravel()
    order = np.lexsort((depth, compact.ravel()))  # the deepest pixel of each label comes last among its own
    last = np.append(np.flatnonzero(np.diff(compact.ravel()[order])), len(order) - 1)
    middles = np.zeros(int(compact.max()) + 1, np.int64)
    middles[compact.ravel()[order[last]]] = order[last]
    there = np.stack(np.unravel_index(middles, labels.shape))[:, compact]
    shape = (-1,) + (1,) * labels.ndim
    vectors = (there - np.indices(labels.shape)) * units.reshape(shape)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=0), FADE)
    return np.asarray(vectors * (compact > 0), np.float32)


def _units(spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """The spacing in pixels of the finest axis."""
    return np.asarray(spacing, np.float32) / np.float32(min(spacing))


def _ends(inside: NDArray[np.bool_], directions: Scores, units: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the path of each pixel inside ends: ``(ndim, pixels)``, in pixels. The axes are followed side by side."""
    from scipy.ndimage import map_coordinates

    places = np.flatnonzero(inside)
    start = np.stack(np.unravel_index(places, inside.shape)).astype(np.float32)
    edge = np.array(inside.shape, np.float32)[:, None] - 1
    paths = 2 * directions.reshape(len(directions), -1)[:, places].astype(np.float32) - 1
    paths /= units[:, None]
    field = np.zeros(directions.shape, np.float32)
    field.reshape(len(field), -1)[:, places] = paths
    ends = np.empty_like(paths)

    def go_on(axis: int) -> None:
        paths[axis] += map_coordinates(field[axis], ends, order=1, mode="nearest", prefilter=False)
        field[axis].ravel()[places] = paths[axis]

    with ThreadPoolExecutor(len(field)) as threads:
        for _ in range(COMPOSITIONS):
            np.clip(start + paths, 0, edge, out=ends)
            list(threads.map(go_on, range(len(field))))
    return np.clip(start + paths, 0, edge, out=ends)


def _gathered(inside: NDArray[np.bool_], ends: NDArray[np.float32], width: NDArray[np.float32]) -> Labels:
    """A number for the pixels whose paths end together; patches of foreground without an end are objects too."""
    from scipy.ndimage import gaussian_filter

    where = np.ravel_multi_index(tuple(np.rint(ends).astype(np.int64)), inside.shape)
    crowd = np.bincount(where, minlength=inside.size).reshape(inside.shape).astype(np.float32)
    crowd = gaussian_filter(crowd, width)
    crowded = (crowd > CROWD).view(np.uint8)  # cc3d 4.1.1 miscounts booleans
    middles = cc3d.connected_components(crowded, connectivity=8 if inside.ndim == 2 else 26, out_dtype=np.uint32)
    labels = np.zeros(inside.shape, np.uint32)
    labels[inside] = middles.ravel()[where]
    alone = (inside & (labels == 0)).view(np.uint8)
    rest = cc3d.connected_components(alone, connectivity=4 if inside.ndim == 2 else 6)
    return np.where(rest > 0, rest.astype(np.uint32) + labels.max(initial=0), labels)


def without_small(labels: Labels, smallest: float) -> Labels:
    """Drop objects of fewer than ``smallest`` pixels and number the rest 1..N in the smallest dtype."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    keep = np.flatnonzero(counts >= max(smallest, 1))
    numbers = np.zeros(len(counts), np.uint32)
    numbers[keep] = np.arange(1, len(keep) + 1)
    return numbers[labels].astype(labels_dtype(len(keep)))
