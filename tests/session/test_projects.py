"""What makes a session a project, and that every refusal ends with the cure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from session_images import a_volume

from napari_seg.errors import SegError
from napari_seg.session import projects
from napari_seg.session.database import NAME
from napari_seg.session.fingerprint import fingerprint, voxels_hash
from napari_seg.session.projects import (
    About,
    Recent,
    about,
    drop,
    failures,
    knowing,
    made_at,
    place_for,
    recent,
    remember,
    remember_image,
    session_folder,
    tell_about,
    tell_failure,
)
from napari_seg.session.records import Plane
from napari_seg.session.session import Session, twin


@pytest.fixture(autouse=True)
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_SEG_SESSIONS", str(tmp_path / "sessions"))
    return tmp_path / "sessions"


def test_a_project_is_a_session_with_a_name(tmp_path: Path) -> None:
    session = made_at(place_for(" my cells ", tmp_path), About("my cells", "../images"))
    assert session.folder == tmp_path / "my cells"
    ask = session.writer.call
    assert ask(about).result() == About("my cells", "../images")
    ask(lambda store: tell_about(store, About("other"))).result()
    assert ask(about).result() == About("other")
    ask(lambda store: tell_failure(store, "../a.png", "It is no picture; choose another.")).result()
    ask(lambda store: tell_failure(store, "b\ud800.png", "Odd.")).result()
    assert ask(failures).result() == {"../a.png": "It is no picture; choose another.", "b\\ud800.png": "Odd."}
    ask(lambda store: tell_failure(store, "../a.png", "")).result()
    assert list(ask(failures).result()) == ["b\\ud800.png"]
    session.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "has no name yet; type one"),
        (" . ", "has no name yet; type one"),
        ("a/b", "cannot be called a/b; leave out /"),
        ("..", "has no name yet; type one"),
        (".hidden", r"cannot be called .hidden; leave out \. at its ends"),
        ("a\nb", "cannot be called"),
        ("x" * 300, "too long for a folder; choose a shorter one"),
        ("cells", "There is a project called cells in .* already; choose another name, or open that"),
        ("full", "full is in .* already; choose another name"),
        ("file", "file is in .* already; choose another name"),
    ],
)
def test_a_name_that_cannot_be_had_says_what_would_help(tmp_path: Path, name: str, words: str) -> None:
    made_at(place_for("cells", tmp_path), About("cells")).close()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    (tmp_path / "file").touch()
    with pytest.raises(SegError, match=words):
        place_for(name, tmp_path)


def test_a_folder_that_is_none_or_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SegError, match=r"There is no folder .*; choose another one"):
        place_for("cells", tmp_path / "nowhere")
    monkeypatch.setattr("napari_seg.session.session.is_writable", lambda folder: False)
    with pytest.raises(SegError, match="holds no session; choose another folder"):
        made_at(place_for("cells", tmp_path), About("cells"))

    def refuse(self: Path, **known: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SegError, match=r"cannot be made \(permission denied\); choose another folder"):
        made_at(tmp_path / "other", About("other"))


def test_the_last_ones_are_remembered(tmp_path: Path, sessions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recent() == []
    for name in ("a", "b", "a"):
        remember(name, tmp_path / name, ())
    assert recent() == [Recent("a", tmp_path / "a"), Recent("b", tmp_path / "b")]
    remember("renamed", tmp_path / "b", ["known"])
    assert recent() == [Recent("renamed", tmp_path / "b"), Recent("a", tmp_path / "a")]
    drop(tmp_path / "b")
    assert recent() == [Recent("a", tmp_path / "a")]
    for damaged in ("", "{", "[1]", '[{"name": "x"}]'):
        (sessions / "projects.json").write_text(damaged)
        assert recent() == []
    for k in range(20):
        remember(str(k), tmp_path / str(k), ())
    assert [one.name for one in recent()] == [str(k) for k in range(19, 7, -1)]
    assert sorted(path.name for path in sessions.iterdir()) == ["projects.json", "projects.lock"]
    (sessions / "projects.json").unlink()
    (sessions / "projects.json").mkdir()  # it cannot be read
    remember("x", tmp_path / "x", ())
    assert (sessions / "projects.json").is_dir()
    monkeypatch.setattr(projects, "_list", lambda: tmp_path / "a file" / "x")
    (tmp_path / "a file").touch()
    remember("a", tmp_path, ())  # nothing can be kept there, and nothing is asked for
    assert recent() == []


def test_the_project_that_holds_work_on_an_image_is_found(tmp_path: Path) -> None:
    image = a_volume((20, 30))
    project = made_at(place_for("cells", tmp_path), About("cells"))
    row = project.image(image, voxels="all").result()
    remember("cells", project.folder, ())
    remember("gone", tmp_path / "gone", [fingerprint(image)])
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / NAME).write_text("not a database, but long enough to look like one" * 9)
    remember("damaged", tmp_path / "damaged", [fingerprint(image)])
    remember_image(project.folder, row.fingerprint)
    remember_image(tmp_path / "never heard of", row.fingerprint)
    assert knowing(fingerprint(image), "") is None  # it holds nothing of it yet
    project.writer.call(lambda store: store.put_plane(row.id, Plane("mask", True))).result()
    assert knowing(fingerprint(image), "") == project.folder
    assert knowing(fingerprint(image), "all") == project.folder
    assert knowing(fingerprint(image), "others") is None
    assert knowing("another", "") is None
    project.close()


def test_an_image_of_other_voxels_has_a_row_of_its_own(tmp_path: Path) -> None:
    session = Session.open(tmp_path / "session")
    image = a_volume((20, 30))
    known_by, voxels = fingerprint(image), voxels_hash(image)
    first = session.image(image, known_by).result()
    assert session.image(image, known_by, voxels).result() == first  # nothing was known of its voxels
    other = session.image(image, known_by, "others").result()
    assert (other.id, other.fingerprint) == (2, twin(known_by, "others"))
    assert session.image(image, known_by, "others").result() == other
    assert session.image(image, known_by, voxels).result() == first
    assert session.image(image, known_by).result() == first
    session.close()


def test_of_two_that_make_a_project_at_once_the_second_leaves_it(tmp_path: Path) -> None:
    place = place_for("cells", tmp_path)
    first = made_at(place, About("cells"))
    with pytest.raises(SegError, match="open in another window"):
        made_at(place, About("cells"))  # it had asked for the place before
    assert first.writer.call(about, writes=True).result() == About("cells")
    first.close()


def test_beside_a_copy_of_a_project_the_one_that_was_worked_on_is_meant(tmp_path: Path) -> None:
    made_at(place_for("cells", tmp_path), About("cells")).close()
    shutil.copytree(tmp_path / "cells", tmp_path / "cells (copy)")
    with pytest.raises(SegError, match=r"several projects \(cells, cells \(copy\)\); open the folder of one"):
        session_folder(tmp_path)  # and not an empty third one
    remember("cells", tmp_path / "cells", ())
    assert session_folder(tmp_path) == tmp_path / "cells"
