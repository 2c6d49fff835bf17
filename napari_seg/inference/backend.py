"""The network on a device: precision, memory layout, and the sliding window itself. The one module here that needs
torch.

On a CPU convolutions are fastest on ``channels_last`` arrays, and in bfloat16 where the processor computes in it
(AVX512-BF16 or AMX); batch normalisation is folded into the convolution before it, and the ReLU is joined with it.
Tiles are blended in float32.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_seg.errors import SegError
from napari_seg.inference.forecast import multiplications
from napari_seg.inference.tiling import Axis
from napari_seg.models.model import build
from napari_seg.models.spec import NetworkSpec
from napari_seg.networks import Ensemble
from napari_seg.tasks.base import Task
from napari_seg.tasks.semantic import Semantic

BATCH_PIXELS = {"cpu": 2**16, "cuda": 2**21, "mps": 2**19}
"""Small tiles are run together until a batch holds this many pixels; larger batches gain nothing on that device."""

Planes = Callable[[int, int], NDArray[np.float32]]
"""Reads the planes ``start`` to ``stop`` along the first axis of an image: ``(channels, stop - start, *rest)``."""


@dataclass(frozen=True)
class Device:
    """What the network will run on, and why."""

    name: str
    precision: str
    why: str


def choose_device(device: str = "auto", precision: str = "auto") -> Device:
    """Resolve "auto". Raises ``SegError`` for a device or a precision that this machine does not have."""
    have = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device != "auto" and not have[device]:
        raise SegError(f"This machine has no {device} device that torch can use; choose the device auto or cpu.")
    name = next(name for name, there in have.items() if there) if device == "auto" else device
    if precision == "bf16" and name == "mps":
        raise SegError("The device mps computes in fp32 only; choose the precision auto or fp32.")
    fast = (name == "cuda" and torch.cuda.is_bf16_supported()) or (name == "cpu" and _cpu_has_bf16())
    resolved = ("bf16" if fast else "fp32") if precision == "auto" else precision
    where = {"cpu": "CPU", "cuda": "NVIDIA GPU" if not torch.version.hip else "AMD GPU", "mps": "Apple GPU"}[name]
    if fast:
        why = f"{where}, computes in bfloat16"
    elif name == "mps":
        why = f"{where}, used in float32"
    else:
        why = f"{where} without fast bfloat16"
    return Device(name, resolved, why)


def _cpu_has_bf16() -> bool:
    capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])  # torch 2.8 cannot tell
    found = capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


class Runner:
    """Scores of batches of tiles: ``runner(tiles)`` with ``(batch, channels, *tile)`` on the device, float32 back.

    The network is copied, so that the model's own stays as it is. The scores of an ensemble are the mean over its
    members, and over the images of a tile that are mirrored along the axes ``mirrors`` of the grid.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        device: Device,
        *,
        ndim: int,
        mirrors: tuple[int, ...] = (),
    ) -> None:
        self.device = torch.device(device.name)
        self.dtype = torch.bfloat16 if device.precision == "bf16" else torch.float32
        self.layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
        self.task = task
        axes = [2 + axis for axis in mirrors]
        self.mirrors = [m for n in range(len(axes) + 1) for m in itertools.combinations(axes, n)]
        folded = fold(copy.deepcopy(network).eval().requires_grad_(False))
        if device.name == "cpu" and ConvReLU.available(self.dtype):
            folded = fuse(folded)
        self.network = folded.to(self.device, self.dtype, memory_format=self.layout)  # type: ignore[call-overload]
        self.members = list(self.network.members) if isinstance(self.network, Ensemble) else [self.network]

    @torch.inference_mode()
    def __call__(self, tiles: Tensor) -> Tensor:
        total = None
        for mirror in self.mirrors:
            turned = (tiles.flip(mirror) if mirror else tiles).to(self.dtype, memory_format=self.layout)
            for network in self.members:
                scores = self.task.activate(network(turned).contiguous().float())
                scores = self.task.mirror(scores, mirror) if mirror else scores
                total = scores if total is None else total.add_(scores)
        assert total is not None
        count = len(self.mirrors) * len(self.members)
        return total if count == 1 else total.div_(count)


