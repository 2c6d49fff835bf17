"""Several images are open that lie elsewhere, are finer or are longer: only the slice that is seen is ever changed."""

from __future__ import annotations

from typing import Any

import controlled
import numpy as np
import pytest
from controlled import let_arrive
from napari.layers import Image, Layer

from napari_seg.data.volume import Volume
from napari_seg.gui.hands import BEYOND
from napari_seg.gui.layers import layer_data, lies_elsewhere, volume_of
from napari_seg.gui.nearing import is_in_view
from napari_seg.gui.one_unit import OneUnit, tell_in
from napari_seg.gui.planes import value_at
from napari_seg.gui.results import visible_box
from napari_seg.gui.views import shown_at

SIDE = 30
LOOP = ((5, 5), (5, 20), (20, 20), (20, 5), (6, 5))


class Desk(controlled.Desk):
    """With masks of the images that are shown."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self.one_unit = OneUnit(self.viewer)

    def show(self, volume: Volume) -> Any:
        """Show an image and an empty mask of it, which is returned."""
        for kind, one in (("image", volume), ("labels", volume.mask(np.zeros(volume.shape, np.uint8), name="mask"))):
            ((data, about, _),) = layer_data(one, kind)  # type: ignore[arg-type]
            about["opacity"] = 0.5  # no image hides what lies below
            layer = getattr(self.viewer, f"add_{kind}")(data, **about)
        self.rest()
        return layer

    def loop(self, mask: Any, tool: str) -> None:
        """Draw a loop on what is seen now."""
        self.viewer.layers.selection.active = mask
        if self.hands.tool is None:
            self.hands.pick(tool)
        displayed = list(self.viewer.dims.displayed)
        positions = np.array([self.viewer.dims.point] * len(LOOP), float)
        positions[:, displayed] = [mask.data_to_world((*(0,) * (mask.ndim - 2), *point))[-2:] for point in LOOP]
        self.draw(*map(tuple, positions))

    def check(self, mask: Any, tool: str) -> bool:
        """Whether a loop was taken where the slider stands: then in the slice that is seen, and in no other."""
        self.loop(mask, tool)
        seen = mask._slice
        assert seen.empty == (not mask.data.any())
        taken = not seen.empty
        if taken:
            assert np.count_nonzero(mask.data) == np.count_nonzero(seen.image.raw) > 9
            mask.undo()
            self.rest()
        else:
            assert self.hands.said
        return taken


def scan(slices: int, start: float, thick: float) -> Volume:
    """A patient's scan that begins at ``start``, as files of sarcomas do: the first axis goes down."""
    affine = np.array([[0, 0, -1.0, 7], [0, -1, 0, 9], [-thick, 0, 0, -start], [0, 0, 0, 1]])
    noise = np.random.default_rng(0).integers(0, 99, (slices, SIDE, SIDE)).astype(np.uint8)
    return Volume(noise, "ZYX", (thick, 1, 1), "mm", affine, name="scan")


@pytest.mark.parametrize("tool", ["lasso", "brush"])
def test_volumes_of_other_places_are_drawn_on_where_they_are_seen(desk: Desk, tool: str) -> None:
    places = ((4, 73.9, 3.27), (5, -61.9, 3.27), (3, -69.9, 3.27))
    masks = [desk.show(scan(*place)) for place in places]
    for mask, (slices, _, thick) in zip(masks, places, strict=True):
        desk.hands.put_down()
        dims = desk.viewer.dims
        first = mask.data_to_world((0, 0, 0))[0] / thick
        near = [step for step in range(dims.nsteps[0]) if -2 < dims.range[0].start / thick + step - first < slices + 1]
        taken = 0
        for step in near:
            dims.set_current_step(0, step)
            taken += desk.check(mask, tool)
        assert slices - 1 <= taken < len(near)
        assert not any(other.data.any() for other in masks)


@pytest.mark.parametrize("tool", ["lasso", "brush"])
def test_beside_a_finer_volume_the_slice_that_is_seen_is_drawn_on(desk: Desk, tool: str) -> None:
    """Every second step of the slider is halfway between two slices."""
    mask = desk.show(scan(6, -20.3, 2.2))
    desk.show(scan(14, -21.4, 1.1))
    for step in range(desk.viewer.dims.nsteps[0]):
        desk.viewer.dims.set_current_step(0, step)
        desk.check(mask, tool)


def test_a_segmentation_of_this_slice_is_of_the_one_that_is_seen(desk: Desk) -> None:
    """Every second step of the slider is halfway between two slices."""
    volume = scan(6, -20.3, 2.2)
    mask = desk.show(volume)
    desk.show(scan(14, -21.4, 1.1))
    mask.data[:] = np.arange(1, 7)[:, None, None]
    image, dims, seen = desk.viewer.layers[0], desk.viewer.dims, 0
    for step in range(dims.nsteps[0]):
        dims.set_current_step(0, step)
        mask.refresh()
        if is_in_view(desk.viewer, image):
            box = visible_box(image, volume, dims, camera_slice=True)
            assert mask._slice.image.raw.min() == mask._slice.image.raw.max() == box.start[0] + 1
            seen += 1
        else:
            assert mask._slice.empty
    assert seen == 12  # the step half a slice before the first is drawn as the first


