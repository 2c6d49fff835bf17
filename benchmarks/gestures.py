"""How many gestures the usual repairs of a mask take, in the real window.

    python benchmarks/gestures.py --data ../shared/data --output FOLDER

Without a display: ``xvfb-run -a -s "-screen 0 1600x1000x24"`` before it.

A gesture is a key, a click or a drag; to move the mouse there is none. Each repair is done once with our tools and once
with napari's own, in the same window on the same mask, from the keyboard and with the mouse. That it was done is
checked, and then it is taken back.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from retraining import head, row
from scipy.ndimage import distance_transform_edt
from skimage.measure import regionprops
from tutorial import Hand

from napari_seg.training.cases import find_cases

Point = tuple[float, ...]


class Counting:
    """A hand whose gestures on one mask are counted."""

    def __init__(self, hand: Hand, layer: Any) -> None:
        self.hand, self.layer = hand, layer
        self.count = 0

    def key(self, name: str, at: Point | None = None) -> None:
        """Press a key over a point of the mask, in words as Qt writes it."""
        from qtpy.QtGui import QKeySequence
        from qtpy.QtTest import QTest

        if at is not None:
            self.hand.hover(self.layer, at)
        pressed = QKeySequence(name)[0]
        QTest.keyClick(self.hand.canvas.native, pressed.key(), pressed.keyboardModifiers())
        self._done()

    def drag(self, *points: Point) -> None:
        self.hand.draw(self.layer, points)
        self._done()

    def click(self, at: Point) -> None:
        self.drag(at)

    def _done(self) -> None:
        self.count += 1


def counted(words: str, who: str, counting: Counting, repair: Callable[[], object], done: Callable[[], bool]) -> None:
    """Do a repair, see that it is done, print it, and take it back."""
    counting.count, before = 0, np.array(counting.layer.data)
    repair()
    counting.hand.wait(0.5)
    counting.hand.rest()
    assert done(), f"{words} by {who}: {counting.hand.controller.hands.said or 'not done'}"
    row(words, who, counting.count)
    for _ in range(20):  # napari's own tools may have taken several steps
        counting.key("Ctrl+Z")
        counting.hand.wait(0.2)
        counting.hand.rest()
        if np.array_equal(counting.layer.data, before):
            return
    raise AssertionError(f"{words} by {who} could not be taken back")


def nuclei(hand: Hand, data: Path) -> None:
    """Delete, merge, split and draw in a picture."""
    case = next(iter(find_cases(data / "nuclei2d", split=data / "nuclei2d" / "split.csv", where={"split": "val"})))
    layer = hand.segment(case)
    hand.page("Correct")
    hand.viewer.layers.selection.active = layer
    hand.viewer.reset_view()
    found = sorted(regionprops(np.asarray(layer.data)), key=lambda region: -region.area)
    largest, one = found[0], found[len(found) // 2]
    other = min(
        (r for r in found if r is not one), key=lambda r: float(np.hypot(*np.subtract(r.centroid, one.centroid)))
    )
    a, b = inside(layer.data == one.label), inside(layer.data == other.label)
    empty = distance_transform_edt(np.pad(layer.data == 0, 1))[1:-1, 1:-1]
    middle = np.unravel_index(int(empty.argmax()), empty.shape)
    around = [
        tuple(middle + 0.6 * empty.max() * np.array([np.sin(t), np.cos(t)])) for t in np.linspace(0, 2 * np.pi, 25)
    ]
    line = across(largest)
    count = len(found)

    def objects() -> int:
        return int(np.count_nonzero(np.bincount(np.asarray(layer.data).ravel())[1:]))

    def split() -> bool:
        """Of what was the largest, neither part is all of it."""
        parts = np.bincount(np.asarray(layer.data)[largest.slice][largest.image])[1:]
        return np.count_nonzero(parts > 0.2 * largest.area) == 2

    ours, theirs = Counting(hand, layer), Counting(hand, layer)
    do = {
        "delete an object": (
            [lambda: ours.key("Delete", a)],
            [lambda: theirs.key("X"), lambda: theirs.key("4"), lambda: theirs.click(a)],
            lambda: objects() == count - 1,
        ),
        "merge two": (
            [lambda: ours.key("J"), lambda: ours.drag(a, b)],
            [lambda: theirs.key("5"), lambda: theirs.click(a), lambda: theirs.key("4"), lambda: theirs.click(b)],
            lambda: objects() == count - 1,
        ),
        "split one in two": (
            [lambda: ours.key("K"), lambda: ours.drag(*line)],
            [
                lambda: theirs.key("X"),
                lambda: theirs.key("2"),
                lambda: theirs.drag(*line),
                lambda: theirs.key("M"),
                lambda: theirs.key("4"),
                lambda: theirs.click(beside(largest)),
            ],
            split,
        ),
        "draw a missed one": (
            [lambda: ours.key("M"), lambda: ours.key("Shift+O"), lambda: ours.drag(*around)],
            [
                lambda: theirs.key("M"),
                lambda: theirs.key("2"),
                lambda: theirs.drag(*around),
                lambda: theirs.key("4"),
                lambda: theirs.click(middle),
            ],
            lambda: objects() == count + 1 and bool(layer.data[middle]),
        ),
    }
    layer.brush_size = 2
    for words, (with_ours, with_theirs, done) in do.items():
        for who, counting, steps in (("napari-seg", ours, with_ours), ("napari", theirs, with_theirs)):
            counted(words, who, counting, lambda steps=steps: [step() for step in steps], done)
            hand.controller.hands.put_down()
            layer.mode = "pan_zoom"


def slices(hand: Hand, data: Path) -> None:
    """Fill three slices that are missing in a volume."""
    case = find_cases(data / "hippocampus_mr", split=data / "hippocampus_mr" / "split.csv", hold_out="")[0]
    hand.viewer.layers.clear()
    layer = hand.segment(case)
    hand.page("Correct")
    hand.viewer.layers.selection.active = layer
    layer.selected_label = 1
    held = np.flatnonzero((np.asarray(layer.data) == 1).any((1, 2)))
    z = int(held[len(held) // 2])
    hand.show_slice(layer, z)
    here = (z, *inside(layer.data[z] == 1))
    planes, *rest = np.nonzero(layer.data[z - 1 : z + 2])
    layer.data_setitem((planes + z - 1, *rest), 0)
    hand.rest()
    counting = Counting(hand, layer)
    counted(
        "fill three slices between drawn ones",
        "napari-seg",
        counting,
        lambda: counting.key("I", here),
        lambda: bool((layer.data[z - 1 : z + 2] == 1).any((1, 2)).all()),
    )


def inside(mask: NDArray[np.bool_]) -> Point:
    """A pixel deep inside."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return tuple(float(k) for k in np.unravel_index(int(depth.argmax()), depth.shape))


def across(region: Any) -> list[Point]:
    """A line along the shorter axis of a region, from outside to outside."""
    angle = region.orientation + np.pi / 2
    reach = 0.5 * region.axis_minor_length + 6
    ends = np.linspace(-reach, reach, 15)
    return [(region.centroid[0] + k * np.cos(angle), region.centroid[1] + k * np.sin(angle)) for k in ends]


def beside(region: Any) -> Point:
    """A point of one half of a region, when it is cut :func:`across`."""
    away = 0.25 * region.axis_major_length
    return region.centroid[0] + away * np.cos(region.orientation), region.centroid[1] + away * np.sin(
        region.orientation
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    hand = Hand(asked.output)
    head("repair", "with", "gestures")
    nuclei(hand, asked.data)
    slices(hand, asked.data)
    hand.viewer.close()


if __name__ == "__main__":
    main()
