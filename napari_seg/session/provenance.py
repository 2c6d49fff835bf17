"""Where a mask comes from, for whoever gets its file: the model, the steps by hand, what a person has said of it.

It names people as they named themselves, and no image: the name of a file may be a patient's. The image is known by its
fingerprint instead.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import napari_seg
from napari_seg.data.volume import SPATIAL
from napari_seg.editing.annotation import CASE, Entry, State, object_key
from napari_seg.editing.counting import counted
from napari_seg.editing.said import class_names, counts_objects
from napari_seg.errors import SegError
from napari_seg.files import reason, written
from napari_seg.session.cases import COUNTED, state_of_case
from napari_seg.session.openings import passed
from napari_seg.session.predicted import Past, predictions
from napari_seg.session.records import ImageRow, Plane, rows_of
from napari_seg.session.store import REDO, RESTORE, UNDO, Store

EXPORT = "export"
"""The entry of the log that a mask went out."""

FAILED = "export failed"
"""That it could not be written after all."""

FORMAT = 1
"""The number of the layout below."""

BY_MODEL = ("predict", "thresholds")
"""Tools whose steps are a model's and not a person's."""

OPENED = "opened"
"""The step of a mask that came from a file."""

STATES: tuple[State, ...] = ("accepted", "rejected", "flagged", "unseen")

SUFFIX = ".review.json"


def went_out_before(store: Store, image: int, plane: str) -> bool:
    """Whether a mask was ever written to a file, as far as the log says."""
    files = set[str]()
    for _, _, _, what, _, details in store.log(image):
        if what == EXPORT and details.get("plane", plane) == plane:
            files.add(details.get("file", ""))
        elif what == FAILED:
            files.discard(details.get("file", ""))
    return bool(files)


def provenance(store: Store, image: int, *planes: str) -> dict[str, Any]:
    """All that the session knows of how the labels of a plane came about, as they are now; plain values for JSON.

    Several planes, each of a class, go into one file, and what is said of all of them is finished. Times are UTC.
    ``steps_by_hand`` counts the steps in these planes, without those that were undone. ``review`` counts the objects
    that are there now, ``rejected`` also those that are gone. ``seconds_spent`` is the time on the image. Raises
    ``SegError`` where there is no such plane.
    """
    row, known = store.image(image), {known.name: known for known in store.planes(image)}
    for plane in planes:
        if plane not in known:
            there = ", ".join(known) or "another image"
            raise SegError(f"There is no mask {plane} in the session; choose one of {there}.")
    entries = store.rows(image)
    rows = {plane: rows_of(entries, plane) for plane in planes}
    cases = [rows[plane].get(CASE) or entries.get(CASE) or Entry() for plane in planes]
    objects = {plane: counts_objects(known[plane].objects, rows[plane]) for plane in planes}
    names = [class_names(known[plane].classes, rows[plane]) for plane in planes]
    reviews = [_review(store, row, replace(known[plane], objects=objects[plane]), rows[plane]) for plane in planes]
    return {
        "format": FORMAT,
        "program": f"napari-seg {napari_seg.__version__}",
        "image": {
            "fingerprint": row.fingerprint,
            "grid": list(row.grid),
            "times": row.times,
            "spacing": list(row.spacing),
            "unit": row.unit,
        },
        "mask": {
            "revision": row.head,
            "numbers": "objects" if any(objects.values()) else "classes",
            "classes": list(names[0]) if len(names) == 1 else [name for own in names for name in own[:1]],
        },
        "prediction": _prediction(store, image, planes),
        "steps_by_hand": _by_hand(store, image, {*planes}),
        "review": {state: sum(review[state] for review in reviews) for state in reviews[0]},
        "finished": _finished([*rows.values()], row),
        "case": {
            "state": state_of_case(cases) or "unseen",
            "comment": next((case.comment for case in cases if case.comment), ""),
        },
        "seconds_spent": round(store.spent(image), 1),
    }


def made_by_model(predicted: Mapping[str, Any]) -> dict[str, Any]:
    """What the file of a mask says of which no session knows more than its prediction."""
    return {"program": f"napari-seg {napari_seg.__version__}", **predicted}


def made(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a record the file of the mask itself says (see :attr:`~napari_seg.data.volume.Volume.made`)."""
    predicted = record["prediction"] or {}
    return {
        **made_by_model({key: predicted[key] for key in ("model", "model_hash", "settings", "at") if key in predicted}),
        "revision": record["mask"]["revision"],
        "steps_by_hand": sum(step["steps"] for step in record["steps_by_hand"]),
    }


