"""Kills a program while it paints, opens what it left, and compares every voxel and every row."""

from __future__ import annotations

import queue
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from painting import IMAGE, Painting, state_of

from napari_seg.session.session import Session

PAINTER = Path(__file__).with_name("painting.py")

GRACE = 1.0
"""Seconds before the kill: what ended earlier must be there."""

MOMENTS = ("any", "any", "volume", "opening", "closing", "reopening")
"""What a kill waits for."""


@dataclass(frozen=True)
class Outcome:
    """What a kill left. ``lost``: operations that had to be there and are not; ``fault``: what is wrong besides."""

    moment: str
    began: int
    kept: int
    found: int
    lost: int
    reopening: float
    fault: str


class Painter:
    """A program that paints, and what it has told so far."""

    def __init__(self, folder: Path, seed: int, program: Path = PAINTER) -> None:
        self.folder, self.seed = folder, seed
        command = [sys.executable, str(program), str(folder), str(seed)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: queue.SimpleQueue[tuple[str, int, float]] = queue.SimpleQueue()
        self.told: list[tuple[str, int, float]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def wait_for(self, what: str, times: int, seconds: float = 60.0) -> None:
        """Wait until it has told something so many times."""
        end = time.monotonic() + seconds
        while sum(told[0] == what for told in self.told) < times:
            try:
                self.told.append(self._lines.get(timeout=max(0.0, end - time.monotonic())))
            except queue.Empty:
                raise TimeoutError(f"the painting program did not come to {what}: {self.told[-3:]}") from None

    def kill(self) -> float:
        """End it as no program can prevent. When, on the monotonic clock, and all it told is in ``told``."""
        at = time.monotonic()
        alive = self._process.poll() is None
        self.end()
        while not self._lines.empty():
            self.told.append(self._lines.get())
        if not alive:
            raise RuntimeError(f"the painting program ended by itself: {self.told[-3:]}")
        return at

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):
                what, number, at = line.split()
                self._lines.put((what, int(number), float(at)))


def kill_once(painter: Painter, moment: str, draw: random.Random) -> Outcome:
    """Let it paint, kill it at a moment of that kind, and look at what is there."""
    painter.go()
    if moment == "any":
        painter.wait_for("began", 1)
        time.sleep(draw.random() * 2.5)
    elif moment == "volume":
        numbers = whole_volumes(painter.seed)
        painter.wait_for("began", draw.choice(numbers[:3]))
        time.sleep(draw.random() * 0.15)
    else:
        painter.wait_for("opening" if moment == "reopening" else moment, 2 if moment == "reopening" else 1)
        time.sleep(draw.random() * 0.04)
    return outcome(painter, moment, painter.kill())


def whole_volumes(seed: int) -> list[int]:
    """The numbers of the operations that change everything, among the first hundred."""
    painting = Painting(seed)
    return [number for number in range(1, 101) if painting.go_on()[0] == "volume"]


def outcome(painter: Painter, moment: str, killed: float) -> Outcome:
    told = painter.told
    began = max((number for what, number, _ in told if what == "began"), default=0)
    kept = max((number for what, number, _ in told if what == "kept"), default=0)
    due = max((number for what, number, at in told if what == "ended" and at < killed - GRACE), default=0)
    start = time.monotonic()
    session = Session.open(painter.folder)
    image = session.writer.call(lambda store: store.find(IMAGE.fingerprint)).result()
    if image is None:
        session.close()
        return Outcome(moment, began, kept, 0, max(kept, due), time.monotonic() - start, session.read_only)
    labels, rows, log = session.writer.call(
        lambda store: (store.labels(image.id, "mask"), store.rows(image.id), store.log(image.id))
    ).result()
    reopening = time.monotonic() - start
    found = sum(what != "opened" for _, _, _, what, _, _ in log)  # each operation is one line
    painting = Painting(painter.seed)
    for _ in range(found):
        painting.go_on()
    fault = session.read_only
    if any(what == "lost" for what, _, _ in told):
        fault = "the program was told that something cannot be kept"
    if found > began:
        fault = f"{found} operations are there, {began} began"
    if state_of(labels, rows) != painting.state():
        fault = f"what is there is not what there was after operation {found}"
    fault = fault or undone(session, image.id)
    session.close()
    return Outcome(moment, began, kept, found, max(0, max(kept, due) - found), reopening, fault)


def undone(session: Session, image: int) -> str:
    """What is wrong when all is undone; nothing may be left."""
    check = session.writer.call(lambda store: store._sql.execute("PRAGMA integrity_check").fetchone()[0]).result()
    if check != "ok":
        return str(check)
    while session.writer.call(lambda store: store.undo(image, 0.0)).result() is not None:
        pass
    labels, rows = session.writer.call(lambda store: (store.labels(image, "mask"), store.rows(image))).result()
    return "something is left after undo of all" if labels.any() or rows else ""
