"""The window's side of the engine process (:mod:`napari_seg.engine`): orders out, messages in, never waiting.

No Qt here. Threads read the answers and write the arrays; what they find is put into a queue, and :meth:`Engine.poll`,
called by a timer of the window, emits it on the main thread. Whoever listens may therefore touch layers.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from psygnal import Signal

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.files import cause_of
from napari_seg.jobs import Progress

PATIENCE = 0.5
"""Seconds between asking the engine to stop and killing it, where nothing else is said."""

_PREFIX = "napari-seg-"


@dataclass(frozen=True)
class Message:
    """Something the engine says about an order."""

    order: int


@dataclass(frozen=True)
class Progressed(Message):
    progress: Progress


@dataclass(frozen=True)
class Finished(Message):
    """``answer`` as the verb returned it, with ``labels`` read into memory."""

    answer: Mapping[str, Any]


@dataclass(frozen=True)
class Failed(Message):
    """``sentence`` for the person; ``traceback`` is empty unless it is a bug."""

    sentence: str
    traceback: str = ""


@dataclass(frozen=True)
class Cancelled(Message):
    pass


@dataclass(frozen=True)
class Died(Message):
    """The order could not be finished because memory ran out or the process ended; ``reason`` in words."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """The process ended, for this ``reason``."""

    reason: str


@dataclass
class Order:
    """An order under way; ``asked``: the time at which it was asked to stop."""

    content: dict[str, Any]
    image: Volume | None
    asked: float | None = None


class Engine:
    """One engine process, started when it is first needed and started anew when it died or had to be killed.

    It carries out one order after the other. One that does not stop in time is killed with its process, and those that
    wait behind it are given again.

    ``patience``: seconds between asking it to stop and killing it. ``niceness``: how far it stands back where others
    want the processor.
    """

    said = Signal(object)
    """A ``Message``; emitted by :meth:`poll` only."""

    def __init__(self, patience: float = PATIENCE, niceness: int = 5) -> None:
        _sweep()
        self._patience, self._niceness = patience, niceness
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self._process: subprocess.Popen[str] | None = None
        self._waiting: dict[int, Order] = {}  # the first of them is the one that is carried out
        self._next = 0
        self._inbox: queue.SimpleQueue[tuple[subprocess.Popen[str] | None, Message | Ended | Callable[[], None]]] = (
            queue.SimpleQueue()
        )
        self._porter = ThreadPoolExecutor(1, "napari-seg-porter")  # carries orders and arrays, one after the other
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._closed = False

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def order(self, verb: str, *, image: Volume | None = None, **content: Any) -> int:
        """Give an order and return its number; its messages come through :attr:`said`. ``image`` travels by file, and
        so does the ``volume`` of each of ``lessons``, where it is a ``Volume``."""
        self._next += 1
        number = self._next
        self._waiting[number] = Order({"id": number, "verb": verb, **content}, image)
        self._give(self._waiting[number])
        return number

    def _give(self, order: Order) -> None:
        carried = self._porter.submit(self._carry, self._running(), dict(order.content), order.image)
        carried.add_done_callback(_raise_aloud)

    def cancel(self, number: int) -> None:
        """Ask the engine to give up an order; :meth:`poll` kills it when it has not done so in time."""
        if number in self._waiting and self._waiting[number].asked is None:
            self._waiting[number].asked = time.monotonic()
            self._porter.submit(self._send, self._process, {"id": number, "verb": "cancel"})

    def later(
        self,
        work: Callable[[], Any],
        then: Callable[[Any], None],
        lane: str = "sessions",
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do a piece of ``work`` that needs no torch in a thread; :meth:`poll` hands what it returns to ``then``, and
        what it raises to ``failed``, which is a bug and is shown as one besides.

        One waits for the other only within a ``lane``: nobody waits for a session because an image is being looked at.
        """

        def run() -> None:
            try:
                answer = partial(then, work())
            except Exception as error:
                if failed is not None:
                    self._inbox.put((None, partial(failed, error)))
                raise
            self._inbox.put((None, answer))

        if lane not in self._lanes:
            self._lanes[lane] = ThreadPoolExecutor(1, f"napari-seg-{lane}")
        self._lanes[lane].submit(run).add_done_callback(_raise_aloud)

    def poll(self) -> None:
        """Emit what has come in since the last time. Call it often, on the main thread."""
        while not self._inbox.empty():
            process, message = self._inbox.get()
            if not isinstance(message, Message | Ended):
                message()
            elif process is not self._process:
                pass  # the last words of one that was killed
            elif isinstance(message, Ended):
                self._give_up(message.reason)
            elif message.order in self._waiting:
                if not isinstance(message, Progressed):
                    del self._waiting[message.order]
                self.said.emit(message)
        self._lose_patience()

    def close(self) -> None:
        """End the process and remove the folder. The engine cannot be used after that."""
        if not self._closed:
            self._closed = True
            for pool in (self._porter, *self._lanes.values()):
                pool.shutdown(wait=False, cancel_futures=True)
            self._end()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "napari_seg.engine", str(self._folder), str(self._niceness)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(self._folder)},  # scores go with the folder too
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        return self._process

    def _carry(self, process: subprocess.Popen[str], order: dict[str, Any], image: Volume | None) -> None:
        """On the porter's thread: put the image into a file and send the order."""
        lessons = [dict(lesson) for lesson in order.get("lessons", ())]
        if image is not None or lessons:
            try:
                if image is not None:
                    order["image"] = self._describe(image, str(order["id"]))
                for k, lesson in enumerate(lessons):
                    if isinstance(lesson["volume"], Volume):
                        lesson["volume"] = self._describe(lesson["volume"], f"{order['id']}-{k}")
                order |= {"lessons": lessons} if lessons else {}
            except OSError as error:
                reason = cause_of(error)
                sentence = f"The image could not be handed over ({reason}); free some space in {self._folder.parent}."
                self._inbox.put((process, Failed(order["id"], sentence)))
                return
            except SegError as error:  # of an image that is read in parts
                self._inbox.put((process, Failed(order["id"], str(error))))
                return
        self._send(process, order)

    def _send(self, process: subprocess.Popen[str] | None, order: Mapping[str, Any]) -> None:
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ValueError):  # the process is gone: its listener says so
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()

    def _describe(self, image: Volume, number: str) -> dict[str, Any]:
        source = image.source
        if source and source.format == "ome_zarr" and not isinstance(image.data, np.ndarray):
            known = {"axes": image.axes, "shape": image.shape, "spacing": image.spacing, "unit": image.unit}
            file = str(source.path / source.series)
            return {"path": file, "marks": source.marks, "name": image.name, **known}
        path = self._folder / f"image-{number}.npy"
        _save(image, path)
        return {
            "array": str(path),
            "axes": image.axes,
            "spacing": image.spacing,
            "unit": image.unit,
            "affine": None if image.affine is None else image.affine.tolist(),
            "channels": image.channels,
            "name": image.name,
            "interval": image.interval,
            "source": source
            and {
                "path": str(source.path),
                "format": source.format,
                "series": source.series,
                "modality": source.modality,
            },
        }

    def _listen(self, process: subprocess.Popen[str]) -> None:
        """On a thread of its own: read answers until the process ends."""
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            self._inbox.put((process, _message(said)))
            if said["what"] != "progress":
                for path in self._folder.glob(f"image-{said['id']}[.-]*"):
                    with contextlib.suppress(OSError):  # Windows keeps a mapped file; it goes with the folder
                        path.unlink()
        process.stdout.close()
        self._inbox.put((process, Ended(_cause(process.wait()))))

    def _lose_patience(self) -> None:
        """Orders that were asked to stop long ago are cancelled; where one is still carried out, its process ends."""
        asked = {number: order.asked for number, order in self._waiting.items() if order.asked is not None}
        late = [number for number, since in asked.items() if time.monotonic() - since > self._patience]
        stuck = next(iter(self._waiting), 0) in late
        late = [*asked] if stuck else late
        for number in late:
            del self._waiting[number]
        if stuck:
            self._end()
            for order in self._waiting.values():
                self._give(order)
        for number in late:
            self.said.emit(Cancelled(number))

    def _give_up(self, reason: str) -> None:
        """End the process and say so of every order that was under way."""
        orders, self._waiting = dict(self._waiting), {}
        self._end()
        for number, order in orders.items():
            self.said.emit(Died(number, reason) if order.asked is None else Cancelled(number))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # an order was on its way
                    process.stdin.close()
        for path in self._folder.glob("*.npy"):
            path.unlink(missing_ok=True)


