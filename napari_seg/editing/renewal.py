"""A new prediction, or new thresholds, put under the work of a person.

What a person has said stays: voxels that were touched, objects that were touched, accepted, flagged, commented or given
a class (whole), accepted regions of classes, finished slices, boxes and cases, and locked labels. Of the new objects
remains what does not lie on any of these, if it is half of the object at least: so what was deleted does not come back,
and no crumbs appear beside what was corrected. An object that nobody has touched keeps its number, and with it its row,
if the new one in its place is the same.

All is decided in one table: how many voxels each old label shares with each new one. Labels come in runs, so only the
ends of runs are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import labels_dtype
from napari_seg.editing.annotation import Annotation, Box, Entry, label_of, unused, whole
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.reach import Mask, overlapping, relative
from napari_seg.editing.said import decided_regions, finished_boxes
from napari_seg.editing.selection import components, part_at, roomy
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels

SAME = 0.25
"""From this intersection over union on, an object is the one that was there before."""

_SLAB = 1 << 22
"""Voxels that are counted at a time."""

_BLOCK = {2: 256, 3: 64}
"""The side of the blocks that an edit is made of: blocks in which nothing changes are not stored."""

_DENSE = 1 << 24
"""Labels below this are looked up in a table, larger ones are searched for."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Renewal:
    """What lies where. ``box``: the place of the prediction. ``labels`` has its shape, ``touched`` that of the grid."""

    annotation: Annotation
    labels: Labels
    touched: Mask | None
    box: Box

    def said(self, part: Box) -> Mask:
        """Where in a part of the grid a person has touched or finished something."""
        found = np.zeros([side.stop - side.start for side in part], bool)
        if self.touched is not None:
            found |= self.touched[part]
        for done in finished_boxes(self.annotation.rows, self.annotation.grid):
            both = overlapping(done, part)
            found[relative(both, part)] = True
        return found

    def new(self, part: Box) -> Labels:
        return self.labels[relative(part, self.box)]

    def parts(self, side: int) -> Iterator[Box]:
        """The blocks of a side length that the box consists of."""
        starts = (range(limits.start, limits.stop, side) for limits in self.box)
        for place in product(*starts):
            yield tuple(slice(a, min(a + side, limits.stop)) for a, limits in zip(place, self.box, strict=True))

    def slabs(self) -> Iterator[Box]:
        """Parts of about ``_SLAB`` voxels along the first axis."""
        first, *rest = self.box
        planes = max(1, _SLAB // max(1, int(np.prod([side.stop - side.start for side in rest]))))
        for start in range(first.start, first.stop, planes):
            yield (slice(start, min(start + planes, first.stop)), *rest)


def renewed(
    annotation: Annotation, labels: Labels, touched: Mask | None = None, box: Box | None = None, tool: str = "predict"
) -> Edit:
    """The edit that puts new labels under what a person has said; it is empty where nothing changes.

    ``labels`` has the shape of ``box``, or of the grid where that is ``None``. ``touched``, of the shape of the grid,
    is where a person has painted, erased or otherwise changed something. Objects that go on beyond the box stay as
    they are. Objects that vanish lose their rows. Raises ``SegError`` for labels of another shape.
    """
    box = box or whole(annotation.grid)
    shape = tuple(side.stop - side.start for side in box)
    if labels.shape != shape:
        raise SegError(f"The prediction is {labels.shape} and its place {shape}; predict this image again.")
    renewal = Renewal(annotation, labels, touched, box)
    return _objects(renewal, tool) if annotation.objects else _classes(renewal, tool)


def _classes(renewal: Renewal, tool: str) -> Edit:
    """Every voxel gets its new class but those that were touched; accepted classes neither gain nor lose any, and
    nothing is added to an accepted region."""
    annotation = renewal.annotation
    kept = np.array(sorted(_kept(annotation)), np.int64)
    accepted = _accepted(annotation)
    left = _left(renewal, accepted)

    def parts() -> Iterator[tuple[Box, Labels]]:
        for part in renewal.parts(_BLOCK[len(annotation.grid)]):
            old, new = annotation.labels[part], renewal.new(part)
            if not np.array_equal(old, new):
                stays = renewal.said(part) | np.isin(old, kept) | np.isin(new, kept)
                for box, mask in accepted:
                    both = overlapping(box, part)
                    stays[relative(both, part)] |= mask[relative(both, box)]
                if left is not None:
                    new = np.where(left[relative(part, renewal.box)], new, 0)
                yield part, np.where(stays, old, new)

    return edited(annotation, tool, parts())


def _accepted(annotation: Annotation) -> list[tuple[Box, Mask]]:
    """The regions of classes that a person accepted, each with the voxels around it, so that nothing grows on to it."""
    from scipy.ndimage import binary_dilation

    found = []
    for label, voxel in decided_regions(annotation.rows, ("accepted",)):
        if len(voxel) == len(annotation.grid) and annotation.at(voxel) == label:
            one = part_at(annotation, voxel)
            wide = roomy(one, tuple(range(len(annotation.grid))), annotation)
            corners = np.ones((3,) * wide.mask.ndim, bool)
            found.append((wide.box, np.asarray(binary_dilation(wide.mask, corners))))
    return found


def _left(renewal: Renewal, accepted: list[tuple[Box, Mask]]) -> Mask | None:
    """Where the prediction counts: not in regions of it that lie by more than half on accepted ones, of which no crumbs
    should remain beside those. ``None``: everywhere."""
    covered = np.zeros(renewal.labels.shape, bool)
    for box, mask in accepted:
        both = overlapping(box, renewal.box)
        covered[relative(both, renewal.box)] |= mask[relative(both, box)]
    if not covered.any():
        return None
    new, _ = components(renewal.labels)
    sizes, taken = np.bincount(new.ravel()), np.bincount(new[covered], minlength=int(new.max()) + 1)
    stays = 2 * (sizes - taken) >= sizes
    stays[0] = True
    return np.asarray(stays[new])


def _objects(renewal: Renewal, tool: str) -> Edit:
    annotation = renewal.annotation
    said, free = _table(renewal)
    frozen = _frozen(renewal, said, free)
    numbers = _numbers(annotation, said, free, frozen)
    on_free = ~np.isin(free.old, frozen)
    if np.array_equal(_looked_up(free.new, numbers)[on_free], free.old[on_free]):
        return edited(annotation, tool, ())
    largest = max(int(numbers[1].max(initial=0)), int(free.old.max(initial=0)), int(said.old.max(initial=0)))
    ice = np.stack([frozen, np.ones_like(frozen)])

    def parts() -> Iterator[tuple[Box, Labels]]:
        for part in renewal.parts(_BLOCK[len(annotation.grid)]):
            old = annotation.labels[part]
            stays = renewal.said(part) | (_looked_up(old, ice) > 0)
            yield part, np.where(stays, old, _looked_up(renewal.new(part), numbers).astype(labels_dtype(largest)))

    return edited(annotation, tool, parts())


@dataclass(frozen=True, eq=False)
class Shared:
    """``voxels[k]`` voxels are ``old[k]`` now and ``new[k]`` in the prediction."""

    old: Numbers
    new: Numbers
    voxels: Numbers


def _table(renewal: Renewal) -> tuple[Shared, Shared]:
    """What old and new labels share, where a person has said something and where not."""
    found: dict[bool, list[tuple[NDArray[np.uint64], Numbers]]] = {True: [], False: []}
    for part in renewal.slabs():
        old, new, said = (a.ravel() for a in (renewal.annotation.labels[part], renewal.new(part), renewal.said(part)))
        turns = (old[1:] != old[:-1]) | (new[1:] != new[:-1]) | (said[1:] != said[:-1])
        ends = np.append(np.flatnonzero(turns), len(old) - 1)
        lengths, pairs = np.diff(ends, prepend=-1), _pair(old[ends], new[ends])
        for word in (True, False):
            chosen = said[ends] == word
            found[word].append(_summed(pairs[chosen], lengths[chosen]))
    tables = []
    for word in (True, False):
        pairs, voxels = _summed(*(np.concatenate(column) for column in zip(*found[word], strict=True)))
        low = np.uint64(0xFFFFFFFF)
        tables.append(Shared((pairs >> np.uint64(32)).astype(np.int64), (pairs & low).astype(np.int64), voxels))
    return tables[0], tables[1]


def _pair(old: Labels, new: Labels) -> NDArray[np.uint64]:
    if max(int(old.max(initial=0)), int(new.max(initial=0))) > 0xFFFFFFFF:
        raise SegError("Labels above 4294967295 cannot be compared with a prediction; give the objects new numbers.")
    return old.astype(np.uint64) << np.uint64(32) | new.astype(np.uint64)


def _summed(pairs: NDArray[np.uint64], voxels: Numbers) -> tuple[NDArray[np.uint64], Numbers]:
    unique, which = np.unique(pairs, return_inverse=True)
    return unique, np.bincount(which, voxels, len(unique)).astype(np.int64)


def _kept(annotation: Annotation) -> set[int]:
    """The labels of which a person has said something that must not be lost, also those that lie nowhere: locked,
    accepted, and of objects those that are flagged, have a comment or were given a class."""
    rows = _rows(annotation).items()
    said = {label for label, entry in rows if entry.state == "accepted"}
    if annotation.objects:
        said |= {label for label, entry in rows if entry.state == "flagged" or entry.comment or entry.category != 1}
    return {*annotation.locked, *said}


def _rows(annotation: Annotation) -> dict[int, Entry]:
    """The rows of the objects or classes, by their label."""
    return {label: entry for key, entry in annotation.rows.items() if (label := label_of(key))}


def _frozen(renewal: Renewal, said: Shared, free: Shared) -> Numbers:
    """The objects that stay whole: touched, accepted, locked, and those that go on beyond the box."""
    annotation, box = renewal.annotation, renewal.box
    beyond = [
        label
        for label in np.unique(free.old).tolist()
        if label and box != whole(annotation.grid) and not _within(annotation.extents[label], box)
        if not _within(annotation.box(label), box)
    ]
    frozen = np.unique(np.concatenate([said.old, np.array([*_kept(annotation), *beyond], np.int64)]))
    return frozen[frozen > 0]


def _within(inner: Box | None, outer: Box) -> bool:
    return inner is not None and all(o.start <= i.start and i.stop <= o.stop for i, o in zip(inner, outer, strict=True))


def _numbers(annotation: Annotation, said: Shared, free: Shared, frozen: Numbers) -> NDArray[Any]:
    """What each new label is called, two rows: new labels and their numbers, 0 for one that is dropped."""
    loose = ~np.isin(free.old, frozen)
    old, new, voxels = free.old[loose], free.new[loose], free.voxels[loose]
    names = np.unique(np.concatenate([said.new, free.new]))
    names = names[names > 0]
    sizes = _sums(names, np.concatenate([said.new, free.new]), np.concatenate([said.voxels, free.voxels]))
    left = _sums(names, new, voxels)
    stays = (2 * left >= sizes) & (left > 0)
    before = np.unique(old[old > 0])
    numbers = np.zeros(len(names), np.int64)
    heirs = _heirs(before, _sums(before, old, voxels), names[stays], left[stays], Shared(old, new, voxels))
    for place, label in heirs.items():
        numbers[np.searchsorted(names, place)] = label
    fresh = np.flatnonzero(stays & (numbers == 0))
    largest = max(annotation.extents.largest, *annotation.locked, 0)
    following = max(annotation.following, unused(largest, annotation.rows))
    numbers[fresh] = np.arange(following, following + len(fresh))
    return np.stack([names, numbers])


def _heirs(before: Numbers, sizes: Numbers, names: Numbers, left: Numbers, shared: Shared) -> dict[int, int]:
    """Which new object is which old one: the pairs of the greatest overlap first, one to one."""
    both = np.isin(shared.old, before) & np.isin(shared.new, names)
    old, new, common = shared.old[both], shared.new[both], shared.voxels[both]
    union = sizes[np.searchsorted(before, old)] + left[np.searchsorted(names, new)] - common
    overlap = common / union
    heirs: dict[int, int] = {}
    taken: set[int] = set()
    for k in np.lexsort((new, old, -overlap)).tolist():
        if overlap[k] >= SAME and int(new[k]) not in heirs and int(old[k]) not in taken:
            heirs[int(new[k])] = int(old[k])
            taken.add(int(old[k]))
    return heirs


def _sums(names: Numbers, labels: Numbers, voxels: Numbers) -> Numbers:
    """The voxels of each name, which are sorted; labels that are no name do not count."""
    known = np.isin(labels, names)
    places = np.searchsorted(names, labels[known])
    return np.bincount(places, voxels[known], len(names)).astype(np.int64)


def _looked_up(labels: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """``labels`` of the first row of ``numbers``, which is sorted, become those of the second; others become 0."""
    names, values = numbers
    if not len(names):
        return np.broadcast_to(np.uint8(0), labels.shape)
    largest = max(int(names[-1]), int(labels.max(initial=0)))
    if largest < _DENSE:
        table = np.zeros(largest + 1, labels_dtype(int(values.max())))
        table[names] = values
        return np.asarray(table[labels])
    places = np.minimum(np.searchsorted(names, labels), len(names) - 1)
    return np.where(names[places] == labels, values[places], 0)
