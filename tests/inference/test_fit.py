from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dask.array
import numpy as np
import pytest
from toy_models import bright, dark

from napari_seg.data.volume import Source, Volume
from napari_seg.errors import SegError
from napari_seg.inference.channels import LUMINANCE, choose_channels
from napari_seg.inference.decoding import task_with
from napari_seg.inference.fit import check, diameters, look_through, suited
from napari_seg.inference.forecast import forecast, multiple_of, multiplications
from napari_seg.inference.predict import predict
from napari_seg.inference.prediction import PredictSpec, Region
from napari_seg.inference.prepare import measure, sample
from napari_seg.models.model import Model
from napari_seg.models.spec import Event, InputSpec, ModelSpec, NetworkSpec, Normalisation
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic

DEFAULTS = PredictSpec()


def volume(shape, axes, **given):
    return Volume(np.random.default_rng(0).random(shape, np.float32), axes, **given)


def test_a_3d_model_on_an_image_is_refused():
    for image in (volume((30, 40), "YX"), volume((1, 30, 40), "ZYX")):
        with pytest.raises(SegError, match="choose a 2D model or open the whole stack"):
            check(dark(3).spec, image, DEFAULTS)


@pytest.mark.parametrize(("grid", "axis", "kept"), [((50, 40, 1), "x", "40 x 50"), ((50, 1, 30), "y", "30 x 50")])
@pytest.mark.parametrize("model", [dark(2), dark(3)], ids=["2D", "3D"])
def test_a_slice_that_is_seen_from_its_edge_is_refused(model, grid, axis, kept):
    """As a sagittal one in a NIfTI of 1 x N x M: a 2D model went through its lines as if they were slices."""
    with pytest.raises(SegError) as caught:
        check(model.spec, volume(grid, "ZYX"), DEFAULTS)
    assert str(caught.value) == (
        f"The volume is one voxel thick along {axis}, so it is a single slice seen from its edge; save it as an image "
        f"of rows and columns (as NIfTI {kept} x 1 voxels), or open the whole volume."
    )
    assert check(dark(2).spec, volume((1, 40, 50), "ZYX"), DEFAULTS).by_slices


def test_an_empty_image_and_complex_numbers_are_refused():
    with pytest.raises(SegError, match="empty"):
        check(dark(2).spec, Volume(np.zeros((0, 4)), "YX"), DEFAULTS)
    with pytest.raises(SegError, match="complex64"):
        check(dark(2).spec, Volume(np.zeros((4, 4), np.complex64), "YX"), DEFAULTS)


@pytest.mark.parametrize(
    "region",
    [
        Region((0, 0), (5, 50)),
        Region((5, 5), (5, 9)),
        Region((-1, 0), (5, 5)),
        Region((0.5, 0), (5, 5)),  # type: ignore[arg-type]
        Region((0, 0), (float("nan"), 5)),  # type: ignore[arg-type]
        Region((0, 0, 0), (1, 5, 5)),
        Region((0, 0), (5, 5), time=3),
    ],
)
def test_a_region_outside_the_image_is_refused(region):
    with pytest.raises(SegError):
        check(dark(2).spec, volume((2, 40, 40), "TYX"), DEFAULTS, region)


def test_a_volume_far_larger_than_the_learned_ones_asks_for_a_box():
    model = dark(3, extent=(20, 20, 20), spacing=(1.0, 1.0, 1.0), unit="mm").spec
    large = volume((30, 50, 60), "ZYX", spacing=(1, 2, 2), unit="mm")
    with pytest.raises(SegError, match=r"6 times longer .* choose a box"):
        check(model, large, DEFAULTS)
    fit = check(model, large, DEFAULTS, Region((0, 0, 0), (30, 30, 30)))
    assert fit.box == ((0, 0, 0), (30, 30, 30))
    check(model, volume((30, 50, 60), "ZYX", spacing=(1, 1, 1), unit="mm"), DEFAULTS)


