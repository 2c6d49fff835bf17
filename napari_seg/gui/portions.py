"""Voxels of a layer that is kept, copied and written in portions: parts of errands (:mod:`~napari_seg.gui.errands`).

Only the main thread writes to a layer, and reads from it what goes to the disk. Threads look at it as it is; whoever
asked sees by the ``version`` of the track whether something was changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from napari_seg.data.volume import labels_dtype
from napari_seg.editing.annotation import Extents
from napari_seg.editing.edit import Edit, Patch
from napari_seg.gui.errands import MOMENT, TICK, Errands, Steps
from napari_seg.gui.track import Track
from napari_seg.gui.views import own_steps, repaint, swap_labels
from napari_seg.session.blocks import digest, smallest
from napari_seg.session.records import Place
from napari_seg.tasks.base import Labels

_AT_ONCE = 1 << 20
"""Voxels that are compared and written without a rest."""


_LABELS = 500
"""Labels of which it is noted without a rest where they lie."""


@contextmanager
def laying(tracks: Sequence[Track]) -> Iterator[None]:
    """While this lasts, what layers show and what is kept of them differ."""
    for track in tracks:
        track.laying = True
    try:
        yield
    finally:
        for track in tracks:
            track.laying = False


def copied(track: Track, places: Iterable[Place]) -> Steps[dict[Place, Labels]]:
    """What a layer holds in some blocks, all of it at one moment."""
    places = list(places)
    while True:
        version, blocks = track.version, dict[Place, Labels]()
        for place in places:
            blocks.update(track.copies((place,)))
            yield MOMENT
        if track.version == version:
            return blocks


def written(track: Track, blocks: Mapping[Place, Labels], errands: Errands) -> Steps[None]:
    """Show other contents of those blocks that are of a layer."""
    own = {place: block for place, block in blocks.items() if place.plane == track.plane}
    if not own:
        return
    largest, found = yield errands.thread(lambda: contents(track, own))
    yield from _make_room(track, largest, errands)
    data = track.layer.data
    for place, block in own.items():
        if track.layer.data is not data:
            return  # somebody gave the layer another array: that counts
        track.frames[place.time][track.grid.box(place.block)] = block
        yield MOMENT
    yield from joined(track, found)
    repaint(track.layer, [track.whole])


def shown(track: Track, edit: Edit, time: int, errands: Errands) -> Steps[bool]:
    """Show an edit. ``False``, and nothing changed, where the layer holds something else than the edit began from."""
    parts = {time: [(patch.start, patch.after) for patch in edit.patches]}
    largest, found = yield errands.thread(lambda: _found(parts))
    yield from _make_room(track, largest, errands)
    data, frame, done, whole = track.layer.data, track.frames[time], list[Patch](), False
    try:
        for piece in _pieces(edit.patches):
            if track.layer.data is not data or not np.array_equal(frame[piece.box], piece.before):
                return False
            frame[piece.box] = piece.after
            done.append(piece)
            yield MOMENT
        whole = True
    finally:
        if not whole:
            for piece in reversed(done):
                frame[piece.box] = piece.before
            track.version += 1  # whoever looked at it meanwhile saw what is not so
    yield from joined(track, found)
    repaint(track.layer, [track.whole])
    return True


def joined(track: Track, found: Mapping[int, Extents]) -> Steps[None]:
    """Labels were written: it is known from now on that they lie there, by time point."""
    track.version += 1
    for time, extents in found.items():
        labels, track.stirred = extents.labels, track.stirred or time not in track.extents
        track.rise(time, extents.largest)
        for first in range(0, len(labels), _LABELS):
            for known in (track.extents, track.coming):
                if time in known:
                    known[time].join(extents, labels[first : first + _LABELS])
            yield MOMENT


def contents(track: Track, blocks: Mapping[Place, Labels]) -> tuple[int, dict[int, Extents]]:
    """In a thread: the largest label of some blocks, and where each label lies in them, by time point."""
    parts: dict[int, list[tuple[tuple[int, ...], Labels]]] = {}
    for place, block in blocks.items():
        start = tuple(side.start for side in track.grid.box(place.block))
        parts.setdefault(place.time, []).append((start, block))
    return _found(parts)


def looked_through(track: Track, time: int, errands: Errands) -> Steps[None]:
    """See to it that it is known where each label of a layer lies."""
    while time not in track.extents:
        if time in track.coming:  # somebody is looking already
            yield TICK
            continue
        frame, coming = track.frames[time], Extents.of_parts(())
        track.coming[time] = coming
        try:
            found = yield errands.thread(partial(_extents_of, frame))
        finally:
            still = track.coming.get(time) is coming
            if still:
                del track.coming[time]
        if still:
            found.join(coming)  # what was written meanwhile
            track.extents.setdefault(time, found)


def differing(track: Track, names: Mapping[Place, bytes], among: Container[Place] | None = None) -> list[Place]:
    """In a thread: the blocks of a layer, all or those ``among``, that are not what is kept of it, by the ``names`` of
    contents."""
    blocks = track.blocks_of(track.layer.data).items()
    wanted = ((place, block) for place, block in blocks if among is None or place in among)
    return [place for place, block in wanted if digest(smallest(block)) != names.get(place, b"")]


def _extents_of(frame: Labels) -> Extents:
    return Extents(frame.copy())  # what reads it twice must find the same


def _make_room(track: Track, label: int, errands: Errands) -> Steps[None]:
    """Give a layer a dtype that holds a label."""
    while label > np.iinfo(track.layer.data.dtype).max:
        version, data = track.version, track.layer.data
        roomy = yield errands.thread(partial(data.astype, labels_dtype(label)))
        if track.version == version and track.layer.data is data:
            with own_steps(track.layer):
                swap_labels(track.layer, roomy)


def _found(parts: Mapping[int, list[tuple[tuple[int, ...], Labels]]]) -> tuple[int, dict[int, Extents]]:
    largest = max((int(part.max(initial=0)) for found in parts.values() for _, part in found), default=0)
    return largest, {time: Extents.of_parts(found) for time, found in parts.items()}


def _pieces(patches: Iterable[Patch]) -> Iterator[Patch]:
    """The same patches, none of them large."""
    for patch in patches:
        planes = max(1, _AT_ONCE * len(patch.after) // max(1, patch.after.size))
        for first in range(0, len(patch.after), planes):
            start = (patch.start[0] + first, *patch.start[1:])
            yield Patch(start, patch.before[first : first + planes], patch.after[first : first + planes])
