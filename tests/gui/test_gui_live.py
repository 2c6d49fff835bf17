"""Suggestions while one paints: after a pause, outside the history until they are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest, twelve_cells
from napari.components import ViewerModel

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.gui import errands
from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Failed, Finished
from napari_seg.gui.hands import HIDDEN
from napari_seg.gui.layers import layer_data
from napari_seg.gui.live import AWAITED, COMES, GOES, IN_FRONT, NAME, OFFERED, UNDER, UNSEEN, Live
from napari_seg.gui.live_box import LiveBox
from napari_seg.session.store import Store

SETTINGS = {"device": "cpu", "precision": "fp32"}


@pytest.fixture
def controller(engine: Any, trainer: Any, spots: Path, qtbot: Any) -> Iterator[Controller]:
    made = Controller(ViewerModel(), engine, trainer=trainer)
    labels = twelve_cells()
    made.viewer.add_image((labels > 0) * 100.0, name="cells")
    made.viewer.add_labels(labels, name="mask")
    rest(made)
    made.choose_model(spots)
    rest(made)
    yield made
    made.close()


def paused(controller: Controller) -> Live:
    """A person has painted nothing for a while."""
    live = controller.classroom.live
    for now in (10.0, 10.0, 20.0):
        live._clock = lambda now=now: live._since + now
        rest(controller, 2)
    rest(controller)
    return live


def stroke(controller: Controller, label: int = 1) -> None:
    layer = controller.viewer.layers["mask"]
    layer.data_setitem((np.array([14]), np.array([3 + label])), label)
    rest(controller, 1)


def answered(controller: Controller, trainer: Any) -> np.ndarray[Any, Any]:
    """The engine sees one cell less and one more."""
    labels = twelve_cells()
    labels[labels == 12] = 0
    labels[50:56, 30:36] = 20
    answer = {"labels": labels, "region": None, "steps": 5, "seconds": 3.0, "settings": SETTINGS, "model_hash": "1"}
    trainer.say(Finished(len(trainer.orders), answer))
    rest(controller)
    return labels


def offered(controller: Controller, trainer: Any, label: int = 1) -> Live:
    """A person has painted, paused and been answered."""
    controller.classroom.live.switch(True)
    stroke(controller, label)
    live = paused(controller)
    answered(controller, trainer)
    return live


def test_a_pause_in_painting_brings_a_suggestion_and_nothing_else_does(
    controller: Controller, trainer: Any, qtbot: Any
) -> None:
    box = LiveBox(controller.classroom.live)
    qtbot.addWidget(box)
    stroke(controller)
    paused(controller)
    assert (trainer.orders, trainer.warmed) == ([], 0)  # it is off
    box.switch.click()
    live = paused(controller)
    assert (trainer.orders, trainer.warmed) == ([], 1)  # nothing was painted since
    stroke(controller, 2)
    assert trainer.orders == []  # no pause yet
    paused(controller)
    (order,) = trainer.orders
    assert (order["verb"], order["region"]) == ("live", None)
    assert order["lessons"][0]["plane"] == "mask"
    assert box.words.text() == "Learning from what you did"
    layer = controller.viewer.layers["mask"]
    before, steps = layer.data.copy(), controller.recorder.safe.steps
    answered(controller, trainer)
    shown = controller.viewer.layers[NAME]
    assert (shown.data[50:56, 30:36] == COMES).all()
    assert set(np.unique(shown.data[before == 12])) == {GOES}
    assert not shown.data[(before == 1) | (before == 2)].any()  # what was painted stays
    np.testing.assert_array_equal(layer.data, before)
    assert controller.recorder.safe.steps == steps
    assert controller.viewer.layers.selection.active is layer
    assert not box.buttons.isHidden()
    box.accept.click()
    rest(controller, 12)
    assert NAME not in controller.viewer.layers
    assert layer.data[52, 32] > 0
    assert not (layer.data == 12).any()
    np.testing.assert_array_equal(layer.data == 1, before == 1)
    assert controller.recorder.safe.steps == steps + 1
    paused(controller)
    assert len(trainer.orders) == 1  # accepting is not painting
    assert live.words == "Taken over."
    controller.recorder.undo(layer)
    rest(controller)
    np.testing.assert_array_equal(layer.data, before)


def test_a_layer_that_was_given_another_image_ends_suggestions_and_teaches_nothing(
    controller: Controller, trainer: Any
) -> None:
    live = offered(controller, trainer)
    assert live.ready
    (lesson,) = trainer.orders[0]["lessons"]
    lessons = live._lessons
    assert lessons.with_volumes([lesson])[0]["volume"] is not None
    before = controller.viewer.layers["mask"].data.copy()
    controller.viewer.layers["cells"].data = np.zeros_like(before, np.float64)
    live.accept()
    rest(controller)
    assert not live.ready
    assert NAME not in controller.viewer.layers
    np.testing.assert_array_equal(controller.viewer.layers["mask"].data, before)
    stroke(controller, 2)
    paused(controller)
    assert len(trainer.orders) == 1
    assert lessons.with_volumes([lesson])[0]["volume"] is None


def test_an_answer_is_dropped_where_another_image_is_shown_by_now(controller: Controller, trainer: Any) -> None:
    live = controller.classroom.live
    live.switch(True)
    stroke(controller)
    paused(controller)
    layer = controller.viewer.layers["cells"]
    layer.data = np.zeros_like(layer.data)
    answered(controller, trainer)
    assert not live.ready
    assert NAME not in controller.viewer.layers


def test_every_further_pause_brings_another_and_dropping_changes_nothing(
    controller: Controller, trainer: Any, qtbot: Any
) -> None:
    live = controller.classroom.live
    live.switch(True)
    layer = controller.viewer.layers["mask"]
    for number in (1, 2, 3):
        stroke(controller, number)
        paused(controller)
        assert len(trainer.orders) == number
        answered(controller, trainer)
        assert live.ready
    before = layer.data.copy()
    live.drop()
    rest(controller)
    assert NAME not in controller.viewer.layers
    np.testing.assert_array_equal(layer.data, before)
    stroke(controller, 4)
    paused(controller)
    assert len(trainer.orders) == 4
    live.switch(False)
    assert trainer.cancelled == [4]
    answered(controller, trainer)
    assert NAME not in controller.viewer.layers


def test_it_waits_while_a_model_is_trained_and_says_what_is_wrong(controller: Controller, trainer: Any) -> None:
    live = controller.classroom.live
    live.switch(True)
    stroke(controller)
    live._busy = lambda: True
    paused(controller)
    assert trainer.orders == []
    live._busy = lambda: False
    paused(controller)
    trainer.say(Failed(len(trainer.orders), "Nothing counts in this image yet; paint something."))
    rest(controller)
    assert live.trouble == "Nothing counts in this image yet; paint something."


def test_a_suggestion_for_one_mask_never_goes_into_another(controller: Controller, trainer: Any) -> None:
    live = offered(controller, trainer)
    first = controller.viewer.layers["mask"]
    second = controller.viewer.add_labels(np.zeros((60, 80), np.uint16), name="another")
    rest(controller)
    assert not live.ready  # it went with the mask
    assert NAME not in controller.viewer.layers
    asked = len(trainer.orders)
    paused(controller)
    assert len(trainer.orders) == asked  # to choose a mask is not to paint
    second.data_setitem((np.array([40]), np.array([40])), 1)
    rest(controller, 1)
    paused(controller)
    assert trainer.orders[-1]["lessons"][0]["plane"] == "another"
    before = first.data.copy(), second.data.copy()
    live.accept()
    rest(controller, 12)
    np.testing.assert_array_equal(second.data, before[1])
    controller.viewer.layers.selection.active = first
    live._busy = lambda: True  # no further question
    answered(controller, trainer)  # of the mask that is no longer in hand
    assert not live.ready
    assert live.words == ""
    np.testing.assert_array_equal(first.data, before[0])


def test_a_question_of_the_mask_before_is_not_asked_for_the_one_in_hand(controller: Controller, trainer: Any) -> None:
    live = controller.classroom.live
    live.switch(True)
    track = controller.classroom.lessons.track
    assert track is not None
    asked = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(controller.recorder, "ask", lambda track, work, then, failed: asked.append((then, failed)))
        live._learn(track)
    ask, refuse = asked[0]
    live._busy = lambda: True  # a training was begun meanwhile
    ask(True)
    assert trainer.orders == []
    live._busy = lambda: False
    second = controller.viewer.add_labels(np.zeros((60, 80), np.uint16), name="another")
    rest(controller)
    assert controller.classroom.lessons.track is controller.recorder.track(second)
    ask(True)
    assert (trainer.orders, live.words) == ([], "")
    refuse("The disk does not answer.")
    assert live.trouble == "The disk does not answer."


def test_a_step_back_comes_after_the_suggestion_that_was_accepted_before(
    controller: Controller, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, layer = offered(controller, trainer, 2), controller.viewer.layers["mask"]
    painted = layer.data.copy()
    live._busy = lambda: True  # no further question
    monkeypatch.setattr(errands, "PATIENCE", 0.0)
    controller.tick()  # from now on nobody waits
    live.accept()
    assert (live.words, live.ready) == ("Taking it over", False)
    assert controller.recorder.at_work  # the window does not close before
    layer.undo()
    for _ in range(1000):
        rest(controller)
        if controller.recorder.rests:
            break
    assert live.words == "Taken over."
    np.testing.assert_array_equal(layer.data, painted)
    layer.redo()
    for _ in range(1000):
        rest(controller)
        if controller.recorder.rests:
            break
    assert layer.data[52, 32] > 0
    assert not (layer.data == 12).any()


def test_why_a_suggestion_cannot_be_taken_over_is_said(
    controller: Controller, trainer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = offered(controller, trainer)

    def damaged(*about: Any) -> Any:
        raise SegError("The disk is damaged; restore it.")

    monkeypatch.setattr(Store, "labels", damaged)
    live.accept()
    rest(controller)
    assert (live.words, live.trouble) == ("", "The disk is damaged; restore it.")


def volume(controller: Controller, axes: str) -> Any:
    """Six slices of cells, or six moments, of which the fourth is shown."""
    controller.viewer.layers.clear()
    rest(controller)
    labels = np.stack([twelve_cells()] * 6)
    image, mask = (Volume(array, axes, (1.0,) * axes.count("Z") + (1.0, 1.0)) for array in (labels * 9.0, labels))
    for what, kind in ((image, "image"), (mask, "labels")):
        for data, about, _ in layer_data(what, kind):
            layer = getattr(controller.viewer, f"add_{kind}")(data, **{**about, "name": "cells"})
    layer.name = "mask"
    controller.viewer.dims.set_current_step(0, 3)
    for _ in range(3):
        rest(controller)
    controller.viewer.layers.selection.active = layer
    return layer


@pytest.mark.parametrize(("axes", "where"), [("ZYX", "in slice 3"), ("TYX", "at time 3")])
def test_a_suggestion_that_is_not_seen_is_not_taken_over(
    controller: Controller, trainer: Any, axes: str, where: str
) -> None:
    layer, live, dims = volume(controller, axes), controller.classroom.live, controller.viewer.dims
    live.switch(True)
    layer.data_setitem((np.array([3]), np.array([14]), np.array([5])), 2)
    rest(controller, 1)
    paused(controller)
    region = trainer.orders[-1]["region"]
    labels = twelve_cells()
    labels[50:56, 30:36] = 20
    found = labels if axes == "TYX" else labels[None]
    answer = {"labels": found, "region": region, "steps": 5, "seconds": 3.0, "settings": SETTINGS, "model_hash": "1"}
    trainer.say(Finished(len(trainer.orders), answer))
    rest(controller)
    assert live.words == OFFERED
    before = layer.data.copy()

    def refused() -> str:
        rest(controller, 1)
        told = live.words  # before anybody asks
        live.accept()
        rest(controller)
        np.testing.assert_array_equal(layer.data, before)
        assert (live.ready, live.words) == (True, told)
        return told

    dims.set_current_step(0, 5)
    assert refused() == f"The suggestion lies {where}; go there, or drop it."
    dims.set_current_step(0, 3)
    rest(controller, 1)
    assert live.words == OFFERED
    layer.visible = False
    assert refused() == HIDDEN.format(name="mask")
    layer.visible, controller.viewer.layers[NAME].visible = True, False
    assert refused() == UNSEEN
    controller.viewer.layers[NAME].visible = True
    live.accept()
    rest(controller, 12)
    assert set(np.argwhere(layer.data != before)[:, 0]) == {3}


def under(controller: Controller, trainer: Any) -> tuple[Live, Any]:
    """A suggestion, and the opaque image that was opened over it."""
    live = offered(controller, trainer)
    live._busy = lambda: True  # no further question
    over = controller.viewer.add_image(np.ones((60, 80)), name="another")
    rest(controller)
    return live, over


def test_a_suggestion_that_lies_under_another_image_comes_to_the_front_before_it_is_taken_over(
    controller: Controller, trainer: Any, qtbot: Any
) -> None:
    live, _ = under(controller, trainer)
    box = LiveBox(live)
    qtbot.addWidget(box)
    layer, layers = controller.viewer.layers["mask"], controller.viewer.layers
    before = layer.data.copy()
    assert box.words.text() == UNDER.format(over="another")
    box.accept.click()
    rest(controller, 12)
    np.testing.assert_array_equal(layer.data, before)
    assert [one.name for one in layers] == ["another", "cells", "mask", NAME]
    assert box.words.text() == IN_FRONT.format(over="another")
    assert not box.buttons.isHidden()
    box.accept.click()
    rest(controller, 12)
    assert layer.data[52, 32] > 0
    assert live.words == "Taken over."


def test_an_image_that_lies_beside_a_suggestion_or_is_seen_through_is_not_in_its_way(
    controller: Controller, trainer: Any
) -> None:
    live, over = under(controller, trainer)
    layer, order = controller.viewer.layers["mask"], [one.name for one in controller.viewer.layers]
    over.opacity = 0.5
    rest(controller, 1)
    assert live.words == OFFERED
    over.opacity, over.translate = 1, (0, 78)  # over the last columns, in which nothing is suggested
    rest(controller, 1)
    assert live.words == OFFERED
    live.accept()
    rest(controller, 12)
    assert layer.data[52, 32] > 0
    assert [name for name in order if name != NAME] == [one.name for one in controller.viewer.layers]


def test_a_suggestion_under_its_own_image_comes_to_the_front_too(controller: Controller, trainer: Any) -> None:
    live, layers = offered(controller, trainer), controller.viewer.layers
    layers.move(0, 3)
    live.accept()
    assert (live.ready, live.words) == (True, IN_FRONT.format(over="cells"))
    live.accept()
    rest(controller, 12)
    assert layers["mask"].data[52, 32] > 0


def test_where_all_that_taught_is_undone_the_suggestion_goes_too(
    controller: Controller, trainer: Any, qtbot: Any
) -> None:
    live, layer = offered(controller, trainer), controller.viewer.layers["mask"]
    box = LiveBox(live)
    qtbot.addWidget(box)
    layer.undo()
    rest(controller)
    paused(controller)
    assert box.words.text() == AWAITED
    assert box.buttons.isHidden()
    assert NAME not in controller.viewer.layers
    layer.redo()
    rest(controller)
    paused(controller)
    answered(controller, trainer)
    assert box.words.text() == OFFERED
    assert not box.buttons.isHidden()


def test_where_the_only_stroke_is_undone_painting_is_waited_for(controller: Controller, trainer: Any) -> None:
    live, layer = controller.classroom.live, controller.viewer.layers["mask"]
    live.switch(True)
    stroke(controller)
    layer.undo()
    rest(controller)
    paused(controller)
    assert trainer.orders == []
    assert (live.words, live.trouble) == (AWAITED, "")
    stroke(controller)
    paused(controller)
    assert len(trainer.orders) == 1


def test_a_stroke_that_is_undone_while_it_is_learned_from_is_no_trouble(controller: Controller, trainer: Any) -> None:
    live, layer = controller.classroom.live, controller.viewer.layers["mask"]
    live.switch(True)
    stroke(controller)
    paused(controller)
    layer.undo()
    rest(controller)
    trainer.say(Failed(len(trainer.orders), "spots finds single objects, and no such mask was corrected."))
    rest(controller)
    assert (live.words, live.trouble) == (AWAITED, "")


def test_a_mask_that_is_closed_is_no_longer_learned_from(controller: Controller, trainer: Any) -> None:
    live, layer = controller.classroom.live, controller.viewer.layers["mask"]
    live.switch(True)
    stroke(controller)
    paused(controller)
    assert live.words == "Learning from what you did"
    controller.viewer.layers.remove(layer)
    rest(controller)
    assert (live.words, trainer.cancelled) == ("", [1])
    controller.viewer.add_labels(layer.data.copy(), name="mask")
    rest(controller)
    paused(controller)
    assert len(trainer.orders) == 1  # nobody has painted since
    stroke(controller, 2)
    paused(controller)
    assert len(trainer.orders) == 2
