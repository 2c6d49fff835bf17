"""How far the surfaces of two masks lie from each other.

The surface of a mask is made of its voxels that have a neighbour across a face that is not in it, or none there. From
each of them to the nearest one of the other mask is a distance. The figures over all of them are those of Metrics
Reloaded (Maier-Hein et al. 2024): :func:`hausdorff_95` and :func:`average_surface_distance`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from napari_seg.editing.annotation import tight

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Distances:
    """From each surface voxel of the truth to the other mask, and from each of the other mask to the truth."""

    of_truth: NDArray[np.float64]
    of_found: NDArray[np.float64]


def distances(truth: Mask, found: Mask, step: NDArray[np.float64]) -> Distances | None:
    """Between the surfaces of two masks of one shape, in the unit of ``step``; ``None`` where either is empty.

    ``step`` ``(ndim, ndim)``: column ``k`` leads from a voxel to the next one along axis ``k``. Axes along which there
    is one voxel only have no surface.
    """
    box = tight(truth | found)
    if box is None:
        return None
    wide = tuple(axis for axis, n in enumerate(truth.shape) if n > 1)
    sides = [_surface(mask[box], wide) @ step.T for mask in (truth, found)]
    if not all(map(len, sides)):
        return None
    trees = [cKDTree(side, balanced_tree=False, compact_nodes=False) for side in sides]
    return Distances(trees[1].query(sides[0])[0], trees[0].query(sides[1])[0])


def hausdorff_95(found: Distances) -> float:
    """The larger of the 95th percentiles of both directions (Huttenlocher et al. 1993 take the largest distance)."""
    return float(max(np.percentile(side, 95) for side in (found.of_truth, found.of_found)))


def average_surface_distance(found: Distances) -> float:
    """The mean over the surface voxels of both masks."""
    return float(np.concatenate([found.of_truth, found.of_found]).mean())


SURFACE_METRICS: dict[str, Callable[[Distances], float]] = {"hd95": hausdorff_95, "assd": average_surface_distance}
"""What is measured of the surfaces of a class, by name."""


def _surface(mask: Mask, wide: tuple[int, ...]) -> NDArray[Any]:
    """The places of the voxels on the surface ``(n, ndim)``; of a point, itself."""
    faces = np.zeros((3,) * mask.ndim, bool)
    middle = (1,) * mask.ndim
    faces[middle] = True
    for axis in wide:
        faces[tuple(slice(None) if k == axis else 1 for k in range(mask.ndim))] = True
    inner = binary_erosion(mask, faces) if wide else np.zeros_like(mask)
    return np.argwhere(mask & ~inner).astype(np.float64)
