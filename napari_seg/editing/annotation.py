"""What a tool looks at: the labels of one plane at one time, what is known of its objects, and what lies beneath.

A tool never writes to the labels. It answers with an :class:`~napari_seg.editing.edit.Edit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.counting import counted, slabs
from napari_seg.tasks.base import Labels, Scores

if TYPE_CHECKING:
    from napari_seg.editing.edit import Edit

Box = tuple[slice, ...]
"""A box of voxels: one slice with a start and a stop for each axis."""

State = Literal["unseen", "accepted", "rejected", "flagged"]
"""What a person says of an object, a slice or a case."""


@dataclass(frozen=True)
class Entry:
    """A row of the object table, or what was said of a slice, a box, a class or a case. ``category``: the class, from
    1."""

    category: int = 1
    state: State = "unseen"
    comment: str = ""
    locked: bool = False


def class_key(number: int) -> str:
    """The key of the row that says what a class is called: its comment is the name."""
    return f"class {number}"


CASE = "case"
"""The key of the row of a whole image."""


def object_key(label: int) -> str:
    return f"object {label}"


def label_of(key: str) -> int:
    """The label that a row is about; 0 where it is about something else."""
    return int(key[7:]) if key.startswith("object ") and key[7:].isdecimal() else 0


def slice_key(axis: int, index: int) -> str:
    """The key of a slice: ``axis`` counts the spatial axes of the grid."""
    return f"slice {axis} {index}"


def box_key(box: Box) -> str:
    return "box " + " ".join(f"{side.start}:{side.stop}" for side in box)


_SLAB = 1 << 22
"""Voxels that boxes are looked for in at once: it keeps other threads waiting for some 10 ms."""


class Extents:
    """Where each label lies: a box that holds all of it, perhaps larger than needed. It follows edits at no cost."""

    def __init__(self, labels: Labels) -> None:
        """Looks at all of ``labels`` once: about a second for 512 x 512 x 512."""
        self._boxes: dict[int, Box] = {}
        for slab in slabs(labels, _SLAB):
            for label, (first, *others) in _boxes(labels[slab]):
                self._reach(label, (slice(first.start + slab.start, first.stop + slab.start), *others))

    @classmethod
    def of_parts(cls, parts: Iterable[tuple[tuple[int, ...], Labels]]) -> Extents:
        """Where each label lies in parts of a grid, each with its start."""
        made = object.__new__(cls)
        made._boxes = {}
        for start, labels in parts:
            made.include(start, labels)
        return made

    def copy(self) -> Extents:
        """As they are now, for a thread."""
        made = object.__new__(Extents)
        made.__dict__.update(self.__dict__, _boxes=dict(self._boxes))
        return made

    def __getitem__(self, label: int) -> Box | None:
        return self._boxes.get(label)

    def include(self, start: tuple[int, ...], after: Labels) -> None:
        """The labels ``after`` were written at ``start``."""
        here: Box = tuple(slice(a, a + n) for a, n in zip(start, after.shape, strict=True))
        for label in counted(after):
            if label:
                self._reach(label, here)

    def join(self, others: Extents, labels: Iterable[int] | None = None) -> None:
        """The labels, or these of them, lie there too."""
        for label in others._boxes if labels is None else labels:
            self._reach(label, others._boxes[label])

    def _reach(self, label: int, box: Box) -> None:
        there = self._boxes.get(label)
        self._boxes[label] = box if there is None else enclosing(box, there)

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels there are or were."""
        return tuple(sorted(self._boxes))

    @property
    def largest(self) -> int:
        return max(self._boxes, default=0)


def _boxes(labels: Labels) -> Iterator[tuple[int, Box]]:
    """Every label but 0, and the smallest box that holds it."""
    from scipy.ndimage import find_objects

    largest = int(labels.max(initial=0))
    if largest < 2**24:
        found = find_objects(labels.astype(np.int32, copy=False), largest)
        yield from ((number, box) for number, box in enumerate(found, 1) if box is not None)
    else:  # numbers so large that a list of all would not fit into memory
        numbers, places = np.unique(labels, return_inverse=True)
        found = find_objects(places.reshape(labels.shape).astype(np.int32) + 1)
        yield from ((int(number), box) for number, box in zip(numbers, found, strict=True) if number and box)


