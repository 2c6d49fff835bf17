"""napari-seg: segment, correct and retrain, in napari, on the command line and in Python.

Every public name is imported when it is first used: ``import napari_seg`` loads neither torch nor napari.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_seg.data.formats import read, write
    from napari_seg.data.volume import Volume
    from napari_seg.errors import ChoiceNeeded, SegError
    from napari_seg.evaluation.evaluate import evaluate
    from napari_seg.inference.predict import predict
    from napari_seg.inference.prediction import Prediction, PredictSpec
    from napari_seg.jobs import Progress
    from napari_seg.models.ensemble import ensemble
    from napari_seg.models.model import Model
    from napari_seg.models.zoo import load_model
    from napari_seg.training.folds import folds
    from napari_seg.training.measuring import measure
    from napari_seg.training.plan import TrainSpec
    from napari_seg.training.retrain import RetrainSpec, retrain
    from napari_seg.training.search import search
    from napari_seg.training.train import train

__version__ = "0.1.0"

_HOMES = {
    "read": "data.formats",
    "write": "data.formats",
    "Volume": "data.volume",
    "SegError": "errors",
    "ChoiceNeeded": "errors",
    "Progress": "jobs",
    "Model": "models.model",
    "load_model": "models.zoo",
    "predict": "inference.predict",
    "PredictSpec": "inference.prediction",
    "Prediction": "inference.prediction",
    "evaluate": "evaluation.evaluate",
    "ensemble": "models.ensemble",
    "folds": "training.folds",
    "measure": "training.measuring",
    "search": "training.search",
    "train": "training.train",
    "retrain": "training.retrain",
    "RetrainSpec": "training.retrain",
    "TrainSpec": "training.plan",
}

__all__ = [
    "ChoiceNeeded",
    "Model",
    "PredictSpec",
    "Prediction",
    "Progress",
    "RetrainSpec",
    "SegError",
    "TrainSpec",
    "Volume",
    "__version__",
    "ensemble",
    "evaluate",
    "folds",
    "load_model",
    "measure",
    "predict",
    "read",
    "retrain",
    "search",
    "train",
    "write",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'napari_seg' has no attribute {name!r}") from None
    return getattr(importlib.import_module(f"napari_seg.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
