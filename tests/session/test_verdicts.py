"""What earlier reviews said is read back in its order, as the rule for stopping takes it."""

from __future__ import annotations

from pathlib import Path

from session_images import a_store, blocks_of, squares, step

from napari_seg.editing.annotation import Entry, object_key, slice_key
from napari_seg.editing.said import region_key
from napari_seg.session.records import Plane, row_key
from napari_seg.session.store import Store
from napari_seg.session.verdicts import SHAPING, changed_by_hand, verdicts


def put(store: Store, image: int, tool: str, *labels: int, plane: str = "mask") -> None:
    store.commit(image, step(blocks_of(store, image, squares(*labels), plane=plane), tool=tool))


def say(store: Store, image: int, tool: str, key: str, plane: str = "mask") -> None:
    state = {"accept": "accepted", "reject": "rejected", "flag": "flagged", "ask again": "unseen"}.get(tool, "accepted")
    entry = Entry(state=state)  # type: ignore[arg-type]
    store.commit(image, step({}, tool=tool, rows={row_key(plane, key): entry}))


def test_in_their_order_and_what_was_changed_before_was_not_right(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    put(store, image, "predict", 1, 2, 3)
    for tool, label in (("accept", 1), ("reject", 2), ("flag", 3)):
        say(store, image, tool, object_key(label))
    assert verdicts(store, image, "mask") == {"object 1": True, "object 2": False, "object 3": False}
    put(store, image, "brush", 1, 2, 3, 3)
    say(store, image, "accept", object_key(3))  # it was flagged, corrected, and is right now
    say(store, image, "accept", object_key(4))
    found = verdicts(store, image, "mask")
    assert list(found.items()) == [("object 1", True), ("object 2", False), ("object 3", False), ("object 4", True)]
    say(store, image, "accept", object_key(2))
    assert list(verdicts(store, image, "mask"))[-1] == "object 2"


def test_what_was_taken_back_does_not_count(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    put(store, image, "predict", 1, 2)
    say(store, image, "accept", object_key(1))
    say(store, image, "accept", object_key(2))
    store.undo(image, 0.0)
    assert verdicts(store, image, "mask") == {"object 1": True}
    say(store, image, "ask again", object_key(1))
    assert verdicts(store, image, "mask") == {}


def test_a_new_word_of_the_model_begins_a_new_review(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    store.put_plane(image, Plane("other", True))
    put(store, image, "predict", 1, 2)
    say(store, image, "accept", object_key(1))
    put(store, image, "predict", 1, plane="other")
    put(store, image, "brush", 1, 1, plane="other")
    say(store, image, "accept", object_key(2))  # object 1 of the other mask was painted, not this one
    assert verdicts(store, image, "mask") == {"object 1": True, "object 2": True}
    assert verdicts(store, image, "other") == {}
    put(store, image, "thresholds", 1)
    assert verdicts(store, image, "mask") == {}


def test_regions_and_slices_count_and_what_else_was_said_does_not(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    put(store, image, "brush", 2)
    say(store, image, "accept", region_key(1, (3, 4)))
    say(store, image, "accept", region_key(2, (1, 1)))
    say(store, image, "accept", slice_key(0, 7))
    say(store, image, "finish slice", slice_key(0, 8))
    say(store, image, "accept", "case")
    assert verdicts(store, image, "mask") == {"region 1 at 3 4": True, "region 2 at 1 1": False, "slice 0 7": True}


def test_the_labels_that_a_person_changed_also_those_that_only_lost_voxels(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    put(store, image, "predict", 1, 2, 3, 4, 5)
    assert changed_by_hand(store, image, "mask") == set()
    put(store, image, "split", 1, 7, 3, 4, 5)
    say(store, image, "accept", object_key(5))
    assert changed_by_hand(store, image, "mask") == {2, 7}
    put(store, image, "brush", 1, 7, 3, 9, 5)
    store.undo(image, 0.0)
    assert changed_by_hand(store, image, "mask") == {2, 7}
    put(store, image, "brush", 1, 7, 3, 4, 8)
    assert changed_by_hand(store, image, "mask") == {2, 5, 7, 8}
    assert changed_by_hand(store, image, "mask", SHAPING) == {2, 7}
    put(store, image, "predict", 1, 6, 3, 4, 8)
    assert changed_by_hand(store, image, "mask") == {2, 5, 8}  # 7 is the model's again
