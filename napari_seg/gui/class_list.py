"""The list of classes: colour, name, a lock and an eye for each; a click takes a class into the hand.

It shows the lines it is given and says what was clicked; it knows neither layers nor sessions.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_seg.gui.classes import ClassRow
from napari_seg.gui.colours import NAMES
from napari_seg.gui.icons import icon
from napari_seg.gui.parts import text
from napari_seg.wording import count_of

_HEIGHT = 26
"""Pixels of a line."""

_LINES = 6
"""So many lines are seen at once; more are scrolled to."""

_COLOUR, _NAME, _LOCK, _EYE = range(4)

_LOCKS = {"nothing": "unlocked", "some": "partly locked", "all": "locked"}


class ClassList(QWidget):
    """Signals carry the number of a class. ``shown_locked``: a person wants to see which objects are locked."""

    taken = Signal(int)
    renamed = Signal(int, str)
    locked = Signal(int, bool)
    shown = Signal(int, bool)
    coloured = Signal(int, str)
    asked_for_new = Signal()
    alone = Signal(bool)
    unlocked_all = Signal()
    shown_locked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rows: tuple[ClassRow, ...] = ()
        self._drawn: tuple[Any, ...] = ()
        self._icons: dict[str, QIcon] = {}
        self._filling = False
        self.of: Any = None  # the mask whose classes are shown
        self._typed: tuple[int, str] | None = None
        self.title = QLabel("Classes")
        self.only = QPushButton("Only this")
        self.only.setCheckable(True)
        self.only.setToolTip("Show the label in hand alone, or all again (Shift+M)")
        self.new = QPushButton("New class")
        self.new.setToolTip("Add a class; double-click its name to change it")
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.title, 1)
        for button in (self.only, self.new):
            head.addWidget(button)
        self.table = QTableWidget(0, 4)
        self.table.setAccessibleName("Classes: colour, name, lock, eye")
        self.table.setObjectName("plain")
        self.table.horizontalHeader().hide()
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_HEIGHT)
        self.table.verticalHeader().setMinimumSectionSize(_HEIGHT)
        self.table.horizontalHeader().setMinimumSectionSize(_HEIGHT)
        self.table.horizontalHeader().setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        for column in (_COLOUR, _LOCK, _EYE):
            self.table.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            self.table.setColumnWidth(column, _HEIGHT + 4)
        self.table.setShowGrid(False)
        self.table.setTabKeyNavigation(False)
        self.table.setIconSize(QSize(16, 16))
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        triggers = QAbstractItemView.EditTrigger
        self.table.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
        self.table.installEventFilter(self)
        self.count = text(name="quiet")
        self.show_locked, self.unlock = QPushButton("Show"), QPushButton("Unlock all")
        self.show_locked.setToolTip("List them in the table of the review")
        self.unlock.setToolTip("Let all of them change again; one step, which can be undone")
        self.foot = QWidget()
        foot = QHBoxLayout(self.foot)
        foot.setContentsMargins(0, 0, 0, 0)
        foot.setSpacing(4)
        foot.addWidget(self.count, 1)
        for button in (self.show_locked, self.unlock):
            foot.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(head)
        layout.addWidget(self.table)
        layout.addWidget(self.foot)
        self.table.cellClicked.connect(self._act)
        self.table.itemChanged.connect(self._edited)
        self.table.itemDelegate().closeEditor.connect(self._rename)
        self.new.clicked.connect(lambda: self.asked_for_new.emit())
        self.only.clicked.connect(lambda on: self.alone.emit(on))
        self.unlock.clicked.connect(lambda: self.unlocked_all.emit())
        self.show_locked.clicked.connect(lambda: self.shown_locked.emit())

    def dress(self, colour: str) -> None:
        """Icons in the colour of the theme's text."""
        self._icons = {name: icon(name, colour) for name in (*_LOCKS.values(), "shown", "hidden")}
        rows, self._drawn = self._drawn, ()
        if rows:
            self._draw(*rows)

    def render(
        self, rows: tuple[ClassRow, ...], *, in_hand: int, objects: bool, locked: int, alone: bool, of: Any = None
    ) -> None:
        """Show these lines ``of`` a mask. ``locked``: how many ``objects`` are."""
        self.only.setChecked(alone)
        self.foot.setVisible(bool(locked))
        self.count.setText(f"{count_of(locked, 'object')} locked")
        if self.table.state() == QAbstractItemView.State.EditingState:
            return
        self.of = of
        self._draw(rows, objects)
        if not 0 < in_hand <= len(rows):
            self.table.clearSelection()
        elif self.table.currentRow() != in_hand - 1 or not self.table.selectedItems():
            self.table.setCurrentCell(in_hand - 1, _NAME)

    def _draw(self, rows: tuple[ClassRow, ...], objects: bool) -> None:
        if (rows, objects) == self._drawn:
            return
        self._rows, self._drawn = rows, (rows, objects)
        self._filling = True
        self.table.setRowCount(len(rows))
        for line, row in enumerate(rows):
            self._fill(line, row, objects)
        self._filling = False
        self.table.setColumnHidden(_COLOUR, objects)
        self.table.setVisible(bool(rows))
        self.table.setFixedHeight(min(len(rows), _LINES) * _HEIGHT + 2 * self.table.frameWidth())

    def _fill(self, line: int, row: ClassRow, objects: bool) -> None:
        whose = "All objects of it are" if objects else "It is"
        what = {
            "nothing": f"{row.name} is not locked. Click: lock it, so that it neither gains nor loses a voxel",
            "some": f"Some objects of {row.name} are locked. Click: lock all of them",
            "all": f"{row.name} is locked. {whose} not changed by any tool. Click: unlock",
        }[row.locked]
        thing = f"the objects of {row.name}" if objects else row.name
        state, act = ("shown", f"hide {thing}") if row.shown else ("hidden", f"show {thing} again")
        seen = f"{whose} {state}. Click: {act}; the voxels stay, and only a lock keeps tools from them"
        cells = (
            (_COLOUR, "", _swatch(row.colour), f"Colour: {NAMES.get(row.colour, 'none')}. Click: choose another one"),
            (_NAME, row.name, None, f"Label {row.number}. Click: take it into the hand. Double-click: rename"),
            (_LOCK, "", self._icons.get(_LOCKS[row.locked]), what),
            (_EYE, "", self._icons.get("shown" if row.shown else "hidden"), seen),
        )
        for column, words, picture, tip in cells:
            item = QTableWidgetItem(words)
            if column == _COLOUR or picture is not None:
                item.setIcon(picture or QIcon())
                item.setData(Qt.ItemDataRole.AccessibleTextRole, tip)
            flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
            item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if column == _NAME else flags)
            item.setToolTip(tip)
            self.table.setItem(line, column, item)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        pressed = event.type() == QEvent.Type.KeyPress
        if pressed and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            editing = self.table.state() == QAbstractItemView.State.EditingState  # the key ends that
            if self.table.currentRow() >= 0 and not editing:
                self._act(self.table.currentRow(), self.table.currentColumn())
            return True
        return False

    def _act(self, line: int, column: int) -> None:
        row = self._rows[line]
        if column == _LOCK:
            self.locked.emit(row.number, row.locked != "all")
        elif column == _EYE:
            self.shown.emit(row.number, not row.shown)
        else:
            self.taken.emit(row.number)
            if column == _COLOUR and row.colour:
                self._choose(line)

    def _choose(self, line: int) -> None:
        """Which colours there are; those of other classes cannot be chosen."""
        menu, row = QMenu(self), self._rows[line]
        taken = {other.colour for other in self._rows if other is not row}
        for colour, name in NAMES.items():
            action = menu.addAction(_swatch(colour), name.capitalize())
            action.setEnabled(colour not in taken)
            action.triggered.connect(lambda _=False, chosen=colour: self.coloured.emit(row.number, chosen))
        menu.setAccessibleName("Colours")
        menu.popup(self.table.viewport().mapToGlobal(self.table.visualItemRect(self.table.item(line, 0)).bottomLeft()))

    def _edited(self, item: QTableWidgetItem) -> None:
        if not self._filling and item.column() == _NAME:
            self._typed = self._rows[item.row()].number, item.text()
            self._drawn = ()  # what was typed may be refused

    def _rename(self) -> None:
        """When the item is no longer at work."""
        typed, self._typed = self._typed, None
        if typed is not None:
            self.renamed.emit(*typed)


def _swatch(colour: str) -> QIcon:
    made = QPixmap(16, 16)
    made.fill(QColor(colour) if colour else Qt.GlobalColor.transparent)
    swatch = QIcon(made)
    swatch.addPixmap(made, QIcon.Mode.Selected)  # else Qt tints it
    return swatch
