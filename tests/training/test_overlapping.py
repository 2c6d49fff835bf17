"""Classes that share pixels: a plane for each, from the files through the training to the mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.inference.predict import predict
from napari_seg.models.model import Model
from napari_seg.models.spec import ModelSpec
from napari_seg.training.cases import Case, find_cases
from napari_seg.training.patches import Patches
from napari_seg.training.plan import Augmentation, Facts, TrainSpec, plan
from napari_seg.training.sample import Sample, samples
from napari_seg.training.train import train


def crossing(seed: int, ndim: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two balls that share pixels, each shown by a channel of its own, and their planes."""
    rng = np.random.default_rng(seed)
    grid = (8, 32, 32)[-ndim:]
    axes = np.meshgrid(*(np.arange(n) for n in grid), indexing="ij")
    planes = np.zeros((2, *grid), np.uint8)
    for plane, x in zip(planes, (11, 19), strict=True):
        middle = (*(n / 2 for n in grid[:-2]), 16 + rng.uniform(-4, 4), x + rng.uniform(-2, 2))
        plane[sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)) < 60] = 255
    return (40 + planes // 2 + rng.integers(0, 30, planes.shape)).astype(np.uint8), planes


def fill(folder: Path, ndim: int, names: tuple[str, ...] = ("nucleus", "cell"), count: int = 5) -> Path:
    axes = "CZYX" if ndim == 3 else "CYX"
    for number in range(count):
        image, planes = crossing(number, ndim)
        write(Volume(image, axes), folder / "images" / f"{number}.ome.tif")
        write(Volume(planes, axes, channels=names), folder / "labels" / f"{number}.ome.tif")
    return folder


def tiny(**changes: object) -> TrainSpec:
    values = {"width": 4, "depth": 2, "patch": (16, 16), "batch": 4, "steps": 1, "device": "cpu", "precision": "fp32"}
    return TrainSpec.from_person(values | changes)


@pytest.mark.parametrize("ndim", [2, 3])
def test_from_files_to_a_mask_that_overlaps(ndim: int, tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", ndim)
    spec = tiny(width=8, patch=(8, 16, 16)[-ndim:], steps=60, learning_rate=1e-2)
    trained = train(folder, spec, save_to=tmp_path / "m.safetensors")
    model = Model.load(tmp_path / "m.safetensors")
    assert model.spec == trained.spec
    assert model.spec.task.overlapping
    assert model.spec.task.classes == ("nucleus", "cell")
    assert model.spec.network.out_channels == 2
    axes = "CZYX" if ndim == 3 else "CYX"
    image, truth = crossing(99, ndim)
    found = predict(model, Volume(image, axes)).labels
    assert (found.axes, found.channels) == (axes, ("nucleus", "cell"))
    report = evaluate(Volume(truth, axes), found)
    assert min(figures["dice"] for figures in report.per_class.values()) > 0.8
    shared = truth.all(0)
    assert (np.asarray(found.data) > 0).all(0)[shared].mean() > 0.7
    assert np.array_equal(read(write(found, tmp_path / "mask.ome.tif")).data, found.data)


def cases_of(folder: Path) -> tuple[Case, ...]:
    return tuple(replace(case, split="train") for case in find_cases(folder))


def planned(folder: Path, **changes: object) -> ModelSpec:
    spec = tiny(**changes)
    return plan([Facts.of(*case.load()[:2], spec) for case in cases_of(folder)], spec)


def test_names_of_classes(tmp_path: Path) -> None:
    assert planned(fill(tmp_path / "a", 2)).task.names == ("nucleus", "cell")
    assert planned(fill(tmp_path / "a", 2), classes=("x", "y")).task.names == ("x", "y")
    assert planned(fill(tmp_path / "b", 2, ())).task.names == ("class 1", "class 2")
    assert planned(fill(tmp_path / "c", 2, ("1", "2"))).task.names == ("class 1", "class 2")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"classes": ("a",)}, "2 planes, but the number of named classes is 1"),
        ({"task": "instance"}, "2 planes, but objects lie in one"),
    ],
)
def test_settings_that_do_not_fit_the_planes(changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", 2)
    with pytest.raises(SegError, match=sentence):
        train(folder, tiny(**changes), save_to=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_labels_that_differ_from_each_other(tmp_path: Path) -> None:
    folder = fill(tmp_path, 2)
    planes = crossing(0, 2)[1]
    one = folder / "labels" / "0.ome.tif"
    write(Volume(planes, "CYX", channels=("cell", "nucleus")), one)
    with pytest.raises(SegError, match="nucleus, cell in another"):
        planned(folder)
    write(Volume(np.zeros_like(planes), "CYX"), one)
    assert planned(folder).task.names == ("nucleus", "cell")
    write(Volume(planes[0] // 255, "YX"), one)
    with pytest.raises(SegError, match="2 planes, others none"):
        planned(folder)
    for case in cases_of(folder):
        write(Volume(np.zeros_like(planes), "CYX"), case.labels)
    with pytest.raises(SegError, match="empty"):
        planned(folder)


def test_validation_labels_that_the_model_does_not_learn(tmp_path: Path) -> None:
    image, planes = crossing(0, 2)
    overlapping = planned(fill(tmp_path, 2))
    flat = overlapping.model_copy(update={"task": overlapping.task.model_copy(update={"overlapping": False})})
    view = Volume(image, "CYX")
    swapped = Volume(planes, "CYX", channels=("cell", "nucleus"))
    for model, labels, sentence in (
        (overlapping, Volume(planes[0], "YX"), "one number for each pixel"),
        (overlapping, Volume(planes[[0, 0, 1]], "CYX"), "3 planes"),
        (overlapping, swapped, "named cell, nucleus"),
        (flat, Volume(planes, "CYX"), "2 planes"),
        (flat, Volume(planes[0] // 255 * 3, "YX"), "go up to 3, but the model learns 2"),
    ):
        with pytest.raises(SegError, match=sentence):
            list(samples(view, labels, model))
    with pytest.raises(SegError, match="model expects 2 channels, the image has 1"):
        list(samples(Volume(image[0], "YX"), Volume(planes, "CYX"), overlapping))


def test_planes_follow_the_image_to_the_grid_of_the_network(tmp_path: Path) -> None:
    image, planes = (np.stack([part, part]) for part in crossing(0, 3))
    spec = tiny(ndim=2)
    pair = (
        Volume(image, "TCZYX", (2.0, 1.0, 1.0), "um"),
        Volume(planes // 255, "TCZYX", (2.0, 1.0, 1.0), "um"),
    )
    model = plan([Facts.of(*pair, spec)], spec)
    model = model.model_copy(update={"input": model.input.model_copy(update={"spacing": (0.5, 1.0)})})
    found = list(samples(*pair, model))
    assert len(found) == 16
    assert {sample.labels.shape for sample in found} == {(2, 64, 32)}
    np.testing.assert_array_equal(found[4].labels[:, ::2], planes[0, :, 4] // 255)


def test_patches_keep_the_planes_apart() -> None:
    planes = np.zeros((2, 24, 24), np.uint8)
    planes[0, :16], planes[1, 8:] = 1, 1
    sample = Sample(np.stack([planes[0], planes[1]]).astype(np.float32), planes)
    spec = tiny()
    model = plan([Facts.of(Volume(planes * 9, "CYX"), Volume(planes, "CYX"), spec)], spec)
    still = Augmentation(brightness=0, contrast=0, gamma=0, noise=0, blur=0, elastic=0)
    images, targets, masks = Patches([sample], model, still, 8, 0).batch(0)
    assert targets.shape == (8, 2, 16, 16)
    agree = ((images > 0.5) == (targets > 0.5))[masks.bool().expand_as(targets)]
    assert agree.float().mean() > 0.97
    assert (targets.all(1) & masks.bool()[:, 0]).any()


def test_a_single_plane_is_a_mask_like_any_other(tmp_path: Path) -> None:
    folder = fill(tmp_path, 2)
    for case in cases_of(folder):
        write(Volume(np.asarray(read(case.labels).data)[:1] // 255, "CYX"), case.labels)
    labels = cases_of(folder)[0].load()[1]
    assert (labels.axes, labels.shape) == ("YX", (32, 32))
    assert not planned(folder).task.overlapping


def test_only_planes_are_left_for_a_dimension_that_the_image_does_not_have(tmp_path: Path) -> None:
    image, planes = crossing(0, 2)
    for part, data in (("images", image[0]), ("labels", planes)):
        (tmp_path / part).mkdir()
        tifffile.imwrite(tmp_path / part / "0.tif", data, photometric="minisblack", metadata=None)
    for axes in (None, "YX"):
        labels = Case("0", tmp_path / "images" / "0.tif", tmp_path / "labels" / "0.tif", "0", axes=axes).load()[1]
        assert labels.axes == "CYX"
        assert np.array_equal(labels.data, planes // 255)


def test_planes_in_nifti(tmp_path: Path) -> None:
    bright, planes = crossing(0, 3)
    for part, data, axes in (("images", bright[0], "ZYX"), ("labels", planes, "CZYX")):
        write(Volume(data, axes, (2.0, 1.0, 1.0), "mm"), tmp_path / part / "0.nii.gz")
    image, labels, _ = find_cases(tmp_path)[0].load()
    assert labels.axes == "CZYX"
    assert np.array_equal(labels.data[0] > 0, np.asarray(image.data) > 100)
    assert labels.data[1].sum() == (planes[1] > 0).sum()


def test_points_in_time_must_be_the_same(tmp_path: Path) -> None:
    image, planes = crossing(0, 2)
    write(Volume(image[0], "YX"), tmp_path / "images" / "0.ome.tif")
    write(Volume(planes, "TYX"), tmp_path / "labels" / "0.ome.tif")
    with pytest.raises(SegError, match="1 points in time, its labels 2"):
        find_cases(tmp_path)[0].load()
