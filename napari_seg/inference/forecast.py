"""What a prediction will cost, in seconds and bytes, and what it will run on. Only ``device_report`` imports torch.

Seconds are the multiplications of the network, counted from its spec, over the pace of the machine. The pace is a guess
from the number of processors until the engine has measured it (:func:`~napari_seg.inference.backend.measure_pace`);
either way: about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import psutil

from napari_seg.data.volume import Volume
from napari_seg.inference.fit import check, tile_for, time_points
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.inference.store import IN_MEMORY
from napari_seg.inference.tiling import tile_grid
from napari_seg.models.spec import ModelSpec, NetworkSpec

PACE_PER_CORE = 5e10
"""Multiplications a second of a core that computes in bfloat16 (AVX512-BF16 or AMX); in float32 a quarter of it."""

START_SECONDS = 0.3

DECODE_SECONDS = 4e-7
"""Per pixel, to separate objects."""

BASE_BYTES = 350e6
"""Python and torch, with nothing loaded."""

WIDEST = 6


@dataclass(frozen=True)
class Forecast:
    """``seconds`` and ``bytes`` (at the peak, without the image itself): about.

    ``multiplications``: the work of the network. ``beside``: seconds of ``seconds`` that are spent on all else.
    """

    seconds: float
    bytes: float
    multiplications: float
    beside: float


@dataclass(frozen=True)
class DeviceReport:
    """What predictions will run on; as a string one sentence."""

    device: str
    precision: str
    why: str
    pace: float

    def __str__(self) -> str:
        return f"{self.why} ({self.precision})"


def device_report() -> DeviceReport:
    """Look at the device and measure its pace, in less than a second. Imports torch: not for the window."""
    from napari_seg.inference import backend

    device = backend.choose_device()
    return DeviceReport(device.name, device.precision, device.why, backend.measure_pace(device))


def forecast(
    spec: ModelSpec, volume: Volume, settings: PredictSpec, region: Region | None = None, *, pace: float | None = None
) -> Forecast:
    """About how long a prediction will take. ``pace``: as in :class:`DeviceReport`.

    Raises ``SegError`` where the image does not fit the model.
    """
    fit = check(spec, volume, settings, region)
    scale = fit.scale or (1.0,) * len(fit.grid)
    grid = fit.lengths(scale)
    multiple = tuple(map(max, zip(*map(multiple_of, spec.networks), strict=True)))
    axes = tile_grid(grid, tile_for(fit, scale, settings), settings.overlap, multiple)
    tile = math.prod(axis.tile for axis in axes)
    times = len(time_points(volume, region))
    frames = times * ((fit.box[1][0] - fit.box[0][0]) if fit.by_slices else 1)
    computed = frames * tile * math.prod(len(axis.starts) for axis in axes)
    mirrors = 2 ** len(spec.mirrors) if settings.flips else 1
    pixels = times * math.prod(b - a for a, b in zip(*fit.box, strict=True))
    work = mirrors * computed * sum(map(multiplications, spec.networks))
    beside = START_SECONDS + (0.0 if spec.task.pointwise else DECODE_SECONDS * pixels)
    width = 4 if settings.precision == "fp32" else 2
    activations = tile * max(network.width for network in spec.networks) * 6 * width
    slab = axes[0].tile * math.prod(grid[1:]) * 4 * (spec.network.in_channels + 2 * spec.task.channels)
    scores = 2 * spec.task.channels * pixels
    objects = 0 if spec.task.pointwise else 30 * pixels / times
    memory = BASE_BYTES + activations + slab + min(scores, IN_MEMORY) + 4 * pixels + objects
    return Forecast(beside + work / (pace or _guess(settings)), memory, work, beside)


def multiplications(network: NetworkSpec) -> float:
    """About how many multiplications the network makes for each pixel of its input."""
    widths = [min(network.width * 2**level, network.width * WIDEST) for level in range(network.depth + 1)]
    kernel, total, share = 3**network.ndim, 0.0, 1.0
    for level in range(network.depth + (network.kind != "segnet")):
        width, above = widths[level], widths[max(level - 1, 0)]
        count = {"unet": 2, "vnet": min(level + 1, 3), "segnet": min(level + 2, 3)}[network.kind]
        inputs = network.in_channels if level == 0 else width if network.kind == "vnet" else above
        total += share * kernel * width * (inputs + (count - 1) * width)
        if network.kind == "segnet":
            total += share * kernel * above * (width + (count - 1) * above)
        elif level < network.depth:
            total += share * width * (kernel * width * (count + 1) + widths[level + 1])
        share /= 2 ** (network.ndim - (network.ndim == 3 and level < network.flat_levels))
    return total


def multiple_of(network: NetworkSpec) -> tuple[int, ...]:
    """The ``multiple`` of the network that a spec describes."""
    multiple = [2**network.depth] * network.ndim
    if network.ndim == 3:
        multiple[0] = 2 ** max(network.depth - network.flat_levels, 0)
    return tuple(multiple)


def _guess(settings: PredictSpec) -> float:
    cores = psutil.cpu_count(logical=False) or 1
    return PACE_PER_CORE * cores / (4 if settings.precision == "fp32" else 1)
