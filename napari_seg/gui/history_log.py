"""The log of an image as a table: when, who, what, on which labels, how much."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from napari_seg.editing.columns import csv_of
from napari_seg.gui.revisions import done_words

HEADINGS = ("time", "who", "what", "step", "revision", "labels", "voxels", "details")

Line = tuple[float, str, int, str, int, dict[str, Any]]
"""What :meth:`~napari_seg.session.store.Store.log` tells."""


def log_csv(lines: Iterable[Line]) -> str:
    """Comma-separated values, oldest first. ``what`` is in words, ``step`` as the session names it; times as ISO 8601
    with their zone; ``labels`` with spaces between them, as many as a revision names; what else is known stands under
    ``details`` as JSON."""
    told: list[tuple[Any, ...]] = [HEADINGS]
    for at, who, _, what, revision, known in lines:
        time = datetime.fromtimestamp(at).astimezone().isoformat(timespec="milliseconds")
        rest = {name: value for name, value in known.items() if name not in ("voxels", "labels")}
        labels, voxels = " ".join(map(str, known.get("labels", ()))), known.get("voxels", "")
        details = json.dumps(rest, ensure_ascii=False) if rest else ""
        told.append((time, who, done_words(what), what, revision, labels, voxels, details))
    return csv_of(told)
