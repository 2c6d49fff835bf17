"""What a model is worth on the validation cases.

Both jobs here yield often enough that a cancel waits for one batch of tiles or one decoding at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from napari_seg.evaluation.counted import Piece, dice_of_classes, mean_ap
from napari_seg.inference.backend import Device, Runner, slide
from napari_seg.inference.tiling import tile_grid
from napari_seg.jobs import Progress, Steps
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.networks import Ensemble, Network
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic
from napari_seg.training.sample import Sample

VALIDATION_PIXELS = 4_000_000


def score(
    network: Network | Ensemble, model: ModelSpec, held_out: Sequence[Sample], device: Device, at: Progress
) -> Steps[float]:
    """The mean over validation cases, of as many as a checkpoint has time for; yields ``at`` all the while."""
    runner = Runner(network, model.task, device, ndim=model.network.ndim)
    figures = []
    pixels = 0
    for _, case in groupby(held_out, key=attrgetter("unit")):
        pieces = list[Piece]()
        for sample in case:
            if pixels > VALIDATION_PIXELS:
                break
            scores = yield from scores_of(runner, model, sample, at)
            pieces.append((sample.labels, model.task.decode(scores, spacing_of(model)), sample.mask))
            yield at
            pixels += math.prod(sample.grid)
        if pieces:
            figures.append(figure(model, pieces))
    return float(np.mean(figures)) if figures else 0.0


def tuned(model: Model, task: Semantic | Instance, held_out: Sequence[Sample], device: Device) -> Steps[ModelSpec]:
    """The spec with those of the decoding settings around ``task`` that do best on the validation cases."""
    variants = task.variants()
    figures: list[list[float]] = [[] for _ in variants]
    if len(variants) == 1:
        return model.spec
    runner = Runner(model.network, model.spec.task, device, ndim=model.spec.network.ndim)
    done = 0
    for _, case in groupby(held_out, key=attrgetter("unit")):
        pieces: list[list[Piece]] = [[] for _ in variants]
        for sample in case:
            at = Progress(done, len(held_out), "choosing the settings of the separation", {"phase": "tune"})
            scores = yield from scores_of(runner, model.spec, sample, at)
            for of_variant, labels in zip(pieces, task.decode_variants(scores, spacing_of(model.spec)), strict=True):
                of_variant.append((sample.labels, labels, sample.mask))
                yield at
            done += 1
        for means, of_variant in zip(figures, pieces, strict=True):
            means.append(figure(model.spec, of_variant))
            yield at
    best = int(np.argmax([float(np.mean(means)) if means else 0.0 for means in figures]))
    return model.spec.model_copy(update={"task": variants[best]})


def scores_of(runner: Runner, model: ModelSpec, sample: Sample, at: Progress) -> Steps[NDArray[np.float32]]:
    """The scores of a sample, ``(channels, *grid)``; yields ``at`` after each batch of tiles."""
    axes = tile_grid(sample.grid, model.input.patch, 0.25, runner.network.multiple)
    finished = []
    for part in slide(partial(_planes, sample.image), axes, runner):
        if part is not None:
            finished.append(part.scores)
        yield at
    return np.concatenate(finished, 1)


def _planes(image: NDArray[np.float32], start: int, stop: int) -> NDArray[np.float32]:
    return image[:, start:stop]


def spacing_of(model: ModelSpec) -> tuple[float, ...]:
    return tuple(model.input.spacing or (1.0,) * model.network.ndim)


def figure(model: ModelSpec, pieces: Sequence[Piece]) -> float:
    """The mean Dice or the mean AP of one case, all its slices together, where labels count; 1 where nothing is there
    and nothing was found."""
    if model.task.kind == "instance":
        return mean_ap(pieces)
    of_classes = dice_of_classes(pieces, len(model.task.classes), planes=model.task.overlapping)
    known = [dice for dice in of_classes.values() if dice is not None]
    return float(np.mean(known)) if known else 1.0