def microscope(side: float, unit: str) -> Volume:
    noise = np.random.default_rng(1).integers(0, 99, (7, SIDE, SIDE)).astype(np.uint8)
    return Volume(noise, "ZYX", (2 * side, side, side), unit, name="stack")


@pytest.mark.parametrize("first", ["mm", "um"])
def test_layers_in_millimetres_and_in_micrometres_are_drawn_on_where_they_are_seen(desk: Desk, first: str) -> None:
    volumes = {"mm": scan(4, 0.0, 3.0), "um": microscope(500.0, "um")}
    order = ["mm", "um"] if first == "mm" else ["um", "mm"]
    masks = {unit: desk.show(volumes[unit]) for unit in order}
    assert {str(unit) for layer in desk.viewer.layers for unit in layer.units} == {
        {"mm": "millimeter", "um": "micrometer"}[first]
    }
    for unit, mask in masks.items():
        volume = volumes[unit]
        assert volume_of(mask).spacing == volume.spacing
        assert volume_of(mask).unit == unit
        assert desk.recorder.track(mask).row.spacing == volume.spacing
        assert not lies_elsewhere(mask)
        desk.hands.put_down()
        for step in range(desk.viewer.dims.nsteps[0]):
            desk.viewer.dims.set_current_step(0, step)
            taken = desk.check(mask, "lasso")
            assert taken == (step < 7 if unit == "um" else step <= 9)
            if taken:
                mask.paint((*map(int, shown_at(mask, desk.viewer.dims.point, (1, 2))[:1]), 4, 4), 1)
                assert mask._slice.image.raw.any()
                mask.undo()
                desk.rest()


def test_another_unit_for_one_layer_or_for_all_leaves_everything_as_it_lies(desk: Desk) -> None:
    desk.show(scan(4, -20.0, 3.0))
    image, mask = desk.viewer.layers
    here = mask.data_to_world((1, 2, 3))
    desk.viewer.layers.units = ("micrometer",) * 3
    assert {str(unit) for layer in (image, mask) for unit in layer.units} == {"micrometer"}
    np.testing.assert_allclose(mask.data_to_world((1, 2, 3)), np.multiply(here, 1000))
    assert volume_of(mask).spacing == (3.0, 1.0, 1.0)
    assert not lies_elsewhere(mask, image)
    assert np.allclose(volume_of(image).affine, image.metadata["napari_seg"].affine)
    mask.units = ("centimeter",) * 3  # a person says that it is ten times as large as the image
    assert {str(unit) for unit in mask.units} == {"micrometer"}
    assert lies_elsewhere(mask, image)


def test_what_is_turned_across_units_stays_as_it_is() -> None:
    millimetres = Image(np.zeros((4, 4)), units=("mm", "mm")).units
    layer = Image(np.zeros((4, 4)), units=("mm", "um"), rotate=30, translate=(1, 2))
    before = layer.data_to_world((1, 2))
    tell_in(layer, millimetres)
    assert [str(unit) for unit in layer.units] == ["millimeter", "micrometer"]
    assert layer.data_to_world((1, 2)) == before
    quarter = np.array([[0, 1, 6], [-1, 0, 7], [0, 0, 1.0]])
    whole = Image(np.zeros((4, 4)), units=("um", "um"), rotate=30, shear=[0.2], translate=(2, 3), affine=quarter)
    before = whole.data_to_world((1, 2))
    tell_in(whole, millimetres)
    assert whole.units == millimetres
    np.testing.assert_allclose(whole.data_to_world((1, 2)), np.divide(before, 1000))


def test_beside_another_image_nothing_is_drawn_on_the_mask_below_it(desk: Desk) -> None:
    """The image that is selected hides what was drawn on the other one."""
    mask = desk.show(Volume(np.zeros((SIDE, SIDE), np.uint8), "YX", name="first"))
    image = desk.viewer.layers[0]
    other = desk.viewer.add_image(np.ones((SIDE, SIDE)), name="second")
    desk.rest()
    assert desk.viewer.layers.selection.active is other
    desk.hands.pick("lasso")
    assert (desk.hands.tool, desk.hands.said) == (
        None,
        "There is no mask to work on; press Segment first, or add a labels layer.",
    )
    desk.viewer.layers.selection.active = image
    desk.hands.pick("lasso")
    assert desk.hands.tool is not None
    assert desk.viewer.layers.selection.active is mask


