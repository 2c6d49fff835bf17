"""Every change of a labels layer reaches the disk, whoever made it, and can be taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import let_arrive
from napari.components import ViewerModel

from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import CASE, Annotation, Entry, object_key, whole
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import edited
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError
from napari_seg.gui import errands
from napari_seg.gui import watch as module
from napari_seg.gui.arrivals import MADE
from napari_seg.gui.layers import layer_data
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.safety import ResumedStrip
from napari_seg.session.predicted import Predicted
from napari_seg.session.session import Session

SHAPE = (20, 70, 130)


@pytest.fixture
def scan() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)


@pytest.fixture
def opened(engine: Any) -> Iterator[Callable[..., tuple[ViewerModel, Recorder]]]:
    """A viewer with these layers, a recorder, and everything that threads had to do done."""
    made: list[Recorder] = []

    def open_viewer(image: np.ndarray | None, labels: np.ndarray | None = None, **about: Any) -> Any:
        viewer = ViewerModel()
        recorder = Recorder(viewer, engine, "Ann")
        made.append(recorder)
        if image is not None:
            viewer.add_image(image, name="scan")
        if labels is not None:
            viewer.add_labels(labels, name="mask", **about)
        let_arrive(recorder)
        return viewer, recorder

    yield open_viewer
    for recorder in made:
        recorder.close()


def kept(recorder: Recorder, layer: Any) -> np.ndarray:
    """What stands on the disk of a layer."""
    track = recorder.track(layer)
    assert track is not None
    row, times = track.row, range(track.row.times)
    frames = track.session.writer.call(lambda s: [s.labels(row.id, track.plane, t) for t in times]).result()
    return np.stack(frames).reshape(layer.data.shape)


def tools(recorder: Recorder, layer: Any) -> list[str]:
    track = recorder.track(layer)
    assert track is not None
    return [r.tool for r in track.session.writer.call(lambda s: s.history(track.row.id)).result()]


def test_a_stroke_is_on_disk_and_comes_back(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint16))
    layer = viewer.layers["mask"]
    viewer.dims.set_point(0, 5)
    layer.mode = "paint"
    layer.paint((5, 20, 30), 3)
    layer.paint((5, 40, 90), 4)
    painted = layer.data.copy()
    let_arrive(recorder)
    np.testing.assert_array_equal(kept(recorder, layer), painted)
    assert tools(recorder, layer) == ["brush", "brush"]
    assert recorder.safe.steps == 2
    assert recorder.safe.at is not None
    layer.undo()
    assert set(np.unique(layer.data)) == {0, 3}
    layer.undo()
    assert not layer.data.any()
    layer.undo()  # nothing left
    layer.redo()
    layer.redo()
    np.testing.assert_array_equal(layer.data, painted)
    assert len(layer._undo_history) == 0


def test_a_change_without_an_event_is_found(opened: Any, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    layer = viewer.layers["mask"]
    layer.data[7, 3:9] = 5
    monkeypatch.setattr(module, "MINUTE", 0.01)  # all blocks at the next look
    monkeypatch.setattr(module, "LOOK", 0.0)
    for _ in range(3):
        let_arrive(recorder)
    np.testing.assert_array_equal(kept(recorder, layer), layer.data)
    assert tools(recorder, layer) == ["other"]
    layer.undo()
    assert not layer.data.any()


@pytest.mark.parametrize("step", ["undo", "restore"])
def test_a_step_back_does_not_take_what_nobody_told_of(opened: Any, scan: np.ndarray, step: str) -> None:
    """As another plugin writes into the array: it is a step of its own, and comes back."""
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    layer = viewer.layers["mask"]
    viewer.dims.set_point(0, 5)
    layer.mode = "paint"
    layer.paint((5, 20, 30), 3)
    let_arrive(recorder)
    before = layer.data.copy()
    layer.data[5, 40:43, 30] = 7
    written = layer.data.copy()
    if step == "undo":
        layer.undo()
        let_arrive(recorder)
        np.testing.assert_array_equal(layer.data, before)
        layer.redo()
    else:
        recorder.restore(layer, 0)
        let_arrive(recorder)
        assert not layer.data.any()
        layer.undo()
    let_arrive(recorder)
    np.testing.assert_array_equal(layer.data, written)
    np.testing.assert_array_equal(kept(recorder, layer), written)
    assert "other" in tools(recorder, layer)


def test_settle_brings_everything_to_the_disk(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    layer = viewer.layers["mask"]
    layer.data[1, 1, 1] = 9
    assert recorder.settle()
    assert kept(recorder, layer)[1, 1, 1] == 9


def test_another_array_is_one_step(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.full(SHAPE, 2, np.uint8))
    layer = viewer.layers["mask"]
    layer.data = np.full(SHAPE, 70_000, np.uint32)
    let_arrive(recorder)
    assert tools(recorder, layer) == ["replaced"]
    layer.undo()
    assert np.all(layer.data == 2)
    layer.redo()
    assert np.all(layer.data == 70_000)


def test_what_is_said_of_an_object_goes_with_it_where_another_array_takes_its_place(opened: Any) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    labels = np.zeros((64, 64), np.uint16)
    for label, at in enumerate((2, 12, 22), 1):
        labels[at : at + 8, :8] = label
    viewer, recorder = opened(image, labels.copy())
    layer = viewer.layers["mask"]
    track = recorder.track(layer)
    said = {object_key(label): Entry(state="accepted", comment="mitosis", locked=True) for label in (1, 2, 3)}
    said |= {object_key(9): Entry(state="rejected"), CASE: Entry(state="flagged")}  # 9 was deleted
    recorder.say(track, said, "accept")
    let_arrive(recorder)
    other = np.zeros((64, 64), np.uint16)
    other[5:15, :8] = 1  # it is larger, and lies a little further down
    other[50:60, 50:60] = 2  # another object
    layer.data = other
    let_arrive(recorder)
    assert recorder.rows(track).keys() == {object_key(1), object_key(9), CASE}
    assert tools(recorder, layer) == ["replaced", "accept"]
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels)
    assert recorder.rows(track) == said


def test_an_image_that_is_opened_again_has_its_mask(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8), scale=(2, 1, 1))
    layer = viewer.layers["mask"]
    layer.data_setitem((np.array([3, 3]), np.array([4, 5]), np.array([6, 6])), 8)
    before = layer.data.copy()
    recorder.close()
    seen: list[str] = []
    viewer, again = opened(None)
    again.resumed.connect(lambda image, found: seen.append(f"{image.name} {found.steps}"))
    viewer.add_image(scan, name="the same scan", scale=(2, 1, 1))
    let_arrive(again)
    let_arrive(again)
    layer = viewer.layers["mask"]
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_allclose(layer.scale, (2, 1, 1))
    assert seen == ["the same scan 1"]
    layer.undo()
    assert not layer.data.any()


def test_when_work_was_kept_is_no_other_after_it_was_opened_again(
    opened: Any, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = time.time()
    monkeypatch.setattr(time, "time", lambda: clock)
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    clock += 60
    viewer.layers["mask"].data_setitem((np.array([3]), np.array([4]), np.array([6])), 8)
    let_arrive(recorder)
    painted = clock
    assert recorder.safe.at == painted
    recorder.close()
    clock += 3600
    viewer, again = opened(scan)
    let_arrive(again)
    assert (again.safe.steps, again.safe.at) == (1, painted)
    clock += 60
    viewer.add_image(scan[::-1] // 2, name="another")
    viewer.add_labels(np.zeros(SHAPE, np.uint8), name="its mask")
    let_arrive(again)
    viewer.layers["its mask"].data_setitem((np.array([3]), np.array([4]), np.array([6])), 8)
    let_arrive(again)
    assert again.safe.at == clock
    mask = next(layer for layer in viewer.layers if layer.name not in ("scan", "another", "its mask"))
    viewer.layers.selection.active = mask
    assert again.safe.at == painted  # another image was changed since
    clock += 60
    mask.undo()
    let_arrive(again)
    assert again.safe.at == clock


def test_what_is_said_of_work_that_came_back_goes_with_its_image(opened: Any, scan: np.ndarray, qtbot: Any) -> None:
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    viewer.layers["mask"].paint((10, 20, 30), 2)
    recorder.close()
    viewer, again = opened(None)
    strip = ResumedStrip(again)
    qtbot.addWidget(strip)
    viewer.add_image(scan, name="a name that is longer than there is room for in the strip")
    let_arrive(again)
    let_arrive(again)
    assert not strip.isHidden()
    assert "Your work on a name that is l…" in strip.words.text()
    viewer.layers.clear()
    let_arrive(again)
    assert strip.isHidden()


def test_work_on_a_mask_comes_back_when_its_file_is_opened_again(opened: Any, scan: np.ndarray) -> None:
    in_file = np.zeros(SHAPE, np.uint8)
    in_file[:3] = 1
    viewer, recorder = opened(scan, in_file.copy())
    layer = viewer.layers["mask"]
    layer.paint((10, 20, 30), 2)
    worked_on = layer.data.copy()
    recorder.close()
    viewer, again = opened(scan, in_file.copy())
    layer = viewer.layers["mask"]
    np.testing.assert_array_equal(layer.data, worked_on)
    again.restore(layer, 0)  # "start afresh": as the file was
    np.testing.assert_array_equal(layer.data, in_file)
    layer.undo()
    np.testing.assert_array_equal(layer.data, worked_on)


def test_a_mask_that_was_only_opened_is_not_shown_by_itself(opened: Any, scan: np.ndarray) -> None:
    _, recorder = opened(scan, np.ones(SHAPE, np.uint8))
    recorder.close()
    viewer, _ = opened(scan)
    assert [layer.name for layer in viewer.layers] == ["scan"]


def test_a_prediction_is_a_step_and_comes_back(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.ones(SHAPE, np.uint8), metadata={MADE: "predict"})
    layer = viewer.layers["mask"]
    assert tools(recorder, layer) == ["predict"]
    track = recorder.track(layer)
    annotation = recorder.annotation(track)
    edit = edited(annotation, "thresholds", [(whole(SHAPE), np.full(SHAPE, 3))])
    recorder.renew(track, (0,), lambda *_: {0: edit}, "thresholds", None)  # while a threshold moves
    let_arrive(recorder)
    assert tools(recorder, layer) == ["thresholds", "predict"]
    told = Predicted("spots", "0" * 32, {"threshold": 0.5})
    nothing = edited(annotation, "thresholds", [])
    recorder.renew(track, (0,), lambda *_: {0: nothing}, "thresholds", told)
    let_arrive(recorder)
    assert tools(recorder, layer) == ["thresholds", "predict"]
    layer.undo()
    assert np.all(layer.data == 1)
    recorder.close()
    viewer, _ = opened(scan)
    assert np.all(viewer.layers["mask"].data == 1)


def test_edits_and_rows_are_steps(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    layer = viewer.layers["mask"]
    track = recorder.track(layer)
    annotation: Annotation = recorder.annotation(track)
    box = (slice(14, 18), slice(60, 68), slice(60, 68))  # over the border of blocks
    edit = edited(annotation, "stamp", [(box, np.full((4, 8, 8), 300))], {object_key(300): Entry(category=2)})
    recorder.apply(track, edit)
    assert np.all(layer.data[box] == 300)
    assert np.count_nonzero(layer.data) == 4 * 8 * 8
    assert recorder.rows(track) == {object_key(300): Entry(category=2)}
    recorder.say(track, {object_key(300): Entry(2, "accepted")}, "accept")
    let_arrive(recorder)
    np.testing.assert_array_equal(kept(recorder, layer), layer.data)
    assert tools(recorder, layer) == ["accept", "stamp"]
    layer.undo()
    assert recorder.rows(track)[object_key(300)].state == "unseen"
    layer.undo()
    assert recorder.rows(track) == {}
    assert not layer.data.any()


def test_rows_of_a_mask_whose_name_begins_with_that_of_another_are_its_own(opened: Any, scan: np.ndarray) -> None:
    viewer, recorder = opened(scan, np.ones(SHAPE, np.uint8))
    viewer.add_labels(np.full(SHAPE, 2, np.uint8), name="mask: liver")
    let_arrive(recorder)
    mask, liver = (recorder.track(layer) for layer in viewer.layers[1:])
    said = {object_key(2): Entry(state="accepted")}
    recorder.say(liver, said, "accept")
    let_arrive(recorder)
    assert (recorder.rows(mask), recorder.rows(liver)) == ({}, said)
    viewer.layers.remove("mask")
    viewer.add_labels(np.full(SHAPE, 3, np.uint8), name="mask")
    let_arrive(recorder)
    assert recorder.rows(liver) == said


def test_two_windows_on_one_image(opened: Any, scan: np.ndarray) -> None:
    viewer, _ = opened(scan, np.zeros(SHAPE, np.uint8))
    viewer.layers["mask"].paint((5, 20, 30), 3)
    other, second = opened(scan, np.zeros(SHAPE, np.uint8))
    assert not other.layers["mask"].editable
    other.layers["mask"].data = np.ones(SHAPE, np.uint8)
    assert not other.layers["mask"].editable
    assert "another window" in second.safe.trouble
    with pytest.raises(SegError, match="another window"):
        second.apply(second.track(other.layers["mask"]), edited(second.annotation(second.tracks()[0]), "x", []))


def test_films_2d_and_a_mask_without_image(opened: Any) -> None:
    viewer, recorder = opened(None, np.zeros((3, 5, 30, 40), np.uint8))
    layer = viewer.layers["mask"]
    layer.data_setitem((np.array([2]), np.array([4]), np.array([29]), np.array([39])), 6)
    let_arrive(recorder)
    np.testing.assert_array_equal(kept(recorder, layer), layer.data)
    layer.undo()
    assert not layer.data.any()
    viewer.add_labels(np.zeros((1, 1), np.uint8), name="dot")
    let_arrive(recorder)
    viewer.layers["dot"].data_setitem((np.array([0]), np.array([0])), 1)
    let_arrive(recorder)
    assert kept(recorder, viewer.layers["dot"]) == [[1]]


def test_a_picture_put_into_the_mask_of_a_film_is_refused_and_what_was_kept_stays(opened: Any) -> None:
    viewer, recorder = opened(None)
    film = Volume(np.random.default_rng(0).integers(0, 255, (3, 30, 40)).astype(np.uint8), "TYX", name="film")
    for data, about, _ in layer_data(film, "image"):
        viewer.add_image(data, **about)
    layer = viewer.add_labels(np.zeros((3, 30, 40), np.uint8), name="mask")
    let_arrive(recorder)
    layer.data_setitem((np.array([2]), np.array([4]), np.array([5])), 6)
    let_arrive(recorder)
    layer.data = np.ones((30, 40), np.uint8)
    let_arrive(recorder)
    assert "no longer kept; open it anew" in recorder.safe.trouble
    assert not layer.editable
    recorder.close()
    again, second = opened(None)
    for data, about, _ in layer_data(film, "image"):
        again.add_image(data, **about)
    let_arrive(second, 8)
    assert again.layers["mask"].data.nonzero() == ([2], [4], [5])


def test_in_a_film_a_number_means_one_object(opened: Any) -> None:
    film = np.random.default_rng(3).integers(0, 255, (3, 60, 70)).astype(np.uint8)
    labels = np.zeros(film.shape, np.uint16)
    labels[0, 5:15, 5:15], labels[1, 30:40, 30:40], labels[2, 30:40, 30:40] = 1, 2, 3
    labels[0, 50:55, 50:55] = 2
    viewer = ViewerModel()
    recorder = Recorder(viewer, opened(None)[1]._engine)
    for data, about, _ in layer_data(Volume(film, "TYX", name="film"), "image"):
        viewer.add_image(data, **about)
    layer = viewer.add_labels(labels, name="mask")
    let_arrive(recorder)
    track = recorder.track(layer)
    assert track is not None
    assert recorder.annotation(track, 0).following == 4
    layer.data_setitem((np.array([2]), np.array([0]), np.array([0])), 9)
    recorder.settle()
    assert recorder.annotation(track, 0).following == 10
    recorder.say(track, {object_key(k): Entry(state="accepted") for k in (1, 2, 20)}, "accept")
    assert recorder.annotation(track, 0).following == 21

    def gone(time: int, place: tuple[float, float]) -> set[str]:
        edit = TOOLS["delete"].run(recorder.annotation(track, time), Gesture((place,)), TOOLS["delete"].options())
        recorder.apply(track, edit, time)
        return set(edit.rows)

    assert gone(0, (8, 8)) == {object_key(1)}
    assert gone(0, (52, 52)) == set()  # it is there at another time
    assert gone(1, (32, 32)) == {object_key(2)}
    assert set(recorder.rows(track)) == {object_key(20)}
    recorder.close()


def test_where_nothing_can_be_kept_that_is_said(opened: Any, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> Session:
        raise SegError(f"{folder} cannot be made; choose another folder for the session.")

    monkeypatch.setattr(Session, "open", refuse)
    viewer, recorder = opened(scan, np.zeros(SHAPE, np.uint8))
    assert "choose another folder" in recorder.safe.trouble
    viewer.layers["mask"].paint((5, 20, 30), 3)  # painting goes on
    let_arrive(recorder)


@pytest.mark.parametrize("patient", [True, False])
def test_an_array_with_numbers_below_0_is_refused_and_what_was_kept_stays(
    scan: np.ndarray, opened: Any, patient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, recorder = opened(scan, np.ones(SHAPE, np.int32))
    layer, track = viewer.layers["mask"], recorder.tracks()[0]
    if not patient:  # it is looked through while the window goes on
        monkeypatch.setattr(errands, "PATIENCE", 0.0)
        recorder.tick()
    layer.data = np.full(SHAPE, -1, np.int32)
    while recorder.track(layer) is not None:
        assert not (layer.editable and not recorder.busy(track))
        recorder.tick()
    let_arrive(recorder)
    assert "numbers that cannot be kept" in recorder.safe.trouble
    assert not layer.editable
    frames = track.session.writer.call(lambda store: store.labels(track.row.id, track.plane, 0)).result()
    assert (frames == 1).all()


@pytest.mark.parametrize("tool", ["paint", "fill", "polygon", "voxels"])
@pytest.mark.parametrize("what", ["over what is locked", "with what is locked"])
def test_naparis_own_tools_leave_locked_labels_as_they_are(opened: Any, scan: np.ndarray, tool: str, what: str) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5, 10:30, 10:30], labels[5, 10:30, 30:50] = 1, 2
    viewer, recorder = opened(scan, labels.copy())
    layer = viewer.layers["mask"]
    track = recorder.track(layer)
    viewer.dims.set_point(0, 5)
    locked, value = (2, 3) if what == "over what is locked" else (3, 3)
    recorder.lock(track, locked, True)
    let_arrive(recorder)
    steps = recorder.safe.steps
    layer.brush_size, layer.mode = 9, "pan_zoom" if tool == "voxels" else tool
    if tool == "paint":
        with layer.block_history():
            for x in range(20, 40):
                layer.paint((5, 20, x), value)
    elif tool == "fill":
        layer.fill((5, 20, 40), value)
    elif tool == "polygon":
        layer.paint_polygon([(5, 15, 20), (5, 25, 20), (5, 25, 40), (5, 15, 40)], value)
    else:
        layer.data_setitem((np.full(20, 5), np.full(20, 20), np.arange(20, 40)), value)
    let_arrive(recorder)
    np.testing.assert_array_equal(layer.data == 2, labels == 2)
    changed = layer.data != labels
    assert changed.any() == (what == "over what is locked" and tool != "fill")
    assert (layer.data[changed] == value).all()
    assert recorder.safe.steps == steps + changed.any()
    np.testing.assert_array_equal(kept(recorder, layer), layer.data)
    assert "is locked stayed as it was" in viewer.status
    recorder.lock(track, locked, False)
    layer.paint((5, 20, 40), value)
    let_arrive(recorder)
    assert layer.data[5, 20, 40] == value
