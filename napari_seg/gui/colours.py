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
from napari_seg.files import cause_of, written
from napari_seg.session.session import home

PALETTE = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#f8f8f8"),
    *("#8c14fb", "#97c26e", "#934226", "#9179fe", "#aff8b7", "#894871", "#5e41c3", "#6afe74"),
)
"""First those of Okabe and Ito, Color Universal Design (2008); their black, unseen on most images, became white. The
others were sought so that any two of all are as easily told apart as any two of those, by people without red, green or
blue cones too (as Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 2009, say what they see)."""

SHADES = (
    *("#8a5f00", "#1f6f9c", "#00543b", "#8f8900", "#003e60", "#7a3500", "#7d3b5e", "#8c8c8c"),
    *("#ffcf70", "#a9daf5", "#6fd3b3", "#fbf7a8", "#6fb3dc", "#f2a26b", "#e9bcd5", "#c6c6c6"),
)
"""Darker and lighter ones of the first, for images with more classes than the palette has colours."""

_HUES = ("orange", "sky blue", "green", "yellow", "blue", "vermilion", "purple", "grey")
_OTHERS = ("violet", "leaf green", "brown", "lavender", "mint", "plum", "indigo", "bright green")

NAMES: Mapping[str, str] = {
    **dict(zip(PALETTE, (*_HUES[:-1], "white", *_OTHERS), strict=True)),
    **dict(zip(SHADES, (f"{shade} {hue}" for shade in ("dark", "light") for hue in _HUES), strict=True)),
}
"""What each colour is called."""

_OWN = tuple(colour for colour in PALETTE if colour != "#f8f8f8")
"""Those that a name stands for: white is no colour on a grey image, where nobody would see the border."""

_START = 30726
"""Where the checksum of a name starts: there common organs and cells hardly ever share a colour, and those that lie
beside each other, as nucleus and cytoplasm do, get colours that lie far apart."""

_FILE = "class_colours.json"


def class_colours(names: Sequence[str], chosen: Mapping[str, str] | None = None) -> dict[str, str]:
    """A colour for each class: the one that was ``chosen`` for its name, else that of its name, whatever the other
    classes are. Of two with one colour the one whose checksum is smaller has it, and the other one gets the next that
    is left."""
    sums = {name: zlib.crc32(name.lower().encode(), _START) for name in names}
    order = sorted(sums, key=lambda name: (sums[name], name))
    colours = {name: colour for name, colour in (chosen or {}).items() if name in sums}
    others = [name for name in order if name not in colours]
    own = {_OWN[sums[name] % len(_OWN)]: name for name in reversed(others)}
    colours |= {name: colour for colour, name in own.items() if colour not in colours.values()}
    for name in others:
        first = sums[name] % len(_OWN)
        after = (*_OWN[first:], *_OWN[:first], *PALETTE, *SHADES)
        if name not in colours:
            colours[name] = next((colour for colour in after if colour not in colours.values()), after[0])
    return {name: colours[name] for name in names}


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path) as aside:
            aside.write_text(json.dumps(chosen() | {name: colour}, indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        reason = cause_of(error)
        raise SegError(f"The colour could not be kept ({reason}); make room in {path.parent}.") from None


def _path() -> Path:
    return home() / _FILE
