"""The few questions that cannot be asked in the panel. Each can be answered, or left, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_seg.data.kinds import Kind
from napari_seg.data.volume import Volume
from napari_seg.errors import Choice, ChoiceNeeded
from napari_seg.gui.settings import settings
from napari_seg.gui.waiting import wait_for
from napari_seg.gui.words import breakable, describe_volume
from napari_seg.models.shelf import shelf

T = TypeVar("T")

_TITLES = {"series": "Which image?", "axes": "What are the dimensions?"}

_KINDS = (
    Choice("labels", "Labels: the numbers name objects or classes"),
    Choice("image", "Image: the numbers are brightness"),
)


def ask_for_model(parent: QWidget) -> str:
    """The file of a model, empty if none. The models that were made here are in sight at once."""
    start = str(shelf()) if shelf().is_dir() else ""
    chosen, _ = QFileDialog.getOpenFileName(parent, "Choose a model", start, "Models (*.safetensors)")
    return chosen


class Picker(QDialog):
    """One question, its answers in a list, and a button that says what it does."""

    def __init__(
        self, parent: QWidget | None, title: str, message: str, choices: tuple[Choice, ...], remember: str = ""
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        text = QLabel(message)
        text.setWordWrap(True)
        self.list = QListWidget()
        self.list.setAccessibleName(message)
        for choice in choices:
            item = QListWidgetItem(choice.title)
            item.setData(Qt.ItemDataRole.UserRole, choice.value)
            self.list.addItem(item)
        self.list.setCurrentRow(0)
        self.list.setFixedHeight(24 * max(3, min(len(choices), 14)) + 8)
        self.list.itemActivated.connect(self.accept)  # a double click, or Enter
        self.remember = QCheckBox(remember)
        self.remember.setVisible(bool(remember))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        for widget in (text, self.list, self.remember, buttons):
            layout.addWidget(widget)
        self.setMinimumWidth(480)
        self.list.setFocus()

    def answer(self) -> str | None:
        """Show the question and wait: the value chosen, or ``None``."""
        if self.exec() != QDialog.DialogCode.Accepted or self.list.currentItem() is None:
            return None
        return str(self.list.currentItem().data(Qt.ItemDataRole.UserRole))


class AtTheScreen:
    """The person in front of the window ``parent``: the answers of :class:`~napari_seg.gui.opening.Person`."""

    def __init__(self, parent: QWidget | None) -> None:
        self._parent = parent

    def wait_for(self, words: str, work: Callable[[], T]) -> T | None:
        return wait_for(self._parent, words, work)

    def choose(self, title: str, question: ChoiceNeeded) -> str | None:
        heading = _TITLES.get(question.parameter, "Which one?")
        return Picker(self._parent, f"{heading} - {title}", _asked(question, heading), question.choices).answer()

    def image_or_labels(self, volume: Volume) -> Kind | None:
        kept = settings().reading.whole_numbers
        if kept in ("image", "labels"):
            return kept
        picker = Picker(
            self._parent,
            f"Image or labels? - {volume.name}",
            f"{volume.name} ({describe_volume(volume)}) holds whole numbers in flat patches. What do they mean?",
            _KINDS,
            "Always, without asking (can be changed in Preferences)",
        )
        answer = picker.answer()
        if answer is not None and picker.remember.isChecked():
            settings().reading.whole_numbers = answer
        return "image" if answer == "image" else "labels" if answer else None


def _asked(question: ChoiceNeeded, heading: str) -> str:
    """What is unclear, and the question, without the part that tells a script what to do."""
    return f"{str(question).split(';')[0].rstrip('.')}. {heading}"


class Facts(QDialog):
    """A sheet of facts, two columns, every text selectable; Escape closes it."""

    def __init__(self, parent: QWidget | None, title: str, summary: str, facts: Iterable[tuple[str, str]]) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet = QWidget()
        self._form = form = QFormLayout(sheet)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        form.setVerticalSpacing(8)
        for name, text in facts:
            form.addRow(_label(name, bold=True), _label(text))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(sheet)
        self._buttons = buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        if summary:
            layout.addWidget(_label(summary))
        layout.addWidget(scroll)
        layout.addWidget(buttons)
        self.resize(460, min(560, 160 + 34 * form.rowCount()))

    def offer(self, words: str, facts: Callable[[], Mapping[str, str]]) -> None:
        """A button that looks up more facts and adds them; it goes once they are there."""
        button = QPushButton(words)
        self._buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)

        def show() -> None:
            button.setEnabled(False)
            found = wait_for(self, "Reading the file", facts)
            button.setEnabled(True)
            if found is None:
                return
            button.hide()
            for name, text in found.items():
                self._form.addRow(_label(name, bold=True), _label(text or "not in the file"))

        button.clicked.connect(show)


def _label(text: str, *, bold: bool = False) -> QLabel:
    label = QLabel(breakable(text))
    label.setToolTip("" if label.text() == text else text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(not bold)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if bold:
        label.setStyleSheet("font-weight: bold")
    return label
