"""A click adds what the model missed, a scribble mends what is wrong; nothing else changes, and both are quick."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from outcome import after

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.assist import Repair, Scribble, add_missed, scribble
from napari_seg.editing.tools import Gesture
from napari_seg.errors import SegError
from napari_seg.tasks.instance import Instance
from napari_seg.tasks.semantic import Semantic


def balls(*middles: tuple[float, ...], radius: float = 9.0, grid: tuple[int, ...] = (64, 80)) -> NDArray[np.uint8]:
    """One label a ball; where two meet, each voxel belongs to the nearer one."""
    axes = np.indices(grid)
    far = np.stack([sum((a - m) ** 2 for a, m in zip(axes, middle, strict=True)) for middle in middles])
    return np.where(far.min(0) <= radius**2, 1 + far.argmin(0), 0).astype(np.uint8)


def scores_of(truth: NDArray[np.uint8], strength: float = 0.98, classes: int = 0) -> NDArray[np.float16]:
    """What a good model would say: a little blurred, of instances or of so many classes."""
    from scipy.ndimage import gaussian_filter

    task: Any = Semantic(classes=tuple("abcd"[:classes])) if classes else Instance(ndim=truth.ndim)
    target = task.encode(truth, (1.0,) * truth.ndim)
    blurred = np.stack([gaussian_filter(channel, 0.7) for channel in target])
    if not classes:
        blurred[0] *= strength
    return blurred.astype(np.float16)


def image_of(truth: NDArray[np.uint8]) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).normal(0, 0.08, truth.shape)
    return ((truth > 0) + noise).astype(np.float32)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(a & b) / np.count_nonzero(a | b))


@pytest.mark.parametrize("strength", [0.98, 0.4, 0.12])
@pytest.mark.parametrize("seen", ["image and scores", "scores"])
def test_a_click_adds_the_missed_object_also_where_the_model_is_not_sure(strength: float, seen: str) -> None:
    truth = balls((30, 25), (30, 60))
    annotation = Annotation.of(
        np.where(truth == 1, truth, 0).astype(np.uint8),
        scores=scores_of(truth, strength),
        image=image_of(truth) if "image" in seen else None,
        following=7,
    )
    labels = after(annotation, add_missed(annotation, Gesture(points=((33.0, 57.0),)), Repair()))
    assert np.array_equal(labels == 1, truth == 1)
    assert iou(labels == 7, truth == 2) > (0.9 if "image" in seen or strength > 0.9 else 0.6)
    assert set(np.unique(labels)) == {0, 1, 7}


def test_a_click_adds_one_of_two_that_touch() -> None:
    truth = balls((30, 25), (30, 41))
    annotation = Annotation.of(np.zeros(truth.shape, np.uint8), scores=scores_of(truth))
    labels = after(annotation, add_missed(annotation, Gesture(points=((30.0, 25.0),)), Repair()))
    assert iou(labels > 0, truth == 1) > 0.9


def test_what_is_added_is_clipped_against_what_there_is() -> None:
    truth = balls((30, 25), (30, 41))
    labels = np.where(truth == 1, 1, 0).astype(np.uint8)
    labels[20:40, 33:36] = 1  # a piece of the missed one too
    annotation = Annotation.of(labels, scores=scores_of(truth))
    found = after(annotation, add_missed(annotation, Gesture(points=((30.0, 44.0),)), Repair()))
    assert np.array_equal(found == 1, labels == 1)
    assert iou(found == 2, (truth == 2) & (labels == 0)) > 0.85


@pytest.mark.parametrize("reach", ["volume", "slice"])
def test_a_click_in_a_volume(reach: Any) -> None:
    truth = balls((10, 12, 12), (10, 12, 34), radius=7, grid=(20, 26, 48))
    annotation = Annotation.of(np.where(truth == 1, 1, 0).astype(np.uint8), scores=scores_of(truth))
    gesture = Gesture(points=((9.0, 11.0, 34.0),), shown=(1, 2))
    labels = after(annotation, add_missed(annotation, gesture, Repair(reach=reach)))
    assert np.array_equal(labels == 1, truth == 1)
    if reach == "volume":
        assert iou(labels == 2, truth == 2) > 0.9
    else:
        assert np.unique(np.nonzero(labels == 2)[0]).tolist() == [9]
        assert iou(labels[9] == 2, truth[9] == 2) > 0.85


def test_an_object_larger_than_the_first_look_is_added_whole() -> None:
    truth = balls((150, 160), radius=120, grid=(300, 320))
    annotation = Annotation.of(np.zeros(truth.shape, np.uint8), objects=False, scores=scores_of(truth, classes=1))
    labels = after(annotation, add_missed(annotation, Gesture(points=((150.0, 160.0),)), Repair()))
    assert iou(labels == 1, truth == 1) > 0.98


def test_a_click_adds_the_class_that_is_painted_with() -> None:
    truth = balls((30, 25), (30, 41))
    annotation = Annotation.of(np.zeros(truth.shape, np.uint8), objects=False, scores=scores_of(truth, classes=2))
    labels = after(annotation, add_missed(annotation, Gesture(points=((30.0, 42.0),), label=2), Repair()))
    assert iou(labels == 2, truth == 2) > 0.9
    assert not (labels == 1).any()


def test_a_click_says_why_it_adds_nothing() -> None:
    truth = balls((30, 25))
    gesture = Gesture(points=((30.0, 25.0),))
    with pytest.raises(SegError, match="no scores"):
        add_missed(Annotation.of(truth * 0), gesture, Repair())
    known = Annotation.of(truth * 0, scores=scores_of(truth))
    with pytest.raises(SegError, match="sees nothing here"):
        add_missed(known, Gesture(points=((60.0, 70.0),)), Repair())
    with pytest.raises(SegError, match="object 1 already"):
        add_missed(Annotation.of(truth, scores=scores_of(truth)), gesture, Repair())
    classes = Annotation.of(truth * 0, objects=False, scores=scores_of(truth, classes=2))
    with pytest.raises(SegError, match="classes up to 2, not 5"):
        add_missed(classes, replace(gesture, label=5), Repair())
    with pytest.raises(SegError, match="Class 1 is locked"):
        add_missed(replace(classes, locked=frozenset({1})), gesture, Repair())


@pytest.mark.parametrize("seen", ["scores", "image"])
def test_a_scribble_gives_an_object_its_missing_half_back(seen: str) -> None:
    truth = balls((30, 40), (8, 10), radius=14)
    labels = truth.copy()
    labels[:, 40:][truth[:, 40:] == 1] = 0
    known = {"scores": scores_of(truth)} if seen == "scores" else {"image": image_of(truth)}
    annotation = Annotation.of(labels, **known)
    found = after(annotation, scribble(annotation, Gesture(points=((30.0, 36.0), (30.0, 49.0))), Scribble()))
    assert iou(labels == 1, truth == 1) < 0.55
    assert iou(found == 1, truth == 1) > 0.9
    assert np.array_equal(found == 2, labels == 2)


@pytest.mark.parametrize("seen", ["scores", "image"])
def test_a_scribble_from_background_takes_away_what_does_not_belong(seen: str) -> None:
    truth = balls((30, 40), radius=12)
    labels = balls((30, 40), (30, 50), radius=12)
    labels[labels > 0] = 1
    known = {"scores": scores_of(truth)} if seen == "scores" else {"image": image_of(truth)}
    annotation = Annotation.of(labels, **known)
    line = ((14.0, 60.0), (24.0, 57.0), (30.0, 56.0), (38.0, 57.0))
    found = after(annotation, scribble(annotation, Gesture(points=line), Scribble()))
    assert iou(labels == 1, truth == 1) < 0.7
    assert iou(found == 1, truth == 1) > 0.85


def test_a_scribble_moves_the_border_of_two_that_touch() -> None:
    truth = balls((30, 30), (30, 46), radius=10)
    labels = truth.copy()
    labels[(truth == 2) & (np.indices(truth.shape)[1] < 44)] = 1
    annotation = Annotation.of(labels, scores=scores_of(truth))
    found = after(annotation, scribble(annotation, Gesture(points=((30.0, 48.0), (30.0, 41.0))), Scribble()))
    assert iou(labels == 2, truth == 2) < 0.75
    assert iou(found == 2, truth == 2) > 0.85
    assert iou(found == 1, truth == 1) > 0.85


def test_a_scribble_keeps_what_it_does_not_cross_and_does_not_swallow_what_it_does() -> None:
    truth = balls((30, 20), (30, 38), (30, 56), (12, 38), (48, 38), radius=8)
    annotation = Annotation.of(truth, scores=scores_of(truth))
    found = after(annotation, scribble(annotation, Gesture(points=((30.0, 18.0), (30.0, 33.0))), Scribble()))
    for label in (3, 4, 5):
        assert np.array_equal(found == label, truth == label)
    assert np.count_nonzero(found == 2) > 0.6 * np.count_nonzero(truth == 2)
    assert np.count_nonzero(found == 1) > np.count_nonzero(truth == 1)


def test_a_scribble_can_carry_the_label_to_paint_with() -> None:
    truth = balls((30, 40), radius=12)
    annotation = Annotation.of(truth * 0, scores=scores_of(truth))
    gesture = Gesture(points=((24.0, 40.0), (36.0, 40.0)), label=4)
    found = after(annotation, scribble(annotation, gesture, Scribble(carries="label")))
    assert iou(found == 4, truth == 1) > 0.85


@pytest.mark.parametrize("reach", ["volume", "slice"])
def test_a_scribble_in_a_volume(reach: Any) -> None:
    truth = balls((10, 14, 24), radius=9, grid=(20, 28, 48))
    labels = np.where(np.indices(truth.shape)[2] < 24, truth, 0).astype(np.uint8)
    annotation = Annotation.of(labels, scores=scores_of(truth))
    gesture = Gesture(points=((10.0, 14.0, 20.0), (10.0, 14.0, 30.0)), shown=(1, 2))
    found = after(annotation, scribble(annotation, gesture, Scribble(reach=reach)))
    assert iou(found[10] == 1, truth[10] == 1) > 0.9
    if reach == "volume":
        assert iou(found == 1, truth == 1) > 0.85
    else:
        assert np.array_equal(np.delete(found, 10, 0), np.delete(labels, 10, 0))


def test_locked_labels_stay_under_a_scribble() -> None:
    truth = balls((30, 30), (30, 46), radius=10)
    annotation = Annotation.of(truth, scores=scores_of(truth), locked=frozenset({2}))
    found = after(
        annotation, scribble(annotation, Gesture(points=((20.0, 30.0), (16.0, 46.0), (30.0, 46.0))), Scribble())
    )
    assert np.array_equal(found == 2, truth == 2)
    with pytest.raises(SegError, match="Object 2 is locked"):
        scribble(annotation, Gesture(points=((30.0, 46.0), (30.0, 30.0))), Scribble())


def test_a_scribble_says_why_it_does_nothing() -> None:
    truth = balls((30, 30), radius=12)
    annotation = Annotation.of(truth, scores=scores_of(truth))
    with pytest.raises(SegError, match="object 1 already"):
        scribble(annotation, Gesture(points=((30.0, 28.0), (30.0, 32.0))), Scribble())
    with pytest.raises(SegError, match="neither an image nor a prediction"):
        scribble(Annotation.of(truth), Gesture(points=((30.0, 30.0), (30.0, 60.0))), Scribble())
