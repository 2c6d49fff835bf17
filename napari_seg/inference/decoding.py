"""From stored scores to labels: the settings of a person, boxes, slices and volumes too large to decode at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import labels_dtype
from napari_seg.errors import SegError
from napari_seg.inference.prediction import Prediction, PredictSpec, Region
from napari_seg.inference.stitch import decode_blocks, link_slices
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

AnyTask = Semantic | Instance

WHOLE = 2**25
"""Images of more pixels are decoded block by block."""

_BLOCK = {2: (4096, 4096), 3: (160, 256, 256)}
_MARGIN = {2: 256, 3: 32}


def task_with(task: AnyTask, settings: PredictSpec) -> AnyTask:
    """The task with the settings a person gave. Raises ``SegError`` for one it does not have or out of range."""
    given = {name: getattr(settings, name) for name in ("threshold", "seeds", "smallest")}
    given = {name: value for name, value in given.items() if value is not None}
    for name in given:
        if name not in task.settings:
            rest = f"only {' and '.join(task.settings)}" if task.settings else "each pixel gets its likeliest class"
            raise SegError(f"The model has no setting {name}, {rest}; leave the setting out.")
    return type(task).from_person({**task.model_dump(), **given}) if given else task


def in_pixels(settings: PredictSpec, task: AnyTask, scale: tuple[float, ...]) -> PredictSpec:
    """The settings for an image with ``scale`` pixels of the model's grid per pixel, along each axis: in a coarser one
    the smallest object that the model knows has fewer pixels. What a person gave stays as it is."""
    finer = math.prod(scale)
    if settings.smallest is not None or not isinstance(task, Instance) or finer <= 1:
        return settings
    return settings.model_copy(update={"smallest": float(max(1, round(task.smallest / finer)))})


def objects(
    task: AnyTask, scores: NDArray[Any], spacing: tuple[float, ...], *, by_slices: bool
) -> Iterator[float | NDArray[Any]]:
    """Objects of one time point ``(channels, *grid)``; yields the fraction done, and the labels at last."""
    grid = scores.shape[1:]
    if by_slices:
        slices = []
        for z in range(grid[0]):
            slices.append(task.decode(scores[:, z], spacing[1:]))
            yield (z + 1) / (grid[0] + 1)
        yield link_slices(slices, spacing)
    elif np.prod(grid, dtype=float) <= WHOLE:
        yield 0.0
        yield task.decode(scores, spacing)
    else:
        block = _BLOCK[len(grid)]
        total = np.prod([-(-n // b) for n, b in zip(grid, block, strict=True)])
        margin = (_MARGIN[len(grid)],) * len(grid)
        steps = decode_blocks(lambda box: task.decode(scores[(slice(None), *box)], spacing), grid, block, margin)
        for number, step in enumerate(steps):
            yield number / total if step is None else step


def decode_region(prediction: Prediction, settings: PredictSpec, region: Region | None) -> NDArray[Any]:
    """The labels of a region (in voxels of the image) of a prediction, decoded anew."""
    labels, scores = prediction.labels, prediction.scores
    task = task_with(prediction.model.task, settings)
    has_time = "T" in labels.axes
    origin = prediction.region.start if prediction.region else (0,) * labels.ndim
    first = (prediction.region.time or 0) if prediction.region else 0
    frames = scores if has_time else scores[None]
    inner = tuple(slice(0, n) for n in labels.grid)
    if region is not None:
        inner = tuple(slice(a - o, b - o) for a, b, o in zip(region.start, region.stop, origin, strict=True))
        if any(not 0 <= s.start < s.stop <= n for s, n in zip(inner, labels.grid, strict=True)):
            raise SegError("The region lies outside what was predicted; predict it first.")
        if region.time is not None and has_time:
            frames = frames[region.time - first : region.time - first + 1]
    margin = 0 if task.pointwise else _margin(prediction)
    box = tuple(
        slice(max(s.start - margin, 0), min(s.stop + margin, n)) for s, n in zip(inner, labels.grid, strict=True)
    )
    cut = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(inner, box, strict=True))
    spacing = labels.spacing or (1.0,) * labels.ndim
    by_slices = prediction.model.network.ndim < labels.ndim
    keep: tuple[Any, ...] = (..., *cut)
    found: list[NDArray[Any]] = [
        _decode(task, frame[(slice(None), *box)], spacing, by_slices)[keep] for frame in frames
    ]
    if not has_time:
        return found[0]
    return np.stack(found) if task.pointwise else apart(found)


def apart(frames: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The objects of several time points, each numbered from 1, as one array in which no number occurs at two of them:
    what is said of a number is said of one object."""
    tops = [int(frame.max(initial=0)) for frame in frames]
    found: NDArray[Any] = np.stack(frames).astype(labels_dtype(sum(tops)))
    for frame, offset in zip(found[1:], itertools.accumulate(tops), strict=False):
        frame[frame > 0] += found.dtype.type(offset)
    return found


def _margin(prediction: Prediction) -> int:
    """What must be seen around a region, in pixels of the image: two of the large objects that the model learned."""
    seen, labels, most = prediction.model.input, prediction.labels, _MARGIN[prediction.labels.ndim]
    large = seen.statistics.get("diameter_high")
    if large is None:
        return most
    if seen.spacing and labels.spacing:
        large *= min(seen.spacing) / min(labels.spacing)
    elif seen.diameter and prediction.spec.diameter:
        large *= prediction.spec.diameter / seen.diameter
    return min(most, math.ceil(2 * large))


def _decode(task: AnyTask, scores: NDArray[Any], spacing: tuple[float, ...], by_slices: bool) -> NDArray[Any]:
    if task.pointwise:
        return task.decode(scores, spacing)
    *_, labels = objects(task, scores, spacing, by_slices=by_slices)
    return np.asarray(labels)
