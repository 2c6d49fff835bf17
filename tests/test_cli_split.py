"""Splits, starts and plain stacks as ``train`` and ``evaluate`` answer to them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_seg import cli
from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.semantic import Semantic

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, as the console script does: exit code, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-seg", *map(str, words)])
        code: int | str | None = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        caught = capsys.readouterr()
        return int(code or 0), caught.out, caught.err

    return call


@pytest.fixture
def train(run: Run, tmp_path: Path) -> Run:
    """Train a step on four images with one class."""
    labels = np.zeros((32, 32), np.uint8)
    labels[8:20, 8:24] = 1
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 60, labels.shape)
        write(Volume((labels * 120 + noise).astype(np.uint8), "YX"), tmp_path / "images" / f"c{number}.png")
        write(Volume(labels, "YX"), tmp_path / "labels" / f"c{number}.png")
    return lambda *words: run(
        *("train", tmp_path, "--task", "semantic", "--steps", 1, "--device", "cpu"),
        *("--output", tmp_path / "new.safetensors", *words),
    )


@pytest.fixture
def start(tmp_path: Path) -> Path:
    spec = ModelSpec(
        name="small",
        network=NetworkSpec(kind="vnet", width=4, depth=2),
        task=Semantic(classes=("blob",)),
        input=InputSpec(patch=(16, 16)),
    )
    return Model.create(spec).save(tmp_path / "small.safetensors")


def test_a_hold_out_that_no_row_has(train: Run, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("name,split\nc0,train\nc1,test\nc2,train\n")
    code, _, said = train("--split", split, "--hold-out", "tset")
    assert (code, said.count("\n")) == (2, 1)
    assert "tset" in said
    code, _, said = train("--hold-out", "test")
    assert (code, said.count("\n")) == (2, 1)
    assert "--split" in said


def test_what_the_split_leaves_out_is_said(train: Run, start: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("name,split\nc0.png,train\nc1,test\nc2,train\nzzz,train\n")
    code, out, said = train("--split", split, "--start", start, "--json")
    assert code == 0, said
    assert json.loads(out)["cases"] == {"train": 1, "val": 1}
    assert json.loads(out)["network"]["kind"] == "vnet"  # without --network the start decides
    assert "1 held out (test)" in said
    assert "no image: zzz." in said
    assert "not selected by the split: c3." in said


def test_a_start_with_another_network(train: Run, start: Path) -> None:
    code, _, said = train("--start", start, "--network", "unet")
    assert (code, said.count("\n")) == (2, 1)
    assert "small has the network vnet, not unet" in said


def test_plain_stacks_are_evaluated(run: Run, tmp_path: Path) -> None:
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[1, 2:5] = 1
    for side in ("truth", "found"):
        (tmp_path / side).mkdir()
        tifffile.imwrite(tmp_path / side / "x.tif", labels, photometric="minisblack", metadata=None)
    words = ("evaluate", tmp_path / "truth", tmp_path / "found")
    code, _, said = run(*words)
    assert code == 2
    assert "--axes ZYX" in said
    code, out, said = run(*words, "--axes", "ZYX", "--json")
    assert code == 0, said
    assert json.loads(out)["mean"]["dice"] == 1
    assert json.loads(out)["left_out"] == []


def test_a_path_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    code, _, said = run("evaluate", tmp_path / "truth", tmp_path / "nope")
    assert (code, said.count("\n")) == (2, 1)
    assert "There is no file or folder" in said
    assert "nope" in said
