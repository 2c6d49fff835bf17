"""Kills a window in which a mask is worked on, opens what it left in another window, and compares every voxel and row.

A session outlives several kills: each window goes on where the one before was killed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import stroking
from napari.components import ViewerModel
from stroking import MASK, Job, first_labels, open_on, state_of

from napari_seg.data.formats import read, stem
from napari_seg.gui.engine import Engine
from napari_seg.gui.recorder import Recorder
from napari_seg.session.provenance import record_path
from napari_seg.session.session import Session

GRACE = 1.0
"""Seconds before the kill: what ended earlier must be there."""

PATIENCE = 180.0
"""Seconds that a program gets to come to the moment."""

LONGEST = {"any": 5.0, "flush": 0.01, "errand": 0.2, "opening": 0.6, "saving": 0.2, "closing": 0.3}
"""Seconds after the moment within which a kill falls."""


def _forks() -> Any:
    """How windows are started: as copies of a program that has imported all, and has neither threads nor a window yet.

    Where the system has no such copies each window is started from nothing, which takes some seconds more.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stroking"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)  # else it would not find it
    try:
        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


Told = tuple[str, bytes | str, float]


@dataclass(frozen=True)
class Outcome:
    """What a kill left: how many things a person had done, how many of them had to be there, how many of those are
    not (``lost``), what is wrong besides (``fault``), and how long the mask took to be on the screen again."""

    moment: str
    ended: int
    due: int
    lost: int
    fault: str
    reopening: float


