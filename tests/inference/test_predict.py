from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from numpy.testing import assert_allclose
from toy_models import AsIs, bright, dark

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.inference import backend
from napari_seg.inference.predict import placed, predict, redecode
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.models.model import Model
from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec
from napari_seg.tasks.semantic import Semantic

FP32 = PredictSpec(precision="fp32")


def disks(shape, step, radius):
    """Bright disks on a lattice."""
    y, x = np.indices(shape)
    away = np.hypot((y % step) - step / 2, (x % step) - step / 2)
    return (away < radius).astype(np.float32)


def test_classes_lie_where_the_image_says():
    image = disks((60, 70), 20, 6)
    volume = Volume(image, "YX", spacing=(0.5, 0.5), unit="um", name="cells")
    prediction = predict(dark(2), volume, FP32)
    assert np.array_equal(prediction.labels.data, image > 0)
    assert prediction.labels.data.dtype == np.uint8
    assert (prediction.labels.spacing, prediction.labels.unit, prediction.labels.name) == ((0.5, 0.5), "um", "cells")


def test_objects_get_numbers_and_can_be_decoded_again():
    image = disks((60, 80), 20, 6)
    image[:20, :20] *= 0.505  # barely above one half: a low score
    prediction = predict(bright(2), Volume(image, "YX"), FP32)
    assert prediction.labels.data.max() == 12
    assert redecode(prediction, threshold=0.7).max() == 11
    assert redecode(prediction, smallest=1000).max() == 0
    assert np.array_equal(redecode(prediction), prediction.labels.data)


def test_a_part_can_be_decoded_again_with_whole_objects_at_its_border():
    image = disks((60, 80), 20, 6)
    prediction = predict(bright(2), Volume(image, "YX"), FP32)
    found = redecode(prediction, region=Region((10, 10), (50, 60)))
    assert found.shape == (40, 50)
    assert np.array_equal(found > 0, image[10:50, 10:60] > 0)
    with pytest.raises(SegError, match="outside"):
        redecode(prediction, region=Region((10, 10), (50, 90)))


def test_settings_that_the_task_does_not_have_or_allow_are_refused():
    volume = Volume(disks((40, 40), 20, 6), "YX")
    with pytest.raises(SegError, match="seeds"):
        predict(dark(2), volume, PredictSpec(seeds=0.5))
    with pytest.raises(SegError, match="threshold"):
        redecode(predict(bright(2), volume, FP32), threshold=1.5)
    with pytest.raises(SegError, match="tile"):
        predict(dark(2), volume, PredictSpec(tile=(8, 8, 8)))


def test_names_and_arrays_are_no_models_and_images():
    image = disks((60, 70), 20, 6)
    with pytest.raises(SegError, match=r"^nuclei2d is the name of a model; load it with load_model\.$"):
        predict("nuclei2d", Volume(image, "YX"), FP32)
    with pytest.raises(SegError, match="read a file with read"):
        predict(dark(2), image, FP32)
    with pytest.raises(SegError, match=r"^The model is of the type ModelSpec; give one that load_model loaded\.$"):
        predict(dark(2).spec, Volume(image, "YX"), FP32)
    with pytest.raises(SegError, match=r"^The settings are of the type dict; give a PredictSpec, as PredictSpec\(\*\*"):
        predict(dark(2), Volume(image, "YX"), {"diameter": 30})
    with pytest.raises(
        SegError, match=r"^The region is of the type list; give a Region .* Region\(\(0, 0\), \(64, 64\)\)\.$"
    ):
        predict(dark(2), Volume(image, "YX"), FP32, region=[(0, 0), (10, 10)])
    with pytest.raises(SegError, match=r"^The voxels are of the type list; give an array"):
        Volume(image.tolist(), "YX")


def test_where_a_mask_is_wanted_the_labels_of_a_prediction_are_meant(tmp_path):
    prediction = predict(dark(2), Volume(disks((60, 70), 20, 6), "YX"), FP32)
    truth = disks((60, 70), 20, 7).astype(np.uint8)
    assert evaluate(truth, prediction) == evaluate(truth, prediction.labels)
    assert evaluate(prediction, prediction).mean["dice"] == 1
    assert np.array_equal(read(write(prediction, tmp_path / "mask.tif")).data, prediction.labels.data)


