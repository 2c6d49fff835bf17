"""The queue: pictures, keys, what was said, and how far one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_seg.editing.annotation import Entry, object_key, slice_key
from napari_seg.editing.said import region_key
from napari_seg.editing.suspicion import Suspect
from napari_seg.gui.queue_view import KEYS, LIST_KEYS, QueueView
from napari_seg.gui.thumbnail import thumbnail

YELLOW = (255, 214, 10)


def suspect(label: int, at: tuple[int, int] = (20, 20), reasons: Sequence[str] = ("In two parts",)) -> Suspect:
    box = tuple(slice(p - 5, p + 6) for p in at)
    return Suspect(object_key(label), label, tuple(map(float, at)), box, 1 / label, tuple(reasons))


def where(picture: np.ndarray[Any, Any], colour: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    return np.asarray((picture == colour).all(-1))


def scene() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A bright square, its label 3, and a neighbour 4."""
    image, labels = np.zeros((40, 50), np.float32), np.zeros((40, 50), np.uint16)
    image[15:26, 15:26], labels[15:26, 15:26], labels[15:26, 26:30] = 100, 3, 4
    return image, labels


def test_a_thumbnail_shows_the_object_in_the_middle_with_its_outline() -> None:
    image, labels = scene()
    picture = thumbnail(image, labels, suspect(3))
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)
    line = where(picture, YELLOW)
    rows, columns = np.nonzero(line)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(31.5, abs=1)
    assert (columns.min() + columns.max()) / 2 == pytest.approx(31.5, abs=1)
    assert (rows.max() - rows.min() + 1) / 64 == pytest.approx(11 / 24, abs=0.04)  # 24 voxels across are shown
    assert picture[32, 32].tolist() == [255, 255, 255]
    assert picture[5, 5].tolist() == [0, 0, 0]
    assert where(picture, (140, 140, 140)).any()
    assert not where(thumbnail(image, np.where(labels == 4, 0, labels), suspect(3)), (140, 140, 140)).any()


def test_at_the_corner_what_lies_beyond_is_black_and_nothing_is_moved() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[:4, :4] = 1
    corner = Suspect(object_key(1), 1, (1.0, 1.0), (slice(0, 4), slice(0, 4)), 0.5)
    picture = thumbnail(np.full((30, 30), 7), labels, corner)
    line = where(picture, YELLOW)
    middle = np.argwhere(line).mean(0)
    assert middle == pytest.approx([31.5, 31.5], abs=6)
    assert not picture[:20].any()
    assert not picture[:, :20].any()


def test_thumbnails_of_volumes_slices_and_without_an_image() -> None:
    image, labels = scene()
    volume, stack = np.zeros((7, 40, 50), np.float32), np.zeros((7, 40, 50), np.uint16)
    volume[4], stack[4] = image, labels
    solid = Suspect(object_key(3), 3, (4.0, 20.0, 20.0), (slice(3, 6), slice(15, 26), slice(15, 26)), 0.5)
    np.testing.assert_array_equal(thumbnail(volume, stack, solid), thumbnail(image, labels, suspect(3)))
    turned = Suspect(slice_key(1, 20), 0, (4.0, 20.0, 20.0), (slice(0, 7), slice(20, 21), slice(0, 50)), 0.5)
    picture = thumbnail(volume, stack, turned)
    assert where(picture, YELLOW).any()
    empty = Suspect(slice_key(0, 1), 0, (1.0, 20.0, 25.0), (slice(1, 2), slice(0, 40), slice(0, 50)), 0.5)
    assert not where(thumbnail(volume, stack, empty), YELLOW).any()
    outline = thumbnail(None, labels, suspect(3))
    assert set(map(tuple, outline.reshape(-1, 3).tolist())) == {(0, 0, 0), YELLOW, (140, 140, 140)}
    flat = thumbnail(np.full((40, 50), np.nan), labels, suspect(3), 120)
    assert flat.shape == (120, 120, 3)


