"""All layers of a viewer are told in the same units.

napari shows layers in millimetres and in micrometres together, each as large as it is. But it takes what the mouse
points at for the layer's own units: its brush, and every tool that asks a layer where a point of the viewer lies, would
paint elsewhere. So a layer that comes is told in the units of those that are there, and is as large and lies where it
did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class OneUnit:
    """Keeps all layers of a viewer in the units of the first one, or in those that somebody chose for the viewer."""

    def __init__(self, viewer: Any) -> None:
        self._layers = viewer.layers
        self._telling = False
        self._layers.events.inserted.connect(self._come)
        self._layers.events.removed.connect(self._gone)
        self._layers.events.units.connect(self._chosen)
        for layer in self._layers:
            layer.events.units.connect(self._follow)
        self._tell()

    def _come(self, event: Any) -> None:
        event.value.events.units.connect(self._follow)
        self._tell()

    def _gone(self, event: Any) -> None:
        event.value.events.units.disconnect(self._follow)

    def _chosen(self, event: Any) -> None:
        self._tell(self._layers.units or ())

    def _follow(self, event: Any = None) -> None:
        self._tell()

    def _tell(self, wanted: Sequence[Any] = ()) -> None:
        if self._telling:
            return
        units: dict[Any, Any] = {}
        for unit in (*wanted, *(unit for layer in self._layers for unit in layer.units)):
            units.setdefault(unit.dimensionality, unit)
        self._telling = True
        try:
            for layer in self._layers:
                tell_in(layer, [units[unit.dimensionality] for unit in layer.units])
        finally:
            self._telling = False


def tell_in(layer: Any, units: Sequence[Any]) -> None:
    """Give a layer other units and the numbers that go with them: it stays as large, and where it is.

    One that is turned or sheared across axes whose factors differ cannot be told so; it stays as it is.
    """
    factors = np.array([(1 * old).to(new).magnitude for old, new in zip(layer.units, units, strict=True)], float)
    if np.all(factors == 1):
        return
    affine = np.array(layer.affine.affine_matrix)
    between = factors[:, None] != factors
    if any(np.any(turn[between]) for turn in (affine[:-1, :-1], layer.rotate, _square(layer.shear, layer.ndim))):
        return
    affine[:-1, -1] *= factors
    scale, translate = layer.scale * factors, layer.translate * factors
    layer.units = units  # before the scale: whoever is told of that must find both
    layer.scale, layer.translate, layer.affine = scale, translate, affine


def _square(shear: Any, ndim: int) -> Any:
    """A shear as a matrix: napari gives its upper triangle, or the matrix."""
    shear = np.asarray(shear)
    if shear.ndim == 2:
        return shear
    square = np.eye(ndim)
    square[np.triu_indices(ndim, 1)] = shear
    return square
