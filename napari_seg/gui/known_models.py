"""The models that can be chosen in a window: one list for all of its pages."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from psygnal import Signal

from napari_seg.errors import SegError
from napari_seg.models.file import read_spec
from napari_seg.models.shelf import chosen_at, kept, name_of, put_chosen, shelf
from napari_seg.models.spec import ModelSpec
from napari_seg.models.zoo import shipped

OWN = 8
"""So many models that were made here stand in the list without being asked for."""


class KnownModels:
    """``names``: what they are called, by their files, in the order of the list."""

    changed = Signal()

    def __init__(self) -> None:
        """What a person chose last comes first; what nobody chose counts from when it was made here and taken."""
        own = {one.path: one for one in kept() if one.note.get("taken") == "new"}
        taken = sorted(own, key=chosen_at, reverse=True)[:OWN]
        names = {path: own[path].name for path in taken} | {path: name for name, path in shipped().items()}
        self.names = {path: names[path] for path in sorted(names, key=chosen_at, reverse=True)}
        self._specs = {path: own[path].spec for path in taken}

    def spec(self, path: Path) -> ModelSpec:
        """What a model is, on the list or not. Raises ``SegError`` where its file cannot be read."""
        if path not in self._specs:
            self._specs[path] = read_spec(path)
        return self._specs[path]

    def specs(self) -> dict[Path, ModelSpec]:
        return {path: self.spec(path) for path in self.names}

    def add(self, path: Path, spec: ModelSpec) -> None:
        """Put a model on the list. Two of one name are told apart by their files, and one that was made here is called
        after its file."""
        self._specs[path] = spec
        if path not in self.names:
            own, taken = path.parent == shelf(), spec.name in self.names.values()
            self.names[path] = name_of(path) if own else f"{spec.name} ({path.stem})" if taken else spec.name
            self.changed.emit()

    def prefer(self, path: Path) -> None:
        """A person chose a model of the list: of those that suit an image alike it is proposed from now on, and at the
        next start."""
        if path.parent == shelf() or path in shipped().values():
            with suppress(SegError):  # the choice counts all the same until then
                put_chosen(path)
        self.names = {path: self.names[path]} | self.names
        self.changed.emit()
