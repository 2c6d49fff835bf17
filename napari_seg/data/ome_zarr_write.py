"""Writing OME-Zarr: a new store (0.5), or a mask as a ``labels/`` group of an image, in the image's own version."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import ValidationError
from yaozarrs import v04, v05

from napari_seg.data.axes import arrange
from napari_seg.data.ngff import Node, letters_of, node_at
from napari_seg.data.ome_zarr import claims, is_mask, is_shown_there, open_level, read
from napari_seg.data.volume import MADE, SHOWN, Volume, labels_dtype
from napari_seg.errors import SegError
from napari_seg.files import aside_of, cause_of, remove, settle, written

_UNITS = {"nm": "nanometer", "um": "micrometer", "mm": "millimeter", "m": "meter"}
_SMALLEST = 256
"""A pyramid ends where rows and columns are not longer than this."""


def write_new(volume: Volume, path: Path) -> None:
    """A new store of version 0.5 at ``path``; whole numbers without channels are marked as labels, with a pyramid."""
    if volume.affine is not None:
        raise SegError(
            "An OME-Zarr cannot say where the image lies in the patient; end the name with .nii.gz or .nrrd."
        )
    if "S" in volume.axes:
        raise SegError("An OME-Zarr has channels instead of colours; end the name with .tif or .png.")
    data = np.asarray(volume.data)
    data = data.view(np.uint8) if data.dtype == bool else data
    is_mask = data.dtype.kind in "ui" and "C" not in volume.axes
    if is_mask and data.dtype.itemsize == 8 and data.min() >= 0:
        data = data.astype(labels_dtype(int(data.max())))
    shapes = [data.shape]
    while is_mask and max(shapes[-1][-2:]) > _SMALLEST:
        shapes.append((*shapes[-1][:-2], *(-(-n // 2) for n in shapes[-1][-2:])))
    said = _said(volume)
    placed = volume.location is not None
    datasets = [_dataset(str(k), shape, data.shape, said, placed) for k, shape in enumerate(shapes)]
    multiscale: dict[str, Any] = {"axes": _axes(said), "datasets": datasets}
    multiscale |= {"name": volume.name} if volume.name else {}
    multiscale |= {"metadata": {SHOWN: True}} if volume.translate else {}
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale]}
    if volume.channels:
        ome["omero"] = {"channels": [_channel(name) for name in volume.channels]}
    if is_mask:
        ome["image-label"] = {}
    _put(path, 3, {"ome": ome} | _made(volume), data, shapes)


def add(mask: Volume, image_path: Path, name: str) -> Path:
    """See :func:`napari_seg.data.ome_zarr.add_labels`."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]{,254}", name) or name.startswith("__"):
        raise SegError(
            f"{name!r} cannot be the name of a mask in an OME-Zarr; use up to 255 letters, digits, dots and dashes."
        )
    node = node_at(image_path)
    if not node.multiscales:
        raise SegError(f"{image_path.name} is no OME-Zarr image to which a mask can be added; choose the image itself.")
    folder = image_path / "labels"
    listed = _listed(folder)
    cut_off = name not in listed and is_mask(folder / name)  # it has its name, and only the list was not written
    if not cut_off and (name in listed or (folder / name).exists()):
        raise SegError(f"{image_path.name} already has a mask named {name}; choose another name.")
    attributes, data, letters, shapes = _fitted(mask, node, name)
    aside = aside_of(folder / name)
    try:
        if cut_off:
            _list(folder, node, [*listed, name])
            raise SegError(
                f"The last saving of the mask {name} in {image_path.name} was cut off and is complete now; look at it, "
                "or choose another name."
            )
        if not folder.exists():
            _new_group(folder, node.zarr_format)
        try:
            _put(aside, node.zarr_format, attributes, data, shapes)
            if not np.array_equal(np.asarray(read(aside).data), arrange(data, letters)[0]):
                raise SegError(f"The mask {name} came back different after writing; write it to a .tif instead.")
            settle(aside)
            aside.rename(folder / name)
        finally:
            remove(aside)
        _list(folder, node, [*_listed(folder), name])  # another program may have added one meanwhile
    except OSError as error:
        raise SegError(
            f"The mask cannot be added to {image_path.name} ({cause_of(error)}); "
            "write it to a file of its own, where you may write."
        ) from error
    return folder / name


