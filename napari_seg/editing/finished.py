"""What a person has finished: a slice, a box or the case becomes a row that says so; the same key takes it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from napari_seg.editing.annotation import CASE, Annotation, Box, Entry, box_key, slice_key
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.reach import shown_axes, voxel
from napari_seg.editing.selection import depth_axis, shown_index
from napari_seg.editing.tools import Gesture, Options, tool
from napari_seg.errors import SegError


@tool(
    "finish slice",
    "Slice finished",
    tip="All of this slice is right: models may learn from it, also its background. Once more takes it back.",
    group="slices",
    kind="action",
    key="Shift+F",
)
def finish_slice(annotation: Annotation, gesture: Gesture, options: Options) -> Edit:
    _refuse_films(annotation)
    axis = depth_axis(annotation, gesture)
    if axis is None:
        raise SegError("A 2D image is one slice; say that the case is finished.")
    return _turned(annotation, "finish slice", slice_key(axis, shown_index(annotation, gesture, axis)))


class Boxing(Options):
    """``reach``: all slices that the dragged rectangle lies over, or only the one in which it was dragged."""

    reach: Literal["slice", "volume"] = "slice"


@tool(
    "finish box",
    "Box finished",
    tip="Drag a rectangle: all in it is right, also its background. Once more takes it back.",
    group="slices",
    kind="drag",
    key="Shift+X",
    options=Boxing,
)
def finish_box(annotation: Annotation, gesture: Gesture, options: Boxing) -> Edit:
    """The box from the first to the last point, both voxels in it, cut at the borders of the image."""
    _refuse_films(annotation)
    if len(gesture.points) < 2:
        raise SegError("A single place is no box; drag from one corner to the other.")
    first, last = voxel(gesture.points[0]), voxel(gesture.points[-1])
    sides = [(min(a, b), max(a, b) + 1) for a, b in zip(first, last, strict=True)]
    axis = depth_axis(annotation, gesture)
    if axis is not None and options.reach == "volume":
        sides[axis] = (0, annotation.grid[axis])
    box: Box = tuple(slice(max(0, a), min(n, b)) for (a, b), n in zip(sides, annotation.grid, strict=True))
    if any(side.start >= side.stop for side in box):
        raise SegError("The box lies outside the image; drag it inside.")
    if all(box[k].stop - box[k].start == 1 for k in shown_axes(annotation, gesture)):
        raise SegError("A single place is no box; drag from one corner to the other.")
    return _turned(annotation, "finish box", box_key(box))


@tool(
    "finish case",
    "Case finished",
    tip="All of this image is right, also its background. Once more takes it back.",
    group="slices",
    kind="action",
    key="Shift+C",
)
def finish_case(annotation: Annotation, gesture: Gesture, options: Options) -> Edit:
    return _turned(annotation, "finish case", CASE)


def _refuse_films(annotation: Annotation) -> None:
    """Rows know no time: what was looked at at one time would count at all of them."""
    if annotation.times > 1:
        raise SegError(
            "Of a film no single slice or box can be finished; say that the case is, once all of it is right."
        )


def _turned(annotation: Annotation, tool: str, key: str) -> Edit:
    """The row says accepted; if it did so already it says unseen, or leaves if it said nothing else."""
    entry = annotation.rows.get(key, Entry())
    after = replace(entry, state="unseen" if entry.state == "accepted" else "accepted")
    return edited(annotation, tool, (), {key: None if after == Entry() else after})
