"""What a model can learn from a session: every mask in which a person has spoken becomes a lesson.

A lesson is of one moment: it remembers the revision that was seen when the session was looked at, and loads that,
whatever is painted meanwhile. Sessions are only read here, also those that a window is writing to.

In a film what was accepted object by object, or region by region, does not count beyond the time points in which it
was changed by hand: nobody has looked at the others. Slices, boxes and cases are finished at all times, as the window
shows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry, label_of
from napari_seg.editing.counting import counted
from napari_seg.editing.said import class_names, counts_objects
from napari_seg.editing.spoken import Amount, amount, spoken
from napari_seg.errors import SegError
from napari_seg.session.database import NAME
from napari_seg.session.found_again import as_large, found_again
from napari_seg.session.patients import marks, patient_of
from napari_seg.session.predicted import Past
from napari_seg.session.projects import name_of, session_folder
from napari_seg.session.provenance import BY_MODEL, OPENED, last_prediction
from napari_seg.session.reading import reading
from napari_seg.session.records import LEARNING, SAID, ImageRow, Plane, rows_of
from napari_seg.session.store import REDO, RESTORE, UNDO, Store
from napari_seg.session.verdicts import SHAPING, changed_by_hand
from napari_seg.tasks.base import Labels
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic
from napari_seg.training.cases import Labelled

_NOT_BY_HAND = (*BY_MODEL, OPENED, UNDO, REDO, RESTORE)

_WHOLE = ("object", "region", "slice", "box", "case")
"""What a person says of more than voxels."""

Rows = Mapping[str, Entry]


@dataclass(frozen=True, eq=False)
class _Looked:
    """One plane at one time: its labels, where it was changed by hand, what was said of it, and where it counts."""

    labels: Labels
    said: Labels
    rows: Rows
    counts: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Taught:
    """A mask of an image of a session, or several of them, one for each class, where classes overlap.

    ``rows``: what was said of each of ``planes``, by the keys of rows. ``volume``: the image, where it lies in no file.
    ``changed``: objects that were changed by hand, also those that only lost voxels. ``past``: the prediction that a
    person corrected. ``damaged``: something that was said cannot be read any more. ``patient``: the mark of the one
    that the image is of, if it is known. Of classes that overlap a place counts where a person has spoken in each of
    their planes.
    """

    folder: Path
    image: ImageRow
    planes: tuple[Plane, ...]
    rows: tuple[Rows, ...] = field(repr=False)
    changed: frozenset[int] = field(default=frozenset(), repr=False)
    people: tuple[str, ...] = ()
    past: Past | None = None
    voxels: str = ""
    project: str = ""
    damaged: bool = False
    volume: Volume | None = field(default=None, repr=False)
    patient: str = ""
    split: str = "train"

    @property
    def name(self) -> str:
        return self.image.name

    @property
    def key(self) -> tuple[Path, int]:
        """Its session and its image there."""
        return self.folder, self.image.id

    @property
    def group(self) -> str:
        """The image: what is learned from one part of it must not be tested in another session's copy."""
        return self.image.fingerprint

    @property
    def objects(self) -> bool:
        """Whether numbers count objects; else they are classes."""
        return self.planes[0].objects

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called: 1, 2, ... of one plane, or one for each plane."""
        names = [class_names(plane.classes, rows) for plane, rows in zip(self.planes, self.rows, strict=True)]
        return names[0] if len(names) == 1 else tuple(name for own in names for name in own[:1])

    @property
    def about(self) -> Mapping[str, Any]:
        """What the history of a model keeps of it. It names no image and no mask: these may carry a patient's name."""
        return {
            "project": self.project,
            "image": self.image.id,
            "fingerprint": self.image.fingerprint,
            "voxels": self.voxels,
            "grid": list(self.image.grid),
            "times": self.image.times,
            "revision": self.image.head,
            "numbers": "objects" if self.objects else "classes",
            "classes": list(self.classes),
            "people": list(self.people),
            "corrected": {} if self.past is None else self._corrected(self.past),
        }

    def load(self) -> Labelled:
        """The image, its labels as they were when the session was looked at, and where a person has spoken.

        Raises ``SegError`` where the image is nowhere to be found, or the session is damaged.
        """
        image = self.read_image()
        labels, counts = self.spoken()
        shape = counts.shape if "T" in image.axes else counts.shape[1:]
        planes = self.classes if len(self.planes) > 1 else ()
        axes = image.mask_axes(planes)
        stacked = np.stack(labels, 1) if planes else labels[0]
        stacked = stacked if "T" in image.axes else stacked[0]
        dtype = np.int32 if int(stacked.max(initial=0)) < 2**31 else np.int64
        mask = image.mask(stacked.astype(np.uint8 if planes else dtype), axes=axes)
        return Labelled(image, replace(mask, channels=planes), counts.reshape(shape))

    def spoken(self) -> tuple[list[Labels], NDArray[np.bool_]]:
        """The labels of each plane, and where all of them count, each ``(times, *grid)``."""
        looked = list(self._looked())
        by_plane = [looked[k :: len(self.planes)] for k in range(len(self.planes))]
        counts = [np.stack([one.counts for one in parts]) for parts in by_plane]
        return [np.stack([one.labels for one in parts]) for parts in by_plane], np.logical_and.reduce(counts)

    @cached_property
    def amount(self) -> Amount:
        """How much there is to learn from."""
        found = sum(
            (
                amount(one.labels, one.said, one.rows, one.counts, objects=self.objects, changed=self.changed)
                for one in self._looked()
            ),
            Amount(),
        )
        return replace(found, images=min(1, found.images))

    def _looked(self) -> Iterator[_Looked]:
        """Each plane at each time point, the planes of a time point together.

        The session is let go while it is worked out what counts: on some disks nobody can write to it meanwhile.
        """
        row, endings = self.image, ("", SAID, LEARNING)
        alone = {plane.name: self._alone(plane) for plane in self.planes} if row.times > 1 else {}
        for time in range(row.times):
            with reading(self.folder) as store:
                found = [
                    [store.labels(row.id, plane.name + end, time, revision=row.head) for end in endings]
                    for plane in self.planes
                ]
                if self.damaged or store.damaged:
                    raise SegError(
                        f"A part of the session of {self.name} is damaged, so nothing is learned from it; restore "
                        f"{self.folder.name} from a backup, or leave this image out."
                    )
            for plane, rows, (labels, said, override) in zip(self.planes, self.rows, found, strict=True):
                here = _at_one_time(rows, labels, alone[plane.name]) if row.times > 1 else rows
                counts = spoken(
                    labels,
                    said,
                    here,
                    objects=plane.objects,
                    spacing=row.spacing,
                    override=override,
                    changed=self.changed,
                )
                yield _Looked(labels, said, here, counts)

    def _alone(self, plane: Plane) -> frozenset[int]:
        """The numbers of objects that occur at one time point only."""
        seen, again = set[int](), set[int]()
        for time in range(self.image.times if plane.objects else 0):
            with reading(self.folder) as store:
                labels = store.labels(self.image.id, plane.name, time, revision=self.image.head)
            here = {int(label) for label in counted(labels)}
            again |= seen & here
            seen |= here
        return frozenset(seen - again)

    def read_image(self) -> Volume:
        """The image that was corrected. Raises ``SegError`` where it is nowhere to be found."""
        row, volume = self.image, self.volume
        if volume is None and not row.path:
            raise SegError(f"{row.name} lies in no file; open it in the window, and train there.")
        if volume is None:
            volume = found_again(self.folder, row, self.voxels)
        if (volume.grid, volume.size("T")) != (row.grid, row.times):
            raise SegError(f"{row.name} has another size than the mask that was corrected; put the right image back.")
        return as_large(volume, row)

    @staticmethod
    def _corrected(past: Past) -> dict[str, Any]:
        return {"model": past.predicted.model, "model_hash": past.predicted.model_hash, "revision": past.revision}


