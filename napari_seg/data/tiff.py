"""TIFF, BigTIFF, OME-TIFF, ImageJ stacks and LSM, read by tifffile; masks and images are written as OME-TIFF.

Values are never rescaled: a palette and an inverted grey scale ("white is zero") are noted and the numbers kept.
Images over :data:`LAZY` bytes stay on disk and are read where they are looked at.
"""

from __future__ import annotations

import json
import logging
import math
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from tifffile import TiffFile, TiffPageSeries

from napari_seg.data.axes import arrange, name_axes
from napari_seg.data.lazy import LazyView
from napari_seg.data.tiff_metadata import NAMESPACE, declared_planes, metadata
from napari_seg.data.unchanged import marks
from napari_seg.data.units import spacing_from
from napari_seg.data.volume import AXES, MADE, SHOWN, Source, Volume, labels_dtype
from napari_seg.errors import Choice, ChoiceNeeded, SegError

LAZY = 512 * 2**20
"""An image with more bytes than this is not read into memory at once."""

_BOMB = 10_000
"""No honest compression makes a file this many times smaller; beyond it a large declared size is refused."""

_PLANES = 10_000_000
"""No OME-TIFF has more planes."""

_ORIENTATION = 274
"""The tag that asks viewers to turn an image, from 2 to 8. Photo viewers do so; ImageJ, napari and tifffile do not."""

_ASKED = (
    "The file asks viewers to turn the image, which ImageJ and napari do not do; it was read as it is stored, and a "
    "mask that is written as TIFF asks for the same."
)

_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".tf2", ".lsm")
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its doubts are not for standard error


