"""What the tests of the window share: cells to correct, windows without a page, and waiting until all is at rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_seg.data.formats import read
from napari_seg.gui.batch import Batch
from napari_seg.gui.controller import Controller
from napari_seg.gui.hands import Hands
from napari_seg.gui.known_models import KnownModels
from napari_seg.gui.layers import layer_data
from napari_seg.gui.pointing import Place
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.surroundings import Surroundings


def rest(controller: Controller, turns: int = 6) -> None:
    """Everything that is under way is done."""
    for _ in range(turns):
        for session in controller.recorder.arrivals.sessions.values():
            session.writer.flush(10)
        controller.tick()


def let_arrive(recorder: Recorder, turns: int = 4) -> None:
    """All that is under way arrives, where there is no controller."""
    for _ in range(turns):
        recorder._engine.poll()
        for session in recorder.arrivals.sessions.values():
            session.writer.flush(10)
        recorder.tick()


def point_at(viewer: Any, hands: Hands, position: tuple[float, ...], beside: tuple[int, ...] = ()) -> None:
    """Move the mouse to a place in the main view, which may be turned since, or ``beside`` it in one of these axes."""

    def look() -> Place | None:
        shown = beside or viewer.dims.displayed
        return Place(np.asarray(position, np.float64), shown) if len(shown) == 2 else None

    hands.pointing.over(look)


def twelve_cells() -> np.ndarray[Any, Any]:
    """Twelve cells, one of them tiny."""
    labels = np.zeros((60, 80), np.uint16)
    for k in range(12):
        y, x = 15 * (k // 4) + 3, 20 * (k % 4) + 3
        labels[y : y + (2 if k == 5 else 10), x : x + (2 if k == 5 else 12)] = k + 1
    return labels


def paint(layer: Any, row: int, value: int) -> None:
    """Paint the voxel ``(row, row)``."""
    layer.data_setitem((np.array([row]), np.array([row])), value)


class Desk:
    """A viewer, without a window where none is given, the hands, and a mouse; a test lays on it what it is about."""

    def __init__(self, engine: Any, viewer: Any = None) -> None:
        self.engine, self.viewer = engine, ViewerModel() if viewer is None else viewer
        self.recorder = Recorder(self.viewer, engine, "Ann")
        self.around = Surroundings(self.recorder)
        self.hands = Hands(self.viewer, self.recorder, self.around)

    def rest(self) -> None:
        """All arrives that does not wait for the person."""
        for _ in range(20):
            let_arrive(self.recorder)
            if self.recorder.rests:
                break

    def mouse(
        self, *positions: tuple[float, ...], displayed: tuple[int, ...] = (), modifiers: tuple[str, ...] = ()
    ) -> Iterator[None]:
        """Press at the first position, move along the others, let go: one step at a time."""
        shown = displayed or self.viewer.dims.displayed
        event = SimpleNamespace(button=1, modifiers=modifiers, dims_displayed=list(shown), type="mouse_press")
        call: Any = None
        for number, position in enumerate(positions):
            event.pos, event.position = np.full(2, 9.0 * number), position
            point_at(self.viewer, self.hands, position, shown)
            call = call or self.hands._press(self.viewer, event)
            next(call, None)
            yield
            event.type = "mouse_move"
        event.type = "mouse_release"
        next(call, None)

    def draw(self, *positions: tuple[float, ...], **about: Any) -> None:
        for _ in self.mouse(*positions, **about):
            pass
        self.rest()


class Window:
    """A viewer, its recorder and the images of its project, without a page. ``grid``: that of the images."""

    grid: tuple[int, ...] = (40, 50)

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.viewer = ViewerModel()
        self.recorder = Recorder(self.viewer, engine, "Ann")
        self.batch = Batch(self.viewer, engine, self.recorder, KnownModels())

    def rest(self, hashes: bool = True) -> None:
        """Everything that threads had to do is done; but for the ``hashes`` of voxels, where a test holds them back."""
        for _ in range(6):
            if hashes:
                for _, future in self.recorder.arrivals.voxels._known:
                    future.exception(20)
            self.engine.poll()
            for session in self.recorder.arrivals.sessions.values():
                session.writer.flush(10)
            self.recorder.tick()
            self.batch.tick()

    def drop(self, path: Path, hashes: bool = True) -> Any:
        """Open a file as a person does who drops it on the view."""
        ((data, about, _),) = layer_data(read(path), "image")
        layer = self.viewer.add_image(data, **about)
        self.rest(hashes)
        return layer

    def mask(self, name: str = "by hand", hashes: bool = True) -> Any:
        layer = self.viewer.add_labels(np.zeros(self.grid, np.uint8), name=name)
        self.rest(hashes)
        return layer
