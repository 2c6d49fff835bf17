"""What the tests of the session store things of: images of no file, and blocks of labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_seg.data.volume import Volume
from napari_seg.session.database import connect
from napari_seg.session.records import ImageRow, Place, Plane, Step
from napari_seg.session.store import Store
from napari_seg.session.thinning import DAY

SAID_PLANE = "mask/said"


def an_image(grid: tuple[int, ...], times: int = 1, fingerprint: str = "an image") -> ImageRow:
    return ImageRow(0, "image", "image.tif", fingerprint, grid, times, (1.0,) * len(grid), "um", 0.0, 0)


def a_volume(grid: tuple[int, ...], seed: int = 0, **known: Any) -> Volume:
    data = np.random.default_rng(seed).integers(0, 1000, grid, dtype=np.uint16)
    return Volume(data, "TZYX"[-len(grid) :], **known)


def a_store(folder: Path, grid: tuple[int, ...] = (300, 300), times: int = 1) -> tuple[Store, int]:
    """A store on a new database, with one image and one plane called ``mask``."""
    store = Store(connect(folder))
    image = store.add_image(an_image(grid, times)).id
    store.put_plane(image, Plane("mask", True))
    return store, image


def blocks_of(store: Store, image: int, labels: Any, time: int = 0, plane: str = "mask") -> dict[Place, Any]:
    """All blocks of labels."""
    grid = store.grid(image)
    return {Place(plane, time, number): labels[grid.box(number)] for number in range(len(grid))}


def squares(*labels: int) -> np.ndarray[Any, Any]:
    """Labels below each other."""
    plane = np.zeros((300, 300), np.uint8)
    for k, label in enumerate(labels):
        plane[10 * k : 10 * k + 5, :5] = label
    return plane


def step(blocks: Mapping[Place, Any], **known: Any) -> Step:
    known.setdefault("at", time.time())
    return Step(known.pop("tool", "brush"), blocks=blocks, **known)


def month_of_work(store: Store, image: int, until: float) -> None:
    """Somebody worked on 30 days, the last of them that of ``until``."""
    for day in range(30):
        store.note(image, until - day * DAY, "", "case opened")


def unused_blobs(store: Store) -> int:
    used = "SELECT before FROM block_changes UNION SELECT after FROM block_changes UNION SELECT hash FROM blocks"
    return int(store._sql.execute(f"SELECT count(*) FROM blobs WHERE hash NOT IN ({used})").fetchone()[0])


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for another thread or program."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
