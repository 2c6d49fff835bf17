"""Masks that are opened again: which line of work they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from session_images import a_store, blocks_of, step

from napari_seg.editing.annotation import Entry
from napari_seg.session.heard import heard_in
from napari_seg.session.openings import afresh, open_mask, went_out
from napari_seg.session.provenance import last_prediction
from napari_seg.session.records import CAME, LEARNING, Origin, Plane, rows_of
from napari_seg.session.thinning import KEPT
from napari_seg.session.thinning import thin as thinned

MASK = Plane("mask", True)


def filled(value: int) -> Any:
    return np.full((300, 300), value, np.uint8)


def test_a_mask_belongs_to_the_line_that_knows_it(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)

    def opened(value: int) -> Any:
        return open_mask(store, image, MASK, step(blocks_of(store, image, filled(value)), tool="opened", said="keep"))

    def now() -> int:
        return int(store.labels(image, "mask")[0, 0])

    assert opened(1).news == ""
    assert store.depth(image) == 0  # below all steps
    assert opened(1).labels is None
    store.commit(image, step(blocks_of(store, image, filled(2)), rows={"mask: object 2": Entry(state="accepted")}))
    found = opened(1)
    assert (found.news, now(), found.steps) == ("resumed", 2, 1)
    assert found.labels is not None
    assert opened(2).news == ""  # as it was left
    store.note(image, 0.0, "", "export", file="out", **went_out(store, image, "mask"))
    store.commit(image, step(blocks_of(store, image, filled(3))))
    assert opened(2).news == "resumed"  # what went out
    assert now() == 3
    found = opened(7)
    assert (found.news, found.labels, now()) == ("other", None, 7)
    assert found.rows == {}  # what was said of the objects of another mask
    store.commit(image, step(blocks_of(store, image, filled(8))))
    assert opened(2).news == "resumed"
    assert now() == 3
    assert store.rows(image).keys() == {"mask: object 2"}
    store.commit(image, step(blocks_of(store, image, filled(4))))
    assert opened(7).news == "resumed"
    assert now() == 8
    assert opened(1).news == "resumed"
    assert now() == 4
    opened(7)
    afresh(store, image, 0.0, "")
    assert now() == 7  # as it came
    store.close()


def test_a_mask_that_is_brought_back_leaves_the_other_masks_of_the_image_in_their_lines(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)

    def opened(plane: str, value: int, tool: str = "opened", **known: Any) -> Any:
        blocks = blocks_of(store, image, filled(value), plane=plane)
        return open_mask(store, image, Plane(plane, True), step(blocks, tool=tool, said="keep", **known))

    def paint(plane: str, value: int) -> None:
        store.commit(image, step(blocks_of(store, image, filled(value), plane=plane)))

    opened("mask", 1)
    paint("mask", 2)
    opened("mask", 3)
    opened("other", 4)
    paint("other", 5)
    opened("other", 6, "predict", origin=Origin("nuclei2d", "0f", "{}"))
    paint("other", 7)
    assert opened("mask", 1).news == "resumed"
    assert store.labels(image, "mask")[0, 0] == 2
    assert last_prediction(store, image, "other") is not None
    paint("other", 8)
    assert opened("other", 6).news == "resumed"
    assert store.labels(image, "other")[0, 0] == 8  # the newest work on it, though the mask was brought back
    paint("mask", 9)
    assert opened("mask", 1).news == "resumed"
    assert store.labels(image, "mask")[0, 0] == 9
    store.close()


def test_what_is_said_of_a_mask_whose_name_begins_with_that_of_another_is_left_alone(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)

    def opened(plane: str, value: int) -> Any:
        blocks = blocks_of(store, image, filled(value), plane=plane)
        return open_mask(store, image, Plane(plane, True), step(blocks, tool="opened", said="keep"))

    opened("mask", 1)
    store.commit(image, step(blocks_of(store, image, filled(2))))
    opened("mask: liver", 3)
    said = {"mask: liver: object 3": Entry(state="accepted", comment="mitosis", locked=True)}
    store.commit(image, step({}, tool="accept", rows=said))
    assert rows_of(store.rows(image), "mask") == {}
    assert [*rows_of(store.rows(image), "mask: liver")] == ["object 3"]
    assert not any(one.states for one in store.passed(image, "mask"))
    for value in (5, 1):  # another file of that name, and the first one again
        opened("mask", value)
        assert store.rows(image) == said
    store.close()


@pytest.mark.parametrize("first", [0, 1])
def test_where_a_model_may_learn_goes_with_the_mask_on_which_it_was_said(tmp_path: Path, first: int) -> None:
    store, image = a_store(tmp_path)
    store.put_plane(image, Plane("mask" + LEARNING, False))

    def opened(value: int, plane: str = "mask") -> Any:
        blocks = blocks_of(store, image, filled(value), plane=plane)
        return open_mask(store, image, Plane(plane, True), step(blocks, tool="opened", said="keep"))

    def marks() -> int:
        return int(store.labels(image, "mask" + LEARNING)[299, 299])

    opened(first)
    store.commit(image, step(blocks_of(store, image, filled(1), plane="mask" + LEARNING)))
    store.commit(image, step({}, tool="accept", rows={"mask: case": Entry(state="accepted")}))
    assert opened(7).news == "other"
    assert marks() == 0
    assert opened(1, "mask" + LEARNING).labels[0].max() == 0  # it was shown again a moment too early
    assert not heard_in(store, {})
    store.undo(image, 0.0)
    assert (int(store.labels(image, "mask").max()), marks()) == (first, 1)
    store.redo(image, 0.0)
    store.commit(image, step(blocks_of(store, image, filled(2), plane="mask" + LEARNING)))
    for value, marked in ((first, 1), (7, 2), (first, 1)):
        assert opened(value).news == "resumed"
        assert marks() == marked
        assert (store.rows(image).keys() == {"mask: case"}) == (value == first)
    store.close()


def test_an_earlier_mask_of_a_name_that_means_something_by_now_is_left_alone(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    earlier = Plane("deep" + LEARNING, True)
    store.put_plane(image, earlier)
    store.commit(image, step(blocks_of(store, image, filled(3), plane=earlier.name)))
    blocks = blocks_of(store, image, filled(0), plane="deep")
    assert open_mask(store, image, Plane("deep", True), step(blocks, tool="opened", said="keep")).news == ""
    assert store.labels(image, earlier.name)[0, 0] == 3
    store.close()


def test_work_that_began_with_a_new_prediction_belongs_to_the_file_that_was_opened(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    blocks = blocks_of(store, image, filled(1))
    open_mask(store, image, MASK, step(blocks, tool="opened"))
    store.commit(image, step(blocks_of(store, image, filled(2)), tool="predict"))
    store.commit(image, step(blocks_of(store, image, filled(3)), tool="brush"))
    assert open_mask(store, image, MASK, step(blocks, tool="opened")).news == "resumed"
    assert store.labels(image, "mask")[0, 0] == 3
    store.close()


def test_what_was_only_opened_gives_way_in_silence(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    for value in (1, 2):
        blocks = blocks_of(store, image, filled(value))
        assert open_mask(store, image, MASK, step(blocks, tool="opened", said="keep")).news == ""
    assert store.labels(image, "mask")[0, 0] == 2
    store.close()


def test_a_blank_mask_and_a_new_one_are_never_earlier_ones(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    empty = step(blocks_of(store, image, filled(0)), tool="opened")
    open_mask(store, image, MASK, empty, blank=True)
    store.commit(image, step(blocks_of(store, image, filled(2))))
    assert open_mask(store, image, MASK, empty, blank=True).news == "other"
    assert not store.labels(image, "mask").any()
    store.undo(image, 0.0)
    assert open_mask(store, image, MASK, empty, new=True).news == "other"
    assert not store.labels(image, "mask").any()
    store.close()


def test_masks_that_came_are_never_joined(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    blocks = blocks_of(store, image, filled(1))
    open_mask(store, image, MASK, step(blocks, tool="predict", at=0.0), new=True)
    for value in (2, 3):
        store.commit(image, step(blocks_of(store, image, filled(value)), at=1.0))
    assert open_mask(store, image, MASK, step(blocks_of(store, image, filled(7)), at=2.0)).news == "other"
    for value in (8, 9):
        store.commit(image, step(blocks_of(store, image, filled(value)), at=3.0))
    thinned(store._sql, 2 * KEPT)
    assert [r.note == CAME for r in store.history(image)].count(True) == 2
    assert open_mask(store, image, MASK, step(blocks)).news == "resumed"
    assert store.labels(image, "mask")[0, 0] == 3
    store.close()
