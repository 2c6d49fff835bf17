"""The command line: read, do, write; nothing is computed here.

The general pattern is: results go to standard output (with ``--json`` as one JSON object), words and progress to
standard error. Exit code 0 means done, 2 that a person has to change something (one sentence says what), 130 that a
person stopped it, 1 a bug (with its traceback).
"""

from __future__ import annotations

import sys

from napari_seg.cli.app import app
from napari_seg.cli.console import say, say_error
from napari_seg.errors import SegError, plain


def main() -> None:
    """Run the command in ``sys.argv`` and leave the process with its exit code."""
    try:
        app()
    except (SegError, MemoryError, OSError) as error:
        told = plain(error)
        if told is None:
            raise
        say_error(told)
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == 130:
            say("Stopped; what was finished before is kept, nothing is half written.")
        raise
