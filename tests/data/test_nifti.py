"""NIfTI as it occurs: units, time, vectors, colours, scaled integers, odd headers and broken files."""

from __future__ import annotations

import gzip
import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_seg.data import nifti
from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError

HEAD_FIRST = np.diag([-2.0, -3, -4, 1])
"""The stored axes lie as they are shown, so that the two arrays are the same but for the order of the axes."""

FEET_FIRST = np.diag([-2.0, -3, 4, 1])
"""The same with the slices the other way round, as most files have them."""


def saved(
    path: Path, data: Any, affine: Any = HEAD_FIRST, units: tuple[str, str] = ("mm", "sec"), **fields: Any
) -> Path:
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units(*units)
    for name, value in fields.items():
        image.header[name] = value
    nib.save(image, path)
    return path


def nib_saved(path: Path, image: Any) -> Path:
    nib.save(image, path)
    return path


def patched(path: Path, **fields: Any) -> Path:
    """Header fields changed in the bytes of the file, past everything nibabel would correct."""
    raw = path.read_bytes()
    header = nib.Nifti1Header(raw[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + raw[348:])
    return path


def counted(*shape: int, dtype: Any = np.int16) -> Any:
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


@pytest.mark.parametrize(("affine", "step"), [(HEAD_FIRST, 1), (FEET_FIRST, -1)], ids=["head first", "feet first"])
def test_three_axes(affine: Any, step: int, tmp_path: Path) -> None:
    data = counted(5, 4, 3)
    volume = read(saved(tmp_path / "a.nii.gz", data, affine))
    assert (volume.axes, volume.shape, volume.dtype) == ("ZYX", (3, 4, 5), np.int16)
    assert (volume.spacing, volume.unit, volume.name, volume.notes) == ((4, 3, 2), "mm", "a", ())
    assert np.array_equal(volume.data, data.transpose(2, 1, 0)[::step])
    mask = write(volume.mask((np.asarray(volume.data) % 7).astype(np.uint8)), tmp_path / "mask.nii.gz")
    assert np.array_equal(np.asarray(nib.load(mask).dataobj), data % 7)
    assert np.array_equal(nib.load(mask).affine, affine)


def test_two_axes_are_an_image_and_so_is_a_single_slice(tmp_path: Path) -> None:
    data = counted(5, 4)
    assert read(saved(tmp_path / "a.nii", data)).axes == "YX"
    volume = read(saved(tmp_path / "b.nii", data[..., None]))
    assert (volume.axes, volume.spacing) == ("YX", (3, 2))
    assert np.array_equal(volume.data, data.T)
    mask = write(volume.mask(np.ones((4, 5), np.uint8)), tmp_path / "mask.nii")
    assert nib.load(mask).shape == (5, 4, 1)


def test_a_slice_of_a_patient_has_three_dimensions_for_other_programs(tmp_path: Path) -> None:
    affine = np.array([[4.0, 0, 0, 30], [0, 0, -0.8, 15], [0, -1.5, 0, 700], [0, 0, 0, 1]])
    volume = Volume(counted(5, 4).astype(np.uint8), "YX", (1.5, 0.8), "mm", affine)
    mask = nib.load(write(volume, tmp_path / "a.nii"))
    assert mask.shape == (4, 5, 1)
    assert np.allclose(mask.affine[:, [2, 1, 0, 3]], affine)
    found = read(tmp_path / "a.nii")
    assert found.axes == "YX"
    assert np.array_equal(found.data, volume.data)
    assert nib.load(write(replace(volume, affine=None), tmp_path / "b.nii")).shape == (4, 5)


@pytest.mark.parametrize(("affine", "step"), [(HEAD_FIRST, 1), (FEET_FIRST, -1)], ids=["head first", "feet first"])
def test_a_fourth_axis_with_a_time_unit_is_time(affine: Any, step: int, tmp_path: Path) -> None:
    data = counted(5, 4, 3, 2)
    volume = read(saved(tmp_path / "a.nii", data, affine))
    assert volume.axes == "TZYX"
    assert np.array_equal(volume.data, data.transpose(3, 2, 1, 0)[:, ::step])
    mask = write(volume.mask(np.ones((2, 3, 4, 5), np.uint8)), tmp_path / "mask.nii")
    assert nib.load(mask).header["pixdim"][4] == 1
    one = write(volume.mask(np.ones((3, 4, 5), np.uint8), axes="ZYX"), tmp_path / "one.nii")
    assert nib.load(one).shape == (5, 4, 3)


@pytest.mark.parametrize("fields", [{"units": ("mm", "unknown")}, {"units": ("mm", "sec"), "step": 0.0}])
def test_a_fourth_axis_that_says_nothing_is_asked_for(fields: dict[str, Any], tmp_path: Path) -> None:
    data = counted(5, 4, 3, 2)
    path = saved(tmp_path / "a.nii", data, units=fields["units"])
    if "step" in fields:
        patched(path, pixdim=[1, 2, 3, 4, fields["step"], 0, 0, 0])
    with pytest.raises(ChoiceNeeded) as asked:
        read(path)
    assert asked.value.parameter == "axes"
    assert [choice.value for choice in asked.value.choices] == ["XYZT", "XYZC"]
    for axes, found in (("XYZT", "TZYX"), ("XYZC", "CZYX")):
        volume = read(path, axes=axes)
        assert volume.axes == found
        assert np.array_equal(volume.data, data.transpose(3, 2, 1, 0))
        again = read(write(volume.mask(np.asarray(volume.data), axes=found), tmp_path / f"{axes}.nii.gz"))
        assert (again.axes, np.array_equal(again.data, volume.data)) == (found, True)


@pytest.mark.parametrize("axes", ["XYT", "YXZT", "XYZZ", "XYZS", "XYZTC"])
def test_axes_that_do_not_fit_are_refused(axes: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", counted(5, 4, 3, 2))
    with pytest.raises(SegError, match="name the dimensions"):
        read(path, axes=axes)


def test_a_vector_is_channels(tmp_path: Path) -> None:
    data = counted(5, 4, 3, 1, 2)
    volume = read(saved(tmp_path / "a.nii", data, intent_code=1007))
    assert (volume.axes, volume.channels) == ("CZYX", ())  # no names that a file does not say
    assert np.array_equal(volume.data, data[:, :, :, 0].transpose(3, 2, 1, 0))
    both = read(saved(tmp_path / "b.nii", counted(5, 4, 3, 2, 2)))
    assert both.axes == "TCZYX"


def test_trailing_axes_of_length_one_are_dropped_and_put_back(tmp_path: Path) -> None:
    volume = read(saved(tmp_path / "a.nii", counted(5, 4, 3, 1)))
    assert volume.axes == "ZYX"
    mask = write(volume.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "mask.nii")
    assert nib.load(mask).shape == (5, 4, 3, 1)


@pytest.mark.parametrize("names", ["RGB", "RGBA"])
def test_colours(names: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 255, (5, 4, 3, len(names)), dtype=np.uint8)
    stored = np.ascontiguousarray(data).view([(name, "u1") for name in names])[..., 0]
    volume = read(saved(tmp_path / "a.nii", stored))
    assert volume.axes == "ZYXS"
    assert np.array_equal(volume.data, data.transpose(2, 1, 0, 3))
    assert np.array_equal(read(write(volume, tmp_path / "b.nii.gz")).data, volume.data)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1, 0, np.uint16), (1, -1024, np.int16), (2, 3, np.int16), (0.5, 1, np.float32)]
)
def test_slope_and_intercept(slope: float, intercept: float, dtype: Any, tmp_path: Path) -> None:
    data = counted(5, 4, 3, dtype=np.uint16)
    path = patched(saved(tmp_path / "a.nii", data), scl_slope=slope, scl_inter=intercept)
    volume = read(path)
    assert volume.dtype == dtype
    assert np.array_equal(volume.data, (data * float(slope) + intercept).transpose(2, 1, 0))
    assert np.allclose(np.asarray(nib.load(path).dataobj).T, volume.data)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf])
