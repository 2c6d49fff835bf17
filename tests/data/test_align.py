"""A mask from elsewhere on its image."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.data.align import onto_grid
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError

RNG = np.random.default_rng(0)


def placed(shape: tuple[int, ...], spacing: tuple[float, ...], origin: tuple[float, ...] = (0, 0, 0)) -> Volume:
    affine = np.array(
        [
            [0, 0, -spacing[2], origin[0]],
            [0, -spacing[1], 0, origin[1]],
            [spacing[0], 0, 0, origin[2]],
            [0, 0, 0, 1],
        ],
        float,
    )
    return Volume(RNG.integers(0, 5, shape, dtype=np.uint8), "ZYX", spacing, "mm", affine, name="mask")


def test_the_same_grid_is_taken_as_it_is() -> None:
    image, mask = placed((4, 5, 6), (3, 1, 1)), placed((4, 5, 6), (3, 1, 1))
    laid = onto_grid(mask, image)
    assert np.array_equal(laid.data, mask.data)
    assert (laid.notes, laid.name) == ((), "mask")


def test_every_voxel_gets_the_nearest_label_in_the_world() -> None:
    image = placed((8, 10, 12), (1.5, 1, 1), (2, 3, -1))
    mask = placed((6, 7, 5), (2, 1.5, 2.2), (1, 3.4, -2))
    laid = onto_grid(mask, image)
    assert image.affine is not None
    assert mask.affine is not None
    for index in np.ndindex(image.grid):
        found = np.linalg.inv(mask.affine) @ (image.affine @ [*index, 1])
        nearest = np.floor(found[:3] + 0.5).astype(int)
        inside = all(0 <= k < n for k, n in zip(nearest, mask.grid, strict=True))
        assert laid.data[index] == (mask.data[tuple(nearest)] if inside else 0)
    assert np.array_equal(laid.affine, image.affine)
    assert ["nearest neighbour" in note for note in laid.notes] == [True]


def test_an_oblique_mask_with_axes_in_another_order() -> None:
    image = placed((6, 7, 8), (2, 1, 1))
    assert image.affine is not None
    turned = Volume(np.asarray(image.data).transpose(2, 0, 1)[::-1], "ZYX", (1, 2, 1), "mm", image.affine.copy())
    assert turned.affine is not None
    turned.affine[:, :3] = image.affine[:, [2, 0, 1]]
    turned.affine[:3, 3] += 7 * turned.affine[:3, 0]
    turned.affine[:, 0] *= -1
    assert np.array_equal(onto_grid(turned, image).data, image.data)


def test_labels_that_are_lost_are_said() -> None:
    image, mask = placed((4, 4, 4), (1, 1, 1)), placed((8, 8, 8), (1, 1, 1))
    data = np.ones((8, 8, 8), np.uint16)
    data[7, 7, 7] = 300
    laid = onto_grid(Volume(data, "ZYX", mask.spacing, "mm", mask.affine), image)
    assert laid.data.min() == laid.data.max() == 1
    assert "300" in laid.notes[-1]


def test_volumes_that_do_not_overlap_are_refused() -> None:
    with pytest.raises(SegError, match="do not overlap"):
        onto_grid(placed((4, 4, 4), (1, 1, 1), (100, 0, 0)), placed((4, 4, 4), (1, 1, 1)))


def test_planes_and_points_in_time_are_kept() -> None:
    image = placed((4, 5, 6), (2, 1, 1))
    data = RNG.integers(0, 2, (3, 8, 5, 6), dtype=np.uint8)
    finer = placed((8, 5, 6), (1, 1, 1), (0, 0, -0.5))
    laid = onto_grid(Volume(data, "CZYX", finer.spacing, "mm", finer.affine, ("a", "b", "c")), image)
    assert (laid.axes, laid.shape, laid.channels) == ("CZYX", (3, 4, 5, 6), ("a", "b", "c"))
    assert np.array_equal(laid.data, data[:, 1::2])
    with pytest.raises(SegError, match="points in time"):
        onto_grid(Volume(data, "TZYX", finer.spacing, "mm", finer.affine), image)


def test_without_a_place_the_spacing_decides() -> None:
    image = Volume(np.zeros((40, 60), np.uint8), "YX", (0.5, 0.5), "um")
    mask = Volume(RNG.integers(0, 9, (20, 30), dtype=np.uint8), "YX", (1000.0, 1000.0), "nm")
    laid = onto_grid(mask, image)
    assert np.array_equal(laid.data, np.repeat(np.repeat(mask.data, 2, 0), 2, 1))
    assert ["nearest neighbour" in note for note in laid.notes] == [True]


@pytest.mark.parametrize(
    "mask",
    [
        Volume(np.zeros((20, 30), np.uint8), "YX"),
        Volume(np.zeros((20, 30), np.uint8), "YX", (1.0, 1.0), "pixel"),
        Volume(np.zeros((20, 30), np.uint8), "YX", (0.5, 0.5), "um"),
        Volume(np.zeros((3, 40, 60), np.uint8), "ZYX", (1.0, 0.5, 0.5), "um"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_cure(mask: Volume) -> None:
    image = Volume(np.zeros((40, 60), np.uint8), "YX", (0.5, 0.5), "um")
    with pytest.raises(SegError, match="save the mask in the grid of the image"):
        onto_grid(mask, image)


def test_equal_shapes_fit_without_a_place_and_it_is_said_when_only_one_has_it() -> None:
    image = placed((4, 5, 6), (2, 1, 1))
    bare = Volume(np.ones((4, 5, 6), np.uint8), "ZYX")
    laid = onto_grid(bare, image)
    assert ["voxel by voxel" in note for note in laid.notes] == [True]
    assert laid.affine is not None
    assert onto_grid(bare, bare).notes == ()


def test_a_colour_picture_is_no_mask() -> None:
    picture = Volume(np.zeros((4, 5, 3), np.uint8), "YXS")
    with pytest.raises(SegError, match="colour picture"):
        onto_grid(picture, Volume(np.zeros((4, 5), np.uint8), "YX"))


def test_another_size_of_voxels_at_the_same_place_is_said_and_lies_voxel_by_voxel() -> None:
    image, mask = placed((4, 5, 6), (3, 1, 1)), placed((4, 5, 6), (1.5, 1, 1))
    laid = onto_grid(mask, image)
    assert np.array_equal(laid.data, mask.data)
    assert (laid.spacing, len(laid.notes), laid.notes[0].count("another size")) == ((3, 1, 1), 1, 1)
    assert not np.array_equal(onto_grid(placed((4, 5, 6), (1.5, 1, 1), (2, 0, 0)), image).data, mask.data)
