"""What DICOM files say about their images: one :class:`Frame` for each, from headers alone.

Files in the field miss tags, hold text where numbers belong and lack the 128 bytes before "DICM". A value that cannot
be understood counts as missing; a file that cannot be parsed counts as broken. Names and IDs of patients are not read.
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

BROKEN = (
    *(InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError),
    *(IndexError, OverflowError, RuntimeError, StopIteration, struct.error, zlib.error, BytesLengthException, OSError),
)
"""What pydicom raises on a damaged file; it has no exception of its own for most damages."""

_NOTHING = ("none", "n/a", "unknown")
"""What stands, in small letters, where a name was taken out."""

_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "Modality"),
    *(
        "ImageType",
        "InstanceNumber",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "BitsAllocated",
        "NumberOfFrames",
        "PhotometricInterpretation",
    ),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceLocation"),
    *("NominalScannedPixelSpacing", "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept"),
    *(
        "EchoTime",
        "EchoNumbers",
        "InversionTime",
        "DiffusionBValue",
        "KVP",
        "TemporalPositionIdentifier",
        "TriggerTime",
    ),
    *("FrameReferenceTime", "AcquisitionNumber", "AcquisitionTime", "WindowCenter", "WindowWidth", "ProtocolName"),
    *("SequenceOfUltrasoundRegions", "TotalPixelMatrixColumns", "GridFrameOffsetVector", "DoseGridScaling"),
)

KINDS = ("ImageType", "EchoTime", "EchoNumbers", "InversionTime", "DiffusionBValue", "KVP", "StackID")
"""Marks by which images at the same place are different images."""

TIMES = ("TemporalPositionIdentifier", "TriggerTime", "FrameReferenceTime", "AcquisitionNumber", "AcquisitionTime")
"""Marks by which images at the same place are the same image at different times."""

_FRAME = 32
"""Bytes that a compressed frame takes at least."""

_BOMB, _LARGE = 10_000, 2**29
"""No honest compression makes so many bytes this many times smaller."""

_DEFLATED = 1100
"""Deflate makes a file 1032 times smaller at best."""


@dataclass(frozen=True)
class Frame:
    """One image: frame ``index`` of ``path``. Lengths in millimetres, directions and position in DICOM's LPS."""

    path: Path
    index: int
    frames: int
    series: str
    uid: str
    modality: str
    description: str
    series_number: str
    shape: tuple[int, int, int]
    number: int
    color: str
    position: tuple[float, ...] | None = None
    directions: tuple[float, ...] | None = None
    spacing: tuple[float, ...] | None = None
    spacing_kind: str = ""
    between: float | None = None
    location: float | None = None
    scale: tuple[float, float] = (1.0, 0.0)
    windows: tuple[tuple[float, float], ...] = ()
    tiled: bool = False
    marks: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def lenient() -> Iterator[None]:
    """pydicom without its complaints about single values: files that break the rules are the normal case."""
    with pydicom.config.disable_value_validation(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom")
        yield


def is_dicom(path: Path) -> bool:
    """Whether the first bytes are those of a DICOM file, with or without the preamble.

    Databases are not even opened: this program may hold locks on one, and would lose them when it is closed
    (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    if ".sqlite" in path.name:
        return False
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    if start[128:] == b"DICM":
        return True
    group, element, length = start[:2], start[2:4], start[4:8]
    plausible = group in (b"\x08\x00", b"\x02\x00") and element[1:] == b"\x00" and len(length) == 4
    return plausible and ((length[:2].isalpha() and length[:2].isupper()) or struct.unpack("<I", length)[0] < 512)


def files_in(folder: Path, *, nested: bool) -> Iterator[Path]:
    """The DICOM files of a folder, in the order of their paths."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        if not nested:
            folders.clear()
        for name in sorted(names):
            path = Path(parent) / name
            if path.is_file() and is_dicom(path):
                yield path


def frames_of(path: Path) -> tuple[Frame, ...]:
    """The images of a file; none for a file without images. Raises one of :data:`BROKEN` for a damaged file."""
    with lenient():
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_TAGS))
        if not len(header):
            raise InvalidDicomError("nothing in it can be understood")
        if not _integer(header, "Rows") or not _integer(header, "Columns"):
            return ()
        if "NumberOfFrames" in header:
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        count = _integer(header, "NumberOfFrames") or 1
        _refuse_lies(path, header, count)
        if header.get("Modality") == "SEG" or "TotalPixelMatrixColumns" in header:
            return (_frame(path, header, 0, count),)
        return tuple(_frame(path, header, index, count) for index in range(count))


def _refuse_lies(path: Path, header: Any, count: int) -> None:
    """Raise ``ValueError`` where so many frames, or a compressed frame so large, cannot lie in the file.

    One uncompressed frame that is cut off passes: it is missed in its series, and reading it says so.
    """
    held = path.stat().st_size
    samples, bits = _integer(header, "SamplesPerPixel") or 1, _integer(header, "BitsAllocated") or 1
    declared = _integer(header, "Rows") * _integer(header, "Columns") * samples * count * bits // 8
    syntax = header.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    if syntax == DeflatedExplicitVRLittleEndian:
        lies = declared > _DEFLATED * held
    elif syntax.is_private or not syntax.is_compressed:
        lies = count > 1 and declared > held
    else:
        lies = count > held // _FRAME or (declared > _LARGE and declared > _BOMB * held)
    if lies:
        raise ValueError("the file is too small for what its header promises")


