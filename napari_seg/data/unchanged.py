"""Whether a file that is read in parts is still the one that was opened: by where it lies on the disk, its size and
when it was last written, which is asked at every part and takes some microseconds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

from napari_seg.errors import SegError

Marks = Mapping[str | int, tuple[int, ...]]
"""Files, by their paths or by the numbers of those that are held open, and what each was known by when it was opened.
One that is held open may be moved away, and another one be put in its place: it is read on."""

_FILES = 8
"""How many files of a folder stand for all of them: another image in its place has written each of them anew."""


def marks(files: Iterable[str | int]) -> Marks:
    return {file: _mark(file) for file in files}


def marks_of_array(folder: Path) -> Marks:
    """Those of an array of Zarr: what describes it, and some of its chunks. What lies beside it may change."""
    found = (str(Path(path, name)) for path, _, names in os.walk(folder) for name in sorted(names) if _counts(name))
    return marks(islice(found, _FILES))


def refuse_changed(known: Marks, name: str) -> None:
    """Raises ``SegError`` where a file is another one than that of the image ``name``, or gone."""
    if any(_mark(file) != tuple(mark) for file, mark in known.items()):
        raise SegError(f"{name} was changed in its file since it was opened; open it again.")


def _mark(file: str | int) -> tuple[int, ...]:
    try:
        about = os.fstat(file) if isinstance(file, int) else Path(file).stat()
    except OSError:
        return ()
    return about.st_ino, about.st_size, about.st_mtime_ns


def _counts(name: str) -> bool:
    return name == ".zarray" or not name.startswith(".")  # what systems hide there is no part of the image
