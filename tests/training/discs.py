"""Lessons that are made when they are loaded, and settings of trainings that take a second."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_seg.data.volume import Volume
from napari_seg.training.cases import Labelled, Lesson
from napari_seg.training.plan import TrainSpec


@dataclass(frozen=True)
class Disc:
    """A bright disc of class 1 with a dim one of class 2 beside it, made when it is loaded."""

    name: str
    group: str
    seed: int = 0
    ndim: int = 2
    patient: str = ""
    split: str = "train"
    about: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Labelled:
        rng = np.random.default_rng(self.seed)
        y, x = np.mgrid[:32, :32]
        cy, cx = rng.uniform(9, 23, 2)
        labels = np.zeros((32, 32), np.int64)
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 64] = 2
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 16] = 1
        image = (60 * labels % 110 + rng.normal(0, 5, labels.shape)).astype(np.float32)
        if self.ndim == 3:
            image, labels = np.stack([image] * 3), np.stack([labels] * 3)
        axes = "ZYX"[-self.ndim :]
        return Labelled(Volume(image, axes), Volume(labels, axes))


def lessons(count: int = 6, *, groups: int = 6, **given: Any) -> list[Lesson]:
    return [Disc(f"d{k}", f"g{k % groups}", k, **given) for k in range(count)]


def tiny(**changes: object) -> TrainSpec:
    values = {"width": 4, "depth": 2, "patch": (32, 32), "batch": 4, "steps": 12, "device": "cpu", "precision": "fp32"}
    return TrainSpec.from_person(values | {"learning_rate": 2e-2} | changes)
