"""The list of classes: names and locks are steps of the history, colours belong to names, hiding changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import point_at, rest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QMenu

from napari_seg.editing.annotation import Entry, class_key, object_key
from napari_seg.editing.said import class_names
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import CLASSES, OBJECTS
from napari_seg.gui.class_list import ClassList
from napari_seg.gui.classes import MOST, ClassRow
from napari_seg.gui.colours import NAMES, PALETTE, SHADES, choose, chosen, class_colours
from napari_seg.gui.controller import Controller
from napari_seg.gui.display import is_drawn
from napari_seg.gui.hands import UNSEEN
from napari_seg.gui.pages.correct import CorrectPage
from napari_seg.gui.pages.review import ReviewPage
from napari_seg.session.provenance import provenance


def organs(controller: Controller) -> Any:
    """A mask of two classes."""
    labels = np.zeros((30, 40), np.uint8)
    labels[2:12, 2:12], labels[15:25, 15:25] = 1, 2
    controller.viewer.add_image(labels * 50.0, name="scan")
    known = {OBJECTS: False, CLASSES: ("liver", "spleen")}
    layer = controller.viewer.add_labels(labels, name="organs", metadata=known)
    rest(controller)
    return controller.recorder.track(layer)


def cells(controller: Controller, count: int = 12) -> Any:
    labels = np.zeros((60, 80), np.uint16)
    for k in range(count):
        labels[5 * (k // 10) : 5 * (k // 10) + 4, 8 * (k % 10) : 8 * (k % 10) + 6] = k + 1
    controller.viewer.add_image(labels * 1.0, name="cells")
    layer = controller.viewer.add_labels(labels, name="mask", metadata={OBJECTS: True, CLASSES: ("nucleus",)})
    rest(controller)
    return controller.recorder.track(layer)


def listed(controller: Controller, track: Any) -> list[tuple[str, str, bool]]:
    return [(row.name, row.locked, row.shown) for row in controller.classes.rows(track)]


def colour(layer: Any, label: int) -> tuple[float, ...]:
    return tuple(np.round(layer.get_color(label), 2).tolist())


def test_names_are_those_a_mask_was_made_with_unless_a_person_said_otherwise() -> None:
    rows = {class_key(2): Entry(comment="tumour"), class_key(4): Entry(comment="vein"), "case": Entry(comment="x")}
    assert class_names(("liver", "spleen"), rows) == ("liver", "tumour", "class 3", "vein")
    assert class_names((), {}) == ()


def test_a_new_class_and_its_name_are_steps_that_can_be_taken_back(controller: Controller) -> None:
    track = organs(controller)
    assert listed(controller, track) == [("liver", "nothing", True), ("spleen", "nothing", True)]
    assert controller.classes.add(track) == 3
    controller.classes.rename(track, 3, "  left   kidney ")
    rest(controller)
    assert [row.name for row in controller.classes.rows(track)] == ["liver", "spleen", "left kidney"]
    assert list(track.layer.features["class"]) == ["background", "liver", "spleen", "left kidney"]
    assert controller.recorder.safe.steps == 2
    known = track.session.writer.call(lambda store: provenance(store, track.row.id, track.plane)).result()
    assert known["mask"]["classes"] == ["liver", "spleen", "left kidney"]
    with pytest.raises(SegError, match="is a class spleen already"):
        controller.classes.rename(track, 3, "spleen")
    controller.classes.rename(track, 3, " ")
    rest(controller)
    assert controller.recorder.safe.steps == 2
    for names in (["liver", "spleen", "class 3"], ["liver", "spleen"]):
        track.layer.undo()
        rest(controller)
        assert [row.name for row in controller.classes.rows(track)] == names
        assert list(track.layer.features["class"])[1:] == names


def test_there_is_an_end_to_classes(controller: Controller) -> None:
    track = organs(controller)
    controller.recorder.say(track, {class_key(MOST): Entry(comment="last")}, "new class")
    with pytest.raises(SegError, match=f"{MOST} classes at the most"):
        controller.classes.add(track)


def test_locking_a_class_keeps_it_from_every_tool(controller: Controller) -> None:
    track = organs(controller)
    controller.classes.lock(track, 1, True)
    rest(controller)
    assert listed(controller, track)[0] == ("liver", "all", True)
    assert controller.classes.locked_objects(track) == 0
    track.layer.selected_label = 2
    point_at(controller.viewer, controller.hands, (5.0, 5.0))
    controller.hands.act("delete")
    assert "locked" in controller.hands.said
    controller.classes.lock(track, 1, False)
    assert listed(controller, track)[0] == ("liver", "nothing", True)


def test_hiding_a_class_changes_only_what_is_seen(controller: Controller) -> None:
    track = organs(controller)
    before, kept = colour(track.layer, 1), track.layer.data.copy()
    controller.classes.show(track, 1, False)
    assert colour(track.layer, 1)[3] == 0
    assert colour(track.layer, 2)[3] == 1
    controller.classes.show(track, 1, True)
    rest(controller)
    assert colour(track.layer, 1) == before
    np.testing.assert_array_equal(track.layer.data, kept)
    assert controller.recorder.safe.steps == 0


def test_a_chosen_colour_holds_for_the_name_in_every_image(controller: Controller, sessions: Path) -> None:
    track = organs(controller)
    free = next(one for one in PALETTE if one not in class_colours(("liver", "spleen")).values())
    controller.classes.colour(track, 1, free)
    assert controller.classes.rows(track)[0].colour == free
    assert tuple(int(free[k : k + 2], 16) for k in (1, 3, 5)) == tuple(
        round(255 * part) for part in track.layer.get_color(1)[:3]
    )
    assert class_colours(("aorta", "liver"), chosen())["liver"] == free
    assert len(set(class_colours(("liver", *map(str, range(20))), chosen()).values())) == 21
    assert controller.recorder.safe.steps == 0
    (sessions / "class_colours.json").write_text("{broken")
    assert chosen() == {}
    (sessions / "class_colours.json").write_text('{"liver": "#123456"}')
    assert chosen() == {}  # only colours that are told apart


def test_a_colour_that_cannot_be_kept_is_said(sessions: Path) -> None:
    sessions.parent.mkdir(exist_ok=True)
    sessions.write_text("no folder")
    with pytest.raises(SegError, match="colour could not be kept"):
        choose("liver", PALETTE[0])
    assert set(NAMES) == {*PALETTE, *SHADES}
    assert len(set(NAMES.values())) == len(NAMES)


def test_a_class_of_objects_is_locked_object_by_object_in_one_step(controller: Controller) -> None:
    track = cells(controller)
    assert listed(controller, track) == [("nucleus", "nothing", True)]
    assert controller.classes.add(track) == 2
    two = {object_key(k): Entry(category=2) for k in (3, 4, 5)}
    controller.recorder.say(track, two, "change class")
    rest(controller)
    steps = controller.recorder.safe.steps
    controller.classes.lock(track, 2, True)
    rest(controller)
    assert controller.recorder.locked(track) == {3, 4, 5}
    assert listed(controller, track) == [("nucleus", "nothing", True), ("class 2", "all", True)]
    controller.recorder.lock(track, 4, False)
    controller.recorder.lock(track, 9, True)
    assert [locked for _, locked, _ in listed(controller, track)] == ["some", "some"]
    assert controller.classes.locked_objects(track) == 3
    controller.classes.unlock_all(track)
    assert controller.recorder.locked(track) == frozenset()
    rest(controller)
    for count in (3, 2, 3, 0):
        track.layer.undo()
        rest(controller)
        assert controller.classes.locked_objects(track) == count
    assert controller.recorder.safe.steps == steps
    controller.classes.lock(track, 1, True)
    rest(controller)
    assert controller.classes.locked_objects(track) == 9
    controller.classes.lock(track, 1, False)
    assert controller.classes.locked_objects(track) == 0


def drawn(layer: Any, *labels: int) -> list[bool]:
    """Which labels are seen: in the colours that napari asks for, and in what it sends to the screen."""
    asked = layer.colormap.map(np.array(labels, layer.data.dtype))[:, 3] > 0
    folded = layer.colormap._data_to_texture(np.array(labels, layer.data.dtype))
    table = layer.colormap._get_mapping_from_cache(folded.dtype)
    sent = table[folded][:, 3] > 0 if layer.data.dtype.itemsize <= 2 else folded > 0
    assert asked.tolist() == sent.tolist() == [is_drawn(layer, label) for label in labels]
    return asked.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64])
def test_the_objects_of_a_hidden_class_are_not_drawn(controller: Controller, dtype: Any) -> None:
    track = cells(controller)
    layer, classes = track.layer, controller.classes
    layer.data = layer.data.astype(dtype)
    rest(controller)
    kept, before, steps = layer.data.copy(), layer.colormap, controller.recorder.safe.steps
    controller.recorder.say(track, {object_key(k): Entry(category=2) for k in (3, 4)}, "change class")
    classes.show(track, 2, False)
    assert drawn(layer, 1, 2, 3, 4, 5) == [True, True, False, False, True]
    assert [row.shown for row in classes.rows(track)] == [True, False]
    controller.recorder.say(track, {object_key(5): Entry(category=2), object_key(3): None}, "change class")
    rest(controller)
    assert drawn(layer, 1, 2, 3, 4, 5) == [True, True, True, False, False]  # it follows what is said
    classes.show(track, 1, False)
    assert drawn(layer, 1, 3, 4, 5, 12, 250) == [False] * 6
    classes.show(track, 2, True)
    assert drawn(layer, 1, 3, 4, 5, 12, 250) == [False, False, True, True, False, False]
    classes.show(track, 1, True)
    assert layer.colormap is before
    np.testing.assert_array_equal(layer.data, kept)
    rest(controller)
    assert controller.recorder.safe.steps == steps + 2


def test_what_is_hidden_stays_so_in_other_colours(controller: Controller) -> None:
    track = cells(controller)
    layer, classes = track.layer, controller.classes
    controller.recorder.say(track, {object_key(3): Entry(category=2)}, "change class")
    classes.show(track, 2, False)
    layer.new_colormap(seed=3)
    shuffled = layer.colormap
    assert drawn(layer, 2, 3) == [True, False]
    layer.show_selected_label, layer.selected_label = True, 2
    assert drawn(layer, 2) == [True]
    layer.show_selected_label = False
    layer.colormap = {None: "transparent", 2: "red", 3: "green", 4: "blue"}
    assert colour(layer, 2) == (1, 0, 0, 1)
    assert not is_drawn(layer, 3)
    classes.show(track, 1, False)
    assert [is_drawn(layer, k) for k in (2, 3, 4)] == [False] * 3
    classes.show(track, 2, True)
    assert [is_drawn(layer, k) for k in (2, 3, 4)] == [False, True, False]
    classes.show(track, 1, True)
    assert [colour(layer, k)[3] for k in (2, 3, 4, 5)] == [1, 1, 1, 0]
    assert layer.colormap is not shuffled


def test_no_tool_acts_on_an_object_that_is_not_seen(controller: Controller) -> None:
    track = cells(controller)
    controller.recorder.say(track, {object_key(1): Entry(category=2)}, "change class")
    rest(controller)
    steps = controller.recorder.safe.steps
    point_at(controller.viewer, controller.hands, (1.0, 1.0))
    controller.classes.show(track, 2, False)
    controller.hands.act("delete")
    assert controller.hands.said == UNSEEN
    rest(controller)
    assert controller.recorder.safe.steps == steps
    controller.classes.show(track, 2, True)
    controller.hands.act("delete")
    rest(controller)
    assert controller.recorder.safe.steps == steps + 1
    assert not (track.layer.data == 1).any()


@pytest.fixture
def rows(qtbot: Any) -> ClassList:
    made = ClassList()
    qtbot.addWidget(made)
    made.dress("#ffffff")
    made.resize(300, 200)
    made.show()
    classes = (ClassRow(1, "liver", PALETTE[0], "nothing", True), ClassRow(2, "spleen", PALETTE[1], "all", False))
    made.render(classes, in_hand=2, objects=False, locked=0, alone=False)
    return made


def said(rows: ClassList) -> list[Any]:
    words: list[Any] = []
    for name in ("taken", "renamed", "locked", "shown", "coloured"):
        getattr(rows, name).connect(lambda *about, name=name: words.append((name, *about)))
    return words


def click(rows: ClassList, qtbot: Any, line: int, column: int) -> None:
    place = rows.table.visualItemRect(rows.table.item(line, column)).center()
    qtbot.mouseClick(rows.table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_clicks_on_the_cells(rows: ClassList, qtbot: Any) -> None:
    words = said(rows)
    assert rows.table.currentRow() == 1
    for line, column in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3)):
        click(rows, qtbot, line, column)
    assert words == [("taken", 1), ("locked", 1, True), ("locked", 2, False), ("shown", 1, False), ("shown", 2, True)]
    assert "Click: unlock" in rows.table.item(1, 2).toolTip()
    assert rows.foot.isHidden()


def test_the_same_by_keys(rows: ClassList, qtbot: Any) -> None:
    words = said(rows)
    rows.table.setCurrentCell(0, 2)
    qtbot.keyClick(rows.table, Qt.Key.Key_Space)
    rows.table.setCurrentCell(1, 1)
    qtbot.keyClick(rows.table, Qt.Key.Key_Return)
    assert words == [("locked", 1, True), ("taken", 2)]


def name_editor(rows: ClassList) -> QLineEdit:
    """Where the name of the first class is typed."""
    rows.table.editItem(rows.table.item(0, 1))
    editor = rows.table.findChild(QLineEdit)
    assert isinstance(editor, QLineEdit)
    editor.selectAll()
    return editor


def test_a_name_is_typed_and_shown_only_when_it_is_taken(rows: ClassList, qtbot: Any) -> None:
    words = said(rows)
    editor = name_editor(rows)
    qtbot.keyClicks(editor, "kidney")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: words == [("renamed", 1, "kidney")])
    rows.render(
        (ClassRow(1, "liver", PALETTE[0], "nothing", True),), in_hand=0, objects=False, locked=0, alone=False
    )  # it was refused
    assert rows.table.item(0, 1).text() == "liver"


def test_a_colour_that_another_class_has_cannot_be_chosen(rows: ClassList, qtbot: Any) -> None:
    words = said(rows)
    click(rows, qtbot, 0, 0)
    (menu,) = rows.findChildren(QMenu)
    actions = {action.text(): action for action in menu.actions()}
    assert not actions["Sky blue"].isEnabled()
    actions["Green"].trigger()
    menu.close()
    assert words == [("taken", 1), ("coloured", 1, "#009e73")]


def test_of_objects_there_are_no_colours_and_the_locked_ones_are_counted(rows: ClassList) -> None:
    rows.render((ClassRow(1, "nucleus", "", "some", True),), in_hand=1, objects=True, locked=1, alone=True)
    assert rows.table.isColumnHidden(0)
    assert not rows.table.isColumnHidden(3)
    assert "hide the objects of nucleus" in rows.table.item(0, 3).toolTip()
    assert rows.count.text() == "1 object locked"
    assert rows.only.isChecked()
    assert not rows.foot.isHidden()


def test_the_page_takes_a_class_into_the_hand(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    track = organs(controller)
    page.classes.taken.emit(2)
    assert track.layer.selected_label == page.label.value() == 2
    page.classes.new.click()
    rest(controller)
    assert track.layer.selected_label == 3
    page.classes.renamed.emit(3, "liver")
    assert "choose another name" in page.card.trouble.text()
    page.classes.only.click()
    assert track.layer.show_selected_label
    assert page.fresh.isHidden()


def test_a_name_that_is_typed_goes_to_the_mask_whose_class_it_is(controller: Controller, qtbot: Any) -> None:
    """Also when another mask comes into the hand meanwhile."""
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    track = organs(controller)
    names = [row.name for row in controller.classes.rows(track)]
    other = controller.viewer.add_labels(np.zeros(track.layer.data.shape, np.uint8), name="other")
    rest(controller)
    controller.viewer.layers.selection.active = track.layer
    rest(controller)
    page.show()
    page.render()
    editor = name_editor(page.classes)
    qtbot.keyClicks(editor, "kidney")
    controller.viewer.layers.selection.active = other
    page.render()
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: page.classes.table.state() == page.classes.table.State.NoState)
    rest(controller)
    assert [row.name for row in controller.classes.rows(track)] == ["kidney", *names[1:]]
    mine = controller.recorder.track(other)
    assert mine is not None
    assert "kidney" not in [row.name for row in controller.classes.rows(mine)]


def test_a_mask_of_classes_can_be_begun_by_hand(controller: Controller, qtbot: Any) -> None:
    page = CorrectPage(controller)
    qtbot.addWidget(page)
    controller.viewer.add_image(np.zeros((20, 30)), name="scan")
    rest(controller)
    page.begin_classes.click()
    rest(controller)
    track = controller.hands.track
    assert not controller.recorder.counts_objects(track)
    assert page.classes.table.item(0, 1).text() == "class 1"
    page.classes.renamed.emit(1, "tumour")
    page.classes.new.click()
    rest(controller)
    assert [row.name for row in controller.classes.rows(track)] == ["tumour", "class 2"]
    assert track.layer.selected_label == 2
    (plane,) = track.session.writer.call(lambda store: store.planes(track.row.id)).result()
    assert not plane.objects


def test_the_page_gives_objects_a_class_and_lists_the_locked_ones(controller: Controller, qtbot: Any) -> None:
    page, review = CorrectPage(controller), ReviewPage(controller)
    qtbot.addWidget(page)
    qtbot.addWidget(review)
    pages: list[str] = []
    controller.asked_for.connect(pages.append)
    track = cells(controller)
    page.classes.new.click()
    point_at(controller.viewer, controller.hands, (1.0, 1.0))
    controller.hands.take("change class")
    page.classes.locked.emit(2, True)
    rest(controller)
    assert controller.recorder.locked(track) == {1}
    assert page.classes.count.text() == "1 object locked"
    page.classes.show_locked.click()
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)
    assert pages == ["Review"]
    qtbot.waitUntil(lambda: review.table.count.text() == "1 of 12 objects")
    page.classes.unlock.click()
    assert controller.recorder.locked(track) == frozenset()
    rest(controller)
    assert review.table.count.text() == "0 of 12 objects"  # the table follows what is said
    track.layer.undo()
    rest(controller)
    assert review.table.count.text() == "1 of 12 objects"
