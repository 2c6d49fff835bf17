"""The samples beside a model: small, true, and never more than a file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from napari_seg.errors import SegError
from napari_seg.models.file import read_spec
from napari_seg.models.zoo import samples_of, shipped
from napari_seg.training.division import known_as
from napari_seg.training.holding_out import apart
from napari_seg.training.memory import KEY, Memory, beside, check_fits, choose, load, remember, save, without
from napari_seg.training.sample import Sample


def sample(
    seed: int, *, grid: tuple[int, ...] = (24, 30), group: str = "", name: str = "", masked: bool = False
) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(1, *grid)).astype(np.float32)
    mask = rng.random(grid) < 0.5 if masked else None
    return Sample(image, (rng.random(grid) < 0.3).astype(np.int64) * 300, mask, name or f"s{seed}", group or f"g{seed}")


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    three = sample(2, grid=(6, 9, 11), masked=True)
    planes = Sample(three.image, np.stack([three.labels, three.labels * 0]), None, "overlapping", "g")
    kept = Memory((sample(0, masked=True), planes), (three,), {"licence": "CC0-1.0"})
    found = load(save(kept, tmp_path / "m.samples.safetensors"))
    assert found.about == {"licence": "CC0-1.0"}
    for before, after in zip(kept.learn + kept.check, found.learn + found.check, strict=True):
        assert (after.name, after.group) == (before.name, before.group)
        assert np.array_equal(after.labels, before.labels)
        assert (after.mask is None) == (before.mask is None)
        if before.mask is not None and after.mask is not None:
            assert np.array_equal(after.mask, before.mask)
        step = np.ptp(before.image) / 255
        assert np.abs(after.image - before.image).max() <= step * 0.51


def test_groups_take_turns_and_the_choice_is_always_the_same(tmp_path: Path) -> None:
    many = [sample(k, group="large", name=f"large {k}") for k in range(30)]
    few = [sample(40 + k, group=f"small {k}") for k in range(3)]
    size = sum(path.stat().st_size for path in [save(Memory((sample(0),) * 6, ()), tmp_path / "six.safetensors")])
    chosen = choose(many + few, few, size=2 * size)
    assert {one.group for one in chosen.learn[:4]} == {"large", "small 0", "small 1", "small 2"}
    assert 4 <= len(chosen.learn) < 12
    again = choose([*few, *many], few, size=2 * size)
    assert {one.group for one in again.learn[:4]} == {one.group for one in chosen.learn[:4]}


def test_large_images_are_cut_to_where_labels_count() -> None:
    large = sample(0, grid=(200, 260))
    mask = np.zeros((200, 260), bool)
    mask[150:170, 220:250] = True
    masked = Sample(large.image, large.labels, mask, "large", "large")
    (part,) = choose([masked], [], patch=(32, 32)).learn
    assert part.grid == (64, 64)
    assert part.mask is not None
    assert part.mask.any()
    nothing = Sample(large.image, large.labels, np.zeros((200, 260), bool), "nothing", "nothing")
    assert choose([nothing], []).learn == ()


def test_a_chain_of_retrainings_keeps_some_of_each(tmp_path: Path) -> None:
    before = Memory((sample(0, name="first"),), (sample(1, name="first check"),), {"licence": "CC0-1.0"})
    path = remember(tmp_path / "new.safetensors", [sample(2, name="mine")], [sample(3, name="spared")], before=before)
    assert path == tmp_path / "new.samples.safetensors"
    assert samples_of(tmp_path / "new.safetensors") == path
    found = load(path)
    assert [one.name for one in found.learn] == ["first", known_as("mine")]
    assert [one.name for one in found.check] == ["first check", known_as("spared")]
    assert not any(word in path.read_bytes() for word in (b"mine", b"spared"))  # they may be names of patients
    assert [one.name for one in without(found.learn, ["g2"])] == ["first"]
    assert without(found.check, ["g1", "g3"]) == ()
    again = load(remember(tmp_path / "newer.safetensors", [sample(4, name="more")], [], before=found))
    assert known_as("mine") in {one.name for one in again.learn}
    assert found.about == {"licence": "CC0-1.0"}
    assert samples_of(tmp_path / "other.safetensors") is None


def test_a_selection_can_be_broken_off_and_then_leaves_what_lay_there(tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    first = load(remember(model, [sample(0)], [sample(1)]))
    keeping = remember.steps(model, [sample(k) for k in range(2, 9)], [sample(9)])
    assert [next(keeping).detail["phase"] for _ in range(3)] == ["keep"] * 3  # a chance to stop after each sample
    keeping.close()
    assert [one.name for one in load(beside(model)).learn] == [one.name for one in first.learn]
    assert [path.name for path in tmp_path.iterdir()] == [beside(model).name]


@pytest.mark.parametrize("harm", ["cut", "foreign", "bomb", "newer", "shapes"])
def test_a_broken_file_is_one_sentence(harm: str, tmp_path: Path) -> None:
    path = save(Memory((sample(0),), ()), tmp_path / "m.samples.safetensors")
    tensors = load_file(path)
    about = {
        "format": 1,
        "samples": [
            {"part": "learn", "image": [1, 24, 30], "low": 0, "high": 1, "labels": [24, 30], "dtype": "uint16"},
        ],
    }
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif harm == "foreign":
        path.write_bytes(b"{}" * 40)
    else:
        row = about["samples"][0]  # type: ignore[index]
        if harm == "bomb":
            row |= {"image": [1, 3, 3], "labels": [3, 3]}
        elif harm == "shapes":
            row |= {"image": [1, 24, 30], "labels": [30, 24]}
        else:
            about["format"] = 99
        save_file(tensors, path, {KEY: json.dumps(about)})
    with pytest.raises(SegError, match="newer napari-seg" if harm == "newer" else "move it away to train without"):
        load(path)


def test_the_shipped_models_have_samples_under_their_licence() -> None:
    assert set(shipped()) == {"heart2d", "hippocampus3d", "nuclei2d"}
    for path in shipped().values():
        file = samples_of(path)
        assert file == beside(path)
        assert file.stat().st_size < 1_600_000
        memory, spec = load(file), read_spec(path)
        check_fits(memory, spec)
        assert len(memory.learn) >= 10
        assert len(memory.check) >= 10
        assert not {one.name for one in memory.learn} & {one.name for one in memory.check}
        assert not {one.group for one in memory.learn} & {one.group for one in memory.check}
        assert (memory.about["licence"], memory.about["attribution"]) == (spec.card.licence, spec.card.attribution)
        assert all(one.labels.any() for one in memory.learn[:5])


def test_samples_of_another_model_are_refused() -> None:
    spec = read_spec(shipped()["nuclei2d"])
    with pytest.raises(SegError, match="take the samples of this very model"):
        check_fits(Memory((sample(0, grid=(6, 9, 11)),), ()), spec)


def test_the_patients_of_older_samples_stay_apart(tmp_path: Path) -> None:
    """They are known by hashes, but those of one patient by the same."""
    samples = [replace(sample(k, name=f"{k}", group=f"{k}"), patient=f"Doe {k % 12}") for k in range(36)]
    path = remember(tmp_path / "model.safetensors", (), samples)
    check = load(path).check
    assert len({one.patient for one in check}) == 12
    assert b"Doe" not in path.read_bytes()
    choosing, judging = apart(check)
    assert choosing
    assert not {one.patient for one in choosing} & {one.patient for one in judging}
    left = without(check, {samples[0].whole})
    assert {one.patient for one in check} - {one.patient for one in left} == {known_as(samples[0].whole)}
