"""Volumes become layers and layers volumes, with nothing lost on the way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Layer

from napari_seg.data.geometry import to_display
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import ChoiceNeeded
from napari_seg.gui.layers import beside, channel_of, contrast, layer_data, volume_of


def test_a_ct_is_shown_as_one_also_where_its_file_does_not_say_so() -> None:
    body = np.full((20, 30, 40), 40, np.int16)
    body[:, :10] = -1000
    body[:, 20:22] = 1500
    told = Source(Path("a"), "dicom", modality="CT")
    assert contrast(Volume(body, "ZYX")) == contrast(Volume(body, "ZYX", source=told))
    assert contrast(Volume(body + 2000, "ZYX")) == (1000, 3500)


def made(volume: Volume, kind: Any) -> list[Any]:
    return [Layer.create(*data) for data in layer_data(volume, kind)]


def upright(order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """A volume whose file has its axes in any order and direction, as a reader hands it over."""
    stored = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        stored[world, axis] = sign * (1.0, 2.0, 3.0)[axis]
    stored[:, 3] = (11, -7, 5, 1)
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(np.int16)
    reorder = to_display(stored)
    affine = reorder.affine(stored, array.shape)
    spacing = tuple(float(s) for s in np.linalg.norm(affine[:3, :3], axis=0))
    source = Source(Path("scan.nii.gz"), "nifti", reorder=reorder)
    return Volume(reorder.apply(array), "ZYX", spacing, "mm", affine, name="scan", source=source)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_all_48_orientations_lie_where_the_patient_is(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    volume = upright(order, signs)
    (layer,) = made(volume, "image")
    voxel = np.array([1, 2, 3])
    right, anterior, superior = (volume.affine @ [*voxel, 1])[:3]
    np.testing.assert_allclose(layer.data_to_world(voxel), (-superior, -anterior, -right))
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3


def test_a_mask_lies_on_its_oblique_image() -> None:
    angle = np.deg2rad(20)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine = np.eye(4)
    affine[:3, :3] = (turn * (3, 1, 1))[[2, 1, 0]] * [[-1], [-1], [1]]
    affine[:3, 3] = (40, 50, 60)
    image = Volume(np.zeros((5, 6, 7), np.float32), "ZYX", (3, 1, 1), "mm", affine, name="tilted")
    moved = affine.copy()
    moved[:3, 3] = (affine @ (1, 2, 3, 1))[:3]
    crop = replace(image, data=np.zeros((2, 2, 2), np.uint8), affine=moved, name="crop")
    (whole,), (part,) = made(image, "image"), made(crop, "labels")
    np.testing.assert_allclose(part.data_to_world((0, 0, 0)), whole.data_to_world((1, 2, 3)))
    np.testing.assert_array_equal(volume_of(part).affine, moved)


def test_labels_become_paintable() -> None:
    (from_bool,) = made(Volume(np.eye(9, dtype=bool), "YX"), "labels")
    (from_float,) = made(Volume(np.eye(9), "YX"), "labels")
    assert from_bool.data.dtype == np.uint8
    assert from_float.data.dtype.kind == "i"


def test_channels_become_layers_that_know_their_volume() -> None:
    data = np.random.default_rng(0).integers(0, 9, (2, 3, 8, 9))
    volume = Volume(data, "CZYX", (2, 0.5, 0.5), "um", channels=("DAPI", "actin"), name="cells")
    dapi, actin = made(volume, "image")
    assert (dapi.name, actin.name) == ("cells DAPI", "cells actin")
    assert dapi.colormap.name != actin.colormap.name
    np.testing.assert_array_equal(np.asarray(actin.data), data[1])
    assert volume_of(actin).axes == "CZYX"
    assert channel_of(actin) == "actin"
    np.testing.assert_allclose(actin.scale, (2, 0.5, 0.5))
    assert beside(actin, volume_of(actin))["axis_labels"] == ("z", "y", "x")


def test_rgb_time_and_pyramid() -> None:
    (colour,) = made(Volume(np.zeros((30, 40, 3), np.uint8), "YXS"), "image")
    assert colour.rgb
    assert volume_of(colour).axes == "YXS"
    (film,) = made(Volume(np.zeros((4, 8, 9)), "TYX", (0.5, 0.5), "um"), "image")
    assert [str(unit) for unit in film.units] == ["pixel", "micrometer", "micrometer"]
    assert volume_of(film).spacing == (0.5, 0.5)
    coarse = (np.zeros((16, 16)),)
    (pyramid,) = made(Volume(np.zeros((32, 32)), "YX", levels=coarse), "image")
    assert pyramid.multiscale
    assert volume_of(pyramid).shape == (32, 32)
    assert len(volume_of(pyramid).levels) == 1


def test_what_others_made_is_read_by_its_scale_and_asked_for_its_axes() -> None:
    stack = Image(np.zeros((3, 8, 9)), scale=(2, 0.5, 0.25), units=("um", "um", "um"), name="stack")
    with pytest.raises(ChoiceNeeded) as asked:
        volume_of(stack)
    assert {choice.value for choice in asked.value.choices} == {"ZYX", "TYX", "CYX"}
    volume = volume_of(stack, "ZYX")
    assert (volume.spacing, volume.unit) == ((2, 0.5, 0.25), "um")
    named = Image(np.zeros((3, 8, 9)), axis_labels=("t", "y", "x"))
    assert volume_of(named).axes == "TYX"
    assert volume_of(named).spacing is None
    assert volume_of(Labels(np.zeros((8, 9), int))).axes == "YX"


def test_units_of_different_axes_meet_in_one() -> None:
    layer = Image(np.zeros((3, 8, 9)), scale=(1, 500, 500), units=("um", "nm", "nm"), axis_labels=("z", "y", "x"))
    volume = volume_of(layer)
    assert volume.unit == "nm"
    np.testing.assert_allclose(volume.spacing, (1000, 500, 500))


def test_an_edited_layer_keeps_the_file_it_belongs_to() -> None:
    (layer,) = made(replace(upright((2, 1, 0), (1, 1, 1)), data=np.zeros((4, 5, 6), np.uint8)), "labels")
    layer.data[1, 1, 1] = 7
    volume = volume_of(layer)
    assert volume.data[1, 1, 1] == 7
    assert volume.source is not None
    assert volume.source.format == "nifti"
