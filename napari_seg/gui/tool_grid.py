"""Buttons of tools with an icon and a name, in as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QGridLayout, QSizePolicy, QToolButton, QWidget

from napari_seg.editing.ruler import Measure
from napari_seg.editing.tools import Tool

_NARROWEST = 108
"""Pixels of a column, at a font of 9 points."""


def tool_button(tool: Tool | Measure, take: Callable[[str], None]) -> QToolButton:
    """What takes a tool into the hand: its icon, its name, and what it does as a tip."""
    button = QToolButton()
    button.setObjectName("tool")
    button.setText(tool.title)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setIconSize(QSize(16, 16))
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    button.setCheckable(True)
    key = f"  ({tool.key})" if tool.key else ""
    button.setToolTip(f"{tool.title}{key}\n{tool.tip}")
    button.clicked.connect(lambda: take(tool.name))
    return button


class ToolGrid(QWidget):
    def __init__(self, buttons: Sequence[QToolButton]) -> None:
        super().__init__()
        self._all = self._buttons = list(buttons)
        self._columns = 0
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        self._lay_out(3)

    def show_only(self, shown: Container[str]) -> None:
        """Show the buttons of these words alone; the others leave no gap."""
        wanted = [button for button in self._all if button.text() in shown]
        if wanted != self._buttons:
            for button in self._all:
                self._grid.removeWidget(button)
                button.setVisible(button in wanted)
            self._buttons, columns, self._columns = wanted, self._columns, 0
            self._lay_out(columns)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        scale = max(1.0, self.fontMetrics().height() / 15)
        self._lay_out(max(2, int((self.width() + 3) // (_NARROWEST * scale))))

    def _lay_out(self, columns: int) -> None:
        if columns == self._columns:
            return
        for column in range(max(columns, self._columns)):
            self._grid.setColumnStretch(column, int(column < columns))
        self._columns = columns
        for number, button in enumerate(self._buttons):
            self._grid.addWidget(button, *divmod(number, columns))
