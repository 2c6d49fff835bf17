"""Lengths and angles are physical, and said in words a person would use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.reach import Point
from napari_seg.editing.ruler import MEASURES, angle, digits, length
from napari_seg.errors import SegError

point = st.tuples(*(st.floats(-500, 500),) * 3)


def test_a_length_counts_the_spacing_of_each_axis() -> None:
    found = length([(0, 0, 0), (2, 3, 0)], (2.0, 1.0, 0.5), "mm")
    assert found.value == pytest.approx(5)
    assert found.words == "5.00 mm"
    assert length([(0, 0), (0, 24.8)], (0.3, 0.5), "um").words == "12.4 µm"
    assert length([(0, 0), (3, 4), (3, 5)], (1.0, 1.0), "pixel").words == "6.00 pixels"


def test_an_angle_is_that_of_the_patient_not_of_the_pixels() -> None:
    right = [(0.0, 1.0), (0.0, 0.0), (1.0, 0.0)]
    assert angle(right, (3.0, 1.0), "mm").words == "90.0°"
    slope = [(1.0, 1.0), (0.0, 0.0), (0.0, 1.0)]
    assert angle(slope, (1.0, 1.0), "mm").value == pytest.approx(45)
    assert angle(slope, (math.sqrt(3), 1.0), "mm").value == pytest.approx(60)
    assert angle([(0.0, 0.0), (0.0, 1.0), (0.0, 2.0)], (1.0, 1.0), "mm").value == pytest.approx(180)


def test_along_axes_that_lean_lengths_and_angles_are_those_of_the_patient() -> None:
    tilt = math.radians(25)
    step = (5 / math.cos(tilt), 1.0, 1.0)  # slices 5 mm apart, each shifted against the one before
    along = np.array([[math.cos(tilt), 0, 0], [math.sin(tilt), 1, 0], [0, 0, 1]])
    shift = 5 * math.tan(tilt)
    assert length([(0, 0, 0), (10, 0, 0)], step, "mm", along).value == pytest.approx(50 / math.cos(tilt))
    assert length([(0, 0, 0), (10, -10 * shift, 0)], step, "mm", along).value == pytest.approx(50)
    assert angle([(1, 0, 0), (0, 0, 0), (0, 1, 0)], step, "mm", along).value == pytest.approx(65)


@given(a=point, b=point, c=point)
def test_measures_do_not_depend_on_the_direction(a: Point, b: Point, c: Point) -> None:
    spacing = (2.5, 0.7, 0.7)
    assert length([a, b, c], spacing, "mm").value == pytest.approx(length([c, b, a], spacing, "mm").value)
    assert length([a, b, c], spacing, "mm").value >= length([a, c], spacing, "mm").value - 1e-9
    if a != b and b != c:
        there, back = angle([a, b, c], spacing, "mm").value, angle([c, b, a], spacing, "mm").value
        assert there == pytest.approx(back, abs=1e-6)
        assert 0 <= there <= 180


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.0512, "0.0512"),
        (0.9999, "1.00"),
        (9.996, "10.0"),
        (12.44, "12.4"),
        (99.96, "100"),
        (1234.4, "1234"),
    ],
)
def test_three_digits_count(value: float, words: str) -> None:
    assert digits(value) == words


def test_what_is_missing_is_said() -> None:
    with pytest.raises(SegError, match="takes two places, and there are 1"):
        length([(0, 0)], (1.0, 1.0), "mm")
    with pytest.raises(SegError, match="three different"):
        angle([(0, 0), (0, 0), (1, 1)], (1.0, 1.0), "mm")


def test_each_measure_runs_with_the_points_it_takes() -> None:
    places = [(0.0, 0.0), (3.0, 4.0), (6.0, 0.0)]
    assert {
        name: measure.run(places[: measure.points], (1.0, 1.0), "mm").words for name, measure in MEASURES.items()
    } == {
        "ruler": "5.00 mm",
        "angle": "73.7°",
    }


def test_their_keys_are_their_own() -> None:
    keys = [known.key for registry in (MEASURES, TOOLS) for known in registry.values()]
    assert len(set(keys)) == len(keys)
