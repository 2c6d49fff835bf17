"""What a model is worth on the validation cases.

Both jobs here yield often enough that a cancel waits for one batch of tiles or one decoding at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import SPATIAL, Volume
from napari_seg.evaluation.evaluate import Report, evaluate
from napari_seg.inference.backend import Device, Runner, slide
from napari_seg.inference.tiling import tile_grid
from napari_seg.jobs import Progress, Steps
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.networks import Network
from napari_seg.tasks.base import Labels
from napari_seg.training.sample import Sample

VALIDATION_PIXELS = 4_000_000


def score(network: Network, model: ModelSpec, held_out: Sequence[Sample], device: Device, at: Progress) -> Steps[float]:
    """The mean over validation cases, of as many as a checkpoint has time for; yields ``at`` all the while."""
    runner = Runner(network, model.task, device, ndim=model.network.ndim)
    figures = []
    pixels = 0
    for sample in held_out:
        scores = yield from scores_of(runner, model, sample, at)
        figures.append(_figure(model, sample, model.task.decode(scores, spacing_of(model))))
        yield at
        pixels += math.prod(sample.grid)
        if pixels > VALIDATION_PIXELS:
            break
    known = [figure for figure in figures if figure is not None]
    return float(np.mean(known)) if known else 0.0


def tuned(model: Model, held_out: Sequence[Sample], device: Device) -> Steps[ModelSpec]:
    """The spec with the decoding settings that do best on the validation cases."""
    variants = model.spec.task.variants()
    figures: list[list[float]] = [[] for _ in variants]
    if len(variants) == 1:
        return model.spec
    runner = Runner(model.network, model.spec.task, device, ndim=model.spec.network.ndim)
    for number, sample in enumerate(held_out):
        at = Progress(number, len(held_out), "choosing the settings of the separation")
        scores = yield from scores_of(runner, model.spec, sample, at)
        decoded = model.spec.task.decode_variants(scores, spacing_of(model.spec))
        for figure, labels in zip(figures, decoded, strict=True):
            value = _figure(model.spec, sample, labels)
            if value is not None:
                figure.append(value)
            yield at
    means = [float(np.mean(figure)) if figure else 0.0 for figure in figures]
    return model.spec.model_copy(update={"task": variants[int(np.argmax(means))]})


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


def report(model: ModelSpec, sample: Sample, labels: Labels) -> Report:
    """Measure labels of a sample where its own count, see :func:`known_part`."""
    truth, labels = known_part(sample, labels, model.task.kind)
    axes = "C" * (truth.ndim > len(sample.grid)) + SPATIAL[-len(sample.grid) :]
    return evaluate(Volume(truth, axes), Volume(labels, axes), model.task.kind)


def known_part(sample: Sample, labels: Labels, kind: str) -> tuple[Labels, Labels]:
    """The truth of a sample and ``labels`` as far as the truth is known.

    Of classes, the pixels that count. Of objects, those of the truth that lie in the mask whole, and those of
    ``labels`` of which at least half lies where it is known that there is none of the others: what the border of the
    mask cuts is neither right nor wrong. Where the mask holds no object whole (single slices of a volume), the parts
    in it are compared.
    """
    truth, mask = sample.labels, sample.mask
    if mask is None:
        return truth, labels
    if kind == "instance":
        cut = cut_by(truth, mask)
        whole = np.setdiff1d(truth[mask], (*cut, 0))
        if len(whole) or not len(cut):
            others = np.isin(truth, cut) if len(cut) else np.zeros(truth.shape, bool)
            found, sizes = np.unique(labels, return_counts=True)
            inside = np.bincount(np.searchsorted(found, labels[mask & ~others]), minlength=len(found))
            foreign = found[2 * inside < sizes]
            return np.where(np.isin(truth, whole), truth, 0), np.where(np.isin(labels, foreign), 0, labels)
    return truth * mask, labels * mask


def cut_by(labels: Labels, mask: NDArray[np.bool_]) -> Labels:
    """The objects that go on outside the mask, or may go on there because nobody has said what lies beside them."""
    cut = [labels[~mask]]
    for axis in range(labels.ndim):
        for here, there in ((slice(None, -1), slice(1, None)), (slice(1, None), slice(None, -1))):
            a, b = ((slice(None),) * axis + (part,) for part in (here, there))
            cut.append(labels[a][mask[a] & ~mask[b] & (labels[b] == 0)])
    found: Labels = np.unique(np.concatenate([part.ravel() for part in cut]))
    return found[found > 0]


def _figure(model: ModelSpec, sample: Sample, labels: Labels) -> float | None:
    return report(model, sample, labels).score
