"""A program that paints through napari's layer and the recorder is killed: every stroke of before is there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import stroking
from napari.layers import Labels

from napari_seg.session.session import Session


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_window_loses_no_stroke(seed: int, tmp_path: Path, sessions: Path) -> None:
    image = tmp_path / "scan.npy"
    np.save(image, np.random.default_rng(seed).integers(0, 255, stroking.SHAPE).astype(np.uint8))
    told = tmp_path / "told.txt"
    environment = {**os.environ, "NAPARI_CONFIG": str(tmp_path / "napari.yaml"), "NAPARI_SEG_SESSIONS": str(sessions)}
    with told.open("w") as lines:
        program = subprocess.Popen(
            [sys.executable, stroking.__file__, str(image), str(seed)], stdout=lines, env=environment
        )
        until = time.monotonic() + 60
        while "ready" not in told.read_text() and time.monotonic() < until:
            assert program.poll() is None
        moment = time.monotonic() + random.Random(seed).uniform(0.5, 2.0)
        while time.monotonic() < moment:
            pass
        program.send_signal(signal.SIGKILL)
        killed = time.time()
        program.wait()
    strokes = [line.split() for line in told.read_text().splitlines()[1:] if line.count(" ") == 1]
    safe = sum(float(at) < killed - 1 for _, at in strokes)
    (folder,) = sessions.iterdir()
    session = Session.open(folder)
    kept = session.writer.call(lambda store: store.labels(1, "mask")).result()
    depth = session.writer.call(lambda store: store.depth(1)).result()
    session.close()
    layer = Labels(np.zeros(stroking.SHAPE, np.uint16))
    states = 0
    for number in range(len(strokes) + 2):
        states += int(np.array_equal(kept, layer.data) and number >= safe)
        stroking.stroke(layer, seed, number)
    assert len(strokes) > 9
    assert states, f"of {len(strokes)} strokes {depth} are kept, and at least {safe} should be"
