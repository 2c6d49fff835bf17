"""What the window knows of its sessions without asking: the rows of the tables, the number of steps, what is wrong.
Steps go out to the sessions' threads here, and their answers come in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from psygnal import Signal

from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.gui.track import Track
from napari_seg.session.cases import changed_at
from napari_seg.session.records import Origin, Place, Step, row_key, rows_by_key, rows_of
from napari_seg.session.session import Session
from napari_seg.session.store import Store
from napari_seg.tasks.base import Labels


@dataclass(frozen=True)
class Safe:
    """What the footer says: when the image in hand was changed last, how many steps can be taken back there, how many
    wait, what is wrong, and how many steps could not be kept at all."""

    at: float | None = None
    steps: int = 0
    waiting: int = 0
    trouble: str = ""
    lost: int = 0
    coming: str = ""


class Ledger:
    """One for each window. ``active``: when something was changed last, on the monotonic clock."""

    changed = Signal()
    """Rows, the number of steps, or what is to be said."""

    written = Signal(Track, object)
    """A layer, and the blocks of it that are others now: copies that nobody writes to."""

    def __init__(self, who: str) -> None:
        self.who = who
        self.active = 0.0
        self._complaints: dict[Any, str] = {}  # by the layer that they are about
        self._sessions: dict[tuple[Path, int], Session] = {}
        self._rows: dict[tuple[Path, int], dict[str, Entry]] = {}
        self._by_plane: dict[tuple[Path, int], dict[str, dict[str, Entry]]] = {}  # as they are now
        self._steps: dict[tuple[Path, int], int] = {}
        self._changed_at: dict[tuple[Path, int], float | None] = {}
        self._at_end: set[tuple[Path, int]] = set()  # images without a step forward
        self._waiting: list[tuple[Future[Any], Callable[[Any], None], Callable[[str], None]]] = []

    @property
    def waits(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._waiting)

    @property
    def trouble(self) -> str:
        """What was complained of last and is not cured."""
        return next(reversed(self._complaints.values()), "")

    def open(self, track: Track, rows: dict[str, Entry], steps: int, *, afresh: bool) -> None:
        """What was found in the session of a layer's image. Of other masks, what this very session has told already is
        newer, but ``afresh``, where no mask of the image was open: then only the session knows what was done
        meanwhile."""
        if afresh or self._sessions.get(track.key) is not track.session:
            self._sessions[track.key] = track.session
            self._rows[track.key] = rows
            self._by_plane.pop(track.key, None)
        else:
            before = dict.fromkeys(rows_of(self._rows[track.key], track.plane))
            self.take_rows(track, rows_by_key({**before, **rows_of(rows, track.plane)}, track.plane))
        self._steps[track.key] = steps
        self.count(track)

    def rows(self, track: Track) -> dict[str, Entry]:
        """The rows of a plane, the same mapping until one of them changes; nobody writes to it. Those of all planes of
        an image stand in one table."""
        known = self._by_plane.setdefault(track.key, {})
        if track.plane not in known:
            known[track.plane] = rows_of(self._rows.get(track.key, {}), track.plane)
        return known[track.plane]

    def row(self, track: Track, key: str) -> Entry:
        return self._rows.get(track.key, {}).get(row_key(track.plane, key), Entry())

    def steps(self, track: Track | None) -> int:
        """How many steps can be taken back."""
        return 0 if track is None else self._steps.get(track.key, 0)

    def changed_at(self, track: Track | None) -> float | None:
        """When something was kept last of the masks of an image; without one, of any that was open."""
        if track is not None:
            return self._changed_at.get(track.key)
        return max((at for at in self._changed_at.values() if at is not None), default=None)

    def put(
        self,
        track: Track,
        tool: str,
        blocks: Mapping[Place, Labels],
        rows: Mapping[str, Entry | None] | None = None,
        said: Literal["add", "keep", "clear"] = "add",
        origin: Origin | None = None,
        goes_on: bool = False,
    ) -> None:
        """Hand a step to the session of a layer."""
        if track.session.read_only:
            self.complain(track.session.read_only, track.layer)
            return
        named = {row_key(track.plane, key): entry for key, entry in (rows or {}).items()}
        self.take_rows(track, named)
        self.active = time.monotonic()
        track.version += 1
        step = Step(tool, time.time(), self.who, blocks, named, said, origin=origin, goes_on=goes_on)
        self.after(track.session.writer.put(track.row.id, step), lambda kept: self.done(track, kept))
        if blocks:
            self.written.emit(track, blocks)

    def may_redo(self, track: Track) -> bool:
        """Whether there may be a step forward."""
        return track.key not in self._at_end

    def done(self, track: Track, kept: bool) -> None:
        """A step was kept, or can never be. What was in the way of other work is gone where it was kept."""
        if kept:
            self.forget(None)
        self.count(track)

    def take_rows(self, track: Track, changes: Mapping[str, Entry | None]) -> None:
        """Rows, as the session names them, are now these."""
        known = self._by_plane.get(track.key, {})
        tables = [(self._rows.setdefault(track.key, {}), changes)]
        for plane, rows in known.items():
            if own := rows_of(changes, plane):
                known[plane] = dict(rows)
                tables.append((known[plane], own))
        for table, changed in tables:
            for name, entry in changed.items():
                table.pop(name, None)
                if entry is not None:
                    table[name] = entry

    def count(self, track: Track) -> None:
        """Ask how many steps can be taken back now, whether one forward, and when the last was."""
        image = track.row.id

        def then(found: tuple[int, bool, float | None]) -> None:
            self._steps[track.key], ahead, self._changed_at[track.key] = found
            (self._at_end.discard if ahead else self._at_end.add)(track.key)
            self.changed.emit()

        def ask(store: Store) -> tuple[int, bool, float | None]:
            return store.depth(image), store.may_redo(image), changed_at(store, image)

        self.after(track.session.writer.call(ask), then)

    def after(
        self, future: Future[Any], then: Callable[[Any], None], failed: Callable[[str], None] | None = None
    ) -> None:
        """Call ``then`` with the result at the next :meth:`collect` after it has come. Where there is none, that is
        complained of, and ``failed`` hears the sentence."""
        self._waiting.append((future, then, failed or (lambda _: None)))

    def collect(self) -> None:
        """Bring in what has come. Main thread only."""
        for waited in [waited for waited in self._waiting if waited[0].done()]:
            self._waiting.remove(waited)
            future, then, failed = waited
            try:
                result = future.result()
            except SegError as error:
                self.complain(str(error))
                failed(str(error))
            else:
                then(result)

    def move(self, track: Track, session: Session, image: int) -> None:
        """All that is known of the image of a track is known of that of another session, and will be told by it."""
        key = session.folder, image
        self._sessions[key] = session
        self._rows[key] = self._rows.get(track.key, {})
        self._by_plane.pop(key, None)
        self._steps[key] = self._steps.get(track.key, 0)
        self._changed_at[key] = self._changed_at.get(track.key)

    def complain(self, sentence: str, about: Any = None) -> None:
        """Say what is wrong until it is cured: ``about`` a layer, until that is closed or ``sentence`` is empty; else
        until a step is kept."""
        self._complaints.pop(about, None)
        if sentence:
            self._complaints[about] = sentence
        self.changed.emit()

    def forget(self, about: Any) -> None:
        """What was complained of is no longer so."""
        if self._complaints.pop(about, None) is not None:
            self.changed.emit()
