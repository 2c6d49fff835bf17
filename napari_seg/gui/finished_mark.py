"""What is finished of the mask in hand: in the corner of the canvas the slice, boxes and the case; over the image the
outline of boxes, and a band where finished slices are seen from the side. Each of the linked views shows it its way."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_seg.gui.finished_words import bands, boxes, of_view
from napari_seg.gui.hands import Hands
from napari_seg.gui.overlay import Overlay, on_canvas
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.views import voxel_at

_GREEN = "#4cd07d"
_BAND, _BAND_EDGE = QColor(76, 208, 125, 50), QColor(76, 208, 125, 170)
_MARGIN = 10


class FinishedMark(Overlay):
    """Over the canvas of a viewer."""

    def __init__(self, viewer: Any, recorder: Recorder, hands: Hands, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._viewer, self._recorder, self._hands = viewer, recorder, hands
        camera, dims = viewer.scene.camera.events, viewer.dims.events
        for event in (camera.center, camera.zoom, dims.point, dims.order, dims.ndisplay):
            event.connect(self._follow)
        viewer.layers.selection.events.active.connect(self._follow)
        recorder.changed.connect(self._follow)
        self.show()

    def twin(self, viewer: Any, canvas: QWidget) -> FinishedMark:
        """The same over the canvas of another view."""
        return FinishedMark(viewer, self._recorder, self._hands, canvas)

    @property
    def words(self) -> str:
        """What stands there now."""
        track = self._hands.track
        if track is None or self._viewer.dims.ndisplay != 2:
            return ""
        axis, index = self._slice()
        return of_view(self._recorder.rows(track), axis, index)

    def bands(self) -> list[list[tuple[float, float]]]:
        """The corners, on the canvas, of finished slices that are seen from the side; those side by side are one."""
        track = self._hands.track
        if track is None or self._viewer.dims.ndisplay != 2:
            return []
        axis, _ = self._slice()
        if axis is None:
            return []
        return [self._corners(box, axis) for box in bands(self._recorder.rows(track), axis, track.row.grid)]

    def outlines(self) -> list[list[tuple[float, float]]]:
        """The corners, on the canvas, of the finished boxes that the shown slice runs through."""
        track = self._hands.track
        if track is None or self._viewer.dims.ndisplay != 2:
            return []
        axis, index = self._slice()
        found = boxes(self._recorder.rows(track))
        return [self._corners(box, axis) for box in found if axis is None or box[axis].start <= index < box[axis].stop]

    def paintEvent(self, event: Any) -> None:
        words, outlines, bands = self.words, self.outlines(), self.bands()
        painter = QPainter(self)  # from here on nothing may fail: Qt does not survive a painter that was left open
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(_BAND_EDGE, 1.0))
        painter.setBrush(_BAND)
        for corners in bands:
            painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for corners in outlines:
            shape = QPolygonF([QPointF(*corner) for corner in corners])
            for colour, width, style in (
                (QColor(0, 0, 0, 150), 3.0, Qt.PenStyle.SolidLine),
                (QColor(_GREEN), 1.5, Qt.PenStyle.DashLine),
            ):
                painter.setPen(QPen(colour, width, style))
                painter.drawPolygon(shape)
        if words:
            self._write(painter, words)
        painter.end()

    def _write(self, painter: QPainter, words: str) -> None:
        font = QFont(self.font())
        font.setPointSize(10)
        font.setBold(True)
        measures = QFontMetricsF(font)
        card = QRectF(0, _MARGIN - 4, measures.horizontalAdvance(words) + 16, measures.height() + 8)
        card.moveRight(self.width() - _MARGIN)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 190))
        painter.drawRoundedRect(card, 4, 4)
        painter.setFont(font)
        painter.setPen(QColor(_GREEN))
        painter.drawText(card, Qt.AlignmentFlag.AlignCenter, words)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _slice(self) -> tuple[int | None, int]:
        """The axis of the grid across which a slice is shown, and its number; no axis for a picture."""
        track = self._hands.track
        assert track is not None
        layer, ndim = track.layer, len(track.row.grid)
        hidden = [axis - (self._viewer.dims.ndim - ndim) for axis in self._viewer.dims.not_displayed]
        axis = next((axis for axis in hidden if axis >= 0), None)
        if axis is None or ndim < 3:
            return None, 0
        here = voxel_at(layer, self._viewer.dims)
        return axis, int(np.clip(here[layer.ndim - ndim + axis], 0, track.row.grid[axis] - 1))

    def _corners(self, box: tuple[slice, ...], axis: int | None) -> list[tuple[float, float]]:
        track = self._hands.track
        assert track is not None
        layer, ndim = track.layer, len(track.row.grid)
        rows, columns = (k for k in range(ndim) if k != axis)
        point = np.asarray(self._viewer.dims.point, float)
        size = float(self.width()), float(self.height())
        found = []
        for a, b in ((0, 0), (0, 1), (1, 1), (1, 0)):
            inner = np.zeros(layer.ndim)
            first = layer.ndim - ndim
            inner[first + rows] = (box[rows].start, box[rows].stop)[a] - 0.5
            inner[first + columns] = (box[columns].start, box[columns].stop)[b] - 0.5
            place = point.copy()
            place[-layer.ndim :] = layer.data_to_world(inner)
            found.append(on_canvas(self._viewer, size, place))
        return found

    def _follow(self, event: Any = None) -> None:
        self.update()