def test_an_image_of_a_wrong_unit_is_refused_by_its_name():
    model = dark(2, spacing=(100.0, 100.0), unit="nm").spec
    wrong = volume((30, 40), "YX", spacing=(100, 100), unit="mm", name="cells")
    words = (
        r"^cells has voxels of 100 x 100 mm, which on the 100 x 100 nm of the model would become 1e\+12 times as many;"
    )
    with pytest.raises(SegError, match=words + r" correct its spacing or its unit\.$"):
        check(model, wrong, DEFAULTS)
    coarse = volume((30, 40), "YX", spacing=(3, 3), unit="um")
    assert check(model, coarse, DEFAULTS).scale == pytest.approx((30, 30))


def test_far_larger_images_are_normalised_by_the_box_others_by_the_whole():
    data = np.zeros((40, 90, 90), np.float32)
    data[:20, :20, :20] = np.random.default_rng(0).random((20, 20, 20)) + 5
    given = {"extent": (20, 20, 20), "normalisation": Normalisation(kind="zscore")}
    region = Region((0, 0, 0), (20, 20, 20))
    assert check(dark(3, **given).spec, Volume(data, "ZYX"), DEFAULTS, region).limits(0)[0] > 5
    given["extent"] = (40, 90, 90)
    assert check(dark(3, **given).spec, Volume(data, "ZYX"), DEFAULTS, region).limits(0)[0] < 1


@pytest.mark.parametrize(
    ("spacing", "unit", "scale"),
    [
        ((2.0, 1.0, 1.0), "mm", (2.0, 1.0, 1.0)),
        ((2000.0, 500.0, 500.0), "um", (2.0, 0.5, 0.5)),
        ((1.03, 0.97, 1.0), "mm", (1.0, 1.0, 1.0)),
    ],
)
def test_images_with_a_spacing_are_resampled_to_that_of_the_model(spacing, unit, scale):
    model = dark(3, spacing=(1.0, 1.0, 1.0), unit="mm").spec
    fit = check(model, volume((30, 40, 50), "ZYX", spacing=spacing, unit=unit), DEFAULTS)
    assert fit.scale == pytest.approx(scale)
    assert any("resampled" in note for note in fit.notes) == (scale != (1.0, 1.0, 1.0))


@pytest.mark.parametrize("step", [1.1, 1.3, 0.7, 1.05, 1 / 1.05])
def test_what_a_format_rounds_in_a_spacing_does_not_change_the_grid_of_the_model(step):
    """NIfTI keeps spacings as float32: 35 voxels of 1.1 become 38.5 there, and 38.5000008."""
    model = dark(3, spacing=(1.0, 1.0, 1.0), unit="mm").spec
    for size in range(5, 500, 10):
        grids = set()
        for given in (step, float(np.float32(step)), step * (1 + 1e-7), step * (1 - 1e-7)):
            image = volume((9, 9, size), "ZYX", spacing=(1.0, 1.0, given), unit="mm")
            grids.add(tuple(axis.target for axis in check(model, image, DEFAULTS).axes()))
        assert len(grids) == 1, (size, grids)


def test_a_2d_model_uses_the_spacing_in_the_slice():
    model = dark(2, spacing=(0.5, 0.5), unit="um").spec
    fit = check(model, volume((9, 40, 50), "ZYX", spacing=(3.0, 1.0, 1.0), unit="um"), DEFAULTS)
    assert fit.scale == (2.0, 2.0)
    assert fit.by_slices


def test_without_a_spacing_the_objects_set_the_scale():
    model = bright(2, diameter=20.0).spec
    assert check(model, volume((40, 50), "YX"), DEFAULTS).scale is None
    assert check(model, volume((40, 50), "YX"), PredictSpec(diameter=40)).scale == (0.5, 0.5)
    assert check(model, volume((40, 50), "YX"), PredictSpec(diameter=20.5)).scale == (1.0, 1.0)
    assert check(dark(2, diameter=20.0).spec, volume((40, 50), "YX"), DEFAULTS).scale == (1.0, 1.0)


