"""Flags that several commands share, and the files they stand for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_seg import choices
from napari_seg.cli.console import say
from napari_seg.errors import SegError
from napari_seg.files import as_text, at_home


def typed_path(text: str | Path) -> Path:
    """A file or folder as it was typed. Raises ``PermissionError`` for one that may not be looked at, as else something
    in it would be named that nobody typed, and ``BadParameter`` for an empty text, which would be the current folder.
    """
    path = at_home(typed_name(text))
    try:
        os.stat(f"{path}/.")  # noqa: PTH116  a Path drops the dot, and only who may enter a folder is told of that
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, str(path)) from None
    except OSError:  # whoever reads or writes it says more
        pass
    return path


def typed_name(text: str | Path) -> str:
    """A name as it was typed, also of a model that comes with the program. Raises ``BadParameter`` for an empty one."""
    if not str(text):
        raise typer.BadParameter("it is empty, give a name")
    return str(text)


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
Data = Annotated[
    Path, typer.Argument(parser=typed_path, help="A folder with images/ and labels/; files are paired by their names.")
]
Task = Annotated[
    choices.TaskKind, typer.Option(help="Learn classes of pixels (semantic) or single objects (instance).")
]
Device = Annotated[choices.DeviceName, typer.Option(help="Where to compute.")]
Precision = Annotated[choices.PrecisionName, typer.Option(help="How precisely.")]
ModelFile = Annotated[Path, typer.Option("--output", parser=typed_path, help="The model file, MODEL.safetensors.")]
Ndim = Annotated[int | None, typer.Option(min=2, max=3, help="2D or 3D; without it the images decide.")]
Classes = Annotated[
    str | None, typer.Option(help="The names of labels 1, 2, ... (or of their planes), with commas between.")
]
Seed = Annotated[int, typer.Option(help="Another number draws other random patches.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was stopped.")]
SplitTable = Annotated[
    Path | None, typer.Option(parser=typed_path, help="A CSV with the columns name and split, and optionally group.")
]
Where = Annotated[list[str] | None, typer.Option(help="Only rows of the split with this, as column=value.")]
HoldOut = Annotated[
    str | None, typer.Option(help="The value of split whose images are never looked at (default test).")
]
Masks = Annotated[
    Path | None,
    typer.Option(
        parser=typed_path,
        help="A folder with a mask for each image: labels count where it is not 0; the rest is unknown.",
    ),
]
Fixes = Annotated[
    list[str] | None, typer.Option("--fix", help="Mend this on the way; the files stay. check names what there is.")
]


def given(**flags: Any) -> dict[str, Any]:
    """The flags that were given; for the others the defaults of the spec hold."""
    return {name: value for name, value in flags.items() if value is not None}


def keep_existing(output: Path, overwrite: bool) -> None:
    """Raises ``SegError`` where a result exists and may not be replaced."""
    if output.exists() and not overwrite:
        raise SegError(f"{output} exists already and was left as it is; choose another name or add --overwrite.")


def pairs(texts: list[str] | None) -> dict[str, str]:
    """Columns and their values. Raises ``SegError`` for a text without a value, and for a column that comes twice."""
    found = dict[str, str]()
    for text in texts or ():
        column, equals, value = text.partition("=")
        if not equals:
            raise SegError(f"--where {text} does not say a value; write column=value, such as kind=fluorescence.")
        if column in found:
            raise SegError(f"--where names {column} twice, and a row has one value of it; give one of them.")
        found[column] = value
    return found


def refuse_clashes(minutes: float | None, steps: int | None, split: Path | None, **of_split: object) -> None:
    """Raises ``SegError`` for two budgets, and for what selects rows of a split where there is none."""
    if minutes is not None and steps is not None:
        raise SegError("--minutes and --steps both say how long to train; give one of them.")
    for name, value in of_split.items():
        if split is None and value:
            raise SegError(f"--{name.replace('_', '-')} is about the rows of a split; give the file with --split.")


def refuse_folder(folder: Path) -> None:
    """Raises ``SegError`` where a folder cannot be made or written into."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise SegError(f"{there} is a file, so nothing can be written under it; choose another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise SegError(f"You may not write into {there}; choose a folder that you may write to.")


def model_file(context: typer.Context, output: Path, *, resume: bool, overwrite: bool | None = None) -> None:
    """Claim the name of a model until the command ends. ``overwrite`` is ``None`` where the command knows no such flag.

    Raises ``SegError`` where a model may not be written under this name, or another command is about to.
    """
    from napari_seg.models.file import refuse_other
    from napari_seg.models.shelf import state_of
    from napari_seg.training.place import reserved

    refuse_other(output)
    if output.suffix != ".safetensors":
        raise SegError(f"{output.name} is not a name for a model; end it with .safetensors.")
    if as_text(str(output)) != str(output):
        raise SegError(
            f"The name {output} holds bytes that are no UTF-8, with which no model can be read; choose another."
        )
    refuse_folder(output.parent)
    context.with_resource(reserved(output))
    if output.exists() and not (resume or overwrite):
        noted = any(note.exists() for note in _notes(output))
        cures = [
            *(["go on with what was stopped (--resume)"] if noted or state_of(output).exists() else []),
            "choose another name",
            *(["start anew (--overwrite)"] if overwrite is not None and not noted else []),
        ]
        raise SegError(f"{output} exists already and was left as it is; {' or '.join(cures)}.")


@contextmanager
def going_on(output: Path, *, resume: bool) -> Iterator[None]:
    """Who stops a training is told how to go on with it, where there is something to go on with: what was written for
    that since it began, or what it went on with itself."""
    before = _put_by(output)
    try:
        yield
    except KeyboardInterrupt:
        now = _put_by(output)
        if now and (resume or now != before):
            say(f"What it has learned so far is kept beside {output}; go on with the same command and --resume.")
        raise


def _put_by(output: Path) -> dict[Path, int]:
    """The files from which a training, folds or a search go on, by when they were written."""
    from napari_seg.models.shelf import state_of

    files = (state_of(output), *_notes(output))
    return {file: file.stat().st_mtime_ns for file in files if file.exists()}


def _notes(output: Path) -> list[Path]:
    """What folds and searches write down; without it there is nothing to go on with."""
    return [output.with_name(f"{output.name}.{what}") / f"{what}.json" for what in ("folds", "search")]
