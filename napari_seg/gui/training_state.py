"""What the Train page shows, as one frozen value. :mod:`~napari_seg.gui.training` makes it, the page draws it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from napari_seg.choices import NetworkKind, TaskKind
from napari_seg.gui.state import Failure, Finding, Running
from napari_seg.spec import Spec

Phase = Literal["empty", "ready", "running", "judged", "failed"]
"""Nothing can be learned from yet; a training can be started; one is under way; a new model waits for a decision or
has got it; one came to nothing."""

NEW = ""
"""The key of the model that is begun from nothing."""


class Improving(Spec):
    """How a model is improved; what the engine calls ``RetrainSpec`` has the same names."""

    learning_rate: float = Field(1e-3, gt=0)
    old_share: float = Field(0.8, ge=0, lt=1)
    patience: int = Field(10, ge=0)
    seed: int = Field(0, ge=0)


class Beginning(Spec):
    """A model that is begun from nothing; what the engine calls ``TrainSpec`` has the same names. What is ``None`` is
    chosen from the images when it starts."""

    task: TaskKind = "instance"
    network: NetworkKind = "unet"
    ndim: Literal[2, 3] = 2
    width: int | None = Field(None, ge=1, le=512)
    depth: int | None = Field(None, ge=1, le=8)
    norm: Literal["batch", "group", "instance"] = "batch"
    batch: int | None = Field(None, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    seed: int = Field(0, ge=0)


@dataclass(frozen=True)
class Unit:
    """One image or block on which two models were compared, and how well each did: 0..1."""

    name: str
    old: float
    new: float


@dataclass(frozen=True)
class Judgement:
    """Whether a new model is better than the old one, on what was held out of the ``corrections`` and on ``older``
    samples; as :mod:`napari_seg.training.adopt` says it."""

    decision: Literal["better", "worse", "undecided"]
    sentence: str
    corrections: tuple[Unit, ...] = ()
    older: tuple[Unit, ...] = ()

    @classmethod
    def of(cls, told: str | Mapping[str, Any] | None) -> Judgement | None:
        """From the JSON of a verdict."""
        if not told:
            return None
        known = json.loads(told) if isinstance(told, str) else told
        units = {name: tuple(_unit(unit) for unit in known.get(name, ())) for name in ("corrections", "older")}
        return cls(known["decision"], known["sentence"], **units)


def _unit(told: Any) -> Unit:
    return Unit(**{name: told[name] for name in ("name", "old", "new")}) if isinstance(told, Mapping) else Unit(*told)


@dataclass(frozen=True)
class Curve:
    """How a training goes: ``(share of it, loss)`` and ``(share of it, held-out score)``. ``before``: the score of the
    model that it began with, where that is known."""

    losses: tuple[tuple[float, float], ...] = ()
    scores: tuple[tuple[float, float], ...] = ()
    before: float | None = None


@dataclass(frozen=True)
class Shelved:
    """A line of the shelf: a model to go back to. ``about``: when, from what, how it was judged."""

    path: Path
    name: str
    about: str
    chosen: bool = False


@dataclass(frozen=True)
class Interrupted:
    """A training that was begun and can be gone on with."""

    path: Path
    words: str


@dataclass(frozen=True)
class Teaching:
    """The whole page. ``starts``: ``(key, title)`` of the models to begin with. ``lesson_words``: what is learned from,
    in words; ``images``: where that lies. ``start_words``: what becomes of the model. ``made``: its new name.
    ``taken``: which of the two was chosen. ``can_flick``: whether their masks can be compared on the image in hand.
    ``again``: whether that can be segmented anew. ``first_words``: what is said of a model from nothing; ``rough``: it
    finds more that is wrong than right, ``wants_time``: and will do better if it learns longer. ``outlook``: what more
    corrections would bring. ``trouble``: what could not be noted of the new model."""

    phase: Phase = "empty"
    starts: tuple[tuple[str, str], ...] = ()
    start: str = NEW
    start_words: str = ""
    lesson_words: str = ""
    findings: tuple[Finding, ...] = ()
    minutes: float = 5.0
    choices: Spec | None = None
    reasons: tuple[str, ...] = ()
    interrupted: Interrupted | None = None
    running: Running | None = None
    stopping: bool = False
    curve: Curve = Curve()
    headline: str = ""
    judgement: Judgement | None = None
    made: str = ""
    from_nothing: bool = False
    first_words: str = ""
    rough: bool = False
    wants_time: bool = False
    can_flick: bool = False
    taken: Literal["", "new", "old"] = ""
    again: bool = False
    failure: Failure | None = None
    trouble: str = ""
    outlook: str = ""
    shelf: tuple[Shelved, ...] = ()
    images: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return any(finding.level == "refusal" for finding in self.findings)

    @property
    def can_start(self) -> bool:
        return self.phase not in ("empty", "running") and not self.refused and bool(self.lesson_words)
