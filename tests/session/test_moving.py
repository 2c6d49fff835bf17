"""Work on an image brought into another session: all of it, or nothing."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_images import a_store, an_image, blocks_of, month_of_work, step

from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.session.blocks import pack, smallest
from napari_seg.session.cases import case
from napari_seg.session.provenance import EXPORT, provenance
from napari_seg.session.records import Origin
from napari_seg.session.store import RESTORE, Store

GRID = (300, 300)
KNOWN_BY = "an image"


def labels(*numbers: int) -> Any:
    plane = np.zeros(GRID, np.uint16)
    for k, number in enumerate(numbers):
        plane[20 * k : 20 * k + 9, :9] = number
    return plane


def worked_on(folder: Path) -> Store:
    """A session with a tree: two branches, a restoring, a prediction, rows, a log and time."""
    folder.mkdir(parents=True)
    store, image = a_store(folder, GRID)
    told = Origin("nuclei", "0f", json.dumps({"settings": {}, "plane": "mask", "doubt": 0.25}))
    store.lay(image, step(blocks_of(store, image, labels(1))))
    store.commit(image, step(blocks_of(store, image, labels(1, 2)), tool="predict", at=1.0, origin=told, said="keep"))
    first = store.commit(image, step(blocks_of(store, image, labels(1, 2, 3)), at=2.0, who="Ann"))
    store.commit(image, step(blocks_of(store, image, labels(4)), at=3.0, who="Ann", note="a note"))
    store.undo(image, 4.0, "Ann")
    store.commit(
        image, step(blocks_of(store, image, labels(5, 300)), at=5.0, rows={"mask: object 5": Entry(state="accepted")})
    )
    assert first is not None
    store.restore(image, first.id, 6.0, "Eve")
    store.note(image, 7.0, "Eve", EXPORT, file="a.tif")
    store.spend(image, "2026-01-01", "Ann", 12.5)
    store.confirm(image, "all voxels")
    return store


def target(folder: Path, others: int = 2) -> tuple[Store, int]:
    """A session in which another image has revisions already, so that no number stays the same."""
    folder.mkdir(parents=True)
    store, other = a_store(folder, GRID)
    store._sql.execute("UPDATE images SET fingerprint = 'another'")
    for k in range(others):
        store.commit(other, step(blocks_of(store, other, labels(k + 1))))
    return store, store.add_image(an_image(GRID)).id


def told(store: Store, image: int) -> list[Any]:
    """All that a session says of an image, by the order of revisions and not by their numbers."""
    past = sorted(store.history(image), key=lambda revision: revision.id)
    at = {0: 0, **{revision.id: k for k, revision in enumerate(past, 1)}}

    def plain(revision: Any) -> Any:
        note = str(at[int(revision.note)]) if revision.tool == RESTORE else revision.note
        return replace(revision, id=at[revision.id], parent=at[revision.parent], note=note)

    return [
        [plain(revision) for revision in past],
        [store.labels(image, "mask", revision=revision.id).tobytes() for revision in past],
        [store.labels(image, "mask/said", revision=revision.id).tobytes() for revision in past],
        store.labels(image, "mask", revision=0).tobytes(),
        store.planes(image),
        store.rows(image),
        at[store.image(image).head],
        [(at[row[0]], *row[1:]) for row in store.predictions(image)],
        [(*line[:2], line[3], at[line[4]], line[5]) for line in store.log(image)],
        store.spent(image),
        store.voxels(image),
    ]


def test_the_whole_history_comes_along_and_the_old_one_stays(tmp_path: Path) -> None:
    own = worked_on(tmp_path / "own")
    store, image = target(tmp_path / "project")
    others = told(store, 1)
    store.bring(image, tmp_path / "own", KNOWN_BY)
    assert told(store, image) == told(own, 1)
    assert told(store, 1) == others
    assert len(store.history(image)) == 5
    here, there = (provenance(where, number, "mask") for where, number in ((store, image), (own, 1)))
    for found in (here, there):
        del found["mask"]["revision"], found["prediction"]["revision"]
    assert here == there
    assert case(store, image).state == "in work"
    for where, number in ((store, image), (own, 1)):  # and it is gone on with alike
        where.undo(number, 8.0)
        where.undo(number, 9.0)
        where.commit(number, step(blocks_of(where, number, labels(7)), at=10.0))
    assert told(store, image) == told(own, 1)


def test_a_rehearsal_leaves_no_work(tmp_path: Path) -> None:
    worked_on(tmp_path / "own")
    store, image = target(tmp_path / "project")
    store.bring(image, tmp_path / "own", KNOWN_BY, rehearse=True)
    assert not store.holds_work(image)
    assert store.log(image) == []
    store.bring(image, tmp_path / "own", KNOWN_BY)
    assert store.holds_work(image)
    with pytest.raises(SegError, match="holds work on this image already; open it from the list"):
        store.bring(image, tmp_path / "own", KNOWN_BY)


def test_another_size_and_another_image_are_refused(tmp_path: Path) -> None:
    worked_on(tmp_path / "own")
    store, _ = target(tmp_path / "project")
    small = store.add_image(an_image((20, 20), fingerprint="small")).id
    for known_by in (KNOWN_BY, "nobody's"):
        with pytest.raises(SegError, match="of another size than the image; start a session"):
            store.bring(small, tmp_path / "own", known_by)


def another_name(sql: sqlite3.Connection) -> None:
    sql.execute(
        "UPDATE blobs SET data = ? WHERE hash = (SELECT max(hash) FROM blobs)", (pack(smallest(labels(9)[:256, :256])),)
    )


def bomb(sql: sqlite3.Connection) -> None:
    sql.execute("UPDATE blobs SET data = ?", (b"\x01" + zlib.compress(bytes(10**8)),))


DAMAGES: dict[str, Callable[[sqlite3.Connection], object]] = {
    "contents under a name that is not theirs": another_name,
    "contents that would fill the memory": bomb,
    "contents that are missing": lambda sql: sql.execute("DELETE FROM blobs"),
    "a ring": lambda sql: sql.execute("UPDATE revisions SET parent = 4 WHERE id = 2"),
    "a parent that is missing": lambda sql: sql.execute("UPDATE revisions SET parent = 77 WHERE id = 4"),
    "a head that is missing": lambda sql: sql.execute("UPDATE images SET head = 99"),
    "text for a number": lambda sql: sql.execute("UPDATE blocks SET block = 'x'"),
    "a block that is none": lambda sql: sql.execute("UPDATE blocks SET block = 99"),
    "rows that are none": lambda sql: sql.execute("UPDATE row_changes SET after = '['"),
    "classes that are none": lambda sql: sql.execute("UPDATE planes SET classes = '{'"),
    "a table that is missing": lambda sql: sql.execute("DROP TABLE predictions"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_is_damaged_or_made_up_is_refused_whole(
    tmp_path: Path, damage: Callable[[sqlite3.Connection], object]
) -> None:
    own = worked_on(tmp_path / "own")
    damage(own._sql)
    own.close()
    store, image = target(tmp_path / "project")
    before = told(store, 1)
    with pytest.raises((SegError, sqlite3.Error), match=r"; restore (its|the) session from a backup|no such table"):
        store.bring(image, tmp_path / "own", KNOWN_BY)
    assert not store.holds_work(image)
    assert told(store, 1) == before
    assert store.image(image).head == 0


def test_where_the_work_went_is_known_and_whether_it_went_on_here(tmp_path: Path) -> None:
    own = worked_on(tmp_path / "own")
    assert own.gone(KNOWN_BY) is None
    own.send_on(KNOWN_BY, tmp_path / "project")
    found = own.gone(KNOWN_BY)
    assert found is not None
    assert (found.folder, found.stale) == (tmp_path / "project", False)
    own.undo(1, 8.0)
    assert not getattr(own.gone(KNOWN_BY), "stale", True)  # nothing new was made
    own.commit(1, step(blocks_of(own, 1, labels(8))))
    assert getattr(own.gone(KNOWN_BY), "stale", False)


def test_forgotten_is_gone_and_others_stay(tmp_path: Path) -> None:
    worked_on(tmp_path / "own")
    store, image = target(tmp_path / "project")
    before = told(store, 1)
    store.bring(image, tmp_path / "own", KNOWN_BY)
    store.forget(image)
    assert [row.id for row in store.images()] == [1]
    assert store.log(image) == []
    assert told(store, 1) == before


def test_old_revisions_that_were_joined_are_told_of_the_joined_one(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    own, _ = a_store(tmp_path / "own", GRID)
    for k in range(4):
        own.commit(1, step(blocks_of(own, 1, labels(k + 1)), at=float(k)))
    own.commit(1, step(blocks_of(own, 1, labels(9)), at=10.0**9))
    month_of_work(own, 1, 10.0**9)
    assert own.thin(10.0**9) > 0
    store, image = target(tmp_path / "project")
    store.bring(image, tmp_path / "own", KNOWN_BY)
    assert [line[4] for line in store.log(image) if line[3] == "brush"] == [3, 3, 3, 3, 4]
    np.testing.assert_array_equal(store.labels(image, "mask"), labels(9))
