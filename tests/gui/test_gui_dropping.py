"""A file that is dropped on the view opens without a question about readers, with what the file knows of its grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.gui.dropping import Dropping, ours
from napari_seg.gui.views import canvas_of, drop_target


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return write(
        Volume(np.arange(4 * 60 * 80, dtype=np.uint16).reshape(4, 60, 80), "ZYX", spacing=(3.0, 0.5, 0.5), unit="mm"),
        tmp_path / "scan.nii.gz",
    )


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], plugin: None) -> Any:
    return make_napari_viewer(show=True)


def drop(viewer: Any, *urls: QUrl, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Carry files over the canvas and let go of them there."""
    data = QMimeData()
    data.setUrls(list(urls))
    for kind, where in ((QDragEnterEvent, QPoint(9, 9)), (QDropEvent, QPointF(9, 9))):
        event = kind(where, Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, keys)
        QApplication.sendEvent(canvas_of(viewer), event)


def test_a_dropped_file_opens_with_its_spacing(viewer: Any, scan: Path, qtbot: Any) -> None:
    viewer.window.add_plugin_dock_widget("napari-seg")
    drop(viewer, QUrl.fromLocalFile(str(scan)))
    qtbot.waitUntil(lambda: bool(viewer.layers))
    assert [tuple(layer.scale) for layer in viewer.layers] == [(3.0, 0.5, 0.5)]


@pytest.mark.parametrize("keys", [Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier])
def test_what_napari_does_with_shift_and_alt_is_left_to_it(
    viewer: Any, scan: Path, keys: Qt.KeyboardModifier, qtbot: Any
) -> None:
    opened: list[Any] = []
    napari_opened: list[Any] = []
    file, page = QUrl.fromLocalFile(str(scan)), QUrl("https://example.org/scan.nii.gz")
    Dropping(drop_target(viewer), opened.append)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drop_target(viewer), "_qt_open", lambda paths, **how: napari_opened.append(paths))
        drop(viewer, file, keys=keys)
        drop(viewer, page)
        drop(viewer, file, page)
        assert (len(napari_opened), opened) == (3, [])
        drop(viewer, file)
        qtbot.waitUntil(lambda: bool(opened))
    assert (len(napari_opened), opened) == (3, [[str(scan)]])


def test_formats_of_others_and_wishes_are_respected(scan: Path, tmp_path: Path, make_napari_viewer: Any) -> None:
    table = tmp_path / "points.csv"
    table.touch()
    assert ours([str(scan)])
    assert not ours([])
    assert not ours([str(scan), str(table)])
    get_settings().plugins.extension2reader = {"*.nii.gz": "napari"}
    assert not ours([str(scan)])
    get_settings().plugins.extension2reader = {"*.nii.gz": "napari-seg"}
    assert ours([str(scan)])
