"""Labels as runs along the last axis, slab by slab.

Only the beginning and the length of each run are looked at, some millions where there are hundreds of millions of
voxels. What is asked of single voxels (a :class:`Field`) is worked out for labelled voxels alone, so that a volume
needs no copy of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_seg.tasks.base import Labels

SLAB = 1 << 21
"""Voxels looked at at a time: few enough to stay near the processor, and to give way to other threads."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Field(Protocol):
    """A number for each voxel that is worked out only where it is wanted."""

    def __call__(self, planes: slice, inside: NDArray[np.bool_]) -> NDArray[Any]:
        """The numbers of the voxels ``inside`` of these planes along the first axis, in the order of memory."""


@dataclass(frozen=True, eq=False)
class Runs:
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


def runs_of(labels: Labels) -> Iterator[Runs]:
    """The runs of each slab that has any."""
    width = labels.shape[-1]
    planes = max(1, SLAB // max(1, int(np.prod(labels.shape[1:]))))
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
        yield Runs(
            planes=slice(begin, begin + len(part)),
            inside=part != 0,
            first=first,
            label=label[labelled].astype(np.int64),
            length=length[labelled],
            place=(place[0] + begin, *place[1:]),
        )