class ConvReLU(nn.Module):
    """A convolution and the ReLU after it in one pass over memory, by oneDNN: the same bits in less time on a CPU."""

    @staticmethod
    def available(dtype: torch.dtype) -> bool:
        """Whether this torch and this processor have it: bfloat16 takes AVX512 there, other convolutions do not."""
        known = hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        return known and (dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())

    def __init__(self, conv: nn.Conv2d | nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.settings = (conv.padding, conv.stride, conv.dilation, conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        fused = torch.ops.mkldnn._convolution_pointwise
        return fused(x, self.weight, self.bias, *self.settings, "relu", [], "")  # type: ignore[no-any-return]


def fuse(network: nn.Module) -> nn.Module:
    """Join each convolution of a ``Sequential`` with the ReLU that follows it, in place."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            layers = [layer for layer in module if not isinstance(layer, nn.Identity)]
            for number, (first, second) in enumerate(itertools.pairwise(layers)):
                if isinstance(first, nn.Conv2d | nn.Conv3d) and isinstance(second, nn.ReLU):
                    layers[number], layers[number + 1] = ConvReLU(first), nn.Identity()
            del module[:]
            module.extend(layers)
    return network


def fold(network: nn.Module) -> nn.Module:
    """Fold each batch normalisation that directly follows a convolution in a ``Sequential`` into it, in place."""
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for first, second in itertools.pairwise(range(len(module))):
                conv, norm = module[first], module[second]
                if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
                    module[first], module[second] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


@dataclass(frozen=True, eq=False)
class Finished:
    """Scores that no further tile will touch: ``scores`` are the planes from ``start`` on, ``(channels, planes,
    *rest)``.
    """

    start: int
    scores: NDArray[np.float32]


def count_batches(axes: tuple[Axis, ...], device: str) -> int:
    """How many batches :func:`slide` will yield for a tiling."""
    tiles = math.prod(len(axis.starts) for axis in axes[1:])
    return len(axes[0].starts) * math.ceil(tiles / _batch_size(axes, device))


def slide(planes: Planes, axes: tuple[Axis, ...], runner: Runner) -> Iterator[Finished | None]:
    """Run the network over all tiles; yields after each batch, with the scores that have become final.

    The tiles go along the first axis; scores are held only for the planes of one row of tiles. The finished planes of
    all yields, in their order, make up the whole grid once.
    """
    first, rest = axes[0], axes[1:]
    size = _batch_size(axes, runner.device.type)
    corners = list(itertools.product(*(range(len(axis.starts)) for axis in rest)))
    batches = [corners[k : k + size] for k in range(0, len(corners), size)]
    slab: Tensor | None = None
    for row, start in enumerate(first.starts):
        image = _padded(planes, axes, start).to(runner.device)
        final = first.starts[row + 1] if row + 1 < len(first.starts) else first.padded
        for number, batch in enumerate(batches):
            boxes = [
                tuple(slice(a.starts[k], a.starts[k] + a.tile) for a, k in zip(rest, c, strict=True)) for c in batch
            ]
            scores = runner(torch.stack([image[(slice(None), slice(None), *box)] for box in boxes]))
            if slab is None:
                slab = scores.new_zeros((scores.shape[1], first.tile, *(axis.padded for axis in rest)))
            for box, corner, tile in zip(boxes, batch, scores, strict=True):
                weights = _weights(axes, (row, *corner)).to(runner.device)
                slab[(slice(None), slice(None), *box)].addcmul_(tile, weights)
            if number + 1 < len(batches):
                yield None
        assert slab is not None
        done = final - start
        yield _finished(slab, axes, start, done)
        kept = first.tile - min(done, first.tile)
        slab[:, :kept] = slab[:, first.tile - kept :].clone()
        slab[:, kept:] = 0


def measure_pace(device: Device) -> float:
    """How many multiplications a second a small network makes on the device."""
    spec = NetworkSpec(width=16, depth=3)
    runner = Runner(build(spec), Semantic(), device, ndim=2)
    tiles = torch.zeros((1, 1, 256, 256), device=runner.device)
    seconds = []
    for _ in range(3):  # the first warms up
        began = time.perf_counter()
        runner(tiles).sum().item()
        seconds.append(time.perf_counter() - began)
    return tiles.numel() * multiplications(spec) / min(seconds)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: on a CPU torch raises a plain ``RuntimeError`` for it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _batch_size(axes: tuple[Axis, ...], device: str) -> int:
    return max(1, BATCH_PIXELS[device] // math.prod(axis.tile for axis in axes))


def _padded(planes: Planes, axes: tuple[Axis, ...], start: int) -> Tensor:
    """One row of tiles of the padded image: mirrored at its edges, as far as it is padded."""
    first = axes[0]
    begin, end = max(start - first.before, 0), min(start + first.tile - first.before, first.length)
    image = planes(begin, end)
    missing = [(begin - (start - first.before), start + first.tile - first.before - end)]
    missing += [(axis.before, axis.after) for axis in axes[1:]]
    if any(before or after for before, after in missing):
        image = np.pad(image, [(0, 0), *missing], mode="symmetric")
    return torch.from_numpy(np.ascontiguousarray(image, np.float32))


def _weights(axes: tuple[Axis, ...], which: tuple[int, ...]) -> Tensor:
    """The share of one tile in each of its pixels."""
    product: NDArray[Any] = axes[0].weights[which[0]]
    for axis, k in zip(axes[1:], which[1:], strict=True):
        product = product[..., None] * axis.weights[k]
    return torch.from_numpy(product)


def _finished(slab: Tensor, axes: tuple[Axis, ...], start: int, done: int) -> Finished:
    first = axes[0]
    begin, end = max(first.before - start, 0), min(done, first.before + first.length - start)
    inner = tuple(slice(axis.before, axis.before + axis.length) for axis in axes[1:])
    scores = slab[(slice(None), slice(begin, end), *inner)]
    return Finished(start + begin - first.before, scores.cpu().numpy().copy())
