"""Train a model on a time budget, watched, cancelled and resumed at will, and the same bits again at the same steps.

The general pattern is: 1. look at the data and plan the model, 2. time some steps on a copy and turn the minutes into a
number of steps, 3. train: random patches, AdamW with warm-up and cosine decay, a moving average of the weights,
4. at every checkpoint measure the averaged weights on the validation cases, keep the best (without validation cases the
last) as the model file and the whole state beside it, 5. choose the decoding settings of the task on the validation
cases.

Every random draw of step ``n`` comes from a generator seeded with ``(seed, n)``: a resumed training needs no memory of
the draws before, and ends with the same weights as one that was never stopped.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

import napari_seg
from napari_seg.errors import SegError
from napari_seg.inference.backend import Device, choose_device
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.ensemble import first_of
from napari_seg.models.model import Model
from napari_seg.models.spec import Event, ModelSpec
from napari_seg.networks import Network
from napari_seg.training.augment import Augmentation
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.patches import Patches
from napari_seg.training.plan import Facts, TrainSpec, augmentation, batch_size, check_start, plan
from napari_seg.training.sample import Sample, samples
from napari_seg.training.test_set import refuse
from napari_seg.training.validation import score, tuned

CHECKPOINTS = 20
TIMED_STEPS = 8
WARM_UP = 0.05
AVERAGE = 0.999


@job
def train(
    data: str | Path | Sequence[Case],
    spec: TrainSpec,
    *,
    save_to: str | Path,
    start: Model | None = None,
    resume: bool = False,
) -> Steps[Model]:
    """Train on a folder with ``images/`` and ``labels/``, or on cases, and return the model that ``save_to`` then
    holds.

    ``start`` goes on from a trained model: its network, task and input are kept, and settings that say otherwise raise
    ``SegError``; of an ensemble the first member is taken. ``resume`` goes on with a training
    that was stopped, from the state beside ``save_to``. Closing the generator stops at once; the best model so far is
    in the file.
    ``Progress.detail`` holds ``step``, ``loss`` and, after a checkpoint and where there are validation cases, ``score``
    (their mean Dice or mean AP).
    """
    save_to = Path(save_to)
    start = None if start is None else first_of(start)
    cases = find_cases(data) if isinstance(data, str | Path) else tuple(data)
    learned, held_out, model_spec = yield from _prepare(cases, spec, start)
    device = choose_device(spec.device, spec.precision)
    settings = _Settings(
        batch_size(model_spec, spec),
        augmentation(model_spec, spec, learned),
        spec.learning_rate,
        spec.weight_decay,
        spec.seed,
        device,
    )
    first = start or Model.create(model_spec, seed=spec.seed)
    state_file = save_to.with_name(f"{save_to.name}.resume")
    total = spec.steps
    if resume:
        total = _stored_steps(state_file)
    elif total is None:
        total = yield from _timed(first, learned, held_out, settings, spec.minutes)
    trainer = _Trainer(first, learned, settings, total)
    history = Event(
        what="trained",
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        details={
            "version": napari_seg.__version__,
            "steps": total,
            "training": json.loads(spec.to_json()),
            "batch": settings.batch,
            "augmentation": json.loads(settings.augmentation.to_json()),
            "device": device.name,
            "precision": device.precision,
            "learned_from": len(learned),
            "validated_on": len(held_out),
            "started_from": start.spec.name if start else "",
        },
    )
    kept = replace(first, spec=model_spec.model_copy(update={"history": (*model_spec.history, history)}))
    best = trainer.resume(state_file, spec) if resume else -1.0
    checkpoints = {math.ceil(total * k / CHECKPOINTS) for k in range(1, CHECKPOINTS + 1)}
    while trainer.step < total:
        loss = trainer.advance()
        detail: dict[str, float] = {"step": trainer.step, "loss": loss}
        if trainer.step in checkpoints:
            averaged = trainer.averaged()
            if held_out:
                at = Progress(trainer.step, total, f"loss {loss:.3f}, looking at the validation cases")
                detail["score"] = yield from score(averaged, model_spec, held_out, device, at)
            figure = detail.get("score", best)  # without validation cases the last checkpoint is kept
            if figure >= best:
                best = figure
                replace(kept, network=averaged).save(save_to)
            trainer.store(state_file, spec, best)
        yield Progress(trainer.step, total, f"loss {loss:.3f}", detail)
    model = Model.load(save_to)
    if held_out:
        model = replace(model, spec=(yield from tuned(model, held_out, device)))
        model.save(save_to)  # the weights came from this very file, so what is returned is what it holds
    state_file.unlink(missing_ok=True)
    return model


def _prepare(
    cases: Sequence[Case], spec: TrainSpec, start: Model | None
) -> Steps[tuple[list[Sample], list[Sample], ModelSpec]]:
    """Plan the model from the cases that are learned from, then bring all to its grid.

    Every case is read once for each, so that never more than one image is in memory beside the samples.
    """
    yield from refuse(cases)
    if start is not None:
        check_start(start.spec, spec)
    looked_at = [case for case in cases if case.split == "train" and start is None]
    total = len(looked_at) + len(cases)
    yield Progress(0, total, "reading the data")
    facts = []
    for case in looked_at:
        facts.append(Facts.of(*case.load()[:2], spec))
        yield Progress(len(facts), total, f"looking at {case.name}")
    model = start.spec if start else plan(facts, spec)
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for number, case in enumerate(cases, len(facts) + 1):
        parts[case.split] += _samples_of(case, model)
        yield Progress(number, total, f"reading {case.name}")
    learned = [sample for sample in parts["train"] if sample.mask is None or sample.mask.any()]
    if not learned:
        raise SegError("No image is left to learn from; mark some rows of the split with train.")
    return learned, parts["val"], model


def _samples_of(case: Case, model: ModelSpec) -> list[Sample]:
    image, labels, mask = case.load()
    return list(samples(image, labels, model, mask=mask, name=case.name, group=case.group))


@dataclass(frozen=True)
class _Settings:
    batch: int
    augmentation: Augmentation
    learning_rate: float
    weight_decay: float
    seed: int
    device: Device


class _Trainer:
    """The network in training, its optimiser and the moving average of its weights."""

    def __init__(self, model: Model, learned: Sequence[Sample], settings: _Settings, total: int) -> None:
        self.spec, self.settings, self.total, self.step = model.spec, settings, total, 0
        self.device = torch.device(settings.device.name)
        layout: Any = torch.channels_last if model.spec.network.ndim == 2 else torch.channels_last_3d
        network = copy.deepcopy(model.network).requires_grad_(True).train()
        self.network: Network = network.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.source = Patches(learned, model.spec, settings.augmentation, settings.batch, settings.seed)

    def advance(self) -> float:
        """One step; returns its loss."""
        image, target, mask = (part.to(self.device) for part in self.source.batch(self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _schedule(self.step, self.total)
        with _autocast(self.settings.device):
            logits = self.network(image)
        loss = self.spec.task.loss(logits.float(), target, mask)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12.0)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[name].lerp_(value, 1 - keep)
                else:
                    self.average[name].copy_(value)
        return float(loss.detach())

    def averaged(self) -> Network:
        """The network with the moving average of the weights, on the CPU, for evaluation."""
        network = copy.deepcopy(self.network).cpu().eval().requires_grad_(False)
        network.load_state_dict(self.average)
        return network

    def store(self, path: Path, spec: TrainSpec, best: float) -> None:
        """Write everything that is needed to go on, in one step."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": value for name, value in state.items()}
        about = {"step": self.step, "total": self.total, "best": best, "training": spec.to_json()}
        aside = path.with_name(f".{path.name}.part")
        aside.write_bytes(save({k: v.contiguous().clone() for k, v in tensors.items()}, {"state": json.dumps(about)}))
        aside.replace(path)

    def resume(self, path: Path, spec: TrainSpec) -> float:
        """Take up the state that :meth:`store` wrote; returns the best score so far."""
        tensors, about = load_file(path), _stored(path)
        if about["training"] != spec.to_json():
            raise SegError("The stopped training had other settings; resume with the same ones or start anew.")
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
        for key, value in tensors.items():
            part, name = key.split("/", 1)
            parts[part][name] = value
        self.network.load_state_dict(parts["network"])
        self.average = {name: value.to(self.device) for name, value in parts["average"].items()}
        optimiser = self.optimiser.state_dict()
        for key, value in parts["optimiser"].items():
            number, name = key.split("/")
            optimiser["state"].setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict(optimiser)
        self.step = int(about["step"])
        return float(about["best"])


