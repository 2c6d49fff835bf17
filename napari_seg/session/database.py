"""The file of a session: one SQLite database, opened for writing by one program at a time.

A transaction is on the disk when it is committed (``synchronous = FULL``), so that neither a killed program nor a
power cut takes more than what was not yet committed. On a local disk the journal is a write-ahead log; a network file
system cannot share the memory that needs, so there it is a rollback journal.

Who may write is decided by a lock of its own (:mod:`~napari_seg.locks`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psutil

from napari_seg.errors import SegError
from napari_seg.files import cause_of
from napari_seg.locks import Taken

APPLICATION = 0x6E736567
"""What tells a session from the databases of other programs: ``nseg`` in ASCII, in the header of the file."""

FORMAT = 1
"""The number of the tables below. A change of them gets the next number and a step in :data:`MIGRATIONS`."""

NAME = "session.sqlite"
"""That it ends in ``.sqlite`` keeps our readers from opening it: see :func:`~napari_seg.data.dicom_frames.is_dicom`."""

SCORES = "scores"
"""The folder beside it that holds the scores of predictions."""

LOCK = "session.lock"
"""Locked by the one who may write."""

MIGRATIONS: dict[int, str] = {}
"""By the number of a format, the SQL that makes the next one of it."""

LOCAL = (
    "apfs aufs bcachefs btrfs ecryptfs exfat ext2 ext3 ext4 f2fs fat fat32 fuseblk hfs jfs msdos ntfs ntfs3 overlay "
    "overlayfs ramfs refs reiserfs squashfs tmpfs ufs vfat xfs zfs"
)
"""File systems on which programs share memory; any other is taken for one of another machine."""

PATIENCE = 2.0
"""Seconds in which the readings of other threads of this program end."""

COPIES = 5
"""How often a copy is tried of a database that somebody writes to."""

TABLES = """
CREATE TABLE images (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL UNIQUE,
    voxels TEXT NOT NULL DEFAULT '', grid TEXT NOT NULL, times INTEGER NOT NULL, spacing TEXT NOT NULL,
    unit TEXT NOT NULL, added REAL NOT NULL, head INTEGER NOT NULL DEFAULT 0);
CREATE TABLE planes (
    image INTEGER NOT NULL, name TEXT NOT NULL, objects INTEGER NOT NULL, classes TEXT NOT NULL,
    PRIMARY KEY (image, name)) WITHOUT ROWID;
CREATE TABLE blobs (hash BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE blocks (
    image INTEGER NOT NULL, plane TEXT NOT NULL, time INTEGER NOT NULL, block INTEGER NOT NULL, hash BLOB NOT NULL,
    PRIMARY KEY (image, plane, time, block)) WITHOUT ROWID;
CREATE TABLE rows (image INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (image, key))
    WITHOUT ROWID;
CREATE TABLE revisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, image INTEGER NOT NULL, parent INTEGER NOT NULL, at REAL NOT NULL,
    who TEXT NOT NULL, tool TEXT NOT NULL, labels TEXT NOT NULL, voxels INTEGER NOT NULL, note TEXT NOT NULL);
CREATE INDEX children ON revisions (image, parent);
CREATE TABLE block_changes (
    revision INTEGER NOT NULL, plane TEXT NOT NULL, time INTEGER NOT NULL, block INTEGER NOT NULL,
    before BLOB NOT NULL, after BLOB NOT NULL, PRIMARY KEY (revision, plane, time, block)) WITHOUT ROWID;
CREATE TABLE row_changes (
    revision INTEGER NOT NULL, key TEXT NOT NULL, before TEXT, after TEXT, PRIMARY KEY (revision, key)) WITHOUT ROWID;
CREATE TABLE predictions (
    id INTEGER PRIMARY KEY, image INTEGER NOT NULL, revision INTEGER NOT NULL, at REAL NOT NULL, model TEXT NOT NULL,
    model_hash TEXT NOT NULL, settings TEXT NOT NULL);
CREATE TABLE log (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, who TEXT NOT NULL, image INTEGER NOT NULL,
    what TEXT NOT NULL, revision INTEGER NOT NULL, details TEXT NOT NULL);
CREATE TABLE spent (
    image INTEGER NOT NULL, day TEXT NOT NULL, who TEXT NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (image, day, who)) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class DiskFull(SegError):
    """Nothing more can be written. What is there may still be read."""


def is_writable(folder: Path) -> bool:
    """Whether a session can be written in a folder: tried, because neither its mode nor its owner tells."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return False
    there = [path for path in (folder / NAME, folder / LOCK) if path.exists()]
    return all(os.access(path, os.W_OK) for path in there)


def is_local(folder: Path) -> bool:
    """Whether a folder lies on a disk of this machine, as far as the system says."""
    real = Path(os.path.realpath(folder))
    try:
        mounts = [part for part in psutil.disk_partitions(all=True) if real.is_relative_to(part.mountpoint)]
    except OSError:
        return False
    if not mounts or str(real).startswith("\\\\"):
        return False
    nearest = sorted(mounts, key=lambda part: len(part.mountpoint))[-1]  # of two in one place the later one counts
    return nearest.fstype.lower() in LOCAL.split() and "remote" not in nearest.opts.split(",")


def connect(folder: Path) -> sqlite3.Connection:
    """The database of a folder, made there if there is none, for the one who holds the lock.

    Raises ``SegError`` for a file that is no session, is damaged, or comes from a newer version: it stays as it is;
    ``Taken`` where this program goes on reading it, by which SQLite could not write.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _connect(folder)
        except sqlite3.Error as error:
            if "readonly" not in str(error):
                raise refusal(folder / NAME, error) from None
        if time.monotonic() > end:
            raise Taken
        time.sleep(0.02)


