"""Lessons that lie in memory, and a model that has learned a little."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.models.model import Model
from napari_seg.training.cases import Labelled
from napari_seg.training.memory import Memory
from napari_seg.training.plan import Facts, TrainSpec, plan
from napari_seg.training.retrain import RetrainSpec
from napari_seg.training.sample import Sample, samples


@dataclass(frozen=True, eq=False)
class InMemory:
    """A lesson of arrays."""

    name: str
    image: Volume
    labels: Volume
    mask: NDArray[np.bool_] | None = None
    split: str = "train"
    patient: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        return f"group of {self.name}"

    def load(self) -> Labelled:
        return Labelled(self.image, self.labels, self.mask)


def discs(seed: int, size: int = 32, bright: int = 80) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Discs on a noisy ground, brighter or (``bright`` below 0) darker, and their numbers."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int64)
    for number, (cy, cx) in enumerate(np.mgrid[8:size:16, 8:size:16].reshape(2, -1).T + rng.uniform(-2, 2, 2), 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 25] = number
    image = 120 + bright * (labels > 0) + rng.normal(0, 8, labels.shape)
    return image.clip(0, 255).astype(np.uint8), labels


def lesson(seed: int, *, mask: NDArray[np.bool_] | None = None, classes: int = 0, **look: Any) -> InMemory:
    """A picture of discs; with ``classes`` (up to 3) the numbers are those of classes, the higher the darker."""
    image, labels = discs(seed, **look)
    if classes:
        labels = np.where(labels > 0, (labels - 1) % classes + 1, 0)
        image = (
            50 + np.array([0, 150, 100, 50])[labels] + np.random.default_rng(seed).normal(0, 5, labels.shape)
        ).astype(np.uint8)
    return InMemory(f"{seed}", Volume(image, "YX"), Volume(labels, "YX"), mask, about={"revision": seed})


def model_for(lessons: Sequence[InMemory], **changes: Any) -> Model:
    """A tiny model that has learned nothing."""
    values = {"task": "instance", "width": 4, "depth": 2, "patch": (32, 32), "device": "cpu"}
    spec = TrainSpec.from_person(values | changes)
    return Model.create(plan([Facts.of(*one.load()[:2], spec) for one in lessons], spec))


def samples_for(model: Model, lessons: Sequence[InMemory]) -> tuple[Sample, ...]:
    return tuple(
        sample
        for one in lessons
        for sample in samples(*one.load()[:2], model.spec, mask=one.mask, name=one.name, group=one.group)
    )


def memory_for(model: Model, learn: Sequence[InMemory], check: Sequence[InMemory]) -> Memory:
    return Memory(samples_for(model, learn), samples_for(model, check))


def quick(**changes: Any) -> RetrainSpec:
    return RetrainSpec.from_person({"steps": 6, "batch": 4, "device": "cpu", "precision": "fp32"} | changes)
