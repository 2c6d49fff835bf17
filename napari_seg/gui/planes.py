"""The three planes of a volume: what they are called, which axes they show, and what lies at a point, in words.

In a patient's space the planes are axial, coronal and sagittal, by the side towards which each axis points; elsewhere
they are called after the axes they show, such as XY. Only the last three dimensions of a viewer take part; those before
them, such as time, stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_seg.data.volume import SPATIAL, UNITS, Volume
from napari_seg.gui.layers import KEY, SHORT_UNITS, lengths_of
from napari_seg.gui.views import voxel_at
from napari_seg.gui.words import UNIT_SIGNS

_NAMES = {"S": "Axial", "I": "Axial", "A": "Coronal", "P": "Coronal", "R": "Sagittal", "L": "Sagittal"}
_ROWS = ((1, 2), (0, 2), (0, 1))
_SIDES = ("RL", "AP", "SI")


@dataclass(frozen=True)
class Plane:
    """``axis``: the dimension of the viewer that the plane cuts. ``order``: the viewer's order that shows it."""

    name: str
    axis: int
    order: tuple[int, ...]


def planes(viewer: Any) -> tuple[Plane, Plane, Plane] | None:
    """The planes of what is open, the one across the first axis first; ``None`` where nothing has three dimensions."""
    first = viewer.dims.ndim - 3
    if first < 0 or not any(layer.ndim >= 3 for layer in viewer.layers):
        return None
    names = _names(viewer)
    leading = tuple(range(first))
    found = [
        Plane(names[k], first + k, (*leading, first + k, *(first + shown for shown in _ROWS[k]))) for k in range(3)
    ]
    return found[0], found[1], found[2]


def shown_plane(viewer: Any, known: tuple[Plane, Plane, Plane]) -> Plane | None:
    """Which of them a viewer shows; ``None`` in 3D."""
    displayed = set(viewer.dims.displayed)
    return next((plane for plane in known if displayed == set(plane.order[-2:])), None)


def _names(viewer: Any) -> tuple[str, ...]:
    volume = _in_a_patient(viewer)
    if volume is not None and volume.ndim == 3:
        return tuple(_NAMES[side] for side in volume.orientation)
    letters = [
        label.upper() if len(label) == 1 and label.isalpha() else axis
        for label, axis in zip(viewer.dims.axis_labels[-3:], SPATIAL, strict=True)
    ]
    return tuple(letters[column] + letters[row] for row, column in _ROWS)


def _in_a_patient(viewer: Any) -> Volume | None:
    volumes = (layer.metadata.get(KEY) for layer in reversed(viewer.layers))
    return next((v for v in volumes if isinstance(v, Volume) and v.affine is not None and v.ndim == 3), None)


def reference(viewer: Any) -> Any:
    """The layer whose voxels are counted: the topmost image that is seen, else the topmost labels; of three dimensions
    or more."""
    thick = [layer for layer in reversed(viewer.layers) if layer.ndim >= 3 and isinstance(layer, (Image, Labels))]
    images = [layer for layer in thick if isinstance(layer, Image)]
    seen = [layer for layer in images if layer.visible]
    return next(iter([*seen, *images, *thick]), None)


def on_voxel(viewer: Any, point: NDArray[np.float64]) -> tuple[float, ...]:
    """The centre of the voxel at a point of the world, or of the nearest one where the point lies outside."""
    layer = reference(viewer)
    if layer is None:
        return tuple(float(p) for p in point)
    whole = np.array(point, np.float64)
    index = np.rint(layer.world_to_data(whole[-layer.ndim :]))
    index = np.clip(index, 0, np.array(_shape(layer)) - 1)
    whole[-layer.ndim :] = layer.data_to_world(index)
    return tuple(whole.tolist())


def _shape(layer: Any) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape[: layer.ndim])


def position_words(viewer: Any) -> str:
    """Where the point of a viewer lies: in a patient by sides and millimetres, elsewhere along the axes."""
    layer = reference(viewer)
    if layer is None:
        return ""
    index = layer.world_to_data(np.asarray(viewer.dims.point)[-layer.ndim :])[-3:]
    volume = layer.metadata.get(KEY)
    if isinstance(volume, Volume) and volume.affine is not None and volume.ndim == 3:
        place = volume.affine @ np.array([*index, 1.0])
        words = [f"{ends[0 if p >= 0 else 1]} {abs(p):.1f}" for ends, p in zip(_SIDES, place[:3], strict=True)]
        return "   ".join(words) + " mm"
    unit = SHORT_UNITS.get(str(layer.units[-1]), "pixel")
    if unit == "pixel":
        return ""
    place = np.asarray(viewer.dims.point)[-3:] - np.asarray(layer.translate)[-3:]
    place = place * lengths_of(layer.units[-3:]) / UNITS[unit]
    parts = zip("xyz", place[::-1], strict=True)
    return "   ".join(f"{axis} {p:.2f}" for axis, p in parts) + f" {UNIT_SIGNS[unit]}"


def voxel_words(viewer: Any) -> str:
    """The voxel at the point of a viewer, counted from 0 along the axes."""
    layer = reference(viewer)
    if layer is None:
        return ""
    return "voxel " + ", ".join(str(i) for i in voxel_at(layer, viewer.dims).tolist())


def value_words(viewer: Any) -> str:
    """The intensity at the point of a viewer, and the label of the topmost mask that is seen."""
    parts = []
    layer = reference(viewer)
    if isinstance(layer, Image) and (value := value_at(viewer, layer)) is not None:
        parts.append(f"value {_number(value)}" + (" HU" if is_ct(layer) else ""))
    labels = (layer for layer in reversed(viewer.layers) if isinstance(layer, Labels) and layer.visible)
    values = ((mask, value_at(viewer, mask)) for mask in labels)
    found = next(((mask, int(value)) for mask, value in values if value is not None), None)
    if found:
        parts.append(label_words(*found))
    return "   ".join(parts)


def is_ct(layer: Any) -> bool:
    """Whether the file of an image says that it is CT: its values are Hounsfield units."""
    volume = layer.metadata.get(KEY)
    return isinstance(volume, Volume) and volume.source is not None and volume.source.modality == "CT"


def value_at(viewer: Any, layer: Any) -> Any:
    """What a layer holds at the point of a viewer; ``None`` outside it, or where that would have to be read first."""
    data = layer.data[0] if layer.multiscale else layer.data
    if not isinstance(data, np.ndarray):
        return None
    index = voxel_at(layer, viewer.dims)
    inside = all(0 <= i < n for i, n in zip(index, data.shape, strict=False))
    return data[tuple(index)] if inside else None


def label_words(layer: Any, label: int) -> str:
    """A label with the name of its class, where it has one."""
    if label == 0:
        return "no label"
    table = layer.features
    if "class" in table and "index" in table:
        named = table["class"][table["index"] == label]
        if len(named):
            return f"label {label} {named.iloc[0]}"
    return f"label {label}"


def _number(value: Any) -> str:
    if np.ndim(value):  # the samples of a colour image
        return ", ".join(f"{v:.4g}" for v in np.asarray(value).tolist())
    return f"{value:.4g}" if np.asarray(value).dtype.kind == "f" else str(int(value))
