"""What a person answered of files that do not say what their axes are: proposed when one is opened again, never taken
unasked, as another reading would put masks elsewhere.

A file is known by what it holds, wherever it lies; one that has changed is another.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from napari_seg.errors import Choice, ChoiceNeeded
from napari_seg.files import written
from napari_seg.session.session import home

_BEFORE = "{title} (as you answered before)"

_LOOKED = 2**20
"""Bytes at the beginning, in the middle and at the end of a file by which it is known, besides its size."""


def proposing(path: Path, question: ChoiceNeeded) -> ChoiceNeeded:
    """The question with the answer that a person gave before as the first of the choices."""
    before = ""
    if question.parameter == "axes":
        with suppress(OSError, ValueError):  # it is only not known
            before = _kept(path).read_text(encoding="utf-8")
    first = [Choice(one.value, _BEFORE.format(title=one.title)) for one in question.choices if one.value == before]
    others = [choice for choice in question.choices if choice.value != before]
    return ChoiceNeeded(str(question), question.parameter, (*first, *others))


def remember(path: Path, axes: str) -> None:
    """Keep what a person answered of the axes of a file."""
    with suppress(OSError):  # it is asked again, and nothing is proposed
        kept = _kept(path)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with written(kept) as aside:
            aside.write_text(axes, encoding="utf-8")


def _kept(path: Path) -> Path:
    """Raises ``OSError`` for a folder."""
    with path.open("rb") as file:
        size = path.stat().st_size
        found = hashlib.blake2b(str(size).encode(), digest_size=16)
        for start in sorted({0, max(0, size // 2), max(0, size - _LOOKED)}):
            file.seek(start)
            found.update(file.read(_LOOKED))
    return home() / "answers" / found.hexdigest()
