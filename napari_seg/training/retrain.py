"""Go on from a model with what people have corrected, in minutes, without forgetting what it knew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from napari_seg.jobs import Progress, Steps, job
from napari_seg.models.model import Model
from napari_seg.spec import Spec
from napari_seg.training.cases import Lesson
from napari_seg.training.sample import Sample

if TYPE_CHECKING:
    from napari_seg.training.adopt import Verdict
    from napari_seg.training.memory import Memory


class RetrainSpec(Spec):
    """How a model is retrained. ``minutes`` is everything, reading, held-out scores and the comparison included;
    ``steps``, where given, is taken as it is.

    ``old_share``: of each batch, drawn from the stored samples of the earlier training. ``patience``: so many
    checkpoints without a better held-out score end it early; 0 for never. ``new_classes`` are added to those of the
    model.
    """

    minutes: float = Field(5.0, gt=0)
    steps: int | None = Field(None, ge=1)
    learning_rate: float = Field(5e-4, gt=0)
    old_share: float = Field(0.5, ge=0, lt=1)
    patience: int = Field(6, ge=0)
    new_classes: tuple[str, ...] = ()
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)


@dataclass(frozen=True, eq=False)
class Retrained:
    """The new model, what was held out of the corrections, and whether the model has earned its place (``None`` where
    nothing could be compared)."""

    model: Model
    held_out: tuple[Sample, ...]
    verdict: Verdict | None


@job
def retrain(
    start: Model,
    lessons: Sequence[Lesson],
    spec: RetrainSpec,
    *,
    save_to: str | Path,
    memory: Memory | None = None,
    resume: bool = False,
) -> Steps[Retrained]:
    """Retrain ``start`` on lessons and compare it with what it was; ``save_to`` then holds the new model."""
    yield Progress(0, 1, "reading the corrections")
    raise NotImplementedError
