"""The keys, as they are bound now: gathered from the tools, from napari and from whoever has some, and shown on a sheet
over the canvas. The tools stand in napari's command palette too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from qtpy.QtGui import QKeySequence

from napari_seg.editing.tools import Tool
from napari_seg.gui.views import offer

GROUPS = ("Paint", "Objects", "Slices", "From the model", "Measure", "Review", "View", "napari's own")
"""The groups of the sheet, in this order; others follow."""

_OF_TOOLS = {"regions": "Paint", "objects": "Objects", "slices": "Slices", "model": "From the model"}

_NAPARI = (
    ("activate_labels_paint_mode", "napari's brush"),
    ("activate_labels_erase_mode", "napari's eraser"),
    ("activate_labels_polygon_mode", "napari's polygon"),
    ("activate_labels_fill_mode", "napari's filling"),
    ("activate_labels_picker_mode", "Label under the mouse"),
    ("activate_labels_pan_zoom_mode", "Move the view"),
    ("hold_for_pan_zoom", "Move the view while held"),
    ("new_label", "An unused label"),
    ("swap_selected_and_background_labels", "Label or background"),
    ("decrease_label_id", "Label before"),
    ("increase_label_id", "Label after"),
    ("decrease_brush_size", "Smaller brush"),
    ("increase_brush_size", "Larger brush"),
    ("toggle_preserve_labels", "Paint over nothing"),
    ("increment_dims_left", "Slice before"),
    ("increment_dims_right", "Slice after"),
    ("toggle_ndisplay", "2D or 3D"),
    ("reset_view", "See all"),
    ("toggle_selected_visibility", "Show or hide the layer"),
)
"""What of napari's shortcuts is of use to somebody who corrects a mask."""


class Key(NamedTuple):
    """``key`` as Qt writes it (``Shift+K``); ``words`` say what it does. Several keys may have the same words."""

    group: str
    key: str
    words: str


def tool_keys(tools: Mapping[str, Tool]) -> list[Key]:
    """The keys of the tools, and of those that have none nothing."""
    groups = ((tool, _OF_TOOLS.get(tool.group, tool.group.capitalize())) for tool in tools.values())
    return [Key(group, tool.key, tool.title) for tool, group in groups if tool.key]


def napari_keys() -> list[Key]:
    """napari's own keys, as a person has set them in its preferences."""
    return [Key(GROUPS[-1], key, words) for name, words in _NAPARI for key in keys_of(name)]


def keys_of(name: str) -> list[str]:
    """The keys that a person has given one of napari's actions."""
    from napari.settings import get_settings

    return [str(key) for key in get_settings().shortcuts.shortcuts.get(f"napari:{name}", ())]


def native(key: str) -> str:
    """A key as this system writes it."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) or key


class Row(NamedTuple):
    """A line of the sheet."""

    keys: tuple[str, ...]
    words: str


def grouped(keys: Iterable[Key]) -> dict[str, list[Row]]:
    """The lines of each group, in the order of :data:`GROUPS`; keys of the same words stand in one line."""
    found: dict[str, dict[str, list[str]]] = {}
    for group, key, words in keys:
        lines = found.setdefault(group, {}).setdefault(words, [])
        if key not in lines:
            lines.append(key)
    order = [*(group for group in GROUPS if group in found), *(group for group in found if group not in GROUPS)]
    return {group: [Row(tuple(keys), words) for words, keys in found[group].items()] for group in order}


def offer_commands(tools: Mapping[str, Tool], run: Callable[[Any, str], None]) -> Callable[[], None]:
    """Put every tool into napari's command palette: ``run(viewer, name)`` takes it in the viewer in front.

    Once for all windows of the process: what stands there already stays as it is. Returns what takes out again what
    this call has put in.
    """

    def taking(name: str) -> Callable[[], None]:
        def take() -> None:
            from napari import current_viewer

            viewer = current_viewer()
            if viewer is not None:
                run(viewer, name)

        return take

    return offer({f"napari-seg.{tool.name}": (tool.title, tool.tip, taking(tool.name)) for tool in tools.values()})
