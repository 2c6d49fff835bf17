"""The masks of a folder written as files, one after the other in a thread, each with the record of where it comes from.

A file goes out in the grid of its image and is read again, like every mask; what cannot be written says why in its row,
and the next one comes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_seg.data.formats import mask_name, read_answered, stem, write
from napari_seg.errors import SegError
from napari_seg.gui.engine import Engine
from napari_seg.gui.project import Project
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.state import Running
from napari_seg.session.provenance import EXPORT, made, provenance, record_path, write_record
from napari_seg.session.records import Plane
from napari_seg.session.session import Session
from napari_seg.session.store import Store
from napari_seg.tasks.base import Labels


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask as it stands in the session: labels with time in front, and its record."""

    plane: Plane
    labels: Labels = field(repr=False)
    record: dict[str, Any]


@dataclass(eq=False)
class _Run:
    folder: Path
    axes: str | None
    left: list[Path]
    total: int
    names: dict[Path, str]
    written: int = 0
    failed: int = 0


class Outgoing:
    """One for each window. ``words`` say what was written."""

    changed = Signal()

    def __init__(self, engine: Engine, recorder: Recorder, project: Project) -> None:
        self._engine, self._recorder, self._project = engine, recorder, project
        self._run: _Run | None = None
        self.words = ""

    @property
    def running(self) -> Running | None:
        run = self._run
        if run is None:
            return None
        done = run.total - len(run.left)
        return Running(done / run.total, f"Saving mask {min(done + 1, run.total)} of {run.total}")

    def start(self, paths: list[Path], folder: Path, axes: str | None) -> None:
        """Write the masks of these images into a folder; files of the same names there are replaced."""
        listed = self._project.listed
        if listed is not None and folder.resolve() == listed.resolve():
            self.words = "Here the masks would be taken for images; choose another folder, such as a new one in this."
            self.changed.emit()
        elif self._run is None and paths:
            names = mask_names(paths, self._project.titles)
            run = self._run = _Run(folder, axes, list(paths), len(paths), names)
            self.words = ""
            self.changed.emit()
            self._recorder.sweep(lambda: self._next(run))

    def cancel(self) -> None:
        """Stop after the mask that is being written."""
        if self._run is not None:
            self._run.left.clear()

    def _next(self, run: _Run) -> None:
        session = self._project.session
        if not run.left or session is None:
            self._run = None
            masks = "1 mask" if run.written == 1 else f"{run.written} masks"
            rest = f"; {run.failed} could not be written, and their rows say why" if run.failed else ""
            self.words = f"Saved {masks} in {run.folder.name}{rest}"
        else:
            path = run.left[0]
            image, who = self._project.cases[path].image.id, self._recorder.who
            self._engine.later(
                lambda: _written(session, image, path, run, who), lambda error: self._done(run, path, error)
            )
        self.changed.emit()

    def _done(self, run: _Run, path: Path, error: str) -> None:
        run.left[:1] = []
        run.written, run.failed = run.written + (not error), run.failed + bool(error)
        if error:
            self._project.fail(path, error)
        self._next(run)


def _written(session: Session, image: int, path: Path, run: _Run, who: str) -> str:
    """Write all masks of a case, in a thread; what went wrong, in a sentence."""
    try:
        target = run.folder / run.names[path]
        masks = session.writer.call(lambda store: masks_of(store, image, target.name, who)).result()
        volume = read_answered(path, run.axes)
        for mask in masks:
            place = target if len(masks) == 1 else _named(target, mask.plane.name)
            labels = mask.labels if "T" in volume.axes else mask.labels[0]
            write(replace(volume.mask(labels), made=made(mask.record)), place)
            write_record(mask.record, record_path(place, stem(place)))
    except SegError as error:
        return str(error)
    return ""


def masks_of(store: Store, image: int, file: str, who: str) -> list[Mask]:
    """All masks of an image with their records, as they are at one moment, which is written into the log."""
    times = range(store.image(image).times)
    masks = [
        Mask(
            plane,
            np.stack([store.labels(image, plane.name, t) for t in times]),
            provenance(store, image, plane.name),
        )
        for plane in store.planes(image)
        if plane.is_mask
    ]
    store.note(image, time.time(), who, EXPORT, file=file)
    return masks


def _named(target: Path, plane: str) -> Path:
    """The file of one of several masks of an image."""
    end = plane.rpartition(" · ")[2]
    safe = "".join(letter if letter.isalnum() else "_" for letter in end)
    name = stem(target)
    return target.with_name(f"{name}_{safe}{target.name.removeprefix(name)}")


def mask_names(images: Iterable[Path], titles: Mapping[Path, str]) -> dict[Path, str]:
    """The file of each mask: called as its image, or as that is called in the list where files share a name."""
    images = list(images)
    plain = Counter(mask_name(image).casefold() for image in images)
    names: dict[Path, str] = {}
    taken = set[str]()
    for image in images:
        name = mask_name(image)
        suffix = name.removeprefix(stem(Path(name)))
        base = stem(Path(name))
        if plain[name.casefold()] > 1 or titles.get(image, base) != base:
            base = "".join(letter if letter.isalnum() or letter in "-. " else "_" for letter in titles.get(image, base))
        number, free = 1, base
        while free.casefold() in taken:
            number += 1
            free = f"{base} {number}"
        taken.add(free.casefold())
        names[image] = free + suffix
    return names


def replaced(images: Iterable[Path], titles: Mapping[Path, str], folder: Path) -> int:
    """How many files of masks are in a folder already."""
    return sum((folder / name).exists() for name in mask_names(images, titles).values())
