"""A mask that takes the place of another, in a program that is killed on the way: one of the two is there."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from killed_writing import mask

import napari_seg
from napari_seg.data.formats import images_in, read, write
from napari_seg.data.ome_zarr import masks_of
from napari_seg.errors import SegError
from napari_seg.files import EARLIER, aside_of, written


def value(path: Path) -> int:
    return int(np.unique(np.asarray(read(path).data)).item())


def test_a_name_that_begins_like_the_own_folder_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert value(write(mask(1), Path("~scan.tif"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["~scan.tif"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no copies of a program on this system")
def test_a_program_that_is_killed_at_any_step_loses_no_mask(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_writing.py")
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
    (tmp_path / "m.zarr").rename(tmp_path / f"m.zarr{EARLIER}")
    (listed,) = images_in(tmp_path)
    assert "save the mask again" in read(listed).notes[-1]  # also where the folder was looked at first
    assert read(listed).notes == ()
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
    old, young = (aside_of(tmp_path / "m.tif", suffix) for suffix in (".tif", ".zarr"))
    old.write_bytes(b"half")
    young.mkdir()
    (tmp_path / "other").write_bytes(b"mine")
    for path in (old, tmp_path / "other"):
        os.utime(path, (path.stat().st_mtime - 2 * 24 * 3600,) * 2)
    write(mask(1), tmp_path / "m.tif")
    assert {path.name for path in tmp_path.iterdir()} == {"m.tif", young.name, "other"}


def test_what_raises_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    with written(path) as aside:
        aside.write_text("old")

    def half() -> None:
        with written(path) as aside:
            aside.write_text("half of it")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["notes.json"]


def test_a_name_may_be_as_long_as_the_disk_allows(tmp_path: Path) -> None:
    path = tmp_path / f"{'a' * 250}.json"
    with written(path) as aside:
        aside.write_text("whole")
    assert path.read_text() == "whole"


def test_it_lies_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "m.zarr", []
    monkeypatch.setattr("napari_seg.files.os.fsync", lambda number: seen.append(path.exists()))
    write(mask(1), path)
    files = [one for one in path.rglob("*") if one.is_file()]
    assert seen == [False] * len(files)


@pytest.mark.parametrize(("number", "fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_disks_on_which_nobody_can_wait_and_broken_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fatal: bool
) -> None:
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("napari_seg.files.os.fsync", refuse)
    path = tmp_path / "notes.json"
    with pytest.raises(OSError, match=os.strerror(number)) if fatal else contextlib.nullcontext(), written(path) as at:
        at.write_text("new")
    assert path.exists() != fatal


@pytest.mark.parametrize("name", ["m.tif", "m.zarr"])
@pytest.mark.parametrize("there", [True, False])
def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path, name: str, there: bool) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "here").mkdir()
    far, link, second = tmp_path / "far" / name, tmp_path / "here" / f"one_{name}", tmp_path / "here" / f"two_{name}"
    link.symlink_to(Path("..") / "far" / name)
    second.symlink_to(link)
    if there:
        write(mask(1), far)
    for number, path in enumerate((link, second), 2):
        write(mask(number), path)
        assert value(far) == value(path) == number
    assert [one.name for one in far.parent.iterdir()] == [name]
    assert sorted(link.parent.iterdir()) == [link, second]
    assert link.is_symlink()
    assert second.is_symlink()


def test_the_one_before_is_found_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.zarr").symlink_to(tmp_path / "m.zarr")
    write(mask(1), tmp_path / "link.zarr")
    (tmp_path / "m.zarr").rename(tmp_path / f"m.zarr{EARLIER}")
    assert "save the mask again" in read(tmp_path / "link.zarr").notes[-1]
    assert value(tmp_path / "m.zarr") == 1


def test_links_in_a_circle_are_told_of_and_stay(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to("b.tif")
    (tmp_path / "b.tif").symlink_to("a.tif")
    for path in (tmp_path / "a.tif", tmp_path / "a.tif" / "m.tif"):
        with pytest.raises(SegError, match=r"could not be written \(too many .*links\); choose another name\.$"):
            write(mask(1), path)
    with pytest.raises(SegError, match=r"There is no file .*a\.tif"):
        read(tmp_path / "a.tif")
    assert all(path.is_symlink() for path in tmp_path.iterdir())
    assert len([*tmp_path.iterdir()]) == 2


def test_a_link_to_nowhere_is_told_of_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a.tif").symlink_to("gone/a.tif")
    with pytest.raises(SegError, match="could not be written"):
        write(mask(1), tmp_path / "a.tif")
    assert [path.is_symlink() for path in tmp_path.iterdir()] == [True]
