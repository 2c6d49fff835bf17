"""Work that takes long goes on at every tick, in its order, and nothing a person does meanwhile is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import let_arrive, point_at

from napari_seg.editing.annotation import Entry, object_key, whole
from napari_seg.editing.edit import edited
from napari_seg.editing.tools import TOOLS
from napari_seg.errors import SegError
from napari_seg.gui import errands as module
from napari_seg.gui import portions
from napari_seg.gui.errands import MOMENT, TICK, Errands

GRID = (20, 70, 130)


@pytest.fixture
def slow(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every portion of time is over as soon as it begins."""
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    monkeypatch.setattr(module, "PORTION", 0.0)


# the errands themselves


def test_a_short_errand_is_over_at_once() -> None:
    done: list[int] = []
    errands = Errands(done.append)

    def steps() -> Any:
        done.append((yield errands.thread(lambda: 7)))
        yield MOMENT
        done.append(8)

    errands.begin("image", steps(), "Working")
    assert done == [7, 8]
    assert not errands.any
    assert errands.words("image") == ""
    errands.close()


def test_errands_of_an_image_come_one_after_the_other(slow: None) -> None:
    done: list[str] = []
    errands = Errands(done.append)
    future: Future[str] = Future()

    def first() -> Any:
        done.append((yield future))

    def second() -> Any:
        done.append("second")
        yield TICK

    errands.begin("image", first(), "Working")
    errands.begin("image", second())
    errands.begin("other image", second())
    assert done == ["second"]
    assert errands.words("image") == "Working"
    future.set_result("first")
    for _ in range(5):
        errands.tick()
    assert done == ["second", "first", "second"]
    assert not errands.any
    errands.close()


def test_what_is_heeded_comes_before_what_heeds_it_but_never_before_what_was_asked_earlier(slow: None) -> None:
    done: list[str] = []
    errands = Errands(done.append)
    heeding, working = Future[str](), Future[str]()

    def steps(future: Future[str] | None, word: str) -> Any:
        if future is not None:
            yield future
        done.append(word)

    errands.begin("image", steps(heeding, "renewal"), heeds=True)
    errands.begin("image", steps(None, "verdict"), heeded=True)
    assert done == ["verdict"]
    errands.begin("image", steps(working, "undo"), heeded=True)
    errands.begin("image", steps(None, "second verdict"), heeded=True)
    assert done == ["verdict"]  # it waits for the undo, which goes before the renewal
    errands.begin("image", steps(None, "tool"))
    errands.begin("image", steps(None, "third verdict"), heeded=True)
    heeding.set_result("")
    working.set_result("")
    for _ in range(9):
        errands.tick()
    assert done == ["verdict", "undo", "second verdict", "renewal", "tool", "third verdict"]
    errands.close()


