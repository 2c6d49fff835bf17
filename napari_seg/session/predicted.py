"""What a session keeps of a model's answer: which model it was, with which settings, for which plane, how unsure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from napari_seg.session.records import Origin
from napari_seg.session.store import Store


@dataclass(frozen=True)
class Predicted:
    """``settings``: all that it takes to repeat it. ``doubt``: the share of the mask that the model itself expects to
    be wrong, 0..1; ``None`` where that is not known."""

    model: str
    model_hash: str
    settings: Mapping[str, Any]
    doubt: float | None = None

    def origin(self, plane: str) -> Origin:
        """How it stands in the session."""
        known = {"plane": plane, "doubt": self.doubt, "settings": dict(self.settings)}
        return Origin(self.model, self.model_hash, json.dumps(known))


@dataclass(frozen=True)
class Past:
    """A prediction that was kept: with which revision, when, in which plane (empty: it is not known)."""

    revision: int
    at: float
    plane: str
    predicted: Predicted


def predictions(store: Store, image: int) -> list[Past]:
    """Oldest first, those that were taken back since included."""
    found = []
    for revision, at, model, model_hash, text in store.predictions(image):
        known = json.loads(text or "{}")
        if "settings" not in known:
            known = {"settings": known}
        told = Predicted(model, model_hash, known["settings"], known.get("doubt"))
        found.append(Past(revision, at, known.get("plane", ""), told))
    return found
