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
from napari_seg.editing.parts import regions
from napari_seg.editing.runs import Field, Floats, Ints
from napari_seg.editing.said import DECIDED, decided_regions, decided_slices, finished, region_key
from napari_seg.editing.signals import Signal
from napari_seg.editing.tally import Tally, means_of
from napari_seg.editing.through import look_through
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels, Scores

OBJECT, PART = -4.5, -5.5
"""The log odds of being wrong when nothing is odd: of an object, and of a region or a slice."""


@dataclass(frozen=True, eq=False)
class Means:
    """Of each row of a table the mean of what the model says, where it is known: how weak its directions to the middle
    are, and how far mirrored answers differ."""

    astray: Floats | None
    differing: Floats | None


@dataclass(frozen=True, eq=False)
class Apart:
    """The connected regions of classes: their numbers, a row for each, its class, and what is odd about it."""

    apart: Labels
    table: Table
    classes: Ints
    signals: Sequence[Signal]


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
    found = object_signals(annotation, table, differing)
    open_ = ~np.isin(table.state, DECIDED) & ~finished(annotation.rows, table.start, table.stop, annotation.grid)
    return _suspects(annotation.labels, table, found, np.flatnonzero(open_).tolist(), None)


def object_signals(annotation: Annotation, table: Table, differing: NDArray[Any] | None = None) -> list[Signal]:
    """What is odd about each row of the table of the annotation's objects."""
    shared = contact(annotation.labels, table.labels, annotation.spacing)
    return signals_of_objects(annotation, table, shared, _means(annotation, annotation.labels, table, differing))


def signals_of_objects(annotation: Annotation, table: Table, shared: Floats, means: Means) -> list[Signal]:
    """What is odd about objects, of which it is known how much of their border is ``shared``, and the ``means``."""
    return [
        *signals.odd_size(table, table.category),
        signals.touching(shared),
        signals.odd_shape(table),
        signals.in_parts(table),
        *_of_tables(annotation, table, means),
    ]


def looked_apart(annotation: Annotation, differing: NDArray[Any] | None) -> Apart:
    """The connected regions of classes, measured."""
    labels = annotation.labels
    apart = regions(labels)
    table = measure(replace(annotation, labels=apart, rows={}))
    inner = np.array([inside(apart, table, row) for row in range(len(table))], np.int64).reshape(-1, labels.ndim)
    classes = labels[tuple(inner.T)].astype(np.int64)
    means = _means(annotation, apart, table, differing)
    return Apart(apart, table, classes, [signals.stray(table, classes), *_of_tables(annotation, table, means)])


