"""``napari-seg predict``: masks of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_seg.cli.console import put_json, say, say_error, watch
from napari_seg.cli.options import Axes, Device, Json, Overwrite, Precision, Series, given, keep_existing
from napari_seg.errors import SegError

if TYPE_CHECKING:
    from napari_seg.inference.predict import Prediction, PredictSpec, Region
    from napari_seg.models.model import Model


@dataclass(frozen=True)
class Work:
    """One image, where its mask goes, and how the image is to be read."""

    image: Path
    mask: Path
    axes: str | None
    series: str | None
    region: Region | None
    overwrite: bool


def predict(
    inputs: Annotated[list[Path], typer.Argument(help="Images, folders of images, or a folder of DICOM slices.")],
    model: Annotated[str, typer.Option(help="The name of a shipped model or a model file.")],
    output: Annotated[Path, typer.Option(help="The mask; for several images or a folder, a folder for the masks.")],
    device: Annotated[Device, typer.Option(help="Where to compute.")] = Device.auto,
    precision: Annotated[Precision, typer.Option(help="How precisely; auto: bf16 where it is fast.")] = Precision.auto,
    tile: Annotated[str | None, typer.Option(help="Size of a tile in pixels, one number per axis: 64,128,128.")] = None,
    overlap: Annotated[float | None, typer.Option(help="How far tiles overlap, as a fraction of the tile.")] = None,
    diameter: Annotated[
        float | None,
        typer.Option(help="Typical object diameter in pixels, for images without spacing; else estimated."),
    ] = None,
    channel: Annotated[
        str | None,
        typer.Option(help="Channel by name or number; RGB: luminance, red, green, blue, hematoxylin, eosin."),
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Score above which a pixel is part of something.")] = None,
    seeds: Annotated[float | None, typer.Option(help="In pixels: lower splits more, higher splits less.")] = None,
    smallest: Annotated[float | None, typer.Option(help="Drop objects of fewer pixels.")] = None,
    box: Annotated[
        str | None, typer.Option(help="Only this box of voxels, per axis from:to, such as 10:60,0:256,0:256.")
    ] = None,
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirror images: slower, slightly better.")
    ] = False,
    axes: Axes = None,
    series: Series = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Segment images. A bad file is reported and the others are done; nothing but the masks is written."""
    plan = _plan(inputs, output, overwrite=overwrite)
    region = _region(box)
    work = [Work(image, mask, axes, series, region, overwrite) for image, mask in plan]
    from napari_seg.inference.predict import PredictSpec
    from napari_seg.models.zoo import load_model

    spec = PredictSpec.from_person(
        given(
            device=device.value,
            precision=precision.value,
            tile=_numbers(tile),
            overlap=overlap,
            diameter=diameter,
            channel=channel,
            threshold=threshold,
            seeds=seeds,
            smallest=smallest,
            flips=flips,
        )
    )
    loaded = load_model(model)
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for one in work:
        try:
            done.append(_segment(one, loaded, spec))
        except SegError as error:
            say_error(error, where=str(one.image))
            failed.append({"input": str(one.image), "error": str(error)})
    if json:
        put_json({"model": loaded.spec.name, "masks": done, "failed": failed})
    if failed:
        raise typer.Exit(2)


def _segment(work: Work, model: Model, spec: PredictSpec) -> dict[str, Any]:
    from napari_seg.data.formats import read, write
    from napari_seg.inference.predict import placed
    from napari_seg.inference.predict import predict as run

    keep_existing(work.mask, work.overwrite)
    volume = read(work.image, axes=work.axes, series=work.series)
    prediction = watch(run.steps(model, volume, spec, region=work.region), work.image.name)
    write(placed(prediction, volume), work.mask)
    notes = [*volume.notes, *prediction.notes]
    for note in notes:
        say(f"{work.image.name}: {note}")
    found = _found(prediction)
    say(f"{work.mask}: {', '.join(f'{name} {n}' for name, n in found.items())} ({prediction.seconds:.1f} s)")
    return {
        "input": str(work.image),
        "output": str(work.mask),
        "model": model.spec.name,
        "device": prediction.spec.device,
        "precision": prediction.spec.precision,
        "settings": prediction.spec.model_dump(mode="json"),
        "notes": notes,
        "seconds": round(prediction.seconds, 3),
        "voxels" if model.spec.task.kind == "semantic" else "objects": found,
    }


