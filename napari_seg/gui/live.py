"""Live mode in the window: after each pause in painting the model learns for some seconds, and what it would now make
of what is seen is shown, where nobody has spoken.

It is a suggestion, outside the history, until it is accepted with one key, or dropped. It is shown as what accepting
would change: blue comes, black goes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.editing.annotation import Annotation
from napari_seg.gui.acts import labels_at
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.display import is_seen
from napari_seg.gui.engine import Cancelled, Died, Engine, Failed, Finished, Message
from napari_seg.gui.hands import HIDDEN
from napari_seg.gui.lessons import Lessons
from napari_seg.gui.nearing import bring_to_front, covering_part
from napari_seg.gui.notice import say
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.renewing import Renewal, edits_of, put, times_of
from napari_seg.gui.results import Target, box_of
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.track import Track
from napari_seg.gui.views import in_stroke, swap_labels, voxel_at
from napari_seg.inference.prediction import Region
from napari_seg.session.heard import has_spoken
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID
from napari_seg.tasks.base import Labels

REST = 0.6
"""Seconds without a change that count as a pause in painting."""

LARGE = 2**25
"""Voxels of an image above which it would no longer be live."""

TOOL = "accept suggestion"
"""How the history names it."""

NAME = "Suggestion"
COMES, GOES = 1, 2
_COLOURS = DirectLabelColormap(color_dict={None: (0, 0, 0, 0), COMES: (0.1, 0.6, 1, 0.8), GOES: (0, 0, 0, 0.8)})

AWAITED = "Paint or correct something, and pause: a suggestion follows."

OFFERED = "Blue would come, black would go. What you painted or accepted stays."

UNSEEN = "The suggestion is hidden; show it first, with its eye in the list of layers."

ELSEWHERE = "The suggestion lies {where}; go there, or drop it."
"""Said where nothing is changed, as a person would not see it."""

UNDER = "The suggestion lies under {over}; to accept it brings it to the front first."

IN_FRONT = "The suggestion lay under {over} and is in front now, with its mask and image; press again to accept it."
"""Said where nothing is changed yet, as a person could not see it."""

Seen = tuple[Any, ...]


class Window(Protocol):
    """What the controller does for it."""

    def chosen_model(self) -> Path | None: ...

    def target_with(self, image: Any, path: Path) -> Target | None: ...

    def computing(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Suggestion:
    """New labels for the mask of a ``track``, and the ``layer`` that shows what they would change."""

    track: Track
    renewal: Renewal
    layer: Any

    @cached_property
    def ends(self) -> list[tuple[int, int]]:
        """The first and the last voxel along each axis of what it would change."""
        axes, changes = range(self.layer.ndim), self.layer.data
        found = [np.flatnonzero(changes.any(axis=tuple(other for other in axes if other != axis))) for axis in axes]
        return [(int(places[0]), int(places[-1])) for places in found]


class Live:
    """One for each window. ``on``: whether it is switched on; ``words``: what it is doing; ``ready``: whether there is
    a suggestion to be accepted."""

    changed = Signal()

    def __init__(
        self,
        viewer: Any,
        engine: Engine,
        trainer: Engine,
        recorder: Recorder,
        lessons: Lessons,
        window: Window,
        region: Callable[[Target], Region | None],
        busy: Callable[[], bool],
    ) -> None:
        """``region``: the part of an image that is seen. ``busy``: whether the ``trainer`` does something else."""
        self._viewer, self._engine, self._trainer, self._recorder = viewer, engine, trainer, recorder
        self._lessons, self._window, self._region, self._busy = lessons, window, region, busy
        self._clock = time.monotonic
        self._order = self._warming = 0
        self._asked: tuple[Track, Target] | None = None  # what the order is about
        self._suggestion: Suggestion | None = None
        self._seen: Seen = ()
        self._done: Seen = ()
        self._since = 0.0
        self.on = False
        self.words = self.trouble = self._told = ""
        trainer.said.connect(self._hear)
        viewer.layers.events.removed.connect(self._removed)

    @property
    def ready(self) -> bool:
        return self._suggestion is not None

    def switch(self, on: bool) -> None:
        self.on, self.trouble = on, ""
        self.words = AWAITED if on else ""
        if on and self._lessons.track is not None:
            self._done = self._now(self._lessons.track)  # what is there already has waited for long
        if on:  # the first suggestion shall not wait for the start of a process
            self._warming = self._warming or self._trainer.order("warm_up", live=True)
        else:
            self._give_up()
        self.changed.emit()

    def accept(self) -> None:
        """Take the suggestion over: one step of the history. What a person has said stays, also what was said since."""
        if self._suggestion is None or not self._recorder.shows_its_image(self._suggestion.track):
            return
        why = self._unseen(self._suggestion) or self._uncovered(self._suggestion)
        if why:
            self.words = why
            say(self._viewer, why)
            self.changed.emit()
            return
        track, renewal = self._suggestion.track, self._suggestion.renewal
        self._take_away()
        self.words = "Taking it over"

        def then(_: bool) -> None:
            self._done = self._seen = self._now(track)
            self.words = "Taken over."
            say(self._viewer, "Suggestion taken over")
            self.changed.emit()

        put(self._recorder, track, renewal, then, self._not_kept, asked=True)
        self.changed.emit()

    def drop(self) -> None:
        """Take the suggestion away; nothing was changed."""
        if self.ready:
            self._take_away()
            self.words = "Dropped; nothing was changed."
            self.changed.emit()

    def tick(self) -> None:
        """Look whether a person has paused. A suggestion is gone once another mask or image is in hand."""
        track = self._lessons.track
        if track is not None and not self._recorder.shows_its_image(track):
            track = None
        if self._suggestion is not None and self._suggestion.track is not track:
            self._take_away()
            self.words = ""
            self.changed.emit()
        elif self._suggestion is not None:
            self._tell(self._suggestion)
        if self._order and self._asked is not None and not self._is_kept(self._asked[0]):
            self._trainer.cancel(self._order)  # the mask was closed
            self._order, self.words = 0, ""
            self.changed.emit()
        if not self.on or track is None or self._order:
            return
        now = self._now(track)
        if now[:1] != self._done[:1]:
            self._done = self._seen = now  # another mask is in hand: choosing it is not painting
        if now != self._seen or in_stroke(track.layer):
            self._seen, self._since = now, self._clock()
        elif now != self._done and self._clock() - self._since >= REST and not self._busy():
            self._done = now
            self._learn(track)

    def _now(self, track: Track) -> Seen:
        return track, track.version, id(self._recorder.rows(track))

    def _learn(self, track: Track) -> None:
        self.trouble = ""
        path = self._window.chosen_model()
        target = None if path is None or track.image is None else self._window.target_with(track.image, path)
        if target is None or target.objects != self._recorder.counts_objects(track):
            self.words = "Choose a model on the first page that finds what this mask holds."
        elif math.prod(target.volume.grid) * target.volume.size("T") > LARGE:
            self.words = "This image is too large for suggestions while you paint; retrain instead."
        else:
            self.words = "Learning from what you did"
            self._ask_spoken(track, partial(self._ask, track, target))
        self.changed.emit()

    def _ask_spoken(self, track: Track, then: Callable[[bool], None]) -> None:
        """Ask whether there is anything to learn from; it may have been undone."""
        self._recorder.ask(track, partial(has_spoken, image=track.row.id, plane=track.plane), then, self._not_kept)

    def _failed(self, sentence: str) -> None:
        """The trainer refuses, perhaps as all was undone since it was asked."""
        assert self._asked is not None
        track = self._asked[0]

        def then(spoken: bool) -> None:
            if self._wanted(track) and not self._order:
                self.words, self.trouble = "", sentence
                if not spoken:
                    self._await()
                self.changed.emit()

        self._ask_spoken(track, then)

    def _ask(self, track: Track, target: Target, spoken: bool) -> None:
        if self._order:
            return
        if not self._wanted(track) or self._busy() or not spoken:
            self.words = ""
            if self._wanted(track) and not spoken:
                self._await()
            self.changed.emit()
            return
        self._asked = track, target
        region = self._region(target)
        lesson = {"session": str(track.session.folder), "image": track.row.id, "plane": track.plane}
        self._order = self._trainer.order(
            "live",
            model=str(target.path),
            lessons=[{**lesson, "volume": target.volume}],
            region=None if region is None else {"start": region.start, "stop": region.stop, "time": region.time},
            settings=dict(self._window.computing()),
        )

    def _await(self) -> None:
        """Nothing teaches it, or nothing any more: what it would suggest is not wanted either."""
        self._take_away()
        self.words, self.trouble = AWAITED, ""

    def _not_kept(self, why: str) -> None:
        self.words, self.trouble = "", why
        self.changed.emit()

    def _hear(self, message: Message) -> None:
        if not self._order or message.order != self._order:
            return
        match message:
            case Finished(answer=answer):
                self._order = 0
                self._arrived(answer)
            case Failed(sentence=sentence):
                self._order, self.words = 0, ""
                self._failed(sentence)
            case Died(reason=reason):
                self._order, self.words = 0, ""
                self.trouble = f"It stopped ({reason}); close other programs, or retrain instead."
            case Cancelled():
                self._order = 0
        self.changed.emit()

    def _arrived(self, answer: Mapping[str, Any]) -> None:
        """New labels: what they would change is worked out as it will be when they are accepted."""
        assert self._asked is not None
        track, target = self._asked
        self.words = ""
        if not self._wanted(track):
            return
        box = answer["region"]
        region = None if box is None else Region(tuple(box["start"]), tuple(box["stop"]), box["time"])
        where = None if region is None else box_of(region, target)
        predicted = Predicted(target.model.name, answer["model_hash"], {**answer["settings"], "live": answer["steps"]})
        renewal = Renewal(answer["labels"], where, TOOL, predicted)
        row, plane, times = track.row, track.plane + SAID, times_of(renewal, track)

        def ask(frozen: dict[int, Annotation]) -> None:
            def work_out(said: dict[int, Labels]) -> None:
                self._engine.later(lambda: _changes(frozen, said, renewal, track.layer.data.shape), show, "edits")

            self._recorder.ask(track, partial(labels_at, row.id, plane, times), work_out, self._not_kept)

        def show(changes: NDArray[np.uint8]) -> None:
            if self._wanted(track):
                self._suggest(track, renewal, changes)

        self._recorder.frozen(track, times, ask)

    def _is_kept(self, track: Track) -> bool:
        return self._recorder.track(track.layer) is track

    def _wanted(self, track: Track) -> bool:
        """Whether a suggestion for this mask is of use now."""
        return self.on and self._lessons.track is track and self._recorder.shows_its_image(track)

    def _suggest(self, track: Track, renewal: Renewal, changes: NDArray[np.uint8]) -> None:
        if not changes.any():
            self._take_away()
            self.words = "It sees this as you do: nothing to suggest."
        else:
            self._suggestion = Suggestion(track, renewal, self._drawn(track, changes))
            self.words = self._told = self._offer(self._suggestion)
        self.changed.emit()

    def _tell(self, suggestion: Suggestion) -> None:
        """Say what is offered, or where it lies once something else is shown, unless something newer is said."""
        words = self._offer(suggestion)
        if self.words in (self._told, words) and self._told != words:
            self.words = self._told = words
            self.changed.emit()

    def _offer(self, suggestion: Suggestion) -> str:
        """What is offered, or why that is not seen."""
        over = self._covering(suggestion)
        return self._unseen(suggestion) or (OFFERED if over is None else UNDER.format(over=over.name))

    def _covering(self, suggestion: Suggestion) -> Any:
        """The image over a suggestion, or over its mask, that lets nothing of it through, if there is one."""
        if self._viewer.dims.ndisplay == 3:
            return None
        layers = suggestion.layer, suggestion.track.layer
        return next(filter(None, (covering_part(self._viewer, layer, suggestion.ends) for layer in layers)), None)

    def _uncovered(self, suggestion: Suggestion) -> str:
        """Bring a suggestion to the front that another image covers; what is said of that."""
        over, track = self._covering(suggestion), suggestion.track
        if over is None:
            return ""
        bring_to_front(self._viewer, [*self._recorder.together(track.image), suggestion.layer])
        return IN_FRONT.format(over=over.name)

    def _unseen(self, suggestion: Suggestion) -> str:
        """Why what accepting would change is not seen, and what to do about it; empty where it is seen."""
        track, layer, dims = suggestion.track, suggestion.layer, self._viewer.dims
        if not is_seen(track.layer):
            return HIDDEN.format(name=track.layer.name)
        if not is_seen(layer):
            return UNSEEN
        here, first = voxel_at(layer, dims), dims.ndim - layer.ndim
        for axis, side in enumerate(suggestion.renewal.where or ()):
            there = range(*side.indices(layer.data.shape[axis]))
            if first + axis not in dims.displayed and here[axis] not in there:
                return ELSEWHERE.format(where=_named(there, time=axis < layer.ndim - len(track.row.grid)))
        return ""

    def _drawn(self, track: Track, changes: NDArray[np.uint8]) -> Any:
        """The layer that shows them: the one of the last suggestion, where that was for the same mask."""
        before = self._suggestion
        if before is not None and before.track is track and before.layer.data.shape == changes.shape:
            swap_labels(before.layer, changes)
            return before.layer
        self._take_away()
        about = track.image
        return shown_over(self._viewer, about, volume_as_kept(about), changes, NAME, opacity=1.0, colormap=_COLOURS)

    def _give_up(self) -> None:
        if self._order:
            self._trainer.cancel(self._order)
            self._order = 0
        self._take_away()

    def _take_away(self) -> None:
        gone, self._suggestion = self._suggestion, None
        if gone is not None:
            taken_away(self._viewer, (gone.layer,))

    def _removed(self, event: Any) -> None:
        if self._suggestion is not None and event.value is self._suggestion.layer:
            self._suggestion = None
            self.changed.emit()


def _named(places: range, *, time: bool) -> str:
    """Where something lies along an axis, as the sliders number it."""
    first, last = places.start, places.stop - 1
    if time:
        return f"at time {first}" if first == last else f"at the times {first} to {last}"
    return f"in slice {first}" if first == last else f"in the slices {first} to {last}"


def _changes(
    frozen: dict[int, Annotation], said: dict[int, Labels], renewal: Renewal, shape: tuple[int, ...]
) -> NDArray[np.uint8]:
    """In a thread: what accepting would change, in the shape of the layer."""
    found = np.zeros(shape, np.uint8)
    for at_time, edit in edits_of(renewal, frozen, said).items():
        frame = found[at_time] if found.ndim > len(frozen[at_time].grid) else found
        for patch in edit.patches:
            part = frame[patch.box]
            part[(patch.before != patch.after) & (patch.after > 0)] = COMES
            part[(patch.before > 0) & (patch.after == 0)] = GOES
    return found
