"""How good a model is on images that it never saw: it segments them, and its masks are compared with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_seg.data.content import content_of
from napari_seg.errors import SegError, plain
from napari_seg.evaluation.evaluate import Figure, InstanceReport, Report, evaluate, mean_of
from napari_seg.evaluation.measurement import Measured, Measurement, summed_up
from napari_seg.evaluation.metrics import OBJECT_METRICS
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import DEFAULTS, PredictSpec
from napari_seg.jobs import Progress, Steps, job, within
from napari_seg.models.model import Model
from napari_seg.training.cases import Lesson, find_tests
from napari_seg.wording import class_name


@job
def measure(
    model: Model, data: str | Path | Sequence[Lesson], spec: PredictSpec = DEFAULTS, *, surfaces: bool = False
) -> Steps[Measurement]:
    """Measure a model on a folder with ``images/`` and ``labels/``, or on lessons such as those of
    :func:`~napari_seg.training.cases.find_tests`. ``surfaces``: of classes also how far surfaces lie apart. An image
    that cannot be measured is told of in its place; raises ``SegError`` where none can be."""
    cases = find_tests(data) if isinstance(data, str | Path) else tuple(data)
    found: list[Measured] = []
    for done, case in enumerate(cases):
        yield Progress(done, len(cases), case.name)
        steps = measure_case(model, case, spec, surfaces=surfaces)
        try:
            found.append((yield from within(steps, done / len(cases), (done + 1) / len(cases))))
        except (SegError, MemoryError, OSError) as error:
            if (told := plain(error)) is None:
                raise
            found.append(Measured(name=case.name, group=case.group, why=str(told)))
    yield Progress(len(cases), len(cases))
    if found and all(one.why for one in found):
        raise SegError(found[0].why)
    return summed_up(model.spec.name, found)


def measure_case(model: Model, case: Lesson, spec: PredictSpec, *, surfaces: bool = False) -> Steps[Measured]:
    """Segment an image and measure its mask. Raises ``SegError`` where image, labels and model do not go together."""
    image, labels, _ = case.load()
    prediction = yield from within(predict.steps(model, image, spec), 0, 0.9)
    measuring = evaluate.steps(labels, prediction.labels, model.spec.task.kind, surfaces=surfaces)
    report = yield from within(measuring, 0.9, 1)
    return Measured(
        name=case.name,
        group=case.group,
        figures=_figures(report, model.spec.task.names),
        unit=getattr(report, "unit", ""),
        seen=content_of(image).key in model.spec.seen,
        notes=tuple(dict.fromkeys((*prediction.notes, *report.notes))),
    )


def _figures(report: Report, names: Sequence[str]) -> dict[str, dict[str, Figure]]:
    """What is measured of each class, or of the objects, by name; of a film the mean over time."""
    if isinstance(report, InstanceReport):
        others = [metric for metric in OBJECT_METRICS if metric != "ap"]
        at_half = {metric: mean_of(getattr(case, metric) for case in report.per_case) for metric in others}
        return {names[0]: {"ap_50": report.ap["0.50"], "mean_ap": report.mean_ap, **at_half}}
    return {class_name(int(label), names): dict(found) for label, found in report.per_class.items()}
