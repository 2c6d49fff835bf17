"""What an image is known by, whatever its file is called and wherever it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from napari_seg.data.volume import Volume

PLANES = 25
"""Planes that are looked at: spread over depth, channels and time."""

SIDES, SIDE = 3, 256
"""Squares of a plane that are looked at along rows and columns, and pixels of each side."""

AT_ONCE = 2**24
"""Voxels that are read at once for the hash of all of them."""


def fingerprint(volume: Volume) -> str:
    """From the axes, the shape, the dtype and some squares of some planes: at once, also for an image that is read
    lazily.

    Two images that differ nowhere in these squares have the same one; :func:`voxels_hash` tells them apart.
    """
    found = _began(volume)
    outer = volume.axes.index("Y")
    planes = int(np.prod(volume.shape[:outer]))
    rows, columns = (list(_squares(volume.size(axis))) for axis in "YX")
    for number in sorted({(2 * k + 1) * planes // (2 * PLANES) for k in range(PLANES)} if planes else ()):
        index = tuple(int(k) for k in np.unravel_index(number, volume.shape[:outer]))
        for y in rows:
            for x in columns:
                found.update(np.ascontiguousarray(volume.data[(*index, y, x)]).tobytes())
    return found.hexdigest()


def tells_all(volume: Volume) -> bool:
    """Whether the squares that :func:`fingerprint` looks at are the whole image."""
    planes = int(np.prod(volume.shape[: volume.axes.index("Y")]))
    return planes <= PLANES and all(volume.size(axis) <= SIDES * SIDE for axis in "YX")


def voxels_hash(volume: Volume, stop: Callable[[], bool] = lambda: False) -> str:
    """From every voxel. ``stop`` is asked now and then; where it says so the hash is empty."""
    found = _began(volume)
    step = max(1, AT_ONCE // max(1, int(np.prod(volume.shape[1:]))))
    for start in range(0, volume.shape[0], step):
        if stop():
            return ""
        found.update(np.ascontiguousarray(volume.data[start : start + step]).tobytes())
    return found.hexdigest()


def identity(volume: Volume) -> tuple[str, str]:
    """The fingerprint of an image, and the hash of its voxels where the fingerprint does not tell all."""
    return fingerprint(volume), "" if tells_all(volume) else voxels_hash(volume)


def _began(volume: Volume) -> hashlib.blake2b:
    found = hashlib.blake2b(digest_size=16)
    found.update(f"{volume.axes} {volume.shape} {volume.dtype.str}".encode())
    return found


def _squares(length: int) -> Iterator[slice]:
    """Spans of a side: all of it where they would meet, else at its ends and between."""
    if length <= SIDES * SIDE:
        yield slice(0, length)
        return
    for k in range(SIDES):
        start = k * (length - SIDE) // (SIDES - 1)
        yield slice(start, start + SIDE)
