"""Sums over every label in one pass.

Counts, places, second moments and boxes are sums over runs (see :mod:`~.runs`). It gives way to other threads every few
milliseconds, so that the window goes on while it works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_seg.editing.annotation import Box
from napari_seg.editing.counting import counted
from napari_seg.editing.parts import Parts
from napari_seg.editing.runs import Field, Floats, Ints, runs_of
from napari_seg.tasks.base import Labels

_DENSE = 1 << 20
"""Up to this number labels are places in a table; above, they are numbered anew first."""


@dataclass(frozen=True, eq=False)
class Tally:
    """``labels`` in rising order, without 0; all else has a row for each.

    ``voxels``; ``centre`` ``(n, ndim)`` and ``spread`` ``(n, ndim, ndim)``, mean and covariance of the coordinates, a
    voxel being as wide as it is; ``start`` and ``stop`` of its box ``(n, ndim)``; ``means`` ``(fields, n)``; ``parts``.
    """

    labels: Ints
    voxels: Ints
    centre: Floats
    spread: Floats
    start: Ints
    stop: Ints
    means: Floats
    parts: Ints

    def box(self, row: int) -> Box:
        return tuple(slice(a, b) for a, b in zip(self.start[row].tolist(), self.stop[row].tolist(), strict=True))


def tally(labels: Labels, fields: Sequence[Field] = ()) -> Tally:
    """Look at all of ``labels``, 2D or 3D, once. Parts hang together by corners too."""
    names = _names(labels)
    n, ndim = len(names), labels.ndim
    voxels, sums, means = np.zeros(n), np.zeros((ndim, n)), np.zeros((len(fields), n))
    squares = np.zeros((ndim, ndim, n))
    start, stop = np.full((ndim, n), np.iinfo(np.int64).max), np.zeros((ndim, n), np.int64)
    parts = Parts()
    for runs in runs_of(labels):
        of = rows_of(names, runs.label)
        parts.add(labels[runs.planes], runs, of)
        length = runs.length.astype(np.float64)
        middle = [place.astype(np.float64) for place in runs.place]
        middle[-1] += (length - 1) / 2
        voxels += np.bincount(of, length, n)
        for a in range(ndim):
            last = runs.place[a] + (runs.length if a == ndim - 1 else 1)
            np.minimum.at(start[a], of, runs.place[a])
            np.maximum.at(stop[a], of, last)
            sums[a] += np.bincount(of, length * middle[a], n)
            for b in range(a, ndim):
                squares[a, b] += np.bincount(of, length * middle[a] * middle[b], n)
        squares[-1, -1] += np.bincount(of, length * (length**2 - 1) / 12, n)  # of a run about its own middle
        means += runs.sums(fields, of, n)
    found = np.flatnonzero((voxels > 0) & (names > 0))
    centre = sums[:, found] / voxels[found]
    spread = np.maximum(squares, squares.transpose(1, 0, 2))[:, :, found] / voxels[found]
    spread -= centre[:, None] * centre[None]
    return Tally(
        labels=names[found],
        voxels=voxels[found].astype(np.int64),
        centre=np.ascontiguousarray(centre.T),
        spread=np.moveaxis(spread, 2, 0) + np.eye(ndim) / 12,
        start=start[:, found].T.copy(),
        stop=stop[:, found].T.copy(),
        means=means[:, found] / voxels[found],
        parts=parts.counts(n)[found],
    )


def means_of(labels: Labels, names: Ints, voxels: Ints, fields: Sequence[Field]) -> Floats:
    """The mean of each field over each label, ``(fields, n)``. ``names`` and ``voxels`` are known from a tally."""
    total = np.zeros((len(fields), len(names)))
    for runs in runs_of(labels):
        total += runs.sums(fields, rows_of(names, runs.label), len(names))
    means: Floats = total / voxels
    return means


def rows_of(names: Ints, labels: Ints) -> Ints:
    """The place of each of ``labels`` among ``names``, which rise and hold all of them."""
    if not len(names) or names[-1] >= _DENSE:
        return np.searchsorted(names, labels).astype(np.int64)
    places = np.zeros(int(names[-1]) + 1, np.int64)
    places[names] = np.arange(len(names))
    found: Ints = places[labels]
    return found


def _names(labels: Labels) -> Ints:
    """The label that stands for each place of a table; those that do not occur may be among them."""
    largest = int(labels.max(initial=0))
    if largest < _DENSE:
        return np.arange(largest + 1, dtype=np.int64)
    return np.array(sorted({0} | counted(labels).keys()), np.int64)