def region_suspects(annotation: Annotation, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """One for each connected region of a class that is not decided yet."""
    labels = annotation.labels
    seen = looked_apart(annotation, differing)
    apart, table = seen.apart, seen.table
    if not len(table):
        return []
    open_ = ~finished(annotation.rows, table.start, table.stop, annotation.grid)
    for label, voxel in decided_regions(annotation.rows):
        if len(voxel) == labels.ndim and np.less(voxel, labels.shape).all() and labels[voxel] == label:
            open_[np.searchsorted(table.labels, apart[voxel])] = False
    return _suspects(apart, table, seen.signals, np.flatnonzero(open_).tolist(), seen.classes)


def slice_suspects(annotation: Annotation, axis: int, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """One for each slice along ``axis`` that holds a mask, or perhaps should, and is not decided yet."""
    labels = annotation.labels
    n = labels.shape[axis]
    other = None if differing is None else on_grid(annotation, differing, "disagreement").array
    seen = look_through(labels, annotation.scores, other, axis)
    found = signals.of_slices(seen)
    chance = signals.chances(found, PART, n)
    start = np.zeros((n, 3), np.int64)
    stop = np.tile(np.array(annotation.grid, np.int64), (n, 1))
    start[:, axis], stop[:, axis] = np.arange(n), np.arange(1, n + 1)
    done = decided_slices(annotation.rows, axis, n) | finished(annotation.rows, start, stop, annotation.grid)
    wanted = np.flatnonzero(((seen.area > 0) | (seen.missing >= 0.5)) & ~done)
    return [
        Suspect(
            slice_key(axis, k),
            0,
            middle(np.moveaxis(labels, axis, 0)[k], k, axis),
            tuple(slice(k, k + 1) if a == axis else side for a, side in enumerate(whole(annotation.grid))),
            float(chance[k]),
            signals.reasons(found, k),
        )
        for k in wanted.tolist()
    ]


def _of_tables(annotation: Annotation, table: Table, means: Means) -> list[Signal]:
    """The signals that objects and regions have in common."""
    found = [signals.at_the_edge(table)]
    if annotation.scores is not None:
        found.append(signals.unsure(table.uncertainty))
    if means.astray is not None:
        found.append(signals.no_middle(means.astray, table.voxels))
    if means.differing is not None:
        found.append(signals.wavering(means.differing))
    return found


def _means(annotation: Annotation, labels: Labels, table: Table, differing: NDArray[Any] | None) -> Means:
    """``labels``: those that the rows of the table are about."""
    weak = astray(annotation)
    other = None if differing is None else on_grid(annotation, differing, "disagreement")
    asked: list[Field] = [field for field in (weak, other) if field is not None]
    means = means_of(labels, table.labels, table.voxels, asked) if asked and len(table) else np.zeros((2, len(table)))
    return Means(None if weak is None else means[0], None if other is None else means[-1])


def means_in(annotation: Annotation, box: Box, label: int, differing: NDArray[Any] | None) -> tuple[float, float]:
    """How far astray directions are on average in an object that lies in a box, and how far mirrored answers differ; 0
    where that is not known."""
    alone = replace(
        annotation,
        labels=(annotation.labels[box] == label).astype(np.uint8),
        scores=None if annotation.scores is None else annotation.scores[(slice(None), *box)],
    )
    one = np.ones(1, np.int64)
    asked: list[Field] = [field for field in (astray(alone),) if field is not None]
    other = [] if differing is None else [on_grid(alone, differing[box], "disagreement")]
    means = means_of(alone.labels, one, one * np.count_nonzero(alone.labels), [*asked, *other])
    return float(means[0, 0]) if asked else 0.0, float(means[-1, 0]) if other else 0.0


def _suspects(
    labels: Labels, table: Table, found: Sequence[Signal], rows: Sequence[int], classes: NDArray[Any] | None
) -> list[Suspect]:
    chance = signals.chances(found, OBJECT if classes is None else PART, len(table))
    result = []
    for row in rows:
        place, label = inside(labels, table, row), int(table.labels[row])
        key = object_key(label) if classes is None else region_key(int(classes[row]), place)
        label = label if classes is None else int(classes[row])
        score, why = float(chance[row]), signals.reasons(found, row)
        result.append(Suspect(key, label, tuple(map(float, place)), table.box(row), score, why))
    return result


def inside(labels: Labels, found: Table | Tally, row: int) -> tuple[int, ...]:
    """The voxel of a label that is nearest to its centre."""
    label, centre = found.labels[row], found.centre[row]
    nearest = tuple(int(c) for c in np.rint(centre))
    if labels[nearest] == label:
        return nearest
    voxels = np.argwhere(labels[found.box(row)] == label) + found.start[row]
    best = voxels[np.argmin(((voxels - centre) ** 2).sum(1))]
    return tuple(int(c) for c in best)


def middle(labels: Labels, k: int, axis: int) -> tuple[float, ...]:
    """The middle of what a slice holds, of all of it where it is empty."""
    found = np.argwhere(labels)
    flat = [float(c) for c in (found.mean(0) if len(found) else (np.array(labels.shape) - 1) / 2)]
    return (*flat[:axis], float(k), *flat[axis:])
