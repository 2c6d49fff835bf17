"""Where a mask differs from a reference, place by place: what a person goes through who wants to know why.

Of classes each connected region is listed that one mask has and the other has not, or has as another class; the
thickest come first, so that a wrong organ stands above the thin rims in which two outlines always differ. Of objects
each is listed that has no partner (:attr:`~.metrics.Overlap.partners`), with what became of it, and then those whose
outlines agree badly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Box
from napari_seg.editing.parts import regions
from napari_seg.editing.tally import tally
from napari_seg.evaluation.metrics import Overlap, overlap, whole_labels
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
    many it has; ``depth``: how far its innermost voxel, ``place``, lies from its border, in the unit of the spacing."""

    what: str
    truth: int
    found: int
    voxels: int
    depth: float
    place: tuple[float, ...]
    box: Box


@dataclass(frozen=True, eq=False)
class Differences:
    """The worst first; ``marks``: what is wrong with each voxel, see :data:`MISSED`; ``more``: not listed."""

    listed: tuple[Difference, ...]
    marks: NDArray[np.uint8]
    more: int = 0


@dataclass(frozen=True, eq=False)
class _Places:
    """The labels of a mask, a row for each: voxels, box, innermost voxel and how deep it lies."""

    labels: NDArray[np.int64]
    voxels: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    depth: NDArray[np.float64]
    inner: NDArray[np.int64]

    def difference(self, row: int, what: str, truth: int, found: int) -> Difference:
        box = tuple(slice(a, b) for a, b in zip(self.start[row].tolist(), self.stop[row].tolist(), strict=True))
        place = tuple(map(float, self.inner[row]))
        return Difference(what, truth, found, int(self.voxels[row]), float(self.depth[row]), place, box)


def differences(truth: Ids, found: Ids, spacing: Sequence[float], *, objects: bool) -> Differences:
    """Of two masks of one shape, 2D or 3D, 0 = background. Raises ``SegError`` for what are no masks of one shape."""
    table = overlap(truth, found)
    truth, found = (whole_labels(mask).astype(np.uint32) for mask in (truth, found))
    if objects:
        listed, marks = _of_objects(truth, found, table, spacing)
    else:
        listed, marks = _of_classes(truth, found, spacing)
    return Differences(tuple(listed[:MOST]), marks, max(0, len(listed) - MOST))


def _of_classes(truth: Ids, found: Ids, spacing: Sequence[float]) -> tuple[list[Difference], NDArray[np.uint8]]:
    marks = _marks(truth, found, truth != found)
    pairs, which = np.unique(np.stack([truth[marks > 0], found[marks > 0]]), axis=1, return_inverse=True)
    kinds = np.zeros(truth.shape, np.uint32)
    kinds[marks > 0] = which.ravel() + 1
    apart = regions(kinds)
    seen = _places(apart, spacing)
    of = kinds[tuple(seen.inner.T)].astype(np.int64) - 1
    words = {MISSED: "missed", EXTRA: "too much", OTHER: "another class"}
    listed = [
        seen.difference(row, words[int(marks[tuple(seen.inner[row])])], *pairs[:, of[row]].tolist())
        for row in np.lexsort((-seen.voxels, -seen.depth)).tolist()
    ]
    return listed, marks


def _of_objects(
    truth: Ids, found: Ids, table: Overlap, spacing: Sequence[float]
) -> tuple[list[Difference], NDArray[np.uint8]]:
    of_truth, of_found = _places(truth, spacing), _places(found, spacing)

    def told(what: str, i: int, j: int) -> Difference:
        places, row = (of_truth, i) if i >= 0 else (of_found, j)
        return places.difference(row, what, int(table.truth[i]) if i >= 0 else 0, int(table.found[j]) if j >= 0 else 0)

    lost = [*_lost(table)]
    alone = [told(*one) for one in (*lost, *_loose(table, {j for _, _, j in lost}))]
    listed = [*sorted(alone, key=lambda one: -one.voxels), *(told(*one) for one in _badly(table))]
    wrong = ([one.truth for one in listed if one.truth], [one.found for one in listed if one.found])
    about = np.isin(truth, wrong[0]) | np.isin(found, wrong[1])
    return listed, _marks(truth, found, about & ~_agree(truth, found, table))


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


def _marks(truth: Ids, found: Ids, differ: NDArray[np.bool_]) -> NDArray[np.uint8]:
    marks = np.zeros(truth.shape, np.uint8)
    marks[differ & (truth > 0) & (found == 0)] = MISSED
    marks[differ & (truth == 0) & (found > 0)] = EXTRA
    marks[differ & (truth > 0) & (found > 0)] = OTHER
    return marks


def _places(labels: Ids, spacing: Sequence[float]) -> _Places:
    seen = tally(labels)
    n = len(seen.labels)
    if not n:
        none = np.zeros((0, labels.ndim), np.int64)
        return _Places(seen.labels, seen.voxels, none, none, np.zeros(0), none)
    box = tuple(slice(a, b) for a, b in zip(seen.start.min(0).tolist(), seen.stop.max(0).tolist(), strict=True))
    part = np.ascontiguousarray(labels[box])
    depth = edt.edt(part, anisotropy=tuple(map(float, spacing)), black_border=True)
    inside = np.flatnonzero(part)
    of, far = np.searchsorted(seen.labels, part.ravel()[inside]), depth.ravel()[inside]
    order = np.lexsort((far, of))
    last = order[np.cumsum(np.bincount(of, minlength=n)) - 1]
    inner = np.stack(np.unravel_index(inside[last], part.shape), 1) + [side.start for side in box]
    return _Places(seen.labels, seen.voxels, seen.start, seen.stop, far[last].astype(np.float64), inner)
