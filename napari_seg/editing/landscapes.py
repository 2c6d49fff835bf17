"""Where two parts of one object should meet: high there, low in the middles. A watershed looks for the crests."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation, wider
from napari_seg.editing.basins import Landscape, depth
from napari_seg.editing.numbers import finite, likely
from napari_seg.editing.reach import relative
from napari_seg.editing.selection import Region, spacing_of
from napari_seg.errors import SegError
from napari_seg.tasks.base import Scores

By = Literal["best", "scores", "image", "distance"]
"""What the landscape is made from; the best: the image where there is one, else the distance."""

_SEEN = 0.2
"""The band of image and scores (see :class:`~napari_seg.editing.basins.Landscape`): they have seen the border."""

_GUESSED = 0.1
"""The band of the distance: the narrowest place need not be the border. Both were chosen on the validation images of
nuclei2d (``benchmarks/correction.py``)."""

Height = NDArray[np.floating]

_MARGIN = 4
"""Voxels around the box of an object whose values count for the slopes in it."""


def landscape(annotation: Annotation, one: Region, by: By) -> Landscape:
    """The landscape in the box of a region. Raises ``SegError`` where there is nothing to make it from."""
    if by == "best":
        by = "distance" if annotation.image is None else "image"
    if by == "image":
        if annotation.image is None:
            raise SegError("There is no image to see where the parts meet; open it, or split by the distance.")
        return Landscape(_steepness(annotation, annotation.image, one), _SEEN)
    if by == "scores":
        if annotation.scores is None:
            raise SegError("There are no scores of a model here; predict first, or split by the distance.")
        return Landscape(_doubt(annotation, annotation.scores, one), _SEEN)
    return Landscape(-depth(one.mask, spacing_of(annotation)), _GUESSED)


def _steepness(annotation: Annotation, image: NDArray[Any], one: Region) -> Height:
    """How steep the image is: the gradient of a Gaussian as wide as the finest spacing."""
    from scipy.ndimage import gaussian_gradient_magnitude

    box = wider(one.box, _MARGIN, annotation.grid)
    spacing = np.array(spacing_of(annotation))
    values = finite(image[box])
    steep: Height = gaussian_gradient_magnitude(values, spacing.min() / spacing, mode="nearest")
    return steep[relative(one.box, box)]


def _doubt(annotation: Annotation, scores: Scores, one: Region) -> Height:
    """Where the scores say that two pieces meet.

    Directions towards the middle (one channel for the foreground, one for each axis, 0.5 for none; see
    :mod:`napari_seg.tasks.instance`) part there. Of other scores: where that of the label is low.
    """
    if annotation.objects and len(scores) == 1 + len(annotation.grid):
        box = wider(one.box, _MARGIN, annotation.grid)
        return _parting(likely(scores[(slice(1, None), *box)]), spacing_of(annotation))[relative(one.box, box)]
    values = likely(scores[(slice(None), *one.box)])
    channel = 0 if annotation.objects and len(scores) == 1 else min(one.label, len(scores) - 1)
    if annotation.objects and len(scores) > 1:
        return np.asarray(values[0])  # the background's
    return np.asarray(-values[channel])


def _parting(scores: Height, spacing: tuple[float, ...]) -> Height:
    """How much directions ``(axes, *grid)`` in 0..1 part: their divergence, a little smoothed."""
    from scipy.ndimage import gaussian_filter

    axes = [axis for axis in range(len(scores)) if scores.shape[1 + axis] > 1]
    parting = sum(
        (np.gradient(scores[axis], spacing[axis], axis=axis) for axis in axes), np.zeros(scores.shape[1:], np.float32)
    )
    smooth: Height = gaussian_filter(parting, 0.5)
    return smooth
