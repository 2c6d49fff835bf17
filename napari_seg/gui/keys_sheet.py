"""The list of shortcuts over the canvas: ``?`` shows it and hides it, as do Escape and a click.

A key that the sheet has no use for hides it and is passed on: who has found the key just presses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QKeySequence, QPainter, QPen, QShortcut
from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from napari_seg.gui.keys import Key, Row, grouped, native

KEY = "?"

_SIZES = (11, 10, 9)
"""Points of the letters: the largest with which all is seen at once, else the smallest, and the sheet scrolls."""

_MARGIN, _GAP, _COLUMN_GAP = 18.0, 12.0, 30.0
_OPACITY = 0.94
_LONG = 24
"""Letters in a line; longer words take two lines, so that more columns fit."""

_TITLE, _HINT = "Shortcuts", "? or Escape closes this"

_SCROLLING = {
    Qt.Key.Key_Up: -0.1,
    Qt.Key.Key_Down: 0.1,
    Qt.Key.Key_PageUp: -0.9,
    Qt.Key.Key_PageDown: 0.9,
}
"""Of the height of the sheet."""

_MODIFIERS = (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta, Qt.Key.Key_AltGr)


def in_columns(lengths: Sequence[float], columns: int) -> list[list[int]]:
    """The numbers of the groups in each column: in their order, the longest column as short as can be."""
    for limit in sorted({sum(lengths[a:b]) for b in range(len(lengths) + 1) for a in range(b)}):
        found: list[list[int]] = [[]]
        for k, length in enumerate(lengths):
            if found[-1] and sum(lengths[i] for i in found[-1]) + length > limit:
                found.append([])
            found[-1].append(k)
        if len(found) <= columns and max(sum(lengths[k] for k in column) for column in found) <= limit:
            return found
    return []


class Page(QWidget):
    """What scrolls: the groups in columns, painted."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, list[Row]] = {}
        self._colours: dict[str, QColor] = {}
        self._font = QFont()
        self._columns: list[list[int]] = []
        self.setAccessibleName(_TITLE)

    def render(self, groups: dict[str, list[Row]], colours: dict[str, QColor], room: QSize) -> None:
        """Show keys in the colours ``text``, ``quiet`` and ``cap``, as well as they fit into the room."""
        self.groups, self._colours = groups, colours
        lines = [f"{' or '.join(row.keys)}: {row.words}" for rows in groups.values() for row in rows]
        self.setAccessibleDescription("\n".join(lines))
        for size in _SIZES:
            self._font = QFont(self.font())
            self._font.setPointSize(size)
            self._columns = self._fitting(room.width())
            if self._height() <= room.height():
                break
        self.setFixedSize(room.width(), max(room.height(), int(self._height())))
        self.update()

    @property
    def columns(self) -> list[list[int]]:
        return self._columns

    @property
    def points(self) -> int:
        return self._font.pointSize()

    def _bold(self) -> QFont:
        font = QFont(self._font)
        font.setBold(True)
        return font

    def _line(self) -> float:
        return QFontMetricsF(self._font).height() + 5

    def _box(self, row: Row) -> tuple[float, float]:
        """How wide the words of a line are, and how high the line is."""
        metrics = QFontMetricsF(self._font)
        whole = metrics.horizontalAdvance(row.words)
        if len(row.words) <= _LONG:
            return whole, self._line()
        room = QRectF(0, 0, max(whole * 0.55, metrics.averageCharWidth() * _LONG), 1000)
        box = metrics.boundingRect(room, Qt.TextFlag.TextWordWrap, row.words)
        return box.width() + 2, box.height() + 5

    def _lengths(self) -> list[float]:
        return [self._line() + sum(self._box(row)[1] for row in rows) + _GAP for rows in self.groups.values()]

    def _height(self) -> float:
        lengths = self._lengths()
        tallest = max((sum(lengths[k] for k in column) for column in self._columns), default=0.0)
        return tallest + self._line() + 2 * _MARGIN - _GAP

    def _caps(self, row: Row) -> list[float]:
        """How wide the keys of a line are."""
        metrics = QFontMetricsF(self._bold())
        return [max(metrics.horizontalAdvance(native(key)) + 10, self._line() - 4) for key in row.keys]

    def _widths(self, name: str) -> tuple[float, float]:
        """Of the keys and of the words of a group."""
        rows = self.groups[name]
        caps = max(sum(self._caps(row)) + 4 * len(row.keys) for row in rows)
        return caps + 8, max(self._box(row)[0] for row in rows)

    def _width(self, column: Sequence[int]) -> float:
        names = list(self.groups)
        return max((sum(self._widths(names[k])) for k in column), default=0.0)

    def _across(self, columns: list[list[int]]) -> float:
        return sum(map(self._width, columns)) + _COLUMN_GAP * (len(columns) - 1) + 2 * _MARGIN

    def _fitting(self, width: int) -> list[list[int]]:
        """As many columns as there is room for."""
        lengths = self._lengths()
        splits = (in_columns(lengths, count) for count in range(len(lengths), 1, -1))
        return next((found for found in splits if self._across(found) <= width), in_columns(lengths, 1))

    def paintEvent(self, event: Any) -> None:
        names, widths = list(self.groups), [self._width(column) for column in self._columns]
        free = max(0.0, self.width() - self._across(self._columns))
        gap = _COLUMN_GAP + free / (len(widths) + 1)
        x = _MARGIN + gap - _COLUMN_GAP
        painter = QPainter(self)  # from here on nothing may fail: Qt does not survive a painter that was left open
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._head(painter, x)
        for column, width in zip(self._columns, widths, strict=True):
            y = _MARGIN + self._line() + _GAP / 2
            for number in column:
                y = self._group(painter, QPointF(x, y), names[number])
            x += width + gap
        painter.end()

    def _head(self, painter: QPainter, left: float) -> None:
        line = QRectF(left, _MARGIN - 6, self.width() - left - _MARGIN, self._line())
        painter.setFont(self._bold())
        painter.setPen(self._colours["text"])
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, _TITLE)
        painter.setFont(self._font)
        painter.setPen(self._colours["quiet"])
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, _HINT)

    def _group(self, painter: QPainter, at: QPointF, name: str) -> float:
        """Paint a group; returns where the next one begins."""
        step, caps = self._line(), self._widths(name)[0]
        line = QRectF(at.x(), at.y(), self.width() - at.x(), step)
        painter.setFont(self._bold())
        painter.setPen(self._colours["quiet"])
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, name)
        for row in self.groups[name]:
            width, height = self._box(row)
            line = QRectF(at.x(), line.bottom(), caps + width, height)
            x = line.left()
            for key, wide in zip(row.keys, self._caps(row), strict=True):
                cap = QRectF(x, line.top() + 2, wide, step - 4)
                painter.setFont(self._bold())
                painter.setPen(QPen(self._colours["quiet"], 1))
                painter.setBrush(self._colours["cap"])
                painter.drawRoundedRect(cap, 3, 3)
                painter.setPen(self._colours["text"])
                painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, native(key))
                x += wide + 4
            painter.setFont(self._font)
            flags = Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(line.adjusted(caps, 0, 2, 0), flags, row.words)
        return line.bottom() + _GAP