def test_all_that_is_begun_between_two_ticks_is_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    def pretend(futures: Any, seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(module, "PATIENCE", 20.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "wait", pretend)
    errands = Errands(list[str]().append)

    def never() -> Any:
        yield Future[None]()

    for key in "abc":
        errands.begin(key, never())
    assert now == [120.0]
    errands.tick()
    errands.begin("d", never())
    assert now == [140.0]
    errands.close()


def test_what_an_errand_cannot_do_is_told() -> None:
    told: list[str] = []
    errands = Errands(told.append)

    def steps() -> Any:
        yield MOMENT
        raise SegError("This cannot be done; do that.")

    errands.begin("image", steps())
    assert told == ["This cannot be done; do that."]
    assert not errands.busy("image")
    errands.close()


# what is done with a mask


class Desk(controlled.Desk):
    """With a mask of objects, of which all are kept."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.viewer.add_image(np.random.default_rng(0).integers(0, 99, GRID).astype(np.uint8), name="scan")
        self.add()
        self.rest()

    def add(self) -> None:
        labels = np.zeros(GRID, np.uint8)
        for number in range(1, 9):
            labels[2:6, 5:9, 14 * number : 14 * number + number] = number
        self.viewer.add_labels(labels, name="mask")

    @property
    def layer(self) -> Any:
        return self.viewer.layers["mask"]

    @property
    def track(self) -> Any:
        return self.recorder.track(self.layer)

    def tick(self, times: int = 1) -> None:
        let_arrive(self.recorder, times)

    def until(self, done: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if done():
                return
            self.tick()
        raise AssertionError("it never came")

    def rest(self) -> None:
        self.tick(3)
        self.until(lambda: self.recorder.rests)

    def kept(self) -> np.ndarray:
        row, plane = self.track.row, self.track.plane
        found: np.ndarray = self.track.session.writer.call(lambda store: store.labels(row.id, plane)).result()
        return found

    def tools(self) -> list[str]:
        row = self.track.row
        return [step.tool for step in self.track.session.writer.call(lambda store: store.history(row.id)).result()]


@pytest.fixture
def desk(slow: None, desk: Desk) -> Desk:
    return desk


@pytest.fixture
def held_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The tool that deletes small objects does not come to its end before this is set."""
    from dataclasses import replace

    go, tool = threading.Event(), TOOLS["delete small"]

    def run(*args: Any) -> Any:
        assert go.wait(60)
        return tool.run(*args)

    monkeypatch.setitem(TOOLS, "delete small", replace(tool, run=run))
    yield go
    go.set()


def test_nobody_paints_while_a_tool_works_and_what_it_does_is_said(desk: Desk, held_back: threading.Event) -> None:
    before = desk.layer.data.copy()
    desk.layer.mode = "paint"
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    assert TOOLS["delete small"].title in desk.hands.words
    assert "Escape" in desk.hands.words
    assert not desk.layer.editable
    desk.hands.act("delete")  # is not taken
    np.testing.assert_array_equal(desk.layer.data, before)
    held_back.set()
    desk.rest()
    assert desk.tools() == ["delete small"]
    assert set(np.unique(desk.layer.data)) == {0, 4, 5, 6, 7, 8}
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)
    assert desk.layer.editable
    assert desk.layer.mode == "paint"
    assert desk.hands.words == ""
    desk.layer.undo()
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, before)


def test_escape_gives_a_tool_up(desk: Desk, held_back: threading.Event) -> None:
    before = desk.layer.data.copy()
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    (escape,) = (use for key, use in desk.layer.keymap.items() if str(key) == "Escape")
    escape(desk.layer)
    assert desk.layer.editable
    assert "Given up" in desk.hands.words
    held_back.set()
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, before)
    assert desk.tools() == []


def test_what_was_changed_while_a_tool_worked_is_seen_by_it(desk: Desk, held_back: threading.Event) -> None:
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    places = np.nonzero(np.pad(np.ones((3, 5, 5)), [(10, 7), (40, 25), (40, 85)]))
    desk.layer.data_setitem(places, 77)  # by another plugin
    desk.recorder.say(desk.track, {object_key(8): Entry(1, "accepted")}, "accept")
    desk.recorder.lock(desk.track, 1, True)
    held_back.set()
    desk.rest()
    assert desk.layer.data[10, 40, 40] == 77
    assert set(np.unique(desk.layer.data)) == {0, 4, 5, 6, 7, 8, 77}
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)
    assert desk.recorder.rows(desk.track)[object_key(8)].state == "accepted"


def test_an_array_that_comes_while_a_tool_works_is_kept_before_the_tool_is_done(
    desk: Desk, held_back: threading.Event
) -> None:
    other = desk.layer.data[::-1].copy()
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    desk.layer.data = other  # by another plugin
    desk.until(lambda: desk.tools() == ["replaced"])
    np.testing.assert_array_equal(desk.kept(), other)
    held_back.set()
    desk.rest()
    assert desk.tools() == ["delete small", "replaced"]
    assert set(np.unique(desk.layer.data)) == {0, 4, 5, 6, 7, 8}
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)


