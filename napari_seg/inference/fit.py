"""Does this image fit this model? Said before anything is computed, and without torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import UNITS, Volume
from napari_seg.errors import SegError
from napari_seg.inference.channels import Channels, choose_channels
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.inference.prepare import Box, Frame, Limits, measure, model_box, refuse_strange, sample
from napari_seg.inference.resample import Resampling, whole
from napari_seg.inference.tiling import computed
from napari_seg.models.spec import ModelSpec

TILE_PIXELS = {2: 2**19, 3: 2**20}
"""Tiles may be larger than the training patches, up to this many pixels: so few that a batch takes about a second at
most.
"""

TOLERANCE = 0.05
"""Voxels that differ from the model's by no more than this share, but for what files round, are taken as they are."""

FARTHEST = 4.0
"""A volume more than this many times longer than what the model learned on asks for a box."""

SMALLEST, LARGEST = 1 / 8, 8.0
"""Objects are expected to be at least and at most so many times as wide as those the model learned."""

MOST_VOXELS = 1000
"""An image that would be resampled to more than so many times as many voxels says a wrong size or unit of them."""

_PREVIEW = 768
"""The preview shows at most this many pixels of the image along each axis, around its middle."""


@dataclass(frozen=True, eq=False)
class Fit:
    """How a model will see an image.

    ``scale``: pixels of the model's grid per pixel of the image, for each axis of the network; ``None`` where the size
    of the objects must be estimated first. ``spacing``: of the model's grid, where the image has one. ``notes`` say
    what will be done, ``warnings`` why the result may be poor; both are sentences.
    """

    model: ModelSpec
    channels: Channels
    box: Box
    scale: tuple[float, ...] | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    _limits: dict[int, Limits] = field(default_factory=dict, init=False, repr=False)

    @property
    def volume(self) -> Volume:
        return self.channels.volume

    @property
    def by_slices(self) -> bool:
        """Whether a 2D model goes through a volume slice by slice."""
        return self.model.network.ndim < self.volume.ndim

    @property
    def grid(self) -> tuple[int, ...]:
        """The grid of the whole image along the axes of the network."""
        return self.volume.grid[-self.model.network.ndim :]

    @property
    def spacing(self) -> tuple[float, ...] | None:
        spacing = self.volume.spacing
        if spacing is None or self.scale is None:
            return None
        return tuple(s / k for s, k in zip(spacing[-len(self.scale) :], self.scale, strict=True))

    def lengths(self, scale: tuple[float, ...]) -> tuple[int, ...]:
        """The size of the box in pixels of the model's grid."""
        spans = zip(*self.box, strict=True)
        sides = [b - a for a, b in spans][-len(scale) :]
        return tuple(
            whole(side * axis.target / axis.source) for side, axis in zip(sides, self.axes(scale), strict=True)
        )

    def axes(self, scale: tuple[float, ...] | None = None) -> tuple[Resampling, ...]:
        """From the image's grid to the model's."""
        scale = scale or self.scale or (1.0,) * len(self.grid)
        return tuple(Resampling(n, whole(n * k)) for n, k in zip(self.grid, scale, strict=True))

    def limits(self, time: int) -> Limits:
        """By which intensities are normalised at one time point.

        By the statistics of the whole image; but where a box was cut out of an image far larger than any the model
        learned on, by those of the box, which is what resembles the images it learned on.
        """
        if time not in self._limits:
            whole: Box = ((0,) * self.volume.ndim, self.volume.grid)
            box = self.box if far_larger(self) else whole
            self._limits[time] = measure(self.channels, time, box, self.model.input.normalisation)
        return self._limits[time]

    def frame(
        self, time: int, number: int | None, limits: Limits, scale: tuple[float, ...], margin: tuple[int, ...]
    ) -> Frame:
        """The box at a time point (and in slice ``number``) as the model sees it, with ``margin`` in pixels of its
        grid.
        """
        axes = self.axes(scale)
        ndim = len(axes)
        start, stop = model_box(axes, self.box[0][-ndim:], self.box[1][-ndim:], margin)
        return Frame(self.channels, time, number, axes, start, stop, self.model.input.normalisation, limits)

    @cached_property
    def preview(self) -> NDArray[np.float32]:
        """The middle slice as the model will see it, 0..1: ``(y, x)``, or ``(y, x, 3)`` for three channels."""
        start, stop = (list(side) for side in self.box)
        for axis in (-2, -1):
            middle = (start[axis] + stop[axis]) // 2
            start[axis] = max(start[axis], middle - _PREVIEW // 2)
            stop[axis] = min(stop[axis], start[axis] + _PREVIEW)
        number = None
        if self.volume.ndim == 3:
            middle = (start[0] + stop[0]) // 2
            number = middle if self.by_slices else None
            start[0], stop[0] = middle, middle + 1
        axes = self.axes()
        first, last = model_box(axes, tuple(start[-len(axes) :]), tuple(stop[-len(axes) :]), (0,) * len(axes))
        frame = Frame(self.channels, 0, number, axes, first, last, self.model.input.normalisation, self.limits(0))
        depth = frame.grid[0]
        if len(axes) == 3:
            picture = frame.planes(depth // 2, depth // 2 + 1)[:, 0]
        else:
            picture = frame.planes(0, depth)
        if self.model.input.normalisation.kind == "zscore":
            picture = picture / np.float32(4) + np.float32(0.5)  # two deviations to both sides fill the range
        shown = np.clip(picture, 0, 1).astype(np.float32)
        return np.moveaxis(shown, 0, -1) if len(shown) == 3 else shown[0]


def look_through(fit: Fit, region: Region | None = None) -> None:
    """Raises ``SegError`` where a voxel that is to be predicted is NaN or infinite.

    Reads them all, plane by plane; of an image that does not lie in memory the blocks that its statistics come from.
    """
    if fit.volume.dtype.kind != "f":
        return
    for time in time_points(fit.volume, region):
        for box in _planes(fit.box) if isinstance(fit.volume.data, np.ndarray) else sample(fit.box):
            refuse_strange(fit.channels.box(time, *box))


def _planes(box: Box) -> Iterator[Box]:
    (first, *start), (last, *stop) = box
    if len(start) == 1:
        yield box
        return
    for k in range(first, last):
        yield (k, *start), (k + 1, *stop)


def check(spec: ModelSpec, volume: Volume, settings: PredictSpec, region: Region | None = None) -> Fit:
    """How the model will see the image. Raises ``SegError``, with what to change, where it cannot be predicted."""
    if 0 in volume.shape:
        raise SegError("The image is empty; choose one with voxels.")
    if volume.dtype.kind not in "buif":
        raise SegError(f"The image holds values of the kind {volume.dtype}; convert it to integers or real numbers.")
    refuse_mirrors(spec, settings)
    _refuse_edge_on(volume)
    ndim = spec.network.ndim
    if ndim > volume.ndim or (ndim == 3 and volume.grid[0] == 1):
        raise SegError(
            "The model works on volumes, the image is a single slice; choose a 2D model or open the whole stack."
        )
    channels = choose_channels(volume, spec.network.in_channels, settings.channel, spec.input.channels)
    box = region_box(volume, region)
    scale, notes, warnings = _scale(spec, volume, settings)
    if channels.note:
        notes = (channels.note, *notes)
    if channels.warning:
        warnings = (channels.warning, *warnings)
    if ndim < volume.ndim:
        joined = "" if spec.task.pointwise else " and the objects are joined across slices"
        notes = (*notes, f"The 2D model goes through the volume slice by slice{joined}.")
    if kind := other_kind(spec, volume):
        warnings = (*warnings, kind)
    lies = volume.orientation[-ndim:]
    if spec.input.orientation and lies != spec.input.orientation:
        how = f"lies {lies}" if lies else "does not say how the patient lies"
        learned = f"the model learned images that lie {spec.input.orientation}"
        warnings = (*warnings, f"This image {how}, {learned}; check left and right, up and down.")
    fit = Fit(spec, channels, box, scale, notes, warnings)
    _refuse_far_larger(fit)
    return fit


def _refuse_edge_on(volume: Volume) -> None:
    """Raises ``SegError`` for a volume whose planes are lines: a slice across them, such as a sagittal one."""
    across = [axis for axis, n in zip(volume.spatial, volume.grid, strict=True) if n == 1 and axis != "Z"]
    if volume.ndim == 3 and across:
        n, m = (n for axis, n in zip(volume.spatial, volume.grid, strict=True) if axis != across[0])
        raise SegError(
            f"The volume is one voxel thick along {across[0].lower()}, so it is a single slice seen from its edge; "
            f"save it as an image of rows and columns (as NIfTI {m} x {n} x 1 voxels), or open the whole volume."
        )


def other_kind(spec: ModelSpec, volume: Volume) -> str:
    """That an image is of another kind than the model learned, where both say it; or empty."""
    modality = volume.source.modality if volume.source else ""
    known = differ(modality, spec.input.modality)
    return f"This image is {modality}, the model saw {spec.input.modality} only." if known else ""


def differ(modality: str, learned: str) -> bool:
    """Whether both of two modalities are known and are not the same. Their letters' case says nothing."""
    return bool(modality and learned) and modality.lower() != learned.lower()


def region_box(volume: Volume, region: Region | None) -> Box:
    """The box of a region, of the whole image where there is none. Raises ``SegError`` for one outside the image."""
    if region is None:
        return (0,) * volume.ndim, volume.grid
    sound = len(region.start) == len(region.stop) == volume.ndim and all(
        0 <= a < b <= n and int(a) == a and int(b) == b
        for a, b, n in zip(region.start, region.stop, volume.grid, strict=True)
    )
    if not sound:
        words = f"{region.start} to {region.stop} is no box of voxels inside the image {volume.grid}"
        raise SegError(f"{words}; choose one between {(0,) * volume.ndim} and {volume.grid}.")
    if region.time is not None and not 0 <= region.time < volume.size("T"):
        raise SegError(f"There is no time point {region.time}; the image has {volume.size('T')}.")
    return tuple(map(int, region.start)), tuple(map(int, region.stop))


def time_points(volume: Volume, region: Region | None) -> list[int]:
    """The time points of a region, all where it names none."""
    return list(range(volume.size("T"))) if region is None or region.time is None else [region.time]


def physical_scale(spec: ModelSpec, volume: Volume) -> tuple[float, ...] | None:
    """Voxels of the model per voxel of the image by their spacings; ``None`` where one of the two is not known."""
    wanted, unit = spec.input.spacing, spec.input.unit
    if wanted is None or volume.spacing is None or (unit == "pixel") != (volume.unit == "pixel"):
        return None
    factor = UNITS[volume.unit] / UNITS[unit]
    return tuple(_near_one(s * factor / w) for s, w in zip(volume.spacing[-len(wanted) :], wanted, strict=True))


def is_inflated(spec: ModelSpec, volume: Volume) -> bool:
    """Whether the voxels of an image are so much coarser than the model's that their size is wrong."""
    return math.prod(physical_scale(spec, volume) or ()) > MOST_VOXELS


def refuse_inflated(spec: ModelSpec, volume: Volume, name: str) -> None:
    """Raises ``SegError`` for an image whose voxels are too coarse to be true (see :func:`is_inflated`)."""
    scale = physical_scale(spec, volume) or ()
    if is_inflated(spec, volume):
        given = " x ".join(f"{s:.3g}" for s in (volume.spacing or ())[-len(scale) :])
        wanted = " x ".join(f"{s:.3g}" for s in spec.input.spacing or ())
        raise SegError(
            f"{name or 'The image'} has voxels of {given} {volume.unit}, which on the {wanted} {spec.input.unit} of "
            f"the model would become {math.prod(scale):.0e} times as many; correct its spacing or its unit."
        )


def diameters(spec: ModelSpec) -> tuple[float, float]:
    """The smallest and the largest diameter, in pixels of an image, by which it is rescaled for a model that has one.

    Beyond them the image would become so large that it takes hours, or so small that nothing of it is left.
    """
    return spec.input.diameter * SMALLEST, spec.input.diameter * LARGEST


def suited(settings: PredictSpec, spec: ModelSpec) -> PredictSpec:
    """Settings that were made with no model in mind, without those that mean nothing to this one."""
    left_out: dict[str, None] = {} if spec.network.in_channels == 1 else {"channel": None}
    return settings.model_copy(update=left_out if spec.input.diameter else {**left_out, "diameter": None})


def refuse_diameter(spec: ModelSpec, diameter: float | None) -> None:
    """Raises ``SegError`` for a diameter that a person gave, if the model has no use for it or it is out of range."""
    low, high = diameters(spec)
    if diameter and not spec.input.diameter:
        known = "by the size of the voxels" if spec.input.spacing else "as they are"
        raise SegError(f"{spec.name} takes images {known} and has no diameter of objects; leave the diameter out.")
    if diameter and not low <= diameter <= high:
        raise SegError(
            f"Objects of {diameter:g} pixels are too far from what the model learned; "
            f"give a diameter from {math.ceil(low * 100) / 100:g} to {math.floor(high * 100) / 100:g} pixels."
        )


def refuse_mirrors(spec: ModelSpec, settings: PredictSpec) -> None:
    """Raises ``SegError`` where the mean over mirror images is wanted of a model that never learned any: it takes the
    one side for the other, and the mean is next to nothing."""
    if settings.flips and not spec.mirrors:
        raise SegError(
            f"{spec.name} learned images that all lie the same way, so mirror images would spoil its masks; "
            "predict without them."
        )


def by_diameter(spec: ModelSpec, volume: Volume, diameter: float) -> tuple[float, ...]:
    """The scale at which objects of ``diameter`` pixels of the image become as large as those the model learned on."""
    base = physical_scale(spec, volume) or (1.0,) * spec.network.ndim
    factor = spec.input.diameter / (diameter * base[-1])
    return tuple(_near_one(k * factor) for k in base)


def _scale(
    spec: ModelSpec, volume: Volume, settings: PredictSpec
) -> tuple[tuple[float, ...] | None, tuple[str, ...], tuple[str, ...]]:
    ones = (1.0,) * spec.network.ndim
    scale = physical_scale(spec, volume)
    refuse_diameter(spec, settings.diameter)
    if settings.diameter:
        scale = by_diameter(spec, volume, settings.diameter)
        words = (
            f"Objects of about {settings.diameter:g} pixels are expected; the model learned {spec.input.diameter:.3g}."
        )
        return scale, (words,), ()
    if scale is not None:
        refuse_inflated(spec, volume, volume.name)
        spacing = " x ".join(f"{s:.3g}" for s in spec.input.spacing or ())
        note = () if scale == ones else (f"The image is resampled to the model's {spacing} {spec.input.unit}.",)
        return scale, note, _some(size_doubt(spec, volume))
    if spec.input.diameter and not spec.task.pointwise:
        return None, ("The size of the objects is estimated first; give the object size if it looks wrong.",), ()
    return ones, (), _some(size_doubt(spec, volume))


def _some(words: str) -> tuple[str, ...]:
    return (words,) if words else ()


def size_doubt(spec: ModelSpec, volume: Volume) -> str:
    """That voxels are not nearly as large as the model expects, or that nobody knows how large they are; or empty."""
    scale = physical_scale(spec, volume)
    if scale is not None:
        change = max(max(k, 1 / k) for k in scale)
        far = change > FARTHEST
        return f"Its voxels differ up to {change:.1f} times from those the model learned on." if far else ""
    if spec.input.spacing is None or spec.input.unit == "pixel" or (spec.input.diameter and not spec.task.pointwise):
        return ""
    spacing = " x ".join(f"{s:.3g}" for s in spec.input.spacing)
    return f"The image has no voxel size and is taken as it is; the model expects {spacing} {spec.input.unit}."


def _near_one(scale: float) -> float:
    return 1.0 if abs(math.log(scale)) <= math.log1p(TOLERANCE) + 1e-6 else scale


def far_larger(fit: Fit) -> bool:
    """Whether the image is far larger than any the model learned on, and the model is one that minds: a person has to
    choose a box."""
    spec, extent = fit.model, fit.model.input.extent
    if not (spec.task.pointwise and spec.network.ndim == 3 and extent):
        return False
    return any(axis.target > FARTHEST * n for axis, n in zip(fit.axes(), extent, strict=True))


def _refuse_far_larger(fit: Fit) -> None:
    if not far_larger(fit):
        return
    lengths = [(b - a) * axis.target / axis.source for a, b, axis in zip(*fit.box, fit.axes(), strict=True)]
    extent = fit.model.input.extent
    if any(length > FARTHEST * n for length, n in zip(lengths, extent, strict=True)):
        ratio = max(length / n for length, n in zip(lengths, extent, strict=True))
        learned = " x ".join(str(n) for n in extent)
        raise SegError(
            f"The volume is {ratio:.0f} times longer than those the model learned on ({learned} voxels of its grid); "
            "choose a box around the part of interest."
        )


def tile_for(fit: Fit, scale: tuple[float, ...], spec: PredictSpec) -> tuple[int, ...]:
    """The tile as asked for, or of those as large as the training patch and larger the one that computes the least
    twice.
    """
    patch = fit.model.input.patch
    if spec.tile is not None:
        if len(spec.tile) != len(fit.grid) or min(spec.tile) < 1:
            raise SegError(f"The tile {spec.tile} does not fit the model; give {len(fit.grid)} lengths of 1 or more.")
        return spec.tile
    most = max(TILE_PIXELS[len(patch)], math.prod(patch))
    lengths = fit.lengths(scale)
    sizes = [(n, *range(n - n % 16 + 16, min(4 * n, k + 15) + 1, 16)) for n, k in zip(patch, lengths, strict=True)]

    def cost(tile: tuple[int, ...]) -> tuple[int, int]:
        return math.prod(computed(k, t, spec.overlap) for k, t in zip(lengths, tile, strict=True)), math.prod(tile)

    return min((tile for tile in itertools.product(*sizes) if math.prod(tile) <= most), key=cost)
