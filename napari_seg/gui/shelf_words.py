"""What is said of models that were made here, and of trainings that can be gone on with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from napari_seg.gui.training_state import Interrupted, Shelved
from napari_seg.models.shelf import Kept, name_of
from napari_seg.models.spec import ModelSpec
from napari_seg.models.zoo import shipped
from napari_seg.training.learning_curve import ROUNDS, Round, forecast

_NEEDED = {"began", "words", "lessons", "settings", "model"}
"""What the record of a training holds that can be gone on with."""


def titles_of(models: Mapping[Path, ModelSpec], kept: Sequence[Kept]) -> list[tuple[str, str]]:
    """Models by their files; one of the shelf is called after its file, as those of one line have the same name."""
    own = {one.path for one in kept}
    return [(str(path), name_of(path) if path in own else spec.name) for path, spec in models.items()]


def shelf_of(models: Sequence[Kept], titles: Mapping[str, str], chosen: str) -> tuple[Shelved, ...]:
    """The shelf, the newest first; below it the models that those on it were made from and that lie elsewhere."""
    own = {str(one.path) for one in models}
    parents = dict.fromkeys(str(one.note.get("model", "")) for one in models)
    given = {str(path) for path in shipped().values()}
    others = [
        Shelved(Path(key), titles[key], "came with the program" if key in given else "where it began", key == chosen)
        for key in parents
        if key in titles
    ]
    return (*(_shelved(one, str(one.path) == chosen) for one in models), *(o for o in others if str(o.path) not in own))


def _shelved(one: Kept, chosen: bool) -> Shelved:
    """A line of the shelf."""
    when = one.spec.history[-1].when if one.spec.history else ""
    parts = [_date(when), f"from {one.note['words']}" if one.note.get("words") else ""]
    parts.append({"better": "better than the one before", "worse": "not better"}.get(one.note.get("decision", ""), ""))
    return Shelved(one.path, one.name, ", ".join(part for part in parts if part), chosen)


def _date(when: str) -> str:
    try:
        return datetime.fromisoformat(when).astimezone().strftime("%d %b %Y, %H:%M")
    except ValueError:
        return when[:10]


def outlook_of(path: Path, kept: Sequence[Kept]) -> str:
    """What more corrections would bring, by the rounds that led to a model; empty where too few are known."""
    notes, rounds = {str(one.path): one.note for one in kept}, list[Round]()
    note = notes.pop(str(path), None)
    what = (note or {}).get("counts", "objects")
    while note is not None:
        scores = [new for _, new in note.get("scores", ())]
        if scores:
            spread = stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else 0.0
            rounds.append(Round(corrected=note.get("objects", 0), score=fmean(scores), spread=spread))
        note = notes.pop(note.get("model", ""), None)
    return forecast(rounds[::-1], what=what).sentence if len(rounds) >= ROUNDS else ""


def interrupted_of(orders: Mapping[Path, Mapping[str, Any]]) -> Interrupted | None:
    """The newest training that was begun and did not end."""
    for path, record in orders.items():
        if record.keys() >= _NEEDED:
            when = datetime.fromtimestamp(record["began"]).strftime("%d %b, %H:%M")
            share = f" after {record['fraction']:.0%}" if record.get("fraction") else ""
            words = f"The training of {when} was interrupted{share}. It learns from {record['words']}."
            return Interrupted(path, words)
    return None
