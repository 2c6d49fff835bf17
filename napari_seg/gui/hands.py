"""The tools in a person's hands: keys and mouse become gestures, gestures become edits, edits become steps.

One tool is held at a time. What it does is seen while it is done: a brush paints at once; what else would come of a
gesture is worked out in a thread while the mouse moves, and drawn over the canvas. A stroke is one step of the history,
made when the button is let go; Escape gives it up.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np
from psygnal import Signal

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import Edit, Patch
from napari_seg.editing.painting import Painting
from napari_seg.editing.ranging import Range, around, of_label
from napari_seg.editing.ruler import MEASURES, Measure
from napari_seg.editing.tools import Gesture, Tool
from napari_seg.errors import SegError
from napari_seg.gui.display import is_drawn, is_seen
from napari_seg.gui.foresight import Foresight
from napari_seg.gui.keys import keys_of
from napari_seg.gui.layers import MOVED, lies_elsewhere
from napari_seg.gui.meant import unkept
from napari_seg.gui.mouse import STILL, held_still
from napari_seg.gui.nearing import bring_to_front, covering
from napari_seg.gui.orthogonal import views_of
from napari_seg.gui.pointing import Pointing
from napari_seg.gui.ranges import is_open
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.surroundings import Surroundings
from napari_seg.gui.track import Track
from napari_seg.gui.views import shown_at, voxel_at
from napari_seg.spec import Spec
from napari_seg.wording import there_are

_BRUSH_SHARE = 1 / 50
"""The radius of a brush is at first this share of the smaller side of the image."""

UNSEEN = "What lies here is hidden; show its class in the list, or all labels (Shift+M), first."
"""Said where a tool would change an object that is not drawn."""

UNSEEN_PAINT = "What you paint now would not be seen; show its class in the list, or choose another label, first."
"""Said where the label in hand is not drawn."""

HIDDEN = "{name} is hidden; show it first, with V or its eye in the list of layers."
"""Said where a tool would change a mask that is not seen."""

COVERED = "{name} lay under {over} and is in front now, with its image; do it again."
"""Said where a tool would change what lies hidden under another image."""

UNPOINTED = "The picture has moved under the mouse, or the mouse has left it; move it to the object first."
"""Said where it is not known which object is meant."""

_BUTTON_HELD = "Let go of the mouse button first."

_CLICKS_BEGUN = "What you have clicked is not finished; press Return to finish it, or Escape to drop it, first."

BEYOND = "This mask has nothing at the time that is shown; go to one at which its image is seen."
"""Said where a tool would change a moment that is not shown."""

ASKEW = "Here the mask is cut along time, or where it has no depth; work in a view of its rows and columns."
"""Said where what a view shows is no plane of the mask."""

_AWAY = "That began in another slice or at another time; go back there, or press Escape to begin anew."

IN_3D = "Which place is meant is not seen in 3D; go back to slices first (Ctrl+Y)."
_TURNED_OVER = "Another slice or time was shown before you were done, so nothing was changed; do it again in one."

_STEP = 1.2
"""By how much a key makes a brush larger."""

_IN_DEPTH = "split by seeds"
"""The tool whose clicks may lie in several slices."""

HELD: dict[str, Tool | Measure] = {**TOOLS, **MEASURES}
"""Everything that can be held, by its name."""


@dataclass
class Doing:
    """What is under way: the annotation as it was found, the points in voxels, and what has been sketched so far.

    ``shown``: the two axes that are displayed. ``trail``: the same points in the world, for what is drawn over the
    canvas. ``begun_on``: the label that lay under the first point.
    """

    track: Track
    time: int
    annotation: Annotation
    shown: tuple[int, int]
    points: list[tuple[float, ...]] = field(default_factory=list)
    trail: list[tuple[float, ...]] = field(default_factory=list)
    sketched: list[Patch] = field(default_factory=list)
    begun_on: int = 0
    rows: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What comes of the gesture so far: the edit, or in ``words`` why there is none. ``asked``: tool, gesture, options
    and the version of the mask, all that it depends on."""

    doing: Doing
    asked: tuple[str, Gesture, Spec, int]
    edit: Edit | None = None
    words: str = ""


