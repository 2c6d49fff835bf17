"""Where a person has spoken, which is all that a model may learn from: there labels count, everything else is unknown.

The general pattern is: 1. what was changed by hand counts, 2. of objects all of it, with a ring of background around,
3. of classes the strokes, with a ring only in the planes in which they were drawn, 4. what was accepted or finished
counts whole, 5. what was rejected is unknown, 6. the plane in which a person corrects all this has the last word.

A ring is as wide along each axis as :data:`RING` of the finest voxels, one voxel at least. It says "background", so it
lies on nothing but background. All is done slab by slab and only where there is something.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from math import floor, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import CASE, Box, Entry, State, label_of, whole
from napari_seg.editing.counting import counted, slabs
from napari_seg.editing.reach import Mask, relative
from napari_seg.editing.said import decided_regions, decided_slices, finished_boxes
from napari_seg.editing.selection import Region, components, connected, trimmed
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels
from napari_seg.wording import count_of, listed

RING = 4.0
"""How far a ring reaches, in voxels along the axis with the finest ones."""

COUNTS, UNKNOWN = 1, 2
"""What a person paints into the plane that corrects all this: here labels count, here they do not."""

_SLAB = 1 << 24
"""Voxels that are looked at in one go."""

_DENSE = 1 << 24
"""Labels below this are looked up in a table, larger ones are searched for."""

_SHEET = 3
"""What is so many times as long along two axes as along the third was drawn across that one."""

Radii = tuple[float, ...]


def spoken(
    labels: Labels,
    said: NDArray[Any],
    rows: Mapping[str, Entry],
    *,
    objects: bool,
    spacing: Sequence[float],
    override: NDArray[Any] | None = None,
    changed: Collection[int] = (),
) -> Mask:
    """Where labels ``(*grid)`` of one plane at one time count.

    ``said``: where voxels were changed by hand. ``rows``: what was said, by the keys of
    :mod:`~napari_seg.editing.annotation` and :mod:`~napari_seg.editing.said`. ``objects``: numbers count objects; else
    they are classes. ``spacing``: one number for each axis, none where it is not known. ``override``: 1 where labels
    count whatever else is known, 2 where they do not. ``changed``: objects that are known otherwise to have been
    changed by hand, such as those that only lost voxels. Raises ``SegError`` for arrays of different shapes.
    """
    for name, other in (("said", said), ("override", override)):
        if other is not None and other.shape != labels.shape:
            raise SegError(f"The plane {name} has shape {other.shape}, the labels {labels.shape}; open the mask again.")
    radii = ring_radii(spacing or (1.0,) * labels.ndim)
    found: Mask = said != 0
    _add_labels(found, labels, whole_labels(labels, said, rows, objects=objects, changed=changed), radii)
    if not objects:
        _add_strokes(found, labels, said, radii, tuple(spacing))
        for region in _regions(labels, rows, "accepted"):
            _add_region(found, labels, region, radii)
    found |= _finished(rows, labels.shape)
    _take_out(found, labels, _labels_that_are(rows, "rejected"))
    if not objects:
        for region in _regions(labels, rows, "rejected"):
            found[region.box] &= ~region.mask
    if override is not None:
        found |= override == COUNTS
        found &= override != UNKNOWN
    return found


def whole_labels(
    labels: Labels, said: NDArray[Any], rows: Mapping[str, Entry], *, objects: bool, changed: Collection[int] = ()
) -> set[int]:
    """The labels all of whose voxels count: objects that were changed or accepted, classes that were accepted, without
    those that were rejected."""
    found = _labels_that_are(rows, "accepted")
    if objects:
        found.update(changed)
        for slab in slabs(labels, _SLAB):
            where = said[slab] != 0
            if where.any():
                found.update(counted(labels[slab][where]))
    return found - _labels_that_are(rows, "rejected") - {0}


@dataclass(frozen=True)
class Amount:
    """How much there is to learn from: whole objects, classes with voxels that count, regions, finished slices, boxes
    and cases, the voxels that count, and how many of them are background; the images that all this lies in.

    Amounts of several images add up; the classes are those of the image with the most.
    """

    objects: int = 0
    classes: int = 0
    regions: int = 0
    slices: int = 0
    boxes: int = 0
    cases: int = 0
    voxels: int = 0
    background: int = 0
    images: int = 0

    @property
    def corrected(self) -> int:
        """How much that is, in objects, or of classes in slices, boxes, cases and regions."""
        return self.objects or self.slices + self.boxes + self.cases + self.regions

    def __add__(self, other: Amount) -> Amount:
        sums = {known.name: getattr(self, known.name) + getattr(other, known.name) for known in fields(self)}
        return Amount(**{**sums, "classes": max(self.classes, other.classes)})

    @property
    def words(self) -> str:
        """``14 objects and 3 finished slices in 2 images; background: yes``."""
        if not self.voxels:
            return "nothing yet: paint, accept or finish something"
        counts = (
            (self.objects, "object"),
            (self.classes, "class"),
            (self.regions, "accepted region"),
            (self.slices, "finished slice"),
            (self.boxes, "finished box"),
            (self.cases, "finished case"),
        )
        known = listed([count_of(n, what) for n, what in counts if n] or ["background"])
        return f"{known} in {count_of(self.images, 'image')}; background: {'yes' if self.background else 'no'}"


def amount(
    labels: Labels,
    said: NDArray[Any],
    rows: Mapping[str, Entry],
    counts: Mask,
    *,
    objects: bool,
    changed: Collection[int] = (),
) -> Amount:
    """What there is to learn from in one plane at one time. ``counts``: of :func:`spoken`."""
    there, voxels, background = set[int](), 0, 0
    for slab in slabs(labels, _SLAB):
        found = counted(labels[slab][counts[slab]])
        there.update(found)
        voxels += found.total()
        background += found[0]
    there.discard(0)
    accepted = [key.split()[0] for key, entry in rows.items() if entry.state == "accepted"]
    return Amount(
        objects=len(there & whole_labels(labels, said, rows, objects=True, changed=changed)) if objects else 0,
        classes=0 if objects else len(there),
        regions=0 if objects else sum(1 for _ in _regions(labels, rows, "accepted")),
        slices=accepted.count("slice"),
        boxes=accepted.count("box"),
        cases=accepted.count(CASE),
        voxels=voxels,
        background=background,
        images=1 if voxels else 0,
    )


def ring_radii(spacing: Sequence[float]) -> Radii:
    """How many voxels a ring reaches along each axis."""
    return tuple(max(1.0, RING * min(spacing) / step) for step in spacing)


def _labels_that_are(rows: Mapping[str, Entry], state: State) -> set[int]:
    return {label for key, entry in rows.items() if entry.state == state and (label := label_of(key))}


def _regions(labels: Labels, rows: Mapping[str, Entry], state: State) -> Iterator[Region]:
    """The regions of classes that a person accepted, or rejected, as they are now."""
    for label, voxel in decided_regions(rows, (state,)):
        inside = len(voxel) == labels.ndim and all(i < n for i, n in zip(voxel, labels.shape, strict=True))
        if inside and labels[voxel] == label:
            yield connected(labels, voxel, whole(labels.shape))


def _finished(rows: Mapping[str, Entry], grid: tuple[int, ...]) -> Mask | np.bool_:
    """Where slices, boxes or the case are finished; a slice that is rejected is not."""
    boxes = finished_boxes(rows, grid)
    if not boxes:
        return np.False_
    found = np.zeros(grid, bool)
    for box in boxes:
        found[box] = True
    for axis, length in enumerate(grid):
        rejected = decided_slices(rows, axis, length, ("rejected",))
        if rejected.any():
            found[(slice(None),) * axis + (rejected,)] = False
    return found


def _add_labels(found: Mask, labels: Labels, wanted: set[int], radii: Radii) -> None:
    """All voxels of these labels, and the ring around them."""
    for slab in slabs(labels, _SLAB) if wanted else ():
        inside = _among(labels[slab], wanted)
        if inside.any():
            here = trimmed(Region(0, (slab, *whole(labels.shape)[1:]), inside))
            _add_ring(found, labels, here.box, here.mask, radii)
            found[here.box] |= here.mask


def _add_strokes(found: Mask, labels: Labels, said: NDArray[Any], radii: Radii, spacing: Radii) -> None:
    """The rings around what was painted. In a volume each stroke has its ring in the planes in which it was drawn."""
    for stroke in _strokes((said != 0) & (labels > 0)):
        if labels.ndim == 2:
            _add_ring(found, labels, stroke.box, stroke.mask, radii)
            continue
        across = _drawn_across(stroke.box, spacing)
        cross = tuple(0.0 if axis == across else 1.0 for axis in range(3))
        broad = ~_dilated(~np.pad(stroke.mask, 1), cross)  # what has no breadth in the plane was not drawn in it
        kept = _dilated(broad[1:-1, 1:-1, 1:-1], cross)
        flat = tuple(0.0 if axis == across else radius for axis, radius in enumerate(radii))
        _add_ring(found, labels, stroke.box, kept, flat)


def _strokes(painted: Mask) -> Iterator[Region]:
    """What hangs together of the painted voxels, or nearly: looked for at half the resolution."""
    from scipy.ndimage import find_objects

    if not painted.any():
        return
    area = trimmed(Region(0, whole(painted.shape), painted))
    padded = np.pad(area.mask, [(0, n % 2) for n in area.mask.shape])
    halves = padded.reshape([k for n in padded.shape for k in (n // 2, 2)]).any(tuple(range(1, 2 * painted.ndim, 2)))
    parts = components(np.asarray(halves))[0].astype(np.int32)
    for number, place in enumerate(find_objects(parts), 1):
        mine = parts[place] == number
        for axis in range(painted.ndim):
            mine = mine.repeat(2, axis)
        ends = zip(place, area.box, strict=True)
        box = tuple(slice(b.start + 2 * p.start, min(b.stop, b.start + 2 * p.stop)) for p, b in ends)
        mine = mine[tuple(slice(0, side.stop - side.start) for side in box)]
        yield trimmed(Region(0, box, painted[box] & mine))


def _drawn_across(box: Box, spacing: Radii) -> int:
    """The axis across the slices in which a stroke was drawn: the one along which it is by far the shortest, else the
    one with the largest spacing."""
    lengths = [side.stop - side.start for side in box]
    shortest = lengths.index(min(lengths))
    if all(length >= _SHEET * lengths[shortest] for k, length in enumerate(lengths) if k != shortest):
        return shortest
    return spacing.index(max(spacing)) if spacing else 0


def _add_region(found: Mask, labels: Labels, region: Region, radii: Radii) -> None:
    """All voxels of a region, and the ring around it."""
    _add_ring(found, labels, region.box, region.mask, radii)
    found[region.box] |= region.mask


def _add_ring(found: Mask, labels: Labels, box: Box, mask: Mask, radii: Radii) -> None:
    """The background near the voxels ``mask`` of a box."""
    sides = zip(box, radii, labels.shape, strict=True)
    wide = tuple(slice(max(0, s.start - floor(r)), min(n, s.stop + floor(r))) for s, r, n in sides)
    inside = np.zeros([side.stop - side.start for side in wide], bool)
    inside[relative(box, wide)] = mask
    found[wide] |= _dilated(inside, radii) & (labels[wide] == 0)


def _take_out(found: Mask, labels: Labels, unwanted: set[int]) -> None:
    for slab in slabs(labels, _SLAB) if unwanted else ():
        found[slab] &= ~_among(labels[slab], unwanted)


def _among(labels: Labels, wanted: set[int]) -> Mask:
    """Where one of the wanted labels lies."""
    largest = int(labels.max(initial=0))
    if largest >= _DENSE:
        return np.isin(labels, np.array(sorted(wanted), np.uint64).astype(labels.dtype))
    table = np.zeros(largest + 1, bool)
    table[[label for label in wanted if label <= largest]] = True
    return np.asarray(table[labels])


def _dilated(mask: Mask, radii: Radii) -> Mask:
    """Every voxel within an ellipsoid of these radii (in voxels) around one of the mask; the mask is one of them.

    Along the last axis the mask is widened; along the others it is shifted, eight voxels in a byte.
    """
    *lead, last = radii
    by_width: dict[int, list[tuple[int, ...]]] = {}
    for shift in product(*(range(-floor(radius), floor(radius) + 1) for radius in lead)):
        rest = 1 - sum((step / radius) ** 2 for step, radius in zip(shift, lead, strict=True) if step)
        if rest > -1e-9:
            by_width.setdefault(floor(last * sqrt(max(rest, 0.0)) + 1e-9), []).append(shift)
    total, wide = np.packbits(mask, axis=-1), mask.copy()
    for width in range(max(by_width) + 1):
        if 0 < width < mask.shape[-1]:
            wide[..., width:] |= mask[..., :-width]
            wide[..., :-width] |= mask[..., width:]
        packed = np.packbits(wide, axis=-1) if width in by_width else wide
        for shift in by_width.get(width, ()):
            if all(abs(step) < n for step, n in zip(shift, mask.shape, strict=False)):
                total[_shifted(shift, 1)] |= packed[_shifted(shift, -1)]
    return np.unpackbits(total, axis=-1, count=mask.shape[-1]).view(bool)


def _shifted(shift: Iterable[int], sign: int) -> Box:
    """The part of an array that lies on another part after a shift: where it goes (1), or where it comes from (-1)."""
    return tuple(slice(max(0, sign * step), min(0, sign * step) or None) for step in shift)
