"""The names that people give to masks are kept, taken back, and there when the masks are opened again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from controlled import paint, rest
from napari.components import ViewerModel

from napari_seg.gui.controller import Controller


@pytest.fixture
def again(engine: Any, picture: np.ndarray[Any, Any]) -> Iterator[Any]:
    """Opens the image in a new window; the one before is closed."""
    opened: list[Controller] = []

    def make() -> Controller:
        if opened:
            opened.pop().close()
        opened.append(Controller(ViewerModel(), engine))
        opened[0].viewer.add_image(picture, name="cells")
        rest(opened[0])
        return opened[0]

    yield make
    opened[0].close()


def names(controller: Controller) -> list[str]:
    return [layer.name for layer in controller.viewer.layers]


def mask(controller: Controller, picture: np.ndarray[Any, Any], name: str) -> Any:
    layer = controller.viewer.add_labels(np.zeros(picture.shape, np.uint8), name=name)
    rest(controller)
    paint(layer, 3, 1)
    rest(controller)
    return layer


def test_masks_have_their_names_again(again: Any, picture: np.ndarray[Any, Any]) -> None:
    window = again()
    first, second = mask(window, picture, "mask"), mask(window, picture, "mask")
    first.name, second.name = "by Ann", "by Bo"
    rest(window)
    assert names(window) == ["cells", "by Ann", "by Bo"]
    paint(second, 5, 2)
    window = again()
    assert names(window) == ["cells", "by Ann", "by Bo"]
    assert window.viewer.layers["by Ann"].data.max() == 1
    assert window.viewer.layers["by Bo"].data.max() == 2
    window.viewer.layers["by Bo"].name = "by Cy"
    rest(window)
    assert names(again()) == ["cells", "by Ann", "by Cy"]


def test_a_name_is_a_step_of_the_history(again: Any, picture: np.ndarray[Any, Any]) -> None:
    window = again()
    layer = mask(window, picture, "mask")
    layer.name = "tumour"
    layer.name = "tumor"
    rest(window)
    assert window.recorder.safe.steps == 3
    for known in ("tumour", "mask"):
        window.recorder.undo(layer)
        rest(window)
        assert layer.name == known
    assert layer.data.any()
    window.recorder.redo(layer)
    rest(window)
    assert names(again()) == ["cells", "tumour"]


def test_the_name_it_came_with_says_nothing(again: Any, picture: np.ndarray[Any, Any]) -> None:
    window = again()
    layer = mask(window, picture, "mask")
    layer.name = "tumour"
    rest(window)
    layer = again().viewer.layers["tumour"]
    layer.name = "mask"
    window = again()
    assert names(window) == ["cells", "mask"]
    track = window.recorder.tracks()[0]
    assert "title" not in window.recorder.rows(track)


def test_a_mask_that_is_added_under_the_former_name_is_another(again: Any, picture: np.ndarray[Any, Any]) -> None:
    window = again()
    first = mask(window, picture, "mask")
    first.name = "tumour"
    rest(window)
    second = mask(window, picture, "mask")
    paint(second, 7, 5)
    rest(window)
    window = again()
    assert window.viewer.layers["tumour"].data.max() == 1
    (other,) = set(names(window)) - {"cells", "tumour"}
    assert window.viewer.layers[other].data.max() == 5
