"""A folder of images, driven without a window and without a process."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
import tifffile
from controlled import paint
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import CASE, Entry
from napari_seg.editing.said import TITLE
from napari_seg.gui.engine import Cancelled, Died, Failed, Finished, Progressed
from napari_seg.gui.folder_state import CaseRow
from napari_seg.gui.layers import volume_of
from napari_seg.gui.results import Target
from napari_seg.gui.runs import Runs
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import Progress
from napari_seg.models.file import read_spec
from napari_seg.models.zoo import shipped
from napari_seg.session.fingerprint import fingerprint
from napari_seg.session.predicted import predictions
from napari_seg.session.projects import FOLDER, session_folder

NAMES = ("a", "b", "c")
SETTINGS = {"device": "cpu", "precision": "fp32", "channel": None}


class Window(controlled.Window):
    """With a model, and an engine that answers."""

    def __init__(self, engine: Any, model: Path) -> None:
        super().__init__(engine)
        self.model = model

    def choose(self, folder: Path) -> None:
        self.batch.choose_folder(folder)
        self.rest()
        self.batch.choose_model(self.model)
        self.rest()

    def open(self, path: Path) -> None:
        self.batch.open(path)
        self.rest()

    def answer(self, labels: np.ndarray, doubt: float = 0.1, **told: Any) -> None:
        """The engine is done with the last order."""
        order = self.engine.orders[-1]
        assert order["verb"] == "predict_file"
        image = read(order["path"], axes=order["axes"])
        known = {
            "labels": labels,
            "axes": "".join(axis for axis in image.axes if axis not in "CS"),
            "settings": {**SETTINGS, "channel": order["settings"]["channel"]},
            "model_hash": "0f",
            "doubt": doubt,
            "image": {
                "axes": image.axes,
                "shape": image.shape,
                "spacing": image.spacing,
                "unit": image.unit,
                "name": image.name,
                "fingerprint": fingerprint(image),
            },
        }
        self.engine.say(Finished(len(self.engine.orders), {**known, **told}))
        self.rest()

    def segment(self, answers: Mapping[str, float] | None = None) -> None:
        """Segment all, with two objects in each mask, and these doubts."""
        self.batch.segment()
        while self.batch.state.running is not None:
            name = Path(self.engine.orders[-1]["path"]).stem
            self.answer(objects(2), (answers or {}).get(name, 0.1))

    @property
    def states(self) -> dict[str, str]:
        return {row.path.stem: row.state for row in self.batch.state.rows}

    def row(self, name: str) -> CaseRow:
        return next(row for row in self.batch.state.rows if row.path.stem == name)


def objects(count: int, shape: tuple[int, ...] = (40, 50)) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for k in range(count):
        labels[..., 5 * k : 5 * k + 3, 3:9] = k + 1
    return labels


@pytest.fixture
def open_window(engine: Any, spots: Path) -> Iterator[Any]:
    made: list[Window] = []

    def make() -> Window:
        made.append(Window(engine, spots))
        return made[-1]

    yield make
    for window in made:
        window.recorder.close()


@pytest.fixture
def window(open_window: Any, folder: Path) -> Window:
    made: Window = open_window()
    made.choose(folder)
    return made


def test_a_folder_is_listed_and_segmented_one_after_the_other(window: Window, folder: Path, engine: Any) -> None:
    state = window.batch.state
    assert (state.folder, state.due, state.summary) == (folder, 3, "3 images")
    assert set(window.states.values()) == {"new"}
    assert state.place == str(folder / FOLDER)
    window.batch.segment()
    assert window.states == {"a": "running", "b": "waiting", "c": "waiting"}
    assert [Path(order["path"]).name for order in engine.orders] == ["a.png"]
    window.answer(objects(3), 0.25)
    assert window.states == {"a": "unseen", "b": "running", "c": "waiting"}
    row = window.row("a")
    assert (row.amount, row.doubt) == ("3 objects", 0.25)
    assert window.batch.state.running.fraction == pytest.approx(1 / 3)
    engine.say(Progressed(len(engine.orders), Progress(1, 2, "Segmenting")))
    window.rest()
    assert window.batch.state.running.fraction == pytest.approx(0.5)
    assert window.batch.state.running.words.startswith("2 of 3: b.png")
    window.answer(objects(1))
    window.answer(objects(0))
    state = window.batch.state
    assert state.running is None
    assert (window.row("b").amount, window.row("c").amount) == ("1 object", "0 objects")
    assert (state.due, state.again, state.can_run) == (0, 0, False)
    assert state.summary == "3 images: 3 unseen"
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png", "c.png", FOLDER]


def test_nothing_is_segmented_before_it_is_known_which_model_suits(open_window: Any, folder: Path, engine: Any) -> None:
    window = open_window()
    window.batch.choose_folder(folder)
    engine.poll()  # the folder is read, the first image is not
    window.batch.tick()
    assert len(window.batch.state.rows) == 3
    assert window.batch.state.looking
    window.batch.segment()
    assert engine.orders == []
    window.rest()
    assert window.batch.state.can_run
    assert dict(window.batch.state.models)[window.batch.state.model] == "nuclei2d"


def test_one_bad_file_does_not_end_the_batch(window: Window, engine: Any) -> None:
    window.batch.segment()
    window.answer(objects(1))
    engine.say(Failed(len(engine.orders), "b.png is no picture; check where it comes from."))
    window.rest()
    assert window.states == {"a": "unseen", "b": "failed", "c": "running"}
    window.answer(objects(1))
    assert window.row("b").why.startswith("b.png is no picture")
    assert (window.batch.state.due, window.batch.state.again) == (0, 1)
    window.batch.segment()  # once more, as the person may have put another file there
    assert engine.orders[-1]["path"].endswith("b.png")
    engine.say(Failed(len(engine.orders), "This is a bug in napari-seg: ValueError: odd", "Traceback"))
    window.rest()
    assert window.row("b").why == "This is a bug in napari-seg: ValueError: odd"


def test_when_the_engine_dies_it_is_tried_with_smaller_tiles_and_then_given_up(window: Window, engine: Any) -> None:
    window.batch.segment()
    engine.say(Died(1, "memory ran out"))
    window.rest()
    assert engine.orders[-1]["path"].endswith("a.png")
    assert tuple(engine.orders[-1]["settings"]["tile"]) == (16, 16)
    engine.say(Died(2, "memory ran out"))
    window.rest()
    assert "stopped twice (memory ran out)" in window.row("a").why
    assert engine.orders[-1]["path"].endswith("b.png")
    assert engine.orders[-1]["settings"]["tile"] is None


def test_cancel_keeps_what_has_come(window: Window, engine: Any) -> None:
    window.batch.segment()
    window.answer(objects(1))
    window.batch.cancel()
    window.rest()
    assert engine.cancelled == [2]
    assert window.batch.state.running.words == "Stopping"
    engine.say(Cancelled(2))
    window.rest()
    assert window.batch.state.running is None
    assert window.states == {"a": "unseen", "b": "new", "c": "new"}
    assert window.batch.state.due == 2


def test_opening_resumes_the_mask_and_closes_the_case_before(window: Window, folder: Path) -> None:
    window.segment()
    other = window.viewer.add_image(np.zeros((9, 9)), name="mine")
    window.open(folder / "a.png")
    assert [layer.name for layer in window.viewer.layers] == ["mine", "a", "a · mask"]
    np.testing.assert_array_equal(window.viewer.layers["a · mask"].data, objects(2))
    assert window.states == {"a": "in work", "b": "unseen", "c": "unseen"}
    mask = window.viewer.layers["a · mask"]
    mask.data_setitem((np.array([30, 30]), np.array([30, 31])), 7)
    mask.data[35, 35] = 9  # without an event
    window.open(folder / "b.png")
    assert [layer.name for layer in window.viewer.layers] == ["mine", "b", "b · mask"]
    assert window.batch.state.current == folder / "b.png"
    assert window.row("a").amount == "4 objects"
    window.open(folder / "a.png")
    found = window.viewer.layers["a · mask"].data
    assert (found[30, 31], found[35, 35]) == (7, 9)
    assert other in window.viewer.layers
    window.viewer.layers.remove("a")  # a person closes it by themselves
    window.rest()
    assert window.batch.state.current is None


def test_a_mask_of_the_case_before_goes_to_that_and_not_to_the_one_that_is_open(
    window: Window, folder: Path, engine: Any, spots: Path
) -> None:
    runs = Runs(window.viewer, engine, window.recorder)
    window.open(folder / "a.png")
    image = window.viewer.layers["a"]
    runs.start(Target(image, volume_of(image), spots, read_spec(spots)), PredictSpec(), None)
    window.open(folder / "b.png")
    told = {"settings": SETTINGS, "model_hash": "0f", "doubt": 0.2, "sizes": [], "notes": [], "seconds": 1.0}
    engine.say(Finished(len(engine.orders), {"labels": objects(2), "axes": "YX", **told}))
    window.rest()
    assert [layer.name for layer in window.viewer.layers] == ["b"]
    assert window.states == {"a": "unseen", "b": "new", "c": "new"}
    assert (window.row("a").amount, window.row("a").doubt) == ("2 objects", 0.2)
    window.open(folder / "a.png")
    image, mask = window.viewer.layers
    np.testing.assert_array_equal(mask.data, objects(2))
    assert window.recorder.track(mask).image is image


def test_what_cannot_be_opened_says_why_and_leaves_the_case_before(window: Window, folder: Path) -> None:
    window.segment()
    window.open(folder / "a.png")
    (folder / "b.png").write_text("not a picture")
    window.open(folder / "b.png")
    assert window.batch.state.current == folder / "a.png"
    assert "check where it comes from" in window.row("b").why
    assert window.row("b").state == "unseen"
    assert window.viewer.status == "b.png cannot be opened; why is said below the list of images."


def test_next_is_the_most_doubtful_that_nobody_has_seen(window: Window, folder: Path) -> None:
    window.segment({"a": 0.1, "b": 0.3, "c": 0.2})
    opened = []
    for _ in NAMES:
        window.batch.open_next()
        window.rest()
        opened.append(window.batch.state.current.stem)
    assert opened == ["b", "c", "a"]
    window.batch.say([folder / "b.png"], "accepted")
    window.rest()
    window.batch.open_next()  # nothing is unseen: what is in work
    window.rest()
    assert window.batch.state.current == folder / "c.png"
    for name in ("a", "c"):
        window.batch.say([folder / f"{name}.png"], "flagged")
    window.rest()
    window.batch.open_next()
    window.rest()
    assert window.batch.state.current == folder / "c.png"  # nothing left
    assert window.batch.state.summary == "3 images: 1 accepted, 2 flagged"


def test_the_order_of_the_list_is_followed(window: Window, folder: Path) -> None:
    window.segment({"a": 0.1, "b": 0.3, "c": 0.2})
    window.batch.open_next([folder / f"{name}.png" for name in "cab"])
    window.rest()
    assert window.batch.state.current == folder / "c.png"


def test_cases_are_judged_open_or_not_and_it_can_be_undone(window: Window, folder: Path) -> None:
    window.segment()
    window.open(folder / "a.png")
    window.batch.say([folder / "a.png", folder / "b.png"], "accepted")
    window.rest()
    window.batch.say([folder / "b.png"], None, "ask Eve")
    window.rest()
    assert window.states == {"a": "accepted", "b": "accepted", "c": "unseen"}
    assert window.row("b").comment == "ask Eve"
    window.batch.say([folder / "b.png"], "flagged")
    window.rest()
    assert (window.row("b").state, window.row("b").comment) == ("flagged", "ask Eve")
    window.viewer.layers["a · mask"].undo()
    window.rest()
    assert window.states["a"] == "in work"


def test_a_case_is_judged_with_its_masks_that_are_not_open(window: Window, folder: Path) -> None:
    window.segment()
    window.open(folder / "a.png")
    paint(window.mask("by hand"), 3, 1)
    window.rest()
    window.viewer.layers.remove("by hand")
    window.rest()
    window.batch.say([folder / "a.png"], "accepted", "ask Eve")
    window.rest()
    assert (window.states["a"], window.row("a").comment) == ("accepted", "ask Eve")
    mask = window.viewer.layers["a · mask"]
    assert window.recorder.rows(window.recorder.track(mask))[CASE].state == "accepted"
    mask.undo()
    window.rest()
    assert window.states["a"] == "in work"
    assert CASE not in window.recorder.rows(window.recorder.track(mask))
    mask.redo()
    window.rest()
    assert window.states["a"] == "accepted"


def test_a_mask_may_be_called_like_the_marks_for_learning(window: Window, folder: Path, open_window: Any) -> None:
    window.choose(folder)
    window.open(folder / "a.png")
    paint(window.mask("deep learning"), 3, 1)
    window.rest()
    assert window.recorder.meant.layer.name == "deep learning"
    assert window.states["a"] == "in work"
    window.batch.say([folder / "a.png"], "accepted")
    window.rest()
    assert window.states["a"] == "accepted"
    window.recorder.close()
    again = open_window()
    again.choose(folder)
    again.open(folder / "a.png")
    (mask,) = (layer for layer in again.viewer.layers if layer.name != "a")
    assert (mask.visible, mask.data[3, 3]) == (True, 1)


def test_all_of_it_is_there_again_in_another_window(window: Window, folder: Path, open_window: Any) -> None:
    window.segment({"a": 0.5})
    window.open(folder / "a.png")
    window.viewer.layers["a · mask"].data_setitem((np.array([30]), np.array([30])), 7)
    window.batch.say([folder / "b.png"], "flagged", "odd")
    window.rest()
    window.recorder.close()
    moved = folder.with_name("moved")
    folder.rename(moved)
    again = open_window()
    again.choose(moved)
    assert again.states == {"a": "in work", "b": "flagged", "c": "unseen"}
    assert (again.row("b").comment, again.row("a").doubt) == ("odd", 0.5)
    again.open(moved / "a.png")
    assert again.viewer.layers["a · mask"].data[30, 30] == 7


def test_a_project_that_is_opened_again_knows_its_model(
    window: Window, folder: Path, spots: Path, open_window: Any, model_file: Any
) -> None:
    """Another one would take the place of masks that nobody has seen."""
    window.segment()
    window.recorder.close()
    again = open_window()
    again.batch.choose_folder(folder)
    again.rest()
    assert (again.batch.state.model, again.batch.state.due) == (spots, 0)
    again.batch.choose_model(model_file("semantic", ndim=2, classes=("cell",)))
    again.rest()
    assert again.batch.state.renewed == 3
    again.recorder.close()
    once_more = open_window()
    once_more.batch.choose_folder(folder)
    once_more.rest()
    assert once_more.batch.state.model == spots


def test_a_project_that_is_opened_again_knows_what_was_adopted_for_its_next_images(
    window: Window, folder: Path, spots: Path, open_window: Any, model_file: Any
) -> None:
    window.segment()
    other = model_file("instance", classes=("other",))
    window.batch.adopt_model(other, spots)
    window.rest()
    assert window.batch.state.model == other
    window.recorder.close()
    again = open_window()
    again.batch.choose_folder(folder)
    again.rest()
    assert again.batch.state.model == other


def test_a_project_whose_model_is_gone_gets_the_one_that_suits(
    window: Window, folder: Path, spots: Path, tmp_path: Path, open_window: Any
) -> None:
    moved = tmp_path / "moved.safetensors"
    shutil.copy(spots, moved)
    window.batch.choose_model(moved)
    window.rest()
    window.segment()
    window.recorder.close()
    moved.unlink()
    again = open_window()
    again.batch.choose_folder(folder)
    again.rest()
    assert again.batch.state.model == shipped()["nuclei2d"]
    assert again.batch.state.findings == ()


def test_masks_that_somebody_has_seen_are_never_predicted_anew(
    window: Window, folder: Path, model_file: Any, engine: Any
) -> None:
    window.segment()
    window.open(folder / "a.png")
    window.batch.say([folder / "b.png"], "accepted")
    window.rest()
    other = model_file("semantic", ndim=2, classes=("cell",))
    window.batch.choose_model(other)
    window.rest()
    assert (window.batch.state.due, window.batch.state.renewed) == (1, 1)
    window.batch.segment()
    assert engine.orders[-1]["path"].endswith("c.png")
    window.answer(objects(5))
    assert window.states == {"a": "in work", "b": "accepted", "c": "unseen"}
    assert (window.row("b").amount, window.batch.state.due) == ("2 objects", 0)
    session = window.batch.project.session
    planes = enumerate(("a · mask", "b · mask", "c · mask"), 1)
    kept = session.writer.call(lambda store: [store.labels(image, plane).max() for image, plane in planes]).result()
    assert kept == [2, 2, 5]


def test_a_case_that_a_person_has_touched_meanwhile_keeps_its_mask(window: Window, folder: Path, spots: Path) -> None:
    window.segment()
    window.batch.choose_channel("")
    project, spec = window.batch.project, read_spec(spots)
    window.open(folder / "a.png")
    image = read(folder / "a.png")
    about = {
        "axes": "YX",
        "shape": image.shape,
        "spacing": None,
        "unit": "pixel",
        "name": "a",
        "fingerprint": fingerprint(image),
    }
    answer = {"labels": objects(5), "axes": "YX", "settings": {}, "model_hash": "", "doubt": 0.0, "image": about}
    project.keep(folder / "a.png", answer, spec)
    window.rest()
    np.testing.assert_array_equal(window.viewer.layers["a · mask"].data, objects(2))
    assert window.row("a").amount == "2 objects"


def test_a_mask_that_the_window_shows_is_not_replaced_behind_it(window: Window, folder: Path, model_file: Any) -> None:
    window.segment()
    window.viewer.add_image(read(folder / "a.png").data, name="dropped")  # not opened from the list: nobody said so
    window.rest()
    assert window.states["a"] == "unseen"
    window.batch.choose_model(model_file("semantic", ndim=2, classes=("cell",)))
    window.rest()
    window.batch.segment()
    assert window.states["a"] == "running"
    window.answer(objects(5))
    np.testing.assert_array_equal(window.viewer.layers["a · mask"].data, objects(2))
    (track,) = window.recorder.tracks()
    kept = track.session.writer.call(lambda store: store.labels(track.row.id, track.plane)).result()
    np.testing.assert_array_equal(kept, objects(2))


def test_an_empty_mask_is_shown_to_be_painted_on(window: Window, folder: Path) -> None:
    window.batch.segment()
    window.answer(objects(0))
    window.open(folder / "a.png")
    assert [layer.name for layer in window.viewer.layers] == ["a", "a · mask"]
    assert not window.viewer.layers["a · mask"].data.any()


def test_a_mask_comes_into_the_case_that_is_open(window: Window, folder: Path) -> None:
    window.open(folder / "a.png")
    assert [layer.name for layer in window.viewer.layers] == ["a"]
    assert window.states["a"] == "new"
    window.segment()
    assert [layer.name for layer in window.viewer.layers] == ["a", "a · mask"]
    assert window.states == {"a": "in work", "b": "unseen", "c": "unseen"}


def test_the_session_knows_the_model_and_the_channel(window: Window, folder: Path) -> None:
    window.segment()
    session = window.batch.project.session
    row = session.writer.call(lambda store: store.images()[0]).result()
    (past,) = session.writer.call(lambda store: predictions(store, row.id)).result()
    assert (past.plane, past.predicted.model, past.predicted.model_hash) == ("a · mask", "tiny instance 2D", "0f")
    assert row.path == "../a.png"


def test_work_that_an_image_has_of_its_own_comes_into_the_folder(
    open_window: Any, folder: Path, sessions: Path, engine: Any
) -> None:
    alone = open_window()
    alone.viewer.add_image(read(folder / "a.png").data, name="a")
    alone.viewer.add_labels(objects(1), name="by hand")
    alone.rest()
    alone.viewer.layers["by hand"].data_setitem((np.array([30]), np.array([30])), 4)
    alone.rest()
    alone.recorder.close()
    assert (sessions / fingerprint(read(folder / "a.png"))).is_dir()
    window = open_window()
    window.choose(folder)
    window.segment()
    assert window.states == {"a": "in work", "b": "unseen", "c": "unseen"}
    window.open(folder / "a.png")
    assert [layer.name for layer in window.viewer.layers] == ["a", "by hand"]
    assert window.viewer.layers["by hand"].data[30, 30] == 4


def test_an_image_that_is_open_with_a_mask_of_its_own_comes_into_the_folder(window: Window, folder: Path) -> None:
    window.viewer.add_image(read(folder / "a.png").data, name="a")
    window.viewer.add_labels(objects(1), name="by hand")
    window.rest()
    layer = window.viewer.layers["by hand"]
    layer.data_setitem((np.array([30]), np.array([30])), 4)
    window.rest()
    assert window.recorder.track(layer).session is not window.batch.project.session
    window.segment()
    assert window.states == {"a": "in work", "b": "unseen", "c": "unseen"}
    track = window.recorder.track(layer)
    assert track.session is window.batch.project.session
    layer.undo()
    window.rest()
    np.testing.assert_array_equal(layer.data, objects(1))
    kept = track.session.writer.call(lambda store: store.labels(track.row.id, "by hand")).result()
    np.testing.assert_array_equal(kept, objects(1))


def test_an_image_of_the_folder_dropped_on_the_view_is_kept_in_the_folder(window: Window, folder: Path) -> None:
    window.segment()
    window.viewer.add_image(read(folder / "c.png").data, name="dropped")
    window.rest()
    (track,) = window.recorder.tracks()
    assert track.session is window.batch.project.session
    np.testing.assert_array_equal(track.layer.data, objects(2))
    window.viewer.add_image(np.zeros((9, 9)), name="another")
    window.viewer.add_labels(np.zeros((9, 9), np.uint8), name="its mask")
    window.rest()
    assert window.recorder.track(window.viewer.layers["its mask"]).session is not window.batch.project.session


def test_what_files_do_not_say_is_asked_once(open_window: Any, tmp_path: Path, engine: Any, model_file: Any) -> None:
    folder = tmp_path / "stacks"
    folder.mkdir()
    for name in NAMES:
        stack = np.random.default_rng(ord(name)).integers(0, 9, (4, 40, 50)).astype(np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", stack, photometric="minisblack", metadata=None)
    window = open_window()
    window.choose(folder)
    assert "dimensions" in window.batch.state.question.text
    assert not window.batch.state.can_run
    window.batch.answer("TYX")
    window.rest()
    assert window.batch.state.question is None
    window.batch.segment()
    assert engine.orders[-1]["axes"] == "TYX"
    window.answer(objects(2, (4, 40, 50)))
    assert window.row("a").amount == "8 objects"
    window.open(folder / "a.tif")
    assert window.viewer.layers[-1].data.shape == (4, 40, 50)


def test_pictures_that_no_model_learned_are_doubted_and_a_person_hears_what_to_do(
    open_window: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "blood"
    folder.mkdir()
    pink = (np.array([230, 180, 210]) + np.random.default_rng(0).integers(0, 20, (40, 50, 3))).astype(np.uint8)
    write(Volume(pink, "YXS"), folder / "a.png")
    window = open_window()
    window.batch.choose_folder(folder)
    window.rest()
    (finding,) = window.batch.state.findings
    assert finding.text.startswith("a.png: This image is in bright colours, ")
    assert finding.text.endswith("to teach one, press Begin an empty mask on the page Correct.")


def test_channels_are_chosen_for_all(open_window: Any, tmp_path: Path, engine: Any) -> None:
    folder = tmp_path / "stained"
    folder.mkdir()
    for name in NAMES[:2]:
        data = np.random.default_rng(ord(name)).integers(0, 255, (2, 40, 50)).astype(np.uint8)
        write(Volume(data, "CYX", (0.5, 0.5), "um", channels=("DAPI", "GFP")), folder / f"{name}.ome.tif")
    window = open_window()
    window.choose(folder)
    assert window.batch.state.channels == ("DAPI", "GFP")
    window.batch.choose_channel("GFP")
    window.batch.segment()
    assert engine.orders[-1]["settings"]["channel"] == "GFP"
    window.answer(objects(2))
    window.answer(objects(2))
    assert window.batch.state.due == 0
    window.recorder.close()
    window = open_window()
    window.batch.choose_folder(folder)
    window.rest()
    assert (window.batch.state.channel, window.batch.state.due) == ("GFP", 0)
    window.batch.choose_channel("DAPI")
    window.rest()
    assert window.batch.state.due == 2  # nobody has seen the others


def test_masks_go_out_with_their_records(window: Window, folder: Path, tmp_path: Path) -> None:
    window.segment()
    window.open(folder / "a.png")
    window.viewer.layers["a · mask"].data[35, 35] = 9  # without an event
    window.batch.say([folder / "b.png"], "accepted", "fine")
    window.rest()
    out = tmp_path / "masks"
    assert window.batch.replaced(out) == 0
    window.batch.save(out)
    assert window.batch.state.running is not None or window.batch.outgoing.running is not None
    for _ in range(3):
        window.rest()
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{name}{end}" for name in NAMES for end in (".png", ".review.json")
    )
    assert int(np.asarray(read(out / "a.png").data).max()) == 9
    record = json.loads((out / "b.review.json").read_text())
    assert record["case"] == {"state": "accepted", "comment": "fine"}
    assert record["prediction"]["model"] == "tiny instance 2D"
    assert json.loads((out / "a.review.json").read_text())["review"]["unseen"] == 3
    with Image.open(out / "b.png") as picture:
        assert json.loads(picture.info["napari_seg"])["model_hash"] == record["prediction"]["model_hash"]
    assert window.batch.state.saved == "Saved 3 masks in masks"
    assert window.batch.replaced(out) == 3
    window.open(folder / "c.png")
    window.mask("second")
    controlled.paint(window.viewer.layers["second"], 3, 1)
    window.rest()
    for name, called in (("c · mask", "nuclei"), ("second", "c · by Ann/2")):
        track = window.recorder.track(window.viewer.layers[name])
        window.recorder.say(track, {TITLE: Entry(comment=called)}, "rename mask")
    window.rest()
    window.batch.save(tmp_path / "more")
    for _ in range(3):
        window.rest()
    saved = sorted(path.name for path in (tmp_path / "more").glob("*.png"))
    assert saved == ["a.png", "b.png", "c_by_Ann_2.png", "c_nuclei.png"]
    assert (tmp_path / "more" / "c_nuclei.review.json").exists()
    assert window.batch.state.saved == "Saved 4 masks in more"
    assert window.batch.replaced(folder) == 0  # it is refused, so that nobody is asked
    window.batch.save(folder)
    window.rest()
    assert window.batch.state.saved == (
        "Your images lie here, and masks would be listed among them; choose another folder, such as masks."
    )
    assert window.batch.proposed_folder() == folder / "masks"
    assert not (folder / "a.review.json").exists()


def test_what_went_out_is_told_by_the_log_and_is_no_work(
    window: Window, folder: Path, tmp_path: Path, open_window: Any
) -> None:
    window.segment()
    out = tmp_path / "masks"
    (out / "b.png").mkdir(parents=True)  # nothing can be written there
    window.batch.save(out)
    for _ in range(3):
        window.rest()
    session = window.batch.project.session
    log = session.writer.call(lambda store: [store.log(image.id) for image in store.images()]).result()
    told = [details["file"] for entries in log for _, _, _, what, _, details in entries if what.startswith("export")]
    assert told == ["a.png", "c.png"]
    window.recorder.close()
    again = open_window()
    again.choose(folder)
    assert again.states == dict.fromkeys(NAMES, "unseen")


def test_a_mask_never_replaces_an_image(window: Window, folder: Path, tmp_path: Path) -> None:
    """A mask is called as its image is, and images of a project lie in many folders."""
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    for place in (elsewhere, out):
        place.mkdir()
    write(Volume(np.full((40, 50), 77, np.uint8), "YX"), elsewhere / "d.png")
    window.batch.add_files([elsewhere / "d.png"])
    window.rest()
    window.segment()
    window.batch.save(elsewhere)
    window.rest()
    assert window.batch.state.saved == (
        "Images of the project lie here, and masks get the same names; choose another folder, such as masks."
    )
    assert window.batch.replaced(elsewhere) == 0
    before = (elsewhere / "d.png").read_bytes()
    window.batch.save(out)
    os.link(elsewhere / "d.png", out / "d.png")  # while the others are written
    for _ in range(4):
        window.rest()
    why = "d.png is an image, and images are never replaced; choose another name or another folder."
    assert window.batch.state.saved == f"Saved 3 masks in out; 1 could not be written. {why}"
    assert window.row("d").why == why
    assert (elsewhere / "d.png").read_bytes() == before
    assert sorted(path.name for path in elsewhere.iterdir()) == ["d.png"]
    window.batch.save(tmp_path / "more")
    for _ in range(5):
        window.rest()
    assert window.batch.state.saved == "Saved 4 masks in more"
    assert window.row("d").why == ""  # what it said is no longer true


def test_a_mask_goes_out_only_with_the_image_that_it_was_made_on(window: Window, folder: Path, tmp_path: Path) -> None:
    window.segment()
    write(Volume(np.random.default_rng(9).integers(0, 255, (40, 50), np.uint8), "YX"), folder / "b.png")
    window.batch.save(tmp_path / "out")
    for _ in range(3):
        window.rest()
    assert "shows another image" in window.row("b").why
    assert not (tmp_path / "out" / "b.png").exists()
    assert (tmp_path / "out" / "a.png").exists()


def test_where_nothing_can_be_written_beside_the_images_it_is_kept_at_home(
    open_window: Any, folder: Path, sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_seg.session.projects.is_writable", lambda place: False)
    assert session_folder(folder).parent == sessions
    window = open_window()
    window.choose(folder)
    window.segment()
    assert window.states["a"] == "unseen"
    assert not (folder / FOLDER).exists()
    window.recorder.close()
    again = open_window()
    again.choose(folder)
    assert again.states["a"] == "unseen"


def test_two_windows_on_one_folder(window: Window, folder: Path, open_window: Any) -> None:
    window.segment()
    second = open_window()
    second.choose(folder)
    assert second.states["a"] == "unseen"
    assert not second.batch.state.can_run
    assert "another window" in second.batch.state.findings[0].text
    second.open(folder / "a.png")
    assert not second.viewer.layers["a · mask"].editable
    second.batch.say([folder / "a.png"], "accepted")
    second.rest()
    assert second.states["a"] == "unseen"


def test_a_folder_without_images_and_one_that_is_no_session(open_window: Any, folder: Path, tmp_path: Path) -> None:
    window = open_window()
    (tmp_path / "empty").mkdir()
    window.choose(tmp_path / "empty")
    assert "choose a folder with images" in window.batch.state.findings[0].text
    (folder / FOLDER).mkdir()
    (folder / FOLDER / "session.sqlite").write_text("not a database, but long enough to look like one" * 9)
    window.choose(folder)
    assert window.batch.state.refused
    assert window.batch.state.rows == ()


def test_another_folder_closes_the_case_and_comes_back(window: Window, folder: Path, tmp_path: Path) -> None:
    window.segment()
    window.open(folder / "a.png")
    other = tmp_path / "other"
    other.mkdir()
    write(Volume(np.zeros((9, 9), np.uint8), "YX"), other / "z.png")
    window.choose(other)
    assert list(window.viewer.layers) == []
    assert window.states == {"z": "new"}
    window.choose(folder)
    assert window.states == {"a": "in work", "b": "unseen", "c": "unseen"}
    assert not window.batch.project.session.read_only


def series(folder: Path, slices: int, uid: str) -> None:
    """Files of one DICOM series."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(slices):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, UID("1.2.840.10008.5.1.4.1.1.2")
        meta.MediaStorageSOPInstanceUID = UID(f"{uid}.{k}")
        made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        made.SeriesInstanceUID, made.SeriesDescription, made.Modality = uid, f"T{uid[-1]}", "MR"
        made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 2 * k], [1, 0, 0, 0, 1, 0]
        made.Rows, made.Columns, made.PixelSpacing = 40, 50, [1, 1]
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
        made.BitsAllocated = made.BitsStored = 8
        made.HighBit = 7
        made.PixelData = np.full((40, 50), k, np.uint8).tobytes()
        made["PixelData"].VR = "OB"
        made.save_as(folder / f"{uid}.{k}.dcm", enforce_file_format=True)


def test_the_series_of_a_study_are_listed_one_by_one(open_window: Any, tmp_path: Path, engine: Any) -> None:
    study = tmp_path / "study"
    shapes = {"1.1": (2, 40, 50), "1.2": (3, 40, 50)}
    for uid, shape in shapes.items():
        series(study / "p1", shape[0], uid)
    write(Volume(np.zeros((9, 9), np.uint8), "YX"), study / "a.png")
    window = open_window()
    window.choose(study)
    assert not window.batch.state.searching
    assert [row.name for row in window.batch.state.rows] == ["a", "p1 · T1", "p1 · T2"]
    for row, shape in zip(window.batch.state.rows[1:], shapes.values(), strict=True):
        window.open(row.path)
        assert window.viewer.layers[0].data.shape == shape
        window.viewer.add_labels(np.ones(shape, np.uint8), name="mask")
        window.rest()
    window.recorder.close()
    again = open_window()
    again.choose(study)
    assert [row.name for row in again.batch.state.rows] == ["a", "p1 · T1", "p1 · T2"]
    again.open(again.batch.state.rows[2].path)
    assert again.viewer.layers[0].data.shape == (3, 40, 50)
    assert again.viewer.layers["mask"].data.all()
