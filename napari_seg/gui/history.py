"""The history of the image of a mask: every step with a picture of what it changed. Any can be looked at and restored.

Looking changes nothing and is not recorded. Restoring is one more step, which can be undone like any other. All that is
read comes from the session's thread, in pieces; an answer that comes after another mask was chosen is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from qtpy.QtCore import QModelIndex, QSize, Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QDialog, QListView, QPushButton, QVBoxLayout, QWidget

from napari_seg.errors import SegError
from napari_seg.gui.change_picture import LEGEND, change_picture, to_look_at
from napari_seg.gui.family import Wires
from napari_seg.gui.history_log import log_csv
from napari_seg.gui.history_model import PICTURE, PIECE, HistoryModel
from napari_seg.gui.look_back import LookBack
from napari_seg.gui.parts import row, text
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.revisions import Steps, as_it_was, read_steps, title
from napari_seg.gui.save_as import ask_for_csv, save_csv
from napari_seg.gui.theme import follow_theme
from napari_seg.gui.track import Track
from napari_seg.session.store import RESTORE, Store
from napari_seg.wording import count_of

T = TypeVar("T")

_NEWEST = 50
"""Revisions that are read when something has changed."""

_SOON, _REST = 150, 120
"""Milliseconds: after a change until the list follows, and on a row until it is shown how things were."""


_CHOOSE = "Choose a step to see how the mask was after it."


class HistoryDialog(QDialog):
    """Stands beside the window while a person works on; :meth:`show_for` says which mask it is about."""

    def __init__(self, viewer: Any, recorder: Recorder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModal(False)
        self._viewer, self._recorder = viewer, recorder
        self._layer: Any = None
        self._key: Any = None  # of what is kept of the mask
        self._question = 0  # answers to those with another number are dropped
        self._head: int | None = None
        self._restored: int | None = None  # the head before the last restoring
        self.look = LookBack(viewer)
        self.model = HistoryModel()
        self._build()
        self._soon, self._rest = QTimer(self), QTimer(self)
        for timer, wait, work in ((self._soon, _SOON, self._read_newest), (self._rest, _REST, self._look)):
            timer.setSingleShot(True)
            timer.setInterval(wait)
            timer.timeout.connect(work)
        self.model.wanted.connect(self._draw)
        self.model.more.connect(self._read)
        self.list.selectionModel().currentChanged.connect(self._moved)
        self._wires = Wires()
        for emitter, call in (
            (recorder.changed, self._later),
            (viewer.layers.events.removed, self._removed),
            (viewer.events.theme, self._dress),
        ):
            self._wires.join(emitter, call)
        self.destroyed.connect(self._wires.cut)
        follow_theme(self, viewer)
        self._dress()

    def _build(self) -> None:
        self.list = QListView()
        self.list.setObjectName("plain")
        self.list.setModel(self.model)
        self.list.setAccessibleName("Steps, the newest first")
        self.list.setIconSize(QSize(PICTURE, PICTURE))
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.said, self.legend = text(), text(LEGEND, "quiet")
        self.restore, self.undo = QPushButton("Restore"), QPushButton("Undo")
        self.restore.setObjectName("main")
        self.restore.setToolTip(
            "Bring the masks of this image back to how they were then; one step, which can be undone"
        )
        self.undo.setToolTip("Take the restoring back (Ctrl+Z)")
        self.save = QPushButton("Save the log as CSV...")
        self.save.setToolTip("All that was done with this image: when, by whom, with which tool, how many voxels")
        self.leave = QPushButton("Close")
        self.restore.clicked.connect(self._restore)
        self.undo.clicked.connect(self._undo)
        self.save.clicked.connect(self._ask_where)
        self.leave.clicked.connect(self.close)
        for button in (self.restore, self.undo, self.save, self.leave):
            button.setAutoDefault(False)
        self.undo.hide()
        layout = QVBoxLayout(self)
        layout.setSpacing(6)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.legend)
        layout.addWidget(self.said)
        layout.addLayout(row(self.restore, self.undo))
        layout.addLayout(row(self.save, self.leave))
        self.resize(380, 620)

    # what it is about

    def show_for(self, layer: Any) -> None:
        """Show the history of the image that a mask lies on."""
        self._begin(layer)
        self.show()
        self.raise_()
        self.list.setFocus()

    @property
    def track(self) -> Track | None:
        return self._recorder.track(self._layer)

    def _begin(self, layer: Any) -> None:
        self.look.end()
        self._layer, self._head, self._restored = layer, None, None
        self._question += 1
        track = self.track
        self._key = None if track is None else track.key
        began, ndim = (track.row.added, len(track.row.grid)) if track else (0.0, 2)
        self.model.clear(began, ndim)
        self.undo.hide()
        self.setWindowTitle(f"History of {track.row.name or layer.name}" if track else "History")
        self._enable()
        if track is None:
            self.model.render(Steps())
            self._say("This mask is not kept, so it has no history; choose another one.")
        else:
            self._say(_CHOOSE)
            self._read(PIECE)

    def closeEvent(self, event: Any) -> None:
        self._stop()
        super().closeEvent(event)

    def reject(self) -> None:
        """Escape: the first one ends the look, the next one closes the list."""
        if self.look.layer is not None:
            self._stop()
        else:
            super().reject()

    def _stop(self) -> None:
        self._rest.stop()
        self.look.end()
        self.list.selectionModel().clear()

    def _removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._begin(None)

    # reading

    def _ask(self, work: Callable[[Track, Store], T], then: Callable[[T], None]) -> None:
        track, question = self.track, self._question

        def hear(answer: T) -> None:
            if question == self._question:
                then(answer)

        if track is not None:
            self._recorder.ask(track, lambda store: work(track, store), hear)

    def _later(self) -> None:
        if self.isVisible():
            self._soon.start()

    def _read_newest(self) -> None:
        if self.track is not None and self.track.key != self._key:  # it came into a project, with other numbers
            self._begin(self._layer)
            return
        self._read(_NEWEST if self.model.steps.revisions else PIECE)

    def _read(self, limit: int) -> None:
        self._ask(lambda track, store: read_steps(store, track.row.id, limit), self._take)

    def _take(self, newest: Steps) -> None:
        """What was read. Where a step was made in the meantime, looking back is over."""
        before, self._head = self._head, newest.head
        self.model.render(newest)
        if before in (None, newest.head):
            return
        self._stop()
        step = next((step for step in newest.revisions if step.id == newest.head), None)
        restored = step is not None and step.tool == RESTORE and step.parent == self._restored
        self.undo.setVisible(restored)
        if step is not None and restored:
            self._say(f"{title(step, self.model.steps, datetime.now())}.")
        else:
            self._say(_CHOOSE)

    def _draw(self, revision: int) -> None:
        def work(track: Track, store: Store) -> Any:
            grid = store.grid(track.row.id)
            places = to_look_at(store.changed_places(revision), grid)
            changed = store.changed(track.row.id, revision, frozenset(places))
            return change_picture(changed, grid, track.row.spacing, 2 * PICTURE)

        self._ask(work, lambda picture: self.model.take_picture(revision, picture))

    # looking

    def _moved(self, index: QModelIndex, before: QModelIndex) -> None:
        self._enable()
        if index.isValid():
            self._rest.start()

    @property
    def _chosen(self) -> int | None:
        """The number of the revision that is chosen."""
        index = self.list.selectionModel().currentIndex()
        return self.model.number(index.row()) if index.isValid() else None

    def _look(self) -> None:
        number, index = self._chosen, self.list.selectionModel().currentIndex()
        if number is None:
            return
        if number == self._head:
            self.look.end()
            self._say("This is how it is now.")
            return
        words = as_it_was(self.model.at(index.row()), datetime.now()) if number else "as it was opened"
        self._say(f"Reading the mask {words}...")

        def work(track: Track, store: Store) -> Any:
            times = range(track.row.times)
            return np.stack([store.labels(track.row.id, track.plane, t, revision=number) for t in times])

        def show(frames: Any) -> None:
            track = self.track
            if track is None or self._chosen != number or self._head == number:
                return
            self.look.show(track.layer, frames.reshape(track.layer.data.shape), words)
            self._say(f"You see the mask {words}. Your mask is hidden and has not changed.")

        self._ask(work, show)

    # doing

    def _restore(self) -> None:
        number, layer = self._chosen, self._layer
        if number is not None and self.track is not None:
            self._stop()
            self._restored = self._head
            self._say("Bringing it back...")
            self._recorder.restore(layer, number)

    def _undo(self) -> None:
        self.undo.hide()
        self._recorder.undo(self._layer)

    def _ask_where(self) -> None:
        path = ask_for_csv(self, "Save the log as CSV", "log.csv")
        if path is not None:
            self.write(path)

    def write(self, path: Path) -> None:
        """Write the log of the image; what came of it is said in the dialog."""

        def work(track: Track, store: Store) -> str:
            lines = store.log(track.row.id)
            try:
                save_csv(log_csv(lines), path)
            except SegError as error:
                return str(error)
            return f"Saved {path.name} with {count_of(len(lines), 'line')}."

        self._ask(work, self._say)

    # how it looks

    def _say(self, words: str) -> None:
        self.said.setText(words)

    def _enable(self) -> None:
        track, chosen = self.track, self._chosen
        read_only = track.session.read_only if track else ""
        self.restore.setEnabled(track is not None and not read_only and chosen not in (None, self._head))
        self.save.setEnabled(track is not None)
        if read_only:
            self.restore.setToolTip(read_only)

    def _dress(self, event: Any = None) -> None:
        from napari.utils.theme import get_theme

        self.model.faint = QColor("#b9bcc2" if get_theme(self._viewer.theme).type == "dark" else "#4c4d52")
