"""Labels are counted as one would by hand, whatever the size of the pieces."""

from __future__ import annotations

import numpy as np
import pytest

from napari_seg.editing import counting
from napari_seg.editing.counting import counted, slabs


@pytest.mark.parametrize("at_once", [1, 7, 1000])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_every_label_is_counted(at_once: int, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.random.default_rng(0).integers(0, 5, (4, 5, 6)).astype(dtype)
    monkeypatch.setattr(counting.slabs, "__defaults__", (at_once,))
    assert dict(counted(labels)) == {k: int((labels == k).sum()) for k in range(5)}
    assert dict(counted(labels.transpose(2, 0, 1))) == dict(counted(labels))


def test_slabs_cover_all_of_it_once() -> None:
    labels = np.zeros((10, 4, 4), np.uint8)
    assert [(s.start, s.stop) for s in slabs(labels, 48)] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert [(s.start, s.stop) for s in slabs(labels, 1)] == [(k, k + 1) for k in range(10)]
    assert list(slabs(labels[:0])) == []


def test_nothing_and_large_numbers() -> None:
    assert not counted(np.zeros((0, 3), np.uint8))
    assert dict(counted(np.array([[2**40, 2**40, 1]]))) == {2**40: 2, 1: 1}
