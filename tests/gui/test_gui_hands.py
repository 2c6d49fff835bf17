"""Keys and mouse become edits: a stroke is one step, Escape gives it up, what went wrong is said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import point_at
from napari.components import ViewerModel

from napari_seg.data.volume import Volume
from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit, edited
from napari_seg.editing.tools import Gesture, Tool
from napari_seg.errors import SegError
from napari_seg.gui import foresight
from napari_seg.gui.hands import HELD, Hands
from napari_seg.gui.hover import Hover
from napari_seg.gui.layers import KEY
from napari_seg.gui.recorder import Recorder
from napari_seg.gui.sketchpad import hint
from napari_seg.gui.surroundings import Surroundings, scores_path

GRID = (6, 60, 80)


class Desk(controlled.Desk):
    """With an image and a mask."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.viewer.add_image(np.random.default_rng(0).integers(0, 99, GRID).astype(np.uint8), scale=(3, 1, 1))
        self.layer = self.viewer.add_labels(np.zeros(GRID, np.uint8), name="mask", scale=(3, 1, 1))
        self.viewer.dims.set_point(0, 6)  # slice 2
        self.rest()

    def mouse(self, *points: tuple[float, ...], **about: Any) -> Iterator[None]:
        """At points (row, column) of slice 2."""
        return super().mouse(*((6.0, *point) for point in points), **about)

    @property
    def steps(self) -> int:
        return self.recorder.safe.steps


def test_a_stroke_is_seen_at_once_and_is_one_step(desk: Desk) -> None:
    desk.hands.take("brush")
    desk.hands.set_option("brush", radius=2.0)
    assert not desk.layer.mouse_pan
    drawing = desk.mouse((20, 20), (20, 30), (20, 40))
    next(drawing)
    after_press = np.count_nonzero(desk.layer.data)
    assert after_press > 0
    next(drawing)
    assert np.count_nonzero(desk.layer.data) > after_press
    for _ in drawing:
        pass
    desk.rest()
    assert desk.layer.data[2, 20, 20:41].all()
    assert not desk.layer.data[[0, 1, 3, 4, 5]].any()
    assert desk.steps == 1
    desk.layer.undo()
    assert not desk.layer.data.any()


def test_escape_gives_a_stroke_up_and_then_the_tool(desk: Desk) -> None:
    desk.hands.take("brush")
    drawing = desk.mouse((20, 20), (20, 30), (20, 40))
    next(drawing)
    next(drawing)
    desk.hands.give_up()
    for _ in drawing:
        pass
    desk.rest()
    assert not desk.layer.data.any()
    assert desk.steps == 0
    assert desk.hands.tool is not None
    desk.hands.give_up()
    assert desk.hands.tool is None
    assert desk.layer.mouse_pan


def test_clicks_are_collected_until_they_are_confirmed(desk: Desk) -> None:
    desk.hands.take("polygon")
    for corner in ((10.0, 10.0), (10.0, 40.0), (40.0, 40.0)):
        desk.draw(corner)
    assert not desk.layer.data.any()
    desk.hands.confirm()
    desk.rest()
    assert desk.layer.data[2, 20, 35] == 1
    assert desk.layer.data[2, 35, 15] == 0
    assert desk.steps == 1


def test_a_region_grows_with_the_mouse_and_shrinks_again(desk: Desk) -> None:
    desk.viewer.layers[0].data[:] = 50
    desk.hands.take("grow")
    drawing = desk.mouse((30, 40), (30, 55), (30, 44))
    next(drawing)
    next(drawing)
    wide = foreseen(desk)
    next(drawing)
    narrow = foreseen(desk)
    assert wide is not None
    assert narrow is not None
    assert 0 < narrow.voxels < wide.voxels
    assert not desk.layer.data.any()
    for _ in drawing:
        pass
    desk.rest()
    assert desk.steps == 1
    assert np.count_nonzero(desk.layer.data) == narrow.voxels


def test_what_goes_wrong_is_said_and_changes_nothing(desk: Desk) -> None:
    desk.hands.take("fill")
    desk.draw((200, 20))
    assert desk.hands.said
    assert desk.hands.said in hint(desk.hands.tool, desk.hands.said)
    assert desk.steps == 0
    with pytest.raises(SegError, match="radius"):
        desk.hands.set_option("brush", radius=-1)


