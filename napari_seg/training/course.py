"""The course of a training from its first step to its last: what is measured on the way, what is kept, when it ends.

At every checkpoint the averaged weights are measured on samples that are not learned from. The best so far lie in the
model file (where nothing chooses, the last), and the whole state beside it: the file first, then the state, so that
after a kill between the two the steps since the state before are done again and write the same file.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from reprlib import repr as short
from typing import Any, NamedTuple

import numpy as np

import napari_seg
from napari_seg.errors import SegError
from napari_seg.inference.backend import Device
from napari_seg.jobs import Progress, Steps
from napari_seg.models.file import read_spec, shown
from napari_seg.models.model import Model
from napari_seg.models.shelf import name_of, state_of
from napari_seg.models.spec import IMAGES, Event, ModelSpec
from napari_seg.networks import Ensemble, Network
from napari_seg.training.adopt import LOSS
from napari_seg.training.memory import forget
from napari_seg.training.sample import Sample
from napari_seg.training.trainer import Settings, Trainer, digest, stored
from napari_seg.training.validation import score
from napari_seg.wording import count_of

Measured = dict[str, float]
"""``score``: on what is watched; ``older``: on older samples; either may be missing."""

CHECKPOINTS = 20
GRUDGE = 4.0
"""So many times a loss on older samples counts against a gain on new ones."""

ALLOWED = LOSS / 2
"""So much may be lost on older samples: half of what the verdict allows, for those that are looked at are few."""

LEAST = 0.05
"""What is new has at least this weight, however much is forgotten, and begins with it where that is looked at."""

SLACK = 0.1
"""A later checkpoint is kept if it is worse by no more than this over the root of the number of samples that are
watched: such figures are noisy, and weights settle as the rate falls."""

TIMED_STEPS = 8
FEW = 2
"""So few steps teach a network nothing."""

LATE = 0.9
"""A training is shortened where less than this share of its steps fits into its time."""

TIMING = 0.03
"""Of the time that there is, at most about this share goes into finding out how long a step takes."""


@dataclass(frozen=True, eq=False)
class Material:
    """What a training works with. ``watched``: samples that are measured at each checkpoint, and with them ``minded``:
    older ones, of which nothing should be lost; ``chooses``: whether the best by both is kept, else the last.
    ``afterwards``: how many pixels will be looked at when it is over."""

    learned: Sequence[Sample]
    older: Sequence[Sample] = ()
    watched: Sequence[Sample] = ()
    minded: Sequence[Sample] = ()
    chooses: bool = True
    afterwards: int = 0

    @property
    def digest(self) -> str:
        """Of what is measured: with another one, figures of before say nothing."""
        return digest((*self.watched, *self.minded))

    def measured(self, network: Network | Ensemble, model: ModelSpec, device: Device, at: Progress) -> Steps[Measured]:
        """What a network is worth; yields ``at`` all the while."""
        found = Measured()
        if self.watched:
            found["score"] = yield from score(network, model, self.watched, device, at)
        if self.minded:
            found["older"] = yield from score(network, model, self.minded, device, at)
        return found


@dataclass
class Standing:
    """Where a course stands at a checkpoint: the best figure (:func:`worth`), since how many checkpoints there was no
    better one, the score of the model it began with and that on older samples, and every score by its step."""

    best: float = -math.inf
    waited: int = 0
    before: float | None = None
    older: float | None = None
    scores: tuple[tuple[int, float], ...] = ()


class Length(NamedTuple):
    """How long a course is: its steps, and the seconds that they may take, where it was time that was given."""

    steps: int
    seconds: float = math.inf


def settled(
    first: Model, material: Material, settings: Settings, *, steps: int | None, seconds: float, resumed: Path | None
) -> Steps[Length]:
    """How long the training will be: as many steps as are given, as the stopped one had, or as fit into the time."""
    if resumed is not None:
        return Length(int(stored(state_of(resumed))["total"]))
    return Length(steps) if steps else (yield from _timed(first, material, settings, seconds))


def run_course(
    first: Model,
    kept: Model,
    material: Material,
    settings: Settings,
    length: Length,
    *,
    save_to: Path,
    asked: str,
    images: str = "",
    start: str = "",
    patience: int = 0,
    resume: bool = False,
    standing: Standing | None = None,
    remembered: bool = True,
) -> Steps[Model]:
    """Train ``first``; returns the best model, which ``save_to`` then holds with the spec of ``kept``.

    ``asked``: the settings as JSON, by which a stopped training is known (:func:`refuse_another`), and ``images``: the
    digest of what is learned from, where that may not change when it is resumed; nor may ``start``, the digest of the
    model that it goes on from, empty for new weights. ``standing``: that of ``first``, if that lies in the file
    already (:func:`keep_start`). ``patience``: so many checkpoints without a better figure end it, where figures
    choose; 0 for never. ``remembered``: the samples beside the file are those of this training; else they are of the
    model that is replaced, and go with it. Closing the generator, and Ctrl+C in a step, leave the best model so far
    in the file, before the first checkpoint what there is; a state to go on from lies beside it from the start. Where
    steps take longer than they did when they were timed, because a person works beside it, there are fewer.
    """
    state_file, began = state_of(save_to), time.perf_counter()
    trainer = Trainer(first, material.learned, settings, length.steps, material.older)
    known, standing = material.digest, standing or Standing()
    if resume:
        standing = _taken_up(trainer, state_file, images, known)
    elif standing.older is not None:
        trainer.old_weight = 1 - min(LEAST, 1 - settings.old_share)
    before = trainer.step

    def put_by() -> None:
        trainer.store(
            state_file, {"training": asked, "images": images, "start": start, "measured": known, **asdict(standing)}
        )

    def keep(network: Network | Ensemble) -> None:
        _keep(kept, network, save_to, trainer.step, standing)
        if not remembered:
            forget(save_to)

    if not resume:
        put_by()
    try:
        while trainer.step < trainer.total and not (material.chooses and 0 < patience <= standing.waited):
            loss = trainer.advance()
            detail: dict[str, Any] = {"step": trainer.step, "loss": loss}
            words = f"loss {loss:.3f}"
            if trainer.step in {math.ceil(trainer.total * k / CHECKPOINTS) for k in range(1, CHECKPOINTS + 1)}:
                averaged = trainer.averaged()
                message = f"{words}, looking at the validation cases"
                at = Progress(trainer.step, trainer.total, message, {"phase": "score"})
                found = yield from material.measured(averaged, kept.spec, settings.device, at)
                detail |= found
                trainer.old_weight = _balanced(trainer.old_weight, settings.old_share, standing.older, found)
                better = _count(standing, trainer.step, found, len(material.watched))
                if better or not material.chooses:
                    keep(averaged)
                spent = time.perf_counter() - began
                trainer.total = _in_time(trainer, (trainer.step - before) / spent, length.seconds - spent)
                put_by()
            yield Progress(trainer.step, trainer.total, words, {"phase": "train", **detail})
    except (GeneratorExit, KeyboardInterrupt):
        if not save_to.exists():
            keep(trainer.averaged())
        raise
    return Model.load(save_to)


def _balanced(weight: float, share: float, before: float | None, found: Measured) -> float:
    """How much older samples weigh from now on: more while something of them is forgotten, else less again, down to
    their ``share``."""
    if before is None or "older" not in found:
        return weight
    new = (1 - weight) * (0.5 if found["older"] < before - ALLOWED else 1.25)
    return 1 - min(max(new, min(LEAST, 1 - share)), 1 - share)


def _in_time(trainer: Trainer, pace: float, seconds: float) -> int:
    """How many steps there will be in all, at so many a second: fewer than planned, where these take much longer."""
    fits = trainer.step + pace * max(0.0, seconds)
    return trainer.total if fits > LATE * trainer.total else max(trainer.step, int(fits))


def event(what: str, settings: Settings, total: int, spec: str, samples: Iterable[Sample], **more: Any) -> Event:
    """What the history of a model says of a training. ``spec``: what was asked for, as JSON; ``samples``: all that the
    training looked at, also to choose."""
    return Event(
        what=what,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        details={
            "version": napari_seg.__version__,
            "steps": total,
            "training": json.loads(spec),
            "batch": settings.batch,
            "augmentation": json.loads(settings.augmentation.to_json()),
            "device": settings.device.name,
            "precision": settings.device.precision,
            IMAGES: sorted({sample.shows for sample in samples} - {""}),
            **more,
        },
    )


def named_anew(spec: ModelSpec, save_to: Path) -> ModelSpec:
    """The spec of a model that goes on from another: its own name, and no figures that were those of the other."""
    card = spec.card.model_copy(update={"scores": {}})
    return spec.model_copy(update={"name": name_of(save_to) or spec.name, "card": card})


def with_event(model: Model, made: Event) -> Model:
    return replace(model, spec=model.spec.model_copy(update={"history": (*model.spec.history, made)}))


def told_more(model: Model, more: Mapping[str, Any]) -> Model:
    """The model, with more in its history of what was done last."""
    *before, last = model.spec.history
    last = last.model_copy(update={"details": {**last.details, **more}})
    return replace(model, spec=model.spec.model_copy(update={"history": (*before, last)}))


def worth(found: Measured, older: float | None) -> float:
    """The one figure by which checkpoints are chosen: the score, and what was lost of that on ``older`` samples counts
    many times, as next to nothing may be lost there."""
    score, now = found.get("score"), found.get("older")
    if score is None or now is None or older is None:
        return float(np.mean([*found.values()]))
    return score - GRUDGE * max(0.0, older - now)


def _count(standing: Standing, step: int, found: Measured, watched: int) -> bool:
    """Take a checkpoint into account; whether it is to be kept. One that was not measured is."""
    if not found:
        return True
    figure = worth(found, standing.older)
    better = figure >= standing.best - SLACK / math.sqrt(max(1, watched))
    standing.waited = 0 if figure > standing.best else standing.waited + 1
    standing.best = max(standing.best, figure)
    if "score" in found:
        standing.scores = (*standing.scores, (step, found["score"]))
    return better


def keep_start(kept: Model, path: Path, standing: Standing) -> None:
    """Write the model that a training begins with, so that there is one from the start."""
    _keep(kept, kept.network, path, 0, standing)


def _keep(kept: Model, network: Network | Ensemble, path: Path, step: int, standing: Standing) -> None:
    """Write the model file; its history says after how many steps, and the scores until then."""
    scores = [list(one) for one in standing.scores]
    told_more(replace(kept, network=network), {"kept_at": step, "scores": scores}).save(path)


def refuse_another(save_to: Path, asked: str, start: str = "") -> None:
    """Raises ``SegError`` where beside a model file no training was stopped that had these settings and this ``start``
    (see :func:`run_course`), or the file no longer holds what it kept: it is found out before anything is read."""
    about = stored(state_of(save_to))
    if (began := about.get("start", start)) != start:  # older states do not say it
        if began:
            raise SegError("The stopped training went on from another start; resume with the same one or start anew.")
        raise SegError("The stopped training began without a start; resume without one or start anew.")
    refuse_changes(json.loads(about["training"]), json.loads(asked), "The stopped training", "start anew")
    if about["step"] or about["best"] > -math.inf:
        refuse_other_model(save_to, lambda told: _kept_by(about, told), "The stopped training", "start anew")


def _kept_by(about: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether a stopped training kept the model whose history tells this: with the same settings, and the same scores
    as far as they go (after a kill the model may be ahead of the state)."""
    scores = [score for score in told.get("scores", []) if score[0] <= about["step"]]
    same: bool = told.get("training") == shown(json.loads(about["training"]))
    return same and scores == about["scores"][: len(scores)]


