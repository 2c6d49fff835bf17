"""What to correct next for what a model would learn from it: what it is unsure of, unlike what was corrected before.

The worst first would bring ten neighbours with one and the same fault, of which the first teaches all. So one after the
other is chosen by how likely it is wrong times how little it resembles what was corrected or chosen already (greedy
choice of a varied set, as in Yang et al., Suggestive annotation, MICCAI 2017). No truth is known here.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.measures import Table
from napari_seg.editing.numbers import likely
from napari_seg.editing.reach import Mask
from napari_seg.editing.runs import Floats
from napari_seg.editing.said import decided_slices
from napari_seg.editing.suspicion import Suspect, thickest
from napari_seg.editing.through import look_through
from napari_seg.tasks.base import Labels, Scores

FIRST = 200
"""So many are chosen one after the other; what comes after them stays in the order it had."""

_MAP = 12
"""A slice is looked at as a picture of so many pixels along each side."""

_SEEN = 8 * _MAP
"""Rows or columns of a slice that are looked at for that, about."""

_CONTENT = 2.0
"""How far two slices without anything in common lie apart; at a distance of 1 two are still alike by 60 %."""

_REACH = 4
"""Slices this part of all that hold something apart are no longer neighbours."""

_FAR = 5.0
"""Objects so many times their usual length apart are no longer neighbours."""

_ALIKE = 0.5
"""Objects that look alike teach the same, wherever they lie: by so much at the least."""

_TWINS = 1e-3
"""What teaches nothing new comes in the order of what it would teach alone."""

_FAINT = 0.1
"""What is less likely than this is not seen in the picture of a slice."""

_SMALL = 0.02
"""So much of what a slice holds counts as unsure, however sure the model is: it may be sure of something wrong."""


def choose_slices(
    scores: Scores, spoken: Mask | None, count: int, *, axis: int = 0, labels: Labels | None = None
) -> list[int]:
    """The ``count`` slices along ``axis`` that are best corrected next, in the order of what they teach.

    ``scores`` ``(channels, *grid)``: what the model says of a volume. ``spoken`` ``(*grid)``: where a person has
    spoken; slices that are known whole are not chosen again. ``labels``: what is shown now; without them what the
    scores say. Where nothing is seen at all the slices are spread evenly.
    """
    labels = _said_by(scores) if labels is None else labels
    known = np.zeros(labels.shape[axis]) if spoken is None else _known(labels, spoken, axis)
    values, looks, places = _slices(labels, scores, axis)
    middle = 1 - np.abs(np.linspace(-1, 1, len(values)))
    values = np.where(known < 1, values * (1 - known) + 1e-6 * (1 + middle), -1.0)
    return varied(values, looks, places, known, count=count)


def most_to_learn(
    suspects: Sequence[Suspect],
    annotation: Annotation,
    table: Table,
    corrected: Container[int] = (),
    said: NDArray[Any] | None = None,
) -> list[Suspect]:
    """A queue in the order of what a model would learn; of classes in a volume the slices come first.

    ``table``: of the annotation. ``corrected``: the objects that were changed by hand; what was decided is known from
    the rows. ``said`` ``(*grid)``: where voxels were changed by hand, for slices.
    """
    if annotation.objects:
        return _objects(suspects, table, corrected)
    slices = [suspect for suspect in suspects if suspect.key.startswith("slice ")]
    regions = [suspect for suspect in suspects if not suspect.key.startswith("slice ")]
    return [*(_in_slices(slices, annotation, said) if slices else ()), *_regions(regions, annotation)]


def varied(
    values: Floats, looks: Floats, places: Floats, known: Floats, *, count: int = FIRST, alike: float = 0.0
) -> list[int]:
    """The numbers of ``n`` things, at most ``count``, the one that adds most first.

    ``values``: what each would teach alone; below 0 it is never chosen. ``looks`` and ``places`` ``(n, features)``:
    what lies 1 apart is alike by 60 %. ``known`` in 0..1: how much of each was corrected before. ``alike``: how much
    two things that look the same are alike however far apart they lie.
    """
    shared = np.zeros(len(values))

    def bring(k: int, share: float) -> None:
        look = np.exp(-0.5 * ((looks - looks[k]) ** 2).sum(1))
        near = np.exp(-0.5 * ((places - places[k]) ** 2).sum(1))
        np.maximum(shared, share * look * (alike + (1 - alike) * near), out=shared)

    for k in np.flatnonzero(known > 0).tolist():
        bring(k, float(known[k]))
    chosen = list[int]()
    left = np.where(values < 0, -1.0, values + 1e-9)
    while len(chosen) < count and (left > 0).any():
        best = int(np.argmax(left * (1 - shared + _TWINS)))
        chosen.append(best)
        bring(best, 1.0)
        left[best] = -1.0
    return chosen


def _objects(suspects: Sequence[Suspect], table: Table, corrected: Container[int]) -> list[Suspect]:
    """By what the table says of them; where they lie matters less."""
    asked = {suspect.label: suspect for suspect in suspects}
    labels = table.labels.tolist()
    values = np.array([asked[label].score if label in asked else -1.0 for label in labels])
    known = np.array([float(label not in asked or label in corrected) for label in labels])
    measured = (np.log(np.maximum(table.voxels, 1)), table.fullness, table.intensity, table.uncertainty)
    looks = np.stack([_scaled(column) for column in measured], 1) / 2  # the mean over the four
    usual = float(np.median(table.extent.mean(1))) if labels else 1.0
    chosen = varied(values, looks, table.place / (_FAR * usual), known, alike=_ALIKE)
    return _first(suspects, [asked[labels[row]] for row in chosen])


def _regions(suspects: Sequence[Suspect], annotation: Annotation) -> list[Suspect]:
    """By their class, how large they are, and where they lie."""
    if not suspects:
        return []
    spacing = np.array(annotation.spacing or (1.0,) * len(annotation.grid))
    sides = np.array([[side.stop - side.start for side in suspect.box] for suspect in suspects]) * spacing
    classes = np.array([[suspect.label] for suspect in suspects])
    looks = np.hstack([np.log(sides), 10.0 * classes])
    places = np.array([suspect.place for suspect in suspects]) * spacing / (_FAR * float(np.median(sides)))
    values = np.array([suspect.score for suspect in suspects])
    chosen = varied(values, looks, places, np.zeros(len(values)), alike=_ALIKE)
    return _first(suspects, [suspects[k] for k in chosen])


def _in_slices(suspects: Sequence[Suspect], annotation: Annotation, said: NDArray[Any] | None) -> list[Suspect]:
    """As :func:`choose_slices` does, those of the queue."""
    axis = thickest(annotation.spacing)
    asked = {suspect.box[axis].start: suspect for suspect in suspects}
    values, looks, places = _slices(annotation.labels, annotation.scores, axis)
    decided = decided_slices(annotation.rows, axis, len(values)).astype(float)
    known = decided if said is None else np.maximum(decided, _known(annotation.labels, said != 0, axis))
    wanted = np.array([k in asked for k in range(len(values))])
    chosen = varied(np.where(wanted, values * (1 - known), -1.0), looks, places, known)
    return _first(suspects, [asked[k] for k in chosen])


def _first(suspects: Sequence[Suspect], chosen: Sequence[Suspect]) -> list[Suspect]:
    """The chosen ones, and after them the others."""
    keys = {suspect.key for suspect in chosen}
    return [*chosen, *(suspect for suspect in suspects if suspect.key not in keys)]


def _scaled(column: NDArray[Any]) -> Floats:
    """A column by its median and deviation (MAD), 0 where nothing is known."""
    values = np.asarray(column, np.float64)
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values))
    off = values - np.median(known)
    spread = max(1.4826 * float(np.median(np.abs(off[np.isfinite(off)]))), 0.05 * float(np.abs(known).max()), 1e-9)
    scaled: Floats = np.clip(np.nan_to_num(off / spread, nan=0.0, posinf=0.0, neginf=0.0), -4, 4)
    return scaled


def _said_by(scores: Scores) -> Labels:
    """The classes that scores say."""
    found: Labels = (np.asarray(scores[0]) >= 0.5).astype(np.uint8) if len(scores) == 1 else np.argmax(scores, 0)
    return found


def _known(labels: Labels, spoken: Mask, axis: int) -> Floats:
    """How much of what each slice holds was spoken of; of an empty one, how much of all of it."""
    across = tuple(k for k in range(labels.ndim) if k != axis)
    held, known = np.count_nonzero(labels, across), np.count_nonzero((labels > 0) & spoken, across)
    share: Floats = np.where(held > 0, known / np.maximum(held, 1), spoken.mean(across))
    return share


def _slices(labels: Labels, scores: Scores | None, axis: int) -> tuple[Floats, Floats, Floats]:
    """What each slice would teach alone, what it looks like, and where it lies."""
    seen = look_through(labels, scores, None, axis)
    held = seen.area + seen.missing
    values = np.sqrt(seen.doubt * (held + 1) + _SMALL * held)
    count = max(2, int(np.count_nonzero(held)) or len(values))
    places: Floats = np.arange(len(values), dtype=np.float64)[:, None] * (_REACH / count)
    return values, _CONTENT * _pictures(labels, scores, axis), places


def _pictures(labels: Labels, scores: Scores | None, axis: int) -> Floats:
    """Each slice as a coarse picture of what it holds, of length 1; 0 where it holds nothing. Large ones are looked at
    in some of their rows and columns."""
    every = tuple(slice(None, None, 1 if k == axis else max(1, n // _SEEN)) for k, n in enumerate(labels.shape))
    held = _slice_by_slice(labels[every], axis) > 0
    seen = [] if scores is None else [_slice_by_slice(likely(one[every]), axis) for one in scores]
    shown = [*(seen[1:] if len(seen) > 1 else seen), held]
    cuts = [np.unique(np.linspace(0, n, min(n, _MAP) + 1).astype(int)[:-1]) for n in held.shape[1:]]
    parts = [_pooled(np.where(one > _FAINT, one, 0), cuts).reshape(len(held), -1) for one in shown]
    pictures = np.hstack(parts)
    length = np.linalg.norm(pictures, axis=1, keepdims=True)
    found: Floats = pictures / np.maximum(length, 1e-9)
    return found


def _slice_by_slice(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """The slices across an axis one after the other, as they are then read."""
    return np.ascontiguousarray(np.moveaxis(array, axis, 0))


def _pooled(slices: NDArray[Any], cuts: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """The sums over the fields between the cuts of each slice."""
    rows = np.add.reduceat(slices.astype(np.float64), cuts[0], 1)
    found: NDArray[np.float64] = np.add.reduceat(rows, cuts[1], 2)
    return found