class Hands:
    """One for each window. ``tool``: what is held; ``acted``: else the tool that acted last; ``options``: the settings
    of each tool by its name; ``selected``: the objects that were clicked on with Shift; ``pointing``: where the mouse
    is; ``outcome``: what would come of the gesture that is under way, as far as that is known."""

    changed = Signal()
    """Another tool, other settings, or something else to be said."""

    drawn = Signal()
    """What is to be drawn over the canvas has changed."""

    def __init__(self, viewer: Any, recorder: Recorder, surroundings: Surroundings) -> None:
        self._viewer, self._recorder, self._surroundings = viewer, recorder, surroundings
        self.tool: Tool | Measure | None = None
        self.acted: Tool | None = None
        self.options: dict[str, Spec] = {name: tool.options() for name, tool in TOOLS.items()}
        self.selected: tuple[int, ...] = ()
        self.said = ""
        self.measured = ""
        self.doing: Doing | None = None
        self.outcome: Outcome | None = None
        self.foresight = Foresight(self._foreseen)
        self._held_for: Any = None  # the layer that was prepared for the tool in hand
        self._bound: tuple[str, ...] = ()  # the keys that it was given
        self._moving_view = False  # with a tool in hand, as a key is held
        self.pointing = Pointing()
        viewer.mouse_drag_callbacks.append(self._press)
        viewer.mouse_double_click_callbacks.append(self._double_click)
        viewer.layers.selection.events.active.connect(self._another_layer)
        for event in (viewer.dims.events.order, viewer.dims.events.ndim, viewer.dims.events.ndisplay):
            event.connect(self._turned)
        recorder.changed.connect(self.drawn.emit)
        for tool in HELD.values():
            if tool.key:
                viewer.bind_key(tool.key, self._taking(tool.name), overwrite=True)
        self._keys = {"Escape": lambda _: self.give_up(), "Enter": lambda _: self.confirm()}

    # what is in the hands

    @property
    def track(self) -> Track | None:
        """The mask that tools are for."""
        return self._recorder.meant

    def take(self, name: str) -> None:
        """What the key of a tool does: take it, or put it down where it is held; one that acts does so at once."""
        tool = HELD[name]
        if tool.kind == "action":
            self.act(name)
        elif self.tool is tool:
            self.put_down()
        else:
            self._hold(tool)

    def pick(self, name: str) -> None:
        """What the button of a tool does. The mouse is not on an object then: a tool that acts on the one under the
        cursor is held for the next clicks, and one with settings waits until it is applied."""
        tool = HELD[name]
        if self.tool is tool:
            self.put_down()
        elif isinstance(tool, Tool) and tool.kind == "action" and not tool.hovers and tool.options.model_fields:
            self.put_down()
            self.acted = tool
            self.changed.emit()
        elif isinstance(tool, Tool) and tool.kind == "action" and not tool.hovers:
            self.act(name, from_panel=True)
        else:
            self._hold(tool)

    def _hold(self, tool: Tool | Measure) -> None:
        self.put_down()
        track = self.track
        if track is None:
            self._say_there_is_none()
            return
        self._viewer.layers.selection.active = track.layer
        track.layer.mode = "pan_zoom"
        track.layer.mouse_pan = self._in_3d
        track.layer.events.mode.connect(self._mode_changed)
        track.layer.events.visible.connect(self._hidden)
        self.tool, self.acted = tool, None
        self._held_for = track.layer
        self._bind_keys(track.layer)
        self._first_options(track)
        self._say("")

    def put_down(self) -> None:
        """Hold no tool, and take back what is not finished; the mouse moves the view again."""
        self._take_back()
        self.tool, self.measured, self._moving_view = None, "", False
        layer, self._held_for = self._held_for, None
        if layer is not None:
            layer.events.mode.disconnect(self._mode_changed)
            layer.events.visible.disconnect(self._hidden)
            for key in self._bound:
                layer.bind_key(key, None)
            if str(layer.mode) == "pan_zoom":
                layer.mouse_pan = True
        self._say("")
        self.drawn.emit()

    def close(self) -> None:
        """Hold nothing any more. What was painted of a stroke stays, and whoever keeps the mask finds it there."""
        for signal in (self.changed, self.drawn):
            signal.disconnect()  # whoever listened may be gone with the window
        doing, self.doing = self.doing, None
        if doing is not None:
            doing.track.in_hand = False
        self.put_down()

    def _bind_keys(self, layer: Any) -> None:
        """On the layer, where napari's own tools have them too: those of ours mean the same with a tool in hand."""
        keys = {**self._keys, **dict.fromkeys(keys_of("hold_for_pan_zoom"), self._move_view)}
        if self.radius is not None:
            keys |= dict.fromkeys(keys_of("decrease_brush_size"), lambda _: self._resize(1 / _STEP))
            keys |= dict.fromkeys(keys_of("increase_brush_size"), lambda _: self._resize(_STEP))
        self._bound = tuple(keys)
        for key, use in keys.items():
            layer.bind_key(key, use, overwrite=True)

    def _move_view(self, layer: Any) -> Generator[None]:
        """While the key is held the mouse moves the view; not within a stroke, whose button is held."""
        if self._button_held:
            return
        layer.mouse_pan = self._moving_view = True
        yield
        if self._moving_view and layer is self._held_for:
            self._moving_view, layer.mouse_pan = False, self._in_3d

    def _resize(self, factor: float) -> None:
        """Make the brush in hand larger or smaller."""
        if self.tool is not None and self.radius is not None:
            self.set_option(self.tool.name, radius=float(f"{self.radius * factor:.3g}"))

    @property
    def _button_held(self) -> bool:
        """Whether a gesture is under way that ends when the button is let go."""
        return self.doing is not None and self.tool is not None and self.tool.kind != "seeds"

    def give_up(self) -> None:
        """Take back what is not finished; where nothing is, put the tool down."""
        if self.track is not None and self._recorder.give_up(self.track):
            self._over("Given up: nothing was changed.")
        elif self._take_back():
            self._say("")
            self.drawn.emit()
        elif self.tool is not None:
            self.put_down()

    def _take_back(self) -> bool:
        """Whether something was under way that is now as if it had not been begun."""
        doing, self.doing = self.doing, None
        self._foresee_no_more()
        if doing is None:
            return False
        self._withdraw(doing)
        doing.track.in_hand = False
        return True

    def set_option(self, tool: str, **values: Any) -> None:
        """Change a setting of a tool. Raises ``SegError`` for one that is not allowed."""
        self.options[tool] = type(self.options[tool]).from_person({**self.options[tool].model_dump(), **values})
        self.changed.emit()
        self.drawn.emit()

    @property
    def radius(self) -> float | None:
        """How large the brush in hand is, in the world."""
        return getattr(self.options.get(self.tool.name), "radius", None) if self.tool else None

    # what is done

    def act(self, name: str, *, from_panel: bool = False) -> None:
        """Use a tool that needs no gesture, where the cursor is or on what is selected. ``from_panel``: in the slice of
        the main view, whichever other views the mouse has crossed on its way."""
        track, self.acted = self.track, TOOLS[name]
        if track is None:
            self._say_there_is_none()
            return
        if self.doing is not None or track.in_hand:
            self._say(_CLICKS_BEGUN if self.doing is not None and not self._button_held else _BUTTON_HELD)
            return
        mouse, at_mouse = self._pointed(left=from_panel), self.acted.hovers and not self.selected
        position, shown = self._beside_all()
        if mouse is not None and (at_mouse or not from_panel or mouse[1] == shown):
            position, shown = mouse
        if self._waits(track, shown, position):
            return
        if len(shown) != 2 and (self.acted.hovers or self.acted.group == "slices"):
            self._say(IN_3D)
            return
        if at_mouse and mouse is None:
            self._say(UNPOINTED)
            return
        doing = self._begin(track, position, shown)
        if not self._unseen(TOOLS[name], doing):
            self._finish(TOOLS[name], doing)

    @property
    def pointed_at(self) -> tuple[Any, tuple[int, ...]] | None:
        """What a key for the object under the mouse is for: a point of the viewer, and the two axes that the view under
        the mouse shows. What was acted on last is still meant where the mouse has left it to change a setting."""
        return self._pointed(left=self.tool is None and self.acted is not None and self.acted.hovers)

    def _pointed(self, *, left: bool) -> tuple[Any, tuple[int, ...]] | None:
        """The place under the mouse in the slices that are shown now; also where it has ``left`` the view."""
        place = self.pointing.last if left else self.pointing.here
        if place is None or len(place.position) != self._viewer.dims.ndim:
            return None
        position, axes = np.asarray(self._viewer.dims.point, float), list(place.displayed)
        position[axes] = place.position[axes]
        return position, place.displayed

    def _beside_all(self) -> tuple[Any, tuple[int, ...]]:
        """A point in the slice that the main view shows where nothing lies: that of no object."""
        dims = self._viewer.dims
        position, shown = np.asarray(dims.point, float), tuple(dims.displayed)
        for axis in shown:
            low, high, step = dims.range[axis]
            position[axis] = low - (high - low) - 9 * step
        return position, shown

    def _unseen(self, tool: Tool | Measure, doing: Doing) -> bool:
        """Whether a tool for the object under the mouse would change one that is not drawn, or paint with a label that
        is not; that is said then."""
        if not isinstance(tool, Tool):
            return False
        label = int(doing.track.layer.selected_label)
        paints = _paints_in_hand(self.options[tool.name]) and tool.name != "eraser"
        if paints and label and not is_drawn(doing.track.layer, label):
            self._say(UNSEEN_PAINT)
            return True
        label = doing.begun_on
        if label and tool.hovers and not self.selected and not is_drawn(doing.track.layer, label):
            self._say(UNSEEN)
            return True
        return False

    def _turned(self, event: Any = None) -> None:
        """The views show other axes: a gesture goes no further; clicks wait for the view in which they were made. In
        3D, where no tool works, the mouse turns the view."""
        if self._held_for is not None:
            self._held_for.mouse_pan = self._in_3d or self._moving_view
            self.drawn.emit()
        if not self._button_held:
            return
        if not self._end_stroke():
            self._take_back()
            self._say(_TURNED_OVER)
        self.drawn.emit()

    def _end_stroke(self) -> bool:
        """Make one step of what was painted of a stroke whose button is still held; whether there is such a one."""
        doing, tool = self.doing, self.tool
        if doing is None or not _is_brush(tool):
            return False
        self.doing = None
        self._finish(tool, doing)
        return True

    def _hidden(self, event: Any) -> None:
        """The mask is seen no more, or again: a gesture on what is not seen is given up."""
        if not event.source.visible and self._take_back():
            self._say(HIDDEN.format(name=event.source.name))
            self.drawn.emit()

    def confirm(self) -> None:
        """The last of several clicks was made."""
        doing = self.doing
        if doing is not None and self.tool is not None and self.tool.kind == "seeds":
            why = self._misplaced(doing.track, tuple(self._viewer.dims.displayed))
            if why or not self.shows(doing, self._viewer.dims):
                self._say(why or _AWAY)
                return
            self.doing = None
            self._finish(self.tool, doing)
            self._foresee_no_more()
            self.drawn.emit()

    def range_of_label(self) -> None:
        """Paint, with the brush in hand, in the range of what has the label in hand in the slice that is shown."""
        track = self.track
        if track is not None:
            doing = self._begin(track, self._viewer.dims.point, tuple(self._viewer.dims.displayed))
            self._paint_in(lambda: of_label(doing.annotation, self.gesture(doing)))

    def _paint_in(self, find: Callable[[], Range]) -> None:
        """Give the tool in hand a range of intensities."""
        try:
            low, high = find()
        except SegError as error:
            self._say(str(error))
        else:
            self.said = ""
            self.set_option(self.tool.name if self.tool else "", low=low, high=high)

    def _press(self, viewer: Any, event: Any) -> Generator[None]:
        tool, track = self.tool, self.track
        if track is None or event.button != 1 or len(event.dims_displayed) != 2 or self._moving_view:
            return
        displayed = tuple(event.dims_displayed)
        if list(event.modifiers) == ["Shift"] and self.doing is None:
            if not self._waits(track, displayed, event.position):
                yield from self._select(track, event)
            return
        if tool is None or event.modifiers:
            return
        if tool.kind == "seeds" and self.doing is not None:
            yield from self._one_more(event)
            return
        if self._waits(track, displayed, event.position):
            return
        doing = self._begin(track, event.position, displayed)
        if self._unseen(tool, doing):
            return
        self.doing = doing
        if is_open(self.options.get(tool.name)):
            self._paint_in(lambda: around(doing.annotation, self.gesture(doing), self.radius or 0.0))
        start, far = np.asarray(event.pos, float), False
        if _is_brush(tool):
            self._stamp(tool, doing)
        elif tool.kind == "seeds":
            self._foresee(tool, doing)
        self.drawn.emit()
        yield
        while event.type == "mouse_move":
            if self.doing is not doing:
                return  # given up
            far = far or float(np.abs(np.asarray(event.pos, float) - start).max()) > STILL
            if tool.kind in ("stroke", "line", "drag"):
                self._move(tool, doing, event.position)
            yield
        if self.doing is not doing:
            return
        if tool.kind == "seeds":
            self._say("")
            return
        self.doing = None
        if not (_is_brush(tool) or self.shows(doing, self._viewer.dims)):
            self._say(_TURNED_OVER)
        elif tool.kind not in ("click", "action") or not far:
            self._finish(tool, doing)
        self._foresee_no_more()
        self.drawn.emit()

    def _select(self, track: Track, event: Any) -> Generator[None]:
        """Take the object under the mouse to the selected ones, or away from them; on background, let go of all."""
        label = self._begin(track, event.position, tuple(event.dims_displayed)).begun_on
        if (yield from held_still(event)) and self._recorder.counts_objects(track):
            if label and not is_drawn(track.layer, label):
                self._say(UNSEEN)
                return
            others = tuple(one for one in self.selected if one != label)
            self.select(() if not label else others if label in self.selected else (*others, label))

    def select(self, labels: tuple[int, ...]) -> None:
        """The objects that the next tool is for, where it is not for the one under the cursor alone."""
        self.selected = labels
        self._say("")
        self.drawn.emit()

    def _one_more(self, event: Any) -> Generator[None]:
        """A further click of several."""
        position = event.position
        if (yield from held_still(event)) and self.doing is not None and not self._away(self.doing, position):
            self._add(self.doing, position)
            self._foresee(self.tool, self.doing)
            self.drawn.emit()

    def _double_click(self, viewer: Any, event: Any) -> None:
        self.confirm()

    def _begin(self, track: Track, position: Any, displayed: tuple[int, ...]) -> Doing:
        first = self._viewer.dims.ndim - track.layer.ndim
        lead = track.layer.ndim - len(track.row.grid)
        rows, columns = (axis - first - lead for axis in displayed[-2:])
        where = shown_at(track.layer, position, displayed[-2:])
        time = int(np.clip(np.rint(where[0]), 0, track.row.times - 1)) if lead else 0
        annotation = self._surroundings.annotation(track, time)
        doing = Doing(track, time, annotation, (max(0, rows), max(0, columns)))
        self._add(doing, position)
        doing.begun_on = annotation.at(doing.points[0])
        return doing

    def _add(self, doing: Doing, position: Any) -> None:
        doing.points.append(tuple(_where(doing, position)[-len(doing.track.row.grid) :].tolist()))
        doing.trail.append(tuple(float(p) for p in position))

    def shows(self, doing: Doing, dims: Any) -> bool:
        """Whether what a view shows (``dims``), or one beside the main view, is the slice in which a gesture began, at
        its time."""
        free = self._is_free
        first = dims.ndim - len(doing.track.row.grid)
        turned = {axis + first for axis in doing.shown} != {*dims.displayed}
        beside = dims is self._viewer.dims and dims.ndisplay == 2 and self._has_views
        return (free or not turned or beside) and not self._elsewhere(doing, dims.point)

    @property
    def _has_views(self) -> bool:
        """Whether all three planes are seen."""
        return hasattr(self._viewer, "window") and views_of(self._viewer) is not None

    @property
    def _is_free(self) -> bool:
        """Whether a gesture with the tool in hand may lead through several slices."""
        return isinstance(self.tool, Measure) or (self.tool is not None and self.tool.name == _IN_DEPTH)

    def _elsewhere(self, doing: Doing, position: Any) -> bool:
        """Whether a point lies in another slice, or at another time, than the one in which a gesture began."""
        time, depth = np.split(_where(doing, position), [-len(doing.track.row.grid)])
        across = [axis for axis in range(len(depth)) if axis not in doing.shown]
        away = any(round(depth[axis]) != round(doing.points[0][axis]) for axis in across) and not self._is_free
        if doing.track.row.times > 1:
            away = away or round(time[0]) != doing.time
        return away

    def _away(self, doing: Doing, position: Any) -> bool:
        """The same; that is said then."""
        away = self._elsewhere(doing, position)
        if away:
            self._say(_AWAY)
        return away

    def _move(self, tool: Tool | Measure, doing: Doing, position: Any) -> None:
        if self._away(doing, position):
            return
        self._add(doing, position)
        if isinstance(tool, Measure):
            self._measure(tool, doing)
        elif _is_brush(tool):
            self._stamp(tool, doing)
        else:
            self._foresee(tool, doing)
        self.drawn.emit()

    def _foresee(self, tool: Tool | Measure | None, doing: Doing) -> None:
        """Find out what would come of the gesture so far."""
        if not isinstance(tool, Tool) or not tool.preview:
            return
        gesture, options, annotation = self.gesture(doing), self.options[tool.name], doing.annotation
        asked = tool.name, gesture, options, doing.track.version

        def work() -> Outcome:
            try:
                return Outcome(doing, asked, _told(tool.run(annotation, gesture, options)))
            except SegError as error:
                return Outcome(doing, asked, words=str(error))
            except Exception:
                if doing.track.version != asked[-1]:
                    return Outcome(doing, asked)  # it was changed while it was looked at
                raise

        self.foresight.ask(work)

    def _foreseen(self, outcome: Outcome) -> None:
        if outcome.doing is self.doing:
            self.outcome = outcome
            self.drawn.emit()

    def _foresee_no_more(self) -> None:
        self.outcome = None
        self.foresight.forget()

    def _stamp(self, tool: Tool, doing: Doing) -> None:
        """Paint the newest part of a stroke."""
        gesture = replace(self.gesture(doing), points=tuple(doing.points[-2:]))
        try:
            edit = tool.run(doing.annotation, gesture, self.options[tool.name])
            self._recorder.sketch(doing.track, edit, doing.time)
        except SegError as error:
            self.said = str(error)
            return
        self.said = ""
        doing.sketched.extend(edit.patches)
        doing.rows.update(edit.rows)
        self._refresh(doing)

    def _withdraw(self, doing: Doing) -> None:
        """Take back all that was sketched."""
        if doing.sketched:
            edit = Edit("", tuple(doing.sketched)).inverse()
            self._recorder.sketch(doing.track, edit, doing.time)
            doing.sketched.clear()
            doing.rows.clear()
            self._refresh(doing)

    def _refresh(self, doing: Doing) -> None:
        """The layer has another array where a label did not fit into the old one."""
        frame = doing.track.frames[doing.time]
        if doing.annotation.labels.dtype != frame.dtype:
            doing.annotation = replace(doing.annotation, labels=frame)

    def _measure(self, tool: Measure, doing: Doing) -> None:
        """Say what lies between the points; a ruler reaches from the first to the last."""
        points = doing.points if tool.kind == "seeds" else [doing.points[0], doing.points[-1]]
        annotation = doing.annotation
        try:
            self.measured = tool.run(points, annotation.spacing, annotation.unit, annotation.along).words
        except SegError as error:
            self._say(str(error))
        else:
            self._say("")

    def _finish(self, tool: Tool | Measure, doing: Doing) -> None:
        """Make one step of what was done, or say what was measured."""
        if isinstance(tool, Measure):
            self._measure(tool, doing)
            return
        try:
            if doing.sketched:
                edit = Edit(tool.name, tuple(doing.sketched), doing.rows)
                self._recorder.keep(doing.track, edit, doing.time)
            elif _is_brush(tool):
                doing.track.in_hand = False
                self._say(self.said)
                return
            else:
                self._work(tool, doing)
                return
        except SegError as error:
            doing.track.in_hand = False
            self._say(str(error))
            return
        self._surroundings.done(doing.track, edit)
        self._say("")

    def _work(self, tool: Tool, doing: Doing) -> None:
        """Let a tool do in a thread what may take long."""
        track, gesture, options = doing.track, self.gesture(doing), self.options[tool.name]
        foreseen = self.outcome
        new = not _paints_in_hand(options) and self._recorder.new_in_hand(track)

        def begin() -> Callable[[], Edit]:
            nonlocal foreseen
            known, foreseen = foreseen, None
            if known is not None and known.asked == (tool.name, gesture, options, track.version) and known.edit:
                edit = known.edit
                return lambda: edit
            annotation = self._surroundings.annotation(track, doing.time)
            return lambda: _told(tool.run(annotation, gesture, options))

        def then(edit: Edit | SegError) -> None:
            if isinstance(edit, Edit):
                self._surroundings.done(track, edit)
                self.selected = ()
                if new and not self._recorder.new_in_hand(track):
                    self._recorder.take_new(track)
            self._over(str(edit) if isinstance(edit, SegError) else "")

        self._say("")
        track.layer.bind_key("Escape", self._keys["Escape"], overwrite=True)
        self._recorder.work(track, tool.title, begin, then, doing.time)

    def _over(self, words: str) -> None:
        """What a tool did in a thread is done, or given up."""
        if self.tool is None and self.track is not None:
            self.track.layer.bind_key("Escape", None)
        self._say(words)

    def _waits(self, track: Track, displayed: tuple[int, ...], position: Any) -> bool:
        """Whether no tool can be used on a mask at a point of a view that shows these axes; why is said."""
        busy = self._recorder.busy(track)
        if busy:
            self._say("")
            return True
        why = self._misplaced(track, displayed)
        if why:
            self._say(why)
            return True
        over = covering(self._viewer, track.layer, position) if len(displayed) == 2 else None
        if over is not None:
            bring_to_front(self._viewer, self._recorder.together(track.image) or [track.layer])
            self._say(COVERED.format(name=track.layer.name, over=over.name))
            return True
        return not self._recorder.look_through(track)

    def _misplaced(self, track: Track, displayed: tuple[int, ...]) -> str:
        """Why what lies under the mouse is not what a tool would change, if so."""
        if not is_seen(track.layer):
            return HIDDEN.format(name=track.layer.name)
        if self._beyond(track):
            return BEYOND
        if lies_elsewhere(track.layer, track.image):
            return f"{track.layer.name} {MOVED}"
        first = self._viewer.dims.ndim - len(track.row.grid)
        return ASKEW if min(displayed[-2:]) < first else ""

    def _beyond(self, track: Track) -> bool:
        """Whether a moment is shown that a mask does not have, as where a longer film is open too."""
        first = self._viewer.dims.ndim - track.layer.ndim
        if track.layer.ndim == len(track.row.grid) or first in self._viewer.dims.displayed:
            return False
        return not 0 <= voxel_at(track.layer, self._viewer.dims)[0] < track.row.times

    @property
    def _in_3d(self) -> bool:
        return bool(self._viewer.dims.ndisplay == 3)

    @property
    def words(self) -> str:
        """What is to be said: what is under way, or what came of the last act."""
        track = self.track
        return (self._recorder.busy(track) if track is not None else "") or self.said or selected_words(self.selected)

    def gesture(self, doing: Doing) -> Gesture:
        """What was done so far, as tools take it."""
        label = int(doing.track.layer.selected_label)
        return Gesture(tuple(doing.points), doing.shown, label, self.selected, doing.begun_on)

    def _first_options(self, track: Track) -> None:
        """A brush that fits the image, and outlines that are new objects in a flat mask of objects (what is drawn
        in several slices is often one), until a person says otherwise."""
        apart = self._recorder.counts_objects(track) and len(track.row.grid) == 2 and track.row.times == 1
        spacing = track.row.spacing or (1.0,) * len(track.row.grid)
        side = min(n * s for n, s in zip(track.row.grid[-2:], spacing[-2:], strict=True))
        for name, options in self.options.items():
            if "radius" in type(options).model_fields and "radius" not in options.model_fields_set:
                radius = float(f"{max(side * _BRUSH_SHARE, 2 * max(spacing[-2:])):.2g}")
                self.options[name] = options.model_copy(update={"radius": radius})
            if "apart" in type(options).model_fields and "apart" not in options.model_fields_set:
                values = {**options.model_dump(), "apart": apart}  # nobody has said so: it follows the mask
                self.options[name] = type(options).model_construct(options.model_fields_set, **values)

    def _taking(self, name: str) -> Callable[[Any], None]:
        return lambda viewer: self.take(name)

    def _mode_changed(self, event: Any = None) -> None:
        """napari's own tool was taken."""
        if str(event.source.mode) != "pan_zoom":
            self.give_up()
            self.put_down()

    def _another_layer(self, event: Any = None) -> None:
        """The mask is no longer the active layer, also as it is being taken away: what was painted on it stays."""
        self.selected = ()
        if self.tool is not None and self._viewer.layers.selection.active is not self._held_for:
            self._end_stroke()
            self.give_up()
            self.put_down()

    def _say_there_is_none(self) -> None:
        coming, active = self._recorder.safe.coming, unkept(self._viewer, self._recorder.track)
        if coming:
            self._say(f"One moment: {coming} can be changed as soon as it is kept.")
        elif active is not None:
            self._say(f"{active.name} cannot be kept, so it cannot be changed; the foot of the panel says why.")
        else:
            self._say("There is no mask to work on; press Segment first, or add a labels layer.")

    def _say(self, words: str) -> None:
        self.said = words
        self.changed.emit()


def _where(doing: Doing, position: Any) -> Any:
    """Where a point of the viewer lies, in voxels of the layer."""
    ndim = len(doing.track.row.grid)
    return shown_at(doing.track.layer, position, [axis + len(position) - ndim for axis in doing.shown])


def _told(edit: Edit) -> Edit:
    """In a thread: an edit of which it is known which labels it changes."""
    edit.labels  # noqa: B018  found once, and kept
    return edit


def selected_words(labels: tuple[int, ...]) -> str:
    """What is said while objects are selected."""
    objects = there_are(len(labels), "object")
    return f"{objects} selected: tools act on all. Shift and a click on background lets go." if labels else ""


def _paints_in_hand(options: Any) -> bool:
    """Whether a tool of these settings paints with the label in hand."""
    return isinstance(options, Painting) and not getattr(options, "apart", False)


def _is_brush(tool: Tool | Measure | None) -> TypeGuard[Tool]:
    """Whether each part of a stroke is done at once."""
    return isinstance(tool, Tool) and tool.kind == "stroke"
