"""The plan chooses by the data, and says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.training.plan import Facts, TrainSpec, plan
from napari_seg.training.reasons import advice, reasons


def facts_of(shape: tuple[int, ...], spec: TrainSpec, spacing: tuple[float, ...] | None = None) -> Facts:
    labels = np.zeros(shape, np.uint8)
    labels[..., 2:9, 2:9] = 1
    axes = "ZYX"[-len(shape) :]
    unit = "mm" if spacing else "pixel"
    image = Volume(np.zeros(shape, np.float32), axes, spacing=spacing, unit=unit)
    return Facts.of(image, Volume(labels, axes, spacing=spacing, unit=unit), spec)


@pytest.mark.parametrize(
    ("shape", "spacing", "ndim", "why"),
    [
        ((64, 64), None, 2, "flat"),
        ((32, 40, 40), (1.0, 1.0, 1.0), 3, "volumes"),
        ((32, 40, 40), (8.0, 1.0, 1.0), 2, "8 times as thick"),
        ((5, 40, 40), None, 2, "5 slices"),
    ],
)
@pytest.mark.parametrize("task", ["semantic", "instance"])
def test_volumes_are_seen_whole_unless_their_slices_are_few_or_thick(
    shape: tuple[int, ...], spacing: tuple[float, ...] | None, ndim: int, why: str, task: str
) -> None:
    spec = TrainSpec(task=task)
    facts = [facts_of(shape, spec, spacing)] * 2
    model = plan(facts, spec)
    assert model.network.ndim == ndim
    assert len(model.input.patch) == ndim
    told = {reason.setting: reason for reason in reasons(facts, spec, model)}
    assert why in told["ndim"].why
    assert told["ndim"].chosen == f"{ndim}D"


def test_one_is_no_plural() -> None:
    spec = TrainSpec(task="semantic", depth=1, batch=1)
    facts = [facts_of((40, 40), spec)] * 2
    told = {reason.setting: reason.chosen for reason in reasons(facts, spec, plan(facts, spec))}
    assert (told["depth"], told["batch"]) == ("1 halving", "1 patch")


def test_how_many_classes_there_are_is_told_with_why() -> None:
    def told(**settings: object) -> tuple[str, str] | None:
        spec = TrainSpec.from_person({"task": "semantic", **settings})
        facts = [facts_of((40, 40), spec)] * 2
        found = {reason.setting: reason for reason in reasons(facts, spec, plan(facts, spec))}
        return found["classes"][1:] if "classes" in found else None

    assert told() == told(classes=()) == ("1 class", "So far go the numbers in the labels.")
    assert told(classes=("a", "b")) == ("2 classes", "You chose it.")
    assert told(task="instance") is None


def boxes(grid: tuple[int, ...], side: tuple[int, ...], spacing: tuple[float, ...] | None) -> Facts:
    """An image in which a box lies at every second place."""
    labels = np.indices(grid) // np.reshape(side, (-1,) + (1,) * len(grid))
    labels = np.where((labels % 2).all(0), np.ravel_multi_index(labels, grid), 0).astype(np.int32)
    axes, unit = "ZYX"[-len(grid) :], "um" if spacing else "pixel"
    image, mask = (Volume(data, axes, spacing, unit) for data in (np.zeros(grid, np.float32), labels))
    return Facts.of(image, mask, TrainSpec(task="instance"))


@pytest.mark.parametrize("thick", [1, 2, 5])
def test_the_smallest_object_counts_in_voxels_however_thick_they_are(thick: int) -> None:
    facts = boxes((60 // thick, 60, 60), (10 // thick, 10, 10), (float(thick), 1.0, 1.0))
    model = plan([facts], TrainSpec(task="instance", ndim=3))
    assert model.task.smallest == round(1000 / thick / 8)  # half as wide as the usual object
    assert model.input.statistics["diameter_median"] == pytest.approx((6000 / np.pi) ** (1 / 3))


def test_objects_of_images_of_another_spacing_count_as_the_model_sees_them() -> None:
    spec = TrainSpec(task="instance")
    fine, coarse = boxes((80, 80), (8, 8), (0.5, 0.5)), boxes((40, 40), (4, 4), (1.0, 1.0))
    for facts, spacing, side in (([fine, coarse, coarse], 1.0, 4), ([fine, fine, coarse], 0.5, 8)):
        model = plan(facts, spec)
        assert model.input.spacing == (spacing, spacing)
        assert model.task.smallest == side**2 / 4
        for which in ("low", "median", "high"):
            assert model.input.statistics[f"diameter_{which}"] == pytest.approx(side * np.sqrt(4 / np.pi))


def test_a_network_is_no_deeper_than_the_image_is_wide() -> None:
    spec = TrainSpec()
    assert plan([facts_of((16, 16), spec)], spec).network.depth == 2
    assert plan([facts_of((10, 10), spec)], spec).network.depth == 1
    assert plan([facts_of((256, 256), spec)], spec).network.depth == 4


def test_every_choice_has_a_sentence_and_a_persons_own_is_called_so() -> None:
    spec = TrainSpec.from_person({"network": "vnet", "depth": 2})
    facts = [facts_of((32, 40, 40), spec, (3.0, 1.0, 1.0))]
    told = {reason.setting: reason for reason in reasons(facts, spec, plan(facts, spec))}
    assert {name for name, reason in told.items() if reason.why == "You chose it."} == {"network", "depth"}
    assert all(reason.why.endswith(".") and reason.chosen for reason in told.values())
    assert {*told} == {"network", "ndim", "depth", "width", "patch", "batch", "normalisation", "spacing", "classes"}
    assert told["spacing"].chosen == "3 x 1 x 1 mm"


def test_volumes_and_flat_images_together_ask_for_a_choice() -> None:
    spec = TrainSpec()
    mixed = [facts_of((32, 40, 40), spec), facts_of((40, 40), spec)]
    with pytest.raises(SegError, match="different dimensions"):
        plan(mixed, spec)
    flat = TrainSpec.from_person({"ndim": 2})
    facts = [facts_of((32, 40, 40), flat), facts_of((40, 40), flat)]
    assert plan(facts, flat).network.ndim == 2


def test_the_advice_goes_by_memory_and_by_size() -> None:
    facts = [facts_of((32, 40, 40), TrainSpec())]
    assert advice(facts, 8e9).chosen == "unet"
    assert advice(facts, 1e9).chosen == "segnet"
    assert "1.0 GB" in advice(facts, 1e9).why
    assert advice([replace(facts[0], grid=(300, 300, 300))], 8e9).chosen == "vnet"
