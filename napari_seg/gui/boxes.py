"""Boxes that several pages show: a question that has to be answered, and how far a run is."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_seg.gui.parts import combo, row, text
from napari_seg.gui.state import Question, Running


class QuestionBox(QFrame):
    """What has to be known before a run, asked in its place: no dialog, nothing preset."""

    answered = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setProperty("level", "warning")
        self._shown: Question | None = None
        self.words = text()
        self.choices = combo("Dimensions")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 6, 6)
        layout.addWidget(self.words)
        layout.addWidget(self.choices)
        self.choices.activated.connect(self._chosen)

    def render(self, question: Question | None) -> None:
        self.setVisible(question is not None)
        if question is None or question == self._shown:
            return
        self._shown = question
        self.words.setText(question.text)
        self.choices.clear()
        self.choices.addItem("Choose...", "")
        for choice in question.choices:
            self.choices.addItem(choice.title, choice.value)

    def _chosen(self, index: int) -> None:
        if value := self.choices.itemData(index):
            self._shown = None
            self.answered.emit(value)


class RunningBox(QWidget):
    """How far it is, and the way out."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; nothing is changed (Escape)")
        self.words = text(name="quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row(self.bar, self.cancel))
        layout.addWidget(self.words)

    def render(self, running: Running | None) -> None:
        self.setVisible(running is not None)
        if running is not None:
            self.bar.setValue(round(running.fraction * 1000))
            self.words.setText(running.words)
