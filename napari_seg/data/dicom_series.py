"""The DICOM series of a folder and of all folders in it, from headers alone, found in pieces: one entry for each.
Segmentations are masks and not listed.

A study of a hospital has thousands of files, each of which has to be opened; whoever looks for series decides how long
at a time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_seg.data.dicom_frames import BROKEN, Frame, frames_of, is_dicom
from napari_seg.data.dicom_stack import Stack, stacks

OTHERS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii", ".gz", ".nrrd", ".nhdr", ".json", ".csv", ".sqlite", ".npy")
"""Names that end so are those of other files."""


@dataclass(frozen=True)
class Series:
    """``path``: what is read as this series alone, a folder or the first of its files. ``title``: for people."""

    path: Path
    title: str


class SeriesSearch:
    """Call :meth:`go_on` until it says that all was looked at; then :meth:`found` has the series.

    Folders called as one of ``skipped``, hidden ones and stores of OME-Zarr are not looked into.
    """

    def __init__(self, folder: Path, skipped: frozenset[str] = frozenset()) -> None:
        self._folder, self._skipped = folder, skipped
        self._frames: dict[Path, list[Frame]] = defaultdict(list)
        self._files = self._walk()

    def go_on(self, seconds: float) -> bool:
        """Look at files for about so long; whether all were looked at."""
        end = time.monotonic() + seconds
        for path in self._files:
            with contextlib.suppress(*BROKEN):  # a damaged file is no series; the others of its series tell
                self._frames[path.parent] += (frame for frame in frames_of(path) if frame.modality != "SEG")
            if time.monotonic() > end:
                return False
        return True

    def found(self) -> list[Series]:
        """One entry for each series, in the order of folders and numbers."""
        every = stacks(frame for frames in self._frames.values() for frame in frames)
        if len(every) == 1:
            return [Series(self._folder, self._title(self._folder, every[0]))]
        series = []
        for folder in sorted(folder for folder, frames in self._frames.items() if frames):
            here = stacks(self._frames[folder])
            alone = len(here) == 1 and not any(folder in other.parents for other in self._frames)
            for stack in here:
                path = folder if alone else min(frame.path for frames in stack.times for frame in frames)
                series.append(Series(path, self._title(folder, stack)))
        return series

    def _title(self, folder: Path, stack: Stack) -> str:
        where = folder.relative_to(self._folder)
        name = where.as_posix() if where.parts else folder.resolve().name
        what = stack.first.description or (f"series {stack.first.series_number}" if stack.first.series_number else "")
        return " · ".join(part for part in (name, what, stack.difference) if part)

    def _walk(self) -> Iterator[Path]:
        for parent, folders, names in os.walk(self._folder):
            folders[:] = sorted(
                name
                for name in folders
                if name not in self._skipped and not name.startswith(".") and not name.lower().endswith(".zarr")
            )
            for name in sorted(names):
                path = Path(parent) / name
                if not name.startswith(".") and not name.lower().endswith(OTHERS) and path.is_file() and is_dicom(path):
                    yield path
