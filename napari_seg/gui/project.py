"""The images of a project and the session that keeps them. Reading and writing happen in threads.

A project is a session with a name. One that begins with a folder of images lists what lies there, and its session lies
in that folder, so that it moves with the images and colleagues find it; where nothing can be written there it lies in
the user's data folder. One that a person saved lies where they chose. Either lists besides what was added to it.
A prediction never takes the place of what a person has seen, whatever this window believes: the session itself is asked
in the same breath.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_seg.data.dicom_series import SeriesSearch
from napari_seg.data.volume import Source, Volume
from napari_seg.editing.annotation import CASE, Entry
from napari_seg.errors import SegError, attempted
from napari_seg.gui.arrivals import Found
from napari_seg.gui.engine import Engine
from napari_seg.gui.joining import Joined, join, settle
from napari_seg.gui.project_listing import REPLACED, Finder, Listing, former, listing, title_of
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import planes_of
from napari_seg.models.spec import ModelSpec
from napari_seg.session.cases import Case, case, count, keep_prediction, note_opened, say_of_case
from napari_seg.session.fingerprint import identity
from napari_seg.session.patients import tell_patient
from napari_seg.session.predicted import Predicted
from napari_seg.session.projects import (
    About,
    Told,
    discard,
    made_at,
    place_for,
    session_folder,
    tell_failure,
    tell_model,
)
from napari_seg.session.records import LEARNING, ImageRow, Plane, mask_plane
from napari_seg.session.session import OTHER_WINDOW, Session
from napari_seg.session.whereabouts import resolved

AGAIN = 10.0
"""Seconds until it is tried again to write to a project that another window holds."""

WRITABLE = "The project can be written again; what you change is kept."

PIECE = 0.2
"""Seconds of a search in a thread that others wait for too."""


@dataclass
class Added:
    """What came of images that were to be added."""

    new: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def count(self, name: str, new: bool) -> None:
        (self.new if new else self.known).append(name)

    def refuse(self, why: str) -> None:
        self.refusals.append(why)

    @property
    def words(self) -> str:
        parts = [
            f"{names[0] if len(names) == 1 else f'{len(names)} images'} {'is' if len(names) == 1 else 'are'} {what}."
            for names, what in ((self.new, "in the project now"), (self.known, "in the project already"))
            if names
        ]
        return " ".join([*parts, *self.refusals[:1]])


class Project:
    """One for each window. ``folder``: that a person chose. ``listed``: whose images are listed, if there is one.

    ``troubles``: why something could not be done with an image; ``trouble``: with all. ``missing``: why images are not
    where they were; ``searching``: for more. ``words``: what came of the last thing that a person asked for. ``model``:
    the file of the one that was used last.
    """

    changed = Signal()

    listed_anew = Signal()
    """The images are known, or there are others."""

    writable = Signal()
    """It could only be read, and was opened anew to be written."""

    kept = Signal(Path)
    """The mask of this image was kept."""

    def __init__(self, engine: Engine, recorder: Recorder) -> None:
        self._engine, self._recorder = engine, recorder
        self._forget(None)
        recorder.arrivals.found.connect(self._came)

    def _forget(self, folder: Path | None) -> None:
        self.folder, self.listed, self.name = folder, folder, ""
        self.session: Session | None = None
        self.model: Told | None = None
        self.files: tuple[Path, ...] = ()
        self._ends: dict[Path, Path] = {}  # the files without links, and as they are listed
        self.titles: dict[Path, str] = {}
        self.cases: dict[Path, Case] = {}
        self.troubles: dict[Path, str] = {}
        self.missing: dict[Path, str] = {}
        self.trouble = self.words = ""
        self.reading = self.searching = False
        self._again = math.inf  # when it is tried again to write to it
        self._asked: list[tuple[Path, Future[Case]]] = []

    # which project it is

    def choose(self, folder: Path) -> None:
        """Work on a project from now on, by its own folder, or on the images of a folder."""
        self._forget(folder)
        self.reading = True

        def work() -> Listing | SegError:
            try:
                session = self._recorder.arrivals.open_project(session_folder(folder))
                return listing(session, folder)
            except SegError as error:
                self._recorder.arrivals.project = None
                return error

        self._engine.later(work, lambda found: self._listed(folder, found))
        self.changed.emit()

    def try_again(self, then: Callable[[], None] = lambda: None) -> None:
        """Open a project anew that can only be read, as what was in the way may be gone; ``then`` is called after that.

        Nothing is lost: nobody could change anything."""
        session, folder, arrivals = self.session, self.folder, self._recorder.arrivals
        if session is None or folder is None or not session.read_only or session.writer.closed:
            then()
            return
        self._again = math.inf

        def work() -> Listing | None:
            with contextlib.suppress(SegError):
                opened = arrivals.open_project(session.folder)
                return None if opened.read_only else listing(opened, folder)
            return None

        def tried(found: Listing | None) -> None:
            if session is self.session:
                self._again = time.monotonic() + AGAIN
                if found is not None:
                    self._asked.clear()
                    self.words = WRITABLE
                    self._listed(folder, found)
                    self.writable.emit()
            then()

        self._engine.later(work, tried)

    def save_as(self, name: str, parent: Path, images: list[Volume], then: Callable[[str], None]) -> None:
        """Make a project of some images with all the work on them, and work on it from now on.

        ``then`` hears why it could not be made, in a sentence, or nothing. Where it could not, all is as it was.
        """
        arrivals, tracks, who = self._recorder.arrivals, self._recorder.tracks(), self._recorder.who

        def work() -> tuple[Session, list[Joined]]:
            place, session = place_for(name, parent), None
            try:
                session = made_at(place, About(name.strip()))
                joined = [join(session, image, *identity(image), arrivals, tracks, who) for image in images]
            except SegError:
                if session is not None:
                    session.close()
                    discard(place)
                raise
            arrivals.sessions[str(place)] = session
            return session, joined

        def made(found: tuple[Session, list[Joined]] | SegError) -> None:
            if isinstance(found, SegError):
                then(str(found))
                return
            session, joined = found
            left = len(joined)

            def settled() -> None:
                nonlocal left
                left -= 1
                if not left:
                    self.choose(session.folder)
                    then("")

            if not joined:
                self.choose(session.folder)
                then("")
            for one in joined:
                settle(self._recorder, session, one, settled)

        self._engine.later(lambda: attempted(work), made)

    def add(self, images: list[Volume]) -> None:
        """Add images that are open to the project, with all the work on them."""
        self._join([partial(_itself, image) for image in images], Added())

    def add_files(self, paths: list[Path], read: Callable[[Path], Volume]) -> None:
        """Add images by their files, one after the other."""
        self._join([partial(read, path) for path in paths], Added())

    def _join(self, images: list[Callable[[], Volume]], so_far: Added) -> None:
        """Add one image after the other."""
        session, arrivals, who = self.session, self._recorder.arrivals, self._recorder.who
        if session is None or not images:
            return
        tracks, first, rest = self._recorder.tracks(), images[0], images[1:]

        def work() -> Joined:
            volume = first()
            return join(session, volume, *identity(volume), arrivals, tracks, who)

        def joined(found: Joined | SegError) -> None:
            if session is not self.session:
                return
            if isinstance(found, SegError):
                so_far.refuse(str(found))
            else:
                so_far.count(found.row.name, self.listed_as(self._path_of(found.row)) is None)
                settle(self._recorder, session, found, lambda: self._look_at(session, found.row))
            self.words = so_far.words
            self._join(rest, so_far)
            self.changed.emit()

        self._engine.later(lambda: attempted(work), joined)

    def find(self, folders: Sequence[Path], axes: str | None) -> None:
        """Look for the images that are missing: in all of these folders, or without any in those around."""
        session, folder = self.session, self.folder
        rows = [self.cases[path].image for path in self.missing if path in self.cases and self.cases[path].image.path]
        if session is None or session.read_only or not rows:
            return
        finder = Finder(session, rows, folders, axes)

        def then(done: bool) -> None:
            if session is not self.session:
                return
            if not done:
                self._engine.later(lambda: finder.go_on(PIECE), then)
                return
            if folders:
                images = "1 image was" if finder.found == 1 else f"{finder.found} images were"
                self.words = f"{images} found." if finder.found else "None of them is there; choose another folder."
            if finder.found and folder is not None:
                words = self.words
                self.choose(folder)
                self.words = words
            self.changed.emit()

        self._engine.later(lambda: finder.go_on(PIECE), then)

    # what is done with an image

    def keep(self, path: Path, answer: Mapping[str, Any], model: ModelSpec) -> None:
        """Keep what the engine answered to ``predict_file``."""
        session, image = self.session, answer["image"]
        if session is None:
            return
        predicted = Predicted(model.name, answer["model_hash"], answer["settings"], answer["doubt"])
        who, arrivals, tracks = self._recorder.who, self._recorder.arrivals, self._recorder.tracks()
        shown = {track.row.id for track in tracks if track.session is session}

        def work() -> Case | Joined:
            known = image["fingerprint"], image.get("voxels", "")
            joined = join(session, described(path, image), *known, arrivals, tracks, who)
            row = joined.row
            if joined.tracks:
                return joined
            if row.id in shown:  # the window would not show it, and write back what it shows
                return session.writer.call(lambda store: case(store, row.id)).result()
            masks = [
                (plane_of(row, model, name), labels)
                for name, labels in planes_of(answer["labels"], answer["axes"], model.task.names)
            ]
            at = time.time()
            return session.writer.call(
                lambda store: keep_prediction(store, row.id, masks, predicted, at, who), writes=True
            ).result()

        self._engine.later(lambda: attempted(work), lambda found: self._arrived(session, path, found))

    def fail(self, path: Path, why: str) -> None:
        """Something could not be done with an image; the session keeps why."""
        self.troubles[path] = why
        self._tell_failure(path, why)
        self.changed.emit()

    def forget_failure(self, path: Path) -> None:
        if self.troubles.pop(path, ""):
            self._tell_failure(path, "")

    def enter(self, path: Path, found: Case) -> None:
        """The session knows this of an image."""
        for before in [other for other, known in self.cases.items() if known.image.id == found.image.id]:
            if before != path:  # its file lies elsewhere now
                del self.cases[before]
                self.files = tuple(other for other in self.files if other != before)
                self._ends.pop(resolved(before), None)
                self.missing.pop(before, None)
        self._set_aside(path, found)
        self.cases[path] = found
        self.forget_failure(path)
        self.missing.pop(path, None)
        self.changed.emit()

    def say(self, path: Path, entry: Entry) -> None:
        """Say something of a whole case, also of its masks that are not open: one step of its history."""
        session, who, at = self._session_of(path), self._recorder.who, time.time()
        if session is None or session.read_only:
            return
        image = self.cases[path].image.id
        session.writer.keep(lambda store: say_of_case(store, image, entry, at, who))
        for track in self._recorder.tracks():  # the window shows these, and must hear of it
            if (track.session, track.row.id) == (session, image) and not track.plane.endswith(LEARNING):
                self._recorder.say(track, {CASE: entry}, f"case {entry.state}")
        self.refresh(path)

    def tell_patient(self, path: Path, mark: str) -> None:
        """Say of which patient an image is; an empty mark takes it back."""
        session, who, at = self._session_of(path), self._recorder.who, time.time()
        if session is not None and not session.read_only:
            image = self.cases[path].image.id
            session.writer.keep(lambda store: tell_patient(store, image, mark, at, who))
            self.refresh(path)

    def tell_model(self, model: Path) -> None:
        """This model is used now: the session keeps where its file lies."""
        told, session = Told(model, time.time()), self.session
        self.model = told
        if session is not None and not session.read_only:
            session.writer.send(lambda store: tell_model(store, told))

    def see(self, path: Path) -> None:
        """A person looks at a case."""
        session, who, at = self._session_of(path), self._recorder.who, time.time()
        if session is not None and not session.read_only:
            image = self.cases[path].image.id
            session.writer.send(lambda store: note_opened(store, image, at, who))
            self.refresh(path)

    def count(self, path: Path) -> None:
        """Count what the masks of a case hold now."""
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
        if self._again <= time.monotonic() and self.session is not None and self.session.read_only == OTHER_WINDOW:
            self.try_again()
        for pair in [pair for pair in self._asked if pair[1].done()]:
            self._asked.remove(pair)
            path, future = pair
            try:
                found = future.result()
            except SegError as error:
                self.trouble = str(error)
            else:
                if path in self.cases:
                    self.cases[path] = found
            self.changed.emit()

    # below

    def _set_aside(self, path: Path, found: Case) -> None:
        """Work on an image that lay in a file before stays in the list when the file shows another one."""
        before = self.cases.get(path)
        if before is None or before.image.id == found.image.id or before.state == "new":
            return
        aside = former(path, self._ends)
        self.cases[self._list(aside)] = before
        self.missing[aside] = REPLACED
        title = self.titles[aside]
        self.words = f"{path.name} was opened as another image; the work on the one before is listed as {title}."
        self.listed_anew.emit()

    def _session_of(self, path: Path) -> Session | None:
        """The session, if it knows an image and has not been closed."""
        known = self.session is not None and path in self.cases and not self.session.writer.closed
        return self.session if known else None

    def _tell_failure(self, path: Path, why: str) -> None:
        session = self.session
        if session is not None and not (session.read_only or session.writer.closed):
            session.writer.send(lambda store: tell_failure(store, session.relative(path), why))

    def _listed(self, folder: Path, found: Listing | SegError) -> None:
        if folder != self.folder:
            return
        self.reading = False
        if isinstance(found, SegError):
            self.trouble = str(found)
        else:
            self._again = time.monotonic() + AGAIN
            self.session, self.files, self.cases = found.session, found.files, dict(found.cases)
            self.name, self.listed, self.missing = found.name, found.folder, dict(found.missing)
            self.model = found.model
            self.troubles, self.trouble = dict(found.troubles), found.session.read_only
            self._ends = {resolved(path): path for path in self.files}
            self.titles = {path: title_of(path, self.files) for path in self.files}
            if found.search is not None:
                self.searching = True
                self._search(folder, found.search)
            else:
                self._say_empty()
            if self.missing:
                self.find((), None)
            self.listed_anew.emit()
        self.changed.emit()

    def _search(self, folder: Path, search: SeriesSearch) -> None:
        """Look for DICOM series, in pieces, as the thread has other work too."""

        def then(done: bool) -> None:
            if folder != self.folder:
                return
            if not done:
                self._search(folder, search)
                return
            self.searching = False
            for one in search.found():
                path = self._list(one.path)
                if one.path != self.listed:
                    self.titles[path] = one.title
            self._say_empty()
            self.listed_anew.emit()
            self.changed.emit()

        self._engine.later(lambda: search.go_on(PIECE), then)

    def _say_empty(self) -> None:
        if not self.files and not self.trouble:
            where = self.listed or self.folder
            self.trouble = (
                f"The folder {where} holds no image that can be read; choose a folder with images."
                if self.listed
                else f"There is no image in the project {self.name} yet; open one and add it."
            )

    def _arrived(self, session: Session, path: Path, found: Case | Joined | SegError) -> None:
        if session is not self.session:
            return
        if isinstance(found, SegError):
            self.fail(path, str(found))
        elif isinstance(found, Joined):
            settle(self._recorder, session, found, lambda: self._look_at(session, found.row, path))
        else:
            self.enter(path, found)
            self.kept.emit(path)
        self.changed.emit()

    def _look_at(self, session: Session, row: ImageRow, path: Path | None = None) -> None:
        """An image came into the project, with all its work."""

        def then(found: Case) -> None:
            if session is self.session:
                self._put(path or self._path_of(row), found)

        if not session.writer.closed:
            self._recorder.after(session.writer.call(lambda store: case(store, row.id)), then)

    def _put(self, path: Path, found: Case) -> None:
        """Enter a case under its file, under which it may not be listed yet."""
        path = self.listed_as(path) or path
        if path not in self.files:
            self._list(path)
            self.listed_anew.emit()
        self.enter(path, found)

    def _list(self, path: Path) -> Path:
        """Put a file into the list, where it is not there yet; as it is listed."""
        if (known := self.listed_as(path)) is not None:
            return known
        self.files += (path,)
        self._ends[resolved(path)] = path
        self.titles[path] = title_of(path, self.files)
        return path

    def listed_as(self, path: Path) -> Path | None:
        """How a file stands in the list, if it does."""
        return self._ends.get(resolved(path))

    def _path_of(self, row: ImageRow) -> Path:
        """The file of an image; for an image of no file, a name by which it is listed."""
        where = None if self.session is None else self.session.path(row)
        return Path(row.name) if where is None else resolved(where)

    def _came(self, found: Found) -> None:
        """An image came into the view, from wherever it lies now, or a mask of it was kept."""
        if found.session is self.session:
            known = [other for other, known in self.cases.items() if known.image.id == found.row.id]
            if known and found.row.path and self.listed_as(self._path_of(found.row)) not in known:
                self._look_at(found.session, found.row)
            for path in known:
                self.refresh(path)


def _itself(image: Volume) -> Volume:
    return image


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
    return Plane(mask_plane(f"{row.name} · {class_name or 'mask'}"), model.task.kind == "instance", tuple(names))