def _message(said: Mapping[str, Any]) -> Message:
    number = said["id"]
    match said["what"]:
        case "progress":
            return Progressed(number, Progress(said["done"], said["total"], said["message"], said.get("detail", {})))
        case "finished":
            answer = dict(said["answer"])
            if "labels" in answer:
                path = Path(answer["labels"])
                answer["labels"] = np.load(path, allow_pickle=False)
                path.unlink()
            return Finished(number, answer)
        case "cancelled":
            return Cancelled(number)
        case "starved":
            return Died(number, "memory ran out")
        case _:
            return Failed(number, said["sentence"], said["traceback"])


def _save(image: Volume, path: Path) -> None:
    """Write an array plane by plane, as it may not fit into memory. It is not written through a map of the file: what
    a full disk does not take there ends the whole program, where this raises ``OSError``."""
    about = {"descr": np.lib.format.dtype_to_descr(image.dtype), "fortran_order": False, "shape": image.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, about)
        for plane in range(image.shape[0]):
            file.write(np.ascontiguousarray(image.data[plane], image.dtype).data)


def _cause(code: int) -> str:
    """Why a process ended, in words, from its exit code."""
    if code == -getattr(signal, "SIGKILL", 9):
        return "it was killed, as happens where memory runs out"
    return f"it ended by itself with code {code}"


def _sweep() -> None:
    """Remove the folders of windows that were killed together with their engines."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _raise_aloud(future: Any) -> None:
    """A bug in a thread is shown like any other, not swallowed by the pool."""
    if not future.cancelled() and (error := future.exception()) is not None:
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, None)))
