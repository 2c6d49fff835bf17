"""The command line: read, do, write; nothing is computed here.

The general pattern is: results go to standard output (with ``--json`` as one JSON object), words and progress to
standard error. Exit code 0 means done, 2 that a person has to change something (one sentence says what), 130 that a
person stopped it, 1 a bug (with its traceback).
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in ``sys.argv`` and leave the process with its exit code."""
    try:
        code = _run()
    except KeyboardInterrupt:  # before the command itself has begun, also while it is imported
        code = 130
    if code == 130:
        sys.stderr.write("Stopped; what was finished before is kept, nothing is half written.\n")
    sys.exit(code)


def _run() -> int | None:
    from typing import Any

    import typer

    from napari_seg.cli.app import app
    from napari_seg.cli.console import say, say_error
    from napari_seg.errors import SegError, plain

    wrong_use: Any = typer.BadParameter.__mro__[1]  # ``UsageError`` of click, which typer keeps to itself
    try:
        code: int | None = app(prog_name="napari-seg", standalone_mode=False)
    except wrong_use as error:
        what = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
        if what:  # otherwise the help was asked for and shown
            say(f"{what}; see {error.ctx.command_path if error.ctx else 'napari-seg'} --help.")
        return 2
    except (SegError, MemoryError, OSError) as error:
        told = plain(error)
        if told is None:
            raise
        say_error(told)
        return 2
    return code
