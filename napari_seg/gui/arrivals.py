"""Layers come, and the sessions of their images are found: an annotation that was worked on is shown again.

Sessions are opened in a thread. What comes of it is told by signals, on the main thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.gui.colours import class_looks
from napari_seg.gui.engine import Engine
from napari_seg.gui.layers import KEY, beside, volume_of
from napari_seg.gui.track import axes_by_number
from napari_seg.gui.views import adding
from napari_seg.session.database import NAME
from napari_seg.session.fingerprint import fingerprint
from napari_seg.session.records import ImageRow, Plane
from napari_seg.session.session import Session, home
from napari_seg.session.store import Store

T = TypeVar("T")

PLANE = "napari_seg_plane"
"""Under this key a layer's metadata says which plane of its image it shows, where that is not its name."""

IMAGE = "napari_seg_image"
"""Under this key a layer's metadata holds the ``unique_id`` of the layer of its image."""

OBJECTS = "napari_seg_objects"
"""Under this key a layer's metadata says whether its numbers count objects."""

CLASSES = "napari_seg_classes"
"""Under this key a layer's metadata names the classes."""


ONLY_SHOWN = "napari_seg_only_shown"
"""With this key in its metadata a layer is only shown, as when a person looks back in the history, and never kept."""

MADE = "napari_seg_made"
"""Under this key a layer's metadata names the step that made its voxels, where they were not opened from a file."""

PREDICTED = "napari_seg_predicted"
"""Under this key a layer's metadata holds the ``Predicted`` that its voxels were, where a model made them."""


@dataclass(frozen=True, eq=False)
class Found:
    """The session of an image and what it knows: the planes there are and those that were worked on, the rows of its
    tables, and how many steps can be taken back."""

    session: Session
    row: ImageRow
    planes: frozenset[str]
    worked_on: frozenset[str]
    rows: dict[str, Entry] = field(repr=False)
    steps: int

    @classmethod
    def of(cls, store: Store, session: Session, row: ImageRow) -> Found:
        planes, made = store.planes(row.id), store.made_here(row.id)
        names = frozenset(plane.name for plane in planes)
        return cls(session, row, names, names & made, store.rows(row.id), store.depth(row.id))


