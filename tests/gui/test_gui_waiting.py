"""The window lives while a file is read."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QApplication, QPushButton

from napari_seg.errors import SegError
from napari_seg.gui.waiting import PATIENCE, Waiting, wait_for


def test_quick_work_returns_at_once(qtbot: Any) -> None:
    assert wait_for(None, "Reading", lambda: 7) == 7


def test_the_window_beats_while_the_work_is_done(qtbot: Any) -> None:
    beats: list[int] = []
    enough = threading.Event()
    heart = QTimer()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 20:
            enough.set()

    heart.timeout.connect(beat)
    heart.start(5)
    assert wait_for(None, "Reading", lambda: enough.wait(20)) is True


def test_what_goes_wrong_is_raised_here(qtbot: Any) -> None:
    begun = threading.Event()
    QTimer.singleShot(100, begun.set)

    def work() -> None:
        begun.wait(20)
        raise SegError("The file is broken; get it anew.")

    with pytest.raises(SegError, match="broken"):
        wait_for(None, "Reading", work)


def test_what_was_waited_for_before_does_not_come_up(qtbot: Any) -> None:
    done = threading.Event()
    seen: list[str] = []

    def look() -> None:
        seen.extend(w.windowTitle() for w in QApplication.topLevelWidgets() if isinstance(w, Waiting) and w.isVisible())
        done.set()

    begun = threading.Event()
    QTimer.singleShot(150, begun.set)
    wait_for(None, "Reading", lambda: begun.wait(20))
    QTimer.singleShot(PATIENCE + 300, look)
    wait_for(None, "Preparing", lambda: done.wait(20))
    assert seen == ["Preparing"]


def test_where_there_is_no_way_out_nothing_ends_it(qtbot: Any) -> None:
    done = threading.Event()

    def press() -> None:
        (dialog,) = [w for w in QApplication.topLevelWidgets() if isinstance(w, Waiting) and w.isVisible()]
        assert dialog.findChildren(QPushButton) == []
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
        assert dialog.isVisible()
        done.set()

    QTimer.singleShot(800, press)
    assert wait_for(None, "Saving", lambda: done.wait(20), way_out="") is True


def test_cancel_does_not_wait_for_the_work(qtbot: Any) -> None:
    never = threading.Event()

    def press() -> None:
        (dialog,) = [w for w in QApplication.topLevelWidgets() if isinstance(w, Waiting) and w.isVisible()]
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)

    QTimer.singleShot(800, press)
    assert wait_for(None, "Reading", never.wait) is None
    never.set()
