"""The table of objects or classes as Qt sees it. Rows are sorted and filtered in numpy: the model keeps a list of the
rows that are shown, in their order, and Qt asks only for the cells on the screen."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal

from napari_seg.editing.columns import Column, columns
from napari_seg.editing.filtering import matching
from napari_seg.editing.measures import Table
from napari_seg.errors import SegError
from napari_seg.gui.words import STATE_WORDS, number

_SIGNS = {"um": "µm", "um2": "µm²", "um3": "µm³", "mm2": "mm²", "mm3": "mm³"}

_HIDDEN = ("x", "y", "z", "x_um", "y_um", "z_um", "x_mm", "y_mm", "z_mm")
"""Columns that only the CSV has: nobody reads where a centre lies, one goes there."""

_MUCH = 1000.0
"""From a median of so many mm3 on, volumes are shown in ml."""


class TableModel(QAbstractTableModel):
    """Shows a :class:`~napari_seg.editing.measures.Table`; :meth:`render` takes the next one and keeps order and
    filter. ``commented`` carries a label and what was written of it."""

    commented = Signal(int, str)

    def __init__(self) -> None:
        super().__init__()
        self.table: Table | None = None
        self._columns: tuple[Column, ...] = ()
        self._all: tuple[Column, ...] = ()
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._places: NDArray[np.intp] = np.zeros(0, np.intp)
        self._sorted_by = "label"
        self._descending = False
        self._text = ""

    @property
    def rows(self) -> NDArray[np.intp]:
        """The rows of the table that are shown, in their order."""
        return self._rows

    @property
    def text(self) -> str:
        """The filter."""
        return self._text

    @property
    def shown_columns(self) -> tuple[Column, ...]:
        return self._columns

    @property
    def names(self) -> tuple[str, ...]:
        """What a filter may ask for."""
        return tuple(column.name for column in self._all)

    def render(self, table: Table | None) -> None:
        """Show another table. A filter that does not fit it shows all rows."""
        self.beginResetModel()
        self.table = table
        self._all = columns(table) if table is not None else ()
        self._columns = _shown(self._all) if table is not None else ()
        try:
            self._arrange()
        except SegError:
            self._text = ""
            self._arrange()
        self.endResetModel()

    def narrow(self, text: str) -> None:
        """Show only the rows that match ``text``. Raises ``SegError`` for what is not understood; nothing changes
        then."""
        if self.table is not None:
            matching((*self._columns, *self._all), text)
        self.beginResetModel()
        self._text = text
        self._arrange()
        self.endResetModel()

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Numbers by size, what is not known last; words by the alphabet; equal ones by their label."""
        if not 0 <= column < len(self._columns):
            return
        self.layoutAboutToBeChanged.emit()
        kept = self.persistentIndexList()
        before = [int(self._rows[index.row()]) for index in kept]
        self._sorted_by = self._columns[column].name
        self._descending = order == Qt.SortOrder.DescendingOrder
        self._arrange()
        moved = [self.index(self._place(row), index.column()) for row, index in zip(before, kept, strict=True)]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()

    def place_of(self, label: int) -> int | None:
        """Where a label is shown; ``None`` where it is filtered out or not there."""
        row = self.table.row(label) if self.table is not None else None
        place = -1 if row is None else self._place(row)
        return place if place >= 0 else None

    def label_at(self, place: int) -> int:
        assert self.table is not None
        return int(self.table.labels[self._rows[place]])

    def rowCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column = self._columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return _cell(column, self._rows[index.row()])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.values.dtype.kind in "iuf" else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return _cell(column, self._rows[index.row()]) if column.values.dtype.kind in "UO" else column.tip
        return None

    def is_comment(self, index: QModelIndex) -> bool:
        return index.isValid() and self._columns[index.column()].name == "comment"

    def flags(self, index: QModelIndex) -> Any:
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if self.is_comment(index) else flags

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Say what was written; it is shown when the next table is."""
        if not self.is_comment(index) or role != Qt.ItemDataRole.EditRole:
            return False
        self.commented.emit(self.label_at(index.row()), str(value))
        return True

    def headerData(self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._columns):
            return None
        column = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            lines = [column.title, _SIGNS.get(column.unit, column.unit)] if column.unit else wrap(column.title, 11)
            return "\n".join(lines)
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{column.tip} Filter: {column.name}".strip()
        return None

    def _arrange(self) -> None:
        """Work out which rows are shown, in which order, and where each of them is (-1: nowhere)."""
        n = len(self.table) if self.table is not None else 0
        by = next((column.values for column in self._all if column.name == self._sorted_by), np.arange(n))
        order = _order(by, descending=self._descending)
        if self._text and n:
            order = order[matching((*self._columns, *self._all), self._text)[order]]
        self._rows = order
        self._places = np.full(n, -1, np.intp)
        self._places[order] = np.arange(len(order))

    def _place(self, row: int) -> int:
        return int(self._places[row])


def _shown(all_: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns that say something in the room there is: sizes in one unit, no class where there is only one."""
    named = {column.name: column for column in all_}
    hidden = set(_HIDDEN)
    if "volume" in named or "area" in named:
        hidden |= {"voxels", "pixels"}
    if "ml" in named:
        sizes = named["volume"].values
        hidden.add("volume" if len(sizes) and float(np.median(sizes)) >= _MUCH else "ml")
    if len(named["class"].values) > 1 and len(np.unique(named["class"].values)) == 1:
        hidden.add("class")
    if not any(named["locked"].values):
        hidden.add("locked")
    return tuple(column for column in all_ if column.name not in hidden)


def _order(values: NDArray[Any], *, descending: bool) -> NDArray[np.intp]:
    if values.dtype.kind in "UO":
        values = np.unique(values.astype(np.str_), return_inverse=True)[1]
    keys = values.astype(np.float64)
    order: NDArray[np.intp] = np.argsort(-keys if descending else keys, kind="stable")  # NaN comes last either way
    return order


def _cell(column: Column, row: int) -> str:
    value = column.values[row]
    if column.values.dtype.kind == "f":
        return "" if np.isnan(value) else number(float(value))
    if column.values.dtype.kind == "b":
        return "yes" if value else ""
    return STATE_WORDS.get(str(value), str(value)) if column.name == "state" else str(value)
