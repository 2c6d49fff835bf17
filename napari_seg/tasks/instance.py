"""Every object gets a number of its own.

The network says two things of each pixel: whether it belongs to any object, and how deep inside its object it lies, as
a fraction of the deepest pixel of that object. The depth has one summit in each object and falls to 0 at every border, also
where objects touch; so its summits are the seeds, and a watershed on it draws the borders. Distances are measured in
physical units, so that thick slices do not flatten the objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cc3d
import edt
import fastremap
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.spec import Spec
from napari_seg.tasks.base import Labels, Scores

if TYPE_CHECKING:
    from torch import Tensor


class Instance(Spec):
    """Objects of one kind, ``classes[0]``.

    ``threshold``: a pixel belongs to an object where its first score is above. ``seeds``: a summit of the depth above
    this starts an object; lower it to find more, raise it to split less. ``smallest``: objects of fewer pixels are dropped.
    """

    kind: Literal["instance"] = "instance"
    classes: tuple[str] = ("object",)
    threshold: float = Field(0.5, gt=0, lt=1)
    seeds: float = Field(0.6, gt=0, lt=1)
    smallest: float = Field(0.0, ge=0)

    def variants(self) -> tuple[Instance, ...]:
        return tuple(
            self.model_copy(update={"threshold": threshold, "seeds": seeds})
            for threshold in (0.4, 0.5, 0.6)
            for seeds in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
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
        return without_small(_separated(inside, deep, deep > self.seeds), self.smallest)


def _separated(inside: NDArray[np.bool_], deep: NDArray[np.float32], summits: NDArray[np.bool_]) -> Labels:
    """A watershed on ``deep`` from its summits, in each patch of foreground that has several.

    A patch with one summit, or with none that is high enough, is one object.
    """
    from scipy.ndimage import find_objects
    from skimage.segmentation import watershed

    connectivity = 4 if inside.ndim == 2 else 6
    labels: NDArray[np.uint32] = cc3d.connected_components(inside, connectivity=connectivity, out_dtype=np.uint32)
    seeds = cc3d.connected_components(summits & inside, connectivity=connectivity, out_dtype=np.uint32)
    count = int(labels.max())
    at = np.flatnonzero(seeds)
    pairs = fastremap.unique(seeds.ravel()[at].astype(np.uint64) << 32 | labels.ravel()[at])
    summits_of = np.bincount((pairs & 0xFFFFFFFF).astype(np.int64), minlength=count + 1)
    boxes = find_objects(labels.view(np.int32))
    for number in np.flatnonzero(summits_of > 1):
        box = boxes[number - 1]
        patch = labels[box] == number
        labels[box][patch] = watershed(-deep[box], seeds[box] * patch, mask=patch)[patch] + count
    return labels


def depth(labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """The distance to the border of the own object over the largest one in it: 0 outside, 1 at the summit."""
    distance = edt.edt(np.ascontiguousarray(labels), anisotropy=spacing, black_border=False)
    distance[~np.isfinite(distance)] = 1
    compact, _ = fastremap.renumber(labels, preserve_zero=True, in_place=False)
    summits = np.zeros(int(compact.max()) + 1, np.float32)
    np.maximum.at(summits, compact.ravel(), distance.ravel())
    return np.asarray(distance / np.maximum(summits, 1e-6)[compact], np.float32)


def _with_seedless(labels: Labels, inside: NDArray[np.bool_]) -> Labels:
    """A patch of foreground in which no summit was high enough is one object, not nothing."""
    rest = cc3d.connected_components(inside & (labels == 0), connectivity=4 if inside.ndim == 2 else 6)
    return np.where(rest > 0, rest.astype(np.uint32) + labels.max(), labels)


def without_small(labels: Labels, smallest: float) -> Labels:
    """Drop objects of fewer than ``smallest`` pixels and number the rest 1..N in the smallest dtype."""
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    keep = np.flatnonzero(counts >= max(smallest, 1))
    numbers = np.zeros(len(counts), np.uint32)
    numbers[keep] = np.arange(1, len(keep) + 1)
    return fastremap.refit(numbers[labels], value=len(keep))
