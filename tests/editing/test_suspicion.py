"""The queue: what is odd comes first, says why, and what was decided is not asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_seg.editing.annotation import CASE, Annotation, Entry, box_key, object_key, slice_key
from napari_seg.editing.contact import contact
from napari_seg.editing.measures import measure
from napari_seg.editing.said import occurs, region_key
from napari_seg.editing.stopping import ENOUGH, stopping, upper_bound
from napari_seg.editing.suspicion import (
    Suspect,
    disagreement,
    object_suspects,
    queue,
    region_suspects,
    slice_suspects,
    thickest,
)
from napari_seg.editing.through import look_through
from napari_seg.errors import SegError
from napari_seg.tasks.instance import Instance, flows


def disks(places: list[tuple[int, int, float]], grid: tuple[int, int] = (120, 160)) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[: grid[0], : grid[1]]
    labels = np.zeros(grid, np.uint16)
    for k, (y, x, radius) in enumerate(places, 1):
        labels[np.hypot(rows - y, columns - x) < radius] = k
    return labels


def sure_scores(labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What a model that knows the truth would say, with nothing in between."""
    scores = Instance(ndim=2).encode(labels, (1.0, 1.0))
    return np.clip(scores, 0.001, 0.999).astype(np.float16)


ROW = [(20, 20 + 30 * k, 8) for k in range(5)] + [(60, 20 + 30 * k, 8) for k in range(5)]


def named(found: list[Suspect]) -> dict[int, Suspect]:
    return {suspect.label: suspect for suspect in found}


def reasons(suspect: Suspect) -> str:
    return "; ".join(suspect.reasons)


def test_the_worst_comes_first_and_says_why() -> None:
    labels = disks([*ROW, (100, 30, 2), (100, 100, 16)])
    scores = sure_scores(labels)
    scores[0][labels == 3] = 0.5
    found = queue(Annotation.of(labels, scores=scores))
    assert [suspect.score for suspect in found] == sorted((s.score for s in found), reverse=True)
    by = named(found)
    assert {found[0].label, found[1].label} == {11, 3}
    assert by[3].reasons == ("The model is unsure",)
    assert by[11].reasons == ("Less than a tenth of the size of most",)
    assert by[12].reasons == ("Four times as large as most",)
    assert by[1].reasons == ()
    assert by[1].key == object_key(1)
    assert labels[tuple(int(p) for p in by[1].place)] == 1


def test_parts_dents_contact_and_the_edge() -> None:
    labels = disks([*ROW, (100, 30, 8), (100, 100, 8), (0, 150, 8)])
    labels[99:102, 20:40] = 0
    labels[:, 100:][labels[:, 100:] == 12] = 13
    by = named(queue(Annotation.of(labels)))
    assert "In two parts" in by[11].reasons
    assert "Has dents or a waist" not in by[11].reasons  # what lies between two parts is no dent
    assert "34% of its border touches others" in by[12].reasons
    assert "Cut by the edge of the image" in by[13].reasons
    assert by[1].score < min(by[k].score for k in (11, 12, 13))


def test_where_directions_are_weak_there_is_no_middle() -> None:
    labels = disks(ROW)
    scores = sure_scores(labels)
    scores[1:, labels == 4] = 0.5
    found = queue(Annotation.of(labels, scores=scores))
    assert (found[0].label, found[0].reasons) == (4, ("The model sees no clear middle",))


