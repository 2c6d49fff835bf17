"""What is drawn over a canvas while the views are linked: the crosshair, the name of the plane and, in the main view,
where the crosshair stands. Each line has the colour in which the plane that it stands for is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QLineF, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen
from qtpy.QtWidgets import QWidget

from napari_seg.gui.family import Wires
from napari_seg.gui.overlay import Overlay, on_canvas
from napari_seg.gui.planes import planes, position_words, shown_plane, value_words, voxel_words

COLOURS = ("#e69f00", "#56b4e9", "#cc79a7")
"""Of the planes across the first, second and third axis: Okabe and Ito, told apart with any kind of colour vision."""

_GAP = 9
"""Pixels around the point that stay free, so that the voxel is seen."""

_MARGIN = 10


class Reticle(Overlay):
    """Over the canvas of ``viewer``; ``main`` is the viewer of the window."""

    def __init__(self, viewer: Any, main: Any, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._viewer, self._main = viewer, main
        self._wires = Wires()
        camera, dims = viewer.scene.camera.events, viewer.dims.events
        for event in (camera.center, camera.zoom, camera.angles, camera.orientation, dims.point, dims.order):
            self._wires.join(event, self.follow)
        self._wires.join(dims.ndisplay, self.follow)
        self.show()

    def follow(self, event: Any = None) -> None:
        """Look at the viewer again."""
        self.update()

    def finish(self) -> None:
        self._wires.cut()
        self.parent().removeEventFilter(self)
        self.hide()
        self.deleteLater()

    def title(self) -> tuple[str, str]:
        """The name of what is shown, and its colour."""
        known = planes(self._main)
        if known is None:
            return ("" if self._viewer is self._main else "no volume is open"), "#ffffff"
        if self._viewer.dims.ndisplay == 3:
            return ("3D" if self._viewer.layers else "3D   no mask yet"), "#ffffff"
        plane = shown_plane(self._viewer, known) if self._viewer.dims.ndim == self._main.dims.ndim else None
        return ("", "#ffffff") if plane is None else (plane.name, COLOURS[known.index(plane)])

    def details(self) -> tuple[str, ...]:
        """The lines in the corner of the main view."""
        if self._viewer is not self._main or planes(self._main) is None:
            return ()
        lines = position_words(self._main), voxel_words(self._main), value_words(self._main)
        return tuple(line for line in lines if line)

    def lines(self) -> list[tuple[QLineF, str]]:
        """The crosshair on the canvas, each line with its colour."""
        known = planes(self._main)
        if known is None or not self._viewer.layers:
            return []
        first = self._main.dims.ndim - self._viewer.dims.ndim  # the 3D view has no time
        point = np.asarray(self._main.dims.point, float)[first:]
        size = (float(self.width()), float(self.height()))
        if self._viewer.dims.ndisplay == 3:
            segments = self._through(point, self._main.layers.extent.world[:, first:])
            ends = [[QPointF(*on_canvas(self._viewer, size, end)) for end in segment] for segment in segments]
            return [(QLineF(start, stop), "#ffffff") for start, stop in ends]
        x, y = on_canvas(self._viewer, size, point)
        colours = {plane.axis: COLOURS[k] for k, plane in enumerate(known)}
        row, column = (colours.get(axis, "#ffffff") for axis in self._viewer.dims.displayed)
        return [
            (QLineF(0, y, x - _GAP, y), row),
            (QLineF(x + _GAP, y, size[0], y), row),
            (QLineF(x, 0, x, y - _GAP), column),
            (QLineF(x, y + _GAP, x, size[1]), column),
        ]

    def paintEvent(self, event: Any) -> None:
        lines, (title, colour), details = self.lines(), self.title(), self.details()
        painter = QPainter(self)  # from here on nothing may fail: Qt does not survive a painter that was left open
        for line, shade in lines:
            _line(painter, line, QColor(shade))
        if title:
            self._write(painter, title, colour, details)
        painter.end()

    def _write(self, painter: QPainter, title: str, colour: str, details: tuple[str, ...]) -> None:
        """On a dark card, as the canvas may be white; the foot is left to what the tools say."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bold = QFont(self.font())
        bold.setPointSize(10)
        plain = QFont(bold)
        bold.setBold(True)
        lines = [(title, bold, colour), *((line, plain, "#ffffff") for line in details)]
        width = max(QFontMetricsF(font).horizontalAdvance(text) for text, font, _ in lines)
        height = QFontMetricsF(bold).height() * 1.15
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 190))
        painter.drawRoundedRect(QRectF(_MARGIN - 6, _MARGIN - 4, width + 12, len(lines) * height + 6), 4, 4)
        for k, (text, font, shade) in enumerate(lines):
            painter.setFont(font)
            painter.setPen(QColor(shade))
            painter.drawText(QPointF(_MARGIN, _MARGIN + (k + 0.78) * height), text)

    def _through(
        self, point: NDArray[np.float64], extent: NDArray[np.float64]
    ) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """A line along each displayed axis through the point, as long as what is open."""
        low, high = extent
        found = []
        for axis in self._viewer.dims.displayed:
            start, stop = point.copy(), point.copy()
            start[axis], stop[axis] = low[axis], high[axis]
            found.append((start, stop))
        return found


def _line(painter: QPainter, line: QLineF, colour: QColor) -> None:
    """With a faint dark rim, so that it is seen on any image."""
    painter.setPen(QPen(QColor(0, 0, 0, 90), 3))
    painter.drawLine(line)
    painter.setPen(QPen(colour, 1))
    painter.drawLine(line)
