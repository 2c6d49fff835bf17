"""The shelf: the models that were made here, one click to go back to any of them."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from napari_seg.gui.parts import Fold, empty, text
from napari_seg.gui.training_state import Shelved


class ShelfList(Fold):
    """``used`` carries the file of a model."""

    used = Signal(object)

    def __init__(self) -> None:
        super().__init__("Models")
        self._shown: tuple[Shelved, ...] = ()
        self.buttons: list[QPushButton] = []
        self.hide()

    def render(self, shelf: tuple[Shelved, ...]) -> None:
        if shelf == self._shown:
            return
        self._shown = shelf
        self.setVisible(bool(shelf))
        self.rename(f"Models ({len(shelf)})")
        empty(self.rows)
        self.buttons = []
        for one in shelf:
            self.rows.addWidget(self._line(one))

    def _line(self, one: Shelved) -> QFrame:
        frame = QFrame()
        frame.setObjectName("card")
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(text(one.name))
        words.addWidget(text(one.about, "quiet"))
        use = QPushButton("In use" if one.chosen else "Use")
        use.setEnabled(not one.chosen)
        use.setAccessibleName(f"Use {one.name}")
        use.setToolTip(f"Segment with {one.name} from now on; all models stay here\n{one.path}")
        use.clicked.connect(lambda _=False, path=one.path: self.used.emit(path))
        self.buttons.append(use)
        layout = QHBoxLayout(frame)
        layout.setContentsMargins(8, 4, 6, 4)
        layout.addLayout(words, 1)
        layout.addWidget(use)
        return frame
