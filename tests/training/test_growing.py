"""New classes: nothing changes until they are learned, and older samples do not speak against them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lessons import lesson, memory_for, model_for, quick, samples_for

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.models.model import Model
from napari_seg.training.growing import silent_on_new, with_classes
from napari_seg.training.memory import beside, load
from napari_seg.training.plan import Facts, TrainSpec, plan
from napari_seg.training.retrain import retrain

OLD = [lesson(seed, classes=2) for seed in range(3)]
CPU = PredictSpec(device="cpu", precision="fp32")


@pytest.mark.parametrize("network", ["unet", "vnet", "segnet"])
def test_masks_are_the_same_until_the_new_class_is_learned(network: str) -> None:
    model = model_for(OLD, task="semantic", network=network)
    grown = with_classes(model, ["tumour", "cyst"])
    assert grown.spec.task.names == (*model.spec.task.names, "tumour", "cyst")
    image = OLD[0].image
    before, after = predict(model, image, CPU), predict(grown, image, CPU)
    same = np.asarray(before.labels.data) == np.asarray(after.labels.data)
    assert same.mean() > 0.99  # scores are kept in half precision, so that a few are equal
    assert after.scores.shape[0] == 5
    assert torch.equal(grown.network.state_dict()["head.weight"][:3], model.network.state_dict()["head.weight"])
    assert with_classes(model, ()) is model


def test_a_plane_more_where_classes_overlap() -> None:
    planes = np.stack([np.asarray(one.labels.data) > 0 for one in OLD[:2]]).astype(np.uint8)
    spec = TrainSpec(width=4, depth=2, patch=(32, 32), device="cpu")
    pair = OLD[0].image, Volume(planes, "CYX", channels=("a", "b"))
    model = Model.create(plan([Facts.of(*pair, spec)], spec))
    grown = with_classes(model, ["c"])
    assert grown.spec.network.out_channels == 3
    found = np.asarray(predict(grown, pair[0], CPU).labels.data)
    np.testing.assert_array_equal(found[:2], np.asarray(predict(model, pair[0], CPU).labels.data))
    assert not found[2].any()


@pytest.mark.parametrize("new", [["class 1"], ["x", "x"], [" "]])
def test_names_must_be_new(new: list[str]) -> None:
    with pytest.raises(SegError, match="named twice or has no name; give each a name"):
        with_classes(model_for(OLD, task="semantic"), new)


def test_objects_are_of_one_kind() -> None:
    with pytest.raises(SegError, match="finds objects of one kind"):
        with_classes(model_for([lesson(0)]), ["tumour"])


def test_older_samples_count_only_where_they_hold_an_old_class() -> None:
    (sample,) = samples_for(model_for(OLD, task="semantic"), OLD[:1])
    (silent,) = silent_on_new([sample], overlapping=False)
    assert silent.mask is not None
    np.testing.assert_array_equal(silent.mask, sample.labels > 0)
    assert silent_on_new([sample], overlapping=True) == ()


def test_a_new_class_is_learned(tmp_path: Path) -> None:
    model = model_for(OLD, task="semantic", width=8)
    lessons = [lesson(seed, classes=3) for seed in range(10, 14)]
    spec = quick(steps=80, learning_rate=1e-2, new_classes=["third"], patience=0)
    path = tmp_path / "m.safetensors"
    with pytest.raises(SegError, match="labels go up to 3, but the model learns 2 classes"):
        retrain(model, lessons, quick(), save_to=path)
    with pytest.raises(SegError, match=r"new class third is nowhere .* paint some of it"):
        retrain(model, OLD, spec, save_to=path)
    assert not path.exists()
    made = retrain(model, lessons, spec, save_to=path, memory=memory_for(model, OLD[:2], OLD[2:]))
    assert Model.load(path).spec.task.names == ("class 1", "class 2", "third")
    assert made.verdict is not None
    assert len(made.verdict.corrections) == 1
    scores, truth = predict(made.model, lessons[0].image, CPU).scores, np.asarray(lessons[0].labels.data)
    third = scores[3].astype(float)
    assert third[truth == 3].mean() > 1.3 * third[truth != 3].mean()
    assert scores[1][truth == 1].mean() > 0.5
    kept = load(beside(path))  # in later rounds the older samples do not say either that the new class is nowhere
    for sample in (*kept.learn, *kept.check):
        assert (sample.mask is None) == bool(sample.holds(3))
        assert sample.mask is None or np.array_equal(sample.mask, sample.labels > 0)
