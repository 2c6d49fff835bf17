"""OME-Zarr (OME-NGFF) up to 0.5: images and masks with their pyramid, plates, wells and converted multi-image files.

Arrays stay on disk. A path may also lead into a store: to a mask (``image.zarr/labels/nuclei``), to a field of a plate
or to one level (``image.zarr/1``). A chunk that is not stored means the fill value, by the definition of Zarr, so a
lost chunk cannot be told from an empty one; only a level without any chunk is noticed, and the next one taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import zarr

from napari_seg.data.axes import arrange, name_axes
from napari_seg.data.geometry import is_place
from napari_seg.data.lazy import LazyView
from napari_seg.data.ngff import Node, datasets_of, letters_of, node_at, says_translation, scale_of, translation_of
from napari_seg.data.unchanged import marks_of_array
from napari_seg.data.units import length, seconds, spacing_from
from napari_seg.data.volume import AXES, SHOWN, SPATIAL, Location, Source, Volume, located
from napari_seg.errors import Choice, ChoiceNeeded, SegError
from napari_seg.files import target

_METADATA = (".zattrs", ".zgroup", ".zarray", ".zmetadata", "zarr.json")


def claims(path: Path) -> bool:
    if not path.is_dir():
        return False
    return path.name.lower().endswith(".zarr") or any((path / name).is_file() for name in _METADATA)


def read(path: Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """``series`` is the path of an image below ``path``, where there are several (a plate, a well, masks)."""
    node = node_at(path)
    if node.is_array:
        return _level(path, axes)
    below = _images_below(node)
    if "multiscales" in node.ome:
        if series is not None:
            raise SegError(f"{path.name} is one image, it has no series {series!r}; leave the series out.")
        return _image(node, node.multiscales[0], axes)
    if not below:
        raise SegError(
            f"{path.name} says nothing of an image (no multiscales in its metadata); choose an OME-Zarr image."
        )
    if series is None and len(below) > 1:
        choices = tuple(Choice(key, title) for key, title in below.items())
        raise ChoiceNeeded(
            f"{path.name} holds {len(choices)} images; choose one, such as series={choices[0].value}.",
            "series",
            choices,
        )
    chosen = next(iter(below)) if series is None else series.strip("/")
    if chosen not in below:
        raise SegError(f"{path.name} has no image {series!r}; choose one of {', '.join(list(below)[:5])}.")
    return read(path / chosen, axes=axes)


def write(volume: Volume, path: Path) -> None:
    """A new OME-Zarr 0.5; a mask gets a pyramid and is marked as labels."""
    from napari_seg.data.ome_zarr_write import write_new

    write_new(volume, path)


def add_labels(mask: Volume, image_path: Path, name: str) -> Path:
    """Add ``mask`` to the OME-Zarr image ``image_path`` as ``labels/NAME`` and return the path of the new group.

    Nothing that is there is altered but the list of labels, which is replaced last and in one step, after the new
    group was written under another name, read again and compared. Zarr and NGFF versions are those of the image.
    Raises ``SegError`` for a name that exists, a mask of another grid, and a store that may not be written to.
    """
    from napari_seg.data.ome_zarr_write import add

    return add(mask, image_path, name)


def image_for(path: Path) -> Path | None:
    """The OME-Zarr image to which a mask of this name is added: ``image.zarr`` for ``image.zarr/labels/NAME``; ``None``
    for a name outside of every OME-Zarr. Raises ``SegError`` for any other within one: it would be lost in there."""
    if path.parent.name == "labels" and claims(path.parent.parent):
        return path.parent.parent
    folder = target(path).parent
    for store in reversed((folder, *folder.parents)):
        if store.name.lower().endswith(".zarr") or claims(store):
            raise SegError(
                f"{path} lies in {store.name}, and into an OME-Zarr only masks are written, as labels/NAME of an image "
                "that is there; choose such a name or another folder."
            )
    return None


def is_mask(path: Path) -> bool:
    """Whether the store at ``path`` is a mask, by its own metadata."""
    return claims(path) and "image-label" in node_at(path).ome


def masks_of(path: Path) -> dict[str, Path]:
    """The masks in the store of the OME-Zarr image at ``path``: name and path of each, in the order of the store.

    :func:`read` reads such a path, lazily and with its pyramid, as a volume of the modality ``"SEG"``. Names that lead
    nowhere or out of the store are left out. Raises ``SegError`` where the list of masks is damaged.
    """
    folder = path / "labels"
    listed = node_at(folder).ome.get("labels") if claims(folder) else None
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    return {name: folder / name for name in names if _inside(folder, name) and (folder / name).is_dir()}


def _images_below(node: Node) -> dict[str, str]:
    """Paths of the images below a group, with titles; whatever does not lie below it is left out."""
    ome = node.ome
    found: dict[str, str] = {}
    if isinstance(ome.get("plate"), dict):
        for well in _paths(ome["plate"].get("wells")):
            if _inside(node.path, well) and (node.path / well).is_dir():
                fields = _fields(node_at(node.path / well))
                found |= {f"{well}/{key}": f"Well {well.replace('/', '')}, {title}" for key, title in fields.items()}
    elif isinstance(ome.get("well"), dict):
        found = _fields(node)
    elif isinstance(ome.get("labels"), list):
        found = {str(name): f"Mask {name}" for name in ome["labels"]}
    elif "bioformats2raw.layout" in ome:
        listed = node_at(node.path / "OME").ome.get("series") if (node.path / "OME").is_dir() else None
        numbered = sorted((p.name for p in node.path.iterdir() if p.name.isdigit() and p.is_dir()), key=int)
        found = {str(path): f"Image {path}" for path in (listed if isinstance(listed, list) else numbered)}
    return {path: title for path, title in found.items() if _inside(node.path, path)}


def _fields(well: Node) -> dict[str, str]:
    listed = well.ome.get("well")
    return {path: f"field {path}" for path in _paths(listed.get("images") if isinstance(listed, dict) else None)}


def _paths(listed: object) -> list[str]:
    return (
        [str(entry["path"]) for entry in listed if isinstance(entry, dict) and "path" in entry]
        if isinstance(listed, list)
        else []
    )


def _inside(folder: Path, path: str) -> bool:
    """Whether ``path`` leads to something truly below ``folder``."""
    where = (folder / path).resolve()
    return where != folder.resolve() and where.is_relative_to(folder.resolve())


def _image(node: Node, multiscale: dict[str, Any], axes: str | None, only: str | None = None) -> Volume:
    """A volume from an image's metadata; ``only`` is the path of the one level that is wanted."""
    datasets = datasets_of(multiscale)
    if only is not None:
        datasets = [entry for entry in datasets if entry["path"] == only]
    opened = [(entry, open_level(node, str(entry["path"]))) for entry in datasets]
    if not opened:
        raise SegError(f"{node.path.name} lists no arrays; its metadata is damaged, get it from where it was made.")
    stored = [(entry, array) for entry, array in opened if _has_chunks(node.path / str(entry["path"]))]
    notes = []
    if not stored:
        notes.append("No chunk is stored, so the whole image has the fill value.")
        stored = opened
    elif stored[0][0] is not opened[0][0]:
        first = stored[0][0]["path"]
        notes.append(f"Level {opened[0][0]['path']} holds no chunks; the coarser level {first} was read instead.")
    entry, finest = stored[0]
    found = letters_of(multiscale, finest.ndim)
    letters = name_axes(found, finest.shape, axes, node.path.name)
    scales, shifts = scale_of(multiscale, entry, finest.ndim), translation_of(multiscale, entry, finest.ndim)
    said = dict(zip(letters, zip(scales, shifts, _units(multiscale, finest.ndim), strict=True), strict=True))
    lengths = {}
    for letter, own in zip(letters, found, strict=True):
        step, _, unit = said[letter]
        size = length(step, unit)
        if letter in SPATIAL and letter == own and size is not None:
            lengths[letter] = size
    ordered = "".join(axis for axis in AXES if axis in letters)
    spatial = "".join(axis for axis in ordered if axis in SPATIAL)
    spacing, unit, doubts = spacing_from(lengths, spatial)
    origin = tuple(  # in the unit of the spacing, whatever the file says both in
        said[axis][1] * (1.0 if spacing is None else spacing[k] / said[axis][0]) for k, axis in enumerate(spatial)
    )
    levels = [
        arrange(LazyView(array, node.path.name, marks_of_array(node.path / str(entry["path"]))), letters)[0]
        for entry, array in stored
        if array.ndim == len(letters)
    ]
    notes += _note_of_masks(node.path)
    is_mask = _is_certainly_mask(node)
    if is_mask and "C" in ordered and levels[0].shape[ordered.index("C")] == 1:  # of the image, in some programs
        levels = [level.first(ordered.index("C")) for level in levels]
        ordered = ordered.replace("C", "")
    header = MappingProxyType({"origin": origin, "grid": (spacing, unit), "said": said})
    grid = tuple(int(levels[0].shape[ordered.index(axis)]) for axis in spatial)
    known = says_translation(multiscale, entry, finest.ndim)
    location = _location(origin, grid, spacing, unit) if known else None
    modality = "SEG" if is_mask else ""
    return Volume(
        levels[0],
        ordered,
        spacing=spacing,
        unit=unit,
        channels=_channels(node, ordered, levels[0].shape),
        name=node.path.name.removesuffix(".zarr").removesuffix(".ome"),
        source=Source(node.path, "ome_zarr", str(entry["path"]), modality, None, header, location, levels[0].marks),
        notes=(*notes, *doubts),
        levels=tuple(levels[1:]) if only is None else (),
        interval=seconds(said["T"][0], said["T"][2]) if "T" in said and said["T"][2] else None,
        translate=origin if is_shown_there(multiscale) else None,
    )


