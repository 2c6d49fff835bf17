"""Regions that get new labels, as boxes that do not overlap: what :func:`~napari_seg.editing.edit.edited` takes.

Boxes of neighbouring objects overlap. Then the grid is cut into blocks, and each block that changes is one box: it
stays small, however many objects there are and wherever they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from napari_seg.data.volume import labels_dtype
from napari_seg.editing.annotation import Annotation, Box
from napari_seg.editing.reach import Mask, overlapping, relative
from napari_seg.editing.selection import Region
from napari_seg.tasks.base import Labels

_BLOCK = 64
"""Voxels along each side of a block."""

_FEW = 8
"""So many boxes are compared with each other, to see whether any two overlap."""


@dataclass(frozen=True, eq=False)
class Change:
    """The voxels ``mask`` of ``box`` become ``label``: one number, or an array of the shape of the box."""

    box: Box
    mask: Mask
    label: int | Labels

    @classmethod
    def of(cls, region: Region, label: int) -> Change:
        return cls(region.box, region.mask, label)


def parts(annotation: Annotation, changes: Sequence[Change]) -> list[tuple[Box, Labels]]:
    """Boxes and the labels in them after the changes, made in their order. No two boxes overlap."""
    largest = max((int(np.max(change.label)) for change in changes), default=0)
    dtype = np.promote_types(annotation.labels.dtype, labels_dtype(largest))
    if len(changes) <= _FEW and not any(_overlap(a.box, b.box) for a, b in combinations(changes, 2)):
        return [(c.box, np.where(c.mask, c.label, annotation.labels[c.box].astype(dtype))) for c in changes]
    blocks: dict[tuple[int, ...], tuple[Box, Labels]] = {}
    for change in changes:
        for place in _places(change.box):
            if place not in blocks:
                sides = zip(place, annotation.grid, strict=True)
                box = tuple(slice(k * _BLOCK, min(n, (k + 1) * _BLOCK)) for k, n in sides)
                blocks[place] = box, annotation.labels[box].astype(dtype)
            box, after = blocks[place]
            both = overlapping(box, change.box)
            inside = relative(both, change.box)
            label = change.label if isinstance(change.label, int) else change.label[inside]
            np.copyto(after[relative(both, box)], label, casting="unsafe", where=change.mask[inside])
    return list(blocks.values())


def _overlap(a: Box, b: Box) -> bool:
    return all(side.stop > side.start for side in overlapping(a, b))


def _places(box: Box) -> Iterator[tuple[int, ...]]:
    """The blocks that a box lies in."""
    return product(*(range(side.start // _BLOCK, (side.stop - 1) // _BLOCK + 1) for side in box))