@pytest.fixture
def queue(qtbot: Any) -> QueueView:
    view = QueueView()
    qtbot.addWidget(view)
    view.resize(360, 500)
    view.show()
    view.look_at(*scene())
    view.render([suspect(k) for k in range(1, 31)])
    return view


def said(queue: QueueView) -> list[str]:
    """All that the queue says from now on."""
    words: list[str] = []
    queue.chosen.connect(lambda s: words.append(f"go to {s.label}"))
    queue.judged.connect(lambda s, state: words.append(f"{s.label} {state}"))
    queue.fixing.connect(lambda s: words.append(f"fix {s.label}"))
    return words


def hands_on(queue: QueueView, qtbot: Any) -> None:
    """The window has the keyboard."""
    queue.activateWindow()
    qtbot.waitUntil(queue.isActiveWindow, timeout=5_000)


def text_of(queue: QueueView, row: int) -> str:
    return str(queue.model.data(queue.model.index(row)))


def test_next_accept_reject_flag_and_fix_by_buttons(queue: QueueView, qtbot: Any) -> None:
    words = said(queue)
    assert not queue.buttons["accept"].isEnabled()
    for name in ("next", "accept", "reject", "flag", "fix", "next"):
        qtbot.mouseClick(queue.buttons[name], Qt.MouseButton.LeftButton)
    assert words == [
        "go to 1", "1 accepted", "go to 2", "2 rejected", "go to 3", "3 flagged", "go to 4", "fix 4", "go to 5",
    ]  # fmt: skip
    assert text_of(queue, 0) == "Object 1   ✓ accepted\nIn two parts"
    assert text_of(queue, 3).startswith("Object 4\n")
    assert queue.progress.text() == "3 of 30 seen"


