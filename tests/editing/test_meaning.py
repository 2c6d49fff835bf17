"""What the numbers of a mask mean, guessed with a reason, and what a person said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_seg.editing.annotation import Entry
from napari_seg.editing.meaning import MOST, meaning
from napari_seg.editing.said import NUMBERS, counts_objects
from napari_seg.editing.tally import tally

Array = np.ndarray[Any, Any]


def squares(count: int, numbers: int | None = None) -> Array:
    """So many squares apart, of so many numbers that come again: (1, y, x)."""
    labels = np.zeros((1, 100, 100), np.uint16)
    for k in range(count):
        y, x = 10 * (k // 10), 10 * (k % 10)
        labels[0, y : y + 7, x : x + 7] = k % (numbers or count) + 1
    return labels


def nested() -> Array:
    labels = squares(1)
    labels[0, 2:5, 2:5] = 2
    return labels


def halves() -> Array:
    """Two touching cells."""
    labels = squares(1)
    labels[0, :, 4:7][labels[0, :, 4:7] > 0] = 2
    return np.roll(labels, 20, (1, 2))  # away from the edge of the picture


@pytest.mark.parametrize(
    ("labels", "patient", "objects", "why"),
    [
        (squares(0), False, True, "nothing is painted"),
        (squares(30), False, True, "its 30 numbers come in one piece each"),
        (squares(5), False, True, "its 5 numbers come in one piece each"),
        (squares(5), True, False, "a mask of a patient with 5 numbers"),
        (squares(1), False, False, "but one number"),
        (squares(30, 3), False, False, "3 of its 3 numbers come in several pieces"),
        (nested(), False, False, "of its 2 numbers one lies inside another"),
        (halves(), False, True, "its 2 numbers come in one piece each"),
        (squares(5) * 300, True, True, "its numbers go up to 1500"),
        (squares(1) * 255, False, True, "its numbers go up to 255"),
        (np.stack([np.zeros((1, 100, 100), np.uint16), squares(9)]), False, True, "in one piece each"),  # of a film
    ],
)
def test_a_guess_with_its_reason(labels: Array, patient: bool, objects: bool, why: str) -> None:
    found = meaning(labels, patient=patient)
    assert found.objects == objects
    assert why in found.why


def test_a_few_stray_voxels_make_no_classes() -> None:
    labels = squares(60)
    labels[0, 99, :50:5] = np.arange(10) + 1
    assert meaning(labels, patient=False).objects
    assert MOST == 200


def test_of_a_large_mask_the_middle_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.kron(squares(99, 3), np.ones((1, 5, 5), np.uint16))
    monkeypatch.setattr("napari_seg.editing.meaning._LARGEST", 40_000)
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        "napari_seg.editing.meaning.tally", lambda labels: (seen.append(labels.shape), tally(labels))[1]
    )
    assert not meaning(labels, patient=False).objects
    assert seen == [(200, 200)]


def test_what_a_person_said_comes_before_how_it_came() -> None:
    assert counts_objects(True, {})
    assert not counts_objects(False, {})
    assert not counts_objects(True, {NUMBERS: Entry(comment="classes")})
    assert counts_objects(False, {NUMBERS: Entry(comment="objects")})
