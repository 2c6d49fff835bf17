"""What would come of a gesture, worked out in a thread while the mouse moves on.

One question is worked on at a time. Of those that are asked meanwhile only the newest waits; the others are dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 0.01
"""Seconds that whoever asks waits for the answer, where nothing else is worked on: what is quick is seen at once."""


class Foresight(Generic[T]):
    """``heard`` gets each answer on the main thread, in the order of the questions."""

    def __init__(self, heard: Callable[[T], None]) -> None:
        self._heard = heard
        self._working: Future[T] | None = None
        self._next: Callable[[], T] | None = None

    def ask(self, work: Callable[[], T]) -> None:
        """Work something out in a thread; it must not write to anything."""
        if self._working is not None:
            self._next = work
        else:
            wait((self._begin(work),), PATIENCE)
            self.tick()

    def forget(self) -> None:
        """Nobody wants to know any more what was asked so far; a thread that is still at it is not waited for."""
        self._working = self._next = None

    def tick(self) -> None:
        """Tell what has been worked out. Main thread only."""
        if self._working is None or not self._working.done():
            return
        found, self._working = self._working, None
        if self._next is not None:
            self._begin(self._next)
        self._heard(found.result())

    def _begin(self, work: Callable[[], T]) -> Future[T]:
        self._next, found = None, Future[T]()
        self._working = found
        threading.Thread(target=_answer, args=(work, found), name="napari-seg-foresight", daemon=True).start()
        return found


def _answer(work: Callable[[], T], found: Future[T]) -> None:
    try:
        found.set_result(work())
    except BaseException as error:  # noqa: BLE001  told to whoever asks for the result
        found.set_exception(error)
