"""Images, annotations and every revision of them in the database of a session.

A revision names the blocks and rows it changed, each as it was before and after. So a step back writes what was before,
a step forward what came after, and the state at any revision is found by walking from here to there. Revisions form a
tree: a change after a step back grows a new branch, and the old one stays. What an image holds now stands in ``blocks``
and ``rows``; contents stand once in ``blobs``, by their hash.

A store is used by one thread at a time; :class:`~napari_seg.session.writer.Writer` sees to that.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.session import thinning, tree
from napari_seg.session.blocks import Grid, digest, pack, smallest, unpack
from napari_seg.session.database import transaction
from napari_seg.session.records import (
    IMAGE,
    REVISION,
    SAID,
    Change,
    Delta,
    ImageRow,
    Place,
    Plane,
    Revision,
    Step,
    entry_of,
    image_of,
    revision_of,
    text_of,
)
from napari_seg.tasks.base import Labels

UNDO, REDO, RESTORE = "undo", "redo", "restore"

NAMED = 1000
"""A revision names at most so many of the labels it changed."""


class Store:
    """The tables of a session behind verbs. Images are named by their number."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._grids: dict[int, Grid] = {}

    def close(self) -> None:
        self._sql.close()

    # images and planes

    def images(self) -> list[ImageRow]:
        return [image_of(row) for row in self._sql.execute(f"SELECT {IMAGE} FROM images ORDER BY id")]

    def image(self, number: int) -> ImageRow:
        return image_of(self._sql.execute(f"SELECT {IMAGE} FROM images WHERE id = ?", (number,)).fetchone())

    def find(self, fingerprint: str) -> ImageRow | None:
        row = self._sql.execute(f"SELECT {IMAGE} FROM images WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return None if row is None else image_of(row)

    def add_image(self, image: ImageRow) -> ImageRow:
        """The row with the number it got."""
        shape, lengths = json.dumps(image.grid), json.dumps(image.spacing)
        values = (image.name, image.path, image.fingerprint, shape, image.times, lengths, image.unit, image.added)
        with transaction(self._sql):
            found = self._sql.execute(
                "INSERT INTO images (name, path, fingerprint, grid, times, spacing, unit, added) "
                "VALUES (?,?,?,?,?,?,?,?)",
                values,
            )
        return self.image(int(found.lastrowid or 0))

    def planes(self, image: int) -> list[Plane]:
        found = self._sql.execute("SELECT name, objects, classes FROM planes WHERE image = ? ORDER BY name", (image,))
        return [Plane(name, bool(objects), tuple(json.loads(classes))) for name, objects, classes in found]

    def put_plane(self, image: int, plane: Plane) -> None:
        """Add a plane, or say anew what its numbers mean."""
        if plane.name.endswith(SAID):
            raise SegError(f"A plane cannot be called {plane.name}; choose a name that does not end in {SAID}.")
        with transaction(self._sql):
            self._sql.execute(
                "INSERT OR REPLACE INTO planes VALUES (?,?,?,?)",
                (image, plane.name, plane.objects, json.dumps(plane.classes)),
            )

    # what an image holds

    def labels(self, image: int, plane: str, time: int = 0, *, revision: int | None = None) -> Labels:
        """All labels of a plane at one time, in the smallest dtype; now, or as they were at a ``revision``."""
        found = self._sql.execute(
            "SELECT block, hash FROM blocks WHERE image = ? AND plane = ? AND time = ?", (image, plane, time)
        )
        names = {int(number): bytes(name) for number, name in found}
        if revision is not None:
            passed = tree.way(self._sql, image, self.image(image).head, revision)
            names |= {place.block: to for place, (_, to) in passed.blocks.items() if place[:2] == (plane, time)}
        contents = {number: self._contents(image, number, name) for number, name in names.items() if name}
        dtype: Any = np.result_type(np.uint8, *(block.dtype for block in contents.values()))
        grid = self.grid(image)
        labels: NDArray[Any] = np.zeros(grid.shape, dtype)
        for number, block in contents.items():
            labels[grid.box(number)] = block
        return labels

    def block(self, image: int, place: Place) -> Labels:
        return self._contents(image, place.block, self._name(image, place))

    def names(self, image: int) -> dict[Place, bytes]:
        """What names the contents of each block that is not background (see :func:`~.blocks.digest`)."""
        found = self._sql.execute("SELECT plane, time, block, hash FROM blocks WHERE image = ?", (image,))
        return {Place(plane, time, block): bytes(name) for plane, time, block, name in found}

    def differing(self, image: int, blocks: Mapping[Place, Labels]) -> list[Place]:
        """Which of these blocks are not as they are kept."""
        return [place for place, block in blocks.items() if digest(smallest(block)) != self._name(image, place)]

    def made_here(self, image: int) -> set[str]:
        """The planes that some revision changed: those that are more than what was opened."""
        found = self._sql.execute(
            "SELECT DISTINCT plane FROM block_changes JOIN revisions ON id = revision WHERE image = ?", (image,)
        )
        return {row[0] for row in found if not row[0].endswith(SAID)}

    def rows(self, image: int) -> dict[str, Entry]:
        found = self._sql.execute("SELECT key, value FROM rows WHERE image = ?", (image,))
        return {key: entry_of(value) for key, value in found}

    def grid(self, image: int) -> Grid:
        if image not in self._grids:
            self._grids[image] = Grid(self.image(image).grid)
        return self._grids[image]

    # steps

    def lay(self, image: int, step: Step) -> None:
        """Put down what a plane held when it was opened, below all revisions: no step back takes it away.

        Only for planes that no block was ever kept of.
        """
        made = Delta()
        blobs: dict[bytes, bytes] = {}
        for place, wanted in step.blocks.items():
            contents = smallest(wanted)
            if name := digest(contents):
                made.blocks[place], blobs[name] = (b"", name), pack(contents)
        head = self.image(image).head
        with transaction(self._sql):
            self._sql.executemany("INSERT OR IGNORE INTO blobs VALUES (?,?)", list(blobs.items()))
            self._put(image, head, made)
            self._log(image, head, (step.at, step.who, step.tool))

    def commit(self, image: int, step: Step) -> Revision | None:
        """Make a revision of a step; ``None`` where nothing differs from what is there."""
        made = Delta()
        blobs: dict[bytes, bytes] = {}
        labels: set[int] = set()
        voxels = 0
        for place, wanted in step.blocks.items():
            before, contents = self._name(image, place), smallest(wanted)
            after = digest(contents)
            if after == before:
                continue
            made.blocks[place], blobs[after] = (before, after), pack(contents)
            old = self._contents(image, place.block, before)
            changed = old != contents
            voxels += int(np.count_nonzero(changed))
            labels.update(np.unique(old[changed]).tolist(), np.unique(contents[changed]).tolist())
            self._say(image, place, changed, step.said, made, blobs)
        for key, entry in step.rows.items():
            was, now = self._row(image, key), None if entry is None else text_of(entry)
            if was != now:
                made.rows[key] = (was, now)
        if not made:
            return None
        contents_by_name = [(name, data) for name, data in blobs.items() if name]
        with transaction(self._sql):
            self._sql.executemany("INSERT OR IGNORE INTO blobs VALUES (?,?)", contents_by_name)
            return self._revise(image, step, made, tuple(sorted(labels - {0}))[:NAMED], voxels)

    def undo(self, image: int, at: float, who: str = "") -> Change | None:
        """One step back; ``None`` at the beginning."""
        head = self.image(image).head
        if head == 0:
            return None
        revision = self.revision(head)
        return self._move(image, revision, revision.parent, tree.delta(self._sql, head).inverse(), (at, who, UNDO))

    def redo(self, image: int, at: float, who: str = "") -> Change | None:
        """One step forward, along the newest branch; ``None`` at its end."""
        following = tree.newest_child(self._sql, image, self.image(image).head)
        if following is None:
            return None
        revision = self.revision(following)
        return self._move(image, revision, following, tree.delta(self._sql, following), (at, who, REDO))

    def restore(self, image: int, revision: int, at: float, who: str = "") -> Change | None:
        """Bring back what an image held at a revision (0: at the beginning), as a new revision."""
        passed = tree.way(self._sql, image, self.image(image).head, revision)
        if not passed:
            return None
        with transaction(self._sql):
            made = self._revise(image, Step(RESTORE, at, who, note=str(revision)), passed, (), 0)
        return self._change(image, made, passed)

    # the history

    def revision(self, number: int) -> Revision:
        return revision_of(self._sql.execute(f"SELECT {REVISION} FROM revisions WHERE id = ?", (number,)).fetchone())

    def history(self, image: int, limit: int = -1) -> list[Revision]:
        """The newest revisions of an image, newest first."""
        way = set(tree.ancestors(self._sql, self.image(image).head))
        found = self._sql.execute(
            f"SELECT {REVISION} FROM revisions WHERE image = ? ORDER BY id DESC LIMIT ?", (image, limit)
        )
        return [revision_of(row, undone=row[0] not in way) for row in found]

    def depth(self, image: int) -> int:
        """How many steps can be taken back."""
        return len(tree.ancestors(self._sql, self.image(image).head))

    def changed(self, image: int, revision: int) -> dict[Place, tuple[Labels, Labels]]:
        """The blocks of labels that a revision changed, before and after."""
        return {
            place: (self._contents(image, place.block, before), self._contents(image, place.block, after))
            for place, (before, after) in tree.delta(self._sql, revision).blocks.items()
            if not place.plane.endswith(SAID)
        }

    def log(self, image: int | None = None) -> list[tuple[float, str, int, str, int, dict[str, Any]]]:
        """What was done: at, who, image, what, revision, details; oldest first."""
        found = self._sql.execute(
            "SELECT at, who, image, what, revision, details FROM log WHERE ?1 IS NULL OR image = ?1 ORDER BY id",
            (image,),
        )
        return [(*row[:5], json.loads(row[5])) for row in found]

    def note(self, image: int, at: float, who: str, what: str, **details: Any) -> None:
        """Write something into the log that is no change of labels, such as an export."""
        with transaction(self._sql):
            self._log(image, self.image(image).head, (at, who, what), **details)

    def add_prediction(self, image: int, at: float, model: str, model_hash: str, settings: str) -> None:
        """The labels an image holds now came from this model with these settings (JSON)."""
        with transaction(self._sql):
            self._sql.execute(
                "INSERT INTO predictions (image, revision, at, model, model_hash, settings) VALUES (?,?,?,?,?,?)",
                (image, self.image(image).head, at, model, model_hash, settings),
            )

    def predictions(self, image: int) -> list[tuple[int, float, str, str, str]]:
        """Revision, time, model, the hash of its file, settings; oldest first."""
        return self._sql.execute(
            "SELECT revision, at, model, model_hash, settings FROM predictions WHERE image = ? ORDER BY id", (image,)
        ).fetchall()

    def spend(self, image: int, day: str, who: str, seconds: float) -> None:
        """Add to the time that a person spent on an image on a day (``YYYY-MM-DD``)."""
        with transaction(self._sql):
            self._sql.execute(
                "INSERT INTO spent VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds",
                (image, day, who, seconds),
            )

    def spent(self, image: int) -> float:
        """Seconds spent on an image in all."""
        return float(self._sql.execute("SELECT total(seconds) FROM spent WHERE image = ?", (image,)).fetchone()[0])

    def thin(self, now: float) -> int:
        """Join old revisions by the rule of :mod:`~napari_seg.session.thinning`; returns how many are gone."""
        return thinning.thin(self._sql, now)

    # below

    def _revise(self, image: int, step: Step, made: Delta, labels: tuple[int, ...], voxels: int) -> Revision:
        """A new revision after the head, which it becomes."""
        head = self.image(image).head
        found = self._sql.execute(
            "INSERT INTO revisions (image, parent, at, who, tool, labels, voxels, note) VALUES (?,?,?,?,?,?,?,?)",
            (image, head, step.at, step.who, step.tool, json.dumps(labels), voxels, step.note),
        )
        number = int(found.lastrowid or 0)
        blocks = [(number, *place, *change) for place, change in made.blocks.items()]
        self._sql.executemany("INSERT INTO block_changes VALUES (?,?,?,?,?,?)", blocks)
        rows = [(number, key, *change) for key, change in made.rows.items()]
        self._sql.executemany("INSERT INTO row_changes VALUES (?,?,?,?)", rows)
        self._put(image, number, made)
        self._log(image, number, (step.at, step.who, step.tool), voxels=voxels)
        return Revision(number, head, step.at, step.who, step.tool, labels, voxels, step.note)

    def _move(self, image: int, over: Revision, head: int, made: Delta, said: tuple[float, str, str]) -> Change:
        """Step over a revision, back or forward."""
        with transaction(self._sql):
            self._put(image, head, made)
            self._log(image, over.id, said)
        return self._change(image, over, made)

    def _put(self, image: int, head: int, made: Delta) -> None:
        """Make what comes after what the image holds."""
        blocks, rows = made.blocks.items(), made.rows.items()
        self._sql.executemany(
            "INSERT OR REPLACE INTO blocks VALUES (?,?,?,?,?)",
            [(image, *place, after) for place, (_, after) in blocks if after],
        )
        self._sql.executemany(
            "DELETE FROM blocks WHERE image = ? AND plane = ? AND time = ? AND block = ?",
            [(image, *place) for place, (_, after) in blocks if not after],
        )
        self._sql.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?,?,?)",
            [(image, key, after) for key, (_, after) in rows if after is not None],
        )
        self._sql.executemany(
            "DELETE FROM rows WHERE image = ? AND key = ?", [(image, key) for key, (_, after) in rows if after is None]
        )
        self._sql.execute("UPDATE images SET head = ? WHERE id = ?", (head, image))

    def _log(self, image: int, revision: int, said: tuple[float, str, str], **details: Any) -> None:
        at, who, what = said
        self._sql.execute(
            "INSERT INTO log (at, who, image, what, revision, details) VALUES (?,?,?,?,?,?)",
            (at, who, image, what, revision, json.dumps(details)),
        )

    def _say(
        self,
        image: int,
        place: Place,
        changed: NDArray[np.bool_],
        how: Literal["add", "keep", "clear"],
        made: Delta,
        blobs: dict[bytes, bytes],
    ) -> None:
        """Note in ``made`` and ``blobs`` that a person changed these voxels of a block."""
        if how == "keep":
            return
        where = place._replace(plane=place.plane + SAID)
        before = self._name(image, where)
        said = self._contents(image, place.block, before) | changed if how == "add" else np.zeros_like(changed)
        contents = smallest(said.astype(np.uint8))
        after = digest(contents)
        if after != before:
            made.blocks[where], blobs[after] = (before, after), pack(contents)

    def _name(self, image: int, place: Place) -> bytes:
        row = self._sql.execute(
            "SELECT hash FROM blocks WHERE image = ? AND plane = ? AND time = ? AND block = ?", (image, *place)
        ).fetchone()
        return bytes(row[0]) if row else b""

    def _row(self, image: int, key: str) -> str | None:
        row = self._sql.execute("SELECT value FROM rows WHERE image = ? AND key = ?", (image, key)).fetchone()
        return None if row is None else str(row[0])

    def _contents(self, image: int, block: int, name: bytes) -> Labels:
        shape = tuple(side.stop - side.start for side in self.grid(image).box(block))
        data = self._sql.execute("SELECT data FROM blobs WHERE hash = ?", (name,)).fetchone() if name else (b"",)
        return unpack(data[0], shape)

    def _change(self, image: int, revision: Revision, made: Delta) -> Change:
        contents = {
            place: self._contents(image, place.block, after)
            for place, (_, after) in made.blocks.items()
            if not place.plane.endswith(SAID)
        }
        rows = {key: None if after is None else entry_of(after) for key, (_, after) in made.rows.items()}
        return Change(revision, contents, rows)
