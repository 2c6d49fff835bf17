"""The queue of a review: what to look at next, a picture of it, why, and what was said of it.

The view knows neither the session nor the layers. Whoever shows it hands it suspects and what was said before, listens
to its signals, and tells it what an edit has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from numpy.typing import NDArray
from qtpy.QtCore import QItemSelectionModel, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QListView, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_seg.editing.annotation import Entry, State
from napari_seg.editing.stopping import Stop, stopping
from napari_seg.editing.suspicion import Suspect
from napari_seg.gui.parts import dress, say, text
from napari_seg.gui.suspects_model import PICTURE, SuspectsModel

KEYS: Mapping[str, tuple[str, ...]] = {
    "next": (".",),
    "previous": (",", "Shift+Return"),
    "accept": ("A",),
    "reject": ("D",),
    "flag": ("S",),
    "fix": ("Shift+R",),
}
"""Keys of the review, also for the canvas (but for Return, which ends a polygon there)."""

LIST_KEYS: Mapping[str, tuple[str, ...]] = {"next": ("Space", "Return")}
"""Keys of the list alone: Space on the canvas is napari's own, and on a button it presses the button."""

_LEAST = 150
"""Pixels of height: some two pictures are always seen."""

_BUTTONS = (
    ("accept", "Accept", "It is right"),
    ("reject", "Reject", "It is wrong and stays out of what is learned from"),
    ("flag", "Flag", "Leave it for somebody else, or for later"),
    ("fix", "Fix", "Correct it by hand; accept it after that"),
    ("next", "Next", "Look at the next one and say nothing of this one"),
)

STATES: Mapping[str, State] = {"accept": "accepted", "reject": "rejected", "flag": "flagged"}
"""The verdicts among them, and what a thing is then."""


