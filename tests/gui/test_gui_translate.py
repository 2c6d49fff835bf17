"""What lies elsewhere than at 0 in no patient's space is saved where it lies, and opened there again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import controlled
import numpy as np
import pytest
from napari.layers import Layer
from napari.layers._source import layer_source
from test_gui_opening import Scripted

from napari_seg.data.formats import read, write
from napari_seg.data.volume import Volume
from napari_seg.errors import SegError
from napari_seg.gui.layers import lies_elsewhere
from napari_seg.gui.manifest import write_image, write_labels
from napari_seg.gui.opening import ONE_SHOWN, open_path
from napari_seg.gui.results import empty_mask

NOISE = np.random.default_rng(0).integers(0, 200, (40, 50)).astype(np.uint8)
MICRONS = {"scale": (0.5, 0.25), "units": ("um", "um"), "axis_labels": ("y", "x")}


class Window(controlled.Window):
    def open(self, path: Path, kind: Any) -> tuple[Any, str]:
        """Open a file beside what is open, as napari does; its layer, and what is said."""
        opened = open_path(path, Scripted(kind=kind), self.viewer.layers)
        with layer_source(path=str(path)):
            layer = self.viewer.add_layer(Layer.create(*opened.layers[0]))
        self.rest()
        return layer, " ".join(opened.notes)

    def tile(self) -> Any:
        """The second of three images of another reader."""
        for place, data in {(0, 0): NOISE, (0, 12.5): NOISE[::-1].copy(), (20, 0): NOISE[:, ::-1].copy()}.items():
            self.viewer.add_image(data, translate=place, **MICRONS)
        self.rest()
        return self.viewer.layers[1]


def saved(layer: Any, path: Path) -> Path:
    (write_labels if layer._type_string == "labels" else write_image)(str(path), *layer.as_layer_data_tuple()[:2])
    return path


def where(layer: Any) -> Any:
    return pytest.approx(layer.data_to_world((2, 3)))


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_a_crop_and_its_mask_are_opened_where_they_lay(tmp_path: Path, open_window: Any, ending: str) -> None:
    file = write(Volume(NOISE, "YX", (0.5, 0.25), "um"), tmp_path / "whole.ome.tif")
    window = open_window()
    about = MICRONS | {"metadata": dict(window.drop(file).metadata), "name": "crop"}
    crop = window.viewer.add_image(np.ascontiguousarray(NOISE[10:30, 20:40]), translate=(5, 5), **about)
    mask = empty_mask(window.viewer, crop)
    window.rest()
    mask.data_setitem((np.array([2]), np.array([3])), 1)
    with pytest.raises(SegError, match="cannot say where"):
        saved(mask, tmp_path / "mask.nii.gz")
    files = {"image": saved(crop, tmp_path / f"crop{ending}"), "labels": saved(mask, tmp_path / f"mask{ending}")}
    for kinds in (("image", "labels"), ("labels", "image")):
        window = open_window()
        window.drop(file)
        opened = {kind: window.open(files[kind], kind) for kind in kinds}
        assert [layer.data_to_world((2, 3)) for layer, _ in opened.values()] == [where(crop)] * 2
        assert ONE_SHOWN not in " ".join(notes for _, notes in opened.values())
        assert window.recorder.track(opened["labels"][0]).image is opened["image"][0]


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_a_mask_lies_on_its_tile_of_another_reader(tmp_path: Path, open_window: Any, ending: str) -> None:
    window = open_window()
    mask = empty_mask(window.viewer, window.tile())
    window.rest()
    path, window = saved(mask, tmp_path / f"mask{ending}"), open_window()
    tile = window.tile()
    again, _ = window.open(path, "labels")
    assert [again.data_to_world((2, 3)), mask.data_to_world((2, 3))] == [where(tile)] * 2
    assert window.recorder.track(again).image is tile


@pytest.mark.parametrize("first", ["image", "labels"])
@pytest.mark.parametrize("says", ["image", "labels"])
def test_where_only_one_says_a_place_the_mask_lies_on_its_image(
    tmp_path: Path, open_window: Any, says: str, first: str
) -> None:
    window, told, opened = open_window(), list[str](), dict[str, Any]()
    window.recorder.noted.connect(told.append)
    for kind in sorted(("image", "labels"), key=lambda kind: kind != first):
        data, place = NOISE if kind == "image" else np.eye(40, 50, dtype=np.uint8), (7, 9) if kind == says else None
        path = write(Volume(data, "YX", (0.5, 0.25), "um", translate=place), tmp_path / f"{kind}.ome.tif")
        opened[kind], notes = window.open(path, kind)
        told += [notes]
    assert opened["labels"].data_to_world((2, 3)) == where(opened["image"])
    assert window.recorder.track(opened["labels"]).image is opened["image"]
    assert " ".join(told).count(ONE_SHOWN) == 1


def test_the_masks_in_a_store_lie_on_its_image(tmp_path: Path, open_window: Any) -> None:
    path = write(Volume(NOISE, "YX", (0.5, 0.25), "um", translate=(7.0, 9.0)), tmp_path / "crop.ome.zarr")
    mask = write(read(path).mask(NOISE % 3), path / "labels" / "seen")
    opened = [Layer.create(*layer) for layer in open_path(path, Scripted(kind="image")).layers]
    layers = *opened, open_window().open(mask, "labels")[0]
    assert [tuple(layer.data_to_world((2, 3))) for layer in layers] == [(8.0, 9.75)] * 3
    assert not lies_elsewhere(opened[1])


def test_an_image_that_a_person_moved_is_written_where_it_lies(tmp_path: Path, open_window: Any) -> None:
    window = open_window()
    image = window.drop(write(Volume(NOISE, "YX", (0.5, 0.25), "um"), tmp_path / "whole.ome.tif"))
    image.translate = (3, 4)
    assert window.open(saved(image, tmp_path / "moved.ome.tif"), "image")[0].data_to_world((2, 3)) == where(image)