def test_mirror_images_that_answer_otherwise() -> None:
    labels = disks(ROW)
    scores = sure_scores(labels)
    other = scores.copy()
    other[1, labels == 7] -= 0.3
    apart = disagreement(scores, other)
    assert apart[labels == 7].mean() == pytest.approx(0.3, abs=0.01)
    assert not apart[labels != 7].any()
    found = queue(Annotation.of(labels, scores=scores), differing=apart)
    assert (found[0].label, reasons(found[0])) == (7, "Answered otherwise in a mirror")
    with pytest.raises(SegError, match="predict the same image twice"):
        disagreement(scores, scores[:, :-1])
    with pytest.raises(SegError, match="take those of the same image"):
        queue(Annotation.of(labels), differing=apart[:-1])


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_contact_is_the_share_of_faces(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, rng.integers(1, 6, rng.integers(2, 4))).astype(np.uint8)
    spacing = (3.0, 2.0, 0.5)[-labels.ndim :]
    table = measure(Annotation.of(labels))
    found = contact(labels, table.labels, spacing)
    for row, label in enumerate(table.labels.tolist()):
        faces, shared = 0.0, 0.0
        for place in np.argwhere(labels == label):
            for axis, step in [(axis, step) for axis in range(labels.ndim) for step in (-1, 1)]:
                other = place.copy()
                other[axis] += step
                if 0 <= other[axis] < labels.shape[axis] and labels[tuple(other)] != label:
                    area = np.prod(spacing) / spacing[axis]
                    faces, shared = faces + area, shared + area * (labels[tuple(other)] > 0)
        assert found[row] == pytest.approx(shared / faces if faces else 0)


def test_what_was_decided_is_left_out() -> None:
    labels = disks(ROW)
    rows = {
        object_key(1): Entry(1, "accepted"),
        object_key(2): Entry(1, "rejected"),
        object_key(3): Entry(1, "flagged"),
        box_key((slice(50, 80), slice(0, 65))): Entry(state="accepted"),
    }
    assert sorted(named(queue(Annotation.of(labels, rows=rows)))) == [3, 4, 5, 8, 9, 10]
    rows = {slice_key(0, k): Entry(state="accepted") for k in range(10, 30)}
    assert sorted(named(queue(Annotation.of(labels, rows=rows)))) == [6, 7, 8, 9, 10]
    assert queue(Annotation.of(labels, rows={CASE: Entry(state="accepted")})) == []


def test_what_was_judged_is_in_a_frame_or_not() -> None:
    labels = np.zeros((3, 5, 6), np.uint8)
    labels[1, 2, 3] = 4
    keys = (object_key(4), object_key(5), slice_key(0, 1), slice_key(0, 2), slice_key(2, 3), slice_key(2, 9), "case")
    regions = region_key(4, (1, 2, 3)), region_key(4, (1, 2, 2)), region_key(4, (1, 2)), region_key(4, (1, 2, 9))
    there = {key for key in (*keys, *regions) if occurs(key, labels, {4})}
    assert there == {object_key(4), slice_key(0, 1), slice_key(2, 3), region_key(4, (1, 2, 3))}


def test_nothing_and_one_voxel() -> None:
    assert queue(Annotation.of(np.zeros((4, 5), np.uint8))) == []
    assert queue(Annotation.of(np.zeros((3, 4, 5), np.uint8), objects=False)) == []
    only = queue(Annotation.of(np.array([[0, 9]], np.uint8)))
    assert (only[0].label, only[0].place, only[0].box) == (9, (0.0, 1.0), (slice(0, 1), slice(1, 2)))


def organ() -> np.ndarray[Any, Any]:
    """A tube of two classes along the first axis, with a crumb beside it."""
    labels = np.zeros((12, 30, 30), np.uint8)
    labels[1:11, 8:20, 8:20] = 1
    labels[6:11, 8:20, 8:20] = 2
    labels[3, 26, 26] = 1
    return labels


def test_regions_of_a_class_crumbs_first() -> None:
    labels = organ()
    found = sorted(region_suspects(Annotation.of(labels, objects=False)), key=lambda s: -s.score)
    assert [suspect.label for suspect in found] == [1, 1, 2] or [suspect.label for suspect in found] == [1, 2, 1]
    assert found[0].key == region_key(1, (3, 26, 26))
    assert found[0].reasons == ("Apart from the rest, under 1% of its size",)
    rows = {found[0].key: Entry(state="rejected"), found[1].key: Entry(state="accepted")}
    left = region_suspects(Annotation.of(labels, objects=False, rows=rows))
    assert [suspect.key for suspect in left] == [found[2].key]


