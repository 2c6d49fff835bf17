"""What is held out of the corrections, so that a new model can be measured on what it did not learn from.

Whole patients or groups (images) where there are several; else blocks of the one image, and with them the pixels just
around them. What a model or one before it learned from (:class:`~napari_seg.training.division.Division`) is never held
out, so that none is ever measured on what it knows; what was held out stays so, whatever is corrected besides. Which of
those that are new are held out hangs on the hashes of their names.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from napari_seg.training.division import NOTHING, Division
from napari_seg.training.sample import Sample, around_mask

SHARE = 0.2
"""Of all units, one at the least."""

JUDGES = 5
"""So many units must judge a model before any may be spared to choose among its checkpoints."""

_BLOCKS, _SIDE, _GAP, _AROUND = {2: 5, 3: 3}, {2: 40, 3: 10}, {2: 8, 3: 2}, {2: 64, 3: 16}
"""By dimensions: the most blocks along an axis, their smallest side, the gap to what is learned, and how much around a
held-out block is kept to be seen; in pixels of the network's grid."""


class Divided(NamedTuple):
    """Samples to learn from, samples that are held out, and what is known of all units from then on."""

    learned: tuple[Sample, ...]
    held_out: tuple[Sample, ...]
    division: Division


class _Names(NamedTuple):
    """Of what is learned from, and of what is held out: patients, groups, and blocks of those that are divided."""

    learned: set[str]
    held_out: set[str]


def divided(
    samples: Sequence[Sample], before: Division = NOTHING, *, wanted: Collection[int] = (), seed: int = 0
) -> Divided:
    """Hold a part of the samples out: whole patients where at least two have something that counts, else whole groups,
    else blocks.

    ``before``: what is known of units already. ``wanted``: the numbers of classes that must be learned: a held-out unit
    that alone has one is given back. Where there are not two blocks, nothing is held out.
    """
    counting = [sample for sample in samples if sample.mask is None or sample.mask.any()]
    now = _named(counting, before, seed)
    learned, held_out = _parts(counting, now.held_out)
    if not learned:  # what is held out and the gap around it would leave nothing
        now, learned, held_out = _Names(now.learned | now.held_out, set()), tuple(counting), ()
    for number in wanted:
        having = [sample for sample in held_out if sample.holds(number)]
        if having and not any(sample.holds(number) for sample in learned):
            block = ", ".join(having[0].unit)
            back = block if block in now.held_out else having[0].unit[0]
            return divided(samples, before.after([back], ()), wanted=wanted, seed=seed)
    patients = {sample.whole for sample in learned if sample.patient}
    return Divided(learned, held_out, before.after(now.learned | patients, now.held_out))


