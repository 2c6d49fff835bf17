"""The names of dimensions, in words."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.data.axes import name_axes
from napari_seg.data.volume import Volume
from napari_seg.errors import ChoiceNeeded


def test_one_of_something_is_not_many():
    with pytest.raises(ChoiceNeeded) as question:
        name_axes("ZQYX", (1, 3, 8, 9), None, "a.tif")
    assert [choice.title for choice in question.value.choices] == [
        "1 slice of 3 time points of 8 x 9 pixels",
        "1 slice of 3 channels of 8 x 9 pixels",
    ]


@pytest.mark.parametrize(
    ("axes", "one", "planes"), [("YX", "YX", "CYX"), ("TCZYX", "TZYX", "TCZYX"), ("CYXS", "YX", "CYX")]
)
def test_a_mask_has_channels_for_planes_only(axes: str, one: str, planes: str) -> None:
    volume = Volume(np.zeros((3,) * len(axes)), axes)
    assert volume.mask_axes() == one
    assert volume.mask_axes(("liver", "spleen")) == planes
