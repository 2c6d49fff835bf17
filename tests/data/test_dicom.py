"""DICOM as scanners and archives write it: any order, several series, tilts, gaps, films, segmentations, damage."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from napari_seg.data.dicom import patient
from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError

AXIAL = (1, 0, 0, 0, 1, 0)
SERIES = "1.2.3.4"
CODECS = {
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16),
    "1.2.840.10008.1.2.4.57": lambda a: imagecodecs.ljpeg_encode(a, bitspersample=16),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k", reversible=True, level=0),
    "1.2.840.10008.1.2.4.201": lambda a: imagecodecs.htj2k_encode(a, reversible=True),
}


def dataset(pixels: Any, **tags: Any) -> FileDataset:
    """One image; tags given as ``None`` are left out."""
    meta = FileMetaDataset()
    syntax = tags.pop("syntax", ExplicitVRLittleEndian)
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    samples = pixels.shape[-1] if pixels.ndim > 2 and pixels.shape[-1] == 3 else 1
    rows, columns = pixels.shape[-3:-1] if samples == 3 else pixels.shape[-2:]
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": SERIES,
        "Modality": "CT",
        "SeriesDescription": "abdomen",
        "SeriesNumber": 3,
        "InstanceNumber": 1,
        "PatientName": "Doe^Jane",
        "PatientID": "4711",
        "Rows": rows,
        "Columns": columns,
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "BitsAllocated": pixels.dtype.itemsize * 8,
        "BitsStored": pixels.dtype.itemsize * 8,
        "HighBit": pixels.dtype.itemsize * 8 - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        **({"PlanarConfiguration": 0} if samples == 3 else {}),
        **tags,
    }
    for name, value in values.items():
        if value is not None:
            setattr(made, name, value)
    if syntax in CODECS:
        made.PixelData = encapsulate([CODECS[syntax](pixels)])
        made["PixelData"].VR = "OB"
    else:
        made.PixelData = pixels.tobytes()
        made["PixelData"].VR = "OW"
    return made


def series(
    folder: Path,
    pixels: Any,
    positions: Any = None,
    *,
    orientation: Any = AXIAL,
    spacing: Any = (0.8, 0.6),
    **tags: Any,
) -> Path:
    """Slices in files of shuffled names, the head first, with instance numbers that run the wrong way."""
    folder.mkdir(parents=True, exist_ok=True)
    if positions is None:
        positions = [(10, 20, 30 - 2.5 * k) for k in range(len(pixels))]
    names = random.Random(0).sample(range(1000, 9999), len(pixels))
    for k, plane in enumerate(pixels):
        place = {"ImagePositionPatient": list(positions[k]), "ImageOrientationPatient": list(orientation)}
        own = {name: value(k) if callable(value) else value for name, value in tags.items()}
        made = dataset(
            plane,
            **{"InstanceNumber": len(pixels) - k, "PixelSpacing": list(spacing), "SliceThickness": 2.5, **place, **own},
        )
        made.save_as(folder / f"{names[k]}{tags.get('SeriesInstanceUID', '')}.dcm", enforce_file_format=True)
    return folder


def counted(*shape: int, dtype: Any = np.int16) -> Any:
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


def value_at(volume: Volume, lps: Any) -> float:
    """The voxel at a place given in DICOM's own coordinates."""
    assert volume.affine is not None
    ras = np.array([-lps[0], -lps[1], lps[2], 1])
    index = np.linalg.inv(volume.affine) @ ras
    assert np.allclose(index[:3], np.rint(index[:3]), atol=1e-3)
    return float(np.asarray(volume.data)[tuple(np.rint(index[3 - volume.ndim : 3]).astype(int))])


def place(position: Any, orientation: Any, spacing: Any, row: int, column: int) -> Any:
    """Equation C.7.6.2.1-1 of the standard."""
    directions = np.array(orientation, float)
    return np.array(position) + directions[:3] * spacing[1] * column + directions[3:] * spacing[0] * row


@pytest.mark.parametrize("step", [-1, 1], ids=["head first", "feet first"])
def test_slices_are_ordered_by_position_and_upright(step: int, tmp_path: Path) -> None:
    data = counted(4, 5, 6)
    volume = read(series(tmp_path, data, [(10, 20, 30 + 2.5 * step * k) for k in range(4)]))
    assert (volume.axes, volume.dtype, volume.orientation, volume.unit) == ("ZYX", np.int16, "IPL", "mm")
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.6))
    assert np.array_equal(volume.data, data[::-step])
    assert value_at(volume, (10, 20, 30)) == data[0, 0, 0]
    assert (volume.notes, volume.name) == ((), "abdomen")
    assert volume.source is not None
    assert (volume.source.modality, volume.source.series) == ("CT", SERIES)


