"""Questions are asked, answers are obeyed, and a no opens nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Layer

from napari_seg.data import ome_zarr
from napari_seg.data.align import apart
from napari_seg.data.formats import write
from napari_seg.data.geometry import Reorder
from napari_seg.data.kinds import Kind
from napari_seg.data.volume import Source, Volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.gui.layers import layer_data, lengths_of, volume_of
from napari_seg.gui.opening import open_path


@dataclass
class Scripted:
    """A person whose answers are known beforehand."""

    choice: str | None = None
    kind: Kind | None = None
    asked: list[str] = field(default_factory=list)

    def choose(self, title: str, question: ChoiceNeeded) -> str | None:
        self.asked.append(question.parameter)
        return self.choice

    def wait_for(self, words: str, work: Callable[[], Any]) -> Any:
        return work()

    def image_or_labels(self, volume: Volume) -> Kind | None:
        self.asked.append("kind")
        return self.kind


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.tif"
    noise = np.random.default_rng(0).integers(0, 999, (5, 20, 30)).astype(np.uint16)
    tifffile.imwrite(path, noise, photometric="minisblack", metadata=None)
    return path


def test_dimensions_are_asked_for_and_used(stack: Path) -> None:
    person = Scripted(choice="TYX")
    ((data, about, kind),) = open_path(stack, person).layers
    assert person.asked == ["axes"]
    assert (kind, data.shape, about["axis_labels"]) == ("image", (5, 20, 30), ["t", "y", "x"])


def test_an_answer_is_proposed_when_the_file_is_opened_again(stack: Path, tmp_path: Path) -> None:
    """It is asked all the same; a file that has changed since, and another one, get no proposal."""

    class Remembering(Scripted):
        def choose(self, title: str, question: ChoiceNeeded) -> str | None:
            self.asked.append(question.choices[0].title)
            return self.choice

    person = Remembering("TYX")
    (moved := tmp_path / "elsewhere").mkdir()
    for path in (stack, stack, Path(shutil.copy(stack, moved / "other name.tif"))):
        assert open_path(path, person).layers[0][0].shape == (5, 20, 30)
    assert open_path(stack, Remembering()).layers == []  # an answer that is not given takes none back
    open_path(stack, person)
    tifffile.imwrite(stack, tifffile.imread(stack) + 1, photometric="minisblack", metadata=None)
    open_path(stack, person)
    asked, again = "5 slices of 20 x 30 pixels", "5 time points of 20 x 30 pixels (as you answered before)"
    assert person.asked == [asked, again, again, again, asked]


def test_who_does_not_answer_opens_nothing(stack: Path, tmp_path: Path) -> None:
    assert open_path(stack, Scripted()).layers == []
    mask = write(Volume(np.eye(20, dtype=np.uint8), "YX"), tmp_path / "mask.png")
    assert open_path(mask, Scripted()).layers == []


@pytest.mark.parametrize("kind", ["labels", "image"])
def test_a_flat_picture_of_whole_numbers_is_asked_about(kind: Kind, tmp_path: Path) -> None:
    path = write(Volume(np.kron(np.eye(4, dtype=np.uint8), np.ones((8, 8), np.uint8)), "YX"), tmp_path / "what.png")
    person = Scripted(kind=kind)
    ((_, _, found),) = open_path(path, person).layers
    assert (found, person.asked) == (kind, ["kind"])


def test_a_mask_from_another_grid_is_put_on_its_image_and_said(tmp_path: Path) -> None:
    affine = np.array([[0, 0, -1.0, 30], [0, -1, 0, 20], [2, 0, 0, -10], [0, 0, 0, 1]])
    image = Volume(np.random.default_rng(0).normal(size=(6, 20, 30)), "ZYX", (2, 1, 1), "mm", affine, name="scan")
    finer = affine.copy()
    finer[:3, :3] /= 2
    labels = np.zeros((12, 40, 60), np.uint8)
    labels[4:8, 10:20, 20:40] = 1
    path = write(Volume(labels, "ZYX", (1, 0.5, 0.5), "mm", finer, name="mask"), tmp_path / "mask.nii.gz")
    scan = Layer.create(*layer_data(image, "image")[0])
    opened = open_path(path, Scripted(kind="labels"), [scan])
    mask = Layer.create(*opened.layers[0])
    assert mask.data.shape == scan.data.shape
    np.testing.assert_allclose(mask.data_to_world((3, 7, 15)), scan.data_to_world((3, 7, 15)))
    assert mask.data[3, 7, 15] == 1
    assert any("nearest" in note for note in opened.notes)
    np.testing.assert_array_equal(volume_of(mask).affine, affine)


PLACE = np.array([[0, 0, -1.0, 30], [0, -1, 0, 20], [-2, 0, 0, 10], [0, 0, 0, 1]])


def scan(shape: tuple[int, ...], affine: np.ndarray | None = None, source: Source | None = None) -> Any:
    image = Volume(np.random.default_rng(0).normal(size=shape), "ZYX", (2, 1, 1), "mm", affine, source=source)
    return Layer.create(*layer_data(image, "image")[0])


def test_a_mask_with_rounded_directions_lies_on_its_own_image(tmp_path: Path) -> None:
    rounded = PLACE.copy()
    rounded[0, 3] += 0.1
    labels = np.zeros((6, 20, 30), np.uint8)
    labels[2:4, 10:12, 20] = 1
    path = write(Volume(labels, "ZYX", (2, 1, 1), "mm", rounded), tmp_path / "mask.nii.gz")
    coarse = PLACE @ np.diag([2, 4, 4, 1])
    own, other = scan((6, 20, 30), PLACE), scan((3, 5, 7), coarse)
    for shown in ([own, other], [other, own]):
        ((data, *_),) = open_path(path, Scripted(kind="labels"), shown).layers
        assert np.array_equal(data, labels)


def in_space(path: Path, data: np.ndarray, by: float) -> Path:
    """An image or mask that lies ``by`` voxels along x, in no patient."""
    if path.suffix == ".zarr":
        write(Volume(data, "YX", (0.7, 0.5), "um"), path)
        document = json.loads((path / "zarr.json").read_text())
        (multiscale,) = document["attributes"]["ome"]["multiscales"]
        place = {"type": "translation", "translation": [-5, 9 + by * 0.5]}
        multiscale["datasets"][0]["coordinateTransformations"][1:] = [place]
        (path / "zarr.json").write_text(json.dumps(document))
        return path
    header = {"space dimension": 2, "space directions": np.diag([0.5, 0.7]), "space origin": [9 + by * 0.5, -5]}
    nrrd.write(str(path), data.T, header | {"kinds": ["domain"] * 2})
    return path


@pytest.mark.parametrize("name", ["a.nrrd", "a.zarr"])
def test_a_mask_lies_where_its_file_says_in_no_patient(name: str, tmp_path: Path) -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[4:9, 8:20] = 1
    (tmp_path / "masks").mkdir()
    image = in_space(tmp_path / name, np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32), 0)
    shown = [Layer.create(*layer) for layer in open_path(image, Scripted(kind="image")).layers]
    for by, moved, told in ((0, 0, False), (3, 3, True), (100, 0, False)):
        path = in_space(tmp_path / "masks" / f"{by}{name}", labels, by)
        opened = open_path(path, Scripted(kind="labels"), shown)
        ((data, *_),) = opened.layers
        assert np.array_equal(data, np.roll(labels, moved, 1))
        assert any("nearest neighbour" in note for note in opened.notes) == told
        assert any("lies elsewhere than the images" in note for note in opened.notes) == (by == 100)
        assert apart(volume_of(Layer.create(*opened.layers[0])), volume_of(shown[0])) == (by == 100)


def test_a_mask_without_a_place_lies_on_the_voxels_of_the_file_of_its_image(tmp_path: Path) -> None:
    labels = np.zeros((6, 20, 30), np.uint8)
    labels[2:4, 10:12, 20] = 1
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, labels, metadata={"axes": "ZYX"})
    turned = Source(tmp_path / "scan.nii.gz", "nifti", reorder=Reorder((2, 1, 0), (True, True, False)))
    own, other = scan((6, 20, 30), PLACE, turned), scan((3, 5, 7), PLACE, turned)
    for shown in ([own], [own, other], [other, own]):
        opened = open_path(path, Scripted(kind="labels"), shown)
        ((data, *_),) = opened.layers
        assert np.array_equal(data, labels[::-1, ::-1])
        assert "as they are stored" in opened.notes[-1]
    for shown in ([own, scan((6, 20, 30))], [own, scan((6, 20, 30), PLACE, turned)]):
        ((data, *_),) = open_path(path, Scripted(kind="labels"), shown).layers
        assert np.array_equal(data, labels)  # nothing tells which of them is meant


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.nii.gz"
    path.write_text("no volume")
    with pytest.raises(SegError, match=r"broken\.nii\.gz"):
        open_path(path, Scripted())


def test_the_masks_of_a_store_lie_hidden_on_their_image(tmp_path: Path) -> None:
    image = Volume(np.random.default_rng(0).random((40, 60), np.float32), "YX", (0.5, 0.5), "um", name="cells")
    store = write(image, tmp_path / "cells.ome.zarr")
    cells = np.kron(np.arange(6).reshape(2, 3), np.ones((20, 20), int)).astype(np.uint16)
    write(Volume(cells, "YX", (0.5, 0.5), "um"), store / "labels" / "nuclei")
    opened = open_path(store, Scripted())
    (_, about, kind), (data, place, other) = opened.layers
    assert (kind, other) == ("image", "labels")
    assert (place["name"], place["visible"]) == ("cells nuclei", False)
    np.testing.assert_array_equal(data, cells)
    assert (place["scale"], place["translate"]) == (about["scale"], about["translate"])


@pytest.mark.parametrize("unit", ["micrometer", "furlong", None])
def test_a_coarser_mask_covers_the_same_field(tmp_path: Path, unit: str | None) -> None:
    image = Volume(np.random.default_rng(0).random((40, 60), np.float32), "YX", (0.5, 0.5), "um")
    store = write(image, tmp_path / "a.ome.zarr")
    write(Volume(np.ones((40, 60), np.uint8), "YX", (0.5, 0.5), "um"), store / "labels" / "half")
    for group, scale, shift in ((store, 0.5, 3.0), (store / "labels" / "half", 1.0, 3.25)):
        _say_place(group, scale, shift, unit)
    array = zarr.open_array(store / "labels" / "half" / "0", mode="r+")
    array.resize((20, 30))
    (data, about, _), (mask, place, _) = open_path(store, Scripted(kind="image")).layers
    assert mask.shape == (20, 30)
    extent = np.multiply(place["scale"], mask.shape)
    np.testing.assert_allclose(extent, np.multiply(about["scale"], data.shape))
    assert place["translate"] == ([0.5, 0.5] if unit == "furlong" else [0.25, 0.25])


@pytest.mark.parametrize("unit", ["micrometer", "furlong", None])
def test_a_cropped_mask_lies_where_the_store_says(tmp_path: Path, unit: str | None) -> None:
    image = Volume(np.random.default_rng(0).random((40, 60), np.float32), "YX", (0.5, 0.5), "um")
    store = write(image, tmp_path / "a.ome.zarr")
    write(Volume(np.ones((40, 60), np.uint8), "YX", (0.5, 0.5), "um"), store / "labels" / "part")
    for group, shift in ((store, 3.0), (store / "labels" / "part", 8.0)):
        _say_place(group, 0.5, shift, unit)
    zarr.open_array(store / "labels" / "part" / "0", mode="r+").resize((20, 30))
    (_, about, _), (_, place, _) = open_path(store, Scripted(kind="image")).layers
    assert place["scale"] == about["scale"]
    assert place["translate"] == ([10.0, 10.0] if unit == "furlong" else [5.0, 5.0])


def _say_place(group: Path, scale: float, shift: float, unit: str | None) -> None:
    document = json.loads((group / "zarr.json").read_text())
    (multiscale,) = document["attributes"]["ome"]["multiscales"]
    for axis in multiscale["axes"]:
        axis["unit"] = unit
        if unit is None:
            del axis["unit"]
    del multiscale["datasets"][1:]
    multiscale["datasets"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [scale, scale]},
        {"type": "translation", "translation": [shift, shift]},
    ]
    (group / "zarr.json").write_text(json.dumps(document))


def test_a_mask_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    store = write(Volume(np.random.default_rng(0).random((40, 60), np.float32), "YX"), tmp_path / "a.ome.zarr")
    made = write(Volume(np.ones((40, 60), np.uint8), "YX"), store / "labels" / "gone")
    shutil.rmtree(made / "0")
    opened = open_path(store, Scripted(kind="image"))
    assert len(opened.layers) == 1
    assert any("labels/gone is not shown" in note for note in opened.notes)


def test_a_list_of_masks_that_is_damaged_is_said_once_and_the_image_opens(tmp_path: Path) -> None:
    store = write(Volume(np.random.default_rng(0).random((40, 60), np.float32), "YX"), tmp_path / "a.ome.zarr")
    (store / "labels").mkdir()
    (store / "labels" / "zarr.json").write_text("{")
    opened = open_path(store, Scripted(kind="image"))
    assert [kind for _, _, kind in opened.layers] == ["image"]
    assert ["cannot be listed" in note for note in opened.notes] == [True]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_mask_may_have_the_channel_of_its_image_but_not_several(tmp_path: Path, channels: int) -> None:
    store = write(Volume(np.random.default_rng(0).random((40, 60), np.float32), "YX"), tmp_path / "a.ome.zarr")
    group = zarr.create_group(store / "labels", attributes={"ome": {"version": "0.5", "labels": ["m"]}})
    axes = [{"name": "c", "type": "channel"}, *({"name": name, "type": "space"} for name in "yx")]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0]}]}
    about = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}], "image-label": {}}
    mask = group.create_group("m", attributes={"ome": about})
    mask.create_array("0", data=np.ones((channels, 40, 60), np.uint8))
    opened = open_path(store, Scripted(kind="image"))
    shapes = [data.shape for data, _, kind in opened.layers if kind == "labels"]
    assert shapes == ([(40, 60)] if channels == 1 else [])
    assert any("has several channels" in note for note in opened.notes) == (channels == 2)


@pytest.mark.parametrize("unit", ["um", "nm", "mm"])
@pytest.mark.parametrize("alone", [False, True])
def test_a_crop_in_a_store_lies_where_the_store_says(tmp_path: Path, unit: str, alone: bool) -> None:
    """In whatever unit, opened with its image or by itself beside it."""
    path = tmp_path / "image.ome.zarr"
    write(Volume(np.zeros((60, 80), np.uint8), "YX", (0.5, 0.5), "um", name="image"), path)
    ome_zarr.add_labels(Volume(np.ones((60, 80), np.uint8), "YX", (0.5, 0.5), "um"), path, "crop")
    document = json.loads((path / "labels" / "crop" / "zarr.json").read_text())
    multiscale = document["attributes"]["ome"]["multiscales"][0]
    names = {"um": ("micrometer", 1.0), "nm": ("nanometer", 1e3), "mm": ("millimeter", 1e-3)}
    for axis in multiscale["axes"]:
        axis["unit"] = names[unit][0]
    for dataset in multiscale["datasets"]:
        (scale,) = [one for one in dataset["coordinateTransformations"] if one["type"] == "scale"]
        scale["scale"] = [step * names[unit][1] for step in scale["scale"]]
        place = {"type": "translation", "translation": [10 * names[unit][1], 20 * names[unit][1]]}
        dataset["coordinateTransformations"] = [scale, place]
    (path / "labels" / "crop" / "zarr.json").write_text(json.dumps(document))
    opened = open_path(path, Scripted(kind="image"))
    image, mask = (Layer.create(*layer) for layer in opened.layers)
    if alone:
        (found,) = open_path(path / "labels" / "crop", Scripted(), [image]).layers
        mask = Layer.create(*found)
    world = mask.data_to_world((0, 0)) * lengths_of(mask.units)
    assert np.allclose(world / lengths_of(image.units) / image.scale, (20, 40))


@pytest.mark.parametrize("names", [("liver", "tumour"), ()])
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.ome.tif", "a.ome.zarr"])
def test_planes_of_a_mask_are_one_labels_layer_each(name: str, names: tuple[str, ...], tmp_path: Path) -> None:
    planes = np.zeros((2, 4, 20, 30), np.uint8)
    planes[0, 1:3, 3:9, 3:9], planes[1, 2, 5:7, 5:7] = 1, 1
    path = write(Volume(planes, "CZYX", (2.0, 1.0, 1.0), "um", channels=names), tmp_path / name)
    person = Scripted(kind="labels")
    layers = [Layer.create(*one) for one in open_path(path, person).layers]
    assert person.asked == ["kind"]
    assert [layer._type_string for layer in layers] == ["labels"] * 2
    for layer, plane in zip(layers, planes, strict=True):
        assert tuple(layer.axis_labels) == ("z", "y", "x")
        np.testing.assert_array_equal(layer.data, plane)
        np.testing.assert_array_equal(np.asarray(volume_of(layer).data), plane)
    assert len({layer.name for layer in layers}) == 2
    if names and "ome" in name:
        assert [layer.metadata["napari_seg_classes"] for layer in layers] == [("liver",), ("tumour",)]


@pytest.mark.parametrize("by", [3, 100])
def test_a_mask_of_a_store_lies_once_where_the_store_says(by: int, tmp_path: Path) -> None:
    """Opened by itself it is moved, and not laid on its image as well."""
    path = in_space(tmp_path / "image.zarr", np.zeros((20, 30), np.float32), 0)
    labels = np.ones((20, 30), np.uint8)
    mask = in_space(path / "labels" / "a.zarr", labels, by)
    image = Layer.create(*open_path(path, Scripted(kind="image")).layers[0])
    opened = open_path(mask, Scripted(kind="labels"), [image])
    ((data, about, _),) = opened.layers
    assert np.array_equal(data, labels)
    assert about["translate"] == [0, by * 0.5]
    assert not any("elsewhere" in note for note in opened.notes)


@pytest.mark.parametrize("where", ["mask.nii.gz", "mask.ome.tif", "mask.ome.zarr", "ct.ome.zarr/labels/mask"])
@pytest.mark.parametrize("corrected", [False, True])
def test_a_mask_saved_with_a_corrected_size_of_voxels_lies_on_its_image(
    where: str, corrected: bool, tmp_path: Path
) -> None:
    """While the image has that size, and when it was opened anew with that of its file; also beside another image."""
    place = PLACE.copy()
    place[2, 0] = -3
    affine = place if where.endswith(".nii.gz") else None
    name = where.split("/")[0].replace("mask", "ct")
    ct = Volume(np.random.default_rng(0).normal(size=(6, 20, 30)), "ZYX", (3, 1, 1), "mm", affine, name="ct")
    write(ct, tmp_path / name)
    (shown,) = [Layer.create(*layer) for layer in open_path(tmp_path / name, Scripted(kind="image")).layers]
    shown.scale = [1.5, 1, 1]
    labels = np.zeros((6, 20, 30), np.uint8)
    labels[2:5, 10:12, 20] = 1
    path = tmp_path / where
    mask = volume_of(shown).mask(labels)
    if "labels" in where:
        ome_zarr.add_labels(mask, tmp_path / name, "mask")
    else:
        write(mask, path)
    if not corrected:
        shown.scale = [3, 1, 1]
    other = scan((9, 20, 30), place)
    opened = open_path(path, Scripted(kind="labels"), [shown, other])
    found = Layer.create(*opened.layers[-1])
    assert np.array_equal(found.data, labels)
    for voxel in ((0, 0, 0), (5, 19, 29)):
        np.testing.assert_allclose(found.data_to_world(voxel), shown.data_to_world(voxel))
    in_store = "labels" in where  # a mask in there says what its image does in there
    assert any("another size" in note for note in opened.notes) == (corrected if in_store else not corrected)


def test_a_mask_without_a_size_of_voxels_is_shown_on_the_image_of_its_grid(tmp_path: Path) -> None:
    image = Volume(np.random.default_rng(0).random((20, 30), np.float32), "YX", (0.5, 0.5), "um", name="cells")
    shown = [Layer.create(*layer) for layer in layer_data(image, "image")]
    path = write(Volume(np.eye(20, 30, dtype=np.uint8), "YX"), tmp_path / "mask.png")
    (layer,) = open_path(path, Scripted(kind="labels"), shown).layers
    found = Layer.create(*layer)
    np.testing.assert_allclose(found.data_to_world((19, 29)), shown[0].data_to_world((19, 29)))
