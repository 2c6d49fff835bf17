"""Old revisions become fewer and lead to the same places."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from session_images import a_store, an_image, blocks_of, month_of_work, step, unused_blobs

from napari_seg.editing.annotation import Entry
from napari_seg.errors import SegError
from napari_seg.session.records import NAMED, Origin, Plane, Step
from napari_seg.session.store import Store
from napari_seg.session.thinning import DAY

NOW = 1_800_000_000.0
OLD = NOW - 40 * DAY


@pytest.fixture
def made(tmp_path: Path) -> tuple[Store, int]:
    store, image = a_store(tmp_path, (20, 20))
    month_of_work(store, image, NOW)
    return store, image


def commit(store: Store, image: int, value: int, at: float, **known: object) -> int:
    labels = np.full((20, 20), value, np.uint16)
    revision = store.commit(image, step(blocks_of(store, image, labels), at=at, **known))
    assert revision is not None
    return revision.id


def ids(store: Store, image: int) -> list[int]:
    return [revision.id for revision in reversed(store.history(image))]


def test_what_one_person_did_in_an_hour_becomes_one(made: tuple[Store, int]) -> None:
    store, image = made
    minutes = [0, 10, 59, 61, 100, 200]
    numbers = [commit(store, image, 1000 + k, OLD + 60 * m) for k, m in enumerate(minutes)]
    assert store.thin(NOW) == 3
    assert ids(store, image) == [numbers[2], numbers[4], numbers[5]]  # the last of each hour; the head stays alone
    first, second, head = reversed(store.history(image))
    assert (first.parent, second.parent, head.parent) == (0, first.id, second.id)
    assert (first.labels, first.voxels, first.note) == ((1000, 1001, 1002), 1200, "3 steps in one")
    assert [store.labels(image, "mask", revision=k)[0, 0] for k in (0, *ids(store, image))] == [0, 1002, 1004, 1005]
    assert unused_blobs(store) == 0
    assert store._sql.execute("SELECT count(*) FROM blobs").fetchone() == (4,)  # three labels and what was said
    assert len(store.log(image)) == 30 + 6  # the log stays
    for gone in numbers[:2]:
        with pytest.raises(SegError, match="choose one of the history"):
            store.revision(gone)
    store.close()


def test_what_is_left_alone(made: tuple[Store, int]) -> None:
    store, image = made
    kept = {
        "recent": [commit(store, image, k, NOW - 29 * DAY) for k in (90, 91)],
    }
    store.restore(image, 0, OLD)
    numbers = [commit(store, image, k, OLD) for k in range(1, 30)]
    origin = Origin("m", "h", "{}")
    kept["predicted"] = [commit(store, image, 30, OLD, tool="relabel", origin=origin)]
    kept["predict"] = [commit(store, image, 31, OLD, tool="predict"), commit(store, image, 32, OLD, tool="thresholds")]
    between = [commit(store, image, 33, OLD), commit(store, image, 34, OLD)]
    kept["exported"] = [commit(store, image, 35, OLD)]
    store.note(image, OLD, "", "export")
    kept["other person"] = [commit(store, image, 36, OLD, who="b")]
    kept["branching"] = [commit(store, image, 37, OLD)]
    side = [commit(store, image, 38, OLD), commit(store, image, 39, OLD)]
    store.undo(image, OLD)
    store.undo(image, OLD)
    back = store.restore(image, numbers[5], OLD)
    assert back is not None
    kept["restored"] = [numbers[5], back.revision.id]
    kept["head"] = [commit(store, image, 40, OLD)]
    before = {k: store.labels(image, "mask", revision=k) for k in ids(store, image)}
    gone = store.thin(NOW)
    left = ids(store, image)
    assert {number for group in kept.values() for number in group} <= set(left)
    assert set(numbers) & set(left) == {numbers[4], numbers[5], numbers[-1]}
    assert set(between) & set(left) == {between[-1]}
    assert set(side) & set(left) == {side[-1]}
    assert len(before) - gone == len(left)
    for number in left:
        np.testing.assert_array_equal(store.labels(image, "mask", revision=number), before[number])
    store.close()


def test_once_a_day(made: tuple[Store, int]) -> None:
    store, image = made
    for value in (1, 2, 3):
        commit(store, image, value, OLD)
    assert store.thin(OLD) == 0
    assert store.thin(OLD + 0.9 * DAY) == 0
    for value in (4, 5):
        commit(store, image, value, OLD + DAY)
    assert store.thin(NOW) == 2
    for value in (6, 7):
        commit(store, image, value, OLD + DAY)
    assert store.thin(NOW + 0.5 * DAY) == 0
    assert store.thin(NOW - 100 * DAY) == 0  # the clock was set back: nothing is that old, and the day begins anew
    assert store.thin(NOW + 0.5 * DAY) == 2
    store.close()


def test_a_clock_that_is_set_ahead_makes_nothing_old(tmp_path: Path) -> None:
    store, image = a_store(tmp_path, (20, 20))
    for day in range(29):
        for minute in range(3):
            commit(store, image, 3 * day + minute + 1, OLD + day * DAY + 60 * minute)
    assert store.thin(OLD + 29 * DAY) == 0
    ahead = NOW + 9999 * DAY
    assert store.thin(ahead) == 0
    for minute in range(3):  # the last days of work are 30 now: none is older than these
        commit(store, image, 500 + minute, ahead + 60 * minute)
    assert store.thin(ahead + 2 * DAY) == 0
    commit(store, image, 600, ahead + 3 * DAY)  # one day more, one day less
    assert store.thin(ahead + 4 * DAY) == 2
    assert store.thin(OLD + 30 * DAY) == 0  # the clock was set right
    assert len(ids(store, image)) == 29 * 3 + 3 + 1 - 2
    store.close()


def test_a_session_that_nobody_works_in_is_left_alone(tmp_path: Path) -> None:
    store, image = a_store(tmp_path, (20, 20))
    for value in (1, 2, 3):
        commit(store, image, value, OLD)
    assert store.thin(NOW + 365 * DAY) == 0
    store.close()


def test_a_clock_that_goes_back_joins_no_more_than_an_hour(made: tuple[Store, int]) -> None:
    store, image = made
    numbers = [commit(store, image, k + 1, OLD - 40 * 60 * k) for k in range(4)]
    assert store.thin(NOW) == 1
    assert ids(store, image) == numbers[1:]
    store.close()


def test_what_ends_as_it_began_is_a_step_that_changes_nothing(made: tuple[Store, int]) -> None:
    store, image = made
    commit(store, image, 1, OLD, said="keep")
    numbers = [commit(store, image, 2, OLD + 9999, said="keep"), commit(store, image, 1, OLD + 9999, said="keep")]
    commit(store, image, 3, NOW)
    assert store.thin(NOW) == 1
    assert store.changed(image, numbers[1]) == {}
    assert [store.undo(image, NOW) is not None for _ in range(4)] == [True, True, True, False]
    assert not store.labels(image, "mask").any()
    store.close()


def test_labels_are_named_up_to_a_number(made: tuple[Store, int]) -> None:
    store, image = made
    for k in range(5):
        labels = np.arange(400, dtype=np.uint16).reshape(20, 20) + 400 * k
        store.commit(image, step(blocks_of(store, image, labels), at=OLD))
    assert store.thin(NOW) == 3
    assert len(store.history(image)[-1].labels) == NAMED
    store.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_histories_lead_to_the_same_places(tmp_path: Path, seed: int) -> None:
    """Two stores do the same, one is thinned in between: what each kept revision holds, and steps back and forth."""
    draw = random.Random(seed)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (thinned, image), (whole, _) = a_store(tmp_path / "a", (300, 20)), a_store(tmp_path / "b", (300, 20))
    for store in (thinned, whole):
        month_of_work(store, image, NOW)
        other = store.add_image(an_image((20, 20), fingerprint="another")).id
        store.put_plane(other, Plane("mask", True))
    at, gone = OLD - 60 * DAY, 0
    for _ in range(80):
        at += draw.choice([1, 60, 1800, 5 * DAY if draw.random() < 0.1 else 5])
        what = draw.random()
        labels = np.full((300, 20), draw.randrange(4), np.uint8)
        box = draw.choice([0, 1])
        key, entry = f"object {draw.randrange(3)}", draw.choice([None, Entry(draw.randrange(1, 4))])
        number = draw.choice([0, *ids(thinned, image)])
        who = draw.choice("aaab")
        for store in (thinned, whole):
            if what < 0.6:
                blocks = {
                    place: block for place, block in blocks_of(store, image, labels).items() if place.block == box
                }
                store.commit(image, Step("brush", at, who, blocks, {key: entry}))
            elif what < 0.8:
                store.undo(image, at)
            elif what < 0.9:
                store.redo(image, at)
            elif what < 0.95:
                store.restore(image, number, at)
        if what >= 0.95:
            gone += thinned.thin(at)
    gone += thinned.thin(at + 100 * DAY)
    assert gone > 0
    assert len(ids(thinned, image)) == len(ids(whole, image)) - gone
    assert unused_blobs(thinned) == 0
    for number in [0, *ids(thinned, image)]:
        for plane in ("mask", "mask/said"):
            np.testing.assert_array_equal(
                thinned.labels(image, plane, revision=number), whole.labels(image, plane, revision=number)
            )
    walk(thinned, whole, image)
    thinned.close()
    whole.close()


def walk(thinned: Store, whole: Store, image: int) -> None:
    """All the way back and forth: after each step of one store the other one comes to the same place."""

    def same() -> bool:
        planes = all(np.array_equal(thinned.labels(image, p), whole.labels(image, p)) for p in ("mask", "mask/said"))
        return planes and thinned.rows(image) == whole.rows(image)

    def towards(head: int, how: str) -> None:
        while whole.image(image).head != head:
            assert getattr(whole, how)(image, NOW) is not None
        assert same()

    assert same()
    while thinned.undo(image, NOW) is not None:
        towards(thinned.image(image).head, "undo")
    assert whole.undo(image, NOW) is None
    while thinned.redo(image, NOW) is not None:
        towards(thinned.image(image).head, "redo")
    assert whole.redo(image, NOW) is None
