"""Compare masks with the truth, one case or two folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.data.formats import images_in, is_image, read, stem
from napari_seg.data.geometry import same_world
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.evaluation.metrics import CLASS_METRICS, OBJECT_METRICS, THRESHOLDS, Counts, overlap
from napari_seg.jobs import Progress, Steps, job
from napari_seg.spec import Spec

Figure = float | None
"""A figure in 0..1; ``None`` where there was nothing to measure."""

Masks = str | Path | Volume | NDArray[Any]
"""A mask (an array has the axes YX or ZYX), its file, or a folder of such files."""


class SemanticCase(Spec):
    name: str
    per_class: dict[str, dict[str, Figure]]


class InstanceCase(Spec):
    """``ap`` by IoU; precision, recall, F1 and panoptic quality at IoU 0.5; the number of objects in both masks."""

    name: str
    ap: dict[str, Figure]
    mean_ap: Figure
    precision: Figure
    recall: Figure
    f1: Figure
    pq: Figure
    truth: int
    found: int


class SemanticReport(Spec):
    """``per_class``: the mean over the cases that have the class in either mask; ``mean``: over the classes."""

    mean: dict[str, Figure]
    per_class: dict[str, dict[str, Figure]]
    per_case: tuple[SemanticCase, ...]
    notes: tuple[str, ...] = Field((), exclude=True)

    @property
    def score(self) -> Figure:
        """The one figure by which models are compared: the mean Dice."""
        return self.mean["dice"]


class InstanceReport(Spec):
    """AP by IoU, the mean over the images that have objects in either mask; ``mean_ap``: the mean over the IoUs."""

    ap: dict[str, Figure]
    mean_ap: Figure
    per_case: tuple[InstanceCase, ...]
    notes: tuple[str, ...] = Field((), exclude=True)

    @property
    def score(self) -> Figure:
        """The one figure by which models are compared: the mean AP."""
        return self.mean_ap


Report = SemanticReport | InstanceReport


@job
def evaluate(truth: Masks, prediction: Masks, task: Literal["semantic", "instance"] = "semantic") -> Steps[Report]:
    """Measure ``prediction`` against ``truth``: two masks, two files, or two folders paired by the stems of files.

    Each time point of a mask with time is a case. Files without a partner are left out and named in ``notes``.
    Raises ``SegError`` where nothing pairs, or where two masks do not lie on the same grid.
    """
    pairs, notes = _pairs(truth, prediction)
    measure = {"semantic": _semantic_case, "instance": _instance_case}[task]
    cases: list[Any] = []
    for done, (name, mask, other) in enumerate(pairs):
        yield Progress(done, len(pairs), name)
        mask, other = _load(mask, name), _load(other, name)
        _check_grids(name, mask, other)
        cases.extend(measure(*frame) for frame in _frames(name, mask, other))
    yield Progress(len(pairs), len(pairs))
    if task == "semantic":
        return _semantic_report(cases, notes)
    return _instance_report(cases, notes)


def _pairs(truth: Masks, prediction: Masks) -> tuple[list[tuple[str, Masks, Masks]], tuple[str, ...]]:
    """The cases as (name, truth, prediction), and what was left out in words."""
    of_truth, of_prediction = _folder(truth), _folder(prediction)
    if of_truth is None and of_prediction is None:
        return [(_name(prediction), truth, prediction)], ()
    if of_truth is None or of_prediction is None:
        raise SegError("One of the two is a folder of masks, the other a single mask; give two folders or two masks.")
    both = sorted(of_truth.keys() & of_prediction.keys())
    if not both:
        raise SegError(
            f"No file in {prediction} has the name of one in {truth}; masks pair by name without the suffix."
        )
    notes = tuple(
        f"{len(alone)} of {where} left out, without a partner: {', '.join(alone[:5])}{' ...' * (len(alone) > 5)}."
        for where, alone in (
            ("the truth", sorted(of_truth.keys() - of_prediction.keys())),
            ("the prediction", sorted(of_prediction.keys() - of_truth.keys())),
        )
        if alone
    )
    return [(name, of_truth[name], of_prediction[name]) for name in both], notes


def _folder(masks: Masks) -> dict[str, Path] | None:
    """The files of a folder of masks by their stems; ``None`` for a single mask."""
    if not isinstance(masks, str | Path) or is_image(path := Path(masks).expanduser()):
        return None
    by_stem: dict[str, Path] = {}
    for file in images_in(path):
        other = by_stem.setdefault(stem(file), file)
        if other is not file:
            raise SegError(f"{other.name} and {file.name} in {path} have the same name; keep one of them.")
    return by_stem


def _name(masks: Masks) -> str:
    if isinstance(masks, Volume):
        return masks.name
    return stem(Path(masks)) if isinstance(masks, str | Path) else ""


def _load(mask: Masks, name: str) -> Volume:
    if isinstance(mask, str | Path):
        mask = read(mask)
    elif not isinstance(mask, Volume):
        mask = Volume(mask, "ZYX"[-mask.ndim :], name=name)
    if "S" in mask.axes:
        raise SegError(f"{name} is a colour picture, not a mask; save its labels as whole numbers in one channel.")
    return mask


def _check_grids(name: str, truth: Volume, prediction: Volume) -> None:
    if (truth.axes, truth.shape) != (prediction.axes, prediction.shape):
        raise SegError(
            f"{name}: the truth has the shape {truth.shape} ({truth.axes}), the prediction {prediction.shape} "
            f"({prediction.axes}); compare masks of the same image."
        )
    if truth.affine is not None and prediction.affine is not None:
        box = (1,) * (3 - truth.ndim) + truth.grid
        if not same_world(truth.affine, prediction.affine, box):
            raise SegError(
                f"{name}: truth and prediction lie in different places; save the mask in the grid of its image."
            )


def _frames(name: str, truth: Volume, prediction: Volume) -> Iterator[tuple[str, Volume, Volume]]:
    if "T" not in truth.axes:
        yield name, truth, prediction
        return
    for t in range(truth.size("T")):
        still = truth.axes.removeprefix("T")
        yield f"{name} t={t}", Volume(truth.data[t], still), Volume(prediction.data[t], still)


def _semantic_case(name: str, truth: Volume, prediction: Volume) -> SemanticCase:
    figures = {
        str(label): {metric: measure(counts) for metric, measure in CLASS_METRICS.items()}
        for label, counts in _class_counts(truth, prediction).items()
    }
    return SemanticCase(name=name, per_class=figures)


def _class_counts(truth: Volume, prediction: Volume) -> dict[int, Counts]:
    """The voxels of every class that occurs; overlapping classes are planes along C, plane ``k`` is class ``k + 1``."""
    if "C" in truth.axes:
        return {
            k + 1: overlap(np.asarray(truth.data[k]) > 0, np.asarray(prediction.data[k]) > 0).counts(1)
            for k in range(truth.size("C"))
        }
    table = overlap(truth.data, prediction.data)
    return {int(label): table.counts(label) for label in np.union1d(table.truth, table.found)}


def _instance_case(name: str, truth: Volume, prediction: Volume) -> InstanceCase:
    if "C" in truth.axes:
        raise SegError(f"{name} has several planes of labels, objects lie in one; evaluate it with the task semantic.")
    table = overlap(truth.data, prediction.data)
    ap = {_key(iou): OBJECT_METRICS["ap"](table, iou) for iou in THRESHOLDS}
    at_half = {metric: measure(table, THRESHOLDS[0]) for metric, measure in OBJECT_METRICS.items() if metric != "ap"}
    return InstanceCase(
        name=name, ap=ap, mean_ap=_mean(ap.values()), truth=len(table.truth), found=len(table.found), **at_half
    )


def _semantic_report(cases: list[SemanticCase], notes: tuple[str, ...]) -> SemanticReport:
    labels = sorted({label for case in cases for label in case.per_class}, key=int)
    per_class = {
        label: {metric: _mean(_figures(case.per_class, label, metric) for case in cases) for metric in CLASS_METRICS}
        for label in labels
    }
    mean = {metric: _mean(figures[metric] for figures in per_class.values()) for metric in CLASS_METRICS}
    return SemanticReport(mean=mean, per_class=per_class, per_case=tuple(cases), notes=notes)


def _figures(per_class: Mapping[str, Mapping[str, Figure]], label: str, metric: str) -> Figure:
    return per_class[label][metric] if label in per_class else None


def _instance_report(cases: list[InstanceCase], notes: tuple[str, ...]) -> InstanceReport:
    ap = {_key(iou): _mean(case.ap[_key(iou)] for case in cases) for iou in THRESHOLDS}
    return InstanceReport(ap=ap, mean_ap=_mean(ap.values()), per_case=tuple(cases), notes=notes)


def _key(iou: float) -> str:
    return f"{iou:.2f}"


def _mean(figures: Iterable[Figure]) -> Figure:
    """The mean of the figures there are; ``None`` where there are none."""
    known = [figure for figure in figures if figure is not None]
    return fmean(known) if known else None
