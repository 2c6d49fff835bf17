"""From a model and an image to a mask.

1. :mod:`fit` says how the model sees the image or refuses; where the size of the objects is not known, :mod:`diameter`
   estimates it. Device, precision and tile are resolved and recorded in the spec of the result, which repeats it bit
   for bit.
2. For each time point, and each slice where a 2D model meets a volume, tiles go along the first axis; the scores of a
   row of tiles are final when the next begins, are brought back to the image's grid and put into the store as float16.
3. The task decodes the stored scores: at once where pixels are decided one by one, else when the image is complete,
   large ones block by block. Objects found in slices are linked.

When memory runs out, all begins again with tiles half as long, so that the recorded spec still tells the truth.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume, labels_dtype, the_volume
from napari_seg.errors import SegError
from napari_seg.inference import backend, decoding, diameter
from napari_seg.inference.fit import Fit, by_diameter, check, tile_for, time_points
from napari_seg.inference.prediction import DEFAULTS, Prediction, PredictSpec, Region
from napari_seg.inference.prepare import Limits, WayBack
from napari_seg.inference.store import scores_array
from napari_seg.inference.tiling import smaller, tile_grid
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.model import Model
from napari_seg.models.zoo import refuse_unloaded

DECODING = 0.1
"""The share of the progress that decoding objects gets."""


@job
def predict(
    model: Model,
    volume: Volume,
    spec: PredictSpec = DEFAULTS,
    *,
    region: Region | None = None,
) -> Steps[Prediction]:
    """Segment an image, or a region of it. Raises ``SegError`` for an image or settings that do not fit the model."""
    began = clock.monotonic()
    refuse_unloaded(model)
    volume = the_volume(volume)
    PredictSpec.refuse_other(spec)
    if region is not None and not isinstance(region, Region):
        raise SegError(
            f"The region is of the type {type(region).__name__}; give a Region of napari_seg.inference.predict, such "
            "as Region((0, 0), (64, 64))."
        )
    yield Progress(0, 1, "Looking at the image")
    fit = check(model.spec, volume, spec, region)
    decoding.task_with(model.spec.task, spec)
    device = backend.choose_device(spec.device, spec.precision)
    runner = backend.Runner(
        model.network,
        model.spec.task,
        device,
        ndim=model.spec.network.ndim,
        mirrors=model.spec.mirrors if spec.flips else (),
    )
    notes = (*fit.notes, *fit.warnings)
    found: float | None = spec.diameter
    scale = fit.scale
    if scale is None:
        measured = yield from diameter.estimate(fit, runner, model.network.multiple, time_points(volume, region)[0])
        found = model.spec.input.diameter if measured is None else measured
        scale = by_diameter(model.spec, volume, found)
        if measured is None:
            words = "Too few objects were found to measure them; the image was taken as it is."
        elif all(k == 1 for k in scale):
            words = "Objects are of sizes that the model learned."
        else:
            words = f"Objects are about {found:.0f} pixels wide; they were rescaled."
        notes = (*notes, words)
    spec = decoding.in_pixels(spec, model.spec.task, scale)
    tile = tile_for(fit, scale, spec)
    notes = (*notes, *_of_small(tile, fit, scale))
    run = _Run(fit, scale, spec, runner, tile, model.network.multiple, region)
    while True:
        try:
            labels, scores = yield from run.steps()
            break
        except (MemoryError, RuntimeError) as error:
            if not backend.out_of_memory(error):
                raise
            run = replace(run, tile=smaller(run.tile, run.multiple))
            notes = (*notes, f"Memory ran out; tiles of {' x '.join(map(str, run.tile))} pixels were used.")
    resolved = spec.model_copy(
        update={"device": device.name, "precision": device.precision, "tile": run.tile, "diameter": found}
    )
    return Prediction(
        _labels_volume(fit, labels, region), scores, model.spec, resolved, region, notes, clock.monotonic() - began
    )


def redecode(
    prediction: Prediction,
    *,
    threshold: float | None = None,
    seeds: float | None = None,
    smallest: float | None = None,
    region: Region | None = None,
) -> NDArray[Any]:
    """New labels from the stored scores: an array with the axes of ``prediction.labels``. The network is not run.

    Settings that are ``None`` are those of the prediction.

    ``region``, in voxels of the image, must lie inside that of the prediction; objects at its border are decoded with
    what lies beyond it and then cut.
    """
    given = {"threshold": threshold, "seeds": seeds, "smallest": smallest}
    settings = prediction.spec.model_copy(update={name: value for name, value in given.items() if value is not None})
    return decoding.decode_region(prediction, settings, region)


def placed(prediction: Prediction, volume: Volume) -> Volume:
    """The labels in the whole grid of the image they were predicted on, 0 outside the region."""
    if prediction.region is None:
        return prediction.labels
    region, labels = prediction.region, prediction.labels
    axes = labels.axes
    sizes = {"T": volume.size("T"), "C": labels.size("C"), **dict(zip(volume.spatial, volume.grid, strict=True))}
    spans = {axis: slice(a, b) for axis, a, b in zip(volume.spatial, region.start, region.stop, strict=True)}
    if region.time is not None:
        spans["T"] = slice(region.time, region.time + 1)
    whole = np.zeros([sizes[axis] for axis in axes], labels.dtype)
    whole[tuple(spans.get(axis, slice(None)) for axis in axes)] = labels.data
    return replace(volume.mask(whole, axes=axes), channels=labels.channels)


@dataclass(frozen=True, eq=False)
class _Run:
    """One attempt with one size of tiles."""

    fit: Fit
    scale: tuple[float, ...]
    spec: PredictSpec
    runner: backend.Runner
    tile: tuple[int, ...]
    multiple: tuple[int, ...]
    region: Region | None

    def steps(self) -> Steps[tuple[NDArray[Any], NDArray[Any]]]:
        fit, task = self.fit, decoding.task_with(self.fit.model.task, self.spec)
        times = time_points(fit.volume, self.region)
        start, stop = fit.box
        numbers: list[int | None] = list(range(start[0], stop[0])) if fit.by_slices else [None]
        grid = tuple(b - a for a, b in zip(start, stop, strict=True))
        scores = scores_array((len(times), task.channels, *grid))
        pointwise = _Pointwise(task, len(times), grid) if task.pointwise else None
        objects: list[NDArray[Any]] = []
        done, total = 0.0, 0.0
        for t, time in enumerate(times):
            limits = fit.limits(time)
            for k, number in enumerate(numbers):
                target = scores[t, :, k] if fit.by_slices else scores[t]
                for first, planes, batches in self._planes(time, number, limits):
                    if not total:
                        total = batches * len(numbers) * len(times) * (1 + DECODING)
                    done += 1
                    if planes is not None:
                        where = slice(first, first + planes.shape[1])
                        target[:, where] = planes
                        if pointwise is not None:
                            pointwise.put(target[:, where], t, k if fit.by_slices else None, where)
                    yield Progress(done, total, "Segmenting")
            if pointwise is None:
                spacing = fit.volume.spacing or (1.0,) * fit.volume.ndim
                for step in decoding.objects(task, scores[t], spacing, by_slices=fit.by_slices):
                    if isinstance(step, np.ndarray):
                        objects.append(step)
                    else:
                        yield Progress(
                            done + step * DECODING / (1 + DECODING) * total / len(times), total, "Separating objects"
                        )
                done += DECODING / (1 + DECODING) * total / len(times)
        has_time = "T" in fit.volume.axes
        labels = pointwise.labels if pointwise is not None else decoding.apart(objects)
        assert labels is not None
        return (labels, scores) if has_time else (labels[0], scores[0])

    def _planes(
        self, time: int, number: int | None, limits: Limits
    ) -> Iterator[tuple[int, NDArray[np.float32] | None, int]]:
        """After each batch the planes of the image that are final, with the first one's number in the region, and the
        batches in all.
        """
        ndim = len(self.tile)
        frame = self.fit.frame(time, number, limits, self.scale, self._margin())
        axes = tile_grid(frame.grid, self.tile, self.spec.overlap, self.multiple)
        batches = backend.count_batches(axes, self.runner.device.type)
        start, stop = (side[-ndim:] for side in self.fit.box)
        back = WayBack(frame, start, stop)
        for finished in backend.slide(frame.planes, axes, self.runner):
            arrived = None if finished is None else back(finished.scores)
            if arrived is None:
                yield 0, None, batches
            else:
                yield arrived[0] - start[0], arrived[1], batches

    def _margin(self) -> tuple[int, ...]:
        """How much of the image around a region the network sees: half an overlap, and a whole tile at the least."""
        lengths = self.fit.lengths(self.scale)
        return tuple(int(max(t * self.spec.overlap / 2, (t - n) / 2)) for t, n in zip(self.tile, lengths, strict=True))


class _Pointwise:
    """Labels of a task whose pixels are decided one by one, filled as scores come in."""

    def __init__(self, task: decoding.AnyTask, times: int, grid: tuple[int, ...]) -> None:
        self._task, self._times, self._grid = task, times, grid
        self.labels: NDArray[Any] | None = None

    def put(self, scores: NDArray[Any], t: int, k: int | None, where: slice) -> None:
        decoded = self._task.decode(scores, (1.0,) * (scores.ndim - 1))
        planes = decoded.shape[: decoded.ndim - (scores.ndim - 1)]
        if self.labels is None:
            self.labels = np.zeros((self._times, *planes, *self._grid), decoded.dtype)
        here = (slice(None),) * len(planes)
        self.labels[(t, *here, *(() if k is None else (k,)), where)] = decoded


def _of_small(tile: tuple[int, ...], fit: Fit, scale: tuple[float, ...]) -> tuple[str, ...]:
    """What a person should know of tiles in which the network sees less than it learned to look at."""
    patch = fit.model.input.patch
    if all(k >= min(n, length) for k, n, length in zip(tile, patch, fit.lengths(scale), strict=True)):
        return ()
    wanted = " x ".join(map(str, patch))
    return (f"The tiles are smaller than the {wanted} pixels that the model learned from, which can cost objects.",)


def _labels_volume(fit: Fit, labels: NDArray[Any], region: Region | None) -> Volume:
    volume, planes = fit.volume, fit.model.task.planes
    axes = volume.mask_axes(planes)
    labels = labels.astype(labels_dtype(int(labels.max(initial=0))), copy=False)
    if region is None:
        return replace(volume.mask(labels, axes=axes), channels=planes)
    affine = volume.affine
    if affine is not None:
        offset = np.array([0.0] * (3 - volume.ndim) + list(fit.box[0]) + [1.0])
        affine = affine.copy()
        affine[:, 3] = volume.affine @ offset
    place = volume.spacing, volume.unit, affine
    return Volume(labels, axes, *place, planes, volume.name, image=volume.path, interval=volume.interval)
