"""Page 2: repair a mask by hand. It draws what the hands hold and passes clicks on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.ruler import MEASURES, Measure
from napari_seg.editing.tools import Tool
from napari_seg.errors import SegError
from napari_seg.gui.controller import Controller
from napari_seg.gui.history import HistoryDialog
from napari_seg.gui.icons import icon
from napari_seg.gui.parts import text
from napari_seg.gui.specform import SpecForm
from napari_seg.gui.views import text_colour

GROUPS = {"regions": "Paint", "objects": "Objects", "slices": "Slices", "model": "From the model"}

WORDS = {
    "mode": "Paints",
    "low": "From intensity",
    "high": "To intensity",
    "reach": "In the",
    "radius": "Radius",
    "smooth": "Smoothing",
}
"""Settings of tools in words; others are named as they are."""

_COLUMNS = 6


class CorrectPage(QScrollArea):
    """The title is what the tab says."""

    title = "Correct"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._hands = controller.hands
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.nothing = text(
            "There is no mask yet: press Segment on the first page, open a mask, or begin an empty one."
        )
        self.begin = QPushButton("Begin an empty mask")
        self.begin.setToolTip("Add an empty mask on the selected image")
        self.begin.clicked.connect(controller.begin_mask)
        self.work = QWidget()
        sheet = QWidget()
        layout = QVBoxLayout(sheet)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.nothing)
        layout.addWidget(self.begin)
        layout.addWidget(self.work)
        layout.addStretch(1)
        self.setWidget(sheet)
        self._build()
        self._hands.changed.connect(self.render)
        controller.recorder.changed.connect(self.render)
        controller.viewer.layers.selection.events.active.connect(self.render)
        controller.viewer.events.theme.connect(self._dress)
        self._dress()
        self.render()

    def _build(self) -> None:
        self.mask = text(name="headline")
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.setToolTip("Take the last step back (Ctrl+Z), without limit, also after closing the program")
        self.redo.setToolTip("Do it again (Ctrl+Shift+Z)")
        self.history = QPushButton("History...")
        self.history.setToolTip("All steps with time and tool; each can be looked at and brought back")
        self.history.clicked.connect(self._open_history)
        self._dialog: HistoryDialog | None = None
        self.undo.clicked.connect(lambda: self._step(self._controller.recorder.undo))
        self.redo.clicked.connect(lambda: self._step(self._controller.recorder.redo))
        self.label = QSpinBox()
        self.label.setRange(0, 2**31 - 1)
        self.label.setAccessibleName("Label to paint with")
        self.label.setToolTip("The number that is painted; 0 erases")
        self.label.valueChanged.connect(self._chose_label)
        self.colour = QLabel()
        self.colour.setFixedSize(22, 22)
        self.fresh = QPushButton("New")
        self.fresh.setToolTip("Paint with a number that is not used yet (M)")
        self.fresh.clicked.connect(self._new_label)
        self.lock = QPushButton("Lock")
        self.lock.setCheckable(True)
        self.lock.setToolTip("A locked object neither gains nor loses a voxel")
        self.lock.clicked.connect(self._lock)
        self.buttons: dict[str, QToolButton] = {}
        self.card = ToolCard()
        self.card.form.changed.connect(self._set)
        layout = QVBoxLayout(self.work)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        steps = QHBoxLayout()
        for button in (self.undo, self.redo, self.history):
            steps.addWidget(button)
        paint = QHBoxLayout()
        paint.addWidget(QLabel("Label"))
        for widget in (self.colour, self.label, self.fresh, self.lock):
            paint.addWidget(widget, 1 if widget is self.label else 0)
        layout.addWidget(self.mask)
        layout.addLayout(steps)
        layout.addLayout(paint)
        groups: dict[str, Sequence[Tool | Measure]] = {
            name: [tool for tool in TOOLS.values() if tool.group == group] for group, name in GROUPS.items()
        }
        for name, tools in {**groups, "Measure": list(MEASURES.values())}.items():
            layout.addWidget(QLabel(name))
            layout.addLayout(self._grid(tools))
        layout.addWidget(self.card)

    def _grid(self, tools: Sequence[Tool | Measure]) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(3)
        for number, tool in enumerate(tools):
            button = QToolButton()
            button.setCheckable(tool.kind != "action")
            button.setAccessibleName(tool.title)
            key = f"  ({tool.key})" if tool.key else ""
            button.setToolTip(f"{tool.title}{key}\n{tool.tip}")
            button.setMinimumSize(34, 34)
            button.clicked.connect(lambda _=False, name=tool.name: self._hands.take(name))
            grid.addWidget(button, *divmod(number, _COLUMNS))
            self.buttons[tool.name] = button
        grid.setColumnStretch(_COLUMNS, 1)
        return grid

    def render(self, event: Any = None) -> None:
        """Draw what is there now."""
        track, hands = self._hands.track, self._hands
        self.nothing.setVisible(track is None)
        self.begin.setVisible(track is None)
        self.work.setVisible(track is not None)
        if track is None:
            return
        layer = track.layer
        self.mask.setText(layer.name)
        self.undo.setEnabled(self._controller.recorder.safe.steps > 0)
        for name, button in self.buttons.items():
            button.setChecked(hands.tool is not None and hands.tool.name == name)
        label = int(layer.selected_label)
        self.label.blockSignals(True)
        self.label.setValue(label)
        self.label.blockSignals(False)
        colour = layer.get_color(label)
        parts = (0, 0, 0, 0) if colour is None else tuple(round(255 * float(part)) for part in colour)
        self.colour.setStyleSheet("background-color: rgba({}, {}, {}, {}); border: 1px solid gray".format(*parts))
        self.lock.setChecked(self._controller.recorder.is_locked(track, label))
        self.lock.setText("Locked" if self.lock.isChecked() else "Lock")
        options = hands.options.get(hands.tool.name) if hands.tool else None
        self.card.render(hands.tool, options, track.row.unit, {"reach"} if len(track.row.grid) == 2 else set())
        self.card.say(hands.said)

    def _dress(self, event: Any = None) -> None:
        """Icons in the colour of the theme's text."""
        colour = text_colour(self._controller.viewer.theme)
        for name, button in self.buttons.items():
            button.setIcon(icon(name, colour))

    def _set(self, name: str, value: Any) -> None:
        if self._hands.tool is None:
            return
        try:
            self._hands.set_option(self._hands.tool.name, **{name: value})
        except SegError as error:
            self.card.say(str(error))

    def _open_history(self) -> None:
        track = self._hands.track
        if track is not None:
            if self._dialog is None:
                self._dialog = HistoryDialog(self._controller.viewer, self._controller.recorder, self.window())
            self._dialog.show_for(track.layer)

    def _step(self, step: Any) -> None:
        track = self._hands.track
        if track is not None:
            step(track.layer)

    def _chose_label(self, value: int) -> None:
        track = self._hands.track
        if track is not None:
            track.make_room(value)
            track.layer.selected_label = value

    def _new_label(self) -> None:
        track = self._hands.track
        if track is not None:
            self._chose_label(self._controller.recorder.annotation(track).following)
            self.render()

    def _lock(self) -> None:
        track = self._hands.track
        if track is not None:
            self._controller.recorder.lock(track, int(track.layer.selected_label), self.lock.isChecked())
            self.render()


class ToolCard(QFrame):
    """The tool in hand: what it does, its settings, and what went wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.title, self.tip, self.trouble = text(name="headline"), text(), text(name="trouble")
        self.form = SpecForm()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        for widget in (self.title, self.tip, self.form, self.trouble):
            layout.addWidget(widget)

    def render(self, tool: Tool | Measure | None, options: Any, unit: str, without: set[str]) -> None:
        self.title.setVisible(tool is not None)
        self.form.setVisible(tool is not None)
        if tool is None:
            self.tip.setText("Choose a tool or press its key; press ? over the image for all keys.")
        else:
            self.title.setText(f"{tool.title}  ({tool.key})" if tool.key else tool.title)
            self.tip.setText(tool.tip)
        self.form.render(options, WORDS, {"um": "µm", "pixel": "px"}.get(unit, unit), without)

    def say(self, words: str) -> None:
        self.trouble.setText(words)
        self.trouble.setVisible(bool(words))
