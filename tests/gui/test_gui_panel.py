"""The real window: opened, clicked, and never blocked."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QPushButton, QWidget

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.gui import dialogs
from napari_seg.gui.dock import Panel
from napari_seg.gui.layers import KEY
from napari_seg.gui.size_dialog import SizeDialog
from napari_seg.gui.views import SideLetters, canvas_of, mirrored

LONGEST = 0.1
"""Seconds of computing for which the window may not answer."""

PATIENCE = 0.5
"""Seconds of anything for which it may not answer, what other programs take left out: no lock, no file, no process."""


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], plugin: None) -> Any:
    return make_napari_viewer(show=True)


@pytest.fixture
def panel(viewer: Any) -> Panel:
    _, widget = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    assert isinstance(widget, Panel)
    return widget


def starved() -> float:
    """Seconds in which this thread was ready and other programs had the processor; 0 where the system does not say."""
    count = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    return int(count.read_text().split()[1]) / 1e9 if count.exists() else 0.0


def page(panel: Panel) -> Any:
    return panel.pages.widget(0)


def test_the_size_of_voxels_is_given_with_the_keyboard(
    viewer: Any,
    panel: Panel,
    picture: np.ndarray,
    spots: Path,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = write(Volume(picture, "YX"), tmp_path / "cells.ome.tif")
    viewer.open(image, plugin="napari-seg")
    panel.controller.choose_model(spots)
    shown = page(panel)
    shown.options.unfold(True)
    qtbot.waitUntil(shown.options.size.isVisible, timeout=20_000)
    assert shown.options.size.text() == "pixel size not known..."

    def answer(dialog: SizeDialog) -> int:
        dialog.show()
        qtbot.keyClicks(dialog.fields["X"], "0.25")
        qtbot.keyClicks(dialog.fields["Y"], "0.5")
        qtbot.keyClick(dialog.fields["Y"], Qt.Key.Key_Return)
        return int(dialog.result())

    monkeypatch.setattr(SizeDialog, "exec", answer)
    qtbot.keyClick(shown.options.size, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: shown.options.size.text() == "0.25 x 0.5 µm...", timeout=20_000)
    back = next(button for button in shown.findings.findChildren(QPushButton) if "size of the file" in button.text())
    qtbot.keyClick(back, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: shown.options.size.text() == "pixel size not known...", timeout=20_000)


def test_segment_with_mouse_and_keyboard(
    viewer: Any, panel: Panel, picture: np.ndarray, spots: Path, qtbot: Any, tmp_path: Path
) -> None:
    shown = page(panel)
    assert shown.start.isVisible()
    assert not shown.run.isVisible()
    image = write(Volume(picture, "YX", (0.5, 0.5), "um"), tmp_path / "cells.ome.tif")
    viewer.open(image, plugin="napari-seg")
    panel.controller.choose_model(spots)
    qtbot.waitUntil(lambda: shown.run.isEnabled() and shown.preview.isVisible(), timeout=20_000)
    assert shown.image.currentText() == "cells"
    assert "0.5 x 0.5 µm" in shown.image_words.text()
    qtbot.waitUntil(lambda: panel.device.text().startswith("CPU"), timeout=60_000)
    viewer.layers.remove(viewer.add_labels(np.ones_like(picture)))  # what napari makes but once for each window
    qtbot.wait(100)
    beats: list[tuple[float, float]] = []
    heart = QTimer()
    heart.timeout.connect(lambda: beats.append((time.thread_time(), time.monotonic() - starved())))
    heart.start(5)
    qtbot.mouseClick(shown.run, Qt.MouseButton.LeftButton)
    assert shown.running.isVisible()
    qtbot.waitUntil(lambda: panel.controller.state.phase == "done", timeout=60_000)
    heart.stop()
    gaps = np.sort(np.diff(beats, axis=0), axis=0)
    assert len(gaps) > 5
    computing, waiting = gaps[-2]  # the longest is napari making the new layer
    assert computing < LONGEST, gaps[-5:]
    assert waiting < PATIENCE, gaps[-5:]
    mask = viewer.layers[-1]
    assert mask.data.shape == picture.shape
    assert mask.metadata[KEY].spacing == pytest.approx((0.5, 0.5))
    assert shown.outcome.isVisible()
    qtbot.waitUntil(lambda: panel.saved.text() == "Not exported to a file yet", timeout=5_000)
    viewer.layers.selection = {mask}
    viewer.layers.save(str(tmp_path / "by_menu.ome.tif"), selected=True, plugin="napari-seg")
    qtbot.waitUntil(lambda: panel.saved.text().startswith("Saved by_menu.ome.tif at "), timeout=5_000)
    panel.controller.save(tmp_path / "mask.ome.tif")
    qtbot.waitUntil(lambda: panel.saved.text().startswith("Saved mask.ome.tif"), timeout=20_000)
    np.testing.assert_array_equal(read(tmp_path / "mask.ome.tif").data, mask.data)
    before = panel.controller.state.outcome
    assert not mask.data.any()
    shown.outcome.sliders.edge.setValue(0.05)  # even the scores of a network with fresh weights are higher
    qtbot.waitUntil(lambda: panel.controller.state.outcome.headline != before.headline, timeout=20_000)
    assert mask.data.any()


def test_keys_start_and_cancel_a_run(viewer: Any, panel: Panel, spots: Path, qtbot: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 999, (3000, 64, 64)).astype(np.uint16)
    layer = viewer.add_image(noise, axis_labels=("z", "y", "x"))
    panel.controller.choose_model(spots)
    panel.controller.tick()
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5_000)
    qtbot.waitUntil(lambda: page(panel).run.isEnabled(), timeout=5_000)
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: panel.controller.state.phase == "running", timeout=5_000)
    cancel = page(panel).running.cancel
    cancel.setFocus()
    qtbot.keyClick(cancel, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: panel.controller.state.phase == "done", timeout=5_000)
    assert panel.controller.state.outcome.headline == "Cancelled"
    assert list(viewer.layers) == [layer]
    assert page(panel).run.hasFocus()


def test_thresholds_of_a_large_image_are_seen_first_where_it_is_looked_at(
    viewer: Any, panel: Panel, spots: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 999, (1100, 1100)).astype(np.uint16)
    image = viewer.add_image(noise)
    controller = panel.controller
    controller.choose_model(spots)
    qtbot.waitUntil(lambda: page(panel).run.isEnabled(), timeout=20_000)
    controller.run()
    qtbot.waitUntil(lambda: controller.state.phase == "done", timeout=60_000)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 800, 300), 4
    qtbot.waitUntil(lambda: image.corner_pixels[1, 0] - image.corner_pixels[0, 0] < 500, timeout=5_000)
    mask = viewer.layers[-1]
    before = mask.data.copy()
    shown: list[np.ndarray] = []
    renew = controller.recorder.renew

    def watched(*about: Any, **known: Any) -> None:
        *others, then, failed = about

        def done(how: bool) -> None:
            shown.append(mask.data.copy())
            then(how)

        renew(*others, done, failed, **known)

    monkeypatch.setattr(controller.recorder, "renew", watched)
    page(panel).outcome.sliders.edge.setValue(0.3)
    qtbot.waitUntil(lambda: len(shown) == 2 and controller.runs.settled, timeout=60_000)
    part, whole = shown
    (top, left), (bottom, right) = image.corner_pixels
    inside = np.zeros(mask.data.shape, bool)
    inside[top : bottom + 1, left : right + 1] = True
    np.testing.assert_array_equal(part[~inside], np.where(inside, 0, before)[~inside])
    np.testing.assert_array_equal(part[inside] > 0, whole[inside] > 0)
    assert not np.array_equal(part[inside] > 0, before[inside] > 0)
    assert not np.array_equal(whole[~inside] > 0, before[~inside] > 0)


def test_every_control_has_a_name_and_is_reached_by_tab(
    viewer: Any, panel: Panel, picture: np.ndarray, spots: Path
) -> None:
    viewer.add_image(picture)
    panel.controller.choose_model(spots)
    panel.controller.tick()
    page(panel).options.unfold(True)
    kinds = (QAbstractButton, QComboBox, QAbstractSpinBox)
    controls = [w for kind in kinds for w in page(panel).findChildren(kind) if w.isVisible() and w.isEnabled()]
    assert len(controls) >= 8
    for control in controls:
        name = control.accessibleName() or getattr(control, "text", str)()
        assert name, control
        assert control.focusPolicy() & Qt.FocusPolicy.TabFocus, name


def test_options_that_are_folded_away_are_not_reached_and_say_what_is_not_as_by_default(
    viewer: Any, panel: Panel, picture: np.ndarray, spots: Path, qtbot: Any
) -> None:
    viewer.add_image(picture)
    panel.controller.choose_model(spots)
    panel.controller.tick()
    options = page(panel).options
    assert options.button.text() == "▸ Options"
    fields = (options.channel, options.diameter, options.region, options.device, options.precision)
    window = viewer.window._qt_window
    with qtbot.waitActive(window):
        window.activateWindow()
    options.button.setFocus()
    qtbot.keyClick(options.button, Qt.Key.Key_Tab)
    assert not any(field.isVisible() or field.hasFocus() for field in fields)
    panel.controller.set_options(region="box", precision="fp32")
    panel.controller.tick()
    assert options.button.text() == "▸ Options: only what is visible, exact (fp32)"
    panel.resize(280, panel.height())
    qtbot.waitUntil(lambda: options.button.text().endswith("…"))
    assert options.button.toolTip() == "Options: only what is visible, exact (fp32)"
    qtbot.mouseClick(options.button, Qt.MouseButton.LeftButton)
    assert options.region.isVisible()
    options.unfold(False)
    options.lead_to("region")
    assert options.region.isVisible()
    options.region.hidePopup()


def test_letters_lie_over_the_canvas_and_let_the_mouse_through(viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    affine = np.array([[0, 0, -1.0, 0], [0, -1, 0, 0], [-2, 0, 0, 0], [0, 0, 0, 1]])
    noise = np.random.default_rng(0).normal(size=(4, 30, 40)).astype(np.float32)
    scan = write(Volume(noise, "ZYX", (2, 1, 1), "mm", affine), tmp_path / "scan.nii.gz")
    viewer.open(scan, plugin="napari-seg")
    canvas = canvas_of(viewer)
    overlay = canvas.findChild(SideLetters)
    assert overlay.texts == ("A", "L", "P", "R")
    assert overlay.geometry() == canvas.rect()
    viewer.window._qt_window.resize(900, 600)
    qtbot.waitUntil(lambda: overlay.geometry() == canvas.rect())
    viewer.dims.order = (1, 0, 2)
    assert overlay.texts == ("S", "L", "I", "R")
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)):
        viewer.dims.order = order
        viewer.dims.ndisplay = 3
        assert not mirrored(viewer)
        viewer.dims.ndisplay = 2
    assert isinstance(canvas.childAt(QPoint(5, 5)), QWidget | None)
    viewer.layers.clear()
    assert overlay.texts == ("", "", "", "")


def test_what_cannot_be_read_is_one_notification_and_no_layer(viewer: Any, tmp_path: Path) -> None:
    from napari.utils.notifications import notification_manager

    path = tmp_path / "broken.nii.gz"
    path.write_text("no volume")
    viewer.open(path, plugin="napari-seg")
    assert len(viewer.layers) == 0
    last = notification_manager.records[-1]
    assert "broken.nii.gz" in last.message
    assert str(last.severity) == "error"


@pytest.mark.parametrize(("key", "opened"), [(Qt.Key.Key_Return, 1), (Qt.Key.Key_Escape, 0)])
def test_a_question_is_answered_or_left_with_the_keyboard(
    viewer: Any, tmp_path: Path, qtbot: Any, key: Qt.Key, opened: int
) -> None:
    labels = np.kron(np.eye(4, dtype=np.uint8), np.ones((8, 8), np.uint8))
    path = write(Volume(labels, "YX"), tmp_path / "what.png")

    def press() -> None:
        picker = viewer.window._qt_window.findChild(dialogs.Picker)
        if picker is not None and picker.isVisible():
            finger.stop()
            qtbot.keyClick(picker.list, key)

    finger = QTimer()
    finger.timeout.connect(press)
    finger.start(20)
    viewer.open(path, plugin="napari-seg")
    assert [layer._type_string for layer in viewer.layers] == ["labels"] * opened


def test_samples_open_with_their_labels(viewer: Any) -> None:
    image, truth = viewer.open_sample("napari-seg", "nuclei2d")
    assert image.data.shape == truth.data.shape
    assert not truth.visible
    assert truth.data.max() > 50


def test_the_panel_closes_its_engine_and_follows_the_theme(viewer: Any, panel: Panel, qtbot: Any) -> None:
    dark = panel.styleSheet()
    viewer.theme = "light"
    assert panel.styleSheet() != dark
    engine = panel.controller.engine
    qtbot.waitUntil(lambda: engine.pid is not None, timeout=10_000)
    folder = engine._folder
    viewer.window.remove_dock_widget(panel)
    panel.deleteLater()
    qtbot.waitUntil(lambda: not folder.exists(), timeout=10_000)
    assert engine.pid is None


def from_the_menu(viewer: Any) -> None:
    """Choose the panel in the Plugins menu."""

    def entries(menu: Any) -> Iterator[Any]:
        for action in menu.actions():
            yield from (action,) if action.menu() is None else entries(action.menu())

    menu = viewer.window.plugins_menu
    menu.aboutToShow.emit()
    next(entry for entry in entries(menu) if "Segmentation panel" in entry.text()).trigger()


def test_the_panel_comes_back_after_its_cross_and_keeps_what_is_painted(viewer: Any, plugin: None, qtbot: Any) -> None:
    from_the_menu(viewer)
    [panel] = viewer.window.dock_widgets.values()
    recorder = panel.controller.recorder
    viewer.add_image(np.random.default_rng(0).random((40, 50)), name="scan")
    mask = viewer.add_labels(np.zeros((40, 50), np.uint16), name="mask")
    qtbot.waitUntil(lambda: recorder.track(mask) is not None and recorder.rests, timeout=20_000)
    for dock, floats in ((panel.parent(), False), (panel.parent(), True)):
        dock.setFloating(floats)  # napari makes another title bar for that
        for value, button in ((1, dock.title.close_button), (2, dock.title.hide_button)):
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
            qtbot.waitUntil(lambda: not panel.isVisible(), timeout=5_000)
            mask.data_setitem((np.array([6]), np.array([6])), value)
            qtbot.waitUntil(lambda: recorder.rests, timeout=20_000)
            from_the_menu(viewer)
            assert [*viewer.window.dock_widgets.values()] == [panel]
            assert panel.isVisible()
            assert panel.parent().isFloating() is floats
    assert viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")[1] is panel
    assert mask.editable
    assert panel.kept.text().endswith("4 steps can be undone")
    for value in (1, 2, 1, 0):
        mask.undo()
        qtbot.waitUntil(lambda: recorder.rests, timeout=20_000)
        assert mask.data[6, 6] == value


def test_pages_have_numbers_where_there_is_room_for_them(panel: Panel, qtbot: Any) -> None:
    def titles() -> list[str]:
        return [panel.tabs.tabText(k) for k in range(panel.tabs.count())]

    panel.resize(600, 600)
    assert titles() == ["1 Segment", "2 Correct", "3 Review", "4 Train", "5 Project"]
    panel.resize(280, 600)
    assert titles() == ["Segment", "Correct", "Review", "Train", "Project"]
    assert panel.tabs.tabToolTip(3) == "Train (Alt+4)"


def test_the_window_stays_as_small_as_it_was_made(viewer: Any, panel: Panel, qtbot: Any) -> None:
    window = viewer.window._qt_window
    window.resize(1100, 620)
    qtbot.waitUntil(lambda: window.height() == 620)
    viewer.add_labels(np.pad(np.ones((20, 30), np.uint8), 5), name="mask")
    panel.resumed._say("Your work is here again.")
    for at in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(at)
        qtbot.wait(50)
    assert window.height() == 620
    assert panel.parentWidget().minimumSizeHint().height() < 400


def test_the_window_never_imports_torch() -> None:
    manifest = Path(__file__).parents[2] / "napari_seg" / "napari.yaml"
    script = (
        "import sys, npe2, napari\n"
        "manager = npe2.PluginManager.instance()\n"
        "manager.discover()\n"
        "if 'napari-seg' not in manager:\n"
        f"    manager.register(npe2.PluginManifest.from_file({str(manifest)!r}))\n"
        "viewer = napari.Viewer(show=False)\n"
        "viewer.window.add_plugin_dock_widget('napari-seg', 'Segmentation panel')\n"
        "viewer.open_sample('napari-seg', 'nuclei2d')\n"
        "assert 'torch' not in sys.modules\n"
        "viewer.close()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
