"""One thing becomes several: which piece keeps the number, what the others are called, and what is known of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation, Entry, object_key
from napari_seg.editing.changes import Change, parts
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.selection import Region
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError

Pieces = NDArray[np.integer]
"""Numbers from 1 where a region is, one a piece; 0 elsewhere in its box."""


def divided(annotation: Annotation, gesture: Gesture, tool: str, cuts: list[tuple[Region, Pieces]]) -> Edit:
    """The largest piece of each region keeps the label, the first one of equals.

    The other pieces of an object become new objects of its class that nobody has seen yet, numbered on from
    ``annotation.following`` in the order of their numbers. The other pieces of a class become the class that is
    painted with. Raises ``SegError`` where that is the class that they are.
    """
    changes: list[Change] = []
    rows: dict[str, Entry | None] = {}
    following = annotation.following
    for region, pieces in cuts:
        sizes = np.bincount(pieces[region.mask])
        sizes[0] = 0
        kept = int(sizes.argmax())
        others = [piece for piece in np.flatnonzero(sizes).tolist() if piece != kept]
        if not others:
            continue
        labels = np.full(len(sizes), region.label, np.int64)
        labels[others] = _numbers(annotation, gesture, region.label, following, len(others))
        changes.append(Change(region.box, region.mask & (pieces != kept), labels[pieces]))
        if annotation.objects:
            following += len(others)
            if object_key(region.label) in annotation.rows:
                new = Entry(category=annotation.entry(region.label).category)
                rows |= {object_key(label): new for label in labels[others].tolist()}
    return edited(annotation, tool, parts(annotation, changes), rows)


def _numbers(annotation: Annotation, gesture: Gesture, label: int, following: int, count: int) -> list[int]:
    """What the other pieces are called."""
    if annotation.objects:
        return list(range(following, following + count))
    if gesture.label == label:
        raise SegError("The smaller piece would stay the same class; choose the class that it becomes as the label.")
    if gesture.label in annotation.locked:
        raise SegError(f"{gesture.label} is locked; unlock it first.")
    return [gesture.label] * count
