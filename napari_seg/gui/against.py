"""A mask against a reference, such as the outlines of an expert: how alike they are, and where they differ.

Both are copied at one moment and compared in a thread; of a film the time point that is shown. The marks of what
differs are only shown, and nothing is written into either mask.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from psygnal import Signal

from napari_seg.data.align import onto_grid
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Annotation
from napari_seg.editing.said import class_names
from napari_seg.errors import SegError, attempted
from napari_seg.evaluation.differences import EXTRA, MISSED, OTHER, Difference, Differences, differences
from napari_seg.evaluation.evaluate import InstanceReport, Report, evaluate
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import CLASSES, MOVED, lies_elsewhere
from napari_seg.gui.nearing import show_box
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.state import Running
from napari_seg.gui.track import Track
from napari_seg.gui.words import measured
from napari_seg.jobs import Progress, Steps, job
from napari_seg.tasks.base import Labels

T = TypeVar("T")

MARKS = "Differs from the reference"

COLOURS: Mapping[int | None, str] = {None: "transparent", MISSED: "#ff8c00", EXTRA: "#00bfff", OTHER: "#e377c2"}
"""Told apart with any kind of colour vision."""

_LANE = "reference"

_FIGURES = 0.8
"""The share of the time that the figures take."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What was found at a time point of a mask. ``names``: of the classes; ``notes``: what a person should know."""

    mask: Volume
    time: int
    names: tuple[str, ...]
    report: Report
    found: Differences
    notes: tuple[str, ...] = ()

    @property
    def objects(self) -> bool:
        """Whether the numbers count objects; else they are classes."""
        return isinstance(self.report, InstanceReport)

    @property
    def figures(self) -> list[tuple[str | float | None, ...]]:
        """A table with headings; ``None`` where there was nothing to measure."""
        report = self.report
        if isinstance(report, InstanceReport):
            case = report.per_case[0]
            row = case.ap["0.50"], case.mean_ap, case.precision, case.recall, case.f1, case.pq
            return [("AP 0.5", "AP 0.5-0.9", "Precision", "Recall", "F1", "PQ"), row]
        headings = {"dice": "Dice", "jaccard": "Jaccard", "hd95": f"HD95 {report.unit}", "assd": f"ASSD {report.unit}"}
        rows = [(self.name(int(label)), *found.values()) for label, found in report.per_class.items()]
        mean = [("mean", *report.mean.values())] if len(rows) > 1 else []
        return [("Class", *(headings[metric] for metric in report.mean)), *rows, *mean]

    def name(self, label: int) -> str:
        """What a label is called; nothing for the background."""
        if not label:
            return ""
        if self.objects:
            return str(label)
        return self.names[label - 1] if label <= len(self.names) else f"class {label}"

    def of(self, one: Difference) -> str:
        """Which class or object a difference is of, as in the reference, else as in the mask."""
        if self.objects:
            return f"reference {one.truth}" if one.truth else f"mask {one.found}"
        if one.truth and one.found:
            return f"{self.name(one.truth)}, not {self.name(one.found)}"
        return self.name(one.truth or one.found)

    def size(self, one: Difference) -> str:
        return measured(one.voxels, self.mask.ndim, self.mask.spacing, self.mask.unit)

    def figures_csv(self) -> str:
        return _csv(self.figures)

    def list_csv(self) -> str:
        """The differences, one line each; places are voxels, counted from 0."""
        axes = [axis.lower() for axis in self.mask.spatial]
        rows = [
            (one.what, self.name(one.truth), self.name(one.found), one.voxels, *(int(at) for at in one.place))
            for one in self.found.listed
        ]
        return _csv([("what", "in the reference", "in the mask", "voxels", *axes), *rows])


