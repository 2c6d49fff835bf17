"""A model is measured on a folder in the window: figures, the worst image first, and the images kept as test set."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import PretendEngine
from napari.components import ViewerModel

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Cancelled, Died, Failed, Finished, Progressed
from napari_seg.gui.layers import CLASSES, OBJECTS
from napari_seg.gui.measure_dialog import MeasureDialog
from napari_seg.gui.measuring import ALL, Measuring
from napari_seg.jobs import Progress


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images with labels."""
    for k in range(4):
        labels = np.zeros((20, 30), np.uint8)
        labels[5:15, 5 : 10 + k] = 1
        write(Volume(labels * 90, "YX"), tmp_path / "data" / "images" / f"c{k}.tif")
        write(Volume(labels, "YX"), tmp_path / "data" / "labels" / f"c{k}.tif")
    return tmp_path / "data"


@pytest.fixture
def window(engine: PretendEngine, trainer: PretendEngine) -> Iterator[Controller]:
    controller = Controller(ViewerModel(), engine, trainer=trainer)
    yield controller
    controller.close()


@pytest.fixture
def measuring(window: Controller, engine: PretendEngine, folder: Path, spots: Path) -> Measuring:
    window.measuring.choose_model(spots)
    window.measuring.choose_folder(folder)
    engine.poll()
    return window.measuring


def measured(name: str, dice: float | None, **more: Any) -> dict[str, Any]:
    found = {"name": name, "group": name, "figures": {"spot": {"mean_ap": dice, "ap_50": dice}}, **more}
    return {"measured": found}


def say(engine: PretendEngine, kind: Any, *content: Any) -> None:
    """Of the last order."""
    engine.said.emit(kind(len(engine.orders), *content))


def measure(measuring: Measuring, engine: PretendEngine, *figures: float | None) -> None:
    measuring.start()
    engine.poll()
    for figure in figures:
        say(engine, Finished, measured(engine.orders[-1]["case"]["name"], figure))


def test_the_cases_are_measured_one_after_the_other(measuring: Measuring, engine: PretendEngine, folder: Path) -> None:
    assert (measuring.labelled.images, dict(measuring.labelled.parts), measuring.can_start) == (4, {}, True)
    measure(measuring, engine, 0.5)
    assert [order["verb"] for order in engine.orders] == ["measure"] * 2
    files = {"image": str(folder / "images" / "c0.tif"), "labels": str(folder / "labels" / "c0.tif")}
    assert engine.orders[0]["case"] == {"name": "c0", "group": "c0", "axes": None, **files}
    say(engine, Progressed, Progress(1, 2))
    assert measuring.running.fraction == pytest.approx(1.5 / 4)
    assert measuring.running.words.startswith("2 of 4: c1")
    for figure in (0.9, 0.1, None):
        say(engine, Finished, measured(engine.orders[-1]["case"]["name"], figure))
    assert measuring.running is None
    assert [case.name for case in measuring.outcome.cases] == ["c2", "c0", "c1", "c3"]
    assert measuring.outcome.lines[0].value == pytest.approx(0.5)
    assert measuring.words == ""


def test_a_case_that_fails_is_told_and_the_others_are_measured(measuring: Measuring, engine: PretendEngine) -> None:
    measure(measuring, engine, 0.5)
    say(engine, Failed, "It is torn; copy it again.")
    say(engine, Died, "memory ran out")
    say(engine, Failed, "This is a bug in napari-seg: KeyError: x", "Traceback")
    assert [(case.name, case.why) for case in measuring.outcome.failed] == [
        ("c1", "It is torn; copy it again."),
        ("c2", "The engine stopped (memory ran out); close other programs."),
        ("c3", "This is a bug in napari-seg: KeyError: x"),
    ]


def test_what_was_measured_until_a_cancel_is_shown(measuring: Measuring, engine: PretendEngine) -> None:
    measure(measuring, engine, 0.5, 0.7)
    measuring.cancel()
    assert measuring.running.words == "Stopping"
    assert engine.cancelled == [3]
    say(engine, Cancelled)
    assert measuring.outcome.lines[0].images == 2
    assert measuring.words == "Stopped: 2 images are left out."
    measure(measuring, engine)
    measuring.cancel()
    say(engine, Cancelled)
    assert (measuring.outcome, measuring.running, measuring.can_start) == (None, None, True)


def test_another_choice_drops_what_was_found(
    measuring: Measuring, engine: PretendEngine, organs: Path, tmp_path: Path
) -> None:
    measure(measuring, engine, 0.5)
    measuring.choose_model(organs)
    assert (measuring.outcome, measuring.running, engine.cancelled) == (None, None, [2])
    say(engine, Finished, measured("c1", 0.5))
    assert measuring.outcome is None
    measuring.choose_model(tmp_path / "gone.safetensors")
    assert "gone.safetensors" in measuring.words
    assert measuring.model == organs
    measuring.choose_folder(tmp_path)
    engine.poll()
    assert (measuring.labelled, measuring.can_start) == (None, False)
    assert measuring.words.startswith(f"There is no folder {tmp_path / 'images'}; put images")


