"""Every object gets a number of its own.

The network says two things of each pixel: whether it belongs to any object, and how deep inside its object it lies, as
a fraction of the deepest pixel of that object. The depth has one summit in each object and falls to 0 at every border,
also where objects touch. So a watershed on it draws a basin around every summit, and basins are joined where the lower
summit does not rise clearly above the saddle between them (its dynamics, Grimaud, SPIE 1992): what is left are the
objects. Distances are measured in physical units, so that thick slices do not flatten the objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import edt
import fastremap
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.data.volume import labels_dtype
from napari_seg.spec import Spec
from napari_seg.tasks.base import Labels, Scores

if TYPE_CHECKING:
    from torch import Tensor


class Instance(Spec):
    """Objects of one kind, ``classes[0]``.

    ``threshold``: a pixel belongs to an object where its first score is above. ``seeds``: a summit that rises this far
    above its saddles is the seed of an object of its own; lower it to split more, raise it to split less. ``smallest``:
    objects of fewer pixels are dropped.
    """

    kind: Literal["instance"] = "instance"
    classes: tuple[str] = ("object",)
    threshold: float = Field(0.5, gt=0, lt=1)
    seeds: float = Field(0.15, gt=0, lt=1)
    smallest: float = Field(0.0, ge=0)

    def variants(self) -> tuple[Instance, ...]:
        return tuple(
            self.model_copy(update={"threshold": threshold, "seeds": seeds, "smallest": factor * self.smallest})
            for threshold in (0.4, 0.5, 0.6, 0.7)
            for seeds in (0.1, 0.15, 0.2, 0.3)
            for factor in (0, 1, 2, 4)
        )

    @property
    def channels(self) -> int:
        return 2

    @property
    def names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def pointwise(self) -> bool:
        return False

    def encode(self, labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
        return np.stack([(labels > 0).astype(np.float32), depth(labels, spacing)])

    def loss(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        from napari_seg.tasks import losses

        return losses.binary(logits, target, mask) + losses.dice(logits[:, :1].sigmoid(), target[:, :1], mask)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def decode(self, scores: Scores, spacing: tuple[float, ...]) -> Labels:
        from scipy.ndimage import gaussian_filter

        inside = scores[0] > self.threshold
        sigma = min(spacing) / np.asarray(spacing)  # one pixel of the finest axis: enough to melt twin summits
        deep = gaussian_filter(np.asarray(scores[1], np.float32), sigma)
        return without_small(joined(basins(deep, inside), deep, self.seeds), self.smallest)


def basins(heights: NDArray[np.float32], inside: NDArray[np.bool_]) -> Labels:
    """A number 1..N for each summit inside, and for each pixel inside the number of the summit it belongs to."""
    from skimage.measure import label
    from skimage.morphology import local_maxima
    from skimage.segmentation import watershed

    walled = np.pad(np.where(inside, heights, -1), 1, constant_values=-1)  # also an even plateau has a rim to fall to
    core = (slice(1, -1),) * inside.ndim
    summits = label(local_maxima(walled, connectivity=1)[core] & inside, connectivity=1)
    return watershed(-heights, summits, mask=inside)  # type: ignore[no-any-return]


def joined(parts: Labels, heights: NDArray[np.float32], rise: float) -> Labels:
    """Join neighbouring basins until every summit rises at least ``rise`` above each saddle to a higher one.

    ``parts``: the :func:`basins` of ``heights``. The numbers of the result may have gaps.
    """
    low, high, saddles = _saddles(parts, heights)
    peaks = np.zeros(int(parts.max(initial=0)) + 1, np.float32)
    np.maximum.at(peaks, parts.ravel(), heights.ravel())
    parents = np.arange(len(peaks))

    def root(basin: int) -> int:
        while parents[basin] != basin:
            parents[basin] = basin = parents[parents[basin]]
        return basin

    flat = np.flatnonzero(np.minimum(peaks[low], peaks[high]) - saddles < rise)  # joining only ever raises a peak
    for edge in flat[np.argsort(-saddles[flat], kind="stable")]:
        a, b = root(low[edge]), root(high[edge])
        if peaks[a] > peaks[b]:
            a, b = b, a
        if a != b and peaks[a] - saddles[edge] < rise:
            parents[a] = b
    while not np.array_equal(parents, above := parents[parents]):
        parents = above
    return parents[parts]


def _saddles(
    parts: Labels, heights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The pairs of basins that touch, and the highest pass between the two."""
    keys, passes = [], []
    for axis in range(parts.ndim):
        here = tuple(slice(None, -1) if k == axis else slice(None) for k in range(parts.ndim))
        there = tuple(slice(1, None) if k == axis else slice(None) for k in range(parts.ndim))
        a, b = parts[here], parts[there]
        touch = np.nonzero((a != b) & (a > 0) & (b > 0))
        pair = np.sort(np.stack([a[touch], b[touch]]).astype(np.int64), 0)
        keys.append(pair[0] << 32 | pair[1])
        passes.append(np.minimum(heights[here][touch], heights[there][touch]))
    pairs, which = np.unique(np.concatenate(keys), return_inverse=True)
    saddles = np.full(len(pairs), -np.inf, np.float32)
    np.maximum.at(saddles, which, np.concatenate(passes))
    return pairs >> 32, pairs & 0xFFFFFFFF, saddles


def depth(labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """The distance to the border of the own object over the largest one in it: 0 outside, 1 at the summit."""
    distance = edt.edt(np.ascontiguousarray(labels), anisotropy=spacing, black_border=False)
    distance[~np.isfinite(distance)] = 1
    compact, _ = fastremap.renumber(labels, preserve_zero=True, in_place=False)
    summits = np.zeros(int(compact.max()) + 1, np.float32)
    np.maximum.at(summits, compact.ravel(), distance.ravel())
    return np.asarray(distance / np.maximum(summits, 1e-6)[compact], np.float32)


def without_small(labels: Labels, smallest: float) -> Labels:
    """Drop objects of fewer than ``smallest`` pixels and number the rest 1..N in the smallest dtype."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    keep = np.flatnonzero(counts >= max(smallest, 1))
    numbers = np.zeros(len(counts), np.uint32)
    numbers[keep] = np.arange(1, len(keep) + 1)
    return numbers[labels].astype(labels_dtype(len(keep)))