def test_axes_that_a_series_does_not_have_are_refused(tmp_path: Path) -> None:
    path = series(tmp_path, counted(4, 5, 6), [(10, 20, 30 + 2.5 * k) for k in range(4)])
    assert read(path, axes="zyx").axes == "ZYX"
    with pytest.raises(SegError, match="is DICOM with the axes ZYX, not TYX; leave the axes out"):
        read(path, axes="TYX")


@pytest.mark.parametrize(
    "orientation",
    [
        (0, 1, 0, 0, 0, -1),
        (1, 0, 0, 0, 0, -1),
        (-1, 0, 0, 0, -1, 0),
        (0.8, 0.6, 0, -0.48, 0.64, -0.6),
        (0, -1, 0, 1, 0, 0),
    ],
)
def test_every_voxel_lies_where_the_standard_says(orientation: Any, tmp_path: Path) -> None:
    data = counted(4, 5, 6)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [np.array((10, 20, 30)) - 2.5 * k * normal for k in range(4)]
    volume = read(series(tmp_path, data, positions, orientation=orientation))
    for k, row, column in np.ndindex(data.shape):
        lps = place(positions[k], orientation, (0.8, 0.6), row, column)
        assert value_at(volume, lps) == data[k, row, column]


def test_a_tilted_gantry_shears_the_volume_and_is_said(tmp_path: Path) -> None:
    tilt = np.radians(12)
    orientation = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    positions = [(0, 0, 5.0 * k) for k in range(4)]
    data = counted(4, 5, 6)
    volume = read(series(tmp_path / "ct", data, positions, orientation=orientation))
    assert ["gantry tilt of 12.0 degrees" in note for note in volume.notes if "gantry" in note] == [True]
    for k, row, column in np.ndindex(data.shape):
        assert value_at(volume, place(positions[k], orientation, (0.8, 0.6), row, column)) == data[k, row, column]
    again = read(write(volume.mask((np.asarray(volume.data) % 7).astype(np.uint8)), tmp_path / "mask.nii.gz"))
    assert value_at(again, positions[2]) == data[2, 0, 0] % 7


@pytest.mark.parametrize(
    ("heights", "words"),
    [
        ((0, 2, 4, 8, 10), "1 slice is missing between images 2 and 3; it was left empty."),
        ((0, 2, 4, 10, 12, 16), "3 slices are missing in 2 places, the first between images 3 and 4; they were left"),
        ((0, -2.0004, -3.9996, -8, -10), "1 slice is missing between images 2 and 3"),
        ((0, 2, 4, 14), "4 slices are missing between images 1 and 2"),
    ],
)
@pytest.mark.parametrize("orientation", [AXIAL, (0.8, 0.6, 0, -0.48, 0.64, -0.6)], ids=["axial", "oblique"])
def test_missing_slices_are_left_empty_and_all_others_lie_in_their_place(
    heights: Any, words: str, orientation: Any, tmp_path: Path
) -> None:
    data = counted(len(heights), 5, 6) - 7
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [np.array((10, 20, 30)) + height * normal for height in heights]
    volume = read(series(tmp_path, data, positions, orientation=orientation))
    assert volume.notes[0].startswith(words)
    assert volume.affine is not None
    for k, height in enumerate(heights):
        exact = positions[k] + (round(height) - height) * normal
        assert value_at(volume, place(exact, orientation, (0.8, 0.6), 2, 3)) == data[k, 2, 3]
    assert volume.spacing is not None
    assert sorted(volume.spacing) == pytest.approx([0.6, 0.8, 2])
    empty = np.asarray(volume.data).size - data.size
    assert np.count_nonzero(np.asarray(volume.data) == -7) == empty + 1
    assert empty > 0


