"""PNG and JPEG: pictures without a place or a size in the world.

The resolution in their headers is that of a screen or a printer and is ignored. Grey values of 1, 2 and 4 bits are
kept as the file holds them (0, 1, 2 ...), as masks are often stored so. JPEG changes values and is only read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from napari_seg.data.volume import MADE, Source, Volume, labels_dtype
from napari_seg.errors import SegError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_SUFFIXES = (".png", ".jpg", ".jpeg")
_FLAT = 0.9
"""A palette picture of which this part of neighbours are equal is a drawing of labels, not a photograph."""

PALETTE = ("indices", "colours")
"""What a picture with a palette can be read as; which of them is told, but not asked."""


def claims(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(8)
    return start == _PNG or start.startswith(_JPEG) or path.name.lower().endswith(_SUFFIXES)


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """``series`` chooses between the ``indices`` and the ``colours`` of a picture with a palette."""
    notes: list[str] = []
    with _damaged(path):
        header = path.read_bytes()[:32]
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            frames = getattr(picture, "n_frames", 1)
            turned = ImageOps.exif_transpose(picture)
            turned.load()
            mode, orientation = picture.mode, picture.getexif().get(0x0112, 1)
    bits, kind = (header[24], header[25]) if header.startswith(_PNG) else (8, -1)
    if frames > 1:
        notes.append(f"The file holds {frames} pictures; the first one was read.")
    if bits == 16 and kind != 0:  # Pillow would cut 16-bit colours to 8 bits
        with _damaged(path):
            data = _upright(imagecodecs.png_decode(path.read_bytes()), orientation)
        data, note = _without_alpha(data, kind in (4, 6))
    elif mode in ("P", "PA"):
        data, note = _palette(turned, series)
    else:
        data, note = _plain(turned, bits)
    if orientation in range(2, 9):
        notes.append("The picture was turned as its camera orientation (EXIF) says; masks lie on the turned picture.")
    notes.extend(note)
    found = "YXS" if data.ndim == 3 else "YX"
    if axes is not None and axes.upper() != found:
        raise SegError(f"{path.name} is a picture with the axes {found}, not {axes}; leave the axes out.")
    return Volume(data, found, name=path.stem, source=Source(path, "picture", series or ""), notes=tuple(notes))


def write(volume: Volume, path: Path) -> None:
    if not path.name.lower().endswith(".png"):
        raise SegError("JPEG changes values, so a mask in it would be wrong; end the name with .png or .tif.")
    if volume.axes not in ("YX", "YXS"):
        raise SegError(f"A PNG holds one 2D picture, not the axes {volume.axes}; end the name with .tif.")
    if volume.affine is not None:
        raise SegError("A PNG cannot say where the image lies in the patient; end the name with .nii.gz or .nrrd.")
    if volume.spacing is not None:
        raise SegError("A PNG cannot hold the pixel size, which is known here; end the name with .tif.")
    data = np.asarray(volume.data)
    said = PngInfo()
    if volume.made:
        said.add_text(MADE, volume.made_text)
    Image.fromarray(np.ascontiguousarray(_storable(data, np.uint8 if volume.axes == "YXS" else np.uint16))).save(
        path, format="PNG", pnginfo=said
    )


def _storable(data: NDArray[Any], largest: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    limit = np.iinfo(largest).max
    if data.dtype.kind not in "bui" or int(data.min()) < 0 or int(data.max()) > limit:
        raise SegError(
            f"A PNG holds whole numbers from 0 to {limit} here, the values are others; end the name with .tif."
        )
    return data if data.dtype in (np.uint8, np.uint16) else data.astype(labels_dtype(int(data.max())))


def _upright(data: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture turned as its camera orientation (EXIF) says, as Pillow does it with those that it reads."""
    data = data.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else data
    data = data[::-1] if orientation in (3, 4, 7, 8) else data
    return np.ascontiguousarray(data[:, ::-1] if orientation in (2, 3, 6, 7) else data)


def _plain(picture: Image.Image, bits: int) -> tuple[NDArray[Any], list[str]]:
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8), []
    if picture.mode == "L" and bits in (2, 4):  # Pillow stretches them to 0..255
        return np.asarray(picture) // np.uint8(255 // (2**bits - 1)), []
    if picture.mode in ("L", "RGB"):
        return np.asarray(picture), []
    if picture.mode.startswith("I"):  # 16-bit grey, as I;16, I;16B or I
        return np.asarray(picture).astype(np.uint16), []
    if picture.mode in ("LA", "RGBA"):
        return _without_alpha(np.asarray(picture), True)
    return np.asarray(picture.convert("RGB")), [f"The colours were converted from {picture.mode} to RGB."]


def _without_alpha(data: NDArray[Any], alpha: bool) -> tuple[NDArray[Any], list[str]]:
    if not alpha:
        return data, []
    colours = data[..., :-1]
    note = "The transparency (alpha) of the picture was left out."
    return (colours[..., 0] if colours.shape[-1] == 1 else colours), [note]


def _palette(picture: Image.Image, wanted: str | None) -> tuple[NDArray[Any], list[str]]:
    if wanted not in (None, *PALETTE):
        raise SegError(
            f"A picture with a palette is read as series=indices or series=colours, not {wanted}; choose one."
        )
    indices = np.asarray(picture if picture.mode == "P" else picture.convert("P"))
    flat = np.mean(indices[:, 1:] == indices[:, :-1]) if indices.shape[1] > 1 else 1.0
    if (wanted or ("indices" if flat >= _FLAT else "colours")) == "indices":
        return indices, [
            "The picture has a palette; its numbers were read as labels (series=colours reads its colours)."
        ]
    return np.asarray(picture.convert("RGB")), [
        "The picture has a palette; its colours were read (series=indices reads its numbers)."
    ]


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Pillow's and libpng's many errors as one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about sizes below its limit and odd metadata
            yield
    except Image.DecompressionBombError:
        raise SegError(
            f"{path.name} is too large for a PNG or JPEG to be opened safely; convert it to TIFF or OME-Zarr."
        ) from None
    except UnidentifiedImageError:
        raise SegError(f"{path.name} is no PNG or JPEG, whatever its name says; check where it comes from.") from None
    except Exception as error:
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise SegError(f"{path.name} is damaged or cut off ({reason}); get the file again.") from error