def _found(prediction: Prediction) -> dict[str, int]:
    """The number of objects, or the voxels of each class, by name."""
    import numpy as np

    labels, task = np.asarray(prediction.labels.data), prediction.model.task
    if task.kind == "instance":
        return {task.names[0]: len(np.unique(labels[labels > 0]))}
    if "C" in prediction.labels.axes:
        planes = np.moveaxis(labels, prediction.labels.axes.index("C"), 0)
        return {name: int(np.count_nonzero(plane)) for name, plane in zip(task.names, planes, strict=True)}
    voxels = np.bincount(labels.ravel(), minlength=len(task.names) + 1)
    return {name: int(voxels[k + 1]) for k, name in enumerate(task.names)}


def _plan(inputs: list[Path], output: Path, *, overwrite: bool) -> list[tuple[Path, Path]]:
    """Every image with the place of its mask. Raises ``SegError`` before any work where a mask would hurt a file."""
    from napari_seg.data.formats import is_image

    images = list(_images(inputs))
    if len(inputs) == 1 and is_image(inputs[0]) and _is_file_name(output):
        plan = [(images[0], output)]
        keep_existing(output, overwrite)
    else:
        if output.is_file() or _is_file_name(output):
            raise SegError(f"{output} is the name of one file, there are {len(images)} images; give a folder instead.")
        plan = [(image, output / _mask_name(image)) for image in images]
    by_mask: dict[Path, Path] = {}
    for image, mask in plan:
        if any(mask.exists() and other.exists() and mask.samefile(other) for other in images):
            raise SegError(f"The mask {mask} would replace the image of that name; choose another folder or name.")
        if mask in by_mask:
            raise SegError(
                f"{by_mask[mask]} and {image} would both become {mask}; segment them into different folders."
            )
        by_mask[mask] = image
    return plan


def _images(inputs: list[Path]) -> Iterator[Path]:
    from napari_seg.data.formats import images_in, is_image

    for path in inputs:
        if is_image(path):
            yield path
            continue
        found = list(images_in(path))
        if not found:
            raise SegError(f"The folder {path} holds no image that can be read; choose a folder with images.")
        yield from found


def _is_file_name(path: Path) -> bool:
    """Whether an output is meant as one file: it ends like one and is not an ordinary folder."""
    from napari_seg.data.formats import FORMATS, is_image

    suffixes = tuple(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
    return path.name.lower().endswith(suffixes) and (not path.is_dir() or is_image(path))


def _mask_name(image: Path) -> str:
    """The name of the image with a suffix that masks can be written with: JPEG becomes PNG, DICOM becomes NIfTI."""
    from napari_seg.data.formats import FORMATS, stem

    if image.is_dir() and not image.name.lower().endswith(FORMATS["ome_zarr"].suffixes):
        return f"{image.resolve().name}.nii.gz"
    suffix = image.name.removeprefix(stem(image))
    instead = {".jpg": ".png", ".jpeg": ".png", ".nhdr": ".nrrd"}
    if suffix.lower() in FORMATS["dicom"].suffixes or not suffix:
        return f"{stem(image)}.nii.gz"
    return stem(image) + instead.get(suffix.lower(), suffix)


def _numbers(text: str | None) -> tuple[int, ...] | None:
    """``"64,128"`` or ``"64x128"`` as numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        raise SegError(f"--tile {text} is not a size; write one whole number per axis, such as 64,128,128.") from None


def _region(text: str | None) -> Region | None:
    """``"10:60,0:256,0:256"`` as a box."""
    from napari_seg.inference.predict import Region

    if text is None:
        return None
    try:
        spans = [tuple(int(end) for end in part.split(":")) for part in text.split(",")]
        starts, stops = zip(*((start, stop) for start, stop in spans), strict=True)
    except ValueError:
        raise SegError(f"--box {text} is not a box; write from:to for each axis, such as 10:60,0:256,0:256.") from None
    return Region(starts, stops)
