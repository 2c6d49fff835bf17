"""A case on the network's grid, as training and validation see it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.inference.channels import Channels, choose_channels
from napari_seg.inference.diameter import middle_diameter
from napari_seg.inference.fit import by_diameter, diameters, physical_scale, refuse_inflated
from napari_seg.inference.prepare import measure
from napari_seg.inference.resample import resampled, whole
from napari_seg.models.spec import ModelSpec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic
from napari_seg.wording import count_of

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Sample:
    """One image on the network's grid.

    ``image``: ``(channels, *grid)`` float32, normalised. ``labels``: ``(*grid)``, or for overlapping classes
    ``(classes, *grid)``. ``mask``, ``(*grid)``: where labels count; ``None`` for everywhere. ``group``: the patient or
    examination, which no split divides; ``patient``: where several groups are of one, its mark. ``shows``: the key of
    the :mod:`content <napari_seg.data.content>` of the image, where it was looked at.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]
    mask: NDArray[np.bool_] | None = None
    name: str = ""
    group: str = ""
    patient: str = ""
    shows: str = ""

    @property
    def grid(self) -> tuple[int, ...]:
        return self.image.shape[1:]

    @property
    def unit(self) -> tuple[str, str]:
        """What is counted as one: the slices of one image. Names alone are not unique, as of ``ct.nii.gz`` in each of
        many folders."""
        return self.group or self.name, self.name

    @property
    def whole(self) -> str:
        """What no split divides: the patient where that is known, else the group."""
        return f"patient {self.patient}" if self.patient else self.unit[0]

    @property
    def judge(self) -> object:
        """What counts as one where a model is judged: the patient where that is known, else the unit."""
        return self.whole if self.patient else self.unit

    @property
    def counts(self) -> NDArray[np.bool_]:
        """Where labels count, ``(*grid)``."""
        return np.ones(self.grid, bool) if self.mask is None else self.mask

    def inside(self, number: int = 0) -> NDArray[np.bool_]:
        """Where a class is, or with 0 anything, ``(*grid)``."""
        if self.labels.ndim == self.image.ndim:  # a plane for each class
            return np.asarray(self.labels[number - 1] > 0 if number else (self.labels > 0).any(0))
        return np.asarray(self.labels == number if number else self.labels > 0)

    def holds(self, number: int = 0) -> bool:
        """Whether a class, or with 0 anything, is where labels count."""
        return bool((self.counts & self.inside(number)).any())


def samples(
    image: Volume,
    labels: Volume,
    model: ModelSpec,
    *,
    mask: NDArray[np.bool_] | None = None,
    name: str = "",
    group: str = "",
    patient: str = "",
    channel: str | None = None,
) -> Iterator[Sample]:
    """Bring a case to the network's grid, as a prediction would: the same channels, intensities and scale.

    Time points, and for a 2D network slices, become samples of their own. ``mask``: where labels count, with the axes
    of the labels without C; where it is nowhere there is no sample. ``channel``: of an image with several, as in
    :class:`~napari_seg.inference.prediction.PredictSpec`. Raises ``SegError`` for an image or labels that are not of
    the kind that the model learns.
    """
    check_labels(labels, model.task, name)
    ndim = model.network.ndim
    if ndim > image.ndim:
        raise SegError(f"{image.name or name} is a 2D image; train a 2D network on it, or start from a 2D model.")
    channels = _channels(image, model, channel, name)
    refuse_inflated(model, image, image.name or name)
    ids = np.asarray(labels.data) if "T" in image.axes else np.asarray(labels.data)[None]
    counts = [None] * len(ids) if mask is None else list(mask.reshape(len(ids), *image.grid))
    shape = _shape(image, model, ids, counts)
    box = (0,) * image.ndim, image.grid
    for time, (numbers, known) in enumerate(zip(ids, counts, strict=True)):
        if known is not None and not known.any():
            continue
        limits = measure(channels, time, box, model.input.normalisation)
        values = model.input.normalisation.apply(channels.box(time, *box), limits)
        if not np.isfinite(values.sum(dtype=np.float64)):
            raise SegError(f"{name}: the image holds values that are not numbers; replace them first.")
        for here in _looks(image.grid, ndim):
            part = None if known is None else known[here]
            if part is None or part.any():
                seen, part = (nearest(numbers[here], shape), None) if part is None else told(numbers[here], part, shape)
                yield Sample(resampled(values[here], shape), seen, part, name, group, patient)