def test_slices_missing_at_every_time_and_from_a_tilted_scan(tmp_path: Path) -> None:
    data = counted(8, 5, 6)
    heights = (0, 2, 4, 8)
    moments = [(0, 0, -heights[k % 4]) for k in range(8)]
    volume = read(series(tmp_path / "a", data, moments, TemporalPositionIdentifier=lambda k: k // 4))
    assert (volume.axes, volume.shape) == ("TZYX", (2, 5, 5, 6))
    assert np.array_equal(np.asarray(volume.data)[:, [0, 1, 2, 4]], data.reshape(2, 4, 5, 6))
    assert not np.asarray(volume.data)[:, 3].any()
    tilt = np.radians(12)
    orientation = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    volume = read(series(tmp_path / "b", data[:4], [(0, 0, z) for z in heights], orientation=orientation))
    assert [note.split(" ")[:4] for note in volume.notes[:2]] == [
        ["The", "slices", "are", "shifted"],
        ["1", "slice", "is", "missing"],
    ]
    for k, height in enumerate(heights):
        assert value_at(volume, (0, 0, height)) == data[k, 0, 0]


def test_the_empty_slice_of_a_padded_scan_has_the_lowest_measured_value(tmp_path: Path) -> None:
    positions = [(0, 0, -z) for z in (0, 2, 6, 8)]
    data = counted(4, 5, 6) + 100
    data[:, 0] = -2000
    volume = read(series(tmp_path / "a", data, positions, RescaleIntercept=-1024, PixelPaddingValue=-2000))
    assert (np.asarray(volume.data)[2] == data[:, 1:].min() - 1024).all()


@pytest.mark.parametrize("heights", [(0, 2, 4.7, 6, 8), (0, 5, 10, 12.5, 17.5), (0, 2, 4, 16), (0, 2, 30)])
def test_uneven_slices_are_said(heights: Any, tmp_path: Path) -> None:
    volume = read(series(tmp_path, counted(len(heights), 4, 4), [(0, 0, z) for z in heights]))
    assert len(volume.notes) == 1
    assert volume.notes[0].startswith("The distance between slices is uneven")
    assert volume.notes[0].endswith("volumes measured here are uncertain.")
    assert volume.spacing is not None
    assert volume.spacing[0] == pytest.approx((heights[-1] - heights[0]) / (len(heights) - 1))


def test_small_rounding_of_positions_is_not_a_gap(tmp_path: Path) -> None:
    heights = [-126.690002, -127.690002, -128.690001, -129.69]
    assert read(series(tmp_path, counted(4, 4, 4), [(0, 0, z) for z in heights])).notes == ()


def test_hounsfield_units_stay_whole_numbers(tmp_path: Path) -> None:
    data = counted(3, 5, 6, dtype=np.uint16)
    volume = read(series(tmp_path, data, RescaleSlope="1.000000", RescaleIntercept="-1024"))
    assert volume.dtype == np.int16
    assert np.array_equal(volume.data, data.astype(int) - 1024)


def test_a_slope_for_every_slice(tmp_path: Path) -> None:
    data = counted(3, 5, 6, dtype=np.uint16)
    volume = read(series(tmp_path, data, Modality="PT", RescaleSlope=lambda k: 0.5 + k, RescaleIntercept=0))
    assert volume.dtype == np.float32
    assert np.allclose(volume.data, data * np.array([0.5, 1.5, 2.5])[:, None, None])


def test_low_values_that_are_meant_to_be_bright_are_inverted(tmp_path: Path) -> None:
    data = counted(1, 5, 6, dtype=np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11, "WindowCenter": ["1000", "300"], "WindowWidth": ["400", "1500"]}
    volume = read(series(tmp_path, data, PhotometricInterpretation="MONOCHROME1", **tags))
    assert np.array_equal(volume.data, 4095 - data[0])
    assert any("inverted" in note for note in volume.notes)
    assert volume.source is not None
    assert volume.source.header["windows"] == ((3095, 400), (3795, 1500))


@pytest.mark.parametrize(
    ("pixels", "given"),
    [(np.int16, -2000), (np.uint16, 63536), (np.int16, 63536), (np.uint16, -2000)],
    ids=["signed", "unsigned", "unsigned of signed pixels", "signed of unsigned pixels"],
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_padding_takes_the_lowest_measured_value(pixels: Any, given: int, syntax: str, tmp_path: Path) -> None:
    data = counted(3, 5, 6, dtype=pixels)
    data[:, 0], data[0, 1, :2] = np.array(-2000).astype(pixels), 0
    folder = series(tmp_path, data, RescaleIntercept="-1024", RescaleSlope="1", syntax=syntax)
    for path in folder.iterdir():
        made = pydicom.dcmread(path)
        made.add_new(0x00280120, "SS" if given < 0 else "US", given)
        made.save_as(path)
    volume = read(folder)
    measured = data[:, 1:].astype(int) - 1024
    assert np.array_equal(volume.data[:, 1:], measured)
    assert (volume.data[:, 0] == measured.min()).all()
    stored = "-3024" if pixels == np.int16 else "62512"
    words = f"20 % of the voxels are padding outside the scanned field; they show -1024 instead of {stored}"
    assert [note.startswith(words) for note in volume.notes] == [True]


def test_padding_of_some_slices_over_a_range(tmp_path: Path) -> None:
    data = counted(2, 5, 6) + 100
    data[0, 0, :4], data[1, 0, 0] = (-2000, -1999, -1998, -900), -2000
    named = {"PixelPaddingValue": lambda k: None if k else -1998, "PixelPaddingRangeLimit": lambda k: -2000}
    volume = read(series(tmp_path, data, **named))
    assert volume.data[0, 0, :4].tolist() == [-2000, -1999, -1998, -900]  # the second slice names none: it was measured
    data[1, 0, 0] = 100
    volume = read(series(tmp_path / "again", data, **named))
    assert volume.data[0, 0, :4].tolist() == [-900] * 4
    assert ["-900 instead of -2000 to -1998" in note for note in volume.notes] == [True]


def test_a_padding_of_zero_stays_zero_and_is_said(tmp_path: Path) -> None:
    data = counted(2, 5, 6) + 7
    data[:, 0, 0] = 0
    volume = read(series(tmp_path, data, Modality="MR", PixelPaddingValue=0))
    assert np.array_equal(volume.data, data)
    assert volume.notes == ("3.3 % of the voxels are padding outside the scanned field (0).",)


def test_padding_that_is_named_but_not_there_and_nothing_but_padding(tmp_path: Path) -> None:
    assert read(series(tmp_path / "a", counted(2, 5, 6), PixelPaddingValue=-2000)).notes == ()
    volume = read(series(tmp_path / "b", np.full((2, 5, 6), -2000, np.int16), PixelPaddingValue=-2000))
    assert (volume.data == -2000).all()
    assert ["nothing to see" in note for note in volume.notes] == [True]


@pytest.mark.parametrize("syntax", [*CODECS, ImplicitVRLittleEndian])
def test_transfer_syntaxes(syntax: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 4095, (3, 16, 20)).astype(np.uint16)
    volume = read(series(tmp_path, data, syntax=syntax))
    assert np.array_equal(volume.data, data)


def test_a_single_slice_is_an_image_in_its_place(tmp_path: Path) -> None:
    data = counted(1, 5, 6)
    volume = read(series(tmp_path, data))
    assert (volume.axes, volume.orientation, volume.spacing) == ("YX", "PL", pytest.approx((0.8, 0.6)))
    assert value_at(volume, place((10, 20, 30), AXIAL, (0.8, 0.6), 2, 3)) == data[0, 2, 3]


def test_several_series_among_strays_are_asked_for(tmp_path: Path) -> None:
    series(tmp_path / "a", counted(3, 5, 6))
    series(tmp_path / "b" / "deep", counted(4, 7, 8), SeriesInstanceUID="1.2.9", SeriesNumber=2, Modality="MR")
    (tmp_path / "notes.txt").write_text("not an image")
    dataset(counted(4, 4), SeriesInstanceUID="1.5", Rows=None, Modality="SR").save_as(tmp_path / "report")
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path)
    assert asked.value.parameter == "series"
    assert [(choice.value, choice.title) for choice in asked.value.choices] == [
        ("1.2.9", "series 2: MR, abdomen, 4 slices of 8 x 7"),
        (SERIES, "series 3: CT, abdomen, 3 slices of 6 x 5"),
    ]
    assert read(tmp_path, series="1.2.9").shape == (4, 7, 8)
    assert read(next((tmp_path / "a").iterdir())).shape == (3, 5, 6)
    with pytest.raises(ChoiceNeeded, match=r"no series 7\.7"):
        read(tmp_path, series="7.7")


def test_directions_in_one_series_are_kept_apart(tmp_path: Path) -> None:
    series(tmp_path / "a", counted(2, 5, 6))
    series(tmp_path / "b", counted(3, 5, 6), [(k, 0, 0) for k in range(3)], orientation=(0, 1, 0, 0, 0, -1))
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path)
    assert [choice.value for choice in asked.value.choices] == [f"{SERIES}#1", f"{SERIES}#2"]
    assert read(tmp_path, series=f"{SERIES}#1").shape == (2, 5, 6)
    assert read(next((tmp_path / "b").iterdir())).grid[0] == 5  # sagittal slices turned upright


def test_a_localizer_in_the_series_is_left_out_and_said(tmp_path: Path) -> None:
    series(tmp_path / "a", counted(3, 5, 6), ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    series(tmp_path / "b", counted(1, 9, 9), [(0, 0, 0)], orientation=(0, 1, 0, 0, 0, -1), ImageType=scout)
    volume = read(tmp_path)
    assert volume.shape == (3, 5, 6)
    assert volume.notes == ("A localizer in the same series was left out.",)


def test_copies_are_left_out_and_said(tmp_path: Path) -> None:
    series(tmp_path / "a", counted(3, 5, 6))
    first = sorted((tmp_path / "a").iterdir())[0]
    (tmp_path / "a" / "copy.dcm").write_bytes(first.read_bytes())
    volume = read(tmp_path)
    assert volume.shape == (3, 5, 6)
    assert volume.notes == ("1 image is there more than once; the copy was left out.",)


def test_the_same_places_at_several_times_are_a_time_axis(tmp_path: Path) -> None:
    data = counted(6, 5, 6)
    positions = [(0, 0, k % 3) for k in range(6)]
    volume = read(series(tmp_path, data, positions, TemporalPositionIdentifier=lambda k: 10 - k // 3))
    assert volume.axes == "TZYX"
    assert np.array_equal(volume.data, np.stack([data[3:][::-1], data[:3][::-1]]))  # each with the head first


def test_echoes_are_different_images(tmp_path: Path) -> None:
    data = counted(6, 5, 6)
    positions = [(0, 0, -(k % 3)) for k in range(6)]
    series(tmp_path, data, positions, Modality="MR", EchoTime=lambda k: 4.9 if k < 3 else 9.8)
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path)
    assert [choice.title for choice in asked.value.choices] == [
        "series 3: MR, abdomen (echo time 4.9), 3 slices of 6 x 5",
        "series 3: MR, abdomen (echo time 9.8), 3 slices of 6 x 5",
    ]
    assert np.array_equal(read(tmp_path, series=asked.value.choices[1].value).data, data[3:])


def test_acquisitions_that_overlap_are_different_volumes(tmp_path: Path) -> None:
    heights = [0, 1, 2, 3, 2, 3, 4, 5, 6]
    positions = [(0, 0, z) for z in heights]
    series(
        tmp_path,
        counted(9, 5, 6),
        positions,
        AcquisitionNumber=lambda k: 1 + (k > 3),
        AcquisitionTime=lambda k: f"12000{k}",
    )
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path)
    assert [read(tmp_path, series=choice.value).grid[0] for choice in asked.value.choices] == [4, 5]


@pytest.mark.parametrize("tilt", [0.0, 2.3], ids=["straight", "tilted gantry"])
def test_two_fields_of_view_at_the_same_heights_are_two_volumes(tilt: float, tmp_path: Path) -> None:
    data = counted(9, 5, 6)
    positions = [(x, tilt * k, -3 * k) for x, slices in ((-120, 4), (40, 5)) for k in range(slices)]
    series(tmp_path, data, positions, Modality="MR")
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path)
    assert [choice.title for choice in asked.value.choices] == [
        f"series 3: MR, abdomen (field of view {number}), {slices} slices of 6 x 5"
        for number, slices in ((1, 4), (2, 5))
    ]
    volumes = [read(tmp_path, series=choice.value) for choice in asked.value.choices]
    for k, position in enumerate(positions):
        assert value_at(volumes[k >= 4], place(position, AXIAL, (0.8, 0.6), 2, 3)) == data[k, 2, 3]


def test_fields_of_view_are_told_apart_before_echoes(tmp_path: Path) -> None:
    positions = [(x, 0, -3 * k) for x in (-120, 40) for k in range(3)] * 2
    series(tmp_path, counted(12, 5, 6), positions, Modality="MR", EchoTime=lambda k: 4.9 if k < 6 else 9.8)
    with pytest.raises(ChoiceNeeded) as asked:
        read(tmp_path)
    assert [choice.title.partition("(")[2].partition(")")[0] for choice in asked.value.choices] == [
        f"field of view {field}, echo time {echo}" for field in (1, 2) for echo in (4.9, 9.8)
    ]


def test_slices_that_share_one_uid_are_no_copies(tmp_path: Path) -> None:
    volume = read(series(tmp_path, counted(4, 5, 6), SOPInstanceUID="1.2.3"))
    assert np.array_equal(volume.data, counted(4, 5, 6))
    assert volume.notes == ()


def test_a_mosaic_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="mosaic"):
        read(series(tmp_path, counted(1, 5, 6), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]))


