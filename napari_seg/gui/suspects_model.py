"""The suspects of a queue as Qt sees them: what was said, the reasons, and a picture made when it is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, QTimer
from qtpy.QtGui import QIcon, QImage, QPixmap

from napari_seg.editing.annotation import Entry, State
from napari_seg.editing.suspicion import Suspect
from napari_seg.gui.abreast import others
from napari_seg.gui.thumbnail import thumbnail
from napari_seg.gui.words import STATE_WORDS
from napari_seg.wording import class_name

PICTURE = 60
"""Pixels across."""

_HEIGHT = 70

_KEPT = 400
"""So many pictures are kept."""

_PAGE = 200
"""Rows that Qt is told of at a time: it lays out all it knows whenever one changes."""

_LOOK = 15
"""Milliseconds between two looks at whether a picture is made."""


class SuspectsModel(QAbstractListModel):
    """A row for each suspect. Pictures are made when Qt asks for them, the newest wish first, one at a time and in a
    thread, for the image may lie in a file."""

    def __init__(self) -> None:
        super().__init__()
        self.suspects: tuple[Suspect, ...] = ()
        self.said: dict[str, Entry] = {}
        self.left = 0  # how many nothing was said of
        self._rows: dict[str, int] = {}
        self._open = _PAGE  # so many rows Qt is told of yet
        self._classes: tuple[str, ...] = ()
        self._image: NDArray[Any] | None = None
        self._labels: NDArray[Any] | None = None
        self._pictures: dict[str, QIcon] = {}
        self._stale: set[str] = set()  # of these another picture is to be made; till then the old one is shown
        self._wanted: list[str] = []
        self._drawing: tuple[str, Future[NDArray[np.uint8]]] | None = None
        self._thread = ThreadPoolExecutor(1, "napari-seg-pictures")
        self.destroyed.connect(self._thread.shutdown)
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._draw)

    def render(self, suspects: Sequence[Suspect], said: Mapping[str, Entry], classes: tuple[str, ...]) -> None:
        """Show suspects, and what the rows ``said`` have about them. Pictures of those that stay are kept."""
        self.beginResetModel()
        before = {suspect.key: suspect for suspect in self.suspects}
        self.suspects, self.said, self._classes = tuple(suspects), dict(said), classes
        self._rows = {suspect.key: row for row, suspect in enumerate(self.suspects)}
        self._open = _PAGE
        self.left = sum(self.state(row) == "unseen" for row in range(len(self.suspects)))
        same = {suspect.key for suspect in self.suspects if before.get(suspect.key) is suspect}
        self._pictures = {key: picture for key, picture in self._pictures.items() if key in self._rows}
        self._stale = (self._stale | (self._pictures.keys() - same)) & self._pictures.keys()
        if self._drawing is not None and self._drawing[0] not in same:
            self._drawing = None
        self.endResetModel()

    def move(self, suspects: tuple[Suspect, ...], moved: Mapping[int, Suspect]) -> None:
        """The same suspects, of which those in the rows ``moved`` lie elsewhere now."""
        self.suspects = suspects
        self.redraw([suspect.key for suspect in moved.values()])

    @property
    def pictured(self) -> list[Suspect]:
        """Those of which there are pictures, or will be."""
        keys = {*self._pictures, *self._wanted, *((self._drawing[0],) if self._drawing else ())}
        return [self.suspects[self._rows[key]] for key in keys if key in self._rows]

    def reveal(self, row: int) -> None:
        """Tell Qt of all rows down to this one."""
        stop = min(len(self.suspects), row + _PAGE)
        if row >= self._open:
            self.beginInsertRows(QModelIndex(), self._open, stop - 1)
            self._open = stop
            self.endInsertRows()

    def canFetchMore(self, parent: Any = None) -> bool:
        return self._open < len(self.suspects)

    def fetchMore(self, parent: Any = None) -> None:
        self.reveal(self._open)

    def follow(self, said: Mapping[str, Entry]) -> tuple[str, ...]:
        """What was said is now this; the keys of the suspects of which something else was said before."""
        nothing = Entry()
        other = [key for key in others(self.said, said) if key in self._rows]
        states = [(self.state_of(key), said.get(key, nothing).state) for key in other]
        self.left += sum((after == "unseen") - (before == "unseen") for before, after in states)
        self.said = dict(said)
        for key in other:
            self._tell(self._rows[key])
        return tuple(key for key, (before, after) in zip(other, states, strict=True) if before != after)

    def look_at(self, image: NDArray[Any] | None, labels: NDArray[Any] | None) -> None:
        """The arrays that pictures are made from; they are read, never written to."""
        if image is not self._image or labels is not self._labels:
            self._image, self._labels = image, labels
            self.redraw(tuple(self._pictures))

    @property
    def drawing(self) -> bool:
        """Whether pictures are still to be made."""
        return bool(self._timer.isActive())

    def state(self, row: int) -> State:
        return self.state_of(self.suspects[row].key)

    def state_of(self, key: str) -> State:
        return self.said[key].state if key in self.said else "unseen"

    def comment(self, row: int) -> str:
        key = self.suspects[row].key
        return self.said[key].comment if key in self.said else ""

    def mark(self, row: int, state: State) -> None:
        key = self.suspects[row].key
        self.left += (state == "unseen") - (self.state(row) == "unseen")
        self.said[key] = replace(self.said.get(key, Entry()), state=state)
        self._tell(row)

    def redraw(self, keys: Iterable[str]) -> None:
        """The labels of these suspects have changed: new pictures."""
        keys = set(keys)
        self._stale |= keys
        if self._drawing is not None and self._drawing[0] in keys:
            self._drawing = None
        for row in (self.row_of(key) for key in keys):
            self._tell(row)

    def row_of(self, key: str) -> int:
        """The row of a key; -1 where there is none."""
        return self._rows.get(key, -1)

    def title(self, row: int) -> str:
        suspect = self.suspects[row]
        kind = suspect.key.split()[0]
        if kind == "slice":
            return f"Slice {suspect.key.split()[2]}"
        if kind == "object":
            return f"Object {suspect.label}"
        return class_name(suspect.label, self._classes)

    def rowCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else min(self._open, len(self.suspects))

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = index.row()
        reasons = self.suspects[row].reasons or ("No reason to doubt it",)
        comment = (f"“{words}”",) if (words := self.comment(row)) else ()
        if role == Qt.ItemDataRole.DisplayRole:
            state = self.state(row)
            said = "" if state == "unseen" else f"   {STATE_WORDS[state]}"
            return "\n".join((f"{self.title(row)}{said}", *reasons[: 2 - len(comment)], *comment))
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join((self.title(row), *reasons, *comment))
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(row)
        if role == Qt.ItemDataRole.SizeHintRole:
            return QSize(0, _HEIGHT)
        return None

    def _tell(self, row: int) -> None:
        """Another row than before is to be shown."""
        if 0 <= row < self._open:
            self.dataChanged.emit(self.index(row), self.index(row))

    def _picture(self, row: int) -> QIcon:
        key = self.suspects[row].key
        if key in self._pictures and key not in self._stale:
            return self._pictures[key]
        if self._labels is not None:
            self._wanted.append(key)
            self._timer.start()
        return self._pictures[key] if key in self._pictures else _icon(np.zeros((PICTURE, PICTURE, 3), np.uint8))

    def _draw(self) -> None:
        """Bring in the picture that is made, and begin the next one."""
        if self._drawing is not None:
            key, made = self._drawing
            if not made.done():
                return
            self._drawing = None
            self._bring(key, made)
        while self._wanted:
            key = self._wanted.pop()
            row = self.row_of(key)
            if row >= 0 and (key not in self._pictures or key in self._stale) and self._labels is not None:
                self._stale.discard(key)
                work = self._thread.submit(thumbnail, self._image, self._labels, self.suspects[row], 2 * PICTURE)
                self._drawing = key, work
                return
        self._timer.stop()

    def _bring(self, key: str, made: Future[NDArray[np.uint8]]) -> None:
        if made.exception() is not None and self._image is not None:  # a file that is gone: the outline is there yet
            self._image = None
            self._stale.add(key)
            self._wanted.append(key)
            return
        if len(self._pictures) >= _KEPT:
            self._pictures.pop(next(iter(self._pictures)))
        self._pictures[key] = _icon(made.result())
        self._tell(self.row_of(key))


def _icon(picture: NDArray[np.uint8]) -> QIcon:
    rows, columns = picture.shape[:2]
    image = QImage(np.ascontiguousarray(picture).tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    pixels = QPixmap.fromImage(image)
    icon = QIcon(pixels)
    icon.addPixmap(pixels, QIcon.Mode.Selected)  # else Qt tints it
    return icon