def _looks(grid: tuple[int, ...], ndim: int) -> list[Any]:
    """What of an image a network sees at a time: all of it, or each slice."""
    return [...] if ndim == len(grid) else [(..., z, slice(None), slice(None)) for z in range(grid[0])]


def _channels(image: Volume, model: ModelSpec, channel: str | None, name: str) -> Channels:
    try:
        return choose_channels(image, model.network.in_channels, channel, model.input.channels)
    except ChoiceNeeded:
        raise
    except SegError as error:
        words = str(error)
        raise SegError(f"{name}: {words[0].lower()}{words[1:]}" if name else words) from None


def _shape(
    image: Volume, model: ModelSpec, ids: NDArray[np.integer[Any]], counts: Sequence[NDArray[np.bool_] | None]
) -> tuple[int, ...]:
    """The grid on which the model sees an image: by its spacing, else by the median diameter of the objects in it, if
    that is not among those which the model knows."""
    scale = physical_scale(model, image) or (1.0,) * model.network.ndim
    if model.input.diameter and not model.task.pointwise and physical_scale(model, image) is None:
        low, high = (model.input.statistics.get(f"diameter_{end}", model.input.diameter) for end in ("low", "high"))
        sizes = np.concatenate([_sizes(*frame, model.network.ndim) for frame in zip(ids, counts, strict=True)])
        diameter = middle_diameter(sizes, model.network.ndim)  # with few objects an image is taken as it is
        if diameter is not None and not low <= diameter <= high:
            scale = by_diameter(model, image, float(np.clip(diameter, *diameters(model))))
    return tuple(whole(n * k) for n, k in zip(image.grid[-len(scale) :], scale, strict=True))


def _sizes(ids: NDArray[np.integer[Any]], counts: NDArray[np.bool_] | None, ndim: int) -> NDArray[np.float64]:
    """The pixels of every object that counts somewhere, slice by slice for a 2D network."""
    found = []
    for here in _looks(ids.shape, ndim):
        labels, known = ids[here], None if counts is None else counts[here]
        numbers, sizes = np.unique(labels, return_counts=True)
        there = numbers > 0 if known is None else np.isin(numbers, labels[known]) & (numbers > 0)
        found.append(sizes[there].astype(float))
    return np.concatenate(found)


def around_mask(sample: Sample, margin: tuple[int, ...]) -> Sample:
    """A sample cut down to where its labels count, and ``margin`` pixels of the network's grid around that."""
    if sample.mask is None or not sample.mask.any():
        return sample
    box: list[slice] = []
    for axis, more in enumerate(margin):
        there = np.flatnonzero(sample.mask.any(tuple(k for k in range(sample.mask.ndim) if k != axis)))
        box.append(slice(max(0, int(there[0]) - more), int(there[-1]) + 1 + more))
    cut: Any = (..., *box)
    return replace(sample, image=sample.image[cut], labels=sample.labels[cut], mask=sample.mask[cut])