def _fitted(mask: Volume, node: Node, name: str) -> tuple[dict[str, Any], NDArray[Any], str, list[tuple[int, ...]]]:
    """Metadata, labels, their axes and the shapes of the pyramid, on that level of the image which the mask fits."""
    multiscale = _valid(node)
    levels = [(entry, open_level(node, entry["path"]).shape) for entry in multiscale["datasets"]]
    letters = letters_of(multiscale, len(levels[0][1]))
    kept = [k for k, letter in enumerate(letters) if letter != "C"]
    data = np.asarray(mask.data)
    if data.dtype.kind not in "bui" or (data.size and int(data.min()) < 0):
        raise SegError("A mask holds whole numbers from 0 on; this one holds others, choose a mask.")
    named = "".join(letters[k] for k in kept)
    if set(mask.axes) - set(named):
        raise SegError(f"The mask has the axes {mask.axes}, the image {letters}; use a mask of that image.")
    data = data.transpose([mask.axes.index(axis) for axis in named if axis in mask.axes])
    for position, k in enumerate(kept):
        if letters[k] not in mask.axes and levels[0][1][k] == 1:
            data = np.expand_dims(data, position)
    data = data.astype(labels_dtype(int(data.max())))
    first = next((n for n, (_, shape) in enumerate(levels) if data.shape == tuple(shape[k] for k in kept)), None)
    if first is None:
        raise SegError(
            f"The mask has shape {data.shape}, the image {levels[0][1]} ({letters}); use a mask of that image."
        )
    datasets = [
        {
            "path": str(n),
            "coordinateTransformations": [
                _without(transform, kept) for transform in entry["coordinateTransformations"]
            ],
        }
        for n, (entry, _) in enumerate(levels[first:])
    ]
    labels: dict[str, Any] = {"axes": [multiscale["axes"][k] for k in kept], "datasets": datasets, "name": name}
    if "coordinateTransformations" in multiscale:
        labels["coordinateTransformations"] = [_without(t, kept) for t in multiscale["coordinateTransformations"]]
    labels |= {"metadata": {SHOWN: True}} if is_shown_there(multiscale) else {}
    shapes = [tuple(shape[k] for k in kept) for _, shape in levels[first:]]
    source = {"source": {"image": "../../"}}
    if node.zarr_format == 3:
        ome = {"version": "0.5", "multiscales": [labels], "image-label": source}
        return {"ome": ome} | _made(mask), data, named, shapes
    version = {"version": "0.4"}
    return {"multiscales": [labels | version], "image-label": source | version} | _made(mask), data, named, shapes


def _made(volume: Volume) -> dict[str, Any]:
    return {MADE: dict(volume.made)} if volume.made else {}


