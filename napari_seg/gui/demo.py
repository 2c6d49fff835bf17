"""``python -m napari_seg.gui.demo IMAGE MASK``: what ``napari-seg demo`` shows, a mask on its image and the panel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from napari_seg.data.formats import read
from napari_seg.gui.layers import layer_data


def show(image: Path, mask: Path) -> Any:
    """A viewer with the two files as layers and the panel on the right."""
    import napari
    from napari.layers import Layer

    viewer = napari.Viewer(title="napari-seg demo")
    for layer in (*layer_data(read(image), "image"), *layer_data(read(mask), "labels")):
        viewer.add_layer(Layer.create(*layer))
    viewer.layers.selection.active = viewer.layers[0]
    viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    return viewer


if __name__ == "__main__":
    import napari

    show(Path(sys.argv[1]), Path(sys.argv[2]))
    napari.run()
