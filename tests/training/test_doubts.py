"""Labels that lie wrong are seen in the images, and labels that lie right are not doubted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_seg.data.formats import write
from napari_seg.data.volume import Volume
from napari_seg.inference.backend import choose_device
from napari_seg.models.model import Model
from napari_seg.models.zoo import samples_of, shipped
from napari_seg.training.adopt import compare
from napari_seg.training.augment import Augmentation
from napari_seg.training.cases import find_cases
from napari_seg.training.doubts import exchanged, far_from_labels, found_as, incomplete, misplaced
from napari_seg.training.memory import load
from napari_seg.training.plan import TrainSpec
from napari_seg.training.sample import Sample
from napari_seg.training.train import train

SIZE = 48
Labels = NDArray[np.int64]


def discs(seed: int, name: str = "", dark: bool = False, size: int = SIZE) -> Sample:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int64)
    for _ in range(40):
        at, radius = rng.uniform(4, size - 4, 2), rng.uniform(3, 5)
        disc = (y - at[0]) ** 2 + (x - at[1]) ** 2 < radius**2
        if not labels[disc].any() and labels.max() < 6:
            labels[disc] = labels.max() + 1
    image = (labels > 0) * (-1.0 if dark else 1.0) + rng.normal(size=labels.shape) * 0.3
    return Sample(image[None].astype(np.float32), labels, None, name or f"s{seed}", name or f"s{seed}")


def wrong(samples: Sequence[Sample], how: Callable[[Labels], Labels]) -> list[Sample]:
    return [replace(one, labels=np.ascontiguousarray(how(one.labels))) for one in samples]


def random_blobs(labels: Labels) -> Labels:
    return discs(int(labels.sum()) + 99).labels


KNOWN = [discs(50 + k) for k in range(6)]


@pytest.mark.parametrize("dark", [False, True])
def test_labels_that_lie_right_are_not_doubted(dark: bool) -> None:
    assert misplaced([discs(k, dark=dark) for k in range(6)], KNOWN) == ""


@pytest.mark.parametrize("dark", [False, True])
def test_moved_labels_are_seen_without_any_other_sample(dark: bool) -> None:
    told = misplaced(wrong([discs(k, dark=dark) for k in range(6)], lambda labels: np.roll(labels, 4, 0)))
    assert told == "the corrected labels fit their images better when moved by -4, 0 (y, x) voxels"


@pytest.mark.parametrize("how", [np.fliplr, np.flipud, random_blobs])
def test_labels_that_have_nothing_to_do_with_the_image(how: Callable[[Labels], Labels]) -> None:
    labelled = wrong([discs(k) for k in range(8)], how)
    assert misplaced(labelled, KNOWN) != ""
    assert "lie on no borders" not in misplaced(labelled)  # nothing is known of what such objects look like


def test_few_images_say_nothing() -> None:
    assert misplaced(wrong([discs(k) for k in range(4)], lambda labels: np.roll(labels, 4, 0)), KNOWN) == ""


def test_only_what_counts_is_looked_at() -> None:
    """Labels that nobody has spoken of may lie as they like."""
    samples = [discs(k) for k in range(6)]
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:, : SIZE // 2] = True
    half = [replace(one, labels=np.where(mask, one.labels, np.roll(one.labels, 5, 1)), mask=mask) for one in samples]
    assert misplaced(half, KNOWN) == ""


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_labels_of_the_shipped_samples_are_not_doubted(name: str) -> None:
    file = samples_of(shipped()[name])
    assert file is not None
    kept = load(file)
    assert misplaced(kept.check[:8], kept.learn) == ""
    moved = [replace(one, labels=np.roll(one.labels, 6, -1)) for one in kept.check[:12]]
    assert "fit their images better" in misplaced(moved, kept.learn)


def test_what_is_found_far_from_every_label() -> None:
    one = discs(0)
    found = (one.labels > 0).astype(np.float32)
    assert far_from_labels(found, one) == (0.0, float(found.sum()))
    half = replace(one, labels=np.where(one.labels % 2, one.labels, 0))
    far, whole = far_from_labels(found, half)
    assert 0.3 < far / whole < 0.7
    unknown = replace(half, mask=half.labels > 0)  # nobody said that there is nothing
    assert far_from_labels(found, unknown)[0] == 0
    assert incomplete([(far, whole)], [(0.0, 1.0)]).startswith(f"{far / whole:.0%} of what the new model finds lies")
    assert incomplete([(0.1, 1.0)], [(0.0, 1.0)]) == ""
    assert incomplete([(0.4, 1.0)], [(0.3, 1.0)]) == ""  # it finds much where nothing is anywhere
    assert incomplete([], []) == ""


def test_a_slice_that_was_left_out_between_two_is_far_from_labels() -> None:
    z, y, x = np.mgrid[:20, :24, :24]
    ball = ((z - 10) ** 2 + (y - 12) ** 2 + (x - 12) ** 2 < 64).astype(np.int64)
    found, image = ball.astype(np.float32), np.zeros((1, 20, 24, 24), np.float32)
    assert far_from_labels(found, Sample(image, ball))[0] == 0
    far, whole = far_from_labels(found, Sample(image, np.where(z % 2, ball, 0)))
    assert 0.45 < far / whole < 0.55


@pytest.mark.parametrize("overlapping", [False, True])
def test_classes_that_were_exchanged(overlapping: bool) -> None:
    found = np.zeros((40, 40), np.int64)
    found[5:20, 5:20], found[25:35, 5:35] = 1, 2

    def planes(labels: Labels) -> Labels:
        return np.stack([labels == 1, labels == 2]).astype(np.int64) if overlapping else labels

    def words(labels: Labels, mask: Any = None) -> str:
        one = Sample(np.zeros((1, 40, 40), np.float32), planes(labels), mask)
        return exchanged(found_as(one.labels, planes(found), one, 2), ("liver", "spleen"))

    swapped = np.where(found > 0, 3 - found, 0)
    assert words(found) == ""
    assert words(swapped) == (
        "liver and spleen look exchanged: where the corrections have one, the old model finds the other"
    )
    assert words(np.roll(swapped, 1, 0)).startswith("liver and spleen look exchanged")
    assert words(np.where(found == 1, 2, found)) == ""  # the model calls all liver what is spleen: it can learn that
    assert words(np.where(found == 1, 2, 0)) == ""
    assert words(np.zeros_like(found)) == ""
    assert words(swapped, found == 0) == ""  # nobody has said that
    one = Sample(np.zeros((1, 40, 40), np.float32), found)
    assert exchanged(found_as(found, found, one, 0), ()) == ""


@pytest.mark.parametrize(
    ("taken_for", "words"),
    [((1, 2, 0, 3), "a, b and c look exchanged"), ((1, 2, 3, 3), ""), ((1, 0, 0, 3), "a and b look exchanged")],
)
def test_more_than_two_classes_that_were_exchanged(taken_for: tuple[int, ...], words: str) -> None:
    table = np.hstack([9 * np.eye(4, dtype=np.int64)[list(taken_for)], np.full((4, 1), 10)])
    assert exchanged(table, "abcd").partition(":")[0] == words


def moved(labels: Labels) -> Labels:
    return np.roll(labels, 4, 1)


def halved(labels: Labels) -> Labels:
    return np.where(labels % 2, labels, 0)


@pytest.mark.parametrize(
    ("how", "decision", "words"),
    [
        (lambda labels: labels, "better", "The new model is taken"),
        (moved, "undecided", "fit their images better when moved by 0, -4 (y, x) voxels"),
        (halved, "undecided", "as if objects were left out"),
    ],
    ids=["right", "moved", "halved"],
)
def test_a_model_that_learned_wrong_labels_is_not_taken(
    how: Callable[[Labels], Labels], decision: str, words: str, tmp_path: Path
) -> None:
    """It gains on others that are wrong alike, and has forgotten nothing: the old model knew nothing."""
    for seed in range(6):
        (one,) = wrong([discs(seed)], how)
        for folder, data in (("images", one.image[0]), ("labels", (one.labels > 0).astype(np.uint8))):
            write(Volume(data, "YX"), tmp_path / folder / f"{seed}.tif")
    as_it_lies = Augmentation(flips=False, turns=False, rotation=0, scaling=1, elastic=0)  # else nobody learns a move
    spec = TrainSpec(
        steps=70, width=6, depth=2, patch=(32, 32), batch=6, learning_rate=1e-2, device="cpu", augmentation=as_it_lies
    )
    cases = [replace(case, split="train") for case in find_cases(tmp_path)]
    new = train(cases, spec, save_to=tmp_path / "new.safetensors")
    old = Model.create(new.spec, seed=1)

    def on_grid(samples: Sequence[Sample]) -> list[Sample]:
        limits: Any = [new.spec.input.normalisation.fit(one.image) for one in samples]
        return [
            replace(
                one, image=new.spec.input.normalisation.apply(one.image, limit), labels=(one.labels > 0).astype(int)
            )
            for one, limit in zip(samples, limits, strict=True)
        ]

    corrections = on_grid(wrong([discs(20 + k) for k in range(6)], how))
    verdict = compare(old, new, corrections, on_grid(KNOWN), choose_device("cpu", "fp32"))
    assert verdict.gain > 0.1
    assert (verdict.decision, words in verdict.sentence) == (decision, True), verdict.sentence
