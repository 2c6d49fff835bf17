"""From loose DICOM images to stacks: which belong together, in which order, where they lie and what is odd about them.

The order comes from the positions projected on the normal of the slices, never from names or instance numbers unless
there is nothing else. Images of one series are kept apart where their size or direction differs; where several lie at
the same place they are told apart by what they are (echo, kind of image, ...) or by time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.dicom_frames import KINDS, TIMES, Frame
from napari_seg.wording import there_are

CROSS_SECTIONS = ("CT", "MR", "PT", "NM")
"""Modalities whose images without a position are slices all the same."""

_SAME_PLACE = 1e-3  # mm


@dataclass(frozen=True)
class Stack:
    """Images that make one volume: ``times`` of ``slices`` frames each, in the order of the volume."""

    key: str
    times: tuple[tuple[Frame, ...], ...]
    difference: str = ""
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> Frame:
        return self.times[0][0]

    @property
    def is_over_time(self) -> bool:
        """Frames without a place, one after the other: a film."""
        return self.first.position is None and self.first.modality not in CROSS_SECTIONS

    @property
    def title(self) -> str:
        frame, slices = self.first, len(self.times[0])
        rows, columns, _ = frame.shape
        name = f"{frame.modality or 'unknown modality'}, {frame.description or 'no description'}"
        number = f"series {frame.series_number}: " if frame.series_number else ""
        count = frame.frames if frame.modality == "SEG" else slices
        times = f" at {len(self.times)} times" if len(self.times) > 1 else ""
        difference = f" ({self.difference})" if self.difference else ""
        word = "image" if slices == 1 else "frames" if self.is_over_time else "slices"
        return f"{number}{name}{difference}, {count} {word}{times} of {columns} x {rows}"


def stacks(frames: Iterable[Frame]) -> list[Stack]:
    """All volumes that the frames make, in the order of series number, description and series."""
    by_series: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_series[frame.series].append(frame)
    found: list[Stack] = []
    for series, members in by_series.items():
        members, notes = _without_copies(members)
        parts = [part for group in _alike(members) for part in _split(group)]
        kept = [part for part in parts if not _is_localizer(part)] or parts
        if len(kept) < len(parts):
            notes += ("A localizer in the same series was left out.",)
        for index, part in enumerate(kept):
            key = series if len(kept) == 1 else f"{series}#{index + 1}"
            found.append(replace(part, key=key, notes=notes + part.notes))
    return sorted(found, key=lambda stack: (_as_number(stack.first.series_number), stack.first.description, stack.key))


def _as_number(text: str) -> float:
    return float(text) if text.isdigit() else float("inf")


def _without_copies(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    seen: set[tuple[object, ...]] = set()
    kept = []
    for frame in frames:  # an anonymiser may have given all images one UID
        identity = (frame.uid or str(frame.path), frame.index, frame.number, frame.position)
        if identity not in seen:
            seen.add(identity)
            kept.append(frame)
    copies = len(frames) - len(kept)
    if not copies:
        return kept, ()
    what = (
        "1 image is there more than once; the copy was"
        if copies == 1
        else (f"{copies} images are there more than once; the copies were")
    )
    return kept, (f"{what} left out.",)


def _alike(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames of the same size, spacing and direction; films, tiles and masks by file."""
    groups: list[list[Frame]] = []
    for frame in frames:
        group = next((group for group in groups if _belong(group[0], frame)), None)
        if group is None:
            groups.append([frame])
        else:
            group.append(frame)
    return groups


def _belong(a: Frame, b: Frame) -> bool:
    if a.frames > 1 or b.frames > 1 or "SEG" in (a.modality, b.modality):
        if a.path != b.path:
            return False
    elif a.position is None and a.modality not in CROSS_SECTIONS:
        return False
    if a.shape != b.shape or (a.directions is None) != (b.directions is None):
        return False
    if a.spacing is not None and b.spacing is not None and not np.allclose(a.spacing, b.spacing, rtol=1e-3):
        return False
    return a.directions is None or b.directions is None or np.allclose(a.directions, b.directions, atol=5e-3)


def _is_localizer(stack: Stack) -> bool:
    return "LOCALIZER" in str(stack.first.marks.get("ImageType", "")).upper()