def claims(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(132)
    dicom = start[128:] == b"DICM"  # whose first bytes may be those of a TIFF, for programs that know only that
    return (start[:4] in _MAGIC and not dicom) or path.name.lower().endswith(_SUFFIXES)


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """``series`` is the number of an image in the file, from 0. ``axes`` are those of the array in the file."""
    with _damaged(path):
        file = TiffFile(path)
    kept = False
    try:
        with _damaged(path):
            if declared_planes(file.ome_metadata or "") > _PLANES:
                raise SegError(f"{path.name} claims to hold more than {_PLANES} planes; get it from where it was made.")
            images = [image for image in file.series if image.shape and 0 not in image.shape]
        index = _choose(path, images, series)
        volume, kept = _volume(path, file, images, index, axes)
    finally:
        if not kept:
            file.close()
    return volume


def write(volume: Volume, path: Path) -> None:
    """An OME-TIFF with axes, voxel size and channel names, compressed; labels in the smallest type that holds them."""
    if volume.affine is not None:
        raise SegError("A TIFF cannot say where the image lies in the patient; end the name with .nii.gz or .nrrd.")
    data = _storable(np.asarray(volume.data), path)
    said: dict[str, Any] = {"axes": volume.axes, "MapAnnotation": {"Namespace": NAMESPACE, "axes": volume.axes}}
    if volume.made:
        said["MapAnnotation"][MADE] = volume.made_text
    if volume.name:
        said["Name"] = volume.name
    if volume.channels and "S" not in volume.axes:
        said["Channel"] = {"Name": list(volume.channels)}
    if volume.spacing is not None:
        for axis, size in zip(volume.spatial, volume.spacing, strict=True):
            said[f"PhysicalSize{axis}"] = size
            said[f"PhysicalSize{axis}Unit"] = _named(volume.unit)
    if volume.translate is not None:
        steps = volume.spacing or (1.0,) * volume.ndim
        said["MapAnnotation"][SHOWN] = json.dumps([at / step for at, step in zip(volume.translate, steps, strict=True)])
        said["Plane"] = _positions(volume, volume.translate)
    if volume.interval is not None and "T" in volume.axes:
        said |= {"TimeIncrement": volume.interval, "TimeIncrementUnit": "s"}
    tifffile.imwrite(
        path,
        data,
        ome=True,
        bigtiff=data.nbytes > 2**31,
        photometric="rgb" if "S" in volume.axes else "minisblack",
        compression="zlib",
        predictor=data.dtype.kind in "ui" and "C" not in volume.axes,
        tile=(512, 512) if min(volume.grid[-2:]) > 2048 else None,
        metadata=said,
        extratags=[(_ORIENTATION, 3, 1, turned, False)] if (turned := _turned(volume)) else (),
    )


def _named(unit: str) -> str:
    return "µm" if unit == "um" else unit


def _shown(voxels: tuple[float, ...], spacing: tuple[float, ...] | None) -> tuple[float, ...] | None:
    steps = spacing or (1.0,) * len(voxels)
    return tuple(at * step for at, step in zip(voxels, steps, strict=False)) or None


def _positions(volume: Volume, translate: tuple[float, ...]) -> dict[str, list[Any]]:
    """Where each plane lies, for other programs."""
    lead = [axis for axis in volume.axes if axis in "TCZ"]
    planes = list(np.ndindex(*(volume.size(axis) for axis in lead)))
    said: dict[str, list[Any]] = {}
    for k, axis in enumerate(volume.spatial):
        step = volume.spacing[k] if volume.spacing else 1.0
        number = [plane[lead.index(axis)] if axis in lead else 0 for plane in planes]
        said[f"Position{axis}"] = [translate[k] + step * n for n in number]
        said[f"Position{axis}Unit"] = [_named(volume.unit)] * len(planes)
    return said


def _turned(volume: Volume) -> int:
    """How viewers are asked to turn the image of a mask, so that both are shown alike; 0 where they are not asked."""
    return int(volume.source.header.get("orientation", 0)) if volume.source and volume.source.format == "tiff" else 0


def _choose(path: Path, images: list[TiffPageSeries], series: str | None) -> int:
    if not images:
        raise SegError(f"{path.name} holds no image; check where it comes from.")
    if series is None and len(images) == 1:
        return 0
    titles = [
        Choice(str(k), f"{image.name or f'Image {k}'}: {' x '.join(map(str, image.shape))}")
        for k, image in enumerate(images)
    ]
    if series is None:
        raise ChoiceNeeded(
            f"{path.name} holds {len(images)} images; choose one, such as series=0 for {titles[0].title}.",
            "series",
            tuple(titles),
        )
    named = [k for k, image in enumerate(images) if series in (str(k), image.name)]
    if not named:
        raise SegError(f"{path.name} has no image {series!r}; choose one from 0 to {len(images) - 1}.")
    return named[0]


def _volume(
    path: Path, file: TiffFile, images: list[TiffPageSeries], index: int, axes: str | None
) -> tuple[Volume, bool]:
    """The volume, and whether its data needs the file to stay open."""
    image = images[index]
    with _damaged(path):
        said = metadata(file, image, index)
        _whole(path, image)
        turned = image.keyframe.tags.valueof(_ORIENTATION)
        header = {"orientation": turned} if turned in range(2, 9) else {}
        promised = (file.imagej_metadata or {}).get("images", 1) if len(images) == 1 else 1
        if math.prod(image.shape[: -2 - ("S" in image.axes)]) < promised:
            raise SegError(f"{path.name} is cut off: it lacks some of its {promised} images; get the file again.")
    shape, found = _dimensions(image, said.axes, axes)
    letters = name_axes(found, shape, axes, path.name)
    levels = []
    for level in image.levels:
        with _damaged(path):
            data = _pixels(path, file, image, level)
            full, _ = _dimensions(level, said.axes if level is image else "", None)
            if data.ndim != len(letters):
                data = data.reshape(full if len(full) == len(letters) else shape)
        levels.append(_colours(data, letters, image, path))
    data, ordered, notes = levels[0]
    spacing, unit, doubts = spacing_from(said.lengths, "".join(axis for axis in ordered if axis in "ZYX"))
    channels = said.channels if "C" in ordered and len(said.channels) == data.shape[ordered.index("C")] else ()
    volume = Volume(
        data,
        ordered,
        spacing=spacing,
        unit=unit,
        channels=channels,
        name=path.name.removesuffix(path.suffix).removesuffix(".ome"),
        source=Source(path, "tiff", str(index) if len(images) > 1 else "", header=header),
        notes=(*said.notes, *doubts, *notes, *([_ASKED] if header else []), *_gaps(image), *_not_finite(data)),
        levels=tuple(level for level, _, _ in levels[1:]),
        interval=said.interval if "T" in ordered else None,
        translate=_shown(said.shown, spacing),
    )
    return volume, any(isinstance(level, LazyView) for level, _, _ in levels)


def _dimensions(image: TiffPageSeries, ours: str, answer: str | None) -> tuple[tuple[int, ...], str]:
    """Shape and letters of the array in the file, without the unnamed dimensions of length 1 unless they were named."""
    full, letters = image.get_shape(squeeze=False), image.get_axes(squeeze=False)
    if (
        ours
        and set(ours) <= set(letters)
        and all(n == 1 or letter in ours for letter, n in zip(letters, full, strict=True))
    ):
        return tuple(full[letters.index(axis)] for axis in letters if axis in ours), "".join(
            a for a in letters if a in ours
        )
    shape, letters = image.shape, image.axes
    if answer is not None and len(answer) == len(shape):
        return shape, letters
    kept = [k for k, letter in enumerate(letters) if shape[k] > 1 or letter in AXES]
    return tuple(shape[k] for k in kept), "".join(letters[k] for k in kept)


def _pixels(path: Path, file: TiffFile, image: TiffPageSeries, level: TiffPageSeries) -> Any:
    if level.size * level.dtype.itemsize <= LAZY:
        data: NDArray[Any] = level.asarray()
        return data.view(np.uint8) if data.dtype == bool else data
    if level is image and level.dataoffset is not None and level.dtype != bool and len(file.series) == 1:
        return np.memmap(path, level.dtype.newbyteorder(file.byteorder), "r", level.dataoffset, level.shape)
    whole_pages = not level.keyframe.is_tiled and level.keyframe.nbytes < 2**26
    store = level.aszarr(level=0, chunkmode=2 if whole_pages else 0)
    array = zarr.open_array(store, mode="r")
    weakref.finalize(array, file.close)
    return LazyView(array, path.name, marks([file.filehandle.fileno()]))


def _whole(path: Path, image: TiffPageSeries) -> None:
    """Refuse a file that lacks some of its pixels, and one that claims to be far larger than it can be."""
    declared = image.size * image.dtype.itemsize
    held = 0
    for page in image.pages:
        if page is None:
            continue
        size = page.parent.filehandle.size
        held = max(held, size)
        ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False) if count]
        if image.dataoffset is not None and page is image.pages[0]:
            ends.append(image.dataoffset + declared)
        if ends and max(ends) > size:
            raise SegError(f"{path.name} is cut off: it ends before its pixels do; get the file again.")
        parts, listed = math.prod(page.chunked), min(len(page.dataoffsets), len(page.databytecounts))
        if listed < parts and not page.is_contiguous:
            raise SegError(f"{path.name} is damaged: it lists {listed} of its {parts} tiles; get the file again.")
    if declared > LAZY and declared > _BOMB * held:
        raise SegError(
            f"{path.name} claims to hold {declared / 2**30:.0f} GiB in a file of {held / 2**10:.0f} KiB; "
            "it is damaged or not honest, get it from where it was made."
        )


