"""What can go wrong through no fault of the program, said in one sentence that ends with the cure."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class SegError(Exception):
    """A user's mistake or a limit of the machine. Its text is shown as it is; anything else raised is a bug."""


def as_bug(error: Exception) -> str:
    """What a person reads of an error that nobody foresaw."""
    return f"This is a bug in napari-seg: {type(error).__name__}: {error}"


def attempted(work: Callable[[], T]) -> T | SegError:
    """What comes of work, or what kept it from being done, for whoever hears of it elsewhere than it is done."""
    try:
        return work()
    except SegError as error:
        return error


def plain(error: Exception) -> SegError | None:
    """An error as it is told to a person: itself, or the limit of the machine that an error of Python's own is about,
    for where nobody nearer to it said more; ``None`` for a bug."""
    if isinstance(error, SegError):
        return error
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return SegError("The memory ran out; close other programs, or take smaller images or a box of them.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        file = f" ({error.filename})" if error.filename else ""
        return SegError(f"The disk is full{file}; free some space and start again.")
    if isinstance(error, PermissionError) and error.filename:
        return SegError(f"You may not open {error.filename}; ask its owner, or choose another place.")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return SegError(f"The name {error.filename} is too long for the disk; choose a shorter one.")
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return SegError(f"The links of {error.filename} lead in a circle; choose another name.")
    return None


@dataclass(frozen=True)
class Choice:
    """One answer to a question: ``value`` is what the program wants, ``title`` is what a person reads."""

    value: str
    title: str


class ChoiceNeeded(SegError):
    """The input can be understood in several ways, and guessing could put a mask in the wrong place.

    Call the same function again with ``parameter`` set to the ``value`` of one of ``choices``: the window asks with a
    picker, the command line prints the list, a script catches this.
    """

    def __init__(self, message: str, parameter: str, choices: tuple[Choice, ...]) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.choices = choices