def test_a_key_takes_and_puts_down(desk: Desk) -> None:
    desk.hands.take("eraser")
    assert "Eraser" in hint(desk.hands.tool, "")
    desk.hands.take("eraser")
    assert desk.hands.tool is None
    desk.hands.take("eraser")
    desk.layer.mode = "paint"  # napari's own tool
    assert desk.hands.tool is None
    desk.hands.take("eraser")
    desk.viewer.layers.selection.active = desk.viewer.layers[0]
    assert desk.hands.tool is None


def test_with_a_modifier_the_mouse_stays_naparis(desk: Desk) -> None:
    desk.hands.take("brush")
    desk.draw((20, 20), (20, 30), modifiers=("Shift",))
    assert not desk.layer.data.any()


def test_without_a_mask_that_is_said(engine: Any) -> None:
    viewer = ViewerModel()
    recorder = Recorder(viewer, engine)
    hands = Hands(viewer, recorder, Surroundings(recorder))
    hands.take("brush")
    assert "no mask" in hands.said
    hands.act("delete")
    assert "no mask" in hands.said


def test_a_label_that_does_not_fit_makes_room(desk: Desk) -> None:
    track = desk.hands.track
    assert track is not None
    track.make_room(300)
    desk.layer.selected_label = 300
    desk.hands.take("brush")
    desk.draw((20, 20), (20, 30))
    assert desk.layer.data[2, 20, 25] == 300
    desk.layer.undo()
    assert not desk.layer.data.any()


def test_tools_see_image_and_scores(desk: Desk) -> None:
    track = desk.hands.track
    assert track is not None
    surroundings = Surroundings(desk.recorder)
    assert surroundings.annotation(track, 0).scores is None
    path = scores_path(track)
    path.parent.mkdir()
    np.save(path, np.full((2, *GRID), 0.25, np.float16))
    seen = surroundings.annotation(track, 0)
    assert seen.scores is not None
    assert seen.scores.shape == (2, *GRID)
    assert seen.image is not None
    assert seen.image.shape == GRID
    assert seen.spacing == (3, 1, 1)


def test_a_ruler_and_an_angle_measure_and_change_nothing(desk: Desk) -> None:
    desk.hands.take("ruler")
    desk.draw((10, 10), (10, 20), (13, 14))
    assert desk.hands.measured == "5.00 pixels"
    assert hint(desk.hands.tool, "", desk.hands.measured) == "Ruler: 5.00 pixels"
    desk.hands.take("angle")
    for place in ((10.0, 10.0), (10.0, 30.0), (30.0, 30.0)):
        desk.draw(place)
    desk.hands.confirm()
    assert desk.hands.measured == "90.0°"
    assert desk.steps == 0
    assert not desk.layer.data.any()


def test_a_ruler_knows_that_the_slices_lean(desk: Desk) -> None:
    image = desk.viewer.layers[0]
    affine = np.diag([3.0, 1, 1, 1])
    affine[2, 1] = 1  # no scanner does that, but the ruler is drawn in one slice
    image.metadata[KEY] = Volume(image.data, "ZYX", (3.0, 2**0.5, 1.0), "mm", affine)
    desk.hands.take("ruler")
    desk.draw((10, 10), (14, 10))
    assert desk.hands.measured == "4.00 pixels"
    desk.draw((10, 10), (14, 13))
    assert desk.hands.measured == f"{(16 + 9 + 2 * 4 * 3 * 0.5**0.5) ** 0.5:.2f} pixels"


def a_bar(desk: Desk) -> None:
    desk.layer.data[2, 20:30, 20:60] = 1
    track = desk.hands.track
    assert track is not None
    track.extents.clear()
    desk.recorder.sweep()
    desk.rest()


def foreseen(desk: Desk) -> Edit | None:
    return desk.hands.outcome.edit if desk.hands.outcome is not None else None


def test_a_split_is_seen_while_the_line_is_drawn_and_is_one_step(desk: Desk) -> None:
    a_bar(desk)
    steps = desk.steps
    desk.hands.take("split")
    drawing = desk.mouse((15, 40), (22, 40), (35, 40), (35, 50))
    next(drawing)
    next(drawing)
    assert foreseen(desk) is None  # it does not go through yet
    assert desk.hands.outcome is not None
    assert "does not divide" in desk.hands.outcome.words
    next(drawing)
    edit = foreseen(desk)
    assert edit is not None
    assert edit.labels == (1, 2)
    assert set(np.unique(desk.layer.data)) == {0, 1}  # nothing is written yet
    for _ in drawing:
        pass
    desk.rest()
    assert desk.steps == steps + 1
    assert len(np.unique(desk.layer.data)) == 3
    desk.layer.undo()
    assert (desk.layer.data == 1).sum() == 400


