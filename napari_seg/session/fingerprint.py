"""What an image is known by, whatever its file is called and wherever it lies."""

from __future__ import annotations

import hashlib

import numpy as np

from napari_seg.data.volume import Volume

SAMPLES = 3
"""Blocks that are looked at along each axis."""

SIDE = 16
"""Voxels of a block along each axis."""


def fingerprint(volume: Volume) -> str:
    """From the axes, the shape, the dtype and some blocks of voxels: at once, also for an image that is read lazily.

    Two images that differ nowhere in these blocks have the same one; :func:`voxels_hash` tells them apart.
    """
    found = hashlib.blake2b(digest_size=16)
    found.update(f"{volume.axes} {volume.shape} {volume.dtype.str}".encode())
    starts = [sorted({round(k * max(0, n - SIDE) / (SAMPLES - 1)) for k in range(SAMPLES)}) for n in volume.shape]
    for index in np.ndindex(*(len(side) for side in starts)):
        box = tuple(slice(side[k], side[k] + SIDE) for side, k in zip(starts, index, strict=True))
        found.update(np.ascontiguousarray(volume.data[box]).tobytes())
    return found.hexdigest()


def voxels_hash(volume: Volume) -> str:
    """From every voxel, plane by plane."""
    found = hashlib.blake2b(digest_size=16)
    found.update(f"{volume.axes} {volume.shape} {volume.dtype.str}".encode())
    for plane in range(volume.shape[0]):
        found.update(np.ascontiguousarray(volume.data[plane]).tobytes())
    return found.hexdigest()
