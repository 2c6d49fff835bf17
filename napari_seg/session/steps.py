"""From a step to what it changes: blocks and rows before and after, and what a person has said with it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.counting import counted
from napari_seg.session.contents import Contents
from napari_seg.session.records import NAMED, SAID, Delta, Step, keepable, said_of, text_of
from napari_seg.tasks.base import Labels


@dataclass
class Changes:
    """The labels that gain or lose voxels, and how many voxels change."""

    labels: set[int] = field(default_factory=set)
    voxels: int = 0

    def add(self, before: Labels, after: Labels) -> NDArray[np.bool_]:
        """Count one block more; which of its voxels change."""
        changed: NDArray[np.bool_] = before != after
        self.voxels += int(np.count_nonzero(changed))
        for values in (before[changed], after[changed]):
            if len(self.labels) <= NAMED and values.size:
                self.labels.update(counted(values))
                self.labels.discard(0)
        return changed

    @property
    def named(self) -> tuple[int, ...]:
        """The labels, as many of them as a revision names."""
        return tuple(sorted(self.labels))[:NAMED]


def made(sql: sqlite3.Connection, contents: Contents, image: int, step: Step) -> tuple[Delta, Changes]:
    """What a step changes of what an image holds now. Its contents are kept. In a transaction."""
    delta, changes = Delta(), Changes()
    for named, wanted in step.blocks.items():
        place = contents.check(image, named, wanted)
        before, after = contents.name(image, place), contents.keep(wanted)
        where = said_of(place)
        said = contents.name(image, where)
        if after != before and (after or before not in contents.damaged):  # that nothing is left of is background
            delta.blocks[place] = (before, after)
            changed = changes.add(contents.get(image, place.block, before), wanted)
            if step.said == "add":
                delta.blocks[where] = (said, contents.keep(contents.get(image, place.block, said) | changed))
        if step.said == "clear":
            delta.blocks[where] = (said, b"")
    for key, entry in step.rows.items():
        row = sql.execute("SELECT value FROM rows WHERE image = ? AND key = ?", (image, keepable(key))).fetchone()
        delta.rows[key] = (None if row is None else row[0], None if entry is None else text_of(entry))
    return Delta.joined([delta]), changes


def tally(contents: Contents, image: int, delta: Delta) -> Changes:
    """What differs before and after."""
    changes = Changes()
    for place, (before, after) in delta.blocks.items():
        if not place.plane.endswith(SAID):
            changes.add(contents.get(image, place.block, before), contents.get(image, place.block, after))
    return changes
