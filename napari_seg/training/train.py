"""Train a model on a time budget, watched, cancelled and resumed at will, and the same bits again at the same steps.

The general pattern is: 1. look at the data and plan the model, 2. time some steps on a copy and turn the minutes into a
number of steps, 3. train: random patches, AdamW with warm-up and cosine decay, a moving average of the weights,
4. at every checkpoint measure the averaged weights on the validation cases, keep the best as the model file and the
whole state beside it, 5. choose the decoding settings of the task on the validation cases.

Every random draw of step ``n`` comes from a generator seeded with ``(seed, n)``: a resumed training needs no memory of
the draws before, and ends with the same weights as one that was never stopped.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

import napari_seg
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.inference.backend import Device, Runner, choose_device, slide
from napari_seg.inference.tiling import tile_grid
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.model import Model
from napari_seg.models.spec import Event, ModelSpec
from napari_seg.networks import Network
from napari_seg.training import augment
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.plan import Sample, TrainSpec, augmentation, batch_size, plan, samples

CHECKPOINTS = 20
TIMED_STEPS = 8
WARM_UP = 0.05
AVERAGE = 0.999
VALIDATION_PIXELS = 4_000_000


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

    ``start`` goes on from a trained model (its network, task and input are kept). ``resume`` goes on with a training
    that was stopped, from the state beside ``save_to``. Closing the generator stops at once; the best model so far is
    in the file.
    ``Progress.detail`` holds ``step``, ``loss`` and, after a checkpoint, ``score`` (mean Dice or mean AP of the
    validation cases).
    """
    save_to = Path(save_to)
    cases = find_cases(data) if isinstance(data, str | Path) else tuple(data)
    yield Progress(0, len(cases), "reading the data")
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
            score = detail["score"] = _score(averaged, model_spec, held_out, device) if held_out else trainer.step
            if score >= best:
                best = score
                replace(kept, network=averaged).save(save_to)
            trainer.store(state_file, spec, best)
        yield Progress(trainer.step, total, f"loss {loss:.3f}", detail)
    yield Progress(total, total, "choosing the settings of the separation")
    model = Model.load(save_to)
    if held_out:
        model = replace(model, spec=_tuned(model, held_out, device))
        model.save(save_to)  # the weights came from this very file, so what is returned is what it holds
    state_file.unlink(missing_ok=True)
    return model


def _prepare(
    cases: Sequence[Case], spec: TrainSpec, start: Model | None
) -> Steps[tuple[list[Sample], list[Sample], ModelSpec]]:
    """Read all cases, plan the model from those that are learned from, and bring everything to its grid."""
    read = []
    for number, case in enumerate(cases):
        read.append((case, *case.load()))
        yield Progress(number + 1, len(cases), f"reading {case.name}")
    model = start.spec if start else plan(((i, m) for case, i, m in read if case.split == "train"), spec)
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for case, image, labels in read:
        parts[case.split] += samples(image, labels, model, name=case.name, group=case.group)
    learned = [sample for sample in parts["train"] if sample.mask is None or sample.mask.any()]
    return learned, parts["val"], model


@dataclass(frozen=True)
class _Settings:
    batch: int
    augmentation: augment.Augmentation
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
        self.source = _Patches(learned, model.spec, settings)

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


