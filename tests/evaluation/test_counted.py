"""Objects where labels count in some places only."""

from __future__ import annotations

import numpy as np

from napari_seg.evaluation.counted import ap_at_half, mean_ap


def boxes(*places: tuple[int, int], depth: int = 9) -> np.ndarray:
    labels = np.zeros((depth, 40, 40), np.int64)
    for number, (y, x) in enumerate(places, 1):
        labels[:, y : y + 8, x : x + 8] = number
    return labels


def test_an_object_that_the_mask_cuts_is_never_wrong() -> None:
    truth, mask = boxes((4, 4), (20, 17))[0], np.zeros((40, 40), bool)
    mask[:, :20] = True  # 3 of 8 columns of the second lie in it
    assert mean_ap([(truth, truth, mask)]) == 1
    assert mean_ap([(truth, np.where(truth == 1, truth, 0), mask)]) == 1
    moved = boxes((4, 4), (26, 15))[0]
    assert mean_ap([(truth, moved, mask)]) < 1  # most of this lies where it is known that nothing is
    assert mean_ap([(truth, np.where(truth == 2, truth, 0), mask)]) == 0


def test_half_of_an_object_is_enough_at_half() -> None:
    truth, found = boxes((4, 4), (20, 20))[0], boxes((4, 6), (20, 20))[0]  # the first overlaps by 6 of 10 columns
    assert ap_at_half([(truth, found, None)]) == 1
    assert 0.5 < mean_ap([(truth, found, None)]) < 1


def test_finished_slices_of_a_volume_are_judged() -> None:
    truth, mask = boxes((4, 4), (20, 20)), np.zeros((9, 40, 40), bool)
    mask[4] = True
    assert mean_ap([(truth, truth, mask)]) == 1
    assert mean_ap([(truth, boxes((4, 4)), mask)]) == 0.5
    assert mean_ap([(truth, np.zeros_like(truth), mask)]) == 0
