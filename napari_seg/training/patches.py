"""The random patches of each training step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_seg.errors import SegError
from napari_seg.models.spec import ModelSpec
from napari_seg.training import augment
from napari_seg.training.sample import Sample


class Patches:
    """Cuts random patches; half of a semantic batch is centred on a class drawn at random."""

    def __init__(
        self, learned: Sequence[Sample], model: ModelSpec, changes: augment.Augmentation, size: int, seed: int
    ) -> None:
        if not learned:
            raise SegError("Nowhere in the training images do labels count; label something first.")
        self.samples, self.model = learned, model
        self.changes, self.size, self.seed = changes, size, seed
        self.images = [torch.from_numpy(np.ascontiguousarray(sample.image)) for sample in learned]
        self.labels = [
            torch.from_numpy(np.ascontiguousarray(sample.labels).reshape(-1, *sample.grid)) for sample in learned
        ]
        self.masks = [None if s.mask is None else torch.from_numpy(np.ascontiguousarray(s.mask)) for s in learned]
        self.spacing = tuple(model.input.spacing or (1.0,) * model.network.ndim)
        self.classes = [_places(sample, len(model.task.names)) for sample in learned]

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images, targets and masks of a step."""
        rng = np.random.default_rng([self.seed, step])
        patches = [self._patch(rng) for _ in range(self.size)]
        images, targets, masks = zip(*patches, strict=True)
        return torch.stack(images), torch.stack(targets), torch.stack(masks)

    def _patch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        which = int(rng.integers(len(self.samples)))
        size = self.model.input.patch
        warp = augment.draw_warp(rng, size, self.spacing, self.changes)
        patch = augment.cut(
            self.images[which], self.labels[which], self.masks[which], self._centre(rng, which, size), size, warp
        )
        planes = self.samples[which].labels.shape[: -len(size)]
        target = self.model.task.encode(patch.labels.numpy().reshape(planes + size), self.spacing)
        image = augment.change_intensities(rng, patch.image, self.changes)
        return image, torch.from_numpy(target), patch.mask[None].float()

    def _centre(self, rng: np.random.Generator, which: int, size: tuple[int, ...]) -> NDArray[np.float64]:
        grid = np.array(self.samples[which].grid)
        places = self.classes[which]
        if places and rng.random() < 0.5:
            chosen = places[int(rng.integers(len(places)))]
            return np.array(np.unravel_index(int(chosen[rng.integers(len(chosen))]), tuple(grid)), float)
        half = np.minimum(np.array(size) / 2, grid / 2)
        return rng.uniform(half, grid - half) - 0.5


def _places(sample: Sample, classes: int) -> list[NDArray[np.int64]]:
    """Some voxels of each class there is (of any object where there is one class), as flat indices."""
    found = []
    for number in range(1, classes + 1):
        if sample.labels.ndim == sample.image.ndim:
            inside = sample.labels[number - 1] > 0
        else:
            inside = sample.labels == number if classes > 1 else sample.labels > 0
        flat = np.flatnonzero(inside)
        if len(flat):
            found.append(flat[:: max(1, len(flat) // 2000)])
    return found
