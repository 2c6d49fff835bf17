"""Merge, delete, rename, fill, smooth, keep, take apart, clear away: what becomes of voxels and of rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from outcome import after
from scenes import disc, drawn, use
from scipy.ndimage import binary_fill_holes

from napari_seg.editing.annotation import Annotation, Entry, object_key
from napari_seg.editing.edit import applied
from napari_seg.editing.selection import components, part_at, region
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError

ROWS = {
    object_key(1): Entry(2, "accepted", "good"),
    object_key(2): Entry(3, "flagged", "odd"),
    object_key(3): Entry(1, "rejected", "good"),
}


def row(label: int) -> str:
    return object_key(label)


class TestMerge:
    labels = drawn("11.22.33", "11222.33")

    def test_drag_keeps_the_first_number_and_joins_rows(self):
        annotation = Annotation.of(self.labels, rows=ROWS)
        edit = use("merge", annotation, Gesture(((0, 4), (0, 2.2), (0, 0))))
        assert np.array_equal(after(annotation, edit), drawn("22.22.33", "22222.33"))
        assert edit.rows == {
            row(1): (ROWS[row(1)], None),
            row(2): (ROWS[row(2)], Entry(3, "flagged", "odd; good")),
        }

    def test_all_under_the_line_but_only_the_ends_of_it(self):
        annotation = Annotation.of(self.labels)
        line = Gesture(((1, 0), (1, 7)))
        assert np.array_equal(
            after(annotation, use("merge", annotation, line, which="all")), drawn("11.11.11", "11111.11")
        )
        assert np.array_equal(after(annotation, use("merge", annotation, line)), drawn("11.22.11", "11222.11"))

    def test_selected_ones_without_a_line(self):
        annotation = Annotation.of(self.labels)
        edit = use("merge", annotation, Gesture(((0, 3),), selected=(3, 1)))
        assert np.array_equal(after(annotation, edit), drawn("33.22.33", "33222.33"))

    def test_a_line_counts_more_than_an_old_selection(self):
        annotation = Annotation.of(self.labels)
        edit = use("merge", annotation, Gesture(((0, 0), (0, 4)), selected=(3, 1)))
        assert np.array_equal(after(annotation, edit), drawn("11.11.33", "11111.33"))

    @pytest.mark.parametrize("points", [((0, 0), (0, 2)), ((0, 0), (1, 1)), ((0, 0), (9, 9)), ((0, 0),)])
    def test_there_must_be_two(self, points):
        with pytest.raises(SegError, match="drag from"):
            use("merge", Annotation.of(self.labels), Gesture(points))

    def test_locked_and_vanished_ones_are_refused(self):
        annotation = Annotation.of(self.labels, locked=frozenset({2}))
        with pytest.raises(SegError, match="2 is locked"):
            use("merge", annotation, Gesture(((0, 0), (0, 4))))
        with pytest.raises(SegError, match="no 9"):
            use("merge", annotation, Gesture(selected=(9, 1)))
        annotation = Annotation.of(self.labels, unseen=lambda labels: labels == 2)
        with pytest.raises(SegError, match="2 is not shown"):
            use("merge", annotation, Gesture(((0, 0), (0, 4))))

    def test_classes_are_refused(self):
        with pytest.raises(SegError, match=r"classes.*change the class"):
            use("merge", Annotation.of(self.labels, objects=False), Gesture(((0, 0), (0, 4))))

    def test_rows_that_say_nothing_are_not_made(self):
        edit = use("merge", Annotation.of(self.labels), Gesture(((0, 0), (0, 4))))
        assert not edit.rows


class TestDelete:
    def test_object_and_row_go(self):
        annotation = Annotation.of(drawn("1122", "1.22"), rows=ROWS)
        edit = use("delete", annotation, Gesture(((0, 1),)))
        assert np.array_equal(after(annotation, edit), drawn("..22", "..22"))
        assert edit.rows == {row(1): (ROWS[row(1)], None)}

    def test_only_this_slice(self):
        labels = np.ones((3, 2, 2), np.uint8)
        annotation = Annotation.of(labels, rows=ROWS)
        edit = use("delete", annotation, Gesture(((1, 0, 0),)), reach="slice")
        assert after(annotation, edit).any((1, 2)).tolist() == [True, False, True]
        assert not edit.rows
        across = use("delete", annotation, Gesture(((1, 1, 0),), shown=(0, 2)), reach="slice")
        assert after(annotation, across).any((0, 2)).tolist() == [True, False]

    def test_of_a_class_only_the_part_under_the_cursor(self):
        annotation = Annotation.of(drawn("11..1", ".1..1", "..1.."), objects=False)
        edit = use("delete", annotation, Gesture(((0, 0),)))
        assert np.array_equal(after(annotation, edit), drawn("....1", "....1", "....."))

    def test_of_a_selected_class_all(self):
        annotation = Annotation.of(drawn("11..1", "22..1"), objects=False)
        edit = use("delete", annotation, Gesture(((0, 0),), selected=(1,)))
        assert np.array_equal(after(annotation, edit), drawn(".....", "22..."))

    def test_several_whose_boxes_overlap(self):
        labels = np.zeros((150, 150), np.uint8)
        labels[np.arange(150), np.arange(150)] = 1
        labels[np.arange(150), 149 - np.arange(150)] = 2
        labels[70:80, 70] = 3
        annotation = Annotation.of(labels)
        edit = use("delete", annotation, Gesture(selected=(1, 2)))
        assert np.array_equal(after(annotation, edit), np.where(labels == 3, 3, 0))
        assert max(max(patch.after.shape) for patch in edit.patches) <= 64

    def test_nothing_here(self):
        with pytest.raises(SegError, match="no object here"):
            use("delete", Annotation.of(drawn("1.")), Gesture(((0, 1),)))


class TestNumbersAndClasses:
    def test_new_number_takes_the_row_along(self):
        annotation = Annotation.of(drawn("12", "12"), rows=ROWS, following=300)
        edit = use("new id", annotation, Gesture(((0, 0),)))
        assert after(annotation, edit).tolist() == [[300, 2], [300, 2]]
        assert edit.rows == {row(1): (ROWS[row(1)], None), row(300): (None, ROWS[row(1)])}

    def test_each_of_several_gets_its_own(self):
        annotation = Annotation.of(drawn("123"))
        assert after(annotation, use("new id", annotation, Gesture(selected=(3, 1)))).tolist() == [[5, 2, 4]]

    def test_change_class_of_an_object_is_a_row(self):
        annotation = Annotation.of(drawn("12"), rows=ROWS)
        edit = use("change class", annotation, Gesture(((0, 0),)), category=5)
        assert not edit.patches
        assert edit.rows == {row(1): (ROWS[row(1)], replace(ROWS[row(1)], category=5))}
        with pytest.raises(SegError, match="class 2 already"):
            use("change class", annotation, Gesture(((0, 0),)), category=2)

    def test_an_object_without_a_row_is_of_class_1(self):
        annotation = Annotation.of(drawn("4"))
        with pytest.raises(SegError, match="class 1 already"):
            use("change class", annotation, Gesture(((0, 0),)), category=1)
        assert use("change class", annotation, Gesture(((0, 0),)), category=2).rows == {row(4): (None, Entry(2))}

    def test_change_class_of_a_part(self):
        annotation = Annotation.of(drawn("1.12", "1.12"), objects=False)
        edit = use("change class", annotation, Gesture(((0, 0),)), category=2)
        assert np.array_equal(after(annotation, edit), drawn("2.12", "2.12"))
        with pytest.raises(SegError, match="locked"):
            use("change class", replace(annotation, locked=frozenset({2})), Gesture(((0, 0),)), category=2)


class TestFillHoles:
    def test_other_objects_in_the_hole_stay(self):
        annotation = Annotation.of(drawn("11111", "1...1", "1.2.1", "11111"))
        edit = use("fill holes", annotation, Gesture(((0, 0),)))
        assert np.array_equal(after(annotation, edit), drawn("11111", "11111", "11211", "11111"))

    def test_a_gap_at_the_border_of_the_image_is_no_hole(self):
        with pytest.raises(SegError, match="no hole"):
            use("fill holes", Annotation.of(drawn("1.1", "1.1", "111")), Gesture(((0, 0),)))

    def test_a_tunnel_is_filled_slice_by_slice(self):
        labels = np.ones((3, 3, 4), np.uint8)
        labels[:, 1, 1:3] = 0
        annotation = Annotation.of(labels)
        gesture = Gesture(((1, 0, 0),))
        with pytest.raises(SegError, match="no hole"):
            use("fill holes", annotation, gesture)
        assert after(annotation, use("fill holes", annotation, gesture, within="slices")).all()
        one = after(annotation, use("fill holes", annotation, gesture, within="slice"))
        assert one.all((1, 2)).tolist() == [False, True, False]
        with pytest.raises(SegError, match="no hole"):
            use("fill holes", annotation, Gesture(((1, 0, 0),), shown=(0, 1)), within="slices")

    @settings(max_examples=50, deadline=None)
    @given(hnp.arrays(np.uint8, st.tuples(*[st.integers(1, 7)] * 3), elements=st.sampled_from([0, 1, 1, 1])))
    def test_as_scipy_fills(self, labels):
        if not labels.any():
            return
        annotation = Annotation.of(labels)
        gesture = Gesture((tuple(map(float, np.argwhere(labels)[0])),))
        wanted = binary_fill_holes(labels)
        if np.array_equal(wanted, labels > 0):
            with pytest.raises(SegError):
                use("fill holes", annotation, gesture)
        else:
            assert np.array_equal(after(annotation, use("fill holes", annotation, gesture)), wanted)


class TestSmooth:
    def test_a_spike_goes_and_the_size_stays(self):
        labels = disc((60, 60), (30, 30), 12).astype(np.uint8)
        labels[30, 42:52] = 1
        annotation = Annotation.of(labels)
        found = after(annotation, use("smooth", annotation, Gesture(((30, 30),))))
        assert not found[30, 46:].any()
        assert abs(int(found.sum()) - int(labels.sum())) <= 4

    def test_neighbours_are_not_painted_over(self):
        labels = drawn("1111222", "1.11222", "1111222", "11.1222", "1111222", "1111222")
        annotation = Annotation.of(labels)
        found = after(annotation, use("smooth", annotation, Gesture(((0, 0),)), width=2))
        assert np.array_equal(found == 2, labels == 2)

    def test_width_is_physical(self):
        labels = np.zeros((9, 40, 40), np.uint8)
        labels[2:7] = disc((40, 40), (20, 20), 10)
        labels[4, 20, 30:38] = 1
        thick = Annotation.of(labels, spacing=(10.0, 1.0, 1.0))
        found = after(thick, use("smooth", thick, Gesture(((4, 20, 20),)), width=2.0))
        assert not found[4, 20, 34:].any()
        assert np.array_equal(found.any((1, 2)), labels.any((1, 2)))

    def test_only_this_slice(self):
        labels = np.zeros((3, 30, 30), np.uint8)
        labels[:] = disc((30, 30), (15, 15), 7)
        labels[:, 15, 22:28] = 1
        annotation = Annotation.of(labels)
        found = after(annotation, use("smooth", annotation, Gesture(((1, 15, 15),)), reach="slice"))
        assert (found != labels).any((1, 2)).tolist() == [False, True, False]

    def test_at_the_border_of_the_image_it_goes_on(self):
        labels = np.zeros((40, 40), np.uint8)
        labels[:, :20] = 1
        labels[20, 20:27] = 1
        annotation = Annotation.of(labels)
        found = after(annotation, use("smooth", annotation, Gesture(((0, 0),)), width=2))
        assert found[0, 19] == found[39, 19] == 1

    def test_smooth_enough(self):
        with pytest.raises(SegError, match="larger width"):
            use("smooth", Annotation.of(np.ones((8, 8), np.uint8)), Gesture(((0, 0),)))

    def test_one_pixel_does_not_vanish(self):
        labels = np.zeros((9, 9), np.uint8)
        labels[4, 4] = 1
        with pytest.raises(SegError, match="larger width"):
            use("smooth", Annotation.of(labels), Gesture(((4, 4),)))


class TestParts:
    labels = drawn("11..1", "11.1.", ".....", "2...1")

    def test_keep_the_largest(self):
        annotation = Annotation.of(self.labels)
        edit = use("largest part", annotation, Gesture(((3, 4),)))
        assert np.array_equal(after(annotation, edit), drawn("11...", "11...", ".....", "2...."))

    def test_of_a_class_too(self):
        annotation = Annotation.of(self.labels, objects=False)
        edit = use("largest part", annotation, Gesture(((3, 4),)))
        assert np.array_equal(after(annotation, edit), drawn("11...", "11...", ".....", "2...."))

    def test_split_apart(self):
        annotation = Annotation.of(self.labels, rows=ROWS)
        edit = use("split apart", annotation, Gesture(((3, 4),)))
        found = after(annotation, edit)
        assert np.array_equal(found, drawn("11..4", "11.4.", ".....", "2...5"))  # 3 is known, though it is gone
        assert edit.rows == {row(4): (None, Entry(2)), row(5): (None, Entry(2))}

    def test_numbers_go_on_from_the_following_one(self):
        annotation = Annotation.of(self.labels, following=255)
        found = after(annotation, use("split apart", annotation, Gesture(selected=(1,))))
        assert sorted(np.unique(found).tolist()) == [0, 1, 2, 255, 256]

    @pytest.mark.parametrize("tool", ["largest part", "split apart"])
    def test_one_part(self, tool):
        with pytest.raises(SegError):
            use(tool, Annotation.of(self.labels), Gesture(((3, 0),)))


class TestClearing:
    labels = drawn("1....", ".22.3", ".22.3", ".....", "4.5..")

    def test_smaller_than(self):
        annotation = Annotation.of(self.labels, rows=ROWS)
        edit = use("delete small", annotation, Gesture(), size=2)
        assert np.array_equal(after(annotation, edit), drawn(".....", ".22.3", ".22.3", ".....", "....."))
        assert edit.rows == {row(1): (ROWS[row(1)], None)}

    def test_in_the_unit_of_the_image(self):
        annotation = Annotation.of(self.labels, spacing=(0.5, 0.5))
        found = after(annotation, use("delete small", annotation, Gesture(), size=0.6, measure="unit"))
        assert np.unique(found).tolist() == [0, 2]

    def test_parts_of_classes(self):
        annotation = Annotation.of(drawn("11.1.", "11..2"), objects=False)
        found = after(annotation, use("delete small", annotation, Gesture(), size=2))
        assert np.array_equal(found, drawn("11...", "11..."))

    def test_at_the_border(self):
        annotation = Annotation.of(self.labels)
        found = after(annotation, use("delete border", annotation, Gesture()))
        assert np.array_equal(found, drawn(".....", ".22..", ".22..", ".....", "....."))

    def test_first_and_last_slice_may_be_no_border(self):
        labels = np.zeros((2, 5, 5), np.uint8)
        labels[0, 2, 2], labels[1, 0, 2] = 1, 2
        annotation = Annotation.of(labels)
        assert not after(annotation, use("delete border", annotation, Gesture())).any()
        found = after(annotation, use("delete border", annotation, Gesture(), sides="shown"))
        assert np.array_equal(found, np.where(labels == 1, 1, 0))

    def test_touching_part_of_a_class_goes_whole(self):
        annotation = Annotation.of(drawn("11...", ".1...", "..2..", "....."), objects=False)
        found = after(annotation, use("delete border", annotation, Gesture()))
        assert np.array_equal(found, drawn(".....", ".....", "..2..", "....."))

    def test_locked_ones_stay(self):
        for stay in ({"locked": frozenset({1, 4, 5})}, {"unseen": lambda labels: np.isin(labels, (1, 4, 5))}):
            with pytest.raises(SegError, match="smaller"):
                use("delete small", Annotation.of(self.labels, **stay), Gesture(), size=2)

    def test_boxes_of_what_stays_stay_small(self):
        rng = np.random.default_rng(0)
        labels = np.zeros((40, 130, 130), np.uint16)
        for label, place in enumerate(rng.integers(1, (38, 128, 128), (300, 3)), 1):
            labels[tuple(place)] = label
        labels[10:14, 20:24, 20:24] = 999
        annotation = Annotation.of(labels)
        there = applied(use("delete small", annotation, Gesture()), replace(annotation, labels=labels.copy()))
        assert np.unique(there.labels).tolist() == [0, 999]
        rough = there.extents[999]
        assert rough is not None
        assert max(side.stop - side.start for side in rough) <= 64


class TestRegion:
    @settings(max_examples=40, deadline=None)
    @given(seed=st.integers(0, 10_000), ndim=st.sampled_from([2, 3]))
    def test_part_of_a_class_is_found_however_far_it_reaches(self, seed, ndim):
        from scipy.ndimage import label

        rng = np.random.default_rng(seed)
        shape = (190, 170) if ndim == 2 else (70, 45, 80)
        mask = np.zeros(shape, bool)
        place = np.array([n // 2 for n in shape])
        for _ in range(6):  # a long walk, and dust
            axis, far = rng.integers(ndim), rng.integers(-60, 60)
            path = [slice(int(p), int(p) + 2) for p in place]
            place[axis] = np.clip(place[axis] + far, 0, shape[axis] - 2)
            path[axis] = slice(min(path[axis].start, int(place[axis])), max(path[axis].start, int(place[axis])) + 2)
            mask[tuple(path)] = True
        mask |= rng.random(shape) < 0.02
        labels = np.where(mask, 3, 0).astype(np.uint8)
        labels[~mask & (rng.random(shape) < 0.1)] = 1
        point = tuple(map(float, place))
        found = part_at(Annotation.of(labels, objects=False), point)
        parts, _ = label(labels == 3, np.ones((3,) * ndim))
        wanted = parts == parts[tuple(place)]
        assert np.array_equal(found.mask, wanted[found.box])
        assert found.size == wanted.sum()

    @settings(max_examples=200, deadline=None)
    @given(hnp.arrays(bool, st.one_of(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 5)] * 3))))
    def test_what_touches_at_a_corner_hangs_together(self, mask):
        from scipy.ndimage import label

        found, count = components(mask)
        wanted, many = label(mask, np.ones((3,) * mask.ndim))
        assert count == many == found.max(initial=0)
        pairs = np.unique(np.stack([found.ravel(), wanted.ravel()]), axis=1)
        assert len(pairs.T) == len(np.unique(wanted))

    def test_an_object_is_all_of_its_label(self):
        annotation = Annotation.of(drawn("11.1"))
        assert region(annotation, Gesture(((0, 0),))).size == 3
        assert region(replace(annotation, objects=False), Gesture(((0, 0),))).size == 2