class _Patches:
    """Cuts random patches; half of a semantic batch is centred on a class drawn at random."""

    def __init__(self, learned: Sequence[Sample], model: ModelSpec, settings: _Settings) -> None:
        if not learned:
            raise SegError("Nowhere in the training images do labels count; label something first.")
        self.samples, self.model, self.settings = learned, model, settings
        self.images = [torch.from_numpy(np.ascontiguousarray(sample.image)) for sample in learned]
        self.labels = [torch.from_numpy(np.ascontiguousarray(sample.labels))[None] for sample in learned]
        self.masks = [None if s.mask is None else torch.from_numpy(np.ascontiguousarray(s.mask)) for s in learned]
        self.spacing = tuple(model.input.spacing or (1.0,) * model.network.ndim)
        self.classes = [_places(sample.labels, model.task.names) for sample in learned]

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images, targets and masks of a step."""
        rng = np.random.default_rng([self.settings.seed, step])
        patches = [self._patch(rng) for _ in range(self.settings.batch)]
        images, targets, masks = zip(*patches, strict=True)
        return torch.stack(images), torch.stack(targets), torch.stack(masks)

    def _patch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        which = int(rng.integers(len(self.samples)))
        size = self.model.input.patch
        warp = augment.draw_warp(rng, size, self.spacing, self.settings.augmentation)
        patch = augment.cut(
            self.images[which], self.labels[which], self.masks[which], self._centre(rng, which, size), size, warp
        )
        target = self.model.task.encode(patch.labels[0].numpy(), self.spacing)
        image = augment.change_intensities(rng, patch.image, self.settings.augmentation)
        return image, torch.from_numpy(target), patch.mask[None].float()

    def _centre(self, rng: np.random.Generator, which: int, size: tuple[int, ...]) -> NDArray[np.float64]:
        grid = np.array(self.samples[which].labels.shape)
        places = self.classes[which]
        if places and rng.random() < 0.5:
            chosen = places[int(rng.integers(len(places)))]
            return np.array(np.unravel_index(int(chosen[rng.integers(len(chosen))]), tuple(grid)), float)
        half = np.minimum(np.array(size) / 2, grid / 2)
        return rng.uniform(half, grid - half) - 0.5


def _places(labels: NDArray[np.int64], names: tuple[str, ...]) -> list[NDArray[np.int64]]:
    """Some voxels of each class there is (of any object where there is one class), as flat indices."""
    found = []
    for number in range(1, len(names) + 1):
        flat = np.flatnonzero(labels.ravel() == number if len(names) > 1 else labels.ravel() > 0)
        if len(flat):
            found.append(flat[:: max(1, len(flat) // 2000)])
    return found


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
        _score(trainer.averaged(), model.spec, held_out, settings.device)
        checkpoint = time.perf_counter() - start
    pace = float(np.median(paces[2:]))
    left = 60 * minutes - (time.perf_counter() - began) - CHECKPOINTS * checkpoint
    return max(1, int(left / pace))


def _score(network: Network, model: ModelSpec, held_out: Sequence[Sample], device: Device) -> float:
    """The mean over validation cases, of as many as a checkpoint has time for."""
    figures = []
    pixels = 0
    for sample, scores in _scored(network, model, held_out, device):
        figures.append(_figure(model, sample, scores))
        pixels += sample.labels.size
        if pixels > VALIDATION_PIXELS:
            break
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else 0.0


def _scored(
    network: Network, model: ModelSpec, held_out: Sequence[Sample], device: Device
) -> Iterator[tuple[Sample, NDArray[np.float32]]]:
    runner = Runner(network, model.task, device, ndim=model.network.ndim)
    for sample in held_out:
        axes = tile_grid(sample.labels.shape, model.input.patch, 0.25, network.multiple)
        planes = partial(_planes, sample.image)
        finished = [part.scores for part in slide(planes, axes, runner) if part is not None]
        yield sample, np.concatenate(finished, 1)


def _planes(image: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    return image[:, start:stop]


def _figure(model: ModelSpec, sample: Sample, scores: NDArray[np.float32]) -> float | None:
    labels = model.task.decode(scores, tuple(model.input.spacing or (1.0,) * model.network.ndim))
    truth = sample.labels
    if sample.mask is not None:
        labels, truth = labels * sample.mask, truth * sample.mask
    return evaluate(truth, labels, model.task.kind).score


def _tuned(model: Model, held_out: Sequence[Sample], device: Device) -> ModelSpec:
    """The spec with the decoding settings that do best on the validation cases."""
    variants = [model.spec.model_copy(update={"task": task}) for task in model.spec.task.variants()]
    figures: list[list[float]] = [[] for _ in variants]
    if len(variants) == 1:
        return model.spec
    for sample, scores in _scored(model.network, model.spec, held_out, device):
        for figure, variant in zip(figures, variants, strict=True):
            value = _figure(variant, sample, scores)
            if value is not None:
                figure.append(value)
    means = [float(np.mean(figure)) if figure else 0.0 for figure in figures]
    return variants[int(np.argmax(means))]


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
