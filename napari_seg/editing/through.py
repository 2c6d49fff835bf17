"""A volume of classes looked through slice by slice: what each slice holds, and what the model itself expects of it.

All is gathered plane by plane along the first axis, whichever axis the slices stand across: so memory is read in its
order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.numbers import likely
from napari_seg.editing.runs import Floats
from napari_seg.tasks.base import Labels, Scores

_FAINT = 0.1
"""What is less likely than this does not count as missing: over a large background even next to nothing adds up."""

_FEW = 5
"""So many voxels of a slice may be unsure without a word: the ends of every organ are."""


@dataclass(frozen=True, eq=False)
class Through:
    """A number for each slice: ``area``, the voxels that have a label; ``missing``, how many more the model expects;
    ``doubt``, the share of both that it expects to be wrong; ``wavering``, the mean disagreement over both; ``jump``,
    how little it has in common with a slice beside it (1 - IoU, the worse of two). Without scores there is no doubt.
    """

    area: Floats
    missing: Floats
    doubt: Floats
    wavering: Floats
    jump: Floats


def look_through(labels: Labels, scores: Scores | None, differing: NDArray[Any] | None, axis: int) -> Through:
    """``labels`` 3D, ``scores`` ``(channels, *grid)`` of the background and each class, or of the only class."""
    n = labels.shape[axis]
    area, missing, wrong, wavers = (np.zeros(n) for _ in range(4))
    shared, either = np.zeros(n + 1), np.zeros(n + 1)  # with the slice before
    for z, plane in enumerate(labels):
        here: Any = z if axis == 0 else slice(None)
        area[here] += _along(plane > 0, axis)
        if scores is not None:
            bad, beside = _expected(plane, scores[:, z])
            wrong[here] += _along(bad, axis)
            missing[here] += _along(beside, axis)
        if differing is not None:
            wavers[here] += _along(np.asarray(differing[z], np.float32), axis)
        if axis > 0:
            turned = np.moveaxis(plane, axis - 1, 0)
            before, after, between = turned[:-1], turned[1:], slice(1, n)
        else:
            before, after, between = labels[z - 1][None], plane[None], slice(z, z + 1)
        if axis > 0 or z:
            shared[between] += ((before == after) & (after > 0)).sum(axis=tuple(range(1, before.ndim)))
            either[between] += ((before > 0) | (after > 0)).sum(axis=tuple(range(1, before.ndim)))
    apart = np.where(either > 0, 1 - shared / np.maximum(either, 1), 0)
    whole = area + missing + _FEW
    return Through(area, missing, wrong / whole, wavers / whole, np.maximum(apart[:-1], apart[1:]))


def _along(plane: NDArray[Any], axis: int) -> Any:
    """The sum of a plane, or of each of its rows or columns."""
    return plane.sum(dtype=np.float64) if axis == 0 else plane.sum(axis=2 - axis, dtype=np.float64)


def _expected(labels: Labels, scores: Scores) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each pixel how likely it is wrong, and how likely it lacks a label."""
    p = likely(scores)
    beside = np.where(labels > 0, 0, p[0] if len(p) == 1 else 1 - p[0])
    beside[beside <= _FAINT] = 0
    bad = beside.copy()
    if len(p) == 1:
        bad = np.where(labels > 0, 1 - p[0], bad)
    for label in range(1, len(p)):  # a class that the model does not know is a person's, and not doubted
        bad = np.where(labels == label, 1 - p[label], bad)
    return bad, beside
