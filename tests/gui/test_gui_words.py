"""Numbers as people read them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.data.volume import Volume
from napari_seg.gui.colours import PALETTE, class_colours
from napari_seg.gui.words import amount, describe_volume, duration, facts_of_volume, memory, number, roughly


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (0.283512, "0.284"), (1.5, "1.5"), (1234.5, "1234"), (2e-9, "2.00e-09"), (20.0, "20")],
)
def test_three_digits(value: float, words: str) -> None:
    assert number(value) == words


def test_durations_and_sizes() -> None:
    assert [duration(s) for s in (0.2, 8, 95, 4200, 7500)] == ["1 s", "8 s", "2 min", "70 min", "2 h 5 min"]
    assert [memory(b) for b in (10, 850e6, 1.24e9)] == ["1 MB", "850 MB", "1.2 GB"]


def test_a_guess_is_no_more_precise_than_it_is_good() -> None:
    assert [roughly(s, measured=False) for s in (0.2, 7, 23, 95, 4200)] == [
        "A few seconds", "About 10 s", "About 30 s", "About 2 min", "About 2 h",
    ]  # fmt: skip
    assert roughly(23, measured=True) == "23 s at the pace of the last run"


def test_amounts_have_the_units_of_their_world() -> None:
    body = Volume(np.zeros((4, 4, 4)), "ZYX", (5, 1, 1), "mm")
    cells = Volume(np.zeros((4, 4)), "YX", (0.5, 0.5), "um")
    stack = Volume(np.zeros((4, 4, 4)), "ZYX", (2, 0.5, 0.5), "um")
    assert amount(3000, body) == "15 ml"
    assert amount(100, cells) == "25 µm²"
    assert amount(100, stack) == "50 µm³"
    assert amount(100, Volume(np.zeros((4, 4)), "YX")) == "100 px"


def test_a_volume_in_a_line_and_on_a_sheet() -> None:
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-1.5, 0, 0, 0], [0, 0, 0, 1]])
    volume = Volume(np.zeros((214, 3, 4)), "ZYX", (1.5, 0.8, 0.8), "mm", affine)
    assert describe_volume(volume) == "4 x 3 x 214, 0.8 x 0.8 x 1.5 mm"
    towards = "IPL: Z towards the feet, Y towards the back, X towards the left"
    assert dict(facts_of_volume(volume))["Orientation"] == towards


def test_classes_have_colours_of_their_own_that_stay() -> None:
    names = ("liver", "spleen", "kidney", "aorta", "tumour", "stomach", "vein", "bone")
    colours = class_colours(names)
    assert set(colours.values()) == set(PALETTE)
    assert class_colours(("liver",))["liver"] == colours["liver"]
