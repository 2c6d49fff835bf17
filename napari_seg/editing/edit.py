"""An edit is a value: which voxels become what, and which rows. Every tool makes its edits by :func:`edited`, the one
gate that keeps locked labels as they are and stores nothing but what changes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from napari_seg.data.volume import labels_dtype
from napari_seg.editing.annotation import (
    Annotation,
    Box,
    Entry,
    enclosing,
    label_of,
    object_key,
    tight,
    unused,
    whole,
    wider,
)
from napari_seg.editing.counting import counted
from napari_seg.tasks.base import Labels

RowChange = tuple[Entry | None, Entry | None]
"""A row before and after; ``None`` where there is none."""

_AT_ONCE = 1 << 18
"""Voxels that are looked at at a time for the rest of an object."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A box of labels at ``start``, ``before`` and ``after``: two arrays of one shape."""

    start: tuple[int, ...]
    before: Labels
    after: Labels

    @property
    def box(self) -> Box:
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.after.shape, strict=True))


@dataclass(frozen=True, eq=False)
class Edit:
    """One step of the history. ``tool`` names what made it."""

    tool: str
    patches: tuple[Patch, ...] = ()
    rows: Mapping[str, RowChange] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return bool(self.patches or self.rows)

    @property
    def voxels(self) -> int:
        """How many voxels change."""
        return sum(int(np.count_nonzero(patch.before != patch.after)) for patch in self.patches)

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The labels that gain or lose voxels."""
        found: set[int] = set()
        for patch in self.patches:
            changed = patch.before != patch.after
            found.update(np.unique(patch.before[changed]).tolist(), np.unique(patch.after[changed]).tolist())
        return tuple(sorted(found - {0}))

    def inverse(self) -> Edit:
        """The edit that takes this one back."""
        patches = tuple(Patch(patch.start, patch.after, patch.before) for patch in reversed(self.patches))
        return replace(self, patches=patches, rows={key: (new, old) for key, (old, new) in self.rows.items()})


def edited(
    annotation: Annotation,
    tool: str,
    parts: Iterable[tuple[Box, Labels]],
    rows: Mapping[str, Entry | None] | None = None,
) -> Edit:
    """The edit after which each box of ``parts`` holds the labels given for it, and ``rows`` hold what is given.

    Boxes must not overlap. Voxels of locked labels stay as they are, and no voxel becomes one of them; voxels of labels
    that are not drawn stay too. So do the rows of locked objects. The row of an object goes with its last voxel, at any
    time: whatever gets its number later is another object.
    """
    patches = []
    for box, wanted in parts:
        before = annotation.labels[box]
        after = np.asarray(wanted)
        if annotation.locked:
            locked = np.array(sorted(annotation.locked))
            after = np.where(np.isin(before, locked) | np.isin(after, locked), before, after)
        if annotation.unseen is not None:
            after = np.where(annotation.unseen(before), before, after)
        patch = _trimmed(box, before, after)
        if patch is not None:
            patches.append(patch)
    wanted_rows = {**dict.fromkeys(map(object_key, _gone(annotation, patches))), **(rows or {})}
    changes = {
        key: (annotation.rows.get(key), entry)
        for key, entry in wanted_rows.items()
        if annotation.rows.get(key) != entry and label_of(key) not in annotation.locked
    }
    return Edit(tool, tuple(patches), changes)


def _gone(annotation: Annotation, patches: Sequence[Patch]) -> list[int]:
    """The objects with a row of which the patches leave nothing."""
    if not annotation.objects or not annotation.rows:
        return []
    lost, left = Counter[int](), set[int]()
    for patch in patches:
        lost.update(counted(patch.before))
        left.update(counted(patch.after))
    return [
        label
        for label in sorted(lost.keys() - left)
        if object_key(label) in annotation.rows
        and not _goes_on(annotation, patches, label, lost[label])
        and not annotation.elsewhere(label)
    ]


def _goes_on(annotation: Annotation, patches: Sequence[Patch], label: int, lost: int) -> bool:
    """Whether a label has voxels beyond patches that take all ``lost`` ones within them."""
    if len(patches) == 1:  # all of it, or most go on right beside what was painted
        box = annotation.extents[label]
        if box is not None and enclosing(box, patches[0].box) == patches[0].box:
            return False
        near = wider(patches[0].box, 1, annotation.grid)
        if np.count_nonzero(annotation.labels[near] == label) > lost:
            return True
    first, *rest = annotation.extents[label] or whole(annotation.grid)
    planes = max(1, _AT_ONCE // max(1, math.prod(side.stop - side.start for side in rest)))
    found = 0
    for start in range(first.start, first.stop, planes):
        part = annotation.labels[(slice(start, min(start + planes, first.stop)), *rest)]
        found += int(np.count_nonzero(part == label))
        if found > lost:
            return True
    return False


def _trimmed(box: Box, before: Labels, after: Labels) -> Patch | None:
    """The patch of the voxels that change, or ``None``."""
    inner = tight(before != after)
    if inner is None:
        return None
    dtype = labels_dtype(max(int(before[inner].max()), int(after[inner].max())))
    start = tuple(side.start + span.start for side, span in zip(box, inner, strict=True))
    return Patch(start, before[inner].astype(dtype), after[inner].astype(dtype))


def apply(edit: Edit, labels: Labels) -> Labels:
    """``labels`` with the edit in them: the same array, written to, unless its dtype is too small for a new label."""
    largest = max((int(patch.after.max(initial=0)) for patch in edit.patches), default=0)
    if largest > np.iinfo(labels.dtype).max:
        labels = labels.astype(labels_dtype(largest))
    for patch in edit.patches:
        labels[patch.box] = patch.after
    return labels


def applied(edit: Edit, annotation: Annotation) -> Annotation:
    """The annotation after the edit: its labels written to, its extents and rows brought up to date,
    and the edit known as the last one."""
    labels = apply(edit, annotation.labels)
    for patch in edit.patches:
        annotation.extents.include(patch.start, patch.after)
    rows = dict(annotation.rows)
    for key, (_, entry) in edit.rows.items():
        rows.pop(key, None)
        if entry is not None:
            rows[key] = entry
    following = max(annotation.following, unused(annotation.extents.largest, rows))
    return replace(annotation, labels=labels, rows=rows, following=following, last=edit)
