"""One run after the other: from pressing Segment to the mask on the screen, with whatever may happen on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from psygnal import Signal

from napari_seg.gui.arrivals import PREDICTED
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.late import AS_BEFORE, KEPT, Late
from napari_seg.gui.layers import CLASSES
from napari_seg.gui.outcomes import again, outcome_of, unchanged
from napari_seg.gui.pace import Paces
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.renewing import Renewal, put
from napari_seg.gui.results import (
    Mask,
    Target,
    blank,
    box_of,
    lay_on,
    near_box,
    new_mask,
    pasted,
    planes_of,
    seen_box,
    visible_box,
)
from napari_seg.gui.state import Failure, Outcome, Running, Segment, Thresholds
from napari_seg.gui.surroundings import scores_path
from napari_seg.gui.views import swap_labels
from napari_seg.gui.words import duration
from napari_seg.inference.forecast import forecast
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.jobs import Progress, TimeLeft
from napari_seg.models.spec import ModelSpec
from napari_seg.session.predicted import Predicted

AT_ONCE = 2**20
"""So many pixels are decoded anew within the time in which a slider feels alive; of larger images first those that are
seen.
"""

REST = 0.3
"""Seconds for which thresholds must stand still before the rest of a large image is decoded behind what is seen."""

_NOT_YET = Predicted("", "", {})
"""Of a mask that a run will go into."""

_CANCELLED = Outcome("Cancelled", has_mask=False, lines=("Nothing was changed.",))

_ANOTHER = "{name} shows another image by now; press Segment again."
_GONE = "The scores are gone; press Segment again."
_IN_PART = "Outside the part that was in view the mask still follows the thresholds before."


@dataclass(frozen=True, eq=False)
class Run:
    """A prediction under way or done. ``retried``: why the engine died once, so that it was begun again with smaller
    tiles; empty where it did not."""

    order: int
    target: Target
    settings: PredictSpec
    region: Region | None
    time_left: TimeLeft = field(default_factory=TimeLeft)
    retried: str = ""


@dataclass(frozen=True, eq=False)
class Decoding:
    """Scores being decoded anew; ``part`` of the image, or ``None`` for all of it."""

    order: int
    run: Run
    mask: Mask
    thresholds: Thresholds
    part: Region | None


class Runs:
    """The run that is under way, the masks of earlier ones, and what is to be said about them."""

    changed = Signal()

    def __init__(self, viewer: Any, engine: Engine, recorder: Recorder) -> None:
        self._viewer, self._recorder = viewer, recorder
        self._engine = engine
        self._late = Late(engine, recorder)
        self._clock = time.monotonic
        self._run: Run | None = None
        self._done: Run | None = None  # the last one that came to its end: its scores can be decoded anew
        self._masks: dict[Any, list[Mask]] = {}
        self._scores_due = False
        self._cancelled = False
        self._running: Running | None = None
        self._outcome: Outcome | None = None
        self._failure: Failure | None = None
        self._wanted: Thresholds | None = None
        self._moved = 0.0  # when the thresholds were last changed
        self._behind: Thresholds | None = None  # with which only the part that was seen is decoded so far
        self._decoding: Decoding | None = None
        self._paces = Paces()
        engine.said.connect(self._hear)
        viewer.layers.events.removed.connect(self._removed)

    @property
    def masks(self) -> list[Mask]:
        """What the last run has made, while all its layers are there: one mask, or one for each overlapping class."""
        return self._alive(self._done.target) if self._done else []

    @property
    def mask(self) -> Mask | None:
        """The first of :attr:`masks`."""
        return next(iter(self.masks), None)

    def mask_of(self, layer: Any) -> Mask | None:
        """The mask that a run of this window put into a layer."""
        found = (mask for masks in self._masks.values() for mask in masks if mask.layer is layer)
        return next((mask for mask in found if mask.predicted is not _NOT_YET), None)

    def take_over(self, layer: Any, target: Target) -> None:
        """Let the next run of ``target`` go into a mask that is there, under a person's work, and not beside it."""
        if all(mask.layer is not layer for mask in self._masks.get(target.key, ())):
            self._masks[target.key] = [Mask(layer, target, _NOT_YET)]

    @property
    def settled(self) -> bool:
        """Whether the mask of the last run follows the same thresholds everywhere."""
        return self._wanted is None and self._behind is None and self._decoding is None

    def start(self, target: Target, settings: PredictSpec, region: Region | None, *, retried: str = "") -> None:
        self._outcome, self._failure, self._wanted = None, None, None
        order = self._engine.order(
            "predict",
            image=target.volume,
            model=str(target.path),
            settings=settings.model_dump(mode="json"),
            region=_as_json(region),
        )
        self._cancelled = False
        self._run = Run(order, target, settings, region, retried=retried)
        words = f"The engine stopped ({retried}): once more with smaller tiles" if retried else "Starting"
        self._running = Running(0.0, words)
        self.changed.emit()

    def cancel(self) -> None:
        if self._run is not None:
            self._engine.cancel(self._run.order)
            self._cancelled = True
            self._running = Running(self._running.fraction if self._running else 0.0, "Stopping")
            self.changed.emit()

    def forget(self) -> None:
        """Another image or model was chosen: what came out of the last run is no longer what the page is about."""
        self._outcome, self._failure, self._wanted = None, None, None

    def redecode(self, thresholds: Thresholds) -> None:
        if self._outcome is not None and self._outcome.thresholds is not None:
            self._wanted, self._moved = thresholds, self._clock()
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
        outcome = self._outcome
        if outcome is not None and (self.masks or not outcome.has_mask) and state.phase != "empty":
            return replace(state, phase="done", outcome=outcome)
        return state

    def tick(self) -> None:
        self._keep_scores()
        if self._decoding is not None or self._run is not None:
            return
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            self._decode(wanted, behind=False)
        elif self._behind is not None and self._clock() - self._moved >= REST:
            self._decode(self._behind, behind=True)

    def _keep_scores(self) -> None:
        """Once the mask of the last run has a session, its scores are put beside it, for tools that look at them."""
        mask = self.mask if self._scores_due else None
        track = None if mask is None else self._recorder.track(mask.layer)
        if track is not None and self._done is not None and not track.session.read_only:
            self._scores_due = False
            self._engine.order("keep_scores", prediction=self._done.order, path=str(scores_path(track)))

    def _hear(self, message: Message) -> None:
        run = self._run
        if run is not None and message.order == run.order:
            match message:
                case Progressed(progress=progress):
                    self._running = Running(progress.fraction, _pace(progress, run.time_left))
                case Finished(answer=answer) if not self._cancelled:
                    self._arrived(run, answer)
                case Cancelled() | Finished():
                    self._over(_CANCELLED)
                case Died(reason=reason):
                    self._died(run, reason)
                case Failed(sentence=sentence, traceback=traceback):
                    self._over(failure=Failure(sentence, traceback))
            self.changed.emit()
        elif self._decoding is not None and message.order == self._decoding.order:
            self._decoded(self._decoding, message)
            self.changed.emit()

    def _over(self, outcome: Outcome | None = None, failure: Failure | None = None) -> None:
        self._run, self._running, self._outcome, self._failure = None, None, outcome, failure

    def _died(self, run: Run, reason: str) -> None:
        settings = run.settings.model_copy(update={"tile": smaller_tile(run.target.model, run.settings)})
        if run.retried:
            cure = "close other programs, or choose a slice or the visible box under Options"
            self._over(failure=Failure(f"The engine stopped twice ({reason}); {cure}."))
        else:
            self.start(run.target, settings, run.region, retried=reason)

    def _arrived(self, run: Run, answer: Mapping[str, Any]) -> None:
        """The labels are here: they become layers, or go under a person's work on those that are there. Where image
        and masks were closed meanwhile, they go where the image is kept; of an image that is another now they are
        dropped."""
        self._running = Running(1.0, "Showing the mask")
        cost = forecast(run.target.model, run.target.volume, run.settings, run.region)
        self._paces.learn(_pace_key(run.target, run.settings), cost, answer["seconds"])
        if run.target.layer in self._viewer.layers and not run.target.is_shown:
            self._over(failure=Failure(_ANOTHER.format(name=run.target.layer.name)))
            return
        target, masks = run.target, self._alive(run.target)
        planes = planes_of(answer["labels"], answer["axes"], target.model.task.names)
        predicted = _predicted(run, answer)
        where = None if run.region is None else box_of(run.region, target)
        if len(masks) != len(planes) and target.layer not in self._viewer.layers:
            self._too_late(run, answer, planes)
            return
        if len(masks) != len(planes):
            masks = [self._new(target, labels, where, predicted, name) for name, labels in planes]
            self._masks[target.key] = masks
            self._shown(run, answer, masks)
            return
        heard: list[bool] = []

        def wanted() -> bool:
            return any(heard) or not self._cancelled

        def one_more(changes: bool) -> None:
            heard.append(changes)
            if len(heard) < len(masks):
                return
            if not wanted():
                self._over(_CANCELLED)
                self.changed.emit()
            elif self._alive(target) or target.layer in self._viewer.layers:
                self._shown(run, answer, masks, changed=any(heard))
            else:
                words = KEPT.format(name=target.layer.name)
                self._recorder.noted.emit(words)
                self._kept_unseen(target, words)

        def failed(why: str) -> None:
            self._over(failure=Failure(why))
            self.changed.emit()

        for mask, (_, labels) in zip(masks, planes, strict=True):
            lay_on(mask.layer, target)
            self._no_longer_of_others(mask)
            self._renew(mask, Renewal(labels, where, "predict", predicted), one_more, failed, wanted)

    def _new(self, target: Target, labels: Any, where: Any, predicted: Predicted, name: str) -> Mask:
        return new_mask(self._viewer, target, _on_the_whole(target, labels, where), predicted, name)

    def _too_late(self, run: Run, answer: Mapping[str, Any], planes: list[tuple[str, Any]]) -> None:
        """The image was closed before its mask was there."""
        target = run.target
        where = None if run.region is None else box_of(run.region, target)
        masks = [(class_name, _on_the_whole(target, labels, where)) for class_name, labels in planes]

        def then(kept: bool, words: str) -> None:
            if kept:
                self._kept_unseen(target, words)
            else:
                self._over(failure=Failure(words))
                self.changed.emit()

        self._late.keep(target, masks, _predicted(run, answer), then, whole=where is None)

    def _kept_unseen(self, target: Target, words: str) -> None:
        self._over(Outcome(f"The mask of {target.layer.name} is kept", has_mask=False, lines=(words,)))
        self.changed.emit()

    def _removed(self, event: Any) -> None:
        """A mask that was taken away with its image before it was kept goes where the image is kept."""
        layer, run = event.value, self._done
        masks = [] if run is None else self._masks.get(run.target.key, [])
        if run is None or PREDICTED not in layer.metadata or all(mask.layer is not layer for mask in masks):
            return
        predicted, class_name = layer.metadata.pop(PREDICTED), "" if len(masks) == 1 else layer.metadata[CLASSES][0]
        self._late.keep(run.target, [(class_name, layer.data)], predicted, lambda *_: None, whole=run.region is None)

    def _no_longer_of_others(self, mask: Mask) -> None:
        """What the layer of a mask holds comes from this model now, not from those before."""
        for key, masks in self._masks.items():
            if key != mask.target.key:
                masks[:] = [other for other in masks if other.layer is not mask.layer]

    def _renew(
        self,
        mask: Mask,
        renewal: Renewal,
        then: Callable[[bool], None],
        failed: Callable[[str], None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Put new labels into a mask; ``then`` hears whether that has changed it, ``failed`` why it could not be."""
        track = None if mask.layer is None else self._recorder.track(mask.layer)

        def shown(changes: bool) -> None:
            if renewal.predicted is not None and wanted():
                mask.predicted = renewal.predicted
            then(changes)

        if track is None:
            if mask.layer is not None and renewal.where is None:  # it has just come, and nobody has touched it
                swap_labels(mask.layer, renewal.labels)
            shown(True)
        else:
            put(self._recorder, track, renewal, shown, failed, wanted=wanted)

    def _shown(self, run: Run, answer: Mapping[str, Any], masks: list[Mask], *, changed: bool = True) -> None:
        self._done, self._behind, self._scores_due = run, None, len(masks) == 1
        notes = tuple(answer["notes"])
        if run.retried:
            notes = (f"The engine stopped once ({run.retried}); smaller tiles were used.", *notes)
        outcome = outcome_of(run.target, answer, notes)
        self._over(outcome if changed else unchanged(outcome))
        self.changed.emit()

    def _decode(self, thresholds: Thresholds, *, behind: bool) -> None:
        run, mask = self._done, self.mask
        if run is None or mask is None:
            self._behind = None
            return
        part = None if behind else self._seen_part(run)
        settings = {name: value for name, value in vars(thresholds).items() if value is not None}
        order = self._engine.order("redecode", prediction=run.order, thresholds=settings, region=_as_json(part))
        self._decoding = Decoding(order, run, mask, thresholds, part)

    def _decoded(self, decoding: Decoding, message: Message) -> None:
        run, mask = decoding.run, decoding.mask
        match message:
            case Progressed():
                pass
            case Finished(answer=answer) if mask.layer in self._viewer.layers:
                where = decoding.part or run.region
                whole = decoding.part is None
                told = _with_thresholds(mask.predicted, decoding.thresholds) if whole else None
                box = None if where is None else box_of(where, run.target)
                renewal = Renewal(answer["labels"], box, "thresholds", told)
                self._renew(mask, renewal, lambda changes: self._redrawn(decoding, answer["sizes"]), self._not_redrawn)
            case Failed(sentence=sentence):
                self._no_more(sentence)
            case _:
                if run.target.layer not in self._viewer.layers:
                    self._recorder.noted.emit(AS_BEFORE.format(name=run.target.layer.name))
                self._no_more(_GONE)

    def _redrawn(self, decoding: Decoding, sizes: Any) -> None:
        whole, self._decoding = decoding.part is None, None
        self._behind = None if whole else decoding.thresholds
        if whole and self._outcome is not None and decoding.run is self._done:
            self._outcome = again(self._outcome, decoding.run.target, sizes)
        self.changed.emit()

    def _not_redrawn(self, why: str) -> None:
        self._no_more(why)
        self.changed.emit()

    def _no_more(self, why: str) -> None:
        """The thresholds of the mask can no longer be changed; what was shown of new ones stays."""
        if self._outcome is not None:
            advice = f"{why} {_IN_PART}" if self._behind else why
            self._outcome = replace(self._outcome, thresholds=None, advice=advice)
        self._decoding = self._behind = self._wanted = None

    def _seen_part(self, run: Run) -> Region | None:
        """The middle of what is on the screen of a large image; ``None`` for all of it."""
        target = run.target
        if math.prod(target.volume.grid) <= AT_ONCE or run.region is not None:
            return None
        return seen_box(target.layer, target.volume, self._viewer.dims, AT_ONCE // 2)  # what lies around is decoded too

    def _alive(self, target: Target) -> list[Mask]:
        """The masks of earlier runs that the next one goes into: all that it has, if they are of the image that is
        shown now and still mean the same."""
        masks = self._masks.get(target.key, [])
        shape = tuple(target.volume.size(axis) for axis in target.axes)
        same = all(mask.target.volume.data is target.volume.data for mask in masks)
        fit = same and all(
            layer in self._viewer.layers and layer.data.shape == shape and self._means(target, layer)
            for layer in (mask.layer for mask in masks)
        )
        return masks if fit else []

    def _means(self, target: Target, layer: Any) -> bool:
        """Whether the numbers of a mask are what the model finds: a person may have said that they are classes."""
        track = self._recorder.track(layer)
        return track is None or self._recorder.counts_objects(track) == target.objects


def _on_the_whole(target: Target, labels: Any, where: Any) -> Any:
    """Labels of a box as a mask of the whole image; without a box they are that."""
    return labels if where is None else pasted(blank(target), labels, where, objects=target.objects)


def _as_json(region: Region | None) -> dict[str, Any] | None:
    return None if region is None else {"start": region.start, "stop": region.stop, "time": region.time}


def _predicted(run: Run, answer: Mapping[str, Any]) -> Predicted:
    """What the session keeps of an answer."""
    where = {} if run.region is None else {"region": _as_json(run.region)}
    settings = {**answer["settings"], **where}
    return Predicted(run.target.model.name, answer["model_hash"], settings, answer["doubt"])


def _with_thresholds(predicted: Predicted, thresholds: Thresholds) -> Predicted:
    """How unsure the model is with other thresholds was not worked out."""
    moved = {name: value for name, value in vars(thresholds).items() if value is not None}
    return replace(predicted, settings={**predicted.settings, **moved}, doubt=None)


def smaller_tile(model: ModelSpec, settings: PredictSpec) -> tuple[int, ...]:
    """Tiles of half the length, in whole multiples of what the network can take."""
    multiple = 2 ** max(network.depth for network in model.networks)
    tile = settings.tile or model.input.patch
    return tuple(max(multiple, n // 2 // multiple * multiple) for n in tile)


def _pace_key(target: Target, settings: PredictSpec) -> tuple[Any, ...]:
    return target.path, settings.device, settings.precision


def _pace(progress: Progress, time_left: TimeLeft) -> str:
    left = time_left(progress)
    return progress.message if left is None else f"{progress.message}, {duration(left)} left"
