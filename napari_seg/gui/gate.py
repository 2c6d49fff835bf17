"""A mask is open to painting only from the moment it is kept: until then, and where it cannot be kept, it is closed."""

from __future__ import annotations

from typing import Any


class Gate:
    """One for each window."""

    def __init__(self) -> None:
        self._modes: dict[Any, str] = {}  # of what is closed, the mode it was in before
        self._refused: set[Any] = set()

    @property
    def waiting(self) -> str:
        """The name of a mask that will be open in a moment; empty where there is none."""
        return next((str(layer.name) for layer in self._modes if layer not in self._refused), "")

    def is_closed(self, layer: Any) -> bool:
        return layer in self._modes

    def close(self, layer: Any) -> None:
        """Let nobody paint on a layer."""
        self._refused.discard(layer)
        if layer not in self._modes:
            self._modes[layer] = str(layer.mode)
            layer.editable = False
            layer.events.editable.connect(stay_closed)

    def refuse(self, layer: Any) -> None:
        """Leave a layer closed for good."""
        self.close(layer)
        self._refused.add(layer)

    def open(self, layer: Any) -> None:
        """Let a person paint, in the mode they were in."""
        mode = self.forget(layer)
        if mode is not None:
            layer.editable = True
            layer.mode = mode

    def forget(self, layer: Any) -> str | None:
        """A layer is gone, or is closed for other reasons from now on."""
        self._refused.discard(layer)
        mode = self._modes.pop(layer, None)
        if mode is not None:
            layer.events.editable.disconnect(stay_closed)
        return mode


def stay_closed(event: Any) -> None:
    """napari opens a layer to painting whenever it gets new data."""
    if event.source.editable:
        event.source.editable = False
