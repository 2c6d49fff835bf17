"""From a ``Volume`` to layers of napari and back: same voxels, same place, same file.

Where a layer lies: napari's world has no tilt in it, so a volume in a patient's space is placed by the coordinates of
its first voxel *along its own axes*. Volumes that share their directions, such as an image and its mask, then lie on
each other exactly, also where they are oblique; the true affine stays in the metadata for every file that is written.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import spacing_of
from napari_seg.data.kinds import Kind
from napari_seg.data.volume import SPATIAL, UNITS, Volume, is_axes
from napari_seg.errors import Choice, ChoiceNeeded
from napari_seg.inference.ranking import modality_of
from napari_seg.session.sizes import Size
from napari_seg.wording import class_name

LayerData = tuple[Any, dict[str, Any], str]

KEY = "napari_seg"
"""Under this key a layer's metadata holds the ``Volume`` it shows, and under :data:`CHANNEL` which channel of it."""

CHANNEL = "napari_seg_channel"

VOXELS = "napari_seg_voxels"
"""Under this key the metadata of the layer of an image holds the array that it was opened with."""

OBJECTS = "napari_seg_objects"
"""Under this key a layer's metadata says whether its numbers count objects, as the mask came."""

CLASSES = "napari_seg_classes"
"""Under this key a layer's metadata names the classes."""

WHY = "napari_seg_why"
"""Under this key a layer's metadata says how it is known, or guessed, whether its numbers count objects."""

MOVED = "no longer lies on its image; give it the scale and the place of the image again."
"""What is said of a mask that :func:`lies_elsewhere`."""

_UNIT_NAMES = {"pixel": "pixel", "nm": "nanometer", "um": "micrometer", "mm": "millimeter", "m": "meter"}
SHORT_UNITS = {name: unit for unit, name in _UNIT_NAMES.items()}
"""Units by the names that napari has for them."""

_COLORMAPS = ("cyan", "magenta", "yellow", "green", "bop blue", "bop orange")
"""Channels in this order; the first pairs are told apart with any kind of colour vision."""

_WINDOWS = {"CT": (-160.0, 240.0)}
"""Contrast for modalities with a fixed scale: soft tissue in Hounsfield units."""

AXES_MEANING = {
    "YX": "one picture: rows and columns",
    "ZYX": "a volume: slices, rows, columns",
    "TYX": "a film: time points, rows, columns",
    "CYX": "channels: one picture in several colours",
    "TZYX": "a film of volumes: time points, slices, rows, columns",
    "CZYX": "channels of a volume",
    "TCYX": "a film in several channels",
    "TCZYX": "a film of volumes in several channels",
}


def layer_data(volume: Volume, kind: Kind) -> list[LayerData]:
    """The layers that show a volume: one, or one for each channel, or plane of a mask whose classes overlap."""
    if "C" not in volume.axes and kind == "labels":
        return [(_whole(volume.data), {**_place(volume), "name": volume.name, "metadata": {KEY: volume}}, "labels")]
    if "C" not in volume.axes:
        return [_image(volume, volume.name, "gray", {KEY: volume}, "translucent")]
    at = volume.axes.index("C")
    count = volume.size("C")
    if kind == "labels":
        classes = volume.channels or tuple(class_name(k + 1) for k in range(count))
        planes = np.moveaxis(_whole(volume.data), at, 0)
        return [_plane(volume, np.ascontiguousarray(plane), name) for plane, name in zip(planes, classes, strict=True)]
    names = volume.channels or tuple(f"channel {k}" for k in range(count))
    layers = []
    for k in range(count):
        index = (slice(None),) * at + (k,)
        one = replace(
            volume,
            data=_lazy(volume.data)[index],
            axes=volume.axes.replace("C", ""),
            channels=(),
            levels=tuple(_lazy(level)[index] for level in volume.levels),
        )
        colormap = _COLORMAPS[k % len(_COLORMAPS)] if count > 1 else "gray"
        layers.append(_image(one, f"{volume.name} {names[k]}", colormap, {KEY: volume, CHANNEL: k}, "additive"))
    return layers


