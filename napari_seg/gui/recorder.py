"""Keeps every change of every labels layer on the disk, whoever made it, and takes it back when asked.

The general pattern is: 1. a labels layer appears, and comes together with the session of its image (see
:mod:`~napari_seg.gui.attaching`); then it is open to painting, and kept. 2. An event says that something was painted:
the main thread copies the blocks it touched and hands them to the session's writer; that is one revision. 3. What
changed without an event is found by looking at some blocks now and then, all of them within a minute. 4. Undo and redo
are steps of the session; napari's own stack is kept empty.

Whatever may take long is an errand (see :mod:`~napari_seg.gui.errands`): it waits for what threads find, and copies and
writes voxels in portions. While one changes an image, nobody paints on it.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
from psygnal import Signal

from napari_seg.editing.annotation import Annotation, Box, Entry, label_of, object_key, unused
from napari_seg.editing.counting import counted
from napari_seg.editing.edit import Edit
from napari_seg.editing.meaning import MOST
from napari_seg.editing.said import NUMBERS, counts_objects
from napari_seg.errors import SegError
from napari_seg.gui.acts import Acts, labels_at, places_of, refuse_read_only, rows_of
from napari_seg.gui.arrivals import Found, same_image, volume_as_kept
from napari_seg.gui.attaching import Attaching
from napari_seg.gui.engine import Engine
from napari_seg.gui.errands import Errands, Steps
from napari_seg.gui.layers import OBJECTS, along_of
from napari_seg.gui.ledger import Ledger, Safe
from napari_seg.gui.meant import meant
from napari_seg.gui.notice import say
from napari_seg.gui.portions import copied, looked_through
from napari_seg.gui.sizes import Sizes
from napari_seg.gui.track import Track
from napari_seg.gui.views import (
    boxes_of,
    forget_steps,
    give_back_history,
    in_stroke,
    is_own_step,
    repaint,
    spare,
    take_over_history,
)
from napari_seg.gui.watch import Watch
from napari_seg.session.openings import afresh, went_out
from napari_seg.session.predicted import Predicted
from napari_seg.session.provenance import EXPORT, provenance
from napari_seg.session.records import Change, ImageRow, Place, plane_of
from napari_seg.session.session import Session
from napari_seg.session.store import Store
from napari_seg.session.writer import CLOSED as SESSION_CLOSED
from napari_seg.session.writer import PAUSE
from napari_seg.tasks.base import Labels

T = TypeVar("T")
P = ParamSpec("P")


CLOSED = "That step was made in a mask that is not open, which is shown again: {names}."

ANOTHER_SHOWN = (
    "{name} shows another image by now, and {masks} stays with the one before; press Segment or add a new mask for the "
    "new one."
)

LOCKED = "What is locked stayed as it was; unlock it to paint there or with it."

TOOLS = {"paint": "brush", "erase": "eraser", "fill": "fill", "polygon": "polygon"}
"""napari's tools by their mode, as the history names them."""


