"""All that the Train page stands on, put together: what there is to learn from, the training, the comparison, and what
becomes of the mask in hand. No widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from napari_seg.data.volume import Volume
from napari_seg.gui.classes import Classes, is_given
from napari_seg.gui.comparing import Comparing
from napari_seg.gui.engine import Engine
from napari_seg.gui.hands import Hands
from napari_seg.gui.lessons import Lessons
from napari_seg.gui.live import Live
from napari_seg.gui.notice import say
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import Target
from napari_seg.gui.runs import Runs
from napari_seg.gui.spotlight import Spotlight
from napari_seg.gui.track import Track
from napari_seg.gui.training import Training
from napari_seg.gui.training_state import Teaching
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.models.spec import ModelSpec

LARGE = 2**22
"""Of an image of more voxels than this only what is seen is segmented to compare two models."""


class Window(Protocol):
    """What the controller does for it."""

    def known(self) -> Mapping[Path, ModelSpec]: ...

    def choose_model(self, path: Path) -> None: ...

    def adopt_model(self, path: Path, instead_of: Path | None) -> None: ...

    def chosen_model(self) -> Path | None: ...

    def target_with(self, image: Any, path: Path) -> Target | None: ...

    def settings_for(self, volume: Volume, path: Path) -> PredictSpec: ...

    def computing(self) -> Mapping[str, Any]: ...

    def run(self) -> None: ...


class Classroom:
    """One for each window."""

    def __init__(
        self,
        viewer: Any,
        engine: Engine,
        trainer: Engine,
        recorder: Recorder,
        hands: Hands,
        classes: Classes,
        runs: Runs,
        window: Window,
    ) -> None:
        """``trainer``: the engine that trains."""
        self._viewer, self._recorder, self._classes, self._runs, self._window = viewer, recorder, classes, runs, window
        self._names: tuple[str, ...] = ()  # of the classes of the mask that was worked on last
        self.lessons = Lessons(recorder, hands)
        self.training = Training(
            trainer,
            recorder,
            self.lessons,
            classes,
            window.known,
            window.choose_model,
            window.adopt_model,
            window.computing,
        )
        self.comparing = Comparing(viewer, trainer)
        self.training.changed.connect(self._follow)
        self.spotlight = Spotlight(viewer, engine, recorder, self.lessons)
        self.live = Live(
            viewer, engine, trainer, recorder, self.lessons, window, self._seen, lambda: self.training.run is not None
        )

    def tick(self) -> None:
        track = self.lessons.track
        if track is not None and not self._recorder.counts_objects(track):
            self._names = self._classes.names(track)
        self.training.propose(self._proposal(), self._window.chosen_model())
        self.training.tick()
        self.spotlight.tick()
        self.live.tick()

    def classes_for(self, image: Any) -> tuple[str, ...]:
        """What the classes of a new mask of an image are called: as those of the mask that was worked on last, so that
        a model can learn from both. A further mask of the same image is of something else."""
        masks = (track for track in self._recorder.tracks() if track.image is image)
        return self._names if all(map(self._recorder.counts_objects, masks)) else ()

    def close(self) -> None:
        self.training.close()

    def compare(self) -> None:
        """Let the old and the new model segment the image in hand, and show both masks."""
        result, track = self.training.result, self.lessons.track
        if result is None or result.start is None or track is None or not self._image_is_open(track):
            return
        old = self._window.target_with(track.image, result.start)
        new = self._window.target_with(track.image, result.path)
        if old is not None and new is not None:
            settings = self._window.settings_for(new.volume, result.path)
            self.comparing.start(old, new, settings, self._part(new))

    def _follow(self, state: Teaching) -> None:
        """Two models are compared only while one of them is to be chosen."""
        if self.comparing.which and state.phase != "judged":
            self.comparing.end()

    def segment_again(self) -> None:
        """Segment the image in hand with the chosen model, into the mask in hand: what a person has said stays."""
        self.comparing.end()
        track, path = self.lessons.track, self._window.chosen_model()
        if track is None or path is None or not self._image_is_open(track):
            return
        self._viewer.layers.selection.active = track.image
        target = self._window.target_with(track.image, path)
        if target is not None and target.objects == self._recorder.counts_objects(track):
            self._runs.take_over(track.layer, target)
            self._window.run()

    def _image_is_open(self, track: Track) -> bool:
        """Whether the image of a mask is there; what to do where it was closed, or is another, is said."""
        if track.image is not None and track.image not in self._viewer.layers:
            say(self._viewer, f"{track.image.name} is closed; open it again first.")
            return False
        if not self._recorder.shows_its_image(track):
            say(self._viewer, f"{track.image.name} shows another image by now; press Segment on the first page.")
            return False
        return track.image is not None

    def _part(self, target: Target) -> Region | None:
        if math.prod(target.volume.grid) * target.volume.size("T") <= LARGE:
            return None
        if target.volume.ndim == 2:
            return self._runs.region(target, "box")
        return self._runs.region(target, "slice" if target.model.network.ndim == 2 else "near")

    def _seen(self, target: Target) -> Region | None:
        """The part of an image that suggestions are made for: of a picture all, of a volume what is looked at."""
        if target.volume.ndim == 2:
            return None if target.volume.size("T") == 1 else self._runs.region(target, "box")
        return self._runs.region(target, "slice" if target.model.network.ndim == 2 else "near")

    def _proposal(self) -> Path | None:
        """The model to improve: the one that is chosen, if it knows the classes of the mask in hand, else the one that
        made it, else one that knows classes to which somebody gave names; only one that finds what the mask holds."""
        track = self.lessons.track
        if track is None:
            return self._window.chosen_model()
        mask, known = self._runs.mask_of(track.layer), self._window.known()
        objects, chosen = self._recorder.counts_objects(track), self._window.chosen_model()
        names = self._classes.all_names(track)
        made_by = None if mask is None else mask.target.path
        others = known if names and is_given(names[0]) else ()
        for path in (chosen, made_by, *others):
            if path is not None and path in known:
                spec = known[path]
                fits = spec.network.ndim <= len(track.row.grid) and (spec.task.kind == "instance") == objects
                if fits and (path == made_by or _knows(spec, names)):
                    return path
        return None


def _knows(spec: ModelSpec, names: tuple[str, ...]) -> bool:
    """Whether a mask with classes of these names, none for objects, is one that a model could have made."""
    if not names:
        return True
    return names[0] in spec.task.planes or spec.task.names == names[: len(spec.task.names)]
