"""Images and masks that lie in a space that is no patient's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
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


WRITERS = [nrrd_file]
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
