"""What the numbers of a mask mean: two buttons of which one is down, and why it is so where that was guessed."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QPushButton, QVBoxLayout, QWidget

from napari_seg.gui.parts import row, say, text

_TIPS = (
    (
        "Objects",
        "Each number is an object, such as a cell or a lesion: they are counted and judged one by one",
    ),
    (
        "Classes",
        "Each number is a class, such as an organ: it has a name and a colour, and any number of parts",
    ),
)


class NumbersRow(QWidget):
    """``chosen``: a person says that numbers count objects, or that they are classes."""

    chosen = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.group = QButtonGroup(self)
        buttons = []
        for number, (words, tip) in enumerate(_TIPS):
            button = QPushButton(words)
            button.setCheckable(True)
            button.setToolTip(f"{tip}. Choosing it is a step that can be undone.")
            button.setAccessibleName(f"Numbers are {words.lower()}")
            self.group.addButton(button, number)
            buttons.append(button)
        self.objects, self.classes = buttons
        self.why = text(name="quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        line = row(*buttons, title="Numbers are")
        for button in buttons:
            line.setStretchFactor(button, 1)
        layout.addLayout(line)
        layout.addWidget(self.why)
        self.group.idClicked.connect(lambda number: self.chosen.emit(number == 0))

    def render(self, objects: bool, why: str) -> None:
        """``why``: how it is known; empty where a person said so, or nothing is to be said."""
        (self.objects if objects else self.classes).setChecked(True)
        taken = "objects" if objects else "classes"
        say(self.why, f"Taken for {taken}: {why}. If that is wrong, choose the other." if why else "")
