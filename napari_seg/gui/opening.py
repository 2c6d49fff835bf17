"""From a path to layers, with every question asked and every note said aloud; no Qt in here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from napari_seg.data.align import apart, in_one_space, is_resized, one_is_placed, onto_grid, same_place, shown_alike
from napari_seg.data.formats import images_in, read, stem, tells_how_made
from napari_seg.data.kinds import Kind, kind_of
from napari_seg.data.volume import UNITS, Source, Volume
from napari_seg.editing.meaning import MOST, Meaning
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.gui.answers import proposing, remember
from napari_seg.gui.layers import CLASSES, KEY, OBJECTS, WHY, LayerData, layer_data, volume_of
from napari_seg.gui.manifest import is_known
from napari_seg.session.database import NAME
from napari_seg.session.provenance import read_record, record_path

T = TypeVar("T")

LARGEST_MASK = 2**28
"""Voxels of a mask that is opened together with its image, into memory."""

_AWAY = (
    "The mask lies elsewhere than the images that are open and is only shown over them; open the image that it was "
    "made of."
)


ONE_SHOWN = (
    "Only one of mask and image says that it lies elsewhere than at 0; the mask was laid on voxel by voxel. Look "
    "whether it lies right; where it does not, open the image that it was made of."
)


class Person(Protocol):
    """Who answers what the file does not say. ``None`` means: leave it, open nothing."""

    def choose(self, title: str, question: ChoiceNeeded) -> str | None: ...

    def image_or_labels(self, volume: Volume) -> Kind | None: ...

    def wait_for(self, words: str, work: Callable[[], T]) -> T | None:
        """Do the work without blocking the window; ``None`` where the person did not want to wait for it."""


@dataclass
class Opened:
    """What came of a path: layers, none where the person changed their mind, and sentences to be said."""

    layers: list[LayerData] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def open_path(path: Path, person: Person, shown: Iterable[Any] = ()) -> Opened:
    """Read ``path``. ``shown`` are the layers that are already open: a mask is put onto the grid of its image.

    Raises ``SegError`` for a file that cannot be read.
    """
    found = _read(path, person)
    if found is None:
        return Opened()
    volume, certain = found
    kind = certain or person.image_or_labels(volume)
    if kind is None:
        return Opened()
    known = _images_of(shown)

    def prepare() -> Opened:
        image = next((one for one in known if _is_stored_in(volume, one)), None)
        placed = volume
        if kind == "labels":
            placed = _beside_its_image(volume, known) if image is None else _resized(volume, image)
        stored = _stored_masks(volume) if kind == "image" else Opened()
        notes = [f"{placed.name}: {note}" for note in (*placed.notes, *stored.notes)]
        layers = layer_data(_with_names(placed) if kind == "labels" else placed, kind)
        if kind == "labels":
            if image is not None:
                layers = [(data, {**about, **_place_on(image, placed, about)}, what) for data, about, what in layers]
            layers = layers if "C" in volume.axes else [_told(layer, volume) for layer in layers]
        return Opened([*layers, *stored.layers], notes)

    return person.wait_for(f"Preparing {path.name}", prepare) or Opened()


def _images_of(layers: Iterable[Any]) -> list[Volume]:
    """What is open, once for all channels of one, with the size of voxels that a person may have given it since."""
    found = dict[int, Volume]()
    for layer in layers:
        known = layer.metadata.get(KEY)
        if isinstance(known, Volume):
            found[id(known)] = known
            with suppress(SegError):
                now = volume_of(layer)
                found[id(known)] = now if now.grid == known.grid else known  # a part of it says no place
    return list(found.values())


def _read(path: Path, person: Person) -> tuple[Volume, Kind | None] | None:
    """Read and ask until nothing is open any more; ``None`` where the person did not want to go on."""
    answers: dict[str, str] = {}

    def look() -> tuple[Volume, Kind | None]:
        _refuse_several(path)
        try:
            volume = read(path, axes=answers.get("axes"), series=answers.get("series"))
        except ChoiceNeeded as question:
            raise proposing(path, question) from None
        if "axes" in answers:
            remember(path, answers["axes"])
        return volume, kind_of(volume) or ("labels" if tells_how_made(path) else None)

    while True:
        try:
            return person.wait_for(f"Reading {path.name}", look)
        except ChoiceNeeded as question:
            answer = person.choose(path.name, question)
            if answer is None:
                return None
            answers[question.parameter] = answer


def _refuse_several(path: Path) -> None:
    """Raises ``SegError`` for a project, and for a folder that is no image and holds some."""
    if (path / NAME).exists():
        what = "a project"
    elif path.is_dir() and not is_known(path) and next(images_in(path), None) is not None:
        what = "a folder of images"
    else:
        return
    raise SegError(f"{path.name} is {what}; open it on the page Project of the panel.")


def _stored_masks(image: Volume) -> Opened:
    """The masks that lie in the OME-Zarr store of an image, as hidden layers in their place on it."""
    found = Opened()
    if image.source is None or image.source.format != "ome_zarr":
        return found
    from napari_seg.data.ome_zarr import masks_of  # here, as zarr takes a third of a second to import

    try:
        masks = masks_of(image.source.path)
    except SegError:
        return found  # the notes of the image say why
    for name, path in masks.items():
        try:
            mask = read(path)
        except SegError as error:
            found.notes.append(f"labels/{name} is not shown. {error}")
            continue
        if "C" in mask.axes:
            found.notes.append(f"labels/{name} is not shown. It has several channels; open it by itself.")
            continue
        if math.prod(mask.shape) > LARGEST_MASK:
            found.notes.append(f"labels/{name} is too large to open with its image; open it by itself.")
            continue
        (layer,) = layer_data(replace(mask, name=f"{image.name} {name}", translate=image.translate), "labels")
        data, about, kind = _told(layer, mask)
        found.layers.append((data, {**about, **_place_on(image, mask, about), "visible": False}, kind))
    return found


def _is_stored_in(mask: Volume, image: Volume) -> bool:
    """Whether a mask lies in the OME-Zarr store of an image."""
    sources = mask.source, image.source
    if sources[0] is None or sources[1] is None or {one.format for one in sources if one} != {"ome_zarr"}:
        return False
    folder = sources[0].path.parent
    return folder.name == "labels" and folder.parent == sources[1].path


def _told(layer: LayerData, mask: Volume) -> LayerData:
    """The layer of a mask, with what its file, or the record of ours beside that, says its numbers mean."""
    data, about, kind = layer
    meaning = None if mask.source is None else _meaning(mask.source)
    if meaning is None:
        return layer
    said = {OBJECTS: meaning.objects, CLASSES: meaning.classes, WHY: meaning.why}
    return data, {**about, "metadata": {**about["metadata"], **said}}, kind


def _with_names(mask: Volume) -> Volume:
    """A mask with a plane for each class whose format has no names for them, with those of the record of ours."""
    meaning = None if mask.source is None or mask.channels or "C" not in mask.axes else _meaning(mask.source)
    fits = meaning is not None and len(meaning.classes) == mask.size("C")
    return replace(mask, channels=meaning.classes) if meaning is not None and fits else mask


def _meaning(source: Source) -> Meaning | None:
    where = record_path(source.path, stem(source.path))
    record = read_record(where)
    if record:
        return Meaning(record["numbers"] == "objects", f"so says {where.name} beside it", tuple(record["classes"]))
    named = {int(number): str(name) for number, name in source.header.get("classes", {}).items()}
    if not named or max(named) > MOST:
        return None
    names = tuple(named.get(k, "") for k in range(1, max(named) + 1))
    return Meaning(False, "its file names them", names)


def _place_on(image: Volume, mask: Volume, about: Mapping[str, Any]) -> dict[str, Any]:
    """Scale and shift of a mask on its image, which may be stored finer or coarser than the mask.

    The mask begins where the image does, so the shift is what the two are apart in the store, in whatever unit.
    Where the store says the same of two that differ in size both show the same field, by the definition of OME-Zarr.
    """
    axes = [axis for axis in mask.axes if axis not in "CS"]
    shared = [k for k, axis in enumerate(axes) if axis in image.spatial]
    scale, shift = list(about["scale"]), list(about["translate"])
    said = [v.source.header.get("said", {}) for v in (mask, image) if v.source]
    origins = [dict(zip(v.spatial, v.source.header.get("origin", ()), strict=False)) for v in (mask, image) if v.source]
    steps = dict(zip(image.spatial, image.spacing or (1.0,) * image.ndim, strict=True))
    in_units = 1.0 if "pixel" in (mask.unit, image.unit) else UNITS[image.unit] / UNITS[mask.unit]
    for k in shared:
        if mask.spacing is None or image.spacing is None:
            (step, at, _), (of_image, image_at, _) = (one.get(axes[k], (1.0, 0.0, "")) for one in said)
            unit = steps[axes[k]] / of_image
            scale[k], shift[k] = step * unit, shift[k] + (at - image_at) * unit
            if (step, at) == (of_image, image_at):
                scale[k] = steps[axes[k]] * image.size(axes[k]) / mask.size(axes[k])
        elif len(origins) == 2:
            shift[k] += origins[0].get(axes[k], 0.0) - in_units * origins[1].get(axes[k], 0.0)
    return {"scale": scale, "translate": shift}


def _resized(mask: Volume, image: Volume) -> Volume:
    """A mask of the store of its image, with voxels as large as those of that where it differs in nothing else."""
    return onto_grid(mask, image) if is_resized(mask, image) else replace(mask, translate=image.translate)


def _is_as_large(mask: Volume, image: Volume) -> bool:
    return (mask.spacing is None) == (image.spacing is None) and not is_resized(mask, image)


def _beside_its_image(mask: Volume, images: list[Volume]) -> Volume:
    """The mask on the grid of the open image that it overlaps, where it does not lie on the grid of one already; where
    only one of the two says where it lies, on the only image that it fits."""
    fitting = [image for image in images if mask.grid == image.grid and not apart(mask, image)]
    if fitting and not any(shown_alike(mask, image) for image in fitting):
        return _from_elsewhere(mask, fitting)
    others = [image for image in images if one_is_placed(mask, image)]
    placed = [image for image in images if in_one_space(mask, image) is not None]
    alike = [image for image in images if image not in (*others, *placed) and mask.grid == image.grid]
    of_one_size = [image for image in alike if _is_as_large(mask, image)]
    unclear = len({(image.spacing, image.unit) for image in alike}) > 1
    if of_one_size or unclear or any(same_place(mask, image) for image in placed):
        return mask
    for image in reversed([*placed, *(image for image in placed if is_resized(mask, image)), *alike]):
        with suppress(SegError):  # it lies elsewhere; the next image may be its own
            return onto_grid(mask, image)
    fitting = []
    for image in others:
        with suppress(SegError):
            fitting.append(onto_grid(mask, image))
    if len(fitting) == 1:
        return fitting[0]
    return replace(mask, notes=(*mask.notes, _AWAY)) if placed and mask.affine is None else mask


def _from_elsewhere(mask: Volume, images: list[Volume]) -> Volume:
    """The mask on the only image of its grid, that is shown elsewhere than the mask says."""
    with suppress(SegError):
        if len(images) == 1:
            laid = onto_grid(mask, images[0])
            return laid if in_one_space(mask, images[0]) else replace(laid, notes=(*laid.notes, ONE_SHOWN))
    return replace(mask, notes=(*mask.notes, _AWAY))
