"""A review follows the mask: its table, its queue and its pictures, and what is finished is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from controlled import rest, twelve_cells
from napari.components import ViewerModel
from qtpy.QtCore import QRect, Qt
from qtpy.QtWidgets import QWidget

from napari_seg.editing.annotation import CASE, Annotation, Entry, box_key, object_key, slice_key
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import Edit
from napari_seg.editing.measures import _COLUMNS, measure
from napari_seg.editing.said import region_key
from napari_seg.editing.suspicion import Suspect
from napari_seg.editing.tools import Gesture
from napari_seg.gui import finished_words
from napari_seg.gui.abreast import Seen, abreast
from napari_seg.gui.controller import Controller
from napari_seg.gui.errands import TICK
from napari_seg.gui.finished_mark import FinishedMark
from napari_seg.gui.hands import HIDDEN, UNSEEN
from napari_seg.gui.pages.review import ReviewPage
from napari_seg.gui.suspects_model import PICTURE, SuspectsModel
from napari_seg.gui.thumbnail import thumbnail
from napari_seg.session.sizes import Size


def organ() -> np.ndarray[Any, Any]:
    labels = np.zeros((12, 40, 50), np.uint8)
    labels[2:9, 10:30, 10:30] = 1
    labels[5, 10:30, 10:30] = 0
    labels[5, 10:14, 10:30] = 1
    return labels


def opened(controller: Controller, labels: np.ndarray[Any, Any], *, objects: bool = True, image: Any = None) -> Any:
    found = (labels > 0) * 100.0 if image is None else image
    controller.viewer.add_image(found, name="cells")
    metadata = {} if objects else {"napari_seg_objects": False, "napari_seg_classes": ("liver",)}
    layer = controller.viewer.add_labels(labels, name="mask", metadata=metadata)
    rest(controller)
    controller.viewer.layers.selection.active = layer
    return layer


@pytest.fixture
def page(controller: Controller, qtbot: Any) -> ReviewPage:
    made = ReviewPage(controller)
    qtbot.addWidget(made)
    made.resize(360, 900)
    made.show()
    return made


def look(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    page.begin.click()
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)


def caught_up(controller: Controller, qtbot: Any) -> None:
    rest(controller)
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.behind)[1], timeout=20_000)


def run(controller: Controller, layer: Any, tool: str, *points: tuple[float, ...]) -> None:
    track = controller.recorder.track(layer)
    assert track is not None
    annotation = controller.recorder.annotation(track)
    edit = TOOLS[tool].run(annotation, Gesture(points=points), TOOLS[tool].options())
    controller.recorder.apply(track, edit)


def states(page: ReviewPage) -> dict[int, str]:
    table = page.table.model.table
    assert table is not None
    return dict(zip(table.labels.tolist(), table.state.tolist(), strict=True))


def test_the_table_is_measured_anew_with_the_size_that_a_person_gives_voxels(
    page: ReviewPage, controller: Controller, qtbot: Any
) -> None:
    opened(controller, twelve_cells())
    look(page, controller, qtbot)
    before = page.table.model.table
    assert before is not None
    assert (before.spacing, before.unit) == ((1.0, 1.0), "pixel")
    controller.choose_image(str(controller.viewer.layers["cells"].unique_id))
    controller.give_size(Size((0.5, 0.25), "um"))
    rest(controller)
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)
    now = page.table.model.table
    assert now is not None
    assert (now.spacing, now.unit) == ((0.5, 0.25), "um")


def test_the_table_is_what_is_true_now(
    page: ReviewPage, controller: Controller, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    page.queue.act("next")
    page.queue.act("accept")
    rest(controller)
    assert states(page)[6] == "accepted"
    run(controller, layer, "delete", (5.0, 5.0))
    caught_up(controller, qtbot)
    assert 1 not in states(page)
    assert object_key(1) not in {suspect.key for suspect in page.queue.model.suspects}
    layer.mode = "paint"
    layer.selected_label, layer.brush_size = 2, 1
    layer.paint((1, 25), 2)
    caught_up(controller, qtbot)
    table = page.table.model.table
    assert table is not None
    assert table.voxels[table.row(2)] == 121
    page.table.write(tmp_path / "cells.csv")
    raw = (tmp_path / "cells.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbflabel,")  # the mark by which Excel knows UTF-8
    lines = raw.decode("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines[1:3]] == ["2", "3"]
    assert sum("accepted" in line for line in lines) == 1
    for _ in range(3):
        layer.undo()
        caught_up(controller, qtbot)
    assert (states(page)[1], states(page)[6]) == ("unseen", "unseen")
    assert page.queue.progress.text() == "0 of 12 seen"
    table = page.table.model.table
    assert table is not None
    assert table.voxels[table.row(2)] == 120


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("shape", [(150, 170), (20, 70, 130)])
def test_what_is_followed_is_as_if_looked_through_anew(
    controller: Controller, qtbot: Any, shape: tuple[int, ...], many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_seg.gui.abreast.FEW", 0 if many else 200)
    rng = np.random.default_rng(3)
    labels = np.kron(rng.integers(0, 30, tuple(-(-n // 10) for n in shape)), np.ones((10,) * len(shape), int))
    labels = labels[tuple(slice(0, n) for n in shape)].astype(np.uint8)
    layer = opened(controller, labels, image=rng.random(shape))
    controller.reviewing.look()
    qtbot.waitUntil(lambda: (controller.tick(), not controller.reviewing.looking)[1], timeout=20_000)
    layer.mode, layer.brush_size = "paint", 6
    for step in range(6):
        number = 300 if step == 3 else int(rng.integers(0, 30))  # 300 does not fit into the dtype of before
        if number > 255:
            track = controller.recorder.track(layer)
            assert track is not None
            track.make_room(number)
        layer.paint(tuple(float(rng.integers(0, n)) for n in shape), number)
        if step == 4:
            layer.undo()
        caught_up(controller, qtbot)
    seen = controller.reviewing.seen
    assert seen.annotation is not None
    np.testing.assert_array_equal(seen.annotation.labels, layer.data)
    image = controller.viewer.layers["cells"].data
    anew = measure(Annotation.of(layer.data, image=image))
    for name in _COLUMNS:
        found, wanted = getattr(seen.table, name), getattr(anew, name)
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(found, wanted, rtol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(found, wanted, err_msg=name)


def test_what_changes_nothing_is_nothing_new() -> None:
    seen = Seen()
    assert abreast(seen, [{}]) is seen


def test_the_chosen_one_is_gone_and_comes_back(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    page.queue.act("next")
    page.queue.act("next")
    second, third = page.queue.model.suspects[1:3]
    assert page.queue.current is second
    run(controller, layer, "delete", second.place)
    caught_up(controller, qtbot)
    assert page.queue.current is None  # nothing is accepted that is not shown
    layer.undo()
    caught_up(controller, qtbot)
    assert page.queue.current is not None
    assert page.queue.current.key == second.key
    layer.redo()
    caught_up(controller, qtbot)
    page.queue.act("next")
    assert page.queue.current.key == third.key


def film() -> np.ndarray[Any, Any]:
    """Twelve cells, six of them, and none."""
    frames = np.stack([twelve_cells()] * 3)
    frames[1][frames[1] > 6] = 0
    frames[2] = 0
    return frames


def test_in_a_film_table_and_queue_follow_the_slider(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    viewer, axes = controller.viewer, ("t", "y", "x")
    viewer.add_image((film() > 0) * 100.0, name="cells", axis_labels=axes)
    layer = viewer.add_labels(film(), name="mask", axis_labels=axes)
    rest(controller)
    viewer.layers.selection.active = layer
    viewer.dims.set_point(0, 0)
    look(page, controller, qtbot)
    page.queue.act("next")
    assert page.queue.current is not None

    def now_at(time: int, count: int) -> None:
        viewer.dims.set_point(0, time)
        qtbot.waitUntil(lambda: (rest(controller), controller.reviewing.seen.time == time)[1], timeout=20_000)
        assert len(states(page)) == count == len(page.queue.model.suspects)
        assert page.words.text().startswith(f"Time point {time}: ")

    now_at(1, 6)
    assert page.queue.current.key == object_key(6)  # the same object
    layer.mode, layer.brush_size = "paint", 1
    layer.paint((1, 50, 70), 40)
    caught_up(controller, qtbot)
    assert states(page)[40] == "unseen"
    layer.undo()
    caught_up(controller, qtbot)
    now_at(2, 0)
    assert controller.reviewing.current
    viewer.dims.set_point(0, 0)
    page.hide()
    rest(controller)
    assert controller.reviewing.seen.time == 2  # nobody looks
    page.show()
    now_at(0, 12)
    viewer.dims.set_point(0, 1)
    controller.reviewing.go_to(page.queue.model.suspects[0])  # what is listed is at time 0 yet
    assert viewer.dims.point[0] == 0


def test_in_a_film_what_was_judged_at_other_times_is_not_counted(
    page: ReviewPage, controller: Controller, qtbot: Any
) -> None:
    viewer, axes, frames = controller.viewer, ("t", "y", "x"), film()
    frames[1][frames[1] > 0] += 20  # each object has a number of its own
    viewer.add_image((frames > 0) * 100.0, name="cells", axis_labels=axes)
    layer = viewer.add_labels(frames, name="mask", axis_labels=axes)
    rest(controller)
    viewer.layers.selection.active = layer
    viewer.dims.set_point(0, 0)
    look(page, controller, qtbot)
    page.queue.act("next")
    page.queue.act("accept")
    caught_up(controller, qtbot)

    def counted(time: int) -> tuple[bool, str, str]:
        viewer.dims.set_point(0, time)
        rest(controller)
        look(page, controller, qtbot)
        assert controller.reviewing.seen.time == time
        words = page.words.text()
        return "1 seen before" in words, page.queue.progress.format(), controller.reviewing.seen_words

    assert counted(1) == (False, "0 of 6 seen", "0 of 6 in the review seen")
    assert counted(0)[1:] == ("1 of 12 seen", "1 of 12 in the review seen")
    assert page.queue.stopping.run == 1  # the rule to stop is about all of the film


def test_what_was_flagged_is_seen_before_here_as_in_the_footer(
    page: ReviewPage, controller: Controller, qtbot: Any
) -> None:
    opened(controller, twelve_cells())
    look(page, controller, qtbot)
    for what in ("flag", "accept", "accept"):
        page.queue.act("next")
        page.queue.act(what)
    caught_up(controller, qtbot)
    look(page, controller, qtbot)
    assert page.words.text().endswith(("9 of these.", "9 without, 3 seen before.", "any of these 9."))
    assert controller.reviewing.seen_words == "3 of 12 in the review seen"


def test_reasons_are_those_of_what_is_there_now_and_nobody_changes_places(
    page: ReviewPage, controller: Controller, qtbot: Any
) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    page.queue.act("next")
    model, first = page.queue.model, page.queue.current
    assert first is not None
    assert first.key == object_key(6)
    order = [suspect.key for suspect in model.suspects]
    assert "size of most" in model.data(model.index(0))
    assert page.words.text().startswith("1 object with a reason")
    layer.mode = "paint"
    layer.brush_size = 10
    layer.paint((23, 29), 6)
    caught_up(controller, qtbot)
    assert [suspect.key for suspect in model.suspects] == order
    assert page.queue.current is not None
    assert page.queue.current.key == object_key(6)
    assert "No reason to doubt it" in model.data(model.index(0))
    assert page.words.text().startswith("There is no reason to doubt")
    assert page.queue.current.score < first.score
    layer.undo()
    caught_up(controller, qtbot)
    assert "size of most" in model.data(model.index(0))


@pytest.mark.parametrize(("objects", "what"), [(True, "object"), (False, "region")])
def test_of_a_single_one_the_words_are_about_one(
    page: ReviewPage, controller: Controller, qtbot: Any, objects: bool, what: str
) -> None:
    cells = twelve_cells()
    opened(controller, (cells == 1).astype(cells.dtype), objects=objects)
    look(page, controller, qtbot)
    assert len(page.queue.model.suspects) == 1
    assert page.words.text() == f"There is no reason to doubt this {what}."
    assert page.queue.stop.text() == "Only 1 left to look at."


def test_pictures_are_of_what_is_there_now(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    model = page.queue.model
    qtbot.waitUntil(lambda: object_key(6) in model._pictures and not model.drawing)
    before = model._pictures[object_key(6)]
    layer.mode = "paint"
    layer.brush_size = 1
    layer.paint((20, 28), 6)
    caught_up(controller, qtbot)
    qtbot.waitUntil(lambda: model._pictures[object_key(6)] is not before and not model.drawing)
    assert model.suspects[model.row_of(object_key(6))].box == (slice(18, 21), slice(23, 29))


def test_choosing_a_label_in_the_view_chooses_its_row(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    went: list[int] = []
    page.table.chosen.connect(went.append)
    layer.selected_label = 9
    assert (page.table.selected, went) == (9, [])
    layer.selected_label = 77
    assert page.table.selected is None


class FromFile:
    """An array that knows slices alone, as those in files do."""

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self.data, self.shape, self.ndim, self.read = data, data.shape, data.ndim, 0

    def __getitem__(self, index: Any) -> Any:
        assert all(isinstance(part, int | slice) for part in index)
        found = self.data[index]
        if len(index) == 3:
            return FromFile(found)
        self.read += found.size
        return found


def test_a_picture_reads_no_more_of_a_file_than_it_shows() -> None:
    data, labels = np.random.default_rng(0).random((6, 300, 400)), np.zeros((6, 300, 400), np.uint8)
    labels[2:4, 100:120, 380:400] = 1
    for place, box in (
        ((2.0, 110.0, 390.0), (slice(2, 4), slice(100, 120), slice(380, 400))),
        ((2.0, 0.0, 0.0), (slice(2, 3), slice(0, 300), slice(0, 400))),
        ((5.0, 299.0, 0.0), (slice(5, 6), slice(298, 300), slice(0, 1))),
    ):
        suspect = Suspect(object_key(1), 1, place, box, 0.5)
        lazy: Any = FromFile(data)
        np.testing.assert_array_equal(thumbnail(lazy, labels, suspect), thumbnail(data, labels, suspect))
    flat: Any = FromFile(data[2])
    thumbnail(flat, labels[2], Suspect(object_key(1), 1, (110.0, 390.0), (slice(100, 120), slice(380, 400)), 0.5))
    assert 0 < flat.read < 40 * 40


def test_images_in_files_and_in_levels_have_pictures(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    da = pytest.importorskip("dask.array")
    labels = twelve_cells()
    image = da.from_array((labels > 0) * 100.0, chunks=25)
    controller.viewer.add_image([image, image[::2, ::2]], multiscale=True, name="cells")
    layer = controller.viewer.add_labels(labels, name="mask")
    rest(controller)
    controller.viewer.layers.selection.active = layer
    look(page, controller, qtbot)
    model = page.queue.model
    qtbot.waitUntil(lambda: object_key(6) in model._pictures and not model.drawing)


def test_a_picture_that_fails_for_its_file_is_drawn_without_it(qtbot: Any) -> None:
    class Gone:
        shape, ndim = (60, 80), 2

        def __getitem__(self, index: Any) -> Any:
            raise OSError("gone")

    model, gone = SuspectsModel(), Gone()
    model.look_at(gone, twelve_cells())  # type: ignore[arg-type]
    model.render([Suspect(object_key(2), 2, (5.0, 25.0), (slice(3, 13), slice(23, 35)), 0.5)], {}, ())
    model.data(model.index(0), Qt.ItemDataRole.DecorationRole)
    qtbot.waitUntil(lambda: object_key(2) in model._pictures and not model.drawing)


def test_keys_are_for_the_mask_in_hand(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    other = controller.viewer.add_labels(twelve_cells()[::-1], name="other")
    rest(controller)
    controller.viewer.layers.selection.active = other
    assert page.parts.isHidden()
    track = controller.recorder.track(layer)
    assert track is not None
    page._act("next")
    page._act("accept")
    rest(controller)
    assert controller.recorder.rows(track) == {}
    assert "another mask" in controller.viewer.status
    controller.viewer.layers.selection.active = layer
    page._act("next")
    page._act("accept")
    assert controller.recorder.rows(track)[object_key(6)].state == "accepted"
    controller.viewer.layers.remove(layer)
    rest(controller)
    page._act("reject")
    page.queue.act("reject")
    assert controller.recorder.rows(track)[object_key(6)].state == "accepted"
    assert list(controller.recorder.rows(track)) == [object_key(6)]


def test_a_verdict_by_a_key_is_about_what_is_seen(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    viewer = controller.viewer
    labels = np.zeros((12, 40, 50), np.uint8)
    labels[2:4, 5:15, 5:15] = 1
    labels[7:9, 25:35, 25:35] = 2
    layer = opened(controller, labels)
    look(page, controller, qtbot)
    track = controller.recorder.track(layer)
    assert track is not None

    def pressed(what: str) -> str:
        page._act(what)
        rest(controller)
        return str(viewer.status)

    page._act("next")
    first = page.queue.current
    assert first is not None
    asks = f"Object {first.label} was out of view; press D again to reject it"
    viewer.dims.set_point(0, 0)  # neither of them lies here
    assert pressed("reject") == asks
    assert first.box[0].start <= viewer.dims.current_step[0] < first.box[0].stop
    viewer.scene.camera.center = (0, 500, 500)
    assert pressed("reject") == asks
    layer.visible = False
    assert pressed("reject") == HIDDEN.format(name="mask")
    layer.visible = True
    layer.show_selected_label, layer.selected_label = True, 3 - first.label
    assert pressed("reject") == UNSEEN
    layer.show_selected_label = False
    assert controller.recorder.rows(track) == {}
    assert pressed("reject") == f"Object {first.label} rejected"
    assert controller.recorder.rows(track)[first.key].state == "rejected"


@pytest.mark.parametrize("size", [(272, 200), (352, 430)])
def test_in_a_low_panel_the_page_scrolls_and_nothing_is_squeezed(
    page: ReviewPage, controller: Controller, qtbot: Any, size: tuple[int, int]
) -> None:
    opened(controller, twelve_cells())
    look(page, controller, qtbot)
    page.queue.act("next")
    page.resize(*size)
    parts = (*page.queue.buttons.values(), page.queue.comment, page.table.filter, page.table.save, page.order)
    qtbot.waitUntil(lambda: page.verticalScrollBar().maximum() > 0)
    for part in parts:
        assert part.height() >= part.minimumSizeHint().height()
        page.ensureWidgetVisible(part)
        assert part.visibleRegion().boundingRect().size() == part.size()
    assert page.queue.list.height() >= 2 * PICTURE
    assert page.table.view.height() >= 100
    assert page.horizontalScrollBar().maximum() == 0


def test_comments_are_rows_of_the_session(page: ReviewPage, controller: Controller, qtbot: Any, tmp_path: Path) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    page.queue.act("next")
    qtbot.keyClicks(page.queue.comment, "ask Ada")
    page.queue.act("next")  # it is kept without Enter too
    assert page.queue.comment.text() == ""
    rest(controller)
    track = controller.recorder.track(layer)
    assert track is not None
    assert controller.recorder.rows(track) == {object_key(6): Entry(comment="ask Ada")}
    assert page.queue.model.data(page.queue.model.index(0)).endswith("“ask Ada”")
    model = page.table.model
    place, column = model.place_of(9), [c.name for c in model.shown_columns].index("comment")
    assert place is not None
    index = model.index(place, column)
    assert model.flags(index) & Qt.ItemFlag.ItemIsEditable
    assert not model.flags(model.index(place, 0)) & Qt.ItemFlag.ItemIsEditable
    assert not model.setData(model.index(place, 0), "7")
    model.setData(index, "Müller, 2")
    rest(controller)
    assert model.data(model.index(place, column)) == "Müller, 2"
    page.table.write(tmp_path / "cells.csv")
    text = (tmp_path / "cells.csv").read_text(encoding="utf-8-sig")
    assert "ask Ada\n" in text
    assert '"Müller, 2"\n' in text
    layer.undo()
    layer.undo()
    rest(controller)
    assert controller.recorder.rows(track) == {}
    assert model.data(model.index(place, column)) == ""


def test_a_comment_and_a_verdict_while_something_takes_long_are_both_kept(
    page: ReviewPage, controller: Controller, qtbot: Any
) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    track = controller.recorder.track(layer)
    assert track is not None
    going = True

    def slow() -> Any:
        while going:
            yield TICK

    controller.recorder._errands.begin(track.key, slow())
    page.queue.act("next")
    qtbot.keyClicks(page.queue.comment, "ask Ada")
    page.queue.act("accept")
    assert controller.recorder.rows(track) == {}
    going = False
    rest(controller)
    assert controller.recorder.rows(track) == {object_key(6): Entry(state="accepted", comment="ask Ada")}


def test_what_is_being_written_in_the_table_is_not_lost(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    opened(controller, twelve_cells())
    look(page, controller, qtbot)
    model, view = page.table.model, page.table.view
    column = [c.name for c in model.shown_columns].index("comment")
    view.setCurrentIndex(model.index(0, column))
    view.edit(model.index(0, column))
    track = controller.hands.track
    assert track is not None
    controller.recorder.say(track, {object_key(3): Entry(state="flagged")}, "flag")
    rest(controller)
    assert view.state() == view.State.EditingState
    assert states(page)[3] == "unseen"
    editor = view.viewport().findChild(QWidget)
    assert editor is not None
    qtbot.keyClicks(editor, "round")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    rest(controller)
    qtbot.waitUntil(lambda: states(page)[3] == "flagged")
    assert controller.recorder.rows(track)[object_key(1)].comment == "round"


def test_slices_have_comments_in_a_file_of_their_own(
    page: ReviewPage, controller: Controller, qtbot: Any, tmp_path: Path
) -> None:
    layer = opened(controller, organ(), objects=False)
    assert "regions and slices" in page.words.text()
    look(page, controller, qtbot)
    page.queue.go_to(slice_key(0, 5))
    suspect = page.queue.current
    assert suspect is not None
    qtbot.keyClicks(page.queue.comment, "blurred")
    qtbot.keyClick(page.queue.comment, Qt.Key.Key_Return)
    rest(controller)
    run(controller, layer, "finish slice", (11.0, 1.0, 1.0))
    rest(controller)
    words = page.table.write(tmp_path / "liver.csv")
    assert words == "Saved liver.csv with 1 row, and liver said.csv with what you said of slices, regions and boxes."
    said = (tmp_path / "liver said.csv").read_text(encoding="utf-8-sig").splitlines()
    assert said == ["what,state,comment", "slice 0 5,unseen,blurred", "slice 0 11,accepted,"]


def test_a_class_is_as_its_only_region_in_table_filter_and_csv(
    page: ReviewPage, controller: Controller, qtbot: Any, tmp_path: Path
) -> None:
    opened(controller, organ()[5], objects=False)
    look(page, controller, qtbot)

    def written() -> str:
        page.table.write(tmp_path / "liver.csv")
        return (tmp_path / "liver.csv").read_text(encoding="utf-8-sig").splitlines()[1].split(",")[2]

    assert (states(page)[1], written()) == ("unseen", "unseen")
    for act, state in (("accept", "accepted"), ("flag", "flagged"), ("reject", "rejected")):
        page.queue.go_to(controller.reviewing.seen.suspects[0].key)
        page.queue.act(act)
        rest(controller)
        assert (states(page)[1], written()) == (state, state)
        page.table.filter.setText(f"state:{state}")
        page.table._narrow()
        assert len(page.table.model.rows) == 1
        page.table.filter.setText("")
        page.table._narrow()


def test_regions_that_were_painted_over_leave_the_queue(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    labels = organ()
    labels[10, 2:4, 2:4] = 1
    layer = opened(controller, labels, objects=False)
    look(page, controller, qtbot)
    key = region_key(1, (10, 2, 2))
    keys = [suspect.key for suspect in page.queue.model.suspects]
    stray = next(k for k in keys if k.startswith("region 1 at 10"))
    assert key.startswith("region")
    layer.mode, layer.brush_size = "paint", 7
    layer.paint((10, 2, 2), 0)
    caught_up(controller, qtbot)
    assert [k for k in keys if k != stray] == [suspect.key for suspect in page.queue.model.suspects]
    assert slice_key(0, 10) in page.queue._changed


def test_the_next_step_is_the_button_that_stands_out(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    assert (page.headline.text(), page.headline.isVisible()) == ("Look through this mask", True)
    assert page.begin.objectName() == "main"
    opened(controller, twelve_cells())
    assert "objects" in page.words.text()
    assert page.begin.geometry().top() < 150  # at the top of an empty page
    assert page.words.geometry().top() < page.begin.geometry().top()
    look(page, controller, qtbot)
    assert (page.begin.text(), page.begin.objectName()) == ("Look again", "")
    assert page.headline.isHidden()
    assert page.queue.buttons["next"].objectName() == "main"
    assert page.words.text() == "1 object with a reason to doubt, 11 without."
    page.queue.act("next")
    assert page.queue.buttons["next"].objectName() == ""
    for _ in range(12):
        page.queue.act("accept")
    rest(controller)
    assert page.begin.objectName() == "main"
    look(page, controller, qtbot)  # nothing is left: it is said once, at the top
    assert page.begin.objectName() == ""
    assert (page.queue.empty.isVisible(), page.queue.stop.isVisible()) == (True, False)
    assert page.queue.empty.height() < 60


def test_what_there_is_no_reason_to_doubt_comes_last(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    opened(controller, twelve_cells())
    look(page, controller, qtbot)
    doubted = [bool(suspect.reasons) for suspect in controller.reviewing.seen.suspects]
    assert doubted == sorted(doubted, reverse=True)
    assert doubted[0]
    assert page.queue.model.data(page.queue.model.index(11)).endswith("No reason to doubt it")


def test_every_column_has_room_for_its_words(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    opened(controller, twelve_cells())
    look(page, controller, qtbot)
    view, model = page.table.view, page.table.model
    page.setStyleSheet("* { font-size: 15pt }")  # as when the panel is dressed after the table was measured
    page.hide()
    page.show()
    for place in range(model.columnCount()):
        assert view.columnWidth(place) >= view.horizontalHeader().sectionSizeFromContents(place).width()
    state = [column.name for column in model.shown_columns].index("state")
    assert view.columnWidth(state) > view.fontMetrics().horizontalAdvance("✓ accepted")


def test_a_step_back_asks_again(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    layer = opened(controller, twelve_cells())
    look(page, controller, qtbot)
    page.queue.act("next")
    page.queue.act("accept")
    page.queue.act("accept")
    assert page.queue.stopping.run == 2
    rest(controller)
    layer.undo()
    rest(controller)
    assert (page.queue.stopping.run, page.queue.progress.text()) == (1, "1 of 12 seen")
    layer.redo()
    rest(controller)
    assert (page.queue.stopping.run, page.queue.progress.text()) == (2, "2 of 12 seen")


def test_a_long_queue_is_shown_by_and_by(qtbot: Any) -> None:
    model = SuspectsModel()
    box = (slice(0, 5), slice(0, 5))
    model.render([Suspect(object_key(k), k, (1.0, 1.0), box, 0.5) for k in range(1, 20_001)], {}, ())
    assert (model.rowCount(), model.left) == (200, 20_000)
    assert model.canFetchMore()
    model.fetchMore()
    assert model.rowCount() == 400
    model.reveal(19_999)
    assert model.rowCount() == 20_000
    assert not model.canFetchMore()


def test_words_for_what_is_finished() -> None:
    done = Entry(state="accepted")
    box = (slice(1, 3), slice(0, 5), slice(0, 5))
    rows = {slice_key(0, 4): done, slice_key(0, 6): Entry(state="rejected"), slice_key(2, 1): done, box_key(box): done}
    assert finished_words.of_view(rows, 0, 4) == "✓ Slice 4 finished"
    assert finished_words.of_view(rows, 0, 6) == finished_words.of_view(rows, 1, 6) == ""
    assert finished_words.of_view(rows, 0, 2) == "✓ 1 box finished"
    assert finished_words.of_view({CASE: done}, None, 0) == "✓ Case finished"
    words = finished_words.of_image(rows, (35, 20, 20), (3.0, 1.0, 1.0))
    assert words == "✓ 1 of 35 slices and 1 of 20 slices across x and 1 box finished"
    assert finished_words.of_image({CASE: done}, (9, 9), (1.0, 1.0)) == "✓ This case is finished."
    assert finished_words.of_image({}, (9, 9), (1.0, 1.0)) == ""
    assert finished_words.told(Edit("finish slice", (), {slice_key(0, 4): (None, done)})) == "Slice 4 is finished"
    assert finished_words.told(Edit("finish case", (), {CASE: (done, None)})) == "This case is open again"
    assert finished_words.told(Edit("finish box", (), {box_key(box): (None, done)})) == "This box is finished"
    assert finished_words.told(Edit("delete")) == finished_words.told(Edit("finish case")) == ""


def test_what_is_finished_is_seen(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    opened(controller, organ(), objects=False)
    canvas = QWidget()
    qtbot.addWidget(canvas)
    canvas.resize(300, 200)
    viewer = controller.viewer
    mark = FinishedMark(viewer, controller.recorder, controller.hands, canvas)
    viewer.dims.set_point(0, 4)
    viewer.cursor.position = (4.0, 12.0, 12.0)
    assert (mark.words, page.finished.isHidden()) == ("", True)
    controller.hands.act("finish slice")
    rest(controller)
    assert (mark.words, page.finished.text()) == ("✓ Slice 4 finished", "✓ 1 of 12 slices finished")
    assert viewer.status == "Slice 4 is finished"
    canvas.show()
    qtbot.waitExposed(canvas)
    seen = canvas.grab(QRect(0, 0, 300, 60)).toImage()
    colours = [seen.pixelColor(x, y) for x in range(seen.width() // 2, seen.width()) for y in range(seen.height())]
    assert any(colour.green() > colour.red() + 80 for colour in colours)
    viewer.dims.set_point(0, 5)
    assert mark.words == ""
    viewer.dims.set_point(0, 4)
    controller.hands.act("finish slice")
    rest(controller)
    assert (mark.words, page.finished.isHidden(), viewer.status) == ("", True, "Slice 4 is open again")
    run(controller, viewer.layers["mask"], "finish box", (4.0, 10.0, 10.0), (4.0, 20.0, 29.0))
    rest(controller)
    assert mark.words == "✓ 1 box finished"
    assert mark.bands() == []
    (corners,) = mark.outlines()
    across = np.ptp(np.array(corners), axis=0) / viewer.scene.camera.zoom
    np.testing.assert_allclose(across, (20, 11))
    viewer.dims.ndisplay = 3
    assert (mark.words, mark.outlines(), mark.bands()) == ("", [], [])


def test_finished_slices_are_bands_from_the_side(controller: Controller, qtbot: Any) -> None:
    opened(controller, organ(), objects=False)
    track = controller.recorder.tracks()[0]
    done = Entry(state="accepted")
    slices = {slice_key(0, k): done for k in (3, 4, 5, 11)} | {slice_key(0, 9): Entry(state="rejected")}
    controller.recorder.say(track, {**slices, slice_key(2, 7): done}, "finish slice")
    rest(controller)
    canvas, beside = QWidget(), QWidget()
    for widget in (canvas, beside):
        qtbot.addWidget(widget)
        widget.resize(300, 200)
    main = FinishedMark(controller.viewer, controller.recorder, controller.hands, canvas)
    side = ViewerModel()
    side.add_image(organ() * 1.0)
    side.dims.order = (1, 0, 2)
    mark = main.twin(side, beside)
    zoom = side.scene.camera.zoom
    sizes = [tuple(np.round(np.ptp(np.array(corners), axis=0) / zoom, 6)) for corners in mark.bands()]
    assert sizes == [(50, 3), (50, 1), (1, 12)]  # x across, z down
    top = min(y for _, y in mark.bands()[0])
    middle = (top - beside.height() / 2) / zoom + side.scene.camera.center[-2]
    assert middle == pytest.approx(2.5)
    (lone,) = main.bands()  # from above only the slice across x is seen from its side
    assert np.ptp(np.array(lone), axis=0) / controller.viewer.scene.camera.zoom == pytest.approx((1, 40))
    beside.show()
    qtbot.waitExposed(beside)
    seen = beside.grab().toImage()
    x, y = np.mean(np.array(mark.bands()[0]), axis=0)
    there = seen.pixelColor(round(x), round(y))
    assert there.green() > there.red()


def test_the_queue_comes_in_the_order_of_what_a_model_would_learn(
    page: ReviewPage, controller: Controller, qtbot: Any
) -> None:
    labels = np.zeros((60, 120), np.uint16)
    for k in range(8):
        labels[4 + 7 * (k // 4) : 8 + 7 * (k // 4), 4 + 7 * (k % 4) : 8 + 7 * (k % 4)] = k + 1
    labels[30:50, 80:110] = 9
    layer = opened(controller, labels)
    look(page, controller, qtbot)
    queue = page.queue

    def shown() -> list[int]:
        return [suspect.label for suspect in queue.model.suspects]

    worst = shown()
    assert page.order.isVisibleTo(page)
    page.order.setCurrentText("Most to learn first")
    taught = shown()
    assert sorted(taught) == sorted(worst)
    assert taught != worst
    assert 9 in taught[:2]
    assert not queue.stop.isVisibleTo(queue)
    queue.act("next")
    queue.act("accept")
    rest(controller)
    assert queue.model.state(0) == "accepted"
    run(controller, layer, "delete", (5.0, 5.0))  # object 1
    caught_up(controller, qtbot)
    assert shown() == [label for label in taught if label != 1]
    page.order.setCurrentText("Worst first")
    assert shown() == [label for label in worst if label != 1]
    assert queue.model.state_of(object_key(taught[0])) == "accepted"
    page.order.setCurrentText("Most to learn first")
    look(page, controller, qtbot)
    assert sorted(shown()) == sorted(set(worst) - {1, taught[0]})  # in that order again, without what was decided
    assert shown()[0] != 9 or taught[0] != 9


def test_slices_that_were_corrected_teach_nothing_more(page: ReviewPage, controller: Controller, qtbot: Any) -> None:
    layer = opened(controller, organ(), objects=False)
    look(page, controller, qtbot)
    page.order.setCurrentText("Most to learn first")
    first = page.queue.model.suspects[0]
    assert first.key.startswith("slice")
    at = first.box[0].start
    after = np.asarray(layer.data).copy()
    after[at] = 0
    after[at, 8:31, 8:31] = 1
    layer.data = after
    caught_up(controller, qtbot)
    look(page, controller, qtbot)
    assert page.queue.model.suspects[0].key != first.key
