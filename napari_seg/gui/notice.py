"""A few words over the canvas that say what a key has just done, and go by themselves."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QLabel, QWidget

from napari_seg.gui.views import canvas_of

_SEEN = 1600
"""Milliseconds."""

_TOP = 44
"""Pixels from the upper edge, below the letter of the patient's side."""

_SHEET = (
    "background-color: rgba(20, 20, 24, 220); color: white; font-size: 13px; font-weight: bold; "
    "border-radius: 5px; padding: 6px 12px;"
)


class Notice(QLabel):
    """One for each canvas. The mouse passes through it."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setStyleSheet(_SHEET)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self._gone = QTimer(self)
        self._gone.setSingleShot(True)
        self._gone.timeout.connect(self.hide)
        canvas.installEventFilter(self)

    def say(self, words: str) -> None:
        self.setText(words)
        self.adjustSize()
        self._settle()
        self.raise_()
        self.show()
        self._gone.start(_SEEN)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._settle()
        return False

    def _settle(self) -> None:
        canvas = self.parentWidget()
        if canvas is not None:
            self.move((canvas.width() - self.width()) // 2, _TOP)


def say(viewer: Any, words: str) -> None:
    """Show the words over the canvas of a viewer; one without a window says them in its status."""
    if not hasattr(viewer, "window"):
        viewer.status = words
        return
    canvas = canvas_of(viewer)
    found = canvas.findChild(Notice)
    (found if found is not None else Notice(canvas)).say(words)
