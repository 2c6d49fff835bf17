"""The data check of what sessions teach, and its fixes on the way into a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from napari_seg.data.volume import Volume
from napari_seg.jobs import Steps
from napari_seg.session.learning import Taught
from napari_seg.training.cases import Labelled
from napari_seg.training.check import Finding, Wanted, check
from napari_seg.training.mending import Mended, mended


class AsRead:
    """A lesson of a session as the data check takes it. ``name``: unlike those of all others."""

    def __init__(self, lesson: Taught, name: str) -> None:
        self.lesson, self.name = lesson, name
        self.group, self.patient, self.split = lesson.group, lesson.patient, lesson.split
        self._mask: NDArray[Any] | None = None

    @property
    def about(self) -> Mapping[str, Any]:
        return self.lesson.about

    def load(self) -> Labelled:
        """As nobody has mended it."""
        return self.lesson.load()

    def read(self) -> tuple[Volume, Volume]:
        image, labels, self._mask = self.load()
        return image, labels

    def labelled(self, image: Volume, labels: Volume) -> Labelled:
        """What was read last, perhaps mended, with where it counts."""
        return Labelled(image, labels, self._mask)


def looked_over(lessons: Sequence[Taught], wanted: Wanted) -> Steps[tuple[list[AsRead], tuple[Finding, ...]]]:
    """The lessons as the data check takes them, and what it says of them."""
    met = Counter[str]()
    cases = []
    for lesson in lessons:
        met[lesson.name] += 1
        again = met[lesson.name]
        cases.append(AsRead(lesson, lesson.name if again == 1 else f"{lesson.name} ({again})"))
    return cases, (yield from check.steps(cases, wanted))


def as_agreed(cases: Sequence[AsRead], found: Sequence[Finding], agreed: Collection[str]) -> list[Mended]:
    """The cases with those findings mended to which a person agreed, by their sentences. One that is not found again,
    because something has changed since, is not mended."""
    chosen = [finding for finding in found if finding.sentence in agreed]
    return mended(cases, chosen, {finding.fix for finding in chosen})
