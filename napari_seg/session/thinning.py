"""Which old revisions are joined, so that a session does not grow for ever.

Every revision of the last 30 days is kept, and of the last 30 days on which anybody worked in the session. Of older
ones those that one person made within an hour, one after the other, become one: the last of them, which then holds all
they changed. Where the history branches, where an image stands now, predictions, masks that were opened, what was
restored, what restored it, and what was exported are left alone: steps back grow longer, but lead to the same places.
Contents that no revision needs any more are removed. The log stays as it was written.

Days of work are counted in the log, so that no clock makes steps old by itself: one that is set ahead, or was for a
while, is one day more. A session that nobody works in does not grow, and loses nothing.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator

from napari_seg.session import tree
from napari_seg.session.database import transaction
from napari_seg.session.records import CAME, NAMED, REVISION, Delta, Revision, revision_of

DAY = 24 * 3600.0
KEPT = 30 * DAY
"""Seconds for which every revision is kept."""

WORKED = 30
"""Days of work of which every revision is kept."""

TOGETHER = 3600.0
"""Seconds within which older ones are joined."""

EVERY = DAY
"""Seconds between two thinnings of a session."""

ALONE = ("predict", "thresholds", "restore")
"""Tools whose revisions are never joined with others."""


def thin(sql: sqlite3.Connection, now: float) -> int:
    """Join old revisions, at most once a day; returns how many are gone."""
    last = sql.execute("SELECT value FROM meta WHERE key = 'thinned'").fetchone()
    if last is not None and 0 <= now - float(last[0]) < EVERY:
        return 0
    gone, until = 0, min(now - KEPT, _worked_since(sql))
    for (image,) in sql.execute("SELECT id FROM images").fetchall():
        for run in _runs(sql, image, until):
            with transaction(sql):
                join(sql, run, f"{len(run)} steps in one")
            gone += len(run) - 1
    with transaction(sql):
        if gone:
            sql.execute(
                "DELETE FROM blobs WHERE hash NOT IN (SELECT before FROM block_changes UNION SELECT after FROM "
                "block_changes UNION SELECT hash FROM blocks)"
            )
        sql.execute("INSERT OR REPLACE INTO meta VALUES ('thinned', ?)", (repr(now),))
    return gone


def _worked_since(sql: sqlite3.Connection) -> float:
    """When the last days of work began."""
    days = sql.execute(
        "SELECT DISTINCT CAST(at / ?1 AS INTEGER) AS day FROM log ORDER BY day DESC LIMIT ?2", (DAY, WORKED)
    )
    found = [row[0] for row in days]
    return DAY * found[-1] if len(found) == WORKED else -math.inf


def _runs(sql: sqlite3.Connection, image: int, until: float) -> Iterator[list[Revision]]:
    """Revisions that become one, oldest first."""
    rows = sql.execute(f"SELECT {REVISION} FROM revisions WHERE image = ? ORDER BY id", (image,)).fetchall()
    revisions = [revision_of(row) for row in rows]
    alone = _left_alone(sql, image, revisions)
    run: list[Revision] = []
    for revision in revisions:
        fits = revision.at < until and revision.id not in alone
        follows = bool(run) and revision.parent == run[-1].id and revision.who == run[0].who
        if fits and follows and abs(revision.at - run[0].at) < TOGETHER:
            run.append(revision)
            continue
        if len(run) > 1:
            yield run
        run = [revision] if fits else []
    if len(run) > 1:
        yield run


def _left_alone(sql: sqlite3.Connection, image: int, revisions: list[Revision]) -> set[int]:
    """Revisions that are never joined with others."""
    children = Counter(revision.parent for revision in revisions)
    alone = {number for number, count in children.items() if count > 1}
    alone |= {revision.id for revision in revisions if revision.tool in ALONE}
    alone |= {revision.id for revision in revisions if revision.note == CAME}
    alone |= {int(revision.note) for revision in revisions if revision.tool == "restore" and revision.note.isdigit()}
    alone |= {row[0] for row in sql.execute("SELECT head FROM images WHERE id = ?", (image,))}
    alone |= {row[0] for row in sql.execute("SELECT revision FROM predictions WHERE image = ?", (image,))}
    alone |= {row[0] for row in sql.execute("SELECT revision FROM log WHERE image = ? AND what = 'export'", (image,))}
    return alone


def join(sql: sqlite3.Connection, run: list[Revision], note: str) -> None:
    """Make one revision, the last of them, of some that follow each other. In a transaction."""
    made = Delta.joined(tree.delta(sql, revision.id) for revision in run)
    last, gone = run[-1].id, [(revision.id,) for revision in run]
    sql.executemany("DELETE FROM block_changes WHERE revision = ?", gone)
    sql.executemany("DELETE FROM row_changes WHERE revision = ?", gone)
    sql.executemany("DELETE FROM revisions WHERE id = ?", gone[:-1])
    blocks = [(last, *place, *change) for place, change in made.blocks.items()]
    sql.executemany("INSERT INTO block_changes VALUES (?,?,?,?,?,?)", blocks)
    rows = [(last, key, *change) for key, change in made.rows.items()]
    sql.executemany("INSERT INTO row_changes VALUES (?,?,?,?)", rows)
    labels = sorted({label for revision in run for label in revision.labels})[:NAMED]
    sql.execute(
        "UPDATE revisions SET parent = ?, labels = ?, voxels = ?, note = ? WHERE id = ?",
        (
            run[0].parent,
            json.dumps(labels),
            sum(revision.voxels for revision in run),
            note,
            last,
        ),
    )
