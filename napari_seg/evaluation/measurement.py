"""What a model was found to be worth on labelled images: a figure for each, and their means with intervals.

The interval is that of a bootstrap over groups (Efron and Tibshirani, 1993): images of one patient are alike, so they
are drawn together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.columns import csv_of
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import Figure, mean_of
from napari_seg.evaluation.metrics import TITLES
from napari_seg.evaluation.surface import SURFACE_METRICS
from napari_seg.spec import Spec
from napari_seg.wording import count_of, first_of, listed

DRAWS = 2000
"""Of the bootstrap."""

FEWEST = 5
"""Of fewer groups nobody can say how far the mean would go with others."""

MEAN = "mean"
"""What a figure is of that is the mean over the classes."""


class Measured(Spec):
    """What the mask of one image is worth. ``figures``: by what they are of (a class, or the kind of objects) and by
    metric; ``unit``: of distances; ``seen``: the training of the model has looked at the image; ``notes``: what a
    person should know; ``why``: what kept it from being measured."""

    name: str
    group: str
    figures: Mapping[str, Mapping[str, Figure]] = {}
    unit: str = ""
    seen: bool = False
    notes: tuple[str, ...] = ()
    why: str = ""

    @property
    def score(self) -> Figure:
        """The one figure by which images are put in order: the mean Dice of the classes that are there, or the mean
        AP; ``None`` where nothing is there in either mask, and nothing was found."""
        return mean_of(found.get("dice", found.get("mean_ap")) for found in self.figures.values())


class Line(Spec):
    """One figure over all images that have it: the mean, and the 95 % interval, ``None`` of too few groups."""

    of: str
    metric: str
    value: Figure
    low: Figure
    high: Figure
    images: int


class Measurement(Spec):
    """How good a model is. ``cases``: the worst first, those that could not be measured at the end; ``unit``: of
    distances."""

    model: str
    lines: tuple[Line, ...]
    cases: tuple[Measured, ...]
    unit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> tuple[Measured, ...]:
        return tuple(case for case in self.cases if not case.why)

    @property
    def failed(self) -> tuple[Measured, ...]:
        return tuple(case for case in self.cases if case.why)

    @property
    def groups(self) -> int:
        """Patients, or whatever else images are grouped by."""
        return len({case.group for case in self.measured})

    @property
    def counted(self) -> str:
        """How many images of how many groups were measured, in words."""
        images = len(self.measured)
        groups = "" if self.groups == images else f" of {count_of(self.groups, 'group')}"
        return f"{count_of(images, 'image')}{groups}"

    def title(self, metric: str) -> str:
        """What a figure is called, with its unit."""
        return f"{TITLES[metric]} {self.unit}" if metric in SURFACE_METRICS else TITLES[metric]

    def lines_csv(self) -> str:
        head = ("of", "figure", "mean", "from", "to", "images")
        rows = [(one.of, self.title(one.metric), one.value, one.low, one.high, one.images) for one in self.lines]
        return csv_of([head, *rows])

    def cases_csv(self) -> str:
        """A line for each image and for what its figures are of."""
        metrics = list(dict.fromkeys(line.metric for line in self.lines))
        rows = [
            (case.name, case.group, of, *(found.get(metric) for metric in metrics), "")
            for case in self.cases
            for of, found in case.figures.items()
        ]
        failed = [(case.name, case.group, "", *(None for _ in metrics), case.why) for case in self.failed]
        return csv_of([("image", "group", "of", *map(self.title, metrics), "trouble"), *rows, *failed])


def summed_up(model: str, cases: Iterable[Measured]) -> Measurement:
    """The measurement of a model of this name."""
    cases = sorted(cases, key=lambda case: (bool(case.why), case.score is None, case.score or 0, case.name))
    measured = [case for case in cases if not case.why]
    units = sorted({case.unit for case in measured} - {""})
    if len(units) > 1:
        raise SegError(f"Distances are in {listed(units)}; measure images of one unit at a time.")
    seen = [case.name for case in measured if case.seen]
    few = _few(len({case.group for case in measured}))
    told: dict[str, list[str]] = {}
    for case in measured:
        for note in case.notes:
            told.setdefault(note, []).append(case.name)
    of_cases = (note if len(names) == len(measured) else f"{first_of(names)}: {note}" for note, names in told.items())
    notes = (*_warning(seen), *few, *of_cases)
    return Measurement(model=model, lines=tuple(_lines(measured)), cases=tuple(cases), unit="".join(units), notes=notes)


def _few(groups: int) -> Iterator[str]:
    """A sentence where there is no interval."""
    if 0 < groups < FEWEST:
        yield f"{count_of(groups, 'group')} of images, such as patients: an interval takes {FEWEST} or more."


def _warning(seen: Sequence[str]) -> Iterator[str]:
    """A sentence where images are no test."""
    if seen:
        yield (
            f"The training of this model has looked at {count_of(len(seen), 'image')} of these ({first_of(seen)}): "
            "they flatter it, so take them out."
        )


def _lines(cases: Sequence[Measured]) -> Iterator[Line]:
    """The figures of each class, and then their means over the classes."""
    groups = sorted({case.group for case in cases})
    if not groups:
        return
    draws = np.random.default_rng(0).multinomial(len(groups), [1 / len(groups)] * len(groups), DRAWS)
    drawn: dict[str, list[NDArray[np.float64]]] = {}
    values: dict[str, list[Figure]] = {}
    kinds = dict.fromkeys((of, metric) for case in cases for of, found in case.figures.items() for metric in found)
    for of, metric in kinds:
        found = [(case.group, value) for case in cases if (value := case.figures.get(of, {}).get(metric)) is not None]
        sums, counts = np.zeros(len(groups)), np.zeros(len(groups))
        for group, value in found:
            sums[groups.index(group)] += value
            counts[groups.index(group)] += 1
        with np.errstate(invalid="ignore"):
            drawn.setdefault(metric, []).append(draws @ sums / (draws @ counts))
        values.setdefault(metric, []).append(mean_of(value for _, value in found))
        yield _line(of, metric, values[metric][-1], drawn[metric][-1], int(np.count_nonzero(counts)), len(found))
    if len({of for of, _ in kinds}) > 1:
        for metric, of_classes in drawn.items():
            together = np.ma.masked_invalid(of_classes).mean(0).filled(np.nan)
            yield _line(MEAN, metric, mean_of(values[metric]), together, len(groups), len(cases))


def _line(of: str, metric: str, value: Figure, drawn: NDArray[np.float64], groups: int, images: int) -> Line:
    known = drawn[np.isfinite(drawn)]
    low, high = np.percentile(known, (2.5, 97.5)).tolist() if groups >= FEWEST else (None, None)
    return Line(of=of, metric=metric, value=value, low=low, high=high, images=images)
