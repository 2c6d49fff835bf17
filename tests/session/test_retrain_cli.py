"""``napari-seg retrain``: what it learns from, which model goes on, and what it says in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from desk import Desk

from napari_seg.cli import retrain as cli_retrain
from napari_seg.data.formats import read
from napari_seg.editing.annotation import CASE, Entry, class_key, object_key
from napari_seg.errors import SegError
from napari_seg.jobs import Progress
from napari_seg.models.file import file_hash, read_spec
from napari_seg.session.learning import lessons
from napari_seg.session.patients import tell_patient
from napari_seg.session.predicted import Predicted
from napari_seg.session.projects import About, remember, tell_about
from napari_seg.session.pupils import parent_of, pupil, taught_in
from napari_seg.session.session import Session, home
from napari_seg.tasks.semantic import Semantic

ACCEPTED = Entry(state="accepted")


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_SEG_SESSIONS", str(tmp_path / "sessions"))
    monkeypatch.setenv("NAPARI_SEG_MODELS", str(tmp_path / "models"))


def cells(seed: int, size: int = 48) -> tuple[Any, Any]:
    """Bright discs on a dark, noisy ground, and their labels ``(1, y, x)``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint16)
    for number, (cy, cx) in enumerate(np.mgrid[8:size:16, 8:size:16].reshape(2, -1).T + rng.uniform(-2, 2, 2), 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 25] = number
    image = 100 + 80 * (labels > 0) + rng.normal(0, 8, labels.shape)
    return image.astype(np.uint8), labels[None]


def corrected(desk: Desk, model: Path | None, count: int = 6, **known: Any) -> list[int]:
    """Images whose masks the model made and a person corrected and finished."""
    told = None if model is None else Predicted(read_spec(model).name, file_hash(model), {}, None)
    numbers = []
    for k in range(count):
        image, labels = cells(k)
        number = desk.image(f"cells {k}.tif", image)
        desk.plane(number, **known)
        if told is not None:
            desk.predict(number, np.where(labels > 2, labels, 0), model=told)
        desk.put(number, labels if known.get("objects", True) else labels > 0)
        desk.say(number, {CASE: ACCEPTED})
        numbers.append(number)
    return numbers


def on_the_shelf(path: Path, tmp_path: Path) -> Path:
    """A model among the user's own."""
    there = tmp_path / "models" / path.name
    there.parent.mkdir(exist_ok=True)
    there.write_bytes(path.read_bytes())
    return there


