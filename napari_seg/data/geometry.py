"""Where a voxel lies in the world. Everything here is exact: axes are permuted and flipped, never resampled.

The world is that of NIfTI, "RAS+", in millimetres: its first coordinate grows towards the patient's right, its second
towards anterior, its third towards superior. An affine is always 4 x 4 and maps the homogeneous index ``(z, y, x, 1)``
of an array to ``(right, anterior, superior, 1)``; a 2D image is the slice ``z = 0``.

On the screen a patient lies as in a radiology viewer: slices from the head to the feet, rows from anterior to
posterior, columns from the patient's right to the left. That is the orientation :data:`DISPLAY` of the three axes. With
it the coronal and sagittal views, whose rows are slices, have the head at the top, and the volume is no mirror image in
3D, where napari draws the first axis towards the viewer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISPLAY = "IPL"
"""The sides towards which the axes z, y and x of every volume in patient space point, as closely as turns allow."""

_SIDES = ("RL", "AP", "SI")  # positive and negative end of each world axis


@dataclass(frozen=True)
class Reorder:
    """An invertible change of the order and direction of axes: first permuted, then flipped.

    Axis ``k`` of the result is axis ``order[k]`` of the stored array, backwards where ``flip[k]``.
    """

    order: tuple[int, ...]
    flip: tuple[bool, ...]

    def apply(self, stored: Any) -> Any:
        """The stored array seen in the new order (a view where the array type has views)."""
        return stored.transpose(self.order)[self._flips]

    def undo(self, array: Any) -> Any:
        """The inverse of :meth:`apply`."""
        return array[self._flips].transpose(tuple(int(k) for k in np.argsort(self.order)))

    def within(self, ndim: int, first: int) -> Reorder:
        """The same change for an array of ``ndim`` axes of which those from ``first`` on are the ones meant."""
        last = first + len(self.order)
        order = (*range(first), *(first + k for k in self.order), *range(last, ndim))
        return Reorder(order, (False,) * first + self.flip + (False,) * (ndim - last))

    @property
    def in_plane(self) -> Reorder:
        """The change of a single slice, from that of its three axes, of which the first is the normal and stays."""
        return Reorder(tuple(k - 1 for k in self.order[1:]), self.flip[1:])

    @property
    def _flips(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flipped else slice(None) for flipped in self.flip)

    def affine(self, stored_affine: NDArray[np.float64], stored_shape: tuple[int, ...]) -> NDArray[np.float64]:
        """The affine of the result, from the 4 x 4 affine and the shape of the stored array (three axes)."""
        to_stored = np.zeros((4, 4))
        to_stored[3, 3] = 1
        for axis, (source, flipped) in enumerate(zip(self.order, self.flip, strict=True)):
            to_stored[source, axis] = -1 if flipped else 1
            to_stored[source, 3] = stored_shape[source] - 1 if flipped else 0
        return np.asarray(stored_affine, float) @ to_stored

    def stored_affine(self, affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
        """The inverse of :meth:`affine`: the affine of the stored array, from that of the result and its shape."""
        inverse_order = tuple(int(k) for k in np.argsort(self.order))
        inverse = Reorder(inverse_order, tuple(self.flip[k] for k in inverse_order))
        return inverse.affine(affine, shape)


def directions(affine: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    """For each array axis the world axis (0, 1, 2) it follows most closely and the sign (+1 or -1).

    Each world axis is used once; of all assignments the one with the largest sum of cosines is taken.
    """
    cosines = np.asarray(affine, float)[:3, :3] / spacing_of(affine)
    best = max(
        itertools.permutations(range(3)), key=lambda worlds: sum(abs(cosines[w, a]) for a, w in enumerate(worlds))
    )
    return tuple((w, 1 if cosines[w, a] >= 0 else -1) for a, w in enumerate(best))


def orientation(affine: NDArray[np.float64]) -> str:
    """The sides towards which the three array axes grow, such as ``"IPL"``."""
    return "".join(_SIDES[world][0 if sign > 0 else 1] for world, sign in directions(affine))


def spacing_of(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The step of one voxel along each of the three array axes, in millimetres."""
    steps: NDArray[np.float64] = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    return np.where(steps > 0, steps, 1.0)


