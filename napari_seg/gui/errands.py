"""Work that may take longer than a moment, and a window that does not stand still meanwhile.

An errand is a generator on the main thread. It yields a future and goes on with its result when that has come; it
yields ``MOMENT`` where it may rest, and ``TICK`` to be asked again at the next tick. What it does between two yields
takes a few milliseconds. A short errand is over when :meth:`Errands.begin` returns, as if it had been a call; a long
one goes on in portions at every tick.

All that changes an image is an errand of that image, and these come one after the other, in the order in which they
were begun. So nothing is changed under what is under way, and the order of the history is the order of a person's acts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from psygnal import Signal

from napari_seg.errors import SegError

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = 0.02
"""Seconds that whoever begins an errand waits for its end: all who do so between two ticks together, for the window
stands still meanwhile."""

PORTION = 0.02
"""Seconds of the main thread that all errands together get at each tick."""


class Rest(Enum):
    """Where an errand may rest: for a moment, if it has had its portion of time; or until the next tick."""

    MOMENT = 0
    TICK = 1


MOMENT, TICK = Rest.MOMENT, Rest.TICK

Steps = Generator[Future[Any] | Rest, Any, R]
"""An errand, or a part of one that returns an ``R``."""


class _Beside:
    """What stands for an image in an errand that changes none."""


@dataclass(eq=False)
class _Errand:
    steps: Steps[Any]
    words: str
    optional: bool
    heeds: bool
    waiting: Future[Any] | None = None
    long: bool = False


class Errands:
    """One for each window. ``complain`` is told, in a sentence, why an errand could not be done."""

    changed = Signal()
    """Something is under way that was not before, or no longer."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._complain = complain
        self._queues: dict[Hashable, deque[_Errand]] = {}
        self._going: set[Hashable] = set()
        self._moved = 0  # how often something went on
        self._patience = PATIENCE
        self._threads = ThreadPoolExecutor(2, "napari-seg-errand")

    @property
    def any(self) -> bool:
        """Whether something is under way."""
        return bool(self._queues)

    @property
    def must_end(self) -> bool:
        """Whether an image is being changed, or will be in a moment, and that cannot be given up."""
        queues = [queue for key, queue in self._queues.items() if not isinstance(key, _Beside)]
        return any(queue and not queue[0].optional for queue in queues)

    def busy(self, key: Hashable) -> bool:
        """Whether something of an image is under way."""
        return key in self._queues

    def waits_for(self, key: Hashable) -> Future[Any] | None:
        """What has to come before the errand of an image that is under way goes on."""
        queue = self._queues.get(key)
        return queue[0].waiting if queue else None

    def words(self, key: Hashable) -> str:
        """What is done with an image for so long that it should be said."""
        queue = self._queues.get(key)
        return queue[0].words if queue and queue[0].long else ""

    def may_be_given_up(self, key: Hashable) -> bool:
        queue = self._queues.get(key)
        return queue is not None and queue[0].optional and queue[0].waiting is not None

    def thread(self, work: Callable[[], T]) -> Future[T]:
        """Do some work in a thread. It must not write to a layer, nor to anything that others read."""
        return self._threads.submit(work)

    def may_be_overtaken(self, key: Hashable) -> bool:
        """Whether what is under way heeds what is done before it is done itself: it begins again then."""
        queue = self._queues.get(key)
        return queue is not None and queue[0].heeds

    def begin(
        self,
        key: Hashable,
        steps: Steps[Any],
        words: str = "",
        *,
        optional: bool = False,
        heeds: bool = False,
        heeded: bool = False,
        ahead: bool = False,
    ) -> None:
        """Begin an errand of an image, after those that were begun before. ``optional``: it may be given up.
        ``heeds``: it begins again where something is done ahead of it; what is ``heeded`` does not wait for such ones,
        where nothing else waits behind them. ``ahead``: nor for one that may be given up."""
        may_go = self.may_be_given_up(key)
        queue = self._queues.setdefault(key, deque())
        place = 0 if ahead and may_go else len(queue)
        while (heeded or ahead) and place and queue[place - 1].heeds:
            place -= 1
        if key in self._going:
            place = len(queue)
        queue.insert(place, _Errand(steps, words, optional, heeds))
        if place == 0:
            began = time.monotonic()
            self._go_on(key, began + self._patience, patient=True)
            self._patience = max(0.0, self._patience + began - time.monotonic())
            if key in self._queues:
                queue[0].long = True
                if words:
                    self.changed.emit()

    def beside(self, steps: Steps[Any]) -> None:
        """Begin an errand that changes no image; others do not wait for it."""
        self.begin(_Beside(), steps)

    def tick(self) -> None:
        """Go on for a portion of time. Main thread only."""
        self._patience = PATIENCE
        until = time.monotonic() + PORTION
        for key in list(self._queues):
            words = self.words(key)
            self._go_on(key, until)
            if words != self.words(key):
                self.changed.emit()

    def give_up(self, key: Hashable) -> bool:
        """Give up what is under way, where it can be; what its thread still finds is dropped."""
        if not self.may_be_given_up(key):
            return False
        self._queues[key].popleft().steps.close()
        self._go_on(key, time.monotonic() + PORTION)
        self.changed.emit()
        return True

    def finish(self, seconds: float = 5.0, *, give_up: bool = True) -> None:
        """Wait for the end of all that is under way, but for what waits for ticks. ``give_up`` first what can be.

        What goes on is never left in the middle, however long it takes; ``seconds`` is how long nothing may come.
        """
        before, moved = bool(self._queues), -1
        for key in list(self._queues) if give_up else ():
            self.give_up(key)
        while self._queues and self._moved != moved:
            moved, until = self._moved, time.monotonic() + seconds
            for key in list(self._queues):
                self._go_on(key, until, patient=True)
        if before:
            self.changed.emit()

    def close(self) -> None:
        """Drop what is still under way."""
        for queue in self._queues.values():
            for errand in queue:
                errand.steps.close()
        self._queues.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _go_on(self, key: Hashable, until: float, *, patient: bool = False) -> None:
        """Go on with the errands of one image, in their order."""
        if key in self._going:
            return  # it begins another one of its own image: that comes after it
        self._going.add(key)
        try:
            queue = self._queues.get(key)
            while queue and self._is_over(queue[0], until, patient):
                queue.popleft()
                for errand in queue:
                    errand.long = True  # it has waited
        except BaseException:
            self._queues[key].popleft()
            raise
        finally:
            self._going.discard(key)
            if not self._queues.get(key):
                self._queues.pop(key, None)

    def _is_over(self, errand: _Errand, until: float, patient: bool) -> bool:
        """Go on with an errand until it is over, or has to wait, or the time is."""
        while True:
            future = errand.waiting
            if future is not None and not future.done():
                wait((future,), max(0.0, until - time.monotonic()) if patient else 0.0)
                if not future.done():
                    return False
            errand.waiting = None
            try:
                error = None if future is None else future.exception()
                answer = None if future is None or error is not None else future.result()
                given = errand.steps.send(answer) if error is None else errand.steps.throw(error)
            except StopIteration:
                return True
            except SegError as refusal:
                self._complain(str(refusal))
                return True
            self._moved += given is not TICK
            if isinstance(given, Future):
                errand.waiting = given
            elif given is TICK or time.monotonic() > until:
                return False
