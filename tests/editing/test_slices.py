"""From slice to slice: what is filled between painted ones, carried on, repeated, and called finished."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome import after
from scenes import disc, use

from napari_seg.editing.annotation import CASE, Annotation, Entry, Extents, box_key, slice_key
from napari_seg.editing.edit import Edit, applied, edited
from napari_seg.editing.shapes import between, signed_distance
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError

PLANES = [(1, 2), (0, 2), (0, 1)]
"""What is shown when slices lie along each of the axes."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def ball(radius: float = 14, grid: tuple[int, ...] = (33, 34, 35)) -> np.ndarray:
    return disc(grid, (16, 17, 18), radius).astype(np.uint8)


def given_only(truth: np.ndarray, axis: int, step: int) -> np.ndarray:
    labels = np.zeros_like(truth)
    kept = (slice(None),) * axis + (slice(None, None, step),)
    labels[kept] = truth[kept]
    return labels


class TestInterpolate:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_ball_along_each_axis(self, axis):
        truth = ball()
        annotation = Annotation.of(given_only(truth, axis, 3))
        found = after(annotation, use("interpolate", annotation, Gesture(shown=PLANES[axis])))
        assert dice(found > 0, truth > 0) > 0.97

    def test_given_slices_and_other_labels_are_never_painted_over(self):
        truth = ball()
        labels = given_only(truth, 0, 4)
        labels[:, 10:13, 10:30] = np.where(labels[:, 10:13, 10:30] == 0, 2, labels[:, 10:13, 10:30])
        annotation = Annotation.of(labels)
        found = after(annotation, use("interpolate", annotation, Gesture()))
        assert np.array_equal(found[labels > 0], labels[labels > 0])
        assert set(np.unique(found[labels == 0])) == {0, 1}

    def test_a_tube_that_leaves_its_own_outline_does_not_break(self):
        labels = np.zeros((9, 40, 60), np.uint8)
        labels[0] = disc((40, 60), (20, 10), 4)
        labels[8] = disc((40, 60), (20, 46), 4)
        annotation = Annotation.of(labels)
        found = after(annotation, use("interpolate", annotation, Gesture()))
        assert (found.sum((1, 2)) > 0.8 * labels[0].sum()).all()
        middle = np.argwhere(found[4]).mean(0)
        assert np.abs(middle - [20, 28]).max() < 1.5

    def test_spacing_inside_the_slice_counts(self):
        given = {0: disc((21, 41), (10, 20), 8, (2, 1)), 4: disc((21, 41), (10, 20), 16, (2, 1))}
        middle = between(given, [2], (2.0, 1.0))[2] > 0
        assert dice(middle, disc((21, 41), (10, 20), 12, (2, 1))) > 0.95

    def test_classes_that_take_turns_leave_no_gap(self):
        labels = np.zeros((13, 30, 30), np.uint8)
        labels[0:4:3] = 1 * disc((30, 30), (15, 15), 8)
        labels[6:13:3] = 2 * disc((30, 30), (15, 15), 8)
        annotation = Annotation.of(labels, objects=False)
        found = after(annotation, use("interpolate", annotation, Gesture(), labels="all"))
        assert (found.any((1, 2))).all()
        assert [int(np.bincount(plane[plane > 0]).argmax()) for plane in found] == [1] * 5 + [2] * 8

    def test_objects_that_follow_each_other_are_not_joined(self):
        labels = np.zeros((9, 20, 20), np.uint8)
        labels[0], labels[3] = (disc((20, 20), (10, 10), 5),) * 2
        labels[6] = 2 * disc((20, 20), (10, 10), 5)
        annotation = Annotation.of(labels)
        found = after(annotation, use("interpolate", annotation, Gesture(), labels="all"))
        assert found.any((1, 2)).tolist() == [True, True, True, True, False, False, True, False, False]

    def test_several_labels_meet_without_overlap(self):
        labels = np.zeros((5, 20, 40), np.uint8)
        for index, cut in ((0, 14), (4, 26)):
            labels[index, 4:16, 4:cut] = 1
            labels[index, 4:16, cut:36] = 2
        annotation = Annotation.of(labels, objects=False)
        found = after(annotation, use("interpolate", annotation, Gesture(), labels="all"))
        assert (found[2, 4:16, 4:36] > 0).all()
        assert abs(int((found[2] == 1).sum()) - int((found[2] == 2).sum())) <= 24
        annotation = Annotation.of(labels)
        found = after(annotation, use("interpolate", annotation, Gesture(), labels="all"))
        assert (found[2] == 1).sum() == (found[2] == 2).sum() > 100

    def test_which_labels(self):
        labels = np.zeros((4, 12, 12), np.uint8)
        labels[0, :4, :4] = labels[3, :4, :4] = 1
        labels[0, 8:, 8:] = labels[3, 8:, 8:] = 2
        annotation = Annotation.of(labels)

        def filled(gesture: Gesture, **options: str) -> list[int]:
            return np.unique(after(annotation, use("interpolate", annotation, gesture, **options))[1]).tolist()

        assert filled(Gesture(label=2)) == [0, 2]
        assert filled(Gesture(((0, 1, 1),), label=2)) == [0, 1]
        assert filled(Gesture(((0, 1, 1),), selected=(2,))) == [0, 2]
        assert filled(Gesture(), labels="all") == [0, 1, 2]

    def test_only_the_gap_here(self):
        labels = np.zeros((9, 8, 8), np.uint8)
        labels[0, 2:6, 2:6] = labels[4, 2:6, 2:6] = labels[8, 2:6, 2:6] = 1
        annotation = Annotation.of(labels)
        found = after(annotation, use("interpolate", annotation, Gesture(((6, 0, 0),)), gaps="here"))
        assert found.any((1, 2)).tolist() == [True, False, False, False, True, True, True, True, True]

    def test_what_is_not_painted_in_two_slices_is_named(self):
        labels = np.zeros((5, 8, 8), np.uint8)
        labels[0, 2:6, 2:6] = labels[4, 2:6, 2:6] = 12
        labels[2, :2, :2] = 7
        annotation = Annotation.of(labels)
        with pytest.raises(SegError, match=r"^Label 19 is not in the mask; choose one that is, or all labels\.$"):
            use("interpolate", annotation, Gesture(label=19))
        with pytest.raises(SegError, match=r"^Labels 19 and 20 are not in the mask"):
            use("interpolate", annotation, Gesture(selected=(19, 20)))
        with pytest.raises(SegError, match=r"^Label 7 is painted in one slice only; paint another one"):
            use("interpolate", annotation, Gesture(label=7))
        with pytest.raises(SegError, match=r"^The mask is empty; paint two slices"):
            use("interpolate", Annotation.of(np.zeros((5, 8, 8), np.uint8)), Gesture(), labels="all")

    def test_nothing_between(self):
        with pytest.raises(SegError, match="paint two slices"):
            use("interpolate", Annotation.of(ball()), Gesture())
        with pytest.raises(SegError, match="open a volume"):
            use("interpolate", Annotation.of(ball()[16]), Gesture())
        with pytest.raises(SegError, match="locked"):
            use("interpolate", Annotation.of(given_only(ball(), 0, 3), locked=frozenset({1})), Gesture())

    @settings(max_examples=30, deadline=None)
    @given(seed=st.integers(0, 10_000))
    def test_signed_distance_is_that_to_the_nearest_pixel_of_the_other_side(self, seed):
        rng = np.random.default_rng(seed)
        mask = rng.random((7, 9)) < 0.5
        if mask.all() or not mask.any():
            return
        spacing = (1.5, 0.5)
        found = signed_distance(mask, spacing)
        places = np.argwhere(np.ones_like(mask)) * spacing
        far = np.linalg.norm(places[:, None] - places[None], axis=-1)
        flat = mask.ravel()
        wanted = np.where(flat, far[:, ~flat].min(1) - 0.25, -far[:, flat].min(1) + 0.25)
        assert np.allclose(found.ravel(), wanted, atol=1e-5)


