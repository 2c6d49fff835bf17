"""Time left and forecasts come from what was measured."""

from __future__ import annotations

import pytest

from napari_seg.gui.pace import Paces, TimeLeft
from napari_seg.inference.forecast import Forecast
from napari_seg.jobs import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_ignores_the_start_and_follows_the_pace_of_late() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    assert left(Progress(0, 100)) is None
    clock.now = 30  # the engine started, the model was loaded
    assert left(Progress(1, 100)) is None
    clock.now = 32
    assert left(Progress(11, 100)) == pytest.approx(17.8)
    for step in range(40):  # ten times slower from here
        clock.now += 1
        words = left(Progress(11 + 0.5 * (step + 1), 100))
    assert words == pytest.approx(69 / 0.5, rel=0.05)
    assert left(Progress(100, 100)) == 0


def test_a_measured_pace_foretells_what_was_measured() -> None:
    paces = Paces()
    assert paces["model"] is None
    cost = Forecast(seconds=2.0, bytes=1e9, multiplications=1e9, beside=0.5)
    paces.learn("model", cost, 10.5)
    assert paces["model"] == pytest.approx(1e8)
    paces.learn("model", cost, 0.3)  # faster than all else should take: still a pace
    assert paces["model"] == pytest.approx(1e9 / 0.03)
    assert paces["other"] is None
