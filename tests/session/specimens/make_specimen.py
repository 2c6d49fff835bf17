"""Makes ``format<number>.sqlite``: a small session as this version writes it, for all later ones to open.

    python tests/session/specimens/make_specimen.py

Run it once for each number of the format, when the first release with it is near; a specimen never changes afterwards.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np

from napari_seg.editing.annotation import Entry
from napari_seg.session.database import FORMAT, NAME, connect
from napari_seg.session.records import ImageRow, Origin, Place, Plane, Step
from napari_seg.session.store import Store

GRID, TIMES = (17, 70, 65), 2


def fill(store: Store) -> None:
    film = ImageRow(0, "film", "../images/film.tif", "f" * 32, GRID, TIMES, (2.0, 0.5, 0.5), "um", 1000.0, 0)
    slide = ImageRow(0, "Schnitt µ", "", "5" * 32, (3, 4), 1, (), "pixel", 1001.0, 0)
    film, slide = store.add_image(film), store.add_image(slide)
    store.put_plane(film.id, Plane("cells", True))
    store.put_plane(slide.id, Plane("tissue", False, ("tumour", "stroma")))
    opened = np.zeros((16, 64, 64), np.uint8)
    opened[2, :, 5] = 1
    store.lay(film.id, Step("opened", 1002.0, "Zoë", {Place("cells", 0, 0): opened}))
    edge = np.zeros((1, 6, 1), np.uint16)
    edge[0, 2] = 40_000
    store.commit(film.id, Step("brush", 1003.0, "Zoë", {Place("cells", 1, 7): edge}))  # 1
    rows = {"cells: object 1": Entry(2, "accepted", "gut", locked=True), "cells: case": Entry(state="flagged")}
    store.commit(film.id, Step("accept", 1004.0, "Zoë", rows=rows))  # 2
    predicted = {Place("cells", 0, 0): opened * 7, Place("cells", 0, 2): np.full((16, 6, 64), 2**33, np.uint64)}
    origin = Origin("nuclei3d", "abc", '{"threshold": 0.5}')
    store.commit(film.id, Step("predict", 1005.0, "Bob", predicted, said="keep", origin=origin))  # 3
    store.undo(film.id, 1006.0, "Bob")
    store.commit(film.id, Step("erase", 1007.0, "Zoë", {Place("cells", 0, 0): opened * 0}))  # 4, beside 3
    store.restore(film.id, 3, 1008.0, "Zoë")  # 5
    store.commit(film.id, Step("reject", 1009.0, rows={"cells: object 1": None}))  # 6
    store.undo(film.id, 1010.0)
    store.commit(slide.id, Step("fill", 1011.0, blocks={Place("tissue", 0, 0): np.arange(12).reshape(3, 4) % 3}))  # 7
    store.spend(film.id, "2026-11-25", "Zoë", 90.0)
    store.note(film.id, 1012.0, "Zoë", "export", file="film_mask.tif")
    store.confirm(film.id, "e" * 32)
    store.thin(1013.0)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(connect(Path(folder)))
        fill(store)
        store.close()
        sql = sqlite3.connect(Path(folder) / NAME, isolation_level=None)
        for change in ("journal_mode = DELETE", "page_size = 512"):  # to be small
            sql.execute(f"PRAGMA {change}")
        sql.execute("VACUUM")
        sql.execute("PRAGMA journal_mode = WAL")
        sql.close()
        shutil.copyfile(Path(folder) / NAME, Path(__file__).with_name(f"format{FORMAT}.sqlite"))


if __name__ == "__main__":
    main()
