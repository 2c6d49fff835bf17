"""Colours of classes: told apart with any kind of colour vision, and the same for a class wherever it turns up.

A name stands for a colour. A person may choose another one of the same palette; that is kept in the user's data folder
and holds for the name in every image.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_seg.errors import SegError
from napari_seg.session.session import home

PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#f8f8f8")
"""Okabe and Ito, Color Universal Design (2008); their black, unseen on most images, became white."""

SHADES = (
    *("#8a5f00", "#1f6f9c", "#00543b", "#8f8900", "#003e60", "#7a3500", "#7d3b5e", "#8c8c8c"),
    *("#ffcf70", "#a9daf5", "#6fd3b3", "#fbf7a8", "#6fb3dc", "#f2a26b", "#e9bcd5", "#c6c6c6"),
)
"""Darker and lighter ones of the palette, for images with more than eight classes."""

NAMES: Mapping[str, str] = {
    colour: f"{shade}{name}"
    for shade, row in (("", PALETTE), ("dark ", SHADES[:8]), ("light ", SHADES[8:]))
    for colour, name in zip(
        row, ("orange", "sky blue", "green", "yellow", "blue", "vermilion", "purple", "grey"), strict=True
    )
} | {"#f8f8f8": "white"}
"""What each colour is called."""

_FILE = "class_colours.json"


def class_colours(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """A colour for each class: the one that was ``chosen`` for its name, else the one its name stands for, or the next
    one that no class before it has taken."""
    taken = {name: colour for name, colour in (chosen or {}).items() if name in names}
    for name in names:
        if name not in taken:
            first = zlib.crc32(name.lower().encode()) % len(PALETTE)
            order = [PALETTE[(first + k) % len(PALETTE)] for k in range(len(PALETTE))]
            taken[name] = next((colour for colour in (*order, *SHADES) if colour not in taken.values()), order[0])
    return {name: taken[name] for name in names}


def class_looks(names: Sequence[str]) -> dict[str, Any]:
    """Names and colours of the labels 1, 2, ... as a labels layer takes them; nothing for labels without classes."""
    if not names:
        return {}
    colours = class_colours(names, chosen())
    return {
        "features": {"index": list(range(len(names) + 1)), "class": ["background", *names]},
        "colormap": {None: "transparent", 0: "transparent"} | {k + 1: colours[name] for k, name in enumerate(names)},
    }


def chosen() -> dict[str, str]:
    """The colours that a person chose, by the name of the class; what cannot be read is as if nothing was chosen."""
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: colour for name, colour in found.items() if colour in NAMES} if isinstance(found, dict) else {}


def choose(name: str, colour: str) -> None:
    """Keep that a class of this name has this colour, one of :data:`NAMES`, from now on in every image.

    Raises ``SegError`` where it cannot be written.
    """
    path = _path()
    aside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(chosen() | {name: colour}, indent=1, ensure_ascii=False), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SegError(f"The colour could not be kept ({reason}); make room in {path.parent}.") from None


def _path() -> Path:
    return home() / _FILE
