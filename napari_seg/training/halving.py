"""The arithmetic of successive halving: who is left in each round, and how far everybody has trained at its end."""

from __future__ import annotations

import math
from itertools import accumulate

ETA = 3
"""One in so many stays."""


def rounds(count: int) -> list[int]:
    """How many candidates are left in each round."""
    left = [count]
    while left[-1] > 1:
        left.append(math.ceil(left[-1] / ETA))
    return left


def goals(total: int, count: int) -> list[int]:
    """The steps that a candidate of ``count`` has made at the start and after each round, if it makes ``total``."""
    made = [0]
    for share in milestones(count):
        made.append(max(made[-1] + 1, math.ceil(total * share - 1e-9)))
    return made


def milestones(count: int) -> list[float]:
    """The share of its steps that a candidate has made at the end of each round."""
    shares = [1 / left for left in rounds(count)]
    return [made / sum(shares) for made in accumulate(shares)]
