"""The registry of the tools. A tool is a function ``(annotation, gesture, options) -> Edit`` with a title, a key and a
word of help; window, palette, list of shortcuts and the contract tests all read them from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit
from napari_seg.errors import SegError
from napari_seg.spec import Spec

Reach = Literal["slice", "volume"]
"""How far a tool goes: the slice that is shown, or all of the volume."""

Kind = Literal["click", "stroke", "line", "drag", "seeds", "action"]
"""How a person uses a tool: click once; draw a stroke, each part of which acts at once; draw a line, which acts as a
whole; drag from one place to another; click several places and confirm; or press its key, which acts on the object
under the cursor or on the selected ones."""


@dataclass(frozen=True)
class Gesture:
    """What a person did with the mouse.

    ``points``: where, in voxel coordinates of the grid (one number per axis), in the order of time. ``shown``: the two
    axes of the slice that is shown, rows first. ``label``: the label to paint with. ``selected``: the labels of the
    selected objects; empty: the one under the first point. ``begun_on``: the label that lay under the first point
    when the mouse was pressed, where ``points`` are only the newest of a stroke.
    """

    points: tuple[tuple[float, ...], ...] = ()
    shown: tuple[int, int] = (-2, -1)
    label: int = 1
    selected: tuple[int, ...] = ()
    begun_on: int | None = None


class Options(Spec):
    """Settings of a tool that has none."""


@dataclass(frozen=True)
class Tool:
    """``key`` as Qt writes it; ``tip`` says in one sentence what happens; ``group`` is the part of the page.

    ``preview``: what comes of it is shown while the mouse is dragged, or after each of several clicks. ``hovers``: it
    is about the object under the cursor, which is outlined before.
    """

    name: str
    title: str
    tip: str
    group: Literal["objects", "regions", "slices", "model"]
    kind: Kind
    key: str
    run: Callable[[Annotation, Gesture, Any], Edit]
    options: type[Spec]
    preview: bool = False
    hovers: bool = False


TOOLS: dict[str, Tool] = {}
"""Every tool by its name."""

Run = Callable[[Annotation, Gesture, Any], Edit]


def tool(
    name: str,
    title: str,
    *,
    tip: str,
    group: Literal["objects", "regions", "slices", "model"],
    kind: Kind,
    key: str,
    options: type[Spec] = Options,
    preview: bool = False,
    hovers: bool = False,
) -> Callable[[Run], Run]:
    """Register the function below as a tool."""

    def register(run: Run) -> Run:
        TOOLS[name] = Tool(name, title, tip, group, kind, key, run, options, preview, hovers)
        return run

    return register


def targets(annotation: Annotation, gesture: Gesture) -> tuple[int, ...]:
    """The labels a tool is for: the selected ones, else the one under the first point. Raises ``SegError`` for none."""
    chosen = gesture.selected or ((annotation.at(gesture.points[0]),) if gesture.points else ())
    labels = tuple(label for label in chosen if label)
    if not labels:
        raise SegError("There is no object here; point at one or select one.")
    locked = [str(label) for label in labels if label in annotation.locked]
    if locked:
        raise SegError(f"{', '.join(locked)} is locked; unlock it first.")
    unseen = [str(label) for label in labels if annotation.stays(label)]
    if unseen:
        raise SegError(f"{', '.join(unseen)} is not shown; show it first.")
    return labels
