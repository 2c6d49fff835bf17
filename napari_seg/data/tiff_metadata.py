"""What a TIFF says about itself beyond its pixels: OME-XML, ImageJ's and tifffile's descriptions, resolution tags.

Resolution tags in inches or centimetres are believed only where a pixel is finer than 10 um (2540 dpi): such numbers
come from a microscope, coarser ones (72, 96, 300, 600, 1200 dpi) from a screen, a printer or a scanner of paper.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile, TiffPageSeries

from napari_seg.data.units import Length, length, seconds
from napari_seg.data.volume import AXES, SHOWN

NAMESPACE = "napari-seg/axes"
"""Of the OME annotation in which we write the axes of a file, as axes of length 1 are lost otherwise."""

_FINEST_PRINT = 1e-2
"""In mm: a resolution tag with coarser pixels is one of a screen, a printer or a scanner."""


@dataclass(frozen=True)
class Metadata:
    """``lengths`` of a voxel by axis; ``channels`` by name, empty where unnamed; ``axes`` where we wrote the file;
    ``interval`` in seconds; ``shown`` in voxels from 0, where we wrote that viewers show it elsewhere."""

    lengths: Mapping[str, Length] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    axes: str = ""
    notes: tuple[str, ...] = ()
    interval: float | None = None
    shown: tuple[float, ...] = ()


def metadata(file: TiffFile, series: TiffPageSeries, index: int) -> Metadata:
    """The metadata of one image of the file; whatever is missing or broken is left out."""
    found = Metadata()
    if series.kind == "ome" and file.ome_metadata:
        found = _ome(file.ome_metadata, index, len(file.series))
    elif series.kind == "imagej":
        found = _imagej(file.imagej_metadata or {}, series.keyframe.tags)
    elif series.kind == "lsm":
        lsm = file.lsm_metadata or {}
        sizes = {axis: length(lsm.get(f"VoxelSize{axis}"), "m") for axis in "ZYX"}
        found = Metadata({axis: _in_um(size) for axis, size in sizes.items() if size})
    elif series.kind == "shaped" and file.shaped_metadata:
        said = dict(file.shaped_metadata[min(index, len(file.shaped_metadata) - 1)])
        found = Metadata(_physical(said)) if _physical(said) else _imagej(said, series.keyframe.tags)
    if found.lengths:
        return found
    return replace(found, lengths=_resolution(series.keyframe.tags))


def _ome(xml: str, index: int, count: int) -> Metadata:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return Metadata()
    images = [image for image in root if _tag(image) == "Image"]
    if len(images) != count:
        return Metadata()
    pixels = next((part for part in images[index] if _tag(part) == "Pixels"), None)
    if pixels is None:
        return Metadata()
    names = [part.get("Name") or "" for part in pixels if _tag(part) == "Channel"]
    channels = tuple(name or f"channel {k}" for k, name in enumerate(names)) if any(names) else ()
    ours = dict[str, str]()
    for annotation in root.iter():
        if _tag(annotation) == "MapAnnotation" and annotation.get("Namespace") == NAMESPACE:
            ours = {part.get("K", ""): part.text or "" for part in annotation.iter()}
    axes = ours.get("axes", "")
    interval = seconds(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit"))
    axes = axes if set(axes) <= set(AXES) else ""
    return Metadata(_physical(pixels.attrib), channels, axes, interval=interval, shown=_numbers(ours.get(SHOWN, "")))


def _numbers(text: str) -> tuple[float, ...]:
    with suppress(ValueError, TypeError, RecursionError):
        return tuple(float(one) for one in json.loads(text))
    return ()


def declared_planes(xml: str) -> int:
    """The largest number of planes that an OME-XML speaks of, before a list of them is made; 0 where it is broken."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return 0
    counts = [0]
    for element in root.iter():
        numbers = {key: int(text) for key, text in element.attrib.items() if text.isdecimal() and len(text) < 40}
        if _tag(element) == "Pixels":
            counts.append(numbers.get("SizeZ", 1) * numbers.get("SizeC", 1) * numbers.get("SizeT", 1))
        elif _tag(element) == "TiffData":
            counts.append(max(numbers.values(), default=0))
    return max(counts)


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _physical(said: Mapping[str, Any]) -> dict[str, Length]:
    sizes = {axis: length(said.get(f"PhysicalSize{axis}"), said.get(f"PhysicalSize{axis}Unit", "um")) for axis in "ZYX"}
    return {axis: size for axis, size in sizes.items() if size is not None}


def _imagej(said: Mapping[str, Any], tags: Any) -> Metadata:
    """ImageJ gives pixels per unit in the tags, and leaves the distance of slices out where it is 1."""
    timed = Metadata(interval=seconds(said.get("finterval"), said.get("tunit")))
    if "unit" not in said and "spacing" not in said:
        return timed
    unit = said.get("unit", "pixel")
    steps = {axis: _per(tags, f"{axis}Resolution") for axis in "YX"}
    if length(1, unit) is None or None in steps.values():
        return timed
    lengths = {
        "Z": length(said.get("spacing", 1.0), unit),
        "Y": length(steps["Y"], unit),
        "X": length(steps["X"], unit),
    }
    notes: tuple[str, ...] = ()
    if "spacing" not in said and int(said.get("slices", 1)) > 1:
        notes = (f"The file gives no distance of slices; as ImageJ means by that, 1 {unit} was taken.",)
    return replace(timed, lengths={axis: size for axis, size in lengths.items() if size is not None}, notes=notes)


def _resolution(tags: Any) -> dict[str, Length]:
    unit = int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 2
    factor = {2: 25.4, 3: 10.0}.get(unit)
    steps = {axis: _per(tags, f"{axis}Resolution") for axis in "YX"}
    if factor is None or any(step is None or step * factor >= _FINEST_PRINT for step in steps.values()):
        return {}
    return {axis: _in_um((step * factor, "mm")) for axis, step in steps.items() if step is not None}


def _in_um(size: Length) -> Length:
    return size[0] * {"mm": 1e3, "m": 1e6}[size[1]], "um"


def _per(tags: Any, name: str) -> float | None:
    """One over a rational tag."""
    value = tags[name].value if name in tags else None
    if not isinstance(value, tuple) or len(value) != 2 or not all(math.isfinite(n) and n > 0 for n in value):
        return None
    return float(value[1]) / float(value[0])
