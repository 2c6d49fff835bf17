"""Where the tiles lie on a grid, and how their scores are blended.

Each axis is tiled for itself and the tiles are all products of the axes. Of equal tiles as many as the overlap asks for
are spread evenly, the first at the start, the last at the end. Their weights along an axis are Gaussians divided by the
sum of all Gaussians there, so that the weights of a pixel, the product over the axes, always sum to one: scores are
multiplied and added, and no sum of weights has to be kept or divided by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_seg.errors import SegError

SIGMA = 1 / 8
"""The width of the Gaussian as a fraction of the tile, as in nnU-Net (Isensee et al., Nature Methods 2021)."""


@dataclass(frozen=True, eq=False)
class Axis:
    """The tiles along one axis of ``length`` pixels, padded by ``before`` and ``after``.

    ``starts`` count in the padded axis; ``weights[k]`` is the share of tile ``k`` in each of its ``tile`` pixels.
    """

    length: int
    tile: int
    before: int
    after: int
    starts: tuple[int, ...]
    weights: NDArray[np.float32]

    @property
    def padded(self) -> int:
        return self.before + self.length + self.after


def tile_axis(length: int, tile: int, overlap: float, multiple: int) -> Axis:
    """Tile one axis. The tile shrinks to the axis where that is shorter, and is rounded up to ``multiple``.

    ``overlap``: the smallest share of a tile, 0 to below 1, that it has in common with the next.
    """
    tile = min(_up(tile, multiple), _up(length, multiple))
    padded = max(length, tile)
    count = _count(padded, tile, overlap)
    starts = tuple(round(k * (padded - tile) / max(count - 1, 1)) for k in range(count))
    bell = np.exp(-0.5 * ((np.arange(tile) - (tile - 1) / 2) / (SIGMA * tile)) ** 2)
    total = np.zeros(padded)
    for start in starts:
        total[start : start + tile] += bell
    weights = np.stack([bell / total[start : start + tile] for start in starts]).astype(np.float32)
    before = (padded - length) // 2
    return Axis(length, tile, before, padded - length - before, starts, weights)


def computed(length: int, tile: int, overlap: float) -> int:
    """How many pixels of an axis are computed in all, those that two tiles share twice."""
    return _count(length, tile, overlap) * min(tile, length)


def _count(length: int, tile: int, overlap: float) -> int:
    step = max(1, math.floor(tile * (1 - overlap)))
    return 1 + math.ceil(max(length - tile, 0) / step)


def tile_grid(
    grid: tuple[int, ...], tile: tuple[int, ...], overlap: float, multiple: tuple[int, ...]
) -> tuple[Axis, ...]:
    """Tile a grid: one :class:`Axis` for each of its axes."""
    return tuple(tile_axis(n, t, overlap, m) for n, t, m in zip(grid, tile, multiple, strict=True))


def _up(length: int, multiple: int) -> int:
    return -(-max(length, 1) // multiple) * multiple


def smaller(tile: tuple[int, ...], multiple: tuple[int, ...]) -> tuple[int, ...]:
    """The tile with its longest side halved. Raises ``SegError`` where it is as small as the network allows."""
    longest = max(range(len(tile)), key=lambda k: tile[k] / multiple[k])
    half = max(tile[longest] // 2 // multiple[longest], 1) * multiple[longest]
    if half >= tile[longest]:
        raise SegError("There is not enough memory even for the smallest tiles; close other programs or choose a box.")
    return (*tile[:longest], half, *tile[longest + 1 :])
