"""The history as Qt sees it: a row for each revision and one for the beginning, pictures made when they are seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractListModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QIcon, QImage, QPainter, QPixmap

from napari_seg.gui.change_picture import GROUND, LEGEND
from napari_seg.gui.revisions import Steps, extent, joined, title, when
from napari_seg.session.records import Revision

PICTURE = 56
"""Pixels across."""

PIECE = 200
"""Revisions that are read at first; then twice as many, as often as somebody scrolls to the end."""

_HEIGHT, _FAINT = 64, 0.45

_KEPT = 500
"""So many pictures are kept."""


class HistoryModel(QAbstractListModel):
    """``wanted``: the number of a revision whose picture somebody would see; one at a time, answered by
    :meth:`take_picture`. ``more``: how many revisions to read."""

    wanted = Signal(int)
    more = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.steps = Steps()
        self.began = 0.0  # when the image was opened first
        self.ndim = 2
        self.faint = QColor("#808080")
        self._pictures: dict[int, QIcon] = {}
        self._wishes: list[int] = []
        self._waiting = 0  # for the picture of this revision
        self._reading = False
        self._blank = _icon(None)

    # what it is given

    def clear(self, began: float, ndim: int) -> None:
        """Another image."""
        self.beginResetModel()
        self.steps, self.began, self.ndim = Steps(complete=False), began, ndim
        self._pictures.clear()
        self._wishes.clear()
        self._waiting, self._reading = 0, False
        self.endResetModel()

    def render(self, newest: Steps) -> None:
        """Take in what was read. Rows that stay keep their place, so that nothing jumps under the mouse."""
        before, after = self.steps, joined(self.steps, newest)
        self._reading = False
        top = len(_newer(after, before))
        same = after.revisions[top : top + len(before.revisions)]
        if [revision.id for revision in same] != [revision.id for revision in before.revisions]:
            self.beginResetModel()
            self.steps = after
            self.endResetModel()
            return
        if top:
            self.beginInsertRows(QModelIndex(), 0, top - 1)
            self.steps = Steps(
                after.head, after.revisions[: top + len(same)], after.models, before.complete, after.masks
            )
            self.endInsertRows()
        old, new = self.rowCount(), len(after.revisions) + after.complete
        if new > old:
            self.beginInsertRows(QModelIndex(), old, new - 1)
        self.steps = after
        if new > old:
            self.endInsertRows()
        self.dataChanged.emit(self.index(0), self.index(self.rowCount() - 1))

    def take_picture(self, revision: int, picture: NDArray[np.uint8] | None) -> None:
        if len(self._pictures) >= _KEPT:
            self._pictures.pop(next(iter(self._pictures)))
        faint = any(other.undone for other in self.steps.revisions if other.id == revision)
        self._pictures[revision] = _icon(picture, _FAINT if faint else 1.0)
        self._waiting = 0
        row = self.row_of(revision)
        if row >= 0:
            self.dataChanged.emit(self.index(row), self.index(row), [Qt.ItemDataRole.DecorationRole])
        self._ask()

    # what it is asked

    def revision(self, row: int) -> Revision | None:
        """What a row shows; ``None`` for the beginning."""
        return self.steps.revisions[row] if 0 <= row < len(self.steps.revisions) else None

    def number(self, row: int) -> int:
        """The number of a row's revision, 0 for the beginning."""
        found = self.revision(row)
        return 0 if found is None else found.id

    def at(self, row: int) -> float:
        """When things were as a row says."""
        found = self.revision(row)
        return self.began if found is None else found.at

    def row_of(self, revision: int) -> int:
        """The row of a revision; -1 where it is not shown."""
        if revision == 0:
            return len(self.steps.revisions) if self.steps.complete else -1
        return next((row for row, other in enumerate(self.steps.revisions) if other.id == revision), -1)

    def rowCount(self, parent: Any = None) -> int:
        if parent is not None and parent.isValid():
            return 0
        return len(self.steps.revisions) + self.steps.complete

    def canFetchMore(self, parent: Any) -> bool:
        return not parent.isValid() and not self.steps.complete and not self._reading

    def fetchMore(self, parent: Any) -> None:
        self._reading = True
        self.more.emit(max(PIECE, 2 * len(self.steps.revisions)))

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        revision = self.revision(index.row())
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return "\n".join(self._lines(index.row(), revision))
        if role == Qt.ItemDataRole.ToolTipRole and revision is not None and revision.voxels:
            return LEGEND
        if role == Qt.ItemDataRole.DecorationRole:
            return self._picture(revision)
        if role == Qt.ItemDataRole.ForegroundRole and revision is not None and revision.undone:
            return self.faint
        if role == Qt.ItemDataRole.FontRole:
            font = QFont()
            font.setBold(self.number(index.row()) == self.steps.head)
            font.setItalic(revision is not None and revision.undone)
            return font
        if role == Qt.ItemDataRole.SizeHintRole:
            return QSize(0, _HEIGHT)
        return None

    def _lines(self, row: int, revision: Revision | None) -> list[str]:
        now = datetime.now()
        here = "   (now)" if self.number(row) == self.steps.head else ""
        if revision is None:
            return [f"As it was opened{here}", when(self.began, now)]
        undone = "   (undone)" if revision.undone else ""
        note = "" if revision.note.isdigit() else revision.note
        by = f"{when(revision.at, now)}{', ' if revision.who else ''}{revision.who}"
        mask = self.steps.masks.get(revision.id, "")
        what = ", ".join(part for part in (extent(revision, self.ndim), note, mask and f"of {mask}") if part)
        return [f"{title(revision, self.steps, now)}{here}{undone}", by, *([what] if what else [])]

    def _picture(self, revision: Revision | None) -> QIcon:
        if revision is None or not revision.voxels:
            return self._blank
        if revision.id in self._pictures:
            return self._pictures[revision.id]
        if revision.id in self._wishes:
            self._wishes.remove(revision.id)
        self._wishes.append(revision.id)
        self._ask()
        return self._blank

    def _ask(self) -> None:
        """The newest wish first: what was scrolled past can wait."""
        while self._wishes and not self._waiting:
            wish = self._wishes.pop()
            if wish not in self._pictures:
                self._waiting = wish
                self.wanted.emit(wish)


def _newer(after: Steps, before: Steps) -> list[Revision]:
    top = before.revisions[0].id if before.revisions else 0
    return [revision for revision in after.revisions if revision.id > top] if before.revisions else []


def _icon(picture: NDArray[np.uint8] | None, opacity: float = 1.0) -> QIcon:
    """A picture as an icon of fixed size, drawn on its ground; a blank one for none."""
    shown = QPixmap(2 * PICTURE, 2 * PICTURE)
    shown.fill(QColor(*GROUND) if picture is not None else Qt.GlobalColor.transparent)
    if picture is not None:
        rows, columns = picture.shape[:2]
        values = np.ascontiguousarray(picture).tobytes()
        image = QImage(values, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        painter = QPainter(shown)
        painter.setOpacity(opacity)
        painter.drawImage(shown.rect(), image)
        painter.end()
    icon = QIcon(shown)
    icon.addPixmap(shown, QIcon.Mode.Selected)  # else Qt tints it
    return icon
