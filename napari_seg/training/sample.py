"""A case on the network's grid, as training and validation see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.resample import resampled
from napari_seg.models.spec import ModelSpec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Sample:
    """One image on the network's grid.

    ``image``: ``(channels, *grid)`` float32, normalised. ``labels``: ``(*grid)``, or for overlapping classes
    ``(classes, *grid)``. ``mask``, ``(*grid)``: where labels count; ``None`` for everywhere. ``group``: the patient or
    examination, which no split divides.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.integer[Any]]
    mask: NDArray[np.bool_] | None = None
    name: str = ""
    group: str = ""

    @property
    def grid(self) -> tuple[int, ...]:
        return self.image.shape[1:]


def samples(
    image: Volume,
    labels: Volume,
    model: ModelSpec,
    *,
    mask: NDArray[np.bool_] | None = None,
    name: str = "",
    group: str = "",
) -> Iterator[Sample]:
    """Bring a case to the network's grid; time points, and for a 2D network slices, become samples of their own.

    ``mask``: where labels count, with the axes of the labels without C. Raises ``SegError`` for an image or labels that
    are not of the kind that the model learns.
    """
    check_labels(labels, model.task, name)
    for values, ids, counts in frames(image, labels, model.network.ndim, mask):
        if len(values) != model.network.in_channels:
            raise SegError(
                f"{name}: the image has {len(values)} channels, the model takes {model.network.in_channels}; train on "
                "images of one kind."
            )
        limits = model.input.normalisation.fit(values)
        if not np.isfinite(limits).all():
            raise SegError(f"{name}: the image holds values that are not numbers; replace them first.")
        spacing = image.spacing[-model.network.ndim :] if image.spacing else None
        shape = grid_at(values.shape[1:], spacing, model.input.spacing)
        resized = resampled(model.input.normalisation.apply(values, limits), shape)
        yield Sample(resized, _nearest(ids, shape), None if counts is None else _nearest(counts, shape), name, group)


def check_labels(labels: Volume, task: Semantic | Instance, name: str) -> None:
    """Raises ``SegError`` for labels that do not fit the task."""
    planes, named = labels.size("C") if "C" in labels.axes else 0, labels.channels
    if task.kind == "instance":
        if planes:
            raise SegError(
                f"{name}: the labels have {planes} planes, but objects lie in one; save one plane or train the task "
                "semantic."
            )
        return
    count = len(task.classes)
    if planes != (count if task.overlapping else 0):
        has = f"{planes} planes" if planes else "one number for each pixel"
        learned = (
            f"{count} classes that may overlap, one plane each" if task.overlapping else "one class for each pixel"
        )
        raise SegError(f"{name}: the labels have {has}, but the model learns {learned}; save all labels alike.")
    if planes and named != task.classes and {*named} & {*task.classes}:
        raise SegError(
            f"{name}: the planes of the labels are named {', '.join(named)}, but the model learns "
            f"{', '.join(task.classes)}; save all with the same names in the same order."
        )
    if not planes and np.asarray(labels.data).max() > count:
        raise SegError(
            f"{name}: the labels go up to {np.asarray(labels.data).max()}, but the model learns {count} classes; name "
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
    return tuple(max(1, round(n * s / w)) for n, s, w in zip(grid, spacing, wanted, strict=True))


def _nearest(labels: NDArray[Kind], shape: tuple[int, ...]) -> NDArray[Kind]:
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(labels.shape[-len(shape) :], shape, strict=True)
    ]
    return labels[(..., *np.ix_(*places))]