def leaning(affine: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The directions of the three array axes, as columns of length 1; ``None`` where they stand upright on each other,
    as in nearly every scan but one with a tilted gantry."""
    along: NDArray[np.float64] = np.asarray(affine, float)[:3, :3] / spacing_of(affine)
    return None if np.allclose(along.T @ along, np.eye(3), atol=1e-3) else along


def squeezed(along: NDArray[np.float64] | None) -> float:
    """What part of the product of its sides a voxel holds whose sides have the directions of :func:`leaning`."""
    return 1.0 if along is None else abs(float(np.linalg.det(along)))


def tilt(affine: NDArray[np.float64]) -> float:
    """The largest angle, in degrees, between an array axis and the world axis it follows; 0 for a straight volume."""
    cosines = np.asarray(affine, float)[:3, :3] / spacing_of(affine)
    along = [abs(cosines[world, axis]) for axis, (world, _) in enumerate(directions(affine))]
    return float(np.degrees(np.arccos(np.clip(min(along), -1, 1))))


def to_display(affine: NDArray[np.float64]) -> Reorder:
    """The reorder that brings the three axes of a stored array closest to :data:`DISPLAY`."""
    found = directions(affine)
    wanted = [
        next((w, 0 if side == pair[0] else 1) for w, pair in enumerate(_SIDES) if side in pair) for side in DISPLAY
    ]
    order = tuple(next(axis for axis, (world, _) in enumerate(found) if world == w) for w, _ in wanted)
    flip = tuple((found[axis][1] > 0) != (end == 0) for axis, (_, end) in zip(order, wanted, strict=True))
    return Reorder(order, flip)


def to_display_flat(affine: NDArray[np.float64], normal: int = 2) -> Reorder:
    """The reorder for a single slice, stored with its normal as axis ``normal``: that comes first and is not flipped.

    Rows run towards the feet or, in an axial slice, towards posterior; columns towards the patient's left or, in a
    sagittal slice, towards posterior: as a radiologist hangs it.
    """
    found = directions(affine)
    in_plane = {world: axis for axis, (world, _) in enumerate(found) if axis != normal}
    row = in_plane[2] if 2 in in_plane else in_plane[1]
    column = in_plane[0] if 0 in in_plane else in_plane[1]
    return Reorder((normal, row, column), (False, found[row][1] > 0, found[column][1] > 0))


AS_STORED = Reorder((2, 1, 0), (False, False, False))
"""From the axes x, y, z of a file to z, y, x, for images of which the sides are not known."""


def with_normal(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine of a single slice whose third column is empty, with a step of 1 mm along the normal in its place."""
    full = np.array(affine, float)
    if not full[:3, 2].any():
        normal = np.cross(full[:3, 0], full[:3, 1])
        full[:3, 2] = normal / (np.linalg.norm(normal) or 1)
    return full


def is_place(affine: NDArray[np.float64]) -> bool:
    """Whether an affine is finite and keeps three dimensions apart."""
    if not np.isfinite(affine).all() or not np.linalg.norm(affine[:3, :3], axis=0).all():
        return False
    return abs(float(np.linalg.det(affine[:3, :3] / spacing_of(affine)))) > 1e-4


def tilt_notes(affine: NDArray[np.float64]) -> tuple[str, ...]:
    """A sentence where the axes of a volume stand more than a degree off the patient's."""
    degrees = tilt(affine)
    if degrees < 1:
        return ()
    return (f"The volume is tilted by {degrees:.0f} degrees against the patient's axes and shown along its own.",)


def turn(affine: NDArray[np.float64], wanted: NDArray[np.float64], *, flat: bool = False) -> Reorder | None:
    """The reorder of an array with ``affine`` that gives it the directions of ``wanted``; ``None`` where there is none.

    With ``flat`` only the plane of the last two axes counts.
    """
    steps = [np.array(each, float)[:3, :3] for each in (affine, wanted)]
    for each in steps:
        if flat:
            each[:, 0] = np.cross(each[:, 1], each[:, 2])
            each[:, 0] /= np.linalg.norm(each[:, 0])
    between = np.linalg.solve(*steps)
    whole = np.rint(between)
    if not np.allclose(between, whole, atol=1e-2) or not np.array_equal(np.abs(whole) @ np.abs(whole).T, np.eye(3)):
        return None
    order = tuple(int(k) for k in np.abs(whole).argmax(axis=0))
    return Reorder(order, tuple(bool(whole[source, axis] < 0) for axis, source in enumerate(order)))


def same_world(a: NDArray[np.float64], b: NDArray[np.float64], shape: tuple[int, ...], tolerance: float = 1e-3) -> bool:
    """Whether two affines put every corner of a grid of ``shape`` within ``tolerance`` voxels of each other."""
    corners = np.array([[*corner, 1] for corner in itertools.product(*((0, n - 1) for n in shape))], float).T
    apart = np.abs(np.asarray(a, float) @ corners - np.asarray(b, float) @ corners)[:3]
    return bool(apart.max() <= tolerance * spacing_of(a).min())
