"""What is learned from. Anything with a name, a group, a split and a way to load it is a :class:`Lesson`; images and
labels paired by stem are one kind of it, split without ever dividing a group (a patient, an examination)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from napari_seg.choices import TaskKind
from napari_seg.data.align import apart, as_its_image, in_one_space, onto_grid
from napari_seg.data.axes import refuse_unknown
from napari_seg.data.formats import images_by_stem, read, read_answered
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.files import at_home
from napari_seg.training.split import Row, counted, is_one_group, read_split, subject_of, undivided
from napari_seg.wording import first_of

VALIDATION_SHARE = 0.15


class Labelled(NamedTuple):
    """An image, its labels, and where they count: ``mask`` has the axes of the labels without C; ``None`` is
    everywhere. What lies outside the mask is unknown, not background."""

    image: Volume
    labels: Volume
    mask: NDArray[np.bool_] | None = None

    @property
    def counted(self) -> Volume:
        """The labels, with background where they do not count."""
        if self.mask is None:
            return self.labels
        there = np.expand_dims(self.mask, self.labels.axes.index("C")) if "C" in self.labels.axes else self.mask
        return replace(self.labels, data=np.where(there, np.asarray(self.labels.data), 0))


def occurring(labels: Volume) -> NDArray[np.int64]:
    """The numbers that occur in labels, or the planes (from 1) that hold something."""
    ids = np.asarray(labels.data)
    if "C" not in labels.axes:
        return np.unique(ids)
    return 1 + np.flatnonzero((ids > 0).any(tuple(k for k, axis in enumerate(labels.axes) if axis != "C")))


class Named(Protocol):
    """What is known of something to learn from before it is read. Those of one ``group`` (a patient, an image) are
    never on both sides of a split, nor are groups of one ``patient``, where that is known besides (else it is empty).

    ``split`` is "train" or "val". ``about`` is what a model's history keeps of it.
    """

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str: ...

    @property
    def patient(self) -> str: ...

    @property
    def split(self) -> str: ...

    @property
    def about(self) -> Mapping[str, Any]: ...


class Lesson(Named, Protocol):
    """Something to learn from."""

    def load(self) -> Labelled: ...


@dataclass(frozen=True)
class Case:
    """An image and its labels on disk, and where there is a ``mask`` the file of where they count (not 0).

    ``axes`` names the dimensions of the image where its file does not; those of the labels are the same without C and
    S, and with a C where they hold a plane for each class.
    """

    name: str
    image: Path
    labels: Path
    group: str
    split: str = "train"
    axes: str | None = None
    mask: Path | None = None

    @property
    def patient(self) -> str:
        return ""

    @property
    def about(self) -> Mapping[str, Any]:
        return {}

    def read(self) -> tuple[Volume, Volume]:
        """Image and labels as they lie in their files, whether they fit or not."""
        image = read_answered(self.image, self.axes)
        return image, self._read_labels(image)

    def load(self) -> Labelled:
        """Raises ``SegError`` where image and labels do not lie on the same grid."""
        return self.labelled(*self.read())

    def labelled(self, image: Volume, labels: Volume) -> Labelled:
        """The same of an image and labels that were read, and perhaps mended since."""
        labels = fitting(self.name, image, labels)
        return Labelled(image, labels, self._read_mask(image, labels))

    def _read_mask(self, image: Volume, labels: Volume) -> NDArray[np.bool_] | None:
        """Where the labels count, from the file of the mask, if there is one."""
        if self.mask is None:
            return None
        axes = labels.mask_axes()
        mask = as_its_image(replace(self, labels=self.mask)._read_labels(labels), image)
        if in_one_space(mask, image) is not None and (mask.grid != image.grid or apart(mask, image)):
            mask = onto_grid(mask, image)
        values = np.asarray(mask.data)
        if "C" in mask.axes and mask.size("C") == 1:
            values = values.squeeze(mask.axes.index("C"))
        shape = tuple(labels.size(axis) for axis in axes)
        if values.shape != shape:
            raise SegError(
                f"{self.name}: the mask of where labels count has the shape {values.shape}, the labels {shape}; save "
                "it with one value for each pixel of the labels."
            )
        return np.asarray(values != 0)

    def _read_labels(self, image: Volume) -> Volume:
        """The labels; of what their dimensions could be, only that is left which lies on the image."""
        try:
            return read(self.labels)
        except ChoiceNeeded as question:
            wanted = {*image.axes} - {*"CS"}
            fitting = [choice.value for choice in question.choices if {*choice.value} - {"C"} == wanted]
            answered = "".join(axis for axis in (self.axes or "").upper() if axis not in "CS")
            fitting = [answered] if answered in fitting else fitting
            found = [
                labels for labels in (read(self.labels, axes=axes) for axes in fitting) if labels.grid == image.grid
            ]
            if question.parameter != "axes" or len(found) != 1:
                raise
            return found[0]


def fitting(name: str, image: Volume, labels: Volume) -> Volume:
    """The labels as training takes them: one int64 for each pixel, or uint8 planes along C, 1 inside the class of a
    plane. Raises ``SegError`` where they do not fit the image."""
    labels = as_its_image(labels, image)
    if image.grid != labels.grid:
        raise SegError(f"{name}: the image has {image.grid} voxels, its labels {labels.grid}; make them equal.")
    if apart(labels, image):
        raise SegError(f"{name}: the labels lie in another place than the image; save them in the grid of that.")
    values = np.asarray(labels.data)
    if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
        raise SegError(f"{name}: the labels hold fractions; save them as whole numbers.")
    if "S" in labels.axes:
        raise SegError(f"{name}: the labels are a colour picture; save them as whole numbers.")
    if image.size("T") != labels.size("T"):
        raise SegError(
            f"{name}: the image has {image.size('T')} points in time, its labels {labels.size('T')}; make them equal."
        )
    if labels.size("C") > 1:
        return replace(labels, data=(values > 0).astype(np.uint8))
    if "C" in labels.axes:  # a single plane shares its pixels with no other
        values = values.squeeze(labels.axes.index("C"))
    return replace(labels, data=values.astype(np.int64), axes=labels.axes.replace("C", ""), channels=())


class Cases(tuple[Case, ...]):
    """Cases, and in ``notes`` what a person should know of how they were chosen."""

    notes: tuple[str, ...]

    def __new__(cls, cases: Iterable[Case], notes: Iterable[str] = ()) -> Self:
        found = super().__new__(cls, cases)
        found.notes = tuple(notes)
        return found


def find_cases(
    data: str | Path,
    *,
    split: str | Path | None = None,
    where: Mapping[str, str] | None = None,
    hold_out: str | None = None,
    axes: str | None = None,
    masks: str | Path | None = None,
    task: TaskKind | None = None,
) -> Cases:
    """The cases of a folder with ``images/`` and ``labels/``, each marked ``train`` or ``val``.

    ``split`` is a CSV with the columns name and split, and optionally group and others, by which ``where`` selects; see
    :func:`~napari_seg.training.split.read_split`. Rows that are held out (``hold_out``, without it ``test``) are left
    out before any file is opened. Without a ``split`` images of one subject, by names as in BIDS, are a group. Without
    rows marked ``val`` a part of the rest is taken for validation, whole groups only, the same at every call; where the
    ``task`` is said, none that alone holds something of what that learns. ``masks`` is a folder with the masks of where
    labels count (not 0), one for each image. Raises ``SegError`` where nothing pairs, where the split divides a group,
    and for axes that no image has.
    """
    data = at_home(data)
    refuse_unknown(axes, f"the images in {data / 'images'}")
    pairs, notes = _pairs(data, split, where, hold_out)
    counting = None if masks is None else _by_stem(at_home(masks), "put a mask of the name of each image there")
    cases = []
    for pair in pairs:
        if pair.row.side == "held out":
            continue
        case = pair.case(axes)
        if counting is not None and case.name not in counting:
            raise SegError(
                f"{masks} holds no mask for {case.name}; add one, of ones where its labels count everywhere."
            )
        cases.append(case if counting is None else replace(case, mask=counting[case.name]))
    if not cases:
        raise SegError(
            f"No image in {data / 'images'} is left to learn from; check the names, the split and the selection."
        )
    if {case.split for case in cases} == {"train"}:
        cases = _with_validation(cases, task)
    return Cases(cases, notes)


def find_tests(
    data: str | Path,
    *,
    split: str | Path | None = None,
    where: Mapping[str, str] | None = None,
    hold_out: str | None = None,
    axes: str | None = None,
) -> Cases:
    """The cases that :func:`find_cases` leaves out, to measure a model on; without a ``split`` all of the folder.
    Raises ``SegError`` as that does, and where nothing is held out."""
    data = at_home(data)
    refuse_unknown(axes, f"the images in {data / 'images'}")
    pairs, notes = _pairs(data, split, where, hold_out)
    cases = [pair.case(axes) for pair in pairs if split is None or pair.row.side == "held out"]
    if not cases:
        cure = "name what is held out with --hold-out, or leave --split away to take all images"
        raise SegError(f"No image in {data / 'images'} is held out in {Path(split or data).name}; {cure}.")
    return Cases((replace(case, split="test") for case in cases), notes)


class _Pair(NamedTuple):
    """A row of the split, its image and its labels, if there are any."""

    row: Row
    image: Path
    labels: Path | None

    def case(self, axes: str | None) -> Case:
        """Raises ``SegError`` where there are no labels."""
        row = self.row
        if self.labels is None:
            folder = self.image.parent.with_name("labels")
            raise SegError(f"{folder} holds no labels for {row.name}; add them or take the image out.")
        return Case(row.name, self.image, self.labels, row.group, row.side, axes)


def _pairs(
    data: Path, split: str | Path | None, where: Mapping[str, str] | None, hold_out: str | None
) -> tuple[list[_Pair], tuple[str, ...]]:
    """The images of a folder that the split selects, with their labels; and what a person should know of the split."""
    cure = "put images in images/ and labels of the same names in labels/"
    images, labels = (_by_stem(data / folder, cure) for folder in ("images", "labels"))
    groups = {name: subject_of(name) or name for name in images}
    if len({*groups.values()}) == 1:
        groups = {name: name for name in images}
    rows, notes = tuple(Row(name, "train", groups[name], "train") for name in images), tuple[str, ...]()
    if split is not None:
        rows = tuple(_named(read_split(at_home(split), where or {}, hold_out), images))
        if is_one_group(rows):
            notes = (f"All rows are of one group ({rows[0].group}): scores of images that are alike promise too much.",)
            rows = tuple(replace(row, group=row.name) for row in rows)
        rows = undivided(rows)
        notes += _notes(rows, images)
    return [_Pair(row, images[row.name], labels.get(row.name)) for row in rows if row.name in images], notes


def _named(rows: Iterable[Row], images: Mapping[str, Path]) -> Iterator[Row]:
    """The rows with the names of images, where the names of their files are listed."""
    stems = {path.name: name for name, path in images.items()}
    for row in rows:
        name = row.name if row.name in images else stems.get(row.name, row.name)
        yield replace(row, name=name, group=name if row.group == row.name else row.group)


def _notes(rows: Sequence[Row], images: Mapping[str, Path]) -> tuple[str, ...]:
    """What became of the rows and of the images, in sentences."""
    listed = {row.name for row in rows}
    return (
        counted(rows),
        *(
            f"{len(names)} {what}: {first_of(names)}."
            for names, what in (
                ([row.name for row in rows if row.name not in images], "of the names in the split have no image"),
                ([name for name in images if name not in listed], "of the images are not selected by the split"),
            )
            if names
        ),
    )


def _by_stem(folder: Path, cure: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise SegError(f"There is no folder {folder}; {cure}.")
    return images_by_stem(folder)


def _with_validation(cases: Sequence[Case], task: TaskKind | None) -> list[Case]:
    groups = sorted({case.group for case in cases})
    count = min(max(1, round(len(groups) * VALIDATION_SHARE)), len(groups) - 1)

    @cache
    def holds(group: str) -> frozenset[int]:
        return frozenset(number for case in cases if case.group == group for number in _learnable(case, task))

    def is_learned_without(gone: Collection[str]) -> bool:
        left = set().union(*map(holds, gone))
        for group in groups:
            if not left:
                break
            left -= holds(group) if group not in gone else set()
        return not left

    taken = set[str]()
    for group in np.random.default_rng(0).permutation(groups).tolist():
        if len(taken) < count and is_learned_without({*taken, group}):
            taken.add(group)
    return [replace(case, split="val") if case.group in taken else case for case in cases]


def _learnable(case: Case, task: TaskKind | None) -> Collection[int]:
    """What of a task can be learned from a case: the numbers of its classes, 1 where objects are. Nothing of what
    cannot be read; that is for the data check to say."""
    if task is None:
        return ()
    with suppress(SegError):
        numbers = {*occurring(case.load().counted).tolist()} - {0}
        return numbers if task == "semantic" else {1} if numbers else ()
    return ()
