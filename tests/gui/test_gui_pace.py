"""Forecasts come from what was measured."""

from __future__ import annotations

import pytest

from napari_seg.gui.pace import Paces
from napari_seg.inference.forecast import Forecast


def test_a_measured_pace_foretells_what_was_measured() -> None:
    paces = Paces()
    assert paces["model"] is None
    cost = Forecast(seconds=2.0, bytes=1e9, multiplications=1e9, beside=0.5)
    paces.learn("model", cost, 10.5)
    assert paces["model"] == pytest.approx(1e8)
    paces.learn("model", cost, 0.3)  # faster than all else should take: still a pace
    assert paces["model"] == pytest.approx(1e9 / 0.03)
    assert paces["other"] is None