def unused(largest: int, rows: Mapping[str, Entry]) -> int:
    """The number for a new object: above the ``largest`` label at any time, and above all that something is known of,
    also of objects that are gone."""
    return max(largest, *(label_of(key) for key in rows), 0) + 1


def never(label: int) -> bool:
    """There is but one time."""
    return False


@dataclass(frozen=True, eq=False)
class Annotation:
    """The labels ``(*grid)`` of one plane, 2D or 3D, at one time of ``times``.

    ``objects``: numbers count objects; else they are classes. ``spacing`` is in ``unit``, one number per axis;
    ``along`` are the directions of the axes where they lean (see :func:`~napari_seg.data.geometry.leaning`).
    ``image`` (intensities) and ``scores`` (``(channels, *grid)``, 0..1) lie on the same grid where there are any.
    ``rows`` by the keys above. ``locked`` labels neither gain nor lose a voxel; ``unseen`` says which of some labels
    are not drawn at the moment, and these lose none. ``following``: the number that a new object gets (see
    :func:`unused`). ``elsewhere``: whether a label occurs at another time. ``last``: the edit that led here, if it is
    known; some tools repeat it.
    """

    labels: Labels
    extents: Extents
    objects: bool = True
    times: int = 1
    spacing: tuple[float, ...] = ()
    unit: str = "pixel"
    along: NDArray[np.float64] | None = None
    image: NDArray[Any] | None = None
    scores: Scores | None = None
    rows: Mapping[str, Entry] = field(default_factory=dict)
    locked: frozenset[int] = frozenset()
    unseen: Callable[[Labels], NDArray[np.bool_]] | None = None
    following: int = 1
    elsewhere: Callable[[int], bool] = never
    last: Edit | None = None

    @classmethod
    def of(cls, labels: Labels, **known: Any) -> Annotation:
        """An annotation of labels that nothing is known of yet: looks at all of them."""
        extents = Extents(labels)
        known.setdefault("spacing", (1.0,) * labels.ndim)
        known.setdefault("following", unused(extents.largest, known.get("rows", {})))
        return cls(labels, extents, **known)

    @property
    def grid(self) -> tuple[int, ...]:
        return self.labels.shape

    def entry(self, label: int) -> Entry:
        return self.rows.get(object_key(label), Entry())

    def stays(self, label: int) -> bool:
        """Whether a label loses no voxel, as it is locked or not drawn."""
        return label in self.locked or (self.unseen is not None and bool(self.unseen(np.array([label]))[0]))

    def at(self, point: tuple[float, ...]) -> int:
        """The label of the voxel at ``point`` (voxel coordinates); 0 outside the grid."""
        index = tuple(int(np.floor(p + 0.5)) for p in point)
        inside = all(0 <= i < n for i, n in zip(index, self.grid, strict=True))
        return int(self.labels[index]) if inside else 0

    def box(self, label: int, margin: int = 0) -> Box | None:
        """The smallest box that holds all of a label, wider by ``margin`` voxels inside the grid; ``None`` if gone."""
        rough = self.extents[label]
        if rough is None or not label:
            return None
        inner = tight(self.labels[rough] == label)
        return None if inner is None else wider(moved(inner, rough), margin, self.grid)


def enclosing(a: Box, b: Box) -> Box:
    """The smallest box around two."""
    return tuple(slice(min(x.start, y.start), max(x.stop, y.stop)) for x, y in zip(a, b, strict=True))


def tight(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds all of a mask; ``None`` where it is empty."""
    spans = []
    for axis in range(mask.ndim):
        line = np.flatnonzero(mask.any(tuple(k for k in range(mask.ndim) if k != axis)))
        if not len(line):
            return None
        spans.append(slice(int(line[0]), int(line[-1]) + 1))
    return tuple(spans)


def moved(inner: Box, box: Box) -> Box:
    """Where a box lies that is counted from the start of another one."""
    return tuple(slice(b.start + i.start, b.start + i.stop) for i, b in zip(inner, box, strict=True))


def wider(box: Box, margin: int, grid: tuple[int, ...]) -> Box:
    """A box grown by ``margin`` voxels on each side, inside the grid."""
    sides = zip(box, grid, strict=True)
    return tuple(slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in sides)


def whole(grid: tuple[int, ...]) -> Box:
    return tuple(slice(0, n) for n in grid)
