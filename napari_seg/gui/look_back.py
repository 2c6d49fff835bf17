"""How a mask was, on the canvas, in a layer of its own that can be looked at and nothing else.

The mask itself is hidden meanwhile and not touched. It is shown again as soon as somebody begins to work on it, so that
nobody paints what they do not see.
"""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from numpy.typing import NDArray

from napari_seg.gui.arrivals import IMAGE, show_only
from napari_seg.gui.family import Wires
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS
from napari_seg.gui.show_only import taken_away
from napari_seg.gui.views import adding

_LIKE = (
    "scale",
    "translate",
    "rotate",
    "shear",
    "affine",
    "units",
    "axis_labels",
    "opacity",
    "blending",
    "colormap",
)
"""What it has of the mask."""


class LookBack:
    """One for each viewer. ``layer``: what is shown now, if anything."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None
        self._mask: Any = None
        self._wires = Wires()

    def show(self, mask: Any, labels: NDArray[Any], words: str) -> None:
        """Show ``labels``, shaped like the mask, in its place. ``words``: ``as it was at 12:31:07``."""
        labels.setflags(write=False)
        name = f"{mask.name}, {words}"
        if self.layer is not None and self._mask is mask:
            self.layer.data = labels
            self.layer.name = name
            return
        self.end()
        known = {key: mask.metadata[key] for key in (KEY, IMAGE, OBJECTS, CLASSES) if key in mask.metadata}
        about = {field: getattr(mask, field) for field in _LIKE}
        layer = Labels(labels, name=name, metadata=known, **about)
        show_only(layer)
        layer.contour = mask.contour
        self._lock(layer)
        chosen, active = set(self._viewer.layers.selection), self._viewer.layers.selection.active
        with adding(self._viewer):
            self._viewer.layers.insert(self._viewer.layers.index(mask) + 1, layer)
            mask.visible = False
        self._viewer.layers.selection = chosen
        self._viewer.layers.selection.active = active
        self.layer, self._mask = layer, mask
        self._wires.join(layer.events.editable, lambda event=None: self._lock(layer))
        for event in (mask.events.mouse_pan, mask.events.paint, mask.events.visible):
            self._wires.join(event, self.end)
        self._wires.join(self._viewer.layers.events.removed, self._removed)

    def end(self, event: Any = None) -> None:
        """Take the layer away and show the mask again."""
        if self.layer is None:
            return
        layer, self.layer = self.layer, None
        mask, self._mask = self._mask, None
        self._wires.cut()
        mask.visible = True
        taken_away(self._viewer, (layer,))

    def _lock(self, layer: Labels) -> None:
        """napari unlocks a layer whenever it gets other voxels or is shown in 3D."""
        if layer.editable:
            layer.editable = False

    def _removed(self, event: Any) -> None:
        if event.value in (self.layer, self._mask):
            self.end()
