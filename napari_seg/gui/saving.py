"""Writing a mask as a file, that of the last run or the one in hand, in a thread, and what is to be said about it: of
the mask that a person means, whichever was written last.

Beside each mask goes a record of where it comes from (see :mod:`~napari_seg.session.provenance`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from psygnal import Signal

from napari_seg.data.formats import identities, read, spared, stem, write
from napari_seg.data.volume import Volume
from napari_seg.editing.said import class_names
from napari_seg.errors import SegError
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import CLASSES, MOVED, lies_elsewhere, volume_of
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.results import Mask
from napari_seg.gui.runs import Runs
from napari_seg.gui.track import Track
from napari_seg.session.provenance import FAILED, made, made_by_model, record_path, went_out_before, write_record
from napari_seg.session.records import LEARNING
from napari_seg.tasks.base import Labels

UNSAVED = "Not exported to a file yet"


@dataclass
class Known:
    """What is known of the files of a mask. ``words`` say what was saved in this window and when, with ``at`` changes
    by then of ``changes``; ``inside``: nothing of it ever went out, as far as that is known."""

    words: str = ""
    at: int = 0
    changes: int = 0
    inside: bool = False

    @property
    def told(self) -> str:
        if not self.words:
            return UNSAVED if self.inside else ""
        return self.words if self.changes == self.at else f"{self.words}; changed since"


class Saving:
    """``words`` say what was saved and when of the mask that is meant, ``trouble`` why it could not be.

    A mask of which only a part follows the newest thresholds is saved when the rest does too.
    """

    changed = Signal()

    def __init__(self, engine: Engine, runs: Runs, recorder: Recorder, images: Callable[[], Iterable[Path]]) -> None:
        """``images``: the files of those that are open, or in the project; none of them is ever replaced."""
        self._engine, self._recorder = engine, recorder
        self._runs, self._images = runs, images
        self._wanted: Path | None = None
        self._known: WeakKeyDictionary[Track, Known] = WeakKeyDictionary()
        self._doing = ""  # what is being saved
        self._unkept = ""  # what was saved of the last run, where no session keeps its mask
        self.words = ""
        self.trouble = ""
        recorder.written.connect(self._changed)

    def save(self, path: Path) -> None:
        """Write the mask of the last run, as its layer shows it."""
        if words := spared(path, identities(self._images())):
            self._fail(words)
            return
        self._wanted = path
        self._begin(path)
        self.tick()

    def save_one(self, track: Track, path: Path) -> None:
        """Write one mask, as its layer shows it."""
        words = spared(path, identities(self._images()))
        if not words and lies_elsewhere(track.layer, track.image):
            words = f"{path.name} was not saved, as the mask {MOVED}"
        if words:
            self._fail(words)
        else:
            self._begin(path)
            self._hand_out([track], volume_of(track.layer), (), path)

    def tick(self) -> None:
        self._save_wanted()
        self._tell()

    def look_again(self) -> None:
        """Masks may have gone out in another way: what the log says of that is asked for anew."""
        for track, known in list(self._known.items()):
            if known.inside:
                del self._known[track]

    def _save_wanted(self) -> None:
        masks, path = self._runs.masks, self._wanted
        if path is None or not self._runs.settled:
            return
        self._wanted = None
        if not masks:
            self._fail(f"{path.name} was not saved, as the mask is no longer open; press Segment again.")
            return
        if any(lies_elsewhere(mask.layer, mask.target.layer) for mask in masks):
            self._fail(f"{path.name} was not saved, as the mask {MOVED}")
            return
        predicted, known, planes = masks[0].predicted, volume_of(masks[0].layer), self._planes(masks)
        tracks = [track for mask in masks if (track := self._recorder.track(mask.layer)) is not None]
        if len(tracks) < len(masks):
            told = made_by_model(
                {
                    "model": predicted.model,
                    "model_hash": predicted.model_hash,
                    "settings": dict(predicted.settings),
                }
            )
            labels = [mask.layer.data.copy() for mask in masks]
            record = Record(self._recorder, None, path, None)
            self._write(replace(known, made=told), labels, planes, record, path, {})
        else:
            self._hand_out(tracks, known, planes, path)

    def _hand_out(self, tracks: list[Track], known: Volume, planes: tuple[str, ...], path: Path) -> None:
        def then(labels: list[Labels], told: Future[dict[str, Any]] | None) -> None:
            record = Record(self._recorder, tracks[0], path, told)
            self._write(known, labels, planes, record, path, {track: self._of(track).changes for track in tracks})

        self._recorder.hand_out(tracks, path.name, then)

    def _write(
        self,
        known: Volume,
        labels: list[Labels],
        planes: tuple[str, ...],
        record: Record,
        path: Path,
        changes: dict[Track, int],
    ) -> None:
        each = f" (a plane for each class: {', '.join(planes)})" if planes else ""

        def work() -> tuple[str, str]:
            volume = in_one(known, labels, planes)
            try:
                spare_planes(volume, path)
                write(replace(volume, made=record.made() or known.made), path)
            except SegError as error:
                record.give_up()
                return "", str(error)
            try:
                words = record.write()
            except SegError as error:
                return f"{_saved(path, each)}, but not where it comes from", str(error)
            return f"{_saved(path, each)}{words}", ""

        self._engine.later(work, partial(self._done, changes), "files")

    def _planes(self, masks: list[Mask]) -> tuple[str, ...]:
        """What the overlapping classes of masks are called now, one plane each; nothing for a mask of one plane."""
        if len(masks) != len(masks[0].target.model.task.planes):
            return ()
        tracks = [(mask.layer.metadata[CLASSES], self._recorder.track(mask.layer)) for mask in masks]
        return tuple(
            class_names(made_with, {} if track is None else self._recorder.rows(track))[0]
            for made_with, track in tracks
        )

    def going_out(self, labels: Sequence[Any]) -> Callable[[Path], None]:
        """Arrays are about to be written in another way, as they are now. Call what is returned when they were."""
        out = set(map(id, labels))
        tracks = [track for track in self._recorder.tracks() if id(track.layer.data) in out]
        changes = {track: self._of(track).changes for track in tracks}

        def was_saved(path: Path) -> None:
            if self._wanted is None:
                self._done(changes, (_saved(path), ""))

        return was_saved

    def forget(self) -> None:
        """Another mask is on its way, which nobody has saved."""
        path, self._wanted, self._unkept = self._wanted, None, ""
        self._fail(f"{path.name} was not saved, as a new run began; save the new mask." if path else "")

    def _of(self, track: Track) -> Known:
        """What is known of a mask; the log is asked whether it went out before, but of a mask that came from a file."""
        if track not in self._known:
            known = self._known[track] = Known()
            image, plane = track.row.id, track.plane

            def then(before: bool) -> None:
                known.inside = not before

            if not track.layer.source.path and not plane.endswith(LEARNING):
                self._recorder.ask(track, lambda store: went_out_before(store, image, plane), then)
        return self._known[track]

    def _changed(self, track: Track, blocks: object) -> None:
        self._of(track).changes += 1

    def _begin(self, path: Path) -> None:
        self._doing, self.trouble = f"Saving {path.name}", ""
        self._tell()

    def _fail(self, why: str) -> None:
        self._done({}, ("", why))

    def _done(self, changes: dict[Track, int], words: tuple[str, str]) -> None:
        """``changes``: how many each mask had when the voxels that went out were copied."""
        told, self.trouble = words
        self._doing = ""
        for track, at in changes.items():
            if told:
                self._of(track).words, self._of(track).at = told, at
        if not changes:
            self._unkept = told
        self._tell()
        self.changed.emit()

    def _tell(self) -> None:
        """Say what is true of the mask that is meant."""
        track = self._recorder.meant
        words = self._doing or (self._of(track).told if track is not None else self._unkept)
        if words != self.words:
            self.words = words
            self.changed.emit()


class Record:
    """Where the mask of a layer comes from, to be written beside the file of the mask, as ``known`` to its session.

    Nothing is written for a layer that no session keeps.
    """

    def __init__(
        self, recorder: Recorder, track: Track | None, path: Path, known: Future[dict[str, Any]] | None
    ) -> None:
        self._track, self._who, self._path, self._known = track, recorder.who, path, known
        self._writer = None if track is None else track.session.writer  # later it may be kept elsewhere

    def made(self) -> dict[str, Any]:
        """Wait for the record; what of it the file of the mask itself says. A mask is written without it too."""
        try:
            known = self._told()
        except SegError:
            return {}  # said by write()
        return {} if known is None else made(known)

    def write(self) -> str:
        """Wait for the record and write it; what to say of it. Raises ``SegError`` where it cannot be written, though
        the mask was."""
        where = record_path(self._path, stem(self._path))
        try:
            known = self._told()
            if known is None:
                return ""
            write_record(known, where)
        except SegError as error:
            raise SegError(f"Saved {self._path.name}, but not where it comes from. {error}") from None
        return f", with {where.name}"

    def _told(self) -> dict[str, Any] | None:
        if self._known is None or self._writer is None:
            return None
        return self._writer.unless_refused(self._known)

    def give_up(self) -> None:
        """The mask was not written."""
        if self._known is not None and self._track is not None:
            image, at, who, file = self._track.row.id, time.time(), self._who, self._path.name
            self._track.session.writer.send(lambda store: store.note(image, at, who, FAILED, file=file))


def _saved(path: Path, each: str = "") -> str:
    return f"Saved {path.name}{each} at {datetime.now():%H:%M:%S}"


def in_one(known: Volume, labels: Sequence[Labels], planes: tuple[str, ...]) -> Volume:
    """The masks of overlapping classes as one, laid out as a model answers: with a plane for each class. Without
    ``planes`` there is a single mask, which is that."""
    if not planes:
        return replace(known, data=labels[0])
    axes = known.mask_axes(planes)
    return replace(known.mask(np.stack(labels, axes.index("C")), axes=axes), channels=planes, image=known.image)


def spare_planes(mask: Volume, path: Path) -> None:
    """Raises ``SegError`` where a file of several masks, or channels, would be replaced by one of them."""
    planes = 1
    with suppress(SegError):  # there is none, or none that can be read
        planes = read(path).size("C")
    if planes > max(1, mask.size("C")):
        these = f"these are {mask.size('C')}" if "C" in mask.axes else "this is one"
        raise SegError(f"{path.name} holds {planes} masks or channels, {these} of them; choose another name.")


def proposed_path(image: Volume, name: str, ending: str) -> Path:
    """Where a mask would best go: beside its image, the layer of this name, in a format that holds its place."""
    source = image.source
    suffix = ".nii.gz" if image.affine is not None else ".ome.tif"
    name = f"{stem(source.path) if source else name}_{ending}{suffix}"
    return source.path.parent / name if source and source.path.parent.is_dir() else Path(name)
