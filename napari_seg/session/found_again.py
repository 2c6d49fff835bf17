"""The images of a session read again from their files, only if they are still the ones that were worked on, or from
others that show the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from napari_seg.data.formats import read
from napari_seg.data.volume import SPATIAL, UNITS, Volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.session.fingerprint import fingerprint, tells_all, voxels_hash
from napari_seg.session.records import ImageRow
from napari_seg.session.sizes import Size
from napari_seg.session.whereabouts import around, exists


def image_of(path: Path, row: ImageRow, voxels: str) -> Volume:
    """The image of a file, if it is the one of a row, with these ``voxels`` where they are known; of several in a file
    that one. Raises ``SegError`` where the file is gone or shows another image."""
    for volume in readings(path, {}):
        if fingerprint(volume) == row.fingerprint.partition("-")[0]:
            if voxels and not tells_all(volume) and voxels_hash(volume) != voxels:
                continue
            return volume
    raise SegError(f"{path.name} shows another image than the one that was corrected; put that one back in its place.")


def found_again(folder: Path, row: ImageRow, voxels: str) -> Volume:
    """The image of a row of the session in ``folder``: of its own file, or of another one around that shows it.

    Raises ``SegError`` where there is none.
    """
    own = Path(os.path.normpath(folder.resolve() / row.path))
    try:
        if not exists(own):
            raise SegError(f"{own.name} is no longer in {own.parent}, and no image around shows the same; put it back.")
        return image_of(own, row, voxels)
    except SegError:
        known_by = row.fingerprint.partition("-")[0]
        for path in around(folder, row):
            with suppress(SegError, OSError):
                about = path.stat()
                if known_by in _shown(path, about.st_mtime_ns, about.st_size):
                    return image_of(path, row, voxels)
        raise


@lru_cache(4096)
def _shown(path: Path, changed: int, size: int) -> frozenset[str]:
    """The fingerprints of all that a file can be understood as, worked out once: it is asked about for many images."""
    return frozenset(fingerprint(volume) for volume in readings(path, {}))


def readings(path: Path, answers: Mapping[str, str]) -> Iterator[Volume]:
    """Every way in which a file can be understood."""
    try:
        yield read(path, **answers)
    except ChoiceNeeded as question:
        if question.parameter in answers:
            return
        for choice in question.choices:
            yield from readings(path, {**answers, question.parameter: choice.value})


def as_large(volume: Volume, row: ImageRow | Size) -> Volume:
    """A volume with the size of voxels that the session knows: a person may have given it another than its file."""
    before = volume.spacing or (1.0,) * volume.ndim
    if not row.spacing or (volume.unit == row.unit and np.allclose(before, row.spacing)):
        return volume
    larger = np.divide(row.spacing, before) * (UNITS[row.unit] / UNITS[volume.unit])
    factors = dict(zip(volume.spatial, larger.tolist(), strict=True))
    scale = np.diag([*(factors.get(axis, 1.0) for axis in SPATIAL), 1.0])
    affine = None if volume.affine is None else volume.affine @ scale
    return replace(volume, spacing=row.spacing, unit=row.unit, affine=affine)
