"""What the blocks of images hold now, and all they ever held: the tables ``blocks`` and ``blobs``."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.errors import SegError
from napari_seg.session.blocks import Grid, digest, pack, smallest, unpack
from napari_seg.session.records import SAID, Place, keepable, parsed
from napari_seg.tasks.base import Labels

AT_ONCE = 500
"""Contents asked for in one query."""

THREADS = min(4, os.cpu_count() or 1)
"""That unpack the blocks of a volume: none of them touches the database."""

ALONE = 32
"""Blocks that are unpacked sooner than a thread is there."""


class Contents:
    """Contents go by the name that :func:`~napari_seg.session.blocks.digest` gives; background has the empty one.

    What is ``damaged`` on the disk, by its name, is read as background, so that it costs no other block.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self.damaged: set[bytes] = set()
        self._shapes: dict[int, tuple[Grid, int]] = {}

    def grid(self, image: int) -> Grid:
        return self._shape(image)[0]

    def name(self, image: int, place: Place) -> bytes:
        """What names the contents of a block now."""
        row = self._sql.execute(
            "SELECT hash FROM blocks WHERE image = ? AND plane = ? AND time = ? AND block = ?", (image, *place)
        ).fetchone()
        return bytes(row[0]) if row else b""

    def names(self, image: int, plane: str, time: int) -> dict[int, bytes]:
        """What names the contents of each block of a plane that is not background."""
        found = self._sql.execute(
            "SELECT block, hash FROM blocks WHERE image = ? AND plane = ? AND time = ?", (image, plane, time)
        )
        return {int(number): bytes(name) for number, name in found}

    def get(self, image: int, block: int, name: bytes) -> Labels:
        """Contents in the shape of a block."""
        packed = self._packed([name])[name] if name else b""
        return self._unpacked(name, packed, self.grid(image).extent(block))

    def keep(self, block: Labels) -> bytes:
        """Keep contents, where they are not kept yet, and name them. In a transaction."""
        contents = smallest(block)
        name = digest(contents)
        if name and self._sql.execute("SELECT 1 FROM blobs WHERE hash = ?", (name,)).fetchone() is None:
            self._sql.execute("INSERT INTO blobs VALUES (?,?)", (name, pack(contents)))
        return name

    def put(self, image: int, blocks: Mapping[Place, bytes]) -> None:
        """Say what blocks hold from now on. In a transaction."""
        self._sql.executemany(
            "INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,?)",
            [(image, *place, name) for place, name in blocks.items() if name],
        )
        self._sql.executemany(
            "DELETE FROM blocks WHERE image = ? AND plane = ? AND time = ? AND block = ?",
            [(image, *place) for place, name in blocks.items() if not name],
        )

    def assembled(self, image: int, names: Mapping[int, bytes]) -> Labels:
        """A whole grid in the smallest dtype, from the contents of its blocks."""
        grid = self.grid(image)
        wanted = [(number, name) for number, name in names.items() if name and 0 <= number < len(grid)]
        packed = self._packed({name for _, name in wanted})
        itemsizes = {data[0] for data in packed.values() if data}
        labels: NDArray[Any] = np.zeros(grid.shape, f"u{max(itemsizes & {1, 2, 4, 8}, default=1)}")

        def fill(part: Iterable[tuple[int, bytes]]) -> None:
            for number, name in part:
                box = grid.box(number)
                labels[box] = self._unpacked(name, packed[name], tuple(side.stop - side.start for side in box))

        if len(wanted) <= ALONE:
            fill(wanted)
        else:
            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(fill, [wanted[k::THREADS] for k in range(THREADS)]))
        return labels

    def check(self, image: int, place: Place, block: Labels) -> Place:
        """The place in plain numbers. Raises ``ValueError`` for a block that is not one of the image."""
        grid, times = self._shape(image)
        plane, time, number = keepable(place.plane), int(place.time), int(place.block)
        if (
            plane.endswith(SAID)
            or not (0 <= number < len(grid) and 0 <= time < times)
            or block.shape != grid.extent(number)
        ):
            raise ValueError(f"{place} of shape {block.shape} is no block of {times} times {grid.shape}")
        return Place(plane, time, number)

    def _shape(self, image: int) -> tuple[Grid, int]:
        """The grid of an image and how many times there are; neither ever changes."""
        if image not in self._shapes:
            row = self._sql.execute("SELECT grid, times FROM images WHERE id = ?", (image,)).fetchone()
            if row is None:
                raise SegError(f"There is no image {image} in this session; choose another.")
            self._shapes[image] = Grid(tuple(parsed(row[0]))), int(row[1])
        return self._shapes[image]

    def _packed(self, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """Contents as they are stored, by their names."""
        found: dict[bytes, bytes] = {}
        wanted = list(set(names))
        for first in range(0, len(wanted), AT_ONCE):
            part = wanted[first : first + AT_ONCE]
            marks = ",".join("?" * len(part))
            found.update(self._sql.execute(f"SELECT hash, data FROM blobs WHERE hash IN ({marks})", part))
        self.damaged.update(name for name in wanted if not found.get(name))
        return dict.fromkeys(wanted, b"") | found

    def _unpacked(self, name: bytes, packed: bytes, shape: tuple[int, ...]) -> Labels:
        try:
            return unpack(packed, shape)
        except SegError:
            self.damaged.add(name)
            return np.zeros(shape, np.uint8)
