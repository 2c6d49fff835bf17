"""A line of the review: also compare mirrored predictions, what that costs, how far it is, and a way to stop it."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_seg.gui.mirroring import Mirroring
from napari_seg.gui.parts import say, text
from napari_seg.gui.words import duration

_TIP = (
    "Predict the image once more, in its mirror images. Where the answers differ the model is unsure, "
    "and that becomes a reason in the queue."
)


class MirrorRow(QWidget):
    def __init__(self, mirroring: Mirroring) -> None:
        super().__init__()
        self._mirroring = mirroring
        self.start, self.cancel = QPushButton(), QPushButton("Cancel")
        self.bar, self.words = QProgressBar(), text(name="quiet")
        self.bar.setAccessibleName("How far the comparison is")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        across = QHBoxLayout()
        across.setSpacing(4)
        across.addWidget(self.start, 1)
        across.addWidget(self.bar, 1)
        across.addWidget(self.cancel)
        layout.addLayout(across)
        layout.addWidget(self.words)
        self.start.clicked.connect(mirroring.start)
        self.cancel.clicked.connect(mirroring.cancel)
        mirroring.changed.connect(self.render)

    def render(self) -> None:
        """Draw how it stands with the mask in hand."""
        running, done = self._mirroring.running, self._mirroring.done
        seconds = None if running is not None or done else self._mirroring.seconds()
        self.start.setVisible(running is None and not done)
        self.start.setEnabled(seconds is not None)
        cost = "" if seconds is None else f" (about {duration(seconds)})"
        self.start.setText(f"Also compare mirrored{cost}")
        self.start.setToolTip(_TIP if seconds is not None else f"{_TIP} {self._mirroring.missing}")
        self.bar.setVisible(running is not None)
        self.cancel.setVisible(running is not None)
        if running is not None:
            self.bar.setValue(round(100 * running.fraction))
            self.bar.setFormat(running.words)
        say(self.words, self._mirroring.trouble or ("Mirrored predictions are compared too." if done else ""))
