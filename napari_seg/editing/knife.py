"""A line drawn over an object, and the pieces it leaves.

The general pattern is: 1. an end that does not quite reach the border is lengthened to it; 2. the voxels of the line
are cut out, in all slices, so that pieces do not even touch at a corner; 3. what hangs together is a piece; 4. the
voxels of the line, crumbs, and parts that hung loose before go to the nearest piece, those of the line as seen from the
side of it on which their centres lie: no voxel of the object is lost.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.pieces import Pieces
from napari_seg.editing.reach import Mask
from napari_seg.editing.selection import components

Places = NDArray[np.integer]
"""Voxels of the shown slice, ``(n, 2)``."""

_SHORT = 5.0
"""A line may end so many voxels before the border of the object."""

_CRUMB = 0.02
"""A third piece is a crumb, not a piece, if it has less than this share of the object: lines graze rough borders."""


def cells(line: NDArray[np.float64]) -> Places:
    """The voxels under a line ``(points, 2)``, in its order: each shares a side with the next, so nothing slips by."""
    found = [np.floor(line[:1] + 0.5).astype(np.int64)]
    for a, b in pairwise(line):
        steps = int(np.ceil(2 * np.abs(b - a).max()))
        found.append(np.floor(np.linspace(a, b, steps + 1)[1:] + 0.5).astype(np.int64))
    path = np.concatenate(found)
    corners = np.stack([path[1:, 0], path[:-1, 1]], 1)  # between two voxels that touch at a corner only
    both = np.stack([path[:-1], corners], 1).reshape(-1, 2)
    path = np.concatenate([both, path[-1:]])
    new = np.append(True, (np.diff(path, axis=0) != 0).any(1))
    return np.asarray(path[new])


def lengthened(line: NDArray[np.float64], drawn: Mask, shadow: Mask) -> NDArray[np.float64]:
    """The line, led on at both ends.

    ``drawn``: the object in the slice in which the line was drawn. An end inside it is led on, in its own direction, if
    that leaves the object within a few voxels. ``shadow``: the object as seen through all slices. Every end that is
    outside is led on through it, so that slices in which the object is wider are cut through too.
    """
    if len(line) < 2:
        return line
    return np.concatenate([_end(line[::-1], drawn, shadow)[::-1], line, _end(line, drawn, shadow)])


def _end(line: NDArray[np.float64], drawn: Mask, shadow: Mask) -> NDArray[np.float64]:
    """The points to add after the last one: one or none."""
    last = line[-1]
    far = np.flatnonzero(np.linalg.norm(line - last, axis=1) >= _SHORT)
    step = last - line[far[-1] if len(far) else 0]
    length = float(np.linalg.norm(step))
    if not length:
        return line[:0]
    ray = last + np.arange(0, sum(shadow.shape) + 1, 0.5)[:, None] * step / length
    inside, beneath = _under(drawn, ray), _under(shadow, ray)
    if inside[: int(2 * _SHORT) + 2].all():
        return line[:0]
    outside = int(np.argmin(inside))
    stop = outside + int(np.argmin(beneath[outside:]))
    return np.asarray(ray[stop : stop + 1])


def _under(mask: Mask, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """What the mask says at points; ``False`` outside."""
    places = np.floor(points + 0.5).astype(np.int64)
    there = ((places >= 0) & (places < mask.shape)).all(1)
    found = np.zeros(len(places), bool)
    found[there] = mask[tuple(places[there].T)]
    return found


def pieces(mask: Mask, line: NDArray[np.float64], axes: tuple[int, int], spacing: tuple[float, ...]) -> Pieces | None:
    """The pieces of ``mask`` along a ``line`` (in its box, along ``axes``); ``None`` if it does not divide it."""
    wall = np.zeros([mask.shape[axis] for axis in axes], bool)
    path = cells(line)
    path = path[((path >= 0) & (path < wall.shape)).all(1)]
    wall[tuple(path.T)] = True
    aside = np.zeros((*wall.shape, 2))
    aside[tuple(path.T)] = _aside(path, line)
    wall = wall.T if axes[0] > axes[1] else wall
    cut = mask & wall.reshape([n if axis in axes else 1 for axis, n in enumerate(mask.shape)])
    before, many = components(mask)
    found, _ = components(mask & ~cut)
    sizes = np.bincount(found.ravel())
    sizes[0] = 0
    if many > 1:  # a part that hung loose and was not cut is no piece
        loose = np.ones(many + 1, bool)
        loose[before[cut]] = False
        sizes[np.unique(found[loose[before]])] = 0
    order = np.argsort(-sizes, kind="stable")
    real = [k for rank, k in enumerate(order.tolist()) if sizes[k] > (0 if rank < 2 else _CRUMB * sizes.sum())]
    if len(real) < 2:
        return None
    numbers = np.zeros(len(sizes), np.int64)
    numbers[real] = np.arange(1, len(real) + 1)
    whole = numbers[found]
    places = np.argwhere(mask & (whole == 0)).astype(np.float64)
    rows, columns = places[:, axes].astype(np.int64).T
    places[:, axes] += aside[rows, columns]
    return to_nearest(whole, mask, spacing, places)


def _aside(path: Places, line: NDArray[np.float64]) -> NDArray[np.float64]:
    """A step of a quarter of a voxel from each voxel of a line, away from the line: a wall that is one voxel thick is
    as near to both of its sides."""
    starts, ways = line[:-1], np.diff(line, axis=0)
    squares = np.maximum((ways**2).sum(1), 1e-12)
    along = np.clip(((path[:, None] - starts) * ways).sum(2) / squares, 0, 1)
    off = path[:, None] - starts - along[..., None] * ways
    nearest = off[np.arange(len(path)), (off**2).sum(2).argmin(1)]
    return np.asarray(0.25 * nearest / np.maximum(np.linalg.norm(nearest, axis=1, keepdims=True), 1e-9))


def to_nearest(
    pieces: Pieces, mask: Mask, spacing: tuple[float, ...], places: NDArray[np.float64] | None = None
) -> Pieces:
    """Voxels of the mask that belong to no piece go to the piece whose voxel is nearest, in physical units. ``places``:
    from where they are seen, in voxels and in their order."""
    from scipy.spatial import KDTree

    rest = np.argwhere(mask & (pieces == 0))
    if not len(rest):
        return pieces
    near = np.argwhere(_rim(pieces))
    _, nearest = KDTree(near * spacing).query((rest if places is None else places) * np.array(spacing))
    given = pieces.copy()
    given[tuple(rest.T)] = pieces[tuple(near[nearest].T)]
    return given


def _rim(pieces: Pieces) -> Mask:
    """The voxels of pieces with a neighbour of another number: the nearest voxel of a piece is always one of them."""
    rim = np.zeros(pieces.shape, bool)
    for axis in range(pieces.ndim):
        low = (slice(None),) * axis + (slice(None, -1),)
        high = (slice(None),) * axis + (slice(1, None),)
        step = pieces[low] != pieces[high]
        rim[low] |= step
        rim[high] |= step
    return rim & (pieces > 0)
