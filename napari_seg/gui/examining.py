"""What there is to learn from is looked at before a training: what is wrong with it, and what would be trained and why.

The engine does that when nothing has changed for a moment, and gives it up at once where it is needed for more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_seg.gui.engine import Engine, Finished, Message, Progressed
from napari_seg.gui.state import Cure, Finding

REST = 1.0
"""Seconds without a change."""

MOST = 3
"""So many findings are shown at once, what must be mended first."""

Lesson = dict[str, Any]


class Examining:
    """One for each window. ``findings``: of what is wanted now; ``reasons``: why a new model would be as planned, a
    sentence each; ``chosen``: what the plan chose of what can be set; ``agreed``: the sentences of what a person wants
    mended on its way into the training."""

    changed = Signal()

    def __init__(self, engine: Engine) -> None:
        self._engine, self._clock = engine, time.monotonic
        self._wanted: tuple[Sequence[Lesson], Mapping[str, Any], Any] = ((), {}, ())
        self._since = 0.0
        self._order = 0
        self._asked = True
        self._found: list[dict[str, Any]] = []
        self.agreed: frozenset[str] = frozenset()
        self.reasons: tuple[str, ...] = ()
        self.chosen: Mapping[str, Any] = {}
        engine.said.connect(self._hear)

    def want(self, lessons: Sequence[Lesson], settings: Mapping[str, Any], heard: Any) -> None:
        """What is to be looked at; nothing for empty ``lessons``. ``heard``: by which it is told that it is another."""
        wanted = (lessons, settings, heard)
        if wanted == self._wanted:
            return
        if self._order:
            self._engine.cancel(self._order)
            self._order = 0
        self._wanted, self._since, self._asked = wanted, self._clock(), False
        self._found, self.reasons = [], ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What must be mended first, then what to know; what a person agreed to can be taken back."""
        return tuple(map(self._finding, self._found[:MOST]))

    @property
    def left_out(self) -> frozenset[tuple[Path, int]]:
        """The images that the training does without, as was agreed."""
        return frozenset((Path(folder), image) for one in self._mended() for folder, image in one["left_out"])

    @property
    def mend(self) -> dict[str, Any] | None:
        """What the training is told to mend, if it is found there again."""
        settings = self._wanted[1]
        if not (self.agreed and settings):
            return None
        return {"agreed": sorted(self.agreed), "task": settings["task"], "classes": len(settings["classes"])}

    def toggle(self, sentence: str) -> None:
        """Agree to the fix of a finding, or no more."""
        self.agreed ^= {sentence}
        self._since, self._asked = self._clock(), False  # another plan may come of it
        self.changed.emit()

    def _mended(self) -> list[dict[str, Any]]:
        return [one for one in self._found if one["sentence"] in self.agreed]

    def _finding(self, one: Mapping[str, Any]) -> Finding:
        sentence, fix = one["sentence"], one["fix"]
        if sentence in self.agreed:
            undo = Cure("Leave it as it is", "mend", sentence)
            return Finding("note", f"{sentence} You chose: {fix[:1].lower()}{fix[1:]}.", (undo,))
        return Finding("warning" if one["stops"] else "note", sentence, (Cure(fix, "mend", sentence),) if fix else ())

    def tick(self, with_volumes: Callable[[Sequence[Lesson]], list[Lesson]]) -> None:
        lessons, settings, _ = self._wanted
        if lessons and not self._asked and self._clock() - self._since >= REST:
            self._asked = True
            self._order = self._engine.order(
                "examine", lessons=with_volumes(lessons), settings=dict(settings), agreed=sorted(self.agreed)
            )

    def _hear(self, message: Message) -> None:
        if not self._order or message.order != self._order or isinstance(message, Progressed):
            return
        self._order = 0
        if isinstance(message, Finished):  # else the training itself will say what is wrong
            answer = message.answer
            self._found = sorted(answer["findings"], key=lambda one: not one["stops"])
            self.reasons = tuple(_sentence(*reason) for reason in answer["plan"])
            plan = {setting: chosen for setting, chosen, _ in answer["plan"]}
            if "ndim" in plan:
                self.chosen = {"ndim": int(plan["ndim"][0])}
            if answer["advice"] is not None:
                self.chosen = {**self.chosen, "network": answer["advice"][1]}
        self.changed.emit()


def _sentence(setting: str, chosen: str, why: str) -> str:
    """A choice and its reason; a network is named in the reason."""
    return why if setting == "network" else f"{chosen[:1].upper()}{chosen[1:]}: {why}"
