"""A closed outline in the slice that is shown, and the voxels inside it.

All that a line encloses is inside, also where a hand drew over its own line: no holes remain there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.reach import Area, Mask, Point, reached, shown_axes
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError


def inside(annotation: Annotation, gesture: Gesture, corners: Sequence[Point]) -> Area:
    """The voxels of the slice whose middles lie inside the closed outline through ``corners``.

    Raises ``SegError`` for fewer than three different corners and for an outline around nothing.
    """
    from skimage.draw import line
    from skimage.measure import points_in_poly

    if len(set(corners)) < 3:
        raise SegError("An outline needs three places at least; click more of them.")
    axes = shown_axes(annotation, gesture)
    slab = list(reached(annotation, gesture, "slice"))
    places = np.array(corners, float)[:, axes]
    start = np.floor(places.min(0)).astype(int) - 1
    shape = np.ceil(places.max(0)).astype(int) + 2 - start  # one voxel of outside on every side
    fence = np.zeros(shape, bool)
    steps = np.floor(places - start + 0.5).astype(int)
    for ends in zip(steps.tolist(), np.roll(steps, -1, axis=0).tolist(), strict=True):
        (row, column), (to_row, to_column) = sorted(ends)  # a line of pixels goes another way when it is drawn back
        fence[line(row, column, to_row, to_column)] = True
    mask, cells = _enclosed(fence), np.argwhere(fence)
    mask[fence] = points_in_poly(cells, places - start)  # the line itself is decided by the middles of its voxels
    mask = _enclosed(mask)
    cut = []
    for axis, first, size in zip(axes, start, shape, strict=True):
        low, high = max(0, int(first)), max(0, min(annotation.grid[axis], int(first + size)))
        cut.append(slice(low - int(first), max(low, high) - int(first)))
        slab[axis] = slice(low, max(low, high))
    mask = mask[tuple(cut)]
    if axes[0] > axes[1]:
        mask = mask.T
    shown = iter(mask.shape)
    area = Area(tuple(slab), mask.reshape([next(shown) if axis in axes else 1 for axis in range(len(slab))]))
    if not area.mask.any():
        raise SegError("The outline encloses no voxel of the image; draw a larger one.")
    return area


def _enclosed(fence: Mask) -> Mask:
    """A fence and all that cannot be reached from the first voxel without crossing it."""
    import cc3d

    outside = cc3d.connected_components((~fence).view(np.uint8), connectivity=4)
    enclosed: Mask = outside != outside[0, 0]
    return enclosed
