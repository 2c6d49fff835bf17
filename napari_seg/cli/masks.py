"""Where the masks of ``napari-seg predict`` go. What can be known to fail is refused before the network runs."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_seg.cli.options import keep_existing, refuse_folder
from napari_seg.errors import SegError

if TYPE_CHECKING:
    from napari_seg.data.volume import Volume
    from napari_seg.models.spec import ModelSpec


def plan(inputs: list[Path], output: Path, *, overwrite: bool, planes: bool = False) -> list[tuple[Path, Path]]:
    """Every image with the place of its mask. ``planes``: the masks hold one for each class. Raises ``SegError`` before
    any work where a mask would hurt a file."""
    from napari_seg.data.formats import images_of, is_image, mask_name, writable

    images = list(images_of(inputs))
    single = len(inputs) == 1 and is_image(inputs[0])
    named = single and _is_file_name(output)
    if named:
        pairs = [(images[0], output)]
    elif single and output.suffix and not output.is_dir():
        raise SegError(
            f"The name {output.name} does not say the format; end it with one of {', '.join(writable())}, or make a "
            "folder of that name first."
        )
    else:
        if output.is_file() or _is_file_name(output):
            raise SegError(f"{output} is the name of one file, there are {len(images)} images; give a folder instead.")
        pairs = [(image, output / _named(mask_name(image), planes)) for image in images]
    by_mask: dict[Path, Path] = {}
    for image, mask in pairs:
        if any(mask.exists() and other.exists() and mask.samefile(other) for other in images):
            raise SegError(f"The mask {mask} would replace the image of that name; choose another folder or name.")
        if mask in by_mask:
            raise SegError(
                f"{by_mask[mask]} and {image} would both become {mask}; segment them into different folders."
            )
        if _is_in_image(mask) and mask.exists():
            raise SegError(f"{mask} is a mask of that image already, and none is replaced there; choose another name.")
        by_mask[mask] = image
    if named:
        keep_existing(output, overwrite)
    for folder in {mask.parent for mask in by_mask}:
        refuse_folder(folder)
    return pairs


def refuse_unwritable(spec: ModelSpec, image: Volume, mask: Path) -> None:
    """Raises ``SegError`` where the format of ``mask`` cannot hold a mask of this image, or what has this name is none.

    An empty mask with the axes, the place and the spacing of the image, but two voxels long, is written to find out.
    """
    import numpy as np

    from napari_seg.data.formats import tells_how_made, write
    from napari_seg.data.ome_zarr import is_mask

    if mask.is_dir() and not is_mask(mask):
        raise SegError(f"{mask} is a folder and no mask, so it is not replaced; choose another name.")
    if mask.is_file() and not tells_how_made(mask):
        raise SegError(
            f"{mask} does not say that napari-seg made it, so it may be an image and is not replaced; choose another "
            "folder or name, or take it away first."
        )
    planes = spec.task.planes
    axes = image.mask_axes(planes)
    sizes = [len(planes) if axis == "C" else min(image.size(axis), 2) for axis in axes]
    tiny = replace(image, data=np.zeros(sizes, np.uint8), axes=axes, channels=planes, notes=(), levels=())
    with tempfile.TemporaryDirectory() as folder:
        write(tiny, Path(folder) / (f"{mask.name}.zarr" if _is_in_image(mask) else mask.name))


def _named(name: str, planes: bool) -> str:
    """The name of a mask; a PNG cannot hold several planes, a TIFF can."""
    return f"{name[:-4]}.tif" if planes and name.lower().endswith(".png") else name


def _is_in_image(path: Path) -> bool:
    """Whether an output is a mask within an OME-Zarr image: ``image.zarr/labels/NAME``. Raises ``SegError`` for others
    within one."""
    from napari_seg.data.ome_zarr import image_for

    return image_for(path) is not None


def _is_file_name(path: Path) -> bool:
    """Whether an output is meant as one mask: it ends like a file and is no ordinary folder, or lies in an image."""
    from napari_seg.data.formats import FORMATS, is_image

    if _is_in_image(path):
        return True
    suffixes = tuple(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
    return path.name.lower().endswith(suffixes) and (not path.is_dir() or is_image(path))
