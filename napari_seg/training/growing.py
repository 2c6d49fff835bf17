"""New classes for a model that has learned others: its head grows, everything else stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from napari_seg.errors import SegError
from napari_seg.models.model import Model, build
from napari_seg.training.sample import Sample

RARE = 2.0
"""A new class starts as a part of the background that is ``exp(-RARE)`` times as likely: at first nothing changes."""


def with_classes(model: Model, new: Sequence[str]) -> Model:
    """The model with more classes, whose masks are the same until it has learned them.

    Raises ``SegError`` for names that it has already, and for a model of objects, which are all of one kind.
    """
    if not new:
        return model
    task = model.spec.task
    if task.kind == "instance":
        raise SegError(
            f"{model.spec.name} finds objects of one kind ({task.classes[0]}); leave the new classes out, or train a "
            "model of classes from nothing."
        )
    again = sorted({name for name in new if [*task.classes, *new].count(name) > 1})
    if again or not all(name.strip() for name in new):
        raise SegError(f"The class {(again or [''])[0]!r} is named twice or has no name; give each a name of its own.")
    task = task.model_copy(update={"classes": (*task.classes, *new)})
    grown = model.spec.network.model_copy(update={"out_channels": task.channels})
    network = build(grown)
    weights = model.network.state_dict()
    for name in ("head.weight", "head.bias"):
        head = weights[name]
        first = torch.zeros_like(head[:1]) if task.overlapping else head[:1]  # the background of a softmax
        more = first - RARE if name == "head.bias" else first
        weights[name] = torch.cat([head, more.expand(len(new), *head.shape[1:])])
    network.load_state_dict(weights)
    spec = model.spec.model_copy(update={"task": task, "network": grown})
    return replace(model, spec=spec, network=network.eval().requires_grad_(False))


def silent_on_new(older: Sequence[Sample], *, overlapping: bool) -> tuple[Sample, ...]:
    """Older samples for a training of new classes: whether those are in them nobody has said, so only the old classes
    count there. Where classes may overlap, nothing does."""
    if overlapping:
        return ()
    masks = (sample.labels > 0 if sample.mask is None else sample.mask & (sample.labels > 0) for sample in older)
    return tuple(replace(s, mask=np.asarray(mask)) for s, mask in zip(older, masks, strict=True) if mask.any())
