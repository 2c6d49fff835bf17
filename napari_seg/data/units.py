"""Lengths and times as files spell them, and the spacing of a grid made from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from napari_seg.data.volume import UNITS

Length = tuple[float, str]
"""A number and a unit of :data:`~napari_seg.data.volume.UNITS`."""

_PREFIXES = {
    "Y": ("yotta", 24), "Z": ("zetta", 21), "E": ("exa", 18), "P": ("peta", 15), "T": ("tera", 12),
    "G": ("giga", 9), "M": ("mega", 6), "k": ("kilo", 3), "h": ("hecto", 2), "da": ("deca", 1), "": ("", 0),
    "d": ("deci", -1), "c": ("centi", -2), "m": ("milli", -3), "u": ("micro", -6), "n": ("nano", -9),
    "p": ("pico", -12), "f": ("femto", -15), "a": ("atto", -18), "z": ("zepto", -21), "y": ("yocto", -24),
}  # fmt: skip
"""Those of the SI: how they are written and read, and the power of ten."""

_OTHERS = {
    ("pixel", "pixels", "", "reference frame"): ("pixel", 1.0),
    ("angstrom", "å"): ("nm", 0.1),
    ("µm", "μm", "\\u00b5m", "micron", "microns"): ("um", 1.0),
    ("thou",): ("mm", 0.0254),
    ("pt",): ("mm", 25.4 / 72),
    ("li",): ("mm", 25.4 / 12),
    ("in", "inch", "inches"): ("mm", 25.4),
    ("ft", "foot", "feet"): ("mm", 304.8),
    ("yd", "yard", "yards"): ("mm", 914.4),
    ("mi", "mile", "miles"): ("m", 1609.344),
    ("ua",): ("m", 149597870700.0),
    ("ly",): ("m", 9460730472580800.0),
    ("pc", "parsec"): ("m", 3.0856775814913673e16),
}
"""What OME knows besides, and what files of other programs say."""


def _metres(power: int) -> tuple[str, float]:
    """A power of ten of metres, in the next smaller unit of ours."""
    unit, own = next(((unit, own) for unit, own in (("m", 0), ("mm", -3), ("um", -6)) if power >= own), ("nm", -9))
    return unit, 10.0 ** (power - own)


_SPELLINGS = {
    **{
        spelling: _metres(power)
        for sign, (name, power) in _PREFIXES.items()
        for spelling in (f"{sign}m", f"{name}meter", f"{name}metre", f"{name}meters", f"{name}metres")
    },
    **{spelling: meant for spellings, meant in _OTHERS.items() for spelling in spellings},
}
"""Lengths by how files spell them: a unit of ours, and how many of it. Large letters count where there are two: ``Mm``
is not ``mm``, but ``MM`` is."""

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
    said = str(unit if unit is not None else "").strip()
    spelling, number = _SPELLINGS.get(said, _SPELLINGS.get(said.lower())), _positive(value)
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
