"""How masks are drawn: filled or as outlines, more or less opaque, away for a moment, or one object alone.

The functions are for any labels layers; :func:`bind` gives them keys: the digits that napari leaves free.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_seg.gui.nearing import bring_to_front, share_a_place
from napari_seg.gui.notice import say
from napari_seg.gui.planes import label_words
from napari_seg.gui.views import clear_in, window_of

OUTLINE = 2
"""Pixels of the image that an outline is wide."""

STEP = 0.1

KEYS = (
    ("View", "8", "Hide the mask while held"),
    ("View", "9", "Mask fainter"),
    ("View", "0", "Mask stronger"),
    ("View", "Shift+E", "Edges or filled"),
    ("View", "Shift+M", "Only the label in hand, or all"),
    ("View", "Shift+Y", "The mask over the next image"),
)
"""For the list of shortcuts: group, key, words."""


def masks(viewer: Any) -> list[Labels]:
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def toggle_outlines(layers: Iterable[Labels]) -> bool:
    """Draw outlines, or fill them where all are outlines already; whether they are outlines now."""
    layers = list(layers)
    outlined = any(layer.contour == 0 for layer in layers)
    for layer in layers:
        layer.contour = OUTLINE if outlined else 0
    return outlined


def fade(layers: Iterable[Labels], step: float) -> None:
    """Make masks more (``step`` > 0) or less opaque; they never go away altogether."""
    for layer in layers:
        layer.opacity = float(np.clip(round(layer.opacity + step, 2), STEP, 1))


def toggle_alone(layer: Labels) -> bool:
    """Show the selected label alone, or all again; whether it is alone now."""
    layer.show_selected_label = not layer.show_selected_label
    return bool(layer.show_selected_label)


def is_seen(layer: Labels) -> bool:
    """Whether a mask is drawn at all: it may be hidden, or as clear as glass, as while a key is held."""
    return bool(layer.visible) and layer.opacity > 0


def is_drawn(layer: Labels, label: int) -> bool:
    """Whether a label is seen, as far as its colour goes: its class may be hidden, or another label shown alone."""
    colour = layer.get_color(label)
    return colour is not None and float(colour[3]) > 0


def undrawn(layer: Labels) -> Callable[[Any], NDArray[np.bool_]] | None:
    """Says of an array of labels which are not drawn, as a layer is now; ``None`` where all are. For a thread too."""
    only, clears = (layer.selected_label if layer.show_selected_label else None), clear_in(layer.colormap)
    if only is None:
        return clears

    def others(labels: Any) -> NDArray[np.bool_]:
        found = (labels != only) & (labels != 0)
        return found if clears is None else found | clears(labels)

    return others


class Hidden(QObject):
    """The masks that are away while a key is held. They are made clear, not hidden: a tool in hand stays in hand.

    They come back when the key is let go of, and when the window is left with the key held.
    """

    def __init__(self, window: QWidget | None = None) -> None:
        super().__init__(window)
        if window is not None:
            window.installEventFilter(self)
        self._opacity: WeakKeyDictionary[Labels, float] = WeakKeyDictionary()

    def take(self, layers: Iterable[Labels]) -> None:
        for layer in layers:
            if layer not in self._opacity:
                self._opacity[layer] = layer.opacity
                layer.opacity = 0

    def give_back(self) -> None:
        for layer, opacity in list(self._opacity.items()):
            layer.opacity = opacity
        self._opacity.clear()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.WindowDeactivate:
            self.give_back()
        return False


def mask_in_hand(viewer: Any) -> Labels | None:
    """The active mask, else the topmost that is seen."""
    active = viewer.layers.selection.active
    if isinstance(active, Labels):
        return active
    return next((layer for layer in reversed(masks(viewer)) if layer.visible), None)


def bind(viewer: Any) -> None:
    """Give the keys to a viewer."""
    hidden = Hidden(window_of(viewer) if hasattr(viewer, "window") else None)

    def peek(viewer: Any) -> Generator[None]:
        hidden.take(masks(viewer))
        yield
        hidden.give_back()

    calls: dict[str, Callable[[Any], Any]] = {
        "8": peek,
        "9": lambda viewer: _fade(viewer, -STEP),
        "0": lambda viewer: _fade(viewer, STEP),
        "Shift+E": _outline,
        "Shift+M": _alone,
        "Shift+Y": _over_next,
    }
    for key, call in calls.items():
        viewer.bind_key(key, call, overwrite=True)


def _fade(viewer: Any, step: float) -> None:
    layers = masks(viewer)
    fade(layers, step)
    say(viewer, f"Mask {layers[-1].opacity:.0%} opaque" if layers else "There is no mask")


def _outline(viewer: Any) -> None:
    layers = masks(viewer)
    if not layers or viewer.dims.ndisplay == 3:
        say(viewer, "There is no mask" if not layers else "Edges are drawn in slices only")
    else:
        say(viewer, "Edges" if toggle_outlines(layers) else "Filled")


def _alone(viewer: Any) -> None:
    layer = mask_in_hand(viewer)
    if layer is None:
        say(viewer, "There is no mask")
    elif toggle_alone(layer):
        say(viewer, f"Only {label_words(layer, layer.selected_label)}")
    else:
        say(viewer, "All labels")


def _over_next(viewer: Any) -> None:
    """Lay the mask in hand over one after the other of the images that lie where it does, such as CT, MR and PET of one
    patient: those that are seen, the lowest first."""
    mask = mask_in_hand(viewer)
    if mask is None:
        say(viewer, "There is no mask")
        return
    seen = [layer for layer in viewer.layers if isinstance(layer, Image) and layer.visible]
    there = [layer for layer in seen if share_a_place(layer, mask)]
    if len(there) < 2:
        say(viewer, f"No second image lies where {mask.name} does")
        return
    bring_to_front(viewer, [there[0], mask])
    say(viewer, f"{mask.name} over {there[0].name}")
