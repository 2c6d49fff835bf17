"""Numbers as people read them."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_seg.data.geometry import spacing_of
from napari_seg.data.volume import Volume
from napari_seg.gui.colours import PALETTE, class_colours
from napari_seg.gui.words import (
    amount,
    breakable,
    describe_model,
    describe_volume,
    duration,
    facts_of_volume,
    memory,
    number,
    roughly,
)
from napari_seg.models.file import read_spec
from napari_seg.models.zoo import shipped


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


def test_a_model_says_from_which_kind_of_images_it_learned() -> None:
    """Many files of images say nothing of theirs, so that the person has to see what does not fit."""
    words = {name: describe_model(read_spec(path)) for name, path in shipped().items()}
    assert words["nuclei2d"] == "expects 1 channel, 2D, fluorescence, objects about 19.3 px wide"
    assert words["heart2d"] == "expects 1 channel, 2D, MR"


def test_amounts_have_the_units_of_their_world() -> None:
    body = Volume(np.zeros((4, 4, 4)), "ZYX", (5, 1, 1), "mm")
    cells = Volume(np.zeros((4, 4)), "YX", (0.5, 0.5), "um")
    stack = Volume(np.zeros((4, 4, 4)), "ZYX", (2, 0.5, 0.5), "um")
    assert amount(3000, body) == "15 ml"
    assert amount(100, cells) == "25 µm²"
    assert amount(100, stack) == "50 µm³"
    assert amount(100, Volume(np.zeros((4, 4)), "YX")) == "100 px"
    affine = np.diag([5.0, 1, 1, 1])
    affine[1, 0] = 5 * np.tan(np.radians(25))  # a tilted gantry
    tilted = Volume(np.zeros((4, 4, 4)), "ZYX", tuple(spacing_of(affine)), "mm", affine)
    assert amount(3000, tilted) == "15 ml"


def test_one_is_no_plural() -> None:
    one = Volume(np.zeros((1, 1, 4, 4)), "TCYX")
    assert describe_volume(one) == "4 x 4, 1 channel, 1 time point, pixel size not known"
    assert amount(1, Volume(np.zeros((4, 4, 4)), "ZYX")) == "1 voxel"


def test_a_long_name_does_not_run_over_the_edge() -> None:
    assert breakable("In scan all objects have the same number.") == "In scan all objects have the same number."
    found = breakable(f"There is a single image ({'a' * 60}), a part of it is held out.")
    assert found.startswith("There is a single image (aaaa")
    assert found.endswith("aaa), a part of it is held out.")
    assert max(map(len, found.split())) == 32
    path = f"/home/ann/{'data/' * 12}cells.tif"
    assert breakable(path) == path  # it has places to break


def test_a_volume_in_a_line_and_on_a_sheet() -> None:
    affine = np.array([[0, 0, -0.8, 0], [0, -0.8, 0, 0], [-1.5, 0, 0, 0], [0, 0, 0, 1]])
    volume = Volume(np.zeros((214, 3, 4)), "ZYX", (1.5, 0.8, 0.8), "mm", affine)
    assert describe_volume(volume) == "4 x 3 x 214, 0.8 x 0.8 x 1.5 mm"
    towards = "IPL: Z towards the feet, Y towards the back, X towards the left"
    assert dict(facts_of_volume(volume))["Orientation"] == towards


COMMON = [
    *("liver", "spleen", "pancreas", "kidney", "heart", "lung", "aorta", "stomach", "bladder", "bone", "tumour"),
    *("lesion", "nucleus", "cell", "anterior", "posterior", "vessel", "colon", "brain", "ventricle"),
]


def test_classes_have_colours_of_their_own_that_stay() -> None:
    pairs = [(a, b) for a in COMMON for b in COMMON if a != b]
    moved = [(a, b) for a, b in pairs if class_colours([a, b])[b] != class_colours([b])[b]]
    assert len(moved) <= 6
    assert "#f8f8f8" not in {class_colours([name])[name] for name in (*COMMON, "left ventricle")}  # white on grey
    for a, b in pairs:
        colours = class_colours([a, b])
        assert colours[a] != colours[b]
        assert colours == class_colours([b, a])
        assert list(colours) == [a, b]
        assert any(colours[name] == class_colours([name])[name] for name in (a, b))
    alone = {name: class_colours([name])[name] for name in COMMON}
    together = class_colours(COMMON)
    assert len(set(together.values())) == len(COMMON)
    assert sum(together[name] == alone[name] for name in COMMON) == len(set(alone.values()))  # nobody else is moved


def test_colours_are_told_apart_with_any_kind_of_colour_vision() -> None:
    seen_by = {  # Machado, Oliveira and Fernandes (2009), in linear RGB, nothing left of one kind of cone
        "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "no red": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
        "no green": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
        "no blue": ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
    }
    colours = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in PALETTE])
    light = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    for matrix in seen_by.values():
        seen = rgb2lab(np.clip(light @ np.array(matrix).T, 0, 1) ** (1 / 2.2))
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert apart[~np.eye(len(PALETTE), dtype=bool)].min() > 15
