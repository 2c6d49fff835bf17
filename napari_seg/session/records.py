"""The values that go into a session and come out of it, and how they stand in its tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, TypeVar

from napari_seg.editing.annotation import Entry, State
from napari_seg.errors import SegError
from napari_seg.tasks.base import Labels

T = TypeVar("T")

SAID = "/said"
"""A plane of this ending holds where a person has changed voxels of the plane it is named after."""

LEARNING = " learning"
"""A plane of this ending is no mask: it holds where a person has said that a model may learn from the plane it is named
after (1), or may not (2)."""

CAME = "as it came"
"""The note of a step that brought a mask, as it was opened or predicted."""

PATIENT = "patient "
"""Under this, and the fingerprint of an image, it is kept of which patient it is."""

SIZE = "size "
"""Under this, and the fingerprint of an image, it is kept which size of voxels a person gave it."""

NAMED = 1000
"""A revision, and its line in the log, names at most so many of the labels it changed."""


class Place(NamedTuple):
    """Where a block lies in an image."""

    plane: str
    time: int
    block: int


def said_of(place: Place) -> Place:
    """Where it stands which voxels of a block a person has changed."""
    return place._replace(plane=place.plane + SAID)


@dataclass(frozen=True)
class ImageRow:
    """An image of a session. ``path``: relative to the session's folder where it lies beside or below it, empty for an
    image of no file. ``grid``: spatial."""

    id: int
    name: str
    path: str
    fingerprint: str
    grid: tuple[int, ...]
    times: int
    spacing: tuple[float, ...]
    unit: str
    added: float
    head: int


@dataclass(frozen=True)
class Plane:
    """A plane of labels. ``objects``: numbers count objects; else they are the ``classes``, from 1."""

    name: str
    objects: bool
    classes: tuple[str, ...] = ()

    @property
    def is_mask(self) -> bool:
        """Whether it is what a person sees as a mask, and not where a model may learn from one."""
        return not self.name.endswith(LEARNING)


class Origin(NamedTuple):
    """The model that labels came from, the hash of its file, and the settings it ran with (JSON)."""

    model: str
    model_hash: str
    settings: str


@dataclass(frozen=True, eq=False)
class Step:
    """What is to become one revision: new contents of blocks, and rows (``None``: taken away).

    ``said``: whether changed voxels count as said by a person (``add``), say nothing of that (``keep``), or take back
    what was said in these blocks (``clear``). ``blocks`` belong to the step: nobody writes to them any more.
    ``origin``: the model that predicted it. ``goes_on``: it becomes one with the step before it, if that is of the same
    tool and person, has no origin yet and nothing else hangs on it: so a threshold that moves is one step.
    """

    tool: str
    at: float
    who: str = ""
    blocks: Mapping[Place, Labels] = field(default_factory=dict)
    rows: Mapping[str, Entry | None] = field(default_factory=dict)
    said: Literal["add", "keep", "clear"] = "add"
    note: str = ""
    origin: Origin | None = None
    goes_on: bool = False


@dataclass(frozen=True)
class Revision:
    """A step of the history. ``undone``: it is not on the way from the beginning to where the image stands now."""

    id: int
    parent: int
    at: float
    who: str
    tool: str
    labels: tuple[int, ...]
    voxels: int
    note: str
    undone: bool = False


@dataclass(frozen=True)
class Passed:
    """A step on the way to where an image stands, as far as one plane goes: the labels it changed there, and the states
    of the rows it changed, before and after, by their keys."""

    tool: str
    labels: tuple[int, ...]
    states: Mapping[str, tuple[State, State]]


@dataclass(frozen=True, eq=False)
class Change:
    """What a step back or forward made of blocks and rows, for whoever shows them. ``revision``: what was stepped
    over, or came into being."""

    revision: Revision
    blocks: Mapping[Place, Labels]
    rows: Mapping[str, Entry | None]


@dataclass(frozen=True)
class Delta:
    """Blocks by what names their contents, and rows as they are stored: each before and after."""

    blocks: dict[Place, tuple[bytes, bytes]] = field(default_factory=dict)
    rows: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.blocks or self.rows)

    def inverse(self) -> Delta:
        return Delta(
            {place: (after, before) for place, (before, after) in self.blocks.items()},
            {key: (after, before) for key, (before, after) in self.rows.items()},
        )

    @classmethod
    def joined(cls, parts: Iterable[Delta]) -> Delta:
        """One after the other, as one; what ends as it began is left out."""
        blocks: dict[Place, tuple[bytes, bytes]] = {}
        rows: dict[str, tuple[str | None, str | None]] = {}
        for part in parts:
            for place, change in part.blocks.items():
                blocks[place] = (blocks.get(place, change)[0], change[1])
            for key, row in part.rows.items():
                rows[key] = (rows.get(key, row)[0], row[1])
        return cls(
            {place: change for place, change in blocks.items() if change[0] != change[1]},
            {key: row for key, row in rows.items() if row[0] != row[1]},
        )


ENTRY = tuple(known.name for known in fields(Entry))

IMAGE = "id, name, path, fingerprint, grid, times, spacing, unit, added, head"
"""The columns that :func:`image_of` takes."""

REVISION = "id, parent, at, who, tool, labels, voxels, note"
"""The columns that :func:`revision_of` takes."""


def image_of(row: Sequence[Any]) -> ImageRow:
    number, name, path, fingerprint, grid, times, spacing, unit, added, head = row
    shape, lengths = tuple(parsed(grid)), tuple(parsed(spacing))
    return ImageRow(number, name, path, fingerprint, shape, times, lengths, unit, added, head)


def revision_of(row: Sequence[Any], *, undone: bool = False) -> Revision:
    number, parent, at, who, tool, labels, voxels, note = row
    return Revision(number, parent, at, who, tool, tuple(parsed(labels)), voxels, note, undone)


def entry_of(text: str) -> Entry:
    """What a later version knows besides is left out."""
    found = parsed(text, dict)
    return Entry(**{name: found[name] for name in ENTRY if name in found})


def text_of(entry: Entry) -> str:
    return json.dumps(asdict(replace(entry, category=int(entry.category))))


def parsed(text: str, kind: type = list) -> Any:
    """A list, or a ``dict``, as it stands in a table. Raises ``SegError`` where it is damaged."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, kind):
        raise SegError("A part of the session is damaged on the disk; restore the session from a backup.")
    return found


