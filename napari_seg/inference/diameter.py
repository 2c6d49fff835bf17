"""How wide are the objects of an image without spacing? The model looks at a sample and they are measured."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_seg.inference.backend import Runner, out_of_memory, slide
from napari_seg.inference.fit import Fit, by_diameter, diameters
from napari_seg.inference.prepare import Frame, model_box
from napari_seg.inference.tiling import smaller, tile_grid
from napari_seg.jobs import Progress, Steps

SAMPLE = {2: (512, 512), 3: (64, 128, 128)}
"""The sample from the middle of the box, in pixels of the model's grid."""

FEWEST = 5
"""With fewer objects the image is taken as it is."""

NEAR = 1.5
"""Up to so many times the smallest learned size the image is enlarged and looked at again: of objects that are smaller
than what the model learned only the largest are found at first."""

KNOWN = 1.25
"""Where the model does not say which sizes it learned, objects that differ by less than this factor count as known."""


def estimate(fit: Fit, runner: Runner, multiple: tuple[int, ...], time: int) -> Steps[float | None]:
    """The diameter of the objects in pixels of the image, after two looks at most at a sample of a time point.

    It is the median over the objects of the diameter of a disk, or a ball, of the same size; that of the model, so that
    nothing is rescaled, where it lies among the sizes the model learned; ``None`` where there are too few to tell.
    """
    wanted, statistics = fit.model.input.diameter, fit.model.input.statistics
    low, high = statistics.get("diameter_low", wanted / KNOWN), statistics.get("diameter_high", wanted * KNOWN)
    found = wanted
    for _ in range(2):
        yield Progress(0, 1, "Measuring the objects")
        seen = _look(fit, runner, multiple, time, by_diameter(fit.model, fit.volume, found))
        if seen is None:
            return None
        if NEAR * low <= seen <= high and found == wanted:
            return wanted
        found = float(np.clip(seen, *diameters(fit.model)))
    return wanted if low <= found <= high else found


def _look(fit: Fit, runner: Runner, multiple: tuple[int, ...], time: int, scale: tuple[float, ...]) -> float | None:
    """The median diameter, in pixels of the image, in the sample at one scale."""
    ndim = len(scale)
    start, stop = (list(side) for side in fit.box)
    number = (start[0] + stop[0]) // 2 if fit.by_slices else None
    start, stop = start[-ndim:], stop[-ndim:]
    for axis, (length, k) in enumerate(zip(SAMPLE[ndim], scale, strict=True)):
        size = max(1, round(length / k))
        start[axis] = max(start[axis], (start[axis] + stop[axis] - size) // 2)
        stop[axis] = min(stop[axis], start[axis] + size)
    axes = fit.axes(scale)
    box = model_box(axes, tuple(start), tuple(stop), (0,) * ndim)
    frame = Frame(fit.channels, time, number, axes, *box, fit.model.input.normalisation, fit.limits(time))
    scores = _scores(frame, runner, multiple)
    labels = fit.model.task.decode(scores, (1.0,) * ndim)
    return _median_diameter(labels, scale)


def _scores(frame: Frame, runner: Runner, multiple: tuple[int, ...]) -> NDArray[np.float32]:
    """The scores of the sample, in one tile, or in smaller ones where memory runs out."""
    tile = SAMPLE[len(multiple)]
    while True:
        try:
            tiles = tile_grid(frame.grid, tile, 0.25, multiple)
            finished = [part.scores for part in slide(frame.planes, tiles, runner) if part is not None]
            return np.concatenate(finished, axis=1)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            tile = smaller(tile, multiple)


def _median_diameter(labels: NDArray[np.integer], scale: tuple[float, ...]) -> float | None:
    sizes = np.bincount(labels.ravel())[1:].astype(float)
    return middle_diameter(sizes[sizes > 0] / np.prod(scale), len(scale))


def middle_diameter(sizes: NDArray[np.float64], ndim: int) -> float | None:
    """The diameter of a disk, or a ball, of the median of sizes in pixels; ``None`` where there are too few to tell."""
    if len(sizes) < FEWEST:
        return None
    middle = float(np.median(sizes))
    return cast(float, 2 * (middle / np.pi) ** 0.5 if ndim == 2 else (6 * middle / np.pi) ** (1 / 3))
