"""A file that is dropped on the view opens without a question about readers, with what the file knows of its grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import npe2
import numpy as np
import pydicom
import pydicom.data
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.gui.dropping import Dropping, ours
from napari_seg.gui.layers import KEY
from napari_seg.gui.views import canvas_of, drop_target
from napari_seg.session.database import NAME


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


@pytest.mark.parametrize("name", ["CT.1.2.840.5", "1.2.840.113.77", "IM0001", "I1A3F"])
def test_a_slice_opens_whatever_its_scanner_called_it(viewer: Any, name: str, tmp_path: Path, qtbot: Any) -> None:
    slice_of = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    slice_of.preamble = bytes(128)
    named = tmp_path / name
    slice_of.save_as(named)
    viewer.window.add_plugin_dock_widget("napari-seg")
    drop(viewer, QUrl.fromLocalFile(str(named)))
    qtbot.waitUntil(lambda: bool(viewer.layers))
    (layer,) = viewer.layers
    assert layer.metadata[KEY].source.format == "dicom"
    assert (layer.source.path, layer.source.reader_plugin) == (str(named), "napari-seg")


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("images", "images is a folder of images; open it on the page Project of the panel"),
        ("project", "project is a project; open it on the page Project of the panel"),
        ("empty", "holds no image that can be read; choose"),
        ("texts", "holds no image that can be read; choose"),
        ("text.zarr", "text.zarr is not in a format that can be read; convert"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(
    viewer: Any, folder: Path, what: str, words: str, tmp_path: Path, qtbot: Any
) -> None:
    for name in ("empty", "texts", "project"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / NAME).touch()
    for name in ("text.zarr", "texts/a.txt"):
        (tmp_path / name).write_text("x")
    said: list[str] = []
    viewer.window.add_plugin_dock_widget("napari-seg")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari.utils.notifications.show_error", said.append)
        drop(viewer, QUrl.fromLocalFile(str(tmp_path / what)))
        qtbot.waitUntil(lambda: bool(said))
        assert viewer.open(tmp_path / what, plugin="napari-seg") == []
    assert len(said) == 2
    assert all(words in sentence for sentence in said)
    assert not viewer.layers


def test_a_folder_that_the_reader_of_another_knows_is_left_to_it(folder: Path, tmp_path: Path) -> None:
    other = npe2.DynamicPlugin("other")
    assert ours([str(folder)])
    with other:

        @other.contribute.reader(filename_patterns=["*"], accepts_directories=True)
        def read(path: str) -> None:
            """Reads it."""

        assert not ours([str(folder)])


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
