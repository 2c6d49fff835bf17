"""What is drawn over the canvas while a tool is held: the line so far, the clicks, the brush, and what to do next."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_seg.editing.ruler import Measure
from napari_seg.editing.tools import Tool
from napari_seg.gui.hands import IN_3D, Hands
from napari_seg.gui.hover import Hover
from napari_seg.gui.overlay import Overlay, on_canvas
from napari_seg.gui.pointing import Place
from napari_seg.gui.views import world_at

_NEXT = {
    "click": "Click on it.",
    "action": "Click on it.",
    "stroke": "Hold the button and draw.",
    "line": "Hold the button and draw.",
    "drag": "Press, pull and let go.",
    "seeds": "Click each place, then press Return or double-click.",
}

_DARK, _LIGHT = QColor(0, 0, 0, 190), QColor(255, 255, 255)
_DOT = 4.0
_MOUSE = (QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease, QEvent.Type.Wheel)


def hint(tool: Tool | Measure | None, said: str, measured: str = "") -> str:
    """What stands at the foot of the canvas: what went wrong, what was measured, or what the tool in hand waits for."""
    if said or tool is None:
        return said
    if measured:
        return f"{tool.title}: {measured}"
    return f"{tool.title}: {tool.tip} {_NEXT[tool.kind]} Escape to stop."


class Sketchpad(Overlay):
    """Over the canvas of a viewer, from which it sees where the mouse is."""

    def __init__(self, viewer: Any, hands: Hands, hover: Hover, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._viewer, self._hands, self._hover = viewer, hands, hover
        self._canvas = canvas
        self._mouse: QPointF | None = None
        hands.changed.connect(self._follow)
        hands.drawn.connect(self._follow)
        hover.changed.connect(self._follow)
        for event in (viewer.scene.camera.events.zoom, viewer.scene.camera.events.center):
            event.connect(self._moved)
        for event in (viewer.dims.events.point, viewer.dims.events.order):
            event.connect(self._follow)
        self.show()

    def twin(self, viewer: Any, canvas: QWidget) -> Sketchpad:
        """The same over the canvas of another view."""
        return Twin(viewer, self._hands, self._hover, canvas)

    @property
    def words(self) -> str:
        said = self._hands.words or self._hover.words
        if self._hands.tool is not None and self._viewer.dims.ndisplay == 3:
            said = said or IN_3D
        return hint(self._hands.tool, said, self._hands.measured)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        super().eventFilter(watched, event)
        if kind == QEvent.Type.Resize:
            self._hover.forget()
        elif kind in _MOUSE:
            self._mouse = event.position()
            self._hands.pointing.over(partial(self._under, self._mouse))
            if self._hands.radius is not None:
                self.update()
        elif kind in (QEvent.Type.Leave, QEvent.Type.Hide):
            self._mouse = None
            self._hands.pointing.leave(for_good=kind == QEvent.Type.Hide)
            self._hover.look()
            self.update()
        return False

    def _under(self, pixel: QPointF) -> Place | None:
        """What is under a pixel now; nothing is in 3D."""
        point = world_at(self._canvas, (pixel.x(), pixel.y())) if self._viewer.dims.ndisplay == 2 else None
        return None if point is None else Place(point, self._viewer.dims.displayed, 1 / self._viewer.scene.camera.zoom)

    def paintEvent(self, event: Any) -> None:
        words, trail = self.words, self._trail()
        tool, radius = self._hands.tool, self._hands.radius
        circle = radius * self._viewer.scene.camera.zoom if radius is not None else 0.0
        painter = QPainter(self)  # from here on nothing may fail: Qt does not survive a painter that was left open
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for one in (*self._hover.marked, self._hover.shown):
            if one is not None:
                one.draw(painter, self._viewer, (float(self.width()), float(self.height())))
        if trail and tool is not None and self._hands.radius is None:
            self._draw_trail(painter, trail, tool)
        if circle and self._mouse is not None:
            for colour, width in ((_DARK, 3.0), (_LIGHT, 1.2)):
                painter.setPen(QPen(colour, width))
                painter.drawEllipse(self._mouse, circle, circle)
        if words:
            self._write(painter, words)
        painter.end()

    def _draw_trail(self, painter: QPainter, trail: list[QPointF], tool: Tool | Measure) -> None:
        ends = trail if tool.kind != "drag" else [trail[0], trail[-1]]
        for colour, width in ((_DARK, 5.0), (_LIGHT, 2.0)):
            painter.setPen(QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            if tool.name in _RECTANGLES:
                painter.drawRect(QRectF(ends[0], ends[-1]).normalized())
            elif tool.kind != "click" and tool.name not in _UNJOINED:
                painter.drawPolyline(QPolygonF(ends))
        if tool.kind == "seeds":
            painter.setPen(QPen(_DARK, 2))
            painter.setBrush(_LIGHT)
            for point in trail:
                painter.drawEllipse(point, _DOT, _DOT)
            painter.setBrush(Qt.BrushStyle.NoBrush)

    def _write(self, painter: QPainter, words: str) -> None:
        font = painter.font()
        font.setPointSize(10)
        painter.setFont(font)
        room = QRectF(self.rect()).adjusted(24, 0, -24, -34)
        flags = Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap
        box = QFontMetricsF(font).boundingRect(QRectF(0, 0, room.width() - 24, 400), flags, words)
        card = QRectF(0, 0, box.width() + 24, box.height() + 12)
        card.moveCenter(QPointF(room.center().x(), room.bottom() - card.height() / 2))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_DARK)
        painter.drawRoundedRect(card, 5, 5)
        painter.setPen(_LIGHT)
        painter.drawText(card.adjusted(12, 6, -12, -6), flags, words)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _trail(self) -> list[QPointF]:
        doing = self._hands.doing
        if doing is None or self._viewer.dims.ndisplay != 2 or not self._hands.shows(doing, self._viewer.dims):
            return []
        size = (float(self.width()), float(self.height()))
        return [QPointF(*on_canvas(self._viewer, size, np.asarray(point))) for point in doing.trail]

    def _moved(self, event: Any = None) -> None:
        """The picture lies elsewhere on the canvas, perhaps under the mouse too."""
        self._hover.look()
        self.update()

    def _follow(self, event: Any = None) -> None:
        self.update()


_RECTANGLES = {"finish box"}
"""Tools that are for all between two corners."""

_UNJOINED = {"split by seeds"}
"""Tools whose clicks are places, not corners of a line."""


class Twin(Sketchpad):
    """Over the canvas of a view beside the main one, which says it all once."""

    @property
    def words(self) -> str:
        return ""
