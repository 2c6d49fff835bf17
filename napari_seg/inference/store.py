"""Where the scores of a prediction are kept, so that thresholds can be changed without the network."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.errors import SegError

IN_MEMORY = 2**28
"""Scores of up to this many bytes stay in memory; larger ones lie in a file."""


def scores_array(shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of zeros in float16 for the scores.

    A large one is mapped from a file in the system's temporary folder. The file has no name there (on Windows it is
    deleted when it is closed), so it is gone with the array, also when the program is killed. Its space is
    taken at once: raises ``SegError`` where the disk has not enough.
    """
    size = int(np.prod(shape, dtype=np.int64)) * 2
    if size <= IN_MEMORY:
        return np.zeros(shape, np.float16)
    folder = tempfile.gettempdir()
    short = SegError(
        f"The scores need {size / 1e9:.1f} GB in {folder}, which has less; free some space, set TMPDIR to another "
        "folder, or choose a box."
    )
    if shutil.disk_usage(folder).free < size:
        raise short
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError:
                raise short from None
        try:
            return np.memmap(file, np.float16, "r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape)
        except OSError as error:
            raise MemoryError(str(error)) from None  # there is a file, but no room for it among the addresses
