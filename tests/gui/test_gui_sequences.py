"""Long random work with all tools and napari's own, then undo of all of it, with the program closed in the middle."""

from __future__ import annotations

from typing import Any

import controlled
import numpy as np
import pytest
from controlled import let_arrive

from napari_seg.editing.annotation import Entry, object_key
from napari_seg.editing.catalogue import TOOLS
from napari_seg.gui import errands

OPERATIONS = 300
"""Those that changed something."""


class Desk(controlled.Desk):
    """With an image and a mask, whose work is kept. ``restless``: a person, or a program, goes on while what
    was done before is still under way."""

    def __init__(self, engine: Any, image: np.ndarray, labels: np.ndarray, restless: bool) -> None:
        super().__init__(engine)
        self.restless = restless
        self.viewer.add_image(image, name="image")
        self.layer = self.viewer.add_labels(labels.copy(), name="mask")
        self.rest()
        track = self.recorder.track(self.layer)
        assert track is not None
        self.track = track

    def rest(self) -> None:
        self.tick(3)
        while not self.recorder.rests:
            self.tick()

    def tick(self, times: int = 1) -> None:
        let_arrive(self.recorder, times)

    def work(self, rng: np.random.Generator) -> None:
        """One operation: of a tool of ours, of napari's, on the table, or a step back."""
        grid = np.array(self.layer.data.shape)
        point = tuple(float(p) for p in rng.uniform(0, grid - 1))
        painted = np.argwhere(self.layer.data)
        if len(painted) and rng.random() < 0.7:
            point = tuple(float(p) for p in painted[rng.integers(len(painted))])
        self.layer.selected_label = int(rng.integers(1, 9))
        kind = rng.integers(20)
        if kind < 13:
            name = str(rng.choice(list(TOOLS)))
            doing = self.hands._begin(self.track, point, tuple(range(len(grid)))[-2:])
            for _ in range(int(rng.integers(0, 4))):
                step = rng.uniform(-9, 9, len(grid))
                step[:-2] = 0
                self.hands._add(doing, np.clip(np.array(doing.points[-1]) + step, 0, grid - 1))
            self.hands._finish(TOOLS[name], doing)  # what cannot be done is said, and changes nothing
        elif kind < 17:
            self.layer.mode = ("paint", "erase")[int(rng.integers(2))]
            self.layer.brush_size = int(rng.integers(2, 12))
            value = self.layer.selected_label if self.layer.mode == "paint" else 0
            self.layer.paint(point, value)
            self.layer.mode = "pan_zoom"
        elif kind < 19:
            label = int(rng.integers(1, 9))
            self.recorder.say(self.track, {object_key(label): Entry(1, "accepted", "é")}, "accept")
        else:
            self.layer.undo()
        if self.restless and rng.random() < 0.5:
            self.tick(int(rng.integers(0, 4)))
        else:
            self.rest()

    def work_until(self, operations: int, rng: np.random.Generator) -> None:
        """Go on until so many operations have changed something."""
        while operations:
            before = self.recorder.safe.steps
            self.work(rng)
            operations -= self.recorder.safe.steps != before
        self.rest()

    def state(self) -> tuple[np.ndarray, dict[str, Entry]]:
        return self.layer.data.copy(), self.recorder.rows(self.track)


@pytest.mark.parametrize("restless", [False, True])
@pytest.mark.parametrize("shape", [(70, 300), (5, 40, 70)])
def test_undo_of_everything_leads_back_to_the_start(
    engine: Any, shape: tuple[int, ...], restless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if restless:  # whatever can be done in portions is, and others come in between
        monkeypatch.setattr(errands, "PATIENCE", 0.0)
        monkeypatch.setattr(errands, "PORTION", 0.0)
    rng = np.random.default_rng(7)
    image = rng.integers(0, 255, shape).astype(np.uint8)
    start = np.zeros(shape, np.uint16)
    for label in range(1, 7):
        corner = [int(rng.integers(0, n - min(n, 12) + 1)) for n in shape]
        start[tuple(slice(c, c + 12) for c in corner)] = label
    desk = Desk(engine, image, start, restless)
    desk.work_until(OPERATIONS // 2, rng)
    middle = desk.state()
    desk.recorder.close()
    desk = Desk(engine, image, start, restless)
    np.testing.assert_array_equal(desk.state()[0], middle[0])
    assert desk.state()[1] == middle[1]
    desk.work_until(OPERATIONS // 2, rng)
    end = desk.state()
    steps = desk.recorder.safe.steps
    assert steps > OPERATIONS / 2  # the others were steps back
    for _ in range(steps):
        desk.layer.undo()
        desk.rest()
    np.testing.assert_array_equal(desk.layer.data, start)
    assert desk.recorder.rows(desk.track) == {}
    assert desk.recorder.safe.steps == 0
    for _ in range(steps):
        desk.layer.redo()
        desk.rest()
    np.testing.assert_array_equal(desk.layer.data, end[0])
    assert desk.recorder.rows(desk.track) == end[1]
    desk.recorder.close()
