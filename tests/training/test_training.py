"""Training learns, stops, resumes and repeats; and never looks where it must not."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import tifffile
import torch
from lessons import InMemory
from safetensors.torch import load_file

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.evaluation.counted import Piece
from napari_seg.inference.backend import choose_device
from napari_seg.jobs import Progress, run
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.models.zoo import load_model
from napari_seg.training import course, validation
from napari_seg.training.augment import Augmentation
from napari_seg.training.cases import Case, Labelled, find_cases
from napari_seg.training.folds import folds
from napari_seg.training.plan import Facts, TrainSpec, lie_alike, plan
from napari_seg.training.retrain import RetrainSpec, retrain
from napari_seg.training.sample import Sample, samples
from napari_seg.training.search import search
from napari_seg.training.train import train
from napari_seg.training.trainer import Trainer
from napari_seg.training.validation import figure


def blobs(seed: int, size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on a dark, noisy ground, and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint8)
    for number, (cy, cx) in enumerate(np.mgrid[8:size:16, 8:size:16].reshape(2, -1).T + rng.uniform(-2, 2, 2), 1):
        labels[(y - cy) ** 2 + (x - cx) ** 2 < 25] = number
    image = 100 + 80 * (labels > 0) + rng.normal(0, 8, labels.shape)
    return image.astype(np.uint8), labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("images", "labels"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for number in range(6):
        image, labels = blobs(number)
        tifffile.imwrite(tmp_path / "data" / "images" / f"{number}.tif", image)
        tifffile.imwrite(tmp_path / "data" / "labels" / f"{number}.tif", labels)
    return tmp_path / "data"


def tiny(**changes: object) -> TrainSpec:
    values = {"task": "instance", "width": 4, "depth": 2, "patch": (32, 32), "batch": 4, "steps": 6, "device": "cpu"}
    return TrainSpec.from_person(values | changes)


def planned(cases: list[tuple[Volume, Volume]], spec: TrainSpec) -> ModelSpec:
    return plan([Facts.of(*case, spec) for case in cases], spec)


def test_training_learns(folder: Path, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []
    spec = tiny(steps=80, learning_rate=1e-2, width=8, precision="fp32")
    model = run(train.steps(folder, spec, save_to=tmp_path / "m.safetensors"), lambda p: seen.append(dict(p.detail)))
    scores = [detail["score"] for detail in seen if "score" in detail]
    assert max(scores) > 0.5 > scores[0]
    assert model.spec.history[-1].details["steps"] == 80
    assert Model.load(tmp_path / "m.safetensors").spec == model.spec
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "m.safetensors"]


def test_the_same_steps_and_seed_give_the_same_bits(folder: Path, tmp_path: Path) -> None:
    for name in "ab":
        train(folder, tiny(), save_to=tmp_path / name)
    a, b = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert all(torch.equal(a[key], b[key]) for key in a)
    train(folder, tiny(seed=1), save_to=tmp_path / "c")
    c = load_file(tmp_path / "c")
    assert any(not torch.equal(a[key], c[key]) for key in a)


@pytest.mark.parametrize(
    "moment",
    [
        lambda progress: progress.detail.get("step") == 4,
        lambda progress: progress.done == 3 and "validation" in progress.message,
        lambda progress: "choosing" in progress.message,
    ],
    ids=["after a step", "while validating", "while choosing settings"],
)
def test_stopped_and_resumed_gives_the_bits_of_an_unbroken_run(
    moment: Callable[[Progress], bool], folder: Path, tmp_path: Path
) -> None:
    whole = train(folder, tiny(), save_to=tmp_path / "whole")
    steps = train.steps(folder, tiny(), save_to=tmp_path / "broken")
    assert any(moment(progress) for progress in steps)
    steps.close()
    assert (tmp_path / "broken.resume").exists()
    Model.load(tmp_path / "broken")  # the best so far is a whole model
    resumed = train(folder, tiny(), save_to=tmp_path / "broken", resume=True)
    assert resumed.spec.task == whole.spec.task
    of_whole, of_broken = load_file(tmp_path / "whole"), load_file(tmp_path / "broken")
    assert all(torch.equal(of_whole[key], of_broken[key]) for key in of_whole)
    assert not (tmp_path / "broken.resume").exists()


def test_interrupted_before_its_first_checkpoint_a_training_leaves_a_model_and_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tiny(steps=40)
    steps, taken = Trainer.advance, list[int]()

    def advance(trainer: Trainer) -> float:
        taken.append(trainer.step)
        if len(taken) == 2:
            raise KeyboardInterrupt
        return steps(trainer)

    monkeypatch.setattr(Trainer, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        train(folder, spec, save_to=tmp_path / "broken")
    monkeypatch.undo()
    assert taken == [0, 1]
    Model.load(tmp_path / "broken")
    resumed, whole = (
        train(folder, spec, save_to=tmp_path / "broken", resume=True),
        train(folder, spec, save_to=tmp_path / "whole"),
    )
    assert resumed.spec.task == whole.spec.task
    of_whole, of_broken = load_file(tmp_path / "whole"), load_file(tmp_path / "broken")
    assert all(torch.equal(of_whole[key], of_broken[key]) for key in of_whole)


def test_looking_at_validation_cases_yields_between_them(folder: Path, tmp_path: Path) -> None:
    cases = [replace(case, split="train" if number < 3 else "val") for number, case in enumerate(find_cases(folder))]
    words = [progress.message for progress in train.steps(cases, tiny(steps=1), save_to=tmp_path / "m")]
    assert sum("validation" in message for message in words) >= 3
    settings = len(Model.load(tmp_path / "m").spec.task.variants())
    assert sum("choosing" in message for message in words) >= 3 * settings


def test_without_validation_cases_there_is_no_score_and_the_last_checkpoint_is_kept(
    folder: Path, tmp_path: Path
) -> None:
    cases = [replace(case, split="train") for case in find_cases(folder)]
    details = []
    for progress in train.steps(cases, tiny(steps=3), save_to=tmp_path / "m"):
        if "step" in progress.detail:
            weights = load_file(tmp_path / "m")
            details.append((set(progress.detail), weights))
    assert [names for names, _ in details] == [{"phase", "step", "loss"}] * 3
    last = load_file(tmp_path / "m")
    assert all(torch.equal(details[2][1][key], last[key]) for key in last)
    assert any(not torch.equal(details[1][1][key], last[key]) for key in last)


def test_settings_and_start_of_other_types_are_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    wrong: Any = {"steps": 1}
    for job in (train, partial(folds, count=3), search):
        with pytest.raises(SegError, match=r"^The settings are of the type dict; give a TrainSpec, as TrainSpec\(\*\*"):
            job(folder, spec=wrong, save_to=tmp_path / "m")
    half: Any = 2.5
    for job in (folds, search):
        with pytest.raises(SegError, match=r"^2\.5 is no number of .*; give a whole number\.$"):
            job(folder, tiny(), count=half, save_to=tmp_path / "m")
    with pytest.raises(SegError, match=r" is a name and no lessons; load them with find_cases of "):
        retrain(load_model("nuclei2d"), cast("Any", folder), RetrainSpec(), save_to=tmp_path / "m")
    with pytest.raises(SegError, match=r"^nuclei2d is the name of a model; load it with load_model\.$"):
        train(folder, tiny(), save_to=tmp_path / "m", start=cast("Model", "nuclei2d"))


@pytest.mark.parametrize("name", ["images/0.tif", "images"])
def test_a_training_is_refused_the_place_of_an_image_before_it_reads_any(folder: Path, name: str) -> None:
    unread: Any = [SimpleNamespace(split="train")]
    before = {path: path.read_bytes() for path in folder.rglob("*.tif")}
    for job in jobs_of(unread):
        with pytest.raises(SegError, match=r"; choose another name for the model\.$"):
            run(job(save_to=folder / name))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def jobs_of(lessons: Any) -> list[Callable[..., Any]]:
    """Every training, of these lessons."""
    retraining = partial(retrain.steps, load_model("nuclei2d"), lessons, RetrainSpec(steps=1, device="cpu"))
    new = tiny(steps=1)
    return [
        partial(train.steps, lessons, new),
        partial(folds.steps, lessons, new, 2),
        partial(search.steps, lessons, new),
        retraining,
    ]


def test_two_trainings_do_not_write_one_model(folder: Path, tmp_path: Path) -> None:
    unread: Any = [SimpleNamespace(split="train")]
    first = train.steps(folder, tiny(steps=2), save_to=tmp_path / "m")
    next(first)
    for job in jobs_of(unread):
        with pytest.raises(SegError, match=r"^Another training is writing .*m; wait for its end or choose another"):
            run(job(save_to=tmp_path / "m"))
    assert run(first).spec.history[-1].details["steps"] == 2
    assert [path.name for path in tmp_path.iterdir() if path != folder] == ["m"]


def test_the_folder_of_a_model_is_made_before_anything_is_read_and_goes_with_a_refusal(tmp_path: Path) -> None:
    nothing: Any = []
    (tmp_path / "file").write_text("work")
    for number, job in enumerate(jobs_of(nothing)):
        with pytest.raises(SegError, match=r"cannot be written \(not a directory\); choose another folder\.$"):
            run(job(save_to=tmp_path / "file" / "m"))
        with pytest.raises(SegError, match=r"learn|folds|labels"):
            run(job(save_to=tmp_path / str(number) / "new" / "m"))
        assert not (tmp_path / str(number)).exists()


def test_a_model_goes_into_the_own_folder(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(tmp_path)
    model = train(folder, tiny(steps=1), save_to="~/m.safetensors")
    assert model.save("~/copy.safetensors") == home / "copy.safetensors"
    assert Model.load("~/m.safetensors").digest == Model.load("~/copy.safetensors").digest
    assert sorted(path.name for path in home.iterdir()) == ["copy.safetensors", "m.safetensors"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts the whole path")
def test_a_name_that_is_too_long_is_refused_before_the_first_step(folder: Path, tmp_path: Path) -> None:
    train(folder, tiny(steps=1), save_to=tmp_path / f"{'a' * 235}.safetensors")
    steps = train.steps(folder, tiny(steps=1), save_to=tmp_path / f"{'a' * 236}.safetensors")
    with pytest.raises(SegError, match=r"\(file name too long\); choose a shorter name\.$"):
        next(progress for progress in steps if progress.detail.get("step"))
    assert not list(tmp_path.glob(f"*{'a' * 236}*"))


def test_resuming_needs_a_stopped_training_with_the_same_settings(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SegError, match="start anew"):
        train(folder, tiny(), save_to=tmp_path / "m", resume=True)
    steps = train.steps(folder, tiny(), save_to=tmp_path / "m")
    next(progress for progress in steps if progress.detail.get("step") == 2)
    steps.close()
    unread: Any = [SimpleNamespace(split="train")]  # it is refused before any lesson is loaded
    changes = (
        "other settings: steps was 6 and is 11, learning_rate was 0.002 and is 0.5, loss was 'dice' and is 'focal'"
    )
    with pytest.raises(SegError, match=f"{changes}; resume with the same ones or start anew"):
        train(unread, tiny(steps=11, learning_rate=0.5, loss="focal"), save_to=tmp_path / "m", resume=True)
    with pytest.raises(SegError, match="depth was 2 and is not given; resume"):
        train(unread, tiny(depth=None), save_to=tmp_path / "m", resume=True)
    learned, *others = (case for case in find_cases(folder) if case.split == "train")
    for cases in (others, [replace(learned, split="val"), *others]):  # what was learned from would choose
        with pytest.raises(SegError, match="other images"):
            train(cases, tiny(), save_to=tmp_path / "m", resume=True)


def test_resuming_needs_the_start_with_which_a_training_began(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, path = tiny(), tmp_path / "m"
    model = planned([case.load()[:2] for case in find_cases(folder)], spec)
    first, other = Model.create(model, seed=1), Model.create(model, seed=2)

    def stopped(start: Model | None) -> None:
        steps = train.steps(folder, spec, save_to=path, start=start)
        next(progress for progress in steps if progress.detail.get("step") == 2)
        steps.close()

    stopped(first)
    for start in (None, other):
        with pytest.raises(SegError, match="went on from another start; resume with the same one or start anew"):
            train(folder, spec, save_to=path, start=start, resume=True)
    first.save(tmp_path / "start")
    again = Model.load(tmp_path / "start")
    stopped(again)
    assert train(folder, spec, save_to=path, start=Model.load(tmp_path / "start"), resume=True).spec.history
    stopped(None)
    with pytest.raises(SegError, match="began without a start; resume without one or start anew"):
        train(folder, spec, save_to=path, start=first, resume=True)
    known = course.stored
    monkeypatch.setattr(course, "stored", lambda path: {k: v for k, v in known(path).items() if k != "start"})
    assert train(folder, spec, save_to=path, start=first, resume=True).spec.history  # a state that knows no start


def test_what_a_stopped_training_kept_is_there_to_go_on(folder: Path, tmp_path: Path) -> None:
    spec, path, aside = tiny(task="semantic"), tmp_path / "m", tmp_path / "aside"
    unread: Any = [SimpleNamespace(split="train")]  # it is refused before any lesson is loaded
    steps = train.steps(folder, spec, save_to=path)
    next(progress for progress in steps if progress.detail.get("step") == 3)
    steps.close()
    path.rename(aside)
    with pytest.raises(SegError, match=r"kept its model in .*m, where it no longer is; put it back or start anew\.$"):
        train(unread, spec, save_to=path, resume=True)
    others = [case for case in find_cases(folder) if case.split == "train"][1:]
    last = [replace(case, split="val") for case in others[-1:]]
    for cases, given in ((folder, spec.model_copy(update={"seed": 1})), ([*others[:-1], *last], spec)):
        train(cases, given, save_to=tmp_path / "other")
        (tmp_path / "other").rename(path)
        with pytest.raises(SegError, match=r"kept another model in .*m than lies there now; put it back or start anew"):
            train(unread, spec, save_to=path, resume=True)
    aside.replace(path)
    assert train(folder, spec, save_to=path, resume=True).spec.history


def test_minutes_become_a_recorded_number_of_steps(folder: Path, tmp_path: Path) -> None:
    model = train(folder, tiny(steps=None, minutes=0.03), save_to=tmp_path / "m")
    assert model.spec.history[-1].details["steps"] >= 1


def test_going_on_from_a_model_keeps_its_task_and_input(folder: Path, tmp_path: Path) -> None:
    first = train(folder, tiny(), save_to=tmp_path / "first")
    spec = TrainSpec(steps=2, batch=4, device="cpu")
    card = first.spec.card.model_copy(update={"scores": {"held out: AP 0.50": 0.9}})
    first = replace(first, spec=first.spec.model_copy(update={"card": card}))
    second = train(folder, spec, save_to=tmp_path / "second.safetensors", start=first)
    assert (second.spec.name, second.spec.card.scores) == ("second", {})  # the figures were those of the first
    assert second.spec.task.kind == "instance"
    assert second.spec.input == first.spec.input
    assert [event.what for event in second.spec.history] == ["trained", "trained"]


def model_of(axes: str, **changes: object) -> Model:
    """An untrained model for images with these axes."""
    labels = np.zeros((16,) * 3 if "Z" in axes else (16, 16), np.int64)
    labels[4:12] = 1
    image = np.stack([labels] * 2) if "C" in axes else labels
    spec = tiny(patch=None, **changes)
    case = Volume(image.astype(np.uint8), axes), Volume(labels, axes.replace("C", ""))
    return Model.create(planned([case], spec))


@pytest.mark.parametrize(
    ("start", "settings", "sentence"),
    [
        (("ZYX", {"ndim": 3}), {}, "0 is a 2D image"),
        (("CYX", {}), {}, "the model expects 2 channels, the image has 1"),
        (("YX", {"task": "semantic"}), {}, "the labels go up to 9, but the model learns 1 class;"),
        (("YX", {}), {"task": "semantic"}, "has the task instance, not semantic"),
        (("YX", {}), {"network": "segnet"}, "has the network unet, not segnet"),
        (("YX", {}), {"ndim": 3}, "has the ndim 2, not 3"),
        (("YX", {}), {"classes": ("cell",)}, "has the classes object, not cell"),
        (("YX", {}), {"width": 5}, "has the width 4, not 5"),
        (("YX", {}), {"patch": (8, 8)}, "has the patch 16, 16, not 8, 8"),
    ],
)
def test_a_start_that_does_not_fit_is_one_sentence(
    start: tuple[str, dict[str, object]], settings: dict[str, object], sentence: str, folder: Path, tmp_path: Path
) -> None:
    axes, changes = start
    spec = TrainSpec.from_person({"steps": 1, "device": "cpu"} | settings)
    with pytest.raises(SegError, match=sentence):
        train(folder, spec, save_to=tmp_path / "m", start=model_of(axes, **changes))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("shapes", [[(1, 24, 24)], [(8, 24, 24), (1, 24, 24)]])
def test_a_volume_of_one_slice_is_refused_for_a_3d_network(shapes: list[tuple[int, int, int]], tmp_path: Path) -> None:
    cases = []
    for shape in shapes:
        labels = Volume(np.indices(shape).sum(0) // 30, "ZYX")
        image = Volume(np.random.default_rng(0).random(shape, np.float32), "ZYX", name=f"{shape[0]} deep")
        cases.append(InMemory(image.name, image, labels))
    words = r"^1 deep is a volume of one slice; train a 2D network on it\.$"
    with pytest.raises(SegError, match=words):
        train(cases, tiny(patch=None, ndim=3), save_to=tmp_path / "m")


def test_an_image_of_a_wrong_unit_is_refused_by_its_name(tmp_path: Path) -> None:
    cases = []
    for number, unit in enumerate(("nm", "nm", "mm")):
        given: dict[str, Any] = {"spacing": (1.0, 1.0), "unit": unit}
        labels = Volume(np.eye(24, dtype=np.int64), "YX", **given)
        image = Volume(np.random.default_rng(number).random((24, 24), np.float32), "YX", **given)
        cases.append(InMemory(f"c{number}", image, labels, split="val" if unit == "mm" else "train"))
    words = r"^c2 has voxels of 1 x 1 mm, .* 1 x 1 nm of the model .* times as many; correct its spacing or its unit\.$"
    with pytest.raises(SegError, match=words):
        train(cases, tiny(patch=None), save_to=tmp_path / "m")


def test_what_a_start_already_is_may_be_said(folder: Path, tmp_path: Path) -> None:
    start = model_of("YX", network="vnet")
    spec = tiny(network="vnet", ndim=2, classes=("object",), norm="batch", patch=(16, 16), steps=1)
    model = train(folder, spec, save_to=tmp_path / "m", start=start)
    assert model.spec.network == start.spec.network
    cases = [replace(case, split="val") for case in find_cases(folder)]
    with pytest.raises(SegError, match="left to learn from"):
        train(cases, spec, save_to=tmp_path / "n", start=start)


@pytest.mark.parametrize("network", ["unet", "vnet", "segnet"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_network_trains_on_volumes(network: str, ndim: int, tmp_path: Path) -> None:
    cases = []
    for number in range(3):
        image, labels = (np.stack([part] * 8) for part in blobs(number, 24))
        cases.append((Volume(image, "ZYX", (2.0, 1.0, 1.0), "um"), Volume(labels.astype(np.int64), "ZYX")))
    spec = tiny(network=network, ndim=ndim, patch=(8, 16, 16)[-ndim:], steps=1)
    model = planned(cases, spec)
    assert model.network.ndim == ndim
    assert model.input.spacing == (2.0, 1.0, 1.0)[-ndim:]
    assert model.network.flat_levels == (1 if ndim == 3 else 0)
    found = list(samples(*cases[0], model))
    assert len(found) == (1 if ndim == 3 else 8)
    assert all(sample.image.shape[1:] == sample.labels.shape for sample in found)


@pytest.mark.parametrize("units", ["um nm nm nm", "nm um um um", "um um nm mm", "nm nm um um"])
def test_images_in_other_units_make_the_model_of_one_unit(units: str) -> None:
    sizes = {"nm": 500.0, "um": 0.5, "mm": 0.0005, "pixel": 0.5}

    def cases(*units: str) -> list[tuple[Volume, Volume]]:
        made = []
        for number, unit in enumerate(units):
            image, labels = blobs(number)
            made.append((Volume(image, "YX", (sizes[unit],) * 2, unit), Volume(labels.astype(np.int64), "YX")))
        return made

    mixed = cases(*units.split())
    model = planned(mixed, tiny())
    first = model.input.unit
    assert first == units.split()[0]
    assert model.input.spacing == pytest.approx((sizes[first],) * 2)
    assert model.input.extent == (48, 48)
    assert {sample.grid for case in mixed for sample in samples(*case, model)} == {(48, 48)}
    half_known = planned([*mixed, *cases("pixel")], tiny())
    assert (half_known.input.spacing, half_known.input.unit) == (None, "pixel")


def test_one_image_is_in_memory_at_a_time(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images: list[weakref.ref[Volume]] = []
    load = Case.load

    def watched(case: Case) -> Labelled:
        assert not any(image() for image in images)
        labelled = load(case)
        images.append(weakref.ref(labelled.image))
        return labelled

    monkeypatch.setattr(Case, "load", watched)
    cases = find_cases(folder)
    reading = []
    for progress in train.steps(cases, tiny(steps=1), save_to=tmp_path / "m"):
        if "step" in progress.detail:
            break
        reading.append(progress)
    learned = sum(case.split == "train" for case in cases)
    assert len(images) == len(cases) + learned
    first = [progress for progress in reading if progress.total == len(images)]
    assert [progress.done for progress in first] == list(range(len(images) + 1))


@pytest.mark.parametrize("part", ["images", "labels"])
def test_two_files_of_one_stem_are_refused(folder: Path, part: str) -> None:
    (folder / part / "3.tiff").write_bytes((folder / part / "3.tif").read_bytes())
    with pytest.raises(SegError, match=rf"3\.tif and 3\.tiff in .*{part} have the same name.*rename one"):
        find_cases(folder)


def test_validation_cases_do_not_influence_the_plan(folder: Path, tmp_path: Path) -> None:
    cases = [replace(case, split="train") for case in find_cases(folder)]
    image, labels = blobs(9, 96)
    for part, data in (("images", image), ("labels", labels)):
        data = np.pad(data, ((0, 0), (0, 80)))
        tifffile.imwrite(folder / part / "9.tif", data, resolution=(4, 4), resolutionunit="CENTIMETER")
    other = Case("9", folder / "images" / "9.tif", folder / "labels" / "9.tif", "9", "val")
    spec = tiny(steps=1, patch=None)
    alone = train(cases, spec, save_to=tmp_path / "alone").spec
    with_validation = train([*cases, other], spec, save_to=tmp_path / "both").spec
    assert with_validation.input == alone.input
    assert with_validation.network == alone.network


def write_split(folder: Path, text: str) -> Path:
    path = folder / "split.csv"
    path.write_text(text)
    return path


def test_held_out_rows_are_never_opened(folder: Path) -> None:
    for number in (0, 1):
        (folder / "images" / f"{number}.tif").write_bytes(b"")
    split = write_split(folder, "name,split\n0,test\n1,test\n2,train\n3,train\n4,val\n")
    cases = find_cases(folder, split=split)
    assert {case.name: case.split for case in cases} == {"2": "train", "3": "train", "4": "val"}
    assert {case.name for case in find_cases(folder, split=split, hold_out="train")} == {"0", "1", "4"}


def test_where_selects_rows(folder: Path) -> None:
    split = write_split(folder, "name,split,kind\n0,train,a\n1,train,b\n2,val,a\n3,train,a\n")
    assert {case.name for case in find_cases(folder, split=split, where={"kind": "a"})} == {"0", "2", "3"}
    with pytest.raises(SegError, match="no column colour"):
        find_cases(folder, split=split, where={"colour": "red"})


def test_no_split_divides_a_group(folder: Path) -> None:
    rows = "".join(f"{number},train,patient{number // 2}\n" for number in range(6))
    cases = find_cases(folder, split=write_split(folder, "name,split,group\n" + rows))
    sides = {group: {c.split for c in cases if c.group == group} for group in {c.group for c in cases}}
    assert all(len(side) == 1 for side in sides.values())
    assert {"train"} in sides.values()
    assert {"val"} in sides.values()
    for one, other in (("train", "val"), ("train", "test"), ("val", "test"), ("test", "fold1")):
        divided = write_split(folder, f"name,split,group\n0,{one},p\n1,{other},p\n2,train,q\n")
        with pytest.raises(SegError, match="group p is both"):
            find_cases(folder, split=divided)
    absent = write_split(folder, "name,split,group\n0,train,p\nnot there,test,p\n2,train,q\n")
    with pytest.raises(SegError, match="group p is both"):
        find_cases(folder, split=absent)
    folds = write_split(folder, "name,split,group\n0,fold1,p\n1,fold2,p\n2,fold3,q\n3,fold0,r\n")
    assert {case.name for case in find_cases(folder, split=folds, hold_out="fold0")} == {"0", "1", "2"}
    assert len(find_cases(folder, split=folds, hold_out="")) == 4  # nothing is held out


def test_axes_that_no_image_has_are_refused_before_anything_is_read(folder: Path) -> None:
    with pytest.raises(SegError, match=r"'QQ' cannot be those of the images in .*images; name the dimensions"):
        find_cases(folder, axes="QQ")


def test_a_table_with_one_group_for_all_has_no_groups_and_that_is_said(folder: Path) -> None:
    rows = "0,train,block\n1,train,block\n2,val,block\n3,test,block\n"
    cases = find_cases(folder, split=write_split(folder, "name,split,group\n" + rows))
    assert [(case.name, case.split, case.group) for case in cases] == [
        ("0", "train", "0"),
        ("1", "train", "1"),
        ("2", "val", "2"),
    ]
    assert "one group (block)" in cases.notes[0]


def test_a_group_is_divided_only_by_the_rows_that_are_selected(folder: Path) -> None:
    rounds = write_split(folder, "name,split,round\n0,train,1\n1,test,1\n2,train,1\n0,test,2\n1,train,2\n2,train,2\n")
    for number, held_out in (("1", "1"), ("2", "0")):
        cases = find_cases(folder, split=rounds, where={"round": number})
        assert {case.name for case in cases} == {"0", "1", "2"} - {held_out}
    with pytest.raises(SegError, match="lists 0 twice"):
        find_cases(folder, split=rounds)


@pytest.mark.parametrize("word", ["Test", "test ", " TEST", "\ttest"])
def test_words_of_a_split_have_no_case_and_no_blanks(word: str, folder: Path) -> None:
    split = write_split(folder, f"name, split ,group\n0,train,p\n 1 ,{word},q\n2, train,r\n3,Val,s\n")
    cases = find_cases(folder, split=split)
    assert {case.name: case.split for case in cases} == {"0": "train", "2": "train", "3": "val"}
    assert find_cases(folder, split=split, hold_out=word) == cases
    with pytest.raises(SegError, match="group q is both"):
        find_cases(folder, split=write_split(folder, f"name,split,group\n0,train,q\n1,{word},q \n2,train,r\n"))


@pytest.mark.parametrize(
    ("word", "cure"),
    [(word, "write val or train") for word in ("validation", "Valid", " dev ", "val_set", "VALIDATION SET")]
    + [(word, f"write test, or hold it out with --hold-out '?{word}'?.$")
       for word in ("testing", "holdout", "hold-out", "Held Out", "test set", "testset")]
    + [("train\0", "write it anew"), ("test\u200b", "write it anew")],
)  # fmt: skip
def test_what_a_person_means_for_validation_or_test_is_not_learned_from(word: str, cure: str, folder: Path) -> None:
    split = write_split(folder, f"name,split,part\n0,train,a\n1,{word},b\n2,train,a\n3,val,a\n")
    with pytest.raises(SegError, match=f"^1 has the split .* in split.csv.*{cure}"):
        find_cases(folder, split=split)
    assert {case.name for case in find_cases(folder, split=split, where={"part": "a"})} == {"0", "2", "3"}


@pytest.mark.parametrize("word", ["validation", "testing", "held-out"])
def test_what_is_held_out_may_have_any_word(word: str, folder: Path) -> None:
    split = write_split(folder, f"name,split\n0,train\n1,{word}\n2,train\n3,val\n")
    assert {case.name for case in find_cases(folder, split=split, hold_out=word)} == {"0", "2", "3"}


@pytest.mark.parametrize("word", ["fold1", "train1", "training", "valve", "devon", "tester", "atest"])
def test_every_other_word_is_for_training(word: str, folder: Path) -> None:
    split = write_split(folder, f"name,split\n0,train\n1,{word}\n2,train\n3,val\n")
    assert {case.name: case.split for case in find_cases(folder, split=split)}["1"] == "train"


def test_who_holds_out_nothing_learns_from_what_is_called_test(folder: Path) -> None:
    split = write_split(folder, "name,split\n0,train\n1,testing\n2,test\n3,val\n")
    assert len(find_cases(folder, split=split, hold_out="")) == 4


@pytest.mark.parametrize("hold_out", ["tset", "Part2", "test"])
def test_a_hold_out_that_no_row_has_is_refused(hold_out: str, folder: Path) -> None:
    split = write_split(folder, "name,split\n0,train\n1,fold0\n2,val\n")
    with pytest.raises(SegError, match=f"has the split {hold_out} to hold out; name one of fold0, train, val"):
        find_cases(folder, split=split, hold_out=hold_out)
    assert len(find_cases(folder, split=split)) == 3


@pytest.mark.parametrize("rows", ["0,train\n0,test\n", "0,fold1\n0,fold2\n", "0,test\n0.tif,train\n"])
def test_a_name_that_is_listed_in_two_ways_is_refused(rows: str, folder: Path) -> None:
    with pytest.raises(SegError, match="lists 0 twice"):
        find_cases(folder, split=write_split(folder, f"name,split\n{rows}1,train\n"))


def test_a_name_that_is_listed_twice_alike_counts_once(folder: Path) -> None:
    split = write_split(folder, "name,split\n0,train\n0.tif,train\n1,train\n")
    assert sorted(case.name for case in find_cases(folder, split=split)) == ["0", "1"]


@pytest.mark.parametrize("row", ["1", "1,", ",train"])
def test_a_row_without_a_name_or_a_split_is_refused(row: str, folder: Path) -> None:
    with pytest.raises(SegError, match="lacks the name or the split"):
        find_cases(folder, split=write_split(folder, f"name,split\n0,train\n{row}\n2,train\n"))


def test_what_a_split_leaves_out_is_said(folder: Path) -> None:
    split = write_split(folder, "name,split\n0.tif,train\n1,train\n2,fold1\n3,test\n7.png,train\n8,val\n")
    cases = find_cases(folder, split=split)
    assert {case.name for case in cases} == {"0", "1", "2"}
    assert {case.group for case in cases} == {"0", "1", "2"}
    rows, names, images = cases.notes
    for part in ("3 for training (train)", "1 for training (fold1)", "1 for validation (val)", "1 held out (test)"):
        assert part in rows
    assert names == "2 of the names in the split have no image: 7.png, 8."
    assert images == "2 of the images are not selected by the split: 4, 5."
    assert find_cases(folder).notes == ()


def test_folders_that_cannot_be_trained_on(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SegError, match="There is no folder"):
        find_cases(tmp_path)
    (folder / "labels" / "3.tif").unlink()
    with pytest.raises(SegError, match="no labels for 3"):
        find_cases(folder)
    with pytest.raises(SegError, match="cannot be read"):
        find_cases(folder, split=folder / "missing.csv")
    with pytest.raises(SegError, match="left to learn from"):
        find_cases(folder, split=write_split(folder, "name,split\n0,test\n"))


def test_labels_that_do_not_fit_the_image(folder: Path) -> None:
    tifffile.imwrite(folder / "labels" / "2.tif", np.zeros((5, 5), np.uint8))
    with pytest.raises(SegError, match=r"2: the image has \(48, 48\) voxels, its labels \(5, 5\)"):
        next(case for case in find_cases(folder) if case.name == "2").load()


def test_empty_labels_and_mixed_kinds(folder: Path) -> None:
    image = Volume(np.zeros((8, 8), np.uint8), "YX")
    empty = Volume(np.zeros((8, 8), np.int64), "YX")
    with pytest.raises(SegError, match="empty"):
        planned([(image, empty)], tiny())
    colour = Volume(np.zeros((8, 8, 3), np.uint8), "YXS")
    with pytest.raises(SegError, match="different numbers of channels"):
        planned([(image, empty), (colour, empty)], tiny())


@pytest.mark.parametrize(
    ("values", "classes", "sentence"),
    [
        ([255], (), "values up to 255"),
        ([1, 3], (), "with gaps"),
        ([1, 2, 900], (), "train the task instance"),
        ([1, 2, 3], ("a", "b"), "name one for each"),
    ],
)
def test_labels_that_are_no_classes(values: list[int], classes: tuple[str, ...], sentence: str) -> None:
    labels = np.zeros((8, 8), np.int64)
    labels[0, : len(values)] = values
    with pytest.raises(SegError, match=sentence):
        planned(
            [(Volume(np.zeros((8, 8), np.uint8), "YX"), Volume(labels, "YX"))], tiny(task="semantic", classes=classes)
        )


def test_a_class_may_be_missing_where_all_are_named() -> None:
    labels = np.zeros((8, 8), np.int64)
    labels[2:4] = 2
    case = (Volume(np.zeros((8, 8), np.uint8), "YX"), Volume(labels, "YX"))
    assert planned([case], tiny(task="semantic", classes=("a", "b", "c"))).network.out_channels == 4


def test_images_that_lie_the_same_way_are_not_mirrored() -> None:
    rng = np.random.default_rng(0)
    organ = np.zeros((1, 40, 40), np.float32)
    organ[:, 5:20, 8:16] = 1  # neither in the middle nor symmetric
    bodies = [organ + rng.normal(0, 0.3, organ.shape).astype(np.float32) for _ in range(8)]
    cells = [rng.normal(0, 1, organ.shape).astype(np.float32) for _ in range(8)]
    assert lie_alike(bodies)
    assert not lie_alike(cells)
    assert not lie_alike(bodies[:1])
    scans = [np.repeat(body[:, None], 6, 1) for body in bodies]
    assert lie_alike(scans)


@pytest.mark.parametrize(("axes", "fit"), [((0, 1), True), ((2,), False)])
def test_patches_are_mirrored_only_along_axes_that_they_have(
    folder: Path, tmp_path: Path, axes: tuple[int, ...], fit: bool
) -> None:
    spec = tiny(augmentation=Augmentation(flips=axes))
    if fit:
        assert train(folder, spec, save_to=tmp_path / "m.safetensors").spec.mirrors == axes
        return
    with pytest.raises(SegError, match="no axis 2"):
        train(folder, spec, save_to=tmp_path / "m.safetensors")


def test_axes_that_files_do_not_name(folder: Path) -> None:
    for number in range(6):
        stack = np.stack([blobs(number)[0]] * 3)
        tifffile.imwrite(folder / "images" / f"{number}.tif", stack, photometric="minisblack", metadata=None)
    with pytest.raises(SegError, match="axes"):
        find_cases(folder)[0].load()
    image, labels, _ = find_cases(folder, axes="CYX")[0].load()
    assert (image.axes, labels.axes) == ("CYX", "YX")


def test_a_volume_is_scored_as_a_whole_and_not_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where most slices are empty a model that finds nothing would look good."""
    model = model_of("YX", task="semantic")
    labels = np.zeros((20, 32, 32), np.int64)
    labels[9:11, 8:20, 8:20] = 1
    slices = [Sample(np.zeros((1, 32, 32), np.float32), one, None, f"volume {k // 10}") for k, one in enumerate(labels)]
    seen: list[int] = []

    def nothing_found(spec: ModelSpec, pieces: list[Piece]) -> float:
        seen.append(len(pieces))
        return figure(spec, [(truth, np.zeros_like(truth), mask) for truth, _, mask in pieces])

    monkeypatch.setattr(validation, "figure", nothing_found)
    assert run(validation.score(model.network, model.spec, slices, choose_device("cpu"), Progress(0, 1, ""))) == 0
    assert seen == [10, 10]
    assert figure(model.spec, [(labels[0], labels[0], None)]) == 1


