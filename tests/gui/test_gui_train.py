"""The page on which a model learns: from what was corrected to the decision for one of two models."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest, twelve_cells
from napari.components import ViewerModel
from napari.layers import _layer_actions
from qtpy.QtWidgets import QPushButton

from napari_seg.editing.annotation import CASE, Entry, object_key, slice_key
from napari_seg.errors import SegError
from napari_seg.gui import classroom, known_models, spotlight, watch
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Cancelled, Died, Failed, Finished, Progressed
from napari_seg.gui.learning_curve_view import legend_of
from napari_seg.gui.pages.segment import SegmentPage
from napari_seg.gui.pages.train import TrainPage
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.teaching_words import is_rough, name_of_new
from napari_seg.gui.training import Run
from napari_seg.gui.training_state import NEW, Curve
from napari_seg.jobs import Progress
from napari_seg.models import shelf
from napari_seg.session.writer import CLOSED, Kept

SETTINGS = {"device": "cpu", "precision": "fp32", "threshold": None, "seeds": None, "smallest": None}

VERDICT = {
    "decision": "better",
    "sentence": "It is better on 6 of 7 held-out images, by 0.11, and forgot nothing.",
    "corrections": [{"name": f"cells, block {k}", "old": 0.6, "new": 0.71 - 0.05 * (k == 3)} for k in range(7)],
    "older": [{"name": "a", "old": 0.83, "new": 0.83}],
    "gain": 0.11,
    "interval": [0.05, 0.17],
    "loss": 0.0,
}


@pytest.fixture
def controller(engine: Any, trainer: Any, spots: Path, qtbot: Any) -> Iterator[Controller]:
    made = Controller(ViewerModel(), engine, trainer=trainer)
    made.choose_model(spots)
    yield made
    made.close()


@pytest.fixture
def page(controller: Controller, qtbot: Any) -> TrainPage:
    shown = TrainPage(controller)
    qtbot.addWidget(shown)
    shown.show()
    return shown


def settle(controller: Controller) -> None:
    """What was painted is kept, and was looked at."""
    rest(controller)
    controller.classroom.lessons.look()
    rest(controller)


def corrected(controller: Controller, count: int = 6) -> Any:
    """Cells with some that a person has painted on."""
    labels = twelve_cells()
    controller.viewer.add_image((labels > 0) * 100.0, name="cells")
    layer = controller.viewer.add_labels(labels, name="mask")
    rest(controller)
    for k in range(count):
        y, x = 15 * (k // 4) + 3, 20 * (k % 4) + 3
        layer.data_setitem((np.array([y]), np.array([x - 1])), k + 1)
        rest(controller, 1)
    settle(controller)
    return layer


def say(controller: Controller, trainer: Any, message: Callable[..., Any], *content: Any) -> None:
    trainer.say(message(len(trainer.orders), *content))
    controller.tick()


def begun(controller: Controller, trainer: Any, page: TrainPage) -> Path:
    """A training that has begun; where its model will be."""
    page.begin.click()
    rest(controller)
    return Path(trainer.orders[-1]["save_to"])


def trained(controller: Controller, trainer: Any, page: TrainPage, model_file: Any, verdict: Any = VERDICT) -> Path:
    """A training that came to its end; the file of the new model."""
    path = begun(controller, trainer, page)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(Path(model_file).read_bytes())
    say(controller, trainer, Finished, {"model": str(path), "verdict": verdict, "seconds": 12.0})
    return path


def test_an_empty_page_says_what_to_do_first(controller: Controller, page: TrainPage) -> None:
    assert page.setup.isHidden()
    assert "correct some of what is wrong" in page.intro.text()
    labels = twelve_cells()
    controller.viewer.add_image((labels > 0) * 100.0, name="cells")
    controller.viewer.add_labels(labels, name="mask")
    settle(controller)
    assert not page.begin.isEnabled()
    assert "accept something first" in controller.classroom.training.state.findings[0].text


def test_it_says_in_words_what_it_learns_from(controller: Controller, page: TrainPage) -> None:
    layer = corrected(controller)
    assert page.lessons.text() == "It learns from 6 objects in 1 image."
    assert page.images.text().startswith("In cells.")
    track = controller.recorder.track(layer)
    assert track is not None
    controller.recorder.say(track, {object_key(12): Entry(state="accepted")}, "accept")
    controller.recorder.say(track, {object_key(1): Entry(state="rejected")}, "reject")
    settle(controller)
    assert page.lessons.text() == "It learns from 6 objects in 1 image."
    assert page.begin.text() == "Retrain"
    assert page.begin.isEnabled()


def test_only_the_newest_look_counts_and_one_that_failed_is_repeated(controller: Controller, page: TrainPage) -> None:
    corrected(controller)
    lessons = controller.classroom.lessons
    told = []
    lessons.changed.connect(lambda: told.append(1))
    lessons.look()
    lessons.look()
    rest(controller)
    assert told == [1]
    lessons._stir()
    lessons._clock = lambda: 1e9
    rest(controller)
    assert told == [1, 1]  # it goes on looking
    (session,) = {track.session for track in controller.recorder.tracks()}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(session.writer, "call", lambda work: _failing("The disk does not answer."))
        lessons.look()
        controller.tick()
    assert page.lessons.text() == "It learns from 6 objects in 1 image."
    lessons._clock = lambda: 2e9
    rest(controller)
    assert len(told) == 4


def test_only_masks_of_the_same_kind_are_learned_from(controller: Controller, page: TrainPage) -> None:
    corrected(controller)
    controller.viewer.add_image(np.zeros((4, 30, 30)), name="scan")
    classes = controller.viewer.add_labels(np.zeros((4, 30, 30), np.uint8), name="organs")
    classes.metadata["napari_seg_objects"] = False
    controller.viewer.layers.selection.active = controller.viewer.layers["mask"]
    settle(controller)
    assert page.lessons.text() == "It learns from 6 objects in 1 image."


def test_a_training_is_ordered_once_all_is_on_the_disk(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    layer = corrected(controller)
    layer.data[40, 70] = 9  # another program, without an event
    page.minutes.setValue(0)
    assert page.minutes.text() == "1 min"
    page.minutes.setValue(12)
    page.begin.click()
    assert trainer.orders == []  # not before all is kept
    rest(controller)
    order = trainer.orders[-1]
    assert order["verb"] == "retrain"
    assert order["model"] == str(spots)
    assert order["settings"] == {"minutes": 12.0, "device": "auto", "precision": "auto"}
    assert not order["resume"]
    (lesson,) = order["lessons"]
    assert lesson["plane"] == "mask"
    track = controller.recorder.track(layer)
    assert track is not None
    assert lesson["session"] == str(track.session.folder)
    np.testing.assert_array_equal(lesson["volume"].data, (twelve_cells() > 0) * 100.0)
    assert Path(order["save_to"]).parent == shelf.shelf()
    kept = track.session.writer.call(lambda store: store.labels(track.row.id, "mask")).result()
    assert kept[40, 70] == 9


def test_what_goes_on_is_seen_and_the_best_is_kept_on_stop(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    page.begin.click()
    rest(controller)
    for words, phase, told in (
        ("keeping a selection for the next time", "keep", "Setting some of your examples aside for later"),
        ("timing some steps", "timing", "Finding out how much it can learn in the time"),
    ):
        say(controller, trainer, Progressed, Progress(0, 1, words, {"phase": phase}))
        assert page.running.words.text() == told
    for step in range(1, 9):
        detail = {"step": step, "loss": 1 / step, "phase": "train"} | ({"score": 0.1 * step} if step % 4 == 0 else {})
        say(controller, trainer, Progressed, Progress(step, 20, "loss 0.5", detail))
    assert page.running.words.text().startswith("Learning")
    assert page.curve.words == "score 0.80, best 0.80; error 0.46"
    curve = controller.classroom.training.state.curve
    assert legend_of(curve, lambda words: True) == ("● Score 0.80 (1 = perfect)", "― Error (should fall)")
    assert legend_of(curve, lambda words: False) == ("● Score 0.80", "― Error")
    assert "Paint on as you like" in page.calm.text()
    assert page.setup.isHidden()
    page.running.cancel.click()
    assert trainer.cancelled == [1]
    assert page.running.words.text() == "Stopping"
    path = Path(trainer.orders[-1]["save_to"])
    path.write_bytes(spots.read_bytes())
    say(controller, trainer, Cancelled)
    order = trainer.orders[-1]
    assert (order["verb"], order["old"], order["new"]) == ("compare", str(spots), str(path))
    say(controller, trainer, Finished, {"verdict": VERDICT})
    assert page.verdict.headline.text() == "The new model is better"


def test_a_training_that_was_stopped_too_early_leaves_nothing(
    controller: Controller, trainer: Any, page: TrainPage
) -> None:
    corrected(controller)
    page.begin.click()
    page.running.cancel.click()  # even before it was ordered
    assert controller.classroom.training.run is None
    assert [found.name for found in shelf.shelf().iterdir() if found.name != shelf.CLAIMING] == []
    rest(controller)
    assert trainer.orders == []
    assert page.begin.isEnabled()
    page.begin.click()
    rest(controller)
    page.running.cancel.click()
    say(controller, trainer, Cancelled)
    told = controller.classroom.training.state.findings[-1]
    assert (told.level, told.text.startswith("It was stopped before there was a first result")) == ("note", True)
    assert page.findings.isVisibleTo(page)
    assert not page.failure.isVisibleTo(page)  # it did what it was told
    page.begin.click()
    rest(controller)
    say(controller, trainer, Progressed, Progress(5, 20, "loss 0.5", {"loss": 0.5, "score": 0.1}))
    page.running.cancel.click()
    say(controller, trainer, Cancelled)
    told = controller.classroom.training.state.findings[-1]
    assert (told.level, "not better than the model it began with" in told.text) == ("note", True)
    assert page.begin.isEnabled()
    assert shelf.orders() == {}


@pytest.mark.parametrize("trouble", ["full", "closed", "answer", "silent"])
def test_what_cannot_be_kept_is_not_waited_for(
    controller: Controller, trainer: Any, page: TrainPage, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOOK", math.inf)  # nobody else asks the session
    layer = corrected(controller)
    track = controller.recorder.track(layer)
    assert track is not None
    writer = track.session.writer
    words = "The disk is full; free some space."
    if trouble == "full":  # when what nobody told of is looked for
        monkeypatch.setattr(writer, "call", _raises(words))
    if trouble == "closed":
        monkeypatch.setattr(Recorder, "sweep", lambda self, then, failed: then())
        writer.close()
        words = CLOSED
    if trouble == "answer":
        monkeypatch.setattr(Recorder, "sweep", lambda self, then, failed: then())
        monkeypatch.setattr(writer, "call", lambda work: _failing(words))
    if trouble == "silent":
        monkeypatch.setattr(Recorder, "sweep", lambda self, then, failed: None)
        monkeypatch.setattr(type(writer), "kept", Kept(waiting=1, trouble=words))
    page.begin.click()
    controller.tick()
    controller.tick()
    assert page.failure.words.text() == f"It did not work: {words}"
    assert trainer.orders == []
    assert [found.name for found in shelf.shelf().iterdir() if found.name != shelf.CLAIMING] == []


def _failing(words: str) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(SegError(words))
    return future


def _raises(words: str) -> Callable[..., None]:
    def call(work: object) -> None:
        raise SegError(words)

    return call


def test_the_better_model_is_proposed_and_taken_with_one_click(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, engine: Any
) -> None:
    layer = corrected(controller)
    path = trained(controller, trainer, page, spots)
    assert page.verdict.sentence.text() == VERDICT["sentence"]
    assert page.verdict.use.objectName() == "main"
    table = page.verdict.table
    assert table.rowCount() == 8
    assert [table.item(0, column).text() for column in range(3)] == ["cells, block 3", "0.60", "0.66 ▲"]
    assert table.item(7, 0).text() == "Old pictures (1)"
    page.verdict.use.click()
    rest(controller)
    assert controller.state.model == path
    kept = shelf.kept()[0]
    assert (kept.path, kept.note["taken"], kept.note["words"]) == (path, "new", "6 objects in 1 image")
    assert page.verdict.segment.isVisibleTo(page)
    page.verdict.segment.click()
    rest(controller)
    assert engine.orders[-1]["model"] == str(path)
    before = layer.data.copy()
    labels = np.zeros((60, 80), np.uint8)
    labels[50:58, 60:70] = 1
    answer = {
        "labels": labels,
        "axes": "YX",
        "sizes": [[1, 80]],
        "notes": [],
        "seconds": 1.0,
        "model_hash": "1",
        "doubt": 0.1,
    }
    settings = {"device": "cpu", "precision": "fp32", "threshold": None, "seeds": None, "smallest": None}
    engine.say(Finished(len(engine.orders), {**answer, "settings": settings}))
    rest(controller, 12)
    assert [one.name for one in controller.viewer.layers] == ["cells", "mask"]  # into the mask in hand
    now = controller.viewer.layers["mask"].data
    for label in range(1, 7):  # what was painted stays
        np.testing.assert_array_equal(now == label, before == label)
    assert not np.isin(now, range(7, 12)).any()  # what nobody has spoken of follows the new model
    assert now[54, 65]


def test_a_mask_belongs_to_the_model_that_made_it_last(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, engine: Any
) -> None:
    def segmented(model_hash: str) -> None:
        settings = {"device": "cpu", "precision": "fp32", "threshold": None, "seeds": None, "smallest": None}
        known = {"axes": "YX", "sizes": [], "notes": [], "seconds": 1.0, "doubt": 0.1, "settings": settings}
        engine.say(Finished(len(engine.orders), {"labels": twelve_cells(), "model_hash": model_hash, **known}))
        rest(controller, 12)

    controller.viewer.add_image((twelve_cells() > 0) * 100.0, name="cells")
    rest(controller)
    controller.run()
    segmented("old")
    (layer,) = (one for one in controller.viewer.layers if one.name != "cells")
    layer.data_setitem((np.array([3]), np.array([2])), 1)
    settle(controller)
    controller.viewer.layers.selection.active = layer
    rest(controller)
    path = trained(controller, trainer, page, spots)
    page.verdict.use.click()
    rest(controller)
    page.verdict.segment.click()

    def made_by() -> tuple[Path, str]:
        mask = controller.runs.mask_of(layer)
        assert mask is not None
        return mask.target.path, mask.predicted.model_hash

    assert made_by() == (spots, "old")  # until the new one is there
    segmented("new")
    assert made_by() == (path, "new")


@pytest.mark.parametrize(("decision", "main"), [("worse", "leave"), ("undecided", ""), ("better", "use")])
def test_the_verdict_chooses_which_button_is_the_main_one(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, decision: str, main: str
) -> None:
    corrected(controller)
    trained(controller, trainer, page, spots, {**VERDICT, "decision": decision})
    for name in ("use", "leave"):
        assert (getattr(page.verdict, name).objectName() == "main") == (name == main)
    page.verdict.leave.click()
    rest(controller)
    assert controller.state.model == spots
    assert "Nothing was changed" in page.verdict.next.text()
    page.verdict.more.click()
    rest(controller)
    assert page.begin.isEnabled()


def test_any_earlier_model_is_one_click_away(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, engine: Any
) -> None:
    corrected(controller)
    first = trained(controller, trainer, page, spots)
    page.verdict.use.click()
    page.verdict.more.click()
    rest(controller)
    assert controller.classroom.training.state.start == str(first)
    second = trained(controller, trainer, page, spots)
    assert (first.name, second.name) == ("instance2d-1.safetensors", "instance2d-2.safetensors")
    page.verdict.use.click()
    rest(controller)
    assert [button.text() for button in page.shelf.buttons] == ["In use", "Use", "Use"]
    page.shelf.buttons[1].click()
    rest(controller)
    assert controller.state.model == first
    assert [button.text() for button in page.shelf.buttons] == ["Use", "In use", "Use"]
    about = {"napari_seg_objects": False}
    controller.viewer.add_labels(np.zeros((60, 80), np.uint8), name="classes", metadata=about)
    rest(controller)  # no model for this mask, but the one that is chosen stays so
    assert controller.classroom.training.state.start == NEW
    assert [button.text() for button in page.shelf.buttons] == ["Use", "In use", "Use"]
    again = Controller(ViewerModel(), engine, trainer=trainer)
    assert {first, second} <= set(again.known())
    again.close()


def test_a_training_is_gone_on_with_after_the_program_was_closed(
    controller: Controller, trainer: Any, engine: Any, page: TrainPage, spots: Path, qtbot: Any
) -> None:
    layer = corrected(controller)
    page.begin.click()
    rest(controller)
    order = trainer.orders[-1]
    say(controller, trainer, Progressed, Progress(8, 20, "loss 0.5", {"step": 8, "loss": 0.5}))
    shelf.state_of(Path(order["save_to"])).write_bytes(b"state")
    controller.close()
    again = Controller(ViewerModel(), engine, trainer=trainer)
    later = TrainPage(again)
    qtbot.addWidget(later)
    later.show()
    again.tick()
    assert "interrupted after 40%" in later.interrupted.words.text()
    assert "6 objects in 1 image" in later.interrupted.words.text()
    again.viewer.add_image((twelve_cells() > 0) * 100.0, name="cells")
    rest(again)
    later.interrupted.go_on.click()
    rest(again)
    resumed = trainer.orders[-1]
    assert resumed["resume"]
    assert {name: resumed[name] for name in ("model", "settings", "save_to")} == {
        name: order[name] for name in ("model", "settings", "save_to")
    }
    assert resumed["lessons"][0]["volume"] is not None
    assert later.interrupted.isHidden()
    assert layer is not None
    say(again, trainer, Died, "memory ran out")
    assert "memory ran out" in later.failure.words.text()
    later.interrupted.give_up.click()
    again.tick()
    assert later.interrupted.isHidden()
    assert shelf.orders() == {}
    again.close()


def test_what_one_window_trains_no_other_window_takes(
    controller: Controller, trainer: Any, engine: Any, page: TrainPage
) -> None:
    corrected(controller)
    path = begun(controller, trainer, page)
    beside = Controller(ViewerModel(), engine, trainer=type(trainer)())
    there = beside.classroom.training
    there.resolve()
    assert there.state.interrupted is None  # it goes on
    say(controller, trainer, Died, "memory ran out")
    there._look_at_shelf()
    for window in (controller, beside):
        window.tick()
        window.classroom.training.resolve()
    assert there.state.interrupted is not None
    page.interrupted.go_on.click()
    rest(controller)
    for name in (path, shelf.state_of(path)):
        name.write_bytes(b"what it has learned")
    for act in (there.go_on, there.give_up):  # what was shown is no longer so
        act()
        assert there.run is None
        assert path.exists()
        assert shelf.state_of(path).exists()
    there.resolve()
    assert there.state.interrupted is None
    beside.close()


@contextmanager
def read_only_shelf() -> Iterator[None]:
    """From the folder of the models nothing can be removed."""
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.parent == shelf.shelf():
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        unlink(path, missing_ok)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        yield


def test_a_training_ends_also_where_models_can_no_longer_be_kept(
    controller: Controller, trainer: Any, page: TrainPage
) -> None:
    corrected(controller)
    path = begun(controller, trainer, page)
    shelf.state_of(path).write_bytes(b"state")
    with read_only_shelf():
        say(controller, trainer, Failed, "The model could not be kept; free some space.")
    assert page.failure.words.text() == "It did not work: The model could not be kept; free some space."
    assert page.begin.isEnabled()
    page.interrupted.go_on.click()
    rest(controller)
    assert (trainer.orders[-1]["save_to"], trainer.orders[-1]["resume"]) == (str(path), True)


def test_the_last_change_is_kept_also_where_models_can_no_longer_be(
    controller: Controller, trainer: Any, engine: Any, page: TrainPage
) -> None:
    layer = corrected(controller)
    begun(controller, trainer, page)
    layer.data[50:, 60:] = 42  # without an event
    with read_only_shelf():
        controller.close()
    again = Controller(ViewerModel(), engine, trainer=trainer)
    again.viewer.add_image((twelve_cells() > 0) * 100.0, name="cells")
    rest(again)
    np.testing.assert_array_equal(again.viewer.layers["mask"].data, layer.data)
    again.close()


@pytest.mark.parametrize("part", ["hands", "classroom", "engine"])
def test_the_last_change_is_kept_whatever_else_fails(
    controller: Controller, engine: Any, trainer: Any, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = corrected(controller)
    layer.data[50:, 60:] = 42  # without an event
    monkeypatch.setattr(getattr(controller, part), "close", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        controller.close()
    monkeypatch.delattr(getattr(controller, part), "close")
    again = Controller(ViewerModel(), engine, trainer=trainer)
    again.viewer.add_image((twelve_cells() > 0) * 100.0, name="cells")
    rest(again)
    np.testing.assert_array_equal(again.viewer.layers["mask"].data, layer.data)
    again.close()


def test_a_refusal_of_the_engine_is_one_sentence(controller: Controller, trainer: Any, page: TrainPage) -> None:
    corrected(controller)
    page.begin.click()
    rest(controller)
    say(controller, trainer, Failed, "No background counts; erase something around an object.")
    assert page.failure.words.text() == "It did not work: No background counts; erase something around an object."
    assert page.begin.isEnabled()
    assert page.interrupted.isHidden()


def test_what_was_learned_before_a_disk_was_full_is_kept(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    path = begun(controller, trainer, page)
    path.write_bytes(spots.read_bytes())  # a first checkpoint
    say(controller, trainer, Failed, "The state of the training could not be kept; free some space there.")
    assert page.interrupted.isHidden()
    assert [kept.path for kept in shelf.kept()] == [path]


def test_a_model_from_nothing_says_why_it_is_as_it_is_and_every_choice_can_be_changed(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    page.start.setCurrentIndex(page.start.findData(NEW))
    page.start.activated.emit(page.start.currentIndex())
    controller.tick()
    assert page.begin.text() == "Train a new model"
    assert "2D, because your images are pictures." in page.reasons.text()
    page.choices.widgets["network"].setCurrentIndex(2)
    page.choices.widgets["network"].activated.emit(2)
    page.choices.widgets["depth"].setValue(2)
    controller.tick()
    assert "SegNet" in page.reasons.text()
    assert page.choices.widgets["width"].text() == "automatic"
    page.begin.click()
    rest(controller)
    order = trainer.orders[-1]
    assert order["model"] == ""
    settings = order["settings"]
    assert (settings["network"], settings["depth"], settings["task"]) == ("segnet", 2, "instance")
    assert "ndim" not in settings  # the plan decides
    assert "width" not in settings
    path = Path(order["save_to"])
    path.write_bytes(spots.read_bytes())
    say(controller, trainer, Finished, {"model": str(path), "verdict": None, "seconds": 1})
    assert page.verdict.headline.text() == "Your new model is ready"
    assert "It was not tested on anything that it has not learned from." in page.verdict.sentence.text()
    assert page.verdict.leave.isHidden()
    assert page.verdict.flick.isHidden()


@pytest.mark.parametrize(
    ("scores", "headline", "words", "main"),
    [
        ((0.18, 0.19, 0.181), "is still rough", "It had little time: teach it longer, or draw more.", "more"),
        ((0.02, 0.03, 0.06), "finds next to nothing yet", "It was still getting better: teach it longer", "more"),
        ((0.15, 0.19, 0.25), "is still rough", "It reaches 0.25 of 1 on what it has not learned from", "more"),
        ((0.25,), "is still rough", "It had little time: teach it longer, or draw more.", "more"),
        ((0.1, 0.25, 0.25), "is still rough", "It got no better at the end: draw more, on other images too", ""),
        ((0.2, 0.3, 0.45), "is ready", "It reaches 0.45 of 1 on what it has not learned from. Segment", "use"),
    ],
)
def test_a_model_from_nothing_says_what_it_reaches_and_what_to_do(
    controller: Controller,
    trainer: Any,
    page: TrainPage,
    spots: Path,
    scores: tuple[float, ...],
    headline: str,
    words: str,
    main: str,
) -> None:
    corrected(controller)
    controller.classroom.training.begin_with(NEW)
    controller.tick()
    path = begun(controller, trainer, page)
    path.write_bytes(spots.read_bytes())
    for k, score in enumerate(scores, 1):
        loss = 1 / k if scores[-1] == 0.181 else 0.5  # there the error still falls
        detail = {"step": k, "loss": loss, "phase": "train", "score": score}
        say(controller, trainer, Progressed, Progress(k, len(scores), "loss 0.5", detail))
    assert page.curve.foot == f"Best so far {max(scores):.2f}"
    say(controller, trainer, Finished, {"model": str(path), "verdict": None, "seconds": 1})
    assert page.curve.foot == f"Best {max(scores):.2f}"
    assert page.verdict.headline.text() == f"Your new model {headline}"
    assert words in page.verdict.sentence.text()
    for name in ("use", "more"):
        assert (getattr(page.verdict, name).objectName() == "main") == (name == main)
    if main == "more":
        page.verdict.more.click()
        rest(controller)
        assert page.begin.text() == "Retrain"
        assert controller.classroom.training.state.start == str(path)


def drawn(controller: Controller, name: str, classes: dict[int, str]) -> Any:
    """Another image, with a mask of classes that was begun empty and drawn on; ``classes`` are named by hand."""
    rng = np.random.default_rng(len(controller.viewer.layers))
    controller.viewer.layers.selection.active = controller.viewer.add_image(rng.normal(size=(40, 50)), name=name)
    rest(controller)
    controller.begin_mask(objects=False)
    rest(controller)
    layer = controller.viewer.layers[f"{name} · mask"]
    track = controller.recorder.track(layer)
    assert track is not None
    for number, called in classes.items():
        if number > len(controller.classes.rows(track)):
            controller.classes.add(track)
        controller.classes.rename(track, number, called)
    layer.data_setitem((np.array([4, 20]), np.array([4, 20])), np.array([1, 2]))
    controller.viewer.layers.selection.active = layer
    settle(controller)
    return layer


def test_a_new_mask_has_the_classes_of_the_one_that_was_drawn_before(controller: Controller, page: TrainPage) -> None:
    def names(layer: Any) -> tuple[str, ...]:
        track = controller.recorder.track(layer)
        assert track is not None
        return controller.classes.names(track)

    first = drawn(controller, "a", {1: "cytoplasm", 2: "nucleus"})
    second = drawn(controller, "b", {})
    assert names(second) == ("cytoplasm", "nucleus")
    assert page.lessons.text() == "It learns from cytoplasm and nucleus in 2 images."
    controller.viewer.layers.remove(first)
    assert names(drawn(controller, "c", {2: "kernel"})) == ("cytoplasm", "kernel")
    controller.begin_mask(objects=False)  # a further mask of the same image is of something else
    rest(controller)
    assert names(controller.viewer.layers[-1]) == ()
    controller.viewer.layers.selection.active = second
    rest(controller)
    controller.viewer.layers.remove(second)
    controller.viewer.layers.selection.active = controller.viewer.layers["b"]
    rest(controller)
    controller.begin_mask(objects=False)
    rest(controller)
    assert names(controller.viewer.layers[-1]) == ("cytoplasm", "nucleus")


def test_images_whose_classes_have_other_names_are_said_to_be_left_out(controller: Controller, page: TrainPage) -> None:
    drawn(controller, "a", {1: "cytoplasm", 2: "nucleus"})
    drawn(controller, "b", {})
    other = drawn(controller, "c", {1: "nucleolus"})
    found = [one.text for one in controller.classroom.training.state.findings if "left out" in one.text]
    assert found == [
        "a and b are left out: class 1 is called cytoplasm there, and nucleolus here. Give it the same name on page "
        "Correct."
    ]
    track = controller.recorder.track(other)
    assert track is not None
    controller.classes.rename(track, 1, "cytoplasm")
    settle(controller)
    assert not [one for one in controller.classroom.training.state.findings if "left out" in one.text]
    assert page.images.text().startswith("In a, b and c.")


@pytest.mark.parametrize("finished", ["case", "marked", "improving"])
def test_a_model_from_nothing_is_shown_background(controller: Controller, page: TrainPage, finished: str) -> None:
    def found() -> bool:
        words = "Where everything in an image is drawn, press Case finished on page Correct."
        return any(words in finding.text for finding in controller.classroom.training.state.findings)

    layer = corrected(controller)
    controller.classroom.training.begin_with(NEW)
    settle(controller)
    assert found()
    layer.data_setitem((np.array([4]), np.array([4])), 0)  # a slip of the brush tells little of the background
    settle(controller)
    assert found()
    track = controller.recorder.track(layer)
    assert track is not None
    if finished == "case":
        controller.recorder.say(track, {CASE: Entry(state="accepted")}, "finish case")
    elif finished == "marked":
        page.spotlight.buttons[1].click()
        rest(controller)
        controller.viewer.layers["mask learning"].data_setitem((np.array([50]), np.array([70])), 1)
    else:
        controller.classroom.training.begin_with(page.start.itemData(0))
    settle(controller)
    assert not found()


def test_of_a_volume_slices_are_finished(controller: Controller, page: TrainPage, tumour: Any) -> None:
    (found,) = (one.text for one in controller.classroom.training.state.findings if "background" in one.text)
    assert found.endswith("Where everything in a slice is drawn, press Slice finished on page Correct.")


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (("cytoplasm", "nucleus"), "cytoplasm_nucleus"),
        (("class 1", "left ventricle"), "left ventricle"),
        (("a", "b", "c", "d"), "a_b_and_2_more"),
        (("class 1",), "my model"),
        ((), "my model"),
    ],
)
def test_a_new_model_is_called_after_all_its_classes(names: tuple[str, ...], called: str) -> None:
    assert name_of_new(names) == called


def test_classes_are_rough_where_more_is_wrong_than_right() -> None:
    curve = Curve(scores=((1.0, 0.45),))
    assert (is_rough(curve, objects=True), is_rough(curve, objects=False)) == (False, True)
    assert not is_rough(Curve(), objects=False)


def test_a_model_that_finds_something_else_is_refused(
    controller: Controller, page: TrainPage, organs: Path, model_file: Callable[..., Path]
) -> None:
    corrected(controller)
    controller.choose_model(organs)
    page.start.setCurrentIndex(page.start.findData(str(organs)))
    controller.tick()
    page.start.setCurrentIndex(page.start.findData(str(organs)))
    page.start.activated.emit(page.start.currentIndex())
    controller.tick()
    assert not page.begin.isEnabled()
    assert "This mask has single objects" in controller.classroom.training.state.findings[0].text


@pytest.fixture
def tumour(controller: Controller, organs: Path) -> Any:
    """A mask of one class of its own, drawn by hand, while a model of other classes is chosen."""
    controller.viewer.add_image(np.random.default_rng(0).normal(size=(6, 30, 30)), name="scan")
    about = {"napari_seg_objects": False}
    layer = controller.viewer.add_labels(np.zeros((6, 30, 30), np.uint8), name="mask", metadata=about)
    rest(controller)
    controller.choose_model(organs)
    layer.data_setitem((np.array([1, 1]), np.array([5, 6]), np.array([5, 5])), 1)
    settle(controller)
    assert controller.state.model == organs
    return layer


def test_for_classes_that_no_model_knows_a_new_one_is_proposed(
    controller: Controller, trainer: Any, page: TrainPage, organs: Path, tumour: Any
) -> None:
    assert page.start.currentData() == NEW
    assert page.begin.text() == "Train a new model"
    page.start.setCurrentIndex(page.start.findData(str(organs)))  # a person may choose another
    page.start.activated.emit(page.start.currentIndex())
    controller.tick()
    assert not page.begin.isEnabled()
    assert (
        "those of this mask class 1. Give it the same names, in the same order"
        in controller.classroom.training.state.findings[0].text
    )
    page.start.setCurrentIndex(page.start.findData(NEW))
    page.start.activated.emit(page.start.currentIndex())
    controller.tick()
    page.begin.click()
    rest(controller)
    assert trainer.orders[-1]["model"] == NEW


def test_a_model_that_knows_the_classes_is_proposed_before_the_chosen_one(
    controller: Controller, page: TrainPage, organs: Path, tumour: Any, model_file: Callable[..., Path]
) -> None:
    tumours = model_file("semantic", ndim=3, classes=("tumour",))
    for path in (tumours, organs):
        controller.choose_model(path)
    settle(controller)
    assert page.start.currentData() == NEW
    controller.classes.rename(controller.recorder.track(tumour), 1, "tumour")
    settle(controller)
    assert page.start.currentData() == str(tumours)
    assert page.begin.isEnabled()


def test_a_new_class_is_added_to_a_model(controller: Controller, trainer: Any, page: TrainPage, organs: Path) -> None:
    controller.choose_model(organs)
    rng = np.random.default_rng(0)
    controller.viewer.add_image(rng.normal(size=(6, 30, 30)), name="scan")
    about = {"napari_seg_objects": False, "napari_seg_classes": ("liver", "spleen")}
    layer = controller.viewer.add_labels(np.zeros((6, 30, 30), np.uint8), name="mask", metadata=about)
    rest(controller)
    controller.choose_model(organs)
    rest(controller)
    track = controller.recorder.track(layer)
    assert track is not None
    controller.classes.add(track)
    rest(controller)
    controller.classes.rename(track, 3, "tumour")
    rest(controller)
    for z in (1, 2):
        layer.data_setitem((np.array([z, z]), np.array([5, 6]), np.array([5, 5])), 3)
        rest(controller, 1)
    controller.recorder.say(track, {slice_key(0, 1): Entry(state="accepted")}, "finish slice")
    settle(controller)
    assert page.lessons.text() == "It learns from tumour, painted in 2 slices and 1 finished slice in 1 image."
    assert "learns the new class tumour" in page.start_words.text()
    page.begin.click()
    rest(controller)
    assert trainer.orders[-1]["settings"]["new_classes"] == ["tumour"]


def test_for_a_class_that_the_model_does_not_know_a_new_model_is_proposed(
    controller: Controller, trainer: Any, page: TrainPage, organs: Path
) -> None:
    controller.choose_model(organs)
    controller.viewer.add_image(np.random.default_rng(0).normal(size=(6, 30, 30)), name="scan")
    about = {"napari_seg_objects": False, "napari_seg_classes": ("tumour",)}
    layer = controller.viewer.add_labels(np.zeros((6, 30, 30), np.uint8), name="mask", metadata=about)
    rest(controller)
    controller.choose_model(organs)
    layer.data_setitem((np.array([2]), np.array([5]), np.array([5])), 1)
    settle(controller)
    assert controller.classroom.training.state.start == NEW
    page.begin.click()
    rest(controller)
    assert Path(trainer.orders[-1]["save_to"]).name == "tumour-1.safetensors"
    say(controller, trainer, Cancelled)
    controller.classroom.training.begin_with(str(organs))  # a person may see it otherwise
    settle(controller)
    assert "The classes of the model are liver and spleen" in controller.classroom.training.state.findings[0].text


def test_classes_that_overlap_are_learned_from_their_masks_together(
    controller: Controller, trainer: Any, page: TrainPage, model_file: Callable[..., Path]
) -> None:
    heart = model_file("overlapping", classes=("wall", "blood"))
    controller.choose_model(heart)
    controller.viewer.add_image(np.random.default_rng(0).normal(size=(30, 30)), name="scan")
    masks = []
    for name in ("wall", "blood"):
        about = {"napari_seg_objects": False, "napari_seg_classes": (name,)}
        masks.append(controller.viewer.add_labels(np.zeros((30, 30), np.uint8), name=name, metadata=about))
        rest(controller)
    controller.classroom.training.begin_with(str(heart))
    masks[1].data_setitem((np.array([5]), np.array([5])), 1)
    settle(controller)
    (finding,) = controller.classroom.training.state.findings
    assert finding.text.endswith("Correct or finish something in wall, too.")
    masks[0].data_setitem((np.array([5]), np.array([5])), 1)
    settle(controller)
    assert controller.classroom.training.state.findings == ()
    assert page.lessons.text() == "It learns from blood and wall in 1 image."
    page.begin.click()
    rest(controller)
    assert trainer.orders[-1]["model"] == str(heart)
    assert [one["plane"] for one in trainer.orders[-1]["lessons"]] == [
        "blood"
    ]  # the engine finds those that go with it


def test_a_mask_of_another_class_than_those_that_overlap_is_refused(
    controller: Controller, page: TrainPage, model_file: Callable[..., Path]
) -> None:
    heart = model_file("overlapping", classes=("wall", "blood"))
    controller.choose_model(heart)
    controller.viewer.add_image(np.random.default_rng(0).normal(size=(30, 30)), name="scan")
    about = {"napari_seg_objects": False, "napari_seg_classes": ("fat",)}
    mask = controller.viewer.add_labels(np.zeros((30, 30), np.uint8), name="fat", metadata=about)
    rest(controller)
    controller.classroom.training.begin_with(str(heart))
    mask.data_setitem((np.array([5]), np.array([5])), 1)
    settle(controller)
    assert not page.begin.isEnabled()
    (finding,) = controller.classroom.training.state.findings
    assert finding.text.startswith("The classes of the model are wall and blood, those of this mask fat.")


def test_both_masks_are_flicked_over_each_other_and_nothing_is_kept_of_them(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    layer = corrected(controller)
    path = trained(controller, trainer, page, spots)
    page.verdict.flick.click()
    old, new = trainer.orders[-2:]
    assert (old["model"], new["model"]) == (str(spots), str(path))
    labels = np.zeros((60, 80), np.uint8)
    labels[3:13, 3:15] = 1
    more = labels.copy()
    more[40:50, 40:50] = 2
    for number, found in ((len(trainer.orders) - 1, labels), (len(trainer.orders), more)):
        trainer.say(Finished(number, {"labels": found, "axes": "YX"}))
    layers = controller.viewer.layers
    assert page.verdict.waiting.isVisibleTo(page)  # what differs is looked for in a thread
    assert [one.name for one in layers] == ["cells", "mask"]
    rest(controller)
    assert [one.name for one in layers][-3:] == ["Old model", "New model", "Differences"]
    assert (layers["Old model"].visible, layers["New model"].visible, layer.visible) == (False, True, False)
    np.testing.assert_array_equal(np.flatnonzero(layers["Differences"].data), np.flatnonzero(more == 2))
    page.verdict.flick.click()
    assert (layers["Old model"].visible, layers["New model"].visible) == (True, False)
    assert [track.layer for track in controller.recorder.tracks()] == [layer]
    page.verdict.end.click()
    assert [one.name for one in layers] == ["cells", "mask"]
    assert layer.visible


def test_a_copy_of_a_mask_that_was_only_compared_keeps_what_its_numbers_mean(
    engine: Any, trainer: Any, model_file: Callable[..., Path], qtbot: Any
) -> None:
    path = model_file("semantic", classes=("liver",))
    controller = Controller(ViewerModel(), engine, trainer=trainer)
    image = controller.viewer.add_image(np.random.default_rng(0).random((60, 80)), name="scan")
    target = controller.target_with(image, path)
    assert target is not None
    controller.classroom.comparing.start(target, target, controller.settings_for(target.volume, path), None)
    for number in (1, 2):
        trainer.say(Finished(number, {"labels": np.ones((60, 80), np.uint8), "axes": "YX"}))
    rest(controller)
    controller.viewer.layers.selection = {controller.viewer.layers["New model"]}
    _layer_actions._duplicate_layer(controller.viewer.layers)
    rest(controller)
    (track,) = controller.recorder.tracks()
    assert track.layer.name == "New model copy"
    assert not controller.recorder.counts_objects(track)
    assert controller.classes.all_names(track) == ("liver",)
    controller.close()


def test_equal_masks_are_said_to_be_equal(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected(controller)
    trained(controller, trainer, page, spots)
    said: list[str] = []
    monkeypatch.setattr("napari_seg.gui.comparing.say", lambda viewer, words: said.append(words))
    page.verdict.flick.click()
    for number in (len(trainer.orders) - 1, len(trainer.orders)):
        trainer.say(Finished(number, {"labels": np.ones((60, 80), np.uint8), "axes": "YX"}))
    rest(controller)
    assert said[-1] == "Both models make the same mask here."


def test_a_mask_whose_image_was_closed_is_not_segmented_again_on_another(
    controller: Controller, engine: Any, trainer: Any, page: TrainPage, spots: Path
) -> None:
    layer = corrected(controller)
    trained(controller, trainer, page, spots)
    asked, layers = len(trainer.orders), controller.viewer.layers
    layers.remove("cells")
    controller.viewer.add_image(np.random.default_rng(0).random((60, 80)), name="other")
    rest(controller)
    for begin in (controller.classroom.segment_again, controller.classroom.compare):
        controller.viewer.layers.selection.active = layer
        controller.viewer.status = ""
        begin()
        rest(controller)
        assert controller.viewer.status == "cells is closed; open it again first."
        assert (engine.orders, len(trainer.orders)) == ([], asked)
        assert [one.name for one in layers] == ["mask", "other"]
    controller.viewer.add_image((twelve_cells() > 0) * 100.0, name="cells")
    rest(controller)
    controller.viewer.layers.selection.active = layer
    controller.classroom.segment_again()
    labels, told = twelve_cells(), {"notes": [], "seconds": 1.0, "settings": SETTINGS, "model_hash": "0f", "doubt": 0.1}
    engine.say(Finished(len(engine.orders), {"labels": labels, "axes": "YX", "sizes": [], **told}))
    rest(controller)
    assert sorted(one.name for one in layers) == ["cells", "mask", "other"]  # it went into the mask


def test_a_comparison_that_was_ended_shows_nothing_any_more(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    trained(controller, trainer, page, spots)
    page.verdict.flick.click()
    for number in (len(trainer.orders) - 1, len(trainer.orders)):
        trainer.say(Finished(number, {"labels": np.zeros((60, 80), np.uint8), "axes": "YX"}))
    page.verdict.waiting.cancel.click()
    rest(controller)
    assert [one.name for one in controller.viewer.layers] == ["cells", "mask"]


def test_a_comparison_ends_with_the_decision_and_with_the_next_training(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    trained(controller, trainer, page, spots)
    for leave in (
        lambda: page.shelf.used.emit(spots),
        lambda: controller.classroom.training._set_out(Run(shelf.free_path("more"), {"model": NEW, "words": ""})),
    ):
        page.verdict.flick.click()
        for number in (len(trainer.orders) - 1, len(trainer.orders)):
            trainer.say(Finished(number, {"labels": np.zeros((60, 80), np.uint8), "axes": "YX"}))
        rest(controller)
        assert "New model" in controller.viewer.layers
        leave()
        assert [one.name for one in controller.viewer.layers] == ["cells", "mask"]


def test_a_result_is_seen_whatever_befalls_its_note_and_its_comparison(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corrected(controller)
    page.begin.click()
    rest(controller)
    page.running.cancel.click()
    Path(trainer.orders[-1]["save_to"]).write_bytes(spots.read_bytes())
    say(controller, trainer, Cancelled)
    monkeypatch.setattr(shelf, "put_note", lambda path, **known: _raises("The disk is full; free some space.")(path))
    say(controller, trainer, Died, "memory ran out")  # while the two are compared
    assert page.verdict.headline.text() == "A new model is ready; it was not compared"
    assert page.verdict.trouble.text() == "The disk is full; free some space."
    assert page.failure.isHidden()
    page.verdict.use.click()
    rest(controller)
    assert page.verdict.use.text() == "The new model is used"


def test_of_a_large_picture_only_what_is_seen_is_compared(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classroom, "LARGE", 100)
    corrected(controller)
    trained(controller, trainer, page, spots)
    layer = controller.viewer.layers["cells"]
    layer.corner_pixels = np.array([[10, 20], [29, 49]])
    page.verdict.flick.click()
    region = trainer.orders[-1]["region"]
    assert (region["start"], region["stop"]) == ((10, 20), (30, 50))
    for number in (len(trainer.orders) - 1, len(trainer.orders)):
        trainer.say(Finished(number, {"labels": np.ones((20, 30), np.uint8), "axes": "YX"}))
    rest(controller)
    shown = controller.viewer.layers["New model"].data
    assert shown[10:30, 20:50].all()
    assert shown.sum() == 600


def test_notes_of_models_survive_what_damages_them(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    path = trained(controller, trainer, page, spots)
    note = path.with_name("instance2d-1.note.json")
    assert json.loads(note.read_text())["decision"] == "better"
    note.write_text("{")
    assert [(one.name, one.note) for one in shelf.kept()] == [("instance2d-1", {})]


def watched(controller: Controller, turns: int = 8) -> None:
    """What is shown follows what was painted."""
    controller.classroom.spotlight._clock = lambda: 1e9
    rest(controller, turns)
    controller.classroom.spotlight._clock = lambda: 2e9
    rest(controller, turns)


def test_what_is_learned_from_is_bright_and_follows_what_is_painted(controller: Controller, page: TrainPage) -> None:
    layer = corrected(controller, 1)
    page.spotlight.switch.click()
    watched(controller)
    veil = controller.viewer.layers[spotlight.NAME]
    assert (veil.data[layer.data == 1] != spotlight.DARK).all()  # the object that was painted on
    assert (veil.data[layer.data == 2] == spotlight.DARK).all()
    assert veil.data[50, 70]
    track = controller.recorder.track(layer)
    assert track is not None
    controller.recorder.say(track, {object_key(2): Entry(state="accepted")}, "accept")
    watched(controller)
    assert (veil.data[layer.data == 2] != spotlight.DARK).all()
    assert [one.layer for one in controller.recorder.tracks()] == [layer]  # the veil is only shown
    page.spotlight.switch.click()
    assert spotlight.NAME not in controller.viewer.layers


@pytest.mark.parametrize("left", ["page", "image", "mask"])
def test_what_is_learned_from_is_no_longer_shown_elsewhere(controller: Controller, page: TrainPage, left: str) -> None:
    other = drawn(controller, "other", {})
    corrected(controller, 1)
    page.spotlight.switch.click()
    watched(controller)
    assert spotlight.NAME in controller.viewer.layers
    if left == "page":
        page.hide()
    else:
        controller.viewer.layers.selection.active = controller.viewer.layers["other"] if left == "image" else other
    rest(controller)
    assert spotlight.NAME not in controller.viewer.layers
    assert not page.spotlight.switch.isChecked()


def test_a_person_corrects_it_by_painting_and_that_is_kept(
    controller: Controller, page: TrainPage, engine: Any, trainer: Any
) -> None:
    layer = corrected(controller, 1)
    page.spotlight.switch.click()
    page.spotlight.buttons[1].click()
    rest(controller)
    marks = controller.viewer.layers["mask learning"]
    assert controller.viewer.layers.selection.active is marks
    assert (marks.mode, marks.selected_label, page.spotlight.buttons[1].isChecked()) == ("paint", 1, True)
    assert controller.classroom.lessons.track is controller.recorder.track(layer)
    marks.data_setitem((np.array([50, 51]), np.array([70, 70])), 1)
    page.spotlight.buttons[2].click()
    marks.data_setitem((np.array([5]), np.array([5])), 2)
    watched(controller)
    veil = controller.viewer.layers[spotlight.NAME]
    assert [veil.data[at] == spotlight.DARK for at in ((50, 70), (5, 5), (8, 8))] == [False, True, False]
    page.spotlight.buttons[2].click()  # once more: back to the mask
    assert controller.viewer.layers.selection.active is layer
    page.spotlight.switch.click()
    assert not marks.visible
    settle(controller)
    assert page.lessons.text() == "It learns from 1 object and what you marked in 1 image."
    assert controller.hands.track is controller.recorder.track(layer)
    controller.close()
    again = Controller(ViewerModel(), engine, trainer=trainer)
    again.viewer.add_image((twelve_cells() > 0) * 100.0, name="cells")
    rest(again)
    back = again.viewer.layers["mask learning"]
    assert back.data[50, 70] == 1
    assert not back.visible
    again.close()


def test_nothing_is_learned_from_a_place_that_was_marked_on_the_labels_of_another_file(
    controller: Controller, page: TrainPage
) -> None:
    layers, cells = controller.viewer.layers, twelve_cells()

    def opened(labels: Any) -> None:
        """Another file of the mask takes the place of the one that is open."""
        layers.remove("mask")
        layers.selection.active = layers["cells"]
        layers.selection.active = controller.viewer.add_labels(labels.copy(), name="mask")
        settle(controller)

    corrected(controller, 0)
    page.spotlight.buttons[1].click()
    rest(controller)
    layers["mask learning"].data_setitem((np.array([50]), np.array([70])), 1)
    settle(controller)
    assert page.lessons.text() == "It learns from what you marked in 1 image."
    opened(cells[::-1])
    assert "learns" not in page.lessons.text()
    assert "mask learning" not in layers
    layers["mask"].undo()
    settle(controller)
    assert page.lessons.text() == "It learns from what you marked in 1 image."
    assert layers["mask learning"].data[50, 70] == 1
    layers["mask"].redo()
    settle(controller)
    opened(cells)
    assert page.lessons.text() == "It learns from what you marked in 1 image."


def test_three_rounds_tell_what_more_corrections_would_bring(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    corrected(controller)
    told = []
    for _ in range(3):
        trained(controller, trainer, page, spots)
        page.verdict.use.click()
        rest(controller)
        told.append(page.verdict.outlook.text())
        page.verdict.more.click()
        rest(controller)
    assert told[:2] == ["", ""]
    assert told[2]


def test_what_there_is_to_learn_from_is_looked_at_first(controller: Controller, trainer: Any, page: TrainPage) -> None:
    corrected(controller)
    training = controller.classroom.training
    training.begin_with(NEW)
    controller.tick()
    training._examining._since -= 10
    controller.tick()
    order = trainer.examined[-1]
    assert order["lessons"][0]["plane"] == "mask"
    assert order["settings"]["task"] == "instance"
    assert "network" not in order["settings"]
    plan = [["ndim", "2D", "The images are flat."], ["width", "24 channels", "Wide enough."]]
    advice = ["network", "segnet", "There is little memory."]
    found = [
        {"sentence": "There is a single image (cells).", "stops": False, "fix": "", "left_out": []},
        {"sentence": "Its labels lie elsewhere.", "stops": True, "fix": "Lay them where the files say", "left_out": []},
    ]
    trainer.say(Finished(-1, {"findings": found, "plan": plan, "advice": advice}))
    controller.tick()
    assert [finding.level for finding in training.state.findings] == ["warning", "warning", "note"]
    assert "Its labels lie elsewhere." in training.state.findings[1].text
    assert page.reasons.text().splitlines() == ["2D: The images are flat.", "24 channels: Wide enough."]
    assert page.choices.widgets["network"].currentText() == "SegNet"
    page.choices.widgets["network"].activated.emit(0)  # a person knows better
    page.choices.widgets["network"].setCurrentIndex(0)
    training.set_choice("network", "unet")
    controller.tick()
    training._examining._since -= 10
    controller.tick()
    assert trainer.examined[-1]["settings"]["network"] == "unet"
    page.begin.click()
    rest(controller)
    assert trainer.orders[-1]["settings"]["network"] == "unet"


def test_what_was_found_of_images_that_are_closed_is_not_said_of_others(
    controller: Controller, trainer: Any, page: TrainPage
) -> None:
    corrected(controller)
    controller.classroom.training._examining._since -= 10
    controller.tick()
    words = "There is a single image (cells)."
    found = [{"sentence": words, "stops": False, "fix": "", "left_out": []}]
    trainer.say(Finished(-1, {"findings": found, "plan": [], "advice": None}))
    controller.tick()
    assert words in [finding.text for finding in controller.classroom.training.state.findings]
    controller.viewer.layers.clear()
    controller.viewer.add_image(np.eye(30, dtype=np.uint8), name="other")
    controller.viewer.add_labels(np.zeros((30, 30), np.uint16), name="nothing")
    settle(controller)
    assert len(controller.classroom.training.state.findings) == 1
    assert "first" in controller.classroom.training.state.findings[0].text


def test_what_is_wrong_is_mended_by_a_button_and_left_by_another(
    controller: Controller, trainer: Any, page: TrainPage
) -> None:
    corrected(controller, 5)
    controller.viewer.add_image(twelve_cells() > 0, name="copy")
    layer = controller.viewer.add_labels(np.zeros((60, 80), np.uint16), name="more")
    rest(controller)
    layer.data_setitem((np.array([4]), np.array([4])), 1)
    settle(controller)
    examining = controller.classroom.training._examining
    examining._since -= 10
    controller.tick()
    lesson = trainer.examined[-1]["lessons"][-1]
    assert trainer.examined[-1]["agreed"] == []
    words = "cells, copy are the same image; keep one of them."
    gone = [[lesson["session"], lesson["image"]]]
    found = [{"sentence": words, "stops": False, "fix": "Keep the first", "left_out": gone}]
    trainer.say(Finished(-1, {"findings": found, "plan": [], "advice": None}))
    controller.tick()
    assert page.lessons.text() == "It learns from 6 objects in 2 images."

    def press(label: str) -> None:
        buttons = page.findings.findChildren(QPushButton)
        *_, button = [one for one in buttons if one.text() == label]  # those before are on their way out
        button.click()
        controller.tick()

    press("Keep the first")
    assert page.lessons.text() == "It learns from 5 objects in 1 image."
    assert f"{words} You chose: keep the first." in [finding.text for finding in page._training.state.findings]
    press("Leave it as it is")
    assert page.lessons.text() == "It learns from 6 objects in 2 images."
    press("Keep the first")
    examining._since -= 10
    controller.tick()
    assert trainer.examined[-1]["agreed"] == [words]  # the plan is made of what is left
    page.begin.click()
    rest(controller)
    order = trainer.orders[-1]
    assert order["mend"] == {"agreed": [words], "task": "instance", "classes": 0}
    assert len(order["lessons"]) == 2  # the engine leaves out what it finds again


def test_several_images_are_learned_from_together_each_from_its_session(
    controller: Controller, trainer: Any, page: TrainPage
) -> None:
    corrected(controller, 5)
    rng = np.random.default_rng(0)
    controller.viewer.add_image(rng.normal(size=(40, 50)), name="others")
    layer = controller.viewer.add_labels(np.zeros((40, 50), np.uint16), name="more")
    rest(controller)
    for k in (1, 2):
        layer.data_setitem((np.array([4 * k]), np.array([4])), k)
        rest(controller, 1)
    settle(controller)
    assert page.lessons.text() == "It learns from 7 objects in 2 images."
    page.begin.click()
    rest(controller)
    lessons = trainer.orders[-1]["lessons"]
    assert sorted(one["plane"] for one in lessons) == ["mask", "more"]
    assert len({one["session"] for one in lessons}) == 2
    assert sorted(one["volume"].shape for one in lessons) == [(40, 50), (60, 80)]


@pytest.fixture
def in_project(controller: Controller, folder: Path) -> Controller:
    """With a project of images that nobody segmented yet."""
    controller.batch.choose_folder(folder)
    rest(controller)
    return controller


def test_an_adopted_model_is_the_one_of_the_project(
    in_project: Controller, trainer: Any, engine: Any, page: TrainPage, spots: Path, folder: Path
) -> None:
    corrected(in_project)
    path = trained(in_project, trainer, page, spots)
    assert in_project.batch.state.model != path
    page.verdict.use.click()
    rest(in_project)
    state = in_project.batch.state
    assert state.model == path
    assert state.models == in_project.state.models
    in_project.batch.segment()
    assert engine.orders[-1]["model"] == str(path)
    in_project.batch.cancel()
    in_project.batch.choose_folder(folder)  # what was adopted suits its images as well
    rest(in_project)
    assert in_project.batch.state.model == path


@pytest.fixture
def proposed(engine: Any, trainer: Any, picture: np.ndarray[Any, Any]) -> Callable[[], tuple[Path | None, set[Path]]]:
    """Which model is proposed at the next start, and which there are."""

    def at_the_next_start() -> tuple[Path | None, set[Path]]:
        again = Controller(ViewerModel(), engine, trainer=trainer)
        again.viewer.add_image(picture, name="cells")
        rest(again)
        found = again.chosen_model(), set(again.models.names)
        again.close()
        return found

    return at_the_next_start


def test_an_adopted_model_is_proposed_again(
    controller: Controller, trainer: Any, page: TrainPage, spots: Path, proposed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_models, "shipped", lambda: {"instance2d": spots})  # its name comes first
    corrected(controller)
    path = trained(controller, trainer, page, spots)
    page.verdict.use.click()
    rest(controller)
    controller.close()
    assert proposed()[0] == path


def test_going_back_to_a_model_that_came_with_the_program_is_remembered(
    controller: Controller,
    trainer: Any,
    page: TrainPage,
    spots: Path,
    proposed: Any,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known_models, "shipped", lambda: {"instance2d": spots})
    corrected(controller)
    made = trained(controller, trainer, page, spots)
    page.verdict.use.click()
    segment = SegmentPage(controller)
    qtbot.addWidget(segment)
    settle(controller)
    for path in (spots, made, spots):  # in the list of the page Segment
        index = segment.model.findData(str(path))
        segment.model.activated.emit(index)
        rest(controller)
        model, there = proposed()
        assert model == path
        assert made in there


def test_an_adopted_model_leaves_what_a_person_chose_for_the_project(
    in_project: Controller, trainer: Any, page: TrainPage, spots: Path, model_file: Callable[..., Path]
) -> None:
    other = model_file("instance", classes=("other",))
    in_project.batch.choose_model(other)
    corrected(in_project)
    first = trained(in_project, trainer, page, spots)
    page.verdict.use.click()
    rest(in_project)
    assert in_project.batch.state.model == other
    assert (first, "instance2d-1") in in_project.batch.state.models  # one click away
    in_project.batch.choose_model(first)
    page.verdict.more.click()
    rest(in_project)
    second = trained(in_project, trainer, page, spots)
    page.verdict.use.click()
    rest(in_project)
    assert in_project.batch.state.model == second  # made from what was chosen there


def test_an_old_model_that_stays_changes_nothing_in_the_project(
    in_project: Controller, trainer: Any, page: TrainPage, spots: Path
) -> None:
    before = in_project.batch.state.model
    corrected(in_project)
    trained(in_project, trainer, page, spots)
    page.verdict.leave.click()
    rest(in_project)
    assert in_project.batch.state.model == before != spots


def test_a_project_knows_the_adopted_model_in_another_window(
    in_project: Controller, trainer: Any, engine: Any, page: TrainPage, spots: Path, folder: Path
) -> None:
    corrected(in_project)
    path = trained(in_project, trainer, page, spots)
    page.verdict.use.click()
    rest(in_project)
    in_project.close()
    again = Controller(ViewerModel(), engine, trainer=trainer)
    assert again.batch.state.models == again.state.models
    again.batch.choose_folder(folder)
    rest(again)
    assert again.batch.state.model == path
    again.close()
