"""Figures of masks of which labels count in some places only: corrected objects, finished slices, blocks held out.

A unit is one image, or one part of it; it may consist of several pieces (slices of a volume that a 2D network sees one
by one), which are counted together. The figures are those of :mod:`~napari_seg.evaluation.metrics`, with one
difference: where neither mask holds anything, both are right, and that is a 1. A person who erased everything from an
image has corrected it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.evaluation.metrics import THRESHOLDS, Counts, dice, overlap

Ids = NDArray[np.integer[Any]]
Piece = tuple[Ids, Ids, NDArray[np.bool_] | None]
"""The truth, the mask found and where labels count (``None``: everywhere)."""

HALF = 0.5
"""An object is judged if at least this share of it lies where labels count."""


def objects_within(truth: Ids, found: Ids, mask: NDArray[np.bool_] | None) -> tuple[Ids, Ids]:
    """Both masks with only those objects that can be judged, cut down to where labels count.

    An object of which more than half lies where nothing is known is neither right nor wrong, and neither is what was
    found in the place of such an object of the truth. Single slices of a volume hold no object for the most part; then
    the parts in them are judged.
    """
    if mask is None:
        return truth, found
    kept = np.where(_mostly(truth, mask), truth, 0)
    if mask.ndim == 3 and not kept.any() and truth[mask].any():
        return np.where(mask, truth, 0), np.where(mask, found, 0)
    known = mask & ~((truth > 0) & (kept == 0))
    return np.where(known, kept, 0), np.where(_mostly(found, known), np.where(known, found, 0), 0)


def mean_ap(pieces: Sequence[Piece]) -> float:
    """The mean AP over IoU 0.5 to 0.9 of all objects of a unit."""
    return float(np.mean(_ap(pieces)))


def ap_at_half(pieces: Sequence[Piece]) -> float:
    """The AP at IoU 0.5 of all objects of a unit."""
    return float(_ap(pieces)[0])


def _ap(pieces: Sequence[Piece]) -> NDArray[np.float64]:
    return ap_of(sum((hits_of(piece) for piece in pieces), np.zeros(1 + len(THRESHOLDS))))


def hits_of(piece: Piece) -> NDArray[np.float64]:
    """How many objects both masks hold, and how many of them match at each of the IoUs. Of a unit they are summed."""
    truth, found, mask = piece
    table = overlap(*objects_within(truth, found, mask))
    hits = [np.count_nonzero(table.matched >= iou) for iou in THRESHOLDS]
    return np.array([len(table.truth) + len(table.found), *hits], float)


def ap_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The AP at each IoU, from the sum of what :func:`hits_of` counts; 1 where neither mask holds an object."""
    objects, hits = counts[0], counts[1:]
    return hits / (objects - hits) if objects else np.ones(len(hits))


def dice_of_classes(pieces: Sequence[Piece], classes: int, *, planes: bool = False) -> dict[int, float | None]:
    """The Dice of each class 1..``classes`` over a unit; ``None`` where neither mask holds it.

    With ``planes`` labels are ``(classes, *grid)``, for classes that overlap.
    """
    figures = {}
    for k in range(1, classes + 1):
        shared = true = there = 0
        for truth, found, mask in pieces:
            a, b = (_of_class(ids, k, planes) for ids in (truth, found))
            if mask is not None:
                a, b = a & mask, b & mask
            shared += int(np.count_nonzero(a & b))
            true += int(np.count_nonzero(a))
            there += int(np.count_nonzero(b))
        figures[k] = dice(Counts(shared, true, there))
    return figures


def _of_class(ids: Ids, k: int, planes: bool) -> NDArray[np.bool_]:
    """Where a class is; a mask of a model that does not know it yet has no plane for it."""
    if not planes:
        return np.asarray(ids == k)
    return np.asarray(ids[k - 1] > 0) if k <= len(ids) else np.zeros(ids.shape[1:], bool)


def _mostly(ids: Ids, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a pixel's object lies where the mask is, for the most part."""
    _, compact = np.unique(ids, return_inverse=True)
    compact = compact.reshape(ids.shape)
    sizes = np.bincount(compact.ravel())
    inside = np.bincount(compact[mask], minlength=len(sizes))
    return np.asarray((inside >= HALF * sizes)[compact])
