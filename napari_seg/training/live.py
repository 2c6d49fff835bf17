"""Live mode: a model goes on learning from one image while a person corrects it, some seconds at a time.

The network and its optimiser stay in memory from one pause in painting to the next; only what is learned from is new
each time. Nothing of it is kept: a model that is to stay is made by :mod:`~napari_seg.training.retrain`.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from napari_seg.choices import DeviceName, PrecisionName
from napari_seg.inference.backend import choose_device
from napari_seg.jobs import Progress, Steps
from napari_seg.models.ensemble import first_of
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.spec import Spec
from napari_seg.training.memory import Memory, without
from napari_seg.training.patches import Patches
from napari_seg.training.plan import TrainSpec, augmentation
from napari_seg.training.sample import Sample
from napari_seg.training.trainer import WARM_UP, Settings, Trainer

AHEAD = 10**6
"""Steps that the course of the learning rate is laid out for: it stays at its height for as long as anybody paints."""


STEP_PIXELS = {2: 2**15, 3: 2**17}
"""A step looks at about this many pixels, so that there are several steps in the time, also on a laptop."""


class LiveSpec(Spec):
    """``seconds``: how long each time, or ``steps``. ``batch``: patches in a step. ``old_share``: as in
    ``RetrainSpec``."""

    seconds: float = Field(1.5, gt=0)
    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    batch: int = Field(2, ge=2)
    old_share: float = Field(0.5, ge=0, lt=1)
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"
    seed: int = Field(0, ge=0)


class Live:
    """A model that learns while a person paints. ``model``: as it is now, for predictions. ``diameter``: how large the
    objects of the image are, once it is known."""

    def __init__(self, start: Model, spec: LiveSpec, memory: Memory | None = None) -> None:
        self.start, self.spec = first_of(start), spec
        self.diameter: float | None = None
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
        spec, model = self.spec, self._with_small_patches()
        older = without(self.older, {sample.unit[0] for sample in samples})
        settings = Settings(
            spec.batch,
            augmentation(model, TrainSpec(), samples),
            spec.learning_rate,
            weight_decay=0.0,
            seed=spec.seed,
            device=choose_device(spec.device, spec.precision),
            old_share=spec.old_share if older else 0.0,
        )
        if self._trainer is None:
            self._trainer = Trainer(replace(self.start, spec=model), samples, settings, AHEAD, older)
            self._trainer.step = round(WARM_UP * AHEAD)  # the weights are those of a trained model already
        else:
            share = settings.old_share
            self._trainer.source = Patches(samples, model, settings.augmentation, spec.batch, spec.seed, older, share)
        return self._trainer

    def _with_small_patches(self) -> ModelSpec:
        model, multiple = self.start.spec, self.start.network.multiple
        patch, most = list(model.input.patch), STEP_PIXELS[model.network.ndim] // self.spec.batch
        while math.prod(patch) > most and any(n > 2 * k for n, k in zip(patch, multiple, strict=True)):
            longest = max(range(len(patch)), key=lambda axis: patch[axis] / multiple[axis])
            patch[longest] -= multiple[longest]
        return model.model_copy(update={"input": model.input.model_copy(update={"patch": tuple(patch)})})
