"""The line and the seeds: how a thing is divided, that nothing is lost, and what the pieces are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcome import after
from scenes import disc, drawn, use

from napari_seg.editing.annotation import Annotation, Entry, object_key
from napari_seg.editing.basins import Landscape, basins, depth
from napari_seg.editing.knife import cells, to_nearest
from napari_seg.editing.selection import components
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError
from napari_seg.tasks.instance import Instance


def bar(grid: tuple[int, ...] = (9, 30)) -> Annotation:
    labels = np.zeros(grid, np.uint8)
    labels[..., 2:7, 3:27] = 1
    rows = {object_key(1): Entry(3, "accepted", "mine")}
    return Annotation.of(labels, rows=rows, spacing=(3.0, 1.0, 1.0)[-len(grid) :], following=7)


places = st.tuples(st.floats(0, 39, allow_nan=False), st.floats(0, 39, allow_nan=False))


class TestLine:
    def test_the_larger_piece_keeps_number_and_row(self):
        annotation = bar()
        edit = use("split", annotation, Gesture(((0, 10), (8, 10))))
        found = after(annotation, edit)
        assert np.array_equal(found > 0, annotation.labels > 0)
        assert set(np.unique(found[:, :10])) == {0, 7}
        assert set(np.unique(found[:, 11:])) == {0, 1}
        assert edit.rows == {object_key(7): (None, Entry(3))}

    def test_no_voxel_is_lost_and_two_pieces_hang_together(self):
        annotation = Annotation.of(disc((50, 50), (25, 25), 20).astype(np.uint8))
        found = after(annotation, use("split", annotation, Gesture(((3, 8), (30, 22), (44, 46)))))
        assert np.array_equal(found > 0, annotation.labels > 0)
        assert np.unique(found).tolist() == [0, 1, 2]
        assert all(components(found == label)[1] == 1 for label in (1, 2))

    @pytest.mark.parametrize(("start", "end"), [(0.0, 8.0), (2.0, 6.0), (3.6, 5.2), (8.0, 3.0)])
    def test_a_line_that_ends_too_soon_is_led_on(self, start, end):
        annotation = bar()
        found = after(annotation, use("split", annotation, Gesture(((start, 10), (end, 10)))))
        assert np.unique(found).tolist() == [0, 1, 7]

    def test_but_not_far(self):
        labels = np.zeros((40, 40), np.uint8)
        labels[2:38, 2:38] = 1
        with pytest.raises(SegError, match="from one side to the other"):
            use("split", Annotation.of(labels), Gesture(((0, 20), (25, 20))))

    def test_a_line_through_two_arms_makes_three_pieces(self):
        labels = np.zeros((30, 30), np.uint8)
        labels[3:27, 3:27] = 1
        labels[3:20, 11:19] = 0
        annotation = Annotation.of(labels)
        found = after(annotation, use("split", annotation, Gesture(((8, 0), (8, 29)))))
        assert np.unique(found).tolist() == [0, 1, 2, 3]
        one = after(annotation, use("split", annotation, Gesture(((8, 0), (8, 13)))))
        assert np.unique(one).tolist() == [0, 1, 2], "a line that ends between the arms cuts only the first"

    def test_a_loose_part_is_no_piece(self):
        labels = bar().labels.copy()
        labels[8, 1] = 1
        annotation = Annotation.of(labels)
        found = after(annotation, use("split", annotation, Gesture(((0, 20), (8, 20)))))
        assert np.unique(found).tolist() == [0, 1, 2]
        assert found[8, 1] == found[6, 3]

    def test_crumbs_are_no_pieces(self):
        labels = np.zeros((40, 60), np.uint8)
        labels[5:20, 5:55] = 1
        labels[20, 5:55:2] = 1  # a comb, grazed by the line
        annotation = Annotation.of(labels)
        found = after(annotation, use("split", annotation, Gesture(((20, 2), (20, 30), (2, 30)))))
        assert np.unique(found).tolist() == [0, 1, 2]

    def test_the_object_under_most_of_the_line(self):
        annotation = Annotation.of(drawn("1111122222", "1111122222", "1111122222"))
        found = after(annotation, use("split", annotation, Gesture(((1, 3), (1, 9)))))
        assert (found == 1).sum() == 15
        assert np.unique(found).tolist() == [0, 1, 2, 3] or np.unique(found).tolist() == [1, 2, 3]
        selected = after(annotation, use("split", annotation, Gesture(((1, 0), (1, 9)), selected=(1,))))
        assert (selected == 2).sum() == 15

    def test_a_selected_object_elsewhere_is_not_cut_unseen(self):
        labels = np.zeros((2, 9, 30), np.uint8)
        labels[0, 2:7, 3:27], labels[1, 2:7, 3:27] = 1, 2
        annotation = Annotation.of(labels)
        line = ((0, 0, 10), (0, 8, 10))
        found = after(annotation, use("split", annotation, Gesture(line, selected=(2,))))
        assert np.array_equal(found[1], labels[1])
        assert np.unique(found[0]).tolist() == [0, 1, 3]

    def test_in_3d_it_goes_through_all_slices(self):
        labels = np.zeros((11, 40, 40), np.uint8)
        labels[:] = disc((11, 40, 40), (5, 20, 20), 15, (2, 1, 1))
        annotation = Annotation.of(labels, spacing=(2.0, 1.0, 1.0))
        for index in (5, 1):  # in the first slices the ball is small, elsewhere it is wider than the line
            row = np.flatnonzero(labels[index].any(1))
            line = ((float(index), row[0] - 1.0, 20.0), (float(index), row[-1] + 1.0, 20.0))
            found = after(annotation, use("split", annotation, Gesture(line)))
            assert np.array_equal(found > 0, labels > 0)
            assert not (found[:, :, :20] == found[:, :, 21:].max()).any()

    def test_or_through_the_shown_one(self):
        annotation = bar((4, 9, 30))
        edit = use("split", annotation, Gesture(((2, 0, 10), (2, 8, 10))), reach="slice")
        found = after(annotation, edit)
        assert (found == 7).any((1, 2)).tolist() == [False, False, True, False]

    @pytest.mark.parametrize("shown", [(0, 2), (2, 0), (-3, -1)])
    def test_in_another_plane(self, shown):
        annotation = bar((6, 9, 30))
        found = after(annotation, use("split", annotation, Gesture(((0, 4, 10), (5, 4, 10)), shown=shown)))
        assert (found[:, :, :10] != 1).all()
        assert (found[:, :, 11:] != 7).all()

    @pytest.mark.parametrize("at", [2.4, 2.6, 3.4, 3.6])
    @pytest.mark.parametrize(("first", "last"), [(-1.0, 30.0), (30.0, -1.0)])
    def test_a_thick_slice_under_the_line_goes_to_the_side_of_its_centre(self, at, first, last):
        annotation = Annotation.of(bar((6, 9, 30)).labels, spacing=(5.0, 0.5, 0.5))
        gesture = Gesture(((at, 4, first), (at, 4, last)), shown=(0, 2))
        found = after(annotation, use("split", annotation, gesture))[:, 4, 10]
        assert [z for z in range(5) if found[z] != found[z + 1]] == [np.floor(at)]

    def test_a_class_is_divided_into_two_classes(self):
        annotation = Annotation.of(bar().labels, objects=False)
        found = after(annotation, use("split", annotation, Gesture(((0, 10), (8, 10)), label=2)))
        assert np.unique(found).tolist() == [0, 1, 2]
        assert (found[:, 11:] != 2).all()
        with pytest.raises(SegError, match="choose the class"):
            use("split", annotation, Gesture(((0, 10), (8, 10)), label=1))

    @pytest.mark.parametrize("points", [((4, 10),), ((4, 10), (4.2, 10.1)), ()])
    def test_a_point_is_no_line(self, points):
        with pytest.raises(SegError, match="draw a line"):
            use("split", bar(), Gesture(points))

    def test_beside_the_object(self):
        with pytest.raises(SegError, match="no object under the line"):
            use("split", bar(), Gesture(((0, 0), (8, 0))))

    @given(st.lists(places, min_size=2, max_size=6))
    def test_each_voxel_of_the_line_shares_a_side_with_the_next(self, line):
        path = cells(np.array(line))
        assert (np.abs(np.diff(path, axis=0)).sum(1) == 1).all()
        assert tuple(path[0]) == tuple(np.floor(np.array(line[0]) + 0.5).astype(int))
        assert tuple(path[-1]) == tuple(np.floor(np.array(line[-1]) + 0.5).astype(int))

    @settings(max_examples=60, deadline=None)
    @given(st.lists(places, min_size=2, max_size=5), st.integers(0, 100))
    def test_any_line_over_any_object(self, line, seed):
        rng = np.random.default_rng(seed)
        blobs = [disc((40, 40), tuple(rng.uniform(8, 32, 2)), rng.uniform(4, 12)) for _ in range(3)]
        annotation = Annotation.of(np.any(blobs, axis=0).astype(np.uint8))
        try:
            found = after(annotation, use("split", annotation, Gesture(tuple(line))))
        except SegError:
            return
        assert np.array_equal(found > 0, annotation.labels > 0)
        sizes = np.bincount(found.ravel())[1:]
        assert len(sizes) > 1
        assert sizes.min() > 0
        assert sizes[0] >= sizes[1:].max() - len(cells(np.array(line)))


class TestNearest:
    def test_in_physical_units(self):
        pieces = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 2]])
        mask = np.zeros((4, 3), bool)
        mask[0, 0] = mask[3, 2] = mask[1, 2] = True
        assert to_nearest(pieces, mask, (1.0, 10.0))[1, 2] == 2
        assert to_nearest(pieces, mask, (10.0, 1.0))[1, 2] == 1


def two_discs(grid: tuple[int, int] = (50, 70)) -> tuple[Annotation, np.ndarray]:
    first, second = disc(grid, (25, 22), 15), disc(grid, (25, 46), 12)
    truth = np.where(first, 1, np.where(second, 2, 0))
    return Annotation.of((truth > 0).astype(np.uint8), following=5), truth


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


class TestSeeds:
    @pytest.mark.parametrize("seeds", [((25, 22), (25, 46)), ((25, 46), (20, 18)), ((33, 28), (18, 48))])
    def test_by_the_distance(self, seeds):
        annotation, truth = two_discs()
        edit = use("split by seeds", annotation, Gesture(seeds), by="distance")
        found = after(annotation, edit)
        assert np.array_equal(found > 0, truth > 0)
        assert iou(found == 1, truth == 1) > 0.97
        assert iou(found == 5, truth == 2) > 0.95

    def test_by_the_image_where_the_shape_says_nothing(self):
        annotation = bar((9, 30))
        image = np.zeros((9, 30), np.float32)
        image[:, 13:] = 50
        image += np.random.default_rng(0).normal(0, 1, image.shape)
        seen = Annotation.of(annotation.labels, image=image)
        found = after(seen, use("split by seeds", seen, Gesture(((4, 9), (4, 18)))))
        assert np.unique(found[2:7, 3:13]).size == 1
        assert np.unique(found[2:7, 13:27]).size == 1

    def test_by_the_directions_of_a_model(self):
        annotation = bar((9, 30))
        truth = annotation.labels.copy()
        truth[2:7, 16:27] = 2
        scores = Instance(ndim=2).encode(truth, (1.0, 1.0))
        seen = Annotation.of(annotation.labels, scores=scores)
        found = after(seen, use("split by seeds", seen, Gesture(((4, 9), (4, 20))), by="scores"))
        assert iou(found == 1, truth == 1) > 0.9
        assert iou(found == 2, truth == 2) > 0.9

    def test_by_the_scores_of_a_class(self):
        annotation = bar((9, 30))
        scores = np.stack([annotation.labels == 0, annotation.labels > 0]).astype(np.float32)
        scores[1, :, 16] = 0.6
        seen = Annotation.of(annotation.labels, objects=False, scores=scores)
        found = after(seen, use("split by seeds", seen, Gesture(((4, 11), (4, 19)), label=2), by="scores"))
        assert set(np.unique(found[2:7, 3:16])) == {1}
        assert set(np.unique(found[2:7, 17:27])) == {2}

    def test_each_seed_has_its_piece_in_3d_with_thick_slices(self):
        grid = (12, 40, 60)
        first, second = disc(grid, (6, 20, 18), 14, (3, 1, 1)), disc(grid, (6, 20, 40), 11, (3, 1, 1))
        truth = np.where(first, 1, np.where(second, 2, 0))
        annotation = Annotation.of((truth > 0).astype(np.uint8), spacing=(3.0, 1.0, 1.0))
        found = after(annotation, use("split by seeds", annotation, Gesture(((6, 20, 18), (6, 20, 40)))))
        assert iou(found == 1, truth == 1) > 0.95
        assert iou(found == 2, truth == 2) > 0.95

    def test_only_this_slice(self):
        annotation = bar((4, 9, 30))
        gesture = Gesture(((1, 4, 8), (1, 4, 20)))
        found = after(annotation, use("split by seeds", annotation, gesture, reach="slice"))
        assert (found == 7).any((1, 2)).tolist() == [False, True, False, False]

    def test_seeds_count_more_than_a_selection(self):
        annotation = Annotation.of(np.where(bar().labels, 2, 0) + (np.indices((9, 30))[0] == 8))
        found = after(annotation, use("split by seeds", annotation, Gesture(((4, 5), (4, 22)), selected=(1,))))
        assert np.unique(found).tolist() == [0, 1, 2, 3]

    def test_three_seeds(self):
        annotation = bar()
        found = after(annotation, use("split by seeds", annotation, Gesture(((4, 5), (4, 15), (4, 24)))))
        assert len({int(found[4, column]) for column in (5, 15, 24)}) == 3

    @pytest.mark.parametrize(
        ("points", "says"),
        [
            (((4, 5),), "at least two"),
            (((4, 5), (4.1, 5.2)), "at least two"),
            (((4, 5), (0, 0)), "Seed 2 does not lie on object 1"),
            (((4, 5), (80, 5)), "Seed 2"),
            (((0, 0), (4, 5)), "no object here"),
        ],
    )
    def test_seeds_must_be_places_on_one_object(self, points, says):
        with pytest.raises(SegError, match=says):
            use("split by seeds", bar(), Gesture(points))

    @pytest.mark.parametrize("by", ["image", "scores"])
    def test_what_there_is_not_cannot_be_looked_at(self, by):
        with pytest.raises(SegError, match="split by the distance"):
            use("split by seeds", bar(), Gesture(((4, 5), (4, 20))), by=by)

    @settings(max_examples=60, deadline=None)
    @given(seed=st.integers(0, 10_000), count=st.integers(2, 5), ndim=st.sampled_from([2, 3]))
    def test_pieces_hold_their_seeds_and_hang_together(self, seed, count, ndim):
        rng = np.random.default_rng(seed)
        shape = (25, 30) if ndim == 2 else (7, 12, 14)
        spacing = tuple(rng.uniform(0.5, 3, ndim))
        mask = components(rng.random(shape) < 0.7)[0] == 1
        spots = np.argwhere(mask)
        count = min(count, len(spots))
        if count < 2:
            return
        seeds = [tuple(map(int, spot)) for spot in rng.permutation(spots)[:count]]
        found = basins(mask, seeds, Landscape(-depth(mask, spacing), 0.4), spacing)
        assert np.array_equal(found > 0, mask)
        for number, place in enumerate(seeds, 1):
            assert found[place] == number
            assert components(found == number)[1] == 1

    def test_a_thing_in_two_parts_with_the_seeds_in_one(self):
        annotation = Annotation.of(drawn("111111...1", "111111...1"))
        found = after(annotation, use("split by seeds", annotation, Gesture(((0, 0), (0, 5)))))
        assert (found[:, 9] == found[0, 5]).all()
        assert (found > 0).sum() == 14