def test_escape_gives_a_split_up(desk: Desk) -> None:
    a_bar(desk)
    steps = desk.steps
    desk.hands.take("split")
    drawing = desk.mouse((15, 40), (35, 40), (36, 40))
    next(drawing)
    next(drawing)
    assert foreseen(desk) is not None
    desk.hands.give_up()
    assert foreseen(desk) is None
    for _ in drawing:
        pass
    desk.rest()
    assert ((desk.layer.data == 1).sum(), desk.steps) == (400, steps)


def slow_tool(monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[threading.Event, list[int]]:
    """A tool that waits for an event, and for how many points it was asked."""
    tool, go_on, asked = HELD[name], threading.Event(), list[int]()
    assert isinstance(tool, Tool)

    def run(annotation: Annotation, gesture: Gesture, options: Any) -> Edit:
        asked.append(len(gesture.points))
        go_on.wait(60)
        return tool.run(annotation, gesture, options)

    monkeypatch.setitem(HELD, name, replace(tool, run=run))
    monkeypatch.setattr(foresight, "PATIENCE", 0.0)
    return go_on, asked


def test_the_mouse_does_not_wait_for_what_is_foreseen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    a_bar(desk)
    go_on, asked = slow_tool(monkeypatch, "split")
    desk.hands.take("split")
    drawing = desk.mouse((15, 30), (35, 30), (35, 40), (35, 45), (35, 50))
    for _ in range(5):
        next(drawing)
    assert foreseen(desk) is None
    go_on.set()
    while desk.hands.outcome is None or len(desk.hands.outcome.asked[1].points) < 5:
        desk.hands.foresight.tick()
    assert asked == [2, 5]  # of those that waited only the newest
    for _ in drawing:
        pass
    desk.rest()
    assert asked == [2, 5]  # what was seen is what is done
    assert len(np.unique(desk.layer.data)) == 3


def test_what_was_foreseen_of_another_mask_is_not_done(desk: Desk) -> None:
    a_bar(desk)
    desk.hands.take("split")
    drawing = desk.mouse((15, 40), (35, 40))
    next(drawing)
    next(drawing)
    track = desk.hands.track
    assert track is not None
    assert foreseen(desk) is not None
    other = desk.layer.data.copy()
    other[2, 20:30, 20:60] = 0
    other[2, 18:32, 30:50] = 1
    desk.layer.data = other  # while the button is held
    for _ in drawing:
        pass
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data > 0, other > 0)
    for label in (1, 2):
        rows = np.flatnonzero((desk.layer.data[2] == label).any(1))
        assert (rows[0], rows[-1]) == (18, 31)


def test_an_answer_that_nobody_waits_for_is_dropped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    a_bar(desk)
    go_on, _ = slow_tool(monkeypatch, "split")
    desk.hands.take("split")
    drawing = desk.mouse((15, 40), (35, 40))
    next(drawing)
    next(drawing)
    desk.hands.give_up()
    go_on.set()
    desk.hands.foresight.tick()
    assert foreseen(desk) is None
    assert set(np.unique(desk.layer.data)) == {0, 1}


def test_what_lies_inside_a_lasso_is_painted_when_it_is_let_go(desk: Desk) -> None:
    desk.hands.take("lasso")
    desk.draw((10, 10), (10, 40), (40, 40), (40, 10), (12, 10))
    assert desk.layer.data[2, 25, 25] == 1
    assert desk.steps == 1


def test_the_first_click_gives_a_brush_its_range_and_the_label_another(desk: Desk) -> None:
    image = desk.viewer.layers[0].data
    image[:], image[:, :, 40:] = 50, 90
    desk.hands.take("range brush")
    desk.hands.set_option("range brush", radius=6.0)
    desk.draw((20, 37), (25, 37))
    held = desk.hands.options["range brush"]
    assert (held.low, held.high) == (50, 50)  # type: ignore[attr-defined]
    assert desk.layer.data[2, 22, 37] == 1
    assert not desk.layer.data[2, :, 40:].any()
    image[2, 20:24, 36:38] = 54
    desk.hands.range_of_label()
    held = desk.hands.options["range brush"]
    assert (held.low, held.high) == (50, 54)  # type: ignore[attr-defined]
    desk.layer.selected_label = 7
    desk.hands.range_of_label()
    assert "nothing of object 7" in desk.hands.said