def cone(shift: float) -> tuple[np.ndarray, np.ndarray]:
    """A disc that moves from slice to slice, and a textured image that shows it."""
    truth = np.stack([disc((60, 60), (30, 20 + shift * k), 10 - k).astype(np.uint8) for k in range(4)])
    rng = np.random.default_rng(1)
    return truth, truth * 100 + rng.normal(0, 3, truth.shape).astype(np.float32)


class TestCopy:
    def test_labels_follow_the_image(self):
        truth, image = cone(3)
        labels = truth.copy()
        labels[1:] = 0
        annotation = Annotation.of(labels, image=image)
        gesture = Gesture(((0, 30, 20),))
        fitted = after(annotation, use("copy to next", annotation, gesture))
        plain = after(annotation, use("copy to next", annotation, gesture, fit="nothing"))
        assert np.array_equal(plain[1], truth[0])
        assert dice(fitted[1] > 0, truth[1] > 0) > 0.95 > 0.85 > dice(plain[1] > 0, truth[1] > 0)
        assert not fitted[2:].any()

    def test_they_replace_themselves_and_nothing_else(self):
        labels = np.zeros((2, 10, 10), np.uint8)
        labels[0, 2:5, 2:5], labels[0, 6:8, 6:8] = 1, 2
        labels[1, 8:, :2], labels[1, 3, 3], labels[1, 6:8, 7] = 1, 3, 2
        annotation = Annotation.of(labels)
        wanted = labels[0].copy()
        wanted[3, 3] = 3
        assert np.array_equal(after(annotation, use("copy to next", annotation, Gesture(((0, 0, 0),))))[1], wanted)
        one = after(annotation, use("copy to next", annotation, Gesture(((0, 0, 0),), selected=(2,))))
        assert np.array_equal(one[1] == 2, labels[0] == 2)
        assert np.array_equal(one[1] == 1, labels[1] == 1)

    def test_backwards_and_along_another_axis(self):
        labels = np.zeros((4, 5, 6), np.uint8)
        labels[1:3, 3, 1:4] = 1
        annotation = Annotation.of(labels)
        gesture = Gesture(((1, 3, 2),), shown=(0, 2))
        found = after(annotation, use("copy to next", annotation, gesture, to="previous"))
        assert np.array_equal(found[:, 2], labels[:, 3])

    def test_refusals(self):
        labels = np.zeros((2, 4, 4), np.uint8)
        labels[1] = 1
        annotation = Annotation.of(labels)
        with pytest.raises(SegError, match="no next slice"):
            use("copy to next", annotation, Gesture(((1, 0, 0),)))
        with pytest.raises(SegError, match="Nothing that could be copied"):
            use("copy to next", annotation, Gesture(((0, 0, 0),)))
        with pytest.raises(SegError, match="point at the slice"):
            use("copy to next", annotation, Gesture())
        both = Annotation.of(np.ones((2, 4, 4), np.uint8))
        with pytest.raises(SegError, match="same labels already"):
            use("copy to next", both, Gesture(((0, 0, 0),)))