def test_held_out_rows_are_proposed(measuring: Measuring, engine: PretendEngine, folder: Path) -> None:
    (folder / "split.csv").write_text("name,split\nc0,train\nc1,train\nc2,test\nc3,test\n")
    measuring.choose_folder(folder)
    engine.poll()
    assert (dict(measuring.labelled.parts), measuring.part) == ({"test": 2, "train": 2}, "test")
    measure(measuring, engine, 0.5, 0.6)
    assert [case.name for case in measuring.outcome.cases] == ["c2", "c3"]
    measuring.choose_part(ALL)
    assert measuring.outcome is None
    measure(measuring, engine, *[0.5] * 4)
    assert len(measuring.outcome.cases) == 4


def test_images_become_the_test_set(measuring: Measuring, engine: PretendEngine, folder: Path) -> None:
    measuring.keep_as_test()
    assert engine.orders == []
    measure(measuring, engine, *[0.5] * 3)
    say(engine, Failed, "It is torn; copy it again.")
    measuring.keep_as_test()
    measuring.keep_as_test()
    assert engine.orders[4:] == [
        {"verb": "mark_test", "images": [str(folder / "images" / f"c{k}.tif") for k in range(3)], "axes": None}
    ]
    assert not measuring.can_keep
    say(engine, Finished, {"new": 3})
    assert measuring.words == "3 images are newly marked as test set; no training takes them any more."
    assert measuring.can_keep


def test_an_image_is_opened_with_its_labels_once(
    measuring: Measuring, engine: PretendEngine, window: Controller, spots: Path
) -> None:
    pages: list[str] = []
    window.asked_for.connect(pages.append)
    measure(measuring, engine, *[0.5] * 4)
    for _ in range(2):
        measuring.open("c2")
        engine.poll()
    image, reference = window.viewer.layers
    assert (image.name, reference.name) == ("c2", "c2 reference")
    np.testing.assert_array_equal(np.asarray(image.data) > 0, np.asarray(reference.data) > 0)
    assert reference.metadata[OBJECTS] is True
    window.tick()
    assert (window.state.model, pages) == (spots, ["Segment"] * 2)
    measuring.open("c9")
    assert len(window.viewer.layers) == 2
    window.viewer.layers.remove(reference)
    measuring.open("c2")
    engine.poll()
    assert [layer.name for layer in window.viewer.layers] == ["c2", "c2 reference"]


def test_a_reference_of_classes_has_the_names_of_the_model(
    measuring: Measuring, engine: PretendEngine, window: Controller, model_file: Callable[..., Path]
) -> None:
    measuring.choose_model(model_file("semantic", classes=("ventricle",)))
    measure(measuring, engine, *[0.5] * 4)
    measuring.open("c1")
    engine.poll()
    about = window.viewer.layers["c1 reference"].metadata
    assert (about[OBJECTS], about[CLASSES]) == (False, ("ventricle",))


