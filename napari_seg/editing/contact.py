"""How much of its border a label shares with others: where two objects touch, one of them is often cut wrongly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.runs import Floats, Ints
from napari_seg.editing.tally import rows_of
from napari_seg.tasks.base import Labels

_SLAB = 1 << 21
"""Voxels looked at at a time."""


def contact(labels: Labels, names: Ints, spacing: tuple[float, ...]) -> Floats:
    """The share of the border of each label of ``names`` (rising, all that occur) that lies against another label.

    The border is made of the faces between voxels, each with its area; the edge of the grid is none.
    """
    border, shared = np.zeros(len(names)), np.zeros(len(names))
    for axis, before, after in faces(labels):
        area = math.prod(spacing) / spacing[axis]
        for here, there in ((before, after), (after, before)):
            mine = here > 0
            rows = rows_of(names, here[mine])
            border += area * np.bincount(rows, minlength=len(names))
            shared += area * np.bincount(rows, there[mine] > 0, len(names))
    return np.divide(shared, border, out=np.zeros(len(names)), where=border > 0)


def faces(labels: Labels) -> Iterator[tuple[int, Ints, Ints]]:
    """The faces between voxels at which labels differ, slab by slab: the axis that they lie across, and the labels on
    both sides."""
    planes = max(1, _SLAB // max(1, math.prod(labels.shape[1:])))
    for begin in range(0, len(labels), planes):
        part = labels[begin : begin + planes + 1]  # the plane after belongs to the faces between slabs alone
        for axis in range(labels.ndim):
            yield axis, *_pairs(part if axis == 0 else part[:planes], axis)


def _pairs(labels: Labels, axis: int) -> tuple[Ints, Ints]:
    """The labels on both sides of each face along an axis at which they differ."""
    cut = [slice(None)] * labels.ndim
    cut[axis] = slice(None, -1)
    before = labels[tuple(cut)]
    cut[axis] = slice(1, None)
    after = labels[tuple(cut)]
    differ: NDArray[np.bool_] = before != after
    return before[differ].astype(np.int64), after[differ].astype(np.int64)
