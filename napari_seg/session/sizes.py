"""The size of voxels that a person gave an image instead of that of its file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from napari_seg.data.volume import UNITS, Volume
from napari_seg.errors import SegError
from napari_seg.session.records import SIZE, ImageRow, parsed
from napari_seg.session.store import Store


@dataclass(frozen=True)
class Size:
    """``spacing``: empty where it is not known."""

    spacing: tuple[float, ...]
    unit: str

    @classmethod
    def of(cls, image: Volume | ImageRow) -> Self:
        return cls(tuple(image.spacing or ()), image.unit if image.spacing else "pixel")

    def is_same(self, other: Size) -> bool:
        """Whether both are one length, in whatever unit."""
        here, there = (np.multiply(one.spacing or 1.0, UNITS[one.unit]) for one in (self, other))
        alike = np.ndim(here) * np.ndim(there) == 0 or len(here) == len(there)
        comparable = alike and (self.unit == "pixel") == (other.unit == "pixel")
        return comparable and np.allclose(here, there, rtol=1e-6, atol=0)


def lengths_from(lengths: Iterable[Any]) -> tuple[float, ...]:
    """What was written as lengths. Raises ``ValueError`` for what is no length of a voxel."""
    spacing = tuple(map(float, lengths))
    if not all(math.isfinite(length) and length > 0 for length in spacing):
        raise ValueError(spacing)
    return spacing


def keep_size(store: Store, image: int, file: Size, now: Size) -> ImageRow:
    """Keep what a person says of the size of voxels, instead of the ``file``; or that they went back to that. What they
    said of it while its file said another size stays."""
    key = SIZE + store.image(image).fingerprint
    told = {before: size for before, size in _told(store.meta(key)).items() if not before.is_same(file)}
    told |= {} if now.is_same(file) else {file: now}
    pairs = [[asdict(before), asdict(size)] for before, size in told.items()]
    store.put_meta(key, json.dumps(pairs) if pairs else "")
    return store.resize_image(image, now.spacing, now.unit)


def size_of(told: str, file: Size) -> Size:
    """How large voxels are to be where the file says ``file``. ``told``: what :func:`keep_size` kept."""
    return next((size for before, size in _told(told).items() if before.is_same(file)), file)


def _told(text: str) -> dict[Size, Size]:
    """What a person said, by what the file said then; nothing where it is damaged."""
    with suppress(SegError, KeyError, TypeError, ValueError):
        return {_size(before): _size(now) for before, now in parsed(text or "[]")}
    return {}


def _size(known: dict[str, Any]) -> Size:
    unit = str(known["unit"])
    if unit not in UNITS:
        raise ValueError(unit)
    return Size(lengths_from(known["spacing"]), unit)
