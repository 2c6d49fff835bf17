"""A small picture of what a step changed: what was added, taken away, and given another label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_seg.session.blocks import Grid
from napari_seg.session.records import Place
from napari_seg.tasks.base import Labels

MOST = 64
"""Blocks that are looked at: all of a slice of 512 x 512."""

GROUND, STAYED = (24, 26, 30), (120, 124, 130)
ADDED, GONE, OTHER = (86, 180, 233), (230, 159, 0), (204, 121, 167)
"""Sky blue, orange and reddish purple, which are told apart with any kind of colour vision (Okabe and Ito, 2008)."""

LEGEND = "Blue: added. Orange: taken away. Purple: another label. Grey: as before."

_ROOM = 0.2
"""So much of the length of the change is shown around it on each side."""

_LEAST = 16
"""So many voxels across are shown at the least."""

Changed = Mapping[Place, tuple[Labels, Labels]]
"""Blocks before and after."""


def to_look_at(places: Iterable[Place], grid: Grid) -> list[Place]:
    """Of the blocks that changed those that lie in one slice: in the layer of blocks with the most of them."""
    places = sorted(places)
    layers = Counter(_layer(place, grid) for place in places)
    if not layers:
        return []
    layer, _ = layers.most_common(1)[0]
    return [place for place in places if _layer(place, grid) == layer][:MOST]


def change_picture(changed: Changed, grid: Grid, spacing: tuple[float, ...], size: int) -> NDArray[np.uint8] | None:
    """``(size, size, 3)``: the part of a slice that changed, in the proportions of ``spacing``; ``None`` for nothing.

    Of a volume the slice is shown in which most voxels changed. ``changed``: blocks that lie in one slice.
    """
    index = _slice(changed, grid)
    blocks = [(corner, before[index], after[index]) for corner, before, after in _flat(changed, grid)]
    places = [(corner + np.argwhere(before != after), before, after) for corner, before, after in blocks]
    found = [where for where, _, _ in places if len(where)]
    if not found:
        return None
    low, high = np.min([w.min(0) for w in found], axis=0), np.max([w.max(0) for w in found], axis=0)
    across = np.asarray(spacing[-2:] or (1.0, 1.0), float)
    width = max(float(((high - low + 1) * across).max()) * (1 + 2 * _ROOM), _LEAST * float(across.min()))
    start, step = (low + high + 1) / 2 - width / across / 2, width / across / size
    picture = np.full((size, size, 3), GROUND, np.uint8)
    rows, columns = (np.floor(start[k] + (np.arange(size) + 0.5) * step[k]).astype(int) for k in range(2))
    for corner, before, after in blocks:
        _paint(picture, (rows - corner[0], columns - corner[1]), before, after)
    for (corner, before, after), (where, _, _) in zip(blocks, places, strict=True):
        pixels = tuple(np.clip((where + 0.5 - start) // step, 0, size - 1).astype(int).T)
        at = tuple((where - corner).T)
        picture[pixels] = _colours(before[at], after[at])  # also what lies between the lines that are sampled
    return picture


def _layer(place: Place, grid: Grid) -> tuple[str, int, int]:
    """What all blocks that one slice runs through have in common."""
    depth = grid.box(place.block)[0].start if len(grid.shape) == 3 else 0
    return place.plane, place.time, depth


def _flat(changed: Changed, grid: Grid) -> Iterator[tuple[NDArray[np.int64], Labels, Labels]]:
    """The row and the column where each block begins, and the block, depth in front."""
    for place, (before, after) in changed.items():
        corner = np.array([side.start for side in grid.box(place.block)[-2:]])
        flat = before.ndim == 2
        yield corner, before[None] if flat else before, after[None] if flat else after


def _slice(changed: Changed, grid: Grid) -> int:
    """The number, within the blocks, of the slice in which most voxels changed."""
    counts = [np.count_nonzero(before != after, axis=(1, 2)) for _, before, after in _flat(changed, grid)]
    return int(np.sum(counts, axis=0).argmax()) if counts else 0


def _paint(
    picture: NDArray[np.uint8], lines: tuple[NDArray[np.int64], NDArray[np.int64]], before: Labels, after: Labels
) -> None:
    """Paint what of a block lies under the lines of the picture."""
    inside = [np.flatnonzero((line >= 0) & (line < n)) for line, n in zip(lines, before.shape, strict=True)]
    if all(len(line) for line in inside):
        at = np.ix_(*(line[k] for line, k in zip(lines, inside, strict=True)))
        picture[np.ix_(*inside)] = _colours(before[at], after[at])


def _colours(before: Labels, after: Labels) -> NDArray[np.uint8]:
    kind = np.where(before == after, before > 0, np.where(before == 0, 2, np.where(after == 0, 3, 4)))
    return np.array([GROUND, STAYED, ADDED, GONE, OTHER], np.uint8)[kind.astype(int)]
