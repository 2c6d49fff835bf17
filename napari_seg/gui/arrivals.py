"""Layers come, and the sessions of their images are found: an annotation that was worked on is shown again.

A mask belongs to the image it names, also where that was closed; one that names none to the selected one of its grid,
else to the only one. Where that is not clear, or the image is not there yet, it is kept on its own until its image
comes. Nobody paints on it before it is kept (see :mod:`~napari_seg.gui.gate`).

Sessions are opened in a thread. What comes of it is told by signals, on the main thread.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np
from napari.layers import Image, Labels
from psygnal import Signal

from napari_seg.data.align import apart, shown_alike
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError, attempted
from napari_seg.gui.aside import aside
from napari_seg.gui.colours import class_looks
from napari_seg.gui.engine import Engine
from napari_seg.gui.gate import Gate
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, beside, is_as_read, volume_of
from napari_seg.gui.notice import say
from napari_seg.gui.track import axes_by_number
from napari_seg.gui.views import adding
from napari_seg.gui.voxels import Voxels
from napari_seg.session.database import NAME
from napari_seg.session.fingerprint import fingerprint, identity, tells_all
from napari_seg.session.projects import knowing, name_of
from napari_seg.session.records import SIZE, ImageRow, Plane
from napari_seg.session.session import Session, home, twin
from napari_seg.session.store import Store
from napari_seg.session.writer import silent

T = TypeVar("T")

PLANE = "napari_seg_plane"
"""Under this key a layer's metadata says which plane of its image it shows, where that is not its name."""

IMAGE = "napari_seg_image"
"""Under this key a layer's metadata holds the ``unique_id`` of the layer of its image."""

COMPARING = "One moment: this image is compared with the one that your earlier work was made on."

APART = "Other work on this image lies outside the project; open the image in a window without the project to see it."

ONLY_SHOWN = "napari_seg_only_shown"
"""Under this key the metadata of a layer that is only shown, as when a person looks back in the history, and never
kept, holds its ``unique_id``: a copy of it has another, and is a mask like any."""

MADE = "napari_seg_made"
"""Under this key a layer's metadata names the step that made its voxels, where they were not opened from a file."""

PREDICTED = "napari_seg_predicted"
"""Under this key a layer's metadata holds the ``Predicted`` that its voxels were, where a model made them."""


AGAIN = 3.0
"""Seconds until what was in the way of a mask is looked at again."""

LONG, SOON = 30.0, 0.5
"""Seconds that a disk gets to open a session, and once it has not answered in that time."""

_OPEN_IT = "open its file with napari-seg."
_NUMBER_IT = "number the objects from 1 and open it again."


@dataclass(frozen=True, eq=False)
class Found:
    """The session of an image and what it knows: the planes there are and those that were worked on, the rows of its
    tables, and how many steps can be taken back.

    ``project``: the name of the project that it is, if it is one. ``note``: what a person should know of it.
    ``added``: nothing was known of the image.
    """

    session: Session
    row: ImageRow
    planes: frozenset[str]
    worked_on: frozenset[str]
    rows: dict[str, Entry] = field(repr=False)
    steps: int
    project: str = ""
    note: str = ""
    added: bool = False

    @classmethod
    def of(cls, store: Store, session: Session, row: ImageRow, note: str = "", added: bool = False) -> Found:
        names = frozenset(plane.name for plane in store.planes(row.id))
        told = store.rows(row.id), store.depth(row.id), name_of(store)
        return cls(session, row, names, frozenset(store.worked_on(row.id)), *told, note, added)


class _Unfit(SegError):
    """A mask that no session can keep."""


def _close_late(future: Future[Any]) -> None:
    """A session that was opened after the window was closed."""
    if future.exception() is None and isinstance(session := future.result(), Session):
        session.close()


@dataclass(frozen=True)
class _Unsure:
    """An image of this fingerprint is known; whether it is this one is told by all voxels. ``sized``: a person gave it
    another size than its file."""

    known_by: str
    sized: bool


