"""From one regular grid to another over the same field of view, block by block.

Both grids cover the same extent, edge to edge; values sit in the middle of their voxels. Interpolation is linear; where
the new grid is coarser, the triangle of the interpolation widens to the new voxel, so that detail that the new grid
cannot hold is averaged and not aliased (the "antialiased bilinear" of image libraries). Every axis is one sparse
matrix, and the rows for a block name the voxels that must be read for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def whole(length: float) -> int:
    """How many voxels are as long as that, one at least. What a file rounds in its spacing does not decide: 38.5000008
    is 38.5."""
    return max(1, round(round(length, 3)))


@dataclass(frozen=True)
class Resampling:
    """One axis: from ``source`` voxels to ``target`` voxels."""

    source: int
    target: int

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Which voxels of the source the target voxels ``start`` to ``stop`` are made of."""
        if self.source == self.target:
            return start, stop
        centres, reach = self._centres(start, stop)
        first = int(np.floor(centres[0] - reach)) + 1
        last = int(np.ceil(centres[-1] + reach)) - 1
        return min(max(first, 0), self.source - 1), min(max(last, 0), self.source - 1) + 1

    def apply(self, array: NDArray[np.float32], axis: int, start: int, stop: int) -> NDArray[np.float32]:
        """Target voxels ``start`` to ``stop`` from an array that holds just what :meth:`needs` names along ``axis``."""
        if self.source == self.target:
            return array
        front = np.moveaxis(array, axis, 0)
        flat = self._matrix(start, stop) @ np.ascontiguousarray(front).reshape(len(front), -1)
        return np.moveaxis(flat.reshape(stop - start, *front.shape[1:]), 0, axis)

    def _centres(self, start: int, stop: int) -> tuple[NDArray[np.float64], float]:
        """Where the target voxels lie in the source, and how far each reaches to both sides."""
        step = self.source / self.target
        return (np.arange(start, stop, dtype=np.float64) + 0.5) * step - 0.5, max(step, 1.0)

    def _matrix(self, start: int, stop: int) -> Any:
        centres, reach = self._centres(start, stop)
        first, last = self.needs(start, stop)
        span = np.floor(centres - reach).astype(np.int64)[:, None] + np.arange(1, int(np.ceil(2 * reach)) + 1)
        weights = np.maximum(0, 1 - np.abs(span - centres[:, None]) / reach)
        weights[(span < first) | (span >= last)] = 0  # also of those that only rounding lets in
        weights /= weights.sum(1, keepdims=True)
        columns = span - first
        used = weights > 0
        rows = np.broadcast_to(np.arange(stop - start)[:, None], span.shape)
        entries = (weights[used].astype(np.float32), (rows[used], columns[used]))
        return csr_array(entries, shape=(stop - start, last - first))


def resampled(array: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A whole array ``(channels, *grid)`` on the grid ``shape``."""
    for axis, (source, target) in enumerate(zip(array.shape[1:], shape, strict=True), start=1):
        array = Resampling(source, target).apply(array, axis, 0, target)
    return array
