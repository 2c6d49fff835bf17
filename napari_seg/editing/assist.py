"""Repair from the stored scores of the last prediction: a click adds what was missed, a scribble mends what is wrong.

Both look at a box near the mouse only. What the model is sure of is taken at the threshold it was decoded with. Where
it is not, the scores still say what shape the thing might have, one for each lower threshold, and the border that is
sharpest in the image decides. A scribble holds for the voxels under it; how far its word reaches beyond them grows
with its length, and there the border is found anew by a watershed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import edt
import numpy as np

from napari_seg.editing.annotation import Annotation, Box, wider
from napari_seg.editing.connected import filled, goes_on, piece, trimmed
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.evidence import Field, borders, confidence, separated, steepness
from napari_seg.editing.numbers import finite
from napari_seg.editing.painting import Painting, changing, named, painted
from napari_seg.editing.reach import Area, Mask, first_voxel, overlapping, reached, relative, swept
from napari_seg.editing.selection import spacing_of
from napari_seg.editing.tools import Gesture, Reach, tool
from napari_seg.errors import SegError
from napari_seg.spec import Spec
from napari_seg.tasks.base import Labels

SURE, FAINT = 0.9, 0.02
"""From this score on an object is taken as the model sees it; below the other one there is nothing to see."""

HALF = 0.5
"""The score at the border of what the model sees."""

LEVELS = 8
"""So many thresholds between nine tenths and a tenth of the score at the click are tried where it is not sure."""

NEAR = {2: 64, 3: 24}
"""Voxels around a click that are looked at first, by the number of axes."""

LARGEST = 2**22
"""Voxels of the largest box that is looked at around a click."""

WIDTH = 1.5
"""The radius of a scribble, in voxels of the finest axis."""

LEAST, MOST = 6.0, {2: 100.0, 3: 20.0}
"""A scribble reaches as far around it as it is long, but so many voxels of the finest axis at least and at most."""


class Repair(Spec):
    """How far a repair goes."""

    reach: Reach = "volume"


class Scribble(Repair):
    """``carries``: the voxels under the line become what lies under its first point, or the label to paint with."""

    carries: Literal["start", "label"] = "start"


@tool(
    "add missed",
    "Add missed",
    tip="Click on something that the model missed: it becomes an object of its own, as far as the scores show it.",
    group="model",
    kind="click",
    key="T",
    options=Repair,
)
def add_missed(annotation: Annotation, gesture: Gesture, options: Repair) -> Edit:
    """A new object, or more of the class of the gesture, around the click, on background only.

    Raises ``SegError`` without scores, on an object, and where the model sees nothing.
    """
    seed = first_voxel(annotation, gesture)
    under = annotation.at(gesture.points[0])
    if under:
        raise SegError(f"Here is {named(annotation, under)} already; draw a scribble over it to repair it.")
    label = annotation.following if annotation.objects else gesture.label
    if not label:
        raise SegError("Background cannot be added by a click; choose the class that was missed.")
    area = _missed(annotation, seed, label, reached(annotation, gesture, options.reach))
    return painted(annotation, replace(gesture, label=label), "add missed", area, Painting(mode="background"))


@tool(
    "scribble",
    "Scribble",
    tip="Draw from an object over what belongs to it, or from background over what does not: the border is found anew.",
    group="model",
    kind="line",
    key="Shift+T",
    options=Scribble,
)
def scribble(annotation: Annotation, gesture: Gesture, options: Scribble) -> Edit:
    """Spread the label of the first point under the line, and find the borders near it anew.

    Only what the line crosses loses voxels, and never all of them: of what ends near the line, the far half stays.
    """
    first_voxel(annotation, gesture)
    label = gesture.label if options.carries == "label" else annotation.at(gesture.points[0])
    if label in annotation.locked:
        raise SegError(f"{named(annotation, label).capitalize()} is locked; unlock it first.")
    within = reached(annotation, gesture, options.reach)
    line = swept(gesture.points, WIDTH * min(spacing_of(annotation)), spacing_of(annotation), within)
    reach = _reach(annotation, gesture)
    box = overlapping(
        wider(swept(gesture.points, reach, spacing_of(annotation), within).box, 1, annotation.grid), within
    )
    drawn = np.zeros([side.stop - side.start for side in box], bool)
    drawn[relative(line.box, box)] = line.mask
    labels = annotation.labels[box].astype(np.int64)
    free = _open(annotation, labels, drawn, label, reach)
    after = np.where(drawn, label, labels)
    if not label and annotation.scores is not None:  # what the model calls background too needs no search
        gone = free & (confidence(annotation, 0, box) > HALF)
        after[gone] = 0
        free &= ~gone
    after[free] = _flooded(annotation, box, after, free)[free]
    if np.array_equal(after, labels):
        what = named(annotation, label)
        raise SegError(f"All of this is {what} already; begin on what belongs here and draw over what does not.")
    return changing(edited(annotation, "scribble", [(box, after)]))


def _reach(annotation: Annotation, gesture: Gesture) -> float:
    """How far the word of a scribble reaches: physical."""
    places, finest = np.array(gesture.points, float) * spacing_of(annotation), min(spacing_of(annotation))
    length = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    return min(max(length, LEAST * finest), MOST[len(annotation.grid)] * finest)


def _open(annotation: Annotation, labels: Labels, drawn: Mask, label: int, reach: float) -> Mask:
    """The voxels near the line that may become something else."""
    far = edt.edt(~drawn, anisotropy=spacing_of(annotation))
    free = np.zeros(labels.shape, bool)
    for crossed in np.unique(labels[drawn]).tolist():
        if crossed != label and not annotation.stays(crossed):
            there = labels == crossed
            farthest = float(far[there].max())
            free |= there & (far <= (reach if farthest > reach else farthest / 2))
    return free & ~drawn


def _flooded(annotation: Annotation, box: Box, labels: Labels, free: Mask) -> Labels:
    """The labels after those around have flooded what is free."""
    from scipy.ndimage import binary_dilation
    from skimage.segmentation import watershed

    around = binary_dilation(free) & ~np.isin(labels, list(annotation.locked))
    numbers, places = np.unique(labels[around & ~free], return_inverse=True)
    if not len(numbers):
        return labels
    seeds = np.zeros(labels.shape, np.int32)
    seeds[around & ~free] = places + 1
    found = watershed(borders(annotation, box), seeds, mask=around)
    return np.where(found > 0, numbers[found - 1], labels)


def _missed(annotation: Annotation, seed: tuple[int, ...], label: int, within: Box) -> Area:
    """What the model sees around a voxel of background."""
    margin = NEAR[len(seed)]
    while True:
        box = overlapping(wider(tuple(slice(i, i + 1) for i in seed), margin, annotation.grid), within)
        scores = np.where(annotation.labels[box] == 0, confidence(annotation, label, box), 0)
        here, top = _highest(scores, tuple(i - side.start for i, side in zip(seed, box, strict=True)))
        if top < FAINT:
            raise SegError("The model sees nothing here; grow from a seed or use the brush.")
        levels = [HALF] if top > SURE else np.geomspace(0.9 * top, 0.1 * top, LEVELS).tolist()
        regions = (piece(scores > level, here, "faces") for level in levels)
        whole = [region for region in regions if not goes_on(region, box, within)]
        if whole:
            area = Area(box, whole[0] if len(whole) == 1 else _sharpest(annotation, box, whole, label))
            return _alone(annotation, area, here)
        if math.prod(scores.shape) > LARGEST:
            raise SegError("What the model sees here has no end near the click; use a polygon or the brush.")
        margin *= 2


def _highest(scores: Field, seed: tuple[int, ...]) -> tuple[tuple[int, ...], float]:
    """The voxel with the highest score next to a click, and the score: nobody clicks exactly."""
    near = tuple(slice(max(0, i - 1), i + 2) for i in seed)
    peak = np.unravel_index(int(scores[near].argmax()), scores[near].shape)
    best = tuple(int(k) + side.start for k, side in zip(peak, near, strict=True))
    return best, float(scores[best])


def _sharpest(annotation: Annotation, box: Box, regions: list[Mask], label: int) -> Mask:
    """The region whose border is steepest in the image, or in the scores; touching other labels says nothing."""
    from scipy.ndimage import binary_dilation, binary_erosion

    image = annotation.image
    values = confidence(annotation, label, box) if image is None else finite(image[box])
    steep = steepness(values, annotation)
    apart = ~binary_dilation(annotation.labels[box] != 0)

    def sharpness(region: Mask) -> float:
        near = overlapping(wider(trimmed(Area(box, region)).box, 1, annotation.grid), box)
        cut = relative(near, box)
        edge = binary_dilation(region[cut]) & ~binary_erosion(region[cut]) & apart[cut]  # both sides of the border
        return float(steep[cut][edge].mean()) * np.count_nonzero(region) ** 0.25 if edge.any() else 0.0

    return max(regions, key=sharpness)


def _alone(annotation: Annotation, area: Area, seed: tuple[int, ...]) -> Area:
    """The object at ``seed`` (counted in the box) in a region that may hold several; without holes."""
    region = trimmed(area)
    here = tuple(i + a.start - b.start for i, a, b in zip(seed, area.box, region.box, strict=True))
    parts = separated(annotation, region.box, region.mask)
    mask = region.mask if parts is None else piece(parts == parts[here], here, "faces")
    return Area(region.box, filled(mask))
