"""NRRD: spaces, directions, kinds of axes, encodings and broken files."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError


def counted(*shape: int, dtype: Any = np.int16) -> Any:
    return np.arange(np.prod(shape)).astype(dtype).reshape(shape)


def saved(path: Path, data: Any, header: dict[str, str], body: bytes | None = None) -> Path:
    """An NRRD file as text and raw bytes, so that nothing but this test decides what is in it."""
    lines = {
        "type": {"i2": "int16", "u1": "uint8", "f4": "float"}[data.dtype.str[1:]],
        "dimension": str(data.ndim),
        "sizes": " ".join(map(str, data.shape)),
        "endian": "little",
        "encoding": "raw",
        **header,
    }
    text = "NRRD0005\n# a comment\n" + "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\n"
    path.write_bytes(text.encode() + (data.tobytes(order="F") if body is None else body))
    return path


SPACE = {
    "space": "left-posterior-superior",
    "space directions": "(2,0,0) (0,3,0) (0,0,4)",
    "space origin": "(10,20,30)",
    "kinds": "domain domain domain",
}


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (-1, -1, 1)),
        ("LPS", (-1, -1, 1)),
        ("RAS", (1, 1, 1)),
        ("right-anterior-superior", (1, 1, 1)),
        ("LAS", (-1, 1, 1)),
    ],
)
def test_every_space_of_the_patient(space: str, signs: tuple[int, ...], tmp_path: Path) -> None:
    data = counted(5, 4, 3)
    volume = read(saved(tmp_path / "a.nrrd", data, {**SPACE, "space": space}))
    assert (volume.axes, volume.shape, volume.spacing, volume.unit) == ("ZYX", (3, 4, 5), (4, 3, 2), "mm")
    assert volume.orientation == "IPL"
    assert volume.affine is not None
    for index in ((0, 0, 0), (4, 3, 2), (1, 2, 0)):
        world = np.array(signs) * (np.array((10, 20, 30)) + np.array((2, 3, 4)) * index)
        z, y, x = np.rint(np.linalg.inv(volume.affine) @ [*world, 1])[:3].astype(int)
        assert volume.data[z, y, x] == data[index]


def test_left_handed_directions_and_the_way_back(tmp_path: Path) -> None:
    header = {**SPACE, "space directions": "(0.78125,0,0) (0,-0.78125,0) (0,0.1,6.5)"}
    data = counted(5, 4, 3)
    path = saved(tmp_path / "a.nrrd", data, header)
    volume = read(path)
    mask = write(volume.mask((np.asarray(volume.data) % 3).astype(np.uint8)), tmp_path / "mask.nrrd")
    stored, found = nrrd.read(str(mask))
    original = nrrd.read_header(str(path))
    assert np.array_equal(stored, data % 3)
    for name in ("space", "space directions", "space origin", "kinds"):
        assert np.array_equal(found[name], original[name]), name


@pytest.mark.parametrize(
    ("kinds", "directions", "shape", "axes"),
    [
        ("list domain domain domain", "none (2,0,0) (0,3,0) (0,0,4)", (2, 5, 4, 3), "CZYX"),
        ("domain domain domain list", "(2,0,0) (0,3,0) (0,0,4) none", (5, 4, 3, 2), "CZYX"),
        ("vector domain domain domain", "none (2,0,0) (0,3,0) (0,0,4)", (2, 5, 4, 3), "CZYX"),
        ("domain domain domain time", "(2,0,0) (0,3,0) (0,0,4) none", (5, 4, 3, 2), "TZYX"),
        ("space space space", "(2,0,0) (0,3,0) (0,0,4)", (5, 4, 3), "ZYX"),
        ("domain domain", "(2,0,0) (0,3,0)", (5, 4), "YX"),
    ],
)
@pytest.mark.parametrize("feet_first", [False, True])
def test_kinds_name_the_axes(
    kinds: str, directions: str, shape: tuple[int, ...], axes: str, feet_first: bool, tmp_path: Path
) -> None:
    data = counted(*shape)
    slices = "(0,0,4)" if feet_first else "(0,0,-4)"
    directions = directions.replace("(0,0,4)", slices)
    volume = read(saved(tmp_path / "a.nrrd", data, {**SPACE, "kinds": kinds, "space directions": directions}))
    assert volume.axes == axes
    spatial = [k for k, kind in enumerate(kinds.split()) if kind in ("domain", "space")]
    other = [k for k in range(len(shape)) if k not in spatial]
    stored = data.transpose(other + spatial[::-1])
    assert np.array_equal(volume.data, np.flip(stored, -3) if feet_first and "Z" in axes else stored)
    assert np.array_equal(read(write(volume, tmp_path / "b.nrrd")).data, volume.data)


@pytest.mark.parametrize(("kind", "samples"), [("RGB-color", 3), ("RGBA-color", 4), ("3-color", 3)])
def test_colours(kind: str, samples: int, tmp_path: Path) -> None:
    data = counted(samples, 5, 4, dtype=np.uint8)
    volume = read(saved(tmp_path / "a.nrrd", data, {"kinds": f"{kind} domain domain"}))
    assert (volume.axes, volume.affine, volume.spacing) == ("YXS", None, None)
    assert np.array_equal(volume.data, data.transpose(2, 1, 0))
    assert np.array_equal(read(write(volume, tmp_path / "b.nrrd")).data, volume.data)


def test_spacings_without_a_space(tmp_path: Path) -> None:
    header = {"spacings": "0.5 0.5 2", "units": '"um" "um" "um"', "kinds": "domain domain domain"}
    volume = read(saved(tmp_path / "a.nrrd", counted(5, 4, 3), header))
    assert (volume.spacing, volume.unit, volume.affine) == ((2, 0.5, 0.5), "um", None)
    again = read(write(volume, tmp_path / "b.nrrd"))
    assert (again.spacing, again.unit, again.axes) == (volume.spacing, volume.unit, "ZYX")


def test_another_space_has_spacing_but_no_sides(tmp_path: Path) -> None:
    volume = read(saved(tmp_path / "a.nrrd", counted(5, 4, 3), {**SPACE, "space": "3D-right-handed"}))
    assert (volume.affine, volume.spacing) == (None, (4, 3, 2))
    assert ["how the patient lies" in note for note in volume.notes] == [True]


FLAT = {"space directions": "(0,0.5) (-0.7,0)", "space origin": "(100,-50)", "kinds": "domain domain"}
TURNED = {**SPACE, "space directions": "(0,0.6,0) (-0.7,0,0.1) (0.1,0,2.1)"}


@pytest.mark.parametrize(
    ("shape", "header"),
    [
        ((5, 4), {"space dimension": "2", **FLAT}),
        ((5, 4), {"space dimension": "2", **FLAT, "space units": '"um" "um"'}),
        ((5, 4), {"space": "scanner-xyz", **FLAT, "space directions": "(0,0.5,0) (0,0,2)", "space origin": "(9,-8,7)"}),
        ((5, 4, 3), {**TURNED, "space": "scanner-xyz"}),
        ((5, 4, 3), {**TURNED, "space": "3D-right-handed", "space units": '"mm" "mm" "mm"'}),
        ((5, 4, 3), {"space dimension": "3", **{name: TURNED[name] for name in TURNED if name != "space"}}),
        ((5, 4, 3), {"space dimension": "3", "space directions": TURNED["space directions"], "kinds": TURNED["kinds"]}),
    ],
)
def test_a_mask_goes_back_into_a_space_that_is_no_patients(
    shape: tuple[int, ...], header: dict[str, str], tmp_path: Path
) -> None:
    fields = ("space", "space dimension", "space directions", "space origin", "space units", "sizes")
    path = saved(tmp_path / "a.nrrd", counted(*shape), header)
    volume = read(path)
    mask = volume.mask((np.asarray(volume.data) % 7).astype(np.uint8))
    data, found = nrrd.read(str(write(mask, tmp_path / "mask.nrrd")))
    wanted = nrrd.read_header(str(path))
    assert {name: str(found.get(name)) for name in fields} == {name: str(wanted.get(name)) for name in fields}
    assert np.array_equal(data, counted(*shape) % 7)
    smaller = replace(mask, data=mask.data[1:])
    assert "space origin" not in nrrd.read_header(str(write(smaller, tmp_path / "smaller.nrrd")))


def test_a_mask_that_lost_its_place_in_another_space_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = read(saved(tmp_path / "a.nrrd", counted(5, 4), {"space dimension": "2", **FLAT}))
    monkeypatch.setattr("napari_seg.data.nrrd_file.grid_of_source", lambda volume: None)
    with pytest.raises(SegError, match="came back different"):
        write(volume.mask(np.ones((4, 5), np.uint8)), tmp_path / "mask.nrrd")
    assert not (tmp_path / "mask.nrrd").exists()


def test_space_units_make_an_affine_in_millimetres(tmp_path: Path) -> None:
    volume = read(saved(tmp_path / "a.nrrd", counted(5, 4, 3), {**SPACE, "space units": '"um" "um" "um"'}))
    assert (volume.unit, volume.spacing) == ("um", pytest.approx((4, 3, 2)))
    assert volume.affine is not None
    assert np.allclose(np.linalg.norm(volume.affine[:3, :3], axis=0), (4e-3, 3e-3, 2e-3))
    mask = write(volume.mask(np.ones((3, 4, 5), np.uint8)), tmp_path / "mask.nrrd")
    assert nrrd.read_header(str(mask))["space units"] == ["um"] * 3


@pytest.mark.parametrize(
    ("shape", "header", "values"),
    [
        ((5, 4, 3), {}, ["XYZ", "XYT", "XYC", "CXY"]),
        ((5, 4, 3, 2), {}, ["XYZT", "XYZC", "CXYZ", "XYTC"]),
        (
            (5, 4, 3, 2),
            {"space": "LPS", "space directions": "(2,0,0) (0,3,0) (0,0,4) none"},
            ["XYZT", "XYZC"],
        ),
        (
            (2, 5, 4, 3),
            {**SPACE, "kinds": "??? domain domain domain", "space directions": "none (2,0,0) (0,3,0) (0,0,4)"},
            ["TXYZ", "CXYZ"],
        ),
    ],
)
def test_axes_that_are_not_named_are_asked_for(
    shape: tuple[int, ...], header: dict[str, str], values: list[str], tmp_path: Path
) -> None:
    path = saved(tmp_path / "a.nrrd", counted(*shape), header)
    with pytest.raises(ChoiceNeeded) as asked:
        read(path)
    assert asked.value.parameter == "axes"
    assert [choice.value for choice in asked.value.choices] == values
    for value in values:
        volume = read(path, axes=value)
        assert sorted(volume.axes) == sorted(value)
        assert volume.shape == tuple(shape[value.index(axis)] for axis in volume.axes)


@pytest.mark.parametrize("axes", ["XY", "YXZ", "XYY", "XYQ", "TZC"])
def test_axes_that_do_not_fit_are_refused(axes: str, tmp_path: Path) -> None:
    with pytest.raises(SegError, match="name the dimensions"):
        read(saved(tmp_path / "a.nrrd", counted(5, 4, 3), {}), axes=axes)


def test_a_header_beside_its_data(tmp_path: Path) -> None:
    data = counted(5, 4, 3)
    (tmp_path / "a.raw").write_bytes(data.tobytes(order="F"))
    path = saved(tmp_path / "a.nhdr", data, {**SPACE, "data file": "a.raw"}, b"")
    assert np.array_equal(read(path).data, data.T[::-1])  # stored with the feet first, shown with the head first
    (tmp_path / "a.raw").unlink()
    with pytest.raises(SegError, match="not a whole NRRD file"):
        read(path)
    with pytest.raises(SegError, match=r"end the name with \.nrrd"):
        write(Volume(np.zeros((3, 3), np.uint8), "YX"), tmp_path / "b.nhdr")


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
def test_encodings_and_their_truncation(encoding: str, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 9999, (9, 8, 7)).astype(np.int16)
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), data, {"encoding": encoding, "kinds": ["domain"] * 3})
    assert np.array_equal(read(path).data, data.T)
    raw = path.read_bytes()
    for part in (0.0, 0.1, 0.5, 0.8):
        path.write_bytes(raw[: int(part * len(raw))])
        with pytest.raises(SegError, match="not a whole NRRD file"):
            read(path)


def test_something_else_with_the_name_of_an_image(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_text("hello\n")
    with pytest.raises(SegError, match="not a whole NRRD file"):
        read(tmp_path / "a.nrrd")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="complex"):
        read(saved(tmp_path / "a.nrrd", counted(2, 5, 4), {"kinds": "complex domain domain"}))


def test_the_same_mask_gives_the_same_bytes(tmp_path: Path) -> None:
    volume = Volume(np.ones((3, 4, 5), np.uint8), "ZYX", (4, 3, 2), "mm")
    assert write(volume, tmp_path / "a.nrrd").read_bytes() == write(volume, tmp_path / "b.nrrd").read_bytes()


@pytest.mark.parametrize(
    ("sizes", "more", "words"),
    [
        ("10 10 10", "encoding: gzip", "not a whole NRRD file"),
        ("10 10 10", "encoding: raw\nline skip: 999999999999", "not a whole NRRD file"),
        ("100000 100000 100000", "encoding: gzip", "more than fit in memory"),
    ],
    ids=["far more packed than said", "endless lines to skip", "more than memory"],
)
def test_headers_that_lie_are_refused_before_anything_is_unpacked(
    sizes: str, more: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.nrrd"
    head = f"NRRD0005\ntype: uint8\ndimension: 3\nsizes: {sizes}\n{more}\n\n"
    path.write_bytes(head.encode() + gzip.compress(np.random.default_rng(0).bytes(2**21), 1))
    with pytest.raises(SegError, match=words):
        read(path)


@pytest.mark.parametrize(
    "more",
    [
        "kinds: domain domain",
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0)",
        "spacings: 1 1",
    ],
)
def test_a_header_that_does_not_describe_each_axis_is_one_sentence(more: str, tmp_path: Path) -> None:
    space = "\nspace: left-posterior-superior" if "space " in more else ""
    head = f"NRRD0005\ntype: uint8\ndimension: 3{space}\nsizes: 5 4 3\n{more}\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + bytes(60))
    with pytest.raises(SegError, match="not a whole NRRD file"):
        read(tmp_path / "a.nrrd", axes="XYZ")


def test_the_names_of_segments_are_read(tmp_path: Path) -> None:
    segments = {
        "Segment0_LabelValue": "1",
        "Segment0_Name": "liver",
        "Segment1_LabelValue": "3",
        "Segment1_Name": "vein",
    }
    path = tmp_path / "a.seg.nrrd"
    nrrd.write(str(path), counted(5, 4, 3, dtype=np.uint8) % 4, {**segments, "Segment2_Name": "lost"})
    volume = read(path, axes="XYZ")
    assert volume.source is not None
    assert volume.source.header["classes"] == {1: "liver", 3: "vein"}
    out = write(volume, tmp_path / "out.nrrd")
    np.testing.assert_array_equal(read(out, axes="XYZ").data, volume.data)


def layered(path: Path, **segments: str) -> Path:
    """Liver and spleen in one layer, a tumour in the liver in another, as 3D Slicer saves them."""
    layers = np.zeros((2, 5, 4, 3), np.uint8)
    layers[0, :3], layers[0, 3:], layers[1, 1] = 1, 2, 1
    directions = np.array([[np.nan] * 3, [1, 0, 0], [0, 1, 0], [0, 0, 2.0]])
    place = {"space": "left-posterior-superior", "space directions": directions, "space origin": [0, 0, 0]}
    nrrd.write(str(path), layers, {"kinds": ["list"] + ["domain"] * 3, **place, **segments})
    return path


SEGMENTS = {
    f"Segment{k}_{name}": value
    for k, values in enumerate([("liver", "0", "1"), ("spleen", "0", "2"), ("tumour", "1", "1")])
    for name, value in zip(("Name", "Layer", "LabelValue"), values, strict=True)
}


def test_each_segment_of_a_layered_mask_is_a_plane(tmp_path: Path) -> None:
    volume = read(layered(tmp_path / "a.seg.nrrd", **SEGMENTS))
    assert (volume.axes, volume.channels) == ("CZYX", ("liver", "spleen", "tumour"))
    assert [int(plane.sum()) for plane in volume.data] == [36, 24, 12]
    assert int(np.asarray(volume.data).max()) == 1
    out = read(write(volume, tmp_path / "out.nrrd"))
    np.testing.assert_array_equal(out.data, volume.data)


def test_segments_of_old_files_have_a_layer_each(tmp_path: Path) -> None:
    volume = read(layered(tmp_path / "a.seg.nrrd", Segment0_Name="liver", Segment1_Name="tumour"))
    assert volume.channels == ("liver", "tumour")
    assert [int(plane.sum()) for plane in volume.data] == [36, 12]


def test_a_segment_in_a_layer_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="layers that it does not have; save it again"):
        read(layered(tmp_path / "a.seg.nrrd", **{**SEGMENTS, "Segment2_Layer": "7"}))


SAGITTAL = np.array([[4.0, 0, 0, 30], [0, 0, -0.8, 15], [0, -1.5, 0, 700], [0, 0, 0, 1]])
"""Of slice, row and column: columns run towards posterior, rows towards the feet."""

AXIAL = np.array([[0, 0, -0.8, 30], [0, -1.5, 0, 15], [-4.0, 0, 0, 700], [0, 0, 0, 1]])


def test_a_slice_of_a_patient_has_three_dimensions_for_other_programs(tmp_path: Path) -> None:
    mask = Volume(counted(5, 6, dtype=np.uint8), "YX", (1.5, 0.8), "mm", SAGITTAL)
    data, header = nrrd.read(str(write(mask, tmp_path / "a.nrrd")))
    assert data.shape == (6, 5, 1)
    assert np.asarray(header["space directions"]).shape == (3, 3)
    found = read(tmp_path / "a.nrrd")
    assert (found.axes, found.spacing) == ("YX", pytest.approx((1.5, 0.8)))
    assert np.array_equal(found.data, mask.data)
    assert found.affine is not None
    assert np.allclose(found.affine, SAGITTAL)
    again = write(found, tmp_path / "b.nrrd")
    assert again.read_bytes() == (tmp_path / "a.nrrd").read_bytes()


@pytest.mark.parametrize("axes", ["TYX", "TZYX", "TCYX", "TCZYX"])
@pytest.mark.parametrize("affine", [None, AXIAL], ids=["anywhere", "in a patient"])
def test_time_is_a_list_for_other_programs(axes: str, affine: Any, tmp_path: Path) -> None:
    sizes = {"T": 3, "C": 2, "Z": 4, "Y": 5, "X": 6}
    data = counted(*(sizes[axis] for axis in axes), dtype=np.uint8)
    spacing = None if affine is None else (4.0, 1.5, 0.8)["Z" not in axes :]
    volume = Volume(data, axes, spacing, "pixel" if affine is None else "mm", affine)
    path = write(volume, tmp_path / "a.nrrd")
    kinds = nrrd.read_header(str(path))["kinds"]
    assert set(kinds) == {"domain", "list"}
    assert kinds.count("domain") == (2 if affine is None and "Z" not in axes else 3)
    found = read(path)
    assert (found.axes, found.shape) == (axes, volume.shape)
    assert np.array_equal(found.data, data)


@pytest.mark.parametrize("said", ["TZYX", "YX", "XYZ", "ZYXS"])
def test_a_key_that_does_not_fit_says_nothing(said: str, tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), counted(5, 4, 3), {"kinds": ["domain"] * 3, "napari_seg_axes": said})
    assert read(tmp_path / "a.nrrd").axes == "ZYX"
