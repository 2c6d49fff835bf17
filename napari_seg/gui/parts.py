"""Small widgets that the pages are put together from. Each shows what it is given and knows nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLayout,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_seg.gui.state import Finding, Thresholds
from napari_seg.gui.words import breakable

_WORDS = {"note": "Note", "warning": "Check", "refusal": "Cannot run"}


class Text(QLabel):
    """A label that asks for the height its text needs at its width, and not at some narrower one."""

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.fontMetrics().height())


def text(words: str = "", name: str = "") -> QLabel:
    """A label whose text wraps and can be selected; ``name`` dresses it (see ``theme``)."""
    label = Text(words)
    label.setObjectName(name)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def dress(widget: QWidget, name: str) -> None:
    """Give a widget the looks of a name (see ``theme``), also after it was shown."""
    if widget.objectName() != name:
        widget.setObjectName(name)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def info_button(what: str) -> QToolButton:
    button = QToolButton()
    button.setText("i")
    button.setAccessibleName(what)
    button.setToolTip(what)
    return button


def row(*widgets: QWidget, title: str = "") -> QHBoxLayout:
    """Side by side, with a title before them; the first widget takes the room there is."""
    layout = QHBoxLayout()
    layout.setSpacing(6)
    if title:
        layout.addWidget(QLabel(title))
    for k, widget in enumerate(widgets):
        layout.addWidget(widget, 0 if k else 1)
    return layout


def scrolled(area: QScrollArea) -> QVBoxLayout:
    """The layout of a new sheet that an area scrolls up and down alone."""
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    sheet = QWidget()
    layout = QVBoxLayout(sheet)
    layout.setContentsMargins(6, 6, 6, 6)
    area.setWidget(sheet)
    return layout


def empty(layout: QLayout) -> None:
    """Take away all widgets that lie in a layout."""
    while (item := layout.takeAt(0)) is not None:
        item.widget().hide()
        item.widget().deleteLater()


def combo(name: str) -> QComboBox:
    """A list to choose from that is no wider than there is room."""
    made = QComboBox()
    made.setAccessibleName(name)
    made.setToolTip(name)
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    made.setMinimumContentsLength(6)
    return made


def fill(combo: QComboBox, items: list[tuple[str, str]], chosen: str) -> None:
    """Put ``(key, title)`` into a list, unless they are there already, and choose a key."""
    if [(combo.itemData(k), combo.itemText(k)) for k in range(combo.count())] != items:
        combo.clear()
        for key, title in items:
            combo.addItem(title, key)
    combo.setCurrentIndex(combo.findData(chosen))
    combo.setToolTip(f"{combo.accessibleName()}: {combo.currentText()}")  # the whole name, where it is cut off


def say(label: QLabel, words: str) -> None:
    """Show words; without any the label takes no room."""
    label.setText(words)
    label.setVisible(bool(words))


_AIR = 12
"""Pixels above and below the words of a row together, where all are of one height."""


class PlainTable(QTableWidget):
    """Rows to be read, and to be chosen: the first column takes what room there is. ``wraps``: rows are as high as
    their words need, which takes long where there are hundreds; else all are of one height."""

    def __init__(self, name: str, *, wraps: bool = True) -> None:
        super().__init__(0, 0)
        self.setWordWrap(wraps)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + _AIR)
        self.setAccessibleName(name)
        self.setObjectName("plain")
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setResizeContentsPrecision(30)

    def head(self, headings: Sequence[str]) -> None:
        self.setColumnCount(len(headings))
        self.setHorizontalHeaderLabels(list(headings))
        header = self.horizontalHeader()
        for column in range(len(headings)):
            way = QHeaderView.ResizeMode.ResizeToContents if column else QHeaderView.ResizeMode.Stretch
            header.setSectionResizeMode(column, way)

    def show_rows(self, rows: Sequence[Sequence[str]], tips: Sequence[str] = (), words: int = 1) -> None:
        """Fill it. ``tips``: of each row; ``words``: so many of the first columns hold words, the others figures."""
        self.setRowCount(0)  # else the columns are fitted to all rows once for each cell
        self.setRowCount(len(rows))
        for line, cells in enumerate(rows):
            for column, cell in enumerate(cells):
                item = QTableWidgetItem(cell)
                item.setToolTip(tips[line] if tips else cell)
                if column >= words:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(line, column, item)
        if self.wordWrap():
            self.resizeRowsToContents()
            for line in range(len(rows)):
                self.setRowHeight(line, self.rowHeight(line) + 6)

    def be_as_high_as(self, rows: int) -> None:
        """Take the height of so many of the first rows, and no more."""
        lines = sum(self.rowHeight(line) for line in range(min(rows, self.rowCount())))
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + lines + 2 * self.frameWidth())


_BESIDE = 14
"""Pixels beside the title of a fold."""


class Fold(QWidget):
    """A title, cut off where it is long, that shows and hides what lies below it. Its content is as high as it needs to
    be, at any width."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.button = QPushButton()
        self.button.setCheckable(True)
        self.button.setObjectName("fold")
        self.button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.content = QWidget()
        self.rows = QVBoxLayout(self.content)
        self.rows.setContentsMargins(4, 0, 0, 0)
        self.rows.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.button)
        layout.addWidget(self.content)
        self.button.toggled.connect(self.unfold)
        self.unfold(False)

    def unfold(self, shown: bool) -> None:
        self.button.setChecked(shown)
        self.content.setVisible(shown)
        self.rename(self._title)

    def rename(self, title: str) -> None:
        self._title = title
        whole = f"{'▾' if self.button.isChecked() else '▸'} {title}"
        shown = self.button.fontMetrics().elidedText(whole, Qt.TextElideMode.ElideRight, self.width() - _BESIDE)
        self.button.setText(shown)
        self.button.setToolTip("" if shown == whole else title)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self.rename(self._title)


