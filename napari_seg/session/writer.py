"""The one thread that uses the store of a session. Whoever paints hands steps over and goes on painting.

What the disk does not take stays first in the queue and is tried again every second, while the trouble is told. Nothing
that was handed over is dropped before it is on the disk.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from napari_seg.errors import SegError
from napari_seg.session.database import NAME, refusal
from napari_seg.session.records import Step
from napari_seg.session.store import Store

T = TypeVar("T")

RETRY = 1.0
"""Seconds between two attempts to write what the disk did not take."""


@dataclass(frozen=True)
class Kept:
    """How safe the work is: when the last step reached the disk, how many wait, and why, if they have to."""

    at: float | None = None
    waiting: int = 0
    trouble: str = ""


class Writer:
    """Steps and other work for a store, one after the other, in the order in which they were given."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._path = folder / NAME
        self._thread = ThreadPoolExecutor(1, "napari-seg-writer")
        self._lock = threading.Lock()
        self._kept = Kept()
        self._closing = threading.Event()

    @property
    def kept(self) -> Kept:
        return self._kept

    def put(self, image: int, step: Step) -> Future[bool]:
        """Commit a step of an image as soon as possible, and again until it is done: ``True``, or ``False`` where the
        end came first."""
        self._change(waiting=1)
        return self._thread.submit(self._persist, image, step)

    def call(self, work: Callable[[Store], T]) -> Future[T]:
        """Do some other work after what was given before; its result or its error is in the future."""
        return self._thread.submit(self._translated, work)

    def flush(self, seconds: float) -> bool:
        """Wait until all that was given so far is on the disk; ``False`` where it did not get there in time."""
        try:
            self.call(lambda store: None).result(seconds)
        except TimeoutError:
            return False
        return True

    def close(self, seconds: float = 5.0) -> int:
        """Write what is left and end. Returns how many steps could not be kept in that time."""
        self._closing.set()
        done = self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)
        wait([done], seconds)
        return self._kept.waiting

    def _translated(self, work: Callable[[Store], T]) -> T:
        try:
            return work(self._store)
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error

    def _persist(self, image: int, step: Step) -> bool:
        while True:
            try:
                self._store.commit(image, step)
            except sqlite3.Error as error:
                self._change(trouble=str(refusal(self._path, error)))
                if self._closing.wait(RETRY):
                    return False
            except SegError as error:  # labels that cannot be kept: trying again would not help
                self._change(waiting=-1, trouble=str(error))
                return False
            else:
                self._change(waiting=-1, at=time.time(), trouble="")
                return True

    def _change(self, *, waiting: int = 0, at: float | None = None, trouble: str | None = None) -> None:
        with self._lock:
            before = self._kept
            self._kept = Kept(
                before.at if at is None else at,
                before.waiting + waiting,
                before.trouble if trouble is None else trouble,
            )
