"""The table of objects: sorted, filtered, linked both ways, and quick with 20 000 rows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_seg.editing.annotation import Annotation, Entry, object_key
from napari_seg.editing.measures import Table, measure
from napari_seg.errors import SegError
from napari_seg.gui.object_table import ObjectTable
from napari_seg.gui.table_model import TableModel

DOWN, UP = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder


def cells(count: int, *, classes: tuple[str, ...] = ("nucleus",)) -> Table:
    """Objects in a row: the k-th has ``k % 7 + 1`` voxels; every third is accepted."""
    labels = np.zeros((8, 2 * count), np.uint32)
    for k in range(1, count + 1):
        labels[: k % 7 + 1, 2 * k - 2] = k
    rows = {object_key(k): Entry(1 + k % len(classes), "accepted") for k in range(3, count + 1, 3)}
    image = np.where(labels, 1000.0 - labels, 0)
    return measure(Annotation.of(labels, image=image, rows=rows, spacing=(0.5, 0.5), unit="um"), classes)


def column(model: TableModel, name: str) -> int:
    return [column.name for column in model.shown_columns].index(name)


def shown(model: TableModel) -> list[int]:
    return [model.label_at(place) for place in range(model.rowCount())]


def cell(model: TableModel, place: int, name: str) -> str:
    return str(model.data(model.index(place, column(model, name))))


@pytest.fixture
def model() -> TableModel:
    model = TableModel()
    model.render(cells(10, classes=("nucleus", "mitosis")))
    return model


def test_cells_and_headings_have_units(model: TableModel) -> None:
    assert cell(model, 2, "state") == "✓ accepted"
    assert (cell(model, 0, "area"), cell(model, 0, "class"), cell(model, 0, "intensity")) == ("0.5", "nucleus", "999")
    heading = model.headerData(column(model, "area"), Qt.Orientation.Horizontal)
    assert heading == "area\nµm²"
    assert "Filter: area" in model.headerData(
        column(model, "area"), Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
    )
    assert "voxels" not in [column.name for column in model.shown_columns]  # the area says it


def test_large_bodies_are_shown_in_ml_and_small_ones_in_mm3() -> None:
    model = TableModel()
    labels = np.ones((10, 10, 10), np.uint8)
    for spacing, name in (((2, 2, 2), "ml"), ((0.5, 0.5, 0.5), "volume")):
        model.render(measure(Annotation.of(labels, objects=False, spacing=spacing, unit="mm"), ("liver",)))
        names = [column.name for column in model.shown_columns]
        assert (name in names, len({"ml", "volume"} & set(names))) == (True, 1)
        assert cell(model, 0, "class") == "liver"


def test_a_volume_is_filtered_in_the_unit_that_is_shown() -> None:
    model, labels = TableModel(), np.zeros((10, 10, 20), np.uint8)
    labels[..., :5], labels[..., 5:] = 1, 2  # 4 ml and 12 ml
    model.render(measure(Annotation.of(labels, objects=False, spacing=(2, 2, 2), unit="mm")))
    for words, rows in (("volume<5", [1]), ("volume>=12", [2]), ("size<5", [1]), ("ml<5", [1]), ("voxels>600", [2])):
        model.narrow(words)
        assert shown(model) == rows


def test_sorting_by_numbers_words_and_what_is_not_known(model: TableModel) -> None:
    model.sort(column(model, "area"), DOWN)
    assert shown(model)[:3] == [6, 5, 4]
    model.sort(column(model, "area"), UP)
    assert shown(model)[:3] == [7, 1, 8]  # equal ones by label
    model.sort(column(model, "state"), UP)
    assert shown(model) == [3, 6, 9, 1, 2, 4, 5, 7, 8, 10]
    model.sort(99, UP)
    assert shown(model)[0] == 3
    table = cells(3)
    table.intensity[1] = np.nan
    model.render(table)
    for order in (UP, DOWN):
        model.sort(column(model, "intensity"), order)
        assert shown(model)[-1] == 2
    assert cell(model, 2, "intensity") == ""


def test_persistent_indices_follow_their_rows(model: TableModel) -> None:
    from qtpy.QtCore import QPersistentModelIndex

    kept = QPersistentModelIndex(model.index(4, 0))
    model.sort(column(model, "area"), DOWN)
    assert model.label_at(kept.row()) == 5


def test_filtering_keeps_the_order_and_survives_another_table(model: TableModel) -> None:
    model.sort(column(model, "label"), DOWN)
    model.narrow("state:accepted area>0.8")
    assert shown(model) == [9, 6, 3] or shown(model) == [6, 3]
    assert model.place_of(1) is None
    model.render(cells(20))
    assert all(cell(model, place, "state") == "✓ accepted" for place in range(model.rowCount()))
    with pytest.raises(SegError, match="no column"):
        model.narrow("colour:red")
    assert model.text == "state:accepted area>0.8"
    model.narrow("area<2")
    model.render(measure(Annotation.of(np.ones((3, 3, 3), np.uint8))))  # has no area: all is shown
    assert (model.text, model.rowCount()) == ("", 1)
    model.render(None)
    assert (model.rowCount(), model.columnCount()) == (0, 0)


def test_twenty_thousand_objects_in_a_tenth_of_a_second() -> None:
    model = TableModel()
    model.render(cells(20_000, classes=("nucleus", "mitosis")))
    seconds = []
    for number in range(model.columnCount()):
        began = time.thread_time()
        model.sort(number, DOWN)
        seconds.append(time.thread_time() - began)
    for words in ("state:unseen", "class:mitosis area<1", "accepted", "17"):
        began = time.thread_time()
        model.narrow(words)
        seconds.append(time.thread_time() - began)
    assert max(seconds) < 0.1


@pytest.fixture
def table(qtbot: Any) -> ObjectTable:
    widget = ObjectTable()
    qtbot.addWidget(widget)
    widget.resize(360, 500)
    widget.show()
    widget.render(cells(40))
    return widget


def test_a_person_chooses_a_row_and_the_window_chooses_one(table: ObjectTable, qtbot: Any) -> None:
    said: list[int] = []
    table.chosen.connect(said.append)
    table.select(12)
    assert (table.selected, said) == (12, [])
    assert table.view.rowAt(table.view.visualRect(table.view.currentIndex()).center().y()) == 11
    place = table.view.visualRect(table.model.index(10, 1)).center()
    qtbot.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    qtbot.keyClick(table.view, Qt.Key.Key_Down)
    assert (table.selected, said) == (12, [11, 12])
    table.select(4711)
    assert table.selected is None


def test_the_filter_waits_for_a_pause_and_says_what_it_does_not_understand(table: ObjectTable, qtbot: Any) -> None:
    said: list[int] = []
    table.select(6)
    table.chosen.connect(said.append)
    qtbot.keyClicks(table.filter, "state:accepted")
    assert table.count.text() == "40 objects"
    qtbot.waitUntil(lambda: table.count.text() == "13 of 40 objects")
    assert (table.selected, said) == (6, [])
    table.filter.setText("state:unseen")
    qtbot.keyClick(table.filter, Qt.Key.Key_Return)
    assert (table.count.text(), table.selected) == ("27 of 40 objects", None)
    table.filter.setText("area<")
    qtbot.keyClick(table.filter, Qt.Key.Key_Return)
    assert "write one after" in table.trouble.text()
    assert table.trouble.isVisible()
    assert table.count.text() == "40 objects"  # and not the rows of the filter before
    table.filter.clear()
    qtbot.waitUntil(lambda: not table.trouble.isVisible())
    assert table.count.text() == "40 objects"


def test_another_table_keeps_order_and_choice(table: ObjectTable) -> None:
    table.view.sortByColumn(column(table.model, "area"), DOWN)
    table.select(20)
    table.render(cells(41))
    assert table.selected == 20
    assert shown(table.model)[0] == 6
    table.render(cells(5))
    assert table.selected is None
    table.render(measure(Annotation.of(np.ones((9, 9), np.uint8), objects=False), ("liver",)))
    assert table.count.text() == "1 class"
    table.render(None)
    assert (table.count.text(), table.save.isEnabled()) == ("0 objects", False)


def test_csv_is_what_is_shown(table: ObjectTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table.view.sortByColumn(0, DOWN)
    table.filter.setText("state:accepted")
    table.filter.returnPressed.emit()
    path = tmp_path / "nuclei.csv"
    monkeypatch.setattr("napari_seg.gui.object_table.ask_for_csv", lambda *about: path)
    table.save.click()
    lines = (tmp_path / "nuclei.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("label,class,state,locked,pixels,area (um2),mean intensity")
    assert [line.split(",")[0] for line in lines[1:4]] == ["39", "36", "33"]
    assert table.trouble.text() == "Saved nuclei.csv with 13 rows."
    assert [path.name for path in tmp_path.iterdir()] == ["nuclei.csv"]
    path = tmp_path / "gone" / "nuclei.csv"
    table.save.click()
    assert "choose another folder" in table.trouble.text()


def test_coming_by_the_keyboard_chooses_nothing_and_tab_leaves_again(table: ObjectTable, qtbot: Any) -> None:
    said: list[int] = []
    table.chosen.connect(said.append)
    table.activateWindow()
    qtbot.waitUntil(table.isActiveWindow, timeout=5_000)
    table.view.setFocus()
    qtbot.waitUntil(table.view.hasFocus)
    assert (table.selected, said) == (None, [])
    qtbot.keyClick(table.view, Qt.Key.Key_Tab)
    assert not table.view.hasFocus()
    assert said == []
