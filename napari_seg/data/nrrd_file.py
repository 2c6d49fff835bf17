"""NRRD: ``.nrrd``, and ``.nhdr`` with its data beside it (read only).

A file stores its fastest dimension first. ``axes`` names the dimensions in that order: ``"XYZ"``, ``"CXYZ"`` for
channels side by side, ``"XYZT"`` for volumes one after the other. What the file says itself is taken (``kinds``, and
which dimensions have a direction in space); what it leaves open is asked for.

What ITK does not read is written otherwise, with a key that says what it is: a single slice of a patient with a third
dimension of length 1, and time as a list.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import psutil
from numpy.typing import NDArray

from napari_seg.data.geometry import Reorder
from napari_seg.data.intensity import compact
from napari_seg.data.nrrd_grid import grid_of_source, grid_of_volume, place_of
from napari_seg.data.place import as_stored, upright
from napari_seg.data.volume import MADE, Volume, is_axes
from napari_seg.errors import Choice, ChoiceNeeded, SegError

_BROKEN = (nrrd.NRRDError, ValueError, KeyError, TypeError, IndexError, StopIteration, EOFError, zlib.error, OSError)
_AXES = f"{MADE}_axes"
"""The key under which we say what the axes are: ITK reads no other kind than ``list`` beside those of space."""

_EACH = ("kinds", "space directions", "spacings", "units")
_COLORS = ("rgb-color", "rgba-color", "3-color", "4-color")
_SPACE = ("domain", "space")
_UNKNOWN = ("", "none", "???")
_SEGMENT = re.compile(r"Segment(\d+)_Name")
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
            _refuse_lies(path, header)
            stored = nrrd.read_data(header, file, str(path))
    except PermissionError:
        raise
    except _BROKEN as error:
        raise SegError(f"{path.name} is not a whole NRRD file that can be read; get the file anew.") from error
    said = "" if axes else _said_axes(header, stored)
    names = _of_volume(said, stored.ndim) if said else _file_axes(path, header, stored, axes)
    place = place_of(header, names, "Z" not in (said or names))
    if said and "Z" in names and "Z" not in said:
        stored, names = stored.squeeze(names.index("Z")), names.replace("Z", "")
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    volume = upright(native, names, place, path.name[:-5], path, "nrrd_file")
    segments = _segments(header, "C" in names)
    if not segments or volume.source is None:
        return volume
    classes = {} if "C" in names else {number: name for _, number, name in segments}  # planes have their names
    source = replace(volume.source, header={**volume.source.header, "classes": classes})
    return replace(_planes(volume, segments) if "C" in names else volume, source=source)


def _segments(header: Mapping[str, Any], layered: bool) -> list[tuple[int, int, str]]:
    """Layer, label and name of the segments, as 3D Slicer writes them into the masks it saves.

    Before there were layers with several segments in them (2020), each segment had a layer with a 1 in it.
    """
    found = []
    for match in filter(None, map(_SEGMENT.fullmatch, header)):
        layer = str(header.get(f"Segment{match[1]}_Layer", match[1] if layered else "0"))
        number = str(header.get(f"Segment{match[1]}_LabelValue", "1" if layered else ""))
        if layer.isdecimal() and number.isdecimal() and int(number):
            found.append((int(layer), int(number), str(header[match[0]])))
    return found


def _planes(volume: Volume, segments: Sequence[tuple[int, int, str]]) -> Volume:
    """One plane for each segment, of layers in which segments share the numbers."""
    at = volume.axes.index("C")
    layers = np.moveaxis(np.asarray(volume.data), at, 0)
    if max(layer for layer, _, _ in segments) >= len(layers):
        raise SegError(f"{volume.name} names segments in layers that it does not have; save it again in 3D Slicer.")
    planes = np.stack([layers[layer] == number for layer, number, _ in segments], at).view(np.uint8)
    return replace(volume, data=planes, channels=tuple(name for _, _, name in segments))


def _refuse_lies(path: Path, header: Mapping[str, Any]) -> None:
    """Before anything is unpacked: a header that does not fit what is stored, and more voxels than memory."""
    axes, vectors = len(header["sizes"]), header.get("space directions")
    if any(len(header.get(name, header["sizes"])) != axes for name in _EACH):
        raise ValueError("the header does not describe each axis once")
    if vectors is not None and len(header.get("space origin", vectors[0])) != len(vectors[0]):
        raise ValueError("the origin and the directions lie in different spaces")
    voxels = math.prod(int(n) for n in header["sizes"])
    stored = (path.parent / str(header.get("data file", header.get("datafile", path.name)))).stat().st_size
    packed = str(header["encoding"]).lower() in ("gzip", "gz", "bzip2", "bz2")
    if (packed and stored > 8 * voxels + 2**20) or int(header.get("line skip", header.get("lineskip", 0))) > stored:
        raise ValueError("the file holds something else than the header says")
    if voxels > psutil.virtual_memory().available:
        raise SegError(
            f"{path.name} claims to hold {voxels} voxels, more than fit in memory; save a smaller part of it."
        )


def write(volume: Volume, path: Path) -> None:
    """Write an image or a mask; one that comes from an NRRD file goes back into exactly the grid of that file."""
    if path.name.lower().endswith(".nhdr"):
        raise SegError("A mask is written as one file; end the name with .nrrd instead of .nhdr.")
    grid = grid_of_source(volume) or grid_of_volume(volume)
    reorder: Reorder = grid.pop("reorder")
    lead = "".join(axis for axis in "TC" if axis in volume.axes)
    data = as_stored(compact(np.asarray(volume.data)), volume, reorder)
    deep = max(volume.ndim, len(grid.get("directions", ())))  # a slice in a patient has a z, or ITK does not read it
    if deep == 2:
        data = data.squeeze(len(lead) + 2)
    # in memory, slowest first: the bytes of the file
    space = [len(lead) + k for k in range(deep)]
    samples = [data.ndim - 1] if "S" in volume.axes else []
    data = data.transpose([*range(len(lead)), *reversed(space), *samples])
    before, after = len(samples), len(lead)
    kinds = ["RGBA-color" if data.shape[-1] == 4 else "RGB-color"] * before + ["domain"] * deep + ["list"] * after
    lines = [
        "NRRD0005",
        f"type: {_type(data)}",
        f"dimension: {data.ndim}",
        *(f"{name}: {grid[name]}" for name in ("space", "space dimension") if name in grid),
        f"sizes: {' '.join(str(n) for n in reversed(data.shape))}",
        *_spaced(grid, before, after),
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        *([f"space origin: {_vector(grid['origin'])}"] if "origin" in grid else []),
        *([f"{_AXES}:={volume.axes}"] if "T" in lead or deep > volume.ndim else []),
        *([f"{MADE}:={_escaped(volume.made_text)}"] if volume.made else []),
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


def _escaped(text: str) -> str:
    """As the value of a key must be written, in which a backslash begins an escape."""
    return text.replace("\\", "\\\\")


def _vector(values: Sequence[float]) -> str:
    return "(" + ",".join(repr(float(value)) for value in values) + ")"


def _said_axes(header: Mapping[str, Any], stored: NDArray[Any]) -> str:
    """The axes of the volume that we wrote into this file; empty where it does not say, or says what cannot be."""
    said = str(header.get(_AXES, ""))
    if not is_axes(said) or stored.ndim not in (len(said), len(said) + ("Z" not in said)):
        return ""
    names = _of_volume(said, stored.ndim)
    flat = "Z" in names and "Z" not in said
    return "" if flat and stored.shape[names.index("Z")] != 1 else said


def _of_volume(axes: str, ndim: int) -> str:
    """The letters of a file of ``ndim`` dimensions that holds a volume of these axes, the fastest first."""
    lead = "".join(axis for axis in axes if axis in "TC")
    samples = "S" if "S" in axes else ""
    return samples + "XYZ"[: ndim - len(lead) - len(samples)] + lead[::-1]


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
                f"The axes {asked!r} do not fit {path.name} (shape {stored.shape}); name the dimensions in their order "
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
