"""What there is to learn from: the images of what is open in which a person has spoken, looked up again and again.

Sessions are asked in their own threads, and what did not change since the last time is not looked at again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_seg.data.volume import Volume
from napari_seg.gui.arrivals import volume_as_kept
from napari_seg.gui.hands import Hands
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.session.heard import Heard, Known, heard_in
from napari_seg.session.records import LEARNING, Plane
from napari_seg.session.session import Session

REST = 1.0
"""Seconds between two looks at the same session."""


@dataclass(frozen=True)
class Material:
    """One plane of an image of the session in a folder, and what was said of it."""

    folder: Path
    heard: Heard

    def order(self) -> dict[str, Any]:
        """How the engine is told of it; see :meth:`Lessons.with_volumes`."""
        return {"session": str(self.folder), "image": self.heard.image, "plane": self.heard.plane.name}


class Lessons:
    """One for each window. It looks only while it is ``watched``."""

    changed = Signal()

    def __init__(self, recorder: Recorder, hands: Hands) -> None:
        self._recorder, self._hands, self._clock = recorder, hands, time.monotonic
        self._known: dict[Path, Known] = {}
        self._heard: dict[Path, tuple[Heard, ...]] = {}
        self._stale, self._looked = True, -REST
        self._asked: set[Path] = set()  # whose answers to the last look are still to come
        self._track: Track | None = None
        self.watched = False
        recorder.changed.connect(self._stir)

    @property
    def track(self) -> Track | None:
        """The mask in hand, or the one that was last; also while it is hidden, or is painted where a model may learn
        from it."""
        track = self._hands.track or self._track
        if track is not None and track.plane.endswith(LEARNING):
            of = [other for other in self._recorder.tracks() if other.plane + LEARNING == track.plane]
            track = next((other for other in of if other.key == track.key), self._track)
        if track is None or self._recorder.track(track.layer) is not track:
            return None
        self._track = track
        return track

    @property
    def plane(self) -> Plane | None:
        """What kind of mask is learned from: that of the mask in hand, else of the first one that is known."""
        track = self.track
        if track is not None:
            own = [h.plane for h in self._heard.get(track.session.folder, ()) if h.plane.name == track.plane]
            return own[0] if own else Plane(track.plane, self._recorder.counts_objects(track))
        return next((heard.plane for found in self._heard.values() for heard in found), None)

    def look(self) -> None:
        """Look again at once, whether somebody watches or not; :attr:`changed` tells when it is done."""
        self._stale = False
        self._looked = self._clock()
        sessions = {session.folder: session for session in self._sessions() if not session.writer.closed}
        self._heard = {folder: heard for folder, heard in self._heard.items() if folder in sessions}
        self._asked = asked = {*sessions}
        for folder, session in sessions.items():
            known = self._known.setdefault(folder, {})
            answer = session.writer.call(partial(heard_in, known=known))
            self._recorder.after(answer, partial(self._told, asked, folder), partial(self._not_told, asked, folder))
        if not sessions:
            self.changed.emit()

    def tick(self) -> None:
        if self.watched and self._stale and not self._asked and self._clock() - self._looked >= REST:
            self.look()

    def material(self) -> list[Material]:
        """What is learned from: of each image one mask, of the kind of the one in hand."""
        wanted, track = self.plane, self.track
        if wanted is None:
            return []
        found = []
        for folder, heard in self._heard.items():
            by_image: dict[int, list[Heard]] = {}
            for one in heard:
                if _alike(one.plane, wanted):
                    by_image.setdefault(one.image, []).append(one)
            for image, several in by_image.items():
                in_hand = track is not None and track.key == (folder, image)
                named = [one for one in several if one.plane.name == wanted.name]
                if named or not in_hand:
                    found.append(Material(folder, (named or several)[0]))
        return found

    def named_otherwise(self) -> list[Heard]:
        """What is not learned from as its classes have other names than those of the mask in hand; one of an image."""
        wanted, taken = self.plane, {(one.folder, one.heard.image) for one in self.material()}
        if wanted is None or wanted.objects:
            return []
        if self.track is not None:
            taken.add(self.track.key)
        found: dict[tuple[Path, int], Heard] = {}
        for folder, heard in self._heard.items():
            for one in heard:
                if not one.plane.objects and (folder, one.image) not in taken:
                    found.setdefault((folder, one.image), one)
        return [*found.values()]

    def beside(self, material: Iterable[Material], names: Iterable[str]) -> list[Heard]:
        """What was said of the masks of classes that overlap, of the same images: one class each, of these names."""
        wanted, found = {*names}, []
        for one in material:
            others = (h for h in self._heard.get(one.folder, ()) if h.image == one.heard.image and h is not one.heard)
            found += [h for h in others if not h.plane.objects and {*h.plane.classes[:1]} & wanted]
        return found

    def with_volumes(self, lessons: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Lessons for the engine: images that are open are handed over as they are, others are read from files; so is
        one in whose layer another is shown by now."""
        volumes = dict(self._volumes())
        return [{**one, "volume": volumes.get((Path(one["session"]), one["image"]))} for one in lessons]

    def _volumes(self) -> Iterable[tuple[tuple[Path, int], Volume]]:
        tracks = [track for track in self._recorder.tracks() if track.image is not None]
        return ((t.key, volume_as_kept(t.image)) for t in tracks if self._recorder.shows_its_image(t))

    def _sessions(self) -> list[Session]:
        project = self._recorder.arrivals.project
        return [track.session for track in self._recorder.tracks()] + ([] if project is None else [project])

    def _told(self, asked: set[Path], folder: Path, heard: tuple[Heard, ...]) -> None:
        if asked is self._asked:  # else it was looked again since
            self._heard[folder] = heard
            self._settle(folder)

    def _not_told(self, asked: set[Path], folder: Path, why: str) -> None:
        if asked is self._asked:
            self._stale = True
            self._settle(folder)

    def _settle(self, folder: Path) -> None:
        self._asked.discard(folder)
        if not self._asked:
            self.changed.emit()

    def _stir(self) -> None:
        self._stale = True


def _alike(one: Plane, other: Plane) -> bool:
    """Whether one model can learn from both: objects, or classes of the same names as far as they go."""
    shared = min(len(one.classes), len(other.classes))
    return one.objects == other.objects and (one.objects or one.classes[:shared] == other.classes[:shared])
