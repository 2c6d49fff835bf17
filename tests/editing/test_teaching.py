"""What is corrected next: unsure, and unlike what was corrected before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import disc

from napari_seg.editing.annotation import Annotation, Entry, object_key, slice_key
from napari_seg.editing.measures import measure
from napari_seg.editing.suspicion import Suspect, queue
from napari_seg.editing.teaching import FIRST, choose_slices, most_to_learn, varied


def organ(n: int = 40, doubt: dict[int, float] | None = None) -> Any:
    """Scores of a ball; in some slices a part of it is unsure."""
    inside = disc((n, 48, 48), (n / 2, 24, 24), 14)
    scores = np.where(inside, 0.999, 0.001)
    for k, value in (doubt or {}).items():
        scores[k, :, 24:][inside[k, :, 24:]] = value
    return scores[None].astype(np.float32)


def test_unsure_slices_come_first_and_neighbours_do_not_follow_each_other() -> None:
    scores = organ(doubt={18: 0.6, 19: 0.55, 20: 0.6, 21: 0.55, 30: 0.6})
    first, second, third = choose_slices(scores, None, 3)
    assert first in (18, 19, 20, 21)
    assert second == 30
    assert abs(third - first) > 2


def test_what_was_corrected_is_not_chosen_again_nor_are_its_twins() -> None:
    scores = organ(doubt={18: 0.6, 19: 0.55, 20: 0.6, 21: 0.55, 30: 0.6})
    spoken = np.zeros(scores.shape[1:], bool)
    spoken[18:21] = True
    chosen = choose_slices(scores, spoken, 4)
    assert chosen[0] == 30
    assert not {18, 19, 20} & set(chosen)
    assert 21 not in chosen[:2]


def test_along_another_axis_it_is_the_same() -> None:
    scores = organ(doubt={18: 0.6, 30: 0.6})
    assert choose_slices(np.moveaxis(scores, 1, 3), None, 5, axis=2) == choose_slices(scores, None, 5)


def test_where_nothing_is_seen_slices_are_spread() -> None:
    scores = np.zeros((3, 30, 8, 8), np.float32)
    scores[0] = 1
    chosen = choose_slices(scores, None, 5)
    assert chosen[0] in (14, 15)
    assert np.diff(sorted(chosen)).min() >= 4


def test_a_model_that_is_sure_of_something_wrong_is_corrected_where_it_holds_most() -> None:
    chosen = choose_slices(organ(), None, 3)
    assert 18 <= chosen[0] <= 22
    assert all(6 < k < 34 for k in chosen)
    assert min(abs(a - b) for a in chosen for b in chosen if a != b) > 3


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 40), st.integers(1, 3))
def test_every_slice_at_most_once(seed: int, n: int, count: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((channels, n, 5, 4)).astype(np.float32)
    if channels > 1:
        scores /= scores.sum(0)
    spoken = np.zeros((n, 5, 4), bool)
    spoken[rng.random(n) < 0.3] = True
    chosen = choose_slices(scores, spoken, count)
    free = set(range(n)) - set(np.flatnonzero(spoken.all((1, 2))).tolist())
    assert len(chosen) == len(set(chosen)) == min(count, len(free))
    assert set(chosen) <= free


def cells() -> tuple[Annotation, Any]:
    """Ten small cells in a cluster, all equally unsure, and one large cell far away, a little surer."""
    labels = np.zeros((120, 240), np.uint16)
    for k in range(10):
        labels[disc(labels.shape, (20 + 15 * (k // 5), 20 + 15 * (k % 5)), 5)] = k + 1
    labels[disc(labels.shape, (80, 200), 12)] = 11
    scores = np.where(labels > 0, 0.6, 0.01)[None].astype(np.float32)
    scores[0][labels == 11] = 0.66
    image = np.where(labels == 11, 50, 200) * (labels > 0)
    annotation = Annotation.of(labels, scores=scores, image=image)
    return annotation, measure(annotation)


def labels_of(suspects: list[Suspect]) -> list[int]:
    return [suspect.label for suspect in suspects]


def test_of_ten_alike_neighbours_one_comes_first_and_the_odd_one_second() -> None:
    annotation, table = cells()
    worst = queue(annotation, table)
    order = labels_of(most_to_learn(worst, annotation, table))
    assert sorted(order) == list(range(1, 12))
    assert 11 in order[:2]
    corrected = labels_of(most_to_learn(worst, annotation, table, corrected={3}))
    assert corrected[0] == 11


def test_what_was_decided_is_known() -> None:
    annotation, table = cells()
    rows = {object_key(3): Entry(state="accepted")}
    annotation = Annotation.of(annotation.labels, scores=annotation.scores, image=annotation.image, rows=rows)
    table = measure(annotation)
    order = labels_of(most_to_learn(queue(annotation, table), annotation, table))
    assert order[0] == 11
    assert 3 not in order


def test_of_a_volume_of_classes_slices_come_first_as_they_are_chosen() -> None:
    scores = organ(doubt={18: 0.6, 19: 0.55, 20: 0.6, 21: 0.55, 30: 0.6})
    labels = (scores[0] > 0.5).astype(np.uint8)
    annotation = Annotation.of(labels, scores=scores, objects=False)
    found = queue(annotation)
    order = most_to_learn(found, annotation, measure(annotation))
    assert {suspect.key for suspect in order} == {suspect.key for suspect in found}
    slices = [suspect.key for suspect in order if suspect.key.startswith("slice")]
    assert [suspect.key for suspect in order[: len(slices)]] == slices
    assert slices[:3] == [slice_key(0, k) for k in choose_slices(scores, None, 3)]
    said = np.zeros(labels.shape, bool)
    said[18:21] = True
    later = most_to_learn(found, annotation, measure(annotation), said=said)
    assert later[0].key == slice_key(0, 30)


def test_a_mask_with_nothing_in_it() -> None:
    for objects in (True, False):
        annotation = Annotation.of(np.zeros((5, 6, 7), np.uint8), objects=objects)
        assert most_to_learn((), annotation, measure(annotation)) == []


@pytest.mark.parametrize("n", [0, 1, FIRST + 50])
def test_the_first_are_chosen_and_the_rest_keeps_its_order(n: int) -> None:
    rng = np.random.default_rng(0)
    looks, places = rng.normal(size=(n, 3)), rng.normal(size=(n, 2))
    chosen = varied(rng.random(n), looks, places, np.zeros(n))
    assert len(chosen) == len(set(chosen)) == min(n, FIRST)
