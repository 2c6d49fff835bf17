"""``napari-seg search``: a model with the settings that suit the images, found within a time budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_seg.choices import NetworkKind
from napari_seg.cli.check import cases_in, checked, known_fixes
from napari_seg.cli.console import figure, put_json, put_table, say, watch
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
)
from napari_seg.jobs import Progress

if TYPE_CHECKING:
    from napari_seg.training.search import Tried


def search(
    context: typer.Context,
    data: Data,
    task: Task,
    output: ModelFile,
    minutes: Annotated[float | None, typer.Option(help="How long the whole search takes (default 60).")] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="How many steps the best one makes instead: the same steps on as many threads give the same bits."
        ),
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=2, help="How many settings to try; without it 27, 9 or 3, as there is time.")
    ] = None,
    network: Annotated[NetworkKind | None, typer.Option(help="Try this network only.")] = None,
    ndim: Ndim = None,
    split: SplitTable = None,
    where: Where = None,
    hold_out: HoldOut = None,
    masks: Masks = None,
    axes: Axes = None,
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
    """Try networks, widths, depths, learning rates, losses and augmentations; train the best one on. Stopped, it keeps
    the best so far."""
    refuse_clashes(minutes, steps, split, where=where, hold_out=hold_out)
    model_file(context, output, resume=resume, overwrite=overwrite)
    agreed = known_fixes(fix)
    from napari_seg.training.check import Wanted
    from napari_seg.training.plan import TrainSpec
    from napari_seg.training.search import search as run
    from napari_seg.training.search import stopped_search

    spec = TrainSpec.from_person(
        given(
            task=task,
            network=network,
            ndim=ndim,
            name=output.stem,
            classes=None if classes is None else tuple(classes.split(",")),
            minutes=60.0 if minutes is None else minutes,
            steps=steps,
            device=device,
            precision=precision,
            seed=seed,
        )
    )
    if resume:
        stopped_search(output, spec)
    cases = cases_in(data, split, where=where, hold_out=hold_out, axes=axes, masks=masks, task=task)
    lessons = checked(cases, Wanted(task, len(spec.classes)), agreed, as_json=json_progress)
    began = time.monotonic()

    def tell(progress: Progress) -> None:
        if "score" in progress.detail and not json_progress:
            say(f"{progress.message}, validation {progress.detail['score']:.3f}")

    job = run.steps(lessons, spec, save_to=output, count=candidates, resume=resume)
    with going_on(output, resume=resume):
        found = watch(job, "Searching", tell, as_json=json_progress)
    seconds = time.monotonic() - began
    if found.note:
        say(found.note)
    if json:
        put_json(
            {
                "output": str(output),
                "model": found.model.spec.name,
                "task": found.model.spec.task.model_dump(mode="json"),
                "network": found.model.spec.network.model_dump(mode="json"),
                "cases": {side: sum(lesson.split == side for lesson in lessons) for side in ("train", "val")},
                "seconds": round(seconds, 1),
                "note": found.note,
                "tried": [one.model_dump(mode="json") for one in found.table],
            }
        )
    else:
        _put_table(found.table)
        say(f"{output} is the first of them ({seconds / 60:.1f} minutes). Its score chose it, so it promises too much;")
        say("measure it with napari-seg evaluate on images that the search has not seen.")


def _put_table(tried: Sequence[Tried]) -> None:
    head = ("", "network", "width", "depth", "learning rate", "loss", "augmentation", "rounds", "steps", "validation")
    rows: list[Sequence[Any]] = [
        (
            one.number + 1,
            one.network,
            one.width,
            one.depth,
            f"{one.learning_rate:g}",
            one.loss,
            f"{one.augmentation:g}x",
            one.rounds,
            one.steps,
            figure(one.score),
        )
        for one in tried
    ]
    put_table(head, rows)
