"""The parts that a label comes in, found slab by slab.

Connected components of a slab keep the interpreter to themselves for some milliseconds; those of a large volume would
stop the window for a second, and need as much memory again. So each slab is taken alone, and its parts are joined with
those of the slab before where they touch, by corners too.
"""

from __future__ import annotations

import itertools

import cc3d
import numpy as np

from napari_seg.editing.counting import slabs
from napari_seg.editing.runs import SLAB, Ints, Runs
from napari_seg.tasks.base import Labels


class Parts:
    """:meth:`add`, or :meth:`pieces` of, slabs in their order, then ask for :meth:`counts` or :meth:`joined`."""

    def __init__(self) -> None:
        self._owners: list[Ints] = []
        self._joins: list[tuple[Ints, Ints]] = []
        self._total = 0
        self._stop = -1
        self._last: tuple[Labels, Ints] | None = None

    def add(self, slab: Labels, runs: Runs, of: Ints) -> None:
        """A slab, its runs, and the row of the label of each run."""
        pieces, before = self.pieces(slab, runs.planes)
        owners = np.zeros(self._total - before, np.int64)
        owners[pieces.ravel()[runs.first].astype(np.int64) - 1] = of
        self._owners.append(owners)

    def pieces(self, slab: Labels, planes: slice) -> tuple[Labels, int]:
        """The pieces of a slab that lies at these planes, numbered from 1, and how many there were before."""
        pieces, count = cc3d.connected_components(slab, connectivity=8 if slab.ndim == 2 else 26, return_N=True)
        before = self._total
        first, last = (pieces[k].astype(np.int64) + (before - 1) for k in (0, -1))
        if self._last is not None and self._stop == planes.start:
            self._joins += _touching(*self._last, slab[0], first)
        self._last = slab[-1], last
        self._stop, self._total = planes.stop, before + count
        return pieces, before

    def counts(self, n: int) -> Ints:
        """The number of parts of each of ``n`` rows."""
        joined = self.joined()
        owners = np.zeros(int(joined.max(initial=-1)) + 1, np.int64)
        owners[joined] = np.concatenate([*self._owners, np.zeros(0, np.int64)])  # all pieces of a part have one owner
        return np.bincount(owners, minlength=n).astype(np.int64)

    def joined(self) -> Ints:
        """For each piece the number, from 0, of the part it belongs to."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._joins:
            return np.arange(self._total)
        a, b = (np.concatenate(side) for side in zip(*self._joins, strict=True))
        graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(self._total,) * 2)
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def regions(labels: Labels) -> Labels:
    """Each connected region of each label with a number of its own, from 1; labels of 0 stay 0."""
    parts, found = Parts(), np.zeros(labels.shape, np.uint32)
    filled = [planes for planes in slabs(labels, SLAB) if labels[planes].any()]
    for planes in filled:
        pieces, before = parts.pieces(np.require(labels[planes], requirements=("C", "W")), planes)
        np.add(pieces, np.uint32(before), out=found[planes], where=pieces > 0)
    numbers = np.concatenate([[0], parts.joined() + 1]).astype(np.uint32)
    for planes in filled:
        found[planes] = numbers[found[planes]]
    return found


def _touching(labels: Labels, numbers: Ints, after: Labels, numbers_after: Ints) -> list[tuple[Ints, Ints]]:
    """The pairs of pieces, in one plane and in the next, that have one label and touch."""
    found = []
    for steps in itertools.product((-1, 0, 1), repeat=labels.ndim):
        sides = list(zip(steps, labels.shape, strict=True))
        here = tuple(slice(max(0, -step), n - max(0, step)) for step, n in sides)
        there = tuple(slice(max(0, step), n + min(0, step)) for step, n in sides)
        same = (labels[here] == after[there]) & (labels[here] > 0)
        before, behind = numbers[here][same], numbers_after[there][same]
        new = np.ones(len(before), bool)  # pairs come in runs; that some come again does not matter
        new[1:] = (before[1:] != before[:-1]) | (behind[1:] != behind[:-1])
        found.append((before[new], behind[new]))
    return found
