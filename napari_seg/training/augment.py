"""Random changes of images and labels, each patch with its own, all drawn from one generator so that they repeat.

Geometry is done in one step: for each voxel of the patch the place in the image it comes from is computed (flip, turn,
rotation, scaling, elastic deformation, all in physical units), then the image is interpolated linearly and the labels
by the nearest voxel. Places outside the image count as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from torch import Tensor
from torch.nn import functional

from napari_seg.spec import Spec


def _axes(value: Any, usual: ValidatorFunctionWrapHandler) -> Any:
    """One sentence for a value that is neither of the two that it may be."""
    try:
        return usual(value)
    except ValidationError:
        raise ValueError(
            f"it should be True, False or the numbers of axes such as (0, 1), not {short(value)}"
        ) from None


class Augmentation(Spec):
    """How strongly patches are changed. Numbers of 0 and ``False`` switch a change off.

    ``flips``: along all axes of the grid, or along those with these numbers, from 0: the axis from left to right alone
    teaches both of a pair of organs. ``turns``: by 90 degrees in the plane of the slices. ``rotation``: at most so many
    degrees. ``scaling``: at most by this factor, up and down. ``elastic``: deviation of the displacement as a fraction
    of the distance of the control points. The intensities are those after normalisation.
    """

    flips: Annotated[bool | tuple[Annotated[int, Field(ge=0, le=2)], ...], WrapValidator(_axes)] = True
    turns: bool = True
    rotation: float = Field(30.0, ge=0, le=180)
    scaling: float = Field(1.4, ge=1, le=4)
    elastic: float = Field(0.1, ge=0, le=0.5)
    brightness: float = Field(0.1, ge=0, le=1)
    contrast: float = Field(0.25, ge=0, lt=1)
    gamma: float = Field(0.3, ge=0, lt=1)
    noise: float = Field(0.06, ge=0, le=1)
    blur: float = Field(1.0, ge=0, le=5)

    def times(self, strength: float) -> Augmentation:
        """All changes by numbers weaker (under 1) or stronger (above 1); which ways up are right stays as it is."""
        numbers = {"rotation": 180.0, "elastic": 0.5, "brightness": 1.0, "contrast": 0.9, "gamma": 0.9, "noise": 1.0}
        changed = {name: min(strength * getattr(self, name), most) for name, most in (numbers | {"blur": 5.0}).items()}
        return self.model_copy(update={**changed, "scaling": min(self.scaling**strength, 4.0)})


@dataclass(frozen=True)
class Patch:
    """A training patch: image ``(channels, *patch)`` float32, labels ``(*patch)`` int64 or planes, mask ``(*patch)``
    bool."""

    image: Tensor
    labels: Tensor
    mask: Tensor


def cut(
    image: Tensor,
    planes: Tensor,
    mask: Tensor | None,
    centre: NDArray[np.float64],
    size: tuple[int, ...],
    warp: NDArray[np.float64],
) -> Patch:
    """Take the patch around ``centre`` (voxels) whose voxels come from ``centre + warp`` (``(ndim, *size)``, voxels).

    ``planes`` holds the labels, ``(planes, *grid)``; they stay integers of any size.
    """
    grid = image.shape[1:]
    shape = (-1,) + (1,) * len(size)
    low = np.floor(centre + warp.reshape(len(size), -1).min(1)).astype(int) - 1
    high = np.ceil(centre + warp.reshape(len(size), -1).max(1)).astype(int) + 2
    start = np.clip(low, 0, np.array(grid) - 1)  # only the box that the patch can touch is interpolated
    stop = np.clip(high, start + 1, grid)
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    places = (centre - start).reshape(shape) + warp
    inside = torch.from_numpy(((places >= -0.5) & (places <= (stop - start - 0.5).reshape(shape))).all(0))
    nearest = tuple(
        torch.from_numpy(np.clip(np.rint(places[axis]), 0, stop[axis] - start[axis] - 1).astype(np.int64))
        for axis in range(len(size))
    )
    scale = 2 / np.maximum(stop - start - 1, 1).reshape(shape)
    field = torch.from_numpy(np.moveaxis((places * scale - 1)[::-1], 0, -1).astype(np.float32, order="C"))
    whole: tuple[slice, ...] = (slice(None),)
    values = functional.grid_sample(
        image[whole + box][None], field[None], mode="bilinear", padding_mode="reflection", align_corners=True
    )[0]
    everywhere: tuple[slice | Tensor, ...] = (*whole, *nearest)
    labels = planes[whole + box][everywhere]
    known = inside if mask is None else inside & mask[box][nearest]
    return Patch(values, labels, known)


def draw_warp(
    rng: np.random.Generator, size: tuple[int, ...], spacing: tuple[float, ...], spec: Augmentation
) -> NDArray[np.float64]:
    """A random place for each voxel of a patch relative to its centre, in voxels: ``(ndim, *size)``."""
    ndim = len(size)
    units = np.asarray(spacing, float).reshape((-1,) + (1,) * ndim)
    axes = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    places = np.stack(axes) * units
    places = np.tensordot(_matrix(rng, spacing, spec), places, 1)
    if spec.elastic:
        points = tuple(max(2, round(n / 48) + 2) for n in size)
        coarse = torch.from_numpy(rng.normal(size=(1, ndim, *points)) * float(rng.uniform(0, spec.elastic)))
        mode = "bilinear" if ndim == 2 else "trilinear"
        bent = functional.interpolate(coarse, size=size, mode=mode, align_corners=True)[0].numpy()
        apart = np.asarray([n * s / (p - 1) for n, s, p in zip(size, spacing, points, strict=True)])
        places = places + bent * apart.reshape(units.shape)
    return np.asarray(places / units)


def _matrix(rng: np.random.Generator, spacing: tuple[float, ...], spec: Augmentation) -> NDArray[np.float64]:
    """Flip, turn, rotation and scaling as one matrix over physical coordinates."""
    ndim = len(spacing)
    matrix = np.diag(spec.scaling ** rng.uniform(-1, 1, 1).repeat(ndim))
    thick = max(spacing) / min(spacing) > 2
    planes = [(ndim - 2, ndim - 1)] if ndim == 2 or thick else [(0, 1), (0, 2), (1, 2)]
    for a, b in planes:
        angle = np.radians(rng.uniform(-spec.rotation, spec.rotation))
        rotation = np.eye(ndim)
        rotation[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = matrix @ rotation
    if spec.turns and rng.random() < 0.5:
        turn = np.eye(ndim)
        turn[-2:, -2:] = [[0, -1], [1, 0]]
        matrix = matrix @ turn
    if spec.flips:
        signs = rng.choice([-1.0, 1.0], ndim)
        if isinstance(spec.flips, tuple):
            signs[[k for k in range(ndim) if k not in spec.flips]] = 1
        matrix = matrix @ np.diag(signs)
    return np.asarray(matrix)


def change_intensities(rng: np.random.Generator, image: Tensor, spec: Augmentation) -> Tensor:
    """Contrast, brightness, gamma, blur and noise; each is left out half of the time."""
    if spec.contrast and rng.random() < 0.5:
        image = image * float(rng.uniform(1 - spec.contrast, 1 + spec.contrast))
    if spec.brightness and rng.random() < 0.5:
        image = image + float(rng.uniform(-spec.brightness, spec.brightness))
    if spec.gamma and rng.random() < 0.5:
        low, high = image.amin(), image.amax()
        width = (high - low).clamp(min=1e-6)
        image = ((image - low) / width) ** float(np.exp(rng.uniform(-spec.gamma, spec.gamma) * 2)) * width + low
    if spec.blur and rng.random() < 0.25:
        image = _blurred(image, float(rng.uniform(0.3, max(0.3, spec.blur))))
    if spec.noise and rng.random() < 0.5:
        noise = rng.standard_normal(tuple(image.shape), np.float32) * np.float32(rng.uniform(0, spec.noise))
        image = image + torch.from_numpy(noise)
    return image


def _blurred(image: Tensor, sigma: float) -> Tensor:
    radius = max(1, round(3 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(1, image.ndim):
        moved = image.movedim(axis, -1)
        padded = functional.pad(moved.reshape(-1, 1, moved.shape[-1]), (radius, radius), mode="replicate")
        image = functional.conv1d(padded, kernel[None, None]).reshape(moved.shape).movedim(-1, axis)
    return image