class Findings(QWidget):
    """What to know before a run: a word, a colour at the edge, a sentence, and a button for each cure.

    ``cured`` carries the ``Cure`` whose button was pressed.
    """

    cured = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Finding, ...] = ()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)

    def render(self, findings: tuple[Finding, ...]) -> None:
        if findings == self._shown:
            return
        self._shown = findings
        empty(self._layout)
        for finding in findings:
            self._layout.addWidget(self._notice(finding))
        self.setVisible(bool(findings))

    def _notice(self, finding: Finding) -> QFrame:
        frame = QFrame()
        frame.setObjectName("card")
        frame.setProperty("level", finding.level)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(8, 4, 6, 4)
        shown = breakable(finding.text)
        words = text(f"{_WORDS[finding.level]}: {shown}")
        words.setToolTip("" if shown == finding.text else finding.text)
        layout.addWidget(words)
        for cure in finding.cures:
            button = QPushButton(cure.words)
            button.clicked.connect(lambda _=False, chosen=cure: self.cured.emit(chosen))
            layout.addWidget(button)
        return frame


class Preview(QLabel):
    """A picture in 0..1 that keeps its proportions."""

    def __init__(self) -> None:
        super().__init__()
        self._picture: Any = None
        self._pixmap = QPixmap()
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("What the model will see")
        self.setToolTip("What the model will see: the middle of the image, its size and brightness adjusted.")

    def sizeHint(self) -> QSize:
        return QSize(200, 150)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()  # and not the size of the picture, which would let it grow

    def render_picture(self, picture: Any) -> None:
        if picture is self._picture:
            return
        self._picture = picture
        self.setVisible(picture is not None)
        if picture is None:
            return
        values = np.ascontiguousarray(np.nan_to_num(picture) * 255).astype(np.uint8)
        rows, columns = values.shape[:2]
        form = QImage.Format.Format_RGB888 if values.ndim == 3 else QImage.Format.Format_Grayscale8
        image = QImage(values.tobytes(), columns, rows, values.strides[0], form)
        self._pixmap = QPixmap.fromImage(image)
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._pixmap.isNull():
            way = Qt.AspectRatioMode.KeepAspectRatio
            self.setPixmap(self._pixmap.scaled(self.size(), way, Qt.TransformationMode.SmoothTransformation))


class ThresholdSliders(QWidget):
    """The thresholds of the last run; ``changed`` carries the new ones while a slider moves."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        form = QFormLayout(self)
        form.setContentsMargins(0, 4, 0, 0)
        self.edge = _slider("Outline", "Lower: objects grow. Higher: only what the model is sure of.", 0.05, 0.95)
        self.seeds = _slider("Splitting", "Lower splits more, higher splits less.", 0.5, 10)
        self.smallest = _slider("Smallest", "Objects of fewer pixels are left out.", 0, 500)
        self.smallest.setDecimals(0)
        for title, slider in (("Outline", self.edge), ("Splitting", self.seeds), ("Smallest, px", self.smallest)):
            form.addRow(title, slider)
            slider.valueChanged.connect(self._moved)

    def render(self, thresholds: Thresholds | None) -> None:
        self.setVisible(thresholds is not None)
        if thresholds is None:
            return
        values = (thresholds.threshold, thresholds.seeds, thresholds.smallest)
        for slider, value in zip((self.edge, self.seeds, self.smallest), values, strict=True):
            with QSignalBlocker(slider):
                slider.setValue(value or 0)

    def _moved(self) -> None:
        self.changed.emit(Thresholds(self.edge.value(), self.seeds.value(), self.smallest.value()))


def _slider(name: str, tip: str, low: float, high: float) -> QLabeledDoubleSlider:
    slider = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setAccessibleName(name)
    slider.setToolTip(tip)
    return slider
