"""A mask divided among seeds: one piece for each.

The general pattern is: 1. each seed moves to the deepest place near it, since nobody clicks the middle exactly; 2. a
voxel belongs to the seed that it is nearest to, where the distance counts from a ball around the seed that grows with
its depth, so that a large object is not cut to make room for a small one (a power diagram; Aurenhammer, SIAM J. Comput.
1987); 3. that is sure but for a band in the middle between two seeds: there a watershed on a landscape finds the way,
from the image, from the scores, or from the depth. All distances are physical.
"""

from __future__ import annotations

from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.knife import to_nearest
from napari_seg.editing.pieces import Pieces
from napari_seg.editing.reach import Mask
from napari_seg.editing.selection import components

SEARCH = 0.75
"""A seed moves no farther than this share of the depth where it was set."""

BALL = 0.5
"""The radius of the ball around a seed, as a share of its depth."""


@dataclass(frozen=True, eq=False)
class Landscape:
    """``height``: high where two pieces should meet. ``band``: how far from the middle of the way between two seeds it
    is trusted, as a share of that way."""

    height: NDArray[np.floating]
    band: float


@dataclass(frozen=True, eq=False)
class Centre:
    """Where the piece of a seed is thought to have its middle, how deep that lies, and the radius of the ball around
    it; all physical."""

    place: NDArray[np.float64]
    depth: float
    radius: float


def depth(mask: Mask, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    """How far each voxel of a mask lies from what is not the mask. The edges of the box do not count as such: where an
    object ends at the border of the image, nobody knows how far it goes on."""
    most = float(np.hypot.reduce([n * s for n, s in zip(mask.shape, spacing, strict=True)]))
    return np.asarray(np.minimum(edt.edt(mask, anisotropy=spacing, black_border=False), most), np.float32)


def basins(mask: Mask, seeds: list[tuple[int, ...]], landscape: Landscape, spacing: tuple[float, ...]) -> Pieces:
    """Piece ``k`` holds the seed ``k`` (from 1) and hangs together, where the mask does.

    ``seeds``: different voxels of the mask. ``landscape`` has its shape.
    """
    from skimage.segmentation import watershed

    places = np.argwhere(mask) * np.array(spacing)
    deep = depth(mask, spacing)
    centres = _centres(mask, seeds, deep, spacing)
    nearest, lead = _diagram(places, centres)
    sure = np.zeros(mask.shape, np.int32)
    middles = np.array([centre.place for centre in centres])
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1) + np.diag(np.full(len(seeds), np.inf))
    band = 2 * landscape.band * float(apart.min())  # a step off the middle is twice that in lead
    sure[mask] = np.where(lead > band, nearest, 0)
    sure = _held(sure, seeds)
    found = watershed(landscape.height, sure, mask=mask, connectivity=mask.ndim)
    return to_nearest(found, mask, spacing)


def _centres(
    mask: Mask, seeds: list[tuple[int, ...]], deep: NDArray[np.float32], spacing: tuple[float, ...]
) -> list[Centre]:
    """The middles of the pieces; the seeds themselves where one seed would lie in the piece of another."""
    centres = []
    for seed in seeds:
        reach = SEARCH * float(deep[seed])
        sides = zip(seed, spacing, mask.shape, strict=True)
        box = tuple(slice(max(0, i - int(reach / s)), min(n, i + int(reach / s) + 1)) for i, s, n in sides)
        offsets = np.meshgrid(
            *((np.arange(b.start, b.stop) - i) * s for b, i, s in zip(box, seed, spacing, strict=True)),
            indexing="ij",
            sparse=True,
        )
        far = np.sqrt(sum((offset**2 for offset in offsets), np.zeros(())))
        worth = np.where(far <= reach, deep[box] - 1e-3 * far, -np.inf)  # of equally deep places the nearest
        peak = np.unravel_index(int(worth.argmax()), worth.shape)
        place = np.array([int(p) + side.start for p, side in zip(peak, box, strict=True)])
        deepest = float(deep[tuple(place)])
        centres.append(Centre(place * np.array(spacing), deepest, BALL * deepest))
    nearest, lead = _diagram(np.array(seeds) * np.array(spacing), centres)
    if (nearest == np.arange(1, len(seeds) + 1)).all() and (lead > 0).all():
        return centres
    return [Centre(np.array(seed) * np.array(spacing), float(deep[seed]), 0.0) for seed in seeds]


def _diagram(places: NDArray[np.float64], centres: list[Centre]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """For each place the number of the nearest ball, and how much farther the next one is."""
    nearest = np.zeros(len(places), np.int32)
    best, second = np.full(len(places), np.inf), np.full(len(places), np.inf)
    for number, centre in enumerate(centres, 1):
        far = np.sqrt(((places - centre.place) ** 2).sum(1)) - centre.radius
        closer = far < best
        second = np.where(closer, best, np.minimum(second, far))
        best = np.where(closer, far, best)
        nearest[closer] = number
    return nearest, second - best


def _held(sure: NDArray[np.int32], seeds: list[tuple[int, ...]]) -> NDArray[np.int32]:
    """What is sure and hangs together with its seed: what lies beyond a gap is reached through the mask, or not."""
    for number, seed in enumerate(seeds, 1):
        sure[seed] = number
    parts, _ = components(sure)
    own = np.array([parts[seed] for seed in seeds])
    return np.where(np.isin(parts, own), sure, 0)
