"""``search`` and ``train --folds`` as people and scripts meet them."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.models.file import read_spec
from napari_seg.training import folds, search, train
from napari_seg.training.cases import Case
from napari_seg.training.trainer import Trainer


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four small images with one class."""
    labels = np.zeros((32, 32), np.uint8)
    labels[8:20, 8:24] = 1
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 60, labels.shape)
        write(Volume((labels * 120 + noise).astype(np.uint8), "YX"), tmp_path / "data" / "images" / f"c{number}.png")
        write(Volume(labels, "YX"), tmp_path / "data" / "labels" / f"c{number}.png")
    return tmp_path / "data"


def words(output: Path) -> tuple[object, ...]:
    return ("--task", "semantic", "--output", output, "--device", "cpu", "--classes", "blob")


def test_a_search_prints_what_it_tried(run: Any, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    ended = run("search", data, *words(path), "--steps", 2, "--candidates", 2)
    assert ended.code == 0, ended.err
    head, *rows = ended.out.splitlines()
    assert head.split()[:3] == ["network", "width", "depth"]
    assert sorted(row.split()[0] for row in rows) == ["1", "2"]
    assert "on images that the search has not seen" in ended.err
    assert read_spec(path).task.names == ("blob",)
    kept = run("search", data, *words(path), "--steps", 2)
    assert (kept.code, kept.out) == (2, "")


def test_a_search_for_scripts(run: Any, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    asked = ("--steps", 2, "--candidates", 2, "--network", "segnet", "--json", "--json-progress")
    ended = run("search", data, *words(path), *asked)
    assert ended.code == 0, ended.err
    assert [one["network"] for one in ended.json["tried"]] == ["segnet"] * 2
    assert ended.json["tried"] == read_spec(path).history[-1].details["tried"]
    assert ended.json["cases"] == {"train": 3, "val": 1}
    lines = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    assert {line["detail"]["candidate"] for line in lines if "loss" in line["detail"]} == {0, 1}
    info = run("info", path).out
    assert "found by search" in info


@pytest.mark.parametrize("command", [("search", "--candidates", 2), ("train", "--folds", 2)])
def test_a_full_disk_is_one_sentence(
    run: Any, data: Path, tmp_path: Path, command: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "/there/note.json")

    monkeypatch.setattr("napari_seg.training.search.written", full)
    monkeypatch.setattr("napari_seg.training.folds.written", full)
    ended = run(command[0], data, *words(tmp_path / "m.safetensors"), *command[1:], "--steps", 1)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1] == "The disk is full (/there/note.json); free some space and start again."
    assert not [*tmp_path.glob("m.safetensors*")]  # nothing that seems to be there to go on with


def test_folds_print_mean_and_spread(run: Any, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    ended = run("train", data, *words(path), "--folds", 2, "--steps", 1)
    assert ended.code == 0, ended.err
    head, row = ended.out.splitlines()
    assert head.split() == ["fold", "1", "fold", "2", "mean", "spread"]
    assert row.startswith("Dice blob")
    assert "did not learn from it" in ended.err
    assert "mean of 2: unet" in run("info", path).out


def test_folds_for_scripts_and_the_ensemble_predicts(run: Any, data: Path, tmp_path: Path) -> None:
    path, mask = tmp_path / "m.safetensors", tmp_path / "mask.png"
    ended = run("train", data, *words(path), "--folds", 2, "--steps", 1, "--json")
    assert [fold["scored_on"] for fold in ended.json["folds"]] == [2, 2]
    values = [fold["figures"]["Dice blob"] for fold in ended.json["folds"]]
    assert ended.json["figures"]["Dice blob"]["mean"] == pytest.approx(np.mean(values))
    assert ended.json["steps"] == 1
    scan = data / "images" / "c0.png"
    assert run("predict", scan, "--model", path, "--output", mask).code == 0
    assert mask.exists()


@pytest.mark.parametrize("asked", [("train",), ("train", "--folds", 2), ("search", "--candidates", 2)])
def test_stopped_it_says_how_to_go_on_if_there_is_something_to_go_on_with(
    asked: Any, run: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, *flags = asked
    path = tmp_path / "m.safetensors"
    call = (command, data, *words(path), *flags, "--steps", 4)
    cure = f"What it has learned so far is kept beside {path}; go on with the same command and --resume.\n"
    assert cure in stop(monkeypatch, run, *call).err
    assert cure in stop(monkeypatch, run, *call, "--resume").err
    assert run(*call, "--resume").code == 0
    monkeypatch.setattr(folds, "look_at", stopped)
    monkeypatch.setattr(search, "look_at", stopped)
    monkeypatch.setattr(train, "look_at", stopped)
    ended = run(*call, "--overwrite")
    assert (ended.code, "--resume" in ended.err) == (130, False)


def stopped(*_: object, **about: object) -> None:
    """Ctrl+C while images are looked at."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("asked", [("train",), ("train", "--folds", 2), ("search", "--candidates", 2)])
def test_other_settings_are_refused_by_name_before_anything_is_read(
    asked: Any, run: Any, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, *flags = asked
    call = (command, data, *words(tmp_path / "m.safetensors"), *flags, "--steps", 4, "--resume")
    stop(monkeypatch, run, *call[:-1])
    monkeypatch.setattr(Case, "read", lambda case: pytest.fail(f"{case.name} was read"))
    ended = run(*call, "--seed", 7)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "had other settings: seed was 0 and is 7; resume with the same ones or" in ended.err


def stop(monkeypatch: pytest.MonkeyPatch, run: Any, *call: object) -> Any:
    """Ctrl+C in the second step."""
    advance, taken = Trainer.advance, list[int]()

    def interrupted(trainer: Trainer) -> float:
        taken.append(trainer.step)
        if len(taken) == 2:
            raise KeyboardInterrupt
        return advance(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "advance", interrupted)
        ended = run(*call)
    assert ended.code == 130
    return ended


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (("train", "--folds", 2, "--start", "nuclei2d"), "--start"),
        (("train", "--folds", 9), "choose 2 to 4"),
        (("train", "--folds", 1), "--folds"),
        (("search", "--minutes", 1, "--steps", 1), "--minutes and --steps"),
        (("search", "--where", "kind=a"), "--split"),
        (("search", "--candidates", 1), "--candidates"),
        (("search", "--resume"), "no stopped search"),
        (("train", "--folds", 2, "--resume"), "no stopped folds"),
    ],
)
def test_what_does_not_go_together_is_said(asked: Any, word: str, run: Any, data: Path, tmp_path: Path) -> None:
    command, *flags = asked
    ended = run(command, data, *words(tmp_path / "m.safetensors"), *flags)
    assert (ended.code, ended.out) == (2, "")
    assert word in ended.err
    assert not (tmp_path / "m.safetensors").exists()
