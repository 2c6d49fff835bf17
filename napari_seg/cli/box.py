"""``--box``: a box of voxels, and where it lies in the file and in the world."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from napari_seg.errors import SegError

if TYPE_CHECKING:
    from napari_seg.data.volume import Volume
    from napari_seg.inference.prediction import Region

BY_AXES = ("nifti", "nrrd_file")
"""Formats whose axes people count as i, j, k."""


def region_of(text: str | None) -> Region | None:
    """``"10:60,0:256,0:256"`` as a box."""
    from napari_seg.inference.prediction import Region

    if text is None:
        return None
    try:
        spans = [tuple(int(end) for end in part.split(":")) for part in text.split(",")]
        starts, stops = zip(*((start, stop) for start, stop in spans), strict=True)
    except ValueError:
        raise SegError(f"--box {text} is not a box; write from:to for each axis, such as 10:60,0:256,0:256.") from None
    return Region(starts, stops)


def where(volume: Volume, region: Region) -> str:
    """One sentence: the box along the displayed axes, along the axes of the file, and in the patient's millimetres.

    Raises ``SegError`` for a box outside the image.
    """
    from napari_seg.inference.fit import region_box

    start, stop = region_box(volume, region)
    lies = f" (they grow towards {', '.join(volume.orientation)})" if volume.orientation else ""
    words = f"The box is {_spans(volume.spatial.lower(), start, stop)} of the volume as it is displayed{lies}"
    if volume.source and volume.source.format in BY_AXES and volume.source.reorder:
        words += f", which is {_in_file(volume, start, stop)} of the file's own axes"
    if volume.affine is not None:
        words += f", and {_in_world(volume, start, stop)}"
    return f"{words}."


def _in_file(volume: Volume, start: tuple[int, ...], stop: tuple[int, ...]) -> str:
    assert volume.source is not None
    assert volume.source.reorder is not None
    reorder, flat = volume.source.reorder, volume.ndim == 2
    box = [*(((0, 1, 1),) * flat), *zip(start, stop, volume.grid, strict=True)]
    spans = {
        axis: (n - b, n - a) if flip else (a, b)
        for axis, flip, (a, b, n) in zip(reorder.order, reorder.flip, box, strict=True)
    }
    firsts, lasts = zip(*(spans[axis] for axis in range(3 - flat)), strict=True)
    return _spans("ijk", firsts, lasts)


def _in_world(volume: Volume, start: tuple[int, ...], stop: tuple[int, ...]) -> str:
    """From the outer faces of the first voxels to those of the last; for a tilted volume the box around it."""
    import numpy as np

    flat = ((0, 1),) * (3 - volume.ndim)
    faces = [(a - 0.5, b - 0.5) for a, b in (*flat, *zip(start, stop, strict=True))]
    corners = np.array([[*corner, 1] for corner in itertools.product(*faces)]).T
    world = (np.asarray(volume.affine) @ corners)[:3]
    spans = zip("RAS", world.min(axis=1), world.max(axis=1), strict=True)
    return ", ".join(f"{side} {low:.1f} to {high:.1f}" for side, low, high in spans) + " mm in the world (RAS)"


def _spans(names: str, start: tuple[int, ...], stop: tuple[int, ...]) -> str:
    return ", ".join(f"{name} {a}:{b}" for name, a, b in zip(names, start, stop, strict=False))
