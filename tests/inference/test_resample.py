from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_seg.inference.resample import Resampling, resampled


@pytest.mark.parametrize(("source", "target"), [(35, 21), (21, 35), (7, 3)])
def test_every_plane_alone_is_that_plane_of_the_whole(source, target):
    values, axis = np.random.default_rng(0).random((source, 3), np.float32), Resampling(source, target)
    whole = axis.apply(values, 0, 0, target)
    for plane in range(target):
        low, high = axis.needs(plane, plane + 1)
        assert np.allclose(axis.apply(values[low:high], 0, plane, plane + 1), whole[plane : plane + 1], atol=1e-6)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_a_block_is_the_same_as_that_part_of_the_whole(source, target, data):
    values = np.random.default_rng(source).random((source, 3), np.float32)
    axis = Resampling(source, target)
    start = data.draw(st.integers(0, target - 1))
    stop = data.draw(st.integers(start + 1, target))
    low, high = axis.needs(start, stop)
    assert 0 <= low < high <= source
    whole = axis.apply(values, 0, 0, target)
    assert np.allclose(axis.apply(values[low:high], 0, start, stop), whole[start:stop], atol=1e-6)


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_constant_stays_what_it_is(source, target):
    constant = np.full((source,), 7.0, np.float32)
    assert np.allclose(Resampling(source, target).apply(constant, 0, 0, target), 7, atol=1e-5)


@pytest.mark.parametrize(("source", "target"), [(40, 80), (40, 63), (64, 20), (17, 16)])
def test_a_ramp_stays_where_it_is_in_the_world(source, target):
    """The value of a voxel is the place of its middle; away from the edges that must hold on the new grid."""
    ramp = np.arange(source, dtype=np.float32)
    found = Resampling(source, target).apply(ramp, 0, 0, target)
    expected = (np.arange(target) + 0.5) * source / target - 0.5
    inner = (expected > source / target) & (expected < source - 1 - source / target)
    assert np.abs(found - expected)[inner].max() < 0.05 * max(1, source / target)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(2, 40), st.integers(2, 40))
def test_agrees_with_the_antialiased_interpolation_of_torch(y, x, new_y, new_x):
    image = np.random.default_rng(y * 41 + x).random((2, y, x), np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None], (new_y, new_x), mode="bilinear", antialias=True, align_corners=False
    )[0].numpy()
    assert np.allclose(resampled(image, (new_y, new_x)), expected, atol=1e-4)


def test_shrinking_averages_detail_that_the_new_grid_cannot_hold():
    stripes = np.tile([0.0, 1.0], 64).astype(np.float32)
    assert np.ptp(Resampling(128, 16).apply(stripes, 0, 0, 16)[1:-1]) < 0.01
