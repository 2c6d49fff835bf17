"""The images of a session as cases of a review: what was predicted, what a person has done and said.

The state of a case is read from the log and the rows, so that it is true whoever changed them. How much a mask holds is
looked up in the log too: it is counted when a prediction comes in and when a person leaves a case, not at every look.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from napari_seg.editing.annotation import CASE, Entry
from napari_seg.editing.counting import counted
from napari_seg.editing.said import TITLE, counts_objects
from napari_seg.session.patients import TOLD, marks, patient_of
from napari_seg.session.predicted import Predicted, predictions
from napari_seg.session.records import SIZE, ImageRow, Place, Plane, Step, row_key, rows_of
from napari_seg.session.store import Store
from napari_seg.tasks.base import Labels
from napari_seg.wording import class_name

CaseState = Literal["new", "unseen", "in work", "accepted", "rejected", "flagged"]
"""``new``: nothing was predicted. ``unseen``: no person has been there. The last three were said by a person."""

OPENED, COUNTED = "case opened", "counted"
"""Entries of the log: a person looked at a case; this much is in its masks."""

_NOTES = ("opened", "export", "export failed", COUNTED, TOLD)

_NO_WORK = ("predict", "thresholds", *_NOTES)


@dataclass(frozen=True)
class Case:
    """``objects``: how many there are; ``voxels`` by class. Each ``None`` where no mask of that kind was counted.

    Without any mask a case is ``new``, whoever looked at the image.
    ``predicted``: the last prediction, ``at`` that time. ``seconds``: that people spent on it. ``patient``: the mark of
    the one that the image is of, if it is known. ``masks``: what the planes that are masks are called. ``size``: what
    is kept of the size that a person gave its voxels.
    """

    image: ImageRow
    state: CaseState
    comment: str = ""
    objects: int | None = None
    voxels: Mapping[str, int] | None = None
    predicted: Predicted | None = None
    at: float = 0.0
    seconds: float = 0.0
    patient: str = ""
    masks: Mapping[str, str] = field(default_factory=dict)
    size: str = ""

    @property
    def touched(self) -> bool:
        """Whether a person has been there, so that no prediction may take its place."""
        return self.state not in ("new", "unseen")


def cases(store: Store) -> list[Case]:
    """All images of a session."""
    entries: dict[int, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for _, _, image, what, _, details in store.log():
        entries[image].append((what, details))
    told = marks(store)
    return [_case(store, row, entries[row.id], told) for row in store.images()]


def case(store: Store, image: int) -> Case:
    log = [(what, details) for _, _, _, what, _, details in store.log(image)]
    return _case(store, store.image(image), log, marks(store))


def changed_at(store: Store, image: int) -> float | None:
    """When the masks of an image, or what is said of them, were changed last; ``None`` if never. That they were opened
    again changes nothing."""
    return store.noted_at(image, (OPENED, *_NOTES))


def note_opened(store: Store, image: int, at: float, who: str) -> None:
    """A person looks at a case."""
    store.note(image, at, who, OPENED)


def say_of_case(store: Store, image: int, entry: Entry, at: float, who: str) -> None:
    """Say something of a case as a whole: one step of its history."""
    rows = {row_key(plane.name, CASE): entry for plane in store.planes(image) if plane.is_mask}
    store.commit(image, Step(f"case {entry.state}", at, who, rows=rows))


def count(store: Store, image: int, at: float, who: str) -> None:
    """Put into the log how much the masks of an image hold now."""
    objects, voxels = 0, dict[str, int]()
    rows, times = store.rows(image), range(store.image(image).times)
    planes = [
        replace(known, objects=counts_objects(known.objects, rows_of(rows, known.name)))
        for known in store.planes(image)
        if known.is_mask
    ]
    for plane in planes:
        for time in times:
            there = [(v, n) for v, n in sorted(counted(store.labels(image, plane.name, time)).items()) if v]
            if plane.objects:
                objects += len(there)
            else:
                for value, n in there:
                    name = class_name(value, plane.classes)
                    voxels[name] = voxels.get(name, 0) + n
    found = {"objects": objects} if any(plane.objects for plane in planes) else {"voxels": voxels}
    store.note(image, at, who, COUNTED, **found)


def keep_prediction(
    store: Store, image: int, masks: Iterable[tuple[Plane, Labels]], predicted: Predicted, at: float, who: str
) -> Case:
    """Put a prediction into a case, unless a person has been there; the case as it is then.

    Labels have the grid of the image, with time in front where it has several times.
    """
    before = case(store, image)
    if before.touched:
        return before
    _put(store, before.image, masks, predicted, at, who)
    return case(store, image)


def keep_late(
    store: Store,
    image: int,
    masks: Sequence[tuple[Plane, Labels]],
    predicted: Predicted,
    at: float,
    who: str,
    *,
    whole: bool,
) -> bool:
    """Put a prediction into an image that was closed before it came; whether it is kept there.

    It may lie beside what a person has made, but not in its place, and not beside what they have accepted. Where it is
    of a part of the image, and not ``whole``, it takes no place at all.
    """
    before = case(store, image)
    taken = any(store.keeps(image, plane.name) for plane, _ in masks)
    if before.state == "accepted" or (taken and (before.touched or not whole)):
        return False
    _put(store, before.image, masks, predicted, at, who)
    return True


def _put(
    store: Store, row: ImageRow, masks: Iterable[tuple[Plane, Labels]], predicted: Predicted, at: float, who: str
) -> None:
    for plane, labels in masks:
        store.put_plane(row.id, plane)
        blocks, origin = _blocks(store, row, plane.name, labels), predicted.origin(plane.name)
        store.commit(row.id, Step("predict", at, who, blocks, said="keep", origin=origin))
    count(store, row.id, at, who)


def _blocks(store: Store, row: ImageRow, plane: str, labels: Labels) -> dict[Place, Labels]:
    grid, frames = store.grid(row.id), labels.reshape((row.times, *row.grid))
    numbers, times = range(len(grid)), range(row.times)
    return {Place(plane, time, number): frames[time][grid.box(number)] for time in times for number in numbers}


def _case(store: Store, row: ImageRow, log: Sequence[tuple[str, Mapping[str, Any]]], told: Mapping[str, str]) -> Case:
    names = [plane.name for plane in store.planes(row.id) if plane.is_mask]
    rows = store.rows(row.id) if names else {}
    said = [rows.get(row_key(name, CASE), Entry()) for name in names]
    past = predictions(store, row.id)
    counts = [details for what, details in log if what == COUNTED]
    counted: Mapping[str, Any] = counts[-1] if counts else {}
    state: CaseState
    if not names:
        state = "new"
    elif spoken := state_of_case(said):
        state = spoken
    elif any(what not in _NO_WORK for what, _ in log[_first_mask(log) :]):
        state = "in work"
    else:
        state = "unseen"
    return Case(
        row,
        state,
        next((entry.comment for entry in said if entry.comment), ""),
        counted.get("objects"),
        counted.get("voxels"),
        past[-1].predicted if past else None,
        past[-1].at if past else 0.0,
        store.spent(row.id),
        patient_of(row, told),
        {name: rows.get(row_key(name, TITLE), Entry()).comment or name for name in names},
        store.meta(SIZE + row.fingerprint),
    )


def state_of_case(said: Sequence[Entry]) -> Literal["", "accepted", "rejected", "flagged"]:
    """What a person has said of a case, by what they said of each of its masks: it is accepted where all of them are;
    empty where that leaves it open."""
    for entry in said:
        if entry.state == "flagged" or entry.state == "rejected":
            return entry.state
    return "accepted" if said and all(entry.state == "accepted" for entry in said) else ""


def _first_mask(log: Sequence[tuple[str, Mapping[str, Any]]]) -> int:
    """Where the log begins to tell of masks: who looked at the image before saw none."""
    return next((k for k, (what, _) in enumerate(log) if what not in (OPENED, TOLD)), len(log))