def test_axes_are_for_the_files_that_leave_them_open(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 2, (3, 8, 9)).astype(np.uint8)
    for name, axes in (("open", None), ("said", {"axes": "ZYX"})):
        tifffile.imwrite(tmp_path / f"{name}.tif", stack, photometric="minisblack", metadata=axes)
    labels = tmp_path / "open.tif"
    for image, found in (("open", "TYX"), ("said", "ZYX")):
        loaded = Case("a", tmp_path / f"{image}.tif", labels, "a", axes="TYX").load()
        assert (loaded.image.axes, loaded.labels.axes) == (found, found)


def test_stopped_before_its_first_checkpoint_a_training_leaves_the_model_that_was_there(
    folder: Path, tmp_path: Path
) -> None:
    path, samples = tmp_path / "m.safetensors", tmp_path / "m.samples.safetensors"
    train(folder, tiny(), save_to=path)
    samples.write_bytes(b"of the model that is there")
    earlier = path.read_bytes()
    steps = train.steps(folder, tiny(steps=40, seed=1), save_to=path)
    next(progress for progress in steps if progress.detail.get("phase") == "train")
    steps.close()
    assert (path.read_bytes(), samples.read_bytes()) == (earlier, b"of the model that is there")
    train(folder, tiny(seed=1), save_to=path)
    assert path.read_bytes() != earlier
    assert not samples.exists()  # a retraining of the new model would rehearse what it never learned


def test_channels_are_learned_by_their_names_in_whatever_order_they_lie() -> None:
    image, labels = blobs(0)
    both, mask = np.stack([image, 255 - image]), Volume(labels.astype(np.int64), "YX")
    first = Volume(both, "CYX", channels=("bright", "dark"))
    swapped = Volume(both[::-1], "CYX", channels=("dark", "bright"))
    model = planned([(first, mask), (swapped, mask), (Volume(both, "CYX"), mask)], tiny())
    assert model.input.channels == ("bright", "dark")
    [expected], [found] = ([*samples(one, mask, model)] for one in (first, swapped))
    assert np.array_equal(found.image, expected.image)
    with pytest.raises(SegError, match="bright, dark in one and DAPI, dark in another"):
        planned([(first, mask), (replace(swapped, channels=("DAPI", "dark")), mask)], tiny())