@pytest.mark.parametrize("diameter", [1e-9, 2.49, 161, 1e9])
def test_a_diameter_that_would_rescale_too_much_is_refused(diameter):
    model = bright(2, diameter=20.0).spec
    with pytest.raises(SegError, match=r"from 2\.5 to 160 pixels"):
        check(model, volume((40, 50), "YX"), PredictSpec(diameter=diameter))
    for allowed in diameters(model):
        assert check(model, volume((40, 50), "YX"), PredictSpec(diameter=allowed)).scale == (20 / allowed,) * 2
    with pytest.raises(SegError, match="has no diameter of objects; leave the diameter out"):
        check(dark(2).spec, volume((40, 50), "YX"), PredictSpec(diameter=diameter))


def test_doubts_are_warnings():
    model = dark(2, spacing=(1.0, 1.0), unit="mm", modality="MR").spec
    source = Source(Path("a.nii"), "nifti", modality="CT")
    assert "no voxel size" in " ".join(check(model, volume((40, 50), "YX"), DEFAULTS).warnings)
    image = volume((40, 50), "YX", spacing=(9.0, 9.0), unit="mm", source=source)
    words = " ".join(check(model, image, DEFAULTS).warnings)
    assert "CT" in words
    assert "9.0 times" in words


def test_of_several_channels_one_must_be_chosen():
    image = volume((3, 40, 50), "CYX", channels=("DAPI", "GFP", "RFP"))
    with pytest.raises(SegError, match="DAPI, GFP, RFP; choose one"):
        choose_channels(image, 1, None)
    with pytest.raises(SegError, match="no channel 'Cy5'"):
        choose_channels(image, 1, "Cy5")
    for name in ("GFP", "1"):
        chosen = choose_channels(image, 1, name)
        assert "GFP" in chosen.note
        assert np.array_equal(chosen.box(0, (0, 0), (40, 50))[0], image.data[1])


@pytest.mark.parametrize("setting", ["3", "foo", "luminance"])
def test_an_image_of_one_channel_has_no_other(setting):
    for image in (volume((40, 50), "YX"), volume((1, 40, 50), "CYX", channels=("DAPI",))):
        with pytest.raises(SegError, match=f"no '{setting}'; leave"):
            choose_channels(image, 1, setting)
        assert choose_channels(image, 1, "0").count == 1
    assert choose_channels(volume((1, 40, 50), "CYX", channels=("DAPI",)), 1, "DAPI").count == 1


def test_a_model_of_several_channels_wants_just_so_many():
    with pytest.raises(SegError, match="expects 2 channels, the image has 3"):
        choose_channels(volume((3, 40, 50), "CYX"), 2, None)
    with pytest.raises(SegError, match="expects 3 channels, the image has 1"):
        choose_channels(volume((40, 50), "YX"), 3, None)
    rgb = volume((40, 50, 3), "YXS")
    found = choose_channels(rgb, 3, None).box(0, (2, 3), (12, 33))
    assert np.array_equal(found, np.moveaxis(rgb.data, -1, 0)[:, 2:12, 3:33])


def test_a_model_of_several_channels_gets_them_by_their_names():
    learned = ("bright", "dark")
    data = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)

    def seen(data, *names, learned=learned):
        chosen = choose_channels(Volume(data, "CYX", channels=names), len(learned), None, learned)
        return chosen, chosen.box(0, (0, 1), (4, 5))

    for image, names in ((data[1::-1], ("dark", "bright")), (data[[2, 1, 0]], ("red", "Dark ", "bright"))):
        chosen, found = seen(image, *names)
        assert np.array_equal(found, data[:2, :, 1:])
        assert "bright, dark" in chosen.note
        assert not chosen.warning
    for names in (learned, (), ("channel 0", "channel 1"), ("Channel:0:0", "Channel:0:1")):
        chosen, found = seen(data[:2], *names)
        assert np.array_equal(found, data[:2, :, 1:])
        assert chosen.note == chosen.warning == ""
    assert seen(data[:2], "DAPI", "GFP", learned=("channel 1", "channel 2"))[0].warning == ""
    chosen, found = seen(data[:2], "DAPI", "GFP")
    assert np.array_equal(found, data[:2, :, 1:])
    assert "bright, dark" in chosen.warning
    assert "DAPI, GFP" in chosen.warning
    with pytest.raises(SegError, match="expects 2 channels, the image has 3"):
        seen(data, "red", "green", "blue")


