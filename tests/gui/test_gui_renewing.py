"""New labels of a model go under what a person does meanwhile, and none of their voxels count as said by a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from controlled import let_arrive
from napari.components import ViewerModel

from napari_seg.editing.annotation import Entry, object_key
from napari_seg.editing.edit import edited
from napari_seg.gui.arrivals import MADE, PREDICTED
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.renewing import Renewal, Renewing
from napari_seg.gui.track import Track
from napari_seg.session.predicted import Predicted
from napari_seg.session.records import SAID

TOLD = Predicted("spots", "0" * 32, {})
GRID = (60, 70)


class Desk:
    """A predicted mask of two objects, and one who renews it."""

    def __init__(self, engine: Any) -> None:
        self.viewer, self.engine = ViewerModel(), engine
        self.recorder = Recorder(self.viewer, engine)
        self.renewing = Renewing(self.recorder, engine)
        self.viewer.add_image(np.random.default_rng(0).integers(0, 255, GRID).astype(np.uint8))
        self.one, self.two = (np.zeros(GRID, bool) for _ in range(2))
        self.one[5:15, 5:15], self.two[30:40, 30:40] = True, True
        about = {MADE: "predict", PREDICTED: TOLD}
        self.layer = self.viewer.add_labels((self.one + 2 * self.two).astype(np.uint16), name="m", metadata=about)
        self.rest()
        self.heard: list[bool] = []

    @property
    def track(self) -> Track:
        track = self.recorder.track(self.layer)
        assert track is not None
        return track

    def put(self, labels: Any, tool: str = "predict", predicted: Predicted | None = TOLD) -> None:
        self.renewing.put(self.track, Renewal(labels.astype(np.uint16), None, tool, predicted), self.heard.append)

    @property
    def done(self) -> int:
        return len(self.heard)

    def paint(self, *rows: int) -> None:
        """A stroke of one of our tools."""
        box = (slice(rows[0], rows[-1] + 1), slice(50, 55))
        wanted = np.full((rows[-1] + 1 - rows[0], 5), 7)
        self.recorder.apply(self.track, edited(self.recorder.annotation(self.track), "brush", [(box, wanted)]))

    def come(self) -> None:
        """What the session has to say is here; what threads have to do is not done."""
        self.track.session.writer.flush(10)
        self.recorder.tick()

    def rest(self) -> None:
        """Everything that is under way is done, but for what waits for the end of a stroke."""
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
def desk(engine: Any) -> Iterator[Desk]:
    made = Desk(engine)
    yield made
    made.recorder.close()


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


def test_what_thresholds_showed_is_there_again(desk: Desk, engine: Any) -> None:
    desk.put(desk.one, "thresholds", None)
    desk.rest()
    image = desk.viewer.layers[0].data
    desk.recorder.close()
    viewer = ViewerModel()
    desk.recorder = Recorder(viewer, engine)
    viewer.add_image(image)
    desk.rest()
    assert np.array_equal(viewer.layers["m"].data, desk.one)
