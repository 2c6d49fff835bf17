"""Where paint holds: everywhere, only in a range of intensities, only on background, or only inside one label.

All that paint (brush, outlines, growing, filling) ask the same question here, so that a mode means the same in each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import labels_dtype
from napari_seg.editing.annotation import Annotation, Box
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.numbers import as_floats
from napari_seg.editing.reach import Area, Mask
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError
from napari_seg.spec import Spec
from napari_seg.wording import class_name

Mode = Literal["everywhere", "range", "background", "inside"]


class Painting(Spec):
    """``inside``: only inside the label under the first point. ``low``, ``high``: the range, both ends in it."""

    mode: Mode = "everywhere"
    low: float | None = None
    high: float | None = None


class Outline(Painting):
    """``apart``: each outline becomes an object of its own, whatever the label to paint with is."""

    apart: bool = False


def named(annotation: Annotation, label: int) -> str:
    """A label in words."""
    return "background" if not label else f"object {label}" if annotation.objects else class_name(label)


def intensities(annotation: Annotation, box: Box) -> NDArray[np.float32]:
    """The image in a box, perhaps with NaN and infinity. Raises ``SegError`` where there is no image."""
    if annotation.image is None:
        raise SegError("There is no image to look at; open the image of this mask, or use the brush.")
    return as_floats(annotation.image[box])


def holds(annotation: Annotation, gesture: Gesture, box: Box, how: Painting) -> Mask:
    """Where in ``box`` the label of the gesture may be painted. Raises ``SegError`` for a range that is none."""
    labels = annotation.labels[box]
    if how.mode == "background":
        return np.asarray((labels == 0) | (labels == gesture.label))
    if how.mode == "inside":
        first = annotation.at(gesture.points[0]) if gesture.begun_on is None else gesture.begun_on
        return np.asarray(labels == first)
    if how.mode == "everywhere":
        return np.ones(labels.shape, bool)
    if how.low is None and how.high is None:
        raise SegError("The range of intensities is open at both ends; give the lowest or the highest intensity.")
    low = -np.inf if how.low is None else how.low
    high = np.inf if how.high is None else how.high
    if low > high:
        raise SegError(f"No intensity lies between {low:g} and {high:g}; make the lowest smaller than the highest.")
    values = intensities(annotation, box)
    return np.asarray((values >= low) & (values <= high))


def painted(annotation: Annotation, gesture: Gesture, tool: str, area: Area, how: Painting) -> Edit:
    """The edit that paints the label of the gesture into an area. Raises ``SegError`` where nothing would change."""
    what = named(annotation, gesture.label)
    if gesture.label in annotation.locked:
        raise SegError(f"{what.capitalize()} is locked; unlock it or paint with another label.")
    if not area.mask.any():
        raise SegError("All of this lies outside the image; draw inside it.")
    labels = annotation.labels[area.box]
    mask = area.mask & holds(annotation, gesture, area.box, how)
    if not mask.any():
        where = {
            "range": f"No voxel here lies in the range of intensities; widen it (now {_ends(how)}).",
            "background": "There is no background here; choose another mode to paint over what there is.",
        }
        raise SegError(where.get(how.mode, "There is nothing to paint here; begin inside the label to paint in."))
    if (labels[mask] == gesture.label).all():
        raise SegError(f"All of this is {what} already; paint elsewhere or with another label.")
    after = labels.astype(np.promote_types(labels.dtype, labels_dtype(gesture.label)))
    after[mask] = gesture.label
    return changing(edited(annotation, tool, [(area.box, after)]))


def outlined(annotation: Annotation, gesture: Gesture, tool: str, area: Area, how: Outline) -> Edit:
    """The edit that paints what an outline encloses. Raises ``SegError`` as :func:`painted` does."""
    if how.apart and annotation.objects:
        gesture = replace(gesture, label=annotation.following)
    return painted(annotation, gesture, tool, area, how)


def changing(edit: Edit, otherwise: str = "Only locked or hidden labels lie here; unlock or show them first.") -> Edit:
    """The edit, if it changes anything; ``SegError`` with the words of ``otherwise`` if not."""
    if not edit:
        raise SegError(otherwise)
    return edit


def _ends(how: Painting) -> str:
    low = "anything" if how.low is None else f"{how.low:g}"
    return f"{low} to {'anything' if how.high is None else f'{how.high:g}'}"
