"""A key for the object under the mouse acts on what is outlined there now, and on nothing that nobody pointed at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import let_arrive
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_seg.gui.hands import IN_3D, UNPOINTED
from napari_seg.gui.hover import Hover
from napari_seg.gui.overlay import on_canvas
from napari_seg.gui.sketchpad import Sketchpad
from napari_seg.gui.views import canvas_of

GRID = (8, 80, 100)
NONE, LEFT = Qt.MouseButton.NoButton, Qt.MouseButton.LeftButton


class Desk(controlled.Desk):
    """In a window, with a mask of two objects; the mouse is on its canvas."""

    def __init__(self, viewer: Any, engine: Any, qtbot: Any) -> None:
        viewer.window._qt_window.resize(1000, 700)
        super().__init__(engine, viewer)
        self.qtbot = qtbot
        self.hover = Hover(viewer, self.hands, self.recorder, self.around)
        self.hover.idle = True
        self.canvas = canvas_of(viewer)
        self.pad = Sketchpad(viewer, self.hands, self.hover, self.canvas)
        labels = np.zeros(GRID, np.uint8)
        labels[:, 10:30, 10:40], labels[:, 40:60, 50:80] = 1, 2
        viewer.add_image(labels * 50)
        self.layer = viewer.add_labels(labels.copy())
        self.moves = 0
        viewer.mouse_move_callbacks.append(self._count)
        let_arrive(self.recorder)
        viewer.dims.set_point(0, 3)
        qtbot.waitUntil(lambda: viewer.canvas.size == (self.canvas.height(), self.canvas.width()))
        viewer.fit_to_view()
        self.show()

    def show(self) -> None:
        """Draw the canvas: until then napari has not told the camera's place."""
        self.canvas.repaint()
        QApplication.processEvents()

    def pixel(self, row: float, column: float) -> QPointF:
        size = (float(self.canvas.width()), float(self.canvas.height()))
        return QPointF(*on_canvas(self.viewer, size, np.array([3.0, row, column])))

    def mouse_event(self, at: QPointF, kind: Any = QEvent.Type.MouseMove, button: Any = NONE, held: Any = NONE) -> None:
        there, before = QPointF(self.canvas.mapToGlobal(at.toPoint())), self.moves
        QApplication.sendEvent(self.canvas, QMouseEvent(kind, at, there, button, held, Qt.KeyboardModifier.NoModifier))
        if kind == QEvent.Type.MouseMove and held == NONE:  # napari tells of one in 5 ms, of the last one late
            self.qtbot.waitUntil(lambda: self.moves > before)

    def _count(self, viewer: Any, event: Any) -> None:
        self.moves += 1

    def wheel(self, at: QPointF) -> None:
        there = QPointF(self.canvas.mapToGlobal(at.toPoint()))
        turned = QPoint(0, 120)
        no_key, no_phase = Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase
        QApplication.sendEvent(self.canvas, QWheelEvent(at, there, turned, turned, NONE, no_key, no_phase, False))

    @property
    def outlined(self) -> int:
        return self.hover.shown.label if self.hover.shown is not None else 0

    def delete(self) -> set[int]:
        """Press the key; which objects there were and are no longer."""
        before = {*np.unique(self.layer.data).tolist()}
        self.hands.take("delete")
        let_arrive(self.recorder)
        return before - {*np.unique(self.layer.data).tolist()}


@pytest.fixture
def desk(make_napari_viewer: Callable[..., Any], engine: Any, qtbot: Any) -> Iterator[Desk]:
    made = Desk(make_napari_viewer(show=True), engine, qtbot)
    yield made
    made.recorder.close()


def test_a_pixel_is_where_napari_says(desk: Desk) -> None:
    for order in ((0, 1, 2), (2, 1, 0)):
        desk.viewer.dims.order = order
        # napari leaves out some of the moves
        desk.mouse_event(QPointF(123, 234), QEvent.Type.MouseButtonPress, LEFT, LEFT)
        desk.mouse_event(QPointF(123, 234), QEvent.Type.MouseButtonRelease, LEFT)
        place = desk.hands.pointing.here
        assert place is not None
        np.testing.assert_allclose(place.position, desk.viewer.cursor.position)


