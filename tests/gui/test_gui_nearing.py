"""The view comes near to a small thing, and shows the whole image for a large one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_seg.gui.nearing import bring_into_view, come_near, is_on_screen


@pytest.fixture
def viewer() -> Any:
    model = ViewerModel()
    model.add_image(np.zeros((40, 100, 200), np.uint8), scale=(2, 1, 1))
    model.canvas.size = (500, 800)
    return model


def test_a_speck_is_seen_among_its_neighbours(viewer: Any) -> None:
    come_near(viewer, np.array([20.0, 30.0, 150.0]), np.array([24.0, 24.0, 24.0]))
    assert viewer.dims.current_step == (10, 30, 150)
    assert viewer.scene.camera.center[-2:] == (30, 150)
    assert viewer.scene.camera.zoom == pytest.approx(0.3 * 500 / 24)


def test_a_whole_slice_fills_the_canvas_and_no_more(viewer: Any) -> None:
    come_near(viewer, np.array([20.0, 90.0, 10.0]), np.array([2.0, 100.0, 200.0]))
    assert viewer.dims.current_step[0] == 10
    assert viewer.scene.camera.center[-2:] == (49.5, 99.5)
    assert viewer.scene.camera.zoom == pytest.approx(0.95 * 800 / 200, rel=0.01)


def test_what_lies_in_another_slice_or_beside_the_canvas_is_not_on_the_screen(viewer: Any) -> None:
    layer, box = viewer.layers[0], (slice(8, 12), slice(20, 40), slice(140, 160))
    come_near(viewer, np.array([20.0, 30.0, 150.0]), np.array([24.0, 24.0, 24.0]))
    assert is_on_screen(viewer, layer, box)
    viewer.dims.set_point(0, 24.0)
    assert not is_on_screen(viewer, layer, box)
    viewer.dims.set_point(0, 22.0)
    viewer.scene.camera.center = (0, 30, 20)
    assert not is_on_screen(viewer, layer, box)
    viewer.dims.ndisplay = 3
    assert is_on_screen(viewer, layer, box)


def test_a_flat_layer_is_on_the_screen_from_its_side_too(viewer: Any) -> None:
    flat = viewer.add_image(np.zeros((50, 60), np.uint8), translate=(10, 20), units=("um", "um"))
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_point(1, 30.0)
    viewer.scene.camera.center = (0, 40, 20)
    viewer.scene.camera.zoom = 10
    assert is_on_screen(viewer, flat, (slice(15, 25), slice(10, 30)))
    assert not is_on_screen(viewer, flat, (slice(40, 45), slice(10, 30)))  # it is no slice of what is shown


def test_an_image_that_lies_elsewhere_is_brought_into_view(viewer: Any) -> None:
    far = viewer.add_image(np.zeros((11, 50, 60), np.uint8), scale=(2, 1, 1), translate=(-500, 300, 0))
    bring_into_view(viewer, far)
    assert viewer.dims.point[0] == pytest.approx(-490)
    assert far.world_to_data(viewer.dims.point)[0] == 5
    assert viewer.scene.camera.center[-2:] == (324.5, 29.5)
    assert viewer.scene.camera.zoom == pytest.approx(0.95 * 500 / 49)


def test_what_is_seen_already_stays_as_it_is_shown(viewer: Any) -> None:
    viewer.dims.set_point(0, 6.0)
    beside = viewer.add_image(np.zeros((5, 50, 60), np.uint8), scale=(2, 1, 1), translate=(4, 300, 0))
    before = viewer.dims.point, viewer.scene.camera.center, viewer.scene.camera.zoom
    bring_into_view(viewer, beside)
    assert before == (viewer.dims.point, viewer.scene.camera.center, viewer.scene.camera.zoom)
