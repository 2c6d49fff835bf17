"""What the panel does, driven without a window and without a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest
from napari.components import ViewerModel

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError
from napari_seg.gui import checking, errands, known_models, runs
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Cancelled, Died, Failed, Finished, Progressed
from napari_seg.gui.late import KEPT, KEPT_OPEN, LOST
from napari_seg.gui.layers import layer_data
from napari_seg.gui.recorder import ANOTHER_SHOWN
from napari_seg.gui.results import empty_mask, new_mask
from napari_seg.gui.state import Failure, Outcome, Thresholds
from napari_seg.jobs import Progress
from napari_seg.models.zoo import shipped
from napari_seg.session.predicted import Predicted, predictions
from napari_seg.session.store import Store

SETTINGS = {"device": "cpu", "precision": "fp32", "threshold": None, "seeds": None, "smallest": None}
TOLD = {"notes": [], "seconds": 3.2, "settings": SETTINGS, "model_hash": "0f", "doubt": 0.1}


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def controller(viewer: ViewerModel, engine: Any, spots: Path) -> Iterator[Controller]:
    made = Controller(viewer, engine)
    made.choose_model(spots)
    made.tick()
    yield made
    made.close()


def arrive(engine: Any, labels: np.ndarray, **answer: Any) -> None:
    """The answer of the engine comes."""
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    sizes = [[int(v), int(n)] for v, n in zip(values, counts, strict=True)]
    content = {"labels": labels, "axes": "YX", "sizes": sizes, **TOLD}
    engine.say(Finished(len(engine.orders), {**content, **answer}))


def finish(controller: Controller, engine: Any, labels: np.ndarray, **answer: Any) -> None:
    arrive(engine, labels, **answer)
    rest(controller)


def objects(shape: tuple[int, ...], count: int) -> np.ndarray:
    labels = np.zeros(shape, np.uint8)
    for k in range(count):
        labels[5 * k : 5 * k + 4, 10:20] = k + 1
    return labels


def outcome(controller: Controller) -> Outcome:
    found = controller.state.outcome
    assert found is not None
    return found


def test_nothing_open(controller: Controller) -> None:
    assert controller.state.phase == "empty"
    assert not controller.state.can_run
    controller.run()
    assert controller.state.phase == "empty"


def test_ready_says_what_it_gets(controller: Controller, viewer: ViewerModel, picture: np.ndarray) -> None:
    viewer.add_image(picture, name="cells", scale=(0.5, 0.5), units=("um", "um"))
    controller.tick()
    assert controller.state.phase == "ready"
    assert controller.state.checking
    rest(controller)
    state = controller.state
    assert state.image_words == "128 x 96, 0.5 x 0.5 µm"
    assert "1 channel, 2D" in state.model_words
    assert state.preview.shape == picture.shape
    assert state.forecast
    assert state.can_run


def test_the_selected_image_is_the_one(controller: Controller, viewer: ViewerModel, picture: np.ndarray) -> None:
    first, second = viewer.add_image(picture), viewer.add_image(picture[:50])
    controller.tick()
    assert controller.state.image == str(second.unique_id)
    viewer.layers.selection.active = first
    controller.tick()
    assert controller.state.image == str(first.unique_id)
    viewer.add_labels(np.zeros((5, 5), int))
    controller.tick()
    assert controller.state.image == str(first.unique_id)
    viewer.layers.remove(first)
    controller.tick()
    assert controller.state.image == str(second.unique_id)


def test_a_channel_that_was_chosen_waits_while_another_image_lacks_it(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    grey = viewer.add_image(picture)
    colours = viewer.add_image(np.stack([picture] * 3, -1).astype(np.uint8), rgb=True)
    controller.set_options(channel="red")
    for image, channel in ((colours, "red"), (grey, None), (colours, "red")):
        viewer.layers.selection.active = image
        rest(controller)
        assert controller.state.can_run, controller.state.findings
        controller.run()
        assert engine.orders[-1]["settings"]["channel"] == channel
        controller.cancel()
        engine.say(Cancelled(len(engine.orders)))


def test_what_does_not_fit_is_refused_before_the_run(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, organs: Path, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.choose_model(organs)
    rest(controller)
    (refusal,) = [finding for finding in controller.state.findings if finding.level == "refusal"]
    assert "choose a 2D model" in refusal.text
    controller.run()
    assert not any(order["verb"] == "predict" for order in engine.orders)


@pytest.mark.parametrize("bad", ["all", "those in the middle", "one in a corner"])
def test_voxels_that_are_no_numbers_are_refused_before_the_run(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any, bad: str
) -> None:
    stack = np.stack([picture] * 5).astype(np.float32)
    stack[{"all": ..., "those in the middle": (2, slice(40, 50)), "one in a corner": (0, 0, 0)}[bad]] = np.nan
    viewer.add_image(stack, axis_labels=("z", "y", "x"))
    rest(controller)
    assert not controller.state.checking
    assert not controller.state.can_run
    (refusal,) = [finding.text for finding in controller.state.findings if finding.level == "refusal"]
    cure = "choose another." if bad == "all" else "replace them by numbers or choose a box without them."
    assert "NaN or infinite" in refusal
    assert refusal.endswith(cure)
    controller.run()
    assert not any(order["verb"] == "predict" for order in engine.orders)
    controller.set_options(region="slice")
    viewer.dims.set_point(0, 4)
    rest(controller)
    assert controller.state.can_run is (bad != "all")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("no luck"), "This is a bug in napari-seg: RuntimeError: no luck"),
        (MemoryError(), "The memory ran out; close other programs, or take smaller images or a box of them."),
    ],
)
def test_a_look_that_breaks_is_said_and_not_waited_for(
    controller: Controller,
    viewer: ViewerModel,
    picture: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    words: str,
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(checking, "forecast", breaks)
    viewer.add_image(picture)
    rest(controller)
    assert not controller.state.checking
    assert [finding.text for finding in controller.state.findings if finding.level == "refusal"] == [words]


def test_a_refusal_offers_the_model_that_fits(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, organs: Path
) -> None:
    viewer.add_image(picture)
    controller.choose_model(organs)
    rest(controller)
    (cure,) = controller.state.findings[0].cures
    assert cure.kind == "model"
    controller.choose_model(Path(cure.value))
    rest(controller)
    assert controller.state.can_run


def test_a_new_image_gets_the_model_that_suits_it_and_a_choice_stays_while_it_runs(
    viewer: ViewerModel, engine: Any, picture: np.ndarray, organs: Path, spots: Path
) -> None:
    controller = Controller(viewer, engine)
    cells = viewer.add_image(picture, scale=(0.3, 0.3), units=("um", "um"))
    rest(controller)
    assert controller.state.model == shipped()["nuclei2d"]
    controller.choose_model(organs)
    rest(controller)
    assert controller.state.model == organs  # also where it is refused: it was chosen for this image
    viewer.add_image(np.zeros((9, 40, 50)), axis_labels=("z", "y", "x"))
    rest(controller)
    assert controller.state.model == organs
    viewer.layers.selection.active = cells
    rest(controller)
    assert controller.state.model == organs
    viewer.add_image(picture[:50])
    rest(controller)
    assert controller.state.model not in (None, organs)
    controller.choose_model(spots)
    viewer.add_image(picture[:40])
    rest(controller)
    assert controller.state.model == spots


def test_of_models_that_suit_alike_the_last_pick_comes_back_after_another_kind_of_image(
    viewer: ViewerModel,
    engine: Any,
    picture: np.ndarray,
    organs: Path,
    spots: Path,
    model_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = model_file("semantic", ndim=3, classes=("heart",))
    monkeypatch.setattr(known_models, "shipped", lambda: {"organs": organs, "spots": spots, "other": other})
    controller = Controller(viewer, engine)

    def add_volume() -> None:
        viewer.add_image(np.zeros((9, 40, 50)), axis_labels=("z", "y", "x"))
        rest(controller)

    add_volume()
    assert controller.state.model == organs
    for picked in (other, organs):
        controller.pick_model(picked)
        viewer.add_image(picture)
        rest(controller)
        assert controller.state.model == spots
        add_volume()
        assert controller.state.model == picked


def test_where_no_model_suits_the_choice_is_kept_and_doubted(viewer: ViewerModel, engine: Any) -> None:
    controller = Controller(viewer, engine)
    first = controller.state.model or next(iter(shipped().values()))
    image = np.full((40, 60, 60), -1000, np.int16)
    image[10:30, 20:40, 20:40] = 40
    viewer.add_image(image, axis_labels=("z", "y", "x"), scale=(4, 2, 2), units=("mm",) * 3)
    rest(controller)
    assert controller.state.model == first
    assert "This image is CT" in controller.state.findings[0].text
    assert "learned from MR" in controller.state.findings[0].text
    assert controller.state.findings[0].text.endswith("press Begin an empty mask on the page Correct.")
    assert controller.state.findings[0].cures == ()


def test_a_doubt_is_told_once_and_with_the_cure_also_where_the_file_names_the_kind_of_image(
    viewer: ViewerModel, engine: Any
) -> None:
    controller = Controller(viewer, engine)
    source = Source(Path("a.dcm"), "dicom", modality="CT")
    ((data, about, _),) = layer_data(Volume(np.zeros((50, 60), np.int16), "YX", source=source), "image")
    viewer.add_image(data, **about)
    rest(controller)
    controller.choose_model(shipped()["heart2d"])
    rest(controller)
    kinds = [finding.text for finding in controller.state.findings if "This image is" in finding.text]
    assert kinds == [
        "This image is CT, heart2d learned from MR: expect a poor mask. No model here learned from such images; to "
        "teach one, press Begin an empty mask on the page Correct."
    ]


def test_a_volume_that_is_too_large_is_cured_by_a_box_around_the_view(viewer: ViewerModel, engine: Any) -> None:
    controller = Controller(viewer, engine)
    layer = viewer.add_image(np.zeros((60, 240, 300), np.float32), axis_labels=("z", "y", "x"))
    controller.choose_model(shipped()["hippocampus3d"])
    viewer.dims.set_point(0, 50)
    viewer.scene.camera.center = (0, 100, 20)
    rest(controller)
    finding = next(f for f in controller.state.findings if f.level == "refusal")
    cure = finding.cures[0]
    assert (cure.kind, cure.value) == ("region", "near")
    controller.set_options(region=cure.value)
    rest(controller)
    assert controller.state.can_run
    controller.run()
    box = engine.orders[-1]["region"]
    assert box == {"start": (15, 70, 0), "stop": (60, 129, 41), "time": None}
    assert layer in viewer.layers


def test_a_run_corrects_the_forecast(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    rest(controller)
    assert controller.state.forecast.startswith("A few seconds")
    controller.run()
    finish(controller, engine, objects(picture.shape, 1), seconds=500.0)
    assert controller.state.forecast.startswith("8 min at the pace of the last run")


def test_dimensions_are_asked_for_in_the_page(controller: Controller, viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((3, 40, 50)))
    controller.tick()
    assert controller.state.question is not None
    assert not controller.state.can_run
    controller.answer("ZYX")
    rest(controller)
    assert controller.state.question is None
    assert "slice by slice" in " ".join(finding.text for finding in controller.state.findings)


@pytest.mark.parametrize("axes", ["CYX", "CZYX"])
def test_a_mask_of_an_image_whose_channels_were_answered_is_kept_and_comes_back(
    axes: str, spots: Path, engine: Any
) -> None:
    shape = (2, 40, 50) if axes == "CYX" else (2, 7, 40, 50)
    stack = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    for kept in (0, 1):
        viewer = ViewerModel()
        window = Controller(viewer, type(engine)())
        window.choose_model(spots)
        image = viewer.add_image(stack.copy(), name="stack")
        rest(window)
        assert window.state.question is not None
        window.answer(axes)
        rest(window)
        target = window.target()
        assert (target is not None, window.state.question) == (True, None)
        if not kept:
            assert target is not None
            new_mask(viewer, target, np.zeros(shape[1:], np.uint16), Predicted("m", "0f", {}, None))
            rest(window)
        viewer.layers.selection.active = image
        (mask,) = [layer for layer in viewer.layers if layer is not image]
        assert mask.data.shape == shape[1:]
        assert int(mask.data.max()) == kept
        assert window.recorder.track(mask) is not None
        assert (mask.editable, window.recorder.safe.trouble) == (True, "")
        mask.data_setitem(tuple(np.array([5]) for _ in shape[1:]), 1)
        rest(window)
        window.close()


def test_channels_are_not_answered_while_a_mask_has_them_as_slices(controller: Controller, viewer: ViewerModel) -> None:
    viewer.add_image(np.random.default_rng(0).random((2, 40, 50)), name="stack")
    rest(controller)
    controller.begin_mask()
    rest(controller)
    mask = viewer.layers[-1]
    controller.answer("CYX")
    rest(controller)
    assert controller.state.question is not None
    assert [f"{mask.name} was drawn before" in f.text for f in controller.state.findings] == [True]
    viewer.layers.remove(mask)
    controller.answer("CYX")
    rest(controller)
    assert (controller.state.question, controller.recorder.safe.trouble) == (None, "")


def test_a_file_that_is_no_model_is_said_and_changes_nothing(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, tmp_path: Path, spots: Path
) -> None:
    viewer.add_image(picture)
    (tmp_path / "foreign.safetensors").write_bytes(b"nothing")
    controller.choose_model(tmp_path / "foreign.safetensors")
    rest(controller)
    assert controller.state.model == spots
    assert "foreign.safetensors" in controller.state.findings[0].text


def test_a_run_from_button_to_mask(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any, model_file: Callable[..., Path]
) -> None:
    image = viewer.add_image(picture, name="cells", scale=(0.5, 0.5), translate=(3, 4), units=("um", "um"))
    controller.choose_model(model_file("instance", classes=("spot",), diameter=16.0))
    controller.set_options(device="cpu", diameter=18.0)
    controller.run()
    assert controller.state.phase == "running"
    assert engine.orders[-1]["settings"]["diameter"] == 18
    engine.say(Progressed(len(engine.orders), Progress(3, 4, "Segmenting")))
    controller.tick()
    assert controller.state.running is not None
    assert controller.state.running.fraction == 0.75
    finish(controller, engine, objects(picture.shape, 3))
    state = controller.state
    assert state.phase == "done"
    assert state.outcome is not None
    assert state.outcome.headline == "3 objects found"
    assert state.outcome.lines == ("spot: median 10 µm²",)
    mask = viewer.layers[-1]
    assert mask.name.startswith("cells · ")
    np.testing.assert_allclose(mask.data_to_world((1, 2)), image.data_to_world((1, 2)))


def test_a_second_run_goes_under_what_a_person_has_painted(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture, name="cells")
    for count in (1, 2):
        controller.run()
        finish(controller, engine, objects(picture.shape, count))
    assert len(viewer.layers) == 2
    assert viewer.layers[1].data.max() == 2
    viewer.layers[1].paint((50, 50), 7)
    painted = viewer.layers[1].data == 7
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(viewer.layers[1].data == 7, painted)
    assert len(np.unique(viewer.layers[1].data)) == 1 + 3 + 1
    assert outcome(controller).headline == "3 objects found"
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    assert outcome(controller).headline == "Nothing was changed"
    assert outcome(controller).lines[0] == "3 objects found"
    viewer.layers[1].undo()
    assert set(np.unique(viewer.layers[1].data)) == {0, 1, 2, 7}


def test_a_second_run_goes_under_what_another_program_has_written(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture, name="cells")
    controller.run()
    finish(controller, engine, objects(picture.shape, 1))
    viewer.layers[1].data[50:60, 40:50] = 7  # without an event, and nobody has looked since
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    assert (viewer.layers[1].data[50:60, 40:50] == 7).all()


def test_what_is_no_longer_objects_is_left_alone_by_the_next_run(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture, name="cells")
    controller.run()
    finish(controller, engine, objects(picture.shape, 2))
    mask = viewer.layers[-1]
    track = controller.recorder.track(mask)
    assert track is not None
    controller.recorder.mean(track, objects=False)
    rest(controller)
    before = mask.data.copy()
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    np.testing.assert_array_equal(mask.data, before)
    assert viewer.layers[-1] is not mask
    assert viewer.layers[-1].data.max() == 3


@pytest.mark.parametrize("shape", [(80, 100), (60, 90)], ids=["of the same size", "of another size"])
def test_the_mask_of_an_array_that_was_replaced_meanwhile_is_dropped(
    controller: Controller, viewer: ViewerModel, engine: Any, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    image = viewer.add_image(rng.random((80, 100)), name="cells")
    controller.run()
    image.data = rng.random(shape)
    finish(controller, engine, objects((80, 100), 2))
    assert list(viewer.layers) == [image]
    assert controller.state.failure is not None
    assert controller.state.failure.sentence == "cells shows another image by now; press Segment again."
    controller.run()
    finish(controller, engine, objects(shape, 2))
    assert viewer.layers[-1].data.shape == shape


def test_a_run_on_an_array_that_was_put_in_another_s_place_leaves_the_mask_of_that(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    image = viewer.add_image(picture, name="cells")
    controller.run()
    finish(controller, engine, objects(picture.shape, 2))
    rest(controller)
    before = viewer.layers[-1]
    image.data = image.data  # as some programs do to have it drawn anew
    assert said == []
    other = picture[::-1].copy()
    for _ in range(2):
        image.data = other
    assert said == [ANOTHER_SHOWN.format(name="cells", masks=before.name)]
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    rest(controller)
    assert [layer.data.max() for layer in (before, viewer.layers[-1])] == [2, 3]
    tracks = [controller.recorder.track(layer) for layer in (before, viewer.layers[-1])]
    assert len({track.key for track in tracks if track is not None}) == 2
    viewer.layers.clear()
    viewer.add_image(picture, name="cells")
    rest(controller)
    assert viewer.layers[-1].data.max() == 2


@pytest.mark.parametrize("place", [{"translate": (5.0, 7.0)}, {"scale": (0.5, 0.5)}])
def test_a_second_run_lies_on_an_image_that_was_moved(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any, place: dict[str, Any]
) -> None:
    image = viewer.add_image(picture, name="cells")
    controller.run()
    finish(controller, engine, objects(picture.shape, 2))
    rest(controller)
    for name, value in place.items():
        setattr(image, name, value)
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    rest(controller)
    (mask,) = (layer for layer in viewer.layers if layer is not image)
    assert mask.data.max() == 3
    np.testing.assert_allclose(mask.data_to_world((1, 2)), image.data_to_world((1, 2)))


def noted(controller: Controller) -> list[str]:
    said: list[str] = []
    controller.recorder.noted.connect(said.append)
    return said


def planes(controller: Controller, name: str = "") -> list[str]:
    """What the sessions keep, of images of this name."""
    sessions = controller.recorder.arrivals.sessions.values()
    rows = [(s, row) for s in sessions for row in s.writer.call(lambda store: store.images()).result()]
    found = [s.writer.call(lambda store, row=row: store.planes(row.id)).result() for s, row in rows if row.name == name]
    return [plane.name for planes in found for plane in planes]


def test_the_mask_of_an_image_that_was_closed_meanwhile_waits_for_it_and_goes_to_no_other(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    image = viewer.add_image(picture, name="a")
    controller.run()
    viewer.layers.remove(image)
    other = viewer.add_image(picture[::-1], name="b")
    rest(controller)
    labels = objects(picture.shape, 3)
    finish(controller, engine, labels)
    assert [layer.name for layer in viewer.layers] == ["b"]
    assert said == [KEPT.format(name="a")]
    assert (outcome(controller).headline, outcome(controller).has_mask) == ("The mask of a is kept", False)
    assert planes(controller, "b") == []
    viewer.layers.remove(other)
    viewer.add_image(picture, name="a")
    rest(controller)
    mask = viewer.layers["a · tiny instance 2D"]
    np.testing.assert_array_equal(mask.data, labels)
    track = controller.recorder.track(mask)
    assert track is not None
    (past,) = track.session.writer.call(lambda store: predictions(store, track.row.id)).result()
    assert (past.plane, past.predicted.model_hash) == (track.plane, "0f")


def test_a_mask_that_is_taken_away_with_its_image_before_it_is_kept_waits_for_it_too(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    viewer.add_image(picture, name="a")
    rest(controller)
    controller.run()
    labels = objects(picture.shape, 3)
    arrive(engine, labels)
    assert len(viewer.layers) == 2
    viewer.layers.clear()
    rest(controller)
    assert said == [KEPT.format(name="a")]
    viewer.add_image(picture, name="a")
    rest(controller)
    np.testing.assert_array_equal(viewer.layers["a · tiny instance 2D"].data, labels)


def test_a_mask_that_alone_is_taken_away_before_it_is_kept_is_kept_in_silence(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    viewer.add_image(picture, name="a")
    rest(controller)
    controller.run()
    arrive(engine, objects(picture.shape, 3))
    del viewer.layers[1]
    rest(controller)
    assert (said, len(viewer.layers), planes(controller, "a")) == ([], 1, ["a · tiny instance 2D"])


def test_the_mask_of_an_array_that_was_closed_and_is_open_again_is_shown_on_it(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    image = viewer.add_image(picture, name="a")
    controller.run()
    viewer.layers.remove(image)
    viewer.add_image(picture, name="a")
    rest(controller)
    labels = objects(picture.shape, 3)
    finish(controller, engine, labels)
    rest(controller)
    assert said == [KEPT_OPEN.format(name="a")]
    np.testing.assert_array_equal(viewer.layers["a · tiny instance 2D"].data, labels)


def test_the_part_of_an_image_that_was_closed_meanwhile_is_kept_in_its_place(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    image = viewer.add_image(picture, name="a")
    image.corner_pixels = np.array([[10, 20], [29, 59]])
    controller.set_options(region="box")
    controller.run()
    viewer.layers.clear()
    finish(controller, engine, objects((20, 40), 2))
    assert list(viewer.layers) == []
    viewer.add_image(picture, name="a")
    rest(controller)
    mask = viewer.layers["a · tiny instance 2D"].data
    np.testing.assert_array_equal(mask[10:30, 20:60], objects((20, 40), 2))
    assert (mask > 0).sum() == (objects((20, 40), 2) > 0).sum()


def test_an_image_that_is_open_again_by_then_shows_its_mask(
    controller: Controller, viewer: ViewerModel, tmp_path: Path, picture: np.ndarray, engine: Any
) -> None:
    write(Volume(picture, "YX"), tmp_path / "a.tif")
    ((data, about, _),) = layer_data(read(tmp_path / "a.tif", axes="YX"), "image")
    viewer.add_image(data, **about)
    controller.run()
    viewer.layers.clear()
    viewer.add_image(data, **about)
    viewer.add_image(picture[::-1], name="b")
    rest(controller)
    finish(controller, engine, objects(picture.shape, 3))
    assert [layer.name for layer in viewer.layers] == ["a", "b", "a · tiny instance 2D"]
    (track,) = controller.recorder.tracks()
    assert (track.row.name, track.image) == ("a", viewer.layers["a"])


def test_a_late_mask_never_takes_the_place_of_work(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    viewer.add_image(picture, name="a")
    controller.run()
    finish(controller, engine, objects(picture.shape, 1))
    viewer.layers[1].paint((50, 50), 7)
    rest(controller)
    mine = viewer.layers[1].data.copy()
    controller.run()
    viewer.layers.clear()
    viewer.add_image(picture[::-1], name="b")
    rest(controller)
    finish(controller, engine, objects(picture.shape, 4))
    assert [layer.name for layer in viewer.layers] == ["b"]
    assert said == [LOST.format(name="a")]
    assert controller.state.failure is not None
    assert controller.state.failure.sentence == LOST.format(name="a")
    viewer.layers.clear()
    viewer.add_image(picture, name="a")
    rest(controller)
    np.testing.assert_array_equal(viewer.layers["a · tiny instance 2D"].data, mine)


def test_a_mask_that_is_closed_while_it_is_renewed_is_kept(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = noted(controller)
    viewer.add_image(picture, name="a")
    controller.run()
    finish(controller, engine, objects(picture.shape, 1))
    viewer.layers[1].paint((50, 50), 7)
    rest(controller)
    controller.run()
    monkeypatch.setattr(errands, "PATIENCE", 0.0)
    controller.tick()  # from now on nobody waits
    arrive(engine, objects(picture.shape, 4))
    assert controller.state.phase == "running"
    viewer.layers.clear()
    for _ in range(1000):
        rest(controller)
        if said:
            break
    assert said == [KEPT.format(name="a")]
    viewer.add_image(picture, name="a")
    for _ in range(1000):
        rest(controller)
        if len(viewer.layers) == 2:
            break
    found = viewer.layers[1].data
    assert found[50, 50] == 7
    assert len(np.unique(found)) == 6


def test_thresholds_of_a_mask_that_was_closed_meanwhile_are_told(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    said = noted(controller)
    viewer.add_image(picture, name="a")
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    controller.set_thresholds(Thresholds(0.7, 2.0, 5.0))
    controller.tick()
    assert engine.orders[-1]["verb"] == "redecode"
    viewer.layers.clear()
    viewer.add_image(picture[::-1], name="b")
    engine.say(Finished(len(engine.orders), {"labels": objects(picture.shape, 2), "sizes": []}))
    rest(controller)
    assert said == ["a was closed before its mask followed the thresholds; open it and segment it again."]
    assert [layer.name for layer in viewer.layers] == ["b"]
    assert planes(controller, "b") == []


def test_only_what_is_visible(controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any) -> None:
    layer = viewer.add_image(picture)
    layer.corner_pixels = np.array([[10, 20], [29, 59]])
    controller.set_options(region="box")
    controller.run()
    assert engine.orders[-1]["region"] == {"start": (10, 20), "stop": (30, 60), "time": None}
    finish(controller, engine, np.ones((20, 40), np.uint8))
    mask = viewer.layers[-1].data
    assert mask.shape == picture.shape
    assert mask.sum() == mask[10:30, 20:60].sum() == 800


def test_what_is_chosen_is_seen_and_a_mask_chooses_its_image(controller: Controller, viewer: ViewerModel) -> None:
    first = viewer.add_image(np.zeros((40, 50), np.uint8), name="first")
    mask = empty_mask(viewer, first)
    rest(controller)
    second = viewer.add_image(np.ones((40, 50), np.uint8), name="second")
    rest(controller)
    assert controller.state.image == str(second.unique_id)
    viewer.layers.selection.active = mask
    rest(controller)
    assert controller.state.image == str(first.unique_id)
    assert [*viewer.layers] == [first, mask, second]  # a person orders their layers
    controller.choose_image(str(second.unique_id))
    assert [*viewer.layers] == [first, mask, second]
    controller.choose_image(str(first.unique_id))
    assert [*viewer.layers] == [second, first, mask]
    for act in (controller.begin_mask, controller.run):
        viewer.layers.selection.active = first
        hidden = viewer.add_image(np.ones((40, 50), np.uint8))
        viewer.layers.selection.active = second
        rest(controller)
        act()
        assert viewer.layers.index(second) > max(map(viewer.layers.index, (first, mask, hidden)))


def test_a_mask_that_a_chosen_image_hides_is_told_of(controller: Controller, viewer: ViewerModel) -> None:
    ct, mr = (viewer.add_image(np.zeros((40, 50), np.uint8), name=name) for name in ("CT", "MR"))
    mask = empty_mask(viewer, mr)
    rest(controller)
    assert "lies under" not in viewer.status
    controller.choose_image(str(ct.unique_id))
    assert [*viewer.layers] == [mr, mask, ct]
    assert viewer.status.startswith(f"{mask.name} lies under it; choose that mask and press Shift+Y")


def test_of_two_images_of_one_name_the_folder_tells_which_is_which(
    controller: Controller, viewer: ViewerModel, tmp_path: Path
) -> None:
    for kind in ("ct", "pet"):
        path = write(Volume(np.zeros((4, 5, 6), np.uint8), "ZYX", (1, 1, 1), "mm"), tmp_path / kind / "P1.tif")
        ((data, about, _),) = layer_data(read(path), "image")
        viewer.add_image(data, **about)
        rest(controller)
    viewer.add_image(np.zeros((4, 5, 6), np.uint8), name="P1")  # of no file
    rest(controller)
    assert [layer.name for layer in viewer.layers] == ["P1", "P1 (pet)", "P1 [1]"]
    assert [title for _, title in controller.state.images] == ["P1", "P1 (pet)", "P1 [1]"]


def test_steps_are_counted_of_the_mask_that_is_meant(controller: Controller, viewer: ViewerModel) -> None:
    masks = []
    for steps in (2, 1):
        image = viewer.add_image(np.full((40, 50), steps, np.uint8))
        masks.append(empty_mask(viewer, image))
        rest(controller)
        for k in range(steps):
            masks[-1].mode = "paint"
            masks[-1].paint((5 + 9 * k, 20), 1)
            rest(controller)
    seen = []
    for layer in viewer.layers:
        viewer.layers.selection.active = layer
        seen.append(controller.recorder.safe.steps)
    assert seen == [2, 2, 1, 1]


def test_what_was_found_is_told_while_its_mask_is_open(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.run()
    finish(controller, engine, np.ones_like(picture, np.uint8))
    assert controller.state.phase == "done"
    mask = viewer.layers[-1]
    viewer.layers.remove(mask)
    rest(controller)
    assert (controller.state.phase, controller.state.outcome) == ("ready", None)


def test_a_part_of_an_image_that_is_not_seen_is_not_segmented(viewer: ViewerModel, engine: Any) -> None:
    controller = Controller(viewer, engine)
    for first in (0, 100):
        viewer.add_image(np.zeros((8, 40, 40)), axis_labels=("z", "y", "x"), translate=(first, 0, 0))
    controller.choose_model(shipped()["heart2d"])
    controller.set_options(region="slice")
    rest(controller)
    assert controller.state.can_run
    viewer.dims.set_point(0, 3)  # where the other one is
    rest(controller)
    assert not controller.state.can_run
    assert controller.state.findings[0].text.startswith("The image does not lie in the slice that is shown; go to")
    viewer.dims.set_point(0, 103)
    rest(controller)
    assert controller.state.can_run


def test_thresholds_decode_stored_scores_and_leave_edits_alone(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.run()
    finish(controller, engine, objects(picture.shape, 1))
    predicted = len(engine.orders)
    for _ in range(3):
        controller.tick()
    assert [order["prediction"] for order in engine.scores] == [predicted]
    controller.set_thresholds(Thresholds(0.3, 0.4, 5))
    controller.tick()
    order = engine.orders[-1]
    assert (order["verb"], order["prediction"]) == ("redecode", predicted)
    assert order["thresholds"] == {"threshold": 0.3, "seeds": 0.4, "smallest": 5}
    finish(controller, engine, objects(picture.shape, 3))
    assert viewer.layers[-1].data.max() == 3
    assert controller.state.outcome is not None
    assert controller.state.outcome.headline == "3 objects found"
    viewer.layers[-1].paint((50, 50), 9)
    before = viewer.layers[-1].data.copy()
    controller.set_thresholds(Thresholds(0.2, 0.4, 5))
    controller.tick()
    finish(controller, engine, objects(picture.shape, 2))
    after = viewer.layers[-1].data
    np.testing.assert_array_equal(after[45:56, 45:56], before[45:56, 45:56])  # what was painted
    assert set(np.unique(after)) == {0, 1, 2, 9}
    assert controller.state.outcome.thresholds is not None
    viewer.layers[-1].undo()
    np.testing.assert_array_equal(viewer.layers[-1].data, before)


@pytest.fixture
def large(controller: Controller, viewer: ViewerModel, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The mask of an image that is decoded first where it is seen, rows 10..29 and columns 20..59, with one object."""
    monkeypatch.setattr(runs, "AT_ONCE", 2 * 20 * 40)
    layer = viewer.add_image(np.zeros((96, 128), np.uint16))
    layer.corner_pixels = np.array([[10, 20], [29, 59]])
    controller.run()
    finish(controller, engine, objects(layer.data.shape, 1))
    return viewer.layers[-1]


