"""The file of a session: who may write it, whose it is, and what state it may be found in."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from session_images import a_store, blocks_of, step

from napari_seg import locks
from napari_seg.errors import SegError
from napari_seg.locks import Lock, Taken
from napari_seg.session import database
from napari_seg.session.database import FORMAT, LOCK, NAME, DiskFull, connect, connect_to_read, is_local, transaction
from napari_seg.session.session import Session
from napari_seg.session.store import Store


def a_session(folder: Path, values: tuple[int, ...] = (1, 2, 3)) -> None:
    """A closed session with one image and a step for each value."""
    folder.mkdir(exist_ok=True)
    store, image = a_store(folder)
    for value in values:
        store.commit(image, step(blocks_of(store, image, np.full((300, 300), value, np.uint8))))
    store.close()


def left_by_a_killed_writer(folder: Path, journal: str) -> None:
    """The files as they lie there after a SIGKILL: with two steps in the log, or in the middle of writing the third."""
    open_folder = folder.with_name("open")
    a_session(open_folder, (1,))
    store = Store(connect(open_folder))
    store._sql.execute(f"PRAGMA journal_mode = {journal}")
    store.commit(1, step(blocks_of(store, 1, np.full((300, 300), 2, np.uint8))))
    if journal == "DELETE":
        store._sql.execute("PRAGMA cache_size = 1")  # what does not fit is written before the end
        store._sql.execute("BEGIN IMMEDIATE")
        store._sql.execute("DELETE FROM blocks")
        store._sql.execute("INSERT INTO blobs VALUES ('x', zeroblob(1000000))")
    shutil.copytree(open_folder, folder, ignore=shutil.ignore_patterns(LOCK))
    assert (folder / f"{NAME}-{'wal' if journal == 'WAL' else 'journal'}").stat().st_size > 0
    if journal == "DELETE":
        store._sql.execute("ROLLBACK")
    store.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# whose file it is


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all" * 500)


def truncated(path: Path) -> None:
    a_session(path.parent)
    path.write_bytes(path.read_bytes()[:-5000])


def header_only(path: Path) -> None:
    a_session(path.parent)
    path.write_bytes(path.read_bytes()[:100])


def of_somebody_else(path: Path) -> None:
    sql = sqlite3.connect(path)
    sql.executescript(f"PRAGMA journal_mode = DELETE; CREATE TABLE images (x); PRAGMA user_version = {FORMAT};")
    sql.close()


def marked_by_somebody_else(path: Path) -> None:
    sql = sqlite3.connect(path)
    sql.executescript("PRAGMA application_id = 77; PRAGMA journal_mode = WAL;")
    sql.close()


def newer(path: Path) -> None:
    a_session(path.parent)
    sql = sqlite3.connect(path)
    sql.execute(f"PRAGMA user_version = {FORMAT + 1}")
    sql.close()


DAMAGED = "is damaged or no session; move it away, or restore it from a backup"
FOREIGN = "is a database, but no session; choose another folder"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (garbage, DAMAGED),
        (truncated, DAMAGED),
        (header_only, DAMAGED),
        (of_somebody_else, FOREIGN),
        (marked_by_somebody_else, FOREIGN),
        (newer, "was made by a newer version of napari-seg; update napari-seg"),
    ],
)
def test_a_file_that_is_no_session_of_ours_stays_as_it_is(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / NAME)
    before = contents(tmp_path)
    for _ in range(2):  # and the lock is not kept either
        with pytest.raises(SegError, match=words) as told:
            Session.open(tmp_path)
        assert str(told.value).count(". ") == 0
    assert {name: data for name, data in contents(tmp_path).items() if name != LOCK} == before
    with pytest.raises(SegError, match=words):
        connect_to_read(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before[NAME]


@pytest.mark.parametrize("cut", [10, 99, 512, 4096, 5000, 0.5, 0.9])
def test_a_file_cut_anywhere_is_told_and_left(tmp_path: Path, cut: float) -> None:
    a_session(tmp_path)
    whole = (tmp_path / NAME).read_bytes()
    part = whole[: int(cut * len(whole)) if cut < 1 else int(cut)]
    (tmp_path / NAME).write_bytes(part)
    with pytest.raises(SegError, match=DAMAGED):
        Session.open(tmp_path)
    assert (tmp_path / NAME).read_bytes() == part


def test_an_empty_file_is_a_session_that_was_just_begun(tmp_path: Path) -> None:
    (tmp_path / NAME).touch()
    with pytest.raises(SegError, match="is empty, or is just being made; open it again"):
        connect_to_read(tmp_path)
    session = Session.open(tmp_path)
    assert session.read_only == ""
    assert session.close() == 0


def test_damage_in_the_middle_is_told_when_it_is_met(tmp_path: Path) -> None:
    a_session(tmp_path)
    data = bytearray((tmp_path / NAME).read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    (tmp_path / NAME).write_bytes(data)
    session = Session.open(tmp_path)
    with pytest.raises(SegError, match=DAMAGED):
        session.writer.call(lambda store: store.images()).result()
    assert DAMAGED in session.writer.kept.trouble  # what thinning met
    assert session.close() == 0


def test_a_folder_without_a_session_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="holds no session; choose another folder"):
        connect_to_read(tmp_path)


def test_where_nothing_can_be_locked_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(SegError, match=r"could not be written \(.*\); check the disk and the rights of the folder"):
        Session.open(tmp_path)
    (tmp_path / LOCK).rmdir()
    Session.open(tmp_path).close()
    for error, kind, words in (
        (OSError(errno.ENOLCK, "No locks available"), SegError, r"written \(no locks available\); check the disk"),
        (OSError(errno.ENOSPC, "No space left on device"), DiskFull, "is full; free some space"),
    ):
        monkeypatch.setattr(locks, "_hold", Mock(side_effect=error))
        with pytest.raises(kind, match=words):
            Session.open(tmp_path / "new")
        session = Session.open(tmp_path)
        assert re.search(words, session.read_only)
        session.close()


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SegError, match=r"cannot be made \(.*\); choose another folder"):
            Session.open(folder)


# what a killed program leaves


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_what_a_killed_writer_left_is_taken_up(tmp_path: Path, journal: str) -> None:
    left_by_a_killed_writer(tmp_path / "left", journal)
    for open_it in (connect, connect_to_read):
        store = Store(open_it(tmp_path / "left"))
        assert (store.labels(1, "mask") == 2).all()
        assert store.depth(1) == 2
        store.close()


def test_a_format_made_halfway_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "TABLES", database.TABLES + "CREATE TABLE images (twice);")
    with pytest.raises(SegError, match="could not be written"):
        connect(tmp_path)
    monkeypatch.undo()
    store = Store(connect(tmp_path))
    assert store.images() == []
    store.close()


def test_an_older_format_is_brought_up_to_date_by_who_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_session(tmp_path)
    monkeypatch.setattr(database, "FORMAT", FORMAT + 1)
    monkeypatch.setitem(database.MIGRATIONS, FORMAT, "CREATE TABLE later (x);")
    with pytest.raises(SegError, match=f"older format \\({FORMAT}\\); copy the folder"):
        connect_to_read(tmp_path)
    for _ in range(2):
        sql = connect(tmp_path)
        assert sql.execute("PRAGMA user_version").fetchone() == (FORMAT + 1,)
        assert sql.execute("SELECT * FROM later").fetchall() == []
        sql.close()


# who may write


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    first = Lock(tmp_path / LOCK)
    with pytest.raises(Taken):
        Lock(tmp_path / LOCK)
    first.release()
    Lock(tmp_path / LOCK).release()


UNWRITABLE = """
import os, sys
from pathlib import Path
from napari_seg.errors import SegError
from napari_seg.session.records import Place, Step
from napari_seg.session.session import Session
import concurrent.futures.thread, encodings.idna, sqlite3, shutil, tempfile  # before they cannot be read any more

