"""How sure the model is, voxel by voxel, worked out only where it is asked for (see :class:`~.runs.Field`).

Scores lie in 0..1: one channel is a yes or no, several are classes that add up to 1. For objects the first channel says
whether a voxel belongs to any, and the others, one for each axis, point to the middle of its object (see
:mod:`napari_seg.tasks.instance`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.numbers import likely
from napari_seg.errors import SegError
from napari_seg.tasks.base import Scores

Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Given:
    """The values of an array on the grid of the labels, such as an image."""

    array: NDArray[Any]

    def __call__(self, planes: slice, inside: NDArray[np.bool_]) -> NDArray[Any]:
        values: NDArray[Any] = np.asarray(self.array[planes])[inside]
        return values


@dataclass(frozen=True, eq=False)
class Entropy:
    """The entropy of scores ``(channels, *grid)``: 0 = sure, 1 = could be anything (Shannon 1948, in units of its
    largest)."""

    scores: Scores

    def __call__(self, planes: slice, inside: NDArray[np.bool_]) -> Values:
        total = np.zeros(np.count_nonzero(inside), np.float32)
        for channel in self.scores:
            total += _terms(len(self.scores))[_codes(np.asarray(channel[planes])[inside])]
        return total


@dataclass(frozen=True, eq=False)
class Astray:
    """How far the directions of an instance model are from pointing anywhere: ``(ndim, *grid)``, 0.5 stands for 0.

    A voxel between two middles is pulled to both, so that its vector is short: 0 = it has length 1, 1 = it has none.
    """

    directions: Scores

    def __call__(self, planes: slice, inside: NDArray[np.bool_]) -> Values:
        squares = np.zeros(np.count_nonzero(inside), np.float32)
        for channel in self.directions:
            squares += (2 * likely(np.asarray(channel[planes])[inside]) - 1) ** 2
        short: Values = np.clip(1 - np.sqrt(squares), 0, 1)
        return short


def entropy(annotation: Annotation) -> Entropy | None:
    """How unsure each voxel is; ``None`` without scores. Raises ``SegError`` for scores of another grid."""
    scores = annotation.scores
    if scores is None:
        return None
    _on_grid(annotation, scores.shape[1:], "scores")
    return Entropy(scores[:1] if annotation.objects else scores)


def astray(annotation: Annotation) -> Astray | None:
    """Where the directions to the middle are weak; ``None`` where the scores hold none."""
    scores = annotation.scores
    if scores is None or not annotation.objects or len(scores) != 1 + annotation.labels.ndim:
        return None
    return Astray(scores[1:])


def on_grid(annotation: Annotation, array: NDArray[Any], name: str) -> Given:
    """An array as a field. Raises ``SegError`` where it does not lie on the grid of the labels."""
    _on_grid(annotation, array.shape, name)
    return Given(array)


def _on_grid(annotation: Annotation, shape: tuple[int, ...], name: str) -> None:
    if tuple(shape) != annotation.grid:
        raise SegError(f"The {name} have shape {shape}, the labels {annotation.grid}; take those of the same image.")


def _codes(scores: NDArray[Any]) -> NDArray[np.uint16]:
    """Scores as the bits of a float16, which are places in a table."""
    codes: NDArray[np.uint16] = np.clip(scores, 0, 1).astype(np.float16).view(np.uint16)
    return codes


@cache
def _terms(channels: int) -> Values:
    """What each float16 adds to the entropy when there are so many channels."""
    p = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
    p = np.where((p >= 0) & (p <= 1), p, 0)
    terms = -p * np.log(np.where(p > 0, p, 1))
    if channels == 1:
        rest = 1 - p
        terms = terms - rest * np.log(np.where(rest > 0, rest, 1))
    return np.asarray(terms / np.log(max(2, channels)), np.float32)