def row_key(plane: str, key: str) -> str:
    """The key of a row of a plane: the rows of all planes of an image stand in one table."""
    return f"{plane}: {key}"


def mask_plane(name: str) -> str:
    """What the plane of a mask of this name is called: some endings mean something in a session."""
    return f"{name} (mask)" if name.endswith((SAID, LEARNING)) else name


def plane_of(key: str) -> str:
    """The plane of a row by its key (see :func:`row_key`), empty where it is of the image as a whole. The name of a
    plane may hold the sign that parts them."""
    return key.rpartition(": ")[0]


def rows_of(rows: Mapping[str, T], plane: str) -> dict[str, T]:
    """The rows of one plane, by their own keys."""
    return {key.removeprefix(row_key(plane, "")): row for key, row in rows.items() if plane_of(key) == plane}


def rows_by_key(rows: Mapping[str, T], plane: str) -> dict[str, T]:
    """The rows of a plane as they stand in the table of its image: the reverse of :func:`rows_of`."""
    return {row_key(plane, key): entry for key, entry in rows.items()}


def plain(text: str) -> str:
    """Text that every database takes: halves of characters, as odd file names have them, are spelled out."""
    return text.encode(errors="backslashreplace").decode()


def keepable(name: str) -> str:
    """The name of a plane or of a row, which must come back as it is. Raises ``SegError`` for one that would not."""
    if name != plain(name):
        raise SegError(f"{plain(name)} is not text that can be kept; choose a name without broken characters.")
    return name
