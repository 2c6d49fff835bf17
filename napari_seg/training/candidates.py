"""What a search tries: the plan's own choice first, then changes of it drawn at random (Bergstra & Bengio, JMLR 2012).

Each setting keeps the plan's value half of the time, so that most candidates are near what is known to work. What a
person has set stays as it is. Candidate ``k`` depends on the seed and on ``k`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from napari_seg.choices import LossKind
from napari_seg.errors import SegError
from napari_seg.inference.forecast import multiple_of
from napari_seg.models.spec import ModelSpec
from napari_seg.networks import NETWORKS
from napari_seg.training.plan import Facts, TrainSpec, plan

RATES = (0.25, 0.5, 2.0, 4.0)
WIDTHS = (0.5, 0.75, 1.5)
DEPTHS = (-1, 1)
STRENGTHS = (0.0, 0.5, 1.5, 2.0)
"""Factors of the plan's learning rate, width and augmentation, and levels more or less."""

KEPT = 0.5
DRAWS = 200
"""So often a candidate is drawn anew where it was tried already or cannot be built."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """``strength``: of the augmentation that the plan chooses; ``spec`` and ``model`` hold all else."""

    spec: TrainSpec
    strength: float
    model: ModelSpec

    @property
    def settings(self) -> dict[str, Any]:
        """What a search varies, by name."""
        network = self.model.network
        return {
            "network": network.kind,
            "width": network.width,
            "depth": network.depth,
            "learning_rate": self.spec.learning_rate,
            "loss": self.spec.loss,
            "augmentation": self.strength,
        }


def candidates(facts: Sequence[Facts], spec: TrainSpec, count: int) -> list[Candidate]:
    """As many different candidates, fewer where there are no more.

    Raises ``SegError`` where all that could be varied is given.
    """
    first = Candidate(spec, 1.0, plan(facts, spec))
    found = [first]
    free = [name for name in first.settings if name not in spec.model_fields_set or getattr(spec, name) is None]
    if not free:
        raise SegError(f"All that a search varies is given; leave one of {', '.join(first.settings)} open.")
    for number in range(1, count):
        rng = np.random.default_rng([spec.seed, number])
        for _ in range(DRAWS):
            drawn = _drawn(rng, facts, first, free)
            if drawn is not None and drawn.settings not in [known.settings for known in found]:
                found.append(drawn)
                break
    return found


def _drawn(rng: np.random.Generator, facts: Sequence[Facts], first: Candidate, free: Sequence[str]) -> Candidate | None:
    """A change of the plan's choice, or nothing where its patches would not suit its network."""
    planned = first.settings
    others: dict[str, list[Any]] = {
        "network": [kind for kind in NETWORKS if kind != planned["network"]],
        "width": [max(1, round(factor * planned["width"])) for factor in WIDTHS],
        "depth": [min(max(1, planned["depth"] + more), 8) for more in DEPTHS],
        "learning_rate": [factor * planned["learning_rate"] for factor in RATES],
        "loss": [kind for kind in get_args(LossKind) if kind != planned["loss"]],
        "augmentation": list(STRENGTHS),
    }
    chosen = dict(planned)
    for name, values in others.items():  # every setting is drawn, also the given ones: giving one changes no other
        keep, value = rng.random() < KEPT, values[int(rng.integers(len(values)))]
        if name in free and not keep:
            chosen[name] = value
    strength = chosen.pop("augmentation")
    spec = first.spec.model_copy(update=chosen)
    model = plan(facts, spec)
    fits = all(n % m == 0 for n, m in zip(model.input.patch, multiple_of(model.network), strict=True))
    return Candidate(spec, strength, model) if fits else None
