"""Where a mask differs from a reference, place by place: what a person goes through who wants to know why.

Of classes each connected region is listed that one mask has and the other has not, or has as another class; the
thickest come first, so that a wrong organ stands above the thin rims in which two outlines always differ. Of objects
each is listed that has no partner (:attr:`~.metrics.Overlap.partners`), with what became of it, and then those whose
outlines agree badly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Box
from napari_seg.editing.contact import faces
from napari_seg.editing.counting import slabs
from napari_seg.editing.parts import regions
from napari_seg.editing.runs import SLAB
from napari_seg.editing.suspicion import inside
from napari_seg.editing.tally import Tally, tally
from napari_seg.evaluation.metrics import Overlap, overlap, refuse_other_shape, whole_labels
from napari_seg.wording import count_of

MISSED, EXTRA, OTHER = 1, 2, 3
"""What the marks say of a voxel: only in the reference, only in the mask, in both but not alike."""

MOST = 1000
"""So many are listed; nobody goes through more."""

_MISSED = 0.1
"""An object of the reference is missed if no object covers this share of it."""

_MOSTLY = 0.5
"""An object lies in another one if this share of it does."""

_CLOSE = 0.75
"""Partners with a smaller IoU are listed too."""

Ids = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Difference:
    """``what`` it is in words. ``truth`` and ``found``: the class or object in either mask, 0 for none. ``voxels``: how
    many it has; ``place``: that of them that is nearest to their middle."""

    what: str
    truth: int
    found: int
    voxels: int
    place: tuple[float, ...]
    box: Box


@dataclass(frozen=True, eq=False)
class Differences:
    """The worst first; ``marks``: what is wrong with each voxel, see :data:`MISSED`; ``more``: not listed."""

    listed: tuple[Difference, ...]
    marks: NDArray[np.uint8]
    more: int = 0


def differences(truth: Ids, found: Ids, spacing: Sequence[float], *, objects: bool) -> Differences:
    """Of two masks of one shape, 2D or 3D, 0 = background. Raises ``SegError`` for what are no masks of one shape.

    Everything in here lets other threads work, also on large volumes."""
    refuse_other_shape(truth, found)
    truth, found = (whole_labels(mask).astype(np.uint32) for mask in (truth, found))
    return _of_objects(truth, found) if objects else _of_classes(truth, found, spacing)


def _of_classes(truth: Ids, found: Ids, spacing: Sequence[float]) -> Differences:
    marks = _marks(truth, found, np.not_equal)
    differ = marks > 0
    pairs = np.zeros(truth.shape, np.uint64)
    pairs[differ] = truth[differ].astype(np.uint64) << np.uint64(32) | found[differ]
    apart = regions(pairs)
    seen = tally(apart)
    thickness = seen.voxels / np.maximum(_surfaces(apart, spacing)[seen.labels], np.finfo(float).tiny)
    order = np.lexsort((-seen.voxels, -thickness))
    words = {MISSED: "missed", EXTRA: "too much", OTHER: "another class"}

    def told(row: int) -> Difference:
        place = inside(apart, seen, row)
        return _difference(words[int(marks[place])], int(truth[place]), int(found[place]), seen, row, place)

    return Differences(tuple(map(told, order[:MOST].tolist())), marks, max(0, len(order) - MOST))


def _of_objects(truth: Ids, found: Ids) -> Differences:
    table = overlap(truth, found)
    of_truth, of_found = tally(truth), tally(found)

    def told(what: str, i: int, j: int) -> Difference:
        mask, seen, row = (truth, of_truth, i) if i >= 0 else (found, of_found, j)
        numbers = int(table.truth[i]) if i >= 0 else 0, int(table.found[j]) if j >= 0 else 0
        return _difference(what, *numbers, seen, row, inside(mask, seen, row))

    def size(one: tuple[str, int, int]) -> int:
        _, i, j = one
        return int(of_truth.voxels[i] if i >= 0 else of_found.voxels[j])

    lost = [*_lost(table)]
    alone = sorted([*lost, *_loose(table, {j for _, _, j in lost})], key=size, reverse=True)
    every = [*alone, *_badly(table)]
    wrong = [table.truth[[i for _, i, _ in every if i >= 0]], table.found[[j for _, _, j in every if j >= 0]]]

    def differ(truth: Ids, found: Ids) -> NDArray[np.bool_]:
        about = np.isin(truth, wrong[0]) | np.isin(found, wrong[1])
        return about & ~_agree(truth, found, table)

    listed = tuple(told(*one) for one in every[:MOST])
    return Differences(listed, _marks(truth, found, differ), max(0, len(every) - MOST))


def _difference(what: str, truth: int, found: int, seen: Tally, row: int, place: tuple[int, ...]) -> Difference:
    return Difference(what, truth, found, int(seen.voxels[row]), tuple(map(float, place)), seen.box(row))


def _lost(table: Overlap) -> Iterator[tuple[str, int, int]]:
    """Objects of the reference without a partner: what became of each, its row, and that of the object on it, or -1."""
    pairs = _pairs(table.truth_of, len(table.truth))
    covered = table.shared / table.truth_sizes[table.truth_of]
    inside = table.shared / table.found_sizes[table.found_of]
    joined = np.bincount(table.found_of[covered >= _MOSTLY], minlength=len(table.found))
    for i in np.flatnonzero(table.partners < 0).tolist():
        mine = pairs[i]
        if not len(mine) or not (covered[mine].max() >= _MISSED or (inside[mine] >= _MOSTLY).any()):
            yield "missed", i, -1
            continue
        best = mine[np.argmax(covered[mine])]
        j = int(table.found_of[best])
        within = int((inside[mine] >= _MOSTLY).sum())
        if within > 1:
            yield f"divided into {within}", i, j
        elif joined[j] > 1 and covered[best] >= _MOSTLY:
            yield f"joined with {count_of(int(joined[j]) - 1, 'other')}", i, j
        else:
            yield f"another outline, IoU {table.iou[best]:.2f}", i, j


def _loose(table: Overlap, named: set[int]) -> Iterator[tuple[str, int, int]]:
    """Objects of the mask that are nothing in the reference, or a piece of what has a partner already; ``named``: those
    that are told of already."""
    taken = np.isin(np.arange(len(table.found)), table.partners)
    pairs = _pairs(table.found_of, len(table.found))
    inside = table.shared / table.found_sizes[table.found_of]
    for j in np.flatnonzero(~taken).tolist():
        mine = pairs[j]
        largest = mine[np.argmax(inside[mine])] if len(mine) else None
        if largest is None or inside[largest] < _MOSTLY:
            if j not in named:
                yield "not in the reference", -1, j
        elif table.partners[table.truth_of[largest]] >= 0 and j not in named:
            yield "a piece too much", -1, j


def _badly(table: Overlap) -> list[tuple[str, int, int]]:
    """Partners whose outlines agree badly, the worst first."""
    pairs = zip(table.iou.tolist(), table.truth_of.tolist(), table.found_of.tolist(), strict=True)
    far = sorted((iou, i, j) for iou, i, j in pairs if table.partners[i] == j and iou < _CLOSE)
    return [(f"another outline, IoU {iou:.2f}", i, j) for iou, i, j in far]


def _pairs(of: NDArray[np.int64], n: int) -> list[NDArray[np.intp]]:
    """For each of ``n`` objects its pairs in the table."""
    order = np.argsort(of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(of, minlength=n))[:-1]) if n else []


def _agree(truth: Ids, found: Ids, table: Overlap) -> NDArray[np.bool_]:
    """Where both masks have the same: background, or an object and its partner."""
    partner = np.zeros(len(table.truth) + 1, np.uint32)
    has = table.partners >= 0
    partner[1:][has] = table.found[table.partners[has]]
    row = np.where(truth > 0, np.searchsorted(table.truth, truth) + 1, 0)
    agree: NDArray[np.bool_] = (partner[row] == found) & ((truth > 0) == (found > 0))
    return agree


def _marks(truth: Ids, found: Ids, differ: Callable[[Ids, Ids], NDArray[np.bool_]]) -> NDArray[np.uint8]:
    marks = np.zeros(truth.shape, np.uint8)
    for planes in slabs(truth, SLAB):
        one, other = truth[planes], found[planes]
        wrong = differ(one, other)
        marks[planes][wrong & (one > 0) & (other == 0)] = MISSED
        marks[planes][wrong & (one == 0) & (other > 0)] = EXTRA
        marks[planes][wrong & (one > 0) & (other > 0)] = OTHER
    return marks


def _surfaces(labels: Ids, spacing: Sequence[float]) -> NDArray[np.float64]:
    """The surface of each label, from 0 on, for each voxel of volume. What is flat is twice as thick as its voxels over
    this. Where there is one voxel along an axis there is no surface across it."""
    n = int(labels.max(initial=0)) + 1
    surfaces = np.zeros(n)
    for axis, before, after in faces(labels):
        surfaces += (np.bincount(before, minlength=n) + np.bincount(after, minlength=n)) / spacing[axis]
    for axis in (axis for axis, length in enumerate(labels.shape) if length > 1):
        ends = np.take(labels, (0, -1), axis).ravel()
        surfaces += np.bincount(ends, minlength=n) / spacing[axis]
    return surfaces
