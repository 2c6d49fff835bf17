"""What many tests need: a small model of every kind, saved once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``model_file("semantic", ndim=2)``: the file of a tiny model with random weights."""

    def make(
        kind: str, ndim: int = 2, classes: tuple[str, ...] = ("object",), channels: int = 1, diameter: float = 0.0
    ) -> Path:
        from napari_seg.models.model import Model

        task = Semantic(classes=classes) if kind == "semantic" else Instance(ndim=ndim, classes=classes[:1])
        network = NetworkSpec(ndim=ndim, in_channels=channels, out_channels=task.channels, width=4, depth=1)
        names = tuple(f"channel {k + 1}" for k in range(channels))
        seen = InputSpec(channels=names, patch=(32,) * ndim, diameter=diameter)
        spec = ModelSpec(name=f"tiny {kind} {ndim}D", network=network, task=task, input=seen)
        return Model.create(spec).save(tmp_path_factory.mktemp("models") / f"{kind}{ndim}d.safetensors")

    return make
