"""The models that come with the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_seg.errors import SegError
from napari_seg.files import at_home
from napari_seg.models.file import SAMPLES_SUFFIX, SUFFIX

if TYPE_CHECKING:
    from napari_seg.models.model import Model

_WEIGHTS = Path(__file__).parent.parent / "weights"


def shipped() -> dict[str, Path]:
    """The shipped models: file by name."""
    files = sorted(path for path in _WEIGHTS.glob(f"*{SUFFIX}") if not path.name.endswith(SAMPLES_SUFFIX))
    return {path.name.removesuffix(SUFFIX): path for path in files}


def find(name_or_path: str | Path) -> Path:
    """The file of a shipped model or of a path. Raises ``SegError`` where there is none."""
    models = shipped()
    if str(name_or_path) in models:
        return models[str(name_or_path)]
    path = at_home(name_or_path)
    if not (path.is_file() or path.is_dir()):
        raise SegError(f"There is no model {name_or_path}; name a .safetensors file or one of {', '.join(models)}.")
    return path


def refuse_unloaded(model: object) -> None:
    """Raises ``SegError`` for what is no model, such as its name."""
    if isinstance(model, str | Path):
        raise SegError(f"{model} is the name of a model; load it with load_model.")
    if isinstance(model, list | tuple):
        raise SegError("Several models were given where one is wanted; give one, or the ensemble of them.")
    if not (hasattr(model, "spec") and hasattr(model, "network")):
        raise SegError(f"The model is of the type {type(model).__name__}; give one that load_model loaded.")


def samples_of(model: str | Path) -> Path | None:
    """The file with samples of the first training beside a model file, where there is one."""
    model = Path(model)
    path = model.with_name(model.name.removesuffix(SUFFIX) + SAMPLES_SUFFIX)
    return path if path.is_file() else None


def load_model(name_or_path: str | Path) -> Model:
    """Load a shipped model by its name, or any model by its path."""
    from napari_seg.models.model import Model

    return Model.load(find(name_or_path))