def _valid(node: Node) -> dict[str, Any]:
    """The first multiscale of an image whose metadata is that of 0.4 or 0.5, so that a mask can copy it."""
    multiscale = node.multiscales[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units that are unusual but allowed
            (v05 if node.zarr_format == 3 else v04).Multiscale.model_validate(multiscale)
    except ValidationError:
        raise SegError(
            f"The metadata of {node.path.name} is not that of OME-Zarr 0.4 or 0.5, so no mask can be added to it; "
            "write the mask to a file of its own."
        ) from None
    return multiscale


def _put(
    path: Path, zarr_format: int, attributes: dict[str, Any], data: NDArray[Any], shapes: Sequence[tuple[int, ...]]
) -> None:
    """A group with one array for each shape, each the nearest voxels of ``data``."""
    group = zarr.open_group(path, mode="w-", zarr_format=2 if zarr_format == 2 else 3, attributes=attributes)
    axes = attributes.get("ome", attributes)["multiscales"][0]["axes"]
    for number, shape in enumerate(shapes):
        chunks = (*(1,) * max(len(shape) - 3, 0), *((min(shape[-3], 16),) if len(shape) > 2 else ()))
        array = group.create_array(
            str(number),
            shape=shape,
            dtype=data.dtype,
            chunks=(*chunks, *(min(n, 512) for n in shape[-2:])),
            dimension_names=[axis["name"] for axis in axes] if zarr_format == 3 else None,
            chunk_key_encoding={"name": "v2" if zarr_format == 2 else "default", "separator": "/"},
        )
        nearest = [((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(shape, data.shape, strict=True)]
        array[...] = data if shape == data.shape else data[np.ix_(*nearest)]


def _said(volume: Volume) -> dict[str, tuple[float, float, str]]:
    """Scale, translation and unit of each axis: as the image's own store says them, where that still holds.

    So a mask lies on its image also along time, and along axes whose unit nobody understands.
    """
    header = volume.source.header if volume.source and volume.source.format == "ome_zarr" else {}
    stored = {axis: one for axis, one in header.get("said", {}).items() if axis != "C"}
    if header.get("grid") != (volume.spacing, volume.unit):  # somebody gave the image another size of its voxels
        unit, steps = _UNITS.get(volume.unit, ""), volume.spacing or (1.0,) * volume.ndim
        origin = volume.translate or header.get("origin", ())
        shifts = origin if len(origin) == volume.ndim else (0.0,) * volume.ndim
        stored |= {axis: (step, by, unit) for axis, step, by in zip(volume.spatial, steps, shifts, strict=True)}
    if volume.interval is not None:
        stored.setdefault("T", (volume.interval, 0.0, "second"))
    return {axis: stored.get(axis, (1.0, 0.0, "")) for axis in volume.axes}


def _dataset(
    path: str, shape: tuple[int, ...], full: tuple[int, ...], said: Mapping[str, tuple[float, float, str]], placed: bool
) -> dict[str, Any]:
    """``placed``: the file of the image says where that lies, also where that is at 0."""
    scale = [step * (n / m) for (step, _, _), m, n in zip(said.values(), shape, full, strict=True)]
    shifts = [shift for _, shift, _ in said.values()]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if placed or any(shifts):
        transforms.append({"type": "translation", "translation": shifts})
    return {"path": path, "coordinateTransformations": transforms}


def _axes(said: Mapping[str, tuple[float, float, str]]) -> list[dict[str, str]]:
    kinds = {"T": "time", "C": "channel"}
    return [
        {"name": axis.lower(), "type": kinds.get(axis, "space")} | ({"unit": unit} if unit else {})
        for axis, (_, _, unit) in said.items()
    ]


def _channel(name: str) -> dict[str, Any]:
    return {"label": name, "color": "FFFFFF", "window": {"start": 0, "end": 255, "min": 0, "max": 255}, "active": True}


def _without(transform: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """A transformation without the dimensions that a mask does not have."""
    return {key: [value[k] for k in kept] if isinstance(value, list) else value for key, value in transform.items()}


def _listed(folder: Path) -> list[str]:
    names = node_at(folder).ome.get("labels", []) if claims(folder) else []
    return [str(name) for name in names]


def _new_group(folder: Path, zarr_format: int) -> None:
    """A group of labels with nothing in it, made aside."""
    aside = aside_of(folder)
    attributes: dict[str, Any] = {"labels": []} if zarr_format == 2 else {"ome": {"version": "0.5", "labels": []}}
    zarr.open_group(aside, mode="w-", zarr_format=2 if zarr_format == 2 else 3, attributes=attributes)
    aside.rename(folder)


def _list(folder: Path, node: Node, names: list[str]) -> None:
    """Name the masks of an image, in one step."""
    path = folder / (".zattrs" if node.zarr_format == 2 else "zarr.json")
    document = json.loads(path.read_text()) if path.is_file() else {}
    if node.zarr_format == 2:
        document["labels"] = names
    else:
        document.setdefault("attributes", {}).setdefault("ome", {"version": "0.5"})["labels"] = names
    with written(path) as aside:
        aside.write_text(json.dumps(document, indent=2))
