"""What makes an object, a region or a slice suspicious: numbers in 0..1 with a weight, and the words for each.

A chance of being wrong is the logistic function of the weighted sum. The weights of objects are rounded from a logistic
regression on the validation images of the nuclei (wrong: IoU below 0.5 with the truth), those of slices on the
hippocampus (``benchmarks/review.py queue`` measures both); on other images only the order counts. The weight of the
edge of the image came out as 0: objects that it cuts are wrong no more often than others. It is kept low, to break
ties. That regions apart from the rest are suspicious is a guess: of the regions of the hippocampus none was wrong.

What is *not* here was tried too: the entropy in a shell around the border alone, over all images, found wrong nuclei
hardly better than chance (average precision 0.06 to 0.10, chance 0.07), for every border is unsure by the width of its
blur; the mean over all of an object did (0.27).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.measures import Table
from napari_seg.editing.runs import Floats, Ints
from napari_seg.editing.through import Through

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SHARES = ("", "", "half", "a third", "a quarter", "a fifth", "a sixth", "a seventh", "an eighth", "a ninth", "a tenth")

_GROUP = 5
"""So many of a kind it takes to say what is usual."""

_SMALL = 50
"""In objects of fewer voxels the middle is everywhere near."""

_SPREAD = 0.5
"""Sizes are never taken to vary by less than this much (of the natural logarithm): also even objects differ."""


@dataclass(frozen=True, eq=False)
class Signal:
    """``values`` in 0..1, one for each row; ``words(row)`` for the rows that are ``odd`` enough to name it."""

    weight: float
    values: Floats
    odd: NDArray[np.bool_]
    words: Callable[[int], str]


def chances(signals: Sequence[Signal], usual: float, n: int) -> Floats:
    """How likely each of ``n`` rows is wrong, when one in which nothing is odd has the log odds ``usual``."""
    total = np.full(n, usual)
    for signal in signals:
        total += signal.weight * signal.values
    chance: Floats = 1 / (1 + np.exp(-total))
    return chance


def reasons(signals: Sequence[Signal], row: int) -> tuple[str, ...]:
    """Why a row is suspicious, the heaviest reason first."""
    named = [signal for signal in signals if signal.odd[row]]
    named.sort(key=lambda signal: -signal.weight * float(signal.values[row]))
    return tuple(signal.words(row) for signal in named)


def unsure(uncertainty: Floats) -> Signal:
    """The mean entropy over the voxels."""
    values = np.clip(np.nan_to_num(uncertainty), 0, 1)
    usual = float(np.median(values)) if len(values) else 0.0
    odd = values > max(0.2, 1.3 * usual)
    return Signal(2, values, odd, lambda row: "The model is unsure")


def no_middle(astray: Floats, voxels: Ints) -> Signal:
    """The directions towards its middle are weak: it may be two objects, or a piece of one.

    In a small object they are weak anyhow, for they fade near the middle; it is not named as a reason there.
    """
    return Signal(3, astray, (astray > 0.2) & (voxels >= _SMALL), lambda row: "The model sees no clear middle")


def touching(contact: Floats) -> Signal:
    return Signal(4, contact, contact > 0.15, lambda row: f"{contact[row]:.0%} of its border touches others")


def odd_size(table: Table, groups: Ints) -> tuple[Signal, Signal]:
    """Smaller and larger than most of its group, by a robust z of the logarithm (median and MAD)."""
    size, z = np.log(np.maximum(table.voxels, 1)), np.zeros(len(table))
    times = np.ones(len(table))
    for group in np.unique(groups):
        mine = groups == group
        if np.count_nonzero(mine) >= _GROUP:
            off = size[mine] - np.median(size[mine])
            z[mine] = off / max(1.4826 * float(np.median(np.abs(off))), _SPREAD)
            times[mine] = np.exp(off)
    small, large = np.clip(-z / 4, 0, 1), np.clip(z / 4, 0, 1)
    return (
        Signal(3, small, times <= 0.5, lambda row: _smaller(1 / times[row])),
        Signal(1, large, times >= 2, lambda row: _larger(times[row])),
    )


def odd_shape(table: Table) -> Signal:
    """It fills less of the ellipsoid with its second moments than what has no dents."""
    dents = np.clip(2 * (1 - table.fullness), 0, 1)
    odd = (dents > 0.3) & (table.parts == 1)  # the gap between parts is no dent
    return Signal(1, dents, odd, lambda row: "Has dents or a waist")


def in_parts(table: Table) -> Signal:
    several = table.parts > 1
    return Signal(1, several.astype(float), several, lambda row: f"In {_count(int(table.parts[row]))} parts")


def at_the_edge(table: Table) -> Signal:
    return Signal(0.1, table.border.astype(float), table.border, lambda row: "Cut by the edge of the image")


def wavering(disagreement: Floats) -> Signal:
    """Mirror images of it get other answers."""
    values = np.clip(5 * disagreement, 0, 1)
    return Signal(0.7, values, values > 0.3, lambda row: "Answered otherwise in a mirror")


def stray(table: Table, groups: Ints) -> Signal:
    """A region much smaller than the largest of its class."""
    share = np.ones(len(table))
    for group in np.unique(groups):
        mine = groups == group
        share[mine] = table.voxels[mine] / table.voxels[mine].max()
    return Signal(4, 1 - share, share < 0.2, lambda row: f"Apart from the rest, {_percent(share[row])} of its size")


def of_slices(seen: Through) -> list[Signal]:
    """The signals of the slices of a volume."""
    mirrored, empty = np.clip(seen.wavering, 0, 1), seen.area == 0
    return [
        Signal(4, seen.doubt * ~empty, seen.doubt * ~empty > 0.25, lambda row: "The model is unsure of much"),
        Signal(4, seen.doubt * empty, empty, lambda row: "Empty, but the model sees something"),
        Signal(0.5, seen.jump, seen.jump > 0.5, lambda row: "Jumps from the slices beside it"),
        Signal(0.5, mirrored, mirrored > 0.5, lambda row: "Answered otherwise in a mirror"),
    ]


def _count(n: int) -> str:
    return _COUNTS[n] if n < len(_COUNTS) else str(n)


def _larger(times: float) -> str:
    n = int(times)
    if n == 2:
        return "Twice as large as most"
    return f"{_count(n).capitalize()} times as large as most" if n <= 10 else "Over ten times as large as most"


def _smaller(times: float) -> str:
    n = int(times)
    if n > 10:
        return "Less than a tenth of the size of most"
    return f"{_SHARES[n].capitalize()} {'of ' if n > 2 else ''}the size of most"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "under 1%"
