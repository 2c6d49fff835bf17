"""Images and labels move together, draws repeat, and what lies outside is unknown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_seg.training.augment import Augmentation, change_intensities, cut, draw_warp

STILL = Augmentation(
    flips=False, turns=False, rotation=0, scaling=1, elastic=0, brightness=0, contrast=0, gamma=0, noise=0, blur=0
)


@pytest.mark.parametrize("ndim", [2, 3])
def test_without_changes_a_patch_is_a_piece_of_the_image(ndim: int) -> None:
    grid, size = (12, 14, 16)[:ndim], (4, 6, 8)[:ndim]
    image = torch.rand(2, *grid)
    labels = torch.arange(image[0].numel()).reshape(1, *grid)
    warp = draw_warp(np.random.default_rng(0), size, (1.0,) * ndim, STILL)
    patch = cut(image, labels, None, np.array(size) / 2 - 0.5 + 2, size, warp)
    piece = tuple(slice(2, 2 + n) for n in size)
    torch.testing.assert_close(patch.image, image[(slice(None), *piece)], atol=1e-5, rtol=1e-5)
    assert torch.equal(patch.labels, labels[(slice(None), *piece)])
    assert patch.mask.all()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_labels_follow_the_image(ndim: int, seed: int) -> None:
    grid = (40,) * ndim
    labels = torch.zeros(1, *grid, dtype=torch.int64)
    labels[(0, *(slice(10, 30),) * ndim)] = 70_001
    warp = draw_warp(np.random.default_rng(seed), (32,) * ndim, (2.0,) * (ndim - 1) + (1.0,), Augmentation())
    patch = cut((labels > 0).float(), labels, None, np.full(ndim, 19.5), (32,) * ndim, warp)
    agree = ((patch.image[0] > 0.5) == (patch.labels[0] > 0))[patch.mask]
    assert agree.float().mean() > 0.97
    assert set(patch.labels.unique().tolist()) <= {0, 70_001}


def test_outside_the_image_and_outside_the_mask_nothing_is_known() -> None:
    image, labels = torch.rand(1, 10, 10), torch.ones(1, 10, 10, dtype=torch.int64)
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[:, :5] = True
    warp = draw_warp(np.random.default_rng(0), (16, 16), (1.0, 1.0), STILL)
    known = cut(image, labels, mask, np.array([4.5, 4.5]), (16, 16), warp).mask
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[3:13, 3:8] = True
    assert torch.equal(known, expected)
    assert torch.isfinite(cut(image, labels, None, np.array([-30.0, 4]), (16, 16), warp).image).all()


@pytest.mark.parametrize(
    ("flips", "seen"),
    [(False, {(1, 1)}), ((1,), {(1, 1), (1, -1)}), ((), {(1, 1)}), (True, {(1, 1), (1, -1), (-1, 1), (-1, -1)})],
)
def test_patches_are_mirrored_along_the_axes_that_were_asked_for(
    flips: bool | tuple[int, ...], seen: set[tuple[int, int]]
) -> None:
    spec, rng = STILL.model_copy(update={"flips": flips}), np.random.default_rng(0)
    warps = [draw_warp(rng, (3, 3), (1.0, 1.0), spec) for _ in range(40)]
    assert {(int(warp[0, 2, 1]), int(warp[1, 1, 2])) for warp in warps} == seen


def test_draws_repeat() -> None:
    image = torch.rand(1, 20, 20)
    one, two, other = (change_intensities(np.random.default_rng([3, s]), image, Augmentation()) for s in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    warps = [draw_warp(np.random.default_rng(5), (8, 8), (1.0, 1.0), Augmentation()) for _ in range(2)]
    assert np.array_equal(*warps)


def test_intensities_stay_finite_for_a_constant_image() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        assert torch.isfinite(change_intensities(rng, torch.zeros(1, 9, 9, 9), Augmentation())).all()


def test_blur_keeps_a_constant_image_and_the_sum_of_a_point() -> None:
    spec = STILL.model_copy(update={"blur": 1.0})
    point = torch.zeros(1, 31, 31)
    point[0, 15, 15] = 1
    sums = [float(change_intensities(np.random.default_rng(s), point, spec).sum()) for s in range(20)]
    assert sums == pytest.approx([1.0] * 20, abs=1e-4)
    peaks = [float(change_intensities(np.random.default_rng(s), point, spec).max()) for s in range(20)]
    assert min(peaks) < 0.9 < max(peaks)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 1, 2)])
def test_the_smallest_images(shape: tuple[int, ...]) -> None:
    size = (8,) * len(shape)
    warp = draw_warp(np.random.default_rng(0), size, (1.0,) * len(shape), Augmentation())
    centre = (np.array(shape) - 1) / 2
    patch = cut(torch.rand(1, *shape), torch.ones(1, *shape, dtype=torch.int64), None, centre, size, warp)
    assert torch.isfinite(patch.image).all()
    assert patch.image.shape == (1, *size)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0, 50.0])
def test_strength_scales_all_changes_by_numbers_and_leaves_the_ways_up(strength: float) -> None:
    planned = Augmentation(flips=False, rotation=20)
    changed = planned.times(strength)
    assert Augmentation.from_person(changed.model_dump()) == changed  # within what the spec allows
    assert (changed.flips, changed.turns) == (False, True)
    if strength == 1:
        assert changed == planned
    weaker = [getattr(changed, name) <= getattr(planned, name) for name in ("rotation", "scaling", "noise", "elastic")]
    assert weaker == [strength <= 1] * 4
