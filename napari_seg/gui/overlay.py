"""What lies over a canvas, and where a point of the world lies there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget


class Overlay(QWidget):
    """As large as the canvas, which is seen through it. The mouse passes through it."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent")
        canvas.installEventFilter(self)
        self.setGeometry(canvas.rect())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False


def on_canvas(viewer: Any, size: tuple[float, float], point: NDArray[np.float64]) -> tuple[float, float]:
    """Where a point of the world lies on a canvas of (width, height) pixels: x from the left, y from the top.

    In 3D this holds for a camera without perspective, which is napari's own.
    """
    camera = viewer.scene.camera
    displayed = list(viewer.dims.displayed)
    away = np.asarray(point, float)[displayed] - np.asarray(camera.center, float)[-len(displayed) :]
    if viewer.dims.ndisplay == 2:
        vertical, horizontal = camera.orientation2d
        down = away[0] if vertical == "down" else -away[0]
        right = away[1] if horizontal == "right" else -away[1]
    else:
        up, view = np.asarray(camera.up_direction, float), np.asarray(camera.view_direction, float)
        across = np.cross(view, up) if camera.handedness == "right" else np.cross(up, view)
        down, right = -float(away @ up), float(away @ across)
    return size[0] / 2 + right * camera.zoom, size[1] / 2 + down * camera.zoom
