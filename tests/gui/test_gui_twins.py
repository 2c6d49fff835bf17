"""Two images that are the same in all squares that the fingerprint looks at: neither ever shows the other's mask."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
from controlled import paint

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.gui import voxels
from napari_seg.session.fingerprint import SIDE, SIDES, fingerprint, tells_all, voxels_hash

GRID = (1000, 900)
LOOKED_AT = (SIDE - 1, SIDE - 1)
OUTSIDE = (SIDE + 40, SIDE + 30)
"""Between the squares."""


class Window(controlled.Window):
    grid = GRID

    @property
    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


class Gate:
    """Holds back the hash of voxels until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()

        def waiting(volume: Volume, stop: Any) -> str:
            assert self.opened.wait(20)
            return voxels_hash(volume, stop)

        monkeypatch.setattr(voxels, "voxels_hash", waiting)


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Two images that differ in one voxel."""
    folder = tmp_path / "images"
    folder.mkdir()
    data = np.random.default_rng(0).integers(0, 255, GRID).astype(np.uint8)
    other = data.copy()
    other[OUTSIDE] ^= 1
    for name, one in (("first", data), ("second", other)):
        write(Volume(one, "YX"), folder / f"{name}.png")
    return folder / "first.png", folder / "second.png"


def test_they_are_the_same_to_the_fingerprint(twins: tuple[Path, Path]) -> None:
    first, second = map(read, twins)
    assert fingerprint(first) == fingerprint(second)
    assert voxels_hash(first) != voxels_hash(second)
    assert not tells_all(first)
    assert tells_all(Volume(np.zeros((SIDES * SIDE, SIDES * SIDE), np.uint8), "YX"))
    assert not tells_all(Volume(np.zeros((26, 9, 9), np.uint8), "ZYX"))
    assert tells_all(Volume(np.zeros((9, 9, 3), np.uint8), "YXS"))
    assert voxels_hash(first, lambda: True) == ""


def test_each_has_a_session_of_its_own_also_after_closing(
    twins: tuple[Path, Path], open_window: Any, sessions: Path
) -> None:
    one = open_window()
    one.drop(twins[0])
    paint(one.mask("of the first"), 3, 1)
    one.rest()
    one.recorder.close()
    two = open_window()
    two.drop(twins[1])
    assert two.names == ["second"]
    paint(two.mask("of the second"), 5, 2)
    two.rest()
    two.recorder.close()
    folders = [path for path in sessions.iterdir() if path.is_dir()]
    assert len(folders) == 2
    for path, name, place in ((twins[1], "of the second", 5), (twins[0], "of the first", 3)):
        again = open_window()
        again.drop(path)
        assert again.names == [path.stem, name]
        assert np.argwhere(again.viewer.layers[name].data).tolist() == [[place, place]]
        again.viewer.layers[name].undo()
        again.viewer.layers[name].redo()
        again.rest()
        assert again.viewer.layers[name].data[place, place]
        again.recorder.close()


def test_both_in_one_window(twins: tuple[Path, Path], open_window: Any) -> None:
    window = open_window()
    window.drop(twins[0])
    first = window.mask("mask")
    paint(first, 3, 1)
    window.viewer.layers.remove("first")
    window.drop(twins[1])
    second = window.mask("mask")
    assert not second.data.any()
    paint(second, 5, 2)
    window.rest()
    assert window.recorder.track(first).session is not window.recorder.track(second).session
    second.undo()
    window.rest()
    assert (first.data[3, 3], second.data.any()) == (1, False)


def test_no_mask_is_shown_before_all_voxels_were_compared(
    twins: tuple[Path, Path], open_window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = open_window()
    one.drop(twins[0])
    paint(one.mask("mask"), 3, 1)
    one.rest()
    one.recorder.close()
    gate = Gate(monkeypatch)
    two = open_window()
    two.drop(twins[0], hashes=False)
    assert two.names == ["first"]
    gate.opened.set()
    two.rest()
    assert two.names == ["first", "mask"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_mask_that_comes_before_the_answer_is_closed_to_painting_until_then(
    twins: tuple[Path, Path], open_window: Any, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    one = open_window()
    one.drop(twins[0])
    paint(one.mask("mask"), 3, 1)
    one.rest()
    one.recorder.close()
    gate = Gate(monkeypatch)
    two = open_window()
    two.drop(twins[which], hashes=False)
    new = two.mask("new", hashes=False)
    assert not new.editable
    assert two.recorder.track(new) is None
    assert "compared with" in two.viewer.status
    new.data[9, 9] = 4  # another plugin does not ask
    gate.opened.set()
    two.rest()
    assert new.editable
    assert ("mask" in two.names) == (which == 0)
    track = two.recorder.track(new)
    kept = track.session.writer.call(lambda store: store.labels(track.row.id, "new")).result()
    assert np.argwhere(kept).tolist() == [[9, 9]]
    paint(new, 5, 2)
    two.rest()
    new.undo()
    two.rest()
    assert np.argwhere(new.data).tolist() == [[9, 9]]


def test_a_new_image_is_painted_on_at_once(
    twins: tuple[Path, Path], open_window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    window = open_window()
    window.drop(twins[0], hashes=False)
    first = window.mask("mask", hashes=False)
    assert first.editable
    paint(first, 3, 1)  # on the disk before any voxel was compared
    window.rest(hashes=False)
    track = window.recorder.track(first)
    assert track.session.writer.call(lambda store: store.labels(track.row.id, "mask")).result()[3, 3] == 1
    window.viewer.layers.remove("first")
    window.drop(twins[1], hashes=False)
    second = window.mask("mask", hashes=False)
    assert not second.editable
    assert not second.data.any()
    gate.opened.set()
    window.rest()
    assert second.editable
    assert not second.data.any()
    assert window.recorder.track(second).session is not track.session
    assert window.recorder.track(first) is track


def test_closing_does_not_wait_for_it(
    twins: tuple[Path, Path], open_window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    window = open_window()
    window.drop(twins[0], hashes=False)
    paint(window.mask("mask", hashes=False), 3, 1)
    window.recorder.close()
    gate.opened.set()
    again = open_window()
    again.drop(twins[0])
    assert again.viewer.layers["mask"].data[3, 3] == 1


def test_both_in_one_project(twins: tuple[Path, Path], open_window: Any) -> None:
    window = open_window()
    window.batch.choose_folder(twins[0].parent)
    window.rest()
    for path, value in zip(twins, (1, 2), strict=True):
        window.batch.open(path)
        window.rest()
        assert window.names == [path.stem]
        paint(window.mask("mask"), 3, value)
        window.rest()
    for path, value in zip(twins, (1, 2), strict=True):
        window.batch.open(path)
        window.rest()
        assert window.viewer.layers["mask"].data[3, 3] == value
    assert len(window.batch.project.session.writer.call(lambda store: store.images()).result()) == 2


def test_a_session_of_its_own_comes_into_the_right_row_of_a_project(twins: tuple[Path, Path], open_window: Any) -> None:
    for path, value in zip(twins, (1, 2), strict=True):
        alone = open_window()
        alone.drop(path)
        paint(alone.mask("mask"), 3, value)
        alone.rest()
        alone.recorder.close()
    window = open_window()
    window.batch.choose_folder(twins[0].parent)
    window.rest()
    for path, value in zip(reversed(twins), (2, 1), strict=True):
        window.batch.open(path)
        window.rest()
        assert window.names == [path.stem, "mask"]
        assert window.viewer.layers["mask"].data[3, 3] == value
