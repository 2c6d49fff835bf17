"""Growing, outlines and filling: what they take, where they stop, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from outcome import after

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.painting import Outline
from napari_seg.editing.reach import Point
from napari_seg.editing.regions import Fill, Grow, fill, grow, lasso, polygon
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError


def blob(
    grid: tuple[int, ...], middle: Point, radius: float, noise: float = 0.15
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A bright ball on a dark ground with noise, and where it is."""
    axes = np.indices(grid)
    mask = sum((axis - m) ** 2 for axis, m in zip(axes, middle, strict=True)) <= radius**2
    return (mask + noise * np.random.default_rng(0).standard_normal(grid)).astype(np.float32), mask


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("far", [13, 18, 25])
def test_growing_takes_what_looks_like_the_seed(sign: int, far: int) -> None:
    image, mask = blob((60, 70), (30, 35), 12)
    annotation = Annotation.of(np.zeros((60, 70), np.uint8), image=sign * image)
    labels = after(annotation, grow(annotation, Gesture(points=((29.0, 33.0), (29.0, 33.0 + far)), label=4), Grow()))
    assert set(np.unique(labels)) == {0, 4}
    assert dice(labels == 4, mask) > 0.96


def test_growing_follows_the_mouse_and_never_leaves_its_radius() -> None:
    image, _ = blob((60, 60), (30, 30), 20, noise=0.05)
    annotation = Annotation.of(np.zeros((60, 60), np.uint8), image=image, spacing=(0.5, 0.5), unit="um")
    sizes = []
    for far in (5, 10, 15):
        labels = after(annotation, grow(annotation, Gesture(points=((30.0, 30.0), (30.0, 30.0 + far))), Grow()))
        rows, columns = np.nonzero(labels)
        assert np.hypot(rows - 30, columns - 30).max() <= far
        sizes.append(np.count_nonzero(labels))
    assert sizes == sorted(sizes)
    assert sizes[0] == 81  # all of a disc of radius 5: inside one structure the noise parts nothing


def test_growing_in_the_volume_is_a_ball_in_millimetres() -> None:
    grid = (15, 40, 40)
    image, mask = blob((45, 40, 40), (21, 20, 20), 9)
    image, mask = image[::3], mask[::3]  # slices of 3 mm
    annotation = Annotation.of(np.zeros(grid, np.uint8), image=image, spacing=(3.0, 1.0, 1.0), unit="mm")
    gesture = Gesture(points=((7.0, 20.0, 20.0), (7.0, 20.0, 32.0)), shown=(1, 2))
    assert dice(after(annotation, grow(annotation, gesture, Grow(reach="volume"))) > 0, mask) > 0.93
    one = after(annotation, grow(annotation, gesture, Grow()))
    assert np.unique(np.nonzero(one)[0]).tolist() == [7]
    assert dice(one[7] > 0, mask[7]) > 0.95


def test_growing_from_an_object_extends_it_and_leaves_its_neighbour() -> None:
    image, mask = blob((50, 50), (25, 25), 12, noise=0.02)
    labels = np.where(mask & (np.indices(mask.shape)[1] < 26), 1, 0)
    labels[:, 36:] = 2
    labels[25, 30:34] = 2
    annotation = Annotation.of(labels.astype(np.uint8), image=image)
    found = after(annotation, grow(annotation, Gesture(points=((25.0, 24.0), (25.0, 39.0)), label=9), Grow()))
    assert np.array_equal(found == 2, labels == 2)
    assert dice(found == 1, mask & (labels != 2)) > 0.97
    assert not (found == 9).any()


@pytest.mark.parametrize(
    ("points", "known", "words"),
    [
        (((5.0, 5.0), (5.0, 9.0)), {}, "no image"),
        (((5.0, 5.0),), {"image": np.zeros((12, 12))}, "drag outward"),
        (((5.0, 50.0), (5.0, 9.0)), {"image": np.zeros((12, 12))}, "outside the image"),
        ((), {}, "pointed at"),
    ],
)
def test_growing_says_what_it_needs(
    points: tuple[Point, ...], known: dict[str, NDArray[np.float64]], words: str
) -> None:
    annotation = Annotation.of(np.zeros((12, 12), np.uint8), **known)
    with pytest.raises(SegError, match=words):
        grow(annotation, Gesture(points=points), Grow())


