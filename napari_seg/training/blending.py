"""Between the old model and the new one: how far to go, where the new one has forgotten something.

A network that was retrained and the one it began with lie in one valley: the mean of their weights works, too, and
often knows nearly all of what either knows (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). How
much of the new one is taken is chosen by samples that neither learned from, old and new ones.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace

from napari_seg.inference.backend import Device
from napari_seg.jobs import Progress, Steps
from napari_seg.models.model import Model
from napari_seg.training.course import Material, worth

SHARES = (1.0, 0.9, 0.8, 0.7)
"""How much of the new model is tried. With less, what is new is gone before what is old comes back."""

LOOKS = 1 + len(SHARES)
"""How often the samples are looked at, at most."""


def unforgetful(old: Model, new: Model, material: Material, device: Device) -> Steps[tuple[Model, float]]:
    """The blend of two models that is worth most on what chose among the checkpoints, and how much of it is new: all
    where nothing was forgotten.

    ``old`` must have the network of ``new``. ``Progress.detail`` holds ``phase`` ("blend").
    """
    at = Progress(0, 1, "looking for what the new model has forgotten", {"phase": "blend"})
    before = (yield from replace(material, watched=()).measured(old.network, new.spec, device, at))["older"]
    best, chosen = -math.inf, (new, 1.0)
    for share in SHARES:
        made = blended(old, new, share)
        found = yield from material.measured(made.network, new.spec, device, at)
        figure = worth(found, before)
        if figure > best:
            best, chosen = figure, (made, share)
        if share == 1 and found["older"] >= before:
            break
    return chosen


def blended(old: Model, new: Model, share: float) -> Model:
    """The new model with ``share`` of its own weights and the rest of the old ones."""
    network = copy.deepcopy(new.network)
    before, after = old.network.state_dict(), new.network.state_dict()
    mixed = {k: before[k].lerp(v, share) if v.is_floating_point() else v for k, v in after.items()}
    network.load_state_dict(mixed)
    return replace(new, network=network)
