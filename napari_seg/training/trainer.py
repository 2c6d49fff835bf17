"""A network in training: its optimiser, the moving average of its weights, and everything that is needed to go on
after the program was closed or killed.

Every random draw of step ``n`` comes from a generator seeded with ``(seed, n)``: a resumed training needs no memory of
the draws before, and ends with the same weights as one that was never stopped.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from napari_seg.choices import LossKind
from napari_seg.errors import SegError
from napari_seg.files import reason, written
from napari_seg.inference.backend import Device, out_of_memory
from napari_seg.models.model import Model
from napari_seg.networks import Network
from napari_seg.training.augment import Augmentation
from napari_seg.training.patches import Patches
from napari_seg.training.sample import Sample
from napari_seg.wording import count_of

WARM_UP = 0.05
AVERAGE = 0.999


@dataclass(frozen=True)
class Settings:
    """``old_share``: of what is learned, and of each batch as nearly as that goes, from older samples. ``faithful``:
    how much of what is learned from those is what the model said of them before, and not their labels ("learning
    without forgetting", Li and Hoiem, ECCV 2016)."""

    batch: int
    augmentation: Augmentation
    learning_rate: float
    weight_decay: float
    seed: int
    device: Device
    old_share: float = 0.0
    faithful: float = 0.0
    loss: LossKind = "dice"


class Trainer:
    """The network in training, its optimiser and the moving average of its weights. ``old_weight``: how much of the
    loss is that of older samples; it can be changed between two steps."""

    def __init__(
        self, model: Model, learned: Sequence[Sample], settings: Settings, total: int, older: Sequence[Sample] = ()
    ) -> None:
        self.spec, self.settings, self.total, self.step = model.spec, settings, total, 0
        self.old_weight = settings.old_share
        self.device = torch.device(settings.device.name)
        layout: Any = torch.channels_last if model.spec.network.ndim == 2 else torch.channels_last_3d
        network = copy.deepcopy(model.network).requires_grad_(True).train()
        self.network: Network = network.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        before = copy.deepcopy(model.network).requires_grad_(False).eval() if settings.faithful and older else None
        self.before = None if before is None else before.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.source = Patches(
            learned, model.spec, settings.augmentation, settings.batch, settings.seed, older, settings.old_share
        )

    def advance(self) -> float:
        """One step; returns its loss. Raises ``SegError`` where that is no number, or memory runs out."""
        with self._memory():
            return self._advance()

    def _advance(self) -> float:
        image, target, mask = (part.to(self.device) for part in self.source.batch(self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * schedule(self.step, self.total)
        with autocast(self.settings.device):
            logits = self.network(image)
        target = self._as_before(image, target)
        loss = self._loss(logits.float(), target, mask)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise SegError(
                f"The training went astray in step {self.step + 1}: its loss is no number any more. Start again with a "
                f"lower learning rate, such as {self.settings.learning_rate / 4:.2g}."
            )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12.0)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - keep)
                else:
                    self.average[name].copy_(tensor)
        return value

    @torch.no_grad()
    def _as_before(self, image: Tensor, target: Tensor) -> Tensor:
        """The targets, those of older samples mixed with what the model said of them before."""
        new = len(image) - self.source.old
        if self.before is None or new == len(image):
            return target
        with autocast(self.settings.device):
            logits = self.before(image[new:])
        said = self.spec.task.activate(logits.float())
        return torch.cat([target[:new], torch.lerp(target[new:], said, self.settings.faithful)])

    def _loss(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Of new and older samples each for itself, so that few corrected pixels are not outvoted by whole images."""
        task, new, kind = self.spec.task, len(logits) - self.source.old, self.settings.loss
        if new == len(logits):
            return task.loss(logits, target, mask, kind)
        of_new, of_old = (
            task.loss(logits[part], target[part], mask[part], kind) for part in (slice(new), slice(new, None))
        )
        return torch.lerp(of_new, of_old, self.old_weight)

    @contextmanager
    def _memory(self) -> Iterator[None]:
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            patch = " x ".join(map(str, self.spec.input.patch))
            patches = count_of(self.settings.batch, "patch")
            raise SegError(
                f"Memory ran out while training on {patches} of {patch} at a time; close other "
                "programs, or train a smaller network or with a smaller batch."
            ) from None

    def averaged(self) -> Network:
        """The network with the moving average of the weights, on the CPU, for evaluation."""
        network = copy.deepcopy(self.network).cpu().eval().requires_grad_(False)
        network.load_state_dict(self.average)
        return network

    def store(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write everything that is needed to go on, in one step. ``about`` is JSON that :func:`stored` gives back."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{number}/{name}": value for name, value in state.items()}
        text = json.dumps({**about, "step": self.step, "total": self.total, "old_weight": self.old_weight})
        try:
            with written(path) as aside:
                aside.write_bytes(save({k: v.contiguous().clone() for k, v in tensors.items()}, {"state": text}))
        except OSError as error:
            words = reason(error, "choose another folder")
            raise SegError(f"The state of the training could not be kept in {path} {words}") from None

    def resume(self, path: Path) -> None:
        """Take up the state that :meth:`store` wrote. Raises ``SegError`` where it is that of another network."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
        for key, value in load_file(path).items():
            part, name = key.split("/", 1)
            parts[part][name] = value
        own = {name: value.shape for name, value in self.network.state_dict().items()}
        if any(own != {name: value.shape for name, value in parts[part].items()} for part in ("network", "average")):
            raise SegError("The stopped training was of another model; start it from the same one, or anew.")
        self.network.load_state_dict(parts["network"])
        self.average = {name: value.to(self.device) for name, value in parts["average"].items()}
        optimiser = self.optimiser.state_dict()
        for key, value in parts["optimiser"].items():
            number, name = key.split("/")
            optimiser["state"].setdefault(int(number), {})[name] = value
        self.optimiser.load_state_dict(optimiser)
        about = stored(path)
        self.step, self.old_weight = int(about["step"]), float(about["old_weight"])


def stored(path: Path) -> dict[str, Any]:
    """What a stopped training says of itself. Raises ``SegError`` where there is none."""
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = json.loads(file.metadata()["state"])
            return about
    except (OSError, SafetensorError, KeyError, ValueError, TypeError):
        raise SegError(f"There is no stopped training {path}; start anew without resuming.") from None


def schedule(step: int, total: int) -> float:
    """Linear warm-up, then half a cosine down to nothing."""
    warm = max(1, round(WARM_UP * total))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def autocast(device: Device) -> AbstractContextManager[Any]:
    return torch.autocast(device.name, torch.bfloat16, enabled=device.precision == "bf16")


def digest(samples: Sequence[Sample]) -> str:
    """By which it is known again what a training learned from."""
    known = hashlib.blake2b(digest_size=16)
    for sample in samples:
        known.update(f"{sample.name}\0{sample.group}\0{sample.grid}\0".encode())
        for part in (sample.image, sample.labels, sample.mask):
            known.update(b"" if part is None else np.ascontiguousarray(part).tobytes())
    return known.hexdigest()
