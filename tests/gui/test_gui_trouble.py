"""Where nothing can be written: that is said with its cure, nothing is lost, and all goes on once it is cured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_seg.gui.engine import Engine
from napari_seg.gui.recorder import Recorder
from napari_seg.session import writer as writing

SHAPE = (20, 70, 130)


class Window:
    """A viewer without a screen on an image, whose masks are kept."""

    def __init__(self) -> None:
        self._engine = Engine()
        self.viewer = ViewerModel()
        self.recorder = Recorder(self.viewer, self._engine, "Ann")
        self.viewer.add_image(np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8), name="scan")

    def live(self, until: Callable[[], Any]) -> None:
        """Let the time go by until something is so."""
        while not until():
            time.sleep(0.001)
            self._engine.poll()
            self.recorder.tick()

    def open(self, labels: np.ndarray) -> Any:
        layer = self.viewer.add_labels(labels.copy(), name="mask")
        self.live(lambda: self.recorder.track(layer) is not None)
        return layer

    def rest(self) -> None:
        self.live(lambda: self.recorder.rests)

    def kept(self, layer: Any) -> np.ndarray:
        track = self.recorder.track(layer)
        assert track is not None
        return track.session.writer.call(lambda store: store.labels(track.row.id, track.plane)).result()

    def close(self) -> int:
        lost = self.recorder.close()
        self._engine.close()
        return lost


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Window]]:
    monkeypatch.setattr(writing, "RETRY", 0.02)
    made: list[Window] = []
    yield made
    for window in made:
        window.close()


def noise(seed: int) -> np.ndarray:
    """Labels that do not pack well."""
    return np.random.default_rng(seed).integers(0, 60_000, SHAPE).astype(np.uint16)


def fill_up(recorder: Recorder) -> Any:
    """No session may grow any more, as on a full disk. Returns what frees the space."""
    writers = [session.writer for session in recorder.arrivals.sessions.values()]
    for writer in writers:
        writer.call(lambda store: store._sql.execute("PRAGMA max_page_count = 1").fetchone()).result()

    def free() -> None:
        for writer in writers:
            writer._store._sql.execute("PRAGMA max_page_count = 1000000").fetchone()

    return free


def test_a_mask_opened_on_a_full_disk_is_kept_once_there_is_space(windows: list[Window]) -> None:
    windows.append(window := Window())
    window.open(np.zeros(SHAPE, np.uint16))
    window.rest()
    free = fill_up(window.recorder)
    labels = noise(1)
    layer = window.viewer.add_labels(labels.copy(), name="second")
    window.live(lambda: "is full; free some space" in window.recorder.safe.trouble)
    layer.paint((5, 20, 30), 3)
    painted = layer.data.copy()
    assert window.recorder.safe.waiting == 1
    free()
    window.rest()
    assert (window.recorder.safe.trouble, window.recorder.safe.waiting) == ("", 0)
    np.testing.assert_array_equal(window.kept(layer), painted)
    assert window.close() == 0
    windows.append(again := Window())
    again.live(lambda: "second" in again.viewer.layers)  # it comes by itself
    np.testing.assert_array_equal(again.viewer.layers["second"].data, painted)
    again.live(lambda: again.recorder.tracks() and again.recorder.rests)
    again.viewer.layers["second"].undo()
    np.testing.assert_array_equal(again.viewer.layers["second"].data, labels)
