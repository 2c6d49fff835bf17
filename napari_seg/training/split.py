"""The split: a table that says what is learned from, what is validated on and what is never looked at."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

from napari_seg.errors import SegError
from napari_seg.files import cause_of

_SUBJECT = re.compile(r"sub-[0-9A-Za-z]+(?=_)")

HELD_OUT = "test"
"""The split that is held out where nobody names another."""

_VALIDATION = {"val", "valid", "validation", "dev", "development"}
_TEST = {"test", "testing", "holdout", "heldout"}
"""What means validation or test to everybody, in small letters and without what is between or behind (``-``, set)."""

Side = Literal["train", "val", "held out"]

_WORDS: dict[Side, str] = {"train": "for training", "val": "for validation", "held out": "held out"}


@dataclass(frozen=True)
class Row:
    """A case as the table has it: ``split`` is the word that stands there, ``side`` what it means."""

    name: str
    split: str
    group: str
    side: Side


def read_split(path: Path, where: Mapping[str, str], hold_out: str | None) -> tuple[Row, ...]:
    """The rows of a CSV file with the columns name and split that ``where`` selects by other columns.

    Blanks around words do not count, and ``Test`` is ``test``. Rows whose split is ``hold_out`` are held out (``None``:
    :data:`HELD_OUT`, if there are such rows; empty: none is), ``val`` is for validation, every other word for training.
    Raises ``SegError`` where nothing is held out though a word for it was given, and for another word for validation,
    or for test where nobody said what is held out: nobody means to learn from those.
    """
    table = _table(path)
    missing = {"name", "split", *where} - set(table[0] if table else ())
    if missing:
        raise SegError(f"The split {path.name} has no column {min(missing)}; add it or select by another.")
    word = (HELD_OUT if hold_out is None else hold_out).strip().casefold()
    rows = []
    for line in table:
        if any(line[column] != value.strip() for column, value in where.items()):
            continue
        name, split = line["name"], line["split"]
        if not (name and split):
            raise SegError(f"A row of {path.name} lacks the name or the split ({name or split}); fill it in.")
        sides: dict[str, Side] = {"val": "val", word: "held out"}
        row = Row(name, split, line.get("group") or subject_of(name) or name, sides.get(split.casefold(), "train"))
        if row.side == "train" and (cure := _cure(split, named=hold_out is not None)):
            raise SegError(f"{name} has the split {split!r} in {path.name}, which would be learned from; {cure}.")
        rows.append(row)
    if hold_out and rows and not any(row.side == "held out" for row in rows):
        found = ", ".join(sorted({row.split for row in rows}))
        raise SegError(
            f"No row that is selected of {path.name} has the split {hold_out} to hold out; name one of {found}."
        )
    return tuple(rows)


def _cure(word: str, *, named: bool) -> str:
    """What to do about a word that stands for training and cannot be meant so; empty for others. ``named``: whether a
    person said what is held out, and so that the rest is not."""
    if not word.isprintable():
        return "it holds signs that nobody sees, so write it anew"
    meant = re.sub(r"[\W_]", "", word.casefold()).removesuffix("set")
    if meant in _VALIDATION:
        return "write val or train"
    return "" if named or meant not in _TEST else f"write {HELD_OUT}, or hold it out with --hold-out {quote(word)}"


def subject_of(name: str) -> str:
    """The subject that a file is named after in the way of BIDS (Gorgolewski et al., Sci. Data 2016), such as the
    ``sub-01`` of ``sub-01_T2w.nii.gz``; empty where it is not."""
    found = _SUBJECT.match(name)
    return found[0] if found else ""


def read_groups(path: Path) -> dict[str, str]:
    """The groups (patients) of images by their names, from a CSV file with the columns name and group."""
    table = _table(path)
    if missing := {"name", "group"} - set(table[0] if table else ()):
        raise SegError(f"The table {path.name} has no column {min(missing)}; add it.")
    found = dict[str, str]()
    for line in table:
        if found.setdefault(line["name"], line["group"]) != line["group"]:
            raise SegError(f"The table {path.name} names {line['name']} with two groups; keep one of the rows.")
    return found


def is_one_group(rows: Iterable[Row]) -> bool:
    """Whether all rows are of one group and yet on several sides: the table then knows of no groups."""
    rows = tuple(rows)
    return len({row.group for row in rows}) == 1 and len({row.side for row in rows}) > 1


def undivided(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows, each name once. Raises ``SegError`` where a name is listed in two ways or a group is on two sides."""
    by_name: dict[str, Row] = {}
    by_group: dict[str, Row] = {}
    for row in rows:
        same = by_name.setdefault(row.name, row)
        if (same.split.casefold(), same.group) != (row.split.casefold(), row.group):
            raise SegError(
                f"The split lists {row.name} twice, as {same.split} of {same.group} and as {row.split} of {row.group}; "
                "keep one of the rows."
            )
        other = by_group.setdefault(row.group, row)
        if other.side != row.side:
            raise SegError(
                f"The group {row.group} is both {_WORDS[other.side]} ({other.name}) and {_WORDS[row.side]} "
                f"({row.name}); mend the split, so that it is on one side."
            )
    return tuple(by_name.values())


def counted(rows: Iterable[Row]) -> str:
    """How many rows are on which side, and by which words, in a line."""
    found = Counter((row.side, row.split) for row in rows)
    parts = (f"{count} {_WORDS[side]} ({split})" for (side, split), count in sorted(found.items()))
    return f"Rows of the split: {', '.join(parts)}."


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[word.strip() for word in line] for line in csv.reader(file)]
    except OSError as error:
        cure = "ask its owner for the permission" if isinstance(error, PermissionError) else "check the name"
        raise SegError(f"The table {path} cannot be read ({cause_of(error)}); {cure}.") from None
    except (UnicodeDecodeError, csv.Error):
        raise SegError(
            f"The table {path} cannot be read; give a CSV file with the columns name and split or group."
        ) from None
    head, *rest = [line for line in lines if any(line)] or [[]]
    return [dict(zip(head, [*line, *[""] * len(head)], strict=False)) for line in rest]
