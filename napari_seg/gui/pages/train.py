"""Page 4: teach a model what was corrected. One button, one setting that matters, and the decision afterwards. It draws
a ``Teaching`` and passes clicks on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtWidgets import QDoubleSpinBox, QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_seg.gui.boxes import RunningBox
from napari_seg.gui.comparison import KEY, VerdictBox
from napari_seg.gui.controller import Controller
from napari_seg.gui.fields import on_escape
from napari_seg.gui.learning_curve_view import LearningCurveView
from napari_seg.gui.live_box import ACCEPT, DROP, LiveBox
from napari_seg.gui.measure_dialog import MeasureDialog
from napari_seg.gui.pages.segment import FailureBox
from napari_seg.gui.parts import Findings, Fold, combo, fill, row, say, scrolled, text
from napari_seg.gui.shelf_list import ShelfList
from napari_seg.gui.specform import SpecForm
from napari_seg.gui.spotlight_box import SpotlightBox
from napari_seg.gui.teaching_words import some_of
from napari_seg.gui.training_state import NEW, Teaching

_WORDS = {
    "task": "It finds",
    "network": "Network",
    "ndim": "Works in",
    "width": "Width",
    "depth": "Depth",
    "norm": "Norm",
    "batch": "Batch",
    "learning_rate": "Learning rate",
    "old_share": "Old examples",
    "patience": "Patience",
    "seed": "Seed",
}

_VALUES = {
    "instance": "single objects",
    "semantic": "classes",
    "unet": "U-Net",
    "vnet": "V-Net",
    "segnet": "SegNet",
    2: "2D, slice by slice",
    3: "3D, whole volumes",
}

_TIPS = {
    "task": "Single objects, such as cells, each with a number; or classes, such as organs.",
    "ndim": "2D looks at one slice at a time; 3D sees what lies above and below, and is slower.",
    "network": "U-Net learns most from few examples. V-Net is larger; SegNet takes the least memory.",
    "width": "How much the network can take in; wider is slower.",
    "depth": "How far the network looks around; deeper sees more of the surroundings.",
    "norm": "How the network evens out its numbers. Batch is the quickest.",
    "batch": "How many pieces of images it looks at in one step.",
    "learning_rate": "How large its steps are: too large and it forgets, too small and it learns nothing in the time.",
    "old_share": "How much of what it looks at are examples of its first training, so that it does not forget.",
    "patience": "It stops early after so many tests without a better score; 0: never.",
    "seed": "Another number draws other pieces of your images.",
}


class TrainPage(QScrollArea):
    """The title is what the tab says."""

    title = "Train"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self._room = controller.classroom
        self._training = self._room.training
        self._layout = scrolled(self)
        self._layout.setSpacing(6)
        self._build()
        self._training.changed.connect(self.render)
        self._room.comparing.changed.connect(lambda: self.verdict.follow(self._training.state))
        self.render(self._training.state)

    def _build(self) -> None:
        self.headline, self.intro = text("Teach the model what you corrected", name="headline"), text()
        self.interrupted = InterruptedBox()
        self.lessons, self.images = text(), text(name="quiet")
        self.spotlight = SpotlightBox(self._room.spotlight)
        self.live = LiveBox(self._room.live)
        self.start, self.start_words = combo("Model to begin with"), text(name="quiet")
        self.findings = Findings()
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(1, 1440)
        self.minutes.setDecimals(0)
        self.minutes.setSuffix(" min")
        self.minutes.setKeyboardTracking(False)
        self.minutes.setAccessibleName("Minutes")
        self.minutes.setToolTip("How long it may learn. Longer is better, up to a point: it stops by itself there.")
        self.begin = QPushButton("Retrain")
        self.begin.setObjectName("main")
        self.calm = text(name="quiet")
        self.running, self.curve = RunningBox(), LearningCurveView()
        self.running.cancel.setText("Stop")
        self.running.cancel.setToolTip("Stop; the best that it has learned so far is kept (Escape)")
        self.failure, self.verdict = FailureBox(), VerdictBox(self._room.comparing)
        self.choices, self.reasons = SpecForm("automatic", _VALUES), text(name="quiet")
        self.more = Fold("More choices")
        self.more.rows.addWidget(self.reasons)
        self.more.rows.addWidget(self.choices)
        self.shelf, self.measure = ShelfList(), QPushButton("Measure a model...")
        self.measure.setToolTip("How good a model is on a folder of labelled images that it has not learned from")
        self._dialog: MeasureDialog | None = None
        self.setup = QWidget()
        setup = QVBoxLayout(self.setup)
        setup.setContentsMargins(0, 0, 0, 0)
        setup.setSpacing(6)
        for part in (
            row(self.start, title="Begin with"),
            self.start_words,
            row(self.minutes, title="Learn for"),
            self.begin,
            self.findings,  # below the button, which stays where it is when they change
        ):
            setup.addWidget(part) if isinstance(part, QWidget) else setup.addLayout(part)
        for part in (
            self.interrupted,
            self.headline,
            self.intro,
            self.lessons,
            self.images,
            self.spotlight,
            self.failure,
            self.setup,
            self.running,
            self.verdict,
            self.calm,
            self.curve,
            self.live,
            self.more,
            self.shelf,
            self.measure,
        ):
            self._layout.addWidget(part)
        self._layout.addStretch(1)
        training = self._training
        self.start.activated.connect(lambda _: training.begin_with(self.start.currentData()))
        self.minutes.valueChanged.connect(training.set_minutes)
        self.findings.cured.connect(training.mend)
        self.begin.clicked.connect(training.start)
        self.running.cancel.clicked.connect(training.stop)
        self.interrupted.go_on.clicked.connect(training.go_on)
        self.interrupted.give_up.clicked.connect(training.give_up)
        self.choices.changed.connect(training.set_choice)
        self.shelf.used.connect(lambda path: self._decide(partial(training.use, path)))
        self.measure.clicked.connect(self._measure)
        self.verdict.used.connect(lambda: self._decide(training.use_new))
        self.verdict.left.connect(lambda: self._decide(training.keep_old))
        self.verdict.again.connect(self._segment_again)
        self.verdict.once_more.connect(self._once_more)
        self.verdict.compared.connect(self._room.compare)
        on_escape(self, training.stop)
        live = self._room.live
        for key, act in ((KEY, self._flick), (ACCEPT, live.accept), (DROP, live.drop)):
            self._controller.viewer.bind_key(key, lambda _, act=act: act(), overwrite=True)

    def render(self, state: Teaching) -> None:
        """Draw a state; what did not change is left alone, so that nothing flickers."""
        had_focus = self.begin.hasFocus() or self.running.cancel.hasFocus()
        was_running, running = self.running.isVisibleTo(self), state.phase == "running"
        judged, empty = state.phase == "judged", state.phase == "empty"
        self.interrupted.setVisible(state.interrupted is not None and not running)
        if state.interrupted is not None:
            self.interrupted.words.setText(state.interrupted.words)
        self.headline.setVisible(not judged)
        self.headline.setText(_headline(state))
        say(self.intro, _intro(state))
        something = bool(state.images) or running
        say(self.lessons, f"It learns from {state.lesson_words}." if something and not judged else "")
        say(self.images, _images(state) if not (judged or empty or running) else "")
        self.spotlight.setVisible(not (judged or empty or running) and self._room.lessons.track is not None)
        self.live.setVisible(not (judged or empty or running) and self._room.lessons.track is not None)
        self.failure.render(state.failure)
        self.setup.setVisible(not (running or judged or empty))
        fill(self.start, list(state.starts), state.start)
        say(self.start_words, state.start_words)
        self.findings.render(state.findings)
        self.begin.setText(_button(state))
        self.begin.setEnabled(state.can_start)
        if self.minutes.value() != state.minutes:
            self.minutes.setValue(state.minutes)
        say(self.calm, _calm(state))
        self.running.render(state.running if running else None)
        self.running.cancel.setEnabled(not state.stopping)
        self.curve.setVisible(running or (judged and bool(state.curve.scores or state.curve.losses)))
        self.curve.render_curve(state.curve, over=judged)
        self.verdict.render(state)
        self.more.setVisible(not (running or judged or empty))
        self.choices.render(state.choices, _WORDS, "", set())
        for name, widget in self.choices.widgets.items():
            widget.setToolTip(_TIPS.get(name, ""))
        say(self.reasons, "\n".join(state.reasons))
        self.shelf.render(state.shelf)
        if had_focus and was_running != running:
            (self.running.cancel if running else self.begin).setFocus()  # the button that had it is gone

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._room.lessons.watched = True
        self._room.lessons.look()

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self._room.lessons.watched = False
        if not event.spontaneous() and self._room.spotlight.on:  # else the window was only minimised
            self._room.spotlight.show(False)

    def _decide(self, decision: Callable[[], None]) -> None:
        self._room.comparing.end()
        decision()

    def _measure(self) -> None:
        controller = self._controller
        if self._dialog is None:
            self._dialog = MeasureDialog(controller.viewer, controller.measuring, controller.models, self.window())
        self._dialog.show_with(controller.state.model)

    def _segment_again(self) -> None:
        self._room.segment_again()
        self._controller.asked_for.emit("Segment")

    def _once_more(self) -> None:
        self._room.comparing.end()
        self._training.once_more()

    def _flick(self) -> None:
        if self._room.comparing.which:
            self._room.comparing.flick()
        elif self._training.state.can_flick:
            self._room.compare()


class InterruptedBox(QFrame):
    """A training that can be gone on with."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setProperty("level", "note")
        self.words = text()
        self.go_on, self.give_up = QPushButton("Go on with it"), QPushButton("Throw it away")
        self.go_on.setToolTip("Go on from the last saved point; at most a twentieth of the training is repeated")
        self.give_up.setToolTip("Forget what it has learned; your images and masks stay as they are")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 6, 6)
        layout.addWidget(self.words)
        layout.addLayout(row(self.go_on, self.give_up))


def _headline(state: Teaching) -> str:
    if state.phase != "running":
        return "Teach the model what you corrected"
    return "A new model is learning" if state.from_nothing else "The model is learning"


def _intro(state: Teaching) -> str:
    if state.phase == "empty":
        return (
            "Segment an image on the first page, correct some of what is wrong, and come back here: the model learns "
            "from your corrections. Or paint a mask of your own, and a new model learns that."
        )
    return ""


def _images(state: Teaching) -> str:
    """Where what is learned from lies."""
    if not state.images:
        return ""
    return f"In {some_of(state.images)}. What you have neither painted, accepted nor finished is left out."


def _button(state: Teaching) -> str:
    return "Train a new model" if state.start == NEW else "Retrain"


def _calm(state: Teaching) -> str:
    if state.phase == "running":
        return "Paint on as you like: what you do now is kept, and counts the next time. Your masks are not changed."
    if state.phase == "ready" and state.can_start:
        return "Nothing changes before you have seen what came of it. You can paint on while it learns."
    return ""
