"""Page 1: an image, a model, one button, a mask. It draws a ``Segment`` and passes clicks on."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import (
    QApplication,
    QFrame,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_seg.gui.boxes import QuestionBox, RunningBox
from napari_seg.gui.controller import Controller
from napari_seg.gui.dialogs import Facts, ask_for_model
from napari_seg.gui.fields import on_escape
from napari_seg.gui.form import OptionsForm
from napari_seg.gui.parts import Findings, Preview, ThresholdSliders, combo, fill, info_button, row, say, scrolled, text
from napari_seg.gui.patient import names_patient, patient_of
from napari_seg.gui.save_as import ask_for_mask
from napari_seg.gui.size_dialog import SizeDialog
from napari_seg.gui.start import StartBox
from napari_seg.gui.state import Cure, Failure, Outcome, Segment
from napari_seg.gui.words import facts_of_volume

_BROWSE = "Browse..."


class SegmentPage(QScrollArea):
    """The title is what the tab says."""

    title = "Segment"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._state: Segment | None = None
        self.start = StartBox(controller.viewer)
        self.work = QWidget()
        layout = scrolled(self)
        layout.addWidget(self.start)
        layout.addWidget(self.work)
        layout.addStretch(1)
        self._build()
        controller.changed.connect(self.render)
        self.render(controller.state)

    def _build(self) -> None:
        self.image, self.image_words = combo("Image"), text(name="quiet")
        self.image_info = info_button("About this image")
        self.question = QuestionBox()
        self.model, self.model_words = combo("Model"), text(name="quiet")
        self.model_info = info_button("About this model")
        self.findings = Findings()
        self.preview = Preview()
        self.forecast = text(name="quiet")
        self.run = QPushButton("Segment")
        self.run.setObjectName("main")
        self.run.setToolTip("Find what the model knows in this image (Ctrl+Return)")
        self.running = RunningBox()
        self.options = OptionsForm()
        self.outcome = OutcomeBox()
        self.failure = FailureBox()
        layout = QVBoxLayout(self.work)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for part in (
            row(self.image, self.image_info, title="Image"),
            self.image_words,
            self.question,
            row(self.model, self.model_info, title="Model"),
            self.model_words,
            self.findings,
            self.preview,
            self.forecast,
            self.run,
            self.running,
            self.failure,
            self.outcome,
            self.options,
        ):
            layout.addWidget(part) if isinstance(part, QWidget) else layout.addLayout(part)
        self.image.activated.connect(lambda _: self._controller.choose_image(self.image.currentData()))
        self.model.activated.connect(self._chose_model)
        self.image_info.clicked.connect(self._about_image)
        self.model_info.clicked.connect(self._about_model)
        self.question.answered.connect(self._controller.answer)
        self.findings.cured.connect(self._cure)
        self.run.clicked.connect(self._controller.run)
        self.running.cancel.clicked.connect(self._controller.cancel)
        QShortcut(QKeySequence("Ctrl+Return"), self).activated.connect(self._controller.run)
        on_escape(self, self._controller.cancel)
        self.options.size.clicked.connect(lambda: self._resize())
        self.options.changed.connect(lambda name, value: self._controller.set_options(**{name: value}))
        self.outcome.sliders.changed.connect(self._controller.set_thresholds)
        self.outcome.save.clicked.connect(self._save)

    def render(self, state: Segment) -> None:
        """Draw a state; what did not change is left alone, so that nothing flickers."""
        before, self._state = self._state, state
        had_focus = self.run.hasFocus() or self.running.cancel.hasFocus()
        self.start.setVisible(state.phase == "empty")
        self.work.setVisible(state.phase != "empty")
        fill(self.image, [(key, title) for key, title in state.images], state.image)
        models = [(str(path), name) for path, name in state.models]
        fill(self.model, [*models, (_BROWSE, _BROWSE)], str(state.model) if state.model else "")
        say(self.image_words, state.image_words)
        say(self.model_words, state.model_words)
        self.question.render(state.question)
        done = state.phase == "done"  # the notes then stand below what came out
        self.findings.render(tuple(f for f in state.findings if f.cures or not (done and f.level == "note")))
        self.preview.render_picture(state.preview)
        say(self.forecast, "Looking at the image..." if state.checking else state.forecast)
        self.run.setVisible(state.phase != "running")
        self.run.setText("Segment again" if state.phase == "done" else "Segment")
        self.run.setEnabled(state.can_run)
        self.options.render(state)
        self.options.setEnabled(state.phase != "running")
        self.running.render(state.running)
        self.outcome.render(state.outcome)
        self.failure.render(state.failure)
        if had_focus and before is not None and (before.phase == "running") != (state.phase == "running"):
            (self.running.cancel if state.phase == "running" else self.run).setFocus()  # the button that had it is gone

    def _chose_model(self, index: int) -> None:
        chosen = self.model.itemData(index)
        if chosen == _BROWSE:
            chosen = ask_for_model(self)
        if chosen:
            self._controller.pick_model(Path(chosen))
        self._controller.resolve()
        self.render(self._controller.state)  # puts the list back where Browse was left without a choice

    def _cure(self, cure: Cure) -> None:
        if cure.kind == "model":
            self._controller.pick_model(Path(cure.value))
        elif cure.kind == "size":
            self._resize(ask=cure.value == "ask")
        elif cure.kind == "region":
            self._controller.set_options(region=cure.value)
        else:
            self.options.lead_to(cure.value)

    def _resize(self, *, ask: bool = True) -> None:
        """Give voxels the size that a person says, or that of the file."""
        if (known := self._controller.voxel_size()) is None:
            return
        axes, now, file = known
        size = SizeDialog(self, self.image.currentText(), axes, now, file).answer() if ask else file
        if size is not None:
            self._controller.give_size(size)

    def _about_image(self) -> None:
        target = self._controller.target()
        if target is not None:
            dialog = Facts(self, self.image.currentText(), "", facts_of_volume(target.volume))
            if names_patient(target.volume):
                dialog.offer("Show the patient's name", lambda: patient_of(target.volume))
            dialog.open()

    def _about_model(self) -> None:
        summary, sheet = self._controller.about_model()
        if sheet:
            Facts(self, self.model.currentText(), summary, sheet).open()

    def _save(self) -> None:
        path = ask_for_mask(self, self._controller.proposed_path())
        if path is not None:
            self._controller.save(path)


class OutcomeBox(QFrame):
    """What came out, what to do next, and thresholds that can still be moved."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.headline, self.lines, self.advice = text(name="headline"), text(), text()
        self.notes = text(name="quiet")
        self.sliders = ThresholdSliders()
        self.save = QPushButton("Save mask...")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(4)
        for part in (self.headline, self.lines, self.advice, self.sliders, self.save, self.notes):
            layout.addWidget(part)

    def render(self, outcome: Outcome | None) -> None:
        self.setVisible(outcome is not None)
        if outcome is None:
            return
        self.headline.setText(outcome.headline)
        say(self.lines, "\n".join(outcome.lines))
        say(self.advice, f"Next: {outcome.advice[:1].lower()}{outcome.advice[1:]}" if outcome.advice else "")
        say(self.notes, "\n".join(outcome.notes))
        self.sliders.render(outcome.thresholds)
        self.save.setVisible(outcome.has_mask)


class FailureBox(QFrame):
    """What happened and the cure; for a bug also what a report needs."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setProperty("level", "refusal")
        self._details = ""
        self.words = text()
        self.copy = QPushButton("Copy the details for a report")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 6, 6)
        layout.addWidget(self.words)
        layout.addWidget(self.copy)
        self.copy.clicked.connect(lambda: QApplication.clipboard().setText(self._details))

    def render(self, failure: Failure | None) -> None:
        self.setVisible(failure is not None)
        if failure is None:
            return
        self._details = failure.details
        self.words.setText(f"It did not work: {failure.sentence}")
        self.copy.setVisible(bool(failure.details))
