"""What a model is worth on the validation cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_seg.evaluation.evaluate import evaluate
from napari_seg.inference.backend import Device, Runner, slide
from napari_seg.inference.tiling import tile_grid
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.networks import Network
from napari_seg.training.sample import Sample

VALIDATION_PIXELS = 4_000_000


def score(network: Network, model: ModelSpec, held_out: Sequence[Sample], device: Device) -> float:
    """The mean over validation cases, of as many as a checkpoint has time for."""
    figures = []
    pixels = 0
    for sample, scores in scored(network, model, held_out, device):
        figures.append(_figure(model, sample, scores))
        pixels += sample.labels.size
        if pixels > VALIDATION_PIXELS:
            break
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else 0.0


def scored(
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


def tuned(model: Model, held_out: Sequence[Sample], device: Device) -> ModelSpec:
    """The spec with the decoding settings that do best on the validation cases."""
    variants = [model.spec.model_copy(update={"task": task}) for task in model.spec.task.variants()]
    figures: list[list[float]] = [[] for _ in variants]
    if len(variants) == 1:
        return model.spec
    for sample, scores in scored(model.network, model.spec, held_out, device):
        for figure, variant in zip(figures, variants, strict=True):
            value = _figure(variant, sample, scores)
            if value is not None:
                figure.append(value)
    means = [float(np.mean(figure)) if figure else 0.0 for figure in figures]
    return variants[int(np.argmax(means))]
