"""Keeps every change of every labels layer on the disk, whoever made it, and takes it back when asked.

The general pattern is: 1. a labels layer appears; a thread finds or makes the session of its image; what the layer
holds is laid down there, or what the session holds is shown in the layer. 2. An event says that something was painted:
the main thread copies the blocks it touched and hands them to the session's writer; that is one revision. 3. What
changed without an event is found by looking at some blocks now and then, all of them within a minute. 4. Undo and redo
are steps of the session; napari's own stack is kept empty.

All of it happens on the main thread but the reading and writing of files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from psygnal import Signal

from napari_seg.editing.annotation import Annotation, Box, Entry, Extents, object_key, unused
from napari_seg.editing.edit import Edit
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import CLASSES, MADE, OBJECTS, PLANE, PREDICTED, Arrivals, Found
from napari_seg.gui.engine import Engine
from napari_seg.gui.ledger import Ledger, Safe
from napari_seg.gui.track import Track
from napari_seg.gui.views import boxes_of, forget_steps, in_stroke, is_own_step, take_over_history
from napari_seg.gui.watch import Watch
from napari_seg.session.predicted import Predicted
from napari_seg.session.provenance import EXPORT, provenance
from napari_seg.session.records import Change, ImageRow, Plane, Step, plain
from napari_seg.session.session import Session
from napari_seg.session.store import Store

T = TypeVar("T")

PATIENCE = 0.08
"""Seconds that the main thread waits for a step back; longer ones arrive later, and painting waits for them."""

PAUSE = 1.0
"""Seconds that a session waits for another one's last step, before it tells so and waits on."""

TOOLS = {"paint": "brush", "erase": "eraser", "fill": "fill", "polygon": "polygon"}
"""napari's tools by their mode, as the history names them."""


