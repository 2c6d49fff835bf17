"""Where nothing can be written: that is said with its cure, nothing is lost, and all goes on once it is cured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QLineEdit, QMessageBox, QPushButton, QWidget

from napari_seg.editing.annotation import Entry, class_key, object_key
from napari_seg.gui import arrivals as arriving
from napari_seg.gui import errands, leaving, outgoing, waiting
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import CLASSES, OBJECTS
from napari_seg.gui.leaving import wants_to_leave
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.safety import safe_words
from napari_seg.session import writer as writing
from napari_seg.session.database import DiskFull
from napari_seg.session.store import Store

SHAPE = (20, 70, 130)


class Window:
    """A viewer without a screen on an image, whose masks are kept."""

    def __init__(self) -> None:
        self._engine = Engine()
        self.viewer = ViewerModel()
        self.recorder = Recorder(self.viewer, self._engine, "Ann")
        self.open_image()

    def open_image(self) -> None:
        self.viewer.add_image(np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8), name="scan")

    def live(self, until: Callable[[], Any]) -> None:
        """Let the time go by until something is so."""
        while True:
            self._engine.poll()
            self.recorder.tick()
            if until():
                return
            time.sleep(0.001)

    def open(self, labels: np.ndarray) -> Any:
        layer = self.viewer.add_labels(labels.copy(), name="mask")
        self.live(lambda: self.recorder.track(layer) is not None)
        return layer

    def rest(self) -> None:
        self.live(lambda: self.recorder.rests)

    def kept(self, layer: Any) -> np.ndarray:
        track = self.recorder.track(layer)
        assert track is not None
        return track.session.writer.call(lambda store: store.labels(track.row.id, track.plane)).result()

    def close(self) -> int:
        lost = self.recorder.close()
        self._engine.close()
        return lost


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Window]]:
    monkeypatch.setattr(writing, "RETRY", 0.02)
    made: list[Window] = []
    yield made
    for window in made:
        window.close()


def noise(seed: int) -> np.ndarray:
    """Labels that do not pack well."""
    return np.random.default_rng(seed).integers(0, 60_000, SHAPE).astype(np.uint16)


def fill_up(recorder: Recorder) -> Any:
    """No session may grow any more, as on a full disk. Returns what frees the space."""
    writers = [session.writer for session in recorder.arrivals.sessions.values()]
    for writer in writers:
        writer.call(lambda store: store._sql.execute("PRAGMA max_page_count = 1").fetchone()).result()

    def free() -> None:
        for writer in writers:
            writer._store._sql.execute("PRAGMA max_page_count = 1000000").fetchone()

    return free


def test_a_mask_opened_on_a_full_disk_is_kept_once_there_is_space(windows: list[Window]) -> None:
    windows.append(window := Window())
    window.open(np.zeros(SHAPE, np.uint16))
    window.rest()
    free = fill_up(window.recorder)
    labels = noise(1)
    layer = window.viewer.add_labels(labels.copy(), name="second")
    window.live(lambda: "is full; free some space" in window.recorder.safe.trouble)
    assert window.recorder.safe.waiting == 1
    assert not layer.editable  # nobody paints on what is not kept
    free()
    window.rest()
    assert layer.editable
    layer.paint((5, 20, 30), 3)
    painted = layer.data.copy()
    window.rest()
    assert (window.recorder.safe.trouble, window.recorder.safe.waiting) == ("", 0)
    np.testing.assert_array_equal(window.kept(layer), painted)
    assert window.close() == 0
    windows.append(again := Window())
    again.live(lambda: "second" in again.viewer.layers)  # it comes by itself
    np.testing.assert_array_equal(again.viewer.layers["second"].data, painted)
    again.live(lambda: again.recorder.tracks() and again.recorder.rests)
    again.viewer.layers["second"].undo()
    np.testing.assert_array_equal(again.viewer.layers["second"].data, labels)


def test_a_disk_that_does_not_answer_is_told_and_holds_no_other_image_up(
    windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    windows.append(window := Window())
    layer = window.open(np.zeros(SHAPE, np.uint16))
    window.rest()
    answers = threading.Event()
    (session,) = window.recorder.arrivals.sessions.values()
    monkeypatch.setattr(writing, "SILENT", 0.1)
    session.writer.send(lambda store: answers.wait(60))
    layer.paint((5, 20, 30), 3)
    window.live(lambda: window.recorder.safe.trouble)
    silent = f"The disk of {session.folder} does not answer; check its connection."
    assert safe_words(window.recorder.safe) == f"Not kept: {silent} 1 step waits until then."
    window.viewer.add_labels(np.ones(SHAPE, np.uint16), name="second")  # hears the same
    window.viewer.add_image(np.zeros((40, 50), np.uint8), name="other")
    other = window.viewer.add_labels(np.zeros((40, 50), np.uint16), name="other mask")
    window.live(lambda: window.recorder.track(other) is not None)  # in a session of its own
    answers.set()
    window.live(lambda: not window.recorder.safe.waiting)
    assert window.close() == 0


def test_a_session_that_cannot_be_opened_in_time_is_there_later(
    windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, begun = threading.Event(), list[Path]()
    opening = arriving.Session.open

    def slow(folder: Path) -> Any:
        begun.append(folder)
        assert answers.wait(60)
        return opening(folder)

    monkeypatch.setattr(arriving, "LONG", 0.05)
    monkeypatch.setattr(arriving, "SOON", 0.05)
    monkeypatch.setattr(arriving.Session, "open", slow)
    windows.append(window := Window())
    first = window.viewer.add_labels(np.zeros(SHAPE, np.uint16), name="first")
    window.live(lambda: "does not answer" in window.recorder.safe.trouble)
    assert not first.editable
    answers.set()
    window.viewer.layers.remove(first)
    again = window.viewer.add_labels(np.zeros(SHAPE, np.uint16), name="again")
    window.live(lambda: window.recorder.track(again) is not None)
    assert len(begun) == 1


def test_a_session_that_is_opened_after_the_window_was_closed_is_closed_too(
    windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, opened = threading.Event(), list[Any]()
    opening = arriving.Session.open

    def slow(folder: Path) -> Any:
        assert answers.wait(60)
        opened.append(opening(folder))
        return opened[0]

    monkeypatch.setattr(arriving, "LONG", 0.05)
    monkeypatch.setattr(arriving.Session, "open", slow)
    windows.append(window := Window())
    window.viewer.add_labels(np.zeros(SHAPE, np.uint16), name="first")
    window.live(lambda: "does not answer" in window.recorder.safe.trouble)
    assert window.close() == 0
    answers.set()
    while not (opened and opened[0].writer.closed):
        time.sleep(0.001)
    assert opened[0].close() == 0  # waits for its end


def test_a_full_disk_is_told_when_it_fills_and_when_it_is_free_again(windows: list[Window]) -> None:
    windows.append(window := Window())
    layer = window.open(np.zeros(SHAPE, np.uint16))
    window.rest()
    told: list[str] = []
    window.recorder.safety.connect(lambda safe: told.append(safe_words(safe)))
    free = fill_up(window.recorder)
    layer.data_setitem(np.nonzero(np.ones(SHAPE)), noise(2).ravel())
    window.live(lambda: told and "Not kept" in told[-1])
    assert told[-1].endswith("is full; free some space. 1 step waits until then.")
    window.viewer.layers.remove(layer)  # also where the mask is closed
    window.live(lambda: told[-1].endswith("2 steps wait until then."))
    free()
    window.live(lambda: told[-1].startswith("Kept at"))


def test_where_nothing_could_be_opened_all_is_well_once_there_is_space(
    windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> Any:
        raise DiskFull(f"The disk of {folder} is full; free some space.")

    with monkeypatch.context() as full:
        full.setattr(arriving.Session, "open", refuse)
        windows.append(window := Window())
        layer = window.viewer.add_labels(np.zeros(SHAPE, np.uint16), name="mask")
        window.live(lambda: bool(window.recorder.safe.trouble))
        words = "is full; free some space. Until then mask cannot be painted on."
        assert window.recorder.safe.trouble.endswith(words)
        assert not layer.editable
        layer.paint((5, 20, 30), 3)  # what a program writes is kept as well
        monkeypatch.setattr(arriving, "AGAIN", 0.0)
        window.live(lambda: window.recorder.safe.trouble.endswith(words))
    window.live(lambda: layer.editable)
    window.rest()
    assert window.recorder.safe.trouble == ""
    np.testing.assert_array_equal(window.kept(layer), layer.data)
    assert layer.data[5, 20, 30] == 3


def test_the_second_window_goes_on_when_the_first_is_closed_and_the_image_opened_again(windows: list[Window]) -> None:
    windows.append(first := Window())
    there = first.open(np.zeros(SHAPE, np.uint16))
    there.paint((5, 20, 30), 3)
    first.rest()
    windows.append(second := Window())
    second.live(lambda: second.recorder.tracks())
    shown = second.viewer.layers["mask"]
    assert not shown.editable
    assert "another window" in second.recorder.safe.trouble
    there.paint((9, 40, 50), 7)
    first.recorder.say(first.recorder.tracks()[0], {object_key(7): Entry(1, "accepted")}, "accept")
    assert first.close() == 0
    second.viewer.layers.clear()
    second.open_image()
    second.live(lambda: second.recorder.tracks())
    shown = second.viewer.layers["mask"]
    assert shown.editable
    assert second.recorder.safe.trouble == ""
    np.testing.assert_array_equal(shown.data, there.data)
    assert second.recorder.rows(second.recorder.tracks()[0]) == {object_key(7): Entry(1, "accepted")}
    shown.paint((1, 1, 1), 9)
    second.rest()
    np.testing.assert_array_equal(second.kept(shown), shown.data)


def test_a_mask_opened_where_nothing_can_be_kept_shows_the_work_that_is(windows: list[Window]) -> None:
    """And another mask of its name is shown as it is."""
    windows.append(first := Window())
    came = np.zeros(SHAPE, np.uint8)
    came[2, 10:20, 10:20] = 1
    there = first.open(came)
    there.paint((5, 20, 30), 3)
    first.rest()
    windows.append(second := Window())
    resumed: list[Any] = []
    noted: list[str] = []
    second.recorder.resumed.connect(lambda layer, found: resumed.append(found.steps))
    second.recorder.noted.connect(noted.append)
    shown = second.open(came)
    second.rest()
    np.testing.assert_array_equal(shown.data, there.data)
    assert resumed == [1]
    assert not shown.editable
    assert "another window" in second.recorder.safe.trouble
    second.viewer.layers.remove(shown)
    second.rest()
    other = second.open(noise(1))
    second.rest()
    np.testing.assert_array_equal(other.data, noise(1))
    assert not other.editable
    assert noted == [
        "mask is not the mask of that name that is kept here, so it is shown as it was opened; to see that one, "
        "open the image without it."
    ]
    np.testing.assert_array_equal(first.kept(there), there.data)


def test_what_could_not_be_undone_is_told_until_something_is_kept_again(
    windows: list[Window], monkeypatch: pytest.MonkeyPatch
) -> None:
    windows.append(window := Window())
    layer = window.open(np.zeros(SHAPE, np.uint16))
    layer.paint((5, 20, 30), 3)
    window.rest()

    def refuse(*_: Any) -> None:
        raise DiskFull("The disk is full; free some space.")

    with monkeypatch.context() as full:
        full.setattr(Store, "undo", refuse)
        layer.undo()
    assert window.recorder.safe.trouble == "The disk is full; free some space."
    layer.paint((6, 20, 30), 3)
    window.rest()
    assert window.recorder.safe.trouble == ""


def test_a_mask_that_comes_again_has_room_for_more_labels(windows: list[Window]) -> None:
    windows.append(window := Window())
    window.open(np.zeros(SHAPE, np.uint16)).paint((5, 20, 30), 3)
    window.rest()
    window.close()
    windows.append(again := Window())
    again.live(lambda: again.recorder.tracks() and again.recorder.rests)
    again.viewer.layers["mask"].paint((5, 20, 30), 300)
    again.rest()
    again.close()
    windows.append(with_file := Window())
    layer = with_file.viewer.add_labels(np.zeros(SHAPE, np.uint32), name="mask")
    with_file.live(lambda: with_file.recorder.tracks() and with_file.recorder.rests)
    assert layer.data.max() == 300
    assert layer.data.dtype == np.uint32


def test_steps_are_kept_in_the_order_in_which_they_were_done(windows: list[Window]) -> None:
    windows.append(window := Window())
    layer = window.open(np.zeros(SHAPE, np.uint16))
    window.rest()
    [track] = window.recorder.tracks()
    layer.paint((5, 20, 30), 3)
    window.recorder.say(track, {object_key(3): Entry(1, "accepted")}, "accept")
    layer.paint((9, 20, 30), 4)
    press = SimpleNamespace(type="mouse_press")
    [begins] = [
        call for call in window.viewer.mouse_drag_callbacks if getattr(call, "__self__", None) is window.recorder
    ]
    begins(window.viewer, press)  # a stroke on the same block begins before the next tick
    layer.paint((9, 22, 30), 5)
    window.rest()
    done = track.session.writer.call(lambda store: [step.tool for step in store.history(track.row.id)]).result()
    assert done == ["edit", "edit", "accept", "edit"]
    layer.undo()
    layer.undo()
    assert set(np.unique(layer.data)) == {0, 3}


def test_a_label_painted_while_a_mask_is_laid_down_is_known(windows: list[Window]) -> None:
    windows.append(window := Window())
    labels = np.zeros(SHAPE, np.uint16)
    labels[0, 0, 0] = 2
    layer = window.open(labels)
    layer.paint((5, 20, 30), 7)  # before the answer has come
    window.rest()
    [track] = window.recorder.tracks()
    assert window.recorder.annotation(track).following == 8


@pytest.mark.parametrize("open_still", [True, False])
def test_a_window_is_not_closed_over_steps_that_wait(
    make_napari_viewer: Callable[..., Any], plugin: None, monkeypatch: pytest.MonkeyPatch, qtbot: Any, open_still: bool
) -> None:
    """Also of layers that were taken out."""
    monkeypatch.setattr(writing, "RETRY", 0.02)
    viewer = make_napari_viewer(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    recorder, window = panel.controller.recorder, viewer.window._qt_window
    viewer.add_image(np.ones((64, 64)), name="scan")
    layer = viewer.add_labels(np.zeros((64, 64), np.uint16), name="mask")
    qtbot.waitUntil(lambda: bool(recorder.tracks()) and recorder.rests, timeout=20_000)
    free = fill_up(recorder)
    layer.data_setitem(np.nonzero(np.ones((64, 64))), np.random.default_rng(0).integers(0, 999, 64 * 64))
    qtbot.waitUntil(lambda: panel.kept.text().endswith("free some space. 1 step waits until then."), timeout=20_000)
    if not open_still:
        viewer.layers.clear()
    asked: list[str] = []
    monkeypatch.setattr(leaving, "wants_to_leave", lambda parent, words: bool(asked.append(words)))
    assert not window.close()
    assert window.isVisible()
    steps = "1 step is" if open_still else "2 steps are"  # what a layer holds that was taken out is one
    assert asked[0].startswith(f"{steps} not on the disk yet and would be lost. The disk of")
    free()
    qtbot.waitUntil(lambda: panel.kept.text().startswith("Kept at"), timeout=20_000)
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    assert len(asked) == 1


def test_a_window_lives_until_the_last_step_is_shown_and_kept(
    make_napari_viewer: Callable[..., Any], plugin: None, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    recorder, window = panel.controller.recorder, viewer.window._qt_window
    viewer.add_image(np.ones(SHAPE), name="scan")
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint16), name="mask")
    qtbot.waitUntil(lambda: bool(recorder.tracks()) and recorder.rests, timeout=20_000)
    layer.data = np.ones(SHAPE, np.uint16)
    qtbot.waitUntil(lambda: recorder.rests, timeout=20_000)
    monkeypatch.setattr(errands, "PATIENCE", 0.0)
    monkeypatch.setattr(errands, "PORTION", 0.0)
    recorder.tick()  # from now on nobody waits
    layer.undo()
    assert (layer.data == 1).all()
    assert recorder.at_work
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    assert not recorder.at_work
    assert not layer.data.any()
    layer.redo()
    QTimer.singleShot(0, lambda: _press("Stay"))
    monkeypatch.setattr(waiting, "PATIENCE", 0)
    monkeypatch.setattr(recorder, "tick", lambda: None)
    assert panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))  # the person stays
    monkeypatch.undo()


def test_a_mask_that_came_a_moment_before_the_window_closes_is_kept(
    make_napari_viewer: Callable[..., Any], plugin: None, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    recorder, window = panel.controller.recorder, viewer.window._qt_window
    viewer.add_image(np.ones((64, 64)), name="scan")
    mask = viewer.add_labels(np.ones((64, 64), np.uint16), name="mask")
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    assert recorder.track(mask) is not None
    viewer.add_labels(np.ones((64, 64), np.uint16), name="another")
    monkeypatch.setattr(recorder, "tick", lambda: None)  # it never comes, and is not waited for without end
    monkeypatch.setattr(leaving, "COMING", 0.1)
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    assert recorder.safe.coming == "another"


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("where", ["comment", "table", "class"])
def test_what_is_being_typed_is_kept_when_the_window_closes(
    make_napari_viewer: Callable[..., Any], plugin: None, qtbot: Any, where: str, active: bool
) -> None:
    """Also where the window is not the active one."""
    viewer = make_napari_viewer(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    controller, window = panel.controller, viewer.window._qt_window
    labels = np.zeros((64, 64), np.uint16)
    labels[3:20, 3:20], labels[30:40, 30:40] = 1, 2
    viewer.add_image(labels * 50.0, name="scan")
    layer = viewer.add_labels(labels, name="mask", metadata={OBJECTS: where != "class", CLASSES: ("liver", "spleen")})
    qtbot.waitUntil(lambda: bool(controller.recorder.tracks()) and controller.recorder.rests, timeout=20_000)
    track = controller.recorder.track(layer)
    with qtbot.waitActive(window):
        window.activateWindow()
    panel.tabs.setCurrentIndex(1 if where == "class" else 2)
    page = panel.pages.currentWidget()
    if where == "class":
        page.classes.table.editItem(page.classes.table.item(1, 1))
        key, field = class_key(2), page.classes.table.findChild(QLineEdit)
    else:
        page.begin.click()
        qtbot.waitUntil(lambda: controller.reviewing.current, timeout=20_000)
        page.queue.act("next")
        key, field = page.queue.current.key, page.queue.comment
    if where == "table":
        model = page.table.model
        cell = model.index(0, [column.name for column in model.shown_columns].index("comment"))
        page.table.view.edit(cell)
        key, field = object_key(model.label_at(0)), page.table.view.findChild(QLineEdit)
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    field.selectAll()
    qtbot.keyClicks(field, "ask Ada")
    other = QWidget()
    qtbot.addWidget(other)
    if not active:
        with qtbot.waitActive(other):
            other.show()
            other.activateWindow()
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    assert controller.recorder.rows(track)[key].comment == "ask Ada"
    assert not controller.recorder.safe.waiting


def project(viewer: Any, panel: Any, folder: Path, qtbot: Any) -> list[Path]:
    """A project of three images in the window, two of which have a mask; none is open any more."""
    batch, recorder = panel.controller.batch, panel.controller.recorder
    batch.choose_folder(folder)
    qtbot.waitUntil(lambda: len(batch.state.rows) == 3, timeout=20_000)
    paths = sorted(row.path for row in batch.state.rows)[:2]
    for path in paths:
        batch.open(path)
        qtbot.waitUntil(lambda path=path: batch.state.current == path, timeout=20_000)
        mask = viewer.add_labels(np.ones((40, 50), np.uint8), name="mask")
        qtbot.waitUntil(lambda mask=mask: recorder.track(mask) is not None and recorder.rests, timeout=20_000)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: sum(row.known for row in batch.state.rows) == 2 and recorder.rests, timeout=20_000)
    return paths


def test_what_is_typed_of_a_case_is_kept_when_the_window_closes_without_layers(
    make_napari_viewer: Callable[..., Any], plugin: None, qtbot: Any, folder: Path
) -> None:
    viewer = make_napari_viewer(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    path = project(viewer, panel, folder, qtbot)[0]
    panel.tabs.setCurrentIndex(4)
    page, state = panel.pages.currentWidget(), panel.controller.batch.state
    page.list.selectRow(page.list.cases.place_of(path))
    qtbot.keyClicks(page.card.comment, "ask Ada")
    assert not panel.leaving.eventFilter(viewer.window._qt_window, QEvent(QEvent.Type.Close))
    place = [row.path for row in state.rows].index(path)
    qtbot.waitUntil(lambda: panel.controller.batch.state.rows[place].comment == "ask Ada", timeout=20_000)


def test_a_window_lives_until_the_masks_of_a_project_are_saved(
    make_napari_viewer: Callable[..., Any],
    plugin: None,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
    folder: Path,
    tmp_path: Path,
) -> None:
    """The person who cannot wait stays, and cancels it."""
    viewer = make_napari_viewer(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    window, batch = viewer.window._qt_window, panel.controller.batch
    project(viewer, panel, folder, qtbot)
    monkeypatch.setattr(waiting, "PATIENCE", 0)
    gate, write = threading.Event(), outgoing._written
    monkeypatch.setattr(outgoing, "_written", lambda *about: (gate.wait(30), write(*about))[1])
    batch.save(tmp_path / "first")
    QTimer.singleShot(0, lambda: _press("Stay"))
    assert panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    said: list[str] = []

    def look() -> None:
        found = [w.windowTitle() for w in QApplication.topLevelWidgets() if isinstance(w, waiting.Waiting)]
        said.extend(found)
        gate.set() if found else QTimer.singleShot(5, look)

    QTimer.singleShot(0, look)
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    assert "Saving mask 1 of 2" in said
    assert sorted(path.suffix for path in (tmp_path / "first").iterdir()) == [".json", ".json", ".png", ".png"]
    gate.clear()
    batch.save(tmp_path / "second")
    batch.cancel()
    assert not panel.leaving.eventFilter(window, QEvent(QEvent.Type.Close))
    gate.set()


def _press(word: str) -> None:
    """Press a button of the dialog, as soon as it is there."""
    found = [w for w in QApplication.topLevelWidgets() if isinstance(w, waiting.Waiting) and w.isVisible()]
    if found:
        next(button for button in found[0].findChildren(QPushButton) if word in button.text()).click()
    else:
        QTimer.singleShot(5, lambda: _press(word))


def test_the_question_before_closing_can_be_answered_both_ways(qtbot: Any) -> None:
    widget = QWidget()
    qtbot.addWidget(widget)
    for word, answer in (("Stay", False), ("Close", True)):

        def press(word: str = word) -> None:
            [box] = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox) and w.isVisible()]
            next(button for button in box.buttons() if word in button.text()).click()

        QTimer.singleShot(0, press)
        assert wants_to_leave(widget, "2 steps are not kept.") is answer