def test_the_channel_that_a_model_of_one_learned_is_taken_by_its_name():
    image = volume((3, 40, 50), "CYX", channels=("DAPI", "GFP", "RFP"))
    assert choose_channels(image, 1, None, ("GFP",)).index == 1
    assert choose_channels(image, 1, "RFP", ("GFP",)).index == 2


def test_the_colours_of_a_picture_are_channels_too():
    rgb = volume((4, 5, 3), "YXS")
    planes = Volume(np.moveaxis(rgb.data, -1, 0)[::-1], "CYX", channels=("blue", "green", "red"))
    expected = choose_channels(rgb, 3, None).box(0, (0, 0), (4, 5))
    assert np.array_equal(choose_channels(planes, 3, None, ("red", "green", "blue")).box(0, (0, 0), (4, 5)), expected)
    assert choose_channels(rgb, 3, None, ("DAPI", "GFP", "RFP")).warning


@pytest.mark.parametrize("samples", [1, 2, 5, 7])
def test_samples_that_are_no_colours_are_refused(samples: int) -> None:
    with pytest.raises(SegError, match=f"has {samples} samples per pixel, RGB has 3; save it as"):
        choose_channels(volume((40, 50, samples), "YXS"), 1, None)


def test_rgb_becomes_luminance_or_a_chosen_stain():
    rgb = volume((40, 50, 4), "YXS")
    grey = choose_channels(rgb, 1, None)
    assert "luminance" in grey.note
    assert np.allclose(grey.box(0, (0, 0), (40, 50))[0], rgb.data[..., :3] @ np.array(LUMINANCE), atol=1e-6)
    assert np.array_equal(choose_channels(rgb, 1, "green").box(0, (0, 0), (4, 5))[0], rgb.data[:4, :5, 1])
    from skimage.color import hed2rgb

    stains = np.zeros((20, 20, 3))
    stains[5:15, 5:15, 0] = 0.2
    stains[:, :10, 1] = 0.1
    stained = Volume((hed2rgb(stains) * 255).astype(np.uint8), "YXS")
    found = choose_channels(stained, 1, "hematoxylin").box(0, (0, 0), (20, 20))[0]
    assert np.allclose(found, stains[..., 0], atol=0.02)
    with pytest.raises(SegError, match="no channel 'DAPI'"):
        choose_channels(rgb, 1, "DAPI")


def test_the_preview_is_the_middle_slice_as_the_model_sees_it():
    model = dark(3, spacing=(1.0, 1.0, 1.0), unit="mm", normalisation=Normalisation(low=0.0, high=100.0)).spec
    image = volume((20, 30, 40), "ZYX", spacing=(1, 2, 2), unit="mm")
    preview = check(model, image, DEFAULTS).preview
    assert preview.shape == (60, 80)
    assert preview.dtype == np.float32
    assert 0 <= preview.min() < preview.max() <= 1
    shrunk = preview.reshape(30, 2, 40, 2).mean((1, 3))
    assert np.corrcoef(shrunk.ravel(), image.data[10].ravel())[0, 1] > 0.95
    rgb = dark(2).spec.model_copy(update={"network": NetworkSpec(in_channels=3)})
    assert check(rgb, volume((30, 40, 3), "YXS"), DEFAULTS).preview.shape == (30, 40, 3)


def test_statistics_of_a_large_image_come_from_few_blocks_all_over_it():
    class Lazy:
        """Values that are made when they are asked for; counts how many."""

        shape, ndim, dtype, read = (400, 4000, 4000), 3, np.dtype(np.float32), 0

        def __getitem__(self, index):
            z, y, x = (np.arange(s.start, s.stop) for s in index)
            self.read += z.size * y.size * x.size
            return (z[:, None, None] / 400 + y[None, :, None] / 4000 + x / 4000).astype(np.float32) / 3

    data = Lazy()
    channels = choose_channels(Volume(data, "ZYX"), 1, None)
    box = ((0, 0, 0), data.shape)
    mean, high = measure(channels, 0, box, Normalisation(kind="zscore"))
    assert data.read < 2**25
    assert mean == pytest.approx(0.5, abs=0.05)
    assert measure(channels, 0, box, Normalisation(kind="zscore")) == (mean, high)
    assert all(b[1][k] <= data.shape[k] for b in sample(box) for k in range(3))


