"""A tool as the page to correct on shows it: what it does, its settings, and what went wrong."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout

from napari_seg.editing.ruler import Measure
from napari_seg.editing.tools import Tool
from napari_seg.gui.parts import text
from napari_seg.gui.range_row import RangeRow
from napari_seg.gui.specform import SpecForm

WORDS = {
    "mode": "Paints",
    "reach": "In the",
    "radius": "Radius",
    "smooth": "Smoothing",
    "apart": "Each a new object",
}
"""Settings of tools in words; others are named as they are."""


class ToolCard(QFrame):
    """The tool in hand, or the one that acted last."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.title, self.tip, self.trouble = text(name="headline"), text(), text(name="trouble")
        self.form, self.range = SpecForm(), RangeRow()
        self.apply = QPushButton("Apply")
        self.apply.setObjectName("main")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        for widget in (self.title, self.tip, self.form, self.range, self.apply, self.trouble):
            layout.addWidget(widget)

    def render(self, tool: Tool | Measure | None, held: bool, options: Any, unit: str, without: set[str]) -> None:
        """``held``: it is in the hand, and has not only acted, or is about to act, at once."""
        self.title.setVisible(tool is not None)
        self.form.setVisible(tool is not None)
        self.title.setToolTip("" if tool is None else tool.tip)
        self.tip.setVisible(not held)  # what a tool in hand does stands at the foot of the canvas
        waits = isinstance(tool, Tool) and not held and not tool.hovers and bool(tool.options.model_fields)
        self.apply.setVisible(waits)  # what has no settings has acted already, and would be taken back
        if tool is None:
            self.tip.setText("Choose a tool or press its key; press ? over the image for all keys.")
        else:
            self.tip.setText(tool.tip)
            self.title.setText(f"{tool.title}  ({tool.key})" if tool.key else tool.title)
        without = without | {"low", "high"}  # they have a row of their own
        self.form.render(options, WORDS, {"um": "µm", "pixel": "px"}.get(unit, unit), without)

    def say(self, words: str) -> None:
        self.trouble.setText(words)
        self.trouble.setVisible(bool(words))
