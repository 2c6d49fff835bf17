"""Page 3: what to look at first, and what each object measures. It draws a review and passes clicks on."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QPushButton, QSplitter, QVBoxLayout, QWidget

from napari_seg.gui.controller import Controller
from napari_seg.gui.mirror_row import MirrorRow
from napari_seg.gui.object_table import ObjectTable
from napari_seg.gui.parts import text
from napari_seg.gui.queue_view import KEYS, QueueView


class ReviewPage(QWidget):
    """The title is what the tab says."""

    title = "Review"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller, self._reviewing = controller, controller.reviewing
        self.begin = QPushButton("Find what to look at")
        self.begin.setObjectName("main")
        self.begin.setToolTip("Look through the mask: what is most likely wrong comes first")
        self.words = text()
        self.mirror = MirrorRow(controller.mirroring)
        self.queue, self.table = QueueView(), ObjectTable()
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.addWidget(self.queue)
        self.parts.addWidget(self.table)
        self.parts.setChildrenCollapsible(False)
        self.parts.setSizes([600, 400])  # shares
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.begin)
        layout.addWidget(self.mirror)
        layout.addWidget(self.words)
        layout.addWidget(self.parts, 1)
        self.begin.clicked.connect(self._reviewing.look)
        self.queue.chosen.connect(self._reviewing.go_to)
        self.queue.judged.connect(self._reviewing.judge)
        self.queue.fixing.connect(self._fix)
        self.table.chosen.connect(self._reviewing.go_to_label)
        self._reviewing.changed.connect(self.render)
        self._reviewing.listed.connect(lambda which: self.table.filter.setText(which))
        controller.recorder.changed.connect(self.render)
        controller.edited.connect(self._edited)
        viewer = controller.viewer
        viewer.layers.selection.events.active.connect(self.render)
        for what, keys in KEYS.items():
            for key in keys:
                if "Return" not in key:
                    viewer.bind_key(key, lambda _, what=what: self._act(what), overwrite=True)
        self._shown: Any = None
        self.render()

    def render(self, event: Any = None) -> None:
        """Draw what is there now."""
        seen, track = self._reviewing.seen, self._controller.hands.track
        current = track is not None and seen.track is track
        self.begin.setEnabled(track is not None and not self._reviewing.looking)
        self.begin.setText("Look again" if current else "Find what to look at")
        self.words.setText(self._words(current))
        self.words.setVisible(bool(self.words.text()))
        self.parts.setVisible(current)
        self.mirror.setVisible(current)
        if current:
            self.mirror.render()
        if current and seen is not self._shown:
            self._shown = seen
            classes = seen.table.classes if seen.table is not None else ()
            self.queue.look_at(seen.image, seen.labels)
            self.queue.render(
                seen.suspects, states=seen.states, classes=classes, verdicts=seen.verdicts, done=seen.done
            )
        if current and self.table.model.table is not (table := self._reviewing.table()):
            self.table.render(table)

    def _words(self, current: bool) -> str:
        if self._reviewing.trouble:
            return self._reviewing.trouble
        if self._reviewing.looking:
            return "Looking through the mask..."
        if self._controller.hands.track is None:
            return "There is no mask yet: press Segment on the first page, or open one."
        if not current:
            return "The queue shows the objects of this mask that are most likely wrong, the worst first, and why."
        return ""

    def _edited(self, labels: tuple[int, ...]) -> None:
        """Pictures of what was edited are made again."""
        self.queue.changed(suspect.key for suspect in self._reviewing.seen.suspects if suspect.label in labels)

    def _act(self, what: str) -> None:
        """A key pressed over the image."""
        if self._reviewing.seen.suspects:
            self.queue.act(what)

    def _fix(self, suspect: Any) -> None:
        self._reviewing.go_to(suspect)
        self._controller.asked_for.emit("Correct")
