"""What lies around a mask when a tool looks at it: the image beneath, the scores of its prediction, its last edit."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.display import undrawn
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.gui.views import step_of
from napari_seg.session.database import SCORES

_DIFFERING = ".mirrored.npy"


class Surroundings:
    """One for each window."""

    edited = Signal(object, object)
    """A track and the edit that one of our tools made of it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._scores: dict[Path, tuple[int, Any]] = {}
        self._last: dict[Track, Edit] = {}

    def annotation(self, track: Track, time: int) -> Annotation:
        """All that a tool may look at."""
        return self._recorder.annotation(
            track,
            time,
            image=self.image(track, time),
            scores=self._scores_of(track, time),
            unseen=undrawn(track.layer),
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
        found = _mapped(path)
        if found is None or found.shape[-len(track.row.grid) :] != track.row.grid:
            return None
        return found[time] if found.ndim > len(track.row.grid) else found

    def done(self, track: Track, edit: Edit) -> None:
        """An edit was made; some tools repeat it."""
        self._last[track] = edit
        self.edited.emit(track, edit)

    def image(self, track: Track, time: int) -> Any:
        """The intensities on the grid: the channel that is shown, or the mean of red, green and blue. ``None`` where
        there are none, also where the layer was given an image of another shape."""
        if track.image is None:
            return None
        try:
            axes = volume_as_kept(track.image).axes
        except SegError:
            return None
        data = track.image.data
        if track.image.multiscale:
            data = data[0]
        if data.ndim < len(axes):  # the layer shows one channel
            axes = axes.replace("C", "")
        if data.ndim != len(axes):
            return None
        index = tuple(
            time if axis == "T" else step_of(track.image, k) if axis == "C" else slice(None)
            for k, axis in enumerate(axes)
        )
        frame = Grey(data[index]) if "S" in axes else data[index]
        return frame if tuple(frame.shape) == track.row.grid else None

    def _scores_of(self, track: Track, time: int) -> Any:
        """The scores of the last prediction, mapped from their file beside the database; ``None`` without a file that
        can be read and is of this grid."""
        path = scores_path(track)
        try:
            stamp = path.stat().st_mtime_ns
        except OSError:
            return None
        if path not in self._scores or self._scores[path][0] != stamp:
            self._scores[path] = stamp, _mapped(path)
        scores = self._scores[path][1]
        if scores is None or scores.shape[-len(track.row.grid) :] != track.row.grid:
            return None
        return scores[time] if scores.ndim > len(track.row.grid) + 1 else scores


class Grey:
    """The mean of red, green and blue of a picture ``(*grid, 3 or 4)``, worked out only where it is looked at: of all
    of a large picture it would take longer than a press of the mouse may."""

    def __init__(self, colours: Any) -> None:
        self._colours = colours[..., :3]
        self.shape: tuple[int, ...] = tuple(colours.shape[:-1])
        self.ndim = len(self.shape)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, index: Any) -> Grey:
        return Grey(self._colours[index])

    @property
    def T(self) -> Grey:
        return Grey(np.moveaxis(self._colours, -1, 0).T)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(np.asarray(self._colours).mean(-1, dtype=np.float32), dtype)


def _mapped(path: Path) -> Any:
    """Scores, mapped from a file; ``None`` for one that is damaged: it is a cache, and tools do without it."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError):
        return None


def scores_path(track: Track) -> Path:
    """Where the scores of a mask are kept: a cache that may be deleted. Names of planes that differ in a sign or in a
    capital letter have files of their own; in earlier versions they had one, which goes to the plane looked at first.
    """
    safe = "".join(letter if letter.isalnum() else "_" for letter in track.plane)
    earlier = track.session.folder / SCORES / f"{track.row.id}-{safe}.npy"
    path = earlier.with_name(f"{track.row.id}-{safe}-{crc32(track.plane.encode()):08x}.npy")
    if earlier.exists() and not path.exists():
        with suppress(OSError):
            earlier.rename(path)
            earlier.with_suffix(_DIFFERING).rename(path.with_suffix(_DIFFERING))
    return path


def differing_path(track: Track) -> Path:
    """Where it is kept how far mirrored predictions differ; a cache too."""
    return scores_path(track).with_suffix(_DIFFERING)
