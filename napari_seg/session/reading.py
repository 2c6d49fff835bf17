"""A session that somebody else may be writing to, as it is at one moment. It can be used in any thread."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from napari_seg.session.database import NAME, connect_to_read, refusal
from napari_seg.session.store import Store


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """A session as it is at this moment, also while another program writes to it. Raises ``SegError`` where there is
    none, or it cannot be read."""
    connection = connect_to_read(folder)
    store = Store(connection)
    try:
        connection.execute("BEGIN")
        yield store
    except sqlite3.Error as error:
        raise refusal(folder / NAME, error) from error
    finally:
        store.close()
