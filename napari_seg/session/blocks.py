"""Labels in blocks: small enough that a stroke writes little, packed, and known by what they hold.

A block is stored in the smallest dtype that holds it, so that equal labels are equal blocks whatever array they came
from. A block of background is nothing at all.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import labels_dtype
from napari_seg.errors import SegError
from napari_seg.session.records import Place
from napari_seg.tasks.base import Labels

BLOCK = {2: (256, 256), 3: (16, 64, 64)}
"""The shape of a block: 65 536 voxels, flat, because strokes are."""

LEVEL = 1
"""Of zlib: labels pack well at once, and a person is painting."""


class Grid:
    """How a grid of voxels, 2D or 3D, is divided into numbered blocks."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.block = BLOCK[len(shape)]
        self.counts = tuple(-(-n // b) for n, b in zip(shape, self.block, strict=True))

    def __len__(self) -> int:
        return math.prod(self.counts)

    def box(self, number: int) -> tuple[slice, ...]:
        """Where a block lies; blocks at the far edges are cut."""
        return self._boxes[number]

    @cached_property
    def _boxes(self) -> list[tuple[slice, ...]]:
        sides = zip(self.shape, self.block, strict=True)
        return list(itertools.product(*([slice(k, min(k + b, n)) for k in range(0, n, b)] for n, b in sides)))

    def extent(self, number: int) -> tuple[int, ...]:
        """The shape of a block."""
        return tuple(side.stop - side.start for side in self.box(number))

    def touched(self, box: tuple[slice, ...]) -> Iterator[int]:
        """The numbers of the blocks that a box of voxels reaches into; what lies outside the grid reaches into none."""
        spans = []
        for side, b, n in zip(box, self.block, self.shape, strict=True):
            start, stop = max(0, side.start), min(side.stop, n)
            spans.append(range(start // b, -(-stop // b)) if start < stop else range(0))
        for index in itertools.product(*spans):
            number = 0
            for k, count in zip(index, self.counts, strict=True):
                number = number * count + k
            yield number


def smallest(block: Labels) -> Labels:
    """A copy of the block in the smallest dtype that holds it, in C order."""
    if block.dtype.kind == "i" and int(block.min(initial=0)) < 0:
        raise SegError("Labels below 0 cannot be kept; number the objects from 1.")
    return np.array(block, labels_dtype(int(block.max(initial=0))), order="C")


def digest(block: Labels) -> bytes:
    """What names the contents of a block; empty for background. Takes what :func:`smallest` returns."""
    if not block.any():
        return b""
    return hashlib.blake2b(block.data.cast("B"), digest_size=16, person=str(block.itemsize).encode()).digest()


def named(blocks: Mapping[Place, bytes]) -> str:
    """What names the contents of a whole plane, from what names those of its blocks (background left out or empty)."""
    found = hashlib.blake2b(digest_size=16)
    for place, name in sorted(blocks.items()):
        if name:
            found.update(f"{place.time} {place.block} {name.hex()} ".encode())
    return found.hexdigest()


def pack(block: Labels) -> bytes:
    """Takes what :func:`smallest` returns."""
    return bytes([block.itemsize]) + zlib.compress(block.data.cast("B"), LEVEL)


def unpack(packed: bytes, shape: tuple[int, ...]) -> Labels:
    """A block that can be written to. Raises ``SegError`` where it is damaged."""
    if not packed:
        return np.zeros(shape, np.uint8)
    whole = math.prod(shape) * packed[0]
    try:
        stream = zlib.decompressobj()
        plain = stream.decompress(packed[1:], whole + 1)  # and no more, whatever a file claims
        if not stream.eof:
            raise ValueError("it does not end where it should")
        values: NDArray[np.uint8] = np.frombuffer(bytearray(plain), np.uint8)
        return values.view(f"u{packed[0]}").reshape(shape)
    except (zlib.error, ValueError, TypeError):
        raise SegError("A part of the session is damaged on the disk; restore the session from a backup.") from None
