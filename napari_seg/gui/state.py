"""What the Segment page shows, as one frozen value. The controller makes it, the page draws what changed in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from napari_seg.choices import DeviceName, PrecisionName
from napari_seg.errors import Choice
from napari_seg.gui.words import duration, shortened
from napari_seg.jobs import Progress

Phase = Literal["empty", "ready", "running", "done", "failed"]
"""Nothing is open; a run can be started or is refused with a reason; one is under way; one is over."""


@dataclass(frozen=True)
class Options:
    """What a person may change before a run. Empty text: the default, which the page says beside it."""

    channel: str = ""
    diameter: float = 0.0
    region: Literal["whole", "slice", "box", "near"] = "whole"
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"


@dataclass(frozen=True)
class Thresholds:
    """The settings of the task that can be changed on stored scores; ``None`` where the task does not have it."""

    threshold: float
    seeds: float | None = None
    smallest: float | None = None


@dataclass(frozen=True)
class Cure:
    """One action that takes a finding away: ``words`` on its button; ``value`` is the file of a model, a region, or
    the finding that is to be mended.

    ``option`` leads to the option that has to be set by the person.
    """

    words: str
    kind: Literal["model", "region", "option", "size", "mend"]
    value: str


@dataclass(frozen=True)
class Finding:
    """Something to know before a run, and what the window itself can do about it. A ``refusal`` forbids the run."""

    level: Literal["note", "warning", "refusal"]
    text: str
    cures: tuple[Cure, ...] = ()


@dataclass(frozen=True)
class Device:
    """What the engine computes on, as it says when it has started; ``pace`` in multiplications a second."""

    device: str = ""
    precision: str = ""
    why: str = ""
    pace: float | None = None

    @property
    def words(self) -> str:
        return f"{self.device.upper()} ({self.precision})" if self.device else "The engine is starting"


@dataclass(frozen=True)
class Question:
    """What has to be answered in the page before a run."""

    text: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Running:
    """How far the run is: ``fraction`` in 0..1 and what it is doing, with the time left once it is known."""

    fraction: float
    words: str

    @classmethod
    def in_turn(cls, name: str, number: int, progress: Progress, left: float | None) -> Self:
        """Of things that are done one after the other: the one with this name and number, from 0, and the seconds
        until all are done."""
        words = f"{number + 1} of {progress.total:.0f}: {shortened(name)}"
        return cls(progress.fraction, words if left is None else f"{words}, {duration(left)} left in all")


@dataclass(frozen=True)
class Outcome:
    """What came out: a headline, lines below it, notes, what to do next, and thresholds that can still be changed.

    ``has_mask``: whether there is a mask that can be saved.
    """

    headline: str
    has_mask: bool = True
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    advice: str = ""
    thresholds: Thresholds | None = None


@dataclass(frozen=True)
class Failure:
    """What happened and what cures it, in a sentence; ``details`` is a traceback where it is a bug."""

    sentence: str
    details: str = ""


@dataclass(frozen=True)
class Segment:
    """The whole page. Lists are ``(key, title)``; ``preview`` is a picture in 0..1, ``(y, x)`` or ``(y, x, 3)``."""

    phase: Phase = "empty"
    images: tuple[tuple[str, str], ...] = ()
    image: str = ""
    image_words: str = ""
    question: Question | None = None
    models: tuple[tuple[Path, str], ...] = ()
    model: Path | None = None
    model_words: str = ""
    findings: tuple[Finding, ...] = ()
    preview: Any = field(default=None, compare=False)
    checking: bool = False
    forecast: str = ""
    options: Options = Options()
    voxel_size: str = ""
    channels: tuple[str, ...] = ()
    regions: tuple[str, ...] = ("whole",)
    estimates_diameter: bool = False
    running: Running | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    saved: str = ""
    device: Device = Device()

    @property
    def refused(self) -> bool:
        return any(finding.level == "refusal" for finding in self.findings)

    @property
    def can_run(self) -> bool:
        chosen = bool(self.image) and self.model is not None and self.question is None
        return chosen and self.running is None and not self.refused
