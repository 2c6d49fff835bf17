"""Images and scores as numbers that can be reckoned with: of any type, and also where some of them are NaN or infinite.

A tool that asks whether a value lies in a range takes them as they are. One that looks for edges takes them
:func:`finite`: what is not known is as the rest of what is looked at, so that nothing is worked out to be NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MOST = 1e15
"""Larger values are taken to be so large: the squares of their differences are still numbers."""


def as_floats(values: Any) -> Floats:
    """Numbers of any type, truth values too; too large ones are infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


def finite(values: Any) -> Floats:
    """The same with the median of those that are known in place of NaN and infinity; 0 where none is."""
    found = as_floats(values)
    known = np.isfinite(found)
    if not known.all():
        found = np.where(known, found, np.median(found[known]) if known.any() else np.float32(0))
    return np.clip(found, -_MOST, _MOST)


def likely(scores: Any) -> Floats:
    """Scores 0..1; what is NaN is as unlikely as can be."""
    return np.clip(np.nan_to_num(as_floats(scores), nan=0.0), 0, 1)
