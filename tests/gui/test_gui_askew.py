"""Views that are turned, cut along time, tilted or left behind: what is not seen where it lies is not changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import point_at

from napari_seg.data.volume import Volume
from napari_seg.gui.hands import ASKEW
from napari_seg.gui.layers import MOVED, layer_data, lies_elsewhere, volume_of
from napari_seg.gui.views import shown_at

GRID = (6, 20, 24)


class Desk(controlled.Desk):
    """With a mouse that can be in any view."""

    def mask(self, grid: tuple[int, ...] = GRID, axes: str = "zyx", **about: Any) -> Any:
        """Show an image and a mask of it, in which a block is 3."""
        labels = np.zeros(grid, np.uint8)
        labels[..., 5:12, 5:12] = 3
        self.viewer.add_image(np.zeros(grid, np.uint8), name="image", axis_labels=axes, **about)
        layer = self.viewer.add_labels(labels, name="mask", axis_labels=axes, **about)
        self.rest()
        return layer

    def move(self, position: tuple[float, ...], displayed: tuple[int, ...]) -> None:
        point_at(self.viewer, self.hands, position, () if displayed == self.viewer.dims.displayed else displayed)

    def press(self, *positions: tuple[float, ...], displayed: tuple[int, ...]) -> None:
        """Press at the first position, move along the others, let go."""
        for axis in {*range(len(positions[0]))} - {*displayed}:
            self.viewer.dims.set_point(axis, positions[0][axis])
        self.draw(*positions, displayed=displayed)

    def rows(self, layer: Any) -> set[str]:
        track = self.recorder.track(layer)
        assert track is not None
        return set(self.recorder.rows(track))


def test_a_key_is_for_the_slice_that_is_shown_after_the_axes_were_rolled(desk: Desk) -> None:
    layer = desk.mask()
    desk.viewer.dims.set_current_step(0, 2)
    desk.move((2, 8, 8), (1, 2))
    desk.viewer.dims.order = (2, 0, 1)
    desk.viewer.dims.set_current_step(2, 7)
    desk.hands.act("finish slice")
    desk.rest()
    assert "slice 2 7" in desk.rows(layer)
    assert not {"slice 0 2", "slice 0 7"} & desk.rows(layer)


def test_a_key_for_what_is_under_the_mouse_waits_until_it_moves_in_the_turned_view(desk: Desk) -> None:
    layer = desk.mask()
    before = layer.data.copy()
    for turn in ({"order": (2, 0, 1)}, {"ndisplay": 3}):
        desk.move((0, 8, 8), (1, 2))
        desk.viewer.dims.update(turn)
        desk.hands.act("delete")
        desk.rest()
        assert np.array_equal(layer.data, before)
        assert "move it to the object" in desk.hands.said or "not seen in 3D" in desk.hands.said
        desk.viewer.dims.update({"order": (0, 1, 2), "ndisplay": 2})
    desk.move((0, 8, 8), (1, 2))
    desk.hands.act("delete")
    desk.rest()
    assert not layer.data.any()


def test_a_button_is_for_the_main_view_whatever_the_mouse_has_crossed(desk: Desk) -> None:
    layer = desk.mask()
    desk.viewer.dims.set_current_step(0, 4)
    desk.move((1, 8, 9), (0, 2))
    desk.hands.pick("finish slice")
    desk.rest()
    assert "slice 0 4" in desk.rows(layer)


@pytest.mark.parametrize("axes", ["tyx", "zyx"])
def test_a_film_is_not_painted_on_along_time(desk: Desk, axes: str) -> None:
    layer = desk.mask(axes=axes)
    before = layer.data.copy()
    desk.hands.pick("brush")
    desk.press((1, 8, 2), (2, 8, 2), displayed=(0, 2))
    assert np.array_equal(layer.data, before) == (axes == "tyx")
    assert (desk.hands.said == ASKEW) == (axes == "tyx")


def test_a_picture_beside_a_volume_is_not_painted_on_from_the_side(desk: Desk) -> None:
    layer = desk.mask((20, 24), "yx")
    desk.viewer.add_image(np.zeros(GRID, np.uint8))
    desk.viewer.layers.selection.active = layer
    before = layer.data.copy()
    desk.hands.pick("brush")
    desk.press((1, 8, 2), (2, 8, 2), displayed=(0, 2))
    assert np.array_equal(layer.data, before)
    assert desk.hands.said == ASKEW


def test_a_single_slice_of_a_film_of_volumes_cannot_be_finished(desk: Desk) -> None:
    layer = desk.mask((2, *GRID), "tzyx")
    desk.viewer.dims.set_current_step(0, 1)
    desk.hands.pick("finish slice")
    desk.rest()
    assert "say that the case is" in desk.hands.said
    assert not {key for key in desk.rows(layer) if key.startswith("slice")}
    desk.hands.pick("finish box")
    desk.press((1, 2, 3, 3), (1, 2, 9, 9), displayed=(2, 3))
    assert "say that the case is" in desk.hands.said


def test_a_film_is_finished_as_a_whole(desk: Desk) -> None:
    layer = desk.mask((2, *GRID), "tzyx")
    desk.hands.pick("finish case")
    desk.rest()
    assert "case" in desk.rows(layer)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari says that it draws such layers without the tilt
@pytest.mark.parametrize("degrees", [0, 5, 15, -30])
def test_a_layer_that_is_tilted_against_the_slice_is_painted_where_it_is_drawn(desk: Desk, degrees: float) -> None:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ np.diag([3, 1, 1])
    layer = desk.mask((40, 60, 60), affine=affine)
    desk.viewer.dims.set_point(0, 45.0)
    drawn = layer._transforms[1:].simplified.set_slice([1, 2])  # what napari gives to the canvas
    position = np.asarray(desk.viewer.dims.point, float)
    position[1:] = drawn((30, 20))
    found = shown_at(layer, position, (1, 2))
    assert found[1:] == pytest.approx((30, 20))
    assert found[0] == round(layer._data_slice.point[0])


@pytest.mark.parametrize("tool", ["lasso", "brush"])
def test_no_tool_changes_a_mask_whose_image_was_moved_away(desk: Desk, tool: str) -> None:
    layer = desk.mask()
    before = layer.data.copy()
    desk.viewer.layers["image"].translate = (0, 7, 0)
    desk.hands.pick(tool)
    desk.press((0, 2, 2), (0, 2, 15), (0, 15, 15), displayed=(1, 2))
    assert np.array_equal(layer.data, before)
    assert desk.hands.said == f"mask {MOVED}"
    layer.translate = (0, 7, 0)
    desk.press((0, 9, 2), (0, 9, 15), (0, 22, 15), displayed=(1, 2))
    assert not np.array_equal(layer.data, before)


def test_a_gesture_that_goes_on_in_another_slice_is_refused_there(desk: Desk) -> None:
    layer = desk.mask((2, *GRID), "tzyx")
    layer.selected_label = 9
    desk.hands.pick("polygon")
    corners = [(0, 4, 13, 14), (0, 4, 13, 22), (0, 4, 18, 22)]
    desk.press(corners[0], displayed=(2, 3))
    for other in ((0, 5, 13, 22), (1, 4, 13, 22)):
        desk.press(other, displayed=(2, 3))
        assert "go back there" in desk.hands.said
    assert desk.hands.doing is not None
    for corner in corners[1:]:
        desk.press(corner, displayed=(2, 3))
    assert len(desk.hands.doing.points) == 3
    desk.hands.confirm()
    desk.rest()
    assert set(np.argwhere(layer.data == 9)[:, :2].ravel().tolist()) == {0, 4}


def test_a_brush_stroke_stays_in_its_slice(desk: Desk) -> None:
    layer = desk.mask()
    layer.selected_label = 9
    desk.hands.pick("brush")
    desk.hands.set_option("brush", radius=1.0)
    desk.press((1, 15, 3), (1, 15, 6), (4, 15, 9), (1, 15, 12), displayed=(1, 2))
    painted = np.argwhere(layer.data == 9)
    assert set(painted[:, 0].tolist()) == {1}
    assert painted[:, 2].max() == 13


def test_tools_look_at_the_channel_that_is_shown(desk: Desk) -> None:
    image = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((20, 24), np.uint8)
    shown = desk.viewer.add_image(image, name="channels", axis_labels="cyx")
    mask = desk.viewer.add_labels(np.zeros((20, 24), np.uint8), name="mask", axis_labels="yx")
    desk.rest()
    track = desk.recorder.track(mask)
    assert track is not None
    assert track.image is shown
    for channel in (2, 0, 1):
        desk.viewer.dims.set_current_step(0, channel)
        assert (desk.around.image(track, 0) == channel).all()


def test_the_size_of_a_voxel_may_stand_in_an_affine(desk: Desk) -> None:
    turned = np.eye(4)
    turned[:3, :3] = np.array([[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]) @ np.diag([3, 2, 2])
    layer = desk.mask(affine=turned, units="mm")
    volume = volume_of(desk.viewer.layers["image"])
    assert volume.spacing == pytest.approx((3, 2, 2))
    assert volume.unit == "mm"
    track = desk.recorder.track(layer)
    assert track is not None
    assert track.row.spacing == pytest.approx((3, 2, 2))
    desk.viewer.layers["image"].affine = np.diag([6, 2, 2, 1])
    assert track.row.spacing == pytest.approx((6, 2, 2))


def test_a_mask_that_was_begun_on_a_moved_image_is_saved_and_one_left_behind_is_not(
    make_napari_viewer: Any, plugin: None, qtbot: Any, tmp_path: Path
) -> None:
    from napari_seg.data.formats import read
    from napari_seg.errors import SegError
    from napari_seg.gui.manifest import write_labels

    viewer = make_napari_viewer()
    _, panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    volume = Volume(np.zeros(GRID, np.uint8), "ZYX", (3.0, 1, 1), "mm", np.diag([3.0, 1, 1, 1]), name="scan")
    ((data, about, _),) = layer_data(volume, "image")
    image = viewer.add_image(data, **about)
    image.translate = np.add(image.translate, (0, 7, 0))
    controller = panel.controller
    qtbot.waitUntil(lambda: controller.state.image_words != "", timeout=20_000)
    controller.begin_mask()
    masks = [layer for layer in viewer.layers if layer is not image]
    qtbot.waitUntil(lambda: bool(masks) and controller.recorder.track(masks[0]) is not None, timeout=20_000)
    (mask,) = masks
    assert lies_elsewhere(mask)
    mask.data[2, 3, 4] = 1
    about = dict(zip(("data", "about", "kind"), mask.as_layer_data_tuple(), strict=True))["about"]
    write_labels(str(tmp_path / "m.nii.gz"), mask.data, about)
    saved = read(tmp_path / "m.nii.gz")
    ((z, y, x),) = np.argwhere(np.asarray(saved.data))
    assert saved.affine is not None
    assert saved.affine @ (z, y, x, 1) == pytest.approx((6, 3, 4, 1))
    image.translate = np.add(image.translate, (0, 7, 0))
    with pytest.raises(SegError, match="no longer lies on its image"):
        write_labels(str(tmp_path / "n.nii.gz"), mask.data, about)
    assert not (tmp_path / "n.nii.gz").exists()
