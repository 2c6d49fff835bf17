"""``napari-seg train``: a model from images and labels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from napari_seg.cli.console import put_json, say, watch
from napari_seg.cli.options import (
    Axes,
    Device,
    Json,
    JsonProgress,
    NetworkKind,
    Overwrite,
    Precision,
    TaskKind,
    given,
    keep_existing,
)
from napari_seg.errors import SegError
from napari_seg.jobs import Progress


def train(
    data: Annotated[Path, typer.Argument(help="A folder with images/ and labels/; files are paired by their names.")],
    task: Annotated[TaskKind, typer.Option(help="Learn classes of pixels (semantic) or single objects (instance).")],
    output: Annotated[Path, typer.Option(help="The model file, MODEL.safetensors.")],
    network: Annotated[NetworkKind | None, typer.Option(help="Which network (default unet).")] = None,
    ndim: Annotated[int | None, typer.Option(min=2, max=3, help="2D or 3D; without it the images decide.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long to train (default 15).")] = None,
    steps: Annotated[
        int | None, typer.Option(help="How many steps instead: the same steps give the same bits.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="A CSV with the columns name and split, and optionally group.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only rows of the split with this, as column=value.")] = None,
    hold_out: Annotated[
        str | None, typer.Option(help="The value of split whose images are never looked at (default test).")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="A folder with a mask for each image: labels count where it is not 0; the rest is unknown."),
    ] = None,
    axes: Axes = None,
    start: Annotated[str | None, typer.Option(help="Go on from this model: a name or a file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
    classes: Annotated[
        str | None, typer.Option(help="The names of labels 1, 2, ... (or of their planes), with commas between.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    precision: Annotated[Precision, typer.Option(help="How precisely.")] = Precision.auto,
    seed: Annotated[int, typer.Option(help="Another number draws other random patches.")] = 0,
    overwrite: Overwrite = False,
    json: Json = False,
    json_progress: JsonProgress = False,
) -> None:
    """Train a model on images and labels within a time budget. Stopped, it keeps its best model so far."""
    if minutes is not None and steps is not None:
        raise SegError("--minutes and --steps both say how long to train; give one of them.")
    if split is None and where:
        raise SegError("--where selects rows of a split; give the file with --split.")
    if split is None and hold_out is not None:
        raise SegError("--hold-out names rows of a split; give the file with --split.")
    if output.suffix != ".safetensors":
        raise SegError(f"{output.name} is not a name for a model; end it with .safetensors.")
    keep_existing(output, overwrite or resume)
    from napari_seg.models.zoo import load_model
    from napari_seg.training.cases import find_cases
    from napari_seg.training.plan import TrainSpec
    from napari_seg.training.train import train as run

    spec = TrainSpec.from_person(
        given(
            task=task.value,
            network=network.value if network else None,
            ndim=ndim,
            name=output.stem,
            classes=tuple(classes.split(",")) if classes else None,
            minutes=minutes,
            steps=steps,
            device=device.value,
            precision=precision.value,
            seed=seed,
        )
    )
    cases = find_cases(
        data, split=split, where=dict(map(_pair, where or ())), hold_out=hold_out, axes=axes, masks=masks
    )
    for note in cases.notes:
        say(note)
    began, scores = time.monotonic(), list[tuple[int, float]]()

    def tell(progress: Progress) -> None:
        if "score" in progress.detail:
            scores.append((int(progress.detail["step"]), float(progress.detail["score"])))
            say(f"step {progress.done:.0f} of {progress.total:.0f}: {progress.message}, validation {scores[-1][1]:.3f}")

    job = run.steps(cases, spec, save_to=output, start=load_model(start) if start else None, resume=resume)
    model = watch(job, "Training", tell, as_json=json_progress)
    seconds = time.monotonic() - began
    if json:
        details = model.spec.history[-1].details
        put_json(
            {
                "output": str(output),
                "model": model.spec.name,
                "task": model.spec.task.model_dump(mode="json"),
                "network": model.spec.network.model_dump(mode="json"),
                "cases": {side: sum(case.split == side for case in cases) for side in ("train", "val")},
                "steps": details["steps"],
                "seconds": round(seconds, 1),
                "validation": [{"step": step, "score": score} for step, score in scores],
            }
        )
    else:
        say(f"{output} is trained ({seconds / 60:.1f} minutes); napari-seg info shows its card.")


def _pair(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals:
        raise SegError(f"--where {text} does not say a value; write column=value, such as kind=fluorescence.")
    return column, value
