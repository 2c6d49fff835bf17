"""``napari-seg check``: what is wrong with images and labels before a training, and what would be trained on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_seg.choices import TaskKind
from napari_seg.cli.console import put, put_json, put_table, say, watch
from napari_seg.cli.options import (
    Axes,
    Data,
    Fixes,
    HoldOut,
    Json,
    SplitTable,
    Task,
    Where,
    pairs,
    refuse_clashes,
)
from napari_seg.errors import SegError

if TYPE_CHECKING:
    from napari_seg.training.cases import Cases, Lesson
    from napari_seg.training.check import Wanted


def check(
    data: Data,
    task: Task,
    split: SplitTable = None,
    where: Where = None,
    hold_out: HoldOut = None,
    axes: Axes = None,
    fix: Fixes = None,
    json: Json = False,
) -> None:
    """Look at images and labels before a training: what is wrong, how it can be mended, what would be trained."""
    from napari_seg.training.check import Wanted
    from napari_seg.training.check import check as run
    from napari_seg.training.mending import FIXES, mended
    from napari_seg.training.plan import Facts, TrainSpec, plan
    from napari_seg.training.reasons import reasons
    from napari_seg.training.test_set import findings

    refuse_clashes(None, None, split, where=where, hold_out=hold_out)
    agreed = known_fixes(fix)
    cases = cases_in(data, split, where=where, hold_out=hold_out, axes=axes, task=task)
    marked = watch(findings(cases), "Looking for images of the test set")
    found = (*marked, *watch(run.steps(cases, Wanted(task)), "Looking"))
    left = [finding for finding in found if finding.fix not in agreed]
    planned: list[Mapping[str, str]] = []
    if not any(finding.stops for finding in left):
        spec = TrainSpec.from_person({"task": task})
        lessons = [case for case in mended(cases, found, agreed) if case.split == "train"]
        facts = [Facts.of(*case.load()[:2], spec) for case in lessons]
        planned = [reason._asdict() for reason in reasons(facts, spec, plan(facts, spec))]
    if json:
        put_json({"findings": [{**vars(finding)} for finding in left], "plan": planned})
        return
    for finding in left:
        cure = f" {FIXES[finding.fix].label}: --fix {finding.fix.replace(' ', '-')}" if finding.fix else ""
        put(f"{'must be mended' if finding.stops else 'look at it'}: {finding.sentence}{cure}")
    if not left:
        put(f"Nothing is wrong with the {len(cases)} cases.")
    if planned:
        put_table(("setting", "chosen", "why"), [tuple(reason.values()) for reason in planned])


def cases_in(
    data: Path,
    split: Path | None,
    *,
    where: list[str] | None,
    hold_out: str | None,
    axes: str | None,
    task: TaskKind,
    masks: Path | None = None,
) -> Cases:
    """The cases of a folder by the flags that say which; what a person should know of the choice is said."""
    from napari_seg.training.cases import find_cases

    cases = find_cases(data, split=split, where=pairs(where), hold_out=hold_out, axes=axes, masks=masks, task=task)
    for note in cases.notes:
        say(note)
    return cases


def checked(cases: Cases, wanted: Wanted, agreed: Collection[str], *, as_json: bool = False) -> Sequence[Lesson]:
    """The cases as they are learned from: mended where that was agreed, what else was found is said.

    Raises ``SegError`` where something stops a training that was not mended, or belongs to the independent test set.
    """
    from napari_seg.training.check import check as run
    from napari_seg.training.mending import mended
    from napari_seg.training.test_set import refuse

    watch(refuse(cases), "Looking for images of the test set", as_json=as_json)
    found = watch(run.steps(cases, wanted), "Looking at the data", as_json=as_json)
    left = [finding for finding in found if finding.fix not in agreed]
    for finding in left:
        if finding.stops:
            cure = f" Add --fix {finding.fix.replace(' ', '-')}, or mend the files." if finding.fix else ""
            raise SegError(finding.sentence + cure)
        say(finding.sentence)
    return mended(cases, found, agreed) if agreed else cases


def known_fixes(names: Sequence[str] | None) -> frozenset[str]:
    """The fixes that a person named. Raises ``SegError`` for one that there is not."""
    from napari_seg.training.mending import FIXES

    spoken = {fix.replace(" ", "-"): fix for fix in FIXES}
    unknown = sorted({*(names or ())} - {*spoken})
    if unknown:
        raise SegError(f"There is no fix {unknown[0]}; choose among {', '.join(spoken)}.")
    return frozenset(spoken[name] for name in names or ())
