"""The view: letters for the patient's sides at its edges, and the one place where napari's private parts are used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from napari._qt.qt_viewer import QtViewer
from napari._vispy.canvas import VispyCanvas
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap
from numpy.typing import NDArray
from pydantic import PrivateAttr
from qtpy.compat import isalive
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_seg.data.geometry import spacing_of
from napari_seg.data.volume import SPATIAL, Volume
from napari_seg.gui.layers import KEY
from napari_seg.gui.overlay import Overlay

_WORLD = ("RL", "AP", "SI")
_NOTICED = 0.4
"""A direction is named by each side it points to with at least this cosine, the strongest first: ``PL`` is oblique."""


def letters(direction: NDArray[np.float64]) -> str:
    """The sides of the patient towards which a vector in world coordinates (R, A, S) points."""
    length = float(np.linalg.norm(direction))
    if length == 0:
        return ""
    unit = direction / length
    strongest = sorted(range(3), key=lambda k: -abs(unit[k]))
    return "".join(_WORLD[k][0 if unit[k] > 0 else 1] for k in strongest if abs(unit[k]) >= _NOTICED)


def sides(volume: Volume, up: Mapping[str, float], right: Mapping[str, float]) -> tuple[str, str, str, str]:
    """The letters at the top, right, bottom and left edge.

    ``up`` and ``right`` are those directions of the screen as combinations of the volume's spatial axes.
    """
    if volume.affine is None:
        return ("", "", "", "")
    directions = volume.affine[:3, :3] / spacing_of(volume.affine)
    column = {axis: directions[:, k] for k, axis in enumerate(SPATIAL)}

    def towards(screen: Mapping[str, float], sign: int) -> str:
        parts = [weight * column[axis] for axis, weight in screen.items() if axis in column]
        return letters(sign * np.sum(parts, axis=0)) if parts else ""

    return towards(up, 1), towards(right, 1), towards(up, -1), towards(right, -1)


def shown_sides(viewer: Any) -> tuple[str, str, str, str]:
    """The letters for what a viewer shows now; all empty where no layer lies in a patient's space."""
    layer = _patient_layer(viewer)
    if layer is None:
        return ("", "", "", "")
    volume: Volume = layer.metadata[KEY]
    camera = viewer.scene.camera
    if viewer.dims.ndisplay == 2:
        vertical, horizontal = camera.orientation2d
        up = np.array([-1.0 if vertical == "down" else 1.0, 0.0])
        right = np.array([0.0, 1.0 if horizontal == "right" else -1.0])
    else:
        up = np.asarray(camera.up_direction, float)
        view = np.asarray(camera.view_direction, float)
        right = np.cross(view, up) if camera.handedness == "right" else np.cross(up, view)

    def on_axes(screen: NDArray[np.float64]) -> dict[str, float]:
        shown = zip(_displayed(viewer, layer), screen, strict=True)
        return {axis: float(weight * sign) for (axis, sign), weight in shown if axis}

    return sides(volume, on_axes(up), on_axes(right))


def mirrored(viewer: Any) -> bool:
    """Whether a patient is shown in 3D as their mirror image, which no turn of the camera undoes.

    So it is where the displayed axes are right-handed in the patient and left-handed on the screen, or the reverse.
    """
    layer = _patient_layer(viewer)
    if layer is None or viewer.dims.ndisplay == 2:
        return False
    shown = _displayed(viewer, layer)
    if sorted(axis for axis, _ in shown) != sorted(SPATIAL):
        return False
    affine = layer.metadata[KEY].affine
    basis = np.stack([affine[:3, SPATIAL.index(axis)] * sign for axis, sign in shown], axis=1)
    return bool(np.linalg.det(basis) > 0) != (viewer.scene.camera.handedness == "right")