def test_images_at_the_same_places_without_a_reason(tmp_path: Path) -> None:
    positions = [(0, 0, k % 3) for k in range(6)]
    volume = read(series(tmp_path / "a", counted(6, 5, 6), positions, InstanceNumber=lambda k: k))
    assert (volume.shape, volume.axes) == ((2, 3, 5, 6), "TZYX")
    assert ["nothing says how they differ" in note for note in volume.notes] == [True]
    volume = read(
        series(tmp_path / "b", counted(4, 5, 6), [(0, 0, z) for z in (0, -1, -2, -2)], InstanceNumber=lambda k: k)
    )
    assert np.array_equal(volume.data, counted(4, 5, 6)[:3])
    assert [note.startswith("1 image lies where another one lies already") for note in volume.notes] == [True]


def test_slices_without_positions_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    none = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    data = counted(3, 5, 6)
    volume = read(series(tmp_path, data, **none))
    assert (volume.axes, volume.affine, volume.spacing) == ("ZYX", None, (2.5, 0.8, 0.6))
    assert np.array_equal(volume.data, data[::-1])
    assert ["order of their numbers" in note for note in volume.notes] == [True]


def test_values_that_are_no_numbers_and_missing_tags(tmp_path: Path) -> None:
    folder = series(tmp_path, counted(3, 5, 6), SeriesDescription=None, SeriesNumber=None, SOPInstanceUID="")
    for path in folder.iterdir():
        made = pydicom.dcmread(path)
        made.add_new("WindowCenter", "DS", "40")
        raw = path.read_bytes().replace(b"\x10\x28\x00\x50", b"\x10\x28\x00\x50")
        path.write_bytes(raw.replace(b"DS\x04\x002.5 ", b"DS\x04\x00abc "))
    volume = read(folder)
    assert volume.shape == (3, 5, 6)
    assert volume.name == folder.name


