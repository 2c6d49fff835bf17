"""What the tests of pages share: cells to correct, and a controller that has come to rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_seg.gui.controller import Controller


def rest(controller: Controller, turns: int = 6) -> None:
    """Everything that is under way is done."""
    for _ in range(turns):
        for session in controller.recorder.arrivals.sessions.values():
            session.writer.flush(10)
        controller.tick()


def twelve_cells() -> np.ndarray[Any, Any]:
    """Twelve cells, one of them tiny."""
    labels = np.zeros((60, 80), np.uint16)
    for k in range(12):
        y, x = 15 * (k // 4) + 3, 20 * (k % 4) + 3
        labels[y : y + (2 if k == 5 else 10), x : x + (2 if k == 5 else 12)] = k + 1
    return labels