def _split(frames: Sequence[Frame], difference: str = "") -> list[Stack]:
    """One stack, or several where images at the same place are different images."""
    if frames[0].position is None:
        numbered, notes = _without_positions(frames)
        return [Stack("", (tuple(numbered),), difference, notes)]
    places = _places(frames)
    slices = sorted(set(places))
    if len(slices) == len(frames):
        return [Stack("", (_ordered(frames, places),), difference)]
    fields = _fields(frames, places)
    if len(fields) > 1:
        return [
            stack
            for number, part in enumerate(fields, 1)
            for stack in _split(part, ", ".join(filter(None, (difference, f"field of view {number}"))))
        ]
    most = max(Counter(places).values())
    for name in KINDS:
        parts = _parts(frames, name)
        if 1 < len(parts) <= most and all(_is_even(part) for part in parts.values()):
            return [
                stack
                for value, part in sorted(parts.items(), key=lambda item: str(item[0]))
                for stack in _split(part, ", ".join(filter(None, (difference, f"{_words(name)} {value}"))))
            ]
    for name in TIMES:
        parts = _parts(frames, name)
        if len(parts) < 2 or not all(len(set(_places(part))) == len(part) for part in parts.values()):
            continue
        moments = [part for _, part in sorted(parts.items(), key=lambda item: (str(type(item[0])), item[0]))]
        if all(len(part) == len(slices) for part in moments):
            return [Stack("", tuple(_ordered(part, _places(part)) for part in moments), difference)]
        if name != "AcquisitionNumber" or len(parts) > most:
            continue
        return [
            Stack(
                "", (_ordered(part, _places(part)),), ", ".join(filter(None, (difference, f"{_words(name)} {value}")))
            )
            for value, part in parts.items()
        ]
    return [_unexplained(frames, places, difference)]


def _unexplained(frames: Sequence[Frame], places: Sequence[int], difference: str) -> Stack:
    at: dict[int, list[Frame]] = defaultdict(list)
    for frame, place in sorted(zip(frames, places, strict=True), key=lambda pair: (pair[0].number, pair[0].index)):
        at[place].append(frame)
    fewest, most = min(map(len, at.values())), max(map(len, at.values()))
    columns = [at[place] for place in sorted(at)]
    times = tuple(tuple(column[k] for column in columns) for k in range(fewest if fewest == most else 1))
    if fewest == most:
        note = (
            f"There are {most} images at each place and nothing says how they differ; they are shown as points in time."
        )
    else:
        extra = len(frames) - len(columns)
        lie = "1 image lies" if extra == 1 else f"{extra} images lie"
        note = f"{lie} where another one lies already; those with the lowest instance number were taken."
    return Stack("", times, difference, (note,))


def _words(name: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def _parts(frames: Sequence[Frame], name: str) -> dict[Any, list[Frame]]:
    parts: dict[Any, list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[frame.marks.get(name, "")].append(frame)
    return parts


def _is_even(frames: Sequence[Frame]) -> bool:
    """Whether at every place there are equally many frames."""
    return len(set(Counter(_places(frames)).values())) == 1


def normal_of(frame: Frame) -> NDArray[np.float64]:
    directions = np.array(frame.directions, float)
    normal = np.cross(directions[:3], directions[3:])
    unit: NDArray[np.float64] = normal / np.linalg.norm(normal)
    return unit


def _along(frames: Sequence[Frame]) -> NDArray[np.float64]:
    return np.array([frame.position for frame in frames], float) @ normal_of(frames[0])


def _places(frames: Sequence[Frame]) -> list[int]:
    """The rank of each frame's position along the normal; frames at the same place have the same rank."""
    along = _along(frames)
    order = np.argsort(along, kind="stable")
    ranks = np.empty(len(frames), int)
    ranks[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) > _SAME_PLACE)])
    return [int(rank) for rank in ranks]


def _fields(frames: Sequence[Frame], places: Sequence[int]) -> list[list[Frame]]:
    """The frames of each field of view, such as both hips: those that lie more than a pixel apart across the normal.
    ``places``: the numbers of their heights.

    The slices of a tilted scan are shifted against each other; from each height to the next by the usual shift.
    """
    directions = np.array(frames[0].directions, float).reshape(2, 3)
    across, along = np.array([frame.position for frame in frames], float) @ directions.T, _along(frames)
    heights = [np.flatnonzero(np.array(places) == place) for place in range(max(places) + 1)]
    shifts = []
    for below, above in pairwise(heights):
        between = (across[above][:, None] - across[below]).reshape(-1, 2)
        nearest = between[np.linalg.norm(between, axis=1).argmin()]
        shifts.append(nearest / (along[above[0]] - along[below[0]]))
    shift = np.median(shifts, axis=0) if shifts else np.zeros(2)
    apart = max(frames[0].spacing or (1.0,))
    fields: list[list[int]] = []
    for k in np.concatenate(heights).tolist():
        off = [np.linalg.norm(across[k] - across[f[-1]] - shift * (along[k] - along[f[-1]])) for f in fields]
        if off and min(off) <= apart:
            fields[int(np.argmin(off))].append(k)
        else:
            fields.append([k])
    fields.sort(key=lambda field: tuple(across[field[0]].tolist()))
    return [[frames[k] for k in sorted(field)] for field in fields]


def _ordered(frames: Sequence[Frame], places: Sequence[int]) -> tuple[Frame, ...]:
    return tuple(frame for _, frame in sorted(zip(places, frames, strict=True), key=lambda pair: pair[0]))


