"""The switch that shows what a model will learn from, and the three brushes that correct it."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_seg.editing.spoken import COUNTS, UNKNOWN
from napari_seg.gui.parts import say, text
from napari_seg.gui.spotlight import Spotlight

_MARKS = {
    COUNTS: ("Count it", "Paint where the mask is right although you have not touched it: it is learned from too"),
    UNKNOWN: (
        "Leave it out",
        "Paint where the mask is wrong, or where you are not sure: nothing is learned from there",
    ),
    0: ("Erase marks", "Take such marks away again"),
}


class SpotlightBox(QWidget):
    def __init__(self, spotlight: Spotlight) -> None:
        super().__init__()
        self._spotlight = spotlight
        self.switch = QCheckBox("Show what it will learn from")
        self.switch.setToolTip("What is bright it learns from, what is dark it does not; follows what you paint")
        self.words, self.trouble = text(name="quiet"), text(name="trouble")
        self.brushes = QWidget()
        brushes = QHBoxLayout(self.brushes)
        brushes.setContentsMargins(0, 0, 0, 0)
        brushes.setSpacing(4)
        self.buttons: dict[int, QPushButton] = {}
        for value, (title, tip) in _MARKS.items():
            button = QPushButton(title)
            button.setToolTip(tip)
            button.setCheckable(bool(value))
            button.clicked.connect(lambda _=False, value=value: self._mark(value))
            brushes.addWidget(button)
            self.buttons[value] = button
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.switch, self.words, self.brushes, self.trouble):
            layout.addWidget(part)
        self.switch.toggled.connect(spotlight.show)
        spotlight.changed.connect(self.render)
        self.render()

    def render(self) -> None:
        on, marking = self._spotlight.on, self._spotlight.marking
        with QSignalBlocker(self.switch):
            self.switch.setChecked(on)
        self.brushes.setVisible(on)
        for value, button in self.buttons.items():
            button.setChecked(bool(value) and value == marking)
        say(self.words, "Bright: it learns from this. Dark: left out. Paint to change that:" if on else "")
        say(self.trouble, self._spotlight.trouble)

    def _mark(self, value: int) -> None:
        if value and self._spotlight.marking == value:
            self._spotlight.end_marking()
        else:
            self._spotlight.mark(value)