class TestRepeat:
    def after_an_edit(self, labels: np.ndarray, box: tuple[slice, ...], value: int) -> Annotation:
        annotation = Annotation.of(labels.copy())
        return applied(edited(annotation, "brush", [(box, np.full_like(labels[box], value))]), annotation)

    def test_again_and_again(self):
        labels = np.zeros((5, 6, 6), np.uint8)
        labels[:, 2:4, 2:4] = 1
        annotation = self.after_an_edit(labels, (slice(0, 1), slice(2, 4), slice(3, 6)), 2)
        for index in (1, 2):
            annotation = applied(use("repeat", annotation, Gesture(((0, 0, 0),))), annotation)
            assert np.array_equal(annotation.labels[index], annotation.labels[0])
        assert np.array_equal(annotation.labels[3], labels[3])

    def test_a_stroke_whose_pieces_overlap(self):
        labels = np.zeros((3, 6, 9), np.uint8)
        labels[:, :, 4] = 7
        annotation = Annotation.of(labels.copy())
        pieces = []
        for start in (0, 2, 4):  # as a round brush moves
            box = (slice(0, 1), slice(1, 6), slice(start, start + 5))
            dab = np.where(disc((1, 5, 5), (0, 2, 2), 2), 3, annotation.labels[box])
            piece = edited(annotation, "brush", [(box, dab)])
            pieces += piece.patches
            annotation = applied(piece, annotation)
        annotation = replace(annotation, last=Edit("brush", tuple(pieces)))
        edit = use("repeat", annotation, Gesture())
        assert np.array_equal(after(annotation, edit)[1], annotation.labels[0])
        seen = annotation.labels.copy()
        for patch in edit.patches:  # as the window shows them, one after the other
            assert np.array_equal(seen[patch.box], patch.before)
            seen[patch.box] = patch.after

    def test_only_where_the_same_was_there(self):
        labels = np.zeros((2, 4, 6), np.uint8)
        labels[1, :, 2] = 7
        annotation = self.after_an_edit(labels, (slice(0, 1), slice(1, 3), slice(0, 6)), 2)
        found = after(annotation, use("repeat", annotation, Gesture()))
        assert found[1, 1].tolist() == [2, 2, 7, 2, 2, 2]

    def test_along_another_axis(self):
        labels = np.zeros((4, 5, 6), np.uint8)
        annotation = self.after_an_edit(labels, (slice(1, 3), slice(2, 3), slice(1, 4)), 3)
        found = after(annotation, use("repeat", annotation, Gesture(shown=(0, 2)), to="previous"))
        assert np.array_equal(found[:, 1], annotation.labels[:, 2])
        with pytest.raises(SegError, match="several slices"):
            use("repeat", annotation, Gesture(shown=(1, 2)))

    def test_refusals(self):
        labels = np.zeros((2, 4, 4), np.uint8)
        with pytest.raises(SegError, match="no edit to repeat"):
            use("repeat", Annotation.of(labels), Gesture())
        last = self.after_an_edit(labels, (slice(1, 2), slice(0, 2), slice(0, 2)), 1)
        with pytest.raises(SegError, match="no next slice"):
            use("repeat", last, Gesture())
        labels[1] = 5
        first = self.after_an_edit(labels, (slice(0, 1), slice(0, 2), slice(0, 2)), 1)
        with pytest.raises(SegError, match="nothing to repeat"):
            use("repeat", first, Gesture())


