"""The store against a plain model of it in memory, and what it says of itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from session_images import SAID_PLANE, a_store, an_image, blocks_of, step, unused_blobs

from napari_seg.editing.annotation import CASE, Entry, object_key
from napari_seg.errors import SegError
from napari_seg.session.blocks import digest, smallest
from napari_seg.session.database import connect
from napari_seg.session.records import Origin, Place, Plane, Revision, Step, row_key
from napari_seg.session.store import Store

PLANES = ("mask", "Überlappung / 2")
SHAPES = st.sampled_from([((300, 257), 1), ((1, 1), 3), ((17, 65, 64), 2), ((1, 70, 3), 1)])
KEYS = ("case", "object 7", "mask: slice 0 3", "", "'; DROP TABLE rows; --", "a\0b", "名前 🧠")
ENTRIES = st.builds(
    Entry,
    category=st.integers(1, 2**40),
    state=st.sampled_from(["unseen", "accepted", "rejected", "flagged"]),
    comment=st.text(max_size=9),
    locked=st.booleans(),
)


@dataclass
class State:
    """All labels and where they were said, by plane and time, and all rows."""

    labels: dict[tuple[str, int], Any]
    said: dict[tuple[str, int], Any]
    rows: dict[str, Entry] = field(default_factory=dict)

    def copy(self) -> State:
        return State(
            {k: v.copy() for k, v in self.labels.items()}, {k: v.copy() for k, v in self.said.items()}, dict(self.rows)
        )

    def same(self, other: State) -> bool:
        pairs = [(self.labels[k], other.labels[k]) for k in self.labels] + [
            (self.said[k], other.said[k]) for k in self.said
        ]
        return self.rows == other.rows and all(np.array_equal(a, b) for a, b in pairs)


class StoreMachine(RuleBasedStateMachine):
    """Every state there ever was is remembered whole."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(connect(self.folder))

    @initialize(shape=SHAPES, laid=st.integers(0, 3))
    def begin(self, shape: tuple[tuple[int, ...], int], laid: int) -> None:
        grid, self.times = shape
        self.store.add_image(an_image((5, 5), fingerprint="in between"))
        self.image = self.store.add_image(an_image(grid, self.times)).id
        keys = [(plane, time) for plane in PLANES for time in range(self.times)]
        self.now = State({k: np.zeros(grid, np.uint64) for k in keys}, {k: np.zeros(grid, bool) for k in keys})
        for plane in PLANES:
            self.store.put_plane(self.image, Plane(plane, plane == "mask", ("one", "two")))
        if laid:
            self.now.labels["mask", 0][...] = laid
            self.store.lay(self.image, step(blocks_of(self.store, self.image, self.now.labels["mask", 0])))
        self.states: dict[int, State] = {0: self.now.copy()}
        self.parents: dict[int, int] = {}
        self.head = 0

    @rule(
        data=st.data(),
        said=st.sampled_from(["add", "keep", "clear"]),
        dtype=st.sampled_from([np.uint8, np.int32, np.int64, np.uint64]),
    )
    def commit(self, data: st.DataObject, said: Any, dtype: Any) -> None:
        after = self.now.copy()
        blocks = {}
        grid = self.store.grid(self.image)
        for _ in range(data.draw(st.integers(0, 3))):
            plane, time = data.draw(st.sampled_from(sorted(after.labels)))
            box = grid.box(number := data.draw(st.integers(0, len(grid) - 1)))
            labels = after.labels[plane, time]
            block = labels[box].copy()
            if block.max(initial=0) > np.iinfo(dtype).max:
                continue
            spans = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in block.shape]
            value = data.draw(st.sampled_from([0, 1, 2, 255, 256, 70_000, 2**33, 2**63]))
            block[tuple(slice(a, b) for a, b in spans)] = min(value, np.iinfo(dtype).max)
            place = Place(plane, time, number)
            if said == "add":
                after.said[plane, time][box] |= block != self.now.labels[plane, time][box]
            elif said == "clear":
                after.said[plane, time][box] = False
            labels[box] = block
            blocks[place] = block.astype(dtype)
        if said == "add":  # a block that was changed twice counts as it is at the end
            for plane, time, number in blocks:
                box = grid.box(number)
                changed = after.labels[plane, time][box] != self.now.labels[plane, time][box]
                after.said[plane, time][box] = self.now.said[plane, time][box] | changed
        rows: dict[str, Entry | None] = data.draw(
            st.dictionaries(st.sampled_from(KEYS), st.none() | ENTRIES, max_size=3)
        )
        for key, entry in rows.items():
            after.rows.pop(key, None)
            if entry is not None:
                after.rows[key] = entry
        made = self.store.commit(self.image, Step("brush", 1.0, "wer 🖌", blocks, rows, said))
        assert (made is None) == after.same(self.now)
        if made is not None:
            changed = [(after.labels[k], self.now.labels[k]) for k in after.labels]
            assert made.voxels == sum(int((a != b).sum()) for a, b in changed)
            touched = set().union(*(np.concatenate([a[a != b], b[a != b]]).tolist() for a, b in changed)) - {0}
            assert set(made.labels) == touched
            self.grow(made.id, after)

    def grow(self, number: int, after: State) -> None:
        assert number > max(self.states)
        self.parents[number], self.head = self.head, number
        self.states[number], self.now = after.copy(), after

    @rule(times=st.integers(1, 4))
    def undo(self, times: int) -> None:
        for _ in range(times):
            change = self.store.undo(self.image, 2.0, "x")
            assert (change is None) == (self.head == 0)
            if change is not None:
                assert change.revision.id == self.head
                self.stepped(change, self.parents[self.head])

    @precondition(lambda self: self.head in self.parents.values())
    @rule(times=st.integers(1, 4))
    def redo(self, times: int) -> None:
        for _ in range(times):
            children = [child for child, parent in self.parents.items() if parent == self.head]
            change = self.store.redo(self.image, 2.0, "x")
            assert (change is None) == (not children)
            if change is not None:
                self.stepped(change, max(children))

    @rule(value=st.integers(1, 60_000), back=st.integers(1, 2), forth=st.integers(1, 3))
    def branch(self, value: int, back: int, forth: int) -> None:
        """Steps back, another step from there, and back and forth over the branching."""
        self.undo(back)
        after = self.now.copy()
        plane, time = PLANES[value % 2], value % self.times
        block = np.full(self.store.grid(self.image).extent(0), value, np.uint16)
        after.labels[plane, time][self.store.grid(self.image).box(0)] = block
        made = self.store.commit(self.image, step({Place(plane, time, 0): block}, said="keep"))
        assert (made is None) == after.same(self.now)
        if made is not None:
            self.grow(made.id, after)
        self.undo(1)
        self.redo(forth)

    def stepped(self, change: Any, head: int) -> None:
        """What the change says, put into what was shown, is what is there now."""
        shown, after = self.now.copy(), self.states[head].copy()
        for place, block in change.blocks.items():
            shown.labels[place.plane, place.time][self.store.grid(self.image).box(place.block)] = block
        for key, entry in change.rows.items():
            shown.rows.pop(key, None)
            if entry is not None:
                shown.rows[key] = entry
        shown.said = after.said
        assert shown.same(after)
        self.head, self.now = head, after

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.states)))
        before, after = self.now, self.states[number].copy()
        change = self.store.restore(self.image, number, 3.0, "x")
        assert (change is None) == after.same(before)
        if change is not None:
            head = self.head
            self.stepped(change, number)
            self.head = head
            changed = [(after.labels[k], before.labels[k]) for k in after.labels]
            assert change.revision.voxels == sum(int((a != b).sum()) for a, b in changed)
            self.grow(change.revision.id, after)

    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.states)))
        for (plane, time), labels in self.states[number].labels.items():
            np.testing.assert_array_equal(self.store.labels(self.image, plane, time, revision=number), labels)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store(connect(self.folder))

    @invariant()
    def all_is_as_remembered(self) -> None:
        for (plane, time), labels in self.now.labels.items():
            np.testing.assert_array_equal(self.store.labels(self.image, plane, time), labels)
            np.testing.assert_array_equal(
                self.store.labels(self.image, plane + "/said", time), self.now.said[plane, time]
            )
        assert self.store.rows(self.image) == self.now.rows
        assert self.store.image(self.image).head == self.head

    @invariant()
    def the_history_is_a_tree(self) -> None:
        history = self.store.history(self.image)
        assert {revision.id: revision.parent for revision in history} == self.parents
        way, number = set(), self.head
        while number:
            way.add(number)
            number = self.parents[number]
        assert {revision.id for revision in history if not revision.undone} == way
        assert self.store.depth(self.image) == len(way)
        assert self.store.history(self.image, 2) == history[:2]

    def teardown(self) -> None:
        while self.store.undo(self.image, 4.0) is not None:
            pass
        self.now, self.head = self.states[0], 0
        self.all_is_as_remembered()
        assert unused_blobs(self.store) == 0
        assert self.store._sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        self.store.close()
        shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("grid", [(0, 5), (4, 0, 4), (1, 1), (1, 1, 1)])
