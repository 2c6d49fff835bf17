"""A mask made elsewhere, laid on its image: in world space where both have one, else by size, never by guess."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import same_world, spacing_of
from napari_seg.data.volume import UNITS, Volume
from napari_seg.errors import SegError

_BY_XYZ = {"nifti", "nrrd_file"}
"""Formats whose voxels are stored along x, y and z."""


def onto_grid(mask: Volume, image: Volume) -> Volume:
    """The mask in the grid of the image, by nearest neighbour; background where the mask says nothing.

    Where both lie in a patient's space their affines decide, else the size of their voxels, provided both cover the
    same extent; where neither helps only masks of the image's own shape are taken. A note says what was done. Planes
    (``C``) and time points are kept. Raises ``SegError`` where mask and image do not overlap or do not fit.
    """
    if "S" in mask.axes:
        raise SegError("The mask is a colour picture; save it with one label number for each pixel.")
    if "T" in mask.axes and mask.size("T") != image.size("T"):
        raise SegError(
            f"The mask has {mask.size('T')} points in time, the image {image.size('T')}; use a mask of that image."
        )
    if mask.affine is not None and image.affine is not None:
        return _through_world(mask, image, np.linalg.inv(mask.affine) @ image.affine)
    one_sided = (mask.affine is None) != (image.affine is None)
    note = "Only one of mask and image says where it lies; the mask was laid on voxel by voxel, as they are stored."
    if one_sided and (shown := _alike_in_their_files(mask, image)) is not None:
        return _on(image, mask, shown, (note,))
    if mask.grid == image.grid:
        return _on(image, mask, np.asarray(mask.data), (note,) if one_sided else ())
    step = _step(mask, image)
    to_mask = np.eye(4)
    for k in range(image.ndim):
        axis = 3 - image.ndim + k
        to_mask[axis, axis] = step[k]
        to_mask[axis, 3] = (step[k] - 1) / 2  # the grids begin at the same edge, not at the same centre
    return _through_world(mask, image, to_mask)


def apart(mask: Volume, image: Volume) -> bool:
    """Whether both say where they lie, and their grids lie half a voxel from each other somewhere, or more. How large a
    voxel is does not count: a person may have given one of them another size."""
    if mask.affine is None or image.affine is None:
        return False
    sizes = np.append(spacing_of(image.affine) / spacing_of(mask.affine), 1)
    return not same_world(mask.affine * sizes, image.affine, (1,) * (3 - image.ndim) + image.grid, 0.5)


def _alike_in_their_files(mask: Volume, image: Volume) -> NDArray[np.generic] | None:
    """A mask whose file, or whose image's, does not say where it lies: the voxels of the one file are those of the
    other, however the image was turned to be shown. ``None`` where that is not known."""
    if mask.source is None or image.source is None or not {mask.source.format, image.source.format} <= _BY_XYZ:
        return None
    of_mask, of_image = mask.source.reorder, image.source.reorder
    if of_mask is None or of_image is None or not mask.ndim == image.ndim == 3:
        return None
    data = np.asarray(mask.data)
    lead = data.ndim - mask.ndim
    shown = of_image.within(data.ndim, lead).apply(of_mask.within(data.ndim, lead).undo(data))
    return np.asarray(shown) if shown.shape[lead:] == image.grid else None


def _step(mask: Volume, image: Volume) -> tuple[float, ...]:
    """The voxels of the image measured in voxels of the mask, for two grids over the same extent."""
    known = mask.spacing is not None and image.spacing is not None and mask.ndim == image.ndim
    comparable = (mask.unit == "pixel") == (image.unit == "pixel")
    if known and comparable and mask.spacing is not None and image.spacing is not None:
        of_mask = np.array(mask.spacing) * UNITS[mask.unit]
        of_image = np.array(image.spacing) * UNITS[image.unit]
        extents = of_mask * mask.grid, of_image * image.grid
        if np.all(abs(extents[0] - extents[1]) < np.maximum(of_mask, of_image)):
            return tuple((of_image / of_mask).tolist())
    raise SegError(
        f"The mask has {_size(mask)}, the image {_size(image)}, and nothing says how they lie on each other; save the "
        "mask in the grid of the image, or both with their place, for example as NIfTI."
    )


def _size(volume: Volume) -> str:
    return " x ".join(str(n) for n in volume.grid) + " voxels"


def _through_world(mask: Volume, image: Volume, to_mask: NDArray[np.float64]) -> Volume:
    """``to_mask`` leads from the index (z, y, x, 1) in the image to that in the mask."""
    data = np.asarray(mask.data)
    box = (1,) * (3 - image.ndim) + image.grid
    if mask.grid == image.grid and same_world(np.eye(4), to_mask, box, 0.01):
        return _on(image, mask, data, ())
    lead = data.shape[: data.ndim - mask.ndim]
    stored = data.reshape(-1, *((1,) * (3 - mask.ndim) + mask.grid))
    found, inside = _nearest(stored, to_mask, box)
    if not inside:
        raise SegError("The mask and the image do not overlap; check that they belong to the same patient and scan.")
    notes = [f"The mask has another grid ({_size(mask)}) than the image; it was laid on by nearest neighbour."]
    lost = np.setdiff1d(np.unique(stored), np.unique(found))
    if len(lost):
        notes.append(f"{len(lost)} of its labels are not on the image: {', '.join(str(n) for n in lost[:5])}.")
    return _on(image, mask, found.reshape(*lead, *image.grid), tuple(notes))


def _nearest(
    planes: NDArray[np.generic], to_mask: NDArray[np.float64], box: tuple[int, ...]
) -> tuple[NDArray[np.generic], bool]:
    """Masks (first axis) sampled at every voxel of a box, slice by slice, and whether any voxel lay inside them."""
    found = np.zeros((len(planes), *box), planes.dtype)
    rows, columns = np.arange(box[1])[:, None], np.arange(box[2])[None, :]
    in_plane = [to_mask[k, 1] * rows + to_mask[k, 2] * columns + to_mask[k, 3] for k in range(3)]
    any_inside = False
    for z in range(box[0]):
        inside = np.ones(box[1:], bool)
        index = []
        for k, size in enumerate(planes.shape[1:]):
            nearest = np.floor(in_plane[k] + (to_mask[k, 0] * z + 0.5)).astype(np.int64)
            inside &= (nearest >= 0) & (nearest < size)
            index.append(nearest)
        if inside.any():
            any_inside = True
            a, b, c = (nearest[inside] for nearest in index)
            found[:, z, inside] = planes[:, a, b, c]
    return found, any_inside


def _on(image: Volume, mask: Volume, labels: NDArray[np.generic], notes: tuple[str, ...]) -> Volume:
    laid = image.mask(labels, name=mask.name, axes="".join(axis for axis in mask.axes if axis in "TC") + image.spatial)
    return replace(laid, channels=mask.channels, notes=(*mask.notes, *notes))
