"""Where the view goes when a person is shown one thing among many."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_seg.editing.annotation import Box
from napari_seg.gui.views import voxel_at

_IN_VIEW = 0.3
"""The share of the canvas that a small thing takes, so that its neighbours are seen."""

_WHOLE = 0.95
"""The share that all layers take where a thing is so large that it would be seen with more than all of them; and the
share that an image takes to which the view goes."""

_LEAST = 24
"""Voxels that are shown as large as that at the most, so that a speck is seen among its neighbours."""

_THICK = ("opaque", "translucent", "translucent_no_depth")
"""How an image is blended through which nothing is seen."""


def come_near(viewer: Any, point: NDArray[np.float64], sides: NDArray[np.float64]) -> None:
    """Show what lies around ``point`` and is ``sides`` wide, one number per dimension of the viewer, in the world."""
    viewer.dims.point = tuple(point)
    shown = list(viewer.dims.displayed)
    canvas = np.asarray(viewer.canvas.size, float)  # height, width
    near = _IN_VIEW * canvas.min() / sides[shown].max()
    low, high = viewer.layers.extent.world[:, shown]
    whole = _WHOLE * (canvas / np.maximum(high - low, sides.min())[-2:]).min()
    camera = viewer.scene.camera
    centre = np.asarray(camera.center, float)
    centre[-len(shown) :] = point[shown] if near > whole else (low + high) / 2
    camera.center = tuple(centre)
    camera.zoom = float(max(near, whole))


def show_box(viewer: Any, layer: Any, place: tuple[float, ...], box: Box, time: int) -> None:
    """Show a voxel of a layer's last axes in the middle of the view, and all of the box around it, large enough to be
    judged. ``time``: the time point, for a layer with time."""
    lead = (float(time),) if layer.ndim > len(place) else ()
    world = np.asarray(layer.data_to_world((*lead, *place)), float)
    point = np.asarray(viewer.dims.point, float)
    point[-len(world) :] = world
    scale = np.abs(layer.scale[-len(box) :])
    sides = np.ones(len(point))
    sides[-len(box) :] = np.maximum([side.stop - side.start for side in box] * scale, _LEAST * scale.min())
    come_near(viewer, point, sides)


def is_in_view(viewer: Any, layer: Any) -> bool:
    """Whether the slice that is shown goes through a layer."""
    return _goes_through(viewer, layer, zip(*layer.extent.data, strict=True))


def is_on_screen(viewer: Any, layer: Any, box: Box) -> bool:
    """Whether something of a box of a layer's last axes lies in the slice that is shown, and on the canvas."""
    first, lead = viewer.dims.ndim - layer.ndim, layer.ndim - len(box)
    here = voxel_at(layer, viewer.dims)
    spans = [(here[k], here[k]) for k in range(lead)] + [(side.start, side.stop - 1) for side in box]
    if not _goes_through(viewer, layer, spans):
        return False
    if viewer.dims.ndisplay == 3:
        return True
    corners = np.array([layer.data_to_world(corner) for corner in itertools.product(*spans)])
    low, high = (np.full(viewer.dims.ndim, ends) for ends in (-np.inf, np.inf))  # of axes that the layer lacks
    low[first:], high[first:] = corners.min(0), corners.max(0)
    shown = list(viewer.dims.displayed)
    centre = np.asarray(viewer.scene.camera.center, float)[-2:]
    half = np.asarray(viewer.canvas.size, float) / viewer.scene.camera.zoom / 2
    return bool((high[shown] >= centre - half).all() and (low[shown] <= centre + half).all())


def _goes_through(viewer: Any, layer: Any, spans: Iterable[tuple[float, float]]) -> bool:
    """Whether the slice that is shown goes through a part of a layer, from one voxel to another along each axis."""
    first, here = viewer.dims.ndim - layer.ndim, voxel_at(layer, viewer.dims)
    of_axes = enumerate(spans)
    return all(low <= here[k] <= high for k, (low, high) in of_axes if first + k not in viewer.dims.displayed)


def middle_of(viewer: Any, layer: Any) -> NDArray[np.float64]:
    """The point of the viewer in the middle of a layer."""
    low, high = layer.extent.data
    point = np.asarray(viewer.dims.point, float)
    point[viewer.dims.ndim - layer.ndim :] = layer.data_to_world(np.rint((low + high) / 2))
    return point


def covering(viewer: Any, layer: Any, *positions: Any) -> Any:
    """The image above a layer that lets nothing of it through where a slice shows this point, or some of what lies
    between several, if there is one."""
    above = [] if viewer.canvas.grid.enabled else viewer.layers[viewer.layers.index(layer) + 1 :]
    for other in reversed(above):
        if isinstance(other, Image) and other.visible and other.opacity == 1 and other.blending in _THICK:
            here = np.array([other.world_to_data(position) for position in positions])
            low, high = other.extent.data
            if ((low - 0.5 <= here.max(0)) & (here.min(0) <= high + 0.5)).all():
                return other
    return None


def covering_part(viewer: Any, layer: Any, spans: Iterable[tuple[float, float]]) -> Any:
    """The same for a part of a layer in the slice that is shown, from one voxel to another along each axis."""
    first, here = viewer.dims.ndim - layer.ndim, voxel_at(layer, viewer.dims)
    shown = [span if first + k in viewer.dims.displayed else (here[k],) for k, span in enumerate(spans)]
    before = viewer.dims.point[:first]
    return covering(viewer, layer, *((*before, *layer.data_to_world(corner)) for corner in itertools.product(*shown)))


def share_a_place(layer: Any, other: Any) -> bool:
    """Whether the boxes of two layers have a part in common, in the world."""
    ends = [np.asarray(each.extent.world)[:, -min(layer.ndim, other.ndim) :] for each in (layer, other)]
    return bool((ends[0][0] <= ends[1][1]).all() and (ends[1][0] <= ends[0][1]).all())


def bring_to_front(viewer: Any, layers: Iterable[Any]) -> None:
    """Lay layers over all others, in the order in which they lie, but masks over images."""
    order = sorted(layers, key=lambda layer: (not isinstance(layer, Image), viewer.layers.index(layer)))
    viewer.layers.move_multiple([viewer.layers.index(layer) for layer in order], len(viewer.layers))


def bring_into_view(viewer: Any, layer: Any) -> None:
    """Go to the middle of a layer, if nothing of it is seen in the slice that is shown: what is seen then is another
    image, or nothing."""
    first = viewer.dims.ndim - layer.ndim
    if min(viewer.dims.displayed) < first or is_in_view(viewer, layer):
        return
    viewer.dims.point = tuple(middle_of(viewer, layer))
    shown = list(viewer.dims.displayed)
    ends = np.asarray(layer.extent.world)[:, [axis - first for axis in shown]]
    camera = viewer.scene.camera
    centre = np.asarray(camera.center, float)
    centre[-len(shown) :] = ends.mean(0)
    camera.center = tuple(centre)
    sizes = np.maximum(ends[1] - ends[0], np.abs(layer.scale).min())[-2:]
    camera.zoom = float(_WHOLE * (np.asarray(viewer.canvas.size, float) / sizes).min())
