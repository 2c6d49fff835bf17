"""The pages to correct and to review on show what is in the hands and what was found, and pass clicks on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from controlled import point_at, rest, twelve_cells
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox

from napari_seg.editing.annotation import object_key
from napari_seg.editing.catalogue import TOOLS
from napari_seg.gui.controller import Controller
from napari_seg.gui.pages.correct import CorrectPage
from napari_seg.gui.pages.review import ReviewPage


def open_cells(controller: Controller) -> Any:
    """Twelve cells, one of them tiny, open."""
    labels = twelve_cells()
    controller.viewer.add_image((labels > 0) * 100.0, name="cells")
    layer = controller.viewer.add_labels(labels, name="mask")
    rest(controller)
    return layer


def test_without_a_mask_one_can_be_begun(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    assert page.work.isHidden()
    assert not page.begin.isEnabled()
    assert page.nothing.text() == "Open an image first, on page Segment."
    controller.viewer.add_image(np.zeros((20, 30)), name="cells")
    rest(controller)
    page.begin.click()
    rest(controller)
    assert controller.viewer.layers[-1].name == "cells · mask"
    assert not page.work.isHidden()
    assert page.mask.text() == "cells · mask"


def test_what_has_no_settings_has_acted_and_cannot_be_applied(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    open_cells(controller)
    page.buttons["finish case"].click()
    assert page.card.title.text().startswith("Case finished")
    assert page.card.apply.isHidden()  # it would be taken back


def test_there_is_nothing_to_redo_before_something_is_undone(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    layer = open_cells(controller)
    assert not page.redo.isEnabled()
    layer.data_setitem((np.array([0]), np.array([0])), 13)
    rest(controller)
    assert not page.redo.isEnabled()
    page.undo.click()
    rest(controller)
    assert page.redo.isEnabled()
    page.redo.click()
    rest(controller)
    assert not page.redo.isEnabled()


def test_painting_makes_a_new_object_where_nobody_chose_one(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    layer = open_cells(controller)
    assert layer.selected_label == page.label.value() == 13
    page.buttons["lasso"].click()
    assert controller.hands.options["lasso"].apart  # type: ignore[attr-defined]
    page.card.form.widgets["apart"].click()
    page.buttons["brush"].click()
    page.buttons["lasso"].click()
    assert not controller.hands.options["lasso"].apart  # type: ignore[attr-defined]  # as a person said


def test_what_takes_the_number_in_hand_leaves_the_next_one(controller: Controller, qtbot: Any) -> None:
    layer = open_cells(controller)
    hands, track = controller.hands, controller.hands.track
    assert track is not None
    point_at(controller.viewer, hands, (8.0, 8.0))
    hands.selected = (1,)
    hands.act("new id")
    rest(controller)
    assert (layer.data == 13).any()
    assert layer.selected_label == 14
    layer.selected_label = 2  # chosen by a person
    hands.selected = (3,)
    hands.act("new id")
    rest(controller)
    assert (layer.data == 14).any()
    assert layer.selected_label == 2


def test_every_tool_has_a_button_with_its_key(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    assert set(TOOLS) <= set(page.buttons)
    for name, tool in TOOLS.items():
        button = page.buttons[name]
        assert tool.tip in button.toolTip()
        assert not button.icon().isNull()


def test_a_tool_in_hand_shows_what_it_does_and_its_settings(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    open_cells(controller)
    page.buttons["brush"].click()
    assert page.buttons["brush"].isChecked()
    assert page.card.title.text() == "Brush  (Q)"
    radius, mode = page.card.form.widgets["radius"], page.card.form.widgets["mode"]
    assert isinstance(radius, QDoubleSpinBox)
    assert isinstance(mode, QComboBox)
    assert "reach" not in page.card.form.widgets  # there is but one slice
    radius.setValue(7)
    mode.setCurrentIndex(mode.findData("background"))
    mode.activated.emit(mode.currentIndex())
    held = controller.hands.options["brush"]
    assert (held.radius, held.mode) == (7, "background")  # type: ignore[attr-defined]
    page.buttons["brush"].click()
    assert controller.hands.tool is None
    assert page.card.title.isHidden()


def test_what_acts_at_once_has_settings_too(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    layer = open_cells(controller)
    page.buttons["delete small"].click()
    assert page.card.title.text() == "Delete small  (Shift+D)"
    size = page.card.form.widgets["size"]
    assert isinstance(size, QDoubleSpinBox)
    size.setValue(3)
    page.card.apply.click()
    assert (layer.data == 6).any()  # it has four pixels
    size.setValue(5)
    page.card.apply.click()
    assert not (layer.data == 6).any()
    controller.hands.take("brush")
    assert page.card.title.text() == "Brush  (Q)"
    assert page.card.apply.isHidden()
    page.buttons["delete"].click()  # the mouse is on the button, not on an object: the next click says which
    assert controller.hands.tool is TOOLS["delete"]
    assert page.card.apply.isHidden()
    page.buttons["delete"].click()
    assert controller.hands.tool is None


def test_a_new_label_and_a_lock(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    layer = open_cells(controller)
    page.fresh.click()
    assert layer.selected_label == page.label.value() == 13
    page.label.setValue(3)
    page.lock.click()
    rest(controller)
    assert page.lock.text() == "Locked"
    point_at(controller.viewer, controller.hands, (5.0, 45.0))
    controller.hands.take("delete")
    rest(controller)
    assert (layer.data == 3).any()
    assert "locked" in page.card.trouble.text()
    page.undo.click()
    rest(controller)
    assert page.lock.text() == "Lock"


def test_the_review_begins_with_the_odd_one_and_keeps_what_is_said(
    controller: Controller, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ReviewPage(controller)
    qtbot.addWidget(page)
    page.show()
    assert "no mask" in page.words.text()
    layer = open_cells(controller)
    page.begin.click()
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)
    assert page.queue.model.suspects[0].label == 6
    page.queue.act("next")
    assert layer.selected_label == 6
    centre = np.asarray(controller.viewer.scene.camera.center)[-2:]
    np.testing.assert_allclose(centre, (19, 24), atol=2)
    page.queue.act("reject")
    rest(controller)
    track = controller.recorder.track(layer)
    assert track is not None
    assert controller.recorder.rows(track)[object_key(6)].state == "rejected"
    page.table.chosen.emit(12)
    assert layer.selected_label == 12
    pages: list[str] = []
    controller.asked_for.connect(pages.append)
    said: list[str] = []
    monkeypatch.setattr("napari_seg.gui.notice.say", lambda viewer, words: said.append(words))
    page.queue.act("fix")
    assert pages == ["Correct"]
    assert said == [f"Correct object {page.queue.current.label}, then press A to accept it"]
