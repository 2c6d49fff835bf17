"""The metadata of OME-NGFF as files have it, from 0.1 to 0.5 and with its usual flaws."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_seg.errors import SegError

_TYPES = {"channel": "C", "time": "T"}


@dataclass(frozen=True)
class Node:
    """A group or an array of a store: its folder, what OME says of it, its Zarr format (2 or 3)."""

    path: Path
    ome: Mapping[str, Any]
    zarr_format: int = 2
    is_array: bool = False

    @property
    def multiscales(self) -> list[dict[str, Any]]:
        listed = self.ome.get("multiscales")
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def node_at(path: Path) -> Node:
    """The group or array in a folder. Raises ``SegError`` where its metadata is missing or broken."""
    if (path / "zarr.json").is_file():
        document = _json(path / "zarr.json")
        attributes = document.get("attributes")
        attributes = attributes if isinstance(attributes, dict) else {}
        ome = attributes.get("ome", attributes)
        node = Node(path, ome if isinstance(ome, dict) else {}, 3, document.get("node_type") == "array")
    elif any((path / name).is_file() for name in (".zgroup", ".zattrs", ".zarray")):
        attributes = _json(path / ".zattrs") if (path / ".zattrs").is_file() else {}
        node = Node(path, attributes, 2, (path / ".zarray").is_file())
    else:
        raise SegError(f"{path.name} has no Zarr metadata (zarr.json or .zattrs); copy the whole folder again.")
    if "multiscales" in node.ome and not node.multiscales:
        raise SegError(
            f"The metadata of {path.name} is damaged (its multiscales are empty); copy the whole folder again."
        )
    return node


def datasets_of(multiscale: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the metadata says of each level."""
    listed = multiscale.get("datasets")
    known = listed if isinstance(listed, list) else []
    return [entry for entry in known if isinstance(entry, dict) and "path" in entry]


def letters_of(multiscale: Mapping[str, Any], ndim: int) -> str:
    """One letter for each dimension, ``Q`` for one that the metadata does not explain."""
    axes = multiscale.get("axes")
    if axes is None and ndim == 5:  # before 0.3 there were always these
        return "TCZYX"
    if not isinstance(axes, list) or len(axes) != ndim:
        return ("Q" * ndim + "YX")[2:]
    letters = ""
    for axis in axes:
        name = str(axis.get("name", "") if isinstance(axis, dict) else axis).upper()
        kind = axis.get("type") if isinstance(axis, dict) else None
        letters += name if name in ("T", "C", "Z", "Y", "X") else _TYPES.get(str(kind), "Q")
    return letters


def scale_of(multiscale: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int) -> tuple[float, ...]:
    """The step of one element along each dimension of a level; 1 where nothing valid is said."""
    own, common = (_transform(entry, "scale", ndim, 1.0) for entry in (dataset, multiscale))
    return tuple(a * b for a, b in zip(own, common, strict=True))


def translation_of(multiscale: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int) -> tuple[float, ...]:
    """Where the first element of a level lies along each dimension; 0 where nothing valid is said."""
    own, common = (_transform(entry, "translation", ndim, 0.0) for entry in (dataset, multiscale))
    scale = _transform(multiscale, "scale", ndim, 1.0)
    return tuple(a * s + b for a, s, b in zip(own, scale, common, strict=True))


def says_translation(multiscale: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int) -> bool:
    """Whether it is said where a level lies, were it at 0."""
    return any(not math.isnan(_transform(entry, "translation", ndim, math.nan)[0]) for entry in (dataset, multiscale))


def _transform(entry: Mapping[str, Any], kind: str, ndim: int, missing: float) -> tuple[float, ...]:
    listed = entry.get("coordinateTransformations")
    for transform in listed if isinstance(listed, list) else []:
        values = transform.get(kind) if isinstance(transform, dict) and transform.get("type") == kind else None
        numbers = [
            v for v in (values if isinstance(values, list) else ()) if isinstance(v, int | float) and math.isfinite(v)
        ]
        if len(numbers) == ndim:
            return tuple(float(v) for v in numbers)
    return (missing,) * ndim


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SegError(
            f"The metadata of {path.parent.name} is damaged ({path.name} is no JSON); copy the whole folder again."
        )
    return document
