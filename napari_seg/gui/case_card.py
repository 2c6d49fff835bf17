"""What is said of the chosen cases, and the buttons to say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout

from napari_seg.data.formats import stem
from napari_seg.editing.annotation import State
from napari_seg.gui.folder_state import ROW_WORDS, CaseRow
from napari_seg.gui.parts import say, text
from napari_seg.gui.words import shortened


class CaseCard(QFrame):
    """``said`` carries the paths of cases, a state and a comment; ``None`` for what they are. ``told`` carries
    paths and the mark of the patient that these images are of."""

    said = Signal(object, object, object)
    told = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self._paths: tuple[Path, ...] = ()
        self.title, self.why = text(), text(name="trouble")
        self.comment = QLineEdit()
        self.comment.setAccessibleName("Comment on the case")
        self.comment.setPlaceholderText("Comment: Enter keeps it")
        self.patient = QLineEdit()
        self.patient.setAccessibleName("Patient")
        self.patient.setPlaceholderText("Patient, such as P1: Enter keeps it")
        self.patient.setToolTip(
            "Of which patient or animal the chosen images are. Any mark will do, it need not be a name. A model is "
            "never judged on one from whom it learned."
        )
        self.accept = _button("&Accept", "The mask is right (Alt+A)")
        self.flag = _button("Fla&g", "Somebody has to look at it again (Alt+G)")
        self.back = _button("&Take back", "It is neither accepted nor flagged (Alt+T)")
        buttons = QHBoxLayout()
        for button in (self.accept, self.flag, self.back):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(4)
        for part in (self.title, self.why, self.comment, self.patient):
            layout.addWidget(part)
        layout.addLayout(buttons)
        self.accept.clicked.connect(lambda: self._say("accepted"))
        self.flag.clicked.connect(lambda: self._say("flagged"))
        self.back.clicked.connect(lambda: self._say("unseen"))
        self.comment.returnPressed.connect(lambda: self._say(None))
        self.patient.returnPressed.connect(self._tell)

    def render(self, rows: Sequence[CaseRow]) -> None:
        """Show the chosen rows. What is being written stays while they are the same, and is kept when others are
        chosen."""
        self.setVisible(bool(rows))
        paths = tuple(row.path for row in rows)
        if {*paths} != {*self._paths}:
            self.keep()
        self._paths = paths
        if not self.comment.isModified():
            self.comment.setText(rows[0].comment if len(rows) == 1 else "")
        if not self.patient.isModified():
            marks = {row.patient for row in rows}
            self.patient.setText(marks.pop() if len(marks) == 1 else "")
        if not rows:
            return
        known = [row for row in rows if row.known]
        if len(rows) == 1:
            known_of = [ROW_WORDS[rows[0].state], rows[0].amount, rows[0].spent]
            self.title.setText(f"{shortened(_name(rows[0]))}\n{', '.join(part for part in known_of if part)}")
        else:
            self.title.setText(f"{len(rows)} images are chosen")
        say(self.why, rows[0].why if len(rows) == 1 else "")
        self.comment.setVisible(len(rows) == 1 and bool(known))
        self.patient.setVisible(bool(known))
        for button, state in ((self.accept, "accepted"), (self.flag, "flagged")):
            button.setVisible(bool(known))
            button.setEnabled(any(row.state != state for row in known))
        self.back.setVisible(bool(known))
        self.back.setEnabled(any(row.state in ("accepted", "flagged", "rejected") for row in known))

    def keep(self) -> None:
        """Keep what was typed, without Enter."""
        if self.comment.isModified():
            self._say(None)
        self._tell()

    def _say(self, state: State | None) -> None:
        self.comment.setModified(False)
        self.said.emit(self._paths, state, self.comment.text().strip() if len(self._paths) == 1 else None)

    def _tell(self) -> None:
        """Tell what was typed; of images with several marks the field is empty, and Enter takes none of them back."""
        if self.patient.isModified():
            self.patient.setModified(False)
            self.told.emit(self._paths, self.patient.text().strip())


def _name(row: CaseRow) -> str:
    """The file, or what it is called where that says more."""
    return row.path.name if row.name == stem(row.path) else row.name


def _button(title: str, tip: str) -> QPushButton:
    button = QPushButton(title)
    button.setToolTip(tip)
    return button
