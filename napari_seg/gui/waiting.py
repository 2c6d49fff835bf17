"""What is waited for while the window stays alive: napari's readers must return layers, and its writers files."""

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
    """What is being done, that it goes on, and a way out where there is one."""

    def __init__(self, parent: QWidget | None, words: str, way_out: str) -> None:
        super().__init__(parent)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self._bar, self._label = QProgressBar(), QLabel()
        self._bar.setRange(0, 0)
        layout = QVBoxLayout(self)
        for widget in (self._label, self._bar):
            layout.addWidget(widget)
        self._ends = bool(way_out)
        if way_out:
            button = QPushButton(way_out)
            button.clicked.connect(self.reject)
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignRight)
        self.setMinimumWidth(320)
        self.say(words)

    def say(self, words: str) -> None:
        """What is being done now."""
        self.setWindowTitle(words)
        self._bar.setAccessibleName(words)
        metrics = self._label.fontMetrics()
        self._label.setText(metrics.elidedText(f"{words}...", Qt.TextElideMode.ElideMiddle, WIDTH))
        self._label.setToolTip(words)

    def reject(self) -> None:
        if self._ends:
            super().reject()


def wait_for(parent: QWidget | None, words: str, work: Callable[[], T], *, way_out: str = "Cancel") -> T | None:
    """Do ``work`` in a thread; return what it returns and raise what it raises, or ``None`` when the ``way_out`` was
    taken.

    After that the thread goes on to its end, and what it finds is dropped.
    """
    future = aside(work)
    try:
        return future.result(AT_ONCE)
    except TimeoutError:
        if future.done():
            raise  # the work's own
    wait_until(parent, lambda: words, future.done, way_out=way_out)
    return future.result() if future.done() else None


def wait_until(
    parent: QWidget | None, words: Callable[[], str], done: Callable[[], bool], *, way_out: str = "Cancel"
) -> bool:
    """Let the window live until something is ``done``, and say what; whether it was, or the ``way_out`` was taken."""
    dialog = Waiting(parent, words(), way_out)
    loop = QEventLoop()
    dialog.rejected.connect(loop.quit)
    beat = QTimer()
    beat.timeout.connect(lambda: loop.quit() if done() else dialog.say(words()))
    beat.start(10)
    late = QTimer()
    late.setSingleShot(True)
    late.timeout.connect(dialog.show)
    late.start(PATIENCE)
    loop.exec()
    late.stop()  # else it comes up over what is waited for next
    beat.stop()
    dialog.hide()
    dialog.deleteLater()
    return done()
