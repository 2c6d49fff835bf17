"""The queue of a review: what is most likely wrong comes first, each with its reasons in words.

Objects are judged one by one; of classes the connected regions and, in a volume, the slices. What a person has decided
already is left out. :mod:`~napari_seg.editing.signals` says what is suspicious and where its weights come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing import signals
from napari_seg.editing.annotation import Annotation, Box, object_key, slice_key, whole
from napari_seg.editing.contact import contact
from napari_seg.editing.doubt import astray, on_grid
from napari_seg.editing.measures import Table, measure
from napari_seg.editing.said import DECIDED, decided_regions, decided_slices, finished, region_key
from napari_seg.editing.signals import Signal
from napari_seg.editing.tally import Field, Floats, tally
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels, Scores

_OBJECT, _PART = -4.5, -5.5
"""The log odds of being wrong when nothing is odd: of an object, and of a region or a slice."""

_FAINT = 0.1
"""What is less likely than this does not count as missing: over a large background even next to nothing adds up."""

_FEW = 5
"""So many voxels of a slice may be unsure without a word: the ends of every organ are."""


@dataclass(frozen=True)
class Suspect:
    """Something to look at. ``key`` is that of its row (see :mod:`~.annotation` and :func:`~.said.region_key`).

    ``label``: the object or the class; 0 for a slice. ``place``: a voxel of it, or the middle of what a slice holds.
    ``score`` in 0..1: higher is worse. ``reasons``: the heaviest first; none where nothing about it is odd.
    """

    key: str
    label: int
    place: tuple[float, ...]
    box: Box
    score: float
    reasons: tuple[str, ...] = ()


def queue(annotation: Annotation, table: Table | None = None, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """Everything that is not decided yet, the worst first.

    ``table``: of :func:`~.measures.measure`, where it is known already. ``differing``: of :func:`disagreement`. Raises
    ``SegError`` for scores or a disagreement that do not lie on the grid of the labels.
    """
    if annotation.objects:
        found = object_suspects(annotation, table, differing)
    else:
        found = region_suspects(annotation, differing)
        if annotation.labels.ndim == 3:
            found += slice_suspects(annotation, thickest(annotation.spacing), differing)
    return sorted(found, key=lambda suspect: -suspect.score)


def disagreement(scores_a: Scores, scores_b: Scores) -> NDArray[np.float16]:
    """How far two answers to one image differ, such as those with and without mirror images: ``(*grid)`` in 0..1, the
    largest difference of any channel. Raises ``SegError`` for scores of different shapes."""
    if scores_a.shape != scores_b.shape:
        shapes = f"{scores_a.shape} and {scores_b.shape}"
        raise SegError(f"Scores of {shapes} cannot be compared; predict the same image twice.")
    apart = np.zeros(scores_a.shape[1:], np.float16)
    for a, b in zip(scores_a, scores_b, strict=True):
        np.maximum(apart, np.abs(np.asarray(a, np.float16) - np.asarray(b, np.float16)), out=apart)
    return apart


def thickest(spacing: tuple[float, ...]) -> int:
    """The axis along which a volume is looked through: the one with the largest spacing, the first of equal ones."""
    return max(range(len(spacing)), key=lambda axis: spacing[axis])


def object_suspects(
    annotation: Annotation, table: Table | None = None, differing: NDArray[Any] | None = None
) -> list[Suspect]:
    """One for each object that is not decided yet, in the order of their labels."""
    table = measure(annotation) if table is None else table
    found = [
        *signals.odd_size(table, table.category),
        signals.touching(contact(annotation.labels, table.labels, annotation.spacing)),
        signals.odd_shape(table),
        signals.in_parts(table),
        *_of_tables(annotation, annotation.labels, table, differing),
    ]
    open_ = ~np.isin(table.state, DECIDED) & ~finished(annotation.rows, table.start, table.stop, annotation.grid)
    return _suspects(annotation.labels, table, found, np.flatnonzero(open_).tolist(), None)


def region_suspects(annotation: Annotation, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """One for each connected region of a class that is not decided yet."""
    import cc3d

    labels = annotation.labels
    regions = cc3d.connected_components(labels, connectivity=8 if labels.ndim == 2 else 26)
    table = measure(replace(annotation, labels=regions, rows={}))
    if not len(table):
        return []
    inner = np.array([_inside(regions, table, row) for row in range(len(table))])
    classes = labels[tuple(inner.T)].astype(np.int64)
    found = [signals.stray(table, classes), *_of_tables(annotation, regions, table, differing)]
    open_ = ~finished(annotation.rows, table.start, table.stop, annotation.grid)
    for label, voxel in decided_regions(annotation.rows):
        if len(voxel) == labels.ndim and np.less(voxel, labels.shape).all() and labels[voxel] == label:
            open_[np.searchsorted(table.labels, regions[voxel])] = False
    return _suspects(regions, table, found, np.flatnonzero(open_).tolist(), classes)


def slice_suspects(annotation: Annotation, axis: int, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """One for each slice along ``axis`` that holds a mask, or perhaps should, and is not decided yet."""
    labels = np.moveaxis(annotation.labels, axis, 0)
    scores = None if annotation.scores is None else np.moveaxis(annotation.scores, axis + 1, 1)
    other = None if differing is None else np.moveaxis(on_grid(annotation, differing, "disagreement").array, axis, 0)
    n = len(labels)
    area, doubt, missing, wavers = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for k in range(n):
        area[k] = np.count_nonzero(labels[k])
        if scores is not None:
            doubt[k], missing[k] = _expected(labels[k], scores[:, k])
        if other is not None:
            wavers[k] = float(other[k].sum(dtype=np.float64)) / (area[k] + missing[k] + _FEW)
    jump = _jumps(labels)
    found = [
        Signal(4, doubt, doubt > 0.25, lambda row: "The model is unsure of much of it"),
        Signal(0.5, jump, jump > 0.5, lambda row: "It does not follow from the slices beside it"),
        Signal(0.5, np.clip(wavers, 0, 1), wavers > 0.5, lambda row: "Seen in a mirror, the model answers otherwise"),
        Signal(0, (area == 0) * doubt, area == 0, lambda row: "Empty, but the model sees something"),
    ]
    chance = signals.chances(found, _PART, n)
    start = np.zeros((n, 3), np.int64)
    stop = np.tile(np.array(annotation.grid, np.int64), (n, 1))
    start[:, axis], stop[:, axis] = np.arange(n), np.arange(1, n + 1)
    done = decided_slices(annotation.rows, axis, n) | finished(annotation.rows, start, stop, annotation.grid)
    wanted = np.flatnonzero(((area > 0) | (missing >= 0.5)) & ~done)
    return [
        Suspect(
            slice_key(axis, k),
            0,
            _middle(labels[k], k, axis),
            tuple(slice(k, k + 1) if a == axis else side for a, side in enumerate(whole(annotation.grid))),
            float(chance[k]),
            signals.reasons(found, k),
        )
        for k in wanted.tolist()
    ]


def _of_tables(annotation: Annotation, labels: Labels, table: Table, differing: NDArray[Any] | None) -> list[Signal]:
    """The signals that objects and regions have in common."""
    found = [signals.at_the_edge(table)]
    if annotation.scores is not None:
        found.append(signals.unsure(table.uncertainty))
    asked: list[Field] = []
    weak = astray(annotation)
    if weak is not None:
        asked.append(weak)
    if differing is not None:
        asked.append(on_grid(annotation, differing, "disagreement"))
    if asked and len(table):
        means = tally(labels, asked).means
        if weak is not None:
            found.append(signals.no_middle(means[0], table.voxels))
        if differing is not None:
            found.append(signals.wavering(means[-1]))
    return found


def _suspects(
    labels: Labels, table: Table, found: Sequence[Signal], rows: Sequence[int], classes: NDArray[Any] | None
) -> list[Suspect]:
    chance = signals.chances(found, _OBJECT if classes is None else _PART, len(table))
    result = []
    for row in rows:
        place, label = _inside(labels, table, row), int(table.labels[row])
        key = object_key(label) if classes is None else region_key(int(classes[row]), place)
        label = label if classes is None else int(classes[row])
        score, why = float(chance[row]), signals.reasons(found, row)
        result.append(Suspect(key, label, tuple(map(float, place)), table.box(row), score, why))
    return result


def _inside(labels: Labels, table: Table, row: int) -> tuple[int, ...]:
    """The voxel of a label that is nearest to its centre."""
    label, centre = table.labels[row], table.centre[row]
    nearest = tuple(int(c) for c in np.rint(centre))
    if labels[nearest] == label:
        return nearest
    voxels = np.argwhere(labels[table.box(row)] == label) + table.start[row]
    best = voxels[np.argmin(((voxels - centre) ** 2).sum(1))]
    return tuple(int(c) for c in best)


def _expected(labels: Labels, scores: Scores) -> tuple[float, float]:
    """The share of a slice's mask that is wrong, as the model itself expects it, and how many voxels it misses.

    Scores ``(channels, *slice)``: of the background and each class, or of the only class.
    """
    p = np.asarray(scores, np.float32)
    inside = labels > 0
    if len(p) == 1:
        right, beside = p[0][inside], p[0][~inside]
    else:
        known = inside & (labels < len(p))  # a class that the model does not know is a person's
        at = labels[known].astype(np.int64)
        right, beside = np.take_along_axis(p[:, known], at[None], 0)[0], 1 - p[0][~inside]
    missing = float(beside[beside > _FAINT].sum(dtype=np.float64))
    wrong = float((1 - right).sum(dtype=np.float64)) + missing
    return wrong / (right.size + missing + _FEW), missing


def _jumps(labels: Labels) -> Floats:
    """How little of each slice along the first axis it has in common with one beside it: 1 - IoU, the worse of two."""
    n = len(labels)
    apart = np.zeros(n + 1)
    for k in range(1, n):
        a, b = labels[k - 1], labels[k]
        union = np.count_nonzero((a > 0) | (b > 0))
        apart[k] = 1 - np.count_nonzero((a == b) & (a > 0)) / union if union else 0
    worse: Floats = np.maximum(apart[:-1], apart[1:])
    return worse


def _middle(labels: Labels, k: int, axis: int) -> tuple[float, ...]:
    """The middle of what a slice holds, of all of it where it is empty."""
    found = np.argwhere(labels)
    flat = [float(c) for c in (found.mean(0) if len(found) else (np.array(labels.shape) - 1) / 2)]
    return (*flat[:axis], float(k), *flat[axis:])
