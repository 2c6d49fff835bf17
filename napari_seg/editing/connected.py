"""What hangs together: the piece of a mask around a voxel, and whether it goes on beyond the box that was looked at."""

from __future__ import annotations

from typing import Literal

import cc3d
import numpy as np

from napari_seg.editing.annotation import Box, moved, tight
from napari_seg.editing.reach import Area, Mask


def piece(mask: Mask, seed: tuple[int, ...], touching: Literal["faces", "corners"]) -> Mask:
    """The connected piece of a mask that holds ``seed``; nothing where the mask does not."""
    ways = {"faces": (4, 6), "corners": (8, 26)}[touching]
    pieces = cc3d.connected_components(mask.view(np.uint8), connectivity=ways[mask.ndim - 2])
    found: Mask = (pieces == pieces[seed]) & mask
    return found


def goes_on(mask: Mask, box: Box, within: Box) -> bool:
    """Whether a mask touches a side of its box that is no side of the box it may fill."""
    for axis, (side, full) in enumerate(zip(box, within, strict=True)):
        faces = np.moveaxis(mask, axis, 0)
        if (side.start > full.start and faces[0].any()) or (side.stop < full.stop and faces[-1].any()):
            return True
    return False


def trimmed(area: Area) -> Area:
    """The same voxels, one at least, in the smallest box."""
    inner = tight(area.mask)
    assert inner is not None
    return Area(moved(inner, area.box), area.mask[inner])


def filled(mask: Mask) -> Mask:
    """A mask with its holes; in a box that is one voxel thick, those of the slice."""
    from scipy.ndimage import binary_fill_holes

    found: Mask = binary_fill_holes(mask.squeeze()).reshape(mask.shape)
    return found
