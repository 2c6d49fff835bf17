"""What would come of a tool, on its place in a slice: outlined, or painted. Values and their drawing; no events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QLineF
from qtpy.QtGui import QColor, QImage, QPainter, QPen, QTransform

from napari_seg.editing.edit import Edit
from napari_seg.gui.overlay import on_canvas
from napari_seg.gui.views import shown_at

_DARK, _LIGHT = QColor(0, 0, 0, 150), QColor(255, 255, 255)
_PIECE = 0.65


@dataclass(frozen=True, eq=False)
class Slab:
    """A slice of a labels layer. ``index``: a place in it, in voxels of the layer; ``axes``: the layer's axes of its
    rows and columns; ``displayed``: the viewer's."""

    layer: Any
    index: tuple[float, ...]
    axes: tuple[int, int]
    displayed: tuple[int, ...]

    def of(self, data: NDArray[Any]) -> NDArray[Any]:
        """The slice of an array shaped like the layer: a view of rows and columns."""
        places = tuple(slice(None) if k in self.axes else int(i) for k, i in enumerate(self.index))
        seen = data[places]
        return seen.T if self.axes[0] > self.axes[1] else seen

    @property
    def here(self) -> tuple[int, int]:
        """Row and column of the place."""
        return int(self.index[self.axes[0]]), int(self.index[self.axes[1]])

    def same(self, other: Slab) -> bool:
        """Whether both are one slice."""
        apart = (k for k in range(len(self.index)) if k not in self.axes)
        like = (self.layer, self.axes, self.displayed) == (other.layer, other.axes, other.displayed)
        return like and all(self.index[k] == other.index[k] for k in apart)

    def without(self, lead: int) -> Slab:
        """The same slice of an array that lacks the first axes, such as time."""
        return replace(self, index=self.index[lead:], axes=(self.axes[0] - lead, self.axes[1] - lead))

    def is_shown(self, dims: Any) -> bool:
        """Whether a view shows the slice."""
        if tuple(dims.displayed) != self.displayed:
            return False
        apart = [k for k in range(len(self.index)) if k not in self.axes]
        now = shown_at(self.layer, dims.point, self.displayed)
        return all(round(now[k]) == round(self.index[k]) for k in apart)

    def moved(self, start: tuple[int, ...]) -> Slab:
        """The same slice, counted from ``start``."""
        return replace(self, index=tuple(i - a for i, a in zip(self.index, start, strict=True)))

    def meets(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape has the slice."""
        return all(0 <= self.index[k] < n for k, n in enumerate(shape) if k not in self.axes)

    def on_canvas(self, viewer: Any, size: tuple[float, float]) -> QTransform:
        """From rows and columns (x = column, y = row; whole numbers are corners of voxels) to pixels of a canvas."""
        origin, right, down = (self._pixel(viewer, size, *place) for place in ((0, 0), (0, 1), (1, 0)))
        return QTransform(*(right - origin), *(down - origin), *origin)

    def _pixel(self, viewer: Any, size: tuple[float, float], row: int, column: int) -> NDArray[np.float64]:
        index = np.array(self.index, float)
        index[list(self.axes)] = row - 0.5, column - 0.5
        point = np.asarray(viewer.dims.point, float).copy()
        point[-len(index) :] = self.layer.data_to_world(index)
        return np.asarray(on_canvas(viewer, size, point), np.float64)


@dataclass(frozen=True, eq=False)
class Foreseen:
    """Voxels of a slice from row and column ``start`` on: ``outlined`` (a mask), or ``painted`` (rows, columns, RGBA as
    bytes). ``label``: whose they are."""

    slab: Slab
    start: tuple[int, int]
    label: int = 0
    outlined: NDArray[np.bool_] | None = None
    painted: NDArray[np.uint8] | None = None

    def has(self, row: int, column: int) -> bool:
        """Whether a voxel lies inside the outline."""
        if self.outlined is None:
            return False
        r, c = row - self.start[0], column - self.start[1]
        inside = 0 <= r < self.outlined.shape[0] and 0 <= c < self.outlined.shape[1]
        return inside and bool(self.outlined[r, c])

    @cached_property
    def _lines(self) -> list[QLineF]:
        """Found once, and drawn whenever the canvas is."""
        return [] if self.outlined is None else [QLineF(*line) for line in edges(self.outlined)]

    def draw(self, painter: QPainter, viewer: Any, size: tuple[float, float]) -> None:
        """Draw it on a canvas of so many pixels, if that shows the slice."""
        if not self.slab.is_shown(viewer.dims):
            return
        place = self.slab.on_canvas(viewer, size)
        painter.save()
        painter.setTransform(QTransform.fromTranslate(self.start[1], self.start[0]) * place, True)
        if self.painted is not None:
            rows, columns = self.painted.shape[:2]
            painter.drawImage(0, 0, QImage(self.painted.tobytes(), columns, rows, QImage.Format.Format_RGBA8888))
        if self.outlined is not None:
            lines = self._lines
            for colour, width in ((_DARK, 4.0), (_LIGHT, 1.6)):
                pen = QPen(colour, width)
                pen.setCosmetic(True)
                painter.setPen(pen)
                painter.drawLines(lines)
        painter.restore()


def changed_by(edit: Edit, slab: Slab) -> Foreseen | None:
    """What an edit changes in a slice, in the colours of the labels that its voxels become; ``None`` for nothing."""
    ndim = len(edit.patches[0].start) if edit.patches else 0
    flat = slab.without(len(slab.index) - ndim)
    boxes = [patch.box for patch in edit.patches]
    if not boxes:
        return None
    rows, columns = (slice(min(b[a].start for b in boxes), max(b[a].stop for b in boxes)) for a in flat.axes)
    picture = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 4), np.uint8)
    for patch in edit.patches:
        local = flat.moved(patch.start)
        if not local.meets(patch.after.shape):
            continue
        before, after = local.of(patch.before), local.of(patch.after)
        row, column = (patch.start[axis] - side.start for axis, side in zip(flat.axes, (rows, columns), strict=True))
        part = picture[row : row + after.shape[0], column : column + after.shape[1]]
        for label in np.unique(after[before != after]).tolist():
            part[(after == label) & (before != after)] = colour_of(slab.layer, label, _PIECE)
    changed = picture[..., 3] > 0
    if not changed.any():
        return None
    return Foreseen(slab, (rows.start, columns.start), outlined=changed, painted=picture)


def edges(mask: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """The sides of pixels between a mask and what is not it, those in one line joined: x, y to x, y."""
    padded = np.pad(mask, 1)
    found = []
    for turned in (False, True):
        steps = np.diff((padded.T if turned else padded).view(np.int8), axis=0)[:, 1:-1]  # row k: above pixel row k
        runs = np.diff(np.pad(steps, ((0, 0), (1, 1))), axis=1)
        line, at = np.nonzero(runs)
        # of each run the first change is its start; where one run follows another of the other sign, both are one place
        value = steps[line, np.minimum(at, steps.shape[1] - 1)] * (at < steps.shape[1])
        starts = np.flatnonzero(value)
        for k in starts.tolist():
            a, b, y = int(at[k]), int(at[k + 1]), int(line[k])
            found.append((y, a, y, b) if turned else (a, y, b, y))
    return found


def colour_of(layer: Any, label: int, opacity: float) -> NDArray[np.uint8]:
    """The colour of a label in a layer, so opaque, as RGBA bytes."""
    colour = layer.get_color(label)
    parts = (1.0, 1.0, 1.0) if colour is None else tuple(float(part) for part in colour[:3])
    return np.array([*(round(255 * part) for part in parts), round(255 * opacity)], np.uint8)
