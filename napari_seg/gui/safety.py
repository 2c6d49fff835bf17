"""The promise that nothing is lost, always in sight: a footer that says when the last change reached the disk, and a
strip that says what was taken up again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from napari_seg.gui.arrivals import Found
from napari_seg.gui.ledger import Safe
from napari_seg.gui.parts import text
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.gui.words import shortened
from napari_seg.wording import count_of


def safe_words(safe: Safe) -> str:
    """What the footer says."""
    if safe.trouble:
        waiting = f" {count_of(safe.waiting, 'step')} wait{'s' if safe.waiting == 1 else ''} until then."
        return f"Not kept: {safe.trouble}{waiting if safe.waiting else ''}"
    if safe.lost:
        return f"{count_of(safe.lost, 'step')} could not be kept; save the mask to a file."
    if safe.coming:
        return f"One moment: {safe.coming} can be painted on as soon as it is kept"
    if safe.at is None:
        return f"{count_of(safe.steps, 'step')} can be undone" if safe.steps else ""
    words = f"Kept at {datetime.fromtimestamp(safe.at):%H:%M:%S}"
    return f"{words}, {count_of(safe.steps, 'step')} can be undone" if safe.steps else words


def resumed_words(name: str, found: Found, now: datetime) -> str:
    """What the strip says of an image whose annotation was taken up again."""
    began = datetime.fromtimestamp(found.row.added)
    day = "today" if began.date() == now.date() else f"on {began:%d %B %Y}"
    where = f" in the project {found.project}" if found.project else ""
    steps = count_of(found.steps, "step")
    return f"Your work on {name}{where}, begun {day} at {began:%H:%M}, is here again: {steps} so far."


class ResumedStrip(QFrame):
    """Says that work was taken up again, and offers to begin anew, which is a step like any other; or what else
    there is to know of a mask that was opened."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setProperty("level", "note")
        self._recorder = recorder
        self._found: Found | None = None
        self._there = False
        self.words = text()
        self.afresh = QPushButton("Start afresh")
        self.afresh.setToolTip(
            "Go back to how the masks were when they were opened or predicted. Ctrl+Z brings the work back."
        )
        self.hide_it = QPushButton("Go on")
        buttons = QHBoxLayout()
        buttons.addWidget(self.hide_it)
        buttons.addWidget(self.afresh)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 6, 6)
        layout.addWidget(self.words)
        layout.addLayout(buttons)
        self.hide_it.clicked.connect(self.hide)
        self.afresh.clicked.connect(self._start_afresh)
        recorder.resumed.connect(self._tell)
        recorder.noted.connect(self._say)
        recorder.changed.connect(self._follow)
        self.hide()

    def _tell(self, image: Any, found: Found) -> None:
        self._say(resumed_words(shortened(image.name), found, datetime.now()), found)

    def _say(self, words: str, found: Found | None = None) -> None:
        self._found, self._there = found, False  # its masks come in a moment
        self.afresh.setVisible(found is not None)
        self.words.setText(words)
        self.words.setToolTip(words)  # where the panel is too low for all of it
        self.show()

    def _follow(self) -> None:
        """What was taken up again may be closed."""
        there = bool(self._tracks())
        if self._there and not there:
            self.hide()
        self._there = there

    def _tracks(self) -> list[Track]:
        """The masks that were taken up again."""
        found = self._found
        return [t for t in self._recorder.tracks() if found is not None and t.row.fingerprint == found.row.fingerprint]

    def _start_afresh(self) -> None:
        self.hide()
        for track in self._tracks()[:1]:  # one step for all masks of the image
            self._recorder.start_afresh(track.layer)
