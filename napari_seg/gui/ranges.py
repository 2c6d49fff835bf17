"""The range of intensities of a brush fills itself: from the first click, or from what is painted with the label."""

from __future__ import annotations

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.painting import Painting
from napari_seg.editing.ranging import Range, around
from napari_seg.editing.tools import Gesture


def is_open(options: object) -> bool:
    """Whether a tool paints in a range that nobody has given yet."""
    return isinstance(options, Painting) and options.mode == "range" and options.low is None and options.high is None


def range_for(options: Painting, at: tuple[Annotation, Gesture], radius: float) -> Range:
    """The range that a click would paint in: the one that is given, else that of what lies there."""
    if is_open(options):
        return around(*at, radius)
    low, high = options.low, options.high
    return -float("inf") if low is None else low, float("inf") if high is None else high