def test_a_tool_put_down_within_a_stroke_leaves_nothing_of_it(desk: Desk) -> None:
    desk.hands.take("brush")
    drawing = desk.mouse((20, 20), (20, 30), (20, 40))
    next(drawing)
    next(drawing)
    desk.hands.take("brush")  # its key again
    for _ in drawing:
        pass
    desk.rest()
    assert not desk.layer.data.any()
    desk.hands.take("brush")
    desk.draw((40, 20), (40, 40))
    assert (desk.steps, bool(desk.layer.data[2, 40, 30])) == (1, True)


def test_inside_means_the_label_that_the_stroke_began_on(desk: Desk) -> None:
    a_bar(desk)
    desk.layer.selected_label = 7
    desk.hands.take("brush")
    desk.hands.set_option("brush", radius=2.0, mode="inside")
    desk.draw((24, 34), (24, 38), (24, 42), (24, 46), (10, 46))
    painted = desk.layer.data[2] == 7
    assert painted[24, 34:47].all()
    assert not painted[:20].any()


def test_a_tool_from_a_button_acts_where_is_clicked_next(desk: Desk) -> None:
    a_bar(desk)
    desk.hands.pick("delete")
    assert (desk.layer.data == 1).any()
    desk.draw((25, 45))
    assert not desk.layer.data.any()
    assert desk.hands.tool is not None
    desk.hands.pick("finish slice")
    desk.rest()
    assert "slice 0 2" in desk.recorder.rows(desk.recorder.tracks()[0])


def test_a_key_means_the_slice_of_the_view_that_the_mouse_is_over(desk: Desk) -> None:
    point_at(desk.viewer, desk.hands, (0.0, 17.0, 33.0), beside=(0, 1))
    desk.viewer.dims.set_point(2, 50)
    desk.hands.take("finish slice")
    desk.rest()
    assert "slice 2 50" in desk.recorder.rows(desk.recorder.tracks()[0])
    desk.viewer.dims.ndisplay = 3
    desk.hands.pointing.leave(for_good=True)
    desk.hands.take("finish slice")
    assert "3D" in desk.hands.said


def test_objects_selected_with_shift_are_what_a_tool_is_for(desk: Desk) -> None:
    a_bar(desk)
    desk.layer.data[2, 40:44, 10:20], desk.layer.data[2, 50:54, 10:20] = 2, 3
    desk.recorder.settle()
    desk.rest()
    hover = Hover(desk.viewer, desk.hands, desk.recorder, Surroundings(desk.recorder))
    for place in ((25, 45), (42, 15), (52, 15), (52, 15)):
        desk.draw(place, modifiers=("Shift",))
    assert desk.hands.selected == (1, 2)
    assert "2 objects are selected" in desk.hands.words
    assert [one.label for one in hover.marked] == [1, 2]
    desk.hands.act("delete")
    desk.rest()
    assert np.unique(desk.layer.data).tolist() == [0, 3]
    assert (desk.hands.selected, hover.marked) == ((), ())
    desk.draw((52, 15), modifiers=("Shift",))
    desk.draw((5, 5), modifiers=("Shift",))
    assert desk.hands.selected == ()


@pytest.mark.parametrize("away", [{"visible": False}, {"opacity": 0.0}])
def test_a_mask_that_is_not_seen_is_not_changed(desk: Desk, away: dict[str, Any]) -> None:
    a_bar(desk)
    before, steps, seen = desk.layer.data.copy(), desk.steps, {name: getattr(desk.layer, name) for name in away}
    for name, value in away.items():
        setattr(desk.layer, name, value)
    point_at(desk.viewer, desk.hands, (6.0, 25.0, 45.0))
    desk.hands.act("delete")
    assert desk.hands.said.startswith("mask is hidden; show it first")
    for tool in ("brush", "lasso"):
        desk.hands.take(tool)
        desk.draw((10, 10), (10, 40), (40, 40))
        assert desk.hands.said.startswith("mask is hidden; show it first")
    assert (np.array_equal(desk.layer.data, before), desk.steps) == (True, steps)
    for name, value in seen.items():
        setattr(desk.layer, name, value)
    desk.draw((10, 10), (10, 40), (40, 40))
    assert desk.steps == steps + 1


