"""Views from three sides and in 3D, beside the main view, with one crosshair in all of them.

1. The main view shows one plane, as ever; the dock beside it shows the other two and the mask in 3D.
2. The crosshair is the point of the main viewer's dimensions. A click, Shift with the mouse moved, or turning over
   slices in any view moves it everywhere.
3. Each layer of the main view has a peer in both slices (see :mod:`~napari_seg.gui.family`); painting works in each.
   Keys, and the tools that listen to the mouse of the main view, work in each as well.
"""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from napari_seg.gui.family import Wires, peers, refresh_shared
from napari_seg.gui.linking import Link, Slice
from napari_seg.gui.overlay import on_canvas
from napari_seg.gui.planes import planes
from napari_seg.gui.reticle import Reticle
from napari_seg.gui.solid import Solid
from napari_seg.gui.views import SideLetters, SideView, canvas_of, dock_beside, real, show_sides, widen

__all__ = ["KEY_OF_VIEWS", "Views", "bind", "peers", "refresh_shared", "toggle", "views_of"]

NAME = "Views"

KEY_OF_VIEWS = "F2"

_LATER = 250
"""Milliseconds after the last change until the mask in 3D follows."""

_SHARE = 0.36
"""Of the width of the canvas, for the views beside it."""


class Pane:
    """A viewer model, its canvas, and what is drawn over it. It fits its content until a person zooms.

    A widget over the main canvas that shows in each view has a method ``twin(viewer, canvas)``, which makes another.
    """

    def __init__(self, main: Any, model: ViewerModel) -> None:
        self.model = model
        self.model.theme = main.theme
        self.view = SideView(self.model, main)
        self.view.setMinimumSize(120, 90)
        self.canvas = self.view.canvas.native
        self.reticle = Reticle(self.model, main, self.canvas)
        for overlay in canvas_of(main).findChildren(QWidget):
            if hasattr(overlay, "twin"):
                overlay.twin(self.model, self.canvas)
        self.letters = SideLetters(self.model, self.canvas)  # on top of the crosshair
        self._fitted = 0.0
        self.model.events.reset_view.connect(self._remember)
        self.model.canvas.events.size.connect(self._fit)

    def _remember(self, event: Any = None) -> None:
        self._fitted = self.model.scene.camera.zoom

    def _fit(self, event: Any = None) -> None:
        if self.model.layers and self.model.scene.camera.zoom == self._fitted:
            self.model.fit_to_view()


class Views(QWidget):
    """What is docked. :meth:`finish` takes all of it back."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._finished = False
        self._panes = [Pane(viewer, model) for model in (ViewerModel(), ViewerModel(), ViewerModel(ndisplay=3))]
        *slices, solid = self._panes
        self.link = Link(viewer, [Slice(pane.model, pane.canvas) for pane in slices])
        self.solid = Solid(viewer, solid.model, solid.canvas)
        self.reticle = Reticle(viewer, viewer, canvas_of(viewer))
        show_sides(viewer).raise_()
        self._now, self._later = QTimer(self), QTimer(self)
        for timer, wait, work in ((self._now, 0, self._repaint), (self._later, _LATER, self.solid.update)):
            timer.setSingleShot(True)
            timer.setInterval(wait)
            timer.timeout.connect(work)
        self._splitter = QSplitter(Qt.Orientation.Vertical)
        for pane in self._panes:
            self._splitter.addWidget(pane.view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._splitter)
        self._wires = Wires()
        self._wires.join(viewer.events.theme, self._dress)
        self.link.changed.connect(self._soon)
        self.destroyed.connect(self.link.close)  # where the window closes with the views in it
        self.destroyed.connect(self._wires.cut)
        self._soon()

    @property
    def models(self) -> tuple[Any, ...]:
        """The viewer models beside the main one: the two slices, and the mask in 3D."""
        return tuple(pane.model for pane in self._panes)

    def sizeHint(self) -> QSize:
        return QSize(round(canvas_of(self._viewer).width() * _SHARE), super().sizeHint().height())

    def dock(self) -> None:
        width, whole = self.sizeHint().width(), _sees_all(self._viewer)
        dock = dock_beside(self._viewer, self, NAME)
        dock.dockLocationChanged.connect(self._lay_out)

        def settle() -> None:
            widen(self._viewer, dock, width)
            if whole:
                QTimer.singleShot(0, self, self._viewer.fit_to_view)

        QTimer.singleShot(0, self, settle)  # once the window has laid it out

    def finish(self) -> None:
        """Let go of the main view and close the canvases. The dock is left to whoever closes it."""
        if self._finished:
            return
        self._finished = True
        self._now.stop()
        self._later.stop()
        self.link.changed.disconnect(self._soon)
        self.link.close()
        self._wires.cut()
        self.reticle.finish()
        for pane in self._panes:
            pane.reticle.finish()
            pane.view.finish()
        self.deleteLater()

    def changeEvent(self, event: QEvent) -> None:
        """The cross of the dock takes its content out of it."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.finish()

    def _soon(self) -> None:
        self._now.start()
        self._later.start()

    def _repaint(self) -> None:
        self.link.repaint()
        for reticle in (self.reticle, *(pane.reticle for pane in self._panes)):
            reticle.follow()

    def _lay_out(self, area: Any) -> None:
        across = area in (Qt.DockWidgetArea.TopDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea)
        self._splitter.setOrientation(Qt.Orientation.Horizontal if across else Qt.Orientation.Vertical)

    def _dress(self, event: Any = None) -> None:
        for pane in self._panes:
            pane.model.theme = self._viewer.theme


def _sees_all(viewer: Any) -> bool:
    """Whether nothing of what is open lies outside the canvas, give or take a few pixels."""
    size = (float(canvas_of(viewer).width()), float(canvas_of(viewer).height()))
    corners = [on_canvas(viewer, size, corner) for corner in viewer.layers.extent.world]
    return all(-9 <= x <= size[0] + 9 and -9 <= y <= size[1] + 9 for x, y in corners)


def views_of(viewer: Any) -> Views | None:
    """The views beside the main view of a window, if they are open."""
    found = viewer.window.dock_widgets.get(NAME)
    return found if isinstance(found, Views) else None


def toggle(viewer: Any) -> None:
    """Open the views, or close them. Where nothing has three dimensions a sentence says so."""
    viewer = real(viewer)
    views = views_of(viewer)
    if views is not None:
        viewer.window.remove_dock_widget(views)
    elif planes(viewer) is None:
        show_info("There is no volume to see from other sides; open an image with several slices.")
    else:
        Views(viewer).dock()


def bind(viewer: Any) -> None:
    """Give the key of the views to a viewer."""
    viewer.bind_key(KEY_OF_VIEWS, toggle, overwrite=True)
