"""Labels that are not drawn, whatever colours a layer has: the view alone knows of it, no voxel changes.

Colours that come round again for larger numbers are napari's own for objects; which of those are clear is looked up
label by label. It is another colormap, so every view that shares the layer's colours hides the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_seg.gui.views import ClearingColormap

_CLEAR = "transparent"


@dataclass(frozen=True)
class Hidden:
    """The labels ``named`` are hidden; ``rest``: all but those, as where objects that nobody has given a class are."""

    named: frozenset[int] = frozenset()
    rest: bool = False

    def __bool__(self) -> bool:
        return self.rest or bool(self.named)

    def has(self, label: int) -> bool:
        return (label in self.named) != self.rest

    def of(self, values: Any) -> NDArray[np.bool_]:
        """Which of some labels are hidden; background is not."""
        hidden: NDArray[np.bool_] = self._table[np.clip(values, 0, len(self._table) - 1)] & (values != 0)
        return hidden

    @cached_property
    def _table(self) -> NDArray[np.bool_]:
        """For each label whether it is hidden; the last one stands for all that are larger."""
        table = np.full(max(self.named, default=0) + 2, self.rest)
        table[list(self.named)] = not self.rest
        return table


def without(colormap: Any, hidden: Hidden) -> Any:
    """The colours of a labels layer, but those of ``hidden`` labels clear."""
    if not hidden:
        return colormap
    if not isinstance(colormap, DirectLabelColormap):
        return ClearingColormap.of(colormap, hidden.of)
    known = {key: colour for key, colour in colormap.color_dict.items() if key is not None}
    colours: dict[Any, Any] = {k: _CLEAR if hidden.has(k) else known.get(k) for k in {*known, *hidden.named} if k}
    shown = colormap.color_dict[None]
    named = {k: shown if colour is None else colour for k, colour in colours.items()}
    return DirectLabelColormap(color_dict={None: _CLEAR if hidden.rest else shown, 0: known.get(0, _CLEAR), **named})