class Window:
    """A program with a window that is ready for a job. ``told``: what it has said since."""

    def __init__(self) -> None:
        forks = _forks()
        self._pipe, other = forks.Pipe()
        self._process = forks.Process(target=stroking.paint, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self.told: list[Told] = []

    def go(self, job: Job) -> None:
        self.wait_for("waiting", 1)
        self.told.clear()
        self._pipe.send(job)

    def wait_for(self, what: str, times: int) -> None:
        """Wait until it has told something so many times, or that it has left."""
        end = time.monotonic() + PATIENCE
        while sum(told[0] == what for told in self.told) < times and not self.left:
            if not self._pipe.poll(max(0.0, end - time.monotonic())):
                raise TimeoutError(f"the window did not come to {what}: {self.told[-3:]}")
            self.told.append(self._pipe.recv())

    @property
    def left(self) -> bool:
        return any(told[0] == "left" for told in self.told)

    def kill(self) -> float:
        """End it as no program can prevent. When, on the monotonic clock; what it told until then is in ``told``."""
        at, alive = time.monotonic(), self._process.is_alive()
        self.end()
        try:
            while self._pipe.poll():
                self.told.append(self._pipe.recv())
        except (EOFError, OSError):  # the last words were cut off
            pass
        if not alive:
            raise RuntimeError(f"the window ended by itself: {self.told[-3:]}")
        return at

    def end(self) -> None:
        self._process.kill()
        self._process.join()


class Chain:
    """One session and the windows that were killed on it, one after the other."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.rounds = folder, seed, 0
        self._kept = state_of(first_labels(seed), {})  # what was found after the last kill
        self._comes = False  # whether the mask comes by itself when the image is opened
        self._file: bytes | None = None  # what the exported file holds
        folder.mkdir()

    def kill_once(self, window: Window, moment: str, draw: random.Random) -> Outcome:
        """Let a window work here, kill it at a moment of that kind, and look at what is there."""
        window.go(Job(self.folder, self.seed, self.rounds, moment, self._comes))
        self.rounds += 1
        often = moment in ("stroke", "tool", "flush")
        late = ""
        try:
            window.wait_for("ready" if moment == "any" else moment, draw.randrange(1, 12) if often else 1)
        except TimeoutError as error:
            late = str(error)
        time.sleep(draw.random() * LONGEST.get(moment, 0.04))
        return self._outcome(moment, window.kill(), window.told, [late] if late else [])

    def _outcome(self, moment: str, killed: float, told: list[Told], faults: list[str]) -> Outcome:
        faults += [str(words) for what, words, _ in told if what == "fault"]
        passed = [(what, state, at) for what, state, at in told if what in ("state", "ended")]
        ended = [k for k, (what, _, _) in enumerate(passed) if what == "ended"]
        left = any(what == "left" for what, _, _ in told)
        due = [k for k in ended if left or passed[k][2] < killed - GRACE]
        if ended and passed[ended[0]][1] != self._kept:
            faults.append("the window did not go on with what was there after the kill before")
        start = time.monotonic()
        found, wrong = self._look()
        reopening = time.monotonic() - start
        reached = [k for k, (_, state, _) in enumerate(passed) if state == found] or [-1]
        if reached == [-1] and found != self._kept:
            faults.append("what is there is none of what there was")
        self._kept = found
        lost = sum(k > reached[-1] for k in due)
        return Outcome(moment, len(ended), len(due), lost, "; ".join(faults + wrong + self._export(told)), reopening)

    def _look(self) -> tuple[bytes, list[str]]:
        """What is there when the image is opened again, and what is wrong with it."""
        os.environ["NAPARI_SEG_SESSIONS"] = str(self.folder / "sessions")
        with closing(Reopened(self.seed)) as again:
            self._comes = again.came
            faults, track = [again.recorder.safe.trouble], again.track
            state = state_of(track.layer.data, again.recorder.rows(track))
            check = track.session.writer.call(lambda store: store._sql.execute("PRAGMA integrity_check").fetchone())
            faults.append(check.result()[0])
            stored = track.session.writer.call(lambda store: store.labels(track.row.id, track.plane)).result()
            if not np.array_equal(stored, track.layer.data):
                faults.append("the window shows something else than the session holds")
        copy = shutil.copytree(track.session.folder, self.folder / "copy")
        with closing(Session.open(copy)) as session:
            while session.writer.call(lambda store: store.undo(1, 0.0)).result() is not None:
                pass
            labels, rows = session.writer.call(lambda store: (store.labels(1, "mask"), store.rows(1))).result()
        shutil.rmtree(copy)
        if rows or not np.array_equal(labels, first_labels(self.seed)):
            faults.append("undo of all does not lead back to the mask as it was opened")
        return state, [fault for fault in faults if fault and fault != "ok"]

    def _export(self, told: list[Told]) -> list[str]:
        """What is wrong with the file of the mask, which is whole and one of those that were to be saved."""
        saving = [state for what, state, _ in told if what == "saving"]
        saved = sum(what == "saved" for what, _, _ in told)
        allowed = saving[saved - 1 :] if saved else [self._file, *saving]
        path = self.folder / MASK
        self._file = state_of(np.asarray(read(path).data), {}) if path.exists() else None
        record = record_path(path, stem(path))
        known = json.loads(record.read_text(encoding="utf-8")) if record.exists() else None
        wrong = [] if self._file in allowed else ["the exported file is none of those that were saved"]
        return wrong + (["the record of the exported file is missing"] if saved and not known else [])


class Reopened:
    """The image and the mask opened again in another window, one without a screen. ``came``: whether the mask came by
    itself, as it does when somebody has worked on it."""

    def __init__(self, seed: int) -> None:
        self._engine = Engine()
        viewer = ViewerModel()
        self.recorder = Recorder(viewer, self._engine)
        open_on(viewer, seed, "image")
        for _ in range(2):  # the session is looked for, then the mask is loaded
            self._all_arrives()
        self.came = "mask" in viewer.layers
        if not self.came:
            open_on(viewer, seed, "labels")
        self._live(lambda: self.recorder.tracks() and self.recorder.rests)
        [self.track] = self.recorder.tracks()

    def _all_arrives(self) -> None:
        """What threads were asked for until now has come."""
        come: list[None] = []
        self._engine.later(lambda: None, come.append)
        self._live(lambda: come)

    def _live(self, until: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not until():
            time.sleep(0.001)
            self._engine.poll()
            self.recorder.tick()
            if time.monotonic() > end:
                raise TimeoutError(f"the mask did not come: {self.recorder.safe}")

    def close(self) -> None:
        self.recorder.close()
        self._engine.close()
