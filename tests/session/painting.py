"""A program that paints into a session until it is killed. Run by its path, with the folder and a seed.

It waits for a line, then tells on its output what it does, one line each with the time: that it is ``opening`` and
``closing`` the session, the number of each operation before it begins (``began``), when the person is done with it
(``ended``), and when the session says that it is ``kept``.
"""

from __future__ import annotations

import functools
import hashlib
import random
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from napari_seg.editing.annotation import Entry
from napari_seg.session.blocks import Grid
from napari_seg.session.records import ImageRow, Place, Plane, Step
from napari_seg.session.session import Session
from napari_seg.session.store import Store

GRID = (20, 150, 140)
IMAGE = ImageRow(0, "image", "", "painted", GRID, 1, (1.0, 1.0, 1.0), "um", 0.0, 0)
ROUND = 12
"""About so many operations are done before the session is closed and opened again."""


class Painting:
    """Labels and a row that change by one operation after the other: the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self.labels = np.zeros(GRID, np.uint16)
        self.comment = ""
        self.number = 0
        self._undo: list[tuple[np.ndarray, str]] = []
        self._redo: list[tuple[np.ndarray, str]] = []

    def go_on(self) -> tuple[str, set[int]]:
        """One operation more: what it is, and the blocks it may have touched."""
        self.number += 1
        what = self._draw.choices(["brush", "volume", "undo", "redo"], [70, 10, 15, 5])[0]
        if what == "undo" and self._undo:
            self._redo.append((self.labels, self.comment))
            self.labels, self.comment = self._undo.pop()
        elif what == "redo" and self._redo:
            self._undo.append((self.labels, self.comment))
            self.labels, self.comment = self._redo.pop()
        else:
            what = what if what == "volume" else "brush"
            self._undo.append((self.labels, self.comment))
            self._redo.clear()
            self.labels, self.comment = self.labels.copy(), f"operation {self.number}"
            return what, self._volume() if what == "volume" else self._brush()
        return what, set()

    def state(self) -> bytes:
        return state_of(self.labels, {"case": Entry(comment=self.comment)} if self.comment else {})

    def _volume(self) -> set[int]:
        """Everything changes, as when a model has predicted it."""
        side = self._draw.randrange(3, 9)
        cells = np.random.default_rng(self.number).integers(0, 900, [n // side + 1 for n in GRID], dtype=np.uint16)
        self.labels[...] = functools.reduce(lambda a, k: np.repeat(a, side, k), range(3), cells)[
            tuple(slice(0, n) for n in GRID)
        ]
        return set(range(len(Grid(GRID))))

    def _brush(self) -> set[int]:
        """A disc is moved through one plane."""
        z, y, x = (self._draw.randrange(n) for n in GRID)
        radius, value = self._draw.randrange(2, 9), self._draw.randrange(0, 300)
        rows, columns = np.ogrid[: GRID[1], : GRID[2]]
        touched: set[int] = set()
        for _ in range(self._draw.randrange(1, 25)):
            y, x = y + self._draw.randrange(-6, 7), x + self._draw.randrange(-6, 7)
            self.labels[z][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = value
            disc = tuple(slice(middle - radius, middle + radius + 1) for middle in (y, x))
            touched |= set(Grid(GRID).touched((slice(z, z + 1), *disc)))
        return touched


def state_of(labels: np.ndarray, rows: dict[str, Entry]) -> bytes:
    """What tells one state from another: every voxel and every row."""
    voxels = np.ascontiguousarray(labels, np.uint64)
    return hashlib.blake2b(voxels.tobytes() + repr(sorted(rows.items())).encode()).digest()


def paint(folder: Path, seed: int) -> None:
    painting, draw = Painting(seed), random.Random(f"pace {seed}")
    while True:
        tell("opening", 0)
        session = Session.open(folder)
        image = session.writer.call(lambda store: store.find(IMAGE.fingerprint) or store.add_image(IMAGE)).result()
        session.writer.keep(lambda store, at=image.id: open_mask(store, at))
        tell("open", 0)
        for _ in range(draw.randrange(ROUND // 2, ROUND * 2)):
            tell("began", painting.number + 1)
            what, touched = painting.go_on()
            done = give(session, image, painting, what, touched)
            tell("ended", painting.number)
            done.add_done_callback(
                lambda done, number=painting.number: tell("kept" if done.result() else "lost", number)
            )
            time.sleep(draw.choice([0, 0, draw.random() * 0.1]))
        tell("closing", 0)
        if session.close(60.0):
            tell("lost", 0)


def open_mask(store: Store, image: int) -> None:
    """Lay down what the mask holds when it is opened first."""
    store.put_plane(image, Plane("mask", True))
    if not store.log(image):
        grid = Grid(GRID)
        blocks = {Place("mask", 0, number): np.zeros(grid.extent(number), np.uint8) for number in range(len(grid))}
        store.lay(image, Step("opened", time.time(), blocks=blocks))


def give(session: Session, image: ImageRow, painting: Painting, what: str, touched: set[int]) -> Future[Any]:
    """Hand one operation over to the session."""
    if what in ("undo", "redo"):
        return session.writer.call(lambda store: getattr(store, what)(image.id, time.time()))
    grid = Grid(GRID)
    blocks = {Place("mask", 0, number): painting.labels[grid.box(number)].copy() for number in touched}
    rows = {"case": Entry(comment=painting.comment)}
    return session.writer.put(image.id, Step(what, time.time(), blocks=blocks, rows=rows))


def tell(what: str, number: int) -> None:
    sys.stdout.write(f"{what} {number} {time.monotonic()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.stdin.readline()
    paint(Path(sys.argv[1]), int(sys.argv[2]))
