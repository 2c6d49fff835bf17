"""``read`` and ``write``: the one door through which every file comes in and every mask goes out.

Each format is one entry of :data:`FORMATS` and one module with the functions of :class:`Codec`. What is common to all
stands here once: finding the format, refusing what is broken, writing aside and renaming, and the seal: every file
written is read again and compared, values and place, before it gets its name.
"""

from __future__ import annotations

import gzip
import importlib
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from napari_seg.data.axes import refuse_unknown
from napari_seg.data.geometry import same_world, turn
from napari_seg.data.volume import UNITS, Predicted, Volume, the_volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.files import as_text, at_home, bring_back, bring_back_all, exists, reason, written


class Codec(Protocol):
    """What the module of a format provides.

    ``read`` raises ``SegError`` for what it cannot understand and ``ChoiceNeeded`` (parameter ``axes`` or ``series``)
    for what could be understood in several ways. ``claims`` is cheap: it looks at names and first bytes.
    ``write`` (only where ``Format.writes``) puts ``volume`` into the new file or folder ``path``, which does not exist,
    so that ``read`` understands it without being told the axes; it raises ``SegError`` for what the format cannot hold.
    """

    def claims(self, path: Path) -> bool: ...

    def read(self, path: Path, *, axes: str | None = None, series: str | None = None) -> Volume: ...

    def write(self, volume: Volume, path: Path) -> None: ...


@dataclass(frozen=True)
class Format:
    """A file format: its name, what people call it, its suffixes, its module and whether masks can be written, but
    under those suffixes that are only ``read``; and whether it says where a viewer shows an image."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    writes: bool = True
    read: tuple[str, ...] = ()
    translates: bool = False

    @property
    def codec(self) -> Codec:
        return cast(Codec, importlib.import_module(f"napari_seg.data.{self.name}"))


FORMATS = {
    entry.name: entry
    for entry in (
        Format("nifti", "NIfTI", (".nii.gz", ".nii")),
        Format("nrrd_file", "NRRD", (".nrrd", ".nhdr"), read=(".nhdr",)),
        Format("tiff", "TIFF and OME-TIFF", (".ome.tiff", ".ome.tif", ".tiff", ".tif"), translates=True),
        Format("ome_zarr", "OME-Zarr", (".ome.zarr", ".zarr"), translates=True),
        Format("picture", "PNG and JPEG", (".png", ".jpg", ".jpeg"), read=(".jpg", ".jpeg")),
        Format("dicom", "DICOM", (".dcm", ".dicom", ".ima"), writes=False),
    )
}
"""Every format, in the order in which a path is offered to them; DICOM comes last as its files may have any name."""


_OURS, _ENDS = re.compile(rb'program("|&quot;): ("|&quot;)napari-seg '), 1 << 20


def stem(path: Path) -> str:
    """The name of a file without the suffix of its format: ``a.b`` for ``a.b.nii.gz``. Files pair by it, and it
    can be written anywhere (:func:`~napari_seg.files.as_text`)."""
    return as_text(path.name.removesuffix(suffix_of(path)))


def suffix_of(path: Path) -> str:
    """The suffix of a format that a name ends in, as it is written there; empty where there is none."""
    name = path.name.lower()
    found = next((s for entry in FORMATS.values() for s in entry.suffixes if name.endswith(s)), "")
    return path.name[len(path.name) - len(found) :]


def format_of(path: Path) -> Format:
    """The format of an existing file or folder. Raises ``SegError`` where none fits."""
    if not exists(path):
        raise SegError(f"There is no file {path}; check the name and the folder.")
    named = path.name.lower()
    for entry in sorted(FORMATS.values(), key=lambda entry: not named.endswith(entry.suffixes)):
        if entry.codec.claims(path):
            return entry
    known = ", ".join(entry.title for entry in FORMATS.values())
    if path.is_dir():
        if inside := _listed(path):
            some = f"{inside[0].name} or another of its {len(inside)} images" if len(inside) > 1 else inside[0].name
            raise SegError(f"The folder {path} is no image but holds images; choose {some}.")
        raise SegError(f"The folder {path} holds no image that can be read; choose a folder with {known}.")
    raise SegError(f"{path.name} is not in a format that can be read; convert it to one of {known}.")


def read(path: str | Path, *, axes: str | None = None, series: str | None = None) -> Volume:
    """Read an image, a volume or a mask.

    ``axes`` says what the dimensions of the array in the file are, in their order in the file, where the file itself
    does not say; ``series`` chooses one image of several. Raises ``ChoiceNeeded`` where one of them is needed and
    missing, ``SegError`` for a file that is missing, broken or of another kind, and for axes that no image has.
    """
    refuse_unknown(axes, Path(path).name)
    path = at_home(path).absolute()  # what is read later, and never replaced, is found from everywhere
    note = bring_back(path)
    try:
        volume = format_of(path).codec.read(path, axes=axes, series=series)
    except PermissionError as error:
        raise SegError(f"You may not read {path}; ask its owner, or choose another file.") from error
    if 0 in volume.shape:
        raise SegError(f"The image in {path.name} is empty (shape {volume.shape}); choose a file with voxels.")
    return replace(volume, notes=(*volume.notes, note)) if note else volume


def read_answered(path: str | Path, axes: str | None = None, series: str | None = None) -> Volume:
    """Read an image of many: ``axes`` and ``series`` are what a person said of those whose files leave them open. Where
    one says other axes itself its notes tell it.

    Raises ``ChoiceNeeded`` where one of them is needed and missing, or where the axes do not fit the file, ``SegError``
    for axes that no image has.
    """
    refuse_unknown(axes, Path(path).name)
    answers, given = {"axes": axes and axes.upper(), "series": series}, dict[str, str]()
    if series and Path(path).name.lower().endswith(FORMATS["picture"].suffixes):
        from napari_seg.data.picture import PALETTE  # here, as it imports Pillow

        given |= {"series": series} if series in PALETTE else {}
    while True:
        try:
            volume = read(path, **given)
        except ChoiceNeeded as question:
            answer = answers[question.parameter]
            listed = question.parameter != "axes" or answer in [choice.value for choice in question.choices]
            if answer is None or not listed or question.parameter in given:
                raise
            given[question.parameter] = answer
        else:
            return volume if "axes" in given else _with_doubt(volume, answers["axes"])


def contradicts(volume: Volume, said: str | None) -> bool:
    """Whether a file says itself that it has an axis which a person did not name."""
    return said is not None and not set(volume.axes) <= set(said.upper())


def _with_doubt(volume: Volume, said: str | None) -> Volume:
    if said is None or len(said) != len(volume.axes) or not contradicts(volume, said):
        return volume
    words = f"Its file says that its axes are {volume.axes}, so it was not taken as {said}"
    note = f"{words}; to have it so run napari-seg predict on it alone with --axes {said}."
    return replace(volume, notes=(*volume.notes, note))


def is_image(path: Path) -> bool:
    """Whether a path is one image: a file, or a folder that is an image itself (OME-Zarr, slices of a DICOM study).

    A folder of images is none because a study lies somewhere below it.
    """
    if not exists(path) or not path.is_dir():
        return True
    claiming = next((entry for entry in FORMATS.values() if entry.codec.claims(path)), None)
    return claiming is not None and not (claiming.name == "dicom" and _is_folder_of_others(path))


def _is_folder_of_others(folder: Path) -> bool:
    """Whether there are images in a folder and none of them is DICOM, which has names of any kind."""
    dicom = FORMATS["dicom"].codec
    return any(images_in(folder)) and not any(path.is_file() and dicom.claims(path) for path in folder.iterdir())


def images_in(folder: Path) -> Iterator[Path]:
    """The images of a folder in the order of their names: files and OME-Zarr folders, hidden ones left out."""
    suffixes = tuple(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
    bring_back_all(folder)
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(".") and path.name.lower().endswith(suffixes):
            yield path


def _listed(folder: Path) -> list[Path]:
    try:
        return list(images_in(folder))
    except PermissionError as error:
        raise SegError(f"You may not read {folder}; ask its owner, or choose another folder.") from error


def images_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Each path that is an image, and the images of each other folder. Raises ``SegError`` for a folder without any."""
    for path in paths:
        if is_image(path):
            yield path
            continue
        found = _listed(path)
        if not found:
            raise SegError(f"The folder {path} holds no image that can be read; choose a folder with images.")
        yield from found


