"""``napari-seg info``, ``models`` and ``doctor``: what is in a file, which models there are, what the machine is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_seg.cli.console import put, put_json, put_pairs, put_table
from napari_seg.cli.options import Axes, Json, Series, typed_path

if TYPE_CHECKING:
    from napari_seg.data.volume import Volume
    from napari_seg.models.spec import ModelSpec


def info(
    file: Annotated[
        Path,
        typer.Argument(
            parser=typed_path, help="An image, a folder of DICOM files, a model file or the name of a model."
        ),
    ],
    axes: Axes = None,
    series: Series = None,
    json: Json = False,
) -> None:
    """Say what is in a file: the grid, the spacing and the place of an image, or the card of a model."""
    from napari_seg.data.formats import read
    from napari_seg.models.file import SUFFIX, read_spec
    from napari_seg.models.zoo import find, shipped

    if file.suffix == SUFFIX or (not file.exists() and str(file) in shipped()):
        path = find(file)
        spec = read_spec(path)
        described = {"kind": "model", "path": str(path), **spec.model_dump(mode="json")}
        put_json(described) if json else _put_card(spec, path)
    else:
        volume = read(file, axes=axes, series=series)
        described = {"kind": "image", "path": str(file), **_described(volume)}
        put_json(described) if json else _put_image(described)


def models(json: Json = False) -> None:
    """List the models that come with the program."""
    from napari_seg.models.file import read_spec
    from napari_seg.models.zoo import shipped

    specs = {path: read_spec(path) for path in shipped().values()}
    if json:
        rows = [
            {"path": str(path), **spec.model_dump(mode="json", exclude={"history"})} for path, spec in specs.items()
        ]
        put_json({"models": rows})
    else:
        put_table(
            ("name", "task", "ndim", "classes", "licence", "summary"),
            [
                (s.name, s.task.kind, f"{s.network.ndim}D", ", ".join(s.task.names), s.card.licence, s.card.summary)
                for s in specs.values()
            ],
        )


def doctor(json: Json = False) -> None:
    """Look at this machine: what will compute, how precisely, what is missing, and what would help."""
    from napari_seg.doctor import examine

    findings = examine()
    if json:
        put_json({finding.name: finding.model_dump(mode="json", exclude={"name"}) for finding in findings})
    else:
        for finding in findings:
            put(f"{'ok ' if finding.good else ' ! '} {finding.name}: {finding.sentence}")


def _described(volume: Volume) -> dict[str, Any]:
    return {
        "format": volume.source.format if volume.source else "",
        "modality": volume.source.modality if volume.source else "",
        "axes": volume.axes,
        "shape": list(volume.shape),
        "dtype": str(volume.dtype),
        "spacing": None if volume.spacing is None else [float(step) for step in volume.spacing],
        "unit": volume.unit,
        "interval": volume.interval,
        "orientation": volume.orientation,
        "affine": None if volume.affine is None else volume.affine.tolist(),
        "channels": list(volume.channels),
        "levels": [list(level.shape) for level in volume.levels],
        "notes": list(volume.notes),
    }


def _put_image(described: dict[str, Any]) -> None:
    from napari_seg.data.formats import FORMATS

    spacing = described["spacing"]
    put_pairs(
        (
            ("format", FORMATS[described["format"]].title if described["format"] in FORMATS else described["format"]),
            ("modality", described["modality"]),
            ("axes", described["axes"]),
            ("shape", " x ".join(map(str, described["shape"]))),
            ("values", described["dtype"]),
            ("spacing", spacing and " x ".join(f"{step:.6g}" for step in spacing) + f" {described['unit']}"),
            ("time points", described["interval"] and f"{described['interval']:.6g} s apart"),
            ("orientation", described["orientation"]),
            ("channels", ", ".join(described["channels"])),
            ("pyramid", ", ".join(" x ".join(map(str, level)) for level in described["levels"])),
            *(("note", note) for note in described["notes"]),
        )
    )


def _put_card(spec: ModelSpec, path: Path) -> None:
    given, card = spec.input, spec.card
    spacing = given.spacing and " x ".join(f"{step:.4g}" for step in given.spacing) + f" {given.unit}"
    put_pairs(
        (
            ("name", spec.name),
            ("summary", card.summary),
            ("task", f"{spec.task.kind}: {', '.join(spec.task.names)}"),
            ("network", spec.built_as),
            ("channels", ", ".join(given.channels)),
            ("modality", given.modality),
            ("spacing", spacing),
            ("diameter", f"{given.diameter:.4g} pixels" if given.diameter else ""),
            ("patch", " x ".join(map(str, given.patch))),
            ("data", card.data),
            ("licence", card.licence),
            ("attribution", card.attribution),
            ("limits", card.limits),
            *((f"score {name}", f"{score:.4g}") for name, score in card.scores.items()),
            *(("history", f"{event.when} {event.what}") for event in spec.history),
            ("size", f"{path.stat().st_size / 1e6:.1f} MB"),
        )
    )
