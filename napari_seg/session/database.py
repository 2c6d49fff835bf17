"""The file of a session: one SQLite database, opened for writing by one program at a time.

A transaction is on the disk when it is committed (``synchronous = FULL``), so that neither a killed program nor a
power cut takes more than what was not yet committed. On a local disk the journal is a write-ahead log; a network file
system cannot share the memory that needs, so there it is a rollback journal.

Who may write is decided by a lock that the system takes away from a program that ends, however it ends: an exclusive
transaction on a second, empty database.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from napari_seg.errors import SegError

FORMAT = 1
"""The number of the tables below. A change of them gets the next number and a step in :data:`MIGRATIONS`."""

NAME, LOCK = "session.sqlite", "lock.sqlite"

MIGRATIONS: dict[int, str] = {}
"""By the number of a format, the SQL that makes the next one of it."""

NETWORK = frozenset({"nfs", "nfs4", "cifs", "smbfs", "smb2", "smb3", "afpfs", "fuse.sshfs", "9p", "davfs"})

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


class Lock:
    """The right to write to a session, held until :meth:`release` or the end of the program."""

    def __init__(self, folder: Path) -> None:
        """Raises ``sqlite3.OperationalError`` where another program holds it or nothing can be written here."""
        self._held = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._held.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            self._held.close()
            raise

    def release(self) -> None:
        self._held.close()


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder: tried, because neither the mode of a folder nor its owner tells."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def connect(folder: Path) -> sqlite3.Connection:
    """The database of a folder, made there if there is none, for the one who holds the lock.

    Raises ``SegError`` for a file that is no session, is damaged, or comes from a newer version.
    """
    path = folder / NAME
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        journal = "DELETE" if _on_network(folder) else "WAL"
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("PRAGMA synchronous = FULL")
        _bring_up_to_date(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise refusal(path, error) from None
    except SegError:
        connection.close()
        raise
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """The database of a folder that somebody else writes to, or that nobody may.

    Where nothing can be written even a reader of a write-ahead log cannot work: then it reads a copy in memory.
    """
    path = folder / NAME
    if not path.exists():
        raise SegError(f"{folder} holds no session; choose another folder.")
    try:
        if is_writable(folder):
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        else:
            connection = _copy_in_memory(folder)
        connection.isolation_level = None
        found = _format(connection)
    except sqlite3.DatabaseError as error:
        raise refusal(path, error) from None
    if found != FORMAT:
        connection.close()
        raise SegError(f"{path} has another format ({found}) and cannot be brought up to date here; copy the folder.")
    return connection


@contextlib.contextmanager
def transaction(sql: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; on the disk when it is left."""
    sql.execute("BEGIN IMMEDIATE")
    try:
        yield
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise


def refusal(path: Path, error: sqlite3.Error) -> SegError:
    """What the database says, as a sentence with the cure."""
    words = str(error)
    if "full" in words:
        return SegError(f"The disk of {path.parent} is full; free some space.")
    if "not a database" in words or "malformed" in words:
        return SegError(f"{path} is damaged or no session; move it away, or restore it from a backup.")
    if "locked" in words:
        return SegError(f"{path} is being written to by another program; close it there first.")
    return SegError(f"{path} could not be written ({words}); check the disk and the rights of the folder.")


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    found = _format(connection)
    if found > FORMAT:
        raise SegError(f"{path} was made by a newer version of napari-seg; update napari-seg to open it.")
    if found == FORMAT:
        return
    steps = [TABLES] if found == 0 else [MIGRATIONS[number] for number in range(found, FORMAT)]
    if found == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise SegError(f"{path} is a database, but no session; choose another folder.")
    connection.executescript(f"BEGIN; {' '.join(steps)} PRAGMA user_version = {FORMAT}; COMMIT;")


def _format(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def _copy_in_memory(folder: Path) -> sqlite3.Connection:
    with tempfile.TemporaryDirectory() as aside:
        for name in (NAME, f"{NAME}-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(folder / name, Path(aside) / name)
        stored = sqlite3.connect(Path(aside) / NAME)
        memory = sqlite3.connect(":memory:", check_same_thread=False)
        with contextlib.closing(stored):
            stored.backup(memory)
    return memory


def _on_network(folder: Path) -> bool:
    """Whether a folder lies on a file system of another machine."""
    real = os.path.realpath(folder)
    mounts = [part for part in psutil.disk_partitions(all=True) if real.startswith(part.mountpoint.rstrip("/\\"))]
    longest = max(mounts, key=lambda part: len(part.mountpoint), default=None)
    return longest is not None and longest.fstype.lower() in NETWORK
