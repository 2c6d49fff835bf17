"""Which of many models suits an image best? Told from what the image's file and the models' headers say, without torch.

Every way in which an image differs from what a model has learned costs something; the cheapest model comes first. A
model of another kind of image (CT for MR, a microscope's for a patient's) may be the best there is and still be wrong,
so its match carries a doubt that a person must read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.fit import check, differ, far_larger, suited
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.models.spec import ModelSpec

_FOREIGN = 10.0
"""Costs: learned from another kind of image. More than all lesser differences together."""

_OTHER_WORLD = 1.0
"""Costs besides: what it learned from was no patient, and this is one, or the other way round."""

_NEEDS_BOX = 2.5
"""Costs: a model of a part of what the image shows, which cannot run before a person has chosen that."""

_BY_SLICES = 3.0
"""Costs: a 2D model that goes through a volume, while another may see it in 3D."""

_NOT_LYING = 2.5
"""Costs: a model that knows how patients lie, for an image that does not say."""

_MODALITIES = {
    "MR": r"MRI?|(?i:magnetic resonance)",
    "CT": r"CT|(?i:computed tomography)",
    "PT": r"PET",
    "US": r"(?i:ultrasound)",
    "fluorescence": r"(?i:fluorescen\w+|confocal|light.sheet)",
    "EM": r"EM|(?i:electron microscop\w+)",
    "histology": r"H&E|(?i:histolog\w+)",
    "fundus": r"(?i:fundus|retina\w*)",
}
"""Kinds of images by DICOM's short names where it has one, and how a model's card calls them."""

_MEDICAL = ("MR", "CT", "PT", "US", "DX", "CR", "MG", "XA", "NM", "fundus")

_GREY = ({*_MEDICAL} - {"fundus"}) | {"fluorescence", "EM"}
"""What is measured there has no colour. Stains that glow may be shown in some, but lie on a dark ground."""

_PATIENT_FORMATS, _MICROSCOPE_FORMATS = ("nifti", "nrrd_file", "dicom"), ("tiff", "ome_zarr")

_NO_OBJECTS = 3.0
"""Costs: a model that finds no single objects, where a person has said how large they are."""

_ONE_OF_MANY = 1.5
"""Costs: a model of one channel, for an image that has several."""

_AIR = -900.0
"""Hounsfield units: what is below is air, and lies around every patient in a CT; no MR has such values."""


@dataclass(frozen=True)
class Match:
    """How a model suits an image: the lower the ``cost`` the better.

    ``refusal``: why it cannot run on it, else empty. ``doubt``: why its mask is not to be trusted, else empty.
    ``needs_box``: whether it runs only on a part of it, which a person has to choose.
    """

    path: Path
    cost: float
    refusal: str = ""
    doubt: str = ""
    needs_box: bool = False

    @property
    def runs(self) -> bool:
        """Whether it runs on the image as it is."""
        return not (self.refusal or self.needs_box)


def rank(specs: Mapping[Path, ModelSpec], volume: Volume, settings: PredictSpec) -> list[Match]:
    """All models, the one that suits the image best first, those that cannot run last; of equals the one that comes
    first in ``specs``.

    Only a few thousand voxels are looked at, and none of an image that is not in memory.
    """
    modality = modality_of(volume)
    matches = [match(path, spec, volume, settings, modality) for path, spec in specs.items()]
    return sorted(matches, key=lambda found: (bool(found.refusal), found.cost))


def match(path: Path, spec: ModelSpec, volume: Volume, settings: PredictSpec, modality: str) -> Match:
    """How one model suits an image of a ``modality`` (see :func:`modality_of`)."""
    middle = tuple(n // 2 for n in volume.grid)  # one voxel: a large image is no reason to refuse, a box cures it
    try:
        fit = check(spec, volume, suited(settings, spec), Region(middle, tuple(n + 1 for n in middle)))
    except SegError as error:
        return Match(path, math.inf, refusal=str(error))
    learned = learned_modality(spec)
    doubt = ""
    cost = 0.0 if learned else 1.0
    world, own = world_of(volume, modality), _world(learned)
    if differ(modality, learned):
        doubt = f"This image is {_article(modality)}, {spec.name} learned from {learned}: expect a poor mask."
    elif learned in _GREY and _is_bright_colour(volume):
        doubt = f"This image is in bright colours, {spec.name} learned from {learned}: expect a poor mask."
    elif world and own and world != own:
        doubt = f"This image is {_WORLDS[world]}, {spec.name} learned from {learned}: expect a poor mask."
    if doubt:
        cost += _FOREIGN + _OTHER_WORLD * bool(world and own and world != own)
    needs_box = far_larger(fit)
    cost += _NEEDS_BOX * needs_box
    cost += _BY_SLICES * fit.by_slices + _NOT_LYING * (bool(spec.input.orientation) and volume.affine is None)
    cost += _ONE_OF_MANY * (spec.network.in_channels == 1 and (volume.size("C") > 1 or "S" in volume.axes))
    if fit.scale is not None:
        cost += min(2.0, max(abs(math.log2(k)) for k in fit.scale) / 2)
    cost += _NO_OBJECTS * (bool(settings.diameter) and spec.task.kind == "semantic")
    if settings.diameter and spec.input.diameter:
        cost += min(2.0, abs(math.log2(settings.diameter / spec.input.diameter)) / 2)
    cost += 0.5 * len(fit.warnings)
    cost += 0.1 * (spec.task.kind == "semantic")  # of equals the one for objects: it depends less on the whole scene
    return Match(path, cost, doubt=doubt, needs_box=needs_box)


_WORLDS = {"patient": "of a patient", "microscope": "from a microscope"}


def world_of(volume: Volume, modality: str) -> str:
    """``patient``, ``microscope``, or empty where nothing tells."""
    file = volume.source.format if volume.source else ""
    if modality in _MEDICAL or volume.affine is not None or file in _PATIENT_FORMATS:
        return "patient"
    if modality or volume.unit in ("um", "nm") or file in _MICROSCOPE_FORMATS:
        return "microscope"
    return ""


def modality_of(volume: Volume) -> str:
    """What the file says, or ``CT`` for an image in memory with the values of air in Hounsfield units, or empty."""
    if volume.source is not None and volume.source.modality:
        return volume.source.modality
    data = volume.data
    if not isinstance(data, np.ndarray) or data.dtype.kind not in "if" or "S" in volume.axes:
        return ""
    sample = data[tuple(slice(n // 64 // 2, None, max(1, n // 32)) for n in data.shape)]
    air = np.count_nonzero((sample >= -1100) & (sample <= _AIR))
    return "CT" if air >= 0.02 * sample.size and sample.max() < 5000 else ""


def _is_bright_colour(volume: Volume) -> bool:
    """Whether an image is a picture in colour on a bright ground, as stained tissue is; of one that is not in memory it
    is taken for granted that its colours differ. Fluorescence lies on a dark one, and may be grey in a file of colours.
    """
    data = volume.data
    if "S" not in volume.axes or not isinstance(data, np.ndarray):
        return "S" in volume.axes
    sample = np.moveaxis(data, volume.axes.index("S"), -1)[..., :3]
    sample = sample[tuple(slice(n // 64 // 2, None, max(1, n // 32)) for n in sample.shape[:-1])]
    grey = (sample == sample[..., :1]).all()
    return not grey and float(np.median(sample)) > (np.iinfo(data.dtype).max if data.dtype.kind == "u" else 1) / 3


def learned_modality(spec: ModelSpec) -> str:
    """What the header says, or the first kind of image that the card's summary and data name, or empty."""
    if spec.input.modality:
        return spec.input.modality
    for words in (spec.card.summary, spec.card.data):
        places = {name: re.search(rf"\b(?:{pattern})\b", words) for name, pattern in _MODALITIES.items()}
        found = [(place.start(), name) for name, place in places.items() if place]
        if found:
            return min(found)[1]
    return ""


def _world(modality: str) -> str:
    return "" if not modality else "patient" if modality in _MEDICAL else "microscope"


def _article(modality: str) -> str:
    return modality if modality.isupper() else f"a {modality} image"
