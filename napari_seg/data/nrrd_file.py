"""NRRD: ``.nrrd``, and ``.nhdr`` with its data beside it (read only).

A file stores its fastest dimension first. ``axes`` names the dimensions in that order: ``"XYZ"``, ``"CXYZ"`` for
channels side by side, ``"XYZT"`` for volumes one after the other. What the file says itself is taken (``kinds``, and
which dimensions have a direction in space); what it leaves open is asked for.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import (
    AS_STORED,
    Reorder,
    is_place,
    same_world,
    spacing_of,
    tilt_notes,
    to_display,
    to_display_flat,
    with_normal,
)
from napari_seg.data.intensity import strange_values
from napari_seg.data.units import length
from napari_seg.data.volume import UNITS, Source, Volume, labels_dtype
from napari_seg.errors import Choice, ChoiceNeeded, SegError

_BROKEN = (nrrd.NRRDError, ValueError, KeyError, TypeError, IndexError, StopIteration, EOFError, zlib.error, OSError)
_SIDES = {"right": 1, "left": -1, "anterior": 1, "posterior": -1, "superior": 1, "inferior": -1}
_SHORT = {"RAS": "right-anterior-superior", "LAS": "left-anterior-superior", "LPS": "left-posterior-superior"}
_COLORS = ("rgb-color", "rgba-color", "3-color", "4-color")
_SPACE = ("domain", "space")
_UNKNOWN = ("", "none", "???")
_TYPES = {
    "u1": "uint8",
    "i1": "int8",
    "u2": "uint16",
    "i2": "int16",
    "u4": "uint32",
    "i4": "int32",
    "u8": "uint64",
    "i8": "int64",
    "f4": "float",
    "f8": "double",
}


def claims(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith((".nrrd", ".nhdr"))


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """See :class:`~napari_seg.data.formats.Codec`; a file holds one image, so ``series`` means nothing here."""
    try:
        with path.open("rb") as file:
            header = nrrd.read_header(file)
            stored = nrrd.read_data(header, file, str(path))
    except PermissionError:
        raise
    except _BROKEN as error:
        raise SegError(f"{path.name} is not a whole NRRD file that can be read; get the file anew.") from error
    names = _file_axes(path, header, stored, axes)
    flat = "Z" not in names
    place = _place(header, names, flat)
    data, volume_axes = _to_volume(stored, names, place.reorder)
    affine, spacing = place.affine, place.spacing
    notes = place.notes + strange_values(data)
    if affine is not None:
        shape = tuple(stored.shape[names.index(axis)] for axis in "XYZ"[: 3 - flat]) + (1,) * flat
        affine = place.reorder.affine(affine, shape)
    if spacing is not None:
        spacing = tuple(spacing[axis] for axis in place.reorder.order)[flat:]
    return Volume(
        data=data,
        axes=volume_axes,
        spacing=spacing,
        unit=place.unit,
        affine=affine,
        channels=tuple(str(k + 1) for k in range(data.shape[volume_axes.index("C")])) if "C" in volume_axes else (),
        name=path.name[:-5],
        source=Source(path, "nrrd_file", reorder=place.reorder, header=place.kept),
        notes=notes,
    )


def write(volume: Volume, path: Path) -> None:
    """Write an image or a mask; one that comes from an NRRD file goes back into exactly the grid of that file."""
    if path.name.lower().endswith(".nhdr"):
        raise SegError("A mask is written as one file; end the name with .nrrd instead of .nhdr.")
    grid = _grid_of_source(volume) or _grid_of_volume(volume)
    reorder: Reorder = grid.pop("reorder")
    data = np.asarray(volume.data)
    if data.dtype == bool:
        data = data.view(np.uint8)
    elif data.dtype == np.float16:
        data = data.astype(np.float32)
    elif data.dtype in (np.int64, np.uint64) and data.min() >= 0:
        data = data.astype(labels_dtype(int(data.max())))
    lead = "".join(axis for axis in "TC" if axis in volume.axes)
    if volume.ndim == 2:
        data = np.expand_dims(data, len(lead))
    data = reorder.within(data.ndim, len(lead)).undo(data)  # lead, x, y, z, S
    if volume.ndim == 2:
        data = data[(slice(None),) * len(lead) + (slice(None), slice(None), 0)]
    # in memory, slowest first: the bytes of the file
    space = [len(lead) + k for k in range(volume.ndim)]
    samples = [data.ndim - 1] if "S" in volume.axes else []
    data = data.transpose([*range(len(lead)), *reversed(space), *samples])
    before, after = len(samples), len(lead)
    kinds = ["RGBA-color" if data.shape[-1] == 4 else "RGB-color"] * before + ["domain"] * volume.ndim
    kinds += [{"T": "time", "C": "list"}[axis] for axis in reversed(lead)]
    lines = [
        "NRRD0005",
        f"type: {_type(data)}",
        f"dimension: {data.ndim}",
        *([f"space: {grid['space']}"] if "space" in grid else []),
        f"sizes: {' '.join(str(n) for n in reversed(data.shape))}",
        *_spaced(grid, before, after),
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        *([f"space origin: {_vector(grid['origin'])}"] if "origin" in grid else []),
        "\n",
    ]
    packer = zlib.compressobj(3, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    with path.open("xb") as file:
        file.write("\n".join(lines).encode("ascii"))
        for slab in data:
            file.write(
                packer.compress(np.ascontiguousarray(slab.astype(data.dtype.newbyteorder("<"), copy=False)).data)
            )
        file.write(packer.flush())


def _type(data: NDArray[Any]) -> str:
    try:
        return _TYPES[data.dtype.str[1:]]
    except KeyError:
        raise SegError(f"NRRD does not hold values of the type {data.dtype}; convert the image first.") from None


def _spaced(grid: Mapping[str, Any], before: int, after: int) -> list[str]:
    if "directions" in grid:
        vectors = ["none"] * before + [_vector(v) for v in grid["directions"]] + ["none"] * after
        units = " ".join(f'"{unit}"' for unit in grid["units"])
        return [f"space directions: {' '.join(vectors)}"] + ([f"space units: {units}"] if units else [])
    if "spacings" not in grid:
        return []
    steps = ["nan"] * before + [repr(float(step)) for step in grid["spacings"]] + ["nan"] * after
    named = [""] * before + [grid["unit"]] * len(grid["spacings"]) + [""] * after
    lines = [f"spacings: {' '.join(steps)}"]
    return [*lines, "units: " + " ".join(f'"{unit}"' for unit in named)] if grid["unit"] else lines


def _vector(values: Sequence[float]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _file_axes(path: Path, header: Mapping[str, Any], stored: NDArray[Any], asked: str | None) -> str:
    """One letter for each dimension of the file; ``?`` never stays."""
    if asked is not None:
        names = asked.upper()
        order = "".join(axis for axis in names if axis in "XYZ")
        if (
            sorted(names) != sorted(set(names) & set("XYZTCS"))
            or len(names) != stored.ndim
            or order not in ("XY", "XYZ")
        ):
            raise SegError(
                f"The axes {asked!r} do not fit {path.name} (shape {stored.shape}); name its dimensions in their order "
                "in the file, such as XYZ, XYZT or CXYZ."
            )
        return names
    kinds = [str(kind).lower() for kind in header.get("kinds", [""] * stored.ndim)]
    vectors = header.get("space directions")
    letters = ""
    for axis, kind in enumerate(kinds):
        directed = None if vectors is None else bool(np.isfinite(np.asarray(vectors[axis], float)).all())
        if kind in (*_SPACE, *_UNKNOWN):
            letters += "D" if directed or (kind in _SPACE and directed is None) else "?"
        elif kind == "complex":
            raise SegError(f"{path.name} holds complex numbers; save their magnitude as an image.")
        elif kind == "time":
            letters += "T"
        else:
            color = kind in _COLORS and stored.dtype == np.uint8 and stored.shape[axis] in (3, 4)
            letters += "S" if color else "C"
    if letters == "??":
        letters = "DD"
    space = letters.count("D")
    if "?" in letters or space not in (2, 3) or any(letters.count(axis) > 1 for axis in "TCS"):
        raise ChoiceNeeded(
            f"{path.name} has {stored.ndim} dimensions {stored.shape} and does not say what they are; name the axes.",
            "axes",
            _readings(letters, stored.ndim),
        )
    return _spelled(letters)


def _spelled(letters: str) -> str:
    spatial = iter("XYZ")
    return "".join(next(spatial) if letter == "D" else letter for letter in letters)


_WORDS = {"XYZ": "a volume", "XYT": "images over time", "XYC": "channels of an image", "CXY": "channels of an image"}


def _readings(letters: str, ndim: int) -> tuple[Choice, ...]:
    if letters.count("?") == 1 and letters.count("D") in (2, 3):
        names = [_spelled(letters.replace("?", axis)) for axis in ("DTC" if letters.count("D") == 2 else "TC")]
    else:
        names = {3: ["XYZ", "XYT", "XYC", "CXY"], 4: ["XYZT", "XYZC", "CXYZ", "XYTC"]}.get(ndim, ["XYZTC", "CXYZT"])
    titles = {"T": "points in time", "C": "channels", "Z": "slices"}
    return tuple(
        Choice(name, _WORDS.get(name) or " and ".join(titles[axis] for axis in name if axis in titles))
        for name in names
        if len(name) == ndim
    )


@dataclass(frozen=True)
class _Place:
    """Where the stored axes x, y, z lie: affine in millimetres, spacing in ``unit``, and the way to the screen."""

    affine: NDArray[np.float64] | None
    spacing: tuple[float, ...] | None
    unit: str
    reorder: Reorder
    kept: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def _place(header: Mapping[str, Any], names: str, flat: bool) -> _Place:
    spatial = [names.index(axis) for axis in "XYZ"[: 3 - flat]]
    vectors = header.get("space directions")
    if vectors is None:
        return _spaced_place(header, spatial)
    steps = np.array([vectors[axis] for axis in spatial], float)
    if not np.isfinite(steps).all():
        return _Place(None, None, "pixel", AS_STORED, {}, ("The spacing in the file is not a number.",))
    units = [str(unit) for unit in header.get("space units", ())]
    scale, unit = (length(1, units[0]) if units and units[0] else None) or (1.0, "")
    signs = _signs(str(header.get("space", "")))
    origin = np.nan_to_num(np.array(header.get("space origin", np.zeros(steps.shape[1])), float))
    lengths = np.linalg.norm(steps, axis=1) * scale
    spacing = (*lengths.tolist(), *((1.0,) * flat))
    usable = tuple(spacing) if (lengths > 0).all() else None
    if signs is None or steps.shape[1] < 3:
        note = "The file does not say how the patient lies; no sides are shown."
        return _Place(None, usable, unit or "pixel", AS_STORED, {}, (note,) if signs is None else ())
    affine = np.eye(4)
    affine[:3, 2] = 0
    affine[:3, : len(spatial)] = steps[:, :3].T
    affine[:3, 3] = origin[:3]
    unit = unit or "mm"
    affine = np.diag([*(sign * scale * UNITS[unit] for sign in signs), 1]) @ affine
    affine = with_normal(affine) if flat else affine
    if not is_place(affine):
        note = "The directions in the file make no sense and are not used."
        return _Place(None, usable, unit, AS_STORED, {}, (note,))
    reorder = to_display_flat(affine) if flat else to_display(affine)
    kept = {
        "space": str(header["space"]),
        "directions": steps.tolist(),
        "origin": origin.tolist(),
        "units": units,
        "affine": affine.tolist(),
    }
    spacing = tuple((spacing_of(affine) / UNITS[unit]).tolist())
    return _Place(affine, spacing, unit, reorder, kept, tilt_notes(affine))


def _spaced_place(header: Mapping[str, Any], spatial: Sequence[int]) -> _Place:
    """A file with nothing but the size of its voxels, or not even that."""
    steps = header.get("spacings")
    if steps is None:
        return _Place(None, None, "pixel", AS_STORED, {})
    units = header.get("units", ())
    scale, unit = (length(1, units[spatial[0]]) if len(units) > spatial[0] else None) or (1.0, "pixel")
    chosen = [abs(float(steps[axis])) * scale for axis in spatial]
    if not all(np.isfinite(step) and step > 0 for step in chosen):
        return _Place(None, None, "pixel", AS_STORED, {}, ("The spacing in the file is not a positive number.",))
    return _Place(None, (*chosen, *((1.0,) * (3 - len(chosen)))), unit, AS_STORED, {})


def _signs(space: str) -> tuple[int, int, int] | None:
    """The signs that lead from a space of the patient to right, anterior, superior; ``None`` for other spaces."""
    words = _SHORT.get(space.upper().removesuffix("T"), space.lower()).removesuffix("-time").split("-")
    signs = [_SIDES.get(word) for word in words]
    if len(signs) != 3 or None in signs:
        return None
    return (signs[0] or 1, signs[1] or 1, signs[2] or 1)


def _to_volume(stored: NDArray[Any], names: str, reorder: Reorder) -> tuple[NDArray[Any], str]:
    data, flat = stored, "Z" not in names
    if flat:
        data, names = data[..., None], names + "Z"
    lead = "".join(axis for axis in "TC" if axis in names)
    rest = "S" if "S" in names else ""
    data = data.transpose([names.index(axis) for axis in lead + "XYZ" + rest])
    data = reorder.within(data.ndim, len(lead)).apply(data)
    if flat:
        data = data.squeeze(len(lead))
    native = data.astype(data.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(native), lead + ("YX" if flat else "ZYX") + rest


def _grid_of_source(volume: Volume) -> dict[str, Any] | None:
    """Space, directions and origin of the NRRD file the volume comes from, if it still lies where that file says."""
    source = volume.source
    if source is None or source.format != "nrrd_file" or source.reorder is None or volume.affine is None:
        return None
    if "affine" not in source.header or len(source.header["directions"]) != volume.ndim:
        return None
    box = (1,) * (3 - volume.ndim) + volume.grid
    grid = tuple(box[source.reorder.order.index(axis)] for axis in range(3))
    if not same_world(source.reorder.affine(np.array(source.header["affine"]), grid), volume.affine, box):
        return None
    return {name: source.header[name] for name in ("space", "directions", "origin", "units")} | {
        "reorder": source.reorder
    }


def _grid_of_volume(volume: Volume) -> dict[str, Any]:
    """The same for a volume from elsewhere: axes x, y, z as they lie, in LPS millimetres where the place is known."""
    if volume.affine is not None:
        lps = np.diag([-1.0, -1, 1, 1]) @ volume.affine[:, [2, 1, 0, 3]]
        return {
            "space": "left-posterior-superior",
            "directions": lps[:3, : volume.ndim].T.tolist(),
            "origin": lps[:3, 3].tolist(),
            "units": ["mm"] * 3,
            "reorder": AS_STORED,
        }
    if volume.spacing is None:
        return {"reorder": AS_STORED}
    unit = "" if volume.unit == "pixel" else volume.unit
    return {"spacings": volume.spacing[::-1], "unit": unit, "reorder": AS_STORED}