def _plane(volume: Volume, data: NDArray[Any], plane: str) -> LayerData:
    name = f"{volume.name} {plane}"
    one = replace(volume, data=data, axes=volume.axes.replace("C", ""), channels=(), levels=(), name=name)
    said = {KEY: one, OBJECTS: False, CLASSES: (plane,), WHY: "each class has a plane in the file"}
    return data, {**_place(one), "name": name, "metadata": said}, "labels"


def _image(volume: Volume, name: str, colormap: str, metadata: dict[str, Any], blending: str) -> LayerData:
    rgb = "S" in volume.axes
    data = _lazy(volume.data)
    said = {**metadata, VOXELS: data}
    about = {**_place(volume), "name": name, "metadata": said, "rgb": rgb, "multiscale": bool(volume.levels)}
    if not rgb:
        about |= {"colormap": colormap, "blending": blending, "contrast_limits": contrast(volume)}
    return ([data, *map(_lazy, volume.levels)] if volume.levels else data), about, "image"


def contrast(volume: Volume) -> tuple[float, float]:
    """The intensities shown as black and white: the modality's own, or all but the most extreme of the image."""
    if (modality := modality_of(volume)) in _WINDOWS:
        return _WINDOWS[modality]
    data = volume.levels[-1] if volume.levels else volume.data
    steps = tuple(slice(None, None, max(1, n // 128)) for n in data.shape)
    sample = np.asarray(data[steps])
    return between(sample[np.isfinite(sample)], 0.1, 99.9)


def between(values: NDArray[Any], low_percentile: float, high_percentile: float) -> tuple[float, float]:
    """Black and white at two percentiles of finite intensities; at their ends where both percentiles are one."""
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (low_percentile, high_percentile)))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low, low + 1)


def _place(volume: Volume) -> dict[str, Any]:
    """Scale, shift, units and axis labels of the layer of a volume (channels and samples have none)."""
    axes = [axis for axis in volume.axes if axis not in "CS"]
    spacing = dict(zip(volume.spatial, volume.spacing or (1.0,) * volume.ndim, strict=True))
    origin = dict(zip(volume.spatial, _origin(volume), strict=True))
    unit = _UNIT_NAMES[volume.unit if volume.spacing else "pixel"]
    return {
        "scale": [spacing.get(axis, 1.0) for axis in axes],
        "translate": [origin.get(axis, 0.0) for axis in axes],
        "units": [unit if axis in SPATIAL else "pixel" for axis in axes],
        "axis_labels": [axis.lower() for axis in axes],
    }


def _origin(volume: Volume) -> NDArray[np.float64]:
    """The place of the first voxel along the volume's own axes, in ``unit``."""
    if volume.affine is None:
        return np.array(volume.translate or (0.0,) * volume.ndim)
    directions = volume.affine[:3, :3] / spacing_of(volume.affine)
    along = np.linalg.solve(directions, volume.affine[:3, 3])
    return np.asarray(along[-volume.ndim :] / UNITS[volume.unit], np.float64)


def _lazy(data: Any) -> Any:
    """An array that napari slices without reading all of it: numpy as it is, anything else through dask."""
    if isinstance(data, np.ndarray):
        return data
    import dask.array

    if isinstance(data, dask.array.Array):
        return data
    return dask.array.from_array(data, chunks=getattr(data, "chunks", "auto"))


def _whole(data: Any) -> NDArray[Any]:
    """Labels in memory, as whole numbers: napari can only paint on those."""
    array = np.asarray(data)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    return array.astype(np.int64) if array.dtype.kind == "f" else array


