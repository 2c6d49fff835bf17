"""Tools that go from slice to slice: fill the slices between painted ones, carry a slice on to the next one, repeat an
edit there. None of them paints over other labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Literal, TypeVar

import numpy as np

from napari_seg.data.volume import labels_dtype
from napari_seg.editing.annotation import Annotation, Box, Extents, enclosing, wider
from napari_seg.editing.edit import Edit, Patch, edited
from napari_seg.editing.numbers import finite
from napari_seg.editing.painting import changing
from napari_seg.editing.reach import Mask, relative
from napari_seg.editing.selection import depth_axis, shown_index, spacing_of
from napari_seg.editing.shapes import Field, between, carried, motion, signed_distance
from napari_seg.editing.tools import Gesture, Options, tool
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels
from napari_seg.wording import listed

T = TypeVar("T")

_MARGIN = 10
"""Pixels around the labels of a slice into which they may move, or bulge."""


class Overlay:
    """Labels that compete for the pixels of a slice: the one whose outline lies farthest away gets the pixel."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._height = np.zeros(shape, np.float32)
        self._labels = np.zeros(shape, np.int64)

    def offer(self, box: Box, height: Field, labels: int | Labels) -> None:
        """``labels`` claim the pixels of ``box`` where ``height`` is positive."""
        wins = height > self._height[box]
        np.copyto(self._height[box], height, where=wins)
        np.copyto(self._labels[box], labels, where=wins)

    def over(self, before: Labels) -> Labels:
        """``before`` with the labels in what is background there."""
        dtype = np.promote_types(before.dtype, labels_dtype(int(self._labels.max(initial=0))))
        return np.where(before == 0, self._labels, before).astype(dtype)


class Interpolating(Options):
    """``labels``: the selected ones, else the one under the cursor, else the one to paint with; or all there are.
    ``gaps``: all slices that are empty between painted ones, or only those next to the slice that is shown."""

    labels: Literal["chosen", "all"] = "chosen"
    gaps: Literal["all", "here"] = "all"


@tool(
    "interpolate",
    "Interpolate",
    tip="Paint some slices of an object; this fills the empty ones between them and paints over nothing.",
    group="slices",
    kind="action",
    key="I",
    options=Interpolating,
)
def interpolate(annotation: Annotation, gesture: Gesture, options: Interpolating) -> Edit:
    """Objects are filled one by one. Classes are filled together, so that there is no gap between one that ends and
    another that begins; a slice is empty if it holds none of them."""
    axis = _across(annotation, gesture)
    chosen = _chosen(annotation, gesture, options)
    boxes = {label: box for label in chosen if (box := annotation.box(label))}
    _refuse_thin(chosen, boxes, axis)
    groups = [[label] for label in boxes] if annotation.objects else [list(boxes)] if boxes else []
    planes: dict[int, Overlay] = {}
    for group in groups:
        box = boxes[group[0]]
        for label in group[1:]:
            box = enclosing(box, boxes[label])
        side, flat = box[axis], wider(_flat(box, axis), _MARGIN, _flat(annotation.grid, axis))
        stack = np.moveaxis(annotation.labels[(*flat[:axis], side, *flat[axis:])], axis, 0)
        gaps = _gaps(np.isin(stack, group))
        if options.gaps == "here":
            here = shown_index(annotation, gesture, axis) - side.start
            gaps = [gap for gap in gaps if gap[0] <= here <= gap[1]]
        for index, height, labels in _filled(stack, group, gaps, _flat(spacing_of(annotation), axis)):
            plane = planes.setdefault(index + side.start, Overlay(_flat(annotation.grid, axis)))
            plane.offer(flat, height, labels)
    parts = [_part(annotation, axis, index, plane) for index, plane in planes.items()]
    return changing(
        edited(annotation, "interpolate", parts),
        "No slice is empty between two painted ones; paint two slices that lie apart, or choose another label.",
    )


def _chosen(annotation: Annotation, gesture: Gesture, options: Interpolating) -> tuple[int, ...]:
    """The labels to interpolate, without those that are locked or not drawn."""
    under = annotation.at(gesture.points[0]) if gesture.points else 0
    chosen = annotation.extents.labels if options.labels == "all" else gesture.selected or (under or gesture.label,)
    free = tuple(dict.fromkeys(label for label in chosen if not annotation.stays(label)))
    if chosen and not free:
        raise SegError(f"{', '.join(map(str, chosen))} is locked or hidden; unlock it or show it first.")
    return free


