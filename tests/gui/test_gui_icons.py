"""Every tool has an icon of its own, readable at the size of a button and crisp at twice that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QSize
from qtpy.QtGui import QIcon, QImage

from napari_seg.editing.catalogue import TOOLS
from napari_seg.gui.icons import ICONS, SIZES, icon, initials, path_of

COLOUR = "#f0f1f2"


def drawn(made: QIcon, size: int, scale: float = 1.0, mode: QIcon.Mode = QIcon.Mode.Normal) -> np.ndarray:
    """The pixels of an icon: rows, columns, (r, g, b, a)."""
    image = made.pixmap(QSize(size, size), scale, mode).toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    pixels = np.frombuffer(bytes(image.constBits()), np.uint8)
    return pixels.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()]


@pytest.mark.parametrize("name", TOOLS)
def test_a_registered_tool_has_a_real_icon(name: str) -> None:
    assert name in ICONS


@pytest.mark.parametrize("name", ICONS)
def test_an_icon_fills_its_square_and_is_not_cut(qapp: Any, name: str) -> None:
    for size in SIZES:
        ink = drawn(icon(name, COLOUR), size)[..., 3]
        rows, columns = (np.flatnonzero(ink.any(1 - axis)) for axis in range(2))
        assert max(np.ptp(rows), np.ptp(columns)) > 0.7 * size
        assert not max(ink[0].max(), ink[-1].max(), ink[:, 0].max(), ink[:, -1].max()) > 128
        assert 0.07 < (ink > 128).mean() < 0.6


def test_no_two_icons_look_alike(qapp: Any) -> None:
    pictures = {name: drawn(icon(name, COLOUR), 20)[..., 3].astype(float) for name in ICONS}
    names = sorted(pictures)
    for k, one in enumerate(names):
        for other in names[k + 1 :]:
            assert np.abs(pictures[one] - pictures[other]).mean() > 12, (one, other)


def test_in_the_colour_that_was_asked_for_and_fainter_where_it_cannot_be_pressed(qapp: Any) -> None:
    made = icon("brush", "#3b3a39")
    pixels = drawn(made, 48)
    assert tuple(pixels[pixels[..., 3] == 255].mean(0)[:3].round()) == (0x3B, 0x3A, 0x39)
    faint = drawn(made, 48, mode=QIcon.Mode.Disabled)
    assert 80 < faint[..., 3].max() < 128


def test_crisp_at_twice_the_scale(qapp: Any) -> None:
    pixels = drawn(icon("polygon", COLOUR), 20, scale=2.0)
    assert pixels.shape[:2] == (40, 40)
    np.testing.assert_array_equal(pixels, drawn(icon("polygon", COLOUR), 40))


def test_a_tool_without_an_icon_shows_its_first_letters(qapp: Any) -> None:
    assert (initials("soft edge"), initials("warp")) == ("Se", "Wa")
    assert drawn(icon("no such tool", COLOUR), 20)[..., 3].any()
    assert not np.array_equal(drawn(icon("soft edge", COLOUR), 20), drawn(icon("warp", COLOUR), 20))


def test_paths() -> None:
    box = path_of("M 2 3 L 8 3 L 8 9 Z").boundingRect()
    assert (box.left(), box.top(), box.right(), box.bottom()) == (2, 3, 8, 9)
    assert path_of("O 12 12 4").boundingRect().width() == pytest.approx(8)
    assert path_of("E 12 12 4 2").boundingRect().height() == pytest.approx(4)
    assert path_of("A 12 12 4 0 90").boundingRect().bottom() == pytest.approx(12)
    assert path_of("M 0 0 C 0 8 8 8 8 0").boundingRect().width() == pytest.approx(8)
    with pytest.raises(ValueError, match="X is no part"):
        path_of("X 1 2")