def test_a_picture_that_was_moved_under_the_mouse_is_not_acted_on(desk: Desk) -> None:
    for move in (
        lambda: setattr(desk.viewer.scene.camera, "center", (3.0, 50.0, 65.0)),
        lambda: desk.viewer.scene.camera.__setattr__("zoom", desk.viewer.scene.camera.zoom * 3),
    ):
        desk.viewer.fit_to_view()
        desk.show()
        desk.mouse_event(desk.pixel(20, 20))
        assert desk.outlined == 1
        move()
        desk.show()
        assert desk.outlined == 0
        assert desk.delete() == set()
        assert desk.hands.said == UNPOINTED
    desk.mouse_event(desk.pixel(50, 65))
    assert desk.outlined == 2
    assert desk.delete() == {2}


def test_a_wheel_and_a_drag_of_the_view_leave_the_mouse_on_its_object(desk: Desk) -> None:
    at = desk.pixel(20, 20)
    desk.mouse_event(at)
    zoom = desk.viewer.scene.camera.zoom
    for _ in range(4):
        desk.wheel(at)
        desk.show()
    assert desk.viewer.scene.camera.zoom > zoom
    assert desk.outlined == 1
    centre = desk.viewer.scene.camera.center
    desk.mouse_event(at, QEvent.Type.MouseButtonPress, LEFT, LEFT)
    for step in range(1, 6):
        desk.mouse_event(at + QPointF(9 * step, 5 * step), held=LEFT)
    desk.mouse_event(at + QPointF(45, 25), QEvent.Type.MouseButtonRelease, LEFT)
    desk.show()
    assert desk.viewer.scene.camera.center != centre
    assert desk.outlined == 1
    assert desk.delete() == {1}


def test_a_mouse_that_has_left_points_at_nothing(desk: Desk) -> None:
    desk.mouse_event(desk.pixel(20, 20))
    QApplication.sendEvent(desk.canvas, QEvent(QEvent.Type.Leave))
    assert desk.outlined == 0
    assert desk.delete() == set()
    assert desk.hands.said == UNPOINTED


def test_a_setting_is_applied_to_what_was_acted_on_last(desk: Desk) -> None:
    desk.mouse_event(desk.pixel(20, 20))
    desk.hands.take("change class")
    desk.hands.set_option("change class", category=2)
    QApplication.sendEvent(desk.canvas, QEvent(QEvent.Type.Leave))
    assert desk.outlined == 1
    desk.hands.act("change class", from_panel=True)  # the button of the panel
    let_arrive(desk.recorder)
    assert desk.recorder.rows(desk.recorder.tracks()[0])["object 1"].category == 2


def test_after_the_canvas_was_resized_nothing_is_acted_on_that_the_mouse_was_on_before(desk: Desk) -> None:
    desk.mouse_event(desk.pixel(20, 20))
    desk.viewer.window._qt_window.resize(1300, 900)
    desk.qtbot.waitUntil(lambda: desk.viewer.canvas.size == (desk.canvas.height(), desk.canvas.width()))
    desk.show()
    outlined = desk.outlined
    assert desk.delete() == ({outlined} if outlined else set())


def test_in_3d_a_tool_in_hand_says_where_it_works_and_the_mouse_turns_the_view(desk: Desk) -> None:
    desk.hands.pick("brush")
    assert "Hold the button and draw." in desk.pad.words
    assert not desk.layer.mouse_pan
    desk.viewer.dims.ndisplay = 3
    assert desk.pad.words == IN_3D
    assert desk.layer.mouse_pan
    desk.hands.pick("lasso")
    assert desk.layer.mouse_pan
    desk.viewer.dims.ndisplay = 2
    assert not desk.layer.mouse_pan
    assert "Hold the button and draw." in desk.pad.words