def _displayed(viewer: Any, layer: Any) -> list[tuple[str, float]]:
    """For each displayed dimension the axis of the volume, empty where it has none, and the sign of its scale."""
    axes = [axis for axis in layer.metadata[KEY].axes if axis not in "CS"]
    first = viewer.dims.ndim - layer.ndim
    own = [(axis, float(np.sign(scale))) for axis, scale in zip(axes, layer.scale, strict=True)]
    return [own[k - first] if k >= first else ("", 0.0) for k in viewer.dims.displayed]


def _patient_layer(viewer: Any) -> Any:
    """The active layer if it lies in a patient's space, else the topmost visible one that does."""
    active = viewer.layers.selection.active
    for layer in [active, *reversed(viewer.layers)]:
        if layer is None or not layer.visible:
            continue
        volume = layer.metadata.get(KEY)
        if isinstance(volume, Volume) and volume.affine is not None:
            return layer
    return None


class SideLetters(Overlay):
    """Four letters over the canvas, white with a dark rim: readable on any image.

    In 3D a patient must not be shown as their mirror image, as happens where two axes changed places or where a person
    prefers another orientation of the camera: the axis of depth is then turned round. Slices are shown as before.
    """

    def __init__(self, viewer: Any, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._viewer = viewer
        self.texts = ("", "", "", "")
        for event in (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.dims.events.ndim,
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.selection.events.active,
            viewer.scene.camera.events.angles,
            viewer.scene.camera.events.orientation,
        ):
            event.connect(self.follow)
        for event in (viewer.dims.events.order, viewer.dims.events.ndisplay, viewer.layers.events.inserted):
            event.connect(self._unmirror)
        self._unmirror()
        self.follow()
        self.show()

    def follow(self, event: Any = None) -> None:
        """Look at the viewer again."""
        texts = shown_sides(self._viewer)
        if texts != self.texts:
            self.texts = texts
            top, right, bottom, left = texts
            self.setAccessibleName(f"top {top}, right {right}, bottom {bottom}, left {left}" if any(texts) else "")
            self.update()

    def _unmirror(self, event: Any = None) -> None:
        if mirrored(self._viewer):
            camera = self._viewer.scene.camera
            depth = "away" if camera.orientation[0] == "towards" else "towards"
            camera.orientation = (depth, *camera.orientation2d)

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = QFont(self.font())
        font.setPointSize(15)
        font.setBold(True)
        size = QFontMetricsF(font)
        rim = QPen(QColor(0, 0, 0, 200), 4)
        rim.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        box = QRectF(self.rect()).adjusted(10, 8, -10, -8)
        for text, (x, y) in zip(self.texts, ((0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5)), strict=True):
            width, height = size.horizontalAdvance(text), size.capHeight()
            path = QPainterPath()
            left = box.left() + x * (box.width() - width)
            path.addText(left, box.top() + y * (box.height() - height) + height, font, text)
            painter.strokePath(path, rim)
            painter.fillPath(path, QColor(255, 255, 255))
        painter.end()


def show_sides(viewer: Any) -> SideLetters:
    """The letters of a viewer's window, made when they are first asked for."""
    canvas = canvas_of(viewer)
    found = canvas.findChild(SideLetters)
    return found if found is not None else SideLetters(viewer, canvas)


def canvas_of(viewer: Any) -> QWidget:
    canvas: QWidget = viewer.window._qt_viewer.canvas.native
    return canvas


def world_at(canvas: QWidget, pixel: tuple[float, float]) -> NDArray[np.float64] | None:
    """The point of the world under a pixel of a canvas that shows slices, as napari finds it for the mouse: but that
    joins the two maps first, which takes a millisecond."""
    found = next((one for one in VispyCanvas._instances if one.native is canvas), None)
    view = None if found is None else found._get_viewbox_at(np.asarray(pixel))[0]
    if found is None or view is None:
        return None
    point, shown = np.array(found.viewer.dims.point, np.float64), list(found.viewer.dims.displayed)
    point[shown] = view.scene.transform.imap(view.transform.imap(list(pixel)))[1::-1]
    return point


def drop_target(viewer: Any) -> QWidget:
    """The widget that napari takes dropped files on."""
    target: QWidget = viewer.window._qt_viewer
    return target


def window_of(viewer: Any) -> QWidget | None:
    return None if viewer is None else viewer.window._qt_window


def is_open(viewer: Any) -> bool:
    """Whether a viewer has a window, and that is not closed."""
    window = getattr(getattr(viewer, "window", None), "_qt_window", None)
    return window is not None and isalive(window) and isalive(canvas_of(viewer))


def drop_empty_docks(viewer: Any) -> None:
    """Take docks out of the window whose content was destroyed: their entry in the menu would show nothing."""
    docks = viewer.window._wrapped_dock_widgets
    for name, dock in list(docks.items()):
        if not isalive(dock):
            del docks[name]
        elif dock.widget() is None:
            viewer.window.remove_dock_widget(dock)


@contextmanager
def adding_to(canvas: QWidget) -> Iterator[None]:
    """:func:`adding` for the canvas of any view."""
    canvas.setUpdatesEnabled(False)
    try:
        yield
    finally:
        canvas.setUpdatesEnabled(True)


def adding(viewer: Any) -> Any:
    """Wrap every adding and removing of layers in this: a repaint in the middle of it can crash in OpenGL."""
    return adding_to(canvas_of(viewer)) if hasattr(viewer, "window") else nullcontext()


class ClearingColormap(CyclicLabelColormap):
    """Colours that come round again for larger numbers, with some labels clear."""

    _clears: Callable[[Any], NDArray[np.bool_]] = PrivateAttr()

    @classmethod
    def of(cls, colormap: CyclicLabelColormap, clears: Callable[[Any], NDArray[np.bool_]]) -> ClearingColormap:
        """The same colours; ``clears`` says of an array of labels which are clear."""
        made = cls(**colormap.model_dump())
        made._clears = clears
        return made

    def _data_to_texture(self, values: Any) -> Any:
        """Small numbers go to the screen as they are, and find their colour in a table; others are folded into that
        table, so those that are clear become background before."""
        if values.dtype.itemsize > 2:
            values = np.where(self._clears(values), values.dtype.type(self.background_value), values)[()]
        return super()._data_to_texture(values)

    def _map_without_cache(self, values: Any) -> Any:
        mapped = super()._map_without_cache(values)
        mapped[self._clears(values)] = 0
        return mapped


def clear_in(colormap: Any) -> Callable[[Any], NDArray[np.bool_]] | None:
    """Says of an array of labels which are clear in a colormap; ``None`` where all have colours."""
    if isinstance(colormap, ClearingColormap):
        return colormap._clears
    if not isinstance(colormap, DirectLabelColormap):
        return None
    given = {label: colour[3] == 0 for label, colour in colormap.color_dict.items() if label}
    rest = bool(colormap.color_dict[None][3] == 0)
    others = [label for label, clear in given.items() if clear != rest]
    if not (rest or others):
        return None
    return lambda labels: (np.isin(labels, others) != rest) & (labels != 0)


def swap_labels(layer: Any, data: NDArray[Any]) -> None:
    """Give a labels layer other voxels. Its undo steps belong to the old ones and would write them back: they go."""
    layer.data = data
    layer._reset_history()


def hand_on(painted: Any, layer: Any, stroke: Any) -> None:
    """Put a stroke that was painted on one layer into the history of another that has the same array."""
    painted._undo_history.clear()
    layer._redo_history.clear()
    layer._append_to_undo_history(stroke)


def shown_at(layer: Any, position: Any, displayed: Sequence[int]) -> NDArray[np.float64]:
    """Where a point of the viewer lies, in voxels of a layer, when the axes ``displayed`` of the viewer are shown.

    It is found as napari draws. Across the slice it is a whole number: halfway between two, as where a finer volume is
    open too, any other would name a slice that is not seen. In the slice only the shown axes count: of a layer that is
    tilted against the slice napari draws each slice where it would lie without that.
    """
    first = len(position) - layer.ndim
    world = np.asarray(position, np.float64)[first:]
    where = np.empty(layer.ndim)
    shown = [axis for axis in range(layer.ndim) if first + axis in displayed]
    hidden = [axis for axis in range(layer.ndim) if first + axis not in displayed]
    if len(shown) == 1:  # a flat layer, seen from its side
        where[shown] = layer.world_to_data(world)[shown]
    elif shown:
        where[shown] = layer._data_to_world.set_slice(shown).inverse(world[shown])
    if hidden:
        where[hidden] = np.round(layer._data_to_world.inverse.set_slice(hidden)(world[hidden]))
    return where


def voxel_at(layer: Any, dims: Any) -> NDArray[np.int64]:
    """The voxel of a layer, in it or outside of it, at the point that a viewer shows (:func:`shown_at`)."""
    return np.rint(shown_at(layer, dims.point, dims.displayed)).astype(np.int64)


def step_of(layer: Any, axis: int) -> int:
    """The number of the slice that a layer shows across one of its axes; 0 where it shows that axis itself."""
    step = layer._data_slice.point[axis]
    return 0 if np.isnan(step) else int(np.clip(round(step), 0, layer.data.shape[axis] - 1))


def slicing_of(layer: Any) -> Any:
    """An object that is another one as soon as a layer shows another slice, and the same while it is only redrawn."""
    return layer._slice_input


class SideView(QtViewer):
    """A canvas for a viewer model beside the main window's. Keys pressed in it do what they do in the main view."""

    def __init__(self, viewer: Any, main: Any) -> None:
        super().__init__(viewer)
        keys, events = main.window._qt_viewer._key_map_handler, self.canvas._scene_canvas.events
        events.key_press.disconnect(self._key_map_handler.on_key_press)
        events.key_release.disconnect(self._key_map_handler.on_key_release)
        events.key_press.connect(keys.on_key_press)
        events.key_release.connect(keys.on_key_release)
        self.setAcceptDrops(False)  # a file would be opened in this view alone

    def _bind_shortcuts(self) -> None:
        """napari's shortcuts are bound already: doing it again would undo what others have bound since."""

    def finish(self) -> None:
        self.viewer._layer_slicer.shutdown()
        self.close()


def dock_beside(viewer: Any, widget: QWidget, name: str) -> QWidget:
    """Dock a widget between the canvas and what is docked on the right already."""
    window = viewer.window._qt_window
    others = [dock for dock in window.findChildren(QDockWidget) if _on_the_right(window, dock)]
    dock = viewer.window.add_dock_widget(widget, name=name, area="right", add_vertical_stretch=False)
    if others:
        first, *rest = others
        tabs = window.tabifiedDockWidgets(first)
        window.splitDockWidget(dock, first, Qt.Orientation.Horizontal)
        for other in rest:
            if other in tabs:
                window.tabifyDockWidget(first, other)
            else:
                window.splitDockWidget(first, other, Qt.Orientation.Vertical)
    return dock


def widen(viewer: Any, dock: QWidget, width: int) -> None:
    """Ask for a width of a dock in pixels; the window gives what it can."""
    viewer.window._qt_window.resizeDocks([dock], [width], Qt.Orientation.Horizontal)


def _on_the_right(window: Any, dock: QDockWidget) -> bool:
    shown = dock.isVisible() and not dock.isFloating()
    return shown and window.dockWidgetArea(dock) == Qt.DockWidgetArea.RightDockWidgetArea


def real(viewer: Any) -> Any:
    """The viewer itself: what napari hands to plugins is a proxy that warns of every private part."""
    return getattr(viewer, "__wrapped__", viewer)


@contextmanager
def own_steps(layer: Any) -> Iterator[None]:
    """Replace a layer's voxels without being told of it as if somebody else had."""
    layer.metadata[_OWN] = True
    try:
        yield
    finally:
        del layer.metadata[_OWN]


def is_own_step(layer: Any) -> bool:
    return _OWN in layer.metadata


_OWN = "napari_seg_own_step"


def take_over_history(layer: Any, undo: Callable[[], None], redo: Callable[[], None]) -> None:
    """Undo and redo of a labels layer, by key or by code, become those given; napari's own stack stays empty."""
    layer.undo, layer.redo = undo, redo
    forget_steps(layer)


def give_back_history(layer: Any) -> None:
    """Undo and redo of a labels layer are those of napari again."""
    for name in ("undo", "redo"):
        vars(layer).pop(name, None)


def forget_steps(layer: Any) -> None:
    """Empty napari's own stack of undo: it would write old voxels into what has changed since."""
    layer._undo_history.clear()
    layer._redo_history.clear()


_STAND_INS: WeakKeyDictionary[Any, WeakSet[Any]] = WeakKeyDictionary()


def stand_in(peer: Any, layer: Any) -> None:
    """A stroke on ``peer``, which has the same array, is one on ``layer``."""
    _STAND_INS.setdefault(layer, WeakSet()).add(peer)


def in_stroke(layer: Any) -> bool:
    """Whether a person is painting right now, with the button held: on the layer or on one that stands in for it."""
    return any(one._block_history or one._staged_history for one in (layer, *_STAND_INS.get(layer, ())))


def boxes_of(step: Any) -> list[tuple[slice, ...]]:
    """The boxes that a step of napari's own tools changed: what its ``paint`` event carries."""
    boxes = []
    for atom in step:
        if hasattr(atom, "slice_key"):
            boxes.append(tuple(slice(int(side.start), int(side.stop)) for side in atom.slice_key))
        else:
            places = [np.asarray(axis).ravel() for axis in atom[0]]
            boxes.append(tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in places))
    return boxes