def test_a_slope_that_says_nothing_scales_nothing(slope: float, tmp_path: Path) -> None:
    data = counted(5, 4, 3)
    volume = read(patched(saved(tmp_path / "a.nii", data), scl_slope=slope, scl_inter=7))
    assert np.array_equal(volume.data, data.T)


def test_a_slope_beyond_whole_numbers_is_one_of_real_numbers(tmp_path: Path) -> None:
    volume = read(patched(saved(tmp_path / "a.nii", np.zeros((5, 4, 3), np.int16)), scl_slope=1e30))
    assert volume.dtype == np.float32
    assert not np.asarray(volume.data).any()


def test_voxels_that_are_not_numbers_are_kept_and_said(tmp_path: Path) -> None:
    data = counted(5, 4, 3, dtype=np.float32)
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    volume = read(saved(tmp_path / "a.nii", data))
    assert np.array_equal(volume.data, data.T, equal_nan=True)
    assert volume.notes == ("2 of 60 voxels are not a number or infinite.",)


@pytest.mark.parametrize(
    ("unit", "ours", "millimetres"), [("micron", "um", 1e-3), ("meter", "m", 1e3), ("mm", "mm", 1)]
)
def test_units_make_an_affine_in_millimetres(unit: str, ours: str, millimetres: float, tmp_path: Path) -> None:
    volume = read(saved(tmp_path / "a.nii", counted(5, 4, 3), units=(unit, "unknown")))
    assert (volume.unit, volume.spacing) == (ours, pytest.approx((4, 3, 2)))
    assert volume.affine is not None
    assert np.allclose(np.linalg.norm(volume.affine[:3, :3], axis=0), np.array((4, 3, 2)) * millimetres)
    mask = write(volume.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "mask.nii")
    assert nib.load(mask).header.get_xyzt_units()[0] == unit
    assert np.array_equal(nib.load(mask).affine, HEAD_FIRST)
    free = write(Volume(volume.data, "ZYX", volume.spacing, ours, volume.affine), tmp_path / "free.nii")
    assert np.allclose(nib.load(free).affine, HEAD_FIRST)


