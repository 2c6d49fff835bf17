from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_seg.inference.backend import choose_device
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.semantic import Semantic
from napari_seg.training.adopt import Unit, Verdict, compare, judge
from napari_seg.training.sample import Sample


def model(seed: int = 0, classes: tuple[str, ...] = ("spot",)) -> Model:
    spec = ModelSpec(
        name="tiny",
        network=NetworkSpec(ndim=2, width=4, depth=2, out_channels=1 + len(classes)),
        task=Semantic(classes=classes),
        input=InputSpec(patch=(32, 32)),
    )
    return Model.create(spec, seed=seed)


def sample(seed: int, name: str) -> Sample:
    image = np.random.default_rng(seed).random((1, 32, 32)).astype(np.float32)
    return Sample(image, (image[0] > 0.5).astype(np.int64), None, name, name)


def test_a_model_against_itself_gains_nothing() -> None:
    device = choose_device("cpu", "fp32")
    corrections, older = [sample(k, f"c{k}") for k in range(5)], [sample(k, f"o{k}") for k in range(9, 11)]
    verdict = compare(model(), model(), corrections, older, device)
    assert (verdict.decision, verdict.gain, verdict.loss) == ("worse", 0.0, 0.0)
    assert [unit.name for unit in verdict.corrections] == [f"c{k}" for k in range(5)]
    assert Verdict.from_file(verdict.to_json()) == verdict


def test_images_of_one_name_in_several_folders_are_several() -> None:
    corrections = [replace(sample(k, "ct"), group=f"patient {k}") for k in range(5)]
    verdict = compare(model(), model(1), corrections, [], choose_device("cpu", "fp32"))
    assert [unit.name for unit in verdict.corrections] == ["ct"] * 5


def units(*pairs: tuple[float, float]) -> list[Unit]:
    return [Unit(name=str(k), old=old, new=new) for k, (old, new) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("corrections", "older", "decision"),
    [
        (units(*[(0.5, 0.6)] * 5), units((0.9, 0.895)), "better"),
        (units(*[(0.5, 0.6)] * 5), units((0.9, 0.88)), "worse"),
        (units(*[(0.5, 0.5)] * 5), units((0.9, 0.9)), "worse"),
        (units(*[(0.5, 0.6)] * 4), units((0.9, 0.9)), "undecided"),
        (units(*[(0.5, 0.6)] * 5), [], "undecided"),
        ([], units((0.9, 0.9)), "undecided"),
    ],
)
def test_the_rule(corrections: list[Unit], older: list[Unit], decision: str) -> None:
    assert judge(corrections, older).decision == decision


def test_images_of_few_patients_prove_nothing() -> None:
    corrections = [Unit(name=str(k), old=0.2, new=0.8) for k in range(6)]
    older = [Unit(name="older", old=0.5, new=0.5)]
    assert judge(corrections, older).decision == "better"
    verdict = judge(corrections, older, judges=2)
    assert verdict.decision == "undecided"
    assert "those of fewer than 5 patients prove nothing" in verdict.sentence
