"""Contracts over the registries, oracles from scipy and scikit-image, and the odd masks people really have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from skimage.metrics import contingency_table

from napari_seg.errors import SegError
from napari_seg.evaluation import metrics
from napari_seg.evaluation.metrics import CLASS_METRICS, OBJECT_METRICS, THRESHOLDS, overlap, whole_labels

small_masks = hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 5))


@st.composite
def pairs_of_masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    truth = draw(small_masks)
    return truth, draw(hnp.arrays(np.uint8, truth.shape, elements=st.integers(0, 5)))


def blobs(seed: int, size: int = 96) -> np.ndarray:
    """Touching cells: the nearest of some random points, the farthest pixels left as background."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, size, (25, 2))
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij"), -1)
    distance = np.linalg.norm(grid[:, :, None] - points, axis=-1)
    return np.where(distance.min(-1) < 9, distance.argmin(-1) + 1, 0).astype(np.uint16)


@pytest.mark.parametrize("shape", [(5, 0), (0, 5), (0, 0)])
def test_masks_without_a_pixel_have_nothing_in_common(shape: tuple[int, ...]) -> None:
    found = overlap(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    assert found.truth.size == found.found.size == found.shared.size == 0


@pytest.mark.parametrize("measure", OBJECT_METRICS.values(), ids=OBJECT_METRICS.keys())
class TestObjectMetrics:
    @pytest.mark.parametrize("iou", THRESHOLDS)
    def test_identity_is_one(self, measure, iou):
        assert measure(overlap(blobs(0), blobs(0)), iou) == 1

    def test_new_names_for_the_objects_change_nothing(self, measure):
        truth, found = blobs(1), np.roll(blobs(1), 4, axis=0)
        names = np.random.default_rng(0).permutation(1000)[: found.max() + 1] + 1
        names[0] = 0
        assert measure(overlap(truth, names[found]), 0.5) == measure(overlap(truth, found), 0.5)
        assert 0 < measure(overlap(truth, found), 0.5) < 1

    def test_nothing_to_measure_is_none_and_one_side_empty_is_zero(self, measure):
        empty = np.zeros((4, 4), np.uint8)
        assert measure(overlap(empty, empty), 0.5) is None
        assert measure(overlap(empty, empty + 1), 0.5) == 0
        assert measure(overlap(empty + 1, empty), 0.5) == 0

    def test_stricter_is_never_better(self, measure):
        table = overlap(blobs(2), np.roll(blobs(2), 1, axis=1))
        figures = [measure(table, iou) for iou in THRESHOLDS]
        assert figures == sorted(figures, reverse=True)
        assert figures[0] > figures[-1]


@pytest.mark.parametrize("measure", CLASS_METRICS.values(), ids=CLASS_METRICS.keys())
class TestClassMetrics:
    def test_identity_is_one_and_disjoint_is_zero(self, measure):
        mask = np.array([[0, 1], [2, 2]])
        assert measure(overlap(mask, mask).counts(2)) == 1
        assert measure(overlap(mask, mask[::-1]).counts(1)) == 0

    def test_nothing_to_measure_is_none_and_one_side_empty_is_zero(self, measure):
        empty = np.zeros((4, 4), np.uint8)
        assert measure(overlap(empty, empty).counts(1)) is None
        assert measure(overlap(empty, empty + 1).counts(1)) == 0


@given(pairs_of_masks())
def test_table_agrees_with_scikit_image(masks):
    truth, found = masks
    table = overlap(truth, found)
    expected = contingency_table(truth, found, sparse_type="array").toarray()
    dense = np.zeros_like(expected, shape=(truth.max() + 1, found.max() + 1), dtype=np.int64)
    dense[table.truth[table.truth_of], table.found[table.found_of]] = table.shared
    assert np.array_equal(dense[1:, 1:], expected[1:, 1:])
    assert table.truth_sizes.sum() == np.count_nonzero(truth)
    assert table.found_sizes.sum() == np.count_nonzero(found)


@given(pairs_of_masks(), st.sampled_from(THRESHOLDS))
def test_matching_agrees_with_the_optimal_assignment(masks, threshold):
    truth, found = masks
    table = overlap(truth, found)
    iou = np.zeros((len(table.truth), len(table.found)))
    iou[table.truth_of, table.found_of] = table.iou
    rows, columns = linear_sum_assignment(-((iou >= threshold) + iou / (2 * max(1, min(iou.shape)))))
    assert np.count_nonzero(table.matched >= threshold) == np.count_nonzero(iou[rows, columns] >= threshold)


@given(pairs_of_masks(), st.integers(1, 5))
def test_dice_and_jaccard_agree_with_their_definitions(masks, label):
    a, b = masks[0] == label, masks[1] == label
    counts = overlap(*masks).counts(label)
    if not (a | b).any():
        assert metrics.dice(counts) is None
    else:
        assert metrics.dice(counts) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert metrics.jaccard(counts) == pytest.approx((a & b).sum() / (a | b).sum())


def test_two_halves_of_a_whole_are_one_hit():
    whole, halves = np.array([[1, 1, 1, 1]]), np.array([[1, 1, 2, 2]])
    for table in (overlap(whole, halves), overlap(halves, whole)):
        assert table.matched.tolist() == [0.5]
        assert metrics.average_precision(table, 0.5) == 0.5  # one hit, one object too many


def test_an_object_at_exactly_the_threshold_is_a_hit():
    truth, found = np.zeros((1, 40), np.uint8), np.zeros((1, 40), np.uint8)
    truth[0, :20], found[0, :11] = 1, 1
    table = overlap(truth, found)
    assert metrics.average_precision(table, 0.55) == 1
    assert metrics.average_precision(table, 0.60) == 0


def test_one_pixel():
    table = overlap(np.array([[7]]), np.array([[3]]))
    assert (table.truth.tolist(), table.found.tolist(), table.matched.tolist()) == ([7], [3], [1.0])


def test_slabs_give_the_same_table(monkeypatch):
    truth, found = blobs(3), np.roll(blobs(3), 3, axis=1)
    whole = overlap(truth, found)
    monkeypatch.setattr(metrics, "_SLAB", 500)
    slabs = overlap(truth, found)
    assert np.array_equal(whole.shared, slabs.shared)
    assert np.array_equal(whole.truth_sizes, slabs.truth_sizes)
    assert metrics.average_precision(whole, 0.5) == metrics.average_precision(slabs, 0.5)


def test_many_objects_need_no_dense_table():
    labels = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300).repeat(2, 1)
    table = overlap(labels, labels.astype(np.uint64) * 40_000)
    assert len(table.truth) == 300 * 300 - 1
    assert metrics.average_precision(table, 0.9) == 1


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32, np.float64])
def test_labels_of_any_type_pass_when_they_are_whole(dtype):
    assert whole_labels(np.array([[0, 1]], dtype)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.array([[0.5]]), "fractions"),
        (np.array([[-1]]), "renumber"),
        (np.array([[np.nan]]), "renumber"),
        (np.array([[np.inf]]), "renumber"),
        (np.array([[2**32]]), "renumber"),
        (np.array([[1j]]), "whole numbers"),
    ],
)
def test_what_is_no_mask_is_refused(labels, reason):
    with pytest.raises(SegError, match=reason):
        overlap(labels, labels)


def test_shapes_must_fit():
    with pytest.raises(SegError, match="same image"):
        overlap(np.zeros((2, 3)), np.zeros((3, 2)))
