"""New labels of a model go under what a person does meanwhile, and none of their voxels count as said by a person."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import let_arrive
from napari.components import ViewerModel

from napari_seg.editing.annotation import Annotation, Entry, object_key
from napari_seg.editing.edit import edited
from napari_seg.editing.renewal import renewed
from napari_seg.errors import SegError
from napari_seg.gui import renewing
from napari_seg.gui.acts import OTHERWISE
from napari_seg.gui.arrivals import MADE, PREDICTED
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.renewing import Renewal, edits_of, put
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID
from napari_seg.session.store import Store

TOLD = Predicted("spots", "0" * 32, {})
GRID = (60, 70)


class Desk(controlled.Desk):
    """With a predicted mask of two objects, which is renewed."""

    def __init__(self, engine: Any) -> None:
        self.go, self.worked_on = threading.Event(), threading.Event()
        super().__init__(engine)
        self.viewer.add_image(np.random.default_rng(0).integers(0, 255, GRID).astype(np.uint8))
        self.one, self.two = (np.zeros(GRID, bool) for _ in range(2))
        self.one[5:15, 5:15], self.two[30:40, 30:40] = True, True
        about = {MADE: "predict", PREDICTED: TOLD}
        self.layer = self.viewer.add_labels((self.one + 2 * self.two).astype(np.uint16), name="m", metadata=about)
        self.rest()
        self.heard: list[bool] = []
        self.told: list[str] = []

    @property
    def track(self) -> Track:
        track = self.recorder.track(self.layer)
        assert track is not None
        return track

    def put(self, labels: Any, tool: str = "predict", predicted: Predicted | None = TOLD, asked: bool = False) -> None:
        self.go.clear()
        self.worked_on.clear()
        self.recorder._errands._patience = 0.0
        renewal = Renewal(labels.astype(np.uint16), None, tool, predicted)
        put(self.recorder, self.track, renewal, self.heard.append, self.told.append, asked=asked)

    def work_out(self, *about: Any) -> Any:
        """What new labels change, which does not come before :meth:`rest`."""
        self.worked_on.set()
        assert self.go.wait(60)
        return renewed(*about)

    @property
    def done(self) -> int:
        return len(self.heard)

    def paint(self, *rows: int) -> None:
        """A stroke of one of our tools."""
        box = (slice(rows[0], rows[-1] + 1), slice(50, 55))
        wanted = np.full((rows[-1] + 1 - rows[0], 5), 7)
        self.recorder.apply(self.track, edited(self.recorder.annotation(self.track), "brush", [(box, wanted)]))

    def come(self) -> None:
        """What new labels change is being worked out."""
        self.until(self.worked_on.is_set)
        self.recorder._errands._patience = 0.0  # nobody waits for it

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not done():
            assert time.monotonic() < end
            let_arrive(self.recorder, 1)

    def rest(self) -> None:
        """Everything that is under way is done, but for what waits for the end of a stroke."""
        self.go.set()
        turns, end = 0, time.monotonic() + 5
        while turns < 20 or not (self.recorder.rests or self.track.in_hand or time.monotonic() > end):
            turns += 1
            let_arrive(self.recorder, 1)

    def ask(self, work: Any) -> Any:
        return self.track.session.writer.call(work).result()

    @property
    def said(self) -> np.ndarray[Any, Any]:
        """Where a person has changed something."""
        row, plane = self.track.row, self.track.plane
        return np.asarray(self.ask(lambda store: store.labels(row.id, plane + SAID)) > 0)

    @property
    def steps(self) -> list[str]:
        row = self.track.row
        return [revision.tool for revision in self.ask(lambda store: store.history(row.id))][::-1]


@pytest.fixture
def desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(renewing, "renewed", desk.work_out)
    yield desk
    desk.go.set()


def test_the_number_in_hand_stays_one_that_no_object_has(desk: Desk) -> None:
    assert desk.layer.selected_label == 3
    third = np.zeros(GRID, bool)
    third[45:55, 45:55] = True
    desk.put(desk.one + 2 * desk.two + 3 * third)
    desk.rest()
    assert (desk.layer.data == 3).any()
    assert desk.layer.selected_label == 4


@pytest.mark.parametrize("entry", [Entry(state="accepted", comment="lesion"), Entry(locked=True)])
def test_what_is_said_of_an_object_meanwhile_counts(desk: Desk, entry: Entry) -> None:
    desk.put(desk.one)  # without the second object
    desk.come()
    desk.recorder.say(desk.track, {object_key(2): entry}, "accept")
    desk.rest()
    assert desk.done == 1
    assert np.array_equal(desk.layer.data == 2, desk.two)
    assert desk.recorder.rows(desk.track) == {object_key(2): entry}
    desk.put(desk.one)
    desk.rest()
    assert np.array_equal(desk.layer.data == 2, desk.two)
    assert desk.heard[-1] is False


def test_an_object_that_is_painted_on_meanwhile_stays_whole(desk: Desk) -> None:
    desk.put(desk.one)
    desk.come()
    here = np.array([[50, 50], [52, 53]])  # far from what the new labels are about
    desk.layer.data_setitem(tuple(here), 2)
    desk.rest()
    assert desk.done == 1
    assert np.count_nonzero(desk.layer.data == 2) == desk.two.sum() + 2


@pytest.mark.parametrize("begun", ["before", "meanwhile"])
def test_a_stroke_under_way_is_waited_for(desk: Desk, begun: str) -> None:
    box = (slice(50, 55), slice(50, 55))
    edit = edited(desk.recorder.annotation(desk.track), "brush", [(box, np.full((5, 5), 7))])
    if begun == "before":
        desk.recorder.sketch(desk.track, edit)
    desk.put(desk.one)
    if begun == "meanwhile":
        desk.come()
        desk.recorder.sketch(desk.track, edit)
    desk.rest()
    assert desk.done == 0
    desk.recorder.keep(desk.track, edit)
    desk.rest()
    assert desk.done == 1
    assert np.array_equal(desk.layer.data == 7, desk.said)
    assert desk.said.sum() == 25


@pytest.mark.parametrize("how", ["our tool", "napari's brush", "no event"])
def test_painting_while_thresholds_move_says_nothing_of_the_rest(desk: Desk, how: str) -> None:
    for wider in (1, 2):
        moved = np.zeros(GRID, bool)
        moved[5 - wider : 15 + wider, 5 - wider : 15 + wider] = True
        desk.put(moved, "thresholds", None)
        desk.rest()
    assert desk.steps == ["predict", "thresholds"]  # one step, however often they move
    if how == "our tool":
        desk.paint(50, 54)
    elif how == "napari's brush":
        desk.layer.data_setitem(tuple(np.indices((5, 5)).reshape(2, -1) + 50), 7)
    else:
        desk.layer.data[50:55, 50:55] = 7
        desk.recorder.sweep()
    desk.rest()
    by_hand = np.zeros(GRID, bool)
    by_hand[50:55, 50:55] = True
    assert np.array_equal(desk.said, by_hand)
    desk.put(desk.one, "thresholds", TOLD)
    desk.rest()
    assert np.array_equal(desk.said, by_hand)
    assert np.array_equal(desk.layer.data == 1, desk.one)
    assert (desk.layer.data[by_hand] == 7).all()
    for _ in range(3):
        desk.layer.undo()
    assert np.array_equal(desk.layer.data, desk.one + 2 * desk.two)


def in_another_window(desk: Desk, engine: Any) -> Any:
    """The mask as it is there once the window was closed, and its image is open in another."""
    image = desk.viewer.layers[0].data
    desk.recorder.close()
    viewer = ViewerModel()
    desk.recorder = Recorder(viewer, engine)
    viewer.add_image(image)
    desk.rest()
    return viewer.layers["m"]


def test_what_thresholds_showed_is_there_again(desk: Desk, engine: Any) -> None:
    desk.put(desk.one, "thresholds", None)
    desk.rest()
    assert np.array_equal(in_another_window(desk, engine).data, desk.one)


def test_a_step_back_comes_after_the_renewal_that_was_asked_for_before(desk: Desk) -> None:
    desk.paint(50, 54)
    desk.rest()
    painted = desk.layer.data.copy()
    desk.put(desk.one, "accept suggestion", asked=True)
    desk.come()
    desk.layer.undo()
    desk.rest()
    assert desk.heard == [True]
    assert np.array_equal(desk.layer.data, painted)
    desk.layer.redo()
    desk.rest()
    assert not (desk.layer.data == 2).any()
    assert (desk.layer.data == 7).any()
    desk.layer.undo()
    desk.layer.undo()
    desk.rest()
    assert np.array_equal(desk.layer.data, desk.one + 2 * desk.two)


def test_what_is_said_after_the_renewal_that_was_asked_for_comes_after_it(desk: Desk) -> None:
    desk.put(desk.one, "accept suggestion", asked=True)
    desk.come()
    desk.recorder.say(desk.track, {"case": Entry(state="accepted")}, "case accepted")
    desk.rest()
    assert not (desk.layer.data == 2).any()
    assert desk.steps == ["predict", "accept suggestion", "case accepted"]


@pytest.mark.parametrize("asked", [False, True])
def test_an_array_that_comes_meanwhile_counts_as_said(desk: Desk, asked: bool) -> None:
    desk.put(desk.one, asked=asked)
    desk.come()
    desk.layer.data = (7 * desk.two).astype(np.uint16)
    desk.rest()
    assert desk.done == 1
    assert np.array_equal(desk.layer.data == 7, desk.two)
    kept = desk.ask(lambda store: store.labels(desk.track.row.id, desk.track.plane))
    assert np.array_equal(desk.layer.data, kept)


@pytest.mark.parametrize("reopened", ["at once", "later"])
def test_a_mask_that_is_closed_meanwhile_is_renewed_all_the_same(desk: Desk, reopened: str) -> None:
    before = desk.layer.data.copy()
    desk.put(desk.one, "accept suggestion", asked=True)
    desk.come()
    desk.viewer.layers.remove(desk.layer)
    if reopened == "at once":
        desk.layer = desk.viewer.add_labels(before.copy(), name="m")
        let_arrive(desk.recorder, 8)
        desk.go.set()
    else:
        desk.go.set()
        desk.until(lambda: desk.recorder.rests)
        desk.layer = desk.viewer.add_labels(before.copy(), name="m")
    desk.until(lambda: desk.recorder.track(desk.layer) is not None)
    desk.rest()
    assert np.array_equal(desk.layer.data, desk.one)
    assert desk.steps[-1] == "accept suggestion"


def test_a_window_that_is_closed_meanwhile_keeps_it(desk: Desk, engine: Any) -> None:
    desk.put(desk.one, "accept suggestion", asked=True)
    desk.come()
    assert desk.recorder.at_work  # so the window waits
    desk.go.set()
    assert np.array_equal(in_another_window(desk, engine).data, desk.one)


def test_why_a_mask_cannot_be_renewed_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = desk.layer.data.copy()

    def damaged(*about: Any) -> Any:
        raise SegError("The disk is damaged; restore it.")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "labels", damaged)
        desk.put(desk.one)
        desk.rest()
    assert (desk.heard, desk.told) == ([], ["The disk is damaged; restore it."])
    assert np.array_equal(desk.layer.data, before)
    assert desk.recorder.rests
    desk.put(desk.one)
    desk.come()
    desk.layer.data = np.zeros((9, 9), np.uint16)  # nothing that can be kept of this mask
    desk.go.set()
    desk.until(lambda: desk.recorder.rests)
    assert desk.told[1] == OTHERWISE.format(name="m")


def test_new_objects_of_several_times_get_numbers_of_their_own() -> None:
    frame = np.zeros((20, 30), np.uint8)
    frame[2:8, 2:8], frame[2:8, 12:18] = 1, 2
    film = np.stack([frame] * 3)
    nothing = {time: np.zeros((20, 30), np.uint8) for time in range(3)}
    frozen = {time: Annotation.of(nothing[time]) for time in range(3)}
    edits = edits_of(Renewal(film, None, "predict", None), frozen, nothing)
    found = [set(np.unique(patch.after).tolist()) - {0} for edit in edits.values() for patch in edit.patches]
    assert sorted(number for numbers in found for number in numbers) == [1, 2, 3, 4, 5, 6]
