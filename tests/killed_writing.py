"""A program that writes masks and is killed at each step, one after the other: at every change of a name and at the
first removal. Its argument is a folder; in ``folder/K`` lies what is left where the step ``K`` was the last."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_seg.data import ome_zarr_write  # noqa: F401  before the copies, which must have no threads
from napari_seg.data.formats import write
from napari_seg.data.volume import Volume

STEPS = {"os.rename", "shutil.rmtree"}


def mask(value: int) -> Volume:
    return Volume(np.full((4, 5), value, np.uint8), "YX")


def in_a_copy(work: Callable[[], object], last: int) -> bool:
    """Do some work in a copy of this program, killed before the step of that number; whether it came to its end."""
    child = os.fork()
    if child == 0:
        passed = 0

        def look(event: str, about: object) -> None:
            nonlocal passed
            if event in STEPS:
                passed += 1
                if passed > last:
                    os._exit(9)

        sys.addaudithook(look)
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main() -> None:
    every = 1000
    for step in range(20):
        folder = Path(sys.argv[1]) / str(step)
        image = folder / "image.zarr"
        folder.mkdir()
        in_a_copy(lambda: write(mask(1), folder / "m.zarr"), every)  # noqa: B023  done at once
        in_a_copy(lambda: write(Volume(np.ones((4, 5), np.float32), "YX"), image), every)  # noqa: B023
        replaced = in_a_copy(lambda: write(mask(2), folder / "m.zarr"), step)  # noqa: B023
        added = in_a_copy(lambda: write(mask(3), image / "labels" / "cells"), step)  # noqa: B023
        if replaced and added:
            return
    raise AssertionError("it never came to its end")


if __name__ == "__main__":
    main()
