"""What an image shows, whatever its file is called, its format, the type of its numbers and the order of its axes.

The key of an image comes from its sizes and from a sum over all voxels of a hash of each value (a multiset hash, Clarke
et al., ASIACRYPT 2003). A sum does not care about order: a copy that is mirrored, turned, or has its axes in another
order is the same. A copy that is cropped, resampled, rescaled in its intensities or compressed with loss is another
image, and so is a slice of a volume.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume

AT_ONCE = 2**22
"""Voxels that are hashed at a time."""

_SALTS = (np.uint64(0), np.uint64(0x9E3779B97F4A7C15))
"""Two sums of 64 bits, each with hashes of its own."""

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Content:
    """``sizes``: those of the axes but single ones, from small to large. ``key`` is empty for an image of one value
    everywhere: it shows nothing that could be known again."""

    sizes: Sizes
    key: str


def possible_sizes(volume: Volume) -> set[Sizes]:
    """The sizes that the content of an image can have, known without reading a voxel."""
    axis = _colours(volume)
    return {_sizes(volume.shape)} | ({_sizes(volume.shape[:axis] + volume.shape[axis + 1 :])} if axis >= 0 else set())


def content_of(volume: Volume) -> Content:
    """Read all voxels. Of channels, or samples of a colour, that are all alike one counts: it is a grey image."""
    axis, shape = _colours(volume), volume.shape
    parts = [_sums(volume.data[(slice(None),) * axis + (k,)]) for k in range(shape[axis])] if axis >= 0 else []
    alike = len({sums for sums, _ in parts}) == 1
    if alike:
        sums, flat = parts[0]
        shape = shape[:axis] + shape[axis + 1 :]
    elif parts:
        sums = tuple(int(sum(one) % 2**64) for one in zip(*(sums for sums, _ in parts), strict=True))
        flat = False
    else:
        sums, flat = _sums(volume.data)
    sizes = _sizes(shape)
    return Content(sizes, "" if flat else hashlib.blake2b(f"{sizes} {sums}".encode(), digest_size=16).hexdigest())


def _colours(volume: Volume) -> int:
    """The place of the axis of channels or samples; -1 where there is none."""
    return next((volume.axes.index(axis) for axis in "SC" if volume.size(axis) > 1), -1)


def _sizes(shape: tuple[int, ...]) -> Sizes:
    return tuple(sorted(n for n in shape if n > 1))


def _sums(data: Any) -> tuple[tuple[int, ...], bool]:
    """The sums over an array (numpy, zarr or dask), and whether one value is everywhere."""
    totals = [0] * len(_SALTS)
    low, high = 2**64, -1  # of the bits, which differ where values differ
    step = max(1, AT_ONCE // max(1, int(np.prod(data.shape[1:]))))
    for start in range(0, data.shape[0], step):
        found, counts = _counted(np.asarray(data[start : start + step]))
        low, high = min(low, int(found.min())), max(high, int(found.max()))
        for number, salt in enumerate(_SALTS):
            totals[number] += int((_mixed(found ^ salt) * counts).sum(dtype=np.uint64))
    return tuple(total % 2**64 for total in totals), low == high


def _counted(part: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The bits of values as float64, and how often each occurs."""
    if part.dtype.kind in "bui" and part.dtype.itemsize <= 2:
        native, bits = part.dtype.newbyteorder("="), f"u{part.dtype.itemsize}"
        counts = np.bincount(part.astype(native).ravel().view(bits))
        found = np.flatnonzero(counts)
        values = found.astype(bits).view(native).astype(np.float64)
        return values.view(np.uint64), counts[found].astype(np.uint64)
    numbers = part.ravel().astype(np.float64) + 0.0  # -0 is 0
    numbers[np.isnan(numbers)] = np.nan  # of the many bits of NaN one kind
    return numbers.view(np.uint64), np.ones(1, np.uint64)


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of each number: the finaliser of splitmix64 (Steele et al., OOPSLA 2014)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
