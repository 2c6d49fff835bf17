"""Brush and eraser paint exactly what lies within the radius of the line, in physical units, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from outcome import after

from napari_seg.editing.annotation import Annotation, Extents
from napari_seg.editing.brush import Brush, Eraser, RangeBrush, brush, eraser, range_brush
from napari_seg.editing.reach import Point, swept
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError


def near(grid: tuple[int, ...], points: list[Point], radius: float, spacing: tuple[float, ...]) -> NDArray[np.bool_]:
    """By hand, voxel by voxel: which lie within ``radius`` of the line through the points."""
    found = np.zeros(grid, bool)
    legs = list(pairwise(points)) or [(points[0], points[0])]
    for index in np.ndindex(grid):
        for a, b in legs:
            p, start, end = (np.array(x, float) * spacing for x in (index, a, b))
            step = end - start
            share = np.clip((p - start) @ step / (step @ step), 0, 1) if step @ step > 0 else 0.0
            found[index] |= np.linalg.norm(p - start - share * step) <= radius * (1 + 1e-9)
    return found


places = st.floats(-3, 12, allow_nan=False)


@settings(max_examples=60, deadline=None)
@example(points=[(0.0, 1.9999999999999991)], radius=2.0, spacing=(0.5, 0.5))  # the edge is a rounding away from a voxel
@given(
    points=st.lists(st.tuples(places, places), min_size=1, max_size=4),
    radius=st.floats(1.5, 6),
    spacing=st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.5, 1.0, 1.5])),
)
def test_a_disc_along_a_line_is_exact(points: list[Point], radius: float, spacing: tuple[float, float]) -> None:
    area = swept(points, radius, spacing, (slice(0, 9), slice(0, 11)))
    found = np.zeros((9, 11), bool)
    found[area.box] = area.mask
    assert np.array_equal(found, near((9, 11), points, radius, spacing))


@settings(max_examples=20, deadline=None)
@given(points=st.lists(st.tuples(places, places, places), min_size=1, max_size=3), radius=st.floats(2, 5))
def test_a_ball_in_millimetres_is_an_ellipsoid_in_voxels(points: list[Point], radius: float) -> None:
    spacing = (2.5, 1.0, 0.5)
    area = swept(points, radius, spacing, (slice(0, 5), slice(0, 8), slice(0, 9)))
    found = np.zeros((5, 8, 9), bool)
    found[area.box] = area.mask
    assert np.array_equal(found, near((5, 8, 9), points, radius, spacing))


def test_the_disc_stays_in_its_slice_and_the_ball_does_not() -> None:
    annotation = Annotation.of(np.zeros((9, 20, 20), np.uint8), spacing=(2.0, 1.0, 1.0), unit="mm")
    gesture = Gesture(points=((4.0, 10.0, 10.0),), shown=(1, 2), label=3)
    disc = after(annotation, brush(annotation, gesture, Brush(radius=3)))
    assert (np.unique(np.nonzero(disc)[0]) == [4]).all()
    assert np.count_nonzero(disc) == 29  # pixels of a disc of radius 3
    ball = after(annotation, brush(annotation, gesture, Brush(radius=3, reach="volume")))
    assert [np.count_nonzero(ball[z]) for z in range(9)] == [0, 0, 0, 21, 29, 21, 0, 0, 0]
    assert np.array_equal(ball[4], disc[4])


def test_a_disc_in_a_sagittal_slice_is_round_in_millimetres() -> None:
    annotation = Annotation.of(np.zeros((10, 5, 40), np.uint8), spacing=(3.0, 1.0, 1.0))
    gesture = Gesture(points=((5.0, 2.0, 20.0),), shown=(2, 0))  # rows along the last axis
    labels = after(annotation, brush(annotation, gesture, Brush(radius=6.5)))
    assert not labels[:, [0, 1, 3, 4]].any()
    assert np.flatnonzero(labels[:, 2, 20]).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(labels[5, 2]).tolist() == list(range(14, 27))


@pytest.mark.parametrize("point", [(2.0, 3.0), (2.4, 3.4), (2.49, 2.51)])
def test_a_brush_thinner_than_a_pixel_paints_the_pixel_under_it(point: Point) -> None:
    annotation = Annotation.of(np.zeros((5, 6), np.uint8))
    labels = after(annotation, brush(annotation, Gesture(points=(point,)), Brush(radius=0.01)))
    assert np.argwhere(labels).tolist() == [[2, 3]]


def test_a_thin_line_has_no_gaps() -> None:
    annotation = Annotation.of(np.zeros((30, 30), np.uint8))
    labels = after(annotation, brush(annotation, Gesture(points=((1.0, 1.0), (8.0, 28.0))), Brush(radius=0.1)))
    assert labels.any(0)[1:29].all()


def test_a_stroke_that_begins_outside_paints_what_lies_inside() -> None:
    annotation = Annotation.of(np.zeros((10, 10), np.uint8))
    labels = after(annotation, brush(annotation, Gesture(points=((5.0, -6.0), (5.0, 2.0))), Brush(radius=1)))
    assert labels[5, :3].all()
    with pytest.raises(SegError, match="outside the image"):
        brush(annotation, Gesture(points=((50.0, 50.0), (60.0, 60.0))), Brush(radius=1))


def test_each_mode_keeps_to_its_place() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 8:14], labels[:, 14:] = 1, 2
    image = np.tile(np.arange(20), (20, 1))
    annotation = Annotation.of(labels, image=image)
    gesture = Gesture(points=((10.0, 10.0),), label=3)
    changed = {
        mode: np.unique(
            np.argwhere(after(annotation, brush(annotation, gesture, Brush(mode=mode, radius=6))) == 3)[:, 1]
        )
        for mode in ("everywhere", "background", "inside")
    }
    assert changed["everywhere"].tolist() == list(range(4, 17))
    assert changed["background"].tolist() == [4, 5, 6, 7]
    assert changed["inside"].tolist() == [8, 9, 10, 11, 12, 13]
    options = RangeBrush(radius=6, low=6, high=9)
    between = after(annotation, range_brush(annotation, gesture, options)) == 3
    assert np.unique(np.argwhere(between)[:, 1]).tolist() == [6, 7, 8, 9]


def test_the_eraser_makes_background_and_can_keep_to_one_object() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 8:14], labels[:, 14:] = 1, 2
    annotation = Annotation.of(labels)
    gesture = Gesture(points=((10.0, 12.0),), label=7)
    rest = after(annotation, eraser(annotation, gesture, Eraser(radius=4)))
    assert rest[10, 8:17].tolist() == [0] * 9
    assert rest[10, 17] == 2
    rest = after(annotation, eraser(annotation, gesture, Eraser(radius=4, mode="inside")))
    assert rest[10, 8:17].tolist() == [0] * 6 + [2] * 3


def test_locked_labels_stay() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[:, 4] = 1
    annotation = Annotation.of(labels, locked=frozenset({1}))
    gesture = Gesture(points=((4.0, 4.0),), label=2)
    painted = after(annotation, brush(annotation, gesture, Brush(radius=3)))
    assert np.array_equal(painted == 1, labels == 1)
    assert (painted == 2).any()
    with pytest.raises(SegError, match="locked"):
        brush(annotation, Gesture(points=((4.0, 0.0),), label=1), Brush(radius=3))
    with pytest.raises(SegError, match="locked"):
        eraser(annotation, gesture, Eraser(radius=0.5))


def test_labels_that_are_not_drawn_stay() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[:, 4] = 1
    annotation = Annotation.of(labels, unseen=lambda found: found == 1)
    gesture = Gesture(points=((4.0, 4.0),), label=2)
    painted = after(annotation, brush(annotation, gesture, Brush(radius=3)))
    assert np.array_equal(painted == 1, labels == 1)
    assert (painted == 2).any()
    with pytest.raises(SegError, match="hidden labels"):
        eraser(annotation, gesture, Eraser(radius=0.5))


def test_a_new_label_beyond_the_dtype_fits() -> None:
    annotation = Annotation.of(np.zeros((5, 5), np.uint8))
    labels = after(annotation, brush(annotation, Gesture(points=((2.0, 2.0),), label=70_000), Brush(radius=1)))
    assert labels.max() == 70_000
    assert labels.dtype == np.uint32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Brush(radius=2, mode="background"), "no background"),
        (RangeBrush(radius=2), "open at both ends"),
        (RangeBrush(radius=2, low=5, high=4), "between 5 and 4"),
        (RangeBrush(radius=2, low=5), "no image"),
    ],
)
def test_what_cannot_be_painted_is_said(options: Brush, words: str) -> None:
    annotation = Annotation.of(np.ones((9, 9), np.uint8))
    with pytest.raises(SegError, match=words):
        brush(annotation, Gesture(points=((4.0, 4.0),), label=2), options)


def test_painting_what_is_painted_already_is_said() -> None:
    annotation = Annotation.of(np.ones((9, 9), np.uint8), objects=False, image=np.zeros((9, 9)))
    gesture = Gesture(points=((4.0, 4.0),), label=1)
    with pytest.raises(SegError, match="class 1 already"):
        brush(annotation, gesture, Brush(radius=2))
    with pytest.raises(SegError, match="now 5 to anything"):
        range_brush(annotation, gesture, RangeBrush(radius=2, low=5))


def test_where_the_spacing_is_not_known_it_counts_in_pixels() -> None:
    labels = np.zeros((9, 9), np.uint8)
    edit = brush(Annotation(labels, Extents(labels)), Gesture(points=((4.0, 4.0),)), Brush(radius=1))
    assert edit.voxels == 5


def test_one_pixel_is_an_image_too() -> None:
    annotation = Annotation.of(np.zeros((1, 1), np.uint8))
    assert after(annotation, brush(annotation, Gesture(points=((0.0, 0.0),)), Brush(radius=9))).tolist() == [[1]]
    volume = Annotation.of(np.zeros((1, 1, 1), np.uint8))
    gesture = Gesture(points=((0.0, 0.0, 0.0),))
    assert after(volume, brush(volume, gesture, Brush(radius=9, reach="volume"))).tolist() == [[[1]]]
