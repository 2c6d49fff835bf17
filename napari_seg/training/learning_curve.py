"""How much more must be corrected? From the rounds of correcting and retraining so far, with an honest interval.

Learning curves are power laws that level off (Cortes et al., NIPS 1993; Figueroa et al., BMC Medical Informatics and
Decision Making 2012): ``score(n) = ceiling - fall * ((n + head) / (first + head)) ** -rate``. Four numbers cannot be
known from three rounds. So no curve is fitted: all of a fine grid are weighed by how well they agree with the rounds
(Bayes with a flat prior), and what is told is where most of them lead, and how far the others lie from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.spec import Spec
from napari_seg.wording import count_of

ROUNDS = 3
"""Fewer rounds, or fewer different numbers of corrections, foretell nothing."""

SPREAD = 0.02
"""The standard error of a score of which it is not known; no score is known better than a quarter of it."""

SMALL = 0.01
"""A gain that is not worth the work."""

SURE = (0.05, 0.5, 0.95)

FAR = 100
"""No forecast goes further than to so many times the corrections there are."""


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
    if rounds and rounds[-1].score >= goal:
        sentence = f"{goal:g} is reached: the last round scored {rounds[-1].score:.2f}."
        return Forecast(sentence=sentence, more=0, interval=(0, 0))
    different = len({row.corrected for row in rounds})
    if different < ROUNDS:
        missing = ROUNDS - different
        sentence = f"Nothing can be said yet; correct more and retrain {count_of(missing, 'more time')}."
        return Forecast(sentence=sentence)
    curves = _Curves.of(rounds)
    last = max(row.corrected for row in rounds)
    now, twice = curves.at(last), curves.at(2 * last)
    _, likely, high = curves.quantiles(twice - now)
    if likely < SMALL and high < 2 * SMALL:
        sentence = (
            f"No more gain expected: twice as many corrected {what} would bring about {likely:.2f}, {high:.2f} at most."
        )
        return Forecast(sentence=sentence)
    few, middle, many = (_rounded(n - last) for n in curves.quantiles(curves.needed(goal, last)))
    if middle is None:
        worst, likely, best = curves.quantiles(twice)
        sentence = (
            f"{goal:g} is not in sight: twice as many corrected {what} would bring about {likely:.2f} "
            f"({worst:.2f} to {best:.2f})."
        )
        return Forecast(sentence=sentence, interval=(few, None))
    until = f"{few} to {many}" if many is not None else f"at least {few}"
    return Forecast(
        sentence=f"About {middle} more corrected {what} for {goal:g} ({until}).", more=middle, interval=(few, many)
    )


@dataclass(frozen=True, eq=False)
class _Curves:
    """All curves of the grid, flat, with their weights; ``first`` is the smallest number of corrections seen."""

    ceiling: NDArray[np.float64]
    fall: NDArray[np.float64]
    rate: NDArray[np.float64]
    head: NDArray[np.float64]
    first: int
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, rounds: Sequence[Round]) -> _Curves:
        numbers = [row.corrected for row in rounds]
        first, most = min(numbers), max(numbers)
        grid = np.meshgrid(
            np.linspace(0, 1, 101),  # the ceiling
            np.linspace(0, 1, 41),  # how much of it was missing at first
            np.geomspace(0.2, 3, 12),
            [1.0, most / 2, 2.0 * most],
            indexing="ij",
        )
        ceiling, missing, rate, head = (axis.ravel() for axis in grid)
        flat = cls(ceiling, missing * ceiling, rate, head, first, np.ones(ceiling.size))
        apart = [(flat.at(row.corrected) - row.score) / max(row.spread or SPREAD, SPREAD / 4) for row in rounds]
        likely = -0.5 * np.sum(np.square(apart), 0)
        weight = np.exp(likely - likely.max())
        kept = weight > 1e-6
        return cls(ceiling[kept], (missing * ceiling)[kept], rate[kept], head[kept], first=first, weight=weight[kept])

    def at(self, number: float) -> NDArray[np.float64]:
        ratio = (number + self.head) / (self.first + self.head)
        return np.asarray(self.ceiling - self.fall * ratio**-self.rate)

    def needed(self, goal: float, last: int) -> NDArray[np.float64]:
        """With how many corrections each curve reaches the goal; infinitely many where it does not, or too far off."""
        left = np.maximum(self.ceiling - goal, 1e-12)
        log = np.log(np.maximum(self.fall, 1e-12) / left) / self.rate
        number = np.exp(np.minimum(log, 50)) * (self.first + self.head) - self.head
        number = np.maximum(number, last + 1)
        return np.where((self.ceiling > goal) & (number < FAR * max(last, 1)), number, np.inf)

    def quantiles(self, values: NDArray[np.float64]) -> list[float]:
        order = np.argsort(values)
        share = np.cumsum(self.weight[order]) / self.weight.sum()
        places = np.searchsorted(share, SURE).clip(max=len(values) - 1)
        return [float(value) for value in values[order][places]]


def _rounded(number: Any) -> int | None:
    """To two digits, as no forecast knows more; ``None`` for infinitely many."""
    return None if not np.isfinite(number) else int(float(f"{max(1, number):.2g}"))