def _frame(path: Path, header: Any, index: int, count: int) -> Frame:
    groups = _groups(header, index)
    position = _numbers(groups, "ImagePositionPatient", 3)
    directions = _numbers(groups, "ImageOrientationPatient", 6)
    offsets = _numbers(header, "GridFrameOffsetVector")
    if position and directions and offsets and len(offsets) == count:  # a dose: frames along the normal
        normal = np.cross(directions[:3], directions[3:])
        position = tuple((np.array(position) + normal * (offsets[index] - offsets[0])).tolist())
    elif count > 1 and "ImagePositionPatient" in header:  # the position of the first frame alone says nothing
        position = None
    if directions is not None and not _are_directions(directions):
        directions = None
    spacing, spacing_kind = _spacing(groups)
    slope = _number(groups, "RescaleSlope") or _number(groups, "DoseGridScaling") or 1.0
    return Frame(
        path=path,
        index=index,
        frames=count,
        series=_text(header, "SeriesInstanceUID") or f"folder {path.parent.name}",
        uid=_text(header, "SOPInstanceUID"),
        modality=_text(header, "Modality"),
        description=_named(header, "SeriesDescription") or _named(header, "ProtocolName"),
        series_number=_text(header, "SeriesNumber"),
        shape=(_integer(header, "Rows"), _integer(header, "Columns"), _integer(header, "SamplesPerPixel") or 1),
        number=_integer(header, "InstanceNumber"),
        color=_text(header, "PhotometricInterpretation"),
        position=position if directions is not None else None,
        directions=directions if position is not None else None,
        spacing=spacing,
        spacing_kind=spacing_kind,
        between=abs(_number(groups, "SpacingBetweenSlices") or _number(groups, "SliceThickness") or 0) or None,
        location=_number(groups, "SliceLocation"),
        scale=(slope, _number(groups, "RescaleIntercept") or 0.0),
        windows=tuple(zip(_numbers(groups, "WindowCenter") or (), _numbers(groups, "WindowWidth") or (), strict=False)),
        tiled="TotalPixelMatrixColumns" in header,
        marks={name: _mark(groups, name) for name in (*KINDS, *TIMES) if name in groups},
    )


_RENAMED = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "FrameAcquisitionNumber": "AcquisitionNumber",
}


def _groups(header: Any, index: int) -> Any:
    """The header as it holds for one frame: top level, then what all frames share, then what is the frame's own."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    own = (*shared[:1], *frames[index : index + 1])
    if not own:
        return header
    merged = pydicom.Dataset()
    merged.update({element.tag: element for element in header if element.keyword in _TAGS})
    for group in own:
        for sequence in group:
            if sequence.VR == "SQ" and len(sequence.value):
                for element in sequence.value[0]:
                    if element.VR != "SQ" and element.keyword:
                        setattr(merged, _RENAMED.get(element.keyword, element.keyword), element.value)
    return merged


def _are_directions(values: tuple[float, ...]) -> bool:
    row, column = np.array(values[:3]), np.array(values[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    return bool(np.allclose(lengths, 1, atol=0.05) and abs(row @ column) < 0.05)


def _spacing(header: Any) -> tuple[tuple[float, ...] | None, str]:
    """Spacing of rows and columns, and how it was measured where that is not in the patient."""
    for name, kind in (
        ("PixelSpacing", ""),
        ("ImagerPixelSpacing", "at the detector"),
        ("NominalScannedPixelSpacing", "of the scanned film"),
    ):
        values = _numbers(header, name, 2)
        if values and min(values) > 0:
            return values, kind
    regions = header.get("SequenceOfUltrasoundRegions") or ()
    steps = {
        (_number(region, "PhysicalDeltaY"), _number(region, "PhysicalDeltaX"))
        for region in regions
        if _integer(region, "PhysicalUnitsXDirection") == _integer(region, "PhysicalUnitsYDirection") == 3
    }
    if len(steps) == 1:
        step = steps.pop()
        if step[0] and step[1]:
            return (abs(step[0]) * 10, abs(step[1]) * 10), ""  # centimetres
    return None, ""


def _mark(header: Any, name: str) -> Any:
    number = _number(header, name)
    return number if number is not None else _text(header, name)


def _value(header: Any, name: str) -> Any:
    try:
        return header.get(name)
    except BROKEN:  # pydicom converts a value when it is looked at
        return None


def _text(header: Any, name: str) -> str:
    value = _value(header, name)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, pydicom.multival.MultiValue) else str(value).strip()


def _named(header: Any, name: str) -> str:
    """The same of a name; empty where an anonymiser put a word for nothing into its place."""
    text = _text(header, name)
    return "" if text.lower() in _NOTHING else text


def _numbers(header: Any, name: str, count: int = 0) -> tuple[float, ...] | None:
    value = _value(header, name)
    parts = value if isinstance(value, (pydicom.multival.MultiValue, list, tuple)) else (value,)
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == (count or len(numbers)) and np.isfinite(numbers).all() else None


def _number(header: Any, name: str) -> float | None:
    numbers = _numbers(header, name, 1)
    return numbers[0] if numbers else None


def _integer(header: Any, name: str) -> int:
    return int(_number(header, name) or 0)
