"""Search for the settings that suit the data, by successive halving (Jamieson & Talwalkar, AISTATS 2016).

1. Some steps of every candidate are timed. All rounds get the same share of the time, and in a round all candidates
   that are left the same: of nine candidates each gets a twenty-seventh in the first round, the best three a ninth each
   in the second, the last one a third. These times become numbers of steps, and are recorded.
2. In each round every candidate that is left goes on with its training, then the moving average of its weights is
   measured on the validation cases, and the best third stays. Its schedule is from the start that of a training to the
   end, so the last one has trained like one that was never in a search.
3. The best weights of all that were measured are the model; decoding settings are chosen last.

With a number of ``steps`` instead of minutes nothing is timed: the last candidate makes so many, the others as many as
it until they are dropped, and the same call gives the same bits. The model's file always holds the best so far; states
lie in a folder beside it and are taken up by ``resume``. The score of the winner has chosen it, so it promises a little
too much: only images that no part of the search has seen can say what the model is worth.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_seg.errors import SegError
from napari_seg.files import written
from napari_seg.inference.backend import Device, choose_device
from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.file import shown
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.networks import Network
from napari_seg.spec import Spec
from napari_seg.training.candidates import Candidate, candidates
from napari_seg.training.cases import Lesson, find_cases
from napari_seg.training.course import event, pace_of, refuse_changes, refuse_other_model, timing
from napari_seg.training.halving import goals, milestones, rounds
from napari_seg.training.memory import forget
from napari_seg.training.place import placed
from napari_seg.training.plan import TrainSpec, plan
from napari_seg.training.reading import by_split, look_at, refuse_one_sided, take_in
from napari_seg.training.sample import Sample
from napari_seg.training.test_set import refuse
from napari_seg.training.train import settings_of
from napari_seg.training.trainer import Settings, Trainer, digest
from napari_seg.training.validation import score, tuned
from napari_seg.wording import count_of

COUNTS = (27, 9, 3)
"""How many candidates there may be: as many as can make :data:`FEWEST` steps in the first round."""

FEWEST = 100
TIMED = 3
SEARCHED = "found by search"
NOTE = "search.json"

LAST_LOOKS = 10
"""How often the last candidate is measured."""


class Tried(Spec):
    """A candidate: what was varied (``augmentation``: the strength), the steps it made, and its best score (``None``
    where it was not measured yet). ``rounds``: in how many it was; ``taken``: its weights are the model."""

    number: int
    network: str
    width: int
    depth: int
    learning_rate: float
    loss: str
    augmentation: float
    steps: int = 0
    rounds: int = 0
    score: float | None = None
    taken: bool = False


@dataclass(frozen=True, eq=False)
class Found:
    """The best model, and all that was tried, the best first. ``note``: what a person should know of it."""

    model: Model
    table: tuple[Tried, ...]
    note: str = ""


@job
@placed
def search(
    data: str | Path | Sequence[Lesson],
    spec: TrainSpec,
    *,
    save_to: str | Path,
    count: int | None = None,
    resume: bool = False,
) -> Steps[Found]:
    """Search within ``spec.minutes``, all included, or until the last candidate has made ``spec.steps``.

    What ``spec`` sets explicitly of network, width, depth, learning rate, loss and augmentation stays as it is.
    ``count``: so many candidates; ``None`` for as many as there is time for. Closing the generator stops at once, with
    the best so far in the file. ``Progress.detail`` holds ``candidate``, ``round``, ``step``, ``loss`` and after a
    measurement ``score``. Raises ``SegError`` where there are no validation cases, or nothing to vary.
    """
    TrainSpec.refuse_other(spec)
    began = time.perf_counter()
    if not isinstance(count, int | np.integer | None):
        raise SegError(f"{count} is no number of candidates; give a whole number.")
    if count is not None and count < 2:
        raise SegError(f"A search needs 2 candidates or more, not {count}; train without a search instead.")
    note = stopped_search(Path(save_to), spec) if resume else None
    lessons = tuple(find_cases(data, task=spec.task)) if isinstance(data, str | Path) else tuple(data)
    yield from refuse(lessons)
    shown = [lesson for lesson in lessons if lesson.split == "train"]
    facts = yield from look_at(shown, spec, total=len(shown) + len(lessons))
    model = plan(facts, spec)
    taken = yield from take_in(lessons, model, total=len(shown) + len(lessons))
    learned, held_out = by_split(lessons, taken)
    if not learned or not held_out:
        raise SegError(
            "A search needs images to learn from and others to measure on; add images, or mark rows of the split with "
            "train and val."
        )
    refuse_one_sided(learned)
    bench = _Bench(learned, held_out, spec, Path(save_to))
    tried = candidates(facts, spec, count or max(COUNTS))
    if note is not None and note.images != bench.images:
        raise SegError(
            f"The stopped search was among other images; resume with the same ones or delete {bench.folder}."
        )
    if note is not None and count is not None and len(tried) != len(note.totals):
        raise SegError(
            f"The stopped search is among {len(note.totals)} candidates, not {count}; resume it with that number, or "
            f"delete {bench.folder} and start anew."
        )
    if note is None:
        if (bench.folder / NOTE).exists():
            raise SegError(f"A search that was stopped lies in {bench.folder}; resume it, or delete that folder first.")
        shutil.rmtree(bench.folder, ignore_errors=True)
        left = 60 * spec.minutes - (time.perf_counter() - began)
        note = yield from bench.divide(tried, count, left)
        with written(bench.folder) as aside:  # never without the note
            aside.mkdir(parents=True)
            (aside / NOTE).write_text(note.to_json(), encoding="utf-8")
    return (yield from _Search(bench, tried[: len(note.totals)], note).steps())


class _Note(Spec):
    """What a search writes down: how many steps each candidate makes if it is never dropped, and what is measured."""

    training: TrainSpec
    images: str
    totals: tuple[int, ...]
    table: tuple[Tried, ...]
    best: float = -1.0


def stopped_search(save_to: Path, spec: TrainSpec) -> _Note:
    """What a search that was stopped wrote down. Raises ``SegError`` where there is none, or it was another."""
    folder = _folder(save_to)
    try:
        note = _Note.from_file((folder / NOTE).read_bytes())
    except (OSError, SegError):
        raise SegError(f"There is no stopped search {folder}; start anew without resuming.") from None
    before, now = (json.loads(one.to_json()) for one in (note.training, spec))
    instead = f"delete {folder} and start anew"
    refuse_changes(before, now, "The stopped search", instead)
    if note.best >= 0:
        refuse_other_model(save_to, lambda told: _identity(note).items() <= told.items(), "The stopped search", instead)
    return note


def _identity(note: _Note) -> dict[str, Any]:
    """What the history of a model says of the search that kept it."""
    searched = shown(json.loads(note.training.to_json()))
    return {"searched": searched, "would_make": list(note.totals), "images": note.images}


def _folder(save_to: Path) -> Path:
    return save_to.with_name(f"{save_to.name}.search")


class _Bench:
    """The samples, the machine, and the folder beside the model."""

    def __init__(self, learned: Sequence[Sample], held_out: Sequence[Sample], spec: TrainSpec, save_to: Path) -> None:
        self.learned, self.held_out, self.spec, self.save_to = learned, held_out, spec, save_to
        self.folder = _folder(save_to)
        self.device: Device = choose_device(spec.device, spec.precision)
        self.images = digest((*learned, *held_out))

    def trainer(self, candidate: Candidate, total: int) -> Trainer:
        first = Model.create(candidate.model, seed=self.spec.seed)
        return Trainer(first, self.learned, self.settings(candidate), total)

    def settings(self, candidate: Candidate) -> Settings:
        settings = settings_of(candidate.model, candidate.spec, self.learned)
        if candidate.strength == 1:
            return settings
        return replace(settings, augmentation=settings.augmentation.times(candidate.strength))

    def divide(self, tried: Sequence[Candidate], count: int | None, seconds: float) -> Steps[_Note]:
        """How many candidates there are, and how many steps each would make to the end."""
        if self.spec.steps is not None:
            fitting = (n for n in COUNTS if milestones(n)[0] * (self.spec.steps or 0) >= FEWEST)
            n = min(count or next(fitting, min(COUNTS)), len(tried))
            totals = [max(self.spec.steps, len(rounds(n)))] * n
        else:
            totals = yield from self._timed(tried, count, seconds)
        table = tuple(Tried(number=k, **tried[k].settings) for k in range(len(totals)))
        return _Note(training=self.spec, images=self.images, totals=tuple(totals), table=table)

    def _timed(self, tried: Sequence[Candidate], count: int | None, seconds: float) -> Steps[list[int]]:
        began = time.perf_counter()
        trainer = self.trainer(tried[0], 10**6)
        pace = yield from pace_of(trainer, TIMED)
        start = time.perf_counter()
        at = timing("a look at the validation cases")
        yield from score(trainer.averaged(), tried[0].model, self.held_out, self.device, at)
        look = time.perf_counter() - start

        def of_last(n: int) -> float:
            """Seconds of training of the last of ``n`` candidates."""
            left = seconds - (time.perf_counter() - began) - (sum(rounds(n)) + LAST_LOOKS) * look
            return left / len(rounds(n)) * sum(1 / k for k in rounds(n))

        enough = (n for n in COUNTS if milestones(n)[0] * of_last(n) >= FEWEST * pace)
        n = min(count or next(enough, min(COUNTS)), len(tried))
        paces = {0: pace}
        for k in range(1, n):
            paces[k] = yield from pace_of(self.trainer(tried[k], 10**6), TIMED)
        last = of_last(n)
        return [max(len(rounds(n)), int(last / one)) for one in paces.values()]

    def state(self, k: int) -> Path:
        """The file with the state of a candidate's training."""
        return self.folder / f"{k}.resume"

    def keep(self, note: _Note) -> None:
        with written(self.folder / NOTE) as aside:
            aside.write_text(note.to_json(), encoding="utf-8")


