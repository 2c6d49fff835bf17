"""One run after the other: from pressing Segment to the mask on the screen, with whatever may happen on the way."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from psygnal import Signal

from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.pace import Paces, TimeLeft
from napari_seg.gui.results import Mask, Target, blank, box_of, near_box, new_mask, pasted, planes_of, visible_box
from napari_seg.gui.state import Failure, Outcome, Running, Segment, Thresholds
from napari_seg.gui.words import amount, duration
from napari_seg.inference.forecast import forecast
from napari_seg.inference.predict import PredictSpec, Region
from napari_seg.jobs import Progress

AT_ONCE = 2**22
"""Images of up to this many pixels are decoded anew as a whole, larger ones first where they are seen."""

_EDITED = "The mask was changed by hand, so thresholds leave it alone; press Segment again for a new layer."


@dataclass(frozen=True, eq=False)
class Run:
    """A prediction under way or done. ``retried``: the engine died once, and it was begun again with smaller tiles."""

    order: int
    target: Target
    settings: PredictSpec
    region: Region | None
    time_left: TimeLeft = field(default_factory=TimeLeft)
    retried: bool = False


class Runs:
    """The run that is under way, the masks of earlier ones, and what is to be said about them."""

    changed = Signal()

    def __init__(self, viewer: Any, engine: Engine) -> None:
        self._viewer = viewer
        self._engine = engine
        self._run: Run | None = None
        self._done: Run | None = None  # the last one that came to its end: its scores can be decoded anew
        self._masks: dict[Any, list[Mask]] = {}
        self._running: Running | None = None
        self._outcome: Outcome | None = None
        self._failure: Failure | None = None
        self._wanted: Thresholds | None = None
        self._decoding: tuple[int, Region | None] | None = None  # order, and which part of the image
        self._paces = Paces()
        engine.said.connect(self._hear)

    @property
    def mask(self) -> Mask | None:
        """The mask of the last run, while its layer is there."""
        masks = self._alive(self._done.target) if self._done else []
        return masks[0] if masks else None

    def start(self, target: Target, settings: PredictSpec, region: Region | None, *, retried: bool = False) -> None:
        self._outcome, self._failure, self._wanted = None, None, None
        order = self._engine.order(
            "predict",
            image=target.volume,
            model=str(target.path),
            settings=settings.model_dump(mode="json"),
            region=_as_json(region),
        )
        self._run = Run(order, target, settings, region, retried=retried)
        words = "Memory ran out: once more with smaller tiles" if retried else "Starting"
        self._running = Running(0.0, words)
        self.changed.emit()

    def cancel(self) -> None:
        if self._run is not None:
            self._engine.cancel(self._run.order)
            self._running = Running(self._running.fraction if self._running else 0.0, "Stopping")
            self.changed.emit()

    def forget(self) -> None:
        """Another image or model was chosen: what came out of the last run is no longer what the page is about."""
        self._outcome, self._failure, self._wanted = None, None, None

    def redecode(self, thresholds: Thresholds) -> None:
        if self._outcome is not None and self._outcome.thresholds is not None:
            self._wanted = thresholds
            self._outcome = replace(self._outcome, thresholds=thresholds)

    def pace(self, target: Target, settings: PredictSpec) -> float | None:
        """Multiplications a second of earlier runs of this model with this device; ``None`` before the first."""
        return self._paces[_pace_key(target, settings)]

    def region(self, target: Target, kind: Literal["slice", "box", "near"]) -> Region:
        if kind == "near":
            return near_box(target, self._viewer)
        return visible_box(target.layer, target.volume, self._viewer.dims, camera_slice=kind == "slice")

    def describe(self, state: Segment) -> Segment:
        """The page with what is going on in it."""
        if self._running is not None:
            return replace(state, phase="running", running=self._running)
        if self._failure is not None:
            return replace(state, phase="failed", failure=self._failure)
        if self._outcome is not None and state.phase != "empty":
            return replace(state, phase="done", outcome=self._outcome)
        return state

    def tick(self) -> None:
        if self._wanted is not None and self._decoding is None and self._done is not None:
            wanted, self._wanted = self._wanted, None
            self._decode(self._done, wanted, self._seen_part(self._done))

    def _hear(self, message: Message) -> None:
        run = self._run
        if run is not None and message.order == run.order:
            match message:
                case Progressed(progress=progress):
                    self._running = Running(progress.fraction, _pace(progress, run.time_left))
                case Finished(answer=answer):
                    self._arrived(run, answer)
                case Cancelled():
                    self._over(Outcome("Cancelled", has_mask=False, lines=("Nothing was changed.",)))
                case Died(reason=reason):
                    self._died(run, reason)
                case Failed(sentence=sentence, traceback=traceback):
                    self._over(failure=Failure(sentence, traceback))
            self.changed.emit()
        elif self._decoding is not None and message.order == self._decoding[0]:
            self._decoded(message)
            self.changed.emit()

    def _over(self, outcome: Outcome | None = None, failure: Failure | None = None) -> None:
        self._run, self._running, self._outcome, self._failure = None, None, outcome, failure

    def _died(self, run: Run, reason: str) -> None:
        settings = run.settings.model_copy(update={"tile": _smaller(run)})
        if run.retried:
            cure = "close other programs, or choose a slice or the visible box under Options"
            self._over(failure=Failure(f"The engine stopped twice ({reason}); {cure}."))
        else:
            self.start(run.target, settings, run.region, retried=True)

    def _arrived(self, run: Run, answer: Mapping[str, Any]) -> None:
        """The labels are here; before they replace earlier ones a thread looks whether those were touched."""
        self._running = Running(1.0, "Showing the mask")
        cost = forecast(run.target.model, run.target.volume, run.settings, run.region)
        self._paces.learn(_pace_key(run.target, run.settings), cost, answer["seconds"])
        looks = [mask.look() for mask in self._alive(run.target)]
        self._engine.later(lambda: any(look() for look in looks), lambda touched: self._show(run, answer, touched))

    def _show(self, run: Run, answer: Mapping[str, Any], touched: bool) -> None:
        target, masks = run.target, self._alive(run.target)
        planes = planes_of(answer["labels"], answer["axes"], target.model.task.names)
        keep = touched or len(masks) != len(planes)
        new: list[Mask] = []
        for k, (name, labels) in enumerate(planes):
            if run.region is not None:
                old = blank(target) if keep else masks[k].layer.data
                labels = pasted(old, labels, box_of(run.region, target), objects=target.objects)
            if keep:
                new.append(new_mask(self._viewer, target, labels, name))
            else:
                masks[k].change(labels)
        self._masks[target.key] = new or masks
        self._done = run
        notes = tuple(answer["notes"])
        if touched and masks:
            notes = ("The mask before it was changed by hand and stays as it is; this is a new layer.", *notes)
        if run.retried:
            notes = ("Memory ran out once; smaller tiles were used.", *notes)
        self._over(_outcome(target, answer["sizes"], notes, _thresholds(target, answer["settings"]), answer))
        self.changed.emit()

    def _decode(self, run: Run, thresholds: Thresholds, part: Region | None) -> None:
        settings = {name: value for name, value in vars(thresholds).items() if value is not None}
        order = self._engine.order("redecode", prediction=run.order, thresholds=settings, region=_as_json(part))
        self._decoding = (order, part)

    def _decoded(self, message: Message) -> None:
        if isinstance(message, Progressed) or self._decoding is None:
            return
        (_, part), self._decoding = self._decoding, None
        run, outcome, mask = self._done, self._outcome, self.mask
        if run is None or outcome is None or mask is None:
            return
        if not isinstance(message, Finished):
            words = message.sentence if isinstance(message, Failed) else "The scores are gone; press Segment again."
            self._outcome = replace(outcome, thresholds=None, advice=words)
            return
        if mask.painted:
            self._outcome = replace(outcome, thresholds=None, advice=_EDITED)
            return
        whole = part is None
        labels = message.answer["labels"]
        where = part if part is not None else run.region
        if where is not None:
            labels = pasted(mask.layer.data, labels, box_of(where, run.target), objects=run.target.objects)
        self._engine.later(mask.look(), lambda touched: self._redrawn(mask, labels, touched, message.answer, whole))

    def _redrawn(self, mask: Mask, labels: Any, touched: bool, answer: Mapping[str, Any], whole: bool) -> None:
        run, outcome = self._done, self._outcome
        if run is None or outcome is None or mask.layer is None or outcome.thresholds is None:
            return
        if touched:
            self._outcome = replace(outcome, thresholds=None, advice=_EDITED)
        else:
            mask.change(labels)
            if whole:
                lines = _sizes(run.target, answer["sizes"])
                self._outcome = replace(outcome, headline=lines[0], lines=tuple(lines[1:]))
            elif self._wanted is None:
                self._decode(run, outcome.thresholds, None)
        self.changed.emit()

    def _seen_part(self, run: Run) -> Region | None:
        """What is on the screen of a large image; ``None`` for all of it."""
        if math.prod(run.target.volume.grid) <= AT_ONCE or run.region is not None:
            return None
        return self.region(run.target, "box")

    def _alive(self, target: Target) -> list[Mask]:
        masks = self._masks.get(target.key, [])
        shape = tuple(target.volume.size(axis) for axis in target.axes)
        layers = [mask.layer for mask in masks]
        there = all(layer in self._viewer.layers and layer.data.shape == shape for layer in layers if layer is not None)
        return masks if there and None not in layers else []


def _as_json(region: Region | None) -> dict[str, Any] | None:
    return None if region is None else {"start": region.start, "stop": region.stop, "time": region.time}


def _smaller(run: Run) -> tuple[int, ...]:
    """Tiles of half the length, in whole multiples of what the network can take."""
    multiple = 2**run.target.model.network.depth
    tile = run.settings.tile or run.target.model.input.patch
    return tuple(max(multiple, n // 2 // multiple * multiple) for n in tile)


def _pace_key(target: Target, settings: PredictSpec) -> tuple[Any, ...]:
    return target.path, settings.device, settings.precision


def _pace(progress: Progress, time_left: TimeLeft) -> str:
    left = time_left(progress)
    return progress.message if left is None else f"{progress.message}, {duration(left)} left"


def _thresholds(target: Target, settings: Mapping[str, Any]) -> Thresholds | None:
    """The thresholds that were used, for a task that decodes stored scores with some."""
    task = target.model.task
    if task.kind != "instance":
        return None
    return Thresholds(*(settings[name] or getattr(task, name) for name in ("threshold", "seeds", "smallest")))


def _outcome(
    target: Target,
    sizes: Sequence[Sequence[int]],
    notes: tuple[str, ...],
    thresholds: Thresholds | None,
    answer: Mapping[str, Any],
) -> Outcome:
    headline, *lines = _sizes(target, sizes)
    settings = answer["settings"]
    spent = f"{duration(answer['seconds'])} on {settings['device'].upper()} ({settings['precision']})"
    advice = (
        "Look along the borders, then save the mask."
        if sizes
        else "Look at the preview: choose another channel, another object size or another model."
    )
    return Outcome(headline, lines=tuple(lines), notes=(spent, *notes), advice=advice, thresholds=thresholds)


def _sizes(target: Target, sizes: Sequence[Sequence[int]]) -> list[str]:
    """What was found: a headline and a line for each class, or for the typical object."""
    names, volume = target.model.task.names, target.volume
    if not sizes:
        return ["Nothing was found"]
    if target.objects:
        middle = statistics.median(count for _, count in sizes)
        return [f"{len(sizes)} objects found", f"{names[0]}: median {amount(middle, volume)}"]
    by_label = {int(label): int(count) for label, count in sizes}
    lines = [f"{name}: {amount(by_label.get(k + 1, 0), volume)}" for k, name in enumerate(names)]
    found = sum(label in by_label for label in range(1, len(names) + 1))
    return [f"{found} of {len(names)} classes found" if len(names) > 1 else f"Found {names[0]}", *lines]
