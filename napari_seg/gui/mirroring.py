"""A reason more for the queue of a review: where the model answers otherwise when it sees the image in a mirror.

That takes a further prediction, over all mirror images. It is made only when a person asks for it, in the engine, with
a forecast before and a cancel while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from psygnal import Signal

from napari_seg.errors import SegError
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message, Progressed
from napari_seg.gui.hands import Hands
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import Target
from napari_seg.gui.reviewing import Reviewing
from napari_seg.gui.runs import Runs
from napari_seg.gui.state import Running
from napari_seg.gui.surroundings import Surroundings, differing_path, scores_path
from napari_seg.gui.track import Track
from napari_seg.gui.words import duration
from napari_seg.inference.fit import suited
from napari_seg.inference.forecast import forecast
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import TimeLeft
from napari_seg.models.spec import ModelSpec
from napari_seg.session.predicted import Predicted

NO_SCORES = "Segment the image first: the scores of its prediction and its model are needed."


class Mirroring:
    """One for each window. ``running``: how far it is; ``trouble``: why it came to nothing; ``missing``: why it cannot
    be done, as far as :meth:`seconds` found."""

    changed = Signal()

    def __init__(
        self,
        engine: Engine,
        runs: Runs,
        recorder: Recorder,
        hands: Hands,
        reviewing: Reviewing,
        surroundings: Surroundings,
        models: Callable[[], Mapping[Path, ModelSpec]],
    ) -> None:
        self._models = models
        self._engine, self._runs, self._recorder, self._hands = engine, runs, recorder, hands
        self._reviewing, self._surroundings = reviewing, surroundings
        self._order = 0
        self._time_left = TimeLeft()
        self._cost: tuple[Predicted, float] | None = None  # what was forecast last: of which prediction
        self.running: Running | None = None
        self.trouble = self.missing = ""
        engine.said.connect(self._hear)

    @property
    def done(self) -> bool:
        """Whether the mask in hand was compared already."""
        track = self._hands.track
        return track is not None and self._surroundings.differing(track, 0) is not None

    def seconds(self) -> float | None:
        """About how long it will take for the mask in hand; ``None`` where it cannot be done."""
        found = self._ready()
        if found is None:
            self.missing = NO_SCORES
            return None
        _, target, predicted = found
        if self._cost is None or self._cost[0] is not predicted:
            settings = _settings(predicted, target)
            try:
                cost = forecast(target.model, target.volume, settings, pace=self._runs.pace(target, settings))
            except SegError as error:
                self.missing = str(error)
                return None
            self._cost = predicted, cost.seconds
        return self._cost[1]

    def start(self) -> None:
        found = self._ready()
        if found is None or self.running is not None:
            return
        track, target, predicted = found
        self._order = self._engine.order(
            "compare_mirrored",
            image=target.volume,
            model=str(target.path),
            model_hash=predicted.model_hash,
            settings=_settings(predicted, target).model_dump(mode="json"),
            scores=str(scores_path(track)),
            path=str(differing_path(track)),
        )
        self._time_left, self.trouble = TimeLeft(), ""
        self._say(Running(0.0, "Starting"))

    def cancel(self) -> None:
        if self.running is not None:
            self._engine.cancel(self._order)
            self._say(Running(self.running.fraction, "Stopping"))

    def _ready(self) -> tuple[Track, Target, Predicted] | None:
        """The mask in hand, what it is of, and how it was predicted, if its scores and its model are there."""
        track, seen = self._hands.track, self._reviewing.seen
        if track is None or track.session.read_only or not scores_path(track).exists():
            return None
        mask = self._runs.mask_of(track.layer)
        if mask is not None:
            return track, mask.target, mask.predicted
        if seen.track is not track or seen.predicted is None or track.image is None:
            return None
        if not self._recorder.shows_its_image(track):
            return None
        known = ((path, spec) for path, spec in self._models().items() if spec.name == seen.predicted.model)
        path, spec = next(known, (None, None))
        if path is None or spec is None:
            return None
        return track, Target(track.image, volume_as_kept(track.image), path, spec), seen.predicted

    def _hear(self, message: Message) -> None:
        if self.running is None or message.order != self._order:
            return
        match message:
            case Progressed(progress=progress):
                left = self._time_left(progress)
                words = "Comparing" if left is None else f"Comparing, {duration(left)} left"
                self._say(Running(progress.fraction, words))
                return
            case Finished():
                self._reviewing.look()
            case Failed(sentence=sentence):
                self.trouble = sentence
            case Died(reason=reason):
                self.trouble = f"The engine stopped ({reason}); close other programs and try again."
            case Cancelled():
                pass
        self._say(None)

    def _say(self, running: Running | None) -> None:
        self.running = running
        self.changed.emit()


def _settings(predicted: Predicted, target: Target) -> PredictSpec:
    """The settings of a prediction, but with mirror images."""
    known = {name: value for name, value in predicted.settings.items() if name in PredictSpec.model_fields}
    return suited(PredictSpec.model_validate(known), target.model).model_copy(update={"flips": True})
