"""NIfTI: ``.nii`` and ``.nii.gz``, versions 1 and 2.

A file stores its dimensions in the order x, y, z, time, vector. ``axes`` names them in that order: ``"XYZT"`` for
volumes over time, ``"XYZC"`` for channels. The fourth dimension is time where the header gives a unit and a step of
time; otherwise it is asked for. The fifth is always channels. Trailing dimensions of length 1 are dropped, and a file
with a single slice is a 2D image.

The place of a volume comes from the sform, else from the qform, as the standard says; where neither is set the sides
of the patient are not known, and the volume has spacing but no affine. Everything a mask needs to lie in the same
place for every other program is kept as it is in ``Source.header``. How a mask was made is written as a comment
extension behind the header (code 6), and in short as the description.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, cast

import nibabel as nib
import numpy as np
import psutil
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from napari_seg.data.geometry import Reorder
from napari_seg.data.intensity import compact, rescaled
from napari_seg.data.nifti_grid import grid_of_source, grid_of_volume, place_of
from napari_seg.data.place import as_stored, upright
from napari_seg.data.units import seconds
from napari_seg.data.volume import Volume
from napari_seg.errors import Choice, ChoiceNeeded, SegError

_TIME_UNITS = {8: "s", 16: "ms", 24: "us"}
_MAPPED_FROM = 256 * 2**20  # bytes from which an uncompressed file is mapped instead of loaded
_COMMENT = 6  # the code of an extension that holds a text
_REST = 16  # MiB that may follow the voxels


def claims(path: Path) -> bool:
    return path.is_file() and path.name.lower().endswith((".nii", ".nii.gz"))


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """See :class:`~napari_seg.data.formats.Codec`; a file holds one image, so ``series`` means nothing here."""
    with _plain_errors(path):
        header = _read_header(path)
        stored = _read_data(path, header)
    stored, names = _named(stored, _file_axes(path, header, axes))
    stored = rescaled(stored, float(header["scl_slope"]), float(header["scl_inter"]))
    name = path.name[: -7 if path.name.lower().endswith(".gz") else -4]
    volume = upright(stored, names, place_of(header, "Z" not in names), name, path, "nifti")
    return replace(volume, interval=_interval(header)) if "T" in names else volume


def write(volume: Volume, path: Path) -> None:
    """Write an image or a mask; one that comes from a NIfTI file goes back into exactly the grid of that file."""
    header, reorder, shape = grid_of_source(volume) or grid_of_volume(volume)
    stored = _to_file(volume, reorder)
    short = [axis for axis in volume.axes if axis in "TC" and volume.size(axis) == 1]
    short += ["Z"] * ("Z" in volume.axes and stored.shape[2] == 1)  # as a file stores it, and not as it is shown
    if short:
        raise SegError(
            f"NIfTI does not keep an axis of length 1; leave out {', '.join(short)} or write another format."
        )
    same = shape if all(n == 1 for n in shape[3:]) else shape[:3]
    if not set(volume.axes) & set("TC") and math.prod(same) == stored.size:
        stored = stored.reshape(same)
    if "T" in volume.axes:
        _say_interval(header, volume.interval)
    if "C" in volume.axes:
        header["intent_code"] = 1007  # a vector of values at each voxel
    pixdim = np.array(header["pixdim"])
    header.set_data_shape(stored.shape)
    header.set_data_dtype(stored.dtype)
    header["pixdim"] = pixdim
    header["scl_slope"], header["scl_inter"] = 1, 0
    extension = _extension(volume.made_text)
    header["vox_offset"] = header.single_vox_offset + len(extension)
    if volume.made:
        said = " ".join(str(volume.made[key]) for key in ("program", "model") if volume.made.get(key))
        header["descrip"] = said.encode("ascii", "replace")[:79]
    with path.open("xb") as raw:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=raw, mtime=0) as packed:
                _write_stream(packed, header, extension, stored)
        else:
            _write_stream(raw, header, extension, stored)


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise
    except (EOFError, zlib.error, OSError, HeaderDataError) as error:
        raise SegError(f"{path.name} is damaged; get the file anew.") from error  # napari cuts what is longer


def _is_packed(path: Path) -> bool:
    """Whether the first bytes are those of gzip; the name may be wrong about it."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if _is_packed(path) else path.open("rb")