def test_the_sform_wins_over_another_qform_and_both_go_back(tmp_path: Path) -> None:
    data = counted(5, 4, 3)
    image = nib.Nifti1Image(data, HEAD_FIRST)
    other = np.diag([2.0, 3, 4, 1])
    other[:3, 3] = 10, 20, 30
    image.set_sform(HEAD_FIRST, 2)
    image.set_qform(other, 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert np.array_equal(volume.data, data.T)
    assert ["sform is used" in note for note in volume.notes] == [True]
    mask = nib.load(write(volume.mask((np.asarray(volume.data) % 3).astype(np.uint8)), tmp_path / "mask.nii.gz"))
    assert np.array_equal(np.asarray(mask.dataobj), data % 3)
    assert np.allclose(mask.get_qform(), other)
    assert np.array_equal(mask.get_sform(), HEAD_FIRST)
    assert (int(mask.header["qform_code"]), int(mask.header["sform_code"])) == (1, 2)


def test_a_qform_alone_is_used(tmp_path: Path) -> None:
    image = nib.Nifti1Image(counted(5, 4, 3), None)
    image.set_qform(np.diag([2.0, 3, 4, 1]), 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert np.array_equal(volume.data, counted(5, 4, 3).T[::-1, ::-1, ::-1])
    mask = nib.load(write(volume.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "mask.nii"))
    assert (int(mask.header["qform_code"]), int(mask.header["sform_code"])) == (1, 0)


@pytest.mark.parametrize("excess", [3e-7, 1e-6, 1e-4, 1.0])
def test_a_quaternion_that_is_too_long_is_made_one(excess: float, tmp_path: Path) -> None:
    image = nib.Nifti1Image(counted(5, 4, 3), None)
    image.set_qform(np.diag([-2.0, 3, -4, 1]), 1)  # half a turn about y
    nib.save(image, tmp_path / "a.nii")
    volume = read(patched(tmp_path / "a.nii", quatern_c=1 + excess))
    assert volume.notes == ()
    assert volume.affine is not None
    assert np.allclose(volume.affine, read(nib_saved(tmp_path / "b.nii", image)).affine)
    mask = write(volume.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "mask.nii")
    assert np.array_equal(read(mask).affine, volume.affine)


def test_a_quaternion_that_is_none_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", counted(5, 4, 3), qform_code=1)
    volume = read(patched(path, quatern_b=np.inf, sform_code=0))
    assert volume.affine is None
    assert any("qform of the file makes no sense" in note for note in volume.notes)


def test_without_either_form_the_sides_are_not_known(tmp_path: Path) -> None:
    data = counted(5, 4, 3)
    image = nib.Nifti1Image(data, None)
    image.header.set_zooms((2, 3, 4))
    image.header.set_xyzt_units("mm")
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert (volume.affine, volume.spacing, volume.unit, volume.orientation) == (None, (4, 3, 2), "mm", "")
    assert ["does not say how the patient lies" in note for note in volume.notes] == [True]
    mask = nib.load(write(volume.mask((np.asarray(volume.data) % 3).astype(np.uint8)), tmp_path / "mask.nii"))
    assert np.array_equal(np.asarray(mask.dataobj), data % 3)
    assert np.array_equal(mask.affine, nib.load(tmp_path / "a.nii").affine)


def test_without_a_place_another_size_of_the_voxels_is_written(tmp_path: Path) -> None:
    image = nib.Nifti1Image(counted(5, 4, 3), None)
    image.header.set_xyzt_units("mm")
    volume = read(nib_saved(tmp_path / "a.nii", image))
    larger = replace(volume, spacing=(5.0, 0.25, 0.25), unit="um")
    found = read(write(larger.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "mask.nii"))
    assert (found.affine, found.spacing, found.unit) == (None, (5.0, 0.25, 0.25), "um")


def test_a_form_without_sense_is_not_used_and_said(tmp_path: Path) -> None:
    path = patched(saved(tmp_path / "a.nii", counted(5, 4, 3)), srow_x=[0] * 4, srow_y=[0] * 4, srow_z=[0] * 4)
    volume = read(path)
    assert volume.affine is None
    assert any("sform of the file makes no sense" in note for note in volume.notes)


@pytest.mark.parametrize(
    ("steps", "spacing"), [((0, 3, 4), (4, 3, 1)), ((-2, 3, 4), (4, 3, 2)), ((np.nan, 3, 4), (4, 3, 1))]
)
def test_a_spacing_that_is_not_positive_is_said(
    steps: tuple[float, ...], spacing: tuple[float, ...], tmp_path: Path
) -> None:
    image = nib.Nifti1Image(counted(5, 4, 3), None)
    image.set_qform(np.diag([2.0, 3, 4, 1]), 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read(patched(tmp_path / "a.nii", pixdim=[1, *steps, 0, 0, 0, 0]))
    assert volume.spacing == pytest.approx(spacing)
    assert ["not positive" in note for note in volume.notes] == [True]


@pytest.mark.parametrize("dtype", [">i2", ">f4", ">f8"])
def test_big_endian_files(dtype: str, tmp_path: Path) -> None:
    data = counted(5, 4, 3).astype(dtype)
    image = nib.Nifti1Image(data, HEAD_FIRST, nib.Nifti1Header(endianness=">"))
    image.header.set_data_dtype(np.dtype(dtype))
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert volume.data.dtype.isnative
    assert np.array_equal(volume.data, data.T)


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (np.array([0, 70000], np.int64), np.uint32),
        (np.array([0, 2**40], np.uint64), np.uint64),
        (np.array([0, 255], np.uint64), np.uint8),
        (np.array([0, 1], bool), np.uint8),
        (np.array([0, 300], np.uint16), np.uint16),
        (np.array([-5, 300], np.int64), np.int64),
        (np.array([0.5, 3], np.float16), np.float32),
    ],
)
def test_the_dtype_holds_the_largest_label(data: Any, kept: Any, tmp_path: Path) -> None:
    grid = np.broadcast_to(data, (2, 3, 2)).copy()
    path = write(Volume(grid, "ZYX", (4, 3, 2), "mm", HEAD_FIRST[:, [2, 1, 0, 3]]), tmp_path / "mask.nii.gz")
    assert nib.load(path).get_data_dtype() == kept
    assert np.array_equal(read(path).data, grid)


def test_the_second_version_and_very_long_axes(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(counted(5, 4, 3), HEAD_FIRST), tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    assert isinstance(
        nib.load(write(volume.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "m.nii.gz")), nib.Nifti2Image
    )
    long = np.zeros((2, 40000), np.uint8)
    assert read(write(Volume(long, "YX", (1.0, 2.0), "um"), tmp_path / "long.nii.gz")).shape == long.shape


def test_the_same_mask_gives_the_same_bytes(tmp_path: Path) -> None:
    volume = Volume(np.ones((3, 4, 5), np.uint8), "ZYX", (4, 3, 2), "mm")
    assert write(volume, tmp_path / "a.nii.gz").read_bytes() == write(volume, tmp_path / "b.nii.gz").read_bytes()


@pytest.mark.parametrize(("affine", "step"), [(HEAD_FIRST, 1), (FEET_FIRST, -1)], ids=["head first", "feet first"])
def test_large_plain_files_are_mapped(affine: Any, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_seg.data.nifti._MAPPED_FROM", 10)
    volume = read(saved(tmp_path / "a.nii", counted(5, 4, 3), affine))
    assert isinstance(volume.data, np.memmap)
    assert np.array_equal(volume.data, counted(5, 4, 3).T[::step])


def test_a_name_that_is_wrong_about_compression(tmp_path: Path) -> None:
    plain = saved(tmp_path / "a.nii", counted(5, 4, 3)).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(plain)
    (tmp_path / "c.nii").write_bytes(gzip.compress(plain))
    for name in ("b.nii.gz", "c.nii"):
        assert np.array_equal(read(tmp_path / name).data, counted(5, 4, 3).T)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_one_sentence(part: float, suffix: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 9999, (20, 20, 20)).astype(np.int16)
    path = saved(tmp_path / f"a{suffix}", data)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(SegError, match=r"get the file anew\.$"):
        read(path)


def test_a_damaged_checksum_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii.gz", counted(20, 20, 20))
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(SegError, match="get the file anew"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [b"hello, this is text\n" * 100, gzip.compress(b"text" * 500), b"\x1f\x8b rubbish"],
    ids=["text", "text packed", "rubbish"],  # the bytes of a packed text hold the time: two workers would differ
)
def test_something_else_with_the_name_of_an_image(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(SegError, match="get the file anew"):
        read(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    "fields",
    [
        {"dim": [3, -5, 4, 3, 1, 1, 1, 1]},
        {"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]},
        {"dim": [9, 5, 4, 3, 1, 1, 1, 1]},
        {"dim": [1, 60, 1, 1, 1, 1, 1, 1]},
        {"datatype": 999},
        {"datatype": 0},
        {"datatype": 32, "bitpix": 64},
        {"vox_offset": 0},
        {"vox_offset": np.nan},
        {"vox_offset": 1e20},
    ],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_without_sense_is_one_sentence(fields: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    path = patched(saved(tmp_path / "a.nii", counted(5, 4, 3)), **fields)
    if suffix == ".nii.gz":
        packed = tmp_path / "a.nii.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    with pytest.raises(SegError):
        read(path)


@pytest.mark.parametrize("scale", [(1, 0), (2, -3), (0.5, 1)])
@pytest.mark.parametrize("dim", [(3, 0, 4, 3), (3, 5, 4, 0), (4, 5, 4, 0, 2), (4, 5, 4, 3, 0)])
def test_an_empty_image_is_refused(dim: tuple[int, ...], scale: tuple[float, float], tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii", counted(5, 4, 3))
    padded = [*dim, *[1] * (8 - len(dim))]
    with pytest.raises(SegError, match="is empty"):
        read(patched(path, dim=padded, scl_slope=scale[0], scl_inter=scale[1], xyzt_units=10))


@pytest.mark.parametrize("axes", ["TZYX", "CYX", "ZYX"])
def test_axes_of_length_one_are_refused_in_words(axes: str, tmp_path: Path) -> None:
    with pytest.raises(SegError, match="axis of length 1"):
        write(Volume(np.zeros((1,) + (3,) * (len(axes) - 1), np.uint8), axes), tmp_path / "a.nii.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_single_slice_of_whatever_axis_goes_back(order: tuple[int, ...], tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[list(order)] @ np.diag([2.0, 3, 4])
    shape = [8, 9, 10]
    shape[int(np.argmax(np.abs(affine[2, :3])))] = 1
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    image = read(saved(tmp_path / "image.nii.gz", labels.astype(np.float32), affine))
    made = write(image.mask(np.asarray(image.data).astype(np.uint8)), tmp_path / "mask.nii.gz")
    found = nib.load(made)
    np.testing.assert_array_equal(found.dataobj, labels)
    np.testing.assert_array_equal(found.affine, affine)


def test_a_volume_that_was_moved_is_not_put_back_where_it_came_from(tmp_path: Path) -> None:
    volume = read(saved(tmp_path / "a.nii", counted(5, 4, 3)))
    assert volume.affine is not None
    moved = volume.affine.copy()
    moved[:3, 3] += 5
    path = write(Volume(volume.data, "ZYX", volume.spacing, "mm", moved, source=volume.source), tmp_path / "b.nii")
    found = read(path)
    assert found.affine is not None
    assert np.allclose(found.affine, moved)


def _zeros(count: int) -> bytes:
    return gzip.compress(bytes(2**24)) * (count // 2**24)


def test_more_voxels_than_memory_are_refused_before_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((30, 40, 50), np.uint8), np.eye(4)), path)
    monkeypatch.setattr(nifti.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(
        SegError, match=r"more memory than is free; unpack it to a \.nii file, which is read in parts\.$"
    ):
        read(path)


def test_an_endless_tail_of_zeros_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    image = nib.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4))
    nib.save(image, path)
    path.write_bytes(path.read_bytes() + _zeros(2**26) + b"not gzip: never reached")
    assert np.asarray(read(path).data).all()
