"""What only shows something over an image is never painted on, and leaves the layer in hand in hand."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_seg.gui.arrivals import ONLY_SHOWN, volume_as_kept
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.views import swap_labels


def test_it_stays_closed_when_it_shows_something_else() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((20, 30)), scale=(2.0, 3.0), translate=(5.0, 7.0))
    mask = viewer.add_labels(np.zeros((20, 30), np.uint8))
    layer = shown_over(viewer, image, volume_as_kept(image), np.ones((20, 30), np.uint8), "hint", opacity=1.0)
    assert viewer.layers.selection.active is mask
    assert ONLY_SHOWN in layer.metadata
    assert (layer.scale.tolist(), layer.translate.tolist()) == ([2.0, 3.0], [5.0, 7.0])
    assert not layer.editable
    swap_labels(layer, np.full((20, 30), 2, np.uint8))
    assert not layer.editable
    taken_away(viewer, (layer, None))
    taken_away(viewer, (layer,))
    assert list(viewer.layers) == [image, mask]
