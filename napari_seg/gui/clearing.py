"""Takes away all that this plugin has hung on a viewer, once nobody is there to answer: its views, what it only shows,
whoever hears of events, keys and the mouse, and what lies over the canvas. All of it is known by the module that it was
written in, so that nothing can be forgotten."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_seg.gui.arrivals import is_only_shown
from napari_seg.gui.orthogonal import toggle, views_of
from napari_seg.gui.show_only import taken_away
from napari_seg.gui.views import canvas_of, drop_target, is_open

_OURS = "napari_seg."

_MOUSE = ("mouse_move", "mouse_drag", "mouse_double_click", "mouse_wheel")


def clear(viewer: Any) -> None:
    """Leave a viewer as if it had never been ours, also one whose window is closed."""
    if is_open(viewer) and views_of(viewer) is not None:
        toggle(viewer)
    _deafen(viewer)
    if is_open(viewer):
        taken_away(viewer, [layer for layer in viewer.layers if is_only_shown(layer)])
        canvas = canvas_of(viewer)
        for host in (canvas, drop_target(viewer), canvas.window()):
            for child in host.children():
                if _is_ours(child):
                    if isinstance(child, QWidget):
                        child.hide()
                    child.deleteLater()


def _deafen(viewer: Any) -> None:
    parts = viewer, viewer.dims, viewer.scene.camera, viewer.layers, viewer.layers.selection, *viewer.layers
    for emitter in [emitter for part in parts for emitter in part.events.emitters.values()]:
        for call in emitter.callbacks:
            if _is_ours(call):
                emitter.disconnect(call)
    for part in (viewer, *viewer.layers):
        for calls in [getattr(part, f"{name}_callbacks") for name in _MOUSE]:
            calls[:] = [call for call in calls if not _is_ours(call)]
        for key in [key for key, call in part.keymap.items() if _is_ours(call)]:
            del part.keymap[key]


def _is_ours(thing: Any) -> bool:
    """Whether a widget, or what is called, is of this plugin. napari keeps methods as an object, held weakly, and a
    name."""
    owner = thing[0]() if isinstance(thing, tuple) else getattr(thing, "__self__", thing)
    return str(getattr(owner, "__module__", "")).startswith(_OURS)
