"""``napari-seg retrain``: a model learns what people corrected, and must earn its place."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_seg.cli.console import figure, put, put_json, put_table, say, say_if_short, watch
from napari_seg.cli.options import (
    Device,
    Json,
    JsonProgress,
    Precision,
    Seed,
    given,
    going_on,
    model_file,
    refuse_clashes,
    typed_name,
    typed_path,
)
from napari_seg.errors import SegError
from napari_seg.jobs import Progress

if TYPE_CHECKING:
    from napari_seg.editing.spoken import Amount
    from napari_seg.session.learning import Taught
    from napari_seg.training.adopt import Verdict


def retrain(
    context: typer.Context,
    sessions: Annotated[
        list[Path],
        typer.Argument(
            parser=typed_path,
            metavar="SESSION...",
            help="A project (its folder or its name), or an image that was corrected.",
        ),
    ],
    minutes: Annotated[float | None, typer.Option(help="How long it may take (default 5).")] = None,
    steps: Annotated[
        int | None, typer.Option(help="How many steps instead: the same steps on as many threads give the same bits.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(parser=typed_name, help="The model to go on from (default: the one whose masks were corrected)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(parser=typed_path, help="The file of the new model (default: a new one among your own models)."),
    ] = None,
    who: Annotated[str, typer.Option(help="Your name, for the history of the model.")] = "",
    groups: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path,
            help="A CSV file with the columns name and group: images of one group (a patient) are never on both sides "
            "of what is held out. Without it, and where a cell is empty, as the session knows it.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = 0,
    json_progress: JsonProgress = False,
    json: Json = False,
) -> None:
    """Teach a model what was corrected, and compare it with what it was. Every model stays; nothing is overwritten."""
    refuse_clashes(minutes, steps, None)
    if resume and output is None:
        raise SegError("--resume goes on with a training that was stopped; name its model with --output.")
    if output is not None:
        model_file(context, output, resume=resume)
    from napari_seg.models import shelf
    from napari_seg.models.zoo import find, shipped
    from napari_seg.session.pupils import at_hand, parent_of, taught_in

    found = [one for named in sessions for one in taught_in(str(named))]
    if not found:
        raise SegError("Nobody has corrected anything there; paint, accept or finish something in the window first.")
    found, left_out = at_hand(found)
    for sentence in left_out:
        say(sentence)
    if groups is not None:
        found = _grouped(found, groups)
    files = [*(one.path for one in shelf.kept()), *shipped().values()]
    parent = find(start) if start is not None else parent_of(found, files)
    settings = given(
        minutes=5.0 if minutes is None and steps is None else minutes,
        steps=steps,
        device=device,
        precision=precision,
        seed=seed,
    )
    began = time.time()
    run = _Run(settings, who, resume, json_progress)
    job = run.from_nothing(found) if parent is None else run.from_model(found, parent)
    named = output is not None
    output = output or shelf.free_path("model" if parent is None else shelf.name_of(parent))
    with going_on(output, resume=resume) if named else _free_again(output):
        verdict = job(output)
    say_if_short(steps, run.made)
    adopted = verdict is not None and verdict.decision == "better"
    if output.parent == shelf.shelf():
        amount = run.amount
        note = {"model": "" if parent is None else str(parent), "words": amount.words, "objects": amount.corrected}
        note["counts"] = "objects" if amount.objects else "slices"
        judged = {} if verdict is None else {"decision": verdict.decision, "scores": _scores(verdict)}
        shelf.put_note(output, began=began, **note, **judged, **({"taken": "new"} if adopted else {}))
        shelf.end_order(output)
    if json:
        put_json(
            {
                "output": str(output),
                "start": None if parent is None else str(parent),
                "adopted": adopted,
                "verdict": None if verdict is None else verdict.model_dump(mode="json"),
                "learned_from": run.amount.words,
                "lessons": [{"name": one.name, **one.about} for one in run.lessons],
                "scores": [{"step": step, "score": score} for step, score in run.scores],
                "seconds": round(time.time() - began, 1),
            }
        )
    else:
        _tell(output, parent, verdict)


@contextmanager
def _free_again(output: Path) -> Iterator[None]:
    """A name that nobody has chosen is taken only by a model that has learned, and where that is stopped it is said."""
    from napari_seg.models.shelf import left_behind

    try:
        yield
    except BaseException as error:
        if left_behind(output):
            words = f"--resume --output {shlex.quote(str(output))}"
            say(f"What it has learned so far is kept in {output}; go on with the same command and {words}.")
        elif isinstance(error, KeyboardInterrupt):
            say("It was stopped before it had learned anything, so no model was made; start it again when you like.")
        raise


def _grouped(found: Sequence[Taught], path: Path) -> list[Taught]:
    """With the groups that a table gives them; where its cell is empty, as the session knows it."""
    from napari_seg.data.formats import stem
    from napari_seg.training.split import read_groups

    marks = {stem(Path(name)): group for name, group in read_groups(path).items()}
    missing = sorted({one.name for one in found} - {*marks})
    if missing:
        raise SegError(f"{path.name} does not name {missing[0]}, which was corrected; add a row for each image.")
    return [replace(one, patient=marks[one.name] or one.patient) for one in found]


class _Run:
    """A training from sessions, watched."""

    def __init__(self, settings: Mapping[str, Any], who: str, resume: bool, json_progress: bool) -> None:
        self.settings, self.who, self.resume = settings, who, resume
        self.lessons: Sequence[Taught] = ()
        self.scores: list[tuple[int, float]] = []
        self.made = 0
        self._json_progress = json_progress

    @property
    def amount(self) -> Amount:
        first, *rest = (one.amount for one in self.lessons)
        return sum(rest, first)

    def from_model(self, found: Sequence[Taught], parent: Path) -> Callable[[Path], Verdict | None]:
        """What makes the new model in a file, and says what it is worth, compared with its parent."""
        from napari_seg.models.file import file_hash
        from napari_seg.models.zoo import load_model, samples_of
        from napari_seg.session.pupils import pupil
        from napari_seg.training.memory import load
        from napari_seg.training.retrain import RetrainSpec, retrain

        model, known_by = load_model(parent), file_hash(parent)
        learning = pupil(model.spec, known_by, found)
        self.lessons = learning.lessons
        spec = RetrainSpec.from_person(
            {**self.settings, "new_classes": learning.new_classes, "channel": learning.channel}
        )
        self._say(model.spec.name, learning.left_out)
        samples = samples_of(parent)
        memory = None if samples is None else load(samples)
        steps = partial(retrain.steps, model, self.lessons, spec, memory=memory, parent=known_by, who=self.who)

        def made(output: Path) -> Verdict | None:
            job = steps(save_to=output, resume=self.resume)
            return watch(job, "Retraining", self._tell, as_json=self._json_progress).verdict

        return made

    def from_nothing(self, found: Sequence[Taught]) -> Callable[[Path], None]:
        """What makes a first model in a file: no model made the masks, so there is none to compare it with."""
        from napari_seg.session.learning import fitting
        from napari_seg.session.pupils import classes_of
        from napari_seg.tasks.instance import Instance
        from napari_seg.tasks.semantic import Semantic
        from napari_seg.training.plan import TrainSpec
        from napari_seg.training.train import train

        first = found[0]
        classes = first.classes or ("object",)
        task = Instance(ndim=len(first.image.grid)) if first.objects else Semantic.from_person({"classes": classes})
        self.lessons = fitting(found, task)
        named = () if first.objects else classes_of(self.lessons)
        spec = TrainSpec.from_person({**self.settings, "task": task.kind, "classes": named})
        self._say("A new model", len({one.key for one in found}) - len(self.lessons))

        def made(output: Path) -> None:
            called = spec.model_copy(update={"name": output.stem})
            job = train.steps(self.lessons, called, save_to=output, resume=self.resume, hold_out=True, who=self.who)
            watch(job, "Training", self._tell, as_json=self._json_progress)

        return made

    def _say(self, name: str, left_out: int) -> None:
        rest = f" {left_out} more with masks of another kind are left out." if left_out else ""
        say(f"{name} learns from {self.amount.words}.{rest}")

    def _tell(self, progress: Progress) -> None:
        self.made = progress.detail.get("step", self.made)
        if "score" in progress.detail:
            self.scores.append((int(progress.detail["step"]), float(progress.detail["score"])))
            if not self._json_progress:
                say(f"step {self.scores[-1][0]}: {self.scores[-1][1]:.3f} on what was held out")


def _scores(verdict: Verdict) -> list[list[float]]:
    return [[unit.old, unit.new] for unit in verdict.corrections]


def _tell(output: Path, parent: Path | None, verdict: Verdict | None) -> None:
    """What became of it, in words."""
    if verdict is None:
        put(f"{output} is trained; there was no model to compare it with." if parent is None else f"{output} is made.")
        return
    rows = [("correction", unit.name, unit.old, unit.new) for unit in verdict.corrections]
    if verdict.older:
        means = [fmean(values) for values in zip(*((unit.old, unit.new) for unit in verdict.older), strict=True)]
        rows.append(("earlier", f"mean of {len(verdict.older)}", means[0], means[1]))
    if rows:
        put_table(
            ("held out", "image", "old", "new"), [(what, name, figure(a), figure(b)) for what, name, a, b in rows]
        )
    put(verdict.sentence)
    assert parent is not None
    old = parent.name.removesuffix(output.suffix)
    put(
        {
            "better": f"The new model is adopted: {output}.",
            "worse": f"The new model is not adopted; go on with {old}. It is kept in {output}.",
            "undecided": f"The new model is not adopted by itself: you choose between {old} and {output}.",
        }[verdict.decision]
    )
