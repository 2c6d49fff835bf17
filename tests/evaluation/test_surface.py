"""How far surfaces lie apart, against every pair of surface voxels, one by one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.evaluation.surface import average_surface_distance, distances, hausdorff_95

STEPS = (np.diag([3.0, 1.0, 0.5]), np.array([[3.0, 0.0, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.5]]))
"""Upright voxels, and those of a tilted gantry."""


def surface(mask: np.ndarray) -> np.ndarray:
    """The voxels with a neighbour across a face that is not in the mask."""
    padded = np.pad(mask, 1)
    inner = np.logical_and.reduce([np.roll(padded, way, axis) for axis in range(mask.ndim) for way in (-1, 1)])
    return np.argwhere(padded & ~inner) - 1


@given(st.integers(0, 2**32 - 1), st.sampled_from(STEPS), st.sampled_from([(4, 5, 6), (1, 7, 6), (3, 1, 1)]))
def test_every_pair_of_surface_voxels(seed: int, step: np.ndarray, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    truth, found = (rng.random(shape) < chance for chance in (0.6, 0.4))
    between = distances(truth, found, step)
    if not (truth.any() and found.any()):
        assert between is None
        return
    wide = [axis for axis, n in enumerate(shape) if n > 1]
    flat = [np.squeeze(mask) for mask in (truth, found)]
    places = [surface(mask) @ step[:, wide].T for mask in flat]
    pairs = cdist(*places)
    assert between is not None
    np.testing.assert_allclose(np.sort(between.of_truth), np.sort(pairs.min(1)))
    np.testing.assert_allclose(np.sort(between.of_found), np.sort(pairs.min(0)))


def test_figures_of_cubes() -> None:
    truth, found = np.zeros((2, 20, 20, 20), bool)
    truth[5:15, 5:15, 5:15] = True
    found[7:15, 5:15, 5:15] = True  # the upper side lies two voxels lower
    step = np.diag([2.0, 1.0, 1.0])
    between = distances(truth, found, step)
    assert between is not None
    assert between.of_truth.max() == 4
    assert hausdorff_95(between) == 4
    assert 0 < average_surface_distance(between) < 1
    same = distances(truth, truth, step)
    assert same is not None
    assert (hausdorff_95(same), average_surface_distance(same)) == (0, 0)


def discs(shift: int) -> np.ndarray:
    labels = np.zeros((40, 40), np.uint8)
    labels[5:15, 5 + shift : 15 + shift] = 1
    labels[25:35, 5:15] = 2
    return labels


def test_the_report_tells_them_in_the_unit_of_the_first_mask() -> None:
    truth, found = Volume(discs(0), "YX", (0.5, 0.5), "um"), Volume(discs(4), "YX", (0.5, 0.5), "um")
    report = evaluate(truth, found, surfaces=True)
    assert report.unit == "um"
    assert report.per_class["1"]["hd95"] == 2
    assert report.per_class["2"] == {"dice": 1, "jaccard": 1, "hd95": 0, "assd": 0}
    assert report.mean["hd95"] == 1
    assert "hd95" not in evaluate(truth, found).mean
    assert evaluate(discs(0), discs(4), surfaces=True).unit == "voxel"
    placed = np.diag([2.0, 0.1, 0.25, 1.0])  # a slice in a patient; x has voxels of 0.25 mm
    there = [Volume(discs(k), "YX", (0.1, 0.25), "mm", placed) for k in (0, 4)]
    report = evaluate(*there, surfaces=True)
    assert (report.unit, report.per_class["1"]["hd95"]) == ("mm", 1)


def test_planes_and_time_points() -> None:
    planes = [np.stack([discs(k) == 1, discs(k) == 2]).astype(np.uint8) for k in (0, 4)]
    report = evaluate(*(Volume(each, "CYX", (0.5, 0.5), "mm") for each in planes), surfaces=True)
    assert [figures["hd95"] for figures in report.per_class.values()] == [2, 0]
    film = [Volume(np.stack([discs(0), discs(k)]), "TYX", (0.5, 0.5), "mm") for k in (0, 4)]
    report = evaluate(*film, surfaces=True)
    assert [case.per_class["1"]["hd95"] for case in report.per_case] == [0, 2]


def test_what_is_in_one_mask_only_has_no_distance_and_that_is_said() -> None:
    alone = np.where(discs(0) == 2, 0, discs(0))
    report = evaluate(discs(0), alone, surfaces=True)
    assert report.per_class["2"] == {"dice": 0, "jaccard": 0, "hd95": None, "assd": None}
    assert report.mean["hd95"] == 0
    assert report.notes[-1].startswith("A class that is in one of the two masks only has no distance")


def test_masks_with_and_without_a_size_of_voxels_do_not_mix(tmp_path) -> None:
    for folder in ("truth", "found"):
        write(Volume(discs(0), "YX", (0.5, 0.5), "um"), tmp_path / folder / "a.ome.tif")
        write(Volume(discs(0), "YX"), tmp_path / folder / "b.png")
    with pytest.raises(SegError, match=r"^b: the size of its voxels is not known, that of others is; save all"):
        evaluate(tmp_path / "truth", tmp_path / "found", surfaces=True)
    with pytest.raises(SegError, match="take the task semantic"):
        evaluate(discs(0), discs(0), "instance", surfaces=True)


def test_on_the_command_line(tmp_path, run) -> None:
    for name, shift in (("a", 0), ("b", 4)):
        write(Volume(discs(shift), "YX", (0.5, 0.5), "um"), tmp_path / f"{name}.ome.tif")
    files = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    assert "hd95 [um]" in run("evaluate", *files, "--surfaces").out
    told = json.loads(run("evaluate", *files, "--surfaces", "--json").out)
    assert (told["unit"], told["mean"]["hd95"]) == ("um", 1)
    assert "unit" not in json.loads(run("evaluate", *files, "--json").out)