class Recorder:
    """One for each viewer."""

    changed = Signal()
    """The footer, the history or the rows are others than before."""

    safety = Signal(Safe)
    """How safe everything is, each time that it is otherwise than before, also where only the disk has filled."""

    written = Signal(Track, object)
    """A layer, and the blocks of it that are others now: copies that nobody writes to."""

    resumed = Signal(object, Found)
    """The layer of an image whose annotation was taken up again, and what was found of it."""

    noted = Signal(str)
    """Something that a person has to know of a mask, which is no trouble."""

    def __init__(self, viewer: Any, engine: Engine, who: str = "") -> None:
        self._viewer, self._engine = viewer, engine
        self._ledger = Ledger(who)
        self._ledger.changed.connect(self.changed.emit)
        self._ledger.written.connect(self.written.emit)
        self._errands = Errands(self._ledger.complain)
        self._errands.changed.connect(self._hold)
        self._errands.changed.connect(self.changed.emit)
        self._held: dict[Any, str] = {}  # layers that nobody may paint on for a moment, and their modes
        self._acts = Acts(self._ledger, self._errands, self._gather, self._keeps)
        self._watch = Watch(self._ledger, self._differs, self._acts.is_quiet)
        self._pictures = weakref.WeakKeyDictionary[Track, Callable[[], Any]]()  # what the images of masks showed
        self._marked: tuple[Track, str, Any] | None = None  # the last stroke, its tool and what napari tells of it
        self._closed = False
        self._told = Safe()
        overtaken = partial(self._take_array, said="keep")
        self._masks = Attaching(viewer, engine, self._ledger, self._follow, self._let_go, overtaken, self._in_turn)
        self._masks.changed.connect(self.changed.emit)
        self._masks.resumed.connect(self.resumed.emit)
        self._masks.noted.connect(self.noted.emit)
        self._masks.rejoined.connect(self._follow_image)
        self.arrivals = self._masks.arrivals
        self.sizes = Sizes(viewer, engine, self.arrivals)
        viewer.layers.events.removed.connect(self._removed)
        viewer.mouse_drag_callbacks.append(self._pressed)
        for layer in list(viewer.layers):
            self.sizes.came(layer)
            self.arrivals.came(layer)

    # what others ask

    def track(self, layer: Any) -> Track | None:
        """How a layer is kept; ``None`` where it is not, or not yet."""
        return self._masks.tracks.get(layer)

    def tracks(self) -> list[Track]:
        return list(self._masks.tracks.values())

    @property
    def meant(self) -> Track | None:
        """The mask that tools are for."""
        return meant(self._viewer, self.track)

    def together(self, image: Any) -> list[Any]:
        """The layers of an image and of its masks that are open."""
        masks = [track.layer for track in self.tracks() if same_image(track.image, image)]
        return [layer for layer in self._viewer.layers if layer in masks or same_image(layer, image)]

    def shows_its_image(self, track: Track) -> bool:
        """Whether the layer of its image shows what it did when the mask came: another program may have given it
        another array."""
        picture = self._pictures.get(track)
        return picture is None or track.image is None or picture() is volume_as_kept(track.image).data

    @property
    def who(self) -> str:
        """The name that a person gave."""
        return self._ledger.who

    @property
    def rests(self) -> bool:
        """Whether all that was handed over has been answered."""
        return not (self._ledger.waits or self._errands.any)

    @property
    def at_work(self) -> bool:
        """Whether a mask is being changed, or will be in a moment, and that could not be given up."""
        return self._errands.must_end or any(track.laying for track in self._masks.tracks.values())

    def busy(self, track: Track) -> str:
        """What is done with the image of a layer at the moment, so that it cannot be changed; empty for nothing."""
        words = self._errands.words(track.key)
        if self._errands.may_be_given_up(track.key):
            return f"{words} is at work; Escape gives it up."
        return words and f"{words}; one moment."

    @property
    def safe(self) -> Safe:
        """How safe everything is that was done in this window, and what is kept of the image of the mask that is meant;
        of any, where all masks are closed."""
        states = [session.writer.kept for session in list(self.arrivals.sessions.values())]  # also of closed layers
        troubles = [state.trouble for state in states if state.trouble] or [self._ledger.trouble]
        track = self.meant
        at = None if track is None and self.tracks() else self._ledger.changed_at(track)
        steps = self._ledger.steps(track)
        waiting, lost = sum(state.waiting for state in states), sum(state.lost for state in states)
        return Safe(at, steps, waiting, troubles[0], lost, self._masks.waiting)

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
            times=track.row.times,
            spacing=track.row.spacing or (1.0,) * len(track.row.grid),
            unit=track.row.unit,
            along=along_of(track.about),
            rows=rows,
            locked=self.locked(track),
            following=unused(track.largest, rows),
            elsewhere=lambda label: track.elsewhere(label, time),
            **known,
        )

    def counts_objects(self, track: Track) -> bool:
        """Whether the numbers of a layer count objects; else they are classes."""
        return counts_objects(bool(track.layer.metadata.get(OBJECTS, True)), self.rows(track))

    def new_in_hand(self, track: Track) -> bool:
        """Whether what is painted next is a new object."""
        return self.counts_objects(track) and track.layer.selected_label > track.largest_known

    def take_new(self, track: Track) -> None:
        """Paint with a number from now on that no object has."""
        number = unused(track.largest, self.rows(track))
        track.make_room(number)
        track.layer.selected_label = number

    def locked(self, track: Track) -> frozenset[int]:
        """The labels of a layer that neither gain nor lose a voxel."""
        rows = self.rows(track).items()
        return frozenset(int(key.split()[1]) for key, entry in rows if _is_locked_object(key, entry))

    def is_locked(self, track: Track, label: int) -> bool:
        return self._ledger.row(track, object_key(label)).locked

    def ask(
        self,
        track: Track,
        work: Callable[[Store], T],
        then: Callable[[T], None],
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """Ask the session of a layer something, after all that was done before; ``then`` hears the answer at a later
        :meth:`tick`. What cannot be answered is told in :attr:`safe`, and ``failed`` hears it."""
        self._gather()
        if not track.session.writer.closed:
            self._ledger.after(track.session.writer.call(work), then, failed)
        elif failed is not None:
            failed(SESSION_CLOSED)

    def answer(self, track: Track, work: Callable[[Store], T]) -> Future[T] | None:
        """The same for a thread that waits for it; ``None`` where the session is closed."""
        self._gather()
        return None if track.session.writer.closed else track.session.writer.call(work)

    # what is done

    def work(
        self,
        track: Track,
        title: str,
        begin: Callable[[], Callable[[], Edit]],
        then: Callable[[Edit | SegError], None],
        at_time: int = 0,
    ) -> None:
        """Let a tool make an edit in a thread, show it and keep it: one step of the history.

        ``begin`` returns what the thread has to do, of the layer as it is. Where that is changed before the edit is
        there, it is done again. ``then`` hears of the edit, or why there is none.
        """
        self._gather()
        working = self._acts.working(track, begin, self._while_open(then), at_time)
        self._errands.begin(track.key, working, title, optional=True)

    def look_through(self, track: Track, at_time: int = 0) -> bool:
        """See to it that tools know where each label of a layer lies; whether they do now."""
        if at_time not in track.extents:
            self._errands.beside(looked_through(track, at_time, self._errands))
        return at_time in track.extents

    def apply(self, track: Track, edit: Edit, at_time: int = 0) -> None:
        """Show an edit and keep it: one step of the history."""
        refuse_read_only(track)
        self._gather()
        self._errands.begin(track.key, self._acts.applied(track, edit, at_time), "Showing the change")

    def give_up(self, track: Track) -> bool:
        """Give up what a tool does with an image; whether there was something that could be given up."""
        return self._errands.give_up(track.key)

    def sketch(self, track: Track, edit: Edit, at_time: int = 0) -> None:
        """Show an edit that is not done yet, such as the beginning of a stroke; :meth:`keep` it, or its inverse."""
        refuse_read_only(track)
        self._gather()
        track.in_hand = True
        track.patch(edit.patches, at_time)

    def keep(self, track: Track, edit: Edit, at_time: int = 0) -> None:
        """Make one step of all that was sketched in the boxes of an edit, and of its rows."""
        track.in_hand = False
        self._ledger.put(track, edit.tool, track.copies(places_of(track, edit, at_time)), rows_of(edit))

    def renew(
        self,
        track: Track,
        times: Iterable[int],
        work_out: Callable[[dict[int, Annotation], Mapping[int, Labels]], dict[int, Edit]],
        tool: str,
        predicted: Predicted | None,
        then: Callable[[bool], None] = lambda changes: None,
        failed: Callable[[str], None] = lambda why: None,
        *,
        wanted: Callable[[], bool] = lambda: True,
        asked: bool = False,
    ) -> None:
        """Show what a model says anew, by time point, and keep it: one step of the history, said by nobody.

        ``work_out`` finds it in a thread, from copies of the layer and of where a person has said something. Where
        that changes meanwhile, it is asked again; where it is not ``wanted`` any more, nothing is changed. ``then``
        hears whether anything is another now, ``failed`` why it could not be done. Without ``predicted`` others follow
        in a moment, as while a threshold moves: all of them are one step. ``asked``: a person has just asked for it, so
        what is said of objects from now on comes after it.
        """
        self._gather()
        data, new, times = track.layer.data, self.new_in_hand(track), tuple(times)

        def still() -> bool:
            return self._keeps(track) or track.layer.data is data  # else it was closed, as it was then

        def freeze() -> Steps[dict[int, Annotation]]:
            return self._frozen(track, times, within=True)

        def renewing() -> Steps[None]:
            try:
                changes = yield from self._acts.renewed(track, freeze, work_out, tool, predicted, still, wanted)
            except SegError as error:
                self._while_open(failed)(str(error))
                raise
            if new and not self.new_in_hand(track):
                self.take_new(track)
            self._while_open(then)(changes)

        self._errands.begin(track.key, renewing(), "Showing the new mask", heeds=not asked)

    def undo(self, layer: Any) -> None:
        self._step(layer, lambda track, at: lambda store: store.undo(track.row.id, at, self.who), Store.behind)

    def may_redo(self, track: Track) -> bool:
        """Whether there may be a step forward."""
        return self._ledger.may_redo(track)

    def redo(self, layer: Any) -> None:
        self._step(layer, lambda track, at: lambda store: store.redo(track.row.id, at, self.who), Store.ahead)

    def restore(self, layer: Any, revision: int) -> None:
        """Bring back how an image was at a revision (0: as it was opened): one more step of the history."""
        self._step(layer, lambda track, at: lambda store: store.restore(track.row.id, revision, at, self.who))

    def start_afresh(self, layer: Any) -> None:
        """Go back to how the masks of an image came: one more step of the history."""
        self._step(layer, lambda track, at: lambda store: afresh(store, track.row.id, at, self.who))

    def say(self, track: Track, rows: Mapping[str, Entry | None], what: str) -> None:
        """Change rows of the table alone, such as that an object is accepted."""
        self._gather()
        saying = _once(partial(self._ledger.put, track, what, {}, rows))
        self._errands.begin(track.key, saying, heeded=self._is_heeded(track))

    def alter(self, track: Track, key: str, what: str, **values: Any) -> None:
        """Change some values of one row, as it is when what is under way is done; a row that says nothing goes."""
        self._gather()
        altering = _once(partial(self._altered, track, key, what, values))
        self._errands.begin(track.key, altering, heeded=self._is_heeded(track))

    def lock(self, track: Track, label: int, locked: bool) -> None:
        """Let an object, or a class, neither gain nor lose a voxel from now on; or let it again."""
        key = object_key(label)
        entry = self._ledger.row(track, key)
        self.say(track, {key: replace(entry, locked=locked)}, "lock" if locked else "unlock")

    def mean(self, track: Track, *, objects: bool) -> None:
        """Say what the numbers of a layer mean from now on: one step of the history. Raises ``SegError`` where they are
        too many for classes."""
        if objects == self.counts_objects(track):
            return
        if not objects and track.largest > MOST:
            raise SegError(
                f"A mask has {MOST} classes at the most, and the numbers of this one go up to {track.largest}; leave "
                "them objects, or give its voxels smaller numbers first."
            )
        said = "objects" if objects else "classes"
        as_it_came = objects == bool(track.layer.metadata.get(OBJECTS, True))
        self.say(track, {NUMBERS: None if as_it_came else Entry(comment=said)}, f"numbers are {said}")

    def frozen(self, track: Track, times: Iterable[int], then: Callable[[dict[int, Annotation]], None]) -> None:
        """What a layer holds at one moment, for a thread: ``then`` gets annotations of copies, by time point."""
        self._errands.beside(self._freezing(track, tuple(times), self._while_open(then)))

    def hand_out(
        self, tracks: Sequence[Track], file: str, then: Callable[[list[Labels], Future[dict[str, Any]] | None], None]
    ) -> None:
        """Like :meth:`export`, without waiting, of masks of one image that go out together: ``then`` gets copies of the
        layers as they are at one moment, and the record of them, if one is kept."""
        self._errands.beside(self._handing_out(tracks, file, self._while_open(then)))

    def export(self, tracks: Sequence[Track], file: str) -> tuple[list[Labels], Future[dict[str, Any]]]:
        """Keep all of the masks of an image, and write into the log that they go out as ``file``, as they are now:
        copies of them. The record comes later: see :func:`~napari_seg.session.provenance.provenance`."""
        self._errands.finish(give_up=False)
        self._gather()
        labels = [track.layer.data.copy() for track in tracks]
        for track, copy in zip(tracks, labels, strict=True):
            self._keep_all(track, copy)
        return labels, self._going_out(tracks, file)

    def _going_out(self, tracks: Sequence[Track], file: str) -> Future[dict[str, Any]]:
        image, planes, at, who = tracks[0].row.id, [track.plane for track in tracks], time.time(), self.who

        def work(store: Store) -> dict[str, Any]:
            for plane in planes:
                store.note(image, at, who, EXPORT, file=file, **went_out(store, image, plane))
            return provenance(store, image, *planes)

        return tracks[0].session.writer.call(work)

    def rehome(
        self, tracks: list[Track], session: Session, row: ImageRow, fill: Callable[[Store], object]
    ) -> Future[bool]:
        """Keep the masks of an image as ``row`` of another session from now on, which ``fill`` first brings all that
        was kept of them. What is done while that happens comes after it, and what changed without an event is found
        there as it would be here."""
        self._errands.finish(give_up=False)
        self._gather()
        tracks = self._with_coming(tracks)
        last = tracks[0].session.writer.call(lambda _: None)
        done = session.writer.keep(lambda store: (last.result(PAUSE), fill(store)))
        for track in tracks:
            self._ledger.move(track, session, row.id)
            track.session, track.row = session, row
        self.changed.emit()
        return done

    def after(self, future: Future[T], then: Callable[[T], None], failed: Callable[[str], None] | None = None) -> None:
        """Call ``then`` with what a session answers, at a later :meth:`tick`; ``failed``, if it cannot."""
        self._ledger.after(future, then, failed)

    def go_back(self, tracks: list[Track], session: Session, row: ImageRow) -> None:
        """Keep masks where they were kept before :meth:`rehome`, which did not succeed, as they are now."""
        self._gather()
        for track in [track for track in self._with_coming(tracks) if self._masks.tracks.get(track.layer) is track]:
            self._ledger.move(track, session, row.id)
            track.session, track.row = session, row
            self._errands.beside(self._swept([track], lambda: None))

    def _with_coming(self, tracks: list[Track]) -> list[Track]:
        """Masks of an image, and those of it that came since."""
        return tracks + [track for track in self._masks.every if track not in tracks and track.key == tracks[0].key]

    def settle(self, seconds: float = 5.0) -> bool:
        """Wait until everything is on the disk, also what changed without an event: before the window closes."""
        self._errands.finish()
        self._gather()
        tracks = [track for track in self._masks.tracks.values() if not track.session.writer.closed]
        for track in tracks:
            self._keep_all(track, track.layer.data)
        until = time.monotonic() + seconds
        return all(track.session.writer.flush(max(0.0, until - time.monotonic())) for track in tracks)

    def tick(self) -> None:
        """Bring in what threads have found, and look at some blocks. Main thread only; call it often."""
        self._gather()
        self._ledger.collect()
        self._errands.tick()
        self._hold()
        self.arrivals.tick()
        self.sizes.tick()
        self._watch.tick(self.tracks(), self._active)
        if (safe := self.safe) != self._told:
            self._told = safe
            self.safety.emit(safe)

    def close(self) -> int:
        """Keep what is left and let go of all sessions; returns how many steps could not be kept."""
        if self._closed:
            return 0
        self._closed = True
        for signal in (self._errands.changed, self._ledger.changed, self._ledger.written):
            signal.disconnect()  # whoever listened may be gone with the window
        self._watch.settle()
        self.settle()
        self._errands.close()
        for layer in self._masks.tracks:
            give_back_history(layer)
        return self._masks.close()

    def _while_open(self, then: Callable[P, None]) -> Callable[P, None]:
        """Tell somebody something, unless the window is closed: they may be gone with it."""

        def tell(*about: P.args, **known: P.kwargs) -> None:
            if not self._closed:
                then(*about, **known)

        return tell

    # layers come and go

    def _follow(self, track: Track) -> None:
        """From now on every change of a layer is kept."""
        layer = track.layer
        take_over_history(layer, lambda: self.undo(layer), lambda: self.redo(layer))
        layer.events.paint.connect(self._painted)
        layer.events.data.connect(self._replaced)
        self._follow_image(track)

    def _follow_image(self, track: Track) -> None:
        track.about.events.scale.connect(self._resized)
        track.about.events.affine.connect(self._resized)
        track.about.events.units.connect(self._resized)
        if track.image is not None:
            self._pictures[track] = _without_holding(volume_as_kept(track.image).data)
            track.image.events.data.connect(self._another_shown)

    def _let_go(self, track: Track) -> None:
        """Keep no more of a layer than what it holds now."""
        self._held.pop(track.layer, None)
        give_back_history(track.layer)
        track.layer.events.paint.disconnect(self._painted)
        track.layer.events.data.disconnect(self._replaced)
        self._errands.begin(track.key, _once(partial(self._left, track)))

    def _removed(self, event: Any) -> None:
        self._gather()
        self._masks.gone(event.value, self._viewer.layers[event.index :])

    def sweep(self, then: Callable[[], None] = lambda: None, failed: Callable[[str], None] | None = None) -> None:
        """Keep what changed in any layer without an event, and call ``then``; or ``failed`` with what is told."""
        self._errands.beside(self._swept(self.tracks(), self._while_open(then), failed))

    def _keep_all(self, track: Track, labels: Labels) -> None:
        """Keep what changed in a layer without an event. Nobody may write to its ``labels`` until the session has done
        so. Of what is in the middle of a step the session holds all or nothing already."""
        if not (track.session.read_only or track.laying):
            self._ledger.put(track, "other", track.blocks_of(labels))

    def _left(self, track: Track) -> None:
        """Keep what changed without an event in a layer that was taken away."""
        if not (self._closed or track.in_hand):
            self._keep_all(track, track.layer.data)

    def _in_turn(self, track: Track, work: Callable[[], None]) -> None:
        """Do something after what is under way with an image, but for what may be given up."""
        self._errands.begin(track.key, _once(work), ahead=self._errands.may_be_given_up(track.key))

    def _look_through(self, track: Track) -> None:
        """Find out where each label lies, before somebody asks."""
        if track.row.times == 1:
            self.look_through(track)

    # changes

    def _resized(self, event: Any) -> None:
        """A person said how large a voxel is."""
        for track in self._masks.tracks.values():
            if track.about is event.source:
                found = volume_as_kept(event.source)
                row = track.row = replace(track.row, spacing=found.spacing or (), unit=found.unit)
                if not track.session.read_only:
                    track.session.writer.send(partial(_resize, row))

    def _another_shown(self, event: Any) -> None:
        """A layer was given another array. That is said once, as films are shown so too."""
        image = event.source
        tracks = [track for track in self._masks.tracks.values() if track.image is image]
        names = [track.layer.name for track in tracks if not self.shows_its_image(track)]
        if names:
            image.events.data.disconnect(self._another_shown)
            self.noted.emit(ANOTHER_SHOWN.format(name=image.name, masks=" and ".join(names)))

    def _painted(self, event: Any) -> None:
        track = self._masks.tracks.get(event.source)
        if track is None:
            return
        self._gather()  # what was painted before is in the array by now; this stroke perhaps not yet
        self._marked = track, TOOLS.get(str(track.layer.mode), "edit"), event.value

    def _pressed(self, viewer: Any, event: Any) -> None:
        """A stroke may begin, even before the next tick: the one before it is a step by itself."""
        self._gather()

    def _gather(self) -> None:
        """Copy the blocks that the last stroke touched and hand them over, without what it did to locked labels."""
        if self._marked is None:
            return
        (track, tool, stroke), self._marked = self._marked, None
        boxes = boxes_of(stroke)
        if spare(track.layer, stroke, self.locked(track)):
            repaint(track.layer, boxes)
            say(self._viewer, LOCKED)
        if track.laying:
            self._errands.begin(track.key, _once(partial(self._put_stroke, track, tool, boxes)))
        else:
            self._put_stroke(track, tool, boxes)

    def _put_stroke(self, track: Track, tool: str, boxes: list[Box]) -> None:
        forget_steps(track.layer)
        for box in boxes:
            for t, spatial in track.time_and_box(box):
                track.follow(t, tuple(side.start for side in spatial), track.frames[t][spatial])
        self._ledger.put(track, tool, track.copies(track.touched(boxes)))

    def _replaced(self, event: Any) -> None:
        """Somebody gave the layer another array."""
        track = self._masks.tracks.get(event.source)
        if track is None or is_own_step(track.layer):
            return
        self._marked = None  # its blocks are among those that follow
        forget_steps(track.layer)
        track.forget()
        self._take_array(track, "add")

    def _take_array(self, track: Track, said: Literal["add", "keep"]) -> None:
        data = track.layer.data
        if isinstance(data, np.ndarray) and track.fits(data):
            keeping = self._replaced_by(track, data, said)
            self._errands.begin(track.key, keeping, "Keeping the new contents", ahead=not track.laying)
        else:
            self._keep_no_more(track)

    def _keep_no_more(self, track: Track) -> None:
        """A layer holds something that cannot be kept."""
        words = "got another shape, or numbers that cannot be kept, so its changes are no longer kept; open it anew."
        self._held.pop(track.layer, None)
        self._masks.refuse(track, f"{track.layer.name} {words}")

    def _keeps(self, track: Track) -> bool:
        return not self._closed and self._masks.tracks.get(track.layer) is track

    @property
    def _active(self) -> Track | None:
        return self._masks.tracks.get(self._viewer.layers.selection.active)

    def _differs(self, track: Track) -> None:
        """Something was changed without an event."""
        if self._masks.tracks.get(track.layer) is track and not track.comparing:
            self._errands.beside(self._swept([track], lambda: None))

    def _step(
        self,
        layer: Any,
        work: Callable[[Track, float], Callable[[Any], Change | None]],
        reach: Callable[[Store, int], Container[Place] | None] = lambda store, image: None,
    ) -> None:
        """A step back or forth. ``reach``: the blocks of an image that it may change, ``None`` for all."""
        track = self._masks.tracks.get(layer)
        if track is None or in_stroke(layer) or track.in_hand or track.session.read_only:
            return  # what is under way comes to its end first
        self._gather()
        same = [other for other in self._masks.tracks.values() if other.key == track.key]
        stepping = self._stepped(track, same, work(track, time.time()), lambda store: reach(store, track.row.id))
        self._errands.begin(track.key, stepping, "Taking the step", heeded=self._is_heeded(track))

    def _stepped(
        self,
        track: Track,
        same: list[Track],
        work: Callable[[Any], Change | None],
        reach: Callable[[Store], Container[Place] | None],
    ) -> Steps[None]:
        made: list[Change] = []

        def take(store: Store) -> Change | None:
            change = work(store)
            made.extend([] if change is None else [change])
            return change

        yield from self._acts.stepped(track, same, take, reach)
        for change in made:
            self._show_closed(track, change)

    # errands

    def _altered(self, track: Track, key: str, what: str, values: Mapping[str, Any]) -> None:
        before = self._ledger.row(track, key)
        after = replace(before, **values)
        if after != before:
            self._ledger.put(track, what, {}, {key: None if after == Entry() else after})

    def _replaced_by(self, track: Track, data: Labels, said: Literal["add", "keep"]) -> Steps[None]:
        """Keep all of the array that somebody gave a layer."""
        if data.dtype.kind == "i" and (yield self._errands.thread(lambda: int(data.min(initial=0)))) < 0:
            if self._keeps(track) and track.layer.data is data:
                self._keep_no_more(track)
            return
        while track.layer.data.shape == data.shape:  # else it got yet another one, which is looked at by itself
            version = track.version
            rows = yield from self._said_of_others(track)
            blocks = yield from copied(track, track.all_places())
            if track.version == version:
                self._ledger.put(track, "replaced", blocks, rows, said=said)
                self._look_through(track)
                return

    def _said_of_others(self, track: Track) -> Steps[dict[str, None]]:
        """The rows of objects none of whose voxels is what it was before a layer got another array: what has their
        numbers now is something else."""
        rows, image, plane = self.rows(track), track.row.id, track.plane
        told = {label for key in rows if (label := label_of(key))} if self.counts_objects(track) else set[int]()
        there, left, frames = set[int](), set[int](), track.frames
        for at_time in range(track.row.times if told else 0):
            kept = yield track.session.writer.call(partial(labels_at, image, plane, [at_time]))
            found = yield self._errands.thread(partial(_met, kept[at_time], frames[at_time]))
            there |= found[0]
            left |= found[1]
        return {object_key(label): None for label in sorted(told & there - left)}

    def _swept(
        self, tracks: list[Track], then: Callable[[], None], failed: Callable[[str], None] | None = None
    ) -> Steps[None]:
        try:
            for track in tracks:
                yield from self._acts.compared(track)
        except SegError as error:
            if failed is not None:
                failed(str(error))
            raise
        then()

    def _freezing(
        self, track: Track, times: tuple[int, ...], then: Callable[[dict[int, Annotation]], None]
    ) -> Steps[None]:
        then((yield from self._frozen(track, times)))

    def _frozen(self, track: Track, times: tuple[int, ...], *, within: bool = False) -> Steps[dict[int, Annotation]]:
        """``within``: by an errand of that image itself."""
        for at_time in times:
            yield from looked_through(track, at_time, self._errands)
        while True:
            yield from self._acts.quiet(track, within=within)
            version, frames = track.version, track.frames
            copies = yield self._errands.thread(partial(_copies, frames, times))
            if track.version == version and self._acts.is_quiet(track, within=within):
                break
        known = {t: self.annotation(track, t) for t in times}
        return {t: replace(known[t], labels=copies[t], extents=known[t].extents.copy()) for t in times}

    def _is_heeded(self, track: Track) -> bool:
        """Whether what is done now is heeded by what a model says anew: that is not being shown yet."""
        return not (self._errands.may_be_overtaken(track.key) and track.laying)

    def _handing_out(
        self, tracks: Sequence[Track], file: str, then: Callable[[list[Labels], Future[dict[str, Any]] | None], None]
    ) -> Steps[None]:
        for track in tracks:
            if (yield from self._acts.answers(track)):
                yield from self._acts.compared(track)
        hindrance: str | None = None
        while hindrance is None:
            for track in tracks:
                yield from self._acts.still(track)
            before = self._at_the_moment(tracks)
            labels = yield self._errands.thread(partial(_copied, [track.layer.data for track in tracks]))
            if self._at_the_moment(tracks) == before:
                held_up = [self._acts.held_up(track) for track in tracks if not self._acts.is_quiet(track)]
                hindrance = next(iter(held_up), "") if all(held_up) else None
        if tracks[0].session.read_only:
            then(labels, None)
        else:  # what a session says after it has gone on is not of these labels
            then(labels, _refused(hindrance) if hindrance else self._going_out(tracks, file))

    def _at_the_moment(self, tracks: Iterable[Track]) -> list[tuple[int, Future[Any] | None]]:
        """What is another one as soon as anything was changed in the layers."""
        return [(track.version, self._errands.waits_for(track.key)) for track in tracks]

    def _hold(self) -> None:
        """Let nobody paint on an image while something is done with it that takes long."""
        for track in self._masks.tracks.values():
            layer = track.layer
            if self._errands.words(track.key) and not track.session.read_only and not in_stroke(layer):
                if layer.editable:
                    self._held.setdefault(layer, str(layer.mode))
                    layer.editable = False
            elif layer in self._held and not self._errands.busy(track.key):
                layer.editable = True
                layer.mode = self._held.pop(layer)

    def _show_closed(self, track: Track, change: Change) -> None:
        """A step that changes a mask that was closed shows that mask again."""
        found = Found(track.session, track.row, frozenset(), frozenset(), {}, 0)
        changed = {place.plane for place in change.blocks} | {plane_of(key) for key in change.rows}
        closed = changed - self._masks.open_planes(found) - {""}
        if closed:
            words = CLOSED.format(names=", ".join(sorted(closed)))
            self.arrivals.show_planes(track.about, found, closed, lambda: self.noted.emit(words))


def _copied(labels: Iterable[Labels]) -> list[Labels]:
    return [one.copy() for one in labels]


def _refused(words: str) -> Future[Any]:
    future = Future[Any]()
    future.set_exception(SegError(words))
    return future


def _once(work: Callable[[], object]) -> Steps[None]:
    """An errand that is over in a moment."""
    work()
    yield from ()


def _without_holding(data: Any) -> Callable[[], Any]:
    """What hands out an array while somebody else holds it."""
    try:
        return weakref.ref(data)
    except TypeError:  # of a kind that cannot be referred to so
        return lambda: data


def _resize(row: ImageRow, store: Store) -> None:
    store.resize_image(row.id, row.spacing, row.unit)


def _copies(frames: Labels, times: tuple[int, ...]) -> dict[int, Labels]:
    return {time: frames[time].copy() for time in times}


def _met(before: Labels, after: Labels) -> tuple[set[int], set[int]]:
    """The labels that there were or are, and those of them that some voxel has kept."""
    return {*counted(before), *counted(after)}, {*counted(before[before == after])}


def _is_locked_object(key: str, entry: Entry) -> bool:
    return entry.locked and key.startswith("object ") and key.removeprefix("object ").isdecimal()
