"""Writing the mask of the last run as a file, in a thread, and what is to be said about it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from psygnal import Signal

from napari_seg.data.formats import stem, write
from napari_seg.errors import SegError
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import volume_of
from napari_seg.gui.results import Mask
from napari_seg.gui.runs import Runs


class Saving:
    """``words`` say what was saved and when, ``trouble`` why it could not be.

    A mask of which only a part follows the newest thresholds is saved when the rest does too.
    """

    changed = Signal()

    def __init__(self, engine: Engine, runs: Runs) -> None:
        self._engine = engine
        self._runs = runs
        self._wanted: Path | None = None
        self.words = ""
        self.trouble = ""

    def save(self, path: Path) -> None:
        """Write the mask of the last run, as its layer shows it."""
        self._wanted = path
        self._done((f"Saving {path.name}", ""))
        self.tick()

    def tick(self) -> None:
        mask, path = self._runs.mask, self._wanted
        if path is None or not self._runs.settled:
            return
        self._wanted = None
        if mask is None or mask.layer is None:
            self._done(("", f"{path.name} was not saved, as the mask is no longer open; press Segment again."))
            return
        volume = volume_of(mask.layer)

        def work() -> tuple[str, str]:
            try:
                write(volume, path)
            except SegError as error:
                return "", str(error)
            return f"Saved {path.name} at {datetime.now():%H:%M:%S}", ""

        self._engine.later(work, self._done)

    def forget(self) -> None:
        """Another mask is on its way, which nobody has saved."""
        path, self._wanted = self._wanted, None
        self._done(("", f"{path.name} was not saved, as a new run began; save the new mask." if path else ""))

    def _done(self, words: tuple[str, str]) -> None:
        self.words, self.trouble = words
        self.changed.emit()


def proposed_path(mask: Mask) -> Path:
    """Where a mask would best go: beside its image, in a format that holds its place."""
    source = mask.target.volume.source
    suffix = ".nii.gz" if mask.target.volume.affine is not None else ".ome.tif"
    name = f"{stem(source.path) if source else mask.target.layer.name}_{mask.target.model.name}{suffix}"
    return source.path.parent / name if source and source.path.parent.is_dir() else Path(name)
