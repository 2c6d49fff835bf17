"""Which rows of a table a person means by a line of text such as ``class:nucleus state:unseen volume<50``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.columns import Column
from napari_seg.errors import SegError

_TERM = re.compile(r'(?P<name>\w+)(?P<sign><=|>=|<|>|=|:)(?P<value>"[^"]*"?|\S*)|(?P<word>"[^"]*"?|\S+)')

_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    ":": operator.eq,
}

_COUNT = ("voxels", "pixels")
_ONE_OF = {"size": ("volume", "area", *_COUNT), "voxels": _COUNT, "pixels": _COUNT}
"""What these words stand for: the first of the columns that there is."""


def matching(columns: Sequence[Column], text: str) -> NDArray[np.bool_]:
    """The rows for which every term of ``text`` holds.

    A term is a number (the label), a word (in class, state or comment), ``name:word``, or ``name``, one of ``< <= > >=
    =`` and a number in the unit of the column; what stands above a column names it, too. Where two are called alike,
    as the volume in mm3 and in ml, the first is meant. Words with spaces go into double quotes; case does not matter.
    Raises ``SegError`` for a column that there is not, or a number that is none.
    """
    named: dict[str, Column] = {}
    for column in columns:
        for name in (column.title.lower(), column.name):
            named.setdefault(name, column)
        if " " in column.title:
            text = re.sub(rf"\b{re.escape(column.title)}(?=[<>=:])", column.name, text, flags=re.IGNORECASE)
    found = np.ones(len(columns[0].values), bool)
    for term in _TERM.finditer(text):
        word = term["word"]
        if word is None:
            found &= _holds(_column(named, term["name"]), term["sign"], term["value"].strip('"'))
        elif word.isdigit():
            found &= named["label"].values == int(word)
        else:
            word = word.strip('"')
            found &= np.any([_contains(named[name].values, word) for name in ("class", "state", "comment")], axis=0)
    return found


def _column(named: Mapping[str, Column], name: str) -> Column:
    name = name.lower()
    if name in _ONE_OF:
        name = next(size for size in _ONE_OF[name] if size in named)
    if name not in named:
        known = dict.fromkeys(column.name for column in named.values())
        raise SegError(f"There is no column {name!r}; use {', '.join(known)}.")
    return named[name]


def _holds(column: Column, sign: str, value: str) -> NDArray[np.bool_]:
    values = column.values
    if values.dtype.kind in "UO":
        if sign not in ":=":
            raise SegError(f"{column.name} holds words; write {column.name}:{value or 'word'}.")
        return _contains(values, value) if sign == ":" else np.char.lower(values.astype(np.str_)) == value.lower()
    if values.dtype.kind == "b":
        if value.lower() not in ("yes", "no"):
            raise SegError(f"Write {column.name}:yes or {column.name}:no.")
        return np.asarray(values == (value.lower() == "yes"))
    try:
        number = float(value)
    except ValueError:
        raise SegError(f"{column.name} holds numbers; write one after {column.name}{sign}.") from None
    return np.asarray(_SIGNS[sign](values, number))


def _contains(values: NDArray[Any], word: str) -> NDArray[np.bool_]:
    """Where ``word`` is part of the text, looked up once for each text that occurs."""
    texts, which = np.unique(values.astype(np.str_), return_inverse=True)
    hits = np.array([word.lower() in text.lower() for text in texts.tolist()], dtype=bool)
    return hits[which] if len(hits) else np.zeros(len(values), bool)
