"""The hash of all voxels of images, in a thread of its own: a large image takes seconds, and nothing waits for it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from napari_seg.data.volume import Volume
from napari_seg.session.fingerprint import voxels_hash


class Voxels:
    """One for each window. What is asked of first is answered first."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "napari-seg-voxels")
        self._known: list[tuple[Callable[[], Any], Future[str]]] = []  # by the array that was looked at
        self._waiting: list[tuple[Future[str], Callable[[str], None]]] = []
        self._stop = threading.Event()

    def after(self, volume: Volume, then: Callable[[str], None]) -> None:
        """Call ``then`` with the hash at a later :meth:`tick`; with an empty one where the image cannot be read."""
        self._waiting.append((self._asked(volume), then))

    def tick(self) -> None:
        """Bring in what has come. Main thread only."""
        for pair in [pair for pair in self._waiting if pair[0].done()]:
            self._waiting.remove(pair)
            if not pair[0].cancelled():
                pair[1](pair[0].result())

    def close(self) -> None:
        self._stop.set()
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _asked(self, volume: Volume) -> Future[str]:
        self._known = [(array, future) for array, future in self._known if array() is not None]
        for array, future in self._known:
            if array() is volume.data:
                return future
        future = self._thread.submit(self._hash, volume)
        self._known.append((weakref.ref(volume.data), future))
        return future

    def _hash(self, volume: Volume) -> str:
        try:
            return voxels_hash(volume, self._stop.is_set)
        except Exception:  # noqa: BLE001  whatever a lazy image raises; who looks at it sees that it cannot be read
            return ""
