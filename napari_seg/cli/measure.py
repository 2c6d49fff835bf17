"""``napari-seg measure``: how good a model is on images that it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_seg.cli.console import figure, put, put_json, put_table, say, watch
from napari_seg.cli.options import (
    Axes,
    Data,
    Device,
    HoldOut,
    Json,
    JsonProgress,
    Precision,
    SplitTable,
    Where,
    pairs,
    refuse_clashes,
    typed_name,
)

if TYPE_CHECKING:
    from napari_seg.evaluation.measurement import Line, Measurement

WORST = 3
"""So many images are named."""


def measure(
    data: Data,
    model: Annotated[str, typer.Option(parser=typed_name, help="The name of a shipped model or a model file.")],
    split: SplitTable = None,
    where: Where = None,
    hold_out: HoldOut = None,
    surfaces: Annotated[
        bool, typer.Option("--surfaces", help="Of classes also how far their surfaces lie apart: hd95 and assd.")
    ] = False,
    axes: Axes = None,
    device: Device = "auto",
    precision: Precision = "auto",
    json: Json = False,
    json_progress: JsonProgress = False,
) -> None:
    """Measure a model on labelled images: each figure with a 95 % interval. With --split on the held-out rows alone."""
    refuse_clashes(None, None, split, where=where, hold_out=hold_out)
    from napari_seg.inference.prediction import PredictSpec
    from napari_seg.models.zoo import load_model
    from napari_seg.training.cases import find_tests
    from napari_seg.training.measuring import measure as run

    cases = find_tests(data, split=split, where=pairs(where), hold_out=hold_out, axes=axes)
    for note in cases.notes:
        say(note)
    settings = PredictSpec(device=device, precision=precision)
    measuring = run.steps(load_model(model), cases, settings, surfaces=surfaces)
    found = watch(measuring, "Measuring", as_json=json_progress)
    for note in found.notes:
        say(note)
    for case in found.failed:
        say(f"{case.name}: {case.why}")
    if json:
        put_json(found.model_dump(mode="json"))
    else:
        _put(found)
    if found.failed:
        raise typer.Exit(2)


def _put(found: Measurement) -> None:
    head = ("of", "figure", "mean", "95 % interval", "images")
    put_table(
        head, [(one.of, found.title(one.metric), figure(one.value), _interval(one), one.images) for one in found.lines]
    )
    worst = ", ".join(f"{case.name} {figure(case.score)}" for case in found.cases[:WORST] if case.score is not None)
    put(f"{found.counted}. The worst: {worst}." if worst else f"{found.counted}.")


def _interval(line: Line) -> str:
    return "-" if line.low is None else f"{figure(line.low)} to {figure(line.high)}"
