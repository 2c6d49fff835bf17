"""Cross-validation by group: as many models as folds, each scored only on what it did not learn, kept as an ensemble.

1. Groups (patients, examinations, images) are dealt out into folds of about the same size; none is divided.
2. One plan is made from all cases, so that the models fit each other; it sees sizes and spacings, the network of a fold
   sees nothing of the fold's cases. Each network is trained on the other folds for the same number of steps and the
   last weights are kept: nothing that it is scored on has chosen them.
3. Each case is scored by the network that did not learn from it, with decoding settings that the other folds chose.
4. The ensemble of all networks gets the settings that do best over all folds.

What is finished lies in a folder beside the model and is taken up by ``resume``.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.errors import SegError
from napari_seg.evaluation.counted import ap_of, dice_of_classes, hits_of
from napari_seg.evaluation.metrics import THRESHOLDS
from napari_seg.files import written
from napari_seg.inference.backend import Device, Runner, choose_device
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.ensemble import ensemble
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.spec import Spec
from napari_seg.training.cases import Lesson, find_cases
from napari_seg.training.course import event, pace_of, refuse_changes, timing
from napari_seg.training.memory import forget
from napari_seg.training.place import placed
from napari_seg.training.plan import TrainSpec, plan
from napari_seg.training.reading import look_at, refuse_one_sided, take_in
from napari_seg.training.sample import Sample
from napari_seg.training.test_set import refuse
from napari_seg.training.train import settings_of
from napari_seg.training.trainer import Settings, Trainer, digest
from napari_seg.training.validation import scores_of, spacing_of

Figures = Mapping[str, float | None]
"""What a mask is worth, by class or by metric; ``None`` where there was nothing to measure."""

STORED = 10
"""So often the state of a training is put by."""

NOTE = "folds.json"


class Fold(Spec):
    """``figures``: by class (or by metric of objects), the mean over the cases of the fold that have it."""

    learned_from: int
    scored_on: int
    figures: dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Folded:
    """The ensemble, and what each of its members is worth on the cases that it did not learn from."""

    model: Model
    folds: tuple[Fold, ...]
    steps: int

    def table(self) -> list[tuple[str, tuple[float | None, ...], float | None, float | None]]:
        """For each figure: its name, its value in each fold, their mean, and their standard deviation."""
        names = list(dict.fromkeys(name for fold in self.folds for name in fold.figures))
        rows = []
        for name in names:
            values = tuple(fold.figures.get(name) for fold in self.folds)
            known = [value for value in values if value is not None]
            rows.append((name, values, fmean(known) if known else None, stdev(known) if len(known) > 1 else None))
        return rows


@job
@placed
def folds(
    data: str | Path | Sequence[Lesson], spec: TrainSpec, count: int, *, save_to: str | Path, resume: bool = False
) -> Steps[Folded]:
    """Train ``count`` models and keep them as an ensemble under ``save_to``.

    ``spec.minutes`` is the time for all folds together, ``spec.steps`` the steps of each. Whether cases are marked for
    training or validation makes no difference. Raises ``SegError`` for fewer groups than folds.
    """
    TrainSpec.refuse_other(spec)
    save_to = Path(save_to)
    before = stopped_folds(save_to, spec, count) if resume else None
    cases = find_cases(data) if isinstance(data, str | Path) else tuple(data)
    dealt = deal(cases, count, spec.seed)
    yield from refuse(cases)
    began = time.perf_counter()
    facts = yield from look_at(cases, spec, total=2 * len(cases))
    model = plan(facts, spec)
    taken = yield from take_in(cases, model, total=2 * len(cases))
    bench = _Bench(model, spec, [[s for k in fold for s in taken[k]] for fold in dealt], save_to)
    for number in range(count):
        refuse_one_sided(bench.learned(number))
    total = yield from bench.begin(60 * spec.minutes - (time.perf_counter() - began), before)
    networks, by_case = list[Model](), dict[int, list[Figures]]()
    for number, fold in enumerate(dealt):
        networks.append((yield from bench.trained(number, total)))
        for case in fold:
            at = Progress(total * (number + 1), total * count, f"scoring fold {number + 1}", {"phase": "score"})
            by_case[case] = yield from _figures_of(networks[-1], taken[case], bench.device, at)
    figures = np.array([[_figure(one) for one in by_case[case]] for case in range(len(cases))])
    chosen = [_best(figures, [case for other in dealt if other is not fold for case in other]) for fold in dealt]
    found = tuple(
        Fold(
            learned_from=len(cases) - len(fold),
            scored_on=len(fold),
            figures=_means([by_case[case][variant] for case in fold]),
        )
        for fold, variant in zip(dealt, chosen, strict=True)
    )
    joined = ensemble(networks)
    folded = Folded(joined, found, total)
    best = _best(figures, range(len(cases)))
    described = _described(joined.spec, folded, bench, best)
    folded = replace(folded, model=replace(joined, spec=described))
    folded.model.save(save_to)
    forget(save_to)
    shutil.rmtree(bench.folder, ignore_errors=True)
    return replace(folded, model=Model.load(save_to))


def stopped_folds(save_to: Path, spec: TrainSpec, count: int) -> Mapping[str, Any]:
    """What folds that were stopped wrote down. Raises ``SegError`` where there are none, or they were others."""
    folder = _folder(save_to)
    try:
        note: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        before, _ = {**note["training"], "folds": len(note["images"])}, int(note["steps"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SegError(f"There are no stopped folds {folder}; start anew without resuming.") from None
    now = {**json.loads(spec.to_json()), "folds": count}
    refuse_changes(before, now, "The training that was stopped", f"delete {folder} and start anew")
    return note


def _folder(save_to: Path) -> Path:
    return save_to.with_name(f"{save_to.name}.folds")


def deal(cases: Sequence[Lesson], count: int, seed: int) -> list[list[int]]:
    """The numbers of the cases of each fold. Groups stay whole; the same for the same names, groups and seed.

    Raises ``SegError`` for fewer groups than folds.
    """
    groups: dict[str, list[int]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(case.patient or case.group, []).append(number)
    if not isinstance(count, int | np.integer):
        raise SegError(f"{count} is no number of folds; give a whole number.")
    if count < 2 or len(groups) < count:
        most = f"choose 2 to {len(groups)}" if len(groups) > 1 else "add images of others"
        raise SegError(f"{count} folds of {len(groups)} groups (patients or images) cannot be made; {most}.")
    order = [sorted(groups)[k] for k in np.random.default_rng(seed).permutation(len(groups))]
    dealt: list[list[int]] = [[] for _ in range(count)]
    for group in sorted(order, key=lambda name: -len(groups[name])):  # large groups first, to where least lies
        min(dealt, key=len).extend(groups[group])
    return [sorted(fold) for fold in dealt]


class _Bench:
    """Trains the network of each fold, and keeps what is finished in a folder beside the model."""

    def __init__(self, model: ModelSpec, spec: TrainSpec, parts: Sequence[Sequence[Sample]], save_to: Path) -> None:
        self.model, self.spec, self.parts = model, spec, parts
        self.folder = _folder(save_to)
        self.device = choose_device(spec.device, spec.precision)

    def learned(self, number: int) -> list[Sample]:
        """What the network of a fold learns from."""
        return [sample for k, part in enumerate(self.parts) if k != number for sample in part]

    def begin(self, seconds: float, before: Mapping[str, Any] | None) -> Steps[int]:
        """How many steps each fold gets, in ``seconds`` for all of them; what an earlier run left is thrown away, or
        taken up where there is what it wrote down ``before``."""
        note = self.folder / NOTE
        images = [digest(part) for part in self.parts]
        if before is not None:
            if before["images"] != images:
                raise SegError(
                    f"The stopped folds were of other images; resume with the same ones or delete {self.folder}."
                )
            return int(before["steps"])
        if note.exists():
            raise SegError(f"Folds that were stopped lie in {self.folder}; resume them, or delete that folder first.")
        shutil.rmtree(self.folder, ignore_errors=True)
        total = self.spec.steps or (yield from self._timed(seconds))
        with written(self.folder) as aside:  # never without the note
            aside.mkdir(parents=True)
            (aside / NOTE).write_text(
                json.dumps({"training": json.loads(self.spec.to_json()), "images": images, "steps": total}),
                encoding="utf-8",
            )
        return total

    def _timed(self, seconds: float) -> Steps[int]:
        pace = yield from pace_of(self.trainer(0, 10**6))
        began = time.perf_counter()
        network = self._first(0)
        scored = max(self.parts[0], key=lambda sample: math.prod(sample.grid))
        yield from _figures_of(network, [scored], self.device, timing("the scoring of an image"))
        pixels = sum(math.prod(sample.grid) for part in self.parts for sample in part)
        scoring = (time.perf_counter() - began) * pixels / math.prod(scored.grid)
        return max(1, int((seconds - scoring) / (pace * len(self.parts))))

    def trained(self, number: int, total: int) -> Steps[Model]:
        """The network of a fold, trained on all others."""
        path, state = (self.folder / f"fold{number + 1}{suffix}" for suffix in (".safetensors", ".resume"))
        if path.exists():
            return Model.load(path)
        trainer, fold = self.trainer(number, total), f"fold {number + 1} of {len(self.parts)}"
        if state.exists():
            trainer.resume(state)
        while trainer.step < total:
            loss = trainer.advance()
            detail = {"phase": "train", "step": trainer.step, "loss": loss, "fold": number + 1}
            if trainer.step % max(1, total // STORED) == 0:
                trainer.store(state, {})
            at = total * number + trainer.step
            yield Progress(at, total * len(self.parts), f"{fold}, loss {loss:.3f}", detail)
        Model(self.model, trainer.averaged()).save(path)
        state.unlink(missing_ok=True)
        return Model.load(path)  # with the weights as the file holds them

    def trainer(self, number: int, total: int) -> Trainer:
        return Trainer(self._first(number), self.learned(number), self.settings(number), total)

    def settings(self, number: int) -> Settings:
        spec = self.spec.model_copy(update={"seed": self.spec.seed + number})
        return settings_of(self.model, spec, self.learned(number))

    def _first(self, number: int) -> Model:
        return Model.create(self.model, seed=self.spec.seed + number)


def _figures_of(model: Model, taken: Sequence[Sample], device: Device, at: Progress) -> Steps[list[Figures]]:
    """For each of the task's variants what it is worth on a case: its slices and time points are counted together.

    Yields ``at`` all the while.
    """
    spec, task = model.spec, model.spec.task
    runner = Runner(model.network, task, device, ndim=spec.network.ndim)
    counts = [np.zeros(1 + len(THRESHOLDS)) for _ in task.variants()]
    pieces = []
    for sample in taken:
        scores = yield from scores_of(runner, spec, sample, at)
        for k, labels in enumerate(task.decode_variants(scores, spacing_of(spec))):
            if task.kind == "instance":
                counts[k] += hits_of((sample.labels, labels, sample.mask))
            else:
                pieces.append((sample.labels, labels, sample.mask))
            yield at
    if task.kind == "instance":
        return [_of_objects(counted) for counted in counts]
    dice = dice_of_classes(pieces, len(task.names), planes=bool(task.planes))
    return [{f"Dice {name}": dice[k] for k, name in enumerate(task.names, 1)}]


def _of_objects(counts: NDArray[np.float64]) -> Figures:
    """The figures of objects that were counted; where there are none and none was found, there is nothing to tell."""
    ap = ap_of(counts) if counts[0] else None
    return {"AP 0.5": None if ap is None else float(ap[0]), "mean AP": None if ap is None else float(ap.mean())}


def _figure(figures: Figures) -> float:
    """The one figure of a case, by which settings are chosen; not a number where there was nothing to measure."""
    known = [value for name, value in figures.items() if value is not None and name != "AP 0.5"]
    return fmean(known) if known else float("nan")


def _best(figures: NDArray[np.float64], cases: Sequence[int]) -> int:
    """The variant with the best mean over some of the cases; where some find what is not there, others are right."""
    known = figures[list(cases)]
    known = known[~np.isnan(known).all(1)]
    return int(np.argmax(np.nan_to_num(known, nan=1.0).mean(0))) if len(known) else 0


def _means(figures: Sequence[Figures]) -> Figures:
    """The means over the cases that have a figure."""
    names = dict.fromkeys(name for one in figures for name in one)
    known = {name: [value for one in figures if (value := one.get(name)) is not None] for name in names}
    return {name: fmean(values) if values else None for name, values in known.items()}


def _described(spec: ModelSpec, folded: Folded, bench: _Bench, variant: int) -> ModelSpec:
    """The spec of the ensemble, with its decoding settings, figures and history."""
    count = len(folded.folds)
    scores = {f"{name}, {count} folds": mean for name, _, mean, _ in folded.table() if mean is not None}
    made = event(
        f"trained in {count} folds",
        bench.settings(0),
        folded.steps,
        bench.spec.to_json(),
        chain(*bench.parts),
        folds=[fold.model_dump(mode="json") for fold in folded.folds],
    )
    card = spec.card.model_copy(update={"scores": {**spec.card.scores, **scores}})
    changes = {"task": spec.task.variants()[variant], "card": card, "history": (*spec.history, made)}
    return spec.model_copy(update=changes)