def refuse_other_model(save_to: Path, is_kept: Callable[[Mapping[str, Any]], bool], what: str, instead: str) -> None:
    """Raises ``SegError`` where the model that was kept before a stop was moved away, or another one lies in its place;
    ``is_kept`` tells by the details of the last entry of its history."""
    if not save_to.exists():
        raise SegError(f"{what} kept its model in {save_to}, where it no longer is; put it back or {instead}.")
    history = read_spec(save_to).history
    if not history or not is_kept(history[-1].details):
        raise SegError(f"{what} kept another model in {save_to} than lies there now; put it back or {instead}.")


def refuse_changes(before: Mapping[str, Any], now: Mapping[str, Any], what: str, instead: str) -> None:
    """Raises ``SegError``, with what differs, where what was stopped had other settings than it is to go on with."""
    changes = [
        f"{name} was {_given(before.get(name))} and is {_given(now.get(name))}"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if changes:
        raise SegError(f"{what} had other settings: {', '.join(changes)}; resume with the same ones or {instead}.")


def _given(value: object) -> str:
    return "not given" if value in (None, []) else short(value)


def _taken_up(trainer: Trainer, state_file: Path, images: str, known: str) -> Standing:
    """Go on with a stopped training. If what is measured has changed since, figures of before are forgotten."""
    about = stored(state_file)
    if about.get("images", images) != images:
        raise SegError("The stopped training learned from other images; resume with the same ones or start anew.")
    trainer.resume(state_file)
    if about["measured"] != known:
        return Standing(before=about["before"], older=about["older"])
    scores = tuple((int(step), float(figure)) for step, figure in about["scores"])
    return Standing(about["best"], about["waited"], about["before"], about["older"], scores)


def _timed(first: Model, material: Material, settings: Settings, seconds: float) -> Steps[Length]:
    """How many steps fit into the time, measured on a copy that is then thrown away."""
    began = time.perf_counter()
    trainer = Trainer(first, material.learned, settings, 10**6, material.older)
    pace = yield from pace_of(trainer, most=seconds * TIMING)
    checkpoint = 0.0
    if material.watched:
        start = time.perf_counter()
        at = timing("a look at the validation cases")
        yield from material.measured(trainer.averaged(), first.spec, settings.device, at)
        checkpoint = time.perf_counter() - start
    looked = sum(math.prod(sample.grid) for sample in (*material.watched, *material.minded))
    batch = settings.batch * math.prod(first.spec.input.patch)
    a_pixel = checkpoint / looked if looked else pace / batch / 3  # a look goes forward, a step back as well
    left = seconds - (time.perf_counter() - began) - a_pixel * material.afterwards
    return Length(steps_within(left, pace, checkpoint), left)


def steps_within(seconds: float, pace: float, checkpoint: float) -> int:
    """How many steps fit in with their checkpoints: of fewer steps than checkpoints each is followed by one."""
    steps = int((seconds - CHECKPOINTS * checkpoint) / pace)
    return steps if steps >= CHECKPOINTS else min(CHECKPOINTS, max(1, int(seconds / (pace + checkpoint))))


def too_short(steps: int) -> str:
    """What a person should know whose time was enough for so many steps; empty where they are not too few."""
    made = count_of(steps, "step")
    return "" if steps > FEW else f"There was time for {made} only, too few to learn from; give it more minutes."


def pace_of(trainer: Trainer, steps: int = TIMED_STEPS, most: float = math.inf) -> Steps[float]:
    """Seconds that a step takes: the median of so many, after two to warm up; of fewer, where steps are so long that
    the timing takes more than ``most`` seconds."""
    paces: list[float] = []
    for _ in range(2 + steps):
        start = time.perf_counter()
        trainer.advance()
        paces.append(time.perf_counter() - start)
        if len(paces) > 2 and sum(paces) > most:
            break
        yield timing("some steps")
    return float(np.median(paces[2:]))


def timing(what: str) -> Progress:
    """While something is timed nobody knows how long all will take: the bar stands where the training will begin."""
    return Progress(0, 1, f"timing {what}", {"phase": "timing"})
