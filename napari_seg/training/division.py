"""What a model and those before it learned from, and what was held out of it: kept beside the model, so that nothing is
ever held out that was once learned. Names may be those of patients, so only their hashes are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Division:
    """The hashes (:func:`known_as`) of the names of groups, and of blocks where an image was divided."""

    learned: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()

    def after(self, learned: Iterable[str], held_out: Iterable[str]) -> Division:
        """With more names; what was once learned is held out no more."""
        known = self.learned.union(map(known_as, learned))
        return Division(known, self.held_out.union(map(known_as, held_out)) - known)

    def learned_any(self, names: Iterable[str]) -> bool:
        """Whether any was learned from."""
        return not self.learned.isdisjoint(map(known_as, names))

    def held_out_any(self, names: Iterable[str]) -> bool:
        """Whether any was held out."""
        return not self.held_out.isdisjoint(map(known_as, names))


NOTHING = Division()


def known_as(name: str) -> str:
    """What is stored instead of the name of an image or of a group."""
    return f"image {hashlib.blake2b(name.encode(), digest_size=6).hexdigest()}"