def spare(layer: Any, step: Any, locked: Collection[int]) -> bool:
    """Take back, of a step of napari's own tools, what labels that are locked lost or gained; whether there was any."""
    if not locked:
        return False
    dtype = layer.data.dtype
    held = np.array([label for label in locked if label <= np.iinfo(dtype).max], dtype)
    spared = False
    for atom in reversed(step):
        if hasattr(atom, "slice_key"):
            place, old, new = layer.data[atom.slice_key], atom.old_values, atom.new_value
            where = ... if atom.mask is None else atom.mask
        else:
            place, (where, old, new) = layer.data, atom
        kept = np.isin(old, held) | np.isin(new, held)
        if kept.any():
            place[where] = np.where(kept, old, place[where])
            spared = True
    return spared


def repaint(layer: Any, boxes: Sequence[tuple[slice, ...]]) -> None:
    """Show what was written to a labels layer's array in these boxes."""
    if boxes:
        layer.refresh(extent=False, thumbnail=False, highlight=False)


def offer(commands: Mapping[str, tuple[str, str, Callable[[], None]]]) -> Callable[[], None]:
    """List commands in napari's palette: title, tip and what they do, by an id that begins with the plugin's name.

    Ids that are listed already are left as they are. Returns what takes out those that this call has put in.
    """
    from app_model.types import Action
    from napari._app_model import get_app_model

    app = get_app_model()
    new = {name: about for name, about in commands.items() if name not in app.commands}
    actions: list[Any] = [
        Action(id=name, title=title, tooltip=tip, callback=run) for name, (title, tip, run) in new.items()
    ]
    undo: Callable[[], None] = app.register_actions(actions)
    return undo


def text_colour(theme_name: str) -> str:
    """The colour of text in a theme of napari, as #rrggbb."""
    from napari.utils.theme import get_theme

    colour: str = get_theme(theme_name).text.as_hex("long")
    return colour[:7]
