"""A long operation is a generator that yields ``Progress`` and returns its result.

The command line, the window's engine and a script consume the very same generator. Whoever consumes it can watch it,
and cancels it by closing it: cancellation arrives as ``GeneratorExit`` at the next ``yield``.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LATELY = 20.0
"""Seconds by whose pace the time left is told: other programs come and go."""

SOONEST = 1.0
"""Seconds of work before anything is told."""


@dataclass(frozen=True)
class Progress:
    """How far a job has come: ``done`` of ``total`` units (of any kind), and what it is doing in words."""

    done: float
    total: float
    message: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        return self.done / self.total if self.total else 0.0


Steps = Generator[Progress, None, T]


class Job(Generic[P, T]):
    """A generator function that may also be called: ``f(...)`` runs to the end, ``f.steps(...)`` is watched."""

    def __init__(self, function: Callable[P, Steps[T]]) -> None:
        self.steps = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(self.steps(*args, **kwargs))


def job(function: Callable[P, Steps[T]]) -> Job[P, T]:
    return Job(function)


def run(steps: Steps[T], watch: Callable[[Progress], None] | None = None) -> T:
    """Run a job to its end and return its result; ``watch`` sees every ``Progress``."""
    try:
        while True:
            progress = next(steps)
            if watch is not None:
                watch(progress)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


def within(steps: Steps[T], start: float, end: float) -> Steps[T]:
    """A job whose progress goes from ``start`` to ``end`` of the whole."""
    try:
        while True:
            at = next(steps)
            yield Progress(start + (end - start) * at.fraction, 1.0, at.message, at.detail)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        steps.close()


class TimeLeft:
    """Seconds left of one job, by what was done lately. What comes before its first step does not count, and each phase
    of which a job tells (``detail["phase"]``) has a pace of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()
        self._phase: object = None

    def __call__(self, progress: Progress) -> float | None:
        """Call it at every step; ``None`` until there is a pace to judge by."""
        now, seen, phase = self._clock(), self._seen, progress.detail.get("phase")
        phase = "train" if phase == "score" else phase  # at each checkpoint of a training something is measured
        if phase != self._phase or (seen and progress.fraction < seen[-1][1]):
            seen.clear()
        self._phase = phase
        if progress.fraction <= 0:
            return None
        seen.append((now, progress.fraction))
        while len(seen) > 2 and seen[1][0] < now - LATELY:
            seen.popleft()
        spent, done = now - seen[0][0], progress.fraction - seen[0][1]
        if spent < SOONEST or done <= 0:
            return None
        return spent / done * (1 - progress.fraction)
