"""A model is measured on images that it never saw, and what it saw is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import Disc, lessons, tiny

from napari_seg.data.formats import write
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.evaluation.measurement import Measured, Measurement, summed_up
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.models.ensemble import ensemble
from napari_seg.models.model import Model
from napari_seg.training.cases import Labelled, find_tests
from napari_seg.training.measuring import measure
from napari_seg.training.train import train

CPU = PredictSpec(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """It has learned from discs 0 to 3 and was validated on 4 and 5."""
    learned = [replace(one, split="val" if k > 3 else "train") for k, one in enumerate(lessons())]
    return train(learned, tiny(steps=60), save_to=tmp_path_factory.mktemp("measured") / "discs.safetensors")


def unseen(count: int = 6, groups: int = 6) -> list[Disc]:
    return [Disc(f"n{k}", f"g{k % groups}", 100 + k) for k in range(count)]


def case(name: str, dice: float | None, group: str = "", **more: Any) -> Measured:
    return Measured(name=name, group=group or name, figures={"disc": {"dice": dice}}, **more)


def test_the_means_are_those_of_evaluate(model: Model) -> None:
    found = measure(model, unseen(), CPU)
    masks = [evaluate(one.load().labels, predict(model, one.load().image, CPU)) for one in unseen()]
    for line in found.lines[:4]:
        expected = [mask.per_class[line.of.removeprefix("class ")][line.metric] for mask in masks]
        assert line.value == pytest.approx(np.mean([value for value in expected if value is not None]))
        assert line.low is not None
        assert line.low <= line.value <= line.high
        assert line.images == 6
    assert [(line.of, line.metric) for line in found.lines] == [
        *(("class 1", "dice"), ("class 1", "jaccard"), ("class 2", "dice"), ("class 2", "jaccard")),
        *(("mean", "dice"), ("mean", "jaccard")),
    ]
    assert found.lines[4].value == pytest.approx(np.mean([found.lines[0].value, found.lines[2].value]))
    scores = [one.score for one in found.cases]
    assert scores == sorted(scores)
    assert (found.notes, found.counted) == ((), "6 images")


def test_images_that_a_training_saw_are_told_also_under_another_name(model: Model) -> None:
    learned, validated = replace(lessons()[1], name="other"), lessons()[5]
    found = measure(model, [*unseen(2), learned, validated], CPU)
    assert {one.name for one in found.cases if one.seen} == {"other", "d5"}
    assert len(found.notes) == 2
    assert "has looked at 2 images of these (" in found.notes[0]
    assert found.notes[0].endswith("take them out.")


def test_what_any_member_of_an_ensemble_saw_is_told(model: Model, tmp_path: Path) -> None:
    other = train(
        [replace(one, seed=50 + k) for k, one in enumerate(lessons(2))],
        tiny(steps=1),
        save_to=tmp_path / "other.safetensors",
    )
    joined = ensemble([model, other])
    assert joined.spec.seen == model.spec.seen | other.spec.seen
    assert len(joined.spec.seen) == 8
    assert ensemble([model, model]).spec.seen == model.spec.seen


def test_images_of_a_group_are_drawn_together() -> None:
    values = [0.2, 0.3, 0.4, 0.6, 0.7, 0.8]
    alone = summed_up("m", [case(f"c{k}", value) for k, value in enumerate(values * 4)]).lines[0]
    together = summed_up("m", [case(f"c{k}", value, f"g{k % 6}") for k, value in enumerate(values * 4)]).lines[0]
    assert alone.value == together.value == pytest.approx(0.5)
    assert (alone.high - alone.low) * 1.8 < together.high - together.low < (alone.high - alone.low) * 2.2
    rng = np.random.default_rng(1)
    draws = rng.choice(values, (20_000, 6)).mean(1)
    assert [together.low, together.high] == pytest.approx(np.percentile(draws, (2.5, 97.5)), abs=0.03)


def test_too_few_groups_have_no_interval() -> None:
    found = summed_up("m", [case("a", 0.5, "p"), case("b", 0.7, "p")])
    assert (found.lines[0].value, found.lines[0].low, found.lines[0].high) == (pytest.approx(0.6), None, None)
    assert found.counted == "2 images of 1 group"
    assert found.notes == ("1 group of images, such as patients: an interval takes 5 or more.",)
    assert summed_up("m", [case(f"c{k}", 0.5) for k in range(5)]).notes == ()
    told = [case(f"c{k}", 0.5, notes=("Its channels have other names.",) * (k < 2)) for k in range(5)]
    assert summed_up("m", told).notes == ("c0, c1: Its channels have other names.",)


def test_images_without_anything_have_no_figure_and_come_last_but_for_failures() -> None:
    found = summed_up("m", [case("empty", None), Measured(name="torn", group="", why="It is torn."), case("a", 0.5)])
    assert [one.name for one in found.cases] == ["a", "empty", "torn"]
    assert (found.lines[0].value, found.lines[0].images) == (0.5, 1)
    assert summed_up("m", [case("empty", None)]).lines[0].value is None
    assert summed_up("m", []).lines == ()


def test_distances_of_two_units_are_not_averaged() -> None:
    with pytest.raises(SegError, match=r"mm and um; measure"):
        summed_up("m", [case("a", 0.5, unit="mm"), case("b", 0.5, unit="um")])


def test_surfaces_of_classes(model: Model) -> None:
    found = measure(model, unseen(2), CPU, surfaces=True)
    assert found.unit == "voxel"
    assert [found.title(line.metric) for line in found.lines[:4]] == ["Dice", "Jaccard", "HD95 voxel", "ASSD voxel"]


def test_objects(model_file: Callable[..., Path]) -> None:
    found = measure(Model.load(model_file("instance", classes=("cell",))), unseen(2), CPU)
    assert [line.metric for line in found.lines] == ["ap_50", "mean_ap", "precision", "recall", "f1", "pq"]
    assert {line.of for line in found.lines} == {"cell"}
    assert not np.isnan([line.value for line in found.lines if line.value is not None]).any()


class Torn(Disc):
    def load(self) -> Labelled:
        raise SegError(f"{self.name} is torn; copy it again.")


def test_an_image_that_fails_is_told_in_its_place(model: Model) -> None:
    found = measure(model, [Torn("t", "t"), *unseen(2)], CPU)
    assert [one.name for one in found.failed] == ["t"]
    assert found.failed[0].why == "t is torn; copy it again."
    assert found.lines[0].images == 2
    assert found.counted == "2 images"
    with pytest.raises(SegError, match="t is torn"):
        measure(model, [Torn("t", "t")], CPU)


def test_a_cancel_is_seen_within_an_image(model: Model) -> None:
    steps = measure.steps(model, unseen(3), CPU)
    fractions = [next(steps).fraction for _ in range(6)]
    assert fractions == sorted(fractions)
    assert 0 < fractions[-1] < 0.67
    steps.close()


def test_the_tables(model: Model) -> None:
    found = measure(model, [*unseen(1), Torn("t, 2", "t")], CPU)
    head, *rows = found.lines_csv().splitlines()
    assert head == "of,figure,mean,from,to,images"
    assert rows[0].startswith("class 1,Dice,")
    head, *rows = found.cases_csv().splitlines()
    assert head == "image,group,of,Dice,Jaccard,trouble"
    assert [row.split(",")[:3] for row in rows[:2]] == [["n0", "g0", "class 1"], ["n0", "g0", "class 2"]]
    assert rows[2] == '"t, 2",t,,,,"t, 2 is torn; copy it again."'
    assert Measurement.model_validate_json(found.model_dump_json()) == found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one in unseen(4):
        image, labels, _ = one.load()
        write(image, tmp_path / "images" / f"{one.name}.tif")
        write(replace(labels, data=np.asarray(labels.data, np.uint8)), tmp_path / "labels" / f"{one.name}.tif")
    (tmp_path / "split.csv").write_text("name,split,group\nn0,train,a\nn1,test,b\nn2,test,b\nn3,val,c\n")
    return tmp_path


class TestFindTests:
    def test_without_a_split_all_images(self, folder: Path) -> None:
        assert [(one.name, one.group, one.split) for one in find_tests(folder)] == [
            (f"n{k}", f"n{k}", "test") for k in range(4)
        ]

    def test_with_a_split_what_is_held_out(self, folder: Path) -> None:
        found = find_tests(folder, split=folder / "split.csv")
        assert [(one.name, one.group) for one in found] == [("n1", "b"), ("n2", "b")]
        found = find_tests(folder, split=folder / "split.csv", hold_out="val")
        assert [one.name for one in found] == ["n3"]

    def test_labels_of_what_is_not_measured_may_lack(self, folder: Path) -> None:
        (folder / "labels" / "n0.tif").unlink()
        assert len(find_tests(folder, split=folder / "split.csv")) == 2
        with pytest.raises(SegError, match=r"no labels for n0; add them"):
            find_tests(folder)

    def test_nothing_is_held_out(self, folder: Path) -> None:
        (folder / "split.csv").write_text("name,split\nn0,train\nn1,val\n")
        with pytest.raises(SegError, match=r"is held out in split.csv; name .*--hold-out"):
            find_tests(folder, split=folder / "split.csv")


def test_a_folder_is_measured(model: Model, folder: Path) -> None:
    assert measure(model, folder, CPU).lines == measure(model, unseen(4), CPU).lines


def test_the_command(model: Model, folder: Path, run: Any, tmp_path: Path) -> None:
    path = model.save(tmp_path / "m.safetensors")
    words = ("measure", folder, "--model", path, "--device", "cpu")
    ended = run(*words, "--split", folder / "split.csv")
    assert ended.code == 0
    assert ended.out.splitlines()[0].split() == ["of", "figure", "mean", "95", "%", "interval", "images"]
    assert ended.out.splitlines()[-1].startswith("2 images of 1 group. The worst: n")
    (folder / "images" / "n2.tif").write_bytes(b"torn")
    ended = run(*words, "--json")
    assert ended.code == 2
    assert "n2: " in ended.err
    told = json.loads(ended.out)
    assert [one["name"] for one in told["cases"]][-1] == "n2"
    assert told["lines"][0].keys() == {"of", "metric", "value", "low", "high", "images"}
    ended = run(*words, "--hold-out", "test")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "--split" in ended.err
