"""Folds never divide a group, score only what was not learned, and end as one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from discs import Disc, lessons, tiny
from safetensors.torch import load_file

from napari_seg.data.formats import write
from napari_seg.errors import SegError
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import Progress, run
from napari_seg.models.model import Model
from napari_seg.tasks.instance import Instance
from napari_seg.training import folds as module
from napari_seg.training import test_set
from napari_seg.training.folds import deal, folds
from napari_seg.training.plan import TrainSpec


class TestDealing:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize(("count", "groups", "k"), [(10, 10, 5), (20, 7, 3), (9, 3, 3), (30, 11, 10)])
    def test_every_case_is_in_one_fold_and_no_group_in_two(self, count, groups, k, seed):
        cases = lessons(count, groups=groups)
        dealt = deal(cases, k, seed)
        assert sorted(number for fold in dealt for number in fold) == list(range(count))
        assert len(dealt) == k
        of_groups = [{cases[number].group for number in fold} for fold in dealt]
        assert sum(map(len, of_groups)) == groups
        assert max(map(len, dealt)) - min(map(len, dealt)) <= -(-count // groups)
        assert dealt == deal(cases, k, seed)

    def test_another_seed_deals_otherwise(self):
        assert deal(lessons(12, groups=12), 3, 0) != deal(lessons(12, groups=12), 3, 1)

    @pytest.mark.parametrize(("groups", "k", "cure"), [(3, 5, "choose 2 to 3"), (4, 1, "choose 2 to 4"), (1, 2, "add")])
    def test_what_cannot_be_dealt_is_refused(self, groups, k, cure):
        with pytest.raises(SegError, match=f"{k} folds of {groups} groups .*{cure}"):
            deal(lessons(12, groups=groups), k, 0)


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, list[Progress]]:
    path, seen = tmp_path_factory.mktemp("folds") / "m.safetensors", list[Progress]()
    return run(folds.steps(lessons(), tiny(steps=40), 3, save_to=path), seen.append), path, seen


def test_the_models_become_one_file(folded):
    found, path, _ = folded
    assert sorted(one.name for one in path.parent.iterdir()) == ["m.safetensors"]
    model = Model.load(path)
    assert model.spec == found.model.spec
    assert len(model.spec.members) == 3
    weights = [dict(member.named_parameters()) for member in model.network.members]
    assert not torch.equal(*(next(iter(one.values())) for one in weights[:2]))
    labels = predict(model, lessons()[0].load().image, PredictSpec(device="cpu")).labels
    assert set(np.unique(labels.data)) <= {0, 1, 2}


def test_mean_and_spread_are_told_by_class(folded):
    found, _, _ = folded
    table = {name: (values, mean, spread) for name, values, mean, spread in found.table()}
    assert list(table) == ["Dice class 1", "Dice class 2"]
    for values, mean, spread in table.values():
        assert len(values) == 3
        assert mean == pytest.approx(np.mean(values))
        assert spread == pytest.approx(np.std(values, ddof=1))
    event = found.model.spec.history[-1]
    assert (event.what, event.details["steps"]) == ("trained in 3 folds", 40)
    assert [fold["scored_on"] for fold in event.details["folds"]] == [2, 2, 2]
    assert found.model.spec.card.scores["Dice class 1, 3 folds"] == pytest.approx(table["Dice class 1"][1])
    assert table["Dice class 2"][1] > 0.5


def test_progress_goes_on_over_all_folds(folded):
    seen = [progress for progress in folded[2] if "loss" in progress.detail]
    assert [progress.done for progress in seen] == list(range(1, 121))
    assert [progress.detail["fold"] for progress in seen] == [1] * 40 + [2] * 40 + [3] * 40


def test_no_network_sees_a_group_that_it_is_scored_on(tmp_path, monkeypatch):
    learned: list[set[str]] = []
    scored: list[tuple[int, str]] = []
    trainer, figures = module.Trainer, module._figures_of

    def watched(model, samples, *rest):
        learned.append({sample.group for sample in samples})
        return trainer(model, samples, *rest)

    def looked(model, taken, *rest):
        scored.extend((len(learned), sample.group) for sample in taken)
        return figures(model, taken, *rest)

    monkeypatch.setattr(module, "Trainer", watched)
    monkeypatch.setattr(module, "_figures_of", looked)
    folds(lessons(10, groups=5), tiny(steps=1), 3, save_to=tmp_path / "m.safetensors")
    assert len(scored) == 10
    for trained, group in scored:
        assert group not in learned[trained - 1]
        assert all(group in others for k, others in enumerate(learned, 1) if k != trained)


def test_settings_of_a_fold_are_chosen_by_the_others():
    figures = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [np.nan, np.nan]])
    assert module._best(figures, [1, 2, 3]) == 1
    assert module._best(figures, [0]) == 0
    assert module._best(figures, [3]) == 0


def test_objects_get_the_settings_that_do_best_over_all_folds(tmp_path, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(module, "_best", lambda figures, cases: asked.append(len(cases)) or 12)
    found = folds(lessons(4, groups=4), tiny(task="instance", steps=15), 2, save_to=tmp_path / "m.safetensors")
    assert [name for name, *_ in found.table()] == ["AP 0.5", "mean AP"]
    assert asked == [2, 2, 4]  # of each fold by the others, of the ensemble by all
    assert found.model.spec.task.seeds == Instance().variants()[12].seeds != Instance().seeds


@dataclass(frozen=True)
class Blank(Disc):
    """An image without objects."""

    def load(self):
        found = super().load()
        return found._replace(labels=replace(found.labels, data=np.zeros_like(found.labels.data)))


def test_images_without_objects_in_which_none_are_found_say_nothing(tmp_path, monkeypatch):
    def none(task, scores, *rest):
        return [np.zeros(scores.shape[1:], int) for _ in task.variants()]

    monkeypatch.setattr(Instance, "decode_variants", none)
    cases = [*lessons(2), *(Blank(f"b{k}", f"b{k}", k) for k in range(4))]
    found = folds(cases, tiny(task="instance", steps=1), 2, save_to=tmp_path / "m.safetensors")
    assert {name: mean for name, _, mean, _ in found.table()} == {"AP 0.5": 0.0, "mean AP": 0.0}
    assert set(found.model.spec.card.scores.values()) == {0.0}


def test_settings_that_find_nothing_where_nothing_is_are_better():
    assert module._best(np.array([[0.0, np.nan], [0.5, 0.5]]), [0, 1]) == 1


def test_slices_of_a_volume_are_counted_together(tmp_path):
    spec = tiny(ndim=2, steps=2)
    found = folds(lessons(4, groups=4, ndim=3), spec, 2, save_to=tmp_path / "m.safetensors")
    assert [fold.scored_on for fold in found.folds] == [2, 2]


MOMENTS: list[Callable[[Progress], bool]] = [
    lambda p: p.detail.get("fold") == 1 and p.detail["step"] == 3,
    lambda p: p.detail.get("fold") == 2 and p.detail["step"] == 7,
    lambda p: "scoring fold 2" in p.message,
]


@pytest.mark.parametrize("moment", MOMENTS, ids=["in the first fold", "in the second", "while scoring"])
def test_stopped_and_resumed_gives_the_bits_of_an_unbroken_run(moment, tmp_path):
    whole = folds(lessons(4, groups=4), tiny(), 2, save_to=tmp_path / "whole.safetensors")
    steps = folds.steps(lessons(4, groups=4), tiny(), 2, save_to=tmp_path / "broken.safetensors")
    assert any(moment(progress) for progress in steps)
    steps.close()
    again = folds(lessons(4, groups=4), tiny(), 2, save_to=tmp_path / "broken.safetensors", resume=True)
    assert again.folds == whole.folds
    a, b = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_only_the_same_folds_are_resumed(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(SegError, match="no stopped folds"):
        folds(lessons(4, groups=4), tiny(), 2, save_to=path, resume=True)
    steps = folds.steps(lessons(4, groups=4), tiny(), 2, save_to=path)
    assert any("loss" in progress.detail for progress in steps)
    steps.close()
    with pytest.raises(
        SegError, match=r"other settings: folds was 2 and is 4; resume with the same ones or delete .*folds"
    ):
        folds([], tiny(), 4, save_to=path, resume=True)
    with pytest.raises(SegError, match="other settings: seed was 0 and is 1; resume"):
        folds([], tiny(seed=1), 2, save_to=path, resume=True)
    with pytest.raises(SegError, match="were of other images; resume with the same ones or delete"):
        folds(lessons(5), tiny(), 2, save_to=path, resume=True)


def test_minutes_are_for_all_folds_together(tmp_path):
    spec = TrainSpec.from_person({**tiny().model_dump(exclude={"steps"}, exclude_unset=True), "minutes": 0.02})
    found = folds(lessons(4, groups=4), spec, 2, save_to=tmp_path / "m.safetensors")
    assert 1 <= found.steps < 1000
    assert found.model.spec.history[-1].details["steps"] == found.steps


def test_the_test_set_is_refused(tmp_path):
    test_set.add([write(lessons()[1].load().image, tmp_path / "marked.tif")])
    with pytest.raises(SegError, match=r"test set \(d1\)"):
        folds(lessons(), tiny(), 2, save_to=tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_stopped_folds_are_not_thrown_away_by_beginning_anew(tmp_path):
    steps = folds.steps(lessons(4, groups=4), tiny(), 2, save_to=tmp_path / "m.safetensors")
    while not (tmp_path / "m.safetensors.folds" / "folds.json").exists():
        next(steps)
    steps.close()
    with pytest.raises(SegError, match=r"Folds that were stopped lie in .*; resume them, or delete that folder first"):
        folds(lessons(4, groups=4), tiny(), 2, save_to=tmp_path / "m.safetensors")
    folds(lessons(4, groups=4), tiny(), 2, save_to=tmp_path / "m.safetensors", resume=True)
