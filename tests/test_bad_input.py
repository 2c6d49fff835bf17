"""What goes wrong with files: each case ends with one plain sentence, exit code 2, and nothing changed on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume

NOISE = np.random.default_rng(0).integers(0, 255, (16, 32, 32), np.uint8)


def cut(path: Path, keep: float = 0.5) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    return path


def nothing(folder: Path) -> Path:
    return folder / "nothing.tif"


def folder_without_images(folder: Path) -> Path:
    (folder / "scans").mkdir()
    (folder / "scans" / "notes.txt").write_text("tomorrow")
    return folder / "scans"


def text_named_nifti(folder: Path) -> Path:
    path = folder / "scan.nii.gz"
    path.write_text("this is no image")
    return path


def cut_nifti(folder: Path) -> Path:
    path = folder / "scan.nii"
    nibabel.save(nibabel.Nifti1Image(NOISE, np.eye(4)), path)
    return cut(path)


def cut_compressed_nifti(folder: Path) -> Path:
    path = folder / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(NOISE, np.eye(4)), path)
    return cut(path)


def empty_nifti(folder: Path) -> Path:
    path = folder / "scan.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((0, 4, 4), np.uint8), np.eye(4)), path)
    return path


def cut_tiff(folder: Path) -> Path:
    path = folder / "stack.tif"
    tifffile.imwrite(path, NOISE, photometric="minisblack", metadata={"axes": "ZYX"})
    return cut(path)


def cut_png(folder: Path) -> Path:
    return cut(write(Volume(NOISE[0], "YX"), folder / "a.png"))


def cut_nrrd(folder: Path) -> Path:
    return cut(write(Volume(NOISE, "ZYX", (1.0, 1.0, 1.0), "mm"), folder / "scan.nrrd"))


def cut_zarr(folder: Path) -> Path:
    path = write(Volume(NOISE, "ZYX", (1.0, 1.0, 1.0), "um"), folder / "image.ome.zarr")
    cut(max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size))
    return path


def zarr_without_metadata(folder: Path) -> Path:
    path = folder / "image.ome.zarr"
    path.mkdir()
    (path / "zarr.json").write_text("{")
    return path


def cut_dicom(folder: Path) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    series = generate_uid()
    for z in range(3):
        path = folder / "series" / f"slice{z}.dcm"
        path.parent.mkdir(exist_ok=True)
        data = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID, data.SeriesInstanceUID = CTImageStorage, generate_uid(), series
        data.Modality, data.Rows, data.Columns, data.SamplesPerPixel = "CT", 32, 32, 1
        data.PhotometricInterpretation, data.BitsAllocated, data.BitsStored, data.HighBit = "MONOCHROME2", 16, 16, 15
        data.PixelRepresentation, data.PixelSpacing, data.SliceThickness = 0, [1.0, 1.0], 1.0
        data.ImagePositionPatient, data.ImageOrientationPatient = [0.0, 0.0, float(z)], [1.0, 0, 0, 0, 1.0, 0]
        data.PixelData = NOISE[z].astype(np.uint16).tobytes()
        pydicom.dcmwrite(path, data)
    cut(path)
    return path.parent


def not_a_number(folder: Path) -> Path:
    path = folder / "scan.nii"
    values = NOISE.astype(np.float32)
    values[3, 4, 5], values[6, 7, 8] = np.nan, np.inf
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return path


def colours_for_two_channels(folder: Path) -> Path:
    return write(Volume(np.stack([NOISE[0]] * 3, -1), "YXS"), folder / "colours.png")


IMAGES = [
    nothing,
    folder_without_images,
    text_named_nifti,
    cut_nifti,
    cut_compressed_nifti,
    empty_nifti,
    cut_tiff,
    cut_png,
    cut_nrrd,
    cut_zarr,
    zarr_without_metadata,
    cut_dicom,
    not_a_number,
]


@pytest.fixture
def refused(run: Callable[..., Any]) -> Callable[..., str]:
    """Run a command that a person got wrong; its one sentence."""

    def call(*words: object) -> str:
        ended = run(*words)
        assert ended.code == 2, ended.err
        assert ended.out == ""
        assert ended.err.count("\n") == 1, ended.err
        assert ended.err.rstrip().endswith("."), ended.err
        return str(ended.err)

    return call


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", IMAGES, ids=lambda make: make.__name__)
def test_image(refused, tmp_path, model_file, make):
    path = make(tmp_path)
    before = contents(tmp_path)
    said = refused("predict", path, "--model", model_file("semantic"), "--output", tmp_path / "mask.tif")
    assert path.name in said or path.stem in said
    assert contents(tmp_path) == before


def test_image_of_other_channels(refused, tmp_path, model_file):
    path = colours_for_two_channels(tmp_path)
    before = contents(tmp_path)
    said = refused("predict", path, "--model", model_file("semantic", channels=2), "--output", tmp_path / "mask.png")
    assert "channel" in said
    assert contents(tmp_path) == before


def test_labels_that_do_not_fit_their_image(refused, tmp_path):
    write(Volume(NOISE[0], "YX"), tmp_path / "images" / "a.png")
    write(Volume(np.ones((8, 8), np.uint8), "YX"), tmp_path / "labels" / "a.png")
    before = contents(tmp_path)
    said = refused("train", tmp_path, "--task", "semantic", "--steps", 1, "--output", tmp_path / "new.safetensors")
    assert said.startswith("The labels of a are another size than the image.")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("keep", [0, 4, 0.3, 0.9])
def test_cut_model(refused, tmp_path, model_file, keep):
    image = write(Volume(NOISE[0], "YX"), tmp_path / "a.png")
    model = tmp_path / "cut.safetensors"
    whole = model_file("semantic").read_bytes()
    model.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    before = contents(tmp_path)
    assert "cut.safetensors" in refused("predict", image, "--model", model, "--output", tmp_path / "mask.png")
    assert contents(tmp_path) == before


def test_output_without_a_format(refused, tmp_path, model_file):
    image = write(Volume(NOISE[0], "YX"), tmp_path / "a.png")
    (tmp_path / "mask.xyz").write_text("someone's file")
    before = contents(tmp_path)
    refused("predict", image, "--model", model_file("semantic"), "--output", tmp_path / "mask.xyz")
    assert contents(tmp_path) == before


def test_output_under_a_file(refused, tmp_path, model_file):
    image = write(Volume(NOISE[0], "YX"), tmp_path / "a.png")
    (tmp_path / "file").write_text("a file where a folder should be")
    before = contents(tmp_path)
    refused("predict", image, "--model", model_file("semantic"), "--output", tmp_path / "file" / "mask.png")
    assert contents(tmp_path) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts the whole path")
@pytest.mark.parametrize("command", ["train", "search"])
def test_the_name_of_a_model_leaves_room_for_the_names_beside_it(refused, tmp_path, command):
    for letters, said in ((235, "There is no folder"), (236, "choose a shorter name"), (242, "choose a shorter name")):
        output = tmp_path / "new" / f"{'a' * letters}.safetensors"
        assert said in refused(command, tmp_path / "data", "--task", "semantic", "--steps", 1, "--output", output)
    assert contents(tmp_path) == {}


def full_disk(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run Python code where no file may grow beyond 60 bytes, which stands for a disk that is full."""
    begin = "import resource; import torch._dynamo\n"  # older versions write a file when that is imported
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))\n"
    return subprocess.run(
        [sys.executable, "-c", begin + limit + code, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )


on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")


@on_posix
def test_disk_that_fills_up(tmp_path, model_file):
    image = write(Volume(NOISE[0], "YX"), tmp_path / "a.png")
    before = contents(tmp_path)
    words = ("predict", image, "--model", model_file("semantic"), "--output", tmp_path / "masks" / "mask.png")
    ended = full_disk("from napari_seg.cli import main; main()", *words)
    assert ended.returncode == 2, ended.stderr
    assert "could not be written" in ended.stderr
    assert contents(tmp_path) == before


@on_posix
def test_disk_that_fills_up_in_every_format(tmp_path):
    code = """
import sys
import numpy as np
from napari_seg.data.formats import FORMATS, write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
noise = np.random.default_rng(0).integers(0, 255, (16, 32, 32), np.uint8)
for suffix in (suffix for entry in FORMATS.values() if entry.writes for suffix in entry.suffixes):
    volume = Volume(noise, "ZYX", (1.0, 1.0, 1.0), "um") if suffix != ".png" else Volume(noise[0], "YX")
    try:
        write(volume, f"{sys.argv[1]}/mask{suffix}")
        print(suffix, "was written")
    except SegError as error:
        print(suffix, error)
"""
    ended = full_disk(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert len(said) > 5
    refused = (".jpg", ".jpeg", ".nhdr")
    assert all("could not be written" in line or line.startswith(refused) for line in said), ended.stdout
    assert not list(tmp_path.iterdir())
