"""Page 5: a project, the images of a folder or those that were put together. It draws a ``Folder`` and passes clicks
on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QFileDialog, QMessageBox, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_seg.gui.boxes import QuestionBox, RunningBox
from napari_seg.gui.case_card import CaseCard
from napari_seg.gui.case_list import CaseList
from napari_seg.gui.controller import Controller
from napari_seg.gui.dialogs import ask_for_model
from napari_seg.gui.fields import on_escape
from napari_seg.gui.folder_state import Folder
from napari_seg.gui.parts import Findings, combo, dress, empty, fill, row, say, scrolled, text
from napari_seg.gui.words import shortened
from napari_seg.session.projects import Recent
from napari_seg.wording import count_of

_BROWSE = "Browse..."
_ANY = "as the model is used to"

_SHOWN = 6
"""Projects that are offered on an empty page."""


class FolderPage(QWidget):
    """The title is what the tab says. What comes next is always in sight, below all that scrolls."""

    title = "Project"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._batch = controller.batch
        self._recent: tuple[Recent, ...] | None = None
        self.start, self.work, self.foot = QWidget(), QWidget(), QWidget()
        scroll = QScrollArea()
        inner = scrolled(scroll)
        inner.addWidget(self.start)
        inner.addWidget(self.work)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.foot)
        self._build_start()
        self._build_work()
        self._batch.changed.connect(self.render)
        self.render(self._batch.state)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._batch.recount()

    def _build_start(self) -> None:
        self.choose, self.open_project = QPushButton("Choose a folder..."), QPushButton("Open a project...")
        self.choose.setObjectName("main")
        self.open_project.setToolTip("Choose the folder of a project that was saved before")
        self.recent, self.recent_title = QVBoxLayout(), text("Worked on last", "quiet")
        self.start_findings = Findings()
        layout = QVBoxLayout(self.start)
        layout.setContentsMargins(4, 12, 4, 4)
        layout.setSpacing(8)
        layout.addWidget(text("Segment all images of a folder", "headline"))
        layout.addWidget(
            text("Then look through the masks, the most doubtful first, and accept, correct or flag them.")
        )
        layout.addWidget(self.choose)
        layout.addWidget(text("Your images are not changed: masks are kept in a folder beside them.", "quiet"))
        layout.addWidget(self.start_findings)
        layout.addWidget(self.open_project)
        layout.addWidget(text("The images that are open become a project with the button below.", "quiet"))
        layout.addWidget(self.recent_title)
        layout.addLayout(self.recent)
        layout.addStretch(1)
        self.choose.clicked.connect(self._choose)
        self.open_project.clicked.connect(self._choose)

    def _build_work(self) -> None:
        self.folder, self.change = text(name="headline"), QPushButton("Change...")
        self.change.setToolTip("Choose another folder, or another project by its folder")
        self.model, self.model_words = combo("Model"), text(name="quiet")
        self.channel = combo("Channel")
        self.channel_row = QWidget()
        self.channel_row.setLayout(row(self.channel, title="Channel"))
        self.channel_row.layout().setContentsMargins(0, 0, 0, 0)
        self.question, self.findings, self.running = QuestionBox(), Findings(), RunningBox()
        self.running.cancel.setToolTip("Stop; the masks that have come stay (Escape)")
        self.segment = QPushButton()
        self.segment.setToolTip(
            "Masks that nobody has seen are replaced where another model made them; all others stay (Ctrl+Return)"
        )
        self.summary, self.list, self.card = text(), CaseList(), CaseCard()
        self.open, self.following = QPushButton("&Open"), QPushButton("Open &next")
        self.open.setToolTip("Show the chosen image with its mask; the one before is closed, all work is kept (Enter)")
        self.following.setToolTip("Open the next image that nobody has seen, in the order of the list (Alt+N)")
        self.add_open, self.add_files = QPushButton(), QPushButton("Add files...")
        self.add_open.setToolTip("What is open comes into the project, with its masks and their whole history")
        self.add_files.setToolTip("Add images to the project by their files; the files stay where they are")
        self.find, self.told = QPushButton("Find images..."), text(name="quiet")
        self.find.setToolTip("Choose a folder: the images are known there by what they show, whatever their names are")
        self.save, self.saved = QPushButton("Save masks..."), text(name="quiet")
        self.save.setToolTip("Write all masks as files, each with a record of where it comes from")
        layout = QVBoxLayout(self.work)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for part in (
            row(self.folder, self.change),
            row(self.model, title="Model"),
            self.model_words,
            self.channel_row,
            self.question,
            self.findings,
            self.segment,
            self.running,
            self.summary,
        ):
            layout.addWidget(part) if isinstance(part, QWidget) else layout.addLayout(part)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.find)
        layout.addLayout(row(self.add_open, self.add_files))
        layout.addWidget(self.told)
        layout.addWidget(self.card)
        foot = QVBoxLayout(self.foot)
        foot.setContentsMargins(6, 0, 6, 4)
        foot.setSpacing(4)
        foot.addLayout(row(self.following, self.open, self.save))
        foot.addWidget(self.saved)
        self.change.clicked.connect(self._choose)
        self.model.activated.connect(self._chose_model)
        self.channel.activated.connect(lambda _: self._batch.choose_channel(self.channel.currentData()))
        self.question.answered.connect(self._batch.answer)
        self.segment.clicked.connect(self._batch.segment)
        self.running.cancel.clicked.connect(self._batch.cancel)
        self.list.opened.connect(self._batch.open)
        self.list.chosen.connect(self._render_chosen)
        self.card.said.connect(self._batch.say)
        self.card.told.connect(self._batch.tell_patient)
        self._batch.leaving.connect(self.card.keep)
        self.open.clicked.connect(self._open)
        self.save.clicked.connect(self._save)
        self.add_open.clicked.connect(self._batch.add_open)
        self.add_files.clicked.connect(self._add_files)
        self.find.clicked.connect(self._find)
        self.following.clicked.connect(self._open_next)
        QShortcut(QKeySequence("Ctrl+Return"), self).activated.connect(self._batch.segment)
        on_escape(self, self._batch.cancel)

    def render(self, state: Folder) -> None:
        """Draw a state; what did not change is left alone, so that nothing flickers."""
        had_focus = self.segment.hasFocus() or self.running.cancel.hasFocus()
        was_running = self.running.isVisible()
        self.start.setVisible(state.folder is None)
        self.work.setVisible(state.folder is not None)
        self.foot.setVisible(state.folder is not None)
        if state.folder is None:
            self._render_start(state)
            return
        self.folder.setText(state.name or state.folder.name or str(state.folder))
        self.folder.setToolTip(f"{state.folder}\nMasks are kept in {state.place}" if state.place else str(state.folder))
        models = [(str(path), name) for path, name in state.models]
        fill(self.model, [*models, (_BROWSE, _BROWSE)], str(state.model) if state.model else "")
        say(self.model_words, state.model_words)
        fill(self.channel, [("", _ANY), *((name, name) for name in state.channels)], state.channel)
        self.channel_row.setVisible(len(state.channels) > 1)
        self.question.render(state.question)
        self.findings.render(state.findings)
        self.segment.setText(_words_for_segment(state))
        self.segment.setEnabled(state.can_run)
        self.segment.setVisible(state.running is None and state.due + state.again > 0)
        self.running.render(state.running)
        say(self.summary, _words_for_all(state))
        self.list.setVisible(bool(state.rows))
        self.list.render(state)
        dress(self.segment, "main" if state.due > state.renewed else "")
        seeing = state.due == state.renewed  # to look at masks comes before making them anew
        dress(self.following, "main" if seeing else "")
        self.following.setEnabled(any(found.state in ("unseen", "in work") for found in state.rows))
        self.save.setEnabled(state.running is None and any(found.known for found in state.rows))
        say(self.saved, state.saved)
        self.find.setVisible(state.missing > 0)
        self.add_open.setText("Add the open image" if state.to_add == 1 else f"Add the {state.to_add} open images")
        self.add_open.setVisible(state.to_add > 0)
        self.add_files.setEnabled(bool(state.place) and not state.refused)
        say(self.told, state.told)
        if had_focus and was_running != (state.running is not None):  # the button that had it is gone
            (self.running.cancel if state.running is not None else self.following).setFocus()
        self._render_chosen()

    def _render_chosen(self) -> None:
        rows = self.list.rows
        self.card.render(rows)
        self.open.setEnabled(len(rows) == 1 and rows[0].path != self._batch.state.current)

    def _render_start(self, state: Folder) -> None:
        self.start_findings.render(state.findings)
        if state.recent == self._recent:
            return
        self._recent = state.recent
        empty(self.recent)
        for one in state.recent[:_SHOWN]:
            button = QPushButton(shortened(one.name))
            button.setToolTip(str(one.folder))
            button.clicked.connect(lambda _=False, folder=one.folder: self._batch.choose_folder(folder))
            self.recent.addWidget(button)
        self.recent_title.setVisible(bool(state.recent))

    def _add_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add images to the project", str(self._batch.state.folder or ""))
        self._batch.add_files([Path(name) for name in names])

    def _find(self) -> None:
        folder = QFileDialog.getExistingDirectory(
            self, "Where are the images now?", str(self._batch.state.folder or "")
        )
        if folder:
            self._batch.find(Path(folder))

    def _choose(self) -> None:
        start = str(self._batch.state.folder or "")
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder with images, or a project", start)
        if folder:
            self._batch.choose_folder(Path(folder))

    def _chose_model(self, index: int) -> None:
        chosen = self.model.itemData(index)
        if chosen == _BROWSE:
            chosen = ask_for_model(self)
        if chosen:
            self._batch.choose_model(Path(chosen))
        self._batch.resolve()
        self.render(self._batch.state)  # puts the list back where Browse was left without a choice

    def _open(self) -> None:
        for found in self.list.rows[:1]:
            self._batch.open(found.path)

    def _save(self) -> None:
        folder = self._folder_for_masks()
        if folder is None:
            return
        if count := self._batch.replaced(folder):
            there = "1 file of that name is" if count == 1 else f"{count} files of these names are"
            answer = QMessageBox.question(self, "Save masks", f"{there} in {folder.name}. Replace?")
            if answer != QMessageBox.StandardButton.Yes:
                return
        self._batch.save(folder)

    def _folder_for_masks(self) -> Path | None:
        """Ask for a folder. The one that is proposed is made for the time, as dialogs know none that is not there."""
        proposed = self._batch.proposed_folder()
        there = proposed.exists()
        with suppress(OSError):
            proposed.mkdir(exist_ok=True)
        start = proposed if proposed.is_dir() else proposed.parent
        chosen = QFileDialog.getExistingDirectory(self, "Choose a folder for the masks", str(start))
        if not there and (not chosen or Path(chosen) != proposed):
            with suppress(OSError):
                proposed.rmdir()
        return Path(chosen) if chosen else None

    def _open_next(self) -> None:
        self._batch.open_next([found.path for found in self.list.cases.shown])


def _words_for_all(state: Folder) -> str:
    if state.reading:
        return "Reading the folder..."
    if state.searching:
        return f"{state.summary or 'No images yet'}. Looking for DICOM series..."
    return f"{state.summary}. Looking which model suits..." if state.looking else state.summary


def _words_for_segment(state: Folder) -> str:
    if not state.due:
        return "Try the failed image again" if state.again == 1 else f"Try the {state.again} failed images again"
    if state.renewed:
        images = count_of(state.due, "image")
        return f"Segment {images} again" if state.renewed == state.due else f"Segment {images}, {state.renewed} again"
    if state.due == len(state.rows):
        return "Segment the image" if state.due == 1 else f"Segment all {state.due} images"
    return "Segment the one that is left" if state.due == 1 else f"Segment the {state.due} that are left"