class Arrivals:
    """Looks at every layer that comes.

    ``sessions``: those that are open, by the fingerprint of their image, or by the folder of a project. ``project``:
    the session of the project that is worked on; images that it knows are kept there, others in sessions of their own.
    """

    attached = Signal(object, object, Found)
    """A labels layer, the layer of its image or ``None``, and what was found."""

    resumed = Signal(object, Found)
    """The layer of an image of which masks are shown again, and what was found."""

    trouble = Signal(object, str)
    """A layer of which nothing can be kept, or found, and why."""

    def __init__(self, viewer: Any, engine: Engine) -> None:
        self._viewer, self._engine = viewer, engine
        self.sessions: dict[str, Session] = {}  # touched by the helper thread alone, until all is closed
        self.project: Session | None = None
        self._former: list[Session] = []  # those that could only be read, and were opened anew
        viewer.layers.events.inserted.connect(lambda event: self.came(event.value))

    def came(self, layer: Any) -> None:
        if ONLY_SHOWN in layer.metadata:
            return
        if isinstance(layer, Labels) and isinstance(layer.data, np.ndarray):
            image = self._image_of(layer)
            volume = volume_as_kept(layer if image is None else image)
            self._open(layer, volume, True, lambda found: self.attached.emit(layer, image, found))
        elif isinstance(layer, Image):
            self._open(layer, volume_as_kept(layer), False, lambda found: self._resume(layer, found))

    def close(self) -> int:
        """Let go of all sessions; returns how many steps could not be kept."""
        return sum(session.close() for session in [*self.sessions.values(), *self._former])

    def _open(self, layer: Any, volume: Volume, make: bool, then: Callable[[Found], None]) -> None:
        """Find the session of the image of a layer, or ``make`` it, in a thread."""

        def work() -> Found | SegError | None:
            known_by = fingerprint(volume)
            try:
                session = self._session_of(known_by, make)
                if session is None:
                    return None
                row = session.image(volume, known_by).result()
                return session.writer.call(lambda store: Found.of(store, session, row)).result()
            except SegError as error:
                return error

        def arrived(found: Found | SegError | None) -> None:
            if isinstance(found, SegError):
                rest = f" Until you open {layer.name} again then, nothing of it is kept; save it to a file."
                self.trouble.emit(layer, f"{found}{rest if make else ''}")
            elif found is not None:
                then(found)

        self._engine.later(work, arrived)

    def open_project(self, folder: Path) -> Session:
        """Open the session of a project and work on that from now on. In the helper thread.

        It stays open until all is closed, as layers may be kept in it. Raises ``SegError`` where it cannot be opened.
        """
        self.project = self._opened(str(folder), folder)
        return self.project

    def ask_own(self, known_by: str, work: Callable[[Store], T]) -> T:
        """Ask the session that an image has of its own, which must be there. In the helper thread."""
        if known_by in self.sessions:
            return self.sessions[known_by].writer.call(work).result()
        session = Session.open(home() / known_by)
        try:
            return session.writer.call(work).result()
        finally:
            session.close()

    def _session_of(self, known_by: str, make: bool) -> Session | None:
        project, own = self.project, home() / known_by
        if project is not None and project.writer.call(lambda store: store.find(known_by)).result() is not None:
            return project
        if known_by not in self.sessions and not make and not (own / NAME).exists():
            return None
        return self._opened(known_by, own)

    def _opened(self, key: str, folder: Path) -> Session:
        """The session of a folder, opened anew where it could only be read: what was in the way may be gone."""
        known = self.sessions.get(key)
        if known is None or known.read_only:
            found = Session.open(folder)
            if known is not None and found.read_only:
                found.close()
                return known
            self.sessions[key] = found
            self._former += [] if known is None else [known]
        return self.sessions[key]

    def _resume(self, image: Any, found: Found) -> None:
        """Show the planes of an image that were worked on and are not open."""
        in_project, row = found.session is self.project, found.row
        shown = {layer.metadata.get(PLANE, layer.name) for layer in self._viewer.layers}
        missing = sorted((found.planes if in_project else found.worked_on) - shown)

        def load(store: Store) -> list[tuple[Plane, list[Any]]]:
            planes = [plane for plane in store.planes(row.id) if plane.name in missing]
            return [(plane, [store.labels(row.id, plane.name, t) for t in range(row.times)]) for plane in planes]

        def show(masks: list[tuple[Plane, list[Any]]]) -> None:
            if image in self._viewer.layers:
                for plane, frames in masks:
                    self._show_again(image, plane, frames)
                if not in_project:  # its list says where the work stopped
                    self.resumed.emit(image, found)

        if missing:
            self._engine.later(lambda: found.session.writer.call(load).result(), show)

    def _show_again(self, image: Any, plane: Plane, frames: list[Any]) -> None:
        """Add a layer; when it has come, it finds its plane in the session, with these very voxels."""
        volume = volume_as_kept(image)
        labels = np.stack(frames) if "T" in volume.axes else frames[0]
        if plane.objects:
            labels = labels.astype(np.promote_types(labels.dtype, np.uint16), copy=False)  # room for new ones
        about = {PLANE: plane.name, IMAGE: str(image.unique_id), OBJECTS: plane.objects, CLASSES: plane.classes}
        with contextlib.suppress(SegError):
            about[KEY] = volume_of(image).mask(labels, name=plane.name)
        looks = {} if plane.objects else class_looks(plane.classes)
        with adding(self._viewer):
            self._viewer.add_labels(
                labels, name=plane.name, opacity=0.5, metadata=about, **beside(image, volume), **looks
            )

    def _image_of(self, layer: Any) -> Any:
        """The layer of the image that a mask lies on: the one it names, else the topmost with its grid."""
        images = [other for other in self._viewer.layers if isinstance(other, Image)]
        named = [image for image in images if str(image.unique_id) == layer.metadata.get(IMAGE)]
        shape = tuple(layer.data.shape)
        fitting = named or [image for image in images if _mask_shape(volume_as_kept(image)) == shape]
        return fitting[-1] if fitting else None


def volume_as_kept(layer: Any) -> Volume:
    """The volume of a layer; where nobody has said what its axes are, what keeps its blocks apart."""
    try:
        return volume_of(layer)
    except SegError:
        data = layer.data[0] if layer.multiscale else layer.data
        return volume_of(layer, axes_by_number(data.ndim))


def _mask_shape(volume: Volume) -> tuple[int, ...]:
    return tuple(volume.size(axis) for axis in volume.axes if axis not in "CS")