if os.geteuid() == 0:  # no mode keeps root from writing
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
folder = Path(sys.argv[1])
try:
    (folder / "x").touch()
except OSError:
    pass
else:
    sys.exit("the folder can be written to")
before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
session = Session.open(folder)
why = "cannot be written to, so what you change is not kept; copy it to where you may write."
assert session.read_only == f"{folder} {why}", session.read_only
image = session.writer.call(lambda store: store.images()).result()[0]
labels = session.writer.call(lambda store: store.labels(image.id, "mask")).result()
assert (labels == labels[0, 0]).all()
print(labels[0, 0], len(session.writer.call(lambda store: store.history(image.id)).result()))
for work in ("undo(image.id, 0.0)", "thin(0.0)", "spend(image.id, 'd', '', 1)"):
    try:
        session.writer.call(lambda store: eval(f"store.{work}")).result()
    except SegError as error:
        assert str(error) == session.read_only, error
    else:
        sys.exit("it was written")
session.spend(image.id, "", 1.0)
try:
    session.writer.put(image.id, Step("brush", 0.0))
except SegError as error:
    assert str(error) == session.read_only
else:
    sys.exit("it was taken")
assert session.close() == 0 and session.writer.kept.trouble == ""
assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
"""


def read_without_rights(folder: Path) -> str:
    """What another user sees who may read a folder and not write to it: ``label steps``."""
    place = Path(shutil.copytree(folder, Path("/tmp") / f"napari-seg-test-{os.getpid()}-{folder.name}"))
    for path in place.iterdir():
        path.chmod(0o444)
    place.chmod(0o555)
    try:
        code = textwrap.dedent(UNWRITABLE)
        done = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


@pytest.mark.skipif(os.name == "nt", reason="rights are given otherwise there")
@pytest.mark.parametrize("left", [("session.sqlite",), ("session.sqlite", "session.sqlite-wal"), ("*",)])
def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path, left: tuple[str, ...]) -> None:
    if len(left) == 1 and left[0] != "*":
        a_session(tmp_path / "left")
    else:
        left_by_a_killed_writer(tmp_path / "left", "WAL")
        if left[0] != "*":  # without what the writer shared
            (tmp_path / "left" / "session.sqlite-shm").unlink()
    expected = "3 3" if left == ("session.sqlite",) else "2 2"
    assert read_without_rights(tmp_path / "left") == expected


@pytest.mark.skipif(os.name == "nt", reason="rights are given otherwise there")
def test_a_journal_in_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    left_by_a_killed_writer(tmp_path / "left", "DELETE")
    assert read_without_rights(tmp_path / "left") == "2 2"


def test_a_copy_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes while a copy is made: it is made again, and given up in words if that does not end."""
    a_session(tmp_path / "left", (1,))
    store = Store(connect(tmp_path / "left"))
    copy, left = shutil.copyfile, [2, 3]

    def slow_copy(source: Path, to: Path) -> Path:
        copied = Path(copy(source, to))
        if left:
            store.commit(1, step(blocks_of(store, 1, np.full((300, 300), left.pop(0), np.uint8))))
        return copied

    monkeypatch.setattr(database.shutil, "copyfile", slow_copy)
    copied = Store(database._copy_in_memory(tmp_path / "left"))
    assert (copied.labels(1, "mask") == 3).all()
    copied.close()
    left.extend(range(4, 99))
    with pytest.raises(SegError, match="being written to by another program; open it again in a moment"):
        database._copy_in_memory(tmp_path / "left")
    store.close()