@pytest.mark.parametrize("nothing", ["None", "N/A", "unknown", " NONE "])
def test_a_description_that_an_anonymiser_left_is_no_name(tmp_path: Path, nothing: str) -> None:
    folder = series(tmp_path / "ct", counted(3, 5, 6), SeriesDescription=nothing, ProtocolName="thorax")
    assert read(folder).name == "thorax"
    folder = series(tmp_path / "mr", counted(3, 5, 6), SeriesDescription=nothing, ProtocolName=nothing)
    assert read(folder).name == "mr"
    folder = series(tmp_path / "pet", counted(3, 5, 6), SeriesDescription="none of the contrast agent")
    assert read(folder).name == "none of the contrast agent"


def test_files_without_preamble_and_without_a_suffix(tmp_path: Path) -> None:
    folder = series(tmp_path, counted(3, 5, 6), syntax=ImplicitVRLittleEndian)
    for path in list(folder.iterdir()):
        made = pydicom.dcmread(path)
        bare = Dataset()
        bare.update(made)
        pydicom.dcmwrite(tmp_path / path.stem, bare, implicit_vr=True, little_endian=True)
        path.unlink()
    assert np.array_equal(read(folder).data, counted(3, 5, 6))


def test_a_preamble_that_begins_like_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "IM0001"
    made = dataset(counted(4, 5))
    made.preamble = b"II*\0" + b"\0" * 124
    made.save_as(path)
    assert np.array_equal(read(path).data, counted(4, 5))


