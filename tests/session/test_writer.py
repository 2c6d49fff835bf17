"""The thread that writes: what the disk does not take, what can never be taken, and the end."""

from __future__ import annotations

import gc
import sqlite3
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from session_images import a_store, blocks_of, step, until

from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.locks import Lock, Taken
from napari_seg.session import writer as module
from napari_seg.session.database import LOCK, NAME, connect
from napari_seg.session.records import Place, Step
from napari_seg.session.session import Session
from napari_seg.session.store import Store
from napari_seg.session.writer import Kept, Writer

FULL = "is full; free some space."


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY", 0.02)
    monkeypatch.setattr(module, "HURRY", 0.01)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would be shown as an error nobody caught."""
    found: list[str] = []
    monkeypatch.setattr(
        threading, "excepthook", lambda told: found.append(f"{told.exc_type.__name__}: {told.exc_value}")
    )
    return found


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    store, _ = a_store(tmp_path)
    found = Writer(store, tmp_path, Lock(tmp_path / LOCK))
    yield found
    found.close()


def filled(value: int, place: int = 0) -> Step:
    """A step that leaves much behind: labels that do not pack well."""
    shape = [(256, 256), (256, 44), (44, 256), (44, 44)][place]
    block = np.random.default_rng(value).integers(0, 200, shape, dtype=np.uint8)
    block[0, 0] = value
    return step({Place("mask", 0, place): block}, tool=f"stroke {value}")


def no_more_room(writer: Writer, pages: int = 0) -> None:
    """The database may not grow by more than so many pages: SQLite says the same where the disk is full."""
    used = "SELECT * FROM pragma_page_count"
    writer.call(
        lambda store: store._sql.execute(
            f"PRAGMA max_page_count = {store._sql.execute(used).fetchone()[0] + pages}"
        ).fetchone()
    ).result()


def free_room(writer: Writer) -> None:
    writer._store._sql.execute("PRAGMA max_page_count = 1000000").fetchone()


def tools(folder: Path) -> list[str]:
    """The steps on the disk, in order."""
    store = Store(connect(folder))
    try:
        return [revision.tool for revision in reversed(store.history(1))]
    finally:
        store.close()


def test_steps_are_kept_in_order_and_that_is_told(writer: Writer, tmp_path: Path) -> None:
    assert writer.kept == Kept()
    kept = [writer.put(1, filled(k)) for k in range(1, 6)]
    assert writer.flush(20)
    assert [future.result() for future in kept] == [True] * 5
    assert (writer.kept.waiting, writer.kept.trouble, writer.kept.lost) == (0, "", 0)
    assert writer.call(lambda store: store.depth(1)).result() == 5
    assert writer.close() == 0
    assert writer.close() == 0  # again
    assert tools(tmp_path) == [f"stroke {k}" for k in range(1, 6)]
    assert not (tmp_path / f"{NAME}-wal").exists()


def test_a_full_disk_is_told_and_waited_for(writer: Writer, tmp_path: Path) -> None:
    assert writer.put(1, filled(1)).result()
    no_more_room(writer)
    kept = [writer.put(1, filled(k)) for k in range(2, 6)]
    until(lambda: writer.kept.trouble != "")
    assert writer.kept.trouble == f"The disk of {tmp_path} {FULL}"
    assert (writer.kept.waiting, writer.kept.lost) == (4, 0)
    asked = writer.call(lambda store: store.depth(1))
    assert not writer.flush(0.1)
    assert not any(future.done() for future in (*kept, asked))
    assert not any(future.cancel() for future in (*kept, asked))
    free_room(writer)
    assert [future.result(20) for future in kept] == [True] * 4
    assert asked.result(20) == 5
    assert (writer.kept.waiting, writer.kept.trouble) == (0, "")
    assert writer.close() == 0
    assert tools(tmp_path) == [f"stroke {k}" for k in range(1, 6)]


def test_what_still_waits_at_the_end_is_counted_and_nothing_overtakes_it(writer: Writer, tmp_path: Path) -> None:
    assert writer.put(1, filled(1)).result()
    no_more_room(writer, 3)
    small = Step("accept", 1.0, rows={"case": Entry(state="accepted")})  # there would be room for this one
    kept = [writer.put(1, filled(2)), writer.put(1, small)]
    late = writer.call(lambda store: store.undo(1, 0.0))
    until(lambda: FULL in writer.kept.trouble)
    assert writer.close(0.3) == 2
    assert [future.result(20) for future in kept] == [False, False]
    with pytest.raises(SegError, match="closed before this could be done; open it again"):
        late.result(20)
    assert tools(tmp_path) == ["stroke 1"]


def test_closing_goes_on_trying_for_a_while(writer: Writer, tmp_path: Path) -> None:
    no_more_room(writer)
    kept = writer.put(1, filled(1))
    until(lambda: FULL in writer.kept.trouble)
    freeing = threading.Timer(0.2, free_room, [writer])
    freeing.start()
    assert writer.close(20) == 0
    freeing.join()
    assert kept.result()
    assert tools(tmp_path) == ["stroke 1"]


def test_a_reader_in_the_way_is_waited_for(writer: Writer, tmp_path: Path) -> None:
    writer.call(lambda store: store._sql.execute("PRAGMA busy_timeout = 1").fetchone()).result()
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    kept = writer.put(1, filled(1))
    until(lambda: "being written to by another program; close it there first." in writer.kept.trouble)
    other.close()
    assert kept.result(20)
    assert writer.kept.trouble == ""


def test_labels_that_cannot_be_kept_are_told_and_those_after_them_are_kept(writer: Writer, faults: list[str]) -> None:
    broken = writer.put(1, step({Place("mask", 0, 3): np.full((44, 44), -1, np.int8)}))
    assert broken.result(20) is False
    assert writer.kept.trouble == "Labels below 0 cannot be kept; number the objects from 1."
    assert writer.put(1, filled(1)).result(20)
    assert (writer.kept.waiting, writer.kept.lost, writer.kept.trouble) == (0, 1, "")
    assert writer.close() == 1
    assert faults == []


FAULTS: list[tuple[Any, str]] = [
    (step({Place("mask", 0, 3): np.ones((3, 3), np.uint8)}), "ValueError"),
    (Step("brush", at=[1], rows={"a": Entry()}), "ProgrammingError"),  # type: ignore[arg-type]
    (Step("brush", at=None, rows={"a": Entry()}), "IntegrityError"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("wrong", "name"), FAULTS)
def test_a_fault_of_ours_is_shown_and_does_not_stop_the_rest(
    writer: Writer, faults: list[str], wrong: Step, name: str
) -> None:
    broken, after = writer.put(1, wrong), writer.put(1, filled(1))
    with pytest.raises((ValueError, sqlite3.Error)):
        broken.result(20)
    assert after.result(20)
    assert len(faults) == 1
    assert faults[0].startswith(name)
    assert (writer.kept.waiting, writer.kept.lost) == (0, 1)
    assert writer.call(lambda store: store.depth(1)).result() == 1


def test_too_little_memory_is_waited_for(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = Store.commit

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Store, "commit", fail)
    kept = writer.put(1, filled(1))
    until(lambda: writer.kept.trouble == "There is not enough memory to keep the last change; close other programs.")
    monkeypatch.setattr(Store, "commit", commit)
    assert kept.result(20)


def test_a_session_that_was_moved_away_is_told(writer: Writer, tmp_path: Path) -> None:
    assert writer.put(1, filled(1)).result(20)
    (tmp_path / NAME).rename(tmp_path / "elsewhere")
    kept = writer.put(1, filled(2))
    until(lambda: "was moved or deleted; put it back, or save the mask to a file." in writer.kept.trouble)
    (tmp_path / NAME).touch()  # a new one in its place is not it
    assert not writer.flush(0.1)
    assert writer.kept.waiting == 1
    (tmp_path / "elsewhere").replace(tmp_path / NAME)
    assert kept.result(20)
    assert writer.kept.trouble == ""
    assert writer.close() == 0
    assert tools(tmp_path) == ["stroke 1", "stroke 2"]


def test_what_is_said_is_not_told_as_kept_once_the_file_is_gone(writer: Writer, tmp_path: Path) -> None:
    (tmp_path / NAME).rename(tmp_path / "elsewhere")
    writer.send(lambda store: store.spend(1, "2026-11-29", "Ann", 5.0))
    until(lambda: "was moved or deleted" in writer.kept.trouble)
    with pytest.raises(SegError, match="was moved or deleted"):
        writer.call(lambda store: store.commit(1, filled(1)), writes=True).result(20)
    (tmp_path / "elsewhere").replace(tmp_path / NAME)


def test_a_lock_whose_file_was_deleted_is_taken_again(writer: Writer, tmp_path: Path) -> None:
    """Somebody tidied up."""
    (tmp_path / LOCK).unlink()
    assert writer.put(1, filled(1)).result(20)
    with pytest.raises(Taken):
        Lock(tmp_path / LOCK)
    assert writer.kept.trouble == ""


@pytest.mark.parametrize("closed", [True, False])
def test_what_another_program_wrote_meanwhile_is_not_overwritten(writer: Writer, tmp_path: Path, closed: bool) -> None:
    assert writer.put(1, filled(1)).result(20)
    (tmp_path / LOCK).unlink()
    other = Session.open(tmp_path)
    assert other.read_only == ""  # nothing was in its way
    assert other.writer.put(1, filled(2)).result(20)
    if closed:
        other.close()
    kept = writer.put(1, filled(3))
    until(lambda: "Another program writes to" in writer.kept.trouble)
    with pytest.raises(SegError, match="Another program writes to"):
        writer.call(lambda store: store.images()).result()  # nobody waits for ever: the mask can be saved to a file
    assert not kept.done()
    assert writer.close(0.1) == 1
    other.close()
    assert tools(tmp_path) == ["stroke 1", "stroke 2"]


def test_work_that_nobody_waits_for_tells_its_trouble(writer: Writer, faults: list[str]) -> None:
    no_more_room(writer)
    writer.send(lambda store: store._sql.execute("INSERT INTO meta VALUES ('a', zeroblob(100000))"))
    assert writer.flush(20)
    assert FULL in writer.kept.trouble
    assert faults == []
    writer.send(lambda store: 1 // 0)
    assert writer.flush(20)
    assert faults == ["ZeroDivisionError: integer division or modulo by zero"]


def test_other_work_answers_with_its_result_or_its_error(writer: Writer, faults: list[str]) -> None:
    assert writer.call(lambda store: 7).result(20) == 7
    with pytest.raises(ZeroDivisionError):
        writer.call(lambda store: 1 // 0).result(20)
    with pytest.raises(SegError, match="damaged or no session; move it away"):
        writer.call(lambda store: store._sql.execute("SELECT * FROM nowhere")).result(20)
    assert faults == []  # who asked is told


def test_the_lock_is_let_go_after_the_last_step(writer: Writer, tmp_path: Path) -> None:
    going, entered = threading.Event(), threading.Event()
    writer.call(lambda store: (entered.set(), going.wait(20)))
    kept = writer.put(1, filled(1))
    assert entered.wait(20)
    assert writer.close(0.05) == 1  # it is still on its way
    with pytest.raises(Taken):
        Lock(tmp_path / LOCK)
    going.set()
    assert kept.result(20)
    assert writer.close(20) == 0
    Lock(tmp_path / LOCK).release()


def test_nothing_is_taken_after_the_end(writer: Writer) -> None:
    assert writer.close() == 0
    with pytest.raises(RuntimeError, match="the session is closed"):
        writer.put(1, filled(1))
    for ask in (lambda: writer.call(lambda store: 1), lambda: writer.flush(1)):
        with pytest.raises(SegError, match="open it again"):
            ask()
    assert writer.kept.waiting == 0


def test_nothing_is_taken_where_nothing_can_be_kept(tmp_path: Path) -> None:
    store, _ = a_store(tmp_path)
    writer = Writer(store, tmp_path, read_only="Somebody else has it.")
    with pytest.raises(SegError, match="Somebody else has it"):
        writer.put(1, filled(1))
    assert writer.kept == Kept()
    assert writer.close() == 0


def test_a_step_is_forgotten_when_it_is_kept(writer: Writer) -> None:
    labels = np.ones((300, 300), np.uint8)
    kept = writer.put(1, step(blocks_of(writer._store, 1, labels)))
    assert kept.result(20)
    held = weakref.ref(labels)
    del labels

    def is_gone() -> bool:
        gc.collect()
        return held() is None

    until(is_gone)  # also while nothing else is given


ENDS = """
import sys
from pathlib import Path
import numpy as np
from napari_seg.session import writer
from napari_seg.session.records import Place, Plane, Step
from napari_seg.session.session import Session
from session_images import an_image
writer.RETRY = 0.1
writer.Writer.close.__defaults__ = (float(sys.argv[3]),)
session = Session.open(sys.argv[1])
image = session.writer.call(lambda store: store.add_image(an_image((256, 256)))).result().id
if sys.argv[2] == "full":
    session.writer.call(lambda store: store._sql.execute("PRAGMA max_page_count = 1").fetchone()).result()
