"""What only shows something over an image is never painted on, and leaves the layer in hand in hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from controlled import let_arrive
from napari.components import ViewerModel
from napari.layers import _layer_actions

from napari_seg.gui.arrivals import is_only_shown, volume_as_kept
from napari_seg.gui.look_back import LookBack
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.views import swap_labels


def test_it_stays_closed_when_it_shows_something_else() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((20, 30)), scale=(2.0, 3.0), translate=(5.0, 7.0))
    mask = viewer.add_labels(np.zeros((20, 30), np.uint8))
    layer = shown_over(viewer, image, volume_as_kept(image), np.ones((20, 30), np.uint8), "hint", opacity=1.0)
    assert viewer.layers.selection.active is mask
    assert is_only_shown(layer)
    assert (layer.scale.tolist(), layer.translate.tolist()) == ([2.0, 3.0], [5.0, 7.0])
    assert not layer.editable
    swap_labels(layer, np.full((20, 30), 2, np.uint8))
    assert not layer.editable
    taken_away(viewer, (layer, None))
    taken_away(viewer, (layer,))
    assert list(viewer.layers) == [image, mask]


@pytest.mark.parametrize("how", ["over the image", "looking back"])
def test_what_is_painted_on_a_copy_of_it_is_kept(engine: Any, how: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 20, 30)).astype(np.uint8)
    viewer = ViewerModel()
    recorder = Recorder(viewer, engine)
    image, _ = viewer.add_image(noise[0], name="a"), viewer.add_image(noise[1], name="b")
    viewer.layers.selection.active = image
    mask = viewer.add_labels(np.zeros((20, 30), np.uint8), name="mask")
    let_arrive(recorder, 6)
    shown: Any
    if how == "looking back":
        look = LookBack(viewer)
        look.show(mask, np.ones((20, 30), np.uint8), "as it was")
        shown = look.layer
    else:
        shown = shown_over(viewer, image, volume_as_kept(image), np.ones((20, 30), np.uint8), "hint")
    viewer.layers.selection = {shown}
    _layer_actions._duplicate_layer(viewer.layers)
    let_arrive(recorder, 6)
    copy = viewer.layers[f"{shown.name} copy"]
    track = recorder.track(copy)
    assert recorder.track(shown) is None
    assert track is not None
    assert track.image is image
    assert copy.editable
    copy.data_setitem((np.array([3]), np.array([4])), 5)
    let_arrive(recorder, 6)
    assert int(track.session.writer.call(lambda s: s.labels(track.row.id, track.plane)).result()[3, 4]) == 5
    recorder.close()