class QueueView(QWidget):
    """``chosen`` carries a suspect to go to; ``judged`` one and its new state; ``fixing`` one to be corrected;
    ``commented`` one and what was written of it."""

    chosen = Signal(object)
    judged = Signal(object, str)
    fixing = Signal(object)
    commented = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.model = SuspectsModel()
        self.worst_first = True  # else what was right says nothing of what comes after it
        self._done = 0
        self._verdicts: dict[str, bool] = {}
        self._changed: set[str] = set()
        self._gone, self._from = "", -1  # the chosen one that an edit took away, and where it stood
        self._written_on: Suspect | None = None  # what the comment is about
        self._build()
        self.render(())

    def _build(self) -> None:
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setObjectName("plain")
        self.list.setAccessibleName("What to look at, the most suspicious first")
        self.list.setIconSize(QSize(PICTURE, PICTURE))
        self.list.setWordWrap(True)
        self.list.setUniformItemSizes(True)
        self.list.setMinimumHeight(_LEAST)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.progress = QProgressBar()
        self.progress.setAccessibleName("How many were seen")
        self.stop, self.empty = text(), text("Nothing is left to review.")
        self.bar = QWidget()
        buttons = QHBoxLayout(self.bar)
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(4)
        self.buttons: dict[str, QPushButton] = {}
        for name, words, tip in _BUTTONS:
            button = QPushButton(words)
            button.setToolTip(f"{tip} ({' or '.join((*LIST_KEYS.get(name, ()), *KEYS[name]))})")
            button.clicked.connect(lambda _=False, what=name: self.act(what))
            buttons.addWidget(button, 1)
            self.buttons[name] = button
        self.comment = QLineEdit()
        self.comment.setAccessibleName("Comment on the chosen one")
        self.comment.setPlaceholderText("Comment: Enter keeps it")
        self.comment.editingFinished.connect(self._keep_comment)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.progress)
        layout.addWidget(self.empty)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.bar)
        layout.addWidget(self.comment)
        layout.addWidget(self.stop)
        layout.addStretch()  # where there is no list
        for keys, where, context in (
            (KEYS, self, Qt.ShortcutContext.WidgetWithChildrenShortcut),
            (LIST_KEYS, self.list, Qt.ShortcutContext.WidgetShortcut),
        ):
            for name, sequences in keys.items():
                for sequence in sequences:
                    key = QShortcut(QKeySequence(sequence), where, context=context)
                    key.activated.connect(lambda what=name: self.act(what))
        self.list.selectionModel().selectionChanged.connect(self._moved)  # focus alone makes the first one current
        self.list.doubleClicked.connect(lambda index: self.chosen.emit(self.model.suspects[index.row()]))

    def render(
        self,
        suspects: Sequence[Suspect],
        *,
        said: Mapping[str, Entry] | None = None,
        classes: tuple[str, ...] = (),
        verdicts: Mapping[str, bool] | None = None,
        done: int = 0,
    ) -> None:
        """Show a queue. ``said``: the rows of these suspects; ``done``: how many others were decided before, and
        ``verdicts``: by their keys, in the order of time, whether each was accepted as it was."""
        self._verdicts, self._done = dict(verdicts or {}), done
        self._show(suspects, said or {}, classes)

    def keep_up(self, suspects: Sequence[Suspect], said: Mapping[str, Entry], classes: tuple[str, ...]) -> None:
        """The same queue after an edit: some are gone, or lie elsewhere."""
        self._show(suspects, said, classes)

    def follow(self, said: Mapping[str, Entry]) -> None:
        """What was said is now this, also by a step back."""
        for key in self.model.follow(said):
            self._count(key, self.model.state_of(key))
        self._tell()
        self._show_comment()

    def _show(self, suspects: Sequence[Suspect], said: Mapping[str, Entry], classes: tuple[str, ...]) -> None:
        current, self._from = self.current, self._row if self._row >= 0 else self._from
        wanted = self._gone if current is None else current.key
        self.model.render(suspects, said, classes)
        self.empty.setVisible(not suspects)
        self.list.setVisible(bool(suspects))
        self.bar.setVisible(bool(suspects))
        found = self.go_to(wanted)
        self._gone, self._from = "" if found else wanted, -1 if found else self._from
        self._tell()
        self._show_comment()

    def look_at(self, image: NDArray[Any] | None, labels: NDArray[Any] | None) -> None:
        """The arrays that pictures are made from."""
        self.model.look_at(image, labels)

    @property
    def current(self) -> Suspect | None:
        row = self._row
        return self.model.suspects[row] if row >= 0 else None

    @property
    def stopping(self) -> Stop:
        return stopping(tuple(self._verdicts.values()), self.model.left)

    def go_to(self, key: str) -> bool:
        """Show a suspect as the current one, without a signal; whether there is one of this key."""
        row = self.model.row_of(key)
        with QSignalBlocker(self):
            self._choose(row)
        return row >= 0

    def changed(self, keys: Iterable[str]) -> None:
        """An edit has changed these: their pictures are made again, and accepting them is no "right as it was"."""
        keys = set(keys)
        self._changed |= keys
        self.model.redraw(keys)

    def redraw(self, keys: Iterable[str]) -> None:
        """Something beside these has changed: their pictures are made again."""
        self.model.redraw(keys)

    def act(self, what: str) -> None:
        """What a button or a key does: one of ``KEYS``."""
        row = self._row
        if what == "previous":
            self._choose(max(row - 1, 0))
        elif what == "next" or row < 0:
            self._choose(self._next(row if row >= 0 else max(self._from - 1, -1)))
        elif what == "fix":
            self.fixing.emit(self.model.suspects[row])
        else:
            self._judge(row, STATES[what])

    def _judge(self, row: int, state: State) -> None:
        suspect = self.model.suspects[row]
        self.model.mark(row, state)
        self._count(suspect.key, state)
        self._tell()
        following = self.model.suspects[self._next(row)].key
        self.judged.emit(suspect, state)  # whoever listens may show another queue
        self._choose(self.model.row_of(following))

    def _count(self, key: str, state: State) -> None:
        """For the rule to stop: what was said last counts, as the last."""
        self._verdicts.pop(key, None)
        if state != "unseen":
            self._verdicts[key] = state == "accepted" and key not in self._changed

    def _next(self, row: int) -> int:
        """The next one that nothing was said of: after ``row``, else from the top; ``row`` where there is none."""
        others = chain(range(row + 1, len(self.model.suspects)), range(max(row, 0)))
        return next((k for k in others if self.model.state(k) == "unseen"), row)

    @property
    def _row(self) -> int:
        """The row that is chosen; -1 for none."""
        return next((int(index.row()) for index in self.list.selectionModel().selectedIndexes()), -1)

    def _choose(self, row: int) -> None:
        if 0 <= row < len(self.model.suspects):
            self.model.reveal(row)
            way = QItemSelectionModel.SelectionFlag.ClearAndSelect
            self.list.selectionModel().setCurrentIndex(self.model.index(row), way)

    def _moved(self) -> None:
        suspect = self.current
        self._show_comment()
        self._enable()
        if suspect is not None:
            self._gone, self._from = "", -1
            self.list.scrollTo(self.model.index(self._row))
            self.chosen.emit(suspect)

    def _show_comment(self) -> None:
        """What was written of the chosen one; what is being written stays while it is the same."""
        suspect = self.current
        if self._written_on is not None and (suspect is None or suspect.key != self._written_on.key):
            self._keep_comment()
        self._written_on = suspect
        if not self.comment.isModified():
            self.comment.setText("" if suspect is None else self.model.comment(self._row))
        self.comment.setVisible(suspect is not None)

    def _keep_comment(self) -> None:
        suspect = self._written_on
        if suspect is not None and self.comment.isModified():
            self.comment.setModified(False)
            self.commented.emit(suspect, self.comment.text().strip())

    def _enable(self) -> None:
        for name, button in self.buttons.items():
            button.setEnabled(bool(self.model.suspects) and (name == "next" or self._row >= 0))
        dress(self.buttons["next"], "main" if self._row < 0 and self.model.left else "")

    def _tell(self) -> None:
        total = self._done + len(self.model.suspects)
        left = self.model.left
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(total - left)
        self.progress.setFormat(f"{total - left} of {total} seen")
        self.progress.setVisible(total > 0)
        say(self.stop, self.stopping.words if self.model.suspects and self.worst_first else "")
        self._enable()
