"""Shapes between shapes: a mask as its signed distance, blended along an axis, or carried along by the image.

Distances are physical and positive inside. Blending them is shape-based interpolation (Raya and Udupa, IEEE Trans. Med.
Imaging 1990), here along a curve through up to three given slices on each side (modified Akima, which does not
overshoot), so that ends taper and round things stay round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import edt
import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.reach import Mask

Field = NDArray[np.float32]
"""A signed distance, or several."""

_SIDES = 3
"""Given slices that count on each side of a gap; more do not change an Akima curve there."""

_APART = 0.25
"""Two slices whose shapes share less (Dice) are first laid upon each other, or nothing would come between them."""


def signed_distance(mask: Mask, spacing: tuple[float, ...]) -> Field:
    """How far inside (positive) or outside the outline of a mask each pixel lies.

    The outline runs half a pixel from the middles on both sides of it. The edges of the array are no outline.
    """
    most = float(np.hypot(*(n * s for n, s in zip(mask.shape, spacing, strict=True))))
    inside = np.minimum(edt.edt(mask, anisotropy=spacing, black_border=False), most)
    outside = np.minimum(edt.edt(~mask, anisotropy=spacing, black_border=False), most)
    return np.asarray(inside - outside - np.where(mask, 0.5, -0.5) * min(spacing), np.float32)


def between(given: Mapping[int, Mask], wanted: Sequence[int], spacing: tuple[float, ...]) -> dict[int, Field]:
    """The signed distances of the shapes in the slices ``wanted``, each between two of the ``given`` ones.

    ``given``: masks that are not empty, by the index of their slice. ``spacing``: that of the two axes of a slice.
    """
    keys = np.array(sorted(given))
    fields: dict[int, Field] = {}
    found = {}
    for index in wanted:
        after = int(np.searchsorted(keys, index))
        near = keys[max(0, after - _SIDES) : after + _SIDES]
        for key in map(int, near):
            if key not in fields:
                fields[key] = signed_distance(given[key], spacing)
        stack = np.stack([fields[int(key)] for key in near])
        before, behind = (given[int(key)] for key in keys[after - 1 : after + 1])
        if 2 * np.count_nonzero(before & behind) < _APART * (np.count_nonzero(before) + np.count_nonzero(behind)):
            stack = _laid_together(stack, near, index)
        found[index] = np.asarray(_at(near, stack, index), np.float32)
    return found


def _at(places: NDArray[np.integer], values: NDArray[np.floating], place: int) -> NDArray[np.float64]:
    """The curve through ``values``, given at ``places``, at a place between two of them."""
    from scipy.interpolate import Akima1DInterpolator

    if len(places) > 2:
        return np.asarray(Akima1DInterpolator(places, values, axis=0, method="makima")(place))
    share = (place - places[0]) / (places[1] - places[0])
    return np.asarray((1 - share) * values[0] + share * values[1])


def _laid_together(stack: Field, places: NDArray[np.integer], place: int) -> Field:
    """Each of the fields moved so that the middle of its shape lies where it is expected at ``place``."""
    from scipy.ndimage import center_of_mass, shift

    middles = np.array([center_of_mass(field > 0) for field in stack])
    goal = _at(places, middles, place)
    return np.stack(
        [shift(field, goal - middle, order=1, mode="nearest") for field, middle in zip(stack, middles, strict=True)]
    )


def motion(here: NDArray[np.floating], there: NDArray[np.floating]) -> NDArray[np.float32]:
    """Where each pixel of the slice ``there`` lay in the slice ``here``: offsets in pixels, ``(2, rows, columns)``.

    The optical flow of their images (TV-L1; Zach, Pock and Bischof, DAGM 2007); ``here`` and ``there`` are finite.
    """
    from skimage.registration import optical_flow_tvl1

    low, high = np.percentile(here, (1, 99))
    scale = max(float(high - low), float(np.finfo(np.float32).eps))
    room = [(0, max(0, 2 - n)) for n in here.shape]  # a slope needs two pixels
    pair = (np.pad((np.asarray(one, np.float32) - low) / scale, room, mode="edge") for one in (there, here))
    flow = np.asarray(optical_flow_tvl1(*pair, num_warp=3, num_iter=5), np.float32)
    return flow[:, : here.shape[0], : here.shape[1]]


def carried(field: Field, offsets: NDArray[np.float32]) -> Field:
    """A field as it looks after a :func:`motion`."""
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(field, np.indices(field.shape) + offsets, order=1, mode="nearest"), np.float32)
