"""One case of a folder in the viewer: opened from its file with the mask that the project keeps, closed by the next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari.layers import Image, Layer
from psygnal import Signal

from napari_seg.data.formats import read_answered
from napari_seg.errors import ChoiceNeeded, SegError, attempted
from napari_seg.gui.arrivals import IMAGE
from napari_seg.gui.engine import Engine
from napari_seg.gui.joining import Joined, join, settle
from napari_seg.gui.layers import KEY, LayerData, layer_data
from napari_seg.gui.nearing import bring_into_view
from napari_seg.gui.notice import say
from napari_seg.gui.project import Project
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.gui.views import adding
from napari_seg.gui.words import shortened
from napari_seg.session.cases import Case, case, note_opened
from napari_seg.session.fingerprint import identity
from napari_seg.session.session import Session

_ASKED = "Open it from the first page, where this is asked."


@dataclass(frozen=True, eq=False)
class Read:
    """A case that was read and entered into the project."""

    session: Session
    case: Case
    joined: Joined
    layers: list[LayerData] = field(repr=False)


class CaseView:
    """``path``: the case that is open; ``coming``: the one that is on its way."""

    changed = Signal()

    def __init__(self, viewer: Any, engine: Engine, recorder: Recorder, project: Project) -> None:
        self._viewer, self._engine, self._recorder, self._project = viewer, engine, recorder, project
        self._layers: list[Any] = []  # of the image
        self.path: Path | None = None
        self.coming: Path | None = None
        viewer.layers.events.removed.connect(self._removed)

    def open(self, path: Path, axes: str | None) -> None:
        """Show a case in the place of the one before; where it cannot be read, that one stays. ``axes``: as for
        :func:`~napari_seg.data.formats.read_answered`."""
        session, who, arrivals = self._project.session, self._recorder.who, self._recorder.arrivals
        if session is None or path in (self.path, self.coming):
            return
        if (shown := self._shown(path)) and path in self._project.cases:
            self._take(path, shown)
            return
        tracks = self._recorder.tracks()
        self.coming = path

        def work() -> Read:
            volume = read_answered(path, axes)
            joined = join(session, volume, *identity(volume), arrivals, tracks, who)
            row = joined.row
            if not session.read_only:
                session.writer.call(lambda store: note_opened(store, row.id, time.time(), who)).result()
            found = session.writer.call(lambda store: case(store, row.id)).result()
            return Read(session, found, joined, layer_data(volume, "image"))

        self._engine.later(lambda: attempted(work), lambda found: self._arrived(path, found))
        self.changed.emit()

    def open_anew(self) -> None:
        """Show the masks of the case that is open as its project keeps them now, where that could only be read before
        and was opened anew. A mask that it does not know stays, and is kept from now on."""
        session, path, images = self._project.session, self.path, self._layers
        found = None if path is None else self._project.cases.get(path)
        if session is None or found is None or not self._former(session):
            return

        def show(planes: set[str]) -> None:
            if path != self.path or not images or session is not self._project.session:
                return
            former = self._former(session)
            with adding(self._viewer):
                for track in former:
                    self._viewer.layers.remove(track.layer)
            for track in former:
                if track.plane not in planes:
                    self._viewer.add_layer(track.layer)
            self._recorder.arrivals.came(images[0])

        number = found.image.id
        known = session.writer.call(lambda store: {plane.name for plane in store.planes(number)})
        self._recorder.after(known, show)

    def _former(self, session: Session) -> list[Track]:
        """The masks of the case that is open which are kept where a session of the project could only be read."""
        tracks = [track for track in self._recorder.tracks() if track.image in self._layers]
        return [t for t in tracks if t.session is not session and t.session.folder == session.folder]

    def close(self) -> None:
        """Close the case that is open; all that was done is kept."""
        with adding(self._viewer):
            self._take_away()
        self.changed.emit()

    def look_again(self, path: Path) -> None:
        """A mask has come; a person sees it now if its image is open."""
        if layers := (self._layers if path == self.path else self._shown(path)):
            self._project.see(path)
            self._recorder.arrivals.came(layers[0])

    def _arrived(self, path: Path, found: Read | SegError) -> None:
        if self.coming != path:
            return
        self.coming = None
        if isinstance(found, SegError):
            self._project.fail(path, f"{found} {_ASKED}" if isinstance(found, ChoiceNeeded) else str(found))
            say(self._viewer, f"{shortened(path.name)} cannot be opened; why is said below the list of images.")
        elif found.session is self._project.session:
            settle(self._recorder, found.session, found.joined, lambda: self._joined(path, found))
        self.changed.emit()

    def _joined(self, path: Path, found: Read) -> None:
        if found.session is not self._project.session:
            return
        self._project.enter(path, found.case)
        if found.joined.tracks:  # the window shows it already
            self._take(path, [track.image for track in found.joined.tracks if track.image is not None])
            self._project.refresh(path)
        else:
            self._show(path, found.layers)
        self.changed.emit()

    def adopt(self) -> None:
        """An image that is open and in front is the case that is open, if the project knows it."""
        active = self._viewer.layers.selection.active
        tracks = [track for track in self._recorder.tracks() if track.layer is active and track.image is not None]
        front = [track.image for track in tracks] or [active]
        for layer in [*front, *reversed(self._viewer.layers)]:
            source = layer.metadata[KEY].source if isinstance(layer, Image) and KEY in layer.metadata else None
            path = None if source is None else self._project.listed_as(source.path)
            if self.path is None and path is not None and path in self._project.cases:
                self._take(path, self._shown(path))

    def let_go(self) -> None:
        """The case that is open stays open, but not as one of the list."""
        self.path, self._layers = None, []
        self.changed.emit()

    def _shown(self, path: Path) -> list[Any]:
        """The layers of an image that is open, however it was opened."""
        known = [layer for layer in self._viewer.layers if isinstance(layer, Image) and KEY in layer.metadata]
        sources = [(layer, layer.metadata[KEY].source) for layer in known]
        return [layer for layer, source in sources if source and self._project.listed_as(source.path) == path]

    def _take(self, path: Path, layers: list[Any]) -> None:
        """Layers that are open are the case from now on; those of the one before are closed."""
        with adding(self._viewer):
            self._take_away()
        self.path, self._layers = path, layers
        self._project.see(path)
        self.open_anew()
        self.changed.emit()

    def _show(self, path: Path, layers: list[LayerData]) -> None:
        with adding(self._viewer):
            self._take_away()
            made = [Layer.create(*one) for one in layers]
            self.path, self._layers = path, made
            for layer in made:
                self._viewer.layers.append(layer)
        self._viewer.reset_view()
        dims = self._viewer.dims
        for axis in dims.not_displayed:
            dims.set_current_step(axis, dims.nsteps[axis] // 2)
        bring_into_view(self._viewer, made[0])

    def _take_away(self) -> None:
        path, self.path = self.path, None
        images, self._layers = self._layers, []
        known = {str(layer.unique_id) for layer in images}
        masks = [layer for layer in self._viewer.layers if layer.metadata.get(IMAGE) in known]
        masks += [track.layer for track in self._recorder.tracks() if track.image in images]
        for layer in [*images, *masks]:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        if path is not None:
            self._project.count(path)

    def _removed(self, event: Any) -> None:
        """A person closed the image by themselves."""
        if event.value in self._layers:
            self._layers.remove(event.value)
            if not self._layers and self.path is not None:
                path, self.path = self.path, None
                self._project.count(path)
                self.changed.emit()