def _location(
    origin: tuple[float, ...], grid: tuple[int, ...], spacing: tuple[float, ...] | None, unit: str
) -> Location | None:
    """Where an image lies whose first voxel is at ``origin``; ``None`` where nobody knows how long that is."""
    if spacing is None or unit == "pixel":
        return None
    found = located("ome_zarr", origin, grid, spacing, unit)
    return found if is_place(np.array(found.affine)) else None


def is_shown_there(multiscale: dict[str, Any]) -> bool:
    """Whether we wrote that viewers show it where it lies. Other images are shown at 0, with the masks made of them."""
    about = multiscale.get("metadata")
    return isinstance(about, dict) and SHOWN in about


def _is_certainly_mask(node: Node) -> bool:
    """By its list, or by what is said of its labels; an empty remark is also made for images of whole numbers."""
    folder = node.path.parent
    listed = folder.name == "labels" and claims(folder) and node.path in masks_of(folder.parent).values()
    return listed or bool(node.ome.get("image-label"))


def _note_of_masks(path: Path) -> list[str]:
    try:
        masks = masks_of(path)
    except SegError as error:
        return [f"The masks in the store cannot be listed. {error}"]
    return [f"The store also holds masks: {', '.join(f'labels/{name}' for name in masks)}."] if masks else []


