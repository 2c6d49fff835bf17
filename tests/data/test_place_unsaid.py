"""A mask whose file, or whose image's, does not say where it lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_seg.data.align import apart, as_its_image, onto_grid, same_place
from napari_seg.data.formats import read, write
from napari_seg.data.geometry import Reorder
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError
from napari_seg.training.cases import Case
from napari_seg.training.check import Wanted, check

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


def saved_without(folder: Path, data: np.ndarray, name: str) -> Path:
    """The array of a NIfTI, its axes x, y, z, in the order in which a program writes it to a file without a place."""
    upright = np.ascontiguousarray(data.T)
    if name.endswith(".zarr"):
        return write(Volume(upright, "ZYX"), folder / name)
    if name.endswith(".png"):
        Image.fromarray(upright).save(folder / name)
    else:
        tifffile.imwrite(folder / name, upright, metadata={"axes": "ZYX"[-data.ndim :]})
    return folder / name


@pytest.mark.parametrize("name", ["bare.tif", "bare.zarr"])
@pytest.mark.parametrize("shape", [(8, 9, 7), (9, 9, 9)])
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0)])
def test_a_file_that_knows_no_place_lies_on_the_voxels_of_one_that_does(
    tmp_path: Path, name: str, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    mask = np.zeros(shape, np.uint8)
    mask[1:3, 2:5, 1] = 1
    affine = RAS[:, [*axes, 3]]
    placed = saved(tmp_path / "placed.nii.gz", mask, affine)
    bare = saved_without(tmp_path, mask, name)
    for image, labels in ((placed, bare), (bare, placed)):
        for laid in (onto_grid(read(labels), read(image)), Case("a", image, labels, "a").load().labels):
            assert np.array_equal(np.asarray(laid.data), np.asarray(read(image).data))
            assert "as they are stored" in laid.notes[-1]
        assert apart(read(labels), read(image))
        assert not apart(laid, read(image))


def test_it_is_found_before_a_training(tmp_path: Path) -> None:
    mask = np.zeros((12, 10, 8), np.uint8)
    mask[1:7, 2:7, 1:5] = 1
    image = saved(tmp_path / "image.nii.gz", mask * 100, RAS[:, [1, 2, 0, 3]])
    case = Case("a", image, saved_without(tmp_path, mask, "bare.tif"), "a")
    found = check([case], Wanted("semantic"))
    assert not any(finding.stops for finding in found)
    assert any("Of a only the image or only the labels say where they lie" in finding.sentence for finding in found)


@pytest.mark.parametrize("name", ["bare.tif", "bare.png"])
def test_a_slice_too(tmp_path: Path, name: str) -> None:
    mask = np.zeros((8, 6), np.uint8)
    mask[1:3, 2:4] = 1
    placed, bare = saved(tmp_path / "placed.nii.gz", mask, RAS), saved_without(tmp_path, mask, name)
    for image, labels in ((placed, bare), (bare, placed)):
        laid = as_its_image(read(labels), read(image))
        assert np.array_equal(np.asarray(laid.data), np.asarray(read(image).data))
        assert "as they are stored" in laid.notes[-1]


def test_slices_of_dicom_in_the_order_of_their_places(stored: np.ndarray) -> None:
    """From a series to a file without a place: slices along their normal, as other programs sort them."""
    turned = Reorder((0, 1, 2), (True, False, False))
    image = Volume(stored[::-1], "ZYX", (1, 1, 1), "mm", RAS, source=Source(Path("a.dcm"), "dicom", reorder=turned))
    mask = Volume(stored, "ZYX", source=Source(Path("a.tif"), "tiff"))
    assert np.array_equal(onto_grid(mask, image).data, image.data)
    assert not apart(mask, replace(image, source=None))  # nothing is known of how it was turned


def test_a_mask_of_the_shape_that_is_shown_alone_lies_as_it_is_shown(tmp_path: Path, stored: np.ndarray) -> None:
    """Stored along other axes than shown: only what was saved from a viewer has the shape that is shown."""
    image = read(saved(tmp_path / "image.nii.gz", stored, RAS[:, [1, 2, 0, 3]]))
    tifffile.imwrite(tmp_path / "mask.tif", np.asarray(image.data), metadata={"axes": "ZYX"})
    laid = onto_grid(read(tmp_path / "mask.tif"), image)
    assert np.array_equal(laid.data, image.data)
    assert "as the image is shown" in laid.notes[-1]


def test_a_coarser_mask_is_turned_before_it_is_laid_on(tmp_path: Path, stored: np.ndarray) -> None:
    fine = np.kron(stored, np.ones((2, 2, 2), np.uint8))
    image = read(saved(tmp_path / "image.nii.gz", fine, RAS[:, [1, 2, 0, 3]]))
    bare = nib.Nifti1Image(stored, None)
    bare.header.set_zooms((4.0, 6.0, 3.0))
    bare.header.set_xyzt_units("mm")
    nib.save(bare, tmp_path / "mask.nii.gz")
    laid = onto_grid(read(tmp_path / "mask.nii.gz"), image)
    assert np.array_equal(laid.data, image.data)
    assert ["as they are stored" in laid.notes[-2], "nearest neighbour" in laid.notes[-1]] == [True, True]


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
    mask = read(saved(tmp_path / "mask.nii.gz", stored, nearly))
    assert not apart(mask, image)
    assert [same_place(mask, image), same_place(mask, image, 0.01)] == [True, False]


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
