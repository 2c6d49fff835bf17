"""Every figure comes from one table: how many voxels each object of the truth shares with each object found.

The general pattern is: 1. :func:`overlap` counts the table, 2. classes are compared label by label
(:data:`CLASS_METRICS`), objects after they were matched one to one (:data:`OBJECT_METRICS`). A metric is ``None``
where there is nothing to measure: neither the truth nor the other mask holds the class, or any object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_seg.errors import SegError

THRESHOLDS = tuple(percent / 100 for percent in range(50, 95, 5))
"""The IoU from which on an object counts as found: 0.50, 0.55, ..., 0.90."""

TITLES = {
    "dice": "Dice",
    "jaccard": "Jaccard",
    "hd95": "HD95",
    "assd": "ASSD",
    "ap_50": "AP 0.5",
    "mean_ap": "AP 0.5-0.9",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "pq": "PQ",
}
"""What a person reads, by the names of figures."""

_SLAB = 1 << 24
"""Voxels that are counted at a time, so that masks larger than memory can be compared."""


@dataclass(frozen=True)
class Counts:
    """Voxels of one class: in both masks, in the truth, in the other mask."""

    shared: int
    truth: int
    found: int


@dataclass(frozen=True, eq=False)
class Overlap:
    """The sparse table. Labels are sorted and without the background; sizes are in voxels.

    Pair ``k`` says that ``truth[truth_of[k]]`` and ``found[found_of[k]]`` share ``shared[k]`` voxels.
    """

    truth: NDArray[np.int64]
    found: NDArray[np.int64]
    truth_sizes: NDArray[np.int64]
    found_sizes: NDArray[np.int64]
    truth_of: NDArray[np.int64]
    found_of: NDArray[np.int64]
    shared: NDArray[np.int64]

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of every pair."""
        return self.shared / (self.truth_sizes[self.truth_of] + self.found_sizes[self.found_of] - self.shared)

    @cached_property
    def partners(self) -> NDArray[np.int64]:
        """For each object of the truth the place in ``found`` of its partner, -1 where it has none: a one-to-one
        matching of pairs with an IoU of at least 0.5.

        Above 0.5 an object has one partner at most, so there is nothing to choose. At exactly 0.5 two halves may
        compete for a whole: a matching with the most pairs is taken, and since all rivals have the same IoU every such
        matching gives the same figures.
        """
        close = self.iou >= THRESHOLDS[0]
        rows, columns = self.truth_of[close], self.found_of[close]
        graph = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=(len(self.truth), len(self.found)))
        return np.asarray(maximum_bipartite_matching(graph, "column"), np.int64)

    @cached_property
    def matched(self) -> NDArray[np.float64]:
        """The IoU of every pair of partners."""
        matched: NDArray[np.float64] = self.iou[self.partners[self.truth_of] == self.found_of]
        return matched

    def counts(self, label: int) -> Counts:
        """The voxels of the class ``label``."""
        pair = (self.truth[self.truth_of] == label) & (self.found[self.found_of] == label)
        return Counts(
            shared=int(self.shared[pair].sum()),
            truth=int(self.truth_sizes[self.truth == label].sum()),
            found=int(self.found_sizes[self.found == label].sum()),
        )


def overlap(truth: NDArray[Any], found: NDArray[Any]) -> Overlap:
    """Count the table of two masks of the same shape (any number of axes, 0 = background; numpy, zarr or dask).

    Labels may have gaps. Raises ``SegError`` for shapes that differ and for what :func:`whole_labels` refuses.
    """
    refuse_other_shape(truth, found)
    joint, lengths = _joint_counts(truth, found)
    of_truth, of_found = (joint >> np.uint64(32)).astype(np.int64), (joint & np.uint64(0xFFFFFFFF)).astype(np.int64)
    truth_labels, truth_sizes = _sizes(of_truth, lengths)
    found_labels, found_sizes = _sizes(of_found, lengths)
    both = (of_truth > 0) & (of_found > 0)
    return Overlap(
        truth=truth_labels,
        found=found_labels,
        truth_sizes=truth_sizes,
        found_sizes=found_sizes,
        truth_of=np.searchsorted(truth_labels, of_truth[both]),
        found_of=np.searchsorted(found_labels, of_found[both]),
        shared=lengths[both],
    )


def refuse_other_shape(truth: NDArray[Any], found: NDArray[Any]) -> None:
    """Raises ``SegError`` for masks of two shapes."""
    if tuple(truth.shape) != tuple(found.shape):
        shapes = f"{tuple(truth.shape)} and {tuple(found.shape)}"
        raise SegError(f"Masks of the shapes {shapes} cannot be compared; take masks of the same image.")


