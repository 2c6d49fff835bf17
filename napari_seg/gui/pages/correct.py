"""Page 2: repair a mask by hand. It draws what the hands hold and passes clicks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.ruler import MEASURES, Measure
from napari_seg.editing.said import NUMBERS
from napari_seg.editing.tools import Tool
from napari_seg.errors import SegError
from napari_seg.gui.class_list import ClassList
from napari_seg.gui.controller import Controller
from napari_seg.gui.history import HistoryDialog
from napari_seg.gui.icons import icon
from napari_seg.gui.layers import WHY
from napari_seg.gui.numbers_row import NumbersRow
from napari_seg.gui.parts import scrolled, text
from napari_seg.gui.range_row import intensities_of
from napari_seg.gui.save_as import ask_for_mask
from napari_seg.gui.state import Segment
from napari_seg.gui.tool_card import ToolCard
from napari_seg.gui.tool_grid import ToolGrid, tool_button
from napari_seg.gui.track import Track
from napari_seg.gui.views import text_colour

GROUPS = {"regions": "Paint", "objects": "Objects", "slices": "Slices", "model": "From the model"}

_BETWEEN = {"finish slice", "interpolate", "copy to next", "repeat"}
"""Tools that a picture of one slice has no use for."""


class CorrectPage(QWidget):
    """The title is what the tab says. The tool in hand stands below what scrolls, so that it is always in sight."""

    title = "Correct"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._hands = controller.hands
        self._classes = controller.classes
        scroll = QScrollArea()
        self.nothing = text()
        self.begin = QPushButton("Begin an empty mask of objects")
        self.begin.setToolTip("Add an empty mask on the image: each number is an object, such as a cell")
        self.begin.clicked.connect(lambda: controller.begin_mask())
        self.begin_classes = QPushButton("Begin an empty mask of classes")
        self.begin_classes.setToolTip("Add an empty mask on the image: each number is a class, such as an organ")
        self.begin_classes.clicked.connect(lambda: controller.begin_mask(objects=False))
        self.work = QWidget()
        layout = scrolled(scroll)
        layout.addWidget(self.nothing)
        layout.addWidget(self.begin)
        layout.addWidget(self.begin_classes)
        layout.addWidget(self.work)
        layout.addStretch(1)
        self.card = ToolCard()
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(4)
        page.addWidget(scroll, 1)
        page.addWidget(self.card)
        self._build()
        self._hands.changed.connect(self.render)
        controller.recorder.changed.connect(self.render)
        controller.changed.connect(self._say_nothing)
        self._say_nothing(controller.state)
        controller.classes.changed.connect(self.render)
        controller.viewer.layers.selection.events.active.connect(self.render)
        controller.viewer.events.theme.connect(self._dress)
        self._dress()
        self.render()

    def _build(self) -> None:
        self.mask = QElidingLabel()
        self.mask.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.mask.setEllipsesWidth(20)  # the margins too
        self.mask.setObjectName("headline")
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.setToolTip("Take the last step back (Ctrl+Z), without limit, also after closing the program")
        self.redo.setToolTip("Do it again (Ctrl+Shift+Z)")
        self.history = QPushButton("History...")
        self.history.setToolTip("All steps with time and tool; each can be looked at and brought back")
        self.history.clicked.connect(self._open_history)
        self._dialog: HistoryDialog | None = None
        self.save = QPushButton("Save mask...")
        self.save.setToolTip("Write this mask as a file, with a record of where it comes from")
        self.save.clicked.connect(self._save)
        self.undo.clicked.connect(lambda: self._step(self._controller.recorder.undo))
        self.redo.clicked.connect(lambda: self._step(self._controller.recorder.redo))
        self.numbers = NumbersRow()
        self.numbers.chosen.connect(self._mean)
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
        self.grids: dict[str, ToolGrid] = {}
        self.classes = ClassList()
        self._listen()
        self.card.form.changed.connect(self._set)
        self.card.apply.clicked.connect(self._apply)
        self.card.range.changed.connect(self._set_range)
        self.card.range.from_label.clicked.connect(self._hands.range_of_label)
        self.card.range.anew.clicked.connect(lambda: self._set_range(None, None))
        layout = QVBoxLayout(self.work)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        steps = QHBoxLayout()
        for button in (self.undo, self.redo, self.history, self.save):
            steps.addWidget(button)
        paint = QHBoxLayout()
        paint.addWidget(QLabel("Label"))
        for widget in (self.colour, self.label, self.fresh, self.lock):
            paint.addWidget(widget, 1 if widget is self.label else 0)
        layout.addWidget(self.mask)
        layout.addLayout(steps)
        layout.addWidget(self.numbers)
        layout.addLayout(paint)
        layout.addWidget(self.classes)
        for group, name in GROUPS.items():
            self._add_tools(layout, name, [tool for tool in TOOLS.values() if tool.group == group])
        self._add_tools(layout, "Measure", list(MEASURES.values()))

    def _add_tools(self, layout: QVBoxLayout, name: str, tools: Sequence[Tool | Measure]) -> None:
        buttons = {tool.name: tool_button(tool, self._hands.pick) for tool in tools}
        self.buttons |= buttons
        layout.addWidget(text(name, "quiet"))
        self.grids[name] = ToolGrid(list(buttons.values()))
        layout.addWidget(self.grids[name])

    def render(self, event: Any = None) -> None:
        """Draw what is there now."""
        track, hands = self._hands.track, self._hands
        self.nothing.setVisible(track is None)
        self.begin.setVisible(track is None)
        self.begin_classes.setVisible(track is None)
        self.work.setVisible(track is not None)
        self.card.setVisible(track is not None)
        if track is None:
            return
        layer = track.layer
        self.mask.ensurePolished()  # else it is shortened as if its letters were smaller
        self.mask.setText(layer.name)
        self.mask.setToolTip(layer.name)
        self.undo.setEnabled(self._controller.recorder.safe.steps > 0)
        self.redo.setEnabled(self._controller.recorder.may_redo(track))
        for name, button in self.buttons.items():
            button.setChecked(hands.tool is not None and hands.tool.name == name)
        label = int(layer.selected_label)
        with QSignalBlocker(self.label):
            self.label.setValue(label)
        colour = layer.get_color(label)
        parts = (0, 0, 0, 0) if colour is None else tuple(round(255 * float(part)) for part in colour)
        style = "background-color: rgba({}, {}, {}, {}); border: 1px solid gray".format(*parts)
        if self.colour.styleSheet() != style:  # Qt takes a millisecond to find that it is the same
            self.colour.setStyleSheet(style)
        self.lock.setChecked(self._controller.recorder.is_locked(track, label))
        self.lock.setText("Locked" if self.lock.isChecked() else "Lock")
        objects = self._controller.recorder.counts_objects(track)
        self.fresh.setVisible(objects)
        said = NUMBERS in self._controller.recorder.rows(track)
        self.numbers.render(objects, "" if said else layer.metadata.get(WHY, ""))
        self._render_classes(track)
        flat = len(track.row.grid) == 2
        named = [name for name, tool in TOOLS.items() if tool.group == "slices" and not (flat and name in _BETWEEN)]
        self.grids["Slices"].show_only([TOOLS[name].title for name in named])
        tool = hands.tool or hands.acted
        options = hands.options.get(tool.name) if tool else None
        without = {"reach"} if flat else set()
        without |= set() if self._controller.recorder.counts_objects(track) else {"apart"}
        self.card.render(tool, hands.tool is not None, options, track.row.unit, without)
        self.card.range.render(options, intensities_of(track.image), label)
        self.card.say(hands.words)

    def _say_nothing(self, state: Segment) -> None:
        """What can be done where there is no mask."""
        for button in (self.begin, self.begin_classes):
            button.setEnabled(bool(state.images))
        there_is = "There is no mask yet: press Segment on the first page, open a mask, or begin an empty one."
        self.nothing.setText(there_is if state.images else "Open an image first, on page Segment.")

    def _dress(self, event: Any = None) -> None:
        """Icons in the colour of the theme's text."""
        colour = text_colour(self._controller.viewer.theme)
        for name, button in self.buttons.items():
            button.setIcon(icon(name, colour))
        self.classes.dress(colour)

    def _listen(self) -> None:
        """What a click in the list of classes does."""
        rows, known = self.classes, self._classes
        rows.taken.connect(self._take_class)
        rows.asked_for_new.connect(lambda: self._on_classes(lambda track: self._take_class(known.add(track))))
        rows.renamed.connect(lambda k, name: self._on_classes(lambda track: known.rename(track, k, name), rows.of))
        rows.locked.connect(lambda k, on: self._on_classes(lambda track: known.lock(track, k, on)))
        rows.shown.connect(lambda k, on: self._on_classes(lambda track: known.show(track, k, on)))
        rows.coloured.connect(lambda k, colour: self._on_classes(lambda track: known.colour(track, k, colour)))
        rows.unlocked_all.connect(lambda: self._on_classes(known.unlock_all))
        rows.alone.connect(lambda on: self._on_classes(lambda track: setattr(track.layer, "show_selected_label", on)))
        rows.shown_locked.connect(lambda: self._controller.reviewing.list_rows("locked:yes"))

    def _on_classes(self, do: Callable[[Track], None], of: Track | None = None) -> None:
        """Do something with the classes of the mask in hand, or of the one that is given, or say why that cannot be."""
        track = of or self._hands.track
        if track is None or self._controller.recorder.track(track.layer) is not track:
            return
        try:
            do(track)
        except SegError as error:
            self.render()
            self.card.say(str(error))
        else:
            self.render()

    def _mean(self, objects: bool) -> None:
        self._on_classes(lambda track: self._controller.recorder.mean(track, objects=objects))

    def _take_class(self, number: int) -> None:
        """The class that is painted with; in a mask of objects the one that objects are given."""
        track = self._hands.track
        if track is not None and self._controller.recorder.counts_objects(track):
            self._hands.set_option("change class", category=number)
        else:
            self._chose_label(number)
            self.render()

    def _render_classes(self, track: Track) -> None:
        objects = self._controller.recorder.counts_objects(track)
        category = getattr(self._hands.options["change class"], "category", 1)
        self.classes.render(
            self._classes.rows(track),
            in_hand=category if objects else int(track.layer.selected_label),
            objects=objects,
            locked=self._classes.locked_objects(track),
            alone=bool(track.layer.show_selected_label),
            of=track,
        )

    def _apply(self) -> None:
        if self._hands.acted is not None:
            self._hands.act(self._hands.acted.name, from_panel=True)

    def _set(self, name: str, value: Any) -> None:
        tool = self._hands.tool or self._hands.acted
        if tool is None:
            return
        try:
            self._hands.set_option(tool.name, **{name: value})
        except SegError as error:
            self.card.say(str(error))

    def _set_range(self, low: float | None, high: float | None) -> None:
        if self._hands.tool is not None:
            self._hands.set_option(self._hands.tool.name, low=low, high=high)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self.render()  # the label in hand may be another one
        self._controller.hover.idle = True

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self._controller.hover.idle = False
        self._controller.hover.forget()

    def _open_history(self) -> None:
        track = self._hands.track
        if track is not None:
            if self._dialog is None:
                self._dialog = HistoryDialog(self._controller.viewer, self._controller.recorder, self.window())
            self._dialog.show_for(track.layer)

    def _save(self) -> None:
        track = self._hands.track
        path = None if track is None else ask_for_mask(self, self._controller.proposed_path_of(track))
        if path is not None and track is not None and self._controller.recorder.track(track.layer) is track:
            self._controller.save_one(track, path)

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
            self._controller.recorder.take_new(track)
            self.render()

    def _lock(self) -> None:
        track = self._hands.track
        if track is not None:
            self._controller.recorder.lock(track, int(track.layer.selected_label), self.lock.isChecked())
            self.render()
