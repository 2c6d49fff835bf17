"""How wrong a prediction is, as its own scores say: an order in which to look at many masks, not a measure of quality.

On the 54 validation images of the nuclei its rank correlation with 1 - AP is 0.39, as high as that of the mean entropy
over the mask, and it can be said in words. Where all masks are about equally good, as on the hippocampus, it says
little (0.13 over 40 patients).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.inference.prediction import Prediction

_SLAB = 2**22
"""Voxels looked at at a time."""

_FEW = 1.0
"""Voxels added to what is divided by: an empty mask is not wrong by half."""


def expected_wrong(prediction: Prediction) -> float:
    """The share of a mask that is wrong or missing, if the scores are the chances that they look like: 0..1.

    Voxels in the mask count by the chance that they do not belong to it, those outside by the chance that they do,
    together divided by all that is in the mask or should be.
    """
    labels, scores = np.asarray(prediction.labels.data), prediction.scores
    ndim = prediction.labels.ndim
    frames = scores.reshape(-1, *scores.shape[-ndim - 1 :])
    masks = labels.reshape(len(frames), -1, *labels.shape[-ndim:])  # one plane each, or one for each class
    wrong = inside = missing = 0.0
    for mask, frame in zip(masks, frames, strict=True):
        exclusive = len(mask) == 1 and prediction.model.task.kind == "semantic"
        pairs = [(mask[0], frame)] if exclusive else [(plane, frame[k : k + 1]) for k, plane in enumerate(mask)]
        for plane, chances in pairs:
            step = max(1, _SLAB // max(1, int(np.prod(plane.shape[1:]))))
            for first in range(0, len(plane), step):
                part = _part(plane[first : first + step], np.asarray(chances[:, first : first + step], np.float32))
                wrong, inside, missing = wrong + part[0], inside + part[1], missing + part[2]
    return (wrong + missing) / (inside + missing + _FEW)


def _part(labels: NDArray[Any], chances: NDArray[np.float32]) -> tuple[float, float, float]:
    """Voxels that are wrongly in the mask, all in the mask, and those that are missing, as far as can be expected.

    ``chances``: of the background and each class, or of the only class.
    """
    inside = labels > 0
    if len(chances) == 1:
        right, absent = chances[0][inside], 1 - chances[0][~inside]
    else:
        right = np.take_along_axis(chances[:, inside], labels[inside].astype(np.intp)[None], 0)[0]
        absent = chances[0][~inside]
    count = float(right.size)
    return count - float(right.sum(dtype=np.float64)), count, absent.size - float(absent.sum(dtype=np.float64))
