"""Brush and eraser: a disc in the slice that is shown or a ball in the volume, drawn along a line.

The radius is physical: in the unit of the annotation's spacing. What is painted is exactly what lies within it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit
from napari_seg.editing.painting import Mode, Painting, painted
from napari_seg.editing.reach import Area, reached, swept
from napari_seg.editing.selection import spacing_of
from napari_seg.editing.tools import Gesture, Reach, tool


class Brush(Painting):
    """``radius`` is in the unit of the annotation."""

    radius: float = Field(5.0, gt=0)
    reach: Reach = "slice"


class RangeBrush(Brush):
    """A brush that paints only between two intensities."""

    mode: Mode = "range"


class Eraser(Brush):
    """An eraser has all modes of a brush but one: it finds nothing on background."""

    mode: Literal["everywhere", "range", "inside"] = "everywhere"


def under(annotation: Annotation, gesture: Gesture, options: Brush) -> Area:
    """The voxels under a stroke, for a preview too."""
    return swept(gesture.points, options.radius, spacing_of(annotation), reached(annotation, gesture, options.reach))


@tool(
    "brush",
    "Brush",
    tip="Paint the chosen label along the line you draw.",
    group="regions",
    kind="stroke",
    key="Q",
    options=Brush,
)
def brush(annotation: Annotation, gesture: Gesture, options: Brush) -> Edit:
    """Paint ``gesture.label`` within ``radius`` of the line."""
    return painted(annotation, gesture, "brush", under(annotation, gesture, options), options)


@tool(
    "range brush",
    "Range brush",
    tip="Paint the chosen label only where the image lies between two intensities.",
    group="regions",
    kind="stroke",
    key="Shift+Q",
    options=RangeBrush,
)
def range_brush(annotation: Annotation, gesture: Gesture, options: RangeBrush) -> Edit:
    """Paint ``gesture.label`` within ``radius`` of the line, between ``low`` and ``high``."""
    return painted(annotation, gesture, "range brush", under(annotation, gesture, options), options)


@tool(
    "eraser",
    "Eraser",
    tip="Make background of what lies under the line you draw.",
    group="regions",
    kind="stroke",
    key="W",
    options=Eraser,
)
def eraser(annotation: Annotation, gesture: Gesture, options: Eraser) -> Edit:
    """Make background within ``radius`` of the line."""
    return painted(annotation, replace(gesture, label=0), "eraser", under(annotation, gesture, options), options)
