"""Where the images of a session may lie that are not where they were; what a file shows tells whether it is one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from napari_seg.data.formats import images_in
from napari_seg.session.projects import FOLDER, About, told_of
from napari_seg.session.reading import reading
from napari_seg.session.records import ImageRow

AT = "at"
"""Under this key a session keeps where it lay when it was opened last, so that what was moved with it is found."""

BEFORE = "at before"
"""Under this key where it lay before it was moved."""


def near(rows: Sequence[ImageRow], folder: Path, before: str) -> Iterator[Path]:
    """Where the images would lie that were moved with their session to ``folder``, or stayed when it was moved from
    ``before``; then their names in the folders around."""
    now, former = folder.resolve(), Path(before or ".")
    for row in rows:
        path = Path(row.path)
        for place in (former / path, now / os.path.relpath(path, former) if path.is_absolute() else now / path):
            if exists(place):
                yield resolved(place)
    for row in rows:
        for around in (now, now.parent, now.parent.parent):
            if row.path and exists(place := around / Path(row.path).name):
                yield place


def within(folders: Iterable[Path], names: set[str]) -> Iterator[Path]:
    """The images of folders and of all folders in them, first those of these names."""
    images = [path for folder in folders for path in _nested(folder)]
    yield from sorted(images, key=lambda path: path.name not in names)


def around(folder: Path, row: ImageRow) -> Iterator[Path]:
    """Where an image of the session in ``folder`` may lie: near it, in the folder where it lay, and in all of the one
    whose images are listed."""
    with reading(folder) as store:
        last, before, told = store.meta(AT), store.meta(BEFORE), told_of(store)
    yield from near([row], folder, before if last in ("", str(folder.resolve())) else last)
    lay = (folder / row.path).parent
    if lay.is_dir():
        yield from images_in(lay)
    listed = listed_of(folder, told)
    if listed is not None:
        yield from within([listed], {Path(row.path).name})


def listed_of(folder: Path, told: About) -> Path | None:
    """The folder whose images a session lists: the one that it lies in or names, if there is one."""
    if folder.name == FOLDER:
        return folder.resolve().parent
    named = folder / told.folder if told.folder else None
    return resolved(named) if named is not None and named.is_dir() else None


def resolved(path: Path) -> Path:
    """The path without links, where it can be followed: what a damaged session names may be no path at all."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def exists(path: Path) -> bool:
    """Whether a path is there; not where it is none."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _nested(folder: Path) -> Iterator[Path]:
    """The images of a folder and of all folders in it."""
    for parent, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != FOLDER]
        stores = [name for name in folders if name.lower().endswith(".zarr")]
        folders[:] = sorted(set(folders) - set(stores))
        yield from images_in(Path(parent))