def test_small_images_are_measured_whole_and_without_what_is_no_number():
    data = np.random.default_rng(0).random((50, 60), np.float32)
    data[3, 4], data[5, 6] = np.nan, np.inf
    channels = choose_channels(Volume(data, "YX"), 1, None)
    found = measure(channels, 0, ((0, 0), (50, 60)), Normalisation())
    assert found == pytest.approx(np.percentile(data[np.isfinite(data)], (1, 99.8)), rel=1e-5)


@pytest.mark.parametrize("kind", ["unet", "vnet", "segnet"])
@pytest.mark.parametrize(("ndim", "flat"), [(2, 0), (3, 0), (3, 1)])
def test_the_multiplications_are_counted_from_the_spec(kind, ndim, flat):
    import torch

    from napari_seg.models.model import build

    spec = NetworkSpec(kind=kind, ndim=ndim, width=16, depth=3, flat_levels=flat)
    done = []

    def count(layer, given, found):
        place = given[0] if layer.transposed else found
        done.append(layer.weight.numel() * place[0, 0].numel())

    with torch.device("meta"):
        network = build(spec).eval()
        image = torch.empty(1, 1, *multiple_of(spec))
        for layer in network.modules():
            if hasattr(layer, "transposed"):
                layer.register_forward_hook(count)
        network(image)
    assert network.multiple == multiple_of(spec)
    assert multiplications(spec) == pytest.approx(sum(done) / image.numel(), rel=0.1)


def test_the_forecast_grows_with_the_work():
    model = bright(2, diameter=20.0).spec
    small = forecast(model, volume((200, 300), "YX"), PredictSpec(diameter=20), pace=1e9)
    large = forecast(model, volume((2000, 3000), "YX"), PredictSpec(diameter=20), pace=1e9)
    flipped = forecast(model, volume((2000, 3000), "YX"), PredictSpec(diameter=20, flips=True), pace=1e9)
    assert 30 < large.seconds / small.seconds < 200
    assert flipped.seconds > 3.5 * large.seconds
    assert large.bytes > small.bytes
    box = forecast(model, volume((2000, 3000), "YX"), PredictSpec(diameter=20), Region((0, 0), (200, 300)), pace=1e9)
    assert box.seconds < 3 * small.seconds


def learned_with(**augmentation: object) -> Model:
    """A network that answers each voxel by itself, trained with such changes of its images."""
    model = dark(2)
    event = Event(what="trained", when="", details={"augmentation": augmentation})
    return replace(model, spec=model.spec.model_copy(update={"history": (event,)}))


@pytest.mark.parametrize(
    ("said", "learned"),
    [
        ({"flips": True}, (0, 1)),
        ({"flips": False}, ()),
        ({}, (0, 1)),
        ({"flips": [1]}, (1,)),
        ({"flips": [5, "x"]}, ()),
    ],
    ids=["yes", "no", "unsaid", "one axis", "nonsense"],
)
def test_mirror_images_are_averaged_only_where_they_were_learned(
    said: dict[str, object], learned: tuple[int, ...]
) -> None:
    model, image = learned_with(**said), volume((20, 30), "YX")
    assert model.spec.mirrors == learned
    mirrored, plain = (PredictSpec(flips=k, precision="fp32") for k in (True, False))
    if not learned:
        with pytest.raises(SegError, match="lie the same way"):
            predict(model, image, mirrored)
        return
    work = [forecast(model.spec, image, settings, pace=1e9).multiplications for settings in (mirrored, plain)]
    assert work[0] == work[1] * 2 ** len(learned)
    seen = predict(model, image, mirrored).scores
    np.testing.assert_allclose(seen, predict(model, image, plain).scores, atol=2e-3)