def test_the_mask_of_an_image_is_found_from_each_of_its_channels(desk: Desk) -> None:
    volume = Volume(np.zeros((2, SIDE, SIDE), np.uint8), "CYX", channels=("dapi", "gfp"), name="cells")
    channels = [desk.viewer.add_image(data, **about) for data, about, _ in layer_data(volume, "image")]
    desk.viewer.layers.selection.active = channels[0]
    mask = desk.viewer.add_labels(np.zeros((SIDE, SIDE), np.uint8), name="mask")
    desk.rest()
    for channel in channels:
        desk.viewer.layers.selection.active = channel
        assert desk.hands.track is desk.recorder.track(mask)


def test_a_mask_that_cannot_be_kept_is_not_mistaken_for_another(desk: Desk) -> None:
    kept = desk.show(Volume(np.zeros((SIDE, SIDE), np.uint8), "YX", name="first"))
    unkept = desk.viewer.add_labels(np.full((SIDE, SIDE), -1), name="below nothing")
    desk.rest()
    assert desk.hands.track is None
    desk.hands.pick("lasso")
    assert desk.hands.said == "below nothing cannot be kept, so it cannot be changed; the foot of the panel says why."
    assert desk.viewer.layers.selection.active is unkept
    desk.viewer.layers.selection.active = kept
    assert desk.hands.track is desk.recorder.track(kept)


def test_what_is_shown_is_what_napari_shows(desk: Desk) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        thick = float(rng.choice([0.9765625, 1.1, 3.27, 2.5, 0.3]))
        desk.viewer.layers.clear()
        mask = desk.viewer.add_labels(
            np.zeros((9, 5, 5), np.uint8), scale=(thick, 1, 1), translate=(rng.normal() * 500, 0, 0)
        )
        desk.viewer.add_image(np.zeros((18, 5, 5)), scale=(thick / 2, 1, 1), translate=mask.translate)
        for k in range(17):
            mask.data[:] = np.arange(9)[:, None, None]
            desk.viewer.dims.set_point(0, mask.translate[0] + k * thick / 2)
            mask.refresh()
            if not mask._slice.empty:
                seen = mask._slice.image.raw[0, 0]
                assert shown_at(mask, desk.viewer.dims.point, (1, 2))[0] == seen
                assert value_at(desk.viewer, mask) == seen  # and so it is told in words


def test_a_film_is_not_changed_while_a_longer_one_goes_on(desk: Desk) -> None:
    film = desk.show(Volume(np.zeros((3, SIDE, SIDE), np.uint8), "TYX", name="film"))
    desk.viewer.add_image(np.zeros((6, SIDE, SIDE)), opacity=0.5)
    taken = []
    for time in range(6):
        desk.viewer.dims.set_current_step(0, time)
        taken.append(desk.check(film, "lasso"))
    assert taken == [True] * 3 + [False] * 3
    assert desk.hands.said == BEYOND
    desk.hands.act("finish case")
    desk.rest()
    assert desk.hands.said == BEYOND


def test_a_mask_that_says_another_place_is_none_of_this_image(desk: Desk) -> None:
    """Of a patient, or a series, of the same size."""
    here, there = np.diag([1.0, 1, 1, 1]), np.diag([1.0, 1, 1, 1])
    there[:3, 3] = 0, 0, 500
    volume = Volume(np.zeros((4, 30, 30), np.uint8), "ZYX", (1.0,) * 3, "mm", affine=here, name="image")
    ((data, about, _),) = layer_data(volume, "image")
    desk.viewer.add_image(data, **about)
    masks = {}
    for name, affine in (("own", here), ("other", there)):
        mask = Volume(np.zeros((4, 30, 30), np.uint8), "ZYX", (1.0,) * 3, "mm", affine=affine, name=name)
        ((data, about, _),) = layer_data(mask, "labels")
        masks[name] = desk.viewer.add_labels(data, **about)
        let_arrive(desk.recorder)
    own, other = (desk.recorder.track(masks[name]) for name in ("own", "other"))
    assert own is not None
    assert own.image is desk.viewer.layers["image"]
    assert other is None or other.image is None


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_a_layer_made_of_a_channel_stands_for_what_it_shows(kind: str) -> None:
    """napari copies what a layer knows when it makes another of it."""
    channels = Volume(np.arange(2 * 8 * 10, dtype=np.uint8).reshape(2, 8, 10), "CYX", (0.5, 0.5), "um", name="both")
    _, about, _ = layer_data(channels, "image")[1]
    known = {key: about[key] for key in ("metadata", "scale", "translate", "units", "axis_labels")}
    whole, part = np.full((8, 10), 7, np.uint8), np.full((4, 5), 7, np.uint8)
    for data in (whole, part):
        layer = Layer.create(data, {**known, "scale": [0.5 * 8 / len(data)] * 2}, kind)
        found = volume_of(layer)
        assert np.array_equal(np.asarray(found.data), data)
        assert found.spacing == (0.5 * 8 / len(data),) * 2
        assert "C" not in found.axes
