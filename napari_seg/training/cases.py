"""What is learned from: images and labels paired by stem, split without ever dividing a group (a patient, an
examination)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from napari_seg.data.formats import images_in, read, stem
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError

VALIDATION_SHARE = 0.15


@dataclass(frozen=True)
class Case:
    """An image and its labels on disk. Cases of the same ``group`` are never on both sides of a split.

    ``axes`` names the dimensions of the image where its file does not; those of the labels are the same without C and
    S, and with a C where they hold a plane for each class.
    """

    name: str
    image: Path
    labels: Path
    group: str
    split: str = "train"
    axes: str | None = None

    def load(self) -> tuple[Volume, Volume]:
        """Image and labels: one int64 for each pixel, or uint8 planes along C, 1 inside the class of a plane.

        Raises ``SegError`` where they do not lie on the same grid.
        """
        image = read(self.image, axes=self.axes)
        labels = self._read_labels(image)
        if image.grid != labels.grid:
            raise SegError(
                f"{self.name}: the image has {image.grid} voxels, its labels {labels.grid}; make them equal."
            )
        values = np.asarray(labels.data)
        if values.dtype.kind == "f" and not np.array_equal(values, np.rint(values)):
            raise SegError(f"{self.name}: the labels hold fractions; save them as whole numbers.")
        if "S" in labels.axes:
            raise SegError(f"{self.name}: the labels are a colour picture; save them as whole numbers.")
        if image.size("T") != labels.size("T"):
            raise SegError(
                f"{self.name}: the image has {image.size('T')} points in time, its labels {labels.size('T')}; "
                "make them equal."
            )
        if labels.size("C") > 1:
            return image, replace(labels, data=(values > 0).astype(np.uint8))
        if "C" in labels.axes:  # a single plane shares its pixels with no other
            values = values.squeeze(labels.axes.index("C"))
        return image, replace(labels, data=values.astype(np.int64), axes=labels.axes.replace("C", ""), channels=())

    def _read_labels(self, image: Volume) -> Volume:
        """The labels; of what their dimensions could be, only that is left which lies on the image."""
        if self.axes:
            with suppress(SegError):  # there may be a dimension more, for planes; what else is wrong is said below
                return read(self.labels, axes="".join(axis for axis in self.axes if axis not in "CS"))
        try:
            return read(self.labels)
        except ChoiceNeeded as question:
            wanted = {*image.axes} - {*"CS"}
            fitting = [choice.value for choice in question.choices if {*choice.value} - {"C"} == wanted]
            found = [
                labels for labels in (read(self.labels, axes=axes) for axes in fitting) if labels.grid == image.grid
            ]
            if question.parameter != "axes" or len(found) != 1:
                raise
            return found[0]


def find_cases(
    data: str | Path,
    *,
    split: str | Path | None = None,
    where: Mapping[str, str] | None = None,
    hold_out: str = "test",
    axes: str | None = None,
) -> tuple[Case, ...]:
    """The cases of a folder with ``images/`` and ``labels/``, each marked ``train`` or ``val``.

    ``split`` is a CSV with the columns name and split, and optionally group and others, by which ``where`` selects.
    Rows whose split is ``hold_out`` are left out before any file is opened. Without rows marked ``val`` a part of the
    rest is taken for validation, whole groups only, the same at every call. Raises ``SegError`` where nothing pairs.
    """
    data = Path(data)
    images, labels = (_by_stem(data / folder) for folder in ("images", "labels"))
    rows = _rows(Path(split), where or {}) if split is not None else [{"name": name} for name in images]
    cases = []
    for row in rows:
        name = row["name"]
        if row.get("split") == hold_out or name not in images:
            continue
        if name not in labels:
            raise SegError(f"{data / 'labels'} holds no labels for {name}; add them or take the image out.")
        side = "val" if row.get("split") == "val" else "train"
        cases.append(Case(name, images[name], labels[name], row.get("group") or name, side, axes))
    if not cases:
        raise SegError(
            f"No image in {data / 'images'} is left to learn from; check the names, the split and the selection."
        )
    if {case.split for case in cases} == {"train"}:
        cases = _with_validation(cases)
    divided = {case.group for case in cases if case.split == "val"} & {
        case.group for case in cases if case.split == "train"
    }
    if divided:
        raise SegError(f"The group {min(divided)} is both for training and for validation; mend the split.")
    return tuple(cases)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise SegError(f"There is no folder {folder}; put images in images/ and labels of the same names in labels/.")
    return {stem(path): path for path in images_in(folder)}


def _rows(path: Path, where: Mapping[str, str]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise SegError(f"The split {path} cannot be read; give a CSV file with the columns name and split.") from None
    missing = {"name", "split", *where} - set(rows[0] if rows else ())
    if missing:
        raise SegError(f"The split {path.name} has no column {min(missing)}; add it or select by another.")
    return [row for row in rows if all(row[column] == value for column, value in where.items())]


def _with_validation(cases: Sequence[Case]) -> list[Case]:
    groups = sorted({case.group for case in cases})
    count = min(max(1, round(len(groups) * VALIDATION_SHARE)), len(groups) - 1)
    taken = set(np.random.default_rng(0).permutation(groups)[:count]) if count else set()
    return [replace(case, split="val") if case.group in taken else case for case in cases]