class Arrivals:
    """Looks at every layer that comes.

    ``comparing``: images that may have another size in a moment.
    ``sessions``: those that are open, by the fingerprint of their image, or by the folder of a project. ``project``:
    the session of the project that is worked on; images that it knows are kept there. Others are kept in sessions of
    their own, or in the project that a person took them to.

    A session knows an image by some squares of it. Where these are not the whole image, nothing of a session is shown
    before all voxels were compared: another image that is the same in these squares gets a session of its own. A mask
    that comes in the meantime is closed to painting for that moment, so that every stroke goes where it belongs.
    """

    attached = Signal(object, object, Found)
    """A labels layer, the layer of its image or ``None``, and what was found."""

    resumed = Signal(object, Found)
    """The layer of an image of which masks are shown again, and what was found."""

    found = Signal(Found)
    """What was found of an image that came."""

    known = Signal(object, Found)
    """The layer of an image that came, and what was found of it."""

    trouble = Signal(object, str)
    """A layer of which nothing can be kept, or found, and why; an empty text where that is over."""

    def __init__(
        self,
        viewer: Any,
        engine: Engine,
        gate: Gate,
        open_planes: Callable[[Found], set[str]],
        orphans: Callable[[], list[Any]],
        images: Callable[[], list[Any]],
    ) -> None:
        """``open_planes``: those of an image that are kept already. ``orphans``: the masks without an image.
        ``images``: the layers of the images of the others, also those that were closed."""
        self._viewer, self._engine, self._gate = viewer, engine, gate
        self._open_planes, self._orphans, self._images_of_masks = open_planes, orphans, images
        self.sessions: dict[str, Session] = {}  # touched by the helper thread alone, until all is closed
        self.project: Session | None = None
        self._former: list[Session] = []  # those that could only be read, and were opened anew
        self._awaited: dict[Path, Future[Any]] = {}  # what is asked of folders, where the disk has not answered yet
        self._again: dict[Any, float] = {}  # masks that could not be kept, and when that is tried again
        self.voxels = Voxels()
        self.comparing = WeakSet[Any]()
        viewer.layers.events.inserted.connect(lambda event: self.came(event.value))

    def came(self, layer: Any) -> None:
        if is_only_shown(layer):
            return
        if isinstance(layer, Labels):
            self._gate.close(layer)
            if not isinstance(layer.data, np.ndarray):
                self._refuse(layer, f"{layer.name} is not in memory, so no change of it can be kept; {_OPEN_IT}")
                return
            image = self.image_of(layer)
            volume = volume_as_kept(layer if image is None else image)
            sure = image is None or tells_all(volume)  # what is painted on has no hash that lasts
            self._open(layer, volume, True, sure, lambda found: self._belongs(layer, image, found))
        elif isinstance(layer, Image) and is_volume(layer):
            for mask in self._orphans():
                if _mask_shape(volume_as_kept(layer)) == tuple(mask.data.shape) and len(self.images_for(mask)) == 1:
                    self.came(mask)
            volume = volume_as_kept(layer)
            self._open(layer, volume, False, tells_all(volume), lambda found: self._resume(layer, found))

    def shows(self, layer: Any) -> bool:
        return layer in self._viewer.layers

    def came_again(self, volume: Volume) -> bool:
        """Show what was kept of an image meanwhile, where it is open again; whether it is."""
        again = [image for image in self._images() if _is_same(volume, volume_as_kept(image))]
        for image in again:
            self.came(image)
        return bool(again)

    def tick(self) -> None:
        """Bring in what was compared, and try again what could not be. Main thread only."""
        self.voxels.tick()
        for layer in [layer for layer, due in self._again.items() if due <= time.monotonic()]:
            self._again[layer] = math.inf
            if layer in self._viewer.layers:
                self.came(layer)
            else:
                del self._again[layer]

    def close(self) -> int:
        """Let go of all sessions; returns how many steps could not be kept."""
        self.voxels.close()
        every = [*self.sessions.values(), *self._former]
        for session in every:
            session.hurry()
        for future in list(self._awaited.values()):
            future.add_done_callback(_close_late)
        return sum(session.close() for session in every)

    def _belongs(self, layer: Any, image: Any, found: Found) -> None:
        """Attach a mask to its image; one that a person worked on without it comes there as it was left."""
        if image is None and len(self.images_for(layer)) == 1:  # it has come in the meantime
            self.came(layer)
            return
        made_here = not {PLANE, MADE, PREDICTED}.isdisjoint(layer.metadata) or layer.source.path is None
        if image is None or made_here or layer in self._orphans():
            self.attached.emit(layer, image, found)
            return

        def then(alone: Found | None) -> None:
            self.attached.emit(layer, *((image, found) if alone is None else (None, alone)))

        mask = volume_as_kept(layer)
        self._engine.later(lambda: self._was_alone(mask, found.planes), then)

    def _refuse(self, layer: Any, words: str) -> None:
        self._gate.refuse(layer)
        self.trouble.emit(layer, words)

    def _open(self, layer: Any, volume: Volume, make: bool, sure: bool, then: Callable[[Found], None]) -> None:
        """Find the session of a layer's image, or ``make`` it for a mask, in a thread. ``sure``: its fingerprint tells
        all."""
        labels = layer.data if make else None

        def find(known_by: str, voxels: str, certain: bool) -> Found | SegError | _Unsure | None:
            if labels is not None and labels.dtype.kind == "i" and int(labels.min(initial=0)) < 0:
                return _Unfit(f"{layer.name} holds numbers below 0, which cannot be kept; {_NUMBER_IT}")
            return attempted(lambda: self._found(volume, known_by or fingerprint(volume), voxels, make, certain))

        def arrived(found: Found | SegError | _Unsure | None) -> None:
            self.comparing.discard(layer)
            if isinstance(found, _Unsure):
                if make:
                    say(self._viewer, COMPARING)
                elif found.sized:
                    self.comparing.add(layer)
                self.voxels.after(volume, lambda voxels: self._engine.later(again(found, voxels), arrived))
            elif isinstance(found, SegError) and layer not in self._viewer.layers:
                self._again.pop(layer, None)
            elif isinstance(found, _Unfit):
                self._again.pop(layer, None)
                self._refuse(layer, str(found))
            elif isinstance(found, SegError) and make:
                self._again[layer] = time.monotonic() + AGAIN
                self._refuse(layer, f"{found} Until then {layer.name} cannot be painted on.")
            elif isinstance(found, SegError):
                self.trouble.emit(layer, str(found))
            elif found is not None:
                if self._again.pop(layer, None) is not None:
                    self.trouble.emit(layer, "")
                if found.note:
                    self.trouble.emit(layer, found.note)
                if found.added and not sure:
                    self._note_voxels(volume, found)
                self.found.emit(found)
                then(found)

        def again(unsure: _Unsure, voxels: str) -> Callable[[], Any]:
            return lambda: find(unsure.known_by, voxels, True)

        self._engine.later(lambda: find("", "", sure), arrived)

    def _note_voxels(self, volume: Volume, found: Found) -> None:
        """Let the session of a new image know all its voxels, so that another one is told from it."""
        session, number = found.session, found.row.id

        def then(voxels: str) -> None:
            if voxels and not session.writer.closed:
                session.writer.send(lambda store: store.confirm(number, voxels))

        self.voxels.after(volume, then)

    # in the helper thread

    def found_for(self, volume: Volume) -> Found:
        """What is known of an image, made where nothing is. Raises ``SegError`` where that cannot be."""
        found = self._found(volume, *identity(volume), make=True, sure=True)
        assert isinstance(found, Found)
        return found

    def _found(self, volume: Volume, known_by: str, voxels: str, make: bool, sure: bool) -> Found | _Unsure | None:
        session, known_by, note = self._session_of(known_by, voxels, make)
        if session is None:
            return None
        before = session.writer.call(lambda store: session.found(store, known_by, voxels)).result()
        if before is not None and not sure:
            return _Unsure(known_by, bool(session.writer.call(lambda store: store.meta(SIZE + known_by)).result()))
        row = session.image(volume, known_by, voxels).result()
        return session.writer.call(lambda store: Found.of(store, session, row, note, before is None)).result()

    def _was_alone(self, mask: Volume, known: Collection[str]) -> Found | None:
        """What is known of a mask on which a person worked without its image, if that has no such plane yet."""
        try:
            found = self._found(mask, fingerprint(mask), "", make=False, sure=True) if np.any(mask.data) else None
        except SegError:
            return None
        new = isinstance(found, Found) and found.worked_on and found.worked_on.isdisjoint(known)
        return found if isinstance(found, Found) and new else None

    def open_project(self, folder: Path) -> Session:
        """Open the session of a project and work on that from now on. In the helper thread.

        It stays open until all is closed, as layers may be kept in it. Raises ``SegError`` where it cannot be opened.
        """
        self.project = self.opened(str(folder), folder)
        return self.project

    @contextlib.contextmanager
    def own(self, known_by: str) -> Iterator[Session]:
        """The session that an image has of its own, which must be there. In the helper thread."""
        if known_by in self.sessions:
            yield self.sessions[known_by]
            return
        session = self._in_time(home() / known_by, Session.open)
        try:
            yield session
        finally:
            session.close()

    def opened(self, key: str, folder: Path) -> Session:
        """A session that stays open until all is closed, opened anew where it could only be read: what was in the way
        may be gone. In the helper thread."""
        known = self.sessions.get(key)
        if known is None or known.read_only:
            found = self._in_time(folder, Session.open if known is None else lambda _: known.opened_anew())
            if known is not None and found.read_only:
                found.close()
                return known
            self.sessions[key] = found
            self._former += [] if known is None else [known]
        return self.sessions[key]

    def _in_time(self, folder: Path, work: Callable[[Path], T]) -> T:
        """Do something with a folder whose disk may not answer. Raises ``SegError`` where it does not: what was begun
        then goes on, and is there when it is asked for again."""
        known = self._awaited.get(folder)
        future = self._awaited[folder] = known or aside(lambda: work(folder))
        wait((future,), LONG if known is None else SOON)
        if not future.done():
            raise SegError(silent(folder))
        del self._awaited[folder]
        found: T = future.result()
        return found

    def _session_of(self, known_by: str, voxels: str, make: bool) -> tuple[Session | None, str, str]:
        """Where an image is kept, what it is known by there, and what a person should know of that."""
        project = self.project
        own = self._own(known_by, False)
        listed = project is not None and self._knows(project, known_by, voxels)
        works = self._works(own, known_by, voxels)
        if listed and (self._works(project, known_by, voxels) or not works):
            gone = own.writer.call(lambda store: store.gone(known_by)).result() if own is not None and works else None
            return project, known_by, APART if works and (gone is None or gone.stale) else ""
        if own is not None and voxels and not self._knows(own, known_by, voxels):
            known_by = twin(known_by, voxels)
            own = self._own(known_by, False)
        if own is None:
            other = knowing(known_by, voxels)
            if other is not None and self._knows(session := self.opened(str(other), other), known_by, voxels):
                return session, known_by, ""
            return self._own(known_by, make), known_by, ""
        gone = own.writer.call(lambda store: store.gone(known_by)).result()
        if gone is None:
            return own, known_by, ""
        name, there = gone.folder.name, (gone.folder / NAME).exists()
        if gone.stale and there:
            return own, known_by, f"This work went on outside the project {name}; open the project to see that of it."
        if there and self._knows(session := self.opened(str(gone.folder), gone.folder), known_by, voxels):
            return session, known_by, ""
        missing = f"Your newer work on this image is in the project {name}, which is no longer in {gone.folder.parent}"
        return own, known_by, f"{missing}; put it back there, or open it from where it lies now."

    def _own(self, known_by: str, make: bool) -> Session | None:
        """The session that an image has of its own, if there is one or it is to be made."""
        folder = home() / known_by
        if known_by in self.sessions or make or (folder / NAME).exists():
            return self.opened(known_by, folder)
        return None

    def _works(self, session: Session | None, known_by: str, voxels: str) -> bool:
        """Whether a session holds work on an image that it knows."""

        def ask(store: Store) -> bool:
            row = None if session is None else session.found(store, known_by, voxels)
            return row is not None and bool(store.worked_on(row.id))

        return session is not None and session.writer.call(ask).result()

    def _knows(self, session: Session, known_by: str, voxels: str) -> bool:
        return session.writer.call(lambda store: session.found(store, known_by, voxels)).result() is not None

    # on the main thread

    def _resume(self, image: Any, found: Found) -> None:
        """Show the planes of an image that were worked on and are not open."""
        self.known.emit(image, found)
        in_project = found.session is self.project
        wanted = found.planes if in_project else found.worked_on

        def then() -> None:
            if not in_project:  # its list says where the work stopped
                self.resumed.emit(image, found)

        self.show_planes(image, found, wanted, then)

    def show_planes(self, image: Any, found: Found, wanted: Collection[str], then: Callable[[], None]) -> None:
        """Show planes of an image that are not open; ``then`` is called if there were any. Channels of one image come
        as several layers, and each asks for the same: so it is asked again when they are there."""
        row = found.row
        missing = sorted(set(wanted) - self._shown(image, found))

        def load(store: Store) -> list[tuple[Plane, list[Any]]]:
            planes = [plane for plane in store.planes(row.id) if plane.name in missing]
            return [(plane, [store.labels(row.id, plane.name, t) for t in range(row.times)]) for plane in planes]

        def show(masks: list[tuple[Plane, list[Any]]] | SegError) -> None:
            if isinstance(masks, SegError):
                self.trouble.emit(image, str(masks))
                return
            shown = self._shown(image, found)
            masks = [mask for mask in masks if mask[0].name not in shown]
            if image in self._viewer.layers and masks:
                for plane, frames in masks:
                    self._show_again(image, plane, frames)
                then()

        if missing:
            self._engine.later(lambda: attempted(lambda: found.session.writer.call(load).result()), show)

    def _shown(self, image: Any, found: Found) -> set[str]:
        """The planes of an image that are open, or will be in a moment."""
        coming = {
            str(layer.metadata.get(PLANE, layer.name))
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not is_only_shown(layer) and self._gate.is_closed(layer)
            if same_image(self.image_of(layer), image)
        }
        return coming | self._open_planes(found)

    def _show_again(self, image: Any, plane: Plane, frames: list[Any]) -> None:
        """Add a layer; when it has come, it finds its plane in the session, with these very voxels. ``image``: that of
        it, or another mask of it where there is none."""
        volume = volume_as_kept(image)
        labels = np.stack(frames) if "T" in volume.axes else frames[0]
        if plane.objects:
            labels = labels.astype(np.promote_types(labels.dtype, np.uint16), copy=False)  # room for new ones
        about: dict[str, Any] = {PLANE: plane.name, OBJECTS: plane.objects, CLASSES: plane.classes}
        if isinstance(image, Image):
            about[IMAGE] = str(image.unique_id)
        with contextlib.suppress(SegError):
            about[KEY] = volume_of(image).mask(labels, name=plane.name)
        looks = {} if plane.objects else class_looks(plane.classes)
        with adding(self._viewer):
            layer = self._viewer.add_labels(
                labels, name=plane.name, opacity=0.5, metadata=about, **beside(image, volume), **looks
            )
        layer.visible = plane.is_mask

    def image_of(self, layer: Any) -> Any:
        """The layer of the image that a mask belongs to, if that is clear."""
        known = [*self._images(), *self._images_of_masks()]
        named = [image for image in known if str(image.unique_id) == layer.metadata.get(IMAGE)]
        if named:
            return named[0]
        fitting = self.images_for(layer)
        selected = self._viewer.layers.selection.active
        if isinstance(selected, Labels) and selected is not layer:
            selected = self.image_of(selected) if IMAGE in selected.metadata else None
        found = [image for image in fitting if same_image(image, selected)]
        if found:
            return found[0]
        return fitting[0] if len(fitting) == 1 else None

    def images_for(self, layer: Any) -> list[Any]:
        """The images of the grid of a mask, in the place where that says it lies; of several channels of one the
        topmost. A mask that names an image which was closed fits only that one, where it is open again."""
        shape, known, found = tuple(layer.data.shape), layer.metadata.get(KEY), list[Any]()
        for image in reversed(self._images()):
            volume = volume_as_kept(image)
            fits = _mask_shape(volume) == shape and not (isinstance(known, Volume) and apart(known, volume))
            fits = fits and (layer.metadata.get(IMAGE) in (None, str(image.unique_id)) or _of_one_file(known, volume))
            if fits and not any(same_image(image, other) for other in found):
                found.append(image)
        here = [image for image in found if isinstance(known, Volume) and shown_alike(known, volume_as_kept(image))]
        return here if isinstance(known, Volume) and known.translate and here else found

    def _images(self) -> list[Any]:
        return [other for other in self._viewer.layers if isinstance(other, Image) and is_volume(other)]


