"""A mask made elsewhere, laid on its image: in world space where both have one, else by size, never by guess."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.geometry import Reorder, same_world, spacing_of
from napari_seg.data.volume import UNITS, Volume
from napari_seg.errors import SegError

_BY_XYZ = ("nifti", "nrrd_file")
"""Formats whose voxels are stored along x, y and z, the others along z, y and x."""

_AS_THEY_ARE = ("tiff", "ome_zarr", "picture")
"""Formats that are shown as they are stored."""

_BY_EDGE = ("ome_zarr",)
"""Spaces of files of which many say the same place for the levels of a pyramid, which then begin at the same edge."""

_UNSAID = (
    "Only one of mask and image says where it lies; the mask was laid on voxel by voxel, {}. Look whether it lies "
    "right; where it does not, save both with their place, for example as NIfTI."
)

_RESIZED = (
    "Mask and image begin at one place and are as many voxels, of another size; the mask was laid on voxel by voxel. "
    "Give the image the right size of voxels, and look whether the mask lies right."
)


def onto_grid(mask: Volume, image: Volume) -> Volume:
    """The mask in the grid of the image, by nearest neighbour; background where the mask says nothing.

    Where both lie in one space their affines decide (:func:`in_one_space`), but for one that differs in the size of
    voxels alone (:func:`is_resized`), which lies voxel by voxel; else the size of their voxels, provided
    both cover the same extent; where neither helps only masks of the image's own shape are taken. Where only one of
    them lies in a patient it was turned to be shown; the mask is turned so that voxels lie on each other as they do in
    the two files, for that is how programs convert one into the other, or lies as it is shown where only that fits. A
    note says what was done. Planes (``C``) and time points are kept. Raises ``SegError`` where mask and image do not
    overlap or do not fit.
    """
    if "S" in mask.axes:
        raise SegError("The mask is a colour picture; save it with one label number for each pixel.")
    if "T" in mask.axes and mask.size("T") != image.size("T"):
        raise SegError(
            f"The mask has {mask.size('T')} points in time, the image {image.size('T')}; use a mask of that image."
        )
    resized = is_resized(mask, image)
    if (both := in_one_space(mask, image)) is not None and not resized:
        return _through_world(mask, image, np.linalg.inv(both[0]) @ both[1])
    one_sided = one_is_placed(mask, image)
    turned = _as_stored_alike(mask, image) if one_sided else None
    if turned is not None and (turned.grid == image.grid or mask.grid != image.grid):
        mask, how = turned, "as they are stored"
    else:
        how = "as the image is shown"
    note = (_UNSAID.format(how),) if one_sided else (_RESIZED,) if resized else ()
    if mask.grid == image.grid:
        return _on(image, mask, np.asarray(mask.data), note)
    step = _step(mask, image)
    to_mask = np.eye(4)
    for k in range(image.ndim):
        axis = 3 - image.ndim + k
        to_mask[axis, axis] = step[k]
        to_mask[axis, 3] = (step[k] - 1) / 2  # the grids begin at the same edge, not at the same centre
    return _through_world(mask, image, to_mask, note)


def as_its_image(mask: Volume, image: Volume) -> Volume:
    """A mask of as many voxels as its image, laid on that where only one of them says where it lies; else the mask."""
    if one_is_placed(mask, image) and sorted(mask.grid) == sorted(image.grid):
        with suppress(SegError):  # what does not fit is said where that is found
            return onto_grid(mask, image)
    return mask


def one_is_placed(mask: Volume, image: Volume) -> bool:
    """Whether only one of the two says where it lies in a patient."""
    return (mask.affine is None) != (image.affine is None)


def in_one_space(mask: Volume, image: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The affines of two that lie in one space, that of the patient or another of one name; ``None`` where they do not,
    or nobody knows, and where a size of voxels or a level of a pyramid is all that they differ by."""
    if mask.affine is not None and image.affine is not None:
        return mask.affine, image.affine
    here, there = mask.location, image.location
    if mask.shown is not None and image.shown is not None:
        here, there = mask.shown, image.shown
    if here is None or there is None or mask.ndim != image.ndim or not here.space or here.space != there.space:
        return None
    both = np.array(here.affine), np.array(there.affine)
    return None if here.space in _BY_EDGE and _is_same_field(mask, image, *both) else both


def _is_same_field(mask: Volume, image: Volume, here: NDArray[np.float64], there: NDArray[np.float64]) -> bool:
    """Whether two that begin at the same place, with voxels of other sizes, are as many or cover the same extent."""
    sizes = spacing_of(here), spacing_of(there)
    if np.allclose(*sizes, rtol=1e-6, atol=0) or np.any(abs(here - there)[:3, 3] > 0.01 * np.minimum(*sizes)):
        return False
    with suppress(SegError):
        return mask.grid == image.grid or bool(_step(mask, image))
    return False


