"""Which state a case has, what predictions may replace, and how work of another session comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_images import a_store, an_image, blocks_of, step

from napari_seg.editing.annotation import CASE, Entry
from napari_seg.session.cases import (
    Case,
    case,
    cases,
    keep_prediction,
    note_opened,
    say_of_case,
)
from napari_seg.session.database import connect
from napari_seg.session.predicted import Predicted
from napari_seg.session.provenance import EXPORT, provenance
from napari_seg.session.records import Plane
from napari_seg.session.store import Store

TOLD = Predicted("nuclei2d", "0f", {}, 0.25)
MASK = Plane("cells · mask", True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(connect(tmp_path))
    made.add_image(an_image((300, 280)))
    return made


def labels(*numbers: int) -> Any:
    plane = np.zeros((300, 280), np.uint16)
    for k, number in enumerate(numbers):
        plane[10 * k : 10 * k + 5, :4] = number
    return plane


def predict(store: Store, *numbers: int) -> Case:
    return keep_prediction(store, 1, [(MASK, labels(*numbers))], TOLD, 1.0, "")


def test_from_new_to_accepted(store: Store) -> None:
    assert case(store, 1).state == "new"
    assert not case(store, 1).touched
    found = predict(store, 1, 2, 300)
    assert (found.state, found.objects, found.voxels, found.predicted) == ("unseen", 3, None, TOLD)
    np.testing.assert_array_equal(store.labels(1, MASK.name), labels(1, 2, 300))
    note_opened(store, 1, 2.0, "Ann")
    assert case(store, 1).state == "in work"
    say_of_case(store, 1, Entry(state="accepted", comment="fine"), 3.0, "Ann")
    assert (case(store, 1).state, case(store, 1).comment) == ("accepted", "fine")
    say_of_case(store, 1, Entry(state="flagged"), 4.0, "Ann")
    assert case(store, 1).state == "flagged"
    store.undo(1, 5.0)
    assert case(store, 1).state == "accepted"
    assert cases(store) == [case(store, 1)]


def test_who_looked_before_there_was_a_mask_has_not_seen_it(store: Store) -> None:
    note_opened(store, 1, 1.0, "Ann")
    assert case(store, 1).state == "new"
    assert predict(store, 1).state == "unseen"


def test_a_stroke_is_work(store: Store) -> None:
    predict(store, 1)
    store.commit(1, step(blocks_of(store, 1, labels(1, 2), plane=MASK.name), who="Ann"))
    assert case(store, 1).state == "in work"
    store.undo(1, 2.0)
    assert case(store, 1).state == "in work"  # it was looked at


def test_a_mask_that_goes_out_was_not_seen_by_anybody(store: Store) -> None:
    predict(store, 1)
    for what in (EXPORT, f"{EXPORT} failed"):
        store.note(1, 2.0, "Ann", what, file="mask.tif")
    assert case(store, 1).state == "unseen"


def test_a_prediction_never_replaces_what_a_person_has_seen(store: Store) -> None:
    assert predict(store, 1, 2).objects == 2
    assert predict(store, 7).objects == 1  # nobody has seen the first
    note_opened(store, 1, 2.0, "Ann")
    head = store.image(1).head
    assert predict(store, 1, 2, 3, 4).objects == 1
    assert store.image(1).head == head
    np.testing.assert_array_equal(store.labels(1, MASK.name), labels(7))


def test_nothing_found_is_a_prediction_too(store: Store) -> None:
    found = predict(store)
    assert (found.state, found.objects) == ("unseen", 0)


def test_classes_are_counted_in_voxels_over_all_times(tmp_path: Path) -> None:
    store = Store(connect(tmp_path))
    store.add_image(an_image((3, 20, 30), times=2))
    mask = np.zeros((2, 3, 20, 30), np.uint8)
    mask[0, 1, :4, :5] = 1
    mask[1, 2, :4, :5] = 1
    mask[1, 2, 10, 10] = 3
    found = keep_prediction(store, 1, [(Plane("organs", False, ("liver", "spleen")), mask)], TOLD, 1.0, "")
    assert (found.objects, found.voxels) == (None, {"liver": 40, "class 3": 1})


def test_a_case_of_several_masks_is_accepted_when_all_are(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    store.put_plane(image, Plane("tumour", False, ("tumour",)))
    store.commit(image, step({}, rows={f"mask: {CASE}": Entry(state="accepted")}))
    assert case(store, image).state == "in work"
    store.commit(image, step({}, rows={f"tumour: {CASE}": Entry(state="accepted")}))
    assert case(store, image).state == "accepted"
    store.commit(image, step({}, rows={f"mask: {CASE}": Entry(state="flagged", comment="?")}))
    assert (case(store, image).state, case(store, image).comment) == ("flagged", "?")


def test_what_was_counted_of_classes_is_no_step_by_hand(store: Store) -> None:
    plane = Plane("liver · mask", False, ("liver",))
    keep_prediction(store, 1, [(plane, labels(1))], TOLD, 1.0, "")
    assert case(store, 1).voxels == {"liver": 20}
    assert provenance(store, 1, plane.name)["steps_by_hand"] == []
