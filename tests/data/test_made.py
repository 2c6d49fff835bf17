"""How a mask was made stands in its own file, where the library of the format finds it, and changes nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nibabel as nib
import nrrd
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_seg.data.formats import read, tells_how_made, write
from napari_seg.data.volume import MADE, Volume

SAID = {
    "program": "napari-seg 1",
    "model": 'nuclei "é" C:\\models; #1',
    "model_hash": "0f" * 32,
    "settings": {"tile": [64, 64], "threshold": None},
}


def of_nifti(path: Path) -> str:
    (extension,) = nib.load(path).header.extensions
    assert extension.get_code() == 6
    content = extension.get_content()
    return (content if isinstance(content, str) else content.decode()).rstrip("\0")


def of_nrrd(path: Path) -> str:
    return str(nrrd.read_header(str(path))[MADE]).replace("\\\\", "\\")


def of_tiff(path: Path) -> str:
    with tifffile.TiffFile(path) as file:
        assert file.ome_metadata is not None
        found = [e.text for e in ElementTree.fromstring(file.ome_metadata).iter() if e.get("K") == MADE]
    (text,) = found
    return str(text)


def of_zarr(path: Path) -> str:
    return json.dumps(zarr.open_group(path, mode="r").attrs[MADE])


def of_png(path: Path) -> str:
    with Image.open(path) as picture:
        return str(picture.info[MADE])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mask.nii", of_nifti),
        ("mask.nii.gz", of_nifti),
        ("mask.nrrd", of_nrrd),
        ("mask.tif", of_tiff),
        ("mask.ome.zarr", of_zarr),
        ("mask.png", of_png),
    ],
)
def test_the_file_says_how_it_was_made(name: str, found: Callable[[Path], str], tmp_path: Path) -> None:
    labels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    path = write(Volume(labels, "YX", made=SAID), tmp_path / name)
    assert json.loads(found(path)) == SAID
    assert tells_how_made(path)
    assert np.array_equal(np.asarray(read(path).data), labels)


@pytest.mark.parametrize("name", ["image.nii.gz", "image.nrrd", "image.tif", "image.png", "image.ome.zarr"])
def test_an_image_does_not(name: str, tmp_path: Path) -> None:
    path = write(Volume(np.arange(48, dtype=np.uint8).reshape(6, 8), "YX", name="napari-seg"), tmp_path / name)
    assert not tells_how_made(path)


def test_a_large_file_says_it_at_its_end(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 255, (1500, 1500), np.uint8)
    assert tells_how_made(write(Volume(labels, "YX", made=SAID), tmp_path / "mask.tif"))


def test_other_programs_find_the_voxels_behind_it(tmp_path: Path) -> None:
    labels = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    written = Volume(labels, "ZYX", (3.0, 2.0, 1.0), "mm", made=SAID)
    found: Any = nib.load(write(written, tmp_path / "mask.nii.gz"))
    assert np.array_equal(np.asarray(found.dataobj).T, labels)
    assert bytes(found.header["descrip"]).rstrip(b"\0") == b'napari-seg 1 nuclei "?" C:\\models; #1'
    assert np.array_equal(nrrd.read(str(write(written, tmp_path / "mask.nrrd")))[0].T, labels)


def test_the_masks_of_an_ome_zarr_say_it_each(tmp_path: Path) -> None:
    image = write(Volume(np.zeros((6, 8), np.float32), "YX"), tmp_path / "image.ome.zarr")
    mask = Volume(np.ones((6, 8), np.uint8), "YX", made=SAID)
    assert json.loads(of_zarr(write(mask, image / "labels" / "nuclei"))) == SAID
    assert MADE not in zarr.open_group(image, mode="r").attrs


def test_a_mask_does_not_inherit_it(tmp_path: Path) -> None:
    old = Volume(np.zeros((6, 8), np.uint8), "YX", made=SAID)
    assert old.mask(np.ones((6, 8), np.uint8)).made == {}
