"""What came out of a run, in words: how much was found, what it took, and what to do next."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from napari_seg.gui.results import Target
from napari_seg.gui.state import Outcome, Thresholds
from napari_seg.gui.words import amount, duration
from napari_seg.wording import count_of


def outcome_of(target: Target, answer: Mapping[str, Any], notes: tuple[str, ...]) -> Outcome:
    """The outcome of a prediction from the engine's answer to ``predict``."""
    headline, *lines = found(target, answer["sizes"])
    settings = answer["settings"]
    spent = f"{duration(answer['seconds'])} on {settings['device'].upper()} ({settings['precision']})"
    used = _thresholds(target, settings)
    advice = _advice(answer["sizes"], used)
    return Outcome(headline, lines=tuple(lines), notes=(spent, *notes), advice=advice, thresholds=used)


def again(outcome: Outcome, target: Target, sizes: Sequence[Sequence[int]]) -> Outcome:
    """The outcome once other thresholds have found objects of these ``sizes``."""
    headline, *lines = found(target, sizes)
    return replace(outcome, headline=headline, lines=tuple(lines), advice=_advice(sizes, outcome.thresholds))


def unchanged(outcome: Outcome) -> Outcome:
    """The outcome where the mask is as it was."""
    stays = "What you corrected, accepted or finished stays; the rest came out as it was."
    return replace(outcome, headline="Nothing was changed", lines=(outcome.headline, *outcome.lines, stays))


def found(target: Target, sizes: Sequence[Sequence[int]]) -> list[str]:
    """What was found: a headline and a line for each class, or for the typical object."""
    names, volume = target.model.task.names, target.volume
    if not sizes:
        return ["Nothing was found"]
    if target.objects:
        middle = statistics.median(count for _, count in sizes)
        each = ", each time point for itself" if volume.size("T") > 1 else ""
        return [f"{count_of(len(sizes), 'object')} found{each}", f"{names[0]}: median {amount(middle, volume)}"]
    by_label = {int(label): int(count) for label, count in sizes}
    lines = [f"{name}: {amount(by_label.get(k + 1, 0), volume)}" for k, name in enumerate(names)]
    there = sum(label in by_label for label in range(1, len(names) + 1))
    return [f"{there} of {len(names)} classes found" if len(names) > 1 else f"Found {names[0]}", *lines]


def _advice(sizes: Sequence[Sequence[int]], thresholds: Thresholds | None) -> str:
    if sizes:
        return "Review it on page Review, what is doubtful first; correct it by hand on page Correct; then save it."
    teach = "or draw some by hand on page Correct and let it learn on page Train."
    if thresholds:
        return (
            "Lower Outline; if nothing appears, look at the preview and choose another channel, object size or model, "
            + teach
        )
    return f"Look at the preview and choose another channel or model, {teach}"


def _thresholds(target: Target, settings: Mapping[str, Any]) -> Thresholds | None:
    """The thresholds that were used, for a task that decodes stored scores with some."""
    task = target.model.task
    if task.kind != "instance":
        return None
    own = {name: getattr(task, name) for name in ("threshold", "seeds", "smallest")}
    return Thresholds(**{name: value if settings[name] is None else settings[name] for name, value in own.items()})