def lessons(
    folder: str | Path,
    images: Collection[int] | Mapping[int, str] | None = None,
    volumes: Mapping[int, Volume] | None = None,
) -> list[Taught]:
    """What can be learned from a session, or the project of a folder: a lesson for each mask in which a person has
    spoken.

    ``images``: the numbers of those that are wanted, or the plane that is wanted of each; without it all. ``volumes``:
    images that lie in no file, by their number.
    """
    found, folder = list[Taught](), Path(folder)
    if (session_folder(folder) / NAME).exists():
        folder = session_folder(folder)
    with reading(folder) as store:
        told = marks(store)
        for image in store.images():
            if images is None or image.id in images:
                wanted = images.get(image.id) if isinstance(images, Mapping) else None
                volume, patient = (volumes or {}).get(image.id), patient_of(image, told)
                found += _of_image(store, folder, image, wanted, volume, patient)
    return found


def fitting(found: Sequence[Taught], task: Semantic | Instance, model_hash: str = "") -> list[Taught]:
    """Those from which a model of this task can learn, of each image one: what this very model predicted comes first,
    then what was predicted last."""
    kinds = [one for one in found if one.objects == (task.kind == "instance")]
    kinds = [_in_order(one, task.planes) for one in kinds if len(one.planes) == max(1, len(task.planes))]
    best: dict[tuple[Path, int], Taught] = {}
    for one in kinds:
        if one.key not in best or _rank(one, model_hash) > _rank(best[one.key], model_hash):
            best[one.key] = one
    return list(best.values())


