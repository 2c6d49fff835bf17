"""``napari-seg train``: a model from images and labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_seg.choices import LossKind, NetworkKind
from napari_seg.cli.check import cases_in, checked, known_fixes
from napari_seg.cli.console import figure, put_json, put_table, say, say_if_short, watch
from napari_seg.cli.options import (
    Axes,
    Classes,
    Data,
    Device,
    Fixes,
    HoldOut,
    Json,
    JsonProgress,
    Masks,
    ModelFile,
    Ndim,
    Overwrite,
    Precision,
    Resume,
    Seed,
    SplitTable,
    Task,
    Where,
    given,
    going_on,
    model_file,
    refuse_clashes,
    typed_name,
)
from napari_seg.errors import SegError
from napari_seg.jobs import Progress

if TYPE_CHECKING:
    from napari_seg.training.cases import Lesson
    from napari_seg.training.plan import TrainSpec


def train(
    context: typer.Context,
    data: Data,
    task: Task,
    output: ModelFile,
    network: Annotated[NetworkKind | None, typer.Option(help="Which network (default unet).")] = None,
    ndim: Ndim = None,
    loss: Annotated[
        LossKind | None,
        typer.Option(help="What the training makes small (default dice); tversky and focal help small classes."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="How long to train (default 15), all folds together.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="How many steps instead: the same steps on as many threads give the same bits.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cross-validate in so many folds, and keep their models as an ensemble.")
    ] = None,
    split: SplitTable = None,
    where: Where = None,
    hold_out: HoldOut = None,
    masks: Masks = None,
    axes: Axes = None,
    start: Annotated[
        str | None, typer.Option(parser=typed_name, help="Go on from this model: a name or a file.")
    ] = None,
    resume: Resume = False,
    classes: Classes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    seed: Seed = 0,
    fix: Fixes = None,
    overwrite: Overwrite = False,
    json: Json = False,
    json_progress: JsonProgress = False,
) -> None:
    """Train a model on images and labels within a time budget. Stopped, it keeps its best model so far."""
    refuse_clashes(minutes, steps, split, where=where, hold_out=hold_out)
    if folds and start:
        raise SegError("--folds trains new models, --start goes on from one; give one of them.")
    model_file(context, output, resume=resume, overwrite=overwrite)
    agreed = known_fixes(fix)
    from napari_seg.models.ensemble import first_of
    from napari_seg.models.zoo import find, load_model
    from napari_seg.training.check import Wanted
    from napari_seg.training.course import refuse_another
    from napari_seg.training.folds import stopped_folds
    from napari_seg.training.plan import TrainSpec
    from napari_seg.training.train import train as run

    spec = TrainSpec.from_person(
        given(
            task=task,
            network=network,
            ndim=ndim,
            loss=loss,
            name=output.stem,
            classes=None if classes is None else tuple(classes.split(",")),
            minutes=minutes,
            steps=steps,
            device=device,
            precision=precision,
            seed=seed,
        )
    )
    if start and output.exists() and find(start).samefile(output):
        words = "--start and --output are one file, and the start would be gone before what comes of it is any good"
        raise SegError(f"{words}; choose another name for the new model.")
    beginning = load_model(start) if start else None
    if resume and folds:
        stopped_folds(output, spec, folds)
    elif resume:
        refuse_another(output, spec.to_json(), first_of(beginning).digest if beginning else "")
    cases = cases_in(data, split, where=where, hold_out=hold_out, axes=axes, masks=masks, task=task)
    named = beginning.spec.task.classes if beginning else spec.classes
    channels = beginning.spec.input.channels if beginning else ()
    lessons = checked(cases, Wanted(task, len(named), channels), agreed, as_json=json_progress)
    if folds:
        _cross_validate(lessons, spec, folds, output, resume=resume, json=json, json_progress=json_progress)
        return
    began, scores, made = time.monotonic(), list[tuple[int, float]](), 0

    def tell(progress: Progress) -> None:
        nonlocal made
        made = progress.detail.get("step", made)
        if "score" in progress.detail:
            scores.append((int(progress.detail["step"]), float(progress.detail["score"])))
            if not json_progress:
                at = f"step {progress.done:.0f} of {progress.total:.0f}"
                say(f"{at}: {progress.message}, validation {scores[-1][1]:.3f}")

    job = run.steps(lessons, spec, save_to=output, start=beginning, resume=resume)
    with going_on(output, resume=resume):
        model = watch(job, "Training", tell, as_json=json_progress)
    say_if_short(spec.steps, made)
    seconds = time.monotonic() - began
    if json:
        details = model.spec.history[-1].details
        put_json(
            {
                "output": str(output),
                "model": model.spec.name,
                "task": model.spec.task.model_dump(mode="json"),
                "network": model.spec.network.model_dump(mode="json"),
                "cases": {side: sum(lesson.split == side for lesson in lessons) for side in ("train", "val")},
                "steps": details["steps"],
                "seconds": round(seconds, 1),
                "validation": [{"step": step, "score": score} for step, score in scores],
            }
        )
    else:
        say(f"{output} is trained ({seconds / 60:.1f} minutes); napari-seg info shows its card.")


def _cross_validate(
    cases: Sequence[Lesson], spec: TrainSpec, count: int, output: Path, *, resume: bool, json: bool, json_progress: bool
) -> None:
    from napari_seg.training.folds import folds

    began = time.monotonic()
    steps = folds.steps(cases, spec, count, save_to=output, resume=resume)
    with going_on(output, resume=resume):
        found = watch(steps, "Training", as_json=json_progress)
    say_if_short(spec.steps, found.steps)
    seconds = time.monotonic() - began
    if json:
        put_json(
            {
                "output": str(output),
                "model": found.model.spec.name,
                "task": found.model.spec.task.model_dump(mode="json"),
                "network": found.model.spec.network.model_dump(mode="json"),
                "cases": len(cases),
                "steps": found.steps,
                "seconds": round(seconds, 1),
                "folds": [fold.model_dump(mode="json") for fold in found.folds],
                "figures": {name: {"mean": mean, "spread": spread} for name, _, mean, spread in found.table()},
            }
        )
    else:
        head = ("", *(f"fold {number}" for number in range(1, count + 1)), "mean", "spread")
        put_table(head, [(name, *map(figure, (*values, mean, sd))) for name, values, mean, sd in found.table()])
        say(f"{output} is the mean of {count} models ({seconds / 60:.1f} minutes). Each fold was scored by the model")
        say("that did not learn from it; the spread is the standard deviation over the folds.")