def volume_of(layer: Any, axes: str | None = None) -> Volume:
    """The volume that an image or labels layer shows, with the channels that its file has.

    A layer of ours remembers it. For any other its scale, units and axis labels are used; where they do not tell what
    the dimensions are, ``axes`` must, or ``ChoiceNeeded`` is raised.
    """
    known = layer.metadata.get(KEY)
    data, levels = (layer.data[0], tuple(layer.data[1:])) if layer.multiscale else (layer.data, ())
    if isinstance(known, Volume):
        channel = CHANNEL in layer.metadata and tuple(known.size(axis) for axis in known.axes if axis != "C")
        is_image = layer._type_string == "image"
        if channel and channel == tuple(data.shape):  # else it is a part or a projection of it
            if is_image and is_as_read(layer):
                return _as_large(known, layer)
            one = replace(known, data=data, axes=known.axes.replace("C", ""), channels=(), levels=())
            known = one if is_image else known.mask(data, axes=known.mask_axes())
        if known.shape == tuple(data.shape):
            source = None if is_image and not is_as_read(layer) else known.source
            return _as_large(replace(known, data=data, levels=levels, name=layer.name, source=source), layer)
    axes = axes or _axes_of(layer, data.ndim)
    spatial = [k for k, axis in enumerate(axes) if axis in SPATIAL]
    units = [SHORT_UNITS.get(str(layer.units[k]), "pixel") for k in spatial]
    unit = units[-1] if "pixel" not in units else "pixel"
    sizes = sizes_of(layer)
    scale = [sizes[k] * UNITS[u] / UNITS[unit] for k, u in zip(spatial, units, strict=True)]
    spacing = tuple(scale) if unit != "pixel" or any(s != 1 for s in scale) else None
    found = Volume(data, axes, spacing=spacing, unit=unit, name=layer.name, levels=levels)
    found = replace(found, translate=_translate_of(layer, found))
    return _as_part(found, known, layer) if isinstance(known, Volume) else found


def _translate_of(layer: Any, volume: Volume) -> tuple[float, ...] | None:
    """Where a layer shows the first voxel of its volume, unless that is at 0, the layer does not stand upright, or what
    it was cut out of lies elsewhere, by its file, than it is shown."""
    known = layer.metadata.get(KEY)
    if isinstance(known, Volume) and (known.affine is not None or (known.location and not known.translate)):
        return None
    keep, linear = _spatial_of(layer, volume.axes), layer._data_to_world.linear_matrix
    units = [SHORT_UNITS.get(str(layer.units[k]), "pixel") for k in keep]
    lengths = np.array([UNITS[unit] / UNITS[volume.unit] for unit in units])
    steps = linear[keep, keep] * lengths
    if not np.allclose(linear, np.diag(np.diag(linear)), atol=1e-6 * abs(np.diag(linear)).min()) or (steps <= 0).any():
        return None
    start = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))[keep] * lengths
    return tuple(start.tolist()) if (abs(start) > 1e-3 * steps).any() else None


def _as_part(volume: Volume, whole: Volume, layer: Any) -> Volume:
    """The volume of a layer that was cut out of another one, with its place in the patient where it lies in that."""
    sizes = volume.spacing or (1.0,) * volume.ndim
    told = volume.unit != "pixel" or np.array_equal(sizes, whole.spacing or ())
    if whole.affine is None or volume.spatial != whole.spatial or not told:
        return volume
    unit = whole.unit if volume.unit == "pixel" else volume.unit
    part = replace(volume, spacing=sizes, unit=unit, affine=_affine_of(layer, whole.affine, volume.axes, unit))
    box = (1,) * (3 - part.ndim) + part.grid
    corners = np.array([[*corner, 1] for corner in itertools.product(*((0, n - 1) for n in box))], float).T
    found = np.linalg.solve(whole.affine, np.asarray(part.affine) @ corners)[3 - part.ndim : 3].T
    return part if np.all((found > -1) & (found < whole.grid)) else volume


def _affine_of(layer: Any, known: NDArray[np.float64], axes: str, unit: str) -> NDArray[np.float64]:
    """The affine of what a layer with these ``axes`` shows, by where it lies along the axes of a volume of which that
    is ``known``. ``unit``: of a layer that names none."""
    keep = _spatial_of(layer, axes)
    units = [SHORT_UNITS.get(str(layer.units[k]), "pixel") for k in keep]
    lengths = np.array([UNITS[unit if one == "pixel" else one] for one in units])
    directions, first = known[:3, :3] / spacing_of(known), 3 - len(keep)
    along = np.linalg.solve(directions, known[:3])
    along[first:, first:3] = layer._data_to_world.linear_matrix[np.ix_(keep, keep)] * lengths[:, None]
    along[first:, 3] = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))[keep] * lengths
    return np.vstack([directions @ along, known[3:]])


def _spatial_of(layer: Any, axes: str) -> list[int]:
    """Which axes of a layer are the spatial ones of what it shows; channels have layers of their own."""
    shown = [axis for axis in axes if axis not in ("S" if layer.ndim == len(axes.replace("S", "")) else "CS")]
    return [k for k, axis in enumerate(shown) if axis in SPATIAL]


