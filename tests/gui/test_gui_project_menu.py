"""The button that makes a project from any page, its dialog, and the footer, with mouse and keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QLabel, QScrollArea

from napari_seg.data.formats import read
from napari_seg.data.volume import Source, Volume
from napari_seg.gui import watch
from napari_seg.gui.controller import Controller
from napari_seg.gui.dialogs import Facts
from napari_seg.gui.folder_state import CaseRow, row_of, seen_words
from napari_seg.gui.layers import layer_data
from napari_seg.gui.outgoing import mask_names
from napari_seg.gui.pages.folder import FolderPage
from napari_seg.gui.project_dialog import ProjectDialog, proposed
from napari_seg.gui.project_menu import SAVE, ProjectMenu
from napari_seg.gui.words import facts_of_volume
from napari_seg.session.cases import case
from napari_seg.session.projects import recent


class Shown:
    """The button and the page of a window, and everything that threads had to do done by :meth:`rest`."""

    def __init__(self, engine: Any, qtbot: Any) -> None:
        self.bot, self.viewer = qtbot, ViewerModel()
        self.controller = Controller(self.viewer, engine)
        self.page, self.menu = FolderPage(self.controller), ProjectMenu(self.controller)
        self.asked: list[str] = []
        self.controller.asked_for.connect(self.asked.append)
        for widget in (self.page, self.menu):
            qtbot.addWidget(widget)
            widget.show()
        self.rest()

    def rest(self) -> None:
        rest(self.controller)

    def drop(self, path: Path) -> None:
        ((data, about, _),) = layer_data(read(path), "image")
        self.viewer.add_image(data, **about)
        self.viewer.add_labels(np.zeros(data.shape, np.uint8), name=f"mask of {path.stem}")
        self.rest()

    def click(self, widget: Any) -> None:
        self.bot.mouseClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(12, 8))
        self.rest()

    @property
    def actions(self) -> list[str]:
        self.menu.menu_of.aboutToShow.emit()
        return [action.text() for action in self.menu.menu_of.actions() if action.isEnabled() and action.text()]

    def choose(self, words: str) -> None:
        assert words in self.actions
        next(action for action in self.menu.menu_of.actions() if action.text() == words).trigger()
        self.rest()


@pytest.fixture
def shown(engine: Any, qtbot: Any) -> Iterator[Shown]:
    made = Shown(engine, qtbot)
    yield made
    made.controller.close()


def test_from_one_image_to_a_project_and_back(shown: Shown, folder: Path, tmp_path: Path) -> None:
    assert shown.menu.text() == SAVE
    shown.click(shown.menu)  # with nothing open
    assert shown.menu.dialog is None
    assert shown.asked == ["Project"]
    assert shown.controller.batch.state.findings[0].text.endswith("open one first.")
    for name in "ab":
        shown.drop(folder / f"{name}.png")
    shown.click(shown.menu)
    dialog = shown.menu.dialog
    assert dialog is not None
    assert (dialog.name.text(), dialog.folder.text()) == ("images", str(folder))
    assert dialog.list.count() == 2
    dialog.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    dialog.name.clear()
    assert not dialog.save.isEnabled()
    shown.bot.keyClicks(dialog.name, "my:cells")
    shown.click(dialog.save)
    assert dialog.isVisible()
    assert dialog.trouble.text() == "A folder cannot be called my:cells; leave out :."
    dialog.name.clear()
    shown.bot.keyClicks(dialog.name, "my cells")
    assert not dialog.trouble.isVisible()
    assert str(folder / "my cells") in dialog.where.text()
    shown.bot.keyClick(dialog.name, Qt.Key.Key_Return)
    shown.rest()
    assert not dialog.isVisible()
    assert shown.menu.text() == "my cells"
    assert shown.page.folder.text() == "my cells"
    assert shown.page.add_open.text() == "Add the open image"
    shown.click(shown.page.add_open)
    assert not shown.page.add_open.isVisible()
    assert shown.page.told.text() == "b is in the project now."
    assert [row.name for row in shown.controller.batch.state.rows] == ["a", "b"]
    shown.asked.clear()
    shown.click(shown.menu)
    assert shown.asked == ["Project"]


def test_the_arrow_has_the_rest(
    shown: Shown, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any, qtbot: Any
) -> None:
    assert shown.actions == ["Open a project..."]
    shown.drop(folder / "a.png")
    shown.choose(SAVE)
    dialog = shown.menu.dialog
    assert dialog is not None
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    shown.click(dialog.browse)
    dialog.name.setText("cells")
    shown.click(dialog.save)
    shown.drop(folder / "b.png")
    assert shown.actions == [SAVE, "Add the open image to cells", "Open a project..."]
    shown.choose("Add the open image to cells")
    assert len(shown.controller.batch.state.rows) == 2
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    shown.choose("Open a project...")
    assert shown.menu.text() == "images"
    assert shown.actions[-1] == "cells"
    shown.choose("cells")
    assert shown.menu.text() == "cells"
    shown.controller.close()
    (tmp_path / "cells").rename(tmp_path / "gone")
    other = Shown(engine, qtbot)
    buttons = [other.page.recent.itemAt(k).widget() for k in range(other.page.recent.count())]
    assert [button.text() for button in buttons] == ["cells", "images"]
    other.click(buttons[0])
    assert other.controller.batch.state.findings[0].text.endswith("open it from where it lies now.")
    assert [one.name for one in recent()] == ["images"]
    assert other.page.recent.count() == 1
    other.controller.close()


def test_what_is_proposed(tmp_path: Path) -> None:
    def at(path: Path | None) -> Volume:
        data = np.zeros((2, 2), np.uint8)
        return Volume(data, "YX", name="made", source=None if path is None else Source(path, "tiff"))

    a, b = tmp_path / "study" / "a.ome.tif", tmp_path / "study" / "b.ome.tif"
    assert proposed([at(a)]) == ("a", tmp_path / "study")
    assert proposed([at(a), at(b)]) == ("study", tmp_path / "study")
    assert proposed([at(None)]) == ("made", Path.home())


def test_a_long_name_is_not_cut_off_in_the_dialogs(qtbot: Any, tmp_path: Path) -> None:
    """Nor does a dialog scroll sideways for it; the whole name is in the tool tip."""
    image = Volume(np.zeros((20, 30), np.uint8), "YX", source=Source(tmp_path / f"{'cells_0x' * 8}.tif", "tiff"))
    making = ProjectDialog(None, [image], lambda *_: None)
    about = Facts(None, "About", "", facts_of_volume(image))
    for dialog in (making, about):
        qtbot.addWidget(dialog)
        dialog.show()
    qtbot.waitExposed(about)
    shown = making.where
    widest = max(shown.fontMetrics().horizontalAdvance(word) for word in re.split(r"[\s/]", shown.text()))
    assert widest <= shown.width()
    assert "cells_0x" * 8 in shown.toolTip()
    scroll = about.findChild(QScrollArea)
    assert isinstance(scroll, QScrollArea)
    assert scroll.horizontalScrollBar().maximum() == 0
    assert str(image.source.path) in [label.toolTip() for label in about.findChildren(QLabel)]


def test_words_of_what_was_seen(shown: Shown, folder: Path) -> None:
    states = ("new", "unseen", "in work", "accepted", "failed", "flagged")
    assert seen_words([CaseRow(Path(f"{state}.png"), state) for state in states]) == "3 of 6 images seen"
    assert seen_words([CaseRow(Path("a.png"), "accepted")]) == "1 of 1 image seen"
    assert seen_words(()) == ""
    reviewing = shown.controller.reviewing
    assert reviewing.seen_words == ""
    image = np.random.default_rng(0).normal(100, 5, (80, 90))
    labels = np.zeros((80, 90), np.uint8)
    for k in range(1, 8):
        labels[10 * k : 10 * k + 6, 20:26] = k
    labels[2:4, 60:62] = 9  # far smaller than the others
    shown.viewer.add_image(image)
    layer = shown.viewer.add_labels(labels)
    shown.rest()
    shown.viewer.layers.selection.active = layer
    reviewing.look()
    shown.bot.waitUntil(lambda: shown.rest() or not reviewing.looking)
    suspects = reviewing.seen.suspects
    assert suspects
    assert reviewing.seen_words == f"0 of {len(suspects)} in the review seen"
    reviewing.judge(suspects[0], "accepted")
    assert reviewing.seen_words == f"1 of {len(suspects)} in the review seen"
    layer.undo()
    shown.rest()
    assert reviewing.seen_words == f"0 of {len(suspects)} in the review seen"


def test_masks_of_images_that_share_a_name_get_files_of_their_own() -> None:
    paths = [Path(path) for path in ("/x/a.png", "/y/a.png", "/y/b.jpg", "/z/p1/IM0.dcm", "/z/p2/IM0.dcm")]
    titles = {paths[0]: "x/a", paths[1]: "y/a", paths[2]: "b", paths[3]: "p1 · T1: 3", paths[4]: "p1 · T1/ 3"}
    assert [names["mask"] for names in mask_names({path: {"mask": "mask"} for path in paths}, titles).values()] == [
        "x_a.png",
        "y_a.png",
        "b.png",
        "p1 _ T1_ 3.nii.gz",
        "p1 _ T1_ 3 2.nii.gz",
    ]
    one = Path("/x/a.ome.tif")
    assert mask_names({one: {"mask": "mask"}}, {}) == {one: {"mask": "a.ome.tif"}}


def test_no_two_masks_get_one_file() -> None:
    """Of one image, or of two whose names run into each other: the later one would replace the earlier one."""
    first, second, planes = Path("/x/p1.nii.gz"), Path("/x/p1_tumour.nii.gz"), ["p1 · a+", "p1 · a-", "p1 · tumour"]
    names = mask_names({first: {name: name for name in planes}, second: {"p1_tumour · mask": "p1_tumour · mask"}}, {})
    assert list(names[first].values()) == ["p1_a_.nii.gz", "p1_a_ 2.nii.gz", "p1_tumour.nii.gz"]
    assert names[second] == {"p1_tumour · mask": "p1_tumour 2.nii.gz"}


def test_a_name_that_a_person_gave_goes_whole_into_the_file() -> None:
    path = Path("/x/p1.nii.gz")
    named = {"p1 · net": "left · liver", "p1 · mask": "p1 · right · liver"}
    assert list(mask_names({path: named}, {})[path].values()) == ["p1_left___liver.nii.gz", "p1_right___liver.nii.gz"]


def test_time_is_counted_in_seconds(shown: Shown, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: clock[0])
    shown.drop(folder / "a.png")
    layer = shown.viewer.layers[-1]
    shown.viewer.layers.selection.active = layer
    track = shown.controller.recorder.track(layer)

    def spent() -> float:
        shown.rest()
        return float(track.session.writer.call(lambda store: store.spent(track.row.id)).result())

    shown.rest()
    before = spent()
    layer.data_setitem((np.array([3]), np.array([3])), 1)
    shown.rest()
    for _ in range(24):
        clock[0] += 0.5
        shown.controller.recorder.tick()
    assert spent() - before == pytest.approx(10.0)
    shown.viewer.layers.selection.active = shown.viewer.layers[0]  # another layer: what was counted is kept
    assert spent() - before == pytest.approx(12.0)
    found = track.session.writer.call(lambda store: case(store, track.row.id)).result()
    assert row_of(folder / "a.png", found, "").spent == ""
    assert row_of(folder / "a.png", replace(found, seconds=750.0), "").spent == "12 min of work"
    shown.viewer.layers.selection.active = layer
    clock[0] += 300.0  # a break: no longer than is counted as thinking
    shown.rest()
    assert spent() - before == pytest.approx(12.0)