def test_images_without_voxels_and_with_one(tmp_path: Path, grid: tuple[int, ...]) -> None:
    store, image = a_store(tmp_path, grid)
    labels = np.ones(grid, np.int64)
    made = store.commit(image, step(blocks_of(store, image, labels)))
    assert (made is None) == (labels.size == 0)
    np.testing.assert_array_equal(store.labels(image, "mask"), labels)
    store.close()


def test_a_block_that_is_none_of_the_image_is_a_fault(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    whole, edge = np.ones((256, 256), np.uint8), np.ones((256, 44), np.uint8)
    for place, block in [
        (Place("mask", 0, 4), edge),
        (Place("mask", 0, -1), edge),
        (Place("mask", 1, 0), whole),
        (Place("mask", 0, 1), whole),
        (Place("mask", 0, 0), np.ones((1, 256), np.uint8)),  # would be spread over all rows
        (Place(SAID_PLANE, 0, 0), whole),
    ]:
        for what in (store.commit, store.lay):
            with pytest.raises(ValueError, match="is no block of"):
                what(image, step({place: block}))
    assert store.history(image) == []
    numbers = Place("mask", np.int64(0), np.int32(1))  # numbers of numpy are numbers
    assert store.commit(image, step({numbers: edge}, at=np.float64(1))) is not None
    assert store.block(image, Place("mask", 0, 1)).all()
    store.close()


def test_labels_below_zero_change_nothing(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    labels = np.ones((300, 300), np.int32)
    labels[299, 299] = -1
    with pytest.raises(SegError, match="below 0"):
        store.commit(image, step(blocks_of(store, image, labels)))
    assert not store.labels(image, "mask").any()
    assert store.history(image) == store.log(image) == []
    store.close()


def test_what_was_opened_lies_below_all(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    opened = np.full((300, 300), 7, np.uint16)
    store.lay(image, step(blocks_of(store, image, opened), tool="opened"))
    assert store.depth(image) == 0
    assert store.worked_on(image) == set()
    assert store.undo(image, 0.0) is None
    store.commit(image, step({Place("mask", 0, 0): np.zeros((256, 256), np.uint8)}))
    assert store.worked_on(image) == {"mask"}
    with pytest.raises(ValueError, match="kept of the plane mask already"):
        store.lay(image, step(blocks_of(store, image, opened)))
    store.restore(image, 0, 0.0)
    np.testing.assert_array_equal(store.labels(image, "mask"), opened)
    assert [what for _, _, _, what, _, _ in store.log(image)] == ["opened", "brush", "restore"]
    store.close()


def test_blocks_that_differ_are_found(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    labels = np.zeros((300, 300), np.int32)
    labels[280, 280] = 300
    store.commit(image, step(blocks_of(store, image, labels)))
    assert store.differing(image, blocks_of(store, image, labels.astype(np.uint16))) == []
    labels[0, 0] = 1
    labels[280, 280] = 0
    assert store.differing(image, blocks_of(store, image, labels)) == [Place("mask", 0, 0), Place("mask", 0, 3)]
    store.close()


def test_clearing_takes_back_what_was_said_also_where_labels_stay(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    labels = np.ones((300, 300), np.uint8)
    store.commit(image, step(blocks_of(store, image, labels)))
    assert store.labels(image, SAID_PLANE).all()
    cleared = store.commit(image, step({Place("mask", 0, 0): labels[:256, :256]}, said="clear"))
    assert cleared is not None
    assert cleared.voxels == 0
    assert store.labels(image, SAID_PLANE).sum() == 300 * 300 - 256 * 256
    store.undo(image, 0.0)
    assert store.labels(image, SAID_PLANE).all()
    store.close()


def test_a_prediction_is_known_with_its_revision(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    blocks = blocks_of(store, image, np.ones((300, 300), np.uint8))
    origin = Origin("nuclei", "abc", "{}")
    made = store.commit(image, step(blocks, tool="predict", at=5.0, origin=origin))
    assert made is not None
    assert store.commit(image, step(blocks, tool="predict", at=6.0, origin=origin)) is None
    assert store.predictions(image) == [(made.id, at, *origin) for at in (5.0, 6.0)]
    store.close()


def test_the_log_says_what_was_done_by_whom(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    blocks = blocks_of(store, image, np.ones((300, 300), np.uint8))
    made = store.commit(image, step(blocks, at=1.0, who="Zoë\ud800", tool="brush", note="\udcff"))
    assert made is not None
    assert (made.who, made.note) == ("Zoë\\ud800", "\\udcff")  # halves of characters are spelled out
    assert made == store.revision(made.id)
    store.undo(image, 2.0, "b")
    store.redo(image, 0.5, "c")  # the clock went back
    store.restore(image, 0, 3.0)
    store.note(image, 4.0, "d", "export", file="mask.tif")
    what = [("Zoë\\ud800", "brush", 1), ("b", "undo", 1), ("c", "redo", 1), ("", "restore", 2), ("d", "export", 2)]
    assert [(who, tool, revision) for _, who, _, tool, revision, _ in store.log()] == what
    assert [entry[5] for entry in store.log(image)] == [{"voxels": 90_000, "labels": [1]}] * 4 + [{"file": "mask.tif"}]
    assert store.log(image + 1) == []
    rows = {row_key("a: b", object_key(k)): Entry(state="accepted") for k in (12, 7)} | {row_key("a", CASE): Entry()}
    store.commit(image, step({}, tool="accept", rows=rows))
    assert store.log(image)[-1][5] == {"voxels": 0, "labels": [7, 12]}
    store.close()


def test_steps_that_go_on_are_one(tmp_path: Path) -> None:
    """As while a threshold moves: one revision and one line of the log, and what a person does between stays apart."""
    store, image = a_store(tmp_path)
    empty = np.zeros((300, 300), np.uint8)

    def moved(top: int, **about: Any) -> Revision | None:
        labels = empty.copy()
        labels[:top] = 1
        return store.commit(image, step(blocks_of(store, image, labels), tool="thresholds", goes_on=True, **about))

    for top in (5, 200, 20):
        made = moved(top)
    assert made is not None
    assert store.history(image) == [made]
    assert (made.parent, made.voxels, made.labels) == (0, 20 * 300, (1,))
    assert [line[4:] for line in store.log(image)] == [(made.id, {"voxels": 6000, "labels": [1]})]
    moved(30, origin=Origin("m", "0f", "{}"))
    assert [one.voxels for one in store.history(image)] == [9000]
    moved(40)  # after what was predicted another step begins
    store.commit(image, step(blocks_of(store, image, empty), tool="brush"))
    moved(50)
    moved(60, who="somebody else")
    assert [one.tool for one in store.history(image)] == [
        "thresholds",
        "thresholds",
        "brush",
        "thresholds",
        "thresholds",
    ]
    for rows in (50, 0, 40, 30, 0):
        store.undo(image, 0.0)
        assert np.count_nonzero(store.labels(image, "mask")) == rows * 300
    moved(10)
    moved(20)
    assert store.redo(image, 0.0) is None
    store.close()


@pytest.mark.parametrize("name", ["a\udce4.tif", "\ud800"])
def test_names_that_would_not_come_back_are_refused_in_words(tmp_path: Path, name: str) -> None:
    store, image = a_store(tmp_path)
    with pytest.raises(SegError, match="choose a name without broken characters"):
        store.put_plane(image, Plane(name, True))
    with pytest.raises(SegError, match="choose a name without broken characters"):
        store.commit(image, Step("accept", 0.0, rows={name: Entry()}))
    with pytest.raises(SegError, match="choose a name without broken characters"):
        store.commit(image, step({Place(name, 0, 0): np.ones((256, 256), np.uint8)}))
    store.close()


def test_rows_survive_odd_numbers_and_later_versions(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    store.commit(image, Step("class", 0.0, rows={"object 1": Entry(np.int64(3), comment="\ud800 ok")}))  # type: ignore[arg-type]
    assert store.rows(image) == {"object 1": Entry(3, comment="\ud800 ok")}
    store._sql.execute("""UPDATE rows SET value = '{"category": 2, "later": [1]}'""")
    assert store.rows(image) == {"object 1": Entry(2)}
    store.close()


def test_planes_and_images(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    store.put_plane(image, Plane("mask", False, ("nucleus", "Zytoplasma, ä")))
    assert store.planes(image) == [Plane("mask", False, ("nucleus", "Zytoplasma, ä"))]
    with pytest.raises(SegError, match="cannot be called mask/said; choose"):
        store.put_plane(image, Plane(SAID_PLANE, True))
    assert store.find("an image") == store.image(image)
    assert store.find("none") is None
    assert store.move_image(image, "b", "../b.tif").path == "../b.tif"
    for ask in (store.image, store.grid, lambda number: store.commit(number, step({Place("mask", 0, 0): np.ones(3)}))):
        with pytest.raises(SegError, match="no image 99 in this session; choose"):
            ask(99)
    with pytest.raises(SegError, match="no revision 99 any more; choose"):
        store.revision(99)
    store.close()


def test_an_image_of_other_voxels_is_told_apart(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    assert store.confirm(image, "hash of all voxels")
    assert store.confirm(image, "hash of all voxels")
    assert not store.confirm(image, "another")
    store.close()


def test_time_spent_adds_up(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    for day, who, seconds in [("2026-11-25", "a", 1.5), ("2026-11-25", "a", 2.0), ("2026-11-26", "b", 4.0)]:
        store.spend(image, day, who, seconds)
    assert store.spent(image) == 7.5
    assert store.spent(image + 1) == 0
    store.close()


def test_a_volume_of_many_blocks_comes_together(tmp_path: Path) -> None:
    """More blocks than one query or one thread takes, and a dtype that one of them asks for."""
    store, image = a_store(tmp_path, (17, 1500, 1500))
    labels = np.zeros((17, 1500, 1500), np.uint32)
    labels[::4, ::50, ::50] = np.arange(5 * 30 * 30).reshape(5, 30, 30) % 200
    labels[16, 1499, 1499] = 2**20
    made = store.commit(image, step(blocks_of(store, image, labels)))
    assert made is not None
    assert len(made.labels) == 200
    back = store.labels(image, "mask")
    assert back.dtype == np.uint32
    np.testing.assert_array_equal(back, labels)
    assert len(store.changed(image, made.id)) == sum(block.any() for block in blocks_of(store, image, labels).values())
    store.close()


def test_contents_are_kept_once(tmp_path: Path) -> None:
    store, image = a_store(tmp_path, (32, 640, 640))
    store.commit(image, step(blocks_of(store, image, np.full((32, 640, 640), 3, np.uint8))))
    assert store._sql.execute("SELECT count(*) FROM blobs").fetchone() == (2,)  # the threes, and the said
    store.close()


def damage_blob(store: Store) -> None:
    store._sql.execute("UPDATE blobs SET data = x'0100'")


def lose_blob(store: Store) -> None:
    store._sql.execute("DELETE FROM blobs")


@pytest.mark.parametrize("harm", [damage_blob, lose_blob])
def test_damaged_contents_are_told_and_cost_nothing_else(tmp_path: Path, harm: Callable[[Store], None]) -> None:
    store, image = a_store(tmp_path)
    for value in (1, 2):
        store.commit(image, step(blocks_of(store, image, np.full((300, 300), value, np.uint8))))
    harm(store)
    assert store.damaged == 0
    assert not store.labels(image, "mask").any()
    assert store.damaged > 0
    store.commit(image, step(blocks_of(store, image, np.zeros((300, 300), np.uint8))))  # what is shown is no change
    assert store.depth(image) == 2
    labels = np.zeros((300, 300), np.uint8)
    labels[:5, :5] = 3
    store.commit(image, step(blocks_of(store, image, labels)))
    np.testing.assert_array_equal(store.labels(image, "mask"), labels)
    for _ in range(3):
        assert store.undo(image, 0.0) is not None
    store.restore(image, 1, 0.0)
    assert store.damaged > 0
    store.close()


@pytest.mark.parametrize(
    "harm", ["UPDATE images SET grid = 'x'", "UPDATE images SET grid = '7'", "UPDATE revisions SET labels = '{'"]
)
def test_text_that_is_damaged_is_told(tmp_path: Path, harm: str) -> None:
    store, image = a_store(tmp_path)
    store.commit(image, step(blocks_of(store, image, np.ones((300, 300), np.uint8))))
    store._sql.execute(harm)
    with pytest.raises(SegError, match="on the disk; restore the session from a backup"):
        store.history(image)
    store.close()


def test_a_damaged_row_or_class_costs_that_alone(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    store.commit(image, step({}, rows={"mask: object 1": Entry(comment="a"), "mask: object 2": Entry(comment="b")}))
    store._sql.execute("UPDATE rows SET value = '{' WHERE key = 'mask: object 1'")
    store._sql.execute("UPDATE planes SET classes = 'x'")
    store._sql.execute("INSERT INTO blocks VALUES (?, 'mask', 0, 999999, x'00')", (image,))
    assert set(store.rows(image)) == {"mask: object 2"}
    assert store.planes(image) == [Plane("mask", True)]
    assert not store.labels(image, "mask").any()
    assert store.damaged == 2
    store.close()


def test_a_name_is_of_what_it_names(tmp_path: Path) -> None:
    store, image = a_store(tmp_path)
    labels = np.arange(300 * 300, dtype=np.int64).reshape(300, 300)
    store.commit(image, step(blocks_of(store, image, labels)))
    for number, name in store._contents.names(image, "mask", 0).items():
        assert name == digest(smallest(labels[store.grid(image).box(number)]))
    store.close()
