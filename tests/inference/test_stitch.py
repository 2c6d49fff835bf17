from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_seg.inference import decoding
from napari_seg.inference.stitch import decode_blocks, link_slices, overlaps
from napari_seg.tasks.instance import Instance


def balls(shape, centres, radius, spacing=(1.0, 1.0, 1.0)):
    places = np.indices(shape).reshape(3, -1).T * spacing
    labels = np.zeros(int(np.prod(shape)), np.int64)
    for number, centre in enumerate(centres, start=1):
        labels[np.linalg.norm(places - np.multiply(centre, spacing), axis=1) <= radius] = number
    return labels.reshape(shape)


def same_up_to_names(a, b):
    first, second, shared = overlaps(a, b)
    return (
        np.array_equal(a > 0, b > 0)
        and len(first) == len(np.unique(first)) == len(np.unique(second))
        and shared.sum() == (a > 0).sum()
    )


def as_slices(labels, seed=0):
    """Every slice with numbers of its own."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(labels.max() + 1)[plane] * (plane > 0) + (plane > 0) for plane in labels]


TWO = balls((24, 40, 40), [(8, 12, 12), (15, 26, 27)], 7)
DISK = (TWO == 1)[8:9].astype(np.int64)


def test_slices_of_the_same_object_get_one_number():
    assert same_up_to_names(link_slices(as_slices(TWO), (1, 1, 1)), TWO)


def test_touching_objects_above_each_other_stay_apart():
    labels = np.zeros((12, 20, 20), np.int64)
    labels[:6, 2:10, 2:10] = 1
    labels[6:, 9:17, 9:17] = 2
    assert same_up_to_names(link_slices(as_slices(labels), (1, 1, 1)), labels)


def test_a_gap_of_one_slice_is_closed_and_a_gap_of_two_is_not():
    slices = as_slices(np.repeat(DISK, 9, axis=0))
    slices[3] = np.zeros_like(slices[3])
    linked = link_slices(slices, (1, 1, 1))
    assert np.array_equal(linked[3] > 0, DISK[0] > 0)
    assert linked.max() == 1
    slices[4] = np.zeros_like(slices[4])
    assert link_slices(slices, (1, 1, 1)).max() == 2


def test_a_gap_longer_than_the_object_is_wide_is_not_closed():
    slices = as_slices(np.repeat(DISK, 5, axis=0))
    slices[2] = np.zeros_like(slices[2])
    assert link_slices(slices, (1.0, 0.1, 0.1)).max() == 2


def test_an_object_that_goes_on_in_the_next_slice_is_not_linked_across_it():
    labels = np.zeros((3, 20, 30), np.int64)
    labels[0, 5:15, 5:15] = 1
    labels[1, 5:15, 7:17] = 1
    labels[2, 5:15, 5:15] = 1
    assert link_slices(as_slices(labels), (1, 1, 1)).max() == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(8, 16, 16), (12, 12, 40), (40, 40, 40)]))
def test_blocks_give_the_same_objects_as_the_whole(seed, block):
    """Where the margin is wider than an object."""
    rng = np.random.default_rng(seed)
    shape = (30, 44, 40)
    labels = balls(shape, rng.uniform(0, 1, (12, 3)) * shape, 5)
    task = Instance(ndim=3)
    scores = task.encode(labels, (1, 1, 1))
    whole = task.decode(scores, (1, 1, 1))
    steps = decode_blocks(lambda box: task.decode(scores[(slice(None), *box)], (1, 1, 1)), shape, block, (14, 14, 14))
    *between, found = list(steps)
    assert all(step is None for step in between)
    assert same_up_to_names(whole, found)


def test_an_object_longer_than_a_block_is_not_cut():
    labels = np.zeros((8, 20, 200), np.int64)
    labels[2:6, 4:16, 3:190] = 1

    def decode(box):
        return labels[box]

    *_, found = decode_blocks(decode, labels.shape, (8, 20, 32), (4, 8, 8))
    assert same_up_to_names(found, labels)


def test_large_images_take_the_way_of_the_blocks(monkeypatch):
    scores = Instance(ndim=3).encode(TWO, (1, 1, 1))
    *_, whole = decoding.objects(Instance(ndim=3), scores, (1, 1, 1), by_slices=False)
    monkeypatch.setattr(decoding, "WHOLE", 0)
    monkeypatch.setattr(decoding, "_BLOCK", {3: (12, 20, 20)})
    *fractions, found = decoding.objects(Instance(ndim=3), scores, (1, 1, 1), by_slices=False)
    assert same_up_to_names(found, whole)
    assert fractions == sorted(fractions)
    assert max(fractions) < 1


@pytest.mark.parametrize("count", [1, 5])
def test_nothing_in_the_slices_is_nothing_in_the_volume(count):
    assert link_slices([np.zeros((4, 5), np.uint8)] * count, (1, 1, 1)).sum() == 0
