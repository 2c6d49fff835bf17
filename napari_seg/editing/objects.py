"""Tools for whole objects: merge, delete, rename, take apart, clear away.

Each looks at the boxes of its objects alone, whatever the size of the volume; the two that clear away all small ones
and all at the border look at those of all objects. In a mask of classes the thing under the cursor is a connected part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from napari_seg.editing.annotation import Annotation, Box, Entry, Extents, moved, object_key
from napari_seg.editing.changes import Change, parts
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.painting import changing
from napari_seg.editing.pieces import divided
from napari_seg.editing.reach import Mask, shown_axes, voxel
from napari_seg.editing.selection import (
    Region,
    all_of,
    components,
    only_objects,
    regions,
    spacing_of,
    within,
)
from napari_seg.editing.tools import Gesture, Options, Reach, targets, tool
from napari_seg.errors import SegError


class Merging(Options):
    """``which``: the two objects at the ends of the line, or all that lie under it."""

    which: Literal["ends", "all"] = "ends"


@tool(
    "merge",
    "Merge",
    tip="Drag from one object to another: they become one, with the number of the first.",
    group="objects",
    kind="drag",
    key="J",
    options=Merging,
    preview=True,
    hovers=True,
)
def merge(annotation: Annotation, gesture: Gesture, options: Merging) -> Edit:
    only_objects(annotation, "merge", "change the class of one of them")
    labels = _to_merge(annotation, gesture, options)
    if len(labels) < 2:
        raise SegError("There is only one object to merge; drag from it to another one.")
    first, *_ = targets(annotation, replace(gesture, selected=labels))
    _, *found = (all_of(annotation, label) for label in labels)
    changes = [Change.of(one, first) for one in found]
    rows: dict[str, Entry | None] = {}
    comments = dict.fromkeys(annotation.entry(label).comment for label in labels)
    entry = replace(annotation.entry(first), comment="; ".join(comment for comment in comments if comment))
    if object_key(first) in annotation.rows or entry != Entry():
        rows[object_key(first)] = entry
    return edited(annotation, "merge", parts(annotation, changes), rows)


def _to_merge(annotation: Annotation, gesture: Gesture, options: Merging) -> tuple[int, ...]:
    """The objects in the order in which they lie under the line; without a line: in which they were selected."""
    if len(gesture.selected) > 1 and len({voxel(point) for point in gesture.points}) < 2:
        return tuple(dict.fromkeys(gesture.selected))
    if options.which == "all":
        under = (annotation.at(point) for point in _between(gesture.points))
        return tuple(dict.fromkeys(label for label in under if label))
    ends = tuple(annotation.at(point) for point in gesture.points[:1] + gesture.points[-1:])
    if not all(ends):
        raise SegError("The line does not begin and end on an object; drag from one object to another.")
    return tuple(dict.fromkeys(ends))


def _between(points: tuple[tuple[float, ...], ...]) -> Iterable[tuple[float, ...]]:
    """The points of a line, half a voxel apart."""
    for a, b in pairwise(points):
        start, end = np.array(a), np.array(b)
        steps = int(np.ceil(2 * np.abs(end - start).max())) + 1
        yield from (tuple(start + (end - start) * k / steps) for k in range(steps))
    yield from points[-1:]


class Reaching(Options):
    """``reach``: all of the object, or only what lies in the slice that is shown."""

    reach: Reach = "volume"


@tool(
    "delete",
    "Delete",
    tip="Delete the object under the cursor, or the selected ones.",
    group="objects",
    kind="action",
    key="Delete",
    options=Reaching,
    hovers=True,
)
def delete(annotation: Annotation, gesture: Gesture, options: Reaching) -> Edit:
    gone = [within(one, options.reach, annotation, gesture) for one in regions(annotation, gesture)]
    return edited(annotation, "delete", parts(annotation, [Change.of(one, 0) for one in gone]))


@tool(
    "new id",
    "New number",
    tip="Give the object under the cursor, or each of the selected ones, a number that no other has.",
    group="objects",
    kind="action",
    key="N",
    hovers=True,
)
def new_id(annotation: Annotation, gesture: Gesture, options: Options) -> Edit:
    only_objects(annotation, "give a new number", "change the class of the part instead")
    changes: list[Change] = []
    rows: dict[str, Entry | None] = {}
    for number, one in enumerate(regions(annotation, gesture), annotation.following):
        changes.append(Change.of(one, number))
        if object_key(one.label) in annotation.rows:
            rows[object_key(number)] = annotation.entry(one.label)
    return edited(annotation, "new id", parts(annotation, changes), rows)


class Category(Options):
    """``category``: the number of the class, from 1."""

    category: int = Field(1, ge=1)


@tool(
    "change class",
    "Change class",
    tip="The object under the cursor, or each of the selected ones, becomes one of the chosen class.",
    group="objects",
    kind="action",
    key="U",
    options=Category,
    hovers=True,
)
def change_class(annotation: Annotation, gesture: Gesture, options: Category) -> Edit:
    if annotation.objects:
        entries = {one.label: annotation.entry(one.label) for one in regions(annotation, gesture)}
        rows = {object_key(n): replace(entry, category=options.category) for n, entry in entries.items()}
        edit = edited(annotation, "change class", (), {k: v for k, v in rows.items() if v != _known(annotation, k)})
    else:
        if options.category in annotation.locked:
            raise SegError(f"{options.category} is locked; unlock it first.")
        changes = [Change.of(one, options.category) for one in regions(annotation, gesture)]
        edit = edited(annotation, "change class", parts(annotation, changes))
    return changing(edit, f"This is of class {options.category} already; choose another class.")


def _known(annotation: Annotation, key: str) -> Entry:
    return annotation.rows.get(key, Entry())


@tool(
    "split apart",
    "Split apart",
    tip="Parts of an object that do not touch become objects of their own.",
    group="objects",
    kind="action",
    key="Shift+A",
    hovers=True,
)
def split_apart(annotation: Annotation, gesture: Gesture, options: Options) -> Edit:
    only_objects(annotation, "split apart", "point at one part and change its class")
    cuts = [(one, components(one.mask)[0]) for one in regions(annotation, gesture)]
    edit = divided(annotation, gesture, "split apart", cuts)
    return changing(edit, "All of this hangs together; draw a line to split it.")


class Smallest(Options):
    """``size``: what is smaller goes. ``measure``: it counts voxels, or area and volume in the unit of the image."""

    size: float = Field(10.0, gt=0)
    measure: Literal["voxels", "unit"] = "voxels"


@tool(
    "delete small",
    "Delete small",
    tip="Delete all objects, or parts of classes, that are smaller than the chosen size; locked ones stay.",
    group="objects",
    kind="action",
    key="Shift+D",
    options=Smallest,
)
def delete_small(annotation: Annotation, gesture: Gesture, options: Smallest) -> Edit:
    size = options.size / (np.prod(spacing_of(annotation)) if options.measure == "unit" else 1)
    edit = _without(annotation, "delete small", [one for one in _things(annotation) if one.size < size])
    return changing(edit, "Nothing here is smaller than this; choose a larger size.")


class Sides(Options):
    """``sides``: all sides of the image, or only those of the slice that is shown (not its first and last slice)."""

    sides: Literal["all", "shown"] = "all"


@tool(
    "delete border",
    "Clear border",
    tip="Delete all objects, or parts of classes, that touch the border of the image; locked ones stay.",
    group="objects",
    kind="action",
    key="Shift+B",
    options=Sides,
)
def delete_border(annotation: Annotation, gesture: Gesture, options: Sides) -> Edit:
    axes = range(len(annotation.grid)) if options.sides == "all" else shown_axes(annotation, gesture)
    ends = [(axis, annotation.grid[axis]) for axis in axes]

    def touches(box: Box) -> bool:
        return any(box[axis].start == 0 or box[axis].stop == length for axis, length in ends)

    edit = _without(annotation, "delete border", [one for one in _things(annotation, touches) if touches(one.box)])
    return changing(edit, "Nothing touches the border; there is nothing to delete, go on with another tool.")


def _things(annotation: Annotation, may_be: Callable[[Box], bool] = lambda box: True) -> Iterator[Region]:
    """The objects that are there and do not stay (see :meth:`Annotation.stays`), of classes: their connected parts.
    Only those of which it ``may_be``, by a box that is perhaps too large."""
    for label in annotation.extents.labels:
        rough = annotation.extents[label]
        if rough is None or annotation.stays(label) or not may_be(rough):
            continue
        box = annotation.box(label)
        if box is None:
            continue  # it is gone
        mask = annotation.labels[box] == label
        if annotation.objects:
            yield Region(label, box, mask)
        else:
            yield from _parts(label, box, mask)


def _parts(label: int, box: Box, mask: Mask) -> Iterator[Region]:
    found, count = components(mask)
    boxes = Extents(found)
    for number in range(1, count + 1):
        inner = boxes[number]
        assert inner is not None
        yield Region(label, moved(inner, box), found[inner] == number)


def _without(annotation: Annotation, name: str, gone: list[Region]) -> Edit:
    return edited(annotation, name, parts(annotation, [Change.of(one, 0) for one in gone]))
