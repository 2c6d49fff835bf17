"""A napari window in which a mask is worked on is killed: everything that had ended a second before is there."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from killing_window import Chain, Window


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_five_killed_windows_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_CONFIG", str(tmp_path / "napari.yaml"))
    draw, chain, windows = random.Random(3), Chain(tmp_path / "session", 5), [Window(), Window()]
    outcomes = []
    for number, moment in enumerate(("any", "stroke", "flush", "errand", "closing")):
        outcomes.append(chain.kill_once(windows[number], moment, draw))
        if len(windows) < 5:  # one gets ready while another works
            windows.append(Window())
    assert [(outcome.lost, outcome.fault) for outcome in outcomes] == [(0, "")] * 5
    assert sum(outcome.due for outcome in outcomes) > 4
