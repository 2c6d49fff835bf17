"""A small picture of a suspect: the image around it, with its outline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.suspicion import Suspect

_ROOM = 0.35
"""So much of the suspect's length is shown around it on each side."""

_THICK = 96
"""From this size on outlines are two pixels wide."""

_LEAST = 24
"""So many voxels across are shown at the least: tiny things need their surroundings."""

_OWN = np.array([255, 214, 10], np.uint8)
_OTHER = np.array([140, 140, 140], np.uint8)


def thumbnail(image: NDArray[Any] | None, labels: NDArray[Any], suspect: Suspect, size: int = 64) -> NDArray[np.uint8]:
    """``(size, size, 3)``: the crop of the image, from its 1st to its 99th percentile, the outline of the suspect in
    yellow and of its neighbours in grey. Of a volume the slice through its place is shown, across the thinnest axis of
    its box where that is a single slice, else across the first. ``image`` and ``labels`` have one shape; of one that
    lies in a file only the crop is read."""
    box = suspect.box
    if labels.ndim == 3:
        axis = next((a for a, side in enumerate(box) if side.stop - side.start == 1), 0)
        at = int(np.clip(round(suspect.place[axis]), 0, labels.shape[axis] - 1))
        one = (slice(None),) * axis + (at,)
        labels, image = labels[one], None if image is None else image[one]
        box = tuple(side for a, side in enumerate(box) if a != axis)
    room = _ROOM
    if suspect.label == 0:  # a slice: around what it holds, all of it where it is empty
        box, room = _filled(labels, box), _ROOM if labels.any() else 0.0
    lines = _lines(box, room, size)
    shown = _sampled(labels, lines)
    ground = np.zeros((size, size), np.uint8) if image is None else _grey(_smooth(*_cropped(image, lines)))
    picture = np.repeat(ground[:, :, None], 3, axis=2)
    own = shown == suspect.label if suspect.label else shown > 0
    picture[_outline(np.where(own, 0, shown)) & ~own] = _OTHER
    picture[_outline(np.where(own, shown, 0))] = _OWN
    outside = [(line < 0) | (line >= n) for line, n in zip(lines, labels.shape, strict=True)]
    picture[outside[0]] = 0
    picture[:, outside[1]] = 0
    return picture


def _filled(labels: NDArray[Any], box: tuple[slice, ...]) -> tuple[slice, ...]:
    """The box of what there is, the given one where there is nothing."""
    spans = [np.flatnonzero(labels.any(1 - axis)) for axis in range(2)]
    return tuple(slice(int(span[0]), int(span[-1]) + 1) for span in spans) if len(spans[0]) else box


def _lines(box: tuple[slice, ...], room: float, size: int) -> list[NDArray[np.float64]]:
    """The row and the column of the image in the middle of each pixel of the picture, perhaps beyond the image."""
    longest = max(side.stop - side.start for side in box)
    width = max(longest * (1 + 2 * room), _LEAST)
    steps = ((np.arange(size) + 0.5) / size - 0.5) * width
    return [(side.start + side.stop - 1) / 2 + steps for side in box]


def _cropped(array: NDArray[Any], lines: list[NDArray[np.float64]]) -> tuple[NDArray[Any], list[NDArray[np.float64]]]:
    """The part that the lines, and one more on each side of them, run through, and the lines in it."""
    low = [min(max(int(line[0]) - 1, 0), n - 1) for line, n in zip(lines, array.shape, strict=True)]
    high = [max(int(line[-1]) + 3, start + 1) for line, start in zip(lines, low, strict=True)]
    part = np.asarray(array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])
    return part, [line - start for line, start in zip(lines, low, strict=True)]


def _sampled(array: NDArray[Any], lines: list[NDArray[np.float64]]) -> NDArray[Any]:
    """The nearest values."""
    rows, columns = (np.clip(np.rint(line), 0, n - 1).astype(int) for line, n in zip(lines, array.shape, strict=True))
    values: NDArray[Any] = np.asarray(array[np.ix_(rows, columns)])
    return values


def _smooth(array: NDArray[Any], lines: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Values in between, linear along both axes."""
    low = [np.floor(line) for line in lines]
    down, right = (np.asarray(line - floor, np.float32) for line, floor in zip(lines, low, strict=True))
    corners = [[_sampled(array, [low[0] + i, low[1] + j]).astype(np.float32) for j in (0, 1)] for i in (0, 1)]
    above, below = (left * (1 - right) + far * right for left, far in corners)
    return np.asarray(above * (1 - down[:, None]) + below * down[:, None], np.float32)


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    values = np.nan_to_num(values.astype(np.float32))
    low, high = np.percentile(values, (1, 99))
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(np.rint(scaled * 255), np.uint8)


def _outline(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """The labelled pixels that have a neighbour, left, right, above or below, with another label."""
    padded = np.pad(labels, 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    edge: NDArray[np.bool_] = (middle > 0) & np.any([middle != other for other in around], axis=0)
    if len(labels) >= _THICK:
        edge |= (middle > 0) & (np.pad(edge, 1)[2:, 1:-1] | np.pad(edge, 1)[1:-1, 2:])
    return edge
