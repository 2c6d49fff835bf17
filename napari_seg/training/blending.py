"""Between the old model and the new one: how far to go, where the new one has forgotten something.

A network that was retrained and the one it began with lie in one valley: the mean of their weights works, too, and
often knows nearly all of what either knows (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022). How
much of the new one is taken is chosen by older samples that neither learned from.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

from napari_seg.inference.backend import Device
from napari_seg.jobs import Progress, Steps
from napari_seg.models.model import Model
from napari_seg.training.course import ALLOWED
from napari_seg.training.sample import Sample
from napari_seg.training.validation import score

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""How much of the new model is tried, one after the other."""


def unforgetful(old: Model, new: Model, older: Sequence[Sample], device: Device) -> Steps[tuple[Model, float]]:
    """As much of the new model as loses next to nothing on older samples, and how much of it that is.

    Where even half of it has forgotten, it is left as it is: there a person must look. ``old`` must have the network of
    ``new``. ``Progress.detail`` holds ``phase`` ("blend").
    """
    at = Progress(0, 1, "looking for what the new model has forgotten", {"phase": "blend"})
    before = yield from score(old.network, new.spec, older, device, at)
    for share in SHARES:
        made = blended(old, new, share)
        if (yield from score(made.network, new.spec, older, device, at)) >= before - ALLOWED:
            return made, share
    return new, 1.0


def blended(old: Model, new: Model, share: float) -> Model:
    """The new model with ``share`` of its own weights and the rest of the old ones."""
    network = copy.deepcopy(new.network)
    before, after = old.network.state_dict(), new.network.state_dict()
    mixed = {k: before[k].lerp(v, share) if v.is_floating_point() else v for k, v in after.items()}
    network.load_state_dict(mixed)
    return replace(new, network=network)
