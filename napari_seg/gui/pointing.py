"""Where the mouse is: the one place that says it, for what is outlined and for the keys that act on it.

The mouse rests on a pixel of a view. Which place that is, is worked out whenever somebody asks: it is what is seen
under the mouse now. Where the picture was moved there by something else than the mouse, as when the next one of a
review is shown, nobody has pointed at what lies there, and nothing is known until the mouse moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STILL = 2.0
"""Pixels of the screen by which a picture may move under the mouse: a wheel zooms about it, but for rounding."""


@dataclass(frozen=True, eq=False)
class Place:
    """``position``: in the world. ``displayed``: the two axes that the view shows. ``pixel``: how long a pixel of the
    screen is there."""

    position: NDArray[np.float64]
    displayed: tuple[int, ...]
    pixel: float = 1.0

    def is_at(self, other: Place) -> bool:
        """Whether both are the same as far as is seen; another slice may lie there."""
        if self.displayed != other.displayed:
            return False
        axes = list(self.displayed)
        apart = np.abs(self.position[axes] - other.position[axes]).max()
        return bool(apart <= _STILL * max(self.pixel, other.pixel))


class Pointing:
    """One for each window, with all its views."""

    def __init__(self) -> None:
        self._look: Callable[[], Place | None] = _nowhere
        self._pointed_at: Place | None = None
        self._left = False

    def over(self, look: Callable[[], Place | None]) -> None:
        """The mouse did something over a view; ``look`` says what is under it, now and whenever it is asked again."""
        self._look, self._pointed_at, self._left = look, look(), False

    def leave(self, *, for_good: bool = False) -> None:
        """The mouse has left the view, or the view is gone ``for_good``."""
        self._left = True
        if for_good:
            self._look, self._pointed_at = _nowhere, None

    @property
    def here(self) -> Place | None:
        """What the mouse is over; ``None`` where it is over no view, or over what nobody has pointed at."""
        return None if self._left else self.last

    @property
    def last(self) -> Place | None:
        """The same, also where the mouse has left the view since."""
        now = self._look()
        known = now is not None and self._pointed_at is not None and now.is_at(self._pointed_at)
        return now if known else None


def _nowhere() -> Any:
    return None
