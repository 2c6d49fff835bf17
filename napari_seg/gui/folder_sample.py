"""What the first image of a folder says of all of them: which models suit, which channels there are, what is to be
asked; and which model was used before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_seg.data.formats import read_answered
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.inference.channels import channel_names
from napari_seg.inference.prediction import PredictSpec
from napari_seg.inference.ranking import Match, rank
from napari_seg.models.file import read_spec
from napari_seg.models.shelf import kept
from napari_seg.models.spec import ModelSpec
from napari_seg.session.cases import Case
from napari_seg.session.projects import Told

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


@dataclass(frozen=True)
class Used:
    """A model that masks were predicted with, and from which channel; empty for the one that it is used to."""

    path: Path
    spec: ModelSpec
    channel: str


def used_before(cases: Iterable[Case], told: Told | None, specs: Mapping[Path, ModelSpec]) -> Used | None:
    """The model that was ``told`` since the newest masks were made, as one that was adopted; else that of the newest
    masks, first of those that nobody has seen, of which another model would take the place. That lies where it was
    told, else it is one of ``specs`` or of the shelf. ``None`` where there is none, or its file is gone."""
    made = [(case.state == "unseen", case.at, case.predicted) for case in cases if case.predicted is not None]
    known = {**specs, **{one.path: one.spec for one in kept()}}
    if told is not None:
        with suppress(SegError):  # it is gone
            known = {told.path: read_spec(told.path), **known}
            if told.at > max((at for _, at, _ in made), default=0.0):
                return Used(told.path, known[told.path], "")
    if not made:
        return None
    *_, newest = max(made, key=lambda found: found[:2])
    channel = str(newest.settings.get("channel") or "")
    return next((Used(path, spec, channel) for path, spec in known.items() if spec.name == newest.model), None)
