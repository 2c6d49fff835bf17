"""A mask against a reference in the window: figures, marks over the image, a list that leads there."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import Window, rest, twelve_cells
from qtpy.QtCore import Qt

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.evaluation.differences import EXTRA, MISSED, OTHER
from napari_seg.gui.against import MARKS, Against
from napari_seg.gui.against_dialog import AgainstDialog
from napari_seg.gui.controller import Controller
from napari_seg.gui.layers import CLASSES, OBJECTS, layer_data
from napari_seg.gui.pages.review import ReviewPage


class Desk(Window):
    """An image with a mask and a reference."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.against = Against(self.viewer, self.recorder, engine)

    def compare(self, mask: Any, reference: Any) -> None:
        self.against.start(self.recorder.track(mask), reference)
        self.wait()

    def wait(self) -> None:
        """Until it is compared, one step at each rest."""
        for _ in range(9):
            self.rest()
        assert self.against.running is None

    def marks(self) -> Any:
        return next((layer.data for layer in self.viewer.layers if layer.name == MARKS), None)

    def masks(self, *labels: np.ndarray, objects: bool = True, **about: Any) -> list[Any]:
        """Layers on an image of their shape."""
        self.viewer.add_image(
            np.arange(labels[0].size, dtype=np.float32).reshape(labels[0].shape), name="scan", **about
        )
        known = {OBJECTS: objects, CLASSES: () if objects else ("liver", "spleen")}
        layers = [
            self.viewer.add_labels(each, name=f"mask {k}", metadata=dict(known), **about)
            for k, each in enumerate(labels)
        ]
        self.rest()
        return layers


@pytest.fixture
def desk(engine: Any, qtbot: Any) -> Iterator[Desk]:
    made = Desk(engine)
    yield made
    made.recorder.close()


def cubes() -> tuple[np.ndarray, np.ndarray]:
    """Two classes in a volume, and a mask that misses a corner of one and has a block too many."""
    truth = np.zeros((10, 30, 30), np.uint8)
    truth[2:8, 2:12, 2:12], truth[2:8, 15:25, 15:25] = 1, 2
    mask = truth.copy()
    mask[2:5, 2:6, 2:6], mask[6, 20:23, 20:23] = 0, 1
    mask[8:10, 26:30, 2:6] = 2
    return mask, truth


def test_objects_have_figures_marks_and_a_list_that_leads_there(desk: Desk) -> None:
    truth = twelve_cells()
    found = np.where(truth == 3, 0, truth)
    found[50:56, 70:79] = 40
    mask, reference = desk.masks(found, truth)
    before = [layer.data.copy() for layer in (mask, reference)]
    desk.compare(mask, reference)
    outcome = desk.against.outcome
    assert outcome is not None
    assert outcome.figures[0][0] == "AP 0.5"
    assert outcome.figures[1][0] == pytest.approx(11 / 13)
    told = {(one.what, one.truth, one.found) for one in outcome.found.listed}
    assert told >= {("missed", 3, 0), ("not in the reference", 0, 40)}
    marks = desk.marks()
    assert (marks[truth == 3] == MISSED).all()
    assert (marks[(found == 40) & (truth == 0)] == EXTRA).all()
    assert [layer.data.tolist() for layer in (mask, reference)] == [each.tolist() for each in before]
    assert desk.recorder.safe.steps == 0
    missed = next(one for one in outcome.found.listed if one.what == "missed")
    desk.against.go_to(missed)
    assert truth[tuple(np.rint(desk.viewer.scene.camera.center[-2:]).astype(int))] == 3
    desk.against.end()
    assert desk.marks() is None


def test_classes_have_distances_and_names_and_the_slice_is_shown(desk: Desk) -> None:
    mask, truth = cubes()
    layers = desk.masks(mask, truth, objects=False, scale=(2, 1, 1), units=("mm",) * 3, axis_labels=("z", "y", "x"))
    desk.compare(*layers)
    outcome = desk.against.outcome
    assert outcome is not None
    head, liver, spleen, mean = outcome.figures
    assert head == ("Class", "Dice", "Jaccard", "HD95 mm", "ASSD mm")
    assert [row[0] for row in (liver, spleen, mean)] == ["liver", "spleen", "mean"]
    assert liver[1] == pytest.approx(2 * (600 - 48) / (600 + 600 - 48 + 9))
    told = {(one.what, outcome.of(one)) for one in outcome.found.listed}
    assert told == {("missed", "liver"), ("too much", "spleen"), ("another class", "spleen, not liver")}
    assert {one.voxels for one in outcome.found.listed} == {48, 32, 9}
    other = next(one for one in outcome.found.listed if one.what == "another class")
    desk.against.go_to(other)
    assert desk.viewer.dims.current_step[0] == 6
    assert np.unique(desk.marks()).tolist() == [0, MISSED, EXTRA, OTHER]


