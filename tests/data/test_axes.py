"""The names of dimensions, in words."""

from __future__ import annotations

import pytest

from napari_seg.data.axes import name_axes
from napari_seg.errors import ChoiceNeeded


def test_one_of_something_is_not_many():
    with pytest.raises(ChoiceNeeded) as question:
        name_axes("ZQYX", (1, 3, 8, 9), None, "a.tif")
    assert [choice.title for choice in question.value.choices] == [
        "1 slice of 3 time points of 8 x 9 pixels",
        "1 slice of 3 channels of 8 x 9 pixels",
    ]
