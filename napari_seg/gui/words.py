"""Numbers and facts in words that a person reads: sizes with units, times, amounts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from napari_seg.data.geometry import squeezed, tilt
from napari_seg.data.volume import UNITS, Volume
from napari_seg.inference.ranking import learned_modality
from napari_seg.models.spec import ModelSpec
from napari_seg.wording import count_of

UNIT_SIGNS = {"pixel": "px", "nm": "nm", "um": "µm", "mm": "mm", "m": "m"}

STATE_WORDS = {"unseen": "unseen", "accepted": "✓ accepted", "rejected": "✗ rejected", "flagged": "⚑ flagged"}
"""How it is shown what a person said of something: never by a colour alone."""

_SIDES = {"L": "left", "R": "right", "A": "front", "P": "back", "S": "head", "I": "feet"}

_AXES = {"C": "channel", "T": "time point"}


def number(value: float) -> str:
    """Three significant digits, without an exponent for what people have to do with."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}" if digits < 8 else f"{value:.2e}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def spacing_words(spacing: Sequence[float] | None, unit: str) -> str:
    """``0.8 x 0.8 x 1.5 mm`` (x, y, z as people write it), or that it is not known."""
    if spacing is None:
        return "pixel size not known"
    return " x ".join(number(s) for s in reversed(tuple(spacing))) + f" {UNIT_SIGNS[unit]}"


def describe_volume(volume: Volume) -> str:
    """``CT, 512 x 512 x 214, 0.8 x 0.8 x 1.5 mm``, in the order in which people say it: x, y, z."""
    parts = [volume.source.modality] if volume.source and volume.source.modality else []
    parts.append(" x ".join(str(n) for n in reversed(volume.grid)))
    parts += [count_of(volume.size(axis), words) for axis, words in _AXES.items() if axis in volume.axes]
    if "S" in volume.axes:
        parts.append("RGB")
    parts.append(spacing_words(volume.spacing, volume.unit))
    return ", ".join(parts)


def facts_of_volume(volume: Volume) -> list[tuple[str, str]]:
    """All that is known about an image, for its sheet. A patient's name is not among it."""
    sizes = ", ".join(f"{axis} {volume.size(axis)}" for axis in volume.axes)
    facts = [("Axes", sizes), ("Voxel", spacing_words(volume.spacing, volume.unit)), ("Values", str(volume.dtype))]
    if volume.channels:
        facts.append(("Channels", ", ".join(volume.channels)))
    if volume.interval is not None:
        facts.append(("Time points", f"{number(volume.interval)} s apart"))
    if volume.affine is not None:
        towards = ", ".join(
            f"{axis} towards the {_SIDES[side]}" for axis, side in zip(volume.spatial, volume.orientation, strict=True)
        )
        facts.append(("Orientation", f"{volume.orientation}: {towards}"))
        if (degrees := tilt(volume.affine)) >= 0.5:
            facts.append(("Tilt", f"{number(degrees)} degrees; shown straight, written as it is"))
    if volume.source:
        facts.append(("File", str(volume.source.path)))
        if volume.source.modality:
            facts.append(("Modality", volume.source.modality))
    return [*facts, *(("Note", note) for note in volume.notes)]


def describe_model(spec: ModelSpec) -> str:
    """What a model expects: ``expects 1 channel, 2D, MR, 1 mm; finds nucleus``. The kind of image is said where it is
    known: the file of an image may say nothing of it, and then a person has to see that another kind is meant."""
    wanted = spec.input
    parts = [count_of(spec.network.in_channels, "channel"), f"{spec.network.ndim}D"]
    if learned := learned_modality(spec):
        parts.append(learned)
    if wanted.spacing is not None:
        parts.append(spacing_words(wanted.spacing, wanted.unit))
    elif wanted.diameter:
        parts.append(f"objects about {number(wanted.diameter)} px wide")
    return "expects " + ", ".join(parts)


def finds(spec: ModelSpec) -> str:
    """``finds single nuclei`` or ``finds anterior, posterior``."""
    names = ", ".join(spec.task.names)
    return f"finds {names}" if spec.task.kind == "semantic" else f"finds each {names}"


def facts_of_model(spec: ModelSpec) -> list[tuple[str, str]]:
    """The model card."""
    card = spec.card
    facts = [
        ("Expects", describe_model(spec).removeprefix("expects ")),
        *([("Limits", card.limits)] if card.limits else []),
        ("Finds", finds(spec).removeprefix("finds ")),
        ("Network", spec.built_as),
    ]
    facts += [(f"Score, {name}", number(value)) for name, value in card.scores.items()]
    named = (("Data", card.data), ("Licence", card.licence), ("Credit", card.attribution))
    facts += [(name, text) for name, text in named if text]
    return facts + [(event.when[:10], event.what) for event in spec.history]


def shortened(name: str, most: int = 32) -> str:
    """A name with its middle left out where it is long: names of files have no place to break."""
    kept = most // 2
    return name if len(name) <= most else f"{name[:kept]}…{name[-kept + 1 :]}"


def breakable(sentence: str) -> str:
    """A sentence in which no word is so long that it would be cut off at the edge of the panel; a path is broken at its
    slashes."""
    return re.sub(r"[^\s/]{33,}", lambda word: shortened(word[0]), sentence)


def duration(seconds: float) -> str:
    """``8 s``, ``2 min``, ``1 h 10 min``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


_ROUND = (5, 10, 20, 30, 60, 120, 180, 300, 600, 1200, 1800, 3600, 7200, 14400)
"""Seconds that a guess is rounded up to: it is never better than by half."""


def roughly(seconds: float, *, measured: bool) -> str:
    """A forecast: ``About 20 s`` for a guess, ``23 s at the pace of the last run`` where there was one."""
    if measured:
        return f"{duration(seconds)} at the pace of the last run"
    if seconds <= _ROUND[0]:
        return "A few seconds"
    return f"About {duration(next((step for step in _ROUND if seconds <= step), seconds))}"


def memory(count: float) -> str:
    """``850 MB``, ``1.2 GB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def amount(voxels: float, volume: Volume) -> str:
    """How much ``voxels`` of ``volume`` are: ml in the body, µm² or µm³ under the microscope, else pixels."""
    return measured(voxels * squeezed(volume.along), volume.ndim, volume.spacing, volume.unit)


def measured(voxels: float, ndim: int, spacing: tuple[float, ...] | None, unit: str) -> str:
    """:func:`amount` of an image of which only the grid is known."""
    if not spacing or unit == "pixel":
        return f"{round(voxels)} px" if ndim == 2 else count_of(round(voxels), "voxel")
    each = math.prod(s * UNITS[unit] for s in spacing)  # in mm2 or mm3
    power = ndim
    if power == 3 and unit in ("mm", "m"):
        return f"{number(voxels * each / 1e3)} ml"
    unit = "um" if unit in ("um", "nm") else "mm"
    return f"{number(voxels * each / UNITS[unit] ** power)} {UNIT_SIGNS[unit]}{'²' if power == 2 else '³'}"
