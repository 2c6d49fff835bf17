"""What a tool would do is seen before it does it, and nothing is written for that."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import point_at
from qtpy.QtGui import QImage, QPainter

from napari_seg.gui.arrivals import OBJECTS
from napari_seg.gui.foreseen import edges
from napari_seg.gui.hover import Hover

GRID = (3, 60, 80)


class Desk(controlled.Desk):
    """With an image, and a mask of two touching squares and one apart."""

    def __init__(self, engine: Any, objects: bool = True) -> None:
        super().__init__(engine)
        self.hover = Hover(self.viewer, self.hands, self.recorder, self.around)
        image = np.zeros(GRID, np.uint8)
        image[:, :, 40:] = 100
        labels = np.zeros(GRID, np.uint8)
        labels[:, 10:20, 10:30], labels[:, 40:50, 10:20] = 1, 1 if not objects else 2
        self.viewer.add_image(image, scale=(3, 2, 2))
        self.layer = self.viewer.add_labels(labels, scale=(3, 2, 2), metadata={OBJECTS: objects})
        self.viewer.dims.set_point(0, 3)  # slice 1
        self.rest()

    def move(self, row: float, column: float) -> Any:
        event = SimpleNamespace(position=(3.0, 2 * row, 2 * column), dims_displayed=[1, 2])
        point_at(self.viewer, self.hands, event.position)
        for call in self.viewer.mouse_move_callbacks:
            call(self.viewer, event)
        return self.hover.shown

    def click(self, row: float, column: float) -> None:
        """And leave the view."""
        self.draw((3.0, 2 * row, 2 * column))
        self.hands.pointing.leave()


def test_sides_of_pixels_are_joined_to_lines() -> None:
    assert sorted(edges(np.ones((2, 3), bool))) == [(0, 0, 0, 2), (0, 0, 3, 0), (0, 2, 3, 2), (3, 0, 3, 2)]
    mask = np.random.default_rng(0).random((20, 30)) > 0.5
    padded = np.pad(mask, 1)
    wanted = sum(np.count_nonzero(np.diff(padded, axis=axis)) for axis in (0, 1))
    found = edges(mask)
    assert sum(abs(c - a) + abs(d - b) for a, b, c, d in found) == wanted
    assert edges(np.zeros((4, 4), bool)) == []


def test_the_object_under_the_mouse_is_outlined_for_tools_that_are_about_one(desk: Desk) -> None:
    assert desk.move(15, 15) is None  # no page to correct on is open
    desk.hover.idle = True
    found = desk.move(15, 15)
    assert (found.label, found.start, found.outlined.shape) == (1, (10, 10), (10, 20))
    assert desk.move(12, 20) is found  # nothing is worked out again inside it
    assert desk.move(45, 12).label == 2
    assert desk.move(30, 30) is None
    desk.hover.idle = False
    desk.hands.take("brush")
    assert desk.move(15, 15) is None
    desk.hands.take("split")
    assert desk.move(15, 15).label == 1
    desk.layer.mode = "paint"
    assert desk.move(15, 15) is None


def test_after_an_edit_the_outline_is_that_of_what_is_there(desk: Desk) -> None:
    desk.hover.idle = True
    desk.move(15, 15)
    desk.hands.act("delete")
    desk.rest()
    assert desk.hover.shown is None
    desk.layer.undo()
    desk.rest()
    assert desk.move(15, 16).label == 1


def test_in_another_slice_what_lies_under_the_mouse_there_is_outlined(desk: Desk) -> None:
    desk.layer.data[0, 10:20, 10:30] = 2
    desk.recorder.tracks()[0].extents.clear()
    desk.recorder.sweep()
    desk.rest()
    desk.hover.idle = True
    assert desk.move(15, 15).label == 1
    desk.viewer.dims.set_point(0, 0)
    assert desk.hover.shown is not None
    assert desk.hover.shown.label == 2
    desk.hands.act("delete")
    desk.rest()
    assert {*np.unique(desk.layer.data).tolist()} == {0, 1}


def test_of_a_class_the_part_under_the_mouse_is_outlined(engine: Any) -> None:
    desk = Desk(engine, objects=False)
    desk.hover.idle = True
    first, second = desk.move(15, 15), desk.move(45, 15)
    assert first.outlined.sum() == 200
    assert second.outlined.sum() == 100
    assert desk.move(46, 16) is second
    desk.recorder.close()


def test_what_a_brush_in_a_range_would_paint_is_tinted_near_the_mouse(desk: Desk) -> None:
    desk.layer.selected_label = 1
    desk.hands.take("range brush")
    desk.hands.set_option("range brush", radius=10.0)
    found = desk.move(15, 42)
    opaque = found.painted[..., 3] > 0
    assert np.nonzero(opaque)[1].min() + found.start[1] == 40  # all of the bright side, nothing of the dark one
    assert opaque[:, 40 - found.start[1] :].all()
    dark = desk.move(15, 38)
    tinted = np.argwhere(dark.painted[..., 3]) + dark.start
    assert tinted[:, 1].max() == 39
    assert not ((tinted >= (10, 10)) & (tinted < (20, 30))).all(1).any()  # there it is 1 already
    desk.hands.set_option("range brush", low=90.0, high=110.0)
    desk.recorder.lock(desk.recorder.tracks()[0], 2, True)
    assert not desk.move(45, 15).painted[..., 3].any()
    desk.hands.pointing.leave()
    desk.hover.look()
    assert desk.hover.shown is None
    assert not desk.layer.data[:, :, 40:].any()


def test_between_clicks_the_pieces_are_shown_and_nothing_is_written(desk: Desk) -> None:
    before = desk.layer.data.copy()
    desk.hands.take("split by seeds")
    desk.click(15, 12)
    assert desk.hover.shown is None
    assert "two different places" in desk.hover.words
    desk.click(45, 15)
    assert "does not lie on object 1" in desk.hover.words
    desk.hands.give_up()
    assert desk.hover.words == ""
    desk.click(15, 12)
    desk.click(15, 28)
    found = desk.hover.shown
    assert found is not None
    assert found.outlined is not None
    assert 50 < found.outlined.sum() < 150
    np.testing.assert_array_equal(desk.layer.data, before)
    desk.hands.confirm()
    desk.rest()
    assert desk.hover.shown is None
    assert (desk.layer.data == 3).sum() == found.outlined.sum() * 3
    desk.hands.take("polygon")
    for corner in ((30, 50), (30, 60), (40, 60)):
        desk.click(*corner)
    assert desk.hover.shown is not None
    desk.hands.give_up()
    assert desk.hover.shown is None


def test_it_is_drawn_where_the_voxels_are(desk: Desk, qapp: Any) -> None:
    desk.hover.idle = True
    found = desk.move(15, 15)
    desk.viewer.scene.camera.center = (0, 30, 40)
    desk.viewer.scene.camera.zoom = 2
    picture = QImage(300, 200, QImage.Format.Format_RGB32)
    picture.fill(0xFF000000)
    painter = QPainter(picture)
    found.draw(painter, desk.viewer, (300.0, 200.0))
    painter.end()
    bits = np.frombuffer(bytes(picture.constBits()), np.uint32).reshape(200, 300)
    rows, columns = np.nonzero((bits & 0xFF) > 128)
    # rows 9.5 to 19.5 of 2 world units, 2 pixels each, the middle of the canvas at 30, 40
    assert (rows.min(), rows.max()) == pytest.approx((100 + 2 * (19 - 30), 100 + 2 * (39 - 30)), abs=1.5)
    assert (columns.min(), columns.max()) == pytest.approx((150 + 2 * (19 - 40), 150 + 2 * (59 - 40)), abs=1.5)
