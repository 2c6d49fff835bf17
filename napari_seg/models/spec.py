"""Everything a model knows about itself. Nothing here imports torch: the window reads it from the file's header."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_seg.choices import NetworkKind
from napari_seg.data.volume import UNITS
from napari_seg.spec import Spec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

FORMAT = 2
"""Number of the newest file format: 1 for one network, 2 for several. A file with a higher one was written by a newer
version."""

Positive = Annotated[float, Field(gt=0)]


class NetworkSpec(Spec):
    """Which network, and how large. ``flat_levels``: the first levels that leave z alone, for thick slices."""

    kind: NetworkKind = "unet"
    ndim: Literal[2, 3] = 2
    in_channels: int = Field(1, ge=1, le=64)
    out_channels: int = Field(2, ge=1, le=1024)
    width: int = Field(32, ge=1, le=512)
    depth: int = Field(4, ge=1, le=8)
    norm: Literal["batch", "group", "instance"] = "batch"
    residual: bool = False
    flat_levels: int = Field(0, ge=0, le=8)

    def __str__(self) -> str:
        return f"{self.kind}, {self.ndim}D, width {self.width}, depth {self.depth}, {self.norm} norm"


_LEAST = np.finfo(np.float32)
"""Intensities that differ by less, as a share of what they are or at all, are one: networks are shown float32."""


class Normalisation(Spec):
    """How intensities become the network's input.

    ``percentile``: the percentiles ``low`` and ``high`` of each image become 0 and 1. ``zscore``: mean 0 and deviation
    1 of each image. ``window``: the fixed intensities ``low`` and ``high`` (Hounsfield units, say) become 0 and 1.
    """

    kind: Literal["percentile", "zscore", "window"] = "percentile"
    low: float = 1.0
    high: float = 99.8

    def fit(self, values: NDArray[Any]) -> tuple[float, float]:
        """The intensities that become 0 and 1 (``zscore``: that become the mean 0 and the deviation 1)."""
        if self.kind == "window":
            return self.low, self.high
        if self.kind == "zscore":
            low = float(np.mean(values, dtype=np.float64))
            width = float(np.std(values, dtype=np.float64))
        else:
            low, high = (float(value) for value in np.percentile(values, (self.low, self.high)))
            width = high - low
        width = max(width, float(_LEAST.eps) * abs(low))
        return low, low + (width if width > _LEAST.tiny else 1e-6)

    @staticmethod
    def apply(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float32]:
        """The network's input, from intensities and the two limits that :meth:`fit` found."""
        low, high = limits
        return (np.asarray(values, np.float32) - np.float32(low)) / np.float32(high - low)


class InputSpec(Spec):
    """What the network was shown.

    ``orientation``: the sides towards which the axes of all training volumes grew, such as ``"IPL"``; empty outside a
    patient's space. ``spacing`` (in ``unit``, one number per axis of the grid) is what images with a known spacing are
    resampled to; ``None`` where the training images did not say. ``diameter``: the typical object in pixels of the
    network's grid, by which images without spacing are rescaled; 0 for never. ``patch``: the size of the training
    patches and the default tile. ``extent``: the largest learned image, in pixels of the network's grid; a volume far
    larger asks for a box. ``statistics``: of the intensities and the object sizes seen.
    """

    channels: tuple[str, ...] = ("intensity",)
    modality: str = ""
    orientation: str = ""
    spacing: tuple[Positive, ...] | None = None
    unit: str = "pixel"
    diameter: float = Field(0.0, ge=0)
    normalisation: Normalisation = Normalisation()
    patch: tuple[Annotated[int, Field(ge=1, le=8192)], ...] = (256, 256)
    extent: tuple[Annotated[int, Field(ge=1)], ...] = ()
    statistics: dict[str, float] = Field(default_factory=dict)


IMAGES = "images"
"""What the history of a model keeps of the images that a training looked at, also to choose: the keys of their
:mod:`contents <napari_seg.data.content>`."""


class Event(Spec):
    """One entry of a model's history: what was done to it, when, with which settings and data."""

    what: str
    when: str
    details: dict[str, Any] = Field(default_factory=dict)


class Card(Spec):
    """What a person should know before trusting the model. ``scores``: figures on data it never saw, by name."""

    summary: str = ""
    data: str = ""
    licence: str = ""
    attribution: str = ""
    limits: str = ""
    scores: dict[str, float] = Field(default_factory=dict)


class ModelSpec(Spec):
    """The whole description of a model; stored as JSON in the header of its ``.safetensors`` file.

    ``members``: the networks of an ensemble, whose scores are averaged; ``network`` is the first of them.
    """

    format: int = 1
    name: str = Field(min_length=1)
    network: NetworkSpec
    members: tuple[NetworkSpec, ...] = ()
    task: Annotated[Semantic | Instance, Field(discriminator="kind")]
    input: InputSpec
    card: Card = Card()
    history: tuple[Event, ...] = ()

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """All networks: one, or those of an ensemble."""
        return self.members or (self.network,)

    @property
    def mirrors(self) -> tuple[int, ...]:
        """The axes of the grid along which it learned mirror images too; all where its history does not say."""
        axes, told = range(self.network.ndim), self.augmentation.get("flips", True)
        return tuple(k for k in axes if (k in told if isinstance(told, list | tuple) else told))

    @property
    def augmentation(self) -> dict[str, Any]:
        """How strongly patches were changed when it was last trained; empty where its history does not say so."""
        told = (event.details.get("augmentation") for event in reversed(self.history))
        return next((known for known in told if isinstance(known, dict)), {})

    @property
    def seen(self) -> frozenset[str]:
        """The keys of the images that its trainings looked at, as far as its history says them."""
        told = (event.details.get(IMAGES) for event in self.history)
        return frozenset(str(key) for keys in told if isinstance(keys, list | tuple) for key in keys)

    @property
    def built_as(self) -> str:
        """The architecture in words."""
        kinds = dict.fromkeys(map(str, self.networks))
        return f"{f'mean of {len(self.members)}: ' if self.members else ''}{'; '.join(kinds)}"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.members and (self.members[0] != self.network or len({_ends(one) for one in self.members}) > 1):
            raise ValueError("the members of the ensemble do not fit each other")
        if self.network.out_channels != self.task.channels:
            raise ValueError(f"the network puts out {self.network.out_channels} channels, not {self.task.channels}")
        if self.network.in_channels != len(self.input.channels):
            raise ValueError(f"the network takes {self.network.in_channels} channels, not {len(self.input.channels)}")
        seen, ndim = self.input, self.network.ndim
        if {len(sizes or seen.patch) for sizes in (seen.patch, seen.spacing, seen.extent)} != {ndim}:
            raise ValueError(f"patch, spacing and extent do not have the {ndim} axes of the network")
        if seen.unit not in UNITS:
            raise ValueError(f"the unit {seen.unit!r} is not among {', '.join(UNITS)}")
        if self.task.kind == "instance" and self.task.ndim != ndim:
            raise ValueError(f"objects of {self.task.ndim} dimensions do not come out of a network of {ndim}")
        return self


def _ends(network: NetworkSpec) -> tuple[int, int, int]:
    """What goes into a network and what comes out."""
    return network.ndim, network.in_channels, network.out_channels
