"""A layer is copied, as napari does it, and the copy is changed: it is another image than the one it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import paint
from napari.layers import _layer_actions

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.gui.arrivals import same_image
from napari_seg.gui.layers import channel_of, layer_data, volume_of

GRID = (40, 50)
NOISE = np.random.default_rng(0).integers(0, 200, (2, *GRID)).astype(np.uint8)


class Window(controlled.Window):
    def copy(self, image: Any) -> Any:
        """Duplicate a layer."""
        self.viewer.layers.selection = {image}
        _layer_actions._duplicate_layer(self.viewer.layers)
        self.rest()
        return self.viewer.layers[f"{image.name} copy"]

    def filtered(self, image: Any) -> Any:
        copy = self.copy(image)
        copy.data = np.asarray(copy.data) // 2
        self.rest()
        return copy

    def begin(self, image: Any) -> Any:
        self.viewer.layers.selection.active = image
        return self.mask()

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "cells.tif"
    path.parent.mkdir()
    write(Volume(NOISE[0], "YX"), path)
    return path


def test_a_mask_begun_on_an_image_beside_its_filtered_copy_comes_back_with_it(file: Path, open_window: Any) -> None:
    one = open_window()
    image = one.drop(file)
    one.filtered(image)
    mask = one.begin(image)
    paint(mask, 3, 1)
    one.rest()
    assert one.recorder.track(mask).image is image
    one.recorder.close()
    again = open_window()
    again.drop(file)
    assert again.names == ["cells", "by hand"]


def test_a_mask_of_the_filtered_copy_is_not_shown_on_the_file(file: Path, open_window: Any) -> None:
    one = open_window()
    copy = one.filtered(one.drop(file))
    mask = one.begin(copy)
    paint(mask, 3, 1)
    one.rest()
    assert one.recorder.track(mask).image is copy
    one.recorder.close()
    again = open_window()
    again.drop(file)
    assert again.names == ["cells"]


def test_a_copy_that_was_not_changed_is_the_same_image(file: Path, open_window: Any) -> None:
    """As one that is shown with another contrast."""
    window = open_window()
    image = window.drop(file)
    mask = window.begin(image)
    copy = window.copy(image)
    assert same_image(copy, image)
    window.viewer.layers.selection.active = copy
    assert window.recorder.meant is window.recorder.track(mask)
    assert [(volume.name, known) for volume, known in window.batch.open_images()] == [("cells", False)]
    copy.data[5] += 1
    assert not same_image(copy, image)


def test_a_project_knows_an_image_and_its_filtered_copy_apart(file: Path, open_window: Any, tmp_path: Path) -> None:
    window = open_window()
    image = window.drop(file)
    mask = window.begin(image)
    paint(mask, 3, 1)
    window.rest()
    window.filtered(image).name = "smooth"
    volumes = [volume for volume, _ in window.batch.open_images()]
    said: list[str] = []
    window.batch.save_as("mine", tmp_path, volumes, said.append)
    window.rest()
    assert said == [""]
    cases = window.batch.project.cases.values()
    assert {case.image.name: case.masks for case in cases} == {"cells": ("by hand",), "smooth": ()}


def test_the_frames_of_a_film_that_was_split_are_images_of_their_own(open_window: Any) -> None:
    window = open_window()
    ((data, about, _),) = layer_data(Volume(NOISE, "TYX", name="film"), "image")
    film = window.viewer.add_image(data, **about)
    window.viewer.layers.selection = {film}
    _layer_actions._split_stack(window.viewer.layers)
    window.rest()
    for frame in list(window.viewer.layers):
        assert window.recorder.track(window.begin(frame)).image is frame


def test_a_changed_copy_of_a_channel_is_segmented_as_it_is_shown(open_window: Any) -> None:
    window = open_window()
    volume = Volume(NOISE, "CYX", spacing=(0.5, 0.5), unit="um", name="both", channels=("dapi", "gfp"))
    channels = [window.viewer.add_image(data, **about) for data, about, _ in layer_data(volume, "image")]
    copy = window.copy(channels[1])
    assert same_image(copy, channels[0])
    assert (volume_of(copy), channel_of(copy)) == (volume, "gfp")
    copy.data = copy.data // 2
    assert not same_image(copy, channels[0])
    found = volume_of(copy)
    assert (found.axes, found.spacing, found.channels, channel_of(copy)) == ("YX", (0.5, 0.5), (), None)
    assert np.array_equal(found.data, NOISE[1] // 2)
