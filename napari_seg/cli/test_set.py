"""``napari-seg test-set``: images that no training may learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_seg.cli.console import put_json, put_table, say, watch
from napari_seg.cli.options import Axes, Json, typed_path
from napari_seg.errors import SegError
from napari_seg.wording import first_of, there_are

test_set = typer.Typer(
    help="Mark images as the independent test set: training, search and retraining refuse them, by what they show.",
    no_args_is_help=True,
)


@test_set.command()
def add(
    images: Annotated[
        list[Path], typer.Argument(parser=typed_path, help="Images, folders of images, or a folder with images/.")
    ],
    split: Annotated[
        Path | None,
        typer.Option(
            parser=typed_path, help="A CSV with the columns name and split: mark only the images held out in it."
        ),
    ] = None,
    hold_out: Annotated[str, typer.Option(help="The value of split whose images are held out.")] = "test",
    axes: Axes = None,
    json: Json = False,
) -> None:
    """Mark images. They are known by their pixels, not by their names; nothing is copied or moved."""
    from napari_seg.training.test_set import add as mark

    new = watch(mark.steps(images if split is None else _held_out(images, split, hold_out), axes=axes), "Marking")
    if json:
        put_json({"marked": [one.model_dump(mode="json") for one in new]})
    count = there_are(len(new), "image")
    say(f"{count} newly marked as test set. Training, search and retraining refuse what shows the same.")


@test_set.command("list")
def show(json: Json = False) -> None:
    """List the images that are marked."""
    from napari_seg.training.test_set import marked

    marks = marked()
    if json:
        put_json({"marked": [one.model_dump(mode="json") for one in marks]})
    elif marks:
        put_table(("name", "voxels", "marked"), [(m.name, " x ".join(map(str, m.sizes)), m.when[:10]) for m in marks])
    else:
        say("No image is marked as test set.")


@test_set.command()
def remove(
    images: Annotated[
        list[Path] | None,
        typer.Argument(parser=typed_path, help="Images, folders, or names as test-set list shows them."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Take all marks off.")] = False,
    axes: Axes = None,
    json: Json = False,
) -> None:
    """Take marks off. The images themselves are not touched."""
    from napari_seg.training.test_set import marked
    from napari_seg.training.test_set import remove as unmark

    if everything == bool(images):
        raise SegError("Say whose mark to take off: name images, folders or names, or add --all.")
    paths = [path for path in images or () if path.exists()]
    names = [mark.name for mark in marked()] if everything else [str(n) for n in images or () if not n.exists()]
    gone = watch(unmark.steps(paths, names=names, axes=axes), "Looking")
    if json:
        put_json({"removed": [one.model_dump(mode="json") for one in gone]})
    say(f"{there_are(len(gone), 'image')} no longer marked as test set.")


def _held_out(folders: list[Path], split: Path, hold_out: str) -> list[Path]:
    """The images of folders whose rows of the split are held out."""
    from napari_seg.data.formats import images_by_stem
    from napari_seg.training.split import read_split

    names = {row.name for row in read_split(split, {}, hold_out) if row.side == "held out"}
    found, missing = list[Path](), {*names}
    for folder in folders:
        images = images_by_stem(folder / "images" if (folder / "images").is_dir() else folder)
        found += [path for name, path in images.items() if name in names or path.name in names]
        missing -= {*images} | {path.name for path in images.values()}
    if not found:
        raise SegError(f"None of the images held out in {split.name} is there; check the names and the folder.")
    if missing:
        rest = first_of(sorted(missing))
        say(f"{len(missing)} of the names held out in {split.name} have no image and are not marked: {rest}.")
    return found
