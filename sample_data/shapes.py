"""Smooth bodies in a patient, as fields of signed distance in millimetres: negative inside, positive outside.

World coordinates are those of NIfTI: x grows towards the patient's right, y to anterior, z to superior. The distances
are exact for balls and tubes, and close enough near the surface of the rest.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from physics import smooth_noise

Field = NDArray[np.float32]
Point = tuple[float, float, float]


_FAR = 1e3  # what a body's field holds out of its reach
_MARGIN = 30.0  # in mm: the reach of a body's field beyond its surface


@dataclass(frozen=True)
class Space:
    """The world coordinates of the voxels of an array with axes z, y, x, which grow to S, P and L.

    ``lines`` are the coordinates of the unwarped grid along each axis: bodies are computed only around themselves.
    """

    x: Field
    y: Field
    z: Field
    lines: tuple[Field, Field, Field]

    @classmethod
    def of(cls, shape: tuple[int, int, int], spacing: Point, centre: Point = (0, 0, 0)) -> Space:
        """A grid of ``shape`` and ``spacing`` (both z, y, x) around ``centre`` (x, y, z)."""
        steps = [(np.arange(n, dtype=np.float32) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
        x, y, z = centre[0] - steps[2], centre[1] - steps[1], centre[2] + steps[0]
        full = (x[None, None, :], y[None, :, None], z[:, None, None])
        return cls(*(np.broadcast_to(axis.astype(np.float32), shape) for axis in full), lines=(z, y, x))

    def warped(self, rng: np.random.Generator, reach: float, scale: tuple[float, ...]) -> Space:
        """The space with every point moved by about ``reach`` mm, smoothly over ``scale`` voxels."""
        moved = (axis + np.float32(reach) * smooth_noise(rng, axis.shape, scale) for axis in (self.x, self.y, self.z))
        return Space(*moved, lines=self.lines)

    def ellipsoid(self, centre: Point, radii: Point, power: float = 2.0, turn: float = 0.0) -> Field:
        """An ellipsoid (``power`` 2) or a rounder box (above 2), turned by ``turn`` degrees in the slice plane."""
        widest = max(radii[:2])
        low = (centre[0] - widest, centre[1] - widest, centre[2] - radii[2])
        high = (centre[0] + widest, centre[1] + widest, centre[2] + radii[2])
        part = self._around(low, high)
        c, s = float(np.cos(np.radians(turn))), float(np.sin(np.radians(turn)))
        x, y, z = self.x[part] - centre[0], self.y[part] - centre[1], self.z[part] - centre[2]
        parts = ((c * x + s * y) / radii[0], (c * y - s * x) / radii[1], z / radii[2])
        if power == 2:
            radius = np.sqrt(sum(part * part for part in parts))
        else:
            radius = sum(np.abs(part) ** power for part in parts) ** (1 / power)
        return self._placed((radius - 1) * min(radii), part)

    def tube(self, points: list[Point], radius: float, end: float | None = None) -> Field:
        """A tube along a line of points, from ``radius`` to ``end`` thick."""
        thick = max(radius, radius if end is None else end)
        low, high = np.min(points, 0) - thick, np.max(points, 0) + thick
        part = self._around(tuple(low), tuple(high))
        x, y, z = self.x[part], self.y[part], self.z[part]
        sizes = np.linspace(radius, radius if end is None else end, len(points)).tolist()
        found = np.full(x.shape, _FAR, np.float32)
        for k, (a, b) in enumerate(itertools.pairwise(points)):
            u = tuple(float(q - p) for p, q in zip(a, b, strict=True))
            away = (x - float(a[0]), y - float(a[1]), z - float(a[2]))
            t = np.clip((away[0] * u[0] + away[1] * u[1] + away[2] * u[2]) / (sum(v * v for v in u) + 1e-9), 0, 1)
            gap = np.sqrt(sum((w - t * v) ** 2 for w, v in zip(away, u, strict=True)))
            found = np.minimum(found, gap - (sizes[k] + t * (sizes[k + 1] - sizes[k])))
        return self._placed(found, part)

    def _around(self, low: Point, high: Point) -> tuple[slice, ...]:
        parts = []
        for line, start, stop in zip(self.lines, low[::-1], high[::-1], strict=True):
            inside = np.flatnonzero((line > start - _MARGIN) & (line < stop + _MARGIN))
            parts.append(slice(inside[0], inside[-1] + 1) if len(inside) else slice(0, 0))
        return tuple(parts)

    def _placed(self, found: Field, part: tuple[slice, ...]) -> Field:
        whole = np.full(self.x.shape, _FAR, np.float32)
        whole[part] = found
        return whole


def union(*bodies: Field, soft: float = 4.0) -> Field:
    """Bodies joined; edges closer than ``soft`` mm melt together (Quilez' polynomial smooth minimum)."""
    joined = bodies[0]
    for body in bodies[1:]:
        near = np.maximum(soft - np.abs(body - joined), 0)
        joined = np.minimum(body, joined) - near * near / (4 * soft)
    return joined