class TestDialog:
    @pytest.fixture
    def dialog(self, measuring: Measuring, window: Controller, qtbot: Any, spots: Path) -> MeasureDialog:
        made = MeasureDialog(window.viewer, measuring, window.models)
        qtbot.addWidget(made)
        made.show_with(spots)
        return made

    def test_figures_and_images(self, dialog: MeasureDialog, measuring: Measuring, engine: PretendEngine) -> None:
        assert dialog.words.text() == "4 images with labels."
        assert not dialog.figures.isVisible()
        dialog.measure.click()
        engine.poll()
        assert dialog.running.isVisible()
        assert not dialog.measure.isVisible()
        for k in range(3):
            say(engine, Finished, measured(f"c{k}", (0.4, 0.2, 0.9)[k]))
        say(engine, Failed, "It is torn; copy it again.")
        rows = [[dialog.list.item(line, column).text() for column in range(2)] for line in range(4)]
        assert rows == [["c1", "0.200"], ["c0", "0.400"], ["c2", "0.900"], ["c3", "failed"]]
        assert [dialog.figures.item(1, column).text() for column in range(5)] == ["spot", "AP 0.5", "0.500", "-", "3"]
        assert "3 groups of images, such as patients: an interval takes 5 or more." in dialog.notes.text()
        assert dialog.count.text().endswith("the worst first. 1 image failed: c3: It is torn; copy it again.")

    def test_the_worst_is_opened(
        self, dialog: MeasureDialog, measuring: Measuring, engine: PretendEngine, window: Controller
    ) -> None:
        measure(measuring, engine, 0.4, 0.2, 0.9, 0.3)
        assert not dialog.open.isEnabled()
        dialog.list.selectRow(0)
        dialog.open.click()
        engine.poll()
        assert [layer.name for layer in window.viewer.layers] == ["c1", "c1 reference"]

    def test_what_failed_is_no_test_set(
        self, dialog: MeasureDialog, measuring: Measuring, engine: PretendEngine
    ) -> None:
        dialog.measure.click()
        engine.poll()
        for _ in range(4):
            say(engine, Failed, "It is torn; copy it again.")
        assert not dialog.keep.isEnabled()
        assert dialog.count.text().endswith(" on 0 images. 4 images failed: c0: It is torn; copy it again.")
        orders = len(engine.orders)
        measuring.keep_as_test()
        assert len(engine.orders) == orders

    def test_tables_are_saved(
        self, dialog: MeasureDialog, measuring: Measuring, engine: PretendEngine, tmp_path: Path
    ) -> None:
        assert not dialog.save.isEnabled()
        measure(measuring, engine, 0.4, 0.2, 0.9, 0.3)
        dialog.write(tmp_path / "m.csv")
        assert dialog.words.text() == "Saved m.csv, and m images.csv with 4 images."
        with (tmp_path / "m images.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert (rows[0]["image"], rows[0]["AP 0.5-0.9"]) == ("c1", "0.2")
        dialog.write(tmp_path / "gone" / "m.csv")
        assert dialog.words.text().endswith("choose another folder.")

    def test_what_the_axes_are_is_asked_and_proposed_again(
        self,
        dialog: MeasureDialog,
        measuring: Measuring,
        engine: PretendEngine,
        window: Controller,
        organs: Path,
        tmp_path: Path,
    ) -> None:
        """Nothing is measured before, and all that is done with the images goes by the answer."""
        labels = np.zeros((4, 20, 30), np.uint8)
        labels[:, 5:15, 5:10] = 1
        for kind, values in {"images": labels * 90, "labels": labels}.items():
            (tmp_path / "plain" / kind).mkdir(parents=True)
            tifffile.imwrite(tmp_path / "plain" / kind / "a.tif", values, photometric="minisblack", metadata=None)
        for proposed in ("4 slices of 20 x 30 pixels", "4 slices of 20 x 30 pixels (as you answered before)"):
            measuring.choose_folder(tmp_path / "plain")
            engine.poll()
            measuring.choose_model(organs)
            dialog.measure.click()
            assert not dialog.measure.isEnabled()
            assert engine.orders == []
            assert dialog.question.isVisible()
            choice = dialog.question.choices.findText(proposed)
            dialog.question.choices.activated.emit(choice)
            assert (measuring.axes, dialog.question.isVisible(), dialog.measure.isEnabled()) == ("ZYX", False, True)
        dialog.measure.click()
        engine.poll()
        assert engine.orders[0]["case"]["axes"] == "ZYX"
        say(engine, Finished, measured("a", 0.5))
        measuring.open("a")
        engine.poll()
        assert [layer.data.shape for layer in window.viewer.layers] == [(4, 20, 30)] * 2
        dialog.keep.click()
        assert engine.orders[1]["axes"] == "ZYX"

    def test_distances_between_surfaces_are_measured_of_classes(
        self, dialog: MeasureDialog, measuring: Measuring, engine: PretendEngine, organs: Path
    ) -> None:
        assert not dialog.surfaces.isVisible()
        measuring.choose_model(organs)
        assert dialog.surfaces.isVisible()
        measure(measuring, engine, 0.4, 0.2, 0.9, 0.3)
        assert not any(order["surfaces"] for order in engine.orders)
        dialog.surfaces.click()
        assert measuring.outcome is None
        dialog.measure.click()
        engine.poll()
        assert engine.orders[-1]["surfaces"]
        figures = {"liver": {"dice": 0.5, "jaccard": 0.4, "hd95": 3.25, "assd": 1.5}}
        say(engine, Finished, {"measured": {"name": "c0", "group": "c0", "figures": figures, "unit": "mm"}})
        measuring.cancel()
        say(engine, Cancelled)
        shown = {dialog.figures.item(k, 1).text(): dialog.figures.item(k, 2).text() for k in range(4)}
        assert shown == {"Dice": "0.500", "Jaccard": "0.400", "HD95 mm": "3.250", "ASSD mm": "1.500"}

    def test_a_folder_that_is_none_says_what_to_do(
        self, dialog: MeasureDialog, measuring: Measuring, engine: PretendEngine, tmp_path: Path
    ) -> None:
        measuring.choose_folder(tmp_path)
        engine.poll()
        assert "put images in images/ and labels of the same names in labels/" in dialog.words.text()
        assert not dialog.measure.isEnabled()


def test_the_engine_measures_what_the_command_does(
    measuring: Measuring, engine: PretendEngine, spots: Path, tmp_path: Path, folder: Path
) -> None:
    from napari_seg.engine import Desk, mark_test
    from napari_seg.engine import measure as verb
    from napari_seg.evaluation.measurement import Measured
    from napari_seg.inference.prediction import PredictSpec
    from napari_seg.jobs import run
    from napari_seg.models.model import Model
    from napari_seg.training.measuring import measure as job
    from napari_seg.training.test_set import marked

    measuring.start()
    engine.poll()
    desk, order = Desk(tmp_path), engine.orders[0]
    found = Measured.model_validate(run(verb(desk, order))["measured"])
    assert found in job(Model.load(spots), folder, PredictSpec(**order["settings"])).cases
    assert run(mark_test(desk, {"images": [str(folder / "images" / "c1.tif")], "axes": None})) == {"new": 1}
    assert [mark.name for mark in marked()] == ["c1"]
