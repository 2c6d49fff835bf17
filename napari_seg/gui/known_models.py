"""The models that can be chosen in a window: one list for all of its pages."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal

from napari_seg.models.file import read_spec
from napari_seg.models.shelf import kept, name_of, shelf
from napari_seg.models.spec import ModelSpec
from napari_seg.models.zoo import shipped

OWN = 8
"""So many models that were made here stand in the list without being asked for."""


class KnownModels:
    """``names``: what they are called, by their files, in the order of the list."""

    changed = Signal()

    def __init__(self) -> None:
        """Those that were made here and taken come first, the newest before the others: they suit their images best."""
        taken = [one for one in kept() if one.note.get("taken") == "new"][:OWN]
        self.names = {one.path: one.name for one in taken} | {path: name for name, path in shipped().items()}
        self._specs = {one.path: one.spec for one in taken}

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
        """A person decided for a model of the list: of those that suit an image alike it is proposed."""
        self.names = {path: self.names[path]} | self.names
        self.changed.emit()
