"""Every pixel gets a class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.choices import LossKind
from napari_seg.data.volume import labels_dtype
from napari_seg.spec import Spec
from napari_seg.tasks.base import ClassNames, Labels, Scores

if TYPE_CHECKING:
    from torch import Tensor

MOST_CLASSES = 200
"""More labels than this are taken for numbers of objects, or for grey values."""


class Semantic(Spec):
    """Label ``k`` is the class ``classes[k - 1]``.

    With ``overlapping`` the classes may share pixels: labels and scores then have one plane per class, shape
    ``(classes, *grid)``, and each plane is decided for itself.
    """

    kind: Literal["semantic"] = "semantic"
    classes: ClassNames = Field(("object",), min_length=1)
    overlapping: bool = False
    threshold: float = Field(0.5, gt=0, lt=1)

    @property
    def settings(self) -> tuple[str, ...]:
        return ("threshold",) if self.overlapping else ()

    def variants(self) -> tuple[Semantic, ...]:
        return (self,)

    @property
    def channels(self) -> int:
        return len(self.classes) + (not self.overlapping)

    @property
    def names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def planes(self) -> tuple[str, ...]:
        return self.classes if self.overlapping else ()

    def taught_by(self, names: Sequence[str]) -> bool:
        """Whether it can learn from a mask whose classes have these names: its own in its own order, fewer or with new
        ones after them. A single class may be called otherwise; of overlapping ones each has a mask of its own."""
        if self.overlapping:
            return not names or names[0] in self.classes
        either = len(self.classes) == 1 and len(names) <= 1
        return either or self.classes[: len(names)] == tuple(names[: len(self.classes)])

    @property
    def pointwise(self) -> bool:
        return True

    def encode(self, labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
        if self.overlapping:
            return (labels > 0).astype(np.float32)
        return np.stack([labels == k for k in range(self.channels)]).astype(np.float32)

    def loss(self, logits: Tensor, target: Tensor, mask: Tensor, kind: LossKind = "dice") -> Tensor:
        from napari_seg.tasks import losses

        if self.overlapping:
            return losses.binary(logits, target, mask, kind) + losses.region(logits.sigmoid(), target, mask, kind)
        entropy = losses.cross_entropy(logits, target, mask, kind)
        return entropy + losses.region(logits.softmax(1)[:, 1:], target[:, 1:], mask, kind)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.sigmoid() if self.overlapping else logits.softmax(1)

    def mirror(self, scores: Tensor, axes: tuple[int, ...]) -> Tensor:
        return scores.flip(axes)

    def decode(self, scores: Scores, spacing: tuple[float, ...]) -> Labels:
        if self.overlapping:
            return (scores > self.threshold).astype(np.uint8)
        best: Labels = scores.argmax(0).astype(labels_dtype(len(self.classes)))
        return best

    def decode_variants(self, scores: Scores, spacing: tuple[float, ...]) -> Iterator[Labels]:
        yield self.decode(scores, spacing)
