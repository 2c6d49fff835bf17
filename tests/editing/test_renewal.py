"""A new prediction goes under what a person has done, and never over it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from outcome import after

from napari_seg.editing.annotation import CASE, Annotation, Entry, box_key, object_key, slice_key
from napari_seg.editing.edit import applied
from napari_seg.editing.renewal import renewed
from napari_seg.editing.said import region_key
from napari_seg.errors import SegError

GRID = (9, 11)


def squares(*corners: tuple[int, int], size: int = 4, grid: tuple[int, int] = (30, 40)) -> NDArray[np.uint8]:
    labels = np.zeros(grid, np.uint8)
    for number, (row, column) in enumerate(corners, 1):
        labels[row : row + size, column : column + size] = number
    return labels


def masks(top: int) -> st.SearchStrategy[NDArray[np.uint8]]:
    """Labels in blocks, so that objects are more than single pixels."""
    return arrays(np.uint8, (4, 5), elements=st.integers(0, top)).map(
        lambda a: np.kron(a, np.ones((3, 3), np.uint8))[:9, :11]
    )


old_and_new = given(
    old=masks(5),
    new=masks(6),
    touched=arrays(bool, GRID, elements=st.booleans(), fill=st.just(False)),
    states=st.dictionaries(st.integers(1, 5), st.sampled_from(["unseen", "accepted", "rejected", "flagged"])),
    locked=st.frozensets(st.integers(1, 5), max_size=2),
    objects=st.booleans(),
)


def annotation_of(old: NDArray[np.uint8], states: dict[int, Any], locked: frozenset[int], objects: bool) -> Annotation:
    rows = {object_key(label): Entry(state=state) for label, state in states.items()}
    return Annotation.of(old, rows=rows, locked=locked, objects=objects)


@settings(max_examples=60, deadline=None)
@old_and_new
def test_what_a_person_said_never_changes(
    old: NDArray[np.uint8],
    new: NDArray[np.uint8],
    touched: NDArray[np.bool_],
    states: dict[int, Any],
    locked: frozenset[int],
    objects: bool,
) -> None:
    annotation = annotation_of(old, states, locked, objects)
    labels = after(annotation, renewed(annotation, new, touched))
    assert np.array_equal(labels[touched], old[touched])
    frozen = {label for label, state in states.items() if state == "accepted"} | locked
    if objects:
        frozen |= {label for label, state in states.items() if state == "flagged"}
    if objects:
        frozen |= set(old[touched].tolist()) - {0}
    for label in frozen:
        assert np.array_equal(labels == label, old == label)


@settings(max_examples=60, deadline=None)
@old_and_new
def test_the_same_prediction_twice_is_no_edit(
    old: NDArray[np.uint8],
    new: NDArray[np.uint8],
    touched: NDArray[np.bool_],
    states: dict[int, Any],
    locked: frozenset[int],
    objects: bool,
) -> None:
    annotation = annotation_of(old, states, locked, objects)
    annotation = applied(renewed(annotation, new, touched), annotation)
    again = renewed(annotation, new, touched)
    assert not again, again.labels


@settings(max_examples=30, deadline=None)
@given(new=masks(6))
def test_where_nobody_has_said_anything_the_prediction_is_taken_as_it_is(new: NDArray[np.uint8]) -> None:
    annotation = Annotation.of(np.zeros(GRID, np.uint8))
    labels = after(annotation, renewed(annotation, new))
    assert np.array_equal(labels > 0, new > 0)
    pairs = set(zip(labels.ravel().tolist(), new.ravel().tolist(), strict=True))
    assert len(pairs) == len(np.unique(new))  # renamed at most


def test_unchanged_objects_keep_their_numbers_and_rows() -> None:
    old = squares((2, 2), (2, 12), (2, 22), (12, 2))
    new = squares((12, 2), (2, 22), (3, 12), (20, 30))  # other numbers, one moved, one gone, one new
    rows = {object_key(k): Entry(state="rejected") for k in (1, 2, 3, 4)}
    annotation = Annotation.of(old, rows=rows, following=9)
    edit = renewed(annotation, new)
    labels = after(annotation, edit)
    assert labels[12, 2] == 4
    assert labels[2, 22] == 3
    assert labels[5, 13] == 2
    assert labels[2, 2] == 0
    assert labels[20, 30] == 9
    assert edit.rows == {object_key(1): (Entry(state="rejected"), None)}


@pytest.mark.parametrize("entry", [Entry(state="flagged"), Entry(comment="ask"), Entry(2)])
def test_an_object_of_which_something_was_said_stays(entry: Entry) -> None:
    old = squares((2, 2), (2, 12))
    annotation = Annotation.of(old, rows={object_key(2): entry})
    edit = renewed(annotation, squares((2, 2)))
    assert np.array_equal(after(annotation, edit), old)
    assert edit.rows == {}


def test_the_largest_part_of_a_divided_object_keeps_its_number() -> None:
    old, new = np.zeros((8, 30), np.uint8), np.zeros((8, 30), np.uint8)
    old[2:6, 2:22] = 5
    new[2:6, 2:8], new[2:6, 8:22] = 1, 2
    labels = after(Annotation.of(old), renewed(Annotation.of(old), new))
    assert labels[3, 10] == 5
    assert labels[3, 4] == 6


def test_new_objects_are_clipped_and_dropped_if_less_than_half_is_left() -> None:
    old = np.zeros((20, 20), np.uint8)
    old[:, :10] = 1
    new = np.zeros((20, 20), np.uint8)
    new[2:6, 8:13] = 1  # three columns of five are left
    new[10:14, 7:12] = 2  # two of five
    new[16:18, 8:12] = 3  # half
    annotation = Annotation.of(old, rows={object_key(1): Entry(state="accepted")})
    labels = after(annotation, renewed(annotation, new))
    assert np.array_equal(labels == 1, old == 1)
    assert np.count_nonzero(labels[2:6]) == 4 * 13
    assert not labels[10:14, 10:].any()
    assert (labels[16:18, 10:12] > 1).all()


def test_what_was_deleted_does_not_come_back() -> None:
    old = squares((2, 2))
    new = squares((2, 2), (12, 12))
    touched = np.zeros(old.shape, bool)
    touched[12:16, 12:16] = True
    annotation = Annotation.of(old)
    assert not renewed(annotation, new, touched)
    assert renewed(annotation, new)


def test_a_touched_object_stays_whole_and_a_rejected_one_does_not() -> None:
    old, new = squares((2, 2), (12, 12)), np.zeros((30, 40), np.uint8)
    touched = np.zeros(old.shape, bool)
    touched[3, 3] = True
    annotation = Annotation.of(old, rows={object_key(2): Entry(state="rejected")})
    edit = renewed(annotation, new, touched)
    assert np.array_equal(after(annotation, edit), squares((2, 2)))
    assert edit.rows == {object_key(2): (Entry(state="rejected"), None)}


@pytest.mark.parametrize("objects", [True, False])
@pytest.mark.parametrize("key", [slice_key(0, 1), box_key((slice(1, 2), slice(0, 8), slice(0, 8))), CASE])
def test_what_is_finished_stays(key: str, objects: bool) -> None:
    old = np.zeros((3, 8, 8), np.uint8)
    old[1, 2:5, 2:5] = 1
    new = np.zeros((3, 8, 8), np.uint8)
    new[:, 4:7, 4:7] = 2
    annotation = Annotation.of(old, objects=objects, rows={key: Entry(state="accepted")})
    labels = after(annotation, renewed(annotation, new))
    assert np.array_equal(labels[1], old[1])
    assert labels[0].any() == labels[2].any() == (key != CASE)


def test_classes_are_renewed_voxel_by_voxel() -> None:
    old, new = np.zeros((6, 6), np.uint8), np.full((6, 6), 2, np.uint8)
    old[:3] = 1
    touched = np.zeros((6, 6), bool)
    touched[0, 0] = touched[5, 5] = True
    labels = after(Annotation.of(old, objects=False), renewed(Annotation.of(old, objects=False), new, touched))
    expected = new.copy()
    expected[0, 0], expected[5, 5] = 1, 0
    assert np.array_equal(labels, expected)


def test_accepted_regions_of_classes_stay_as_they_are() -> None:
    """Also without the voxels that the new prediction adds to them, and without what it says beside them."""
    old = squares((2, 2), (2, 20), (15, 2), size=6)
    old[old > 0] = 1
    old[15:21, 20:26] = 2
    rows = {region_key(1, (4, 4)): Entry(state="accepted"), region_key(1, (4, 22)): Entry(state="rejected")}
    annotation = Annotation.of(old, objects=False, rows=rows)
    labels = after(annotation, renewed(annotation, np.zeros_like(old)))
    assert np.array_equal(labels[:, :12], np.where(np.arange(30)[:, None] < 12, old, 0)[:, :12])
    assert not labels[:, 12:].any()
    larger = np.zeros_like(old)
    larger[1:9, 1:9] = 1  # it would grow by a rim
    larger[20:28, 20:28] = 1
    labels = after(annotation, renewed(annotation, larger))
    assert np.array_equal(labels[:12, :12], old[:12, :12])
    assert np.array_equal(labels[12:], larger[12:])
    much = np.zeros_like(old)
    much[4:7, 4:30] = 1  # most of it lies elsewhere
    labels = after(annotation, renewed(annotation, much))
    assert np.array_equal(labels[:12, :8], old[:12, :8])
    assert not labels[:, 8].any()
    assert labels[5, 9:30].all()
    gone = replace(annotation, rows={region_key(2, (4, 4)): Entry(state="accepted")})  # another class lies there now
    assert np.array_equal(after(gone, renewed(gone, larger)), larger)


def test_in_a_box_objects_that_go_on_beyond_it_stay() -> None:
    old = squares((4, 4), (4, 14), (4, 24))
    box = (slice(0, 12), slice(0, 16))  # cuts the second
    new = np.zeros((12, 16), np.uint8)
    new[3:7, 3:7], new[4:8, 13:16], new[9:11, 2:5] = 1, 2, 3
    annotation = Annotation.of(old)
    labels = after(annotation, renewed(annotation, new, box=box))
    assert np.array_equal(labels == 2, old == 2)
    assert np.array_equal(labels == 3, old == 3)
    assert (labels[3:7, 3:7] == 1).all()
    assert np.count_nonzero(labels == 1) == 16
    assert (labels[9:11, 2:5] == 4).all()


def test_numbers_beyond_any_table_and_a_growing_dtype() -> None:
    old = np.zeros((6, 20), np.uint32)
    old[1:4, 1:4], old[1:4, 8:11] = 4_000_000_000, 70
    new = np.zeros((6, 20), np.uint32)
    new[1:4, 1:4], new[1:4, 15:18] = 3_000_000_000, 1
    annotation = Annotation.of(old)
    labels = after(annotation, renewed(annotation, new))
    assert labels[2, 2] == 4_000_000_000
    assert labels[2, 9] == 0
    assert labels[2, 16] == 4_000_000_001
    small = Annotation.of(np.zeros((6, 20), np.uint8), following=300)
    assert after(small, renewed(small, new)).max() == 301


@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (3, 1, 1), (600, 3), (2, 130, 3)])
def test_odd_grids_and_more_than_one_block(grid: tuple[int, ...]) -> None:
    new = np.ones(grid, np.uint8)
    annotation = Annotation.of(np.zeros(grid, np.uint16))
    assert np.array_equal(after(annotation, renewed(annotation, new)), new)
    classes = replace(annotation, objects=False)
    assert np.array_equal(after(classes, renewed(classes, new)), new)


def test_a_prediction_of_another_image_is_refused() -> None:
    annotation = Annotation.of(np.zeros((4, 5), np.uint8))
    with pytest.raises(SegError, match="predict this image again"):
        renewed(annotation, np.zeros((5, 4), np.uint8))
