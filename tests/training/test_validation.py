"""The decoding settings that a training ends with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_seg.data.volume import Volume
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.inference.backend import choose_device
from napari_seg.jobs import Progress, Steps, run
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic
from napari_seg.training import validation
from napari_seg.training.sample import Sample


def model(task: Instance | Semantic) -> Model:
    network = NetworkSpec(ndim=2, out_channels=task.channels, width=4, depth=1)
    return Model.create(ModelSpec(name="m", network=network, task=task, input=InputSpec(patch=(16, 16))))


def test_the_settings_are_those_that_do_best_when_each_is_tried_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Instance(smallest=6.0)
    labels = np.zeros((48, 48), np.int64)
    for number in range(9):
        row, column = divmod(number, 3)
        labels[row * 16 + 2 : row * 16 + 12, column * 16 + 2 : column * 16 + 4 + number] = number + 1
    noise = np.random.default_rng(0).random((3, 3, 48, 48), np.float32)
    found = [0.45 * task.encode(labels, (1.0, 1.0)) + 0.55 * one for one in noise]
    samples = [Sample(np.zeros((1, 48, 48), np.float32), labels, name=str(k)) for k in range(3)]

    def scores_of(_: Any, __: Any, sample: Sample, at: Progress) -> Steps[Any]:
        yield at
        return found[int(sample.name)]

    monkeypatch.setattr(validation, "scores_of", scores_of)
    means = [
        np.mean(
            [
                evaluate(Volume(labels, "YX"), Volume(variant.decode(one, (1.0, 1.0)), "YX"), "instance").score or 0.0
                for one in found
            ]
        )
        for variant in task.variants()
    ]
    best = task.variants()[int(np.argmax(means))]
    assert best != task
    chosen = run(validation.tuned(model(task), task, samples, choose_device("cpu", "fp32")))
    assert chosen.task == best


def test_a_task_without_settings_to_choose_looks_at_nothing() -> None:
    plain = model(Semantic())
    assert run(validation.tuned(plain, plain.spec.task, [], choose_device("cpu", "fp32"))) == plain.spec
