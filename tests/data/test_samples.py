"""The samples that come with the program: there, small, right in the world, and plausible."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_seg import read
from napari_seg.data import samples
from napari_seg.data.samples import SAMPLES, labels_of, path_of

FOLDER = Path(__file__).parents[2] / "sample_data"


@pytest.mark.parametrize("name", SAMPLES)
def test_labels_lie_on_their_image(name: str) -> None:
    image, labels = read(path_of(name)), read(labels_of(name))
    assert image.axes == labels.axes
    assert image.shape == labels.shape
    assert image.spacing is not None
    assert image.spacing == labels.spacing
    assert image.unit == labels.unit == ("um" if name.startswith("nuclei") else "mm")
    if image.affine is not None:
        np.testing.assert_allclose(image.affine, labels.affine)
    found = np.unique(np.asarray(labels.data))
    assert found.tolist() == list(range(len(found)))
    assert len(found) - 1 == (len(SAMPLES[name].classes) or len(found) - 1)


def test_all_together_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 6e6


def test_nuclei_are_crowded_and_touch() -> None:
    for name, count in (("nuclei2d", 150), ("nuclei3d", 120)):
        labels = np.asarray(read(labels_of(name)).data).astype(int)
        touching = set()
        for axis in range(labels.ndim):
            a, b = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
            met = (a != b) & (a > 0) & (b > 0)
            touching |= set(a[met]) | set(b[met])
        assert labels.max() >= count
        assert len(touching) > 0.5 * labels.max()


def centres(name: str) -> dict[str, np.ndarray]:
    """The centres of the classes in the world: right, anterior, superior, in mm."""
    volume = read(labels_of(name))
    assert volume.affine is not None
    labels = np.asarray(volume.data)
    return {
        title: (volume.affine @ [*np.argwhere(labels == number).mean(0), 1])[:3]
        for number, title in enumerate(SAMPLES[name].classes, 1)
    }


def test_the_abdomen_is_the_right_way_round() -> None:
    at = centres("abdomen_ct")
    assert at["liver"][0] > 30
    assert at["spleen"][0] < -60
    assert at["right kidney"][0] > 30 > -30 > at["left kidney"][0]
    assert at["stomach"][0] < at["aorta"][0] < 0
    assert at["spine"][1] < at["aorta"][1] < at["stomach"][1]
    assert at["right kidney"][2] < at["liver"][2]


def test_the_head_is_the_right_way_round() -> None:
    at = centres("head_mr")
    assert at["tumour"][0] > 20
    assert at["cerebellum"][1] < at["white matter"][1]
    assert at["cerebellum"][2] < at["brain stem"][2] + 10 < at["ventricles"][2] + 10


def test_hounsfield_units_are_those_of_tissues() -> None:
    image, labels = (np.asarray(read(path(name="abdomen_ct")).data) for path in (path_of, labels_of))
    means = [image[labels == number].mean() for number in range(1, 8)]
    assert 90 < means[0] < 125
    assert 100 < means[1] < 140
    assert 150 < means[5] < 260
    assert means[6] > 200
    assert image.min() == -1024


def test_they_are_found_in_a_wheel_and_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "napari_seg"
    package.mkdir()
    monkeypatch.setattr(samples, "_PACKAGE", package)
    assert path_of("nuclei2d") == tmp_path / "sample_data" / "nuclei2d.tif"
    (package / "sample_data").mkdir()
    assert path_of("nuclei2d") == package / "sample_data" / "nuclei2d.tif"


def test_the_script_makes_the_sample_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # the folder goes into the wheel as it is
    import nuclei

    try:
        image, labels = nuclei.tissue()
    finally:
        for module in ("nuclei", "physics"):
            sys.modules.pop(module)
    np.testing.assert_array_equal(labels, np.asarray(read(labels_of("nuclei3d")).data))
    np.testing.assert_allclose(image.mean(), np.asarray(read(path_of("nuclei3d")).data).mean(), rtol=1e-3)
