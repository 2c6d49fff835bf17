"""What is finished, in words: of the slice that is shown, of all of an image, and what a key has just said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from napari_seg.editing.annotation import CASE, Box, Entry, slice_key
from napari_seg.editing.edit import Edit
from napari_seg.editing.suspicion import thickest
from napari_seg.wording import count_of

_SLICE = re.compile(r"slice (\d+) (\d+)")
_AXES = ("z", "y", "x")


def told(edit: Edit) -> str:
    """What an edit said is finished, or is no longer; nothing where it said nothing of that."""
    if not edit.tool.startswith("finish "):
        return ""
    for key, (_, after) in edit.rows.items():
        done = after is not None and after.state == "accepted"
        return f"{_named(key)} {'is finished' if done else 'is open again'}"
    return ""


def of_view(rows: Mapping[str, Entry], axis: int | None, index: int) -> str:
    """What stands in the corner of the view that shows the slice ``index`` across ``axis`` (``None``: a picture)."""
    if rows.get(CASE, Entry()).state == "accepted":
        return "✓ Case finished"
    if axis is not None and rows.get(slice_key(axis, index), Entry()).state == "accepted":
        return f"✓ Slice {index} finished"
    here = sum(axis is None or box[axis].start <= index < box[axis].stop for box in boxes(rows))
    return f"✓ {count_of(here, 'box')} finished" if here else ""


def of_image(rows: Mapping[str, Entry], grid: Sequence[int], spacing: tuple[float, ...]) -> str:
    """The line of the page: how many slices and boxes are finished; nothing where none is."""
    if rows.get(CASE, Entry()).state == "accepted":
        return "✓ This case is finished."
    slices = (key for key, entry in rows.items() if key.startswith("slice ") and entry.state == "accepted")
    found = [_SLICE.fullmatch(key) for key in slices]
    axes = [int(match[1]) for match in found if match]
    parts, first = [], thickest(spacing or (1.0,) * len(grid))
    for axis in sorted(set(axes)):
        across = "" if axis == first else f" across {_AXES[-len(grid) :][axis]}"
        parts.append(f"{axes.count(axis)} of {grid[axis]} slices{across}")
    count = len(boxes(rows))
    if count:
        parts.append(count_of(count, "box"))
    return f"✓ {' and '.join(parts)} finished" if parts else ""


def boxes(rows: Mapping[str, Entry]) -> list[Box]:
    """The boxes that are finished."""
    sides = (key.split()[1:] for key, entry in rows.items() if key.startswith("box ") and entry.state == "accepted")
    return [tuple(slice(*map(int, side.split(":"))) for side in box) for box in sides]


def bands(rows: Mapping[str, Entry], axis: int, grid: Sequence[int]) -> list[Box]:
    """The finished slices across other axes than the one that is looked along: those side by side in one box."""
    slices: dict[int, set[int]] = {}
    for key, entry in rows.items():
        match = _SLICE.fullmatch(key)
        if match and int(match[1]) != axis and entry.state == "accepted":
            slices.setdefault(int(match[1]), set()).add(int(match[2]))
    found = []
    for across, indices in sorted(slices.items()):
        for start in sorted(k for k in indices if k - 1 not in indices):
            stop = next(k for k in range(start + 1, grid[across] + 1) if k not in indices)
            found.append(tuple(slice(start, stop) if k == across else slice(0, n) for k, n in enumerate(grid)))
    return found


def _named(key: str) -> str:
    match = _SLICE.fullmatch(key)
    if match:
        return f"Slice {match[2]}"
    return "This case" if key == CASE else "This box"
