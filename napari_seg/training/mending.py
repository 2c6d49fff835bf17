"""Mends images and labels on their way into a training, as the data check found and a person agreed; the files stay as
they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.align import onto_grid
from napari_seg.data.volume import Volume, labels_dtype
from napari_seg.training.cases import Labelled
from napari_seg.training.check import Finding, Readable
from napari_seg.training.sample import nearest


@dataclass(frozen=True)
class Fix:
    """``label``: the words on its button. ``mend``: what becomes of image and labels; ``None`` where cases are chosen
    or moved instead. ``values``: the labels that occur in all cases."""

    label: str
    mend: Callable[[Volume, Volume, Sequence[int]], tuple[Volume, Volume]] | None = None


def _labelled(change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[..., tuple[Volume, Volume]]:
    """A fix of the numbers of labels alone."""

    def mend(image: Volume, labels: Volume, values: Sequence[int]) -> tuple[Volume, Volume]:
        return image, replace(labels, data=change(np.asarray(labels.data)))

    return mend


def _laid(image: Volume, labels: Volume, values: Sequence[int]) -> tuple[Volume, Volume]:
    """Through their places, or the size of their voxels."""
    return image, onto_grid(labels, image)


def _resized(image: Volume, labels: Volume, values: Sequence[int]) -> tuple[Volume, Volume]:
    """By the nearest neighbour, centres of voxels in mind."""
    return _respaced(image, replace(labels, data=nearest(np.asarray(labels.data), image.grid)), values)


def _respaced(image: Volume, labels: Volume, values: Sequence[int]) -> tuple[Volume, Volume]:
    return image, replace(labels, spacing=image.spacing, unit=image.unit, affine=image.affine)


def _filled(image: Volume, labels: Volume, values: Sequence[int]) -> tuple[Volume, Volume]:
    """The smallest value there is, where there is no number."""
    pixels = np.asarray(image.data)
    known = np.isfinite(pixels)
    return replace(image, data=np.where(known, pixels, pixels[known].min() if known.any() else 0)), labels


def _renumbered(image: Volume, labels: Volume, values: Sequence[int]) -> tuple[Volume, Volume]:
    data = np.asarray(labels.data)
    made = np.zeros(data.shape, labels_dtype(len(values)))
    for number, value in enumerate(sorted(values), 1):
        made[data == value] = number
    return image, replace(labels, data=made)


def _rounded(data: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.rint(np.nan_to_num(data)), np.int64)


def _thresholded(data: NDArray[Any]) -> NDArray[Any]:
    """Probabilities above a half."""
    known = np.nan_to_num(data)
    return np.asarray(known > 0.5, np.uint8)


def _divided(data: NDArray[Any]) -> NDArray[Any]:
    """A number for each object: parts by themselves, and touching ones divided where they are narrow."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    inside = data > 0
    depth = gaussian_filter(distance_transform_edt(inside), 1)
    tops = peak_local_max(depth, min_distance=3, labels=inside.astype(np.uint8), exclude_border=False)
    seeds = np.zeros(data.shape, np.int64)
    seeds[tuple(tops.T)] = np.arange(1, len(tops) + 1)
    found: NDArray[Any] = watershed(-depth, seeds, mask=inside)
    return found


FIXES: dict[str, Fix] = {
    "leave out": Fix("Leave them out"),
    "keep one": Fix("Keep the first"),
    "one side": Fix("Put all of it into training"),
    "lay": Fix("Lay them where the files say", _laid),
    "resize": Fix("Resize the labels", _resized),
    "respace": Fix("Take the image's spacing", _respaced),
    "round": Fix("Round them", _labelled(_rounded)),
    "threshold": Fix("Cut at a half", _labelled(_thresholded)),
    "no negatives": Fix("Make them background", _labelled(lambda data: np.maximum(data, 0))),
    "renumber": Fix("Number them 1, 2, ...", _renumbered),
    "split": Fix("Split them into objects", _labelled(_divided)),
    "fill": Fix("Fill with the smallest value", _filled),
}
"""By the names that findings give them."""


@dataclass(frozen=True, eq=False)
class Mended:
    """A lesson that is mended while it is read. ``values``: the labels that occur in all cases."""

    case: Readable
    fixes: tuple[str, ...]
    values: tuple[int, ...]
    split: str

    @property
    def name(self) -> str:
        return self.case.name

    @property
    def group(self) -> str:
        return self.case.group

    @property
    def patient(self) -> str:
        return self.case.patient

    @property
    def about(self) -> Mapping[str, Any]:
        return {**self.case.about, "mended": self.fixes} if self.fixes else self.case.about

    def load(self) -> Labelled:
        return self.labelled(*self.read())

    def labelled(self, image: Volume, labels: Volume) -> Labelled:
        return self.case.labelled(image, labels)

    def read(self) -> tuple[Volume, Volume]:
        image, labels = self.case.read()
        for name in self.fixes:
            mend = FIXES[name].mend
            if mend is not None:
                image, labels = mend(image, labels, self.values)
        return image, labels


def left_out(finding: Finding) -> tuple[str, ...]:
    """The cases that a training does without when a finding is mended."""
    return {"leave out": finding.cases, "keep one": finding.cases[1:]}.get(finding.fix, ())


def mended(cases: Sequence[Readable], found: Sequence[Finding], agreed: Collection[str]) -> list[Mended]:
    """The cases with those findings mended whose ``fix`` is ``agreed``, in the order of :data:`FIXES`."""
    chosen = [finding for finding in found if finding.fix in agreed]
    gone = {name for finding in chosen for name in left_out(finding)}
    named = {name for finding in chosen if finding.fix == "one side" for name in finding.cases}
    moved = {case.group for case in cases if case.name in named}
    values = tuple(sorted({value for finding in chosen for value in finding.values}))
    return [
        Mended(
            case,
            tuple(fix for fix in FIXES if any(f.fix == fix and case.name in f.cases for f in chosen)),
            values,
            "train" if case.group in moved else case.split,
        )
        for case in cases
        if case.name not in gone
    ]
