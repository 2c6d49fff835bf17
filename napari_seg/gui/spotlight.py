"""What a model will learn from, seen over the image: it stays bright, and all that is unknown is dark.

What is shown is worked out by the very code that a training runs, in a thread, from what is on the disk. A person can
correct it by painting in a layer of its own, which is kept like any mask and has the last word.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.editing.spoken import COUNTS, UNKNOWN
from napari_seg.errors import SegError, attempted
from napari_seg.gui.arrivals import IMAGE, MADE, PLANE, Found, same_image, volume_as_kept
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, beside
from napari_seg.gui.lessons import Lessons
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.show_only import shown_over, taken_away
from napari_seg.gui.track import Track
from napari_seg.gui.views import adding, swap_labels
from napari_seg.session.learning import lessons
from napari_seg.session.records import LEARNING
from napari_seg.session.store import Store

REST = 0.4
"""Seconds without a change before it is worked out anew."""

NAME = "Not learned from"
"""What the layer is called that makes the unknown dark."""

DARK, EDGE = 1, 2
_VEIL = DirectLabelColormap(color_dict={None: (0, 0, 0, 0), DARK: (0, 0, 0, 0.68), EDGE: (1, 1, 1, 0.55)})
_MARKS = DirectLabelColormap(
    color_dict={None: (0, 0, 0, 0), COUNTS: (0.0, 0.62, 0.45, 0.55), UNKNOWN: (0.84, 0.37, 0.0, 0.55)}
)

Seen = tuple[Any, ...]


class Spotlight:
    """One for each window. ``on``: whether it is shown; ``marking``: what is being painted, 0 for nothing."""

    changed = Signal()

    def __init__(self, viewer: Any, engine: Engine, recorder: Recorder, lessons: Lessons) -> None:
        self._viewer, self._engine, self._recorder, self._lessons = viewer, engine, recorder, lessons
        self._clock = time.monotonic
        self._veil: Any = None
        self._image: tuple[Path, int] | None = None  # the one that it was switched on for
        self._shown: Seen = ()
        self._working: Seen = ()
        self._stirred = 0.0
        self._pending: int | None = None  # what is to be painted once the layer of the marks is kept
        self.on = False
        self.trouble = ""
        viewer.layers.events.removed.connect(self._removed)

    @property
    def marking(self) -> int:
        track = self._marks()
        layer = None if track is None else track.layer
        if layer is None or self._viewer.layers.selection.active is not layer or str(layer.mode) != "paint":
            return 0
        return int(layer.selected_label)

    def show(self, on: bool) -> None:
        """Switch it on or off. Switched off, the marks are hidden too; they count all the same."""
        self.on, self.trouble = on, ""
        marks, track = self._marks(), self._lessons.track
        self._image = None if track is None else track.key
        if marks is not None:
            marks.layer.visible = on
            if not on and self._viewer.layers.selection.active is marks.layer and track is not None:
                self._viewer.layers.selection.active = track.layer
        if not on:
            self._pending = None
            self._take_away()
        self.changed.emit()

    def mark(self, value: int) -> None:
        """Let the person paint where it counts (1), where it does not (2), or take such marks away (0)."""
        track = self._lessons.track
        if track is None or track.session.read_only:
            return
        if not self.on:
            self.show(True)
        marks, name, image = self._marks(), track.plane + LEARNING, track.row.id
        if marks is not None:
            self._take(marks.layer, value)
            return

        def known(store: Store) -> bool:
            return any(plane.name == name for plane in store.planes(image))

        def then(there: bool) -> None:
            if there:
                found = Found(track.session, track.row, frozenset(), frozenset(), {}, 0)
                self._recorder.arrivals.show_planes(track.about, found, {name}, lambda: None)
            else:
                self._add(track)
            self._pending = value

        self._recorder.ask(track, known, then)

    def end_marking(self) -> None:
        """Back to the mask."""
        track = self._lessons.track
        if track is not None:
            self._viewer.layers.selection.active = track.layer
        self.changed.emit()

    def tick(self) -> None:
        """Follow what was painted and said, after a short rest."""
        if not self.on:
            return
        if self._is_of_another():
            self.show(False)
            return
        marks = self._marks()
        if self._pending is not None and marks is not None:
            value, self._pending = self._pending, None
            self._take(marks.layer, value)
        track = self._lessons.track
        assert track is not None
        wanted = self._seen(track)
        if wanted != self._working:
            self._working, self._stirred = wanted, self._clock()
        elif wanted != self._shown and self._clock() - self._stirred >= REST:
            self._shown = wanted
            self._work_out(track, wanted)

    def _is_of_another(self) -> bool:
        """Whether another image is in hand than the one that it was switched on for."""
        track, active = self._lessons.track, self._viewer.layers.selection.active
        if track is None or track.key != self._image:
            return True
        return isinstance(active, Image) and not (track.image is None or same_image(track.image, active))

    def _seen(self, track: Track) -> Seen:
        """What is another when something else is to be shown."""
        marks = self._marks()
        rows = self._recorder.rows(track)
        return track.key, track.plane, track.version, id(rows), None if marks is None else marks.version

    def _work_out(self, track: Track, wanted: Seen) -> None:
        folder, image, plane = track.session.folder, track.row.id, track.plane

        def ready(_: object) -> None:
            self._engine.later(lambda: attempted(lambda: _veil(folder, image, plane)), show, "spotlight")

        def show(veil: NDArray[np.uint8] | SegError | None) -> None:
            if not self.on or self._shown != wanted or self._recorder.track(track.layer) is not track:
                return
            if isinstance(veil, SegError):
                self.trouble = str(veil)
                self.changed.emit()
                return
            shape = track.layer.data.shape
            self._draw(track, np.full(shape, DARK, np.uint8) if veil is None else veil.reshape(shape))

        self._recorder.ask(track, lambda store: None, ready)  # after all that was painted so far

    def _draw(self, track: Track, dark: NDArray[np.uint8]) -> None:
        if self._veil is not None and self._veil.data.shape == dark.shape:
            swap_labels(self._veil, dark)
            return
        self._take_away()
        about = track.about
        self._veil = shown_over(self._viewer, about, volume_as_kept(about), dark, NAME, opacity=1.0, colormap=_VEIL)

    def _add(self, track: Track) -> None:
        volume = volume_as_kept(track.about)
        labels = np.zeros(track.layer.data.shape, np.uint8)
        name = track.plane + LEARNING
        known = {PLANE: name, OBJECTS: False, CLASSES: ("counts", "does not count"), MADE: "marks for learning"}
        if track.image is not None:
            known[IMAGE] = str(track.image.unique_id)
        if KEY in track.layer.metadata:
            known[KEY] = track.layer.metadata[KEY]
        with adding(self._viewer):
            self._viewer.add_labels(labels, name=name, opacity=1.0, metadata=known, **beside(track.about, volume))

    def _take(self, layer: Any, value: int) -> None:
        layer.visible, layer.opacity, layer.colormap = True, 1.0, _MARKS
        self._viewer.layers.selection.active = layer
        layer.selected_label = value or COUNTS
        if layer.editable:
            layer.mode = "paint" if value else "erase"
        layer.brush_size = max(layer.brush_size, min(layer.data.shape[-2:]) / 12)
        self.changed.emit()

    def _marks(self) -> Track | None:
        track = self._lessons.track
        if track is None:
            return None
        name = track.plane + LEARNING
        return next((one for one in self._recorder.tracks() if one.key == track.key and one.plane == name), None)

    def _take_away(self) -> None:
        veil, self._veil, self._shown, self._working = self._veil, None, (), ()
        taken_away(self._viewer, (veil,))

    def _removed(self, event: Any) -> None:
        if event.value is self._veil:
            self._veil = None
            self.show(False)


def _veil(folder: Any, image: int, plane: str) -> NDArray[np.uint8] | None:
    """In a thread: where labels do not count, and an edge around what does, ``(times, *grid)``; ``None`` where nothing
    was said."""
    found = lessons(folder, {image: plane})
    counts = found[0].spoken()[1] if found else None
    if counts is None:
        return None
    inside = counts.copy()
    for axis in (-2, -1):  # the edge is drawn in each slice; what lies at the border of the image has none there
        first, last = np.moveaxis(counts, axis, 0), np.moveaxis(inside, axis, 0)
        last[1:] &= first[:-1]
        last[:-1] &= first[1:]
    return np.where(counts, np.where(inside, np.uint8(0), np.uint8(EDGE)), np.uint8(DARK))
