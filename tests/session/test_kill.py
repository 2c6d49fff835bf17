"""A program that paints is killed. What it had told to be kept is there, and what ended a second before."""

from __future__ import annotations

import random
from pathlib import Path

from killing import MOMENTS, Painter, kill_once


def test_what_was_kept_outlives_ten_kills(tmp_path: Path) -> None:
    draw = random.Random(7)
    moments = [*MOMENTS, "volume", "opening", "closing", "any"]
    painters = [Painter(tmp_path / str(seed), seed) for seed in range(2)]
    outcomes = []
    for number, moment in enumerate(moments):
        outcomes.append(kill_once(painters[number], moment, draw))
        if len(painters) < len(moments):  # one gets ready while another paints
            painters.append(Painter(tmp_path / str(len(painters)), len(painters)))
    assert [outcome.fault for outcome in outcomes] == [""] * 10
    assert [outcome.lost for outcome in outcomes] == [0] * 10
    assert sum(outcome.kept for outcome in outcomes) > 20
