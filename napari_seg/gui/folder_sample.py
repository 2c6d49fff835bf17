"""What the first image of a folder says of all of them: which models suit, which channels there are, what is to be
asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_seg.data.formats import read_answered
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.inference.channels import channel_names
from napari_seg.inference.predict import PredictSpec
from napari_seg.inference.ranking import Match, rank
from napari_seg.models.spec import ModelSpec

TRIED = 3
"""Images that are tried until one can be read."""


@dataclass(frozen=True, eq=False)
class Sample:
    """``matches``: of all models, the best first. ``question``: what the file does not say."""

    name: str = ""
    matches: tuple[Match, ...] = ()
    channels: tuple[str, ...] = ()
    question: ChoiceNeeded | None = None

    def match(self, model: Path | None) -> Match | None:
        return next((match for match in self.matches if match.path == model), None)


def sample_of(
    files: Sequence[Path], axes: str | None, specs: Mapping[Path, ModelSpec], settings: PredictSpec
) -> Sample:
    """Look at the first image that can be read. ``axes``: see :func:`~napari_seg.data.formats.read_answered`."""
    for path in files[:TRIED]:
        try:
            volume = read_answered(path, axes)
        except ChoiceNeeded as question:
            if question.parameter == "axes":
                return Sample(path.name, question=question)
        except SegError:
            continue  # its row will say why
        else:
            return Sample(path.name, tuple(rank(specs, volume, settings)), channel_names(volume))
    return Sample()