def check_labels(labels: Volume, task: Semantic | Instance, name: str) -> None:
    """Raises ``SegError`` for labels that do not fit the task."""
    planes, named = labels.size("C") if "C" in labels.axes else 0, tuple(name.strip() for name in labels.channels)
    has = count_of(planes, "plane") if planes else "one number for each pixel"
    if task.kind == "instance":
        if planes:
            raise SegError(
                f"{name}: the labels have {has}, but objects lie in one; save one plane or train the task semantic."
            )
        return
    count = len(task.classes)
    classes = count_of(count, "class")
    if planes != (count if task.overlapping else 0):
        learned = f"{classes} that may overlap, one plane each" if task.overlapping else "one class for each pixel"
        raise SegError(f"{name}: the labels have {has}, but the model learns {learned}; save all labels alike.")
    if planes and named != task.classes and {*named} & {*task.classes}:
        raise SegError(
            f"{name}: the planes of the labels are named {', '.join(named)}, but the model learns "
            f"{', '.join(task.classes)}; save all with the same names in the same order."
        )
    if not planes and np.asarray(labels.data).max() > count:
        raise SegError(
            f"{name}: the labels go up to {np.asarray(labels.data).max()}, but the model learns {classes}; name "
            "all classes or correct the labels."
        )


def frames(
    image: Volume, labels: Volume, ndim: int, mask: NDArray[np.bool_] | None = None
) -> Iterator[tuple[NDArray[Any], NDArray[np.integer[Any]], NDArray[np.bool_] | None]]:
    """Time points, and slices for a 2D network, as ``(channels, *grid)``, ``(*grid)`` or ``(planes, *grid)``, and where
    labels count, ``(*grid)``."""
    if ndim > image.ndim:
        raise SegError(f"{image.name} is a 2D image; train a 2D network on it, or start from a 2D model.")
    values, ids = np.asarray(image.data), np.asarray(labels.data)
    if "S" in image.axes:
        values = np.moveaxis(values, -1, values.ndim - 1 - image.ndim)
    elif "C" not in image.axes:
        values = np.expand_dims(values, values.ndim - image.ndim)
    if "T" not in image.axes:
        values, ids, mask = values[None], ids[None], None if mask is None else mask[None]
    for t in range(len(values)):
        counts = None if mask is None else mask[t]
        if ndim == image.ndim:
            yield values[t], ids[t], counts
        else:
            for z in range(image.grid[0]):
                yield values[t][:, z], ids[t][..., z, :, :], None if counts is None else counts[z]


def grid_at(
    grid: tuple[int, ...], spacing: tuple[float, ...] | None, wanted: tuple[float, ...] | None
) -> tuple[int, ...]:
    if spacing is None or wanted is None:
        return grid
    return tuple(whole(n * s / w) for n, s, w in zip(grid, spacing, wanted, strict=True))


def told(
    labels: NDArray[Kind], mask: NDArray[np.bool_], shape: tuple[int, ...]
) -> tuple[NDArray[Kind], NDArray[np.bool_]]:
    """Labels ``(..., *grid)``, and where they count, on another grid. A voxel counts where any does that lies in it and
    has the label of the one of those nearest its middle: a single slice that is finished is not lost."""
    for axis, new in enumerate(shape, -len(shape)):
        old = mask.shape[axis]
        own = np.arange(new)
        cells = ((np.arange(old) + 0.5) * new / old).astype(int)
        middles = np.minimum(((own + 0.5) * old / new).astype(int), old - 1)
        found, known = labels.take(middles, axis), mask.take(middles, axis)
        for away in range(1, math.ceil(old / new / 2) + 1):
            for at in (np.clip(middles + side * away, 0, old - 1) for side in (-1, 1)):
                here = np.moveaxis(np.moveaxis(mask.take(at, axis) & ~known, axis, -1) & (cells[at] == own), -1, axis)
                found, known = np.where(here, labels.take(at, axis), found), known | here
        labels, mask = found, known
    return labels, mask


def nearest(labels: NDArray[Kind], shape: tuple[int, ...]) -> NDArray[Kind]:
    """Labels ``(..., *grid)`` on another grid: each voxel is the one whose middle lies nearest."""
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(labels.shape[-len(shape) :], shape, strict=True)
    ]
    return labels[(..., *np.ix_(*places))]
