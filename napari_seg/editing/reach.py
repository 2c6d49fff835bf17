"""Where a gesture lies: the slice it was made in, and the voxels near a drawn line.

An area is a box and a mask in it, never a mask of the whole grid: all that a tool costs depends on what was drawn, not
on the size of the volume. Distances are physical, so that a ball in millimetres is an ellipsoid in voxels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation, Box, whole
from napari_seg.editing.tools import Gesture, Reach
from napari_seg.errors import SegError

Mask = NDArray[np.bool_]

Point = tuple[float, ...]
"""A place in voxel coordinates: whole numbers are the middles of voxels."""


@dataclass(frozen=True, eq=False)
class Area:
    """Some voxels: those of ``box`` where ``mask``, an array of its shape, is true."""

    box: Box
    mask: Mask


def overlapping(a: Box, b: Box) -> Box:
    """What two boxes share; sides of length 0 where they share nothing."""
    sides = [(max(x.start, y.start), min(x.stop, y.stop)) for x, y in zip(a, b, strict=True)]
    return tuple(slice(start, max(start, stop)) for start, stop in sides)


def relative(box: Box, to: Box) -> Box:
    """The same box counted from the start of another one."""
    return tuple(slice(b.start - t.start, b.stop - t.start) for b, t in zip(box, to, strict=True))


def voxel(point: Point) -> tuple[int, ...]:
    """The voxel that a point lies in."""
    return tuple(math.floor(p + 0.5) for p in point)


def first_voxel(annotation: Annotation, gesture: Gesture) -> tuple[int, ...]:
    """The voxel under the first point. Raises ``SegError`` outside the image."""
    if not gesture.points:
        raise SegError("Nothing was pointed at; point at a place in the image.")
    index = voxel(gesture.points[0])
    if not all(0 <= i < n for i, n in zip(index, annotation.grid, strict=True)):
        raise SegError("This place lies outside the image; point at a place in it.")
    return index


def shown_axes(annotation: Annotation, gesture: Gesture) -> tuple[int, int]:
    """The two axes of the slice, rows first, counted from 0."""
    rows, columns = (axis % annotation.labels.ndim for axis in gesture.shown)
    return rows, columns


def reached(annotation: Annotation, gesture: Gesture, reach: Reach) -> Box:
    """The slice that the first point lies in, or the whole grid. Raises ``SegError`` for a slice that is none."""
    if reach == "volume":
        return whole(annotation.grid)
    if not gesture.points:
        raise SegError("Nothing was pointed at; point at a place in the image.")
    box, shown = [], shown_axes(annotation, gesture)
    for axis, (i, n) in enumerate(zip(voxel(gesture.points[0]), annotation.grid, strict=True)):
        if axis not in shown and not 0 <= i < n:
            raise SegError("This slice lies outside the volume; show one inside it.")
        box.append(slice(0, n) if axis in shown else slice(i, i + 1))
    return tuple(box)


def swept(points: Sequence[Point], radius: float, spacing: tuple[float, ...], within: Box) -> Area:
    """The voxels of the box ``within`` whose middles lie within ``radius`` (in the unit of ``spacing``) of a line.

    The line leads through ``points``, one or more. The voxels that it passes through belong to it however thin it is.
    Sides of ``within`` that are one voxel thick do not count as distance: there the area is a disc, elsewhere a ball.
    The mask is empty where the line lies far outside.
    """
    radius *= 1 + 1e-9  # what lies on the edge is in, however the numbers were rounded
    units = np.array([s if side.stop - side.start > 1 else 0.0 for s, side in zip(spacing, within, strict=True)])
    places = np.array(points, float)
    places = places[np.append(True, (np.diff(places, axis=0) != 0).any(1))]  # a resting mouse says nothing new
    reach = np.array([radius / unit if unit else np.inf for unit in units])
    line = _passed(places)
    box = _around(places, np.maximum(reach, 1.0), within)
    start = np.array([side.start for side in box])
    mask = np.zeros([side.stop - side.start for side in box], bool)
    for a, b in pairwise(places if len(places) > 1 else np.repeat(places, 2, axis=0)):
        part = _around(np.stack([a, b]), reach, box)
        mask[relative(part, box)] |= _near(a, b, radius, units, part)
    line = np.where(units > 0, line - start, 0)
    line = line[((line >= 0) & (line < mask.shape)).all(1)]
    mask[tuple(line.T)] = True
    return Area(box, mask)


def _around(places: NDArray[np.float64], reach: NDArray[np.float64], within: Box) -> Box:
    """The box of ``within`` that holds everything near; empty sides where there is nothing."""
    box = []
    for near, low, high, side in zip(reach, places.min(0), places.max(0), within, strict=True):
        first = side.start if np.isinf(near) else max(side.start, math.ceil(low - near))
        last = side.stop if np.isinf(near) else min(side.stop, math.floor(high + near) + 1)
        box.append(slice(min(first, side.stop), max(last, min(first, side.stop))))
    return tuple(box)


def _near(a: NDArray[np.float64], b: NDArray[np.float64], radius: float, units: NDArray[np.float64], box: Box) -> Mask:
    """Which voxels of a box lie within ``radius`` of the line from ``a`` to ``b``."""
    away = [
        (np.arange(side.start, side.stop) - origin) * unit for side, origin, unit in zip(box, a, units, strict=True)
    ]
    offsets = np.meshgrid(*away, indexing="ij", sparse=True)
    squares = sum((offset**2 for offset in offsets), np.zeros((1,) * len(box)))
    step = (b - a) * units
    length = float(step @ step)
    if length:
        along = sum((offset * s for offset, s in zip(offsets, step, strict=True)), np.zeros((1,) * len(box)))
        share = np.clip(along / length, 0, 1)
        squares = squares - share * (2 * along - share * length)
    near: Mask = squares <= radius**2
    return near


def _passed(places: NDArray[np.float64]) -> NDArray[np.int64]:
    """The voxels that the line passes through, ``(voxels, axes)``: no step is longer than one voxel on any axis."""
    parts = [places[:1]]
    for a, b in pairwise(places):
        parts.append(np.linspace(a, b, math.ceil(np.abs(b - a).max()) + 1)[1:])
    return np.floor(np.concatenate(parts) + 0.5).astype(np.int64)