for k in range(1, 30):
    session.writer.put(image, Step(f"stroke {k}", 0.0, blocks={Place("mask", 0, 0): np.full((256, 256), k, np.uint8)}))
"""


def ended(folder: Path, disk: str, seconds: float) -> list[str]:
    """What a program leaves that puts 29 strokes and ends."""
    program = [sys.executable, "-c", ENDS, folder, disk, str(seconds)]
    done = subprocess.run(program, cwd=Path(__file__).parent, timeout=120, check=False)
    assert done.returncode == 0
    return tools(folder)


def test_a_program_that_ends_without_closing_writes_what_is_left(tmp_path: Path) -> None:
    assert ended(tmp_path, "there is room", 60) == [f"stroke {k}" for k in range(1, 30)]


def test_a_program_ends_also_where_the_disk_takes_no_more(tmp_path: Path) -> None:
    left = ended(tmp_path, "full", 0.3)
    assert 0 < len(left) < 29
    assert left == [f"stroke {k}" for k in range(1, len(left) + 1)]


@pytest.mark.parametrize("way", ["send", "call"])
def test_what_nobody_waits_for_is_trouble_until_the_disk_takes_something(writer: Writer, way: str) -> None:
    no_more_room(writer)
    writer.send(lambda store: store._sql.execute("INSERT INTO meta VALUES ('a', zeroblob(100000))"))
    writer.flush(20)
    assert writer.kept.trouble.endswith(FULL)
    writer.call(lambda store: store.images()).result()  # to read needs no room
    assert writer.kept.trouble.endswith(FULL)
    free_room(writer)
    if way == "send":
        writer.send(lambda store: store.spend(1, "2026-11-29", "Ann", 5.0))
        writer.flush(20)
    else:
        writer.call(lambda store: store.spend(1, "2026-11-29", "Ann", 5.0), writes=True).result()
    assert writer.kept == Kept()


def test_what_can_never_be_kept_is_told_until_a_step_is(writer: Writer) -> None:
    assert not writer.put(1, step({Place("mask", 0, 3): np.full((44, 44), -1, np.int8)})).result(20)
    told = writer.kept.trouble
    writer.send(lambda store: store.spend(1, "2026-11-29", "Ann", 5.0))
    writer.flush(20)
    assert (writer.kept.trouble, writer.kept.lost) == (told, 1)


def test_a_disk_that_does_not_answer_is_told_and_holds_nobody_up(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT", 0.05)
    monkeypatch.setattr(module, "LOOK", 0.01)
    answers = threading.Event()
    writer.send(lambda store: answers.wait(60))
    kept = writer.put(1, filled(1))
    until(lambda: writer.kept.trouble != "")
    assert writer.kept == Kept(1, f"The disk of {tmp_path} does not answer; check its connection.", 0)
    with pytest.raises(SegError, match="does not answer"):
        writer.call(lambda store: store.images()).result()
    monkeypatch.setattr(module, "SILENT", 60.0)  # of a busy machine, too
    answers.set()
    assert kept.result()
    assert (writer.kept.waiting, writer.kept.trouble) == (0, "")
    assert len(writer.call(lambda store: store.images()).result()) == 1


def test_who_can_do_without_an_answer_does_not_wait_for_a_full_disk(writer: Writer) -> None:
    no_more_room(writer)
    kept = writer.put(1, filled(1))
    asked = writer.call(lambda store: store.images())
    with pytest.raises(SegError, match="is full; free some space"):
        writer.unless_refused(asked)
    assert not asked.done()
    free_room(writer)
    assert len(asked.result()) == 1  # whoever needs it waits
    assert kept.result()
    assert len(writer.unless_refused(writer.call(lambda store: store.images()))) == 1


def test_long_work_of_a_disk_that_answers_is_no_silence(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT", 0.2)
    monkeypatch.setattr(module, "LOOK", 0.01)
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) SELECT max(i) FROM n"
    assert writer.call(lambda store: store._sql.execute(count).fetchone()[0]).result() == 5_000_000


def test_several_disks_that_do_not_answer_are_waited_for_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, writers = threading.Event(), list[Writer]()
    for name in "abc":
        (tmp_path / name).mkdir()
        store, _ = a_store(tmp_path / name)
        writers.append(Writer(store, tmp_path / name))
        writers[-1].send(lambda store: answers.wait(60))
        writers[-1].put(1, filled(1))
    monkeypatch.setattr(module, "_OPEN", set(writers))
    joined: list[float] = []
    for writer in writers:
        monkeypatch.setattr(writer._thread, "join", joined.append)
    clock = iter([0.0] * 3 + [0.0, 5.0, 5.0])  # told all to end, then five seconds go by with the first
    with monkeypatch.context() as still:
        still.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        module._end_all()
    assert joined == [5.0 + 10 * module.HURRY] + [10 * module.HURRY] * 2
    monkeypatch.undo()
    answers.set()
    for writer in writers:
        assert writer.close(20.0) == 0
