"""A layer is copied or cropped, as napari and its plugins do it, and the copy is changed: it is an image of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import paint
from napari.layers import _layer_actions

from napari_seg.data.align import onto_grid
from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.gui.arrivals import same_image
from napari_seg.gui.layers import channel_of, layer_data, lies_elsewhere, volume_of
from napari_seg.gui.manifest import write_image, write_labels
from napari_seg.gui.results import empty_mask

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
    assert {case.image.name: [*case.masks] for case in cases} == {"cells": ["by hand"], "smooth": []}


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


@pytest.mark.parametrize("units", ["millimeter", "pixel"])
@pytest.mark.parametrize("oblique", [False, True])
def test_the_mask_of_a_crop_is_saved_where_the_crop_lies(
    open_window: Any, tmp_path: Path, units: str, oblique: bool
) -> None:
    affine = np.array([[0, 0, -1.0, 50], [0, -1, 0, 60], [-3, 0, 0, 70], [0, 0, 0, 1]])
    if oblique:
        affine[:3, :3] = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]) @ affine[:3, :3]
    ct = Volume(np.zeros((10, 64, 64), np.uint8), "ZYX", (3.0, 1, 1), "mm", affine, name="ct")
    ((data, about, _),) = layer_data(ct, "image")
    window = open_window()
    whole = window.viewer.add_image(data, **about)
    crop = window.viewer.add_image(
        np.ascontiguousarray(data[2:8, 10:40, 20:50]),
        scale=whole.scale,
        translate=np.add(whole.translate, (6, 10, 20)),
        units=(units,) * 3,
        axis_labels=whole.axis_labels,
        metadata=dict(whole.metadata),
        name="crop",
    )
    window.rest()
    mask = empty_mask(window.viewer, crop)
    window.rest()
    mask.data_setitem((np.array([1]), np.array([2]), np.array([3])), 1)
    for ending in (".nii.gz", ".nrrd"):
        path = tmp_path / f"mask{ending}"
        write_labels(str(path), *mask.as_layer_data_tuple()[:2])
        assert np.argwhere(onto_grid(read(path), ct).data).tolist() == [[3, 12, 23]]


def test_what_lies_beside_the_volume_that_it_remembers_says_no_place_in_the_patient(open_window: Any) -> None:
    affine = np.diag([3.0, 1, 1, 1])
    affine[:3, 3] = 900, 0, 0
    ct = Volume(np.zeros((10, 64, 64), np.uint8), "ZYX", (3.0, 1, 1), "mm", affine, name="ct")
    ((data, about, _),) = layer_data(ct, "image")
    known = {key: about[key] for key in ("scale", "units", "axis_labels", "metadata")}
    crop = open_window().viewer.add_image(data[2:8], **known)
    assert volume_of(crop).affine is None
    assert volume_of(crop).spacing == (3.0, 1.0, 1.0)


def test_an_image_that_was_moved_is_written_where_it_lies(open_window: Any, tmp_path: Path) -> None:
    affine = np.array([[0, 0, -1.0, 50], [0, -1, 0, 60], [-3, 0, 0, 70], [0, 0, 0, 1]])
    ct = tmp_path / "ct.nii.gz"
    write(Volume(np.zeros((10, 20, 30), np.uint8), "ZYX", (3.0, 1, 1), "mm", affine), ct)
    window = open_window()
    image = window.drop(ct)
    image.translate = np.add(image.translate, (6, 5, -4))
    for ending in (".nii.gz", ".nrrd"):
        write_image(str(tmp_path / f"moved{ending}"), *image.as_layer_data_tuple()[:2])
        again = window.drop(tmp_path / f"moved{ending}")
        assert again.data_to_world((1, 2, 3)) == pytest.approx(image.data_to_world((1, 2, 3)))


def test_an_image_that_was_moved_does_not_say_its_old_place_on_the_stage(open_window: Any, tmp_path: Path) -> None:
    first, still, moved = (tmp_path / f"{name}.ome.zarr" for name in ("first", "still", "moved"))
    write(Volume(NOISE[0], "YX", (0.5, 0.5), "um"), first)
    about = json.loads((first / "zarr.json").read_text())
    steps = about["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    steps[1:] = [{"type": "translation", "translation": [71.5, 92.5]}]
    (first / "zarr.json").write_text(json.dumps(about))
    window = open_window()
    image = window.drop(first)
    write_image(str(still), *image.as_layer_data_tuple()[:2])
    image.translate = (3, 4)
    write_image(str(moved), *image.as_layer_data_tuple()[:2])
    assert ["71.5" in (path / "zarr.json").read_text() for path in (still, moved)] == [True, False]


@pytest.mark.parametrize("stage", [0.0, 5000.0, 50000.0])
def test_a_mask_that_was_shifted_is_noticed_wherever_the_stage_stood(open_window: Any, stage: float) -> None:
    viewer = open_window().viewer
    image = viewer.add_image(NOISE[0], scale=(0.1, 0.1), translate=(stage, stage), units=("um", "um"))
    mask = empty_mask(viewer, image)
    assert not lies_elsewhere(mask, image)
    mask.translate = (stage + 0.1, stage)
    assert lies_elsewhere(mask, image)


@pytest.mark.parametrize("size", [1.0, 0.5])
def test_a_unit_that_a_person_gives_is_that_of_the_mask_too(open_window: Any, tmp_path: Path, size: float) -> None:
    path = tmp_path / "cells.png"
    write(Volume(NOISE[0], "YX"), path)
    window = open_window()
    image = window.drop(path)
    mask = window.begin(image)
    for layer in (image, mask):
        layer.scale = (size, size)
        layer.units = ("um", "um")
    window.rest()
    assert (volume_of(mask).spacing, volume_of(mask).unit) == ((size, size), "um")
    table = window.recorder.annotation(window.recorder.track(mask))
    assert (table.spacing, table.unit) == ((size, size), "um")