def test_of_a_film_the_time_point_that_is_shown_is_compared(desk: Desk) -> None:
    film = np.stack([twelve_cells()] * 3)
    other = film.copy()
    other[1][other[1] == 7] = 0
    layers = desk.masks(other, film, axis_labels=("t", "y", "x"))
    for time, fewer in ((0, 0), (1, 1)):
        desk.viewer.dims.set_current_step(0, time)
        desk.compare(*layers)
        assert desk.against.outcome is not None
        assert [one.truth for one in desk.against.outcome.found.listed] == [7] * fewer
    assert [bool(frame.any()) for frame in desk.marks()] == [False, True, False]


def test_a_reference_of_another_grid_is_laid_on_the_mask(desk: Desk, tmp_path: Path) -> None:
    """Through the space of the patient, where both say how they lie."""
    coarse = np.zeros((5, 20, 20), np.uint8)
    coarse[1:4, 5:15, 5:15] = 1
    fine = coarse.repeat(2, 1).repeat(2, 2)
    affine = np.array([[0, 0, -2.0, 0], [0, -2.0, 0, 0], [3.0, 0, 0, 0], [0, 0, 0, 1]])
    finer = affine @ np.diag([1, 0.5, 0.5, 1])
    finer[:3, 3] = (affine @ [0, -0.25, -0.25, 1])[:3]
    files = [
        write(Volume(data, "ZYX", spacing, "mm", place), tmp_path / f"{name}.nii.gz")
        for data, spacing, place, name in (
            (fine, (3, 1, 1), finer, "fine"),
            (coarse, (3, 2, 2), affine, "coarse"),
            (fine, (3, 1, 1), finer, "image"),
        )
    ]
    desk.drop(files[2])
    layers = []
    for path in files[:2]:
        ((data, about, _),) = layer_data(read(path), "labels")
        about["metadata"][OBJECTS] = False
        layers.append(desk.viewer.add_labels(data, **about))
    desk.rest()
    desk.compare(*layers)
    assert desk.against.trouble == ""
    assert desk.against.outcome is not None
    assert desk.against.outcome.figures[1][1] == 1
    assert desk.against.outcome.notes


def test_what_cannot_be_compared_is_told_with_its_cure(desk: Desk) -> None:
    mask, truth = cubes()
    one, other = desk.masks(mask, truth)
    desk.recorder.mean(desk.recorder.track(other), objects=False)
    desk.rest()
    desk.compare(one, other)
    assert desk.against.trouble == (
        "The numbers of mask 0 are objects, those of mask 1 classes; say on Correct what they are."
    )
    desk.recorder.mean(desk.recorder.track(other), objects=True)
    other.translate = (0, 5, 0)
    desk.rest()
    desk.compare(one, other)
    assert desk.against.trouble.startswith("mask 1 no longer lies on its image; give it")
    assert (desk.against.outcome, desk.marks()) == (None, None)


def test_classes_of_other_names_are_told(desk: Desk) -> None:
    mask, truth = cubes()
    one, other = desk.masks(mask, truth, objects=False)
    other.metadata[CLASSES] = ("spleen", "liver")
    desk.compare(one, other)
    assert desk.against.outcome is not None
    assert desk.against.outcome.notes[-1].startswith("Class 1 is liver in the mask and spleen in the reference;")


def test_what_is_changed_or_closed_afterwards(desk: Desk) -> None:
    mask, truth = cubes()
    one, other = desk.masks(mask, truth, objects=False)
    desk.compare(one, other)
    assert not desk.against.stale
    one.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    desk.rest()
    assert desk.against.stale
    desk.against.start(desk.recorder.track(one), other)
    desk.viewer.layers.remove(other)  # while it is compared
    desk.rest()
    assert (desk.against.outcome, desk.against.running, desk.marks()) == (None, None, None)


def test_it_can_be_cancelled(desk: Desk) -> None:
    one, other = desk.masks(*cubes(), objects=False)
    desk.against.start(desk.recorder.track(one), other)
    desk.engine.poll()
    assert desk.against.running is not None
    desk.against.end()
    desk.wait()
    assert (desk.against.outcome, desk.marks()) == (None, None)
    desk.compare(one, other)
    assert desk.against.outcome is not None


@pytest.fixture
def dialog(desk: Desk, qtbot: Any) -> AgainstDialog:
    made = AgainstDialog(desk.viewer, desk.recorder, desk.against)
    qtbot.addWidget(made)
    return made


