"""A queue after an edit: who is still there, and why they are suspicious now, worked out again for what was changed.

Only the objects and slices concerned are looked at, each in its own box. Of classes the regions are found anew, since
how one lies to the largest of its class is a question to all of them; in a very large volume that is left to the next
look through everything. Nobody changes places: the order is that of the first look.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing import signals
from napari_seg.editing.annotation import Annotation, Box, slice_key, wider
from napari_seg.editing.contact import contact
from napari_seg.editing.doubt import astray
from napari_seg.editing.measures import Table
from napari_seg.editing.runs import Ints
from napari_seg.editing.signals import Signal
from napari_seg.editing.suspicion import (
    OBJECT,
    PART,
    Means,
    Suspect,
    inside,
    looked_apart,
    means_in,
    middle,
    object_signals,
    signals_of_objects,
    thickest,
)
from napari_seg.editing.through import look_through

FEW = 200
"""More objects than that are looked at sooner all at once than one by one."""

_LARGE = 1 << 25
"""Voxels; in a larger mask of classes the regions are not found anew after each edit."""

LATER = "Changed since it was looked at; look again to see why"


def still_there(
    suspects: Sequence[Suspect], annotation: Annotation, table: Table, touched: Container[int]
) -> list[Suspect]:
    """Those of a queue that are there yet after labels were ``touched``, objects with the box they have now.

    ``table``: of what there is now.
    """
    found = []
    for suspect in suspects:
        if suspect.label not in touched:
            found.append(suspect)
        elif annotation.objects:
            row = table.row(suspect.label)
            if row is not None:
                place = tuple(map(float, inside(annotation.labels, table, row)))
                found.append(replace(suspect, place=place, box=table.box(row)))
        elif annotation.at(suspect.place) == suspect.label:
            found.append(suspect)
    return found


def asked_again(
    suspects: Sequence[Suspect],
    annotation: Annotation,
    table: Table,
    labels: Iterable[int],
    boxes: Sequence[Box],
    differing: NDArray[Any] | None = None,
) -> list[Suspect]:
    """The same suspects in the same order, with the reasons and the score they have after ``labels`` were changed in
    ``boxes``; those that nothing concerns are the very same. ``table``: of what there is now."""
    if annotation.objects:
        new = _objects(suspects, annotation, table, {*labels, *_beside(annotation, boxes)}, differing)
    else:
        new = _slices(suspects, annotation, boxes, differing)
        new |= _regions(suspects, annotation, set(labels), differing)
    return [_other(suspect, new.get(suspect.key, suspect)) for suspect in suspects]


def _other(before: Suspect, after: Suspect) -> Suspect:
    return before if before == after else after


def _beside(annotation: Annotation, boxes: Sequence[Box]) -> set[int]:
    """The labels in boxes and next to them: what touches others may touch them no more."""
    found: set[int] = set()
    for box in boxes:
        found.update(np.unique(annotation.labels[wider(box, 1, annotation.grid)]).tolist())
    return found


def _objects(
    suspects: Sequence[Suspect],
    annotation: Annotation,
    table: Table,
    labels: set[int],
    differing: NDArray[Any] | None,
) -> dict[str, Suspect]:
    mine = [suspect for suspect in suspects if suspect.label in labels]
    rows = {suspect.label: row for suspect in mine if (row := table.row(suspect.label)) is not None}
    if not rows:
        return {}
    if len(rows) > FEW:
        found = object_signals(annotation, table, differing)
    else:
        found = _signals_of(annotation, table, rows, differing)
    chance = signals.chances(found, OBJECT, len(table))
    return {
        suspect.key: _said(suspect, float(chance[rows[suspect.label]]), signals.reasons(found, rows[suspect.label]))
        for suspect in mine
        if suspect.label in rows
    }


def _signals_of(
    annotation: Annotation, table: Table, rows: Mapping[int, int], differing: NDArray[Any] | None
) -> list[Signal]:
    """What is odd about these rows; what is said of others is not so."""
    shared, weak, wavering = np.zeros((3, len(table)))
    for label, row in rows.items():
        box = wider(table.box(row), 1, annotation.grid)
        part = annotation.labels[box]
        names: Ints = np.unique(part).astype(np.int64)
        names = names[names > 0]
        shared[row] = contact(part, names, annotation.spacing)[names == label].sum()
        weak[row], wavering[row] = means_in(annotation, box, label, differing)
    means = Means(None if astray(annotation) is None else weak, None if differing is None else wavering)
    return signals_of_objects(annotation, table, shared, means)


def _slices(
    suspects: Sequence[Suspect], annotation: Annotation, boxes: Sequence[Box], differing: NDArray[Any] | None
) -> dict[str, Suspect]:
    """Those that were changed, and those beside them, which may jump from them."""
    if annotation.labels.ndim != 3 or not boxes:
        return {}
    axis = thickest(annotation.spacing)
    n = annotation.grid[axis]
    concerned = {k for box in boxes for k in range(max(0, box[axis].start - 1), min(n, box[axis].stop + 1))}
    by_key = {suspect.key: suspect for suspect in suspects if not suspect.label}
    found: dict[str, Suspect] = {}
    for k in sorted(concerned):
        suspect = by_key.get(slice_key(axis, k))
        if suspect is None:
            continue
        low = max(0, k - 1)
        window: Box = tuple(slice(low, k + 2) if a == axis else slice(None) for a in range(3))
        scores = None if annotation.scores is None else annotation.scores[(slice(None), *window)]
        other = None if differing is None else differing[window]
        odd = signals.of_slices(look_through(annotation.labels[window], scores, other, axis))
        chance = signals.chances(odd, PART, len(odd[0].values))
        place = middle(np.moveaxis(annotation.labels, axis, 0)[k], k, axis)
        said = _said(suspect, float(chance[k - low]), signals.reasons(odd, k - low))
        found[suspect.key] = replace(said, place=place)
    return found


def _regions(
    suspects: Sequence[Suspect], annotation: Annotation, labels: set[int], differing: NDArray[Any] | None
) -> dict[str, Suspect]:
    mine = [suspect for suspect in suspects if suspect.label and suspect.label in labels]
    if not mine:
        return {}
    if annotation.labels.size > _LARGE:
        return {suspect.key: replace(suspect, reasons=(LATER,)) for suspect in mine}
    seen = looked_apart(annotation, differing)
    chance = signals.chances(seen.signals, PART, len(seen.table))
    found = {}
    for suspect in mine:
        row = seen.table.row(int(seen.apart[tuple(int(place) for place in suspect.place)]))
        if row is not None:
            said = _said(suspect, float(chance[row]), signals.reasons(seen.signals, row))
            found[suspect.key] = replace(said, box=seen.table.box(row))
    return found


def _said(suspect: Suspect, score: float, reasons: tuple[str, ...]) -> Suspect:
    return replace(suspect, score=score, reasons=reasons)
