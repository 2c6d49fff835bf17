"""One case of a folder in the viewer: opened from its file with the mask that the project keeps, closed by the next."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari.layers import Layer
from psygnal import Signal

from napari_seg.data.formats import read_answered
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.gui.arrivals import IMAGE
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import LayerData, layer_data
from napari_seg.gui.project import Project
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.views import adding
from napari_seg.session.cases import Case, case, note_opened
from napari_seg.session.fingerprint import fingerprint
from napari_seg.session.session import Session

_ASKED = "Open it from the first page, where this is asked."


@dataclass(frozen=True, eq=False)
class Read:
    """A case that was read and entered into the project."""

    session: Session
    case: Case
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
        session, in_use, who = self._project.session, self._project.in_use(), self._recorder.who
        if session is None or path in (self.path, self.coming):
            return
        self.coming = path

        def work() -> Read | SegError:
            try:
                volume = read_answered(path, axes)
                row = self._project.add(session, volume, fingerprint(volume), in_use)
                if not session.read_only:
                    session.writer.call(lambda store: note_opened(store, row.id, time.time(), who)).result()
                found = session.writer.call(lambda store: case(store, row.id)).result()
                return Read(session, found, layer_data(volume, "image"))
            except SegError as error:
                return error

        self._engine.later(work, lambda found: self._arrived(path, found))
        self.changed.emit()

    def close(self) -> None:
        """Close the case that is open; all that was done is kept."""
        with adding(self._viewer):
            self._take_away()
        self.changed.emit()

    def look_again(self, path: Path) -> None:
        """A mask has come; a person sees it now if it is of the case that is open."""
        if path == self.path and self._layers:
            self._project.see(path)
            self._recorder.arrivals.came(self._layers[0])

    def _arrived(self, path: Path, found: Read | SegError) -> None:
        if self.coming != path:
            return
        self.coming = None
        if isinstance(found, SegError):
            self._project.fail(path, f"{found} {_ASKED}" if isinstance(found, ChoiceNeeded) else str(found))
        elif found.session is self._project.session:
            self._project.enter(path, found.case)
            self._show(path, found.layers)
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
            self._project.leave(path)

    def _removed(self, event: Any) -> None:
        """A person closed the image by themselves."""
        if event.value in self._layers:
            self._layers.remove(event.value)
            if not self._layers and self.path is not None:
                path, self.path = self.path, None
                self._project.leave(path)
                self.changed.emit()
