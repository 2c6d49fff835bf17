"""Go on from a model with what people have corrected, in minutes, without forgetting what it knew.

The general pattern is: 1. bring the lessons to the model's grid, as a prediction would, and hold a part of them out,
2. train as ever (:mod:`~napari_seg.training.course`), but at a lower learning rate, and with most of each batch from
the stored samples of the earlier training, 3. compare the new model with the old one on what was held out and on older
samples: it must earn its place.

The held-out units that choose among the checkpoints are not those that judge the result, if there are enough of both
(:func:`~napari_seg.training.holding_out.apart`). From the start there is a model in the file: the old one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from pydantic import Field

from napari_seg.choices import DeviceName, LossKind, PrecisionName
from napari_seg.errors import SegError
from napari_seg.inference.backend import choose_device
from napari_seg.inference.channels import ChannelChoice
from napari_seg.jobs import Progress, Steps, job, within
from napari_seg.models.ensemble import first_of
from napari_seg.models.file import read_spec
from napari_seg.models.model import Model
from napari_seg.models.shelf import state_of
from napari_seg.models.spec import ModelSpec
from napari_seg.models.zoo import refuse_unloaded
from napari_seg.spec import Spec
from napari_seg.tasks.base import ClassNames
from napari_seg.training.adopt import Verdict, compare
from napari_seg.training.augment import Augmentation
from napari_seg.training.blending import LOOKS, unforgetful
from napari_seg.training.cases import Lesson
from napari_seg.training.course import (
    Material,
    Standing,
    event,
    keep_start,
    named_anew,
    refuse_another,
    run_course,
    settled,
    told_more,
    with_event,
    worth,
)
from napari_seg.training.growing import silent_on_new, with_classes
from napari_seg.training.holding_out import JUDGES, apart, divided
from napari_seg.training.memory import Memory, beside, check_fits, division_of, remember, without
from napari_seg.training.place import placed
from napari_seg.training.plan import TrainSpec, augmentation, batch_size
from napari_seg.training.reading import by_split, refuse_one_sided, take_in
from napari_seg.training.sample import Sample
from napari_seg.training.test_set import refuse
from napari_seg.training.trainer import Settings, stored
from napari_seg.training.validation import tuned

T = TypeVar("T")

FAITHFUL = 0.5
"""How much of what is learned from older samples is what the model said of them (see ``Settings.faithful``), where
nothing shows how right it is there; else as much as its score on older samples."""

MINDED = 6
"""So many older samples at most are looked at with each checkpoint; all of them when it is over."""

READ, TRAINED = 0.05, 0.92
"""How far the progress has come when everything is read and the training begins, and when it ends."""


class RetrainSpec(Spec):
    """How a model is retrained. ``minutes`` is everything, reading, held-out scores and the comparison included;
    ``steps``, where given, is taken as it is.

    ``old_share``: of what is learned, from the stored samples of the earlier training, more while these are forgotten.
    ``patience``: so many checkpoints (of 20) without a better held-out score end it early, where held-out units choose
    among the checkpoints; 0 for never.
    ``new_classes`` are added to those of the model. ``channel``: of images with several, as in a prediction.
    """

    minutes: float = Field(5.0, gt=0)
    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    old_share: float = Field(0.8, ge=0, lt=1)
    patience: int = Field(10, ge=0)
    batch: int | None = Field(None, ge=2)
    new_classes: ClassNames = ()
    channel: ChannelChoice = None
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"
    seed: int = Field(0, ge=0)


@dataclass(frozen=True, eq=False)
class Retrained:
    """The new model, what judged it of what was held out, and whether it has earned its place."""

    model: Model
    held_out: tuple[Sample, ...]
    verdict: Verdict | None


@dataclass(frozen=True, eq=False)
class _Parts:
    """What a retraining works with. ``first``: the model it begins with, grown by new classes. ``choosing`` and
    ``judging``: see :func:`~napari_seg.training.holding_out.apart`. Of older samples that the model did not learn from,
    ``minded`` help to choose, ``check`` judges. ``before``: what was remembered, without the images of the lessons, and
    how all units are divided from now on."""

    first: Model
    learned: tuple[Sample, ...]
    choosing: tuple[Sample, ...]
    judging: tuple[Sample, ...]
    older: tuple[Sample, ...]
    minded: tuple[Sample, ...]
    check: tuple[Sample, ...]
    before: Memory


@job
@placed
def retrain(
    start: Model,
    lessons: Sequence[Lesson],
    spec: RetrainSpec,
    *,
    save_to: str | Path,
    memory: Memory | None = None,
    resume: bool = False,
    parent: str = "",
    who: str = "",
) -> Steps[Retrained]:
    """Retrain ``start`` on lessons and compare it with what it was; ``save_to`` then holds the new model. Beside it
    lies from the start a selection of samples for the next time. Of an ensemble the first member goes on; it is
    compared with all.

    ``memory``: samples of the earlier training. ``parent``: the SHA-256 of the file of ``start``, and ``who`` trains,
    for the model's history. ``resume`` goes on with a training that was stopped, from the state beside ``save_to``.
    Closing the generator stops within a step; the best model so far is in the file, before the first checkpoint
    ``start`` itself, and its history says after how many steps it was kept (``kept_at``).

    ``Progress.detail`` holds ``phase`` ("read", "keep", "timing", "train", "score", "blend", "tune", "compare"),
    ``step``, ``loss``, after a checkpoint ``score`` and, where there are enough, ``older``: that on older samples, and
    once ``before``: the score of ``start``. Raises ``SegError`` for images of the independent test set, for lessons
    that do not fit the model, and where there is too little to learn from.
    """
    refuse_unloaded(start)
    RetrainSpec.refuse_other(spec)
    if isinstance(lessons, str | Path):
        words = f"{lessons} is a name and no lessons; load them with find_cases of napari_seg.training.cases"
        raise SegError(f"{words}, or those of a session with lessons of napari_seg.session.learning.")
    began, save_to, asked = time.perf_counter(), Path(save_to), spec.to_json()
    if resume:
        refuse_another(save_to, asked)
        _refuse_other_parent(save_to, start, parent)
    parts = yield from within(_read(start, lessons, spec, memory, save_to if resume else None), 0, READ)
    settings = _settings(parts, spec)
    material = Material(
        parts.learned,
        parts.older,
        parts.choosing or parts.judging,
        parts.minded[:MINDED],
        chooses=bool(parts.choosing),
        afterwards=2 * _pixels((*parts.judging, *parts.check))
        + (LOOKS * _pixels((*parts.choosing, *parts.minded)) if parts.choosing and parts.minded else 0),
    )
    standing = Standing()
    if resume:
        known = stored(state_of(save_to))
        standing = Standing(before=known["before"], older=known["older"])
    elif material.watched:
        at = Progress(0, 1, "looking at what was held out", {"phase": "score"})
        looked = material.measured(parts.first.network, parts.first.spec, settings.device, at)
        found = yield from within(looked, READ, READ)
        older = found.get("older")
        standing = Standing(worth(found, older), before=found["score"], older=older)
    if standing.older is not None:
        settings = replace(settings, faithful=standing.older)
    told = {} if standing.before is None else {"before": standing.before}
    keeping = remember.steps(
        save_to, parts.learned, parts.judging, before=parts.before, patch=parts.first.spec.input.patch
    )
    yield from within(keeping, READ, READ)
    yield Progress(READ, 1, "timing some steps", {"phase": "timing", **told})
    seconds = 60 * spec.minutes - (time.perf_counter() - began)
    lasting = settled(
        parts.first, material, settings, steps=spec.steps, seconds=seconds, resumed=save_to if resume else None
    )
    length = yield from within(lasting, READ, READ)
    made = event(
        "retrained",
        settings,
        length.steps,
        asked,
        (*parts.learned, *parts.choosing, *parts.judging),
        learned_from=len(material.learned),
        validated_on=len(material.watched),
        parent=start.spec.name,
        parent_hash=parent,
        lessons=[dict(one.about) for one in lessons if one.about],
        older_samples=len(parts.older),
        who=who,
        **told,
    )
    kept = with_event(replace(parts.first, spec=_described(parts, save_to)), made)
    if not resume:
        keep_start(kept, save_to, standing)
    course = run_course(
        parts.first,
        kept,
        material,
        settings,
        length,
        save_to=save_to,
        asked=asked,
        patience=spec.patience,
        resume=resume,
        standing=standing,
    )
    model = yield from within(course, READ, TRAINED)
    unblended = "blend" not in model.spec.history[-1].details  # else it was killed after that
    if parts.choosing and parts.minded and unblended:
        seen = replace(material, minded=parts.minded)
        model = yield from within(_blended(parts.first, model, seen, settings), TRAINED, TRAINED)
    chose = {sample.unit for sample in parts.choosing} - {sample.unit for sample in parts.judging}
    if len(chose) >= JUDGES:
        shown = (*parts.choosing, *parts.older[: len(parts.choosing)])  # new settings must suit the old images too
        choice = tuned(model, kept.spec.task, shown, settings.device)
        model = replace(model, spec=(yield from within(choice, TRAINED, TRAINED)))
    comparison = compare.steps(start, model, parts.judging, parts.check, settings.device, learned=parts.learned)
    verdict = yield from within(comparison, TRAINED, 1)
    model = _with_verdict(model, verdict)
    model.save(save_to)
    state_of(save_to).unlink(missing_ok=True)
    return Retrained(model, parts.judging, verdict)


@job
def judged(
    start: Model, new: str | Path, lessons: Sequence[Lesson], spec: RetrainSpec, *, memory: Memory | None = None
) -> Steps[Verdict]:
    """Compare the model of a retraining that was stopped with the one it began with, on what was held out then. The
    history in its file, ``new``, tells the verdict from then on."""
    parts = yield from within(_read(start, lessons, spec, memory, Path(new)), 0, 0.5)
    model, device = Model.load(new), choose_device(spec.device, spec.precision)
    comparison = compare.steps(start, model, parts.judging, parts.check, device, learned=parts.learned)
    verdict = yield from within(comparison, 0.5, 1)
    _with_verdict(model, verdict).save(new)
    return verdict


def _read(
    start: Model, lessons: Sequence[Lesson], spec: RetrainSpec, memory: Memory | None, stopped: Path | None
) -> Steps[_Parts]:
    """Everything that the training and the comparison look at. ``stopped``: the file of a training that began before,
    whose division holds."""
    yield from refuse(lessons)
    first = with_classes(first_of(start), spec.new_classes)
    taken = yield from take_in(lessons, first.spec, total=len(lessons), channel=spec.channel)
    learned, held_out = map(tuple, by_split(lessons, taken))
    before, task, known = memory or Memory(), first.spec.task, len(start.spec.task.classes)
    check_fits(before, start.spec)
    division = division_of(stopped) if stopped and beside(stopped).exists() else before.division
    if held_out:
        division = division.after(*({sample.unit[0] for sample in part} for part in (learned, held_out)))
    else:
        learned, held_out, division = divided(learned, division, wanted=range(known + 1, len(task.classes) + 1))
    before = replace(before.without({sample.unit[0] for sample in (*learned, *held_out)}), division=division)
    before = replace(before, check=without(before.check, {sample.whole for sample in learned}))
    minded, judges = apart(before.check)
    if len(minded) == len(judges) == len(before.check):
        minded = ()  # so few that they should judge alone
    if spec.new_classes:  # nobody has said whether those are in older samples, now or in later rounds
        silent = partial(silent_on_new, overlapping=bool(task.planes))
        before = replace(before, learn=silent(before.learn), check=silent(before.check))
    older = before.learn
    refuse_one_sided(learned, older, dict(enumerate(task.classes[known:], known + 1)))
    return _Parts(first, learned, *apart(held_out), older, minded, judges, before)


def _refuse_other_parent(stopped: Path, start: Model, parent: str) -> None:
    """Raises ``SegError`` where the training that is to go on began with another model, if both are known by hash."""
    told = read_spec(stopped).history[-1].details if stopped.exists() else {}
    if parent and told.get("parent_hash") and parent != told["parent_hash"]:
        raise SegError(
            f"The stopped training began with {told['parent']}, in another file than this {start.spec.name}; start "
            "from that one, or anew."
        )


def _settings(parts: _Parts, spec: RetrainSpec) -> Settings:
    as_ever, known = TrainSpec(batch=spec.batch), parts.first.spec.augmentation
    changes = Augmentation.model_validate(known, extra="ignore") if known else None
    return Settings(
        max(2, batch_size(parts.first.spec, as_ever)),
        changes or augmentation(parts.first.spec, as_ever, parts.learned),
        spec.learning_rate,
        spec.weight_decay,
        spec.seed,
        choose_device(spec.device, spec.precision),
        spec.old_share if parts.older else 0.0,
        FAITHFUL,
        _loss(parts.first.spec),
    )


def _loss(model: ModelSpec) -> LossKind:
    """What the first training made small, if the model's history says so."""
    told = (past.details.get("training") for past in model.history)
    named = [training["loss"] for training in told if isinstance(training, dict) and "loss" in training]
    return next((kind for kind in get_args(LossKind) if kind in named[-1:]), "dice")


def _blended(first: Model, model: Model, material: Material, settings: Settings) -> Steps[Model]:
    model, share = yield from unforgetful(first, model, material, settings.device)
    return told_more(model, {"blend": share})


def _described(parts: _Parts, save_to: Path) -> ModelSpec:
    """The spec of the new model: its own name, and no figures that were those of its parent."""
    spec = parts.first.spec
    seen = spec.input.extent
    if seen:
        grids = [sample.grid for sample in parts.learned if len(sample.grid) == len(seen)]
        seen = tuple(int(n) for n in np.max([seen, *grids], 0))
    return named_anew(spec, save_to).model_copy(update={"input": spec.input.model_copy(update={"extent": seen})})


def _pixels(samples: Sequence[Sample]) -> int:
    return sum(math.prod(sample.grid) for sample in samples)


def _with_verdict(model: Model, verdict: Verdict) -> Model:
    said: dict[str, Any] = {
        "decision": verdict.decision,
        "gain": verdict.gain,
        "interval": list(verdict.interval),
        "loss": verdict.loss,
        "corrections": len(verdict.corrections),
        "older": len(verdict.older),
    }
    return told_more(model, {"verdict": said})
