"""What the file of a predicted mask says of how it was made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import napari_seg
from napari_seg.inference.prediction import Prediction


def made_by(prediction: Prediction, model_hash: str) -> dict[str, Any]:
    """For :attr:`~napari_seg.data.volume.Volume.made`: names of models are not unique, so ``model_hash`` (see
    :func:`~napari_seg.models.file.file_hash`) says which one it was. Nothing in it names the image."""
    return {
        "program": f"napari-seg {napari_seg.__version__}",
        "model": prediction.model.name,
        "model_hash": model_hash,
        "settings": prediction.spec.model_dump(mode="json"),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