def test_photographs_and_films(tmp_path: Path) -> None:
    colours = counted(5, 6, 3, dtype=np.uint8)
    dataset(colours, Modality="US").save_as(tmp_path / "photo.dcm")
    volume = read(tmp_path / "photo.dcm")
    assert (volume.axes, volume.affine, volume.spacing) == ("YXS", None, None)
    assert np.array_equal(volume.data, colours)
    film = counted(4, 5, 6, dtype=np.uint8)
    dataset(film, Modality="XA", NumberOfFrames=4, ImagerPixelSpacing=[0.3, 0.3]).save_as(tmp_path / "film.dcm")
    volume = read(tmp_path / "film.dcm")
    assert (volume.axes, volume.spacing) == ("TYX", (0.3, 0.3))
    assert np.array_equal(volume.data, film)
    assert any("at the detector" in note for note in volume.notes)


def test_ultrasound_regions_give_the_spacing(tmp_path: Path) -> None:
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.05, 0.04
    made = dataset(counted(5, 6, dtype=np.uint8), Modality="US", SequenceOfUltrasoundRegions=Sequence([region]))
    made.save_as(tmp_path / "us.dcm")
    assert read(tmp_path / "us.dcm").spacing == pytest.approx((0.4, 0.5))


def item(**tags: Any) -> Dataset:
    made = Dataset()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def enhanced(pixels: Any, positions: Any, segments: Any = None, **tags: Any) -> FileDataset:
    shared = item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=list(AXIAL))]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[0.8, 0.6], SliceThickness=2.5, SpacingBetweenSlices=2.5)]),
    )
    frames = []
    for k, position in enumerate(positions):
        frame = item(PlanePositionSequence=Sequence([item(ImagePositionPatient=list(position))]))
        if segments is None:
            value = item(RescaleSlope=2, RescaleIntercept=-10, RescaleType="US")
            frame.PixelValueTransformationSequence = Sequence([value])
        else:
            frame.SegmentIdentificationSequence = Sequence([item(ReferencedSegmentNumber=segments[k])])
        frames.append(frame)
    made = dataset(pixels, NumberOfFrames=len(pixels), **tags)
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    return made


