"""What is asked of a prediction, and what comes of it. Values alone: :mod:`predict` computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from napari_seg.choices import DeviceName, PrecisionName
from napari_seg.data.volume import Volume
from napari_seg.inference.channels import ChannelChoice
from napari_seg.models.spec import ModelSpec
from napari_seg.spec import Spec


class PredictSpec(Spec):
    """How to predict.

    ``tile``: in pixels of the model's grid; ``None`` = the size of the training patches, larger where that pays.
    ``overlap``: the share of a tile that it has in common with the next. ``diameter``: of the objects, in pixels of
    this image, for images without spacing; ``None`` = estimated. ``channel``: of an image with several, by name or
    number (from 0); of an RGB image "luminance" (default), "red", "green", "blue", "hematoxylin" or "eosin".
    ``threshold``, ``seeds`` and ``smallest`` replace the task's own settings. ``flips``: the mean over
    the mirror images that the model learned, which takes twice as long for each axis that it was mirrored along.
    """

    device: DeviceName = "auto"
    precision: PrecisionName = "auto"
    tile: tuple[int, ...] | None = None
    overlap: float = Field(0.25, ge=0, le=0.9)
    diameter: float | None = Field(None, gt=0)
    channel: ChannelChoice = None
    threshold: float | None = None
    seeds: float | None = None
    smallest: float | None = None
    flips: bool = False


DEFAULTS = PredictSpec()


@dataclass(frozen=True)
class Region:
    """A box of voxels over the spatial axes of an image, and one time point of it (``None``: all)."""

    start: tuple[int, ...]
    stop: tuple[int, ...]
    time: int | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """A mask and the scores it was decoded from.

    ``labels`` and ``scores`` cover the ``region`` of the image, all of it where that is ``None``: ``labels`` then has
    the shape and place of the box (:func:`~napari_seg.inference.predict.placed` puts it into the whole grid).
    ``scores`` is float16, ``(channels, *grid)``, with time in front where the image has it; large ones are mapped from
    a file that vanishes with them.
    Objects of different time points have different numbers: nothing says which of them are the same.
    ``spec`` has device, precision, tile and diameter filled in, and on an image that is coarser than the model's grid
    the smallest object in pixels of the image.
    """

    labels: Volume = field(repr=False)
    scores: NDArray[Any] = field(repr=False)
    model: ModelSpec
    spec: PredictSpec
    region: Region | None
    notes: tuple[str, ...]
    seconds: float