class Recorder:
    """One for each viewer."""

    changed = Signal()
    """The footer, the history or the rows are others than before."""

    safety = Signal(Safe)
    """How safe everything is, each time that it is otherwise than before, also where only the disk has filled."""

    resumed = Signal(object, Found)
    """The layer of an image whose annotation was taken up again, and what was found of it."""

    def __init__(self, viewer: Any, engine: Engine, who: str = "") -> None:
        self._viewer, self._engine = viewer, engine
        self._ledger = Ledger(who)
        self._ledger.changed.connect(self.changed.emit)
        self._watch = Watch(self._ledger, self._differs)
        self._tracks: dict[Any, Track] = {}  # by layer
        self._marked: tuple[Track, str, list[Box]] | None = None  # the last stroke, its tool and the boxes it touched
        self._closed = False
        self._told = Safe()
        self.arrivals = Arrivals(viewer, engine)
        self.arrivals.attached.connect(self._attach)
        self.arrivals.resumed.connect(self.resumed.emit)
        self.arrivals.trouble.connect(lambda layer, words: self._ledger.complain(words, layer))
        viewer.layers.events.removed.connect(self._removed)
        viewer.mouse_drag_callbacks.append(self._pressed)
        for layer in list(viewer.layers):
            self.arrivals.came(layer)

    # what others ask

    def track(self, layer: Any) -> Track | None:
        """How a layer is kept; ``None`` where it is not, or not yet."""
        return self._tracks.get(layer)

    def tracks(self) -> list[Track]:
        return list(self._tracks.values())

    @property
    def who(self) -> str:
        """The name that a person gave."""
        return self._ledger.who

    @property
    def rests(self) -> bool:
        """Whether all that was handed over has been answered."""
        return not self._ledger.waits

    @property
    def safe(self) -> Safe:
        """How safe everything is that was done in this window."""
        states = [session.writer.kept for session in list(self.arrivals.sessions.values())]  # also of closed layers
        moments = [state.at for state in states if state.at is not None]
        troubles = [state.trouble for state in states if state.trouble] or [self._ledger.trouble]
        steps = self._ledger.steps(self._active or next(iter(self._tracks.values()), None))
        waiting, lost = sum(state.waiting for state in states), sum(state.lost for state in states)
        return Safe(max(moments, default=None), steps, waiting, troubles[0], lost)

    def rows(self, track: Track) -> dict[str, Entry]:
        """The object table of a layer, and what was said of its slices, boxes and case."""
        return self._ledger.rows(track)

    def annotation(self, track: Track, time: int = 0, **known: Any) -> Annotation:
        """What a tool looks at. ``known``: image and scores on the grid, where there are any."""
        rows = self.rows(track)
        extents = track.extents_at(time)
        return Annotation(
            track.frames[time],
            extents,
            objects=self.counts_objects(track),
            spacing=track.row.spacing or (1.0,) * len(track.row.grid),
            unit=track.row.unit,
            rows=rows,
            locked=self.locked(track),
            following=unused(track.largest, rows),
            elsewhere=lambda label: track.elsewhere(label, time),
            **known,
        )

    def counts_objects(self, track: Track) -> bool:
        """Whether the numbers of a layer count objects; else they are classes."""
        return bool(track.layer.metadata.get(OBJECTS, True))

    def locked(self, track: Track) -> frozenset[int]:
        """The labels of a layer that neither gain nor lose a voxel."""
        rows = self.rows(track).items()
        return frozenset(int(key.split()[1]) for key, entry in rows if _is_locked_object(key, entry))

    def is_locked(self, track: Track, label: int) -> bool:
        return self._ledger.row(track, object_key(label)).locked

    def ask(self, track: Track, work: Callable[[Store], T], then: Callable[[T], None]) -> None:
        """Ask the session of a layer something, after all that was done before; ``then`` hears the answer at a later
        :meth:`tick`. What cannot be answered is told in :attr:`safe`."""
        self._gather()
        if not track.session.writer.closed:
            self._ledger.after(track.session.writer.call(work), then)

    def answer(self, track: Track, work: Callable[[Store], T]) -> Future[T] | None:
        """The same for a thread that waits for it; ``None`` where the session is closed."""
        self._gather()
        return None if track.session.writer.closed else track.session.writer.call(work)

    # what is done

    def apply(self, track: Track, edit: Edit, at_time: int = 0) -> None:
        """Show an edit of one of our tools and keep it: one step of the history."""
        self.sketch(track, edit, at_time)
        self.keep(track, edit, at_time)

    def sketch(self, track: Track, edit: Edit, at_time: int = 0) -> None:
        """Show an edit that is not done yet, such as the beginning of a stroke; :meth:`keep` it, or its inverse."""
        if track.session.read_only:
            raise SegError(track.session.read_only)
        self._gather()
        track.provisional = True
        track.patch(edit.patches, at_time)

    def keep(self, track: Track, edit: Edit, at_time: int = 0) -> None:
        """Make one step of all that was sketched in the boxes of an edit, and of its rows."""
        track.provisional = False
        blocks = track.copies(track.touched(track.box_at(patch.box, at_time) for patch in edit.patches))
        self._ledger.put(track, edit.tool, blocks, {key: after for key, (_, after) in edit.rows.items()})

    def renew(
        self,
        track: Track,
        edits: Mapping[int, Edit],
        tool: str,
        predicted: Predicted | None,
        still: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Show what a model says anew, by time point, and keep it: one step of the history, said by nobody.

        Without ``predicted`` others follow in a moment, as while a threshold moves: all of them are one step. Nothing
        is done, and ``False`` returned, unless things are ``still`` as they were when the edits were worked out.
        """
        self._gather()
        if not still():
            return False
        rows: dict[str, Entry | None] = {}
        boxes = []
        for time_point, edit in edits.items():
            track.patch(edit.patches, time_point)
            boxes += [track.box_at(patch.box, time_point) for patch in edit.patches]
            rows |= {key: after for key, (_, after) in edit.rows.items()}
        origin = None if predicted is None else predicted.origin(track.plane)
        blocks = track.copies(track.touched(boxes))
        self._ledger.put(track, tool, blocks, rows, said="keep", origin=origin, goes_on=True)
        return True

    def undo(self, layer: Any) -> None:
        self._step(layer, lambda track, at: lambda store: store.undo(track.row.id, at, self.who))

    def redo(self, layer: Any) -> None:
        self._step(layer, lambda track, at: lambda store: store.redo(track.row.id, at, self.who))

    def restore(self, layer: Any, revision: int) -> None:
        """Bring back how an image was at a revision (0: as it was opened): one more step of the history."""
        self._step(layer, lambda track, at: lambda store: store.restore(track.row.id, revision, at, self.who))

    def say(self, track: Track, rows: Mapping[str, Entry | None], what: str) -> None:
        """Change rows of the table alone, such as that an object is accepted."""
        self._gather()
        self._ledger.put(track, what, {}, rows)

    def lock(self, track: Track, label: int, locked: bool) -> None:
        """Let an object, or a class, neither gain nor lose a voxel from now on; or let it again."""
        key = object_key(label)
        entry = self._ledger.row(track, key)
        self.say(track, {key: replace(entry, locked=locked)}, "lock" if locked else "unlock")

    def export(self, track: Track, file: str) -> Future[dict[str, Any]]:
        """Keep all of a layer, and write into the log that it goes out as ``file``, as it is now. The record of it
        comes later: see :func:`~napari_seg.session.provenance.provenance`."""
        self._gather()
        self._sweep(track)
        image, plane, at, who = track.row.id, track.plane, time.time(), self.who

        def work(store: Store) -> dict[str, Any]:
            store.note(image, at, who, EXPORT, file=file)
            return provenance(store, image, plane)

        return track.session.writer.call(work)

    def rehome(
        self, tracks: list[Track], session: Session, row: ImageRow, fill: Callable[[Store], object]
    ) -> Future[bool]:
        """Keep the masks of an image as ``row`` of another session from now on, which ``fill`` first brings all that
        was kept of them. What is done while that happens comes after it, and what changed without an event is found
        there as it would be here."""
        self._gather()
        last = tracks[0].session.writer.call(lambda _: None)
        done = session.writer.keep(lambda store: (last.result(PAUSE), fill(store)))
        for track in tracks:
            self._ledger.move(track, (session.folder, row.id))
            track.session, track.row = session, row
        self.changed.emit()
        return done

    def after(self, future: Future[T], then: Callable[[T], None]) -> None:
        """Call ``then`` with what a session answers, at a later :meth:`tick`."""
        self._ledger.after(future, then)

    def go_back(self, tracks: list[Track], session: Session, row: ImageRow) -> None:
        """Keep masks where they were kept before :meth:`rehome`, which did not succeed, as they are now."""
        self._gather()
        for track in [track for track in tracks if self._tracks.get(track.layer) is track]:
            self._ledger.move(track, (session.folder, row.id))
            track.session, track.row = session, row
            self._sweep(track)

    def settle(self, seconds: float = 5.0) -> bool:
        """Bring everything to the disk now, also what changed without an event: before predict, export and close."""
        self._gather()
        tracks = [track for track in self._tracks.values() if not track.session.writer.closed]
        for track in tracks:
            if not track.session.read_only:
                self._ledger.put(track, "other", track.everything())
        return all(track.session.writer.flush(seconds) for track in tracks)

    def tick(self) -> None:
        """Bring in what threads have found, and look at some blocks. Main thread only; call it often."""
        self._gather()
        self._ledger.collect()
        self.arrivals.tick()
        self._watch.tick(self.tracks(), self._active)
        if (safe := self.safe) != self._told:
            self._told = safe
            self.safety.emit(safe)

    def close(self) -> int:
        """Keep what is left and let go of all sessions; returns how many steps could not be kept."""
        if self._closed:
            return 0
        self._closed = True
        self._watch.settle()
        self.settle()
        return self.arrivals.close()

    # layers come and go

    def _attach(self, layer: Any, image: Any, found: Found) -> None:
        """Keep a layer from now on."""
        if self._closed or layer not in self._viewer.layers or layer in self._tracks:
            return
        plane = layer.metadata.get(PLANE) or self._free_name(plain(layer.name), found.row)
        try:
            track = Track(layer, found.session, found.row, plane, image)
        except SegError as error:
            self._ledger.complain(str(error), layer)
            return
        self._tracks[layer] = track
        self._ledger.open(track, found.rows, found.steps)
        take_over_history(layer, lambda: self.undo(layer), lambda: self.redo(layer))
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._replaced)
        if track.session.read_only:
            layer.editable = False
            layer.events.editable.connect(_stay_closed)
            self._ledger.complain(track.session.read_only, layer)
        elif plane in found.planes:
            self._take_up(track, found)
        else:
            self._lay(track)
        self.changed.emit()

    def _removed(self, event: Any) -> None:
        self._gather()
        self._ledger.forget(event.value)
        track = self._tracks.get(event.value)
        if track is not None:
            self._sweep(track)
            del self._tracks[event.value]
            track.layer.events.paint.disconnect(self._painted)
            track.layer.events.data.disconnect(self._replaced)
            self.changed.emit()

    def sweep(self) -> None:
        """Keep what changed in any layer without an event, without waiting for it."""
        self._gather()
        for track in self._tracks.values():
            self._sweep(track)

    def _sweep(self, track: Track) -> None:
        """Keep what changed in a layer without an event."""
        if not (self._closed or track.session.read_only or track.provisional):
            self._ledger.put(track, "other", track.everything())

    def _lay(self, track: Track) -> None:
        """Put down what a new layer holds, below all steps."""
        shown = track.layer.data
        frozen = shown.copy()
        objects = bool(track.layer.metadata.get(OBJECTS, True))
        classes = track.layer.metadata.get(CLASSES, ())
        blocks = track.blocks_of(frozen)
        image, plane, made = track.row.id, Plane(track.plane, objects, tuple(classes)), track.layer.metadata.get(MADE)
        predicted = track.layer.metadata.get(PREDICTED)
        origin = None if predicted is None else predicted.origin(plane.name)
        step = Step(made or "opened", time.time(), self.who, blocks, said="keep", origin=origin)
        found: dict[int, Extents] = {}

        def work(store: Store) -> None:
            store.put_plane(image, plane)
            store.commit(image, step) if made else store.lay(image, step)
            if track.row.times == 1:
                found[0] = Extents(frozen.reshape(track.row.grid))

        def then(kept: bool) -> None:
            if track.layer.data is shown and not track.stirred:
                track.extents = found | track.extents
            self._ledger.done(track, kept)

        self._ledger.after(track.session.writer.keep(work), then)

    def _take_up(self, track: Track, found: Found) -> None:
        """Show what the session holds of a layer that was opened again."""
        image, plane, times = track.row.id, track.plane, track.row.times

        def show(frames: list[Any]) -> None:
            kept = np.stack(frames).reshape(track.layer.data.shape)
            if np.array_equal(kept, track.layer.data):
                return
            if plane not in found.worked_on:  # the file holds something else than when it was opened last
                self._ledger.put(track, "opened", track.everything(), said="keep")
                return
            track.show(kept.astype(np.promote_types(kept.dtype, track.layer.data.dtype), copy=False))
            self.resumed.emit(track.layer if track.image is None else track.image, found)

        self._ledger.after(
            track.session.writer.call(lambda store: [store.labels(image, plane, t) for t in range(times)]), show
        )

    def _free_name(self, name: str, row: ImageRow) -> str:
        taken = {track.plane for track in self._tracks.values() if track.row == row}
        number = 1
        while (free := name if number == 1 else f"{name} {number}") in taken:
            number += 1
        return free

    # changes

    def _painted(self, event: Any) -> None:
        track = self._tracks.get(event.source)
        if track is None:
            return
        self._gather()  # what was painted before is in the array by now; this stroke perhaps not yet
        self._marked = track, TOOLS.get(str(track.layer.mode), "edit"), boxes_of(event.value)

    def _pressed(self, viewer: Any, event: Any) -> None:
        """A stroke may begin, even before the next tick: the one before it is a step by itself."""
        self._gather()

    def _gather(self) -> None:
        """Copy the blocks that the last stroke touched and hand them over."""
        if self._marked is None:
            return
        (track, tool, boxes), self._marked = self._marked, None
        forget_steps(track.layer)
        for box in boxes:
            for t, spatial in track.time_and_box(box):
                track.follow(t, tuple(side.start for side in spatial), track.frames[t][spatial])
        self._ledger.put(track, tool, track.copies(track.touched(boxes)))

    def _replaced(self, event: Any) -> None:
        """Somebody gave the layer another array."""
        track = self._tracks.get(event.source)
        if track is None or is_own_step(track.layer):
            return
        self._marked = None  # its blocks are among those that follow
        forget_steps(track.layer)
        track.extents = {}
        if tuple(track.layer.data.shape) in (track.row.grid, (track.row.times, *track.row.grid)):
            self._ledger.put(track, "replaced", track.everything())
        else:
            del self._tracks[track.layer]
            self._ledger.complain(
                f"{track.layer.name} got another shape, so its changes are no longer kept; open it anew.", track.layer
            )

    @property
    def _active(self) -> Track | None:
        return self._tracks.get(self._viewer.layers.selection.active)

    def _differs(self, track: Track) -> None:
        """Something was changed without an event."""
        if self._tracks.get(track.layer) is track:
            track.extents = {}
            self._ledger.put(track, "other", track.everything())

    def _step(self, layer: Any, work: Callable[[Track, float], Callable[[Any], Change | None]]) -> None:
        """A step back or forth: waited for while it is quick, else painting waits for it."""
        track = self._tracks.get(layer)
        if track is None or in_stroke(layer) or track.provisional or track.session.read_only:
            return  # what is under way comes to its end first
        self._gather()
        future = track.session.writer.call(work(track, time.time()))
        try:
            change = future.result(PATIENCE)
        except TimeoutError:
            layer.editable = False

            def late(change: Change | None) -> None:
                layer.editable = True
                self._show_change(track, change)

            self._ledger.after(future, late)
        except SegError as error:
            self._ledger.complain(str(error))
        else:
            self._show_change(track, change)

    def _show_change(self, track: Track, change: Change | None) -> None:
        if change is None:
            return
        for other in self._tracks.values():
            if other.key == track.key:
                other.write(change.blocks)
        self._ledger.take_rows(track, change.rows)
        self._ledger.count(track)
        self.changed.emit()


def _is_locked_object(key: str, entry: Entry) -> bool:
    return entry.locked and key.startswith("object ")


def _stay_closed(event: Any) -> None:
    """napari opens a layer to painting whenever it gets new data; not one of which nothing is kept."""
    if event.source.editable:
        event.source.editable = False
