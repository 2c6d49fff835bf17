"""What a review has found, kept abreast of the mask: after an edit only the labels concerned are measured again.

The review has a copy of the labels of its own. Whatever is written into the mask comes as blocks, by whoever it was
written, also by an undo; what differs from the copy is the edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.again import FEW, asked_again, still_there
from napari_seg.editing.annotation import Annotation, Box, Entry, object_key
from napari_seg.editing.edit import Edit, Patch, applied
from napari_seg.editing.measures import Table, measure, updated
from napari_seg.editing.suspicion import Suspect
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import Place
from napari_seg.tasks.base import Labels

Order = Literal["worst", "learning"]
"""How a queue is sorted: what is most likely wrong comes first, or what a model would learn most from."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What was found in a mask. ``track`` is ``None`` before anything was looked at.

    ``annotation``: the copy, at time point ``time``. ``suspects``: of those ``found``, the ones that are there yet.
    ``labels`` and ``boxes``: what the last edit changed; ``touched``: all labels that were changed since.
    ``earlier``: the suspects before it, and ``moved``: those at these places of the queue lie elsewhere now; ``None``
    where some are gone or have come back. ``verdicts``: see :func:`~napari_seg.session.verdicts.verdicts`;
    ``done``: how many of them are about what is no longer in the queue, in a film only of this time; ``before``: those
    of the queue that somebody had judged before, such as what was flagged.
    ``predicted``: what the model said last, if it did. ``differing``: how far mirrored answers differ, if known.
    ``order``: that of ``found`` and ``suspects``; ``ranks``: the places of the keys in each order.
    """

    track: Track | None = None
    time: int = 0
    annotation: Annotation | None = None
    table: Table | None = None
    found: tuple[Suspect, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    labels: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    touched: frozenset[int] = frozenset()
    earlier: tuple[Suspect, ...] = ()
    moved: Mapping[int, Suspect] | None = None
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    done: int = 0
    before: frozenset[str] = frozenset()
    predicted: Predicted | None = None
    differing: NDArray[Any] | None = None
    order: Order = "worst"
    ranks: Mapping[Order, Mapping[str, int]] = field(default_factory=dict, repr=False)

    def changed(self) -> set[str]:
        """The keys of the suspects that the last edit changed: objects and regions of its labels, and the slices."""
        if self.annotation is not None and self.annotation.objects:
            return {object_key(label) for label in self.labels}
        return {
            suspect.key
            for suspect in self.suspects
            if (suspect.label in self.labels if suspect.label else any(_meet(suspect.box, box) for box in self.boxes))
        }

    def near(self, suspects: Iterable[Suspect]) -> set[str]:
        """The keys of those near which the last edit changed something, so that their pictures are others."""
        wide = [_grown(box) for box in self.boxes]
        return {suspect.key for suspect in suspects if any(_meet(_grown(suspect.box), box) for box in wide)}


def ordered(seen: Seen, order: Order) -> Seen:
    """The same in another order; ``seen`` itself where it is in that order."""
    if order == seen.order:
        return seen
    ranks = seen.ranks.get(order, {})

    def sort(suspects: tuple[Suspect, ...]) -> tuple[Suspect, ...]:
        return tuple(sorted(suspects, key=lambda suspect: ranks.get(suspect.key, len(ranks))))

    found, suspects = sort(seen.found), sort(seen.suspects)
    return replace(
        seen, order=order, found=found, suspects=suspects, earlier=seen.suspects, moved=None, labels=(), boxes=()
    )


def others(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> list[str]:
    """The keys of the rows that are not the same. Quick also for many, as those that stay are the same objects."""
    new = [key for key, entry in after.items() if before.get(key) is not entry]
    return [key for key in (*new, *(before.keys() - after.keys())) if before.get(key) != after.get(key)]


def abreast(seen: Seen, written: Iterable[Mapping[Place, Labels]]) -> Seen:
    """What was found, after blocks were written, in this order; ``seen`` itself where they change nothing. It writes to
    the copy. For a thread."""
    track, annotation, table = seen.track, seen.annotation, seen.table
    if track is None or annotation is None or table is None:
        return seen
    latest: dict[Place, Labels] = {}
    for blocks in written:
        latest |= blocks
    edit = Edit("review", tuple(_patches(seen, latest)))
    if not edit.patches:
        return seen
    labels = edit.labels
    after = applied(edit, annotation)
    table = updated(table, after, edit) if len(labels) <= FEW else measure(after, table.classes)
    touched, boxes = seen.touched | set(labels), tuple(patch.box for patch in edit.patches)
    there = still_there(seen.found, after, table, touched)
    suspects = tuple(asked_again(there, after, table, labels, boxes, seen.differing))
    now = {suspect.key: suspect for suspect in suspects}
    return replace(
        seen,
        found=tuple(now.get(suspect.key, suspect) for suspect in seen.found),
        annotation=after,
        table=table,
        suspects=suspects,
        earlier=seen.suspects,
        moved=_moved(seen.suspects, suspects),
        labels=labels,
        boxes=boxes,
        touched=touched,
    )


def _moved(before: tuple[Suspect, ...], after: tuple[Suspect, ...]) -> dict[int, Suspect] | None:
    if len(before) != len(after) or any(a.key != b.key for a, b in zip(before, after, strict=True)):
        return None
    return {k: b for k, (a, b) in enumerate(zip(before, after, strict=True)) if a is not b}


def _patches(seen: Seen, blocks: Mapping[Place, Labels]) -> Iterable[Patch]:
    track, annotation = seen.track, seen.annotation
    assert track is not None
    assert annotation is not None
    for place, block in blocks.items():
        if place.plane == track.plane and place.time == seen.time:
            box = track.grid.box(place.block)
            before = annotation.labels[box]
            changed = np.argwhere(before != block)
            if len(changed):
                inner = tuple(slice(int(a), int(b) + 1) for a, b in zip(changed.min(0), changed.max(0), strict=True))
                start = tuple(side.start + within.start for side, within in zip(box, inner, strict=True))
                yield Patch(start, before[inner].copy(), block[inner])


def _meet(a: Box, b: Box) -> bool:
    return all(x.start < y.stop and y.start < x.stop for x, y in zip(a, b, strict=True))


def _grown(box: Box) -> Box:
    """As far around as a picture reaches."""
    room = max(12, max(side.stop - side.start for side in box) // 2)
    return tuple(slice(side.start - room, side.stop + room) for side in box)
