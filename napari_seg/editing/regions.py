"""Regions: grown from a seed, drawn as an outline, or filled.

Growing takes the voxels around the seed that look like it, inside the radius that the mouse has gone. How alike they
must be is not asked: among the differences to the seed within the radius there are small ones (the structure) and large
ones (what surrounds it), and the threshold of Otsu (IEEE Trans. Syst. Man Cybern. 1979) parts them. The radius says
both how far and, by what it lets in, how alike.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from napari_seg.editing.annotation import Annotation, Box, wider
from napari_seg.editing.connected import goes_on, piece
from napari_seg.editing.edit import Edit
from napari_seg.editing.numbers import finite
from napari_seg.editing.outline import inside
from napari_seg.editing.painting import Mode, Outline, Painting, holds, intensities, named, outlined, painted
from napari_seg.editing.reach import Area, Mask, first_voxel, overlapping, reached, relative, swept
from napari_seg.editing.selection import spacing_of
from napari_seg.editing.tools import Gesture, Reach, tool
from napari_seg.errors import SegError

LARGEST_HOLE = 2**20
"""Background of more voxels in one piece is no hole."""


class Grow(Painting):
    """How a region grows. ``smooth``: the noise that is smoothed away before voxels are compared, in voxels."""

    mode: Mode = "background"
    reach: Reach = "slice"
    smooth: float = 1.0


class Fill(Painting):
    """How far a region is followed."""

    reach: Reach = "slice"


@tool(
    "grow",
    "Grow",
    tip="Drag from a seed outward: the region around it that looks alike grows with the mouse.",
    group="regions",
    kind="drag",
    key="G",
    options=Grow,
    preview=True,
)
def grow(annotation: Annotation, gesture: Gesture, options: Grow) -> Edit:
    """Grow the label under the seed, on background the label of the gesture, to what looks like the seed.

    The first point is the seed, the last one says how far. Raises ``SegError`` without an image.
    """
    seed = first_voxel(annotation, gesture)
    steps = [(b - a) * s for a, b, s in zip(gesture.points[0], gesture.points[-1], spacing_of(annotation), strict=True)]
    if not any(steps):
        raise SegError("A seed alone says nothing of the size; drag outward from it.")
    if options.mode == "background":
        gesture = replace(gesture, label=annotation.at(gesture.points[0]) or gesture.label)
    within = reached(annotation, gesture, options.reach)
    area = swept([tuple(map(float, seed))], math.hypot(*steps), spacing_of(annotation), within)
    here = tuple(i - side.start for i, side in zip(seed, area.box, strict=True))
    allowed = area.mask & holds(annotation, gesture, area.box, options)
    if not allowed[here]:
        raise SegError("Nothing may be painted at the seed in this mode; begin elsewhere or choose another mode.")
    alike = allowed & _alike(annotation, area, here, options.smooth)
    return painted(annotation, gesture, "grow", Area(area.box, piece(alike, here, "faces")), options)


@tool(
    "polygon",
    "Polygon",
    tip="Click the corners of an outline and confirm: what lies inside is painted.",
    group="regions",
    kind="seeds",
    key="Shift+P",
    options=Outline,
    preview=True,
)
def polygon(annotation: Annotation, gesture: Gesture, options: Outline) -> Edit:
    """Paint ``gesture.label`` inside the closed outline through the points, in the slice of the first one."""
    return outlined(annotation, gesture, "polygon", inside(annotation, gesture, gesture.points), options)


@tool(
    "lasso",
    "Lasso",
    tip="Draw around something: what lies inside the line is painted.",
    group="regions",
    kind="line",
    key="Shift+O",
    options=Outline,
)
def lasso(annotation: Annotation, gesture: Gesture, options: Outline) -> Edit:
    """Paint ``gesture.label`` inside the line, which is closed, in the slice of its first point."""
    return outlined(annotation, gesture, "lasso", inside(annotation, gesture, gesture.points), options)


@tool(
    "fill",
    "Fill",
    tip="Paint the hole or the object that you click on, as far as it is in one piece.",
    group="regions",
    kind="click",
    key="Shift+G",
    options=Fill,
    hovers=True,
)
def fill(annotation: Annotation, gesture: Gesture, options: Fill) -> Edit:
    """Paint ``gesture.label`` into the connected voxels that have the label under the first point.

    Raises ``SegError`` for background that is no hole: more than half of what can be reached, or more voxels than
    ``LARGEST_HOLE``.
    """
    seed = first_voxel(annotation, gesture)
    label = annotation.at(gesture.points[0])
    if label == gesture.label:
        raise SegError(f"This is {named(annotation, label)} already; choose another label to paint with.")
    within = reached(annotation, gesture, options.reach)
    area = _hole(annotation, seed, within) if not label else _object(annotation, seed, within, label)
    return painted(annotation, gesture, "fill", area, options)


def _object(annotation: Annotation, seed: tuple[int, ...], within: Box, label: int) -> Area:
    """The piece of a label around a voxel."""
    box = overlapping(annotation.extents[label] or within, within)
    here = tuple(i - side.start for i, side in zip(seed, box, strict=True))
    return Area(box, piece(annotation.labels[box] == label, here, "corners"))


def _hole(annotation: Annotation, seed: tuple[int, ...], within: Box) -> Area:
    """The piece of background around a voxel, looked for in boxes that grow until they hold all of it."""
    most = min(LARGEST_HOLE, math.prod(side.stop - side.start for side in within) // 2)
    reach = 32
    while True:
        box = overlapping(wider(tuple(slice(i, i + 1) for i in seed), reach, annotation.grid), within)
        here = tuple(i - side.start for i, side in zip(seed, box, strict=True))
        hole = piece(annotation.labels[box] == 0, here, "faces")
        if np.count_nonzero(hole) > most:
            raise SegError("The background here is no hole, it goes on too far; close the outline around it first.")
        if not goes_on(hole, box, within):
            return Area(box, hole)
        reach *= 2


def _alike(annotation: Annotation, area: Area, seed: tuple[int, ...], smooth: float) -> Mask:
    """Which voxels of an area's box look like the one at ``seed`` (counted in the box)."""
    from scipy.ndimage import gaussian_filter
    from skimage.filters import threshold_otsu

    flat = [side.stop - side.start == 1 for side in area.box]
    box = wider(area.box, math.ceil(3 * smooth), annotation.grid)
    box = tuple(side if thin else wide for side, wide, thin in zip(area.box, box, flat, strict=True))
    known = np.isfinite(intensities(annotation, area.box))
    if not known[seed]:
        raise SegError("The image has no intensity at the seed; begin at a place that has one, or use the brush.")
    values = finite(intensities(annotation, box))
    widths = [
        0.0 if thin else smooth * min(spacing_of(annotation)) / s
        for s, thin in zip(spacing_of(annotation), flat, strict=True)
    ]
    calm = gaussian_filter(values, widths)[relative(area.box, box)]
    away = np.abs(calm - calm[seed])
    longest = int(np.argmax(values.shape))
    noise = float(np.median(np.abs(np.diff(values, axis=longest)))) if values.shape[longest] > 1 else 0.0
    alike: Mask = known & (away <= max(float(threshold_otsu(away[area.mask & known])), noise))
    return alike
