"""The icons of the tools: lines of one width on a grid of 24 x 24, in the colour of the text around them.

Each icon is a few marks. A mark is a word that says how it is drawn and a path: ``M`` move, ``L`` lines, ``C`` curves,
``Z`` close, each followed by its points; ``O x y r`` is a circle, ``E x y r r`` an ellipse,
``A x y r from to`` an arc in degrees, from three o'clock against the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QIcon, QPainter, QPainterPath, QPen, QPixmap

GRID = 24

SIZES = (16, 20, 24, 32, 40, 48, 64)
"""Pixels that an icon is drawn for: those of buttons, at scales of 100 and 200 %. Qt shrinks the next larger one."""

_WIDTH = 1.8
_TINT, _DISABLED = 0.35, 0.4
"""How opaque what is painted is, and all of an icon that cannot be pressed."""

_DASH = [1.2, 1.7]
"""Widths of the line: on, off."""

_STAR = (
    "fill M 17 2.2 C 17.4 5.8 18.2 6.6 21.8 7 C 18.2 7.4 17.4 8.2 17 11.8 "
    "C 16.6 8.2 15.8 7.4 12.2 7 C 15.8 6.6 16.6 5.8 17 2.2 Z"
)
_BRISTLES = "fill M 9.2 11.6 C 4.6 12 6.4 17.2 2.6 19.2 C 6 21.8 12.4 21 12.4 14.8 Z"
_TWINS = "A 7.5 12 5.5 35.1 324.9 A 16.5 12 5.5 215.1 504.9"

ICONS: Mapping[str, tuple[str, ...]] = {
    "brush": ("line M 21 3 L 12.5 11.5", _BRISTLES),
    "range brush": (
        "line M 19 3 L 12.5 11.5",
        _BRISTLES,
        "line M 16.5 13.5 L 21.5 13.5 M 19 13.5 L 19 21 M 16.5 21 L 21.5 21",
    ),
    "eraser": (
        "tint M 8.8 9.7 L 3.2 15.3 L 7.9 20 L 11.3 20 L 15.3 16.2 Z",
        "line M 7.9 20 L 3.2 15.3 L 14.3 4.2 L 20.8 10.7 L 11.3 20 Z M 8.8 9.7 L 15.3 16.2 M 11.3 20 L 21 20",
    ),
    "grow": (
        "fill O 12 12 2",
        "dash O 12 12 5.2",
        "line M 17.5 6.5 L 21 3 M 17.4 3 L 21 3 L 21 6.6 M 6.5 6.5 L 3 3 M 6.6 3 L 3 3 L 3 6.6",
        "line M 17.5 17.5 L 21 21 M 17.4 21 L 21 21 L 21 17.4 M 6.5 17.5 L 3 21 M 6.6 21 L 3 21 L 3 17.4",
    ),
    "polygon": (
        "line M 12 3.8 L 20.2 9.8 L 17.1 19.6 L 6.9 19.6 L 3.8 9.8 Z",
        "fill O 12 3.8 2.3 O 20.2 9.8 2.3 O 17.1 19.6 2.3 O 6.9 19.6 2.3 O 3.8 9.8 2.3",
    ),
    "lasso": (
        "line E 12.5 8.8 9 5.6",
        "line M 5.2 12.3 C 2.8 15 6.2 17.6 8 15.6 C 9.6 13.4 6 12.2 5.4 15 C 5 18 8.6 18.4 8 21.6",
    ),
    "live wire": (
        "line M 2.8 4 C 6.5 0.6 8.5 7.4 12 4 C 15.5 0.6 17.5 7.4 21.2 4",
        "line M 5 9.2 L 5 14 C 5 23.3 19 23.3 19 14 L 19 9.2 "
        "L 14.6 9.2 L 14.6 14 C 14.6 17.4 9.4 17.4 9.4 14 L 9.4 9.2 Z",
        "fill M 5 9.2 L 9.4 9.2 L 9.4 12.6 L 5 12.6 Z M 14.6 9.2 L 19 9.2 L 19 12.6 L 14.6 12.6 Z",
    ),
    "fill": (
        "line M 7.6 1.8 L 19 12.6 L 11 20.2 L 2.8 12 L 10.4 4.6",
        "tint M 2.8 12 L 19 12.6 L 11 20.2 Z",
        "fill M 20.6 14.6 C 22.8 17.8 23.2 21 20.6 21 C 18 21 18.4 17.8 20.6 14.6 Z",
    ),
    "add missed": (
        "line M 3.5 20.5 L 13 11",
        _STAR,
        "line M 7 4.6 L 7 8.6 M 5 6.6 L 9 6.6 M 18.5 15.6 L 18.5 19.6 M 16.5 17.6 L 20.5 17.6",
    ),
    "scribble": (
        "line M 2.8 17 C 5 8.5 9.6 9.4 8.2 14 C 6.8 18.6 9 22 12 16.6 "
        "C 14 13.4 16.4 14.6 15.8 17.4 C 15.2 20.6 18.6 21.4 21.2 18",
        _STAR,
    ),
    "split": ("line A 12 12 9 89.9 231.5 Z", "line A 12 12 9 -90.1 51.5 Z", "line M 16 1.6 L 8 22.4"),
    "split by seeds": (
        "line A 8.4 15 5.5 71.3 368.3 A 15.6 9 5.5 251.3 548.3",
        "line M 10.2 9.8 L 13.8 14.2",
        "fill O 7.8 15.5 1.9 O 16.2 8.5 1.9",
    ),
    "merge": (f"tint {_TWINS}", f"line {_TWINS}", "line M 6.5 12 L 17 12 M 14.2 9.2 L 17 12 L 14.2 14.8"),
    "delete": (
        "line M 3.8 6.4 L 20.2 6.4 M 9 6.4 L 9 3 L 15 3 L 15 6.4 M 5.8 6.4 L 6.9 21 L 17.1 21 L 18.2 6.4",
        "line M 10.2 10.4 L 10.2 17 M 13.8 10.4 L 13.8 17",
    ),
    "new id": (
        "line M 8.2 2.8 L 6.4 16.6 M 14.2 2.8 L 13 12 M 3.4 6.8 L 17.4 6.8 M 2.6 12.4 L 13 12.4",
        "line M 18 14 L 18 22 M 14 18 L 22 18",
    ),
    "change class": ("line M 11.4 3.2 L 20.8 3.2 L 20.8 12.6 L 12 21.2 L 2.8 12 Z", "fill O 16.6 7.4 1.9"),
    "fill holes": (
        "tint O 12 12 9.2 O 12 12 5.6",
        "line O 12 12 9.2",
        "fill M 12 7.4 C 15 11 15.6 15.6 12 15.6 C 8.4 15.6 9 11 12 7.4 Z",
    ),
    "smooth": (
        "line M 2.8 9.4 L 5.8 3.4 L 8.9 9.4 L 12 3.4 L 15.1 9.4 L 18.2 3.4 L 21.2 9.4",
        "line M 2.8 20.6 C 7.5 11.4 16.5 11.4 21.2 20.6",
    ),
    "largest part": ("tint O 9.4 13.8 6.8", "line O 9.4 13.8 6.8", "dash O 19 5 2.6 O 20 15 2"),
    "delete small": (
        "line O 8.8 9.4 6.2",
        "line M 16.8 3.6 L 21.2 8 M 21.2 3.6 L 16.8 8 M 16.4 16.6 L 20.8 21 M 20.8 16.6 L 16.4 21",
    ),
    "split apart": (
        "tint O 6.6 8.6 4.2",
        "line O 6.6 8.6 4.2",
        "fill O 17.4 8.6 5.1",
        "line M 3 19 L 10 19 M 5.4 16.6 L 3 19 L 5.4 21.4 M 14 19 L 21 19 M 18.6 16.6 L 21 19 L 18.6 21.4",
    ),
    "delete border": (
        "line M 3.2 3.2 L 20.8 3.2 L 20.8 20.8 L 3.2 20.8 Z",
        "tint A 20.8 9.6 6 90 270 Z",
        "line A 20.8 9.6 6 90 270",
        "line M 6.6 12.4 L 11.4 17.2 M 11.4 12.4 L 6.6 17.2",
    ),
    "interpolate": (
        "tint M 7.4 5.4 L 2.8 18.8 C 7 23 17 23 21.2 18.8 L 16.6 5.4 C 14.6 7.8 9.4 7.8 7.4 5.4 Z",
        "line E 12 4.8 4.6 2.3 E 12 18.8 9.2 3",
        "dash M 7 7 L 3.6 16.6 M 17 7 L 20.4 16.6",
    ),
    "copy to next": (
        "tint M 7.6 2.8 L 21.4 2.8 L 16.4 8.4 L 2.6 8.4 Z",
        "line M 7.6 2.8 L 21.4 2.8 L 16.4 8.4 L 2.6 8.4 Z",
        "line M 16 15.6 L 21.4 15.6 L 16.4 21.2 L 2.6 21.2 L 7.6 15.6",
        "line M 12 8.4 L 12 17.6 M 9 14.8 L 12 17.8 L 15 14.8",
    ),
    "repeat": (
        "line M 17.2 2.4 L 20.6 5.8 L 17.2 9.2 M 20.6 5.8 L 7.4 5.8 C 4.8 5.8 3.4 7.4 3.4 9.6 L 3.4 11.4",
        "line M 6.8 21.6 L 3.4 18.2 L 6.8 14.8 M 3.4 18.2 L 16.6 18.2 C 19.2 18.2 20.6 16.6 20.6 14.4 L 20.6 12.6",
    ),
    "finish slice": ("line M 7.6 14 L 21.4 14 L 16.4 20.6 L 2.6 20.6 Z", "line M 7 6.6 L 10.6 10 L 17 3"),
    "finish box": ("dash M 3.2 3.2 L 20.8 3.2 L 20.8 20.8 L 3.2 20.8 Z", "line M 7.4 12.4 L 10.8 15.8 L 16.8 8.6"),
    "finish case": (
        "line M 8.6 4.6 L 4.8 4.6 L 4.8 21.4 L 19.2 21.4 L 19.2 4.6 L 15.4 4.6",
        "fill M 8.6 2.4 L 15.4 2.4 L 15.4 6.8 L 8.6 6.8 Z",
        "line M 8.4 13.4 L 11.2 16.4 L 15.8 10.4",
    ),
    "ruler": (
        "line M 2.8 16.2 L 16.2 2.8 L 21.2 7.8 L 7.8 21.2 Z",
        "line M 6.2 12.8 L 8 14.6 M 9.5 9.5 L 12.3 12.3 M 12.8 6.2 L 14.6 8",
    ),
    "locked": (
        "fill M 4.6 10.8 L 19.4 10.8 L 19.4 21.6 L 4.6 21.6 Z",
        "line M 7.6 10.8 L 7.6 8 C 7.6 1.2 16.4 1.2 16.4 8 L 16.4 10.8",
    ),
    "unlocked": (
        "line M 4.6 11.6 L 19.4 11.6 L 19.4 21 L 4.6 21 Z",
        "line M 7.6 11.6 L 7.6 8 C 7.6 1.2 15.6 1.2 16.4 6.4",
    ),
    "partly locked": (
        "line M 4.6 11.6 L 19.4 11.6 L 19.4 21 L 4.6 21 Z",
        "fill M 4.6 16.3 L 19.4 16.3 L 19.4 21 L 4.6 21 Z",
        "line M 7.6 11.6 L 7.6 8 C 7.6 1.2 16.4 1.2 16.4 8 L 16.4 11.6",
    ),
    "shown": ("line M 2.2 12 C 7 4 17 4 21.8 12 C 17 20 7 20 2.2 12 Z", "fill O 12 12 3.4"),
    "hidden": ("line M 2.2 12 C 7 4 17 4 21.8 12 C 17 20 7 20 2.2 12 Z M 4.4 20.4 L 19.6 3.6",),
    "angle": ("line M 21 19.8 L 3.2 19.8 L 15.4 3.6", "line A 3.2 19.8 10 0 53"),
}
"""The marks of each tool by its name, and of the states in the list of classes."""


def icon(name: str, colour: str) -> QIcon:
    """The icon of a tool; of one that has none, the first letters of its name."""
    made = QIcon()
    for size in SIZES:
        picture = _picture(name, colour, size, 1.0)
        made.addPixmap(picture, QIcon.Mode.Normal)
        made.addPixmap(_picture(name, colour, size, _DISABLED), QIcon.Mode.Disabled)
    return made


def _picture(name: str, colour: str, size: int, opacity: float) -> QPixmap:
    marks = [(mark.split(maxsplit=1)[0], path_of(mark.split(maxsplit=1)[1])) for mark in ICONS.get(name, ())]
    picture = QPixmap(size, size)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)  # from here on nothing may fail: Qt does not survive a painter that was left open
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(size / GRID, size / GRID)
    painter.setOpacity(opacity)
    for style, path in marks:
        _draw(painter, style, path, QColor(colour))
    if not marks:
        _write(painter, initials(name), QColor(colour))
    painter.end()
    return picture


def _draw(painter: QPainter, style: str, path: QPainterPath, colour: QColor) -> None:
    pen = QPen(colour, _WIDTH)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if style == "dash":
        pen.setDashPattern(_DASH)
    if style == "tint":
        colour.setAlphaF(_TINT)
    if style in ("fill", "tint"):
        painter.fillPath(path, colour)
    else:
        painter.strokePath(path, pen)


def _write(painter: QPainter, letters: str, colour: QColor) -> None:
    font = QFont()
    font.setPixelSize(13)
    font.setBold(True)
    painter.setFont(font)
    painter.setPen(colour)
    painter.drawText(QRectF(0, 0, GRID, GRID), Qt.AlignmentFlag.AlignCenter, letters)


def initials(name: str) -> str:
    """Two letters that stand for a name."""
    words = name.split()
    return ("".join(word[0] for word in words[:2]) if len(words) > 1 else name[:2]).capitalize()


def path_of(text: str) -> QPainterPath:
    """The path that a text describes. Raises ``ValueError`` for one that describes none."""
    path = QPainterPath()
    words: list[Any] = text.split()
    while words:
        verb = words.pop(0)
        numbers = [float(word) for word in words[: next((k for k, w in enumerate(words) if w.isalpha()), len(words))]]
        del words[: len(numbers)]
        points = [QPointF(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=False)]
        if verb == "M":
            path.moveTo(*points)
        elif verb == "L":
            for point in points:
                path.lineTo(point)
        elif verb == "C":
            for k in range(0, len(points), 3):
                path.cubicTo(*points[k : k + 3])
        elif verb == "Z":
            path.closeSubpath()
        elif verb == "O":
            x, y, radius = numbers
            path.addEllipse(QPointF(x, y), radius, radius)
        elif verb == "E":
            x, y, across, down = numbers
            path.addEllipse(QPointF(x, y), across, down)
        elif verb == "A":
            x, y, radius, start, stop = numbers
            box = QRectF(x - radius, y - radius, 2 * radius, 2 * radius)
            path.arcMoveTo(box, start)
            path.arcTo(box, start, stop - start)
        else:
            raise ValueError(f"{verb} is no part of a path")
    return path
