"""What a tool is about: the object under the cursor, the selected ones, or a part of a class; in a volume or a slice.

Where numbers count objects, a label is an object. Where they are classes, the thing under the cursor is the part of the
class that hangs together around it; it is looked for in a box that grows with it, never in the whole volume. Voxels
that touch at a corner hang together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation, Box, moved, tight, wider
from napari_seg.editing.parts import regions as apart
from napari_seg.editing.reach import Mask, relative, shown_axes, voxel
from napari_seg.editing.tools import Gesture, Reach, targets
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels

_LARGE = 1 << 22
"""Voxels above which parts are looked for slab by slab, so that the window goes on meanwhile."""

_FIRST_LOOK = 32
"""A part of a class is first looked for this many voxels around the cursor."""


@dataclass(frozen=True, eq=False)
class Region:
    """The voxels ``mask`` of the box ``box``, all of them of ``label``."""

    label: int
    box: Box
    mask: Mask

    @property
    def size(self) -> int:
        """How many voxels."""
        return int(np.count_nonzero(self.mask))


def regions(annotation: Annotation, gesture: Gesture) -> tuple[Region, ...]:
    """The things a tool is for: the selected labels, else the object, or the part of a class, under the first point.

    Raises ``SegError`` where there is none, or where it is locked.
    """
    labels = tuple(dict.fromkeys(targets(annotation, gesture)))
    if annotation.objects or gesture.selected:
        return tuple(all_of(annotation, label) for label in labels)
    return (part_at(annotation, gesture.points[0]),)


def region(annotation: Annotation, gesture: Gesture) -> Region:
    """The one thing a tool is for: the first of :func:`regions`."""
    return regions(annotation, gesture)[0]


def all_of(annotation: Annotation, label: int) -> Region:
    """All voxels of a label. Raises ``SegError`` if there are none."""
    box = annotation.box(label)
    if box is None:
        raise SegError(f"There is no {label} in this mask (any more); select another.")
    return Region(label, box, annotation.labels[box] == label)


def part_at(annotation: Annotation, point: tuple[float, ...]) -> Region:
    """The connected part of the label at ``point``, which must lie on a label."""
    label, index = annotation.at(point), voxel(point)
    limits = annotation.extents[label]
    if not label or limits is None:
        raise SegError("There is nothing here; point at what you mean.")
    return connected(annotation.labels, index, limits)


def connected(labels: Labels, index: tuple[int, ...], limits: Box) -> Region:
    """What hangs together with the voxel ``index`` of one label, of which nothing lies outside ``limits``."""
    label = int(labels[index])
    margins = np.full((len(index), 2), _FIRST_LOOK)
    while True:
        box = tuple(
            slice(max(side.start, i - low), min(side.stop, i + high + 1))
            for i, side, (low, high) in zip(index, limits, margins.tolist(), strict=True)
        )
        parts = components(labels[box] == label)[0]
        mask = parts == parts[tuple(i - side.start for i, side in zip(index, box, strict=True))]
        cut = _cut(mask, box, limits)
        if not cut.any():
            return trimmed(Region(label, box, mask))
        margins[cut] *= 2


def _cut(mask: Mask, box: Box, limits: Box) -> NDArray[np.bool_]:
    """Per axis, low and high side: whether the mask goes on beyond the box."""
    sides = [
        (mask.take(0, axis).any() and b.start > a.start, mask.take(-1, axis).any() and b.stop < a.stop)
        for axis, (b, a) in enumerate(zip(box, limits, strict=True))
    ]
    return np.array(sides, bool)


def trimmed(region: Region) -> Region:
    """The same voxels in the smallest box. The mask must not be empty."""
    inner = tight(region.mask)
    assert inner is not None
    return Region(region.label, moved(inner, region.box), region.mask[inner])


def roomy(region: Region, axes: tuple[int, ...], annotation: Annotation) -> Region:
    """The same voxels in a box that is one voxel wider along ``axes``, inside the grid."""
    wide = wider(region.box, 1, annotation.grid)
    box = tuple(w if axis in axes else side for axis, (w, side) in enumerate(zip(wide, region.box, strict=True)))
    mask = np.zeros([side.stop - side.start for side in box], bool)
    mask[relative(region.box, box)] = region.mask
    return Region(region.label, box, mask)


def within(region: Region, reach: Reach, annotation: Annotation, gesture: Gesture) -> Region:
    """The part of a region that lies within reach: all of it, or what lies in the shown slice.

    Raises ``SegError`` where nothing of it lies in the slice.
    """
    axis = depth_axis(annotation, gesture)
    if reach == "volume" or axis is None:
        return region
    index = shown_index(annotation, gesture, axis)
    side = region.box[axis]
    if not side.start <= index < side.stop:
        raise SegError(f"There is nothing of {region.label} in this slice; go to a slice that shows it.")
    thin = slice(index - side.start, index - side.start + 1)
    mask = region.mask[(slice(None),) * axis + (thin,)]
    if not mask.any():
        raise SegError(f"There is nothing of {region.label} in this slice; go to a slice that shows it.")
    box = (*region.box[:axis], slice(index, index + 1), *region.box[axis + 1 :])
    return trimmed(Region(region.label, box, mask))


def depth_axis(annotation: Annotation, gesture: Gesture) -> int | None:
    """The axis across the shown slice; ``None`` in 2D."""
    rest = set(range(len(annotation.grid))) - set(shown_axes(annotation, gesture))
    return rest.pop() if rest else None


def shown_index(annotation: Annotation, gesture: Gesture, axis: int) -> int:
    """Which slice along ``axis`` the first point lies in. Raises ``SegError`` for no point, or one outside."""
    if not gesture.points:
        raise SegError("No slice is shown to work on; point at the slice.")
    index = voxel(gesture.points[0])[axis]
    if not 0 <= index < annotation.grid[axis]:
        raise SegError("This lies outside the image; point at a slice of it.")
    return index


def spacing_of(annotation: Annotation) -> tuple[float, ...]:
    """The spacing; 1 along each axis where it is not known."""
    return annotation.spacing or (1.0,) * len(annotation.grid)


def components(mask: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The connected parts of a mask, numbered from 1, and how many; of labels: the parts of each label by itself."""
    if mask.dtype == bool:
        mask = mask.view(np.uint8)  # of a bool array cc3d 4.1.1 gets some wrong that touch at a corner
    if mask.size > _LARGE:
        found = apart(mask)
        return found, int(found.max(initial=0))
    mask = np.require(mask, requirements=("C", "W"))
    found, count = cc3d.connected_components(mask, connectivity=8 if mask.ndim == 2 else 26, return_N=True)
    return found, int(count)


def only_objects(annotation: Annotation, what: str, cure: str) -> None:
    """Raises ``SegError`` where labels are classes, which nobody can ``what``; ``cure`` says what helps."""
    if not annotation.objects:
        raise SegError(f"The numbers of this mask are classes, not objects, so there is nothing to {what}; {cure}.")
