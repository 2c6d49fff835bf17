"""Whether a new model is taken: the old and the new one on corrections that neither learned from, and on samples of the
first training.

The general pattern is: 1. both models predict every unit (an image or a block that was held out), 2. each unit gets
one figure for each model, where labels count, 3. the differences, always of the same unit, decide, 4. unless the
corrections themselves look wrong (see :mod:`~napari_seg.training.doubts`): a model that learned wrong labels well gains
on others that are wrong alike. Then a person decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from napari_seg.evaluation.counted import Piece, ap_at_half, dice_of_classes
from napari_seg.inference.backend import Device, Runner
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.model import Model
from napari_seg.spec import Spec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic
from napari_seg.training.doubts import exchanged, far_from_labels, found_as, incomplete, misplaced
from napari_seg.training.sample import Sample
from napari_seg.training.validation import scores_of, spacing_of
from napari_seg.wording import count_of

UNITS = 5
"""Fewer held-out units decide nothing."""

LOSS = 0.01
"""The new model may lose less than this on the older samples."""

Decision = Literal["better", "worse", "undecided"]


class Unit(Spec):
    """A held-out image or block: the mean Dice of its classes, or the AP of its objects at IoU 0.5, of both models."""

    name: str
    old: float
    new: float

    @property
    def gain(self) -> float:
        return self.new - self.old


class Verdict(Spec):
    """``better``: take the new model. ``worse``: keep the old one. ``undecided``: a person chooses.

    ``sentence`` says which and why. ``gain``: the mean paired gain on the corrections, with its 95 % ``interval``
    (from -1 to 1 where it is unknown). ``loss``: what is lost on the older samples in the mean; 0 where there are none.
    """

    decision: Decision
    sentence: str
    corrections: tuple[Unit, ...] = ()
    older: tuple[Unit, ...] = ()
    gain: float = 0.0
    interval: tuple[float, float] = (-1.0, 1.0)
    loss: float = 0.0


@job
def compare(
    old: Model,
    new: Model,
    corrections: Sequence[Sample],
    older: Sequence[Sample],
    device: Device,
    *,
    learned: Sequence[Sample] = (),
) -> Steps[Verdict]:
    """Compare two models, and say which to keep.

    ``corrections``: held-out samples on the grid of the models; slices of one image are one unit (``Sample.unit``).
    ``older``: samples of the first training that the old model did not learn from (``Memory.check``). ``learned``: the
    corrections that the new model did learn from; only their labels are looked at, for signs that they do not lie where
    the objects are. Scores count only where the samples' masks are; classes that the old model lacks count as 0 for it
    on the corrections and not at all on the older samples.
    ``Progress.detail`` holds ``phase`` ("compare").
    """
    parts = {"corrections": _by_unit(corrections), "older": _by_unit(older)}
    viewed = [
        (model, Runner(model.network, model.spec.task, device, ndim=model.spec.network.ndim)) for model in (old, new)
    ]
    total = sum(map(len, parts.values()))
    found: dict[str, list[Unit]] = {part: [] for part in parts}
    far: dict[str, list[tuple[float, float]]] = {part: [] for part in parts}
    names = old.spec.task.names if old.spec.task.kind == "semantic" else ()
    taken_for = np.zeros((len(names), len(names) + 1), np.int64)
    for part, units in parts.items():
        for (_, name), slices in units.items():
            at = Progress(sum(map(len, found.values())), total, f"comparing on {name}", {"phase": "compare"})
            seen = yield from _looked_at(slices, viewed, at)
            far[part] += seen.far
            if names and part == "corrections":
                for sample, (labels, mask, _) in zip(slices, seen.old, strict=True):
                    taken_for += found_as(labels, mask, sample, len(names))
            task = new.spec.task if part == "corrections" else old.spec.task
            of_old, of_new = figures(task, seen.old, seen.new)
            found[part].append(Unit(name=name, old=of_old, new=of_new))
    yield Progress(total, total, "looking at the corrections", {"phase": "compare"})
    doubt = (
        misplaced([*learned, *corrections], older)
        or exchanged(taken_for, names)
        or incomplete(far["corrections"], far["older"])
    )
    return judge(found["corrections"], found["older"], doubt, judges=len({sample.judge for sample in corrections}))


class _Seen(NamedTuple):
    """What the two models make of one unit, and of what the new one finds how much lies far from labels."""

    old: list[Piece]
    new: list[Piece]
    far: list[tuple[float, float]]


def _looked_at(slices: Sequence[Sample], viewed: Sequence[tuple[Model, Runner]], at: Progress) -> Steps[_Seen]:
    seen = _Seen([], [], [])
    for sample in slices:
        for (model, runner), pieces in zip(viewed, seen[:2], strict=True):
            scores = yield from scores_of(runner, model.spec, sample, at)
            pieces.append((sample.labels, model.spec.task.decode(scores, spacing_of(model.spec)), sample.mask))
            yield at
        seen.far.append(far_from_labels(_inside(model.spec.task, scores), sample))
    return seen


def _inside(task: Semantic | Instance, scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each pixel is part of anything, ``(*grid)``, from the scores of a model."""
    if task.kind == "semantic":
        return np.asarray(scores.max(0) if task.overlapping else 1 - scores[0])
    return np.asarray(scores[0])


