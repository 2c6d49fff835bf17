"""The switch for suggestions while one paints, and what to do with one."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QPushButton, QVBoxLayout, QWidget

from napari_seg.gui.live import Live
from napari_seg.gui.parts import row, say, text

ACCEPT, DROP = "F11", "F12"


class LiveBox(QWidget):
    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self.switch = QCheckBox("Suggest while I paint")
        self.switch.setToolTip(
            "After each pause the model learns from what you did for some seconds, and shows what it would now make of "
            "what you see. Your mask changes only when you accept it"
        )
        self.words, self.trouble = text(name="quiet"), text(name="trouble")
        self.accept, self.drop = QPushButton(f"Accept ({ACCEPT})"), QPushButton(f"Drop ({DROP})")
        self.accept.setToolTip("Take the suggestion over: one step, which can be undone")
        self.drop.setToolTip("Take the suggestion away; nothing was changed")
        self.buttons = QWidget()
        buttons = row(self.accept, self.drop)
        buttons.setContentsMargins(0, 0, 0, 0)
        self.buttons.setLayout(buttons)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.switch, self.words, self.buttons, self.trouble):
            layout.addWidget(part)
        self.switch.toggled.connect(live.switch)
        self.accept.clicked.connect(live.accept)
        self.drop.clicked.connect(live.drop)
        live.changed.connect(self.render)
        self.render()

    def render(self) -> None:
        with QSignalBlocker(self.switch):
            self.switch.setChecked(self._live.on)
        say(self.words, self._live.words)
        say(self.trouble, self._live.trouble)
        self.buttons.setVisible(self._live.ready)
