"""The list of cases: it shows rows and says which are chosen and which are to be opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QItemSelectionModel, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_seg.gui.cases_model import COLUMNS, DOUBT, CasesModel
from napari_seg.gui.folder_state import CaseRow, Folder

_LEAST = 150
"""Pixels of height: some five rows are always seen."""

_WIDE = 300
"""Pixels from which on all columns have the room that their cells need."""


class CaseList(QTableView):
    """``opened`` carries the path of the row that was double-clicked, or on which Enter was pressed; ``chosen`` says
    that other rows are chosen."""

    opened = Signal(object)
    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.cases = CasesModel()
        self._opened: Path | None = None
        self.setModel(self.cases)
        self.setObjectName("plain")
        self.setAccessibleName("Images of the folder")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setMinimumHeight(_LEAST)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setTextElideMode(Qt.TextElideMode.ElideRight)
        header.setResizeContentsPrecision(30)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(32)
        self.setSortingEnabled(True)
        self.sortByColumn(DOUBT, Qt.SortOrder.DescendingOrder)
        self.doubleClicked.connect(lambda index: self.opened.emit(self.cases.row(index).path))
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen.emit())

    def sizeHint(self) -> QSize:
        return QSize(200, _LEAST)  # it grows where there is room

    def sizeHintForColumn(self, column: int) -> int:
        """In a narrow panel no column is wider than its heading needs, so that the last one is seen as a whole."""
        return super().sizeHintForColumn(column) if self.width() >= _WIDE else 0

    def render(self, state: Folder) -> None:
        """Show the rows of a page; those that were chosen stay so. The case that is opened becomes the chosen one."""
        chosen = [row.path for row in self.rows]
        self.cases.render(state.rows, state.current)
        for column in range(1, len(COLUMNS)):  # the names get the room of those that say nothing
            self.setColumnHidden(column, not any(COLUMNS[column].cell(row) for row in state.rows))
        self.setTextElideMode(_elide_mode([row.name for row in state.rows]))
        if chosen and not self.rows:
            select, model = QItemSelectionModel.SelectionFlag, self.selectionModel()
            for place in (self.cases.place_of(path) for path in chosen):
                if place is not None:
                    model.select(self.cases.index(place, 0), select.Select | select.Rows)
        if state.current != self._opened or (chosen and not self.rows):  # others came, and nothing is chosen any more
            self._opened = state.current
            place = None if state.current is None else self.cases.place_of(state.current)
            if place is not None:
                self.selectRow(place)
                self.scrollTo(self.cases.index(place, 0))

    @property
    def rows(self) -> list[CaseRow]:
        """The chosen rows, in their order."""
        return [self.cases.shown[place] for place in sorted(i.row() for i in self.selectionModel().selectedRows())]

    def keyPressEvent(self, event: Any) -> None:
        index = self.currentIndex()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers() and index.isValid():
            self.opened.emit(self.cases.row(index).path)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: Any) -> None:
        super().focusInEvent(event)
        if not self.currentIndex().isValid() and self.cases.rowCount():
            self.setCurrentIndex(self.cases.index(0, 0))


def _elide_mode(names: Sequence[str]) -> Qt.TextElideMode:
    """What is left out where a name is too long: of names that begin alike the beginning, as they differ at the end."""
    letters = enumerate(zip(*names, strict=False))
    alike = next((place for place, found in letters if len({*found}) > 1), 0)
    half = min(map(len, names), default=0) // 2
    return Qt.TextElideMode.ElideLeft if alike > half else Qt.TextElideMode.ElideMiddle