@pytest.mark.parametrize("number", [1, np.int64(1)])
def test_a_channel_may_be_named_by_its_number(number):
    image = Volume(np.stack([disks((40, 40), step, 6) for step in (20, 40)]), "CYX")
    named, numbered = (predict(dark(2), image, PredictSpec(precision="fp32", channel=k)) for k in ("1", number))
    assert np.array_equal(named.labels.data, numbered.labels.data)
    assert named.spec == numbered.spec
    assert numbered.notes == ("Channel 1 of 2 is used.",)


def test_time_points_are_predicted_one_by_one():
    image = np.stack([disks((40, 60), 20, 6), disks((40, 60), 20, 8), 1 - disks((40, 60), 20, 6)])
    prediction = predict(dark(2), Volume(image, "TYX"), FP32)
    assert prediction.labels.axes == "TYX"
    assert np.array_equal(prediction.labels.data, image > 0)
    film = Volume(image, "TYX", interval=20.0)
    one = predict(dark(2), film, FP32, region=Region((0, 0), (40, 60), time=1))
    assert one.labels.interval == 20
    assert np.array_equal(one.labels.data, image[1:2] > 0)
    assert np.array_equal(redecode(prediction, region=Region((5, 5), (30, 30), time=2)), image[2:, 5:30, 5:30] > 0)


def test_no_number_of_an_object_occurs_at_two_times():
    film = Volume(np.stack([disks((200, 220), 20, radius) for radius in (6, 8, 6)]), "TYX")
    prediction = predict(bright(2), film, FP32)
    for labels in (prediction.labels.data, redecode(prediction), redecode(prediction, region=Region((0, 0), (90, 90)))):
        numbers = [set(np.unique(frame).tolist()) - {0} for frame in labels]
        assert sum(map(len, numbers)) == len(set.union(*numbers))
    assert prediction.labels.data.max() == 330
    assert prediction.labels.data.dtype == np.uint16


def test_a_2d_model_joins_the_objects_of_a_volume():
    image = np.repeat(disks((40, 60), 20, 6)[None], 5, axis=0)
    prediction = predict(bright(2), Volume(image, "ZYX"), FP32)
    assert prediction.labels.data.max() == 6
    assert all(np.array_equal(plane, prediction.labels.data[0]) for plane in prediction.labels.data)
    assert redecode(prediction, region=Region((1, 0, 0), (3, 40, 60))).max() == 6


def test_overlapping_classes_get_planes():
    class Both(torch.nn.Module):
        multiple = (2, 2)

        def forward(self, x):
            return torch.cat([x - 0.5, 0.8 - x], 1) * 40

    spec = ModelSpec(
        name="both",
        network=NetworkSpec(),
        task=Semantic(classes=("high", "low"), overlapping=True),
        input=dark(2).spec.input,
    )
    image = np.random.default_rng(0).random((2, 30, 40), np.float32)
    prediction = predict(Model(spec, Both()), Volume(image, "TYX"), FP32)
    assert prediction.labels.axes == "TCYX"
    assert prediction.labels.channels == ("high", "low")
    assert (prediction.labels.data == np.stack([image > 0.5, image < 0.8], 1)).mean() > 0.995
    region = Region((5, 5), (9, 8), time=1)
    part = predict(Model(spec, Both()), Volume(image, "TYX"), FP32, region=region)
    assert part.labels.shape == (1, 2, 4, 3)
    assert placed(part, Volume(image, "TYX")).shape == (2, 2, 30, 40)


def test_a_region_lies_in_its_place():
    image = np.repeat(disks((40, 60), 20, 6)[None], 20, axis=0)
    affine = np.array([[0, 0, 2.0, 5], [0, 3, 0, 6], [4, 0, 0, 7], [0, 0, 0, 1]])
    volume = Volume(image, "ZYX", (4.0, 3.0, 2.0), "mm", affine, source=Source(Path("a.nii"), "nifti"))
    prediction = predict(dark(3), volume, FP32, region=Region((3, 8, 9), (13, 38, 49)))
    assert prediction.labels.shape == (10, 30, 40)
    assert_allclose(prediction.labels.affine @ [0, 0, 0, 1], affine @ [3, 8, 9, 1])
    whole = placed(prediction, volume)
    assert whole.shape == volume.shape
    assert np.array_equal(whole.affine, affine)
    assert np.array_equal(whole.data[3:13, 8:38, 9:49], image[3:13, 8:38, 9:49] > 0)
    assert whole.data.sum() == (image[3:13, 8:38, 9:49] > 0).sum()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused_where_they_are_looked_at(bad):
    image = disks((80, 200), 20, 6)
    image[3, 4] = bad
    with pytest.raises(SegError, match="NaN or infinite"):
        predict(dark(2), Volume(image, "YX"), FP32)
    prediction = predict(dark(2), Volume(image, "YX"), FP32, region=Region((40, 100), (80, 200)))
    assert np.array_equal(prediction.labels.data, image[40:, 100:] > 0)


