"""Looks at the data and decides what model to train, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import fastremap
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_seg.choices import DeviceName, LossKind, NetworkKind, PrecisionName, TaskKind
from napari_seg.data.units import in_unit, shared_unit
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.channels import names_of, places, unnamed
from napari_seg.inference.resample import resampled
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec, Normalisation
from napari_seg.spec import Spec
from napari_seg.tasks.base import ClassNames
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import MOST_CLASSES, Semantic
from napari_seg.training.augment import Augmentation
from napari_seg.training.cases import occurring
from napari_seg.training.sample import Sample, check_labels, frames, grid_at
from napari_seg.wording import class_name, count_of, there_are

PATCH_PIXELS = {("instance", 2): 160**2, ("semantic", 2): 256**2, ("instance", 3): 2**18, ("semantic", 3): 2**18}
"""Patches hold at most about this many pixels. Objects are small, and many small patches see more images in the same
time than few large ones; an organ is known by what lies around it."""

STEP_PIXELS = {2: 2**18, 3: 2**19}
"""A batch holds about this many pixels: enough for steady statistics, little enough for many steps in the time."""

ALIKE = 0.03
"""How much more images must correlate as they lie than mirrored: 0.05 to 0.08 on organs, under 0.01 on cells."""

FEW_SLICES = 8
"""A volume of fewer slices is seen slice by slice."""

THICK = 6.0
"""Slices so many times as thick as pixels are wide have little in common with their neighbours."""


class TrainSpec(Spec):
    """How a model is trained. ``minutes`` becomes a number of steps after a timing phase; ``steps`` is taken as it is.

    What is ``None`` the plan decides from the data. ``norm`` is of the network, ``normalisation`` of the intensities.
    """

    task: TaskKind = "semantic"
    network: NetworkKind = "unet"
    ndim: Literal[2, 3] | None = None
    name: str = "model"
    classes: ClassNames = ()
    minutes: float = Field(15.0, gt=0)
    steps: int | None = Field(None, ge=1)
    width: int | None = Field(None, ge=1, le=512)
    depth: int | None = Field(None, ge=1, le=8)
    norm: Literal["batch", "group", "instance"] = "batch"
    normalisation: Literal["percentile", "zscore"] | None = None
    patch: tuple[int, ...] | None = None
    batch: int | None = Field(None, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    loss: LossKind = "dice"
    augmentation: Augmentation | None = None
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _objects_are_of_one_kind(self) -> Self:
        if self.task == "instance" and len(self.classes) > 1:
            raise ValueError(
                f"objects are of one kind, but {len(self.classes)} names are given: give one name, or train classes"
            )
        return self


def plan(facts: Sequence[Facts], spec: TrainSpec) -> ModelSpec:
    """Decide the model from what is known of the training cases."""
    if not facts:
        raise SegError("No image is left to learn from; mark some rows of the split with train.")
    if len({fact.ndim for fact in facts}) > 1 and spec.ndim is None:
        raise SegError("The training images have different dimensions; train on images of one kind.")
    ndim, names = spec.ndim or dimensions(facts), _channels(facts)
    facts = _in_one_unit(facts)
    facts = [fact.of_network(ndim) for fact in facts]
    spacings = [fact.spacing for fact in facts if fact.spacing is not None]
    spacing = tuple(float(s) for s in np.median(spacings, 0)) if len(spacings) == len(facts) else None
    grids = [fact.grid_at(spacing) for fact in facts]
    median = np.median(grids, 0)
    diameters = np.concatenate([fact.diameters_at(spacing, ndim) for fact in facts])
    task = _task(spec, facts, diameters, spacing or (1.0,) * ndim)
    depth = spec.depth or _depth(median, ndim)
    network = NetworkSpec(
        kind=spec.network,
        ndim=ndim,
        in_channels=len(names),
        out_channels=task.channels,
        width=spec.width or (32 if ndim == 2 else 24),
        depth=depth,
        norm=spec.norm,
        flat_levels=_flat_levels(spacing, depth) if ndim == 3 else 0,
    )
    statistics = {"images": float(len(facts))}
    if len(diameters):
        low, middle, high = np.percentile(diameters, (5, 50, 95))
        statistics |= {"diameter_low": float(low), "diameter_median": float(middle), "diameter_high": float(high)}
    return ModelSpec(
        name=spec.name,
        network=network,
        task=task,
        input=InputSpec(
            channels=names,
            modality=_common({fact.modality for fact in facts}),
            orientation=_common({fact.orientation for fact in facts}),
            spacing=spacing,
            unit=facts[0].unit if spacing else "pixel",
            diameter=statistics.get("diameter_median", 0.0) if spacing is None else 0.0,
            normalisation=Normalisation(kind=spec.normalisation or ("percentile" if ndim == 2 else "zscore")),
            patch=spec.patch or _patch(median, network, PATCH_PIXELS[task.kind, ndim]),
            extent=tuple(int(n) for n in np.max(grids, 0)),
            statistics=statistics,
        ),
    )


def _in_one_unit(facts: Sequence[Facts]) -> list[Facts]:
    """The facts with the size of voxels in a unit that all share; unknown where it is in pixels, of others a length."""
    unit = shared_unit(fact.unit for fact in facts if fact.spacing)
    return [replace(fact, spacing=in_unit(fact.spacing, fact.unit, unit), unit=unit) for fact in facts]


def dimensions(facts: Sequence[Facts]) -> Literal[2, 3]:
    """Whether a network should see volumes or their slices."""
    if any(fact.ndim == 2 for fact in facts):
        return 2
    if np.median([fact.grid[0] for fact in facts]) < FEW_SLICES or thickness(facts) > THICK:
        return 2
    return 3


def thickness(facts: Sequence[Facts]) -> float:
    """How many times as thick as pixels are wide slices usually are; 1 where that is not known."""
    known = [fact.spacing for fact in facts if fact.spacing is not None and len(fact.spacing) == 3]
    return float(np.median([s[0] / np.mean(s[1:]) for s in known])) if known else 1.0


def _channels(facts: Sequence[Facts]) -> tuple[str, ...]:
    """The channels in the order of the first image that names them; each image is put into that order when it is read.
    Raises ``SegError`` where images have others."""
    if len({len(fact.channels) for fact in facts}) > 1:
        raise SegError("The training images have different numbers of channels; train on images of one kind.")
    named = [fact.channels for fact in facts if not unnamed(fact.channels)]
    for other in named:
        if other != named[0] and not places(other, named[0]):
            raise SegError(
                f"The channels of the training images are {', '.join(named[0])} in one and {', '.join(other)} in "
                "another; train on images of the same channels."
            )
    return (named or [facts[0].channels])[0]


def check_start(start: ModelSpec, spec: TrainSpec) -> None:
    """Raises ``SegError`` where a setting that was given is not that of the model to go on from, which is kept."""
    kept = {
        "task": start.task.kind,
        "network": start.network.kind,
        "ndim": start.network.ndim,
        "classes": start.task.classes,
        "width": start.network.width,
        "depth": start.network.depth,
        "norm": start.network.norm,
        "normalisation": start.input.normalisation.kind,
        "patch": start.input.patch,
    }
    for name, own in kept.items():
        wanted = getattr(spec, name)
        if name in spec.model_fields_set and wanted not in (None, ()) and wanted != own:
            raise SegError(
                f"{start.name} has the {name} {_said(own)}, not {_said(wanted)}; start from another model or leave its "
                f"{name} as it is."
            )


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _common(words: set[str]) -> str:
    """The word that all share, or nothing."""
    return next(iter(words)) if len(words) == 1 else ""


def _task(
    spec: TrainSpec, facts: Sequence[Facts], diameters: NDArray[np.float64], spacing: tuple[float, ...]
) -> Semantic | Instance:
    values = np.unique(np.concatenate([fact.values for fact in facts]))
    values = values[values != 0]
    if not len(values):
        raise SegError("The labels of all training images are empty; label something first.")
    if spec.task == "instance":
        ndim, small = len(spacing), np.percentile(diameters, 5) / 2
        return Instance(
            ndim=ndim,
            classes=spec.classes[:1] or ("object",),
            smallest=float(round(small**ndim * np.pi / (2 * ndim) / _thickness(spacing))),
        )
    planes = {fact.planes for fact in facts}
    if planes != {0}:
        return Semantic(classes=_classes_of_planes(spec, planes, facts), overlapping=True)
    largest, shown = int(values[-1]), ", ".join(str(value) for value in values[:6])
    if largest > MOST_CLASSES:
        raise SegError(
            f"The labels hold values up to {largest} ({shown}, ...), too many for classes; number them "
            "1, 2, ... or train the task instance."
        )
    if not spec.classes and len(values) < largest:
        raise SegError(f"The labels hold {shown} with gaps; number the classes 1, 2, ... or name them all.")
    if spec.classes and len(spec.classes) < largest:
        named = there_are(len(spec.classes), "class")
        raise SegError(f"The labels go up to {largest}, but {named} named; name one for each.")
    return Semantic(classes=spec.classes or tuple(class_name(k + 1) for k in range(largest)))


def _classes_of_planes(spec: TrainSpec, planes: set[int], facts: Sequence[Facts]) -> tuple[str, ...]:
    """The names of classes that may overlap: those given, else those of the planes in the files."""
    if len(planes) > 1:
        few, many = min(planes), max(planes)
        raise SegError(
            f"Some labels have {many} planes, others {few or 'none'}; save all with one plane for each class."
        )
    count = planes.pop()
    if count > MOST_CLASSES:
        raise SegError(f"The labels have {count} planes, too many for classes; check which axis is the channel.")
    named = sorted({fact.plane_names for fact in facts} - {()})
    if len(named) > 1:
        raise SegError(
            f"The planes of the labels are named {', '.join(named[0])} in one file and {', '.join(named[1])} in "
            "another; save all with the same names in the same order."
        )
    if spec.classes and len(spec.classes) != count:
        raise SegError(
            f"The labels have {count_of(count, 'plane')}, but the number of named classes is {len(spec.classes)}; name "
            "one for each plane."
        )
    return spec.classes or (named[0] if named else tuple(class_name(k + 1) for k in range(count)))


def batch_size(model: ModelSpec, spec: TrainSpec) -> int:
    return spec.batch or int(np.clip(STEP_PIXELS[model.network.ndim] // np.prod(model.input.patch), 2, 16))


def augmentation(model: ModelSpec, spec: TrainSpec, learned: Sequence[Sample]) -> Augmentation:
    """The changes that fit the data: organs that always lie the same way are neither mirrored nor turned around.

    Raises ``SegError`` where images are to be mirrored along an axis that the model's grid has not.
    """
    if (asked := spec.augmentation) is not None:
        if isinstance(asked.flips, tuple) and max(asked.flips, default=0) >= model.network.ndim:
            raise SegError(
                f"Patches of {model.network.ndim} axes have no axis {max(asked.flips)} to be mirrored along; axes are "
                "counted from 0, name others in flips."
            )
        return asked
    if model.task.kind == "semantic" and (model.input.orientation or lie_alike([s.image for s in learned])):
        return Augmentation(flips=False, turns=False, rotation=20, scaling=1.25)
    return Augmentation(rotation=180 if model.network.ndim == 2 else 30)


def lie_alike(images: Sequence[NDArray[np.float32]]) -> bool:
    """Whether images, ``(channels, *grid)``, resemble each other clearly more as they lie than when some are mirrored.

    By the mean correlation of pairs of small pictures of them, against that with one of each pair mirrored along an
    axis or turned by 180 degrees in the plane.
    """
    size = (16,) * (images[0].ndim - 3) + (24, 24)
    small = np.stack([resampled(image.mean(0, keepdims=True), size)[0] for image in images[:: -(-len(images) // 40)]])
    small -= small.mean(tuple(range(1, small.ndim)), keepdims=True)
    norms = np.linalg.norm(small.reshape(len(small), -1), axis=1)
    small /= np.maximum(norms, 1e-6).reshape((-1,) + (1,) * (small.ndim - 1))

    def likeness(mirrored: NDArray[np.float32]) -> float:
        table = small.reshape(len(small), -1) @ mirrored.reshape(len(small), -1).T
        return float((table.sum() - np.trace(table)) / max(1, len(small) * (len(small) - 1)))

    others = [np.flip(small, axes) for axes in ((-1,), (-2,), (-2, -1))]
    return likeness(small) - max(map(likeness, others)) > ALIKE


@dataclass(frozen=True, eq=False)
class Facts:
    """What a plan needs to know of one case, small enough to keep of all.

    ``values``: the labels that occur, or the planes (from 1) that hold something. ``planes``: how many planes the
    labels have, one for each class, 0 for one number for each pixel; ``plane_names``: where the file names them.
    ``diameters``: of the objects of the task instance, in pixels of the finest axis, by the dimensions of the network;
    a 2D one sees slices. ``ndim``, ``grid``, ``spacing`` and ``orientation`` are the image's own.
    """

    ndim: Literal[2, 3]
    channels: tuple[str, ...]
    grid: tuple[int, ...]
    spacing: tuple[float, ...] | None
    unit: str
    modality: str
    orientation: str
    values: NDArray[np.int64]
    planes: int
    plane_names: tuple[str, ...]
    diameters: Mapping[int, NDArray[np.float64]]

    @classmethod
    def of(cls, image: Volume, labels: Volume, spec: TrainSpec) -> Facts:
        ndim: Literal[2, 3] = 3 if image.ndim == 3 and image.grid[0] > 1 else 2
        if (spec.ndim or ndim) > ndim:
            words = "a 2D image" if image.ndim == 2 else "a volume of one slice"
            raise SegError(f"{image.name} is {words}; train a 2D network on it.")
        planes = labels.size("C") if "C" in labels.axes else 0
        diameters = dict[int, NDArray[np.float64]]()
        if spec.task == "instance":
            check_labels(labels, Instance(ndim=ndim), image.name)
            diameters = {n: _diameters(image, labels, n) for n in ({spec.ndim} if spec.ndim else {2, ndim})}
        modality = image.source.modality if image.source else ""
        return cls(
            ndim,
            names_of(image),
            image.grid[-ndim:],
            image.spacing[-ndim:] if image.spacing else None,
            image.unit,
            modality,
            image.orientation[-ndim:],
            occurring(labels),
            planes,
            _plane_names(labels),
            diameters,
        )

    def of_network(self, ndim: Literal[2, 3]) -> Facts:
        """What a network of so many dimensions sees of the image."""
        spacing = self.spacing[-ndim:] if self.spacing else None
        return replace(self, ndim=ndim, grid=self.grid[-ndim:], spacing=spacing, orientation=self.orientation[-ndim:])

    def diameters_at(self, spacing: tuple[float, ...] | None, ndim: int) -> NDArray[np.float64]:
        """The diameters in pixels of the finest axis of a grid of that spacing."""
        finer = 1.0 if spacing is None or self.spacing is None else min(self.spacing) / min(spacing)
        return finer * self.diameters.get(ndim, np.zeros(0))

    def grid_at(self, spacing: tuple[float, ...] | None) -> tuple[int, ...]:
        return grid_at(self.grid, self.spacing, spacing)


def _diameters(image: Volume, labels: Volume, ndim: int) -> NDArray[np.float64]:
    """Of discs or balls as large as the objects of each time point (of each slice for a 2D network)."""
    thickness = _thickness(image.spacing[-ndim:] if image.spacing else (1.0,) * ndim)
    found: list[NDArray[Any]] = [np.zeros(0)]
    for _, frame, _ in frames(image, labels, ndim):
        counts = np.bincount(fastremap.renumber(frame)[0].ravel())[1:]
        found.append((counts * thickness * 2 * ndim / np.pi) ** (1 / ndim))
    return np.concatenate(found)


def _thickness(spacing: tuple[float, ...]) -> float:
    """How many squares or cubes of its finest side a voxel is as large as."""
    return float(np.prod(np.asarray(spacing) / min(spacing)))


def _plane_names(labels: Volume) -> tuple[str, ...]:
    """The names of the planes, if each has one of its own; bare numbers are none."""
    names = tuple(name.strip() for name in labels.channels)
    usable = len({*names}) == labels.size("C") and all(name and not name.isdecimal() for name in names)
    return names if usable and "C" in labels.axes else ()


def _depth(median: NDArray[np.float64], ndim: Literal[2, 3]) -> int:
    """So many halvings that the deepest level still has some pixels to each side of a typical image."""
    usual = 4 if ndim == 2 else 3
    return int(np.clip(np.log2(max(1.0, float(median[-2:].min()) / 4)), 1, usual))


def _flat_levels(spacing: tuple[float, ...] | None, depth: int) -> int:
    """Slices twice as thick as pixels are wide wait one level before z is halved, four times as thick two, ..."""
    if spacing is None:
        return 0
    return int(np.clip(round(np.log2(spacing[0] / np.mean(spacing[1:]))), 0, depth))


def _patch(median: NDArray[np.float64], network: NetworkSpec, most: int) -> tuple[int, ...]:
    """The typical image, cut down along its longest axes until it has a size that trains quickly."""
    multiple = np.full(network.ndim, 2**network.depth)
    if network.ndim == 3:
        multiple[0] = 2 ** (network.depth - network.flat_levels)
    patch = (np.ceil(median / multiple) * multiple).astype(int)
    while np.prod(patch) > most and (patch > multiple).any():
        longest = int(np.argmax(patch / multiple))
        patch[longest] -= multiple[longest]
    return tuple(int(n) for n in patch)
