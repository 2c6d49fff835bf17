"""A mask that comes goes to its image and to its work; nothing is hidden, or painted on before it is kept."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
from controlled import let_arrive
from napari.components import ViewerModel
from napari.layers import Labels, Layer
from napari.layers._source import layer_source

from napari_seg.data.geometry import Reorder
from napari_seg.data.volume import Source, Volume
from napari_seg.editing.annotation import CASE, Entry, object_key
from napari_seg.gui.arrivals import IMAGE, MADE, PREDICTED
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import MOVED, layer_data, lies_elsewhere, volume_of
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import empty_mask
from napari_seg.gui.revisions import read_steps
from napari_seg.gui.safety import safe_words
from napari_seg.session.cases import say_of_case
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID

SHAPE = (6, 40, 50)


class Window:
    """A viewer and what keeps its masks."""

    def __init__(self, engine: Any) -> None:
        self.viewer = ViewerModel()
        self.recorder = Recorder(self.viewer, engine, "Ann")
        self.resumed: list[str] = []
        self.noted: list[str] = []
        self.recorder.resumed.connect(lambda image, found: self.resumed.append(image.name))
        self.recorder.noted.connect(self.noted.append)

    def rest(self) -> None:
        let_arrive(self.recorder, 6)

    def image(self, data: np.ndarray, name: str = "scan", **about: Any) -> Any:
        layer = self.viewer.add_image(data, name=name, **about)
        self.rest()
        return layer

    def mask(self, data: Any, name: str = "seg", **about: Any) -> Any:
        layer = self.viewer.add_labels(data.copy(), name=name, **about)
        self.rest()
        return layer

    def paint(self, layer: Any, where: tuple[int, ...], label: int) -> None:
        layer.mode = "paint"
        layer.brush_size = 5
        layer.paint(where, label)
        self.rest()

    def kept(self, layer: Any, ending: str = "") -> np.ndarray:
        track = self.recorder.track(layer)
        assert track is not None
        number, plane = track.row.id, track.plane + ending
        return np.asarray(track.session.writer.call(lambda s: s.labels(number, plane)).result())

    def tools(self, layer: Any) -> list[str]:
        track = self.recorder.track(layer)
        assert track is not None
        return [r.tool for r in track.session.writer.call(lambda s: s.history(track.row.id)).result()]

    def masks_of_steps(self, layer: Any) -> list[str]:
        """Which mask each step of the history is said to have changed, the newest first."""
        track = self.recorder.track(layer)
        assert track is not None
        steps = track.session.writer.call(lambda store: read_steps(store, track.row.id, 9)).result()
        return [steps.masks.get(revision.id, "") for revision in steps.revisions]

    def close(self) -> None:
        self.recorder.close()


@pytest.fixture
def window(engine: Any) -> Iterator[Callable[[], Window]]:
    made: list[Window] = []

    def new() -> Window:
        for other in made:
            other.close()
        made.append(Window(engine))
        return made[-1]

    yield new
    for one in made:
        one.close()


def noise(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def square(label: int, at: int = 5) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint16)
    found[2, at : at + 8, at : at + 8] = label
    return found


def copy_of(layer: Any) -> Layer:
    data, about, kind = layer.as_layer_data_tuple()
    return Layer.create(deepcopy(data), {**deepcopy(about), "name": f"{layer.name} copy"}, kind)


def test_a_copy_of_a_mask_is_kept_beside_it(window: Any) -> None:
    here = window()
    here.image(noise(0))
    here.paint(here.mask(np.zeros(SHAPE, np.uint16)), (1, 20, 20), 2)
    here = window()
    here.image(noise(0))
    layer = here.viewer.layers["seg"]
    copy = here.viewer.layers.append(copy_of(layer)) or here.viewer.layers[-1]
    here.rest()
    assert [track.plane for track in here.recorder.tracks()] == ["seg", "seg 2"]
    here.paint(layer, (4, 20, 20), 3)
    here.paint(copy, (3, 10, 10), 4)
    here.recorder.settle()
    mine, its = layer.data.copy(), copy.data.copy()
    here = window()
    here.image(noise(0))
    np.testing.assert_array_equal(here.viewer.layers["seg"].data, mine)
    np.testing.assert_array_equal(here.viewer.layers["seg 2"].data, its)


@pytest.mark.parametrize("changed", [False, True])
def test_what_was_said_of_a_mask_is_said_of_its_copy(window: Any, changed: bool) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(square(1))
    right = {object_key(1): Entry(2, "accepted", "sure", locked=True)}
    here.recorder.say(here.recorder.track(layer), right, "accept")
    here.rest()
    with layer_source(parent=layer):
        copy = copy_of(layer)
    if changed:  # by a program: nobody said anything of these objects
        copy.data[:] = square(1, at=20)
    here.viewer.layers.append(copy)
    here.rest()
    assert here.recorder.rows(here.recorder.track(copy)) == ({} if changed else right)
    assert here.recorder.rows(here.recorder.track(layer)) == right


def test_a_copy_that_nobody_changed_comes_back(window: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(square(1))
    here.viewer.layers.append(copy_of(layer))
    here.paint(layer, (4, 20, 20), 3)
    here.rest()
    here = window()
    here.image(noise(0))
    assert {layer.name for layer in here.viewer.layers} == {"scan", "seg"}  # two files of one name: only opened
    layer = here.viewer.layers["seg"]
    here.viewer.layers.append(copy_of(layer))
    here.rest()
    here = window()
    here.image(noise(0))
    assert {layer.name for layer in here.viewer.layers} == {"scan", "seg", "seg 2"}


def test_a_copy_of_a_mask_whose_image_was_closed_is_kept_with_that(window: Any) -> None:
    here = window()
    first = here.image(noise(0), "a")
    layer = here.mask(np.zeros(SHAPE, np.uint16))
    here.paint(layer, (1, 20, 20), 2)
    here.viewer.layers.remove(first)
    here.image(noise(1), "b")
    here.viewer.layers.append(copy_of(layer))
    copy = here.viewer.layers["seg copy"]
    here.rest()
    here.paint(copy, (3, 10, 10), 4)
    here.recorder.settle()
    assert [(track.row.name, track.plane) for track in here.recorder.tracks()] == [("a", "seg"), ("a", "seg copy")]
    its = copy.data.copy()
    here = window()
    here.image(noise(1), "b")
    assert [layer.name for layer in here.viewer.layers] == ["b"]
    here.image(noise(0), "a")
    np.testing.assert_array_equal(here.viewer.layers["seg copy"].data, its)


def test_a_mask_that_names_a_closed_image_fits_no_other(window: Any) -> None:
    here = window()
    first = here.image(noise(0), "a")
    layer = empty_mask(here.viewer, first)
    here.rest()
    data, about, kind = layer.as_layer_data_tuple()
    here.viewer.layers.clear()
    here.image(noise(1), "b")
    here.rest()
    stray = here.viewer.layers.append(Layer.create(data.copy(), about, kind)) or here.viewer.layers[-1]
    here.rest()
    here.image(noise(2), "c")
    track = here.recorder.track(stray)
    assert track is not None
    assert track.image is None
    assert track.row.name not in ("b", "c")
    assert stray.editable


def test_hand_work_in_a_copy_of_a_predicted_mask_is_nobodys_prediction(window: Any) -> None:
    here = window()
    here.image(noise(0))
    told = Predicted("nuclei", "hash", {})
    layer = here.mask(square(1), metadata={MADE: "predict", PREDICTED: told})
    here.paint(layer, (4, 20, 20), 3)
    here.viewer.layers.append(copy_of(layer))
    here.rest()
    track = here.recorder.track(here.viewer.layers["seg copy"])
    assert track.session.writer.call(lambda s: len(s.predictions(track.row.id))).result() == 1


def test_an_image_in_channels_resumes_its_mask_once(window: Any) -> None:
    volume = Volume(noise(1, (3, 40, 50)), "CYX", name="stack", channels=("a", "b", "c"))

    def add(here: Window) -> None:
        for data, about, _ in layer_data(volume, "image"):
            here.viewer.add_image(data, **about)
        here.rest()

    here = window()
    add(here)
    layer = empty_mask(here.viewer, here.viewer.layers[0])
    here.rest()
    here.paint(layer, (20, 20), 2)
    here = window()
    add(here)
    assert [layer.name for layer in here.viewer.layers][3:] == ["stack a · mask"]
    assert len(here.resumed) == 1


def test_another_mask_of_that_name_is_shown_and_each_has_its_work(window: Any) -> None:
    first, second = square(1), square(7, 20)
    here = window()
    here.image(noise(0))
    layer = here.mask(first)
    here.paint(layer, (4, 20, 20), 2)
    mine = layer.data.copy()

    def open_both(mask: np.ndarray) -> tuple[Window, Any]:
        here = window()
        here.viewer.add_image(noise(0), name="scan")
        return here, here.mask(mask)

    here, layer = open_both(second)
    np.testing.assert_array_equal(layer.data, second)
    assert here.resumed == []
    assert "Ctrl+Z" in here.noted[0]
    here.paint(layer, (1, 30, 30), 8)
    others = layer.data.copy()
    here, layer = open_both(first)  # the first again: the work on it is here
    np.testing.assert_array_equal(layer.data, mine)
    assert here.resumed == ["scan"]
    here.paint(layer, (0, 30, 30), 3)
    mine = layer.data.copy()
    here, layer = open_both(second)
    np.testing.assert_array_equal(layer.data, others)
    here.recorder.start_afresh(layer)
    here.rest()
    here, layer = open_both(first)
    np.testing.assert_array_equal(layer.data, mine)
    layer.undo()
    here.rest()
    assert layer.data.any()


def test_a_way_back_from_a_file_that_was_changed_elsewhere(window: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(square(1))
    here.paint(layer, (4, 20, 20), 2)
    mine = layer.data.copy()
    track = here.recorder.track(layer)
    here.recorder.export([track], "seg.nii.gz")[1].result()
    here.paint(layer, (3, 20, 20), 2)
    newer = layer.data.copy()
    here = window()
    here.viewer.add_image(noise(0), name="scan")
    layer = here.mask(mine)  # what was exported: the work went on here
    np.testing.assert_array_equal(layer.data, newer)
    changed = mine.copy()
    changed[0, :5] = 9
    here = window()
    here.viewer.add_image(noise(0), name="scan")
    layer = here.mask(changed)
    np.testing.assert_array_equal(layer.data, changed)
    layer.undo()
    here.rest()
    np.testing.assert_array_equal(layer.data, newer)


def test_an_image_of_more_axes_than_can_be_segmented_is_let_be(window: Any) -> None:
    shown = window()
    shown.image(np.zeros((2, 2, 2, 2, 8, 8), np.uint8), "positions")
    shown.image(np.ones((40, 50)))
    mask = shown.mask(np.zeros((40, 50), np.uint16))
    shown.paint(mask, (10, 10), 3)
    assert (shown.kept(mask) == mask.data).all()
    assert shown.recorder.track(mask).image.name == "scan"


def test_nobody_paints_on_a_mask_before_it_is_kept(window: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.viewer.add_labels(np.zeros(SHAPE, np.uint16), name="seg")
    assert not layer.editable
    layer.mode = "paint"
    assert layer.mode == "pan_zoom"
    layer.data = layer.data.copy()  # opens it, says napari
    assert not layer.editable
    assert "seg can be painted on as soon as" in safe_words(here.recorder.safe)
    here.rest()
    assert layer.editable
    assert "can be painted" not in safe_words(here.recorder.safe)


def test_what_a_program_writes_meanwhile_is_kept(window: Any) -> None:
    here = window()
    here.image(noise(0))
    here.paint(here.mask(square(1)), (4, 20, 20), 2)
    here = window()
    here.viewer.add_image(noise(0), name="scan")
    layer = here.viewer.add_labels(square(1), name="seg")
    here.recorder._engine.poll()
    layer.paint((1, 20, 20), 4)
    here.rest()
    assert set(np.unique(layer.data)) == {0, 1, 4}
    np.testing.assert_array_equal(here.kept(layer), layer.data)
    layer.undo()
    here.rest()
    assert 2 in layer.data


def test_nobody_waits_for_a_session_while_an_image_is_looked_at() -> None:
    engine, looked, heard = Engine(), threading.Event(), list[int]()
    try:
        engine.later(looked.wait, lambda _: None, "checks")
        engine.later(lambda: 1, heard.append)
        until = time.monotonic() + 20
        while not heard and time.monotonic() < until:
            engine.poll()
        assert heard == [1]
    finally:
        looked.set()
        engine.close()


@pytest.mark.parametrize("labels", [np.full(SHAPE, -1, np.int32), dask.array.ones(SHAPE, dtype=np.uint8)])
def test_what_cannot_be_kept_is_closed_and_said(window: Any, labels: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(labels)
    assert here.recorder.track(layer) is None
    assert not layer.editable
    assert safe_words(here.recorder.safe).startswith("Not kept: seg ")


@pytest.mark.parametrize(
    "labels", [np.full(SHAPE, -1, np.int32), dask.array.ones(SHAPE, dtype=np.uint8), square(1)[1:]]
)
def test_a_mask_that_becomes_one_is_closed_too(window: Any, labels: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(square(1))
    layer.data = labels
    here.rest()
    assert here.recorder.track(layer) is None
    assert not layer.editable
    assert safe_words(here.recorder.safe).startswith("Not kept: seg ")


def test_a_mask_in_a_damaged_session_is_closed(window: Any, sessions: Path) -> None:
    here = window()
    here.image(noise(0))
    here.mask(square(1))
    here.close()
    (file,) = sessions.glob("*/session.sqlite")
    file.write_bytes(b"garbage" * 1000)
    here = window()
    here.image(noise(0))
    assert not here.mask(square(1)).editable
    assert "backup" in safe_words(here.recorder.safe)


def test_a_damaged_block_costs_that_block_alone(window: Any, sessions: Path) -> None:
    here = window()
    shape = (20, 70, 130)
    here.image(noise(3, shape))
    layer = here.mask(np.zeros(shape, np.uint16))
    here.paint(layer, (3, 20, 20), 2)
    here.paint(layer, (18, 60, 120), 3)
    mine = layer.data.copy()
    here.close()
    (file,) = sessions.glob("*/session.sqlite")
    found = sqlite3.connect(file)
    found.execute("UPDATE blobs SET data = x'01dead' WHERE rowid = 1")
    found.commit()
    found.close()
    here = window()
    here.image(noise(3, shape))
    layer = here.viewer.layers["seg"]
    assert set(np.unique(layer.data)) < {0, 2, 3}
    assert layer.data.any()
    assert "restore" in here.noted[-1]
    assert here.tools(layer) == ["brush", "brush"]
    here.paint(layer, (3, 20, 24), 5)
    here.paint(layer, (18, 60, 124), 6)
    np.testing.assert_array_equal(here.kept(layer), layer.data)
    assert here.recorder.safe.lost == 0
    assert (layer.data == mine).sum() > 0


def test_only_a_mask_of_the_same_image_hides_the_work(window: Any) -> None:
    here = window()
    here.image(noise(0))
    here.paint(here.mask(np.zeros(SHAPE, np.uint16)), (1, 20, 20), 2)
    here = window()
    here.image(noise(9, (5, 30, 30)), "other")
    here.mask(np.zeros((5, 30, 30), np.uint16))
    here.image(noise(0), "seg")
    assert len(here.resumed) == 1
    assert [layer.name for layer in here.viewer.layers] == ["other", "seg", "seg [1]", "seg [2]"]


def test_a_mask_belongs_to_the_image_that_is_selected(window: Any) -> None:
    here = window()
    first = here.image(noise(1), "first")
    here.image(noise(2), "second")
    here.viewer.layers.selection.active = first
    layer = here.mask(square(1))
    assert here.recorder.track(layer).image is first
    assert "first" in here.noted[0]


def test_a_mask_that_came_before_its_image_goes_to_it(window: Any) -> None:
    here = window()
    layer = here.mask(square(1))
    here.paint(layer, (4, 20, 20), 2)
    image = here.image(noise(4))
    assert here.recorder.track(layer).image is image
    here.paint(layer, (1, 20, 20), 3)
    mine = layer.data.copy()
    here = window()
    here.image(noise(4))
    np.testing.assert_array_equal(here.viewer.layers["seg"].data, mine)
    here = window()  # nothing was painted before the image came
    here.viewer.add_labels(square(2), name="early")
    image = here.image(noise(5))
    assert here.recorder.track(here.viewer.layers["early"]).image is image


def test_what_was_said_of_a_closed_case_is_known(window: Any) -> None:
    here = window()
    image = here.image(noise(0))
    layer = here.mask(square(1))
    here.paint(layer, (4, 20, 20), 2)
    track = here.recorder.track(layer)
    here.viewer.layers.clear()
    here.rest()
    verdict = Entry(state="accepted")
    track.session.writer.call(lambda s: say_of_case(s, track.row.id, verdict, 1.0, "Ann")).result()
    here.image(noise(0))
    track = here.recorder.track(here.viewer.layers["seg"])
    assert image is not track.image
    known = here.recorder._ledger._rows[track.key]
    assert known == track.session.writer.call(lambda s: s.rows(track.row.id)).result()
    assert f"seg: {CASE}" in known


def test_a_new_prediction_is_shown_where_the_mask_was_closed(window: Any) -> None:
    here = window()
    here.image(noise(0))

    def predicted(mask: np.ndarray, by: str) -> Any:
        return here.mask(mask, metadata={MADE: "predict", PREDICTED: Predicted(by, by, {})})

    layer = predicted(square(1), "old")
    here.paint(layer, (4, 20, 20), 5)
    mine = layer.data.copy()
    here.viewer.layers.remove(layer)
    here.rest()
    layer = predicted(square(3, 20), "new")
    np.testing.assert_array_equal(layer.data, square(3, 20))
    track = here.recorder.track(layer)
    record = here.recorder.export([track], "seg.nii.gz")[1].result()
    assert record["prediction"]["model"] == "new"
    layer.undo()
    here.rest()
    np.testing.assert_array_equal(layer.data, mine)
    record = here.recorder.export([track], "seg.nii.gz")[1].result()
    assert record["prediction"]["model"] == "old"


def test_start_afresh_is_the_prediction_and_says_so(window: Any) -> None:
    here = window()
    here.image(noise(0))
    told = {MADE: "predict", PREDICTED: Predicted("nuclei", "hash", {})}
    layer, other = here.mask(square(1), metadata=told), here.mask(square(4, 20), "other")
    here.paint(layer, (4, 20, 20), 5)
    here.paint(other, (4, 20, 20), 6)
    here.recorder.start_afresh(layer)
    here.rest()
    np.testing.assert_array_equal(layer.data, square(1))
    np.testing.assert_array_equal(other.data, square(4, 20))
    track = here.recorder.track(layer)
    assert here.recorder.export([track], "a")[1].result()["prediction"]["model"] == "nuclei"
    here.recorder.restore(layer, 0)  # before the prediction
    here.rest()
    assert not layer.data.any()
    assert here.recorder.export([track], "a")[1].result()["prediction"] is None


def test_the_size_of_a_voxel_follows_the_image(window: Any) -> None:
    def add(spacing: tuple[float, ...]) -> Window:
        here = window()
        (data, about, _), *_ = layer_data(Volume(noise(0), "ZYX", spacing=spacing, unit="mm", name="ct"), "image")
        here.viewer.add_image(data, **about)
        here.rest()
        return here

    here = add((1.0, 1.0, 1.0))
    layer = empty_mask(here.viewer, here.viewer.layers[0])
    here.rest()
    here.paint(layer, (1, 20, 20), 2)
    here = add((3.0, 0.5, 0.5))
    image, layer = here.viewer.layers
    track = here.recorder.track(layer)
    assert here.recorder.annotation(track).spacing == (3.0, 0.5, 0.5)
    image.scale = (4.0, 0.5, 0.5)
    assert here.recorder.annotation(track).spacing == (4.0, 0.5, 0.5)
    assert volume_of(image).spacing == (4.0, 0.5, 0.5)
    here.rest()
    number = track.row.id
    assert track.session.writer.call(lambda s: s.image(number).spacing).result() == (4.0, 0.5, 0.5)


def test_a_mask_that_came_before_its_image_is_not_taken_for_one_that_is_turned(window: Any, tmp_path: Path) -> None:
    """Opened after its image it would have been turned as that; so it lies mirrored, and nobody would be told."""
    here = window()
    sources = (Source(tmp_path / "scan.nii.gz", "nifti", reorder=Reorder((2, 1, 0), (True, True, False))), None)
    mask = Volume(square(1), "ZYX", source=Source(tmp_path / "mask.tif", "tiff"))
    layer = here.viewer.add_layer(Layer.create(*layer_data(mask, "labels")[0]))
    for source, found in zip(sources, (0, 1), strict=True):
        ct = Volume(noise(0), "ZYX", (1.0, 1.0, 1.0), "mm", np.diag([-1.0, -1, -1, 1])[[2, 1, 0, 3]], source=source)
        image = here.viewer.add_layer(Layer.create(*layer_data(ct, "image")[0]))
        here.rest()
        assert len(here.recorder.arrivals.images_for(layer)) == found
        here.viewer.layers.remove(image)
        here.rest()


def test_an_image_that_is_opened_again_lies_under_its_masks(window: Any) -> None:
    """And under what was drawn on it, but not under another image."""
    here = window()
    ground, image, other = (here.image(noise(k), f"{k}") for k in range(3))
    masks = [here.mask(square(value), f"mask {value}", metadata={IMAGE: str(image.unique_id)}) for value in (1, 2)]
    assert [track.image for track in here.recorder.tracks()] == [image, image]
    points = here.viewer.add_points(np.zeros((1, 3)))
    for _ in range(2):
        here.viewer.layers.remove(image)
        since = here.image(noise(3), "since")
        image = here.image(noise(1), "1")
        assert list(here.viewer.layers) == [ground, other, since, image, *masks, points]
        here.viewer.layers.remove(since)


def test_channels_of_an_image_that_is_opened_again_lie_under_its_masks(window: Any) -> None:
    here = window()

    def add() -> list[str]:
        volume = Volume(noise(0, (2, *SHAPE)), "CZYX", channels=("a", "b"), name="scan")
        for data, about, _ in layer_data(volume, "image"):
            here.viewer.add_image(data, **about)
        here.rest()
        return [layer.name for layer in here.viewer.layers]

    first, second = add()
    here.mask(square(1), "mask")
    for name in (first, second):
        here.viewer.layers.remove(name)
    assert add() == [first, second, "mask"]


def opened(here: Window, labels: np.ndarray, name: str) -> Any:
    """A mask that comes from a file."""
    with layer_source(path=f"{name}.tif"):
        return here.mask(labels, name)


def test_work_on_a_mask_without_its_image_is_there_when_it_comes_with_it(window: Any) -> None:
    here = window()
    layer = opened(here, square(1), "scan_seg")
    here.paint(layer, (4, 20, 20), 2)
    mine = layer.data.copy()
    for _ in range(2):  # from then on it is known there, and the newer work on it
        here = window()
        image = here.viewer.add_image(noise(0), name="scan")
        layer = opened(here, square(1), "scan_seg")
        assert here.recorder.track(layer).image is image
        np.testing.assert_array_equal(layer.data, mine)
        np.testing.assert_array_equal(here.kept(layer), mine)
        np.testing.assert_array_equal(here.kept(layer, SAID) > 0, mine != square(1))  # it is learned from
        assert "scan_seg" in here.resumed or "scan" in here.resumed
        assert here.noted == []
        here.paint(layer, (3, 10, 20), 3)
        mine = layer.data.copy()
    for _ in range(3):  # two strokes, and what came with the mask
        layer.undo()
        here.rest()
    np.testing.assert_array_equal(layer.data, square(1))
    layer.redo()
    here.rest()
    twice = opened(here, square(1), "scan_seg")
    np.testing.assert_array_equal(twice.data, square(1))
    here = window()
    layer = opened(here, square(2), "other_seg")
    here.image(noise(0))
    np.testing.assert_array_equal(layer.data, square(2))
    assert here.noted == []
    here = window()
    here.image(noise(1))
    layer = opened(here, np.zeros(SHAPE, np.uint16), "empty")  # as every empty mask
    assert here.recorder.track(layer).image is not None


def test_what_was_said_of_a_mask_without_its_image_comes_with_it(window: Any) -> None:
    for painted in (False, True):
        here = window()
        name = f"scan_seg{painted}"
        layer = opened(here, square(1), name)
        if painted:
            here.paint(layer, (4, 20, 20), 2)
        right = {object_key(1): Entry(state="accepted", comment="sure")}
        here.recorder.say(here.recorder.track(layer), right, "accept")
        here.rest()
        here = window()
        here.image(noise(int(painted)))
        layer = opened(here, square(1), name)
        track = here.recorder.track(layer)
        assert track.image is not None
        assert here.recorder.rows(track) == right


@pytest.mark.parametrize("beside", [False, True])
def test_what_was_said_of_the_objects_of_one_file_is_not_said_of_those_of_another(window: Any, beside: bool) -> None:
    here = window()
    here.image(noise(0))
    layer = opened(here, square(1), "scan_seg")
    right = {object_key(1): Entry(state="accepted")}
    here.recorder.say(here.recorder.track(layer), right, "accept")
    here.rest()
    here = window()
    here.image(noise(0))
    here.rest()
    assert [mask.name for mask in here.viewer.layers if isinstance(mask, Labels)] == ["scan_seg"]  # the review goes on
    here = window()
    if beside:
        here.image(noise(0))
        here.viewer.layers.remove("scan_seg")
        here.mask(square(3), "another")
        here.rest()
    layer = opened(here, square(1, at=20), "scan_seg")
    if not beside:
        here.image(noise(0))
    assert here.recorder.rows(here.recorder.track(layer)) == {}
    assert [words[:36] for words in here.noted] == ["scan_seg is not the mask of that nam"]
    layer.undo()
    here.rest()
    np.testing.assert_array_equal(layer.data, square(1))
    assert here.recorder.rows(here.recorder.track(layer)) == right


@pytest.mark.parametrize("named", [True, False])
def test_it_is_said_of_which_image_a_mask_with_work_is_from_now_on(window: Any, named: bool) -> None:
    here = window()
    layer = opened(here, square(1), "scan_seg" if named else "cells_seg")
    here.paint(layer, (4, 20, 20), 2)
    image = here.image(noise(0))
    assert here.recorder.track(layer).image is image
    assert [*here.viewer.layers] == [image, layer]  # it is seen
    said = [] if named else ["cells_seg is kept as a mask of scan. If that is wrong"]
    assert [words[: len(wanted)] for words, wanted in zip(here.noted, said, strict=True)] == said


def test_a_mask_that_was_moved_is_not_written_as_if_it_were_not(window: Any, tmp_path: Path) -> None:
    from napari_seg.errors import SegError
    from napari_seg.gui.manifest import write_labels

    here = window()
    volume = Volume(noise(0), "ZYX", spacing=(2.0, 1.0, 1.0), unit="mm", name="ct")
    (data, about, _), *_ = layer_data(volume, "image")
    image = here.viewer.add_image(data, **about)
    layer = empty_mask(here.viewer, image)
    here.rest()
    assert not lies_elsewhere(layer, image)
    layer.translate = (0, 5, 0)
    assert lies_elsewhere(layer, image)
    with pytest.raises(SegError, match=MOVED[:20]):
        write_labels(str(tmp_path / "seg.nii.gz"), *layer.as_layer_data_tuple()[:2])
    layer.translate = image.translate
    layer.scale = (2.0, 2.0, 2.0)
    assert lies_elsewhere(layer, image)


def test_a_step_in_a_closed_mask_shows_it(window: Any) -> None:
    here = window()
    here.image(noise(0))
    first, second = here.mask(square(1), "first"), here.mask(square(2), "second")
    here.paint(first, (4, 20, 20), 5)
    here.viewer.layers.remove(first)
    here.rest()
    second.undo()
    here.rest()
    np.testing.assert_array_equal(here.viewer.layers["first"].data, square(1))
    assert "first" in here.noted[-1]


def test_a_step_that_said_something_of_a_closed_mask_shows_it_too_and_the_history_names_masks(window: Any) -> None:
    here = window()
    here.image(noise(0))
    first = opened(here, square(1), "first")
    here.recorder.lock(here.recorder.track(first), 1, True)
    here.rest()
    assert here.masks_of_steps(first) == [""]
    here.viewer.layers.remove(first)
    second = opened(here, square(2), "second")
    assert here.masks_of_steps(second) == ["first"]
    here.recorder.undo(second)
    here.rest()
    assert "first" in here.viewer.layers
    assert [words[:49] for words in here.noted] == ["That step was made in a mask that is not open, wh"]


def test_a_new_blank_mask_is_blank(window: Any) -> None:
    here = window()
    here.paint(here.mask(np.zeros((40, 50), np.uint8), "Labels"), (20, 20), 2)
    here = window()
    layer = here.mask(np.zeros((40, 50), np.uint8), "Labels")
    assert not layer.data.any()
    assert here.noted
    layer.undo()
    here.rest()
    assert layer.data.any()


def test_a_name_that_means_something_in_a_session_gets_another(window: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(square(1), "seg/said")
    here.paint(layer, (4, 20, 20), 5)
    np.testing.assert_array_equal(here.kept(layer), layer.data)
    assert here.recorder.safe.trouble == ""


def test_what_was_written_without_an_event_is_known_to_tools(window: Any) -> None:
    here = window()
    here.image(noise(0))
    layer = here.mask(square(1))
    track = here.recorder.track(layer)
    assert here.recorder.annotation(track).following == 2
    layer.data[0, :4, :4] = 5
    here.recorder.sweep()
    here.rest()
    found = here.recorder.annotation(track)
    assert found.following == 6
    assert found.extents[5] is not None
