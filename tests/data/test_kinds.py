"""Image or labels: certain answers only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_seg.data.kinds import kind_of
from napari_seg.data.volume import Source, Volume

NOISE = np.random.default_rng(0).integers(0, 255, (6, 40, 40)).astype(np.uint8)
BLOCKS = np.kron(np.arange(16).reshape(4, 4), np.ones((10, 10), int)).astype(np.uint16)


@pytest.mark.parametrize(
    ("data", "axes", "kind"),
    [
        (BLOCKS > 3, "YX", "labels"),
        (BLOCKS, "YX", None),
        (BLOCKS.astype(float), "YX", None),
        (np.stack([BLOCKS] * 3), "ZYX", None),
        (np.zeros((20, 20), np.uint8), "YX", None),
        (NOISE, "ZYX", "image"),
        (NOISE[0].astype(np.float32) / 7, "YX", "image"),
        (BLOCKS.astype(np.int16) - 1024, "YX", "image"),
        (np.stack([BLOCKS] * 2), "CYX", "image"),
        (np.stack([BLOCKS] * 3, -1), "YXS", "image"),
        (np.stack([np.zeros_like(BLOCKS), BLOCKS]), "CYX", "image"),
        (np.stack([BLOCKS > 3, BLOCKS > 5]).astype(np.uint8), "CYX", None),
        (np.stack([[BLOCKS > 3] * 4, [BLOCKS > 5] * 4]).astype(np.uint8), "CZYX", None),
        (np.stack([[BLOCKS > 3] * 4, [BLOCKS] * 4]).astype(np.uint8), "CZYX", "image"),
    ],
)
def test_only_the_certain_is_told(data: np.ndarray, axes: str, kind: str | None) -> None:
    assert kind_of(Volume(data, axes)) == kind


def test_a_dicom_segmentation_says_what_it_is() -> None:
    source = Source(Path("seg.dcm"), "dicom", modality="SEG")
    assert kind_of(Volume(BLOCKS, "YX", source=source)) == "labels"
    named = Source(Path("a.seg.nrrd"), "nrrd_file", header={"classes": {1: "liver"}})
    assert kind_of(Volume(BLOCKS, "YX", source=named)) == "labels"
