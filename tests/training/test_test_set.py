"""The test set is refused by what its images show, whatever they are called; nothing else is."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.jobs import run
from napari_seg.training import test_set
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.mending import Mended
from napari_seg.training.plan import TrainSpec
from napari_seg.training.train import train


def picture(seed: int, shape: tuple[int, ...] = (32, 32)) -> Volume:
    return Volume(np.random.default_rng(seed).integers(0, 200, shape, np.uint8), "ZYX"[-len(shape) :])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four images with labels."""
    labels = np.zeros((32, 32), np.uint8)
    labels[8:20, 8:24] = 1
    for number in range(4):
        write(picture(number), tmp_path / "data" / "images" / f"c{number}.png")
        write(Volume(labels, "YX"), tmp_path / "data" / "labels" / f"c{number}.png")
    return tmp_path / "data"


def refused(data: Path) -> str:
    with pytest.raises(SegError) as caught:
        run(test_set.refuse(find_cases(data)))
    return str(caught.value)


def test_nothing_is_marked_at_first(data: Path, marks: Path) -> None:
    assert test_set.marked() == ()
    assert list(test_set.refuse(find_cases(data))) == []  # and nothing is looked at
    assert not marks.exists()


@pytest.mark.parametrize("copy", ["another.png", "another.tif", "another.ome.zarr", "another.nii.gz", "another.nrrd"])
def test_a_copy_under_another_name_in_another_format_is_known(copy: str, data: Path, tmp_path: Path) -> None:
    path = write(picture(2), tmp_path / copy)
    (mark,) = test_set.add([path])
    assert (mark.name, test_set.marked()) == ("another", (mark,))
    assert refused(data) == (
        "1 image is of the independent test set (c2), which nothing may learn from; take it out of the data, or take "
        "the mark off with napari-seg test-set remove."
    )


def test_a_mirrored_or_turned_copy_is_known_and_a_part_is_not(data: Path, tmp_path: Path) -> None:
    values = picture(1).data
    test_set.add([write(Volume(np.ascontiguousarray(np.rot90(values)), "YX"), tmp_path / "turned.png")])
    assert "(c1)" in refused(data)
    run(test_set.remove.steps([tmp_path / "turned.png"]))
    test_set.add([write(Volume(np.ascontiguousarray(values[:-1]), "YX"), tmp_path / "cropped.png")])
    run(test_set.refuse(find_cases(data)))


def test_a_folder_is_marked_once_and_many_names_are_cut_short(data: Path) -> None:
    assert len(test_set.add([data])) == 4
    assert test_set.add([data / "images", data / "images" / "c0.png"]) == ()
    assert "4 images are of the independent test set (c0, c1, c2, c3)" in refused(data)
    assert "take them out" in refused(data)
    cases = [Case(f"n{k}", data / "images" / "c0.png", data / "labels" / "c0.png", "g") for k in range(7)]
    with pytest.raises(SegError, match=r"7 images are .* \(n0, n1, n2, n3, n4 \.\.\.\)"):
        run(test_set.refuse(cases))


def test_what_another_program_marks_meanwhile_stays_marked(data: Path, tmp_path: Path) -> None:
    other = write(picture(7), tmp_path / "other.png")
    adding = test_set.add.steps([data])
    next(adding)
    (mark,) = test_set.add([other])
    assert len(run(adding)) == 4
    removing = test_set.remove.steps([data])
    next(removing)
    (third,) = test_set.add([write(picture(8), tmp_path / "third.png")])
    run(removing)
    assert test_set.marked() == (mark, third)


def test_marks_are_taken_off_by_image_and_by_name(data: Path) -> None:
    test_set.add([data])
    assert [mark.name for mark in test_set.remove([data / "images" / "c1.png"], names=["c3"])] == ["c1", "c3"]
    assert [mark.name for mark in test_set.marked()] == ["c0", "c2"]
    with pytest.raises(SegError, match="No image named c3 is marked"):
        test_set.remove([], names=["c0", "c3"])
    assert len(test_set.marked()) == 2


