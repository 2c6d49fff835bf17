"""A grid in blocks, and what a block is stored as."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_seg.errors import SegError
from napari_seg.session.blocks import Grid, digest, pack, smallest, unpack

SHAPES = st.one_of(
    st.tuples(st.integers(0, 600), st.integers(0, 600)),
    st.tuples(st.integers(0, 40), st.integers(0, 150), st.integers(0, 150)),
)


@given(SHAPES)
def test_every_voxel_lies_in_one_block(shape: tuple[int, ...]) -> None:
    grid = Grid(shape)
    seen = np.zeros(shape, np.uint8)
    for number in range(len(grid)):
        seen[grid.box(number)] += 1
        assert seen[grid.box(number)].shape == grid.extent(number)
    assert (seen == 1).all()


@given(SHAPES, st.data())
def test_a_box_touches_the_blocks_that_share_voxels_with_it(shape: tuple[int, ...], data: st.DataObject) -> None:
    grid = Grid(shape)
    spans = [sorted(data.draw(st.tuples(st.integers(-9, n + 9), st.integers(-9, n + 9)))) for n in shape]
    box = tuple(slice(a, b) for a, b in spans)
    mark = np.zeros(shape, bool)
    mark[tuple(slice(max(0, side.start), max(0, side.stop)) for side in box)] = True
    assert list(grid.touched(box)) == [number for number in range(len(grid)) if mark[grid.box(number)].any()]


INTEGERS = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, ">u2", ">i4"])
BLOCKS = st.tuples(INTEGERS, st.tuples(st.integers(0, 5), st.integers(1, 5))).flatmap(
    lambda known: arrays(known[0], known[1], elements=st.integers(0, np.iinfo(known[0]).max))
)


@given(BLOCKS)
def test_a_block_comes_back_in_the_smallest_dtype(block: np.ndarray) -> None:
    small = smallest(block)
    assert small.dtype == np.min_scalar_type(int(block.max(initial=0)))
    np.testing.assert_array_equal(small, block)
    name = digest(small)
    assert (name == b"") == (not block.any())
    if name:
        back = unpack(pack(small), block.shape)
        assert back.dtype == small.dtype
        np.testing.assert_array_equal(back, block)
        back[...] = 0  # it can be written to


@given(BLOCKS)
def test_equal_labels_are_equal_blocks_whatever_array_they_come_from(block: np.ndarray) -> None:
    name = digest(smallest(block))
    for same in (np.asfortranarray(block), np.repeat(block, 2, 0)[::2], block.astype(np.uint64)):
        assert digest(smallest(same)) == name
    if block.size:
        other = block.astype(np.uint64)
        other.flat[0] ^= 1
        assert digest(smallest(other)) != name


def test_bool_is_a_label() -> None:
    assert smallest(np.array([[True, False]])).dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_labels_below_zero_are_refused_in_words(dtype: type) -> None:
    with pytest.raises(SegError, match="below 0 cannot be kept; number"):
        smallest(np.array([[3, -1]], dtype))


@pytest.mark.parametrize(
    "packed",
    [
        b"\x01",
        b"\x01abc",
        b"\x02" + zlib.compress(bytes(3)),
        b"\x01" + zlib.compress(bytes(5)),
        b"\x09" + zlib.compress(bytes(4)),
    ],
)
def test_a_damaged_block_is_told(packed: bytes) -> None:
    with pytest.raises(SegError, match="damaged on the disk; restore"):
        unpack(packed, (2, 2))


def test_no_contents_are_background() -> None:
    np.testing.assert_array_equal(unpack(b"", (2, 3)), np.zeros((2, 3)))
