"""Black and white: windows for CT, percentiles for the rest, by key and by mouse, in every view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_seg.data.volume import Source, Volume
from napari_seg.gui.layers import layer_data
from napari_seg.gui.notice import Notice
from napari_seg.gui.orthogonal import toggle, views_of
from napari_seg.gui.views import canvas_of
from napari_seg.gui.windows import (
    CT,
    EVERYTHING,
    KEY_OF_FILE,
    KEYS_OF_PRESETS,
    SHARES,
    Window,
    bind,
    drag,
    dragged,
    in_hounsfield,
    keys,
    limits,
    own_windows,
    presets,
    some_of,
)

IPL = np.array([[0, 0, -1.0, 0], [0, -1, 0, 0], [-2, 0, 0, 0], [0, 0, 0, 1]])


def image(viewer: Any, data: Any, modality: str = "", windows: Any = (), affine: Any = IPL) -> Image:
    source = Source(Path("scan"), "dicom", modality=modality, header={"windows": windows})
    volume = Volume(data, "ZYX"[-data.ndim :], (2, 1, 1)[-data.ndim :], "mm", affine, name="scan", source=source)
    values, about, _ = layer_data(volume, "image")[0]
    layer = viewer.add_image(values, **about)
    assert isinstance(layer, Image)
    return layer


def values() -> np.ndarray:
    return np.random.default_rng(0).normal(100, 30, (8, 20, 24)).astype(np.float32)


@pytest.fixture
def viewer() -> ViewerModel:
    model = ViewerModel()
    bind(model)
    return model


def press(viewer: Any, key: str) -> None:
    handler = KeymapHandler()
    active = viewer.layers.selection.active
    handler.keymap_providers = [viewer] if active is None else [active, viewer]
    assert handler.press_key(key)


def test_ct_has_windows_by_key(viewer: ViewerModel) -> None:
    scan = image(viewer, values(), "CT")
    seen = []
    for key in KEYS_OF_PRESETS:
        press(viewer, key)
        seen.append(tuple(scan.contrast_limits))
    assert seen == [(w.level - w.width / 2, w.level + w.width / 2) for w in CT]
    assert seen[0] == (-1350, 150)
    assert viewer.status == "Brain   Level 40   Width 80"


def test_others_have_percentiles(viewer: ViewerModel) -> None:
    scan = image(viewer, values(), "MR")
    assert presets(scan) == SHARES
    press(viewer, KEYS_OF_PRESETS[1])
    assert scan.contrast_limits == pytest.approx(np.percentile(scan.data, (1, 99)), rel=0.02)
    before = scan.contrast_limits
    press(viewer, KEYS_OF_PRESETS[-1])
    assert scan.contrast_limits == before
    assert viewer.status == "No preset on this key"


def test_the_file_s_own_windows_in_turn_and_then_everything(viewer: ViewerModel) -> None:
    scan = image(viewer, values(), "CT", ((40.0, 300.0), (300.0, 1500.0), (7.0, 0.0)))
    assert [window[1:] for window in own_windows(scan)] == [(40, 300), (300, 1500)]
    seen = []
    for _ in range(4):
        press(viewer, KEY_OF_FILE)
        seen.append(tuple(scan.contrast_limits))
    assert seen[:2] == [(-110, 190), (-450, 1050)]
    assert seen[2] == pytest.approx((scan.data.min(), scan.data.max()))
    assert seen[3] == seen[0]


def test_a_file_without_windows_shows_everything(viewer: ViewerModel) -> None:
    layer = viewer.add_image(values())
    layer.contrast_limits = (3, 4)
    press(viewer, KEY_OF_FILE)
    assert viewer.status.startswith(EVERYTHING.name)
    assert layer.contrast_limits == pytest.approx((layer.data.min(), layer.data.max()))


def test_ct_is_known_by_its_air_where_the_file_does_not_say(viewer: ViewerModel) -> None:
    body = values()
    assert not in_hounsfield(image(viewer, body))
    body[:, :4] = -1000
    assert in_hounsfield(image(viewer, body))
    assert not in_hounsfield(image(viewer, body, "MR"))
    assert not in_hounsfield(image(viewer, body, affine=None))
    phase = np.random.default_rng(0).uniform(-4096, 4096, body.shape)
    assert not in_hounsfield(image(viewer, phase))


def test_what_a_key_does_to_an_image_that_is_hidden_is_said(viewer: ViewerModel) -> None:
    scan, above = image(viewer, values(), "CT"), image(viewer, values(), "PT")
    above.name = "PET"
    viewer.layers.selection.active = scan
    press(viewer, KEYS_OF_PRESETS[5])
    assert viewer.status == "Brain   Level 40   Width 80   of scan, which lies under PET"
    above.visible = False
    press(viewer, KEYS_OF_PRESETS[5])
    assert viewer.status == "Brain   Level 40   Width 80"


def test_the_active_image_or_all_that_are_seen(viewer: ViewerModel) -> None:
    one, two = viewer.add_image(values()), viewer.add_image(values() * 2)
    colour = viewer.add_image(np.zeros((8, 9, 3), np.uint8), rgb=True)
    mask = viewer.add_labels(np.zeros((8, 20, 24), int))
    before = two.contrast_limits
    viewer.layers.selection.active = one
    press(viewer, KEYS_OF_PRESETS[3])
    assert two.contrast_limits == before
    viewer.layers.selection.active = mask
    press(viewer, KEYS_OF_PRESETS[3])
    assert two.contrast_limits == pytest.approx([2 * limit for limit in one.contrast_limits])
    one.visible = two.visible = False
    viewer.layers.selection.active = colour
    press(viewer, KEYS_OF_PRESETS[3])
    assert viewer.status == "No grey image is seen"
    assert keys(viewer) == [("View", KEY_OF_FILE, "Contrast: from the file, then all intensities")]


@pytest.mark.parametrize("data", [np.zeros((2, 2)), np.full((3, 3), np.nan), np.array([[1.0, np.inf], [1, 1]])])
def test_flat_and_broken_images_have_limits_too(data: np.ndarray) -> None:
    layer = Image(data, contrast_limits=(0, 1))
    for preset in (*SHARES, EVERYTHING):
        low, high = limits(layer, preset)
        assert np.isfinite([low, high]).all()
        assert low < high


def test_what_is_not_in_memory_is_read_for_one_slice() -> None:
    import dask.array

    asked: list[Any] = []

    def block(block_info: Any = None) -> Any:
        asked.append(block_info[None]["chunk-location"])
        return np.ones((1, 8, 8))

    lazy = dask.array.map_blocks(block, chunks=((1,) * 40, (8,), (8,)), dtype=float, meta=np.empty((0, 0, 0)))
    layer = Image(lazy, contrast_limits=(0, 1), cache=False)
    asked.clear()
    assert some_of(layer).size == 64
    assert len(asked) == 1
    pyramid = Image([np.zeros((64, 64)), np.ones((32, 32))], multiscale=True, contrast_limits=(0, 1))
    assert set(some_of(pyramid)) == {1}


FINITE = st.floats(-1e6, 1e6)


@given(FINITE, st.floats(1e-3, 1e6), st.floats(-500, 500), st.floats(-500, 500))
def test_dragging_never_turns_black_and_white_round(low: float, width: float, right: float, down: float) -> None:
    black, white = dragged((low, low + width), right, down)
    assert black < white or width < 1e-2
    wider, brighter = dragged((low, low + width), right + 10, 0), dragged((low, low + width), 0, down + 10)
    same = dragged((low, low + width), right, 0), dragged((low, low + width), 0, down)
    assert wider[1] - wider[0] >= same[0][1] - same[0][0]
    assert brighter[0] >= same[1][0]


def test_dragging_nowhere_changes_nothing() -> None:
    assert dragged((-160, 240), 0, 0) == pytest.approx((-160, 240))
    low, high = dragged((0, 100), 150, 0)
    assert high - low == pytest.approx(100 * np.e)
    assert (low + high) / 2 == 50
    assert dragged((0, 100), 0, 150) == pytest.approx((50, 150))


@pytest.mark.parametrize(
    ("button", "modifiers", "mode", "works"),
    [
        (3, (), "pan_zoom", True),
        (3, (), "paint", True),
        (2, ("Control",), "pan_zoom", True),
        (2, ("Control",), "paint", False),
        (2, (), "pan_zoom", False),
        (1, (), "pan_zoom", False),
        (3, ("Shift",), "pan_zoom", False),
    ],
)
def test_which_drag_is_for_the_window(
    button: int, modifiers: tuple[str, ...], mode: str, works: bool, viewer: ViewerModel
) -> None:
    scan = image(viewer, values(), "CT")
    viewer.add_labels(np.zeros((8, 20, 24), int)).mode = mode
    before = scan.contrast_limits
    event = SimpleNamespace(type="mouse_press", button=button, modifiers=modifiers, pos=(10, 10), handled=False)
    gestures: Iterator[None] = drag(viewer, event)
    for kind, pos in (("mouse_press", (10, 10)), ("mouse_move", (60, 30)), ("mouse_release", (60, 30))):
        event.type, event.pos = kind, pos
        next(gestures, None)
    assert event.handled == works
    assert (scan.contrast_limits != before) == works
    if works:
        assert viewer.status.startswith("Level 6")


def test_by_key_and_mouse_in_the_window_and_beside_it(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    window = make_napari_viewer(show=True)
    scan = image(window, values(), "CT", ((40.0, 300.0),))
    bind(window)
    bind(window)  # twice is once
    toggle(window)
    views = views_of(window)
    assert views is not None
    pane = views._panes[0]
    qtbot.waitUntil(lambda: pane.canvas.width() > 100)
    qtbot.keyClick(pane.canvas, Qt.Key.Key_F9)
    assert scan.contrast_limits == [-110, 190]
    assert pane.model.layers[0].contrast_limits == [-110, 190]
    notice = canvas_of(window).findChild(Notice)
    assert notice.isVisible()
    assert notice.text() == "From the file, 1 of 1   Level 40   Width 300"
    zoom = pane.model.scene.camera.zoom
    middle, start, stop = Qt.MouseButton.MiddleButton, QPoint(60, 60), QPoint(90, 60)
    qtbot.mousePress(pane.canvas, middle, pos=start)

    def wider() -> bool:
        there = QPointF(pane.canvas.mapToGlobal(stop))
        move = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(stop),
            there,
            Qt.MouseButton.NoButton,
            middle,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(pane.canvas, move)
        return bool(scan.contrast_limits[1] - scan.contrast_limits[0] > 360)

    qtbot.waitUntil(wider)
    qtbot.mouseRelease(pane.canvas, middle, pos=stop)
    low, high = scan.contrast_limits
    assert high - low == pytest.approx(300 * np.exp(30 / 150))
    assert (low + high) / 2 == pytest.approx(40)
    assert pane.model.scene.camera.zoom == zoom
    assert Window("", 40, 300) in [window._replace(name="") for window in own_windows(scan)]
