"""Pictures of labels for tests, written as people draw them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.catalogue import TOOLS
from napari_seg.editing.edit import Edit
from napari_seg.editing.tools import Gesture


def drawn(*rows: str) -> NDArray[np.uint8]:
    """``drawn("11.", "1.2")``: a digit a pixel, a point for the background."""
    return np.array([[0 if c == "." else int(c) for c in row] for row in rows], np.uint8)


def disc(shape: tuple[int, ...], middle: tuple[float, ...], radius: float, spacing: Any = 1.0) -> NDArray[np.bool_]:
    """A disc or a ball; ``radius`` in the unit of ``spacing``."""
    places = np.moveaxis(np.indices(shape), 0, -1) - np.array(middle)
    found: NDArray[np.bool_] = ((places * spacing) ** 2).sum(-1) <= radius**2
    return found


def use(name: str, annotation: Annotation, gesture: Gesture, **options: Any) -> Edit:
    """What a registered tool makes of a gesture."""
    tool = TOOLS[name]
    return tool.run(annotation, gesture, tool.options.from_person(options))
