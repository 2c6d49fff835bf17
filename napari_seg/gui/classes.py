"""The classes of a mask: what they are called, their colours, what is locked and what is hidden. No widgets.

Names and locks stand in the rows of the mask, so that naming and locking are steps of the history. In a mask of objects
a class is locked by locking the objects it has, and hidden with the objects it has at the moment. Colours belong to
names (see :mod:`~napari_seg.gui.colours`), and what is hidden belongs to the view: neither changes the annotation.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

from napari.utils.colormaps import label_colormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.editing.annotation import Entry, class_key, label_of, object_key
from napari_seg.editing.counting import counted
from napari_seg.editing.meaning import MOST
from napari_seg.editing.said import class_names
from napari_seg.errors import SegError
from napari_seg.gui.colours import choose, chosen, class_colours, class_looks
from napari_seg.gui.engine import Engine
from napari_seg.gui.hiding import Hidden, without
from napari_seg.gui.layers import CLASSES
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.session.records import LEARNING
from napari_seg.wording import class_name

_COLOURS = 49
"""Colours that come round again, of objects: as many as napari takes."""


@dataclass(frozen=True)
class ClassRow:
    """A line of the list. ``colour``: empty where numbers count objects; ``locked``: how much of it."""

    number: int
    name: str
    colour: str
    locked: Literal["nothing", "some", "all"]
    shown: bool


def is_given(name: str) -> bool:
    """Whether somebody has given a class its name."""
    return not re.fullmatch(r"class \d+", name)


class Classes:
    """One for each window."""

    changed = Signal()
    """Something is hidden or shown, or has another colour."""

    def __init__(self, recorder: Recorder, engine: Engine) -> None:
        self._recorder, self._engine = recorder, engine
        self._hidden: WeakKeyDictionary[Any, set[int]] = WeakKeyDictionary()
        self._worn: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()  # how a layer was dressed last
        self._cleared: WeakKeyDictionary[Any, tuple[Any, Any, Hidden]] = WeakKeyDictionary()  # colours of objects:
        # before, with those of the hidden ones clear, and which are hidden
        self._all: WeakKeyDictionary[Any, dict[int, int]] = WeakKeyDictionary()  # how many objects a locked class has
        recorder.changed.connect(self.follow)

    # what there is

    def names(self, track: Track) -> tuple[str, ...]:
        """What the classes 1, 2, ... of a mask are called."""
        rows, made_with = self._recorder.rows(track), tuple(track.layer.metadata.get(CLASSES, ()))
        return class_names(made_with, rows)

    def all_names(self, track: Track) -> tuple[str, ...]:
        """The same, with ``class 4`` for those that nobody has named; none of a mask of objects."""
        return () if self._recorder.counts_objects(track) else tuple(row.name for row in self.rows(track))

    def rows(self, track: Track) -> tuple[ClassRow, ...]:
        """The list of a mask; of a mask of objects without any classes it is empty."""
        entries = self._recorder.rows(track)
        names = class_names(tuple(track.layer.metadata.get(CLASSES, ())), entries)
        objects = self._recorder.counts_objects(track)
        if objects:
            most = max((e.category for key, e in entries.items() if key.startswith("object ")), default=1)
            most = max(len(names), most if most > 1 else 0)
        else:
            most = max(len(names), track.largest_known, 1)
        most = min(most, max(MOST, len(names)))
        names = (*names, *map(class_name, range(len(names) + 1, most + 1)))
        colours = {} if objects else class_colours(names, chosen())
        hidden, locks = self._hidden.get(track.layer, set()), self._locks(track, entries, objects)
        return tuple(
            ClassRow(k, name, colours.get(name, ""), locks.get(k, "nothing"), k not in hidden)
            for k, name in enumerate(names, 1)
        )

    def locked_objects(self, track: Track) -> int:
        """How many objects are locked; 0 in a mask of classes."""
        if not self._recorder.counts_objects(track):
            return 0
        return sum(e.locked for key, e in self._recorder.rows(track).items() if key.startswith("object "))

    def _locks(
        self, track: Track, entries: dict[str, Entry], objects: bool
    ) -> dict[int, Literal["nothing", "some", "all"]]:
        locked = [(key, e.category) for key, e in entries.items() if e.locked and key.startswith("object ")]
        if not objects:
            return {int(key.split()[1]): "all" for key, _ in locked}
        whole, counts = self._all.get(track.layer, {}), Counter(category for _, category in locked)
        return {k: "all" if n >= whole.get(k, n + 1) else "some" for k, n in counts.items()}

    # what is done

    def lock(self, track: Track, number: int, locked: bool) -> None:
        """Lock a class or let it go; in a mask of objects all objects of it, which are looked for in a thread."""
        if not self._recorder.counts_objects(track):
            self._recorder.lock(track, number, locked)
            return
        if not locked:
            self._unlock(track, lambda entry: entry.category == number, "unlock class")
            return
        data = track.layer.data

        def then(labels: list[int]) -> None:
            if self._recorder.track(track.layer) is not track:
                return
            rows = self._recorder.rows(track)
            entries = {object_key(label): rows.get(object_key(label), Entry()) for label in labels}
            mine = {key: entry for key, entry in entries.items() if entry.category == number}
            self._all.setdefault(track.layer, {})[number] = len(mine)
            new = {key: replace(entry, locked=True) for key, entry in mine.items() if not entry.locked}
            if new:
                self._recorder.say(track, new, "lock class")
            self.changed.emit()

        self._engine.later(lambda: _labels_in(data), then)

    def unlock_all(self, track: Track) -> None:
        self._unlock(track, lambda entry: True, "unlock all")

    def _unlock(self, track: Track, which: Any, what: str) -> None:
        rows = self._recorder.rows(track)
        new = {
            key: replace(entry, locked=False)
            for key, entry in rows.items()
            if entry.locked and key.startswith("object ") and which(entry)
        }
        if new:
            self._recorder.say(track, new, what)

    def add(self, track: Track) -> int:
        """A class more; returns its number. Raises ``SegError`` where there are too many."""
        number = len(self.rows(track)) + 1
        if self._recorder.counts_objects(track):
            number = max(number, 2)  # objects that nobody has given a class are of the first
        if number > MOST:
            raise SegError(f"A mask has {MOST} classes at the most; rename one instead.")
        self._name(track, number, class_name(number), "new class")
        return number

    def rename(self, track: Track, number: int, name: str) -> None:
        """Call a class otherwise. Raises ``SegError`` for a name that another one has."""
        name = " ".join(name.split())
        names = [row.name for row in self.rows(track)]
        if not name or name == names[number - 1]:
            return
        if name in names:
            raise SegError(f"There is a class {name} already; choose another name, or give its voxels that class.")
        self._name(track, number, name, "rename class")

    def _name(self, track: Track, number: int, name: str, what: str) -> None:
        entry = self._recorder.rows(track).get(class_key(number), Entry())
        self._recorder.say(track, {class_key(number): replace(entry, comment=name)}, what)
        self.follow()

    def colour(self, track: Track, number: int, colour: str) -> None:
        """Give a class, and every class of its name in any image from now on, a colour."""
        choose(self.rows(track)[number - 1].name, colour)
        self.follow()

    def show(self, track: Track, number: int, shown: bool) -> None:
        """Show a class or hide it, of objects all that are of it; its voxels stay."""
        hidden = self._hidden.setdefault(track.layer, set())
        (hidden.discard if shown else hidden.add)(number)
        track.layer.events.colormap.connect(self._recoloured)
        self.follow()

    def follow(self) -> None:
        """Dress the masks of classes as they are named and coloured now, and hide the objects of hidden classes."""
        for track in self._recorder.tracks():
            if self._recorder.counts_objects(track):
                self._clear(track)
            elif not track.plane.endswith(LEARNING):
                self._dress(track)
        self.changed.emit()

    def _recoloured(self, event: Any) -> None:
        """Somebody gave a layer other colours."""
        track = self._recorder.track(event.source)
        if track is not None and self._recorder.counts_objects(track):
            self._clear(track)

    def _clear(self, track: Track) -> None:
        layer, hidden = track.layer, self._hidden_objects(track)
        if self._worn.pop(layer, None) is not None:  # its numbers were classes until now
            layer.colormap, layer.features = label_colormap(_COLOURS), {}
        plain, shown, before = self._cleared.get(layer, (layer.colormap, layer.colormap, Hidden()))
        if layer.colormap is not shown:
            plain, before = layer.colormap, Hidden()
        if hidden != before:
            shown = without(plain, hidden)
            self._cleared[layer] = plain, shown, hidden
            layer.colormap = shown

    def _hidden_objects(self, track: Track) -> Hidden:
        """An object that nobody has given a class is of the first."""
        classes = self._hidden.get(track.layer, set())
        if not classes:
            return Hidden()
        rows, rest = self._recorder.rows(track), 1 in classes
        given = {label_of(key): entry.category for key, entry in rows.items() if key.startswith("object ")}
        return Hidden(frozenset(label for label, number in given.items() if (number in classes) != rest), rest)

    def _dress(self, track: Track) -> None:
        layer, names = track.layer, tuple(row.name for row in self.rows(track))
        hidden = frozenset(self._hidden.get(layer, ()))
        wanted = (names, class_colours(names, chosen()), hidden)
        if self._worn.get(layer) != wanted:
            self._worn[layer] = wanted
            looks = class_looks(names)
            looks["colormap"] |= dict.fromkeys(hidden, "transparent")
            self._cleared.pop(layer, None)
            layer.features, layer.colormap = looks["features"], looks["colormap"]


def _labels_in(data: NDArray[Any]) -> list[int]:
    """Every label that occurs, but 0."""
    return sorted(counted(data).keys() - {0})
