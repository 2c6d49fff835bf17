"""Padding in DICOM images (PS3.3, C.7.5.1.1.2): pixels outside the field that was scanned, as around a round CT.

They hold a value that was never measured, often -2000, which the rescale turns into -3024 "HU". ITK and 3D Slicer leave
it there; then the darkest thousandth of a scan, by which contrast is set and models normalise, is padding. Here padding
darker or brighter than everything measured takes the lowest measured value, or 0 where all are above, and a note says
so. No air is made up, padding that is 0 stays 0, and no measured voxel is touched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def padding_in(dataset: Any, frames: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Where stored values, as they were decoded, are padding; ``None`` where the file names no padding.

    The padding is one value or, with a range limit, all from one to the other. Files give it as signed or unsigned
    whatever their pixels are; its bits are what counts.
    """
    first = dataset.get("PixelPaddingValue")
    if frames.dtype.kind not in "iu" or not isinstance(first, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = np.array([first, limit if isinstance(limit, int) else first]).astype(frames.dtype)
    return np.asarray((frames >= ends.min()) & (frames <= ends.max()))


def tamed(values: NDArray[Any], padding: NDArray[np.bool_]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The values, rescaled before, with no padding outside the range of all others, and a note where there is any."""
    count = int(np.count_nonzero(padding))
    if count == 0:
        return values, ()
    start = f"{100 * count / padding.size:.2g} % of the voxels are padding outside the scanned field"
    if count == padding.size:
        return values, (f"{start}, so there is nothing to see.",)
    low = min(0, values.min(where=~padding, initial=values.max()))
    high = max(0, values.max(where=~padding, initial=values.min()))
    before = values[padding]
    after = np.where((before < low) | (before > high), low, before)
    if np.array_equal(before, after):
        return values, (f"{start} ({_said(before)}).",)
    values = values.copy()
    values[padding] = after
    return values, (f"{start}; they show {_said(after)} instead of {_said(before)} to keep the contrast right.",)


def _said(values: NDArray[Any]) -> str:
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
