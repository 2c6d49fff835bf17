"""Live mode: a model goes on learning from one image while a person corrects it, some seconds at a time.

The network and its optimiser stay in memory from one pause in painting to the next; only what is learned from is new
each time. Nothing of it is kept: a model that is to stay is made by :mod:`~napari_seg.training.retrain`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from napari_seg.inference.backend import choose_device
from napari_seg.jobs import Progress, Steps
from napari_seg.models.model import Model
from napari_seg.spec import Spec
from napari_seg.training.memory import Memory
from napari_seg.training.patches import Patches
from napari_seg.training.plan import TrainSpec, augmentation
from napari_seg.training.sample import Sample
from napari_seg.training.trainer import WARM_UP, Settings, Trainer

AHEAD = 10**6
"""Steps that the course of the learning rate is laid out for: it stays at its height for as long as anybody paints."""


class LiveSpec(Spec):
    """``seconds``: how long each time. ``batch``: patches in a step, few, so that there are several steps.
    ``old_share``: as in ``RetrainSpec``."""

    seconds: float = Field(2.0, gt=0)
    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    batch: int = Field(4, ge=2)
    old_share: float = Field(0.25, ge=0, lt=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)


class Live:
    """A model that learns while a person paints. ``model``: as it is now, for predictions."""

    def __init__(self, start: Model, spec: LiveSpec, memory: Memory | None = None) -> None:
        self.start, self.spec = start, spec
        self.older: Sequence[Sample] = () if memory is None else memory.learn
        self._trainer: Trainer | None = None

    def learn(self, samples: Sequence[Sample]) -> Steps[int]:
        """Learn from samples for as long as ``spec`` says, at least one step; returns how many steps there were."""
        began, spec = time.perf_counter(), self.spec
        trainer = self._with(samples)
        before = trainer.step
        while True:
            loss = trainer.advance()
            done, spent = trainer.step - before, time.perf_counter() - began
            share = done / spec.steps if spec.steps else spent / spec.seconds
            yield Progress(min(share, 1.0), 1, "learning", {"phase": "train", "step": done, "loss": loss})
            if share >= 1:
                return done

    @property
    def model(self) -> Model:
        if self._trainer is None:
            return self.start
        network = copy.deepcopy(self._trainer.network).cpu().eval().requires_grad_(False)
        return replace(self.start, network=network)

    def _with(self, samples: Sequence[Sample]) -> Trainer:
        """The trainer, with these samples to learn from."""
        spec, model = self.spec, self.start.spec
        settings = Settings(
            spec.batch,
            augmentation(model, TrainSpec(), samples),
            spec.learning_rate,
            weight_decay=0.0,
            seed=spec.seed,
            device=choose_device(spec.device, spec.precision),
            old_share=spec.old_share if self.older else 0.0,
        )
        if self._trainer is None:
            self._trainer = Trainer(self.start, samples, settings, AHEAD, self.older)
            self._trainer.step = round(WARM_UP * AHEAD)  # the weights are those of a trained model already
        else:
            share = settings.old_share
            self._trainer.source = Patches(
                samples, model, settings.augmentation, spec.batch, spec.seed, self.older, share
            )
        return self._trainer
