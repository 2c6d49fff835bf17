"""The engine's verbs that look at what a session teaches, without a window."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.engine import VERBS, Desk, volume_from
from napari_seg.errors import SegError
from napari_seg.gui.engine import Engine
from napari_seg.jobs import run
from napari_seg.models.model import Model
from napari_seg.session.records import Place, Plane, Step
from napari_seg.session.session import Session
from napari_seg.training import test_set

CPU: Any = {"device": "cpu", "precision": "fp32"}


@pytest.fixture
def lesson(tmp_path: Path) -> dict[str, Any]:
    return painted(tmp_path, "session")


def painted(tmp_path: Path, folder: str) -> dict[str, Any]:
    """A session in which a person has painted two classes on an image of no file, as an order names it."""
    truth = np.zeros((64, 64), np.uint8)
    truth[8:24, 8:24], truth[36:52, 30:50] = 1, 2
    values = (np.random.default_rng(0).normal(0, 0.1, truth.shape) + truth).astype(np.float32)
    session = Session.open(tmp_path / folder)
    row = session.image(Volume(values, "YX", name="scan")).result()
    session.writer.call(lambda store: store.put_plane(row.id, Plane("mask", False, ("object", "other")))).result()
    session.writer.put(row.id, Step("brush", time.time(), "", {Place("mask", 0, 0): truth})).result()
    session.close()
    np.save(tmp_path / "image.npy", values)
    volume = {"array": str(tmp_path / "image.npy"), "axes": "YX", "spacing": None, "unit": "pixel", "affine": None}
    volume |= {"channels": [], "name": "scan", "source": None}
    return {"session": str(tmp_path / folder), "image": row.id, "plane": "mask", "volume": volume}


def test_a_plan_is_told_with_its_reasons_and_what_is_wrong(tmp_path: Path, lesson: dict[str, Any]) -> None:
    settings = {"task": "semantic", "classes": ["object", "other"], **CPU}
    answer = run(VERBS["examine"](Desk(tmp_path), {"lessons": [lesson], "settings": settings, "agreed": []}))
    assert any("single image (scan)" in one["sentence"] for one in answer["findings"])
    plan = {setting: (chosen, why) for setting, chosen, why in answer["plan"]}
    assert plan["ndim"] == ("2D", "The images are flat.")
    assert [answer["advice"]] == [reason for reason in answer["plan"] if reason[0] == "network"]
    settings["network"] = "vnet"
    answer = run(VERBS["examine"](Desk(tmp_path), {"lessons": [lesson], "settings": settings, "agreed": []}))
    assert ["network", "vnet", "You chose it."] in answer["plan"]


def test_what_a_person_agreed_to_is_mended_on_the_way_into_the_training(
    tmp_path: Path, lesson: dict[str, Any], model_file: Callable[..., Path]
) -> None:
    desk, model = Desk(tmp_path), model_file("semantic", classes=("object", "other"))
    other = painted(tmp_path, "copy")
    settings = {"task": "semantic", "classes": ["object", "other"], **CPU}
    answer = run(VERBS["examine"](desk, {"lessons": [lesson, other], "settings": settings, "agreed": []}))
    (found,) = [one for one in answer["findings"] if one["fix"]]
    assert found["sentence"] == "scan, scan (2) are the same image; keep one of them."
    assert (found["fix"], found["left_out"]) == ("Keep the first", [[other["session"], other["image"]]])
    order = {"model": str(model), "lessons": [lesson, other], "settings": {**CPU, "steps": 1}, "resume": False}
    for agreed, images in ((["something else"], 2), ([found["sentence"]], 1)):
        mend = {"agreed": agreed, "task": "semantic", "classes": 2}
        path = tmp_path / f"{images}.safetensors"
        run(VERBS["retrain"](desk, {**order, "save_to": str(path), "mend": mend, "who": ""}))
        assert len(Model.load(path).spec.history[-1].details["lessons"]) == images


def test_what_is_mended_is_asked_for_marks_of_the_test_set_too(
    tmp_path: Path, lesson: dict[str, Any], model_file: Callable[..., Path]
) -> None:
    values = np.load(tmp_path / "image.npy")
    model = model_file("semantic", classes=("object", "other"))
    mend = {"agreed": [], "task": "semantic", "classes": 2}
    order = {"model": str(model), "lessons": [lesson], "settings": {**CPU, "steps": 1}, "resume": False, "mend": mend}
    test_set.add([write(Volume(values[::-1] * 2, "YX"), tmp_path / "other.tif")])
    run(VERBS["retrain"](Desk(tmp_path), {**order, "save_to": str(tmp_path / "new.safetensors"), "who": ""}))
    test_set.add([write(Volume(values, "YX"), tmp_path / "scan.tif")])
    with pytest.raises(SegError, match=r"independent test set \(scan\)"):
        run(VERBS["retrain"](Desk(tmp_path), {**order, "save_to": str(tmp_path / "newer.safetensors"), "who": ""}))


def test_classes_that_the_model_does_not_know_are_learned_without_a_mask_in_hand(
    tmp_path: Path, lesson: dict[str, Any], model_file: Callable[..., Path]
) -> None:
    model, path = model_file("semantic", classes=("object",)), tmp_path / "new.safetensors"
    order = {"model": str(model), "lessons": [lesson], "settings": {**CPU, "steps": 1}, "resume": False, "who": ""}
    run(VERBS["retrain"](Desk(tmp_path), {**order, "save_to": str(path)}))
    assert Model.load(path).spec.task.names == ("object", "other")


def test_live_goes_on_with_the_same_network(
    tmp_path: Path, lesson: dict[str, Any], model_file: Callable[..., Path]
) -> None:
    desk, model = Desk(tmp_path), model_file("semantic", classes=("object", "other"))
    order = {"id": 1, "model": str(model), "lessons": [lesson], "region": None, "settings": {**CPU, "steps": 3}}
    answer = run(VERBS["live"](desk, order))
    assert (answer["steps"], np.load(answer["labels"]).shape) == (3, (64, 64))
    assert desk.live is not None
    first = desk.live[1]
    region = {"start": [0, 0], "stop": [32, 48], "time": None}
    answer = run(VERBS["live"](desk, {**order, "id": 2, "region": region}))
    assert np.load(answer["labels"]).shape == (32, 48)
    assert desk.live[1] is first
    run(VERBS["live"](desk, {**order, "id": 3, "settings": {**CPU, "steps": 2}}))
    assert desk.live[1] is not first


def test_an_image_of_a_store_is_read_by_the_engine_as_the_window_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "image.ome.zarr"
    data = np.random.default_rng(0).integers(0, 255, (2, 300, 400), np.uint8)
    write(Volume(data, "CYX", (0.5, 0.5), "um", channels=("a", "b")), path)
    shown = replace(read(path), spacing=(0.25, 0.25), name="renamed")
    link = Engine()
    described = json.loads(json.dumps(link._describe(shown, "1")))
    found = volume_from(described)
    assert (found.axes, found.shape, found.spacing, found.unit, found.channels) == (
        "CYX",
        (2, 300, 400),
        (0.25, 0.25),
        "um",
        ("a", "b"),
    )
    assert np.array_equal(np.asarray(found.data), data)
    write(Volume(data[:, :200], "CYX", (0.5, 0.5), "um"), tmp_path / "other.ome.zarr")
    with pytest.raises(SegError, match="another size in its file than in the window"):
        volume_from({**described, "path": str(tmp_path / "other.ome.zarr" / "0")})