def _schedule(step: int, total: int) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _autocast(device: Device) -> AbstractContextManager[Any]:
    return torch.autocast(device.name, torch.bfloat16, enabled=device.precision == "bf16")


def _timed(
    model: Model, learned: Sequence[Sample], held_out: Sequence[Sample], settings: _Settings, minutes: float
) -> Steps[int]:
    """How many steps fit into the time, measured on a copy that is then thrown away."""
    began = time.perf_counter()
    trainer = _Trainer(model, learned, settings, 10**6)
    paces = []
    for number in range(2 + TIMED_STEPS):
        start = time.perf_counter()
        trainer.advance()
        paces.append(time.perf_counter() - start)
        yield Progress(number, 2 + TIMED_STEPS, "timing some steps")
    checkpoint = 0.0
    if held_out:
        start = time.perf_counter()
        at = Progress(1, 1, "timing a look at the validation cases")
        yield from score(trainer.averaged(), model.spec, held_out, settings.device, at)
        checkpoint = time.perf_counter() - start
    pace = float(np.median(paces[2:]))
    left = 60 * minutes - (time.perf_counter() - began) - CHECKPOINTS * checkpoint
    return max(1, int(left / pace))


def _stored(path: Path) -> dict[str, Any]:
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = json.loads(file.metadata()["state"])
            return about
    except (OSError, SafetensorError, KeyError, ValueError):
        raise SegError(f"There is no stopped training {path}; start anew without resuming.") from None


def _stored_steps(path: Path) -> int:
    return int(_stored(path)["total"])
