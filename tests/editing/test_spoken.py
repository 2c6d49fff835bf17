"""Where a person has spoken: what counts, how far a ring reaches, and what stays unknown."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import disc, drawn

from napari_seg.editing.annotation import CASE, Entry, State, box_key, object_key, slice_key
from napari_seg.editing.said import region_key
from napari_seg.editing.spoken import RING, Amount, _dilated, amount, spoken
from napari_seg.errors import SegError

ACCEPTED, REJECTED = Entry(state="accepted"), Entry(state="rejected")


def seen(labels: Any, said: Any = None, rows: Any = None, **known: Any) -> Any:
    known.setdefault("objects", True)
    known.setdefault("spacing", (1.0,) * labels.ndim)
    return spoken(labels, np.zeros(labels.shape, bool) if said is None else said, rows or {}, **known)


def near(mask: Any, radius: float = RING, spacing: Any = 1.0) -> Any:
    """By brute force: within a distance of a mask."""
    places = np.moveaxis(np.indices(mask.shape), 0, -1)[..., None, :]
    return (((places - np.argwhere(mask)) * spacing) ** 2).sum(-1).min(-1, initial=np.inf) <= radius**2 + 1e-6


def two_discs() -> Any:
    labels = np.zeros((40, 60), np.uint16)
    labels[disc(labels.shape, (20, 15), 6)] = 1
    labels[disc(labels.shape, (20, 29), 6)] = 2
    return labels


def test_nothing_was_said() -> None:
    labels = two_discs()
    assert not seen(labels).any()
    assert not seen(labels, objects=False).any()


def test_a_changed_object_counts_whole_with_a_ring_that_spares_others() -> None:
    labels = two_discs()
    said = np.zeros(labels.shape, bool)
    said[20, 15] = True
    expected = (labels == 1) | (near(labels == 1) & (labels == 0))
    assert np.array_equal(seen(labels, said), expected)
    assert near(labels == 1)[labels == 2].any()  # the ring would reach it
    assert np.array_equal(seen(labels, rows={object_key(1): ACCEPTED}), expected)


def test_an_object_that_is_known_to_have_been_changed_counts_whole() -> None:
    labels = two_discs()
    found = seen(labels, changed=(2, 99))
    assert np.array_equal(found, (labels == 2) | (near(labels == 2) & (labels == 0)))
    assert not seen(labels, changed=(2,), objects=False).any()
    known = amount(labels, labels < 0, {}, found, objects=True, changed=(2, 99))
    assert (known.objects, known.voxels, known.background) == (1, found.sum(), (found & (labels == 0)).sum())


def test_erased_is_background_there_and_rejected_is_unknown_even_in_a_finished_case() -> None:
    labels = two_discs()
    said = np.zeros(labels.shape, bool)
    said[2:4, 50:55] = True
    assert np.array_equal(seen(labels, said), said)
    found = seen(labels, said, {CASE: ACCEPTED, object_key(2): REJECTED})
    assert np.array_equal(found, labels != 2)
    painted = said | (labels == 2)
    assert np.array_equal(seen(labels, painted, {object_key(2): REJECTED}), said)


def test_finished_slices_and_boxes_count_and_rejected_slices_do_not() -> None:
    labels = np.zeros((6, 8, 9), np.uint8)
    labels[2:4, 2:5, 2:5] = 1
    box = (slice(3, 5), slice(0, 4), slice(1, 3))
    rows = {slice_key(0, 1): ACCEPTED, box_key(box): ACCEPTED, slice_key(2, 99): ACCEPTED, "box 1:2": ACCEPTED}
    expected = np.zeros(labels.shape, bool)
    expected[1] = expected[box] = True
    for objects in (True, False):
        assert np.array_equal(seen(labels, rows=rows, objects=objects), expected)
    found = seen(labels, rows={CASE: ACCEPTED, slice_key(0, 3): REJECTED})
    assert not found[3].any()
    assert found[[0, 1, 2, 4, 5]].all()
    assert not seen(labels, rows={CASE: REJECTED, slice_key(0, 3): REJECTED}).any()


def test_a_stroke_in_one_slice_says_nothing_of_the_slices_beside_it() -> None:
    labels = np.zeros((9, 30, 30), np.uint8)
    labels[2:7, 5:25, 5:25] = 1  # an organ
    said = np.zeros(labels.shape, bool)
    said[4] = disc((30, 30), (15, 25), 4)
    labels[4][said[4]] = 1
    found = seen(labels, said, objects=False)
    assert not found[[0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert np.array_equal(found[4], said[4] | (near(said[4]) & (labels[4] == 0)))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, 4])
def test_a_ring_lies_in_the_planes_in_which_was_drawn(axis: int, slices: int) -> None:
    """Also where some slices beside each other were painted."""
    labels = np.zeros((40, 40, 40), np.uint8)
    flat = np.moveaxis(labels, axis, 0)
    flat[20 : 20 + slices, 12:28, 12:28] = 1
    found = np.moveaxis(seen(labels, labels > 0, objects=False), axis, 0)
    assert not found[:20].any()
    assert not found[20 + slices :].any()
    assert found[20, 12 - int(RING), 20]
    assert found[20, 20, 27 + int(RING)]


def test_what_was_painted_in_all_directions_has_its_ring_across_the_thickest_slices() -> None:
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[disc(labels.shape, (10, 15, 15), 6)] = 1
    found = seen(labels, labels > 0, objects=False, spacing=(2.0, 1.0, 1.0))
    assert found[10, 15, 21 + int(RING)]
    assert not found[17:].any()
    assert not found[:4].any()


def test_a_line_one_voxel_thin_counts_without_a_ring_in_a_volume_and_with_one_in_a_picture() -> None:
    labels = np.zeros((5, 20, 20), np.uint8)
    labels[2, 10, 5:15] = 2
    assert np.array_equal(seen(labels, labels > 0, objects=False), labels > 0)
    flat = labels[2]
    assert np.array_equal(seen(flat, flat > 0, objects=False), near(flat > 0))


def test_changed_voxels_of_a_class_do_not_make_the_class_count() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[5:25, 5:25] = 1
    labels[10:14, 10:14] = 2
    said = labels == 2
    assert np.array_equal(seen(labels, said, objects=False), said)  # what lies around is another class


def test_accepted_regions_count_with_a_ring_and_rejected_ones_do_not() -> None:
    labels = np.zeros((40, 90), np.uint8)
    labels[10:20, 10:20] = labels[10:20, 40:50] = 1
    labels[10:20, 70:80] = 2
    rows = {region_key(1, (12, 12)): ACCEPTED, region_key(2, (10, 70)): REJECTED, region_key(1, (0, 0)): ACCEPTED}
    found = seen(labels, rows=rows, objects=False)
    mine = np.zeros(labels.shape, bool)
    mine[10:20, 10:20] = True
    assert np.array_equal(found, near(mine))
    rest = seen(labels, rows={**rows, CASE: ACCEPTED}, objects=False)
    assert np.array_equal(rest, labels != 2)
    assert np.array_equal(seen(labels, rows={object_key(2): ACCEPTED}, objects=False), near(labels == 2))


def test_a_person_has_the_last_word() -> None:
    labels = two_discs()
    override = np.zeros(labels.shape, np.uint8)
    override[:, 30:] = 2
    override[0, :10] = 1
    rows = {object_key(1): ACCEPTED, object_key(2): REJECTED}
    without, found = seen(labels, rows=rows), seen(labels, rows=rows, override=override)
    assert found[0, :10].all()
    assert not found[:, 30:].any()
    assert np.array_equal(found[1:, :30], without[1:, :30])


def test_a_ring_is_as_wide_in_millimetres_along_every_axis_but_a_voxel_at_least() -> None:
    labels = np.zeros((9, 25, 25), np.uint8)
    labels[4, 12, 12] = 1
    found = seen(labels, rows={object_key(1): ACCEPTED}, spacing=(7.0, 2.0, 1.0))
    assert [np.flatnonzero(found[:, 12, 12]).tolist()] == [[3, 4, 5]]
    assert np.flatnonzero(found[4, :, 12]).tolist() == [10, 11, 12, 13, 14]
    assert np.flatnonzero(found[4, 12]).tolist() == list(range(8, 17))


def test_planes_of_other_shapes_are_refused() -> None:
    labels = two_discs()
    with pytest.raises(SegError, match="open the mask again"):
        seen(labels, np.zeros((3, 3), bool))
    with pytest.raises(SegError, match="override"):
        seen(labels, override=np.zeros((3, 3), np.uint8))


shapes = st.one_of(st.tuples(*[st.integers(1, 21)] * 2), st.tuples(*[st.integers(1, 9)] * 3))


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 2**32 - 1), st.data())
def test_every_voxel_within_the_ellipsoid_and_no_other(shape: tuple[int, ...], seed: int, data: st.DataObject) -> None:
    mask = np.random.default_rng(seed).random(shape) < 0.05
    radii = tuple(data.draw(st.sampled_from([0.0, 1.0, 1.7, 4.0])) for _ in shape)
    places = np.argwhere(mask)
    expected = np.zeros(shape, bool)
    for voxel in product(*map(range, shape)):
        steps = np.abs(places - voxel)
        scaled = np.where(np.array(radii) > 0, steps / np.maximum(radii, 1e-9), np.where(steps, np.inf, 0))
        expected[voxel] = ((scaled**2).sum(1) <= 1 + 1e-9).any()
    assert np.array_equal(_dilated(mask, radii), expected)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_what_always_holds(shape: tuple[int, ...], seed: int, objects: bool, data: st.DataObject) -> None:
    """What was changed counts unless it was rejected, the ring is background, and more said never counts less."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, shape) * (rng.random(shape) < 0.4)
    said = rng.random(shape) < 0.1
    states: st.SearchStrategy[State] = st.sampled_from(["unseen", "accepted", "rejected", "flagged"])
    rows = {object_key(k): Entry(state=data.draw(states)) for k in (1, 2, 3)}
    rejected = np.isin(labels, [k for k in (1, 2, 3) if rows[object_key(k)].state == "rejected"])
    accepted = np.isin(labels, [k for k in (1, 2, 3) if rows[object_key(k)].state == "accepted"])
    found = seen(labels, said, rows, objects=objects)
    assert not found[rejected].any()
    assert found[said & ~rejected].all()
    assert found[accepted].all()
    changed = np.isin(labels, np.unique(labels[said]))
    expected = (said | accepted | changed) if objects else (said | accepted)
    assert np.array_equal(found & (labels > 0), expected & ~rejected & (labels > 0))
    more = said | (rng.random(shape) < 0.05)
    if objects:
        assert not (found & ~seen(labels, more, rows)).any()
    finished = seen(labels, said, {**rows, CASE: ACCEPTED}, objects=objects)
    assert np.array_equal(finished, ~rejected)


