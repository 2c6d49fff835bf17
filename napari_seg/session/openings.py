"""What becomes of a mask that is opened: laid down, taken up where it was left, or a step of its own.

Whatever is opened under the name of a plane begins a *line* of work: the mask as it came, and all steps after it until
something else is opened under that name. A mask that holds what one of the files of a line held (the one that was
opened, or one that was exported) belongs to that line, and what was made of it since is shown. Anything else becomes a
step, so that it is shown as it is, and one step back lies what was there before. Where a model may learn from a mask
goes with its line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from napari_seg.editing.annotation import Entry
from napari_seg.session.blocks import digest, named, smallest
from napari_seg.session.records import CAME, LEARNING, Change, Place, Plane, Step, plane_of, rows_by_key, rows_of
from napari_seg.session.store import RESTORE, Store
from napari_seg.tasks.base import Labels

CONTENTS = "contents"
"""Under this key the log holds what a mask that went out held (see :meth:`Store.state`)."""

News = Literal["", "resumed", "other"]
"""What a person is told: nothing; that their work is shown; that something else was opened, and they can go back."""


@dataclass(frozen=True, eq=False)
class Opened:
    """``labels``: what is to be shown, by time point, where it is not what was opened. ``damaged``: how many blocks of
    it cannot be read any more. ``steps``: how many can be taken back. ``plane``: what is known of what its numbers
    mean."""

    labels: list[Labels] | None = field(repr=False)
    news: News
    rows: dict[str, Entry] = field(repr=False)
    steps: int
    damaged: int
    plane: Plane


def open_mask(
    store: Store,
    image: int,
    plane: Plane,
    step: Step,
    *,
    new: bool = False,
    blank: bool = False,
    came_as: Mapping[Place, Labels] | None = None,
    copied: str = "",
) -> Opened:
    """Bring a mask that is opened together with what is kept of its plane.

    ``step`` holds all its blocks, and what is said of it. ``new``: it is no file that was opened again, but was just
    made, as by a model. ``blank``: it holds nothing and belongs to no image, so that it is never taken for an earlier
    one. ``came_as``: the blocks of its file (see :func:`left_alone`), if it was worked on before its image was there.
    ``copied``: the plane that it is a copy of; what is said of that is said of it, while it is the same.
    """
    if copied and _name_of(step.blocks) == store.state(image, copied):
        step = replace(step, rows=rows_by_key(rows_of(store.rows(image), copied), plane.name))
    if came_as and not store.keeps(image, plane.name):
        store.put_plane(image, plane)
        store.lay(image, replace(step, blocks=came_as))
        store.commit(image, replace(step, said="add"))  # a person made what differs from the file
        return _opened(store, image, plane.name, "", shown=False)
    opened = _open_mask(store, image, plane, step, new=new, blank=blank)
    if came_as:
        store.note(image, step.at, step.who, step.tool, plane=plane.name, **{CONTENTS: _name_of(came_as)})
    return opened


def left_alone(store: Store, image: int, plane: str) -> tuple[list[Labels], dict[str, Entry]]:
    """Of a mask that was worked on without its image: what its file held, by time point, and what is said of it."""
    line, times = store.line(image, plane), store.image(image).times
    as_file = [store.labels(image, plane, time, revision=line) for time in range(times)]
    return as_file, rows_of(store.rows(image), plane)


def _name_of(blocks: Mapping[Place, Labels]) -> str:
    """What names the contents of blocks (see :meth:`Store.state`)."""
    return named({place: digest(smallest(block)) for place, block in blocks.items()})


def _open_mask(store: Store, image: int, plane: Plane, step: Step, *, new: bool, blank: bool) -> Opened:
    step = replace(step, note=CAME)
    marks, known = plane.name + LEARNING, {one.name for one in store.planes(image)}
    worked_on = plane.name in known and not store.worked_on(image).isdisjoint((plane.name, marks))
    if not (worked_on or store.keeps(image, plane.name)):
        store.put_plane(image, plane)
        if new:
            store.commit(image, step)
        else:
            store.lay(image, step)
        return _opened(store, image, plane.name, "", shown=False)
    opened = _name_of(step.blocks)
    if opened == store.state(image, plane.name):
        return _opened(store, image, plane.name, "", shown=False)
    are_marks = plane.name.endswith(LEARNING) and plane.name.removesuffix(LEARNING) in known
    if are_marks and not new:  # their mask has come with other labels meanwhile
        return _opened(store, image, plane.name, "", shown=True)
    line = None if new or blank else _line_of(store, image, plane.name, opened)
    if line == store.line(image, plane.name):
        return _opened(store, image, plane.name, "resumed" if worked_on else "", shown=True)
    if line is not None:  # the mask of another line
        last = store.newest_of(image, plane.name, line)
        store.bring_back(image, {plane.name: last, marks: last}, Step(RESTORE, step.at, step.who, note=str(last)))
        return _opened(store, image, plane.name, "resumed", shown=True)
    if worked_on:  # what was said of the other mask is not said of this one
        gone: dict[str, Entry | None] = dict.fromkeys(key for key in store.rows(image) if plane_of(key) == plane.name)
        grid, marked = store.grid(image), store.names(image, marks, store.image(image).times)
        none = {place: np.zeros(grid.extent(place.block), np.uint8) for place in marked}
        step = replace(step, said="clear", rows={**gone, **step.rows}, blocks={**step.blocks, **none})
    store.put_plane(image, plane)
    store.commit(image, step)
    return _opened(store, image, plane.name, "other" if worked_on else "", shown=False)


def look_up(
    store: Store, image: int, plane: str, blocks: Mapping[Place, Labels], *, new: bool = False
) -> Opened | None:
    """What is kept of a mask that is opened where nothing can be written: that is shown, if it is of the work that
    the plane holds now. ``None`` where nothing is kept of it."""
    if new or not store.keeps(image, plane):
        return None
    opened = _name_of(blocks)
    if opened == store.state(image, plane):
        return _opened(store, image, plane, "", shown=False)
    known = _line_of(store, image, plane, opened) == store.line(image, plane)
    return _opened(store, image, plane, "resumed" if known else "other", shown=known)


def afresh(store: Store, image: int, at: float, who: str) -> Change | None:
    """Go back to how the masks of an image came, each at the beginning of its line: one step."""
    wanted = {plane.name: store.line(image, plane.name) for plane in store.planes(image)}
    return store.bring_back(image, wanted, Step(RESTORE, at, who, note="as they came"))


def went_out(store: Store, image: int, plane: str) -> Mapping[str, str]:
    """What the log says besides of a mask that is exported, so that it is known when it comes back."""
    return {"plane": plane, CONTENTS: store.state(image, plane)}


def passed(store: Store, image: int, plane: str) -> set[int]:
    """The revisions by which a plane came to be what it is now: not those before it was opened, or before what was
    restored."""
    known = {revision.id: revision for revision in store.history(image)}
    lines, before = store.lines(image, plane), store.before(image, plane)
    found: set[int] = set()
    at = store.image(image).head
    while at in known and at not in found:
        found.add(at)
        revision = known[at]
        if lines[at] == at:
            return found
        as_it_came = revision.tool == RESTORE and not revision.note.isdecimal()
        at = lines[at] if as_it_came else before[at]
    return found | {0}


def _line_of(store: Store, image: int, plane: str, contents: str) -> int | None:
    """The line that knows a mask: the one where the image stands, else the newest; ``None`` where none does."""
    lines = store.lines(image, plane)
    found = {line for line in {0, *lines.values()} if store.state(image, plane, revision=line) == contents}
    for _, _, _, _, revision, details in store.log(image):
        if details.get(CONTENTS) == contents and details.get("plane") == plane:
            found.add(lines.get(revision, 0))
    here = store.line(image, plane)
    return here if here in found else max(found, default=None)


def _opened(store: Store, image: int, plane: str, news: News, *, shown: bool) -> Opened:
    times = store.image(image).times
    labels = [store.labels(image, plane, time) for time in range(times)] if shown else None
    known = next(known for known in store.planes(image) if known.name == plane)
    return Opened(labels, news, store.rows(image), store.depth(image), store.damaged, known)