class TestFinished:
    annotation = Annotation.of(np.zeros((4, 20, 30), np.uint8))

    def twice(self, tool: str, gesture: Gesture, key: str, **options: str) -> None:
        start = replace(self.annotation, extents=Extents(self.annotation.labels))
        edit = use(tool, start, gesture, **options)
        assert not edit.patches
        assert edit.rows == {key: (None, Entry(state="accepted"))}
        assert not applied(use(tool, there := applied(edit, start), gesture, **options), there).rows

    def test_slice(self):
        self.twice("finish slice", Gesture(((2.4, 3, 3),)), slice_key(0, 2))
        self.twice("finish slice", Gesture(((2.4, 3, 5),), shown=(0, 1)), slice_key(2, 5))

    def test_box(self):
        line = ((2, 5, 9), (2, 9, 3), (2, 8, 40))
        box = (slice(2, 3), slice(5, 9), slice(9, 30))
        self.twice("finish box", Gesture(line), box_key(box))
        self.twice("finish box", Gesture(line), box_key((slice(0, 4), *box[1:])), reach="volume")
        for points in ((), ((2, 5, 9),), ((2, 5, 9), (2, 5.2, 9.1)), ((2, 30, 9), (2, 40, 3))):
            with pytest.raises(SegError, match="drag"):
                use("finish box", self.annotation, Gesture(points))

    def test_case(self):
        self.twice("finish case", Gesture(), CASE)

    def test_a_comment_is_kept(self):
        annotation = replace(self.annotation, rows={CASE: Entry(state="accepted", comment="blurred")})
        edit = use("finish case", annotation, Gesture())
        assert edit.rows[CASE][1] == Entry(state="unseen", comment="blurred")

    def test_a_picture_has_no_slices(self):
        with pytest.raises(SegError, match="the case is finished"):
            use("finish slice", Annotation.of(np.zeros((4, 4), np.uint8)), Gesture(((1, 1),)))
