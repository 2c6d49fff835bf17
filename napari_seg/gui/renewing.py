"""New labels of a model go under a person's work: what somebody painted, erased or accepted stays as it is.

What has to change is worked out in a thread, on a copy. A stroke that is painted meanwhile is seen when the answer
comes, and it is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_seg.editing.annotation import Annotation, Box, Entry
from napari_seg.editing.edit import Edit
from napari_seg.editing.renewal import renewed
from napari_seg.gui.engine import Engine
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID
from napari_seg.session.store import Store
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

    def put(self, track: Track, renewal: Renewal, then: Callable[[bool], None]) -> None:
        """Show new labels, and keep them; ``then`` hears when that is done, and whether anything is another now."""
        row, plane, times = track.row, track.plane + SAID, self._times(track, renewal)

        def read(store: Store) -> list[Labels]:
            return [store.labels(row.id, plane, t) for t in range(row.times)]

        def same() -> tuple[int, dict[str, Entry]]:
            """What is another when somebody changes something, or says something of an object."""
            return track.version, self._recorder.rows(track)

        worked_on: list[tuple[int, dict[str, Entry]]] = []

        def ask(frozen: dict[int, Annotation]) -> None:
            worked_on.append(same())

            def work_out(said: list[Labels]) -> None:
                self._engine.later(lambda: _edits(frozen, said, renewal, len(row.grid)), show, "edits")

            # after all strokes that are in the copy: what a person has said is never older than the labels
            self._recorder.ask(track, read, work_out)

        def show(edits: Edits) -> None:
            changes = any(edits.values())

            def shown(done: bool) -> None:
                if done or self._recorder.track(track.layer) is not track:
                    then(changes)
                else:
                    self.put(track, renewal, then)

            if self._recorder.track(track.layer) is not track:
                then(False)
            else:
                self._recorder.renew(track, edits, renewal.tool, renewal.predicted, still, shown)

        def still() -> bool:
            return same() == worked_on[0]

        # what another program has written counts as said, too
        self._recorder.sweep(lambda: self._recorder.frozen(track, times, ask))

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