@pytest.mark.parametrize("error", [IndexError("torn"), SegError("There is nothing here.")])
def test_a_tool_that_fails_because_something_was_changed_under_it_begins_anew(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from dataclasses import replace

    tool, fails, go = TOOLS["delete small"], [error], threading.Event()

    def run(*args: Any) -> Any:
        assert go.wait(60)
        if fails:
            raise fails.pop()
        return tool.run(*args)

    monkeypatch.setitem(TOOLS, "delete small", replace(tool, run=run))
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    desk.layer.data_setitem((np.array([10]), np.array([40]), np.array([40])), 8)  # by another plugin
    go.set()
    desk.rest()
    assert fails == []
    assert set(np.unique(desk.layer.data)) == {0, 4, 5, 6, 7, 8}
    assert desk.hands.words == ""


def test_an_undo_comes_after_the_tool_that_works(desk: Desk, held_back: threading.Event) -> None:
    before = desk.layer.data.copy()
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    desk.layer.undo()
    held_back.set()
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, before)
    np.testing.assert_array_equal(desk.kept(), before)
    desk.layer.redo()
    desk.layer.undo()
    desk.layer.redo()
    desk.rest()
    assert set(np.unique(desk.layer.data)) == {0, 4, 5, 6, 7, 8}


def test_a_window_that_is_closed_while_a_tool_works_keeps_what_was_there(
    desk: Desk, held_back: threading.Event
) -> None:
    before = desk.layer.data.copy()
    desk.hands.set_option("delete small", size=50.0)
    desk.hands.act("delete small")
    desk.layer.data[15, 60, 100] = 9  # without an event
    desk.recorder.close()
    held_back.set()
    again = Desk(desk.engine)
    before[15, 60, 100] = 9
    np.testing.assert_array_equal(again.layer.data, before)
    again.recorder.close()


def everything_changed(desk: Desk, value: int) -> None:
    """One step that changes each block."""
    edit = edited(desk.recorder.annotation(desk.track), "stamp", [(whole(GRID), np.full(GRID, value))])
    desk.recorder.apply(desk.track, edit)
    desk.rest()


def test_a_layer_that_is_closed_while_a_step_back_is_shown_is_kept_as_it_was_then(desk: Desk) -> None:
    start = desk.layer.data.copy()
    everything_changed(desk, 3)
    desk.layer.undo()
    desk.until(lambda: (desk.layer.data != 3).any())  # the first of it is seen
    assert (desk.layer.data == 3).any()
    desk.viewer.layers.remove("mask")
    desk.rest()
    desk.add()
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, start)
    assert desk.tools() == ["stamp"]
    desk.layer.redo()
    desk.rest()
    assert (desk.layer.data == 3).all()