def test_the_same_by_keys(queue: QueueView, qtbot: Any) -> None:
    words = said(queue)
    hands_on(queue, qtbot)
    queue.list.setFocus()
    for key in (Qt.Key.Key_Space, Qt.Key.Key_A, Qt.Key.Key_D, Qt.Key.Key_S):
        qtbot.keyClick(queue.list, key)
    qtbot.keyClick(queue.list, Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClick(queue.list, Qt.Key.Key_Return)
    qtbot.keyClick(queue.list, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    assert words == [
        "go to 1", "1 accepted", "go to 2", "2 rejected", "go to 3", "3 flagged", "go to 4", "fix 4", "go to 5",
        "go to 4",
    ]  # fmt: skip


def test_coming_by_the_keyboard_goes_nowhere(queue: QueueView, qtbot: Any) -> None:
    words = said(queue)
    hands_on(queue, qtbot)
    queue.list.setFocus()
    qtbot.waitUntil(queue.list.hasFocus)
    assert (queue.current, words) == (None, [])


def test_space_on_a_button_presses_the_button(queue: QueueView, qtbot: Any) -> None:
    words = said(queue)
    hands_on(queue, qtbot)
    queue.act("next")
    queue.buttons["reject"].setFocus()
    qtbot.keyClick(queue.buttons["reject"], Qt.Key.Key_Space)
    assert words == ["go to 1", "1 rejected", "go to 2"]


def test_keys_do_not_clash_with_naparis() -> None:
    from napari.utils.shortcuts import default_shortcuts

    other = ("points", "shape", "add_", "vertex", "direct", "select_all", "select_mode", "orient_plane")  # no labels
    taken = {
        str(key) for name, keys in default_shortcuts.items() if not any(part in name for part in other) for key in keys
    }
    ours = {key for keys in KEYS.values() for key in keys}
    assert ours & taken == set()
    assert not ours & set("KJNCHIRQWGOVTU")
    assert set(LIST_KEYS["next"]) == {"Space", "Return"}


def test_what_was_said_is_passed_over_and_the_end_stays(queue: QueueView) -> None:
    rows = {object_key(2): Entry(state="accepted"), object_key(3): Entry(state="rejected")}
    queue.render([suspect(k) for k in range(1, 5)], said=rows, done=10)
    assert queue.progress.text() == "12 of 14 seen"
    words = said(queue)
    queue.act("next")
    queue.act("next")
    queue.act("next")
    assert words == ["go to 1", "go to 4", "go to 1"]
    queue.act("accept")
    queue.act("accept")
    assert words[3:] == ["1 accepted", "go to 4", "4 accepted"]
    assert queue.progress.text() == "14 of 14 seen"
    assert queue.stop.text() == "All were seen."


def test_twenty_right_ones_in_a_row_are_told(queue: QueueView) -> None:
    assert queue.stop.text() == "20 right in a row are a reason to stop."
    queue.act("next")
    queue.act("reject")
    for _ in range(20):
        queue.act("accept")
    assert queue.stop.text().startswith("The last 20 were right. If the rest is no worse, at most 2 of the 9 left")
    queue.changed([object_key(22)])
    queue.act("accept")  # it was changed: so it was not right as it was
    assert queue.stop.text() == "Only 8 left to look at."
    queue.render([suspect(k) for k in range(1, 31)], verdicts={object_key(k): True for k in range(101, 126)})
    assert queue.stopping.run == 25


def test_thinking_again_is_one_verdict(queue: QueueView) -> None:
    queue.act("next")
    queue.act("reject")
    queue.act("previous")
    queue.act("accept")
    assert (queue.stopping.run, queue.progress.text()) == (1, "1 of 30 seen")


def test_another_queue_while_judging(queue: QueueView) -> None:
    """Whoever listens may show what is left at once: the view goes on with the next one of what is there."""
    queue.judged.connect(lambda s, state: queue.render([suspect(k) for k in range(2, 31)], done=1))
    queue.act("next")
    words = said(queue)
    queue.act("accept")
    assert words == ["1 accepted", "go to 2"]
    assert queue.progress.text() == "1 of 30 seen"


def test_going_there_from_outside_says_nothing(queue: QueueView) -> None:
    words = said(queue)
    assert queue.go_to(object_key(20))
    assert not queue.go_to(object_key(99))
    assert (queue.current, words) == (suspect(20), [])
    queue.render([suspect(k) for k in range(15, 25)])
    assert queue.current == suspect(20)


def test_pictures_are_made_for_what_is_seen_and_again_after_a_change(
    queue: QueueView, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(image: Any, labels: Any, of: Suspect, size: int = 64) -> Any:
        made.append(of.label)
        return thumbnail(image, labels, of, size)

    monkeypatch.setattr("napari_seg.gui.suspects_model.thumbnail", counted)
    queue.render([suspect(k) for k in range(101, 131)])  # numbers that no other view draws
    qtbot.waitUntil(lambda: {101, 105} <= set(made) and not queue.model.drawing)
    assert 130 not in made
    assert len(made) == len(set(made)) <= 12
    made.clear()
    queue.changed([object_key(102), object_key(130)])
    qtbot.waitUntil(lambda: made == [102] and not queue.model.drawing)


def test_titles_of_slices_and_regions_and_no_empty_box(queue: QueueView) -> None:
    box = (slice(0, 1), slice(0, 40), slice(0, 50))
    queue.look_at(None, None)
    queue.render(
        [
            Suspect(slice_key(0, 7), 0, (7.0, 1.0, 1.0), box, 0.9),
            Suspect(region_key(2, (0, 1, 1)), 2, (0.0, 1.0, 1.0), box, 0.8),
            Suspect(region_key(5, (0, 1, 1)), 5, (0.0, 1.0, 1.0), box, 0.7),
        ],
        classes=("liver", "spleen"),
    )
    titles = [text_of(queue, row).split("\n") for row in range(3)]
    assert titles == [[name, "No reason to doubt it"] for name in ("Slice 7", "spleen", "class 5")]
    assert not queue.empty.isVisible()
    queue.render([])
    assert (queue.empty.isVisible(), queue.list.isVisible(), queue.bar.isVisible()) == (True, False, False)
    queue.act("next")
    queue.act("accept")
    assert queue.current is None