class Against:
    """One for each window. ``outcome``: what was found last, of ``track`` against ``reference``; ``stale``: one of
    them was changed since; ``running``: how far it is; ``trouble``: why nothing was found."""

    changed = Signal()

    def __init__(self, viewer: Any, recorder: Recorder, engine: Engine) -> None:
        self._viewer, self._recorder, self._engine = viewer, recorder, engine
        self._number = 0
        self._marks: Any = None
        self.track: Track | None = None
        self.reference: Track | None = None
        self.outcome: Outcome | None = None
        self.running: Running | None = None
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
            show_box(self._viewer, self.track.layer, one.place, one.box, self.outcome.time)

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

        def begin(mask: Annotation, truth: Annotation) -> None:
            if number == self._number:
                self._begin(number, time, _still(track, mask.labels), _still(reference, truth.labels))

        def then(mask: Annotation) -> None:
            self._recorder.frozen(reference, (there,), lambda found: begin(mask, found[there]))

        self._recorder.frozen(track, (time,), lambda found: then(found[time]))

    def _begin(self, number: int, time: int, mask: Volume, reference: Volume) -> None:
        track = self.track
        assert track is not None
        objects = self._recorder.counts_objects(track)
        names, others = self._names(track), self._names(self.reference)

        steps = compare.steps(mask, reference, time, objects=objects, names=names, others=others)

        def go_on() -> None:
            self._engine.later(lambda: attempted(lambda: _next(steps)), then, _LANE, failed)

        def then(found: Progress | Outcome | SegError) -> None:
            if number != self._number:
                steps.close()
            elif isinstance(found, Progress):
                self.running = Running(found.fraction, f"Comparing: {found.message}" if found.message else "Comparing")
                self.changed.emit()
                go_on()
            else:
                self._take(found)

        def failed(error: Exception) -> None:
            then(SegError(f"This is a bug in napari-seg: {type(error).__name__}: {error}"))

        go_on()

    def _names(self, track: Track | None) -> tuple[str, ...]:
        """Of the classes of a mask."""
        if track is None:
            return ()
        return class_names(tuple(track.layer.metadata.get(CLASSES, ())), self._recorder.rows(track))

    def _take(self, found: Outcome | SegError) -> None:
        self.running = None
        if isinstance(found, SegError):
            self.trouble = str(found)
        else:
            self.outcome = found
            self._mark(found)
        self.changed.emit()

    def _mark(self, outcome: Outcome) -> None:
        """Show what differs, over the mask."""
        track = self.track
        if track is None or track.layer not in self._viewer.layers or not outcome.found.marks.any():
            return
        marks = np.zeros(track.layer.data.shape, np.uint8)
        marks.reshape(-1, *outcome.found.marks.shape)[outcome.time] = outcome.found.marks
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


@job
def compare(
    mask: Volume, reference: Volume, time: int, *, objects: bool, names: tuple[str, ...], others: tuple[str, ...]
) -> Steps[Outcome]:
    """``names`` of the classes of the mask, and ``others`` of the reference. Raises ``SegError`` where the two do not
    lie on each other."""
    truth = onto_grid(reference, mask)
    measuring = evaluate.steps(truth, mask, "instance" if objects else "semantic", surfaces=not objects)
    report = yield from _as_a_part(measuring)
    yield Progress(_FIGURES, 1, "where they differ")
    spacing = mask.spacing or (1.0,) * mask.ndim
    found = differences(np.asarray(truth.data), np.asarray(mask.data), spacing, objects=objects)
    notes = (*report.notes, *(() if objects else _named_apart(names, others)))
    return Outcome(mask, time, names, report, found, notes)


def _as_a_part(steps: Steps[T]) -> Steps[T]:
    """The figures are the first part of it all."""
    try:
        while True:
            progress = next(steps)
            yield Progress(_FIGURES * progress.fraction, 1, progress.message.rpartition(": ")[2])
    except StopIteration as stop:
        found: T = stop.value
        return found


def _next(steps: Steps[T]) -> Progress | T:
    """The next thing that is told of a job, or its result."""
    try:
        return next(steps)
    except StopIteration as stop:
        found: T = stop.value
        return found


def _named_apart(names: tuple[str, ...], others: tuple[str, ...]) -> Iterator[str]:
    """A sentence where a class has one name in the mask and another one in the reference."""
    for label, (one, other) in enumerate(zip(names, others, strict=False), 1):
        if one != other and f"class {label}" not in (one, other):
            yield f"Class {label} is {one} in the mask and {other} in the reference; equal numbers were compared."
            return


def _still(track: Track, labels: Labels) -> Volume:
    """The labels of one time point of a mask, in its place."""
    volume = volume_as_kept(track.layer)
    volume = replace(volume, interval=None, channels=(), levels=(), notes=())
    return replace(volume, data=labels.reshape(volume.grid), axes=volume.spatial)


def _csv(rows: Sequence[tuple[Any, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
