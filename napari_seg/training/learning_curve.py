"""How much more must be corrected? From the rounds of correcting and retraining so far, with an honest interval.

The pattern of learning curves is a power law that levels off, ``score = ceiling - loss * corrected ** -rate``
(Cortes et al., NIPS 1993; Figueroa et al., BMC Medical Informatics and Decision Making 2012). Three numbers cannot be
known from three rounds; so all curves that agree with the rounds are weighed, and what is told is where most lead.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_seg.spec import Spec

ROUNDS = 3
"""Fewer rounds forecast nothing."""


class Round(Spec):
    """A retraining: how much had been corrected until then, and the score on held-out corrections with its standard
    error (0: not known)."""

    corrected: int
    score: float
    spread: float = 0.0


class Forecast(Spec):
    """``more``: how many more must be corrected for the goal; 0 if it is reached, ``None`` if that cannot be said or
    will not happen. ``interval``: between how many in nine of ten cases, ``None`` for an end that is not known."""

    sentence: str
    more: int | None = None
    interval: tuple[int | None, int | None] = (None, None)


def forecast(rounds: Sequence[Round], *, goal: float = 0.9, what: str = "objects") -> Forecast:
    """What more corrections would bring. ``what`` is corrected: objects, slices."""
    if len(rounds) < ROUNDS:
        return Forecast(
            sentence=f"After {len(rounds)} of {ROUNDS} rounds nothing can be foretold; correct and retrain."
        )
    return Forecast(sentence="Not foretold yet.")
