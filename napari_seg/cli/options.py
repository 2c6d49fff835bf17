"""Flags that several commands share, and the files they stand for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_seg.errors import SegError

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object on standard output.")]
JsonProgress = Annotated[
    bool,
    typer.Option("--json-progress", help="Progress as lines on standard error, each one JSON object."),
]
Axes = Annotated[
    str | None,
    typer.Option(
        help="What the dimensions in the file are, in their order there, such as ZYX or CYX (T C Z Y X, S: RGB)."
    ),
]
Series = Annotated[
    str | None, typer.Option(help="Which image of a file or folder with several; without it they are listed.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")]
Data = Annotated[Path, typer.Argument(help="A folder with images/ and labels/; files are paired by their names.")]
ModelFile = Annotated[Path, typer.Option("--output", help="The model file, MODEL.safetensors.")]
Ndim = Annotated[int | None, typer.Option(min=2, max=3, help="2D or 3D; without it the images decide.")]
Classes = Annotated[
    str | None, typer.Option(help="The names of labels 1, 2, ... (or of their planes), with commas between.")
]
Seed = Annotated[int, typer.Option(help="Another number draws other random patches.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was stopped.")]
SplitTable = Annotated[Path | None, typer.Option(help="A CSV with the columns name and split, and optionally group.")]
Where = Annotated[list[str] | None, typer.Option(help="Only rows of the split with this, as column=value.")]
HoldOut = Annotated[
    str | None, typer.Option(help="The value of split whose images are never looked at (default test).")
]
Masks = Annotated[
    Path | None,
    typer.Option(help="A folder with a mask for each image: labels count where it is not 0; the rest is unknown."),
]
Fixes = Annotated[
    list[str] | None, typer.Option("--fix", help="Mend this on the way; the files stay. check names what there is.")
]


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class TaskKind(StrEnum):
    semantic = "semantic"
    instance = "instance"


class NetworkKind(StrEnum):
    unet = "unet"
    vnet = "vnet"
    segnet = "segnet"


class Loss(StrEnum):
    dice = "dice"
    focal = "focal"
    tversky = "tversky"


def given(**flags: Any) -> dict[str, Any]:
    """The flags that were given; for the others the defaults of the spec hold."""
    return {name: value for name, value in flags.items() if value is not None}


def keep_existing(output: Path, overwrite: bool) -> None:
    """Raises ``SegError`` where a result exists and may not be replaced."""
    if output.exists() and not overwrite:
        raise SegError(f"{output} exists already and was left as it is; choose another name or add --overwrite.")


def pairs(texts: list[str] | None) -> dict[str, str]:
    """Columns and their values. Raises ``SegError`` for a text without a value."""
    found = {}
    for text in texts or ():
        column, equals, value = text.partition("=")
        if not equals:
            raise SegError(f"--where {text} does not say a value; write column=value, such as kind=fluorescence.")
        found[column] = value
    return found


def refuse_clashes(minutes: float | None, steps: int | None, split: Path | None, **of_split: object) -> None:
    """Raises ``SegError`` for two budgets, and for what selects rows of a split where there is none."""
    if minutes is not None and steps is not None:
        raise SegError("--minutes and --steps both say how long to train; give one of them.")
    for name, value in of_split.items():
        if split is None and value:
            raise SegError(f"--{name.replace('_', '-')} is about the rows of a split; give the file with --split.")


def model_file(output: Path, overwrite: bool) -> None:
    """Raises ``SegError`` where a model may not be written under this name."""
    if output.suffix != ".safetensors":
        raise SegError(f"{output.name} is not a name for a model; end it with .safetensors.")
    keep_existing(output, overwrite)
