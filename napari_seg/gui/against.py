"""A mask against a reference, such as the outlines of an expert: how alike they are, and where they differ.

Both are copied at one moment and compared in a thread; of a film the time point that is shown. The marks of what
differs are only shown, and nothing is written into either mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Annotation
from napari_seg.editing.said import class_names
from napari_seg.errors import SegError, as_bug, attempted
from napari_seg.evaluation.comparison import Comparison, compare
from napari_seg.evaluation.differences import EXTRA, MISSED, OTHER, Difference
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import CLASSES, MOVED, lies_elsewhere
from napari_seg.gui.nearing import show_box
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.state import Running
from napari_seg.gui.track import Track
from napari_seg.jobs import Progress, Steps
from napari_seg.tasks.base import Labels

T = TypeVar("T")

MARKS = "Differs from the reference"

COLOURS: Mapping[int | None, str] = {None: "transparent", MISSED: "#ff8c00", EXTRA: "#00bfff", OTHER: "#e377c2"}
"""Told apart with any kind of colour vision."""

_LANE = "reference"


class Against:
    """One for each window. ``outcome``: what was found last, of ``track`` against ``reference`` at ``time``;
    ``stale``: one of them was changed since; ``running``: how far it is; ``trouble``: why nothing was found."""

    changed = Signal()

    def __init__(self, viewer: Any, recorder: Recorder, engine: Engine) -> None:
        self._viewer, self._recorder, self._engine = viewer, recorder, engine
        self._number = 0
        self._marks: Any = None
        self.track: Track | None = None
        self.reference: Track | None = None
        self.outcome: Comparison | None = None
        self.running: Running | None = None
        self.time = 0
        self.stale = False
        self.trouble = ""
        recorder.written.connect(self._written)
        viewer.layers.events.removed.connect(self._removed)

    def references(self, track: Track) -> list[Any]:
        """The layers that a mask can be compared with, the topmost first."""
        known = map(self._recorder.track, reversed(self._viewer.layers))
        return [other.layer for other in known if other is not None and other is not track]

    def start(self, track: Track, layer: Any) -> None:
        """Compare a mask with another layer; :attr:`changed` tells when it is done."""
        self.end()
        reference = self._recorder.track(layer)
        if reference is None:
            self.trouble = f"{layer.name} is gone, or nothing is kept of it yet; choose another reference."
        else:
            self.track, self.reference = track, reference
            self.trouble = self._refusal(track, reference)
            if not self.trouble:
                self.running = Running(0, "Comparing")
                self._freeze(self._number)
        self.changed.emit()

    def end(self) -> None:
        """Take the marks away, and forget what was found; what is being compared is dropped."""
        self._number += 1
        self.track = self.reference = self.outcome = self.running = None
        self.stale = False
        self.trouble = ""
        marks, self._marks = self._marks, None
        taken_away(self._viewer, [marks] if marks is not None else [])
        self.changed.emit()

    def go_to(self, one: Difference) -> None:
        """Show a difference in the middle of the view."""
        if self.track is not None and self.outcome is not None and self.track.layer in self._viewer.layers:
            show_box(self._viewer, self.track.layer, one.place, one.box, self.time)

    def _refusal(self, track: Track, reference: Track) -> str:
        objects, other = map(self._recorder.counts_objects, (track, reference))
        if objects != other:
            one, two = (track, reference) if objects else (reference, track)
            names = f"The numbers of {one.layer.name} are objects, those of {two.layer.name} classes"
            return f"{names}; say on Correct what they are."
        alike = track.layer.data.shape == reference.layer.data.shape
        return f"{reference.layer.name} {MOVED}" if alike and lies_elsewhere(reference.layer, track.layer) else ""

    def _freeze(self, number: int) -> None:
        """Copy both masks, one after the other; then they are compared, if that is still wanted."""
        track, reference = self.track, self.reference
        assert track is not None
        assert reference is not None
        time, there = track.time_at(self._viewer.dims), reference.time_at(self._viewer.dims)
        self.time = time

        def begin(mask: Annotation, truth: Annotation) -> None:
            if number == self._number:
                self._begin(number, _still(track, mask.labels), _still(reference, truth.labels))

        def then(mask: Annotation) -> None:
            self._recorder.frozen(reference, (there,), lambda found: begin(mask, found[there]))

        self._recorder.frozen(track, (time,), lambda found: then(found[time]))

    def _begin(self, number: int, mask: Volume, reference: Volume) -> None:
        track = self.track
        assert track is not None
        objects = self._recorder.counts_objects(track)
        names, others = self._names(track), self._names(self.reference)

        steps = compare.steps(mask, reference, objects=objects, names=names, others=others)

        def go_on() -> None:
            self._engine.later(lambda: attempted(lambda: _next(steps)), then, _LANE, failed)

        def then(found: Progress | Comparison | SegError) -> None:
            if number != self._number:
                steps.close()
            elif isinstance(found, Progress):
                self.running = Running(found.fraction, f"Comparing: {found.message}" if found.message else "Comparing")
                self.changed.emit()
                go_on()
            else:
                self._take(found)

        def failed(error: Exception) -> None:
            then(SegError(as_bug(error)))

        go_on()

    def _names(self, track: Track | None) -> tuple[str, ...]:
        """Of the classes of a mask."""
        if track is None:
            return ()
        return class_names(tuple(track.layer.metadata.get(CLASSES, ())), self._recorder.rows(track))

    def _take(self, found: Comparison | SegError) -> None:
        self.running = None
        if isinstance(found, SegError):
            self.trouble = str(found)
        else:
            self.outcome = found
            self._mark(found)
        self.changed.emit()

    def _mark(self, outcome: Comparison) -> None:
        """Show what differs, over the mask."""
        track = self.track
        if track is None or track.layer not in self._viewer.layers or not outcome.found.listed:
            return
        marks = outcome.found.marks
        if track.row.times > 1:
            marks = np.zeros(track.layer.data.shape, np.uint8)
            marks[self.time] = outcome.found.marks
        marks = marks.reshape(track.layer.data.shape)
        colours = DirectLabelColormap(color_dict=dict(COLOURS))
        volume = volume_as_kept(track.layer)
        self._marks = shown_over(self._viewer, track.layer, volume, marks, MARKS, colormap=colours, opacity=0.75)

    def _written(self, track: Track, blocks: Any) -> None:
        if self.outcome is not None and not self.stale and track in (self.track, self.reference):
            self.stale = True
            self.changed.emit()

    def _removed(self, event: Any) -> None:
        if event.value is self._marks:
            self._marks = None
        elif any(track is not None and event.value is track.layer for track in (self.track, self.reference)):
            self.end()


def _next(steps: Steps[T]) -> Progress | T:
    """The next thing that is told of a job, or its result."""
    try:
        return next(steps)
    except StopIteration as stop:
        found: T = stop.value
        return found


def _still(track: Track, labels: Labels) -> Volume:
    """The labels of one time point of a mask, in its place."""
    volume = volume_as_kept(track.layer)
    volume = replace(volume, interval=None, channels=(), levels=(), name="", notes=())
    return replace(volume, data=labels.reshape(volume.grid), axes=volume.spatial)