def test_the_mean_is_over_the_mirror_images_along_the_axes_that_were_learned() -> None:
    network = NetworkSpec(width=4, depth=1)
    seen = InputSpec(patch=(32, 32))
    learned = Event(what="trained", when="", details={"augmentation": {"flips": [1]}})
    model = Model.create(
        ModelSpec(name="one", network=network, task=Semantic(), input=seen, history=(learned,)), seed=0
    )
    image = volume((32, 32), "YX")
    settings = PredictSpec(precision="fp32", tile=(32, 32))
    found = predict(model, image, settings.model_copy(update={"flips": True})).scores
    plain = predict(model, image, settings).scores
    mirrored = predict(model, replace(image, data=np.asarray(image.data)[:, ::-1]), settings).scores[..., ::-1]
    np.testing.assert_allclose(found, (plain.astype(np.float32) + mirrored) / 2, atol=2e-3)
    assert not np.allclose(plain, mirrored, atol=1e-2)


def test_looking_at_an_image_does_not_import_torch():
    code = (
        "import sys, numpy as np\n"
        "from napari_seg.data.volume import Volume\n"
        "from napari_seg.inference.fit import check\n"
        "from napari_seg.inference.forecast import forecast\n"
        "from napari_seg.inference.prediction import PredictSpec\n"
        "from napari_seg.models.spec import InputSpec, ModelSpec, NetworkSpec\n"
        "from napari_seg.tasks.semantic import Semantic\n"
        "spec = ModelSpec(name='m', network=NetworkSpec(), task=Semantic(), input=InputSpec())\n"
        "image = Volume(np.random.rand(40, 50), 'YX')\n"
        "check(spec, image, PredictSpec()).preview, forecast(spec, image, PredictSpec())\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_image_that_lies_otherwise_than_those_learned_is_a_doubt():
    model = dark(3, orientation="IPL").spec
    lying = np.diag([-1.0, -1.0, -1.0, 1.0])[:, [2, 1, 0, 3]]
    assert check(model, volume((9, 40, 50), "ZYX", affine=lying), DEFAULTS).warnings == ()
    unknown = " ".join(check(model, volume((9, 40, 50), "ZYX"), DEFAULTS).warnings)
    assert "does not say how the patient lies, the model learned images that lie IPL" in unknown


def test_settings_that_a_model_does_not_have_are_refused_or_left_out_where_no_model_was_in_mind() -> None:
    classes, planes, objects = Semantic(), Semantic(classes=("a", "b"), overlapping=True), Instance()
    for task, name, rest in (
        (classes, "threshold", "each pixel gets its likeliest class"),
        (classes, "smallest", "each pixel gets its likeliest class"),
        (planes, "seeds", "only threshold"),
    ):
        with pytest.raises(SegError, match=f"has no setting {name}, {rest}; leave the setting out"):
            task_with(task, PredictSpec.from_person({name: 0.5}))
    assert task_with(planes, PredictSpec(threshold=0.3)).threshold == 0.3
    assert task_with(objects, PredictSpec(smallest=7)).smallest == 7
    assert suited(PredictSpec(diameter=20, channel="red"), dark(2).spec) == PredictSpec(channel="red")
    assert suited(PredictSpec(diameter=20), bright(2, diameter=20.0).spec) == PredictSpec(diameter=20)


@pytest.mark.parametrize("kind", [np.asarray, dask.array.asarray])
def test_voxels_that_are_no_numbers_are_found_before_a_prediction_where_it_would_meet_them(kind):
    data = volume((3, 4, 20, 30), "TZYX").data
    data[1, 3, 0, 0], data[1, 3, 0, 1] = np.inf, -np.inf
    film = Volume(kind(data), "TZYX")

    def look(region=None):
        look_through(check(dark(2).spec, film, DEFAULTS, region), region)

    for met in (None, Region((0, 0, 0), (4, 9, 9)), Region((3, 0, 0), (4, 9, 9), time=1)):
        with pytest.raises(SegError, match="2 or more voxels that are NaN or infinite"):
            look(met)
    look(Region((0, 0, 0), (3, 20, 30)))
    look(Region((0, 1, 0), (4, 20, 30)))
    look(Region((0, 0, 0), (4, 20, 30), time=2))