def test_a_session_file_that_may_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_session(tmp_path)
    monkeypatch.setattr(database.os, "access", lambda path, mode: Path(path).name != NAME)
    assert not database.is_writable(tmp_path)
    monkeypatch.undo()
    assert database.is_writable(tmp_path)
    assert not database.is_writable(tmp_path / "not there")


# where it lies


def test_only_disks_of_this_machine_share_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def journal(*mounts: tuple[str, str, str]) -> str:
        parts = [SimpleNamespace(mountpoint=point, fstype=kind, opts=opts) for point, kind, opts in mounts]
        monkeypatch.setattr(database.psutil, "disk_partitions", lambda all: parts)
        sql = connect(tmp_path)
        found: str = sql.execute("PRAGMA journal_mode").fetchone()[0]
        assert (found == "wal") == is_local(tmp_path)
        sql.close()
        return found

    root, here = ("/", "ext4", "rw"), str(tmp_path)
    assert journal(root) == "wal"
    assert journal(root, (here, "nfs4", "rw")) == "delete"
    assert journal((here, "nfs4", "rw"), root) == "delete"
    assert journal((here, "nfs4", "rw"), (here, "tmpfs", "rw")) == "wal"  # mounted over it
    assert journal(root, (here[:-1], "cifs", "rw")) == "wal"  # a name that only begins alike
    assert journal(root, (str(tmp_path.parent), "fuse.sshfs", "rw")) == "delete"
    assert journal(root, (here, "APFS", "rw,local")) == "wal"
    assert journal(("/", "NTFS", "rw,remote")) == "delete"  # a drive of another machine, as Windows tells it
    assert journal() == "delete"

    def fail(all: bool) -> None:
        raise OSError

    monkeypatch.setattr(database.psutil, "disk_partitions", fail)
    assert not is_local(tmp_path)


def test_all_or_nothing(tmp_path: Path) -> None:
    sql = connect(tmp_path)
    assert sql.execute("PRAGMA synchronous").fetchone() == (2,)

    def fail() -> None:
        with transaction(sql):
            sql.execute("INSERT INTO meta VALUES ('a', 'b')")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    sql.execute("BEGIN")  # one that could not be taken back
    sql.execute("INSERT INTO meta VALUES ('a', 'c')")
    with transaction(sql):
        sql.execute("INSERT INTO meta VALUES ('a', 'd')")
    assert sql.execute("SELECT value FROM meta").fetchall() == [("d",)]
    sql.close()


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        ("database or disk is full", "is full; free some space."),
        ("file is not a database", "restore it from a backup."),
        ("database disk image is malformed", "restore it from a backup."),
        ("database is locked", "close it there first."),
        ("disk I/O error", r"\(disk I/O error\); check the disk and the rights of the folder."),
    ],
)
def test_what_the_database_says_becomes_a_sentence(words: str, cure: str) -> None:
    with pytest.raises(SegError, match=cure):
        raise database.refusal(Path("folder") / NAME, sqlite3.OperationalError(words))
