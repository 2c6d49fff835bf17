"""Lengths and times as files spell them, and the spacing of a grid made from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from napari_seg.data.volume import UNITS

Length = tuple[float, str]
"""A number and a unit of :data:`~napari_seg.data.volume.UNITS`."""

_SPELLINGS = {
    "pixel": ("pixel", 1.0),
    "pixels": ("pixel", 1.0),
    "": ("pixel", 1.0),
    "reference frame": ("pixel", 1.0),
    "pm": ("nm", 1e-3),
    "angstrom": ("nm", 0.1),
    "å": ("nm", 0.1),
    "nm": ("nm", 1.0),
    "nanometer": ("nm", 1.0),
    "nanometre": ("nm", 1.0),
    "um": ("um", 1.0),
    "µm": ("um", 1.0),
    "μm": ("um", 1.0),
    "\\u00b5m": ("um", 1.0),
    "micron": ("um", 1.0),
    "microns": ("um", 1.0),
    "micrometer": ("um", 1.0),
    "micrometre": ("um", 1.0),
    "mm": ("mm", 1.0),
    "millimeter": ("mm", 1.0),
    "millimetre": ("mm", 1.0),
    "cm": ("mm", 10.0),
    "centimeter": ("mm", 10.0),
    "centimetre": ("mm", 10.0),
    "inch": ("mm", 25.4),
    "in": ("mm", 25.4),
    "m": ("m", 1.0),
    "meter": ("m", 1.0),
    "metre": ("m", 1.0),
}

_SECONDS = {
    "": 1.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "ns": 1e-9,
    "nanosecond": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "microsecond": 1e-6,
    "ms": 1e-3,
    "msec": 1e-3,
    "millisecond": 1e-3,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86400.0,
    "day": 86400.0,
}


def length(value: object, unit: object) -> Length | None:
    """A length as a file gives it, in a unit of ours; ``None`` where it is missing, not positive or not understood."""
    spelling, number = _SPELLINGS.get(_spelled(unit)), _positive(value)
    return None if spelling is None or number is None else (number * spelling[1], spelling[0])


def seconds(value: object, unit: object) -> float | None:
    """A time as a file gives it, without a unit in seconds; ``None`` as for a length."""
    factor, number = _SECONDS.get(_spelled(unit)), _positive(value)
    return None if factor is None or number is None else number * factor


def _spelled(unit: object) -> str:
    return str(unit if unit is not None else "").strip().lower()


def _positive(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # anything a file may hold
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def shared_unit(units: Iterable[str]) -> str:
    """The unit in which to compare spacings: the first that is a length, else pixels."""
    return next((unit for unit in units if unit != "pixel"), "pixel")


def in_unit(spacing: tuple[float, ...] | None, unit: str, wanted: str) -> tuple[float, ...] | None:
    """A spacing in another unit; ``None`` where it is not known, or one of the two is a length and the other not."""
    if spacing is None or unit == wanted:
        return spacing
    return None if "pixel" in (unit, wanted) else tuple(value * UNITS[unit] / UNITS[wanted] for value in spacing)


def spacing_from(lengths: Mapping[str, Length], spatial: str) -> tuple[tuple[float, ...] | None, str, tuple[str, ...]]:
    """Spacing along the axes ``spatial``, its unit, and notes; ``lengths`` is what the file says of single axes.

    The spacing is ``None`` where an axis is missing or some axes are in pixels and some in a length.
    """
    known = [lengths[axis] for axis in spatial if axis in lengths]
    if not known or (all(unit == "pixel" for _, unit in known) and all(value == 1 for value, _ in known)):
        return None, "pixel", ()
    units = {unit for _, unit in known}
    if len(known) < len(spatial) or ("pixel" in units and len(units) > 1):
        missing = "".join(axis for axis in spatial if axis not in lengths or lengths[axis][1] == "pixel")
        said = ", ".join(
            f"{axis.lower()} {lengths[axis][0]:g} {lengths[axis][1]}" for axis in spatial if axis in lengths
        )
        return None, "pixel", (f"The file gives a voxel size ({said}) but none along {missing}, so it was not used.",)
    unit = known[-1][1]
    return tuple(value * UNITS[own] / UNITS[unit] if own != unit else value for value, own in known), unit, ()
