"""The command line: read, do, write; nothing is computed here.

The general pattern is: results go to standard output (with ``--json`` as one JSON object), words and progress to
standard error. Exit code 0 means done, 2 that a person has to change something (one sentence says what), 130 that a
person stopped it, 1 a bug (with its traceback).
"""

from __future__ import annotations

import sys
from typing import Any

import typer

from napari_seg.cli.app import app
from napari_seg.cli.console import say, say_error
from napari_seg.errors import SegError, plain

_WRONG_USE: Any = typer.BadParameter.__mro__[1]
"""``UsageError``, which typer took from click and since keeps to itself."""


def main() -> None:
    """Run the command in ``sys.argv`` and leave the process with its exit code."""
    try:
        code = app(prog_name="napari-seg", standalone_mode=False)
    except _WRONG_USE as error:
        what = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
        if what:  # otherwise the help was asked for and shown
            say(f"{what}; see {error.ctx.command_path if error.ctx else 'napari-seg'} --help.")
        code = 2
    except (SegError, MemoryError, OSError) as error:
        told = plain(error)
        if told is None:
            raise
        say_error(told)
        code = 2
    except KeyboardInterrupt:  # before the command itself has begun
        code = 130
    if code == 130:
        say("Stopped; what was finished before is kept, nothing is half written.")
    sys.exit(code)
