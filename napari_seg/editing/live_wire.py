"""A contour that snaps to edges (intelligent scissors: Mortensen & Barrett, SIGGRAPH 1995).

Between two places the line takes the cheapest way through the pixels of the slice, and edges are cheap. Only a window
around the two places is looked at, so that the line can follow the mouse; places far apart are joined on a coarser
grid.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit
from napari_seg.editing.numbers import finite
from napari_seg.editing.outline import inside
from napari_seg.editing.painting import Outline, intensities, outlined
from napari_seg.editing.reach import Point, reached, shown_axes, voxel
from napari_seg.editing.selection import spacing_of
from napari_seg.editing.tools import Gesture, tool
from napari_seg.errors import SegError

SMOOTH = 1.0
"""The width of the Gaussian before edges are measured, in pixels of the finer axis."""

STEADY = 0.3
"""What a step along the best edge costs; one where there is no edge costs 1 more. Higher: straighter lines."""

MARGIN, SHARE = 12, 0.25
"""The window is wider than the two places by so many pixels, and by this share of their distance."""

COARSE = 256
"""The line between places farther apart than so many pixels is sought on a grid of every second pixel, or third, ..."""


def path(annotation: Annotation, a: Point, b: Point, shown: tuple[int, int]) -> tuple[Point, ...]:
    """The line from ``a`` to ``b`` along the edges of the slice that ``a`` lies in: middles of pixels, both ends in it.

    Places outside the image are moved to its border. Raises ``SegError`` without an image. About 20 ms for 200 pixels.
    """
    from skimage.graph import MCP_Geometric

    gesture = Gesture(points=(a,), shown=shown)
    axes, slab = shown_axes(annotation, gesture), reached(annotation, gesture, "slice")
    ends = [[min(max(voxel(p)[axis], 0), annotation.grid[axis] - 1) for axis in axes] for p in (a, b)]
    far = max(abs(x - y) for x, y in zip(*ends, strict=True))
    margin, step = math.ceil(MARGIN + SHARE * far), math.ceil(max(far, 1) / COARSE)
    window, start = list(slab), []
    for axis, first, last in zip(axes, *ends, strict=True):
        low, high = max(0, min(first, last) - margin), min(annotation.grid[axis], max(first, last) + margin + 1)
        window[axis] = slice(low, high, step)
        start.append(low)
    values = finite(intensities(annotation, tuple(window))).squeeze(tuple(k for k in range(len(slab)) if k not in axes))
    values = values.T if axes[0] > axes[1] else values
    spacing = tuple(spacing_of(annotation)[axis] for axis in axes)
    costs = _costs(values, spacing)
    for k, axis in enumerate(axes):  # what the image cuts ends at its border, so that is an edge too
        sides = window[axis].start == 0, window[axis].stop == annotation.grid[axis]
        np.moveaxis(costs, k, 0)[[place for place, cut in zip((0, -1), sides, strict=True) if cut]] = STEADY
    wire = MCP_Geometric(costs, sampling=tuple(s / min(spacing) for s in spacing))
    first, last = ([(i - s) // step for i, s in zip(end, start, strict=True)] for end in ends)
    wire.find_costs([first], [last])
    pixels = [[i * step + s for i, s in zip(place, start, strict=True)] for place in wire.traceback(last)]
    pixels[0], pixels[-1] = ends[0], ends[1]
    if len(pixels) == 1 and ends[0] != ends[1]:  # both fall on one place of the coarse grid
        pixels = ends
    here = [float(side.start) for side in slab]
    line = []
    for pixel in pixels:
        for axis, i in zip(axes, pixel, strict=True):
            here[axis] = float(i)
        line.append(tuple(here))
    return tuple(line)


@tool(
    "live wire",
    "Live wire",
    tip="Click along an edge and confirm: the line between the clicks follows it, and what lies inside is painted.",
    group="regions",
    kind="seeds",
    key="Shift+W",
    options=Outline,
    preview=True,
)
def live_wire(annotation: Annotation, gesture: Gesture, options: Outline) -> Edit:
    """Paint ``gesture.label`` inside the line that leads along edges through all points and back to the first."""
    if len({voxel(point) for point in gesture.points}) < 3:
        raise SegError("A contour needs three places at least; click more of them along the edge.")
    legs = pairwise((*gesture.points, gesture.points[0]))
    corners = [point for a, b in legs for point in path(annotation, a, b, gesture.shown)]
    return outlined(annotation, gesture, "live wire", inside(annotation, gesture, corners), options)


def _costs(values: NDArray[np.float32], spacing: tuple[float, ...]) -> NDArray[np.float64]:
    """What it costs to pass each pixel: little on strong edges."""
    from scipy.ndimage import gaussian_filter

    calm = gaussian_filter(values, [SMOOTH * min(spacing) / s for s in spacing])
    edges = np.zeros(calm.shape)
    for axis, unit in enumerate(spacing):
        if calm.shape[axis] > 1:
            edges += np.gradient(calm.astype(np.float64), unit, axis=axis) ** 2
    edges = np.sqrt(edges)
    strong = float(np.percentile(edges, 99.5))
    return STEADY + 1 - np.minimum(edges / strong, 1) if strong else np.full(edges.shape, STEADY + 1)
