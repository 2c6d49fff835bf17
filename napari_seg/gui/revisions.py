"""The history of an image as a person reads it: what was done, when, by whom, on what. Pure functions and values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from napari_seg.editing.catalogue import TOOLS
from napari_seg.session.records import NAMED, Revision
from napari_seg.session.store import Store

OTHERS = {
    "opened": "Opened from a file",
    "other": "Changed by another program",
    "replaced": "Replaced by other labels",
    "edit": "Changed with napari",
    "predict": "Segmented",
    "thresholds": "Thresholds moved",
    "restore": "Restored",
    "accept": "Accepted",
    "reject": "Rejected",
    "flag": "Flagged",
    "lock": "Locked",
    "unlock": "Unlocked",
    "lock class": "Class locked",
    "unlock class": "Class unlocked",
    "unlock all": "All unlocked",
    "new class": "New class",
    "rename class": "Class renamed",
    "rename mask": "Mask renamed",
    "numbers are objects": "Numbers taken for objects",
    "numbers are classes": "Numbers taken for classes",
    "undo": "Undone",
    "redo": "Done again",
    "export": "Exported",
}
"""Steps that no tool made."""

_FEW = 3


@dataclass(frozen=True)
class Steps:
    """The newest revisions of an image, newest first. ``head``: where the image stands now, 0 at the beginning.

    ``models``: the model that a revision came from. ``complete``: nothing lies before the last of them. ``masks``: what
    a revision changed, where there are several.
    """

    head: int = 0
    revisions: tuple[Revision, ...] = ()
    models: Mapping[int, str] = field(default_factory=dict)
    complete: bool = True
    masks: Mapping[int, str] = field(default_factory=dict)


def read_steps(store: Store, image: int, limit: int) -> Steps:
    """The newest ``limit`` revisions."""
    found = store.history(image, limit)
    models = {revision: model for revision, _, model, _, _ in store.predictions(image)}
    known, masks = {plane.name for plane in store.planes(image) if plane.is_mask}, {}
    if len(known) > 1:
        touched = {number: sorted(planes & known) for number, planes in store.touched(image, limit).items()}
        masks = {number: ", ".join(planes) for number, planes in touched.items() if planes}
    return Steps(store.image(image).head, tuple(found), models, len(found) < limit, masks)


def joined(known: Steps, newest: Steps) -> Steps:
    """What was read before with what was read now: the newest only, or more than is known."""
    if not known.revisions or len(newest.revisions) >= len(known.revisions) or newest.complete:
        return newest
    top = known.revisions[0].id
    fresh = tuple(revision for revision in newest.revisions if revision.id > top)
    if len(fresh) == len(newest.revisions):  # there may be others in between
        return newest
    revisions = _with_undone((*fresh, *known.revisions), newest.head)
    return Steps(newest.head, revisions, newest.models, known.complete, {**known.masks, **newest.masks})


def _with_undone(revisions: tuple[Revision, ...], head: int) -> tuple[Revision, ...]:
    """Say anew which of them are not on the way to where the image stands."""
    parents = {revision.id: revision.parent for revision in revisions}
    way = set()
    while head in parents:
        way.add(head)
        head = parents[head]
    return tuple(
        revision if revision.undone == (revision.id not in way) else replace(revision, undone=revision.id not in way)
        for revision in revisions
    )


def done_words(tool: str) -> str:
    """A step in words: ``Split by line``."""
    if tool in OTHERS:
        return OTHERS[tool]
    return TOOLS[tool].title if tool in TOOLS else tool[:1].upper() + tool[1:]


def title(revision: Revision, steps: Steps, now: datetime) -> str:
    """What a revision did: ``Segmented by nuclei2d``, ``Restored: as it was at 12:31:07``."""
    words = done_words(revision.tool)
    if revision.tool == "predict" and revision.id in steps.models:
        return f"{words} by {steps.models[revision.id]}"
    if revision.tool == "restore" and revision.note.isdigit():
        to = int(revision.note)
        at = next((other.at for other in steps.revisions if other.id == to), None)
        if to == 0:
            return f"{words}: as it was opened"
        return words if at is None else f"{words}: {as_it_was(at, now)}"
    return words


def when(at: float, now: datetime) -> str:
    """``12:31:07`` today, else ``3 November, 12:31``, with the year where it is another one."""
    then = datetime.fromtimestamp(at)
    if then.date() == now.date():
        return f"{then:%H:%M:%S}"
    year = "" if then.year == now.year else f" {then.year}"
    return f"{then.day} {then:%B}{year}, {then:%H:%M}"


def as_it_was(at: float, now: datetime) -> str:
    """``as it was at 12:31:07``."""
    then = datetime.fromtimestamp(at)
    return f"as it was {'at' if then.date() == now.date() else 'on'} {when(at, now)}"


def extent(revision: Revision, ndim: int) -> str:
    """The labels and how many voxels: ``labels 3 and 7, 120 voxels``; empty where none changed."""
    if not revision.voxels:
        return ""
    voxel = "pixel" if ndim == 2 else "voxel"
    count = f"{revision.voxels:,} {voxel}{'s' if revision.voxels > 1 else ''}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return ", ".join(part for part in (_labels(revision.labels), count) if part)


def _labels(labels: tuple[int, ...]) -> str:
    if not labels:
        return ""
    if len(labels) == 1:
        return f"label {labels[0]}"
    if len(labels) > _FEW:
        return f"{len(labels)} labels" if len(labels) < NAMED else f"{NAMED} labels or more"
    return f"labels {', '.join(map(str, labels[:-1]))} and {labels[-1]}"
