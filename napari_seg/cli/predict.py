"""``napari-seg predict``: masks of images."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_seg.choices import PrecisionName
from napari_seg.cli.box import region_of, where
from napari_seg.cli.console import put_json, say, say_error, watch
from napari_seg.cli.masks import plan, refuse_unwritable
from napari_seg.cli.options import (
    Axes,
    Device,
    Json,
    JsonProgress,
    Overwrite,
    Series,
    given,
    keep_existing,
    typed_name,
    typed_path,
)
from napari_seg.errors import SegError, plain

if TYPE_CHECKING:
    from napari_seg.data.volume import Volume
    from napari_seg.inference.prediction import Prediction, PredictSpec, Region
    from napari_seg.models.model import Model
    from napari_seg.session.sizes import Size


@dataclass(frozen=True)
class Work:
    """One image, where its mask goes, and how the image is to be read; what is said of an image ``alone`` counts also
    where its file says something else."""

    image: Path
    mask: Path
    axes: str | None
    series: str | None
    region: Region | None
    overwrite: bool
    size: Size | None
    alone: bool


def predict(
    inputs: Annotated[
        list[Path], typer.Argument(parser=typed_path, help="Images, folders of images, or a folder of DICOM slices.")
    ],
    model: Annotated[str, typer.Option(parser=typed_name, help="The name of a shipped model or a model file.")],
    output: Annotated[
        Path, typer.Option(parser=typed_path, help="The mask; for several images or a folder, a folder for the masks.")
    ],
    device: Device = "auto",
    precision: Annotated[PrecisionName, typer.Option(help="How precisely; auto: bf16 where it is fast.")] = "auto",
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
        str | None,
        typer.Option(
            help="Only this box of voxels: from:to for z,y,x, such as 10:60,0:256,0:256, counted from 0 as the volume "
            "is displayed, a patient from head to feet, front to back, right to left. For NIfTI and NRRD it is said "
            "which voxels of the file these are."
        ),
    ] = None,
    flips: Annotated[
        bool,
        typer.Option(
            "--flips", help="Average over mirror images, with models that learned such: slower, at times better."
        ),
    ] = False,
    axes: Axes = None,
    series: Series = None,
    voxel_size: Annotated[
        str | None,
        typer.Option(
            help="How far apart voxels are, where the file is wrong or lacks it: z,y,x with a unit, 3,0.5,0.5um."
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    json_progress: JsonProgress = False,
) -> None:
    """Segment images. A bad file is reported and the others are done; nothing but the masks is written."""
    region, size = region_of(box), _size_of(voxel_size)
    from napari_seg.inference.decoding import task_with
    from napari_seg.inference.fit import refuse_diameter, refuse_mirrors
    from napari_seg.inference.prediction import PredictSpec
    from napari_seg.models.file import file_hash, read_spec
    from napari_seg.models.zoo import find, load_model

    planes = bool(read_spec(find(model)).task.planes)
    pairs = plan(inputs, output, overwrite=overwrite, planes=planes)
    work = [Work(image, mask, axes, series, region, overwrite, size, len(pairs) == 1) for image, mask in pairs]
    spec = PredictSpec.from_person(
        given(
            device=device,
            precision=precision,
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
    task_with(loaded.spec.task, spec)
    refuse_diameter(loaded.spec, spec.diameter)
    refuse_mirrors(loaded.spec, spec)
    model_hash = file_hash(find(model))
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for one in work:
        try:
            done.append(_segment(one, loaded, model_hash, spec, json_progress))
        except (SegError, MemoryError, OSError) as error:
            told = plain(error)
            if told is None:
                raise
            say_error(told, where=str(one.image))
            failed.append({"input": str(one.image), "error": str(told)})
    if json:
        put_json({"model": loaded.spec.name, "masks": done, "failed": failed})
    if failed:
        raise typer.Exit(2)


def _segment(work: Work, model: Model, model_hash: str, spec: PredictSpec, json_progress: bool) -> dict[str, Any]:
    from napari_seg.data.formats import contradicts, read, read_answered, write
    from napari_seg.inference.made import made_by
    from napari_seg.inference.predict import placed
    from napari_seg.inference.predict import predict as run

    keep_existing(work.mask, work.overwrite)
    volume = read_answered(work.image, work.axes, work.series)
    if work.alone and contradicts(volume, work.axes):
        volume = read(work.image, axes=work.axes, series=work.series)
    volume = volume if work.size is None else _resized(volume, work.size)
    refuse_unwritable(model.spec, volume, work.mask)
    if work.region is not None:
        say(f"{work.image.name}: {where(volume, work.region)}")
    steps = run.steps(model, volume, spec, region=work.region)
    prediction = watch(steps, work.image.name, as_json=json_progress)
    keep_existing(work.mask, work.overwrite)  # it may have come meanwhile
    write(replace(placed(prediction, volume), made=made_by(prediction, model_hash)), work.mask)
    notes = [*volume.notes, *prediction.notes]
    for note in notes:
        say(f"{work.image.name}: {note}")
    found = _found(prediction)
    words = ", ".join(f"{name} {n}" for name, n in found.items())
    if model.spec.task.kind == "instance" and volume.size("T") > 1:
        words += ", each time point counted for itself"
    say(f"{work.mask}: {words} ({prediction.seconds:.1f} s)")
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
    """The number of objects, over time that at each time point, or the voxels of each class, by name."""
    import numpy as np

    labels, task = np.asarray(prediction.labels.data), prediction.model.task
    if task.kind == "instance":
        frames = labels if "T" in prediction.labels.axes else labels[None]
        return {task.names[0]: sum(np.unique(frame[frame > 0]).size for frame in frames)}
    if "C" in prediction.labels.axes:
        planes = np.moveaxis(labels, prediction.labels.axes.index("C"), 0)
        return {name: int(np.count_nonzero(plane)) for name, plane in zip(task.names, planes, strict=True)}
    voxels = np.bincount(labels.ravel(), minlength=len(task.names) + 1)
    return {name: int(voxels[k + 1]) for k, name in enumerate(task.names)}


def _size_of(text: str | None) -> Size | None:
    """``"3,0.5,0.5um"`` as a size of voxels."""
    if text is None:
        return None
    from napari_seg.session.sizes import Size, lengths_from

    if found := re.fullmatch(r"([\d.,x ]+)(nm|um|µm|μm|mm|m)", text.strip().lower()):
        with suppress(ValueError):
            return Size(lengths_from(re.split("[,x]", found[1])), "um" if found[2][0] in "µμ" else found[2])
    raise SegError(f"--voxel-size {text} is no size; write one length per axis and the unit, such as 3,0.5,0.5um.")


def _resized(volume: Volume, size: Size) -> Volume:
    from napari_seg.session.found_again import as_large

    if len(size.spacing) != volume.ndim:
        axes = ",".join(volume.spatial.lower())
        raise SegError(f"--voxel-size gives {len(size.spacing)} lengths, the axes are {axes}; write one for each.")
    return as_large(volume, size)


def _numbers(text: str | None) -> tuple[int, ...] | None:
    """``"64,128"`` or ``"64x128"`` as numbers."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.lower().replace("x", ",").split(","))
    except ValueError:
        raise SegError(f"--tile {text} is not a size; write one whole number per axis, such as 64,128,128.") from None
