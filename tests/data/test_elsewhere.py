"""Images and masks that lie in a space that is no patient's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_seg.data.align import apart, onto_grid, same_place
from napari_seg.data.formats import read, write
from napari_seg.errors import SegError
from napari_seg.evaluation.evaluate import evaluate
from napari_seg.training.cases import Case
from napari_seg.training.check import Wanted, check

Writer = Callable[..., Path]

STEPS = (2.0, 0.7, 0.5)
"""Of z, y and x."""


def nrrd_file(path: Path, data: NDArray[np.uint8], by: float = 0, **more: Any) -> Path:
    """``by``: so many voxels along x."""
    steps, ndim = STEPS[-data.ndim :][::-1], data.ndim
    origin = [100 + by * steps[0], -50.0, 30.0][:ndim]
    said = {
        "kinds": ["domain"] * ndim,
        "space dimension": ndim,
        "space directions": np.diag(steps),
        "space origin": origin,
    } | more
    path = path.with_suffix(".nrrd")
    nrrd.write(str(path), data.T, {name: value for name, value in said.items() if value is not None})
    return path


UNITS = {"mm": "millimeter", "um": "micrometer", None: None}


def zarr_store(
    path: Path,
    data: NDArray[np.uint8],
    by: float = 0,
    unit: str | None = "um",
    steps: tuple[float, ...] = STEPS,
    origin: tuple[float, ...] | None = (30.0, -50.0, 100.0),
) -> Path:
    """``by``: so many voxels along x; ``origin``: none is said."""
    path, ndim = path.with_suffix(".zarr"), min(data.ndim, 3)
    lead = (1.0,) * (data.ndim - ndim)
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [*lead, *steps[-ndim:]]}]
    if origin is not None:
        start = [*origin[:-1], origin[-1] + by * steps[-1]][-ndim:]
        transforms.append({"type": "translation", "translation": [*(7.0,) * len(lead), *start]})
    axes = [{"name": axis, "type": "space", "unit": UNITS[unit]} for axis in "zyx"[-ndim:]]
    axes = [{name: value for name, value in axis.items() if value} for axis in axes]
    axes = [{"name": "t", "type": "time"}] * len(lead) + axes
    datasets = [{"path": "0", "coordinateTransformations": transforms}]
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", shape=data.shape, dtype="u1", chunks=data.shape)[...] = data
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    return path


WRITERS = [nrrd_file, zarr_store]
SHAPES = [(9, 20), (3, 9, 20)]


def labels(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    made = np.zeros(shape, np.uint8)
    made[..., 3:6, 4:12] = 1
    return made


@pytest.mark.parametrize("saved", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_mask_lies_where_its_file_says(saved: Writer, shape: tuple[int, ...], tmp_path: Path) -> None:
    image, own, other, away = (
        saved(tmp_path / name, labels(shape), by) for name, by in (("i", 0), ("m", 0), ("o", 3), ("a", 100))
    )
    laid = onto_grid(read(own), read(image))
    assert laid.notes == read(own).notes
    assert np.array_equal(laid.data, labels(shape))
    laid = onto_grid(read(other), read(image))
    assert np.array_equal(laid.data[..., 3:], labels(shape)[..., :-3])
    assert "nearest neighbour" in laid.notes[-1]
    assert same_place(laid, read(image))
    assert np.array_equal(read(write(laid, tmp_path / f"laid{image.suffix}")).data, laid.data)
    with pytest.raises(SegError, match="do not overlap"):
        onto_grid(read(away), read(image))
    with pytest.raises(SegError, match="another place than the image"):
        Case("a", image, other, "a").load()
    for path, words in ((other, "how they lie on it"), (away, "another place"), (own, "")):
        told = " ".join(one.sentence for one in check([Case("a", image, path, "a")], Wanted("semantic")))
        assert words in told
        assert words or "place" not in told


@pytest.mark.parametrize("saved", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_masks_are_measured_where_they_lie(saved: Writer, shape: tuple[int, ...], tmp_path: Path) -> None:
    truth = saved(tmp_path / "truth", labels(shape), 0)
    for by in (8, 0.51):
        with pytest.raises(SegError, match="different places"):
            evaluate(truth, saved(tmp_path / "other", labels(shape), by))
    for by, told in ((0.49, True), (0.006, False)):
        notes = evaluate(truth, saved(tmp_path / "other", labels(shape), by)).notes
        assert any("up to half a voxel" in note for note in notes) == told


@pytest.mark.parametrize(
    "more",
    [
        {"space origin": None},
        {"space units": ["mm", "mm", "mm"]},
        {"space units": ["pixel"] * 3},
        {"space dimension": None, "space": "scanner-xyz"},
        {"space dimension": None, "space directions": None, "space origin": None, "spacings": [0.5, 0.7, 2.0]},
    ],
)
def test_what_cannot_be_compared_lies_voxel_on_voxel(more: dict[str, Any], tmp_path: Path) -> None:
    image = nrrd_file(tmp_path / "image", labels((3, 9, 20)))
    mask = nrrd_file(tmp_path / "mask", labels((3, 9, 20)), 100, **more)
    assert np.array_equal(onto_grid(read(mask), read(image)).data, labels((3, 9, 20)))
    assert not apart(read(mask), read(image))
    assert evaluate(image, mask).mean["dice"] == 1


def test_units_are_compared_as_lengths(tmp_path: Path) -> None:
    image = nrrd_file(tmp_path / "image", labels((3, 9, 20)), **{"space units": ["mm"] * 3})
    finer = {"space directions": np.diag([500, 700, 2000]), "space units": ["um"] * 3}
    for x, here in ((100_000, True), (101_500, False)):
        mask = nrrd_file(tmp_path / "mask", labels((3, 9, 20)), **finer, **{"space origin": [x, -50_000, 30_000]})
        assert same_place(read(mask), read(image)) == here


@pytest.mark.parametrize("more", [{"origin": None}, {"unit": None}, {"unit": None, "steps": (1.0,) * 3}])
@pytest.mark.parametrize("turned", [False, True])
def test_a_store_that_does_not_say_where_lies_voxel_on_voxel(
    more: dict[str, Any], turned: bool, tmp_path: Path
) -> None:
    pair = zarr_store(tmp_path / "a", labels((3, 9, 20))), zarr_store(tmp_path / "b", labels((3, 9, 20)), 100, **more)
    image, mask = reversed(pair) if turned else pair
    assert np.array_equal(onto_grid(read(mask), read(image)).data, labels((3, 9, 20)))
    assert not apart(read(mask), read(image))
    assert evaluate(image, mask).mean["dice"] == 1


def test_stores_are_compared_as_lengths(tmp_path: Path) -> None:
    image = zarr_store(tmp_path / "a", labels((9, 20)), steps=(7.0, 5.0), origin=(500.0, 900.0))
    for x, here in ((0.9, True), (0.91, False)):
        mask = zarr_store(tmp_path / "b", labels((9, 20)), unit="mm", steps=(0.007, 0.005), origin=(0.5, x))
        assert apart(read(mask), read(image)) != here


def test_films_lie_where_they_lie_in_space(tmp_path: Path) -> None:
    film = np.stack([labels((2, 9, 20)), 2 * labels((2, 9, 20))])
    image, mask = zarr_store(tmp_path / "a", film), zarr_store(tmp_path / "b", film, 3)
    laid = onto_grid(read(mask), read(image))
    assert laid.axes == "TZYX"
    assert np.array_equal(laid.data[..., 3:], film[..., :-3])


@pytest.mark.parametrize("shift", [0.0, 0.25], ids=["the same place", "the middles of voxels"])
def test_a_coarser_level_covers_the_same_field(shift: float, tmp_path: Path) -> None:
    """Programs differ in what they say of the levels of a pyramid."""
    coarse = np.arange(1, 61, dtype=np.uint8).reshape(6, 10)
    image = zarr_store(tmp_path / "a", np.ones((12, 20), np.uint8), steps=(0.5, 0.5), origin=(20.0, 10.0))
    mask = zarr_store(tmp_path / "b", coarse, steps=(1.0, 1.0), origin=(20 + shift, 10 + shift))
    laid = onto_grid(read(mask), read(image))
    assert np.array_equal(laid.data, np.kron(coarse, np.ones((2, 2), int)))
    assert "nearest neighbour" in laid.notes[-1]
    back = onto_grid(laid, read(mask))
    assert np.array_equal(back.data, coarse)


def test_a_part_of_an_image_lies_where_it_was_cut(tmp_path: Path) -> None:
    image = zarr_store(tmp_path / "a", labels((9, 20)), steps=(0.5, 0.5), origin=(20.0, 10.0))
    for first, start in (((0, 0), (20.0, 10.0)), ((2, 3), (21.0, 11.5))):
        cut = labels((9, 20))[first[0] :, first[1] : 15]
        mask = zarr_store(tmp_path / "b", cut, steps=(0.5, 0.5), origin=start)
        assert np.array_equal(onto_grid(read(mask), read(image)).data, labels((9, 20)))


def test_another_size_of_the_voxels_is_no_other_place(tmp_path: Path) -> None:
    """A person may have given it: what the two files say of where they begin still holds."""
    image = zarr_store(tmp_path / "a", labels((9, 20)))
    mask = zarr_store(tmp_path / "b", labels((9, 20)), steps=(1.4, 1.0))
    assert np.array_equal(onto_grid(read(mask), read(image)).data, labels((9, 20)))
    assert evaluate(image, mask).mean["dice"] == 1


def test_a_place_at_zero_goes_with_the_mask(tmp_path: Path) -> None:
    image = read(zarr_store(tmp_path / "a", labels((9, 20)), origin=(0.0, 0.0)))
    written = write(image.mask(labels((9, 20))), tmp_path / "mask.zarr")
    with pytest.raises(SegError, match="do not overlap"):
        onto_grid(read(written), read(zarr_store(tmp_path / "b", labels((9, 20)), 100, origin=(0.0, 0.0))))


def test_large_pixels_are_compared_in_pixels(tmp_path: Path) -> None:
    pairs = [
        [
            zarr_store(tmp_path / f"z{by}".replace(".", "-"), labels((9, 20)), by, "mm", steps=(70.0, 50.0))
            for by in (0, 0.4)
        ],
        [
            nrrd_file(
                tmp_path / f"n{x}", labels((9, 20)), **{"space directions": np.diag([50, 70]), "space origin": (x, 0)}
            )
            for x in (100, 120)
        ],
    ]
    for truth, other in pairs:
        notes = evaluate(truth, other).notes
        assert any("up to half a voxel" in note for note in notes)
