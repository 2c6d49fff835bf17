"""Is a session quick? One with a volume of 512 x 512 x 512 and 5 000 objects, and one with 500 images.

    python benchmarks/session.py

Prints medians and the slowest of some rounds. Files lie in the system's folder for temporary files, so the disk that is
measured is that one; they are in the system's cache. Memory is what the process holds above its own arrays.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_seg.session.blocks import Grid
from napari_seg.session.records import ImageRow, Place, Plane, Step
from napari_seg.session.session import Session

OBJECTS, RADIUS = 5000, 10


def spheres(side: int) -> np.ndarray:
    draw = np.random.default_rng(0)
    ball = sum(axis**2 for axis in np.ogrid[(slice(-RADIUS, RADIUS + 1),) * 3]) <= RADIUS**2
    labels = np.zeros((side,) * 3, np.uint16)
    for number in range(1, OBJECTS + 1):
        box = tuple(slice(k, k + 2 * RADIUS + 1) for k in draw.integers(0, side - 2 * RADIUS, 3))
        labels[box][ball] = number
    return labels


def an_image(grid: tuple[int, ...], name: str) -> ImageRow:
    return ImageRow(0, name, "", name, grid, 1, (1.0,) * len(grid), "um", time.time(), 0)


def blocks_of(labels: np.ndarray, touched: Iterable[int]) -> dict[Place, np.ndarray]:
    grid = Grid(labels.shape)
    return {Place("mask", 0, number): labels[grid.box(number)].copy() for number in touched}


def strokes(labels: np.ndarray, count: int) -> Iterator[dict[Place, np.ndarray]]:
    """A disc moved 25 times through one plane: the blocks it touched."""
    draw, grid = np.random.default_rng(1), Grid(labels.shape)
    for _ in range(count):
        z, y, x = draw.integers(RADIUS, labels.shape[0] - RADIUS, 3)
        touched: set[int] = set()
        for _ in range(25):
            y, x = (int(np.clip(k + draw.integers(-8, 9), RADIUS, labels.shape[0] - RADIUS)) for k in (y, x))
            box = (slice(z, z + 1), slice(y - RADIUS, y + RADIUS), slice(x - RADIUS, x + RADIUS))
            labels[box] = draw.integers(1, OBJECTS)
            touched |= set(grid.touched(box))
        yield blocks_of(labels, touched)


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def line(what: str, found: list[float], limit: str, unit: float = 1.0, name: str = "s") -> None:
    middle, slowest = statistics.median(found) * unit, max(found) * unit
    print(f"| {what} | {middle:.2f} {name} | {slowest:.2f} {name} | {limit} |", flush=True)


def volume(folder: Path, side: int, rounds: int) -> None:
    labels = spheres(side)
    session = Session.open(folder)
    image = session.writer.call(lambda store: store.add_image(an_image(labels.shape, "volume")).id).result()
    session.writer.call(lambda store: store.put_plane(image, Plane("mask", True))).result()
    everything = range(len(Grid(labels.shape)))
    opened_with = Step("opened", time.time(), blocks=blocks_of(labels, everything))
    took, _ = seconds(session.writer.call(lambda store: store.lay(image, opened_with)).result)
    line("all of the volume laid down", [took], "")
    session.close()

    def open_it() -> tuple[Session, np.ndarray]:
        session = Session.open(folder)
        row = session.writer.call(lambda store: store.find("volume")).result()
        return session, session.writer.call(lambda store: store.labels(row.id, "mask")).result()

    opened = []
    for _ in range(rounds):
        took, (session, found) = seconds(open_it)
        assert np.array_equal(found, labels)
        del found
        session.close()
        opened.append(took)
    line("opened, with all labels", opened, "2 s")
    session = Session.open(folder)
    session.writer.flush(60)
    process = psutil.Process()
    before, flushed = process.memory_info().rss, []
    for blocks in strokes(labels, 200):
        step = Step("brush", time.time(), blocks=blocks)
        took, kept = seconds(lambda step=step: session.writer.put(image, step).result())
        assert kept
        flushed.append(took)
    grown = process.memory_info().rss - before
    line("a stroke flushed (200)", flushed, "50 ms", 1000, "ms")
    print(f"| memory grown by 200 strokes | {grown / 2**20:.0f} MB | | |")
    undone = [seconds(session.writer.call(lambda store: store.undo(image, 0.0)).result)[0] for _ in range(200)]
    line("a stroke undone (200)", undone, "", 1000, "ms")
    step = Step("predict", time.time(), blocks=blocks_of(np.where(labels, labels % 999 + 1, 0), everything))
    line("all objects changed in one step", [seconds(session.writer.put(image, step).result)[0]], "")
    line("and undone", [seconds(session.writer.call(lambda store: store.undo(image, 0.0)).result)[0]], "")
    session.close()
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"| size on the disk | {size / 2**20:.0f} MB | | |")


def many(folder: Path, count: int, rounds: int) -> None:
    session = Session.open(folder)

    def fill(store: Any) -> None:
        store._sql.execute("PRAGMA synchronous = OFF")  # only here: it is not what is measured
        for number in range(count):
            image = store.add_image(an_image((512, 512), f"image {number}")).id
            store.put_plane(image, Plane("mask", True))
            for value in range(1, 11):
                labels = np.zeros((512, 512), np.uint16)
                labels[20 * value :: 40, number % 40 :: 3] = value
                store.commit(image, Step("brush", time.time(), blocks=blocks_of(labels, range(4))))

    session.writer.call(fill).result()
    session.close()

    def open_it() -> Session:
        session = Session.open(folder)
        images = session.writer.call(lambda store: store.images()).result()
        assert len(images) == count
        last = images[-1].id
        session.writer.call(lambda store: (store.labels(last, "mask"), store.history(last), store.rows(last))).result()
        return session

    opened = []
    for _ in range(rounds):
        took, session = seconds(open_it)
        session.close()
        opened.append(took)
    line(f"{count} images, 10 steps each: opened, listed, one shown", opened, "2 s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--side", type=int, default=512, help="of the volume, in voxels")
    parser.add_argument("--images", type=int, default=500)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before\n")
    print("| on | median | slowest | limit |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        volume(Path(folder) / "volume", options.side, options.rounds)
        many(Path(folder) / "many", options.images, options.rounds)
    print(f"\nload {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
