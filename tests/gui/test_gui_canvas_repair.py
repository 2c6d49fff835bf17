"""Layers that were painted on go and others come, and the window lives."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from napari.components import ViewerModel

from napari_seg.gui import canvas_repair
from napari_seg.gui.canvas_repair import delete_where_safe

GO_AND_COME = """
import time
import numpy as np, napari
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from napari_seg.gui.canvas_repair import mend_drawing
from napari_seg.gui.views import adding, canvas_of

def wait(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()

viewer = napari.Viewer()
mend_drawing(viewer)
canvas, layers = canvas_of(viewer), []
middle = QPoint(canvas.width() // 2, canvas.height() // 2)
for k in range(4):
    with adding(viewer):
        for layer in layers:
            viewer.layers.remove(layer)
        image = viewer.add_image(np.random.rand(256 + 40 * (k % 2), 256).astype(np.float32))
    viewer.reset_view()
    wait(0.1)
    with adding(viewer):
        mask = viewer.add_labels(np.zeros(image.data.shape, np.uint8))
    layers = [image, mask]
    wait(0.2)
    mask.mode = "paint"
    wait(0.1)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
    QTest.mouseMove(canvas, middle + QPoint(30, 0))
    wait(0.1)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(30, 0))
    assert mask.data.any()
    wait(0.2)
    mask.mode = "pan_zoom"
    wait(0.1)
viewer.close()
"""


def test_the_window_lives() -> None:
    done = subprocess.run([sys.executable, "-c", GO_AND_COME], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(("renderer", "deleted"), [("llvmpipe (LLVM 15)", 0), ("softpipe", 0), ("NVIDIA T4", 1)])
def test_programs_are_kept_where_they_are_drawn_in_software(
    monkeypatch: pytest.MonkeyPatch, renderer: str, deleted: int
) -> None:
    gone: list[Any] = []
    monkeypatch.setattr(canvas_repair.gl, "glGetParameter", lambda what: renderer)
    monkeypatch.setattr(canvas_repair, "_delete", gone.append)
    delete_where_safe(object())
    assert len(gone) == deleted


def test_no_square_stays_where_a_brush_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_repair.GlirProgram, "delete", canvas_repair.GlirProgram.delete)  # put back afterwards
    viewer = ViewerModel()
    canvas_repair.mend_drawing(viewer)
    assert viewer.canvas.overlays._brush_circle.box is False
    assert canvas_repair.GlirProgram.delete is delete_where_safe
