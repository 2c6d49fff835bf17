"""The page for a folder, with mouse and keys."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.gui.case_list import CaseList
from napari_seg.gui.cases_model import COLUMNS, DOUBT, CasesModel
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Failed, Finished
from napari_seg.gui.folder_state import CaseRow, Folder, next_case, summary_of
from napari_seg.gui.pages.folder import FolderPage
from napari_seg.models.shelf import shelf
from napari_seg.session.fingerprint import fingerprint
from napari_seg.session.session import OTHER_WINDOW

ROWS = tuple(
    CaseRow(Path(f"/images/{name}.png"), state, f"{size} objects", size, doubt, patient="P1" if name == "b" else "")
    for name, state, size, doubt in (
        ("a", "unseen", 10.0, 0.1),
        ("b", "accepted", 9.0, 0.3),
        ("C", "flagged", 100.0, 0.2),
        ("d", "new", None, None),
    )
)


def names(model: CasesModel) -> str:
    return "".join(row.path.stem for row in model.shown)


class TestModel:
    def test_what_is_not_known_comes_last_either_way(self) -> None:
        model = CasesModel()
        model.render(ROWS, None)
        assert names(model) == "bCad"
        model.sort(DOUBT, Qt.SortOrder.AscendingOrder)
        assert names(model) == "aCbd"
        model.sort(2, Qt.SortOrder.DescendingOrder)
        assert names(model) == "Cabd"
        model.sort(0, Qt.SortOrder.AscendingOrder)
        assert names(model) == "abCd"
        model.sort(99, Qt.SortOrder.AscendingOrder)
        assert names(model) == "abCd"

    def test_cells(self) -> None:
        model = CasesModel()
        model.render(ROWS, Path("/images/b.png"))
        cells = [[model.data(model.index(row, column)) for column in range(len(COLUMNS))] for row in (0, 3)]
        assert cells == [
            ["▸ b · P1", "✓ accepted", "9.0 objects", "30%"],
            ["d", "not segmented", "None objects", ""],
        ]
        assert model.data(model.index(0, 0), Qt.ItemDataRole.FontRole).bold()
        assert model.data(model.index(1, 0), Qt.ItemDataRole.FontRole) is None
        tip = model.headerData(DOUBT, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)
        assert "not how good they are" in tip
        assert model.data(model.index(0, 0), Qt.ItemDataRole.ToolTipRole) == "/images/b.png"

    def test_only_rows_that_differ_are_drawn_anew(self, qtbot: Any) -> None:
        model = CasesModel()
        model.render(ROWS, None)
        drawn: list[int] = []
        model.dataChanged.connect(lambda first, last: drawn.append(first.row()))
        model.render(ROWS, None)
        assert drawn == []
        model.render(ROWS, Path("/images/a.png"))
        assert drawn == [2]

    def test_a_row_that_moves_stays_the_same_for_qt(self) -> None:
        from qtpy.QtCore import QPersistentModelIndex

        model = CasesModel()
        model.render(ROWS, None)
        kept = QPersistentModelIndex(model.index(2, 0))  # a
        worse = CaseRow(ROWS[0].path, "unseen", doubt=0.9)
        model.render((worse, *ROWS[1:]), None)
        assert names(model) == "abCd"
        assert kept.row() == 0

    def test_five_hundred_rows_are_quick(self) -> None:
        model = CasesModel()
        rows = [CaseRow(Path(f"/images/{k:03}.png"), "new") for k in range(500)]
        model.render(rows, None)
        began = time.thread_time()
        for k in range(20):
            rows[k] = CaseRow(rows[k].path, "unseen", "3 objects", 3.0, k / 100)
            model.render(rows, None)
        assert (time.thread_time() - began) / 20 < 0.02
        assert model.shown[0].path == rows[19].path


@pytest.mark.parametrize("width", [243, 299, 360])
def test_no_column_of_the_list_is_cut_off(qtbot: Any, width: int) -> None:
    shown = CaseList()
    qtbot.addWidget(shown)
    shown.resize(width, 200)
    shown.show()
    shown.render(Folder(rows=ROWS))
    header = shown.horizontalHeader()
    qtbot.waitUntil(lambda: header.length() <= shown.viewport().width())
    assert shown.columnWidth(DOUBT) >= header.sectionSizeHint(DOUBT)


def test_names_get_the_room_of_columns_that_say_nothing(qtbot: Any) -> None:
    shown = CaseList()
    qtbot.addWidget(shown)
    shown.resize(320, 200)
    shown.show()
    names = [f"train_Part1_SC-HF-NI-04-IM-0001-{number:04}.dcm" for number in (1, 21, 41)]
    new = tuple(CaseRow(Path(f"/images/{name}.png"), "new") for name in names)
    shown.render(Folder(rows=new))
    assert [shown.isColumnHidden(column) for column in range(len(COLUMNS))] == [False, False, True, True]
    qtbot.waitUntil(lambda: shown.columnWidth(0) > 180)
    assert shown.textElideMode() == Qt.TextElideMode.ElideLeft  # they differ at the end
    seen = shown.fontMetrics().elidedText(names[1], shown.textElideMode(), shown.columnWidth(0))
    assert seen.endswith("0001-0021.dcm")
    shown.render(Folder(rows=(replace(new[0], state="unseen", amount="9 px", size=9.0, doubt=0.1), *new[1:])))
    assert not any(shown.isColumnHidden(column) for column in range(len(COLUMNS)))
    shown.render(Folder(rows=ROWS))
    assert shown.textElideMode() == Qt.TextElideMode.ElideMiddle


def test_words() -> None:
    assert summary_of(ROWS) == "4 images: 1 accepted, 1 flagged, 1 unseen"
    assert summary_of(ROWS[3:]) == "1 image"
    assert next_case(ROWS, None) == ROWS[0].path
    assert next_case(ROWS, ROWS[0].path) is None


@pytest.fixture
def folder(folder: Path) -> Path:
    """With a file in it that is no picture."""
    (folder / "notes.png").write_text("not a picture")
    return folder


class Page:
    """The page of a window, its engine, and everything that threads had to do done by :meth:`rest`."""

    def __init__(self, engine: Any, model: Path, qtbot: Any) -> None:
        self.engine, self.bot = engine, qtbot
        self.controller = Controller(ViewerModel(), engine)
        self.shown = FolderPage(self.controller)
        qtbot.addWidget(self.shown)
        self.shown.resize(360, 700)
        with qtbot.waitActive(self.shown):
            self.shown.show()
            self.shown.activateWindow()
        self.model = model

    def rest(self) -> None:
        rest(self.controller)

    def click(self, button: Any) -> None:
        self.bot.mouseClick(button, Qt.MouseButton.LeftButton)
        self.rest()

    def press(self, key: Any) -> None:
        """Alt and a letter: Qt shows a button pressed for a moment before it is clicked."""
        button = next(b for b in self.shown.findChildren(QPushButton) if b.shortcut().toString() == f"Alt+{chr(key)}")
        with self.bot.waitSignal(button.clicked):
            self.bot.keyClick(self.shown.list, key, Qt.KeyboardModifier.AltModifier)
        self.rest()

    def answer_all(self) -> None:
        while self.controller.batch.state.running is not None:
            order = self.engine.orders[-1]
            if Path(order["path"]).stem == "notes":
                self.engine.say(Failed(len(self.engine.orders), "notes.png is no picture; choose another."))
            else:
                self._answer(read(order["path"]))
            self.rest()

    def _answer(self, image: Volume) -> None:
        labels = np.zeros(image.shape, np.uint8)
        labels[3:9, 3:9] = 1
        about = {"axes": "YX", "shape": image.shape, "spacing": None, "unit": "pixel", "name": image.name}
        answer = {"labels": labels, "axes": "YX", "settings": {"channel": None}, "model_hash": "0f"}
        answer |= {"doubt": ord(image.name) / 1000, "image": {**about, "fingerprint": fingerprint(image)}}
        self.engine.say(Finished(len(self.engine.orders), answer))

    def row(self, name: str) -> int:
        place = self.shown.list.cases.place_of(self.controller.batch.state.folder / f"{name}.png")
        assert place is not None
        return place

    def at(self, name: str) -> QPoint:
        return self.shown.list.visualRect(self.shown.list.cases.index(self.row(name), 0)).center()

    @property
    def opened(self) -> str:
        current = self.controller.batch.state.current
        return "" if current is None else current.stem


@pytest.fixture
def page(engine: Any, spots: Path, qtbot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    made = Page(engine, spots, qtbot)
    assert made.shown.start.isVisible()
    assert not made.shown.work.isVisible()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    made.click(made.shown.choose)
    made.controller.batch.choose_model(spots)
    made.rest()
    yield made
    made.controller.close()


def test_from_choosing_a_folder_to_judging_with_the_mouse(page: Page) -> None:
    shown = page.shown
    assert not shown.start.isVisible()
    assert shown.folder.text() == "images"
    assert shown.segment.text() == "Segment all 4 images"
    assert shown.segment.objectName() == "main"
    assert not shown.card.isVisible()
    page.click(shown.segment)
    assert not shown.segment.isVisible()
    assert shown.running.cancel.hasFocus()  # the button that had it is gone
    assert shown.running.words.text().startswith("1 of 4: a.png")
    page.answer_all()
    assert shown.summary.text() == "4 images: 3 unseen, 1 failed"
    assert shown.segment.text() == "Try the failed image again"
    assert (shown.segment.objectName(), shown.following.objectName()) == ("", "main")
    assert names(shown.list.cases) == "cbanotes"
    page.bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("notes"))
    assert shown.card.why.text() == "notes.png is no picture; choose another."
    assert not shown.card.accept.isVisible()
    page.bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("b"))
    page.bot.mouseDClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("b"))
    page.rest()
    assert page.opened == "b"
    assert shown.card.title.text() == "b.png\nin work, 1 object"
    assert not shown.open.isEnabled()
    page.bot.keyClicks(shown.card.comment, "almost")
    page.click(shown.card.flag)
    assert shown.card.title.text() == "b.png\n⚑ flagged, 1 object"
    assert shown.card.comment.text() == "almost"
    page.click(shown.following)
    assert page.opened == "c"
    page.click(shown.card.accept)
    assert shown.summary.text() == "4 images: 1 accepted, 1 flagged, 1 unseen, 1 failed"
    page.click(shown.card.back)
    assert shown.card.title.text() == "c.png\nin work, 1 object"


def test_to_look_at_masks_comes_before_making_them_anew(page: Page, model_file: Callable[..., Path]) -> None:
    shown = page.shown
    page.click(shown.segment)
    page.answer_all()
    page.controller.batch.choose_model(model_file("semantic", ndim=2, classes=("cell",)))
    page.rest()
    assert shown.segment.text() == "Segment 3 images again"
    assert (shown.segment.objectName(), shown.following.objectName()) == ("", "main")


def test_what_comes_next_is_in_sight_however_much_is_said(page: Page) -> None:
    shown = page.shown
    page.click(shown.segment)
    page.answer_all()
    page.bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("notes"))
    shown.resize(330, 420)
    shown.render(replace(page.controller.batch.state, saved="Saved 3 masks in masks", told="A sentence. " * 20))
    page.bot.waitUntil(lambda: shown.height() == 420)
    for part in (shown.following, shown.open, shown.save, shown.saved):
        assert part.visibleRegion().boundingRect() == part.rect()


def test_with_the_keys(page: Page) -> None:
    shown, bot = page.shown, page.bot
    page.click(shown.segment)
    page.answer_all()
    shown.list.setFocus()
    bot.keyClick(shown.list, Qt.Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
    bot.keyClick(shown.list, Qt.Key.Key_Down)
    bot.keyClick(shown.list, Qt.Key.Key_Return)
    page.rest()
    assert page.opened == "b"
    bot.keyClick(shown.list, Qt.Key.Key_Home, Qt.KeyboardModifier.ControlModifier)
    bot.keyClick(shown.list, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert shown.card.title.text() == "2 images are chosen"
    assert not shown.card.comment.isVisible()
    page.press(Qt.Key.Key_A)
    assert shown.summary.text() == "4 images: 2 accepted, 1 unseen, 1 failed"
    page.press(Qt.Key.Key_N)
    assert page.opened == "a"
    assert [row.path.stem for row in shown.list.rows] == ["a"]
    shown.card.comment.setFocus()
    bot.keyClicks(shown.card.comment, "small")
    bot.keyClick(shown.card.comment, Qt.Key.Key_Return)
    page.rest()
    assert shown.list.cases.shown[page.row("a")].comment == "small"
    assert shown.list.cases.shown[page.row("a")].state == "in work"
    bot.keyClick(shown.list, Qt.Key.Key_Escape)


def test_a_comment_that_is_being_written_is_not_taken_away(page: Page) -> None:
    page.click(page.shown.segment)
    page.answer_all()
    page.bot.mouseClick(page.shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("a"))
    page.shown.card.comment.setFocus()
    page.bot.keyClicks(page.shown.card.comment, "half a sent")
    page.controller.batch.say([page.controller.batch.state.folder / "c.png"], "accepted")
    page.rest()
    assert page.shown.card.comment.text() == "half a sent"
    page.bot.mouseClick(page.shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("b"))
    assert page.shown.card.comment.text() == ""
    page.rest()
    assert page.shown.list.cases.shown[page.row("a")].comment == "half a sent"


def test_what_is_said_of_a_mask_that_is_to_be_made_anew_is_kept(page: Page, model_file: Callable[..., Path]) -> None:
    """Whether it waits for that or is being made."""
    shown, bot, batch = page.shown, page.bot, page.controller.batch

    def choose(name: str) -> None:
        bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at(name))
        page.rest()

    page.click(shown.segment)
    page.answer_all()
    batch.choose_model(model_file("semantic", ndim=2, classes=("cell",)))
    page.rest()
    choose("a")
    bot.keyClicks(shown.card.comment, "the left is wrong")
    page.click(shown.segment)
    states = {row.name: row.state for row in batch.state.rows}
    assert (states["a"], states["b"], states["c"]) == ("running", "waiting", "waiting")
    choose("b")
    page.click(shown.card.accept)
    assert shown.card.title.text() == "b.png\n✓ accepted, 1 object"
    bot.keyClicks(shown.card.comment, "well done")
    bot.keyClick(shown.card.comment, Qt.Key.Key_Return)
    page.rest()
    choose("c")
    page.answer_all()
    assert {row.name: (row.state, row.comment) for row in batch.state.rows if row.name != "notes"} == {
        "a": ("in work", "the left is wrong"),
        "b": ("accepted", "well done"),
        "c": ("unseen", ""),
    }


def test_escape_in_a_field_leaves_it_and_elsewhere_stops_the_run(page: Page) -> None:
    shown, bot, batch = page.shown, page.bot, page.controller.batch
    page.click(shown.segment)
    page._answer(read(page.engine.orders[-1]["path"]))
    page.rest()
    shown.list.selectRow(next(place for place, row in enumerate(shown.list.cases.shown) if row.known))
    for field, words in ((shown.card.comment, "half a sent"), (shown.card.patient, "P1")):
        field.setFocus()
        bot.keyClicks(field, words)
        bot.keyClick(field, Qt.Key.Key_Escape)
        page.rest()
        assert batch.state.running.words.startswith("2 of 4")
        assert not field.hasFocus()
        assert field.text() == words
    bot.keyClick(shown, Qt.Key.Key_Escape)
    page.rest()
    assert batch.state.running.words == "Stopping"


def test_what_is_painted_on_another_page_is_counted_when_the_list_is_seen_again(page: Page) -> None:
    shown, batch = page.shown, page.controller.batch
    page.click(shown.segment)
    page.answer_all()
    batch.open(batch.state.folder / "a.png")
    page.rest()
    shown.hide()
    mask = next(layer for layer in page.controller.viewer.layers if isinstance(layer, Labels))
    mask.data_setitem((np.array([20]), np.array([20])), 7)
    page.rest()
    shown.show()
    page.rest()
    assert {row.name: row.amount for row in shown.list.cases.shown}["a"] == "2 objects"


def test_what_is_typed_goes_to_the_image_that_was_chosen(page: Page) -> None:
    """Also when others come into the list meanwhile."""
    shown, bot, batch = page.shown, page.bot, page.controller.batch
    page.click(shown.segment)
    page.answer_all()
    batch.open(batch.state.folder / "a.png")
    page.rest()
    bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("b"))
    bot.keyClicks(shown.card.patient, "P")
    write(Volume(np.ones((40, 50), np.uint8), "YX"), batch.state.folder / "d.png")
    batch.add_files([batch.state.folder / "d.png"])
    page.rest()
    assert len(batch.state.rows) == 5
    assert [row.name for row in shown.list.rows] == ["b"]
    bot.keyClicks(shown.card.patient, "1")
    bot.keyClick(shown.card.patient, Qt.Key.Key_Return)
    page.rest()
    assert {row.name: row.patient for row in shown.list.cases.shown if row.patient} == {"b": "P1"}
    shown.list.selectAll()
    assert shown.card.patient.text() == ""  # there are several marks
    bot.keyClick(shown.card.patient, Qt.Key.Key_Return)
    page.rest()
    assert {row.name: row.patient for row in shown.list.cases.shown if row.patient} == {"b": "P1"}


def test_another_window_is_told_that_the_project_is_open(page: Page) -> None:
    """Also after the folder was searched for images, in which the session lies."""
    code = "import sys; from napari_seg.session.session import Session; print(Session.open(sys.argv[1]).read_only)"
    command = [sys.executable, "-c", code, page.controller.batch.state.place]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == OTHER_WINDOW
    page.click(page.shown.segment)
    page.answer_all()
    assert page.shown.summary.text() == "4 images: 3 unseen, 1 failed"


def test_images_are_told_to_be_of_one_patient(page: Page) -> None:
    shown, bot = page.shown, page.bot
    page.click(shown.segment)
    page.answer_all()

    def marks() -> dict[str, str]:
        return {row.name: row.patient for row in shown.list.cases.shown if row.patient}

    bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("a"))
    bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, page.at("c"))
    bot.keyClicks(shown.card.patient, "P1")
    bot.keyClick(shown.card.patient, Qt.Key.Key_Return)
    page.rest()
    assert marks() == {"a": "P1", "c": "P1"}
    assert shown.card.patient.text() == "P1"
    assert shown.list.cases.shown[page.row("a")].state == "unseen"
    bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("b"))
    assert shown.card.patient.text() == ""
    bot.keyClicks(shown.card.patient, "P2")
    bot.mouseClick(shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("a"))  # what was typed is kept
    page.rest()
    assert marks() == {"a": "P1", "b": "P2", "c": "P1"}
    shown.card.patient.selectAll()
    bot.keyClick(shown.card.patient, Qt.Key.Key_Delete)
    bot.keyClick(shown.card.patient, Qt.Key.Key_Return)
    page.rest()
    assert marks() == {"b": "P2", "c": "P1"}


def test_what_is_typed_is_kept_when_another_project_follows(page: Page, tmp_path: Path) -> None:
    page.click(page.shown.segment)
    page.answer_all()
    page.bot.mouseClick(page.shown.list.viewport(), Qt.MouseButton.LeftButton, pos=page.at("a"))
    page.bot.keyClicks(page.shown.card.comment, "half a sent")
    page.bot.keyClicks(page.shown.card.patient, "P1")
    folder = page.controller.batch.state.folder
    (tmp_path / "empty").mkdir()
    page.controller.batch.choose_folder(tmp_path / "empty")
    page.rest()
    page.controller.batch.choose_folder(folder)
    page.rest()
    row = page.shown.list.cases.shown[page.row("a")]
    assert (row.comment, row.patient) == ("half a sent", "P1")


def test_masks_are_saved_and_never_replaced_without_asking(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not page.shown.save.isEnabled()
    page.click(page.shown.segment)
    page.answer_all()
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("something of mine")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    asked: list[str] = []

    def answer(button: Any) -> Callable[..., Any]:
        return lambda *words: asked.append(words[2]) or button

    monkeypatch.setattr(QMessageBox, "question", answer(QMessageBox.StandardButton.No))
    page.click(page.shown.save)
    assert asked == ["1 file of that name is in out. Replace?"]
    folder = page.controller.batch.state.folder
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    page.click(page.shown.save)
    assert len(asked) == 1  # what is refused is not asked
    page.rest()
    assert page.shown.saved.text().startswith("Your images lie here")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(out))
    assert (out / "a.png").read_text() == "something of mine"
    monkeypatch.setattr(QMessageBox, "question", answer(QMessageBox.StandardButton.Yes))
    page.click(page.shown.save)
    page.rest()
    assert page.shown.saved.text() == "Saved 3 masks in out"
    assert int(np.asarray(read(out / "a.png").data).max()) == 1


def test_a_folder_beside_the_images_is_proposed_for_their_masks(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.click(page.shown.segment)
    page.answer_all()
    proposed = page.controller.batch.state.folder / "masks"
    starts: list[str] = []

    def dialog(choice: str) -> Callable[..., str]:
        def choose(_parent: Any, _title: str, start: str) -> str:
            assert Path(start).is_dir()
            starts.append(start)
            return choice

        return choose

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", dialog(""))
    page.click(page.shown.save)
    assert not proposed.exists()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", dialog(str(proposed)))
    page.click(page.shown.save)
    page.rest()
    assert page.shown.saved.text() == "Saved 3 masks in masks"
    assert starts == [str(proposed)] * 2


def test_the_page_draws_every_state(page: Page) -> None:
    shown = page.shown
    shown.render(Folder(folder=Path("/images"), reading=True))
    assert shown.summary.text() == "Reading the folder..."
    assert not shown.list.isVisible()
    shown.render(Folder(folder=Path("/images"), rows=ROWS, due=1, models=((page.model, "tiny"),), model=page.model))
    assert shown.segment.text() == "Segment the one that is left"
    assert shown.segment.isEnabled()
    assert not shown.channel_row.isVisible()
    shown.render(Folder(folder=Path("/images"), rows=ROWS, due=3, renewed=1))
    assert shown.segment.text() == "Segment 3 images, 1 again"
    shown.render(Folder(folder=Path("/images"), rows=ROWS, due=1, renewed=1))
    assert shown.segment.text() == "Segment 1 image again"
    shown.render(Folder(folder=Path("/images"), rows=ROWS, due=3, again=1, channels=("DAPI", "GFP"), channel="GFP"))
    assert shown.segment.text() == "Segment the 3 that are left"
    assert not shown.segment.isEnabled()  # no model
    assert shown.channel.currentText() == "GFP"


def test_browsing_for_a_model_begins_where_those_lie_that_were_made_here(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf().mkdir()
    places: list[str] = []
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *asked: (places.append(asked[2]), ("", ""))[1])
    page.shown.model.activated.emit(page.shown.model.count() - 1)
    assert places == [str(shelf())]
    assert page.shown.model.currentText() != "Browse..."
