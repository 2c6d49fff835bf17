"""The model file: one ``.safetensors`` whose header holds the whole spec as JSON under the key ``napari_seg``.

Layout (https://github.com/huggingface/safetensors): eight bytes with the length of the header, the header as JSON, the
weights. Nothing in it is executed, and the description is read without reading the weights.
"""

from __future__ import annotations

import json
from pathlib import Path

from napari_seg.errors import SegError
from napari_seg.models.spec import FORMAT, ModelSpec

SUFFIX = ".safetensors"
KEY = "napari_seg"
_LONGEST_HEADER = 16_000_000


def read_spec(path: str | Path) -> ModelSpec:
    """The description of a model, without its weights. Raises ``SegError`` for a file that is not a model of ours."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if 0 < length <= _LONGEST_HEADER else b""
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SegError(f"The model {path} cannot be read ({reason}); check the name and the folder.") from None
    if not header or len(header) < length:
        raise SegError(
            f"{path.name} is not a model file or is cut off; choose a .safetensors file written by napari-seg."
        )
    try:
        text = json.loads(header)["__metadata__"][KEY]
        number = json.loads(text)["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SegError(
            f"{path.name} does not describe a napari-seg model; choose a file written by napari-seg."
        ) from None
    if not isinstance(number, int) or number > FORMAT:
        raise SegError(
            f"{path.name} was written by a newer napari-seg (format {number}); update napari-seg to open it."
        )
    return ModelSpec.from_file(text)
