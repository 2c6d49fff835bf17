"""``napari-seg evaluate``: masks against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_seg.choices import TaskKind
from napari_seg.cli.console import figure, put, put_json, put_table, say, watch
from napari_seg.cli.options import Axes, Json, Series, typed_path
from napari_seg.wording import count_of

if TYPE_CHECKING:
    from napari_seg.evaluation.evaluate import InstanceReport, Report, SemanticReport

Masks = Annotated[
    Path,
    typer.Argument(
        parser=typed_path, help="A mask, or a folder of masks; folders are paired by the names of their files."
    ),
]


def evaluate(
    truth: Masks,
    prediction: Masks,
    task: Annotated[TaskKind, typer.Option(help="Compare classes (semantic) or objects (instance).")] = "semantic",
    surfaces: Annotated[
        bool, typer.Option("--surfaces", help="Of classes also how far their surfaces lie apart: hd95 and assd.")
    ] = False,
    axes: Axes = None,
    series: Series = None,
    json: Json = False,
) -> None:
    """Measure masks against the truth: Dice and Jaccard of classes, or average precision of objects."""
    from napari_seg.evaluation.evaluate import SemanticReport
    from napari_seg.evaluation.evaluate import evaluate as measure

    report = watch(measure.steps(truth, prediction, task, axes=axes, series=series, surfaces=surfaces), "Evaluating")
    for note in report.notes:
        say(note)
    if json:
        put_json(
            report.model_dump(mode="json")
            | ({"unit": report.unit} if surfaces and isinstance(report, SemanticReport) else {})
        )
    elif isinstance(report, SemanticReport):
        _put_classes(report)
    else:
        _put_instances(report)


def _put_classes(report: SemanticReport) -> None:
    named = dict(enumerate(report.names, 1))
    rows = [
        (f"{label} {named.get(int(label), '')}".strip(), *map(figure, figures.values()))
        for label, figures in report.per_class.items()
    ]
    from napari_seg.evaluation.surface import SURFACE_METRICS

    headings = (f"{metric} [{report.unit}]" if metric in SURFACE_METRICS else metric for metric in report.mean)
    put_table(("class", *headings), [*rows, ("mean", *map(figure, report.mean.values()))])
    _put_cases(report)


def _put_instances(report: InstanceReport) -> None:
    put_table(("IoU", "AP"), [*((iou, figure(ap)) for iou, ap in report.ap.items()), ("mean", figure(report.mean_ap))])
    _put_cases(report)


def _put_cases(report: Report) -> None:
    put(f"{count_of(len(report.per_case), 'case')}; --json prints each of them.")