@pytest.mark.parametrize(
    ("over", "hides"),
    [
        ({}, True),
        ({"opacity": 0.5}, False),
        ({"visible": False}, False),
        ({"blending": "additive"}, False),
        ({"translate": (0, 0, 60)}, False),  # beside the stroke
        ({"translate": (60, 0, 0)}, False),  # in other slices
    ],
)
def test_a_mask_under_another_image_comes_to_the_front_before_it_is_drawn_on(
    desk: Desk, over: dict[str, Any], hides: bool
) -> None:
    image, layer = desk.viewer.layers
    other = desk.viewer.add_image(np.zeros(GRID, np.uint8), name="other", scale=(3, 1, 1), **over)
    desk.rest()
    desk.viewer.layers.selection.active = layer
    desk.hands.take("brush")
    desk.draw((20, 20), (20, 40))
    if hides:
        assert not layer.data.any()
        assert desk.hands.said == "mask lay under other and is in front now, with its image; do it again."
        assert [*desk.viewer.layers] == [other, image, layer]
        desk.draw((20, 20), (20, 40))
    assert layer.data[2, 20, 20:41].all()
    assert desk.hands.said == ""


def test_a_stroke_on_a_mask_that_gets_hidden_is_given_up(desk: Desk) -> None:
    desk.hands.take("brush")
    drawing = desk.mouse((20, 20), (20, 30), (20, 40))
    next(drawing)
    next(drawing)
    desk.layer.visible = False
    assert "hidden" in desk.hands.said
    for _ in drawing:
        pass
    desk.rest()
    desk.layer.visible = True
    assert (desk.layer.data.any(), desk.steps) == (False, 0)


def test_while_a_button_is_held_keys_do_not_act(desk: Desk) -> None:
    a_bar(desk)
    before, steps = desk.layer.data.copy(), desk.steps
    desk.layer.selected_label = 7
    for tool, words in (("brush", "Let go"), ("lasso", "Let go"), ("polygon", "press Return")):
        desk.hands.take(tool)
        drawing = desk.mouse((25, 10), (25, 15), (30, 15))
        next(drawing)
        next(drawing)
        point_at(desk.viewer, desk.hands, (6.0, 25.0, 45.0))
        for key in ("delete", "new id", "delete small", "finish slice"):
            desk.hands.take(key)
            assert words in desk.hands.said
        desk.rest()
        desk.hands.give_up()
        for _ in drawing:
            pass
        desk.rest()
        assert (np.array_equal(desk.layer.data, before), desk.steps) == (True, steps)
        desk.hands.put_down()


def test_what_is_shown_by_others_waits_for_the_end_of_a_stroke(desk: Desk) -> None:
    a_bar(desk)
    track = desk.hands.track
    assert track is not None
    desk.layer.selected_label = 7
    desk.hands.take("brush")
    drawing = desk.mouse((50, 10), (50, 15))
    next(drawing)
    bar = slice(2, 3), slice(20, 30), slice(20, 60)
    desk.recorder.apply(track, edited(desk.recorder.annotation(track), "x", [(bar, np.zeros((1, 10, 40), np.uint8))]))
    desk.rest()
    assert (desk.layer.data == 1).any()
    for _ in drawing:
        pass
    desk.rest()
    assert np.unique(desk.layer.data).tolist() == [0, 7]


@pytest.mark.parametrize(
    ("tool", "points"),
    [
        ("lasso", ((5, 40), (5, 60), (15, 60))),
        ("split", ((15, 30), (35, 30))),
        ("fill", ((25, 45),)),
        ("merge", ((25, 30), (45, 15))),
        ("finish box", ((10, 10), (30, 30))),
        ("grow", ((25, 45), (25, 55))),
    ],
)
def test_what_is_let_go_in_another_slice_changes_nothing(desk: Desk, tool: str, points: Any) -> None:
    desk.layer.data[2, 40:50, 10:20] = 2
    a_bar(desk)
    before, steps = desk.layer.data.copy(), desk.steps
    desk.layer.selected_label = 7
    desk.hands.take(tool)
    drawing = desk.mouse(*points)
    for _ in points:
        next(drawing)
    desk.viewer.dims.set_point(0, 9)
    for _ in drawing:
        pass
    desk.rest()
    assert "Another slice" in desk.hands.said
    assert (np.array_equal(desk.layer.data, before), desk.steps) == (True, steps)


