"""What the dimensions of an array in a file are: named by the file, else by the person; never guessed."""

from __future__ import annotations

import itertools
from typing import Any

from napari_seg.data.volume import AXES
from napari_seg.errors import Choice, ChoiceNeeded, SegError

_WORDS = {"T": "time points", "C": "channels", "Z": "slices"}


def name_axes(found: str, shape: tuple[int, ...], answer: str | None, name: str) -> str:
    """One letter of :data:`AXES` for each dimension of the array in the file ``name``, in its order there.

    ``found`` is what the file says, with any other letter where it does not say; ``answer`` is what a person says and
    wins. Raises ``ChoiceNeeded`` where a dimension longer than 1 is unknown, ``SegError`` where the answer cannot be.
    """
    if answer is not None:
        return _checked(answer.upper(), shape, name)
    unknown = [axis for axis, letter in enumerate(found) if letter not in AXES or found.index(letter) != axis]
    free = [letter for letter in "ZTC" if letter not in found]
    if not {"Y", "X"} <= set(found) or len(unknown) > len(free):
        raise SegError(
            f"{name} holds an array of shape {shape}, which is no image of up to time, channel, depth, row and column; "
            "save a part of it as a file of its own."
        )
    if not unknown:
        return found
    choices = []
    for letters in itertools.permutations(free, len(unknown)):
        named = list(found)
        for axis, letter in zip(unknown, letters, strict=True):
            named[axis] = letter
        choices.append(Choice("".join(named), _title("".join(named), shape)))
    raise ChoiceNeeded(
        f"{name} has shape {shape} and does not say what its dimensions are; name them, such as "
        f"axes={choices[0].value} for {choices[0].title}.",
        "axes",
        tuple(choices),
    )


def refuse_unknown(answer: str | None, name: str) -> None:
    """Raises ``SegError`` for an answer that names the dimensions of no image, whatever is in the file ``name``."""
    letters = "YX" if answer is None else answer.upper()
    if len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters) <= set(AXES):
        raise SegError(
            f"The axes {answer!r} cannot be those of {name}; name the dimensions in their order in the file, each with "
            f"another letter of {AXES}, Y and X among them."
        )


def in_order(letters: str) -> tuple[int, ...]:
    """The permutation that brings dimensions named ``letters`` into the order of :data:`AXES`."""
    return tuple(letters.index(letter) for letter in AXES if letter in letters)


def arrange(data: Any, letters: str) -> tuple[Any, str]:
    """The array with its axes in the order of :data:`AXES` (a view), and their letters."""
    order = in_order(letters)
    return (data if order == tuple(range(data.ndim)) else data.transpose(order)), "".join(letters[k] for k in order)


def _checked(answer: str, shape: tuple[int, ...], name: str) -> str:
    if len(answer) != len(shape):
        raise SegError(
            f"{name} has {len(shape)} dimensions {shape}, the axes {answer} name {len(answer)}; give one letter each."
        )
    refuse_unknown(answer, name)
    return answer


def _title(letters: str, shape: tuple[int, ...]) -> str:
    sizes = dict(zip(letters, shape, strict=True))
    outer = [
        f"{sizes[letter]} {_WORDS[letter].removesuffix('s' * (sizes[letter] == 1))}"
        for letter in letters
        if letter in _WORDS
    ]
    return " of ".join([*outer, f"{sizes['Y']} x {sizes['X']} pixels"])
