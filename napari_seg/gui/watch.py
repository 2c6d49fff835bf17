"""Looks for changes that no event tells of, such as those of other plugins, and counts the time a person spends."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from napari_seg.gui.ledger import Ledger
from napari_seg.gui.track import Track
from napari_seg.session.records import Place

MINUTE = 60.0
"""Seconds within which every block has been looked at."""

LOOK = 0.3
"""Seconds between two looks at some of them."""

IDLE = 60.0
"""Seconds without a change after which time no longer counts as spent."""

TOLD = 10.0
"""Seconds of a person's time after which the session hears of them."""


class Watch:
    """One for each window; ``found`` is called with a layer that holds something else than what is kept of it.
    ``quiet`` says whether nothing is under way in a layer."""

    def __init__(self, ledger: Ledger, found: Callable[[Track], None], quiet: Callable[[Track], bool]) -> None:
        self._ledger, self._found, self._quiet = ledger, found, quiet
        self._looked = self._spending = time.monotonic()
        self._spent: tuple[Track, float] | None = None  # seconds that the session does not know of yet

    def tick(self, tracks: list[Track], active: Track | None) -> None:
        """Look at the next blocks, if it is time. ``active``: the mask that a person works on."""
        now = time.monotonic()
        if now - self._looked >= LOOK:
            share, self._looked = min(1.0, (now - self._looked) / MINUTE), now
            for track in tracks:
                self._look(track, share)
        self._spend(now, active)

    def settle(self) -> None:
        """Let the session know all the time that was spent."""
        if self._spent is not None:
            (track, seconds), self._spent = self._spent, None
            if not (track.session.read_only or track.session.writer.closed):
                track.session.spend(track.row.id, self._ledger.who, seconds)

    def _spend(self, now: float, active: Track | None) -> None:
        """Count the time since the last look for the mask that a person works on, if they do."""
        passed, self._spending = now - self._spending, now
        if self._spent is not None and self._spent[0] is not active:
            self.settle()
        if active is not None and now - self._ledger.active < IDLE:
            self._spent = active, min(passed, IDLE) + (self._spent[1] if self._spent else 0.0)
            if self._spent[1] >= TOLD:
                self.settle()

    def _look(self, track: Track, share: float) -> None:
        if track.session.read_only or track.session.writer.closed or not self._quiet(track):
            return
        count = min(track.places, max(1, int(np.ceil(track.places * share))))
        numbers = [(track.scanned + k) % track.places for k in range(count)]
        track.scanned = (track.scanned + count) % track.places
        blocks, image = track.copies(map(track.place, numbers)), track.row.id

        def then(differing: list[Place]) -> None:
            if differing:
                self._found(track)

        self._ledger.after(track.session.writer.call(lambda store: store.differing(image, blocks)), then)
