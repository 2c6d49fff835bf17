"""Sessions of every format there was are opened by this version."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from napari_seg.editing.annotation import Entry
from napari_seg.session.database import FORMAT, NAME, TABLES
from napari_seg.session.records import Plane
from napari_seg.session.session import Session

SPECIMENS = Path(__file__).with_name("specimens")


def test_every_format_has_a_specimen() -> None:
    assert {path.name for path in SPECIMENS.glob("*.sqlite")} == {f"format{n + 1}.sqlite" for n in range(FORMAT)}


def test_the_tables_change_only_with_the_number_of_the_format(tmp_path: Path) -> None:
    """A database of the specimen and one that is made now have the same tables."""
    made = sqlite3.connect(":memory:")
    made.executescript(TABLES)
    stored = sqlite3.connect(shutil.copyfile(SPECIMENS / f"format{FORMAT}.sqlite", tmp_path / NAME))
    found = [sql.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall() for sql in (made, stored)]
    made.close()
    stored.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_specimen_is_opened(tmp_path: Path, number: int) -> None:
    shutil.copyfile(SPECIMENS / f"format{number}.sqlite", tmp_path / NAME)
    for _ in range(2):  # it ends as it began
        session = Session.open(tmp_path)
        assert session.read_only == ""
        session.writer.call(look).result()
        assert session.writer.kept.trouble == ""
        assert session.close() == 0


def look(store) -> None:  # type: ignore[no-untyped-def]
    film, slide = store.images()
    assert (film.name, film.path, film.grid, film.times, film.unit) == (
        "film",
        "../images/film.tif",
        (17, 70, 65),
        2,
        "um",
    )
    assert (slide.name, slide.spacing) == ("Schnitt µ", ())
    assert store.planes(film.id) == [Plane("cells", True)]
    assert store.planes(slide.id) == [Plane("tissue", False, ("tumour", "stroma"))]
    np.testing.assert_array_equal(store.labels(slide.id, "tissue"), np.arange(12).reshape(3, 4) % 3)

    opened, predicted, erased = (np.zeros((17, 70, 65), np.uint64) for _ in range(3))
    opened[2, :64, 5] = 1
    predicted[2, :64, 5] = 7
    predicted[:16, 64:, :64] = 2**33
    at = {0: opened, 1: opened, 2: opened, 3: predicted, 4: erased, 5: predicted}
    for revision, labels in at.items():
        np.testing.assert_array_equal(store.labels(film.id, "cells", revision=revision), labels)
    later = np.zeros((17, 70, 65), np.uint16)
    later[16, 66, 64] = 40_000
    np.testing.assert_array_equal(store.labels(film.id, "cells", 1), later)
    np.testing.assert_array_equal(store.labels(film.id, "cells/said", 1), later > 0)
    rows = {"cells: object 1": Entry(2, "accepted", "gut", locked=True), "cells: case": Entry(state="flagged")}
    assert store.rows(film.id) == rows

    history = [(revision.id, revision.parent, revision.tool, revision.undone) for revision in store.history(film.id)]
    assert history == [
        (6, 5, "reject", True),
        (5, 4, "restore", False),
        (4, 2, "erase", False),
        (3, 2, "predict", True),
        (2, 1, "accept", False),
        (1, 0, "brush", False),
    ]
    assert store.predictions(film.id) == [(3, 1005.0, "nuclei3d", "abc", '{"threshold": 0.5}')]
    assert store.spent(film.id) == 90.0
    assert store.confirm(film.id, "e" * 32)
    assert [entry[3] for entry in store.log(film.id)][:5] == ["opened", "brush", "accept", "predict", "undo"]

    assert store.redo(film.id, 0.0).rows == {"cells: object 1": None}
    heads = [6, 5, 4, 2, 1, 0]
    for head, before in itertools.pairwise(heads):
        assert store.image(film.id).head == head
        assert store.undo(film.id, 0.0).revision.id == head
        np.testing.assert_array_equal(store.labels(film.id, "cells"), at[before])
    assert store.undo(film.id, 0.0) is None
    assert store.rows(film.id) == {}
    assert not store.labels(film.id, "cells", 1).any()
    assert not store.labels(film.id, "cells/said", 1).any()
    for head in (1, 2, 4, 5):
        assert store.redo(film.id, 0.0).revision.id == head
    assert store.rows(film.id) == rows
    np.testing.assert_array_equal(store.labels(film.id, "cells"), predicted)
