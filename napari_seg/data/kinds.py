"""Is an array an image or labels? Told where it is certain, asked where it is not."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume

Kind = Literal["image", "labels"]

_SLICES = 16
_FLAT = 0.85
"""Neighbours inside objects are equal this often in labels; in images noise and shading keep it far below."""

_FEW = 16
"""An image has more different values than this; labels, thin ones too, may have fewer."""


def kind_of(volume: Volume) -> Kind | None:
    """What a volume is, or ``None`` where it has to be asked: few whole numbers, or flat patches, may be either."""
    source = volume.source
    if volume.dtype == bool or (source is not None and (source.modality == "SEG" or "classes" in source.header)):
        return "labels"
    if "S" in volume.axes:
        return "image"
    values = _sample(volume)
    if "C" in volume.axes:  # planes of a mask hold nothing but 0 and 1
        return "image" if values.dtype.kind == "f" or values.min() < 0 or values.max() > 1 else None
    if values.dtype.kind == "f" and not np.array_equal(values, np.round(values)):
        return "image"
    if values.min() < 0:
        return "image"
    left, right = values[..., :-1], values[..., 1:]
    inside = (left > 0) & (right > 0)
    flat = np.count_nonzero(inside & (left == right)) / max(1, int(np.count_nonzero(inside)))
    return None if flat >= _FLAT or len(np.unique(values)) <= _FEW else "image"


def _sample(volume: Volume) -> NDArray[np.number]:
    """Some slices, spread over the volume: an array of (slices, y, x), or of (slices, channels, y, x)."""
    data = volume.levels[-1] if volume.levels else volume.data
    leading = [range(1) if axis == "T" else range(n) for axis, n in zip(volume.axes[:-2], data.shape, strict=False)]
    if not leading:
        return np.asarray(data)[None]
    depth = leading[-1]
    chosen = np.unique(np.linspace(0, len(depth) - 1, min(_SLICES, len(depth))).astype(int))
    index = tuple(slice(None) if axis == "C" else 0 for axis in volume.axes[: len(leading) - 1])
    return np.stack([np.asarray(data[(*index, int(k))]) for k in chosen])
