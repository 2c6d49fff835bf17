"""Which labels occur in an array, and how often, without keeping other threads from Python meanwhile.

Threads that look through large masks run beside the window. A library that holds the interpreter while it looks makes
the window wait at each of its own small steps, which adds up; numpy lets go of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from napari_seg.tasks.base import Labels

_AT_ONCE = 1 << 22
"""Voxels that are looked at in one go."""


def slabs(labels: Labels, voxels: int = _AT_ONCE) -> Iterator[slice]:
    """The first axis in pieces of so many voxels, or of one plane."""
    planes = max(1, voxels * len(labels) // max(1, labels.size))
    for first in range(0, len(labels), planes):
        yield slice(first, min(first + planes, len(labels)))


def counted(labels: Labels) -> Counter[int]:
    """How often each label occurs, 0 too."""
    found: Counter[int] = Counter()
    for slab in slabs(labels):
        line = np.ascontiguousarray(labels[slab]).ravel()
        if line.size:
            starts = np.concatenate(([0], np.flatnonzero(line[1:] != line[:-1]) + 1))  # of runs of one label
            values, of = np.unique(line[starts], return_inverse=True)
            counts = np.bincount(of, np.diff(starts, append=line.size))
            found.update(dict(zip(values.tolist(), counts.astype(np.int64).tolist(), strict=True)))
    return found
