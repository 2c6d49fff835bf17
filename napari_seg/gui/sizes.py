"""The size of voxels that a person gives an image, kept with it and given to it when it is opened again.

It is the scale and the units of its layer, which the console and plugins can change, too. What they change is looked at
once they are done, as units and scale are set one after the other.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from napari.layers import Image, Labels
from psygnal import Signal

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError, attempted
from napari_seg.gui.arrivals import Arrivals, Found, is_only_shown, is_volume, same_image, volume_as_kept
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import KEY, beside, is_as_read, lies_elsewhere, resize
from napari_seg.gui.words import spacing_words
from napari_seg.session.sizes import Size, keep_size

CORRECTED = "Voxels are {now}, as given here, while the file {said}; press Use the size of the file to go back."


class Sizes:
    """One for each viewer."""

    changed = Signal()

    def __init__(self, viewer: Any, engine: Engine, arrivals: Arrivals) -> None:
        self._viewer, self._engine, self._arrivals = viewer, engine, arrivals
        self._files = WeakKeyDictionary[Any, Size]()  # what the files of layers say, or how large they came
        self._known = WeakKeyDictionary[Any, Size]()  # what is kept of them
        self._new = WeakSet[Any]()  # those of which nobody knows yet what is kept
        self._told = WeakSet[Any]()  # those that may have another size by now
        viewer.layers.events.inserted.connect(lambda event: self.came(event.value))
        viewer.layers.events.removed.connect(self.tick)
        arrivals.known.connect(self._come_again)

    def came(self, layer: Any) -> None:
        if not isinstance(layer, Image) or layer in self._files or is_only_shown(layer) or not is_volume(layer):
            return
        now, known = _size_of(layer), layer.metadata.get(KEY)
        own = isinstance(known, Volume) and known.grid == volume_as_kept(layer).grid
        self._files[layer], self._known[layer] = Size.of(known) if own else now, now
        self._new.add(layer)
        for event in (layer.events.scale, layer.events.affine, layer.events.units):
            event.connect(self._hear)

    def of(self, image: Any) -> tuple[str, Size, Size] | None:
        """The spatial axes of an image, how large its voxels are, and how large its file says."""
        if image not in self._files:
            return None
        return volume_as_kept(image).spatial, _size_of(image), _along(self._files[image], image)

    def words(self, image: Any) -> str:
        """What is said of an image that a person gave another size than its file; empty for others."""
        if image is None or (found := self.of(image)) is None:
            return ""
        _, now, file = found
        if now.is_same(file):
            return ""
        said = f"says {spacing_words(file.spacing, file.unit)}" if file.spacing else "says no size"
        return CORRECTED.format(now=spacing_words(now.spacing or None, now.unit), said=said)

    def give(self, image: Any, size: Size) -> None:
        """What a person says of the size of its voxels."""
        self._give(image, size)
        self.tick()

    def tick(self, event: Any = None) -> None:
        """Keep what was changed. Main thread only."""
        told, self._told = self._told, WeakSet()
        for layer in told:
            now = _size_of(layer)
            if not now.is_same(_along(self._known[layer], layer)) and (KEY not in layer.metadata or is_as_read(layer)):
                self._new.discard(layer)
                self._known[layer] = now
                self._keep(layer, _along(self._files[layer], layer), now)
        if told:
            self.changed.emit()

    def _hear(self, event: Any) -> None:
        self._told.add(event.source)

    def _keep(self, layer: Any, file: Size, now: Size) -> None:
        volume = volume_as_kept(layer)

        def work() -> Found:
            found = self._arrivals.found_for(volume)
            session, number = found.session, found.row.id
            if session.read_only:
                raise SegError(session.read_only)
            session.writer.call(lambda store: keep_size(store, number, file, now), writes=True).result()
            return found

        def then(found: Found | SegError) -> None:
            if isinstance(found, Found):
                self._arrivals.found.emit(found)
            else:
                self._arrivals.trouble.emit(layer, str(found))

        self._engine.later(lambda: attempted(work), then)

    def _come_again(self, image: Any, found: Found) -> None:
        """Give an image that has just been opened the size that a person gave it before."""
        if image not in self._new:
            return
        self._new.discard(image)
        size, file = Size.of(found.row), _along(self._files[image], image)
        if _size_of(image).is_same(file) and not size.is_same(file):
            self._known[image] = size
            self._give(image, size)

    def _give(self, image: Any, size: Size) -> None:
        """Give voxels another size, and what lies on the image with it. The same voxels are seen as before."""
        layers, dims, volume = self._viewer.layers, self._viewer.dims, volume_as_kept(image)
        others = [layer for layer in layers if layer is not image and self._belongs(layer, image)]
        on_it = [layer for layer in others if not lies_elsewhere(layer, image)]
        first = dims.ndim - image.ndim
        here = image.world_to_data(dims.point[first:])
        resize(image, volume, size)
        for layer in on_it:
            for name, value in beside(image, volume).items():
                setattr(layer, name, value)
        dims.point = (*dims.point[:first], *image.data_to_world(here))
        for layer in (image, *on_it):  # napari slices by the units of the viewer, which it looks up at a reload only
            layer.events.reload(layer=layer)
            layer.refresh()
        if len(others) + 1 == len(layers):
            self._viewer.reset_view()

    def _belongs(self, layer: Any, image: Any) -> bool:
        """Whether a layer is a mask of an image, or another channel of it."""
        return same_image(self._arrivals.image_of(layer) if isinstance(layer, Labels) else layer, image)


def _along(size: Size, layer: Any) -> Size:
    """A size along the axes that a layer has now: a person may have said since that the first of them are channels."""
    return Size(size.spacing[-volume_as_kept(layer).ndim :], size.unit)


def _size_of(layer: Any) -> Size:
    return Size.of(volume_as_kept(layer))