def record_path(mask: Path, stem: str) -> Path:
    """Where the record of a mask goes: ``mask.review.json`` beside ``mask.nii.gz``, whose ``stem`` is ``mask``.

    The record of a mask inside an OME-Zarr image goes beside the image, as nothing else belongs into it.
    """
    if mask.parent.name == "labels" and mask.parent.parent.suffix == ".zarr":
        return mask.parent.parent.with_name(f"{mask.parent.parent.name}.{mask.name}{SUFFIX}")
    return mask.with_name(f"{stem}{SUFFIX}")


def read_record(path: Path) -> Mapping[str, Any]:
    """What a record says of its mask: ``numbers`` and ``classes``; nothing where there is no record of ours."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    about = record.get("mask") if isinstance(record, dict) and record.get("format") == FORMAT else None
    if not isinstance(about, dict) or about.get("numbers") not in ("objects", "classes"):
        return {}
    names = about.get("classes")
    return {"numbers": about["numbers"], "classes": [*map(str, names)] if isinstance(names, list) else []}


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write a record as JSON. Raises ``SegError`` where it cannot be written."""
    try:
        with written(path) as aside:
            aside.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise SegError(f"{path.name} could not be written {reason(error, 'choose another folder')}") from None


def when(at: float) -> str:
    """A moment as ISO 8601, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def last_prediction(store: Store, image: int, plane: str) -> Past | None:
    """The newest prediction of a plane that it came by; ``None`` where there is none."""
    way = passed(store, image, plane)
    found = [past for past in predictions(store, image) if past.plane in (plane, "") and past.revision in way]
    return found[-1] if found else None


def _prediction(store: Store, image: int, planes: Iterable[str]) -> dict[str, Any] | None:
    found = [past for plane in planes if (past := last_prediction(store, image, plane)) is not None]
    if not found:
        return None
    last = max(found, key=lambda past: past.revision)
    told = last.predicted
    return {
        "model": told.model,
        "model_hash": told.model_hash,
        "settings": dict(told.settings),
        "at": when(last.at),
        "revision": last.revision,
        "expected_wrong": told.doubt,
    }


def _by_hand(store: Store, image: int, planes: set[str]) -> list[dict[str, Any]]:
    """From the log, which keeps every step also where old revisions were joined: these count for all planes that the
    one they became has changed. What is said of the image as a whole counts for every plane."""
    made: dict[int, tuple[str, str]] = {}
    touched = store.touched(image)
    there = sorted(touched)
    steps, voxels = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for _, who, _, what, revision, details in store.log(image):
        if what == COUNTED or "voxels" not in details:
            continue
        changed = next((touched[number] for number in there[bisect_left(there, revision) :][:1]), None)
        if changed and not changed & {"", *planes}:
            continue
        if what not in (UNDO, REDO):
            made[revision] = (who, what)
        sign = -1 if what == UNDO else 1
        steps[made[revision]] += sign
        voxels[made[revision]] += sign * details["voxels"]
    return [
        {"who": who, "tool": tool, "steps": count, "voxels": voxels[who, tool]}
        for (who, tool), count in sorted(steps.items())
        if count > 0 and tool not in (*BY_MODEL, OPENED, RESTORE)
    ]


def _review(store: Store, row: ImageRow, plane: Plane, rows: Mapping[str, Entry]) -> dict[str, int]:
    """What was said of objects, or of regions of classes; nobody counts the regions that nothing was said of."""
    said = {key: entry.state for key, entry in rows.items() if key.split()[0] in ("object", "region")}
    if plane.objects:
        there = {object_key(label) for label in _labels(store, row, plane.name)}
        gone = [key for key in said if key not in there and said[key] != "rejected"]
        said = {**dict.fromkeys(there, "unseen"), **said}
        for key in gone:
            del said[key]
    states = Counter(said.values())
    return {state: states[state] for state in STATES if plane.objects or state != "unseen"}


def _labels(store: Store, row: ImageRow, plane: str) -> set[int]:
    found: set[int] = set()
    for time in range(row.times):
        found.update(counted(store.labels(row.id, plane, time)))
    return found - {0}


def _finished(rows: Sequence[Mapping[str, Entry]], row: ImageRow) -> dict[str, Any]:
    """Slices by their axis, from 0, and boxes as ``from:to`` along each axis, that are finished in every plane."""
    slices: dict[str, list[int]] = {}
    boxes = []
    for key in rows[0]:
        kind, _, where = key.partition(" ")
        if any(of_plane.get(key, Entry()).state != "accepted" for of_plane in rows):
            continue
        if kind == "slice":
            axis, index = map(int, where.split()[:2])
            slices.setdefault(SPATIAL[-len(row.grid) :][axis].lower(), []).append(index)
        elif kind == "box":
            boxes.append(where)
    return {"slices": {axis: sorted(found) for axis, found in sorted(slices.items())}, "boxes": sorted(boxes)}