def test_a_region_is_known_again_after_an_edit_elsewhere_and_asked_again_when_its_voxel_is_gone() -> None:
    labels = organ()
    key = region_key(2, (8, 14, 14))
    rows = {key: Entry(state="accepted")}
    labels[10, 8, 8] = 0
    assert [s.label for s in region_suspects(Annotation.of(labels, objects=False, rows=rows))] == [1, 1]
    labels[8, 14, 14] = 0
    assert [s.label for s in region_suspects(Annotation.of(labels, objects=False, rows=rows))] == [1, 1, 2]
    outside = {region_key(2, (80, 14, 14)): Entry(state="accepted")}
    assert len(region_suspects(Annotation.of(labels, objects=False, rows=outside))) == 3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_that_the_model_doubts_come_first(axis: int) -> None:
    labels = np.moveaxis(organ(), 0, axis)
    labels[np.moveaxis(np.indices(labels.shape), 0, -1)[..., (axis + 1) % 3] > 24] = 0  # without the crumb
    scores = np.stack([labels == k for k in range(3)]).astype(np.float32)
    softened = np.moveaxis(scores, axis + 1, 1)
    softened[:, 4] = 1 / 3
    softened[1, 0, 8:20, 8:20] = 0.4  # the empty one before the first
    softened[0, 0] = 1 - softened[1, 0]
    annotation = Annotation.of(labels, objects=False, scores=scores.astype(np.float16))
    found = sorted(slice_suspects(annotation, axis), key=lambda s: -s.score)
    assert {s.key for s in found} == {slice_key(axis, k) for k in range(11)}
    assert [s.key for s in found[:2]] == [slice_key(axis, 0), slice_key(axis, 4)]
    assert "Empty, but the model sees something" in found[0].reasons
    assert found[1].reasons == ("The model is unsure of much",)
    assert (found[1].place[axis], found[1].box[axis], found[1].label) == (4, slice(4, 5), 0)
    rows = {slice_key(axis, 4): Entry(state="rejected"), slice_key(axis, 0): Entry(state="accepted")}
    left = slice_suspects(replace(annotation, rows=rows), axis)
    assert {s.key for s in left} == {slice_key(axis, k) for k in range(1, 11)} - {slice_key(axis, 4)}


