"""What a tool would do is seen before it does it: the object under the cursor is outlined, what a brush in a range
would paint near the cursor is tinted, and what would come of a line, a drag or clicks so far is shown.

Nothing is written to the layer for it: all is drawn over the canvas. One slice is looked at, and only where the cursor
is on something else than before.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from psygnal import Signal

from napari_seg.editing.annotation import Annotation, Extents
from napari_seg.editing.painting import Painting
from napari_seg.editing.selection import components
from napari_seg.editing.tools import Gesture, Tool
from napari_seg.errors import SegError
from napari_seg.gui.display import is_drawn, undrawn
from napari_seg.gui.foreseen import Foreseen, Slab, changed_by, colour_of
from napari_seg.gui.hands import Hands, Outcome
from napari_seg.gui.ranges import range_for
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.surroundings import Surroundings
from napari_seg.gui.track import Track
from napari_seg.gui.views import shown_at

_AROUND = 3.0
"""What a brush would paint is shown this many radii around the cursor."""

_MOST = 128
"""But so many voxels to each side at the most."""

_TINT = 0.55

_MARKS = 50
"""Selected objects that are outlined, at the most."""


class Hover:
    """One for each window. ``idle``: the object under the cursor is outlined too while no tool is held, for the tools
    that act at once when their key is pressed. ``words``: why nothing comes of the clicks so far. ``marked``: the
    selected objects, outlined in the slice that the main view shows."""

    changed = Signal()

    def __init__(self, viewer: Any, hands: Hands, recorder: Recorder, surroundings: Surroundings) -> None:
        self._viewer, self._hands = viewer, hands
        self._recorder, self._surroundings = recorder, surroundings
        self.shown: Foreseen | None = None
        self.words = ""
        self.marked: tuple[Foreseen, ...] = ()
        self.idle = False
        self._outcome: Outcome | None = None
        viewer.mouse_move_callbacks.append(self._moved)
        hands.changed.connect(self.look)
        for event in (hands.drawn, viewer.dims.events.point, viewer.dims.events.order):
            event.connect(self._mark)  # the hands draw anew whenever the recorder has something else
        hands.drawn.connect(self.look)
        recorder.changed.connect(self.look_again)
        for event in (viewer.dims.events.point, viewer.dims.events.order, viewer.dims.events.ndisplay):
            event.connect(self.look)
        viewer.layers.events.removed.connect(self.forget)

    def forget(self, event: Any = None) -> None:
        """What is shown is gone."""
        self._show(None)

    def look_again(self) -> None:
        """The labels may be others than before."""
        if self._hands.doing is None and self.shown is not None:
            self.shown = None
            self.look()
            self.changed.emit()

    def look(self, event: Any = None) -> None:
        """Work out what is to be shown, from what is under the mouse."""
        tool, doing = self._hands.tool, self._hands.doing
        if isinstance(tool, Tool) and doing is not None:
            outcome = self._hands.outcome
            if outcome is not self._outcome or outcome is None:
                self._outcome, self.words = outcome, "" if outcome is None else outcome.words
                self._show(None if outcome is None else self._of(outcome))
                self.changed.emit()  # the words too
            return
        self._outcome, self.words = None, ""
        mouse = self._hands.pointed_at
        self._show(None if mouse is None else self._at(*mouse))

    def _mark(self, event: Any = None) -> None:
        track, before = self._hands.track, self.marked
        selected = self._hands.selected[:_MARKS] if track is not None and track.layer.visible else ()
        slab = None
        if track is not None and selected:
            slab = self._slab(track, self._viewer.dims.point, tuple(self._viewer.dims.displayed))
        found = [] if slab is None else [self._outline(slab, label) for label in selected]
        self.marked = tuple(one for one in found if one is not None)
        if before or self.marked:
            self.changed.emit()

    def _outline(self, slab: Slab, label: int) -> Foreseen | None:
        """All of an object that lies in a slice; nothing of one that is not drawn."""
        if not is_drawn(slab.layer, label):
            return None
        mask = slab.of(slab.layer.data) == label
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not len(rows):
            return None
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return Foreseen(slab, (int(rows[0]), int(columns[0])), label, outlined=mask[box])

    def _moved(self, viewer: Any, event: Any) -> None:
        if self._hands.doing is None:
            self.look()

    def _show(self, found: Foreseen | None) -> None:
        if found is not self.shown:
            self.shown = found
            self.changed.emit()

    def _at(self, position: Any, displayed: tuple[int, ...]) -> Foreseen | None:
        """What the tool in hand, or a key, would act on here."""
        tool, track = self._hands.tool, self._hands.track
        about_objects = isinstance(tool, Tool) and tool.hovers
        if tool is None and track is not None:
            about_objects = self.idle and str(track.layer.mode) == "pan_zoom"
        options = self._hands.options.get(tool.name) if tool is not None else None
        ranged = isinstance(options, Painting) and options.mode == "range" and self._hands.radius is not None
        if track is None or not (about_objects or ranged) or not track.layer.visible:
            return None
        slab = self._slab(track, position, displayed)
        if slab is None:
            return None
        return self._painted(track, slab, options) if ranged else self._object(track, slab)

    def _slab(self, track: Track, position: Any, displayed: tuple[int, ...]) -> Slab | None:
        """The slice that the mouse is in; ``None`` outside the layer and in 3D."""
        layer = track.layer
        axes = [axis - (self._viewer.dims.ndim - layer.ndim) for axis in displayed]
        index = np.rint(shown_at(layer, position, displayed))
        inside = all(0 <= i < n for i, n in zip(index, layer.data.shape, strict=True))
        if len(axes) != 2 or min(axes) < layer.ndim - len(track.row.grid) or not inside:
            return None
        return Slab(layer, tuple(index.tolist()), (axes[0], axes[1]), displayed)

    def _object(self, track: Track, slab: Slab) -> Foreseen | None:
        """The outline, in this slice, of the object or the part of a class under the mouse."""
        seen, here = slab.of(track.layer.data), slab.here
        label = int(seen[here])
        if not label:
            return None
        before, objects = self.shown, self._recorder.counts_objects(track)
        same = before is not None and before.label == label and before.slab.same(slab)
        if same and before is not None and before.outlined is not None and (objects or before.has(*here)):
            return before
        found = self._outline(slab, label)
        if found is not None and found.outlined is not None and not objects:
            parts = components(np.ascontiguousarray(found.outlined))[0]
            part = parts == parts[here[0] - found.start[0], here[1] - found.start[1]]
            found = replace(found, outlined=part)
        return found

    def _painted(self, track: Track, slab: Slab, options: Any) -> Foreseen | None:
        """What a brush would paint around the mouse: the voxels in the range that are not of the label yet."""
        layer, label = track.layer, int(track.layer.selected_label)
        lead = layer.ndim - len(track.row.grid)
        spacing = track.row.spacing or (1.0,) * len(track.row.grid)
        reach = [min(_MOST, math.ceil(_AROUND * options.radius / spacing[axis - lead])) for axis in slab.axes]
        seen = slab.of(layer.data)
        box = tuple(
            slice(max(0, i - r), min(n, i + r + 1)) for i, r, n in zip(slab.here, reach, seen.shape, strict=True)
        )
        time = int(slab.index[0]) if lead else 0
        image = self._surroundings.image(track, time)
        if image is None:
            return None
        inner = slab.without(lead)
        values = np.asarray(inner.of(image)[box], np.float32)
        try:
            low, high = range_for(options, self._alone(track, image, inner, time), options.radius)
        except SegError:
            return None
        kept = [label, *self._recorder.locked(track)]
        wanted = (values >= low) & (values <= high) & ~np.isin(seen[box], kept)
        unseen = undrawn(layer)
        if unseen is not None:
            wanted &= ~unseen(seen[box])
        picture = np.zeros((*wanted.shape, 4), np.uint8)
        tint = colour_of(layer, label, _TINT)
        tint[:3] += (255 - tint[:3]) // 2  # lighter than what is painted already
        picture[wanted] = tint
        return Foreseen(slab, (box[0].start, box[1].start), label, painted=picture)

    def _alone(self, track: Track, image: Any, slab: Slab, time: int) -> tuple[Annotation, Gesture]:
        """The image and a click, without looking through the labels."""
        spacing = track.row.spacing or (1.0,) * len(track.row.grid)
        nothing = Extents(np.zeros((0,) * len(track.row.grid), np.uint8))
        annotation = Annotation(track.frames[time], nothing, spacing=spacing, image=image)
        return annotation, Gesture((slab.index,), slab.axes)

    def _of(self, outcome: Outcome) -> Foreseen | None:
        """What a gesture would make, in the slice of its first point; ``None`` where that is nothing yet."""
        doing = outcome.doing
        if outcome.edit is None:
            return None
        layer, grid = doing.track.layer, doing.annotation.grid
        lead, first = layer.ndim - len(grid), self._viewer.dims.ndim - len(grid)
        place = tuple(float(np.clip(round(p), 0, n - 1)) for p, n in zip(doing.points[0], grid, strict=True))
        rows, columns = doing.shown
        slab = Slab(
            layer,
            (*(float(doing.time),) * lead, *place),
            (rows + lead, columns + lead),
            (rows + first, columns + first),
        )
        return changed_by(outcome.edit, slab)
