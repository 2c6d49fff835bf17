"""The model that suits an image comes first, and one of another world carries a doubt."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_seg.data.formats import read
from napari_seg.data.samples import path_of
from napari_seg.data.volume import Source, Volume
from napari_seg.inference.prediction import PredictSpec
from napari_seg.inference.ranking import learned_modality, modality_of, rank
from napari_seg.models.file import read_spec
from napari_seg.models.spec import Card, InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

DEFAULTS = PredictSpec()


def semantic(name: str, ndim: int = 2, channels: int = 1, card: Card | None = None, **given) -> ModelSpec:
    names = tuple(f"channel {k}" for k in range(channels))
    return ModelSpec(
        name=name,
        network=NetworkSpec(ndim=ndim, in_channels=channels),
        task=Semantic(),
        input=InputSpec(**{"channels": names, "patch": (32,) * ndim, **given}),
        card=card or Card(),
    )


NUCLEI = ModelSpec(
    name="nuclei",
    network=NetworkSpec(out_channels=3),
    task=Instance(ndim=2, classes=("nucleus",)),
    input=InputSpec(patch=(64, 64), diameter=19.0),
    card=Card(summary="Nuclei in 2D fluorescence images"),
)
BRAIN = semantic(
    "brain", 3, card=Card(summary="Structures in T1-weighted MR"), orientation="IPL", spacing=(1, 1, 1), unit="mm",
    extent=(45, 59, 41),
)  # fmt: skip
HEART = semantic("heart", card=Card(summary="Left ventricle in cine MR slices"))
LIVER = semantic("liver", 3, modality="CT", orientation="IPL", spacing=(2, 2, 2), unit="mm", extent=(100, 200, 200))


def first(volume: Volume, *specs: ModelSpec, settings: PredictSpec = DEFAULTS):
    return rank({Path(spec.name): spec for spec in specs}, volume, settings)[0]


@pytest.mark.parametrize(
    ("sample", "name", "doubted"),
    [("nuclei2d", "nuclei", False), ("nuclei3d", "nuclei", False), ("head_mr", "brain", False),
     ("abdomen_ct", "heart", True)],
)  # fmt: skip
def test_the_samples(sample: str, name: str, doubted: bool) -> None:
    found = first(read(path_of(sample)), HEART, NUCLEI, BRAIN)
    assert (found.path.name, bool(found.doubt)) == (name, doubted)
    assert not found.refusal


@pytest.mark.parametrize("diameter", [8.0, 19.0, 45.0])
def test_who_says_how_large_objects_are_looks_for_objects(diameter: float) -> None:
    picture = Volume(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8), "YX")
    assert first(picture, semantic("heart"), NUCLEI, settings=PredictSpec(diameter=diameter)).path.name == "nuclei"


def test_a_ct_is_known_by_its_air_and_doubted_by_models_of_mr() -> None:
    ct = read(path_of("abdomen_ct"))
    assert modality_of(ct) == "CT"
    assert modality_of(read(path_of("head_mr"))) == ""
    assert first(ct, HEART).doubt == "This image is CT, heart learned from MR: expect a poor mask."
    assert first(ct, HEART, BRAIN, LIVER).path.name == "liver"
    assert not first(ct, LIVER).doubt


def test_a_model_of_a_part_gives_way_to_one_that_can_run() -> None:
    whole_body = Volume(np.zeros((300, 120, 120), np.int16), "ZYX", (4.0, 4.0, 4.0), "mm", affine=np.eye(4))
    found = rank({Path(spec.name): spec for spec in (BRAIN, HEART)}, whole_body, DEFAULTS)
    assert [(one.path.name, one.refusal, one.needs_box) for one in found] == [("heart", "", False), ("brain", "", True)]
    head = replace(whole_body, spacing=(0.5, 1.0, 1.0))
    assert [one.path.name for one in rank({Path(spec.name): spec for spec in (BRAIN, HEART)}, head, DEFAULTS)] == [
        "brain",
        "heart",
    ]


def test_what_the_file_says_counts_more_than_its_values() -> None:
    ct = read(path_of("abdomen_ct"))
    assert modality_of(replace(ct, source=Source(Path("a"), "dicom", modality="PT"))) == "PT"


def test_channels_and_dimensions_that_do_not_fit_come_last() -> None:
    three = semantic("three", channels=3)
    volume = Volume(np.zeros((3, 40, 50), np.float32), "CYX", channels=("a", "b", "c"))
    found = rank({Path(s.name): s for s in (BRAIN, HEART, three)}, volume, PredictSpec(channel="b"))
    assert [m.path.name for m in found] == ["three", "heart", "brain"]
    assert "2D model" in found[-1].refusal
    grey = rank({Path(s.name): s for s in (three, HEART)}, Volume(np.zeros((40, 50)), "YX"), DEFAULTS)
    assert grey[0].path.name == "heart"
    assert "expects 3 channels" in grey[1].refusal


def test_the_nearer_voxels_win() -> None:
    coarse, fine = (semantic(n, spacing=(s, s), unit="um") for n, s in (("coarse", 2.0), ("fine", 0.3)))
    volume = Volume(np.zeros((40, 50)), "YX", spacing=(0.325, 0.325), unit="um")
    assert first(volume, coarse, fine).path.name == "fine"


def test_a_picture_that_says_nothing_is_doubted_by_nobody() -> None:
    assert first(Volume(np.zeros((40, 50), np.uint8), "YX"), HEART, NUCLEI).path.name == "nuclei"
    assert not first(Volume(np.zeros((40, 50), np.uint8), "YX"), HEART).doubt
    assert first(Volume(np.zeros((40, 40, 50), np.uint8), "ZYX"), BRAIN, NUCLEI).path.name == "nuclei"


def test_stained_tissue_is_doubted_by_models_of_what_is_grey() -> None:
    rng = np.random.default_rng(0)
    pink = (np.array([230, 180, 210]) + rng.integers(0, 20, (40, 50, 3))).astype(np.uint8)
    for model, grey in ((NUCLEI, "fluorescence"), (HEART, "MR"), (semantic("lungs", modality="CT"), "CT")):
        doubt = f"This image is in bright colours, {model.name} learned from {grey}: expect a poor mask."
        assert first(Volume(pink, "YXS"), model).doubt == doubt
    assert not first(Volume(pink, "YXS"), semantic("vessels", card=Card(summary="Vessels of the retina"))).doubt
    assert not first(Volume(pink, "YXS"), semantic("tissue", card=Card(summary="Glands in H&E"))).doubt
    assert not first(Volume(pink // 10, "YXS"), NUCLEI).doubt  # stains that glow on a dark ground
    assert not first(Volume(np.repeat(pink[..., :1], 3, -1), "YXS"), NUCLEI).doubt  # grey, in a file of colours


def test_names_on_the_card() -> None:
    assert learned_modality(NUCLEI) == "fluorescence"
    assert learned_modality(BRAIN) == "MR"
    assert learned_modality(LIVER) == "CT"
    assert learned_modality(semantic("x", card=Card(summary="Directions of the Mr Smith"))) == ""


@pytest.mark.parametrize("names", [["nuclei2d-2", "nuclei2d"], ["nuclei2d", "nuclei2d-2"]])
def test_of_equals_the_first_stays_first(names: list[str]) -> None:
    picture = Volume(np.zeros((40, 50), np.uint8), "YX")
    specs = {Path(name): NUCLEI.model_copy(update={"name": name}) for name in names}
    assert [one.path.name for one in rank(specs, picture, DEFAULTS)] == names


def test_many_models_are_quick() -> None:
    ct = read(path_of("abdomen_ct"))
    specs = {Path(f"{k}"): BRAIN if k % 2 else HEART for k in range(300)}
    began = time.thread_time()
    rank(specs, ct, DEFAULTS)
    assert time.thread_time() - began < 0.25


def test_every_shipped_model_says_what_it_learned_from() -> None:
    from napari_seg.models.zoo import shipped

    assert {learned_modality(read_spec(path)) != "" for path in shipped().values()} == {True}
