"""The main job on the screen: napari with a sample, the panel docked, and the mask of a shipped model."""

from __future__ import annotations

import sys

from napari_seg.models.zoo import find


def show(sample: str = "nuclei2d", model: str = "nuclei2d") -> int:
    """Open the window, press Segment as a person would, and return when the window is closed: the exit code."""
    import napari

    viewer = napari.Viewer(title="napari-seg")
    _, panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    viewer.open_sample("napari-seg", sample)
    panel.controller.choose_model(find(model))
    panel.controller.run()
    napari.run()
    return 0


if __name__ == "__main__":
    sys.exit(show(*sys.argv[1:]))
