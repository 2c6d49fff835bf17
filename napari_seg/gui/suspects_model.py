"""The suspects of a queue as Qt sees them: what was said, the reasons, and a picture made when it is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, QTimer
from qtpy.QtGui import QIcon, QImage, QPixmap

from napari_seg.editing.annotation import State
from napari_seg.editing.suspicion import Suspect
from napari_seg.gui.table_model import STATE_WORDS
from napari_seg.gui.thumbnail import thumbnail

PICTURE = 60
"""Pixels across."""

_HEIGHT = 70

_KEPT = 400
"""So many pictures are kept."""


class SuspectsModel(QAbstractListModel):
    """A row for each suspect. Pictures are made one at a time, when Qt asks for them, the newest wish first."""

    def __init__(self) -> None:
        super().__init__()
        self.suspects: tuple[Suspect, ...] = ()
        self.states: dict[str, State] = {}
        self.left = 0  # how many nothing was said of
        self._rows: dict[str, int] = {}
        self._classes: tuple[str, ...] = ()
        self._image: NDArray[Any] | None = None
        self._labels: NDArray[Any] | None = None
        self._pictures: dict[str, QIcon] = {}
        self._wanted: list[int] = []
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._draw_one)

    def render(self, suspects: Sequence[Suspect], states: Mapping[str, State], classes: tuple[str, ...]) -> None:
        self.beginResetModel()
        self.suspects, self.states, self._classes = tuple(suspects), dict(states), classes
        self._rows = {suspect.key: row for row, suspect in enumerate(self.suspects)}
        self.left = sum(self.state(row) == "unseen" for row in range(len(self.suspects)))
        self._wanted.clear()
        self._pictures.clear()
        self.endResetModel()

    def look_at(self, image: NDArray[Any] | None, labels: NDArray[Any] | None) -> None:
        """The arrays that pictures are made from; they are read, never written to."""
        self._image, self._labels = image, labels

    @property
    def drawing(self) -> bool:
        """Whether pictures are still to be made."""
        return bool(self._timer.isActive())

    def state(self, row: int) -> State:
        return self.states.get(self.suspects[row].key, "unseen")

    def mark(self, row: int, state: State) -> None:
        self.left += (state == "unseen") - (self.state(row) == "unseen")
        self.states[self.suspects[row].key] = state
        self.dataChanged.emit(self.index(row), self.index(row))

    def redraw(self, keys: Iterable[str]) -> None:
        """The labels of these suspects have changed: new pictures."""
        stale = set(keys)
        for key in stale:
            self._pictures.pop(key, None)
        for row in (self.row_of(key) for key in stale):
            if row >= 0:
                self.dataChanged.emit(self.index(row), self.index(row))

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
        known = 0 < suspect.label <= len(self._classes)
        return self._classes[suspect.label - 1] if known else f"class {suspect.label}"

    def rowCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.suspects)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = index.row()
        reasons = self.suspects[row].reasons or ("Nothing about it is odd",)
        if role == Qt.ItemDataRole.DisplayRole:
            state = self.state(row)
            said = "" if state == "unseen" else f"   {STATE_WORDS[state]}"
            return "\n".join((f"{self.title(row)}{said}", *reasons[:2]))
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join((self.title(row), *reasons))
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(row)
        if role == Qt.ItemDataRole.SizeHintRole:
            return QSize(0, _HEIGHT)
        return None

    def _picture(self, row: int) -> QIcon:
        key = self.suspects[row].key
        if key in self._pictures:
            return self._pictures[key]
        if self._labels is not None:
            self._wanted.append(row)
            self._timer.start()
        return _icon(np.zeros((PICTURE, PICTURE, 3), np.uint8))

    def _draw_one(self) -> None:
        while self._wanted:
            row = self._wanted.pop()
            key = self.suspects[row].key
            if key not in self._pictures and self._labels is not None:
                if len(self._pictures) >= _KEPT:
                    self._pictures.pop(next(iter(self._pictures)))
                self._pictures[key] = _icon(thumbnail(self._image, self._labels, self.suspects[row], 2 * PICTURE))
                self.dataChanged.emit(self.index(row), self.index(row), [Qt.ItemDataRole.DecorationRole])
                return
        self._timer.stop()


def _icon(picture: NDArray[np.uint8]) -> QIcon:
    rows, columns = picture.shape[:2]
    image = QImage(np.ascontiguousarray(picture).tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    pixels = QPixmap.fromImage(image)
    icon = QIcon(pixels)
    icon.addPixmap(pixels, QIcon.Mode.Selected)  # else Qt tints it
    return icon