def redecodings(engine: Any) -> list[Any]:
    return [order["region"] for order in engine.orders if order["verb"] == "redecode"]


def test_the_rest_of_a_large_image_follows_when_the_thresholds_rest(
    controller: Controller, large: Any, engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = {"start": (10, 20), "stop": (30, 60), "time": None}
    monkeypatch.setattr(runs, "REST", np.inf)
    for threshold in (0.3, 0.2):
        controller.set_thresholds(Thresholds(threshold, 0.4, 5))
        controller.tick()
        finish(controller, engine, np.full((20, 40), 7, np.uint8))
    assert redecodings(engine) == [seen, seen]
    assert (large.data[10:30, 20:60] > 0).all()
    assert (large.data > 0).sum() == 20 * 40 + 40  # what is left of the object that was there
    assert controller.state.outcome.headline == "1 object found"
    controller.save(tmp_path / "mask.tif")
    rest(controller)
    assert controller.state.saved == "Saving mask.tif"
    monkeypatch.setattr(runs, "REST", 0)
    controller.tick()
    assert redecodings(engine) == [seen, seen, None]
    assert engine.orders[-1]["thresholds"]["threshold"] == 0.2
    finish(controller, engine, objects(large.data.shape, 3))
    pairs = np.unique(np.stack([large.data.ravel(), objects(large.data.shape, 3).ravel()]), axis=1)
    assert pairs.shape[1] == 4  # the same objects; numbers are kept where there was one before
    assert controller.state.outcome.headline == "3 objects found"
    assert controller.state.saved.startswith("Saved mask.tif")
    rest(controller)
    assert len(redecodings(engine)) == 3


def test_the_advice_follows_what_the_thresholds_find(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.run()
    finish(controller, engine, np.zeros(picture.shape, np.uint8))
    assert controller.state.outcome.headline == "Nothing was found"
    assert controller.state.outcome.advice.startswith("Lower Outline")
    controller.set_thresholds(Thresholds(0.3, 0.4, 5))
    controller.tick()
    finish(controller, engine, objects(picture.shape, 1))
    assert controller.state.outcome.headline == "1 object found"
    assert "Review" in controller.state.outcome.advice


def test_the_rest_follows_also_when_another_image_is_chosen(
    controller: Controller, viewer: ViewerModel, large: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "REST", 0)
    controller.set_thresholds(Thresholds(0.3, 0.4, 5))
    controller.tick()
    viewer.add_image(np.zeros((20, 20)))
    finish(controller, engine, np.zeros((20, 40), np.uint8))
    assert redecodings(engine)[-1] is None
    finish(controller, engine, objects(large.data.shape, 2))
    np.testing.assert_array_equal(large.data, objects(large.data.shape, 2))
    assert controller.state.outcome is None


def test_a_stroke_while_the_rest_is_due_stays(
    controller: Controller, large: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "REST", 0)
    controller.set_thresholds(Thresholds(0.3, 0.4, 5))
    controller.tick()
    finish(controller, engine, np.zeros((20, 40), np.uint8))
    monkeypatch.setattr(errands, "PATIENCE", 0.0)
    controller.recorder.tick()  # from now on nobody waits
    engine.say(Finished(len(engine.orders), {"labels": objects(large.data.shape, 2), "sizes": []}))
    large.paint((80, 80), 9)  # the thread has not yet looked
    painted = large.data == 9
    assert painted.any()
    end = time.monotonic() + 10
    while not (controller.recorder.rests and large.data.max() == 10) and time.monotonic() < end:
        rest(controller)
    np.testing.assert_array_equal(large.data == 9, painted)
    assert set(np.unique(large.data)) == {0, 1, 9, 10}  # a new object is numbered after the painted one


def test_scores_that_are_gone_are_told(controller: Controller, large: Any, engine: Any) -> None:
    before = large.data.copy()
    controller.set_thresholds(Thresholds(0.3, 0.4, 5))
    controller.tick()
    engine.say(Died(len(engine.orders), "memory ran out"))
    rest(controller)
    assert controller.state.outcome.thresholds is None
    assert "press Segment again" in controller.state.outcome.advice
    np.testing.assert_array_equal(large.data, before)


@pytest.mark.parametrize("too_late", [False, True])
def test_cancel_changes_nothing(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any, too_late: bool
) -> None:
    viewer.add_image(picture)
    controller.run()
    controller.cancel()
    assert engine.cancelled == [len(engine.orders)]
    if too_late:
        arrive(engine, objects(picture.shape, 3))
    else:
        engine.say(Cancelled(len(engine.orders)))
    controller.tick()
    assert len(viewer.layers) == 1
    assert controller.state.outcome is not None
    assert controller.state.outcome.headline == "Cancelled"
    assert controller.state.can_run


@pytest.mark.parametrize("how", ["cancelled", "damaged"])
def test_a_mask_that_is_cancelled_or_cannot_be_read_while_it_is_shown_stays_as_it_was(
    controller: Controller,
    viewer: ViewerModel,
    picture: np.ndarray,
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    viewer.add_image(picture)
    controller.run()
    finish(controller, engine, objects(picture.shape, 1))
    rest(controller)
    before = viewer.layers[1].data.copy()
    controller.run()
    monkeypatch.setattr(errands, "PATIENCE", 0.0)
    controller.tick()  # from now on nobody waits

    def damaged(*about: Any) -> Any:
        raise SegError("The disk is damaged; restore it.")

    if how == "damaged":
        monkeypatch.setattr(Store, "labels", damaged)
    arrive(engine, objects(picture.shape, 4))
    assert controller.recorder.at_work
    if how == "cancelled":
        controller.cancel()
    for _ in range(1000):
        rest(controller)
        if controller.state.phase != "running":
            break
    assert controller.state.can_run
    if how == "damaged":
        assert controller.state.failure == Failure("The disk is damaged; restore it.")
    else:
        assert controller.state.outcome == Outcome("Cancelled", has_mask=False, lines=("Nothing was changed.",))
    np.testing.assert_array_equal(viewer.layers[1].data, before)


def test_a_dead_engine_is_tried_once_more_with_smaller_tiles(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.run()
    engine.say(Died(len(engine.orders), "memory ran out"))
    controller.tick()
    assert controller.state.phase == "running"
    assert engine.orders[-1]["settings"]["tile"] == [16, 16]
    assert controller.state.running is not None
    assert controller.state.running.words == "The engine stopped (memory ran out): once more with smaller tiles"
    engine.say(Died(len(engine.orders), "memory ran out"))
    controller.tick()
    assert controller.state.phase == "failed"
    assert controller.state.failure is not None
    assert "memory ran out" in controller.state.failure.sentence


def test_of_an_engine_that_died_only_what_is_known_is_said(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.run()
    engine.say(Died(len(engine.orders), "it was killed"))
    finish(controller, engine, objects(picture.shape, 2))
    assert "The engine stopped once (it was killed); smaller tiles were used." in outcome(controller).notes


def test_a_failure_is_told_and_forgotten_with_another_image(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any
) -> None:
    viewer.add_image(picture)
    controller.run()
    engine.say(Failed(len(engine.orders), "The image is odd; choose another."))
    controller.tick()
    assert controller.state.failure is not None
    assert controller.state.failure.sentence.startswith("The image is odd")
    viewer.add_image(picture)
    rest(controller)
    assert controller.state.phase == "ready"


def test_save_writes_the_mask_and_says_so(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, engine: Any, tmp_path: Path
) -> None:
    viewer.add_image(picture)
    controller.run()
    finish(controller, engine, objects(picture.shape, 2))
    controller.save(tmp_path / "mask.tif")
    rest(controller)
    assert controller.state.saved.startswith("Saved mask.tif at ")
    assert int(np.asarray(read(tmp_path / "mask.tif").data).max()) == 2
    controller.save(tmp_path / "mask.bmp")
    rest(controller)
    assert "does not say the format" in controller.state.findings[0].text
    assert controller.state.saved.startswith("Saved mask.tif at ")  # that is so


def test_the_session_knows_which_model_made_a_mask_and_how(
    controller: Controller, viewer: ViewerModel, picture: np.ndarray, spots: Path, engine: Any
) -> None:
    viewer.add_image(picture, name="cells")
    rest(controller)
    controller.run()
    finish(controller, engine, objects(picture.shape, 3))
    controller.set_thresholds(Thresholds(0.7, 2.0, 5.0))
    rest(controller)
    number = len(engine.orders) - [order["verb"] for order in reversed(engine.orders)].index("redecode")
    engine.say(Finished(number, {"labels": objects(picture.shape, 2), "sizes": []}))
    rest(controller)
    (track,) = controller.recorder.tracks()
    first, second = track.session.writer.call(lambda store: predictions(store, track.row.id)).result()
    assert first.plane == second.plane == track.plane
    assert (first.predicted.model, first.predicted.model_hash) == ("tiny instance 2D", "0f")
    assert (first.predicted.settings, first.predicted.doubt) == (SETTINGS, 0.1)
    assert second.predicted.settings == {**SETTINGS, "threshold": 0.7, "seeds": 2.0, "smallest": 5.0}
    assert second.predicted.doubt is None
    assert second.revision > first.revision > 0
    controller.close()


def test_an_image_of_another_place_is_seen_when_it_is_opened_or_chosen(controller: Controller, picture: Any) -> None:
    viewer = controller.viewer
    volume = np.repeat(picture[None], 5, 0)
    first, far = (viewer.add_image(volume, translate=(start, 0, 0)) for start in (700, -600))
    assert viewer.dims.point[0] == -598
    controller.choose_image(str(first.unique_id))
    assert viewer.dims.point[0] == 702
    viewer.dims.set_point(0, 701)
    near = viewer.add_image(volume[:3], translate=(700, 0, 0))
    controller.choose_image(str(near.unique_id))
    assert viewer.dims.point[0] == 701
    assert viewer.layers.selection.active is near
    assert far in viewer.layers
