"""A session in its folder: opened, opened twice, moved, and what it knows of images."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from session_images import a_volume, an_image, month_of_work, step

from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError
from napari_seg.session import database
from napari_seg.session import session as module
from napari_seg.session.database import DiskFull, refusal
from napari_seg.session.fingerprint import fingerprint
from napari_seg.session.reading import reading
from napari_seg.session.records import ImageRow, Place, Plane
from napari_seg.session.session import OTHER_WINDOW, READ_HERE, Session, home

HOLDER = """
import sys
from napari_seg.session.session import Session
session = Session.open(sys.argv[1])
print(session.read_only or "open", flush=True)
sys.stdin.readline()
session.close()
print("closed", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holder(folder: Path, code: str = HOLDER) -> Iterator[subprocess.Popen[str]]:
    """Another program that has a session open."""
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        try:
            yield other
        finally:
            other.kill()


def with_source(volume: Volume, path: Path) -> Volume:
    return replace(volume, source=Source(path, "tiff"), name=path.stem)


def mark(session: Session, image: ImageRow, value: int) -> bool:
    labels = np.full(image.grid, value, np.uint8)
    return session.writer.put(image.id, step({Place("mask", 0, 0): labels})).result(20)


def marked(session: Session, image: ImageRow) -> int:
    labels = session.writer.call(lambda store: store.labels(image.id, "mask")).result(20)
    assert (labels == labels.flat[0]).all()
    return int(labels.flat[0])


def test_opened_again_it_is_as_it_was_left(tmp_path: Path) -> None:
    volume = a_volume((30, 20))
    for value in (1, 2, 3):
        session = Session.open(tmp_path / "new" / "session")
        assert session.read_only == ""
        image = session.image(volume).result()
        assert (image.id, image.grid, image.times, image.unit) == (1, (30, 20), 1, "pixel")
        assert marked(session, image) == value - 1
        assert mark(session, image, value)
        assert session.close() == 0
    assert {path.name for path in (tmp_path / "new" / "session").iterdir()} == {"session.sqlite", "session.lock"}


def test_two_windows_in_one_program(tmp_path: Path) -> None:
    first = Session.open(tmp_path)
    image = first.image(a_volume((30, 20))).result()
    assert mark(first, image, 1)
    second = Session.open(tmp_path)
    assert second.read_only == OTHER_WINDOW
    assert second.image(a_volume((30, 20))).result() == replace(image, head=1)
    with pytest.raises(SegError, match="open in another window"):
        second.image(a_volume((30, 20), seed=1)).result()
    with pytest.raises(SegError, match="open in another window"):
        second.writer.put(image.id, step({}))
    with pytest.raises(SegError, match="open in another window"):
        second.writer.call(lambda store: store.undo(image.id, 0.0)).result()
    second.spend(image.id, "", 5.0)
    assert mark(first, image, 2)  # a reader holds nobody up, and sees what comes
    assert marked(second, image) == 2
    assert second.close() == 0
    assert Session.open(tmp_path).close() == 0  # to be read
    assert mark(first, image, 3)
    assert first.close() == 0
    third = Session.open(tmp_path)
    assert third.read_only == ""
    assert marked(third, image) == 3
    assert third.writer.kept.trouble == ""
    assert third.close() == 0


def test_another_program_has_it_open_until_it_closes_it(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        session = Session.open(tmp_path)
        assert session.read_only == OTHER_WINDOW
        session.close()
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "closed\n"
        session = Session.open(tmp_path)  # while the program goes on
        assert session.read_only == ""
        session.close()


def test_a_program_that_looks_into_its_own_files_stays_the_only_one_that_writes(tmp_path: Path) -> None:
    """As a file dialog does, or a search for images: locks of SQLite would be gone."""
    looks = "import pathlib\nfor path in pathlib.Path(sys.argv[1]).iterdir():\n    path.read_bytes()\nprint("
    code = HOLDER.replace("print(", looks, 1)
    with holder(tmp_path, code) as other:
        for _ in range(2):
            session = Session.open(tmp_path)
            assert session.read_only == OTHER_WINDOW
            session.close()
        assert other.poll() is None


WRITES_AND_LOOKS = """
import sys, pathlib
import numpy as np
from napari_seg.session.records import Place, Step
from napari_seg.session.session import Session
session = Session.open(sys.argv[1])
print(session.read_only or "open", flush=True)
for value in range(2, 102):
    step = Step("brush", float(value), blocks={Place("mask", 0, 0): np.full((30, 20), value, np.uint8)})
    assert session.writer.put(1, step).result()
    for path in pathlib.Path(sys.argv[1]).iterdir():
        path.read_bytes()
assert session.close() == 0
"""


def test_a_program_that_looks_into_its_own_files_may_be_read_from_meanwhile(tmp_path: Path) -> None:
    """A reader that took it for gone would cut short what it shares with readers, and it would crash."""
    session = Session.open(tmp_path)
    assert mark(session, session.image(a_volume((30, 20))).result(), 1)
    session.close()
    seen = [1]
    with holder(tmp_path, WRITES_AND_LOOKS) as other:
        while other.poll() is None:
            with reading(tmp_path) as store:
                seen.append(int(store.labels(1, "mask").max()))
    assert other.returncode == 0
    assert seen == sorted(seen)
    assert len({*seen}) > 2  # it was read while it was written
    session = Session.open(tmp_path)
    assert marked(session, session.image(a_volume((30, 20))).result()) == 101
    session.close()


def test_what_could_only_be_read_is_opened_anew_when_the_other_program_ends(tmp_path: Path) -> None:
    session = Session.open(tmp_path)
    image = session.image(a_volume((30, 20))).result()
    assert mark(session, image, 1)
    session.close()
    with holder(tmp_path) as other:
        session = Session.open(tmp_path)
        again = session.opened_anew()
        assert again.read_only == session.read_only == OTHER_WINDOW
        again.close()
        other.communicate("\n\n")
    again = session.opened_anew()
    assert again.read_only == ""
    assert mark(again, image, 2)
    assert marked(session, image) == 2  # what is shown of it stays
    again.close()
    session.close()


def test_what_is_opened_anew_in_vain_is_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody could write there any more, not even this program."""
    with holder(tmp_path) as other:
        session = Session.open(tmp_path)
        other.communicate("\n\n")
    monkeypatch.setattr(module, "connect_to_read", Mock(side_effect=SegError("gone")))
    with pytest.raises(SegError, match="gone"):
        session.opened_anew()
    session.close()
    monkeypatch.undo()
    session = Session.open(tmp_path)
    assert session.read_only == ""
    session.close()


def test_who_only_reads_in_the_same_program_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holder(tmp_path) as other:
        to_read = Session.open(tmp_path)
        other.communicate("\n\n")
    monkeypatch.setattr(database, "PATIENCE", 0.1)
    session = Session.open(tmp_path)
    assert session.read_only == READ_HERE  # and not writing in vain
    session.close()
    monkeypatch.undo()
    threading.Timer(0.2, to_read.close).start()
    session = Session.open(tmp_path)
    assert session.read_only == ""
    session.close()


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL there")
def test_a_killed_program_leaves_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        session = Session.open(tmp_path)
        assert session.read_only == ""
        session.close()


def test_both_of_two_that_open_at_once_are_told_rightly(tmp_path: Path) -> None:
    code = HOLDER.replace("sys.stdin.readline()", "import time; time.sleep(2)", 1)
    start = [sys.executable, "-c", code, str(tmp_path)]
    both = [subprocess.Popen(start, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) for _ in range(2)]
    told = [other.communicate(timeout=60)[0].splitlines()[0] for other in both]
    assert sorted(told) == sorted(["open", OTHER_WINDOW])


def test_on_a_full_disk_it_is_opened_to_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise refusal(folder / "session.sqlite", sqlite3.OperationalError("database or disk is full"))

    session = Session.open(tmp_path)
    image = session.image(a_volume((9, 9))).result()
    assert mark(session, image, 1)
    session.close()
    monkeypatch.setattr(module, "connect", fail)
    with pytest.raises(DiskFull, match=r"is full; free some space\.$"):
        Session.open(tmp_path / "new")
    session = Session.open(tmp_path)
    assert session.read_only.endswith("free some space. Until you open it again then, what you change is not kept.")
    assert marked(session, image) == 1
    session.close()
    monkeypatch.undo()
    session = Session.open(tmp_path)
    assert mark(session, image, 2)
    session.close()


def test_an_image_is_known_by_what_it_shows(tmp_path: Path) -> None:
    session = Session.open(tmp_path / "session")
    film = a_volume((4, 30, 20))
    film = Volume(film.data, "TYX", spacing=(0.5, 0.25), unit="um")
    first = session.image(with_source(film, tmp_path / "a.tif")).result()
    assert (first.grid, first.times, first.spacing, first.unit) == ((30, 20), 4, (0.5, 0.25), "um")
    assert (first.name, first.path, first.fingerprint) == ("a", "../a.tif", fingerprint(film))
    (tmp_path / "a.tif").touch()
    copy = session.image(with_source(film, tmp_path / "below" / "b.tif")).result()
    assert copy == first  # the one that is known is still there
    (tmp_path / "a.tif").unlink()
    again = session.image(with_source(film, tmp_path / "below" / "b.tif")).result()
    assert again == replace(first, name="b", path="../below/b.tif")  # it was renamed, or lies elsewhere by now
    assert session.image(film).result() == again  # where no file is known the last one stays
    assert session.image(a_volume((30, 20), seed=1)).result().id == 2
    with pytest.raises(SegError, match="does not fit what the session knows of it; start a session of its own"):
        session.image(a_volume((31, 20)), known_by=first.fingerprint).result()
    session.close()


def test_a_project_can_be_moved_with_its_images(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "moved" / "here"
    beside, below, away = project / "images" / "a.tif", project / "session" / "b.tif", tmp_path / "images" / "c.tif"
    for path in (beside, below, away):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    session = Session.open(project / "session")
    rows = [
        session.image(with_source(a_volume((9, 9), k), path)).result() for k, path in enumerate((beside, below, away))
    ]
    assert [row.path for row in rows] == ["../images/a.tif", "b.tif", away.as_posix()]
    assert mark(session, rows[0], 5)
    session.close()
    elsewhere.parent.mkdir()
    shutil.move(project, elsewhere)
    session = Session.open(elsewhere / "session")
    assert session.writer.call(lambda store: [row.path for row in store.images()]).result() == [
        row.path for row in rows
    ]
    found = [session.path(row) for row in rows]
    assert [path and path.resolve() for path in found] == [
        elsewhere / "images" / "a.tif",
        elsewhere / "session" / "b.tif",
        away,
    ]
    assert all(path is not None and path.exists() for path in found)
    assert session.path(replace(rows[0], path="")) is None
    assert marked(session, rows[0]) == 5
    session.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only there may names be any bytes")
def test_file_names_of_any_bytes(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"se?s#s%20 i\xe4on")
    session = Session.open(folder)
    image = session.image(with_source(a_volume((9, 9)), folder / os.fsdecode(b"B\xe4r.tif"))).result()
    assert (image.name, image.path) == ("B\ufffdr", "B\\udce4r.tif")
    assert session.image(with_source(a_volume((9, 9)), folder / os.fsdecode(b"B\xe4r.tif"))).result() == image
    reader = Session.open(folder)
    assert reader.image(a_volume((9, 9))).result() == image
    reader.close()
    session.close()


def test_time_spent_is_of_a_person_and_a_day(tmp_path: Path) -> None:
    session = Session.open(tmp_path)
    image = session.image(a_volume((9, 9))).result()
    for who, seconds in (("Zoë", 3.0), ("\ud800", 4.5)):
        session.spend(image.id, who, seconds)
    assert session.writer.call(lambda store: store.spent(image.id)).result() == 7.5
    session.close()


def test_opening_thins(tmp_path: Path) -> None:
    for _ in range(2):
        session = Session.open(tmp_path)
        image = session.image(a_volume((9, 9))).result()
        for value in (1, 2, 3):
            block = {Place("mask", 0, 0): np.full((9, 9), value, np.uint8)}
            session.writer.put(image.id, step(block, at=1.0)).result()
        session.writer.call(partial(month_of_work, image=image.id, until=time.time())).result()
        session.writer.call(lambda store: store._sql.execute("DELETE FROM meta")).result()
        session.close()
    session = Session.open(tmp_path)
    assert session.writer.call(lambda store: store.depth(image.id)).result() == 2
    session.close()


def test_where_sessions_start_by_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NAPARI_SEG_SESSIONS", raising=False)
    assert home().name == "sessions"
    monkeypatch.setenv("NAPARI_SEG_SESSIONS", str(tmp_path))
    assert home() == tmp_path


def test_500_images_are_listed_at_once(tmp_path: Path) -> None:
    """The wanted figure is 2 s; a machine that is busy gets more."""
    session = Session.open(tmp_path)
    session.writer.call(lambda store: store._sql.execute("PRAGMA synchronous = OFF")).result()  # to be made quickly
    for number in range(500):
        row = replace(an_image((64, 64), fingerprint=f"image {number}"), name=f"image {number}")

        def add(store, row=row):  # type: ignore[no-untyped-def]
            image = store.add_image(row).id
            store.put_plane(image, Plane("mask", True))
            store.commit(image, step({Place("mask", 0, 0): np.full((64, 64), image % 250, np.uint8)}))

        session.writer.call(add).result()
    session.close()
    began = time.monotonic()
    session = Session.open(tmp_path)
    images = session.writer.call(lambda store: store.images()).result()
    assert marked(session, images[300]) == images[300].id % 250
    assert time.monotonic() - began < 6
    assert [image.name for image in images] == [f"image {number}" for number in range(500)]
    session.close()