def mask_name(image: Path) -> str:
    """The name of an image with a suffix that masks can be written with: JPEG becomes PNG, DICOM becomes NIfTI."""
    if image.is_dir() and not image.name.lower().endswith(FORMATS["ome_zarr"].suffixes):
        return f"{image.resolve().name}.nii.gz"
    suffix = suffix_of(image)
    name = image.name.removesuffix(suffix)
    instead = {".jpg": ".png", ".jpeg": ".png", ".nhdr": ".nrrd"}
    if suffix.lower() in FORMATS["dicom"].suffixes or not suffix:
        return f"{name}.nii.gz"
    return name + instead.get(suffix.lower(), suffix)


def identities(paths: Iterable[Path]) -> frozenset[tuple[int, int]]:
    """What tells files from all others, under whatever names; of those that are there."""
    found = set[tuple[int, int]]()
    for path in paths:
        with suppress(OSError, ValueError):
            known = path.stat()
            found.add((known.st_dev, known.st_ino))
    return frozenset(found)


def spared(path: Path, images: frozenset[tuple[int, int]]) -> str:
    """Why nothing is written under ``path``, where that is one of ``images``, by their :func:`identities`; else empty.
    Nobody's image is ever replaced."""
    if not identities([path]) & images:
        return ""
    return f"{path.name} is an image, and images are never replaced; choose another name or another folder."


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by the stems by which files pair. Raises ``SegError`` where two of them share one."""
    found: dict[str, Path] = {}
    for path in _listed(folder):
        other = found.setdefault(stem(path), path)
        if other is not path:
            raise SegError(
                f"{other.name} and {path.name} in {folder} have the same name, and files pair by it; "
                "rename one of them or take it out."
            )
    return found


def tells_how_made(path: Path) -> bool:
    """Whether a file says that it is a mask that this program made (:attr:`~napari_seg.data.volume.Volume.made`). Its
    values say nothing of that: images may have the same. Every format has it, unpacked, near one end of the file, and
    OME-Zarr in its metadata."""
    path = path / "zarr.json" if path.is_dir() else path
    with suppress(OSError, EOFError, zlib.error):
        with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
            if _OURS.search(file.read(_ENDS)):
                return True
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _ENDS))
            return _OURS.search(file.read()) is not None
    return False


def write(volume: Volume | Predicted, path: str | Path) -> Path:
    """Write a mask or an image under ``path`` and return it; the suffix chooses the format. Of a prediction the labels
    are written.

    The file is written aside, read again and compared: values, spacing and, in a patient's space, the place of its
    corners. Only then does it take its name and replaces the file that stood there, whatever that is; it stays whole
    until then (see :mod:`napari_seg.files`).
    A path such as ``image.zarr/labels/nuclei`` adds the mask to the OME-Zarr image there. Raises ``SegError`` where the
    format cannot hold the volume, where a mask would replace its image or lie elsewhere in an OME-Zarr, or the file
    could not be written or came back different.
    """
    from napari_seg.data import ome_zarr  # here, as zarr takes a third of a second to import

    volume = the_volume(getattr(volume, "labels", volume))
    path = at_home(path)
    if words := spared(path, identities(() if volume.image is None else [volume.image])):
        raise SegError(words)
    try:
        if image := ome_zarr.image_for(path):
            return ome_zarr.add_labels(volume, image, path.name)
        entry = _format_for_writing(path)
        if volume.translate is not None and not entry.translates:
            words = f"{entry.title} cannot say where this lies, as its image does not begin at 0 in the viewer"
            raise SegError(f"{words}; end the name with .ome.tif or .ome.zarr.")
        if path.is_dir() and not ome_zarr.is_mask(path):
            raise SegError(f"{path} is a folder and no mask, so it is not replaced; choose another name.")
        bring_back(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path, suffix_of(path)) as aside:
            entry.codec.write(volume, aside)
            _seal(volume, entry.codec.read(aside), path)
    except OSError as error:
        words = reason(error, "choose a folder that you may write to")
        raise SegError(f"{path} could not be written {words}") from error
    return path


def _format_for_writing(path: Path) -> Format:
    for entry in FORMATS.values():
        if entry.writes and path.name.lower().endswith(entry.suffixes):
            return entry
    raise SegError(f"The name {path.name} does not say the format; end it with one of {', '.join(writable())}.")


def writable() -> tuple[str, ...]:
    """The suffixes that a mask can have."""
    return tuple(
        suffix for entry in FORMATS.values() if entry.writes for suffix in entry.suffixes if suffix not in entry.read
    )


def _seal(written: Volume, found: Volume, path: Path) -> None:
    """Compare what was to be written with what a reader finds in the file, which may have turned it upright."""
    found = _turned(found, written)
    same = (
        found.shape == written.shape
        and found.axes == written.axes
        and np.array_equal(np.asarray(found.data), np.asarray(written.data), equal_nan=written.dtype.kind == "f")
    )
    box = (1,) * (3 - written.ndim) + written.grid
    if same and written.affine is not None:
        same = found.affine is not None and same_world(written.affine, found.affine, box)
    elif same and written.spacing is not None and (written.unit, set(written.spacing)) != ("pixel", {1.0}):
        known = "pixel" not in (found.unit, written.unit)
        scale = UNITS[written.unit] / UNITS[found.unit] if known else 1.0
        same = found.spacing is not None and np.allclose(found.spacing, np.multiply(written.spacing, scale), rtol=1e-4)
    if same and written.shown is not None:
        shown = found.shown
        same = shown is not None and same_world(np.array(written.shown.affine), np.array(shown.affine), box)
    if same and written.location is not None and written.source and found.source:
        where, there = written.location, found.location
        same = written.source.format != found.source.format or (
            there is not None
            and there.space == where.space
            and same_world(np.array(where.affine), np.array(there.affine), box)
        )
    if not same:
        instead = ".nrrd" if path.name.lower().endswith(FORMATS["nifti"].suffixes) else ".nii.gz"
        raise SegError(
            f"{path.name} came back different after writing, so it was not kept; write to another format, "
            f"such as {instead}."
        )


def _turned(found: Volume, written: Volume) -> Volume:
    """What was found, with its axes in the directions of what was written, if that takes whole turns only."""
    if found.affine is None or written.affine is None or found.axes != written.axes:
        return found
    flat = found.ndim == 2
    reorder = turn(found.affine, written.affine, flat=flat)
    if reorder is None or (flat and reorder.order[0] != 0):
        return found
    affine = reorder.affine(found.affine, (1,) * flat + found.grid)
    first = found.axes.index(found.spatial[0])
    data = (reorder.in_plane if flat else reorder).within(found.data.ndim, first).apply(np.asarray(found.data))
    return replace(found, data=data, affine=affine)
