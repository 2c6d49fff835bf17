"""The history: read in pieces, in words and pictures; looking changes nothing, restoring is a step like any other."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import let_arrive
from hypothesis import given
from hypothesis import strategies as st
from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer

from napari_seg.data.samples import SAMPLES, labels_of, path_of
from napari_seg.editing.annotation import Entry, object_key
from napari_seg.editing.edit import edited
from napari_seg.errors import SegError
from napari_seg.gui.arrivals import is_only_shown
from napari_seg.gui.change_picture import ADDED, GONE, GROUND, MOST, OTHER, STAYED, change_picture, to_look_at
from napari_seg.gui.history import HistoryDialog
from napari_seg.gui.history_log import HEADINGS, log_csv
from napari_seg.gui.history_model import PIECE, HistoryModel
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.revisions import Steps, as_it_was, done_words, extent, joined, title, when
from napari_seg.gui.save_as import save_csv
from napari_seg.session.blocks import Grid
from napari_seg.session.records import Place, Revision, Step

SHAPE = (20, 70, 130)
NOON = datetime(2026, 3, 4, 12, 31, 7)


def revision(number: int, parent: int, **about: Any) -> Revision:
    known = {"at": NOON.timestamp(), "who": "", "tool": "brush", "labels": (1,), "voxels": 9, "note": "", **about}
    return Revision(number, parent, **known)


# words


def test_words_of_steps() -> None:
    earlier = revision(3, 0, at=NOON.replace(day=2).timestamp())
    steps = Steps(9, (revision(9, 3), earlier), {4: "nuclei2d"}, True)
    said = [
        revision(5, 3, tool="brush"),
        revision(4, 3, tool="predict"),
        revision(6, 3, tool="predict"),
        revision(7, 3, tool="other"),
        revision(8, 3, tool="restore", note="3"),
        revision(8, 3, tool="restore", note="0"),
        revision(8, 3, tool="restore", note="2"),
        revision(8, 3, tool="warp field"),
    ]
    assert [title(step, steps, NOON) for step in said] == [
        "Brush",
        "Segmented by nuclei2d",
        "Segmented",
        "Changed by another program",
        "Restored: as it was on 2 March, 12:31",
        "Restored: as it was opened",
        "Restored",
        "Warp field",
    ]
    assert done_words("undo") == "Undone"


def test_words_of_times_and_extents() -> None:
    assert when(NOON.timestamp(), NOON) == "12:31:07"
    assert as_it_was(NOON.timestamp(), NOON) == "as it was at 12:31:07"
    assert as_it_was(NOON.replace(year=2024).timestamp(), NOON) == "as it was on 4 March 2024, 12:31"
    assert extent(revision(1, 0), 3) == "label 1, 9 voxels"
    assert extent(revision(1, 0, labels=(), voxels=0), 3) == ""
    assert extent(revision(1, 0, labels=(2, 7), voxels=1), 2) == "labels 2 and 7, 1 pixel"
    assert extent(revision(1, 0, labels=(2, 7, 8), voxels=1), 2) == "labels 2, 7 and 8, 1 pixel"
    assert extent(revision(1, 0, labels=tuple(range(1, 6)), voxels=12345), 3) == "5 labels, 12\u202f345 voxels"
    assert extent(revision(1, 0, labels=tuple(range(1, 1001)), voxels=2000), 3).startswith("1000 labels or more")


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30), st.data())
def test_what_was_read_before_and_what_is_new_are_one_list(backward: list[int], data: st.DataObject) -> None:
    """Whatever was read when, and wherever the image stands: the list is as if all had been read at once."""
    parents = [max(0, number - back) for number, back in enumerate(backward, 1)]

    def read(count: int, head: int, limit: int) -> Steps:
        way, at = set(), head
        while at:
            way.add(at)
            at = parents[at - 1]
        found = [revision(k, parents[k - 1], undone=k not in way) for k in range(count, max(0, count - limit), -1)]
        return Steps(head, tuple(found), {}, len(found) < limit)

    known, count = Steps(complete=False), 0
    for _ in range(4):
        count = data.draw(st.integers(count, len(parents)))
        head, limit = data.draw(st.integers(0, count)), data.draw(st.integers(1, 31))
        known = joined(known, read(count, head, limit))
        length = len(known.revisions)
        assert length >= min(limit, count)
        assert length == count or not known.complete
        assert (known.head, known.revisions) == (head, read(count, head, max(length, 1)).revisions)


# pictures


def test_a_picture_shows_what_was_added_taken_away_and_given_another_label() -> None:
    grid = Grid((40, 40))
    before, after = np.zeros((2, 40, 40), np.uint8)
    before[10:30, 10:30] = after[10:30, 10:30] = 1
    after[10:14, 10:30] = 0
    after[30:34, 10:30] = 2
    after[20:24, 10:20] = 5
    picture = change_picture({Place("p", 0, 0): (before, after)}, grid, (), 64)
    assert picture is not None
    seen = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert seen == {GROUND, STAYED, ADDED, GONE, OTHER}
    rows = {colour: np.argwhere((picture == colour).all(-1))[:, 0].mean() for colour in (GONE, OTHER, ADDED)}
    assert rows[GONE] < rows[OTHER] < rows[ADDED]


def test_of_a_volume_the_slice_with_the_most_changes_in_its_proportions() -> None:
    grid = Grid((20, 70, 130))
    labels = np.zeros((20, 70, 130), np.uint16)
    labels[18, 60:70, 60:70] = 7  # over the border of blocks, at the far end
    labels[17, 60:63, 60:63] = 7
    labels[3, 60:62, 60:62] = 7
    changed = {Place("p", 0, n): (np.zeros(grid.extent(n), np.uint8), labels[grid.box(n)]) for n in range(len(grid))}
    changed = {place: (old, new) for place, (old, new) in changed.items() if new.any()}
    places = to_look_at(changed, grid)
    assert {grid.box(place.block)[0].start for place in places} == {16}
    seen = {place: changed[place] for place in places}
    for spacing, ratio in (((5, 1, 1), 1.0), ((5, 2, 1), 2.0), ((5, 1, 2), 0.5)):
        picture = change_picture(seen, grid, spacing, 100)
        assert picture is not None
        at = np.argwhere((picture == ADDED).all(-1))
        height, width = np.ptp(at, axis=0) + 1
        assert height / width == pytest.approx(ratio, rel=0.15)


def test_single_pixels_far_apart_are_seen() -> None:
    grid = Grid((1000, 1000))
    after = np.zeros((1000, 1000), np.uint8)
    after[3, 3] = after[996, 990] = 1
    changed = {Place("p", 0, n): (np.zeros(grid.extent(n), np.uint8), after[grid.box(n)]) for n in range(len(grid))}
    picture = change_picture(changed, grid, (), 40)
    assert picture is not None
    assert (picture == ADDED).all(-1).sum() == 2


def test_a_picture_of_nothing_and_of_very_much() -> None:
    grid = Grid((16, 1024, 1024))
    same = np.ones(grid.extent(0), np.uint8)
    assert change_picture({}, grid, (), 40) is None
    assert change_picture({Place("p", 0, 0): (same, same)}, grid, (), 40) is None
    assert to_look_at([], grid) == []
    assert len(to_look_at([Place("p", 0, n) for n in range(len(grid))], grid)) == MOST


# the log


def test_the_log_as_a_table(tmp_path: Path) -> None:
    lines = [
        (NOON.timestamp(), 'Ann "A", MD', 1, "split", 3, {"voxels": 12, "labels": [4, 9]}),
        (NOON.timestamp(), "", 1, "export", 3, {"path": "é.nii"}),
    ]
    save_csv(log_csv(lines), tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.reader(file))
    assert tuple(found[0]) == HEADINGS
    assert datetime.fromisoformat(found[1][0]) == NOON.astimezone()
    assert found[1][1:] == ['Ann "A", MD', "Split by line", "split", "3", "4 9", "12", ""]
    assert found[2][1:] == ["", "Exported", "export", "3", "", "", '{"path": "é.nii"}']
    assert log_csv([]) == ",".join(HEADINGS) + "\n"
    with pytest.raises(SegError, match="choose another folder"):
        save_csv(log_csv(lines), tmp_path / "nowhere" / "log.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


# the list


def test_thousands_of_steps_are_read_in_pieces_and_few_pictures_are_made(qtbot: Any) -> None:
    model, asked, drawn = HistoryModel(), [], []
    model.more.connect(asked.append)
    model.wanted.connect(drawn.append)
    model.clear(NOON.timestamp(), 3)
    everything = [revision(k, k - 1) for k in range(3000, 0, -1)]

    def answer(limit: int) -> None:
        model.render(Steps(3000, tuple(everything[:limit]), {}, limit > 3000))

    answer(PIECE)
    assert model.rowCount() == PIECE
    while model.canFetchMore(model.index(-1)):
        model.fetchMore(model.index(-1))
        assert not model.canFetchMore(model.index(-1))
        answer(asked[-1])
    assert len(asked) < 6
    assert model.rowCount() == 3001
    assert model.number(3000) == 0
    assert drawn == []
    for row in (5, 6, 7):
        model.data(model.index(row), Qt.ItemDataRole.DecorationRole)
    assert drawn == [2995]  # one at a time
    model.take_picture(2995, np.zeros((4, 4, 3), np.uint8))
    assert drawn == [2995, 2993]  # the newest wish first


def test_new_steps_come_on_top_and_nothing_jumps(qtbot: Any) -> None:
    model, resets = HistoryModel(), []
    model.clear(NOON.timestamp(), 3)
    model.modelReset.connect(lambda: resets.append(1))
    model.render(Steps(2, (revision(2, 1), revision(1, 0)), {}, True))
    model.render(Steps(1, (revision(2, 1, undone=True), revision(1, 0)), {}, True))
    third = (revision(3, 1), revision(2, 1, undone=True), revision(1, 0))
    model.render(Steps(3, third, {}, True))
    assert resets == []
    words = [model.data(model.index(row)).splitlines()[0] for row in range(4)]
    assert words == ["Brush   (now)", "Brush   (undone)", "Brush", "As it was opened"]
    assert model.data(model.index(1), Qt.ItemDataRole.ForegroundRole) == model.faint
    assert [model.row_of(number) for number in (3, 2, 1, 0, 9)] == [0, 1, 2, 3, -1]


# the dialog


@pytest.fixture
def scan() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)


@pytest.fixture
def opened(engine: Any, scan: np.ndarray, qtbot: Any) -> Iterator[tuple[ViewerModel, Recorder, Any, HistoryDialog]]:
    """A mask of one session, and its history after a stroke, a step that was undone, and another stroke."""
    viewer = ViewerModel()
    recorder = Recorder(viewer, engine, "Ann")
    viewer.add_image(scan, name="scan", scale=(2, 1, 1))
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint16), name="mask", scale=(2, 1, 1))
    dialog = HistoryDialog(viewer, recorder)
    qtbot.addWidget(dialog)
    let_arrive(recorder)
    viewer.dims.set_point(0, 10)
    layer.paint((5, 20, 30), 3)
    let_arrive(recorder)
    layer.paint((5, 40, 90), 4)
    let_arrive(recorder)
    layer.undo()
    layer.paint((5, 50, 50), 8)
    let_arrive(recorder)
    dialog.show_for(layer)
    let_arrive(recorder)
    yield viewer, recorder, layer, dialog
    recorder.close()


def choose(dialog: HistoryDialog, row: int) -> None:
    """Choose a row and wait until it is seen."""
    dialog.list.setCurrentIndex(dialog.model.index(row))
    dialog._rest.stop()
    dialog._look()
    let_arrive(dialog._recorder)


def catch_up(dialog: HistoryDialog) -> None:
    """Let the list follow what was done."""
    let_arrive(dialog._recorder)
    dialog._soon.stop()
    dialog._read_newest()
    let_arrive(dialog._recorder)


def firsts(dialog: HistoryDialog) -> list[str]:
    return [dialog.model.data(dialog.model.index(row)).splitlines()[0] for row in range(dialog.model.rowCount())]


def test_the_steps_are_listed_with_their_pictures(opened: Any) -> None:
    _, recorder, layer, dialog = opened
    assert dialog.windowTitle() == "History of scan"
    undone = "Changed with napari   (undone)"
    assert firsts(dialog) == ["Changed with napari   (now)", undone, "Changed with napari", "As it was opened"]
    assert "Ann" in dialog.model.data(dialog.model.index(0))
    assert f"label 8, {np.count_nonzero(layer.data == 8)} voxels" in dialog.model.data(dialog.model.index(0))
    for row in range(4):
        dialog.model.data(dialog.model.index(row), Qt.ItemDataRole.DecorationRole)
    let_arrive(recorder)
    assert set(dialog.model._pictures) == {1, 2, 3}


def test_looking_shows_how_it_was_and_leaves_no_trace(opened: Any) -> None:
    viewer, recorder, layer, dialog = opened
    viewer.layers.selection.active = layer
    before, steps = layer.data.copy(), recorder.safe.steps
    for row, labels in ((2, {0, 3}), (1, {0, 3, 4}), (3, {0})):
        choose(dialog, row)
        shown = dialog.look.layer
        assert set(np.unique(shown.data)) == labels
        assert len(viewer.layers) == 3
        assert viewer.layers.index(shown) == viewer.layers.index(layer) + 1
        np.testing.assert_allclose(shown.scale, (2, 1, 1))
        assert shown.name.startswith("mask, as it was ")
        assert not shown.editable
        assert not shown.data.flags.writeable
        assert is_only_shown(shown)
        assert not layer.visible
        assert viewer.layers.selection.active is layer
        assert recorder.track(shown) is None
        np.testing.assert_array_equal(layer.data, before)
    recorder.settle()
    let_arrive(recorder)
    choose(dialog, 0)  # how it is now
    assert dialog.look.layer is None
    assert dialog.said.text() == "This is how it is now."
    assert layer.visible
    assert len(viewer.layers) == 2
    assert recorder.safe.steps == steps
    catch_up(dialog)
    assert len(firsts(dialog)) == 4
    assert len(recorder.arrivals.sessions) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda viewer, layer: setattr(layer, "mouse_pan", False),  # as a tool of ours does
        lambda viewer, layer: setattr(layer, "visible", True),
        lambda viewer, layer: viewer.layers.remove(viewer.layers[2]),
        lambda viewer, layer: layer.paint((5, 20, 30), 9),
    ],
)
def test_who_goes_on_working_sees_the_mask_again(opened: Any, work: Callable[[Any, Any], None]) -> None:
    viewer, _, layer, dialog = opened
    choose(dialog, 2)
    assert not layer.visible
    work(viewer, layer)
    assert layer.visible
    assert dialog.look.layer is None
    assert len(viewer.layers) == 2


def test_a_step_made_while_somebody_looks_ends_the_look(opened: Any) -> None:
    _, _, layer, dialog = opened
    choose(dialog, 3)
    layer.undo()
    catch_up(dialog)
    assert dialog.look.layer is None
    assert layer.visible
    assert firsts(dialog)[2] == "Changed with napari   (now)"
    assert not dialog.list.selectionModel().currentIndex().isValid()


def test_restoring_is_a_step_and_has_its_own_undo(opened: Any) -> None:
    _, _, layer, dialog = opened
    before = layer.data.copy()
    assert not dialog.restore.isEnabled()
    choose(dialog, 1)  # of the branch that was undone
    dialog.restore.click()
    assert dialog.look.layer is None
    assert layer.visible
    assert set(np.unique(layer.data)) == {0, 3, 4}
    catch_up(dialog)
    assert firsts(dialog)[0].startswith("Restored: as it was at ")
    assert dialog.said.text().startswith("Restored: as it was at ")
    assert dialog.undo.isVisible()
    dialog.undo.click()
    np.testing.assert_array_equal(layer.data, before)
    catch_up(dialog)
    assert not dialog.undo.isVisible()
    assert firsts(dialog)[:2] == [firsts(dialog)[0], "Changed with napari   (now)"]
    choose(dialog, 4)
    dialog.restore.click()
    assert not layer.data.any()


def test_escape_ends_the_look_first_and_closes_then(opened: Any, qtbot: Any) -> None:
    _, _, layer, dialog = opened
    choose(dialog, 2)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.isVisible()
    assert layer.visible
    choose(dialog, 2)
    dialog.close()
    assert layer.visible
    assert dialog.look.layer is None
    dialog.show_for(layer)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_an_answer_that_comes_after_another_mask_was_chosen_is_dropped(opened: Any) -> None:
    viewer, recorder, layer, dialog = opened
    other = viewer.add_labels(np.zeros((7, 8), np.uint8), name="other")
    let_arrive(recorder)
    dialog.list.setCurrentIndex(dialog.model.index(2))
    dialog._look()
    dialog.show_for(other)
    let_arrive(recorder)
    assert dialog.look.layer is None
    assert layer.visible
    assert firsts(dialog) == ["As it was opened   (now)"]


def test_a_mask_that_goes_takes_its_look_along(opened: Any) -> None:
    viewer, recorder, layer, dialog = opened
    choose(dialog, 2)
    viewer.layers.remove(layer)
    assert [one.name for one in viewer.layers] == ["scan"]
    assert dialog.look.layer is None
    assert "no history" in dialog.said.text()
    assert not dialog.restore.isEnabled()
    let_arrive(recorder)


def test_where_nothing_can_be_kept_it_can_be_looked_at(opened: Any, engine: Any, scan: np.ndarray, qtbot: Any) -> None:
    viewer = ViewerModel()
    second = Recorder(viewer, engine, "Ben")
    viewer.add_image(scan, name="scan")
    layer = viewer.add_labels(np.zeros(SHAPE, np.uint16), name="mask")
    let_arrive(second)
    dialog = HistoryDialog(viewer, second)
    qtbot.addWidget(dialog)
    dialog.show_for(layer)
    let_arrive(second)
    choose(dialog, 2)
    assert set(np.unique(dialog.look.layer.data)) == {0, 3}
    assert not dialog.restore.isEnabled()
    assert "another window" in dialog.restore.toolTip()
    dialog.close()
    second.close()


def test_the_log_is_saved_from_the_dialog(opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, recorder, _, dialog = opened
    monkeypatch.setattr("napari_seg.gui.history.ask_for_csv", lambda *about: tmp_path / "mine.csv")
    dialog.save.click()
    let_arrive(recorder)
    assert dialog.said.text() == "Saved mine.csv with 5 lines."
    lines = (tmp_path / "mine.csv").read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(",")[3] for line in lines[1:]] == ["opened", "edit", "edit", "undo", "edit"]
    dialog.write(tmp_path / "nowhere" / "log.csv")
    let_arrive(recorder)
    assert "choose another folder" in dialog.said.text()


def test_in_the_window(make_napari_viewer: Callable[..., Any], plugin: None, qtbot: Any) -> None:
    """A sample with its labels and many steps: the list opens, scrolls, shows and restores, and the window lives on."""
    from napari_seg.data.formats import read

    viewer = make_napari_viewer(show=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    assert "head_mr" in SAMPLES
    viewer.add_image(np.asarray(read(path_of("head_mr")).data), name="head")
    layer = viewer.add_labels(np.asarray(read(labels_of("head_mr")).data), name="mask")
    recorder = panel.controller.recorder
    qtbot.waitUntil(lambda: recorder.track(layer) is not None, timeout=20_000)
    track = recorder.track(layer)

    def paint(store: Any) -> Any:
        for k in range(250):
            place = Place(track.plane, 0, k % 4)
            block = store.block(track.row.id, place).astype(np.uint16)
            block[2:5, 10:20, 10:20] = k + 1
            store.commit(track.row.id, Step("brush", time.time(), "Ann", {place: block}))
        return store.labels(track.row.id, track.plane)

    track.show(track.session.writer.call(paint).result())
    before = layer.data.copy()
    dialog = HistoryDialog(viewer, recorder, viewer.window._qt_window)
    beats: list[float] = []
    heart = QTimer()
    heart.timeout.connect(lambda: beats.append(time.thread_time()))
    heart.start(5)
    dialog.show_for(layer)
    qtbot.waitUntil(lambda: dialog.model.rowCount() == PIECE, timeout=20_000)
    qtbot.waitUntil(lambda: len(dialog.model._pictures) > 3, timeout=20_000)
    while not dialog.model.steps.complete:
        count = dialog.model.rowCount()
        dialog.list.scrollToBottom()
        qtbot.waitUntil(lambda count=count: dialog.model.rowCount() > count, timeout=20_000)
    heart.stop()
    assert dialog.model.rowCount() == 251
    assert max(np.diff(beats)) < 0.1
    row = dialog.model.index(248)
    dialog.list.scrollTo(row)
    qtbot.mouseClick(dialog.list.viewport(), Qt.MouseButton.LeftButton, pos=dialog.list.visualRect(row).center())
    qtbot.waitUntil(lambda: dialog.look.layer is not None, timeout=20_000)
    assert set(np.unique(dialog.look.layer.data)) >= {1, 2}
    assert dialog.look.layer.data.max() < 250
    np.testing.assert_array_equal(layer.data, before)
    qtbot.mouseClick(dialog.restore, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.undo.isVisible, timeout=20_000)
    assert layer.data[2:5, 10:20, 10:20].max() == 1
    dialog.close()
    for theme in ("light", "dark"):  # the list is dressed anew with the window
        viewer.theme = theme


def test_rows_without_voxels_have_words_and_no_picture(opened: Any) -> None:
    _, recorder, layer, dialog = opened
    track = recorder.track(layer)
    recorder.say(track, {object_key(3): Entry(1, "accepted")}, "accept")
    box = (slice(0, 2), slice(0, 4), slice(0, 4))
    recorder.apply(track, edited(recorder.annotation(track), "split", [(box, np.full((2, 4, 4), 9))]))
    catch_up(dialog)
    assert firsts(dialog)[:2] == ["Split by line   (now)", "Accepted"]
    assert len(dialog.model.data(dialog.model.index(1)).splitlines()) == 2
    dialog.model.data(dialog.model.index(1), Qt.ItemDataRole.DecorationRole)
    let_arrive(recorder)
    assert 4 not in dialog.model._pictures