def test_growing_where_the_seed_may_not_be_painted_is_said() -> None:
    annotation = Annotation.of(np.zeros((12, 12), np.uint8), image=np.zeros((12, 12)))
    with pytest.raises(SegError, match="at the seed"):
        grow(annotation, Gesture(points=((5.0, 5.0), (5.0, 9.0))), Grow(mode="range", low=1))


def test_an_even_image_grows_to_the_radius() -> None:
    annotation = Annotation.of(np.zeros((30, 30), np.uint8), image=np.full((30, 30), 7))
    labels = after(annotation, grow(annotation, Gesture(points=((15.0, 15.0), (15.0, 20.0))), Grow()))
    assert np.count_nonzero(labels) == 81


def test_a_polygon_is_filled_in_the_slice_that_is_shown() -> None:
    annotation = Annotation.of(np.zeros((6, 20, 30), np.uint8))
    corners = ((2.0, 4.0, 25.0), (4.0, 4.0, 25.0), (4.0, 4.0, 10.0), (2.0, 4.0, 10.0))
    for shown in ((0, 2), (2, 0)):
        labels = after(annotation, polygon(annotation, Gesture(points=corners, shown=shown, label=2), Outline()))
        assert np.array_equal(np.argwhere(labels).min(0), (2, 4, 10))
        assert np.array_equal(np.argwhere(labels).max(0), (4, 4, 25))
        assert np.count_nonzero(labels) == 3 * 16


@pytest.mark.parametrize(("objects", "label"), [(True, 8), (False, 2)])
def test_each_outline_is_an_object_of_its_own_if_that_is_wanted(objects: bool, label: int) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[0, 0] = 7
    annotation = Annotation.of(labels, objects=objects)
    corners = ((4.0, 4.0), (4.0, 9.0), (9.0, 9.0), (9.0, 4.0))
    made = after(annotation, lasso(annotation, Gesture(points=corners, label=2), Outline(apart=True)))
    assert made[6, 6] == label
    assert made[0, 0] == 7


def off_the_outline(place: np.ndarray[Any, Any], corners: np.ndarray[Any, Any]) -> float:
    """How far a pixel lies from the nearest side."""
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.maximum((sides**2).sum(1), 1e-12)
    along = np.clip(((place - corners) * sides).sum(1) / lengths, 0, 1)
    return float(np.linalg.norm(place - corners - along[:, None] * sides, axis=1).min())


corner = st.tuples(st.floats(-4, 24, allow_nan=False), st.floats(-4, 24, allow_nan=False))


@settings(max_examples=80, deadline=None)
@given(corners=st.lists(corner, min_size=3, max_size=9, unique=True))
@example(corners=[(11.0, 1.0), (0.0, 12.0), (0.0, -1.0), (0.0, 0.0), (20.0, 7.0), (0.0, -3.0)])
def test_an_outline_leaves_no_hole_and_does_not_depend_on_its_direction(corners: list[Point]) -> None:
    annotation = Annotation.of(np.zeros((20, 20), np.uint8))
    try:
        labels = after(annotation, lasso(annotation, Gesture(points=tuple(corners)), Outline()))
    except SegError as error:
        assert "encloses no voxel" in str(error)  # noqa: PT017
        return
    back = after(annotation, lasso(annotation, Gesture(points=tuple(corners[::-1])), Outline()))
    apart = np.argwhere(labels != back)  # the middle of a pixel on a side lies inside one way round
    assert all(off_the_outline(place, np.array(corners)) < 1e-6 for place in apart)
    rows, columns = np.nonzero(labels)
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    assert (np.array([rows.min(), columns.min()]) >= low - 1e-6).all()
    assert (np.array([rows.max(), columns.max()]) <= high + 1e-6).all()