class _Search:
    """The rounds."""

    def __init__(self, bench: _Bench, tried: Sequence[Candidate], note: _Note) -> None:
        self.bench, self.tried, self.note = bench, tried, note
        self.left = rounds(len(tried))
        self.done = 0.0

    def steps(self) -> Steps[Found]:
        bench, alive = self.bench, list(range(len(self.tried)))
        for number, count in enumerate(self.left):
            alive, dropped = self._ranked(alive, count)
            for k in dropped:
                bench.state(k).unlink(missing_ok=True)
            for k in sorted(alive):
                if self.note.table[k].rounds <= number:
                    yield from self._visit(k, number)
                self.done += 1 / (len(self.left) * count)
        model = Model.load(bench.save_to)
        model = replace(model, spec=(yield from tuned(model, model.spec.task, bench.held_out, bench.device)))
        taken = next(one.number for one in self.note.table if one.taken)
        model = replace(model, spec=self._described(taken, model.spec))
        model.save(bench.save_to)
        shutil.rmtree(bench.folder, ignore_errors=True)
        fewest = min(goals(total, len(self.tried))[1] for total in self.note.totals)
        note = (
            f"In the first round some candidates made {count_of(fewest, 'step')} only, too few to tell "
            "them apart; search longer, or among fewer candidates."
        )
        return Found(model, self._table(), note if fewest < FEWEST else "")

    def _ranked(self, alive: Sequence[int], count: int) -> tuple[list[int], list[int]]:
        """Those that stay and those that are dropped."""
        ranked = sorted(alive, key=lambda k: (-(self.note.table[k].score or 0), k))
        return ranked[:count], ranked[count:]

    def _visit(self, k: int, number: int) -> Steps[None]:
        """One candidate goes on to the end of a round and is measured, the last one several times on its way."""
        bench, candidate = self.bench, self.tried[k]
        state, trainer = bench.state(k), bench.trainer(candidate, self.note.totals[k])
        if state.exists():
            trainer.resume(state)
        first, goal = goals(self.note.totals[k], len(self.tried))[number : number + 2]
        looks = LAST_LOOKS if number == len(self.left) - 1 else 1
        measured = {first + math.ceil((goal - first) * n / looks) for n in range(1, looks + 1)}
        words = f"candidate {k + 1} of {len(self.tried)}, round {number + 1} of {len(self.left)}"
        try:
            while trainer.step < goal:
                loss = trainer.advance()
                detail: dict[str, Any] = {"phase": "train", "candidate": k, "round": number}
                detail |= {"step": trainer.step, "loss": loss}
                share = (trainer.step - first) / (goal - first) / (len(self.left) * self.left[number])
                at = Progress(self.done + share, 1, f"{words}, loss {loss:.3f}", detail)
                if trainer.step in measured:
                    averaged = trainer.averaged()
                    looking = replace(
                        at, message=f"{words}, looking at the validation cases", detail={"phase": "score"}
                    )
                    found = yield from score(averaged, candidate.model, bench.held_out, bench.device, looking)
                    detail["score"] = found
                    if self._measured(k, trainer.step, found):
                        self._save(k, averaged)
                    bench.keep(self.note)
                    trainer.store(state, {})
                yield at
        except (GeneratorExit, KeyboardInterrupt):
            if self.note.best < 0 and not bench.save_to.exists():  # nothing was measured yet, but there is a model
                self._save(k, trainer.averaged())
            raise
        self._change(k, rounds=number + 1)
        bench.keep(self.note)

    def _save(self, k: int, network: Network) -> None:
        Model(self._described(k, self.tried[k].model), network).save(self.bench.save_to)
        forget(self.bench.save_to)

    def _measured(self, k: int, step: int, found: float) -> bool:
        """Write down what was measured of a candidate; whether it is the best so far."""
        self._change(k, steps=step, score=max(found, self.note.table[k].score or 0))
        if found < self.note.best:
            return False
        table = tuple(one.model_copy(update={"taken": one.number == k}) for one in self.note.table)
        self.note = self.note.model_copy(update={"table": table, "best": found})
        return True

    def _change(self, k: int, **changes: Any) -> None:
        table = list(self.note.table)
        table[k] = table[k].model_copy(update=changes)
        self.note = self.note.model_copy(update={"table": tuple(table)})

    def _table(self) -> tuple[Tried, ...]:
        """The best first: what was taken, then those that stayed longest."""
        return tuple(sorted(self.note.table, key=lambda one: (not one.taken, -one.rounds, -(one.score or 0))))

    def _described(self, k: int, model: ModelSpec) -> ModelSpec:
        """The spec of a candidate with an entry of the history that says what was tried, as far as the search is."""
        made = event(
            SEARCHED,
            self.bench.settings(self.tried[k]),
            self.note.table[k].steps,
            self.tried[k].spec.to_json(),
            (*self.bench.learned, *self.bench.held_out),
            learned_from=len(self.bench.learned),
            validated_on=len(self.bench.held_out),
            **_identity(self.note),
            tried=[one.model_dump(mode="json") for one in self._table()],
        )
        earlier = tuple(entry for entry in model.history if entry.what != SEARCHED)
        return model.model_copy(update={"history": (*earlier, made)})
