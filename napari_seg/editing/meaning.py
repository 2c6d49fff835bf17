"""What the numbers of a mask mean: do they count objects, or are they classes? A file seldom says, so it is guessed.

The guess goes by how many numbers there are, whether they come in one piece each, and whether the mask lies in a
patient's space. It comes with its reason in words, for a person sees both and may say otherwise (see
:func:`~napari_seg.editing.said.counts_objects`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_seg.editing.contact import contact
from napari_seg.editing.counting import counted
from napari_seg.editing.runs import Ints
from napari_seg.editing.tally import tally
from napari_seg.tasks.base import Labels

MOST = 200
"""Classes of a mask, at the most: more numbers than that are no classes."""

_FEW = 10
"""So many classes may lie inside each other; of more numbers only the pieces tell."""

_INSIDE = 0.5
"""A number that shares more of its border than this lies inside another, as a nucleus lies in its cell."""

_SPLIT = 0.3
"""Where more of the numbers than this come in several pieces, they are classes."""

_LARGEST = 1 << 24
"""Voxels whose pieces are looked at; of more the middle, which takes a second."""


@dataclass(frozen=True)
class Meaning:
    """``objects``: numbers count objects, else they are the ``classes`` 1, 2, ...; ``why`` is for a person."""

    objects: bool
    why: str = ""
    classes: tuple[str, ...] = ()


def meaning(frames: Labels, *, patient: bool) -> Meaning:
    """A guess at what the numbers of labels ``(time, *grid)`` mean. ``patient``: they lie in a patient's space.

    Pieces are looked at in the first time point that holds anything.
    """
    values = counted(frames).keys() - {0}
    n, largest = len(values), max(values, default=0)
    if not n:
        return Meaning(True, "nothing is painted yet")
    if largest > MOST:
        return Meaning(True, f"its numbers go up to {largest}")
    if n == 1:
        return Meaning(False, "there is but one number")
    if patient:
        return Meaning(False, f"a mask of a patient with {n} numbers")
    frame = middle(next(frame for frame in frames if frame.any()))
    numbers, several = _in_pieces(frame)
    if several:
        return Meaning(False, f"{several} of its {n} numbers come in several pieces")
    if n <= _FEW and (contact(frame, numbers, (1.0,) * frame.ndim) > _INSIDE).any():
        return Meaning(False, f"of its {n} numbers one lies inside another")
    return Meaning(True, f"its {n} numbers come in one piece each")


def scattered(labels: Labels) -> bool:
    """Whether the numbers of a mask ``(*grid)`` come in several pieces, as those of objects do not."""
    return _in_pieces(labels)[1] > 0


def _in_pieces(labels: Labels) -> tuple[Ints, int]:
    """The numbers, and how many of them come in several pieces; 0 where these are no more than a few."""
    found = tally(labels)
    several = int(np.count_nonzero(found.parts > 1))
    return found.labels, several if several > _SPLIT * len(found.labels) else 0


def middle(labels: Any) -> Any:
    """The part of labels ``(*grid)`` whose pieces are looked at; they may lie on disk."""
    share = min(1.0, (_LARGEST / math.prod(labels.shape)) ** (1 / len(labels.shape)))
    sides = [(n, max(1, int(n * share))) for n in labels.shape]
    return labels[tuple(slice((n - kept) // 2, (n - kept) // 2 + kept) for n, kept in sides)]
