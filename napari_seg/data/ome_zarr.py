"""OME-Zarr 0.4 and 0.5."""

from __future__ import annotations

from pathlib import Path

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError


def claims(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zattrs", ".zarray"))


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    raise SegError(f"{path.name} is an OME-Zarr, which cannot be read yet; convert it to TIFF.")


def write(volume: Volume, path: Path) -> None:
    raise SegError(f"{path.name} is an OME-Zarr, which cannot be written yet; end the name with .tif.")
