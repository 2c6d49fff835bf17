"""DICOM headers that promise more than the file holds are refused at once, and alone spoil nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian
from test_dicom import CODECS, counted, dataset, series

from napari_seg.data.dicom_frames import BROKEN, frames_of
from napari_seg.data.dicom_jpeg import claimed_size
from napari_seg.data.formats import read
from napari_seg.errors import SegError

LOSSLESS, LS, JPEG_2000 = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"


@pytest.mark.parametrize("count", [10**4, 10**6, 2**31 - 1])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *CODECS])
def test_more_frames_than_the_file_can_hold(count: int, syntax: str, tmp_path: Path) -> None:
    folder = series(tmp_path, counted(3, 16, 20, dtype=np.uint16))
    path = folder / "lie.dcm"
    dataset(counted(16, 20, dtype=np.uint16), NumberOfFrames=count, syntax=syntax).save_as(path)
    with pytest.raises(SegError, match=r"^lie\.dcm is damaged or compressed in a way that cannot be read"):
        read(path)
    volume = read(folder)
    assert volume.shape == (3, 16, 20)
    assert volume.notes == ("1 DICOM file could not be understood and was left out.",)


def test_a_film_of_few_bytes_a_frame_is_believed(tmp_path: Path) -> None:
    flat = np.zeros((40, 16, 20), np.uint8)
    dataset(flat, NumberOfFrames=40, Modality="US").save_as(tmp_path / "native.dcm")
    assert len(frames_of(tmp_path / "native.dcm")) == 40
    made = dataset(flat[0], NumberOfFrames=40, Modality="US", syntax=LS)
    made.PixelData = encapsulate([imagecodecs.jpegls_encode(flat[0])] * 40)
    made.save_as(tmp_path / "packed.dcm")
    assert read(tmp_path / "packed.dcm").shape == (40, 16, 20)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *CODECS])
def test_more_rows_and_columns_than_the_file_can_hold(syntax: str, tmp_path: Path) -> None:
    path = tmp_path / "lie.dcm"
    dataset(counted(16, 20, dtype=np.uint16), Rows=65535, Columns=65535, syntax=syntax).save_as(path)
    with pytest.raises(SegError, match=r"^lie\.dcm is damaged or compressed"):
        read(path)


@pytest.mark.parametrize(
    ("syntax", "marker", "shift", "size"),
    [
        (JPEG_2000, b"\xff\x51", 6, struct.pack(">II", 60000, 60000)),
        (LOSSLESS, b"\xff\xc3", 5, struct.pack(">HH", 60000, 60000)),
        (LS, b"\xff\xf7", 5, struct.pack(">HH", 60000, 60000)),
    ],
)
def test_compressed_data_larger_than_the_header_says(
    syntax: str, marker: bytes, shift: int, size: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lie.dcm"
    dataset(counted(16, 20, dtype=np.uint16), syntax=syntax).save_as(path)
    assert read(path).shape == (16, 20)
    raw = path.read_bytes()
    at = raw.rindex(marker) + shift
    path.write_bytes(raw[:at] + size + raw[at + len(size) :])

    def decode(*_: Any) -> None:
        raise AssertionError("the decoder was asked, which believes the size")

    monkeypatch.setattr("napari_seg.data.dicom_jpeg.pixel_array", decode)
    with pytest.raises(SegError, match=r"^lie\.dcm is damaged or compressed"):
        read(path)


@pytest.mark.parametrize("kind", ["jpeg8", "ljpeg", "jpegls", "jpeg2k", "htj2k"])
def test_the_size_that_compressed_data_claim(kind: str) -> None:
    pixels = counted(16, 20, dtype=np.uint8)
    assert claimed_size(getattr(imagecodecs, f"{kind}_encode")(pixels)) == (16, 20)
    assert claimed_size(b"no image") == (0, 0)
    assert claimed_size(b"\xff\xd8\xff\xe0\0\0" + b"\xff" * 20) == (0, 0)


def test_a_cut_off_slice_is_missed_not_passed_over(tmp_path: Path) -> None:
    folder = series(tmp_path, counted(3, 16, 20))
    path = sorted(folder.iterdir())[0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SegError, match="is damaged"):
        read(folder)


def test_cut_off_films_and_masks_count_as_broken(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    dataset(counted(4, 16, 20), NumberOfFrames=4).save_as(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BROKEN):
        frames_of(path)
