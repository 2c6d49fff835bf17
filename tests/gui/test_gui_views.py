"""The letters at the edges say where the patient's sides are, however the view is turned."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_seg.data.volume import Volume
from napari_seg.gui.layers import layer_data
from napari_seg.gui.views import letters, mirrored, shown_sides

IPL = np.array([[0, 0, -1.0, 0], [0, -1, 0, 0], [-2, 0, 0, 0], [0, 0, 0, 1]])


@pytest.fixture
def viewer() -> ViewerModel:
    model = ViewerModel()
    data, about, _ = layer_data(Volume(np.zeros((4, 5, 6)), "ZYX", (2, 1, 1), "mm", IPL, name="scan"), "image")[0]
    model.add_image(data, **about)
    return model


def test_axial_coronal_sagittal(viewer: ViewerModel) -> None:
    assert shown_sides(viewer) == ("A", "L", "P", "R")
    viewer.dims.order = (1, 0, 2)
    assert shown_sides(viewer) == ("S", "L", "I", "R")
    viewer.dims.order = (2, 0, 1)
    assert shown_sides(viewer) == ("S", "P", "I", "A")


def test_a_flipped_camera_flips_the_letters(viewer: ViewerModel) -> None:
    viewer.scene.camera.orientation2d = ("up", "left")
    assert shown_sides(viewer) == ("P", "R", "A", "L")


def test_3d_follows_the_camera(viewer: ViewerModel) -> None:
    viewer.dims.ndisplay = 3
    assert shown_sides(viewer) == ("A", "L", "P", "R")  # as napari begins: from the feet, as a slice
    viewer.scene.camera.set_view_direction((1, 0, 0), (0, -1, 0))
    assert shown_sides(viewer) == ("A", "R", "P", "L")  # from the head
    viewer.scene.camera.set_view_direction((0, 1, 0), (-1, 0, 0))  # from the front, head up
    assert shown_sides(viewer) == ("S", "L", "I", "R")
    viewer.scene.camera.set_view_direction((0, 1, 1), (-1, 0, 0))
    assert shown_sides(viewer)[0] == "S"
    assert set(shown_sides(viewer)[1]) == {"A", "L"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("depth", ["towards", "away"])
def test_a_mirror_image_is_noticed(order: tuple[int, ...], depth: str, viewer: ViewerModel) -> None:
    """Seen from the front, head up, the left of a patient is on the right of the screen, but not in a mirror."""
    viewer.dims.order = order
    assert not mirrored(viewer)
    viewer.dims.ndisplay = 3
    viewer.scene.camera.orientation = (depth, "down", "right")
    back, head = np.eye(3)[order.index(1)], -np.eye(3)[order.index(0)]
    viewer.scene.camera.set_view_direction(tuple(back), tuple(head))
    top, right, _, _ = shown_sides(viewer)
    assert (top, right) == ("S", "R" if mirrored(viewer) else "L")
    swapped = order in ((0, 2, 1), (1, 0, 2), (2, 1, 0))
    assert mirrored(viewer) == (swapped == (depth == "towards"))


def test_a_layer_that_a_person_has_mirrored_is_noticed(viewer: ViewerModel) -> None:
    viewer.dims.ndisplay = 3
    assert not mirrored(viewer)
    viewer.layers[0].scale = viewer.layers[0].scale * (-1, 1, 1)
    assert mirrored(viewer)


def test_only_in_a_patients_space(viewer: ViewerModel) -> None:
    plain = ViewerModel()
    plain.add_image(np.zeros((5, 6)))
    assert shown_sides(plain) == ("", "", "", "")
    viewer.layers[0].visible = False
    assert shown_sides(viewer) == ("", "", "", "")


def test_time_in_front_changes_nothing(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((3, 4, 5, 6)))
    viewer.layers.selection.active = viewer.layers[0]
    assert shown_sides(viewer) == ("A", "L", "P", "R")


def test_oblique_directions_have_two_letters() -> None:
    assert letters(np.array([0.0, 0, -2])) == "I"
    assert letters(np.array([0.6, 0.8, 0.1])) == "AR"
    assert letters(np.zeros(3)) == ""