def test_only_images_of_the_right_size_are_read(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        write(picture(number, (30, 32)), data / "images" / f"other{number}.png")
        write(Volume(np.zeros((30, 32), np.uint8), "YX"), data / "labels" / f"other{number}.png")
    test_set.add([write(picture(3), tmp_path / "marked.tif")])
    looked: list[str] = []
    whole = test_set.content_of
    monkeypatch.setattr(test_set, "content_of", lambda volume: looked.append(volume.name) or whole(volume))
    assert "(c3)" in refused(data)
    assert sorted(looked) == ["c0", "c1", "c2", "c3"]


def test_training_refuses_before_it_looks_at_the_labels(data: Path, tmp_path: Path) -> None:
    test_set.add([data / "images" / "c0.png"])
    for path in (data / "labels").iterdir():
        path.write_bytes(b"broken")
    spec = TrainSpec(task="semantic", steps=1, device="cpu")
    with pytest.raises(SegError, match=r"test set \(c0\)"):
        train(data, spec, save_to=tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


@dataclass(frozen=True)
class Taught:
    """A lesson that lies in no file."""

    name: str
    volume: Volume

    def load(self) -> tuple[Volume, None, None]:
        return self.volume, None, None


def test_what_lies_in_no_file_is_refused_too(tmp_path: Path) -> None:
    test_set.add([write(picture(5), tmp_path / "marked.png")])
    as_shown = Volume(picture(5).data.astype(np.float32), "YX", (0.5, 0.5), "um")
    with pytest.raises(SegError, match=r"\(layer\)"):
        run(test_set.refuse([Taught("layer", as_shown), Taught("other", picture(6))]))


def test_what_is_mended_on_its_way_is_known_as_it_was(tmp_path: Path) -> None:
    values = picture(3).data.astype(np.float32)
    values[4, 5] = np.nan
    image = write(Volume(values, "YX"), tmp_path / "images" / "holes.tif")
    labels = write(Volume(np.ones((32, 32), np.uint8), "YX"), tmp_path / "labels" / "holes.tif")
    mended = Mended(Case("holes", image, labels, "g"), ("fill",), (), "train")
    assert np.isfinite(mended.load().image.data).all()
    test_set.add([image])
    with pytest.raises(SegError, match=r"\(holes\)"):
        run(test_set.refuse([mended]))


def test_an_empty_image_cannot_be_marked(tmp_path: Path) -> None:
    path = write(Volume(np.zeros((9, 9), np.uint8), "YX"), tmp_path / "empty.png")
    with pytest.raises(SegError, match="one value everywhere"):
        test_set.add([path])
    with pytest.raises(SegError, match="There is no file"):
        test_set.add([tmp_path / "nothing.png"])


@pytest.mark.parametrize(
    ("text", "words"), [("{", "cannot be read"), ('{"marks": [{}]}', "cannot be read"), ('{"format": 9}', "newer")]
)
def test_damaged_marks_are_never_passed_over(text: str, words: str, data: Path, marks: Path) -> None:
    marks.write_text(text)
    with pytest.raises(SegError, match=words):
        run(test_set.refuse(find_cases(data)))
    with pytest.raises(SegError, match=words):
        test_set.add([data])
    assert marks.read_text() == text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "(permission denied); ask its owner for the permission."),
        (errno.EIO, "(input/output error); check the disk, or let NAPARI_SEG_TEST_SET name another file."),
    ],
)
def test_marks_that_may_be_whole_are_not_to_be_deleted(
    code: int, words: str, data: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_set.add([data / "images" / "c0.png"])
    whole = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path == marks:
            raise OSError(code, os.strerror(code), str(path))
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)  # root may read anything
    assert refused(data) == f"The marks of the test set in {marks} cannot be read {words}"


@pytest.mark.parametrize("step", ["mkdir", "write_text"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            errno.EACCES,
            "(permission denied); ask the owner of the folder for the permission, or let NAPARI_SEG_TEST_SET name "
            "another file.",
        ),
        (errno.EROFS, "(read-only file system); let NAPARI_SEG_TEST_SET name another file."),
        (errno.ENOSPC, "(no space left on device); free some space."),
    ],
)
def test_marks_that_could_not_be_written_say_why(
    step: str, code: int, words: str, data: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *answers: object, **known: object) -> None:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, step, refuse)
    with pytest.raises(SegError) as caught:
        test_set.add([data])
    assert str(caught.value) == f"The marks of the test set in {marks} could not be written {words}"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that are no UTF-8")
def test_a_name_that_is_no_text_hurts_no_marks(data: Path, tmp_path: Path) -> None:
    test_set.add([data / "images" / "c0.png"])
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    odd.write_bytes((data / "images" / "c1.png").read_bytes())
    test_set.add([odd])
    assert [mark.name for mark in test_set.marked()] == ["c0", "caf\ufffd"]
    assert "(c0, c1)" in refused(data)


class TestCommands:
    def test_add_list_remove(self, run, data, tmp_path):
        assert "2 images are newly marked" in run("test-set", "add", *sorted((data / "images").iterdir())[:2]).err
        listed = run("test-set", "list")
        assert [line.split()[0] for line in listed.out.splitlines()] == ["name", "c0", "c1"]
        assert run("test-set", "list", "--json").json["marked"][0]["sizes"] == [32, 32]
        ended = run("train", data, "--task", "semantic", "--steps", 1, "--output", tmp_path / "m.safetensors")
        assert (ended.code, ended.out) == (2, "")
        assert "(c0, c1)" in ended.err
        assert run("test-set", "remove", "c1", "--json").json["removed"][0]["name"] == "c1"
        assert "1 image is no longer" in run("test-set", "remove", data / "images" / "c0.png").err
        assert "No image is marked" in run("test-set", "list").err

    def test_the_held_out_rows_of_a_split(self, run, data, tmp_path):
        split = tmp_path / "split.csv"
        split.write_text("name,split\nc0,train\nc1,test\nc2.png,test\nc3,val\n")
        assert [m["name"] for m in run("test-set", "add", data, "--split", split, "--json").json["marked"]] == [
            "c1",
            "c2",
        ]
        assert run("test-set", "add", data, "--split", split, "--hold-out", "fold9").code == 2
        split.write_text("name,split\nc0,test\nc3.tif,test\n")
        ended = run("test-set", "add", data, "--split", split)
        assert ended.code == 0
        assert "have no image and are not marked: c3.tif." in ended.err

    def test_all_marks_are_taken_off_only_when_told(self, run, data):
        run("test-set", "add", data)
        assert run("test-set", "remove").code == 2
        assert run("test-set", "remove", "c0", "--all").code == 2
        assert len(run("test-set", "list", "--json").json["marked"]) == 4
        assert run("test-set", "remove", "--all").code == 0
        assert run("test-set", "list", "--json").json["marked"] == []

    def test_predicting_and_evaluating_are_what_it_is_for(self, run, data, model_file, tmp_path):
        run("test-set", "add", data)
        words = ("--model", model_file("semantic"), "--output", tmp_path / "masks", "--device", "cpu")
        assert run("predict", data / "images", *words).code == 0
        assert run("evaluate", data / "labels", tmp_path / "masks").code == 0
