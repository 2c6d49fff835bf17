"""What a volume refuses to be."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.data.volume import Volume
from napari_seg.errors import SegError


@pytest.mark.parametrize(
    ("affine", "fits"),
    [(np.eye(4), True), (np.eye(3), False), (np.full((4, 4), np.nan), False), (np.zeros(16), False)],
)
def test_an_affine_is_a_matrix_of_numbers(affine: np.ndarray, fits: bool) -> None:
    if fits:
        assert Volume(np.zeros((2, 3, 4)), "ZYX", (1, 1, 1), "mm", affine).orientation
        return
    with pytest.raises(SegError, match="4 x 4"):
        Volume(np.zeros((2, 3, 4)), "ZYX", (1, 1, 1), "mm", affine)


@pytest.mark.parametrize("columns", [(0, 0, 0), (1, 1, 0), (1, 0, 1)])
def test_an_affine_that_puts_voxels_in_one_place_is_refused(columns: tuple[int, int, int]) -> None:
    affine = np.diag([*columns, 1.0])
    with pytest.raises(SegError, match=r"^The affine puts different voxels in one place; correct it in the file\.$"):
        Volume(np.zeros((2, 3, 4)), "ZYX", affine=affine)
    flat = np.eye(4)
    flat[:3, 1] = flat[:3, 2]
    with pytest.raises(SegError, match="in one place"):
        Volume(np.zeros((3, 4)), "YX", affine=flat)


def test_one_number_for_two_axes_is_refused_by_name() -> None:
    with pytest.raises(SegError, match="The axes YX need 2 spacings; give one for each of YX"):
        Volume(np.zeros((4, 4)), "YX", 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("spacing", [[2, 3], np.array([2.0, 3.0], np.float32)])
def test_a_spacing_is_a_tuple_whatever_it_was_given_as(spacing: object) -> None:
    assert Volume(np.zeros((4, 4)), "YX", spacing, "mm").spacing == (2.0, 3.0)  # type: ignore[arg-type]
