"""Properties of a prediction that must hold for any shape: an identity network gives back its input."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from toy_models import AsIs, dark, identity

from napari_seg.data.volume import Volume
from napari_seg.inference import backend, store
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.inference.tiling import tile_grid

HALF = 2.0**-10
"""Scores in 0..1 are kept in half precision."""


def image(shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_identity_network_gives_back_its_input(data):
    ndim = data.draw(st.sampled_from([2, 3]))
    longest = 90 if ndim == 2 else 24
    grid = data.draw(st.tuples(*[st.integers(1 if ndim == 2 else 2, longest)] * ndim))
    tile = data.draw(st.tuples(*[st.integers(1, longest)] * ndim))
    multiple = data.draw(st.tuples(*[st.sampled_from([1, 2, 4, 8])] * ndim))
    channels = data.draw(st.sampled_from([1, 2, 3]))
    times = data.draw(st.sampled_from([0, 2]))
    spec = PredictSpec(precision="fp32", tile=tile, overlap=data.draw(st.floats(0, 0.9)))
    axes = "T" * bool(times) + "C" * (channels > 1) + "ZYX"[-ndim:]
    shape = (times,) * bool(times) + (channels,) * (channels > 1) + grid
    values = image(shape)
    prediction = predict(identity(ndim, channels, tile, multiple), Volume(values, axes), spec)
    expected = values if channels > 1 else np.expand_dims(values, int(bool(times)))
    assert_allclose(prediction.scores, expected, atol=HALF)


@pytest.mark.parametrize("grid", [(9, 70, 50), (1, 33, 31)])
def test_a_2d_network_goes_through_a_volume_slice_by_slice(grid):
    values = image(grid)
    prediction = predict(identity(2, 1, (32, 32), (8, 8)), Volume(values, "ZYX"), PredictSpec(precision="fp32"))
    assert_allclose(prediction.scores[0], values, atol=HALF)
    assert prediction.labels.axes == "ZYX"
    assert any("slice by slice" in note for note in prediction.notes)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_region_is_the_same_part_of_the_whole(data):
    values = image((2, 30, 40, 50))
    start = data.draw(st.tuples(st.integers(0, 29), st.integers(0, 39), st.integers(0, 49)))
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, values.shape[1:], strict=True))
    time = data.draw(st.sampled_from([None, 0, 1]))
    model, volume, spec = identity(3, 1, (16, 16, 16), (4, 4, 4)), Volume(values, "TZYX"), PredictSpec(precision="fp32")
    prediction = predict(model, volume, spec, region=Region(start, stop, time))
    box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    expected = values[slice(None) if time is None else slice(time, time + 1)][(slice(None), *box)]
    assert_allclose(prediction.scores[:, 0], expected, atol=HALF)
    assert prediction.labels.shape == expected.shape


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1.7, 0.8, 1.3), (3.0, 2.5, 2.0)])
def test_a_smooth_image_survives_the_way_to_the_grid_of_the_model_and_back(spacing):
    z, y, x = np.meshgrid(*(np.linspace(0, 3, n) for n in (40, 44, 48)), indexing="ij")
    values = (0.5 + 0.15 * (np.sin(z) + np.cos(y) + np.sin(x))).astype(np.float32)
    model = identity(3, 1, (16, 24, 24), (4, 4, 4))
    model.spec.input = model.spec.input.model_copy(update={"spacing": (1.0, 1.0, 1.0), "unit": "mm"})
    volume = Volume(values, "ZYX", spacing=spacing, unit="mm")
    prediction = predict(model, volume, PredictSpec(precision="fp32"))
    inner = (slice(3, -3),) * 3
    assert_allclose(prediction.scores[0][inner], values[inner], atol=0.01)
    region = predict(model, volume, PredictSpec(precision="fp32"), region=Region((5, 6, 7), (20, 30, 9)))
    assert_allclose(region.scores[0], prediction.scores[0, 5:20, 6:30, 7:9], atol=2 * HALF)


def test_scores_come_out_plane_by_plane_and_only_a_row_of_tiles_is_held():
    values = image((1, 200, 24, 24))
    axes = tile_grid((200, 24, 24), (16, 16, 16), 0.5, (4, 4, 4))
    network = identity(3, 1, (), (4, 4, 4)).network
    runner = backend.Runner(network, AsIs(1), backend.Device("cpu", "fp32", ""), ndim=3)
    read = []

    def planes(a, b):
        read.append((a, b))
        return values[:, a:b]

    steps = list(backend.slide(planes, axes, runner))
    parts = [step for step in steps if step is not None]
    assert len(steps) == backend.count_batches(axes, "cpu")
    assert max(b - a for a, b in read) == 16
    assert [p.start for p in parts] == list(np.cumsum([0] + [p.scores.shape[1] for p in parts[:-1]]))
    assert_allclose(np.concatenate([p.scores for p in parts], 1), values, atol=1e-6)


def test_stored_in_a_file_the_scores_are_the_same_and_vanish_with_the_prediction(monkeypatch, tmp_path):
    volume, model, spec = Volume(image((20, 30, 40)), "ZYX"), dark(3), PredictSpec(precision="fp32")
    in_memory = predict(model, volume, spec)
    monkeypatch.setattr(store, "IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    on_disk = predict(model, volume, spec)
    assert isinstance(on_disk.scores, np.memmap)
    assert np.array_equal(on_disk.scores, in_memory.scores)
    assert np.array_equal(on_disk.labels.data, in_memory.labels.data)
    del on_disk
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_prediction_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(store, "IN_MEMORY", 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    volume, model = Volume(image((20, 64, 64)), "ZYX"), dark(3)
    steps = predict.steps(model, volume, PredictSpec(tile=(8, 16, 16)))
    seen = [next(steps) for _ in range(3)]
    assert seen[-1].done > seen[0].done
    assert not torch.is_inference_mode_enabled()
    steps.close()
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_progress_grows_to_its_end():
    steps = list(predict.steps(dark(2), Volume(image((3, 100, 90)), "TYX"), PredictSpec(tile=(32, 32))))
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert 0.85 < fractions[-1] <= 1


def test_when_memory_runs_out_smaller_tiles_give_the_same(monkeypatch):
    volume, model = Volume(image((40, 60)), "YX"), dark(2)
    expected = predict(model, volume, PredictSpec(precision="fp32"))
    run = backend.Runner.__call__

    def starved(self, tiles):
        if tiles.shape[-1] * tiles.shape[-2] > 16 * 16:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return run(self, tiles)

    monkeypatch.setattr(backend.Runner, "__call__", starved)
    prediction = predict(model, volume, PredictSpec(precision="fp32"))
    assert np.prod(prediction.spec.tile) <= 16 * 16
    assert any("Memory ran out" in note for note in prediction.notes)
    assert np.array_equal(prediction.labels.data, expected.labels.data)


def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch):
    def broken(self, tiles):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(backend.Runner, "__call__", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        predict(dark(2), Volume(image((40, 60)), "YX"))


def test_the_resolved_spec_repeats_the_prediction_bit_for_bit():
    volume, model = Volume(image((100, 90)), "YX"), dark(2)
    first = predict(model, volume)
    assert first.spec.device == "cpu"
    assert first.spec.precision in ("fp32", "bf16")
    assert first.spec.tile is not None
    again = predict(model, volume, first.spec)
    assert np.array_equal(first.scores, again.scores)
    assert again.spec == first.spec


def test_the_mean_over_mirror_images_is_the_same_for_a_network_without_directions():
    volume = Volume(image((40, 50)), "YX")
    plain = predict(dark(2), volume, PredictSpec(precision="fp32"))
    mirrored = predict(dark(2), volume, PredictSpec(precision="fp32", flips=True))
    assert_allclose(mirrored.scores, plain.scores, atol=2 * HALF)


def test_the_image_is_not_written_to():
    values = image((40, 50))
    kept = values.copy()
    values.setflags(write=False)
    predict(dark(2), Volume(values, "YX"))
    assert np.array_equal(values, kept)


def test_a_torch_that_cannot_tell_about_the_processor_computes_in_fp32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert backend.choose_device("cpu").precision == "fp32"
