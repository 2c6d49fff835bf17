"""Tools that mend the shape of an object or of a part of a class: fill its holes, smooth it, keep its largest part.

Only the box of the object is looked at, a little wider where it may grow. Other labels are never painted over.
"""

from __future__ import annotations

from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.editing.annotation import Annotation, Box
from napari_seg.editing.changes import Change, parts
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.painting import changing
from napari_seg.editing.reach import Mask, relative
from napari_seg.editing.selection import (
    Region,
    all_of,
    components,
    depth_axis,
    regions,
    spacing_of,
    within,
)
from napari_seg.editing.tools import Gesture, Options, Reach, targets, tool


class Filling(Options):
    """``within``: what is closed in on all sides in 3D, or in each slice by itself, or only in the slice shown."""

    within: Literal["volume", "slices", "slice"] = "volume"


@tool(
    "fill holes",
    "Fill holes",
    tip="Fill the background that an object closes in; other objects inside it stay.",
    group="objects",
    kind="action",
    key="H",
    options=Filling,
    hovers=True,
)
def fill_holes(annotation: Annotation, gesture: Gesture, options: Filling) -> Edit:
    reach: Reach = "slice" if options.within == "slice" else "volume"
    axis = depth_axis(annotation, gesture)
    changes = []
    for found in regions(annotation, gesture):
        one = within(found, reach, annotation, gesture)
        holes = np.zeros_like(one.mask)
        if axis is None or options.within == "volume":
            holes = _holes(one.mask)
        else:
            for index in range(one.mask.shape[axis]):
                slab = (slice(None),) * axis + (index,)
                holes[slab] = _holes(one.mask[slab])
        changes.append(Change(one.box, holes & (annotation.labels[one.box] == 0), one.label))
    edit = edited(annotation, "fill holes", parts(annotation, changes))
    return changing(edit, "There is no hole that is closed on all sides; close the gap first, or fill slice by slice.")


def _holes(mask: Mask) -> Mask:
    """What is not the mask and has no way out of its box."""
    outside = np.pad(~mask, 1, constant_values=True)
    found = cc3d.connected_components(outside.view(np.uint8), connectivity=4 if mask.ndim == 2 else 6)
    inner = found[(slice(1, -1),) * mask.ndim]
    return np.asarray((inner > 0) & (inner != found[(0,) * mask.ndim]))


class Smoothing(Options):
    """``width``: details narrower than this are smoothed away, in the unit of the image; 0: one and a half times the
    finest spacing. ``reach``: all of the object, or only what lies in the slice that is shown."""

    width: float = Field(0.0, ge=0)
    reach: Reach = "volume"


@tool(
    "smooth",
    "Smooth",
    tip="Smooth the outline; the size stays, and other objects are never painted over.",
    group="objects",
    kind="action",
    key="Shift+S",
    options=Smoothing,
    hovers=True,
)
def smooth(annotation: Annotation, gesture: Gesture, options: Smoothing) -> Edit:
    spacing = np.array(spacing_of(annotation))
    sigma = (options.width or 1.5 * spacing.min()) / spacing
    axis = depth_axis(annotation, gesture)
    if axis is not None and options.reach == "slice":
        sigma[axis] = 0
    changes = []
    for found in regions(annotation, gesture):
        one = within(found, options.reach, annotation, gesture)
        box, wanted = _smoothed(annotation, one, sigma)
        before = np.zeros(wanted.shape, bool)
        before[relative(one.box, box)] = one.mask
        changes.append(Change(box, before != wanted, np.where(wanted, one.label, 0)))
    edit = edited(annotation, "smooth", parts(annotation, changes))
    return changing(edit, "The outline is as smooth as this already; choose a larger width.")


def _smoothed(annotation: Annotation, one: Region, sigma: NDArray[np.float64]) -> tuple[Box, Mask]:
    """A wider box and the mask in it: as many voxels as before, where a Gaussian leaves most of the region.

    A fixed threshold would make round things smaller, and small ones vanish. What lies beyond the border of the image
    is taken to go on as it ends.
    """
    from scipy.ndimage import gaussian_filter

    sigma = np.minimum(sigma, one.mask.shape)  # more would look at much of the volume, and change nothing
    margins = np.ceil(3 * sigma).astype(int).tolist()
    sides = zip(one.box, margins, annotation.grid, strict=True)
    box = tuple(slice(max(0, s.start - m), min(n, s.stop + m)) for s, m, n in sides)
    inner = relative(one.box, box)
    mask = np.zeros([side.stop - side.start for side in box], np.float32)
    mask[inner] = one.mask
    free = annotation.labels[box] == 0
    free[inner] |= one.mask
    soft = np.where(free, gaussian_filter(mask, sigma, mode="nearest", truncate=3), 0)
    limit = np.partition(soft, soft.size - one.size, axis=None)[soft.size - one.size]
    more, fewer = soft >= max(limit, np.finfo(np.float32).tiny), soft > limit
    closer = one.size - np.count_nonzero(fewer) < np.count_nonzero(more) - one.size
    return box, np.asarray(fewer if closer and fewer.any() else more)


@tool(
    "largest part",
    "Keep largest",
    tip="Delete all parts of the object, or of the class, but the largest.",
    group="objects",
    kind="action",
    key="Shift+L",
    hovers=True,
)
def keep_largest(annotation: Annotation, gesture: Gesture, options: Options) -> Edit:
    changes = []
    for label in dict.fromkeys(targets(annotation, gesture)):
        one = all_of(annotation, label)
        found, count = components(one.mask)
        if count > 1:
            sizes = np.bincount(found[one.mask])
            changes.append(Change(one.box, one.mask & (found != sizes.argmax()), 0))
    edit = edited(annotation, "largest part", parts(annotation, changes))
    return changing(edit, "This has only one part, there is nothing to delete; point at something in several parts.")
