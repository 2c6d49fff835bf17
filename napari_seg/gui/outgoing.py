"""The masks of a folder written as files, one after the other in a thread, each with the record of where it comes from.

A file goes out in the grid of its image and is read again, like every mask; what cannot be written says why in its row,
and the next one comes. The image must be the one that was worked on, and never is a file of an image replaced.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_seg.data.formats import identities, mask_name, spared, stem, write
from napari_seg.errors import SegError
from napari_seg.gui.engine import Engine
from napari_seg.gui.project import Project
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.state import Running
from napari_seg.session.found_again import image_of
from napari_seg.session.openings import went_out
from napari_seg.session.provenance import EXPORT, made, provenance, record_path, write_record
from napari_seg.session.records import Plane
from napari_seg.session.session import Session
from napari_seg.session.store import Store
from napari_seg.tasks.base import Labels
from napari_seg.wording import count_of

MASKS = "masks"
"""The folder that is proposed."""

_CURE = f"choose another folder, such as {MASKS}."


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask as it stands in the session: labels with time in front, its record, and what the log says of it once it
    is a file."""

    plane: Plane
    labels: Labels = field(repr=False)
    record: dict[str, Any]
    entry: Mapping[str, str]


@dataclass(eq=False)
class _Run:
    folder: Path
    left: list[Path]
    total: int
    names: dict[Path, dict[str, str]]
    images: frozenset[tuple[int, int]]
    troubles: list[str]
    written: int = 0


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

    @property
    def due(self) -> bool:
        """Whether masks are still to be written, and nobody has cancelled that."""
        return self._run is not None and bool(self._run.left)

    def replaced(self, paths: Sequence[Path], folder: Path) -> int:
        """How many files would make way for the masks of these images; none where the folder is refused."""
        names = self._names(paths)
        return 0 if self._refusal(names, folder) else sum(place.exists() for place in _places(names, folder))

    def start(self, paths: list[Path], folder: Path, left_out: Sequence[str] = ()) -> None:
        """Write the masks of these images into a folder; files of the same names there are replaced, but no image.
        ``left_out``: of those with a mask that cannot be written, as they are not where they were, why that is."""
        names = self._names(paths)
        if words := self._refusal(names, folder):
            self.words = words
            self.changed.emit()
        elif self._run is None and (paths or left_out):
            images, total = identities(self._project.files), len(paths) + len(left_out)
            run = self._run = _Run(folder, list(paths), total, names, images, list(left_out))
            self.words = ""
            self.changed.emit()
            self._recorder.sweep(lambda: self._next(run))

    def cancel(self) -> None:
        """Stop after the mask that is being written."""
        if self._run is not None:
            self._run.left.clear()

    def _names(self, paths: Sequence[Path]) -> dict[Path, dict[str, str]]:
        return mask_names({path: self._project.cases[path].masks for path in paths}, self._project.titles)

    def _refusal(self, names: Mapping[Path, Mapping[str, str]], folder: Path) -> str:
        """Why masks of these names do not go into a folder; or empty."""
        listed, images = self._project.listed, identities(self._project.files)
        if listed is not None and folder.resolve() == listed.resolve():
            return f"Your images lie here, and masks would be listed among them; {_CURE}"
        if any(spared(place, images) for place in _places(names, folder)):
            return f"Images of the project lie here, and masks get the same names; {_CURE}"
        return ""

    def _next(self, run: _Run) -> None:
        session = self._project.session
        if not run.left or session is None:
            self._run = None
            self.words = f"Saved {count_of(run.written, 'mask')} in {run.folder.name}"
            if run.troubles:
                which = "The first: " if len(run.troubles) > 1 else ""
                self.words += f"; {len(run.troubles)} could not be written. {which}{run.troubles[0]}"
        else:
            path = run.left[0]
            image, who = self._project.cases[path].image.id, self._recorder.who
            self._engine.later(
                lambda: _written(session, image, path, run, who), lambda error: self._done(run, path, error)
            )
        self.changed.emit()

    def _done(self, run: _Run, path: Path, error: str) -> None:
        run.left[:1] = []
        if error:
            run.troubles.append(error)
            self._project.fail(path, error)
        else:
            run.written += len(run.names[path])
            self._project.forget_failure(path)
        self._next(run)


def _written(session: Session, image: int, path: Path, run: _Run, who: str) -> str:
    """Write all masks of a case, in a thread; what went wrong, in a sentence."""
    names = run.names[path]
    try:
        row, voxels = session.writer.call(lambda store: (store.image(image), store.voxels(image))).result()
        volume = image_of(path, row, voxels)
        masks = session.writer.call(lambda store: masks_of(store, image)).result()
        for mask in [mask for mask in masks if mask.plane.name in names]:
            place = run.folder / names[mask.plane.name]
            if words := spared(place, run.images):
                raise SegError(words)
            labels = mask.labels if "T" in volume.axes else mask.labels[0]
            write(replace(volume.mask(labels), made=made(mask.record)), place)
            write_record(mask.record, record_path(place, stem(place)))
            _tell(session, image, who, place.name, mask.entry)
    except SegError as error:
        return str(error)
    return ""


def _tell(session: Session, image: int, who: str, file: str, entry: Mapping[str, str]) -> None:
    """Write into the log that a mask went out, now that it is a file."""
    if not session.read_only:
        at = time.time()
        session.writer.send(lambda store: store.note(image, at, who, EXPORT, file=file, **entry))


def masks_of(store: Store, image: int) -> list[Mask]:
    """All masks of an image with their records, as they are at one moment."""
    times = range(store.image(image).times)
    return [
        Mask(
            plane,
            np.stack([store.labels(image, plane.name, t) for t in times]),
            provenance(store, image, plane.name),
            went_out(store, image, plane.name),
        )
        for plane in store.planes(image)
        if plane.is_mask
    ]


def mask_names(masks: Mapping[Path, Mapping[str, str]], titles: Mapping[Path, str]) -> dict[Path, dict[str, str]]:
    """The file of each mask of each image, by its plane; no two are alike. ``masks``: what each plane is called.

    They are called as the image, or as that is called in the list where files share a name, and where an image has
    several masks as the mask too.
    """
    plain = Counter(mask_name(image).casefold() for image in masks)
    names: dict[Path, dict[str, str]] = {}
    taken = set[str]()
    for image, planes in masks.items():
        name = mask_name(image)
        base = stem(Path(name))
        suffix = name.removeprefix(base)
        title = titles.get(image, base)
        if plain[name.casefold()] > 1 or title != base:
            base = _safe(title, "-. ")
        names[image] = {}
        for plane, called in planes.items():
            own = called.rpartition(" · ")[2] if called == plane else called.removeprefix(f"{title} · ")
            wanted = base if len(planes) == 1 else f"{base}_{_safe(own)}"
            number, free = 1, wanted
            while free.casefold() in taken:
                number += 1
                free = f"{wanted} {number}"
            taken.add(free.casefold())
            names[image][plane] = free + suffix
    return names


def _places(names: Mapping[Path, Mapping[str, str]], folder: Path) -> Iterator[Path]:
    return (folder / name for of_image in names.values() for name in of_image.values())


def _safe(name: str, besides: str = "") -> str:
    return "".join(letter if letter.isalnum() or letter in besides else "_" for letter in name)
