"""What the page of a project shows, as one frozen value, and the words in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from napari_seg.data.formats import stem
from napari_seg.gui.state import Finding, Question, Running
from napari_seg.gui.words import STATE_WORDS, duration, measured
from napari_seg.session.cases import Case, CaseState
from napari_seg.session.projects import Recent
from napari_seg.wording import count_of

RowState = CaseState | Literal["waiting", "running", "failed"]

ROW_WORDS = {
    "new": "not segmented",
    "waiting": "waiting",
    "running": "segmenting",
    "failed": "✗ failed",
    "unseen": "unseen",
    "in work": "in work",
    **STATE_WORDS,
}
"""How a state is shown, in the order of a list."""

_MINUTE = 60.0
"""Seconds from which on it is said how long somebody worked on an image."""

_SUMMED: tuple[RowState, ...] = ("accepted", "flagged", "rejected", "in work", "unseen", "failed")


@dataclass(frozen=True)
class CaseRow:
    """One image. ``amount``: what is in its mask, in words; ``size``: by which that is sorted; ``detail``: by class.

    ``doubt``: the share of the mask that the model expects to be wrong. ``why``: what went wrong, in a sentence.
    ``title``: what it is called. ``spent``: the time that went into it. ``patient``: the mark of the one that it is of.
    ``missing``: its file is not where it was. ``known``: the project has a mask of it, so that something can be said of
    it, whatever is being done with it.
    """

    path: Path
    state: RowState = "new"
    amount: str = ""
    size: float | None = None
    doubt: float | None = None
    comment: str = ""
    why: str = ""
    detail: str = ""
    title: str = ""
    spent: str = ""
    patient: str = ""
    missing: bool = False
    known: bool = False

    @property
    def name(self) -> str:
        """What it is called in the list."""
        return self.title or stem(self.path)


@dataclass(frozen=True)
class Folder:
    """The whole page.

    ``name``: of the project. ``recent``: projects that were worked on, before one is chosen. ``searching``: for more
    images. ``missing``: how many are not where they were. ``to_add``: how many are open and not in the project.
    ``told``: what came of what a person asked for. ``looking``: at the first image, for which model suits. ``due``: how
    many images wait for a mask, ``renewed`` of them for one in the place of another model's; ``again``: how many were
    tried in vain. ``place``: the folder in which the masks are kept. ``current``: the image that is open from the list,
    ``coming`` the one on its way.
    """

    folder: Path | None = None
    name: str = ""
    recent: tuple[Recent, ...] = ()
    reading: bool = False
    searching: bool = False
    missing: int = 0
    to_add: int = 0
    told: str = ""
    looking: bool = False
    rows: tuple[CaseRow, ...] = ()
    models: tuple[tuple[Path, str], ...] = ()
    model: Path | None = None
    model_words: str = ""
    channels: tuple[str, ...] = ()
    channel: str = ""
    findings: tuple[Finding, ...] = ()
    question: Question | None = None
    running: Running | None = None
    due: int = 0
    renewed: int = 0
    again: int = 0
    summary: str = ""
    saved: str = ""
    place: str = ""
    current: Path | None = None
    coming: Path | None = None

    @property
    def can_run(self) -> bool:
        ready = self.model is not None and self.question is None and self.running is None
        return ready and not (self.reading or self.looking) and self.due + self.again > 0 and not self.refused

    @property
    def refused(self) -> bool:
        return any(finding.level == "refusal" for finding in self.findings)


def row_of(path: Path, case: Case | None, trouble: str, title: str = "") -> CaseRow:
    """A row from what the project knows of an image, and what went wrong with it."""
    if case is None or case.state == "new":
        return CaseRow(path, "failed" if trouble else "new", why=trouble, title=title)
    amount, size, detail = "", None, ""
    if case.objects is not None:
        amount, size = count_of(case.objects, "object"), float(case.objects)
    elif case.voxels is not None:
        total = sum(case.voxels.values())
        amount, size = _measured(total, case), float(total)
        detail = "\n".join(f"{name}: {_measured(count, case)}" for name, count in case.voxels.items())
    doubt = None if case.predicted is None else case.predicted.doubt
    spent = f"{duration(case.seconds)} of work" if case.seconds >= _MINUTE else ""
    about = amount, size, doubt, case.comment, trouble, detail, title, spent, case.patient
    return CaseRow(path, case.state, *about, known=True)


def _measured(voxels: int, case: Case) -> str:
    image = case.image
    return measured(voxels, len(image.grid), image.spacing, image.unit)


def summary_of(rows: Sequence[CaseRow]) -> str:
    """``12 images: 3 accepted, 8 unseen, 1 failed``."""
    counts = Counter(row.state for row in rows)
    parts = [f"{counts[state]} {ROW_WORDS[state].split()[-1] if state != 'in work' else state}" for state in _SUMMED]
    images = count_of(len(rows), "image")
    there = [part for part, state in zip(parts, _SUMMED, strict=True) if counts[state]]
    return f"{images}: {', '.join(there)}" if there else images


def seen_words(rows: Sequence[CaseRow]) -> str:
    """``3 of 40 images seen``; empty where there are none."""
    seen = sum(row.state in ("in work", "accepted", "rejected", "flagged") for row in rows)
    return f"{seen} of {count_of(len(rows), 'image')} seen" if rows else ""


def worst_first(rows: Sequence[CaseRow]) -> list[CaseRow]:
    """The rows, those of which the model expects most to be wrong first; those it knows nothing of last."""
    return sorted(rows, key=lambda row: -1.0 if row.doubt is None else row.doubt, reverse=True)


def next_case(rows: Sequence[CaseRow], current: Path | None) -> Path | None:
    """The case to open after ``current``: the first unseen one in the order of ``rows``, else the first in work."""
    for state in ("unseen", "in work"):
        found = [row.path for row in rows if row.state == state and row.path != current and not row.missing]
        if found:
            return found[0]
    return None
