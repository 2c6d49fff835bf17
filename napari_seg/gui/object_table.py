"""The table of objects or classes, with a filter and a button: it shows what it is given and says what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import QModelIndex, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_seg.editing.annotation import Entry
from napari_seg.editing.columns import csv, said_csv
from napari_seg.editing.measures import Table
from napari_seg.errors import SegError
from napari_seg.gui.parts import row, text
from napari_seg.gui.save_as import ask_for_csv, save_csv
from napari_seg.gui.table_model import TableModel
from napari_seg.gui.words import STATE_WORDS
from napari_seg.wording import count_of

_LEAST = 120
"""Pixels of height: some three rows are always seen below the headings."""

_PAUSE = 120
"""Milliseconds without a key before the filter works."""


class ObjectTable(QWidget):
    """``chosen`` carries the label of the row that a person chose, not one that :meth:`select` chose; ``commented`` a
    label and what was written of it. ``said``: the rows of the session; those that are no objects go into a file of
    their own."""

    chosen = Signal(int)
    commented = Signal(int, str)

    def __init__(self) -> None:
        super().__init__()
        self.model = TableModel()
        self.model.commented.connect(self.commented.emit)
        self.said: Mapping[str, Entry] = {}
        self._selecting = False
        self._late: Table | None = None
        self._letters = ""  # those that the columns were measured in
        self._build()
        self.render(None)

    def _build(self) -> None:
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setAccessibleName("Filter of the table")
        self.view = QTableView()
        self.view.setAccessibleName("Table of objects")
        self.view.setModel(self.model)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.view.setObjectName("plain")
        self.view.setMinimumHeight(_LEAST)
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setTabKeyNavigation(False)
        way = QAbstractItemView.EditTrigger
        self.view.setEditTriggers(way.DoubleClicked | way.EditKeyPressed)
        self.view.setSortingEnabled(True)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(24)
        self.view.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.view.horizontalHeader().setResizeContentsPrecision(30)
        self.view.horizontalHeader().setHighlightSections(False)
        self.view.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.count, self.trouble = text(name="quiet"), text(name="quiet")
        self.save = QPushButton("Save as CSV...")
        self.save.setToolTip("Write the rows that are shown, in this order, with units in the headings.")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.filter, self.trouble):
            layout.addWidget(part)
        layout.addWidget(self.view, 1)
        layout.addLayout(row(self.count, self.save))
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self._pause.timeout.connect(self._narrow)
        self.filter.textChanged.connect(lambda _: self._pause.start())
        self.filter.returnPressed.connect(self._narrow)
        self.view.selectionModel().selectionChanged.connect(self._moved)  # focus alone makes the first one current
        self.view.doubleClicked.connect(self._double_clicked)
        self.save.clicked.connect(self._ask)
        self.view.itemDelegate().closeEditor.connect(lambda *_: QTimer.singleShot(0, self._show_late))

    def render(self, table: Table | None) -> None:
        """Show a table; order, filter and the chosen label stay where they can."""
        if self.view.state() == QAbstractItemView.State.EditingState:
            self._late = table  # what is being written would be lost
            return
        before, headings = self.selected, self._headings()
        with_selection = self._selecting
        self._selecting = True
        self.model.render(table)
        if self._headings() != headings:
            self._fit()
        self._selecting = with_selection
        size = next((name for name in ("area", "volume", "pixels") if name in self.model.names), "voxels")
        self.filter.setPlaceholderText(f"Filter: state:unseen {size}<50")
        self.filter.setToolTip(f"Words, or terms of {', '.join(self.model.names)} with : < > and =")
        self.save.setEnabled(bool(table))
        self._say("")
        self._count()
        if before is not None:
            self.select(before)

    def showEvent(self, event: Any) -> None:
        """The letters may be others than when the columns were measured."""
        super().showEvent(event)
        if self.view.font().toString() != self._letters:
            self._fit()

    def _fit(self) -> None:
        """Give each column the room for its heading and its cells, also for what may still be said."""
        self._letters = self.view.font().toString()
        self.view.resizeColumnsToContents()
        for place, column in enumerate(self.model.shown_columns):
            if column.name == "state":
                widest = max(self.view.fontMetrics().horizontalAdvance(words) for words in STATE_WORDS.values())
                self.view.setColumnWidth(place, max(self.view.columnWidth(place), widest + 10))

    @property
    def selected(self) -> int | None:
        """The label of the chosen row."""
        rows = self.view.selectionModel().selectedRows()
        return self.model.label_at(rows[0].row()) if rows else None

    def select(self, label: int) -> None:
        """Choose the row of a label and bring it into sight; none where it is filtered out or there is none."""
        place = self.model.place_of(label)
        self._selecting = True
        if place is None:
            self.view.selectionModel().clear()
        else:
            self.view.selectRow(place)
            self.view.scrollTo(self.model.index(place, 0))
        self._selecting = False

    def write(self, path: Path) -> str:
        """Write the rows that are shown as CSV, and what was said of slices, regions and boxes beside it; what was
        written, in a sentence. Raises ``SegError`` where it cannot."""
        if self.model.table is None:
            return ""
        save_csv(csv(self.model.table, self.model.rows.tolist()), path)
        words = f"Saved {path.name} with {count_of(len(self.model.rows), 'row')}"
        beside = said_csv(self.said)
        if beside:
            other = path.with_name(f"{path.stem} said{path.suffix}")
            save_csv(beside, other)
            words += f", and {other.name} with what you said of slices, regions and boxes"
        return f"{words}."

    def _show_late(self) -> None:
        table, self._late = self._late, None
        if table is not None:
            self.render(table)

    def _double_clicked(self, index: QModelIndex) -> None:
        if not self.model.is_comment(index):
            self.chosen.emit(self.model.label_at(index.row()))

    def _headings(self) -> tuple[str, ...]:
        return tuple(column.heading for column in self.model.shown_columns)

    def _narrow(self) -> None:
        self._pause.stop()
        before = self.selected
        self._selecting = True
        try:
            self.model.narrow(self.filter.text().strip())
        except SegError as error:
            self.model.narrow("")
            self._say(str(error))
        else:
            self._say("")
        self._selecting = False
        self._count()
        if before is not None:
            self.select(before)

    def _moved(self) -> None:
        label = self.selected
        if label is not None and not self._selecting:
            self.chosen.emit(label)

    def _count(self) -> None:
        table, shown = self.model.table, len(self.model.rows)
        total = len(table) if table is not None else 0
        words = count_of(total, "object" if table is None or table.objects else "class")
        self.count.setText(words if shown == total else f"{shown} of {words}")

    def _say(self, words: str) -> None:
        self.trouble.setText(words)
        self.trouble.setVisible(bool(words))

    def _ask(self) -> None:
        path = ask_for_csv(self, "Save as CSV", "objects.csv")
        if path is None:
            return
        try:
            words = self.write(path)
        except SegError as error:
            self._say(str(error))
        else:
            self._say(words)