def _by_unit(samples: Sequence[Sample]) -> dict[tuple[str, str], list[Sample]]:
    units: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        units.setdefault(sample.unit, []).append(sample)
    return units


def figures(task: Semantic | Instance, old: Sequence[Piece], new: Sequence[Piece]) -> tuple[float, float]:
    """The figures of both models on one unit: the AP of its objects at IoU 0.5, or the mean Dice of those of the task's
    classes that are in the truth or were found by either."""
    if task.kind == "instance":
        return ap_at_half(old), ap_at_half(new)
    of_old, of_new = (dice_of_classes(pieces, len(task.classes), planes=task.overlapping) for pieces in (old, new))
    classes = [k for k in of_old if of_old[k] is not None or of_new[k] is not None]
    if not classes:
        return 1.0, 1.0
    old_mean, new_mean = (fmean(1.0 if (dice := of[k]) is None else dice for k in classes) for of in (of_old, of_new))
    return old_mean, new_mean


def judge(corrections: Sequence[Unit], older: Sequence[Unit], doubt: str = "", *, judges: int | None = None) -> Verdict:
    """The verdict from the figures of both models. With a ``doubt`` about the corrections no new model is taken.
    ``judges``: how many of the corrections are independent, as those of one patient are not."""
    gain, interval = mean_with_interval([unit.gain for unit in corrections])
    loss = -float(np.mean([unit.gain for unit in older])) if older else 0.0
    few = len(corrections) if judges is None else judges
    decision, sentence = _decided(len(corrections), few, len(older), gain, interval, loss, doubt)
    return Verdict(
        decision=decision,
        sentence=sentence,
        corrections=tuple(corrections),
        older=tuple(older),
        gain=gain,
        interval=interval,
        loss=loss,
    )


def _decided(
    held_out: int, judges: int, older: int, gain: float, interval: tuple[float, float], loss: float, doubt: str
) -> tuple[Decision, str]:
    gained = f"on {count_of(held_out, 'held-out correction')} the new one gains {gain:+.3f}"
    if held_out > 1:
        gained += f" (95 %: {interval[0]:+.3f} to {interval[1]:+.3f})"
    lost = f"on {count_of(older, 'older sample')} it {'loses' if loss > 0 else 'gains'} {abs(loss):.3f}"
    if not held_out:
        return (
            "undecided",
            "Undecided: no corrections were held out to compare on; correct more images, or look and choose.",
        )
    if judges < UNITS:
        what = f"fewer than {UNITS}" if judges == held_out else f"those of fewer than {UNITS} patients"
        return "undecided", f"Undecided: {gained}, but {what} prove nothing; look at the masks and choose."
    if gain <= 0:
        return "worse", f"Better keep the old model: {gained}; correct more, or train longer."
    if not older:
        return (
            "undecided",
            f"Undecided: {gained}, but no older samples show what it forgot; look at the masks and choose.",
        )
    if loss >= LOSS:
        why = "it has forgotten, or some corrections are wrong"
        return "worse", f"Better keep the old model: {gained}, but {lost}; {why}."
    if doubt:
        return "undecided", f"Undecided: {gained}, and {lost}, but {doubt}; look at the corrections and choose."
    return "better", f"The new model is taken: {gained}, and {lost}."


def mean_with_interval(gains: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The mean and its 95 % interval by Student's t, within -1 and 1, which is all that is known of fewer than two."""
    if not gains:
        return 0.0, (-1.0, 1.0)
    mean = float(np.mean(gains))
    if len(gains) < 2:
        return mean, (-1.0, 1.0)
    half = float(stdtrit(len(gains) - 1, 0.975) * np.std(gains, ddof=1) / math.sqrt(len(gains)))
    return mean, (max(-1.0, mean - half), min(1.0, mean + half))
