"""Models small enough to compute by hand: a network that gives back its input, one that says what is bright."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec, Normalisation
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

RAW = Normalisation(kind="window", low=0.0, high=1.0)
"""Leaves intensities as they are."""


class Identity(nn.Module):
    """Gives back its input; demands sizes that are multiples, as real networks do, and counts its calls."""

    def __init__(self, multiple: tuple[int, ...]) -> None:
        super().__init__()
        self.multiple = multiple

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert all(n % m == 0 for n, m in zip(x.shape[2:], self.multiple, strict=True))
        return x


class Bright(Identity):
    """Logits of objects: high where the input is above one half, low elsewhere, and no direction anywhere."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = (super().forward(x)[:, :1] - 0.5) * 40
        return torch.cat([logits, *[torch.zeros_like(logits)] * (x.ndim - 2)], 1)


class Dark(Identity):
    """Logits of two classes for the softmax: background where the input is below one half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = (super().forward(x)[:, :1] - 0.5) * 40
        return torch.cat([-logits, logits], 1)


@dataclass(frozen=True)
class AsIs:
    """A task whose scores are the logits."""

    channels: int
    pointwise: bool = True
    planes: tuple[str, ...] = ()

    def activate(self, logits: torch.Tensor) -> torch.Tensor:
        return logits

    def mirror(self, scores: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        return scores.flip(axes)

    def decode(self, scores: Any, spacing: tuple[float, ...]) -> Any:
        return (scores[0] > 0.5).astype("uint8")


def input_spec(**given: Any) -> InputSpec:
    return InputSpec(**{"normalisation": RAW, **given})


def identity(ndim: int, channels: int, tile: tuple[int, ...], multiple: tuple[int, ...]) -> Any:
    """What ``predict`` needs of a model, without the demands that a real spec makes on a task."""
    network = SimpleNamespace(ndim=ndim, in_channels=channels)
    spec = SimpleNamespace(network=network, task=AsIs(channels), input=input_spec(patch=tile), name="identity")
    return SimpleNamespace(spec=spec, network=Identity(multiple))


def bright(ndim: int = 2, **given: Any) -> Model:
    """Objects are what is brighter than one half."""
    spec = ModelSpec(
        name="bright",
        network=NetworkSpec(ndim=ndim, out_channels=1 + ndim),
        task=Instance(ndim=ndim),
        input=input_spec(**{"patch": (32,) * ndim, **given}),
    )
    return Model(spec, Bright((4,) * ndim))  # type: ignore[arg-type]


def dark(ndim: int = 2, **given: Any) -> Model:
    """Class 1 is what is brighter than one half."""
    spec = ModelSpec(
        name="dark",
        network=NetworkSpec(ndim=ndim),
        task=Semantic(),
        input=input_spec(**{"patch": (32,) * ndim, **given}),
    )
    return Model(spec, Dark((4,) * ndim))  # type: ignore[arg-type]
