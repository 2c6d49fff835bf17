"""A mask and a reference, such as the outlines of an expert: how alike they are, and where they differ.

The figures are those of :func:`~.evaluate.evaluate`, the list that of :func:`~.differences.differences`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_seg.data.align import onto_grid
from napari_seg.data.volume import Volume
from napari_seg.editing.columns import csv_of
from napari_seg.evaluation.differences import Difference, Differences, differences
from napari_seg.evaluation.evaluate import InstanceReport, Report, evaluate
from napari_seg.evaluation.metrics import TITLES
from napari_seg.evaluation.surface import SURFACE_METRICS
from napari_seg.jobs import Progress, Steps, job, within
from napari_seg.wording import class_name

_FIGURES = 0.8
"""The share of the time that the figures take."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was found. ``names``: of the classes; ``notes``: what a person should know."""

    mask: Volume
    names: tuple[str, ...]
    report: Report
    found: Differences
    notes: tuple[str, ...] = ()

    @property
    def objects(self) -> bool:
        """Whether the numbers count objects; else they are classes."""
        return isinstance(self.report, InstanceReport)

    @property
    def figures(self) -> list[tuple[str | float | None, ...]]:
        """A table with headings; ``None`` where there was nothing to measure."""
        report = self.report
        if isinstance(report, InstanceReport):
            case = report.per_case[0]
            row = case.ap["0.50"], case.mean_ap, case.precision, case.recall, case.f1, case.pq
            return [tuple(TITLES[name] for name in ("ap_50", "mean_ap", "precision", "recall", "f1", "pq")), row]
        headings = {
            metric: f"{TITLES[metric]}{f' {report.unit}' * (metric in SURFACE_METRICS)}" for metric in report.mean
        }
        rows = [(self.name(int(label)), *found.values()) for label, found in report.per_class.items()]
        mean = [("mean", *report.mean.values())] if len(rows) > 1 else []
        return [("Class", *(headings[metric] for metric in report.mean)), *rows, *mean]

    def name(self, label: int) -> str:
        """What a label is called; nothing for the background."""
        if not label:
            return ""
        if self.objects:
            return str(label)
        return class_name(label, self.names)

    def of(self, one: Difference) -> str:
        """Which class or object a difference is of, as in the reference, else as in the mask."""
        if self.objects:
            return f"reference {one.truth}" if one.truth else f"mask {one.found}"
        if one.truth and one.found:
            return f"{self.name(one.truth)}, not {self.name(one.found)}"
        return self.name(one.truth or one.found)

    def figures_csv(self) -> str:
        return csv_of(self.figures)

    def list_csv(self) -> str:
        """The differences, one line each; places are voxels, counted from 0."""
        axes = [axis.lower() for axis in self.mask.spatial]
        rows = [
            (one.what, self.name(one.truth), self.name(one.found), one.voxels, *(int(at) for at in one.place))
            for one in self.found.listed
        ]
        return csv_of([("what", "in the reference", "in the mask", "voxels", *axes), *rows])


@job
def compare(
    mask: Volume, reference: Volume, *, objects: bool, names: tuple[str, ...] = (), others: tuple[str, ...] = ()
) -> Steps[Comparison]:
    """Compare a mask (axes YX or ZYX) with a reference, which is laid on its grid. ``objects``: whether numbers count
    objects, else they are classes; ``names`` of the classes of the mask, and ``others`` of the reference. Raises
    ``SegError`` where the two do not lie on each other."""
    truth = onto_grid(reference, mask)
    measuring = evaluate.steps(truth, mask, "instance" if objects else "semantic", surfaces=not objects)
    report = yield from within(measuring, 0, _FIGURES)
    yield Progress(_FIGURES, 1, "where they differ")
    spacing = mask.spacing or (1.0,) * mask.ndim
    found = differences(np.asarray(truth.data), np.asarray(mask.data), spacing, objects=objects)
    notes = (*report.notes, *(() if objects else _named_apart(names, others)))
    return Comparison(mask, names, report, found, notes)


def _named_apart(names: tuple[str, ...], others: tuple[str, ...]) -> Iterator[str]:
    """A sentence where a class has one name in the mask and another one in the reference."""
    for label, (one, other) in enumerate(zip(names, others, strict=False), 1):
        if one != other and class_name(label) not in (one, other):
            yield f"Class {label} is {one} in the mask and {other} in the reference; equal numbers were compared."
            return
