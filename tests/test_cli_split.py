"""Splits, starts and plain stacks as ``train`` and ``evaluate`` answer to them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.semantic import Semantic

Run = Callable[..., Any]


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
    ended = train("--split", split, "--hold-out", "tset")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "tset" in ended.err
    ended = train("--hold-out", "test")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--split" in ended.err


def test_a_split_that_cannot_be_read_says_why(train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = tmp_path / "split.csv"
    cannot = f"The table {split} cannot be read"
    assert train("--split", split).err == f"{cannot} (no such file or directory); check the name.\n"
    split.write_bytes(b"\xff\xfe\x00")
    assert train("--split", split).err == f"{cannot}; give a CSV file with the columns name and split or group.\n"

    opened = Path.open

    def refuse(path: Path, *mode: Any, **how: Any) -> Any:
        if path == split:  # root may read anything
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, *mode, **how)

    monkeypatch.setattr(Path, "open", refuse)
    assert train("--split", split).err == f"{cannot} (permission denied); ask its owner for the permission.\n"


def test_what_the_split_leaves_out_is_said(train: Run, start: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.csv"
    split.write_text("name,split\nc0.png,train\nc1,test\nc2,train\nzzz,train\n")
    ended = train("--split", split, "--start", start, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["cases"] == {"train": 1, "val": 1}
    assert ended.json["network"]["kind"] == "vnet"  # without --network the start decides
    assert "1 held out (test)" in ended.err
    assert "no image: zzz." in ended.err
    assert "not selected by the split: c3." in ended.err


@pytest.mark.parametrize("flag", ["--overwrite", "--resume"])
def test_a_start_does_not_become_what_comes_of_it(train: Run, start: Path, flag: str) -> None:
    """Its first checkpoint would take the place of the start, and nothing could go on from that."""
    before = start.read_bytes()
    ended = train("--start", start, "--output", start, flag)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "choose another name for the new model" in ended.err
    assert start.read_bytes() == before


def test_a_start_with_another_network(train: Run, start: Path) -> None:
    ended = train("--start", start, "--network", "unet")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "small has the network vnet, not unet" in ended.err


def test_plain_stacks_are_evaluated(run: Run, tmp_path: Path) -> None:
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[1, 2:5] = 1
    for side in ("truth", "found"):
        (tmp_path / side).mkdir()
        tifffile.imwrite(tmp_path / side / "x.tif", labels, photometric="minisblack", metadata=None)
    words = ("evaluate", tmp_path / "truth", tmp_path / "found")
    ended = run(*words)
    assert ended.code == 2
    assert "--axes ZYX" in ended.err
    ended = run(*words, "--axes", "ZYX", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["mean"]["dice"] == 1
    assert ended.json["left_out"] == []


def test_stacks_of_three_that_say_they_are_coloured_are_evaluated_as_told(run: Run, tmp_path: Path) -> None:
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[1, 2:5] = 1
    tifffile.imwrite(tmp_path / "truth.tif", labels, photometric="rgb")
    tifffile.imwrite(tmp_path / "found.tif", labels, photometric="minisblack", metadata=None)
    ended = run("evaluate", tmp_path / "truth.tif", tmp_path / "found.tif", "--axes", "ZYX", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["mean"]["dice"] == 1


def test_a_path_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    (tmp_path / "truth").mkdir()
    ended = run("evaluate", tmp_path / "truth", tmp_path / "nope")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "There is no file or folder" in ended.err
    assert "nope" in ended.err
