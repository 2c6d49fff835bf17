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
    assert {*told} == {"network", "ndim", "depth", "width", "patch", "batch", "normalisation", "spacing"}
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
