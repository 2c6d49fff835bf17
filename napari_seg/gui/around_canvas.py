"""All that stands over the canvas and on its keys: sides, sketches, the list of keys, views, contrast, display."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.ruler import MEASURES
from napari_seg.gui import display, orthogonal, windows
from napari_seg.gui.canvas_repair import mend_drawing
from napari_seg.gui.comparison import KEY as FLICK
from napari_seg.gui.controller import Controller
from napari_seg.gui.dropping import Dropping
from napari_seg.gui.finished_mark import FinishedMark
from napari_seg.gui.keys import Key, napari_keys, offer_commands, tool_keys
from napari_seg.gui.keys_sheet import KEY, KeysSheet
from napari_seg.gui.live_box import ACCEPT, DROP
from napari_seg.gui.manifest import open_paths
from napari_seg.gui.queue_view import KEYS as REVIEW_KEYS
from napari_seg.gui.sketchpad import Sketchpad
from napari_seg.gui.views import canvas_of, drop_target, show_sides

_REVIEW = {
    "next": "Next in the queue",
    "previous": "The one before",
    "accept": "Accept: it is right",
    "reject": "Reject: it is wrong",
    "flag": "Flag for later",
    "fix": "Fix it by hand",
}


class AroundCanvas:
    """Made once for each window, by its panel."""

    def __init__(self, viewer: Any, controller: Controller) -> None:
        self._viewer, self._controller = viewer, controller
        mend_drawing(viewer)
        show_sides(viewer)
        Dropping(drop_target(viewer), partial(open_paths, viewer))
        canvas = canvas_of(viewer)
        self.sketchpad = Sketchpad(viewer, controller.hands, controller.hover, canvas)
        self.finished = FinishedMark(viewer, controller.recorder, controller.hands, canvas)
        self.keys = KeysSheet(viewer, canvas)
        self.keys.asked.connect(self._list_keys)
        for part in (orthogonal, windows, display):
            part.bind(viewer)
        offer_commands(TOOLS, _take)

    def _list_keys(self) -> None:
        """All keys as they are now."""
        own = [Key(*row) for row in (*windows.keys(self._viewer), *display.KEYS)]
        review = [Key("Review", key, _REVIEW[what]) for what, keys in REVIEW_KEYS.items() for key in keys]
        views = Key("View", orthogonal.KEY_OF_VIEWS, "Views from three sides")
        flick = [
            Key("From the model", FLICK, "The old or the new model's mask"),
            Key("From the model", ACCEPT, "Accept the suggestion"),
            Key("From the model", DROP, "Drop the suggestion"),
        ]
        undo = [Key("Objects", "Ctrl+Z", "Undo, without limit"), Key("Objects", "Ctrl+Shift+Z", "Redo")]
        sheet = Key("View", KEY, "This list")
        measures = [Key("Measure", measure.key, measure.title) for measure in MEASURES.values()]
        self.keys.render([*tool_keys(TOOLS), *measures, *undo, *flick, *review, views, *own, sheet, *napari_keys()])


def _take(viewer: Any, name: str) -> None:
    """From the command palette, as from a button: a tool in the window in front, whose panel is opened first."""
    from napari_seg.gui.manifest import panel_of

    panel_of(viewer).controller.hands.pick(name)
