"""The place of the model that a training makes: claimed before anything is read, until it ends."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from napari_seg.errors import SegError
from napari_seg.files import at_home, reason
from napari_seg.jobs import Steps
from napari_seg.locks import WAIT, Taken, locked
from napari_seg.models.file import refuse_other
from napari_seg.training.memory import beside

P = ParamSpec("P")
T = TypeVar("T")

_reserved: set[Path] = set()
"""What a command of this program has claimed, and hands on to the first training of that name."""


def placed(function: Callable[P, Steps[T]]) -> Callable[P, Steps[T]]:
    """A training that claims its ``save_to`` first. Raises ``SegError`` where its model cannot lie there, or another
    training is writing it."""

    @functools.wraps(function)
    def steps(*args: P.args, **kwargs: P.kwargs) -> Steps[T]:
        return _in_place(function, inspect.signature(function).bind(*args, **kwargs))

    return steps


def _in_place(function: Callable[..., Steps[T]], given: inspect.BoundArguments) -> Steps[T]:
    given.arguments["save_to"] = save_to = at_home(given.arguments["save_to"])
    handed_on = save_to in _reserved
    _reserved.discard(save_to)
    with nullcontext() if handed_on else claimed(save_to):
        return (yield from function(*given.args, **given.kwargs))


@contextmanager
def reserved(save_to: Path) -> Iterator[None]:
    """Claim a place for the training that a command begins later."""
    with claimed(save_to):
        _reserved.add(save_to)
        try:
            yield
        finally:
            _reserved.discard(save_to)


@contextmanager
def claimed(save_to: Path) -> Iterator[None]:
    """While a model is made no other program makes one of this name; the lock goes with the program. Its folder is made
    where there is none, and goes again where nothing came to lie in it. Raises ``SegError`` where no model can lie
    there, also where the longest of the names that a training gives to files beside it is too long for the disk."""
    lock = save_to.with_name(f".{save_to.name}.lock")
    with ExitStack() as stack:
        try:
            refuse_other(save_to)
            stack.callback(_remove_empty, [path for path in (lock.parent, *lock.parent.parents) if not path.exists()])
            with suppress(FileExistsError):  # what cannot be a folder is told of by the lock
                lock.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                beside(save_to).stat()
            stack.enter_context(locked(lock, WAIT))
        except Taken:
            raise SegError(f"Another training is writing {save_to}; wait for its end or choose another name.") from None
        except OSError as error:
            raise SegError(f"{save_to} cannot be written {reason(error, 'choose another folder')}") from None
        try:
            yield
        finally:
            with suppress(OSError):  # elsewhere than on POSIX systems it stays while it is held
                lock.unlink()


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
