"""A look at an image before a run, in a thread: does it fit, what will the model see, how long will it take?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_seg.errors import SegError
from napari_seg.gui.results import Target
from napari_seg.gui.state import Finding, Segment
from napari_seg.gui.words import duration, memory
from napari_seg.inference.fit import check
from napari_seg.inference.forecast import forecast
from napari_seg.inference.predict import PredictSpec, Region


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


def look_at(target: Target, settings: PredictSpec, region: Region | None, pace: float | None) -> Look:
    """Nothing of torch in here; it may read the whole image for its statistics. ``pace``: of the device, once known."""
    try:
        fit = check(target.model, target.volume, settings, region)
        cost = forecast(target.model, target.volume, settings, region, pace=pace)
    except SegError as error:
        return Look((Finding("refusal", str(error)),))
    findings = [Finding("warning", text) for text in fit.warnings] + [Finding("note", text) for text in fit.notes]
    words = f"About {duration(cost.seconds)} and {memory(cost.bytes)} of memory"
    return Look(tuple(findings), fit.preview, words, estimates_diameter=bool(target.model.input.diameter))
