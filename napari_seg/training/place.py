"""The place of the model that a training makes: it is looked at before anything is read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from napari_seg.files import at_home
from napari_seg.jobs import Steps
from napari_seg.models.file import refuse_other

P = ParamSpec("P")
T = TypeVar("T")


def placed(function: Callable[P, Steps[T]]) -> Callable[P, Steps[T]]:
    """A training whose ``save_to`` is looked at first. Raises ``SegError`` where its model cannot lie there."""

    @functools.wraps(function)
    def steps(*args: P.args, **kwargs: P.kwargs) -> Steps[T]:
        return _in_place(function, inspect.signature(function).bind(*args, **kwargs))

    return steps


def _in_place(function: Callable[..., Steps[T]], given: inspect.BoundArguments) -> Steps[T]:
    given.arguments["save_to"] = save_to = at_home(given.arguments["save_to"])
    refuse_other(save_to)
    return (yield from function(*given.args, **given.kwargs))
