"""Views from three sides: one array, one crosshair, and nothing left behind when they close."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari._qt.qt_viewer import QtViewer
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_seg.data.volume import Source, Volume
from napari_seg.gui.colours import class_looks
from napari_seg.gui.family import Family
from napari_seg.gui.layers import layer_data
from napari_seg.gui.linking import Link, Slice
from napari_seg.gui.orthogonal import KEY_OF_VIEWS, Views, bind, peers, refresh_shared, toggle, views_of
from napari_seg.gui.overlay import on_canvas
from napari_seg.gui.planes import label_words, on_voxel, planes, position_words, shown_plane, value_words, voxel_words
from napari_seg.gui.solid import LARGEST, coarse
from napari_seg.gui.views import canvas_of, in_stroke

IPL = np.array([[0, 0, -1.0, 10], [0, -1, 0, 20], [-2, 0, 0, 30], [0, 0, 0, 1]])
LPI = np.array([[-2.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])


def scan(affine: np.ndarray | None = IPL, shape: tuple[int, ...] = (8, 10, 12), axes: str = "ZYX") -> Volume:
    data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    unit = "um" if affine is None else "mm"
    source = None if affine is None else Source("scan", "dicom", modality="CT")  # type: ignore[arg-type]
    return Volume(data, axes, (2, 1, 1), unit, affine, name="scan", source=source)


def fill(viewer: Any, volume: Volume) -> Labels:
    """Show a volume and an empty mask of it."""
    for kind, one in (("image", volume), ("labels", volume.mask(np.zeros(volume.shape, np.uint8), name="mask"))):
        data, about, _ = layer_data(one, kind)[0]  # type: ignore[arg-type]
        getattr(viewer, f"add_{kind}")(data, **about)
    mask = viewer.layers["mask"]
    assert isinstance(mask, Labels)
    return mask


@pytest.fixture
def model() -> ViewerModel:
    viewer = ViewerModel()
    fill(viewer, scan())
    return viewer


# planes and words


def test_anatomical_names_follow_the_orientation(model: ViewerModel) -> None:
    known = planes(model)
    assert known is not None
    assert [(plane.name, plane.order) for plane in known] == [
        ("Axial", (0, 1, 2)),
        ("Coronal", (1, 0, 2)),
        ("Sagittal", (2, 0, 1)),
    ]
    other = ViewerModel()
    fill(other, scan(LPI))
    assert [plane.name for plane in planes(other) or ()] == ["Sagittal", "Coronal", "Axial"]


def test_planes_of_a_film_leave_time_alone() -> None:
    viewer = ViewerModel()
    fill(viewer, scan(None, (2, 8, 10, 12), "TZYX"))
    known = planes(viewer)
    assert known is not None
    assert [(plane.name, plane.axis, plane.order) for plane in known] == [
        ("XY", 1, (0, 1, 2, 3)),
        ("XZ", 2, (0, 2, 1, 3)),
        ("YZ", 3, (0, 3, 1, 2)),
    ]
    assert shown_plane(viewer, known) is known[0]
    viewer.dims.order = (0, 3, 1, 2)
    assert shown_plane(viewer, known) is known[2]
    viewer.dims.ndisplay = 3
    assert shown_plane(viewer, known) is None


def test_a_picture_has_no_planes() -> None:
    viewer = ViewerModel()
    assert planes(viewer) is None
    viewer.add_image(np.zeros((5, 6)))
    assert planes(viewer) is None
    viewer.add_labels(np.zeros((1, 5, 6), int))
    assert planes(viewer) is not None


def test_where_and_what_in_words(model: ViewerModel) -> None:
    model.dims.point = on_voxel(model, np.array(model.layers[0].data_to_world((1, 2, 3))))
    assert position_words(model) == "R 7.0   A 18.0   S 28.0 mm"
    assert voxel_words(model) == "voxel 1, 2, 3"
    assert value_words(model) == "value 147 HU   no label"
    model.layers["mask"].data[1, 2, 3] = 2
    assert value_words(model).endswith("label 2")
    model.layers["mask"].visible = False
    assert value_words(model) == "value 147 HU"


def test_microscopes_count_in_micrometres() -> None:
    viewer = ViewerModel()
    fill(viewer, scan(None))
    viewer.dims.point = (6.0, 2.0, 5.0)
    assert position_words(viewer) == "x 5.00   y 2.00   z 6.00 µm"
    assert voxel_words(viewer) == "voxel 3, 2, 5"


def test_classes_have_names() -> None:
    layer = Labels(np.zeros((4, 4), np.uint8), **class_looks(("liver", "spleen")))
    assert label_words(layer, 2) == "label 2 spleen"
    assert label_words(layer, 7) == "label 7"
    assert label_words(layer, 0) == "no label"


def test_the_crosshair_stands_on_a_voxel_inside(model: ViewerModel) -> None:
    layer = model.layers[0]
    beside = np.array(layer.data_to_world((2, 3, 4))) + np.array((0.9, -0.4, 0.4))
    assert on_voxel(model, beside) == pytest.approx(tuple(layer.data_to_world((2, 3, 4))))
    far = np.array(layer.data_to_world((99, -7, 4)))
    assert on_voxel(model, far) == pytest.approx(tuple(layer.data_to_world((7, 0, 4))))


@pytest.mark.parametrize(
    ("vertical", "horizontal", "wanted"),
    [("down", "right", (70, 40)), ("up", "right", (70, 60)), ("down", "left", (30, 40))],
)
def test_world_on_the_canvas(vertical: str, horizontal: str, wanted: tuple[float, float]) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((9, 9, 9)))
    viewer.scene.camera.center = (0.0, 4.0, 4.0)
    viewer.scene.camera.zoom = 10
    viewer.scene.camera.orientation2d = (vertical, horizontal)
    assert on_canvas(viewer, (100, 100), np.array([0.0, 3.0, 6.0])) == pytest.approx(wanted)


# one layer in several views


@pytest.fixture
def mask() -> Iterator[Labels]:
    layer = Labels(np.zeros((6, 20, 20), np.uint8), name="mask")
    yield layer
    family = Family.of(layer)
    if family:
        family.close()


def test_peers_share_the_array_and_all_that_is_chosen(mask: Labels) -> None:
    mask.contour, mask.brush_size, mask.mode = 2, 3, "paint"
    family = Family(mask)
    one, other = family.join(), family.join()
    assert one.data is mask.data is other.data
    assert (one.contour, one.brush_size, one.mode) == (2, 3, "paint")
    assert peers(one) == [mask, other]
    changes = {
        "opacity": 0.3,
        "contour": 0,
        "selected_label": 4,
        "show_selected_label": True,
        "brush_size": 7,
        "mode": "erase",
        "n_edit_dimensions": 3,
        "preserve_labels": True,
        "contiguous": False,
    }
    for source in (mask, other):
        for name, value in changes.items():
            setattr(source, name, value)
            assert getattr(one, name) == value, name
            assert getattr(mask, name) == getattr(other, name) == value, name
        changes = {"opacity": 0.8, "contour": 1, "selected_label": 2, "mode": "pan_zoom"}
    other.mode = "paint"
    mask.visible = False
    assert not one.visible
    assert (one.mode, mask.mode) == ("pan_zoom", "pan_zoom")
    mask.visible = True
    assert one.visible
    assert [layer.mode for layer in (mask, one, other)] == ["paint"] * 3
    other.visible = False
    assert not mask.visible
    other.visible = True
    assert mask.visible
    mask.name, mask.scale, mask.editable = "new", (2, 1, 1), False
    assert one.name == "new"
    assert one.scale[0] == 2
    assert not one.editable
    mask.colormap = class_looks(("a", "b"))["colormap"]
    assert one.get_color(2) == pytest.approx(mask.get_color(2))


def test_contrast_is_shared_both_ways() -> None:
    image = Image(np.arange(60.0).reshape(3, 4, 5))
    family = Family(image)
    peer = family.join()
    image.contrast_limits = (5, 20)
    assert peer.contrast_limits == [5, 20]
    peer.contrast_limits = (-10, 200)
    assert image.contrast_limits == [-10, 200]
    peer.gamma, peer.colormap = 0.5, "red"
    assert image.gamma == 0.5
    assert image.colormap.name == "red"
    family.close()
    peer.gamma = 1
    assert image.gamma == 0.5
    assert peers(image) == []


def test_a_stroke_on_a_peer_is_one_on_the_layer(mask: Labels) -> None:
    family = Family(mask)
    peer = family.join()
    strokes: list[Any] = []
    mask.events.paint.connect(lambda event: strokes.append(event.value))
    with peer.block_history():
        peer.paint((2, 5, 5), 3)
        assert in_stroke(mask)
        peer.paint((2, 9, 5), 3)
    assert not in_stroke(mask)
    assert len(strokes) == 1
    assert len(strokes[0]) == 2
    assert np.any(mask.data == 3)
    mask.undo()
    assert not mask.data.any()
    assert not peer._undo_history


def test_peers_are_drawn_again_once(mask: Labels) -> None:
    family = Family(mask)
    peer = family.join()
    told: list[int] = []
    family.changed.connect(lambda: told.append(1))
    drawn: list[int] = []
    peer.events.set_data.connect(lambda event: drawn.append(1))
    for y in range(4, 12):
        mask.paint((mask.data.shape[0] // 2, y, 5), 3)
    assert told
    family.repaint()
    family.repaint()
    assert len(drawn) == 1
    mask.undo()
    family.repaint()
    assert len(drawn) == 2
    mask.data[:] = 5  # by somebody who says nothing
    refresh_shared(peer)
    assert len(drawn) == 3
    assert np.all(mask._slice.image.view == 5)
    assert np.all(peer._slice.image.view == 5)


def test_another_array_takes_the_peers_along(mask: Labels) -> None:
    family = Family(mask)
    peer = family.join()
    peer.paint((0, 5, 5), 3)
    mask.data = np.ones((6, 20, 20), np.uint16)
    assert peer.data is mask.data
    peer.undo()
    assert np.all(mask.data == 1)


def test_a_line_that_is_drawn_shows_in_the_peer() -> None:
    lines = Shapes([np.array([[0, 0, 0], [0, 5, 5.0]])], shape_type="line")
    family = Family(lines)
    peer = family.join()
    lines.add(np.array([[0, 1, 1], [0, 5, 5.0], [0, 7, 2]]), shape_type="path")
    assert peer.shape_type == ["line", "path"]
    family.close()


def test_a_lone_layer_is_redrawn_too(mask: Labels) -> None:
    assert peers(mask) == []
    mask.data[:] = 2
    refresh_shared(mask)
    assert np.all(mask._slice.image.view == 2)


# the link


@pytest.fixture
def linked(model: ViewerModel, qtbot: Any) -> Iterator[tuple[ViewerModel, list[Slice]]]:
    canvases = [QWidget(), QWidget()]
    slices = [Slice(ViewerModel(), canvas) for canvas in canvases]
    for canvas in canvases:
        qtbot.addWidget(canvas)
    link = Link(model, slices)
    yield model, slices
    link.close()
    model.dims.point = (1.0, 1.0, 1.0)
    assert slices[0].model.dims.point != model.dims.point


def test_slices_show_what_the_main_view_does_not(linked: tuple[ViewerModel, list[Slice]]) -> None:
    main, slices = linked
    assert [side.model.dims.order for side in slices] == [(1, 0, 2), (2, 0, 1)]
    main.dims.order = (2, 0, 1)
    assert [side.model.dims.order for side in slices] == [(0, 1, 2), (1, 0, 2)]


def test_one_crosshair(linked: tuple[ViewerModel, list[Slice]]) -> None:
    main, (one, other) = linked
    main.dims.set_current_step(0, 2)
    assert one.model.dims.current_step == other.model.dims.current_step == main.dims.current_step
    other.model.dims.set_current_step(2, 9)
    assert main.dims.current_step[2] == one.model.dims.current_step[2] == 9


def test_layers_come_go_move_and_are_chosen(linked: tuple[ViewerModel, list[Slice]]) -> None:
    main, (one, _) = linked
    new = main.add_labels(np.zeros((8, 10, 12), int), name="more", scale=(2, 1, 1))
    assert [layer.name for layer in one.model.layers] == ["scan", "mask", "more"]
    assert one.model.layers.selection.active is one.peers[new]
    main.layers.move(2, 0)
    assert [layer.name for layer in one.model.layers] == ["more", "scan", "mask"]
    main.layers.selection.active = main.layers["scan"]
    assert one.model.layers.selection.active.name == "scan"
    main.layers.remove(new)
    assert [layer.name for layer in one.model.layers] == ["scan", "mask"]
    assert peers(new) == []
    main.layers.clear()
    assert not one.model.layers
    main.add_image(np.zeros((3, 8, 10, 12)))
    assert one.model.dims.order == (0, 2, 1, 3)


# the mask in 3D


@pytest.mark.parametrize(("shape", "step"), [((4, 5, 6), 1), ((128, 128, 128), 1), ((130, 128, 128), 2)])
def test_large_masks_are_drawn_coarsely(shape: tuple[int, ...], step: int) -> None:
    labels, found = coarse(np.ones(shape, np.uint8), ())
    assert found == step
    assert labels.size <= LARGEST
    assert labels.shape == tuple(-(-n // step) for n in shape)


def test_the_3d_view_has_the_time_point_shown() -> None:
    films = np.zeros((2, 4, 5, 6), np.uint8)
    films[1] = 7
    assert np.all(coarse(films, (1,))[0] == 7)


# the window


def places(viewer: Any, canvas: Any, *voxels: tuple[float, ...]) -> list[QPoint]:
    """Pixels of a canvas where voxels of the first layer are."""
    size = (canvas.width(), canvas.height())
    worlds = (np.asarray(viewer.layers[0].data_to_world(voxel)) for voxel in voxels)
    return [QPoint(*(round(p) for p in on_canvas(viewer, size, world))) for world in worlds]


def drag(pane: Any, qtbot: Any, points: list[QPoint]) -> None:
    qtbot.mousePress(pane.canvas, Qt.MouseButton.LeftButton, pos=points[0])
    for point in points[1:]:
        before = pane.model.cursor.position

        def moved() -> bool:
            move(pane.canvas, point, Qt.MouseButton.LeftButton)  # noqa: B023
            return bool(pane.model.cursor.position != before)  # noqa: B023

        qtbot.waitUntil(moved)  # napari looks at the mouse every few milliseconds
    qtbot.mouseRelease(pane.canvas, Qt.MouseButton.LeftButton, pos=points[-1])


def move(
    canvas: Any,
    point: QPoint,
    button: Qt.MouseButton = Qt.MouseButton.NoButton,
    keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    here, there = QPointF(point), QPointF(canvas.mapToGlobal(point))
    event = QMouseEvent(QEvent.Type.MouseMove, here, there, Qt.MouseButton.NoButton, button, keys)
    QApplication.sendEvent(canvas, event)


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any]) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1300, 850)
    fill(viewer, scan(shape=(20, 40, 50)))
    return viewer


def opened(viewer: Any, qtbot: Any) -> Views:
    if views_of(viewer) is None:
        toggle(viewer)
    views = views_of(viewer)
    assert views is not None
    qtbot.waitUntil(lambda: len(views.models[2].layers) == 1 and views.width() > 200)
    for pane in views._panes:  # laid out, drawn, and fitted to their size
        qtbot.waitUntil(lambda: pane.model.canvas.size == (pane.canvas.height(), pane.canvas.width()))  # noqa: B023
    return views


def test_paint_click_and_undo_in_a_side_view(window: Any, qtbot: Any) -> None:
    mask = window.layers["mask"]
    views = opened(window, qtbot)
    pane = views._panes[0]
    assert [p.letters.texts[0] for p in views._panes[:2]] == ["S", "S"]
    [at] = places(pane.model, pane.canvas, (15, 19, 40))
    qtbot.mouseClick(pane.canvas, Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: window.dims.current_step == (15, 19, 40))
    window.layers.selection.active = mask
    mask.selected_label, mask.mode, mask.brush_size = 2, "paint", 4
    drag(pane, qtbot, places(pane.model, pane.canvas, (15, 19, 10), (15, 19, 25), (15, 19, 40)))
    painted = np.argwhere(mask.data == 2)
    assert set(painted[:, 1]) == {19}
    assert painted[:, 2].min() <= 10
    assert painted[:, 2].max() >= 40
    qtbot.waitUntil(lambda: bool(np.any(mask._slice.image.view)))  # the main view shows it
    qtbot.waitUntil(lambda: bool(np.any(views.models[2].layers[0].data == 2)))
    assert window.dims.current_step == (15, 19, 40)  # painting does not move the crosshair
    qtbot.keyClick(pane.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not mask.data.any()
    qtbot.waitUntil(lambda: not np.any(pane.model.layers["mask"]._slice.image.view))
    mask.mode = "pan_zoom"
    [at] = places(window, canvas_of(window), (15, 10, 12))

    def followed() -> bool:
        move(canvas_of(window), at, keys=Qt.KeyboardModifier.ShiftModifier)
        return bool(window.dims.current_step == (15, 10, 12))

    qtbot.waitUntil(followed)
    assert pane.model.dims.current_step == (15, 10, 12)


def test_tools_of_the_main_view_hear_the_mouse_everywhere(window: Any, qtbot: Any) -> None:
    heard: list[tuple[str, Any, tuple[int, ...]]] = []

    def tool(layer: Any, event: Any) -> Iterator[None]:
        heard.append((event.type, layer, tuple(event.dims_displayed)))
        yield
        while event.type == "mouse_move":
            heard.append((event.type, layer, ()))
            yield
        heard.append((event.type, layer, ()))

    views = opened(window, qtbot)
    pane = views._panes[1]
    mask = window.layers.selection.active = window.layers["mask"]
    mask.mouse_drag_callbacks.append(tool)
    mask.mouse_pan = False  # as tools do, so that the view stays where it is
    assert not pane.model.scene.camera.mouse_pan
    drag(pane, qtbot, places(pane.model, pane.canvas, (5, 10, 24), (8, 15, 24), (10, 20, 24)))
    assert [kind for kind, _, _ in heard][:: len(heard) - 1] == ["mouse_press", "mouse_release"]
    assert heard[0][1] is mask
    assert heard[0][2] == (0, 1)
    assert any(kind == "mouse_move" for kind, _, _ in heard)
    [at] = places(pane.model, pane.canvas, (5, 10, 24))
    there = window.layers[0].data_to_world((5, 10, 24))

    def moved() -> bool:
        move(pane.canvas, at)
        return bool(np.allclose(window.cursor.position, there, atol=0.6))

    qtbot.waitUntil(moved)
    qtbot.mouseClick(pane.canvas, Qt.MouseButton.LeftButton, pos=at)
    assert window.dims.current_step == (9, 19, 24)  # the click was the tool's


def test_open_and_close_by_key_without_a_trace(window: Any, qtbot: Any) -> None:
    bind(window)
    before = len(QtViewer._instances)
    callbacks = len(window.mouse_drag_callbacks)
    gone: list[Any] = []
    for _ in range(2):
        qtbot.keyClick(canvas_of(window), getattr(Qt.Key, f"Key_{KEY_OF_VIEWS}"))
        gone += [weakref.ref(model) for model in opened(window, qtbot).models]
        qtbot.keyClick(canvas_of(window), getattr(Qt.Key, f"Key_{KEY_OF_VIEWS}"))
        assert views_of(window) is None
    qtbot.waitUntil(lambda: gc.collect() >= 0 and len(QtViewer._instances) == before)
    assert [reference() for reference in gone] == [None] * 6
    assert len(window.mouse_drag_callbacks) == callbacks
    assert peers(window.layers["mask"]) == []
    window.dims.set_current_step(0, 3)
    window.layers.clear()


def test_the_cross_of_the_dock_closes_too(window: Any, qtbot: Any) -> None:
    opened(window, qtbot).parent().destroyOnClose()
    assert views_of(window) is None
    assert peers(window.layers["mask"]) == []


def test_a_window_closed_with_its_views_lets_go(window: Any, qtbot: Any) -> None:
    mask = window.layers["mask"]
    mask.mode = "paint"
    opened(window, qtbot)
    window.close()
    qtbot.waitUntil(lambda: peers(mask) == [])


def test_other_dimensions_while_the_views_are_open(window: Any, qtbot: Any) -> None:
    views = opened(window, qtbot)
    window.layers["mask"].mode = "paint"
    window.layers.clear()
    window.add_image(np.zeros((30, 30)))
    QApplication.processEvents()
    assert views._panes[0].reticle.title()[0] == "no volume is open"
    window.add_labels(np.ones((2, 9, 30, 30), int))
    qtbot.waitUntil(lambda: [layer.data.shape for layer in views.models[2].layers] == [(9, 30, 30)])
    assert views._panes[0].reticle.title()[0] == "XZ"


def test_a_picture_is_not_seen_from_other_sides(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(np.zeros((5, 6)))
    toggle(viewer)
    assert views_of(viewer) is None
