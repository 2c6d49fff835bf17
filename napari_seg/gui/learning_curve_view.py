"""How a training goes, drawn while it runs: how wrong it still is, and how well it does on what it was not shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_seg.gui.training_state import Curve

_HEIGHT = 132
_SMOOTH = 0.15
"""The share of a new loss in the line that is drawn."""

_LIGHT = {"score": "#0b5fb0", "loss": "#a85100"}
_DARK = {"score": "#6cb4ff", "loss": "#ffb000"}
"""Blue and orange are told apart by everybody; either has 4.5 : 1 on its background."""

_TIP = (
    "Score: how well the model does on a part of your corrections that it has not learned from; 1 is perfect. "
    "Error: how wrong it still is on what it learns from (the loss); it has no unit and should fall."
)


class LearningCurveView(QWidget):
    """It shows what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self._curve, self._over = Curve(), False
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("How the training goes")
        self.setToolTip(_TIP)

    def sizeHint(self) -> QSize:
        return QSize(240, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, _HEIGHT)

    def render_curve(self, curve: Curve, over: bool) -> None:
        if (curve, over) != (self._curve, self._over):
            self._curve, self._over = curve, over
            self.setAccessibleDescription(self.words)
            self.update()

    @property
    def words(self) -> str:
        """The curve in words."""
        scores, losses = self._curve.scores, smoothed(self._curve.losses)
        parts = [f"score {scores[-1][1]:.2f}, best {max(v for _, v in scores):.2f}" if scores else ""]
        parts.append(f"error {losses[-1][1]:.2f}" if losses else "")
        return "; ".join(part for part in parts if part)

    @property
    def foot(self) -> str:
        """What stands below: the best score, and that of the model it began with."""
        curve = self._curve
        best = f"Best{'' if self._over else ' so far'}"
        told = [f"{best} {max(v for _, v in curve.scores):.2f}"] if curve.scores else []
        told += [] if curve.before is None else [f"before {curve.before:.2f}"]
        return ", ".join(told).capitalize()

    def paintEvent(self, event: Any) -> None:
        curve, losses = self._curve, smoothed(self._curve.losses)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        colours = {name: QColor(c) for name, c in (_DARK if text.lightness() > 127 else _LIGHT).items()}
        quiet = QColor(text)
        quiet.setAlpha(70)
        metrics = QFontMetricsF(self.font())
        line = metrics.height()
        room = QRectF(4, line + 6, self.width() - 8, self.height() - 2 * line - 12)
        highest = max((v for _, v in losses), default=1.0) or 1.0
        best = max(curve.scores, key=lambda point: point[1], default=None)
        legend = legend_of(curve, lambda words: metrics.horizontalAdvance(words) <= self.width() - 8)
        painter = QPainter(self)  # from here on nothing may fail: Qt does not survive a painter that was left open
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(quiet, 1))
        for share in (0.0, 0.5, 1.0):
            y = room.bottom() - share * room.height()
            painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
        if curve.before is not None:
            y = room.bottom() - min(max(curve.before, 0.0), 1.0) * room.height()
            painter.setPen(QPen(colours["score"], 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(room.left(), y), QPointF(room.right(), y))
        painter.setPen(QPen(colours["loss"], 1.5))
        painter.drawPath(_path([(x, v / highest) for x, v in losses], room))
        painter.setPen(QPen(colours["score"], 2.5))
        painter.drawPath(_path(curve.scores, room))
        painter.setBrush(colours["score"])
        for point in curve.scores:
            painter.drawEllipse(_place(point, room), 2.0, 2.0)
        if best is not None:
            painter.drawEllipse(_place(best, room), 4.0, 4.0)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        top = QRectF(4, 0, self.width() - 8, line + 2)
        painter.setPen(colours["score"])
        painter.drawText(top, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, legend[0])
        painter.setPen(colours["loss"])
        painter.drawText(top, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, legend[1])
        painter.setPen(text)
        foot = QRectF(4, self.height() - line - 2, self.width() - 8, line + 2)
        painter.drawText(foot, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, self.foot)
        painter.drawText(foot, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, "Time →")
        painter.end()


def legend_of(curve: Curve, fits: Callable[[str], bool]) -> tuple[str, str]:
    """What the two lines are, and which way is up; the latter is left out where it does not fit beside each other."""
    score = f"● Score {curve.scores[-1][1]:.2f}" if curve.scores else "● Score: not yet known"
    told = f"{score} (1 = perfect)" if curve.scores else score, "― Error (should fall)"
    return told if fits("   ".join(told)) else (score, "― Error")


def smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Single steps jump up and down; their moving average shows where it goes."""
    found = list[tuple[float, float]]()
    for x, value in points:
        before = found[-1][1] if found else value
        found.append((x, before + _SMOOTH * (value - before)))
    return found


def _place(point: tuple[float, float], room: QRectF) -> QPointF:
    x, y = (min(max(value, 0.0), 1.0) for value in point)
    return QPointF(room.left() + x * room.width(), room.bottom() - y * room.height())


def _path(points: Sequence[tuple[float, float]], room: QRectF) -> QPainterPath:
    path = QPainterPath()
    for number, point in enumerate(points):
        (path.lineTo if number else path.moveTo)(_place(point, room))
    return path
