"""What was said in earlier reviews, in the order in which it was said: what the rule for stopping goes by."""

from __future__ import annotations

import re
from collections.abc import Container

from napari_seg.session.provenance import BY_MODEL, OPENED
from napari_seg.session.records import NAMED
from napari_seg.session.store import RESTORE, Store

TOOLS = ("accept", "reject", "flag")
"""The steps of a review."""

SHAPING = ("split", "split by seeds", "split apart", "eraser", "smooth", "largest part")
"""Tools that are about the objects that lose voxels too: what is left of them is as a person wants it."""

_ABOUT = re.compile(r"(?:(?:object|region) (\d+).*)|slice .*")


def verdicts(store: Store, image: int, plane: str) -> dict[str, bool]:
    """Of all that was judged in a plane: whether it was accepted as it was (false: changed by hand before, rejected or
    flagged), by the key of its row; what was said last comes last.

    Verdicts on what a model said before its last word do not count: the mask is another one now. Nor do those that
    were taken back.
    """
    found: dict[str, bool] = {}
    changed: set[int] = set()
    for step in store.passed(image, plane):
        if step.tool in BY_MODEL and step.labels:
            found.clear()
            changed.clear()
        for key, (before, after) in step.states.items():
            match = _ABOUT.fullmatch(key)
            if match is None or before == after:
                continue
            found.pop(key, None)
            if after != "unseen" and step.tool in TOOLS:
                touched = match[1] is not None and int(match[1]) in changed
                found[key] = after == "accepted" and not touched
        if step.tool not in BY_MODEL:
            changed.update(step.labels)
    return found


def changed_by_hand(store: Store, image: int, plane: str, tools: Container[str] | None = None) -> set[int]:
    """The labels that gained or lost voxels by a person's hand, or by these ``tools`` in it, as far as steps name them.

    A label that a model, or going back in the history, has changed after that is not among them.
    """
    found = set[int]()
    for step in store.passed(image, plane):
        if step.tool in (*BY_MODEL, OPENED, RESTORE):
            found = set() if len(step.labels) >= NAMED else found - set(step.labels)
        elif tools is None or step.tool in tools:
            found.update(step.labels)
    return found