def _connect(folder: Path) -> sqlite3.Connection:
    path = folder / NAME
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        found = _format(connection, path)
        connection.execute(f"PRAGMA journal_mode = {'WAL' if is_local(folder) else 'DELETE'}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # else macOS leaves it in the cache of the disk
        _bring_up_to_date(connection, found)
        with transaction(connection):
            pass  # it can be written
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """The database of a folder that somebody else writes to, or that nobody may."""
    path = folder / NAME
    if not path.exists():
        raise SegError(f"{folder} holds no session; choose another folder.")
    try:
        connection = _open_to_read(folder)
    except sqlite3.Error as error:
        raise refusal(path, error) from None
    try:
        found = _format(connection, path)
        connection.execute("PRAGMA query_only = ON")
    except sqlite3.Error as error:
        connection.close()
        raise refusal(path, error) from None
    except BaseException:
        connection.close()
        raise
    if found == 0:
        connection.close()
        raise SegError(f"{path} is empty, or is just being made; open it again in a moment.")
    if found != FORMAT:
        connection.close()
        raise SegError(f"{path} has an older format ({found}); copy the folder to where you may write, and open that.")
    return connection


@contextlib.contextmanager
def transaction(sql: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; on the disk when it is left. One cannot lie in another."""
    if sql.in_transaction:  # one that failed, and could not even be taken back
        sql.execute("ROLLBACK")
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the first error says more
                sql.execute("ROLLBACK")
        raise


def refusal(path: Path, error: sqlite3.Error | OSError) -> SegError:
    """What the database or the system says, as a sentence with the cure."""
    words = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
    if "full" in words or "no space" in words:
        return DiskFull(f"The disk of {path.parent} is full; free some space.")
    if any(part in words for part in ("not a database", "malformed", "no such")):
        return SegError(f"{path} is damaged or no session; move it away, or restore it from a backup.")
    if "locked" in words:
        return SegError(f"{path} is being written to by another program; close it there first.")
    return SegError(f"{path} could not be written ({words}); check the disk and the rights of the folder.")


def _format(connection: sqlite3.Connection, path: Path) -> int:
    """The number of the tables in a database, 0 where there are none. Only reads."""
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    maker = connection.execute("PRAGMA application_id").fetchone()[0]
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if maker != APPLICATION and (maker or number or tables):
        raise SegError(f"{path} is a database, but no session; choose another folder.")
    if number > FORMAT:
        raise SegError(f"{path} was made by a newer version of napari-seg; update napari-seg to open it.")
    return number


def _bring_up_to_date(connection: sqlite3.Connection, found: int) -> None:
    if found == FORMAT:
        return
    steps = [TABLES] if found == 0 else [MIGRATIONS[number] for number in range(found, FORMAT)]
    marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
    connection.executescript(f"BEGIN IMMEDIATE; {' '.join(steps)} {marks} COMMIT;")


def _open_to_read(folder: Path) -> sqlite3.Connection:
    """Where somebody writes, or did, what they share with readers is only looked at: a program that has lost its locks
    (see :mod:`~napari_seg.locks`) would otherwise find it cut short, and crash."""
    place = (folder / NAME).resolve().as_posix()
    shared = "&readonly_shm=1" if (folder / f"{NAME}-shm").exists() else ""
    address = f"file://{'' if place.startswith('/') else '/'}{quote(os.fsencode(place))}?mode=ro{shared}"
    connection = sqlite3.connect(address, timeout=5, isolation_level=None, uri=True, check_same_thread=False)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:  # a journal was left behind, and nothing can be made beside it to read it with
        connection.close()
        return _copy_in_memory(folder)
    except BaseException:
        connection.close()
        raise
    return connection


def _copy_in_memory(folder: Path) -> sqlite3.Connection:
    """What a folder holds in which no file can be made, its journal included."""
    with tempfile.TemporaryDirectory() as aside:
        try:
            _copy(folder, Path(aside))
        except OSError as error:
            reason = cause_of(error)
            raise SegError(f"{folder / NAME} cannot be read ({reason}); copy the folder and open the copy.") from None
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        with contextlib.closing(sqlite3.connect(Path(aside) / NAME)) as stored:
            stored.backup(memory)
    return memory


def _copy(folder: Path, aside: Path) -> None:
    """Copy a database and its journal as they were at one moment."""
    for _ in range(COPIES):
        found = _files(folder)
        for name in found:
            shutil.copyfile(folder / name, aside / name)
        if _files(folder) == found:
            return
        for name in found:
            (aside / name).unlink()
    raise SegError(f"{folder / NAME} is being written to by another program; open it again in a moment.")


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a database, with what tells whether they were written to."""
    paths = [folder / name for name in (NAME, f"{NAME}-wal", f"{NAME}-journal")]
    found = {path.name: path.stat() for path in paths if path.exists()}
    return {name: (state.st_size, state.st_mtime_ns) for name, state in found.items()}
