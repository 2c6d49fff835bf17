"""Compare a mask with a reference: the choice of it, the figures, and the list of what differs, a click away each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_seg.errors import SegError
from napari_seg.evaluation.comparison import Comparison
from napari_seg.evaluation.differences import EXTRA, MISSED, OTHER, Difference
from napari_seg.evaluation.evaluate import InstanceReport
from napari_seg.gui.against import COLOURS, Against
from napari_seg.gui.boxes import RunningBox
from napari_seg.gui.family import Wires
from napari_seg.gui.parts import PlainTable, combo, fill, row, say, text
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.save_as import ask_for_csv, save_csv
from napari_seg.gui.theme import follow_theme
from napari_seg.gui.track import Track
from napari_seg.gui.words import measured
from napari_seg.wording import count_of

_NONE = (
    "Open the reference beside this mask first: drop its file onto the view, and say that it is labels. Its numbers "
    "have to mean the same classes."
)
_READY = "You get figures of how alike the two are, and a list of where they differ. Neither is changed."

_LEGEND = ((MISSED, "only in the reference"), (EXTRA, "only in the mask"), (OTHER, "in both, not alike"))

_TIPS = {
    "Dice": "Overlap of both: 1 is equal, 0 is nothing in common",
    "Jaccard": "What both share over what either covers: 1 is equal",
    "HD95": "How far the outlines lie apart where they do most, without the worst 5 per cent",
    "ASSD": "How far the outlines lie apart on average",
    "AP 0.5": "Right objects over all objects of both; an object is right if it shares half with its partner (IoU 0.5)",
    "AP 0.5-0.9": "The same, on average over ever stricter ideas of what is right",
    "Precision": "The share of the objects of the mask that are right",
    "Recall": "The share of the objects of the reference that were found",
    "F1": "Precision and recall in one number",
    "PQ": "Panoptic quality: F1, less where the outlines of right objects agree badly",
}


_LINES = 6
"""Rows of figures that are seen at once."""


class AgainstDialog(QDialog):
    """Stands beside the window while a person works on; :meth:`show_for` says which mask it is about."""

    def __init__(self, viewer: Any, recorder: Recorder, against: Against, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModal(False)
        self.setWindowTitle("Compare with a reference")
        self._recorder, self._against = recorder, against
        self._track: Track | None = None
        self._shown: Comparison | None = None
        self._build()
        self._wires = Wires()
        layers = viewer.layers.events
        for emitter in (against.changed, recorder.changed, layers.inserted, layers.removed, layers.renamed):
            self._wires.join(emitter, self.render)
        self.destroyed.connect(self._wires.cut)
        follow_theme(self, viewer)

    def _build(self) -> None:
        self.headline, self.words, self.notes = text(name="headline"), text(), text(name="quiet")
        self.reference, self.beside = combo("Reference"), QWidget()
        across = QFormLayout(self.beside)
        across.setContentsMargins(4, 0, 0, 0)
        across.addRow("Reference", self.reference)
        self.compare, self.running = QPushButton("Compare"), RunningBox()
        self.compare.setObjectName("main")
        self.figures, self.list = (
            PlainTable("How alike mask and reference are"),
            PlainTable("Where they differ", wraps=False),
        )
        self.count, self.legend = text(), text(name="quiet")
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setText(" &nbsp; ".join(f'<font color="{COLOURS[k]}">■</font> {words}' for k, words in _LEGEND))
        self.save, self.leave = QPushButton("Save as CSV..."), QPushButton("Close")
        self.save.setToolTip("Two tables: the figures, and beside them what differs")
        for button in (self.compare, self.save, self.leave):
            button.setAutoDefault(False)
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        for part in (
            self.headline,
            self.beside,
            self.compare,
            self.running,
            self.words,
            self.figures,
            self.notes,
            self.legend,
            self.count,
        ):
            layout.addWidget(part)
        layout.addWidget(self.list, 1)
        layout.addStretch()  # the empty dialog stands at the top
        layout.addLayout(row(self.save, self.leave))
        self.resize(460, 620)
        self.reference.activated.connect(self.render)
        self.compare.clicked.connect(self._compare)
        self.running.cancel.clicked.connect(self._against.end)
        self.list.itemSelectionChanged.connect(self._go)
        self.list.itemClicked.connect(self._go)
        self.save.clicked.connect(self._ask_where)
        self.leave.clicked.connect(self.close)

    def show_for(self, layer: Any) -> None:
        """Compare this mask."""
        self._track = self._recorder.track(layer)
        if self._against.track is not self._track:
            self._against.end()
        self.render()
        self.show()
        self.raise_()
        self.reference.setFocus()

    def reject(self) -> None:
        """Escape, and whatever else closes it."""
        self._against.end()
        super().reject()

    def write(self, path: Path) -> None:
        """Write the figures, and what differs beside them; what came of it is said in the dialog."""
        outcome = self._against.outcome
        if outcome is None:
            return
        beside = path.with_name(f"{path.stem} differences{path.suffix}")
        try:
            save_csv(outcome.figures_csv(), path)
            save_csv(outcome.list_csv(), beside)
        except SegError as error:
            say(self.notes, str(error))
        else:
            say(self.notes, f"Saved {path.name}, and {beside.name} with {count_of(len(outcome.found.listed), 'line')}.")

    def render(self, event: Any = None) -> None:
        """Draw what is there now."""
        track, against = self._track, self._against
        if track is None or self._recorder.track(track.layer) is not track:
            self._track = track = None
        layers = [] if track is None else against.references(track)
        chosen = self.reference.currentData() or next((str(layer.unique_id) for layer in layers), "")
        fill(self.reference, [(str(layer.unique_id), layer.name) for layer in layers], chosen)
        if self.reference.currentIndex() < 0 and layers:
            self.reference.setCurrentIndex(0)
        self.headline.setText("This mask was closed" if track is None else track.layer.name)
        self.beside.setVisible(bool(layers))
        self.compare.setVisible(against.running is None)
        self.compare.setEnabled(bool(layers))
        self.running.render(against.running)
        self.compare.setText("Compare again" if against.outcome is not None else "Compare")
        say(self.words, self._words(track, bool(layers)))
        outcome = against.outcome
        for part in (self.figures, self.legend, self.count, self.list):
            part.setVisible(outcome is not None)  # first, as a hidden table is slower to fill
        if outcome is not self._shown:
            self._shown = outcome
            self._draw(outcome)
        self.save.setEnabled(outcome is not None)

    def _words(self, track: Track | None, any_reference: bool) -> str:
        against = self._against
        if track is None:
            return "Choose another mask, and open this again from the page Review."
        if against.trouble:
            return against.trouble
        if against.running is not None:
            return ""
        if against.stale:
            return "One of the two was changed since; compare again."
        if against.outcome is not None and against.reference is not None:
            name, other = against.reference.layer.name, str(against.reference.layer.unique_id)
            return "" if other == self.reference.currentData() else f"These are the figures against {name}."
        return _READY if any_reference else _NONE

    def _draw(self, outcome: Comparison | None) -> None:
        """The figures and the list."""
        say(self.notes, "")
        if outcome is None:
            self.list.setRowCount(0)
            return
        head, *rows = outcome.figures
        self.figures.head([str(heading) for heading in head])
        for column, heading in enumerate(head):
            self.figures.horizontalHeaderItem(column).setToolTip(
                _TIPS.get(str(heading).removesuffix(_unit(outcome)), "")
            )
        self.figures.show_rows([[_cell(cell) for cell in cells] for cells in rows], words=not outcome.objects)
        self.figures.be_as_high_as(_LINES)
        self.list.head(("What", "Object" if outcome.objects else "Class", "Size"))
        self.list.show_rows([(one.what, outcome.of(one), _size(outcome, one)) for one in outcome.found.listed], words=2)
        self.count.setText(_counted(outcome))
        say(self.notes, " ".join(outcome.notes))

    def _compare(self) -> None:
        layers = [] if self._track is None else self._against.references(self._track)
        chosen = next((layer for layer in layers if str(layer.unique_id) == self.reference.currentData()), None)
        if self._track is not None and chosen is not None:
            self._against.start(self._track, chosen)

    def _go(self, item: Any = None) -> None:
        outcome, line = self._against.outcome, self.list.currentRow()
        if outcome is not None and 0 <= line < len(outcome.found.listed) and self.list.selectedItems():
            self._against.go_to(outcome.found.listed[line])

    def _ask_where(self) -> None:
        name = "comparison.csv" if self._track is None else f"{self._track.row.name or 'mask'} comparison.csv"
        path = ask_for_csv(self, "Save as CSV", name)
        if path is not None:
            self.write(path)


def _unit(outcome: Comparison) -> str:
    """What stands behind a heading of distances."""
    return "" if isinstance(outcome.report, InstanceReport) else f" {outcome.report.unit}"


def _size(outcome: Comparison, one: Difference) -> str:
    mask = outcome.mask
    return measured(one.voxels, mask.ndim, mask.spacing, mask.unit)


def _cell(value: str | float | None) -> str:
    if isinstance(value, str):
        return value
    return "-" if value is None else f"{value:.3f}"


def _counted(outcome: Comparison) -> str:
    """How many differences there are, and in which order."""
    found = outcome.found
    if not found.listed:
        return "There is nothing to list: each object has a partner." if outcome.objects else "The two are the same."
    order = "what has no partner first" if outcome.objects else "the thickest first"
    more = f" {found.more} more are smaller, and not listed." if found.more else ""
    return f"{count_of(len(found.listed), 'difference')}, {order}. Choose one to see it.{more}"