def test_the_model_whose_masks_were_corrected_goes_on(
    desk: Desk, run: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    parent = on_the_shelf(model_file("instance"), tmp_path)
    before = parent.read_bytes()
    corrected(desk, parent)
    ended = run("retrain", desk.session.folder, "--steps", 4, "--device", "cpu", "--who", "Ann", "--json")
    assert ended.code == 0, ended.err
    told = ended.json
    assert told["start"] == str(parent)
    output = Path(told["output"])
    assert output.parent == parent.parent
    assert output != parent
    assert parent.read_bytes() == before
    assert told["learned_from"] == "12 objects and 6 finished cases in 6 images; background: yes"
    assert "learns from 12 objects" in ended.err
    assert told["verdict"]["decision"] in ("better", "worse", "undecided")
    assert told["adopted"] == (told["verdict"]["decision"] == "better")
    assert [one["name"] for one in told["lessons"]] == [f"cells {k}" for k in range(6)]
    spec = read_spec(output)
    last = spec.history[-1].details
    assert (last["parent_hash"], last["who"]) == (file_hash(parent), "Ann")
    assert {one["fingerprint"] for one in last["lessons"]} == {one["fingerprint"] for one in told["lessons"]}
    assert b"cells" not in output.read_bytes()  # the name of a file may be a patient's
    note = json.loads((output.parent / f"{output.stem}.note.json").read_text())
    assert note["decision"] == told["verdict"]["decision"]
    assert ("taken" in note) == told["adopted"]
    assert note["objects"] == 12
    assert not output.with_name(f"{output.stem}.order.json").exists()


@pytest.mark.parametrize("known_by", ["table", "session", "session beside an empty table"])
def test_images_of_one_patient_are_on_one_side(
    desk: Desk, run: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path, known_by: str
) -> None:
    numbers = corrected(desk, on_the_shelf(model_file("instance"), tmp_path))
    table, given = tmp_path / "patients.csv", ["--device", "cpu", "--json"]
    table.write_text("name,group\nanother,P1\n")
    told = run("retrain", desk.session.folder, "--steps", 2, *given, "--groups", table)
    assert (told.code, told.err) == (
        2,
        "patients.csv does not name cells 0, which was corrected; add a row for each image.\n",
    )
    table.write_text("name,patient\n")
    assert "patients.csv has no column group; add it." in run("retrain", desk.session.folder, "--groups", table).err
    by_table = known_by == "table"
    table.write_text("name,group\n" + "".join(f"cells {k},{f'P{k % 2}' if by_table else ''}\n" for k in range(6)))
    if known_by != "session":
        given += ["--groups", str(table)]
    if not by_table:
        for k, number in enumerate(numbers):
            desk.session.writer.call(lambda store, n=number, k=k: tell_patient(store, n, f"P{k % 2}", 1.0, "")).result()
    told = run("retrain", desk.session.folder, "--steps", 2, *given).json
    held_out = {int(unit["name"].removeprefix("cells ")) for unit in told["verdict"]["corrections"]}
    assert held_out in ({0, 2, 4}, {1, 3, 5})


def test_in_words_and_nothing_is_overwritten(
    desk: Desk, run: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    parent = model_file("instance")
    corrected(desk, parent, count=2)
    output = tmp_path / "new.safetensors"
    words = ("retrain", desk.session.folder, "--steps", 2, "--device", "cpu", "--start", parent, "--output", output)
    ended = run(*words)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("held out ")
    assert "adopted" in ended.out
    assert str(output) in ended.out
    made = output.read_bytes()
    again = run(*words)
    assert again.code == 2
    assert "exists already" in again.err
    assert output.read_bytes() == made


def test_from_nothing_where_no_model_made_the_masks(desk: Desk, run: Callable[..., Any], tmp_path: Path) -> None:
    corrected(desk, None, objects=False, classes=("disc",))
    output = tmp_path / "mine.safetensors"
    ended = run("retrain", desk.session.folder, "--steps", 2, "--device", "cpu", "--output", output, "--json")
    assert ended.code == 0, ended.err
    assert (ended.json["start"], ended.json["verdict"], ended.json["adopted"]) == (None, None, False)
    assert read_spec(output).task.names == ("disc",)


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["--minutes", "1", "--steps", "2"], "give one of them"),
        (["--resume"], "--output"),
        (["--output", "model.txt"], ".safetensors"),
        (["--start", "nowhere"], "no model nowhere"),
    ],
)
def test_mistakes_are_told_with_their_cure(desk: Desk, run: Callable[..., Any], words: list[str], cure: str) -> None:
    corrected(desk, None, count=1)
    ended = run("retrain", desk.session.folder, *words)
    assert ended.code == 2
    assert cure in ended.err


@pytest.mark.parametrize("words", [["--steps", "0"], ["--minutes", "nan"]])
@pytest.mark.parametrize("from_nothing", [False, True])
def test_a_wrong_number_is_refused_before_anything_is_said_of_what_is_learned(
    desk: Desk,
    run: Callable[..., Any],
    model_file: Callable[..., Path],
    tmp_path: Path,
    words: list[str],
    from_nothing: bool,
) -> None:
    corrected(desk, None if from_nothing else on_the_shelf(model_file("instance"), tmp_path), count=2)
    ended = run("retrain", desk.session.folder, *words)
    assert ended.code == 2
    assert ended.err.startswith(words[0].removeprefix("--"))
    assert ended.err.count("\n") == 1