def _read_header(path: Path) -> Any:
    """The header as it stands in the file, unchecked and uncorrected."""
    with _opened(path) as file:
        block = file.read(540)
    kind = nib.Nifti2Header if block[4:7] == b"n+2" else nib.Nifti1Header
    if len(block) < kind.sizeof_hdr or (kind is nib.Nifti1Header and block[344:347] != b"n+1"):
        raise SegError(f"{path.name} is not a NIfTI file, whatever its name says; get the file anew.")
    header = kind(block[: kind.sizeof_hdr], check=False)
    if not 1 <= int(header["dim"][0]) <= 7 or min(header["dim"][1 : int(header["dim"][0]) + 1]) < 0:
        raise SegError(
            f"The header of {path.name} makes no sense (dimensions {list(header['dim'])}); get the file anew."
        )
    return header


def _read_data(path: Path, header: Any) -> NDArray[Any]:
    """The voxels as stored, axes in the order of the file, RGB as a last axis; native byte order."""
    shape = tuple(int(n) for n in header.get_data_shape())
    try:
        dtype, offset = header.get_data_dtype(), int(header["vox_offset"])
    except (KeyError, ValueError, OverflowError) as error:
        raise SegError(f"The header of {path.name} makes no sense; get the file anew.") from error
    if not dtype.itemsize:
        raise SegError(f"The header of {path.name} makes no sense (it names no type of values); get the file anew.")
    if dtype.kind == "c":
        raise SegError(f"{path.name} holds complex numbers; save their magnitude as an image.")
    size = math.prod(shape) * dtype.itemsize
    if offset < header.sizeof_hdr:
        raise SegError(f"The header of {path.name} makes no sense (voxels start at byte {offset}); get the file anew.")
    packed = _is_packed(path)
    if offset + size > path.stat().st_size * (1100 if packed else 1):  # deflate packs 1 : 1032 at best
        raise EOFError(f"it should hold {size} bytes of voxels")
    if packed and size > psutil.virtual_memory().available:
        raise SegError(
            f"{path.name} needs {size / 2**30:.1f} GiB, more memory than is free; "
            "unpack it to a .nii file, which is read in parts."
        )
    if packed or size < _MAPPED_FROM:
        with _opened(path) as file:
            file.read(offset)
            stored = np.frombuffer(_bytes(file, size), dtype).reshape(shape, order="F")
    else:
        stored = np.memmap(path, dtype, "c", offset, shape, order="F")
    if dtype == np.longdouble:
        return stored.astype(np.float64)
    return stored if dtype.isnative else stored.astype(dtype.newbyteorder("="))


def _bytes(file: IO[bytes], size: int) -> bytearray:
    """So many bytes, read on to the end of the file, where gzip keeps its checksum, unless that is far off."""
    found = bytearray()
    while len(found) < size and (part := file.read(min(2**24, size - len(found)))):
        found += part
    if len(found) < size:
        raise EOFError(f"{size} bytes of voxels are promised, {len(found)} are there")
    for _ in range(_REST):
        if not file.read(2**20):
            break
    return found


