"""What the scores of the model and the image say about a box: how likely a label is, and where one thing ends.

Scores of objects: channel 0 is the foreground; then come the directions to the middle of the object, one channel an
axis, where 0.5 is none (:mod:`napari_seg.tasks.instance`). Scores of classes: channel ``k`` is class ``k``, channel 0
the background; a single channel is that of the only class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation, Box
from napari_seg.editing.numbers import finite, likely
from napari_seg.editing.reach import Mask
from napari_seg.editing.selection import spacing_of
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels, Scores
from napari_seg.tasks.instance import Instance

Field = NDArray[np.float32]


def confidence(annotation: Annotation, label: int, box: Box) -> Field:
    """How likely each voxel of a box is ``label``, 0..1; of objects: any object; of 0: background.

    Raises ``SegError`` without scores and for a class that the model does not know.
    """
    scores = scores_of(annotation)
    alone = annotation.objects or len(scores) == 1
    if not alone and label >= len(scores):
        most = len(scores) - 1
        raise SegError(f"The model knows the classes up to {most}, not {label}; choose one of them or use the brush.")
    found = likely(scores[0 if alone else label][box])
    return 1 - found if alone and not label else found


def scores_of(annotation: Annotation) -> Scores:
    """The scores. Raises ``SegError`` where there are none."""
    if annotation.scores is None:
        raise SegError("There are no scores of a model to repair from; segment the image first, or use the brush.")
    return annotation.scores


def borders(annotation: Annotation, box: Box) -> Field:
    """High where one thing ends and the next begins: steep scores, directions that part, a steep image.

    Each is scaled to 1 in the box. Raises ``SegError`` where there are neither scores nor an image.
    """
    found = np.zeros([side.stop - side.start for side in box], np.float32)
    if annotation.scores is not None:
        scores = likely(annotation.scores[(slice(None), *box)])
        found += _scaled(
            sum((steepness(s, annotation) for s in (scores[:1] if annotation.objects else scores)), found * 0)
        )
        if annotation.objects and len(scores) > 1:
            found += _scaled(_parting(scores[1:], annotation))
    if annotation.image is not None:
        found += _scaled(steepness(finite(annotation.image[box]), annotation))
    elif annotation.scores is None:
        raise SegError("There is neither an image nor a prediction to find the border in; open one, or use the brush.")
    return found


def steepness(values: Field, annotation: Annotation) -> Field:
    """The length of the physical gradient of values that are smoothed by one voxel of the finest axis."""
    from scipy.ndimage import gaussian_filter

    calm = gaussian_filter(values, [min(spacing_of(annotation)) / s for s in spacing_of(annotation)])
    return np.sqrt(sum((_slope(calm, axis, annotation) ** 2 for axis in range(values.ndim)), np.zeros_like(values)))


def separated(annotation: Annotation, box: Box, region: Mask) -> Labels | None:
    """A region of a box divided into objects by the directions of the model; ``None`` where it gives none."""
    scores, ndim = scores_of(annotation), len(annotation.grid)
    if not annotation.objects or len(scores) != 1 + ndim:
        return None
    near = likely(scores[(slice(None), *box)])
    near[0] = region
    return Instance(ndim=3 if ndim == 3 else 2).decode(near, spacing_of(annotation))


def _parting(directions: Field, annotation: Annotation) -> Field:
    """How much directions part: away from a border on both sides of it. They run along the last axes of the grid."""
    from scipy.ndimage import gaussian_filter

    first = len(annotation.grid) - len(directions)
    widths = [0.7 * min(spacing_of(annotation)) / s for s in spacing_of(annotation)]
    parts = (_slope(gaussian_filter(d, widths), first + k, annotation) for k, d in enumerate(directions))
    return np.maximum(sum(parts, np.zeros_like(directions[0])), 0)


def _slope(values: Field, axis: int, annotation: Annotation) -> Field:
    if values.shape[axis] == 1:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, spacing_of(annotation)[axis], axis=axis), np.float32)


def _scaled(values: Field) -> Field:
    top = float(np.percentile(values, 99)) or float(values.max(initial=0))
    return values / np.float32(top) if top else values
