"""Colours of classes: told apart with any kind of colour vision, and the same for a class wherever it turns up."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#f8f8f8")
"""Okabe and Ito, Color Universal Design (2008); their black, unseen on most images, became white."""

_SHADES = (
    *("#8a5f00", "#1f6f9c", "#00543b", "#8f8900", "#003e60", "#7a3500", "#7d3b5e", "#8c8c8c"),
    *("#ffcf70", "#a9daf5", "#6fd3b3", "#fbf7a8", "#6fb3dc", "#f2a26b", "#e9bcd5", "#c6c6c6"),
)
"""Darker and lighter ones of the palette, for images with more than eight classes."""


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each class: the one its name stands for, or the next one that no class before it has taken."""
    taken: dict[str, str] = {}
    for name in names:
        first = zlib.crc32(name.lower().encode()) % len(PALETTE)
        order = [PALETTE[(first + k) % len(PALETTE)] for k in range(len(PALETTE))]
        taken[name] = next((colour for colour in (*order, *_SHADES) if colour not in taken.values()), order[0])
    return taken


def class_looks(names: Sequence[str]) -> dict[str, Any]:
    """Names and colours of the labels 1, 2, ... as a labels layer takes them; nothing for labels without classes."""
    if not names:
        return {}
    colours = class_colours(names)
    return {
        "features": {"index": list(range(len(names) + 1)), "class": ["background", *names]},
        "colormap": {None: "transparent", 0: "transparent"} | {k + 1: colours[name] for k, name in enumerate(names)},
    }