def whole_labels(labels: NDArray[Any], which: str = "mask") -> NDArray[np.uint64]:
    """Labels as unsigned integers; ``which`` mask it is, errors say. Floating-point labels pass if they are whole.

    Raises ``SegError`` for labels that are negative, not whole, or above 4294967295.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "buif":
        raise SegError(f"The {which} holds values of type {labels.dtype}, a mask cannot; save it with whole numbers.")
    if labels.size and labels.dtype.kind != "b":
        low, high = labels.min(), labels.max()
        if not (low >= 0 and high <= 0xFFFFFFFF):
            raise SegError(
                f"The labels of the {which} go from {low} to {high}, allowed are 0 to 4294967295; renumber it."
            )
    whole: NDArray[np.uint64] = labels.astype(np.uint64)
    if labels.dtype.kind == "f" and not np.array_equal(whole, labels):
        raise SegError(f"The {which} holds fractions, so it is not a mask of labels; choose a file with whole numbers.")
    return whole


def _joint_counts(truth: NDArray[Any], found: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Every pair of labels ``truth << 32 | found`` that occurs, and its number of voxels.

    Labels come in runs, so only the ends of runs are sorted: on real masks that is a few per cent of the voxels.
    """
    pairs, lengths = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    rows = max(1, _SLAB // max(1, int(np.prod(truth.shape[1:]))))
    for start in range(0, truth.shape[0] if truth.size else 0, rows):
        slab = slice(start, start + rows)
        left, right = whole_labels(truth[slab], "truth"), whole_labels(found[slab], "prediction")
        joint = (left << np.uint64(32) | right).ravel()
        ends = np.append(np.flatnonzero(joint[1:] != joint[:-1]), joint.size - 1)
        pairs.append(joint[ends])
        lengths.append(np.diff(ends, prepend=-1))
    joint, which = np.unique(np.concatenate(pairs), return_inverse=True)
    return joint, _sums(which, np.concatenate(lengths), len(joint))


def _sizes(labels: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The labels that occur, without the background, and the voxels of each."""
    unique, which = np.unique(labels, return_inverse=True)
    sizes = _sums(which, lengths, len(unique))
    return unique[unique > 0], sizes[unique > 0]


def _sums(which: NDArray[np.int64], lengths: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.bincount(which, weights=lengths, minlength=n).astype(np.int64)  # float64 is exact up to 2**53 voxels


def dice(counts: Counts) -> float | None:
    """Twice the shared voxels over the sum of both (Dice 1945); 0 where one of the two is empty."""
    total = counts.truth + counts.found
    return 2 * counts.shared / total if total else None


def jaccard(counts: Counts) -> float | None:
    """The shared voxels over the voxels of either (Jaccard 1912)."""
    union = counts.truth + counts.found - counts.shared
    return counts.shared / union if union else None


def average_precision(table: Overlap, iou: float) -> float | None:
    """``TP / (TP + FP + FN)`` at this IoU (Caicedo et al. 2019, the Data Science Bowl 2018)."""
    hits = _hits(table, iou)
    return _ratio(hits, len(table.truth) + len(table.found) - hits)


def precision(table: Overlap, iou: float) -> float | None:
    """The share of the objects found that are right; 0 where none was found and there are some."""
    return _ratio(_hits(table, iou), len(table.found) or len(table.truth))


def recall(table: Overlap, iou: float) -> float | None:
    """The share of the true objects that were found; 0 where there are none and some were found."""
    return _ratio(_hits(table, iou), len(table.truth) or len(table.found))


def f1(table: Overlap, iou: float) -> float | None:
    """The harmonic mean of precision and recall."""
    return _ratio(2 * _hits(table, iou), len(table.truth) + len(table.found))


def panoptic_quality(table: Overlap, iou: float) -> float | None:
    """F1 times the mean IoU of the matched objects (Kirillov et al. 2019)."""
    matched = float(table.matched[table.matched >= iou].sum())
    return _ratio(2 * matched, len(table.truth) + len(table.found))


def _hits(table: Overlap, iou: float) -> int:
    return int(np.count_nonzero(table.matched >= iou))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


CLASS_METRICS: dict[str, Callable[[Counts], float | None]] = {"dice": dice, "jaccard": jaccard}
"""What is measured of a class, by name."""

OBJECT_METRICS: dict[str, Callable[[Overlap, float], float | None]] = {
    "ap": average_precision,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "pq": panoptic_quality,
}
"""What is measured of objects at an IoU of at least 0.5, by name."""
