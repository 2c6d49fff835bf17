"""Before a window closes, what is under way comes to its end while the window lives; and over steps that the disk does
not take the person is asked: it can still be cured.

After that napari takes the window apart on its own thread, where the session compares all of each mask once more (a
second or two for 512 x 512 x 512): nothing else could say that nothing was changed silently to the last.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_seg.gui.batch import Batch
from napari_seg.gui.fields import leave_field
from napari_seg.gui.ledger import Safe
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.waiting import wait_until
from napari_seg.wording import there_are

KEEPING = "Keeping the last changes"

COMING = 5.0
"""Seconds that a mask is waited for which came a moment ago and is not kept yet."""


def leaving_words(safe: Safe) -> str:
    """What is said to a person who closes the window."""
    return f"{there_are(safe.waiting, 'step')} not on the disk yet and would be lost. {safe.trouble}"


class Leaving(QObject):
    """Looks at the closing of a window, as long as its panel lives."""

    def __init__(self, viewer: Any, recorder: Recorder, batch: Batch, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer, self._recorder, self._batch, self._panel = viewer, recorder, batch, panel
        viewer.window._qt_window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.Close:
            return False
        leave_field(self._panel)
        self._batch.leaving.emit()
        if not (self._viewer.layers or self._batch.outgoing.due or _would_lose(self._recorder.safe)):
            return False  # a script that closes the viewer has taken the layers out before
        self._recorder.tick()
        at_rest = partial(self._at_rest, time.monotonic() + COMING)
        if not (at_rest() or wait_until(self._panel.window(), self._words, at_rest, way_out="Stay")):
            event.ignore()
            return True
        safe = self._recorder.safe
        if not _would_lose(safe) or wants_to_leave(self._panel, leaving_words(safe)):
            return False
        event.ignore()
        return True

    def _words(self) -> str:
        """What is waited for."""
        saving = self._batch.outgoing.running
        return KEEPING if saving is None else saving.words

    def _at_rest(self, until: float) -> bool:
        """Whether there is nothing to wait for, or nothing that comes; masks are waited for ``until`` then."""
        safe = self._recorder.safe
        if _would_lose(safe):
            return True
        coming = safe.coming and time.monotonic() < until
        keeping = not safe.trouble and (coming or safe.waiting or self._recorder.at_work)
        return not (keeping or self._batch.outgoing.due)


def _would_lose(safe: Safe) -> bool:
    """Whether steps wait for what a person can cure."""
    return bool(safe.waiting and safe.trouble)


def wants_to_leave(parent: QWidget, words: str) -> bool:
    """Ask a person."""
    box = QMessageBox(QMessageBox.Icon.Warning, "Not kept", words, parent=parent.window())
    box.setDefaultButton(box.addButton("Stay", QMessageBox.ButtonRole.RejectRole))
    leave = box.addButton("Close and lose them", QMessageBox.ButtonRole.DestructiveRole)
    box.exec()
    return box.clickedButton() is leave
