"""From arrays that a file stores with their axes x, y, z to volumes that lie upright, and back.

NIfTI and NRRD say the same things in different words. Their ``..._grid`` modules translate the words into a
:class:`Place`; what follows from it stands here once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import Reorder, spacing_of, tilt_notes, to_display, to_display_flat
from napari_seg.data.intensity import strange_values
from napari_seg.data.volume import UNITS, Location, Source, Volume


@dataclass(frozen=True)
class Place:
    """Where the stored axes x, y, z lie: affine in millimetres, spacing in ``unit``, and the way to the screen.

    ``kept`` is what a writer needs to put a mask back there; it becomes the header of the volume's source.
    ``elsewhere`` is the affine in a space that is no patient's, with the name of that (see
    :class:`~napari_seg.data.volume.Location`).
    """

    affine: NDArray[np.float64] | None
    spacing: tuple[float, ...] | None
    unit: str
    reorder: Reorder
    kept: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    elsewhere: tuple[NDArray[np.float64], str] | None = None


def in_patient(
    affine: NDArray[np.float64], unit: str, flat: bool, kept: Mapping[str, Any], notes: tuple[str, ...] = ()
) -> Place:
    """The place of a volume, or of a single slice (``flat``), whose ``affine`` is known."""
    reorder = to_display_flat(affine) if flat else to_display(affine)
    spacing = tuple((spacing_of(affine) / UNITS[unit]).tolist())
    return Place(affine, spacing, unit, reorder, kept, (*notes, *tilt_notes(affine)))


def upright(stored: NDArray[Any], names: str, place: Place, name: str, path: Path, format: str) -> Volume:
    """The volume of a stored array whose axes are ``names``, of ``XYZTCS`` in any order; without Z it is one slice."""
    flat = "Z" not in names
    if flat:
        stored, names = stored[..., None], names + "Z"
    lead = "".join(axis for axis in "TC" if axis in names)
    rest = "S" if "S" in names else ""
    data = stored.transpose([names.index(axis) for axis in lead + "XYZ" + rest])
    first = len(lead)
    shape = data.shape[first : first + 3]
    data = place.reorder.within(data.ndim, first).apply(data)
    data = data.squeeze(first) if flat else data
    if not isinstance(data, np.memmap):
        data = np.ascontiguousarray(data)
    affine = place.affine
    spacing = None if place.spacing is None else tuple(place.spacing[axis] for axis in place.reorder.order)[flat:]
    location = None
    if place.elsewhere is not None:
        there = tuple(map(tuple, place.reorder.affine(place.elsewhere[0], shape).tolist()))
        grid = tuple(shape[axis] for axis in place.reorder.order)[flat:]
        location = Location(place.elsewhere[1], there, grid, spacing, place.unit)
    return Volume(
        data=data,
        axes=lead + ("YX" if flat else "ZYX") + rest,
        spacing=spacing,
        unit=place.unit,
        affine=None if affine is None else place.reorder.affine(affine, shape),
        name=name,
        source=Source(path, format, reorder=place.reorder, header=place.kept, location=location),
        notes=place.notes + strange_values(data),
    )


def as_stored(data: NDArray[Any], volume: Volume, reorder: Reorder) -> NDArray[Any]:
    """The way back for ``data``, with the axes of ``volume``: time, channel, x, y, z, sample; a single slice has z."""
    lead = sum(axis in "TC" for axis in volume.axes)
    data = np.expand_dims(data, lead) if volume.ndim == 2 else data
    return np.asarray(reorder.within(data.ndim, lead).undo(data))