def test_a_lazy_volume_is_read_in_slabs(tmp_path):
    image = np.repeat(disks((64, 64), 16, 5)[None], 90, axis=0)
    stored = zarr.create_array(str(tmp_path / "v.zarr"), shape=image.shape, chunks=(8, 64, 64), dtype="f4")
    stored[:] = image

    class Watched:
        shape, dtype, ndim = image.shape, image.dtype, 3
        largest = 0

        def __getitem__(self, index):
            part = stored[index]
            self.largest = max(self.largest, part.shape[0])
            return part

    data = Watched()
    lazy = predict(dark(3), Volume(data, "ZYX"), PredictSpec(precision="fp32", tile=(16, 32, 32)))
    assert data.largest == 16
    assert np.array_equal(lazy.labels.data, image > 0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.uint16, np.float64, ">i2"])
def test_every_kind_of_number_is_read(dtype):
    image = disks((40, 44), 20, 6).astype(dtype)
    assert np.array_equal(predict(dark(2), Volume(image, "YX"), FP32).labels.data, image != 0)


def test_rgb_is_segmented_by_its_luminance_and_that_is_said():
    image = np.repeat(disks((40, 44), 20, 6)[..., None], 3, axis=-1)
    prediction = predict(dark(2), Volume((image * 255).astype(np.uint8), "YXS"), FP32)
    assert prediction.labels.axes == "YX"
    assert np.array_equal(prediction.labels.data, image[..., 0] > 0)
    assert "luminance" in prediction.notes[0]


@pytest.mark.parametrize(("learned", "seen"), [(14.0, "as they are"), (7.0, "half"), (40.0, "enlarged")])
def test_the_size_of_the_objects_is_estimated(learned, seen):
    image = Volume(disks((200, 220), 20, 6.77), "YX")  # 144 pixels each: 13.5 pixels wide
    prediction = predict(bright(2, diameter=learned), image, FP32)
    expected = learned if seen == "as they are" else 13.5
    assert prediction.spec.diameter == pytest.approx(expected, rel=0.1)
    assert len(np.unique(prediction.labels.data)) == 111
    given = predict(bright(2, diameter=learned), image, prediction.spec)
    assert np.array_equal(given.scores, prediction.scores)


def knowing(smallest: float, ndim: int = 2, **given: Any) -> Model:
    """A model that learned no objects of fewer pixels."""
    model = bright(ndim, **given)
    task = model.spec.task.model_copy(update={"smallest": smallest})
    return replace(model, spec=model.spec.model_copy(update={"task": task}))


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0)], ids=["by the size of objects", "by the size of pixels"])
def test_the_smallest_object_has_fewer_pixels_in_a_coarser_image(spacing):
    image = Volume(disks((200, 220), 20, 4), "YX", spacing, "pixel" if spacing is None else "um")  # 49 pixels each
    learned = {"diameter": 16.0} if spacing is None else {"spacing": (1.0, 1.0), "unit": "um"}
    settings = FP32.model_copy(update={"diameter": 8.0 if spacing is None else None})
    found = predict(knowing(120.0, **learned), image, settings)
    assert found.labels.data.max() == 110
    assert found.spec.smallest == 30
    assert redecode(found, threshold=0.6).max() == 110
    assert redecode(found, smallest=60).max() == 0
    asked = predict(knowing(120.0, **learned), image, settings.model_copy(update={"smallest": 60.0}))
    assert (asked.spec.smallest, asked.labels.data.max()) == (60, 0)


def test_in_finer_images_the_smallest_object_is_the_same():
    image = Volume(disks((200, 220), 20, 8), "YX")
    found = predict(knowing(150.0, diameter=8.0), image, FP32.model_copy(update={"diameter": 16.0}))
    assert found.labels.data.max() == 110
    assert found.spec.smallest is None


def test_objects_of_which_only_the_largest_are_seen_at_first_are_measured_enlarged():
    small, large = disks((400, 400), 20, 3.2), disks((400, 400), 20, 5.2)
    small[:, :80] = large[:, :80]
    image = Volume(small, "YX")
    model = knowing(60.0, diameter=20.0, statistics={"diameter_low": 7.5, "diameter_high": 50.0})
    found = predict(model, image, FP32)
    assert found.spec.diameter == pytest.approx(6.5, abs=0.5)
    assert found.labels.data.max() == 400


