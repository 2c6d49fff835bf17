"""A model that learns while a person paints keeps what it has learned, and the model it began with stays as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_seg.data.volume import Volume
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import run
from napari_seg.models.model import Model
from napari_seg.training.division import known_as
from napari_seg.training.live import STEP_PIXELS, Live, LiveSpec
from napari_seg.training.memory import Memory
from napari_seg.training.sample import Sample, samples

CPU: Any = {"device": "cpu", "precision": "fp32"}


def taught(model: Model) -> tuple[Volume, list[Sample]]:
    """Bright squares of class 1, of which a person has spoken about one and what lies around it."""
    labels = np.zeros((64, 64), np.uint8)
    for y, x in ((8, 8), (40, 36), (10, 44)):
        labels[y : y + 12, x : x + 12] = 1
    values = np.random.default_rng(0).normal(0, 0.1, labels.shape) + labels
    image, mask = Volume(values.astype(np.float32), "YX", name="cells"), np.zeros(labels.shape, bool)
    mask[2:26, 2:26] = True
    return image, list(samples(image, image.mask(labels.astype(np.int32)), model.spec, mask=mask, name="cells"))


def test_it_learns_from_one_corner_what_is_right_in_the_others(model_file: Callable[..., Path]) -> None:
    model = Model.load(model_file("semantic"))
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    image, found = taught(model)
    live = Live(model, LiveSpec(steps=30, learning_rate=0.02, **CPU))
    assert live.model is model
    assert run(live.learn(found)) == 30
    once = live.model.network.state_dict()
    assert run(live.learn(found)) == 30
    assert any((value != once[name]).any() for name, value in live.model.network.state_dict().items())
    labels = np.asarray(predict(live.model, image, PredictSpec(**CPU)).labels.data)
    assert labels[44:48, 40:44].all()
    assert labels[14:18, 48:52].all()
    assert not labels[30:36, 5:25].any()
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())


def test_older_samples_of_the_image_in_hand_are_left_out(model_file: Callable[..., Path]) -> None:
    model = Model.load(model_file("semantic"))
    _, found = taught(model)
    before = [replace(found[0], name=known_as("cells"), group=known_as("cells")), replace(found[0], name="b")]
    live = Live(model, LiveSpec(steps=1, **CPU), Memory(tuple(before)))
    for _ in range(2):
        run(live.learn(found))
        assert live._trainer is not None
        assert len(live._trainer.source.older) == 1


def test_it_takes_about_the_seconds_that_it_is_given(model_file: Callable[..., Path]) -> None:
    model = Model.load(model_file("semantic"))
    _, found = taught(model)
    live, told = Live(model, LiveSpec(seconds=0.2, **CPU)), list[float]()
    steps = run(live.learn(found), lambda progress: told.append(progress.fraction))
    assert steps == len(told)
    assert told == sorted(told)
    assert told[-1] == 1


def test_patches_are_small_enough_for_several_steps(model_file: Callable[..., Path]) -> None:
    model = Model.load(model_file("semantic"))
    wide = model.spec.model_copy(update={"input": model.spec.input.model_copy(update={"patch": (512, 256)})})
    live = Live(Model(wide, model.network), LiveSpec(**CPU))
    patch = live._with_small_patches().input.patch
    assert 2 * patch[0] * patch[1] <= STEP_PIXELS[2]
    assert all(n % k == 0 for n, k in zip(patch, model.network.multiple, strict=True))
