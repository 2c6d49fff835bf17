"""A review without widgets: what is suspicious, what each object measures, going there, and what was said of it.

Looking through a mask takes seconds on a large one, so it is done in a thread, on copies; what comes late, about an
older state, is dropped by its number.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.editing.annotation import Annotation, Box, Entry, Extents, State
from napari_seg.editing.measures import Table, listed, measure
from napari_seg.editing.said import class_names
from napari_seg.editing.suspicion import Suspect, queue
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import CLASSES
from napari_seg.gui.hands import Hands
from napari_seg.gui.nearing import come_near
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.surroundings import Surroundings
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Past, Predicted
from napari_seg.session.provenance import last_prediction
from napari_seg.session.verdicts import verdicts

VERBS: dict[State, str] = {"accepted": "accept", "rejected": "reject", "flagged": "flag", "unseen": "ask again"}
"""What the history says of a verdict."""

_LEAST = 24
"""Voxels that are shown as large as that at the most, so that a speck is seen among its neighbours."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What was found in a mask. ``track`` is ``None`` before anything was looked at. ``verdicts``: see
    :func:`~napari_seg.session.verdicts.verdicts`. ``predicted``: what the model said last, if one did."""

    track: Track | None = None
    table: Table | None = None
    suspects: tuple[Suspect, ...] = ()
    states: dict[str, State] = field(default_factory=dict)
    image: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    verdicts: Mapping[str, bool] = field(default_factory=dict)
    predicted: Predicted | None = None

    @property
    def done(self) -> int:
        """How many were judged that are no longer in the queue."""
        return len(self.verdicts.keys() - {suspect.key for suspect in self.suspects})


class Reviewing:
    """One for each window."""

    changed = Signal()

    listed = Signal(str)
    """Only these rows of the table are to be shown: the text of a filter."""

    def __init__(self, viewer: Any, recorder: Recorder, hands: Hands, surroundings: Surroundings) -> None:
        self._viewer, self._recorder, self._hands, self._surroundings = viewer, recorder, hands, surroundings
        self._thread = ThreadPoolExecutor(1, "napari-seg-review")
        self._number = 0
        self._looking: tuple[int, Future[Seen] | None] | None = None
        self.seen = Seen()
        self._listed: tuple[Table | None, Mapping[str, Entry], Table | None] = (None, {}, None)
        self.trouble = ""

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
        time = self._time(track)
        self._number += 1
        number = self._number
        self._looking = number, None

        def look(frozen: dict[int, Annotation]) -> None:
            if self._number != number:
                return
            found = self._surroundings.annotation(track, time)
            copy = replace(found, labels=frozen[time].labels, rows=dict(found.rows))
            classes = class_names(tuple(track.layer.metadata.get(CLASSES, ())), found.rows)
            image, plane = track.row.id, track.plane
            asked = self._recorder.answer(
                track, lambda store: (verdicts(store, image, plane), last_prediction(store, image, plane))
            )
            differing = self._surroundings.differing(track, time)
            self._looking = number, self._thread.submit(_look, track, copy, classes, asked, differing)

        self._recorder.frozen(track, (time,), look)
        self.changed.emit()

    def table(self) -> Table | None:
        """What was measured, with what was said of each object until now; the same until something more is said."""
        found, track = self.seen.table, self.seen.track
        if found is None or track is None or self._recorder.track(track.layer) is not track:
            return found
        rows = self._recorder.rows(track)
        if self._listed[0] is not found or self._listed[1] != rows:
            self._listed = found, rows, listed(found, rows)
        return self._listed[2]

    def list_rows(self, which: str) -> None:
        """Look anew, and show the rows of the table that a filter lets through."""
        self.look()
        self.listed.emit(which)

    def tick(self) -> None:
        """Bring in what the thread has found."""
        number, future = self._looking or (0, None)
        if future is None or not future.done():
            return
        self._looking = None
        if number == self._number:
            try:
                self.seen = future.result()
            except SegError as error:
                self.trouble = str(error)
            self.changed.emit()

    def go_to(self, suspect: Suspect) -> None:
        """Show a suspect in the middle of the view, large enough to be judged."""
        self._show(suspect.place, suspect.box, suspect.label)

    def go_to_label(self, label: int) -> None:
        """Show an object of the table."""
        table = self.seen.table
        row = None if table is None else table.row(label)
        if table is not None and row is not None:
            self._show(tuple(table.centre[row].tolist()), table.box(row), label)

    def judge(self, suspect: Suspect, state: State) -> None:
        """Keep what a person says of a suspect: one step of the history."""
        track = self.seen.track
        if track is not None:
            entry = self._recorder.rows(track).get(suspect.key, Entry())
            self._recorder.say(track, {suspect.key: replace(entry, state=state)}, VERBS[state])

    @property
    def seen_words(self) -> str:
        """``3 of 40 objects seen``, of the queue; empty where there is none."""
        track, suspects = self.seen.track, self.seen.suspects
        if track is None or not suspects or self._recorder.track(track.layer) is not track:
            return ""
        rows = self._recorder.rows(track)
        count = sum(suspect.key in rows and rows[suspect.key].state != "unseen" for suspect in suspects)
        return f"{count} of {len(suspects)} in the review seen"

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _time(self, track: Track) -> int:
        if track.layer.ndim == len(track.row.grid):
            return 0
        here = track.layer.world_to_data(np.asarray(self._viewer.dims.point, float)[-track.layer.ndim :])
        return int(np.clip(np.rint(here[0]), 0, track.row.times - 1))

    def _show(self, place: tuple[float, ...], box: Box, label: int) -> None:
        track = self.seen.track
        if track is None or track.layer not in self._viewer.layers:
            return
        layer = track.layer
        lead = (float(self._time(track)),) if layer.ndim > len(place) else ()
        world = np.asarray(layer.data_to_world((*lead, *place)), float)
        point = np.asarray(self._viewer.dims.point, float)
        point[-len(world) :] = world
        self._viewer.layers.selection.active = layer
        if label:
            track.make_room(label)
            layer.selected_label = label
        scale = np.abs(layer.scale[-len(box) :])
        sides = np.ones(len(point))
        sides[-len(box) :] = np.maximum([side.stop - side.start for side in box] * scale, _LEAST * scale.min())
        come_near(self._viewer, point, sides)


def _look(
    track: Track,
    annotation: Annotation,
    classes: tuple[str, ...],
    asked: Future[tuple[dict[str, bool], Past | None]] | None,
    differing: NDArray[Any] | None,
) -> Seen:
    """In a thread, on copies."""
    frozen = replace(annotation, extents=Extents(annotation.labels))
    table = measure(frozen, classes)
    suspects = tuple(queue(frozen, table if frozen.objects else None, differing))
    states = {key: entry.state for key, entry in frozen.rows.items()}
    said, past = ({}, None) if asked is None else asked.result()
    predicted = None if past is None else past.predicted
    return Seen(track, table, suspects, states, frozen.image, frozen.labels, said, predicted)
