"""Where the voxels of an NRRD file lie, and the fields of the header that put a mask in the same place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import AS_STORED, is_place, same_world, spacing_of, with_normal
from napari_seg.data.place import Place, in_patient
from napari_seg.data.units import length
from napari_seg.data.volume import UNITS, Volume

_SIDES = {"right": 1, "left": -1, "anterior": 1, "posterior": -1, "superior": 1, "inferior": -1}
_SHORT = {"RAS": "right-anterior-superior", "LAS": "left-anterior-superior", "LPS": "left-posterior-superior"}

_KEPT = ("space", "space dimension", "directions", "origin", "units")


def place_of(header: Mapping[str, Any], names: str, flat: bool) -> Place:
    """The place of the stored axes ``names``; ``flat``: they are those of a single slice, also where there is a Z."""
    spatial = [names.index(axis) for axis in "XYZ" if axis in names]
    vectors = header.get("space directions")
    if vectors is None:
        return _spaced_place(header, spatial)
    steps = np.array([vectors[axis] for axis in spatial], float)
    if not np.isfinite(steps).all():
        return Place(None, None, "pixel", AS_STORED, notes=("The spacing in the file is not a number.",))
    units = [str(unit) for unit in header.get("space units", ())]
    scale, unit = (length(1, units[0]) if units and units[0] else None) or (1.0, "")
    signs = _signs(str(header.get("space", "")))
    said = np.array(header.get("space origin", np.full(steps.shape[1], np.nan)), float)
    origin = np.nan_to_num(said)
    lengths = np.linalg.norm(steps, axis=1) * scale
    spacing = (*lengths.tolist(), *((1.0,) * (3 - len(spatial))))
    usable = tuple(spacing) if (lengths > 0).all() else None
    if signs is None or steps.shape[1] < 3:
        note = "The file does not say how the patient lies; no sides are shown."
        place = Place(None, usable, unit or "pixel", AS_STORED, notes=(note,) if signs is None else ())
        affine = _affine(steps, origin, [scale * UNITS[unit or "pixel"]] * 3, flat)
        if not is_place(affine):
            return place
        if len(spatial) == 2:
            affine[:3, 2] *= spacing_of(affine)[:2].max()  # the normal, which is never the smallest
        kept = {name: header[name] for name in ("space", "space dimension") if name in header}
        comparable = np.isfinite(said).all() and len(set(units)) <= 1 and unit != "pixel"
        words = ["nrrd", *map(str, kept.values()), "mm" if unit else "".join(units[:1])]
        kept |= {"directions": steps.tolist(), "units": units}
        kept |= {"origin": origin.tolist()} if np.isfinite(said).all() else {}
        return replace(place, kept=kept, elsewhere=(affine, " ".join(words).lower() if comparable else ""))
    unit = unit or "mm"
    affine = _affine(steps, origin, [sign * scale * UNITS[unit] for sign in signs], flat)
    if not is_place(affine):
        note = "The directions in the file make no sense and are not used."
        return Place(None, usable, unit, AS_STORED, notes=(note,))
    kept = {
        "space": str(header["space"]),
        "directions": steps.tolist(),
        "origin": origin.tolist(),
        "units": units,
        "affine": affine.tolist(),
    }
    return in_patient(affine, unit, flat, kept)


def _affine(
    steps: NDArray[np.float64], origin: NDArray[np.float64], scales: Sequence[float], flat: bool
) -> NDArray[np.float64]:
    """From the stored x, y and z to a space; ``scales`` lead from the units and sides of the file to ours."""
    known = min(steps.shape[1], 3)
    affine = np.eye(4)
    affine[:3, 2] = 0
    affine[:known, : len(steps)] = steps[:, :known].T
    affine[:known, 3] = origin[:known]
    affine = np.diag([*scales, 1]) @ affine
    return with_normal(affine) if flat else affine


def _spaced_place(header: Mapping[str, Any], spatial: Sequence[int]) -> Place:
    """A file with nothing but the size of its voxels, or not even that."""
    steps = header.get("spacings")
    if steps is None:
        return Place(None, None, "pixel", AS_STORED)
    units = header.get("units", ())
    scale, unit = (length(1, units[spatial[0]]) if len(units) > spatial[0] else None) or (1.0, "pixel")
    chosen = [abs(float(steps[axis])) * scale for axis in spatial]
    if not all(np.isfinite(step) and step > 0 for step in chosen):
        return Place(None, None, "pixel", AS_STORED, notes=("The spacing in the file is not a positive number.",))
    return Place(None, (*chosen, *((1.0,) * (3 - len(chosen)))), unit, AS_STORED)


def _signs(space: str) -> tuple[int, int, int] | None:
    """The signs that lead from a space of the patient to right, anterior, superior; ``None`` for other spaces."""
    words = _SHORT.get(space.upper().removesuffix("T"), space.lower()).removesuffix("-time").split("-")
    signs = [_SIDES.get(word) for word in words]
    if len(signs) != 3 or None in signs:
        return None
    return (signs[0] or 1, signs[1] or 1, signs[2] or 1)


def grid_of_source(volume: Volume) -> dict[str, Any] | None:
    """Space, directions and origin of the NRRD file the volume comes from, if it still lies where that file says."""
    source = volume.source
    if source is None or source.format != "nrrd_file" or source.reorder is None:
        return None
    kept = {name: source.header[name] for name in _KEPT if name in source.header} | {"reorder": source.reorder}
    if volume.affine is None:
        return None if volume.location is None else kept
    if "affine" not in source.header or len(source.header["directions"]) < volume.ndim:
        return None
    box = (1,) * (3 - volume.ndim) + volume.grid
    grid = tuple(box[source.reorder.order.index(axis)] for axis in range(3))
    if not same_world(source.reorder.affine(np.array(source.header["affine"]), grid), volume.affine, box):
        return None
    return kept


def grid_of_volume(volume: Volume) -> dict[str, Any]:
    """The same for a volume from elsewhere: axes x, y, z as they lie, in LPS millimetres where the place is known."""
    if volume.affine is not None:
        lps = np.diag([-1.0, -1, 1, 1]) @ volume.affine[:, [2, 1, 0, 3]]
        return {
            "space": "left-posterior-superior",
            "directions": lps[:3, :3].T.tolist(),
            "origin": lps[:3, 3].tolist(),
            "units": ["mm"] * 3,
            "reorder": AS_STORED,
        }
    if volume.spacing is None:
        return {"reorder": AS_STORED}
    unit = "" if volume.unit == "pixel" else volume.unit
    return {"spacings": volume.spacing[::-1], "unit": unit, "reorder": AS_STORED}
