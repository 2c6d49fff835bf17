"""Work in a thread of its own, which keeps no program from ending, whatever becomes of the work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  raised again where the work is waited for
            future.set_exception(error)

    threading.Thread(target=run, name="napari-seg-aside", daemon=True).start()
    return future
