"""An ensemble is a model like any other: one file, whose scores are the mean of those of its members."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.engine import Desk
from napari_seg.errors import SegError
from napari_seg.gui.runs import smaller_tile
from napari_seg.gui.words import facts_of_model
from napari_seg.inference.forecast import forecast
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec
from napari_seg.jobs import run as finish
from napari_seg.models import shelf
from napari_seg.models.ensemble import ensemble, first_of
from napari_seg.models.file import read_spec
from napari_seg.models.model import Model
from napari_seg.models.spec import FORMAT, Event, InputSpec, ModelSpec, NetworkSpec, Normalisation
from napari_seg.models.zoo import load_model
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

FP32 = PredictSpec(device="cpu", precision="fp32")


def tiny(seed: int, name: str = "tiny", task: Semantic | Instance | None = None, **network: Any) -> Model:
    task = task or Semantic(classes=("cell", "edge"))
    built = NetworkSpec(**{"width": 4, "depth": 1, "out_channels": task.channels, **network})
    seen = InputSpec(patch=(32,) * built.ndim, channels=("intensity",) * built.in_channels)
    return Model.create(ModelSpec(name=name, network=built, task=task, input=seen), seed=seed)


def seeing(**changes: Any) -> Model:
    """A model that is shown its images in another way."""
    model = tiny(2)
    seen = model.spec.input.model_copy(update=changes)
    return Model(model.spec.model_copy(update={"input": seen}), model.network)


def image(shape: tuple[int, ...] = (40, 50)) -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 255, shape, np.uint8), "ZYX"[-len(shape) :], name="noise")


MEMBERS: list[Callable[[], list[Model]]] = [
    lambda: [tiny(1), tiny(2), tiny(3)],
    lambda: [tiny(1), tiny(2, kind="vnet", depth=2), tiny(3, kind="segnet", width=6)],
    lambda: [tiny(seed, task=Instance(smallest=1)) for seed in (1, 2)],
]


@pytest.mark.parametrize("members", MEMBERS, ids=["alike", "different networks", "objects"])
@pytest.mark.parametrize("flips", [False, True])
def test_the_scores_are_the_mean_of_the_scores(members, flips, tmp_path):
    models, spec = members(), FP32.model_copy(update={"flips": flips, "tile": (32, 32)})
    joined = Model.load(ensemble(models).save(tmp_path / "joined.safetensors"))
    apart = [predict(Model.load(model.save(tmp_path / "one.safetensors")), image(), spec).scores for model in models]
    found = predict(joined, image(), spec)
    np.testing.assert_allclose(found.scores, np.mean(np.asarray(apart, np.float32), 0), atol=2e-3)
    assert not np.allclose(found.scores, apart[0], atol=2e-2)  # the members do differ
    assert found.labels.shape == image().shape


def test_it_is_one_file_that_says_what_it_is(tmp_path):
    path = ensemble([tiny(1, "a"), tiny(2, "b", kind="vnet")]).save(tmp_path / "joined.safetensors")
    spec = read_spec(path)
    assert (spec.name, spec.format, [member.kind for member in spec.members]) == ("a", FORMAT, ["unet", "vnet"])
    assert spec == load_model(path).spec
    assert dict(facts_of_model(spec))["Network"].startswith("mean of 2: unet, 2D")
    assert tiny(1).spec.format == 1  # a single model can be opened by every version


def test_saved_again_it_is_the_same_and_an_ensemble_of_ensembles_is_flat(tmp_path):
    joined = Model.load(ensemble([tiny(1), tiny(2)]).save(tmp_path / "joined.safetensors"))
    again = Model.load(joined.save(tmp_path / "again.safetensors"))
    same = zip(joined.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert len(ensemble([joined, tiny(3)]).spec.members) == 3


def test_a_file_that_lacks_a_member_is_refused(tmp_path):
    joined = ensemble([tiny(1), tiny(2)])
    spec = joined.spec.model_copy(update={"members": (*joined.spec.members, joined.spec.network)})
    path = Model(spec, joined.network).save(tmp_path / "torn.safetensors")
    with pytest.raises(SegError, match="do not fit its description"):
        Model.load(path)


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (lambda: tiny(2, task=Semantic(classes=("cell", "rim"))), "classes"),
        (lambda: tiny(2, task=Instance()), "task"),
        (lambda: tiny(2, in_channels=2), "channels"),
        (lambda: tiny(2, ndim=3), "dimensions"),
        (lambda: seeing(normalisation=Normalisation(kind="zscore")), "normalisation"),
        (lambda: seeing(spacing=(1.0, 2.0)), "spacing"),
    ],
)
def test_what_does_not_fit_is_not_averaged(other, word):
    with pytest.raises(SegError, match=word):
        ensemble([tiny(1), other()])
    with pytest.raises(SegError, match="one at least"):
        ensemble([])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: ["a.safetensors"], r"^a\.safetensors is the name of a model; load it with load_model\.$"),
        (lambda: [tiny(1), 3], r"^The model is of the type int; give one that load_model loaded\.$"),
        (lambda: [[tiny(1)]], r"^Several models were given where one is wanted; give one, or the ensemble of them\.$"),
        (lambda: "a.safetensors", r"^An ensemble is made of a list of models; put those to join between \[ and \]\.$"),
        (lambda: tiny(1), r"^An ensemble is made of a list of models; put those to join between \[ and \]\.$"),
    ],
)
def test_what_is_no_list_of_models_is_refused_in_a_sentence(given, words):
    with pytest.raises(SegError, match=words):
        ensemble(given())


def test_a_list_of_models_is_no_model():
    with pytest.raises(SegError, match=r"^Several models were given where one is wanted; give one, or the ensemble"):
        predict([tiny(1), tiny(2)], image(), FP32)


def test_mirror_images_are_used_where_all_members_learned_them(tmp_path):
    def learned(seed: int, flips: object) -> Model:
        model = tiny(seed)
        event = Event(what="trained", when="2026-11-30", details={"augmentation": {"flips": flips, "noise": 0.1}})
        return Model(model.spec.model_copy(update={"history": (event,)}), model.network)

    for first, second, mirrors in ((True, [1], (1,)), ([0], [1], ()), ([1], True, (1,)), (True, True, (0, 1))):
        joined = Model.load(ensemble([learned(1, first), learned(2, second)]).save(tmp_path / "joined.safetensors"))
        assert joined.spec.mirrors == mirrors
        assert joined.spec.augmentation["noise"] == 0.1
        assert len(joined.spec.history) == 1 + (mirrors != learned(1, first).spec.mirrors)


def test_the_forecast_counts_every_network():
    one, three = tiny(1), ensemble([tiny(k) for k in range(3)])
    costs = [forecast(model.spec, image(), FP32, pace=1e9) for model in (one, three)]
    assert costs[1].multiplications == pytest.approx(3 * costs[0].multiplications)


def test_the_grid_suits_the_deepest_member(tmp_path):
    joined = ensemble([tiny(1, depth=1), tiny(2, depth=3)])
    assert joined.network.multiple == (8, 8)
    found = predict(joined, image((21, 19)), FP32.model_copy(update={"tile": (12, 12)}))
    assert found.labels.shape == (21, 19)


def test_the_first_member_is_a_model_of_its_own(tmp_path):
    models = [tiny(1), tiny(2)]
    alone = first_of(ensemble(models))
    assert alone.spec == models[0].spec
    assert alone.network is models[0].network
    assert first_of(models[0]) is models[0]
    Model.load(alone.save(tmp_path / "alone.safetensors"))


class TestWhereverAModelIs:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return ensemble([tiny(1), tiny(2)]).save(tmp_path / "joined.safetensors")

    def test_command_line(self, run, path, tmp_path):
        scan, mask = write(image(), tmp_path / "a.png"), tmp_path / "mask.png"
        ended = run("predict", scan, "--model", path, "--output", mask, "--precision", "fp32", "--json")
        assert ended.code == 0, ended.err
        assert mask.exists()
        assert "mean of 2: unet" in run("info", path).out
        assert len(run("info", path, "--json").json["members"]) == 2

    def test_engine(self, path, tmp_path):
        desk = Desk(tmp_path)
        assert len(desk.model(str(path)).spec.members) == 2
        assert len(desk.model_hash(str(path))) == 64
        prediction = finish(predict.steps(desk.model(str(path)), image(), FP32))
        assert prediction.model.members

    def test_window(self, path):
        spec = read_spec(path)
        assert dict(facts_of_model(spec))["Network"] == "mean of 2: unet, 2D, width 4, depth 1, batch norm"
        deep = ensemble([tiny(1), tiny(2, depth=3)]).spec
        assert smaller_tile(deep, PredictSpec(tile=(40, 40))) == (16, 16)  # of what the deepest member can take

    def test_shelf(self, path, monkeypatch):
        monkeypatch.setenv("NAPARI_SEG_MODELS", str(path.parent))
        (model,) = shelf.kept()
        assert len(model.spec.members) == 2
