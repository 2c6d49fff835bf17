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
SplitTable = Annotated[Path | None, typer.Option(help="A CSV with the columns name and split, and optionally group.")]
Where = Annotated[list[str] | None, typer.Option(help="Only rows of the split with this, as column=value.")]
HoldOut = Annotated[
    str | None, typer.Option(help="The value of split whose images are never looked at (default test).")
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
