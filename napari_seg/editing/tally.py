"""Sums over every label in one pass.

Labels come in runs along the last axis, so that only the beginning and the length of each run are looked at, some
millions where there are hundreds of millions of voxels: counts, places, second moments and boxes are sums over runs.
What is asked of single voxels (a :class:`Field`) is worked out for labelled voxels alone, slab by slab, so that a
volume needs no copy of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_seg.tasks.base import Labels

_SLAB = 1 << 21
"""Voxels looked at at a time: few enough to stay near the processor."""

_DENSE = 1 << 20
"""Up to this number labels are places in a table; above, they are numbered anew first."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Field(Protocol):
    """A number for each voxel that is worked out only where it is wanted."""

    def __call__(self, planes: slice, inside: NDArray[np.bool_]) -> NDArray[Any]:
        """The numbers of the voxels ``inside`` of these planes along the first axis, in the order of memory."""


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


@dataclass(frozen=True, eq=False)
class _Runs:
    """Runs of labelled voxels in the planes ``planes``: the label of each, its length and where it begins."""

    planes: slice
    inside: NDArray[np.bool_]
    first: NDArray[np.intp]
    label: Ints
    length: Ints
    place: tuple[NDArray[np.intp], ...]

    def sums(self, fields: Sequence[Field], of: Ints, n: int) -> Floats:
        """The sum of each field over the runs of each of ``n`` rows, of which ``of`` names one a run."""
        begins, total = np.cumsum(self.length) - self.length, np.zeros((len(fields), n))
        for k, field in enumerate(fields):
            values = np.asarray(field(self.planes, self.inside), np.float64)
            total[k] = np.bincount(of, np.add.reduceat(values, begins), n)
        return total


def tally(labels: Labels, fields: Sequence[Field] = ()) -> Tally:
    """Look at all of ``labels``, 2D or 3D, once. Parts hang together by corners too."""
    import cc3d

    names = _names(labels)
    n, ndim = len(names), labels.ndim
    voxels, sums, means = np.zeros(n), np.zeros((ndim, n)), np.zeros((len(fields), n))
    squares = np.zeros((ndim, ndim, n))
    start, stop = np.full((ndim, n), np.iinfo(np.int64).max), np.zeros((ndim, n), np.int64)
    pieces, count = cc3d.connected_components(labels, connectivity=8 if ndim == 2 else 26, return_N=True)
    owner = np.zeros(count + 1, np.int64)
    for runs in _runs(labels):
        of = rows_of(names, runs.label)
        owner[pieces[runs.planes].ravel()[runs.first]] = of
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
        parts=np.bincount(owner[1:], minlength=n)[found],
    )


def means_of(labels: Labels, names: Ints, voxels: Ints, fields: Sequence[Field]) -> Floats:
    """The mean of each field over each label, ``(fields, n)``. ``names`` and ``voxels`` are known from a tally."""
    total = np.zeros((len(fields), len(names)))
    for runs in _runs(labels):
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
    import fastremap

    largest = int(labels.max(initial=0))
    if largest < _DENSE:
        return np.arange(largest + 1, dtype=np.int64)
    return np.union1d([0], np.asarray(fastremap.unique(labels)).astype(np.int64))


def _runs(labels: Labels) -> Iterator[_Runs]:
    width = labels.shape[-1]
    planes = max(1, _SLAB // max(1, int(np.prod(labels.shape[1:]))))
    for begin in range(0, len(labels) if labels.size else 0, planes):
        part = labels[begin : begin + planes]
        flat = part.ravel()
        new = np.empty(flat.size, bool)
        np.not_equal(flat[1:], flat[:-1], out=new[1:])
        new[::width] = True
        first = np.flatnonzero(new)
        label, length = flat[first], np.diff(first, append=flat.size)
        labelled = label > 0
        if not labelled.any():
            continue
        first = first[labelled]
        place = np.unravel_index(first, part.shape)
        yield _Runs(
            planes=slice(begin, begin + len(part)),
            inside=part != 0,
            first=first,
            label=label[labelled].astype(np.int64),
            length=length[labelled],
            place=(place[0] + begin, *place[1:]),
        )
