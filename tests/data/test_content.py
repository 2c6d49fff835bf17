"""What an image is known by when all else about its file is different."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_seg.data import content as module
from napari_seg.data.content import content_of, possible_sizes
from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume

SHAPES = [("YX", (50, 70)), ("YXS", (30, 40, 3)), ("ZYX", (40, 30, 20)), ("TCZYX", (3, 2, 5, 9, 9))]


def a_volume(axes: str = "YX", shape: tuple[int, ...] = (50, 70), dtype: Any = np.uint8) -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 200, shape).astype(dtype), axes)


@pytest.mark.parametrize(("axes", "shape"), SHAPES)
def test_the_same_pixels_are_known_again(axes: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    volume = a_volume(axes, shape)
    known = content_of(volume)
    stored = zarr.create_array(tmp_path / "a.zarr", shape=shape, dtype="u1", chunks=shape)
    stored[...] = volume.data
    others = [stored, np.asfortranarray(volume.data), *(volume.data.astype(t) for t in ("i2", "u4", "f4", "f8", ">u2"))]
    others += [volume.data[::-1], np.flip(volume.data, (axes.index("Y"), axes.index("X")))]
    for other in others:
        same = replace(volume, data=other, name="another", spacing=None)
        assert content_of(same) == known
        assert known.sizes in possible_sizes(same)
    assert len(known.key) == 32


@pytest.mark.parametrize(("axes", "shape"), SHAPES)
def test_other_pixels_are_another_image(axes: str, shape: tuple[int, ...]) -> None:
    volume = a_volume(axes, shape)
    changed = volume.data.copy()
    changed[tuple(n // 2 for n in shape)] += 1
    others = [changed, volume.data[:-1], volume.data + 1, volume.data * np.float32(0.5)]
    keys = {content_of(volume).key, *(content_of(replace(volume, data=other)).key for other in others)}
    assert len(keys) == 1 + len(others)


def test_names_and_order_of_the_axes_do_not_count() -> None:
    stack = a_volume("ZYX", (5, 20, 30))
    swapped = Volume(np.moveaxis(stack.data, 0, 2), "ZYX")
    assert len({content_of(one) for one in (stack, Volume(stack.data, "TYX"), swapped)}) == 1
    colours = a_volume("YXS", (20, 30, 3))
    assert content_of(colours) == content_of(Volume(np.moveaxis(colours.data, 2, 0), "CYX"))


def test_a_grey_picture_saved_in_colours_is_grey() -> None:
    grey = a_volume()
    colours = Volume(np.stack([grey.data] * 3, -1), "YXS")
    assert content_of(colours) == content_of(grey)
    assert content_of(grey).sizes in possible_sizes(colours)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ome.tif", ".ome.zarr", ".nrrd", ".nii.gz"])
def test_the_format_does_not_count(suffix: str, tmp_path: Path) -> None:
    volume = a_volume()
    assert content_of(read(write(volume, tmp_path / f"copy{suffix}"), axes=None)) == content_of(volume)


def test_how_much_is_read_at_once_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for dtype in (np.uint8, np.float32):
        volume = a_volume("ZYX", (6, 20, 30), dtype)
        known = content_of(volume)
        monkeypatch.setattr(module, "AT_ONCE", 700)
        assert content_of(volume) == known
        monkeypatch.undo()


def test_no_numbers_are_numbers_too() -> None:
    data = a_volume(dtype=np.float32).data
    data[3, 4] = np.nan
    other = data.copy()
    other[3, 4] = -np.float32(np.nan)
    data[0, 0], other[0, 0] = 0.0, -0.0
    assert content_of(Volume(data, "YX")) == content_of(Volume(other, "YX"))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.float32])
def test_an_image_with_an_empty_border_is_known(dtype: Any) -> None:
    data = np.zeros((6, 20, 20), dtype)
    data[2:4, 8:12, 8:12] = 5
    assert len(content_of(Volume(data, "ZYX")).key) == 32
    assert content_of(Volume(data, "ZYX")) == content_of(Volume(data.astype(np.uint8), "ZYX"))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("axes", ["YX", "YXS"])
def test_an_image_of_one_value_shows_nothing(axes: str, dtype: Any) -> None:
    assert content_of(Volume(np.full((9, 9, 3)[: len(axes)], 7, dtype), axes)).key == ""
