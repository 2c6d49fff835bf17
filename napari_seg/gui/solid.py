"""The mask in 3D, beside the slices: every labels layer of the main view, coarser where it is large.

It is brought up to date a moment after the last change, not with every move of the brush.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_seg.data.volume import SPATIAL, Volume
from napari_seg.gui.layers import KEY
from napari_seg.gui.views import adding_to, swap_labels, voxel_at

LARGEST = 2**21
"""Voxels of a mask that are drawn: all of 128 x 128 x 128, every fourth along each axis of 512 x 512 x 512."""

_SAME = ("name", "visible", "opacity", "selected_label", "show_selected_label")


def coarse(data: Any, point: tuple[int, ...]) -> tuple[NDArray[Any], int]:
    """The last three axes of labels at ``point`` of those before them, and of how many voxels along an axis one is
    shown. It is a copy: what is painted later does not change it."""
    volume = data[tuple(point)]
    step = max(1, math.ceil((math.prod(volume.shape) / LARGEST) ** (1 / 3) - 1e-9))
    return np.array(volume[(slice(None, None, step),) * 3]), step


class Solid:
    """Keeps the layers of ``viewer``, a model in 3D, like the labels of ``main``."""

    def __init__(self, main: Any, viewer: Any, canvas: Any) -> None:
        self._main, self._viewer, self._canvas = main, viewer, canvas
        self._shown: dict[Labels, Labels] = {}

    def update(self) -> None:
        wanted = [layer for layer in self._main.layers if isinstance(layer, Labels) and layer.ndim >= 3]
        for layer in [layer for layer in self._shown if layer not in wanted]:
            with adding_to(self._canvas):
                self._viewer.layers.remove(self._shown.pop(layer))
        for layer in wanted:
            self._update(layer)

    def _update(self, layer: Labels) -> None:
        first = layer.ndim - 3
        here = voxel_at(layer, self._main.dims)[:first]
        data = layer.data[0] if layer.multiscale else layer.data
        last = np.array(data.shape[:first], int) - 1
        labels, step = coarse(data, tuple(np.clip(here, 0, last).tolist()))
        place = _place(layer, step)
        shown = self._shown.get(layer)
        if shown is None:
            shown = Labels(labels, **place, metadata=_metadata(layer, labels))
            alone = not self._viewer.layers
            with adding_to(self._canvas):
                self._viewer.add_layer(shown)
                if alone:
                    self._look_from_the_front(shown)
            self._shown[layer] = shown
        elif shown.data.dtype != labels.dtype or not np.array_equal(shown.data, labels):
            swap_labels(shown, labels)
        for name, value in place.items():
            if not np.array_equal(getattr(shown, name), value):
                setattr(shown, name, value)
        if shown.colormap is not layer.colormap:
            shown.colormap = layer.colormap
        for name in _SAME:
            if (value := getattr(layer, name)) != getattr(shown, name):
                setattr(shown, name, value)

    def _look_from_the_front(self, layer: Labels) -> None:
        """At a patient from the front and a little from their left, head up; elsewhere at the slices from aside."""
        camera = self._viewer.scene.camera
        volume = layer.metadata.get(KEY)
        if isinstance(volume, Volume) and volume.affine is not None:
            camera.set_view_direction((0.3, 1, -0.4), (-1, 0, 0))
        else:
            camera.set_view_direction((-1, 0.5, 0.4), (0, -1, 0))
        self._viewer.fit_to_view()


def _place(layer: Labels, step: int) -> dict[str, Any]:
    place = {
        "scale": np.asarray(layer.scale)[-3:] * step,
        "translate": np.asarray(layer.translate)[-3:],
        "units": layer.units[-3:],
        "axis_labels": layer.axis_labels[-3:],
    }
    return place if layer.ndim > 3 else {**place, "rotate": layer.rotate, "shear": layer.shear}


def _metadata(layer: Labels, labels: NDArray[Any]) -> dict[str, Any]:
    """What tells the sides of the patient."""
    volume = layer.metadata.get(KEY)
    if not isinstance(volume, Volume) or volume.spatial != SPATIAL:
        return {}
    return {KEY: replace(volume, data=labels, axes=SPATIAL, levels=())}
