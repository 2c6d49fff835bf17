"""The work on an image brought from one session into another: the tree of revisions, the rows, the log, the predictions
and the time, as if it had been begun there.

All or nothing: what was brought is read again and compared before it counts. The session it comes from stays as it was,
and is told where the work goes on (:func:`send_on`), so that nobody goes on with the old one unawares.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_seg.errors import SegError
from napari_seg.session.blocks import Grid, digest, smallest, unpack
from napari_seg.session.records import PATIENT, REVISION, SIZE, entry_of, plain

Row = tuple[Any, ...]

_REVISIONS = "revision IN (SELECT id FROM revisions WHERE image = ?)"

_HELD = (
    "SELECT EXISTS (SELECT 1 FROM planes WHERE image = ?1) OR EXISTS (SELECT 1 FROM revisions WHERE image = ?1) "
    "OR EXISTS (SELECT 1 FROM rows WHERE image = ?1)"
)

_USED = (
    "SELECT hash AS name, block FROM blocks WHERE image = ?1 UNION "
    f"SELECT before, block FROM block_changes WHERE {_REVISIONS.replace('?', '?1')} UNION "
    f"SELECT after, block FROM block_changes WHERE {_REVISIONS.replace('?', '?1')}"
)
"""Every contents that the work on an image names, with the numbers of the blocks that hold it."""


_VALUES = (
    "SELECT value FROM rows WHERE image = ?1 UNION "
    f"SELECT before FROM row_changes WHERE {_REVISIONS.replace('?', '?1')} UNION "
    f"SELECT after FROM row_changes WHERE {_REVISIONS.replace('?', '?1')}"
)
"""Every row that there is or was."""


@dataclass(frozen=True)
class Numbers:
    """The numbers of revisions in the session that they go to, by those that they had; the order stays."""

    image: int
    old: list[int]
    first: int

    def of(self, number: int) -> int:
        """0, the beginning, stays. Raises ``LookupError`` for a revision that is not there."""
        place = bisect_left(self.old, number) if number else -1
        if place >= 0 and self.old[place : place + 1] != [number]:
            raise LookupError(number)
        return self.first + place if place >= 0 else 0

    def near(self, number: int) -> int:
        """The same for what may be told of a revision that was joined with a later one."""
        place = bisect_left(self.old, number) if number else -1
        return self.first + place if 0 <= place < len(self.old) else 0

    def note(self, tool: str, note: str) -> str:
        """A restoring names the revision that it brought back."""
        return str(self.near(int(note))) if tool == "restore" and note.isdecimal() else note


@dataclass(frozen=True)
class Table:
    """What of a table belongs to an image, and how its rows read elsewhere. ``select`` takes the image."""

    select: str
    insert: str
    row: Callable[[Row, Numbers], Row]


_TABLES = (
    Table(
        "SELECT name, objects, classes FROM planes WHERE image = ? ORDER BY name",
        "INSERT INTO planes VALUES (:image,?,?,?)",
        lambda row, to: row,
    ),
    Table(
        "SELECT plane, time, block, hash FROM blocks WHERE image = ? ORDER BY plane, time, block",
        "INSERT INTO blocks VALUES (:image,?,?,?,?)",
        lambda row, to: row,
    ),
    Table(
        "SELECT key, value FROM rows WHERE image = ? ORDER BY key",
        "INSERT INTO rows VALUES (:image,?,?)",
        lambda row, to: row,
    ),
    Table(
        f"SELECT {REVISION} FROM revisions WHERE image = ? ORDER BY id",
        f"INSERT INTO revisions (image, {REVISION}) VALUES (:image,?,?,?,?,?,?,?,?)",
        lambda row, to: (to.of(row[0]), to.of(row[1]), *row[2:7], to.note(row[4], row[7])),
    ),
    Table(
        "SELECT revision, plane, time, block, before, after FROM block_changes "
        f"WHERE {_REVISIONS} ORDER BY revision, plane, time, block",
        "INSERT INTO block_changes VALUES (?,?,?,?,?,?)",
        lambda row, to: (to.of(row[0]), *row[1:]),
    ),
    Table(
        f"SELECT revision, key, before, after FROM row_changes WHERE {_REVISIONS} ORDER BY revision, key",
        "INSERT INTO row_changes VALUES (?,?,?,?)",
        lambda row, to: (to.of(row[0]), *row[1:]),
    ),
    Table(
        "SELECT revision, at, model, model_hash, settings FROM predictions WHERE image = ? ORDER BY id",
        "INSERT INTO predictions (image, revision, at, model, model_hash, settings) VALUES (:image,?,?,?,?,?)",
        lambda row, to: (to.near(row[0]), *row[1:]),
    ),
    Table(
        "SELECT at, who, what, revision, details FROM log WHERE image = ? ORDER BY id",
        "INSERT INTO log (image, at, who, what, revision, details) VALUES (:image,?,?,?,?,?)",
        lambda row, to: (*row[:3], to.near(row[3]), row[4]),
    ),
)


def holds_work(sql: sqlite3.Connection, image: int) -> bool:
    """Whether there is any mask of an image, or was, or something was said."""
    return bool(sql.execute(_HELD, (image,)).fetchone()[0])


def bring(sql: sqlite3.Connection, image: int, source: sqlite3.Connection, known_by: str) -> None:
    """Fill an image of which nothing is kept yet with the work of another session. In a transaction.

    Raises ``SegError`` where there is work already, or where the other session holds none of this image, is damaged, or
    comes back different.
    """
    if holds_work(sql, image):
        raise SegError("The project holds work on this image already; open it from the list of the project.")
    found = source.execute("SELECT id, grid, times, added, head, voxels FROM images WHERE fingerprint = ?", (known_by,))
    other = found.fetchone()
    here = sql.execute("SELECT grid, times FROM images WHERE id = ?", (image,)).fetchone()
    if other is None or here is None or [json.loads(other[1]), other[2]] != [json.loads(here[0]), here[1]]:
        raise SegError("The work on this image is of another size than the image; start a session of its own for it.")
    try:
        _bring(sql, image, source, other)
    except (LookupError, TypeError, ValueError, KeyError, sqlite3.IntegrityError) as error:
        raise _damaged() from error


def _bring(sql: sqlite3.Connection, image: int, source: sqlite3.Connection, other: Row) -> None:
    number, grid, _, added, head, voxels = other
    _bring_contents(sql, source, number, Grid(tuple(json.loads(grid))))
    old = [int(row[0]) for row in source.execute("SELECT id FROM revisions WHERE image = ? ORDER BY id", (number,))]
    last = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = 'revisions'").fetchone()
    to = Numbers(image, old, (last[0] if last else 0) + 1)
    for table in _TABLES:
        rows = [table.row(row, to) for row in source.execute(table.select, (number,))]
        before = len(sql.execute(table.select, (image,)).fetchall())
        sql.executemany(table.insert.replace(":image", str(int(image))), rows)
        if sql.execute(table.select, (image,)).fetchall()[before:] != rows:
            raise _damaged()
    if any(parent >= own for own, parent in _parents(sql, image)):
        raise _damaged()  # it would be a ring, and no way through it would end
    spent = source.execute("SELECT day, who, seconds FROM spent WHERE image = ?", (number,)).fetchall()
    sql.executemany(
        f"INSERT INTO spent VALUES ({int(image)},?,?,?) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds",
        spent,
    )
    sql.execute(
        "UPDATE images SET added = min(added, ?), head = ?, voxels = CASE voxels WHEN '' THEN ? ELSE voxels END "
        "WHERE id = ?",
        (float(added), to.of(head), str(voxels), image),
    )
    sql.execute(
        "INSERT OR IGNORE INTO meta SELECT ?1 || fingerprint, ?2 FROM images WHERE id = ?3 AND ?2 != ''",
        (PATIENT, _patient(source, number), image),
    )
    for (value,) in sql.execute(_VALUES, (image,)):
        if value is not None:
            entry_of(value)
    for text in sql.execute("SELECT classes FROM planes WHERE image = ?", (image,)):
        json.loads(*text)


def bring_contents_of(sql: sqlite3.Connection, source: sqlite3.Connection, known_by: str) -> None:
    """Bring the contents of blocks alone, which is most of the work on an image. In a transaction."""
    row = source.execute("SELECT id, grid FROM images WHERE fingerprint = ?", (known_by,)).fetchone()
    if row is not None:
        try:
            _bring_contents(sql, source, row[0], Grid(tuple(json.loads(row[1]))))
        except (LookupError, TypeError, ValueError, sqlite3.IntegrityError) as error:
            raise _damaged() from error


def _bring_contents(sql: sqlite3.Connection, source: sqlite3.Connection, image: int, grid: Grid) -> None:
    """Contents go by their names, so one that is not what its name says would make a mask of another image wrong."""
    for name, block in source.execute(_USED, (image,)):
        if not (isinstance(block, int) and 0 <= block < len(grid)):
            raise _damaged()
        if name == b"":
            continue
        if sql.execute("SELECT 1 FROM blobs WHERE hash = ?", (name,)).fetchone() is not None:
            continue  # this session has looked at it, when it kept it or in a rehearsal
        row = source.execute("SELECT data FROM blobs WHERE hash = ?", (name,)).fetchone()
        if row is None:
            raise _damaged()
        sql.execute("INSERT INTO blobs VALUES (?,?)", (name, row[0]))
        (kept,) = sql.execute("SELECT data FROM blobs WHERE hash = ?", (name,)).fetchone()
        if digest(smallest(unpack(kept, grid.extent(block)))) != name:
            raise _damaged()


def _patient(sql: sqlite3.Connection, image: int) -> str:
    found = sql.execute(
        "SELECT value FROM meta JOIN images ON key = ? || fingerprint WHERE images.id = ?", (PATIENT, image)
    ).fetchone()
    return str(found[0]) if found else ""


def _parents(sql: sqlite3.Connection, image: int) -> Iterator[Row]:
    yield from sql.execute("SELECT id, parent FROM revisions WHERE image = ?", (image,))


def _damaged() -> SegError:
    return SegError("The work that was to be brought here is damaged; restore its session from a backup.")


@dataclass(frozen=True)
class Gone:
    """Where the work on an image goes on. ``stale``: it went on here too, after that."""

    folder: Path
    stale: bool


def send_on(sql: sqlite3.Connection, known_by: str, folder: Path) -> None:
    """Note that the work on an image goes on in the session of another folder. In a transaction."""
    told = json.dumps({"folder": plain(str(folder)), "last": _last(sql, known_by)})
    sql.execute("INSERT OR REPLACE INTO meta VALUES (?,?)", (_gone(known_by), told))


def gone(sql: sqlite3.Connection, known_by: str) -> Gone | None:
    """Where the work on an image goes on, if it is not here."""
    row = sql.execute("SELECT value FROM meta WHERE key = ?", (_gone(known_by),)).fetchone()
    if row is None:
        return None
    told = json.loads(row[0])
    return Gone(Path(told["folder"]), _last(sql, known_by) != told["last"])


def _gone(known_by: str) -> str:
    return f"gone {known_by}"


def _last(sql: sqlite3.Connection, known_by: str) -> int:
    """The newest revision of an image, whichever is shown."""
    row = sql.execute(
        "SELECT max(r.id) FROM revisions r JOIN images i ON i.id = r.image WHERE i.fingerprint = ?", (known_by,)
    ).fetchone()
    return int(row[0] or 0)


def forget(sql: sqlite3.Connection, image: int) -> None:
    """Take back that a session knows an image, with all that it holds of it. In a transaction."""
    for table in ("block_changes", "row_changes"):
        sql.execute(f"DELETE FROM {table} WHERE {_REVISIONS}", (image,))
    for table in ("planes", "blocks", "rows", "revisions", "predictions", "log", "spent"):
        sql.execute(f"DELETE FROM {table} WHERE image = ?", (image,))
    for key in (PATIENT, SIZE):
        sql.execute("DELETE FROM meta WHERE key IN (SELECT ? || fingerprint FROM images WHERE id = ?)", (key, image))
    sql.execute("DELETE FROM images WHERE id = ?", (image,))
