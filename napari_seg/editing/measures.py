"""What can be measured of each object, or of each class: one row a label.

The general pattern is: :func:`measure` looks at everything once; after an edit :func:`updated` looks again only at the
labels that the edit names, each in its own box. Lengths are along the axes of the grid, in the unit of the spacing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import squeezed
from napari_seg.editing.annotation import Annotation, Box, Entry, State, object_key
from napari_seg.editing.doubt import entropy, on_grid
from napari_seg.editing.edit import Edit
from napari_seg.editing.runs import Field, Floats, Ints
from napari_seg.editing.said import state_of_class
from napari_seg.editing.tally import tally
from napari_seg.tasks.base import Labels
from napari_seg.wording import class_name

Words = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Table:
    """A row for each label that occurs, in rising order; columns are arrays of one length ``n``.

    ``voxels``; ``start`` and ``stop`` of the box and the ``centre`` in voxels ``(n, ndim)``; ``intensity``: the mean of
    the image, NaN without one; ``uncertainty``: the mean entropy of the scores over the voxels, 0..1, NaN without
    scores; ``fullness``: the volume over that of the ellipsoid with the same second moments, about 1 for what has no
    dents and less for what has a waist or comes in pieces; ``parts`` that do not touch, not even by corners;
    ``border``: whether it touches the edge of the grid; ``category``, ``state``, ``comment`` and ``locked`` from its
    row.

    ``classes`` are the names of the categories 1, 2, ...; ``spacing`` is in ``unit``, along axes that may lean
    (``along``, see :class:`Annotation`). ``objects``: rows are objects and not classes.
    """

    labels: Ints
    voxels: Ints
    start: Ints
    stop: Ints
    centre: Floats
    intensity: Floats
    uncertainty: Floats
    fullness: Floats
    parts: Ints
    border: NDArray[np.bool_]
    category: Ints
    state: Words
    comment: NDArray[np.object_]
    locked: NDArray[np.bool_]
    spacing: tuple[float, ...]
    unit: str
    classes: tuple[str, ...] = ()
    objects: bool = True
    along: Floats | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> Floats:
        """Area or volume, in ``unit`` to the power of the axes."""
        sizes: Floats = self.voxels.astype(np.float64) * math.prod(self.spacing) * squeezed(self.along)
        return sizes

    @property
    def extent(self) -> Floats:
        """Length along each axis ``(n, ndim)``, in ``unit``."""
        lengths: Floats = (self.stop - self.start).astype(np.float64) * np.asarray(self.spacing, np.float64)
        return lengths

    @property
    def place(self) -> Floats:
        """The centre in ``unit``, from the middle of the first voxel."""
        places: Floats = self.centre * np.asarray(self.spacing, np.float64)
        return places

    @property
    def class_names(self) -> Words:
        found, which = np.unique(self.category, return_inverse=True)
        words = np.array([class_name(k, self.classes) for k in found.tolist()], dtype=np.str_)
        return words[which] if len(words) else np.zeros(0, np.str_)

    def row(self, label: int) -> int | None:
        """The row of a label; ``None`` where it does not occur."""
        at = int(np.searchsorted(self.labels, label))
        return at if at < len(self) and self.labels[at] == label else None

    def box(self, row: int) -> Box:
        return tuple(slice(a, b) for a, b in zip(self.start[row].tolist(), self.stop[row].tolist(), strict=True))


_COLUMNS = tuple(f.name for f in fields(Table) if f.name not in ("spacing", "unit", "classes", "objects", "along"))


def measure(annotation: Annotation, classes: tuple[str, ...] = ()) -> Table:
    """Measure every label. ``classes``: the names of the categories. Raises ``SegError`` for an image or scores that do
    not lie on the grid of the labels."""
    asked: list[Field] = []
    if annotation.image is not None:
        asked.append(on_grid(annotation, annotation.image, "values of the image"))
    unsure = entropy(annotation)
    if unsure is not None:
        asked.append(unsure)
    found = tally(annotation.labels, asked)
    unknown = np.full(len(found.labels), np.nan)
    table = Table(
        labels=found.labels,
        voxels=found.voxels,
        start=found.start,
        stop=found.stop,
        centre=found.centre,
        intensity=found.means[0] if annotation.image is not None else unknown,
        uncertainty=found.means[-1] if unsure is not None else unknown,
        fullness=_fullness(found.voxels, found.spread),
        parts=found.parts,
        border=((found.start == 0) | (found.stop == annotation.grid)).any(1),
        category=np.ones(len(unknown), np.int64),
        state=np.full(len(unknown), "unseen", "<U8"),
        comment=np.full(len(unknown), "", object),
        locked=np.zeros(len(unknown), bool),
        spacing=annotation.spacing,
        unit=annotation.unit,
        classes=classes,
        objects=annotation.objects,
        along=annotation.along,
    )
    return listed(table, annotation.rows, annotation.labels)


def listed(table: Table, rows: Mapping[str, Entry], labels: Labels) -> Table:
    """The table with what these rows say of its objects: class, state, comment, and whether they are locked. The state
    of a class is that of its regions (:func:`~napari_seg.editing.said.state_of_class`)."""
    category = np.ones(len(table), np.int64) if table.objects else table.labels.copy()
    state, comment = np.full(len(table), "unseen", "<U8"), np.full(len(table), "", object)
    locked = np.zeros(len(table), bool)
    entries = {int(key.removeprefix("object ")): e for key, e in rows.items() if key.startswith("object ")}
    numbers = np.array(list(entries), np.int64)
    at = np.searchsorted(table.labels, numbers)
    for row, there, entry in zip(at.tolist(), np.isin(numbers, table.labels).tolist(), entries.values(), strict=True):
        if there:
            category[row] = entry.category if table.objects else category[row]
            state[row], comment[row], locked[row] = entry.state, entry.comment, entry.locked
    if not table.objects:
        state[:] = [_state(table, row, rows, labels) for row in range(len(table))]
    return replace(table, category=category, state=state, comment=comment, locked=locked)


def _state(table: Table, row: int, rows: Mapping[str, Entry], labels: Labels) -> State:
    """What was said of an object, or of a class."""
    label = int(table.labels[row])
    own = rows.get(object_key(label), Entry()).state
    return own if table.objects else state_of_class(label, own, rows, labels, int(table.parts[row]), table.box(row))


def relisted(table: Table, rows: Mapping[str, Entry], keys: Iterable[str], labels: Labels) -> Table:
    """The table with what these rows say, where only those of ``keys`` are others than before; itself if no row of it
    is."""
    kinds = ("object",) if table.objects else ("object", "region")
    numbers = {int(key.split()[1]) for key in keys if key.split()[0] in kinds}
    changed = [(row, rows.get(object_key(k), Entry())) for k in numbers if (row := table.row(k)) is not None]
    if not changed:
        return table
    columns = {name: getattr(table, name).copy() for name in ("category", "state", "comment", "locked")}
    for row, entry in changed:
        columns["category"][row] = entry.category if table.objects else table.labels[row]
        columns["state"][row], columns["comment"][row] = _state(table, row, rows, labels), entry.comment
        columns["locked"][row] = entry.locked
    return replace(table, **columns)


def updated(table: Table, annotation: Annotation, edit: Edit) -> Table:
    """The table after ``edit``, from the one before it and the annotation with the edit in it."""
    gone = set(edit.labels)
    boxes = {label: box for label in sorted(gone) if (box := annotation.box(label)) is not None}
    if sum(math.prod(s.stop - s.start for s in box) for box in boxes.values()) > annotation.labels.size:
        return measure(annotation, table.classes)
    parts = [_alone(annotation, label, box) for label, box in boxes.items()]
    kept = ~np.isin(table.labels, list(gone))
    columns = {name: [getattr(table, name)[kept], *(getattr(part, name) for part in parts)] for name in _COLUMNS}
    joined: dict[str, Any] = {name: np.concatenate(column) for name, column in columns.items()}
    order = np.argsort(joined["labels"], kind="stable")
    return listed(
        replace(table, **{name: column[order] for name, column in joined.items()}), annotation.rows, annotation.labels
    )


def _alone(annotation: Annotation, label: int, box: Box) -> Table:
    """The row of one label, measured in its box."""
    scores, image = annotation.scores, annotation.image
    part = replace(
        annotation,
        labels=(annotation.labels[box] == label).astype(np.uint8),
        image=None if image is None else image[box],
        scores=None if scores is None else scores[(slice(None), *box)],
        rows={},
    )
    row = measure(part)
    corner = np.array([side.start for side in box])
    start, stop = row.start + corner, row.stop + corner
    return replace(
        row,
        labels=np.array([label], np.int64),
        start=start,
        stop=stop,
        centre=row.centre + corner,
        border=((start == 0) | (stop == annotation.grid)).any(1),
    )


def _fullness(voxels: Ints, spread: Floats) -> Floats:
    """An ellipsoid with the covariance S has the volume ``V (n + 2)^(n / 2) sqrt(det S)``, V that of the unit ball."""
    ndim = spread.shape[-1]
    ball = math.pi if ndim == 2 else 4 * math.pi / 3
    whole: Floats = voxels / (ball * (ndim + 2) ** (ndim / 2) * np.sqrt(np.linalg.det(spread)))
    return whole
