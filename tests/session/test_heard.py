"""How much a person has said, counted where something was said, and in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from session_images import a_store, blocks_of, step

from napari_seg.editing.annotation import CASE, Entry, box_key, object_key, slice_key
from napari_seg.session.heard import Heard, heard_in, words_of
from napari_seg.session.records import LEARNING, Plane, row_key

OBJECTS = Plane("mask", True)


def begun(tmp_path: Path, plane: Plane = OBJECTS, value: int = 5) -> tuple[Any, int, Any]:
    """A store with a prediction of one object, or class."""
    store, image = a_store(tmp_path)
    store.put_plane(image, plane)
    labels = np.zeros((300, 300), np.uint8)
    labels[10:20, 10:20] = value
    store.commit(image, step(blocks_of(store, image, labels), tool="predict", said="keep"))
    return store, image, labels


def test_what_a_model_says_is_not_heard(tmp_path: Path) -> None:
    store, _, _ = begun(tmp_path)
    assert heard_in(store, {}) == ()
    assert words_of(()) == ""
    store.close()


def test_objects_are_counted_once_and_rejected_ones_not(tmp_path: Path) -> None:
    store, image, labels = begun(tmp_path)
    labels[10, 20], labels[40:50, 40:50] = 5, 6
    store.commit(image, step(blocks_of(store, image, labels)))
    known: Any = {}
    (heard,) = heard_in(store, known)
    assert (heard.objects, heard.erased) == (2, False)
    rows = {row_key("mask", key): Entry(state="accepted") for key in (object_key(5), object_key(9), slice_key(0, 3))}
    rows |= {row_key("mask", object_key(6)): Entry(state="rejected"), row_key("mask", CASE): Entry(state="accepted")}
    box = box_key((slice(0, 5), slice(0, 5)))
    rows |= {row_key("mask", box): Entry(state="accepted")}
    store.commit(image, step({}, rows=rows))
    (heard,) = found = heard_in(store, known)
    assert heard.objects == 2
    assert words_of(found) == "2 objects, 1 finished slice, 1 finished box and 1 finished case in 1 image"
    store.close()


def test_only_background_and_only_marks_are_something_too(tmp_path: Path) -> None:
    store, image, labels = begun(tmp_path)
    store.put_plane(image, Plane("mask" + LEARNING, False))
    marks = blocks_of(store, image, np.ones((300, 300), np.uint8), plane="mask" + LEARNING)
    store.commit(image, step(marks))
    assert words_of(heard_in(store, {})) == "what you marked in 1 image"
    labels[:] = 0
    store.commit(image, step(blocks_of(store, image, labels)))
    (heard,) = heard_in(store, {})
    assert heard.erased
    store.close()


def test_classes_are_named(tmp_path: Path) -> None:
    store, image, labels = begun(tmp_path, Plane("mask", False, ("liver", "spleen")), 1)
    labels[50:60, 50:60], labels[70:80, 70:80] = 2, 3
    store.commit(image, step(blocks_of(store, image, labels)))
    (heard,) = found = heard_in(store, {})
    assert (heard.classes, heard.painted, heard.objects) == (("spleen", "class 3"), 1, 0)
    assert words_of(found) == "spleen and class 3 in 1 image"
    store.close()


def test_images_of_several_sessions_are_counted_each() -> None:
    plane = Plane("mask", objects=True)
    here, there = (Heard(1, known, "cells", plane, objects=2) for known in ("one", "two"))
    assert words_of([here, there]) == "4 objects in 2 images"
    assert words_of([here, here]) == "4 objects in 1 image"
