"""How fast runs really go, with all else that the machine does: it corrects forecasts and tells the time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable

from napari_seg.inference.forecast import Forecast
from napari_seg.jobs import Progress

LATELY = 20.0
"""Seconds by whose pace the time left is told: other programs come and go."""

SOONEST = 1.0
"""Seconds of work before anything is told."""


class TimeLeft:
    """Seconds left of one run, by what was done lately. Neither starting the engine nor loading a model counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def __call__(self, progress: Progress) -> float | None:
        """``None`` until there is a pace to judge by."""
        now, seen = self._clock(), self._seen
        if progress.fraction <= 0:
            return None
        seen.append((now, progress.fraction))
        while len(seen) > 2 and seen[1][0] < now - LATELY:
            seen.popleft()
        spent, done = now - seen[0][0], progress.fraction - seen[0][1]
        if spent < SOONEST or done <= 0:
            return None
        return spent / done * (1 - progress.fraction)


class Paces:
    """Multiplications a second as measured in this session, for each model and device that ran."""

    def __init__(self) -> None:
        self._known: dict[Hashable, float] = {}

    def __getitem__(self, key: Hashable) -> float | None:
        return self._known.get(key)

    def learn(self, key: Hashable, cost: Forecast, seconds: float) -> None:
        """A run that ``cost`` foretold took ``seconds``. What is not the network's work stays as foretold."""
        if cost.multiplications:
            spent = max(seconds - cost.beside, 0.1 * seconds, 1e-3)
            self._known[key] = cost.multiplications / spent
