"""TIFF files as microscopes, ImageJ, tifffile and strangers write them."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_seg.data import tiff
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError

RNG = np.random.default_rng(0)
SIZES = {"T": 3, "C": 2, "Z": 4, "Y": 20, "X": 30, "S": 3}


def picture(axes: str, dtype: type = np.uint8) -> np.ndarray:
    return (RNG.random([SIZES[axis] for axis in axes]) * 200).astype(dtype)


@pytest.mark.parametrize("axes", ["".join(c) + "YX" for r in range(4) for c in itertools.combinations("TCZ", r)])
@pytest.mark.parametrize("short", [False, True])
def test_what_is_written_is_read(tmp_path: Path, axes: str, short: bool) -> None:
    data = picture(axes, np.uint16)[tuple(slice(1) if short and axis in "TCZ" else slice(None) for axis in axes)]
    spacing = (0.5, 0.2, 0.3)[-sum(axis in "ZYX" for axis in axes) :]
    channels = ("DAPI", "GFP")[: data.shape[axes.index("C")]] if "C" in axes else ()
    tiff.write(Volume(data, axes, spacing=spacing, unit="um", channels=channels), tmp_path / "a.tif")
    found = tiff.read(tmp_path / "a.tif")
    assert (found.axes, found.spacing, found.unit, found.channels) == (axes, spacing, "um", channels)
    np.testing.assert_array_equal(found.data, data)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int16, np.uint32, np.int64, np.uint64, np.float16, np.float64])
def test_types_are_kept_or_hold_the_same_values(tmp_path: Path, dtype: type) -> None:
    data = picture("YX", np.uint8).astype(dtype)
    tiff.write(Volume(data, "YX"), tmp_path / "a.tif")
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.tif").data, data)


def test_labels_beyond_32_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="up to 4294967295"):
        tiff.write(Volume(np.full((2, 2), 2**40, np.uint64), "YX"), tmp_path / "a.tif")


def test_a_place_in_the_patient_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(SegError, match=r"\.nii\.gz"):
        tiff.write(Volume(np.zeros((2, 2), np.uint8), "YX", affine=np.eye(4)), tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("unit", "value", "spacing"),
    [("µm", 0.3, (0.3, "um")), ("nm", 300, (300, "nm")), ("mm", 0.3, (0.3, "mm")), ("cm", 0.3, (3.0, "mm")),
     ("pixel", 2, (2, "pixel")), ("µm", 0, (None, "pixel")), ("Å", 5, (0.5, "nm")),
     ("km", 5e-10, (5e-7, "m")), ("ft", 0.5, (152.4, "mm")), ("yd", 0.5, (457.2, "mm")), ("mi", 2, (3218.688, "m")),
     ("thou", 2, (0.0508, "mm")), ("pm", 5, (0.005, "nm")), ("fm", 5e6, (5, "nm")), ("Mm", 5e-12, (5e-6, "m")),
     ("dm", 5e-5, (0.005, "mm"))],
)  # fmt: skip
def test_physical_sizes_of_ome(tmp_path: Path, unit: str, value: float, spacing: tuple[float | None, str]) -> None:
    size = {f"PhysicalSize{axis}": value for axis in "XY"} | {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", picture("CYX"), metadata={"axes": "CYX", "Channel": {"Name": ["a", "b"]}, **size}
    )
    found = tiff.read(tmp_path / "a.ome.tif")
    assert found.channels == ("a", "b")
    assert found.unit == spacing[1]
    assert found.spacing is None if spacing[0] is None else found.spacing == pytest.approx((spacing[0], spacing[0]))


def test_a_spacing_without_slices_is_not_half_used(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3}
    tifffile.imwrite(tmp_path / "a.ome.tif", picture("ZYX"), metadata={"axes": "ZYX", **sizes})
    found = tiff.read(tmp_path / "a.ome.tif")
    assert found.spacing is None
    assert "none along Z" in found.notes[0]


def test_imagej_hyperstack(tmp_path: Path) -> None:
    data = picture("TZCYX", np.uint16)
    said = {"axes": "TZCYX", "spacing": 2.5, "unit": "um", "finterval": 5.0}
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(4.0, 2.0), metadata=said)
    found = tiff.read(tmp_path / "a.tif")
    assert (found.axes, found.spacing, found.unit) == ("TCZYX", (2.5, 0.5, 0.25), "um")
    np.testing.assert_array_equal(found.data, data.transpose(0, 2, 1, 3, 4))
    assert found.interval == 5


def test_a_stack_without_names_is_asked_for(tmp_path: Path) -> None:
    data = picture("ZYX")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", metadata=None)
    with pytest.raises(ChoiceNeeded) as caught:
        tiff.read(tmp_path / "a.tif")
    assert caught.value.parameter == "axes"
    assert [choice.value for choice in caught.value.choices] == ["ZYX", "TYX", "CYX"]
    assert caught.value.choices[0].title == "4 slices of 20 x 30 pixels"
    for choice in caught.value.choices:
        assert tiff.read(tmp_path / "a.tif", axes=choice.value).axes == choice.value


def test_the_answer_names_the_axes_in_the_order_of_the_file(tmp_path: Path) -> None:
    data = RNG.integers(0, 99, (4, 2, 20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    with pytest.raises(ChoiceNeeded) as caught:
        tiff.read(tmp_path / "a.tif")
    assert len(caught.value.choices) == 6
    found = tiff.read(tmp_path / "a.tif", axes="zcyx")
    assert found.axes == "CZYX"
    np.testing.assert_array_equal(found.data, data.transpose(1, 0, 2, 3))


@pytest.mark.parametrize("answer", ["YX", "ZZYX", "ZCQX", "TCZYX"])
def test_an_answer_that_cannot_be_is_refused(tmp_path: Path, answer: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 2, 20, 30), np.uint8), photometric="minisblack")
    with pytest.raises(SegError, match=r"name|again"):
        tiff.read(tmp_path / "a.tif", axes=answer)


def test_images_of_several_sizes_are_asked_for(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.ones((20, 30), np.uint8), metadata=None)
        file.write(np.full((8, 9), 2, np.uint8), metadata=None)
    with pytest.raises(ChoiceNeeded) as caught:
        tiff.read(tmp_path / "a.tif")
    assert (caught.value.parameter, [choice.value for choice in caught.value.choices]) == ("series", ["0", "1"])
    assert tiff.read(tmp_path / "a.tif", series="1").shape == (8, 9)
    with pytest.raises(SegError, match="no image '7'"):
        tiff.read(tmp_path / "a.tif", series="7")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_lie_along_s(tmp_path: Path, planar: str) -> None:
    data = picture("YXS")
    stored = data if planar == "contig" else data.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    found = tiff.read(tmp_path / "a.tif")
    assert found.axes == "YXS"
    np.testing.assert_array_equal(found.data, data)


def test_alpha_is_left_out_and_said(tmp_path: Path) -> None:
    data = RNG.integers(0, 255, (20, 30, 4), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", extrasamples=["unassalpha"])
    found = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data[..., :3])
    assert "alpha" in found.notes[0]


def test_samples_that_are_no_colours_are_channels(tmp_path: Path) -> None:
    data = RNG.integers(0, 255, (20, 30, 5), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", planarconfig="contig")
    found = tiff.read(tmp_path / "a.tif")
    assert found.axes == "CYX"
    np.testing.assert_array_equal(found.data, data.transpose(2, 0, 1))


def test_a_palette_keeps_its_numbers(tmp_path: Path) -> None:
    data = picture("YX")
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    found = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data)
    assert "palette" in found.notes[0]


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "packbits", "lzma", "none"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_compressions(tmp_path: Path, compression: str, dtype: type) -> None:
    data = picture("YX", dtype)
    tifffile.imwrite(tmp_path / "a.tif", data, compression=compression, tile=(16, 16), bigtiff=True)
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.tif").data, data)


def test_jpeg_inside_a_tiff(tmp_path: Path) -> None:
    data = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", compression="jpeg")
    assert np.abs(np.asarray(tiff.read(tmp_path / "a.tif").data).astype(int) - data).max() < 4


def test_one_bit(tmp_path: Path) -> None:
    data = picture("YX") > 100
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    found = tiff.read(tmp_path / "a.tif")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found.data, data)


@pytest.mark.parametrize(
    ("resolution", "unit", "spacing"),
    [(72, "inch", None), (300, "inch", None), (1200, "inch", None), (10, "centimeter", None),
     (50_000, "centimeter", (0.2, 0.2)), (254_000, "inch", (0.1, 0.1)), (50_000, None, None)],
)  # fmt: skip
def test_resolution_tags_are_believed_only_from_microscopes(
    tmp_path: Path, resolution: float, unit: str | None, spacing: tuple[float, float] | None
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        picture("YX"),
        resolution=(resolution, resolution),
        resolutionunit=unit or "none",
        metadata=None,
    )
    found = tiff.read(tmp_path / "a.tif")
    assert found.spacing is None if spacing is None else found.spacing == pytest.approx(spacing)
    assert found.unit == ("um" if spacing else "pixel")


def test_a_pyramid_keeps_its_levels(tmp_path: Path) -> None:
    data = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(data, subifds=2, tile=(16, 16), metadata={"axes": "YX"})
        file.write(data[::2, ::2], subfiletype=1, tile=(16, 16))
        file.write(data[::4, ::4], subfiletype=1, tile=(16, 16))
    found = tiff.read(tmp_path / "a.ome.tif")
    assert [level.shape for level in found.levels] == [(32, 32), (16, 16)]
    np.testing.assert_array_equal(found.levels[1], data[::4, ::4])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_large_images_stay_on_disk(tmp_path: Path, compression: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture("TZCYX", np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", data, metadata={"axes": "TZCYX"}, compression=compression)
    monkeypatch.setattr(tiff, "LAZY", 100)
    found = tiff.read(tmp_path / "a.ome.tif")
    assert type(found.data) is not np.ndarray
    assert found.shape == (3, 2, 4, 20, 30)
    expected = data.transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(found.data[1, 1, 2, 3:9, ::-2], expected[1, 1, 2, 3:9, ::-2])
    np.testing.assert_array_equal(found.data[..., -1], expected[..., -1])
    np.testing.assert_array_equal(np.asarray(found.data), expected)


def test_values_that_are_no_numbers_are_kept_and_said(tmp_path: Path) -> None:
    data = picture("YX", np.float32)
    data[0, :2] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "a.tif", data)
    found = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data)
    assert found.notes == ("2 values are not numbers or infinite; they were kept.",)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("tail", [1, 300, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, compression: str | None, tail: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RNG.integers(0, 255, (90, 100), dtype=np.uint8), compression=compression, metadata=None)
    whole = path.read_bytes()
    path.write_bytes(whole[: -int(tail if tail >= 1 else tail * len(whole))])
    with pytest.raises(SegError, match="again"):
        tiff.read(path)


@pytest.mark.parametrize("content", [b"this is no image", b"", b"II*\0", b"II*\0\x08\0\0\0", b"MM\0+" + bytes(40)])
def test_what_is_no_tiff_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert tiff.claims(path)
    with pytest.raises(SegError, match=r"a\.tif"):
        tiff.read(path)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("tile", "names"),
    [
        ((32, 32), ("TileOffsets", "TileByteCounts")),
        ((32, 32), ("TileOffsets",)),
        ((32, 32), ("TileByteCounts",)),
        (None, ("StripOffsets", "StripByteCounts")),
    ],
)
def test_parts_that_are_not_listed_are_not_read_as_0(
    tmp_path: Path, compression: str | None, tile: tuple[int, int] | None, names: tuple[str, ...]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((160, 96), 7, np.uint8), compression=compression, tile=tile, rowsperstrip=10)
    assert tiff.read(path).shape == (160, 96)
    with tifffile.TiffFile(path) as file:
        counts = [file.pages[0].tags[name].offset + 4 for name in names]
    whole = bytearray(path.read_bytes())
    for place in counts:
        whole[place : place + 4] = (3).to_bytes(4, "little")
    path.write_bytes(whole)
    with pytest.raises(SegError, match=r"a\.tif is damaged: it lists 3 of its 1\d .*; get the file again"):
        tiff.read(path)


@pytest.mark.parametrize("orientation", [0, 1, *range(2, 9), 9])
@pytest.mark.parametrize("axes", ["YX", "ZYX", "YXS"])
def test_an_image_that_asks_to_be_turned_is_read_as_stored_and_its_mask_asks_the_same(
    tmp_path: Path, orientation: int, axes: str
) -> None:
    data = picture(axes)
    said = {"extratags": [(274, 3, 1, orientation, False)], "photometric": "rgb" if "S" in axes else "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": axes}, **said)
    found = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.data, data)
    asks = 2 <= orientation <= 8
    assert [note for note in found.notes if "as it is stored" in note] == list(found.notes)
    assert bool(found.notes) == asks

    labels = picture(axes.removesuffix("S"))
    tiff.write(found.mask(labels), tmp_path / "mask.tif")
    np.testing.assert_array_equal(tiff.read(tmp_path / "mask.tif").data, labels)
    with tifffile.TiffFile(tmp_path / "mask.tif") as file:
        assert {page.tags.valueof(274) for page in file.pages} == {orientation if asks else None}


def test_random_damage_gives_a_sentence_or_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, picture("ZYX"), metadata={"axes": "ZYX", "PhysicalSizeX": 1.5}, compression="zlib")
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    outcomes = set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        damaged = whole.copy()
        damaged[rng.integers(0, 600 if seed % 2 else len(whole), 6)] = rng.integers(0, 256, 6)
        path.write_bytes(damaged.tobytes())
        try:
            outcomes.add(tiff.read(path).ndim)
        except SegError as error:
            outcomes.add(type(error))
    assert SegError in outcomes


def directory(width: int, height: int, *, next_at: int = 0, count: int = 16) -> bytes:
    """A little-endian TIFF with one directory at 8, whose one strip is ``count`` bytes at 200."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 200), (277, 3, 1),
            (278, 4, height), (279, 4, count)]  # fmt: skip
    body = b"".join(struct.pack("<HHII", code, kind, 1, value) for code, kind, value in tags)
    start = b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + struct.pack("<I", next_at)
    return start.ljust(200, b"\0") + bytes(range(count))


