"""The queue of a review: what is most likely wrong comes first, each with its reasons in words.

Objects are judged one by one; of classes the connected regions and, in a volume, the slices. What a person has decided
already is left out. :mod:`~napari_seg.editing.signals` says what is suspicious and where its weights come from.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
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
from napari_seg.editing.runs import Field
from napari_seg.editing.said import DECIDED, decided_regions, decided_slices, finished, region_key
from napari_seg.editing.signals import Signal
from napari_seg.editing.tally import means_of
from napari_seg.editing.through import look_through
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels, Scores

_OBJECT, _PART = -4.5, -5.5
"""The log odds of being wrong when nothing is odd: of an object, and of a region or a slice."""


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


def still_there(
    suspects: Sequence[Suspect], annotation: Annotation, table: Table, touched: Container[int]
) -> list[Suspect]:
    """Those of a queue that are there yet after labels were ``touched``, objects with the box they have now.

    ``table``: of what there is now. Why they were suspicious is not asked again.
    """
    found = []
    for suspect in suspects:
        if suspect.label not in touched:
            found.append(suspect)
        elif annotation.objects:
            row = table.row(suspect.label)
            if row is not None:
                place = tuple(map(float, _inside(annotation.labels, table, row)))
                found.append(replace(suspect, place=place, box=table.box(row)))
        elif annotation.at(suspect.place) == suspect.label:
            found.append(suspect)
    return found


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
    return [
        *signals.odd_size(table, table.category),
        signals.touching(contact(annotation.labels, table.labels, annotation.spacing)),
        signals.odd_shape(table),
        signals.in_parts(table),
        *_of_tables(annotation, annotation.labels, table, differing),
    ]


def region_suspects(annotation: Annotation, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """One for each connected region of a class that is not decided yet."""
    labels = annotation.labels
    apart = regions(labels)
    table = measure(replace(annotation, labels=apart, rows={}))
    if not len(table):
        return []
    inner = np.array([_inside(apart, table, row) for row in range(len(table))])
    classes = labels[tuple(inner.T)].astype(np.int64)
    found = [signals.stray(table, classes), *_of_tables(annotation, apart, table, differing)]
    open_ = ~finished(annotation.rows, table.start, table.stop, annotation.grid)
    for label, voxel in decided_regions(annotation.rows):
        if len(voxel) == labels.ndim and np.less(voxel, labels.shape).all() and labels[voxel] == label:
            open_[np.searchsorted(table.labels, apart[voxel])] = False
    return _suspects(apart, table, found, np.flatnonzero(open_).tolist(), classes)


def slice_suspects(annotation: Annotation, axis: int, differing: NDArray[Any] | None = None) -> list[Suspect]:
    """One for each slice along ``axis`` that holds a mask, or perhaps should, and is not decided yet."""
    labels = annotation.labels
    n = labels.shape[axis]
    other = None if differing is None else on_grid(annotation, differing, "disagreement").array
    seen = look_through(labels, annotation.scores, other, axis)
    found = signals.of_slices(seen)
    chance = signals.chances(found, _PART, n)
    start = np.zeros((n, 3), np.int64)
    stop = np.tile(np.array(annotation.grid, np.int64), (n, 1))
    start[:, axis], stop[:, axis] = np.arange(n), np.arange(1, n + 1)
    done = decided_slices(annotation.rows, axis, n) | finished(annotation.rows, start, stop, annotation.grid)
    wanted = np.flatnonzero(((seen.area > 0) | (seen.missing >= 0.5)) & ~done)
    return [
        Suspect(
            slice_key(axis, k),
            0,
            _middle(np.moveaxis(labels, axis, 0)[k], k, axis),
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
        means = means_of(labels, table.labels, table.voxels, asked)
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


def _middle(labels: Labels, k: int, axis: int) -> tuple[float, ...]:
    """The middle of what a slice holds, of all of it where it is empty."""
    found = np.argwhere(labels)
    flat = [float(c) for c in (found.mean(0) if len(found) else (np.array(labels.shape) - 1) / 2)]
    return (*flat[:axis], float(k), *flat[axis:])
