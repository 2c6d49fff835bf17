"""The commands by name. Each lies in a module of its own; what is slow to import is imported when a command runs."""

from __future__ import annotations

from typing import Annotated

import typer

from napari_seg import __version__
from napari_seg.cli.check import check
from napari_seg.cli.console import put
from napari_seg.cli.demo import demo
from napari_seg.cli.evaluate import evaluate
from napari_seg.cli.look import doctor, info, models
from napari_seg.cli.measure import measure
from napari_seg.cli.predict import predict
from napari_seg.cli.retrain import retrain
from napari_seg.cli.search import search
from napari_seg.cli.test_set import test_set
from napari_seg.cli.train import train

app = typer.Typer(
    help="Segment medical and microscopy images with U-Net, V-Net and SegNet; retrain them on your own.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (demo, info, models, doctor, predict, check, train, retrain, search, measure, evaluate):
    app.command()(_command)
app.add_typer(test_set, name="test-set")


def _show_version(wanted: bool) -> None:
    if wanted:
        put(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass
