"""Ruler and angle: what was measured between points, in physical units and in words.

They change nothing, so they are no tools that make edits; window, palette and list of shortcuts read them from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_seg.editing.reach import Point
from napari_seg.editing.runs import Floats
from napari_seg.errors import SegError


@dataclass(frozen=True)
class Measurement:
    """``value`` in ``unit``, and the words to show."""

    value: float
    unit: str
    words: str


@dataclass(frozen=True)
class Measure:
    """One way to measure. ``points``: how many it takes at least; ``kind``: how a person gives them."""

    name: str
    title: str
    tip: str
    key: str
    kind: Literal["drag", "seeds"]
    points: int
    run: Callable[[Sequence[Point], tuple[float, ...], str, Floats | None], Measurement]


def length(points: Sequence[Point], spacing: tuple[float, ...], unit: str, along: Floats | None = None) -> Measurement:
    """The length of the line through two or more points in voxel coordinates; ``spacing`` is in ``unit``.

    ``along``: the directions of the axes, where they lean (see :class:`~napari_seg.editing.annotation.Annotation`).
    """
    places = _physical(points, spacing, along, 2)
    value = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    return Measurement(value, unit, f"{digits(value)} {shown_unit(unit)}")


def angle(points: Sequence[Point], spacing: tuple[float, ...], unit: str, along: Floats | None = None) -> Measurement:
    """The angle at the middle one of three points in voxel coordinates, 0 to 180 degrees, in physical space.

    Raises ``SegError`` where two neighbours are one place, so that there is no angle.
    """
    end, corner, other = _physical(points, spacing, along, 3)[:3]
    a, b = end - corner, other - corner
    if not a.any() or not b.any():
        raise SegError("Two of the three places are the same; click three different ones.")
    sine = math.sqrt(max(0.0, float(a @ a) * float(b @ b) - float(a @ b) ** 2))  # exact near 0 and 180, as acos is not
    value = math.degrees(math.atan2(sine, float(a @ b)))
    return Measurement(value, "degree", f"{value:.1f}°")


def digits(value: float) -> str:
    """A length in three digits that count, but never fewer than the whole numbers it has: 0.0512, 12.4, 1234."""
    if not value:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(float(f'{value:.2e}')))))}f}"


def shown_unit(unit: str) -> str:
    """A unit as people write it."""
    return {"um": "µm", "pixel": "pixels"}.get(unit, unit)


def _physical(points: Sequence[Point], spacing: tuple[float, ...], along: Floats | None, least: int) -> Floats:
    if len(points) < least:
        number = {2: "two", 3: "three"}[least]
        raise SegError(f"This takes {number} places, and there are {len(points)}; click the others too.")
    places: Floats = np.array(points, float) * spacing
    return places if along is None else places @ along.T


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "ruler", "Ruler", "Drag from one place to another: how far they lie apart.", "Shift+I", "drag", 2, length
        ),
        Measure("angle", "Angle", "Click three places: the angle at the second one.", "Shift+U", "seeds", 3, angle),
    )
}
"""Every measure by its name."""