def _rank(one: Taught, model_hash: str) -> tuple[bool, int]:
    past = one.past
    return (past is not None and past.predicted.model_hash == model_hash, -1 if past is None else past.revision)


def _in_order(one: Taught, names: tuple[str, ...]) -> Taught:
    """With the planes of overlapping classes in the order in which a model has them."""
    if len(one.planes) == 1 or {*one.classes} != {*names}:
        return one
    order = [one.classes.index(name) for name in names]
    return replace(one, planes=tuple(one.planes[k] for k in order), rows=tuple(one.rows[k] for k in order))


def _of_image(
    store: Store, folder: Path, image: ImageRow, wanted: str | None, volume: Volume | None, patient: str
) -> Iterator[Taught]:
    before, entries = store.damaged, store.rows(image.id)
    known = [plane for plane in store.planes(image.id) if not plane.name.endswith(LEARNING)]
    rows = {plane.name: rows_of(entries, plane.name) for plane in known}
    planes = [replace(plane, objects=counts_objects(plane.objects, rows[plane.name])) for plane in known]
    heard = {plane.name for plane in planes if _is_spoken(store, image, plane, rows[plane.name])}
    if not heard:
        return
    pasts = {plane.name: last_prediction(store, image.id, plane.name) for plane in planes}
    for several in _together(planes, pasts, rows):
        if wanted is not None and wanted not in [plane.name for plane in several]:
            continue
        if not heard.isdisjoint(plane.name for plane in several):
            yield Taught(
                folder,
                image,
                several,
                tuple(rows[plane.name] for plane in several),
                _shaped(store, image, several[0]),
                _people(store, image),
                pasts[several[0].name],
                store.voxels(image.id),
                name_of(store),
                store.damaged > before,
                volume,
                patient,
            )


def _together(
    planes: Sequence[Plane], pasts: Mapping[str, Past | None], rows: Mapping[str, Rows]
) -> list[tuple[Plane, ...]]:
    """The planes one by one; those that a model put out for classes that overlap together."""
    found: dict[tuple[str, str], dict[str, Plane]] = {}
    alone = list[tuple[Plane, ...]]()
    for plane in planes:
        past, names = pasts[plane.name], class_names(plane.classes, rows[plane.name])
        key = ("", "") if past is None else (past.predicted.model, past.predicted.model_hash)
        if plane.objects or len(names) != 1 or past is None or names[0] in found.get(key, {}):
            alone.append((plane,))
        else:
            found.setdefault(key, {})[names[0]] = plane
    return [*(tuple(several.values()) for several in found.values()), *alone]


def _is_spoken(store: Store, image: ImageRow, plane: Plane, rows: Rows) -> bool:
    """Whether a person has said anything from which could be learned."""
    if any(entry.state == "accepted" and key.split()[0] in _WHOLE for key, entry in rows.items()):
        return True
    return any(store.names(image.id, plane.name + end, image.times) for end in (SAID, LEARNING))


def _shaped(store: Store, image: ImageRow, plane: Plane) -> frozenset[int]:
    """The objects that are as a person wants them though they only lost voxels; of a film nobody knows at what time."""
    if not plane.objects or image.times > 1:
        return frozenset()
    return frozenset(changed_by_hand(store, image.id, plane.name, SHAPING))


def _people(store: Store, image: ImageRow) -> tuple[str, ...]:
    """Who worked on an image, as they named themselves."""
    made = (one for one in store.history(image.id) if not one.undone and one.tool not in _NOT_BY_HAND)
    return tuple(sorted({one.who for one in made} - {""}))


def _at_one_time(rows: Rows, labels: Labels, alone: Collection[int]) -> Rows:
    """What is said of one time point of a film: of an object where it is ``alone`` with its number, else nobody knows
    at what time it was looked at. So it is with classes, regions, slices and boxes."""
    here = {int(label) for label in counted(labels)} & {*alone}

    def holds(key: str, entry: Entry) -> bool:
        if entry.state not in ("accepted", "rejected"):
            return True
        return label_of(key) in here if key.startswith("object ") else key.split()[0] not in ("region", "slice", "box")

    return {key: entry for key, entry in rows.items() if holds(key, entry)}
