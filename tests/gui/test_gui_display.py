"""How masks are drawn, by key; and that what was hidden comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication

from napari_seg.gui.colours import PALETTE, class_colours, class_looks
from napari_seg.gui.display import (
    KEYS,
    OUTLINE,
    STEP,
    Hidden,
    bind,
    fade,
    mask_in_hand,
    toggle_alone,
    toggle_outlines,
)
from napari_seg.gui.family import peers
from napari_seg.gui.orthogonal import toggle
from napari_seg.gui.views import canvas_of, window_of


def labels() -> Labels:
    data = np.zeros((4, 12, 12), np.uint8)
    data[:, 2:6, 2:6], data[:, 7:11, 7:11] = 1, 2
    return Labels(data, opacity=0.5)


@pytest.fixture
def viewer() -> ViewerModel:
    model = ViewerModel()
    bind(model)
    for layer in (labels(), labels()):
        model.add_layer(layer)
    return model


@pytest.fixture
def keyboard(viewer: ViewerModel) -> KeymapHandler:
    handler = KeymapHandler()
    handler.keymap_providers = [viewer.layers[1], viewer]
    return handler


def test_outlines_of_all_or_none() -> None:
    one, two = labels(), labels()
    two.contour = 1
    assert toggle_outlines([one, two])
    assert (one.contour, two.contour) == (OUTLINE, OUTLINE)
    assert not toggle_outlines([one, two])
    assert (one.contour, two.contour) == (0, 0)


def test_masks_never_fade_away() -> None:
    layer = labels()
    for _ in range(20):
        fade([layer], -STEP)
    assert layer.opacity == STEP
    for _ in range(20):
        fade([layer], STEP)
    assert layer.opacity == 1


def test_keys_say_what_they_did(viewer: ViewerModel, keyboard: KeymapHandler) -> None:
    mask = viewer.layers[1]
    mask.features = class_looks(("liver", "spleen"))["features"]
    mask.selected_label = 2
    said = []
    for key in ("9", "0", "0", "Shift+E", "Shift+E", "Shift+M", "Shift+M"):
        assert keyboard.press_key(key)
        said.append(viewer.status)
    assert said == [
        "Mask 40% opaque",
        "Mask 50% opaque",
        "Mask 60% opaque",
        "Edges",
        "Filled",
        "Only label 2 spleen",
        "All labels",
    ]
    assert viewer.layers[0].opacity == 0.6
    viewer.dims.ndisplay = 3
    keyboard.press_key("Shift+E")
    assert mask.contour == 0
    viewer.layers.clear()
    keyboard.keymap_providers = [viewer]
    for key in ("9", "Shift+E", "Shift+M"):
        keyboard.press_key(key)
        assert viewer.status == "There is no mask"


def test_a_mask_is_seen_over_one_image_after_the_other(viewer: ViewerModel, keyboard: KeymapHandler) -> None:
    viewer.layers.clear()
    mask = viewer.add_labels(np.zeros((4, 12, 12), np.uint8), name="tumour", scale=(2, 1, 1))
    keyboard.press_key("Shift+Y")
    assert viewer.status == "No second image lies where tumour does"
    ct, pet = (viewer.add_image(np.zeros((8, 12, 12)), name=name) for name in ("ct", "pet"))
    viewer.add_image(np.zeros((8, 12, 12)), name="hidden", visible=False)
    viewer.add_image(np.zeros((8, 12, 12)), name="elsewhere", translate=(50, 0, 0))
    viewer.layers.selection.active = mask
    for image in (ct, pet, ct):
        keyboard.press_key("Shift+Y")
        assert [*viewer.layers[-2:]] == [image, mask]
        assert viewer.status == f"tumour over {image.name}"


def test_of_single_slices_too(viewer: ViewerModel, keyboard: KeymapHandler) -> None:
    viewer.layers.clear()
    ct, pet = (viewer.add_image(np.zeros((1, 12, 12)), name=name) for name in ("ct", "pet"))
    mask = viewer.add_labels(np.zeros((1, 12, 12), np.uint8), name="tumour")
    viewer.layers.selection.active = mask
    for image in (ct, pet):
        keyboard.press_key("Shift+Y")
        assert [*viewer.layers[-2:]] == [image, mask]


def test_one_label_alone() -> None:
    layer = labels()
    layer.selected_label = 2
    assert toggle_alone(layer)
    assert layer.colormap.use_selection
    assert layer.get_color(1)[3] == 0
    assert layer.get_color(2)[3] == 1
    assert not toggle_alone(layer)
    assert layer.get_color(1)[3] == 1


def test_away_while_the_key_is_held(viewer: ViewerModel, keyboard: KeymapHandler) -> None:
    viewer.layers[0].opacity = 0.3
    mask = viewer.layers[1]
    mask.mode = "paint"
    keyboard.press_key("8")
    assert [layer.opacity for layer in viewer.layers] == [0, 0]
    assert mask.mode == "paint"
    keyboard.press_key("8")  # let go of where nobody heard it
    keyboard.release_key("8")
    assert [layer.opacity for layer in viewer.layers] == [0.3, 0.5]


def test_a_mask_that_is_gone_meanwhile_is_no_trouble() -> None:
    hidden, layer = Hidden(), labels()
    hidden.take([layer])
    del layer
    hidden.give_back()


def test_the_mask_in_hand(viewer: ViewerModel) -> None:
    image = viewer.add_image(np.zeros((4, 12, 12)))
    viewer.layers.selection.active = image
    assert mask_in_hand(viewer) is viewer.layers[1]
    viewer.layers[1].visible = False
    assert mask_in_hand(viewer) is viewer.layers[0]
    viewer.layers.selection.active = viewer.layers[1]
    assert mask_in_hand(viewer) is viewer.layers[1]
    viewer.layers.clear()
    assert mask_in_hand(viewer) is None


def test_a_class_looks_the_same_in_every_image() -> None:
    one = Labels(labels().data, **class_looks(("liver", "spleen")))
    two = Labels(labels().data, **class_looks(("liver", "spleen", "aorta")))
    assert np.array_equal(one.get_color(1), two.get_color(1))
    assert list(one.features["class"]) == ["background", "liver", "spleen"]
    assert class_looks(()) == {}


def test_many_classes_have_colours_of_their_own() -> None:
    names = [f"organ {k}" for k in range(24)]
    colours = class_colours(names)
    assert len(set(colours.values())) == 24
    assert set(PALETTE) <= set(colours.values())


def test_held_in_the_window_and_in_all_views(make_napari_viewer: Callable[..., Any], qtbot: Any) -> None:
    window = make_napari_viewer(show=True)
    mask = window.add_layer(labels())
    bind(window)
    toggle(window)
    canvas = canvas_of(window)
    qtbot.keyPress(canvas, Qt.Key.Key_8)
    assert [layer.opacity for layer in (mask, *peers(mask))] == [0, 0, 0]
    qtbot.keyRelease(canvas, Qt.Key.Key_8)
    assert [layer.opacity for layer in (mask, *peers(mask))] == [0.5] * 3
    qtbot.keyPress(canvas, Qt.Key.Key_8)
    QApplication.sendEvent(window_of(window), QEvent(QEvent.Type.WindowDeactivate))  # the release goes elsewhere
    assert mask.opacity == 0.5
    assert {key for _, key, _ in KEYS} == {"8", "9", "0", "Shift+E", "Shift+M", "Shift+Y"}
