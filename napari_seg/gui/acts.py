"""What is done with a mask that is kept, as errands: a tool works, an edit is shown, a step is taken back, what nobody
told of is looked for. While one changes a mask, what is seen and what is kept differ; nobody else changes it then.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import partial
from typing import Any

from napari_seg.editing.annotation import Annotation, Entry
from napari_seg.editing.edit import Edit
from napari_seg.errors import SegError
from napari_seg.gui.errands import TICK, Errands, Steps
from napari_seg.gui.ledger import Ledger
from napari_seg.gui.portions import contents, copied, differing, joined, laying, looked_through, shown, written
from napari_seg.gui.track import Track
from napari_seg.gui.views import in_stroke
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID, Change, Place
from napari_seg.session.store import Store
from napari_seg.session.writer import Answer
from napari_seg.tasks.base import Labels

OTHERWISE = "{name} holds something else by now, so the new mask was not shown in it; segment again."
"""Said where a layer got other contents while a new mask was worked out for it."""


class Acts:
    """One for each window. ``gather`` hands over the last stroke; ``keeps`` says whether a layer is still kept."""

    def __init__(
        self, ledger: Ledger, errands: Errands, gather: Callable[[], None], keeps: Callable[[Track], bool]
    ) -> None:
        self._ledger, self._errands, self._gather, self._keeps = ledger, errands, gather, keeps

    def working(
        self,
        track: Track,
        begin: Callable[[], Callable[[], Edit]],
        then: Callable[[Edit | SegError], None],
        at_time: int,
    ) -> Steps[None]:
        while True:
            yield from looked_through(track, at_time, self._errands)
            version = track.version
            try:
                refuse_read_only(track)
                edit = yield self._errands.thread(begin())
            except Exception as error:
                if track.version != version:
                    continue  # it was changed under the tool, which may have seen a part of that
                if not isinstance(error, SegError):
                    raise
                then(error)
                return
            if track.version == version and (yield from self.applied(track, edit, at_time)):
                then(edit)
                return

    def applied(self, track: Track, edit: Edit, at_time: int) -> Steps[bool]:
        """Show an edit and keep it, if the layer still is as it was when the edit was made."""
        yield from self.quiet(track, within=True)  # what a stroke has painted so far may still be taken back
        with laying((track,)):
            if not (yield from shown(track, edit, at_time, self._errands)):
                return False
            blocks = yield from copied(track, (yield self._errands.thread(partial(places_of, track, edit, at_time))))
            self._ledger.put(track, edit.tool, blocks, rows_of(edit))
            return True

    def renewed(
        self,
        track: Track,
        freeze: Callable[[], Steps[dict[int, Annotation]]],
        work_out: Callable[[dict[int, Annotation], Mapping[int, Labels]], dict[int, Edit]],
        tool: str,
        predicted: Predicted | None,
        still: Callable[[], bool],
        wanted: Callable[[], bool],
    ) -> Steps[bool]:
        """Work out what a model says anew of a layer as it is, show it and keep it; whether that has changed anything.
        What is done meanwhile is heeded: then it is worked out again, while the layer is ``still`` one of its mask.
        Nothing is changed where it is not ``wanted`` any more.
        """
        row, plane = track.row.id, track.plane + SAID
        while still():
            yield from self._kept_where_it_differs(track, within=True)  # what another program has written is said, too
            frozen = yield from freeze()
            version, rows = track.version, self._ledger.rows(track)
            said = yield track.session.writer.call(partial(labels_at, row, plane, [*frozen]))
            edits = yield self._errands.thread(partial(work_out, frozen, said))
            yield from self.quiet(track, within=True)
            if not wanted():
                return False
            same = track.version == version and self._ledger.rows(track) == rows
            if same and (yield from self._renewed(track, edits, tool, predicted)):
                return any(edits.values())
        raise SegError(OTHERWISE.format(name=track.layer.name))

    def _renewed(self, track: Track, edits: Mapping[int, Edit], tool: str, predicted: Predicted | None) -> Steps[bool]:
        origin = None if predicted is None else predicted.origin(track.plane)
        rows: dict[str, Entry | None] = {}
        places: set[Place] = set()
        with laying((track,)):
            for at_time, edit in edits.items():
                if not (yield from shown(track, edit, at_time, self._errands)):
                    return False
                rows |= rows_of(edit)
                places |= yield self._errands.thread(partial(places_of, track, edit, at_time))
            blocks = yield from copied(track, places)
            self._ledger.put(track, tool, blocks, rows, said="keep", origin=origin, goes_on=True)
        return True

    def stepped(
        self,
        track: Track,
        same: list[Track],
        work: Callable[[Any], Change | None],
        reach: Callable[[Any], Container[Place] | None],
    ) -> Steps[None]:
        """A step back or forth, shown in all masks of the image.

        What nobody told of in the blocks that the step will ``reach`` (``None``: all) is kept first, as a step of its
        own: it would be overwritten.
        """
        with laying(same):
            among = yield track.session.writer.call(reach)
            for other in same:
                if places := (yield from self._differing(other, among)):
                    yield from self._kept_as_other(other, (yield from copied(other, places)))
            change: Change | None = yield track.session.writer.call(work)
            if change is None:
                return
            self._ledger.take_rows(track, change.rows)
            for other in same:
                yield from written(other, change.blocks, self._errands)
                self._ledger.written.emit(other, change.blocks)
        self._ledger.count(track)
        self._ledger.changed.emit()

    def answers(self, track: Track) -> Steps[bool]:
        """Whether the session of a layer answers; not while its disk takes nothing, as a full one."""
        yield from self.still(track)
        writer = track.session.writer
        answer = writer.call(lambda _: True)

        def wait() -> bool:
            try:
                return writer.unless_refused(answer)
            except SegError:
                return False

        answers: bool = yield self._errands.thread(wait)
        return answers

    def compared(self, track: Track) -> Steps[None]:
        """Keep what differs in a layer from what is kept of it."""
        while track.comparing:
            yield TICK
        track.comparing = True
        try:
            yield from self.quiet(track)
            if self._keeps(track) and not track.session.read_only:
                yield from self._kept_where_it_differs(track)
        finally:
            track.comparing = False

    def _kept_where_it_differs(self, track: Track, *, within: bool = False) -> Steps[None]:
        places = yield from self._differing(track)
        while places and self._keeps(track):  # else it was taken away, and kept with that
            yield from self.quiet(track, within=within)
            blocks = yield from copied(track, places)
            if self.is_quiet(track, within=within):
                yield from self._kept_as_other(track, blocks)
                return

    def _differing(self, track: Track, among: Container[Place] | None = None) -> Steps[list[Place]]:
        image, plane, times = track.row.id, track.plane, track.row.times
        names = yield track.session.writer.call(lambda store: store.names(image, plane, times))
        places: list[Place] = yield self._errands.thread(partial(differing, track, names, among))
        return places

    def _kept_as_other(self, track: Track, blocks: dict[Place, Labels]) -> Steps[None]:
        """Keep blocks that somebody else wrote."""
        self._ledger.put(track, "other", blocks)
        _, found = yield self._errands.thread(partial(contents, track, blocks))
        yield from joined(track, found)

    def quiet(self, track: Track, *, within: bool = False) -> Steps[None]:
        """Wait until nothing of a layer is under way, but for the errand ``within`` which that is asked."""
        while not self.is_quiet(track, within=within):
            yield TICK

    def is_quiet(self, track: Track, *, within: bool = False) -> bool:
        self._gather()
        busy = not within and self._errands.busy(track.key)
        return not (busy or in_stroke(track.layer) or track.in_hand)

    def still(self, track: Track) -> Steps[None]:
        """Wait until nothing changes a layer: until all is quiet, or what is under way cannot go on."""
        while not (self.is_quiet(track) or self.held_up(track)):
            yield TICK

    def held_up(self, track: Track) -> str:
        """Why what is under way with a layer cannot go on, as its session does not answer; empty where it can. Nothing
        of it is shown yet: an errand asks the session first."""
        held = self.is_quiet(track, within=True) and isinstance(self._errands.waits_for(track.key), Answer)
        return track.session.writer.hindrance() if held else ""


def refuse_read_only(track: Track) -> None:
    """Raise ``SegError`` for a layer of which nothing can be kept."""
    if track.session.read_only:
        raise SegError(track.session.read_only)


def places_of(track: Track, edit: Edit, at_time: int) -> set[Place]:
    """The blocks that an edit reaches into."""
    return track.touched(track.box_at(patch.box, at_time) for patch in edit.patches)


def rows_of(edit: Edit) -> dict[str, Entry | None]:
    return {key: after for key, (_, after) in edit.rows.items()}


def labels_at(image: int, plane: str, times: Iterable[int], store: Store) -> dict[int, Labels]:
    """What a session keeps of a plane, by time point."""
    return {time: store.labels(image, plane, time) for time in times}
