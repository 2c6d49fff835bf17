"""What makes a session a project: its name, the folder whose images it lists, what went wrong with which image, and the
list of those that a person worked on last."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from napari_seg.errors import SegError
from napari_seg.files import cause_of, written
from napari_seg.locks import Taken, locked
from napari_seg.session.database import NAME, SCORES, connect_to_read, is_writable
from napari_seg.session.records import plain
from napari_seg.session.session import Session, home, twin
from napari_seg.session.store import Store

FOLDER = "napari-seg-session"
"""The name of the folder beside images of a folder."""

RECENT = 12
"""Projects that are remembered."""

_ABOUT, _FAILED, _MODEL, _SINCE = "project", "failed ", "model", "model since"

_NO_LIST = (ValueError, TypeError, LookupError, AttributeError)
"""What reading a list that is damaged ends with."""

SHORT = 2.0
"""Seconds in which another window has changed the list."""

_FORBIDDEN = '<>:"/\\|?*'
"""In the name of a folder: some system or other takes them for something else."""


@dataclass(frozen=True)
class About:
    """``folder``: whose images are listed besides those that were added; relative to the session's where it can be,
    empty where there is none."""

    name: str = ""
    folder: str = ""


def about(store: Store) -> About:
    """Nothing of it where a session was never named. Raises ``ValueError`` where what is kept is damaged."""
    known = json.loads(store.meta(_ABOUT) or "{}")
    return About(str(known.get("name", "")), str(known.get("folder", "")))


def told_of(store: Store) -> About:
    """What is kept of it; nothing where that is damaged."""
    try:
        return about(store)
    except (ValueError, AttributeError):
        return About()


def name_of(store: Store) -> str:
    """The name of a project; empty for other sessions."""
    return told_of(store).name


def tell_about(store: Store, told: About) -> None:
    store.put_meta(_ABOUT, json.dumps({"name": told.name, "folder": told.folder}))


def failures(store: Store) -> dict[str, str]:
    """Why images could not be segmented, opened or written, by their paths as :meth:`Session.relative` gives them."""
    return store.metas(_FAILED)


def tell_failure(store: Store, path: str, why: str) -> None:
    """Keep why something could not be done with an image; an empty reason takes it back."""
    store.put_meta(f"{_FAILED}{plain(path)}", why)


class Told(NamedTuple):
    """The file of the model that a project uses, and since when."""

    path: Path
    at: float


def model_of(store: Store) -> Told | None:
    """The model that was told last, if one was."""
    known = store.meta(_MODEL)
    return Told(Path(known), float(store.meta(_SINCE) or 0)) if known else None


def tell_model(store: Store, told: Told) -> None:
    store.put_meta(_MODEL, str(told.path))
    store.put_meta(_SINCE, repr(told.at))


def session_folder(folder: Path) -> Path:
    """Where the session of a folder of images lies, or is to be made; a folder that is a session is its own."""
    if (folder / NAME).exists():
        return folder
    beside = folder / FOLDER
    saved = sorted(path.parent for path in folder.glob(f"*/{NAME}"))
    if beside not in saved and len(saved) > 1:  # one may be a copy of another
        known = [one.folder for one in recent()]
        saved = [path for path in saved if path in known] if sum(path in known for path in saved) == 1 else saved
    if len(saved) == 1:  # a person saved a project here
        return saved[0]
    if saved and beside not in saved:
        names = ", ".join(path.name for path in saved)
        raise SegError(f"{folder} holds several projects ({names}); open the folder of one of them.")
    if (beside / NAME).exists() or is_writable(folder):
        return beside
    name = hashlib.blake2b(str(folder.resolve()).encode(errors="surrogateescape"), digest_size=16).hexdigest()
    return home() / f"folder-{name}"


def place_for(name: str, parent: Path) -> Path:
    """The folder that a new project of this name would get. Raises ``SegError`` where it cannot have it."""
    name = name.strip()
    if not name.strip(". "):
        raise SegError("The project has no name yet; type one.")
    wrong = sorted({letter for letter in name if letter in _FORBIDDEN or not letter.isprintable()})
    if wrong or name.startswith(".") or name.endswith("."):
        what = " ".join(letter for letter in wrong if letter.isprintable()) or ". at its ends"
        raise SegError(f"A folder cannot be called {plain(name)}; leave out {what}.")
    if len(os.fsencode(name)) > 120:
        raise SegError("The name is too long for a folder; choose a shorter one.")
    try:
        if not parent.is_dir():
            raise SegError(f"There is no folder {parent}; choose another one.")
        place = parent / name
        if (place / NAME).exists():
            raise SegError(f"There is a project called {name} in {parent} already; choose another name, or open that.")
        if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
            raise SegError(f"{name} is in {parent} already; choose another name.")
    except OSError as error:
        reason = cause_of(error)
        raise SegError(f"{parent} cannot be read ({reason}); choose another folder.") from None
    return place


def made_at(place: Path, told: About) -> Session:
    """A new project in a folder that :func:`place_for` gave. Raises ``SegError`` where nothing can be kept there."""
    session = Session.open(place)
    if session.read_only:  # somebody else has just made it
        session.close()
        raise SegError(session.read_only)
    try:
        session.writer.call(lambda store: tell_about(store, told)).result()
    except SegError:
        session.close()
        discard(place)
        raise
    return session


def discard(place: Path) -> None:
    """Take a project away that was just being made."""
    for path in (*place.glob("session.*"), *place.glob(f"{SCORES}/*.npy")):
        path.unlink(missing_ok=True)
    for folder in (place / SCORES, place):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@dataclass(frozen=True)
class Recent:
    """A project that was worked on: its name, the folder of its session, and the fingerprints of its images.

    These are remembered here, so that an image that comes is not looked for on disks that may be far away.
    """

    name: str
    folder: Path
    images: frozenset[str] = field(default=frozenset(), compare=False, repr=False)


def recent() -> list[Recent]:
    """The projects that were worked on, the last first."""
    try:
        return _read()
    except (OSError, *_NO_LIST):
        return []


def knowing(known_by: str, voxels: str) -> Path | None:
    """The project worked on last that holds work on an image of this fingerprint, and of these voxels where both are
    known."""
    found = (one.folder for one in recent() if known_by in one.images)
    return next((folder for folder in found if _holds(folder, known_by, voxels)), None)


def _holds(folder: Path, known_by: str, voxels: str) -> bool:
    """Whether a project holds work on an image; not where it cannot be read."""
    try:
        with contextlib.closing(Store(connect_to_read(folder))) as store:
            row = store.find(known_by)
            if row is not None and voxels and store.voxels(row.id) not in ("", voxels):
                row = store.find(twin(known_by, voxels))
            return row is not None and store.holds_work(row.id)
    except (SegError, sqlite3.Error, OSError, ValueError, TypeError, LookupError):
        return False


def remember(name: str, folder: Path, images: Iterable[str]) -> None:
    """A project is worked on; it comes first from now on. Where that cannot be kept it is let be."""
    first = Recent(plain(name), Path(plain(str(folder.absolute()))), frozenset(map(_plainly, images)))
    _change(lambda known: [first, *(one for one in known if one.folder != first.folder)][:RECENT])


def remember_image(folder: Path, known_by: str) -> None:
    """An image came into a project that is worked on."""
    known_by, place = _plainly(known_by), Path(plain(str(folder.absolute())))
    if any(one.folder == place and known_by not in one.images for one in recent()):
        _change(
            lambda known: [
                replace(one, images=one.images | {known_by}) if one.folder == place else one for one in known
            ]
        )


def drop(folder: Path) -> None:
    """A project is no longer there."""
    _change(lambda known: [one for one in known if one.folder != folder])


def _plainly(known_by: str) -> str:
    """The fingerprint of an image, also where it is another one's twin."""
    return known_by.partition("-")[0]


def _change(change: Callable[[list[Recent]], list[Recent]]) -> None:
    """Change the list while no other window does. One that cannot be read stays, one that is damaged is made anew."""
    with contextlib.suppress(OSError, Taken):
        _list().parent.mkdir(parents=True, exist_ok=True)
        with locked(_list().with_suffix(".lock"), SHORT):
            try:
                before = _read()
            except _NO_LIST:
                before = []
            _write(change(before))


def _read() -> list[Recent]:
    try:
        text = _list().read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [
        Recent(str(one["name"]), Path(str(one["folder"])), frozenset(map(str, one.get("images", ()))))
        for one in json.loads(text)
    ][:RECENT]


def _write(known: Sequence[Recent]) -> None:
    lines = [{"name": one.name, "folder": str(one.folder), "images": sorted(one.images)} for one in known]
    with written(_list()) as aside:
        aside.write_text(json.dumps(lines, indent=1), encoding="utf-8")


def _list() -> Path:
    return home() / "projects.json"
