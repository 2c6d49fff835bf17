"""A look at an image before a run, in a thread: does it fit, what will the model see, how long will it take?

Each look answers one question; the answer to a question that is no longer asked is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_seg.errors import SegError, as_bug, plain
from napari_seg.gui.engine import Engine
from napari_seg.gui.results import Target
from napari_seg.gui.state import Cure, Finding, Segment
from napari_seg.gui.words import memory, roughly
from napari_seg.inference.fit import check, is_inflated, look_through, other_kind, size_doubt
from napari_seg.inference.forecast import forecast
from napari_seg.inference.prediction import PredictSpec, Region

GIVE_SIZE = Cure("Give the voxel size...", "size", "ask")


@dataclass(frozen=True, eq=False)
class Look:
    """What was found."""

    findings: tuple[Finding, ...]
    preview: NDArray[np.float32] | None = None
    forecast: str = ""
    estimates_diameter: bool = False

    def on(self, state: Segment) -> Segment:
        return replace(
            state,
            findings=self.findings,
            preview=self.preview,
            forecast=self.forecast,
            estimates_diameter=self.estimates_diameter,
        )


@dataclass(frozen=True, eq=False)
class Wish:
    """What is to be looked at, and what else would be possible.

    ``pace``: as for ``forecast``; ``measured`` by an earlier run. ``doubt``: why the model may be the wrong one.
    ``near``: the box around the middle of the view; ``other``: a cure by another model, where one suits the image.
    """

    target: Target
    settings: PredictSpec
    region: Region | None = None
    pace: float | None = None
    measured: bool = False
    doubt: str = ""
    near: Region | None = None
    other: Cure | None = None

    @property
    def image(self) -> tuple[Any, ...]:
        """Which image and model it is about, whatever the settings."""
        volume = self.target.volume
        return self.target.key, id(volume.data), volume.axes, volume.spacing, volume.unit

    @property
    def question(self) -> tuple[Any, ...]:
        """What the answer depends on."""
        return *self.image, self.settings, self.region, self.pace


class Looks:
    """The last look, and what it was at."""

    changed = Signal()

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._image: Any = None
        self._question: Any = None
        self._look: Look | None = None

    def at(self, wish: Wish) -> Look | None:
        """The newest look at this image with this model; ``None`` before the first.

        A wish that differs from the last is looked at in a thread; :attr:`changed` says when that is done.
        """
        question = wish.question
        if question == self._question:
            return self._look
        if wish.image != self._image:
            self._look = None
        self._image, self._question = wish.image, question

        def then(look: Look | None) -> None:
            if self._question is question:
                self._look = look
                self.changed.emit()

        def work() -> Look | None:
            return look_at(wish) if self._question is question else None

        def failed(error: Exception) -> None:
            then(Look((Finding("refusal", as_bug(error)),)))

        self._engine.later(work, then, "checks", failed)
        return self._look


def look_at(wish: Wish) -> Look:
    """Nothing of torch in here; it may read the whole image for its statistics."""
    target, doubts = wish.target, _doubts(wish)
    by_diameter = bool(target.model.input.diameter)
    try:
        fit = check(target.model, target.volume, wish.settings, wish.region)
        preview = fit.preview
        look_through(fit, wish.region)
        cost = forecast(target.model, target.volume, wish.settings, wish.region, pace=wish.pace)
    except Exception as error:
        told = plain(error)
        if told is None:
            raise
        refusal = Finding("refusal", str(told), _cures(wish))
        return Look((refusal, *doubts), estimates_diameter=by_diameter)
    known = other_kind(target.model, target.volume) if doubts else ""  # the doubt says it, and what to do
    of_size = size_doubt(target.model, target.volume)
    warnings = [text for text in fit.warnings if text != known]
    findings = [*doubts, *(Finding("warning", text, (GIVE_SIZE,) * (text == of_size)) for text in warnings)]
    findings += [Finding("note", text) for text in fit.notes]
    return Look(
        tuple(findings),
        preview,
        f"{roughly(cost.seconds, measured=wish.measured)}, {memory(cost.bytes)} of memory",
        estimates_diameter=by_diameter,
    )


def _doubts(wish: Wish) -> list[Finding]:
    return [Finding("warning", wish.doubt, (wish.other,) if wish.other else ())] if wish.doubt else []


def _cures(wish: Wish) -> tuple[Cure, ...]:
    """What one click can do about a refusal: a smaller region, the choice of a channel, or another model."""
    target, cures = wish.target, []
    if wish.near is not None and _fits(wish, wish.near):
        cures.append(Cure("Only around the middle of the view", "region", "near"))
    if is_inflated(target.model, target.volume):
        cures.append(GIVE_SIZE)
    one = target.model.network.in_channels == 1
    if one and target.volume.size("C") > 1 and wish.settings.channel is None:
        cures.append(Cure("Choose a channel", "option", "channel"))
    if wish.other is not None:
        cures.append(wish.other)
    return tuple(cures)


def _fits(wish: Wish, region: Region) -> bool:
    try:
        look_through(check(wish.target.model, wish.target.volume, wish.settings, region), region)
    except SegError:
        return False
    return True