class Hurrying:
    """Each look at this clock takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def test_a_window_that_is_closed_in_the_middle_of_a_step_ends_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    start = desk.layer.data.copy()
    everything_changed(desk, 3)
    desk.layer.undo()
    desk.until(lambda: (desk.layer.data != 3).any())
    desk.recorder.say(desk.track, {object_key(8): Entry(1, "accepted")}, "accept")
    desk.layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 200)
    with monkeypatch.context() as hurry:
        hurry.setattr(module, "time", Hurrying())
        desk.recorder.close()
    again = Desk(desk.engine)
    start[0, 0, 0] = 200
    np.testing.assert_array_equal(again.layer.data, start)
    assert again.recorder.rows(again.track)[object_key(8)].state == "accepted"
    assert again.tools() == ["edit", "accept", "stamp"]
    again.recorder.close()


def test_a_step_that_cannot_be_ended_leaves_nothing_in_between(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    everything_changed(desk, 3)
    desk.layer.data_setitem((np.array([19]), np.array([69]), np.array([129])), 9)
    desk.rest()
    kept = desk.layer.data.copy()
    edit = edited(desk.recorder.annotation(desk.track), "stamp", [(whole(GRID), np.full(GRID, 5))])
    monkeypatch.setattr(portions, "_AT_ONCE", 1)
    desk.recorder.apply(desk.track, edit)
    desk.until(lambda: (desk.layer.data == 5).any())
    monkeypatch.setattr(Errands, "finish", lambda *about, **known: None)
    desk.recorder.close()
    np.testing.assert_array_equal(desk.layer.data, kept)
    again = Desk(desk.engine)
    np.testing.assert_array_equal(again.layer.data, kept)
    assert again.tools() == ["edit", "stamp"]
    again.recorder.close()


def test_a_stroke_of_another_plugin_in_the_middle_of_a_step_back_stays(desk: Desk) -> None:
    everything_changed(desk, 3)
    desk.layer.undo()
    desk.until(lambda: (desk.layer.data != 3).any())
    desk.layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 200)  # where it is shown already
    desk.rest()
    assert desk.layer.data[0, 0, 0] == 200
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)
    desk.layer.undo()
    desk.rest()
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)
    assert desk.layer.data[0, 0, 0] == 0


def test_an_array_that_comes_in_the_middle_of_a_step_back_stays(desk: Desk) -> None:
    everything_changed(desk, 3)
    desk.layer.undo()
    desk.until(lambda: (desk.layer.data != 3).any())
    desk.layer.data = np.full(GRID, 250, np.uint8)
    desk.rest()
    assert (desk.layer.data == 250).all()
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)


def test_what_is_written_while_an_edit_is_shown_takes_it_back_first(desk: Desk) -> None:
    edit = edited(desk.recorder.annotation(desk.track), "stamp", [(whole(GRID), np.full(GRID, 3))])
    desk.layer.data[19, 69, 129] = 9  # the edit was made without it
    before = desk.layer.data.copy()
    desk.recorder.apply(desk.track, edit)
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, before)


def test_what_nobody_told_of_is_kept_before_a_mask_goes_out(desk: Desk) -> None:
    desk.layer.data[:, 3] = 90
    handed: list[np.ndarray] = []
    desk.recorder.hand_out([desk.track], "mask.tif", lambda labels, record: handed.extend(labels))
    desk.until(lambda: bool(handed))
    np.testing.assert_array_equal(desk.kept(), desk.layer.data)
    np.testing.assert_array_equal(handed[0], desk.layer.data)
    assert handed[0] is not desk.layer.data
    desk.rest()
    assert desk.tools() == ["other"]
    assert desk.recorder.annotation(desk.track).box(90) is not None


def test_a_layer_that_is_closed_is_kept_with_what_nobody_told_of(desk: Desk) -> None:
    desk.layer.data[:, 3] = 90
    painted = desk.layer.data.copy()
    desk.viewer.layers.remove("mask")
    desk.add()  # opened again at once
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, painted)


def test_nothing_is_looked_for_while_a_step_back_is_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_seg.gui import watch

    everything_changed(desk, 3)
    monkeypatch.setattr(watch, "MINUTE", 0.01)  # all blocks at every look
    monkeypatch.setattr(watch, "LOOK", 0.0)
    desk.layer.undo()
    desk.until(lambda: desk.layer.editable and not (desk.layer.data == 3).all())
    desk.tick(20)
    assert desk.tools() == ["stamp"]  # and nothing that "somebody" changed


def test_where_the_labels_lie_is_found_while_the_window_lives(desk: Desk) -> None:
    desk.track.forget()
    desk.viewer.dims.point = (3.0, 6.0, 113.0)
    point_at(desk.viewer, desk.hands, (3.0, 6.0, 113.0))
    desk.hands.act("delete")  # it is not known yet
    desk.rest()
    desk.hands.act("delete")
    desk.rest()
    assert 8 not in desk.layer.data
    assert desk.tools() == ["delete"]
