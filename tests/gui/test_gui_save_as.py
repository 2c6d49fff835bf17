"""Where to save: a name without a suffix gets one before anybody asks whether a file is to be replaced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox, QWidget

from napari_seg.gui.save_as import ask_for_csv, ask_where


@pytest.fixture
def parent(qtbot: Any) -> QWidget:
    widget = QWidget()
    qtbot.addWidget(widget)
    return widget


def typing(words: str, then: Callable[[QFileDialog], object]) -> None:
    """Type a name into the dialog that opens next, and go on."""

    def now() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QFileDialog)
        line = dialog.findChild(QLineEdit)
        assert line is not None
        line.setText(words)
        then(dialog)

    QTimer.singleShot(0, now)


@pytest.fixture(autouse=True)
def drawn_by_qt(monkeypatch: pytest.MonkeyPatch) -> None:
    made = QFileDialog.__init__

    def not_native(dialog: QFileDialog, *about: Any) -> None:
        made(dialog, *about)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)

    monkeypatch.setattr(QFileDialog, "__init__", not_native)


@pytest.mark.parametrize(
    ("start", "suffix", "words", "named"),
    [
        ("a.csv", "csv", "mine", "mine.csv"),
        ("a.csv", "csv", "mine.txt", "mine.txt"),
        ("a.nii.gz", "nii.gz", "mine", "mine.nii.gz"),
    ],
)
def test_the_suffix(parent: QWidget, tmp_path: Path, start: str, suffix: str, words: str, named: str) -> None:
    typing(words, lambda dialog: dialog.accept())
    assert ask_where(parent, "Save", tmp_path / start, suffix, f"All (*.{suffix})") == tmp_path / named


def test_nowhere(parent: QWidget) -> None:
    typing("mine", lambda dialog: dialog.reject())
    assert ask_for_csv(parent, "Save", "log.csv") is None


def test_a_file_that_the_suffix_names_is_not_replaced_unasked(
    parent: QWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.csv").write_text("old")
    monkeypatch.chdir(tmp_path)
    asked = []

    def no() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        asked.append(box.text())
        box.reject()

    def accept(dialog: QFileDialog) -> None:
        QTimer.singleShot(0, no)
        dialog.accept()
        dialog.reject()

    typing("mine", accept)
    assert ask_for_csv(parent, "Save", "log.csv") is None
    assert len(asked) == 1
    assert "mine.csv" in asked[0]
