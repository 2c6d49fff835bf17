"""What many tests need: a small model of every kind, saved once, and the command line."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from napari_seg import cli
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic


@pytest.fixture(autouse=True)
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the marks of the test set, for this test alone."""
    path = tmp_path.with_name(f"{tmp_path.name}-marks.json")
    monkeypatch.setenv("NAPARI_SEG_TEST_SET", str(path))
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``model_file("semantic", ndim=2)``: the file of a tiny model with random weights. Other kinds are "overlapping"
    and "instance"."""

    def make(
        kind: str, ndim: int = 2, classes: tuple[str, ...] = ("object",), channels: int = 1, diameter: float = 0.0
    ) -> Path:
        from napari_seg.models.model import Model

        semantic = Semantic(classes=classes, overlapping=kind == "overlapping")
        task = Instance(ndim=ndim, classes=classes[:1]) if kind == "instance" else semantic
        network = NetworkSpec(ndim=ndim, in_channels=channels, out_channels=task.channels, width=4, depth=1)
        names = tuple(f"channel {k + 1}" for k in range(channels))
        seen = InputSpec(channels=names, patch=(32,) * ndim, diameter=diameter)
        spec = ModelSpec(name=f"tiny {kind} {ndim}D", network=network, task=task, input=seen)
        return Model.create(spec).save(tmp_path_factory.mktemp("models") / f"{kind}{ndim}d.safetensors")

    return make


@pytest.fixture(autouse=True)
def closed_sessions() -> Iterator[None]:
    """Each test closes the sessions that it opens."""
    before = _writing()
    yield
    left = _writing() - before
    assert not left, f"{len(left)} sessions were left open"


@pytest.fixture(scope="session", autouse=True)
def all_closed() -> Iterator[None]:
    """No session is open when all is over."""
    yield
    assert not _writing()


def _writing() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "napari-seg-writer"}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command in this process, as the console script does."""

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["napari-seg", *map(str, words)])
        code: int | str | None = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        caught = capsys.readouterr()
        assert isinstance(code, int | None)
        return Ended(code or 0, caught.out, caught.err)

    return call
