"""Mirrored predictions are compared when a person asks for it, and become a reason in the queue."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest
from napari.components import ViewerModel

from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Cancelled, Failed, Finished, Progressed
from napari_seg.gui.pages.review import ReviewPage
from napari_seg.gui.surroundings import differing_path, scores_path
from napari_seg.jobs import Progress
from napari_seg.models.spec import ModelSpec

SETTINGS = {"device": "cpu", "precision": "fp32", "threshold": None, "seeds": None, "smallest": None}
TOLD = {"notes": [], "seconds": 3.2, "settings": SETTINGS, "model_hash": "0f", "doubt": 0.1, "axes": "YX", "sizes": []}


@pytest.fixture
def segmented(engine: Any, spots: Path, picture: np.ndarray[Any, Any], qtbot: Any) -> Any:
    """A controller with a mask that was just predicted, and its scores."""
    controller = Controller(ViewerModel(), engine)
    controller.choose_model(spots)
    controller.viewer.add_image(picture, name="cells")
    rest(controller)
    controller.run()
    labels = np.zeros(picture.shape, np.uint8)
    for k, (y, x) in enumerate(((20, 25), (50, 60), (70, 100), (30, 95)), 1):
        labels[y - 6 : y + 6, x - 6 : x + 6] = k
    engine.say(Finished(len(engine.orders), {"labels": labels, **TOLD}))
    rest(controller)
    track = controller.hands.track
    assert track is not None
    scores = scores_path(track)
    scores.parent.mkdir(exist_ok=True)
    np.save(scores, np.full((3, *picture.shape), 0.5, np.float16))
    yield controller
    controller.close()


def look(controller: Controller, qtbot: Any) -> None:
    controller.reviewing.look()
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)


def test_it_says_what_it_costs_and_runs_in_the_engine(segmented: Controller, engine: Any, qtbot: Any) -> None:
    page = ReviewPage(segmented)
    qtbot.addWidget(page)
    look(segmented, qtbot)
    assert page.mirror.start.text().startswith("Also compare mirrored (about ")
    page.mirror.start.click()
    order, track = engine.orders[-1], segmented.hands.track
    assert track is not None
    assert order["verb"] == "compare_mirrored"
    assert order["settings"]["flips"]
    assert (order["scores"], order["path"]) == (str(scores_path(track)), str(differing_path(track)))
    assert page.mirror.start.isHidden()
    engine.say(Progressed(len(engine.orders), Progress(1, 4, "Segmenting")))
    assert (page.mirror.bar.value(), page.mirror.bar.format()[:9]) == (25, "Comparing")
    differing = np.zeros(track.row.grid, np.float16)
    differing[44:56, 54:66] = 0.4
    np.save(differing_path(track), differing)
    engine.say(Finished(len(engine.orders), {"seconds": 1.0}))
    qtbot.waitUntil(lambda: (segmented.tick(), not segmented.reviewing.looking)[1], timeout=20_000)
    reasons = {suspect.label: suspect.reasons for suspect in segmented.reviewing.seen.suspects}
    assert [label for label, why in reasons.items() if "Answered otherwise in a mirror" in why] == [2]
    assert page.mirror.words.text() == "Mirrored predictions are compared too."


def test_it_can_be_cancelled_and_says_what_went_wrong(segmented: Controller, engine: Any, qtbot: Any) -> None:
    page = ReviewPage(segmented)
    qtbot.addWidget(page)
    look(segmented, qtbot)
    page.mirror.start.click()
    page.mirror.cancel.click()
    assert engine.cancelled == [len(engine.orders)]
    assert page.mirror.bar.format() == "Stopping"
    engine.say(Cancelled(len(engine.orders)))
    assert not page.mirror.start.isHidden()
    page.mirror.start.click()
    engine.say(Failed(len(engine.orders), "There is no room; free some space."))
    assert page.mirror.words.text() == "There is no room; free some space."


def test_without_scores_and_after_another_prediction_it_does_not_count(segmented: Controller, qtbot: Any) -> None:
    page = ReviewPage(segmented)
    qtbot.addWidget(page)
    look(segmented, qtbot)
    track = segmented.hands.track
    assert track is not None
    np.save(differing_path(track), np.ones(track.row.grid, np.float16))
    assert segmented.mirroring.done
    later = differing_path(track).stat().st_mtime_ns + 10**9
    os.utime(scores_path(track), ns=(later, later))
    assert not segmented.mirroring.done
    scores_path(track).unlink()
    page.render()
    assert not page.mirror.start.isEnabled()
    assert "Segment the image first" in page.mirror.start.toolTip()
    segmented.mirroring.start()
    assert segmented.mirroring.running is None


def test_a_model_that_learned_no_mirror_images_is_not_asked_for_them(
    segmented: Controller, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    page = ReviewPage(segmented)
    qtbot.addWidget(page)
    monkeypatch.setattr(ModelSpec, "mirrors", False)
    look(segmented, qtbot)
    page.render()
    assert not page.mirror.start.isEnabled()
    assert "all lie the same way" in page.mirror.start.toolTip()


@pytest.fixture
def again(segmented: Controller, engine: Any, spots: Path, picture: np.ndarray[Any, Any]) -> Any:
    """Another window with the same image, after the first was closed."""
    segmented.close()
    controller = Controller(ViewerModel(), engine)
    controller.choose_model(spots)
    controller.viewer.add_image(picture, name="cells")
    rest(controller)
    yield controller
    controller.close()


def test_a_mask_of_an_earlier_session_can_be_compared_too(
    again: Controller, engine: Any, spots: Path, qtbot: Any
) -> None:
    assert again.hands.track is not None
    assert again.mirroring.seconds() is None  # which model it was is not known yet
    look(again, qtbot)
    seconds = again.mirroring.seconds()
    assert seconds is not None
    assert seconds > 0
    again.mirroring.start()
    order = engine.orders[-1]
    assert (order["model"], order["model_hash"], order["settings"]["precision"]) == (str(spots), "0f", "fp32")


def test_the_scores_of_an_image_that_was_replaced_are_not_compared(
    again: Controller, picture: np.ndarray[Any, Any], qtbot: Any
) -> None:
    look(again, qtbot)
    assert again.mirroring.seconds() is not None
    again.viewer.layers["cells"].data = picture[::-1].copy()
    assert again.mirroring.seconds() is None
