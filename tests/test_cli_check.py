"""``napari-seg check``: what it says of a folder, and what it would train."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume

Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        labels = np.zeros((32, 32), np.uint8)
        labels[4:14, 4:14] = labels[18:28, 18:28] = 255
        noise = np.random.default_rng(number).integers(0, 60, labels.shape)
        write(Volume((labels // 2 + noise).astype(np.uint8), "YX"), tmp_path / "images" / f"c{number}.png")
        write(Volume(labels, "YX"), tmp_path / "labels" / f"c{number}.png")
    return tmp_path


def test_findings_name_their_fix_and_the_plan_comes_once_they_are_mended(run: Run, folder: Path) -> None:
    ended = run("check", folder, "--task", "semantic")
    assert ended.code == 0
    assert "must be mended: The labels of c0, c1, c2 are 0 and 255" in ended.out
    assert "--fix renumber" in ended.out
    assert "U-Net" not in ended.out
    ended = run("check", folder, "--task", "semantic", "--fix", "renumber")
    assert "Nothing is wrong with the 3 cases." in ended.out
    assert "U-Net" in ended.out


def test_the_same_for_a_program(run: Run, folder: Path) -> None:
    told = json.loads(run("check", folder, "--task", "instance", "--json").out)
    assert [finding["fix"] for finding in told["findings"]] == ["split"]
    assert told["plan"] == []
    told = json.loads(run("check", folder, "--task", "instance", "--fix", "split", "--json").out)
    assert told["findings"] == []
    assert {reason["setting"] for reason in told["plan"]} >= {"network", "patch"}


@pytest.mark.parametrize("words", [("--where", "kind=a"), ("--hold-out", "test")])
def test_what_is_said_of_a_split_needs_one(run: Run, folder: Path, words: tuple[str, str]) -> None:
    ended = run("check", folder, "--task", "semantic", *words)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--split" in ended.err


def test_a_fix_that_there_is_not(run: Run, folder: Path) -> None:
    ended = run("check", folder, "--task", "semantic", "--fix", "magic")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "leave-out" in ended.err


def test_a_training_stops_at_what_must_be_mended_and_mends_it_where_that_is_asked(run: Run, folder: Path) -> None:
    words = ("train", folder, "--task", "semantic", "--steps", 1, "--device", "cpu", "--output")
    ended = run(*words, folder / "a.safetensors")
    assert ended.code == 2
    assert "--fix renumber" in ended.err
    assert not (folder / "a.safetensors").exists()
    assert run(*words, folder / "a.safetensors", "--fix", "renumber").code == 0
    assert "mended" in json.dumps(json.loads(run("info", folder / "a.safetensors", "--json").out)["history"])


def of_classes(path: Path, *values: tuple[int, ...]) -> Path:
    """A folder of images whose labels hold these values, a square for each."""
    for number, here in enumerate(values):
        labels = np.zeros((32, 48), np.uint8)
        for k, value in enumerate(here):
            labels[4:20, 2 + 12 * k : 12 + 12 * k] = value
        noise = np.random.default_rng(number).integers(0, 60, labels.shape)
        write(Volume((labels * 40 + noise).astype(np.uint8), "YX"), path / "images" / f"c{number}.png")
        write(Volume(labels, "YX"), path / "labels" / f"c{number}.png")
    return path


TRAIN = ("--steps", 1, "--device", "cpu", "--output")


@pytest.mark.parametrize("rare", range(4))
def test_the_own_division_leaves_the_only_image_of_a_class_to_be_learned_from(
    run: Run, tmp_path: Path, rare: int
) -> None:
    data = of_classes(tmp_path, *((1, 2) if number == rare else (1,) for number in range(4)))
    told = json.loads(run("check", data, "--task", "semantic", "--json").out)
    assert not any(finding["stops"] for finding in told["findings"])
    ended = run("train", data, "--task", "semantic", *TRAIN, tmp_path / "a.safetensors", "--json")
    assert ended.code == 0, ended.err
    made = json.loads(ended.out)
    assert made["task"]["classes"] == ["class 1", "class 2"]
    assert made["cases"] == {"train": 3, "val": 1}


def test_the_own_division_leaves_the_only_objects_to_be_learned_from(run: Run, tmp_path: Path) -> None:
    data = of_classes(tmp_path, (), (), (1, 2, 3), ())
    ended = run("train", data, "--task", "instance", *TRAIN, tmp_path / "a.safetensors")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        ("semantic", ((1,), (1,), (1, 2)), "Class 2 is in images for validation alone (c2)"),
        ("instance", ((), (), (1, 2)), "Objects are in images for validation alone (c2)"),
    ],
)
def test_a_split_that_keeps_all_of_a_class_for_validation_must_be_mended(
    run: Run, tmp_path: Path, task: str, values: tuple[tuple[int, ...], ...], words: str
) -> None:
    data, split = of_classes(tmp_path, *values), tmp_path / "split.csv"
    split.write_text("name,split\nc0,train\nc1,train\nc2,val\n")
    given = (data, "--task", task, "--split", split)
    ended = run("check", *given)
    assert f"must be mended: {words}" in ended.out
    assert "train in the split. Put all of it into training: --fix one-side" in ended.out
    ended = run("train", *given, *TRAIN, tmp_path / "a.safetensors")
    assert ended.code == 2
    assert words in ended.err
    assert "must be mended" not in run("check", *given, "--fix", "one-side").out
    assert run("train", *given, *TRAIN, tmp_path / "a.safetensors", "--fix", "one-side").code == 0


def test_images_of_the_test_set_are_told_before_a_training_refuses_them(run: Run, tmp_path: Path) -> None:
    data = of_classes(tmp_path, *[(1, 2)] * 4)
    assert run("test-set", "add", data / "images" / "c1.png").code == 0
    sentence = "1 image is of the independent test set (c1), which nothing may learn from; take it out of the data"
    assert f"must be mended: {sentence}" in run("check", data, "--task", "semantic").out
    told = json.loads(run("check", data, "--task", "semantic", "--json").out)
    assert [(one["cases"], one["stops"]) for one in told["findings"]] == [(["c1"], True)]
    assert told["plan"] == []
    (data / "images" / "c0.png").write_bytes(b"broken")
    told = json.loads(run("check", data, "--task", "semantic", "--json").out)
    assert [one["cases"] for one in told["findings"]] == [["c1"], ["c0"]]
    assert sentence in run("train", data, "--task", "semantic", *TRAIN, tmp_path / "a.safetensors").err