_COMPARED: WeakKeyDictionary[Any, tuple[Any, Any, bool]] = WeakKeyDictionary()


def is_as_read(layer: Any) -> bool:
    """Whether an image layer shows the voxels of the volume that it remembers, or of a channel of it. napari and its
    plugins hand what a layer remembers on to copies of it, to what they filter and to what they cut out."""
    known = layer.metadata.get(KEY)
    if not isinstance(known, Volume):
        return False
    data, own = layer.data[0] if layer.multiscale else layer.data, layer.metadata.get(VOXELS, known.data)
    if data is own:
        return True
    if not (isinstance(data, np.ndarray) and isinstance(own, np.ndarray)):
        return type(data) is type(own) and bool(getattr(data, "name", "") == getattr(own, "name", None))
    before = _COMPARED.get(layer)
    if before is None or before[0] is not data or before[1] is not own:
        before = _COMPARED[layer] = data, own, _is_equal(data, own)
    few = tuple(slice(None, None, max(1, n // 32)) for n in data.shape)
    return before[2] and _is_equal(data[few], own[few])  # it may have been changed in place since


def _is_equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def along_of(layer: Any) -> NDArray[np.float64] | None:
    """The directions of the axes of the volume that a layer shows, where they lean (see :attr:`Volume.along`)."""
    known = layer.metadata.get(KEY)
    return known.along if isinstance(known, Volume) else None


def _as_large(volume: Volume, layer: Any) -> Volume:
    """A volume with the size of voxels that its layer has now: a person may have given it another than its file."""
    axes = [axis for axis in volume.axes if axis not in "CS"]
    if layer.ndim != len(axes):
        return volume
    own, unit = volume.unit if volume.spacing else "pixel", SHORT_UNITS.get(str(layer.units[-1]), "pixel")
    factor = 1.0
    if "pixel" not in (own, unit):
        factor, unit = UNITS[unit] / UNITS[own], own
    given = dict(zip(axes, _place(volume)["scale"], strict=True))
    wanted = {axis: size * factor for axis, size in zip(axes, sizes_of(layer), strict=True)}
    factors = [wanted[axis] / given[axis] if axis in wanted else 1.0 for axis in SPATIAL]
    if np.allclose(factors, 1.0) and unit in ("pixel", own):
        return volume
    affine = None if volume.affine is None else volume.affine @ np.diag([*factors, 1.0])
    return replace(volume, spacing=tuple(wanted[axis] for axis in volume.spatial), unit=unit, affine=affine)


def as_it_lies(layer: Any) -> Volume:
    """The volume that an image layer shows, in the place where a person moved it."""
    volume = volume_of(layer)
    if volume.affine is not None:
        moved = lies_elsewhere(layer)
        return replace(volume, affine=_affine_of(layer, volume.affine, volume.axes, volume.unit)) if moved else volume
    start, place = layer.data_to_world(np.zeros(layer.ndim)) * lengths_of(layer.units), _place(volume)
    there = np.zeros(layer.ndim)
    there[-volume.ndim :] = np.multiply(place["translate"], lengths_of(place["units"]))[-volume.ndim :]
    if np.allclose(start, there, rtol=1e-7, atol=1e-9):
        return volume
    return replace(volume, source=None, translate=_translate_of(layer, volume))


def sizes_of(layer: Any) -> list[float]:
    """How large a voxel of a layer is along each of its axes, in the layer's units, by its scale and its affine."""
    linear = layer._data_to_world.linear_matrix
    return [float(size) for size in np.linalg.norm(linear, axis=0)]


def resize(layer: Any, volume: Volume, size: Size) -> None:
    """Give the voxels of an image layer, which shows ``volume``, another size."""
    spatial, units = _spatial_of(layer, volume.axes), [str(unit) for unit in layer.units]
    for k in spatial:
        if (units[k] == "pixel") != (size.unit == "pixel"):
            units[k] = _UNIT_NAMES[size.unit]
    layer.units = units
    before, scale, lengths = sizes_of(layer), np.array(layer.scale), lengths_of(layer.units)
    wanted = np.multiply(size.spacing or (1.0,) * volume.ndim, UNITS[size.unit])
    for k, length in zip(spatial, wanted, strict=True):
        scale[k] *= length / (before[k] * lengths[k])
    layer.scale = scale


def lies_elsewhere(layer: Any, image: Any = None) -> bool:
    """Whether a layer does not lie on the ``image`` it belongs to, or where its file says: somebody moved it."""
    ends = np.vstack([np.zeros(layer.ndim), np.diag(layer.data.shape[: layer.ndim])])
    known = layer.metadata.get(KEY)
    if image is not None and image.ndim == layer.ndim:
        there = [image.data_to_world(end) * lengths_of(image.units) for end in ends]
    elif isinstance(known, Volume) and len((place := _place(known))["scale"]) == layer.ndim:
        there = [(end * place["scale"] + place["translate"]) * lengths_of(place["units"]) for end in ends]
    else:
        return False
    lengths = lengths_of(layer.units)
    here = [layer.data_to_world(end) * lengths for end in ends]
    smallest = float(np.abs(layer.scale * lengths).min())
    return not np.allclose(here, there, rtol=1e-7, atol=0.1 * smallest)  # files round, also large coordinates


def lengths_of(units: Iterable[Any]) -> NDArray[np.float64]:
    """Units of napari in millimetres; 1 for what is none of length."""
    return np.array([UNITS[SHORT_UNITS.get(str(unit), "pixel")] for unit in units])


def name_with_folder(layer: Any, others: Iterable[Any]) -> str:
    """What an image is called whose name another one of ``others`` has too, such as the CT and the MR of one patient:
    by the nearest folder in which only it lies. What napari calls it, where there is none."""
    numbered = re.fullmatch(r"(.+) \[\d+\]", layer.name)
    known = layer.metadata.get(KEY)
    if numbered is None or not isinstance(known, Volume) or known.path is None:
        return str(layer.name)
    name = numbered[1]
    alike = [
        other for other in others if other is not layer and re.fullmatch(rf"{re.escape(name)}( [\[(].+)?", other.name)
    ]
    volumes = [volume for other in alike if isinstance(volume := other.metadata.get(KEY), Volume)]
    elsewhere = {part for volume in volumes if volume.path is not None for part in volume.path.parent.parts}
    folder = next((part for part in reversed(known.path.parent.parts) if part not in elsewhere), None)
    return str(layer.name) if folder is None else f"{name} ({folder})"


def _axes_of(layer: Any, dimensions: int) -> str:
    samples = "S" if getattr(layer, "rgb", False) else ""
    named = "".join(str(label).upper() for label in layer.axis_labels) + samples
    if is_axes(named) and len(named) == dimensions:
        return named
    options = [axes for axes in AXES_MEANING if len(axes) + len(samples) == dimensions]
    if len(options) == 1:
        return options[0] + samples
    choices = tuple(Choice(axes + samples, f"{axes}: {AXES_MEANING[axes]}") for axes in options)
    sizes = " x ".join(str(n) for n in layer.data.shape)
    raise ChoiceNeeded(f"What are the {dimensions} dimensions of {layer.name} ({sizes})?", "axes", choices)


def channel_of(layer: Any) -> str | None:
    """The channel that a layer shows of its volume: its name or its number from 0, as settings take it."""
    k = layer.metadata.get(CHANNEL)
    if k is None or not is_as_read(layer):
        return None
    names = layer.metadata[KEY].channels
    return names[k] if names else str(k)


def beside(layer: Any, volume: Volume) -> dict[str, Any]:
    """The place of a mask of ``volume``: exactly that of the ``layer`` that shows it, also where a person moved it."""
    axes = [axis for axis in volume.axes if axis != "S"]
    shown = [axis for axis in axes if axis != "C"] if layer.ndim < len(axes) else axes
    keep = [k for k, axis in enumerate(shown) if axis != "C"]
    if len(keep) < layer.ndim:  # the layer has a channel axis that the mask does not have
        return {
            "scale": layer.scale[keep],
            "translate": layer.translate[keep],
            "units": [layer.units[k] for k in keep],
            "axis_labels": [layer.axis_labels[k] for k in keep],
        }
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }
