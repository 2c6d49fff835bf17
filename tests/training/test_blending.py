"""How much of a new model is taken where it has forgotten something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lessons import lesson, model_for, samples_for

from napari_seg.inference.backend import choose_device
from napari_seg.jobs import run
from napari_seg.models.model import Model
from napari_seg.networks import Network
from napari_seg.training import blending, course
from napari_seg.training.blending import blended, unforgetful
from napari_seg.training.sample import Sample

LESSONS = [lesson(seed) for seed in range(2)]
OLD = model_for(LESSONS)
NEW = replace(OLD, network=model_for(LESSONS, seed=1).network)
OLDER = samples_for(OLD, LESSONS)


def weight(model: Model) -> float:
    return float(next(model.network.parameters()).detach().flatten()[0])


@pytest.mark.parametrize(
    ("lost", "gained", "taken"),
    [
        ({}, {}, 1.0),
        ({1.0: 0.01}, {0.9: -0.05, 0.8: -0.1, 0.7: -0.2}, 1.0),
        ({1.0: 0.05, 0.9: 0.01}, {0.8: -0.3, 0.7: -0.3}, 0.9),
        (dict.fromkeys(blending.SHARES, 0.2), {}, 1.0),
    ],
    ids=["nothing is lost", "it costs more than it gives back", "it gives back more", "all lose alike"],
)
def test_a_blend_is_taken_where_it_is_worth_more(
    monkeypatch: pytest.MonkeyPatch, lost: dict[float, float], gained: dict[float, float], taken: float
) -> None:
    with torch.no_grad():
        for model, value in ((OLD, 0.0), (NEW, 1.0)):
            next(model.network.parameters()).fill_(value)

    def score(network: Network, _: object, of: tuple[Sample, ...], *rest: object) -> object:
        share = round(float(next(network.parameters()).detach().flatten()[0]), 3)
        yield
        return 0.8 - lost.get(share, 0.0) if of is OLDER else 0.5 + gained.get(share, 0.0)

    monkeypatch.setattr(course, "score", score)
    material = course.Material((), watched=OLDER[:1], minded=OLDER)
    made, share = run(unforgetful(OLD, NEW, material, choose_device("cpu")))
    assert share == taken
    assert weight(made) == pytest.approx(taken)


def test_a_blend_lies_between_and_is_none_of_the_two() -> None:
    half = blended(OLD, NEW, 0.5)
    for name, value in half.network.state_dict().items():
        a, b = OLD.network.state_dict()[name], NEW.network.state_dict()[name]
        if value.is_floating_point():
            np.testing.assert_allclose(value, (a + b) / 2, atol=1e-6)
    assert half.network is not NEW.network
    assert half.spec == NEW.spec
