"""Measure a model on labelled images: the choice of both, the figures, and the images, the worst first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_seg.errors import SegError
from napari_seg.evaluation.measurement import Line, Measured, Measurement
from napari_seg.gui.boxes import QuestionBox, RunningBox
from napari_seg.gui.dialogs import ask_for_model
from napari_seg.gui.known_models import KnownModels
from napari_seg.gui.measuring import ALL, Labelled, Measuring
from napari_seg.gui.parts import PlainTable, combo, fill, row, say, scrolled, text
from napari_seg.gui.save_as import ask_for_csv, save_csv
from napari_seg.gui.theme import follow_theme
from napari_seg.gui.words import shortened
from napari_seg.wording import count_of

_INTRO = (
    "Choose a folder with images/, and labels/ of the same names, such as an expert's. The model segments each image, "
    "and you see how alike its masks are to the labels. Take images that it has not learned from."
)

_BROWSE = "Browse..."

_LINES = 8
"""Rows of figures that are seen at once."""

_LEAST = 150
"""Pixels that the list of images takes at least."""


class MeasureDialog(QDialog):
    """Stands beside the window while a person works on; ``chosen``: the model of the window, when it is opened."""

    def __init__(self, viewer: Any, measuring: Measuring, models: KnownModels, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModal(False)
        self.setWindowTitle("Measure a model")
        self._measuring, self._models = measuring, models
        self._shown: Measurement | None = None
        self._build()
        for emitter in (measuring.changed, models.changed):
            emitter.connect(self.render)
        follow_theme(self, viewer)

    def _build(self) -> None:
        self.headline = text("How good is a model on labelled images?", name="headline")
        self.words, self.notes, self.count = text(), text(name="quiet"), text()
        self.model, self.part = combo("Model"), combo("Images")
        self.folder = QPushButton("Choose a folder...")
        self.across = QFormLayout()
        for name, field in (("Model", self.model), ("Folder", self.folder), ("Images", self.part)):
            self.across.addRow(name, field)
        self.question = QuestionBox()
        self.surfaces = QCheckBox("Distances between surfaces, too (HD95 and ASSD)")
        self.surfaces.setToolTip("The 95th percentile and the mean of how far the borders of mask and labels lie apart")
        self.measure, self.running = QPushButton("Measure"), RunningBox()
        self.measure.setObjectName("main")
        self.running.cancel.setToolTip("Stop; the figures of the images until then are shown")
        self.figures = PlainTable("How good it is, over all images")
        self.list = PlainTable("How good it is on each image", wraps=False)
        self.open, self.keep = QPushButton("Open"), QPushButton("Keep as test set")
        self.open.setToolTip("Show the image with its labels; then press Segment, and compare the two on page Review")
        self.keep.setToolTip(
            "No training takes these images from now on, under any name; napari-seg test-set remove takes that back"
        )
        self.save, self.leave = QPushButton("Save as CSV..."), QPushButton("Close")
        self.save.setToolTip("Two tables: the figures, and beside them those of each image")
        for button in (self.measure, self.open, self.keep, self.save, self.leave):
            button.setAutoDefault(False)
        layout, area = QVBoxLayout(self), QScrollArea()
        layout.setSpacing(6)
        sheet = scrolled(area)
        sheet.addWidget(self.headline)
        sheet.addLayout(self.across)
        asked, found = (self.question, self.surfaces, self.measure), (self.figures, self.notes, self.count)
        for part in (*asked, self.running, self.words, *found):
            sheet.addWidget(part)
        self.list.setMinimumHeight(_LEAST)
        sheet.addWidget(self.list, 1)
        sheet.addStretch()  # the empty dialog stands at the top
        layout.addWidget(area)
        layout.addLayout(row(self.open, self.keep))
        layout.addLayout(row(self.save, self.leave))
        self.resize(520, 720)
        self.model.activated.connect(self._chose_model)
        self.folder.clicked.connect(self._choose_folder)
        self.part.activated.connect(lambda _: self._measuring.choose_part(self.part.currentData()))
        self.question.answered.connect(self._measuring.answer)
        self.surfaces.toggled.connect(self._measuring.want_surfaces)
        self.measure.clicked.connect(self._measuring.start)
        self.running.cancel.clicked.connect(self._measuring.cancel)
        self.list.itemSelectionChanged.connect(self._enable)
        self.list.itemDoubleClicked.connect(lambda _: self._open())
        self.open.clicked.connect(self._open)
        self.keep.clicked.connect(self._measuring.keep_as_test)
        self.save.clicked.connect(self._ask_where)
        self.leave.clicked.connect(self.close)

    def show_with(self, chosen: Path | None) -> None:
        """Open, with the ``chosen`` model where none was measured yet."""
        if chosen is not None and self._measuring.outcome is None and self._measuring.running is None:
            self._measuring.choose_model(chosen)
        self.render()
        self.show()
        self.raise_()
        self.folder.setFocus()

    def write(self, path: Path) -> None:
        """Write the figures, and those of each image beside them; what came of it is said in the dialog."""
        outcome = self._measuring.outcome
        if outcome is None:
            return
        beside = path.with_name(f"{path.stem} images{path.suffix}")
        try:
            save_csv(outcome.lines_csv(), path)
            save_csv(outcome.cases_csv(), beside)
        except SegError as error:
            say(self.words, str(error))
        else:
            say(self.words, f"Saved {path.name}, and {beside.name} with {count_of(len(outcome.cases), 'image')}.")

    def render(self, event: Any = None) -> None:
        """Draw what is there now."""
        measuring, outcome = self._measuring, self._measuring.outcome
        labelled, running = measuring.labelled, measuring.running
        models = [(str(path), name) for path, name in self._models.names.items()]
        fill(self.model, [*models, (_BROWSE, _BROWSE)], str(measuring.model or ""))
        self.folder.setText("Choose a folder..." if labelled is None else shortened(labelled.folder.name))
        self.folder.setToolTip("A folder with images/ and labels/" if labelled is None else str(labelled.folder))
        fill(self.part, _parts(labelled), measuring.part)
        self.across.setRowVisible(self.part, labelled is not None and bool(labelled.parts))
        self.question.render(measuring.question)
        self.surfaces.setVisible(measuring.has_surfaces)
        self.surfaces.setEnabled(running is None)
        self.measure.setVisible(running is None)
        self.measure.setEnabled(measuring.can_start)
        self.running.render(running)
        say(self.words, measuring.words or ("" if outcome or running else _told(labelled)))
        for part in (self.figures, self.count, self.list, self.open, self.keep):
            part.setVisible(outcome is not None)  # first, as a hidden table is slower to fill
        if outcome is not self._shown:
            self._shown = outcome
            self._draw(outcome)
        self.save.setEnabled(outcome is not None)
        self.keep.setEnabled(measuring.can_keep)
        self._enable()

    def _draw(self, outcome: Measurement | None) -> None:
        say(self.notes, "" if outcome is None else " ".join(outcome.notes))
        if outcome is None:
            self.list.setRowCount(0)
            return
        self.figures.head(("What", "Figure", "Mean", "95 % interval", "Images"))
        self.figures.show_rows([_cells(outcome, line) for line in outcome.lines], words=2)
        self.figures.be_as_high_as(_LINES)
        grouped = any(case.group != case.name for case in outcome.cases)
        self.list.head(("Image", *(["Group"] * grouped), "AP 0.5-0.9" if _objects(outcome) else "Dice"))
        tips = [case.why or " ".join((case.name, *case.notes)) for case in outcome.cases]
        rows = [(case.name, *([case.group] * grouped), _figure(case)) for case in outcome.cases]
        self.list.show_rows(rows, tips, words=1 + grouped)
        order = ", the worst first" if outcome.measured else ""
        self.count.setText(f"{outcome.model} on {outcome.counted}{order}.{_failed(outcome)}")

    def _enable(self) -> None:
        self.open.setEnabled(bool(self.list.selectedItems()))

    def _open(self) -> None:
        outcome, line = self._measuring.outcome, self.list.currentRow()
        if outcome is not None and 0 <= line < len(outcome.cases):
            self._measuring.open(outcome.cases[line].name)

    def _chose_model(self, index: int) -> None:
        chosen = self.model.itemData(index)
        if chosen == _BROWSE:
            chosen = ask_for_model(self)
        if chosen:
            self._measuring.choose_model(Path(chosen))
        self.render()  # puts the list back where Browse was left without a choice

    def _choose_folder(self) -> None:
        labelled = self._measuring.labelled
        start = "" if labelled is None else str(labelled.folder)
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder with images/ and labels/", start)
        if folder:
            self._measuring.choose_folder(Path(folder))

    def _ask_where(self) -> None:
        outcome = self._measuring.outcome
        path = None if outcome is None else ask_for_csv(self, "Save as CSV", f"{outcome.model} measured.csv")
        if path is not None:
            self.write(path)


def _parts(labelled: Labelled | None) -> list[tuple[str, str]]:
    """What of a folder can be measured on, and how many images that is."""
    if labelled is None:
        return []
    parts = [(word, f"{word} ({count})") for word, count in labelled.parts.items()]
    return [(ALL, f"all ({labelled.images})"), *parts]


def _told(labelled: Labelled | None) -> str:
    """What comes next."""
    return _INTRO if labelled is None else f"{count_of(labelled.images, 'image')} with labels."


def _cells(outcome: Measurement, line: Line) -> tuple[str, ...]:
    value, low, high = (("-" if one is None else f"{one:.3f}") for one in (line.value, line.low, line.high))
    between = "-" if line.low is None else f"{low} to {high}"
    return line.of, outcome.title(line.metric), value, between, str(line.images)


def _figure(case: Measured) -> str:
    if case.why:
        return "failed"
    return "-" if case.score is None else f"{case.score:.3f}"


def _objects(outcome: Measurement) -> bool:
    return any(line.metric == "mean_ap" for line in outcome.lines)


def _failed(outcome: Measurement) -> str:
    """A sentence where images could not be measured."""
    failed = outcome.failed
    return f" {count_of(len(failed), 'image')} failed: {failed[0].name}: {failed[0].why}" if failed else ""