def test_clicks_are_confirmed_in_the_slice_in_which_they_were_made(desk: Desk) -> None:
    desk.hands.take("polygon")
    for corner in ((10.0, 10.0), (10.0, 40.0), (40.0, 40.0)):
        desk.draw(corner)
    away: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"point": (9.0, 0.0, 0.0)}, {"point": (6.0, 0.0, 0.0)}),
        ({"order": (1, 0, 2)}, {"order": (0, 1, 2)}),
        ({"ndisplay": 3}, {"ndisplay": 2}),
    ]
    for there, back in away:
        desk.viewer.dims.update(there)
        desk.hands.confirm()
        desk.rest()
        assert "go back there" in desk.hands.said
        assert (desk.layer.data.any(), desk.steps) == (False, 0)
        assert desk.hands.doing is not None
        assert not desk.hands.shows(desk.hands.doing, desk.viewer.dims)  # nor is it drawn there
        desk.viewer.dims.update(back)
    assert desk.hands.shows(desk.hands.doing, desk.viewer.dims)  # type: ignore[arg-type]
    desk.hands.confirm()
    desk.rest()
    assert {*np.nonzero(desk.layer.data)[0].tolist()} == {2}


def test_a_stroke_ends_where_the_view_is_turned(desk: Desk) -> None:
    for turn in ({"ndisplay": 3}, {"order": (1, 0, 2)}):
        desk.hands.take("brush")
        drawing = desk.mouse((20, 20), (20, 24), (20, 70))
        next(drawing)
        next(drawing)
        painted, steps = desk.layer.data.copy(), desk.steps
        desk.viewer.dims.update(turn)
        for _ in drawing:
            pass
        desk.rest()
        assert painted.any()
        assert (np.array_equal(desk.layer.data, painted), desk.steps) == (True, steps + 1)
        desk.viewer.dims.update({"order": (0, 1, 2), "ndisplay": 2})
        desk.viewer.dims.set_point(0, 6)
        desk.hands.put_down()
        desk.layer.undo()
        desk.rest()


@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_stroke_on_a_mask_that_is_closed_is_a_step(desk: Desk, all_of_them: bool) -> None:
    """As when the viewer closes, which takes all layers away first."""
    track = desk.hands.track
    assert track is not None
    other = desk.viewer.add_labels(np.zeros(GRID, np.uint8), name="other", scale=(3, 1, 1))
    desk.rest()
    desk.viewer.layers.selection.active = desk.layer
    desk.hands.take("brush")
    drawing = desk.mouse((20, 20), (20, 30), (20, 40))
    next(drawing)
    next(drawing)
    painted = desk.layer.data.copy()
    if all_of_them:
        desk.viewer.layers.clear()
    else:
        desk.viewer.layers.remove(desk.layer)
    for _ in drawing:
        pass
    desk.rest()
    assert painted.any()
    np.testing.assert_array_equal(desk.layer.data, painted)
    assert desk.hands.tool is None
    if not all_of_them:
        writer, image = track.session.writer, track.row.id
        kept = writer.call(lambda store: store.labels(image, "mask", 0)).result()
        np.testing.assert_array_equal(kept, painted)
        other.undo()  # of another mask of that image: the last step is taken back
        desk.rest()
        assert not writer.call(lambda store: store.labels(image, "mask", 0)).result().any()


@pytest.mark.parametrize("tool", ["lasso", "polygon"])
def test_what_is_not_finished_on_a_mask_that_is_closed_is_dropped(desk: Desk, tool: str) -> None:
    before = desk.layer.data.copy()
    desk.hands.take(tool)
    drawing = desk.mouse((20, 20), (20, 40), (40, 40))
    next(drawing)
    next(drawing)
    desk.viewer.layers.remove(desk.layer)
    for _ in drawing:
        pass
    desk.rest()
    np.testing.assert_array_equal(desk.layer.data, before)
    assert (desk.hands.tool, desk.hands.doing) == (None, None)


