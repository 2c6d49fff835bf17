"""DICOM segmentation objects: segments in frames, of which empty ones are usually left out.

Each frame is put back where its position says. Segments that do not overlap become labels (label = segment number);
overlapping ones become planes along ``C``. Fractions, of probability or of occupied volume, are cut at one half. A
label map (PS3.3 of 2024) is taken as it is. The names of the segments are in ``Source.header["classes"]``,
those of planes are the channels.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from napari_seg.data import dicom_jpeg
from napari_seg.data.dicom_frames import BROKEN, lenient
from napari_seg.data.dicom_stack import Stack
from napari_seg.data.geometry import spacing_of, tilt_notes, to_display
from napari_seg.data.volume import Source, Volume, labels_dtype
from napari_seg.errors import SegError


def read(stack: Stack) -> Volume:
    """The mask in the grid of its own frames; ``align.onto_grid`` lays it on an image."""
    path = stack.first.path
    try:
        with lenient():
            dataset = pydicom.dcmread(path, force=True)
            frames = dicom_jpeg.pixels(dataset).reshape(-1, int(dataset.Rows), int(dataset.Columns))
            layout = _Layout(dataset, len(frames))
            names = {int(item.SegmentNumber): str(item.get("SegmentLabel", "")) for item in dataset.SegmentSequence}
            frames, notes = _whole(dataset, frames, names)
    except BROKEN as error:
        raise SegError(
            f"The segmentation {path.name} is damaged or of a rare kind; export it as NIfTI or NRRD."
        ) from error
    names.pop(0, None)  # a label map may name its background
    data, axes = _merged(frames, layout) if layout.segments else (layout.slices(frames, range(len(frames))), "ZYX")
    planes = tuple(names.get(n, str(n)) for n in layout.numbers) if "C" in axes else ()
    reorder = to_display(layout.affine)
    affine = reorder.affine(layout.affine, layout.shape)
    return Volume(
        data=np.ascontiguousarray(reorder.within(data.ndim, data.ndim - 3).apply(data)),
        axes=axes,
        spacing=tuple(spacing_of(affine).tolist()),
        unit="mm",
        affine=affine,
        channels=planes,
        source=Source(path, "dicom", reorder=reorder, header={"classes": {} if planes else names}),
        notes=notes + tilt_notes(affine),
    )


def _whole(dataset: Any, frames: NDArray[Any], names: Container[int]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Frames in which 0 is the background, and a note where fractions were cut."""
    kind = dataset.get("SegmentationType", "BINARY")
    if kind == "FRACTIONAL":
        meaning = {"PROBABILITY": "probabilities", "OCCUPANCY": "occupied fractions"}
        what = meaning.get(str(dataset.get("SegmentationFractionalType")), "fractions")
        note = f"The segmentation holds {what} of voxels; voxels of at least one half were taken."
        return frames >= float(dataset.get("MaximumFractionalValue", 255)) / 2, (note,)
    if kind == "LABELMAP":
        background = int(dataset.get("PixelPaddingValue", 0))
        if background != 0 and 0 in names:
            raise ValueError("segment 0 is no background")
        return np.where(frames == background, 0, frames).astype(frames.dtype, copy=False), ()
    if kind != "BINARY":
        raise ValueError(f"segmentations of type {kind} are not known")
    return frames, ()


class _Layout:
    """Which frame belongs to which slice and segment, and the affine of the slices (z, y, x)."""

    def __init__(self, dataset: Any, count: int) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]
        own = list(dataset.PerFrameFunctionalGroupsSequence)
        if len(own) != count:
            raise ValueError("one functional group for each frame is needed")

        def find(frame: Any, name: str) -> Any:
            return (frame.get(name) or shared[name].value)[0]

        directions = np.array(find(own[0], "PlaneOrientationSequence").ImageOrientationPatient, np.float64)
        measures = find(own[0], "PixelMeasuresSequence")
        positions = np.array([find(frame, "PlanePositionSequence").ImagePositionPatient for frame in own], np.float64)
        normal = np.cross(directions[:3], directions[3:])
        along = positions @ normal
        steps = np.diff(np.unique(np.round(along, 3)))
        thickness = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1)
        step = float(steps.min()) if len(steps) else thickness
        if len(steps) and thickness < step and abs(step / thickness - round(step / thickness)) < 0.02:
            step = thickness  # every other slice may be empty
        places = (along - along.min()) / step
        if not np.allclose(places, np.rint(places), atol=0.1):
            raise ValueError("frames at uneven distances")
        self.places = np.rint(places).astype(int)
        self.segments: list[int] = []  # of each frame; none in a label map
        if dataset.get("SegmentationType") != "LABELMAP":
            self.segments = [int(find(f, "SegmentIdentificationSequence").ReferencedSegmentNumber) for f in own]
        self.numbers = sorted(set(self.segments))
        if len(set(zip(self.places.tolist(), self.segments or [0] * count, strict=True))) < count:
            raise ValueError("two frames of the same segment at the same place")
        self.shape = (int(self.places.max()) + 1, int(dataset.Rows), int(dataset.Columns))
        first, last = positions[along.argmin()], positions[along.argmax()]
        lps = np.eye(4)
        lps[:3, 0] = (last - first) / (self.shape[0] - 1) if self.shape[0] > 1 else normal * step
        lps[:3, 1] = directions[3:] * float(measures.PixelSpacing[0])
        lps[:3, 2] = directions[:3] * float(measures.PixelSpacing[1])
        lps[:3, 3] = first
        self.affine = np.diag([-1.0, -1, 1, 1]) @ lps

    def slices(self, frames: NDArray[Any], chosen: Any) -> NDArray[Any]:
        volume = np.zeros(self.shape, frames.dtype)
        for index in chosen:
            volume[self.places[index]] = frames[index]
        return volume


def _merged(frames: NDArray[Any], layout: _Layout) -> tuple[NDArray[Any], str]:
    labels = np.zeros(layout.shape, labels_dtype(max(layout.numbers)))
    for frame, place, segment in zip(frames, layout.places, layout.segments, strict=True):
        inside = frame > 0
        if labels[place][inside].any():
            planes = [
                layout.slices(frames, [k for k, other in enumerate(layout.segments) if other == number]) > 0
                for number in layout.numbers
            ]
            return np.stack(planes).astype(np.uint8), "CZYX"
        labels[place][inside] = segment
    return labels, "ZYX"
