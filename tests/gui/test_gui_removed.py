"""The panel is taken out of the window by another program, or destroyed, or the window is closed: no stroke is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QShortcut, QWidget

from napari_seg.gui.dock import GONE, Panel
from napari_seg.gui.orthogonal import toggle, views_of
from napari_seg.gui.overlay import on_canvas
from napari_seg.gui.views import canvas_of
from napari_seg.session.reading import reading

NO, LEFT = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton


class Window:
    """A window with the panel, an image, and a mask that is kept."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.image = viewer.add_image(np.random.default_rng(0).random((3, 60, 80)), name="scan")
        self.mask = viewer.add_labels(np.zeros((3, 60, 80), np.uint16), name="mask")
        self.panel = self.from_the_menu()
        self.settle()
        qtbot.waitUntil(lambda: viewer.canvas.size == (canvas_of(viewer).height(), canvas_of(viewer).width()))
        viewer.fit_to_view()

    def from_the_menu(self) -> Panel:
        """Choose the panel in the Plugins menu."""

        def entries(menu: Any) -> Iterator[Any]:
            for action in menu.actions():
                yield from (action,) if action.menu() is None else entries(action.menu())

        menu = self.viewer.window.plugins_menu
        menu.aboutToShow.emit()
        next(entry for entry in entries(menu) if "Segmentation panel" in entry.text()).trigger()
        [panel] = [one for one in self.viewer.window.dock_widgets.values() if isinstance(one, Panel)]
        return panel

    def settle(self) -> None:
        recorder = self.panel.controller.recorder
        recorder.tick()
        self.qtbot.waitUntil(lambda: recorder.track(self.mask) is not None and recorder.rests, timeout=20_000)

    def stroke(self, *rows: int, value: int = 5, lift: bool = True) -> None:
        """Draw across the image, from row to row, with whatever is in hand."""
        self.mask.selected_label = value
        self._mouse(QEvent.Type.MouseMove, rows[0], NO)
        self._mouse(QEvent.Type.MouseButtonPress, rows[0], LEFT)
        for row in rows[1:]:
            before = self.viewer.cursor.position

            def moved() -> bool:
                self._mouse(QEvent.Type.MouseMove, row, LEFT)  # noqa: B023
                return bool(self.viewer.cursor.position != before)  # noqa: B023

            self.qtbot.waitUntil(moved)  # napari looks at the mouse every few milliseconds
        if lift:
            self._mouse(QEvent.Type.MouseButtonRelease, rows[-1], NO)

    def _mouse(self, kind: QEvent.Type, row: int, held: Qt.MouseButton) -> None:
        canvas = canvas_of(self.viewer)
        place = np.array([*self.viewer.dims.point[:1], row, 40.0])
        at = QPointF(*on_canvas(self.viewer, (float(canvas.width()), float(canvas.height())), place))
        button = NO if kind == QEvent.Type.MouseMove else LEFT
        there = QPointF(canvas.mapToGlobal(at.toPoint()))
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, there, button, held, Qt.KeyboardModifier.NoModifier))

    def paint(self, *rows: int, **about: Any) -> None:
        """A stroke of napari's brush."""
        self.viewer.layers.selection.active = self.mask
        self.mask.mode, self.mask.brush_size = "paint", 3
        self.stroke(*rows, **about)
        self.mask.mode = "pan_zoom"

    def on_canvas(self) -> list[str]:
        """What lies over the canvas and is not napari's."""
        found = [one for one in canvas_of(self.viewer).children() if isinstance(one, (QWidget, QShortcut))]
        return [type(one).__name__ for one in found if not type(one).__module__.startswith("napari.")]


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], plugin: None, qtbot: Any) -> Window:
    return Window(make_napari_viewer(show=True), qtbot)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What napari says to the person: nothing may go wrong."""
    heard: list[str] = []

    def hear(one: Any) -> None:
        assert str(one.severity) in ("info", "warning"), one.message
        heard.append(one.message)

    notification_manager.notification_ready.connect(hear)
    yield heard
    notification_manager.notification_ready.disconnect(hear)


def kept(track: Any) -> np.ndarray:
    """What lies on the disk of a mask."""
    with reading(track.session.folder) as store:
        return store.labels(track.row.id, track.plane, 0)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_panel_that_is_taken_out_is_hidden_and_keeps_what_is_painted(
    window: Window, told: list[str], qtbot: Any, all_of_them: bool
) -> None:
    viewer, panel, mask = window.viewer, window.panel, window.mask
    window.paint(10, 20)
    viewer.window.remove_dock_widget("all" if all_of_them else panel)
    window.panel = window.viewer = None  # whoever took it out forgets it
    window.viewer = viewer
    qtbot.waitUntil(lambda: bool(viewer.window.dock_widgets), timeout=5_000)
    assert not panel.isVisible()
    window.panel = panel
    window.paint(40, 50, value=6)
    window.settle()
    recorder = panel.controller.recorder
    [track] = recorder.tracks()
    np.testing.assert_array_equal(kept(track), mask.data)
    assert window.from_the_menu() is panel
    assert panel.isVisible()
    assert mask.editable
    assert panel.kept.text().endswith("2 steps can be undone")
    for rows in ((10, 20), ()):
        mask.undo()
        qtbot.waitUntil(lambda: recorder.rests, timeout=20_000)
        assert {row for row in (10, 20, 40, 50) if mask.data[:, row].any()} == {*rows}
    assert told == []


def test_a_panel_that_another_dock_takes_is_left_there(window: Window, qtbot: Any) -> None:
    viewer, panel = window.viewer, window.panel
    viewer.window.remove_dock_widget(panel)
    dock = viewer.window.add_dock_widget(panel, name="elsewhere", area="left")
    qtbot.wait(50)
    assert [*viewer.window.dock_widgets] == ["elsewhere"]
    assert panel.parent() is dock
    assert panel.isVisible()


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_panel_made_after_one_was_taken_out_takes_over(
    window: Window, told: list[str], qtbot: Any, elsewhere: bool
) -> None:
    viewer, before, mask = window.viewer, window.panel, window.mask
    window.paint(10, 20)
    viewer.window.remove_dock_widget(before)
    if elsewhere:
        viewer.window.add_dock_widget(before, name="elsewhere")
    window.panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1]
    assert window.panel is not before
    qtbot.waitUntil(lambda: [*viewer.window.dock_widgets.values()] == [window.panel], timeout=5_000)
    window.settle()
    qtbot.waitUntil(lambda: mask.editable, timeout=5_000)
    assert mask.data[:, 10].any()
    window.paint(40, 50, value=6)
    window.settle()
    np.testing.assert_array_equal(kept(window.panel.controller.recorder.track(mask)), mask.data)
    assert window.panel.kept.text().endswith("2 steps can be undone")
    assert told == []


@pytest.mark.parametrize("in_hand", ["", "brush", "stroke of the brush", "lasso", "stroke of the lasso"])
def test_nothing_of_a_panel_that_is_destroyed_stays_and_no_stroke_is_lost(
    window: Window, told: list[str], qtbot: Any, in_hand: str
) -> None:
    viewer, mask, controller = window.viewer, window.mask, window.panel.controller
    toggle(viewer)
    window.paint(10, 20)
    track, hands = controller.recorder.track(mask), controller.hands
    if in_hand:
        hands.pick(in_hand.split()[-1])
    if in_hand.startswith("stroke"):
        window.stroke(30, 40, value=7, lift=False)
    painted = mask.data.copy()
    assert painted[:, 40].any() == (in_hand == "stroke of the brush")
    gone = []
    window.panel.destroyed.connect(lambda: gone.append(True))
    window.panel.deleteLater()
    window.panel = None
    qtbot.waitUntil(lambda: bool(gone), timeout=5_000)
    qtbot.waitUntil(lambda: views_of(viewer) is None, timeout=5_000)
    np.testing.assert_array_equal(mask.data, painted)
    np.testing.assert_array_equal(kept(track), painted)
    qtbot.waitUntil(lambda: window.on_canvas() == [], timeout=5_000)
    assert told == [GONE]
    assert not mask.editable
    for key in (Qt.Key.Key_B, Qt.Key.Key_L, Qt.Key.Key_F1, Qt.Key.Key_F2, Qt.Key.Key_F3, Qt.Key.Key_Escape):
        qtbot.keyClick(canvas_of(viewer), key)
    assert hands.tool is None
    assert views_of(viewer) is None
    window.stroke(50, 55)
    viewer.dims.set_point(0, 1)
    np.testing.assert_array_equal(mask.data, painted)
    mask.undo()  # that of napari, which knows of no step
    np.testing.assert_array_equal(mask.data, painted)
    free = viewer.add_labels(np.zeros((3, 60, 80), np.uint16), name="free")
    assert free.editable
    viewer.layers.remove(free)
    assert told == [GONE]


@pytest.mark.parametrize("with_its_dock", [True, False])
def test_a_panel_opened_after_one_was_destroyed_goes_on_where_that_was(
    window: Window, told: list[str], qtbot: Any, with_its_dock: bool
) -> None:
    viewer, mask = window.viewer, window.mask
    window.paint(10, 20)
    (window.panel.parent() if with_its_dock else window.panel).deleteLater()
    qtbot.waitUntil(lambda: len(viewer.window.dock_widgets) == 0, timeout=10_000)
    window.panel = window.from_the_menu()
    window.settle()
    qtbot.waitUntil(lambda: mask.editable, timeout=5_000)
    window.paint(40, 50, value=6)
    window.settle()
    window.panel.controller.hands.pick("lasso")
    assert window.panel.controller.hands.tool is not None
    window.panel.controller.hands.put_down()
    recorder = window.panel.controller.recorder
    for rows in ((10, 20), ()):
        mask.undo()
        qtbot.waitUntil(lambda: recorder.rests, timeout=20_000)
        assert {row for row in (10, 20, 40, 50) if mask.data[:, row].any()} == {*rows}
    assert told == [GONE]


@pytest.mark.parametrize("taken_out", [True, False])
def test_when_the_window_closes_all_is_kept_and_layers_are_as_napari_made_them(
    window: Window, told: list[str], qtbot: Any, taken_out: bool
) -> None:
    viewer, mask, panel = window.viewer, window.mask, window.panel
    controller = panel.controller
    qtbot.waitUntil(lambda: controller.engine.pid is not None, timeout=10_000)
    track, folder = controller.recorder.track(mask), controller.engine._folder
    window.paint(10, 20)
    if taken_out:
        viewer.window.remove_dock_widget(panel)
    controller.hands.pick("brush")
    window.stroke(30, 40, value=7, lift=False)
    painted = mask.data.copy()
    viewer.window.close()
    qtbot.waitUntil(lambda: not folder.exists(), timeout=10_000)
    assert controller.engine.pid is None
    np.testing.assert_array_equal(kept(track), painted)
    assert mask.editable
    mask.undo()
    np.testing.assert_array_equal(mask.data, painted)
    viewer.layers.remove(mask)
    viewer.dims.set_point(0, 1)
    assert told == []


def test_a_stroke_that_is_held_down_when_the_viewer_closes_is_a_step(window: Window, told: list[str]) -> None:
    viewer, mask, controller = window.viewer, window.mask, window.panel.controller
    track = controller.recorder.track(mask)
    controller.hands.pick("brush")
    window.stroke(30, 40, value=7, lift=False)
    painted = mask.data.copy()
    assert painted[:, 40].any()
    viewer.layers.clear()  # what a viewer does first when it closes
    assert track.session.writer.flush(10)
    np.testing.assert_array_equal(kept(track), painted)
    with reading(track.session.folder) as store:
        assert [step.tool for step in store.history(track.row.id)] == ["brush"]
    assert told == []
