"""Where the view goes when a person is shown one thing among many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_IN_VIEW = 0.3
"""The share of the canvas that a small thing takes, so that its neighbours are seen."""

_WHOLE = 0.95
"""The share that all layers take where a thing is so large that it would be seen with more than all of them."""


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
