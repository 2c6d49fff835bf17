"""Compare masks with the truth, one case or two folders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_seg.choices import TaskKind
from napari_seg.data.align import as_its_image, in_one_space, same_place
from napari_seg.data.formats import contradicts, images_by_stem, is_image, read, read_answered, stem
from napari_seg.data.kinds import kind_of
from napari_seg.data.volume import UNITS, Predicted, Volume, the_volume
from napari_seg.editing.meaning import middle, scattered
from napari_seg.errors import SegError
from napari_seg.evaluation.metrics import (
    CLASS_METRICS,
    OBJECT_METRICS,
    THRESHOLDS,
    Counts,
    Overlap,
    overlap,
    whole_labels,
)
from napari_seg.evaluation.surface import SURFACE_METRICS, distances
from napari_seg.files import at_home
from napari_seg.inference.channels import places, unnamed
from napari_seg.jobs import Progress, Steps, job
from napari_seg.spec import Spec
from napari_seg.tasks.semantic import MOST_CLASSES
from napari_seg.wording import first_of

Figure = float | None
"""A figure in 0..1; ``None`` where there was nothing to measure."""

_BY_NUMBER = "The planes of truth and prediction do not have the same names, so they were compared in their order."

Masks = str | Path | Volume | NDArray[Any]
"""A mask (an array has the axes YX or ZYX), its file, or a folder of such files."""

Given = Masks | Predicted
"""Masks, or a prediction, whose labels are meant."""


class SemanticCase(Spec):
    """``numbers``: the classes in the truth, and those in the prediction."""

    name: str
    per_class: dict[str, dict[str, Figure]]
    numbers: tuple[frozenset[int], frozenset[int]] = Field((frozenset(), frozenset()), exclude=True)


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
    """``per_class``: the mean over the cases that have the class in either mask, of distances in both; ``mean``: over
    the classes; ``left_out``: the files without a partner; ``names``: of classes 1, 2, ..., where all masks name their
    planes; ``unit``: of distances, empty where there are none."""

    mean: dict[str, Figure]
    per_class: dict[str, dict[str, Figure]]
    per_case: tuple[SemanticCase, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = Field((), exclude=True)
    names: tuple[str, ...] = Field((), exclude=True)
    unit: str = Field("", exclude=True)

    @property
    def score(self) -> Figure:
        """The one figure by which models are compared: the mean Dice."""
        return self.mean["dice"]


class InstanceReport(Spec):
    """AP by IoU, the mean over the images that have objects in either mask; ``mean_ap``: the mean over the IoUs;
    ``left_out``: the files without a partner."""

    ap: dict[str, Figure]
    mean_ap: Figure
    per_case: tuple[InstanceCase, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = Field((), exclude=True)

    @property
    def score(self) -> Figure:
        """The one figure by which models are compared: the mean AP."""
        return self.mean_ap


Report = SemanticReport | InstanceReport


@job
def evaluate(
    truth: Given,
    prediction: Given,
    task: TaskKind = "semantic",
    *,
    axes: str | None = None,
    series: str | None = None,
    surfaces: bool = False,
) -> Steps[Report]:
    """Measure ``prediction`` against ``truth``: two masks, two files, or two folders paired by the stems of files.

    ``axes`` and ``series`` are for those files, on either side, that leave them open. Each time point of a mask with
    time is a case. Files without a partner are ``left_out`` and counted in ``notes``, which also say what was said when
    the masks were read and laid on each other. ``surfaces``: of classes also how far their surfaces lie apart
    (:mod:`~napari_seg.evaluation.surface`), in the unit of the first mask, and in voxels where no mask knows their
    size. Raises ``SegError`` where nothing pairs, or where two masks do not lie on the same grid.
    """
    pairs, alone = _pairs(_masks(truth), _masks(prediction))
    cases: list[Any] = []
    said: dict[str, list[str]] = {}
    names: tuple[str, ...] = ()
    unit = ""
    kinds = {"semantic": _semantic_case, "instance": _instance_case}
    if task not in kinds:
        raise SegError(f"A task {task!r} is not known; choose one of {', '.join(kinds)}.")
    if surfaces and task == "instance":
        raise SegError("Distances of surfaces are measured of classes; leave them away, or take the task semantic.")
    measure = kinds[task]
    for done, (name, mask, other) in enumerate(pairs):
        yield Progress(done, len(pairs), name)
        mask, other = _load(mask, name, axes, series), _load(other, name, axes, series)
        mask, other = _without_plane(mask, other), _without_plane(other, mask)
        other = as_its_image(other, mask)
        grids = [*_check_grids(name, mask, other)]
        names = names or mask.channels
        mask, other, by_number = _by_name(mask, other, names)
        doubts = _doubts(name, mask, other) if task == "instance" else ()
        for note in dict.fromkeys((*mask.notes, *other.notes, *grids, *by_number, *doubts)):
            said.setdefault(note, []).append(name)
        unit = unit or (_unit(mask) if surfaces else "")
        step = _step(name, mask, unit) if surfaces else None
        for frame in _frames(name, mask, other):
            case = measure(*frame)
            cases.append(case if step is None else (yield from _with_surfaces(case, *frame, step, done, len(pairs))))
    yield Progress(len(pairs), len(pairs))
    report = _semantic_report(cases, surfaces=surfaces) if task == "semantic" else _instance_report(cases)
    left_out = tuple(str(path) for paths in alone.values() for path in paths)
    of_cases = (f"{first_of(names)}: {note}" if any(names) else note for note, names in said.items())
    notes = (*_notes(alone), *of_cases, *_numbered_apart(cases), *_in_one_only(cases))
    told = (
        {}
        if task == "instance"
        else {"unit": unit.replace("pixel", "voxel"), "names": () if _BY_NUMBER in said else names}
    )
    return report.model_copy(update={"left_out": left_out, "notes": notes, **told})


def _masks(given: Any) -> Masks:
    masks: Masks = getattr(given, "labels", given)
    return masks


def _pairs(truth: Masks, prediction: Masks) -> tuple[list[tuple[str, Masks, Masks]], dict[str, list[Path]]]:
    """The cases as (name, truth, prediction), and the files of each side that have no partner."""
    of_truth, of_prediction = _folder(truth), _folder(prediction)
    if of_truth is None and of_prediction is None:
        return [(_name(prediction), truth, prediction)], {}
    if of_truth is None or of_prediction is None:
        raise SegError("One of the two is a folder of masks, the other a single mask; give two folders or two masks.")
    both = sorted(of_truth.keys() & of_prediction.keys())
    if not both:
        raise SegError(
            f"No file in {prediction} has the name of one in {truth}; masks pair by name without the suffix."
        )
    alone = {
        "the truth": [of_truth[name] for name in sorted(of_truth.keys() - of_prediction.keys())],
        "the prediction": [of_prediction[name] for name in sorted(of_prediction.keys() - of_truth.keys())],
    }
    return [(name, of_truth[name], of_prediction[name]) for name in both], alone


def _notes(alone: Mapping[str, list[Path]]) -> Iterator[str]:
    for side, paths in alone.items():
        if paths:
            yield f"{len(paths)} of {side} left out, without a partner: {first_of([stem(path) for path in paths])}."


def _numbered_apart(cases: list[Any]) -> Iterator[str]:
    """A sentence where classes are numbered in another way in the two sides, so that all figures are 0."""
    numbers = [case.numbers for case in cases if isinstance(case, SemanticCase)]
    of_truth, of_prediction = (frozenset[int]().union(*(each[side] for each in numbers)) for side in (0, 1))
    if of_truth and of_prediction and not of_truth & of_prediction:
        yield (
            f"No class has the same number on both sides: the truth holds {first_of(sorted(of_truth))}, the prediction "
            f"{first_of(sorted(of_prediction))}. Number them alike, else nothing can agree."
        )


def _folder(masks: Masks) -> dict[str, Path] | None:
    """The files of a folder of masks by their stems; ``None`` for a single mask."""
    if not isinstance(masks, str | Path):
        return None
    path = at_home(masks)
    if not path.exists():
        raise SegError(f"There is no file or folder {path}; check the name.")
    if is_image(path):
        return None
    return images_by_stem(path)


def _name(masks: Masks) -> str:
    if isinstance(masks, Volume):
        return masks.name
    return stem(Path(masks)) if isinstance(masks, str | Path) else ""


def _load(mask: Masks, name: str, axes: str | None, series: str | None) -> Volume:
    if isinstance(mask, str | Path):
        path, mask = mask, read_answered(mask, axes, series)
        if "S" in mask.axes and contradicts(mask, axes):  # no mask has colours
            mask = read(path, axes=axes, series=series)
    elif not isinstance(mask, Volume) and getattr(mask, "ndim", 0) in (2, 3):
        mask = Volume(mask, "ZYX"[-mask.ndim :], name=name)
    mask = the_volume(mask)
    if "S" in mask.axes:
        words = f"{name or 'This'} is a colour picture, not a mask"
        raise SegError(f"{words}; save its labels as whole numbers in one channel.")
    return mask


def _without_plane(mask: Volume, other: Volume) -> Volume:
    """The mask; a single plane along C is like none, unless the other mask has several."""
    if mask.size("C") > 1 or "C" not in mask.axes or other.size("C") > 1:
        return mask
    where = (slice(None),) * mask.axes.index("C") + (0,)
    return replace(mask, data=mask.data[where], axes=mask.axes.replace("C", ""), channels=(), levels=())


def _check_grids(name: str, truth: Volume, prediction: Volume) -> Iterator[str]:
    """Raises ``SegError`` where the grids differ; says where they nearly do."""
    if (truth.axes, truth.shape) != (prediction.axes, prediction.shape):
        words = f"The truth has the shape {truth.shape} ({truth.axes}), the prediction {prediction.shape}"
        raise SegError(_of(name, f"{words} ({prediction.axes}); compare masks of the same image."))
    if in_one_space(prediction, truth) is None or same_place(prediction, truth, 0.01):
        return
    if not same_place(prediction, truth):
        words = "Truth and prediction lie in different places; save the mask in the grid of its image."
        raise SegError(_of(name, words))
    yield "Truth and prediction lie up to half a voxel from each other; they were compared voxel by voxel."


def _doubts(name: str, *masks: Volume) -> Iterator[str]:
    """Raises ``SegError`` for an image in the place of a mask of objects; says where numbers look like classes."""
    for side, mask in zip(("truth", "prediction"), masks, strict=True):
        if "C" in mask.axes:
            continue
        try:
            labels = whole_labels(middle(mask.data[0] if "T" in mask.axes else mask.data))
        except SegError:
            continue  # it is refused where it is counted
        is_image, apart = kind_of(mask) == "image", scattered(labels.astype(np.int64))
        if is_image and apart:
            words = f"The {side} is an image and no mask, each of its grey values would count as an object"
            raise SegError(_of(name, f"{words}; give the mask of its objects."))
        if apart:
            words = (
                f"Numbers of the {side} come in several pieces each, as those of classes do and those of objects do not"
            )
            yield f"{words}; where they are classes, evaluate with the task semantic or number the objects."
        if is_image:
            yield f"The {side} looks like an image, each of its values counts as an object; check that it is a mask."


def _by_name(truth: Volume, prediction: Volume, names: Sequence[str]) -> tuple[Volume, Volume, tuple[str, ...]]:
    """Both with their planes in the order of ``names``; where they do not have these, as they lie, and a sentence."""
    if truth.size("C") == 1:
        return truth, prediction, ()
    orders = [() if unnamed(names) else places(mask.channels, names) for mask in (truth, prediction)]
    if not all(len(order) == truth.size("C") for order in orders):
        return truth, prediction, (_BY_NUMBER,)
    first, second = (
        replace(mask, data=np.take(mask.data, order, mask.axes.index("C")), channels=tuple(names), levels=())
        for mask, order in zip((truth, prediction), orders, strict=True)
    )
    return first, second, ()


def _frames(name: str, truth: Volume, prediction: Volume) -> Iterator[tuple[str, Volume, Volume]]:
    if "T" not in truth.axes:
        yield name, truth, prediction
        return
    for t in range(truth.size("T")):
        still = truth.axes.removeprefix("T")
        yield f"{name} t={t}".lstrip(), Volume(truth.data[t], still), Volume(prediction.data[t], still)


def _unit(mask: Volume) -> str:
    """In what distances are told that are first measured in this mask: affines are in millimetres."""
    unit = mask.unit if mask.spacing else "pixel"
    return "mm" if unit == "pixel" and mask.affine is not None else unit


def _step(name: str, mask: Volume, unit: str) -> NDArray[np.float64]:
    """What leads from a voxel to the next one along each axis, as columns, in ``unit``."""
    own = _unit(mask)
    if (own == "pixel") != (unit == "pixel"):
        words = (
            "the size of its voxels is not known, that of others is"
            if own == "pixel"
            else ("the size of its voxels is known, that of others is not")
        )
        raise SegError(_of(name, f"{words}; save all masks with it, or leave the distances away."))
    if mask.affine is not None:
        steps: NDArray[np.float64] = mask.affine[:3, 3 - mask.ndim : 3] / UNITS[unit]
        return steps
    return np.diag(mask.spacing or (1.0,) * mask.ndim) * (UNITS[own] / UNITS[unit])


def _semantic_case(name: str, truth: Volume, prediction: Volume) -> SemanticCase:
    counted = _class_counts(name, truth, prediction)
    figures = {
        str(label): {metric: measure(counts) for metric, measure in CLASS_METRICS.items()}
        for label, counts in counted.items()
    }
    of_truth = frozenset(label for label, counts in counted.items() if counts.truth)
    of_prediction = frozenset(label for label, counts in counted.items() if counts.found)
    return SemanticCase(name=name, per_class=figures, numbers=(of_truth, of_prediction))


def _with_surfaces(
    case: Any, name: str, truth: Volume, prediction: Volume, step: NDArray[np.float64], done: int, total: int
) -> Steps[SemanticCase]:
    """The case with how far the surfaces of its classes lie apart; one step for each class."""
    per_class = dict[str, dict[str, Figure]]()
    for k, (label, figures) in enumerate(case.per_class.items()):
        words = f"{name}: surfaces of class {label}" if name else f"surfaces of class {label}"
        yield Progress(done + k / len(case.per_class), total, words)
        between = distances(_of_class(truth, int(label)), _of_class(prediction, int(label)), step)
        told = {metric: None if between is None else tell(between) for metric, tell in SURFACE_METRICS.items()}
        per_class[label] = {**figures, **told}
    found: SemanticCase = case.model_copy(update={"per_class": per_class})
    return found


def _of_class(mask: Volume, label: int) -> NDArray[np.bool_]:
    """Where a class lies."""
    found: NDArray[np.bool_] = (
        np.asarray(mask.data[label - 1]) > 0 if "C" in mask.axes else np.asarray(mask.data) == label
    )
    return found


def _in_one_only(cases: list[Any]) -> Iterator[str]:
    """A sentence where surfaces were measured and a class is in one of the two masks only: its figures of cases are
    missing, which flatters the mean."""
    missing = [
        case.name
        for case in cases
        if isinstance(case, SemanticCase)
        and any(
            "hd95" in figures and figures["hd95"] is None and figures["dice"] == 0
            for figures in case.per_class.values()
        )
    ]
    if missing:
        where = f", as in {first_of(missing)}," if any(missing) else ""
        yield f"A class that is in one of the two masks only{where} has no distance, and the means are without it."


def _class_counts(name: str, truth: Volume, prediction: Volume) -> dict[int, Counts]:
    """The voxels of every class that occurs; overlapping classes are planes along C, plane ``k`` is class ``k + 1``."""
    if "C" in truth.axes:
        return {
            k + 1: _plane_counts(name, k, _table(name, truth.data[k], prediction.data[k]))
            for k in range(truth.size("C"))
        }
    table = _table(name, truth.data, prediction.data)
    for side, numbers in (("truth", table.truth), ("prediction", table.found)):
        if len(numbers) > MOST_CLASSES:
            words = f"The {side} holds {len(numbers)} numbers besides 0, too many for classes"
            words += ", as an image or numbers of objects do"
            cure = "give a mask of classes, or evaluate it with the task instance."
            raise SegError(_of(name, f"{words}; {cure}"))
    return {int(label): table.counts(label) for label in np.union1d(table.truth, table.found)}


def _plane_counts(name: str, k: int, table: Overlap) -> Counts:
    """The voxels inside the class of plane ``k``, whatever number they have there."""
    for side, numbers in (("truth", table.truth), ("prediction", table.found)):
        if len(numbers) > 1:
            words = f"Plane {k} of the {side} holds {len(numbers)} numbers besides 0, a plane is one class"
            raise SegError(_of(name, f"{words}; save 0 outside and 1 inside of the class in each plane."))
    return Counts(int(table.shared.sum()), int(table.truth_sizes.sum()), int(table.found_sizes.sum()))


def _instance_case(name: str, truth: Volume, prediction: Volume) -> InstanceCase:
    if truth.size("C") > 1:
        words = f"{name or 'The mask'} has several planes of labels, objects lie in one"
        raise SegError(f"{words}; evaluate it with the task semantic.")
    table = _table(name, truth.data, prediction.data)
    ap = {_key(iou): OBJECT_METRICS["ap"](table, iou) for iou in THRESHOLDS}
    at_half = {metric: measure(table, THRESHOLDS[0]) for metric, measure in OBJECT_METRICS.items() if metric != "ap"}
    return InstanceCase(
        name=name, ap=ap, mean_ap=mean_of(ap.values()), truth=len(table.truth), found=len(table.found), **at_half
    )


def _table(name: str, truth: NDArray[Any], prediction: NDArray[Any]) -> Overlap:
    try:
        return overlap(truth, prediction)
    except SegError as error:
        raise SegError(_of(name, str(error))) from None


def _of(name: str, sentence: str) -> str:
    """What is said of a case: it begins with its name, if it has one."""
    return f"{name}: {sentence[0].lower()}{sentence[1:]}" if name else sentence


def _semantic_report(cases: list[SemanticCase], *, surfaces: bool) -> SemanticReport:
    labels = sorted({label for case in cases for label in case.per_class}, key=int)
    metrics = [*CLASS_METRICS, *(SURFACE_METRICS if surfaces else ())]
    per_class = {
        label: {metric: mean_of(_figures(case.per_class, label, metric) for case in cases) for metric in metrics}
        for label in labels
    }
    mean = {metric: mean_of(figures[metric] for figures in per_class.values()) for metric in metrics}
    return SemanticReport(mean=mean, per_class=per_class, per_case=tuple(cases))


def _figures(per_class: Mapping[str, Mapping[str, Figure]], label: str, metric: str) -> Figure:
    return per_class[label][metric] if label in per_class else None


def _instance_report(cases: list[InstanceCase]) -> InstanceReport:
    ap = {_key(iou): mean_of(case.ap[_key(iou)] for case in cases) for iou in THRESHOLDS}
    return InstanceReport(ap=ap, mean_ap=mean_of(ap.values()), per_case=tuple(cases))


def _key(iou: float) -> str:
    return f"{iou:.2f}"


def mean_of(figures: Iterable[Figure]) -> Figure:
    """The mean of the figures there are; ``None`` where there are none."""
    known = [figure for figure in figures if figure is not None]
    return fmean(known) if known else None