class KeysSheet(QWidget):
    """Over the canvas of a viewer. ``asked``: it is about to be shown; whoever knows the keys renders them now."""

    asked = Signal()

    def __init__(self, viewer: Any, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._viewer = viewer
        self._keys: tuple[Key, ...] = ()
        self._background = QColor()
        self.page = Page()
        self.scroll = QScrollArea()
        self.scroll.setWidget(self.page)
        self.scroll.setStyleSheet("QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; border: 0 }")
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroll)
        for part in (self.scroll, self.page):
            part.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Shortcuts")
        self.hide()
        canvas.installEventFilter(self)
        self.shortcut = QShortcut(QKeySequence(KEY), canvas)
        self.shortcut.activated.connect(self.toggle)
        self.destroyed.connect(self.shortcut.deleteLater)
        viewer.events.theme.connect(self._fit)
        self.destroyed.connect(lambda: viewer.events.theme.disconnect(self._fit))

    def render(self, keys: Iterable[Key]) -> None:
        """What is shown from now on."""
        self._keys = tuple(keys)
        self._fit()

    def toggle(self) -> None:
        if self.isVisible():
            self.close_it()
            return
        self.asked.emit()
        self.setGeometry(self.parentWidget().rect())
        self.raise_()
        self.show()
        self._fit()
        self.scroll.verticalScrollBar().setValue(0)
        self.setFocus()

    def close_it(self) -> None:
        self.hide()
        self.parentWidget().setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
            self._fit()
        return False

    def mousePressEvent(self, event: Any) -> None:
        self.close_it()

    def keyPressEvent(self, event: Any) -> None:
        bar = self.scroll.verticalScrollBar()
        if event.key() == Qt.Key.Key_Escape:
            self.close_it()
        elif event.key() in _SCROLLING and bar.maximum() > 0:
            bar.setValue(bar.value() + round(_SCROLLING[event.key()] * self.height()))
        elif event.key() in _MODIFIERS:
            event.ignore()
        else:
            self.close_it()
            event.ignore()  # the canvas gets it

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), self._background)
        painter.end()

    def _fit(self, event: Any = None) -> None:
        if not self.isVisible():
            return
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        names = {"text": "text", "cap": "foreground"}
        colours = {role: QColor(getattr(theme, name).as_hex("long")) for role, name in names.items()}
        colours["quiet"] = QColor("#b9bcc2" if theme.type == "dark" else "#4c4d52")  # as in ``theme``
        self._background = QColor(theme.background.as_hex("long"))
        self._background.setAlphaF(_OPACITY)
        self.page.render(grouped(self._keys), colours, self.scroll.viewport().size())
        self.update()
