"""Where a viewer shows what lies in no patient's space is written, and found again where a format can say it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError

CROPS = [
    Volume(np.eye(6, 9, dtype=np.uint8), "YX", (0.5, 0.25), "um", translate=(7.1, -3.0)),
    Volume(np.eye(6, 9, dtype=np.uint8), "YX", (3.0, 3.0), "nm", translate=(7.5, -3.0)),
    Volume(np.eye(6, 9, dtype=np.uint8), "YX", translate=(7.0, 20.0)),
    Volume(np.ones((2, 4, 6, 9), np.uint16), "TZYX", (2.0, 0.5, 0.5), "mm", translate=(4.0, 0.0, 50000.1)),
    Volume(np.ones((3, 1, 6, 9), np.float32), "CZYX", (2.0, 0.5, 0.5), "um", translate=(4.0, 1.0, 2.0)),
    Volume(np.ones((2, 3, 4, 6, 9), np.uint8), "TCZYX", (2.0, 3.0, 3.0), "pixel", translate=(4.0, 1.0, 2.0)),
]


@pytest.mark.parametrize("ending", [".ome.tif", ".tif", ".ome.zarr"])
@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: f"{crop.axes} {crop.unit}")
def test_a_crop_comes_back_where_it_was_shown(crop: Volume, ending: str, tmp_path: Path) -> None:
    image = read(write(crop, tmp_path / f"image{ending}"))
    mask = image.mask(np.zeros([image.size(axis) for axis in image.mask_axes()], np.uint8))
    for found in (image, read(write(mask, tmp_path / f"mask{ending}"))):
        assert found.translate == pytest.approx(crop.translate if found.unit == crop.unit else (0.0075, -0.003))


@pytest.mark.parametrize("name", ["mask.png", "mask.nii.gz", "mask.nrrd"])
def test_what_cannot_say_the_place_refuses_it_and_names_what_can(name: str, tmp_path: Path) -> None:
    crop = replace(CROPS[2])
    with pytest.raises(SegError, match=r"does not begin at 0 .*; end the name with \.ome\.tif or \.ome\.zarr\."):
        write(crop, tmp_path / name)
    write(replace(crop, translate=None), tmp_path / name)


def test_other_programs_find_the_place_of_each_plane(tmp_path: Path) -> None:
    path = write(CROPS[3], tmp_path / "crop.ome.tif")
    planes = tifffile.xml2dict(tifffile.tiffcomment(path))["OME"]["Image"]["Pixels"]["Plane"]
    assert [(one["TheT"], one["TheZ"], one["PositionZ"], one["PositionX"]) for one in planes] == [
        (t, z, 4.0 + 2 * z, 50000.1) for t in range(2) for z in range(4)
    ]
    assert {one["PositionXUnit"] for one in planes} == {"mm"}


def test_the_stage_of_a_microscope_leaves_its_images_and_their_masks_at_0(tmp_path: Path) -> None:
    path = tmp_path / "tile.ome.tif"
    said = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5, "Plane": {"PositionX": [71.0]}}
    tifffile.imwrite(path, np.eye(9, dtype=np.uint8), ome=True, metadata=said)
    assert read(path).translate is None
