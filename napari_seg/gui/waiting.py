"""Work in a thread that is waited for while the window stays alive: napari's readers must return layers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError
from typing import TypeVar

from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtWidgets import QDialog, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_seg.gui.aside import aside

T = TypeVar("T")

AT_ONCE = 0.05
"""Seconds in which small files are there: no dialog, no second event loop."""

PATIENCE = 400
"""Milliseconds before the dialog comes up."""

WIDTH = 440
"""Pixels of the longest name; a longer one loses its middle."""


class Waiting(QDialog):
    """What is being done, that it goes on, and a way out."""

    def __init__(self, parent: QWidget | None, words: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(words)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        bar = QProgressBar()
        bar.setRange(0, 0)
        bar.setAccessibleName(words)
        cancel = QPushButton("Cancel")
        cancel.clicked.connect(self.reject)
        layout = QVBoxLayout(self)
        label = QLabel()
        label.setText(label.fontMetrics().elidedText(f"{words}...", Qt.TextElideMode.ElideMiddle, WIDTH))
        label.setToolTip(words)
        for widget in (label, bar):
            layout.addWidget(widget)
        layout.addWidget(cancel, 0, Qt.AlignmentFlag.AlignRight)
        self.setMinimumWidth(320)


def wait_for(parent: QWidget | None, words: str, work: Callable[[], T]) -> T | None:
    """Do ``work`` in a thread; return what it returns and raise what it raises, or ``None`` when Cancel was pressed.

    After a cancel the thread goes on to its end, and what it finds is dropped.
    """
    future = aside(work)
    try:
        return future.result(AT_ONCE)
    except TimeoutError:
        if future.done():
            raise  # the work's own
    dialog = Waiting(parent, words)
    loop = QEventLoop()
    dialog.rejected.connect(loop.quit)
    beat = QTimer()
    beat.timeout.connect(lambda: loop.quit() if future.done() else None)
    beat.start(10)
    QTimer.singleShot(PATIENCE, dialog, dialog.show)
    loop.exec()
    beat.stop()
    dialog.hide()
    dialog.deleteLater()
    return future.result() if future.done() else None
