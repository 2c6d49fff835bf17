"""Signs that labels are wrong, though a model learns them well: moved, of another image, half of them missing, or with
classes exchanged.

A network learns whatever is said to it everywhere alike, also labels that lie 6 pixels beside their objects; where the
corrections are of another kind of image than the older samples, it can even do so without forgetting those. Then only
the images themselves can tell:

1. Objects differ from what lies directly around them. So the intensities just inside the borders of labels, less those
   just outside, are largest where the labels lie right, and hardly change sign from image to image.
2. Who labels all objects leaves nothing like them in the background. So little of what the model finds lies far from
   every label.
3. A model may miss a class, or take all of it for another. That it takes each of two for the other tells of names that
   were exchanged.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_seg.training.sample import Sample

WIDTH = 3
"""Voxels on each side of the border of a label that are compared."""

MOVES = (2, 3, 4, 6, 8, 12, 16)
"""Voxels by which labels are moved to see whether they fit better there."""

BETTER = 1.3
"""Moved labels fit better where their contrast is so many times that of the labels as they are. On labels that lie
right it was 1.2 at most (hippocampus, heart, nuclei of four kinds, blood cells, fetal heads, vessels, membranes)."""

SURE = 2.0
"""Standard errors."""

FIT, CLEAR = 0.5, 0.7
"""See :func:`_fit`: labels that fit less lie on no borders, if those of older samples fit more than ``CLEAR``."""

UNITS = 5
"""Fewer images say nothing of that kind."""

FAR_SHARE = 0.35
"""So much of what a model finds may lie far from every label; with half of the objects missing it is more than half,
with all of them labelled it was 0.1 at most."""

POINTS = 4000

Counts = NDArray[np.int64]
"""Voxels of each class of the labels (row): so many are found to be of each class (column), so many are there in all
(the last column)."""


def misplaced(labelled: Sequence[Sample], known: Sequence[Sample] = ()) -> str:
    """What makes labels look displaced, in words; empty where nothing does.

    ``known``: samples of which the labels are right, which show whether objects stand out from what lies around them.
    """
    contrasts = _by_image(labelled)
    if len(contrasts) < UNITS:
        return ""
    moves = list(next(iter(contrasts.values())))
    table = np.array([[contrast.get(move, np.nan) for move in moves] for contrast in contrasts.values()])
    still = table[:, 0]
    seen = np.count_nonzero(np.isfinite(table), 0) >= UNITS
    mean = np.array([np.nanmean(table[:, k]) if seen[k] else 0.0 for k in range(len(moves))])
    best = int(np.argmax(np.abs(mean)))
    if abs(mean[best]) > BETTER * abs(mean[0]):
        gained = np.sign(mean[best]) * table[:, best] - np.sign(mean[0]) * still
        if _certainty(gained[np.isfinite(gained)]) > SURE:
            return f"the corrected labels fit their images better when moved by {_said(moves[best])} voxels"
    if _fit(contrasts.values()) < FIT and _fit(_by_image(known).values()) > CLEAR:
        return "the borders of the corrected labels lie on no borders in their images"
    return ""


def _fit(contrasts: Collection[dict[tuple[int, ...], float]]) -> float:
    """The contrast of labels as they are, in parts of the largest that they have when moved, signs kept, averaged over
    images: nearly 1 where labels lie right, nearly 0 where they have nothing to do with the images."""
    parts = [next(iter(of.values())) / (np.nanmax(np.abs([*of.values()])) + 1e-9) for of in contrasts]
    return abs(float(np.mean(parts))) if len(parts) >= UNITS else 0.0


def far_from_labels(inside: NDArray[np.floating], sample: Sample) -> tuple[float, float]:
    """How much of what a model finds lies far from every label, and how much there is: sums of its scores ``inside``
    (of being part of anything, ``(*grid)``) where labels count.

    In a volume a label must be near in each of the three planes through a voxel: a slice may be left out between two.
    """
    from scipy.ndimage import binary_dilation, generate_binary_structure

    counts = inside if sample.mask is None else inside * sample.mask
    labelled, near = _labelled(sample), np.ones(sample.grid, bool)
    for across in range(3) if labelled.ndim == 3 else (None,):
        reach = generate_binary_structure(labelled.ndim, 1)
        if across is not None:
            np.moveaxis(reach, across, 0)[[0, 2]] = False
        near &= binary_dilation(labelled, reach, iterations=WIDTH)
    return float(counts[~near].sum(dtype=np.float64)), float(counts.sum(dtype=np.float64))


def incomplete(corrections: Sequence[tuple[float, float]], older: Sequence[tuple[float, float]]) -> str:
    """What makes labels look incomplete, in words, from :func:`far_from_labels` of all; empty where nothing does."""
    share, before = _share(corrections), _share(older)
    if share < FAR_SHARE or share < 2 * before:
        return ""
    return (
        f"{share:.0%} of what the new model finds lies where the corrections say that nothing is "
        f"(on older samples {before:.0%}), as if objects were left out"
    )


def found_as(labels: NDArray[np.integer], found: NDArray[np.integer], sample: Sample, classes: int) -> Counts:
    """How many voxels of each class of the labels (row) a model finds to be of each class (column), where labels count.

    Both are classes from 1, or for overlapping ones a plane for each.
    """
    counts = sample.counts
    of_labels, of_found = (
        [(one[k] > 0 if one.ndim > counts.ndim else one == k + 1) & counts for k in range(classes)]
        for one in (labels, found)
    )
    table = [[np.count_nonzero(a & b) for b in of_found] + [np.count_nonzero(a)] for a in of_labels]
    return np.array(table, np.int64).reshape(classes, classes + 1)


def exchanged(table: Counts, names: Sequence[str]) -> str:
    """What makes classes look exchanged, in words; empty where nothing does.

    ``table``: the sum of :func:`found_as` over the corrections, as the old model finds them.
    """
    found, whole = table[:, :-1], table[:, -1]
    taken_for = {
        a: int(np.argmax(row)) for a, row in enumerate(found) if whole[a] and 2 * row.max(initial=0) > whole[a]
    }
    others = {a: b for a, b in taken_for.items() if a != b}
    mixed = [names[a] for a in others if _comes_back(others, a)]
    if not mixed:
        return ""
    listed = f"{', '.join(mixed[:-1])} and {mixed[-1]}"
    return f"{listed} look exchanged: where the corrections have one, the old model finds the other"


def _comes_back(taken_for: Mapping[int, int], first: int) -> bool:
    """Whether a class is taken for one that is taken for it, also by way of others."""
    now: int | None = first
    for _ in taken_for:
        now = None if now is None else taken_for.get(now)
        if now == first:
            return True
    return False


def _share(sums: Sequence[tuple[float, float]]) -> float:
    whole = sum(total for _, total in sums)
    return sum(far for far, _ in sums) / whole if whole else 0.0


def _by_image(samples: Sequence[Sample]) -> dict[tuple[str, str], dict[tuple[int, ...], float]]:
    """The contrasts of each image by how the labels are moved, first as they are; slices are averaged."""
    found: dict[tuple[str, str], list[dict[tuple[int, ...], float]]] = {}
    for sample in samples:
        if contrast := contrasts_of(sample):
            found.setdefault(sample.unit, []).append(contrast)
    return {
        unit: {move: float(np.mean([of.get(move, np.nan) for of in slices])) for move in slices[0]}
        for unit, slices in found.items()
    }


def contrasts_of(sample: Sample) -> dict[tuple[int, ...], float]:
    """How much brighter the image is just inside the labels than just outside, in deviations of the image, for labels
    moved along one axis; empty where there is no border that counts."""
    from scipy.ndimage import distance_transform_cdt, gaussian_filter

    labelled = _labelled(sample)
    if labelled.all() or not labelled.any():
        return {}
    image = gaussian_filter(sample.image.mean(0), 0.7)
    image = (image - image.mean()) / max(float(image.std()), 1e-6)
    sides = [side & (distance_transform_cdt(side, "taxicab") <= WIDTH) for side in (labelled, ~labelled)]
    if sample.mask is not None:
        sides = [side & sample.mask for side in sides]
    rng = np.random.default_rng(0)
    points = [rng.permutation(np.argwhere(side))[:POINTS] for side in sides]
    if min(map(len, points)) < 10:
        return {}
    steps = np.eye(labelled.ndim, dtype=int)
    moves = [0 * steps[0], *(sign * far * step for far, step, sign in itertools.product(MOVES, steps, (1, -1)))]
    found = {}
    for move in moves:
        values = [_at(image, where + move) for where in points]
        if all(3 * len(there) >= len(where) for there, where in zip(values, points, strict=True)):
            found[tuple(int(n) for n in move)] = float(values[0].mean() - values[1].mean())
    return found


def _labelled(sample: Sample) -> NDArray[np.bool_]:
    return np.asarray((sample.labels.reshape(-1, *sample.grid) > 0).any(0))


def _at(image: NDArray[np.floating], places: NDArray[np.integer]) -> NDArray[np.floating]:
    inside = ((places >= 0) & (places < image.shape)).all(1)
    return np.asarray(image[tuple(places[inside].T)])


def _certainty(values: NDArray[np.float64]) -> float:
    """The mean in standard errors."""
    if len(values) < UNITS:
        return 0.0
    return float(values.mean() / max(values.std(ddof=1) / np.sqrt(len(values)), 1e-9))


def _said(move: tuple[int, ...]) -> str:
    return ", ".join(f"{n:+d}" if n else "0" for n in move) + f" ({', '.join('zyx'[-len(move) :])})"
