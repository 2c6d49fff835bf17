"""The names that people give to their masks. A session keeps them like all else that is said of a mask: they are there
when it is opened again, and a step back takes them back."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from napari_seg.editing.annotation import Entry
from napari_seg.editing.said import TITLE
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.session.records import LEARNING, plain


class Titles:
    """One for each viewer."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._came = WeakKeyDictionary[Track, str]()  # what masks are called where nobody has named them
        self._shown = WeakKeyDictionary[Track, str]()  # what they were called here last
        self._naming = False
        recorder.changed.connect(self._follow)

    def _follow(self) -> None:
        for track in self._recorder.tracks():
            rows = self._recorder.rows(track)
            said = rows[TITLE].comment if TITLE in rows else ""
            if track not in self._came:
                self._came[track] = self._shown[track] = track.plane if said else track.layer.name
                track.layer.events.name.connect(self._renamed)
            wanted = said or self._came[track]
            if wanted != self._shown[track]:
                self._shown[track] = wanted
                self._name(track.layer, wanted)

    def _name(self, layer: Any, name: str) -> None:
        self._naming = True
        try:
            layer.name = name
        finally:
            self._naming = False

    def _renamed(self, event: Any) -> None:
        track = self._recorder.track(event.source)
        if self._naming or track is None or track.session.read_only or track.plane.endswith(LEARNING):
            return
        name = plain(track.layer.name)
        entry = Entry(comment=name) if name and name != self._came.get(track) else None
        self._recorder.say(track, {TITLE: entry}, "rename mask")
