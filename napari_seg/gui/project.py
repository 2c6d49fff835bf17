"""The cases of a folder and the session that keeps them. Reading and writing happen in threads.

The session lies in the folder itself, so that it moves with the images and colleagues find it; where nothing can be
written there it lies in the user's data folder. A prediction never takes the place of what a person has seen, whatever
this window believes: the session itself is asked in the same breath.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_seg.data.formats import images_of
from napari_seg.data.volume import Source, Volume
from napari_seg.editing.annotation import CASE, Entry
from napari_seg.errors import SegError
from napari_seg.gui.engine import Engine
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import planes_of
from napari_seg.models.spec import ModelSpec
from napari_seg.session.cases import (
    Case,
    case,
    cases,
    count,
    keep_prediction,
    note_opened,
    say_of_case,
    take_over,
    work_on,
)
from napari_seg.session.database import NAME, is_writable
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import ImageRow, Plane
from napari_seg.session.session import Session, home

FOLDER = "napari-seg-session"
"""The name of the folder beside the images."""


def session_folder(folder: Path) -> Path:
    """Where the session of a folder of images lies, or is to be made."""
    beside = folder / FOLDER
    if (beside / NAME).exists() or is_writable(folder):
        return beside
    name = hashlib.blake2b(str(folder.resolve()).encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return home() / f"folder-{name}"


@dataclass(frozen=True, eq=False)
class Listing:
    """What was found in a folder."""

    session: Session
    cases: Mapping[Path, Case] = field(repr=False)
    files: tuple[Path, ...] = field(repr=False)


class Project:
    """One for each window. ``troubles``: why something could not be done with an image; ``trouble``: with all."""

    changed = Signal()

    listed = Signal()
    """The images of the folder are known."""

    kept = Signal(Path)
    """The mask of this image was kept."""

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        self._engine, self._recorder = engine, recorder
        self.folder: Path | None = None
        self.session: Session | None = None
        self.files: tuple[Path, ...] = ()
        self.cases: dict[Path, Case] = {}
        self.troubles: dict[Path, str] = {}
        self.trouble = ""
        self.reading = False
        self._asked: list[tuple[Path, Future[Case]]] = []

    def choose(self, folder: Path) -> None:
        """Work on the images of a folder from now on."""
        self.folder, self.session, self.files, self.cases, self.troubles = folder, None, (), {}, {}
        self._asked, self.trouble, self.reading = [], "", True

        def work() -> Listing | SegError:
            try:
                files = tuple(images_of([folder]))
                session = self._recorder.arrivals.open_project(session_folder(folder))
                known = session.writer.call(cases).result()
            except SegError as error:
                return error
            by_path = {where.resolve(): found for found in known if (where := session.path(found.image)) is not None}
            return Listing(session, {path: by_path[end] for path in files if (end := path.resolve()) in by_path}, files)

        self._engine.later(work, lambda found: self._listed(folder, found))
        self.changed.emit()

    def keep(self, path: Path, answer: Mapping[str, Any], model: ModelSpec) -> None:
        """Keep what the engine answered to ``predict_file``."""
        session, image = self.session, answer["image"]
        if session is None:
            return
        predicted = Predicted(model.name, answer["model_hash"], answer["settings"], answer["doubt"])
        who, in_use = self._recorder.who, self.in_use()
        shown = {track.row.id for track in self._recorder.tracks() if track.session is session}

        def work() -> Case | SegError:
            try:
                row = self.add(session, described(path, image), image["fingerprint"], in_use)
                if row.id in shown:  # the window would not show it, and write back what it shows
                    return session.writer.call(lambda store: case(store, row.id)).result()
                masks = [
                    (plane_of(row, model, name), labels)
                    for name, labels in planes_of(answer["labels"], answer["axes"], model.task.names)
                ]
                at = time.time()
                return session.writer.call(
                    lambda store: keep_prediction(store, row.id, masks, predicted, at, who)
                ).result()
            except SegError as error:
                return error

        self._engine.later(work, lambda found: self._arrived(session, path, found))

    def fail(self, path: Path, why: str) -> None:
        self.troubles[path] = why
        self.changed.emit()

    def enter(self, path: Path, found: Case) -> None:
        """The session knows this of an image."""
        self.cases[path] = found
        self.troubles.pop(path, None)
        self.changed.emit()

    def say(self, path: Path, entry: Entry) -> None:
        """Say something of a whole case: one step of its history."""
        session, who, at = self._session_of(path), self._recorder.who, time.time()
        if session is None:
            return
        image = self.cases[path].image.id
        tracks = [track for track in self._recorder.tracks() if (track.session, track.row.id) == (session, image)]
        if tracks:  # the window shows it, and must hear of it
            for track in tracks:
                self._recorder.say(track, {CASE: entry}, f"case {entry.state}")
        else:
            session.writer.send(lambda store: say_of_case(store, image, entry, at, who))
        self.refresh(path)

    def see(self, path: Path) -> None:
        """A person looks at a case."""
        session, who, at = self._session_of(path), self._recorder.who, time.time()
        if session is not None and not session.read_only:
            image = self.cases[path].image.id
            session.writer.send(lambda store: note_opened(store, image, at, who))
            self.refresh(path)

    def leave(self, path: Path) -> None:
        """A person leaves a case: count what its masks hold now."""
        session, who, at = self._session_of(path), self._recorder.who, time.time()
        if session is not None and not session.read_only:
            image = self.cases[path].image.id
            session.writer.send(lambda store: count(store, image, at, who))
            self.refresh(path)

    def refresh(self, path: Path) -> None:
        """Look again what the session says of a case, after all that was done before."""
        session = self._session_of(path)
        if session is not None:
            image = self.cases[path].image.id
            self._asked.append((path, session.writer.call(lambda store: case(store, image))))

    def tick(self) -> None:
        for pair in [pair for pair in self._asked if pair[1].done()]:
            self._asked.remove(pair)
            path, future = pair
            try:
                self.cases[path] = future.result()
            except SegError as error:
                self.trouble = str(error)
            self.changed.emit()

    def _session_of(self, path: Path) -> Session | None:
        """The session, if it knows an image and has not been closed."""
        known = self.session is not None and path in self.cases and not self.session.writer.closed
        return self.session if known else None

    def _listed(self, folder: Path, found: Listing | SegError) -> None:
        if folder != self.folder:
            return
        self.reading = False
        if isinstance(found, SegError):
            self.trouble = str(found)
        else:
            self.session, self.files, self.cases = found.session, found.files, dict(found.cases)
            self.trouble = found.session.read_only
            self.listed.emit()
        self.changed.emit()

    def _arrived(self, session: Session, path: Path, found: Case | SegError) -> None:
        if session is not self.session:
            return
        if isinstance(found, SegError):
            self.troubles[path] = str(found)
        else:
            self.enter(path, found)
            self.kept.emit(path)
        self.changed.emit()

    def add(self, session: Session, image: Volume, known_by: str, in_use: frozenset[Path]) -> ImageRow:
        """The row of an image, with the work that was done on it in a session of its own. In the helper thread.

        ``in_use``: see :meth:`in_use`. Raises ``SegError`` where the session of its own is one of them.
        """
        own = home() / known_by
        work = None
        if session.writer.call(lambda store: store.find(known_by)).result() is None and (own / NAME).exists():
            if own in in_use:
                raise SegError(f"{image.name} is open with a mask of its own; close its layers first.")
            work = self._recorder.arrivals.ask_own(known_by, lambda store: work_on(store, known_by))
        row, at, who = session.image(image, known_by).result(), time.time(), self._recorder.who
        if work is not None:
            session.writer.call(lambda store: take_over(store, row.id, work, at, who)).result()
        return row

    def in_use(self) -> frozenset[Path]:
        """The folders of sessions that the window shows layers of."""
        return frozenset(track.session.folder for track in self._recorder.tracks())


def described(path: Path, image: Mapping[str, Any]) -> Volume:
    """An image of which the engine says what it is, without its voxels."""
    return Volume(
        np.broadcast_to(np.uint8(0), tuple(image["shape"])),
        image["axes"],
        spacing=tuple(image["spacing"]) if image["spacing"] else None,
        unit=image["unit"],
        name=image["name"],
        source=Source(path, ""),
    )


def plane_of(row: ImageRow, model: ModelSpec, class_name: str) -> Plane:
    """The plane that the mask of a case goes to: the same for every model, so that a new one replaces the old one."""
    names = (class_name,) if class_name else model.task.names
    return Plane(f"{row.name} · {class_name or 'mask'}", model.task.kind == "instance", tuple(names))
