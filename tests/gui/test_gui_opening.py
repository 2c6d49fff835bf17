"""Questions are asked, answers are obeyed, and a no opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.layers import Layer

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded, SegError
from napari_seg.gui.kinds import Kind
from napari_seg.gui.layers import layer_data, volume_of
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


def test_a_broken_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.nii.gz"
    path.write_text("no volume")
    with pytest.raises(SegError, match=r"broken\.nii\.gz"):
        open_path(path, Scripted())