def _refuse_thin(chosen: tuple[int, ...], boxes: dict[int, Box], axis: int) -> None:
    """Raise ``SegError`` where labels can have no empty slice between two painted ones."""
    if not chosen:
        raise SegError("The mask is empty; paint two slices that lie apart.")
    named = f"Label {chosen[0]} is" if len(chosen) == 1 else f"Labels {listed([*map(str, chosen)])} are"
    if not boxes:
        raise SegError(f"{named} not in the mask; choose one that is, or all labels.")
    if len(chosen) == 1 and boxes[chosen[0]][axis].stop - boxes[chosen[0]][axis].start == 1:
        raise SegError(f"{named} painted in one slice only; paint another one that lies apart, or choose all labels.")


def _gaps(painted: Mask) -> list[tuple[int, int]]:
    """The painted slices before and after each run of empty ones; slices lie along the first axis."""
    places = np.flatnonzero(painted.any((1, 2)))
    return [(int(places[k]), int(places[k + 1])) for k in np.flatnonzero(np.diff(places) > 1)]


def _filled(
    stack: Labels, labels: list[int], gaps: list[tuple[int, int]], spacing: tuple[float, ...]
) -> Iterator[tuple[int, Field, Labels]]:
    """For each slice of the gaps: its index, how deep inside each pixel lies (positive), and whose it is.

    All labels together make one shape. In it a pixel belongs to the label it lies deepest in; a label that ends or
    begins in the gap fades on the way.
    """
    together = {k: np.isin(stack[k], labels) for k in range(len(stack))}
    together = {k: mask for k, mask in together.items() if mask.any()}
    wanted = [k for before, after in gaps for k in range(before + 1, after)]
    shapes = between(together, wanted, spacing)
    if len(labels) == 1:
        yield from ((k, shape, np.array(labels)) for k, shape in shapes.items())
        return
    heights = {k: [np.full(shape.shape, -np.inf, np.float32)] * len(labels) for k, shape in shapes.items()}
    for number, label in enumerate(labels):
        own = {k: mask for k in together if (mask := stack[k] == label).any()}
        through = [k for gap in gaps if gap[0] in own and gap[1] in own for k in range(gap[0] + 1, gap[1])]
        found = between(own, through, spacing)
        for gap in gaps:
            deepest = max(float(signed_distance(together[k], spacing).max()) for k in gap)
            for k in range(gap[0] + 1, gap[1]):
                share = (k - gap[0]) / (gap[1] - gap[0])
                if k in found:
                    heights[k][number] = found[k]
                elif gap[0] in own:
                    heights[k][number] = _fading(own[gap[0]], 1 - share, spacing, deepest)
                elif gap[1] in own:
                    heights[k][number] = _fading(own[gap[1]], share, spacing, deepest)
    for k, shape in shapes.items():
        stacked = np.stack(heights[k])
        top = stacked.max(0)
        tiny = np.finfo(np.float32).tiny
        yield k, np.where(shape > 0, np.maximum(top, tiny), top), np.array(labels)[stacked.argmax(0)]


def _fading(end: Mask, near: float, spacing: tuple[float, ...], deepest: float) -> Field:
    """The height of a label that is painted on one side of a gap: all of it there (``near`` 1), none on the other.

    Twice as deep as anything is there, so that all of a slice goes to the label that is nearer, without crumbs.
    """
    return near * signed_distance(end, spacing) - np.float32((1 - near) * 2 * deepest)


class Carrying(Options):
    """``to``: the slice after this one, or before. ``fit``: the labels follow the image, or stay where they are."""

    to: Literal["next", "previous"] = "next"
    fit: Literal["image", "nothing"] = "image"


@tool(
    "copy to next",
    "Copy to next",
    tip="Copy the labels of this slice to the next one and fit them to its image; what these were there is replaced.",
    group="slices",
    kind="action",
    key="Shift+N",
    options=Carrying,
)
def copy_to_next(annotation: Annotation, gesture: Gesture, options: Carrying) -> Edit:
    """The selected labels, else all of the slice. They follow the optical flow from one image to the other."""
    axis = _across(annotation, gesture)
    index = shown_index(annotation, gesture, axis)
    target = _neighbour(annotation, axis, index, options.to)
    here, there = _slice(annotation, axis, index), _slice(annotation, axis, target)
    extents = Extents(here)
    labels = [label for label in gesture.selected or extents.labels if not annotation.stays(label)]
    boxes = {label: wider(box, _MARGIN, here.shape) for label in labels if (box := extents[label])}
    if not boxes:
        raise SegError("Nothing that could be copied is painted in this slice; paint it or go to one that is.")
    frame = next(iter(boxes.values()))
    for box in boxes.values():
        frame = enclosing(frame, box)
    offsets = np.zeros((2, *here.shape), np.float32)
    if options.fit == "image" and annotation.image is not None:
        pair = (finite(annotation.image[(slice(None),) * axis + (k,)][frame]) for k in (index, target))
        offsets[(slice(None), *frame)] = motion(*pair)
    plane = Overlay(here.shape)
    for label, box in boxes.items():
        field = signed_distance(here[box] == label, _flat(spacing_of(annotation), axis))
        plane.offer(box, carried(field, offsets[(slice(None), *box)]), label)
    after = plane.over(np.where(np.isin(there, list(boxes)), 0, there))
    edit = edited(annotation, "copy to next", [(_slab(annotation, axis, target), np.expand_dims(after, axis))])
    return changing(edit, f"The {options.to} slice holds the same labels already; go on to it.")