def _without_positions(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    if len(frames) == 1 or frames[0].modality not in CROSS_SECTIONS:
        return sorted(frames, key=lambda frame: frame.index), ()
    locations = [frame.location for frame in frames if frame.location is not None]
    if len(set(locations)) == len(frames):
        return sorted(frames, key=lambda frame: frame.location or 0.0), (
            "The slices have no position; they are in the order of their slice location, and no sides are shown.",
        )
    return sorted(frames, key=lambda frame: (frame.number, frame.index)), (
        "The slices have no position; they are in the order of their numbers, and no sides are shown.",
    )


@dataclass(frozen=True)
class Grid:
    """Where a stack lies: the affine of (z, y, x) to right, anterior, superior in millimetres, and what is odd.

    ``places`` are the indices of its slices along z; those between them are missing.
    """

    affine: NDArray[np.float64]
    places: tuple[int, ...]
    notes: tuple[str, ...]


def grid_of(frames: Sequence[Frame]) -> Grid | None:
    """The grid of slices in their order; ``None`` where position, direction or spacing is missing."""
    first = frames[0]
    if first.position is None or first.directions is None or first.spacing is None:
        return None
    directions = np.array(first.directions, float)
    row, column = directions[:3] / np.linalg.norm(directions[:3]), directions[3:] / np.linalg.norm(directions[3:])
    normal = normal_of(first)
    positions = np.array([frame.position for frame in frames], float)
    places = np.arange(len(frames))
    step, apart = _step(positions, places, normal * (first.between or 1.0))
    notes: tuple[str, ...] = ()
    if apart > _tolerance(step, normal):
        places, step, notes = _uneven(frames, positions, step, normal, apart)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = step, column * first.spacing[0], row * first.spacing[1]
    lps[:3, 3] = positions[0]
    return Grid(np.diag([-1.0, -1, 1, 1]) @ lps, tuple(places.tolist()), _shifted(step, normal) + notes)


def _step(
    positions: NDArray[np.float64], places: NDArray[np.int_], alone: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The vector from place to place (``alone`` for one slice), and how far from theirs slices lie at most, in mm."""
    if len(positions) == 1:
        return alone, 0.0
    step: NDArray[np.float64] = (positions[-1] - positions[0]) / places[-1]
    return step, float(np.linalg.norm(positions - positions[0] - places[:, None] * step, axis=1).max())


def _tolerance(step: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    return 0.01 + 0.01 * float(step @ normal)


def _uneven(
    frames: Sequence[Frame],
    positions: NDArray[np.float64],
    mean: NDArray[np.float64],
    normal: NDArray[np.float64],
    apart: float,
) -> tuple[NDArray[np.int_], NDArray[np.float64], tuple[str, ...]]:
    """Places, step and notes of slices that are not evenly spaced.

    Where gaps are whole multiples of the smallest, which most others equal, slices are missing there; their places stay
    free if they are no more than the slices that are there. Else all lie at their mean distance.
    """
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps[gaps < 1.1 * gaps.min()]))
    multiples = np.rint(gaps / usual).astype(int)
    places = np.concatenate([[0], np.cumsum(multiples)])
    step, off = _step(positions, places, mean)
    missing = int(places[-1]) + 1 - len(frames)
    if 0 < missing <= len(frames) and 2 * np.sum(multiples == 1) >= len(gaps) and off <= _tolerance(step, normal):
        return places, step, (_missing(frames, multiples, missing),)
    note = (
        f"The distance between slices is uneven ({gaps.min():g} to {gaps.max():g} mm); they are shown "
        f"{float(mean @ normal):.4g} mm apart, up to {apart:.3g} mm from their true place. "
        "Lengths and volumes measured here are uncertain."
    )
    return np.arange(len(frames)), mean, (note,)


def _missing(frames: Sequence[Frame], multiples: NDArray[np.int_], missing: int) -> str:
    at = np.flatnonzero(multiples > 1)
    numbers = [frame.index + 1 if frame.frames > 1 else frame.number for frame in frames]
    low, high = sorted((numbers[at[0]], numbers[at[0] + 1]))
    where = f" between images {low} and {high}" if 0 < low < high else ""
    if len(at) > 1:
        where = f" in {len(at)} places" + (f", the first{where}" if where else "")
    it = "it was" if missing == 1 else "they were"
    return f"{there_are(missing, 'slice')} missing{where}; {it} left empty."


def _shifted(step: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[str, ...]:
    sideways = float(np.degrees(np.arccos(np.clip(float(step @ normal) / np.linalg.norm(step), -1, 1))))
    if sideways <= 0.3:
        return ()
    return (
        f"The slices are shifted against each other (gantry tilt of {sideways:.1f} degrees); the volume is sheared "
        "accordingly, and its mask will be too.",
    )