def test_paint_does_not_go_over_what_is_not_drawn(desk: Desk) -> None:
    desk.layer.data[2, 40:50, 10:20] = 2
    a_bar(desk)
    desk.layer.selected_label = 3
    desk.layer.show_selected_label = True
    bar = desk.layer.data == 1
    for tool, points in (
        ("brush", ((25, 15), (25, 65))),
        ("eraser", ((25, 15), (25, 65))),
        ("lasso", ((15, 10), (15, 70), (35, 70), (35, 10))),
    ):
        desk.hands.take(tool)
        desk.draw(*points)
    assert (desk.layer.data[bar] == 1).all()
    assert (desk.layer.data == 3).any()
    desk.hands.set_option("delete small", size=5000.0)
    desk.hands.act("delete small")
    desk.rest()
    assert np.unique(desk.layer.data).tolist() == [0, 1, 2]
    desk.layer.show_selected_label = False
    desk.hands.take("brush")
    desk.draw((25, 15), (25, 65))
    assert (desk.layer.data[bar] == 3).any()


def test_with_a_label_that_is_not_drawn_nothing_is_painted(desk: Desk) -> None:
    desk.layer.colormap = {None: "red", 1: "red", 5: "transparent"}
    desk.layer.selected_label = 5
    desk.hands.take("brush")
    desk.draw((25, 15), (25, 65))
    assert "would not be seen" in desk.hands.said
    assert not desk.layer.data.any()
    desk.hands.take("eraser")
    desk.draw((25, 15), (25, 65))
    assert "would not be seen" not in desk.hands.said


def test_a_free_number_that_was_chosen_stays_chosen(desk: Desk) -> None:
    a_bar(desk)
    desk.layer.data[2, 40:50, 10:20] = 2
    desk.recorder.sweep()
    desk.rest()
    desk.layer.selected_label = 50
    point_at(desk.viewer, desk.hands, (6.0, 25.0, 45.0))
    desk.hands.act("delete")
    desk.rest()
    assert not (desk.layer.data == 1).any()
    assert desk.layer.selected_label == 50


def test_without_the_mouse_the_label_in_hand_is_meant(desk: Desk) -> None:
    desk.layer.data[[0, 4], 20:50, 20:70] = 1  # around the middle of the slice
    desk.layer.data[[1, 3], 5:9, 5:9] = 2
    track = desk.hands.track
    assert track is not None
    track.extents.clear()
    desk.recorder.sweep()
    desk.rest()
    desk.layer.selected_label = 2
    desk.viewer.dims.set_point(0, 0)
    desk.hands.pointing.leave()
    desk.hands.act("interpolate")
    desk.rest()
    assert (desk.layer.data[2, 5:9, 5:9] == 2).all()
    assert not (desk.layer.data[2] == 1).any()


def press_key(desk: Desk, key: str) -> Any:
    """Press a key with the mask in hand; returns what is done when it is let go of."""
    from napari.utils.key_bindings import KeymapHandler

    handler = KeymapHandler()
    handler.keymap_providers = [desk.layer, desk.viewer]
    assert handler.press_key(key)
    return lambda: handler.release_key(key)


def test_the_view_is_moved_while_a_key_is_held(desk: Desk) -> None:
    desk.hands.take("brush")
    let_go = press_key(desk, "Space")
    assert desk.layer.mouse_pan
    desk.draw((25, 15), (25, 65))
    assert not desk.layer.data.any()
    let_go()
    assert not desk.layer.mouse_pan
    desk.draw((25, 15), (25, 65))
    assert desk.layer.data.any()
    drawing = desk.mouse((40, 15), (40, 30))
    next(drawing)
    press_key(desk, "Space")()
    assert not desk.layer.mouse_pan
    for _ in drawing:
        pass
    let_go = press_key(desk, "Space")
    desk.hands.put_down()
    let_go()
    assert desk.layer.mouse_pan


def test_keys_make_the_brush_in_hand_larger_and_smaller(desk: Desk) -> None:
    desk.hands.take("brush")
    desk.hands.set_option("brush", radius=5.0)
    press_key(desk, "]")
    assert desk.hands.radius == 6.0
    press_key(desk, "[")
    assert desk.hands.radius == 5.0
    assert desk.layer.brush_size == 10  # napari's own
    bound = dict(desk.layer.keymap)
    desk.hands.put_down()
    assert len(bound) - len(desk.layer.keymap) >= 2  # given back to napari
