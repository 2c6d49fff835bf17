"""After an edit the reasons of what it concerns are those that a look through everything would give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_seg.editing.again import LATER, asked_again, still_there
from napari_seg.editing.annotation import Annotation, object_key
from napari_seg.editing.edit import Edit, Patch, applied
from napari_seg.editing.measures import measure
from napari_seg.editing.suspicion import Suspect, queue, thickest

Array = np.ndarray[Any, Any]


def after(annotation: Annotation, box: tuple[slice, ...], wanted: Array | int) -> tuple[Annotation, Edit]:
    """An annotation of its own with other labels in a box."""
    before = annotation.labels[box]
    patch = Patch(tuple(side.start for side in box), before.copy(), np.full_like(before, wanted))
    edit = Edit("brush", (patch,))
    return applied(edit, replace(annotation, labels=annotation.labels.copy(), extents=annotation.extents.copy())), edit


def again(found: list[Suspect], now: Annotation, edit: Edit, differing: Array | None = None) -> list[Suspect]:
    table, boxes = measure(now), [patch.box for patch in edit.patches]
    there = still_there(found, now, table, set(edit.labels))
    return asked_again(there, now, table, edit.labels, boxes, differing)


def same(found: list[Suspect], anew: list[Suspect]) -> None:
    """Each says what a look through everything says of it."""
    by_key = {suspect.key: suspect for suspect in anew}
    for suspect in found:
        wanted = by_key[suspect.key]
        assert suspect.reasons == wanted.reasons, suspect.key
        assert suspect.score == pytest.approx(wanted.score, abs=1e-6)
        assert suspect.box == wanted.box
        assert suspect.place == pytest.approx(wanted.place)


def cells(shape: tuple[int, ...] = (90, 100), directions: bool = True) -> Annotation:
    """Cells in rows, some of which touch, with scores and directions to their middle."""
    rng = np.random.default_rng(1)
    labels = np.zeros(shape, np.uint16)
    for k in range(20):
        y, x = 20 * (k // 5) + 4, 19 * (k % 5) + 2
        labels[..., y : y + 12, x : x + (19 if k % 3 == 0 else 11)] = k + 1
    channels = 1 + len(shape) if directions else 1
    scores = np.where(labels > 0, 0.9, 0.1) * rng.uniform(0.6, 1, (channels, *shape))
    return Annotation.of(labels, scores=scores.astype(np.float16))


@pytest.mark.parametrize("shape", [(90, 100), (8, 90, 100)])
@pytest.mark.parametrize("few", [200, 0])
def test_objects_and_those_beside_them(shape: tuple[int, ...], few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_seg.editing.again.FEW", few)
    annotation = cells(shape)
    differing = np.random.default_rng(2).uniform(0, 0.2, shape).astype(np.float16)
    found = queue(annotation, differing=differing)
    assert any("touches others" in reason for suspect in found for reason in suspect.reasons)
    lead = (slice(0, shape[0]),) * (len(shape) - 2)
    for box, wanted in (
        ((slice(0, 20), slice(14, 21)), 0),  # the first no longer touches the second
        ((slice(24, 30), slice(21, 30)), 0),  # another one is halved
        ((slice(84, 86), slice(40, 42)), 17),  # a second part, near nothing
    ):
        annotation, edit = after(annotation, (*lead, *box), wanted)
        kept = [suspect.key for suspect in found]
        found = again(found, annotation, edit, differing)
        assert [suspect.key for suspect in found] == kept  # nobody changes places
        mine = [suspect for suspect in found if suspect.label in edit.labels]
        same(mine, queue(annotation, differing=differing))
    first = next(suspect for suspect in found if suspect.key == object_key(1))
    assert not any("touches" in reason for reason in first.reasons)
    second = next(suspect for suspect in found if suspect.key == object_key(2))
    assert not any("touches" in reason for reason in second.reasons)  # though it was not edited itself
    assert "In two parts" in next(suspect for suspect in found if suspect.label == 17).reasons


def test_what_nothing_concerns_is_the_very_same() -> None:
    annotation = cells(directions=False)
    found = queue(annotation)
    now, edit = after(annotation, (slice(0, 8), slice(0, 8)), 0)
    renewed = again(found, now, edit)
    assert {b.label for a, b in zip(found, renewed, strict=True) if a is not b} == {1}


def organ() -> Annotation:
    labels = np.zeros((12, 40, 50), np.uint8)
    labels[2:10, 10:30, 10:30] = 1
    labels[5] = 0
    labels[5, 10:14, 10:30] = 1
    labels[7, 35:38, 40:44] = 1
    scores = np.stack([np.where(labels, 0.1, 0.9), np.where(labels, 0.9, 0.1)]).astype(np.float16)
    scores[:, 8, 10:30, 10:20] = 0.5
    return Annotation.of(labels, objects=False, spacing=(3.0, 1.0, 1.0), scores=scores)


def test_slices_and_those_beside_them_and_regions() -> None:
    annotation = organ()
    assert thickest(annotation.spacing) == 0
    found = queue(annotation)
    slices = {suspect.key: suspect for suspect in found}
    assert "Jumps from the slices beside it" in slices["slice 0 5"].reasons
    stray = next(suspect for suspect in found if suspect.label and suspect.reasons)
    now, edit = after(annotation, (slice(5, 6), slice(10, 30), slice(10, 30)), 1)
    renewed = again(found, now, edit)
    assert [suspect.key for suspect in renewed] == [suspect.key for suspect in found]
    by_key = {suspect.key: suspect for suspect in renewed}
    for k in (4, 5, 6):
        assert "Jumps from the slices beside it" not in by_key[f"slice 0 {k}"].reasons
    same([by_key[f"slice 0 {k}"] for k in (4, 5, 6)], queue(now))
    assert by_key["slice 0 9"] is slices["slice 0 9"]
    now, edit = after(now, (slice(7, 8), slice(12, 36), slice(28, 44)), 1)  # the stray one is joined to the rest
    joined = next(suspect for suspect in again(renewed, now, edit) if suspect.key == stray.key)
    assert not any("Apart" in reason for reason in joined.reasons)
    assert joined.box[0] == slice(2, 10)


def test_regions_of_a_very_large_mask_wait_for_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_seg.editing.again._LARGE", 100)
    annotation = organ()
    found = queue(annotation)
    now, edit = after(annotation, (slice(7, 8), slice(35, 36), slice(40, 44)), 0)
    told = {suspect.reasons for suspect in again(found, now, edit) if suspect.label}
    assert told == {(LATER,)}