def stopped_at(monkeypatch: pytest.MonkeyPatch, moment: Callable[[Progress], bool]) -> None:
    """Ctrl+C at a moment of the training."""
    told = cli_retrain._Run._tell

    def tell(self: Any, progress: Progress) -> None:
        told(self, progress)
        if moment(progress):
            raise KeyboardInterrupt

    monkeypatch.setattr(cli_retrain._Run, "_tell", tell)


@pytest.mark.parametrize("from_nothing", [False, True])
def test_stopped_before_it_has_learned_there_is_no_model_and_its_name_is_free(
    desk: Desk,
    run: Callable[..., Any],
    model_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    from_nothing: bool,
) -> None:
    parent = on_the_shelf(model_file("instance"), tmp_path)
    corrected(desk, None if from_nothing else parent)
    stopped_at(monkeypatch, lambda at: at.detail.get("phase") == ("read" if from_nothing else "train"))
    ended = run("retrain", desk.session.folder, "--steps", 40, "--device", "cpu")
    assert ended.code == 130
    assert "before it had learned anything, so no model was made; start it again" in ended.err
    assert [found.name for found in (tmp_path / "models").iterdir()] == [parent.name]


def test_stopped_later_it_says_where_the_model_is_and_how_to_go_on(
    desk: Desk,
    run: Callable[..., Any],
    model_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corrected(desk, on_the_shelf(model_file("instance"), tmp_path))
    words = ("retrain", desk.session.folder, "--steps", 6, "--device", "cpu")
    with monkeypatch.context() as patch:
        stopped_at(patch, lambda at: at.detail.get("step") == 3)
        ended = run(*words)
    assert ended.code == 130
    made = tmp_path / "models" / "instance2d-1.safetensors"
    cure = f"--resume --output {made}"
    assert f"is kept in {made}; go on with the same command and {cure}." in ended.err
    assert read_spec(made).history[-1].details["kept_at"] > 0
    with monkeypatch.context() as patch:
        stopped_at(patch, lambda at: at.detail.get("step") == 4)
        ended = run(*words, *cure.split())
    assert f"is kept beside {made}; go on with the same command and --resume." in ended.err
    ended = run(*words, *cure.split())
    assert ended.code == 0, ended.err
    assert not made.with_name("instance2d-1.order.json").exists()


@pytest.mark.parametrize(
    ("words", "cure"),
    [
        (["--minutes", "0"], "correct this value"),
        (["--device", "cuda"], "choose the device auto or cpu"),
        (["--start", "hippocampus3d"], "choose another model"),
    ],
)
def test_what_is_refused_uses_up_no_name(
    desk: Desk,
    run: Callable[..., Any],
    model_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    cure: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    parent = on_the_shelf(model_file("instance"), tmp_path)
    corrected(desk, parent)
    ended = run("retrain", desk.session.folder, *words)
    assert ended.code == 2
    assert cure in ended.err
    assert [found.name for found in (tmp_path / "models").iterdir()] == [parent.name]


def test_next_to_no_time_is_said_with_its_cure(
    desk: Desk, run: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    corrected(desk, on_the_shelf(model_file("instance"), tmp_path), count=2)
    ended = run("retrain", desk.session.folder, "--minutes", 0.0001, "--device", "cpu")
    assert ended.code == 0, ended.err
    assert "There was time for 1 step only, too few to learn from; give it more minutes." in ended.err
    assert "only" not in run("retrain", desk.session.folder, "--steps", 1, "--device", "cpu").err


def test_where_nobody_has_spoken(desk: Desk, run: Callable[..., Any]) -> None:
    desk.image("cells.tif", cells(0)[0])
    ended = run("retrain", desk.session.folder)
    assert ended.code == 2
    assert "paint, accept or finish" in ended.err
    assert "no session" in run("retrain", desk.folder / "elsewhere").err


def test_a_project_by_its_name_its_folder_or_the_folder_of_its_images(desk: Desk) -> None:
    corrected(desk, None, count=1)
    desk.session.writer.call(lambda store: tell_about(store, About("May"))).result()
    remember("May", desk.session.folder, [])
    for named in (desk.session.folder, "May", desk.folder):
        (found,) = taught_in(str(named))
        assert found.folder == desk.session.folder
    with pytest.raises(SegError, match="no session June"):
        taught_in("June")


def test_an_image_by_its_file_also_where_the_work_went_into_a_project(desk: Desk, tmp_path: Path) -> None:
    labels = cells(0)[1]
    corrected(desk, None, count=2)
    path = desk.folder / "cells 0.tif"
    with pytest.raises(SegError, match="Nothing is kept"):
        taught_in(str(path))
    volume = read(path)
    row = lessons(desk.session.folder)[0].image
    own = Session.open(home() / row.fingerprint)
    number = own.image(volume).result().id
    own.close()
    assert taught_in(str(path)) == []
    other = Desk(tmp_path / "own")
    other.session.close()
    own = other.session = Session.open(home() / row.fingerprint)
    other.plane(number)
    other.put(number, labels)
    (found,) = taught_in(str(path))
    assert found.folder == home() / row.fingerprint
    own.writer.call(lambda store: store.send_on(row.fingerprint, desk.session.folder)).result()
    (found,) = taught_in(str(path))
    assert found.folder == desk.session.folder
    own.close()


def test_an_image_that_was_corrected_in_a_project_is_known_by_what_it_shows(desk: Desk) -> None:
    corrected(desk, None, count=2)
    row = lessons(desk.session.folder)[0].image
    remember("May", desk.session.folder, [row.fingerprint])
    (found,) = taught_in(str(desk.folder / "cells 0.tif"))
    assert (found.folder, found.image) == (desk.session.folder, row)


def test_an_image_that_is_gone_is_left_out_and_the_others_are_learned(
    desk: Desk, run: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    parent = on_the_shelf(model_file("instance"), tmp_path)
    corrected(desk, parent, count=4)
    files = [desk.folder / f"cells {k}.tif" for k in range(4)]
    files[0].rename(desk.folder / "renamed.tif")
    files[1].unlink()
    tifffile.imwrite(files[2], cells(9)[0])
    words = ("retrain", desk.session.folder, "--steps", 2, "--device", "cpu", "--json")
    ended = run(*words)
    assert ended.code == 0, ended.err
    assert [one["name"] for one in ended.json["lessons"]] == ["cells 0", "cells 3"]
    left_out = [line for line in ended.err.splitlines() if "left out" in line]
    where = f"is no longer in {desk.folder}, and no image around shows the same; put it back."
    shows = "shows another image than the one that was corrected; put that one back in its place."
    assert left_out == [
        f"cells 1 is left out: cells 1.tif {where}",
        f"cells 2 is left out: cells 2.tif {shows}",
    ]
    before = sorted((tmp_path / "models").iterdir())
    for path in desk.folder.glob("*.tif"):
        path.unlink()
    ended = run(*words)
    none = "None of the 4 images that were corrected can be read; the first one: "
    assert (ended.code, ended.err) == (2, f"{none}cells 0.tif {where}\n")
    assert sorted((tmp_path / "models").iterdir()) == before


def test_the_parent_is_known_by_the_hash_of_its_file(desk: Desk, model_file: Callable[..., Path]) -> None:
    first, second = model_file("instance"), model_file("semantic")
    corrected(desk, first, count=1)
    (found,) = lessons(desk.session.folder)
    assert parent_of([found], [second, first]) == first
    assert parent_of([replace(found, past=None)], [first]) is None
    with pytest.raises(SegError, match=r"not among the models here; name its file"):
        parent_of([found], [second])


def test_classes_that_the_model_does_not_know_are_added_and_others_refused(
    desk: Desk, model_file: Callable[..., Path]
) -> None:
    (image,) = corrected(desk, None, count=1, objects=False, classes=("liver", "spleen", "tumour"))
    spec = read_spec(model_file("semantic", classes=("liver", "spleen")))
    found = lessons(desk.session.folder)
    assert pupil(spec, "", found).new_classes == ("tumour",)
    assert pupil(read_spec(model_file("semantic", classes=("liver",))), "", found).new_classes == ("spleen", "tumour")
    desk.say(image, {class_key(1): Entry(comment="kidney")})
    with pytest.raises(SegError, match="name them alike"):
        pupil(spec, "", lessons(desk.session.folder))
    with pytest.raises(SegError, match="choose another model"):
        pupil(read_spec(model_file("instance")), "", found)


def test_overlapping_classes_that_were_all_renamed_are_refused(desk: Desk, model_file: Callable[..., Path]) -> None:
    image = desk.image("cells.tif", np.zeros((60, 80), np.uint8))
    for name in ("nucleus", "cell"):
        desk.plane(image, f"mask {name}", objects=False, classes=(name,))
        desk.predict(image, np.ones((1, 60, 80), np.uint8), f"mask {name}", Predicted("two", "ab", {}, None))
        desk.say(image, {CASE: Entry(state="accepted")}, f"mask {name}")
    task = Semantic(classes=("nucleus", "cell"), overlapping=True)
    spec = read_spec(model_file("semantic")).model_copy(update={"task": task})
    (taught,) = pupil(spec, "", lessons(desk.session.folder)).lessons
    assert taught.classes == ("nucleus", "cell")
    for name, other in (("nucleus", "kern"), ("cell", "zelle")):
        desk.say(image, {class_key(1): Entry(comment=other)}, f"mask {name}")
    with pytest.raises(SegError, match="are nucleus, cell; name them alike"):
        pupil(spec, "", lessons(desk.session.folder))


def test_classes_of_several_projects_must_be_the_same(
    desk: Desk, run: Callable[..., Any], model_file: Callable[..., Path], tmp_path: Path
) -> None:
    other = Desk(tmp_path / "other")
    corrected(desk, None, count=1, objects=False, classes=("liver", "tumour"))
    corrected(other, None, count=1, objects=False, classes=("liver", "spleen", "tumour"))
    ended = run("retrain", desk.session.folder, other.session.folder, "--steps", 2, "--device", "cpu")
    assert ended.code == 2
    assert "those of cells 0 are liver, spleen, tumour; name them alike, in the same order" in ended.err
    found = [one for one_desk in (desk, other) for one in one_desk.lessons()]
    with pytest.raises(SegError, match="liver, tumour, those of cells 0 are liver, spleen, tumour; name them alike"):
        pupil(read_spec(model_file("semantic", classes=("liver",))), "", found)
    other.session.close()


def test_of_two_kinds_of_masks_one_is_left_out_and_counted(desk: Desk, model_file: Callable[..., Path]) -> None:
    corrected(desk, None, count=2)
    other = desk.image("other.tif", cells(9)[0])
    desk.plane(other, objects=False, classes=("disc",))
    desk.put(other, cells(9)[1] > 0)
    desk.say(other, {object_key(1): ACCEPTED})
    learning = pupil(read_spec(model_file("instance")), "", lessons(desk.session.folder))
    assert (len(learning.lessons), learning.left_out) == (2, 1)


def test_the_channel_of_the_prediction_is_the_channel_of_the_training(
    desk: Desk, model_file: Callable[..., Path]
) -> None:
    corrected(desk, model_file("instance"), count=2)
    found = lessons(desk.session.folder)
    told = [replace(one, past=_with(one.past, channel="DAPI")) for one in found]
    assert pupil(read_spec(model_file("instance")), "", told).channel == "DAPI"
    other = [told[0], replace(told[1], past=_with(told[1].past, channel="actin"))]
    with pytest.raises(SegError, match="DAPI, actin"):
        pupil(read_spec(model_file("instance")), "", other)


def _with(past: Any, **settings: Any) -> Any:
    return replace(past, predicted=replace(past.predicted, settings=settings))
