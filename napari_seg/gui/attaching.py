"""A labels layer comes together with what its session knows of it; from then on it is kept.

1. :mod:`~napari_seg.gui.arrivals` finds the session of the layer's image; until all is done the layer is closed to
painting. 2. The session's thread lays down what the layer holds, or finds what is to be shown instead (see
:mod:`~napari_seg.session.openings`). 3. That is shown, the layer is opened, and whoever keeps it is told. What somebody
wrote to it in the meantime is kept as well.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from napari.layers import Image
from psygnal import Signal

from napari_seg.data.align import shown_alike
from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Entry, Extents, unused
from napari_seg.editing.meaning import Meaning, meaning
from napari_seg.editing.said import counts_objects
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import IMAGE, MADE, PLANE, PREDICTED, Arrivals, Found, volume_as_kept
from napari_seg.gui.engine import Engine
from napari_seg.gui.gate import Gate
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, WHY, beside, lies_elsewhere, volume_of
from napari_seg.gui.ledger import Ledger
from napari_seg.gui.opening import ONE_SHOWN
from napari_seg.gui.track import Track
from napari_seg.session.openings import Opened, left_alone, look_up, open_mask
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import LEARNING, Plane, Step, mask_plane, plain, rows_by_key
from napari_seg.session.store import Store
from napari_seg.session.writer import PAUSE
from napari_seg.tasks.base import Labels

OTHER = (
    "{name} is not the mask of that name that you worked on here, or was changed elsewhere: it is shown as it was "
    "opened. Ctrl+Z brings your work back."
)
OTHER_CLOSED = (
    "{name} is not the mask of that name that is kept here, so it is shown as it was opened; to see that one, open the "
    "image without it."
)
PREDICTED_ANEW = "{name} is the new mask of the model. Ctrl+Z brings the one back that you worked on here."
WHOSE = "{name} is kept as a mask of {image}. If that is wrong, remove it, select its image, and open it again."
DAMAGED = (
    "A part of the session of {name} cannot be read from the disk, and is shown empty; restore {folder} from a backup."
)


@dataclass(frozen=True, eq=False)
class _Answer:
    """What a session says of a mask that came: ``kept``, what is to be shown instead, where its labels lie, and what
    they were taken for where nothing said what they mean. ``tops``: of a film the largest label of each time point."""

    opened: Opened
    kept: Labels | None
    extents: dict[int, Extents]
    guess: Meaning | None
    tops: dict[int, int]


class Attaching:
    """One for each window. ``tracks``: the masks that are kept, by layer.

    ``kept`` is told when a mask is kept from now on, ``left`` when it is no more, and ``overtaken`` when it is kept,
    but holds something else than what was laid down. ``in_turn`` does something after what is under way with an image.
    """

    changed = Signal()
    """Which masks are kept."""

    resumed = Signal(object, Found)
    """The layer of an image whose annotation was taken up again, and what was found of it."""

    rejoined = Signal(Track)
    """A mask whose image was closed, and is open again."""

    noted = Signal(str)
    """Something that a person has to know of a mask, which is no trouble."""

    def __init__(
        self,
        viewer: Any,
        engine: Engine,
        ledger: Ledger,
        kept: Callable[[Track], None],
        left: Callable[[Track], None],
        overtaken: Callable[[Track], None],
        in_turn: Callable[[Track, Callable[[], None]], None],
    ) -> None:
        self._viewer, self._ledger = viewer, ledger
        self._kept, self._left, self._overtaken, self._in_turn = kept, left, overtaken, in_turn
        self._gate = Gate()
        self.tracks: dict[Any, Track] = {}
        self._coming: dict[Any, Track] = {}  # those whose session is looking at them
        self._stirred: set[Any] = set()  # of those, the ones that somebody wrote to meanwhile
        self._above = WeakKeyDictionary[Any, WeakSet[Any]]()  # what lay above an image that was closed
        self._closed = False
        self.arrivals = Arrivals(viewer, engine, self._gate, self.open_planes, self._orphans, self._images)
        self.arrivals.attached.connect(self._attach)
        self.arrivals.resumed.connect(self.resumed.emit)
        self.arrivals.known.connect(self._opened_again)
        self.arrivals.trouble.connect(lambda layer, words: self._ledger.complain(words, layer))

    @property
    def waiting(self) -> str:
        """The name of a mask that will be open in a moment; empty where there is none."""
        return self._gate.waiting

    @property
    def every(self) -> list[Track]:
        """The masks that are kept, and those that will be in a moment."""
        return [*self.tracks.values(), *self._coming.values()]

    def open_planes(self, found: Found) -> set[str]:
        """The planes of an image that are kept, or will be in a moment."""
        key = found.session.folder, found.row.id
        return {track.plane for track in self.every if track.key == key}

    def _orphans(self) -> list[Any]:
        """Masks whose image is not there yet."""
        return [track.layer for track in self.tracks.values() if track.image is None]

    def _images(self) -> list[Any]:
        """The images of the masks, also those that were closed."""
        return [track.image for track in self.every if track.image is not None]

    def refuse(self, track: Track, words: str) -> None:
        """A mask that was kept holds something that cannot be."""
        del self.tracks[track.layer]
        self._gate.refuse(track.layer)
        self._ledger.complain(words, track.layer)

    def gone(self, layer: Any, above: Iterable[Any]) -> None:
        """A layer was taken away that lay below those ``above``."""
        self._above[layer] = WeakSet(above)
        self._ledger.forget(layer)
        self._gate.forget(layer)
        self._came(layer)
        track = self.tracks.get(layer)
        if track is not None:
            self._let_go(track)
            self.changed.emit()

    def close(self) -> int:
        """Let go of all sessions; returns how many steps could not be kept."""
        self._closed = True
        return self.arrivals.close()

    def _attach(self, layer: Any, image: Any, found: Found) -> None:
        """Bring a layer together with what its session knows of it; from then on it is kept."""
        before = self.tracks.get(layer)
        if self._closed or layer not in self._viewer.layers or layer in self._coming:
            return
        if before is not None and (before.image is not None or image is None):
            self._gate.open(layer)
            return
        worked = before is not None and self._ledger.steps(before) > 0
        wanted = layer.metadata.get(PLANE, "")
        plane = self._free_name(wanted or _plane_named(plain(layer.name), found), found)
        parent = layer.source.parent  # a weak reference
        original = self.tracks.get(parent and parent())
        copied = original.plane if original is not None else wanted if wanted != plane else ""
        try:
            track = Track(layer, found.session, found.row, plane, image)
        except SegError as error:
            self._gate.refuse(layer)
            self._ledger.complain(str(error), layer)
            return
        if before is not None:
            self._let_go(before)
            self._lay_over(layer, image)
        if image is not None:
            several = len(self.arrivals.images_for(layer)) > 1
            guessed = worked and not layer.name.startswith(image.name)
            if IMAGE not in layer.metadata and (several or guessed):
                self.noted.emit(WHOSE.format(name=layer.name, image=image.name))
            layer.metadata[IMAGE] = str(image.unique_id)
            self._lay_on(layer, image)
            if KEY not in layer.metadata and not lies_elsewhere(layer, image):  # it is written on the grid of that
                with contextlib.suppress(SegError):
                    layer.metadata[KEY] = volume_of(image).mask(layer.data, name=layer.name)
        made = layer.metadata.get(MADE) or ("copy" if copied or parent else "moved" if worked else "")
        if track.session.read_only:
            self._gate.refuse(layer)
            self._keep(track, found.rows, found.steps)
            self._ledger.complain(track.session.read_only, layer)
            data = layer.data
            kept = track.session.writer.call(
                lambda store: look_up(store, track.row.id, track.plane, track.blocks_of(data), new=bool(made))
            )
            self._ledger.after(kept, partial(self._show_kept, track, found, data))
        else:
            layer.metadata.pop(MADE, None)
            self._close_marks(track)
            self._join(track, found, made, layer.metadata.pop(PREDICTED, None), before if worked else None, copied)
        self.changed.emit()

    def _close_marks(self, track: Track) -> None:
        """Close the layer that shows where a model may learn from a mask that comes: with other labels that changes."""
        marks = [one.layer for one in self.every if (one.key, one.plane) == (track.key, track.plane + LEARNING)]
        for layer in marks:
            self._viewer.layers.remove(layer)

    def _lay_over(self, layer: Any, image: Any) -> None:
        """A mask that was opened before its image lies under that, where nobody sees it."""
        layers = self._viewer.layers
        if image in layers and layers.index(layer) < layers.index(image):
            layers.move(layers.index(layer), layers.index(image) + 1)

    def _lay_on(self, layer: Any, image: Any) -> None:
        """Lay a mask that nobody moved on its image, where only one of them says that it lies elsewhere than at 0."""
        known, volume = layer.metadata.get(KEY), volume_as_kept(image)
        if not isinstance(known, Volume) or lies_elsewhere(layer) or not lies_elsewhere(layer, image):
            return
        ours = known.translate is not None or KEY in image.metadata  # who knows how others turned what they read
        if ours and not shown_alike(known, volume) and None in (known.translate, volume.translate):
            layer.metadata[KEY] = replace(known, translate=volume.translate)
            for name, value in beside(image, volume).items():
                setattr(layer, name, value)
            self.noted.emit(f"{layer.name}: {ONE_SHOWN}")

    def _opened_again(self, image: Any, found: Found) -> None:
        """The masks of an image that stayed open when it was closed belong to its new layer. They lie over it again, as
        does what else lay above it but for images: they would cover what has just been opened."""
        layers = self._viewer.layers
        above = set[Any]()
        for track in self.tracks.values():
            closed = track.image is not None and track.image not in layers
            if closed and image in layers and track.key == (found.session.folder, found.row.id):
                shown = self._above.get(track.image, ())
                above |= {track.layer, *(layer for layer in shown if not isinstance(layer, Image))}
                track.image = image
                track.layer.metadata[IMAGE] = str(image.unique_id)
                self.rejoined.emit(track)
        for layer in [layer for layer in layers if layer in above]:
            layers.move(layers.index(layer), len(layers))

    def _join(
        self, track: Track, found: Found, made: str, predicted: Predicted | None, before: Track | None, copied: str
    ) -> None:
        """Lay down what a layer holds, or find out what is to be shown in it. ``made``: by which step it came, where it
        is no file that was opened. ``before``: where it was worked on before its image was there. ``copied``: the plane
        that it is a copy of."""
        layer, data, image = track.layer, track.layer.data, track.row.id
        self._coming[layer] = track
        about = layer.metadata
        plane = Plane(track.plane, bool(about.get(OBJECTS, True)), tuple(about.get(CLASSES, ())))
        guessing = OBJECTS not in about and layer.source.path is not None
        patient = isinstance(about.get(KEY), Volume) and about[KEY].affine is not None
        origin = None if predicted is None else predicted.origin(plane.name)
        step = Step(made or "opened", time.time(), self._ledger.who, track.blocks_of(data), said="keep", origin=origin)
        without, instead = track.image is None, OTHER if predicted is None else PREDICTED_ANEW
        answer: list[_Answer | SegError] = []
        layer.events.paint.connect(self._stir)
        left = None if before is None else _left(before)

        def work(store: Store) -> None:
            guess = meaning(data.reshape(-1, *track.row.grid), patient=patient) if guessing else None
            known = plane if guess is None else replace(plane, objects=guess.objects)
            came_as, said = None, dict[str, Entry]()
            with contextlib.suppress(SegError):  # what cannot be read is only not known
                if left is not None:
                    as_file, said = left.result(PAUSE)
                    came_as = track.blocks_of(_as_before(as_file, data))
            came = replace(step, rows=rows_by_key(said, known.name))
            blank = without and not data.any()
            try:
                opened = open_mask(
                    store, image, known, came, new=bool(made), blank=blank, came_as=came_as, copied=copied
                )
            except SegError as error:  # trying again would not help
                answer[:] = [error]
                return
            kept = None if opened.labels is None else _as_before(opened.labels, data)
            once = track.row.times == 1
            shown = (data if kept is None else kept).reshape(-1, *track.row.grid)
            tops = {} if once else {time: int(frame.max(initial=0)) for time, frame in enumerate(shown)}
            answer[:] = [_Answer(opened, kept, {0: Extents(shown[0])} if once else {}, guess, tops)]

        def then(kept: bool) -> None:
            if self._coming.get(layer) is track and not self._closed:
                self._joined(track, found, data, answer[0] if answer else None, instead)

        # a mask that was closed a moment ago is still being changed
        self._in_turn(track, lambda: self._ledger.after(track.session.writer.keep(work), then))

    def _joined(self, track: Track, found: Found, data: Any, answer: _Answer | SegError | None, instead: str) -> None:
        """``instead``: what is said where it takes the place of a mask that a person worked on."""
        layer, stirred = track.layer, self._came(track.layer)
        if not isinstance(answer, _Answer):
            self._gate.refuse(layer)
            if answer is not None:  # else the session itself says what is wrong
                self._ledger.complain(str(answer), layer)
            return
        opened = answer.opened
        _tell_meaning(layer, opened.plane, answer.guess)
        self._keep(track, opened.rows, opened.steps)
        self._ledger.forget(None)  # what was in the way of other work is gone
        if layer.data is not data or stirred:  # somebody wrote to it meanwhile
            self._overtaken(track)
        else:
            if answer.kept is not None:
                track.show(answer.kept)
            track.extents = answer.extents
            track.learn(answer.tops)
            _begin_new(track, opened)
        if self.tracks.get(layer) is track:
            self._gate.open(layer)
        self._tell(track, found, opened, instead)
        if self.tracks.get(layer) is track and track.image is None and self.arrivals.image_of(layer) is not None:
            self.arrivals.came(layer)

    def _tell(self, track: Track, found: Found, opened: Opened, instead: str) -> None:
        """Say what became of a mask that was opened."""
        if opened.news == "resumed":
            self.resumed.emit(track.about, found)
        elif opened.news == "other":
            self.noted.emit(instead.format(name=track.layer.name))
        if opened.damaged:
            self.noted.emit(DAMAGED.format(name=track.about.name, folder=track.session.folder))
        self.changed.emit()

    def _show_kept(self, track: Track, found: Found, data: Any, opened: Opened | None) -> None:
        """Show what is kept of a mask that nobody can change here."""
        layer = track.layer
        if opened is None or self.tracks.get(layer) is not track or layer.data is not data:
            return
        _tell_meaning(layer, opened.plane, None)
        if opened.labels is not None:
            track.show(_as_before(opened.labels, data))
        self._tell(track, found, opened, OTHER_CLOSED)

    def _keep(self, track: Track, rows: dict[str, Entry], steps: int) -> None:
        """From now on every change of a layer is kept."""
        afresh = not any(other.key == track.key for other in self.tracks.values())
        self._ledger.open(track, rows, steps, afresh=afresh)
        self.tracks[track.layer] = track
        self._kept(track)

    def _free_name(self, name: str, found: Found) -> str:
        taken = self.open_planes(found)
        number = 1
        while (free := name if number == 1 else f"{name} {number}") in taken:
            number += 1
        return free

    def _let_go(self, track: Track) -> None:
        del self.tracks[track.layer]
        self._left(track)

    def _came(self, layer: Any) -> bool:
        """A layer is no longer coming; whether somebody wrote to it meanwhile."""
        if self._coming.pop(layer, None) is None:
            return False
        layer.events.paint.disconnect(self._stir)
        stirred = layer in self._stirred
        self._stirred.discard(layer)
        return stirred

    def _stir(self, event: Any) -> None:
        self._stirred.add(event.source)


def _plane_named(name: str, found: Found) -> str:
    """The plane of a mask that came under a name. One that was kept under it before it meant something is taken up."""
    earlier = name in found.planes and name.removesuffix(LEARNING) not in found.planes
    return name if earlier else mask_plane(name)


def _left(track: Track) -> Future[tuple[list[Labels], dict[str, Entry]]]:
    """How a mask was left that has no image yet."""
    image, plane = track.row.id, track.plane
    return track.session.writer.call(lambda store: left_alone(store, image, plane))


def _begin_new(track: Track, opened: Opened) -> None:
    """Where nobody has chosen a label, painting makes a new object: napari begins with 1, which is another one."""
    number, layer = unused(track.largest_known, opened.rows), track.layer
    room = number <= np.iinfo(layer.data.dtype).max
    if layer.selected_label == 1 and room and counts_objects(opened.plane.objects, opened.rows):
        layer.selected_label = number


def _as_before(frames: list[Labels], data: Labels) -> Labels:
    """Labels by time point in the shape of an array, and with room for at least what that had."""
    labels = np.stack(frames).reshape(data.shape)
    return labels.astype(np.promote_types(labels.dtype, data.dtype), copy=False)


def _tell_meaning(layer: Any, plane: Plane, guess: Meaning | None) -> None:
    """Let a layer that does not say what its numbers mean say what is kept of that, and why where it was guessed so."""
    if OBJECTS not in layer.metadata:
        layer.metadata.update({OBJECTS: plane.objects, CLASSES: plane.classes})
        if guess is not None and guess.objects == plane.objects:
            layer.metadata[WHY] = guess.why
