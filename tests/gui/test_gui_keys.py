"""Keys: none taken twice, all on the sheet as they are bound now, and every tool in the command palette."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import Any

import pytest
from app_model.types import KeyBinding
from hypothesis import given
from hypothesis import strategies as st
from napari._app_model import get_app_model
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.settings import get_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from napari_seg.editing.catalogue import TOOLS
from napari_seg.gui.keys import GROUPS, Key, grouped, napari_keys, offer_commands, tool_keys
from napari_seg.gui.keys_sheet import KeysSheet, in_columns
from napari_seg.gui.views import canvas_of


def spelled(key: str) -> str:
    return str(KeyBinding.from_str(key))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer(show=True)


@pytest.fixture
def sheet(viewer: Any, qtbot: Any) -> KeysSheet:
    """With the keys that are known, in a window that has the keyboard."""
    sheet = KeysSheet(viewer, canvas_of(viewer))
    keys = [*tool_keys(TOOLS), Key("View", "?", "This list"), *napari_keys()]
    sheet.asked.connect(lambda: sheet.render(keys))
    window = viewer.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5_000)
    canvas_of(viewer).setFocus()
    return sheet


@pytest.fixture
def listed_keys(viewer: Any, plugin: None) -> list[tuple[str, str]]:
    """All keys on the sheet but those of napari: what they do, and the key."""
    _, panel = viewer.window.add_plugin_dock_widget("napari-seg", "Segmentation panel")
    panel.around.keys.toggle()
    groups = panel.around.keys.page.groups
    return [
        (row.words, spelled(key))
        for group in groups
        if group != GROUPS[-1]
        for row in groups[group]
        for key in row.keys
    ]


def test_no_key_is_taken_twice_or_from_napari(listed_keys: list[tuple[str, str]]) -> None:
    """But undo and redo, which are of the session now, for whatever was painted with."""
    own = {str(key) for kind in (Labels, Image, ViewerModel) for key in kind.class_keymap}
    own |= {str(rule.keybinding) for rule in get_app_model().keybindings}
    assert {"B", "Space", "Ctrl+S", "C"} <= own
    assert {tool.title for tool in TOOLS.values() if tool.key} <= {words for words, _ in listed_keys}
    taken = [(words, key) for words, key in listed_keys if key in own - {"Ctrl+Z", "Ctrl+Shift+Z"}]
    assert taken == []
    counts = Counter(key for _, key in listed_keys)
    assert [key for key, count in counts.items() if count > 1] == []


def test_keys_of_the_same_words_stand_in_one_line_and_groups_in_their_order() -> None:
    keys = [
        Key("Elsewhere", "F9", "More"),
        Key("Review", ".", "Next"),
        Key("Review", "Return", "Next"),
        Key("Review", ".", "Next"),
        Key("Paint", "Q", "Brush"),
    ]
    found = grouped(keys)
    assert list(found) == ["Paint", "Review", "Elsewhere"]
    assert found["Review"] == [((".", "Return"), "Next")]
    assert [key.words for key in tool_keys(TOOLS)] == [tool.title for tool in TOOLS.values() if tool.key]


def test_naparis_keys_are_those_that_a_person_has_set() -> None:
    assert Key(GROUPS[-1], "B", "Paint over nothing") in napari_keys()
    shortcuts = get_settings().shortcuts
    before = shortcuts.shortcuts
    shortcuts.shortcuts = {**before, "napari:toggle_preserve_labels": [KeyBinding.from_str("Alt+B")]}
    try:
        mine = [key.key for key in napari_keys() if key.words == "Paint over nothing"]
    finally:
        shortcuts.shortcuts = before
    assert mine == ["Alt+B"]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 4))
def test_columns_keep_the_order_and_are_as_short_as_can_be(lengths: list[int], columns: int) -> None:
    found = in_columns(lengths, columns)
    assert [k for column in found for k in column] == list(range(len(lengths)))
    assert len(found) <= columns

    def tallest(cuts: tuple[int, ...]) -> int:
        edges = (0, *cuts, len(lengths))
        return max(sum(lengths[a:b]) for a, b in pairwise(edges))

    ways = combinations(range(1, len(lengths)), min(columns, len(lengths)) - 1)
    assert max(sum(lengths[k] for k in column) for column in found) == min(map(tallest, ways))


def test_the_sheet_opens_and_closes(viewer: Any, sheet: KeysSheet, qtbot: Any) -> None:
    canvas, taken = canvas_of(viewer), []
    viewer.bind_key("K", lambda _: taken.append("K"), overwrite=True)
    assert not sheet.isVisible()
    qtbot.keyClick(canvas, "?")
    assert sheet.isVisible()
    assert sheet.geometry() == canvas.rect()
    assert "Q: Brush" in sheet.page.accessibleDescription().splitlines()
    qtbot.keyClick(sheet, "?")
    assert not sheet.isVisible()
    assert canvas.hasFocus()
    for close in (lambda: qtbot.keyClick(sheet, Qt.Key.Key_Escape), lambda: qtbot.mouseClick(sheet.page, _LEFT)):
        sheet.toggle()
        close()
        assert not sheet.isVisible()
    assert taken == []
    sheet.toggle()
    qtbot.keyClick(sheet, Qt.Key.Key_Shift)
    assert sheet.isVisible()
    qtbot.keyClick(sheet, "K")  # whoever has found the key presses it
    assert not sheet.isVisible()
    assert taken == ["K"]


_LEFT = Qt.MouseButton.LeftButton


def test_a_question_mark_in_a_text_is_a_question_mark(viewer: Any, sheet: KeysSheet, qtbot: Any) -> None:
    line = QLineEdit()
    viewer.window.add_dock_widget(line)
    line.setFocus()
    qtbot.keyClick(line, "?")
    assert line.text() == "?"
    assert not sheet.isVisible()


def test_all_keys_are_seen_in_small_windows_too(viewer: Any, sheet: KeysSheet, qtbot: Any) -> None:
    bar = sheet.scroll.verticalScrollBar()
    viewer.window.resize(1500, 1000)
    sheet.toggle()
    assert bar.maximum() == 0
    assert len(sheet.page.columns) > 1
    large = sheet.page.points
    for width, height in ((1100, 640), (600, 400)):
        viewer.window.resize(width, height)
        qtbot.waitUntil(lambda: sheet.geometry() == canvas_of(viewer).rect(), timeout=5_000)
        assert sheet.page.width() <= sheet.width()
        assert sheet.page.height() <= sheet.scroll.viewport().height() + bar.maximum()
    assert sheet.page.points < large
    assert bar.maximum() > 0
    qtbot.keyClick(sheet, Qt.Key.Key_PageDown)
    assert bar.value() > 0
    assert sheet.isVisible()


def test_the_sheet_follows_the_theme_and_shows_what_is_behind_it_faintly(viewer: Any, sheet: KeysSheet) -> None:
    sheet.toggle()
    brightness = {}
    for theme in ("dark", "light"):
        viewer.theme = theme
        corner = sheet.grab().toImage().pixelColor(3, 3)
        brightness[theme] = corner.lightness()
    assert brightness["dark"] < 80
    assert brightness["light"] > 180


def listed(viewer: Any, text: str) -> list[str]:
    """What napari's palette shows for a text."""
    window = viewer.window._qt_window
    window._command_palette.update_context(window)
    shown = window._command_palette._list
    shown.update_for_text(text)
    return [shown.indexWidget(shown.model().index(k)).command_text() for k, _ in enumerate(shown.iter_command())]


def test_every_tool_is_in_the_command_palette(viewer: Any) -> None:
    taken: list[tuple[str, str]] = []
    viewer.title = "in front"
    dispose = offer_commands(TOOLS, lambda front, name: taken.append((front.title, name)))
    again = offer_commands(TOOLS, lambda front, name: taken.append((front.title, "the second window's")))
    try:
        lines = listed(viewer, "napari-seg")
        for tool in TOOLS.values():
            assert lines.count(f"napari-seg > {tool.title}") == 1
        again()  # had nothing of its own to take out
        get_app_model().commands.execute_command("napari-seg.brush")
        assert taken == [("in front", "brush")]
    finally:
        dispose()
    assert not [line for line in listed(viewer, "napari-seg") if line == "napari-seg > Brush"]
    assert "napari-seg.brush" not in get_app_model().commands
