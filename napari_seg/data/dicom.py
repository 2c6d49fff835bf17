"""DICOM: a folder of series, nested or not, with strays among them, or one file of a series. Read only.

``series`` chooses by the key of a stack: the SeriesInstanceUID, followed by ``#2`` and so on where a series holds
several volumes. Slices become a volume by their positions (see :mod:`~napari_seg.data.dicom_stack`), with empty
slices where some are missing; films and photographs become ``TYX``, ``YX`` or ``YXS``, a segmentation object becomes a
mask. Values are rescaled by the slope and intercept of the file; whole numbers stay whole. Padding outside the scanned
field is kept from distorting the contrast (see :mod:`~napari_seg.data.dicom_padding`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels import apply_color_lut

from napari_seg.data import dicom_jpeg, dicom_seg
from napari_seg.data.dicom_frames import BROKEN, Frame, files_in, frames_of, is_dicom, lenient
from napari_seg.data.dicom_padding import padding_in, tamed
from napari_seg.data.dicom_stack import Stack, grid_of, stacks
from napari_seg.data.geometry import Reorder, spacing_of, tilt_notes, to_display, to_display_flat
from napari_seg.data.intensity import rescaled, strange_values
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import Choice, ChoiceNeeded, SegError

_AS_READ = Reorder((0, 1, 2), (False, False, False))


def claims(path: Path) -> bool:
    if path.is_dir():
        return next(files_in(path, nested=True), None) is not None
    return path.is_file() and (path.name.lower().endswith((".dcm", ".dicom", ".ima")) or is_dicom(path))


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """See :class:`~napari_seg.data.formats.Codec`; DICOM names its dimensions, so ``axes`` may only say the same."""
    found, notes = _find(path)
    stack = _choose(path, found, series)
    if stack.first.tiled:
        raise SegError(f"{stack.first.path.name} is a slide in tiles; convert it to OME-TIFF or OME-Zarr.")
    if "MOSAIC" in str(stack.first.marks.get("ImageType", "")):
        raise SegError(f"{stack.first.path.name} packs its slices into a mosaic; convert the series to NIfTI.")
    volume = dicom_seg.read(stack) if stack.first.modality == "SEG" else _read_images(stack)
    if axes is not None and axes.upper() != volume.axes:
        raise SegError(f"{path.name} is DICOM with the axes {volume.axes}, not {axes}; leave the axes out.")
    source = volume.source or Source(path, "dicom")
    return Volume(
        data=volume.data,
        axes=volume.axes,
        spacing=volume.spacing,
        unit=volume.unit,
        affine=volume.affine,
        channels=volume.channels,
        name=stack.first.description or path.name.removesuffix(".dcm"),
        source=Source(path, "dicom", stack.key, stack.first.modality, source.reorder, source.header),
        notes=(*notes, *stack.notes, *volume.notes),
    )


def write(volume: Volume, path: Path) -> None:
    raise SegError(f"Masks are not written as DICOM; end the name {path.name} with .nii.gz instead.")


def patient(path: str | Path, *, series: str = "") -> Mapping[str, str]:
    """Name and ID of the patient (``{"name": ..., "id": ...}``), read now and kept nowhere.

    ``path`` and ``series`` are those of a volume's source; without ``series`` the first image file counts.
    """
    found, _ = _find(Path(path))
    stack = next((stack for stack in found if stack.key == series), found[0])
    with lenient():
        header = pydicom.dcmread(stack.first.path, force=True, specific_tags=["PatientName", "PatientID"])
        return {"name": str(header.get("PatientName") or ""), "id": str(header.get("PatientID") or "")}


def _find(path: Path) -> tuple[list[Stack], tuple[str, ...]]:
    """The stacks of a folder, or those of one file and what belongs to it."""
    if path.name.upper() == "DICOMDIR" and path.is_file():
        path = path.parent
    if path.is_file():
        try:
            own = frames_of(path)
        except BROKEN as error:
            raise _broken(path) from error
        if not own:
            raise SegError(f"{path.name} holds no image; choose a DICOM file with pixels.")
        if len(own) > 1 or own[0].frames > 1 or own[0].modality == "SEG":
            return stacks(own), ()
        frames, notes = _frames_in(path.parent, own[0].series)
        frames.sort(key=lambda frame: frame.path != path)  # of copies, the one that was asked for counts
        return [stack for stack in stacks(frames) if any(f.path == path for t in stack.times for f in t)], notes
    frames, notes = _frames_in(path, None)
    if not frames:
        raise SegError(f"The DICOM files in {path} hold no image that can be read; choose another folder.")
    return stacks(frames), notes


def _frames_in(folder: Path, series: str | None) -> tuple[list[Frame], tuple[str, ...]]:
    frames: list[Frame] = []
    broken = 0
    for path in files_in(folder, nested=series is None):
        try:
            frames += (frame for frame in frames_of(path) if series in (None, frame.series))
        except PermissionError:
            raise
        except BROKEN:
            broken += 1
    if not broken:
        return frames, ()
    what, were = ("1 DICOM file", "was") if broken == 1 else (f"{broken} DICOM files", "were")
    return frames, (f"{what} could not be understood and {were} left out.",)


def _choose(path: Path, found: Sequence[Stack], series: str | None) -> Stack:
    choices = tuple(Choice(stack.key, stack.title) for stack in found)
    if series is not None:
        chosen = next((stack for stack in found if stack.key == series), None)
        if chosen is None:
            raise ChoiceNeeded(f"There is no series {series} in {path.name}; choose one.", "series", choices)
        return chosen
    if len(found) > 1:
        raise ChoiceNeeded(f"{path.name} holds {len(found)} series; choose one.", "series", choices)
    return found[0]


def _read_images(stack: Stack) -> Volume:
    frames = [frame for time in stack.times for frame in time]
    data, notes = _pixels(frames)
    data = data.reshape(len(stack.times), len(stack.times[0]), *data.shape[1:])
    letters = "TZYX" + "S" * (data.ndim - 4)
    first, grid = stack.first, grid_of(stack.times[0])
    notes += strange_values(data[0])
    if grid is not None:
        data = _with_empty_slices(data, grid.places)
    flat = data.shape[1] == 1
    if stack.is_over_time:
        data, letters, flat = data[0], "TYX" + letters[4:], True
    elif flat:
        data, letters = data[:, 0], "TYX" + letters[4:]
    reorder, affine = _AS_READ, None
    if grid is not None:
        notes += grid.notes + tilt_notes(grid.affine)
        box = (1, first.shape[0], first.shape[1]) if flat else (data.shape[1], *first.shape[:2])
        reorder = to_display_flat(grid.affine, normal=0) if flat else to_display(grid.affine)
        affine = reorder.affine(grid.affine, box)
        order = reorder.in_plane if flat else reorder
        data = np.ascontiguousarray(order.within(data.ndim, 1).apply(data))
    if data.shape[0] == 1:
        data, letters = data[0], letters[1:]
    spacing = _spacing(stack, affine, flat)
    if first.spacing_kind:
        notes += (f"The spacing was measured {first.spacing_kind}, not in the patient.",)
    header: dict[str, Any] = {"windows": _windows(frames, data.dtype)}
    source = Source(first.path, "dicom", reorder=reorder, header=header)
    return Volume(data, letters, spacing, "mm" if spacing else "pixel", affine, source=source, notes=notes)


def _with_empty_slices(data: NDArray[Any], places: tuple[int, ...]) -> NDArray[Any]:
    """The slices (axis 1) at their places, with the lowest value that there is where slices are missing."""
    if len(places) == places[-1] + 1:
        return data
    measured = data[np.isfinite(data)] if data.dtype.kind == "f" else data
    low = measured.min() if measured.size else 0
    full = np.full((len(data), places[-1] + 1, *data.shape[2:]), low, data.dtype)
    full[:, list(places)] = data
    return full


def _spacing(stack: Stack, affine: NDArray[np.float64] | None, flat: bool) -> tuple[float, ...] | None:
    if affine is not None:
        return tuple(spacing_of(affine).tolist())[flat:]
    first = stack.first
    if first.spacing is None or (not flat and first.between is None):
        return None
    return first.spacing if flat else (first.between or 1.0, *first.spacing)


def _pixels(frames: Sequence[Frame]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The values of the frames, rescaled, along a new first axis, and what a person should know of them."""
    by_file: dict[Path, list[int]] = defaultdict(list)
    for place, frame in enumerate(frames):
        by_file[frame.path].append(place)
    planes: list[NDArray[Any]] = [np.empty(0)] * len(frames)
    padding: dict[int, NDArray[np.bool_]] = {}
    for path, places in by_file.items():
        decoded, padded = _decoded(path, [frames[place].index for place in places])
        for number, place in enumerate(places):
            planes[place] = decoded[number]
            if padded is not None:
                padding[place] = padded[number]
    data, notes = _measured(frames, planes)
    if padding:
        none = np.zeros(planes[0].shape, bool)
        data, more = tamed(data, np.stack([padding.get(place, none) for place in range(len(frames))]))
        notes += more
    return data, notes


