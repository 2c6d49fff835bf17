"""Why the plan decided as it did: one sentence for each choice, for whoever may want to choose otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from napari_seg.models.spec import ModelSpec
from napari_seg.training.plan import FEW_SLICES, THICK, Facts, TrainSpec, batch_size, thickness
from napari_seg.wording import count_of

NETWORKS = {
    "unet": "U-Net: its skips carry fine borders past the coarse levels, and it is the one that did best most often.",
    "vnet": "V-Net: its layers learn what is left to learn, which helps deep networks on large volumes.",
    "segnet": "SegNet: it hands on where the maxima lay and no pictures, which takes the least memory and blurs thin "
    "structures.",
}
"""Which network to take, and why."""

_WIDTH = "Wide enough for what must be told apart, narrow enough to train without a large graphics card."


class Reason(NamedTuple):
    """A choice of the plan: the setting by its name in :class:`~napari_seg.training.plan.TrainSpec`, what was chosen in
    words, and why."""

    setting: str
    chosen: str
    why: str


def reasons(facts: Sequence[Facts], spec: TrainSpec, model: ModelSpec) -> tuple[Reason, ...]:
    """Why ``model`` was planned from these cases. What a person chose is said to be their choice."""
    network, given = model.network, model.input
    found = (
        Reason("network", network.kind, NETWORKS[network.kind]),
        Reason("ndim", f"{network.ndim}D", _dimensions(facts, network.ndim)),
        Reason("depth", count_of(network.depth, "halving"), _depth(model)),
        Reason("width", f"{network.width} channels at the finest level", _WIDTH),
        Reason("patch", " x ".join(map(str, given.patch)), _patch(model)),
        Reason(
            "batch",
            count_of(batch_size(model, spec), "patch"),
            "Steady steps, and still many of them in the time.",
        ),
        Reason("normalisation", given.normalisation.kind, _normalisation(model)),
        Reason("spacing", _spacing_words(model), _spacing(model)),
        *([Reason("classes", count_of(len(model.task.names), "class"), _classes(model))] * (spec.task == "semantic")),
    )
    chosen = {name for name in spec.model_fields_set if getattr(spec, name) not in (None, ())}
    return tuple(r._replace(why="You chose it.") if r.setting in chosen else r for r in found)


def advice(facts: Sequence[Facts], free: float) -> Reason:
    """Which network to take, where ``free`` bytes of memory are left."""
    grids = [float(np.prod(fact.grid)) for fact in facts]
    if free < 2e9:
        return Reason("network", "segnet", f"There are only {free / 1e9:.1f} GB free. {NETWORKS['segnet']}")
    if all(fact.ndim == 3 for fact in facts) and np.median(grids) > 128**3:
        return Reason("network", "vnet", f"The volumes are large. {NETWORKS['vnet']}")
    return Reason("network", "unet", NETWORKS["unet"])


def _dimensions(facts: Sequence[Facts], ndim: int) -> str:
    if all(fact.ndim == 2 for fact in facts):
        return "The images are flat."
    if ndim == 3:
        return "The images are volumes, and what lies in a slice is better told with those beside it."
    thick, slices = thickness(facts), int(np.median([fact.grid[0] for fact in facts]))
    if thick > THICK:
        return f"Slices are {thick:.0f} times as thick as pixels are wide, so neighbours tell little of each other."
    if slices < FEW_SLICES:
        return f"The volumes have {slices} slices only."
    return "Some of the images are flat, so all are seen slice by slice."


def _depth(model: ModelSpec) -> str:
    span = 2**model.network.depth
    flat = model.network.flat_levels
    words = f"Each pixel of the coarsest level stands for {span} pixels of the image"
    if not flat:
        return f"{words}, enough to see what an object lies in."
    return f"{words}; the first {flat} leave the slices apart, as they are thick."


def _patch(model: ModelSpec) -> str:
    if model.task.kind == "instance":
        return "Objects are small: many small patches show more of them in the same time."
    return "An organ is known by what lies around it, so a patch is as much of the image as trains quickly."


def _normalisation(model: ModelSpec) -> str:
    if model.input.normalisation.kind == "percentile":
        low, high = model.input.normalisation.low, model.input.normalisation.high
        return f"From percentile {low:g} to percentile {high:g}: a few very bright pixels change nothing."
    if model.input.normalisation.kind == "zscore":
        return "Mean 0 and deviation 1 of each image: scanners differ in their scale."
    return "Fixed intensities mean the same in every image."


def _spacing_words(model: ModelSpec) -> str:
    if model.input.spacing is None:
        return "as it is"
    return " x ".join(f"{size:.3g}" for size in model.input.spacing) + f" {model.input.unit}"


def _spacing(model: ModelSpec) -> str:
    if model.input.spacing is not None:
        return "The usual voxel size of the images; others are resampled to it."
    return "Not all files say how large a voxel is."


def _classes(model: ModelSpec) -> str:
    return "Each plane of the labels is one." if model.task.planes else "So far go the numbers in the labels."
