"""Words and progress for people, or as JSON for programs, on standard error; results on standard output."""

from __future__ import annotations

import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.files import as_text
from napari_seg.jobs import Progress, Steps, TimeLeft, run

T = TypeVar("T")

_QUIET = 10.0
"""Seconds between two lines of progress where standard error is not a terminal."""


def say(text: str) -> None:
    """One sentence for a person, on standard error."""
    sys.stderr.write(as_text(text) + "\n")
    sys.stderr.flush()


def say_error(error: SegError, *, where: str = "") -> None:
    """A user's mistake, with the choices there are where one has to be made, in the words of the command line."""
    words = str(error)
    if isinstance(error, ChoiceNeeded):
        words = words.replace(f"{error.parameter}=", f"--{error.parameter} ")
    say(f"{where}: {words}" if where and where not in words else words)
    if isinstance(error, ChoiceNeeded):
        for choice in error.choices:
            say(f"  --{error.parameter} {shlex.quote(choice.value)}   {choice.title}")


def say_if_short(asked: int | None, made: int) -> None:
    """A training had time for too few steps, if nobody ``asked`` for so many."""
    from napari_seg.training.course import too_short

    if asked is None and too_short(made):
        say(too_short(made))


def put(text: str) -> None:
    """A result for a person, on standard output."""
    sys.stdout.write(as_text(text) + "\n")


def put_json(result: Any) -> None:
    """The result for a program: one JSON object on standard output."""
    put(json.dumps(result, ensure_ascii=True, allow_nan=False, indent=1))


def put_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values under each other; what is empty is left out."""
    known = [(name, str(value)) for name, value in pairs if value not in (None, "", (), [])]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        put(f"{name:<{width}}  {value}")


def put_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns of equal width."""
    table = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        put("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def figure(value: float | None) -> str:
    """A figure with three decimals; a dash where there was nothing to measure."""
    return "-" if value is None else f"{value:.3f}"


def watch(steps: Steps[T], title: str, tell: Callable[[Progress], None] | None = None, *, as_json: bool = False) -> T:
    """Run a job and show how far it is: a bar in a terminal, elsewhere a line every ten seconds.

    ``tell`` sees every ``Progress`` and may :func:`say` what is worth keeping on the screen. ``as_json``: each
    ``Progress`` is a line instead, one JSON object with ``job``, ``done``, ``total``, ``message``, ``detail`` and
    ``seconds_left`` (null until there is a pace).
    """
    with _objects(title) if as_json else _bar(title) if sys.stderr.isatty() else _lines(title) as show:

        def shown(progress: Progress) -> None:
            if tell is not None:
                tell(progress)
            show(progress)

        return run(steps, shown)


@contextmanager
def _objects(title: str) -> Iterator[Callable[[Progress], None]]:
    left = TimeLeft()

    def show(progress: Progress) -> None:
        about = {"job": title, **vars(progress), "detail": dict(progress.detail), "seconds_left": left(progress)}
        say(json.dumps(_finite(about), ensure_ascii=True, allow_nan=False))

    yield show


def _finite(value: Any) -> Any:
    """A JSON value with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def _bar(title: str) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    left = TimeLeft()
    doing, remaining = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[left]}")
    columns = (doing, BarColumn(), TaskProgressColumn(), remaining)
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=None, left="")

        def show(progress: Progress) -> None:
            words, seconds = f"{title}: {progress.message}" if progress.message else title, left(progress)
            rest = "" if seconds is None else str(timedelta(seconds=round(seconds)))
            bar.update(task, completed=progress.done, total=progress.total or None, description=words, left=rest)

        yield show


@contextmanager
def _lines(title: str) -> Iterator[Callable[[Progress], None]]:
    left, last = TimeLeft(), time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        seconds = left(progress)
        if time.monotonic() - last < _QUIET:
            return
        last = time.monotonic()
        rest = "" if seconds is None else f", {seconds:.0f} s left"
        say(f"{title}: {progress.fraction:.0%}{rest} {progress.message}".rstrip())

    yield show
