"""Page 3: what to look at first, and what each object measures. It draws a review and passes clicks on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QBoxLayout, QComboBox, QPushButton, QScrollArea, QSplitter, QWidget

from napari_seg.editing.annotation import Entry, object_key
from napari_seg.editing.suspicion import Suspect
from napari_seg.gui import notice
from napari_seg.gui.abreast import Order, Seen
from napari_seg.gui.against_dialog import AgainstDialog
from napari_seg.gui.controller import Controller
from napari_seg.gui.display import is_drawn, is_seen
from napari_seg.gui.finished_words import of_image
from napari_seg.gui.hands import HIDDEN, UNSEEN
from napari_seg.gui.mirror_row import MirrorRow
from napari_seg.gui.object_table import ObjectTable
from napari_seg.gui.parts import dress, say, scrolled, text
from napari_seg.gui.queue_view import KEYS, STATES, QueueView
from napari_seg.gui.track import Track

_ORDERS: tuple[tuple[str, Order, str], ...] = (
    ("Worst first", "worst", "what is most likely wrong; for a mask that is to be right"),
    ("Most to learn first", "learning", "what a model learns most from; for correcting before a training"),
)


class ReviewPage(QScrollArea):
    """The title is what the tab says."""

    title = "Review"

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller, self._reviewing = controller, controller.reviewing
        self.begin = QPushButton("Find what to look at")
        self.begin.setToolTip("Look through the mask: what is most likely wrong comes first")
        self.headline, self.words = text("Look through this mask", name="headline"), text()
        self.finished = text(name="quiet")
        self.mirror = MirrorRow(controller.mirroring)
        self.against = QPushButton("Compare with reference...")
        self.against.setToolTip("How alike this mask and another one are, such as an expert's, and where they differ")
        self._dialog: AgainstDialog | None = None
        self.order = _order_box()
        self.queue, self.table = QueueView(), ObjectTable()
        self.parts = QSplitter(Qt.Orientation.Vertical)
        self.parts.addWidget(self.queue)
        self.parts.addWidget(self.table)
        self.parts.setChildrenCollapsible(False)
        self.parts.setSizes([600, 400])  # shares
        layout = scrolled(self)
        self.acts = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self.acts.addWidget(self.begin)
        self.acts.addWidget(self.against, 1)
        for part in (self.headline, self.words, self.acts, self.mirror, self.finished, self.order):
            layout.addWidget(part) if isinstance(part, QWidget) else layout.addLayout(part)
        layout.addWidget(self.parts, 1)
        layout.addStretch()  # the empty page stands at the top
        self.begin.clicked.connect(self._reviewing.look)
        self.against.clicked.connect(self._compare)
        self.order.currentIndexChanged.connect(lambda row: self._reviewing.sort(self.order.itemData(row)))
        self.queue.chosen.connect(self._reviewing.go_to)
        self.queue.judged.connect(self._reviewing.judge)
        self.queue.fixing.connect(self._fix)
        self.queue.commented.connect(lambda suspect, words: self._reviewing.comment(suspect.key, words))
        self.table.chosen.connect(self._reviewing.go_to_label)
        self.table.commented.connect(lambda label, words: self._reviewing.comment(object_key(label), words))
        self._reviewing.picked.connect(self.table.select)
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
        self._shown = Seen()
        self._rows: Mapping[str, Entry] = {}
        self.render()

    def render(self, event: Any = None) -> None:
        """Draw what is there now."""
        track, current = self._controller.hands.track, self._reviewing.current
        self.headline.setVisible(not current)
        self.begin.setEnabled(track is not None and not self._reviewing.looking)
        self.against.setEnabled(track is not None)
        way = QBoxLayout.Direction.LeftToRight if current else QBoxLayout.Direction.TopToBottom
        self.acts.setDirection(way)  # the list needs the room
        self.begin.setText("Look again" if current else "Find what to look at")
        say(self.words, self._words(current))
        rows = self._reviewing.rows
        say(self.finished, "" if track is None else of_image(rows, track.row.grid, track.row.spacing))
        self.parts.setVisible(current)
        self.mirror.setVisible(current)
        self.order.setVisible(current)
        self.queue.worst_first = self._reviewing.order == "worst"
        if current:
            self.mirror.render()
            self._draw(rows)
        seen_all = bool(self.queue.model.suspects) and not self.queue.model.left
        dress(self.begin, "main" if seen_all or not current else "")

    def _draw(self, rows: Mapping[str, Entry]) -> None:
        """The queue and the table of the mask in hand."""
        seen, before = self._reviewing.seen, self._shown
        if seen is not before:
            self._shown, self._rows = seen, rows
            assert seen.annotation is not None
            assert seen.table is not None
            self.queue.look_at(seen.annotation.image, seen.annotation.labels)
            if seen.verdicts is before.verdicts:
                if seen.moved is None or self.queue.model.suspects is not seen.earlier:
                    self.queue.keep_up(seen.suspects, rows, seen.table.classes)
                else:
                    self.queue.model.move(seen.suspects, seen.moved)
                    self.queue.follow(rows)
                self.queue.changed(seen.changed())
                self.queue.redraw(seen.near(self.queue.model.pictured))
            else:
                self.queue.render(
                    seen.suspects, said=rows, classes=seen.table.classes, verdicts=seen.verdicts, done=seen.done
                )
        elif rows is not self._rows:
            self._rows = rows
            self.queue.follow(rows)
        self.table.said = rows
        if self.table.model.table is not (table := self._reviewing.table()):
            self.table.render(table)

    def _words(self, current: bool) -> str:
        if self._reviewing.trouble:
            return self._reviewing.trouble
        if self._reviewing.looking:
            return "Looking through the mask..."
        track = self._controller.hands.track
        if track is None:
            return "There is no mask yet: press Segment on the first page, or open one."
        if current:
            return self._found(track)
        what = self._kinds(track)
        return f"You get a list of the {what} that are most likely wrong, the worst first, each with the reasons."

    def _kinds(self, track: Track, count: int = 2) -> str:
        """What is judged in a mask."""
        one = count == 1
        if self._controller.recorder.counts_objects(track):
            return "object" if one else "objects"
        if len(track.row.grid) == 3:
            return "region or slice" if one else "regions and slices"
        return "region" if one else "regions"

    def _found(self, track: Track) -> str:
        seen = self._reviewing.seen
        suspects = [suspect for suspect in seen.suspects if suspect.key not in seen.before]
        done = seen.done + len(seen.suspects) - len(suspects)
        doubtful = sum(bool(suspect.reasons) for suspect in suspects)
        at = f"Time point {self._reviewing.seen.time}: " if track.row.times > 1 else ""
        if not seen.suspects:
            return f"{at}nothing to look at." if at else ""
        if not suspects:
            return f"{at}{done} seen before."
        if not doubtful:
            no, one = "there" if at else "There", len(suspects) == 1
            these = f"this {self._kinds(track, 1)}" if one else f"any of these {len(suspects)}"
            return f"{at}{no} is no reason to doubt {these}."
        rest = len(suspects) - doubtful
        what = self._kinds(track, doubtful)
        before = f", {done} seen before" if done else ""
        return f"{at}{doubtful} {what} with a reason to doubt" + (f", {rest} without" if rest else "") + f"{before}."

    def _edited(self, labels: tuple[int, ...]) -> None:
        """Accepting what was just edited is no "right as it was"."""
        self.queue.changed(suspect.key for suspect in self._reviewing.seen.suspects if suspect.label in labels)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._reviewing.watched = True

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self._reviewing.watched = False

    def _act(self, what: str) -> None:
        """A key pressed over the image: it is about what this page shows, of the mask in hand."""
        track, suspect = self._controller.hands.track, self.queue.current
        if track is not None and self._reviewing.current and suspect is not None and what in STATES:
            self._judge(track.layer, suspect, what)
        elif self._reviewing.current:
            self.queue.act(what)
        elif self._reviewing.seen.suspects and track is not None:
            notice.say(self._controller.viewer, "This is another mask than the one that was looked through")

    def _judge(self, layer: Any, suspect: Suspect, what: str) -> None:
        """A verdict is about what a person sees: what is out of view is shown first."""
        title = self._title(suspect)
        if not is_seen(layer):
            words = HIDDEN.format(name=layer.name)
        elif not self._reviewing.shows(suspect):
            self._reviewing.go_to(suspect)
            words = f"{title} was out of view; press {KEYS[what][0]} again to {what} it"
        elif suspect.label and not is_drawn(layer, suspect.label):
            words = UNSEEN
        else:
            self.queue.act(what)
            words = f"{title} {STATES[what]}"
        notice.say(self._controller.viewer, words)

    def _fix(self, suspect: Any) -> None:
        self._reviewing.go_to(suspect)
        self._controller.asked_for.emit("Correct")
        title = self._title(suspect)
        notice.say(self._controller.viewer, f"Correct {title[:1].lower()}{title[1:]}, then press A to accept it")

    def _compare(self) -> None:
        track, controller = self._controller.hands.track, self._controller
        if track is not None:
            if self._dialog is None:
                self._dialog = AgainstDialog(controller.viewer, controller.recorder, controller.against, self.window())
            self._dialog.show_for(track.layer)

    def _title(self, suspect: Suspect) -> str:
        title = self.queue.model.title(self.queue.model.row_of(suspect.key))
        return title[:1].upper() + title[1:]


def _order_box() -> QComboBox:
    """What comes first in the queue."""
    box = QComboBox()
    box.setAccessibleName("What comes first")
    for words, order, tip in _ORDERS:
        box.addItem(words, order)
        box.setItemData(box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
    box.setToolTip("\n".join(f"{words}: {tip}" for words, _, tip in _ORDERS))
    return box
