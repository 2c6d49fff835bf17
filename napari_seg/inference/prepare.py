"""An image as a network sees it: normalised, on the model's grid, read plane by plane.

Statistics are those of the whole image (of one time point), also where only a box of it is predicted, so that a box and
the whole agree. Up to ``SAMPLE`` voxels all are looked at, beyond that evenly spaced blocks of the image, the same ones
each time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_seg.errors import SegError
from napari_seg.inference.channels import Channels
from napari_seg.inference.resample import Resampling
from napari_seg.models.spec import Normalisation

SAMPLE = 2**24
"""Above this many voxels, the statistics of an image come from blocks."""

_BLOCKS = {2: ((512, 8), (512, 8)), 3: ((8, 4), (256, 3), (256, 3))}
"""For 2D and 3D, along each axis: the length of the blocks and how many there are."""

Box = tuple[tuple[int, ...], tuple[int, ...]]


Limits = tuple[float, float]
"""What :class:`~napari_seg.models.spec.Normalisation` makes its numbers from."""


def measure(channels: Channels, time: int, box: Box, normalisation: Normalisation) -> Limits:
    """The limits for a box of an image; large boxes are sampled. NaN and infinity are left out."""
    if normalisation.kind == "window":
        return normalisation.low, normalisation.high
    voxels = np.concatenate([channels.box(time, *block).ravel() for block in sample(box)])
    if not _finite(voxels):
        voxels = voxels[np.isfinite(voxels)]
    if voxels.size == 0:
        raise SegError("The image holds no numbers, only NaN or infinite voxels; choose another.")
    return normalisation.fit(voxels)


def refuse_strange(voxels: NDArray[np.float32]) -> None:
    """Raises ``SegError`` where a voxel is NaN or infinite."""
    if not _finite(voxels):
        bad = int((~np.isfinite(voxels)).sum())
        raise SegError(
            f"The image holds {bad} or more voxels that are NaN or infinite; replace them by numbers or choose a box "
            "without them."
        )


def _finite(voxels: NDArray[np.float32]) -> bool:
    """Told by their sum, as that needs no second array."""
    with np.errstate(invalid="ignore"):  # of infinities of both signs
        return bool(np.isfinite(voxels.sum(dtype=np.float64)))


def sample(box: Box) -> Iterator[Box]:
    """The blocks of a box that its statistics come from: the box itself where it is small enough."""
    start, stop = box
    lengths = [b - a for a, b in zip(start, stop, strict=True)]
    if np.prod(lengths, dtype=float) <= SAMPLE:
        yield box
        return
    spans: list[list[tuple[int, int]]] = []
    for first, length, (size, count) in zip(start, lengths, _BLOCKS[len(lengths)], strict=True):
        if length <= size * count:
            spans.append([(first, first + length)])
        else:
            places = (first + round(k * (length - size) / (count - 1)) for k in range(count))
            spans.append([(place, place + size) for place in places])
    for block in itertools.product(*spans):
        yield tuple(a for a, _ in block), tuple(b for _, b in block)


@dataclass(frozen=True, eq=False)
class Frame:
    """One image on the model's grid: a time point, and for a 2D model on a volume one ``slice`` of it.

    ``axes`` lead from the image's grid to the model's; ``start`` and ``stop`` are the box of the model's grid that is
    looked at.
    """

    channels: Channels
    time: int
    slice: int | None
    axes: tuple[Resampling, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]
    normalisation: Normalisation
    limits: Limits

    @property
    def grid(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    def planes(self, first: int, last: int) -> NDArray[np.float32]:
        """Planes of the box along its first axis: ``(channels, last - first, *rest)``, normalised.

        Raises ``SegError`` where a voxel is NaN or infinite.
        """
        start = (self.start[0] + first, *self.start[1:])
        stop = (self.start[0] + last, *self.stop[1:])
        spans = [axis.needs(a, b) for axis, a, b in zip(self.axes, start, stop, strict=True)]
        if self.slice is not None:
            spans.insert(0, (self.slice, self.slice + 1))
        array = self.channels.box(self.time, tuple(a for a, _ in spans), tuple(b for _, b in spans))
        if self.slice is not None:
            array = array[:, 0]
        refuse_strange(array)
        array = self.normalisation.apply(array, self.limits)
        for number, (axis, a, b) in enumerate(zip(self.axes, start, stop, strict=True), start=1):
            array = axis.apply(array, number, a, b)
        return array


class WayBack:
    """Brings scores from the box of a :class:`Frame` back to the image's grid, plane by plane as they are finished."""

    def __init__(self, frame: Frame, start: tuple[int, ...], stop: tuple[int, ...]) -> None:
        self._axes = tuple(Resampling(axis.target, axis.source) for axis in frame.axes)
        self._spans = list(zip(start, stop, strict=True))
        self._origin = frame.start
        self._next = start[0]
        self._ready = np.array([self._axes[0].needs(k, k + 1)[1] for k in range(*self._spans[0])])
        self._held: NDArray[np.float32] | None = None
        self._first = frame.start[0]

    def __call__(self, scores: NDArray[np.float32]) -> tuple[int, NDArray[np.float32]] | None:
        """Take the next planes ``(channels, planes, *rest)``; give the image planes that are complete, and the first
        one's number.

        Numbers count from the start of the image.
        """
        self._held = scores if self._held is None else np.concatenate([self._held, scores], axis=1)
        first, last = (
            self._next,
            self._spans[0][0] + int(np.searchsorted(self._ready, self._first + self._held.shape[1], side="right")),
        )
        if last <= first:
            return None
        low, high = self._axes[0].needs(first, last)
        array = self._axes[0].apply(self._held[:, low - self._first : high - self._first], 1, first, last)
        for number, (axis, (a, b)) in enumerate(zip(self._axes[1:], self._spans[1:], strict=True), start=2):
            low, high = axis.needs(a, b)
            origin = self._origin[number - 1]
            cut = (slice(None),) * number + (slice(low - origin, high - origin),)
            array = axis.apply(array[cut], number, a, b)
        self._drop(last)
        return first, array

    def _drop(self, upcoming: int) -> None:
        """Forget the planes that no image plane from ``upcoming`` on needs."""
        assert self._held is not None
        self._next = upcoming
        if upcoming < self._spans[0][1]:
            low = self._axes[0].needs(upcoming, upcoming + 1)[0]
            low = min(max(low, self._first), self._first + self._held.shape[1])
            self._held, self._first = self._held[:, low - self._first :], low
        else:
            self._held, self._first = self._held[:, :0], self._first + self._held.shape[1]


def model_box(
    axes: tuple[Resampling, ...], start: tuple[int, ...], stop: tuple[int, ...], margin: tuple[int, ...]
) -> Box:
    """The box of the model's grid that a box of the image needs, with a margin of real image where there is some."""
    spans = []
    for axis, a, b, more in zip(axes, start, stop, margin, strict=True):
        low, high = Resampling(axis.target, axis.source).needs(a, b)
        spans.append((max(low - more, 0), min(high + more, axis.target)))
    return tuple(a for a, _ in spans), tuple(b for _, b in spans)
