"""How counts and lists stand in sentences."""

from __future__ import annotations

from collections.abc import Sequence


def count_of(number: int, what: str) -> str:
    """``1 object``, ``3 objects``, ``2 finished boxes``."""
    many = "es" if what.endswith(("x", "s", "ch")) else "s"
    return f"{number} {what}{'' if number == 1 else many}"


def class_name(number: int, names: Sequence[str] = ()) -> str:
    """What a class is called, by its number from 1: as the ``names`` of classes 1, 2, ... say, else ``class 3``."""
    return names[number - 1] if 0 < number <= len(names) else f"class {number}"


NAMED = 5
"""So many names a sentence holds at most."""


def first_of(names: Sequence[object]) -> str:
    """The first names, and dots where there are more."""
    return ", ".join(map(str, names[:NAMED])) + " ..." * (len(names) > NAMED)


def there_are(number: int, what: str) -> str:
    """``1 object is``, ``3 objects are``."""
    return f"{count_of(number, what)} {'is' if number == 1 else 'are'}"


def listed(parts: Sequence[str]) -> str:
    """``liver, spleen and lung``, of at least one."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