def test_an_enhanced_file_of_many_frames(tmp_path: Path) -> None:
    data = counted(4, 5, 6, dtype=np.uint16)
    positions = [(0, 0, z) for z in (7.5, 0, 5, 2.5)]
    enhanced(data, positions, Modality="MR").save_as(tmp_path / "many.dcm")
    volume = read(tmp_path / "many.dcm")
    assert (volume.axes, volume.spacing) == ("ZYX", pytest.approx((2.5, 0.8, 0.6)))
    assert np.array_equal(volume.data, data[[0, 2, 3, 1]].astype(int) * 2 - 10)
    assert value_at(volume, (0, 0, 5)) == data[2, 0, 0] * 2.0 - 10


def segmentation(path: Path, planes: Any, positions: Any, segments: Any, kind: str = "BINARY", **tags: Any) -> Path:
    """``planes`` are bool (one bit each in the file) or the values that the file holds."""
    bits = planes.dtype == bool
    stored = planes.astype(np.uint8) if bits else planes
    packed = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0} if bits else {}
    made = enhanced(stored, positions, segments, Modality="SEG", SegmentationType=kind, **packed, **tags)
    made.SegmentSequence = Sequence(
        [item(SegmentNumber=n, SegmentLabel=name) for n, name in ((1, "liver"), (2, "spleen"))]
    )
    if bits:
        data = np.packbits(stored.ravel(), bitorder="little").tobytes()
        made.PixelData = data + b"\0" * (len(data) % 2)
    made.save_as(path)
    return path


@pytest.mark.parametrize("step", [1, -1], ids=["head first", "feet first"])
def test_a_segmentation_puts_its_frames_back_in_place(step: int, tmp_path: Path) -> None:
    planes = np.zeros((3, 5, 8), bool)
    planes[0, 1, 2], planes[1, 3, 3], planes[2, 4, 4:6] = True, True, True
    positions = [(0, 0, 10), (0, 0, 2.5), (0, 0, 2.5)]
    volume = read(segmentation(tmp_path / "seg.dcm", planes[::step], positions[::step], [1, 1, 2][::step]))
    assert (volume.axes, volume.shape, volume.orientation) == ("ZYX", (4, 5, 8), "IPL")
    assert np.array_equal(volume.data[0] == 1, planes[0])
    assert np.array_equal(volume.data[3], planes[1] + 2 * planes[2])
    assert value_at(volume, place((0, 0, 10), AXIAL, (0.8, 0.6), 1, 2)) == 1
    assert value_at(volume, place((0, 0, 2.5), AXIAL, (0.8, 0.6), 4, 5)) == 2
    assert np.count_nonzero(volume.data) == 4
    assert volume.source is not None
    assert volume.source.header["classes"] == {1: "liver", 2: "spleen"}


def test_overlapping_segments_become_planes(tmp_path: Path) -> None:
    planes = np.ones((2, 5, 8), bool)
    volume = read(segmentation(tmp_path / "seg.dcm", planes, [(0, 0, 2.5), (0, 0, 2.5)], [1, 2]))
    assert (volume.axes, volume.channels, volume.shape) == ("CZYX", ("liver", "spleen"), (2, 1, 5, 8))


