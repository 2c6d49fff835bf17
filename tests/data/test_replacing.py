"""A mask that takes the place of another, in a program that is killed on the way: one of the two is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from replacing import mask

import napari_seg
from napari_seg.data import replacing
from napari_seg.data.formats import images_in, read, write
from napari_seg.data.ome_zarr import masks_of
from napari_seg.data.replacing import EARLIER
from napari_seg.errors import SegError


def value(path: Path) -> int:
    return int(np.unique(np.asarray(read(path).data)).item())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no copies of a program on this system")
def test_a_program_that_is_killed_at_any_step_loses_no_mask(tmp_path: Path) -> None:
    program = Path(__file__).with_name("replacing.py")
    tree = str(Path(napari_seg.__file__).parents[1])
    subprocess.run([sys.executable, program, tmp_path], check=True, env={**os.environ, "PYTHONPATH": tree})
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(folders) > 5
    seen, told, cut_off = [], 0, 0
    for folder in folders:
        target, image = folder / "m.zarr", folder / "image.zarr"
        assert value(target if target.exists() else folder / f"m.zarr{EARLIER}") in (1, 2)  # without our help
        missing = not target.exists()
        assert {path.name for path in images_in(folder)} == {"m.zarr", "image.zarr"}
        seen.append(value(target))
        told += missing
        write(mask(4), target)
        assert value(target) == 4
        assert not (folder / f"m.zarr{EARLIER}").exists()
        try:
            write(mask(3), image / "labels" / "cells")
        except SegError as error:
            cut_off += "cut off" in str(error)
        assert [value(path) for path in masks_of(image).values()] == [3]
    assert sorted(seen) == seen
    assert {1, 2} == set(seen)
    assert told == cut_off == 1


def test_a_reader_says_that_it_is_the_one_before(tmp_path: Path) -> None:
    write(mask(1), tmp_path / "m.zarr")
    (tmp_path / "m.zarr").rename(tmp_path / f"m.zarr{EARLIER}")
    assert "save the mask again" in read(tmp_path / "m.zarr").notes[-1]
    assert read(tmp_path / "m.zarr").notes == ()
    assert [path.name for path in tmp_path.iterdir()] == ["m.zarr"]


def test_a_folder_that_cannot_take_the_place_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(mask(1), tmp_path / "m.zarr")
    rename = Path.rename

    def refusing(path: Path, to: Path) -> Path:
        if to == tmp_path / "m.zarr" and EARLIER not in path.name:
            raise OSError("no")
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", refusing)
    with pytest.raises(SegError, match="could not be written"):
        write(mask(2), tmp_path / "m.zarr")
    assert [path.name for path in tmp_path.iterdir()] == ["m.zarr"]
    assert value(tmp_path / "m.zarr") == 1


def test_what_was_left_aside_goes_a_day_later(tmp_path: Path) -> None:
    old, young = (replacing.aside_of(tmp_path / "m.tif", suffix) for suffix in (".tif", ".zarr"))
    old.write_bytes(b"half")
    young.mkdir()
    (tmp_path / "other").write_bytes(b"mine")
    for path in (old, tmp_path / "other"):
        os.utime(path, (path.stat().st_mtime - 2 * 24 * 3600,) * 2)
    write(mask(1), tmp_path / "m.tif")
    assert {path.name for path in tmp_path.iterdir()} == {"m.tif", young.name, "other"}
