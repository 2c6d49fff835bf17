"""Where the voxels of a NIfTI file lie, and the header that puts a mask in the same place."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_seg.data.geometry import AS_STORED, Reorder, is_place, same_world, with_normal
from napari_seg.data.place import Place, in_patient
from napari_seg.data.volume import UNITS, Volume

_SPACE_UNITS = {0: "pixel", 1: "m", 2: "mm", 3: "um"}
_TURN = ("quatern_b", "quatern_c", "quatern_d")
_KEPT = (
    *("pixdim", "qform_code", "sform_code", *_TURN, "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)


def place_of(header: Any, flat: bool) -> Place:
    kept, header = _kept(header), header.copy()
    steps = np.array(header["pixdim"][1:4], float)
    spatial = 2 if flat else 3
    wrong = ~(np.isfinite(steps) & (steps > 0))
    header["pixdim"][1:4] = np.where(wrong, np.where(np.isfinite(steps) & (steps != 0), abs(steps), 1), steps)
    if header["pixdim"][0] not in (-1, 1):  # the standard: 0 means 1
        header["pixdim"][0] = 1
    turn = np.array([header[name] for name in _TURN], float)
    if 1 < turn @ turn < np.inf:  # rounded, or by a careless program: as nifti1_io does
        for name, value in zip(_TURN, turn / np.sqrt(turn @ turn), strict=True):
            header[name] = value
    forms = {"sform": _form(header, "sform", flat), "qform": _form(header, "qform", flat)}
    used = next((name for name, form in forms.items() if form is not None), None)
    notes: list[str] = []
    for name, form in forms.items():
        if header[f"{name}_code"] > 0 and form is None:
            notes.append(f"The {name} of the file makes no sense and is not used.")
    if used != "sform" and wrong[:spatial].any():
        said = ", ".join(f"{step:g}" for step in steps[:spatial])
        notes.append(f"The spacing in the header ({said}) is not positive; its sign is ignored and 1 stands for 0.")
    unit = _SPACE_UNITS.get(int(header["xyzt_units"]) & 0x07, "pixel")
    if used is None:
        notes.append("The file does not say how the patient lies (neither qform nor sform is set); no sides are shown.")
        steps = np.array(header["pixdim"][1:4], float)
        known = unit != "pixel" or not (steps[:spatial] == 1).all()
        return Place(None, tuple(steps.tolist()) if known else None, unit, AS_STORED, kept, tuple(notes))
    unit = "mm" if unit == "pixel" else unit
    affine = np.diag([UNITS[unit]] * 3 + [1]) @ forms[used]
    sform, qform = forms["sform"], forms["qform"]
    if sform is not None and qform is not None and not same_world(sform, qform, _spatial_shape(header, flat), 0.01):
        notes.append("The qform and the sform of the file put the volume in different places; the sform is used.")
    return in_patient(affine, unit, flat, kept, tuple(notes))


def _form(header: Any, name: str, flat: bool) -> NDArray[np.float64] | None:
    try:
        form = header.get_sform(coded=True)[0] if name == "sform" else header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError):  # the latter of a quaternion that is none
        return None
    if form is None:
        return None
    form = with_normal(form) if flat else np.asarray(form, float)
    return form if is_place(form) else None


def _spatial_shape(header: Any, flat: bool) -> tuple[int, ...]:
    shape = header.get_data_shape()
    return (int(shape[0]), int(shape[1]), 1 if flat else int(shape[2]))


def grid_of_source(volume: Volume) -> tuple[Any, Reorder, tuple[int, ...]] | None:
    """Header, reorder and shape of the NIfTI file the volume comes from, if it still lies where that file says."""
    source = volume.source
    if source is None or source.format != "nifti" or source.reorder is None:
        return None
    header = (nib.Nifti2Header if source.header["version"] == 2 else nib.Nifti1Header)()
    shape = tuple(source.header["shape"])
    header.set_data_shape(shape)
    for name in _KEPT:
        header[name] = source.header[name]
    flat = volume.ndim == 2
    place = place_of(header, flat)
    box = (1,) * flat + volume.grid
    grid = tuple(box[source.reorder.order.index(axis)] for axis in range(3))
    if grid != _spatial_shape(header, flat) or place.reorder != source.reorder:
        return None
    if place.affine is None and volume.affine is None:
        steps = None if place.spacing is None else tuple(place.spacing[axis] for axis in source.reorder.order)[flat:]
        moved = (steps, place.unit) != (volume.spacing, volume.unit)  # a person may have given it another size
    elif place.affine is None or volume.affine is None:
        moved = True
    else:
        moved = not same_world(place.reorder.affine(place.affine, grid), volume.affine, box)
    return None if moved else (header, source.reorder, shape)


def grid_of_volume(volume: Volume) -> tuple[Any, Reorder, tuple[int, ...]]:
    """The same for a volume from elsewhere: axes x, y, z as they lie, both forms set where they can say the place."""
    header = (nib.Nifti2Header if max(volume.shape) > np.iinfo(np.int16).max else nib.Nifti1Header)()
    header.set_data_shape((1, 1, 1))
    unit = {"nm": "um", "pixel": "unknown"}.get(volume.unit, volume.unit)
    if volume.affine is None:
        steps = volume.spacing or (1.0,) * volume.ndim
        if volume.unit == "nm":
            steps = tuple(step / 1e3 for step in steps)
        header["pixdim"][1 : volume.ndim + 1] = steps[::-1]
    else:
        unit = "mm" if unit == "unknown" else unit
        affine = np.diag([1 / UNITS[{"um": "um", "m": "m"}.get(unit, "mm")]] * 3 + [1]) @ volume.affine[:, [2, 1, 0, 3]]
        header.set_sform(affine, code=1)
        header.set_qform(affine, code=1)
        box = ((1,) * (3 - volume.ndim) + volume.grid)[::-1]
        if not same_world(affine, header.get_qform(), box):  # a quaternion cannot say a sheared grid
            header["qform_code"] = 0
    header.set_xyzt_units({"m": "meter", "um": "micron"}.get(unit, unit), "unknown")
    return header, AS_STORED, ()


def _kept(header: Any) -> dict[str, Any]:
    kept = {name: np.asarray(header[name]).tolist() for name in _KEPT}
    return kept | {"version": 2 if isinstance(header, nib.Nifti2Header) else 1, "shape": header.get_data_shape()}
