"""Images, annotations and every revision of them in the database of a session.

A revision names the blocks and rows it changed, each as it was before and after. So a step back writes what was before,
a step forward what came after, and the state at any revision is found by walking from here to there. Revisions form a
tree: a change after a step back grows a new branch, and the old one stays. What an image holds now stands in ``blocks``
and ``rows``; contents stand once in ``blobs``, by their hash.

A store is used by one thread at a time; :class:`~napari_seg.session.writer.Writer` sees to that.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from napari_seg.editing.annotation import Entry, State, label_of
from napari_seg.errors import SegError
from napari_seg.session import moving, steps, thinning, tree
from napari_seg.session.blocks import Grid, digest, named, smallest
from napari_seg.session.contents import Contents
from napari_seg.session.database import connect_to_read, transaction
from napari_seg.session.records import (
    CAME,
    IMAGE,
    LEARNING,
    NAMED,
    REVISION,
    SAID,
    Change,
    Delta,
    ImageRow,
    Origin,
    Passed,
    Place,
    Plane,
    Revision,
    Step,
    entry_of,
    image_of,
    keepable,
    parsed,
    plain,
    plane_of,
    revision_of,
    row_key,
)
from napari_seg.tasks.base import Labels

T = TypeVar("T")

BEAT = 10_000
"""Instructions of the database between two beats: a millisecond or so."""

OF_IMAGE = "SELECT id FROM revisions WHERE image = ?"

UNDO, REDO, RESTORE = "undo", "redo", "restore"


class _Rehearsed(Exception):
    """What was done is to be taken back, as it worked."""


class Store:
    """The tables of a session behind verbs. Images are named by their number."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._beat: Callable[[], None] | None = None
        self._use(connection)

    def _use(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._contents = Contents(connection)

    def close(self) -> None:
        self._sql.close()

    def meanwhile(self, work: Callable[[], T], connect: Callable[[], sqlite3.Connection]) -> T:
        """Do something while the database is not open here."""
        self._sql.close()
        try:
            return work()
        finally:
            self._use(connect())
            self._sql.set_progress_handler(self._beat, BEAT)

    @property
    def version(self) -> int:
        """Another number as soon as somebody else has written to the database."""
        return int(self._sql.execute("PRAGMA data_version").fetchone()[0])

    def watch(self, beat: Callable[[], None]) -> None:
        """Call ``beat`` now and then while the database works, so that it is known to go on."""
        self._beat = beat
        self._sql.set_progress_handler(beat, BEAT)

    # images and planes

    def images(self) -> list[ImageRow]:
        return [image_of(row) for row in self._sql.execute(f"SELECT {IMAGE} FROM images ORDER BY id")]

    def image(self, number: int) -> ImageRow:
        row = self._sql.execute(f"SELECT {IMAGE} FROM images WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise SegError(f"There is no image {number} in this session; choose another.")
        return image_of(row)

    def find(self, fingerprint: str) -> ImageRow | None:
        row = self._sql.execute(f"SELECT {IMAGE} FROM images WHERE fingerprint = ?", (fingerprint,)).fetchone()
        return None if row is None else image_of(row)

    def add_image(self, image: ImageRow) -> ImageRow:
        """The row with the number it got."""
        shape, lengths = json.dumps(image.grid), json.dumps(image.spacing)
        file = plain(image.name), plain(image.path), image.fingerprint
        values = (*file, shape, image.times, lengths, image.unit, image.added)
        with transaction(self._sql):
            found = self._sql.execute(
                "INSERT INTO images (name, path, fingerprint, grid, times, spacing, unit, added) "
                "VALUES (?,?,?,?,?,?,?,?)",
                values,
            )
        return self.image(int(found.lastrowid or 0))

    def move_image(self, image: int, name: str, path: str) -> ImageRow:
        """An image has another name, or lies elsewhere."""
        with transaction(self._sql):
            self._sql.execute("UPDATE images SET name = ?, path = ? WHERE id = ?", (plain(name), plain(path), image))
        return self.image(image)

    def voxels(self, image: int) -> str:
        """What :meth:`confirm` was told first; empty where it never was."""
        row = self._sql.execute("SELECT voxels FROM images WHERE id = ?", (image,)).fetchone()
        return "" if row is None else str(row[0])

    def resize_image(self, image: int, spacing: tuple[float, ...], unit: str) -> ImageRow:
        """A voxel of an image has another size than was known."""
        with transaction(self._sql):
            self._sql.execute(
                "UPDATE images SET spacing = ?, unit = ? WHERE id = ?", (json.dumps(spacing), unit, image)
            )
        return self.image(image)

    def confirm(self, image: int, voxels: str) -> bool:
        """Whether an image has these voxels (see :func:`~.fingerprint.voxels_hash`), as when it was first asked."""
        known = self.voxels(image)
        if not known:
            with transaction(self._sql):
                self._sql.execute("UPDATE images SET voxels = ? WHERE id = ?", (voxels, image))
        return known in ("", voxels)

    def holds_work(self, image: int) -> bool:
        """Whether there is any mask of an image, or was, or something was said of it."""
        return moving.holds_work(self._sql, image)

    def bring(self, image: int, folder: Path, known_by: str, *, rehearse: bool = False) -> None:
        """Fill an image of which nothing is kept yet with the work that the session of a folder holds of it: see
        :func:`~napari_seg.session.moving.bring`. ``rehearse``: find out whether that works, and keep none of it but
        the contents of blocks, so that it is quick then."""
        with contextlib.closing(connect_to_read(folder)) as source:
            source.execute("BEGIN")
            if rehearse:
                with transaction(self._sql):
                    moving.bring_contents_of(self._sql, source, known_by)
            with contextlib.suppress(_Rehearsed), transaction(self._sql):
                moving.bring(self._sql, image, source, known_by)
                if rehearse:
                    raise _Rehearsed

    def send_on(self, known_by: str, folder: Path) -> None:
        """Note that the work on an image goes on in the session of another folder."""
        with transaction(self._sql):
            moving.send_on(self._sql, known_by, folder)

    def gone(self, known_by: str) -> moving.Gone | None:
        """Where the work on an image goes on, if it is not here."""
        return moving.gone(self._sql, known_by)

    def forget(self, image: int) -> None:
        """Take back that an image is known, with all that is kept of it."""
        with transaction(self._sql):
            moving.forget(self._sql, image)

    def meta(self, key: str) -> str:
        """Something that is kept of the session as a whole; empty where it is not."""
        row = self._sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def put_meta(self, key: str, value: str) -> None:
        """Keep something of the session as a whole; what is empty is taken away."""
        with transaction(self._sql):
            if value:
                self._sql.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (key, plain(value)))
            else:
                self._sql.execute("DELETE FROM meta WHERE key = ?", (key,))

    def metas(self, prefix: str) -> dict[str, str]:
        """All of these keys that begin so, without the beginning."""
        found = self._sql.execute("SELECT key, value FROM meta WHERE substr(key, 1, ?) = ?", (len(prefix), prefix))
        return {str(key)[len(prefix) :]: str(value) for key, value in found}

    def planes(self, image: int) -> list[Plane]:
        found = self._sql.execute("SELECT name, objects, classes FROM planes WHERE image = ? ORDER BY name", (image,))
        planes = []
        for name, objects, classes in found:
            try:
                names = parsed(classes)
            except SegError:
                self._contents.damaged.add(name.encode())
                names = []
            planes.append(Plane(name, bool(objects), tuple(names)))
        return planes

    def put_plane(self, image: int, plane: Plane) -> None:
        """Add a plane, or say anew what its numbers mean."""
        if plane.name.endswith(SAID):
            raise SegError(f"A plane cannot be called {plane.name}; choose a name that does not end in {SAID}.")
        with transaction(self._sql):
            self._sql.execute(
                "INSERT OR REPLACE INTO planes VALUES (?,?,?,?)",
                (image, keepable(plane.name), plane.objects, json.dumps(plane.classes)),
            )

    # what an image holds

    def labels(self, image: int, plane: str, time: int = 0, *, revision: int | None = None) -> Labels:
        """All labels of a plane at one time, in the smallest dtype; now, or as they were at a ``revision``."""
        names = self._contents.names(image, plane, time)
        if revision is not None:
            passed = tree.way(self._sql, image, self.image(image).head, revision)
            names |= {place.block: to for place, (_, to) in passed.blocks.items() if place[:2] == (plane, time)}
        return self._contents.assembled(image, names)

    def names(self, image: int, plane: str, times: int) -> dict[Place, bytes]:
        """What names the contents of each block of a plane that is not background, at so many time points."""
        found = {time: self._contents.names(image, plane, time) for time in range(times)}
        return {Place(plane, time, number): name for time, names in found.items() for number, name in names.items()}

    @property
    def damaged(self) -> int:
        """How many parts were found damaged or missing so far: blocks, which are read as background, and rows."""
        return len(self._contents.damaged)

    def keeps(self, image: int, plane: str) -> bool:
        """Whether anything was ever kept of a plane but background that was opened."""
        found = self._sql.execute(
            "SELECT EXISTS (SELECT 1 FROM blocks WHERE image = ?1 AND plane = ?2) OR EXISTS (SELECT 1 FROM revisions r "
            "JOIN block_changes c ON c.revision = r.id WHERE r.image = ?1 AND c.plane = ?2)",
            (image, plane),
        )
        return bool(found.fetchone()[0])

    def state(self, image: int, plane: str, *, revision: int | None = None) -> str:
        """What names the contents of a whole plane (see :func:`~.blocks.named`); now, or as they were."""
        row = self.image(image)
        names = self.names(image, plane, row.times)
        if revision is not None:
            passed = tree.way(self._sql, image, row.head, revision)
            names |= {place: to for place, (_, to) in passed.blocks.items() if place.plane == plane}
        damaged, count = self._contents.damaged, len(self.grid(image))
        return named({p: name for p, name in names.items() if name not in damaged and 0 <= p.block < count})

    def block(self, image: int, place: Place) -> Labels:
        return self._contents.get(image, place.block, self._contents.name(image, place))

    def differing(self, image: int, blocks: Mapping[Place, Labels]) -> list[Place]:
        """Which of these blocks are not as they are kept."""
        names = self._contents.name
        return [place for place, block in blocks.items() if digest(smallest(block)) != names(image, place)]

    def worked_on(self, image: int) -> set[str]:
        """The planes that are more than what was opened: some revision changed them, or what is said of them."""
        names = self._sql.execute("SELECT name FROM planes WHERE image = ?", (image,))
        changed = self._sql.execute(
            f"SELECT DISTINCT plane FROM block_changes WHERE revision IN ({OF_IMAGE})", (image,)
        )
        keys = self._sql.execute(f"SELECT DISTINCT key FROM row_changes WHERE revision IN ({OF_IMAGE})", (image,))
        touched = {plane for (plane,) in changed} | {plane_of(key) for (key,) in keys}
        return touched & {name for (name,) in names}

    def touched(self, image: int, limit: int = -1) -> dict[int, set[str]]:
        """By the newest revisions of an image the planes that each changed, or where one may learn from them, or their
        rows; with an empty name, where it changed a row of the image as a whole."""
        newest, which = f"{OF_IMAGE} ORDER BY id DESC LIMIT ?", (image, limit)
        found: dict[int, set[str]] = {row[0]: set() for row in self._sql.execute(newest, which)}
        for number, plane in self._sql.execute(
            f"SELECT DISTINCT revision, plane FROM block_changes WHERE revision IN ({newest})", which
        ):
            found[number].add(plane.removesuffix(SAID).removesuffix(LEARNING))
        for number, key in self._sql.execute(
            f"SELECT revision, key FROM row_changes WHERE revision IN ({newest})", which
        ):
            found[number].add(plane_of(key).removesuffix(LEARNING))
        return found

    def rows(self, image: int) -> dict[str, Entry]:
        found = self._sql.execute("SELECT key, value FROM rows WHERE image = ?", (image,))
        rows = {}
        for key, value in found:
            try:
                rows[key] = entry_of(value)
            except SegError:
                self._contents.damaged.add(key.encode())
        return rows

    def grid(self, image: int) -> Grid:
        return self._contents.grid(image)

    # steps

    def lay(self, image: int, step: Step) -> None:
        """Put down what a plane held when it was opened, below all revisions: no step back takes it away.

        Only for planes that no block was ever kept of; raises ``ValueError`` for others.
        """
        with transaction(self._sql):
            for plane in {place.plane for place in step.blocks}:
                if self.keeps(image, plane):
                    raise ValueError(f"something is kept of the plane {plane} already")
            checked = {self._contents.check(image, place, block): block for place, block in step.blocks.items()}
            self._contents.put(image, {place: self._contents.keep(block) for place, block in checked.items()})
            self._log(image, self.image(image).head, (step.at, step.who, step.tool))

    def commit(self, image: int, step: Step) -> Revision | None:
        """Make a revision of a step; ``None`` where nothing differs from what is there."""
        with transaction(self._sql):
            made, changes = steps.made(self._sql, self._contents, image, step)
            revision = self._revise(image, step, made, changes) if made else None
            if revision is not None and step.goes_on:
                revision = self._joined(image, revision)
            if step.origin is not None:
                self._predicted(image, step.at, step.origin)
        return revision

    def undo(self, image: int, at: float, who: str = "") -> Change | None:
        """One step back; ``None`` at the beginning."""
        with transaction(self._sql):
            head = self.image(image).head
            if head == 0:
                return None
            over = self.revision(head)
            return self._move(image, over, over.parent, tree.delta(self._sql, head).inverse(), (at, who, UNDO))

    def behind(self, image: int) -> Collection[Place]:
        """The blocks that a step back would change."""
        return tree.delta(self._sql, self.image(image).head).blocks.keys()

    def ahead(self, image: int) -> Collection[Place]:
        """The blocks that a step forward would change."""
        following = tree.newest_child(self._sql, image, self.image(image).head)
        return () if following is None else tree.delta(self._sql, following).blocks.keys()

    def may_redo(self, image: int) -> bool:
        """Whether there is a step forward."""
        return tree.newest_child(self._sql, image, self.image(image).head) is not None

    def redo(self, image: int, at: float, who: str = "") -> Change | None:
        """One step forward, along the newest branch; ``None`` at its end."""
        with transaction(self._sql):
            following = tree.newest_child(self._sql, image, self.image(image).head)
            if following is None:
                return None
            made = tree.delta(self._sql, following)
            return self._move(image, self.revision(following), following, made, (at, who, REDO))

    def restore(self, image: int, revision: int, at: float, who: str = "") -> Change | None:
        """Bring back what an image held at a revision (0: at the beginning), as a new revision."""
        with transaction(self._sql):
            passed = tree.way(self._sql, image, self.image(image).head, revision)
            if not passed:
                return None
            step = Step(RESTORE, at, who, note=str(revision))
            made = self._revise(image, step, passed, steps.tally(self._contents, image, passed))
            return self._change(image, made, passed)

    def bring_back(self, image: int, wanted: Mapping[str, int], step: Step) -> Change | None:
        """Bring back how each of some planes and its rows were at a revision, as one new revision."""
        passed = Delta()
        head = self.image(image).head
        for plane, revision in wanted.items():
            found = tree.way(self._sql, image, head, revision)
            passed.blocks.update((p, change) for p, change in found.blocks.items() if p.plane in (plane, plane + SAID))
            passed.rows.update((key, change) for key, change in found.rows.items() if plane_of(key) == plane)
        if not passed:
            return None
        with transaction(self._sql):
            made = self._revise(image, step, passed, steps.tally(self._contents, image, passed))
            return self._change(image, made, passed)

    # the history

    def lines(self, image: int, plane: str) -> dict[int, int]:
        """By every revision of an image the one that began the line it belongs to (see :mod:`.openings`), or 0."""
        begun = self._sql.execute(
            "SELECT DISTINCT r.id FROM revisions r JOIN block_changes c ON c.revision = r.id "
            "WHERE r.image = ? AND c.plane = ? AND r.note = ?",
            (image, plane, CAME),
        )
        begin = {row[0] for row in begun}
        lines: dict[int, int] = {}
        for number, before in self.before(image, plane).items():
            lines[number] = number if number in begin else lines.get(before, 0)
        return lines

    def before(self, image: int, plane: str) -> dict[int, int]:
        """By every revision of an image, oldest first, the one from which a plane went on: its parent, or that of which
        it brought back the plane. What brought back other planes alone is a step like any other."""
        every = self._sql.execute("SELECT id, parent, tool, note FROM revisions WHERE image = ? ORDER BY id", (image,))
        return {
            number: int(note) if tool == RESTORE and note.isdecimal() and self._changes(number, plane) else parent
            for number, parent, tool, note in every.fetchall()
        }

    def line(self, image: int, plane: str) -> int:
        """The revision that began the line where a plane stands now; 0 where that lies below all revisions."""
        return self.lines(image, plane).get(self.image(image).head, 0)

    def newest_of(self, image: int, plane: str, line: int) -> int:
        """The newest revision of a line."""
        return max((number for number, its in self.lines(image, plane).items() if its == line), default=line)

    def revision(self, number: int) -> Revision:
        row = self._sql.execute(f"SELECT {REVISION} FROM revisions WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise SegError(f"There is no revision {number} any more; choose one of the history.")
        return revision_of(row)

    def history(self, image: int, limit: int = -1) -> list[Revision]:
        """The newest revisions of an image, newest first."""
        found = self._sql.execute(
            f"SELECT {REVISION} FROM revisions WHERE image = ? ORDER BY id DESC LIMIT ?", (image, limit)
        ).fetchall()
        oldest = found[-1][0] if found else 0
        way = set(tree.ancestors(self._sql, self.image(image).head, oldest))
        return [revision_of(row, undone=row[0] not in way) for row in found]

    def passed(self, image: int, plane: str) -> list[Passed]:
        """The steps from the beginning to where an image stands that changed a plane or its rows, oldest first."""
        head = self.image(image).head
        touched = {
            row[0]
            for row in self._sql.execute(
                f"{tree.ANCESTORS} SELECT DISTINCT c.revision FROM block_changes c JOIN way ON way.id = c.revision "
                "WHERE c.plane = ?3",
                (head, 0, plane),
            )
        }
        states: dict[int, dict[str, tuple[State, State]]] = {}
        for number, key, *sides in self._sql.execute(
            f"{tree.ANCESTORS} SELECT c.revision, c.key, c.before, c.after FROM row_changes c "
            "JOIN way ON way.id = c.revision",
            (head, 0),
        ):
            if plane_of(key) == plane:
                before, after = (Entry().state if text is None else entry_of(text).state for text in sides)
                states.setdefault(number, {})[key.removeprefix(row_key(plane, ""))] = (before, after)
        revisions = (self.revision(number) for number in sorted(touched | states.keys()))
        return [Passed(one.tool, one.labels if one.id in touched else (), states.get(one.id, {})) for one in revisions]

    def depth(self, image: int) -> int:
        """How many steps can be taken back."""
        return tree.depth(self._sql, self.image(image).head)

    def changed_places(self, revision: int) -> list[Place]:
        """Where the blocks of labels lie that a revision changed."""
        return [place for place in tree.delta(self._sql, revision).blocks if not place.plane.endswith(SAID)]

    def changed(
        self, image: int, revision: int, places: Container[Place] | None = None
    ) -> dict[Place, tuple[Labels, Labels]]:
        """The blocks of labels that a revision changed, before and after: all, or those at ``places``."""
        return {
            place: (self._contents.get(image, place.block, before), self._contents.get(image, place.block, after))
            for place, (before, after) in tree.delta(self._sql, revision).blocks.items()
            if not place.plane.endswith(SAID) and (places is None or place in places)
        }

    def log(self, image: int | None = None) -> list[tuple[float, str, int, str, int, dict[str, Any]]]:
        """What was done: at, who, image, what, revision, details; oldest first."""
        found = self._sql.execute(
            "SELECT at, who, image, what, revision, details FROM log WHERE ?1 IS NULL OR image = ?1 ORDER BY id",
            (image,),
        )
        return [(*row[:5], json.loads(row[5])) for row in found]

    def noted_at(self, image: int, besides: Sequence[str]) -> float | None:
        """When something was done last, ``besides`` such things."""
        found = self._sql.execute(
            f"SELECT at FROM log WHERE image = ? AND what NOT IN ({', '.join('?' * len(besides))}) "
            "ORDER BY id DESC LIMIT 1",
            (image, *besides),
        ).fetchone()
        return None if found is None else float(found[0])

    def note(self, image: int, at: float, who: str, what: str, **details: Any) -> None:
        """Write something into the log that is no change of labels, such as an export."""
        with transaction(self._sql):
            self._log(image, self.image(image).head, (at, who, what), **details)

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
                (image, day, plain(who), seconds),
            )

    def spent(self, image: int) -> float:
        """Seconds spent on an image in all."""
        return float(self._sql.execute("SELECT total(seconds) FROM spent WHERE image = ?", (image,)).fetchone()[0])

    def thin(self, now: float) -> int:
        """Join old revisions by the rule of :mod:`~napari_seg.session.thinning`; returns how many are gone."""
        return thinning.thin(self._sql, now)

    # below

    def _changes(self, revision: int, plane: str) -> bool:
        """Whether a revision changes a plane, or what is said of it."""
        made = tree.delta(self._sql, revision)
        names = {place.plane for place in made.blocks} | {plane_of(key) for key in made.rows}
        return not names.isdisjoint((plane, plane + SAID))

    def _revise(self, image: int, step: Step, made: Delta, changes: steps.Changes) -> Revision:
        """A new revision after the head, which it becomes."""
        head = self.image(image).head
        who, tool, note = plain(step.who), plain(step.tool), plain(step.note)
        labels, voxels = changes.named, changes.voxels
        found = self._sql.execute(
            "INSERT INTO revisions (image, parent, at, who, tool, labels, voxels, note) VALUES (?,?,?,?,?,?,?,?)",
            (image, head, step.at, who, tool, json.dumps(labels), voxels, note),
        )
        number = int(found.lastrowid or 0)
        blocks = [(number, *place, *change) for place, change in made.blocks.items()]
        self._sql.executemany("INSERT INTO block_changes VALUES (?,?,?,?,?,?)", blocks)
        rows = [(number, key, *change) for key, change in made.rows.items()]
        self._sql.executemany("INSERT INTO row_changes VALUES (?,?,?,?)", rows)
        self._put(image, number, made)
        made_one = Revision(number, head, step.at, who, tool, labels, voxels, note)
        self._log(image, number, (step.at, who, tool), **_amount(made_one, made))
        return made_one

    def _joined(self, image: int, revision: Revision) -> Revision:
        """One revision with the one before it, where that may be."""
        before = self._sql.execute(
            f"SELECT {REVISION} FROM revisions WHERE id = ?1 AND tool = ?2 AND who = ?3 "
            "AND NOT EXISTS (SELECT 1 FROM predictions WHERE revision = ?1) "
            "AND NOT EXISTS (SELECT 1 FROM revisions WHERE parent = ?1 AND id != ?4) "
            "AND NOT EXISTS (SELECT 1 FROM log WHERE revision = ?1 AND what != ?2)",
            (revision.parent, revision.tool, revision.who, revision.id),
        ).fetchone()
        if before is None:
            return revision
        thinning.join(self._sql, [revision_of(before), revision], revision.note)
        made = tree.delta(self._sql, revision.id)
        changes = steps.tally(self._contents, image, made)
        self._sql.execute(
            "UPDATE revisions SET labels = ?, voxels = ? WHERE id = ?",
            (json.dumps(changes.named), changes.voxels, revision.id),
        )
        self._sql.execute("DELETE FROM log WHERE revision IN (?, ?)", (revision.parent, revision.id))
        one = self.revision(revision.id)
        self._log(image, one.id, (one.at, one.who, one.tool), **_amount(one, made))
        return one

    def _move(self, image: int, over: Revision, head: int, made: Delta, said: tuple[float, str, str]) -> Change:
        """Step over a revision, back or forward."""
        change = self._change(image, over, made)
        self._put(image, head, made)
        self._log(image, over.id, said, **_amount(over, made))
        return change

    def _put(self, image: int, head: int, made: Delta) -> None:
        """Make what comes after what the image holds."""
        rows = made.rows.items()
        self._contents.put(image, {place: after for place, (_, after) in made.blocks.items()})
        self._sql.executemany(
            "INSERT OR REPLACE INTO rows VALUES (?,?,?)",
            [(image, key, after) for key, (_, after) in rows if after is not None],
        )
        self._sql.executemany(
            "DELETE FROM rows WHERE image = ? AND key = ?", [(image, key) for key, (_, after) in rows if after is None]
        )
        self._sql.execute("UPDATE images SET head = ? WHERE id = ?", (head, image))

    def _predicted(self, image: int, at: float, origin: Origin) -> None:
        self._sql.execute(
            "INSERT INTO predictions (image, revision, at, model, model_hash, settings) VALUES (?,?,?,?,?,?)",
            (image, self.image(image).head, at, plain(origin.model), origin.model_hash, origin.settings),
        )

    def _log(self, image: int, revision: int, said: tuple[float, str, str], **details: Any) -> None:
        at, who, what = said[0], plain(said[1]), plain(said[2])
        self._sql.execute(
            "INSERT INTO log (at, who, image, what, revision, details) VALUES (?,?,?,?,?,?)",
            (at, who, image, what, revision, json.dumps(details)),
        )

    def _change(self, image: int, revision: Revision, made: Delta) -> Change:
        contents = {
            place: self._contents.get(image, place.block, after)
            for place, (_, after) in made.blocks.items()
            if not place.plane.endswith(SAID)
        }
        rows = {key: None if after is None else entry_of(after) for key, (_, after) in made.rows.items()}
        return Change(revision, contents, rows)


def _amount(revision: Revision, made: Delta) -> dict[str, Any]:
    """What the log says of a step: how many voxels it changes, and of which labels it changes voxels or the row, as
    many as a revision names."""
    rows = {label_of(key.rpartition(": ")[2]) for key in made.rows} - {0}
    labels = sorted({*revision.labels, *rows})[:NAMED]
    return {"voxels": revision.voxels} | ({"labels": labels} if labels else {})
