"""The mouse in linked views: it moves the crosshair, and it reaches the tools that listen to the main view."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from napari_seg.gui.planes import on_voxel

STILL = 4
"""Pixels that a hand moves during a click."""


def held_still(event: Any) -> Generator[None, None, bool]:
    """From a press on: whether the button was let go where it was pressed. Ends at once where the mouse moves away."""
    start = np.asarray(event.pos, float)
    yield
    while event.type == "mouse_move":
        if np.abs(np.asarray(event.pos, float) - start).max() > STILL:
            return False
        yield
    return True


class Pointer:
    """Mouse callbacks of napari for ``main`` and the views beside it."""

    def __init__(self, main: Any) -> None:
        self._main = main

    def listen(self, viewer: Any) -> None:
        """Hear the mouse of the main view or of one beside it."""
        viewer.mouse_drag_callbacks.append(self.click)
        viewer.mouse_move_callbacks.append(self.move)
        if viewer is not self._main:
            viewer.mouse_drag_callbacks.append(self.press)
            viewer.mouse_double_click_callbacks.append(self.double_click)
            viewer.mouse_wheel_callbacks.append(self.wheel)

    def leave(self, viewer: Any) -> None:
        for callbacks in (viewer.mouse_drag_callbacks, viewer.mouse_move_callbacks):
            callbacks[:] = [call for call in callbacks if getattr(call, "__self__", None) is not self]

    def click(self, viewer: Any, event: Any) -> Generator[None]:
        """A click without a key puts the crosshair there, unless it paints or picks."""
        if event.button != 1 or event.modifiers or viewer.dims.ndisplay != 2 or not self._idle():
            return
        position = event.position
        if (yield from held_still(event)):
            self._put(position)

    def move(self, viewer: Any, event: Any) -> None:
        """With Shift held the crosshair follows the mouse, whatever the mode; the tools hear of every move."""
        if viewer.dims.ndisplay == 2 and list(event.modifiers) == ["Shift"]:
            self._put(event.position)
        if viewer is not self._main:
            self._main.cursor.position = event.position
            for target, call in self._foreign("mouse_move_callbacks"):
                call(target, event)

    def press(self, viewer: Any, event: Any) -> Generator[None]:
        """Press, move and release in a side view, handed to the callbacks of others on the main view."""
        self._main.cursor.position = event.position  # tools ask the main viewer where the mouse is
        running = []
        for target, call in self._foreign("mouse_drag_callbacks"):
            made = call(target, event)
            if inspect.isgenerator(made) and _advance(made):
                running.append(made)
        yield
        while event.type == "mouse_move":
            self._main.cursor.position = event.position
            running = [made for made in running if _advance(made)]
            yield
        for made in running:
            _advance(made)

    def double_click(self, viewer: Any, event: Any) -> None:
        for target, call in self._foreign("mouse_double_click_callbacks"):
            call(target, event)

    def wheel(self, viewer: Any, event: Any) -> None:
        for target, call in self._foreign("mouse_wheel_callbacks"):
            call(target, event)

    def _foreign(self, name: str) -> Iterator[tuple[Any, Callable[..., Any]]]:
        """What others added to the callbacks of the main viewer and its active layer. Those of napari itself, such as
        zooming and painting, a side view has of its own."""
        for target in (self._main, self._main.layers.selection.active):
            for call in tuple(getattr(target, name, ())):
                napari = str(getattr(call, "__module__", "")).startswith("napari.")
                if not napari and getattr(call, "__self__", None) is not self:
                    yield target, call

    def _idle(self) -> bool:
        """Whether the mouse is there to look around: tools, our own too, keep it from moving the view."""
        active = self._main.layers.selection.active
        return (active is None or active.mode == "pan_zoom") and self._main.scene.camera.mouse_pan

    def _put(self, position: Any) -> None:
        if len(position) == self._main.dims.ndim:
            self._main.dims.point = on_voxel(self._main, np.asarray(position, float))


def _advance(generator: Iterator[Any]) -> bool:
    """Go on to the next ``yield``; whether there was one."""
    try:
        next(generator)
    except StopIteration:
        return False
    return True
