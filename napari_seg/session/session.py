"""A session is a folder: the database with every revision of the annotations, and model files beside it.

A session starts by itself for an image, in the user's data folder, named by the image's fingerprint. A named project is
the same in a folder that a person chose, with as many images as they like.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, wait
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.files import cause_of
from napari_seg.locks import Lock, Taken
from napari_seg.session.database import LOCK, DiskFull, connect, connect_to_read, is_writable, refusal
from napari_seg.session.fingerprint import fingerprint
from napari_seg.session.records import SIZE, ImageRow, plain
from napari_seg.session.sizes import Size, size_of
from napari_seg.session.store import Store
from napari_seg.session.writer import Writer

READ_HERE = "This program still reads this session elsewhere; what you change here is not kept. Close it there first."
OTHER_WINDOW = "This session is open in another window; what you change here is not kept. Go on there."


def home() -> Path:
    """Where sessions start by themselves: the user's data folder, or what ``NAPARI_SEG_SESSIONS`` names."""
    named = os.environ.get("NAPARI_SEG_SESSIONS")
    return Path(named) if named else platformdirs.user_data_path("napari-seg", appauthor=False) / "sessions"


def twin(known_by: str, voxels: str) -> str:
    """What an image is known by whose fingerprint is that of another one."""
    return f"{known_by}-{voxels}"


class Session:
    """An open session. ``read_only`` says why nothing can be kept, in a sentence; empty where all is well."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self.folder = folder
        self.writer = writer

    @property
    def read_only(self) -> str:
        return self.writer.read_only

    @classmethod
    def open(cls, folder: str | Path) -> Session:
        """Open the session of a folder, made if there is none.

        Where another program has it open, or nothing can be written, be it that the disk is full, it is opened to be
        read. Raises ``SegError`` where not even that is possible.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = cause_of(error)
            raise SegError(f"{folder} cannot be made ({reason}); choose another folder for the session.") from None
        if not is_writable(folder):
            words = f"{folder} cannot be written to, so what you change is not kept; copy it to where you may write."
            return cls._to_read(folder, words)
        try:
            lock = Lock(folder / LOCK)
        except Taken:
            return cls._to_read(folder, OTHER_WINDOW)
        except OSError as error:
            return cls._at_least_to_read(folder, refusal(folder / LOCK, error))
        try:
            store = Store(connect(folder))
        except BaseException as error:
            lock.release()
            if isinstance(error, Taken):
                return cls._to_read(folder, READ_HERE)
            if isinstance(error, DiskFull):
                return cls._at_least_to_read(folder, error)
            raise
        session = cls(folder, Writer(store, folder, lock))
        session.writer.send(lambda store: store.thin(time.time()))
        return session

    def opened_anew(self) -> Session:
        """The session of the same folder once more, as what was in the way of writing may be gone.

        This one stays open to be read, and lets go of the database meanwhile: SQLite does not write to what the same
        program has opened only to read.
        """
        found = list[Session]()

        def work(store: Store) -> None:
            store.meanwhile(lambda: found.append(Session.open(self.folder)), lambda: connect_to_read(self.folder))

        done = self.writer.call(work)
        wait((done,))  # however long it takes: what is opened then must have an owner
        if done.exception() is not None:
            for one in found:
                one.close()
        done.result()
        return found[0]

    @classmethod
    def _to_read(cls, folder: Path, why: str) -> Session:
        return cls(folder, Writer(Store(connect_to_read(folder)), folder, read_only=why))

    @classmethod
    def _at_least_to_read(cls, folder: Path, error: SegError) -> Session:
        """Open it to be read, where that is possible; else raise the error."""
        try:
            return cls._to_read(folder, f"{error} Until you open it again then, what you change is not kept.")
        except SegError:
            raise error from None

    def image(self, volume: Volume, known_by: str = "", voxels: str = "") -> Future[ImageRow]:
        """The row of an image, added where it is new. ``known_by``: its fingerprint, where that is known already.

        ``voxels``: the hash of all of them. Where the fingerprint belongs to an image of other voxels, this one is
        another image, with a row of its own. The row follows an image that lies elsewhere, unless a file is still
        where it was. Where a person gave voxels another size than the volume has, it has that.
        Raises ``SegError`` in the future for an image that is new to a session that cannot be written.
        """
        row = ImageRow(
            id=0,
            name=plain(volume.name),
            path="" if volume.path is None else plain(self.relative(volume.path)),
            fingerprint=known_by or fingerprint(volume),
            grid=volume.grid,
            times=volume.size("T"),
            spacing=volume.spacing or (),
            unit=volume.unit,
            added=time.time(),
            head=0,
        )

        def find(store: Store) -> ImageRow:
            found = self.found(store, row.fingerprint, voxels)
            if found is None:
                if self.read_only:
                    raise SegError(self.read_only)
                other = store.find(row.fingerprint) is not None
                added = store.add_image(replace(row, fingerprint=twin(row.fingerprint, voxels)) if other else row)
                if voxels:
                    store.confirm(added.id, voxels)
                return added
            if (found.grid, found.times) != (row.grid, row.times):
                raise SegError(
                    f"{row.name} does not fit what the session knows of it; start a session of its own for it."
                )
            file = Size(row.spacing, row.unit)
            size = size_of(store.meta(SIZE + found.fingerprint), file)
            if (found.spacing, found.unit) != (size.spacing, size.unit):
                found = replace(found, spacing=size.spacing, unit=size.unit)
                if not self.read_only:
                    store.resize_image(found.id, size.spacing, size.unit)
            if self.read_only or not row.path or (found.name, found.path) == (row.name, row.path):
                return found
            before = self.path(found)
            alone = all(other.path != found.path for other in store.images() if other.id != found.id)
            if before is not None and before.exists() and alone:  # else another image lies there now
                return found  # a copy of the image
            return store.move_image(found.id, row.name, row.path)

        return self.writer.call(find)

    def found(self, store: Store, known_by: str, voxels: str) -> ImageRow | None:
        """The row of an image of this fingerprint and these voxels (empty: they are not known), if there is one.

        Voxels of which nothing was known are noted.
        """
        first = store.find(known_by)
        if first is None or not voxels:
            return first
        known = store.voxels(first.id)
        if known in ("", voxels):
            if not (known or self.read_only):
                store.confirm(first.id, voxels)
            return first
        return store.find(twin(known_by, voxels))

    def path(self, image: ImageRow) -> Path | None:
        """Where the file of an image lies, if it comes from one: also after the session was moved together with it."""
        return self.folder / image.path if image.path else None

    def spend(self, image: int, who: str, seconds: float) -> None:
        """Add to the time that a person spent on an image today."""
        day = datetime.now(UTC).astimezone().date().isoformat()
        if not self.read_only:
            self.writer.send(lambda store: store.spend(image, day, who, seconds))

    def hurry(self) -> None:
        """Take nothing more: see :meth:`Writer.hurry`."""
        self.writer.hurry()

    def close(self, seconds: float = 5.0) -> int:
        """Write what is left and let go. Returns how many steps could not be kept."""
        return self.writer.close(seconds)

    def relative(self, path: Path) -> str:
        """A path as it is stored: relative to the session where the image lies beside or below it, else whole."""
        beside = self.folder.resolve().parent
        try:
            found = path.resolve()
        except (OSError, ValueError, RuntimeError):  # what a damaged session names may be no path at all
            return path.as_posix()
        if found.is_relative_to(beside) and beside != Path(beside.anchor):
            return Path(os.path.relpath(found, self.folder.resolve())).as_posix()
        return found.as_posix()
