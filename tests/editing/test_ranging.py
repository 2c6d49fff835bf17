"""The range of a brush that paints in one: what lies under a click, or what a label holds already."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.ranging import around, of_label
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError


def scene(dtype: type = np.float32, level: float = 100.0) -> Annotation:
    """Dark on the left, bright from column 20 on, with noise; label 3 on part of the bright side; slice 1 is empty."""
    image = np.full((2, 40, 40), level) + np.random.default_rng(0).normal(0, 5, (2, 40, 40))
    image[:, :, 20:] += 100
    labels = np.zeros(image.shape, np.uint8)
    labels[0, 10:30, 25:35] = 3
    return Annotation.of(labels, image=image.astype(dtype), spacing=(5.0, 1.0, 1.0))


def test_a_click_on_one_side_of_an_edge_takes_that_side() -> None:
    found = scene()
    for column, middle in ((10, 100), (30, 200), (18, 100), (21, 200)):
        low, high = around(found, Gesture(((0.0, 20.0, float(column)),)), 12.0)
        assert low < middle < high
        assert 15 < high - low < 60
        side = found.image[0, :, :20] if middle == 100 else found.image[0, :, 20:]  # type: ignore[index]
        assert ((side >= low) & (side <= high)).mean() > 0.9


def test_whole_numbers_stay_whole_and_numbers_are_short() -> None:
    low, high = around(scene(np.uint8), Gesture(((0.0, 20.0, 10.0),)), 6.0)
    assert (low, high) == (int(low), int(high))
    low, high = around(scene(level=1e6), Gesture(((0.0, 20.0, 10.0),)), 6.0)
    assert low == round(low, 1)
    flat = Annotation.of(np.zeros((9, 9), np.uint8), image=np.full((9, 9), 7.0))
    assert around(flat, Gesture(((4.0, 4.0),)), 3.0) == (7.0, 7.0)


def test_a_label_gives_the_range_of_what_it_holds_in_the_slice_that_is_shown() -> None:
    found = scene()
    low, high = of_label(found, Gesture(((0.0, 1.0, 1.0),), label=3))
    inside = found.image[found.labels == 3]  # type: ignore[index]
    assert ((inside >= low) & (inside <= high)).mean() == pytest.approx(0.9, abs=0.02)
    with pytest.raises(SegError, match="nothing of object 3 in this slice"):
        of_label(found, Gesture(((1.0, 1.0, 1.0),), label=3))


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(SegError, match="click inside the image"):
        around(scene(), Gesture(((0.0, -90.0, 10.0),)), 3.0)
    dark = Annotation.of(np.zeros((5, 5), np.uint8), image=np.full((5, 5), np.nan))
    with pytest.raises(SegError, match="nothing to measure"):
        around(dark, Gesture(((2.0, 2.0),)), 3.0)
    with pytest.raises(SegError, match="no image"):
        around(Annotation.of(np.zeros((5, 5), np.uint8)), Gesture(((2.0, 2.0),)), 3.0)
