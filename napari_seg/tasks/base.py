"""What every task can do. A task is a spec with verbs, so that nobody asks "is this for instances?"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from napari_seg.choices import LossKind

if TYPE_CHECKING:
    from torch import Tensor

Scores = NDArray[np.floating[Any]]
"""What the network says about each pixel: shape ``(channels, *grid)``, every value in 0..1."""

Labels = NDArray[np.integer[Any]]
"""0 = background; classes for a semantic task, one id per object for instances; shape ``grid``."""


def _own_names(names: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for name in names)
    if not all(names):
        raise ValueError("a class has no name")
    again = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if again:
        raise ValueError(f"two classes are named {again[0]}")
    return names


ClassNames = Annotated[tuple[str, ...], AfterValidator(_own_names)]
"""The names of classes, each of its own; blanks around them do not count."""


class Task(Protocol):
    """The verbs. ``grid`` is ``(y, x)`` or ``(z, y, x)``; ``spacing`` has one positive number per axis of it."""

    @property
    def channels(self) -> int:
        """How many channels the network must put out."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes, without the background."""

    @property
    def planes(self) -> tuple[str, ...]:
        """The names of the classes that have a plane of labels each; empty where all share one."""

    @property
    def pointwise(self) -> bool:
        """Whether each pixel is decided by its own scores alone, so that a volume can be decoded plane by plane."""

    @property
    def settings(self) -> tuple[str, ...]:
        """The names of those of its settings by which labels are made of scores; another value makes other labels."""

    def variants(self) -> tuple[Task, ...]:
        """The decoding settings among which the validation cases choose after a training."""

    def encode(self, labels: Labels, spacing: tuple[float, ...]) -> NDArray[np.float32]:
        """What the network must learn for these labels: shape ``(target channels, *grid)``."""

    def loss(self, logits: Tensor, target: Tensor, mask: Tensor, kind: LossKind = "dice") -> Tensor:
        """How wrong the logits are; only where ``mask`` (``(batch, 1, *grid)``, 0 or 1) counts."""

    def activate(self, logits: Tensor) -> Tensor:
        """Scores in 0..1 from logits."""

    def mirror(self, scores: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Scores ``(batch, channels, *grid)`` of a mirrored image, mirrored back along these axes of the batch."""

    def decode(self, scores: Scores, spacing: tuple[float, ...]) -> Labels:
        """Labels from scores, in numpy alone, with the smallest dtype that holds them."""

    def decode_variants(self, scores: Scores, spacing: tuple[float, ...]) -> Iterator[Labels]:
        """The labels by each of :meth:`variants`, in their order. What several of them share is computed once."""
