"""Two tools that split what should be two: along a drawn line, or by a click into each part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing import knife
from napari_seg.editing.annotation import Annotation
from napari_seg.editing.basins import basins
from napari_seg.editing.edit import Edit
from napari_seg.editing.landscapes import By, landscape
from napari_seg.editing.painting import changing, named
from napari_seg.editing.pieces import divided
from napari_seg.editing.reach import shown_axes, voxel
from napari_seg.editing.selection import (
    Region,
    all_of,
    depth_axis,
    part_at,
    region,
    roomy,
    shown_index,
    spacing_of,
    within,
)
from napari_seg.editing.tools import Gesture, Options, Reach, targets, tool
from napari_seg.errors import SegError


class Cutting(Options):
    """``reach``: the line cuts through all slices of the object, or only through the slice that is shown."""

    reach: Reach = "volume"


@tool(
    "split",
    "Split by line",
    tip="Draw a line across an object: what lies on its two sides becomes two objects.",
    group="objects",
    kind="line",
    key="K",
    options=Cutting,
    preview=True,
    hovers=True,
)
def split(annotation: Annotation, gesture: Gesture, options: Cutting) -> Edit:
    """The object that most of the line lies on, of the selected ones if any lies there. The line lies in the slice."""
    axes = shown_axes(annotation, gesture)
    line = np.array(gesture.points, float).reshape(-1, len(annotation.grid))[:, axes]
    path = knife.cells(line) if len(line) else np.zeros((0, 2), np.int64)
    if len(path) < 2:
        raise SegError("A single point does not divide an object; draw a line from one side of it to the other.")
    one = within(_under(annotation, gesture, path), options.reach, annotation, gesture)
    start = np.array([one.box[axis].start for axis in axes])
    shadow = _seen(one, axes)
    drawn, axis = shadow, depth_axis(annotation, gesture)
    if axis is not None:
        index = shown_index(annotation, gesture, axis) - one.box[axis].start
        if 0 <= index < one.mask.shape[axis]:
            thin = (slice(None),) * axis + (slice(index, index + 1),)
            drawn = _seen(Region(one.label, one.box, one.mask[thin]), axes)
    line = knife.lengthened(line - start, drawn, shadow)
    found = knife.pieces(one.mask, line, axes, spacing_of(annotation))
    if found is None:
        raise SegError("The line does not divide the object; draw it from one side to the other.")
    return changing(divided(annotation, gesture, "split", [(one, found)]))


def _seen(region: Region, axes: tuple[int, int]) -> NDArray[np.bool_]:
    """A region as seen through all its slices: an array of rows and columns."""
    rest = tuple(axis for axis in range(region.mask.ndim) if axis not in axes)
    seen = region.mask.any(rest) if rest else region.mask
    return np.asarray(seen.T if axes[0] > axes[1] else seen)


def _under(annotation: Annotation, gesture: Gesture, path: knife.Places) -> Region:
    """The thing that most of the line lies on in the shown slice: what only lies below it is never cut unseen."""
    axes, axis = shown_axes(annotation, gesture), depth_axis(annotation, gesture)
    inside = ((path >= 0) & (path < [annotation.grid[a] for a in axes])).all(1)
    index = np.zeros((int(inside.sum()), len(annotation.grid)), np.int64)
    index[:, axes] = path[inside]
    if axis is not None:
        index[:, axis] = shown_index(annotation, gesture, axis)
    labels = annotation.labels[tuple(index.T)]
    numbers, counts = np.unique(labels, return_counts=True)
    order = numbers[np.argsort(-counts, kind="stable")].tolist()
    there = [label for label in order if label]
    chosen = [label for label in there if label in gesture.selected] or there
    if not chosen:
        raise SegError("There is no object under the line; draw it across one.")
    free = [label for label in chosen if not annotation.stays(label)] or chosen
    label = targets(annotation, Gesture(selected=(free[0],)))[0]
    if annotation.objects:
        return all_of(annotation, label)
    under = index[labels == label]
    return part_at(annotation, tuple(under[len(under) // 2].tolist()))


class Seeding(Options):
    """``by``: where two pieces meet. ``best``: by the image where there is one, else by the distance. ``image``: at an
    edge or a change of brightness. ``scores``: where the model was least sure, or where its directions part.
    ``distance``: at the narrowest place. ``reach``: the whole object, or only what lies in the slice that is shown.
    """

    by: By = "best"
    reach: Reach = "volume"


@tool(
    "split by seeds",
    "Split by seeds",
    tip="Click once into each part of an object and confirm: each click becomes an object.",
    group="objects",
    kind="seeds",
    key="Shift+K",
    options=Seeding,
    preview=True,
    hovers=True,
)
def split_by_seeds(annotation: Annotation, gesture: Gesture, options: Seeding) -> Edit:
    seeds = list(dict.fromkeys(voxel(point) for point in gesture.points))
    if len(seeds) < 2:
        raise SegError("One seed makes one object; click at least two different places.")
    one = region(annotation, replace(gesture, selected=()))
    one = within(one, options.reach, annotation, gesture)
    axes = tuple(range(len(annotation.grid))) if options.reach == "volume" else shown_axes(annotation, gesture)
    one = roomy(one, axes, annotation)
    inside = []
    for number, seed in enumerate(seeds, 1):
        place = tuple(i - side.start for i, side in zip(seed, one.box, strict=True))
        if not all(0 <= i < n for i, n in zip(place, one.mask.shape, strict=True)) or not one.mask[place]:
            what = named(annotation, one.label)
            raise SegError(f"Seed {number} does not lie on {what}, as the first one does; put each seed on it.")
        inside.append(place)
    found = basins(one.mask, inside, landscape(annotation, one, options.by), spacing_of(annotation))
    return changing(divided(annotation, gesture, "split by seeds", [(one, found)]))
