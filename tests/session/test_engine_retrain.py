"""The engine's verbs for training: from the lessons of a session to a model and a verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk

from napari_seg import engine
from napari_seg.editing.annotation import CASE, Entry
from napari_seg.errors import SegError
from napari_seg.jobs import run
from napari_seg.models.model import Model
from napari_seg.session import pupils

SETTINGS = {"steps": 3, "batch": 2, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def lessons(desk: Desk) -> list[dict[str, Any]]:
    """Images of squares, finished by a person, as the window names them."""
    found = []
    for seed in range(3):
        labels = np.zeros((1, 48, 48), np.uint16)
        labels[0, 5:15, 5:15], labels[0, 25:35, 20:30] = 1, 2
        noise = np.random.default_rng(seed).normal(0, 5, (48, 48))
        number = desk.image(f"{seed}.tif", (80 + 60 * (labels[0] > 0) + noise).astype(np.uint8))
        desk.plane(number)
        desk.put(number, labels)
        desk.say(number, {CASE: Entry(state="accepted")})
        found.append({"session": str(desk.session.folder), "image": number, "plane": "mask", "volume": None})
    return found


def carried_out(verb: str, folder: Path, **order: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answer to an order, and what was told on the way; both must go through a line of JSON."""
    told: list[dict[str, Any]] = []
    steps = engine.VERBS[verb](engine.Desk(folder), {"id": 1, **order})
    answer = run(steps, lambda progress: told.append(dict(progress.detail)))
    return json.loads(json.dumps(answer)), json.loads(json.dumps(told))


def test_from_a_session_to_a_verdict(
    lessons: list[dict[str, Any]], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    start, path = model_file("instance"), tmp_path / "new.safetensors"
    order: dict[str, Any] = {"lessons": lessons, "settings": SETTINGS}
    answer, told = carried_out(
        "retrain", tmp_path, model=str(start), save_to=str(path), resume=False, who="Ann", **order
    )
    assert answer["model"] == str(path)
    assert answer["seconds"] > 0
    assert answer["verdict"]["decision"] == "undecided"
    assert {"train", "score", "compare"} <= {detail.get("phase") for detail in told}
    details = Model.load(path).spec.history[-1].details
    assert details["who"] == "Ann"
    assert details["parent_hash"] == engine.Desk(tmp_path).model_hash(str(start))
    assert [one["image"] for one in details["lessons"]] == [one["image"] for one in lessons]
    assert all(one["revision"] > 0 for one in details["lessons"])
    again, _ = carried_out("compare", tmp_path, old=str(start), new=str(path), **order)
    assert again["verdict"]["corrections"] == answer["verdict"]["corrections"]


def test_a_model_from_nothing(lessons: list[dict[str, Any]], tmp_path: Path) -> None:
    path = tmp_path / "first.safetensors"
    settings = {**SETTINGS, "task": "instance", "width": 4, "depth": 2}
    answer, told = carried_out(
        "retrain", tmp_path, model="", lessons=lessons, settings=settings, save_to=str(path), resume=False, who="Ann"
    )
    assert answer["verdict"] is None
    assert any("score" in detail for detail in told)
    spec = Model.load(path).spec
    assert spec.name == "first"
    assert len(spec.history[-1].details["lessons"]) == 3


def test_masks_of_another_kind_than_the_model_learns(
    lessons: list[dict[str, Any]], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    order: dict[str, Any] = {"model": str(model_file("semantic")), "lessons": lessons, "settings": SETTINGS}
    with pytest.raises(SegError, match="finds classes, and no such mask was corrected; choose another model"):
        carried_out("retrain", tmp_path, save_to=str(tmp_path / "m.safetensors"), resume=False, who="", **order)


@pytest.mark.parametrize("verb", ["retrain", "live"])
def test_it_learns_from_the_channel_that_the_prediction_looked_at(
    verb: str,
    lessons: list[dict[str, Any]],
    model_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = pupils.pupil
    monkeypatch.setattr(pupils, "pupil", lambda *asked: own(*asked)._replace(channel="DAPI"))
    computing = {"device": "cpu", "precision": "fp32", "steps": 3}
    order: dict[str, Any] = {"model": str(model_file("instance")), "lessons": lessons[:1], "settings": computing}
    order |= {"save_to": str(tmp_path / "m.safetensors"), "resume": False, "who": "", "region": None}
    with pytest.raises(SegError, match="DAPI"):  # these images have one channel, without a name
        carried_out(verb, tmp_path, **order)