def test_the_dialog_says_what_to_do_at_every_moment(desk: Desk, dialog: AgainstDialog, tmp_path: Path) -> None:
    mask, truth = cubes()
    (one,) = desk.masks(mask, objects=False)
    dialog.show_for(one)
    assert dialog.words.text().startswith("Open the reference beside this mask first")
    assert not dialog.compare.isEnabled()
    other = desk.viewer.add_labels(truth, name="expert", metadata={OBJECTS: False, CLASSES: ("liver", "spleen")})
    desk.rest()
    assert dialog.reference.currentText() == "expert"
    assert dialog.compare.isEnabled()
    assert not dialog.save.isEnabled()
    dialog.compare.click()
    assert dialog.compare.isHidden()
    said = []
    desk.against.changed.connect(lambda: said.append(dialog.running.words.text()))
    desk.wait()
    assert "Comparing: surfaces of class 2" in said
    assert not dialog.compare.isHidden()
    assert [dialog.figures.item(k, 0).text() for k in range(3)] == ["liver", "spleen", "mean"]
    assert {dialog.list.item(k, 2).text() for k in range(3)} == {"48 voxels", "32 voxels", "9 voxels"}
    assert dialog.count.text() == "3 differences, the thickest first. Choose one to see it."
    assert "worst 5 per cent" in dialog.figures.horizontalHeaderItem(3).toolTip()
    dialog.list.selectRow(2)
    assert desk.viewer.dims.current_step[0] == int(desk.against.outcome.found.listed[2].place[0])
    one.data_setitem((np.array([0]), np.array([0]), np.array([0])), 1)
    desk.rest()
    assert dialog.words.text() == "One of the two was changed since; compare again."
    dialog.write(tmp_path / "c.csv")
    assert dialog.notes.text() == "Saved c.csv, and c differences.csv with 3 lines."
    rows = list(csv.reader((tmp_path / "c.csv").read_text("utf-8-sig").splitlines()))
    assert rows[0] == ["Class", "Dice", "Jaccard", "HD95 voxel", "ASSD voxel"]
    assert float(rows[1][1]) == desk.against.outcome.figures[1][1]
    assert len((tmp_path / "c differences.csv").read_text("utf-8-sig").splitlines()) == 4
    dialog.write(tmp_path / "nowhere" / "c.csv")
    assert "could not be written" in dialog.notes.text()
    desk.viewer.layers.remove(one)
    desk.rest()
    assert dialog.headline.text() == "This mask was closed"
    assert not dialog.compare.isEnabled()
    dialog.show_for(other)
    assert dialog.headline.text() == "expert"
    dialog.leave.click()
    assert dialog.isHidden()


def test_whatever_closes_it_takes_the_marks_away(desk: Desk, dialog: AgainstDialog, qtbot: Any) -> None:
    one, _ = desk.masks(*cubes(), objects=False)
    ways = (dialog.leave.click, dialog.close, lambda: qtbot.keyClick(dialog, Qt.Key.Key_Escape))
    for way in ways:
        dialog.show_for(one)
        dialog.compare.click()
        desk.wait()
        assert desk.marks() is not None
        way()
        assert (dialog.isHidden(), desk.marks()) == (True, None)


def test_figures_against_another_reference_than_the_chosen_one_say_so(desk: Desk, dialog: AgainstDialog) -> None:
    mask, truth = cubes()
    one, _, _ = desk.masks(mask, truth, truth, objects=False)
    dialog.show_for(one)
    assert dialog.reference.currentText() == "mask 2"
    dialog.compare.click()
    desk.wait()
    assert dialog.words.text() == ""
    dialog.reference.setCurrentIndex(1)
    dialog.reference.activated.emit(1)
    assert dialog.words.text() == "These are the figures against mask 2."
    dialog.compare.click()
    desk.wait()
    assert (dialog.words.text(), desk.against.reference.layer.name) == ("", "mask 1")


def test_equal_masks(desk: Desk, dialog: AgainstDialog) -> None:
    one, other = desk.masks(twelve_cells(), twelve_cells())
    dialog.show_for(one)
    dialog.compare.click()
    desk.wait()
    assert dialog.count.text() == "There is nothing to list: each object has a partner."
    assert desk.marks() is None
    assert other in desk.viewer.layers


def test_the_page_to_review_on_opens_it(controller: Controller, qtbot: Any) -> None:
    page = ReviewPage(controller)
    qtbot.addWidget(page)
    assert not page.against.isEnabled()
    controller.viewer.add_image(np.zeros((60, 80), np.float32), name="scan")
    layer = controller.viewer.add_labels(twelve_cells(), name="mask")
    rest(controller)
    page.against.click()
    assert page._dialog is not None
    assert page._dialog.headline.text() == layer.name
    page._dialog.close()