@given(seed=st.integers(0, 1000), axis=st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_slices_across_any_axis_are_what_they_are_across_the_first(seed: int, axis: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rng.integers(1, 6, 3)).astype(np.uint8)
    scores = rng.dirichlet((1, 1, 1), labels.shape).transpose(3, 0, 1, 2)
    apart = rng.random(labels.shape)
    found = look_through(labels, scores, apart, axis)
    first = (np.moveaxis(labels, axis, 0), np.moveaxis(scores, axis + 1, 1), np.moveaxis(apart, axis, 0))
    turned = look_through(*first, 0)
    for name in ("area", "missing", "doubt", "wavering", "jump"):
        np.testing.assert_allclose(getattr(found, name), getattr(turned, name), rtol=1e-5, err_msg=name)
    k = int(rng.integers(labels.shape[axis]))
    plane, p = np.moveaxis(labels, axis, 0)[k], np.moveaxis(scores, axis + 1, 1)[:, k]
    own = np.take_along_axis(p, plane[None].astype(int), 0)[0]
    faint = np.where(1 - p[0] > 0.1, 1 - p[0], 0)[plane == 0].sum()
    wrong, whole = (1 - own)[plane > 0].sum() + faint, (plane > 0).sum() + faint + 5
    assert found.doubt[k] == pytest.approx(wrong / whole, rel=1e-5)


def test_a_slice_that_does_not_follow_and_finished_boxes() -> None:
    labels = organ()
    labels[3, 26, 26] = 0
    labels[5] = np.roll(labels[5], 9, axis=1)
    annotation = Annotation.of(labels, objects=False)
    found = {s.key: s for s in slice_suspects(annotation, 0)}
    assert found[slice_key(0, 5)].reasons == ("Jumps from the slices beside it",)
    assert found[slice_key(0, 3)].reasons == ()
    rows = {box_key((slice(0, 6), slice(0, 30), slice(0, 30))): Entry(state="accepted")}
    assert len(slice_suspects(replace(annotation, rows=rows), 0)) == 5
    rows = {box_key((slice(0, 6), slice(0, 29), slice(0, 30))): Entry(state="accepted")}
    assert len(slice_suspects(replace(annotation, rows=rows), 0)) == 10


def test_a_queue_of_classes_has_regions_and_in_a_volume_slices() -> None:
    labels = organ()
    keys = {s.key.split()[0] for s in queue(Annotation.of(labels, objects=False))}
    assert keys == {"region", "slice"}
    assert {s.key.split()[0] for s in queue(Annotation.of(labels[8], objects=False))} == {"region"}
    assert (thickest((1, 1, 1)), thickest((1, 3, 1)), thickest((0.5, 1, 4))) == (0, 1, 2)


def test_one_channel_is_one_class() -> None:
    labels = organ()
    labels[labels == 2] = 1
    scores = np.where(labels, 0.99, 0.01)[None].astype(np.float16)
    scores[0, 7] = 0.5
    found = sorted(
        slice_suspects(Annotation.of(labels, objects=False, scores=scores), 0), key=lambda suspect: -suspect.score
    )
    assert found[0].key == slice_key(0, 7)


def test_flows_of_the_task_are_what_the_queue_takes_for_directions() -> None:
    """The layout of the scores: the first channel is the object, the others have 0.5 for no direction."""
    labels = disks(ROW)
    scores = sure_scores(labels)
    far = np.linalg.norm(flows(labels, (1.0, 1.0)), axis=0) > 0.99
    short = 1 - np.linalg.norm(2 * scores[1:].astype(float) - 1, axis=0)
    assert abs(short[far & (labels > 0)]).max() < 0.02
    assert all(not suspect.reasons for suspect in object_suspects(Annotation.of(labels, scores=scores)))


@pytest.mark.parametrize("run", [1, 5, 20, 100])
def test_with_nothing_wrong_the_bound_is_clopper_and_pearsons(run: int) -> None:
    assert upper_bound(run, run) == pytest.approx(1 - 0.05 ** (1 / run), abs=1e-5)
    assert upper_bound(run, run) < upper_bound(run, run + 1) < upper_bound(run, run + 40)


def test_whoever_stops_at_the_first_long_run_is_wrong_in_one_of_twenty_reviews_at_most() -> None:
    rng = np.random.default_rng(0)
    for share in (0.1, 0.2, 0.3):
        broken = 0
        for wrong in rng.random((400, 150)) < share:
            runs = np.convolve(~wrong, np.ones(ENOUGH), "valid")
            at = int(np.argmax(runs == ENOUGH)) + ENOUGH
            if (runs == ENOUGH).any():
                broken += wrong[at:].sum() > stopping((~wrong[:at]).tolist(), 150 - at).count
        assert broken / 400 < 0.075  # 0.05 and three standard errors of the simulation


def test_words_say_what_is_known_and_no_more() -> None:
    assert stopping([], 20).words == "20 right in a row are a reason to stop."
    assert stopping([], 19).words == "Only 19 left to look at."
    assert stopping([False, *[True] * 7], 13).words == "7 right in a row; 20 are a reason to stop."
    assert stopping([False, *[True] * 7], 12).words == "Only 12 left to look at."
    good = stopping([True] * 20, 67)
    assert good.words == (
        "The last 20 were right. If the rest is no worse, at most 10 of the 67 left are wrong (95 % sure). "
        "Stop if that will do."
    )
    assert (good.enough, good.run, good.count) == (True, 20, 10)
    assert "at most 14 % of the rest" in stopping([True] * 20, 20_000).words
    worse = stopping([False] * 10 + [True] * 20, 67)
    assert worse.count > good.count  # a run among many is found by chance more easily
    last = stopping([True] * 20, 3)
    assert (last.enough, last.words) == (False, "The last 20 were right. Only 3 left.")
    assert stopping([], 1).words == "Only 1 left to look at."
    assert stopping([False, *[True] * 7], 1).words == "Only 1 left to look at."
    assert stopping([True, False], 0).words == "All were seen."
    assert stopping([True] * 30 + [False], 10).run == 0
