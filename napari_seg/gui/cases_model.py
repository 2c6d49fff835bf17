"""The list of cases as Qt sees it: sorted here, so that a row that changes does not move what is chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtGui import QFont

from napari_seg.gui.folder_state import ROW_WORDS, CaseRow

_ORDER = tuple(ROW_WORDS)

NOT_FOUND = "not found"


@dataclass(frozen=True)
class Column:
    """``cell``: what is shown; ``by``: what it is sorted by, ``None`` where that is not known."""

    title: str
    tip: str
    cell: Callable[[CaseRow], str]
    by: Callable[[CaseRow], Any]
    number: bool = False


COLUMNS = (
    Column(
        "Image",
        "The file, and of which patient it is, where that is known",
        lambda row: f"{row.name} · {row.patient}" if row.patient else row.name,
        lambda row: row.name.casefold(),
    ),
    Column(
        "State",
        "Unseen: nobody has opened it. In work: somebody has. Accepted and flagged: so it was judged.",
        lambda row: NOT_FOUND if row.missing else ROW_WORDS[row.state],
        lambda row: _ORDER.index(row.state),
    ),
    Column(
        "Found",
        "How many objects, or how much of all classes together",
        lambda row: row.amount,
        lambda row: row.size,
        True,
    ),
    Column(
        "Doubt",
        "How much of the mask the model itself expects to be wrong, by its scores. It says which cases to look at "
        "first, not how good they are.",
        lambda row: "" if row.doubt is None else f"{row.doubt:.0%}",
        lambda row: row.doubt,
        True,
    ),
)

DOUBT = len(COLUMNS) - 1


class CasesModel(QAbstractTableModel):
    """Shows rows of a :class:`~.folder_state.Folder`; what is not known comes last, whichever way it is sorted."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[CaseRow] = []
        self._current: Path | None = None
        self._column, self._descending = DOUBT, True

    @property
    def shown(self) -> list[CaseRow]:
        """The rows in their order."""
        return self._rows

    def row(self, index: QModelIndex) -> CaseRow:
        return self._rows[index.row()]

    def place_of(self, path: Path) -> int | None:
        return next((place for place, row in enumerate(self._rows) if row.path == path), None)

    def render(self, rows: Sequence[CaseRow], current: Path | None) -> None:
        """Show other rows, or the same in other states. ``current``: the one that is open."""
        new, before = self._sorted(rows), self._rows
        if len(new) != len(before) or {row.path for row in new} != {row.path for row in before}:
            self.beginResetModel()
            self._rows, self._current = new, current
            self.endResetModel()
            return
        if [row.path for row in new] != [row.path for row in before]:
            self._move(new)
        marked = {current, self._current} if current != self._current else set[Path | None]()
        old = {row.path: row for row in before}
        self._rows, self._current = new, current
        for place, row in enumerate(new):
            if row != old[row.path] or row.path in marked:
                self.dataChanged.emit(self.index(place, 0), self.index(place, len(COLUMNS) - 1))

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        if 0 <= column < len(COLUMNS):
            self._column, self._descending = column, order == Qt.SortOrder.DescendingOrder
            self._move(self._sorted(self._rows))

    def rowCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = self._rows[index.row()], COLUMNS[index.column()]
        is_current = row.path == self._current
        if role == Qt.ItemDataRole.DisplayRole:
            return f"▸ {column.cell(row)}" if is_current and index.column() == 0 else column.cell(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.FontRole and is_current:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(part for part in (str(row.path), row.why, row.detail, row.comment) if part)
        return None

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section].title
        return COLUMNS[section].tip if role == Qt.ItemDataRole.ToolTipRole else None

    def _sorted(self, rows: Sequence[CaseRow]) -> list[CaseRow]:
        by = COLUMNS[self._column].by
        known = [row for row in rows if by(row) is not None]
        rest = sorted((row for row in rows if by(row) is None), key=lambda row: row.name.casefold())
        known.sort(key=lambda row: row.name.casefold())
        return [*sorted(known, key=by, reverse=self._descending), *rest]

    def _move(self, new: list[CaseRow]) -> None:
        """Bring the rows into another order; what is chosen stays chosen."""
        self.layoutAboutToBeChanged.emit()
        kept = self.persistentIndexList()
        paths = [self._rows[index.row()].path for index in kept]
        places = {row.path: place for place, row in enumerate(new)}
        self._rows = new
        moved = [self.index(places[path], index.column()) for path, index in zip(paths, kept, strict=True)]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()
