"""New labels of a model go under a person's work: what somebody painted, erased or accepted stays as it is.

What has to change is worked out in a thread, on a copy. It stands in the queue of its image from the beginning: a step
back that is asked for meanwhile comes after it. What others write meanwhile is seen, and it is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from napari_seg.editing.annotation import Annotation, Box
from napari_seg.editing.edit import Edit
from napari_seg.editing.renewal import renewed
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Predicted
from napari_seg.tasks.base import Labels


@dataclass(frozen=True, eq=False)
class Renewal:
    """``labels`` of a model for a mask, all of it or the box ``where`` over the layer's axes.

    ``tool`` says in the history what brought them. ``predicted``: by which model, and how; ``None`` for labels that
    others will follow in a moment, as while a threshold moves: together they are one step.
    """

    labels: Labels
    where: Box | None
    tool: str
    predicted: Predicted | None


def put(
    recorder: Recorder,
    track: Track,
    renewal: Renewal,
    then: Callable[[bool], None],
    failed: Callable[[str], None],
    *,
    wanted: Callable[[], bool] = lambda: True,
    asked: bool = False,
) -> None:
    """Show new labels, and keep them; ``then`` hears when that is done, and whether anything is another now, and
    ``failed`` why it could not be. Where they are not ``wanted`` any more, nothing is changed. ``asked``: a person has
    just asked for them."""
    work_out = partial(edits_of, renewal)
    times = times_of(renewal, track)
    tool, predicted = renewal.tool, renewal.predicted
    recorder.renew(track, times, work_out, tool, predicted, then, failed, wanted=wanted, asked=asked)


def times_of(renewal: Renewal, track: Track) -> range:
    """The time points that new labels are about."""
    if renewal.where is None or len(renewal.where) == len(track.row.grid):
        return range(track.row.times)
    return range(renewal.where[0].start or 0, renewal.where[0].stop or track.row.times)


def edits_of(renewal: Renewal, frozen: Mapping[int, Annotation], said: Mapping[int, Labels]) -> dict[int, Edit]:
    """In a thread: what new labels change at each time point of a mask, given where a person has ``said`` something."""
    edits, taken = dict[int, Edit](), 0
    for number, (time, annotation) in enumerate(frozen.items()):
        annotation = replace(annotation, following=max(annotation.following, taken + 1))
        ndim = len(annotation.grid)
        labels = renewal.labels[number] if renewal.labels.ndim > ndim else renewal.labels
        box = None if renewal.where is None else _whole_sides(renewal.where[-ndim:], annotation.grid)
        edits[time] = renewed(annotation, labels, said[time] > 0, box, renewal.tool)
        taken = max(taken, *(int(patch.after.max(initial=0)) for patch in edits[time].patches), 0)
    return edits


def _whole_sides(box: Box, grid: tuple[int, ...]) -> Box:
    """A box in which every side has a start and a stop."""
    return tuple(slice(*side.indices(n)[:2]) for side, n in zip(box, grid, strict=True))
