"""A ``Volume``: an array that knows its axes, its spacing, where it lies, and the file it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import Reorder, is_place, leaning, orientation
from napari_seg.data.unchanged import Marks
from napari_seg.errors import SegError
from napari_seg.files import as_text

AXES = "TCZYXS"
"""All axes there are, in the only order in which they occur: time, channel, depth, row, column, RGB sample."""

SPATIAL = "ZYX"

MADE = "napari_seg"
"""The name under which a file says how its mask was made, in whatever place its format has for such things."""

SHOWN = "napari_seg_translate"
"""The name under which a file of ours says that viewers show it elsewhere than at 0."""

UNITS = {"pixel": 1.0, "nm": 1e-6, "um": 1e-3, "mm": 1.0, "m": 1e3}
"""Units of spacing, with their length in millimetres (``pixel``: not known)."""


@dataclass(frozen=True)
class Location:
    """Where the voxels of a file lie in a space that is no patient's, such as that of a microscope's stage.

    ``affine`` maps an index (z, y, x, 1) to that space, in millimetres where the file names a unit. What lies in spaces
    of the same name can be compared, what lies in one without a name with nothing. All that holds for a volume of this
    ``grid`` with voxels of this size.
    """

    space: str
    affine: tuple[tuple[float, ...], ...]
    grid: tuple[int, ...]
    spacing: tuple[float, ...] | None
    unit: str


def located(
    space: str, origin: Sequence[float], grid: tuple[int, ...], spacing: tuple[float, ...] | None, unit: str
) -> Location:
    """The location of an upright grid whose first voxel is at ``origin``, in ``unit``."""
    steps = np.array(spacing or (1.0,) * len(grid))
    affine, first = np.eye(4), 3 - len(grid)
    affine[0, 0] = steps.max() * UNITS[unit]  # of an image the normal, which is never the smallest
    affine[range(first, 3), range(first, 3)] = steps * UNITS[unit]
    affine[first:3, 3] = np.array(origin) * UNITS[unit]
    return Location(space, tuple(map(tuple, affine.tolist())), grid, spacing, unit)


@dataclass(frozen=True)
class Source:
    """The file a volume came from, and what a writer needs to put a mask back into the file's own grid.

    ``modality`` is DICOM's word, ``"SEG"`` for what is certainly a mask. ``reorder`` leads from the file's spatial
    axes to the volume's. ``header`` holds what the format itself needs again (for NIfTI the qform, the sform and their
    codes); it never holds a patient's name or ID. ``location``: where the file says it lies, if in no patient's space.
    ``marks``: what the file was known by when it was opened, where it is read in parts by whoever needs them.
    """

    path: Path
    format: str
    series: str = ""
    modality: str = ""
    reorder: Reorder | None = None
    header: Mapping[str, Any] = field(default_factory=dict)
    location: Location | None = None
    marks: Marks = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Volume:
    """An image, a volume or a mask.

    ``data`` is a numpy, zarr or dask array whose dimensions are named by ``axes``, a subsequence of :data:`AXES`.
    ``spacing`` has one number per spatial axis, in ``unit``; ``None`` where the file does not say.
    ``affine`` (see :mod:`~napari_seg.data.geometry`) is ``None`` for images that do not lie in a patient's space.
    ``channels`` names the planes along ``C``. ``levels`` are the coarser levels of a pyramid, finest first, without
    ``data`` itself. ``notes`` are sentences about the file that a person should read. ``made`` says how a mask came
    about (program, model, settings; plain values), and is written into the file itself. ``image`` is the file of the
    image that a mask was made of, which no mask ever replaces. ``interval`` is the seconds between two time points,
    ``None`` where the file does not say. ``translate`` is where a viewer shows the first voxel of what lies in no
    patient's space, along the spatial axes and in ``unit``; ``None`` is at 0.
    """

    data: Any
    axes: str
    spacing: tuple[float, ...] | None = None
    unit: str = "pixel"
    affine: NDArray[np.float64] | None = None
    channels: tuple[str, ...] = ()
    name: str = ""
    source: Source | None = None
    notes: tuple[str, ...] = ()
    levels: tuple[Any, ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict)
    image: Path | None = None
    interval: float | None = None
    translate: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", as_text(self.name))
        if not is_axes(self.axes):
            raise SegError(f"Axes {self.axes!r} are not a selection of {AXES} in that order; name them again.")
        if not hasattr(self.data, "ndim"):
            words = f"The voxels are of the type {type(self.data).__name__}"
            raise SegError(f"{words}; give an array of them, such as numpy.asarray(...).")
        if len(self.axes) != self.data.ndim:
            raise SegError(
                f"The image has {self.data.ndim} dimensions, the axes {self.axes} name {len(self.axes)}; "
                "give one letter for each dimension."
            )
        if self.spacing is not None:
            object.__setattr__(self, "spacing", tuple(float(one) for one in np.ravel(self.spacing)))
        if self.affine is not None and not (np.shape(self.affine) == (4, 4) and np.isfinite(self.affine).all()):
            raise SegError("The affine is no matrix of 4 x 4 numbers; correct it in the file.")
        if self.affine is not None and not is_place(self.affine):
            raise SegError("The affine puts different voxels in one place; correct it in the file.")
        if self.spacing is not None and len(self.spacing) != self.ndim:
            raise SegError(f"The axes {self.axes} need {self.ndim} spacings; give one for each of {self.spatial}.")
        if self.spacing is not None and not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise SegError(f"The spacing {self.spacing} is not positive; correct it in the file.")
        if self.interval is not None and not (np.isfinite(self.interval) and self.interval > 0):
            raise SegError(f"The time between frames is {self.interval}, no positive number; correct it in the file.")
        if self.translate is not None:
            shown = tuple(float(one) for one in np.ravel(self.translate))
            known = self.affine is None and len(shown) == self.ndim and bool(np.isfinite(shown).all())
            object.__setattr__(self, "translate", shown if known else None)
        if self.unit not in UNITS:
            raise SegError(f"The unit {self.unit!r} is not known; use one of {', '.join(UNITS)}.")

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.data.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.data.dtype)
        return dtype

    @property
    def path(self) -> Path | None:
        """The file it came from."""
        return None if self.source is None else self.source.path

    @property
    def location(self) -> Location | None:
        """Where its file says that it lies in a space that is no patient's; ``None`` also where its grid or the size of
        its voxels is no longer that of the file."""
        found = None if self.source is None or self.affine is not None else self.source.location
        known = found is not None and (found.grid, found.spacing, found.unit) == (self.grid, self.spacing, self.unit)
        return found if known else None

    @property
    def shown(self) -> Location | None:
        """Where a viewer shows it, where that is elsewhere than at 0 in no patient's space."""
        if self.translate is None:
            return None
        space = "viewer, in pixels" if self.unit == "pixel" else "viewer"
        return located(space, self.translate, self.grid, self.spacing, self.unit)

    @property
    def spatial(self) -> str:
        """The spatial axes: ``"ZYX"`` or ``"YX"``."""
        return "".join(axis for axis in self.axes if axis in SPATIAL)

    @property
    def ndim(self) -> int:
        """The number of spatial axes, 2 or 3."""
        return len(self.spatial)

    @property
    def grid(self) -> tuple[int, ...]:
        """The number of voxels along the spatial axes."""
        return tuple(self.size(axis) for axis in self.spatial)

    @property
    def orientation(self) -> str:
        """The sides towards which the spatial axes grow, such as ``"IPL"``; empty outside a patient's space."""
        return "" if self.affine is None else orientation(self.affine)[-self.ndim :]

    @property
    def along(self) -> NDArray[np.float64] | None:
        """See :func:`~napari_seg.data.geometry.leaning`; the rows and columns of an image always stand upright."""
        return None if self.affine is None or self.ndim == 2 else leaning(self.affine)

    @property
    def made_text(self) -> str:
        """``made`` as one line of JSON in ASCII; empty where nothing is known."""
        return json.dumps(dict(self.made), sort_keys=True) if self.made else ""

    def size(self, axis: str) -> int:
        """The number of elements along ``axis``; 1 where the volume does not have it."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    def mask_axes(self, planes: tuple[str, ...] = ()) -> str:
        """The axes of a mask of this volume: no samples, and channels only for ``planes``, one for each class."""
        return "T" * ("T" in self.axes) + "C" * bool(planes) + self.spatial

    def mask(self, labels: NDArray[Any], *, name: str = "", axes: str = "") -> Volume:
        """A mask that lies exactly on this volume: same grid, same place, same file to go back to.

        ``labels`` has the axes of this volume without channels and samples, unless ``axes`` says otherwise.
        """
        axes = axes or self.mask_axes()
        sizes = tuple(labels.shape[axes.index(axis)] for axis in axes if axis in SPATIAL)
        if len(axes) != labels.ndim or sizes != self.grid:
            raise SegError(
                f"The mask has shape {labels.shape}, the image {self.shape} ({self.axes}); use a mask of that image."
            )
        return replace(
            self,
            data=labels,
            axes=axes,
            channels=(),
            name=name or self.name,
            notes=(),
            levels=(),
            made={},
            image=self.path,
        )


class Predicted(Protocol):
    """What has labels, as a prediction: where a mask is wanted, these are meant."""

    @property
    def labels(self) -> Volume: ...


def the_volume(given: object) -> Volume:
    """What was given, where a ``Volume`` is wanted. Raises ``SegError`` for anything else."""
    if isinstance(given, Volume):
        return given
    words = f"What was given is of the type {type(given).__name__} and no Volume; read a file with read(path)"
    raise SegError(f'{words}, or name the axes of an array: Volume(array, "YX").')


def is_axes(axes: str) -> bool:
    """Whether ``axes`` names dimensions in the order of :data:`AXES`, each once, with Y and X among them."""
    return axes == "".join(axis for axis in AXES if axis in axes) and "YX" in axes


def labels_dtype(largest: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned dtype that holds the label ``largest``."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if largest <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.uint64)