def _measured(frames: Sequence[Frame], planes: list[NDArray[Any]]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """From the stored values to those that were measured."""
    scales = {frame.scale for frame in frames}
    first = frames[0]
    if len(scales) > 1:
        planes = [
            plane.astype(np.float32) * frame.scale[0] + frame.scale[1]
            for plane, frame in zip(planes, frames, strict=True)
        ]
        return np.stack(planes), ()
    data = np.stack(planes)
    if first.color != "MONOCHROME1":
        return rescaled(data, *first.scale), ()
    if first.scale != (1.0, 0.0):
        return rescaled(data, *first.scale), (
            "The file asks for low values to be shown bright; the values are as measured.",
        )
    top = data.max() if data.dtype.kind == "f" else (2 ** _bits(first.path) - 1 if data.dtype.kind == "u" else -1)
    return (top - data).astype(data.dtype), (
        "Low values are meant to be bright in this file; the values were inverted.",
    )


def _windows(frames: Sequence[Frame], dtype: np.dtype[Any]) -> tuple[tuple[float, float], ...]:
    """Level and width of the windows of a file, in its values as they are read: inverted where those are."""
    first = frames[0]
    if first.color != "MONOCHROME1" or {frame.scale for frame in frames} != {(1.0, 0.0)}:
        return first.windows
    if dtype.kind == "f":
        return ()
    top = 2 ** _bits(first.path) - 1 if dtype.kind == "u" else -1
    return tuple((top - level, width) for level, width in first.windows)


def _bits(path: Path) -> int:
    return int(pydicom.dcmread(path, force=True, specific_tags=["BitsStored"]).BitsStored)


def _decoded(path: Path, indices: Sequence[int]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """The stored values of some frames of a file, and where they are padding."""
    try:
        with lenient():
            dataset = pydicom.dcmread(path, force=True)
            if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
                raise SegError(f"{path.name} has no pixels or ends before them; get the file anew.")
            if "TransferSyntaxUID" not in dataset.file_meta:
                dataset.file_meta.TransferSyntaxUID = _syntax(dataset)
            array = dicom_jpeg.pixels(dataset)
            if dataset.PhotometricInterpretation == "PALETTE COLOR":
                array = _eight_bits(apply_color_lut(array, dataset))
            samples = int(dataset.get("SamplesPerPixel", 1)) > 1 or dataset.PhotometricInterpretation == "PALETTE COLOR"
    except PermissionError:
        raise
    except BROKEN as error:
        raise _broken(path) from error
    if array.ndim == 2 + samples:
        array = array[None]
    if max(indices) >= len(array):
        raise _broken(path)
    chosen = array[list(indices)]
    return chosen, None if samples else padding_in(dataset, chosen)


def _eight_bits(colors: NDArray[Any]) -> NDArray[Any]:
    return (colors >> 8).astype(np.uint8) if colors.dtype == np.uint16 else colors


def _syntax(dataset: Any) -> Any:
    implicit, little = dataset.original_encoding
    if implicit:
        return pydicom.uid.ImplicitVRLittleEndian
    return pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian


def _broken(path: Path) -> SegError:
    return SegError(f"{path.name} is damaged or compressed in a way that cannot be read; get the file anew.")
