"""Objects that were found piece by piece, put together: slice by slice, or block by block.

Two pieces are one object where they overlap. Each object keeps one number, and none is cut where two pieces meet.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_seg.tasks.base import Labels

SHARED = 0.5
"""Two pieces are the same object where they have at least this share of the smaller one in common."""


def overlaps(a: Labels, b: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """All pairs of labels of two arrays that share pixels: ``(label in a, label in b, shared pixels)``."""
    both = (a > 0) & (b > 0)
    pairs = a[both].astype(np.int64) << 32 | b[both].astype(np.int64)
    values, counts = np.unique(pairs, return_counts=True)
    return values >> 32, values & 0xFFFFFFFF, counts


def link_slices(slices: list[Labels], spacing: tuple[float, ...]) -> Labels:
    """One volume of objects from the objects of its slices.

    Objects of neighbouring slices are linked where each is the other's best match and they share at least ``SHARED`` of
    the smaller one. An object missing in a single slice is linked across it, and put there where it is on both sides,
    unless the gap is longer than the object is wide. ``spacing`` is that of the volume.
    """
    volume = np.zeros((len(slices), *slices[0].shape), np.uint32)
    count = 0
    for z, found in enumerate(slices):
        names = np.zeros(int(found.max(initial=0)) + 1, np.uint32)
        if z > 0:
            _adopt(names, found, volume[z - 1])
        if z > 1:
            _adopt(
                names,
                found,
                volume[z - 2],
                taken=volume[z - 1],
                widest_gap=2 * spacing[0] / float(np.sqrt(spacing[1] * spacing[2])),
            )
        new = np.setdiff1d(np.unique(found), [0])
        new = new[names[new] == 0]
        names[new] = np.arange(count + 1, count + 1 + len(new))
        count += len(new)
        volume[z] = names[found]
        if z > 1:
            gap = (volume[z] == volume[z - 2]) & (volume[z - 1] == 0) & (volume[z] > 0)
            missing = gap & ~np.isin(volume[z], volume[z - 1])
            volume[z - 1][missing] = volume[z][missing]
    return volume


def _adopt(
    names: NDArray[np.uint32], found: Labels, before: Labels, taken: Labels | None = None, widest_gap: float = 0.0
) -> None:
    """Give objects of ``found`` the numbers of their matches in ``before``.

    ``taken``: the slice between; an object that goes on there has its match already. ``widest_gap``: in pixels; only
    objects wider than this are linked.
    """
    old, new, shared = overlaps(before, found)
    sizes_old, sizes_new = np.bincount(before.ravel()), np.bincount(found.ravel())
    free = names[new] == 0
    if taken is not None:
        free &= ~np.isin(old, taken)
        free &= ~np.isin(old, names)
        free &= 2 * np.sqrt(np.minimum(sizes_old[old], sizes_new[new]) / np.pi) >= widest_gap
    old, new, shared = old[free], new[free], shared[free]
    best_new = np.zeros(len(sizes_new), np.int64)
    best_old = np.zeros(len(sizes_old), np.int64)
    np.maximum.at(best_new, new, shared)
    np.maximum.at(best_old, old, shared)
    good = (shared == best_new[new]) & (shared == best_old[old])
    good &= shared >= SHARED * np.minimum(sizes_old[old], sizes_new[new])
    _, first = np.unique(old[good], return_index=True)  # of equal matches one
    names[new[good][first]] = old[good][first]


def decode_blocks(
    decode: Callable[[tuple[slice, ...]], Labels],
    grid: tuple[int, ...],
    block: tuple[int, ...],
    margin: tuple[int, ...],
) -> Iterator[Labels | None]:
    """Objects of a grid too large to be decoded at once; yields ``None`` after each block but the last, then the
    labels.

    ``decode`` gives the objects of a box. Each block is decoded with a margin; the objects that reach into the block
    itself are kept whole, margin included, and matched with those that the blocks before put there.
    """
    labels = np.zeros(grid, np.uint32)
    count = 0
    for corner in itertools.product(*(range(0, n, b) for n, b in zip(grid, block, strict=True))):
        core = tuple(slice(c, min(c + b, n)) for c, b, n in zip(corner, block, grid, strict=True))
        box = tuple(slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(core, margin, grid, strict=True))
        inner = tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(core, box, strict=True))
        count = _merge(labels[box], decode(box), inner, count)
        if any(s.stop < n for s, n in zip(core, grid, strict=True)):
            yield None
    yield labels


def _merge(there: NDArray[np.uint32], found: Labels, inner: tuple[slice, ...], count: int) -> int:
    """Put the objects of a block that reach into ``inner`` among those that are there; the new highest number."""
    sizes = np.bincount(found.ravel())
    names = np.zeros(len(sizes), np.uint32)
    old, new, shared = overlaps(there, found)
    sizes_there = np.bincount(there.ravel())
    order = np.argsort(shared, kind="stable")  # the largest overlap is written last
    same = shared[order] >= SHARED * np.minimum(sizes_there[old[order]], sizes[new[order]])
    names[new[order][same]] = old[order][same]
    ours = np.setdiff1d(np.unique(found[inner]), [0])
    fresh = ours[names[ours] == 0]
    names[fresh] = np.arange(count + 1, count + 1 + len(fresh))
    keep = np.zeros(len(sizes), bool)
    keep[ours] = True
    put = (there == 0) & keep[found]
    there[put] = names[found[put]]
    return count + len(fresh)
