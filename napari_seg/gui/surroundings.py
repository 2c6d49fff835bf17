"""What lies around a mask when a tool looks at it: the image beneath, the scores of its prediction, its last edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from psygnal import Signal

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track


class Surroundings:
    """One for each window."""

    edited = Signal(object, object)
    """A track and the edit that one of our tools made of it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._scores: dict[Path, tuple[int, Any]] = {}
        self._last: dict[Track, Edit] = {}
        self._grey: tuple[Any, int, Any] | None = None  # an array, the time, its mean over red, green, blue

    def annotation(self, track: Track, time: int) -> Annotation:
        """All that a tool may look at."""
        return self._recorder.annotation(
            track,
            time,
            image=self.image(track, time),
            scores=self._scores_of(track, time),
            last=self._last.get(track),
        )

    def differing(self, track: Track, time: int) -> Any:
        """How far mirrored predictions differ from the scores, ``(*grid)`` in 0..1; ``None`` where it is not known."""
        path, scores = differing_path(track), scores_path(track)
        try:
            if path.stat().st_mtime_ns < scores.stat().st_mtime_ns:
                return None  # they are those of an earlier prediction
        except OSError:
            return None
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if found.shape[-len(track.row.grid) :] != track.row.grid:
            return None
        return found[time] if found.ndim > len(track.row.grid) else found

    def counts_objects(self, track: Track) -> bool:
        """Whether the numbers of a mask count objects; else they are classes."""
        return self._recorder.counts_objects(track)

    def locked(self, track: Track) -> frozenset[int]:
        """The labels that neither gain nor lose a voxel."""
        return self._recorder.locked(track)

    def done(self, track: Track, edit: Edit) -> None:
        """An edit was made; some tools repeat it."""
        self._last[track] = edit
        self.edited.emit(track, edit)

    def image(self, track: Track, time: int) -> Any:
        """The intensities on the grid: one channel, or the mean of red, green and blue."""
        if track.image is None:
            return None
        volume = volume_as_kept(track.image)
        data, axes = track.image.data, volume.axes
        if track.image.multiscale:
            data = data[0]
        if data.ndim < len(axes):  # the layer shows one channel
            axes = axes.replace("C", "")
        index = tuple(time if axis == "T" else 0 if axis == "C" else slice(None) for axis in axes)
        frame = data[index]
        if "S" not in axes:
            return frame
        if self._grey is None or self._grey[0] is not data or self._grey[1] != time:
            self._grey = data, time, frame.mean(-1)
        return self._grey[2]

    def _scores_of(self, track: Track, time: int) -> Any:
        """The scores of the last prediction, mapped from their file beside the database."""
        path = scores_path(track)
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        if path not in self._scores or self._scores[path][0] != stamp:
            self._scores[path] = stamp, np.load(path, mmap_mode="r", allow_pickle=False)
        scores = self._scores[path][1]
        if scores.shape[-len(track.row.grid) :] != track.row.grid:
            return None
        return scores[time] if scores.ndim > len(track.row.grid) + 1 else scores


def scores_path(track: Track) -> Path:
    """Where the scores of a mask are kept: a cache that may be deleted."""
    safe = "".join(letter if letter.isalnum() else "_" for letter in track.plane)
    return track.session.folder / "scores" / f"{track.row.id}-{safe}.npy"


def differing_path(track: Track) -> Path:
    """Where it is kept how far mirrored predictions differ; a cache too."""
    return scores_path(track).with_suffix(".mirrored.npy")