def test_the_size_is_estimated_in_smaller_tiles_when_memory_runs_out(monkeypatch):
    image = Volume(disks((200, 220), 20, 6.77), "YX")
    expected = predict(bright(2, diameter=7.0), image, FP32).spec.diameter
    run, tries = backend.Runner.__call__, []

    def starved(self, tiles):
        tries.append(tiles.shape[-2:])
        if np.prod(tries[-1]) > 128 * 128:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return run(self, tiles)

    monkeypatch.setattr(backend.Runner, "__call__", starved)
    assert predict(bright(2, diameter=7.0), image, FP32).spec.diameter == pytest.approx(expected, rel=0.02)
    assert np.prod(tries[0]) > 128 * 128


def test_too_few_objects_leave_the_image_as_it_is():
    image = np.zeros((100, 100), np.float32)
    image[10:60, 10:60] = 1
    prediction = predict(bright(2, diameter=10.0), Volume(image, "YX"), FP32)
    assert prediction.spec.diameter == 10
    assert "Too few objects were found to measure them; the image was taken as it is." in prediction.notes
    assert not any("sizes that the model learned" in note for note in prediction.notes)


@pytest.mark.parametrize(
    ("tile", "grid", "said"), [(32, (200, 210), True), (64, (200, 210), False), (32, (30, 9), False)]
)
def test_tiles_in_which_a_network_sees_less_than_it_learned_to_look_at_are_told(tile, grid, said):
    model = dark(2)
    model = replace(model, spec=model.spec.model_copy(update={"input": InputSpec(patch=(64, 64))}))
    notes = predict(model, Volume(disks(grid, 20, 6), "YX"), PredictSpec(precision="fp32", tile=(tile, tile))).notes
    words = "The tiles are smaller than the 64 x 64 pixels that the model learned from, which can cost objects."
    assert (words in notes) == said


@pytest.mark.parametrize("kind", ["unet", "vnet", "segnet"])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_every_network_runs_in_both_precisions(kind, ndim, norm):
    network = NetworkSpec(kind=kind, ndim=ndim, width=8, depth=2, norm=norm, residual=True)
    model = Model.create(ModelSpec(name="m", network=network, task=Semantic(), input=InputSpec(patch=(16,) * ndim)))
    image = Volume(np.random.default_rng(0).random((21, 23, 19)[:ndim], np.float32), "ZYX"[-ndim:])
    exact = predict(model, image, PredictSpec(precision="fp32"))
    fast = predict(model, image, PredictSpec(precision="bf16"))
    assert fast.spec.precision == "bf16"
    # with weights drawn at random, rounding moves maxima, and SegNet puts values where the maxima were
    assert np.abs(exact.scores.astype(float) - fast.scores).mean() < 0.05


def test_folding_changes_nothing_but_the_time():
    network = NetworkSpec(width=8, depth=2)
    model = Model.create(ModelSpec(name="m", network=network, task=Semantic(), input=InputSpec()))
    norms = [m for m in model.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    generator = torch.Generator().manual_seed(0)
    for norm in norms:
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    image = torch.rand((2, 1, 32, 32), generator=generator)
    with torch.inference_mode():
        expected = model.network(image)
    runner = backend.Runner(model.network, AsIs(2), backend.Device("cpu", "fp32", ""), ndim=2)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in runner.network.modules())
    assert torch.allclose(runner(image), expected, atol=1e-3)
    assert sum(isinstance(m, backend.ConvReLU) for m in runner.network.modules()) == len(norms)
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.network.modules()) == len(norms) > 0


def test_a_device_that_is_not_there_is_refused():
    absent = "mps" if not torch.backends.mps.is_available() else "cuda"
    with pytest.raises(SegError, match="choose the device auto or cpu"):
        predict(dark(2), Volume(disks((40, 40), 20, 6), "YX"), PredictSpec(device=absent))


@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_an_image_of_few_pixels_is_predicted_with_every_norm(norm):
    task = Semantic()
    network = NetworkSpec(width=4, depth=2, norm=norm, out_channels=task.channels)
    model = Model.create(ModelSpec(name="small", network=network, task=task, input=InputSpec(patch=(32, 32))))
    assert predict(model, Volume(disks((4, 3), 1, 1), "YX"), FP32).labels.shape == (4, 3)