def test_what_there_is_to_learn_from_in_words() -> None:
    labels = two_discs()
    said = labels == 1
    rows = {object_key(2): ACCEPTED}
    found = seen(labels, said, rows)
    known = amount(labels, said, rows, found, objects=True)
    assert (known.objects, known.images, known.voxels) == (2, 1, int(found.sum()))
    assert known.words == "2 objects in 1 image; background: yes"
    volume = np.stack([labels, labels])
    finished = {slice_key(0, 1): ACCEPTED}
    more = amount(volume, volume < 0, finished, seen(volume, rows=finished), objects=True)
    assert (known + more).words == "2 objects and 1 finished slice in 2 images; background: yes"
    classes = amount(labels, said, {}, said, objects=False)
    assert classes.words == "1 class in 1 image; background: no"
    assert Amount().words == "nothing yet: paint, accept or finish something"


def test_a_large_volume_with_many_objects_does_not_take_long() -> None:
    """A guard against what grows with objects times voxels: the time itself is for a benchmark."""
    side, step = 160, 16
    labels = np.zeros((side,) * 3, np.uint16)
    ball = disc((12, 12, 12), (5.5, 5.5, 5.5), 5.5)
    for number, corner in enumerate(product(range(0, side, step), repeat=3), 1):
        labels[tuple(slice(c, c + 12) for c in corner)][ball] = number
    said = np.zeros(labels.shape, bool)
    said[::step, ::step] = labels[::step, ::step] > 0
    said[5::step, 5::step, 5::step] = True
    began = time.process_time()
    found = seen(labels, said)
    assert time.process_time() - began < 5
    assert found[labels > 0].all()
    assert not found[-1, -1, -1]


@pytest.mark.parametrize("row", ["object 7", "region 1 at 99 99", "slice 5 1", "box 3:4 5:6 7:8", "class 2", "odd"])
@pytest.mark.parametrize("objects", [True, False])
def test_rows_of_what_is_not_there_say_nothing(row: str, objects: bool) -> None:
    labels = drawn("11.", "1.2")
    assert not seen(labels, rows={row: ACCEPTED}, objects=objects).any()