def test_a_loop_of_directories_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(directory(4, 4, next_at=8))
    assert np.asarray(tiff.read(path).data).shape == (4, 4)


@pytest.mark.parametrize(("width", "height"), [(2**31 - 1, 2**31 - 1), (200_000, 200_000), (0, 4), (4, 0)])
def test_a_size_that_cannot_be_is_refused(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(directory(width, height))
    with pytest.raises(SegError, match=r"a\.tif"):
        tiff.read(path)


def test_a_plane_in_a_missing_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, picture("ZYX"), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata
    assert xml is not None
    away = '<TiffData IFD="0" FirstZ="3" PlaneCount="1"><UUID FileName="gone.ome.tif">urn:uuid:1</UUID></TiffData>'
    xml = xml.replace('<TiffData IFD="0" PlaneCount="4"/>', f'<TiffData IFD="0" PlaneCount="3"/>{away}')
    tifffile.imwrite(path, picture("ZYX")[:3], description=xml, metadata=None, photometric="minisblack")
    found = tiff.read(path)
    assert found.shape == (4, 20, 30)
    assert any("1 of 4 planes" in note for note in found.notes)


def test_labels_written_for_a_person_are_compressed(tmp_path: Path) -> None:
    labels = np.zeros((300, 300), np.uint32)
    labels[50:100, 60:90] = 70_000
    tiff.write(Volume(labels, "YX", name="mask"), tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_ome
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert (tmp_path / "a.tif").stat().st_size < labels.nbytes / 20


@pytest.mark.parametrize(("old", "new"), [("SizeZ", "400000000"), ("PlaneCount", "400000000"), ("SizeZ", "9" * 30)])
def test_planes_beyond_number_are_refused(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, picture("ZYX"), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        xml = file.ome_metadata or ""
    tifffile.imwrite(
        path,
        picture("ZYX"),
        description=xml.replace(f'{old}="4"', f'{old}="{new}"'),
        metadata=None,
        photometric="minisblack",
    )
    with pytest.raises(SegError, match="planes"):
        tiff.read(path)


@pytest.mark.parametrize("text", [
    '{"shape": [400000000, 4, 20, 30]}', '{"shape": "x"}', '{"shape": ', "ImageJ=1.11a\nimages=x\nslices=4\n",
    "ImageJ=1.11a\nimages=400000000\nslices=400000000\nhyperstack=true\n", "<OME><Image></OME>", '{"shape": [-4, 20]}',
])  # fmt: skip
def test_broken_descriptions_give_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture("ZYX"), description=text, metadata=None, photometric="minisblack")
    with pytest.raises(SegError, match=r"a\.tif"):
        tiff.read(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_stack_of_imagej_that_was_cut_off_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((20, 30, 40), np.int16), imagej=True, metadata={"axes": "ZYX"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    with pytest.raises(SegError, match=r"(cut off|damaged).*; get the file again"):
        tiff.read(path)
