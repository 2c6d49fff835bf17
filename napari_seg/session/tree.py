"""The tree of revisions of an image, and the way from one to another.

A revision is younger than its parent and so has a larger number, which thinning keeps true. That is what a way is found
by: the larger of two numbers is never on the way back from the smaller one.
"""

from __future__ import annotations

import itertools
import sqlite3

from napari_seg.errors import SegError
from napari_seg.session.records import Delta, Place


def delta(sql: sqlite3.Connection, revision: int) -> Delta:
    """What a revision changed."""
    blocks = sql.execute("SELECT plane, time, block, before, after FROM block_changes WHERE revision = ?", (revision,))
    rows = sql.execute("SELECT key, before, after FROM row_changes WHERE revision = ?", (revision,))
    return Delta(
        {Place(plane, time, block): (bytes(before), bytes(after)) for plane, time, block, before, after in blocks},
        {key: (before, after) for key, before, after in rows},
    )


ANCESTORS = (
    "WITH RECURSIVE way(id, parent) AS (SELECT id, parent FROM revisions WHERE id = ?1 UNION "
    "SELECT r.id, r.parent FROM revisions r JOIN way ON r.id = way.parent WHERE r.id >= ?2) "
)


def ancestors(sql: sqlite3.Connection, revision: int, oldest: int = 0) -> list[int]:
    """From a revision back to the beginning or to the last one not older than ``oldest``, itself included."""
    return [row[0] for row in sql.execute(f"{ANCESTORS} SELECT id FROM way", (revision, oldest))]


def depth(sql: sqlite3.Connection, revision: int) -> int:
    """How many revisions lie between the beginning and this one, itself included."""
    return int(sql.execute(f"{ANCESTORS} SELECT count(*) FROM way", (revision, 0)).fetchone()[0])


def newest_child(sql: sqlite3.Connection, image: int, revision: int) -> int | None:
    """The revision that a step forward leads to."""
    row = sql.execute("SELECT max(id) FROM revisions WHERE image = ? AND parent = ?", (image, revision)).fetchone()
    return None if row[0] is None else int(row[0])


def way(sql: sqlite3.Connection, image: int, here: int, there: int) -> Delta:
    """What differs between two revisions of an image (0: the beginning): as it is here, and as it is there.

    Back from here to where the two branches part, then forth to there.
    """
    if there and sql.execute("SELECT image FROM revisions WHERE id = ?", (there,)).fetchone() != (image,):
        raise SegError(f"There is no revision {there} of this image; choose one of its history.")
    back, forth = [], []
    while here != there:
        if here > there:
            back.append(here)
            here = _parent(sql, here)
        else:
            forth.append(there)
            there = _parent(sql, there)
    backward = (delta(sql, revision).inverse() for revision in back)
    forward = (delta(sql, revision) for revision in reversed(forth))
    return Delta.joined(itertools.chain(backward, forward))


def _parent(sql: sqlite3.Connection, revision: int) -> int:
    row = sql.execute("SELECT parent FROM revisions WHERE id = ?", (revision,)).fetchone()
    if row is None or not 0 <= row[0] < revision:
        raise SegError("The history of this image is damaged on the disk; restore the session from a backup.")
    return int(row[0])
