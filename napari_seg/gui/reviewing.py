"""A review without widgets: what is suspicious, what each object measures, going there, and what was said of it.

Looking through a mask takes seconds on a large one, so it is done in a thread, on copies; what comes late, about an
older state, is dropped by its number. What is written into the mask after that is followed in the same thread. Of a
film one time point is looked through, the one that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.editing.annotation import Annotation, Box, Entry, Extents, State
from napari_seg.editing.measures import Table, listed, measure, relisted
from napari_seg.editing.said import class_names, occurs
from napari_seg.editing.suspicion import Suspect, queue
from napari_seg.editing.teaching import most_to_learn
from napari_seg.errors import SegError
from napari_seg.gui.abreast import Order, Seen, abreast, ordered, others
from napari_seg.gui.hands import Hands
from napari_seg.gui.layers import CLASSES
from napari_seg.gui.nearing import is_on_screen, show_box
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.surroundings import Surroundings
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Past
from napari_seg.session.provenance import last_prediction
from napari_seg.session.reading import reading
from napari_seg.session.records import SAID, Place
from napari_seg.session.store import Store
from napari_seg.session.verdicts import changed_by_hand, verdicts
from napari_seg.tasks.base import Labels

VERBS: dict[State, str] = {"accepted": "accept", "rejected": "reject", "flagged": "flag", "unseen": "ask again"}
"""What the history says of a verdict."""


class Reviewing:
    """One for each window. ``watched``: somebody sees what was found, so that in a film it follows the time slider."""

    changed = Signal()

    picked = Signal(int)
    """The label that a person has chosen in the view."""

    listed = Signal(str)
    """Only these rows of the table are to be shown: the text of a filter."""

    def __init__(self, viewer: Any, recorder: Recorder, hands: Hands, surroundings: Surroundings) -> None:
        self._viewer, self._recorder, self._hands, self._surroundings = viewer, recorder, hands, surroundings
        self._thread = ThreadPoolExecutor(1, "napari-seg-review")
        self._number = 0
        self._looking: tuple[int, Future[Seen] | None] | None = None
        self._following: tuple[int, Future[Seen]] | None = None
        self._written: list[tuple[Track, Mapping[Place, Labels]]] = []
        self._watched: Any = None  # the layer in which labels are chosen
        self.seen = Seen()
        self.order: Order = "worst"
        self._listed: tuple[Table | None, Mapping[str, Entry], Table | None] = (None, {}, None)
        self.trouble = ""
        self.watched = False
        self._passing = -1  # the time point at the last tick
        recorder.written.connect(self._note)

    @property
    def current(self) -> bool:
        """Whether what was found is of the mask in hand."""
        track = self.seen.track
        if track is None or not self._is_kept(track) or self._hands.track is not track:
            return False
        found = self.seen.annotation
        return found is None or found.objects == self._recorder.counts_objects(track)

    @property
    def rows(self) -> Mapping[str, Entry]:
        """What was said, by the keys of rows, of the mask that was looked through, else of the one in hand."""
        track = self.seen.track if self.current else self._hands.track
        return {} if track is None else self._recorder.rows(track)

    @property
    def looking(self) -> bool:
        return self._looking is not None

    def look(self) -> None:
        """Look through the mask in hand, in a thread; :attr:`changed` tells when it is done."""
        track = self._hands.track
        if track is None:
            self.trouble = "There is no mask to review; press Segment first."
            self.changed.emit()
            return
        self.trouble = ""
        time = track.time_at(self._viewer.dims)
        self._number += 1
        number = self._number
        self._looking = number, None

        def look(frozen: dict[int, Annotation]) -> None:
            if self._number != number:
                return
            self._written.clear()  # the copy has it
            found = self._surroundings.annotation(track, time)
            copy = replace(found, labels=frozen[time].labels, rows=dict(found.rows))
            classes = class_names(tuple(track.layer.metadata.get(CLASSES, ())), found.rows)
            image, plane = track.row.id, track.plane
            asked = self._recorder.answer(track, lambda store: _asked(store, image, plane))
            differing = self._surroundings.differing(track, time)
            self._looking = number, self._thread.submit(_look, track, time, copy, classes, asked, differing)

        self._recorder.frozen(track, (time,), look)
        self.changed.emit()

    def sort(self, order: Order) -> None:
        """Show the queue in another order from now on."""
        self.order = order
        before, self.seen = self.seen, ordered(self.seen, order)
        if self.seen is not before:
            self.changed.emit()

    def table(self) -> Table | None:
        """What was measured, with what was said of each object until now; the same until something more is said."""
        found, track, annotation = self.seen.table, self.seen.track, self.seen.annotation
        if found is None or track is None or annotation is None or not self._is_kept(track):
            return found
        rows = self._recorder.rows(track)
        measured, before, shown = self._listed
        if measured is not found or shown is None:
            self._listed = found, rows, listed(found, rows, annotation.labels)
        elif rows is not before:
            self._listed = found, rows, relisted(shown, rows, others(before, rows), annotation.labels)
        return self._listed[2]

    def list_rows(self, which: str) -> None:
        """Look anew, and show the rows of the table that a filter lets through."""
        self.look()
        self.listed.emit(which)

    def tick(self) -> None:
        """Bring in what the thread has found, and hand it what was written since."""
        number, future = self._looking or (0, None)
        if future is not None and future.done():
            self._looking = None
            self._take(number, future)
        if self._following is not None and self._following[1].done():
            (number, followed), self._following = self._following, None
            self._take(number, followed)
        if self._written and self._looking is None and self._following is None:
            mine = [blocks for track, blocks in self._written if track is self.seen.track]
            self._written.clear()
            if mine:
                self._following = self._number, self._thread.submit(abreast, self.seen, mine)
        if self.current and not self.looking and self._is_resized():
            self.look()
        if self.watched and not self.looking and self.current:
            self._follow_time()

    def _is_resized(self) -> bool:
        """Whether a person has given voxels another size than that by which the mask was measured."""
        track, measured = self.seen.track, self.seen.annotation
        if track is None or measured is None:
            return False
        now = track.row.spacing or (1.0,) * len(track.row.grid)
        return (now, track.row.unit) != (measured.spacing, measured.unit)

    def _follow_time(self) -> None:
        """Where a film shows another time point than the one that was looked through, look at that, once it rests."""
        track = self.seen.track
        if track is not None and track.row.times > 1:
            here = track.time_at(self._viewer.dims)
            rests, self._passing = here == self._passing, here
            if rests and here != self.seen.time:
                self.look()

    @property
    def behind(self) -> bool:
        """Whether something was written that is not measured yet."""
        return bool(self._written) or self._following is not None

    def go_to(self, suspect: Suspect) -> None:
        """Show a suspect in the middle of the view, large enough to be judged."""
        self._show(suspect.place, suspect.box, suspect.label)

    def go_to_label(self, label: int) -> None:
        """Show an object of the table."""
        table = self.seen.table
        row = None if table is None else table.row(label)
        if table is not None and row is not None:
            self._show(tuple(table.centre[row].tolist()), table.box(row), label)

    def shows(self, suspect: Suspect) -> bool:
        """Whether something of a suspect lies in what the view shows now."""
        track = self.seen.track
        here = track is not None and track.time_at(self._viewer.dims) == self.seen.time
        return track is not None and here and is_on_screen(self._viewer, track.layer, suspect.box)

    def judge(self, suspect: Suspect, state: State) -> None:
        """Keep what a person says of a suspect: one step of the history."""
        self._say(suspect.key, VERBS[state], state=state)

    def comment(self, key: str, words: str) -> None:
        """Keep what a person writes of an object, a slice or a region: one step of the history."""
        self._say(key, "comment", comment=words.strip())

    @property
    def seen_words(self) -> str:
        """``3 of 40 objects seen``, of the queue; empty where there is none."""
        track, suspects, done = self.seen.track, self.seen.suspects, self.seen.done
        if track is None or not suspects or self._recorder.track(track.layer) is not track:
            return ""
        rows = self._recorder.rows(track)
        count = done + sum(suspect.key in rows and rows[suspect.key].state != "unseen" for suspect in suspects)
        return f"{count} of {done + len(suspects)} in the review seen"

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _say(self, key: str, what: str, **values: Any) -> None:
        track = self.seen.track
        if track is not None and self._is_kept(track):
            self._recorder.alter(track, key, what, **values)

    def _is_kept(self, track: Track) -> bool:
        return self._recorder.track(track.layer) is track

    def _note(self, track: Track, blocks: Mapping[Place, Labels]) -> None:
        """Something was written."""
        if self._looking is not None or track is self.seen.track:
            self._written.append((track, blocks))

    def _take(self, number: int, future: Future[Seen]) -> None:
        if number != self._number:
            return
        before = self.seen
        try:
            self.seen = ordered(future.result(), self.order)
        except SegError as error:
            self.trouble = str(error)
        if self.seen is not before or self.trouble:
            self._watch()
            self.changed.emit()

    def _watch(self) -> None:
        """Hear which label is chosen in the layer that was looked through."""
        layer = None if self.seen.track is None else self.seen.track.layer
        if layer is not self._watched:
            if self._watched is not None:
                self._watched.events.selected_label.disconnect(self._picked)
            self._watched = layer
            if layer is not None:
                layer.events.selected_label.connect(self._picked)

    def _picked(self, event: Any) -> None:
        self.picked.emit(int(event.source.selected_label))

    def _show(self, place: tuple[float, ...], box: Box, label: int) -> None:
        track = self.seen.track
        if track is None or track.layer not in self._viewer.layers:
            return
        self._viewer.layers.selection.active = track.layer
        if label:
            track.make_room(label)
            track.layer.selected_label = label
        show_box(self._viewer, track.layer, place, box, self.seen.time)


Asked = tuple[dict[str, bool], Past | None, set[int]]
"""What the session knows of a plane: its verdicts, its last prediction, the labels that were changed by hand."""


def _asked(store: Store, image: int, plane: str) -> Asked:
    return verdicts(store, image, plane), last_prediction(store, image, plane), changed_by_hand(store, image, plane)


def _look(
    track: Track,
    time: int,
    annotation: Annotation,
    classes: tuple[str, ...],
    asked: Future[Asked] | None,
    differing: NDArray[Any] | None,
) -> Seen:
    """In a thread, on copies."""
    frozen = replace(annotation, extents=Extents(annotation.labels))
    table = measure(frozen, classes)
    found = queue(frozen, table if frozen.objects else None, differing)
    suspects = tuple(sorted(found, key=lambda suspect: not suspect.reasons))  # what nothing can be said of comes last
    said, past, changed = ({}, None, set[int]()) if asked is None else asked.result()
    strokes = None if frozen.objects or asked is None else _changed_voxels(track, time)
    taught = most_to_learn(suspects, frozen, table, changed, strokes)
    orders: dict[Order, Sequence[Suspect]] = {"worst": suspects, "learning": taught}
    return Seen(
        track,
        time,
        frozen,
        table,
        suspects,
        suspects,
        verdicts=said,
        done=_done(said, suspects, frozen, table, film=track.row.times > 1),
        before=frozenset(one.key for one in suspects if frozen.rows.get(one.key, Entry()).state != "unseen"),
        predicted=None if past is None else past.predicted,
        differing=differing,
        ranks={order: {one.key: k for k, one in enumerate(several)} for order, several in orders.items()},
    )


def _done(
    judged: Mapping[str, bool], suspects: Sequence[Suspect], annotation: Annotation, table: Table, *, film: bool
) -> int:
    """How many were judged that are not in the queue; of a film, those that are there at this time."""
    keys = judged.keys() - {suspect.key for suspect in suspects}
    objects = set(table.labels.tolist()) if annotation.objects else set[int]()
    return sum(not film or occurs(key, annotation.labels, objects) for key in keys)


def _changed_voxels(track: Track, time: int) -> NDArray[Any] | None:
    """Where a person has changed something, from the session as it lies on the disk, where it can be read."""
    try:
        with reading(track.session.folder) as store:
            return store.labels(track.row.id, track.plane + SAID, time)
    except SegError:
        return None
