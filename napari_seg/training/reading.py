"""From lessons to what a training needs of them: first the facts that a plan is made from, then samples on its grid.

Every lesson is read once for each, so that never more than one image is in memory beside the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from napari_seg.data.content import content_of
from napari_seg.errors import SegError
from napari_seg.jobs import Progress, Steps
from napari_seg.models.spec import ModelSpec
from napari_seg.training.cases import Lesson
from napari_seg.training.plan import Facts, TrainSpec
from napari_seg.training.sample import Sample, samples

READING = {"phase": "read"}


def look_at(lessons: Sequence[Lesson], spec: TrainSpec, *, total: int) -> Steps[list[Facts]]:
    """What a plan needs to know of the lessons; ``total`` is how many are read until the end of the reading."""
    yield Progress(0, total, "reading the data", READING)
    facts: list[Facts] = []
    for lesson in lessons:
        facts.append(_facts_of(lesson, spec))
        yield Progress(len(facts), total, f"looking at {lesson.name}", READING)
    return facts


def take_in(
    lessons: Sequence[Lesson], model: ModelSpec, *, total: int, channel: str | None = None
) -> Steps[list[list[Sample]]]:
    """The samples of each lesson, of those only where labels count; the last of ``total`` that are read."""
    taken: list[list[Sample]] = []
    for number, lesson in enumerate(lessons, total - len(lessons) + 1):
        taken.append(_samples_of(lesson, model, channel))
        yield Progress(number, total, f"reading {lesson.name}", READING)
    return taken


def by_split(lessons: Sequence[Lesson], taken: Sequence[Sequence[Sample]]) -> tuple[list[Sample], list[Sample]]:
    """The samples of the lessons that are learned from, and of those for validation."""
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for lesson, found in zip(lessons, taken, strict=True):
        parts[lesson.split] += found
    return parts["train"], parts["val"]


def refuse_one_sided(
    learned: Sequence[Sample], older: Sequence[Sample] = (), new: Mapping[int, str] | None = None
) -> None:
    """Raises ``SegError`` where what counts holds no background, or background alone (of older samples too).

    Whole images without a mask may lack background: that is how they are. ``new``: the names of classes by their
    numbers, each of which must be there.
    """
    if not learned:
        raise SegError("Nowhere in the images do labels count; let some count, or correct, paint or accept something.")
    sparse = all(sample.mask is not None for sample in learned)
    if sparse and not any((sample.counts & ~sample.inside()).any() for sample in learned):
        raise SegError(
            "What the model would learn from holds no background, so it could not learn where nothing is; let some "
            "count, in the masks of where labels count or by erasing what is wrong or finishing a slice or a box."
        )
    if not any(sample.holds() for sample in (*learned, *older)):
        raise SegError(
            "What the model would learn from holds background alone, so it could not learn what to find; label, "
            "paint or accept some of what is there."
        )
    for number, name in (new or {}).items():
        if not any(sample.holds(number) for sample in learned):
            raise SegError(f"The new class {name} is nowhere in what the model would learn from; paint some of it.")


def _samples_of(lesson: Lesson, model: ModelSpec, channel: str | None) -> list[Sample]:
    image, labels, mask = lesson.load()
    named = {"name": lesson.name, "group": lesson.group, "patient": lesson.patient}
    shows = content_of(image).key
    return [replace(one, shows=shows) for one in samples(image, labels, model, mask=mask, channel=channel, **named)]


def _facts_of(lesson: Lesson, spec: TrainSpec) -> Facts:
    """The facts of a lesson, with background where its labels do not count."""
    found = lesson.load()
    return Facts.of(found.image, found.counted, spec)
