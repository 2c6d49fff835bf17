"""A program that paints is killed. What it had told to be kept is there, and what ended a second before."""

from __future__ import annotations

import random
from pathlib import Path

from killing import MOMENTS, Painter, kill_once


def test_what_was_kept_outlives_kills(tmp_path: Path) -> None:
    """Six here; four more kill a window (``tests/gui/test_gui_kill.py``)."""
    draw = random.Random(7)
    painters = [Painter(tmp_path / str(seed), seed) for seed in range(2)]
    outcomes = []
    for number, moment in enumerate(MOMENTS):
        outcomes.append(kill_once(painters[number], moment, draw))
        if len(painters) < len(MOMENTS):  # one gets ready while another paints
            painters.append(Painter(tmp_path / str(len(painters)), len(painters)))
    assert [outcome.fault for outcome in outcomes] == [""] * 6
    assert [outcome.lost for outcome in outcomes] == [0] * 6
    assert sum(outcome.kept for outcome in outcomes) > 20
