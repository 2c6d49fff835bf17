"""The random patches of each training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_seg.errors import SegError
from napari_seg.models.spec import ModelSpec
from napari_seg.training import augment
from napari_seg.training.sample import Sample

Places = NDArray[np.int64]
"""Voxels of a sample, as flat indices."""


@dataclass(frozen=True, eq=False)
class _Source:
    """A sample as patches are cut from it. ``planes``: the shape of its labels beside the grid.

    ``classes``: some voxels of each class that counts somewhere; ``known``: some voxels where labels count, ``None``
    for everywhere.
    """

    image: Tensor
    labels: Tensor
    mask: Tensor | None
    planes: tuple[int, ...]
    classes: list[Places]
    known: Places | None

    @classmethod
    def of(cls, sample: Sample, classes: int) -> Self:
        mask = sample.mask
        return cls(
            torch.from_numpy(np.ascontiguousarray(sample.image)),
            torch.from_numpy(np.ascontiguousarray(sample.labels).reshape(-1, *sample.grid)),
            None if mask is None else torch.from_numpy(np.ascontiguousarray(mask)),
            sample.labels.shape[: -len(sample.grid)],
            _places(sample, classes),
            None if mask is None else _some(mask),
        )

    def centre(self, rng: np.random.Generator, size: tuple[int, ...]) -> NDArray[np.float64]:
        """Where to cut the next patch: half of them lie on a class drawn at random, the others anywhere where labels
        count."""
        grid = np.array(self.image.shape[1:])
        half = np.minimum(np.array(size) / 2, grid / 2)
        on_class = self.classes and rng.random() < 0.5
        if on_class or self.known is not None:
            places = self.classes[int(rng.integers(len(self.classes)))] if on_class else self.known
            assert places is not None
            voxel = np.unravel_index(int(places[rng.integers(len(places))]), tuple(grid))
            centre = voxel + rng.uniform(-0.5, 0.5, len(grid))  # the voxels of a patch lie on no raster
            return centre if self.known is None else np.clip(centre, half - 0.5, grid - half - 0.5)
        return rng.uniform(half, grid - half) - 0.5


class Patches:
    """Cuts random patches: of each batch the last :attr:`old` from the samples of an earlier training, if there are
    any, the others from those that are learned."""

    def __init__(
        self,
        learned: Sequence[Sample],
        model: ModelSpec,
        changes: augment.Augmentation,
        size: int,
        seed: int,
        older: Sequence[Sample] = (),
        old_share: float = 0.5,
    ) -> None:
        if not learned:
            raise SegError("Nowhere in the training images do labels count; label something first.")
        self.model, self.changes, self.size, self.seed = model, changes, size, seed
        self.old = min(max(1, round(size * old_share)), size - 1) if older and old_share else 0
        self.spacing = tuple(model.input.spacing or (1.0,) * model.network.ndim)
        classes = len(model.task.names)
        self.learned = [_Source.of(sample, classes) for sample in learned]
        self.older = [_Source.of(sample, classes) for sample in older if self.old]

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images, targets and masks of a step."""
        rng = np.random.default_rng([self.seed, step])
        sources = [self.learned] * (self.size - self.old) + [self.older] * self.old
        patches = [self._patch(rng, part[int(rng.integers(len(part)))]) for part in sources]
        images, targets, masks = zip(*patches, strict=True)
        return torch.stack(images), torch.stack(targets), torch.stack(masks)

    def _patch(self, rng: np.random.Generator, source: _Source) -> tuple[Tensor, Tensor, Tensor]:
        size = self.model.input.patch
        warp = augment.draw_warp(rng, size, self.spacing, self.changes)
        patch = augment.cut(source.image, source.labels, source.mask, source.centre(rng, size), size, warp)
        target = self.model.task.encode(patch.labels.numpy().reshape(source.planes + size), self.spacing)
        image = augment.change_intensities(rng, patch.image, self.changes)
        return image, torch.from_numpy(target), patch.mask[None].float()


def _places(sample: Sample, classes: int) -> list[Places]:
    """Some voxels of each class that counts somewhere (of any object where there is one class)."""
    found = []
    for number in range(1, classes + 1):
        if sample.labels.ndim == sample.image.ndim:
            inside = sample.labels[number - 1] > 0
        else:
            inside = sample.labels == number if classes > 1 else sample.labels > 0
        places = _some(inside if sample.mask is None else inside & sample.mask)
        if len(places):
            found.append(places)
    return found


def _some(inside: NDArray[np.bool_]) -> Places:
    """About 2000 of the voxels inside, or all of fewer."""
    flat = np.flatnonzero(inside)
    return flat[:: max(1, len(flat) // 2000)]