@pytest.mark.parametrize(("meaning", "word"), [("PROBABILITY", "probabilities"), ("OCCUPANCY", "occupied fractions")])
@pytest.mark.parametrize("most", [255, 100, 1])
def test_fractions_are_cut_at_half_of_their_maximum(meaning: str, word: str, most: int, tmp_path: Path) -> None:
    planes = np.zeros((3, 5, 8), np.uint8)
    half = -(-most // 2)
    planes[0, 1, 2:5], planes[2, 4, 4] = (half - 1, half, most), most
    places = [(0, 0, 5), (0, 0, 2.5), (0, 0, 2.5)]
    tags = {"SegmentationFractionalType": meaning, "MaximumFractionalValue": most}
    volume = read(segmentation(tmp_path / "seg.dcm", planes, places, [1, 1, 2], "FRACTIONAL", **tags))
    assert volume.axes == "ZYX"
    assert np.array_equal(np.argwhere(volume.data), [[0, 1, 3], [0, 1, 4], [1, 4, 4]])
    assert volume.data[0, 1, 3] == 1
    assert volume.data[1, 4, 4] == 2
    assert volume.notes == (f"The segmentation holds {word} of voxels; voxels of at least one half were taken.",)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("background", [None, 0, 200])
def test_a_label_map_is_taken_as_it_is(dtype: type, background: int | None, tmp_path: Path) -> None:
    planes = np.full((3, 5, 8), background or 0, dtype)
    planes[0, 1, 2], planes[1, 3, 3:5], planes[2, 0, 0] = 1, (2, np.iinfo(dtype).max), 1
    label_map = UID("1.2.840.10008.5.1.4.1.1.66.7")
    path = segmentation(
        tmp_path / "seg.dcm", planes, [(0, 0, 0), (0, 0, 2.5), (0, 0, 5)], None, "LABELMAP", SOPClassUID=label_map,
        PixelPaddingValue=background,
    )  # fmt: skip
    volume = read(path)
    assert (volume.axes, volume.dtype, volume.notes, volume.orientation) == ("ZYX", dtype, (), "IPL")
    assert np.array_equal(volume.data, np.where(planes == (background or 0), 0, planes)[::-1])
    assert value_at(volume, place((0, 0, 2.5), AXIAL, (0.8, 0.6), 3, 4)) == np.iinfo(dtype).max
    assert volume.source is not None
    assert volume.source.header["classes"] == {1: "liver", 2: "spleen"}


@pytest.mark.parametrize(
    ("kind", "positions", "segments"),
    [
        ("CONTOUR", [(0, 0, 0), (0, 0, 5)], [1, 1]),
        ("BINARY", [(0, 0, 0), (0, 0, 0)], [1, 1]),
        ("LABELMAP", [(0, 0, 0), (0, 0, 0)], None),
        ("BINARY", [(0, 0, 0), (0, 0, 5)], None),
    ],
    ids=["of an unknown kind", "twice at one place", "label maps at one place", "without segments"],
)
def test_segmentations_that_could_be_misread_are_refused(
    kind: str, positions: Any, segments: Any, tmp_path: Path
) -> None:
    path = segmentation(tmp_path / "seg.dcm", np.ones((2, 5, 8), np.uint8), positions, segments, kind)
    with pytest.raises(SegError, match=r"rare kind; export it as NIfTI or NRRD\.$"):
        read(path)


def test_a_mask_of_a_series_lies_where_the_series_lies(tmp_path: Path) -> None:
    orientation = (0.8, 0.6, 0, -0.48, 0.64, -0.6)
    normal = np.cross(orientation[:3], orientation[3:])
    positions = [np.array((10, 20, 30)) + 2.5 * k * normal for k in range(4)]
    volume = read(series(tmp_path / "mr", counted(4, 5, 6), positions, orientation=orientation))
    for suffix in (".nii.gz", ".nrrd"):
        mask = read(write(volume.mask((np.asarray(volume.data) % 9).astype(np.uint8)), tmp_path / f"mask{suffix}"))
        assert np.array_equal(mask.data, np.asarray(volume.data) % 9)
        assert value_at(mask, positions[3]) == counted(4, 5, 6)[3, 0, 0] % 9


def test_name_and_number_of_the_patient_are_read_on_demand_and_kept_nowhere(tmp_path: Path) -> None:
    volume = read(series(tmp_path, counted(3, 5, 6), WindowCenter=["40", "300"], WindowWidth=["400", "1500"]))
    assert volume.source is not None
    assert patient(volume.source.path, series=volume.source.series) == {"name": "Doe^Jane", "id": "4711"}
    assert "Jane" not in repr(volume)
    assert "4711" not in repr(volume)
    assert volume.source.header["windows"] == ((40, 400), (300, 1500))


def test_a_directory_file_opens_its_folder(tmp_path: Path) -> None:
    series(tmp_path / "images", counted(3, 5, 6))
    made = dataset(counted(2, 2), Rows=None)
    made.save_as(tmp_path / "DICOMDIR")
    assert read(tmp_path / "DICOMDIR").shape == (3, 5, 6)


def test_broken_files_beside_whole_ones_are_left_out_and_said(tmp_path: Path) -> None:
    folder = series(tmp_path, counted(3, 5, 6))
    (folder / "broken").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff" + b"x" * 50)
    volume = read(folder)
    assert volume.shape == (3, 5, 6)
    assert ["could not be understood" in note for note in volume.notes] == [True]


def test_broken_pixels_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    dataset(counted(50, 60), ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=list(AXIAL)).save_as(path)
    whole = path.read_bytes()
    for part in (0.99, 0.5, 0.05):
        path.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(SegError, match=r"\.$"):
            read(path)
    made = dataset(counted(5, 6))
    del made.PixelData
    made.save_as(path)
    with pytest.raises(SegError, match="no pixels"):
        read(path)
    path.write_text("this is text")
    with pytest.raises(SegError):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(SegError):
        read(path)


def test_a_file_and_a_folder_without_images(tmp_path: Path) -> None:
    dataset(counted(2, 2), Rows=None).save_as(tmp_path / "report.dcm")
    with pytest.raises(SegError, match="holds no image"):
        read(tmp_path / "report.dcm")
    with pytest.raises(SegError, match="hold no image"):
        read(tmp_path)


def test_masks_are_not_written_as_dicom(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="does not say the format"):
        write(Volume(np.zeros((3, 3), np.uint8), "YX"), tmp_path / "mask.dcm")
