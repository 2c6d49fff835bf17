"""Where two masks differ: what became of each object, which regions have another class, and where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_seg.errors import SegError
from napari_seg.evaluation.differences import EXTRA, MISSED, MOST, OTHER, differences
from napari_seg.evaluation.metrics import average_precision, overlap


def test_each_fate_of_an_object_has_its_words() -> None:
    truth, found = np.zeros((2, 60, 100), np.uint16)
    truth[0:10, 0:10], found[0:10, 0:10] = 1, 41  # the same
    truth[0:10, 20:30] = 2  # missed
    truth[20:30, 0:9], truth[20:30, 10:19], found[20:30, 0:20] = 3, 4, 42  # joined
    truth[40:50, 0:20], found[40:50, 0:9], found[40:50, 9:18] = 5, 43, 44  # divided
    found[0:10, 40:50] = 45  # nothing there
    truth[20:30, 40:50], found[20:30, 44:55] = 6, 46  # another outline
    truth[40:50, 40:50], found[40:50, 40:50], found[40:42, 40:50] = 7, 47, 48  # a piece too much
    truth[20:30, 70:80], found[20:30, 70:77] = 8, 49  # a partner, but badly outlined
    result = differences(truth, found, (1, 1), objects=True)
    told = {(one.truth, one.found): one.what for one in result.listed}
    assert told == {
        (2, 0): "missed",
        (3, 42): "joined with 1 other",
        (4, 42): "joined with 1 other",
        (5, 43): "divided into 2",
        (0, 45): "not in the reference",
        (6, 46): "another outline, IoU 0.40",
        (0, 48): "a piece too much",
        (8, 49): "another outline, IoU 0.70",
    }
    assert result.listed[-1].truth == 8  # what has a partner comes last
    assert (result.marks[0:10, 20:30] == MISSED).all()
    assert (result.marks[0:10, 40:50] == EXTRA).all()
    assert not result.marks[0:10, 0:10].any()


def test_regions_of_classes_come_by_how_thick_they_are() -> None:
    truth, found = np.zeros((2, 40, 60), np.uint8)
    truth[5:25, 5:25], found[6:25, 5:25] = 1, 1  # a rim of 20 pixels
    found[30:34, 30:34] = 1  # a block of 16
    truth[5:25, 40:50], found[5:25, 40:50] = 1, 2  # another class, 200 pixels
    result = differences(truth, found, (0.5, 0.5), objects=False)
    assert [(one.what, one.truth, one.found, one.voxels) for one in result.listed] == [
        ("another class", 1, 2, 200),
        ("too much", 0, 1, 16),
        ("missed", 1, 0, 20),
    ]
    assert result.listed[1].box == (slice(30, 34), slice(30, 34))
    assert np.unique(result.marks).tolist() == [0, MISSED, EXTRA, OTHER]


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([(9, 8), (3, 6, 5), (1, 7, 7)]))
def test_what_is_listed_is_what_differs(seed: int, objects: bool, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    truth, found = (rng.integers(0, 4, shape).astype(np.uint8) for _ in range(2))
    result = differences(truth, found, (1,) * len(shape), objects=objects)
    for one in result.listed:
        place = tuple(map(int, one.place))
        assert all(side.start <= at < side.stop for side, at in zip(one.box, place, strict=True))
        if objects:
            assert truth[place] == one.truth if one.truth else found[place] == one.found
        else:
            assert (truth[place], found[place]) == (one.truth, one.found)
    table = overlap(truth, found)
    if objects:
        lost = {int(label) for label, partner in zip(table.truth, table.partners, strict=True) if partner < 0}
        assert lost <= {one.truth for one in result.listed}
        perfect = average_precision(table, 0.5) in (1, None)
        assert perfect == (
            not any("IoU" not in one.what for one in result.listed if one.truth not in lost) and not lost
        )
    else:
        assert sum(one.voxels for one in result.listed) == np.count_nonzero(truth != found)
        np.testing.assert_array_equal(result.marks > 0, truth != found)


@pytest.mark.parametrize("objects", [True, False])
def test_masks_that_agree_and_empty_ones(objects: bool) -> None:
    mask = np.zeros((5, 6), np.uint32)
    for same in (mask, np.ones_like(mask), mask[:0]):
        result = differences(same, same, (1, 1), objects=objects)
        assert (result.listed, result.more, result.marks.any()) == ((), 0, False)
    with pytest.raises(SegError, match="take masks of the same image"):
        differences(mask, mask[1:], (1, 1), objects=objects)


def test_of_very_many_the_worst_are_listed() -> None:
    truth = np.zeros((200, 200), np.uint16)
    truth[::3, ::3] = np.arange(67 * 67).reshape(67, 67) + 1
    for objects in (True, False):
        mask = truth if objects else (truth > 0).astype(np.uint8)
        result = differences(mask, np.zeros_like(mask), (1, 1), objects=objects)
        assert (len(result.listed), result.more) == (MOST, 67 * 67 - MOST)
