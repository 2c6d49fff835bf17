"""What the scores say of their own mask."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_seg.data.volume import Volume
from napari_seg.inference import expectation
from napari_seg.inference.expectation import expected_wrong
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic


def predicted(labels: Any, axes: str, scores: Any, task: Any) -> Any:
    return SimpleNamespace(
        labels=Volume(np.asarray(labels), axes), scores=np.asarray(scores, np.float16), model=SimpleNamespace(task=task)
    )


def test_a_sure_model_expects_nothing_wrong_and_one_that_guesses_half() -> None:
    labels = np.zeros((6, 8), np.uint8)
    labels[1:3, 2:6] = 7
    sure = np.stack([labels > 0, np.full(labels.shape, 0.5), np.full(labels.shape, 0.5)])
    assert expected_wrong(predicted(labels, "YX", sure, Instance())) == 0
    half = np.full((3, 6, 8), 0.5)
    # 8 voxels in the mask of which 4 are expected to be wrong; 40 outside of which 20 are expected to be missing
    assert expected_wrong(predicted(labels, "YX", half, Instance())) == pytest.approx(24 / 29)
    assert expected_wrong(predicted(np.zeros((6, 8), np.uint8), "YX", np.zeros((3, 6, 8)), Instance())) == 0


def test_each_voxel_counts_by_the_chance_of_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.array([[[0, 1, 2, 2]]], np.uint8)
    scores = np.array([[1, 0.25, 0, 0.25], [0, 0.75, 0, 0.25], [0, 0, 1, 0.5]])[:, None, None]
    case = predicted(labels, "ZYX", scores, Semantic(classes=("liver", "spleen")))
    assert expected_wrong(case) == pytest.approx((0.25 + 0.5) / (3 + 1))
    tall = predicted(labels.repeat(9, 0), "ZYX", scores.repeat(9, 1), Semantic(classes=("liver", "spleen")))
    monkeypatch.setattr(expectation, "_SLAB", 8)
    assert expected_wrong(tall) == pytest.approx(9 * 0.75 / (27 + 1))


def test_classes_that_overlap_and_times_add_up() -> None:
    labels = np.zeros((2, 2, 3, 4), np.uint8)  # T C Y X
    labels[1, 0, 0, 0] = 1
    scores = np.zeros((2, 2, 3, 4))
    scores[1, 0, 0, 0] = 0.75
    scores[0, 1, 2, 3] = 0.5
    task = Semantic(classes=("a", "b"), overlapping=True)
    assert expected_wrong(predicted(labels, "TCYX", scores, task)) == pytest.approx((0.25 + 0.5) / (1 + 0.5 + 1))
