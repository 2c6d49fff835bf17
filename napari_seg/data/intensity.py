"""From stored numbers to measured ones and back, shared by the formats of medicine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_seg.data.volume import labels_dtype

_SIGNED = (np.int16, np.int32, np.int64)


def rescaled(stored: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """``stored * slope + intercept``.

    Whole numbers stay whole where slope and intercept are whole (Hounsfield units stay ``int16``); otherwise the
    result is ``float32``, or ``float64`` for stored types with more than 24 significant bits. A slope of 0 or one that
    is not finite means "not scaled", as in the NIfTI standard. No values stay none.
    """
    if stored.size == 0:
        return stored
    if not np.isfinite(slope) or slope == 0 or not np.isfinite(intercept) or (slope == 1 and intercept == 0):
        return stored
    if stored.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
        signed = next((t for t in _SIGNED if _hold(t, ends)), None)
        wide = np.promote_types(signed or np.int64, np.int32)
        if signed is not None and _hold(wide, (int(slope), int(intercept))):
            return (stored.astype(wide, copy=False) * int(slope) + int(intercept)).astype(signed)
    precise = stored.dtype.kind in "iuf" and stored.dtype.itemsize > (4 if stored.dtype.kind == "f" else 2)
    floats: NDArray[Any] = stored.astype(np.float64 if precise else np.float32)
    floats *= slope
    floats += intercept
    return floats


def _hold(dtype: DTypeLike, numbers: Iterable[int]) -> bool:
    ends = np.iinfo(np.dtype(dtype))
    return all(int(ends.min) <= number <= int(ends.max) for number in numbers)


def strange_values(data: NDArray[Any]) -> tuple[str, ...]:
    """A note where voxels are not numbers or infinite; looked at slab by slab, so that a mapped file is not loaded."""
    if data.dtype.kind != "f":
        return ()
    strange = sum(int(np.count_nonzero(~np.isfinite(slab))) for slab in data)
    if not strange:
        return ()
    return (f"{strange} of {data.size} voxels are not a number or infinite.",)


def compact(data: NDArray[Any]) -> NDArray[Any]:
    """The same values in a dtype that other programs read: labels of 64 bits in the smallest that holds them.

    Bytes are in the order of this machine.
    """
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    if data.dtype == bool:
        return data.view(np.uint8)
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype in (np.int64, np.uint64) and data.min() >= 0:
        return data.astype(labels_dtype(int(data.max())))
    return data
