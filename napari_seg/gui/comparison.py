"""What came of a training: the verdict in a sentence, the case list of old and new, two buttons, and the masks of both
over each other."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QPushButton, QVBoxLayout

from napari_seg.gui.boxes import RunningBox
from napari_seg.gui.comparing import Comparing
from napari_seg.gui.parts import PlainTable, dress, row, say, text
from napari_seg.gui.training_state import Judgement, Teaching, Unit
from napari_seg.gui.words import breakable

KEY = "F10"
"""Flicks between the two masks."""

_LINES = 7
"""Lines of the list that are seen at once."""

_SAME = 0.005
"""Scores that differ by less are the same."""

_UNJUDGED = "Compare both masks on your image, and choose."


class UnitTable(PlainTable):
    """How well either model did on each image or block; worst gain first."""

    def __init__(self) -> None:
        super().__init__("Old and new model on what was held out")
        self.head(("Tested on", "Old", "New"))
        self.setToolTip(
            "How well each model does on parts of your corrections that neither has learned from; 1 is perfect. "
            "Old pictures: what the model learned first, and must not forget."
        )

    def render(self, judgement: Judgement | None) -> None:
        units = [] if judgement is None else sorted(judgement.corrections, key=lambda unit: unit.new - unit.old)
        older = () if judgement is None else judgement.older
        if older:
            mean = Unit(
                f"Old pictures ({len(older)})",
                sum(unit.old for unit in older) / len(older),
                sum(unit.new for unit in older) / len(older),
            )
            units.append(mean)
        self.setVisible(bool(units))
        rows = [(breakable(unit.name), f"{unit.old:.2f}", f"{unit.new:.2f}{_sign(unit)}") for unit in units]
        self.show_rows(rows, [f"{unit.name}: {unit.old:.3f} before, {unit.new:.3f} now" for unit in units])
        self.be_as_high_as(_LINES)


def _sign(unit: Unit) -> str:
    gain = unit.new - unit.old
    return "" if abs(gain) < _SAME else " ▲" if gain > 0 else " ▼"


class VerdictBox(QFrame):
    """``used``, ``left`` and ``again``: which button was pressed; ``once_more``: the page is to be as before."""

    used = Signal()
    left = Signal()
    again = Signal()
    once_more = Signal()
    compared = Signal()

    def __init__(self, comparing: Comparing) -> None:
        super().__init__()
        self.setObjectName("card")
        self._comparing = comparing
        self.headline, self.sentence, self.next = text(name="headline"), text(), text(name="quiet")
        self.table, self.outlook = UnitTable(), text()
        self.use, self.leave = QPushButton("Use the new model"), QPushButton("Keep the old one")
        self.flick, self.end = QPushButton(), QPushButton("Done")
        self.end.setToolTip("Take both masks away again")
        self.waiting, self.trouble = RunningBox(), text(name="trouble")
        self.segment, self.more = QPushButton("Segment again"), QPushButton("Teach it more")
        self.more.setToolTip("Back to the beginning of this page, for another round")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(6)
        for part in (
            self.headline,
            self.sentence,
            self.use,
            self.leave,
            self.next,
            self.segment,
            row(self.flick, self.end),
            self.waiting,
            self.trouble,
            self.table,
            self.outlook,
            self.more,
        ):
            layout.addLayout(part) if not hasattr(part, "setVisible") else layout.addWidget(part)
        self.use.clicked.connect(lambda: self.used.emit())
        self.leave.clicked.connect(lambda: self.left.emit())
        self.segment.clicked.connect(lambda: self.again.emit())
        self.more.clicked.connect(lambda: self.once_more.emit())
        self.flick.clicked.connect(self._flick)
        self.end.clicked.connect(comparing.end)
        self.waiting.cancel.clicked.connect(comparing.end)

    def render(self, state: Teaching) -> None:
        shown = state.phase == "judged"
        self.setVisible(shown)
        if not shown:
            return
        judgement, taken = state.judgement, state.taken
        self.headline.setText(state.headline)
        say(self.sentence, judgement.sentence if judgement else state.first_words or _UNJUDGED)
        worse = judgement is not None and judgement.decision == "worse"
        undecided = judgement is not None and judgement.decision == "undecided"
        for button, which in ((self.use, "new"), (self.leave, "old")):
            button.setEnabled(taken != which)
            proposed = not (taken or undecided or state.rough) and (which == "old") == worse
            dress(button, "main" if proposed else "")
        self.use.setText("The new model is used" if taken == "new" else "Use the new model")
        self.leave.setText("The old one is kept" if taken == "old" else "Keep the old one")
        self.leave.setVisible(not state.from_nothing)
        say(self.next, _next(state))
        say(self.outlook, state.outlook)
        self.segment.setVisible(state.again and taken == "new")
        dress(self.segment, "main" if taken == "new" else "")
        self.table.render(judgement)
        self.more.setVisible(bool(taken) or state.rough)
        dress(self.more, "main" if state.rough and state.wants_time and not taken else "")
        self.follow(state)

    def follow(self, state: Teaching) -> None:
        """What the comparison of the masks is up to."""
        which = self._comparing.which
        self.flick.setVisible(state.can_flick and which != "waiting")
        self.flick.setText(
            {"old": f"Show the new mask ({KEY})", "new": f"Show the old mask ({KEY})"}.get(which, "Compare both masks")
        )
        self.flick.setToolTip(
            f"{KEY} flicks between both masks. Outlined orange: only the old model has it so; blue: only the new one."
        )
        self.end.setVisible(which in ("old", "new"))
        self.waiting.render(self._comparing.running)
        say(self.trouble, self._comparing.trouble or state.trouble)

    def _flick(self) -> None:
        if self._comparing.which:
            self._comparing.flick()
        else:
            self.compared.emit()


def _next(state: Teaching) -> str:
    if not state.taken:
        return "You can go back to any earlier model at any time."
    if state.taken == "new" and state.again:
        return "Next: segment the image again. Only what you have neither painted nor accepted changes."
    if state.taken == "new":
        return f"{state.made} is now chosen on the first page."
    return "Correct some more, on other images too, and teach it once more. Nothing was changed."
