"""What a person has touched stays; what the model said may be replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_seg.data.volume import Volume
from napari_seg.gui.layers import layer_data, volume_of
from napari_seg.gui.results import (
    NO_SLICE,
    TURNED,
    Mask,
    Target,
    new_mask,
    pasted,
    planes_of,
    refused_slice,
    seen_box,
    visible_box,
)
from napari_seg.models.file import read_spec
from napari_seg.session.predicted import Predicted
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

TOLD = Predicted("tiny", "0f", {})


@pytest.fixture
def target(organs: Path) -> Target:
    affine = np.array([[0, 0, -1.0, 5], [0, -1, 0, 6], [2, 0, 0, 7], [0, 0, 0, 1]])
    volume = Volume(np.zeros((4, 8, 9), np.float32), "ZYX", (2, 1, 1), "mm", affine, name="scan")
    viewer = ViewerModel()
    data, about, _ = layer_data(volume, "image")[0]
    return Target(viewer.add_image(data, **about), volume, organs, read_spec(organs))


@pytest.fixture
def shown(engine: Any) -> Callable[[Target, np.ndarray], tuple[ViewerModel, Mask]]:
    def show(target: Target, labels: np.ndarray) -> tuple[ViewerModel, Mask]:
        viewer = ViewerModel()
        return viewer, new_mask(viewer, target, labels, TOLD)

    return show


def test_a_mask_has_place_names_and_colours(target: Target, shown: Any) -> None:
    target.layer.translate = target.layer.translate + 3  # a person moved the image
    _, mask = shown(target, np.ones((4, 8, 9), np.uint8))
    np.testing.assert_allclose(mask.layer.data_to_world((1, 2, 3)), target.layer.data_to_world((1, 2, 3)))
    assert mask.layer.units == target.layer.units
    assert list(mask.layer.features["class"]) == ["background", "liver", "spleen"]
    assert mask.layer.name == f"scan · {target.model.name}"
    colours = [mask.layer.get_color(k) for k in (1, 2)]
    assert not np.allclose(*colours)
    np.testing.assert_array_equal(volume_of(mask.layer).affine, target.volume.affine)


def test_objects_of_a_box_get_numbers_of_their_own() -> None:
    old = np.array([[1, 1, 2, 2, 255]], np.uint8)
    found = pasted(old, np.array([[1, 2]], np.uint8), (slice(0, 1), slice(1, 3)), objects=True)
    assert found.dtype == np.uint16
    assert found.tolist() == [[1, 256, 257, 2, 255]]
    classes = pasted(old, np.array([[1, 0]], np.uint8), (slice(0, 1), slice(1, 3)), objects=False)
    assert classes.tolist() == [[1, 1, 0, 2, 255]]
    assert old.tolist() == [[1, 1, 2, 2, 255]]


def test_overlapping_classes_are_layers_of_their_own() -> None:
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1] = 1
    (liver, first), (spleen, second) = planes_of(labels, "CYX", ("liver", "spleen"))
    assert (liver, spleen, first.max(), second.min()) == ("liver", "spleen", 0, 1)


def test_what_is_visible(target: Target, shown: Any) -> None:
    viewer = ViewerModel()
    data, about, _ = layer_data(target.volume, "image")[0]
    layer = viewer.add_image(data, **about)
    viewer.dims.set_current_step(0, 2)
    one = visible_box(layer, target.volume, viewer.dims, camera_slice=True)
    assert (one.start, one.stop) == ((2, 0, 0), (3, 8, 9))
    layer.corner_pixels = np.array([[0, 2, 3], [0, 4, 5]])
    box = visible_box(layer, target.volume, viewer.dims, camera_slice=False)
    assert (box.start, box.stop) == ((0, 2, 3), (4, 5, 6))


@pytest.mark.parametrize(
    ("order", "ndisplay", "objects", "ndim", "why"),
    [
        ((0, 1, 2), 2, True, 2, ""),
        ((1, 0, 2), 2, True, 2, TURNED),
        ((2, 0, 1), 2, True, 2, TURNED),
        ((1, 0, 2), 2, False, 2, ""),
        ((1, 0, 2), 2, True, 3, ""),
        ((0, 1, 2), 3, True, 2, NO_SLICE),
        ((0, 1, 2), 3, False, 3, NO_SLICE),
    ],
)
def test_a_slice_across_those_of_the_file_is_none_to_find_objects_in(
    target: Target, order: tuple[int, ...], ndisplay: int, objects: bool, ndim: int, why: str
) -> None:
    viewer = ViewerModel()
    data, about, _ = layer_data(target.volume, "image")[0]
    layer = viewer.add_image(data, **about)
    viewer.dims.order, viewer.dims.ndisplay = order, ndisplay
    model = target.model.model_copy(
        update={
            "task": Instance() if objects else Semantic(),
            "network": target.model.network.model_copy(update={"ndim": ndim}),
        }
    )
    assert refused_slice(replace(target, layer=layer, model=model), viewer.dims) == why


def test_a_box_of_a_film_is_of_the_time_that_is_shown() -> None:
    film = Volume(np.zeros((5, 8, 9)), "TYX", name="film")
    viewer = ViewerModel()
    data, about, _ = layer_data(film, "image")[0]
    layer = viewer.add_image(data, **about)
    viewer.dims.set_current_step(0, 3)
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):  # time is cut, or on the screen
        viewer.dims.order = order
        assert visible_box(layer, film, viewer.dims, camera_slice=False).time == 3
        assert visible_box(layer, film, viewer.dims, camera_slice=True).time == 3


def test_of_what_is_seen_the_middle(target: Target, shown: Any) -> None:
    viewer = ViewerModel()
    data, about, _ = layer_data(target.volume, "image")[0]
    layer = viewer.add_image(data, **about)
    viewer.dims.set_current_step(0, 2)
    layer.corner_pixels = np.array([[0, 2, 1], [0, 6, 8]])
    all_of_it = seen_box(layer, target.volume, viewer.dims, 1000)
    assert (all_of_it.start, all_of_it.stop) == ((2, 2, 1), (3, 7, 9))
    middle = seen_box(layer, target.volume, viewer.dims, 10)
    assert (middle.start, middle.stop) == ((2, 3, 3), (3, 5, 7))
    one = seen_box(layer, target.volume, viewer.dims, 1)
    assert np.prod(np.subtract(one.stop, one.start)) == 1
