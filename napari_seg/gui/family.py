"""One layer shown in several views: the layer of the main window and its peers, which share its array.

What a person changes on one of them (contrast, colour, brush, mode, ...) shows on all. Voxels need no copying; the
others only have to be drawn again, which :meth:`Family.repaint` does once for however many changes there were. A stroke
painted on a peer is handed to the main layer, as if it had been painted there: whoever watches that layer (undo, the
record of what a person has painted) misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from psygnal import Signal

from napari_seg.gui.views import hand_on, slicing_of, stand_in, swap_labels

_OF_ALL = ("visible", "opacity", "blending")
_OF_IMAGES = ("contrast_limits_range", "contrast_limits", "gamma", "colormap", "interpolation2d")
_OF_LABELS = (
    "colormap",
    "contour",
    "selected_label",
    "show_selected_label",
    "brush_size",
    "n_edit_dimensions",
    "contiguous",
    "preserve_labels",
    "mode",
)
_FROM_MAIN = ("editable", "name", "metadata", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""A peer never changes these: napari gives a layer another name where its list has the name already."""


class Wires:
    """Connections that are cut together."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, Callable[..., None]]] = []

    def join(self, emitter: Any, call: Callable[..., None]) -> None:
        emitter.connect(call)
        self._made.append((emitter, call))

    def cut(self) -> None:
        for emitter, call in self._made:
            emitter.disconnect(call)
        self._made.clear()


class Family:
    """``main`` and the layers that :meth:`join` made of it."""

    changed = Signal()
    """A layer looks different, or shows voxels that are not those of the array any more: call :meth:`repaint` soon."""

    _of: ClassVar[WeakKeyDictionary[Layer, Family]] = WeakKeyDictionary()

    def __init__(self, main: Layer) -> None:
        self.main = main
        self._wires: dict[Layer, Wires] = {}
        self._slicing: dict[Layer, Any] = {}
        self._stale: set[Layer] = set()
        self._busy = False
        self._take_in(main)
        for name in _FROM_MAIN:
            self._wires[main].join(getattr(main.events, name), self._follow(name))
        self._wires[main].join(main.events.data, self._swap)
        if isinstance(main, Labels):
            self._wires[main].join(main.events.features, self._follow("features"))

    @classmethod
    def of(cls, layer: Layer) -> Family | None:
        """The family of a main layer or of a peer, while it is shown in several views."""
        return cls._of.get(layer)

    @property
    def members(self) -> tuple[Layer, ...]:
        return tuple(self._wires)

    def join(self) -> Layer:
        """Another layer that shows the same array."""
        data, about, kind = self.main.as_layer_data_tuple()
        peer = Layer.create(data, about, kind)
        for name in (*self._shared, "editable"):
            if not _same(getattr(peer, name), getattr(self.main, name)):
                setattr(peer, name, getattr(self.main, name))
        self._take_in(peer)
        if isinstance(peer, Labels):
            stand_in(peer, self.main)
            self._wires[peer].join(peer.events.paint, lambda event: hand_on(peer, self.main, event.value))
        return peer

    def leave(self, layer: Layer) -> None:
        if layer in self._wires:
            self._wires.pop(layer).cut()
            self._slicing.pop(layer)
            self._stale.discard(layer)
            self._of.pop(layer, None)

    def close(self) -> None:
        for layer in self.members:
            self.leave(layer)

    def repaint(self) -> None:
        """Draw what is stale from the array as it is now."""
        stale, self._stale = self._stale, set()
        with self._alone():
            for layer in stale:
                layer.refresh(extent=False, thumbnail=False, highlight=False)

    def repaint_all(self) -> None:
        """The array was written to without a word to anyone."""
        self._stale.update(self.members)
        self.repaint()
        self.changed.emit()

    @property
    def _shared(self) -> tuple[str, ...]:
        if isinstance(self.main, Labels):
            return _OF_ALL + _OF_LABELS
        if isinstance(self.main, Image):
            return _OF_ALL if self.main.rgb else _OF_ALL + _OF_IMAGES
        return _OF_ALL

    def _take_in(self, layer: Layer) -> None:
        wires = self._wires[layer] = Wires()
        self._of[layer] = self
        self._slicing[layer] = slicing_of(layer)
        for name in self._shared:
            wires.join(getattr(layer.events, name), self._share(layer, name))
        if isinstance(layer, (Image, Labels)):
            wires.join(layer.events.set_data, lambda event=None: self._drawn(layer))
        if isinstance(layer, Labels):
            wires.join(layer.events.labels_update, lambda event=None: self._changed(layer))

    def _share(self, layer: Layer, name: str) -> Callable[..., None]:
        def share(event: Any = None) -> None:
            if self._busy:
                return
            # a layer that is hidden has no mode, and takes its mode up again just before it says that it is seen
            names = (name, "mode") if name == "visible" and "mode" in self._shared else (name,)
            with self._alone():
                for other in self.members:
                    for one in names:
                        if other is not layer and not _same(getattr(other, one), getattr(layer, one)):
                            setattr(other, one, getattr(layer, one))
            self.changed.emit()

        return share

    def _follow(self, name: str) -> Callable[..., None]:
        def follow(event: Any = None) -> None:
            for peer in self.members[1:]:
                setattr(peer, name, getattr(self.main, name))
            self.changed.emit()

        return follow

    def _swap(self, event: Any = None) -> None:
        """The main layer was given another array."""
        with self._alone():
            for peer in self.members[1:]:
                if isinstance(peer, Labels):
                    swap_labels(peer, self.main.data)
                elif isinstance(peer, Shapes):
                    peer.data = list(zip(self.main.data, self.main.shape_type, strict=True))
                else:
                    peer.data = list(self.main.data) if self.main.multiscale else self.main.data
        self.changed.emit()

    def _drawn(self, layer: Layer) -> None:
        """A layer was drawn again: because its view went elsewhere, or because its voxels may be others."""
        slicing = slicing_of(layer)
        elsewhere = slicing is not self._slicing[layer]
        self._slicing[layer] = slicing
        if not elsewhere:
            self._changed(layer)

    def _changed(self, layer: Layer) -> None:
        if not self._busy:
            self._stale.update(other for other in self.members if other is not layer)
            self.changed.emit()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What members say meanwhile is our own doing."""
        before, self._busy = self._busy, True
        try:
            yield
        finally:
            self._busy = before


def peers(layer: Layer) -> list[Layer]:
    """The other layers, in all open views, that share the array of a layer."""
    family = Family.of(layer)
    return [] if family is None else [other for other in family.members if other is not layer]


def refresh_shared(layer: Layer) -> None:
    """Show a layer's array as it is now, in all views: call this after writing to the array directly."""
    family = Family.of(layer)
    if family is None:
        layer.refresh(extent=False, thumbnail=False, highlight=False)
    else:
        family.repaint_all()


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, (int, float, str, list, tuple)) and bool(np.array_equal(a, b)))