def show_only(layer: Any) -> None:
    """Let a layer that has not come yet be only shown."""
    layer.metadata[ONLY_SHOWN] = str(layer.unique_id)


def is_only_shown(layer: Any) -> bool:
    """Whether a layer only shows something, and is never kept."""
    return bool(layer.metadata.get(ONLY_SHOWN) == str(layer.unique_id))


def files_of(layers: Iterable[Any]) -> list[Path]:
    """The files of those layers that are images, whoever has read them."""
    images = [layer for layer in layers if isinstance(layer, Image) and not is_only_shown(layer)]
    known = [image.metadata[KEY].source for image in images if isinstance(image.metadata.get(KEY), Volume)]
    paths = [Path(image.source.path) for image in images if image.source.path]
    return [*(source.path for source in known if source is not None), *paths]


def same_image(image: Any, other: Any) -> bool:
    """Whether two layers show one image, or channels of one. A copy that was changed is another image."""
    if image is None or other is None:
        return False
    of_one = KEY in image.metadata and image.metadata[KEY] is other.metadata.get(KEY)
    return image is other or (of_one and is_as_read(image) and is_as_read(other))


def _is_same(volume: Volume, other: Volume) -> bool:
    """Whether two volumes are one image: read from one file, or the same array."""
    memory = [getattr(one.data, "__array_interface__", None) for one in (volume, other)]
    return _of_one_file(volume, other) or (memory[0] is not None and memory[0] == memory[1])


def _of_one_file(known: Any, other: Volume) -> bool:
    """Whether two volumes are read from one file."""
    if not isinstance(known, Volume) or known.source is None or other.source is None:
        return False
    return (known.source.path, known.source.series) == (other.source.path, other.source.series)


def is_volume(layer: Any) -> bool:
    """Whether an image layer has no more axes than an image that can be segmented."""
    try:
        volume_as_kept(layer)
    except SegError:
        return False
    return True


def volume_as_kept(layer: Any) -> Volume:
    """The volume of a layer; where nobody has said what its axes are, what keeps its blocks apart."""
    try:
        return volume_of(layer)
    except SegError:
        data = layer.data[0] if layer.multiscale else layer.data
        return volume_of(layer, axes_by_number(data.ndim))


def _mask_shape(volume: Volume) -> tuple[int, ...]:
    return tuple(volume.size(axis) for axis in volume.axes if axis not in "CS")
