"""What a person has already decided, read from the rows of an annotation: which objects, slices and regions need not be
shown again. A slice, box or case that is accepted is finished: everything in it is decided."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import CASE, Box, Entry, State, label_of, whole
from napari_seg.editing.runs import Ints
from napari_seg.editing.selection import components
from napari_seg.tasks.base import Labels
from napari_seg.wording import class_name

DECIDED = ("accepted", "rejected")

_AT_ONCE = 1 << 21
"""In a larger box nobody looks which regions have grown together: a window would wait for it."""

_SLICE = re.compile(r"slice (\d+) (\d+)")
_BOX = re.compile(r"box (\d+:\d+(?: \d+:\d+)*)")
_CLASS = re.compile(r"class (\d+)")
_REGION = re.compile(r"region (\d+) at ([\d ]+)")


NUMBERS = "numbers"
"""The key of the row that says what the numbers of a mask mean, where a person said otherwise than the mask came: its
comment is ``objects`` or ``classes``."""

TITLE = "title"
"""The key of the row whose comment is the name that a person gave to a mask."""


def counts_objects(came_so: bool, rows: Mapping[str, Entry]) -> bool:
    """Whether numbers count objects: as the mask ``came``, unless a person has said otherwise."""
    said = rows[NUMBERS].comment if NUMBERS in rows else ""
    return said == "objects" if said else came_so


def region_key(label: int, voxel: tuple[int, ...]) -> str:
    """The key of a connected region of a class, by one of its voxels: so it is known again after an edit elsewhere."""
    return f"region {label} at {' '.join(map(str, voxel))}"


def class_names(made_with: Sequence[str], rows: Mapping[str, Entry]) -> tuple[str, ...]:
    """What the classes 1, 2, ... are called: as the mask was ``made_with``, unless a person has named them otherwise.
    A class that nobody has named is ``class 3``."""
    named = {k: name for k, name in enumerate(made_with, 1) if name}
    for key, entry in rows.items():
        match = _CLASS.fullmatch(key)
        if match and entry.comment:
            named[int(match[1])] = entry.comment
    return tuple(named.get(k, class_name(k)) for k in range(1, max(named, default=0) + 1))


def decided_regions(rows: Mapping[str, Entry], states: tuple[str, ...] = DECIDED) -> list[tuple[int, tuple[int, ...]]]:
    """Label and voxel of each region that is accepted or rejected, or in one of these states."""
    found = ((_REGION.fullmatch(key), entry) for key, entry in rows.items() if entry.state in states)
    return [(int(m[1]), tuple(int(k) for k in m[2].split())) for m, _ in found if m]


def state_of_class(label: int, own: State, rows: Mapping[str, Entry], labels: Labels, parts: int, box: Box) -> State:
    """What was said of a class in a ``box``, of its row (``own``) or of its connected regions, of which it has so many
    ``parts``: flagged or rejected as soon as one region is, accepted where all are."""
    said = {
        state: [at for number, at in decided_regions(rows, (state,)) if number == label and _holds(labels, at, label)]
        for state in ("flagged", "rejected", "accepted")
    }
    if said["flagged"] or said["rejected"]:
        return own if own in ("flagged", "rejected") else "flagged" if said["flagged"] else "rejected"
    if own != "unseen" or len(said["accepted"]) < parts:
        return own
    inside = labels[box]
    if parts == 1 or inside.size > _AT_ONCE:
        return "accepted"
    apart = components(inside == label)[0]  # some that were accepted may have grown together since
    where = [tuple(np.subtract(at, [side.start for side in box])) for at in said["accepted"]]
    return "accepted" if len({int(apart[at]) for at in where}) == parts else own


def _holds(labels: Labels, at: tuple[int, ...], label: int) -> bool:
    inside = len(at) == labels.ndim and all(np.less(at, labels.shape))
    return inside and bool(labels[at] == label)


def decided_slices(
    rows: Mapping[str, Entry], axis: int, length: int, states: tuple[str, ...] = DECIDED
) -> NDArray[np.bool_]:
    """Which slices along an axis are accepted or rejected, or in one of these states."""
    which = np.zeros(length, bool)
    for key, entry in rows.items():
        match = _SLICE.fullmatch(key)
        if match and int(match[1]) == axis and int(match[2]) < length and entry.state in states:
            which[int(match[2])] = True
    return which


def occurs(key: str, labels: Labels, objects: Container[int]) -> bool:
    """Whether the object, region or slice that a row is about is in ``labels``, which hold these ``objects``: one that
    was judged in a film may lie at another time."""
    region, one = _REGION.fullmatch(key), _SLICE.fullmatch(key)
    if region:
        return _holds(labels, tuple(int(k) for k in region[2].split()), int(region[1]))
    if one:
        axis, index = int(one[1]), int(one[2])
        return axis < labels.ndim and index < labels.shape[axis] and bool(labels.take(index, axis).any())
    return label_of(key) in objects


def finished(rows: Mapping[str, Entry], start: Ints, stop: Ints, grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which boxes ``(n, ndim)`` lie wholly in slices, a box or a case that are finished."""
    done = np.full(len(start), rows.get(CASE, Entry()).state == "accepted")
    for axis, length in enumerate(grid):
        slices = decided_slices(rows, axis, length, ("accepted",))
        if slices.any():
            before = np.concatenate([[0], np.cumsum(slices)])
            done |= before[stop[:, axis]] - before[start[:, axis]] == stop[:, axis] - start[:, axis]
    for key, entry in rows.items():
        if key.startswith("box ") and entry.state == "accepted":
            low, high = np.array([[int(k) for k in side.split(":")] for side in key.split()[1:]]).T
            done |= ((start >= low) & (stop <= high)).all(1)
    return done


def finished_boxes(rows: Mapping[str, Entry], grid: tuple[int, ...]) -> list[Box]:
    """The slices and boxes, or the whole, that a person has finished; keys of other grids are passed over."""
    found = []
    for key, entry in rows.items():
        if entry.state != "accepted":
            continue
        one, several = _SLICE.fullmatch(key), _BOX.fullmatch(key)
        if key == CASE:
            found.append(whole(grid))
        elif one and int(one[1]) < len(grid):
            axis, index = int(one[1]), int(one[2])
            found.append(tuple(slice(index, index + 1) if k == axis else side for k, side in enumerate(whole(grid))))
        elif several:
            sides = [side.split(":") for side in several[1].split()]
            if len(sides) == len(grid):
                found.append(tuple(slice(int(start), int(stop)) for start, stop in sides))
    return found
