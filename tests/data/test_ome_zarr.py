"""OME-Zarr of both versions, whole, nested, broken, and with masks added."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_seg import read, write
from napari_seg.data import ome_zarr
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError

RNG = np.random.default_rng(0)
SIZES = {"T": 3, "C": 2, "Z": 4, "Y": 40, "X": 60}


def store(
    path: Path,
    data: np.ndarray,
    axes: str = "czyx",
    version: str = "0.4",
    scales: tuple[int, ...] = (1, 2),
    **more: Any,
) -> Path:
    """An image as other programs write it: ``scales`` are the steps of the pyramid in y and x."""
    kinds = {"c": "channel", "t": "time"}
    named = [{"name": a, "type": kinds.get(a, "space")} | ({"unit": "micrometer"} if a in "zyx" else {}) for a in axes]
    datasets = []
    v2 = version == "0.4"
    group = zarr.open_group(path, mode="w", zarr_format=2 if v2 else 3)
    for number, step in enumerate(scales):
        level = data[..., ::step, ::step]
        array = group.create_array(
            str(number), shape=level.shape, dtype=level.dtype, chunks=(*(1,) * (level.ndim - 2), 32, 32),
            chunk_key_encoding={"name": "v2" if v2 else "default", "separator": "/"},
        )  # fmt: skip
        array[...] = level
        scale = [{"z": 2.0, "y": 0.5 * step, "x": 0.25 * step}.get(a, 1.0) for a in axes]
        datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    multiscale = {"axes": named, "datasets": datasets} | ({"version": "0.4"} if v2 else {})
    ome = {"multiscales": [multiscale], **more}
    group.attrs.update(ome if v2 else {"ome": {"version": "0.5", **ome}})
    return path


@pytest.fixture(params=["0.4", "0.5"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    data = RNG.integers(1, 999, (2, 4, 40, 60), dtype=np.uint16)
    shown = {"color": "FFFFFF", "window": {"start": 0, "end": 9, "min": 0, "max": 9}}
    omero = {"channels": [{"label": "DAPI", **shown}, {"label": "GFP", **shown}]}
    return store(tmp_path / "a.ome.zarr", data, version=request.param, omero=omero)


def labels_like(volume: Volume) -> np.ndarray:
    return RNG.integers(0, 300, volume.grid, dtype=np.int64)


def test_an_image_is_read_lazily_with_its_pyramid(image: Path) -> None:
    found = read(image)
    assert (found.axes, found.shape, found.spacing, found.unit) == ("CZYX", (2, 4, 40, 60), (2.0, 0.5, 0.25), "um")
    assert found.channels == ("DAPI", "GFP")
    assert found.name == "a"
    assert [level.shape for level in found.levels] == [(2, 4, 20, 30)]
    assert not isinstance(found.data, np.ndarray)
    whole = np.asarray(found.data)
    np.testing.assert_array_equal(found.data[1, :, 5, ::-3], whole[1, :, 5, ::-3])
    np.testing.assert_array_equal(np.asarray(found.levels[0]), whole[..., ::2, ::2])


def test_a_path_may_lead_to_one_level(image: Path) -> None:
    found = read(image / "1")
    assert (found.axes, found.shape, found.spacing, found.levels) == ("CZYX", (2, 4, 20, 30), (2.0, 1.0, 0.5), ())


@pytest.mark.parametrize("axes", ["".join(c) + "YX" for r in range(4) for c in itertools.combinations("TCZ", r)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.float32, bool, np.uint64])
def test_what_is_written_is_read_and_valid(tmp_path: Path, axes: str, dtype: type) -> None:
    data = (RNG.random([SIZES[axis] for axis in axes]) * 200).astype(dtype)
    spacing = (0.5, 0.2, 0.3)[-sum(axis in "ZYX" for axis in axes) :]
    channels = ("a", "b") if "C" in axes else ()
    write(Volume(data, axes, spacing=spacing, unit="um", channels=channels, name="n"), tmp_path / "m.zarr")
    found = read(tmp_path / "m.zarr")
    assert (found.axes, found.spacing, found.unit, found.channels) == (axes, spacing, "um", channels)
    np.testing.assert_array_equal(np.asarray(found.data), data)
    yaozarrs.validate_zarr_store(str(tmp_path / "m.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == ["m.zarr"]


def test_a_large_mask_gets_a_pyramid_of_its_labels(tmp_path: Path) -> None:
    labels = np.kron(RNG.integers(0, 9, (65, 100), dtype=np.uint16), np.ones((8, 8), np.uint16))
    write(Volume(labels, "YX"), tmp_path / "m.zarr")
    found = read(tmp_path / "m.zarr")
    assert [level.shape for level in found.levels] == [(260, 400), (130, 200)]
    np.testing.assert_array_equal(np.asarray(found.levels[1])[::2, ::2], labels[4::8, 4::8])
    assert ome_zarr.is_mask(tmp_path / "m.zarr")


def test_a_mask_is_replaced_but_an_image_never(tmp_path: Path, image: Path) -> None:
    for value in (1, 2):
        write(Volume(np.full((4, 5), value, np.uint8), "YX"), tmp_path / "m.zarr")
    assert np.asarray(read(tmp_path / "m.zarr").data).max() == 2
    before = np.asarray(read(image).data)
    with pytest.raises(SegError, match="not replaced"):
        write(Volume(np.zeros((4, 5), np.uint8), "YX"), image)
    np.testing.assert_array_equal(np.asarray(read(image).data), before)


def test_a_place_in_the_patient_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(SegError, match=r"\.nii\.gz"):
        write(Volume(np.zeros((2, 2), np.uint8), "YX", affine=np.eye(4)), tmp_path / "m.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_mask_is_added_to_its_image_and_listed(image: Path) -> None:
    volume = read(image)
    before = {path: path.read_bytes() for path in image.rglob("*") if path.is_file()}
    for name in ("nuclei", "cells"):
        labels = labels_like(volume)
        out = write(volume.mask(labels), image / "labels" / name)
        found = read(out)
        assert (found.axes, found.spacing, found.unit, found.dtype) == ("ZYX", volume.spacing, "um", np.uint16)
        np.testing.assert_array_equal(np.asarray(found.data), labels)
        assert [level.shape for level in found.levels] == [(4, 20, 30)]
        yaozarrs.validate_zarr_store(str(out))
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in (image / "labels").iterdir() if path.is_dir()) == ["cells", "nuclei"]
    with pytest.raises(ChoiceNeeded) as caught:
        read(image / "labels")
    assert [choice.value for choice in caught.value.choices] == ["nuclei", "cells"]
    assert read(image / "labels", series="cells").name == "cells"
    assert "labels/nuclei, labels/cells" in read(image).notes[-1]
    assert zarr.open_group(image / "labels/nuclei", mode="r").metadata.zarr_format == (
        2 if (image / ".zattrs").exists() else 3
    )


@pytest.mark.parametrize("place", ["0/m.tif", "m.tif", "x/m.ome.zarr", "labels/m/n.tif", "../gone.zarr/labels/m"])
def test_nothing_but_masks_is_put_into_a_store(image: Path, place: str) -> None:
    before = sorted(image.parent.rglob("*"))
    with pytest.raises(SegError, match="labels/NAME of an image that is there; choose such a name"):
        write(Volume(np.ones((40, 60), np.uint8), "YX"), image / place)
    assert sorted(image.parent.rglob("*")) == before


def test_a_link_leads_into_no_store(image: Path) -> None:
    link = image.parent / "m.tif"
    link.symlink_to(image / "0" / "m.tif")
    before = sorted(image.parent.rglob("*"))
    with pytest.raises(SegError, match="choose such a name or another folder"):
        write(Volume(np.ones((40, 60), np.uint8), "YX"), link)
    assert sorted(image.parent.rglob("*")) == before


def test_beside_a_store_one_may_write_from_within(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(image)
    write(Volume(np.ones((40, 60), np.uint8), "YX"), "../m.tif")
    with pytest.raises(SegError, match=image.name):
        write(Volume(np.ones((40, 60), np.uint8), "YX"), "m.tif")


def test_the_masks_of_an_image_are_listed_and_read_as_masks(image: Path) -> None:
    assert ome_zarr.masks_of(image) == {}
    volume = read(image)
    assert volume.source is not None
    assert volume.source.modality == ""
    masks = {name: labels_like(volume) for name in ("nuclei", "cells")}
    for name, labels in masks.items():
        ome_zarr.add_labels(volume.mask(labels), image, name)
    assert list(ome_zarr.masks_of(image)) == ["nuclei", "cells"]
    for name, path in ome_zarr.masks_of(image).items():
        found = read(path)
        assert found.source is not None
        assert (found.source.modality, found.axes, found.spacing) == ("SEG", "ZYX", volume.spacing)
        assert not isinstance(found.data, np.ndarray)
        assert len(found.levels) == 1
        np.testing.assert_array_equal(np.asarray(found.data), masks[name])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_mask_with_the_channel_of_its_image_has_none(tmp_path: Path, version: str) -> None:
    image = store(tmp_path / "a.zarr", RNG.integers(1, 9, (2, 4, 40, 60), dtype=np.uint8), version=version)
    labels = RNG.integers(0, 99, (1, 4, 40, 60), dtype=np.uint16)
    path = store(image / "labels" / "m", labels, version=version)
    group = zarr.open_group(image / "labels", mode="a", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update({"labels": ["m"]} if version == "0.4" else {"ome": {"version": "0.5", "labels": ["m"]}})
    found = read(path)
    assert found.source is not None
    assert (found.axes, found.shape, found.source.modality) == ("ZYX", (4, 40, 60), "SEG")
    assert [level.shape for level in found.levels] == [(4, 20, 30)]
    np.testing.assert_array_equal(found.data[1:, ::-2, 7], labels[0, 1:, ::-2, 7])


@pytest.mark.parametrize("listed", [["gone", "../../a.ome.zarr", "", 5], 3, None])
def test_masks_that_are_not_there_are_not_listed(image: Path, listed: Any) -> None:
    v2 = (image / ".zattrs").exists()
    group = zarr.open_group(image / "labels", mode="w", zarr_format=2 if v2 else 3)
    group.attrs.update({"labels": listed} if v2 else {"ome": {"labels": listed}})
    assert ome_zarr.masks_of(image) == {}
    assert read(image).notes == ()


def test_a_damaged_list_of_masks_does_not_take_the_image_with_it(image: Path) -> None:
    zarr.open_group(image / "labels", mode="w", zarr_format=2 if (image / ".zattrs").exists() else 3)
    (image / "labels" / ("zarr.json" if (image / "zarr.json").exists() else ".zattrs")).write_text("{")
    found = read(image)
    assert found.shape == (2, 4, 40, 60)
    assert ["masks in the store cannot be listed" in note for note in found.notes] == [True]


def test_a_mask_made_on_a_coarser_level_lies_on_that_level(image: Path) -> None:
    coarse = read(image / "1")
    out = ome_zarr.add_labels(coarse.mask(labels_like(coarse)), image, "coarse")
    assert read(out).spacing == coarse.spacing


@pytest.mark.parametrize("name", ["nuclei", "../out", "", ".hidden", "__x", "a/b"])
def test_names_that_exist_or_cannot_be_are_refused(image: Path, name: str) -> None:
    volume = read(image)
    ome_zarr.add_labels(volume.mask(labels_like(volume)), image, "nuclei")
    with pytest.raises(SegError, match=r"already|cannot be"):
        ome_zarr.add_labels(volume.mask(labels_like(volume)), image, name)


def test_a_mask_of_another_image_is_refused(image: Path) -> None:
    for wrong in (Volume(np.zeros((4, 5, 6), np.uint8), "ZYX"), Volume(np.zeros((2, 4, 40, 60), np.uint8), "TZYX")):
        with pytest.raises(SegError, match="mask of that image"):
            ome_zarr.add_labels(wrong, image, "x")
    with pytest.raises(SegError, match="whole numbers"):
        ome_zarr.add_labels(Volume(np.zeros((4, 40, 60)), "ZYX"), image, "x")
    assert not (image / "labels").exists()


def test_a_failure_while_writing_leaves_no_trace(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume = read(image)
    ome_zarr.add_labels(volume.mask(labels_like(volume)), image, "first")
    before = sorted(image.rglob("*"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Group, "create_array", full)
    with pytest.raises(SegError, match="no space left on device"):
        ome_zarr.add_labels(volume.mask(labels_like(volume)), image, "second")
    assert sorted(image.rglob("*")) == before


def test_a_level_without_chunks_gives_way_to_the_next(image: Path) -> None:
    for part in (image / "0").iterdir():
        if part.is_dir():
            shutil.rmtree(part)
    found = read(image)
    assert (found.shape, found.spacing) == ((2, 4, 20, 30), (2.0, 1.0, 0.5))
    assert "coarser level 1" in found.notes[0]


def test_an_image_without_any_chunk_says_so(image: Path) -> None:
    for part in [*(image / "0").iterdir(), *(image / "1").iterdir()]:
        if part.is_dir():
            shutil.rmtree(part)
    assert "fill value" in read(image).notes[0]


def test_a_damaged_chunk_gives_a_sentence(image: Path) -> None:
    chunk = max((path for path in (image / "0").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(SegError, match=r"a\.ome\.zarr is damaged"):
        np.asarray(read(image).data)


def metadata(image: Path) -> Path:
    return image / (".zattrs" if (image / ".zattrs").exists() else "zarr.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '"x"', '{"multiscales": []}', '{"multiscales": 3}',
    '{"multiscales": [{}]}', '{"multiscales": [{"datasets": [{"path": "../../etc"}]}]}',
    '{"multiscales": [{"datasets": [{"path": "9"}]}]}', '{"multiscales": [{"datasets": 3}]}',
    "[" * 100_000])  # fmt: skip
def test_broken_metadata_gives_a_sentence(image: Path, text: str) -> None:
    path = metadata(image)
    whole = text
    if path.name == "zarr.json" and text.startswith('{"'):
        whole = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"ome": json.loads(text)}})
    path.write_text(whole)
    with pytest.raises(SegError):
        read(image)


def test_lost_metadata_gives_a_sentence(image: Path) -> None:
    for name in (".zattrs", ".zgroup", "zarr.json"):
        (image / name).unlink(missing_ok=True)
    with pytest.raises(SegError, match=r"no Zarr metadata"):
        read(image)


def test_an_array_without_axes_gives_a_sentence(tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", RNG.integers(1, 9, (40, 60), dtype=np.uint8), axes="yx", scales=(1,))
    array = json.loads((path / "0" / ".zarray").read_text())
    (path / "0" / ".zarray").write_text(json.dumps({**array, "shape": [], "chunks": []}))
    with pytest.raises(SegError, match="is no image of up to"):
        read(path)


def test_a_huge_declared_array_is_not_read(image: Path) -> None:
    path = image / "0" / (".zarray" if (image / "0/.zarray").exists() else "zarr.json")
    document = json.loads(path.read_text())
    document["shape"] = [2, 4, 10**7, 10**7]
    path.write_text(json.dumps(document))
    found = read(image)
    with pytest.raises(SegError, match="more memory than is free"):
        np.asarray(found.data)


def test_a_plate_asks_for_the_field(tmp_path: Path) -> None:
    plate = tmp_path / "plate.zarr"
    zarr.open_group(plate, mode="w", zarr_format=2).attrs["plate"] = {
        "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}, {"path": "B/2", "rowIndex": 1, "columnIndex": 1}]
    }
    for well in ("A/1", "B/2"):
        zarr.open_group(plate / well, mode="w", zarr_format=2).attrs["well"] = {
            "images": [{"path": "0"}, {"path": "1"}]
        }
        for field in "01":
            store(plate / well / field, RNG.integers(1, 9, (1, 1, 40, 60), dtype=np.uint8))
    with pytest.raises(ChoiceNeeded) as caught:
        read(plate)
    assert [choice.value for choice in caught.value.choices] == ["A/1/0", "A/1/1", "B/2/0", "B/2/1"]
    assert caught.value.choices[3].title == "Well B2, field 1"
    assert read(plate, series="B/2/1").axes == "CZYX"
    with pytest.raises(SegError, match="no image"):
        read(plate, series="C/3/0")


def test_several_converted_images_are_asked_for(tmp_path: Path) -> None:
    root = tmp_path / "many.zarr"
    zarr.open_group(root, mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for number in "01":
        store(root / number, RNG.integers(1, 9, (1, 1, 40, 60), dtype=np.uint8))
    with pytest.raises(ChoiceNeeded) as caught:
        read(root)
    assert [choice.value for choice in caught.value.choices] == ["0", "1"]
    assert read(root, series="1").shape == (1, 1, 40, 60)


def test_axes_in_another_order_are_put_in_ours(tmp_path: Path) -> None:
    data = RNG.integers(1, 9, (6, 40, 60), dtype=np.uint8)
    found = read(store(tmp_path / "a.zarr", data, axes="xyz", scales=(1,)))
    assert (found.axes, found.shape, found.spacing) == ("ZYX", (60, 40, 6), (2.0, 0.5, 0.25))
    np.testing.assert_array_equal(np.asarray(found.data), data.transpose())
    mask = found.mask(labels_like(found))
    out = ome_zarr.add_labels(mask, tmp_path / "a.zarr", "m")
    np.testing.assert_array_equal(np.asarray(read(out).data), mask.data)


def test_a_bare_array_asks_for_its_axes(tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "a.zarr", np.ones((3, 4, 5), np.uint8))
    with pytest.raises(ChoiceNeeded) as caught:
        read(tmp_path / "a.zarr")
    assert caught.value.parameter == "axes"
    assert read(tmp_path / "a.zarr", axes="ZYX").shape == (3, 4, 5)


def test_the_origin_of_an_image_goes_with_its_mask(tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", RNG.integers(1, 9, (40, 60), dtype=np.uint8), axes="yx", scales=(1,))
    document = json.loads((path / ".zattrs").read_text())
    document["multiscales"][0]["datasets"][0]["coordinateTransformations"].append(
        {"type": "translation", "translation": [7.0, 9.0]}
    )
    (path / ".zattrs").write_text(json.dumps(document))
    volume = read(path)
    write(volume.mask(np.ones((40, 60), np.uint8)), tmp_path / "m.zarr")
    write(volume.mask(np.ones((40, 60), np.uint8)), path / "labels" / "m")
    for out in (tmp_path / "m.zarr", path / "labels" / "m"):
        source = read(out).source
        assert source is not None
        assert source.header["origin"] == (7.0, 9.0)


UNITS = [
    ("second", "micrometer", "micrometer", "micrometer"), ("minute", "nanometer", "micrometer", "micrometer"),
    ("", *["angstrom"] * 3), ("second", *["inch"] * 3), ("second", "", "micrometer", "micrometer"),
    ("second", "", "", ""), ("second", "parsec", "micrometer", "micrometer"), ("second", *["kilometer"] * 3),
]  # fmt: skip


def placed(path: Path, units: tuple[str, ...], scale: list[float], shift: list[float]) -> Path:
    """An image ``tzyx`` whose axes are in these units."""
    store(path, RNG.integers(1, 9, (2, 3, 40, 60), dtype=np.uint8), axes="tzyx", scales=(1,))
    document = json.loads((path / ".zattrs").read_text())
    (multiscale,) = document["multiscales"]
    for axis, unit in zip(multiscale["axes"], units, strict=True):
        axis.pop("unit", None)
        axis.update({"unit": unit} if unit else {})
    multiscale["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": scale}, {"type": "translation", "translation": shift},
    ]  # fmt: skip
    (path / ".zattrs").write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("units", UNITS)
def test_a_mask_lies_on_its_image_whatever_the_units(tmp_path: Path, units: tuple[str, ...]) -> None:
    image = read(placed(tmp_path / "a.zarr", units, [30.0, 2.0, 0.5, 0.5], [5.0, 10.0, 20.0, 30.0]))
    write(image.mask(np.ones(image.shape, np.uint8)), tmp_path / "m.zarr")
    (made,) = json.loads((tmp_path / "m.zarr" / "zarr.json").read_text())["attributes"]["ome"]["multiscales"]
    assert [axis.get("unit", "") for axis in made["axes"]] == list(units)
    scale, shift = made["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [30.0, 2.0, 0.5, 0.5]
    assert shift["translation"] == [5.0, 10.0, 20.0, 30.0]


def test_the_origin_is_in_the_unit_of_the_spacing(tmp_path: Path) -> None:
    units = ("second", "nanometer", "micrometer", "micrometer")
    image = read(placed(tmp_path / "a.zarr", units, [30.0, 2000.0, 0.5, 0.5], [5.0, 10000.0, 20.0, 30.0]))
    assert (image.spacing, image.unit) == ((2.0, 0.5, 0.5), "um")
    assert image.source is not None
    assert image.source.header["origin"] == (10.0, 20.0, 30.0)
    finer = replace(image, spacing=(1.0, 0.25, 0.25))
    write(finer.mask(np.ones(image.shape, np.uint8)), tmp_path / "m.zarr")
    found = read(tmp_path / "m.zarr")
    assert (found.spacing, found.unit) == ((1.0, 0.25, 0.25), "um")
    assert found.source is not None
    assert found.source.header["origin"] == (10.0, 20.0, 30.0)
    assert found.source.header["said"]["T"] == (30.0, 5.0, "second")


@pytest.mark.parametrize("ome", [
    {"labels": [""]}, {"labels": ["."]}, {"labels": ["../a.zarr"]}, {"plate": {"wells": [{"path": ""}]}}, {"plate": 3},
    {"well": {"images": [{"path": "."}]}}, {"plate": {"wells": [{"path": "../.."}, 5]}}, {"bioformats2raw.layout": 3},
])  # fmt: skip
def test_a_store_that_leads_to_itself_or_away_gives_a_sentence(tmp_path: Path, ome: dict[str, Any]) -> None:
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).attrs.update(ome)
    with pytest.raises(SegError, match="says nothing of an image"):
        read(tmp_path / "a.zarr")


def test_masks_are_not_added_to_metadata_of_old_versions(tmp_path: Path) -> None:
    path = store(tmp_path / "a.zarr", RNG.integers(1, 9, (4, 40, 60), dtype=np.uint8), axes="zyx")
    document = json.loads((path / ".zattrs").read_text())
    document["multiscales"][0]["version"] = "0.3"
    document["multiscales"][0]["axes"] = ["z", "y", "x"]
    (path / ".zattrs").write_text(json.dumps(document))
    volume = read(path)
    assert volume.axes == "ZYX"
    with pytest.raises(SegError, match=r"0\.4 or 0\.5"):
        ome_zarr.add_labels(volume.mask(labels_like(volume)), path, "m")


@pytest.mark.parametrize("what", ["another", "other voxels", "none"])
def test_what_took_the_place_of_an_open_image_is_never_shown_as_that(image: Path, what: str) -> None:
    volume = read(image)
    data = RNG.integers(1, 999, volume.shape, dtype=np.uint16)
    before = np.asarray(volume.data)
    if what == "other voxels":
        zarr.open_array(image / "0", mode="r+")[...] = data
    else:
        shutil.rmtree(image)
    if what == "another":
        store(image, data)
    with pytest.raises(SegError, match=r"^a.ome.zarr was changed in its file since it was opened; open it again\.$"):
        volume.data[0, 1]
    if what != "none":
        assert not np.array_equal(read(image).data[0, 1], before[0, 1])


def test_a_mask_that_is_added_does_not_change_the_image(image: Path) -> None:
    volume = read(image)
    ome_zarr.add_labels(volume.mask(np.ones(volume.grid, np.uint8)), image, "cells")
    assert volume.data[0, 1].shape == volume.grid[1:]