def _colours(data: Any, letters: str, image: TiffPageSeries, path: Path) -> tuple[Any, str, tuple[str, ...]]:
    """Bring the axes in order, with three colours along S; what else lies along S is dropped (alpha) or a channel."""
    page = image.keyframe
    photometric = tifffile.PHOTOMETRIC(page.photometric).name if page.photometric in list(tifffile.PHOTOMETRIC) else ""
    notes: tuple[str, ...] = ()
    if photometric == "PALETTE":
        notes = ("The file shows its numbers in colours (a palette); the numbers were kept.",)
    if photometric == "MINISWHITE":
        notes = ("The file shows its numbers inverted (white is zero); the numbers were kept.",)
    if "S" in letters:
        at = letters.index("S")
        extra = tuple(page.extrasamples)
        colours = data.shape[at] - len(extra)
        alpha = len(extra) == 1 and (int(extra[0]) in (1, 2) or photometric == "RGB")
        if alpha and colours in (1, 3):
            notes = (*notes, "The transparency (alpha) of the image was left out.")
            data = _cut(data, at, colours)
        if (
            photometric == "SEPARATED"
            and data.shape[at] == 4
            and isinstance(data, np.ndarray)
            and data.dtype.kind == "u"
        ):
            notes = (*notes, "The colours were converted from CMYK to RGB.")
            data = _from_cmyk(data, at)
        if data.shape[at] == 1:
            data, letters = data[(slice(None),) * at + (0,)], letters[:at] + letters[at + 1 :]
        elif data.shape[at] != 3 or (photometric in ("MINISBLACK", "MINISWHITE") and "S" in image.axes):
            if "C" in letters:
                raise SegError(
                    f"{path.name} has channels of {data.shape[at]} samples each; save each channel in its own file."
                )
            letters = letters.replace("S", "C")
    data, letters = arrange(data, letters)
    return data, letters, notes