def _level(path: Path, axes: str | None) -> Volume:
    """One array of an image, with the axes and the scale that the image's metadata gives it."""
    for depth, parent in enumerate(path.resolve().parents[:3], 1):
        if not claims(parent):
            break
        node = node_at(parent)
        own = "/".join(path.resolve().parts[-depth:])
        for multiscale in node.multiscales:
            if any(entry["path"] == own for entry in datasets_of(multiscale)):
                return _image(node, multiscale, axes, own)
    array = open_level(node_at(path.parent) if claims(path.parent) else Node(path.parent, {}), path.name)
    letters = name_axes("Q" * (array.ndim - 2) + "YX", array.shape, axes, path.name)
    data, ordered = arrange(LazyView(array, path.name, marks_of_array(path)), letters)
    source = Source(path, "ome_zarr", marks=data.marks)
    return Volume(data, ordered, name=path.name.removesuffix(".zarr"), source=source)


def open_level(node: Node, inside: str) -> Any:
    """One array of an image. Raises ``SegError`` where it is missing, damaged, or out of the image's folder."""
    where = node.path / inside
    if not _inside(node.path, inside):
        raise SegError(f"{node.path.name} points out of its own folder ({inside}); it is not honest, do not use it.")
    if not where.is_dir():
        raise SegError(f"{node.path.name} lacks its array {inside}; copy the whole folder again.")
    with _damaged(node.path):
        array = zarr.open_array(where, mode="r")
        kind = array.dtype.kind
    if kind not in "buif":
        raise SegError(f"{node.path.name} holds values of type {array.dtype}; only whole and real numbers are images.")
    return array


def _has_chunks(folder: Path) -> bool:
    return any(part.name not in _METADATA for part in folder.iterdir())


def _units(multiscale: dict[str, Any], ndim: int) -> list[str]:
    axes = multiscale.get("axes")
    named = axes if isinstance(axes, list) and len(axes) == ndim else [None] * ndim
    return [str(axis.get("unit") or "") if isinstance(axis, dict) else "" for axis in named]


def _channels(node: Node, ordered: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    omero = node.ome.get("omero")
    listed = omero.get("channels") if isinstance(omero, dict) else None
    if "C" not in ordered or not isinstance(listed, list) or len(listed) != shape[ordered.index("C")]:
        return ()
    names = [str(channel.get("label") or "") if isinstance(channel, dict) else "" for channel in listed]
    return tuple(name or f"channel {k}" for k, name in enumerate(names)) if any(names) else ()


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """zarr's many errors as one sentence; nothing else runs in here."""
    try:
        yield
    except Exception as error:
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise SegError(f"{path.name} is no OME-Zarr, or damaged ({reason}); copy the whole folder again.") from error
