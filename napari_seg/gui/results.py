"""The layers that predictions put into the viewer, and the promise that nothing a person has touched is overwritten."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import SPATIAL, Volume
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import IMAGE, MADE, PREDICTED, volume_as_kept
from napari_seg.gui.colours import class_looks
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, beside, lies_elsewhere, volume_of
from napari_seg.gui.views import adding, shown_at, voxel_at
from napari_seg.inference.fit import physical_scale
from napari_seg.inference.prediction import Region
from napari_seg.models.spec import ModelSpec
from napari_seg.session.predicted import Predicted

OPACITY = 0.5

NO_SLICE = "No single slice is shown in 3D; show slices again, or choose the whole image under Options."
TURNED = (
    "This model finds objects in the slices of the file, and a cut across these is shown; turn the view back, or "
    "choose the whole image under Options."
)


@dataclass(frozen=True, eq=False)
class Target:
    """What a prediction is of: the layer of the image, the volume it showed, and the model."""

    layer: Any
    volume: Volume
    path: Path
    model: ModelSpec

    @property
    def key(self) -> tuple[str, Path]:
        return str(self.layer.unique_id), self.path

    @property
    def is_shown(self) -> bool:
        """Whether the layer still shows the image: another program may have given it another array."""
        try:
            return volume_of(self.layer, self.volume.axes).data is self.volume.data
        except SegError:
            return False

    @property
    def objects(self) -> bool:
        """Whether the numbers in the labels count objects; else they name classes."""
        return self.model.task.kind == "instance"

    @property
    def axes(self) -> str:
        """The axes of a mask of it."""
        return "".join(axis for axis in self.volume.axes if axis not in "CS")

    @property
    def regions(self) -> tuple[str, ...]:
        """Which parts of the image can be segmented alone."""
        if self.volume.ndim == 2:
            return ("whole", "box")
        if self.model.network.ndim == 2:
            return ("whole", "slice", "box")
        return ("whole", "box", "near")


class Mask:
    """A labels layer that predictions go into. ``predicted``: what the session knows of the one that it shows."""

    def __init__(self, layer: Any, target: Target, predicted: Predicted) -> None:
        self.predicted = predicted
        self.target = target
        self._layer = weakref.ref(layer)

    @property
    def layer(self) -> Any:
        """The layer, or ``None`` where it is gone."""
        return self._layer()


def mask_name(target: Target, class_name: str = "") -> str:
    """What a mask of a model is called."""
    return " · ".join(part for part in (target.layer.name, target.model.name, class_name) if part)


def new_mask(viewer: Any, target: Target, labels: NDArray[Any], predicted: Predicted, class_name: str = "") -> Mask:
    """Add labels as a layer in the place of their image. ``class_name``: where each class has a layer of its own."""
    name = mask_name(target, class_name)
    if target.objects:
        labels = labels.astype(np.promote_types(labels.dtype, np.uint16), copy=False)  # room for new objects
    volume = target.volume.mask(labels, name=name)
    names = (class_name,) if class_name else target.model.task.names
    about = {
        KEY: volume,
        IMAGE: str(target.layer.unique_id),
        OBJECTS: target.objects,
        CLASSES: names,
        MADE: "predict",
        PREDICTED: predicted,
    }
    with adding(viewer):
        layer = viewer.add_labels(
            labels,
            name=name,
            opacity=OPACITY,
            metadata=about,
            **beside(target.layer, target.volume),
            **({} if target.objects else class_looks(names)),
        )
    return Mask(layer, target, predicted)


def lay_on(layer: Any, target: Target) -> None:
    """Put the layer of a mask where its image is, if one of them was moved."""
    if lies_elsewhere(layer, target.layer):
        for name, value in beside(target.layer, target.volume).items():
            setattr(layer, name, value)


def empty_mask(viewer: Any, image: Any, *, objects: bool = True, classes: tuple[str, ...] = ()) -> Any:
    """Add a mask with nothing in it on the layer of an image; its numbers count objects, or are ``classes``."""
    volume = volume_as_kept(image)
    name = f"{image.name} · mask"
    shape = [volume.size(axis) for axis in volume.axes if axis not in "CS"]
    labels = np.zeros(shape, np.uint16 if objects else np.uint8)  # napari makes a colour for each number there can be
    about = {KEY: volume.mask(labels, name=name), IMAGE: str(image.unique_id), OBJECTS: objects, CLASSES: classes}
    with adding(viewer):
        return viewer.add_labels(labels, name=name, opacity=OPACITY, metadata=about, **beside(image, volume))


def planes_of(labels: NDArray[Any], axes: str, names: tuple[str, ...]) -> list[tuple[str, NDArray[Any]]]:
    """Labels by layer: one without a name, or for overlapping classes one for each class."""
    if "C" not in axes:
        return [("", labels)]
    at = axes.index("C")
    return [(name, np.ascontiguousarray(labels.take(k, at))) for k, name in enumerate(names)]


def box_of(region: Region, target: Target) -> tuple[slice, ...]:
    """Where the labels of a region lie in a mask of the whole image."""
    spans = zip(target.volume.spatial, region.start, region.stop, strict=True)
    at = {axis: slice(a, b) for axis, a, b in spans}
    if region.time is not None:
        at["T"] = slice(region.time, region.time + 1)
    return tuple(at.get(axis, slice(None)) for axis in target.axes)


def blank(target: Target) -> NDArray[Any]:
    """A mask of the whole image with nothing in it."""
    return np.zeros([target.volume.size(axis) for axis in target.axes], np.uint8)


def pasted(old: NDArray[Any], part: NDArray[Any], where: tuple[slice, ...], *, objects: bool) -> NDArray[Any]:
    """``old`` with a new answer in the box ``where``. Numbers of objects go on after those outside the box."""
    result = old.copy()
    result[where] = 0
    if objects:
        first = int(result.max(initial=0))
        part = np.where(part > 0, part.astype(np.uint64) + np.uint64(first), np.uint64(0))
    largest = max(int(result.max(initial=0)), int(part.max(initial=0)))
    result = result.astype(np.promote_types(old.dtype, np.min_scalar_type(largest)), copy=False)
    result[where] = part
    return result


def visible_box(layer: Any, volume: Volume, dims: Any, camera_slice: bool) -> Region:
    """What is on the screen, as a box over the spatial axes: the slice shown alone, or with all slices behind it.

    Axes that are not displayed are taken at their current position for ``camera_slice``, and whole without it; time is
    always the current one.
    """
    axes = _axes_of(layer, volume)
    displayed = _displayed(layer, dims)
    corners = np.asarray(layer.corner_pixels, float)
    here = voxel_at(layer, dims)
    spans: dict[str, tuple[int, int]] = {}
    for k, axis in enumerate(axes):
        size = volume.size(axis)
        now = int(np.clip(here[k], 0, size - 1))
        if axis == "T" or (k not in displayed and camera_slice):
            spans[axis] = (now, now + 1)
        elif k not in displayed or camera_slice:
            spans[axis] = (0, size)
        else:
            low = int(np.clip(np.floor(corners[0, k]), 0, size - 1))
            spans[axis] = (low, int(np.clip(np.ceil(corners[1, k]) + 1, low + 1, size)))
    start, stop = zip(*(spans[axis] for axis in volume.axes if axis in SPATIAL), strict=True)
    return Region(start, stop, spans["T"][0] if "T" in spans else None)


def refused_slice(target: Target, dims: Any) -> str:
    """Why no model, or not this one, can be run on the slice that is shown alone; empty where it can."""
    volume, displayed = target.volume, _displayed(target.layer, dims)
    of_axes = enumerate(_axes_of(target.layer, volume))
    across = [axis for k, axis in of_axes if axis in volume.spatial and k not in displayed]
    if not across and volume.ndim == 3:
        return NO_SLICE
    turned = "".join(across) not in ("", "Z")
    return TURNED if turned and target.objects and target.model.network.ndim == 2 else ""


def _axes_of(layer: Any, volume: Volume) -> list[str]:
    """The axes of a volume that are those of its layer."""
    axes = [axis for axis in volume.axes if axis != "S"]
    if layer.ndim < len(axes):  # it shows one channel
        axes.remove("C")
    return axes


def _displayed(layer: Any, dims: Any) -> set[int]:
    """The axes of a layer that are not cut by the slice that is shown."""
    first = dims.ndim - layer.ndim
    return {axis - first for axis in dims.displayed if axis >= first}


def seen_box(layer: Any, volume: Volume, dims: Any, most: int) -> Region:
    """What is on the screen, and no slice behind it: about ``most`` pixels of it at the most, around its middle."""
    here = visible_box(layer, volume, dims, camera_slice=True)
    view = visible_box(layer, volume, dims, camera_slice=False)
    start = tuple(max(a, b) for a, b in zip(here.start, view.start, strict=True))
    stop = tuple(min(a, b) for a, b in zip(here.stop, view.stop, strict=True))
    sizes = [b - a for a, b in zip(start, stop, strict=True)]
    wide = sum(n > 1 for n in sizes)
    factor = min(1.0, (most / math.prod(sizes)) ** (1 / max(wide, 1)))
    kept = [max(1, round(n * factor)) for n in sizes]
    first = tuple(a + (n - k) // 2 for a, n, k in zip(start, sizes, kept, strict=True))
    return Region(first, tuple(a + k for a, k in zip(first, kept, strict=True)), here.time)


def near_box(target: Target, viewer: Any) -> Region:
    """A box around the middle of the view, as large as the largest image that the model learned on."""
    layer, volume, wanted = target.layer, target.volume, target.model.input
    point = np.asarray(viewer.dims.point, float)
    shown = list(viewer.dims.displayed)
    point[shown] = np.asarray(viewer.scene.camera.center, float)[-len(shown) :]
    axes = [axis for axis in volume.axes if axis not in "CS"]
    here = dict(zip(axes, shown_at(layer, point, shown)[-len(axes) :], strict=True))
    scale = physical_scale(target.model, volume) or (1.0,) * volume.ndim
    spans = []
    for axis, size, factor in zip(volume.spatial, wanted.extent or wanted.patch, scale, strict=True):
        whole = volume.size(axis)
        length = min(whole, max(1, round(size / factor)))
        start = int(np.clip(round(here[axis] - length / 2), 0, whole - length))
        spans.append((start, start + length))
    low, high = zip(*spans, strict=True)
    time = int(np.clip(round(here["T"]), 0, volume.size("T") - 1)) if "T" in volume.axes else None
    return Region(low, high, time)
