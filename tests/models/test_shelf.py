"""The shelf of models that were made here: names, notes, and what it takes to go on with a training."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from napari_seg.errors import SegError
from napari_seg.models import shelf
from napari_seg.models.file import read_spec


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_name_is_given_once(folder: Path) -> None:
    assert [shelf.free_path("nuclei2d").name for _ in range(2)] == ["nuclei2d-1.safetensors", "nuclei2d-2.safetensors"]
    assert shelf.free_path("nuclei2d-2").name == "nuclei2d-3.safetensors"
    shelf.end_order(folder / "nuclei2d-1.safetensors")
    assert shelf.free_path("nuclei2d").name == "nuclei2d-1.safetensors"
    assert shelf.free_path("../a b/ü?").name == "a_b_ü-1.safetensors"
    assert shelf.orders() == {}


def test_models_are_listed_newest_first_and_foreign_files_are_not(
    folder: Path, model_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    for age, name in enumerate(("new", "old")):
        path = folder / f"{name}.safetensors"
        path.write_bytes(model_file("semantic").read_bytes())
        os.utime(path, (1000 - age, 1000 - age))
    (folder / "new.samples.safetensors").write_bytes(b"no model")
    read: list[str] = []
    monkeypatch.setattr(shelf, "read_spec", lambda path: (read.append(path.name), read_spec(path))[1])
    (folder / "broken.safetensors").write_text("x")
    shelf.put_note(folder / "new.safetensors", taken="new")
    shelf.put_note(folder / "new.safetensors", words="3 objects")
    assert [(one.name, one.note) for one in shelf.kept()] == [
        ("new", {"taken": "new", "words": "3 objects"}),
        ("old", {}),
    ]
    shelf.kept()
    assert sorted(read) == ["broken.safetensors", "broken.safetensors", "new.safetensors", "old.safetensors"]
    (folder / "old.safetensors").write_text("y")
    assert [one.name for one in shelf.kept()] == ["new"]


def test_what_was_chosen_last_is_known_also_of_a_model_that_came_with_the_program(folder: Path) -> None:
    given, mine = Path("/opt/weights/nuclei2d.safetensors"), shelf.free_path("nuclei2d")
    assert shelf.chosen_at(given) == shelf.chosen_at(mine) == 0
    mine.write_bytes(b"")
    assert shelf.chosen_at(mine) == mine.stat().st_mtime
    shelf.put_chosen(given)
    assert shelf.chosen_at(given) >= shelf.chosen_at(mine)
    assert shelf.free_path("nuclei2d").name == "nuclei2d-2.safetensors"


def test_a_training_that_was_begun_is_known_until_it_ends(folder: Path) -> None:
    path = shelf.free_path("mine")
    shelf.put_order(path, {"minutes": 5})
    shelf.state_of(path).write_bytes(b"state")
    assert shelf.orders() == {path: {"minutes": 5}}
    shelf.end_order(path)
    assert shelf.orders() == {}
    assert list(folder.iterdir()) == []


def test_a_training_belongs_to_one_process_until_that_is_gone(folder: Path) -> None:
    path = shelf.free_path("mine")
    shelf.put_order(path, {"minutes": 5})
    assert shelf.claim(path)
    assert shelf.orders() == {}
    assert not shelf.claim(path)
    shelf.let_go(path)
    assert list(shelf.orders()) == [path]
    other = psutil.Process(os.getppid())
    owner = path.with_name("mine-1.owner.json")
    owner.write_text(json.dumps({"pid": other.pid, "began": other.create_time()}))
    assert shelf.orders() == {}
    assert not shelf.claim(path)
    owner.write_text(json.dumps({"host": "elsewhere", "pid": other.pid, "began": 0.0}))  # it shares this folder
    assert not shelf.claim(path)
    os.utime(owner, (0, time.time() - 7200))
    assert list(shelf.orders()) == [path]
    shelf.state_of(path).touch()  # its training has come to a checkpoint
    assert shelf.orders() == {}
    owner.write_text(json.dumps({"pid": other.pid, "began": other.create_time() - 60}))  # its number was given again
    assert list(shelf.orders()) == [path]
    assert shelf.claim(path)
    shelf.end_order(path)
    assert [found.name for found in folder.iterdir()] == [shelf.CLAIMING]


def test_what_cannot_be_removed_counts_as_gone_and_is_removed_later(
    folder: Path, model_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    paths = [shelf.free_path("mine") for _ in range(3)]
    for path in paths:
        path.write_bytes(model_file("semantic").read_bytes())
        shelf.put_order(path, {"minutes": 5})
        assert shelf.claim(path)
    with monkeypatch.context() as read_only:
        read_only.setattr(Path, "unlink", refuse)
        shelf.let_go(paths[0])
        shelf.end_order(paths[1])
        shelf.throw_away(paths[2])
        assert list(shelf.orders()) == [paths[0]]
        assert {one.path for one in shelf.kept()} == set(paths[:2])
    assert shelf.claim(paths[0])
    assert shelf.orders() == {}
    assert {file.name for file in folder.iterdir()} == {
        "mine-1.safetensors", "mine-1.order.json", "mine-1.owner.json", "mine-2.safetensors", shelf.CLAIMING,
    }  # fmt: skip
    assert not shelf.claim(paths[0])


def test_of_a_training_that_is_given_up_nothing_is_left(folder: Path) -> None:
    path = shelf.free_path("nuclei2d")
    shelf.put_order(path, {"model": "m"})
    for file in (path, shelf.state_of(path), path.with_name("nuclei2d-1.samples.safetensors")):
        file.write_bytes(b"x")
    shelf.throw_away(path)
    assert list(folder.iterdir()) == []


def test_where_nothing_can_be_kept_is_said(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(SegError, match="NAPARI_SEG_MODELS"):
        shelf.free_path("mine")
