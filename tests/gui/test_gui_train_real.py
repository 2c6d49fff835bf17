"""From a correction to a new model and a new mask, with the real engine processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_seg.gui.controller import Controller
from napari_seg.gui.engine import Engine
from napari_seg.gui.live import NAME
from napari_seg.models import shelf
from napari_seg.models.file import read_spec

LONG = 120_000
"""Milliseconds: two processes start and import torch, perhaps on a busy machine."""

FEW_STEPS = {"device": "cpu", "precision": "fp32", "steps": 20, "batch": 4}


@pytest.fixture
def controller(qtbot: Any, model_file: Callable[..., Path]) -> Iterator[Controller]:
    made = Controller(ViewerModel(), Engine())
    made.choose_model(model_file("semantic"))
    made.computing = lambda: FEW_STEPS  # type: ignore[method-assign]
    made.classroom.training._computing = lambda: FEW_STEPS
    made.classroom.lessons.watched = True
    yield made
    made.close()


def squares() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """An image of bright squares, and where they are."""
    truth = np.zeros((64, 96), np.uint8)
    for y in (6, 26, 46):
        for x in (6, 30, 54, 76):
            truth[y : y + 10, x : x + 12] = 1
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape)
    return (noise + truth).astype(np.float32), truth


def test_corrections_become_a_model_and_a_mask(controller: Controller, qtbot: Any) -> None:
    def until(true: Callable[[], bool]) -> None:
        qtbot.waitUntil(lambda: (controller.tick(), true())[1], timeout=LONG)

    image, truth = squares()
    training = controller.classroom.training
    controller.viewer.add_image(image, name="cells")
    about = {"napari_seg_objects": False, "napari_seg_classes": ("object",)}
    layer = controller.viewer.add_labels(np.zeros_like(truth), name="mask", metadata=about)
    until(lambda: controller.recorder.track(layer) is not None and layer.editable)
    for side in (slice(0, 42), slice(42, 64)):
        painted = np.zeros_like(truth)
        painted[:, side] = truth[:, side]
        layer.data_setitem(np.nonzero(painted), 1)
        controller.tick()
    before = layer.data.copy()
    until(lambda: training.state.can_start)
    assert training.state.lesson_words == "object in 1 image"
    training.start()
    until(lambda: training.state.phase in ("judged", "failed"))
    assert training.state.failure is None
    assert training.result is not None
    assert training.result.start is not None
    assert training.state.judgement is not None
    assert training.state.curve.scores
    path = training.result.path
    (kept,) = shelf.kept()
    assert kept.path == path
    assert read_spec(path).history[-1].details["parent"] == read_spec(training.result.start).name
    assert shelf.orders() == {}
    controller.classroom.compare()
    until(lambda: controller.classroom.comparing.which == "new")
    training.use_new()
    controller.classroom.segment_again()
    until(lambda: controller.state.phase == "done")
    assert [one.name for one in controller.viewer.layers] == ["cells", "mask"]
    assert (layer.data[before == 1] == 1).all()  # what was painted stays
    live = controller.classroom.live
    live.switch(True)
    layer.data_setitem((np.array([30]), np.array([90])), 1)
    until(lambda: live.ready or bool(live.trouble) or "nothing to suggest" in live.words)
    assert live.trouble == ""
    if live.ready:
        assert not controller.viewer.layers[NAME].data[before == 1].any()
    assert layer.data[30, 90] == 1


def test_a_training_that_is_stopped_leaves_the_best_so_far(
    controller: Controller, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until(true: Callable[[], bool]) -> None:
        qtbot.waitUntil(lambda: (controller.tick(), true())[1], timeout=LONG)

    image, truth = squares()
    training = controller.classroom.training
    training._computing = lambda: {**FEW_STEPS, "steps": 100_000}
    controller.viewer.add_image(image, name="cells")
    about = {"napari_seg_objects": False, "napari_seg_classes": ("object",)}
    layer = controller.viewer.add_labels(np.zeros_like(truth), name="mask", metadata=about)
    until(lambda: controller.recorder.track(layer) is not None and layer.editable)
    layer.data_setitem(np.nonzero(truth), 1)
    until(lambda: training.state.can_start)
    training.start()
    until(lambda: bool(training.state.curve.losses))
    training.stop()
    until(lambda: training.run is None)
    assert training.state.failure is None
    if training.state.phase != "judged":
        assert "before there was a first result" in training.state.findings[-1].text
    assert shelf.orders() == {}
