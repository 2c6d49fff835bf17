"""What an edit makes of the labels, with the promises of every edit checked on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_seg.editing.annotation import Annotation
from napari_seg.editing.edit import Edit, apply


def after(annotation: Annotation, edit: Edit) -> NDArray[Any]:
    """The labels after an edit. Those of the annotation are left alone, and the inverse brings them back."""
    before = annotation.labels.copy()
    labels = apply(edit, annotation.labels.copy())
    assert np.array_equal(annotation.labels, before)
    assert np.array_equal(apply(edit.inverse(), labels.copy()), before)
    return labels
