"""A mask whose file, or whose image's, does not say where it lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_seg.data.align import apart, onto_grid
from napari_seg.data.formats import read
from napari_seg.errors import SegError
from napari_seg.training.cases import Case

RAS = np.diag([1.5, 2.0, 3.0, 1.0])


def saved(path: Path, data: np.ndarray, affine: np.ndarray | None) -> Path:
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


@pytest.fixture
def stored() -> np.ndarray:
    mask = np.zeros((8, 9, 7), np.uint8)
    mask[1:3, 2:5, 1] = 1
    return mask


@pytest.mark.parametrize("said", [(True, False), (False, True)])
def test_it_lies_on_the_voxels_of_the_file(tmp_path: Path, stored: np.ndarray, said: tuple[bool, bool]) -> None:
    """nibabel writes a mask without a place where none is given; the image is turned to be shown, the mask is not."""
    places = [RAS if one else None for one in said]
    image = read(saved(tmp_path / "image.nii.gz", stored * 100, places[0]))
    mask = read(saved(tmp_path / "mask.nii.gz", stored, places[1]))
    laid = onto_grid(mask, image)
    assert np.array_equal(np.asarray(laid.data) > 0, np.asarray(image.data) > 0)
    assert "as they are stored" in laid.notes[-1]
    counts = saved(tmp_path / "counts.nii.gz", stored, places[1])
    case = Case("a", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "a", mask=counts)
    loaded = case.load()
    assert np.array_equal(loaded.mask, np.asarray(loaded.image.data) > 0)
    assert np.array_equal(np.asarray(loaded.labels.data) > 0, np.asarray(loaded.image.data) > 0)


def test_labels_of_another_place_teach_nothing(tmp_path: Path, stored: np.ndarray) -> None:
    elsewhere = RAS.copy()
    elsewhere[2, 3] = 500
    saved(tmp_path / "image.nii.gz", stored * 100, RAS)
    saved(tmp_path / "mask.nii.gz", stored, elsewhere)
    with pytest.raises(SegError, match="the labels lie in another place than the image"):
        Case("a", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "a").load()


def test_rounding_is_no_other_place(tmp_path: Path, stored: np.ndarray) -> None:
    nearly = RAS.copy()
    nearly[0, 3] = 0.1
    image = read(saved(tmp_path / "image.nii.gz", stored, RAS))
    assert not apart(read(saved(tmp_path / "mask.nii.gz", stored, nearly)), image)


def test_a_voxel_of_another_size_is_no_other_place(tmp_path: Path, stored: np.ndarray) -> None:
    """A person gave the image, or the mask, the size that it should have."""
    image = read(saved(tmp_path / "image.nii.gz", stored, RAS))
    larger, elsewhere = image.affine @ np.diag([2, 1, 1, 1]), image.affine.copy()
    elsewhere[0, 3] += 10
    assert not apart(replace(image, affine=larger, spacing=None), image)
    assert not apart(image, replace(image, affine=larger, spacing=None))
    assert apart(replace(image, affine=elsewhere, spacing=None), image)


def test_labels_of_another_size_are_not_fitted_unasked(tmp_path: Path, stored: np.ndarray) -> None:
    saved(tmp_path / "image.nii.gz", np.kron(stored, np.ones((2, 2, 2), np.uint8)), RAS)
    saved(tmp_path / "mask.nii.gz", stored, None)
    with pytest.raises(SegError, match="make them equal"):
        Case("a", tmp_path / "image.nii.gz", tmp_path / "mask.nii.gz", "a").load()
