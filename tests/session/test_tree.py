"""The way from one revision to another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from session_images import a_store, an_image, blocks_of, step

from napari_seg.errors import SegError
from napari_seg.session import tree
from napari_seg.session.records import Delta, Place

A, B = Place("mask", 0, 0), Place("mask", 0, 1)


def test_deltas_one_after_the_other_are_one() -> None:
    first = Delta({A: (b"", b"1"), B: (b"x", b"y")}, {"k": (None, "1"), "l": ("a", "b")})
    second = Delta({A: (b"1", b"2"), B: (b"y", b"x")}, {"k": ("1", None), "m": (None, "c")})
    both = Delta.joined([first, second])
    assert both == Delta({A: (b"", b"2")}, {"l": ("a", "b"), "m": (None, "c")})
    assert not Delta.joined([first, first.inverse()])
    assert Delta.joined([both.inverse()]).inverse() == both


def test_the_way_leads_over_the_branching(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    sql = store._sql
    labels = np.zeros((300, 300), np.uint8)

    def commit(value: int) -> int:
        labels[0, 0] = value
        revision = store.commit(image, step(blocks_of(store, image, labels)))
        assert revision is not None
        return revision.id

    one, two = commit(1), commit(2)
    store.undo(image, 0.0)
    three, four = commit(3), commit(4)
    assert tree.ancestors(sql, four) == [four, three, one]
    assert tree.ancestors(sql, four, oldest=three) == [four, three]
    assert [tree.depth(sql, k) for k in (0, one, two, four)] == [0, 1, 2, 3]
    assert tree.newest_child(sql, image, one) == three
    assert tree.newest_child(sql, image, four) is None
    values = {0: 0, one: 1, two: 2, three: 3, four: 4}
    for here in values:
        for there in values:
            passed = tree.way(sql, image, here, there)
            assert (passed == Delta()) == (here == there)
            assert passed == tree.way(sql, image, there, here).inverse()
            assert store.labels(image, "mask", revision=there)[0, 0] == values[there]
    store.close()


def test_there_is_no_way_into_another_image(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    other = store.add_image(an_image((300, 300), fingerprint="another")).id
    revision = store.commit(image, step(blocks_of(store, image, np.ones((300, 300), np.uint8))))
    assert revision is not None
    for number in (revision.id, 99):
        with pytest.raises(SegError, match=f"no revision {number} of this image; choose"):
            store.labels(other, "mask", revision=number)
        with pytest.raises(SegError, match=f"no revision {number} of this image; choose"):
            store.restore(other, number, 0.0)
    store.close()


@pytest.mark.parametrize("harm", ["UPDATE revisions SET parent = 4 WHERE id = 2", "DELETE FROM revisions WHERE id = 2"])
def test_a_damaged_tree_is_told_and_ends(tmp_path: Path, harm: str) -> None:
    store, image = a_store(tmp_path)
    for value in (1, 2, 3, 4):
        store.commit(image, step(blocks_of(store, image, np.full((300, 300), value, np.uint8))))
    store._sql.execute(harm)
    assert store.depth(image) <= 4
    assert store.history(image)
    with pytest.raises(SegError, match="restore the session from a backup"):
        store.restore(image, 0, 0.0)
    store.commit(image, step(blocks_of(store, image, np.full((300, 300), 5, np.uint8))))
    assert np.all(store.labels(image, "mask") == 5)
    store.close()
