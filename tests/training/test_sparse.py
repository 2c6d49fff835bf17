"""Labels that count in some places only: patches are cut there, nothing else is learned from, one-sided ones are
refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from lessons import InMemory, discs, lesson, memory_for, model_for, quick, samples_for

from napari_seg.data.formats import write as write_volume
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.training.augment import Augmentation
from napari_seg.training.cases import find_cases
from napari_seg.training.memory import beside, load
from napari_seg.training.patches import Patches
from napari_seg.training.plan import TrainSpec
from napari_seg.training.retrain import retrain
from napari_seg.training.sample import around_mask, nearest, samples, told
from napari_seg.training.train import train

STILL = Augmentation(
    flips=False, turns=False, rotation=0, scaling=1, elastic=0, brightness=0, contrast=0, gamma=0, noise=0, blur=0
)


def corner(size: int = 96, side: int = 20) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[-side:, -side:] = True
    return mask


def test_patches_are_cut_where_labels_count() -> None:
    one = lesson(0, mask=corner(), size=96)
    model = model_for([one])
    source = Patches(samples_for(model, [one]), model.spec, STILL, 16, 0)
    _, target, mask = source.batch(0)
    assert mask.sum((1, 2, 3)).min() >= 14**2  # patches stay inside the image, though the corner is small
    assert target[:, 0][mask[:, 0] > 0].mean() > 0.1


def test_classes_take_turns_inside_the_mask() -> None:
    labels = np.zeros((96, 96), np.int64)
    labels[4, 4] = labels[80, 80] = 1
    labels[60:, 60:70] = 2
    mask = np.zeros((96, 96), bool)
    mask[50:] = True
    one = InMemory("a", lesson(0, size=96).image, Volume(labels, "YX"), mask)
    model = model_for([one], task="semantic", classes=("rare", "common"), patch=(16, 16))
    source = Patches(samples_for(model, [one]), model.spec, STILL, 200, 0)
    _, target, known = source.batch(0)
    rare = ((target[:, 1] * known[:, 0]).sum((1, 2)) > 0).float().mean()
    assert 0.2 < rare < 0.6  # a quarter is centred on its only voxel that counts, some more see it by chance
    centres = np.array([source.learned[0].centre(np.random.default_rng(k), (16, 16)) for k in range(200)])
    assert mask[tuple(np.rint(np.clip(centres.T, 0, 95)).astype(int))].mean() > 0.9


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_mask_follows_the_image_to_the_grid_of_the_network(ndim: int) -> None:
    image, labels = (np.stack([part] * 8) for part in discs(0))
    mask = np.zeros(labels.shape, bool)
    mask[2, :16] = mask[5, :, 8:] = True
    one = InMemory("a", Volume(image, "ZYX", (2.0, 1.0, 1.0), "um"), Volume(labels, "ZYX"), mask)
    model = model_for([one], ndim=ndim, patch=(8, 16, 16)[-ndim:])
    spec = model.spec.model_copy(
        update={"input": model.spec.input.model_copy(update={"spacing": (1.0, 0.5, 0.5)[-ndim:]})}
    )
    found = list(samples(*one.load()[:2], spec, mask=mask))
    if ndim == 2:
        assert len(found) == 2
        assert [sample.mask.mean() for sample in found if sample.mask is not None] == [0.5, 0.75]
        assert found[0].grid == (64, 64)
    else:
        assert found[0].mask is not None
        assert found[0].grid == (16, 64, 64)
        assert found[0].mask[4:6, :32].all()
        assert found[0].mask.mean() == mask.mean()


@pytest.mark.parametrize("finished", range(9))
def test_one_finished_slice_is_not_lost_on_a_coarser_grid(finished: int) -> None:
    image, slice_ = discs(0)
    image, labels = np.stack([image] * 9), np.stack([(slice_ + 10 * k) * (slice_ > 0) for k in range(9)])
    mask = np.zeros(labels.shape, bool)
    mask[finished] = True
    one = InMemory("a", Volume(image, "ZYX", (1.0, 1.0, 1.0), "um"), Volume(labels, "ZYX"), mask)
    spec = model_for([one], ndim=3, patch=(4, 16, 16)).spec
    spec = spec.model_copy(update={"input": spec.input.model_copy(update={"spacing": (3.5, 1.0, 1.0)})})
    (found,) = samples(*one.load()[:2], spec, mask=mask)
    assert found.mask is not None
    assert found.grid[0] == 3
    assert [bool(part.all()) for part in found.mask] == [k == finished // 3 for k in range(3)]
    assert np.array_equal(found.labels[finished // 3], labels[finished])


@pytest.mark.parametrize("shape", [(7, 5), (3, 11), (20, 2), (10, 12), (1, 1)])
def test_on_any_grid_what_counts_has_a_label_that_counts(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((10, 12)) < 0.1
    labels, counts = told(np.stack([mask * 2, mask * 3]), mask, shape)
    assert (labels.shape, counts.shape) == ((2, *shape), shape)
    assert (labels[:, counts] == [[2], [3]]).all()
    assert set(zip(*np.nonzero(counts), strict=True)) >= {
        tuple(int((i + 0.5) * new / old) for i, new, old in zip(at, shape, mask.shape, strict=True))
        for at in zip(*np.nonzero(mask), strict=True)
        if all(new <= old for new, old in zip(shape, mask.shape, strict=True))
    }
    everywhere = np.ones((10, 12), bool)
    values = np.arange(120).reshape(10, 12)
    assert np.array_equal(told(values, everywhere, shape)[0], nearest(values, shape))


def test_slices_are_normalised_as_a_prediction_does_it() -> None:
    """By the statistics of their volume, not each by its own."""
    image, labels = (np.stack([part] * 8) for part in discs(0))
    image[4] //= 2
    one = InMemory("a", Volume(image, "ZYX"), Volume(labels, "ZYX"))
    model = model_for([one], ndim=2)
    found = samples_for(model, [one])
    assert found[4].image.mean() < 0.8 * found[3].image.mean()


def test_a_sample_is_cut_down_to_what_counts() -> None:
    (sample,) = samples_for(model_for([lesson(0, size=96)]), [lesson(0, size=96, mask=corner())])
    small = around_mask(sample, (8, 8))
    assert small.grid == (28, 28)
    assert small.mask is not None
    assert small.mask.sum() == 400
    assert around_mask(replace(sample, mask=None), (8, 8)).grid == (96, 96)


def test_what_lies_outside_the_mask_is_not_learned(tmp_path: Path) -> None:
    """The same weights come out whatever labels stand where they do not count."""
    mask = np.zeros((32, 32), bool)
    mask[:, :20] = True
    lessons = [lesson(seed, mask=mask, classes=2) for seed in range(3)]
    spec = quick(steps=3)
    model = model_for([lesson(0, classes=2)], task="semantic", classes=("a", "b"))
    weights = []
    for k, wrong in enumerate((0, 1)):
        here = [replace(one, labels=Volume(np.where(mask, one.labels.data, wrong), "YX")) for one in lessons]
        made = retrain(model, here, spec, save_to=tmp_path / f"{k}.safetensors")
        weights.append(made.model.network.state_dict()["head.weight"].numpy())
    np.testing.assert_array_equal(*weights)


def everywhere(value: bool = True) -> np.ndarray:
    return np.full((32, 32), value)


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (
            np.asarray(lesson(0).labels.data) > 0,
            "no background.*let some count, in the masks of where labels count or by erasing what is wrong",
        ),
        (np.asarray(lesson(0).labels.data) == 0, "background alone.*label, paint or accept"),
        (everywhere(False), "Nowhere in the images do labels count; let some count"),
    ],
)
def test_a_mask_of_one_side_is_refused(mask: np.ndarray, sentence: str, tmp_path: Path) -> None:
    one = lesson(0, mask=mask)
    model = model_for([lesson(0)])
    with pytest.raises(SegError, match=sentence):
        retrain(model, [one], quick(), save_to=tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_erasing_alone_teaches_where_older_samples_show_objects(tmp_path: Path) -> None:
    model = model_for([lesson(0)])
    erased = [replace(lesson(seed, bright=0), labels=Volume(np.zeros((32, 32), int), "YX")) for seed in range(3)]
    lessons = [replace(one, mask=everywhere()) for one in erased]
    memory = memory_for(model, [lesson(5)], [lesson(6)])
    made = retrain(model, lessons, quick(), save_to=tmp_path / "m.safetensors", memory=memory)
    assert made.verdict is not None


def write(folder: Path, name: str, data: Any) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    tifffile.imwrite(folder / f"{name}.tif", data)


def test_masks_that_say_where_they_lie_count_there(tmp_path: Path) -> None:
    """A mask with as many voxels as the image, of another place, and one that is cut to its extent."""
    counts = np.zeros((6, 12, 12), np.uint8)
    counts[2:4, 3:9, 3:9] = 1
    affine = np.zeros((4, 4))
    affine[[0, 1, 2, 3], [2, 1, 0, 3]] = (-1, -1, 1, 1)  # as a volume is shown
    image = Volume(counts * 9, "ZYX", (1.0, 1.0, 1.0), "mm", affine)
    moved, cut = affine.copy(), affine.copy()
    moved[2, 3] = cut[2, 3] = 2
    masks = {"there": image, "moved": replace(image, data=np.roll(counts, -2, 0), affine=moved)}
    masks["cut"] = replace(image, data=counts[2:4], affine=cut)
    for name, mask in masks.items():
        for part, volume in (("images", image), ("labels", replace(image, data=counts)), ("masks", mask)):
            write_volume(volume, tmp_path / part / f"{name}.nii.gz")
    for case in find_cases(tmp_path, masks=tmp_path / "masks"):
        np.testing.assert_array_equal(case.load().mask, counts > 0)


def test_masks_of_files(tmp_path: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 4:] = 255
    for seed in range(3):
        image, labels = discs(seed)
        write(tmp_path / "images", str(seed), image)
        write(tmp_path / "labels", str(seed), labels.astype(np.uint8))
        write(tmp_path / "masks", str(seed), mask)
    cases = find_cases(tmp_path, masks=tmp_path / "masks")
    np.testing.assert_array_equal(cases[0].load().mask, mask > 0)
    spec = TrainSpec(task="instance", width=4, depth=2, patch=(32, 32), batch=2, steps=1, device="cpu")
    train(cases, spec, save_to=tmp_path / "m")
    write(tmp_path / "masks", "1", mask[:16])
    with pytest.raises(SegError, match=r"1: the mask of where labels count has .*save it with one value"):
        find_cases(tmp_path, masks=tmp_path / "masks")[1].load()
    (tmp_path / "masks" / "1.tif").unlink()
    with pytest.raises(SegError, match="holds no mask for 1; add one"):
        find_cases(tmp_path, masks=tmp_path / "masks")
    with pytest.raises(SegError, match=r"no folder .*put a mask"):
        find_cases(tmp_path, masks=tmp_path / "nowhere")


def test_from_nothing_a_part_is_held_out(tmp_path: Path) -> None:
    lessons = [lesson(seed, mask=everywhere()) for seed in range(4)]
    spec = TrainSpec(task="instance", width=4, depth=2, patch=(32, 32), batch=2, steps=2, device="cpu")
    seen = [dict(at.detail) for at in train.steps(lessons, spec, save_to=tmp_path / "m", hold_out=True)]
    assert any("score" in detail for detail in seen)
    known = load(beside(tmp_path / "m"))
    assert {sample.group for sample in known.learn} == known.division.learned
    assert {sample.group for sample in known.check} == known.division.held_out
    assert (len(known.learn), len(known.check)) == (3, 1)
    (tmp_path / "m.samples.safetensors").unlink()
    seen = [dict(at.detail) for at in train.steps(lessons, spec, save_to=tmp_path / "m")]
    assert not any("score" in detail for detail in seen)
    assert not beside(tmp_path / "m").exists()
