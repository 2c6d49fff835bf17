"""The tree of revisions of an image, and the way from one to another."""

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


def ancestors(sql: sqlite3.Connection, revision: int) -> list[int]:
    """From a revision back to the beginning, itself included."""
    found = sql.execute(
        "WITH RECURSIVE way(id, parent) AS (SELECT id, parent FROM revisions WHERE id = ? UNION ALL "
        "SELECT r.id, r.parent FROM revisions r JOIN way ON r.id = way.parent) SELECT id FROM way",
        (revision,),
    )
    return [row[0] for row in found]


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
    back, forth = ancestors(sql, here), ancestors(sql, there)
    shared = set(back) & set(forth)
    backward = (delta(sql, revision).inverse() for revision in back if revision not in shared)
    forward = (delta(sql, revision) for revision in reversed(forth) if revision not in shared)
    return Delta.joined(itertools.chain(backward, forward))
