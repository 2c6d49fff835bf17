"""Which model is chosen for a new image: the person's, while it can run, else the one that suits the image best."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_seg.data.volume import Volume
from napari_seg.gui.state import Cure
from napari_seg.inference.prediction import PredictSpec
from napari_seg.inference.ranking import Match, rank
from napari_seg.models.spec import ModelSpec


class Proposal:
    """How the models suit the image that was chosen last."""

    def __init__(self) -> None:
        self._matches: dict[Path, Match] = {}  # the best first
        self._asked: Any = None
        self._by_hand: str | None = None  # the image for which a person chose the model; None where it was proposed

    def chosen(self, image: str) -> None:
        """A person chose a model while ``image`` was the chosen one (empty: none was)."""
        self._by_hand = image

    def propose(
        self, specs: Mapping[Path, ModelSpec], now: Path, image: str, volume: Volume, settings: PredictSpec
    ) -> Path:
        """The model to be used, which is ``now`` unless the image is new.

        It stays where a person chose it for this very image or it can run on it, and where no other is without a doubt.
        """
        asked, before = (image, volume.axes, volume.shape, tuple(specs)), self._asked
        if asked == before:
            return now
        self._asked = asked
        self._matches = {found.path: found for found in rank(specs, volume, settings)}
        best, runs = next(iter(self._matches.values())), self._matches[now].runs
        seen = before is not None and before[:3] == asked[:3]  # only models have come in
        wanted = seen or (self._by_hand is not None and (self._by_hand == image or runs))
        if wanted or best.refusal or (best.doubt and runs):
            return now
        self._by_hand = None
        return best.path

    def doubt(self, model: Path) -> str:
        """Why the mask of a model is not to be trusted on this image, and what to do where no other is; or empty."""
        return doubt_of(self._matches[model], next(iter(self._matches.values())))

    def other(self, model: Path, specs: Mapping[Path, ModelSpec]) -> Cure | None:
        """The model that suits the image best, if that is another than ``model`` and without a doubt."""
        best = next(iter(self._matches.values()))
        if best.path == model or not best.runs or best.doubt:
            return None
        return Cure(f"Use {specs[best.path].name}", "model", str(best.path))


_TEACH = "No model here learned from such images; to teach one, press Begin an empty mask on the page Correct."


def doubt_of(match: Match, best: Match) -> str:
    """Why the mask of a model is not to be trusted, and what to do where that of the ``best`` is not; or empty."""
    return f"{match.doubt} {_TEACH}" if match.doubt and (best.doubt or best.refusal) else match.doubt