class Repeating(Options):
    """``to``: the slice after the one that was edited, or before."""

    to: Literal["next", "previous"] = "next"


@tool(
    "repeat",
    "Repeat",
    tip="Repeat the last edit of a slice on the next one, where the same labels lie.",
    group="slices",
    kind="action",
    key="R",
    options=Repeating,
)
def repeat(annotation: Annotation, gesture: Gesture, options: Repeating) -> Edit:
    """``annotation.last`` once more, one slice on: a pixel changes where it holds what was there before that edit."""
    axis = _across(annotation, gesture)
    if annotation.last is None or not annotation.last.patches:
        raise SegError("There is no edit to repeat yet; edit one slice first.")
    touched = {index for patch in annotation.last.patches for index in _touched(patch, axis)}
    if len(touched) != 1:
        raise SegError("The last edit went through several slices; repeat works after an edit of one slice.")
    index = touched.pop()
    target = _neighbour(annotation, axis, index, options.to)
    done = _in_slice(annotation.last.patches, axis, index)
    box = (*done.box[:axis], slice(target, target + 1), *done.box[axis + 1 :])
    old = annotation.labels[box]
    after = np.where((done.before != done.after) & (old == done.before), done.after, old)
    return changing(
        edited(annotation, "repeat", [(box, after)]),
        f"Nothing in the {options.to} slice is as it was before that edit, so there is nothing to repeat; edit it.",
    )


def _in_slice(patches: Iterable[Patch], axis: int, index: int) -> Patch:
    """What patches, which follow each other and may overlap, as those of a stroke, make of one slice."""
    thin = []
    for patch in patches:
        at = index - patch.start[axis]
        if 0 <= at < patch.after.shape[axis]:
            slab = (slice(None),) * axis + (slice(at, at + 1),)
            start = (*patch.start[:axis], index, *patch.start[axis + 1 :])
            thin.append(Patch(start, patch.before[slab], patch.after[slab]))
    whole = reduce(enclosing, (patch.box for patch in thin))
    shape = [side.stop - side.start for side in whole]
    before = np.zeros(shape, np.result_type(*(patch.before for patch in thin)))
    after = np.zeros(shape, np.result_type(*(patch.after for patch in thin)))
    for first, last in zip(reversed(thin), thin, strict=True):
        before[relative(first.box, whole)] = first.before
        after[relative(last.box, whole)] = last.after
    return Patch(tuple(side.start for side in whole), before, after)


def _touched(patch: Patch, axis: int) -> list[int]:
    """The slices along an axis in which a patch changes anything."""
    rest = tuple(k for k in range(patch.after.ndim) if k != axis)
    return [patch.start[axis] + int(k) for k in np.flatnonzero((patch.before != patch.after).any(rest))]


def _across(annotation: Annotation, gesture: Gesture) -> int:
    axis = depth_axis(annotation, gesture)
    if axis is None:
        raise SegError("A 2D image has no other slices; open a volume for this tool.")
    return axis


def _neighbour(annotation: Annotation, axis: int, index: int, to: Literal["next", "previous"]) -> int:
    target = index + (1 if to == "next" else -1)
    if not 0 <= target < annotation.grid[axis]:
        raise SegError(f"There is no {to} slice here; choose the other direction.")
    return target


def _slab(annotation: Annotation, axis: int, index: int) -> Box:
    """One whole slice."""
    return tuple(slice(index, index + 1) if k == axis else slice(0, n) for k, n in enumerate(annotation.grid))


def _slice(annotation: Annotation, axis: int, index: int) -> Labels:
    labels: Labels = annotation.labels[(slice(None),) * axis + (index,)]
    return labels


def _part(annotation: Annotation, axis: int, index: int, plane: Overlay) -> tuple[Box, Labels]:
    after = plane.over(_slice(annotation, axis, index))
    return _slab(annotation, axis, index), np.expand_dims(after, axis)


def _flat(along: tuple[T, ...], axis: int) -> tuple[T, ...]:
    """What is given for each axis, without one of them."""
    return along[:axis] + along[axis + 1 :]
