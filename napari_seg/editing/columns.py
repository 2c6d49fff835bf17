"""The table as columns that people read: names, units and numbers, for the window, for CSV and for filters.

A body is measured in millimetres, mm3 and ml, cells in micrometres; without a known spacing there are voxels alone.
"""

from __future__ import annotations

import csv as comma_separated
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.data.volume import UNITS
from napari_seg.editing.annotation import CASE, Entry
from napari_seg.editing.measures import Table

_AXES = ("z", "y", "x")


@dataclass(frozen=True, eq=False)
class Column:
    """``name`` is what filters call it, ``title`` and ``unit`` stand above it; ``tip`` explains it in a sentence.

    ``values``: numbers (NaN: not known), truth values or words, one for each row.
    """

    name: str
    title: str
    unit: str
    values: NDArray[Any]
    tip: str = ""

    @property
    def heading(self) -> str:
        return f"{self.title} ({self.unit})" if self.unit else self.title


def columns(table: Table) -> tuple[Column, ...]:
    """All columns. Those that nothing is known of, for want of an image, scores or a spacing, are left out."""
    what = "object" if table.objects else "class"
    found = [
        Column("label", "label", "", table.labels, f"The number of the {what} in the mask."),
        Column("class", "class", "", table.class_names),
        Column("state", "state", "", table.state, "What you said of it."),
        Column("locked", "locked", "", table.locked, "Whether it is kept from gaining or losing voxels."),
        *_sizes(table),
    ]
    if not np.isnan(table.intensity).all():
        found.append(Column("intensity", "mean intensity", "", table.intensity, "The mean of the image inside."))
    if not np.isnan(table.uncertainty).all():
        tip = "How unsure the model was, on average: 0 = sure, 1 = it could be anything."
        found.append(Column("uncertainty", "uncertainty", "", table.uncertainty, tip))
    found += [
        Column("parts", "parts", "", table.parts, "How many pieces that do not touch."),
        Column("edge", "at the edge", "", table.border, "Whether the edge of the image cuts it."),
        *_lengths(table),
        Column("comment", "comment", "", table.comment, "What you wrote about it; press F2 or double-click to write."),
    ]
    return tuple(found)


def csv(table: Table, rows: Iterable[int] | None = None) -> str:
    """Comma-separated values with units in the headings: all rows, or ``rows`` in this order. Numbers are as exact as
    they are; what is not known is empty."""
    shown = columns(table)
    lists = [[_plain(value) for value in column.values.tolist()] for column in shown]
    lines = zip(*lists, strict=True) if rows is None else ([cells[row] for cells in lists] for row in rows)
    return csv_of([[column.heading for column in shown], *lines])


def said_csv(rows: Mapping[str, Entry]) -> str:
    """What was said of slices, regions, boxes and the case, which have no row in the table: one line each, by the key
    of its row; nothing where nothing was said."""
    found = {key: entry for key, entry in rows.items() if key.split()[0] in ("slice", "region", "box", CASE)}
    if not found:
        return ""
    lines = ((key, entry.state, entry.comment) for key, entry in sorted(found.items(), key=_in_order))
    return csv_of([("what", "state", "comment"), *lines])


def csv_of(lines: Iterable[Iterable[Any]]) -> str:
    """Lines of cells as comma-separated values."""
    text = io.StringIO()
    comma_separated.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def _in_order(item: tuple[str, Entry]) -> list[tuple[int, str]]:
    """Slice 2 comes before slice 10."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in item[0].split()]


def length_unit(unit: str) -> str:
    """The unit that lengths are shown in: those of bodies in mm, those of cells in um."""
    return {"nm": "um", "um": "um", "mm": "mm", "m": "mm"}.get(unit, "")


def _sizes(table: Table) -> list[Column]:
    unit, ndim = length_unit(table.unit), len(table.spacing)
    count = "pixels" if ndim == 2 else "voxels"
    sizes = [Column(count, count, "", table.voxels)]
    if unit:
        size = table.size * (UNITS[table.unit] / UNITS[unit]) ** ndim
        name = "area" if ndim == 2 else "volume"
        sizes.append(Column(name, name, f"{unit}{ndim}", size))
        if unit == "mm" and ndim == 3:
            sizes.append(Column("ml", "volume", "ml", size / 1000))
    return sizes


def _lengths(table: Table) -> list[Column]:
    """How long along each axis, and where; in voxels too."""
    unit, ndim = length_unit(table.unit), len(table.spacing)
    axes = _AXES[-ndim:]
    factor = UNITS[table.unit] / UNITS[unit] if unit else 1.0
    tip = "From its first to its last voxel, along the axis {}."
    found = [
        Column(f"size_{axis}", f"size {axis}", unit or "px", table.extent[:, k] * factor, tip.format(axis))
        for k, axis in enumerate(axes)
    ]
    tip = "The middle of it, counted from the middle of the first voxel along the axis {}."
    found += [Column(axis, f"centre {axis}", "px", table.centre[:, k], tip.format(axis)) for k, axis in enumerate(axes)]
    if unit:
        found += [
            Column(f"{axis}_{unit}", f"centre {axis}", unit, table.place[:, k] * factor, tip.format(axis))
            for k, axis in enumerate(axes)
        ]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if value != value else f"{value:.9g}"
    return value
