"""What is held out of the corrections, so that a new model can be measured on what it did not learn from.

Whole groups (patients, images) where there are several; else blocks of the one image, and with them the pixels just
around them. Whether a unit is held out hangs on the hash of its name alone: it stays held out in every later round,
whatever is corrected besides, so that no model is ever measured on what one before it has learned.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.training.sample import Sample, around_mask

SHARE = 0.2
MOST = 1 / 3
"""Of all units at most this share is held out, whatever the hashes say."""

JUDGES = 5
"""So many units must judge a model before any may be spared to choose among its checkpoints."""

_BLOCKS, _SIDE, _GAP, _AROUND = {2: 5, 3: 3}, {2: 40, 3: 10}, {2: 8, 3: 2}, {2: 64, 3: 16}
"""By dimensions: the most blocks along an axis, their smallest side, the gap to what is learned, and how much around a
held-out block is kept to be seen; in pixels of the network's grid."""


def divided(
    samples: Sequence[Sample], share: float = SHARE, seed: int = 0
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Samples to learn from and samples that are held out.

    Whole groups where at least two have something that counts, else blocks of the image. Where there are not two
    blocks either, nothing is held out.
    """
    counting = [sample for sample in samples if sample.mask is None or sample.mask.any()]
    groups = {sample.unit[0] for sample in counting}
    if len(groups) > 1:
        taken = _taken(groups, share, seed)
        held_out = tuple(_seen(sample) for sample in counting if sample.unit[0] in taken)
        return tuple(sample for sample in counting if sample.unit[0] not in taken), held_out
    return _by_blocks(counting, share, seed)


def apart(held_out: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Those of the held-out samples that choose among the checkpoints of a training, and those that judge its result.

    With enough units they are different ones, half and half: the best of many checkpoints looks better than it is on
    what it was chosen by. With ``JUDGES`` or a few more all judge and none chooses. With fewer nothing can be proved
    anyway, and all do both. No group is on both sides.
    """
    units = {sample.unit for sample in held_out}
    if len(units) < JUDGES:
        return tuple(held_out), tuple(held_out)
    choosing = sorted({group for group, _ in units}, key=_hash)[1::2]
    if len(units) < 2 * JUDGES or sum(group not in choosing for group, _ in units) < JUDGES:
        choosing = []
    return (
        tuple(sample for sample in held_out if sample.unit[0] in choosing),
        tuple(sample for sample in held_out if sample.unit[0] not in choosing),
    )


def _taken(names: set[str], share: float, seed: int) -> set[str]:
    """Which units are held out: those whose hash lies under ``share``, the lowest if none does."""
    order = sorted(names, key=lambda name: _hash(f"{seed} {name}"))
    under = sum(_hash(f"{seed} {name}") < share for name in order)
    return set(order[: min(max(under, 1), max(1, math.floor(MOST * len(order))), len(order) - 1)])


def _by_blocks(samples: Sequence[Sample], share: float, seed: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    boxes = {key: box for sample in samples for key, box in _blocks(sample) if _holds(sample, box)}
    taken = _taken(set(boxes), share, seed) if len(boxes) > 1 else set[str]()
    learned, held_out = [], []
    for sample in samples:
        mask = np.ones(sample.grid, bool) if sample.mask is None else sample.mask.copy()
        for key, box in _blocks(sample):
            if key not in taken:
                continue
            inside = np.zeros(sample.grid, bool)
            inside[box] = mask[box] if sample.mask is None else sample.mask[box]
            if inside.any():
                held_out.append(_seen(replace(sample, mask=inside, name=f"{sample.name}, block {key}")))
        for key, box in _blocks(sample):
            if key in taken:
                gap = _GAP[len(box)]
                mask[tuple(slice(max(0, part.start - gap), part.stop + gap) for part in box)] = False
        if mask.any():
            learned.append(replace(sample, mask=mask) if taken else sample)
    if not learned:
        return tuple(samples), ()
    return tuple(learned), tuple(held_out)


def _blocks(sample: Sample) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """The blocks of a grid, by numbers that depend on its size alone."""
    ndim = len(sample.grid)
    counts = [min(_BLOCKS[ndim], max(1, n // _SIDE[ndim])) for n in sample.grid]
    ends = [[round(k * n / count) for k in range(count + 1)] for n, count in zip(sample.grid, counts, strict=True)]
    for place in itertools.product(*(range(count) for count in counts)):
        yield (
            "-".join(str(k + 1) for k in place),
            tuple(slice(axis[k], axis[k + 1]) for axis, k in zip(ends, place, strict=True)),
        )


def _holds(sample: Sample, box: tuple[slice, ...]) -> bool:
    """Whether there is something in a block that counts, or much that does."""
    counts: NDArray[np.bool_] = np.ones(sample.grid, bool)[box] if sample.mask is None else sample.mask[box]
    here: Any = (..., *box)
    return bool((sample.labels[here] * counts).any()) or bool(counts.mean() > 0.5)


def _seen(sample: Sample) -> Sample:
    """A held-out sample with no more around it than it takes to judge what is found in it."""
    ndim = len(sample.grid)
    return around_mask(sample, (_AROUND[ndim],) * ndim)


def _hash(name: str) -> float:
    """A number in 0..1."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
