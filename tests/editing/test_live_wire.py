"""The line keeps to the edge between two clicks, whatever the slice, and what it encloses is painted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from outcome import after

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.live_wire import live_wire, path
from napari_seg.editing.painting import Outline
from napari_seg.editing.reach import Point
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError


def disc(radius: float, size: int = 100, noise: float = 0.1) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    rows, columns = np.indices((size, size)) - size // 2
    mask = np.hypot(rows, columns) <= radius
    return (mask + noise * np.random.default_rng(3).standard_normal(mask.shape)).astype(np.float32), mask


def on_circle(radius: float, size: int, *degrees: float) -> tuple[Point, ...]:
    angles = np.radians(degrees)
    return tuple(zip(size // 2 + radius * np.sin(angles), size // 2 + radius * np.cos(angles), strict=True))


def test_the_line_follows_the_edge_without_a_gap() -> None:
    image, _ = disc(30)
    annotation = Annotation.of(np.zeros(image.shape, np.uint8), image=image)
    a, b = on_circle(30, 100, 0, 120)
    line = path(annotation, a, b, (0, 1))
    assert (line[0], line[-1]) == ((50.0, 80.0), tuple(np.rint(b)))
    assert all(max(abs(p - q) for p, q in zip(*step, strict=True)) == 1 for step in pairwise(line))
    away = np.hypot(*(np.array(line) - 50).T) - 30
    assert np.abs(away).max() < 2.5
    assert np.abs(away).mean() < 0.8


def test_four_clicks_paint_a_disc_where_a_polygon_would_paint_a_square() -> None:
    image, mask = disc(30)
    annotation = Annotation.of(np.zeros(image.shape, np.uint8), image=image)
    gesture = Gesture(points=on_circle(30, 100, 0, 90, 180, 270), label=2)
    labels = after(annotation, live_wire(annotation, gesture, Outline()))
    assert set(np.unique(labels)) == {0, 2}
    assert 2 * np.count_nonzero(mask & (labels > 0)) / (mask.sum() + np.count_nonzero(labels)) > 0.97


@pytest.mark.parametrize("shown", [(0, 2), (2, 0)])
def test_it_works_in_any_slice_and_stays_there(shown: tuple[int, int]) -> None:
    image, mask = disc(30)
    image, mask = image[::2], mask[::2]  # slices of 2 mm
    volume = np.repeat(image[:, None], 3, axis=1)
    annotation = Annotation.of(np.zeros(volume.shape, np.uint8), image=volume, spacing=(2.0, 1.0, 1.0), unit="mm")
    points = tuple((row / 2, 1.0, column) for row, column in on_circle(30, 100, 0, 90, 180, 270))
    labels = after(annotation, live_wire(annotation, Gesture(points=points, shown=shown), Outline()))
    assert not labels[:, [0, 2]].any()
    found = labels[:, 1] > 0
    assert 2 * np.count_nonzero(mask & found) / (mask.sum() + found.sum()) > 0.95


@pytest.mark.parametrize("turn", range(4))
def test_a_disc_that_the_image_cuts_ends_at_its_border(turn: int) -> None:
    clicked = np.zeros((100, 100), bool)
    clicked[[20, 50, 80], [50, 80, 50]] = True  # two where the edge meets the border, one in the middle of it
    image, mask, clicked = (np.rot90(a[:, 50:], turn) for a in (*disc(30), clicked))
    annotation = Annotation.of(np.zeros(image.shape, np.uint8), image=image)
    points = tuple((float(row), float(column)) for row, column in np.argwhere(clicked))
    labels = after(annotation, live_wire(annotation, Gesture(points=points), Outline()))
    assert 2 * np.count_nonzero(mask & (labels > 0)) / (mask.sum() + np.count_nonzero(labels)) > 0.97


def test_places_far_apart_are_joined_too() -> None:
    image, _ = disc(380, size=900, noise=0.3)
    annotation = Annotation.of(np.zeros(image.shape, np.uint8), image=image)
    a, b = on_circle(380, 900, 10, 80)
    line = path(annotation, a, b, (0, 1))
    assert max(max(abs(p - q) for p, q in zip(*step, strict=True)) for step in pairwise(line)) <= 4
    assert np.abs(np.hypot(*(np.array(line) - 450).T) - 380).mean() < 3


@pytest.mark.parametrize("grid", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_images_and_places_outside(grid: tuple[int, int]) -> None:
    annotation = Annotation.of(np.zeros(grid, np.uint8), image=np.zeros(grid))
    line = path(annotation, (-5.0, -5.0), (40.0, 40.0), (0, 1))
    assert line[0] == (0.0, 0.0)
    assert line[-1] == (grid[0] - 1.0, grid[1] - 1.0)


def test_a_place_joined_with_itself_is_a_point() -> None:
    annotation = Annotation.of(np.zeros((9, 9), np.uint8), image=np.zeros((9, 9)))
    assert path(annotation, (4.0, 4.0), (4.2, 3.9), (0, 1)) == ((4.0, 4.0),)


def test_what_is_missing_is_said() -> None:
    corners = ((1.0, 1.0), (1.0, 7.0), (7.0, 7.0))
    with pytest.raises(SegError, match="no image"):
        live_wire(Annotation.of(np.zeros((9, 9), np.uint8)), Gesture(points=corners), Outline())
    annotation = Annotation.of(np.ones((9, 9), np.uint8), image=np.zeros((9, 9)))
    with pytest.raises(SegError, match="three places"):
        live_wire(annotation, Gesture(points=corners[:2]), Outline())
    with pytest.raises(SegError, match="object 1 already"):
        live_wire(annotation, Gesture(points=corners), Outline())
