"""A case on the network's grid, as training and validation see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.resample import resampled
from napari_seg.models.spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Sample:
    """One image on the network's grid.

    ``image``: ``(channels, *grid)`` float32, normalised. ``labels``: ``(*grid)``. ``mask``: where labels count;
    ``None`` for everywhere. ``group``: the patient or examination, which no split divides.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.int64]
    mask: NDArray[np.bool_] | None = None
    name: str = ""
    group: str = ""


def samples(image: Volume, labels: Volume, model: ModelSpec, *, name: str = "", group: str = "") -> Iterator[Sample]:
    """Bring a case to the network's grid; time points, and for a 2D network slices, become samples of their own."""
    for values, ids in frames(image, labels, model.network.ndim):
        limits = model.input.normalisation.fit(values)
        if not np.isfinite(limits).all():
            raise SegError(f"{name}: the image holds values that are not numbers; replace them first.")
        spacing = image.spacing[-model.network.ndim :] if image.spacing else None
        shape = grid_at(values.shape[1:], spacing, model.input.spacing)
        resized = resampled(model.input.normalisation.apply(values, limits), shape)
        yield Sample(resized, _nearest(ids, shape), None, name, group)


def frames(image: Volume, labels: Volume, ndim: int) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Time points, and slices for a 2D network, as ``(channels, *grid)`` and ``(*grid)``."""
    values, ids = np.asarray(image.data), np.asarray(labels.data)
    if "S" in image.axes:
        values = np.moveaxis(values, -1, values.ndim - 1 - image.ndim)
    elif "C" not in image.axes:
        values = np.expand_dims(values, values.ndim - image.ndim)
    if "T" not in image.axes:
        values, ids = values[None], ids[None]
    for t in range(len(values)):
        if ndim == image.ndim:
            yield values[t], ids[t]
        else:
            yield from ((values[t][:, z], ids[t][z]) for z in range(image.grid[0]))


def grid_at(
    grid: tuple[int, ...], spacing: tuple[float, ...] | None, wanted: tuple[float, ...] | None
) -> tuple[int, ...]:
    if spacing is None or wanted is None:
        return grid
    return tuple(max(1, round(n * s / w)) for n, s, w in zip(grid, spacing, wanted, strict=True))


def _nearest(labels: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(labels.shape, shape, strict=True)
    ]
    return labels[np.ix_(*places)]