def _cut(data: Any, axis: int, size: int) -> Any:
    if isinstance(data, LazyView):
        return data.cut(axis, size)
    return data[(slice(None),) * axis + (slice(size),)]


def _from_cmyk(data: NDArray[Any], axis: int) -> NDArray[Any]:
    white = np.iinfo(data.dtype).max
    inks = (white - np.moveaxis(data, axis, -1)).astype(np.float32) / white
    return np.moveaxis(np.rint(inks[..., :3] * inks[..., 3:] * white).astype(data.dtype), -1, axis)


def _gaps(image: TiffPageSeries) -> tuple[str, ...]:
    missing = sum(page is None for page in image.pages)
    if not missing:
        return ()
    return (f"{missing} of {len(image.pages)} planes are in files that are missing; they were read as 0.",)


def _not_finite(data: Any) -> tuple[str, ...]:
    if not isinstance(data, np.ndarray) or isinstance(data, np.memmap) or data.dtype.kind not in "fc":
        return ()
    bad = data.size - int(np.count_nonzero(np.isfinite(data)))
    return (f"{bad} values are not numbers or infinite; they were kept.",) if bad else ()


def _storable(data: NDArray[Any], path: Path) -> NDArray[Any]:
    """The array in a type that OME-TIFF knows, with the same values."""
    if data.dtype.kind == "b":
        return data.view(np.uint8)
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype.kind == "c" or data.dtype.kind not in "uif":
        raise SegError(f"{path.name} cannot hold values of type {data.dtype}; write whole or real numbers.")
    if data.dtype.itemsize == 8 and data.dtype.kind in "ui":
        low, high = int(data.min()), int(data.max())
        if low < -(2**31) or high >= 2**32 or (low < 0 and high >= 2**31):
            raise SegError(
                f"A TIFF holds whole numbers up to {2**32 - 1}, these reach {high}; end the name with .nii.gz."
            )
        return data.astype(np.int32 if low < 0 else labels_dtype(high))
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """The many errors of tifffile and of the decoders as one sentence; nothing else runs in here."""
    try:
        yield
    except SegError:
        raise
    except Exception as error:
        raise SegError(f"{path.name} is no TIFF, or damaged; get the file again.") from error
