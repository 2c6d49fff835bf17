"""Progress for programs: one JSON object a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_seg import jobs
from napari_seg.cli.console import watch
from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.jobs import Progress, Steps


def objects(words: str) -> list[dict[str, Any]]:
    """The lines of progress among words for people."""
    return [json.loads(line) for line in words.splitlines() if line.startswith("{")]


def counting() -> Steps[str]:
    for number in range(3):
        yield Progress(number, 3, f"number {number}", {"loss": float("nan"), "parts": [1.5, float("inf")]})
    return "counted"


def test_every_step_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(counting(), "Counting", as_json=True) == "counted"
    caught = capsys.readouterr()
    assert caught.out == ""
    lines = objects(caught.err)
    assert [line["done"] for line in lines] == [0, 1, 2]
    assert lines[1] == {
        "job": "Counting",
        "done": 1,
        "total": 3,
        "message": "number 1",
        "detail": {"loss": None, "parts": [1.5, None]},
        "seconds_left": None,
    }


def folder(path: Path, count: int) -> None:
    """Images and labels to learn from."""
    labels = np.zeros((32, 32), np.uint8)
    labels[8:20, 8:24] = 1
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 60, labels.shape)
        write(Volume((labels * 120 + noise).astype(np.uint8), "YX"), path / "images" / f"{number}.png")
        write(Volume(labels, "YX"), path / "labels" / f"{number}.png")


@pytest.mark.parametrize("command", ["train", "search"])
def test_no_words_for_people_lie_between_the_lines_of_a_training(run: Any, tmp_path: Path, command: str) -> None:
    folder(tmp_path, 4)
    words = ("--task", "semantic", "--steps", 3, "--output", tmp_path / "m.safetensors", "--device", "cpu", "--json")
    ended = run(command, tmp_path, *words, "--json-progress")
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith("{") and '"score"' in line]
    assert places
    assert all(line.startswith("{") for line in lines[places[0] : places[-1]])


@pytest.mark.parametrize("words", [("train",), ("train", "--folds", 2), ("search", "--candidates", 2)])
def test_while_steps_are_timed_the_bar_stands_still_and_no_time_left_is_told(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...]
) -> None:
    monkeypatch.setattr(jobs, "SOONEST", 0.0)
    folder(tmp_path, 4)
    command, *more = words
    given = ("--task", "semantic", "--minutes", 0.01, "--output", tmp_path / "m.safetensors", "--device", "cpu")
    ended = run(command, tmp_path, *more, *given, "--json-progress")
    assert ended.code == 0, ended.err
    lines = objects(ended.err)
    timed = [line for line in lines if line["message"].startswith("timing")]
    assert {line["message"] for line in timed} > {"timing some steps"}
    assert {(line["done"], line["detail"]["phase"], line["seconds_left"]) for line in timed} == {(0, "timing", None)}
    assert any(line["seconds_left"] is not None for line in lines if line["detail"].get("phase") == "read")


@pytest.mark.parametrize("words", [("train",), ("train", "--folds", 2), ("search", "--candidates", 2)])
def test_next_to_no_time_is_said_with_its_cure(run: Any, tmp_path: Path, words: tuple[object, ...]) -> None:
    folder(tmp_path, 4)
    command, *more = words
    given = ("--task", "semantic", "--output", tmp_path / "m.safetensors", "--device", "cpu")
    ended = run(command, tmp_path, *more, *given, "--minutes", 0.0001)
    assert ended.code == 0, ended.err
    cure = (
        "made 1 step only, too few to tell"
        if command == "search"
        else "1 step only, too few to learn from; give it more"
    )
    assert cure in ended.err
    if command == "train":  # who asks for so few wants no more
        assert "only" not in run(command, tmp_path, *more, *given, "--steps", 1, "--overwrite").err


def test_the_bar_of_a_terminal_tells_no_other_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(jobs, "SOONEST", 0.0)

    def retraining(*phases: str) -> Steps[str]:
        for number, phase in enumerate(phases):
            yield Progress(0.01 * min(number, 3), 1, phase, {"phase": phase})
        return "done"

    def last_seen(*phases: str) -> str:
        watch(retraining(*phases), "Retraining")
        return capsys.readouterr().err.rpartition(phases[-1])[2]

    assert "0:00:0" in last_seen("read", "read", "read")
    assert "0:00:0" not in last_seen("read", "read", "read", "timing", "timing")


def test_train_and_predict_tell_it_and_standard_output_stays_one_object(run: Any, tmp_path: Path) -> None:
    output = tmp_path / "m.safetensors"
    words = ("--task", "semantic", "--steps", 2, "--output", output, "--device", "cpu", "--json")
    folder(tmp_path, 2)
    trained = run("train", tmp_path, *words, "--json-progress")
    assert trained.code == 0, trained.err
    assert [line["detail"]["step"] for line in objects(trained.err) if "loss" in line["detail"]] == [1, 2]
    assert trained.json["steps"] == 2
    scan, mask = tmp_path / "images" / "0.png", tmp_path / "mask.png"
    predicted = run("predict", scan, "--model", output, "--output", mask, "--json", "--json-progress")
    assert {line["job"] for line in objects(predicted.err)} == {"0.png"}
    assert len(predicted.json["masks"]) == 1
    assert objects(run("predict", scan, "--model", output, "--output", mask, "--overwrite").err) == []