def same_place(mask: Volume, image: Volume, tolerance: float = 0.5) -> bool:
    """Whether two that say where they lie have one grid: all voxels within ``tolerance`` voxels of each other. By half
    a voxel nothing lies on another one; files round what they say of the directions."""
    both = in_one_space(mask, image)
    if both is None or mask.grid != image.grid:
        return False
    return same_world(*both, (1,) * (3 - image.ndim) + image.grid, tolerance)


def apart(mask: Volume, image: Volume) -> bool:
    """Whether both say where they lie, and their grids lie half a voxel from each other somewhere, or more; or only one
    says it, and their files are not shown the same way round. How large a voxel is does not count: a person may have
    given one of them another size."""
    if one_is_placed(mask, image):
        ways = _from_file(mask), _from_file(image)
        return None not in ways and mask.ndim == image.ndim and ways[0] != ways[1]
    if (both := in_one_space(mask, image)) is None:
        return False
    here, there = both
    sizes = np.append(spacing_of(there) / spacing_of(here), 1)
    return not same_world(here * sizes, there, (1,) * (3 - image.ndim) + image.grid, 0.5)


def shown_alike(mask: Volume, image: Volume) -> bool:
    """Whether a viewer shows the first voxels of two in one place; of what lies in a patient the affines decide."""
    if mask.affine is not None or image.affine is not None:
        return True
    starts = [np.array(one.translate or (0.0,) * one.ndim) * UNITS[one.unit] for one in (mask, image)]
    smallest = min(image.spacing or (1.0,)) * UNITS[image.unit]
    return mask.ndim == image.ndim and bool(np.all(abs(starts[0] - starts[1]) < 0.1 * smallest))


def is_resized(mask: Volume, image: Volume) -> bool:
    """Whether two are one grid but for the size that each gives its voxels."""
    if mask.grid != image.grid or one_is_placed(mask, image) or apart(mask, image):
        return False
    if in_one_space(mask, image) is not None:
        return not same_place(mask, image)
    if mask.spacing is None or image.spacing is None or (mask.unit == "pixel") != (image.unit == "pixel"):
        return False
    of_mask, of_image = np.array(mask.spacing) * UNITS[mask.unit], np.array(image.spacing) * UNITS[image.unit]
    return not np.allclose(of_mask, of_image, rtol=1e-3, atol=0)


def _as_stored_alike(mask: Volume, image: Volume) -> Volume | None:
    """The mask turned as its image is for being shown, so that voxels lie on each other as they do in the two files;
    ``None`` where that is not known. It says no place any more."""
    of_mask, of_image = _from_file(mask), _from_file(image)
    if of_mask is None or of_image is None or mask.ndim != image.ndim:
        return None
    data = np.asarray(mask.data)
    lead = data.ndim - mask.ndim
    data = of_image.within(data.ndim, lead).apply(of_mask.within(data.ndim, lead).undo(data))
    spacing = mask.spacing
    if spacing is not None:
        in_file = dict(zip(of_mask.order, spacing, strict=True))
        spacing = tuple(in_file[axis] for axis in of_image.order)
    return replace(mask, data=data, spacing=spacing, affine=None, levels=())


def _from_file(volume: Volume) -> Reorder | None:
    """The way from the axes of a file, in the order z, y, x, to those of its volume; ``None`` where it is not known."""
    source = volume.source
    if source is None:
        return None
    if source.format in _AS_THEY_ARE:
        way = Reorder((0, 1, 2), (False,) * 3)
    elif source.reorder is None:
        return None
    elif source.format in _BY_XYZ:
        way = Reorder(tuple(2 - axis for axis in source.reorder.order), source.reorder.flip)
    else:
        way = source.reorder
    return way.in_plane if volume.ndim == 2 else way


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


def _through_world(mask: Volume, image: Volume, to_mask: NDArray[np.float64], notes: tuple[str, ...] = ()) -> Volume:
    """``to_mask`` leads from the index (z, y, x, 1) in the image to that in the mask. ``notes`` come first."""
    data = np.asarray(mask.data)
    box = (1,) * (3 - image.ndim) + image.grid
    if mask.grid == image.grid and same_world(np.eye(4), to_mask, box, 0.01):
        return _on(image, mask, data, notes)
    lead = data.shape[: data.ndim - mask.ndim]
    stored = data.reshape(-1, *((1,) * (3 - mask.ndim) + mask.grid))
    found, inside = _nearest(stored, to_mask, box)
    if not inside:
        raise SegError("The mask and the image do not overlap; check that they belong to the same patient and scan.")
    said = [*notes, f"The mask has another grid ({_size(mask)}) than the image; it was laid on by nearest neighbour."]
    lost = np.setdiff1d(np.unique(stored), np.unique(found))
    if len(lost):
        said.append(f"{len(lost)} of its labels are not on the image: {', '.join(str(n) for n in lost[:5])}.")
    return _on(image, mask, found.reshape(*lead, *image.grid), tuple(said))


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