def apart(held_out: Sequence[Sample]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Those of the held-out samples that choose among the checkpoints of a training, and those that judge its result.

    With enough units they are different ones, half and half: the best of many checkpoints looks better than it is on
    what it was chosen by. With ``JUDGES`` or a few more all judge and none chooses. With fewer nothing can be proved
    anyway, and all do both. No patient is on both sides.
    """
    units = {sample.judge: sample.whole for sample in held_out}
    if len(units) < JUDGES:
        return tuple(held_out), tuple(held_out)
    choosing = sorted({*units.values()}, key=_hash)[1::2]
    if len(units) < 2 * JUDGES or sum(whole not in choosing for whole in units.values()) < JUDGES:
        choosing = []
    return (
        tuple(sample for sample in held_out if sample.whole in choosing),
        tuple(sample for sample in held_out if sample.whole not in choosing),
    )


def _named(counting: Sequence[Sample], before: Division, seed: int) -> _Names:
    """What is learned from and what is held out."""
    groups: dict[str, list[Sample]] = {}
    patients: dict[str, set[str]] = {}
    for sample in counting:
        groups.setdefault(sample.unit[0], []).append(sample)
        patients.setdefault(sample.whole, set()).add(sample.unit[0])
    if len(groups) < 2:
        return _named_blocks(counting, before, seed)
    if len(patients) < 2:
        patients = {group: {group} for group in groups}
    blocks = {
        group: {_block(sample, key) for sample in of for key, _ in _blocks(sample)} for group, of in groups.items()
    }
    otherwise = {group for group, of in groups.items() if _learned_otherwise(of, before)}
    learned = {
        whole
        for whole, own in patients.items()
        if own & otherwise or before.learned_any({whole, *own}.union(*(blocks[group] for group in own)))
    }
    held_out = {whole for whole, own in patients.items() if before.held_out_any({whole, *own})}
    taken = _taken({*patients}, learned, held_out, seed)
    now = _Names(set(), set())
    for whole, own in patients.items():
        inner = {block for group in own for block in blocks[group] if before.held_out_any({block})}
        if whole in taken:
            now.held_out.update({whole, *own})
        elif inner and len(own) == 1 and not before.learned_any({whole, *own}):
            now.held_out.update(inner)  # it was alone once, and goes on as it was divided then
            now.learned.update(*(blocks[group] - inner for group in own))
        else:
            now.learned.update({whole, *own})
    return now


def _named_blocks(samples: Sequence[Sample], before: Division, seed: int) -> _Names:
    """The same of the blocks of one group."""
    units: dict[str, set[str]] = {}
    holding, spoken = set[str](), set[str]()
    for sample in samples:
        for key, box in _blocks(sample):
            units.setdefault(key, set()).add(_block(sample, key))
            if _holds(sample, box):
                holding.add(key)
            if sample.mask is None or sample.mask[box].any():
                spoken.add(_block(sample, key))
    otherwise = _learned_otherwise(samples, before)
    learned = {key for key in holding if otherwise or before.learned_any({samples[0].unit[0], *units[key]})}
    taken = _taken(holding, learned, {key for key in holding if before.held_out_any(units[key])}, seed)
    held_out = {name for key in taken for name in units[key]}
    return _Names(spoken - held_out, held_out)


def _taken(units: set[str], learned: set[str], held_out: set[str], seed: int) -> set[str]:
    """Which units are held out: those that were, if that leaves any, and of those that are new as many as it takes to
    make it ``SHARE`` of all, the ones with the lowest hashes."""
    held_out = held_out - learned if held_out - learned != units else set()
    new = sorted(units - learned - held_out, key=lambda name: _hash(f"hold out {seed} {name}"))
    wanted = min(max(1, round(SHARE * len(units))), len(units) - 1) - len(held_out)
    if learned and not held_out and len(new) < 2:
        wanted = 0
    return held_out.union(new[: max(0, wanted)])


def _parts(samples: Sequence[Sample], taken: Collection[str]) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Samples to learn from, and those of the groups and blocks that are ``taken`` out."""
    learned, held_out = [], []
    for sample in samples:
        boxes = {key: box for key, box in _blocks(sample) if _block(sample, key) in taken}
        if sample.unit[0] in taken:
            held_out.append(_seen(sample))
        elif not boxes:
            learned.append(sample)
        else:
            left = sample.counts.copy()
            for key, box in boxes.items():
                inside = np.zeros(sample.grid, bool)
                inside[box] = sample.counts[box]
                name, gap = f"{sample.name}, block {key}", _GAP[len(box)]
                if inside.any():
                    held_out.append(_seen(replace(sample, mask=inside, name=name, group=sample.unit[0])))
                left[tuple(slice(max(0, part.start - gap), part.stop + gap) for part in box)] = False
            if left.any():
                learned.append(replace(sample, mask=left))
    return tuple(learned), tuple(held_out)


def _block(sample: Sample, key: str) -> str:
    """The name of a block: that of the unit that it becomes when it is held out."""
    return f"{', '.join(sample.unit)}, block {key}"


def _learned_otherwise(samples: Sequence[Sample], before: Division) -> bool:
    """Whether some were learned from in other blocks, as where they were seen on another grid: what was learned then
    cannot be told from what was not."""
    of_units = {(sample.unit, sample.grid): sample for sample in samples}.values()
    return any(before.learned_any(_other_blocks(sample)) for sample in of_units)


def _other_blocks(sample: Sample) -> Iterator[str]:
    """The names of all blocks of a sample if it were divided otherwise."""
    ndim, own = len(sample.grid), _counts(sample)
    for counts in itertools.product(range(1, _BLOCKS[ndim] + 1), repeat=ndim):
        if counts != own:
            yield from (_block(sample, _key(place, counts)) for place in itertools.product(*map(range, counts)))


def _counts(sample: Sample) -> tuple[int, ...]:
    ndim = len(sample.grid)
    return tuple(min(_BLOCKS[ndim], max(1, n // _SIDE[ndim])) for n in sample.grid)


def _key(place: Sequence[int], counts: Sequence[int]) -> str:
    return f"{'-'.join(str(k + 1) for k in place)} of {'x'.join(map(str, counts))}"


def _blocks(sample: Sample) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """The blocks of a grid, by numbers that depend on its size alone."""
    counts = _counts(sample)
    ends = [[round(k * n / count) for k in range(count + 1)] for n, count in zip(sample.grid, counts, strict=True)]
    for place in itertools.product(*(range(count) for count in counts)):
        yield (
            _key(place, counts),
            tuple(slice(axis[k], axis[k + 1]) for axis, k in zip(ends, place, strict=True)),
        )


def _holds(sample: Sample, box: tuple[slice, ...]) -> bool:
    """Whether there is something in a block that counts, or much that does."""
    counts = sample.counts[box]
    here: Any = (..., *box)
    return bool((sample.labels[here] * counts).any()) or bool(counts.mean() > 0.5)


def _seen(sample: Sample) -> Sample:
    """A held-out sample with no more around it than it takes to judge what is found in it."""
    ndim = len(sample.grid)
    return around_mask(sample, (_AROUND[ndim],) * ndim)


def _hash(name: str) -> float:
    """A number in 0..1."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
