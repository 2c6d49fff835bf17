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