def test_a_hand_that_crosses_its_own_line_leaves_no_hole() -> None:
    turn = np.linspace(0, 2.6 * 2 * np.pi, 300)  # two and a half turns: an even-odd rule would leave rings
    points = tuple((20 + r * np.sin(t), 20 + r * np.cos(t)) for t, r in zip(turn, np.linspace(15, 8, 300), strict=True))
    annotation = Annotation.of(np.zeros((40, 40), np.uint8))
    labels = after(annotation, lasso(annotation, Gesture(points=points), Outline()))
    rows, columns = np.indices(labels.shape)
    assert labels[np.hypot(rows - 20, columns - 20) <= 11].all()


def test_an_outline_keeps_to_the_background_if_told_so() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[:, 10:] = 5
    annotation = Annotation.of(labels)
    corners = ((5.0, 5.0), (5.0, 15.0), (15.0, 15.0), (15.0, 5.0))
    found = after(annotation, polygon(annotation, Gesture(points=corners, label=6), Outline(mode="background")))
    assert np.array_equal(found == 5, labels == 5)
    assert (found[5:16, 5:10] == 6).all()


@pytest.mark.parametrize("corners", [((2.0, 2.0), (5.0, 5.0)), ((2.0, 2.0), (5.0, 5.0), (2.0, 2.0))])
def test_two_places_are_no_outline(corners: tuple[Point, ...]) -> None:
    annotation = Annotation.of(np.zeros((9, 9), np.uint8))
    with pytest.raises(SegError, match="three places"):
        polygon(annotation, Gesture(points=corners), Outline())


def test_a_hole_is_filled_and_the_open_background_is_not() -> None:
    labels = np.zeros((100, 120), np.uint8)
    labels[10:90, 10:90] = 1
    labels[20:80, 20:80] = 0
    annotation = Annotation.of(labels)
    found = after(annotation, fill(annotation, Gesture(points=((25.0, 25.0),)), Fill()))
    assert (found[10:90, 10:90] == 1).all()
    assert np.count_nonzero(found) == 6400
    with pytest.raises(SegError, match="no hole"):
        fill(Annotation.of(np.zeros((50, 50), np.uint8)), Gesture(points=((25.0, 25.0),)), Fill())


def test_an_object_is_filled_as_far_as_it_is_in_one_piece() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[2:8, 2:8] = labels[8:12, 8:12] = 3  # joined at a corner
    labels[20:25, 20:25] = 3
    annotation = Annotation.of(labels)
    found = after(annotation, fill(annotation, Gesture(points=((4.0, 4.0),), label=7), Fill()))
    assert (found == 7).sum() == 36 + 16
    assert (found == 3).sum() == 25


def test_a_cavity_is_filled_in_the_volume_or_in_one_slice() -> None:
    labels = np.zeros((9, 30, 30), np.uint8)
    labels[1:8, 3:27, 3:27] = 2
    labels[3:6, 10:20, 10:20] = 0
    annotation = Annotation.of(labels)
    gesture = Gesture(points=((4.0, 15.0, 15.0),), label=2)
    assert np.count_nonzero(after(annotation, fill(annotation, gesture, Fill())) != labels) == 100
    assert np.count_nonzero(after(annotation, fill(annotation, gesture, Fill(reach="volume"))) != labels) == 300


def test_filling_says_why_it_does_nothing() -> None:
    annotation = Annotation.of(np.ones((9, 9), np.uint8), locked=frozenset({1}))
    with pytest.raises(SegError, match="object 1 already"):
        fill(annotation, Gesture(points=((4.0, 4.0),)), Fill())
    with pytest.raises(SegError, match="locked"):
        fill(annotation, Gesture(points=((4.0, 4.0),), label=2), Fill())


def test_growing_begins_and_stays_where_the_image_has_numbers() -> None:
    image, mask = blob((40, 40), (20, 20), 6, noise=0)
    image[20, 24] = np.nan
    annotation = Annotation.of(np.zeros((40, 40), np.uint8), image=image)
    labels = after(annotation, grow(annotation, Gesture(((20.0, 20.0), (20.0, 32.0))), Grow(smooth=0)))
    assert np.array_equal(labels > 0, mask & np.isfinite(image))
    with pytest.raises(SegError, match="no intensity at the seed"):
        grow(annotation, Gesture(((20.0, 24.0), (20.0, 32.0))), Grow())
