"""What links the views: layers, selection, crosshair, cursor and theme of the main viewer, followed by those beside it.

Nothing in here is a widget. Views come and go; the main viewer does not know of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.layers import Layer
from psygnal import Signal

from napari_seg.gui.family import Family, Wires
from napari_seg.gui.mouse import Pointer
from napari_seg.gui.overlay import on_canvas
from napari_seg.gui.planes import planes, shown_plane
from napari_seg.gui.views import adding_to


@dataclass(eq=False)
class Slice:
    """A viewer model beside the main one, the canvas that shows it, and its peer of each layer of the main view."""

    model: Any
    canvas: Any
    peers: dict[Layer, Layer] = field(default_factory=dict)


class Link:
    """Between the viewer of the window and two slices. It holds until :meth:`close`."""

    changed = Signal()
    """Something on the screen may not be up to date: call :meth:`repaint` soon."""

    def __init__(self, main: Any, slices: list[Slice]) -> None:
        self._main = main
        self._slices = slices
        self._families: dict[Layer, Family] = {}
        self._moving = False
        self._pointer = Pointer(main)
        self._wires = Wires()
        events = main.layers.events
        self._wires.join(events.inserted, self._insert)
        self._wires.join(events.removed, self._remove)
        self._wires.join(events.reordered, self._arrange)
        self._wires.join(main.layers.selection.events.active, self._select)
        for event in (main.dims.events.order, main.dims.events.ndim, main.dims.events.ndisplay):
            self._wires.join(event, self._turn)
        self._wires.join(main.events.reset_view, self.fit)
        self._wires.join(main.cursor.events.style, self._point)
        self._wires.join(main.scene.camera.events.mouse_pan, self._point)
        self._wires.join(main.scene.camera.events.mouse_zoom, self._point)
        for layer in main.layers:
            self._take_in(layer)
        self._turn()
        self._select()
        for viewer in (main, *(side.model for side in slices)):
            self._pointer.listen(viewer)
            for event in (viewer.dims.events.point, viewer.dims.events.current_step):
                self._wires.join(event, self._mover(viewer))
        for side in slices:
            self._wires.join(side.model.events.status, self._status(side))

    def close(self) -> None:
        self._wires.cut()
        for viewer in (self._main, *(side.model for side in self._slices)):
            self._pointer.leave(viewer)
        for family in self._families.values():
            family.close()
        self._families.clear()

    def repaint(self) -> None:
        for family in self._families.values():
            family.repaint()

    def fit(self, event: Any = None) -> None:
        for side in self._slices:
            side.model.fit_to_view()

    # layers

    def _take_in(self, layer: Layer) -> None:
        family = self._families[layer] = Family(layer)
        family.changed.connect(self.changed.emit)
        for side in self._slices:
            peer = side.peers[layer] = family.join()
            with adding_to(side.canvas):
                side.model.layers.append(peer)

    def _insert(self, event: Any) -> None:
        self._take_in(event.value)
        self._arrange()
        self._turn()
        self._select()

    def _remove(self, event: Any) -> None:
        family = self._families.pop(event.value, None)
        if family is None:
            return
        family.close()
        for side in self._slices:
            with adding_to(side.canvas):
                side.model.layers.remove(side.peers.pop(event.value))
        self._turn()
        self._select()

    def _arrange(self, event: Any = None) -> None:
        for side in self._slices:
            with adding_to(side.canvas):
                for place, layer in enumerate(self._main.layers):
                    now = side.model.layers.index(side.peers[layer])
                    if now != place:
                        side.model.layers.move(now, place)
        self.changed.emit()

    def _select(self, event: Any = None) -> None:
        active = self._main.layers.selection.active
        for side in self._slices:
            side.model.layers.selection.active = side.peers.get(active)

    # planes and the crosshair

    def _turn(self, event: Any = None) -> None:
        """Each slice shows one of the planes that the main view does not show."""
        known = planes(self._main)
        if known is not None:
            main = shown_plane(self._main, known) or known[0]
            others = [plane for plane in known if plane is not main]
            for side, plane in zip(self._slices, others, strict=True):
                if side.model.dims.ndim == len(plane.order) and side.model.dims.order != plane.order:
                    side.model.dims.order = plane.order
            self._move(self._main)
        self.changed.emit()

    def _mover(self, viewer: Any) -> Callable[..., None]:
        return lambda event=None: self._move(viewer)

    def _move(self, source: Any) -> None:
        if self._moving:
            return
        self._moving = True
        try:
            for viewer in (self._main, *(side.model for side in self._slices)):
                if viewer is not source and viewer.dims.ndim == source.dims.ndim:
                    viewer.dims.point = source.dims.point
            for side in self._slices:
                if side.model is not source:
                    _bring_into_sight(side)
        finally:
            self._moving = False
        self.changed.emit()

    # the mouse

    def _status(self, side: Slice) -> Callable[..., None]:
        """What is under the mouse stands at the foot of the window."""

        def follow(event: Any = None) -> None:
            if side.model.mouse_over_canvas:
                self._main.status = side.model.status

        return follow

    def _point(self, event: Any = None) -> None:
        """What a tool of the main view asks for: another cursor, or that dragging does not move the image."""
        for side in self._slices:
            side.model.cursor.style = self._main.cursor.style
            side.model.scene.camera.mouse_pan = self._main.scene.camera.mouse_pan
            side.model.scene.camera.mouse_zoom = self._main.scene.camera.mouse_zoom


def _bring_into_sight(side: Slice) -> None:
    """Where the crosshair left what a slice shows, the slice moves after it."""
    if not side.model.layers:
        return
    size = (float(side.canvas.width()), float(side.canvas.height()))
    point = np.asarray(side.model.dims.point, float)
    x, y = on_canvas(side.model, size, point)
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        camera = side.model.scene.camera
        camera.center = (*camera.center[:-2], *point[list(side.model.dims.displayed)])
