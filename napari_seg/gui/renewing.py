"""New labels of a model go under a person's work: what somebody painted, erased or accepted stays as it is.

What has to change is worked out in a thread, on a copy. A stroke that is painted meanwhile is seen when the answer
comes, and it is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_seg.editing.annotation import Annotation, Box
from napari_seg.editing.edit import Edit
from napari_seg.editing.renewal import renewed
from napari_seg.gui.engine import Engine
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.gui.views import in_stroke
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID
from napari_seg.tasks.base import Labels

Edits = dict[int, Edit]
"""What changes, by time point."""


@dataclass(frozen=True, eq=False)
class Renewal:
    """``labels`` of a model for a mask, all of it or the box ``where`` over the layer's axes.

    ``tool`` says in the history what brought them. ``predicted``: by which model, and how; ``None`` for labels that
    others will follow in a moment, as while a threshold moves: together they are one step.
    """

    labels: Labels
    where: Box | None
    tool: str
    predicted: Predicted | None


class Renewing:
    """One for each window."""

    def __init__(self, recorder: Recorder, engine: Engine) -> None:
        self._recorder, self._engine = recorder, engine

    def put(self, track: Track, renewal: Renewal, then: Callable[[], None]) -> None:
        """Show new labels, and keep them; ``then`` is called when that is done."""
        if self._recorder.track(track.layer) is not track:
            then()
            return
        if self._is_at_work(track):
            self._engine.later(lambda: None, lambda _: self.put(track, renewal, then))
            return
        self._recorder.sweep()  # what another program has written counts as said, too
        row, plane = track.row, track.plane + SAID
        rows, version = self._recorder.rows(track), track.version
        frozen = {}
        for time in self._times(track, renewal):
            found = self._recorder.annotation(track, time)
            frozen[time] = replace(found, labels=found.labels.copy(), extents=found.extents.copy())

        def work_out(said: list[Labels]) -> None:
            self._engine.later(lambda: _edits(frozen, said, renewal, len(row.grid)), show)

        def show(edits: Edits) -> None:
            if self._recorder.track(track.layer) is not track:
                then()
            elif self._is_at_work(track):
                self._engine.later(lambda: None, lambda _: show(edits))
            elif self._recorder.renew(track, edits, renewal.tool, renewal.predicted, lambda: still(edits)):
                then()
            else:
                self.put(track, renewal, then)

        def still(edits: Edits) -> bool:
            """Whether nobody has changed anything, or said anything of an object, since that was worked out."""
            same = track.version == version and self._recorder.rows(track) == rows
            return same and not any(_stale(track, time, edit) for time, edit in edits.items())

        # asked after all strokes that are in the copy: what a person has said is never older than the labels
        self._recorder.ask(track, lambda store: [store.labels(row.id, plane, t) for t in range(row.times)], work_out)

    def _is_at_work(self, track: Track) -> bool:
        """Whether a person is in the middle of a stroke: it is seen, and not yet what was said."""
        return track.provisional or in_stroke(track.layer)

    def _times(self, track: Track, renewal: Renewal) -> range:
        if renewal.where is None or len(renewal.where) == len(track.row.grid):
            return range(track.row.times)
        return range(renewal.where[0].start or 0, renewal.where[0].stop or track.row.times)


def _edits(frozen: dict[int, Annotation], said: list[Labels], renewal: Renewal, ndim: int) -> Edits:
    """In a thread: what changes at each time point."""
    edits = {}
    for number, (time, annotation) in enumerate(frozen.items()):
        labels = renewal.labels[number] if renewal.labels.ndim > ndim else renewal.labels
        box: Any = None if renewal.where is None else _whole_sides(renewal.where[-ndim:], annotation.grid)
        edits[time] = renewed(annotation, labels, said[time] > 0, box, renewal.tool)
    return edits


def _whole_sides(box: Box, grid: tuple[int, ...]) -> Box:
    """A box in which every side has a start and a stop."""
    return tuple(slice(*side.indices(n)[:2]) for side, n in zip(box, grid, strict=True))


def _stale(track: Track, time: int, edit: Edit) -> bool:
    """Whether somebody changed what an edit is about without telling."""
    frame = track.frames[time]
    return any(not np.array_equal(frame[patch.box], patch.before) for patch in edit.patches)
