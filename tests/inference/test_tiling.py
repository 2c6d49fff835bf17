from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_seg.inference.tiling import tile_axis

axes = st.builds(
    tile_axis,
    length=st.integers(1, 300),
    tile=st.integers(1, 96),
    overlap=st.floats(0, 0.9),
    multiple=st.sampled_from([1, 2, 8, 16]),
)


@given(axes)
def test_weights_of_every_pixel_sum_to_one(axis):
    total = np.zeros(axis.padded)
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        total[start : start + axis.tile] += weights
    assert np.allclose(total, 1, atol=1e-6)


@given(axes)
def test_tiles_lie_inside_in_order_and_cover_the_whole_axis(axis):
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == axis.padded
    assert all(0 < b - a <= axis.tile for a, b in zip(axis.starts, axis.starts[1:], strict=False))
    assert axis.before >= 0
    assert axis.after >= 0


@given(st.integers(1, 300), st.integers(1, 96), st.floats(0, 0.9), st.sampled_from([1, 4, 16]))
def test_the_tile_is_a_multiple_and_no_longer_than_needed(length, tile, overlap, multiple):
    axis = tile_axis(length, tile, overlap, multiple)
    assert axis.tile % multiple == 0
    assert axis.tile < length + multiple
    assert axis.padded - length < multiple


@pytest.mark.parametrize(("overlap", "count"), [(0.0, 4), (0.25, 5), (0.5, 7)])
def test_the_overlap_is_at_least_what_was_asked_for(overlap, count):
    axis = tile_axis(256, 64, overlap, 16)
    assert len(axis.starts) == count
    assert all(a + 64 - b >= overlap * 64 for a, b in zip(axis.starts, axis.starts[1:], strict=False))


def test_the_middle_of_a_tile_weighs_more_than_its_edge():
    axis = tile_axis(160, 64, 0.5, 16)
    middle = axis.weights[1]
    assert middle[32] > 3 * middle[2]
