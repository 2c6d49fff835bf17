"""Which intensities a range brush should paint: those around a click, or those of what is painted already."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.painting import intensities, named
from napari_seg.editing.reach import reached, swept
from napari_seg.editing.selection import spacing_of
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError

Range = tuple[float, float]
"""The lowest and the highest intensity, both in it."""

_SHARE = 1 / 3
"""Of the brush this share of the radius is looked at: its rim often lies on something else."""

_LEAST = 1.5
"""But so many voxels at the least."""

_WIDTH = 2.5
"""Standard deviations on either side of the middle, which hold 99 of 100 voxels of even ground."""

_TO_DEVIATION = 1.4826
"""From the median of the absolute differences to the standard deviation; an edge in it hardly counts."""

_TAIL = 5
"""Percent of the voxels of a label that are left out at either end."""


def around(annotation: Annotation, gesture: Gesture, radius: float) -> Range:
    """The range of what lies under the first point, in the slice that is shown. ``radius``: that of the brush.

    Raises ``SegError`` without an image, and outside it.
    """
    spacing = spacing_of(annotation)
    fine = min(spacing[axis] for axis in gesture.shown)
    area = swept(
        gesture.points[:1], max(radius * _SHARE, _LEAST * fine), spacing, reached(annotation, gesture, "slice")
    )
    values = intensities(annotation, area.box)[area.mask] if area.mask.any() else np.zeros(0, np.float32)
    values = values[np.isfinite(values)]
    if not values.size:
        raise SegError("There is nothing to measure here; click inside the image.")
    middle = float(np.median(values))
    deviation = _TO_DEVIATION * float(np.median(np.abs(values - middle)))
    return _rounded(annotation, middle - _WIDTH * deviation, middle + _WIDTH * deviation)


def of_label(annotation: Annotation, gesture: Gesture) -> Range:
    """The range of the label of the gesture in the slice that is shown, without its extremes.

    Raises ``SegError`` without an image, and where nothing of the label lies in the slice.
    """
    box = reached(annotation, gesture, "slice")
    values = intensities(annotation, box)[annotation.labels[box] == gesture.label]
    values = values[np.isfinite(values)]
    if not values.size:
        what = named(annotation, gesture.label)
        raise SegError(f"There is nothing of {what} in this slice; show one that has some, or click where to paint.")
    low, high = np.percentile(values, (_TAIL, 100 - _TAIL))
    return _rounded(annotation, float(low), float(high))


def _rounded(annotation: Annotation, low: float, high: float) -> Range:
    """Ends that a person can read: whole numbers where the image holds those, else three digits of the width."""
    image: NDArray[np.generic] | None = annotation.image
    if image is not None and np.dtype(image.dtype).kind in "iub":
        return float(math.floor(low)), float(math.ceil(high))
    width = high - low or abs(high) or 1.0
    digits = 2 - math.floor(math.log10(width))
    return math.floor(low * 10**digits) / 10**digits, math.ceil(high * 10**digits) / 10**digits