def _file_axes(path: Path, header: Any, asked: str | None) -> str:
    """One letter for each dimension that counts."""
    shape = list(header.get_data_shape())
    whole = len(shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if asked is not None:
        names = asked.upper()
        if len(names) not in (len(shape), whole) or len(set(names)) != len(names) or not _in_file_order(names):
            raise SegError(
                f"The axes {asked!r} do not fit {path.name} (shape {tuple(shape)}); name the dimensions in their order "
                "in the file, such as XYZT or XYZC."
            )
        return names[: len(shape)]
    if not 2 <= len(shape) <= 5:
        raise SegError(f"{path.name} has {len(shape)} dimensions; choose an image with 2 to 5.")
    if len(shape) == 4 and not _counts_time(header):
        raise ChoiceNeeded(
            f"{path.name} has a fourth dimension of {shape[3]} and does not say what it is; name the axes.",
            "axes",
            (Choice("XYZT", f"{shape[3]} points in time"), Choice("XYZC", f"{shape[3]} channels")),
        )
    return "XYZTC"[: len(shape)]


def _in_file_order(names: str) -> bool:
    return names.startswith("XY") and set(names) <= set("XYZTC") and names.find("Z") in (-1, 2)


def _counts_time(header: Any) -> bool:
    return _interval(header) is not None


def _interval(header: Any) -> float | None:
    """The seconds between volumes; ``None`` where the header gives no unit or no step of time."""
    unit = _TIME_UNITS.get(int(header["xyzt_units"]) & 0x38)
    return None if unit is None else seconds(f"{header['pixdim'][4]:.7g}", unit)  # it is a float32


def _say_interval(header: Any, interval: float | None) -> None:
    """In the unit that the header has; what nobody knows is 1 s, as the axis would not be one of time without it."""
    if _interval(header) is None:
        header["xyzt_units"] = (int(header["xyzt_units"]) & 0x07) | 8
        header["pixdim"][4] = 1
    if interval is not None:
        header["pixdim"][4] *= interval / (_interval(header) or 1)


def _named(stored: NDArray[Any], names: str) -> tuple[NDArray[Any], str]:
    """The array with one axis for each of ``names``, of which those that say nothing are dropped, and its axes."""
    stored = stored.reshape(stored.shape[: len(names)])
    if stored.dtype.names:  # colours
        samples = len(stored.dtype.names)
        stored, names = stored.T.view(np.uint8).reshape(*stored.shape[::-1], samples).T, "S" + names
    for axis in "Z" + "T" * ("TC" in names):
        if axis in names and stored.shape[names.index(axis)] == 1:
            stored, names = stored.squeeze(names.index(axis)), names.replace(axis, "")
    return stored, names


def _to_file(volume: Volume, reorder: Reorder) -> NDArray[Any]:
    """From the axes of a volume to x, y, z, time, vector; colours become a structured dtype, labels the smallest."""
    data, axes = np.asarray(volume.data), volume.axes
    if "S" in axes:
        if data.dtype != np.uint8 or data.shape[-1] not in (3, 4):
            raise SegError("NIfTI keeps colours as 3 or 4 bytes; convert the image to 8 bits or write another format.")
        data = np.ascontiguousarray(data).view([(name, np.uint8) for name in "RGBA"[: data.shape[-1]]])[..., 0]
    else:
        data = compact(data)
    lead = "".join(axis for axis in "TC" if axis in axes)
    data = as_stored(data, volume, reorder)
    data = data.transpose(*range(len(lead), data.ndim), *range(len(lead)))
    if lead == "C":
        data = np.expand_dims(data, 3)
    flat = volume.ndim == 2 and volume.affine is None  # a slice in a patient has a z, or ITK loses its place
    return data[..., 0] if flat and not lead else data


def _extension(text: str) -> bytes:
    """An extension with a comment: its size, a multiple of 16, its code and the text, which NULs fill up."""
    if not text:
        return b""
    size = -(-(8 + len(text)) // 16) * 16
    return struct.pack("<ii", size, _COMMENT) + text.encode("ascii").ljust(size - 8, b"\0")


def _write_stream(file: IO[bytes] | gzip.GzipFile, header: Any, extension: bytes, stored: NDArray[Any]) -> None:
    file.write(header.binaryblock)
    flags = bytes([bool(extension)])
    file.write(flags.ljust(header.single_vox_offset - header.sizeof_hdr, b"\0") + extension)
    for slab in stored.T:
        file.write(np.ascontiguousarray(slab).data)
